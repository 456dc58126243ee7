"""From places in tilt images back to 3D: by hand, against project, with noise and with errors."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from cryotypes import PoseSet, project, select, triangulate
from cryotypes.errors import GuessWarning, ValidationError

# particles lie anywhere here: what is projected needs no tomogram round it
pytestmark = pytest.mark.filterwarnings("ignore:.*are outside their tomogram:UserWarning")

SIZE = {"tomogram_dimensions": (100, 80, 40), "tilt_image_dimensions": (200, 160)}


def model(*angles, shifts=(0.0, 0.0), **columns) -> pd.DataFrame:
    angles = np.atleast_2d(angles or [(0, 0, 0)]).astype(float)
    table = dict(zip(["rotation_x", "rotation_y", "rotation_z"], angles.T, strict=True))
    table |= dict(zip(["dx", "dy"], np.broadcast_to(shifts, (len(angles), 2)).T, strict=True))
    table |= {"experiment_id": "TS_01", "pixel_spacing": 2.0, "source": ""}
    return pd.DataFrame(table | columns)


def series(*tilts, axis=85.0, **columns) -> pd.DataFrame:
    return model(*[(0, tilt, axis) for tilt in tilts], **columns)


def observed(positions, table, spacing=2.0, **size) -> pd.DataFrame:
    """What project says, as a table of observations."""
    poses = PoseSet(np.atleast_2d(positions) * 1.0, experiment_id="TS_01", pixel_spacing=spacing)
    seen = project(poses, table, **SIZE | size)
    tilt, particle = np.indices(seen.depth.shape).reshape(2, -1)
    x, y = seen.position.reshape(-1, 2).T
    return pd.DataFrame({"particle": particle, "tilt": tilt, "x": x, "y": y})


def test_by_hand():
    """From the front x and y, from the side z: right in the image (beam from -x) is high."""
    table = model((0, 0, 0), (0, 90, 0), shifts=(3, 4))
    seen = {"particle": [7, 7], "tilt": [0, 1], "x": [113, 106], "y": [89, 89]}
    found = triangulate(seen, table, **SIZE)
    assert_allclose(found.position, [[60, 45, 23]], atol=1e-9)
    assert_allclose(found.residual, 0, atol=1e-9)
    assert found.particle.tolist() == [7]
    assert found.n_observations.tolist() == [2]
    assert found.reason.tolist() == [""]


def test_a_disagreement_along_the_axis_is_shared():
    """y is measured twice, 45 and 47: 46 is best, one pixel from both; x and z once each."""
    seen = {"particle": [0, 0], "tilt": [0, 1], "x": [110, 103], "y": [85, 87]}
    found = triangulate(seen, model((0, 0, 0), (0, 90, 0)), **SIZE)
    assert_allclose(found.position, [[60, 46, 23]], atol=1e-9)
    assert_allclose(found.residual, [[0, -1], [0, 1]], atol=1e-9)
    assert found.rms == pytest.approx([1.0])
    # 2 squares left, 4 numbers - 3 unknowns: variance 2 each; y is the mean of two
    assert found.noise == pytest.approx(np.sqrt(2))
    assert_allclose(found.covariance, [np.diag([2.0, 1.0, 2.0])], atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([2.0, 8.0, 3.3]), st.sampled_from([None, 5.0]))
def test_inverse_of_project(seed, spacing, image_spacing):
    """Any angles, missing observations, odd sizes, three pixel spacings; order does not matter."""
    rng = np.random.default_rng(seed)
    table = model(*rng.uniform(-70, 70, (6, 3)), shifts=rng.normal(0, 30, (6, 2)))
    size = {
        "tomogram_dimensions": tuple(rng.integers(1, 300, 3)),
        "tilt_image_dimensions": tuple(rng.integers(1, 300, 2)),
        "tilt_image_pixel_spacing": image_spacing,
    }
    truth = rng.uniform(-100, 300, (9, 3))
    seen = observed(truth, table, spacing, **size)
    seen = seen.sample(frac=1, random_state=seed)[lambda t: (t["tilt"] < 2) | (t["x"] > 50)]
    for robust in (False, True):
        found = triangulate(seen, table, robust=robust, pixel_spacing=spacing, **size)
        assert_allclose(found.position, truth[found.particle], atol=1e-4)
        assert not found.outlier.any()
        assert found.pixel_spacing == spacing
        assert found.n_observations.sum() == len(seen)


def test_posesets_one_a_tilt():
    """As project gives them; particles are known by the index of their features."""
    table = series(-60, 0, 60)
    truth = np.array([[60.0, 45, 23], [30, 20, 10], [70, 33, 31]])
    features = pd.DataFrame({"class": [1, 2, 3]}, index=[5, 9, 2])
    poses = PoseSet(truth, experiment_id="TS_01", pixel_spacing=8.0, features=features)
    seen = list(project(poses, table, **SIZE))
    seen[1] = select(seen[1], [2, 0])  # another order, and one is not seen there
    found = triangulate(seen, table, pixel_spacing=8.0, **SIZE)
    assert found.particle.tolist() == [5, 9, 2]
    assert found.n_observations.tolist() == [3, 2, 3]
    assert_allclose(found.position, truth, atol=1e-9)
    result = found.as_poseset()
    assert (result.experiment_id, result.pixel_spacing) == ("TS_01", 8.0)
    assert result.features["particle"].tolist() == [5, 9, 2]
    assert_allclose(triangulate(project(poses, table, **SIZE), table, pixel_spacing=8.0,
                                **SIZE).position, truth, atol=1e-9)  # fmt: skip


def test_shifts_of_posesets_count_and_bring_their_pixel_spacing():
    table = series(-60, 0, 60)
    size = SIZE | {"tilt_image_dimensions": (50, 40), "tilt_image_pixel_spacing": 8.0}
    poses = PoseSet([[60.0, 45, 23]], experiment_id="TS_01", pixel_spacing=2.0)
    seen = list(project(poses, table, **size))
    for part in seen:
        part.shift = np.array([[1.0, -2, 0]])
        part.position = part.position - part.shift
    del size["tilt_image_pixel_spacing"]
    assert_allclose(triangulate(seen, table, **size).position, [[60, 45, 23]], atol=1e-9)


def test_covariance_tells_the_spread():
    """2000 particles with 1.5 px of noise: errors are as large as the covariances say."""
    rng = np.random.default_rng(1)
    table = series(*np.arange(-60, 61, 10))
    truth = rng.uniform(0, 80, (2000, 3))
    seen = observed(truth, table, spacing=4.0)
    seen[["x", "y"]] += rng.normal(0, 1.5, (len(seen), 2))
    found = triangulate(seen, table, pixel_spacing=4.0, **SIZE)
    assert found.noise == pytest.approx(1.5, rel=0.01)
    error = found.position - truth
    assert_allclose(np.cov(error.T), found.covariance.mean(axis=0), atol=0.01)
    squares = np.einsum("ni,nij,nj->n", error, np.linalg.inv(found.covariance), error)
    assert squares.mean() == pytest.approx(3, rel=0.05)  # chi squared of three numbers
    stated = triangulate(seen, table, pixel_spacing=4.0, noise=3.0, **SIZE)
    assert_allclose(stated.covariance, found.covariance * (3 / found.noise) ** 2)


@pytest.mark.parametrize("noise", [0.0, 0.5])
@pytest.mark.parametrize("bad", range(6))
@pytest.mark.parametrize("error", [(20, 0), (0, 20), (-100, 60), (3000, -10)])
def test_one_bad_observation_of_six_is_found(bad, error, noise):
    rng = np.random.default_rng(bad)
    table = series(-60, -36, -12, 12, 36, 60)
    truth = rng.uniform(10, 70, (20, 3))
    seen = observed(truth, table)
    seen[["x", "y"]] += rng.normal(0, noise, (len(seen), 2))
    wrong = (seen["tilt"] == bad) & (seen["particle"] == 3)
    seen.loc[wrong, ["x", "y"]] += list(error)
    assert np.abs(triangulate(seen, table, **SIZE).position - truth)[3].max() > 1
    found = triangulate(seen, table, robust=True, **SIZE)
    assert found.outlier[wrong].all()
    assert found.outlier.sum() <= 1 + 2 * (noise > 0)  # 1 of 3000 good ones goes, too
    assert_allclose(found.position, truth, atol=1e-4 + 3 * noise)
    assert found.n_observations[3] == 5
    good = triangulate(seen[~found.outlier], table, **SIZE)
    assert_allclose(found.position[good.particle], good.position, atol=1e-9)
    assert found.noise == pytest.approx(noise, rel=0.2, abs=1e-6)


def test_a_single_particle_with_one_bad_observation():
    seen = observed([[60, 45, 23]], table := series(-60, -36, -12, 12, 36, 60))
    seen.loc[4, "x"] += 15
    found = triangulate(seen, table, robust=True, **SIZE)
    assert found.outlier.tolist() == [False] * 4 + [True, False]
    assert_allclose(found.position, [[60, 45, 23]], atol=1e-9)


def test_a_third_of_all_observations_may_be_wrong():
    rng = np.random.default_rng(2)
    table = series(*np.arange(-60, 61, 3))
    truth = rng.uniform(10, 70, (50, 3))
    seen = observed(truth, table)
    wrong = rng.random(len(seen)) < 1 / 3
    seen[["x", "y"]] += rng.normal(0, 0.5, (len(seen), 2))
    seen.loc[wrong, ["x", "y"]] = rng.uniform(0, 160, (wrong.sum(), 2))
    found = triangulate(seen, table, robust=True, **SIZE)
    assert_allclose(found.position, truth, atol=1.0)
    assert found.outlier[wrong].mean() > 0.98  # some fall near the right place
    assert found.outlier[~wrong].mean() < 0.01


def test_two_tilts_that_contradict_each_other():
    """Nobody can say which is wrong: no position, and the reason."""
    seen = observed([[60, 45, 23], [30, 20, 10], [50, 40, 20]], table := series(-30, 30))
    seen.loc[(seen["tilt"] == 1) & (seen["particle"] == 1), "x"] += 30.0  # the axis is nearly x
    found = triangulate(seen, table, robust=True, noise=1.0, **SIZE)
    assert found.reason.tolist() == ["", "the observations contradict each other", ""]
    assert np.isnan(found.position[1]).all()
    assert np.isfinite(found.position[[0, 2]]).all()


def test_what_cannot_be_found():
    """One tilt, one tilt twice, parallel rays (tilts of 0 and 180°, or too near): NaN and why."""
    table = series(0, 0.2, 180, 60)
    seen = observed(np.array([[60, 45, 23]] * 6), table)
    tilts = {0: [0], 1: [0, 0], 2: [0, 1], 3: [0, 2], 4: [0, 3], 5: [0, 0, 3]}
    rows = [seen[(seen["particle"] == p) & (seen["tilt"] == t)] for p in tilts for t in tilts[p]]
    found = triangulate(pd.concat(rows), table, **SIZE)
    one, parallel = "seen in one tilt only", "the rays are parallel"
    assert found.reason.tolist() == [one, one, parallel, parallel, "", ""]
    assert_allclose(found.position[4:], [[60, 45, 23]] * 2, atol=1e-9)
    assert np.isnan(found.position[:4]).all()
    assert np.isnan(found.covariance[:4]).all()
    assert np.isnan(found.rms[:4]).all()
    assert np.isnan(found.residual[:7]).all()
    assert len(found.as_poseset()) == 2
    assert repr(found) == "Triangulation 'TS_01': 2 of 6 particles from 12 observations"
    nearer = triangulate(pd.concat(rows), table, min_angle=0.1, **SIZE)
    assert nearer.reason.tolist() == [one, one, "", parallel, "", ""]


def test_two_observations_in_one_tilt_both_count():
    """x from the front is 10, 12 and 12 from the centre, from the side there is one."""
    seen = {"particle": [0] * 4, "tilt": [0, 1, 0, 0], "x": [110, 103, 112, 112], "y": [85] * 4}
    found = triangulate(seen, model((0, 0, 0), (0, 90, 0)), **SIZE)
    assert_allclose(found.position, [[50 + 34 / 3, 45, 23]], atol=1e-9)
    assert_allclose(found.residual[:, 0], [-4 / 3, 0, 2 / 3, 2 / 3], atol=1e-9)


@pytest.mark.parametrize("spacing", [0.02, 2.0, 200.0])
def test_parallel_does_not_depend_on_the_pixels(spacing):
    table = series(0, 0.4, 0.6)
    seen = observed([[0.5, 0.4, 0.3]] * 2, table, spacing)
    seen = seen[seen["tilt"] != seen["particle"] + 1]  # 0.6° apart, and 0.4°
    found = triangulate(seen, table, pixel_spacing=spacing, **SIZE)
    assert found.reason.tolist() == ["", "the rays are parallel"]


def test_nothing_can_be_found():
    seen = {"particle": [0, 1], "tilt": [0, 0], "x": [1, 2], "y": [1, 2]}
    with pytest.raises(ValueError, match="no particle can be found: seen in one tilt only"):
        triangulate(seen, series(0, 60), **SIZE)


def test_no_observations():
    empty = {name: np.zeros(0) for name in ("particle", "tilt", "x", "y")}
    for robust in (False, True):
        found = triangulate(empty, series(0, 60), robust=robust, **SIZE)
        assert found.position.shape == (0, 3)
        assert len(found.as_poseset()) == 0


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"tilt": [0, 2]}, IndexError, "tilt 2: the model has 2, from 0"),
        ({"tilt": [0, 0.5]}, ValidationError, "whole numbers"),
        ({"x": [1, np.inf]}, ValidationError, "finite numbers, found .* in row 1"),
        ({"x": [1]}, ValidationError, "different lengths"),
        ({"particle": ["a", None]}, ValidationError, "missing value in row 1"),
    ],
)
def test_bad_observations(change, error, message):
    seen = {"particle": [0, 0], "tilt": [0, 1], "x": [1, 2], "y": [1, 2]}
    with pytest.raises(error, match=message):
        triangulate(seen | change, series(0, 60), **SIZE)


def test_other_mistakes():
    table = series(0, 60)
    with pytest.raises(ValidationError, match="missing columns tilt, y"):
        triangulate({"particle": [0], "x": [0]}, table, **SIZE)
    with pytest.raises(ValidationError, match="one PoseSet a tilt"):
        triangulate([PoseSet([[1, 2, 0]], pixel_spacing=2.0)], table, **SIZE)
    parts = [PoseSet(np.zeros((1, 3)), pixel_spacing=s) for s in (1.0, 2.0)]
    with pytest.raises(ValidationError, match="pixel_spacing differs"):
        triangulate(parts, table, **SIZE)
    with pytest.raises(ValidationError, match="expected a table or PoseSets, found int"):
        triangulate(3, table, **SIZE)
    with pytest.raises(ValueError, match="noise"):
        triangulate(observed([[1, 2, 3]], table), table, noise=0, **SIZE)
    seen = {"particle": [0, 0], "tilt": [0, 1], "x": [0, 0], "y": [0, 0]}
    with pytest.warns(GuessWarning, match="size of the tilt images") as caught:
        found = triangulate(seen, table, tomogram_dimensions=(100, 80, 40))
    assert caught[0].filename == __file__
    assert_allclose(found.position, [[50, 40, 20]], atol=1e-9)


FAULTS = {
    "sign of the tilt": lambda t: t.assign(rotation_y=-t["rotation_y"]),
    "sign of the axis": lambda t: t.assign(rotation_z=-t["rotation_z"]),
    "swapped shifts": lambda t: t.assign(dx=t["dy"], dy=t["dx"]),
    "sign of the shifts": lambda t: t.assign(dx=-t["dx"], dy=-t["dy"]),
    "swapped angles": lambda t: t.assign(rotation_x=t["rotation_y"], rotation_y=t["rotation_x"]),
    "half a pixel": lambda t: t.assign(dx=t["dx"] + 0.5),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_model_is_seen(fault):
    """These tests would not pass with any of these mistakes in the code."""
    table = model((3, -50, 80), (3, -10, 80), (3, 40, 80), shifts=(3, -8))
    truth = [[60, 45, 23]]
    found = triangulate(observed(truth, table), FAULTS[fault](table), **SIZE)
    assert np.abs(found.position - truth).max() > 0.05


def test_a_hundred_thousand_particles_take_seconds():
    rng = np.random.default_rng(0)
    table = series(*np.arange(-60, 61, 3))
    truth = rng.uniform(0, 80, (100_000, 3))
    seen = observed(truth, table)
    seen["x"] += rng.normal(0, 1, len(seen))
    start = time.perf_counter()
    found = triangulate(seen, table, **SIZE)
    assert time.perf_counter() - start < 30  # 2 s on two cores
    assert np.abs(found.position - truth).max() < 3
