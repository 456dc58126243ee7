"""Arrays that are read, or worked out, when they are sliced.

Whatever is not an array of numpy's, zarr's or dask's is a `LazyArray` here: it has a shape and a
dtype, gives numpy arrays when it is sliced, and reads no more than that takes.
"""

from __future__ import annotations

import math
import operator
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np

from ._on_disk import sent_by_path
from ._pieces import Box, load

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import DTypeLike, NDArray


class LazyArray(np.lib.mixins.NDArrayOperatorsMixin, ABC):
    """An array that is read when it is sliced.

    Indices as numpy's; with other ones than numbers, slices and ``...`` all of it is read first.
    In arithmetic, and in numpy's functions, it counts as the array it stands for.

    Parameters
    ----------
    shape : tuple of int
    dtype : dtype
        In native byte order.
    chunks : tuple of int, optional
        What is best read at a time.
    """

    def __init__(
        self, shape: Sequence[int], dtype: DTypeLike, chunks: Sequence[int] | None = None
    ) -> None:
        self.shape: tuple[int, ...] = tuple(int(n) for n in shape)
        self.dtype: np.dtype[Any] = np.dtype(dtype)
        self.chunks = None if chunks is None else tuple(int(n) for n in chunks)

    @abstractmethod
    def _load(self, box: Box) -> NDArray[Any]:
        """Give what is in a box of this array's axes, none of them left out; never empty."""

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of all values."""
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        path = getattr(self, "path", None)  # of those that read a file
        source = "" if path is None else f"{str(path)!r}, "
        return f"{type(self).__name__}({source}shape={self.shape}, dtype={self.dtype})"

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("a lazy array cannot be one of numpy's without a copy")
        whole: NDArray[Any] = self[...]
        return whole if dtype is None else whole.astype(dtype, copy=False)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        arrays = [np.asarray(one) if isinstance(one, LazyArray) else one for one in inputs]
        return getattr(ufunc, method)(*arrays, **options)

    def __getitem__(self, key: Any) -> Any:
        """Read what numpy's indexing with ``key`` gives; numbers and slices read no more."""
        keys = _plain(key, self.ndim)
        if keys is None:
            return self[...][key]
        pairs = [_box(k, size, axis) for axis, (k, size) in enumerate(zip(keys, self.shape))]  # noqa: B905
        box = tuple(box for box, _ in pairs)
        lengths = tuple(len(range(b.start, b.stop, b.step)) for b in box)
        found = np.empty(lengths, self.dtype) if 0 in lengths else self._load(box)
        return found[tuple(within for _, within in pairs)]


class Mapped(LazyArray):
    """An array whose values, piece by piece, are those of another after a change to each value.

    Parameters
    ----------
    array : array
    dtype : dtype
        After the change.
    change : callable, optional
        Of a piece; by default only the dtype changes.
    """

    def __init__(
        self,
        array: Any,
        dtype: DTypeLike,
        change: Callable[[NDArray[Any]], NDArray[Any]] | None = None,
    ) -> None:
        super().__init__(array.shape, dtype, chunks_of(array))
        self._array, self._change = remappable(array), change

    def _load(self, box: Box) -> NDArray[Any]:
        found = np.asarray(self._array[box])
        changed = found if self._change is None else self._change(found)
        return changed.astype(self.dtype, copy=False)


class Reordered(LazyArray):
    """An array with its axes in another order, some left out, some new.

    Parameters
    ----------
    array : array
    axes : sequence of int
        For each axis here that of the array, or -1 for a new one. Those that are not named have
        size one.
    """

    def __init__(self, array: Any, axes: Sequence[int]) -> None:
        chunks = chunks_of(array)
        super().__init__(
            [1 if axis < 0 else array.shape[axis] for axis in axes],
            array.dtype,
            None if chunks is None else [1 if axis < 0 else chunks[axis] for axis in axes],
        )
        self._array, self._axes = remappable(array), tuple(axes)

    def _load(self, box: Box) -> NDArray[Any]:
        source = [slice(0, 1)] * len(self._array.shape)
        for axis, part in zip(self._axes, box, strict=True):
            if axis >= 0:
                source[axis] = part
        found = np.asarray(self._array[tuple(source)])
        used = [axis for axis in self._axes if axis >= 0]
        rest = [axis for axis in range(found.ndim) if axis not in used]
        lengths = [len(range(part.start, part.stop, part.step)) for part in box]
        return found.transpose(used + rest).reshape(lengths)


