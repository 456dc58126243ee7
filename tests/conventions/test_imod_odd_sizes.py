"""Half pixels of odd raw images, binned; and how much they can be where sizes are unknown."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from cryotypes.conventions._imod import ImodVolume, half_pixels, largest_half_pixels

LEVEL = np.zeros((1, 3))


@pytest.mark.parametrize(
    ("binning", "odd"),
    [
        (1, 0.0),
        # 481 / 2: 241 pixels of two, from raw pixel -1 on: the centre is -1 + 241 - 0.5, not 240
        (2, -0.5),
        # 481 / 3: 161 pixels of three, from -1 on: -1 + 241.5 - 0.5
        (3, 0.0),
        # 801 / 4: 201 pixels of four, from -2 on: -2 + 402 - 0.5, not 400
        (4, -0.5),
    ],
)
def test_newstack_cannot_centre_odd_images_in_even_bins(binning, odd):
    volume = ImodVolume((100, 80), 40 * binning, binning=binning)
    assert half_pixels(LEVEL, volume, (481, 401))[1].tolist() == [odd, odd]
    assert half_pixels(LEVEL, volume, (801, 400))[1].tolist() == [odd, -0.5]
    assert half_pixels(LEVEL, volume, (480, 403))[1].tolist() == [-0.5, odd]


def test_a_tomogram_that_is_not_quite_the_volume_has_its_centre():
    """Of 160 rows 3 are cut, 1.5 on either side: index 80 of before is 78.5 of 157, whose is 78."""
    volume = ImodVolume((200, 160), 80)
    whole, _ = half_pixels(LEVEL, volume, (100, 100), (200, 160, 80))
    assert_allclose(whole, half_pixels(LEVEL, volume, (100, 100))[0])
    cut, _ = half_pixels(LEVEL, volume, (100, 100), (200, 157, 80))
    assert_allclose(cut - whole, [[0, -0.5]])


@pytest.mark.parametrize(
    ("rotation", "binning", "most"),
    [
        # x and y 0.5 each, less than nothing of the raw image's; of odd images, all of it
        ((0, 0, 0), 1, 0.5**0.5),
        # the axis is turned by 180°: both add up, and are 1 each
        ((0, 0, 180), 1, 2**0.5),
        # binned by 4: x 4 (odd), y 2, and 0.5 of the raw image on top
        ((0, 0, 180), 4, (4.5**2 + 2.5**2) ** 0.5),
        # seen from the side: z is 0.5 either way
        ((0, 90, 180), 1, 2**0.5),
    ],
)
def test_how_much_half_pixels_can_be(rotation, binning, most):
    assert largest_half_pixels(np.array([rotation], float), binning) == pytest.approx(most)
    assert largest_half_pixels(np.zeros((0, 3)), binning) == 0
