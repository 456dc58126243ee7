"""Boxes around particles: whose size writers need, and which have no z in 2D."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cryotypes.errors import WriteError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from ._particles import Particles

    Floats = NDArray[np.float64]

WIDTH, HEIGHT = ("Width", "width"), ("Height", "height")


def whole_numbers(values: Floats) -> NDArray[Any]:
    """Return integers if all values are whole, for columns such as box sizes and flags."""
    if np.isfinite(values).all() and (np.abs(values) < 2**53).all() and (values % 1 == 0).all():
        return values.astype(np.int64)
    return values


def box_sizes(particles: Particles, box_size: float | None, path: Path) -> Floats:
    """Return the size of each particle's box: from the option, else the features.

    Returns
    -------
    array, shape (n, 3)
        Width, height and 0, as the z of a position is not that of a corner.

    Raises
    ------
    WriteError
        If nobody knows the size, or it is not above 0.
    """
    sizes = np.zeros((len(particles), 3))
    if box_size is not None:
        sizes[:, :2] = box_size
    else:
        widths, heights = (_feature(particles, names) for names in (WIDTH, HEIGHT))
        if len(sizes) and (widths is None or heights is None):
            raise WriteError(
                "the size of the boxes is unknown: give box_size= (--box-size, pixels)", path
            )
        if widths is not None and heights is not None:
            sizes[:, 0], sizes[:, 1] = widths, heights
    bad = ~(np.isfinite(sizes[:, :2]) & (sizes[:, :2] > 0)).all(axis=1)
    if bad.any():
        row = int(bad.argmax())
        raise WriteError(
            f"row {row + 1}: expected a box size above 0, found {sizes[row, :2].tolist()}; give "
            "box_size= (--box-size, pixels)",
            path,
        )
    return sizes


def _feature(particles: Particles, names: tuple[str, ...]) -> Floats | None:
    features = particles.features
    for name in names:
        if features is not None and name in features:
            return pd.to_numeric(features[name], errors="coerce").to_numpy(dtype=float)
    return None


def refuse_z(particles: Particles, path: Path, instead: str) -> None:
    """Raise unless all particles lie in one image.

    Raises
    ------
    WriteError
        Naming a format that can hold z.
    """
    z = particles.position[:, 2]
    if z.any():
        raise WriteError(
            f"the format is that of single images, without z; found z of {z.min():g} to "
            f"{z.max():g}; write {instead}",
            path,
        )
