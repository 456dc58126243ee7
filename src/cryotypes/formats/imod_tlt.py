"""Tilt angles alone: IMOD's .tlt and .rawtlt, one angle in degrees a line, in the stack's order.

There are no shifts and no tilt axis in such a file; with an alignment beside, read that.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cryotypes.conventions import _table as conventions
from cryotypes.conventions import decode_tilts
from cryotypes.errors import GuessWarning, ReadError
from cryotypes.names import strip_path_and_suffix
from cryotypes.projectionmodel import ProjectionModelDataLabels as Labels

from . import _tilts
from ._format import Format

if TYPE_CHECKING:
    from pathlib import Path

    from ._format import Head

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
    pixel_spacing : float
        Å per pixel of the tilt images; 0 is unknown.

    Returns
    -------
    ProjectionModel
        ``rotation_y`` is the angle; the other rotations but ``rotation_z``, and the shifts, are 0.
        ``tilt_index`` counts lines; further columns are ``tlt_column_2`` and so on.

    Raises
    ------
    ReadError
        If the file is empty, something else, or unsorted.

    Warns
    -----
    GuessWarning
        Always: angles are not an alignment.
    """
    table = _tilts.read_table(path)
    angles = table[:, 0]
    steps = np.diff(angles)
    if not any_order and (steps > 0).any() and (steps < 0).any():
        row = int(np.argmax(np.sign(steps) != np.sign(steps[np.flatnonzero(steps)[0]]))) + 2
        raise ReadError(
            f"angle {row} ({angles[row - 1]:g}) is out of order; if the images really lie in this "
            "order, give any_order=True",
            path,
        )
    _tilts.check_angles(angles, path)
    beside = path.with_suffix(".xf")
    better = f"; {beside.name} beside it holds the alignment" if beside.is_file() else ""
    warnings.warn(
        f"{path}: tilt angles alone; assumed that images are not shifted and that the tilt axis is "
        f"at {tilt_axis_angle:g}° (tilt_axis_angle=){better}",
        GuessWarning,
        stacklevel=4,
    )
    written = np.stack([np.zeros_like(angles), angles, np.full_like(angles, tilt_axis_angle)], 1)
    rotations, shifts = decode_tilts(written, np.zeros((len(angles), 2)), conventions.IMOD_XF, 1.0)
    columns = [*rotations.T, *shifts.T]
    model = pd.DataFrame(dict(zip([*Labels.ROTATION, *Labels.SHIFT], columns, strict=True)))
    model[Labels.EXPERIMENT_ID] = strip_path_and_suffix(path.name)
    model[Labels.PIXEL_SPACING] = _tilts.spacing_given(pixel_spacing)
    model[Labels.SOURCE] = str(path)
    model[_tilts.INDEX] = np.arange(len(angles))
    for column, values in enumerate(table[:, 1:].T, start=2):
        model[f"tlt_column_{column}"] = values
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
