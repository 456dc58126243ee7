"""MRC files: volumes, images and stacks, as most programs write them.

Plain files are memory-mapped, so that opening takes no time and no memory, whatever the size.
The header, and the rules for what it does not state reliably, are in `_mrc_header`.
"""

from __future__ import annotations

import io
import struct
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cryotypes.errors import GuessWarning, ReadError, WriteError
from cryotypes.formats.images._image_data import (
    PIECE,
    Cast,
    as_bytes,
    checked_shape,
    checked_spacing,
    report_on,
    sliceable,
    target_dtype,
    write_raw,
)
from cryotypes.formats.images._raw_image import read_through
from cryotypes.formats.shared import mrc_header as mrc_header
from cryotypes.formats.shared.declaration import Format, Head
from cryotypes.formats.shared.files import compression_of, reading_bytes, suffix_of, writing_bytes
from cryotypes.names import strip_path_and_suffix

if TYPE_CHECKING:
    from typing import IO

    from numpy.typing import DTypeLike

    from cryotypes.formats.shared.mrc_header import Header
    from cryotypes.image import Image
    from cryotypes.image._moments import Moments
    from cryotypes.loss import LossReport

_SUFFIXES = (".mrc", ".mrcs", ".st", ".ali", ".preali", ".rec", ".map")
_WIDER = {"b": "int8", "uint8": "uint16", "i": "float32", "u": "float32", "f": "float32"}
_WIDER["c"] = "complex64"
_WRITTEN = {"int8": 0, "int16": 1, "float32": 2, "complex64": 4, "uint16": 6, "float16": 12}


def sniff(head: Head) -> bool:
    """Tell an MRC file by its magic number, or an old one by a plausible header."""
    return mrc_header.looks_like_mrc(head.data, head.suffix in _SUFFIXES)


def read(
    path: Path,
    *,
    pixel_spacing: float | None = None,
    stack: bool | None = None,
    reorient: Literal["rx", "no"] | None = None,
    experiment_id: str | None = None,
) -> Image:
    """Read an MRC file: memory-mapped, or, if compressed (gzip, bzip2), at once.

    Parameters
    ----------
    path : path
    pixel_spacing : float, optional
        Å, instead of the header's.
    stack : bool, optional
        Whether the sections are separate images, instead of what suffix and header say.
    reorient : {"rx", "no"}, optional
        "rx" turns a reconstruction of IMOD's `tilt`, whose y is the thickness, into zyx, as
        ``trimvol -rx`` does: the specimen's z runs against the file's y. By default it is read as
        it is, and if its header tells that it is one, there is a warning; "no" says that it is
        meant so.
    experiment_id : str, optional
        By default the file's name without suffixes.

    Returns
    -------
    Image
        The data are zyx, or yx if there is one section that is not a stack (a stack of one is
        (1, y, x): suffixes .mrcs, .st, .ali, .preali, or ``stack=True``). They have the dtype of
        the file, in native byte order. A plain file is a memory map; one of big-endian or of
        4-bit pixels is converted where it is sliced. ``metadata`` holds the header under the names
        of the MRC2014 standard. Header origin and start are not applied: positions count voxels.

    Raises
    ------
    ReadError
        If it is cut, damaged, not an MRC file, or of a mode that cannot be read.

    Warns
    -----
    GuessWarning
        If pixel spacing or stack are not clear and not given; if the axes are those of IMOD's
        `tilt`.

    Notes
    -----
    The pixel spacing is the number with the fewest digits that agrees with the header's single
    precision: 2.7, not 2.7000000477.
    """
    from cryotypes.image import Image

    path = Path(path)
    given = None if pixel_spacing is None else checked_spacing(pixel_spacing)
    header, stored = _load(path)
    is_stack = _decide_stack(header, stored.shape[header.transposition[0]], stack, path)
    spacing = _decide_spacing(header, is_stack, path) if given is None else given
    return Image(
        data=_arranged(header, stored, is_stack, _decide_turn(header, is_stack, reorient, path)),
        experiment_id=strip_path_and_suffix(path.name) if experiment_id is None else experiment_id,
        pixel_spacing=spacing,
        source=path,
        stack=is_stack,
        metadata=header.metadata(),
    )


