"""cryoSPARC ``.cs`` files of particles.

``alignments*/pose`` is a rotation vector in radians that turns the particle into the reference (in
2D RELION's psi in radians), ``alignments*/shift`` is subtracted and counts pixels of
``alignments*/psize_A``, ``location/center_x_frac`` and ``center_y_frac`` are fractions of the
micrograph's size, and ``location/micrograph_shape`` is (ny, nx). The rows are in
`cryotypes.conventions`.

Two things nothing in the file tells, and nobody has established: in which direction y counts
(``flip_y``; MotionCor's micrographs are upside down relative to cryoSPARC's own), and the sign of
the 2D angle (``psi_sign``).

https://guide.cryosparc.com/setup-configuration-and-management/software-system-guides/manipulating-.cs-files-created-by-cryosparc
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from cryotypes.conventions._table import CRYOSPARC, CRYOSPARC_2D
from cryotypes.formats.poses._particles import Particles, to_posesets
from cryotypes.formats.shared.declaration import Format, Head

from ._passthrough import with_passthrough
from ._read import Rows
from ._table import NPY, STREAM, read_table
from ._write import KEEPS, NAME, write

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike
    from pathlib import Path

    from cryotypes.poseset import PoseSet


def sniff(head: Head) -> bool:
    """NumPy's or cryoSPARC's magic, and a field called uid."""
    if not head.data.startswith((NPY, STREAM)):
        return False
    return any(word in head.data for word in (b"'uid'", b'"uid"'))


def read(
    path: Path,
    *,
    passthrough: str | PathLike[str] | Sequence[str | PathLike[str]] | None = None,
    alignments: str | None = None,
    flip_y: bool = False,
    psi_sign: Literal[1, -1] = 1,
    experiment: Literal["path", "uid"] = "path",
    micrograph_shape: Sequence[int] | None = None,
    pixel_spacing: float | None = None,
) -> list[PoseSet]:
    """Read particles, one PoseSet a micrograph (and pixel spacing), in order of appearance.

    Parameters
    ----------
    path : path
        A plain ``.cs``; the compressed kind needs the package cryosparc-tools.
    passthrough : path or list of paths, optional
        Files whose fields are joined by uid; an empty list joins none. By default the
        ``*_passthrough_*.cs`` beside the file, if the job's number and the output's name in it
        are those of the file.
    alignments : str, optional
        Where poses are, e.g. ``"alignments2D"`` or ``"alignments_class_0"``. By default
        alignments3D, else alignments3D_multi (the class of highest posterior), else alignments2D.
    flip_y : bool
        Turn the micrographs upside down: y becomes height - y, with shifts and orientations.
    psi_sign : {1, -1}
        Sign of 2D angles, relative to RELION's psi; which one is right is not established.
    experiment : {"path", "uid"}
        Whether micrographs are called by their path or their uid. Without micrographs, it is the
        path of the particle images.
    micrograph_shape : (ny, nx), optional
        Pixels of the micrographs, where the file does not tell.
    pixel_spacing : float, optional
        Å per pixel of the micrographs, where the file does not tell or is wrong.

    Returns
    -------
    list of PoseSet
        ``features`` hold all other fields, those of several values as ``name[i]``; ``metadata``
        their types and order, so that `write` gives the same file back.

    Raises
    ------
    ReadError
        If the file holds no particles, is damaged, or does not tell the micrographs' size.

    Warns
    -----
    GuessWarning
        If the particles have no positions, or the micrographs' pixel size is not stated and that
        of the particle images, which may be larger, is taken.
    """
    table = read_table(path)
    joined = with_passthrough(table, path, passthrough)
    rows = Rows(path, table, alignments, psi_sign)
    located = rows.located(passthrough is None)
    spacing = rows.spacing(pixel_spacing, located)
    size = rows.size(micrograph_shape, located)
    position, shift, orientation = rows.poses(size, spacing, located, flip_y)
    codes, names, field, written = rows.experiments(experiment)
    particles = Particles(
        position=position,
        experiments=names,
        codes=codes,
        spacing=spacing,
        shift=shift,
        orientation=orientation,
        features=rows.features(field),
        located=located,
    )
    metadata = {
        "format": NAME,
        "ndim": 2,
        "fields": table.fields,
        "alignments": rows.group,
        "psi_sign": psi_sign,
        "flip_y": flip_y,
        "experiment_field": field,
        "experiment_texts": written,
        "passthrough": joined,
    }

    def metadata_of(_: str, spacing: float) -> dict[str, Any]:
        return {**metadata, "micrograph_pixel_spacing": spacing}

    return to_posesets(particles, path, metadata_of)


FORMAT = Format(
    name=NAME,
    title="cryoSPARC particles",
    kind="poses",
    suffixes=(".cs",),
    read=read,
    write=write,
    sniff=sniff,
    keeps=KEEPS,
    tolerance={"position": 1e-3, "shift": 1e-5, "orientation": 1e-4, "pixel_spacing": 1e-6},
    needs=(),
    evidence=f"{CRYOSPARC.evidence}; 2D: {CRYOSPARC_2D.evidence}",
    url="https://guide.cryosparc.com/setup-configuration-and-management/"
    "software-system-guides/manipulating-.cs-files-created-by-cryosparc",
)
