"""The nearest points to many bundles of rays, all bundles at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

_ENTRIES = 2_000_000  # particles × columns that are worked on at a time
_ROUNDS = 30  # of reweighting
_CONVERGED = 1e-3  # pixels; also the smallest noise that is believed
_REJECT = 4.0  # standard deviations; one of 3000 good observations is farther (exp(-8))


@dataclass
class Bundles:
    """A part of the particles as a table: rows are particles, columns tilts.

    Two observations of a particle in one tilt take two columns.

    Parameters
    ----------
    rows : array, shape (c, 2, 3)
        First two rows of each column's rotation, times the pixels of the image in one of 3D.
    target : array, shape (m, c, 2)
        Where each particle is seen, from where the tomogram's centre is seen.
    seen : array of bool, shape (m, c)
        Which entries of the table are observations.
    index : array of int, shape (m, c)
        Which observation it is; meaningless where there is none.
    first : array of bool, shape (c,)
        Columns of a tilt's first observation of a particle.
    """

    rows: Floats
    target: Floats
    seen: Bools
    index: NDArray[np.intp]
    first: Bools

    def normal(self, weight: Any) -> Floats:
        """Return the weighted sums of ``rows.T @ rows``, shape (m, 3, 3)."""
        squares = np.einsum("cki,ckj->cij", self.rows, self.rows).reshape(-1, 9)
        return np.asarray(weight.astype(float) @ squares).reshape(-1, 3, 3)

    def solve(self, weight: Any, fixed: Bools) -> Floats:
        """Return the points with the smallest weighted squares; NaN where not ``fixed``."""
        normal = np.where(fixed[:, None, None], self.normal(weight), np.eye(3))
        weighted = (self.target * weight[..., None]).reshape(len(weight), -1)
        right = weighted @ self.rows.reshape(-1, 3)
        point = np.linalg.solve(normal, right[..., None])[..., 0]
        return np.where(fixed[:, None], point, np.nan)

    def residual(self, point: Floats) -> Floats:
        """Return observed less expected places, shape (m, c, 2)."""
        expected = point @ self.rows.reshape(-1, 3).T
        return np.asarray(self.target - expected.reshape(self.target.shape))

    def fixed(self, used: Bools, min_angle: float) -> Bools:
        """Tell whose rays differ enough in direction to fix a point.

        Two rays at an angle α have the smallest eigenvalue 1 - cos α, if α is below 90°.
        """
        squared_scale = (self.rows[:1, 0] ** 2).sum()
        smallest = np.linalg.eigvalsh(self.normal(used))[:, 0] / (squared_scale or 1.0)
        return np.asarray(smallest >= (1 - np.cos(np.deg2rad(min_angle))) * (1 - 1e-9))

    def absolute(self, fixed: Bools) -> Floats:
        """Return the points with the smallest sum of distances, not of their squares.

        The sum is convex, so that reweighting finds it from anywhere, and one observation
        counts no more for being far off.
        """
        point = self.solve(self.seen, fixed)
        for _ in range(_ROUNDS):
            distance = np.linalg.norm(self.residual(point), axis=2)
            weight = self.seen / np.maximum(np.nan_to_num(distance), _CONVERGED)
            before, point = point, self.solve(weight, fixed)
            if not (np.abs(point - before)[fixed] > _CONVERGED / 10).any():
                break
        return point

    def inliers(self, point: Floats, noise: float, min_angle: float) -> Bools:
        """Drop what is far from the points, and ask again with points from the rest."""
        used = self.seen
        for _ in range(5):
            distance = np.linalg.norm(self.residual(np.nan_to_num(point)), axis=2)
            known = np.isfinite(point[:, :1])
            before, used = used, np.where(known, self.seen & (distance <= _REJECT * noise), used)
            if (used == before).all():
                break
            point = self.solve(used, self.fixed(used, min_angle))
        return used


def bundles(
    code: NDArray[np.intp], tilt: NDArray[np.intp], target: Floats, rows: Floats, n: int
) -> Iterator[tuple[slice, Bundles]]:
    """Lay observations out as tables, a part of the particles at a time.

    Parameters
    ----------
    code, tilt : array of int, shape (N,)
        Particle (below ``n``) and tilt of each observation.
    target : array, shape (N, 2)
    rows : array, shape (t, 2, 3)
    """
    order = np.argsort(code * max(1, len(rows)) + tilt, kind="stable")
    code, tilt = code[order], tilt[order]
    column = tilt + len(rows) * _repeats(code, tilt)
    ends = np.cumsum(np.bincount(code, minlength=n))
    step = max(1, _ENTRIES // max(1, len(rows)))
    for first in range(0, n, step):
        last = min(first + step, n)
        part = slice(ends[first - 1] if first else 0, ends[last - 1])
        used, where = np.unique(column[part], return_inverse=True)
        at = (code[part] - first, where.reshape(-1))
        shape = (last - first, len(used))
        block = Bundles(
            rows[used % len(rows)] if len(rows) else np.zeros((0, 2, 3)),
            np.zeros((*shape, 2)),
            np.zeros(shape, dtype=bool),
            np.zeros(shape, dtype=np.intp),
            used < len(rows),
        )
        block.target[at] = target[order[part]]
        block.seen[at] = True
        block.index[at] = order[part]
        yield slice(first, last), block


def _repeats(code: NDArray[np.intp], tilt: NDArray[np.intp]) -> NDArray[np.intp]:
    """Count how often the same particle came before in the same tilt; both are sorted."""
    n = np.arange(len(code))
    new = np.ones(len(code), dtype=bool)
    new[1:] = (code[1:] != code[:-1]) | (tilt[1:] != tilt[:-1])
    return np.asarray(n - np.maximum.accumulate(np.where(new, n, 0)), dtype=np.intp)
