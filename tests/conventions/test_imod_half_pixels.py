"""IMOD's centres and half pixels, worked out by hand from the arithmetic of its tilt program.

Of a volume W × T slices thick, of an aligned stack of n pixels at binning b (conventions_alignments
1.4; ``nf`` = FULLIMAGE / b rounded up, ``is`` = SUBSETSTART / b cut towards zero)::

    c_ali   = nf/2 - 0.5 - is
    c_vol_x = W//2 - 0.5 + (OFFSET[1] + SHIFT[0])/b - (n_ali//2 + is - nf//2)
    c_vol_y = c_ali_y - first slice
    c_vol_z = T - T//2 - 0.5 - SHIFT[1]/b
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from cryotypes.conventions._imod import (
    ImodVolume,
    axis_displacement,
    half_pixels,
    largest_half_pixels,
)

# c_ali: 100/2 - 0.5, 80/2 - 0.5; c_vol: 50 - 0.5, 39.5, 40 - 20 - 0.5
PLAIN = ImodVolume((100, 80), 40)
# FULLIMAGE: 1000/4 = 250, 802/4 = 200.5, so 201; SUBSETSTART: 10.25, so 10; -7.5, so -7.
# WIDTH 905: 226; THICKNESS 303: 75; SLICE 22 to 702: rows 5 to 175
BINNED = ImodVolume(
    (241, 215), 303, width=905, slices=(22, 702), binning=4, full=(1000, 802), subset=(41, -30),
    axis=6.0, shift=(11.0, -6.0),
)  # fmt: skip


@pytest.mark.parametrize(
    ("volume", "binned", "unbinned"),
    [
        (PLAIN, (100, 80, 40), (100, 80, 40)),
        (replace(PLAIN, width=77), (77, 80, 40), (77, 80, 40)),
        (replace(PLAIN, binning=3), (100, 80, 13), (300, 240, 39)),
        (BINNED, (226, 171, 75), (904, 684, 300)),
        (replace(PLAIN, slices=(10, 19)), (100, 10, 40), (100, 10, 40)),
        # the last rows are 79 and, binned, 79: tilt keeps to the rows that there are
        (replace(PLAIN, slices=(-4, 95)), (100, 80, 40), (100, 80, 40)),
        (replace(PLAIN, slices=(90, 95)), (100, 1, 40), (100, 1, 40)),
        (replace(PLAIN, slices=(-9, -4)), (100, 1, 40), (100, 1, 40)),
        (replace(PLAIN, slices=(8, 400), binning=4), (100, 78, 10), (400, 312, 40)),
    ],
)
def test_sizes(volume, binned, unbinned):
    assert volume.binned_size == binned
    assert volume.size == unbinned


@pytest.mark.parametrize(
    ("volume", "image", "centre"),
    [
        (PLAIN, (49.5, 39.5), (49.5, 39.5, 19.5)),
        # odd: 101/2 - 0.5, 81/2 - 0.5; x: 101//2 - 0.5; z: 41 - 20 - 0.5
        (ImodVolume((101, 81), 41), (50, 40), (49.5, 40, 20.5)),
        (replace(PLAIN, width=61), (49.5, 39.5), (29.5, 39.5, 19.5)),
        (replace(PLAIN, slices=(10, 19)), (49.5, 39.5), (49.5, 29.5, 19.5)),
        (replace(PLAIN, axis=3.0), (49.5, 39.5), (52.5, 39.5, 19.5)),
        (replace(PLAIN, shift=(4.0, 7.0)), (49.5, 39.5), (53.5, 39.5, 12.5)),
        # without FULLIMAGE, SUBSETSTART is not looked at
        (replace(PLAIN, subset=(9, 9)), (49.5, 39.5), (49.5, 39.5, 19.5)),
        # image: 125 - 0.5 - 10; 100.5 - 0.5 + 7. x: 113 - 0.5 + 17/4 - (120 + 10 - 125);
        # y: 107 - 5; z: 75 - 37 - 0.5 + 6/4
        (BINNED, (114.5, 107), (111.75, 102, 39)),
        # 1001/4 = 250.25, so 251: 125.5 - 0.5 - 10; x: 113 - 0.5 + 17/4 - (120 + 10 - 125)
        (replace(BINNED, full=(1001, 802)), (115, 107), (111.75, 102, 39)),
        # as BINNED, seen in the mirror: 75 - 1 - 39
        (replace(BINNED, mirrored=True), (114.5, 107), (111.75, 102, 35)),
    ],
)
def test_centres(volume, image, centre):
    assert volume.image_centre().tolist() == list(image)
    assert volume.centre().tolist() == list(centre)


def test_what_is_not_stated():
    """One pixel is one pixel, nothing is displaced, and the volume is turned, not swapped."""
    stated = ImodVolume((100, 80), 40, None, None, 1, None, (0, 0), 0.0, (0.0, 0.0), False)
    assert stated == PLAIN


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        (0, 0, (0, 0)),  # untilted, the image stays where it is
        (30, 0, (0, 0)),  # and a point on the x axis does not feel a turn about x
        (0, 60, (2, 0)),  # 4 - 4 cos 60°
        (30, 60, (2, 0)),
        (0, -90, (4, 0)),
        (0, 180, (8, 0)),  # on the other side of the axis
    ],
)
def test_a_displaced_axis(x, y, expected):
    """The volume's centre lies 4 px in x beside the axis, which lies 4 px beside the image's."""
    found = axis_displacement(np.array([[x, y, 77.0]]), 4.0)
    assert_allclose(found, [expected], atol=1e-12)


# From index N // 2 to c_vol: 50 - 49.5 - 3, 40 - 39.5, 20 - 19.5 + 7; that is (-2.5, 0.5, 7.5)
SHIFTED = replace(PLAIN, shift=(3.0, 7.0))


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        # x_al = X cos(tilt) + (Y sin(x) + Z cos(x)) sin(tilt), y_al = Y cos(x) - Z sin(x)
        (0, 0, (-2.5, 0.5)),
        (0, 90, (7.5, 0.5)),
        (0, -90, (-7.5, 0.5)),
        (90, 0, (-2.5, -7.5)),
        (90, 90, (0.5, -7.5)),
        (-90, 90, (-0.5, 7.5)),
        (0, 60, (-1.25 + 7.5 * 0.75**0.5, 0.5)),
        (30, 90, (0.25 + 7.5 * 0.75**0.5, 0.5 * 0.75**0.5 - 3.75)),
    ],
)
def test_half_pixels_of_a_displaced_volume(x, y, expected):
    """Turned about x, then y; the angle about z has no part in the aligned image."""
    aligned, raw = half_pixels(np.array([[x, y, 77.0]]), SHIFTED, (200, 300))
    assert_allclose(aligned, [expected], atol=1e-12)
    assert raw.tolist() == [-0.5, -0.5]


def test_half_pixels_of_a_volume_of_odd_sizes():
    """Whole pixels are halved: 50 - 49.5, 40 - 40, 20 - 20.5."""
    rotations = np.array([[0, 0, 0], [0, 90, 0], [90, 0, 0.0]])
    aligned, raw = half_pixels(rotations, ImodVolume((101, 81), 41), (101, 81))
    assert_allclose(aligned, [[0.5, 0], [-0.5, 0], [0.5, 0.5]], atol=1e-12)
    assert raw.tolist() == [0, 0]


def test_half_pixels_of_the_raw_image():
    """An even image's centre, N / 2 - 0.5, is half a pixel below N // 2; an odd one's is N // 2."""
    _, raw = half_pixels(np.zeros((1, 3)), PLAIN, (201, 300))
    assert raw.tolist() == [0, -0.5]
    _, raw = half_pixels(np.zeros((1, 3)), PLAIN, (200, 301))
    assert raw.tolist() == [-0.5, 0]


