"""Which tilt of one alignment is which of another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cryotypes.errors import MatchError
from cryotypes.names import strip_path_and_suffix
from cryotypes.projectionmodel import ProjectionModelDataLabels as Labels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cryotypes.projectionmodel import ProjectionModel

    Pairs = NDArray[np.intp]  # (n, 2): row of A, row of B

RULES = ("tilt_index", "name", "angle", "order")
# Columns that name the image or the frames of a tilt.
_NAMES = ("image_name", "image", "rlnMicrographName", "rlnMicrographMovieName", "SubFramePath")


def pairings(a: ProjectionModel, b: ProjectionModel, rule: str | None) -> list[tuple[str, Pairs]]:
    """Pair tilts by a rule, or by the first that applies: their index, names, angles.

    Where angles decide and the rows may as well be in the same order with other angles (a tilt
    offset, a sign), both pairings are given.

    Raises
    ------
    MatchError
        If the rule cannot be used, or pairs nothing.
    ValueError
        If there is no such rule.
    """
    if rule is not None and rule not in RULES:
        raise ValueError(f"match_tilts: expected one of {', '.join(RULES)}, found {rule!r}")
    if rule is not None:
        pairs = {"tilt_index": _by_index, "name": _by_name, "angle": _by_angle, "order": _by_order}[
            rule
        ](a, b)
        if pairs is None or not len(pairs):
            raise MatchError(f"match_tilts={rule!r} pairs no tilt of one with one of the other")
        return [(rule, pairs)]
    for name, function in (("tilt_index", _by_index), ("name", _by_name)):
        pairs = function(a, b)
        if pairs is not None and len(pairs):
            return [(name, pairs)]
    by_angle = _by_angle(a, b)
    found = [("angle", by_angle)] if len(by_angle) else []
    by_order = _by_order(a, b)
    same = by_order is not None and np.array_equal(by_angle, by_order)
    if by_order is not None and len(by_order) and not same and _in_step(a, b):
        found.append(("order", by_order))
    if not found:
        raise MatchError(
            "the tilts of the two alignments have no index, name or angle in common; "
            "say match_tilts='order' if their rows correspond"
        )
    return found


def _by_index(a: ProjectionModel, b: ProjectionModel) -> Pairs | None:
    if not _both(a, b, "tilt_index"):
        return None
    return _by_key(a["tilt_index"].tolist(), b["tilt_index"].tolist())


def _by_name(a: ProjectionModel, b: ProjectionModel) -> Pairs | None:
    for column in _NAMES:
        if _both(a, b, column):
            keys = [[strip_path_and_suffix(str(v)) for v in m[column]] for m in (a, b)]
            pairs = _by_key(keys[0], keys[1])
            if pairs is not None and len(pairs):
                return pairs
    return None


def _both(a: ProjectionModel, b: ProjectionModel, column: str) -> bool:
    return column in a and column in b


def _by_key(a: list[Any], b: list[Any]) -> Pairs | None:
    """Rows of equal keys; None if a key occurs twice."""
    if len(set(a)) < len(a) or len(set(b)) < len(b):
        return None
    place = {key: row for row, key in enumerate(b)}
    return _array([(row, place[key]) for row, key in enumerate(a) if key in place])


def _by_order(a: ProjectionModel, b: ProjectionModel) -> Pairs | None:
    if len(a) != len(b):
        return None
    return _array([(row, row) for row in range(len(a))])


def _by_angle(a: ProjectionModel, b: ProjectionModel) -> Pairs:
    """Nearest angles, each once, the sum of differences smallest; at most half a step apart."""
    from scipy.optimize import linear_sum_assignment

    angles = [m[Labels.ROTATION_Y].to_numpy(dtype=float) for m in (a, b)]
    difference = np.abs(angles[0][:, None] - angles[1])
    limit = max(_step(angles[0]), _step(angles[1])) / 2
    rows, columns = linear_sum_assignment(np.minimum(difference, 10 * limit))
    near = difference[rows, columns] <= limit
    return _array(list(zip(rows[near], columns[near], strict=True)))


def _step(angles: Any) -> float:
    """The usual difference between neighbouring angles, in degrees."""
    steps = np.diff(np.sort(angles))
    steps = steps[steps > 0.01]
    return float(np.median(steps)) if len(steps) else 1.0


def _in_step(a: ProjectionModel, b: ProjectionModel) -> bool:
    """Tell whether angles, row by row, differ by a constant, perhaps with the other sign."""
    one, two = (m[Labels.ROTATION_Y].to_numpy(dtype=float) for m in (a, b))
    return any(np.ptp(two - sign * one) <= _step(one) / 2 for sign in (1, -1))


def _array(pairs: list[Any]) -> Pairs:
    return np.array(pairs, dtype=np.intp).reshape(-1, 2)
