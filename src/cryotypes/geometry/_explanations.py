"""What may turn one alignment of a tilt series into another, and how well it does."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ._cameras import turns

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

# Parameters by name: how many numbers. Degrees for tilt, in_plane, roll, turn; pixels for the rest.
_SIZES = {"scale": 1, "tilt": 1, "in_plane": 1, "roll": 1, "shift": 2, "offset": 3, "turn": 3}
# Flips, which have no number: (sign of rotation_x and rotation_y, degrees added to rotation_z).
_FLIPS = {"mirror": (-1, 0.0), "axis_180": (1, 180.0), "turned_180": (-1, 180.0)}
_FREE = [
    (),
    ("tilt",),
    ("in_plane",),
    ("roll",),
    ("scale",),
    ("shift",),
    ("offset",),
    ("offset", "tilt"),
    ("offset", "in_plane"),
    ("shift", "offset"),
    ("offset", "turn"),
    ("shift", "offset", "turn"),
]
_STEP = 1e-4  # degrees or pixels, for slopes
_ALL = ("in_plane", "scale", "shift", "offset", "turn")  # what none of these reaches, no part does


@dataclass(frozen=True)
class Explanation:
    """One way to get alignment B from alignment A: B shows p where A shows Q p + offset.

    Parameters
    ----------
    names : tuple of str
        What is changed; empty: nothing. ``mirror``: the specimen is mirrored in z (rotation_x and
        rotation_y negated); ``axis_180``: rotation_z + 180; ``turned_180``: both, which turns
        the specimen by 180° about z; ``tilt``, ``in_plane``: added to rotation_y, rotation_z;
        ``roll``: the images are turned about their centres; ``scale``: shifts are multiplied;
        ``shift``: added to dx, dy; ``offset``: the specimen is moved; ``turn``: it is turned by Q.
    parameters : dict
        Name to numbers: degrees; pixels of A; ``turn`` is a rotation vector in degrees.
    distance : array, shape (t,)
        What remains in each tilt: RMS over the volume, in pixels of A.
    distance_at_centre : array, shape (t,)
        The same at the centre of the volume alone.
    outlier : array of bool, shape (t,)
        Tilts that remain far more different than the others.
    """

    names: tuple[str, ...]
    parameters: dict[str, tuple[float, ...]]
    distance: Floats = field(repr=False)
    distance_at_centre: Floats = field(repr=False)
    outlier: NDArray[np.bool_] = field(repr=False)

    @property
    def complexity(self) -> int:
        """How many numbers or changes it takes."""
        return sum(_SIZES.get(name, 1) for name in self.names)

    @property
    def rms(self) -> float:
        """RMS over the volume and all tilts but the outliers, in pixels."""
        return _rms(self.distance[~self.outlier])

    @property
    def rms_at_centre(self) -> float:
        """RMS at the centre of the volume, over all tilts but the outliers, in pixels."""
        return _rms(self.distance_at_centre[~self.outlier])

    @property
    def score(self) -> float:
        """RMS over the better three quarters of the tilts, by which explanations compete."""
        best = np.sort(self.distance)[: -(-3 * len(self.distance) // 4)]
        return _rms(best)


@dataclass(frozen=True)
class Geometry:
    """The tilts of one alignment, lengths in pixels of A: angles (t, 3), shifts (t, 2)."""

    angles: Floats
    shifts: Floats


def _rms(distance: Floats) -> float:
    return float(np.sqrt((distance**2).mean())) if len(distance) else 0.0


def explain(a: Geometry, b: Geometry, points: Floats, tolerance: float) -> list[Explanation]:
    """Fit all explanations, simple ones first; combinations only if no simple one will do.

    Parameters
    ----------
    a, b : Geometry
        Of the same tilts.
    points : array, shape (k, 3)
        Where in the volume alignments are compared, from its centre, in pixels of A.
    tolerance : float
        Pixels that do not matter.
    """
    fit = _Fit(a, b, points, tolerance)
    simple = [(kind, free) for kind in ("", *_FLIPS) for free in _FREE if not (kind and free)]
    found = [e for kind, free in simple if not _undone(e := fit(kind, free))]
    for kind in _FLIPS:
        best = choose(found, tolerance).score
        if best > tolerance and (most := fit(kind, _ALL)).score < best / 2 and not _undone(most):
            found += [e for free in _FREE[1:] if not _undone(e := fit(kind, free))]
    return sorted(found, key=lambda e: e.complexity)


def choose(explanations: list[Explanation], tolerance: float) -> Explanation:
    """Pick the simplest: one that takes more must at least halve what remains, while it matters."""
    best = explanations[0]
    for level in sorted({e.complexity for e in explanations}):
        rival = min((e for e in explanations if e.complexity == level), key=lambda e: e.score)
        if best.score > tolerance and rival.score < best.score / 2:
            best = rival
    return best


def _undone(explanation: Explanation) -> bool:
    """Tell whether an angle does what is a kind's to do, a half turn, or undoes it."""
    names = ["tilt", "in_plane", "roll"]
    if not _FLIPS.keys().isdisjoint(explanation.names):
        names.append("turn")
    return any(np.linalg.norm(explanation.parameters.get(name, (0.0,))) > 90 for name in names)


