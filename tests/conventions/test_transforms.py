"""2D transforms of tilt images, and angles of the inverse rotation: by hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from cryotypes.conventions import (
    Offset,
    TiltConvention,
    _table,
    decode_tilts,
    decode_transforms,
    encode_tilts,
    encode_transforms,
)

# aligned = A raw + t, so that raw = inv(A) (aligned - t): the shift is -inv(A) t
XF = _table.IMOD_XF
# raw = M aligned + shift; Å; about z the other way
RAW = TiltConvention("raw", (1, 1, -1), Offset(1, "angstrom"), "for these tests")
# A quarter turn (x towards y, seen from the aligned image), that and twice as large, and a shear
A = [[[0, 1], [-1, 0]], [[0, 2], [-2, 0]], [[2, 1], [0, 1]]]
T = [[3, 5], [3, 5], [4, 2]]
INVERSES = [[[0, -1], [1, 0]], [[0, -0.5], [0.5, 0]], [[0.5, -0.5], [0, 1]]]
SHIFTS = [[5, -3], [2.5, -1.5], [-1, -2]]


def test_transforms_from_the_raw_to_the_aligned_image():
    """The nearest rotation is atan2(A12 - A21, A11 + A22): 90, 90, atan2(1, 3)."""
    rotation_z, planes, shifts = decode_transforms(A, T, XF)
    assert_allclose(rotation_z, [90, 90, np.rad2deg(np.arctan2(1, 3))])
    assert_allclose(planes, INVERSES)
    assert_allclose(shifts, SHIFTS)


def test_transforms_from_the_aligned_to_the_raw_image():
    """What is written is what is meant, but for the unit and the sign: atan2(2 + 1, 3 + 1)."""
    matrices = [[[0, -1], [1, 0]], [[3, -1], [2, 1]], [[-1, 0], [0, -1]]]
    rotation_z, planes, shifts = decode_transforms(matrices, T, RAW, 2.0)
    assert_allclose(rotation_z, [-90, -np.rad2deg(np.arctan2(3, 4)), -180])
    assert_allclose(planes, matrices)
    assert_allclose(shifts, [[1.5, 2.5], [1.5, 2.5], [2, 1]])
    assert_allclose(decode_transforms(matrices, T, RAW)[2], T)  # pixels of 1 Å


def test_transforms_are_written_from_the_raw_to_the_aligned_image():
    """t = -A (dx, dy), with the magnification that is in A."""
    matrices, shifts = encode_transforms([90, 90, 180], [*SHIFTS[:2], [7, 8]], XF, 1.0, [1, 2, 0.5])
    assert_allclose(matrices, [*A[:2], [[-0.5, 0], [0, -0.5]]], atol=1e-12)
    assert_allclose(shifts, [*T[:2], [3.5, 4]], atol=1e-12)
    matrices, shifts = encode_transforms([90], SHIFTS[:1], XF)
    assert_allclose(matrices, A[:1], atol=1e-12)
    assert_allclose(shifts, T[:1], atol=1e-12)


def test_transforms_are_written_from_the_aligned_to_the_raw_image():
    matrices, shifts = encode_transforms([-90, -180, 0], T, RAW, 2.0)
    expected = [[[0, -1], [1, 0]], [[-1, 0], [0, -1]], [[1, 0], [0, 1]]]
    assert_allclose(matrices, expected, atol=1e-12)
    assert_allclose(shifts, [[6, 10], [6, 10], [8, 4]])
    assert_allclose(encode_transforms([-90], T[:1], RAW)[1], T[:1])  # pixels of 1 Å


def test_the_line_of_section_13():
    """Of (12.5, -3.25) px and 85.3°, as an .xf file has it."""
    line = np.array([0.0819385, 0.9966374, -0.9966374, 0.0819385, 2.215, 12.724])
    matrices, shifts = encode_transforms([85.3], [[12.5, -3.25]], XF)
    assert_allclose(matrices[0].ravel(), line[:4], atol=1e-7)
    assert_allclose(shifts[0], line[4:], atol=5e-4)
    rotation_z, _, shifts = decode_transforms(line[:4].reshape(1, 2, 2), line[None, 4:], XF)
    assert_allclose(rotation_z, [85.3], atol=1e-5)
    assert_allclose(shifts, [[12.5, -3.25]], atol=1e-3)


def test_no_transforms():
    rotation_z, planes, shifts = decode_transforms(np.zeros((0, 2, 2)), np.zeros((0, 2)), XF)
    assert (rotation_z.shape, planes.shape, shifts.shape) == ((0,), (0, 2, 2), (0, 2))
    matrices, shifts = encode_transforms([], np.zeros((0, 2)), XF, 1.0, np.zeros(0))
    assert (matrices.shape, shifts.shape) == ((0, 2, 2), (0, 2))


# About one axis the inverse is the opposite angle. Rz(90) Ry(0) Rx(30) turned back is
# Rx(-30) Rz(-90), that is Rz(-90) Ry(-30): Rz(90) brings x to y.
TURNS = [[30.0, 0, 0], [0, 40, 0], [0, 0, 50], [30, 0, 90]]
BACK = [[-30.0, 0, 0], [0, -40, 0], [0, 0, -50], [0, -30, -90]]


@pytest.mark.parametrize("n", [0, 1, 4])
def test_angles_of_the_inverse_rotation(n):
    row = TiltConvention("back", (1, 1, 1), Offset(1), "for these tests", inverse=True)
    turns, back, none = np.reshape(TURNS[:n], (n, 3)), np.reshape(BACK[:n], (n, 3)), np.ones((n, 2))
    assert_allclose(decode_tilts(turns, none, row, 1.0)[0], back, atol=1e-9)
    assert_allclose(encode_tilts(back, none, row, 1.0)[0], turns, atol=1e-9)
