"""Dynamo's tables: their columns, complex numbers, blanks, and pixel sizes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial.transform import Rotation

import cryotypes
from cryotypes import PoseSet
from cryotypes.errors import GuessWarning
from cryotypes.formats.poses.dynamo_tbl import COLUMNS, read, write
from cryotypes.io import identify
from cryotypes.testing import assert_same

DYNAMO = """\
1 1 1 1 -2 3 -20 40 115 0.31 0 0 1 -60 60 0 0 0 0 3 1 1 0 10.5 20.5 30.5 0 0 0 0 0 0 0 1 0 2 0
2 1 1 0 0 0 0 0 0 0.32 0 0 1 -60 60 0 0 0 0 3 1 2 0 0.5 0.5 0.5 0 0 0 0 0 0 0 1 0 2 0
5 1 1 .5 0 0 -90 0 0 0.33 0 0 1 -60 60 0 0 0 0 12 1 1 0 2 2.75 3.625 0 0 0 0 0 0 0 1 0 2 0
6 1 1 0 -.25 0 0 -90 0 3e-1 0 0 1 -60 60 0 0 0 0 3 1 2 0 -3.5 5.5 -5.5 0 0 0 0 0 0 0 1 0 2 0
7 1 1 0 0 1 -90 -90 0 0.35 0 0 1 -60 60 0 0 0 0 12 1 1 0 1000.5 .5 7.5 0 0 0 0 0 0 0 1 0 2 0
"""
POSE = ["x", "y", "z", "dx", "dy", "dz", "tdrot", "tilt", "narot", "tomo", "apix"]


def check_poses(found, save) -> None:
    """They must be those of the plain table, which test_fixed_columns knows by hand."""
    assert_same(found, read(save(DYNAMO, "plain.tbl")), ignore=COLUMNS)


def rows_of(posesets, field: str) -> np.ndarray:
    order = np.argsort(np.concatenate([p.features.index for p in posesets]))
    return np.concatenate([np.asarray(getattr(p, field)) for p in posesets])[order]


def test_features(save):
    first, second = read(save(DYNAMO, "list.tbl"))
    assert list(first.features.columns) == [c for c in COLUMNS[:37] if c not in POSE]
    assert first.features["tag"].tolist() == [1, 2, 6]
    assert second.features["tag"].dtype.kind == "i"
    assert first.features["cc"].tolist() == [0.31, 0.32, 0.3]
    assert first.features["ymintilt"].tolist() == [-60] * 3
    assert first.metadata["columns"] == 37


def test_columns_grow_for_what_is_to_be_written(save, tmp_path):
    short = " ".join(DYNAMO.split("\n")[0].split()[:26]) + "\n"
    found = read(save(short, "a.tbl"))
    assert found[0].pixel_spacing == 0
    for change, columns in (
        ({}, 26),
        ({"pixel_spacing": 2.0}, 36),
        ({"features": found[0].features.assign(eig1=[0.5])}, 41),
    ):
        path = tmp_path / f"{columns}.tbl"
        write([replace(found[0], **change)], path)
        assert np.loadtxt(path).shape == (columns,)
        [again] = read(path)
        assert again.pixel_spacing == change.get("pixel_spacing", 0)


def test_pixel_size(save):
    given = read(save(DYNAMO, "list.tbl"), pixel_spacing=3)
    assert [p.pixel_spacing for p in given] == [3, 3]
    mixed = DYNAMO.replace(" 1 0 2 0\n", " 1 0 -1 0\n", 1)
    found = read(save(mixed, "m.tbl"))
    assert [(p.experiment_id, p.pixel_spacing) for p in found] == [("3", 0), ("3", 2), ("12", 2)]


@pytest.mark.parametrize(
    ("word", "value"),
    [("1.5+0i", 1.5), ("1e-3-2.5e+01i", 1e-3), ("-2+3j", -2), ("2i", 0), ("NaN+NaNi", np.nan)],
)
def test_complex_numbers(save, word, value):
    rows = [line.split() for line in DYNAMO.splitlines()]
    rows[2][27] = word
    path = save("\n".join(" ".join(row) for row in rows) + "\n", "a.tbl")
    found = read(path)
    check_poses(found, save)
    assert_array_equal(
        pd.concat([p.features["daxis"] for p in found]).sort_index(), [0, 0, value, 0, 0]
    )
    assert identify(path, "poses").name == "dynamo-tbl"


def test_blanks_tabs_and_line_ends(save):
    rows = DYNAMO.replace(" ", "\t  ").replace("\n", " \r\n\r\n")
    check_poses(read(save("\n  " + rows, "a.tbl")), save)
    with pytest.warns(GuessWarning, match="does not end with a line end"):
        found = read(save(DYNAMO.rstrip("\n"), "b.tbl"))
    check_poses(found, save)


def test_whole_numbers_and_decimals_in_one_column(save):
    """Wherever the first decimal stands, far behind the rows whose types were looked at."""
    row = DYNAMO.split("\n")[0].split()
    n = 40_000
    rows = []
    for tag in range(1, n + 1):
        row[0], row[21] = str(tag), "1.5" if tag == n // 2 else "1"
        rows.append(" ".join(row))
    [poses] = read(save("\n".join(rows) + "\n", "a.tbl"))
    assert poses.features["class"].sum() == n + 0.5
    assert poses.features["tag"].tolist() == list(range(1, n + 1))


def test_tomogram_zero_stays(save, tmp_path):
    rows = DYNAMO.replace(" 3 1 ", " 0 1 ")
    found = read(save(rows, "a.tbl"))
    assert [p.experiment_id for p in found] == ["0", "12"]
    write(found, tmp_path / "b.tbl")
    assert not (tmp_path / "b.doc").exists()
    assert np.loadtxt(tmp_path / "b.tbl")[:, 19].tolist() == [0, 0, 12, 0, 12]


def test_a_real_table(shared_data, tmp_path):
    path = next((shared_data / "dynamo").glob("*.tbl"))
    found = cryotypes.read_poses(path)
    table = np.loadtxt(path)
    assert sum(len(p.position) for p in found) == len(table) == 1343
    assert_array_equal(rows_of(found, "position"), table[:, 23:26] - 0.5)
    assert_array_equal(rows_of(found, "shift"), table[:, 3:6])
    report = write(found, tmp_path / "a.tbl")
    assert not report.lost
    assert not report.converted
    assert not report.assumed
    assert not (tmp_path / "a.doc").exists()
    again = np.loadtxt(tmp_path / "a.tbl")
    same = [i for i in range(26) if i not in (6, 7, 8)]
    assert_array_equal(again[:, same], table[:, same])
    turns = [Rotation.from_euler("ZXZ", -t[:, 6:9], degrees=True) for t in (again, table)]
    assert_allclose(turns[0].as_matrix(), turns[1].as_matrix(), atol=1e-12)


# --- pixel sizes in column apix (36): any above 0, whichever tomogram's ---


def row(tomogram: int, apix: float) -> str:
    """A particle of a tomogram: columns 20, 24–26 and 36 are what counts."""
    values = {"tag": tomogram, "tomo": tomogram, "x": 10, "y": 20, "z": 30, "apix": apix}
    return " ".join(str(values.get(name, 0)) for name in COLUMNS) + "\n"


@pytest.mark.parametrize("apix", [0.54, 1.0, 10.8])
def test_pixels_of_less_than_an_angstrom_are_pixels(save, apix):
    (poses,) = read(save(row(1, apix), "a.tbl"))
    assert poses.pixel_spacing == apix


@pytest.mark.parametrize("apix", [0, -1.0, "nan", "inf"])
def test_what_is_no_pixel_size_is_unknown(save, apix):
    (poses,) = read(save(row(1, apix), "a.tbl"))
    assert poses.pixel_spacing == 0


def test_a_known_pixel_size_is_written_beside_an_unknown_one(save, tmp_path):
    """Also after reading a narrow table, which has no column for it."""
    narrow = " ".join(row(1, 0).split()[:26]) + "\n"
    (short,) = read(save(narrow, "narrow.tbl"))
    known = PoseSet(
        [[1, 2, 3]], experiment_id="2", pixel_spacing=0.54, metadata=dict(short.metadata)
    )
    write([short, known], tmp_path / "b.tbl", overwrite=False)
    found = read(tmp_path / "b.tbl")
    assert [poses.pixel_spacing for poses in found] == [0, 0.54]