def test_half_pixels_of_binned_images():
    """All of it at once, in unbinned pixels: b (c_ali - newstack's centre) is added, and OFFSET.

    Size // 2 is (452, 342, 150), 4 c_vol is (447, 408, 156): between them (5, -66, -6).
    newstack: 241/2 - 0.5 = 120, 215/2 - 0.5 = 107; so e is 4 (114.5 - 120), 4 (107 - 107).
    """
    aligned, raw = half_pixels(np.array([[0, 0, 0], [0, 90, 0], [90, 0, 0.0]]), BINNED, (960, 960))
    assert_allclose(aligned, [[5 + 6 - 22, -66], [-6 + 6 - 22, -66], [5 + 6 - 22, 6]], atol=1e-12)
    assert raw.tolist() == [-0.5, -0.5]
    # 809/4 = 202.25, so 203: c_ali is 101.5 - 0.5 + 7, and e is 4 (108 - 107)
    moved = replace(BINNED, full=(1000, 809), slices=None)
    assert moved.image_centre().tolist() == [114.5, 108]
    aligned, _ = half_pixels(np.zeros((1, 3)), moved, (960, 960))
    # y: 860 // 2 - 4 * 108 + 4
    assert_allclose(aligned, [[5 + 6 - 22, 430 - 432 + 4]], atol=1e-12)


