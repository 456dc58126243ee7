"""CSV, our own and of strangers: known answers, and what is refused."""

from __future__ import annotations

import gzip

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.transform import Rotation

from cryotypes.errors import GuessWarning, ReadError, WriteError
from cryotypes.formats.poses import (
    csv_table,
)
from cryotypes.io import identify
from cryotypes.poseset import PoseSet
from cryotypes.testing import assert_same

TURNED = (-2.235467, -11.157248, 8.155888)  # the orientation applied to (14, 0, 0)
POSITION, SHIFT = (10.0, 20.0, 30.0), (1.0, -2.0, 3.0)
CSV = """# cryotypes_poseset_version: 1
x,y,z,dx,dy,dz,qx,qy,qz,qw,experiment_id,pixel_spacing,score
10,20,30,1,-2,3,-0.130885,-0.315985,-0.692814,0.634847,001,2,0.5
"""
EULER = """# cryotypes_poseset_version: 1
x,y,z,dx,dy,dz,rot,tilt,psi,experiment_id,pixel_spacing
10,20,30,1,-2,3,25,40,70,001,2
"""


def the_one(result):
    (poses,) = result
    return poses


def check_pose(poses, shift=SHIFT, position=POSITION):
    np.testing.assert_allclose(poses.position, [position], atol=1e-9)
    if shift is None:
        assert poses.shift is None
    else:
        np.testing.assert_allclose(poses.shift, [shift], atol=1e-9)
    np.testing.assert_allclose(poses.orientation.apply([14, 0, 0]), [TURNED], atol=2e-5)


def read_csv(save, text=CSV):
    return the_one(csv_table.read(save(text, "a.csv")))


@pytest.mark.parametrize("text", [CSV, EULER])
def test_csv_known_answer(save, text):
    poses = read_csv(save, text)
    check_pose(poses)
    assert (poses.experiment_id, poses.pixel_spacing) == ("001", 2)


def example():
    orientation = Rotation.from_euler("ZYZ", [[25, 40, 70]], degrees=True).inv()
    return PoseSet(np.array([POSITION]), np.array([SHIFT]), orientation, "TS_001", 2.0)


def test_foreign_csv(save):
    path = save('\ufeffId;X; Y;Z;note\n001;1;2;3;"a;b"\n002;4;5;6;\n', "b.csv")
    assert identify(path).name == "csv"
    poses = the_one(csv_table.read(path, index_base=1, experiment_id="TS"))
    assert poses.position.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert poses.experiment_id == "TS"
    assert list(poses.features) == ["Id", "note"]
    assert poses.features["note"].iloc[0] == "a;b"
    assert pd.isna(poses.features["note"].iloc[1])


def test_csv_without_header(save):
    path = save("1,2,3\n4,5,6\n", "b.csv")
    assert the_one(csv_table.read(path)).position.tolist() == [[1, 2, 3], [4, 5, 6]]
    with pytest.raises(ReadError, match="expected a header"):
        csv_table.read(save("1,2,3,4\n", "b.csv"))


def test_csv_columns_are_named(save):
    path = save("px,py,pz,A,B,C,tomo\n10,20,30,25,40,70,7\n", "b.csv")
    names = dict(zip(["x", "y", "z", "rot", "tilt", "psi", "experiment_id"],
                     ["px", "py", "pz", "A", "B", "C", "tomo"], strict=True))  # fmt: skip
    poses = the_one(csv_table.read(path, columns=names))
    check_pose(poses, None)
    assert poses.experiment_id == "7"
    with pytest.raises(ReadError, match="expected a column 'nope'"):
        csv_table.read(path, columns={"x": "nope"})
    with pytest.raises(ValueError, match="expected names among"):
        csv_table.read(path, columns={"u": "px"})


def test_csv_that_only_looks_like_ours_is_a_guess(save):
    text = CSV.split("\n", 1)[1]
    with pytest.warns(GuessWarning, match="cryotypes_poseset_version"):
        check_pose(read_csv(save, text))
    poses = read_csv(save, EULER.split("\n", 1)[1].replace("dx", "u"))
    assert {"rot", "tilt", "psi"} <= set(poses.features)
    assert poses.orientation is None


def test_csv_of_a_newer_version_is_refused(save):
    with pytest.raises(ReadError, match="newer cryotypes"):
        csv_table.read(save(CSV.replace("version: 1", "version: 2"), "a.csv"))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (",0.5", "", "line 2: expected 13 cells, found 12"),
        ("20,30", "20,thirty", "z, row 1: expected a finite number, found 'thirty'"),
        ("20,30", "20,", "z, row 1: expected a finite number, found None"),
        ("20,30", "20,inf", "z, row 1"),
        ("0.634847", "7", "expected a quaternion of length 1"),
        ("x,y,z", "x,y,x", "two columns are called 'x'"),
        ("x,y,z", "a,b,c", "expected columns x, y, z"),
        (",2,0.5", ",-2,0.5", "pixel_spacing, row 1"),
    ],
)
def test_csv_names_what_is_wrong(save, old, new, message):
    with pytest.raises(ReadError, match=message):
        read_csv(save, CSV.replace(old, new))


def test_csv_features_called_like_our_columns(tmp_path):
    poses = example()
    names = ["x", "qx", "X", "feature_x", "with,comma", 'quote"', "plain"]
    poses.features = pd.DataFrame(
        {name: ["001", "a,b", "", None][i % 4 :][:1] for i, name in enumerate(names)}
    )
    csv_table.write([poses], tmp_path / "a.csv")
    back = the_one(csv_table.read(tmp_path / "a.csv"))
    assert_same(back, poses)
    poses.features = pd.DataFrame({"a\nb": [1]})
    with pytest.raises(WriteError, match="line break"):
        csv_table.write([poses], tmp_path / "b.csv")


def test_csv_2d_has_no_z(tmp_path):
    poses = PoseSet(np.array([[1.0, 2, 0]]), experiment_id="a", metadata={"ndim": 2})
    csv_table.write([poses], tmp_path / "a.tsv.gz")
    assert b"\nx\ty\texperiment_id" in gzip.decompress((tmp_path / "a.tsv.gz").read_bytes())
    back = the_one(csv_table.read(tmp_path / "a.tsv.gz"))
    assert back.metadata["ndim"] == 2
    assert_same(back, poses)


def test_written_numbers_are_the_known_ones(tmp_path):
    poses = example()
    csv_table.write([poses], tmp_path / "a.csv")
    csv_table.write([poses], tmp_path / "euler.csv", euler=True)
    row = (tmp_path / "a.csv").read_text().splitlines()[-1].split(",")
    np.testing.assert_allclose(
        np.array(row[6:10], float), [-0.130885, -0.315985, -0.692814, 0.634847], atol=1e-6
    )
    row = (tmp_path / "euler.csv").read_text().splitlines()[-1].split(",")
    np.testing.assert_allclose(np.array(row[6:9], float), [25, 40, 70], atol=1e-9)
