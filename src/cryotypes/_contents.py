"""What a directory holds that some format reads."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from .io import KINDS, _candidates

if TYPE_CHECKING:
    from os import PathLike

    from .formats._format import Format


def contents(path: str | PathLike[str]) -> list[Path]:
    """List what can be read in a directory; a file, or a directory that is one thing, is itself.

    Directories in it count where they are one thing each, as etomo's are; others are not entered.

    Raises
    ------
    OSError
        Python's own, if the path is missing.
    IsADirectoryError
        If nothing in the directory is recognised.
    """
    path = Path(path)
    if not path.is_dir() or _formats(path):
        return [path]
    found = [inner for inner in sorted(path.iterdir(), key=_natural) if _formats(inner)]
    if not found:
        raise IsADirectoryError(
            f"{path} is a directory in which nothing is recognised; name a file in it"
        )
    return found


def formats_in(path: Path) -> list[Format]:
    """Return the formats that recognise what `contents` listed."""
    return _formats(path)


def told(paths: list[Path]) -> str:
    """List what a directory holds, by kind."""
    kinds: dict[str, list[str]] = {}
    for path in paths:
        for kind in dict.fromkeys(f.kind for f in _formats(path)):
            kinds.setdefault(KINDS[kind], []).append(path.name)
    return "; ".join(
        f"{kind} ({', '.join(names[:5])}{', …' if len(names) > 5 else ''})"
        for kind, names in kinds.items()
    )


def _formats(path: Path) -> list[Format]:
    if path.name.startswith("."):
        return []
    try:
        return _candidates(path)
    except (OSError, ValueError):
        return []


def _natural(path: Path) -> list[tuple[str, int]]:
    """TS_2 before TS_10."""
    return [(text, int(word or 0)) for text, word in re.findall(r"(\D*)(\d*)", path.name)]
