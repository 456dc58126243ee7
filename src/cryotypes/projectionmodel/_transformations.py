"""4×4 matrices that rotate and shift xyzw column vectors by left multiplication."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

# A right-handed rotation about an axis turns the first of these axes towards the second.
_TURNS = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}


def _rotation(axis: str, degrees: ArrayLike) -> NDArray[np.float64]:
    angles = np.deg2rad(np.asarray(degrees, dtype=float).reshape(-1))
    first, second = _TURNS[axis]
    matrices = np.tile(np.eye(4), (len(angles), 1, 1))
    matrices[:, first, first] = matrices[:, second, second] = np.cos(angles)
    matrices[:, second, first] = np.sin(angles)
    matrices[:, first, second] = -matrices[:, second, first]
    return matrices


def Rx(theta: ArrayLike) -> NDArray[np.float64]:
    """Rotate about x by ``theta`` degrees: y turns towards z. Shape (n, 4, 4)."""
    return _rotation("x", theta)


def Ry(theta: ArrayLike) -> NDArray[np.float64]:
    """Rotate about y by ``theta`` degrees: z turns towards x. Shape (n, 4, 4)."""
    return _rotation("y", theta)


def Rz(theta: ArrayLike) -> NDArray[np.float64]:
    """Rotate about z by ``theta`` degrees: x turns towards y. Shape (n, 4, 4)."""
    return _rotation("z", theta)


def S(shifts: ArrayLike) -> NDArray[np.float64]:
    """Shift by xy or xyz, an (n, 2) or (n, 3) array or one vector. Shape (n, 4, 4)."""
    vectors = np.asarray(shifts, dtype=float)
    vectors = vectors.reshape(-1, vectors.shape[-1])
    matrices = np.tile(np.eye(4), (len(vectors), 1, 1))
    matrices[:, : vectors.shape[1], 3] = vectors
    return matrices
