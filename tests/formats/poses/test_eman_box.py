"""EMAN1 boxes: corners, whole numbers, and what that costs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cryotypes import PoseSet, read_poses
from cryotypes import write as ct_write
from cryotypes.errors import LossWarning, ReadError, WriteError
from cryotypes.formats.poses.eman_box import read, write

# relion_preprocess --extract 3.1.3 takes (101, 90) and 85 + 33 / 2 = 101.5
BOXES = "85\t74\t32\t32\n85\t74\t33\t33\n -3 10 20 40\n"


def test_corners_by_hand(save):
    [poses] = read(save(BOXES, "mic_001.box"))
    np.testing.assert_array_equal(poses.position, [[101, 90, 0], [101.5, 90.5, 0], [7, 30, 0]])
    assert poses.experiment_id == "mic_001"
    assert poses.metadata["ndim"] == 2
    assert poses.features.to_numpy().tolist() == [[32, 32], [33, 33], [20, 40]]
    assert poses.orientation is None
    assert poses.shift is None


def test_written_back_unchanged(save):
    path = save(BOXES.replace(" -3 10 20 40", "-3\t10\t20\t40"), "mic_001.box")
    before = path.read_bytes()
    report = write(read(path), path, overwrite=True)
    assert path.read_bytes() == before
    assert report.lost == {}


def test_flag_is_kept(save):
    """Helices have -1 and -2; what they mean is not verified."""
    path = save("1\t2\t10\t10\t-1\n5\t6\t10\t10\t-2\n", "mic.box")
    [poses] = read(path)
    assert poses.features["flag"].tolist() == [-1, -2]
    before = path.read_bytes()
    write([poses], path, overwrite=True)
    assert path.read_bytes() == before


def test_fractions_are_rounded_and_that_is_said(tmp_path):
    poses = PoseSet([[101.25, 90, 0], [50, 60, 0]], experiment_id="mic")
    with pytest.warns(LossWarning, match=r"off by up to 0.25 px \(whole_pixels=False"):
        ct_write(poses, tmp_path / "mic.box", box_size=32)
    assert (tmp_path / "mic.box").read_text() == "85\t74\t32\t32\n34\t44\t32\t32\n"
    report = write([poses], tmp_path / "mic.box", overwrite=True, box_size=32, whole_pixels=False)
    assert report.lost == {}
    np.testing.assert_array_equal(read(tmp_path / "mic.box")[0].position, poses.position)


def test_fractions_that_were_read_stay(save):
    path = save("85.25\t74\t32\t32\n", "mic.box")
    write(read(path), path, overwrite=True)
    assert [float(word) for word in path.read_text().split()] == [85.25, 74, 32, 32]


def test_size_from_features_or_option(tmp_path):
    features = pd.DataFrame({"Width": [20, 30], "Height": [40, 50], "Confidence": [0.5, 1]})
    poses = PoseSet([[100.0, 100, 0], [60, 60, 0]], features=features, experiment_id="mic")
    report = write([poses], tmp_path / "mic.box")
    assert (tmp_path / "mic.box").read_text() == "90\t80\t20\t40\n45\t35\t30\t50\n"
    assert "Confidence" in report.lost["features"]
    write([poses], tmp_path / "mic.box", overwrite=True, box_size=10)
    assert (tmp_path / "mic.box").read_text() == "95\t95\t10\t10\n55\t55\t10\t10\n"


@pytest.mark.parametrize("size", [0, -1, float("nan")])
def test_size_must_be_known(size, tmp_path):
    poses = PoseSet([[1.0, 2, 0]])
    with pytest.raises(WriteError, match="give box_size="):
        write([poses], tmp_path / "a.box")
    with pytest.raises(WriteError, match="expected a box size above 0"):
        write([poses], tmp_path / "a.box", box_size=size)
    assert not list(tmp_path.iterdir())


def test_z_is_refused(tmp_path):
    with pytest.raises(WriteError, match=r"without z; found z of 3 to 3"):
        write([PoseSet([[1.0, 2, 3]])], tmp_path / "a.box", box_size=10)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 2 3\n", "line 1: expected 4 to 5 numbers"),
        ("1 2 3 4\n\n1 2 3\n", "line 3: expected 4 numbers as in the first line"),
        ("1 2 x 4\n", "line 1, width: expected a number, found 'x'"),
        ("1 nan 3 4\n", "line 1, y: expected a finite number"),
        ("1 2 3 -1\n", "row 1: expected a box with a width and height of 0 or above"),
        ("1 2 3 4\0\n", "binary data"),
    ],
)
def test_bad_lines_are_named(text, message, save):
    with pytest.raises(ReadError, match=message):
        read(save(text, "a.box"))


@pytest.mark.parametrize("text", ["85,74,32,32\n", "1_0 2 3 4\n", "1\xa02 3 4 5\n"])
def test_other_text_is_no_number(text, save):
    with pytest.raises(ReadError, match="line 1"):
        read(save(text, "a.box"))


@pytest.mark.parametrize("text", ["\n", "  \n\n"])
def test_no_boxes(text, save):
    [poses] = read_poses(save(text, "mic.box"))
    assert len(poses) == 0
    assert list(poses.features) == ["width", "height"]
