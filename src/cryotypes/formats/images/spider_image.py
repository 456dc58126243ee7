"""SPIDER images, volumes and stacks of images, `.spi` and many other suffixes.

All is float32. The header has 1024 bytes or more, a whole number of rows. Its words, counted from
1: 1 sections, 2 rows, 5 kind (1 image, 3 volume), 12 columns, 13 rows of header, 22 bytes of
header, 23 bytes a row, 24 above zero if a stack, 26 images in it, 38 Å per pixel. In a stack each
image has a header of its own after that of the file. There is no magic number: it is SPIDER's if
these agree with each other, in one of the byte orders (SPIDER's "Format of image files").
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryotypes.errors import ReadError
from cryotypes.formats.shared.declaration import Format, Head

from ._raw_image import Layout, plausible_size, read_image, spacing_of

if TYPE_CHECKING:
    from cryotypes.image import Image

_HEADER = 1024  # at least
_WORDS = 38
_IMAGE, _VOLUME = 1, 3
_FOURIER = (-11, -12, -21, -22)
# Names of the words in SPIDER's description.
_NAMES = {
    "nz": 1, "ny": 2, "iform": 5, "fmax": 7, "fmin": 8, "av": 9, "sig": 10, "nx": 12, "labrec": 13,
    "labbyt": 22, "lenbyt": 23, "istack": 24, "maxim": 26, "pixsiz": 38,
}  # fmt: skip


def _words(raw: bytes) -> tuple[str, dict[str, float]] | None:
    """Return byte order and words by name, None if this is not SPIDER's header."""
    if len(raw) < _HEADER:
        return None
    for order in "<>":
        values = struct.unpack(f"{order}{_WORDS}f", raw[: 4 * _WORDS])
        words = {name: values[number - 1] for name, number in _NAMES.items()}
        if _plausible(words):
            return order, words
    return None


def _plausible(words: dict[str, float]) -> bool:
    nx, rows = words["nx"], words["labrec"]
    return (
        words["iform"] in (_IMAGE, _VOLUME, *_FOURIER)
        and plausible_size(nx, words["ny"], words["nz"], rows)
        and words["lenbyt"] == 4 * nx
        and words["labbyt"] == rows * words["lenbyt"] >= _HEADER
    )


def sniff(head: Head) -> bool:
    """Whether the words that describe the header and its rows agree with each other."""
    return _words(head.data) is not None


def read(
    path: Path,
    *,
    pixel_spacing: float | None = None,
    stack: bool | None = None,
    experiment_id: str | None = None,
) -> Image:
    """Read a SPIDER file: memory-mapped, or, if compressed (gzip, bzip2), at once.

    Parameters
    ----------
    path : path
    pixel_spacing : float, optional
        Å, instead of the header's, which most programs leave at 0.
    stack : bool, optional
        Whether the sections are separate images, instead of what the header says.
    experiment_id : str, optional
        By default the file's name without suffixes.

    Returns
    -------
    Image
        float32, zyx, or yx if there is one section that is not a stack; a memory map, or, of a
        big-endian file, converted where it is sliced. Rows are in the order of the file, as RELION
        reads and writes them. ``metadata`` holds the words of the header under SPIDER's names.

    Raises
    ------
    ReadError
        If it is cut, damaged, not SPIDER's, a Fourier transform, a stack of volumes, or a stack
        with an index.

    Warns
    -----
    GuessWarning
        If the pixel spacing is not given and that of the header, a field that most programs do
        not fill, is taken.
    """
    spacing = spacing_of(pixel_spacing, "pixsiz")
    return read_image(Path(path), _HEADER, _parse, stack, spacing, experiment_id)


def _parse(raw: bytes, path: Path) -> Layout:
    found = _words(raw)
    if found is None:
        state = f"{len(raw)} bytes" if len(raw) < _HEADER else "words that do not agree"
        raise ReadError(f"expected a SPIDER header of {_HEADER} bytes, found {state}", path)
    order, words = found
    nx, ny, nz, gap = (int(words[name]) for name in ("nx", "ny", "nz", "labbyt"))
    istack, maxim = words["istack"], words["maxim"]
    is_stack = istack > 0
    if words["iform"] in _FOURIER:
        raise ReadError(
            f"expected pixels, found a Fourier transform (iform {words['iform']})", path
        )
    if words["iform"] == _IMAGE and nz != 1:
        raise ReadError(f"expected one section in an image (iform 1), found {nz}", path)
    if not istack >= 0:
        raise ReadError(f"stacks with an index (istack {istack:g}) are not supported", path)
    if is_stack and nz != 1:
        raise ReadError(f"expected a stack of images, found one of volumes, {nz} sections", path)
    if is_stack and not plausible_size(maxim):
        raise ReadError(f"expected a positive number of images (maxim), found {maxim:g}", path)
    facts: dict[str, Any] = {"byte_order": order, **words, "stack": is_stack}
    if is_stack:
        return Layout(f"{order}f4", (int(maxim), ny, nx), gap, gap, True, facts)
    return Layout(f"{order}f4", (nz, ny, nx), gap, 0, False, facts)


FORMAT = Format(
    name="spider",
    title="SPIDER image",
    kind="image",
    suffixes=(".spi",),
    compression=(".gz", ".bz2"),
    sniff=sniff,
    read=read,
    keeps=frozenset({"data", "stack"}),
    evidence=(
        "documentation: SPIDER's description of its image files; run: images, volumes and the "
        "header of a stack of RELION 3.1.3, which reads our stack alike; images of Pillow 13; "
        "pixsiz (word 38): source of Arachnid, not seen in a file"
    ),
    url="https://spider-em.github.io/SPIDER/docs/image_doc.html",
)