def test_half_pixels_of_the_worked_series():
    """tilt_1 of an etomo directory: c_ali 463.0, newstack 463.5, c_vol_x 462.5.

    Without FULLIMAGE the same is wrong by 4 cos(tilt) - 2 px.
    """
    volume = ImodVolume((928, 958), 2000, binning=4, full=(3708, 3832), subset=(-2, 0))
    assert volume.image_centre().tolist() == [463.0, 478.5]
    assert volume.centre().tolist() == [462.5, 478.5, 249.5]
    rotations = np.array([[0.0, 60.0, 0.0]])
    aligned, _ = half_pixels(rotations, volume, (3832, 3708))
    plain, _ = half_pixels(rotations, replace(volume, full=None), (3832, 3708))
    assert_allclose(aligned - plain, [[4 * 0.5 - 2, 0]], atol=1e-12)


@pytest.mark.parametrize(
    ("raw", "binning", "expected"),
    [
        # newstack: 481 × 403 by 2 gives 241 × 202, one pixel too many, all of it on one side:
        # it sees the centre, 240 and 201, at half a pixel less
        ((481, 403), 2, (-0.5, -0.5)),
        ((481, 402), 2, (-0.5, -0.5)),
        ((481, 403), 4, (-0.5, -0.5)),
        ((481, 403), 1, (0, 0)),
        ((481, 403), 3, (0, 0)),
        ((482, 402), 2, (-0.5, -0.5)),
    ],
)
def test_half_pixels_of_odd_raw_images_that_are_binned(raw, binning, expected):
    _, found = half_pixels(np.zeros((1, 3)), replace(PLAIN, binning=binning), raw)
    assert found.tolist() == list(expected)


def test_half_pixels_of_a_tomogram_cut_about_its_centre():
    """90 × 83 × 39 of 100 × 80 × 40: c_vol is at 49.5 - 5, 39.5 + 1.5, 19.5 - 0.5 of it.

    N // 2 is 45, 41, 19.
    """
    rotations = np.array([[0, 0, 0], [0, 90, 0], [90, 0, 0.0]])
    aligned, _ = half_pixels(rotations, PLAIN, (200, 300), (90, 83, 39))
    assert_allclose(aligned, [[0.5, 0], [0, 0], [0.5, 0]], atol=1e-12)


@pytest.mark.parametrize(
    ("rotation", "binning", "largest"),
    [
        # untilted: raw (0 or -0.5) + volume (0.5 even; 0.5 in x, 0 in y odd): (0.5, 0.5) at most
        ((0, 0, 0), 1, 0.5 * 2**0.5),
        # upside down: x turns to -0.5 and adds to -0.5, y as before
        ((0, 180, 0), 1, (1 + 0.25) ** 0.5),
        # y turns to -0.5 and adds to -0.5, and x is 0.5 + 0: one raw size even, the other odd
        ((180, 0, 0), 1, (1 + 0.25) ** 0.5),
        # half a turn about z: -0.5 - 0.5, in both
        ((0, 0, 180), 1, 2**0.5),
        # binned by 4: volume (2 even, 4 odd; 2; 2 even, 0 odd), raw -0.5 always
        ((0, 0, 0), 4, (3.5**2 + 1.5**2) ** 0.5),
        # 4 cos 60° - 0 sin 60° - 0.5 in x, for odd width and thickness; 2 - 0.5 in y
        ((0, -60, 0), 4, 1.5 * 2**0.5),
    ],
)
def test_the_largest_half_pixels_by_hand(rotation, binning, largest):
    assert_allclose(largest_half_pixels(np.array([rotation], float), binning), largest)


def test_the_largest_half_pixels_are_those_of_the_worst_tilt():
    tilts = np.array([[0, 0, 0.0], [0, 180, 0], [0, 0, 0]])
    assert_allclose(largest_half_pixels(tilts), 1.25**0.5)
    assert largest_half_pixels(np.zeros((0, 3))) == 0
