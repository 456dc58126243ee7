"""A tomogram's size carries the pixel spacing that it is counted in."""

import numpy as np
import pytest

from cryotypes import PoseSet
from cryotypes._sizes import TomogramSize, is_size, stated_size, tomogram_size

PIXELS = (4000, 4000, 2000)


def test_pixels_of_another_size():
    size = TomogramSize(PIXELS, 1.35)
    assert size.in_pixels(5.4) == pytest.approx((1000, 1000, 500))
    assert size.in_pixels(1.35) == PIXELS
    # the centre is index N // 2 of its own pixels
    assert TomogramSize((5, 7, 9), 2.0).centre(4.0) == (1, 1.5, 2)
    with pytest.raises(ValueError, match="of the tomogram's size is unknown"):
        TomogramSize(PIXELS).in_pixels(5.4)
    with pytest.raises(ValueError, match="of the particles or tilt series"):
        size.centre(0)


def test_a_size_without_spacing_is_in_pixels_of_the_tilt_series_or_none():
    assert tomogram_size(None, None) is None
    assert tomogram_size(PIXELS, 1.35, tilt_series=2.0) == TomogramSize(PIXELS, 1.35)
    assert tomogram_size(PIXELS, None, tilt_series=2.0) == TomogramSize(PIXELS, 2.0)
    assert tomogram_size({"a": PIXELS}, 1.0, experiment_id="b") is None
    for unknown in (None, float("nan")):
        with pytest.raises(ValueError, match="without its pixel spacing is no size"):
            tomogram_size(PIXELS, None, tilt_series=unknown)


@pytest.mark.parametrize(
    "bad",
    [(0, 0, 0), (4000, 4000, -1), (np.nan, 1, 1), (np.inf, 1, 1), (1, 1), (1, 1, 1, 1), ("1",) * 3],
)
def test_what_is_no_size(bad):
    assert not is_size(bad)
    with pytest.raises(ValueError, match="each above 0"):
        tomogram_size(bad, 1.0)
    poses = PoseSet(np.zeros((1, 3)), metadata={"tomogram": {"dimensions": bad}})
    assert stated_size(poses) is None


@pytest.mark.parametrize("bad", [0, -1, np.nan, np.inf])
def test_what_is_no_spacing(bad):
    with pytest.raises(ValueError, match="--tomogram-spacing"):
        tomogram_size(PIXELS, bad)


def test_poses_state_their_tomogram_in_their_own_pixels_unless_they_say_otherwise():
    tomogram = {"dimensions": PIXELS}
    poses = PoseSet(np.zeros((1, 3)), pixel_spacing=5.0, metadata={"tomogram": tomogram})
    assert stated_size(poses) == TomogramSize(PIXELS, 5.0)
    tomogram["pixel_spacing"] = 1.25
    assert stated_size(poses) == TomogramSize(PIXELS, 1.25)
