"""Projection matrices against arithmetic by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.testing import assert_allclose

from cryotypes import projection_model_to_projection_matrices as matrices_of
from cryotypes.conventions import _projection_matrices as projection

# section 13 of the conventions: (1.5, -3.01, 85.3), (12.5, -3.25) px, rounded to six decimals
VECTOR = np.array(
    [
        [0.081825, -0.996408, 0.021788, 4747.505235],
        [0.995262, 0.080540, -0.054461, 639.172345],
        [0.052510, 0.026141, 0.998278, -781.793503],
        [0, 0, 0, 1],
    ]
)
TOMOGRAM, IMAGE = (4096, 5760, 1200), (4092, 5760)


def test_the_vector_is_composed():
    angles, shifts = np.array([[1.5, -3.01, 85.3]]), np.array([[12.5, -3.25]])
    found = projection.compose(angles, shifts, TOMOGRAM, IMAGE)[0]
    assert_allclose(found, VECTOR, atol=6e-7)
    assert_allclose(found[:2] @ [1000, 2000, 300, 1], [2843.050050, 1779.177551], atol=1e-6)


def test_the_vector_is_decomposed():
    """Six decimals of the matrix, 2880 px from the centre, are 0.002 px of the shift."""
    found = projection.decompose(VECTOR[None])
    assert_allclose(found.angles, [[1.5, -3.01, 85.3]], atol=1e-4)
    assert_allclose(found.magnification, 1, atol=1e-6)
    assert_allclose(projection.shifts_of(VECTOR[None], TOMOGRAM, IMAGE), [[12.5, -3.25]], atol=5e-3)


def test_a_quarter_turn_by_hand():
    """About z by 90°: x becomes y, y becomes -x; centres (5, 4, 3) and (3, 4); shift (10, 20).

    x' = -(y - 4) + 3 + 10 and y' = (x - 5) + 4 + 20; odd sizes are halved downwards.
    """
    found = projection.compose(np.array([[0, 0, 90.0]]), np.array([[10.0, 20]]), (11, 9, 7), (7, 9))
    expected = [[0, -1, 0, 17], [1, 0, 0, 19], [0, 0, 1, -3], [0, 0, 0, 1]]
    assert_allclose(found[0], expected, atol=1e-12)
    assert_allclose(projection.shifts_of(found, (11, 9, 7), (7, 9)), [[10, 20]], atol=1e-12)


def test_tilted_by_90_degrees_all_is_about_z():
    """About y by 90°: x becomes -z, z becomes x."""
    angles = np.array([[0.0, 90, 0], [0, 90, 30], [20, 90, 50], [0, -90, 30]])
    matrices = projection.rotations_of(angles)
    assert_allclose(matrices[0], [[0, 0, 1], [0, 1, 0], [-1, 0, 0]], atol=1e-12)
    found = projection.decompose(matrices)
    assert_allclose(found.angles[0], [0, 90, 0], atol=1e-9)
    assert_allclose(projection.rotations_of(found.angles), matrices, atol=1e-9)


def test_it_is_the_projection_model_of_the_package():
    """Composed matrices are those of projection_model_to_projection_matrices."""
    rng = np.random.default_rng(0)
    angles = rng.uniform(-1, 1, (50, 3)) * [10, 80, 180]
    shifts = rng.normal(0, 50, (50, 2))
    model = pd.DataFrame(
        np.column_stack([angles, shifts]),
        columns=["rotation_x", "rotation_y", "rotation_z", "dx", "dy"],
    )
    found = projection.compose(angles, shifts, (1001, 803, 301), (961, 720))
    assert_allclose(found, matrices_of(model, (480, 360), (1001, 803, 301)), atol=1e-9)
    assert_allclose(projection.decompose(found).angles, angles, atol=1e-9)
    assert_allclose(projection.shifts_of(found, (1001, 803, 301), (961, 720)), shifts, atol=1e-9)


def test_two_percent_of_magnification():
    """IMOD scales the rows of x and y; dividing all by the cube root would give -61.35°."""
    angles = np.array([[0.0, -60, 85]])
    found = projection.compose(angles, np.zeros((1, 2)), TOMOGRAM, IMAGE, 1.02)
    assert_allclose(np.linalg.norm(found[0, :3, :3], axis=1), [1.02, 1.02, 1])
    result = projection.decompose(found)
    assert_allclose(result.angles, angles, atol=1e-9)
    assert_allclose(result.magnification, [1.02])
    assert_allclose(result.rest, 0, atol=1e-9)
    assert_allclose(projection.shifts_of(found, TOMOGRAM, IMAGE), 0, atol=1e-9)


def test_a_stretch_is_measured():
    """Of x by 1.02² and nothing of y: 1 % of magnification, and 1 % of stretch either way."""
    matrices = np.diag([1.02**2, 1, 1, 1])[None]
    found = projection.decompose(matrices)
    assert_allclose(found.magnification, [1.02])
    assert found.rest.shape == (1,)
    assert_allclose(found.rest, 0.02, atol=4e-4)


def test_each_image_has_its_magnification():
    found = projection.compose(np.zeros((2, 3)), np.zeros((2, 2)), (4, 6, 8), (4, 6), [1.02, 0.5])
    assert_allclose(found[:, 0, 0], [1.02, 0.5])
    assert_allclose(found[:, 1], [[0, 1.02, 0, 3 - 3 * 1.02], [0, 0.5, 0, 1.5]])
    assert_allclose(found[:, 2], [[0, 0, 1, -4], [0, 0, 1, -4]])


def test_matrices_without_a_translation():
    """In x, y or depth; the 1 below them is none."""
    turned = VECTOR[None].copy()
    turned[:, :3, 3] = 0
    assert projection.is_zero(turned)
    for row in range(3):
        moved = turned.copy()
        moved[:, row, 3] = -0.5
        assert not projection.is_zero(moved)
        assert not projection.is_zero(np.concatenate([turned, moved]))


def test_mirrors():
    p = VECTOR[None]
    assert not projection.is_mirrored(p).any()
    assert not projection.is_mirrored(np.zeros((1, 4, 4))).any()
    depth = projection.mirror_depth(p)
    assert projection.is_mirrored(depth).all()
    assert_allclose(depth[:, :2], p[:, :2])
    # slice 300 of 1200 is slice 899 of the reverse order
    volume = projection.mirror_volume(p, 1200)
    assert projection.is_mirrored(volume).all()
    assert_allclose(volume[0] @ [10, 20, 899, 1], p[0] @ [10, 20, 300, 1])
    assert_allclose(projection.mirror_volume(volume, 1200), p)


def test_no_matrices():
    none = np.zeros((0, 4, 4))
    assert projection.compose(np.zeros((0, 3)), np.zeros((0, 2)), TOMOGRAM, IMAGE).shape == (
        0,
        4,
        4,
    )
    found = projection.decompose(none)
    assert (found.angles.shape, found.magnification.shape) == ((0, 3), (0,))
    assert found.rest.shape == (0,)
    assert projection.shifts_of(none, TOMOGRAM, IMAGE).shape == (0, 2)
    assert not projection.is_mirrored(none).any()
