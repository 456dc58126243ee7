"""OME-Zarr 0.4 to 0.6: a directory with an image in chunks, at several resolutions.

Zarr's versions are 2 (OME-Zarr 0.4) and 3 (0.5, 0.6). Each level has, for each axis, a scale in the
axis' unit, and a translation: the centre of its first voxel. A level that is made by averaging
boxes of two voxels begins half a voxel (of the level before it) later; positions in voxels of
level k are ``(p - (2**k - 1) / 2) / 2**k``, p those of level 0. Version 0.6 is not written.
https://ngff.openmicroscopy.org/0.4/, https://ngff.openmicroscopy.org/0.5/ and
https://ngff.openmicroscopy.org/0.6/
"""

from __future__ import annotations

import json
import math
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryotypes._progress import Work
from cryotypes.errors import GuessWarning, MissingPackageError, ReadError, WriteError
from cryotypes.formats.images._image_data import (
    Cast,
    checked_shape,
    checked_spacing,
    report_on,
    sliceable,
)
from cryotypes.formats.shared.declaration import Format
from cryotypes.names import strip_path_and_suffix

from . import _multiscales
from ._multiscales import ANGSTROM

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import DTypeLike

    from cryotypes.formats.shared.declaration import Head
    from cryotypes.image import Image
    from cryotypes.loss import LossReport

    from ._multiscales import Axis, Level, Multiscales

_VERSIONS = {"0.4": 2, "0.5": 3}  # OME-Zarr's: zarr's
_CHUNK = 128
_CHUNK_OF_IMAGE = 8192  # a chunk of twice the largest, in complex128, can still be compressed
_UNKNOWN = "unknown"


def sniff(head: Head) -> bool:
    """A directory whose attributes name multiscales, or one of zarr that is called .zarr."""
    if head.data or not head.path.is_dir():
        return False
    try:
        if head.suffix == ".zarr" and _multiscales.is_zarr(head.path):
            return True  # if it is no image, the reader says so
        return _multiscales.mentions_multiscales(head.path)
    except OSError:
        return False


def read(
    path: Path,
    *,
    level: int = 0,
    pixel_spacing: float | None = None,
    stack: bool | None = None,
    experiment_id: str | None = None,
) -> Image:
    """Read one level of an OME-Zarr image, lazily.

    Parameters
    ----------
    path : path
        The directory.
    level : int
        Of those in the metadata, the finest is 0.
    pixel_spacing : float, optional
        Å, of the level that is read, instead of what the metadata say.
    stack : bool, optional
        Whether the sections along z are separate images (a tilt series); by default they are not,
        unless cryotypes wrote so.
    experiment_id : str, optional
        By default the directory's name without suffixes.

    Returns
    -------
    Image
        The data are zyx or yx, and read when they are sliced. Axes that are not spatial (t, c)
        must have size one and are dropped.
        Translations are not applied: positions count voxels of the level. ``metadata`` has the
        multiscales as they stand. Of the coordinate systems of 0.6 the one that counts is the
        first, from that of the levels on, whose units are lengths.

    Raises
    ------
    ReadError
        If the metadata are damaged, or are not those of an image.
    MissingPackageError
        Without zarr.

    Warns
    -----
    GuessWarning
        If the unit or the scale is not stated, or if it is not the same along all axes.

    Notes
    -----
    A chunk that is not there holds zeros, as zarr defines it; if the array has no fill value,
    which says what absent chunks hold, there is a GuessWarning. One that is damaged, or a link that
    leads out of the directory, is a ReadError when it is sliced.
    """
    from cryotypes.image import Image

    _zarr("reading OME-Zarr")
    from ._arrays import View

    path = Path(path)
    given = None if pixel_spacing is None else checked_spacing(pixel_spacing)
    if not path.is_dir():
        path.stat()  # Python's own error
        raise ReadError("expected a directory, found a file", path)
    metadata = _multiscales.load(path)
    chosen = _choose(metadata, level, path)
    array = _open(path, chosen, metadata.zarr_format)
    axes = _multiscales.axes_for(metadata, array.ndim, path)
    order = _order(axes, array.shape, path)
    is_stack = metadata.note.get("stack") is True if stack is None else bool(stack)
    spacing = _spacing(metadata, chosen, axes, array.shape, is_stack, path, given)
    if len(order) == 2 and is_stack:
        order = [-1, *order]
    return Image(
        data=View(array, order, path, _metadata_of(path, chosen, metadata.zarr_format)),
        experiment_id=_named(path) if experiment_id is None else experiment_id,
        pixel_spacing=spacing,
        source=path,
        stack=is_stack,
        metadata={
            "format": "ome-zarr",
            "version": metadata.version,
            "level": level,
            "levels": [one.path for one in metadata.levels],
            "multiscales": metadata.stated,
        },
    )


