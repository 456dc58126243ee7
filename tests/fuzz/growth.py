"""Twice the input may take twice the time, not four times, whatever a file repeats."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .material import Material
from .pool import Child, one

SIZE = 1 << 17  # bytes: what takes the square of the time hangs beyond this
SLOW = 0.25  # seconds of the processor for that; what is quicker is quick enough
PIECES = (  # @ is a number that is never the same
    *('"a ', "'a ", '"', "[", "{", '{"a":', '[{"a":1},', "<a>", "<!-- a -->", "<?a?>", "</a>"),
    *(" ", "\t", "\n", "\r", "\0", "\n\n ", ",", "1-100000,", "1 ", "1", "#", "# ", "=", "a="),
    *("data_a\n", "data_@\n\nloop_\n_a\n", "loop_\n", "_rlnA\n", "_a@ 1\n", "a@ = 1\n", "%\n"),
    *("\\", "- ", "{'a'", "a@,", "a@ ", "_a@\n", '"a@":1,', '<a b@="1"/>', "[ZValue = @]\n"),
)


def is_text(material: Material) -> bool:
    """Whether the file is read as text."""
    content = material.files.get(material.main, b"\0")
    return b"\0" not in content and not content.startswith((b"\x1f\x8b", b"PK"))


def floods(material: Material) -> Iterator[tuple[str, bytes, bytes, bytes]]:
    """Yield a name, what stands before, what is repeated, and what stands behind.

    Pieces are repeated at the beginning, behind a line in the middle, within one, or at the end.
    """
    content = material.files[material.main]
    lines = content.splitlines(keepends=True)
    whole = b"".join(lines[: len(lines) // 2])
    places = {"begin": 0, "middle": len(whole), "within": len(whole) * 2 // 3, "end": len(content)}
    yield "whole", b"", content, b""
    for number in range(0, len(lines), max(1, len(lines) // 8)):
        before, after = b"".join(lines[:number]), b"".join(lines[number + 1 :])
        yield f"line {number + 1}", before, lines[number].rstrip(b"\n") + b"\n", after
    for piece in PIECES:
        place = list(places)[zlib.crc32(f"{material.name} {piece}".encode()) % len(places)]
        at = places[place]
        yield f"{piece!r} at the {place}", content[:at], piece.encode(), content[at:]


def flooded(flood: tuple[bytes, bytes, bytes], size: int) -> bytes:
    """Return so many bytes of the piece between what stands before and behind."""
    before, piece, after = flood
    times = max(1, size // max(len(piece), 1))
    if b"@" not in piece:
        return before + piece * times + after
    return before + b"".join(piece.replace(b"@", b"%d" % n) for n in range(times)) + after


def grows(child: Child, material: Material, flood: tuple[bytes, bytes, bytes], path: Path) -> str:
    """Say that the time grows faster than the input; an empty text if it does not."""
    took = _took(child, material, flood, path, SIZE)
    if isinstance(took, str):
        return took
    if took < SLOW:
        return ""
    for _ in range(3):  # other programs are busy, too: the least of some is the truth
        longer = _took(child, material, flood, path, 2 * SIZE)
        if isinstance(longer, str):
            return longer
        if longer < 3 * took:
            return ""
        took = max(took, _least(child, material, flood, path))
    return f"{took:.2f} s for {SIZE} bytes, {longer:.2f} s for twice as many"


def _least(child: Child, material: Material, flood: Any, path: Path) -> float:
    found = _took(child, material, flood, path, SIZE)
    return found if isinstance(found, float) else 0.0


def _took(
    child: Child, material: Material, flood: tuple[bytes, bytes, bytes], path: Path, size: int
) -> float | str:
    path.write_bytes(flooded(flood, size))
    for format, options in ((material.format, material.options), (None, {})):
        found = one(child, {"path": str(path), "format": format, "options": options})
        if found["fault"] is not None:
            return f"{found['fault']} {found['message']}"
        if format is not None:
            asked = float(found["took"])
    return max(asked, float(found["took"]))
