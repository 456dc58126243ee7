"""Points of JSON files: what counts as a number, which point is named, what a table holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from cryotypes.errors import ReadError, WriteError
from cryotypes.formats.shared.json_points import Points, parse, read_json, records, shown, to_json
from cryotypes.loss import LossReport

PATH = Path("points.json")
THIRD_OF_A_TURN = [[0, 0, 1], [1, 0, 0], [0, 1, 0]]  # x to y to z to x
HUGE = 10**400  # a whole number that no float holds


def points_of(rows) -> Points:
    return Points(rows, PATH, lambda index: f"point {index + 1}")


def some(n: int = 3) -> Points:
    return points_of([{} for _ in range(n)])


# --- numbers ---


def test_locations_are_x_y_z_whatever_their_order():
    rows = [{"location": {"x": 1, "y": 2.5, "z": -3}}, {"location": {"z": 6, "y": 5, "x": 4}}]
    assert points_of(rows).locations().tolist() == [[1, 2.5, -3], [4, 5, 6]]
    assert len(points_of(rows)) == 2


@pytest.mark.parametrize(
    ("location", "found"),
    [
        (None, "expected x, y and z, found None"),
        ([1, 2, 3], r"expected x, y and z, found \[1, 2, 3\]"),
        ({"x": 1, "y": 2}, "expected x, y and z"),
        ({"x": 1, "y": 2, "z": "3"}, "location z: expected a number, found '3'"),
        ({"x": True, "y": 2, "z": 3}, "location x: expected a number, found True"),
        ({"x": 1, "y": None, "z": 3}, "location y: expected a number, found None"),
    ],
)
def test_the_second_point_has_no_location(location, found):
    rows = [{"location": {"x": 1, "y": 2, "z": 3}}, {"location": location}]
    with pytest.raises(ReadError, match=f"point 2, .*{found}"):
        points_of(rows).locations()


@pytest.mark.parametrize("kind", [[1, 2, 3], [1.5, 2.5, -3.5], [1, 2.5, 3]])
def test_numbers(kind):
    found = some().numbers(kind, "score")
    assert found.dtype == np.float64
    assert found.tolist() == kind


def test_no_numbers():
    assert some(0).numbers([], "score").shape == (0,)


@pytest.mark.parametrize("bad", ["1", True, None, float("inf"), float("nan"), HUGE, [1]])
@pytest.mark.parametrize("index", [0, 1, 2])
def test_what_is_no_number_is_named_with_its_point(bad, index):
    values = [1.0, 2.0, 3.0]
    values[index] = bad
    with pytest.raises(ReadError, match=f"point {index + 1}, score: expected a number"):
        some().numbers(values, "score")


@pytest.mark.parametrize(("index", "point"), [(0, 1), (3, 1), (4, 2), (7, 2), (8, 3), (11, 3)])
def test_of_several_numbers_a_point_the_point_is_named(index, point):
    """Values 0–3 are the first point's, 4–7 the second's, 8–11 the third's."""
    values: list = [1.0] * 12
    values[index] = "x"
    with pytest.raises(ReadError, match=f"point {point}, matrix: expected a number, found 'x'"):
        some().numbers(values, "matrix", 4)


# --- matrices ---


def test_matrices_keep_rows_and_columns():
    written = [[[1, 2], [3, 4]], [[5, 6], [7, 8.5]]]
    found = some(2).matrices(written, 2, "matrix")
    assert found.tolist() == written
    assert some(0).matrices([], 3, "matrix").shape == (0, 3, 3)


@pytest.mark.parametrize(
    "wrong",
    [None, 5, "ab", [1, 2, 3, 4], [[1, 2]], [[1, 2], [3]], [[1, 2], [3, 4], [5, 6]],
     [[1, 2, 3], [4, 5, 6]], [[1, 2], (3, 4)], ([1, 2], [3, 4]), [[1, 2], "ab"]],
)  # fmt: skip
def test_what_is_no_square_is_named_with_its_point(wrong):
    with pytest.raises(ReadError, match="point 2, m: expected 2 rows of 2 numbers, found"):
        some(2).matrices([[[1, 2], [3, 4]], wrong], 2, "m")


def test_an_entry_that_is_no_number_is_named_with_its_point():
    """The last of the first 3 × 3, and the first of the second."""
    eye = np.eye(3).tolist()
    for point, row, column in ((1, 2, 2), (2, 0, 0), (2, 2, 2)):
        matrices = [[list(r) for r in eye] for _ in range(2)]
        matrices[point - 1][row][column] = None
        with pytest.raises(ReadError, match=f"point {point}, m: expected a number, found None"):
            some(2).matrices(matrices, 3, "m")


@pytest.mark.parametrize(
    "matrix",
    [
        np.eye(3),
        THIRD_OF_A_TURN,
        np.diag([-1, -1, 1]),
        np.eye(3) * 1.004,  # rounded: the squares are 0.8 % too long
        np.eye(3) * 0.996,
    ],
)
def test_rotations(matrix):
    matrices = np.array([np.eye(3), matrix])
    assert_allclose(some(2).rotations(matrices, "m"), matrices)


