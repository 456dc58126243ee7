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
    from io import FileIO

    from numpy.typing import DTypeLike, NDArray


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

    A mapping of a file that was cut kills the process that reads it. So slices, numpy's functions
    and arithmetic see before that it is still as long; what takes it for a plain array (as
    ``np.asarray``) does not, nor what is cut while numpy reads it.
    """

    file: AsRead | None = None
    inode: tuple[int, int] | None = None

    def __array_finalize__(self, array: Any) -> None:
        super().__array_finalize__(array)
        self.file, self.inode = getattr(array, "file", None), getattr(array, "inode", None)

    def __reduce__(self) -> Any:
        if getattr(self, "_mmap", None) is None or self.file is None or not self.size:
            return np.array(self).__reduce__()
        return _map_again, (self.file, _offset(self), self.shape, self.dtype, self.strides)

    def __getitem__(self, key: Any) -> Any:
        check_length(self)
        found = super().__getitem__(key)
        copied = isinstance(found, SentByPath) and getattr(found, "_mmap", None) is None
        return found.view(np.ndarray) if copied else found

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        plain = [_checked(one) for one in inputs]
        options = {name: _checked(one) for name, one in options.items()}
        return getattr(ufunc, method)(*plain, **options)

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        check_length(self)
        return super().__array_function__(function, types, args, options)

    def astype(self, *args: Any, **options: Any) -> Any:
        """Convert, as numpy's arrays do."""
        return _checked(self).astype(*args, **options)

    def copy(self, *args: Any, **options: Any) -> Any:
        """Copy into memory."""
        return _checked(self).copy(*args, **options)

    def tobytes(self, *args: Any, **options: Any) -> bytes:
        """Return the bytes."""
        found: bytes = _checked(self).tobytes(*args, **options)
        return found

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
        state = os.fstat(file.fileno())
        mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    array: Any = np.ndarray.__new__(SentByPath, tuple(shape), dtype, mapping, offset, strides)
    array._mmap, array.filename, array.mode, array.offset = mapping, seen.path, "r", offset
    array.file, array.inode = seen, (state.st_dev, state.st_ino)
    return array  # type: ignore[no-any-return]


def check_length(array: Any) -> None:
    """See that the file of a memory map is still as long as it was.

    Raises
    ------
    ReadError
    """
    mapping = getattr(array, "_mmap", None)
    if mapping is not None and mapping.size() < len(mapping):
        raise _cut(str(array.filename), len(mapping), mapping.size())


def _checked(array: Any) -> Any:
    if not isinstance(array, SentByPath):
        return array
    check_length(array)
    return array.view(np.ndarray)


def _cut(path: str, expected: int, found: int) -> ReadError:
    return ReadError(
        f"the file was cut since it was opened: expected {expected} bytes, found {found}", path
    )


def read_into(found: NDArray[Any], piece: NDArray[Any]) -> bool:
    """Read part of a memory map by plain reads, which a file that is cut meanwhile cannot harm.

    Parameters
    ----------
    found : array
        New, of the shape and dtype of ``piece``.
    piece : memmap

    Returns
    -------
    bool
        False, and nothing is read, if little of what would be read is wanted, or if the file at
        the path is another one by now, or none.

    Raises
    ------
    ReadError
        If the file was cut.
    """
    first, last = ends(piece)
    if not isinstance(piece, SentByPath) or piece.file is None or last - first > 2 * found.nbytes:
        return False
    try:
        file = open(piece.file.path, "rb", buffering=0)  # noqa: PTH123, SIM115 - closed below
    except OSError:
        return False
    with file:
        state = os.fstat(file.fileno())
        if (state.st_dev, state.st_ino) != piece.inode:
            return False
        start = piece.__array_interface__["data"][0] - first
        file.seek(_offset(piece) - start)
        straight = found.flags.c_contiguous and piece.strides == found.strides
        content = found.reshape(-1).view(np.uint8) if straight else np.empty(last - first, np.uint8)
        _fill(file, content, piece.file.path)
    if not straight:
        found[...] = np.ndarray(piece.shape, piece.dtype, content.data, start, piece.strides)
    return True


def _fill(file: FileIO, content: NDArray[np.uint8], path: str) -> None:
    view = memoryview(content.data)
    while len(view):
        count = file.readinto(view)
        if not count:
            raise _cut(path, file.tell() + len(view), os.fstat(file.fileno()).st_size)
        view = view[count:]


def ends(array: NDArray[Any]) -> tuple[int, int]:
    """Return the addresses of the first byte and after the last."""
    first = last = array.__array_interface__["data"][0]
    for size, stride in zip(array.shape, array.strides, strict=True):
        if stride < 0:
            first += (size - 1) * stride
        else:
            last += (size - 1) * stride
    return first, last + array.itemsize


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
