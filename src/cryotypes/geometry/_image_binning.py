"""Bin images by a whole factor, and let poses follow."""

from __future__ import annotations

import math
import operator
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, get_args

import numpy as np

from cryotypes._sizes import with_tomogram
from cryotypes.conventions import rescale as rescale_vectors
from cryotypes.image._arrays import LazyArray, chunks_of, is_dask, remappable
from cryotypes.image._checks import checked_data, checked_spacing, is_stack
from cryotypes.image._pieces import blocks, in_threads, load, slabs, volume
from cryotypes.poseset import validate_poseset
from cryotypes.poseset._operations import changed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from cryotypes.image import TomogramProtocol
    from cryotypes.image._pieces import Box
    from cryotypes.poseset import PoseSetProtocol

I = TypeVar("I", bound="TomogramProtocol")
P = TypeVar("P", bound="PoseSetProtocol")
BinMethod: TypeAlias = Literal["mean", "decimate", "fourier"]
Factors: TypeAlias = tuple[int, ...]


def bin_image(image: I, factor: int, method: BinMethod = "mean", *, lazy: bool = False) -> I:
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
        Read piece by piece: besides the result little is held, for "fourier" also twice the result
        in double precision. A single 2D image is transformed whole.
    factor : int
        b, at least 1.
    method : {"mean", "decimate", "fourier"}
    lazy : bool
        Work nothing out before the result is sliced, e.g. to write what is still larger than
        memory. So it is always with dask; "fourier" needs dask for it.

    Returns
    -------
    object
        Of the same class, with ``pixel_spacing`` times b. The data are in float32 or, if the
        old ones need it, float64; "decimate" keeps the data type, and a factor of 1 the data.
        ``metadata`` still tell of the file that was read.

    Raises
    ------
    ValueError
        If the factor is not a whole number from 1 to the smallest size; for ``lazy=True`` with
        "fourier", without dask.

    Examples
    --------
    >>> import numpy as np
    >>> from cryotypes import Image, bin_image
    >>> bin_image(Image(np.ones((5, 8, 8), np.int16), pixel_spacing=10), 2)
    Image '': volume 4 × 4 × 2 (xyz), float32, 20 Å/px
    """
    b = _factor(factor, method, "bin_image")
    data = checked_data(image, "bin_image")
    if b == 1:
        return changed(image)
    factors = tuple(1 if is_stack(image) and not axis else b for axis in range(len(data.shape)))
    if min(n // f for n, f in zip(data.shape, factors, strict=True)) == 0:
        raise ValueError(f"bin_image: a factor of {b} leaves nothing of shape {data.shape}")
    spacing = checked_spacing(image, "bin_image") * b
    return changed(image, data=_binned(data, factors, method, lazy), pixel_spacing=spacing)


def _binned(data: Any, factors: Factors, method: BinMethod, lazy: bool) -> Any:
    if is_dask(data):
        return _binned_by_dask(data, factors, method)
    if method == "fourier":
        if lazy:
            raise ValueError(
                "bin_image: method 'fourier' needs all of the image for each voxel; lazy=True is "
                "for 'mean', 'decimate', and data of dask"
            )
        return _fourier(data, factors)
    binned = _Binned(data, factors, method)
    return binned if lazy else binned[...]


def bin_poses(
    poses: P, factor: int, method: BinMethod = "mean", *, ndim: Literal[2, 3] | None = None
) -> P:
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
    checked = validate_poseset(changed(poses), coerce=True)
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
        fields |= with_tomogram(metadata, spacing if centre_known else None)
    return changed(checked, **fields)


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


class _Binned(LazyArray):
    """An array of means, or of single values, of boxes of another."""

    def __init__(self, data: Any, factors: Factors, method: BinMethod) -> None:
        chunks = chunks_of(data)
        super().__init__(
            [n // f for n, f in zip(data.shape, factors, strict=True)],
            _dtype(data, method),
            None
            if chunks is None
            else [max(1, c // f) for c, f in zip(chunks, factors, strict=True)],
        )
        self._data, self._factors, self._method = remappable(data), factors, method

    def _load(self, box: Box) -> NDArray[Any]:
        lengths = [b.stop - b.start for b in box]
        result = np.empty(lengths, self.dtype)
        itemsize = self._data.dtype.itemsize * math.prod(self._factors)
        boxes = list(blocks(lengths, itemsize, self.chunks))

        def part(within: Box) -> tuple[Box, NDArray[Any]]:
            return within, self._reduced(
                tuple(
                    slice(b.start + w.start, b.start + w.stop)
                    for b, w in zip(box, within, strict=True)
                )
            )

        for within, found in in_threads(part, boxes, volume(boxes[0]) * itemsize):
            result[within] = found
        return result[tuple(slice(None, None, b.step) for b in box)]

    def _reduced(self, box: Box) -> NDArray[Any]:
        source = [slice(b.start * f, b.stop * f) for b, f in zip(box, self._factors, strict=True)]
        if self._method == "mean":
            return _mean(load(self._data, tuple(source)), self._factors)
        source[0] = slice(source[0].start, source[0].stop, self._factors[0])
        found = load(self._data, tuple(source))
        return found[(slice(None), *(slice(None, None, f) for f in self._factors[1:]))]


def _dtype(data: Any, method: BinMethod) -> np.dtype[Any]:
    return data.dtype if method == "decimate" else np.result_type(data.dtype, np.float32)


def _mean(part: NDArray[Any], factors: Factors) -> NDArray[Any]:
    with np.errstate(invalid="ignore"):  # infinity less infinity is NaN, without a warning
        for axis, b in enumerate(factors):
            total = np.zeros([n // b if i == axis else n for i, n in enumerate(part.shape)])
            for i in range(b):
                total += part[(slice(None),) * axis + (slice(i, None, b),)]
            part = total
        return part / math.prod(factors)


def _fourier(data: Any, factors: Factors) -> NDArray[Any]:
    used = tuple(n // b * b for n, b in zip(data.shape, factors, strict=True))
    small = tuple(n // b for n, b in zip(used, factors, strict=True))
    kept = _dtype(data, "fourier")

    def planes(rows: slice) -> tuple[slice, NDArray[Any]]:
        found = load(data, (rows, *(slice(0, n) for n in used[1:]))).astype(float)
        for axis in (2, 1):  # z, if any, comes last
            found = _resampled(found, axis, factors[axis])
        return rows, found

    if len(used) == 2:
        found = np.asarray(data[0 : used[0], 0 : used[1]]).astype(float)
        return _resampled(_resampled(found, 1, factors[1]), 0, factors[0]).astype(kept)
    # one wave in x, y and z adds to all of the result: sections are added up one after the other
    groups = list(slabs(used, np.dtype(float).itemsize, depth=(chunks_of(data) or (1,))[0]))
    size = math.prod(used[1:]) * (groups[0].stop - groups[0].start) * 8
    if factors[0] == 1:
        result = np.empty(small, kept)
        for rows, found in in_threads(planes, groups, 2 * size):
            result[rows] = found
        return result
    along = _resampled(np.eye(used[0]), 0, factors[0])  # section n adds along[:, n] of itself
    total = np.zeros((small[0], math.prod(small[1:])))
    for rows, found in in_threads(planes, groups, 2 * size):
        total += along[:, rows] @ found.reshape(len(found), -1)
    return total.reshape(small).astype(kept, copy=False)


def _resampled(values: NDArray[Any], axis: int, b: int) -> NDArray[Any]:
    """Crop the Fourier transform along one axis, whose length is a multiple of b."""
    from scipy import fft

    size = values.shape[axis] // b
    waves = fft.rfft(values, axis=axis)[(slice(None),) * axis + (slice(size // 2 + 1),)]
    resampled: NDArray[Any] = fft.irfft(waves, n=size, axis=axis) / b
    return resampled


def _binned_by_dask(data: Any, factors: Factors, method: BinMethod) -> Any:
    """Do the same to an array of dask's, chunk by chunk; nothing is computed."""
    used = data[tuple(slice(0, n // b * b) for n, b in zip(data.shape, factors, strict=True))]
    kept = _dtype(data, method)
    if method == "decimate":
        return used[tuple(slice(None, None, b) for b in factors)]
    if method == "fourier":
        for axis, b in enumerate(factors):
            if b > 1:
                used = used.rechunk(
                    {axis: -1, **{i: "auto" for i in range(used.ndim) if i != axis}}
                )
                chunks = [(sum(c) // b,) if i == axis else c for i, c in enumerate(used.chunks)]
                used = used.map_blocks(_resampled, axis, b, chunks=chunks, dtype=float)
        return used.astype(kept)
    whole = [tuple(_multiples(c, b)) for c, b in zip(used.chunks, factors, strict=True)]
    small = [tuple(n // b for n in c) for c, b in zip(whole, factors, strict=True)]
    return used.rechunk(whole).map_blocks(_mean, factors, chunks=small, dtype=float).astype(kept)


def _multiples(sizes: tuple[int, ...], b: int) -> Iterator[int]:
    """Move the ends of chunks back to multiples of b; the last one is."""
    start = end = 0
    for size in sizes:
        end += size
        stop = end // b * b
        if stop > start:
            yield stop - start
            start = stop