def _named(path: Path) -> str:
    name = strip_path_and_suffix(path.name)
    return name[:-4] if name.lower().endswith(".ome") and len(name) > 4 else name


def _zarr(purpose: str) -> Any:
    try:
        import zarr
    except ImportError as error:
        raise MissingPackageError("zarr", "zarr", purpose) from error
    if tuple(map(int, zarr.__version__.split(".")[:2])) < (3, 1):
        raise MissingPackageError("zarr>=3.1", "zarr", purpose)
    return zarr


def _choose(metadata: Multiscales, level: int, path: Path) -> Level:
    if not 0 <= level < len(metadata.levels):
        raise ReadError(f"level: expected 0 to {len(metadata.levels) - 1}, found {level}", path)
    return metadata.levels[level]


def _open(path: Path, level: Level, zarr_format: int) -> Any:
    """Open a level's array; nothing but its metadata is read."""
    zarr = _zarr("reading OME-Zarr")
    from ._store import CheckedStore

    folder = (path / level.path).absolute()  # also in another process, in another folder
    if not _metadata_of(path, level, zarr_format).is_file():
        raise ReadError(f"level {level.path!r} is missing, or is no array", path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what is not in zarr's specification yet
            store = CheckedStore(folder, read_only=True)
            store.keep_inside(path)
            array = zarr.open_array(store=store, mode="r", zarr_format=zarr_format)
            store.expect(array, path / level.path)
            dtype, shape = array.dtype, tuple(array.shape)
    except (MemoryError, ReadError):
        raise
    except Exception as error:  # damaged metadata make zarr raise almost anything
        if isinstance(error, OSError) and not isinstance(error, ValueError):
            raise
        if said := _unknown_codec(error):
            raise ReadError(
                f"level {level.path!r} is packed with a codec that is not installed ({said}); "
                "install the package that adds it to zarr: numcodecs[zfpy], numcodecs[pcodec], "
                "imagecodecs …",
                path,
            ) from error
        raise ReadError(f"level {level.path!r} is damaged ({error})", path) from error
    huge = math.prod(shape) * dtype.itemsize >= 1 << 63  # no computer counts so many bytes
    if dtype.kind not in "biufc" or 0 in shape or huge:
        raise ReadError(f"expected numbers, found {dtype} of shape {shape}", path)
    return array


def _unknown_codec(error: Exception) -> str:
    """Say which codec zarr does not know, if that is what it raised; empty if not."""
    if type(error).__name__ == "UnknownCodecError":  # zarr's and numcodecs' own
        return str(error).replace("''", "'")
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    looked_up = place is not None and place.tb_frame.f_code.co_name == "get_codec_class"
    return f"codec: {error}" if isinstance(error, KeyError) and looked_up else ""  # zarr 3.1.0


def _metadata_of(path: Path, level: Level, zarr_format: int) -> Path:
    return path / level.path / {2: ".zarray", 3: "zarr.json"}[zarr_format]


def _order(axes: list[Axis], shape: tuple[int, ...], path: Path) -> list[int]:
    """Find z, y, x (or y, x) among the axes; all others must have size one."""
    places = {axis.name: i for i, axis in enumerate(axes) if axis.spatial}
    listing = ", ".join(f"{a.name} ({n})" for a, n in zip(axes, shape, strict=True))
    if not {"y", "x"} <= set(places):
        raise ReadError(f"expected the spatial axes z, y, x or y, x, found {listing}", path)
    if any(n != 1 for i, n in enumerate(shape) if i not in places.values()):
        raise ReadError(f"expected size 1 of axes other than z, y, x, found {listing}", path)
    return [places[name] for name in "zyx" if name in places]


def _spacing(
    metadata: Multiscales,
    level: Level,
    axes: list[Axis],
    shape: tuple[int, ...],
    stack: bool,
    path: Path,
    given: float | None,
) -> float:
    """Return Å per pixel along x, or 0; warn of what is doubtful."""
    scale = level.scale
    if scale is not None and len(scale) != len(axes):
        raise ReadError(f"expected a scale of {len(axes)} numbers, found {scale}", path)
    if given is not None:
        return given
    remedy = "pixel_spacing= (--pixel-spacing) states it"
    if scale is None or metadata.note.get("pixel_spacing") == _UNKNOWN:
        return _guess(f"the pixel spacing is not stated; {remedy}", path)
    lengths = {}
    for axis, factor, size in zip(axes, scale, shape, strict=True):
        if not axis.spatial or (axis.name == "z" and (stack or size == 1)):
            continue
        if factor <= 0:
            raise ReadError(f"expected a positive scale of {axis.name}, found {factor}", path)
        if axis.unit is not None and axis.unit.lower() not in ANGSTROM:
            return _guess(f"the unit {axis.unit!r} is not a known length; {remedy}", path)
        lengths[axis.name] = factor * ANGSTROM[(axis.unit or "angstrom").lower()]
    x = lengths["x"]
    if not math.isfinite(x):
        raise ReadError(f"expected a finite scale of x, found {x}", path)
    if metadata.doubt:
        _guess(f"{metadata.doubt}; assumed the first, {x:g} Å per pixel; {remedy}", path)
    if any(axis.unit is None for axis in axes if axis.name in lengths):
        _guess(f"the scale has no unit; assumed angstrom, {x:g} Å per pixel; {remedy}", path)
    if any(abs(length - x) > 1e-3 * x for length in lengths.values()):
        listing = ", ".join(f"{name} {length:g}" for name, length in lengths.items())
        _guess(f"the pixel spacing differs ({listing} Å); assumed that of x; {remedy}", path)
    return x


def _guess(doubt: str, path: Path) -> float:
    warnings.warn(f"{path}: {doubt}", GuessWarning, stacklevel=4)
    return 0.0


def write(
    image: Any,
    path: Path,
    *,
    overwrite: bool = False,
    version: str = "0.4",
    levels: int = 3,
    dtype: DTypeLike | None = None,
) -> LossReport:
    """Write an Image in chunks, a block at a time, with coarser levels beside it.

    The directory is written aside and renamed when it is whole; an old one is replaced only then.
    Chunks are 64 to 128 voxels a side, or a whole image of a stack, compressed with zstd. That
    data are a stack, or of unknown spacing, stands in a note (attribute ``cryotypes``) that other
    programs do not read.

    Parameters
    ----------
    image : Image
        Its data may be larger than memory.
    path : path
    overwrite : bool
        Replace what is there, unless it is a directory that is not of zarr.
    version : {"0.4", "0.5"}
        Of OME-Zarr.
    levels : int
        How many, each the mean of 2 × 2 × 2 voxels of the one before it (2 × 2 pixels in a stack);
        where a size is odd, the last is the mean of what is there. Of labels, write one only.
    dtype : dtype, optional
        Write as this one; numbers are rounded, and must be in its range.

    Returns
    -------
    LossReport
        ``lost["dtype"]`` if values change that nobody asked to change.

    Raises
    ------
    WriteError
        If values do not fit the dtype, or the shape is not that of an image, a volume or a stack.
    MissingPackageError
        Without zarr.
    """
    if version not in _VERSIONS:
        raise ValueError(f"version: expected '0.4' or '0.5', found {version!r}")
    if levels < 1:
        raise ValueError(f"levels: expected at least 1, found {levels}")
    zarr = _zarr("writing OME-Zarr")
    from ._arrays import writing_directory

    path, stack = Path(path), bool(image.stack)
    data = sliceable(image.data)
    checked_shape(tuple(data.shape), stack, path)
    cast = Cast(data, _target(data.dtype, dtype, path), path)
    spacing = max(float(image.pixel_spacing), 0.0)
    if not math.isfinite(spacing):
        raise WriteError(f"pixel_spacing: expected a finite number, found {spacing}", path)
    with writing_directory(path, overwrite) as temporary:
        group = zarr.open_group(store=str(temporary), mode="w", zarr_format=_VERSIONS[version])
        factors = _write_levels(group, cast, stack, levels)
        if version == "0.4":
            _without_checksum_field(temporary)
        group.attrs.update(_attributes(image, path, version, spacing, stack, factors))
    return _report(image, report_on(image, "ome-zarr", path, cast, dtype, _named(path)))


def _target(found: np.dtype[Any], asked: DTypeLike | None, path: Path) -> np.dtype[Any]:
    """Choose the dtype to write: that asked for, or the same if zarr has it."""
    import numpy as np

    if found.kind not in "biufc":
        raise WriteError(f"expected numbers, found an array of {found}", path)
    target = np.dtype(found if asked is None else asked).newbyteorder("=")
    if target.kind not in "biufc" or (found.kind == "c" and target.kind != "c"):
        raise WriteError(f"{found} cannot be written as {target}", path)
    if asked is not None and target.kind == "b" and found.kind != "b":
        raise WriteError(f"{found} cannot be written as {target}", path)
    longest = {"f": np.float64, "c": np.complex128}.get(target.kind)
    if longest is not None and target.itemsize > np.dtype(longest).itemsize:
        return np.dtype(longest)
    return target


def _write_levels(group: Any, cast: Cast, stack: bool, levels: int) -> list[tuple[int, ...]]:
    """Write all levels; return by how much each is smaller than the first, for each axis."""
    from ._arrays import halve

    shapes, steps = [cast.shape], [(1,) * len(cast.shape)]
    while len(shapes) < levels:
        step = tuple(1 if n == 1 or (stack and i == 0) else 2 for i, n in enumerate(shapes[-1]))
        if max(step) == 1:
            break
        steps.append(step)
        shapes.append(tuple(-(-n // f) for n, f in zip(shapes[-1], step, strict=True)))
    work = Work(sum(math.prod(shape) for shape in [cast.shape, *shapes[:-1]]))
    array, factors = _create(group, "0", cast.shape, cast.target, stack), steps[:1]
    cast.into(array.__setitem__, array.chunks, work)
    for level, (shape, step) in enumerate(zip(shapes[1:], steps[1:], strict=True), 1):
        finer, array = array, _create(group, str(level), shape, cast.target, stack)
        halve(finer, array, step, work)
        factors.append(tuple(a * b for a, b in zip(factors[-1], step, strict=True)))
    return factors


def _create(group: Any, name: str, shape: tuple[int, ...], dtype: Any, stack: bool) -> Any:
    if len(shape) == 2 or stack:
        chunks = (1, 1, 1)[: len(shape) - 2] + tuple(_chunk(n, _CHUNK_OF_IMAGE) for n in shape[-2:])
    else:
        chunks = tuple(_chunk(n, _CHUNK) for n in shape)
    third = group.metadata.zarr_format == 3
    return group.create_array(
        name,
        shape=shape,
        dtype=dtype,
        chunks=chunks,
        compressors=_compressor(third),
        chunk_key_encoding={"name": "default" if third else "v2", "separator": "/"},
        dimension_names=list("zyx"[-len(shape) :]) if third else None,
    )


def _compressor(third: bool) -> Any:
    """Return zstd with a checksum: Blosc, which zarr would take, does not notice cut chunks."""
    if third:
        from zarr.codecs import ZstdCodec

        return ZstdCodec(level=1, checksum=True)
    from numcodecs import Zstd

    return Zstd(level=1, checksum=True)


def _without_checksum_field(folder: Path) -> None:
    """Take numcodecs' own field out of the metadata: TensorStore and ngff-zarr refuse it.

    Each chunk says itself that it has a checksum (RFC 8878), so that it is checked all the same.
    """
    for path in folder.glob("*/.zarray"):
        metadata = json.loads(path.read_text())
        metadata["compressor"].pop("checksum", None)
        path.write_text(json.dumps(metadata, indent=2))


def _chunk(size: int, most: int) -> int:
    """Cut a size into equal parts: more than half of the most, if there is more than one.

    Those are even, that two of a level make one of the next.
    """
    parts = -(-size // most)
    return size if parts == 1 else -(-size // (2 * parts)) * 2


def _attributes(
    image: Any,
    path: Path,
    version: str,
    spacing: float,
    stack: bool,
    factors: list[tuple[int, ...]],
) -> dict[str, Any]:
    """Make the metadata of the group; an unknown spacing has scale 1 and no unit."""
    names = "zyx"[-len(factors[0]) :]
    lengths = [0.0 if stack and name == "z" else spacing for name in names]
    axes = [
        {"name": name, "type": "space", **({"unit": "angstrom"} if length else {})}
        for name, length in zip(names, lengths, strict=True)
    ]
    datasets = []
    for level, factor in enumerate(factors):
        pairs = [(length or 1.0, f) for length, f in zip(lengths, factor, strict=True)]
        transformations: list[dict[str, Any]] = [
            {"type": "scale", "scale": [length * f for length, f in pairs]}
        ]
        if level:
            shift = [length * (f - 1) / 2 for length, f in pairs]
            transformations.append({"type": "translation", "translation": shift})
        datasets.append({"path": str(level), "coordinateTransformations": transformations})
    multiscales = {
        "name": image.experiment_id or _named(path),
        "axes": axes,
        "datasets": datasets,
        "type": "mean",
    }
    note = {"stack": stack, **({} if spacing else {"pixel_spacing": _UNKNOWN})}
    if version == "0.4":
        return {"multiscales": [{"version": version, **multiscales}], "cryotypes": note}
    return {"ome": {"version": version, "multiscales": [multiscales]}, "cryotypes": note}


def _report(image: Any, report: LossReport) -> LossReport:
    """Say what reading the file will give back."""
    report.kept.append("stack")
    if image.pixel_spacing > 0:
        report.kept.append("pixel_spacing")
    else:
        report.assumed["pixel_spacing"] = "unknown, is written as a scale of 1 without unit"
    return report


FORMAT = Format(
    name="ome-zarr",
    title="OME-Zarr image",
    kind="image",
    suffixes=(".zarr",),
    sniff=sniff,
    read=read,
    write=write,
    keeps=frozenset({"data", "pixel_spacing", "stack"}),
    needs=("zarr",),
    evidence=(
        "documentation: the specifications of OME-Zarr 0.4, 0.5 and 0.6; source: the writers of "
        "the CryoET Data Portal and of copick; run: arrays through zarr 3.1, metadata made by "
        "hand; TensorStore 0.1.86 and ngff-zarr 0.50 as independent readers"
    ),
    url="https://ngff.openmicroscopy.org/0.4/",
)
