"""EM files of TOM, AV3, Dynamo and PyTom: images and volumes, `.em`.

A header of 512 bytes: byte 0 the machine and with it the byte order (6 PC; 0, 3, 5 OS-9, SGI,
Mac), byte 3 the type of numbers, nx, ny, nz as int32 from byte 4, a comment of 80 bytes, 40 int32
parameters from byte 96, 256 bytes of the user's. Then the pixels, x fastest (tom_emread.m of the
TOM toolbox; EMAN2's emio.h). Programs fill the parameters with letters, or each in its own units:
they are not used, and there is no pixel spacing. Nor can a stack be told from a volume.

Motive lists are EM files, too, 20 × n × 1: see `motl_em`.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryotypes.errors import ReadError, WriteError
from cryotypes.formats.shared.declaration import Format, Head
from cryotypes.formats.shared.files import compression_of, writing_bytes

from ._image_data import (
    Cast,
    as_bytes,
    checked_shape,
    report_on,
    sliceable,
    target_dtype,
    write_raw,
)
from ._raw_image import Layout, plausible_size, read_image, spacing_of

if TYPE_CHECKING:
    from typing import IO

    from numpy.typing import DTypeLike

    from cryotypes.image import Image
    from cryotypes.loss import LossReport

_HEADER = 512
_LITTLE, _BIG = (6,), (0, 3, 5)
_TYPES = {1: "i1", 2: "i2", 4: "i4", 5: "f4", 8: "c8", 9: "f8"}
_WRITTEN = {"int8": 1, "int16": 2, "int32": 4, "float32": 5, "float64": 9}
_WIDER = {"b": "int8", "uint8": "int16", "uint16": "int32", "float16": "float32"}
_WIDER |= dict.fromkeys("iuf", "float64")
_MOTIVE_LIST = 20  # numbers a particle


def _byte_order(header: bytes) -> str | None:
    """Return that of the machine, or the other if only that makes sense; None if this is no EM."""
    if len(header) < _HEADER or header[0] not in (*_LITTLE, *_BIG) or header[3] not in _TYPES:
        return None
    orders = "<>" if header[0] in _LITTLE else "><"
    return next((o for o in orders if plausible_size(*struct.unpack(o + "3i", header[4:16]))), None)


def sniff(head: Head) -> bool:
    """Whether this is an EM header, and not that of a motive list."""
    order = _byte_order(head.data)
    if order is None or head.data[208:212] == b"MAP ":  # of an MRC file, big-endian
        return False
    if head.suffix == ".dm4":  # of 4 GB and more begin alike
        return False
    nx, _, nz = struct.unpack(order + "3i", head.data[4:16])
    return bool((nx, nz) != (_MOTIVE_LIST, 1))


def read(
    path: Path,
    *,
    pixel_spacing: float | None = None,
    stack: bool | None = None,
    experiment_id: str | None = None,
) -> Image:
    """Read an EM file: memory-mapped, or, if compressed (gzip, bzip2), at once.

    Parameters
    ----------
    path : path
    pixel_spacing : float, optional
        Å, which the file does not say.
    stack : bool, optional
        Whether the sections are separate images, which the file does not say; by default not.
    experiment_id : str, optional
        By default the file's name without suffixes.

    Returns
    -------
    Image
        The data are zyx, or yx if there is one section that is not a stack; a memory map, of the
        dtype of the file. Those of a big-endian file are converted where they are sliced.
        ``metadata`` holds machine, data type, comment and the 40 parameters, as they are.

    Raises
    ------
    ReadError
        If it is cut, damaged, or not an EM file.
    """
    spacing = spacing_of(pixel_spacing)
    return read_image(Path(path), _HEADER, _parse, stack, spacing, experiment_id)


def _parse(raw: bytes, path: Path) -> Layout:
    if len(raw) < _HEADER:
        raise ReadError(
            f"expected an EM header of {_HEADER} bytes, found {len(raw)}: the file is cut", path
        )
    order = _byte_order(raw)
    if order is None:
        raise ReadError(
            f"expected an EM file: machine 0, 3, 5 or 6, type {', '.join(map(str, _TYPES))}, and "
            f"three positive sizes; found {raw[:16].hex(' ')}",
            path,
        )
    nx, ny, nz = struct.unpack(order + "3i", raw[4:16])
    comment = raw[16:96].split(b"\0")[0].decode("ascii", errors="replace").strip()
    parameters = struct.unpack(order + "40i", raw[96:256])
    facts = {"machine": raw[0], "data_type": raw[3], "comment": comment, "parameters": parameters}
    return Layout(order + _TYPES[raw[3]], (nz, ny, nx), _HEADER, 0, False, facts)


def write(
    image: Any, path: Path, *, overwrite: bool = False, dtype: DTypeLike | None = None
) -> LossReport:
    """Write an Image, a few sections at a time; compressed if the suffix says so.

    int8, int16, int32, float32 and float64 are written as they are, bool as int8, uint8 as int16,
    uint16 as int32, float16 as float32, all else as float64.

    Parameters
    ----------
    image : Image
        Its data may be larger than memory; they must be real.
    path : path
    overwrite : bool
    dtype : dtype, optional
        Write as this one of the five; numbers are rounded, and must be in its range.

    Returns
    -------
    LossReport
        ``lost["pixel_spacing"]`` if it is known, for the file has no place for it;
        ``lost["stack"]`` of a stack; ``lost["dtype"]`` if values change that nobody asked to
        change.

    Raises
    ------
    WriteError
        If values do not fit the dtype, or the shape is not that of an image, a volume or a stack.
    """
    path = Path(path)
    data = sliceable(image.data)
    nz, ny, nx = checked_shape(tuple(data.shape), bool(image.stack), path)
    if not plausible_size(nx, ny, nz):
        raise WriteError(f"{nx} × {ny} × {nz} is larger than an EM file is believed to be", path)
    cast = Cast(data, target_dtype(data.dtype, dtype, tuple(_WRITTEN), _WIDER, path), path)
    kind = _WRITTEN[cast.target.name]
    header = struct.pack("<4B3i", 6, 0, 0, kind, nx, ny, nz).ljust(_HEADER, b"\0")
    with writing_bytes(path, overwrite) as file:
        file.write(header)
        if compression_of(path):
            _write_in_order(file, cast)
        else:
            write_raw(file, _HEADER, cast, order="<")
    return _report(image, (nz, nx), report_on(image, "em-image", path, cast, dtype))


def _write_in_order(file: IO[bytes], cast: Cast) -> None:
    with cast.sections() as sections:
        for piece in sections:
            file.write(as_bytes(piece.astype(piece.dtype.newbyteorder("<"), copy=False)))


def _report(image: Any, size: tuple[int, int], report: LossReport) -> LossReport:
    """Say what reading the file will give back."""
    nz, nx = size
    if image.stack:
        report.lost["stack"] = f"read as {'a volume' if nz > 1 else 'an image'}, state stack=True"
    else:
        report.kept.append("stack")
    doubts = []
    if nz == 1 and len(image.data.shape) > 2:
        doubts.append("one section is read as an image (y, x)")
    if nz == 1 and nx == _MOTIVE_LIST:
        doubts.append(f"{nx} numbers a row look like a motive list: read it with format='em-image'")
    if doubts:
        report.converted["data"] = "; ".join(doubts)
    if image.pixel_spacing > 0:
        report.lost["pixel_spacing"] = "an EM file has no place for it, state pixel_spacing="
    return report


FORMAT = Format(
    name="em-image",
    title="EM image",
    kind="image",
    suffixes=(".em",),
    compression=(".gz", ".bz2"),
    sniff=sniff,
    read=read,
    write=write,
    keeps=frozenset({"data"}),
    evidence=(
        "source: tom_emread.m of the TOM toolbox, EMAN2's emio.h; run: emfile 0.3.0 as an "
        "independent reader and writer"
    ),
    url="https://github.com/dtegunov/tom",
)
