"""Particle lists whose columns are fixed and hold numbers: Dynamo, AV3, STOPGAP."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cryotypes.conventions import encode_orientation, encode_position, encode_shift
from cryotypes.errors import WriteError
from cryotypes.formats.shared.finite import check_finite

from ._particles import lose_features
from ._tomogram_numbers import number_names, numbers_by_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from os import PathLike
    from pathlib import Path

    from numpy.typing import NDArray

    from cryotypes.conventions import Place, PoseConvention
    from cryotypes.loss import LossReport

    from ._particles import Particles

    Floats = NDArray[np.float64]


def vectors(columns: Mapping[str, NDArray[Any]], names: Sequence[str], path: Path) -> Floats:
    """Return three columns as (n, 3).

    Raises
    ------
    ReadError
        Naming the row where a number is infinite or missing.
    """
    result = np.stack([np.asarray(columns[name], dtype=float) for name in names], axis=1)
    return check_finite(result, names, path)


def count_from(place: Place, zero: float | None) -> Place:
    """Return the place with another coordinate for the first pixel's centre, if one is given."""
    return place if zero is None else replace(place, zero=(float(zero),) * 3)


def as_read(particles: Particles, key: str) -> Any:
    """Return what the metadata of all joined PoseSets say, None if they do not agree."""
    values = [metadata.get(key) for metadata in particles.metadata]
    return values[0] if all(type(v) is type(values[0]) and v == values[0] for v in values) else None


def tomogram_numbers(
    particles: Particles,
    report: LossReport,
    largest: int = 2**53,
    names: str | PathLike[str] | None = None,
) -> list[int]:
    """Number the experiments, by the map that was given or as `number_names` does.

    An experiment without a name is reported.
    """
    if names is not None:
        numbers = numbers_by_name(particles.experiments, names)
    else:
        numbers = number_names(particles.experiments, particles.metadata, largest)
    for name, number in zip(particles.experiments, numbers, strict=True):
        if not name and len(particles):
            report.lost["experiment_id"] = f"none, written as tomogram {number}"
            if len(numbers) == 1:
                report.kept.remove("experiment_id")
    return numbers


def pose_columns(
    particles: Particles,
    convention: PoseConvention,
    place: Place,
    labels: Sequence[Sequence[str]],
    report: LossReport,
) -> dict[str, Floats]:
    """Encode positions, shifts and angles, under three labels each.

    Unknown ones are zero, and that is said.
    """
    nothing = np.zeros((len(particles), 3))
    shift, angles = particles.shift, nothing
    if shift is None:
        report.assumed["shift"] = "none, written as 0"
    if particles.orientation is None:
        report.lost["orientation"] = "unknown, written as zero angles"
    else:
        angles = encode_orientation(particles.orientation, convention.turn)
    pixel = particles.spacing[:, None]
    position = encode_position(particles.position, place, pixel)
    shift = encode_shift(nothing if shift is None else shift, convention.offset, pixel)
    columns = np.hstack([position, shift, angles]).T
    return dict(zip([label for group in labels for label in group], columns, strict=True))


class Features:
    """The features of particles, as the columns that a list has for them.

    Parameters
    ----------
    particles : Particles
    report : LossReport
        Receives what is assumed, and, by `finish`, what is lost.
    """

    def __init__(self, particles: Particles, report: LossReport) -> None:
        self.n, self.report = len(particles), report
        empty = pd.DataFrame(index=pd.RangeIndex(self.n))
        self.table = empty if particles.features is None else particles.features
        self.asked: set[str] = set()

    def numbers(
        self, name: str, default: Any = 0, alias: str = "", say: bool = True
    ) -> NDArray[Any]:
        """Return a feature as numbers (whole ones as int64).

        Parameters
        ----------
        name : str
        default : number, or n numbers
            What stands where the feature is absent, or has no value.
        alias : str
            What another program calls the same, if the feature is absent.
        say : bool
            Whether an absent feature is reported as assumed.
        """
        found = self._find(name, alias)
        filling = np.broadcast_to(np.asarray(default), self.n)
        if found is None:
            if say and self.n:
                self.report.assumed[name] = "1 to n" if np.ndim(default) else f"{default}"
            return filling
        if pd.api.types.is_integer_dtype(found.dtype) and not found.hasnans:
            return found.to_numpy(dtype=np.int64)
        values = found.to_numpy(dtype=float, na_value=np.nan)
        missing = np.isnan(values)
        if missing.any():
            self.report.assumed[name] = f"no value in {missing.sum()} rows, written as the default"
        return np.where(missing, filling, values) if missing.any() else values

    def texts(self, name: str, default: str) -> NDArray[np.object_]:
        """Return a feature as text."""
        self.asked.add(name)
        if name not in self.table:
            self.report.assumed[name] = default
            return np.full(self.n, default, dtype=object)
        column = self.table[name]
        missing = column.isna().to_numpy()
        if missing.any():
            self.report.assumed[name] = f"no value in {missing.sum()} rows, written as {default}"
        return np.where(missing, default, column.astype(str).to_numpy(dtype=object))

    def identifiers(self, name: str, alias: str = "") -> NDArray[np.int64]:
        """Return whole numbers: as they are if every particle has one, else 1 to n."""
        counted = np.arange(1, self.n + 1)
        values = self.numbers(name, np.nan, alias, say=False)
        if len(values) and np.isnan(values).all():
            self.report.assumed[name] = "1 to n"
            return counted
        with np.errstate(invalid="ignore"):
            whole = (np.round(values) == values) & (np.abs(values) < 2**62)
        if not whole.all():
            self.report.assumed.pop(name, None)
            self.report.converted[name] = "1 to n; not every particle had a whole number"
            return counted
        return values.astype(np.int64)

    def _find(self, name: str, alias: str) -> pd.Series[Any] | None:
        for candidate in (name, alias):
            if candidate and candidate in self.table:
                column = self.table[candidate]
                dtype = column.dtype
                if pd.api.types.is_bool_dtype(dtype):
                    column = column.astype("Int64")
                elif not pd.api.types.is_numeric_dtype(dtype):
                    numbers = pd.to_numeric(column, errors="coerce")
                    if (numbers.isna() & column.notna()).any():
                        continue  # text: there is no column for it
                    column = numbers
                if pd.api.types.is_complex_dtype(column.dtype):
                    continue
                self.asked.add(candidate)
                if candidate != name:
                    self.report.converted[candidate] = f"written as {name}"
                return column
        return None

    def finish(self, particles: Particles) -> None:
        """Say which features there was no column for."""
        lose_features(particles, sorted(self.asked), self.report)


def need_range(values: NDArray[Any], name: str, largest: int, why: str, path: Path) -> None:
    """Refuse whole numbers that the format cannot hold.

    Raises
    ------
    WriteError
        Naming the column and the number.
    """
    beyond = np.abs(values) > largest
    if beyond.any():
        worst = values[int(beyond.argmax())]
        problem = f"expected at most {largest} ({why}), found {worst}"
        raise WriteError(f"column {name}: {problem}; renumber the particles", path)
