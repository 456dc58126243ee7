"""RELION particle STAR files: 2.x, 3.0, 3.1, 4 and 5; single particles and tomography.

Angles are rot, tilt, psi; origins are subtracted; coordinates count from the centre of the first
pixel, or (5) in Å from the tomogram's centre N / 2. In tomography the orientation is the
subtomogram's times the particle's, and origins are in the subtomogram's frame. The rows are in
`cryotypes.conventions`.

https://relion.readthedocs.io/en/latest/Reference/Conventions.html
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cryotypes.formats.shared.declaration import Format, Head
from cryotypes.formats.shared.relion_project import DATA_FILE, PARTICLES_FILE, Project
from cryotypes.formats.shared.star import has_labels
from cryotypes.formats.shared.strangers import other_star

from . import _labels as labels
from ._listed import FILE_LABELS, with_listed
from ._read import PARTICLE_LABELS, Rows, read_named
from ._tomograms import Tomograms
from ._write import KEEPS, write

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from os import PathLike

    from cryotypes.poseset import PoseSet


def sniff(head: Head) -> bool:
    """STAR text with coordinates, angles or image names; or a file that names one."""
    if other_star(head.words) is not None:  # of these, only an optimiser names particles
        return has_labels(head, DATA_FILE)
    if has_labels(head, "rlnTomoTiltSeriesStarFile", "rlnTomoNominalStageTiltAngle"):
        return False
    return has_labels(head, *PARTICLE_LABELS, *FILE_LABELS, PARTICLES_FILE, DATA_FILE)


def read(
    path: Path,
    *,
    tomograms: str | PathLike[str] | None = None,
    tomogram_dimensions: Sequence[float] | Mapping[str, Sequence[float]] | None = None,
    tomogram_spacing: float | None = None,
    pixel_spacing: float | None = None,
    picker_centre: bool = False,
    normalised: bool = False,
    experiments: Sequence[str] | None = None,
) -> list[PoseSet]:
    """Read particles, one PoseSet an experiment (and pixel spacing), in order of appearance.

    RELION 2 to 5, Warp and WarpTools (3D and 2D stacks), pytom-match-pick, and coordinates of one
    micrograph, which are then called by the file's name.

    Parameters
    ----------
    path : path
        A particle STAR file; an optimisation_set.star or a refinement's …_optimiser.star that
        names one; or a list of files of coordinates (autopick.star, lists to be imported).
    tomograms : path, optional
        tomograms.star or optimisation_set.star, for the sizes that centred coordinates need. By
        default the optimisation sets beside the file are asked, then a tomograms.star beside it.
    tomogram_dimensions : (x, y, z), or dict of these by experiment, optional
        In pixels of the unbinned tilt series, instead.
    tomogram_spacing : float, optional
        Å per pixel in which tomogram_dimensions is counted; by default what tomograms.star, else
        the particle file (rlnTomoTiltSeriesPixelSize), states.
    pixel_spacing : float, optional
        Å per pixel of the coordinates, where the file does not tell or is wrong.
    picker_centre : bool
        Centred coordinates count from N / 2 - 1, as in files of RELION 5's Python picker and of
        pytom-match-pick with RELION's metadata, instead of N / 2.
    normalised : bool
        Coordinates are fractions of the tomogram's size, as WarpTools' template matching writes.
    experiments : list of str, optional
        Nothing of the others is needed, e.g. their tomograms' size; all are read where none of
        them is there.

    Returns
    -------
    list of PoseSet
        ``features`` hold all other columns, with the row in the file as index; ``metadata`` the
        dialect, the order of the columns, the other blocks, and the tomogram's size.

    Raises
    ------
    ReadError
        If the file holds no particles, a pose column holds text, or centred coordinates lack the
        tomogram's size.

    Warns
    -----
    GuessWarning
        If there are no coordinates; if their pixel size is doubtful; if tomograms.star states
        another pixel size of the tilt series than the particle file (RELION goes by
        tomograms.star); if particles lie outside their tomogram, or coordinates look like
        fractions of its size.
    """
    given = None if tomograms is None else Path(tomograms)
    path, blocks, given = read_named(path, given)
    project = Project(path)
    blocks = with_listed(blocks, project, experiments or ())
    known = Tomograms(tomogram_dimensions, tomogram_spacing, project.tomograms, given)
    rows = Rows(path, blocks, known, experiments or ())
    rows.picker_centre, rows.normalised = picker_centre, normalised
    rows.set_spacing(pixel_spacing)
    return rows.posesets()


FORMAT = Format(
    name=labels.NAME,
    title="RELION particle STAR",
    kind="poses",
    suffixes=(".star",),
    compression=(".gz", ".bz2"),
    read=read,
    write=write,
    sniff=sniff,
    keeps=KEEPS,
    tolerance={"position": 1e-6, "shift": 1e-6, "orientation": 1e-6},
    evidence="; ".join(
        f"{d.convention.name}: {d.convention.evidence}" for d in labels.DIALECTS.values()
    ),
    url="https://relion.readthedocs.io/en/latest/Reference/Conventions.html",
)
