"""Points of JSON files: numbers, vectors, matrices and tables; errors name the point."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cryotypes.errors import ReadError, WriteError

from .files import decode_utf8, read_text

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from cryotypes.loss import LossReport

    Floats = NDArray[np.float64]


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


parse = json.JSONDecoder(parse_constant=_refuse).decode
"""Parse JSON text; NaN and Infinity, which are not JSON, are refused. Raises ValueError."""


def read_json(path: Path, strict: bool = True) -> Any:
    """Read JSON; unless strict, NaN and Infinity, which are not JSON, too.

    Raises
    ------
    ReadError
    """
    text = decode_utf8(read_text(path), path)
    try:
        return parse(text) if strict else json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ReadError(f"expected JSON ({error})", path) from error


def to_json(content: Any, path: Path, what: str) -> str:
    """Write JSON in one line.

    Raises
    ------
    WriteError
        For what JSON cannot hold: NaN, infinity, objects of Python's.
    """
    try:
        return json.dumps(content, allow_nan=False, ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise WriteError(f"{what}: JSON cannot hold this ({error})", path) from error


def is_number(value: Any) -> bool:
    """Whether this is a number that can be calculated with; neither text nor a truth value."""
    return type(value) in (int, float) and abs(value) < 1e12


def shown(value: Any) -> str:
    """Show what was found, shortened."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


@dataclass
class Points:
    """JSON objects, one a particle.

    Parameters
    ----------
    rows : list of dict
    path : Path
    where : callable
        Says in words which point the one of a given index is.
    """

    rows: list[dict[str, Any]]
    path: Path
    where: Callable[[int], str]

    def __len__(self) -> int:
        return len(self.rows)

    def locations(self) -> Floats:
        """Return ``location`` (x, y, z) as an array (n, 3)."""
        places = [row.get("location") for row in self.rows]
        for index, place in enumerate(places):
            if not isinstance(place, dict) or not place.keys() >= {"x", "y", "z"}:
                self._complain(index, "location: expected x, y and z", place)
        columns = [self.numbers([p[axis] for p in places], f"location {axis}") for axis in "xyz"]  # type: ignore[index]
        return np.stack(columns, axis=1)

    def numbers(self, values: Sequence[Any], what: str, per_point: int = 1) -> Floats:
        """Turn a list into finite numbers; neither text nor booleans count as such."""
        if set(map(type, values)) <= {int, float}:
            try:
                result = np.array(values, dtype=float)
            except OverflowError:
                result = np.full(len(values), np.inf)
            if np.isfinite(result).all():
                return result
        for index, value in enumerate(values):
            if type(value) not in (int, float) or not _is_finite(value):
                self._complain(index // per_point, f"{what}: expected a number", value)
        raise AssertionError(what)  # pragma: no cover

    def matrices(self, values: Sequence[Any], size: int, what: str) -> Floats:
        """Turn a list of nested lists into an array (n, size, size)."""
        for index, value in enumerate(values):
            if not _is_square(value, size):
                self._complain(index, f"{what}: expected {size} rows of {size} numbers", value)
        flat = list(chain.from_iterable(chain.from_iterable(values)))
        return self.numbers(flat, what, size * size).reshape(-1, size, size)

    def rotations(self, matrices: Floats, what: str) -> Floats:
        """Return the matrices (n, 3, 3) if all are rotations, as far as rounding allows."""
        excess = np.abs(np.einsum("nij,nkj->nik", matrices, matrices) - np.eye(3))
        bad = (excess.max(axis=(1, 2), initial=0) > 1e-2) | (np.linalg.det(matrices) < 0)
        if bad.any():
            index = int(bad.argmax())
            found = np.round(matrices[index], 6).tolist()
            raise ReadError(
                f"{self.where(index)}, {what}: expected a rotation (neither scaled nor mirrored), "
                f"found {found}",
                self.path,
            )
        return matrices

    def table(self, without: Collection[str]) -> pd.DataFrame:
        """Make a table of the other keys, in order of appearance; what is absent is missing."""
        names = dict.fromkeys(chain.from_iterable(self.rows))
        index = pd.RangeIndex(len(self))
        columns = {
            name: _column([row.get(name) for row in self.rows])
            for name in names
            if name not in without
        }
        return pd.DataFrame(columns, index=index)

    def _complain(self, index: int, expected: str, found: Any) -> None:
        raise ReadError(f"{self.where(index)}, {expected}, found {shown(found)}", self.path)


def records(
    table: pd.DataFrame | None, names: Sequence[str], n: int, report: LossReport
) -> list[dict[str, Any]]:
    """Return n dicts of some columns; what is missing, or infinite, is absent."""
    result: list[dict[str, Any]] = [{} for _ in range(n)]
    for name in names:
        if table is None or name not in table:
            continue
        column = table[name]
        there = column.notna().to_numpy(dtype=bool).copy()
        if column.dtype.kind == "f":
            infinite = np.isinf(column.to_numpy(dtype=float, na_value=0.0))
            there &= ~infinite
            if infinite.any():
                report.lost[f"infinite {name}"] = "JSON has no such number"
        for record, value, known in zip(result, column.tolist(), there, strict=True):
            if known:
                record[name] = value
    return result


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _is_square(value: Any, size: int) -> bool:
    return (
        type(value) is list
        and len(value) == size
        and all(type(row) is list and len(row) == size for row in value)
    )


def _column(values: list[Any]) -> Any:
    """Whole numbers stay whole, also where some are missing."""
    kinds = {type(value) for value in values if value is not None}
    if kinds == {int} and all(value is None or -(2**63) <= value < 2**63 for value in values):
        return pd.array(values, dtype="Int64") if None in values else np.array(values, np.int64)
    if kinds and kinds <= {int, float} and float in kinds:
        return np.array([math.nan if value is None else value for value in values], dtype=float)
    return pd.Series(values, dtype=None if kinds == {str} else object)
