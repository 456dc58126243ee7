"""crYOLO's .cbox (STAR and the older text) and .coords, by hand in the programs' own form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cryotypes import PoseSet, read_poses
from cryotypes.errors import ReadError, WriteError
from cryotypes.formats.poses import cryolo_cbox
from cryotypes.formats.shared.declaration import Head

# the form in which pyStarDB, and so crYOLO, napari-boxmanager and TomoTwin, write
CBOX_3D = """
data_global

_cbox_format_version 1.0

data_cryolo

loop_
_CoordinateX #1
_CoordinateY #2
_CoordinateZ #3
_Width #4
_Height #5
_Depth #6
_EstWidth #7
_EstHeight #8
_Confidence #9
_NumBoxes #10
_Angle #11
81.5 63.5 30.0 37.0 37.0 37.0 40.0 41.0 0.75 5.0 <NA>
-18.5 -18.5 0.0 37.0 37.0 37.0 40.0 41.0 0.5 7.0 <NA>

data_cryolo_include

loop_
_slice_index #1
0
30
"""
CBOX_2D = CBOX_3D.replace(" 30.0 37.0 37.0 37.0", " <NA> 37.0 37.0 <NA>").replace(
    " 0.0 37.0 37.0 37.0", " <NA> 37.0 37.0 <NA>"
)


def test_corner_in_x_and_y_centre_in_z(save):
    [poses] = cryolo_cbox.read(save(CBOX_3D, "TS_01.cbox"))
    np.testing.assert_array_equal(poses.position, [[100, 82, 30], [0, 0, 0]])
    assert poses.experiment_id == "TS_01"
    assert poses.metadata["ndim"] == 3
    assert poses.features["Confidence"].tolist() == [0.75, 0.5]
    assert poses.features["Depth"].tolist() == [37, 37]
    assert poses.features["Angle"].isna().all()
    assert poses.orientation is None
    assert poses.metadata["blocks"]["cryolo_include"]["slice_index"].tolist() == [0, 30]


def test_images_have_no_z(save):
    [poses] = cryolo_cbox.read(save(CBOX_2D, "mic.cbox"))
    np.testing.assert_array_equal(poses.position, [[100, 82, 0], [0, 0, 0]])
    assert poses.metadata["ndim"] == 2
    without = CBOX_2D.replace("_CoordinateZ #3\n", "").replace("63.5 <NA>", "63.5")
    without = without.replace("-18.5 <NA>", "-18.5")
    np.testing.assert_array_equal(
        cryolo_cbox.read(save(without, "b.cbox"))[0].position, poses.position
    )


@pytest.mark.parametrize("text", [CBOX_3D, CBOX_2D])
def test_written_back_with_the_same_blocks_and_values(text, save, tmp_path):
    path = save(text, "a.cbox")
    report = cryolo_cbox.write(cryolo_cbox.read(path), tmp_path / "a2.cbox")
    assert set(report.lost) == {"experiment_id"}
    values = [line.split() for line in text.splitlines() if line.strip()]
    again = [line.split() for line in (tmp_path / "a2.cbox").read_text().splitlines() if line]
    assert len(again) == len(values)
    for old, new in zip(values, again, strict=True):
        assert len(old) == len(new)
        for a, b in zip(old, new, strict=True):
            assert a == b or float(a) == float(b)


def test_new_files_have_the_usual_columns(tmp_path):
    poses = PoseSet([[100.0, 82, 30], [0, 0, 0]], experiment_id="a")
    with pytest.raises(WriteError, match="give box_size="):
        cryolo_cbox.write([poses], tmp_path / "a.cbox")
    cryolo_cbox.write([poses], tmp_path / "a.cbox", box_size=37)
    text = (tmp_path / "a.cbox").read_text()
    assert "_cbox_format_version" in text
    assert "81.5 63.5 30.0 37 37 37 <NA> <NA> <NA> <NA> <NA>" in text
    assert "loop_\n_slice_index #1\n0.0\n30.0" in text
    np.testing.assert_array_equal(cryolo_cbox.read(tmp_path / "a.cbox")[0].position, poses.position)


def test_box_size_replaces_all_three_sides(save, tmp_path):
    data = cryolo_cbox.read(save(CBOX_3D, "a.cbox"))
    cryolo_cbox.write(data, tmp_path / "b.cbox", box_size=20)
    [again] = cryolo_cbox.read(tmp_path / "b.cbox")
    np.testing.assert_array_equal(again.position, data[0].position)
    assert again.features[["Width", "Height", "Depth"]].to_numpy().tolist() == [[20] * 3] * 2


def test_other_features_are_kept(tmp_path):
    features = pd.DataFrame({"width": [10, 12], "height": [10, 12], "remark": ["a b", None]})
    poses = PoseSet([[1.0, 2, 3], [4, 5, 6]], features=features)
    cryolo_cbox.write([poses], tmp_path / "a.cbox")
    [again] = cryolo_cbox.read(tmp_path / "a.cbox")
    assert again.features["Width"].tolist() == [10, 12]
    assert again.features["remark"][0] == "a b"
    assert "width" not in again.features


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (CBOX_3D.replace("data_cryolo\n", "data_other\n"), "expected one block 'cryolo'"),
        (CBOX_3D.replace("_Width", "_Girth"), "expected one block 'cryolo'"),
        (CBOX_3D.replace("81.5 63.5", "81.5 x"), "CoordinateY, row 1: expected a finite number"),
        (CBOX_3D.replace("81.5 63.5 30.0", "81.5 63.5 <NA>"), "CoordinateZ, row 1"),
        (CBOX_3D.replace("81.5", "nan"), "CoordinateX, row 1"),
        (CBOX_3D.replace(" 5.0 <NA>", ""), "expected 11 values"),
    ],
)
def test_bad_star_is_named(text, message, save):
    with pytest.raises(ReadError, match=message):
        cryolo_cbox.read(save(text, "a.cbox"))


# crYOLO 1.7's CoordsIO: x y w h confidence, and the estimated size
TEXT = "81.5\t63.5\t37\t37\t0.75\t40\t41\n-18.5\t-18.5\t37\t37\t0.5\t40\t41\n"


def test_the_older_text(save):
    path = save(TEXT, "mic.cbox")
    [poses] = read_poses(path)
    np.testing.assert_array_equal(poses.position, [[100, 82, 0], [0, 0, 0]])
    assert poses.features["EstHeight"].tolist() == [41, 41]
    before = path.read_bytes()
    report = cryolo_cbox.write([poses], path, overwrite=True)
    assert path.read_bytes() == before
    assert report.lost == {}
    [short] = cryolo_cbox.read(save("1 2 30 30 0.5\n", "b.cbox"))
    assert list(short.features) == ["Width", "Height", "Confidence"]


def test_dialect_can_be_chosen(save, tmp_path):
    [poses] = cryolo_cbox.read(save(CBOX_2D, "mic.cbox"))
    cryolo_cbox.write([poses], tmp_path / "a.cbox", dialect="text")
    assert (tmp_path / "a.cbox").read_text() == TEXT
    cryolo_cbox.write(cryolo_cbox.read(save(TEXT, "c.cbox")), tmp_path / "b.cbox", dialect="star")
    [star] = cryolo_cbox.read(tmp_path / "b.cbox")
    assert star.metadata["ndim"] == 2
    np.testing.assert_array_equal(star.position, poses.position)
    report = cryolo_cbox.write([PoseSet([[1.0, 2, 0]])], tmp_path / "d.cbox", box_size=4,
                               dialect="text")  # fmt: skip
    assert report.assumed == {"Confidence": "1"}
    with pytest.raises(WriteError, match="dialect='star'"):
        cryolo_cbox.write([PoseSet([[1.0, 2, 3]])], tmp_path / "e.cbox", box_size=4,
                          dialect="text")  # fmt: skip


def test_sniff_by_block_not_by_suffix():
    assert cryolo_cbox.sniff(Head(Path("a.star"), CBOX_3D.encode()))
    assert not cryolo_cbox.sniff(Head(Path("a.cbox"), b"data_\n\nloop_\n_rlnCoordinateX #1\n1\n"))
    assert not cryolo_cbox.sniff(Head(Path("a.txt"), TEXT.encode()))
