"""Tilt angles alone: IMOD's .tlt and .rawtlt, one angle in degrees a line, in the stack's order.

There are no shifts and no tilt axis in such a file; with an alignment beside, read that.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from cryotypes.conventions import _table as conventions
from cryotypes.errors import GuessWarning, ReadError
from cryotypes.formats.shared.declaration import Format
from cryotypes.names import strip_path_and_suffix

from . import _tilts

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from cryotypes.formats.shared.declaration import Head

_SUFFIXES = (".tlt", ".rawtlt")


def sniff(head: Head) -> bool:
    """A line of numbers, in a file with one of the suffixes."""
    if head.path.suffix.lower() not in _SUFFIXES or b"\0" in head.data:
        return False
    words = head.text.strip().split("\n", 1)[0].split()
    try:
        angles = [float(word) for word in words]
    except ValueError:
        return False
    return bool(angles) and abs(angles[0]) <= 360


def read(
    path: Path,
    *,
    tilt_axis_angle: float = 0.0,
    any_order: bool = False,
    angle_column: int | None = None,
    pixel_spacing: float = 0.0,
) -> pd.DataFrame:
    """Read tilt angles.

    Parameters
    ----------
    path : path
    tilt_axis_angle : float
        ``rotation_z``: degrees from the image's y axis to the tilt axis, counter-clockwise.
    any_order : bool
        Accept angles that neither rise nor fall all the way, as of a stack in the order of its
        acquisition.
    angle_column : int, optional
        The column of the angles, from 1; by default the first, or the fourth of emClarity's 22 or
        23, whose first numbers the images.
    pixel_spacing : float
        Å per pixel of the tilt images; 0 is unknown.

    Returns
    -------
    ProjectionModel
        ``rotation_y`` is the angle; the other rotations but ``rotation_z``, and the shifts, are 0.
        ``tilt_index`` counts lines, unless a column numbers the images; other columns are
        ``tlt_column_2`` and so on.

    Raises
    ------
    ReadError
        If the file is empty, something else, or unsorted, or if its first column counts lines.

    Warns
    -----
    GuessWarning
        Always: angles are not an alignment.
    """
    found = _tilts.read_angles(path, angle_column)
    angles = found.table[:, 0]
    steps = np.diff(angles)
    if not any_order and found.index is None and (steps > 0).any() and (steps < 0).any():
        row = int(np.argmax(np.sign(steps) != np.sign(steps[np.flatnonzero(steps)[0]]))) + 2
        raise ReadError(
            f"angle {row} ({angles[row - 1]:g}) is out of order; if the images really lie in this "
            "order, give any_order=True (--any-order)",
            path,
        )
    _tilts.check_angles(angles, path)
    beside = path.with_suffix(".xf")
    better = f"; {beside.name} beside it holds the alignment" if beside.is_file() else ""
    alone = "tilt angles alone"
    if found.index is not None:
        alone += " (column 4 of emClarity's table, whose shifts and rotations are not understood)"
    warnings.warn(
        f"{path}: {alone}; assumed that images are not shifted and that the tilt axis is "
        f"at {tilt_axis_angle:g}° (tilt_axis_angle=){better}",
        GuessWarning,
        stacklevel=4,
    )
    name, axis = strip_path_and_suffix(path.name), np.full_like(angles, tilt_axis_angle)
    model = _tilts.nominal(path, name, angles, axis, conventions.IMOD_XF, pixel_spacing)
    if found.index is not None:
        model[_tilts.INDEX] = found.index
    for column, values in zip(found.names, found.table[:, 1:].T, strict=True):
        model[column] = values
    return model


FORMAT = Format(
    name="imod-tlt",
    title="IMOD tilt angles (.tlt, .rawtlt)",
    kind="projection_model",
    suffixes=_SUFFIXES,
    read=read,
    sniff=sniff,
    evidence=conventions.IMOD_XF.evidence,
    url="https://bio3d.colorado.edu/imod/doc/man/tilt.html",
)
