"""Compare two sets of poses in physical space."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cryotypes.poseset import validate_poseset
from cryotypes.poseset._operations import places

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cryotypes.poseset import PoseSetProtocol

    Floats = NDArray[np.float64]


@dataclass(frozen=True, repr=False)
class PoseComparison:
    """How far the particles of two PoseSets are apart.

    Parameters
    ----------
    pairs : array of int, shape (n, 2)
        Row of A and row of B that belong together.
    distance : array, shape (n,)
        Between them, shifts included; in ``unit``.
    angle : array, shape (n,), or None
        Of the rotation from A's orientation to B's, degrees; None if either is unknown.
    only_a, only_b : array of int
        Rows without a partner: missing in B, and extra.
    unit : {"Å", "px"}
        Pixels if neither pixel spacing is known.
    matched_by : {"order", "nearest"}
    experiment_id : str
        Of A.
    notes : list of str
        What else differs.
    """

    pairs: NDArray[np.intp]
    distance: Floats
    angle: Floats | None
    only_a: NDArray[np.intp]
    only_b: NDArray[np.intp]
    unit: str
    matched_by: str
    experiment_id: str
    notes: list[str]

    def __repr__(self) -> str:
        return f"PoseComparison {self.experiment_id!r}: {self.summary()}"

    def summary(self) -> str:
        """Say it in one line."""
        parts = [f"{len(self.pairs)} pairs by {self.matched_by}"]
        if len(self.pairs):
            parts.append(f"apart at most {self.distance.max():.3g} {self.unit}")
            if self.angle is not None:
                parts.append(f"{self.angle.max():.3g}°")
        for name, rows in (("missing", self.only_a), ("extra", self.only_b)):
            if len(rows):
                parts.append(f"{len(rows)} {name}")
        return ", ".join([*parts, *self.notes])

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers and strings, ready for JSON."""
        return {
            "experiment_id": self.experiment_id,
            "matched_by": self.matched_by,
            "unit": self.unit,
            "pairs": len(self.pairs),
            "missing": self.only_a.tolist(),
            "extra": self.only_b.tolist(),
            "distance": _statistics(self.distance),
            "angle": None if self.angle is None else _statistics(self.angle),
            "notes": self.notes,
        }


def _statistics(values: Floats) -> dict[str, float] | None:
    if not len(values):
        return None
    return {
        "maximum": float(values.max()),
        "median": float(np.median(values)),
        "rms": float(np.sqrt((values**2).mean())),
    }


def compare_poses(
    a: PoseSetProtocol,
    b: PoseSetProtocol,
    *,
    match_particles: str | None = None,
    within: float | None = None,
) -> PoseComparison:
    """Compare where two PoseSets place and orient the same particles.

    Places are position + shift in Å from the centre of the first pixel, so that neither the
    binning nor the split between position and shift matters.

    Parameters
    ----------
    a, b : PoseSet
    match_particles : {"order", "nearest"}, optional
        By row, or mutual nearest neighbours. By default by row if both have the same number.
    within : float, optional
        Pair nearest neighbours up to this distance only (Å, or pixels if no spacing is known).

    Returns
    -------
    PoseComparison

    Raises
    ------
    ValueError
        If only one pixel spacing is known, or rows are to be paired and their numbers differ.

    Examples
    --------
    >>> from cryotypes import PoseSet, compare_poses
    >>> binned = PoseSet([[10, 20, 30]], pixel_spacing=8)
    >>> whole = PoseSet([[40, 80, 119]], [[0, 0, 1.5]], pixel_spacing=2)
    >>> compare_poses(binned, whole).distance
    array([1.])
    """
    a, b = (validate_poseset(poses, coerce=True) for poses in (a, b))
    if match_particles not in (None, "order", "nearest"):
        raise ValueError(f"match_particles: expected order or nearest, found {match_particles!r}")
    if bool(a.pixel_spacing) != bool(b.pixel_spacing):
        unknown = "B" if a.pixel_spacing else "A"
        raise ValueError(f"compare: the pixel spacing of {unknown} is unknown (--pixel-spacing)")
    found = _places(a), _places(b)
    n, m = len(found[0]), len(found[1])
    notes: list[str] = []
    if match_particles == "order" and n != m:
        raise ValueError(f"compare: cannot pair {n} with {m} particles by their order")
    nearest = match_particles == "nearest" or n != m
    pairs = _mutual(*found, within) if nearest else np.stack([np.arange(n)] * 2, axis=1)
    distance = np.linalg.norm(found[0][pairs[:, 0]] - found[1][pairs[:, 1]], axis=1)
    if not nearest and match_particles is None and n:
        notes += _other_order(found, float(np.median(distance)))
    return PoseComparison(
        pairs=pairs,
        distance=distance,
        angle=_angles(a, b, pairs, notes),
        only_a=np.setdiff1d(np.arange(n), pairs[:, 0]),
        only_b=np.setdiff1d(np.arange(m), pairs[:, 1]),
        unit="Å" if a.pixel_spacing else "px",
        matched_by="nearest" if nearest else "order",
        experiment_id=a.experiment_id,
        notes=notes,
    )


def _places(poses: PoseSetProtocol) -> Floats:
    """In Å, or in pixels where nobody knows their size."""
    return np.asarray(places(poses) * (float(poses.pixel_spacing) or 1.0))


def _mutual(a: Floats, b: Floats, within: float | None) -> NDArray[np.intp]:
    """Pairs of which each is the other's nearest."""
    from scipy.spatial import cKDTree

    if not len(a) or not len(b):
        return np.zeros((0, 2), dtype=np.intp)
    distance, to_b = map(np.asarray, cKDTree(b).query(a))
    to_a = np.asarray(cKDTree(a).query(b)[1])
    mutual = to_a[to_b] == np.arange(len(a))
    if within is not None:
        mutual &= distance <= within
    rows = np.flatnonzero(mutual)
    return np.stack([rows, to_b[rows]], axis=1).astype(np.intp)


def _other_order(places: tuple[Floats, Floats], median: float) -> list[str]:
    pairs = _mutual(*places, None)
    near = np.linalg.norm(places[0][pairs[:, 0]] - places[1][pairs[:, 1]], axis=1)
    if len(pairs) > len(places[0]) / 2 and median > 10 * float(np.median(near)) + 1e-6:
        return ["nearest neighbours are much nearer: the same particles in another order?"]
    return []


def _angles(a: Any, b: Any, pairs: NDArray[np.intp], notes: list[str]) -> Floats | None:
    if a.orientation is None or b.orientation is None:
        if (a.orientation is None) != (b.orientation is None):
            notes.append(f"orientation unknown in {'A' if a.orientation is None else 'B'} only")
        return None
    if not len(pairs):
        return np.zeros(0)
    between = a.orientation[pairs[:, 0]].inv() * b.orientation[pairs[:, 1]]
    return np.asarray(np.rad2deg(between.magnitude()))
