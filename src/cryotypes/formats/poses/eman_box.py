"""EMAN1 boxes of particles in a micrograph: ``x y width height`` a line, and perhaps a flag.

x and y are the box's lowest corner, in pixels counted from 0, so a particle is at x + width / 2
(checked with `relion_preprocess --extract` 3.1.3). EMAN writes whole numbers. What the flag of a
fifth column means (-1 and -2 in helices) is not verified; it is kept as a feature.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cryotypes.conventions import _table as conventions
from cryotypes.conventions import decode_position, encode_position
from cryotypes.errors import GuessWarning, ReadError
from cryotypes.formats.shared.declaration import Format, Head
from cryotypes.formats.shared.files import writing_bytes
from cryotypes.formats.shared.rows import (
    is_empty_list,
    looks_like_numbers,
    number_rows,
    read_list,
    read_numbers,
)
from cryotypes.loss import LossReport
from cryotypes.names import strip_path_and_suffix

from ._boxes import box_sizes, refuse_z, whole_numbers
from ._particles import Particles, join_poses, to_posesets

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from cryotypes.poseset import PoseSet

    Floats = NDArray[np.float64]

_COLUMNS = ("x", "y", "width", "height", "flag")
NAME = "eman-box"
_BOX = ("width", "height", "Width", "Height", "flag")
_KEEPS = frozenset({"position"})


def sniff(head: Head) -> bool:
    """Rows of four or five numbers, or nothing, in a file called .box."""
    if head.suffix != ".box":
        return False
    return is_empty_list(head) or looks_like_numbers(head.data, range(4, 6))


def read(path: Path, *, pixel_spacing: float | None = None) -> list[PoseSet]:
    """Read the boxes of one micrograph.

    Parameters
    ----------
    path : path
    pixel_spacing : float, optional
        Å per pixel of the micrograph; the file does not tell.

    Returns
    -------
    list of PoseSet
        One, called like the file; its features are ``width`` and ``height`` of the boxes in
        pixels, and ``flag`` if there is a fifth column.

    Raises
    ------
    ReadError
        If a line is not four or five numbers, or a size is below 0.

    Warns
    -----
    GuessWarning
        If boxes have a size of 0, whose corner is their centre; or if the file is empty.
    """
    table = read_numbers(read_list(path), path, _COLUMNS, required=4, finite=4)
    n, sizes = len(table), np.zeros((len(table), 3))
    sizes[:, :2] = table[:, 2:4]
    _check_sizes(sizes[:, :2], path)
    corners = np.column_stack([table[:, :2], np.zeros(n)])
    rest = range(2, table.shape[1] if n else 4)
    spacing = np.full(n, pixel_spacing or 0.0)
    place = conventions.EMAN_BOX.place
    particles = Particles(
        position=decode_position(corners, place, spacing[:, None], sizes),
        experiments=[strip_path_and_suffix(path.name)],
        codes=np.zeros(n, dtype=np.int64),
        spacing=spacing,
        features=pd.DataFrame({_COLUMNS[i]: whole_numbers(table[:, i]) for i in rest}),
    )
    whole = bool((corners == np.rint(corners)).all())
    return to_posesets(particles, path, {"format": NAME, "ndim": 2, "whole_pixels": whole})


def _check_sizes(sizes: Floats, path: Path) -> None:
    """Refuse sizes below 0, and warn of boxes without one."""
    negative = ~(sizes >= 0).all(axis=1)
    if negative.any():
        row = int(negative.argmax())
        raise ReadError(
            f"row {row + 1}: expected a box with a width and height of 0 or above, found "
            f"{sizes[row].tolist()}",
            path,
        )
    without = int((sizes == 0).any(axis=1).sum())
    if without:
        warnings.warn(
            f"{path}: {without} of {len(sizes)} boxes have a width or height of 0; assumed that "
            "there x and y are the centre (correct the file if they are a box's corner)",
            GuessWarning,
            stacklevel=3,
        )


def write(
    data: list[PoseSet],
    path: Path,
    *,
    overwrite: bool = False,
    box_size: float | None = None,
    whole_pixels: bool | None = None,
) -> LossReport:
    """Write the particles of one micrograph.

    Parameters
    ----------
    data : list of PoseSet
    path : path
    overwrite : bool
    box_size : float, optional
        Width and height of all boxes in pixels; by default the features ``width`` and ``height``
        (or crYOLO's ``Width`` and ``Height``) are asked.
    whole_pixels : bool, optional
        Round the corners, as EMAN does; by default unless they were fractions when read.

    Raises
    ------
    WriteError
        If the size of the boxes is unknown, particles have a z, or are of several micrographs.
    """
    report = LossReport()
    particles = join_poses(data, path, report, _KEEPS, [NAME], columns=_BOX)
    refuse_z(particles, path, "cryolo-cbox or cryolo-coords")
    sizes = box_sizes(particles, box_size, path)
    spacing, place = particles.spacing[:, None], conventions.EMAN_BOX.place
    corners = encode_position(particles.position, place, spacing, sizes)[:, :2]
    if whole_pixels is None:
        whole_pixels = all(m.get("whole_pixels", True) for m in particles.read)
    if whole_pixels:
        corners = _rounded(corners, report)
    columns = [corners[:, 0], corners[:, 1], sizes[:, 0], sizes[:, 1]]
    if particles.features is not None and "flag" in particles.features:
        columns.append(particles.feature("flag"))
    with writing_bytes(path, overwrite) as file:
        file.write(number_rows(columns, "\t"))
    return report


def _rounded(corners: Floats, report: LossReport) -> Floats:
    """Round, and name the largest change."""
    whole: Floats = np.rint(corners)
    error = float(np.abs(corners - whole).max(initial=0.0))
    if error:
        report.lost["position"] = (
            f"fractions of a pixel: corners are whole numbers, off by up to {error:.3g} px "
            "(whole_pixels=False keeps them)"
        )
    return whole


FORMAT = Format(
    name=NAME,
    title="EMAN1 box",
    kind="poses",
    suffixes=(".box",),
    compression=(".gz", ".bz2"),
    read=read,
    write=write,
    sniff=sniff,
    keeps=_KEEPS,
    tolerance={"position": 0.7072},  # half a pixel in x and in y
    evidence=conventions.EMAN_BOX.evidence,
    url="https://blake.bcm.edu/emanwiki/EMAN2/BoxerDatabase",
)
