"""How a format declares itself. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from .files import reading_bytes, suffix_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

Kind = Literal["poses", "image", "projection_model"]
HEAD_SIZE = 1 << 16


@dataclass(frozen=True)
class Head:
    """The beginning of a file, read once for all sniffers.

    Parameters
    ----------
    path : Path
    data : bytes
        The first 64 KiB, uncompressed; empty for a directory.
    """

    path: Path
    data: bytes

    @classmethod
    def of(cls, path: Path) -> Head:
        """Read the head of a file; directories have none.

        Raises
        ------
        OSError
            Python's own, for a missing or unreadable file.
        ReadError
            If compressed data are damaged.
        """
        if path.is_dir():
            return cls(path, b"")
        with reading_bytes(path) as file:
            return cls(path, file.read(HEAD_SIZE))

    @cached_property
    def suffix(self) -> str:
        """The lower-case suffix, without that of a compression."""
        return suffix_of(self.path)

    @cached_property
    def text(self) -> str:
        """The data as text; whatever is not UTF-8 is replaced."""
        return self.data.decode("utf-8", errors="replace")

    @cached_property
    def words(self) -> frozenset[bytes]:
        """The words of the data, as blanks and line ends part them."""
        return frozenset(self.data.split())


@dataclass(frozen=True)
class Format:
    """A file format: what it is called, how to know it, how to read and write it.

    Parameters
    ----------
    name, title : str
        Stable identifier, and a name for people.
    kind : {"poses", "image", "projection_model"}
        What a file of this format holds.
    suffixes : tuple of str
        Lower case, with the dot, the preferred one first.
    read : callable
        ``read(path, *, options…)`` returns a list of PoseSets, an Image, or a ProjectionModel.
    write : callable, optional
        ``write(data, path, *, overwrite, options…)`` returns a LossReport. It receives a list of
        PoseSets, an Image or a ProjectionModel, validated.
    sniff : callable, optional
        ``sniff(head)`` tells from the first bytes whether this is the format.
    keeps : frozenset of str
        Fields that survive writing and reading.
    tolerance : dict
        Field name to the largest change (pixels, degrees) of a round trip.
    compression : tuple of str
        Suffixes of compressions that are read and written, e.g. ``(".gz",)``.
    needs : tuple of str
        Optional packages.
    evidence : str
        How the meaning of the fields was established.
    url : str
        Where the format is described.
    """

    name: str
    title: str
    kind: Kind
    suffixes: tuple[str, ...]
    read: Callable[..., Any] | None = None
    write: Callable[..., Any] | None = None
    sniff: Callable[[Head], bool] | None = None
    keeps: frozenset[str] = frozenset()
    tolerance: dict[str, float] = field(default_factory=dict)
    compression: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    evidence: str = ""
    url: str = ""


def recognised(head: Head, formats: Iterable[Format]) -> list[Format]:
    """Return the formats that know a file by its head, or by its suffix if they ask no more."""
    readable = [f for f in formats if f.read is not None]
    named = [f for f in readable if head.suffix in f.suffixes]
    # content and suffix together are better than content, content better than suffix
    both = [f for f in named if f.sniff is not None and f.sniff(head)]
    sniffed = both or [f for f in readable if f.sniff is not None and f.sniff(head)]
    return sniffed or [f for f in named if f.sniff is None and head.data]
