"""IMOD's binary models: objects of contours of points, and chunks that are kept as they are.

Parsed here and not with imodmodel (0.1.0), which never returns from a file that is cut off, writes
chunks with wrong lengths (IMAT, SLAN), and drops those it does not know (VIEW).

https://bio3d.colorado.edu/imod/doc/binspec.html
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np

from cryotypes.errors import ReadError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

MAGIC = b"IMODV1.2"
_HEADER, _OBJECT, _CONTOUR = 240, 176, 16
_FIELDS = struct.Struct(">128s4iI4i6f5ifii3f")
_NAMES = (
    *("name", "xmax", "ymax", "zmax", "objsize", "flags", "drawmode", "mousemode", "blacklevel"),
    *("whitelevel", "xoffset", "yoffset", "zoffset", "xscale", "yscale", "zscale", "object"),
    *("contour", "point", "res", "thresh", "pixsize", "units", "csum", "alpha", "beta", "gamma"),
)
# units of pixsize: their power of ten of a metre
_POWERS = {3: 3, 1: 0, -2: -2, -3: -3, -6: -6, -9: -9, -10: -10, -12: -12}
_OF_CONTOUR = {b"LABL", b"SIZE", b"COST"}
_OF_MODEL = {b"VIEW", b"MINX", b"MCLP", b"SLAN", b"MOST", b"OGRP"}
# z from -0.5; not yet written by 3dmod; several clip planes; materials are bytes
_NEW_FLAGS = 1 << 10 | 1 << 11 | 1 << 12 | 1 << 13
_IMAGE_ORIGIN = 1 << 14


@dataclass
class Contour:
    """Points (n, 3) as written, and the chunks that belong to them."""

    points: Floats
    header: bytes = b"\0" * _CONTOUR
    chunks: list[tuple[bytes, bytes]] = field(default_factory=list)

    @property
    def sizes(self) -> Floats | None:
        """The radius of each point, where the model gives one."""
        data = next((data for tag, data in self.chunks if tag == b"SIZE"), None)
        fits = data is not None and len(data) == 4 * len(self.points)
        return _floats(data or b"") if fits else None


@dataclass
class Object:
    """Contours, and everything else as it is in the file."""

    header: bytes
    contours: list[Contour] = field(default_factory=list)
    rest: list[bytes] = field(default_factory=list)


@dataclass
class Model:
    """A model: its header, objects, and the chunks of the model as a whole."""

    header: dict[str, Any]
    objects: list[Object] = field(default_factory=list)
    rest: list[bytes] = field(default_factory=list)

    @property
    def pixel_spacing(self) -> float:
        """Å per pixel: PIXSIZE, else that of the model's image; 0 if it does not say."""
        return self.own_pixel_spacing or self._image_spacing()

    @pixel_spacing.setter
    def pixel_spacing(self, spacing: float) -> None:
        scale = self.header["xscale"]
        spacing = spacing / scale if math.isfinite(scale) and scale > 0 else spacing
        if self.header["units"] not in _POWERS:
            self.header["units"] = -9  # 3dmod's own
        power = _POWERS[self.header["units"]]
        self.header["pixsize"] = float(Decimal(repr(float(spacing))).scaleb(-10 - power))

    @property
    def own_pixel_spacing(self) -> float:
        """Å per pixel as the header has it (PIXSIZE); 0 if it is not set."""
        size, scale = self.header["pixsize"], self.header["xscale"]
        power = _POWERS.get(self.header["units"])
        if power is None or not (math.isfinite(size) and size > 0):
            return 0.0
        # the number that was meant, not the nearest of single precision
        spacing = float(Decimal(str(np.float32(size))).scaleb(power + 10))
        return spacing * scale if math.isfinite(scale) and scale > 0 else spacing

    @property
    def subset(self) -> tuple[float, float, float]:
        """Where the model's image begins in the whole image, in pixels (asciispec)."""
        values = self._image()
        if values is None or not self.header["flags"] & _IMAGE_ORIGIN:
            return 0.0, 0.0, 0.0
        origin, scale, current = values[1], values[3], values[4]
        with np.errstate(all="ignore"):
            offset = (origin - current) / scale
        x, y, z = offset.tolist() if np.isfinite(offset).all() else (0.0, 0.0, 0.0)
        return x, y, z

    def _image(self) -> Floats | None:
        """Return MINX: scale, origin and tilt of the image; those of the model's, then its own."""
        data = next((c[8:] for c in self.rest if c[:4] == b"MINX" and len(c) == 80), None)
        return None if data is None else _floats(data).reshape(6, 3)

    def _image_spacing(self) -> float:
        """Å per pixel of the image, as its header has it; point2model sets nothing else.

        1, which stands in the headers of images that do not know, says nothing.
        """
        values = self._image()
        if values is None:
            return 0.0
        x, y, _ = (float(str(np.float32(scale))) for scale in values[3])
        known = math.isfinite(x) and x > 0 and x != 1
        return x if known and math.isclose(x, y, rel_tol=1e-4) else 0.0


