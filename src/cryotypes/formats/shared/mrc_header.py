"""The header of an MRC file: 1024 bytes, and what they mean. Standard library only.

Layout: https://www.ccpem.ac.uk/mrc_format/mrc2014.php, with IMOD's stamp and flags at 152 and 156.
Everything here is arithmetic on the header; the rules for what no header states reliably (is it a
stack, what is a pixel) return a value together with the doubt about it, in words.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from cryotypes.errors import ReadError

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 1024
# numpy's codes without byte order; 101 packs two pixels in a byte
MODES = {0: "i1", 1: "i2", 2: "f4", 4: "c8", 6: "u2", 12: "f2", 17: "i1", 101: "u1"}
_PACKED, _PACKED_BYTES = 101, 16  # a mode, a flag of IMOD's
STACK_SUFFIXES = frozenset({".mrcs", ".st", ".ali", ".preali"})
VOLUME_SUFFIXES = frozenset({".rec", ".map"})
LITTLE_ENDIAN = b"\x44\x44\0\0"

_LAYOUT = "10i6f3i3f2i8x4si40x2i12x6f3f4s4sfi800s"
_ORDERS = {0x44: "<", 0x11: ">"}
_UNSUPPORTED = {3: "complex int16", 16: "RGB"}
_IMOD = 1146047817  # the bytes IMOD
_WIDEST = 1 << 20  # pixels; wider rows or columns mean another byte order or another format
_FLOAT32 = 2.0**-22  # two units in the last place: a product of two rounded numbers


@dataclass(frozen=True)
class Header:
    """The fields of the header, in the order of the file (x, y, z; column, row, section).

    Parameters
    ----------
    order : str
        Byte order, ``"<"`` or ``">"``.
    size, nstart, grid : tuple of int
        nx ny nz, nxstart nystart nzstart, mx my mz.
    mode : int
    cell, angles, origin : tuple of float
        Å, degrees, Å.
    axes : tuple of int
        mapc mapr maps: which of x (1), y (2), z (3) columns, rows and sections run along.
    statistics : tuple of float
        Minimum, maximum, mean.
    rms : float
    ispg, nsymbt, nversion, nlabl : int
        Space group, bytes of extended header, format version, number of labels.
    exttyp, magic, stamp, text : bytes
        Kind of extended header, ``MAP ``, machine stamp, ten labels of 80 bytes.
    imod_stamp, imod_flags : int
    imod_angles : tuple of float
        IMOD's original and current angles about x, y, z, in degrees.
    """

    order: str
    size: tuple[int, int, int]
    mode: int
    nstart: tuple[int, int, int]
    grid: tuple[int, int, int]
    cell: tuple[float, float, float]
    angles: tuple[float, float, float]
    axes: tuple[int, int, int]
    statistics: tuple[float, float, float]
    ispg: int
    nsymbt: int
    exttyp: bytes
    nversion: int
    imod_stamp: int
    imod_flags: int
    imod_angles: tuple[float, ...]
    origin: tuple[float, float, float]
    magic: bytes
    stamp: bytes
    rms: float
    nlabl: int
    text: bytes

    @classmethod
    def unpack(cls, raw: bytes, order: str) -> Header:
        """Make a header of 1024 bytes in a byte order."""
        f: Any = struct.unpack(order + _LAYOUT, raw[:SIZE])
        start, grid, cell, angles = f[4:7], f[7:10], f[10:13], f[13:16]
        axes, statistics, imod_angles, origin = f[16:19], f[19:22], f[28:34], f[34:37]
        head = (order, f[:3], f[3], start, grid, cell, angles, axes, statistics)
        fields: Any = (*head, *f[22:28], imod_angles, origin, *f[37:])
        return cls(*fields)

    def pack(self) -> bytes:
        """Return the 1024 bytes.

        Raises
        ------
        struct.error, OverflowError
            If a number does not fit its field.
        """
        return struct.pack(
            self.order + _LAYOUT,
            *self.size, self.mode, *self.nstart, *self.grid, *self.cell, *self.angles, *self.axes,
            *self.statistics, self.ispg, self.nsymbt, self.exttyp, self.nversion, self.imod_stamp,
            self.imod_flags, *self.imod_angles, *self.origin, self.magic, self.stamp, self.rms,
            self.nlabl, self.text,
        )  # fmt: skip

    @property
    def dtype(self) -> str:
        """The dtype of the pixels, with byte order, e.g. ``<f4``.

        Mode 0 is signed by the standard. IMOD's flags say otherwise where its stamp is; without
        it, a minimum and maximum that only bytes without a sign can have do.
        """
        code = MODES[self.mode]
        if self.packed:
            code = "u1"
        elif self.mode == 0:
            minimum, maximum, _ = self.statistics
            if self.imod_stamp == _IMOD:
                unsigned = not self.imod_flags & 1
            else:
                unsigned = minimum >= 0 and maximum > 127
            code = "u1" if unsigned else "i1"
        return self.order + code

    @property
    def packed(self) -> bool:
        """Whether two pixels are in a byte: mode 101, or bytes that IMOD or SerialEM mark so.

        Of the marked ones nx counts bytes (source: IMOD's mrcfiles.c, which asks of the label only
        if a frame has the shape of a K2's in super-resolution, halved along x).
        """
        if self.mode != 0:
            return self.mode == _PACKED
        nx, ny, _ = self.size
        flagged = self.imod_stamp == _IMOD and bool(self.imod_flags & _PACKED_BYTES)
        labelled = any("4 bits packed" in label for label in self.labels[:1]) and ny > 1.5 * nx
        return flagged or labelled

    @property
    def columns(self) -> int:
        """Pixels along the columns' axis."""
        return 2 * self.size[0] if self.packed and self.mode == 0 else self.size[0]

    @property
    def stored_shape(self) -> tuple[int, int, int]:
        """Sections, rows and items a row as stored; two pixels are one item where packed."""
        nx, ny, nz = self.size
        return nz, ny, (nx + 1) // 2 if self.mode == _PACKED else nx

    @property
    def data_size(self) -> int:
        """Bytes of data that the header claims."""
        return math.prod(self.stored_shape) * int(MODES[self.mode][1:])

    @property
    def offset(self) -> int:
        """Where the data begin."""
        return SIZE + self.nsymbt

    @property
    def has_magic(self) -> bool:
        """Whether ``MAP`` is where it should be."""
        return self.magic[:3] == b"MAP"

    @property
    def transposition(self) -> tuple[int, int, int]:
        """Axes for ``transpose``, so that the array becomes zyx; unset axes are in order."""
        mapc, mapr, maps = self.axes if any(self.axes) else (1, 2, 3)
        order = [maps, mapr, mapc]
        return order.index(3), order.index(2), order.index(1)

    @property
    def labels(self) -> list[str]:
        """The labels that are not blank."""
        pieces = (self.text[i : i + 80] for i in range(0, 800, 80))
        labels = (p.split(b"\0")[0].decode("ascii", errors="replace").rstrip() for p in pieces)
        return [label for label in labels if label]

    def metadata(self) -> dict[str, Any]:
        """Return the header's facts under the names of the MRC2014 standard."""
        facts: dict[str, Any] = {"mode": self.mode, "labels": self.labels}
        for names, values in (
            (("nxstart", "nystart", "nzstart"), self.nstart),
            (("mx", "my", "mz"), self.grid),
            (("mapc", "mapr", "maps"), self.axes),
            (("dmin", "dmax", "dmean"), self.statistics),
        ):
            facts.update(zip(names, values, strict=True))
        return facts | {
            "cella": self.cell,
            "cellb": self.angles,
            "origin": self.origin,
            "rms": self.rms,
            "ispg": self.ispg,
            "nversion": self.nversion,
            "exttyp": self.exttyp.decode("ascii", errors="replace").strip("\0 "),
            "nsymbt": self.nsymbt,
            "imod_flags": self.imod_flags if self.imod_stamp == _IMOD else None,
            "imod_angles": self.imod_angles if self.imod_stamp == _IMOD else None,
        }


def parse(raw: bytes, path: Path) -> Header:
    """Read a header in the byte order that makes sense, and refuse what cannot be.

    Raises
    ------
    ReadError
        If the header is too short, or its sizes, mode or axes are impossible.
    """
    if not raw:
        raise ReadError("the file is empty", path)
    if len(raw) < SIZE:
        raise ReadError(
            f"expected an MRC header of {SIZE} bytes, found {len(raw)}: the file is cut", path
        )
    header = _in_likely_order(raw)
    nx, ny, nz = header.size
    if not header.has_magic and not _plausible(header):
        raise ReadError(
            f"not an MRC file: expected 'MAP ' at byte 208, found {header.magic!r}", path
        )
    if min(header.size) < 1:
        raise ReadError(f"expected a positive number of pixels, found {nx} × {ny} × {nz}", path)
    if header.mode not in MODES:
        name = _UNSUPPORTED.get(header.mode)
        found = f"{header.mode} ({name})" if name else str(header.mode)
        known = ", ".join(str(mode) for mode in MODES)
        raise ReadError(f"expected an MRC mode that can be read ({known}), found {found}", path)
    if header.nsymbt < 0:
        raise ReadError(f"the size of the extended header (nsymbt) is {header.nsymbt}", path)
    if any(header.axes) and sorted(header.axes) != [1, 2, 3]:
        raise ReadError(f"expected mapc, mapr, maps to be 1, 2, 3, found {header.axes}", path)
    return header


def _in_likely_order(raw: bytes) -> Header:
    """Follow the machine stamp unless only the other order makes sense."""
    first = _ORDERS.get(raw[212], "<")
    header = Header.unpack(raw, first)
    if _plausible(header):
        return header
    other = Header.unpack(raw, "<>".replace(first, ""))
    return other if _plausible(other) else header


def _plausible(header: Header) -> bool:
    return (
        all(0 < size < _WIDEST for size in header.size[:2])
        and header.size[2] > 0
        and header.mode in MODES
        and header.nsymbt >= 0
    )


def looks_like_mrc(raw: bytes, named: bool) -> bool:
    """Tell from the first bytes whether this is an MRC file.

    Parameters
    ----------
    raw : bytes
    named : bool
        Whether the suffix is one of MRC's; without it, old files that have neither the magic
        number nor a machine stamp are not believed.
    """
    if raw[208:211] == b"MAP" and b"\0" in raw[:16]:  # no zero bytes in a text
        return True
    if len(raw) < SIZE:
        return False
    stamped = raw[212] in _ORDERS and raw[213] in (0x44, 0x41, 0x11)
    return (named or stamped) and _plausible(_in_likely_order(raw))


def check_length(header: Header, length: int, path: Path) -> None:
    """Refuse a file that is shorter than its header says; more is accepted.

    Without the magic number the length must be exact: it is all that speaks for an MRC file.

    Raises
    ------
    ReadError
    """
    found = length - header.offset
    if found == header.data_size or (found > header.data_size and header.has_magic):
        return
    nx, ny, nz = header.size
    kind = "4-bit pixels" if header.mode == _PACKED else _names(header.dtype)
    before = f"{SIZE} + {header.nsymbt}" if header.nsymbt else f"{SIZE}"
    claim = (
        f"header says {nx} × {ny} × {nz} of {kind} = {_spaced(header.data_size)} bytes of data "
        f"after {before} bytes of header"
    )
    if found < 0:
        raise ReadError(f"{claim}, found {_spaced(length)} bytes in all: the file is cut", path)
    if found < header.data_size:
        raise ReadError(f"{claim}, found {_spaced(found)}: the file is cut", path)
    raise ReadError(f"not an MRC file: no 'MAP ' at byte 208, and the {claim}", path)


def _spaced(number: int) -> str:
    return f"{number:,}".replace(",", " ")


def _names(dtype: str) -> str:
    kinds = {"i": "int", "u": "uint", "f": "float", "c": "complex"}
    return f"{kinds[dtype[1]]}{8 * int(dtype[2:])}"


def stack_flag(header: Header, sections: int, suffix: str) -> tuple[bool, str]:
    """Decide whether sections are separate images, and say what is doubtful about it.

    The suffix decides where it means something. Else: one section is one image; space group 0
    with mz = 1 is a stack; 1 and more is a volume; 0 with mz = nz is a volume, with a doubt:
    RELION, EMAN2 and IMOD write volumes like this, but SerialEM and RELION also stacks.

    Parameters
    ----------
    header : Header
    sections : int
        Number of sections once the array is zyx.
    suffix : str
        Lower case, with the dot.
    """
    if suffix in STACK_SUFFIXES:
        return True, ""
    if suffix in VOLUME_SUFFIXES or sections == 1 or header.ispg > 0:
        return False, ""
    mz = header.grid[2]
    if header.ispg == 0 and mz == 1:
        return True, ""
    return False, (
        f"taken as a volume, but the header (ispg {header.ispg}, mz {mz}, nz {sections}) "
        "may as well mean a stack of images; state stack="
    )


def is_volume_stack(header: Header) -> bool:
    """Tell whether the space group is one of those that mark a stack of volumes."""
    return 401 <= header.ispg <= 630


def is_unrotated(header: Header) -> bool:
    """Tell whether this is a volume as IMOD's `tilt` writes it: y is the thickness, z along y.

    `tilt` notes that it is turned by 90° about x (the fourth of the six angles; run: IMOD 4.8.2);
    the volume is thinner along y than along z.
    """
    _, ny, nz = header.size
    return header.imod_stamp == _IMOD and header.imod_angles[3] == 90 and ny < nz


def pixel_spacing(header: Header, stack: bool) -> tuple[float, str]:
    """Return Å per pixel along x, 0 for unknown, and what is doubtful about it.

    The cell is stored in single precision: of the numbers that it could stand for, the one with
    the fewest digits is given, so that 2.7 is read as 2.7 and not as 2.7000000477.
    """
    x, y, z = (_quotient(c, m) for c, m in zip(header.cell, header.grid, strict=True))
    if x == 0:
        return 0.0, "the header has no pixel spacing, 0 (unknown) is assumed; state pixel_spacing="
    if _differ(x, y):
        return x, f"pixels are {x:g} Å along x but {y:g} Å along y; state pixel_spacing="
    # mz = 1 is what a stack has, whose cell says nothing about a spacing along z
    if not stack and header.grid[2] > 1 and _differ(x, z):
        return x, f"pixels are {x:g} Å along x but {z:g} Å along z; state pixel_spacing="
    if x == 1:
        return x, (
            "a pixel spacing of exactly 1 Å is suspicious, several programs write it for "
            "'unknown'; state pixel_spacing="
        )
    return x, ""


def _quotient(cell: float, grid: int) -> float:
    if grid <= 0 or not math.isfinite(cell) or cell <= 0:
        return 0.0
    exact = cell / grid
    candidates = (float(f"{exact:.{digits}g}") for digits in range(1, 9))
    return next((c for c in candidates if abs(c - exact) <= exact * _FLOAT32), exact)


def _differ(a: float, b: float) -> bool:
    return b > 0 and abs(a - b) > 1e-3 * a


def new(
    shape: tuple[int, int, int], mode: int, spacing: float, stack: bool, volume: bool
) -> Header:
    """Make the header of a file to be written, without statistics.

    Parameters
    ----------
    shape : tuple of int
        zyx.
    mode : int
    spacing : float
        Å; 0 for unknown, written as a cell of size 0.
    stack, volume : bool
        A stack has space group 0 and mz = 1, a volume 1 and mz = nz, one image 0 and 1.
    """
    nz, ny, nx = shape
    grid = (nx, ny, nz if volume and not stack else 1)
    return Header(
        order="<",
        size=(nx, ny, nz),
        mode=mode,
        nstart=(0, 0, 0),
        grid=grid,
        cell=(grid[0] * spacing, grid[1] * spacing, grid[2] * spacing),
        angles=(90.0, 90.0, 90.0),
        axes=(1, 2, 3),
        statistics=(0.0, -1.0, -2.0),
        ispg=1 if volume and not stack else 0,
        nsymbt=0,
        exttyp=b"\0" * 4,
        nversion=20141,
        imod_stamp=0,
        imod_flags=0,
        imod_angles=(0.0,) * 6,
        origin=(0.0, 0.0, 0.0),
        magic=b"MAP ",
        stamp=LITTLE_ENDIAN,
        rms=-1.0,
        nlabl=1,
        text=b"cryotypes".ljust(80) + b"\0" * 720,
    )


def with_statistics(
    header: Header, minimum: float, maximum: float, mean: float, rms: float
) -> Header:
    """Return the header with statistics; those that are not finite stay 'not determined'.

    The standard's sign for that is a maximum below the minimum, a mean below both, and an rms
    below 0.
    """
    if not all(math.isfinite(value) for value in (minimum, maximum, mean, rms)):
        return header
    return replace(header, statistics=(minimum, maximum, mean), rms=rms)
