"""Look into images: statistics, contrast, slices."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

import numpy as np

from cryotypes.poseset._operations import changed

from ._arrays import chunks_of, is_dask
from ._checks import checked_data, checked_volume
from ._moments import Moments
from ._pieces import blocks, in_threads, load, slabs, volume

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from ._pieces import Box
    from ._protocol import TomogramProtocol

T = TypeVar("T", bound="TomogramProtocol")
Axis: TypeAlias = Literal["x", "y", "z"]

_SAMPLE = 1 << 20  # numbers that percentiles are taken of


@dataclass(frozen=True)
class ImageStatistics:
    """What `statistics` finds; of the finite values, and NaN if there is none.

    Parameters
    ----------
    minimum, maximum, mean, std : float
        ``std`` divides by the number of values.
    finite, not_finite : int
        How many values are finite, and how many NaN or infinite.
    """

    minimum: float
    maximum: float
    mean: float
    std: float
    finite: int
    not_finite: int


def statistics(image: TomogramProtocol) -> ImageStatistics:
    """Find minimum, maximum, mean and standard deviation in one pass, in double precision.

    Parameters
    ----------
    image : Image or any object that follows ImageProtocol
        A volume, an image or a stack; read slab by slab.

    Returns
    -------
    ImageStatistics
        Of the finite values; it says how many are not.

    Examples
    --------
    >>> import numpy as np
    >>> from cryotypes.image import Image, statistics
    >>> found = statistics(Image(np.array([[1.0, 3.0], [np.nan, 5.0]])))
    >>> found.mean, found.maximum, found.not_finite
    (3.0, 5.0, 1)
    """
    data = checked_data(image, "statistics")
    found = Moments()
    for part in _parts_of(data):
        found.join(part)
    absent = found.total - found.count
    if not found.count:
        return ImageStatistics(math.nan, math.nan, math.nan, math.nan, 0, absent)
    low, high, mean = found.minimum, found.maximum, found.mean
    return ImageStatistics(low, high, mean, found.deviation, found.count, absent)


def _parts_of(data: Any) -> Iterator[Moments]:
    """Give the moments of all pieces; of a dask array they are found where its chunks are."""
    if is_dask(data):
        import dask as untyped

        dask: Any = untyped
        found = [dask.delayed(Moments.of)(chunk) for chunk in data.to_delayed().ravel()]
        yield from dask.compute(*found)
        return
    boxes = list(blocks(data.shape, data.dtype.itemsize, chunks_of(data)))

    def part(box: Box) -> Moments:
        return Moments.of(load(data, box))

    yield from in_threads(part, boxes, volume(boxes[0]) * data.dtype.itemsize)


def contrast_limits(
    image: TomogramProtocol, low: float = 0.5, high: float = 99.5
) -> tuple[float, float]:
    """Find the grey values to show as black and white: two percentiles of a sample.

    The sample is about a million voxels of an even grid, the same at every call; smaller images
    are taken whole. Values that are not finite do not count.

    Parameters
    ----------
    image : Image or any object that follows ImageProtocol
    low, high : float
        Percentiles, 0 to 100.

    Returns
    -------
    (float, float)

    Raises
    ------
    ValueError
        If no value of the sample is finite.

    Examples
    --------
    >>> import numpy as np
    >>> from cryotypes.image import Image, contrast_limits
    >>> contrast_limits(Image(np.arange(101.0).reshape(1, 101)), low=1, high=99)
    (1.0, 99.0)
    """
    if not 0 <= low <= high <= 100:
        raise ValueError(f"contrast_limits: expected 0 <= low <= high <= 100, found {low}, {high}")
    data = checked_data(image, "contrast_limits")
    steps = _sampling(data.shape)
    if is_dask(data):
        values = _finite(np.asarray(data[_every(steps)]))
    else:
        values = np.concatenate([_finite(_picked(data, box, steps)) for box in _boxes(data, steps)])
    if not values.size:
        raise ValueError("contrast_limits: expected finite values, found none in the sample")
    black, white = np.percentile(values, [low, high])
    return float(black), float(white)


def central_slice(image: T, axis: Axis = "z", thickness: int = 1) -> T:
    """Cut a 2D image out of the middle of a volume: the mean of some sections.

    Parameters
    ----------
    image : Image or any object that follows ImageProtocol
        A volume of n sections along the axis.
    axis : {"z", "y", "x"}
        What the sections are perpendicular to. The result is (y, x), (z, x) or (z, y).
    thickness : int
        Number of sections, from index ``n // 2 - thickness // 2`` on: an odd number lies about
        ``n // 2``. One section keeps its data type, a mean is in float32 or, if the data need it,
        float64.

    Returns
    -------
    object
        Of the same class. ``metadata`` still tell of the whole file.

    Raises
    ------
    ValueError
        If the image is not a volume, or thinner than ``thickness``.

    Examples
    --------
    >>> import numpy as np
    >>> from cryotypes.image import Image, central_slice
    >>> central_slice(Image(np.zeros((4, 6, 8)), pixel_spacing=10), "y")
    Image '': image 8 × 4 (xy), float64, 10 Å/px
    """
    data = checked_volume(image, "central_slice")
    if axis not in ("z", "y", "x"):
        raise ValueError(f"central_slice: expected axis 'x', 'y' or 'z', found {axis!r}")
    where = "zyx".index(axis)
    first, end = _middle(data.shape[where], axis, thickness)
    slab = tuple(slice(first, end) if i == where else slice(0, n) for i, n in enumerate(data.shape))
    kept = data.dtype if thickness == 1 else np.result_type(data.dtype, np.float32)
    if is_dask(data):
        part = data[slab]
        section = part.sum(axis=where) if thickness == 1 else part.mean(axis=where, dtype=float)
        return changed(image, data=section.astype(kept))
    return changed(image, data=_flattened(data, slab, where, kept))


def _flattened(data: Any, slab: Box, where: int, kept: Any) -> NDArray[Any]:
    """Average what is in a slab along its axis."""
    thickness = slab[where].stop - slab[where].start
    shape = [b.stop - b.start for b in slab]
    total = np.zeros(
        [n for i, n in enumerate(shape) if i != where], kept if thickness == 1 else float
    )

    def part(box: Box) -> tuple[Box, NDArray[Any]]:
        moved = [slice(b.start + s.start, b.stop + s.start) for b, s in zip(box, slab, strict=True)]
        with np.errstate(invalid="ignore"):  # infinity less infinity is NaN, without a warning
            found = load(data, tuple(moved)).sum(axis=where, dtype=total.dtype)
        return tuple(b for i, b in enumerate(box) if i != where), found

    boxes = list(blocks(shape, data.dtype.itemsize, chunks_of(data)))
    for place, found in in_threads(part, boxes, volume(boxes[0]) * data.dtype.itemsize):
        with np.errstate(invalid="ignore"):
            total[place] += found
    return total if thickness == 1 else (total / thickness).astype(kept)


def orthogonal_slices(image: T, thickness: int = 1) -> dict[Axis, T]:
    """Cut the three central slices of a volume.

    Returns
    -------
    dict
        ``"z"``, ``"y"``, ``"x"`` to what `central_slice` gives, with its arguments and errors.

    Examples
    --------
    >>> import numpy as np
    >>> from cryotypes.image import Image, orthogonal_slices
    >>> {axis: cut.data.shape for axis, cut in orthogonal_slices(Image(np.ones((4, 6, 8)))).items()}
    {'z': (6, 8), 'y': (4, 8), 'x': (4, 6)}
    """
    axes: tuple[Axis, ...] = ("z", "y", "x")
    return {axis: central_slice(image, axis, thickness) for axis in axes}


def _boxes(data: Any, steps: Sequence[int]) -> Iterator[Box]:
    """Give boxes that hold a sample: single sections of volumes, unless their chunks are deep."""
    chunks, shape = chunks_of(data), data.shape
    if chunks is not None and chunks[0] > 1:
        yield from blocks(shape, data.dtype.itemsize, chunks)
        return
    whole = tuple(slice(0, n) for n in shape[1:])
    if len(shape) == 3 and steps[0] > 1:
        yield from ((slice(row, row + 1), *whole) for row in range(0, shape[0], steps[0]))
        return
    yield from ((rows, *whole) for rows in slabs(shape, data.dtype.itemsize, steps[0]))


def _picked(data: Any, box: Box, steps: Sequence[int]) -> NDArray[Any]:
    """Read a box, and take what lies on the grid of the sample."""
    grid = (slice(-b.start % step, None, step) for b, step in zip(box, steps, strict=True))
    return load(data, box)[tuple(grid)]


def _sampling(shape: tuple[int, ...]) -> list[int]:
    """Steps along each axis that leave no more than a sample."""
    steps = [1] * len(shape)
    while math.prod(-(-n // step) for n, step in zip(shape, steps, strict=True)) > _SAMPLE:
        left = [n / step for n, step in zip(shape, steps, strict=True)]
        steps[left.index(max(left))] += 1
    return steps


def _every(steps: Sequence[int]) -> tuple[slice, ...]:
    return tuple(slice(None, None, step) for step in steps)


def _finite(values: NDArray[Any]) -> NDArray[Any]:
    if values.dtype.kind == "f":
        values = values[np.isfinite(values)]
    return values.astype(float).ravel()


def _middle(size: int, axis: str, thickness: int) -> tuple[int, int]:
    try:
        count = operator.index(thickness)
    except TypeError:
        count = 0
    if not 1 <= count <= size:
        raise ValueError(
            f"central_slice: expected a thickness of 1 to {size} along {axis}, found {thickness!r}"
        )
    first = size // 2 - count // 2
    return first, first + count
