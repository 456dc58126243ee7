"""Projection matrices of whole tomograms: composed of an alignment, and taken apart again.

A matrix P (4 × 4) takes a point of the tomogram (x, y, z, 1; pixels, from 0) to the tilt image:
its rows are x, y, depth and 0 0 0 1. A magnification scales the rows of x and y alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cryotypes.projectionmodel._transformations import Rx, Ry, Rz

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]


class Decomposition(NamedTuple):
    """What n matrices consist of.

    Parameters
    ----------
    angles : array, shape (n, 3)
        About x, y, z in degrees, applied in this order.
    magnification : array, shape (n,)
        The geometric mean of the lengths of the rows of x and y.
    rest : array, shape (n,)
        What else is in the rows of x and y (a stretch, a shear): by how many pixels it moves a
        point at a distance of one pixel, at most.
    """

    angles: Floats
    magnification: Floats
    rest: Floats


def is_mirrored(matrices: ArrayLike) -> NDArray[np.bool_]:
    """Tell which matrices are no rotations but have a mirror in them."""
    m = np.asarray(matrices, dtype=float)[:, :3, :3]
    return np.asarray(np.einsum("ni,ni->n", m[:, 2], np.cross(m[:, 0], m[:, 1])) < 0)


def is_zero(matrices: ArrayLike) -> bool:
    """Tell whether no matrix has a translation."""
    return not np.asarray(matrices, dtype=float)[:, :3, 3].any()


def mirror_volume(matrices: ArrayLike, size_z: int) -> Floats:
    """Turn the order of the tomogram's slices round: slice z becomes size_z - 1 - z."""
    mirrored = np.array(matrices, dtype=float)
    mirrored[:, :, 3] += mirrored[:, :, 2] * (size_z - 1)
    mirrored[:, :, 2] *= -1
    return mirrored


def mirror_depth(matrices: ArrayLike) -> Floats:
    """Count the depth the other way; where points appear in the images stays as it is."""
    mirrored = np.array(matrices, dtype=float)
    mirrored[:, 2] *= -1
    return mirrored


def decompose(matrices: ArrayLike) -> Decomposition:
    """Find the angles in matrices without a mirror, shape (n, 4, 4) or (n, 3, 3)."""
    m = np.array(matrices, dtype=float)[:, :3, :3]
    lengths = np.linalg.norm(m, axis=2)
    magnification = np.sqrt(lengths[:, 0] * lengths[:, 1])
    m[:, :2] /= magnification[:, None, None]
    m[:, 2] /= lengths[:, 2, None]
    across = np.hypot(m[:, 2, 1], m[:, 2, 2])
    x = np.arctan2(m[:, 2, 1], m[:, 2, 2])
    y = np.arctan2(-m[:, 2, 0], across)
    z = np.arctan2(m[:, 1, 0], m[:, 0, 0])
    # tilted by 90°, x and z cannot be told apart: all is about z
    edge_on = across < 1e-9
    x = np.where(edge_on, 0.0, x)
    z = np.where(edge_on, np.arctan2(-m[:, 0, 1], m[:, 1, 1]), z)
    angles = np.rad2deg(np.stack([x, y, z], axis=1))
    excess = (m - rotations_of(angles))[:, :2]
    rest = np.linalg.norm(excess, ord=2, axis=(1, 2)) if len(m) else np.zeros(0)
    return Decomposition(angles, magnification, rest)


def rotations_of(angles: Floats) -> Floats:
    """Return Rz Ry Rx, shape (n, 3, 3)."""
    turns = Rz(angles[:, 2]) @ Ry(angles[:, 1]) @ Rx(angles[:, 0])
    return np.asarray(turns[:, :3, :3])


def shifts_of(matrices: ArrayLike, tomogram: ArrayLike, image: ArrayLike) -> Floats:
    """Say how far from the image's centre the tomogram's centre appears, both at N // 2.

    Parameters
    ----------
    matrices : array_like, shape (n, 4, 4)
    tomogram : (x, y, z)
    image : (x, y)
        Sizes in pixels.

    Returns
    -------
    array, shape (n, 2)
    """
    p: Any = np.asarray(matrices, dtype=float)[:, :2]
    return np.asarray(
        p[:, :, 3] - np.asarray(image) // 2 + p[:, :, :3] @ (np.asarray(tomogram) // 2)
    )


def compose(
    angles: Floats,
    shifts: Floats,
    tomogram: ArrayLike,
    image: ArrayLike,
    magnification: ArrayLike = 1.0,
) -> Floats:
    """Make matrices, shape (n, 4, 4); the inverse of `decompose` and `shifts_of`."""
    matrices = np.zeros((len(angles), 4, 4))
    matrices[:, :3, :3] = rotations_of(angles)
    matrices[:, :2, :3] *= np.reshape(magnification, (-1, 1, 1))
    matrices[:, :3, 3] = -matrices[:, :3, :3] @ (np.asarray(tomogram) // 2)
    matrices[:, :2, 3] += shifts + np.asarray(image) // 2
    matrices[:, 3, 3] = 1.0
    return matrices
