"""IMOD's command files: the input of one program, as keywords and values.

https://bio3d.colorado.edu/imod/doc/comformat.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from cryotypes.errors import ReadError
from cryotypes.formats.shared.files import read_bytes
from cryotypes.formats.shared.finite import finite_number

if TYPE_CHECKING:
    from collections.abc import Sequence

_MOST_VIEWS = 100_000
RAW_IMAGES = "#RAWIMAGES"  # keyword of our own comment, for what IMOD has none
_RAW_IMAGES = re.compile(r"# raw images: (\d{1,7}) x (\d{1,7}) pixels")


@dataclass(frozen=True)
class Com:
    """The lines that a command file gives to a program: keyword (upper case), value, line."""

    path: Path
    entries: tuple[tuple[str, str, int], ...]

    def text(self, *keywords: str) -> str | None:
        """Return the value of a keyword; the last one counts."""
        found = [value for keyword, value, _ in self.entries if keyword in keywords]
        return found[-1] if found else None

    def file(self, *keywords: str) -> Path | None:
        """Return the file that a keyword names, in the directory of the command file.

        Directories in the name do not count: data are moved after they were processed.
        """
        name = self.text(*keywords)
        if not name:
            return None
        return self.path.parent / PurePosixPath(name.replace("\\", "/")).name

    def numbers(self, keyword: str, least: int, most: int) -> list[float] | None:
        """Return the numbers of a keyword, None if it is not there.

        Raises
        ------
        ReadError
            If there are fewer than ``least`` or more than ``most``, or something else.
        """
        found = [(value, line) for name, value, line in self.entries if name == keyword]
        if not found:
            return None
        value, line = found[-1]
        words = re.split(r"[\s,]+", value.strip(" ,\t"))
        words = [word for word in words if word]
        where = f"line {line}, {keyword}"
        if not least <= len(words) <= most:
            expected = f"{least}" if least == most else f"{least} to {most}"
            raise ReadError(f"{where}: expected {expected} numbers, found {value!r}", self.path)
        return [finite_number(word, self.path, where) for word in words]

    def integers(self, keyword: str, least: int, most: int = 0) -> tuple[int, ...] | None:
        """Return whole numbers of pixels, ``least`` if ``most`` is 0; None if they are not there.

        What stands behind a decimal point does not count.
        """
        values = self.numbers(keyword, least, most or least)
        if values is None:
            return None
        if any(abs(value) > 1e7 for value in values):
            raise ReadError(f"{keyword}: expected pixels, found {values}", self.path)
        return tuple(int(value) for value in values)

    def views(self, *keywords: str) -> list[int]:
        """Return the numbers of views in lists such as ``1-3,7``, all entries together.

        Raises
        ------
        ReadError
        """
        found: list[int] = []
        for keyword, value, line in self.entries:
            if keyword in keywords:
                found += parse_views(value, self.path, f"line {line}, {keyword}")
        return sorted(set(found))


def parse_views(text: str, path: Path, where: str) -> list[int]:
    """Read a list of views (from 1) with ranges: ``1-3, 7``.

    Raises
    ------
    ReadError
    """
    views: list[int] = []
    for word in re.split(r"\s*,\s*|\s+", re.sub(r"\s*-\s*", "-", text.strip().rstrip("/"))):
        match = re.fullmatch(r"(\d{1,6})(?:-(\d{1,6}))?", word)
        if word == "":
            continue
        if match is None:
            raise ReadError(f"{where}: expected views such as 1-3,7, found {text!r}", path)
        first, last = int(match[1]), int(match[2] or match[1])
        if not 1 <= first <= _MOST_VIEWS or not 1 <= last <= _MOST_VIEWS:
            raise ReadError(f"{where}: expected views from 1, found {text!r}", path)
        views += range(min(first, last), max(first, last) + 1)
    return views


def join_views(views: Sequence[int]) -> str:
    """Write a list of views as IMOD does: ``1-3,7``.

    Examples
    --------
    >>> join_views([1, 2, 3, 7])
    '1-3,7'
    """
    runs: list[list[int]] = []
    for view in sorted(views):
        if runs and view == runs[-1][1] + 1:
            runs[-1][1] = view
        else:
            runs.append([view, view])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


def raw_images_line(size: Sequence[int]) -> str:
    """Write the size of the raw images as a comment.

    FULLIMAGE would not do: its x and y are those of the aligned images or of the raw ones.
    """
    return f"# raw images: {size[0]} x {size[1]} pixels"


def read_com(path: Path, programs: Sequence[str]) -> Com | None:
    """Read what a command file gives to the first of some programs; None if it runs none.

    Lines for the shell (``$``) end the input of a program; comments (``#``) do not count. In old
    files inputs without keywords come first; they are taken for keywords, which hurts nobody. Of
    comments one is ours: the size of the raw images, which `raw_images_line` writes.
    """
    text = read_bytes(path).decode("utf-8", errors="replace")
    entries: list[tuple[str, str, int]] | None = None
    for line_number, line in enumerate(text.splitlines(), start=1):
        words = line.strip().split(None, 1)
        if not words or words[0].startswith("#"):
            if entries is not None and (match := _RAW_IMAGES.match(line)):
                entries.append((RAW_IMAGES, f"{match[1]} {match[2]}", line_number))
            continue
        if words[0].startswith("$"):
            if entries is not None:
                break
            command = line.strip()[1:].split()
            if command and PurePosixPath(command[0].lower()).name in programs:
                entries = []
        elif entries is not None:
            entries.append((words[0].upper(), "".join(words[1:]).strip(), line_number))
    return None if entries is None else Com(path, tuple(entries))


def read_edf(path: Path) -> dict[str, str]:
    """Read etomo's data file: ``Setup.DatasetName=TS_01``."""
    text = read_bytes(path).decode("utf-8", errors="replace")
    pairs = (line.partition("=") for line in text.splitlines() if not line.startswith("#"))
    return {key.strip(): value.strip() for key, sign, value in pairs if sign}
