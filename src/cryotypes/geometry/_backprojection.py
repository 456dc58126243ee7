"""From a point in a tilt image back to all points of the tomogram that are seen there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cryotypes.errors import ValidationError

from ._cameras import cameras_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from cryotypes.projectionmodel import ProjectionModel

    Floats = NDArray[np.float64]


@dataclass(frozen=True, repr=False)
class Rays:
    """Straight lines through a tomogram, along the beam of a tilt.

    ``origin + depth * direction`` is a point of the line; ``depth`` counts from the tomogram's
    centre as in `Projection`, but in pixels of the tomogram.

    Parameters
    ----------
    origin : array, shape (n, 3)
        xyz of the point at depth 0, the nearest to the tomogram's centre; 0-based pixels.
    direction : array, shape (n, 3)
        Unit vectors xyz, along the beam: towards positive depth.
    tilt : array of int, shape (n,)
        The row of the projection model, from 0.
    pixel_spacing : float
        Å per pixel of ``origin``; 0: unknown.
    experiment_id : str
    """

    origin: Floats
    direction: Floats
    tilt: NDArray[np.intp]
    pixel_spacing: float
    experiment_id: str = ""

    def __len__(self) -> int:
        return len(self.origin)

    def __repr__(self) -> str:
        tilts = len(np.unique(self.tilt))
        return f"Rays {self.experiment_id!r}: {len(self)} from {tilts} tilts"

    def at(self, depth: ArrayLike) -> Floats:
        """Return the points at a depth in pixels (one number, or one a ray), shape (n, 3)."""
        along = np.broadcast_to(np.asarray(depth, dtype=float), len(self))
        return self.origin + along[:, None] * self.direction


def backproject(
    points: ArrayLike,
    projection_model: ProjectionModel,
    *,
    tilt: ArrayLike,
    tomogram_dimensions: Sequence[float] | None = None,
    tomogram_spacing: float | None = None,
    tilt_image_dimensions: Sequence[int] | None = None,
    tilt_image_center: Sequence[float] | None = None,
    tilt_image_pixel_spacing: float | None = None,
    pixel_spacing: float | None = None,
    experiment_id: str = "",
) -> Rays:
    """Find all points of the tomogram that are seen at given points of tilt images.

    The inverse of `project`: whatever lies on a ray is projected onto its point.

    Parameters
    ----------
    points : array_like, shape (n, 2), or (2,) for one
        xy in pixels of the tilt images; the centre of the first pixel is (0, 0).
    projection_model : ProjectionModel
    tilt : int or array_like of int, shape (n,)
        In which image each point lies: the row of the model, from 0.
    tomogram_dimensions : (x, y, z), optional
        In pixels of the unbinned tilt series. By default what the model's ``attrs`` state.
    tomogram_spacing : float, optional
        Å per pixel in which tomogram_dimensions is counted; by default that of the model.
    tilt_image_dimensions, tilt_image_center, tilt_image_pixel_spacing : optional
        As for `project`.
    pixel_spacing : float, optional
        Å per pixel of the tomogram; by default the model's.
    experiment_id : str
        Which, if the model holds several.

    Returns
    -------
    Rays

    Raises
    ------
    IndexError
        If there is no such tilt.
    MatchError, ValueError
        As for `project`.

    Warns
    -----
    GuessWarning
        As for `project`.

    Examples
    --------
    >>> import pandas as pd
    >>> from cryotypes import backproject
    >>> model = pd.DataFrame({"rotation_x": 0.0, "rotation_y": [0, 90], "rotation_z": 0.0,
    ...     "dx": 0.0, "dy": 0.0, "experiment_id": "TS_01", "pixel_spacing": 2.5, "source": ""})
    >>> rays = backproject([[60, 50], [60, 50]], model, tilt=[0, 1],
    ...     tomogram_dimensions=(100, 100, 40), tilt_image_dimensions=(100, 100))
    >>> rays.origin.round(6).tolist()  # seen from the side, z is where x was
    [[60.0, 50.0, 20.0], [50.0, 50.0, 30.0]]
    >>> (abs(rays.direction).round(6) + 0).tolist()
    [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """
    cameras = cameras_of(
        "backproject",
        projection_model,
        experiment_id=experiment_id,
        volume_spacing=pixel_spacing,
        stated=None,
        tomogram_dimensions=tomogram_dimensions,
        tomogram_spacing=tomogram_spacing,
        tilt_image_dimensions=tilt_image_dimensions,
        tilt_image_center=tilt_image_center,
        tilt_image_pixel_spacing=tilt_image_pixel_spacing,
    )
    xy = _points(points)
    rows = np.broadcast_to(tilt_rows(tilt, len(cameras.model), "backproject"), len(xy))
    across = (xy - cameras.offset[rows]) / cameras.scale
    turns = cameras.turns[rows]
    return Rays(  # the rows of a rotation are its columns' way back
        origin=cameras.centre + np.einsum("nij,ni->nj", turns[:, :2], across),
        direction=turns[:, 2],
        tilt=rows.copy(),
        pixel_spacing=cameras.spacings.volume,
        experiment_id=str(cameras.model["experiment_id"].iloc[0])
        if "experiment_id" in cameras.model and len(cameras.model)
        else experiment_id,
    )


def _points(points: ArrayLike) -> Floats:
    xy = np.asarray(points, dtype=float)
    if xy.size == 0:
        return np.zeros((0, 2))
    xy = xy[None] if xy.ndim == 1 else xy
    if xy.ndim != 2 or xy.shape[1] != 2:
        raise ValidationError("points", [f"expected shape (n, 2), found {np.shape(points)}"])
    if not np.isfinite(xy).all():
        raise ValidationError("points", ["expected finite numbers, found NaN or infinity"])
    return xy


def tilt_rows(tilt: Any, n_tilts: int, what: str) -> NDArray[np.intp]:
    """Check indices of tilts: whole numbers from 0, and there are so many."""
    numbers = np.asarray(tilt)
    rows = numbers.astype(np.intp) if numbers.dtype.kind in "iuf" else None
    if numbers.size == 0:
        return np.zeros(numbers.shape, dtype=np.intp)
    if rows is None or (rows != numbers).any():
        raise ValidationError(what, [f"tilt: expected whole numbers, found {numbers.dtype}"])
    bad = (rows < 0) | (rows >= n_tilts)
    if bad.any():
        raise IndexError(f"{what}: tilt {rows[bad].flat[0]}: the model has {n_tilts}, from 0")
    return rows
