"""From places in several tilt images to places in the tomogram."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ._cameras import cameras_of, rows_of
from ._observations import observations_of
from ._solver import Solver

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray
    from pandas import DataFrame

    from cryotypes.poseset import PoseSet, PoseSetProtocol
    from cryotypes.projectionmodel import ProjectionModel

    from ._observations import Observations

    Floats = NDArray[np.float64]


@dataclass(frozen=True, repr=False)
class Triangulation:
    """Where m particles are in the tomogram, from N observations in tilt images.

    Parameters
    ----------
    particle : array, shape (m,)
        Their names, in order of first appearance among the observations.
    position : array, shape (m, 3)
        xyz in 0-based pixels of the tomogram; NaN where ``reason`` says why.
    covariance : array, shape (m, 3, 3)
        Of the positions, in pixels²: ``noise`` carried through the geometry.
    n_observations : array of int, shape (m,)
        Observations that were used.
    reason : array of str, shape (m,)
        Why there is no position; empty where there is one.
    residual : array, shape (N, 2)
        xy of each observation less that of the projected position, in pixels of the tilt image.
    outlier : array of bool, shape (N,)
        Observations that were not used.
    code : array of int, shape (N,)
        Index of the particle of each observation.
    noise : float
        Standard deviation of x and of y of an observation, in pixels of the tilt image; NaN if
        it is not known.
    pixel_spacing : float
        Å per pixel of the tomogram; 0: unknown.
    experiment_id : str
    """

    particle: NDArray[Any]
    position: Floats
    covariance: Floats
    n_observations: NDArray[np.intp]
    reason: NDArray[Any]
    residual: Floats
    outlier: NDArray[np.bool_]
    code: NDArray[np.intp]
    noise: float
    pixel_spacing: float
    experiment_id: str = ""

    def __len__(self) -> int:
        return len(self.position)

    def __repr__(self) -> str:
        found = int((self.reason == "").sum())
        outliers = int(self.outlier.sum())
        extra = f", {outliers} outliers" if outliers else ""
        return (
            f"Triangulation {self.experiment_id!r}: {found} of {len(self)} particles from "
            f"{len(self.code)} observations{extra}"
        )

    @property
    def rms(self) -> Floats:
        """Root mean square distance of each particle's used observations, shape (m,)."""
        squares = np.where(self.outlier, 0.0, (np.nan_to_num(self.residual) ** 2).sum(axis=1))
        total = np.bincount(self.code, squares, minlength=len(self))
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(
                np.where(self.reason == "", np.sqrt(total / self.n_observations), np.nan)
            )

    def as_poseset(self) -> PoseSet:
        """Return the particles that have a position.

        Features: particle, n_observations, rms (pixels of the tilt image), and sigma_x, sigma_y,
        sigma_z (pixels of the tomogram).
        """
        import pandas as pd

        from cryotypes.poseset import PoseSet

        found = self.reason == ""
        sigma = np.sqrt(np.diagonal(self.covariance, axis1=1, axis2=2)[found])
        features = pd.DataFrame(
            {
                "particle": self.particle[found],
                "n_observations": self.n_observations[found],
                "rms": self.rms[found],
                **{f"sigma_{axis}": sigma[:, i] for i, axis in enumerate("xyz")},
            }
        )
        return PoseSet(
            self.position[found],
            experiment_id=self.experiment_id,
            pixel_spacing=self.pixel_spacing,
            features=features,
        )


