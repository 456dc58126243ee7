"""Other pixels, by hand: what moves with them, what does not, and which sizes survive."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy.spatial.transform import Rotation

from cryotypes import PoseSet, apply_shifts, rescale
from cryotypes.errors import LossWarning


def poses(**more) -> PoseSet:
    return PoseSet(
        [[10, 20, 30], [0, -2, 5]], [[1, 0, -0.5], [4, 8, 12]], Rotation.identity(2),
        experiment_id="TS_1", **more,
    )  # fmt: skip


def model(*names: str, spacing=2.0, **attrs) -> pd.DataFrame:
    n = len(names)
    result = pd.DataFrame(
        {
            "rotation_x": 1.0, "rotation_y": 2.0, "rotation_z": 3.0,
            "dx": 10.0 * np.arange(1, n + 1), "dy": -4.0,
            "experiment_id": list(names), "pixel_spacing": spacing,
        }
    )  # fmt: skip
    result.attrs.update(attrs)
    return result


# --- poses ---


def test_poses_in_other_pixels():
    """4 Å instead of 10: 2.5 times as many; index 0 stays, and so does the orientation."""
    found = rescale(poses(pixel_spacing=10.0), 4.0)
    assert_allclose(found.position, [[25, 50, 75], [0, -5, 12.5]])
    assert_allclose(found.shift, [[2.5, 0, -1.25], [10, 20, 30]])
    assert found.pixel_spacing == 4
    assert found.experiment_id == "TS_1"
    assert_allclose(found.orientation.as_quat(), poses().orientation.as_quat())
    assert rescale(PoseSet([[1, 2, 3]], pixel_spacing=1.0), 2).shift is None


@pytest.mark.parametrize("bad", [0, -1, np.nan, np.inf])
def test_what_is_no_pixel_spacing(bad):
    with pytest.raises(ValueError, match="expected Å per pixel above 0"):
        rescale(poses(pixel_spacing=10.0), bad)


def test_unknown_pixels_cannot_become_others():
    with pytest.raises(ValueError, match="pixel spacing of the poses of 'TS_1' is unknown"):
        rescale(poses(), 4.0)
    with pytest.raises(ValueError, match="of the projection model is unknown"):
        rescale(model("a", "a", spacing=[2.0, 0.0]), 4.0)
    with pytest.raises(ValueError, match="of the projection model is unknown"):
        rescale(model("a").drop(columns="pixel_spacing"), 4.0)


def test_the_size_of_the_tomogram_keeps_its_own_pixels():
    """If it has none of its own, it was in those of the poses until now, and says so."""
    there = {"other": 1, "tomogram": {"dimensions": (100, 200, 50)}}
    found = rescale(poses(pixel_spacing=10.0, metadata=there), 4.0)
    tomogram = {"dimensions": (100, 200, 50), "pixel_spacing": 10.0}
    assert found.metadata == {"other": 1, "tomogram": tomogram}
    assert "pixel_spacing" not in there["tomogram"]
    stated = {"tomogram": {"dimensions": (100, 200, 50), "pixel_spacing": 1.35}}
    found = rescale(poses(pixel_spacing=10.0, metadata=stated), 4.0)
    assert found.metadata == stated
    for none in ({}, {"tomogram": {}}, {"tomogram": {"name": "x"}}, {"tomogram": None}):
        assert rescale(poses(pixel_spacing=10.0, metadata=none), 4.0).metadata == none


def test_shifts_are_added():
    found = apply_shifts(poses(pixel_spacing=10.0))
    assert_allclose(found.position, [[11, 20, 29.5], [4, 6, 17]])
    assert found.shift is None
    assert found.pixel_spacing == 10
    assert_allclose(apply_shifts(PoseSet([[1, 2, 3]])).position, [[1, 2, 3]])


# --- tilt series ---


def test_a_tilt_series_in_other_pixels():
    """Each row by its own spacing; the angles stay, and so does what was given."""
    given = model("a", "a", "b", spacing=[2.0, 2.0, 4.0])
    found = rescale(given, 8.0)
    assert_allclose(found["dx"], [2.5, 5, 15])
    assert_allclose(found["dy"], [-1, -1, -2])
    assert_allclose(found["pixel_spacing"], 8)
    assert_allclose(found[["rotation_x", "rotation_y", "rotation_z"]], [[1, 2, 3]] * 3)
    assert_allclose(given["dx"], [10, 20, 30])


def test_sizes_that_are_whole_in_other_pixels_are_kept():
    """a: 400 of 2 Å are 100 of 8; b: 400 of 4 Å are 200."""
    sizes = {"a": (400, 800, 240), "b": (400, 800, 240), "c": (1, 1, 1), "d": None}
    given = model("a", "b", spacing=[2.0, 4.0], tomogram_dimensions=sizes)
    given.attrs["tilt_image_dimensions"] = {"b": (96, 64), "a": (96, 64)}
    found = rescale(given, 8.0)
    assert found.attrs["tomogram_dimensions"] == {"a": (100, 200, 60), "b": (200, 400, 120)}
    assert found.attrs["tilt_image_dimensions"] == {"a": (24, 16), "b": (48, 32)}
    assert given.attrs["tomogram_dimensions"] == sizes


def test_a_size_for_all_stays_one_where_it_is_one():
    one = model("a", "a", tomogram_dimensions=(400, 800, 240))
    assert rescale(one, 8.0).attrs["tomogram_dimensions"] == (100, 200, 60)
    nameless = one[:1].drop(columns="experiment_id")
    assert rescale(nameless, 8.0).attrs["tomogram_dimensions"] == (100, 200, 60)
    two = model("a", "b", spacing=[2.0, 4.0], tomogram_dimensions=(400, 800, 240))
    expected = {"a": (100, 200, 60), "b": (200, 400, 120)}
    assert rescale(two, 8.0).attrs["tomogram_dimensions"] == expected
    part = model("a", "b", spacing=[2.0, 4.0], tomogram_dimensions=(404, 800, 240))
    with pytest.warns(LossWarning, match=r"8 Å, tomogram_dimensions of 'a' is not a whole number"):
        found = rescale(part, 8.0)  # a: 101, but its centre, 202, is 50.5; b: 202 and 101
    assert found.attrs["tomogram_dimensions"] == {"b": (202, 400, 120)}
    assert rescale(model(), 8.0).attrs == {}
    assert rescale(model("a", tomogram_dimensions=None), 8.0).attrs["tomogram_dimensions"] is None


@pytest.mark.parametrize(
    ("size", "ratio", "expected"),
    [
        ((400, 800), 2.0, (200, 400)),
        ((400, 800), 0.5, (800, 1600)),
        ((402, 800), 2.0, None),  # 201: the centre, 201, would be 100.5, and 100 is said
        ((401, 800), 2.0, None),  # 200.5
        ((800, 401), 2.0, None),
        ((401, 800), 0.5, None),  # 802: its centre is 401, and twice 200 is 400
        ((400, 800), 2.0001, None),  # 199.99
        ((400, 800), 2.000001, (200, 400)),  # the digits of a pixel size
        ((401, 801), 1.0, (401, 801)),
        ((3, 5), 1 / 3, None),  # 9 and 15: the centres are 4 and 7, and thrice 1 and 2 are 3 and 6
    ],
)
def test_a_size_and_its_centre_are_whole(size, ratio, expected):
    given = model("a", tilt_image_dimensions={"a": size})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = rescale(given, 2.0 * ratio)
    assert found.attrs["tilt_image_dimensions"] == ({} if expected is None else {"a": expected})
    assert len(caught) == (expected is None)
