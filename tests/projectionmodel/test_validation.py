"""A ProjectionModel is checked, and completed where there is only one way to."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cryotypes import validate_projection_model as validate
from cryotypes.errors import ValidationError

COLUMNS = ["rotation_x", "rotation_y", "rotation_z", "dx", "dy", "experiment_id", "pixel_spacing",
           "source"]  # fmt: skip


def model(n=3, **changes) -> pd.DataFrame:
    columns = {
        "rotation_x": [0.0] * n,
        "rotation_y": np.linspace(-60, 60, n),
        "rotation_z": 85.3,
        "dx": 1,
        "dy": -2.5,
        "experiment_id": "TS_01",
        "pixel_spacing": 1.35,
        "source": "a.star",
    }
    return pd.DataFrame(columns | changes)


@pytest.mark.parametrize("n", [0, 1, 41])
def test_any_number_of_tilts(n):
    """None, one or many; what is right comes back as it is."""
    given = model(n)
    found = validate(given)
    pd.testing.assert_frame_equal(found, model(n))
    assert found is not given


def test_other_columns_and_attrs_are_kept():
    given = model(extra=["a", "b", None])
    given.attrs["tomogram_dimensions"] = (1, 2, 3)
    given.index = [5, 5, 7]
    found = validate(given)
    pd.testing.assert_frame_equal(found, given)
    assert found.attrs == given.attrs


def test_several_experiments_may_have_several_pixel_spacings():
    given = model(4, experiment_id=list("abab"), pixel_spacing=[1.0, 2.0, 1.0, 2.0])
    validate(given)
    with pytest.raises(ValidationError, match=r"for experiment 'a', found 1 and 1\.5"):
        validate(given.assign(pixel_spacing=[1.0, 2.0, 1.5, 2.0]))
    with pytest.raises(ValidationError, match="'a', found 0 and 1"):
        validate(given.assign(pixel_spacing=[0.0, 2.0, 1.0, 2.0]))


@pytest.mark.parametrize("column", COLUMNS)
def test_missing_columns(column):
    """Named; a tilt angle or axis is never filled in, 0 would be a guess."""
    given = model().drop(columns=column)
    with pytest.raises(ValidationError, match=f"column '{column}': expected a column of this name"):
        validate(given)
    if column in ("rotation_y", "rotation_z"):
        with pytest.raises(ValidationError, match=column):
            validate(given, coerce=True)
    else:
        found = validate(given, coerce=True)
        blank = "" if column in ("experiment_id", "source") else 0.0
        assert found[column].tolist() == [blank] * 3
        validate(found)
        assert column not in given


def test_coerce_fills_what_can_mean_one_thing():
    given = pd.DataFrame({"rotation_y": [-3, 0, 3], "rotation_z": ["85", "85", "85.5"]})
    found = validate(given, coerce=True)
    assert found["rotation_z"].tolist() == [85, 85, 85.5]
    assert set(found.columns) == set(COLUMNS)
    assert list(given.columns) == ["rotation_y", "rotation_z"]
    assert given["rotation_z"].tolist() == ["85", "85", "85.5"]
    for n in (0, 1):
        validate(validate(given.iloc[:n], coerce=True))


def test_inplace():
    given = pd.DataFrame({"rotation_y": [-3, 0, 3], "rotation_z": 85})
    assert validate(given, coerce=True, inplace=True) is given
    assert set(given.columns) == set(COLUMNS)
    bad = model(dx=np.nan)
    before = bad.copy()
    with pytest.raises(ValidationError):
        validate(bad, coerce=True, inplace=True)
    pd.testing.assert_frame_equal(bad, before)


@pytest.mark.parametrize("coerce", [False, True])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dx": [0, np.nan, 1]}, "column 'dx': expected finite numbers, found nan in row 1"),
        ({"rotation_y": [0, 1, -np.inf]}, "'rotation_y': expected finite numbers, found -inf in r"),
        ({"pixel_spacing": -1.0}, "'pixel_spacing': expected angstrom, 0 if unknown, found -1 in"),
        ({"pixel_spacing": np.nan}, "'pixel_spacing'"),
        ({"rotation_z": ["85", "x", "3"]}, r"'rotation_z': expected numbers, found 'x' \(str\)"),
        ({"rotation_z": [None, 1, 2]}, "'rotation_z'"),
        ({"experiment_id": ["a", None, "b"]}, "expected strings, found a missing value in row 1"),
        ({"experiment_id": ["a", np.nan, "b"]}, "expected strings, found a missing value in row 1"),
    ],
)
def test_what_is_wrong_either_way(changes, message, coerce):
    with pytest.raises(ValidationError, match=message):
        validate(model(**changes), coerce=coerce)


@pytest.mark.parametrize(
    ("changes", "fixed"),
    [
        ({"rotation_z": ["85", "84.5", "1e1"]}, [85, 84.5, 10]),
        ({"rotation_z": pd.array([1, 2, 3], dtype="Int64")}, [1, 2, 3]),
        ({"experiment_id": [1, 2, 3]}, ["1", "2", "3"]),
        ({"dx": pd.Series([1, 2, 3], dtype=object)}, [1, 2, 3]),
        ({"dx": [True, False, True]}, [1, 0, 1]),
    ],
)
def test_coerce_makes_numbers_and_texts(changes, fixed):
    (name,) = changes
    found = validate(model(**changes), coerce=True)
    assert found[name].tolist() == fixed
    validate(found)
    if str(model(**changes)[name].dtype) != "Int64":
        with pytest.raises(ValidationError, match=f"column '{name}'"):
            validate(model(**changes))


def test_all_problems_at_once():
    given = model(dx=np.nan, experiment_id=1).drop(columns=["rotation_y", "dy"])
    with pytest.raises(ValidationError) as error:
        validate(given)
    assert len(error.value.problems) == 4
    text = str(error.value)
    assert all(name in text for name in ("rotation_y", "'dy'", "'dx'", "experiment_id"))
    assert isinstance(error.value, ValueError)


def test_duplicate_columns():
    given = pd.concat([model(), model()[["dx", "dy"]]], axis=1)
    with pytest.raises(ValidationError, match=r"column 'dx': expected one column") as error:
        validate(given, coerce=True)
    assert len(error.value.problems) == 2


@pytest.mark.parametrize("value", [None, {"rotation_y": [1]}, np.zeros((3, 5)), "model"])
def test_not_a_table(value):
    with pytest.raises(ValidationError, match="expected a pandas DataFrame, found"):
        validate(value, coerce=True)


@pytest.mark.parametrize("column", ["tilt_index", "rlnMicrographName"])
def test_an_image_stands_once_in_a_series(column):
    """Two series of one name, one after the other, look like one of twice the images."""
    model = pd.DataFrame({name: [0.0] * 4 for name in ("rotation_x", "rotation_y", "rotation_z")})
    images = [0, 1, 1, 0] if column == "tilt_index" else ["a", "b", "b", "a"]
    model = model.assign(dx=0.0, dy=0.0, pixel_spacing=1.0, source="", **{column: images})
    model["experiment_id"] = ["TS_1", "TS_1", "TS_2", "TS_2"]
    validate(model)
    model["experiment_id"] = "TS_1"
    with pytest.raises(ValidationError, match=f"'{column}': .* once in experiment 'TS_1', found"):
        validate(model)
    model[column] = [None, None, 0, 1] if column == "tilt_index" else ["", None, "a", "b"]
    validate(model)  # unknown is not twice
