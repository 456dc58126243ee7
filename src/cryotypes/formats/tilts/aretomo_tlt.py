"""AreTomo3's ``<name>_TLT.txt``: tilt angle, number in the acquisition (from 1), dose, per image.

It lies beside the ``.aln`` and says what that does not. The dose is that up to the image's end.

Source: DataUtil/CTsPackage.cpp of AreTomo3.
https://github.com/czimaginginstitute/AreTomo3
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from cryotypes.conventions import _table as conventions
from cryotypes.errors import GuessWarning, ReadError
from cryotypes.formats.shared.declaration import Format

from . import _tilts

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from cryotypes.formats.shared.declaration import Head

_END = "_TLT"


def sniff(head: Head) -> bool:
    """Called ``…_TLT.txt``, with three numbers in the first line."""
    words = head.text.strip().split("\n", 1)[0].split()
    if not head.path.stem.upper().endswith(_END) or len(words) != 3:
        return False
    try:
        tilt, order, _ = map(float, words)
    except ValueError:
        return False
    return abs(tilt) <= 360 and order >= 1


def read(
    path: Path, *, tilt_axis_angle: float = 0.0, pixel_spacing: float | None = None
) -> pd.DataFrame:
    """Read tilt angles, order of acquisition and dose.

    Parameters
    ----------
    path : path
    tilt_axis_angle : float
        ``rotation_z``: degrees from the image's y axis to the tilt axis, counter-clockwise.
    pixel_spacing : float, optional
        Å per pixel of the tilt images; unknown by default.

    Returns
    -------
    ProjectionModel
        Named as the file without ``_TLT``. ``tilt_index`` counts lines, ``acquisition_order``
        counts from 0, ``dose`` is that up to the image's end (e/Å²).

    Raises
    ------
    ReadError
        If a line is not three numbers, or the order is none.

    Warns
    -----
    GuessWarning
        Always: angles are not an alignment.
    """
    angles, order, dose = _tilts.read_table(path, ("tilt", "order", "dose")).T
    # series that were cut have gaps, but no number stands twice
    if (order % 1 != 0).any() or order.min() < 1 or len(np.unique(order)) < len(order):
        raise ReadError("column 2: expected numbers of the acquisition, from 1", path)
    _tilts.check_angles(angles, path)
    aligned = path.with_name(f"{path.stem[: -len(_END)]}.aln")
    better = f"; {aligned.name} beside it holds the alignment" if aligned.is_file() else ""
    warnings.warn(
        f"{path}: tilt angles alone; assumed that images are not shifted and that the tilt axis is "
        f"at {tilt_axis_angle:g}° (tilt_axis_angle=, -O tilt_axis_angle=DEGREES){better}",
        GuessWarning,
        stacklevel=4,
    )
    name = path.stem[: -len(_END)]
    axis = np.full_like(angles, tilt_axis_angle)
    model = _tilts.nominal(path, name, angles, axis, conventions.ARETOMO, pixel_spacing or 0.0)
    model["acquisition_order"] = np.argsort(np.argsort(order))
    model["dose"] = dose
    return model


FORMAT = Format(
    name="aretomo-tlt",
    title="AreTomo3 tilt angles, order and dose (_TLT.txt)",
    kind="projection_model",
    suffixes=(".txt",),
    read=read,
    sniff=sniff,
    evidence="source: AreTomo3's DataUtil/CTsPackage.cpp",
    url="https://github.com/czimaginginstitute/AreTomo3",
)
