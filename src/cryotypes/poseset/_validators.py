"""Check a PoseSet, and make it one where there is only one way to."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any, TypeVar

from cryotypes import _check

if TYPE_CHECKING:
    from typing import Literal

    from ._attributes import PoseSetProtocol

P = TypeVar("P", bound="PoseSetProtocol")
_ATTRIBUTES = ("position", "shift", "orientation", "experiment_id", "pixel_spacing", "source")


def validate_poseset(
    poseset: P,
    ndim: Literal[2, 3] = 3,
    coerce: bool = False,
    inplace: bool = False,
) -> P:
    """Validate a PoseSet, or any object that follows the PoseSetProtocol.

    Parameters
    ----------
    poseset : object
        With the attributes position, shift, orientation, experiment_id, pixel_spacing, source.
    ndim : {3, 2}
        Expected number of coordinates.
    coerce : bool
        Convert what is unambiguous: lists to arrays, narrower vectors padded with zeros, a single
        Rotation to a stack of one, None to 0 (unknown spacing).
    inplace : bool
        Change and return the object itself; otherwise a shallow copy is returned.

    Returns
    -------
    object
        Of the class of ``poseset``.

    Raises
    ------
    ValidationError
        A ValueError that lists everything that is wrong.

    Examples
    --------
    >>> from cryotypes.poseset import PoseSet, validate_poseset
    >>> validate_poseset(PoseSet([[1, 2]], experiment_id="TS_01"), coerce=True).position
    array([[1, 2, 0]])
    """
    _check.require_attributes(poseset, _ATTRIBUTES, "PoseSet")
    if not inplace:
        poseset = copy(poseset)
    problems = _check.Problems("PoseSet")

    position = _check.vectors(poseset.position, "position", ndim, problems, coerce)
    shift = poseset.shift
    if shift is not None:
        shift = _check.vectors(shift, "shift", ndim, problems, coerce)
    orientation = _orientation(poseset.orientation, position, problems, coerce)
    if position is not None:
        n = len(position)
        if shift is not None and len(shift) != n:
            problems.add("shift", f"one row a particle ({n})", f"{len(shift)} rows")
        _check_lengths(poseset, n, problems)

    new = {
        "position": position,
        "shift": shift,
        "orientation": orientation,
        "experiment_id": _check.text(poseset.experiment_id, "experiment_id", problems, coerce),
        "pixel_spacing": _check.spacing(poseset.pixel_spacing, "pixel_spacing", problems, coerce),
        "source": _check.source(poseset.source, "source", problems, coerce),
    }
    problems.raise_any()
    for name, value in new.items():
        if value is not getattr(poseset, name):
            setattr(poseset, name, value)
    return poseset


def _orientation(value: Any, position: Any, problems: _check.Problems, coerce: bool) -> Any:
    if value is None:
        return None
    from scipy.spatial.transform import Rotation

    if not isinstance(value, Rotation):
        found = f"an array of shape {value.shape}" if hasattr(value, "shape") else None
        problems.add("orientation", "a scipy Rotation or None", found or _check.describe(value))
        return value
    if value.single:
        if not coerce:
            remedy = "coerce=True makes a stack of one"
            problems.add("orientation", "a stack of rotations", "a single Rotation", remedy)
            return value
        value = Rotation.from_quat(value.as_quat()[None])
    shape = getattr(value, "shape", ())
    if len(shape) > 1:  # scipy 1.17 stacks them in any shape
        problems.add("orientation", "one row of rotations", f"rotations of shape {shape}")
    elif position is not None and len(value) != len(position):
        expected = f"one rotation a particle ({len(position)})"
        problems.add("orientation", expected, f"{len(value)} rotations")
    return value


def _check_lengths(poseset: Any, n: int, problems: _check.Problems) -> None:
    """Features, and the fields that a subclass declares as per particle."""
    fields = getattr(type(poseset), "__dataclass_fields__", {}).values()
    declared = [f.name for f in fields if f.metadata.get("per_particle")]
    for name in ["features", *declared]:
        value = getattr(poseset, name, None)
        if name == "features" and not hasattr(value, "iloc"):
            continue  # somebody else's: not a table, so not one row a particle
        if value is not None and len(value) != n:
            problems.add(name, f"one row a particle ({n})", f"{len(value)} rows")
