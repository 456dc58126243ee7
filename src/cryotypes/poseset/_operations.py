"""Count, select, split and concatenate PoseSets of any class that follows the Protocol."""

from __future__ import annotations

import copy
import dataclasses
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from ._attributes import PoseSetProtocol

T = TypeVar("T")
P = TypeVar("P", bound="PoseSetProtocol")

# Fields that never hold one entry a particle, whatever their length.
_SHARED = frozenset({"experiment_id", "pixel_spacing", "source", "metadata"})
_PER_PARTICLE = ("position", "shift", "orientation", "features")


def count(poseset: Any) -> int:
    """Return the number of particles."""
    import numpy as np

    return int(np.shape(poseset.position)[0])


def places(poseset: PoseSetProtocol) -> NDArray[np.float64]:
    """Return where the particles are, (n, 3) in pixels: position + shift."""
    import numpy as np

    position = np.asarray(poseset.position, dtype=float)
    return position if poseset.shift is None else position + np.asarray(poseset.shift, dtype=float)


def changed(thing: T, **fields: Any) -> T:
    """Return a shallow copy of the same class with some attributes replaced."""
    new = copy.copy(thing)
    for name, value in fields.items():
        setattr(new, name, value)
    return new


def per_particle_fields(poseset: Any) -> list[str]:
    """Name the attributes that hold one entry a particle.

    These are position, shift, orientation, features, and every further array, table, Rotation or
    list of length n. A dataclass field can say so itself: ``field(metadata={"per_particle": …})``.
    """
    n = count(poseset)
    declared: dict[str, bool] = {}
    names: list[str] = list(_PER_PARTICLE)
    if dataclasses.is_dataclass(poseset):
        for f in dataclasses.fields(poseset):
            names.append(f.name)
            if "per_particle" in f.metadata:
                declared[f.name] = bool(f.metadata["per_particle"])
    names += vars(poseset) if hasattr(poseset, "__dict__") else []

    def belongs(name: str) -> bool:
        value = getattr(poseset, name, None)
        if value is None or name in _SHARED:
            return False
        if name in _PER_PARTICLE:
            return True
        return declared.get(name, _is_sequence(value) and _length(value) == n)

    return [name for name in dict.fromkeys(names) if belongs(name)]


def _is_sequence(value: Any) -> bool:
    """Tell arrays, tables, Rotations and lists from strings, tuples, dicts and numbers."""
    return isinstance(value, list) or (
        hasattr(value, "__getitem__") and not isinstance(value, (str, bytes, tuple, dict))
    )


def _length(value: Any) -> int:
    try:
        return len(value)
    except TypeError:  # a scalar Rotation, a zero-dimensional array
        return -1


def _take(value: Any, rows: Any) -> Any:
    import numpy as np

    if hasattr(value, "iloc"):
        return value.iloc[rows]
    if isinstance(value, list):
        return [value[i] for i in np.arange(len(value))[rows]]
    if hasattr(value, "__array__") or hasattr(value, "as_quat"):
        return value[rows]
    return type(value)(np.asarray(value)[rows])


def select(poseset: P, index: Any) -> P:
    """Select particles; the result is of the same class.

    Parameters
    ----------
    poseset : PoseSet or any object that follows PoseSetProtocol
    index : int, slice, boolean mask of n, or integer indices
        One number gives a PoseSet of one particle.

    Raises
    ------
    IndexError
        If an index is out of range, or a mask does not have n entries.

    Examples
    --------
    >>> import numpy as np
    >>> from cryotypes import PoseSet, select
    >>> poses = PoseSet(np.eye(3), experiment_id="TS_01", pixel_spacing=10)
    >>> len(select(poses, [0, 2])), len(poses[1:]), len(poses[poses.position[:, 0] > 0])
    (2, 2, 1)
    """
    import numpy as np

    n = count(poseset)
    if isinstance(index, slice):
        rows: Any = index
    else:
        index = np.asarray(index)
        if index.size == 0 and index.dtype != bool:
            index = index.astype(np.intp)
        if index.dtype == bool and index.shape != (n,):
            raise IndexError(f"mask: expected {n} entries, found an array of shape {index.shape}")
        if index.dtype.kind not in "iub":
            raise IndexError(f"expected a slice, a mask or integer indices, found {index.dtype}")
        rows = np.arange(n)[index].reshape(-1)  # turns masks and single numbers into indices
    fields: dict[str, Any] = {}
    for name in per_particle_fields(poseset):
        value = getattr(poseset, name)
        if name in ("position", "shift"):
            value = np.asarray(value)
        fields[name] = _take(value, rows)
    return changed(poseset, **fields)


