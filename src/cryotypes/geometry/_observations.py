"""Which particle was seen where in which tilt image, from a table or from PoseSets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cryotypes.errors import ValidationError
from cryotypes.poseset._operations import count, places

from ._backprojection import tilt_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

_COLUMNS = ("particle", "tilt", "x", "y")


@dataclass(frozen=True)
class Observations:
    """n observations of m particles.

    Parameters
    ----------
    particle : array, shape (m,)
        The particles' names, in order of first appearance.
    code : array of int, shape (n,)
        Which of these each observation is of.
    tilt : array of int, shape (n,)
    xy : array, shape (n, 2)
        In pixels of the tilt images.
    experiment_id : str or None
        As the PoseSets say.
    pixel_spacing : float or None
        Å per pixel of the tilt images, as the PoseSets say.
    """

    particle: NDArray[Any]
    code: NDArray[np.intp]
    tilt: NDArray[np.intp]
    xy: NDArray[np.float64]
    experiment_id: str | None = None
    pixel_spacing: float | None = None


def observations_of(observations: Any, n_tilts: int) -> Observations:
    """Read a table (DataFrame or mapping of columns), or PoseSets, one a tilt.

    Raises
    ------
    ValidationError
        If a column is missing or of another length, or a number is not finite.
    IndexError
        If there is no such tilt.
    """
    if hasattr(observations, "columns") or isinstance(observations, Mapping):
        return _from_table(observations, n_tilts)
    if not isinstance(observations, Iterable):
        found = type(observations).__name__
        raise ValidationError("observations", [f"expected a table or PoseSets, found {found}"])
    return _from_posesets(list(observations), n_tilts)


def _from_table(table: Any, n_tilts: int) -> Observations:
    missing = [name for name in _COLUMNS if name not in table]
    if missing:
        raise ValidationError("observations", [f"missing columns {', '.join(missing)}"])
    columns = {name: np.asarray(table[name]) for name in _COLUMNS}
    lengths = {name: values.shape for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ValidationError("observations", [f"columns of different lengths: {lengths}"])
    xy = np.stack([columns["x"], columns["y"]], axis=-1).astype(float)
    return _coded(columns["particle"], columns["tilt"], xy, n_tilts)


def _from_posesets(posesets: list[Any], n_tilts: int) -> Observations:
    if len(posesets) != n_tilts:
        found = f"{len(posesets)} for {n_tilts} tilts"
        raise ValidationError(
            "observations", [f"expected one PoseSet a tilt (without particles if none), {found}"]
        )
    stated: dict[str, Any] = {}
    for name in ("experiment_id", "pixel_spacing"):
        values = list(dict.fromkeys(getattr(poses, name) for poses in posesets))
        if len(values) > 1:
            listing = ", ".join(repr(value) for value in values[:5])
            raise ValidationError("observations", [f"{name} differs between tilts: {listing}"])
        stated[name] = values[0] if values else None
    names = [np.zeros(0, dtype=int), *map(_names, posesets)]
    xy = [np.zeros((0, 2)), *(places(poses)[:, :2] for poses in posesets)]
    tilt = np.repeat(np.arange(n_tilts), [count(poses) for poses in posesets])
    return _coded(np.concatenate(names), tilt, np.concatenate(xy), n_tilts, **stated)


def _names(poses: Any) -> NDArray[Any]:
    """A particle is called by its row in the source file, else in the PoseSet."""
    features: Any = getattr(poses, "features", None)
    if hasattr(features, "iloc"):
        return np.asarray(features.index)
    return np.arange(count(poses))


def _coded(particle: Any, tilt: Any, xy: Any, n_tilts: int, **stated: Any) -> Observations:
    import pandas as pd

    bad = ~np.isfinite(xy).all(axis=1)
    if bad.any():
        row = int(bad.argmax())
        found = f"{xy[row].tolist()} in row {row}"
        raise ValidationError("observations", [f"x, y: expected finite numbers, found {found}"])
    codes, names = pd.factorize(particle)
    if (codes < 0).any():
        row = int((codes < 0).argmax())
        raise ValidationError("observations", [f"particle: a missing value in row {row}"])
    rows = tilt_rows(tilt, n_tilts, "observations")
    return Observations(np.asarray(names), codes.astype(np.intp), rows, xy, **stated)
