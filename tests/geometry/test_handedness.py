"""Mirroring in z, other pixels, and shifts that become positions."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial.transform import Rotation

from cryotypes import PoseSet, apply_shifts, flip_z, project, rescale
from cryotypes.errors import LossWarning

# particles lie anywhere here: what is projected needs no tomogram round it
pytestmark = pytest.mark.filterwarnings("ignore:.*are outside their tomogram:UserWarning")

SIZE = {"tomogram_dimensions": (100, 81, 43), "tilt_image_dimensions": (200, 161)}
MIRROR = np.diag([1.0, 1, -1])


def random_poses(n=20, **fields) -> PoseSet:
    rng = np.random.default_rng(n)
    return PoseSet(
        rng.uniform(0, 80, (n, 3)),
        rng.normal(0, 3, (n, 3)),
        Rotation.random(n, random_state=n),
        "TS_01",
        **{"pixel_spacing": 4.0} | fields,
    )


def random_model(**columns) -> pd.DataFrame:
    rng = np.random.default_rng(7)
    table = {name: rng.uniform(-90, 90, 5) for name in ("rotation_x", "rotation_y", "rotation_z")}
    table |= {name: rng.normal(0, 20, 5) for name in ("dx", "dy")}
    table |= {"experiment_id": "TS_01", "pixel_spacing": 2.0, "source": "", "extra": range(5)}
    return pd.DataFrame(table | columns)


# --- flip_z ---


def test_by_hand():
    """z = 30 of 50 is 5 above the centre (25), and comes to 20; odd sizes have it in the middle."""
    turn = Rotation.from_euler("z", [[90], [0]], degrees=True) * Rotation.from_euler(
        "x", [[0], [30]], degrees=True
    )
    poses = PoseSet([[1.0, 2, 30], [3, 4, 25]], [[1.0, 2, 3], [0, 0, -1]], turn)
    found = flip_z(poses, tomogram_dimensions=(10, 10, 50))
    assert found.position.tolist() == [[1, 2, 20], [3, 4, 25]]
    assert found.shift.tolist() == [[1, 2, -3], [0, 0, 1]]
    expected = Rotation.from_euler("z", [[90], [0]], degrees=True) * Rotation.from_euler(
        "x", [[0], [-30]], degrees=True
    )
    assert_allclose(found.orientation.as_matrix(), expected.as_matrix(), atol=1e-12)
    odd = flip_z(poses, tomogram_dimensions=(10, 10, 51)).position
    assert odd.tolist() == [[1, 2, 20], [3, 4, 25]]


def test_orientations_are_conjugated_and_stay_rotations():
    poses = random_poses()
    found = flip_z(poses, tomogram_dimensions=SIZE["tomogram_dimensions"], tomogram_spacing=2.0)
    before, after = poses.orientation.as_matrix(), found.orientation.as_matrix()
    assert_allclose(after, MIRROR @ before @ MIRROR, atol=1e-12)
    assert_allclose(np.linalg.det(after), 1)
    # the mirrored reference's density at M r is the reference's at r
    point = np.array([1.0, 2, 3])
    assert_allclose(after @ (MIRROR @ point), (before @ point) @ MIRROR, atol=1e-12)


def test_nothing_is_seen_of_it_in_projections():
    poses, model = random_poses(), random_model()
    one = project(poses, model, **SIZE)
    flipped = flip_z(poses, tomogram_dimensions=SIZE["tomogram_dimensions"], tomogram_spacing=2.0)
    two = project(flipped, flip_z(model), **SIZE)
    assert_allclose(two.position, one.position, atol=1e-9)
    assert_allclose(two.depth, -one.depth, atol=1e-9)
    for tilt in range(len(one)):
        a, b = (p.orientation(tilt).as_matrix() for p in (one, two))
        assert_allclose(b, MIRROR @ a @ MIRROR, atol=1e-12)


@pytest.mark.parametrize("which", ["poses", "model"])
def test_only_one_of_both_is_seen(which):
    poses, model = random_poses(), random_model()
    one = project(poses, model, **SIZE)
    if which == "poses":
        poses = flip_z(poses, tomogram_dimensions=SIZE["tomogram_dimensions"], tomogram_spacing=2.0)
    else:
        model = flip_z(model)
    assert np.abs(project(poses, model, **SIZE).position - one.position).max() > 1


FAULTS = {
    "rotation_z too": lambda t: t.assign(rotation_z=-t["rotation_z"]),
    "not rotation_x": lambda t: t.assign(rotation_x=-t["rotation_x"]),
    "dy too": lambda t: t.assign(dy=-t["dy"]),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faulty_flips_would_be_seen(fault):
    poses, model = random_poses(), random_model()
    flipped = flip_z(poses, tomogram_dimensions=SIZE["tomogram_dimensions"], tomogram_spacing=2.0)
    two = project(flipped, FAULTS[fault](flip_z(model)), **SIZE)
    assert np.abs(two.position - project(poses, model, **SIZE).position).max() > 1


@pytest.mark.parametrize("wrong", [-1, -0.5, 0.5, 1])
def test_another_middle_would_be_seen(wrong):
    """(N - 1) / 2, (N + 1) / 2: a pixel of the poses, or half of one, twice as large in images."""
    poses, model = random_poses(), random_model()
    flipped = flip_z(poses, tomogram_dimensions=SIZE["tomogram_dimensions"], tomogram_spacing=2.0)
    flipped.position[:, 2] += wrong
    two = project(flipped, flip_z(model), **SIZE)
    assert np.abs(two.position - project(poses, model, **SIZE).position).max() > 0.5


@dataclass
class Mine(PoseSet):
    score: object = None


def test_twice_is_the_identity_and_class_and_fields_stay():
    base = random_poses()
    features = pd.DataFrame({"class": range(20)})
    metadata = {"tomogram": {"dimensions": (100, 80, 60), "pixel_spacing": 8.0}}
    poses = Mine(**vars(replace(base, features=features, metadata=metadata)), score=np.arange(20))
    once = flip_z(poses)  # 60 pixels of 8 Å: the centre is at 60 of those of 4 Å
    assert_allclose(once.position[:, 2], 120 - poses.position[:, 2])
    twice = flip_z(once)
    assert type(twice) is Mine
    assert_allclose(twice.position, poses.position, atol=1e-12)
    assert_array_equal(twice.shift, poses.shift)
    assert_allclose(twice.orientation.as_quat(), poses.orientation.as_quat(), atol=1e-15)
    assert twice.features is features
    assert_array_equal(twice.score, np.arange(20))
    model = random_model()
    model.attrs["tomogram_dimensions"] = (1, 2, 3)
    pd.testing.assert_frame_equal(flip_z(flip_z(model)), model)
    assert flip_z(model).attrs == model.attrs
    assert base.position[0, 2] == poses.position[0, 2]  # the input is not changed


def test_unknown_fields_stay_unknown_and_size_is_needed():
    bare = PoseSet([[1, 2, 3]])
    found = flip_z(bare, tomogram_dimensions=(9, 9, 9))
    assert (found.shift, found.orientation) == (None, None)
    assert found.position.tolist() == [[1, 2, 5]]
    with pytest.raises(ValueError, match="flip_z: the size of tomogram '' is unknown"):
        flip_z(bare)
    with pytest.raises(ValueError, match="expected x, y, z in pixels of the unbinned tilt series"):
        flip_z(bare, tomogram_dimensions=(9, 9))
    empty = PoseSet(np.zeros((0, 3)), orientation=Rotation.from_quat(np.zeros((0, 4))))
    assert len(flip_z(empty, tomogram_dimensions=(9, 9, 9))) == 0


# --- rescale ---


def test_rescale_poses_by_hand():
    found = rescale(PoseSet([[10, 20, 30]], [[1, 0, -1]], pixel_spacing=10.0), 2.5)
    assert found.position.tolist() == [[40, 80, 120]]
    assert found.shift.tolist() == [[4, 0, -4]]
    assert found.pixel_spacing == 2.5


@pytest.mark.parametrize("spacing", [1.0, 8.0, 3.7])
def test_rescaled_poses_are_projected_to_the_same_places(spacing):
    model = random_model()
    poses = random_poses(metadata={"tomogram": {"dimensions": (101, 80, 43)}})
    size = {"tilt_image_dimensions": (200, 161)}
    one = project(poses, model, **size)
    two = project(rescale(poses, spacing), model, **size)
    assert_allclose(two.position, one.position, atol=1e-9)
    assert "pixel_spacing" not in poses.metadata["tomogram"]  # the input is not changed


def test_rescaled_models_give_the_same_places():
    model, poses = random_model(), random_poses()
    model.attrs["tomogram_dimensions"] = {"TS_01": (400, 320, 80), "TS_09": (2, 2, 2)}
    model.attrs["tilt_image_dimensions"] = (400, 320)
    binned = rescale(model, 8.0)
    assert binned.attrs["tomogram_dimensions"] == {"TS_01": (100, 80, 20)}
    assert binned.attrs["tilt_image_dimensions"] == (100, 80)
    assert_allclose(binned["dx"], model["dx"] / 4)
    one, two = project(poses, model), project(poses, binned)
    assert two.pixel_spacing == 8.0
    assert_allclose(two.position * 4, one.position, atol=1e-9)  # both centres at 200, 160 = 50 × 4
    pd.testing.assert_frame_equal(rescale(binned, 2.0), model)


def test_sizes_that_are_not_whole_are_left_out():
    model = random_model()
    model.attrs["tomogram_dimensions"] = (402, 320, 80)
    model.attrs["tilt_image_dimensions"] = (396, 320)  # 99 pixels, the centre 49.5
    with pytest.warns(LossWarning, match=r"tilt_image_dimensions of 'TS_01', tomogram_d") as caught:
        binned = rescale(model, 8.0)
    assert caught[0].filename == __file__
    assert binned.attrs == {"tomogram_dimensions": {}, "tilt_image_dimensions": {}}


@pytest.mark.parametrize("spacing", [0, -1, np.nan, np.inf])
def test_rescale_needs_both_spacings(spacing):
    with pytest.raises(ValueError, match="rescale: expected Å per pixel"):
        rescale(random_poses(), spacing)
    with pytest.raises(ValueError, match="poses of 'TS_01' is unknown"):
        rescale(random_poses(pixel_spacing=0.0), 2.0)
    with pytest.raises(ValueError, match="the projection model is unknown"):
        rescale(random_model(pixel_spacing=0.0), 2.0)


# --- apply_shifts ---


def test_apply_shifts():
    poses = random_poses()
    found = apply_shifts(poses)
    assert found.shift is None
    assert_allclose(found.position, poses.position + poses.shift)
    assert_allclose(
        project(found, random_model(), **SIZE).position,
        project(poses, random_model(), **SIZE).position,
        atol=1e-9,
    )
    assert poses.shift is not None
    assert apply_shifts(found).position is found.position
