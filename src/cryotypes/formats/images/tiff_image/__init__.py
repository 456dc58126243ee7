"""TIFF and BigTIFF files: micrographs, movies, volumes.

The first row of a TIFF file is the top of the image, that of an MRC file its bottom: RELION, IMOD,
Warp, MotionCor2, EMAN2 and SerialEM reverse the rows when they read or write TIFF (source of
RELION 5 and Warp; run: IMOD 4.8.2, RELION 3.1.3). So does this module, that positions of particles
mean the same in both; files born in ImageJ or napari may want ``flip_y=False``.
"""

from __future__ import annotations

import importlib.util
import math
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cryotypes.errors import GuessWarning, MissingPackageError, ReadError, WriteError
from cryotypes.formats.images._image_data import (
    PIECE,
    Cast,
    checked_shape,
    checked_spacing,
    report_on,
    sliceable,
    target_dtype,
)
from cryotypes.formats.shared.declaration import Format, Head
from cryotypes.formats.shared.files import compression_of, writing
from cryotypes.names import strip_path_and_suffix

from . import _tags as tiff_tags
from ._file import damage, opened

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy as np
    from numpy.typing import DTypeLike, NDArray

    from cryotypes.image import Image
    from cryotypes.loss import LossReport

_WRITTEN = (
    *("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"),
    *("float16", "float32", "float64", "complex64", "complex128"),
)
_WIDER = {"b": "uint8", "f": "float64", "c": "complex128"}
_CLASSIC = 2**32 - 2**25  # bytes; more than that needs BigTIFF
_TAGS = ("XResolution", "YResolution", "ResolutionUnit", "Software", "DateTime")
_DENSEST = 1 << 17  # pixels a stored byte may stand for; a damaged size asks for more


_COLOURS = ("rgb", "palette", "cmyk", "ycbcr")


def sniff(head: Head) -> bool:
    """Tell a TIFF file by its magic number and a first page behind it."""
    return compression_of(head.path) == "" and tiff_tags.layout(head.data) is not None


def read(
    path: Path,
    *,
    pixel_spacing: float | None = None,
    stack: bool | None = None,
    experiment_id: str | None = None,
    flip_y: bool = True,
) -> Image:
    """Read a TIFF file: memory-mapped if it is uncompressed and contiguous, else page by page.

    Parameters
    ----------
    path : path
    pixel_spacing : float, optional
        Å, instead of the file's.
    stack : bool, optional
        Whether the pages are separate images; by default they are, unless the file (ImageJ, OME,
        or this package) says that they are slices of a volume.
    experiment_id : str, optional
        By default the file's name without suffixes.
    flip_y : bool
        Reverse the rows, as RELION, IMOD and Warp do. False for files of ImageJ or napari, if
        positions count from the top there.

    Returns
    -------
    Image
        The data are zyx, or yx if there is one page (unless ``stack=True``); of the file's dtype.
        Compressed pages are decoded when they are asked for. ``metadata`` holds the tags.

    Raises
    ------
    ReadError
        If it is cut, damaged or no TIFF file; if pages differ in size, or are in colour; if it is
        an EER movie. Also later, if a compressed page turns out to be damaged.
    MissingPackageError
        Without tifffile; or imagecodecs, if pages are compressed.

    Warns
    -----
    GuessWarning
        If the file does not tell the pixel spacing.

    Notes
    -----
    Resolutions of printers (72, 96, 300 dpi; more than 1 µm a pixel) and 1/1 mean "unset".
    """
    import numpy as np

    from cryotypes.image import Image
    from cryotypes.image._arrays import Reordered, native

    path = Path(path)
    given = None if pixel_spacing is None else checked_spacing(pixel_spacing)
    with path.open("rb") as file:
        if tiff_tags.layout(file.read(16)) is None:
            raise ReadError("expected a TIFF file, found other (or compressed) bytes", path)
        file.seek(0)
        with damage(path):
            pages = tiff_tags.count_pages(file)
    with opened(path) as tif:
        axes, data = _data(tif, pages, path, stack, flip_y)
        metadata, doubt, spacing = _facts(tif, pages, flip_y)
    if given is None and doubt:
        warnings.warn(f"{path}: {doubt}", GuessWarning, stacklevel=3)
    is_stack = (len(axes) == 3 and axes[0] != "Z") if stack is None else bool(stack)
    if data.ndim == 2 and is_stack:
        data = data[None] if isinstance(data, np.ndarray) else Reordered(data, (-1, 0, 1))
    return Image(
        data=native(data),
        experiment_id=strip_path_and_suffix(path.name) if experiment_id is None else experiment_id,
        pixel_spacing=spacing if given is None else given,
        source=path,
        stack=is_stack,
        metadata=metadata,
    )


