"""Zarr chunks in a directory; each is looked at before it is unpacked.

Blosc believes what the head of a chunk says of its length, and reads on in other memory where it
is cut (run: numcodecs 0.16); and a head may ask for any amount of memory, or several frames of
zstd for more than the first says. A chunk that is a link may be any file of the user's.
Blosc 1: https://www.blosc.org/c-blosc/ (README_CHUNK_FORMAT), zstd: RFC 8878, 3.1.1.
"""

from __future__ import annotations

import math
import os
import stat
import struct
from typing import TYPE_CHECKING, Any

from zarr.storage import LocalStore  # noqa: TID253 - this module is loaded when it is needed

from cryotypes.errors import ReadError

if TYPE_CHECKING:
    from pathlib import Path

_ZSTD = b"\x28\xb5\x2f\xfd"
_BLOCK = 1 << 17  # bytes that a block of zstd unpacks to, at most
_SLACK = 1 << 26  # bytes more than a chunk, where only a limit is known


class CheckedStore(LocalStore):
    """A directory of one array, to be read; `expect` says what a chunk is."""

    _path: Path | None = None
    _inside = ""
    missing: str | None = None
    _is_whole = False
    _codec = ""
    _largest = 0

    def keep_inside(self, folder: Path) -> None:
        """Refuse chunks that are elsewhere from now on, or no regular files."""
        self._inside = os.path.join(os.path.realpath(folder), "")  # noqa: PTH118

    def expect(self, array: Any, path: Path) -> None:
        """Check chunks from now on: they must fit the array.

        Of an array without a fill value, as that of a writer who leaves out none, ``missing`` is
        a chunk that was not there when it was wanted.

        Parameters
        ----------
        array : zarr array
        path : Path
            For errors.
        """
        self._is_whole = array.metadata.fill_value is None
        if getattr(array, "shards", None) is not None or len(array.compressors) != 1:
            return
        (codec,) = array.compressors
        self._codec = str(getattr(codec, "codec_id", type(codec).__name__)).lower()
        self._largest = math.prod(array.chunks) * array.dtype.itemsize
        self._path = path

    async def get(self, key: str, prototype: Any = None, byte_range: Any = None) -> Any:
        """Read the bytes of a key."""
        self._refuse_elsewhere(key)
        return self._checked(key, await super().get(key, prototype, byte_range), byte_range)

    def get_sync(self, key: str, *, prototype: Any = None, byte_range: Any = None) -> Any:
        """Read the bytes of a key."""
        self._refuse_elsewhere(key)
        found = super().get_sync(key, prototype=prototype, byte_range=byte_range)
        return self._checked(key, found, byte_range)

    def _refuse_elsewhere(self, key: str) -> None:
        place = os.path.realpath(self.root / key)
        if self._inside and not place.startswith(self._inside):
            raise ReadError(f"{key} is a link that leads out of the image, to {place}", self.root)
        try:
            mode = os.stat(place).st_mode  # noqa: PTH116 - pathlib's takes longer
        except OSError:
            return  # zarr says what it makes of that
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise ReadError(f"{key} is no regular file", self.root)

    def _checked(self, key: str, found: Any, byte_range: Any) -> Any:
        name = key.rpartition("/")[2]
        if found is None and self._is_whole and "z" not in name:
            self.missing = key
        if found is None or byte_range is not None or self._path is None or "z" in name:
            return found  # nothing, or metadata
        head = found[:18].to_bytes()
        if self._codec.startswith("blosc"):
            size, length = _blosc(head)
        else:
            size, length = _zstd(found, self._largest), len(found)
        if length != len(found):
            raise ReadError(f"chunk {key}: expected {length} bytes, found {len(found)}", self._path)
        if size > self._largest:
            raise ReadError(
                f"chunk {key}: expected {self._largest} bytes once unpacked, found {size}",
                self._path,
            )
        return found


def _blosc(head: bytes) -> tuple[int, int]:
    """Return the bytes unpacked and packed that a chunk of Blosc states."""
    if len(head) < 16:
        return 0, 16
    size, _, length = struct.unpack("<3I", head[4:16])
    return size, length


def _zstd(chunk: Any, largest: int) -> int:
    """Return the bytes unpacked that frames of zstd stand for, 0 for something else.

    What frames do not state is taken as the most that their blocks can hold; a limit that is not
    much more than ``largest`` is taken for that.
    """
    data = memoryview(chunk.to_bytes())
    place, stated, limit = 0, 0, 0
    while data[place : place + 4] == _ZSTD or 0x50 <= _skippable(data, place) <= 0x5F:
        if data[place : place + 4] != _ZSTD:
            place += 8 + int.from_bytes(data[place + 4 : place + 8], "little")
            continue
        has_checksum = place + 4 < len(data) and bool(data[place + 4] & 4)
        size, place = _head(data, place)
        most, place = _blocks(data, place)
        place += 4 * has_checksum
        stated += size or 0
        limit += most if size is None else 0
    return stated + (min(limit, largest) if limit <= 16 * largest + _SLACK else limit)


def _skippable(data: memoryview, place: int) -> int:
    return data[place] if bytes(data[place + 1 : place + 4]) == b"\x2a\x4d\x18" else 0


def _head(data: memoryview, place: int) -> tuple[int | None, int]:
    """Return the bytes unpacked that a frame states, None for none, and where its blocks begin."""
    flags = data[place + 4] if place + 4 < len(data) else 0
    width = (flags >> 5 & 1, 2, 4, 8)[flags >> 6]
    start = place + 5 + (not flags & 32) + (0, 1, 2, 4)[flags & 3]
    size = int.from_bytes(data[start : start + width], "little") + (256 if width == 2 else 0)
    return (size if width else None), start + width


def _blocks(data: memoryview, place: int) -> tuple[int, int]:
    """Return the most bytes that the blocks of a frame stand for, and where they end."""
    most, last = 0, False
    while not last and place + 3 <= len(data):
        head = int.from_bytes(data[place : place + 3], "little")
        last, kind, size = bool(head & 1), head >> 1 & 3, head >> 3
        place += 3 + (1 if kind == 1 else size)
        most += _BLOCK if kind == 2 else size
    return most, place
