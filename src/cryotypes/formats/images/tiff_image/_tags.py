"""What the tags of a TIFF file say: its pages, its pixel spacing. Without tifffile's help.

tifffile stops quietly where the chain of pages breaks; a cut file would be a shorter stack.
"""

from __future__ import annotations

import math
import re
import struct
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from typing import IO

EER = (65000, 65001, 65002)  # run lengths of electron events, TFS's private compressions
# A larger pixel is that of a printer: 72, 96, 300 dpi are written where nothing is known.
LARGEST = 1e4
_ANGSTROM = "\N{LATIN CAPITAL LETTER A WITH RING ABOVE}"
_UNITS = {
    **dict.fromkeys((_ANGSTROM.lower(), "\N{ANGSTROM SIGN}", "angstrom", "angstroms", "ang"), 1.0),
    **dict.fromkeys(("pm", "picometer"), 0.01),
    **dict.fromkeys(("nm", "nanometer", "nanometers", "nanometre"), 10.0),
    **dict.fromkeys(
        ("\N{MICRO SIGN}m", "\N{GREEK SMALL LETTER MU}m", "um", "micron", "microns", "micrometer"),
        1e4,
    ),
    **dict.fromkeys(("mm", "millimeter"), 1e7),
    **dict.fromkeys(("cm", "centimeter"), 1e8),
    **dict.fromkeys(("m", "meter"), 1e10),
    **dict.fromkeys(("inch", "in"), 2.54e8),
}
_CENTIMETRE = 3
_TAG_UNITS = {2: 2.54e8, _CENTIMETRE: 1e8}


class Layout(NamedTuple):
    """Byte order and width of the numbers of a file."""

    order: str
    big: bool

    def unpack(self, code: str, data: bytes) -> int:
        """Read one number."""
        return int(struct.unpack_from(self.order + code, data)[0])

    @property
    def offset(self) -> str:
        """The code of an offset."""
        return "Q" if self.big else "I"

    @property
    def first(self) -> int:
        """Where the offset of the first page is."""
        return 8 if self.big else 4


def layout(head: bytes) -> Layout | None:
    """Return the layout of a TIFF or BigTIFF file with at least one page, else None."""
    if len(head) < 16 or head[:2] not in (b"II", b"MM"):
        return None
    order = "<" if head[:2] == b"II" else ">"
    version = struct.unpack_from(order + "H", head, 2)[0]
    if version == 43 and struct.unpack_from(order + "HH", head, 4) != (8, 0):
        return None
    if version not in (42, 43):
        return None
    found = Layout(order, version == 43)
    start = found.unpack(found.offset, head[found.first :])
    return found if start >= found.first + (8 if found.big else 4) else None


def count_pages(file: IO[bytes]) -> int:
    """Follow the chain of pages to its end.

    Raises
    ------
    ValueError
        If it leaves the file or comes back.
    """
    found = layout(file.read(16))
    if found is None:
        raise ValueError("expected the start of a TIFF file, found other bytes")
    counted, entry = ("Q", 20) if found.big else ("H", 12)
    width, seen = struct.calcsize(found.offset), set[int]()
    file.seek(found.first)
    while start := found.unpack(found.offset, _exactly(file, width)):
        if start in seen:
            raise ValueError(
                f"expected an end of the pages, found one of them again, at byte {start}"
            )
        seen.add(start)
        file.seek(start)
        number = found.unpack(counted, _exactly(file, struct.calcsize(counted)))
        file.seek(start + struct.calcsize(counted) + number * entry)
    return len(seen)


def _exactly(file: IO[bytes], size: int) -> bytes:
    data = file.read(size)
    if len(data) < size:
        raise ValueError(f"the file ends within the table of page offsets, at byte {file.tell()}")
    return data


def pixel_spacing(
    tags: dict[str, Any], imagej: dict[str, Any] | None, ome: str | None
) -> tuple[float, str]:
    """Return Å per pixel along x, 0 for unknown, and what is doubtful about it."""
    if ome is not None:
        x, y, z = (_ome_size(ome, axis) for axis in "XYZ")
    else:
        unit = _UNITS.get(_unescaped(str(imagej.get("unit", ""))).lower()) if imagej else None
        scale = unit or _TAG_UNITS.get(int(tags.get("ResolutionUnit", 0)), 0.0)
        x, y = (_spacing(tags.get(f"{axis}Resolution"), scale) for axis in "XY")
        depth = imagej.get("spacing") if imagej and unit else None
        z = depth * scale if isinstance(depth, (int, float)) else 0.0
        if unit is None and x > LARGEST:
            return 0.0, (
                f"its resolution is that of a printer ({x:.3g} Å/px), pixel spacing 0 (unknown) is "
                "assumed; state pixel_spacing="
            )
    if not (math.isfinite(x) and x > 0):
        return 0.0, "it has no pixel spacing, 0 (unknown) is assumed; state pixel_spacing="
    for axis, other in (("y", y), ("z", z)):
        if other > 0 and abs(x - other) > 1e-3 * x:
            return x, f"pixels are {x:g} Å along x but {other:g} Å along {axis}; " + (
                "state pixel_spacing="
            )
    return x, ""


def _spacing(resolution: Any, scale: float) -> float:
    """Return the number with the fewest digits that agrees with single precision.

    RELION computes the pixels a centimetre in single precision, and drops their decimals.
    """
    if not isinstance(resolution, tuple) or len(resolution) != 2 or 0 in resolution or not scale:
        return 0.0
    exact = scale * resolution[1] / resolution[0]
    candidates = (float(f"{exact:.{digits}g}") for digits in range(1, 9))
    return next((c for c in candidates if abs(c - exact) <= 1e-7 * exact), exact)


def _unescaped(unit: str) -> str:
    r"""ImageJ writes what is not ASCII as \u00B5."""
    return re.sub(r"\\u([0-9a-fA-F]{4})", lambda match: chr(int(match[1], 16)), unit).strip()


def _ome_size(xml: str, axis: str) -> float:
    pixels = re.search(r"<(?:\w+:)?Pixels\b[^>]*>", xml)
    found = dict(re.findall(r"(PhysicalSize\w+)\s*=\s*[\"']([^\"']*)", pixels[0] if pixels else ""))
    unit = found.get(f"PhysicalSize{axis}Unit", "um").replace("&#181;", "\N{MICRO SIGN}")
    try:
        size = (
            float(found[f"PhysicalSize{axis}"]) * _UNITS[unit.replace("&#197;", "angstrom").lower()]
        )
    except (KeyError, ValueError):
        return 0.0
    return float(f"{size:.8g}")


def resolution(spacing: float) -> tuple[int, int] | None:
    """Return pixels per centimetre as numerator and denominator, each of 32 bits.

    None if they do not fit, or are not told from a printer's.
    """
    from fractions import Fraction

    if not 0 < spacing <= LARGEST:
        return None
    exact = Fraction(10**8) / Fraction(repr(spacing))
    limit = min(2**32 - 1, int((2**32 - 1) / exact))
    if limit < 1:
        return None
    near = exact.limit_denominator(limit)
    return (near.numerator, near.denominator) if near.numerator < 2**32 else None