def _data(tif: Any, pages: int, path: Path, stack: bool | None, flip_y: bool) -> tuple[str, Any]:
    """Return axes and data as stored, but for the direction of the rows."""
    page = tif.pages.first
    if int(page.compression) in tiff_tags.EER:
        raise ReadError(
            "an EER movie: its electron events must be rendered to frames first (e.g. "
            "relion_convert_to_tiff, or motion correction that takes EER)",
            path,
        )
    axes, shape = _axes(tif, path, stack)
    size = path.stat().st_size
    offset, dtype = tif.series[0].dataoffset, page.dtype
    if dtype is None or dtype.kind not in "biufc":
        raise ReadError(f"expected numbers, found {page.bitspersample} bits per pixel", path)
    if len(tif.pages) != pages or (offset is None and math.prod(shape[:-2]) != pages):
        raise ReadError(f"expected {pages} pages, found {len(tif.pages)} of shape {shape}", path)
    if offset is not None:
        stored = _mapped(path, offset, dtype.newbyteorder(tif.byteorder), shape, size)
        return axes, stored[..., ::-1, :] if flip_y else stored
    for other in tif.pages:
        _check_page(other, size, path)
    if page.compression != 1 and importlib.util.find_spec("imagecodecs") is None:
        raise MissingPackageError(
            "imagecodecs", "tiff", f"reading {path} ({_name(page.compression, 'COMPRESSION')})"
        )
    if not _is_unpacked(page.compression):
        raise ReadError(
            f"its pages are packed as TIFF compression {int(page.compression)} "
            f"({_name(page.compression, 'COMPRESSION')}), which tifffile does not unpack; save it "
            "anew uncompressed, or as LZW or deflate",
            path,
        )
    from cryotypes.image._arrays import Reordered

    from ._pages import Pages

    lazy = Pages(path, (pages, shape[-2], shape[-1]), dtype.newbyteorder("="), flip_y)
    return axes, Reordered(lazy, (1, 2)) if len(shape) == 2 else lazy


def _axes(tif: Any, path: Path, stack: bool | None) -> tuple[str, tuple[int, ...]]:
    """Refuse what is not one image, volume or stack in grey."""
    if len(tif.series) != 1:
        found = ", ".join(str(series.shape) for series in tif.series)
        raise ReadError(f"expected pages of one size and type, found {found}", path)
    series, page = tif.series[0], tif.pages.first
    axes, shape = str(series.axes), tuple(int(n) for n in series.shape)
    if series.is_multifile:
        raise ReadError("the images of this OME-TIFF are in several files", path)
    if axes == "SYX" and len(tif.pages) == 1:
        if not stack:
            raise ReadError(
                f"expected grey, found {shape[0]} colours, each an image of its own; if they are "
                "the frames of a stack (some writers make three frames a colour image), stack=True "
                "reads them",
                path,
            )
    elif "S" in axes or _name(page.photometric, "PHOTOMETRIC") in _COLOURS:
        colours = _name(page.photometric, "PHOTOMETRIC").upper()
        raise ReadError(
            f"expected grey, found {colours} of {page.samplesperpixel} samples per pixel; convert "
            "it to grey first",
            path,
        )
    if axes[-2:] != "YX" or len(axes) not in (2, 3) or 0 in shape:
        raise ReadError(f"expected an image, a volume or a stack, found axes {axes}, {shape}", path)
    return axes, shape


