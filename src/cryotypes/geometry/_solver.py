"""What `triangulate` does with observations: solve, reject, estimate the noise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ._least_squares import _CONVERGED, bundles

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ._cameras import Cameras
    from ._least_squares import Bundles
    from ._observations import Observations

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]

ONE_TILT = "seen in one tilt only"
PARALLEL = "the rays are parallel"
CONTRADICTION = "the observations contradict each other"


class Solver:
    """Finds points, outliers and noise; works on one part of the particles after the other."""

    def __init__(
        self,
        seen: Observations,
        cameras: Cameras,
        robust: bool,
        noise: float | None,
        min_angle: float,
    ) -> None:
        self.seen, self.cameras = seen, cameras
        self.noise, self.min_angle = noise, min_angle
        self.robust = robust
        rows = cameras.turns[:, :2] * cameras.scale
        target = seen.xy - cameras.offset[seen.tilt]
        self.parts = list(bundles(seen.code, seen.tilt, target, rows, len(seen.particle)))
        self.outlier = np.zeros(len(seen.code), dtype=bool)
        self.residual = np.full(seen.xy.shape, np.nan)
        m = len(seen.particle)
        self.point, self.normal = np.full((m, 3), np.nan), np.zeros((m, 3, 3))
        self.used = np.zeros(m, dtype=np.intp)
        self.reason = np.full(m, "", dtype=object)

    def solve(self) -> None:
        """Find the points from what is not an outlier.

        Raises
        ------
        ValueError
            If there are particles, and none can be found.
        """
        if self.robust:
            self._reject()
        for part, block in self.parts:
            used = block.seen & ~self.outlier[block.index]
            fixed = block.fixed(used, self.min_angle)
            self.point[part] = block.solve(used, fixed)
            self.normal[part] = block.normal(used)
            self.used[part] = used.sum(axis=1)
            self.reason[part] = self._reasons(block, used, fixed)
            self.residual[block.index[block.seen]] = block.residual(self.point[part])[block.seen]
        if len(self.reason) and (self.reason != "").all():
            reasons = ", ".join(dict.fromkeys(self.reason))
            raise ValueError(f"triangulate: no particle can be found: {reasons}")
        self.noise = self.noise or self._spread()

    @property
    def covariance(self) -> Floats:
        known = (self.reason == "")[:, None, None]
        inverse = np.linalg.inv(np.where(known, self.normal, np.eye(3)))
        return np.where(known, (self.noise or np.nan) ** 2 * inverse, np.nan)

    def _reject(self) -> None:
        """Find the outliers."""
        points = []
        distance = np.full(len(self.outlier), np.nan)
        for _, block in self.parts:
            points.append(block.absolute(block.fixed(block.seen, self.min_angle)))
            far = np.linalg.norm(block.residual(points[-1]), axis=2)
            distance[block.index[block.seen]] = far[block.seen]
        noise = self.noise or self._typical(distance)
        for (_, block), point in zip(self.parts, points, strict=True):
            used = block.inliers(point, noise, self.min_angle)
            self.outlier[block.index[block.seen]] = ~used[block.seen]

    def _typical(self, distance: Floats) -> float:
        """Estimate the noise from the median distance; fits to few observations come too close."""
        n = np.bincount(self.seen.code)[self.seen.code]
        known = np.isfinite(distance)
        if not known.any():
            return _CONVERGED
        # the median of a distance in 2D is 1.1774 standard deviations of x or y
        scaled = distance[known] * np.sqrt(2 * n[known] / (2 * n[known] - 3)) / 1.1774
        return max(float(np.median(scaled)), _CONVERGED)

    def _spread(self) -> float:
        """Estimate the noise from the squares of all residuals; a particle takes 3 of its 2n."""
        found = self.reason == ""
        good = ~self.outlier & found[self.seen.code]
        freedom = (2 * self.used[found] - 3).sum()
        return float(np.sqrt((self.residual[good] ** 2).sum() / freedom)) if freedom else np.nan

    def _reasons(self, block: Bundles, used: Bools, fixed: Bools) -> NDArray[Any]:
        tilts = block.seen[:, block.first].sum(axis=1)
        lost = block.seen.sum(axis=1) > used.sum(axis=1)
        reasons = np.where(tilts < 2, ONE_TILT, np.where(lost, CONTRADICTION, PARALLEL))
        return np.where(fixed, "", reasons)
