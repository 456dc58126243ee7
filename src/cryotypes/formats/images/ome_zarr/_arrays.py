"""Arrays in chunks: seen in another order of axes, written block by block, halved by means."""

from __future__ import annotations

import math
import shutil
import time
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from cryotypes.errors import GuessWarning, ReadError
from cryotypes.formats.shared.aside import alone, aside, exchange, inherit
from cryotypes.formats.shared.files import refuse_overwrite, say_if_full
from cryotypes.image._arrays import Reordered
from cryotypes.image._on_disk import AsRead
from cryotypes.image._pieces import blocks, in_threads, volume

from ._multiscales import is_ours

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from cryotypes._progress import Work
    from cryotypes.image._pieces import Box


class View(Reordered):
    """A zarr array with its axes in another order, and without those of size one.

    Parameters
    ----------
    array : zarr array
    axes : sequence of int
        See `Reordered`.
    path : Path
        For errors.
    metadata : Path
        The file of the array's own metadata. While it is there, a chunk that is not holds zeros;
        without it they would be zeros of an array that is gone.
    """

    def __init__(self, array: Any, axes: list[int], path: Path, metadata: Path) -> None:
        super().__init__(array, axes)
        self.path, self._file = path.absolute(), AsRead.of(metadata)

    def _load(self, box: Box) -> NDArray[Any]:
        self._file.check()
        try:
            found = super()._load(box)
        except (OSError, MemoryError, ReadError):
            raise
        except Exception as error:  # a decompression raises whatever it likes
            raise ReadError(f"damaged data ({error})", self.path) from error
        self._warn_of_missing()
        return found

    def _warn_of_missing(self) -> None:
        store = self._array.store
        if store.missing is not None:
            warnings.warn(
                f"{self.path}: chunk {store.missing} is not there, nor does the array say what "
                "absent chunks hold (its fill value is null); zeros are assumed",
                GuessWarning,
                stacklevel=4,
            )
            store.missing = None


def halve(finer: Any, coarser: Any, step: tuple[int, ...], work: Work) -> None:
    """Fill a level with the means of the one before it.

    Parameters
    ----------
    finer, coarser : zarr array
    step : tuple of int
        1 or 2 for each axis.
    work : Work
        Told of each value of the finer one.
    """
    itemsize = finer.dtype.itemsize * math.prod(step)
    halves = [max(1, c // f) for c, f in zip(finer.chunks, step, strict=True)]
    boxes = list(blocks(coarser.shape, itemsize, coarser.chunks))

    def fill(box: Box) -> int:
        lengths = [b.stop - b.start for b in box]
        result, size = np.empty(lengths, coarser.dtype), 0
        for part in blocks(lengths, itemsize, halves):
            source = tuple(
                slice((b.start + p.start) * f, min((b.start + p.stop) * f, n))
                for b, p, f, n in zip(box, part, step, finer.shape, strict=True)
            )
            found = np.asarray(finer[source])
            result[part] = mean(found, step)
            size += found.size
        coarser[box] = result
        return size

    # of a box there are in memory the result, and of a part the sums in double precision, too
    for size in in_threads(fill, boxes, 4 * volume(boxes[0]) * finer.dtype.itemsize):
        work.add(size)


def mean(block: NDArray[Any], factors: tuple[int, ...]) -> NDArray[Any]:
    """Average boxes of ``factors`` (1 or 2); where the last is cut, what is there of it.

    Integers are rounded; no sum overflows.
    """
    odd = [(0, -n % f) for n, f in zip(block.shape, factors, strict=True)]
    if any(after for _, after in odd):
        block = np.pad(block, odd, mode="edge")
    dtype, count = block.dtype, math.prod(factors)
    if dtype.kind in "iu" and dtype.itemsize == 8:
        wide: Any = np.uint64 if dtype.kind == "u" else np.int64
        whole, rest = np.divmod(block, wide(count))
        remainder = np.rint(_sums(rest, factors, wide) / count).astype(wide)
        return np.asarray(_sums(whole, factors, wide) + remainder, dtype)
    if dtype.kind in "iub":
        return np.rint(_sums(block, factors, np.int64) / count).astype(dtype)
    with np.errstate(all="ignore"):
        if dtype.itemsize >= (16 if dtype.kind == "c" else 8):
            return _sums(block / count, factors, dtype)
        return (_sums(block, factors, np.result_type(dtype, np.float64)) / count).astype(dtype)


def _sums(block: NDArray[Any], factors: tuple[int, ...], wide: Any) -> NDArray[Any]:
    """Add neighbours, axis by axis."""
    for axis, factor in enumerate(factors):
        if factor == 2:
            before = (slice(None),) * axis
            even, odd = block[(*before, slice(0, None, 2))], block[(*before, slice(1, None, 2))]
            block = np.add(even, odd, dtype=wide)
    return block.astype(wide, copy=False)


@contextmanager
def writing_directory(path: Path, overwrite: bool) -> Iterator[Path]:
    """Give a temporary directory aside; on success it takes the place of ``path``.

    On failure it is removed, and what was there before is there still. A link is followed.

    Raises
    ------
    FileExistsError
        Before anything is written, if the path is taken and ``overwrite`` is False, or by anything
        but a file, or a directory that is nothing but an image of cryotypes.
    """
    target = _refuse(path, overwrite)
    with aside(target) as folder:
        temporary = folder / target.name
        try:
            temporary.mkdir()
            yield temporary
            with alone(target.parent):
                _refuse(path, overwrite)
                if target.is_dir():
                    inherit(target, temporary)
                if target.exists():
                    exchange(temporary, target)
                else:
                    temporary.replace(target)
        except BaseException as error:
            _remove_for_good(temporary)
            say_if_full(error, path)
            raise


def _refuse(path: Path, overwrite: bool) -> Path:
    """Return where a directory is to be, links followed."""
    if not path.is_dir():
        return refuse_overwrite(path, overwrite)
    if not overwrite:
        raise FileExistsError(f"{path} exists; overwrite it with overwrite=True (--overwrite)")
    if not is_ours(path):
        raise FileExistsError(
            f"{path} is a directory that is not an image of cryotypes, or holds more than that; "
            "it is not replaced (choose another name, or remove it yourself)"
        )
    return path.resolve()


def _remove_for_good(path: Path) -> None:
    """Remove what other threads of zarr may still be writing when one of them has failed."""
    absent = 0
    for _ in range(100):
        absent = 0 if path.exists() else absent + 1
        if absent == 4:
            return
        shutil.rmtree(path, ignore_errors=True)
        time.sleep(0.02)
