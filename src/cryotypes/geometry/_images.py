"""Look into, bin and crop images, slab by slab, and let poses follow."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, get_args

import numpy as np

from cryotypes.conventions import rescale as rescale_vectors
from cryotypes.poseset import select, validate_poseset
from cryotypes.poseset._operations import changed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

T = TypeVar("T")
Axis: TypeAlias = Literal["x", "y", "z"]
BinMethod: TypeAlias = Literal["mean", "decimate", "fourier"]

_PIECE = 1 << 22  # numbers held at a time, besides the result
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


def statistics(image: Any) -> ImageStatistics:
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
    >>> from cryotypes import Image, statistics
    >>> found = statistics(Image(np.array([[1.0, 3.0], [np.nan, 5.0]])))
    >>> found.mean, found.maximum, found.not_finite
    (3.0, 5.0, 1)
    """
    data = _data(image, "statistics")
    low, high, mean, squares, count = math.inf, -math.inf, 0.0, 0.0, 0
    for rows in _slabs(data.shape):
        values = _finite(np.asarray(data[rows]))
        if not values.size:
            continue
        low, high = min(low, float(values.min())), max(high, float(values.max()))
        # two samples are joined by their means and sums of squares (Chan, Golub, LeVeque 1979)
        step, total = float(values.mean()) - mean, count + values.size
        with np.errstate(over="ignore"):
            squares += float(np.square(values - values.mean()).sum())
        squares += step * step * (count * values.size / total)
        mean += step * values.size / total
        count = total
    absent = math.prod(data.shape) - count
    if not count:
        return ImageStatistics(math.nan, math.nan, math.nan, math.nan, 0, absent)
    return ImageStatistics(low, high, mean, math.sqrt(squares / count), count, absent)


def contrast_limits(image: Any, low: float = 0.5, high: float = 99.5) -> tuple[float, float]:
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
    >>> from cryotypes import Image, contrast_limits
    >>> contrast_limits(Image(np.arange(101.0).reshape(1, 101)), low=1, high=99)
    (1.0, 99.0)
    """
    if not 0 <= low <= high <= 100:
        raise ValueError(f"contrast_limits: expected 0 <= low <= high <= 100, found {low}, {high}")
    data = _data(image, "contrast_limits")
    steps = _sampling(data.shape)
    parts = [
        _finite(np.asarray(data[rows])[_every(steps)]) for rows in _sections(data.shape, steps[0])
    ]
    values = np.concatenate(parts)
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
    >>> from cryotypes import Image, central_slice
    >>> central_slice(Image(np.zeros((4, 6, 8)), pixel_spacing=10), "y")
    Image '': image 8 × 4 (xy), float64, 10 Å/px
    """
    data = _volume(image, "central_slice")
    if axis not in ("z", "y", "x"):
        raise ValueError(f"central_slice: expected axis 'x', 'y' or 'z', found {axis!r}")
    where = "zyx".index(axis)
    first, end = _middle(data.shape[where], axis, thickness)
    one = thickness == 1
    kept = data.dtype if one else np.result_type(data.dtype, np.float32)
    shape = [n for i, n in enumerate(data.shape) if i != where]
    total = np.zeros(shape, dtype=kept if one else float)
    with np.errstate(invalid="ignore"):  # infinity less infinity is NaN, without a warning
        if where == 0:
            for row in range(first, end):
                total += np.asarray(data[row : row + 1])[0]
        else:
            for rows in _slabs(data.shape):
                box = [rows, slice(None), slice(None)]
                box[where] = slice(first, end)
                total[rows] = np.asarray(data[tuple(box)]).sum(axis=where, dtype=total.dtype)
    section = total if one else (total / thickness).astype(kept)
    return changed(image, data=section)