def parse_model(raw: bytes, path: Path) -> Model:
    """Parse the bytes of a model.

    Raises
    ------
    ReadError
        If they are not a binary IMOD model, or end too early.
    """
    if not raw:
        raise ReadError("the file is empty", path)
    if raw[:8] != MAGIC:
        raise ReadError(f"expected a binary IMOD model ({MAGIC!r}), found {raw[:8]!r}", path)
    if len(raw) < _HEADER:
        raise ReadError(f"expected a header of {_HEADER} bytes, found {len(raw)}", path)
    model = Model(dict(zip(_NAMES, _FIELDS.unpack(raw[8:_HEADER]), strict=True)))
    contour: Contour | None = None
    for position, tag, body in _chunks(raw, path):
        if tag == b"OBJT":
            model.objects.append(Object(body))
            contour = None
        elif tag in _OF_MODEL:
            model.rest.append(tag + body)
        elif not model.objects:
            raise ReadError(f"byte {position}: chunk {tag!r} before the first object", path)
        elif tag == b"CONT":
            contour = Contour(_floats(body[_CONTOUR:]).reshape(-1, 3), body[:_CONTOUR])
            model.objects[-1].contours.append(contour)
        elif tag in _OF_CONTOUR and contour is not None:
            contour.chunks.append((tag, body[4:]))
        else:
            model.objects[-1].rest.append(tag + body)
            contour = None
    return model


def _floats(data: bytes) -> Floats:
    with np.errstate(invalid="ignore"):  # NaN of damaged files
        return np.frombuffer(data, ">f4").astype(float)


def _chunks(raw: bytes, path: Path) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield position, name and the rest of each chunk, up to IEOF."""
    position = _HEADER
    while (tag := raw[position : position + 4]) != b"IEOF":
        if len(tag) < 4:
            raise ReadError(f"the model ends at byte {len(raw)}, without its end mark IEOF", path)
        if not all(48 <= byte <= 90 for byte in tag):
            raise ReadError(f"byte {position}: expected the name of a chunk, found {tag!r}", path)
        start = position + 4
        counts = raw[start : start + 8].ljust(8, b"\0")
        first, second = struct.unpack(">2i", counts)
        if tag == b"OBJT":
            length = _OBJECT
        elif tag == b"CONT":
            length = _CONTOUR + 12 * first
        elif tag == b"MESH":
            length = _CONTOUR + 12 * first + 4 * second
            first = min(first, second)
        else:
            length = 4 + first
        if (tag != b"OBJT" and first < 0) or start + length > len(raw):
            raise ReadError(
                f"byte {position}: chunk {tag.decode()} of {length} bytes does not fit into the "
                f"file of {len(raw)} bytes",
                path,
            )
        yield position, tag, raw[start : start + length]
        position = start + length


def new_model() -> Model:
    """Return a model without objects, as 3dmod would begin one."""
    header: dict[str, Any] = dict.fromkeys(_NAMES, 0)
    header |= {"name": b"IMOD-NewModel", "flags": _NEW_FLAGS, "drawmode": 1, "mousemode": 2}
    header |= {"whitelevel": 255, "xscale": 1.0, "yscale": 1.0, "zscale": 1.0, "point": -1}
    header |= {"res": 3, "thresh": 128, "pixsize": 1.0}
    header |= dict.fromkeys(("xoffset", "yoffset", "zoffset", "alpha", "beta", "gamma"), 0.0)
    return Model(header)


def new_object() -> Object:
    """Return an object of scattered points, green, drawn as spheres."""
    flags = 1 << 3 | 1 << 9
    fields = (b"", b"", 0, flags, 0, 1, 0.0, 1.0, 0.0, 5, 1, 3, 1, 1, 0, 0, 0, 0, 0, 0)
    return Object(struct.pack(">64s64siIii3fi8B2i", *fields))


def model_bytes(model: Model) -> Iterator[bytes]:
    """Yield the model as it is written to a file."""
    model.header["objsize"] = len(model.objects)
    yield MAGIC + _FIELDS.pack(*(model.header[name] for name in _NAMES))
    for thing in model.objects:
        count = struct.pack(">i", len(thing.contours))
        yield b"OBJT" + thing.header[:128] + count + thing.header[132:]
        for contour in thing.contours:
            points = np.ascontiguousarray(contour.points, ">f4")
            yield b"CONT" + struct.pack(">i", len(points)) + contour.header[4:]
            yield points.tobytes()
            for tag, data in contour.chunks:
                yield tag + struct.pack(">i", len(data)) + data
        yield from thing.rest
    yield from model.rest
    yield b"IEOF"