def _is_unpacked(compression: int) -> bool:
    """Tell whether tifffile, with imagecodecs, has something that unpacks it."""
    import tifffile

    try:
        return tifffile.TIFF.DECOMPRESSORS[compression] is not None
    except KeyError:
        return False


def _name(value: Any, kind: str) -> str:
    """Name a tag's value; tifffile gives the bare number of a tag that is left out (baseline)."""
    import tifffile

    try:
        return str(getattr(tifffile, kind)(value).name).lower()
    except ValueError:
        return str(value)


def _mapped(
    path: Path, offset: int, dtype: np.dtype[Any], shape: tuple[int, ...], size: int
) -> NDArray[Any]:
    from cryotypes.image._on_disk import map_file

    end = offset + math.prod(shape) * dtype.itemsize
    if offset < 0:
        raise ReadError(f"damaged, its pixels are at byte {offset}", path)
    if end > size:
        raise ReadError(f"cut: expected {end} bytes at least, found {size}", path)
    return map_file(path, dtype, offset, shape)


def _check_page(page: Any, size: int, path: Path) -> None:
    """See that a page's bytes are in the file, and that they are enough."""
    where = f"page {page.index + 1}"
    ends = [o + n for o, n in zip(page.dataoffsets, page.databytecounts, strict=True)]
    if min(page.dataoffsets, default=0) < 0:
        raise ReadError(f"{where}: damaged, its pixels are at byte {min(page.dataoffsets)}", path)
    if max(ends, default=0) > size:
        raise ReadError(f"{where}: cut, expected {max(ends)} bytes at least, found {size}", path)
    keyframe = page.keyframe
    bits = keyframe.imagewidth * keyframe.imagelength * keyframe.bitspersample
    stored = sum(page.databytecounts)
    if bits > 8 * stored * (1 if keyframe.compression == 1 else _DENSEST):
        raise ReadError(f"{where}: expected {bits // 8} bytes of pixels, found {stored}", path)


def _facts(tif: Any, pages: int, flip_y: bool) -> tuple[dict[str, Any], str, float]:
    """Return the metadata, what is doubtful about the pixel spacing, and the spacing."""
    page = tif.pages.first
    tags = {name: page.tags[name].value for name in _TAGS if name in page.tags}
    spacing, doubt = tiff_tags.pixel_spacing(tags, tif.imagej_metadata, tif.ome_metadata)
    metadata = {
        "format": "tiff",
        "pages": pages,
        "compression": _name(page.compression, "COMPRESSION"),
        "photometric": _name(page.photometric, "PHOTOMETRIC"),
        "description": page.description,
        "flip_y": flip_y,
        **{name: int(v) if name == "ResolutionUnit" else v for name, v in tags.items()},
    }
    return metadata, doubt, spacing


def write(
    image: Any,
    path: Path,
    *,
    overwrite: bool = False,
    dtype: DTypeLike | None = None,
    compression: Literal["none", "lzw", "deflate"] = "none",
    flip_y: bool = True,
) -> LossReport:
    """Write an Image, one page for each section, a few at a time; BigTIFF from 4 GB on.

    Integers and floats are written as they are, bool as uint8. RELION reads int8, uint8, int16,
    uint16 and float32.

    Parameters
    ----------
    image : Image
        Its data may be larger than memory.
    path : path
    overwrite : bool
    dtype : dtype, optional
        Write as this one; numbers are rounded, and must be in its range.
    compression : {"none", "lzw", "deflate"}
        Compressed pages are smaller, but cannot be memory-mapped.
    flip_y : bool
        Reverse the rows, as RELION, IMOD and Warp expect; False for ImageJ and napari, if
        positions are to count from the top there.

    Returns
    -------
    LossReport
        ``lost["dtype"]`` if values change that nobody asked to change, ``lost["stack"]`` if the
        file will be read as something else.

    Raises
    ------
    MissingPackageError
        Without tifffile; or imagecodecs, if ``compression`` is asked for.
    WriteError
        If values do not fit the dtype, or the shape is not that of an image, a volume or a stack.
    """
    path = Path(path)
    if compression not in ("none", "lzw", "deflate"):
        raise ValueError(f"compression: expected none, lzw or deflate, found {compression!r}")
    if compression_of(path):
        raise WriteError("a TIFF file is compressed by compression=, not by a suffix", path)
    data = sliceable(image.data)
    shape = checked_shape(tuple(data.shape), bool(image.stack), path)
    cast = Cast(data, target_dtype(data.dtype, dtype, _WRITTEN, _WIDER, path), path)
    with writing(path, overwrite) as temporary:
        _write_pages(temporary, cast, shape, image, compression, flip_y)
    report = report_on(image, "tiff", path, cast, dtype)
    return _report(image, report, shape[0], len(data.shape) == 3, flip_y)


