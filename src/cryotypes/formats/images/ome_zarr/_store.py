"""Zarr chunks in a directory; each is looked at before it is unpacked.

Blosc believes what the head of a chunk says of its length, and reads on in other memory where it
is cut (run: numcodecs 0.16); and a head may ask for any amount of memory.
Blosc 1: https://www.blosc.org/c-blosc/ (README_CHUNK_FORMAT), zstd: RFC 8878, 3.1.1.
"""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Any

from zarr.storage import LocalStore  # noqa: TID253 - this module is loaded when it is needed

from cryotypes.errors import ReadError

if TYPE_CHECKING:
    from pathlib import Path

_ZSTD = b"\x28\xb5\x2f\xfd"


class CheckedStore(LocalStore):
    """A directory of one array, to be read; `expect` says what a chunk is."""

    _path: Path | None = None
    _codec = ""
    _largest = 0

    def expect(self, array: Any, path: Path) -> None:
        """Check chunks from now on: they must fit the array.

        Parameters
        ----------
        array : zarr array
        path : Path
            For errors.
        """
        if getattr(array, "shards", None) is not None or len(array.compressors) != 1:
            return
        (codec,) = array.compressors
        self._codec = str(getattr(codec, "codec_id", type(codec).__name__)).lower()
        self._largest = math.prod(array.chunks) * array.dtype.itemsize
        self._path = path

    async def get(self, key: str, prototype: Any = None, byte_range: Any = None) -> Any:
        """Read the bytes of a key."""
        return self._checked(key, await super().get(key, prototype, byte_range), byte_range)

    def get_sync(self, key: str, *, prototype: Any = None, byte_range: Any = None) -> Any:
        """Read the bytes of a key."""
        found = super().get_sync(key, prototype=prototype, byte_range=byte_range)
        return self._checked(key, found, byte_range)

    def _checked(self, key: str, found: Any, byte_range: Any) -> Any:
        name = key.rpartition("/")[2]
        if found is None or byte_range is not None or self._path is None or "z" in name:
            return found  # nothing, or metadata
        head = found[:18].to_bytes()
        if self._codec.startswith("blosc"):
            size, length = _blosc(head)
        else:
            size, length = _zstd(head), len(found)
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


def _zstd(head: bytes) -> int:
    """Return the bytes unpacked that a zstd frame states, 0 for none or of something else."""
    if head[:4] != _ZSTD or len(head) < 18:
        return 0
    flags = head[4]
    width = (flags >> 5 & 1, 2, 4, 8)[flags >> 6]
    start = 5 + (not flags & 32) + (0, 1, 2, 4)[flags & 3]
    return int.from_bytes(head[start : start + width], "little") + (256 if width == 2 else 0)
