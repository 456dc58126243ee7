"""Numbers that must be finite, in words, columns and arrays: an error says where one is not."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from cryotypes.errors import ReadError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

LARGEST = 1e30  # whatever is beyond is no angle, length or size of a tilt series


def not_finite(where: str, found: Any, path: Path) -> ReadError:
    """Make the error that says where there is no finite number."""
    huge = isinstance(found, float) and math.isfinite(found)
    expected = f"a number below {LARGEST:g}" if huge else "a finite number"
    return ReadError(f"{where}: expected {expected}, found {found!r}", path)


def finite_number(text: str, path: Path, where: str) -> float:
    """Return the finite number that a word is.

    Raises
    ------
    ReadError
    """
    try:
        value = float(text) if "_" not in text else math.nan
    except ValueError:
        value = math.nan
    if not abs(value) < LARGEST:  # nor NaN
        raise not_finite(where, text, path)
    return value


def whole_number(text: str, path: Path, where: str) -> int:
    """Return a whole number of a size that numbers of images, pixels and lines have.

    Raises
    ------
    ReadError
    """
    value = finite_number(text, path, where)
    if value != int(value) or abs(value) > 1e9:
        raise ReadError(f"{where}: expected a whole number, found {text!r}", path)
    return int(value)


def finite_column(table: pl.DataFrame, name: str, path: Path, block: str | None = None) -> Floats:
    """Return a column of a table as finite numbers; texts that are numbers are.

    Raises
    ------
    ReadError
        Naming the block, if one is given, the column and the row (from 1).
    """
    column = table[name]
    if column.dtype == pl.String:
        column = column.str.strip_chars()
    elif not column.dtype.is_numeric():
        column = pl.Series([None], dtype=pl.Float64).new_from_index(0, len(column))
    numbers = column.cast(pl.Float64, strict=False)
    bad = ~numbers.is_finite().fill_null(False)
    if bad.any():
        row = int(bad.arg_max() or 0)
        where = f"column {name}, row {row + 1}"
        raise not_finite(
            where if block is None else f"block {block!r}, {where}", table[name][row], path
        )
    return numbers.to_numpy()


def check_finite(
    values: Floats,
    names: Sequence[str],
    path: Path,
    where: Callable[[int], str] = lambda row: f"row {row + 1}",
    below: float = math.inf,
) -> Floats:
    """Return an array (n, k) if all of it is finite.

    Parameters
    ----------
    values : array, shape (n, k)
    names : sequence of str
        What the columns are.
    path : Path
    where : callable
        Says in words which row the one of a given index is.
    below : float
        What is not below it in size is refused, too.

    Raises
    ------
    ReadError
    """
    bad = ~(np.abs(values) < below)  # nor NaN
    if bad.any():
        row, column = (int(i) for i in np.argwhere(bad)[0])
        raise not_finite(f"{where(row)}, {names[column]}", float(values[row, column]), path)
    return values
