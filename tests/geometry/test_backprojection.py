"""Rays through the tomogram: by hand, and against project."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from cryotypes import PoseSet, backproject, project
from cryotypes.errors import GuessWarning, MatchError, ValidationError

# particles lie anywhere here: what is projected needs no tomogram round it
pytestmark = pytest.mark.filterwarnings("ignore:.*are outside their tomogram:UserWarning")

SIZE = {"tomogram_dimensions": (100, 80, 40), "tilt_image_dimensions": (200, 160)}
# the centre of the tomogram, (50, 40, 20), lies at that of the image, (100, 80)


def model(*angles, shifts=(0.0, 0.0), **columns) -> pd.DataFrame:
    angles = np.atleast_2d(angles or [(0, 0, 0)]).astype(float)
    table = dict(zip(["rotation_x", "rotation_y", "rotation_z"], angles.T, strict=True))
    table |= dict(zip(["dx", "dy"], np.broadcast_to(shifts, (len(angles), 2)).T, strict=True))
    table |= {"experiment_id": "TS_01", "pixel_spacing": 2.0, "source": ""}
    return pd.DataFrame(table | columns)


@pytest.mark.parametrize(
    ("angles", "shifts", "origin", "direction"),
    [
        ((0, 0, 0), (0, 0), (60, 45, 20), (0, 0, 1)),
        ((0, 0, 0), (3, 4), (57, 41, 20), (0, 0, 1)),
        # the camera's x is the tomogram's -y, its y the tomogram's x: (10, 5) was (5, -10)
        ((0, 0, 90), (0, 0), (55, 30, 20), (0, 0, 1)),
        # the beam comes along -x; what is right in the image is high in z
        ((0, 90, 0), (0, 0), (50, 45, 30), (-1, 0, 0)),
        ((0, -90, 0), (0, 0), (50, 45, 10), (1, 0, 0)),
        # what is high in y of the image lies low in z
        ((90, 0, 0), (0, 0), (60, 40, 15), (0, 1, 0)),
    ],
)
def test_by_hand(angles, shifts, origin, direction):
    rays = backproject((110, 85), model(angles, shifts=shifts), tilt=0, **SIZE)
    assert_allclose(rays.origin, [origin], atol=1e-9)
    assert_allclose(rays.direction, [direction], atol=1e-12)
    assert rays.pixel_spacing == 2.0
    assert rays.experiment_id == "TS_01"


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([2.0, 8.0, 3.3]), st.sampled_from([None, 5.0]))
def test_all_of_a_ray_is_projected_onto_its_point(seed, spacing, image_spacing):
    """Several tilts at once, odd sizes, three pixel spacings."""
    rng = np.random.default_rng(seed)
    table = model(*rng.uniform(-90, 90, (5, 3)), shifts=rng.normal(0, 30, (5, 2)))
    points, tilt = rng.uniform(-50, 250, (7, 2)), rng.integers(0, 5, 7)
    size = {
        "tomogram_dimensions": tuple(rng.integers(1, 300, 3)),
        "tomogram_spacing": spacing,
        "tilt_image_dimensions": tuple(rng.integers(1, 300, 2)),
        "tilt_image_pixel_spacing": image_spacing,
    }
    rays = backproject(points, table, tilt=tilt, pixel_spacing=spacing, **size)
    assert_allclose(np.linalg.norm(rays.direction, axis=1), 1)
    depth = rng.uniform(-100, 100, 7)
    for along in (0.0, depth):
        poses = PoseSet(rays.at(along), experiment_id="TS_01", pixel_spacing=spacing)
        seen = project(poses, table, **size)
        assert_allclose(seen.position[tilt, np.arange(7)], points, atol=1e-7)
        expected = np.broadcast_to(along, 7) * spacing / (image_spacing or 2.0)
        assert_allclose(seen.depth[tilt, np.arange(7)], expected, atol=1e-7)
    # depth 0 is where the ray is nearest to the tomogram's centre
    centre = np.array(size["tomogram_dimensions"]) // 2
    assert_allclose(np.einsum("ni,ni->n", rays.origin - centre, rays.direction), 0, atol=1e-7)


def test_one_point_seen_in_two_tilts_is_where_the_rays_meet():
    table = model((0, -60, 0), (0, 60, 0))
    seen = project(PoseSet([[61.0, 43, 17]], pixel_spacing=2.0), table, **SIZE).position[:, 0]
    rays = backproject(seen, table, tilt=[0, 1], **SIZE)
    for origin, direction in zip(rays.origin, rays.direction, strict=True):
        away = np.array([61, 43, 17]) - origin
        assert_allclose(np.cross(away, direction), 0, atol=1e-9)


def test_no_points_and_repr():
    rays = backproject(np.zeros((0, 2)), model(), tilt=[], **SIZE)
    assert rays.origin.shape == rays.direction.shape == (0, 3)
    assert repr(backproject([[1, 2]] * 3, model(), tilt=0, **SIZE)) == (
        "Rays 'TS_01': 3 from 1 tilts"
    )


@pytest.mark.parametrize(
    ("points", "tilt", "error", "message"),
    [
        ([[1, 2]], 1, IndexError, "tilt 1: the model has 1, from 0"),
        ([[1, 2]], -1, IndexError, "tilt -1"),
        ([[1, 2]], 0.5, ValidationError, "whole numbers"),
        ([[1, 2, 3]], 0, ValidationError, r"expected shape \(n, 2\), found \(1, 3\)"),
        ([[1, np.nan]], 0, ValidationError, "finite"),
    ],
)
def test_bad_points(points, tilt, error, message):
    with pytest.raises(error, match=message):
        backproject(points, model(), tilt=tilt, **SIZE)


def test_what_is_unknown_is_told():
    with pytest.raises(ValueError, match="backproject: the size of tomogram 'TS_01' is unknown"):
        backproject([[1, 2]], model(), tilt=0, tilt_image_dimensions=(200, 160))
    with pytest.raises(ValueError, match="pixel_spacing: expected Å per pixel, found -1"):
        backproject([[1, 2]], model(), tilt=0, pixel_spacing=-1, **SIZE)
    with pytest.warns(GuessWarning, match="backproject: the size of the tilt images") as caught:
        rays = backproject([[10, 5]], model(), tilt=0, tomogram_dimensions=(100, 80, 40))
    assert caught[0].filename == __file__
    assert rays.origin.tolist() == [[60, 45, 20]]


def test_a_model_of_several_experiments():
    table = pd.concat([model(), model((0, 90, 0)).assign(experiment_id="TS_02")])
    rays = backproject([[110, 85]], table, tilt=0, experiment_id="TS_02", **SIZE)
    assert rays.origin.round(9).tolist() == [[50, 45, 30]]
    with pytest.raises(MatchError):
        backproject([[110, 85]], table, tilt=0, **SIZE)
