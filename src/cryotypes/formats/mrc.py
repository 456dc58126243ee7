"""MRC files: volumes, images and stacks, as most programs write them.

Plain files are memory-mapped, so that opening takes no time and no memory, whatever the size.
The header, and the rules for what it does not state reliably, are in `_mrc_header`.
"""

from __future__ import annotations

import io
import math
import struct
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryotypes.errors import GuessWarning, ReadError, WriteError
from cryotypes.loss import LossReport
from cryotypes.names import strip_path_and_suffix

from . import _mrc_header as mrc_header
from ._files import writing_bytes
from ._format import Format, Head, compression_of, reading_bytes, suffix_of
from ._slabs import PIECE, Cast, as_array, checked_shape, checked_spacing

if TYPE_CHECKING:
    from typing import IO

    import numpy as np
    from numpy.typing import DTypeLike, NDArray

    from cryotypes.image import Image

    from ._mrc_header import Header

_SUFFIXES = (".mrc", ".mrcs", ".st", ".ali", ".preali", ".rec", ".map")
_WRITTEN = {"int8": 0, "int16": 1, "float32": 2, "complex64": 4, "uint16": 6, "float16": 12}


def sniff(head: Head) -> bool:
    """Tell an MRC file by its magic number, or an old one by a plausible header."""
    return mrc_header.looks_like_mrc(head.data, head.suffix in _SUFFIXES)


