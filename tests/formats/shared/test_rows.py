"""Rows of numbers: what the one parser of them takes, and where it says that something is wrong."""

from __future__ import annotations

import numpy as np
import pytest

from cryotypes.errors import ReadError
from cryotypes.formats.shared import pieces
from cryotypes.formats.shared.files import read_text
from cryotypes.formats.shared.rows import number_rows, read_columns, read_numbers, read_ragged


@pytest.mark.parametrize("raw", [b"\xef\xbb\xbf1 2\n3 4\n", b"1 2\r\n3 4\r\n", b"1 2\r3 4\r"])
def test_byte_order_marks_and_line_ends_do_not_matter(save, raw):
    path = save(raw, "a.txt")
    found = read_numbers(read_text(path), path, "xy", required=2, finite=2)
    assert found.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize("piece", [1, 1 << 20])
def test_the_line_is_named_in_any_piece(piece, monkeypatch, tmp_path):
    monkeypatch.setattr(pieces, "PIECE", piece)
    for text, where in (
        (b"\n1 2\n\n3 x\n", "line 4, y: expected a number, found 'x'"),
        (b"\n1 2\n\n3 inf\n", "line 4, y: expected a finite number, found inf"),
        (b"\n1 2\n\n3\n", r"line 4: expected 2 numbers \(x, y\), found 1"),
    ):
        with pytest.raises(ReadError, match=where):
            read_numbers(text, tmp_path, "xy", required=2, finite=2)


def test_whole_columns_stay_whole(tmp_path):
    table = read_columns(b"1 2.5\n9007199254740993 3\n", tmp_path, "xy", required=1)
    assert table["x"].to_list() == [1, 9007199254740993]
    assert number_rows(table, " ") == b"1 2.5\n9007199254740993 3.0\n"
    assert read_columns(b"\n", tmp_path, "xy", required=1).columns == ["x", "y"]
    assert number_rows([np.zeros(0)], " ") == b"\n"


def test_of_ragged_rows_what_all_have(tmp_path):
    assert read_ragged(b"1 2 3\n\n4 5\n", tmp_path).tolist() == [[1, 2], [4, 5]]
    with pytest.raises(ReadError, match="line 1, column 3: expected a number"):
        read_ragged(b"1 2 x\n4 5\n", tmp_path)