@pytest.mark.parametrize(
    "matrix",
    [
        np.diag([1, 1, -1]),  # mirrored
        -np.eye(3),
        np.eye(3) * 1.006,  # the squares are 1.2 % too long
        np.eye(3) * 0.994,
        [[1, 0.011, 0], [0, 1, 0], [0, 0, 1]],  # sheared
        [[1, -0.011, 0], [0, 1, 0], [0, 0, 1]],
        np.zeros((3, 3)),
    ],
)
def test_what_is_no_rotation_is_named_with_its_point(matrix):
    matrices = np.array([np.eye(3), matrix, matrix], dtype=float)
    with pytest.raises(ReadError, match="point 2, m: expected a rotation"):
        some(3).rotations(matrices, "m")


def test_no_rotations():
    assert some(0).rotations(np.zeros((0, 3, 3)), "m").shape == (0, 3, 3)


# --- tables ---


def test_a_table_of_the_other_keys():
    """In order of appearance; whole numbers stay whole, also where some are missing."""
    rows = [{"a": 1, "gone": 2, "b": 1.5, "c": "x"}, {"d": 2**62, "b": 2, "a": 3}]
    table = points_of(rows).table(without={"gone"})
    assert list(table) == ["a", "b", "c", "d"]
    assert table["a"].dtype == np.int64
    assert table["a"].tolist() == [1, 3]
    assert table["b"].dtype == np.float64
    assert table["b"].tolist() == [1.5, 2]
    assert table["c"].tolist()[0] == "x"
    assert table["c"].isna().tolist() == [False, True]
    assert str(table["d"].dtype) == "Int64"
    assert table["d"].isna().tolist() == [True, False]
    assert int(table["d"][1]) == 2**62  # a float would hold it, but not its neighbour
    assert list(table.index) == [0, 1]


def test_missing_numbers_are_not_numbers():
    table = points_of([{"b": 1.5}, {}]).table(without=())
    assert table["b"].dtype == np.float64
    assert table["b"].isna().tolist() == [False, True]


def test_rows_without_any_key():
    assert points_of([{}, {}]).table(without=()).shape == (2, 0)


@pytest.mark.parametrize("number", [2**63 - 1, -(2**63)])
@pytest.mark.parametrize("missing", [False, True])
def test_the_largest_whole_numbers(number, missing):
    column = points_of([{"a": number}, {} if missing else {"a": 0}]).table(without=())["a"]
    assert column.dtype == ("Int64" if missing else np.int64)
    assert int(column[0]) == number


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, HUGE])
def test_whole_numbers_beyond_are_kept_as_they_are(number):
    column = points_of([{"a": number}, {"a": 0}]).table(without=())["a"]
    assert column.dtype == object
    assert column.tolist() == [number, 0]


@pytest.mark.parametrize(
    "values", [[True, 1], [True, False], [1, "x"], [[1], [2]], [{"k": 1}, None], [None, None]]
)
def test_what_is_mixed_is_kept_as_it_is(values):
    column = points_of([{"a": value} for value in values]).table(without=())["a"]
    assert column.dtype == object
    assert column.tolist() == values
    assert [type(value) for value in column] == [type(value) for value in values]


# --- writing ---


def test_records_leave_out_what_is_missing_or_infinite():
    table = pd.DataFrame(
        {
            "a": pd.array([1, None, 3], dtype="Int64"),
            "b": [0.5, np.inf, np.nan],
            "c": ["x", None, "z"],
        }
    )
    report = LossReport("poses")
    found = records(table, ["a", "b", "absent", "c"], 3, report)
    assert found == [{"a": 1, "b": 0.5, "c": "x"}, {}, {"a": 3, "c": "z"}]
    assert list(report.lost) == ["infinite b"]
    report = LossReport("poses")
    assert records(table[:1], ["b", "a"], 1, report) == [{"b": 0.5, "a": 1}]
    assert not report.lost
    assert records(None, ["a"], 2, report) == [{}, {}]


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", '{"a": -Infinity}', "{", ""])
def test_what_is_not_json(text):
    with pytest.raises(ValueError, match=r"is not JSON|^Expect"):
        parse(text)


def test_json_is_one_line_with_its_letters():
    assert to_json({"é": [1, 2.5]}, PATH, "point 1") == '{"é": [1, 2.5]}'
    for bad in (float("nan"), float("inf"), object()):
        with pytest.raises(WriteError, match=r"point 1: JSON cannot hold this"):
            to_json(bad, PATH, "point 1")


def test_texts(save):
    assert read_json(save(b"\xef\xbb\xbf{}", "a.json")) == {}
    with pytest.raises(ReadError, match="the file is empty"):
        read_json(save(b"", "b.json"))
    with pytest.raises(ReadError, match="expected UTF-8"):
        read_json(save(b"\xff{}", "c.json"))


def test_what_was_found_is_shown_in_60_letters():
    """A text of 58 letters and its quotes; of 59, 57 letters and the dots."""
    assert shown("a" * 58) == repr("a" * 58)
    assert shown("a" * 59) == "'" + "a" * 56 + "…"
