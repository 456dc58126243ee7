"""Check a ProjectionModel, and complete it where there is only one way to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cryotypes import _check
from cryotypes.errors import ValidationError

from ._data_labels import ProjectionModelDataLabels as Labels

if TYPE_CHECKING:
    from ._typing import ProjectionModel

# What a missing column means. A tilt angle or a tilt axis has no such meaning: 0 would be a guess.
_DEFAULTS: dict[str, Any] = {
    Labels.ROTATION_X: 0.0,
    Labels.SHIFT_X: 0.0,
    Labels.SHIFT_Y: 0.0,
    Labels.EXPERIMENT_ID: "",
    Labels.PIXEL_SPACING: 0.0,
    Labels.SOURCE: "",
}
_NUMBERS = [*Labels.ROTATION, *Labels.SHIFT, Labels.PIXEL_SPACING]
_COLUMNS = [*_NUMBERS[:5], Labels.EXPERIMENT_ID, Labels.PIXEL_SPACING, Labels.SOURCE]

# what names or numbers the images of a series
_IMAGES = ("tilt_index", "rlnMicrographName")


def validate_projection_model(
    df: ProjectionModel, coerce: bool = False, inplace: bool = False
) -> ProjectionModel:
    """Validate a ProjectionModel.

    Parameters
    ----------
    df : pandas.DataFrame
        One row a tilt image, of one or several experiments; no rows at all are legal.
    coerce : bool
        Fill what is missing and can mean only one thing (rotation_x, dx, dy: 0; pixel_spacing: 0,
        unknown; experiment_id, source: empty), turn numbers written as text into numbers and
        experiment ids into text.
    inplace : bool
        Change and return ``df`` itself; otherwise a copy is returned.

    Returns
    -------
    pandas.DataFrame

    Raises
    ------
    ValidationError
        A ValueError that lists everything that is wrong.

    Examples
    --------
    >>> import pandas as pd
    >>> model = pd.DataFrame({"rotation_y": [-3, 0, 3], "rotation_z": 85.3})
    >>> list(validate_projection_model(model, coerce=True).columns)[:4]
    ['rotation_y', 'rotation_z', 'rotation_x', 'dx']
    """
    if not isinstance(df, pd.DataFrame):
        found = _check.describe(df)  # type: ignore[unreachable]
        raise ValidationError("ProjectionModel", [f"expected a pandas DataFrame, found {found}"])
    problems = _check.Problems("ProjectionModel")
    duplicated = df.columns[df.columns.duplicated()].unique()
    for name in duplicated:
        problems.add(f"column {name!r}", "one column of this name", "several")
    problems.raise_any()

    new: dict[str, Any] = {}
    for name in _COLUMNS:
        if name in df:
            new[name] = df[name]
        elif coerce and name in _DEFAULTS:
            new[name] = pd.Series([_DEFAULTS[name]] * len(df), index=df.index)
        else:
            remedy = "coerce=True fills it" if name in _DEFAULTS else ""
            columns = ", ".join(map(repr, df.columns)) or "no columns"
            problems.add(f"column {name!r}", "a column of this name", columns, remedy)
    for name in _NUMBERS:
        if name in new:
            new[name] = _numbers(new[name], name, problems, coerce)
    if Labels.EXPERIMENT_ID in new:
        new[Labels.EXPERIMENT_ID] = _texts(new[Labels.EXPERIMENT_ID], problems, coerce)
    if not problems.found:
        _check_spacing(new, problems)
        _check_twice(df, new[Labels.EXPERIMENT_ID], problems)
    problems.raise_any()

    result = df if inplace else df.copy()
    for name, column in new.items():
        if name not in df or column is not df[name]:
            result[name] = column
    return result


def _numbers(
    column: pd.Series[Any], name: str, problems: _check.Problems, coerce: bool
) -> pd.Series[Any]:
    if column.dtype == bool or not pd.api.types.is_numeric_dtype(column):
        converted = pd.to_numeric(column, errors="coerce").astype(float)
        bad = converted.isna().to_numpy()
        if bad.any() or not (coerce or len(column) == 0):
            row = int(bad.argmax())
            value = _check.describe(column.iloc[row])
            remedy = "" if bad.any() else "coerce=True makes them numbers"
            problems.add(f"column {name!r}", "numbers", f"{value} in row {row}", remedy)
            return column
        column = converted
    values = column.to_numpy(dtype=float, na_value=np.nan)
    bad = ~np.isfinite(values)
    if name == Labels.PIXEL_SPACING:
        bad |= values < 0
    if bad.any():
        row = int(bad.argmax())
        expected = "finite numbers" if name != Labels.PIXEL_SPACING else "angstrom, 0 if unknown"
        problems.add(f"column {name!r}", expected, f"{values[row]:g} in row {row}")
    return column


def _texts(column: pd.Series[Any], problems: _check.Problems, coerce: bool) -> pd.Series[Any]:
    bad = [not isinstance(value, str) for value in column]
    if not any(bad):
        return column
    row = bad.index(True)
    value = column.iloc[row]
    missing = column.isna()
    if coerce and not missing.any():
        return column.map(str)
    if missing.any():
        row, value = int(missing.to_numpy().argmax()), "a missing value"
    else:
        value = _check.describe(value)
    problems.add(f"column {Labels.EXPERIMENT_ID!r}", "strings", f"{value} in row {row}")
    return column


def _check_spacing(columns: dict[str, Any], problems: _check.Problems) -> None:
    """Check that the tilt images of one experiment have one pixel size."""
    spacings: dict[str, Any] = {}
    for experiment, value in zip(
        columns[Labels.EXPERIMENT_ID], columns[Labels.PIXEL_SPACING], strict=True
    ):
        if spacings.setdefault(experiment, value) != value:
            found = f"{spacings[experiment]:g} and {value:g}"
            where = f"column {Labels.PIXEL_SPACING!r}"
            problems.add(where, f"one value for experiment {experiment!r}", found)
            break


def _check_twice(df: pd.DataFrame, experiments: pd.Series[Any], problems: _check.Problems) -> None:
    """Check that no image stands twice in a tilt series, as in two series of one name."""
    for name in _IMAGES:
        if name not in df:
            continue
        rows = pd.DataFrame({"experiment": experiments.to_numpy(), "image": df[name].to_numpy()})
        known = rows["image"].notna() & (rows["image"] != "")
        twice = known & rows.duplicated()
        if twice.any():
            experiment, image = rows.iloc[int(twice.to_numpy().argmax())]
            found = f"{image!r} twice" if isinstance(image, str) else f"{image:g} twice"
            where = f"column {name!r}"
            remedy = "two series of one name? give each a name of its own"
            problems.add(where, f"each image once in experiment {experiment!r}", found, remedy)
