"""Lists of coordinate files: RELION's autopick.star, and what its import of coordinates takes.

Each row names a micrograph or tomogram and the file of its coordinates, a STAR file or text
(``rlnTomoImportParticleFile``: `relion_tomo_import_particles`, RELION's documentation, and
pytom_merge_stars; ``rlnMicrographCoordinates``: the ``coordinate_files`` of RELION 3.1 and later).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from cryotypes.errors import ReadError
from cryotypes.formats.poses import eman_box
from cryotypes.formats.shared.relion_project import Project
from cryotypes.formats.shared.rows import read_list, read_numbers
from cryotypes.formats.shared.star import Block, describe_blocks, read_star

from . import _labels as labels

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# What the rows name, the files' label, and how many coordinates a point has.
_LISTS = (
    ("rlnTomoName", "rlnTomoImportParticleFile", 3),
    ("rlnMicrographName", "rlnMicrographCoordinates", 2),
)
FILE_LABELS = tuple(label for _, label, _ in _LISTS)


def with_listed(blocks: list[Block], project: Project, experiments: Sequence[str]) -> list[Block]:
    """Put the particles of all files in the place of the block that lists these.

    Parameters
    ----------
    blocks : list of Block
    project : Project
        Of the file.
    experiments : sequence of str
        Only files of these are read, if any of them is listed.

    Raises
    ------
    ReadError
        If a file is missing, holds no coordinates, or has optics of its own that others lack.
    """
    for experiment, label, ndim in _LISTS:
        listing = next((b for b in blocks if {experiment, label} <= set(b.table.columns)), None)
        if listing is not None:
            rows = [(str(n), str(f)) for n, f in listing.table.select(experiment, label).rows()]
            rows = [row for row in rows if row[0] in experiments] or rows
            found = [_particles(experiment, name, file, ndim, project) for name, file in rows]
            return _joined([b for b in blocks if b is not listing], found, project.file)
    return blocks


def _joined(
    blocks: list[Block], found: list[tuple[pl.DataFrame, pl.DataFrame | None]], path: Path
) -> list[Block]:
    tables = [table for table, _ in found]
    particles = pl.concat(tables, how="diagonal_relaxed") if tables else pl.DataFrame()
    optics = next((b.table for b in blocks if b.name == "optics"), None)
    if optics is None and found and found[0][1] is not None:
        optics = found[0][1]
        if any(other is None or not other.equals(optics) for _, other in found):
            raise ReadError(
                "the listed files have different optics, whose groups would be mixed up: read "
                "them one by one",
                path,
            )
        blocks = [*blocks, Block("optics", optics)]
    group = labels.GROUP
    if optics is not None and optics.height == 1 and group in optics and group not in particles:
        particles = particles.with_columns(pl.lit(optics[group][0]).alias(group))
    return [*blocks, Block("particles", particles)]


def _particles(
    experiment: str, name: str, file: str, ndim: int, project: Project
) -> tuple[pl.DataFrame, pl.DataFrame | None]:
    """Read the particles of one file that are in one tomogram or micrograph, and its optics."""
    found = project.find(file, f"the file of coordinates of {name!r}")
    if found.suffix.lower() == ".box":
        positions = np.asarray(eman_box.read(found)[0].position)
        table = pl.DataFrame(dict(zip(labels.COORDINATES[:ndim], positions.T, strict=False)))
        return _named(table, experiment, name), None
    raw = read_list(found)
    if b"data_" not in raw:
        numbers = read_numbers(raw, found, ("x", "y", "z")[:ndim], required=ndim, finite=ndim)
        table = pl.DataFrame(dict(zip(labels.COORDINATES, numbers.T, strict=False)))
        return _named(table, experiment, name), None
    blocks = read_star(found)
    coordinates = {labels.COORDINATES[0], labels.CENTRED[0]}
    holding = [b.table for b in blocks if not coordinates.isdisjoint(b.table.columns)]
    if len(holding) != 1:
        expected = "one block with rlnCoordinateX or rlnCenteredCoordinateXAngst"
        raise ReadError(f"expected {expected}, found {describe_blocks(blocks)}", found)
    optics = next((b.table for b in blocks if b.name == "optics"), None)
    return _named(holding[0], experiment, name), optics


def _named(table: pl.DataFrame, experiment: str, name: str) -> pl.DataFrame:
    """Take the rows of this name if the file tells names, too; else they all are."""
    if experiment in table:
        own = table.filter(pl.col(experiment).cast(pl.String) == name)
        if own.height:
            return own
    return table.with_columns(pl.lit(name).alias(experiment))