def triangulate(
    observations: DataFrame | Mapping[str, ArrayLike] | Iterable[PoseSetProtocol],
    projection_model: ProjectionModel,
    *,
    robust: bool = False,
    noise: float | None = None,
    min_angle: float = 0.5,
    tomogram_dimensions: Sequence[float] | None = None,
    tomogram_spacing: float | None = None,
    tilt_image_dimensions: Sequence[int] | None = None,
    tilt_image_center: Sequence[float] | None = None,
    tilt_image_pixel_spacing: float | None = None,
    pixel_spacing: float | None = None,
    experiment_id: str | None = None,
) -> Triangulation:
    """Find particles in 3D from where they are seen in two or more tilt images.

    The inverse of `project`, by least squares over all tilts. A particle that one tilt, or
    parallel rays, cannot fix gets NaN and a reason.

    Parameters
    ----------
    observations : DataFrame or mapping with columns particle, tilt, x, y; or PoseSets
        ``particle`` is any name, ``tilt`` the row of the model from 0, x and y are pixels of the
        tilt image. Or one 2D PoseSet for each tilt, as `project` gives them: particles belong
        together by the index of their features, else by their order.
    projection_model : ProjectionModel
    robust : bool
        Find observations that are wrong, and leave them out. The smallest sum of distances tells
        which are good; what is farther than 4 × ``noise`` is an outlier. Three tilts can tell
        only errors along the tilt axis, from four on any; below half of them may be wrong.
    noise : float, optional
        Standard deviation of x and y of a good observation, pixels of the tilt image. By default
        it is estimated from the residuals of all particles together.
    min_angle : float
        Degrees between two rays, below which they count as parallel.
    tomogram_dimensions : (x, y, z), optional
        In pixels of the unbinned tilt series. By default what the model's ``attrs`` state.
    tomogram_spacing : float, optional
        Å per pixel in which tomogram_dimensions is counted; by default that of the model.
    tilt_image_dimensions, tilt_image_center, tilt_image_pixel_spacing : optional
        As for `project`; PoseSets bring their pixel spacing.
    pixel_spacing : float, optional
        Å per pixel of the tomogram; by default the model's.
    experiment_id : str, optional
        Which, if the model holds several; PoseSets bring theirs.

    Returns
    -------
    Triangulation

    Raises
    ------
    IndexError
        If there is no such tilt.
    MatchError, ValueError
        As for `project`; if observations are no such table; or if not a single particle can be
        found, with the reasons.

    Warns
    -----
    GuessWarning
        As for `project`.

    Examples
    --------
    >>> import pandas as pd
    >>> from cryotypes import triangulate
    >>> model = pd.DataFrame({"rotation_x": 0.0, "rotation_y": [0, 90], "rotation_z": 0.0,
    ...     "dx": 0.0, "dy": 0.0, "experiment_id": "TS_01", "pixel_spacing": 2.5, "source": ""})
    >>> seen = pd.DataFrame({"particle": [7, 7], "tilt": [0, 1], "x": [60, 53], "y": [45, 45]})
    >>> found = triangulate(seen, model, tomogram_dimensions=(100, 100, 40),
    ...                     tilt_image_dimensions=(100, 100))
    >>> found.position.round(6).tolist()
    [[60.0, 45.0, 23.0]]
    """
    if noise is not None and not 0 < noise < np.inf:
        raise ValueError(f"noise: expected pixels above 0, found {noise}")
    seen = _observations(observations, projection_model, experiment_id)
    name = seen.experiment_id if experiment_id is None else experiment_id
    spacing = seen.pixel_spacing if tilt_image_pixel_spacing is None else tilt_image_pixel_spacing
    cameras = cameras_of(
        "triangulate",
        rows_of(projection_model, name or ""),
        experiment_id=name or "",
        volume_spacing=pixel_spacing,
        stated=None,
        tomogram_dimensions=tomogram_dimensions,
        tomogram_spacing=tomogram_spacing,
        tilt_image_dimensions=tilt_image_dimensions,
        tilt_image_center=tilt_image_center,
        tilt_image_pixel_spacing=spacing or None,
    )
    if name is None:
        name = _name_in(cameras.model)
    solver = Solver(seen, cameras, robust, noise, min_angle)
    solver.solve()
    return Triangulation(
        particle=seen.particle,
        position=solver.point + cameras.centre,
        covariance=solver.covariance,
        n_observations=solver.used,
        reason=solver.reason,
        residual=solver.residual,
        outlier=solver.outlier,
        code=seen.code,
        noise=np.nan if solver.noise is None else solver.noise,
        pixel_spacing=cameras.spacings.volume,
        experiment_id=name,
    )


def _observations(given: Any, model: ProjectionModel, name: str | None) -> Observations:
    """Read the observations; their own experiment tells which rows of the model count."""
    if name is None and isinstance(given, Iterable) and not hasattr(given, "keys"):
        given = list(given)
        name = given[0].experiment_id if given else None
    return observations_of(given, len(rows_of(model, name or "")))


def _name_in(model: ProjectionModel) -> str:
    known = "experiment_id" in model and len(model)
    return str(model["experiment_id"].iloc[0]) if known else ""