def split(poseset: P, by: str | Sequence[Hashable]) -> dict[Hashable, P]:
    """Split a PoseSet by a feature column, or by n labels.

    Returns
    -------
    dict
        Label to PoseSet, in order of first appearance. Missing labels (NaN) form one group.

    Raises
    ------
    KeyError
        If there is no such feature.

    Examples
    --------
    >>> import numpy as np
    >>> from cryotypes import PoseSet, split
    >>> poses = PoseSet(np.zeros((3, 3)), experiment_id="TS_01")
    >>> {label: len(part) for label, part in split(poses, [1, 2, 1]).items()}
    {1: 2, 2: 1}
    """
    import numpy as np
    import pandas as pd

    if isinstance(by, str):
        features = getattr(poseset, "features", None)
        columns = [] if features is None else list(features.columns)
        if by not in columns:
            raise KeyError(f"no feature {by!r}; there is {', '.join(map(repr, columns)) or 'none'}")
        labels = features[by]  # type: ignore[index]
    else:
        labels = pd.Series(list(by))
        if len(labels) != count(poseset):
            raise ValueError(f"expected {count(poseset)} labels, found {len(labels)}")
    codes, uniques = pd.factorize(labels, use_na_sentinel=False)
    order = np.argsort(codes, kind="stable")
    counts = np.bincount(codes, minlength=len(uniques))
    ends = np.cumsum(counts)
    keys = uniques.tolist() if hasattr(uniques, "tolist") else list(uniques)
    return {
        key: select(poseset, order[start:end])
        for key, start, end in zip(keys, ends - counts, ends, strict=True)
    }


def concatenate(posesets: Sequence[P]) -> P:
    """Join PoseSets of one experiment and one pixel spacing into one.

    A missing shift counts as zero where another part has one. Features are joined by column;
    what a part does not have is missing (NaN). The class and metadata are those of the first.

    Raises
    ------
    ValueError
        If there is nothing to join, if experiments or pixel spacings differ, or if only some
        parts have an orientation (unknown is not identity).

    Examples
    --------
    >>> from cryotypes import PoseSet, concatenate
    >>> concatenate([PoseSet([[1, 2, 3]], pixel_spacing=2), PoseSet([[4, 5, 6]], pixel_spacing=2)])
    PoseSet '': 2 particles, 2 Å/px, no shift, no orientation
    """
    import numpy as np

    parts = list(posesets)
    if not parts:
        raise ValueError("concatenate: expected at least one PoseSet, found none")
    for name, unit in (("experiment_id", ""), ("pixel_spacing", " Å")):
        values = list(dict.fromkeys(getattr(part, name) for part in parts))
        if len(values) > 1:
            listing = ", ".join(f"{value!r}{unit}" for value in values[:5])
            raise ValueError(f"concatenate: {name} differs: {listing}")
    if len({part.orientation is None for part in parts}) > 1:
        raise ValueError("concatenate: only some of the PoseSets have an orientation")

    first = parts[0]
    fields: dict[str, Any] = {"position": np.concatenate([np.asarray(p.position) for p in parts])}
    if any(part.shift is not None for part in parts):
        fields["shift"] = np.concatenate(
            [
                np.zeros(np.shape(p.position)) if p.shift is None else np.asarray(p.shift)
                for p in parts
            ]
        )
    names = dict.fromkeys(name for part in parts for name in per_particle_fields(part))
    for name in names:
        if name not in ("position", "shift"):
            fields[name] = _join(name, [getattr(part, name, None) for part in parts], parts)
    return changed(first, **fields)


def _join(name: str, values: list[Any], parts: list[Any]) -> Any:
    import numpy as np

    sample = next(value for value in values if value is not None)
    if hasattr(sample, "iloc"):
        import pandas as pd

        blank = (pd.DataFrame(index=range(count(p))) for p in parts)
        filled = [b if v is None else v for v, b in zip(values, blank, strict=True)]
        return pd.concat(filled)
    if any(value is None for value in values):
        raise ValueError(f"concatenate: only some of the PoseSets have {name!r}")
    if hasattr(sample, "as_quat"):
        from scipy.spatial.transform import Rotation

        return Rotation.concatenate(values)
    if isinstance(sample, list):
        return [item for value in values for item in value]
    return np.concatenate([np.asarray(value) for value in values])