def orthogonal_slices(image: T, thickness: int = 1) -> dict[Axis, T]:
    """Cut the three central slices of a volume.

    Returns
    -------
    dict
        ``"z"``, ``"y"``, ``"x"`` to what `central_slice` gives, with its arguments and errors.

    Examples
    --------
    >>> import numpy as np
    >>> from cryotypes import Image, orthogonal_slices
    >>> {axis: cut.data.shape for axis, cut in orthogonal_slices(Image(np.ones((4, 6, 8)))).items()}
    {'z': (6, 8), 'y': (4, 8), 'x': (4, 6)}
    """
    axes: tuple[Axis, ...] = ("z", "y", "x")
    return {axis: central_slice(image, axis, thickness) for axis in axes}


def bin_image(image: T, factor: int, method: BinMethod = "mean") -> T:
    """Make an image b times coarser; `bin_poses` takes poses along.

    Each method has its own rule for where things then are:

    - ``"mean"``: voxel i is the mean of b voxels along each axis, b i to b i + b - 1, whose centre
      is b i + (b - 1) / 2. What was at x is at **(x - (b - 1) / 2) / b**.
    - ``"decimate"``: voxel i is voxel b i; finer detail is aliased. What was at x is at **x / b**.
    - ``"fourier"``: the Fourier transform is cropped about its origin, index N // 2 when centred,
      and index 0 stays index 0. What was at x is at **x / b**. The image counts as periodic, a
      value that is not finite spreads over all of it, and the waves at the new Nyquist frequency
      keep their cosine, once.

    The second rule is that of `rescale`. All methods give N // b voxels along each axis and drop
    the rest, the last N % b, first. A stack is binned in x and y only.

    Parameters
    ----------
    image : Image or any object that follows ImageProtocol
        Read slab by slab: besides the result a few sections are held, for "mean" at least b, for
        "fourier" also twice the result in double precision. A single 2D image is transformed whole.
    factor : int
        b, at least 1.
    method : {"mean", "decimate", "fourier"}

    Returns
    -------
    object
        Of the same class, with ``pixel_spacing`` times b. The data are in float32 or, if the
        old ones need it, float64; "decimate" keeps the data type, and a factor of 1 the data.
        ``metadata`` still tell of the file that was read.

    Raises
    ------
    ValueError
        If the factor is not a whole number from 1 to the smallest size.

    Examples
    --------
    >>> import numpy as np
    >>> from cryotypes import Image, bin_image
    >>> bin_image(Image(np.ones((5, 8, 8), np.int16), pixel_spacing=10), 2)
    Image '': volume 4 × 4 × 2 (xyz), float32, 20 Å/px
    """
    b = _factor(factor, method, "bin_image")
    data = _data(image, "bin_image")
    if b == 1:
        return changed(image)
    factors = tuple(1 if _is_stack(image) and not axis else b for axis in range(len(data.shape)))
    if min(n // f for n, f in zip(data.shape, factors, strict=True)) == 0:
        raise ValueError(f"bin_image: a factor of {b} leaves nothing of shape {data.shape}")
    with np.errstate(invalid="ignore"):  # infinity less infinity is NaN, without a warning
        binned = {"mean": _mean, "decimate": _decimated, "fourier": _fourier}[method](data, factors)
    return changed(image, data=binned, pixel_spacing=_spacing(image, "bin_image") * b)


def bin_poses(
    poses: T, factor: int, method: BinMethod = "mean", *, ndim: Literal[2, 3] | None = None
) -> T:
    """Express poses in the pixels of an image that `bin_image` made b times coarser.

    Position x becomes (x - (b - 1) / 2) / b for "mean", x / b for "decimate" and "fourier"; shift s
    becomes s / b; the pixel spacing is multiplied by b.

    The size of the tomogram in ``metadata["tomogram"]`` says where its centre is, index N // 2 of
    the image that was not binned. "decimate" and "fourier" keep it with its own pixel spacing. It
    is left out after "mean", which moves that centre by a part of a pixel, and if the pixel
    spacing is unknown: what asks for the size then says so.

    Parameters
    ----------
    poses : PoseSet or any object that follows PoseSetProtocol
    factor : int
        b, at least 1.
    method : {"mean", "decimate", "fourier"}
        How the image was binned.
    ndim : {2, 3}, optional
        2: the poses are of 2D images, so z stays as it is; by default ``metadata["ndim"]``, else 3.

    Returns
    -------
    object
        Of the same class.

    Examples
    --------
    >>> from cryotypes import PoseSet, bin_poses
    >>> poses = PoseSet([[10.5, 20.5, 30.5]], pixel_spacing=10)
    >>> bin_poses(poses, 2).position
    array([[ 5., 10., 15.]])
    >>> bin_poses(poses, 2, method="fourier").position
    array([[ 5.25, 10.25, 15.25]])
    """
    b = _factor(factor, method, "bin_poses")
    checked: Any = validate_poseset(changed(poses), coerce=True)
    spacing = float(checked.pixel_spacing)
    metadata = getattr(checked, "metadata", None) or {}
    axes = ndim or metadata.get("ndim", 3)
    if axes not in (2, 3):
        raise ValueError(f"bin_poses: expected ndim 2 or 3, found {axes!r}")
    coarser = np.array([b, b, b if axes == 3 else 1])
    origin = (coarser - 1) / 2 if method == "mean" else np.zeros(3)
    position = np.asarray(checked.position, dtype=float) - origin
    fields: dict[str, Any] = {
        "position": rescale_vectors(position, 1, coarser),
        "pixel_spacing": spacing * b,
    }
    if checked.shift is not None:
        fields["shift"] = rescale_vectors(checked.shift, 1, coarser)
    if b > 1:
        centre_known = method != "mean" and spacing > 0
        fields |= _with_tomogram(metadata, spacing if centre_known else None)
    return changed(checked, **fields)  # type: ignore[no-any-return]


def crop(image: T, start: Sequence[int], size: Sequence[int]) -> T:
    """Cut a box out of an image; `crop_poses` takes poses along.

    What was at x is at x - start. The data are a view where their array gives views, and stay
    lazy where they are.

    Parameters
    ----------
    image : Image or any object that follows ImageProtocol
    start, size : (x, y, z), or (x, y) for 2D images and stacks
        First voxel, and number of voxels.

    Returns
    -------
    object
        Of the same class. ``metadata`` still tell of the file that was read.

    Raises
    ------
    ValueError
        If the box is empty or not within the image.

    Examples
    --------
    >>> import numpy as np
    >>> from cryotypes import Image, crop
    >>> crop(Image(np.zeros((50, 100, 200))), start=(10, 20, 30), size=(64, 32, 16))
    Image '': volume 64 × 32 × 16 (xyz), float64, unknown pixel spacing
    """
    data = _data(image, "crop")
    whole = data.shape[1:] if _is_stack(image) else data.shape
    first, extent = _whole("start", start, len(whole)), _whole("size", size, len(whole))
    for name, n, a, m in zip("xyz", whole[::-1], first, extent, strict=False):
        if a < 0 or m < 1 or a + m > n:
            raise ValueError(
                f"crop: expected a box within 0 to {n} in {name}, found {a} to {a + m}"
            )
    box = tuple(slice(a, a + m) for a, m in zip(first, extent, strict=True))[::-1]
    return changed(image, data=data[(slice(None), *box) if _is_stack(image) else box])


def crop_poses(poses: T, start: Sequence[int], size: Sequence[int] | None = None) -> T:
    """Express poses in an image that `crop` cut out: position x becomes x - start.

    Shift, orientation and pixel spacing stay. The size of the tomogram in ``metadata`` is left
    out, since the middle of the box is not the tomogram's centre; what asks for it says so.

    Parameters
    ----------
    poses : PoseSet or any object that follows PoseSetProtocol
    start : (x, y, z), or (x, y), which leaves z as it is
        First voxel of the box.
    size : (x, y, z) or (x, y), optional
        Of the box: only the particles in it (position + shift, in one of its voxels) are kept. By
        default all are, wherever they are.

    Returns
    -------
    object
        Of the same class.

    Examples
    --------
    >>> from cryotypes import PoseSet, crop_poses
    >>> poses = PoseSet([[10, 20, 30], [1, 2, 3]])
    >>> crop_poses(poses, start=(10, 10, 10), size=(64, 64, 64)).position
    array([[ 0., 10., 20.]])
    """
    if len(start) not in (2, 3):
        raise ValueError(f"crop_poses: expected start x, y, z or x, y, found {tuple(start)}")
    axes = len(start)
    offset = np.zeros(3)
    offset[:axes] = _whole("start", start, axes)
    checked: Any = validate_poseset(changed(poses), coerce=True)
    position = np.asarray(checked.position, dtype=float) - offset
    metadata = getattr(checked, "metadata", None) or {}
    moved = changed(checked, position=position, **_with_tomogram(metadata, None))
    if size is None:
        return moved  # type: ignore[no-any-return]
    extent = np.array(_whole("size", size, axes))
    place = position if checked.shift is None else position + np.asarray(checked.shift, dtype=float)
    place = place[:, :axes]
    inside = ((place >= -0.5) & (place < extent - 0.5)).all(axis=1)
    return select(moved, inside)  # type: ignore[no-any-return]


def _with_tomogram(metadata: dict[str, Any], spacing: float | None) -> dict[str, Any]:
    """``metadata`` whose tomogram states its pixel spacing, or, for None, no size."""
    tomogram = metadata.get("tomogram") or {}
    if tomogram.get("dimensions") is None or (spacing and tomogram.get("pixel_spacing")):
        return {}
    if spacing:
        stated = {**tomogram, "pixel_spacing": spacing}
    else:
        stated = {key: value for key, value in tomogram.items() if key != "dimensions"}
    return {"metadata": {**metadata, "tomogram": stated}}


def _mean(data: Any, factors: tuple[int, ...]) -> NDArray[Any]:
    def reduced(part: NDArray[Any]) -> NDArray[Any]:
        for axis, b in enumerate(factors):
            total = np.zeros([n // b if i == axis else n for i, n in enumerate(part.shape)])
            for i in range(b):
                total += part[(slice(None),) * axis + (slice(i, None, b),)]
            part = total
        return part / math.prod(factors)

    kept = np.result_type(data.dtype, np.float32)
    return _filled(data, factors, reduced, _slabs(_whole_bins(data, factors), factors[0]), kept)


def _decimated(data: Any, factors: tuple[int, ...]) -> NDArray[Any]:
    def reduced(part: NDArray[Any]) -> NDArray[Any]:
        return part[_every(factors)]

    rows = _sections(_whole_bins(data, factors), factors[0])
    return _filled(data, factors, reduced, rows, data.dtype)


def _fourier(data: Any, factors: tuple[int, ...]) -> NDArray[Any]:
    def reduced(part: NDArray[Any]) -> NDArray[Any]:
        plane = part.astype(float)
        for axis in (plane.ndim - 1, plane.ndim - 2):  # z, if any, comes last
            plane = _resampled(plane, axis, factors[axis])
        return plane

    used = _whole_bins(data, factors)
    kept = np.result_type(data.dtype, np.float32)
    if len(used) == 2:
        return reduced(np.asarray(data[_box(slice(None), used)])).astype(kept)
    if factors[0] == 1:
        return _filled(data, factors, reduced, _slabs(used), kept)
    small = tuple(n // b for n, b in zip(used, factors, strict=True))
    along = _resampled(np.eye(used[0]), 0, factors[0])  # section n adds along[:, n] of itself
    total = np.zeros((small[0], small[1] * small[2]))
    for group in _slabs((used[0], *small[1:])):
        sections = np.empty((group.stop - group.start, total.shape[1]))
        for part in _slabs((len(sections), *used[1:])):
            rows = slice(group.start + part.start, group.start + part.stop)
            plane = reduced(np.asarray(data[_box(rows, used)]))
            sections[part] = plane.reshape(len(plane), -1)
        total += along[:, group] @ sections
    return total.reshape(small).astype(kept, copy=False)


def _resampled(values: NDArray[Any], axis: int, b: int) -> NDArray[Any]:
    """Crop the Fourier transform along one axis, whose length is a multiple of b."""
    from scipy import fft

    size = values.shape[axis] // b
    waves = fft.rfft(values, axis=axis)[(slice(None),) * axis + (slice(size // 2 + 1),)]
    resampled: NDArray[Any] = fft.irfft(waves, n=size, axis=axis) / b
    return resampled


def _filled(
    data: Any,
    factors: tuple[int, ...],
    reduced: Callable[[NDArray[Any]], NDArray[Any]],
    slabs: Iterator[slice],
    dtype: Any,
) -> NDArray[Any]:
    used = _whole_bins(data, factors)
    result = np.empty([n // b for n, b in zip(used, factors, strict=True)], dtype=dtype)
    for rows in slabs:
        part = reduced(np.asarray(data[_box(rows, used)]))
        first = rows.start // factors[0]
        result[first : first + len(part)] = part
    return result


def _whole_bins(data: Any, factors: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(n // b * b for n, b in zip(data.shape, factors, strict=True))


def _box(rows: slice, used: tuple[int, ...]) -> tuple[slice, ...]:
    first = slice(0, used[0]) if rows == slice(None) else rows
    return (first, *(slice(0, n) for n in used[1:]))


def _slabs(shape: tuple[int, ...], multiple: int = 1) -> Iterator[slice]:
    """Cut the first axis into slabs of a multiple of some sections."""
    step = max(1, _PIECE // (math.prod(shape[1:]) * multiple)) * multiple
    for start in range(0, shape[0], step):
        yield slice(start, min(start + step, shape[0]))


def _sections(shape: tuple[int, ...], step: int) -> Iterator[slice]:
    """Slabs of which one section in some is wanted, the first; of volumes only that is read."""
    if len(shape) == 3 and step > 1:
        return iter([slice(row, row + 1) for row in range(0, shape[0], step)])
    return _slabs(shape, step)


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


def _is_stack(image: Any) -> bool:
    return bool(getattr(image, "stack", False))


def _data(image: Any, operation: str) -> Any:
    """Data that have a shape and numpy's dtype and can be sliced; lazy ones as they are."""
    data = image.data
    sliceable = hasattr(data, "__getitem__") and hasattr(data, "shape")
    if not sliceable or not isinstance(getattr(data, "dtype", None), np.dtype):
        data = np.asarray(data)
    shape = tuple(data.shape)
    if len(shape) not in ((3,) if _is_stack(image) else (2, 3)) or 0 in shape:
        wanted = "a stack (n, y, x)" if _is_stack(image) else "(y, x) or (z, y, x)"
        raise ValueError(f"{operation}: expected {wanted}, not empty, found shape {shape}")
    if data.dtype.kind not in "iufb":
        raise ValueError(f"{operation}: expected real numbers, found {data.dtype}")
    return data


def _volume(image: Any, operation: str) -> Any:
    data = _data(image, operation)
    if _is_stack(image) or len(data.shape) != 3:
        what = "a stack" if _is_stack(image) else f"an image of shape {tuple(data.shape)}"
        raise ValueError(f"{operation}: expected a volume (z, y, x), found {what}")
    return data


def _spacing(image: Any, operation: str) -> float:
    spacing = float(image.pixel_spacing)
    if not 0 <= spacing < math.inf:
        raise ValueError(f"{operation}: expected Å per pixel or 0, found {spacing}")
    return spacing


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


def _factor(factor: int, method: str, operation: str) -> int:
    if method not in get_args(BinMethod):
        known = ", ".join(map(repr, get_args(BinMethod)))
        raise ValueError(f"{operation}: expected method {known}, found {method!r}")
    try:
        b = operator.index(factor)
    except TypeError:
        b = 0
    if b < 1:
        raise ValueError(f"{operation}: expected a whole factor of at least 1, found {factor!r}")
    return b


def _whole(name: str, values: Sequence[int], axes: int) -> tuple[int, ...]:
    try:
        numbers = tuple(operator.index(value) for value in values)
    except TypeError:
        numbers = ()
    if len(numbers) != axes:
        wanted = ", ".join("xyz"[:axes])
        raise ValueError(f"{name}: expected whole numbers {wanted}, found {tuple(values)}")
    return numbers