class Cropped(LazyArray):
    """A box of another array, read when it is sliced.

    Parameters
    ----------
    array : array
    box : tuple of slice
        Without steps.
    """

    def __init__(self, array: Any, box: Box) -> None:
        super().__init__([b.stop - b.start for b in box], array.dtype, chunks_of(array))
        self._array, self._start = remappable(array), tuple(b.start for b in box)

    def _load(self, box: Box) -> NDArray[Any]:
        moved = tuple(
            slice(b.start + first, b.stop + first, b.step)
            for b, first in zip(box, self._start, strict=True)
        )
        return np.asarray(self._array[moved])


class FileMap(LazyArray):
    """An array that is mapped from a file; other than numpy's it can be sent to other processes.

    numpy would send all of its values; this sends the place in the file, which is mapped there
    again. What was mapped to be read is let go after each slice, see `load`.

    Parameters
    ----------
    array : memmap
        To be read only.
    """

    def __init__(self, array: np.memmap[Any, Any]) -> None:
        super().__init__(array.shape, array.dtype)
        self._array, self.path = sent_by_path(array), array.filename

    def _load(self, box: Box) -> NDArray[Any]:
        return load(self._array, box)

    def __reduce__(self) -> tuple[Any, ...]:
        return FileMap, (self._array,)


def remappable(array: Any) -> Any:
    """Return an array that may be sent to other processes: a memory map as a `FileMap`."""
    able = isinstance(array, np.memmap) and array.mode == "r" and array.filename is not None
    return FileMap(array) if able else array


def native(array: NDArray[Any]) -> Any:
    """Return an array in native byte order: itself if it is, else one that is when it is sliced."""
    if array.dtype.isnative:
        return array
    return Mapped(array, array.dtype.newbyteorder("="))


def is_dask(array: Any) -> bool:
    """Tell an array of dask's, without importing it."""
    return type(array).__module__.partition(".")[0] == "dask"


def chunks_of(array: Any) -> tuple[int, ...] | None:
    """Return the shape of what is best read at a time, if the array says so; of dask's the largest.

    Zarr, h5py and `LazyArray` name one number an axis, dask all sizes along it.
    """
    chunks = getattr(array, "chunks", None)
    if not isinstance(chunks, tuple) or len(chunks) != len(array.shape):
        return None
    return tuple(int(max(c)) if isinstance(c, tuple) else int(c) for c in chunks)


def sliceable(data: Any) -> Any:
    """Return data that have a shape and numpy's dtype and can be sliced; lazy ones as they are."""
    able = hasattr(data, "__getitem__") and hasattr(data, "shape")
    return data if able and isinstance(getattr(data, "dtype", None), np.dtype) else np.asarray(data)


def _plain(key: Any, ndim: int) -> tuple[Any, ...] | None:
    """Give an integer or a slice for every axis; None if the key is anything else."""
    keys = key if isinstance(key, tuple) else (key,)
    if any(k is not Ellipsis and not isinstance(k, slice) and not _is_integer(k) for k in keys):
        return None
    dots = [place for place, k in enumerate(keys) if k is Ellipsis]
    if len(dots) > 1 or len(keys) - len(dots) > ndim:
        return None  # numpy knows what to say
    place = dots[0] if dots else len(keys)
    missing = (slice(None),) * (ndim - len(keys) + len(dots))
    return (*keys[:place], *missing, *keys[place + 1 :])


def _is_integer(key: Any) -> bool:
    return isinstance(key, (int, np.integer)) and not isinstance(key, bool)


def _box(key: Any, size: int, axis: int) -> tuple[slice, Any]:
    """Give what to read along an axis, going forward, and what to take of it."""
    if isinstance(key, slice):
        found = range(*key.indices(size))
        if not found:
            return slice(0, 0, 1), slice(None)
        first, last = min(found[0], found[-1]), max(found[0], found[-1])
        turn = slice(None, None, -1 if found.step < 0 else 1)
        return slice(first, last + 1, abs(found.step)), turn
    index = operator.index(key)
    if not -size <= index < size:
        raise IndexError(f"index {index} is out of bounds for axis {axis} with size {size}")
    return slice(index % size, index % size + 1, 1), 0
