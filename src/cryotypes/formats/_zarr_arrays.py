"""Arrays in chunks: seen in another order of axes, written block by block, halved by means."""

from __future__ import annotations

import itertools
import math
import os
import shutil
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from cryotypes.errors import ReadError

from ._multiscales import is_zarr

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

_BLOCK = 1 << 26  # bytes of a block, if one chunk is not more


class View:
    """An array with its axes in another order, and without those of size one; read when sliced.

    Parameters
    ----------
    array : zarr array
    axes : sequence of int
        For each axis of the view that of the array; -1 makes a new one. The others have size one.
    path : Path
        For errors.
    """

    def __init__(self, array: Any, axes: list[int], path: Path) -> None:
        self._array, self._axes, self._path = array, axes, path
        self.dtype: np.dtype[Any] = array.dtype
        self.shape = tuple(1 if axis < 0 else int(array.shape[axis]) for axis in axes)
        self.ndim, self.size = len(axes), math.prod(self.shape)
        self.nbytes = self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return f"View(shape={self.shape}, dtype={self.dtype})"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("data in chunks cannot be an array without a copy")
        return np.asarray(self[...], dtype=dtype)

    def __getitem__(self, key: Any) -> Any:
        """Read the smallest box of whole ranges; other indices than numbers and slices read all."""
        keys = key if isinstance(key, tuple) else (key,)
        if any(k is Ellipsis for k in keys):
            at = next(i for i, k in enumerate(keys) if k is Ellipsis)
            keys = keys[:at] + (slice(None),) * (self.ndim - len(keys) + 1) + keys[at + 1 :]
        if len(keys) > self.ndim or not all(_is_plain(k) for k in keys):
            return self[...][key]
        keys += (slice(None),) * (self.ndim - len(keys))
        ranges = [_range(k, n) for k, n in zip(keys, self.shape, strict=True)]
        box = self._box([(min(r), max(r) + 1) if r else (0, 0) for r in ranges])
        return box[tuple(slice(None, None, k.step) if isinstance(k, slice) else 0 for k in keys)]

    def _box(self, bounds: list[tuple[int, int]]) -> NDArray[Any]:
        source = [slice(0, 1)] * self._array.ndim
        for axis, (start, stop) in zip(self._axes, bounds, strict=True):
            if axis >= 0:
                source[axis] = slice(start, stop)
        try:
            found = np.asarray(self._array[tuple(source)])
        except (OSError, MemoryError):
            raise
        except Exception as error:  # a decompression raises whatever it likes
            raise ReadError(f"damaged data ({error})", self._path) from error
        used = [axis for axis in self._axes if axis >= 0]
        rest = [axis for axis in range(found.ndim) if axis not in used]
        return found.transpose(used + rest).reshape([stop - start for start, stop in bounds])


def _is_plain(key: Any) -> bool:
    return isinstance(key, (int, np.integer, slice)) and not isinstance(key, bool)


def _range(key: Any, size: int) -> range:
    if isinstance(key, slice):
        return range(*key.indices(size))
    if not -size <= key < size:
        raise IndexError(f"index {key} is out of bounds for an axis of size {size}")
    return range(int(key) % size, int(key) % size + 1)


def blocks(
    shape: tuple[int, ...], chunks: tuple[int, ...], itemsize: int
) -> Iterator[tuple[slice, ...]]:
    """Cut a shape into blocks of whole chunks, long in x, of not much memory."""
    steps = list(chunks)
    for axis in reversed(range(len(shape))):
        fit = max(1, _BLOCK // (math.prod(steps) * itemsize))
        steps[axis] *= min(fit, -(-shape[axis] // steps[axis]))
    starts = [range(0, n, step) for n, step in zip(shape, steps, strict=True)]
    for corner in itertools.product(*starts):
        yield tuple(
            slice(start, min(start + step, n))
            for start, step, n in zip(corner, steps, shape, strict=True)
        )


def mean(block: NDArray[Any], factors: tuple[int, ...]) -> NDArray[Any]:
    """Average boxes of ``factors`` (1 or 2); where the last is cut, what is there of it.

    Integers are rounded; no sum overflows.
    """
    odd = [(0, -n % f) for n, f in zip(block.shape, factors, strict=True)]
    if any(after for _, after in odd):
        block = np.pad(block, odd, mode="edge")
    corners = itertools.product(*(range(f) for f in factors))
    parts = [
        block[tuple(slice(at, None, f) for at, f in zip(corner, factors, strict=True))]
        for corner in corners
    ]
    count = len(parts)
    if block.dtype.kind in "iub":
        wide: Any = np.uint64 if block.dtype.kind == "u" else np.int64
        whole = np.zeros(parts[0].shape, wide)
        rest = np.zeros(parts[0].shape, np.int64)
        for part in parts:
            quotient, remainder = np.divmod(part.astype(wide), wide(count))
            whole += quotient
            rest += remainder.astype(np.int64)
        rounded: NDArray[Any] = whole + np.rint(rest / count).astype(wide)
        return rounded.astype(block.dtype)
    total = np.zeros(parts[0].shape, np.result_type(block.dtype, np.float64))
    with np.errstate(all="ignore"):
        for part in parts:
            total += part / count
        return total.astype(block.dtype)


@contextmanager
def writing_directory(path: Path, overwrite: bool) -> Iterator[Path]:
    """Give a temporary directory beside ``path``; on success it takes its place.

    On failure it is removed, and what was there before is there still. A link is followed.

    Raises
    ------
    FileExistsError
        Before anything is written, if the path is taken and ``overwrite`` is False, or if it is a
        directory that does not look like one of zarr.
    """
    target = path.resolve()
    _refuse(path, target, overwrite)
    temporary = target.with_name(f".{os.getpid()}.{target.name}")
    old = target.with_name(f".{os.getpid()}.old.{target.name}")
    try:
        temporary.mkdir()
        yield temporary
        _refuse(path, target, overwrite)
        if not target.exists():
            temporary.replace(target)
            return
        try:
            target.replace(old)
            temporary.replace(target)
        except BaseException:
            if old.exists() and not target.exists():
                old.replace(target)
            raise
        _remove(old)
    except BaseException:
        _remove_for_good(temporary)
        raise


def _refuse(path: Path, target: Path, overwrite: bool) -> None:
    if target.exists() and not overwrite:
        raise FileExistsError(f"{path} exists; overwrite it with overwrite=True (--overwrite)")
    if target.is_dir() and target.suffix.lower() != ".zarr" and not is_zarr(target):
        raise FileExistsError(f"{path} is a directory that is not of zarr; it is not replaced")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"{target.parent} is not a directory; make it first")


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _remove_for_good(path: Path) -> None:
    """Remove what other threads of zarr may still be writing when one of them has failed."""
    absent = 0
    for _ in range(100):
        absent = 0 if path.exists() else absent + 1
        if absent == 4:
            return
        _remove(path)
        time.sleep(0.02)