class _Fit:
    def __init__(self, a: Geometry, b: Geometry, points: Floats, tolerance: float) -> None:
        self.a, self.b, self.tolerance = a, b, tolerance
        self.turns = turns(*b.angles.T)[:, :2]
        # |D p + d|² has the same mean over the points as over these four columns
        homogeneous = np.column_stack([points, np.ones(len(points))])
        values, vectors = np.linalg.eigh(homogeneous.T @ homogeneous / len(points))
        self.root = vectors * np.sqrt(np.maximum(values, 0))

    def __call__(self, kind: str, free: tuple[str, ...]) -> Explanation:
        sign, half_turn = _FLIPS.get(kind, (1, 0.0))
        angles = self.a.angles * [sign, sign, 1] + [0, 0, half_turn]
        x = self._start(angles, free, kind)
        everything = np.ones(len(angles))
        x = self._minimise(angles, free, x, absolute=True, used=everything)
        outlier = self._outliers(self._distance(angles, free, x)[0])
        x = self._minimise(angles, free, x, absolute=False, used=(~outlier).astype(float))
        distance, at_centre = self._distance(angles, free, x)
        return Explanation(
            names=((kind,) if kind else ()) + free,
            parameters={name: tuple(part.tolist()) for name, part in _parts(free, x).items()},
            distance=distance,
            distance_at_centre=at_centre,
            outlier=self._outliers(distance),
        )

    def _start(self, angles: Floats, free: tuple[str, ...], kind: str) -> Floats:
        """Start angles at the median difference: a large one is not near enough to zero.

        Half turns are for the kinds; an angle must not undo them.
        """
        start: list[float] = []
        for name in free:
            column = {"tilt": 1, "in_plane": 2, "roll": 2}.get(name)
            if column is not None:
                difference = self.b.angles[:, column] - angles[:, column]
                middle = _circular_median(difference)
                start.append(middle if abs(middle) <= 90 else 0.0)
            elif name == "turn" and not kind:
                start += _mean_turn(turns(*angles.T), turns(*self.b.angles.T))
            else:
                start += [1.0 if name == "scale" else 0.0] * _SIZES[name]
        return np.array(start)

    def _difference(self, angles: Floats, free: tuple[str, ...], x: Floats) -> Floats:
        """Matrices (t, 2, 4) that take xyzw in the volume to B's place less A's explained one."""
        p = _parts(free, x)
        zero = np.zeros(1)
        added = np.array([0.0, p.get("tilt", zero)[0], p.get("in_plane", zero)[0]])
        rotation = turns(*(angles + added).T)
        shift = self.a.shifts * p.get("scale", np.ones(1))
        if "offset" in p:
            shift = shift + rotation[:, :2] @ p["offset"]
        if "turn" in p:
            rotation = rotation @ _rotation_vector(p["turn"])
        if "roll" in p:
            roll = turns(zero, zero, p["roll"])[0]
            rotation, shift = roll @ rotation, shift @ roll[:2, :2].T
        shift = shift + p.get("shift", 0.0)
        turned = self.turns - rotation[:, :2]
        return np.concatenate([turned, (self.b.shifts - shift)[:, :, None]], axis=2)

    def _distance(self, angles: Floats, free: tuple[str, ...], x: Floats) -> tuple[Floats, Floats]:
        difference = self._difference(angles, free, x)
        over_volume = np.linalg.norm((difference @ self.root).reshape(len(angles), -1), axis=1)
        return over_volume, np.linalg.norm(difference[:, :, 3], axis=1)

    def _outliers(self, distance: Floats) -> NDArray[np.bool_]:
        """Tilts beyond four times the typical (median) distance, if that matters at all."""
        if len(distance) < 3:
            return np.zeros(len(distance), dtype=bool)
        return np.asarray(distance > max(4 * float(np.median(distance)), self.tolerance))

    def _minimise(
        self, angles: Floats, free: tuple[str, ...], x: Floats, absolute: bool, used: Floats
    ) -> Floats:
        """Gauss-Newton; ``absolute``: the sum of distances, which few tilts cannot spoil."""
        if not free or not len(angles):
            return x

        def residuals(values: Floats) -> Floats:
            product: Floats = self._difference(angles, free, values) @ self.root
            return product.reshape(len(angles), -1)

        steps = np.eye(len(x)) * _STEP
        for _ in range(50):
            here = residuals(x)
            far = np.linalg.norm(here, axis=1)
            weight = used / np.sqrt(np.maximum(far, 1e-6)) if absolute else used
            slopes = np.stack(
                [(residuals(x + d) - residuals(x - d)) / (2 * _STEP) for d in steps], axis=-1
            )
            left = (slopes * weight[:, None, None]).reshape(-1, len(x))
            right = (here * weight[:, None]).reshape(-1)
            # what can hardly be told apart (a shift and an offset along the tilt axis) is halved
            unit = np.linalg.norm(left, axis=0)
            unit[unit == 0] = 1.0
            move = np.linalg.lstsq(left / unit, -right, rcond=5e-3)[0] / unit
            x = x + move
            if np.abs(move).max() < (1e-6 if absolute else 1e-10):
                break
        return x


def _parts(free: tuple[str, ...], x: Floats) -> dict[str, Floats]:
    ends = np.cumsum([_SIZES[name] for name in free], dtype=int)
    return dict(zip(free, np.split(x, ends[:-1]), strict=True)) if free else {}


def _circular_median(degrees: Floats) -> float:
    """Median of angles that agree more or less, across ±180°."""
    if not len(degrees):
        return 0.0
    middle = np.rad2deg(np.angle(np.exp(1j * np.deg2rad(degrees)).mean()))
    around = (degrees - middle + 180) % 360 - 180
    return float((middle + np.median(around) + 180) % 360 - 180)


def _mean_turn(a: Floats, b: Floats) -> list[float]:
    from scipy.spatial.transform import Rotation

    if not len(a):
        return [0.0] * 3
    between = Rotation.from_matrix(a.transpose(0, 2, 1) @ b)
    vector: Any = between.mean().as_rotvec(degrees=True)
    return [float(value) for value in vector]


def _rotation_vector(degrees: Floats) -> Floats:
    from scipy.spatial.transform import Rotation

    return np.asarray(Rotation.from_rotvec(degrees, degrees=True).as_matrix())
