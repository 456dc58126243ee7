"""Numbers of tomograms and their names: which is whose, by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cryotypes.errors import ReadError, WriteError
from cryotypes.formats.poses._tomogram_numbers import (
    decode_numbers,
    find_number_map,
    map_path,
    map_text,
    name_numbers,
    number_names,
    numbers_by_name,
    read_number_map,
    writing_with_map,
)

# --- maps ---


def test_a_map(save):
    """White space or a comma; names may hold blanks, and commas after white space."""
    text = "# a comment\n\n 1 one.mrc\n2,two\n3 a,b.mrc\n4.0\tfour of them\n 1  one.mrc\n"
    text += '-5, "five, 5"\n'
    found = read_number_map(save(text, "map.doc"))
    assert found == {1: "one.mrc", 2: "two", 3: "a,b.mrc", 4: "four of them", -5: "five, 5"}


@pytest.mark.parametrize(
    ("text", "line"),
    [("1 a\nx b\n", 2), ("1\n", 1), ("\n1.5 a\n", 2), ("1,a,b\n", 1), ("1 a\n2 b\ninf c\n", 3)],
)
def test_a_line_that_is_none_is_named(save, text, line):
    with pytest.raises(ReadError, match=f"line {line}: expected a number and a name"):
        read_number_map(save(text, "map.doc"))


def test_a_number_that_stands_twice_is_named(save):
    with pytest.raises(ReadError, match="line 3: number 1 stands twice"):
        read_number_map(save("1 a\n2 b\n1 c\n", "map.doc"))
    with pytest.raises(ReadError, match="found no text"):
        read_number_map(save(b"1 \xff\n", "map.doc"))


def test_which_map_is_taken(save, tmp_path):
    assert map_path(Path("x.tbl")) == map_path(Path("x.tbl.gz")) == Path("x.doc")
    assert map_path(Path("x.tbl.GZ.bz2")) == Path("x.doc")
    table = tmp_path / "x.tbl"
    assert find_number_map(table, None) == {}
    save("1 beside\n", "x.doc")
    assert find_number_map(table, None) == {1: "beside"}
    assert find_number_map(table, save("1 given\n", "y.doc")) == {1: "given"}
    assert find_number_map(tmp_path / "x.doc", None) == {}  # no map of itself


# --- reading ---


def test_numbers_become_experiments_in_order_of_appearance(save, tmp_path):
    save("7 seven\n3 three\n9 nine\n", "x.doc")
    codes, names, numbers = decode_numbers(np.array([3.0, 7, 3, 4]), tmp_path / "x.tbl", None, "20")
    assert codes.tolist() == [0, 1, 0, 2]
    assert names == ["three", "seven", "4"]
    assert numbers == {"three": 3, "seven": 7, "4": 4}
    large = np.array([2.0**61, 1000])
    assert decode_numbers(large, tmp_path / "x.tbl", None, "20")[1] == [str(2**61), "1000"]
    assert name_numbers([9, 1], {9: "nine"}) == ["nine", "1"]


@pytest.mark.parametrize("bad", [1.5, np.nan, np.inf, -np.inf, 2.0**62, -(2.0**62)])
def test_what_is_no_whole_number_is_named_with_its_row(bad, tmp_path):
    with pytest.raises(ReadError, match="column 20, row 2: expected a whole number, found"):
        decode_numbers(np.array([1, bad, bad]), tmp_path / "x.tbl", None, "20")


def test_without_particles(save, tmp_path):
    """The map's only name, else the file's."""
    table = tmp_path / "x.tbl"
    assert decode_numbers(np.zeros(0), table, None, "20")[1:] == (["x"], {})
    save("7 seven\n", "x.doc")
    assert decode_numbers(np.zeros(0), table, None, "20")[1:] == (["seven"], {"seven": 7})
    save("7 seven\n8 eight\n", "x.doc")
    assert decode_numbers(np.zeros(0), table, None, "20")[1:] == (["x"], {})


def test_two_numbers_of_one_name(save, tmp_path):
    save("1 same\n2 same\n", "x.doc")
    with pytest.raises(ReadError, match="tomograms 1 and 2 are both called 'same'"):
        decode_numbers(np.array([1.0, 2]), tmp_path / "x.tbl", None, "20")
    assert decode_numbers(np.array([2.0, 2]), tmp_path / "x.tbl", None, "20")[1] == ["same"]


# --- writing ---


def test_numbers_by_a_map_that_is_given(save):
    path = save("4 dir/TS_4.mrc\n5 TS_5\n6 twice.mrc\n7 twice.rec\n", "map.doc")
    assert numbers_by_name(["TS_5", "TS_4"], path) == [5, 4]
    assert numbers_by_name(["twice.rec"], path) == [7]  # in full, before by its stem
    for name, found in (("TS_6", "none"), ("twice", "6 and 7")):
        with pytest.raises(WriteError, match=f"expected one number for '{name}', found {found}"):
            numbers_by_name([name], path)


@pytest.mark.parametrize(
    ("names", "before", "numbers"),
    [
        (["a", "b"], [{}, {}], [1, 2]),
        (["a", "b"], [{"a": 7}, {}], [7, 1]),
        (["a", "b", "c"], [{"b": 1}, {}, {"c": 2}], [3, 1, 2]),
        (["a", "b"], [{"a": 7}, {"b": 7, "a": 8}], [7, 1]),  # the first that has a number keeps it
        (["12", "b", "012", "0"], [{}], [12, 1, 2, 0]),  # digits as they are written
        (["2", "b", "c"], [{}], [2, 1, 3]),
        (["a", "101", "100"], [{"a": 101}], [1, 2, 100]),  # larger than can be held
        (["a"], [{"a": -100}], [-100]),
        (["a"], [{"a": -101}], [1]),
    ],
)
def test_experiments_are_numbered(names, before, numbers):
    metadata = [{"tomogram_numbers": entry} if entry else {} for entry in before]
    assert number_names(names, metadata, largest=100) == numbers


def test_digits_of_a_large_number():
    assert number_names(["9007199254740992", "9007199254740993"], [{}]) == [2**53, 1]


def test_a_map_is_written_where_names_are_not_their_numbers(tmp_path):
    assert map_text(["1", "2"], [1, 2]) is None
    assert map_text(["b", "2", "a"], [10, 2, 3]) == "2 2\n3 a\n10 b\n"
    path, beside = tmp_path / "x.tbl", tmp_path / "x.doc"
    with writing_with_map(path, False, ["1", ""], [1, 2]) as file:
        file.write(b"rows")
    assert (path.read_bytes(), beside.exists()) == (b"rows", False)
    path.unlink()
    with writing_with_map(path, False, ["a", "2"], [1, 2]):
        pass
    assert beside.read_text() == "1 a\n2 2\n"
    path.unlink()
    with writing_with_map(path, False, ["a", "2"], [1, 2]):  # the old map says the same
        pass
    path.unlink()
    with pytest.raises(FileExistsError), writing_with_map(path, False, ["b"], [1]):
        pass
    assert not path.exists()
    with pytest.raises(FileExistsError), writing_with_map(path, False, ["1"], [1]):
        pass  # the old map calls 1 a
    with writing_with_map(path, True, ["1", "3"], [1, 3]):
        pass
    assert beside.read_text() == "1 1\n3 3\n"


@pytest.mark.parametrize("name", [" a", "a ", "a\nb"])
def test_names_that_no_map_holds(name, tmp_path):
    with pytest.raises(WriteError, match="expected a name of one line, without blanks around it"), \
            writing_with_map(tmp_path / "x.tbl", False, [name], [1]):  # fmt: skip
        pass
    with pytest.raises(WriteError, match="is the suffix of the tomograms' map"), \
            writing_with_map(tmp_path / "x.doc", False, ["a"], [1]):  # fmt: skip
        pass
    assert list(tmp_path.iterdir()) == []
