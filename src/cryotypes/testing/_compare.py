"""Say whether two PoseSets, Images or ProjectionModels are the same, and if not, where."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cryotypes.image import ImageProtocol
from cryotypes.poseset import PoseSetProtocol
from cryotypes.projectionmodel import ProjectionModelDataLabels as Labels
from cryotypes.projectionmodel import dimensions_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from numpy.typing import NDArray

# Degrees, pixels, a ratio; whatever is not here must be equal.
_TOLERANCE = {
    "orientation": 1e-6,
    "position": 1e-6,
    "shift": 1e-6,
    "rotation": 1e-6,
    "pixel_spacing": 1e-9,
}
_UNITS = {"orientation": "°", "position": " px", "shift": " px"}
_TILT_COLUMNS = {
    **dict.fromkeys(Labels.ROTATION, "rotation"),
    **dict.fromkeys(Labels.SHIFT, "shift"),
}


def assert_same(
    a: Any,
    b: Any,
    *,
    tolerance: Mapping[str, float] | None = None,
    ignore: Collection[str] = (),
) -> None:
    """Raise unless two things are the same, row by row.

    Where they are from is not compared: ``source``, ``metadata`` and the index of ``features``.

    Parameters
    ----------
    a, b : PoseSet, Image, ProjectionModel, or lists of these
        Objects of any class that follows the Protocols.
    tolerance : dict, optional
        Largest differences instead of the defaults: ``orientation`` (1e-6, degrees of the turn
        from one to the other), ``position`` and ``shift`` (1e-6, pixels of distance),
        ``rotation`` (1e-6, degrees, of ProjectionModels), ``pixel_spacing`` (1e-9, relative),
        ``features`` and ``data`` (0, absolute), or the name of a column.
    ignore : collection of str
        Names of fields, or of columns, that need not be the same.

    Raises
    ------
    AssertionError
        Naming the field, the worst row and both values.

    Examples
    --------
    >>> from cryotypes import PoseSet
    >>> from cryotypes.testing import assert_same
    >>> assert_same(PoseSet([[1, 2, 3]]), PoseSet([[1, 2, 3.5]]))
    Traceback (most recent call last):
        ...
    AssertionError: position: row 0 differs most, by 0.5 px: [1.0, 2.0, 3.0] and [1.0, 2.0, 3.5]
    """
    _Comparison({**_TOLERANCE, **(tolerance or {})}, frozenset(ignore)).anything(a, b, "")


class _Comparison:
    """How exactly to compare, and what not."""

    def __init__(self, tolerance: Mapping[str, float], ignore: frozenset[str]) -> None:
        self.tolerance, self.ignore = tolerance, ignore

    def anything(self, a: Any, b: Any, where: str) -> None:
        if isinstance(a, pd.DataFrame) and isinstance(b, pd.DataFrame):
            self.models(a, b, where)
        elif isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
            if len(a) != len(b):
                raise AssertionError(f"{where}{len(a)} things and {len(b)} things")
            for index, (one, other) in enumerate(zip(a, b, strict=True)):
                self.anything(one, other, f"{where}[{index}] ")
        elif isinstance(a, PoseSetProtocol) and isinstance(b, PoseSetProtocol):
            self.posesets(a, b, where)
        elif isinstance(a, ImageProtocol) and isinstance(b, ImageProtocol):
            self.images(a, b, where)
        else:
            expected = "PoseSets, Images, ProjectionModels, or lists of these"
            found = f"{type(a).__name__} and {type(b).__name__}"
            raise AssertionError(f"{where}expected two {expected}, found {found}")

    def posesets(self, a: Any, b: Any, where: str) -> None:
        self.same_facts(a, b, ("experiment_id",), where)
        self.spacings(a.pixel_spacing, b.pixel_spacing, where)
        self.vectors(a.position, b.position, "position", where)
        self.vectors(a.shift, b.shift, "shift", where)
        self.orientations(a.orientation, b.orientation, where)
        if "features" not in self.ignore:
            self.tables(_features(a), _features(b), f"{where}features ", "features")

    def images(self, a: Any, b: Any, where: str) -> None:
        self.same_facts(a, b, ("experiment_id", "stack"), where)
        self.spacings(a.pixel_spacing, b.pixel_spacing, where)
        if "data" not in self.ignore:
            one, other = np.asarray(a.data), np.asarray(b.data)
            if one.dtype.kind != other.dtype.kind:
                raise AssertionError(f"{where}data: {one.dtype} and {other.dtype}")
            self.arrays(one, other, f"{where}data", self.tolerance.get("data", 0.0))

    def models(self, a: pd.DataFrame, b: pd.DataFrame, where: str) -> None:
        self.tables(a, b, where, "")
        if Labels.EXPERIMENT_ID in a and Labels.EXPERIMENT_ID in b:
            for experiment in a[Labels.EXPERIMENT_ID].unique():
                for name in ("tomogram_dimensions", "tilt_image_dimensions"):
                    one, other = (dimensions_of(model, name, experiment) for model in (a, b))
                    if name not in self.ignore and one != other:
                        text = f"{where}attrs {name} of {experiment!r}: {one} and {other}"
                        raise AssertionError(text)

    def same_facts(self, a: Any, b: Any, names: tuple[str, ...], where: str) -> None:
        for name in names:
            one, other = getattr(a, name), getattr(b, name)
            if name not in self.ignore and (one != other or type(one) is not type(other)):
                raise AssertionError(f"{where}{name}: {one!r} and {other!r}")

    def spacings(self, a: Any, b: Any, where: str) -> None:
        if "pixel_spacing" in self.ignore:
            return
        if not math.isclose(a, b, rel_tol=self.tolerance["pixel_spacing"], abs_tol=0):
            raise AssertionError(f"{where}pixel_spacing: {a!r} Å and {b!r} Å")

    def vectors(self, a: Any, b: Any, name: str, where: str) -> None:
        """Compare positions or shifts by distance."""
        if name in self.ignore or _both_none(a, b, where + name):
            return
        a, b = (np.asarray(value, dtype=float) for value in (a, b))
        if a.shape != b.shape:
            raise AssertionError(f"{where}{name}: shapes {a.shape} and {b.shape}")
        self.worst(np.linalg.norm(a - b, axis=1), a, b, name, where)

    def orientations(self, a: Any, b: Any, where: str) -> None:
        """Compare by the turn that is left: q and -q are the same, an inverse is not."""
        if "orientation" in self.ignore or _both_none(a, b, where + "orientation"):
            return
        if len(a) != len(b):
            raise AssertionError(f"{where}orientation: {len(a)} rotations and {len(b)} rotations")
        angles = np.rad2deg((a.inv() * b).magnitude()) if len(a) else np.zeros(0)
        self.worst(angles, a.as_quat(), b.as_quat(), "orientation", where)

    def worst(self, difference: NDArray[Any], a: Any, b: Any, name: str, where: str) -> None:
        """Complain about the row that differs most; NaN differs from everything."""
        difference = np.where(np.isnan(difference), np.inf, difference)
        if difference.size and not difference.max() <= self.tolerance[name]:
            row = int(difference.argmax())
            found = f"{np.round(a[row], 9).tolist()} and {np.round(b[row], 9).tolist()}"
            found += " (xyzw)" if name == "orientation" else ""
            by = f"{difference[row]:g}{_UNITS[name]}"
            raise AssertionError(f"{where}{name}: row {row} differs most, by {by}: {found}")

    def tables(self, a: pd.DataFrame, b: pd.DataFrame, where: str, field: str) -> None:
        """Compare columns by name, whatever their order; rows in order."""
        left = [name for name in a.columns if name not in self.ignore and name != Labels.SOURCE]
        right = [name for name in b.columns if name not in self.ignore and name != Labels.SOURCE]
        only = sorted(map(str, set(left).symmetric_difference(right)))
        if only:
            raise AssertionError(f"{where}columns: {', '.join(only)} only in one of the two")
        if len(a) != len(b):
            raise AssertionError(f"{where}rows: {len(a)} and {len(b)}")
        for name in left:
            allowed = self.tolerance.get(field, 0.0)
            if field == "":
                allowed = self.tolerance.get(_TILT_COLUMNS.get(name, name), 0.0)
            allowed = self.tolerance.get(name, allowed)
            one, other = _kind_and_values(a[name]), _kind_and_values(b[name])
            if one[0] != other[0] and len(a):
                raise AssertionError(f"{where}{name}: {a[name].dtype} and {b[name].dtype}")
            relative = name == Labels.PIXEL_SPACING
            scale = np.abs(np.asarray(one[1], dtype=float)) if relative else 1.0
            self.arrays(one[1], other[1], f"{where}{name}", allowed * scale)

    def arrays(self, a: NDArray[Any], b: NDArray[Any], where: str, allowed: Any) -> None:
        """Compare values; missing ones are the same as missing ones."""
        if a.shape != b.shape:
            raise AssertionError(f"{where}: shapes {a.shape} and {b.shape}")
        if a.dtype.kind in "iub" and b.dtype.kind in "iub":
            bad, size = a != b, np.abs(a.astype(float) - b.astype(float))
        elif a.dtype.kind in "fcu" and b.dtype.kind in "fcu":
            with np.errstate(invalid="ignore", over="ignore"):  # inf - inf; largest and smallest
                size = np.abs(a - b)
            same = (a == b) | (np.isnan(a) & np.isnan(b))
            bad = ~same & ~(size <= allowed)
            size = np.where(bad, np.nan_to_num(size, nan=np.inf), 0.0)
        else:
            missing = pd.isna(a), pd.isna(b)
            both = missing[0] & missing[1]
            # plain comparison of objects; a missing one would spread
            bad = np.array(
                [not gone and x != y for x, y, gone in zip(a.flat, b.flat, both.flat, strict=True)],
                dtype=bool,
            ).reshape(a.shape) | (missing[0] ^ missing[1])
            size = bad.astype(float)
        if bad.any():
            worst = np.unravel_index(int(np.where(bad, size, -1.0).argmax()), a.shape)
            place = worst[0] if len(worst) == 1 else tuple(map(int, worst))
            raise AssertionError(f"{where}: row {place}: {a[worst]!r} and {b[worst]!r}")


def _features(poses: Any) -> pd.DataFrame:
    """Return what a PoseSet has; no features are a table without columns."""
    features = getattr(poses, "features", None)
    if features is None:
        return pd.DataFrame(index=pd.RangeIndex(len(np.asarray(poses.position))))
    return features  # type: ignore[no-any-return]


def _both_none(a: Any, b: Any, where: str) -> bool:
    if (a is None) != (b is None):
        raise AssertionError(f"{where}: {'None' if a is None else 'values'} and "
                             f"{'None' if b is None else 'values'}")  # fmt: skip
    return a is None


def _kind_and_values(column: pd.Series[Any]) -> tuple[str, NDArray[Any]]:
    """Return integer, float, bool or other; and the values as numpy, missing ones included."""
    kind = str(getattr(column.dtype, "kind", "O"))
    if kind in "iu" and column.hasnans:
        return "integer", column.to_numpy(dtype=object)
    if kind in "iufbc":
        return {"i": "integer", "u": "integer"}.get(kind, kind), column.to_numpy()
    return "other", column.to_numpy(dtype=object)
