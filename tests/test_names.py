from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryotypes.errors import ReadError
from cryotypes.names import (
    DECORATIONS,
    read_name_map,
    strip_decorations,
    strip_path_and_suffix,
)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("TS_01", "TS_01"),
        ("TS_01.mrc", "TS_01"),
        ("TS_01.MRC", "TS_01"),
        ("TS_01.mrc.mdoc", "TS_01"),
        ("TS_01.txt", "TS_01"),
        ("TS_01.st.aln", "TS_01"),
        ("TS_01.mrc.gz", "TS_01"),
        ("TS_01.tomostar", "TS_01"),
        ("a/b/TS_01.mrc", "TS_01"),
        ("/a/b/TS_01/", "TS_01"),
        (r"X:\data\run 1\TS_01.mrc.mdoc", "TS_01"),
        (r"\\server\share\TS_01.tif", "TS_01"),
        (r"X:\mixed/TS_01.eer", "TS_01"),
        ("TS_01_10.00Apx.mrc", "TS_01_10.00Apx"),  # a point is not always a suffix
        ("v1.2", "v1.2"),
        ("Zelle 1/Tomogramm Ü.mrc", "Tomogramm Ü"),
        ("1", "1"),
        ("001.mrc", "001"),
        (".mrc", ".mrc"),  # never to nothing
        ("/", "/"),
        ("", ""),
    ],
)
def test_path_and_suffix(name, expected):
    assert strip_path_and_suffix(name) == expected


@pytest.mark.parametrize("decoration", DECORATIONS, ids=lambda d: d.name)
def test_every_row_of_the_table(decoration):
    assert re.search(decoration.pattern, decoration.example)
    assert strip_decorations(decoration.example) == "TS_01"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("warp/rec_TS_01_10.00Apx.mrc", "TS_01"),
        ("TS_01_full_rec.mrc", "TS_01"),
        ("TS_01_EVN_Vol", "TS_01"),
        ("TS_01.mrc_Vol.mrc", "TS_01"),
        ("TS_01_bin4_sirt_denoised.mrc", "TS_01"),
        ("012345678901234567890_mic_7_patch_aligned_doseweighted.mrc", "mic_7"),
        ("FoilHole_1_fractions.tiff", "FoilHole_1"),
        ("rec_001", "001"),
        ("rec_", "rec_"),
        ("_Vol", "_Vol"),
        ("rec__Vol", "rec__Vol"),
    ],
)
def test_decorations(name, expected):
    assert strip_decorations(name) == expected


@pytest.mark.parametrize(
    "name",
    # what looks a little like a decoration, and tells experiments apart
    [
        "1",
        "001",
        "TS_01",
        "TS_001",
        "grid_2A",
        "grid_b5",
        "recipe_1",
        "1_2",
        "TS_01_ts",
        "20240101_1",
    ],
)
def test_what_is_a_name_stays(name):
    assert strip_decorations(name) == name


@given(st.text(min_size=1))
def test_never_nothing_and_stable(name):
    for strip in (strip_path_and_suffix, strip_decorations):
        assert strip(name)
        assert strip(strip(name)) == strip(name)


def test_name_map(tmp_path):
    path = tmp_path / "map.csv"
    path.write_text(
        "\ufeff# name experiment\n"
        "\n"
        "1 TS_01\n"
        "2   /data/TS_02.mrc   # found by hand\n"
        "Zelle 3, TS 03\n"
        '"4,a", TS_04\n'
        "fünf\tTS 05\n"
        "1,TS_01\n",
        encoding="utf-8",
    )
    assert read_name_map(path) == {
        "1": "TS_01",
        "2": "/data/TS_02.mrc",
        "Zelle 3": "TS 03",
        "4,a": "TS_04",
        "fünf": "TS 05",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a TS_01\nb\n", "line 2: expected two columns .*found 1: 'b'"),
        ("a TS 01\n", "line 1: .*found 3.*comma"),
        ("a,\n", "line 1: expected two columns"),
        ("a,b,c\n", "line 1: .*found 3"),
        ("# x\na TS_01\na TS_02\n", "line 3: expected one experiment for 'a', found 'TS_01' and"),
    ],
)
def test_name_map_errors(tmp_path, text, message):
    path = tmp_path / "map.txt"
    path.write_text(text)
    with pytest.raises(ReadError, match=message) as info:
        read_name_map(path)
    assert str(path) in str(info.value)


def test_name_map_that_is_no_text(tmp_path):
    path = tmp_path / "map.txt"
    path.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(ReadError, match="expected UTF-8 text"):
        read_name_map(path)
    with pytest.raises(FileNotFoundError):
        read_name_map(tmp_path / "none.txt")
