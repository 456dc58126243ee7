"""copick's JSON: known answers, names of the path, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryotypes.errors import ReadError, WriteError
from cryotypes.formats.poses import (
    copick_json,
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
COPICK = json.dumps(
    {
        "pickable_object_name": "ribosome",
        "user_id": "me",
        "session_id": "0",
        "run_name": "TS_001",
        "voxel_spacing": 2.0,
        "unit": "angstrom",
        "trust_orientation": True,
        "points": [
            {
                "location": {"x": 20.0, "y": 40.0, "z": 60.0},
                "transformation_": [
                    [*MATRIX[0], 2.0],
                    [*MATRIX[1], -4.0],
                    [*MATRIX[2], 6.0],
                    [0, 0, 0, 1],
                ],
                "instance_id": 7,
                "score": 0.5,
            }
        ],
    },
    indent=4,
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


def read_copick(save):
    return the_one(copick_json.read(save(COPICK, "a.json")))


def test_copick_known_answer(save):
    poses = read_copick(save)
    check_pose(poses)
    assert (poses.experiment_id, poses.pixel_spacing) == ("TS_001", 2)
    assert poses.metadata["user_id"] == "me"
    assert poses.features.to_dict("records") == [{"instance_id": 7, "score": 0.5}]


def example():
    orientation = Rotation.from_euler("ZYZ", [[25, 40, 70]], degrees=True).inv()
    return PoseSet(np.array([POSITION]), np.array([SHIFT]), orientation, "TS_001", 2.0)


def test_copick_untrusted_orientation_is_unknown_and_kept(save, tmp_path):
    path = save(COPICK.replace("true", "false"), "a.json")
    poses = the_one(copick_json.read(path))
    assert poses.orientation is None
    np.testing.assert_allclose(poses.shift, [SHIFT])
    check_pose(the_one(copick_json.read(path, trust_orientation=True)))
    report = copick_json.write([poses], tmp_path / "b.json")
    assert report.lost == {}
    back = json.loads((tmp_path / "b.json").read_text())
    assert back == json.loads(path.read_text())


def test_copick_round_trip_changes_nothing(save, tmp_path):
    path = save(COPICK, "a.json")
    copick_json.write(copick_json.read(path), tmp_path / "b.json")
    old, new = (json.loads(p.read_text()) for p in (path, tmp_path / "b.json"))
    new_matrix = new["points"][0].pop("transformation_")
    np.testing.assert_allclose(old["points"][0].pop("transformation_"), new_matrix, atol=1e-6)
    assert new == old


def test_copick_names_from_path(save):
    content = {"points": [{"location": {"x": 1, "y": 2, "z": 3}}], "voxel_spacing": None}
    path = save(json.dumps(content), "ExperimentRuns/TS_9/Picks/tool_1_virus.json")
    with pytest.raises(ReadError, match="pixel_spacing="):
        copick_json.read(path)
    poses = the_one(copick_json.read(path, pixel_spacing=10))
    assert poses.experiment_id == "TS_9"
    assert poses.metadata["pickable_object_name"] == "virus"
    assert poses.orientation is poses.shift is None
    np.testing.assert_allclose(poses.position, [[0.1, 0.2, 0.3]])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"angstrom"', '"pixel"', "unit: expected 'angstrom'"),
        ("-0.159676", "-0.3", "point 1, transformation_: expected a rotation"),
        ("0,\n                    1\n", "0,\n                    2\n", "last row"),
        ('"voxel_spacing": 2.0', '"voxel_spacing": 0', "voxel_spacing: expected a positive"),
        ('"voxel_spacing": 2.0', '"voxel_spacing": true', "voxel_spacing: expected a positive"),
        ('"points": [', '"points": [1, ', "point 1: expected an object"),
    ],
)
def test_copick_refuses(save, old, new, message):
    assert old in COPICK
    with pytest.raises(ReadError, match=message):
        copick_json.read(save(COPICK.replace(old, new), "a.json"))


def test_copick_needs_a_spacing(tmp_path):
    poses = example()
    poses.pixel_spacing = 0
    with pytest.raises(WriteError, match="pixel_spacing="):
        copick_json.write([poses], tmp_path / "a.json")
    assert list(tmp_path.iterdir()) == []
    report = copick_json.write([poses], tmp_path / "a.json", pixel_spacing=3)
    assert set(report.assumed) == {"user_id", "session_id", "pickable_object_name"}


def test_written_numbers_are_the_known_ones(tmp_path):
    poses = example()
    copick_json.write([poses], tmp_path / "me_0_ribosome.json")
    content = json.loads((tmp_path / "me_0_ribosome.json").read_text())
    assert content["points"][0]["location"] == {"x": 20, "y": 40, "z": 60}
    matrix = np.array(content["points"][0]["transformation_"])
    np.testing.assert_allclose(matrix[:3, :3], MATRIX, atol=1e-6)
    assert matrix[:, 3].tolist() == [2, -4, 6, 1]
    assert (content["user_id"], content["session_id"]) == ("me", "0")
    assert content["pickable_object_name"] == "ribosome"
