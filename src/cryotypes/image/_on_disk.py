"""Files that arrays are read from later: known by path, size and time, sent by path."""

from __future__ import annotations

import mmap
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cryotypes.errors import ReadError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import DTypeLike


class AsRead(NamedTuple):
    """A file as it was when it was read.

    Who reads on in it later, maybe in another process and another folder, must not read another
    file's values as this one's.
    """

    path: str
    size: int
    time: int

    @classmethod
    def of(cls, path: str | Path, file: int | None = None) -> AsRead:
        """Look at a file now; an open one by its number."""
        # pathlib's own would take half of the time that opening an MRC file does
        state = os.stat(path if file is None else file)  # noqa: PTH116
        return cls(os.path.abspath(path), state.st_size, state.st_mtime_ns)  # noqa: PTH100

    def check(self) -> None:
        """See that it is there, unchanged.

        Raises
        ------
        OSError
            Python's own, if it is gone.
        ReadError
            If it has changed.
        """
        now = AsRead.of(self.path)
        if now != self:
            raise ReadError(
                f"the file has changed since it was read: expected {self._state}, found "
                f"{now._state}; read it again",
                self.path,
            )

    @property
    def _state(self) -> str:
        from datetime import UTC, datetime

        time = datetime.fromtimestamp(self.time / 1e9, UTC)
        return f"{self.size} bytes of {time:%Y-%m-%d %H:%M:%S.%f} UTC"


class SentByPath(np.memmap[Any, Any]):
    """A memory map of a file that is sent to other processes by the file's path, not by value.

    So are parts of it. What is worked out from it is numpy's own array.
    """

    file: AsRead | None = None

    def __array_finalize__(self, array: Any) -> None:
        super().__array_finalize__(array)
        self.file = getattr(array, "file", None)

    def __reduce__(self) -> Any:
        if getattr(self, "_mmap", None) is None or self.file is None or not self.size:
            return np.array(self).__reduce__()
        return _map_again, (self.file, _offset(self), self.shape, self.dtype, self.strides)

    def __getitem__(self, key: Any) -> Any:
        found = super().__getitem__(key)
        copied = isinstance(found, SentByPath) and getattr(found, "_mmap", None) is None
        return found.view(np.ndarray) if copied else found

    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
        if array is self:
            return array
        plain = np.asarray(array)
        return plain[()] if return_scalar or not plain.ndim else plain  # numpy 1 tells not


def map_file(
    path: str | Path,
    dtype: DTypeLike,
    offset: int,
    shape: Sequence[int],
    strides: tuple[int, ...] | None = None,
) -> SentByPath:
    """Map an array in a file that is as long as it takes, to be read only."""
    with open(path, "rb") as file:  # noqa: PTH123 - Path's own takes longer than the rest
        seen = AsRead.of(path, file.fileno())
        mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    array: Any = np.ndarray.__new__(SentByPath, tuple(shape), dtype, mapping, offset, strides)
    array._mmap, array.filename, array.mode, array.offset = mapping, seen.path, "r", offset
    array.file = seen
    return array  # type: ignore[no-any-return]


def sent_by_path(array: np.memmap[Any, Any]) -> SentByPath:
    """Return a memory map of numpy's, to be read only, as one that is sent by its path."""
    if isinstance(array, SentByPath):
        return array
    found = array.view(SentByPath)
    found.file = AsRead.of(str(array.filename))
    return found


def _offset(array: Any) -> int:
    root = array
    while isinstance(root.base, np.ndarray):
        root = root.base
    first, start = (a.__array_interface__["data"][0] for a in (array, root))
    place: int = int(root.offset) + first - start
    return place


def _map_again(
    file: AsRead,
    offset: int,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    strides: tuple[int, ...],
) -> SentByPath:
    file.check()
    return map_file(file.path, dtype, offset, shape, strides)
