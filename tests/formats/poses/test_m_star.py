"""M's particles, by hand: Å from the corner, RELION's angles, temporal samples, the hash."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

import cryotypes as ct
from cryotypes.conventions import _table as conventions
from cryotypes.errors import LossWarning
from cryotypes.formats.poses import m_star

HEADER = "\ndata_\n\nloop_\n" + "".join(
    f"_wrp{name} #{i}\n"
    for i, name in enumerate(
        [
            *("CoordinateX1", "CoordinateX2", "CoordinateY1", "CoordinateY2"),
            *("CoordinateZ1", "CoordinateZ2", "AngleRot1", "AngleRot2", "AngleTilt1"),
            *("AngleTilt2", "AnglePsi1", "AnglePsi2", "RandomSubset", "SourceName", "SourceHash"),
        ],
        1,
    )
)
# at 2 Å per pixel: (11, 18, 33), (25, 40, 70) is the known vector of every RELION-like program
ROWS = (
    "22 24 36 36 66 66 25 26 40 40 70 70 1 TS_01.tomostar 00AB12\n"
    "100 100 200 202 300 300 0 0 0 0 0 0 2 TS_02.tomostar 00CD34\n"
)
MATRIX = [
    [-0.159676, 0.962378, -0.219846],
    [-0.796946, 0.005755, 0.604023],
    [0.582563, 0.271654, 0.766044],
]


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "apoferritin_particles.star"
    file.write_text(HEADER + ROWS)
    return file


def check(posesets):
    first, second = posesets
    assert [p.experiment_id for p in posesets] == ["TS_01.tomostar", "TS_02.tomostar"]
    assert first.position == pytest.approx(np.array([[11, 18, 33]]))
    assert second.position == pytest.approx(np.array([[50, 100, 150]]))
    assert first.orientation.as_matrix()[0] == pytest.approx(np.array(MATRIX), abs=1e-6)
    assert first.features["wrpSourceHash"].tolist() == ["00AB12"]
    assert first.features["wrpRandomSubset"].tolist() == [1]


def test_first_sample_is_the_pose(path):
    check(ct.read_poses(path, pixel_spacing=2.0))


@pytest.mark.parametrize(
    "row",
    [
        replace(conventions.M, turn=replace(conventions.M.turn, inverse=False)),
        replace(conventions.M, turn=replace(conventions.M.turn, axes="zyz")),
        replace(conventions.M, place=replace(conventions.M.place, unit="pixel")),
        replace(
            conventions.M, place=replace(conventions.M.place, unit="pixel", zero=(0.5, 0.5, 0.5))
        ),
    ],
)
def test_another_convention_is_noticed(path, row, monkeypatch):
    monkeypatch.setattr(m_star.conventions, "M", row)
    with pytest.raises(AssertionError):
        check(ct.read_poses(path, pixel_spacing=2.0))


def test_without_pixel_size_there_are_no_positions(path):
    with pytest.raises(ValueError, match="pixel_spacing"):
        ct.read_poses(path)


def test_back_as_it_was(path, tmp_path):
    out = tmp_path / "out.star"
    with pytest.warns(LossWarning, match="pixel_spacing"):
        report = ct.write(ct.read_poses(path, pixel_spacing=2.0), out, format="m-star")
    assert set(report.lost) == {"pixel_spacing"}
    lines = out.read_text().split("#15\n")[1].split()
    expected = ROWS.split()
    assert len(lines) == len(expected)
    for found, wanted in zip(lines, expected, strict=True):
        if wanted.replace(".", "").isdigit() and not wanted.startswith("00"):
            assert float(found) == pytest.approx(float(wanted), abs=1e-9)
        else:
            assert found == wanted


def test_later_samples_move_and_turn_along(path, tmp_path):
    posesets = ct.read_poses(path, pixel_spacing=2.0)
    poses = posesets[0]
    poses.position = poses.position + [1.0, 0.0, 0.0]
    about_z = Rotation.from_euler("z", 90, degrees=True)
    poses.orientation = poses.orientation * about_z  # about the reference's own z: rot changes
    out = tmp_path / "out.star"
    with pytest.warns(LossWarning, match="pixel_spacing"):
        ct.write(poses, out, format="m-star")
    values = out.read_text().split("#15\n")[1].split()
    assert [float(v) for v in values[:2]] == pytest.approx([24, 26])
    rot1, rot2 = float(values[6]), float(values[7])
    # O = from_euler("ZYZ", [rot, …]).inv(), so turning by 90° about z first takes 90° off rot
    assert rot1 == pytest.approx(25 - 90)
    assert rot2 == pytest.approx(26 - 90)


def test_particles_from_elsewhere_have_no_hash(tmp_path):
    poses = ct.PoseSet(np.zeros((1, 3)), experiment_id="a", pixel_spacing=1.0)
    with pytest.raises(ValueError, match="wrpSourceHash"):
        ct.write(poses, tmp_path / "x.star", format="m-star")
    assert not list(tmp_path.iterdir())