def read(
    path: Path,
    *,
    pixel_spacing: float | None = None,
    stack: bool | None = None,
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
    experiment_id : str, optional
        By default the file's name without suffixes.

    Returns
    -------
    Image
        The data are zyx, or yx if there is one section that is not a stack (a stack of one is
        (1, y, x): suffixes .mrcs, .st, .ali, .preali, or ``stack=True``). They have the dtype of
        the file; a memory map of a big-endian file has a big-endian dtype, its values are right.
        ``metadata`` holds the header under the names of the MRC2014 standard. Header origin and
        start are not applied: positions count voxels.

    Raises
    ------
    OSError
        Python's own, if the file is missing or cannot be read.
    ReadError
        If it is cut, damaged, not an MRC file, or of a mode that cannot be read.

    Warns
    -----
    GuessWarning
        If pixel spacing or stack are not clear and not given.

    Notes
    -----
    The pixel spacing is the number with the fewest digits that agrees with the header's single
    precision: 2.7, not 2.7000000477.
    """
    from cryotypes.image import Image

    path = Path(path)
    given = None if pixel_spacing is None else checked_spacing(pixel_spacing)
    header, stored = _load(path)
    data = stored.transpose(header.transposition)
    is_stack = _decide_stack(header, data.shape[0], stack, path)
    spacing = _decide_spacing(header, is_stack, path) if given is None else given
    return Image(
        data=data[0] if data.shape[0] == 1 and not is_stack else data,
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


def _decide_spacing(header: Header, stack: bool, path: Path) -> float:
    spacing, doubt = mrc_header.pixel_spacing(header, stack)
    _warn(doubt, path)
    return spacing


def _warn(doubt: str, path: Path) -> None:
    if doubt:
        warnings.warn(f"{path}: {doubt}", GuessWarning, stacklevel=4)


def _load(path: Path) -> tuple[Header, NDArray[Any]]:
    """Return the header and the data as stored, 3D."""
    import numpy as np

    with reading_bytes(path) as file:
        if isinstance(file, io.BufferedReader):  # not that of a decompression
            header = mrc_header.parse(file.read(mrc_header.SIZE), path)
            mrc_header.check_length(header, path.stat().st_size, path)
            shape = header.stored_shape
            data: NDArray[Any] = np.memmap(path, header.dtype, "r", header.offset, shape)
        else:
            header, data = _load_compressed(file, path)
    return header, _unpacked(data, header) if header.mode == mrc_header.PACKED else data


def _load_compressed(file: IO[bytes], path: Path) -> tuple[Header, NDArray[Any]]:
    import numpy as np

    header = mrc_header.parse(file.read(mrc_header.SIZE), path)
    content, length = _read_through(file, header.nsymbt + header.data_size)
    mrc_header.check_length(header, mrc_header.SIZE + length, path)
    size = math.prod(header.stored_shape)
    data: NDArray[Any] = np.frombuffer(content, header.dtype, size, header.nsymbt)
    if not data.dtype.isnative:
        data = data.astype(data.dtype.newbyteorder("="))
    return header, data.reshape(header.stored_shape)


def _read_through(file: IO[bytes], wanted: int) -> tuple[bytearray, int]:
    """Return the bytes wanted, and how many there are: the end holds the checksum.

    In pieces: a damaged header may want more than there is memory.
    """
    content, length = bytearray(), 0
    while piece := file.read(PIECE):
        length += len(piece)
        content += piece[: max(wanted - len(content), 0)]
    return content, length


def _unpacked(packed: NDArray[Any], header: Header) -> NDArray[Any]:
    """Spread two pixels a byte, the low half first; rows end at a full byte."""
    import numpy as np

    nx, ny, nz = header.size
    data = np.empty((nz, ny, nx), np.uint8)
    data[..., 0::2] = packed & 15
    data[..., 1::2] = packed[..., : nx // 2] >> 4
    return data


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
    FileExistsError
        If the file exists and ``overwrite`` is False.
    WriteError
        If values do not fit the dtype, or the shape is not that of an image, a volume or a stack.
    """
    path = Path(path)
    data = as_array(image.data)
    shape = checked_shape(tuple(data.shape), bool(image.stack), path)
    cast = Cast(data, _target(data.dtype, dtype, path), path)
    spacing = max(float(image.pixel_spacing), 0.0)
    mode = _WRITTEN[cast.target.name]
    header = mrc_header.new(shape, mode, spacing, image.stack, volume=data.ndim == 3)
    try:
        with writing_bytes(path, overwrite) as file:
            _write_all(file, header, cast, twice=compression_of(path) != "")
    except (struct.error, OverflowError) as error:
        raise WriteError(f"size or pixel spacing do not fit the header ({error})", path) from error
    report = _report(image, header, path)
    if data.dtype.newbyteorder("=") != cast.target:
        lost = cast.changed and dtype is None
        (report.lost if lost else report.converted)["dtype"] = cast.summary
    return report


def _target(found: np.dtype[Any], asked: DTypeLike | None, path: Path) -> np.dtype[Any]:
    """Choose the dtype to write: that asked for, the same, or one that holds the values."""
    import numpy as np

    if found.kind not in "biufc":
        raise WriteError(f"expected numbers, found an array of {found}", path)
    if asked is not None:
        target = np.dtype(asked).newbyteorder("=")
        if target.name not in _WRITTEN or (found.kind == "c" and target.kind != "c"):
            known = "complex64" if found.kind == "c" else ", ".join(_WRITTEN)
            raise WriteError(f"{found} can be written as {known}, not as {target}", path)
        return target
    if found.name in _WRITTEN:
        return found.newbyteorder("=")
    kinds = {"c": np.complex64, "b": np.int8}
    return np.dtype(np.uint16 if found.name == "uint8" else kinds.get(found.kind, np.float32))


def _write_all(file: IO[bytes], header: Header, cast: Cast, *, twice: bool) -> None:
    """Write header and data; the statistics in the header need all data first.

    A compressed file cannot be changed where it begins, so the data are gone through twice.
    """
    statistics = _Statistics()
    if twice:
        for piece in cast.pieces():
            statistics.add(piece)
        header = statistics.put_in(header)
    file.write(header.pack())
    for piece in cast.pieces():
        if not twice:
            statistics.add(piece)
        file.write(piece.astype(piece.dtype.newbyteorder("<"), copy=False).tobytes())
    if not twice:
        file.seek(0)
        file.write(statistics.put_in(header).pack())


class _Statistics:
    """Minimum, maximum, mean and deviation of pieces, merged as they come (Chan's formula)."""

    def __init__(self) -> None:
        self.count, self.mean, self.squares = 0, 0.0, 0.0
        self.low, self.high = math.inf, -math.inf

    def add(self, piece: NDArray[Any]) -> None:
        """Take in a piece; complex or infinite ones make all of it unknown."""
        import numpy as np

        flat = piece.reshape(-1)
        for start in range(0, flat.size, PIECE >> 4):
            part = flat[start : start + (PIECE >> 4)]
            if part.dtype.kind == "c" or not np.isfinite(part).all():
                self.mean = math.nan
                return
            self._merge(part.astype(np.float64))

    def _merge(self, values: NDArray[np.float64]) -> None:
        size, mean = values.size, float(values.mean())
        self.low, self.high = min(self.low, values.min()), max(self.high, values.max())
        values -= mean
        difference, total = mean - self.mean, self.count + size
        self.squares += float(values @ values) + difference**2 * self.count * size / total
        self.mean += difference * size / total
        self.count = total

    def put_in(self, header: Header) -> Header:
        """Return the header with the statistics, if they are known."""
        if math.isnan(self.mean):
            return header
        rms = math.sqrt(self.squares / self.count)
        return mrc_header.with_statistics(header, self.low, self.high, self.mean, rms)


def _report(image: Any, header: Header, path: Path) -> LossReport:
    """Say what reading the file will give back, but for the dtype."""
    report = LossReport(str(path), "mrc", kept=["data"])
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
    named = strip_path_and_suffix(path.name)
    if image.experiment_id == named:
        report.kept.append("experiment_id")
    elif image.experiment_id:
        report.lost["experiment_id"] = f"the file's name says {named!r}"
    else:
        report.assumed["experiment_id"] = f"{named!r}, the file's name"
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
    tolerance={"pixel_spacing": 1e-5},
    evidence=(
        "documentation: MRC2014 standard; run: files and headers of RELION 3.1.3 and IMOD 4.8.2, "
        "mrcfile 1.5.4 as an independent reader and writer; source: IMOD's and EMAN2's for the "
        "sign of bytes"
    ),
    url="https://www.ccpem.ac.uk/mrc_format/mrc2014.php",
)
