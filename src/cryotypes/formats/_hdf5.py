"""What readers of HDF5 share: errors of the library in our words, and data read when asked for.

https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html
"""

from __future__ import annotations

import operator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from cryotypes.errors import MissingPackageError, ReadError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import DTypeLike, NDArray

_MAGIC = b"\x89HDF\r\n\x1a\n"
# What the library raises for damaged files: it believes what they say.
_DAMAGE = (
    *(OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError, IndexError),
    *(ArithmeticError, MemoryError, UnicodeError, NotImplementedError),
)


def looks_like_hdf5(data: bytes) -> bool:
    """Tell an HDF5 file by its signature and the sizes that its superblock states."""
    if data[:8] != _MAGIC or len(data) < 48 or data[8] > 3:
        return False
    sizes = data[13:15] if data[8] < 2 else data[9:11]
    return all(size in (2, 4, 8, 16) for size in sizes)


def h5py_for(purpose: str) -> Any:
    """Import h5py.

    Raises
    ------
    MissingPackageError
    """
    try:
        import h5py
    except ImportError as error:
        raise MissingPackageError("h5py", "hdf", purpose) from error
    return h5py


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Open for reading.

    Raises
    ------
    OSError
        Python's own, for a missing or unreadable file.
    ReadError
        For whatever the library complains of, then or while the file is open.
    """
    h5py = h5py_for("reading HDF5")
    path.open("rb").close()
    try:
        with h5py.File(path, "r") as file:
            yield file
    except ReadError:
        raise
    except _DAMAGE as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ReadError(f"cannot be read as HDF5 ({reason})", path) from error


def is_image(dataset: Any) -> bool:
    """Whether a dataset holds numbers in two or three dimensions, and any at all."""
    shape = dataset.shape
    return shape is not None and len(shape) in (2, 3) and 0 not in shape and _is_numeric(dataset)


def _is_numeric(dataset: Any) -> bool:
    try:
        return dataset.dtype.kind in "iufcb"
    except TypeError:  # a type that numpy has not
        return False


def check_stored(dataset: Any, path: Path) -> None:
    """Refuse a dataset whose shape does not go with what is stored of it.

    Raises
    ------
    ReadError
    """
    name, stored = dataset.name, dataset.id.get_storage_size()
    if dataset.is_virtual or dataset.external:
        return
    if stored == 0:
        raise ReadError(f"{name}: expected data, found a dataset that was never written", path)
    if dataset.chunks is None and stored != dataset.nbytes:
        raise ReadError(f"{name}: expected {dataset.nbytes} bytes, found {stored}", path)
    if dataset.chunks is not None and hasattr(dataset.id, "chunk_iter"):
        _check_chunks(dataset, path)


def _check_chunks(dataset: Any, path: Path) -> None:
    """Refuse chunks of impossible sizes: the library does not, and crashes (run: HDF5 2.0).

    A chunk with a checksum must be longer than the checksum's four bytes.
    """
    least, most = (5 if dataset.fletcher32 else 1), path.stat().st_size

    def impossible(chunk: Any) -> int | None:
        return None if least <= chunk.size <= most else int(chunk.size)

    found = dataset.id.chunk_iter(impossible)
    if found is not None:
        raise ReadError(
            f"{dataset.name}: expected chunks of {least} to {most} bytes, found {found}", path
        )


class Scale(NamedTuple):
    """Numbers stored as integers: (stored + offset) / steps, from ``low`` to ``high``."""

    offset: float
    steps: float
    low: float
    high: float

    def apply(self, stored: NDArray[Any]) -> NDArray[np.float32]:
        """Return the numbers, in single precision as EMAN2 computes them."""
        import numpy as np

        values = stored.astype(np.float32)
        values += np.float32(self.offset)
        values /= np.float32(self.steps)
        values *= np.float32(self.high) - np.float32(self.low)
        values += np.float32(self.low)
        return values


class Part(NamedTuple):
    """A dataset in the file, and how its numbers are meant."""

    name: str
    scale: Scale | None = None


class HdfArray:
    """An array in an HDF5 file; slices are read when asked for, the file is not kept open.

    Parameters
    ----------
    path : Path
    parts : sequence of Part
        One dataset, or, if ``stacked``, one for each index of the first axis.
    shape, dtype
        Of the whole.
    stacked : bool
    """

    def __init__(
        self,
        path: Path,
        parts: Sequence[Part],
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        stacked: bool = False,
    ) -> None:
        self.path, self.parts, self.stacked = path, tuple(parts), stacked
        self.shape, self.dtype, self.ndim = shape, dtype, len(shape)

    def __repr__(self) -> str:
        return f"HdfArray({str(self.path)!r}, shape={self.shape}, dtype={self.dtype})"

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("the data are in a file: there is no array without a copy")
        whole = self._load(tuple(slice(0, size) for size in self.shape))
        return whole if dtype is None else whole.astype(dtype, copy=False)

    def __getitem__(self, key: Any) -> Any:
        """Read what numpy's indexing with ``key`` gives; slices and integers read no more."""
        import numpy as np

        keys = _plain(key, self.ndim)
        if keys is None:
            return np.asarray(self)[key]
        pairs = [
            _box(k, size, axis) for axis, (k, size) in enumerate(zip(keys, self.shape, strict=True))
        ]
        return self._load(tuple(box for box, _ in pairs))[tuple(within for _, within in pairs)]

    def _load(self, box: tuple[slice, ...]) -> NDArray[Any]:
        """Read a box of slices that go forward."""
        import numpy as np

        shape = tuple(
            len(range(*part.indices(size))) for part, size in zip(box, self.shape, strict=True)
        )
        if 0 in shape:
            return np.empty(shape, self.dtype)
        with opened(self.path) as file:
            if not self.stacked:
                return self._read(file, self.parts[0], box)
            result = np.empty(shape, self.dtype)
            for index, part in enumerate(self.parts[box[0]]):
                result[index] = self._read(file, part, box[1:])
            return result

    def _read(self, file: Any, part: Part, box: tuple[slice, ...]) -> NDArray[Any]:
        dataset = file[part.name]
        expected = self.shape[1:] if self.stacked else self.shape
        if dataset.shape != expected and (1, *dataset.shape) != expected:
            raise ReadError(
                f"{part.name}: the shape is now {dataset.shape}, not {expected}", self.path
            )
        lines = dataset[box[-len(dataset.shape) :]].reshape(
            [len(range(*b.indices(n))) for b, n in zip(box, expected, strict=True)]
        )
        values: NDArray[Any] = lines if part.scale is None else part.scale.apply(lines)
        return values.astype(self.dtype, copy=False)


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
    import numpy as np

    return isinstance(key, (int, np.integer)) and not isinstance(key, bool)


def _box(key: Any, size: int, axis: int) -> tuple[slice, Any]:
    """Give what to read along an axis, going forward, and what to take of it."""
    if isinstance(key, slice):
        found = range(*key.indices(size))
        if not found:
            return slice(0, 0), slice(None)
        first, last = min(found[0], found[-1]), max(found[0], found[-1])
        turn = slice(None, None, -1 if found.step < 0 else 1)
        return slice(first, last + 1, abs(found.step)), turn
    index = operator.index(key)
    if not -size <= index < size:
        raise IndexError(f"index {index} is out of bounds for axis {axis} with size {size}")
    return slice(index % size, index % size + 1), 0
