"""Minimum, maximum, mean and deviation of a sample, joined of parts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PART = 1 << 17  # values at a time: what is made of them stays in the processor's cache


@dataclass
class Moments:
    """Of the finite values among ``total``; in double precision.

    Parameters
    ----------
    total, count : int
        All values, and the finite ones.
    minimum, maximum, mean : float
    squares : float
        Sum of the squared differences from the mean.
    """

    total: int = 0
    count: int = 0
    minimum: float = math.inf
    maximum: float = -math.inf
    mean: float = 0.0
    squares: float = 0.0

    @classmethod
    def of(cls, values: NDArray[Any]) -> Moments:
        """Find those of real numbers."""
        result, flat = cls(), values.reshape(-1)
        for start in range(0, flat.size, _PART):
            result.join(_of_part(flat[start : start + _PART]))
        return result

    def join(self, other: Moments) -> None:
        """Take in another sample, by means and sums of squares (Chan, Golub, LeVeque 1979)."""
        self.total += other.total
        if not other.count:
            return
        count, step = self.count + other.count, other.mean - self.mean
        with np.errstate(over="ignore"):
            between = float(np.square(step) * (self.count * (other.count / count)))
        self.squares += other.squares + between
        self.mean += step * (other.count / count)
        self.minimum = min(self.minimum, other.minimum)
        self.maximum = max(self.maximum, other.maximum)
        self.count = count

    @property
    def deviation(self) -> float:
        """The standard deviation; the sum is divided by the number of values."""
        return math.sqrt(self.squares / self.count) if self.count else math.nan


def _of_part(part: NDArray[Any]) -> Moments:
    total = part.size
    with np.errstate(invalid="ignore"):
        low, high = float(part.min()), float(part.max())
    if not (math.isfinite(low) and math.isfinite(high)):  # also if there is a NaN
        part = part[np.isfinite(part)]
        if not part.size:
            return Moments(total)
        low, high = float(part.min()), float(part.max())
    wide = part.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        mean = float(wide.mean())
        wide -= mean
        squares = float(np.einsum("i,i->", wide, wide))  # on this thread: BLAS would start more
    return Moments(total, part.size, low, high, mean, squares)
