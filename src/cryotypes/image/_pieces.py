"""Arrays of any kind and size, gone through piece by piece on all cores, in little memory."""

from __future__ import annotations

import math
import mmap
import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ._on_disk import check_length, ends, read_into

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

Box = tuple[slice, ...]  # one slice an axis, forwards, within the shape
Item = TypeVar("Item")
Result = TypeVar("Result")

PIECE = 1 << 23  # bytes of a piece, if a chunk is not more
_AT_ONCE = 1 << 26  # bytes of all pieces that are worked on
_AROUND = 1 << 16  # bytes that Linux maps around one that is touched
_MAPPED = 1 << 24  # bytes of a file that are mapped at a time to be read


def blocks(
    shape: Sequence[int], itemsize: int, *chunks: Sequence[int] | None, most: int | None = None
) -> Iterator[Box]:
    """Cut a shape into boxes of whole chunks, long in x, of no more than ``most`` bytes.

    Parameters
    ----------
    shape : sequence of int
    itemsize : int
        Bytes of a value.
    *chunks : sequence of int or None
        What must not be cut: the first wins, those that follow as far as the size permits.
    most : int, optional
        By default `PIECE`; one chunk is the least.
    """
    limit = PIECE if most is None else most
    steps = [1] * len(shape)
    for number, chunk in enumerate(c for c in chunks if c is not None):
        whole = [s * -(-min(c, n) // s) for s, c, n in zip(steps, chunk, shape, strict=True)]
        if number == 0 or math.prod(whole) * itemsize <= max(limit, _AT_ONCE):
            steps = whole
    for axis in reversed(range(len(shape))):
        fit = max(1, limit // (math.prod(steps) * itemsize))
        steps[axis] = min(fit * steps[axis], shape[axis])
    yield from _grid(shape, steps)


def rereads(boxes: Sequence[Box], chunks: Sequence[int] | None, shape: Sequence[int]) -> float:
    """Return how often a chunk is read, on average, if boxes of a grid are read one by one."""
    if chunks is None:
        return 1.0
    times = 1.0
    for axis, (chunk, size) in enumerate(zip(chunks, shape, strict=True)):
        spans = {(box[axis].start, box[axis].stop) for box in boxes}
        touched = sum((stop - 1) // chunk - start // chunk + 1 for start, stop in spans)
        times *= touched / -(-size // chunk)
    return times


def slabs(
    shape: Sequence[int], itemsize: int, multiple: int = 1, depth: int = 1
) -> Iterator[slice]:
    """Cut the first axis into slabs of a multiple of some sections.

    Of chunks that are ``depth`` sections deep a slab holds more, for each may read all of them.
    """
    section = math.prod(shape[1:]) * itemsize * multiple
    step = max(1, PIECE // section, min(depth, 2 * _AT_ONCE // section)) * multiple
    for start in range(0, shape[0], step):
        yield slice(start, min(start + step, shape[0]))


def _grid(shape: Sequence[int], steps: Sequence[int]) -> Iterator[Box]:
    import itertools

    starts = [range(0, n, step) for n, step in zip(shape, steps, strict=True)]
    for corner in itertools.product(*starts):
        yield tuple(
            slice(start, min(start + step, n))
            for start, step, n in zip(corner, steps, shape, strict=True)
        )


def volume(box: Box) -> int:
    """Return how many values a box without steps holds."""
    return math.prod(b.stop - b.start for b in box)


def load(array: Any, box: Any) -> NDArray[Any]:
    """Read a piece: by plain reads where it lies together, else what was mapped is let go.

    The pages of a memory map count as this process's memory for as long as they are mapped, though
    nobody else needs that memory until it is asked for; batch systems kill jobs for it.
    """
    piece = array[box]
    if not isinstance(piece, np.memmap) or not piece.size:
        return np.asarray(piece)
    found = np.empty(piece.shape, piece.dtype)
    axis = int(np.argmax(np.abs(piece.strides)))  # along which the file is gone through
    before = (slice(None),) * axis
    first, last = ends(piece)
    mapped = False
    step = max(1, _MAPPED * piece.shape[axis] // (last - first))
    for start in range(0, piece.shape[axis], step):
        part = (*before, slice(start, start + step))
        within = piece[part]
        if not read_into(found[part], within):
            check_length(within)
            found[part] = np.asarray(within)
            _let_go(within)
            mapped = True
    if mapped:
        _let_go(piece)  # and what the system mapped around the parts
    return found


def _let_go(piece: Any) -> None:
    mapping = getattr(piece, "_mmap", None)
    if getattr(piece, "mode", "") != "r" or mapping is None or not hasattr(mmap, "MADV_DONTNEED"):
        return
    first, last = ends(piece)
    base = np.frombuffer(mapping, np.uint8).__array_interface__["data"][0]
    start = max(0, (first - base - _AROUND) // mmap.PAGESIZE * mmap.PAGESIZE)
    length = min(last - base + _AROUND, len(mapping)) - start
    mapping.madvise(mmap.MADV_DONTNEED, start, length)


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_threads(
    function: Callable[[Item], Result], items: Iterable[Item], size: int
) -> Iterator[Result]:
    """Apply a function to all items on all cores; give the results in order, and hold few.

    Parameters
    ----------
    function : callable
        It should spend its time in numpy or in decompression, which use cores side by side.
    items : iterable
    size : int
        Bytes that one item takes: large ones are worked on by fewer threads.
    """
    workers = max(1, min(cores(), _AT_ONCE // max(size, 1)))
    if workers == 1:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[Any] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for one in waiting:
                one.cancel()