def _decide_stack(header: Header, sections: int, given: bool | None, path: Path) -> bool:
    if given is None and mrc_header.is_volume_stack(header):
        raise ReadError(
            f"expected one volume or a stack of images, found a stack of volumes (space group "
            f"{header.ispg}); stack=True reads all their sections",
            path,
        )
    if given is None:
        stack, doubt = mrc_header.stack_flag(header, sections, suffix_of(path))
        _warn(doubt, path)
    else:
        stack = bool(given)
    if stack and header.transposition[0] != 0:
        raise ReadError(
            f"the images of a stack lie along z, but mapc, mapr, maps are {header.axes}; "
            "stack=False reads a volume",
            path,
        )
    return stack


def _decide_turn(header: Header, stack: bool, asked: str | None, path: Path) -> bool:
    """Decide whether to turn a reconstruction that IMOD left as it was made."""
    if asked not in (None, "rx", "no"):
        raise ValueError(f"reorient: expected 'rx' or 'no', found {asked!r}")
    if asked == "rx" and (stack or header.size[2] == 1 or header.transposition != (0, 1, 2)):
        raise ReadError("reorient='rx' is for volumes (x, thickness, y) of IMOD's tilt", path)
    if asked is None and not stack and mrc_header.is_unrotated(header):
        nx, ny, nz = header.size
        _warn(
            f"a reconstruction of IMOD's tilt that was not rotated, {nx} × {ny} × {nz}: what is "
            "read as y is the thickness; state reorient='rx' to turn it as trimvol -rx does, or "
            "'no' to keep it",
            path,
        )
    return asked == "rx"


def _decide_spacing(header: Header, stack: bool, path: Path) -> float:
    spacing, doubt = mrc_header.pixel_spacing(header, stack)
    _warn(doubt, path)
    return spacing


def _warn(doubt: str, path: Path) -> None:
    if doubt:
        warnings.warn(f"{path}: {doubt}", GuessWarning, stacklevel=4)


def _load(path: Path) -> tuple[Header, Any]:
    """Return the header and the data as stored, 3D."""
    import numpy as np

    from cryotypes.image._on_disk import map_file

    with reading_bytes(path) as file:
        raw = file.read(mrc_header.SIZE)
        header = mrc_header.parse(raw, path)
        shape, data = header.stored_shape, np.empty(0)
        if isinstance(file, io.BufferedReader):  # not that of a decompression
            mrc_header.check_length(header, path.stat().st_size, path)
            data = map_file(path, header.dtype, header.offset, shape)
        else:
            end = header.offset + header.data_size + PIECE  # whatever follows is not wanted
            content, length = read_through(raw, file, header.offset, header.data_size, end)
            mrc_header.check_length(header, length, path)
            data = np.frombuffer(content, header.dtype).reshape(shape)
            data = data.astype(data.dtype.newbyteorder("="), copy=False)
    return header, data


def _arranged(header: Header, stored: Any, is_stack: bool, turned: bool) -> Any:
    """Return the pixels as zyx, or yx, in native byte order; all of it lazily."""
    from cryotypes.image._arrays import Reordered, native

    one = stored.shape[header.transposition[0]] == 1 and not is_stack
    if header.packed:
        from ._packed import Packed

        order = list(header.transposition)
        unpacked = Packed(stored, header.columns)
        return Reordered(unpacked, order[1:] if one else order)
    data = stored.transpose(header.transposition)
    if turned:
        data = data[:, ::-1].transpose(1, 0, 2)
    return native(data[0] if one else data)


