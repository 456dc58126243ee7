"""What readers of plain images share: a header, then the pixels as they are, section by section.

The pixels are memory-mapped; those of a compressed file are read at once.
"""

from __future__ import annotations

import io
import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cryotypes.errors import GuessWarning, ReadError
from cryotypes.formats.shared.files import reading_bytes
from cryotypes.names import strip_path_and_suffix

from ._image_data import PIECE, checked_spacing

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import IO

    from numpy.typing import NDArray

    from cryotypes.image import Image

WIDEST = 1 << 20  # pixels; wider rows or columns mean another byte order or another format


@dataclass(frozen=True)
class Layout:
    """Where the pixels are, and what else the header says.

    Parameters
    ----------
    dtype : str
        With byte order, e.g. ``<f4``.
    shape : tuple of int
        Sections, rows, columns.
    offset : int
        Bytes before the first section.
    gap : int
        Bytes before each section, beside ``offset``; a multiple of the size of a pixel.
    open_end : bool
        Whether more sections may follow than the header counts.
    metadata : dict
    """

    dtype: str
    shape: tuple[int, int, int]
    offset: int
    gap: int
    open_end: bool
    metadata: dict[str, Any]

    @property
    def section_size(self) -> int:
        """Bytes of a section with the gap before it."""
        return self.gap + self.shape[1] * self.shape[2] * self.item_size

    @property
    def item_size(self) -> int:
        """Bytes of a pixel."""
        return int(self.dtype[2:])

    @property
    def size(self) -> int:
        """Bytes of all sections."""
        return self.shape[0] * self.section_size


def read_image(
    path: Path,
    header_size: int,
    parse: Callable[[bytes, Path], Layout],
    is_stack: bool | None,
    spacing: Callable[[dict[str, Any]], tuple[float, str]],
    experiment_id: str | None,
) -> Image:
    """Read header and pixels, and make an Image of them.

    Parameters
    ----------
    path : Path
    header_size : int
        Bytes that ``parse`` gets, or fewer if the file is shorter.
    parse : callable
        Of these bytes and the path; returns a Layout or raises ReadError.
    is_stack : bool, optional
        If None, as ``metadata["stack"]`` says.
    spacing : callable
        Of the metadata; returns Å per pixel, and the doubt about it in words.
    experiment_id : str, optional
        By default the file's name without suffixes.
    """
    from cryotypes.image import Image
    from cryotypes.image._arrays import native

    layout, data = _load(path, header_size, parse)
    stack = bool(layout.metadata.get("stack", False) if is_stack is None else is_stack)
    pixel_spacing, doubt = spacing(layout.metadata)
    if doubt:
        warnings.warn(f"{path}: {doubt}", GuessWarning, stacklevel=3)
    return Image(
        data=native(data[0] if len(data) == 1 and not stack else data),
        experiment_id=strip_path_and_suffix(path.name) if experiment_id is None else experiment_id,
        pixel_spacing=pixel_spacing,
        source=path,
        stack=stack,
        metadata=layout.metadata,
    )


def spacing_of(
    given: float | None, stored: str | None = None
) -> Callable[[dict[str, Any]], tuple[float, str]]:
    """Return the ``spacing`` of `read_image`: what is given, else what the header says.

    Parameters
    ----------
    given : float, optional
        Å.
    stored : str, optional
        The name in the metadata; a number there is believed, but not without a warning.
    """
    if given is not None:
        known = checked_spacing(given)
        return lambda _: (known, "")

    def from_header(metadata: dict[str, Any]) -> tuple[float, str]:
        value = float(metadata[stored]) if stored else 0.0
        if not (math.isfinite(value) and value > 0):
            return 0.0, ""  # unknown, as in most files of these formats: no news
        value = float(f"{value:.7g}")  # single precision
        return value, (
            f"{value:g} Å per pixel, as the header says, are assumed, though most programs do not "
            "fill this field; state pixel_spacing="
        )

    return from_header


def _load(
    path: Path, header_size: int, parse: Callable[[bytes, Path], Layout]
) -> tuple[Layout, NDArray[Any]]:
    """Return the layout and the pixels, 3D."""
    import numpy as np

    from cryotypes.image._on_disk import map_file

    with reading_bytes(path) as file:
        raw = file.read(header_size)
        if not raw:
            raise ReadError("the file is empty", path)
        layout = parse(raw, path)
        count = layout.size // layout.item_size
        if isinstance(file, io.BufferedReader):  # not that of a decompression
            _check_length(layout, path.stat().st_size, path)
            flat: NDArray[Any] = map_file(path, layout.dtype, layout.offset, (count,))
        else:
            most = layout.offset + layout.size + (PIECE if layout.open_end else 0)
            content, length = read_through(raw, file, layout.offset, layout.size, most)
            _check_length(layout, length, path)
            flat = np.frombuffer(content, layout.dtype, count)
            flat = flat.astype(flat.dtype.newbyteorder("="), copy=False)
    sections = flat.reshape(layout.shape[0], -1)
    return layout, sections[:, layout.gap // layout.item_size :].reshape(layout.shape)


def read_through(
    raw: bytes, file: IO[bytes], offset: int, size: int, most: int
) -> tuple[bytearray, int]:
    """Return the bytes of the pixels, and how many there are in all: the checksum is at the end.

    In pieces: a damaged header may want more than there is memory; and no further than beyond
    ``most`` bytes: a few packed ones can stand for any number.
    """
    content, length, piece = bytearray(), 0, raw
    while piece and length <= most:
        content += piece[max(offset - length, 0) :][: size - len(content)]
        length += len(piece)
        piece = file.read(PIECE)
    return content, length


def _check_length(layout: Layout, length: int, path: Path) -> None:
    """Refuse a file that is not as long as its header says: there is no magic number."""
    expected = layout.offset + layout.size
    if length == expected or (layout.open_end and length > expected):
        return
    nz, ny, nx = layout.shape
    state = "cut" if length < expected else "damaged, or of another format"
    raise ReadError(
        f"header says {nx} × {ny} × {nz} of {_name(layout.dtype)} = {expected} bytes in all, "
        f"found {length}: the file is {state}",
        path,
    )


def _name(dtype: str) -> str:
    kinds = {"i": "int", "f": "float", "c": "complex"}
    return f"{kinds[dtype[1]]}{8 * int(dtype[2:])}"


def plausible_size(*sizes: float) -> bool:
    """Tell whether these may be numbers of pixels."""
    return all(0 < size < WIDEST and size == int(size) for size in sizes)