def _write_pages(
    path: Path,
    cast: Cast,
    shape: tuple[int, int, int],
    image: Any,
    compression: str,
    flip_y: bool,
) -> None:
    if not image.stack and shape[0] > 1 and shape[2] == 1:
        compression = "none"  # tifffile takes sections of one column for one page, if so asked
    try:
        import tifffile

        if compression != "none":
            import imagecodecs  # noqa: F401
    except ImportError as error:
        raise MissingPackageError(error.name or "tifffile", "tiff", "writing TIFF") from error
    from cryotypes.image._pieces import cores

    resolution = tiff_tags.resolution(float(image.pixel_spacing))
    size = math.prod(shape) * cast.target.itemsize + 1024 * shape[0]
    axes = None if image.stack or shape[0] == 1 else {"axes": "ZYX"}
    with (
        cast.sections() as sections,
        tifffile.TiffWriter(path, bigtiff=size > _CLASSIC, ome=False, imagej=False) as tif,
    ):
        tif.write(
            _pages_of(sections, len(cast.shape) == 2, flip_y),
            shape=shape,
            dtype=cast.target,
            photometric="minisblack",  # else three or four frames become one page in colour
            compression=None if compression == "none" else compression,
            resolution=None if resolution is None else (resolution, resolution),
            resolutionunit=None if resolution is None else "CENTIMETER",
            software="cryotypes",
            metadata=axes,
            maxworkers=cores(),
            buffersize=PIECE,
        )


def _pages_of(sections: Iterable[NDArray[Any]], one: bool, flip_y: bool) -> Iterator[NDArray[Any]]:
    import numpy as np

    slabs = [np.concatenate(list(sections))[None]] if one else sections
    for slab in slabs:
        for page in slab:
            yield np.ascontiguousarray(page[::-1] if flip_y else page)


def _report(image: Any, report: LossReport, pages: int, volume: bool, flip_y: bool) -> LossReport:
    """Say what reading the file will give back."""
    if pages == 1 and image.stack:
        report.lost["stack"] = "one page is read as an image (y, x)"
    else:
        report.kept.append("stack")
    if not flip_y:
        report.converted["data"] = "rows are from the top; read with flip_y=False"
    elif pages == 1 and volume:
        report.converted["data"] = "one page is read as an image (y, x)"
    if not image.pixel_spacing > 0:
        report.assumed["pixel_spacing"] = "unknown, is written as no resolution"
    elif tiff_tags.resolution(float(image.pixel_spacing)) is None:
        report.lost["pixel_spacing"] = (
            f"{image.pixel_spacing:g} Å is no resolution that can be told from a printer's"
        )
    else:
        report.kept.append("pixel_spacing")
    return report


FORMAT = Format(
    name="tiff",
    title="TIFF image",
    kind="image",
    suffixes=(".tif", ".tiff"),
    sniff=sniff,
    read=read,
    write=write,
    keeps=frozenset({"data", "pixel_spacing", "stack"}),
    tolerance={"pixel_spacing": 1e-6},
    needs=("tifffile", "imagecodecs"),
    evidence=(
        "run: RELION 3.1.3 and IMOD 4.8.2 reverse the rows, and write the resolution in "
        "centimetres; source: RELION 5's and Warp's; documentation: TIFF 6.0"
    ),
    url="https://www.itu.int/itudoc/itu-t/com16/tiff-fx/docs/tiff6.pdf",
)
