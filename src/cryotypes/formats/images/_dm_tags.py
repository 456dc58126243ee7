"""The tree of tags of a DM3 or DM4 file, as C. Boothroyd and G. Jefferis describe it.

A group counts its entries; each is a group again, or a tag: its name, the description of its type
as whole numbers, its content. These and all counts are big-endian, of 4 bytes in DM3 and 8 in DM4;
the contents are little-endian, big-endian on old Macs. A DM4 entry states its length as well.
https://imagej.net/ij/plugins/DM3Format.gj.html

The file may be damaged or made to harm: all counts are bounded, and the tags keep no more memory
than their bytes in the file.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from typing import IO

GROUP, TAG = 20, 21
_BEGIN = {3: 12, 4: 16}  # of the root, in bytes
_NUMBERS = {2: "h", 3: "i", 4: "H", 5: "I", 6: "f", 7: "d", 8: "B", 9: "b", 10: "B", 11: "q"}
_NUMBERS[12] = "Q"
_STRUCT, _TEXT, _ARRAY, _WORD = 15, 18, 20, 4
_MOST_TAGS = 1 << 20  # in a file, where hundreds are usual
_DEEPEST = 64  # groups within groups, where ten are usual
_LONGEST = 1 << 20  # characters of a text
_LONGEST_TYPE = 1 << 12  # numbers that describe a type, two for each field of a structure

Group = dict[
    str, Any
]  # of numbers, arrays and groups; those without a name have their number in the group, from 1


class Array(NamedTuple):
    """Where an array is, in bytes; its text if it may be one."""

    offset: int
    size: int
    text: str = ""


def read_tags(file: IO[bytes], version: int) -> Group:
    """Read all tags; of arrays their places alone.

    Parameters
    ----------
    file : file
        Open for reading; its numbers are little-endian.
    version : {3, 4}

    Raises
    ------
    ValueError
        That says what is wrong at which byte.
    """
    file.seek(_BEGIN[version])
    return _Tree(file, version).group(0)


class _Tree:
    """A file while its tags are read."""

    def __init__(self, file: IO[bytes], version: int) -> None:
        self._file, self._has_lengths, self._left = file, version == 4, _MOST_TAGS
        self._end = os.fstat(file.fileno()).st_size
        self._count = "I" if version == 3 else "Q"

    def group(self, depth: int) -> Group:
        if depth > _DEEPEST:
            raise self._damage(f"groups within more than {_DEEPEST} groups")
        found: Group = {}
        _, _, entries = self._unpack(">BB" + self._count)  # is sorted, is open
        for number in range(1, entries + 1):
            kind, length = self._unpack(">BH")
            if kind not in (GROUP, TAG):
                raise self._damage(f"expected a tag, found one of kind {kind}")
            self._left -= 1
            if not self._left:
                raise self._damage(f"more than {_MOST_TAGS} tags")
            name = self._take(length).decode("latin-1")
            if self._has_lengths:
                self._take(8)
            content = self.group(depth + 1) if kind == GROUP else self._content()
            found[name or str(number)] = content
        return found

    def _content(self) -> Any:
        mark, length = self._unpack(">4s" + self._count)
        if mark != b"%%%%" or not 0 < length <= _LONGEST_TYPE:
            raise self._damage("expected a type")
        first, *rest = self._unpack(f">{length}{self._count}")
        if first in _NUMBERS and not rest:
            return self._unpack("<" + _NUMBERS[first])[0]
        if first == _ARRAY and len(rest) > 1:
            return self._array(rest[:-1], rest[-1])
        if first == _TEXT and len(rest) == 1:
            return self._array([_WORD], self._bounded(rest[0]))
        if first == _STRUCT:
            return self._array([first, *rest], 1)
        raise self._damage(f"expected a type, found {[first, *rest][:8]}")

    def _array(self, kind: list[int], length: int) -> Array:
        """Pass over an array; one of 16-bit numbers that is not long may be a text."""
        place, size = self._file.tell(), length * self._size(kind)
        text = ""
        if kind == [_WORD] and length <= _LONGEST:
            content = self._file.read(size)  # of one that is cut, its place tells
            text = content.decode("utf-16-le", "replace")
        self._file.seek(min(place + size, self._end))  # no system takes any place
        return Array(place, size, text)

    def _size(self, kind: list[int]) -> int:
        """Return the bytes of one item of a type: a number, or a structure of numbers."""
        first, *rest = kind
        fields = [first] if first != _STRUCT else rest[3::2]  # after lengths of names and a count
        if not all(field in _NUMBERS for field in fields) or (first in _NUMBERS and rest):
            raise self._damage(f"expected a type of numbers, found {kind[:8]}")
        return sum(struct.calcsize("<" + _NUMBERS[field]) for field in fields)

    def _bounded(self, length: int) -> int:
        if length > _LONGEST:
            raise self._damage(f"a text of {length} characters")
        return length

    def _unpack(self, code: str) -> tuple[Any, ...]:
        return struct.unpack(code, self._take(struct.calcsize(code)))

    def _take(self, length: int) -> bytes:
        found = self._file.read(length)
        if len(found) < length:
            raise self._damage("the file ends within its tags")
        return found

    def _damage(self, what: str) -> ValueError:
        return ValueError(f"{what} at byte {self._file.tell()}")
