"""The CZ portal's ndjson: known answers, and lines that are refused."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.transform import Rotation

from cryotypes.errors import ReadError
from cryotypes.formats.poses import (
    portal_ndjson,
)
from cryotypes.poseset import PoseSet

# RELION (25, 40, 70): its matrix, quaternion and AV3 angles are known answers
MATRIX = [
    [-0.159676, 0.962378, -0.219846],
    [-0.796946, 0.005755, 0.604023],
    [0.582563, 0.271654, 0.766044],
]
TURNED = (-2.235467, -11.157248, 8.155888)  # the orientation applied to (14, 0, 0)
POSITION, SHIFT = (10.0, 20.0, 30.0), (1.0, -2.0, 3.0)
PORTAL = (
    '{"type": "orientedPoint", "location": {"x": 11, "y": 18, "z": 33.0}, '
    f'"xyz_rotation_matrix": {MATRIX}}}'
)


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


def read_portal(save):
    return the_one(portal_ndjson.read(save(PORTAL, "TS_01.ndjson")))


def test_portal_known_answer(save):
    poses = read_portal(save)
    check_pose(poses, None, (11, 18, 33))
    assert (poses.experiment_id, poses.pixel_spacing) == ("TS_01", 0)
    assert poses.features["type"].tolist() == ["orientedPoint"]


def test_portal_mixed_points_come_as_two_and_go_back_in_order(save, tmp_path):
    lines = [
        {"type": "point", "location": {"x": 1, "y": 2, "z": 3}},
        json.loads(PORTAL),
        {"type": "instancePoint", "location": {"x": 4, "y": 5, "z": 6}, "instance_id": 7},
    ]
    path = save("\n".join(map(json.dumps, lines)), "TS_01.ndjson")
    plain, oriented = portal_ndjson.read(path, pixel_spacing=10)
    assert plain.orientation is None
    assert plain.features.index.tolist() == [0, 2]
    assert plain.features["instance_id"].tolist() == [pd.NA, 7]
    assert oriented.experiment_id == plain.experiment_id == "TS_01"
    assert oriented.pixel_spacing == 10

    report = portal_ndjson.write([plain, oriented], tmp_path / "TS_01b.ndjson")
    assert "orientation" not in report.lost
    written = [json.loads(t) for t in (tmp_path / "TS_01b.ndjson").read_text().splitlines()]
    assert [line["type"] for line in written] == [line["type"] for line in lines]
    assert written[0] == lines[0]
    assert written[2] == lines[2]


def test_portal_zyx_flips_both(save, tmp_path):
    flipped = {
        "type": "orientedPoint",
        "location": {"x": 33, "y": 18, "z": 11},
        "xyz_rotation_matrix": np.flip(MATRIX).tolist(),
    }
    path = save(json.dumps(flipped), "TS_01.ndjson")
    poses = the_one(portal_ndjson.read(path, order="zyx"))
    check_pose(poses, None, (11, 18, 33))
    portal_ndjson.write([poses], tmp_path / "b.ndjson")
    back = json.loads((tmp_path / "b.ndjson").read_text())
    assert back["location"] == flipped["location"]
    np.testing.assert_allclose(back["xyz_rotation_matrix"], np.flip(MATRIX), atol=1e-6)


def test_portal_other_keys_survive(save, tmp_path):
    line = {"type": "point", "location": {"x": 1, "y": 2, "z": 3}, "note": "α", "more": [1, {}]}
    poses = the_one(portal_ndjson.read(save(json.dumps(line), "a.ndjson")))
    portal_ndjson.write([poses], tmp_path / "b.ndjson")
    assert json.loads((tmp_path / "b.ndjson").read_text()) == line


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("nonsense", "line 2: expected JSON"),
        ("[1]", "line 2: expected a JSON object"),
        ('{"type": "point"}', "line 2, location: expected x, y and z"),
        ('{"location": {"x": 1, "y": "2", "z": 3}}', "line 2, location y: expected a number"),
        ('{"location": {"x": 1, "y": true, "z": 3}}', "line 2, location y"),
        ('{"location": {"x": 1e999, "y": 2, "z": 3}}', "line 2, location x"),
        ('{"location": {"x": NaN, "y": 2, "z": 3}}', "line 2: expected JSON"),
        ('{"type": "orientedPoint", "location": {"x": 1, "y": 2, "z": 3}}', "line 2: expected xyz"),
        (PORTAL.replace("-0.159676", "0.159676"), "line 2, xyz_rotation_matrix: expected a rot"),
        (PORTAL.replace("[-0.159676, ", "["), "line 2, xyz_rotation_matrix: expected 3 rows"),
        ("[" * 100_000, "line 2: expected JSON"),
    ],
)
def test_portal_names_the_bad_line(save, line, message):
    with pytest.raises(ReadError, match=message):
        portal_ndjson.read(save(f"{PORTAL}\n{line}\n", "a.ndjson"))


def example():
    orientation = Rotation.from_euler("ZYZ", [[25, 40, 70]], degrees=True).inv()
    return PoseSet(np.array([POSITION]), np.array([SHIFT]), orientation, "TS_001", 2.0)


def test_written_numbers_are_the_known_ones(tmp_path):
    poses = example()
    portal_ndjson.write([poses], tmp_path / "TS_001.ndjson")
    line = json.loads((tmp_path / "TS_001.ndjson").read_text())
    assert line["location"] == {"x": 11, "y": 18, "z": 33}
    np.testing.assert_allclose(line["xyz_rotation_matrix"], MATRIX, atol=1e-6)
