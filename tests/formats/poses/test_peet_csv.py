"""PEET motive lists, by hand in PEET's own form, with the model beside them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cryotypes import PoseSet, read_poses
from cryotypes.conventions import _table as conventions
from cryotypes.errors import GuessWarning, ReadError, WriteError
from cryotypes.formats.poses import imod_mod
from cryotypes.formats.poses.peet_csv import read, write

HEAD_14 = (
    "CCC,reserved,reserved,pIndex,wedgeWT,NA,NA,NA,NA,NA,xOffset,yOffset,zOffset,NA,NA,reserved,"
    "EulerZ(1),EulerZ(3),EulerX(2),reserved,CREATED WITH PEET Version 1.14.0 21-Feb-2020"
)
HEAD_18 = (
    "CCC,reserved,reserved,pIndex,wedgeWT,adjCCC,NA,NA,NA,NA,xOffset,yOffset,zOffset,NA,NA,"
    "oldClass,EulerZ(1),EulerZ(3),EulerX(2),class,CREATED WITH PEET Version 1.18.2"
)
# the particle of the known answer (conventions_poses.md, section 21): phi, psi, theta
ROWS = (
    "0.25,0,0,1,0,0.5,0,0,0,0,1,-2,3,0,0,0,65,-160,40,2\n"
    "0.125,0,0,2,0,0.25,0,0,0,0,0,0,0,0,0,0,0,0,0,1\n"
)
POINTS = np.array([[10.0, 20, 30], [100, 200, 5]])
MATRIX = [
    [-0.159676, 0.962378, -0.219846],
    [-0.796946, 0.005755, 0.604023],
    [0.582563, 0.271654, 0.766044],
]


@pytest.fixture
def motl(tmp_path):
    """A motive list, and a model with a point more precise than whole numbers."""

    def make(name="a.csv", head=HEAD_14, rows=ROWS, model="a.mod", points=POINTS):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"{head}\n{rows}")
        if model is not None:
            imod_mod.write([PoseSet(points, pixel_spacing=2.0)], tmp_path / model)
        return path

    return make


def check_known_answer(poses):
    np.testing.assert_allclose(poses.orientation[0].as_matrix(), MATRIX, atol=1e-6)
    np.testing.assert_array_equal(poses.position, POINTS)
    np.testing.assert_array_equal(poses.shift[0], [1, -2, 3])
    assert poses.orientation[1].magnitude() == 0


def test_known_answer(motl):
    [poses] = read(motl())
    check_known_answer(poses)
    assert poses.pixel_spacing == 2.0
    assert poses.experiment_id == "a"
    assert poses.features["CCC"].tolist() == [0.25, 0.125]
    assert poses.features["pIndex"].tolist() == [1, 2]
    assert poses.features["reserved_20"].tolist() == [2, 1]
    assert poses.features["contour_id"].tolist() == [0, 0]


def test_version_18_names_other_columns(motl):
    [poses] = read(motl(head=HEAD_18))
    check_known_answer(poses)
    assert poses.features["class"].tolist() == [2, 1]
    assert poses.features["adjCCC"].tolist() == [0.5, 0.25]


def wrong_rows():
    row = conventions.PEET
    yield "inverse", replace(row, turn=replace(row.turn, inverse=True))
    yield "case", replace(row, turn=replace(row.turn, axes="ZXZ"))
    yield "axes", replace(row, turn=replace(row.turn, axes="zyz"))
    yield "degrees", replace(row, turn=replace(row.turn, degrees=False))
    yield "sign", replace(row, offset=replace(row.offset, sign=-1))


@pytest.mark.parametrize("wrong", [pytest.param(w, id=name) for name, w in wrong_rows()])
def test_a_fault_in_the_row_is_noticed(wrong, motl, monkeypatch):
    path = motl()
    monkeypatch.setattr(conventions, "PEET", wrong)
    with pytest.raises(AssertionError):
        check_known_answer(read(path)[0])


@pytest.mark.parametrize("head", [HEAD_14, HEAD_18])
def test_written_back_unchanged(head, motl, tmp_path):
    """Header, all columns, and the model."""
    path = motl(head=head)
    report = write(read(path), tmp_path / "b.csv")
    assert list(report.lost) == ["experiment_id"]
    assert (tmp_path / "b.mod").read_bytes() == (tmp_path / "a.mod").read_bytes()
    lines = (tmp_path / "b.csv").read_text().splitlines()
    assert lines[0] == head
    old = np.array([line.split(",") for line in ROWS.splitlines()], dtype=float)
    new = np.array([line.split(",") for line in lines[1:]], dtype=float)
    np.testing.assert_allclose(new, old, atol=1e-9)


@pytest.mark.parametrize("name", ["a_MOTL_Tom1_Iter2.csv", "a_initMOTL.csv", "a.csv"])
def test_model_of_the_same_name_is_found(name, motl, tmp_path):
    path = motl(name)
    imod_mod.write([PoseSet(POINTS + 1)], tmp_path / "other.mod")
    check_known_answer(read(path)[0])


def test_model_that_the_run_names_is_found(motl, tmp_path):
    path = motl("run_MOTL_Tom2_Iter3.csv", model="second.mod")
    imod_mod.write([PoseSet(POINTS + 1)], tmp_path / "run.mod")
    (tmp_path / "run.prm").write_text(
        "# fnModParticle = {'no', 'no'}\n"
        "fnModParticle = {'first.mod', ...\n  './second.mod'}\n"
        "fnVolume = {'../TS_01.rec', '../TS_02.rec'}\n"
    )
    [poses] = read(path)
    check_known_answer(poses)
    assert poses.experiment_id == "TS_02"


def test_the_only_model_is_a_guess(motl):
    path = motl(model="other.mod")
    with pytest.warns(GuessWarning, match="give model="):
        check_known_answer(read(path)[0])


def test_no_model(motl, tmp_path):
    path = motl(model=None)
    with pytest.raises(ReadError, match=r"there is no a\.mod: give model="):
        read(path)
    for name in ("x.mod", "y.mod"):
        imod_mod.write([PoseSet(POINTS)], tmp_path / name)
    with pytest.raises(ReadError, match="give model="):
        read(path)
    check_known_answer(read_poses(path, model=tmp_path / "x.mod")[0])


def test_model_of_another_tomogram(motl):
    with pytest.raises(ReadError, match="2 particles, but 1 points"):
        read(motl(points=POINTS[:1]))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("1,2,3\n", "line 2: expected 20 numbers"),
        (ROWS + "1,2\n", "line 4: expected 20 numbers, found 2"),
        (ROWS.replace("-160", "x"), r"line 2, EulerZ\(3\): expected a number, found 'x'"),
        (ROWS.replace("-160", "nan"), "row 1, EulerZ.3.: expected a finite"),
    ],
)
def test_bad_rows_are_named(rows, message, motl):
    with pytest.raises(ReadError, match=message):
        read(motl(rows=rows))


def test_windows_line_ends_and_a_comma_at_the_end(motl):
    rows = ROWS.replace("\n", ",\r\n")
    check_known_answer(read(motl(head=HEAD_14 + "\r", rows=rows))[0])


def test_both_files_are_written_or_none(motl, tmp_path):
    [poses] = read(motl())
    (tmp_path / "b.mod").write_bytes(b"old")
    with pytest.raises(FileExistsError, match=r"b\.mod"):
        write([poses], tmp_path / "b.csv")
    assert not (tmp_path / "b.csv").exists()
    write([poses], tmp_path / "b.csv", model=tmp_path / "c.mod")
    check_known_answer(read(tmp_path / "b.csv", model=tmp_path / "c.mod")[0])
    bad = replace(poses, features=pd.DataFrame({"contour_id": [-1, 0]}))
    with pytest.raises(WriteError, match="contour_id"):
        write([bad], tmp_path / "d.csv")
    assert not (tmp_path / "d.csv").exists()
    with pytest.raises(WriteError, match="list itself"):
        write([poses], tmp_path / "e.csv", model=tmp_path / "e.csv")


def test_new_list(tmp_path):
    """Without a source: 1.14's names, CCC 1, counted particles."""
    report = write([PoseSet(POINTS, experiment_id="a", pixel_spacing=2.0)], tmp_path / "a.csv")
    assert report.assumed == {"CCC": "1", "pIndex": "counted from 1"}
    assert report.lost == {"orientation": "unknown, written as zero angles"}
    lines = (tmp_path / "a.csv").read_text().splitlines()
    assert lines[0].split(",") == HEAD_14.split(",")[:20]
    assert lines[1] == "1,0,0,1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0"
    assert lines[2].startswith("1,0,0,2,")


def test_rows_follow_the_points_of_the_model(tmp_path):
    """Row i belongs to point i: both are ordered by object and contour."""
    features = pd.DataFrame({"CCC": [0.5, 0.25], "contour_id": [1, 0]})
    report = write([PoseSet(POINTS, features=features)], tmp_path / "a.csv")
    assert "order" in report.converted
    [again] = read(tmp_path / "a.csv")
    np.testing.assert_array_equal(again.position, POINTS[::-1])
    assert again.features["CCC"].tolist() == [0.25, 0.5]
