"""EMAN2's HDF: every image is a group ``/MDF/images/<number>`` with a dataset ``image``.

One group with three dimensions is a volume; groups with two are the images of a stack, or, in a
file of one, an image. Facts are attributes of the group, ``EMAN.apix_x`` (Å) among them. Integers
may stand for numbers from ``EMAN.stored_rendermin`` to ``EMAN.stored_rendermax``, in steps of
2^``EMAN.stored_renderbits`` - 1; without bits, or with 0, they are meant literally.

Source: EMAN2, libEM/io/hdfio2.cpp.
"""

from __future__ import annotations

import math
import warnings
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryotypes.errors import GuessWarning, ReadError, WriteError
from cryotypes.formats.shared.declaration import Format, Head
from cryotypes.formats.shared.files import refuse_overwrite, writing
from cryotypes.names import strip_path_and_suffix

from ._hdf5 import check_stored, h5py_for, looks_like_hdf5, member, opened
from ._image_data import (
    Cast,
    checked_shape,
    checked_spacing,
    report_on,
    sliceable,
    target_dtype,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import DTypeLike, NDArray

    from cryotypes.image import Image
    from cryotypes.image._pieces import Box
    from cryotypes.loss import LossReport

    from ._hdf5_array import HdfArray, Scale

_IMAGES = "/MDF/images"
# EMAN2 refuses numbers of eight bytes, and has no half precision
_WRITTEN = ("float32", "int8", "uint8", "int16", "uint16", "int32", "uint32")
_WIDER = {"b": "uint8", "i": "float32", "u": "float32", "f": "float32"}
_OF_IMOD = "Group.IMOD.PixelSpacing"  # Å, in files of IMOD, which follow EMAN2's layout
_UNEQUAL = 1e-3  # relative difference of spacings that is worth a word


def sniff(head: Head) -> bool:
    """Tell EMAN2's files by the names of their groups, which stand near the beginning."""
    data = head.data
    named = b"MDF" in data and b"imageid_max" in data
    return looks_like_hdf5(data) and (named or (b"MDF\0" in data and b"images\0" in data))


def read(
    path: Path,
    *,
    index: int | None = None,
    pixel_spacing: float | None = None,
    stack: bool | None = None,
    experiment_id: str | None = None,
) -> Image:
    """Read a volume, an image or a stack; the data are read when they are asked for.

    Parameters
    ----------
    path : path
    index : int, optional
        Number of the one image or volume to read. By default the only one, or all images.
    pixel_spacing : float, optional
        Å, instead of the file's.
    stack : bool, optional
        Whether the sections are separate images. By default those of a volume are not, several
        images are. EMAN2 may keep a tilt series as one volume: ``stack=True``.
    experiment_id : str, optional
        By default the file's name without suffixes.

    Returns
    -------
    Image
        The data are a lazy array: float32 where integers stand for other numbers, else of the
        dtype in the file. ``metadata`` holds the attributes of the first image.

    Raises
    ------
    ReadError
        If it is damaged or not EMAN2's, if images differ in size, or if volumes are several.
    MissingPackageError
        If h5py is not installed.

    Warns
    -----
    GuessWarning
        If the pixel spacing is missing, 1 Å (what EMAN2 says if it does not know), or not the
        same along the axes, and not given; or if numbers of images are left out.

    Notes
    -----
    Signed integers are read as EMAN2 writes them, counted from -2^(bits - 1); EMAN2 own
    reader takes them as counted from 0, and finds all values larger or smaller by a constant.
    """
    from cryotypes.image import Image

    path = Path(path)
    given = None if pixel_spacing is None else checked_spacing(pixel_spacing)
    with opened(path) as file:
        images = _images(file, path)
        numbers = _numbers(images, index, path)
        data = _lazy(images, numbers, path)
        facts = _facts(images[str(numbers[0])])
    if stack and data.ndim == 2:
        data = _stack_of_one(data)
    return Image(
        data=data,
        experiment_id=strip_path_and_suffix(path.name) if experiment_id is None else experiment_id,
        pixel_spacing=_spacing(facts, data.ndim, path) if given is None else given,
        source=path,
        stack=data.stacked if stack is None else bool(stack),
        metadata=facts,
    )


def _stack_of_one(data: HdfArray) -> HdfArray:
    from ._hdf5_array import HdfArray

    shape = (1, *data.shape)
    return HdfArray(data.path, data.parts, shape, data.dtype, (1, *data.shape), stacked=True)


def _images(file: Any, path: Path) -> Any:
    h5py = h5py_for("reading HDF5")
    found = member(file, _IMAGES, path)
    if not isinstance(found, h5py.Group):
        raise ReadError(f"expected EMAN2's group {_IMAGES}, found none; format='hdf5'?", path)
    return found


def _numbers(images: Any, index: int | None, path: Path) -> list[int]:
    """Return the numbers of the images to read, in order: as text, 10 comes before 2."""
    numbers = sorted(int(name) for name in images if name.isascii() and name.isdigit())
    if not numbers:
        raise ReadError(f"expected images in {_IMAGES}, found none", path)
    if index is not None:
        if index not in numbers:
            raise ReadError(f"no image {index}; there are {numbers[0]} to {numbers[-1]}", path)
        return [index]
    last = _number(images.attrs.get("imageid_max", numbers[-1]))
    expected = max(int(last), numbers[-1]) + 1
    if len(numbers) != expected:
        warnings.warn(
            f"{path}: there should be {expected} images, found {len(numbers)}; assumed that the "
            "others are not wanted (index= reads a single one)",
            GuessWarning,
            stacklevel=3,
        )
    return numbers


def _lazy(images: Any, numbers: list[int], path: Path) -> HdfArray:
    import numpy as np

    from ._hdf5_array import HdfArray, Part

    parts, dtypes, shape, chunks = [], set(), None, None
    for number in numbers:
        group = member(images, str(number), path)
        dataset = member(images, f"{number}/image", path)
        found = _shape(dataset, f"{_IMAGES}/{number}/image", path)
        if shape not in (None, found):
            raise ReadError(f"expected images of shape {shape}, found {found} as {number}", path)
        shape, chunks = found, dataset.chunks
        check_stored(dataset, path)
        part = Part(f"{_IMAGES}/{number}/image", _scale(group, dataset.dtype, path))
        parts.append(part)
        dtypes.add(np.dtype(np.float32) if part.scale else dataset.dtype.newbyteorder("="))
    assert shape is not None
    dtype = np.result_type(*dtypes)
    if len(parts) == 1:
        known = chunks is not None and len(chunks) == len(shape)
        return HdfArray(path, parts, shape, dtype, chunks if known else None)
    if len(shape) != 2:
        raise ReadError(
            f"expected one volume or a stack of images, found {len(parts)} volumes; "
            "choose with index=",
            path,
        )
    return HdfArray(path, parts, (len(parts), *shape), dtype, (1, *shape), stacked=True)


def _shape(dataset: Any, name: str, path: Path) -> tuple[int, ...]:
    """Return the shape; a line, which EMAN2 stores with one dimension, is an image of one row."""
    shape = getattr(dataset, "shape", None)
    if shape is None:
        raise ReadError(f"expected a dataset {name}, found none", path)
    if len(shape) not in (1, 2, 3) or 0 in shape or dataset.dtype.kind not in "iufb":
        raise ReadError(
            f"{name}: expected an image or a volume, found {dataset.dtype}, shape {shape}", path
        )
    found = (1, *shape) if len(shape) == 1 else shape
    return tuple(map(int, found))


def _scale(group: Any, dtype: np.dtype[Any], path: Path) -> Scale | None:
    """Tell what integers stand for, or None if for themselves."""
    from ._hdf5_array import Scale

    attributes = group.attrs
    if _number(attributes.get("EMAN.is_complex", 0)):
        raise ReadError(f"{group.name}: a Fourier transform, not an image", path)
    bits = int(_number(attributes.get("EMAN.stored_renderbits", 0)))
    if bits <= 0 or dtype.kind not in "iu":
        return None
    names = ("EMAN.stored_rendermin", "EMAN.stored_rendermax")
    low, high = (_number(attributes.get(name, math.nan)) for name in names)
    if bits > 16 or not (math.isfinite(low) and math.isfinite(high)):
        raise ReadError(
            f"{group.name}: expected 1 to 16 EMAN.stored_renderbits with {names[0]} and "
            f"{names[1]}, found {bits}, {low:g}, {high:g}",
            path,
        )
    steps = 2.0**bits - 1
    return Scale((steps + 1) / 2 if dtype.kind == "i" else 0.0, steps, low, high)


def _number(value: Any) -> float:
    import numpy as np

    return float(np.asarray(value).reshape(-1)[0])


def _facts(group: Any) -> dict[str, Any]:
    """Return EMAN2's attributes as plain values."""
    facts = {}
    for name in group.attrs:
        try:
            facts[str(name).removeprefix("EMAN.")] = _plain(group.attrs[name])
        except TypeError:  # a type that numpy has not
            continue
    return facts


def _plain(value: Any) -> Any:
    import numpy as np

    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    if not isinstance(value, (np.ndarray, np.generic)):
        return value
    if value.dtype == np.int8 and value.size == 1 and value.item() in (ord("T"), ord("F")):
        return bool(value.item() == ord("T"))
    if value.dtype == np.float32 and value.size == 1:
        return float(str(np.float32(value.reshape(-1)[0])))  # 2.7, not 2.7000000477
    plain = value.item() if value.size == 1 else value.tolist()
    return plain.decode("utf-8", errors="replace") if isinstance(plain, bytes) else plain


def _spacing(facts: dict[str, Any], ndim: int, path: Path) -> float:
    """Return the spacing along x, 0 if unknown, with a word on what is doubtful."""
    values = [facts.get(f"apix_{axis}") for axis in "xyz"[:ndim]]
    with suppress(ValueError, TypeError):  # it wins in EMAN2's reader, too
        values = [float(facts[_OF_IMOD])] * ndim if _OF_IMOD in facts else values
    known = [float(v) for v in values if isinstance(v, (int, float)) and 0 < v < math.inf]
    doubt = ""
    if not known or known[0] != values[0]:
        doubt, known = "there is no EMAN.apix_x; assumed 0 (unknown)", [0.0]
    elif max(abs(value - known[0]) for value in known) > _UNEQUAL * known[0]:
        listing = ", ".join(f"{value:g}" for value in known)
        doubt = f"the pixels are {listing} Å along x, y, z; assumed that of x"
    elif known[0] == 1:
        doubt = "the pixel spacing is 1 Å, EMAN2's word for unknown; assumed 1 Å"
    if doubt:
        warnings.warn(f"{path}: {doubt}, state it with pixel_spacing=", GuessWarning, stacklevel=3)
    return known[0]


def write(
    image: Any, path: Path, *, overwrite: bool = False, dtype: DTypeLike | None = None
) -> LossReport:
    """Write an Image, uncompressed, a piece at a time.

    float32 and integers of up to four bytes are written as they are, bool as uint8, all else as
    float32. A stack becomes one group an image.

    Parameters
    ----------
    image : Image
        Its data may be larger than memory.
    path : path
    overwrite : bool
    dtype : dtype, optional
        Write as this one of the seven; numbers are rounded, and must be in its range.

    Returns
    -------
    LossReport
        ``lost["dtype"]`` if values change that nobody asked to change, ``lost["stack"]``
        for a stack of one image.

    Raises
    ------
    WriteError
        If the data are complex, or the shape is not that of an image, a volume or a stack.
    MissingPackageError
        If h5py is not installed.
    """
    path = Path(path)
    h5py = h5py_for("writing EMAN2's HDF")
    refuse_overwrite(path, overwrite)
    data = sliceable(image.data)
    checked_shape(tuple(data.shape), bool(image.stack), path)
    cast = Cast(data, target_dtype(data.dtype, dtype, _WRITTEN, _WIDER, path), path)
    spacing = _single(max(float(image.pixel_spacing), 0.0), path)
    with writing(path, overwrite) as temporary, h5py.File(temporary, "w") as file:
        images = file.create_group(_IMAGES)
        images.attrs["imageid_max"] = _ints(cast.shape[0] - 1 if image.stack else 0)
        _write_images(images, cast, spacing, bool(image.stack))
    return _report(image, report_on(image, "eman2-hdf", path, cast, dtype))


def _single(spacing: float, path: Path) -> float:
    import numpy as np

    with np.errstate(over="ignore"):
        single = float(np.float32(spacing))
    if not math.isfinite(single) or (single == 0) != (spacing == 0):
        raise WriteError(f"pixel spacing {spacing:g} does not fit single precision", path)
    return single


def _write_images(images: Any, cast: Cast, spacing: float, stack: bool) -> None:
    """Write one dataset, or one for each image of a stack."""
    shape = cast.shape[1:] if stack else cast.shape
    datasets = [
        _group(images, number, shape, spacing).create_dataset("image", shape, cast.target)
        for number in range(cast.shape[0] if stack else 1)
    ]

    def put(box: Box, piece: NDArray[Any]) -> None:
        if not stack:
            datasets[0][box] = piece
            return
        for dataset, section in zip(datasets[box[0]], piece, strict=True):
            dataset[box[1:]] = section

    cast.into(put)


def _group(images: Any, number: int, shape: tuple[int, ...], spacing: float) -> Any:
    import numpy as np

    group = images.create_group(str(number))
    nz, ny, nx = (1, *shape)[-3:]
    for axis, size in zip("xyz", (nx, ny, nz), strict=True):
        group.attrs[f"EMAN.n{axis}"] = _ints(size)
        if spacing > 0:
            group.attrs[f"EMAN.apix_{axis}"] = np.array([spacing], np.float32)
    return group


def _ints(value: int) -> Any:
    """Give the one kind of integer that EMAN2 reads in attributes."""
    import numpy as np

    return np.array([value], np.int32)


def _report(image: Any, report: LossReport) -> LossReport:
    if image.stack and image.data.shape[0] == 1:
        report.lost["stack"] = "one image is not known to be a stack; stack=True reads it as one"
        report.converted["data"] = "a stack of one is read as an image (y, x)"
    else:
        report.kept.append("stack")
    if image.pixel_spacing > 0:
        report.kept.append("pixel_spacing")
    else:
        report.assumed["pixel_spacing"] = "unknown, left out; EMAN2 will take it for 1 Å"
    return report


FORMAT = Format(
    name="eman2-hdf",
    title="EMAN2 HDF image",
    kind="image",
    suffixes=(".hdf",),
    sniff=sniff,
    read=read,
    write=write,
    keeps=frozenset({"data", "pixel_spacing", "stack"}),
    tolerance={"pixel_spacing": 1e-6},
    needs=("h5py",),
    evidence=(
        "source: EMAN2's libEM/io/hdfio2.cpp, layout, attributes and scaling; run: files made in "
        "its form with h5py 3.16 as an independent writer and reader; EMAN2 itself was not run"
    ),
    url="https://github.com/cryoem/eman2/blob/master/libEM/io/hdfio2.cpp",
)
