"""crYOLO's and TomoTwin's ``.coords``: the centres of particles in a tomogram, ``x y z`` a line.

In pixels of the tomogram that was picked on, not of the unbinned one, counted from 0. Whether
crYOLO itself measures from the pixel's corner, as IMOD does, is not verified: there is
``imod_half_pixel=True`` for that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cryotypes.conventions import _table as conventions
from cryotypes.conventions import decode_position, encode_position
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

from ._particles import MULTIPLY, Particles, join_poses, to_posesets

if TYPE_CHECKING:
    from pathlib import Path

    from cryotypes.conventions import Place
    from cryotypes.poseset import PoseSet

NAME = "cryolo-coords"
_KEEPS = frozenset({"position"})


def sniff(head: Head) -> bool:
    """Rows of three numbers, or nothing, in a file called .coords."""
    if head.suffix != ".coords":
        return False
    return is_empty_list(head) or looks_like_numbers(head.data, range(3, 4))


def read(
    path: Path, *, pixel_spacing: float | None = None, imod_half_pixel: bool = False
) -> list[PoseSet]:
    """Read the particles of one tomogram.

    Parameters
    ----------
    path : path
    pixel_spacing : float, optional
        Å per pixel of the tomogram that was picked on; the file does not tell.
    imod_half_pixel : bool
        Take x and y as IMOD's, half a pixel larger than the index.

    Raises
    ------
    ReadError
        If a line is not three finite numbers.

    Warns
    -----
    GuessWarning
        If the file is empty, or coordinates look like fractions of the tomogram's size.
    """
    table = read_numbers(read_list(path), path, ("x", "y", "z"), required=3)
    spacing = np.full(len(table), pixel_spacing or 0.0)
    particles = Particles(
        position=decode_position(table, _place(imod_half_pixel), spacing[:, None]),
        experiments=[strip_path_and_suffix(path.name)],
        codes=np.zeros(len(table), dtype=np.int64),
        spacing=spacing,
    )
    metadata = {"format": NAME, "ndim": 3, "imod_half_pixel": imod_half_pixel}
    return to_posesets(particles, path, metadata, MULTIPLY)


def write(
    data: list[PoseSet],
    path: Path,
    *,
    overwrite: bool = False,
    imod_half_pixel: bool | None = None,
) -> LossReport:
    """Write the particles of one tomogram.

    Parameters
    ----------
    data : list of PoseSet
    path : path
    overwrite : bool
    imod_half_pixel : bool, optional
        Write x and y as IMOD does; by default as the file was read, else not.

    Raises
    ------
    WriteError
        If the particles are of several tomograms.
    """
    report = LossReport()
    particles = join_poses(data, path, report, _KEEPS, [NAME], columns=())
    if imod_half_pixel is None:
        imod_half_pixel = any(m.get("imod_half_pixel", False) for m in particles.read)
    spacing = particles.spacing[:, None]
    written = encode_position(particles.position, _place(imod_half_pixel), spacing)
    with writing_bytes(path, overwrite) as file:
        file.write(number_rows(list(written.T), " "))
    return report


def _place(imod_half_pixel: bool) -> Place:
    return (conventions.IMOD_MODEL if imod_half_pixel else conventions.CRYOLO_COORDS).place


FORMAT = Format(
    name=NAME,
    title="crYOLO coords",
    kind="poses",
    suffixes=(".coords",),
    compression=(".gz", ".bz2"),
    read=read,
    write=write,
    sniff=sniff,
    keeps=_KEEPS,
    tolerance={"position": 1e-6},
    evidence=conventions.CRYOLO_COORDS.evidence,
    url="https://cryolo.readthedocs.io",
)