def write(
    image: Any, path: Path, *, overwrite: bool = False, dtype: DTypeLike | None = None
) -> LossReport:
    """Write an Image, a few sections at a time; compressed if the suffix says so.

    int8, int16, uint16, float16, float32 and complex64 are written as they are, bool as int8,
    uint8 as uint16, all else as float32 or complex64. A volume gets space group 1, a stack 0 with
    mz = 1; the origin is 0.

    Parameters
    ----------
    image : Image
        Its data may be larger than memory.
    path : path
    overwrite : bool
    dtype : dtype, optional
        Write as this one of the six; numbers are rounded, and must be in its range.

    Returns
    -------
    LossReport
        ``lost["dtype"]`` if values change that nobody asked to change, ``lost["stack"]`` if the
        file will be read as something else.

    Raises
    ------
    WriteError
        If values do not fit the dtype, or the shape is not that of an image, a volume or a stack.
    """
    path = Path(path)
    data = sliceable(image.data)
    shape = checked_shape(tuple(data.shape), bool(image.stack), path)
    target = target_dtype(data.dtype, dtype, tuple(_WRITTEN), _WIDER, path)
    cast = Cast(data, target, path, measure=target.kind != "c")
    spacing = max(float(image.pixel_spacing), 0.0)
    volume = len(data.shape) == 3
    header = mrc_header.new(shape, _WRITTEN[target.name], spacing, image.stack, volume=volume)
    try:
        with writing_bytes(path, overwrite) as file:
            if compression_of(path):
                _write_compressed(file, header, cast)
            else:
                file.write(header.pack())
                write_raw(file, mrc_header.SIZE, cast, order="<")
                file.seek(0)
                file.write(_with_statistics(header, cast.moments).pack())
    except (struct.error, OverflowError) as error:
        raise WriteError(f"size or pixel spacing do not fit the header ({error})", path) from error
    return _report(image, header, report_on(image, "mrc", path, cast, dtype), path)


def _write_compressed(file: IO[bytes], header: Header, cast: Cast) -> None:
    """Write what cannot be changed where it begins: statistics first, so all is read twice."""
    with cast.sections(times=2) as sections:
        for _ in sections:
            pass
        file.write(_with_statistics(header, sections.moments).pack())
        for piece in sections:
            file.write(as_bytes(piece.astype(piece.dtype.newbyteorder("<"), copy=False)))


def _with_statistics(header: Header, found: Moments | None) -> Header:
    """Return the header with minimum, maximum, mean and rms, if all values are finite."""
    if found is None or found.count < found.total:
        return header
    low, high, mean = found.minimum, found.maximum, found.mean
    return mrc_header.with_statistics(header, low, high, mean, found.deviation)


def _report(image: Any, header: Header, report: LossReport, path: Path) -> LossReport:
    """Say what reading the file will give back."""
    suffix, sections = suffix_of(path), header.size[2]
    stack, _ = mrc_header.stack_flag(header, sections, suffix)
    if stack == bool(image.stack):
        report.kept.append("stack")
    elif sections == 1 and not stack:
        report.lost["stack"] = f"one section in a {suffix} file is an image; .mrcs is for stacks"
    else:
        found = "stack of images" if stack else "volume"
        report.lost["stack"] = f"a {suffix} file is read as a {found}"
    if sections == 1 and not stack and header.ispg == 1:
        report.converted["data"] = "one section is read as an image (y, x)"
    if image.pixel_spacing > 0:
        report.kept.append("pixel_spacing")
    else:
        report.assumed["pixel_spacing"] = "unknown, is written as a cell of size 0"
    return report


FORMAT = Format(
    name="mrc",
    title="MRC image",
    kind="image",
    suffixes=_SUFFIXES,
    compression=(".gz", ".bz2"),
    sniff=sniff,
    read=read,
    write=write,
    keeps=frozenset({"data", "pixel_spacing", "stack"}),
    tolerance={"pixel_spacing": 1e-6},
    evidence=(
        "documentation: MRC2014 standard; run: files and headers of RELION 3.1.3 and IMOD 4.8.2, "
        "mrcfile 1.5.4 as an independent reader and writer; source: IMOD's and EMAN2's for the "
        "sign of bytes"
    ),
    url="https://www.ccpem.ac.uk/mrc_format/mrc2014.php",
)
