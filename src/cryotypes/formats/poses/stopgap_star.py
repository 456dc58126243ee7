"""STOPGAP's motive lists: STAR files with one block, ``stopgap_motivelist``.

Rotations are by phi, the, psi about z, x, z, from reference to particle (sg_euler2matrix.m);
shifts are added (sg_motl_apply_shifts.m); coordinates are MATLAB indices, from 1, since the
program cuts volumes with them (extract_parse_subtomo_positions.m). cryoCAT and STOPGAP's own
converter from Dynamo pass other programs' numbers unchanged: ``index_base=0`` for those from 0.

Labels have neither RELION's prefix nor its ``#1``; a blank line parts them from the rows, and
STOPGAP refuses labels that it does not know (sg_motl_read2.m), so no others are written.

https://github.com/wan-lab-vanderbilt/STOPGAP
"""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any

import numpy as np
import polars as pl

from cryotypes.conventions import (
    _table,
    decode_orientation,
    decode_position,
    decode_shift,
)
from cryotypes.errors import ReadError, WriteError
from cryotypes.formats.shared.declaration import Format, Head
from cryotypes.formats.shared.finite import finite_column
from cryotypes.formats.shared.rows import number_rows
from cryotypes.formats.shared.star import find_block_names, read_star
from cryotypes.formats.shared.tables import to_pandas
from cryotypes.loss import LossReport

from . import _fixed_columns
from ._particles import Particles, join_poses, to_posesets
from ._tomogram_numbers import decode_numbers, writing_with_map

if TYPE_CHECKING:
    from os import PathLike
    from pathlib import Path

    from numpy.typing import NDArray
    from scipy.spatial.transform import Rotation

    from cryotypes.poseset import PoseSet

NAME = "stopgap-star"
BLOCK = "stopgap_motivelist"
CONVENTION = _table.AV3
KEEPS = frozenset({"position", "shift", "orientation", "experiment_id"})

LABELS = (
    "motl_idx", "tomo_num", "object", "subtomo_num", "halfset", "orig_x", "orig_y", "orig_z",
    "score", "x_shift", "y_shift", "z_shift", "phi", "psi", "the", "class",
)  # fmt: skip
POSITION, SHIFT = ("orig_x", "orig_y", "orig_z"), ("x_shift", "y_shift", "z_shift")
ANGLES = ("phi", "the", "psi")  # in the order of rotation
_POSE = {*POSITION, *SHIFT, *ANGLES, "tomo_num"}
_LARGEST = 2**31 - 1  # int32
_DEFAULTS = {"object": 1, "class": 1}
_ALIASES = {"score": "cc", "object": "reg"}


def sniff(head: Head) -> bool:
    """Whether a STAR block is called stopgap_motivelist."""
    return BLOCK in find_block_names(head.data)


def read(
    path: Path,
    *,
    tomogram_names: str | PathLike[str] | None = None,
    pixel_spacing: float | None = None,
    index_base: int | None = None,
) -> list[PoseSet]:
    """Read particles, one PoseSet a tomogram, in order of appearance.

    Parameters
    ----------
    path : path
    tomogram_names : path, optional
        Map of tomogram numbers to names, two columns. By default the .doc of the same name beside
        the list; a number without a name is called by its digits.
    pixel_spacing : float, optional
        Å per pixel, which the file does not say.
    index_base : {1, 0}, optional
        Coordinate of the first voxel: 1, unless given.

    Returns
    -------
    list of PoseSet
        ``features`` hold the other columns, among them the halves (A, B).

    Raises
    ------
    ReadError
        If there is no such block, coordinates are missing, or a pose is not a number.
    """
    table = _read_table(path)
    spacing = np.full(table.height, float(pixel_spacing or 0))
    place = _fixed_columns.count_from(CONVENTION.place, index_base)
    numbers = finite_column(table, "tomo_num", path, BLOCK)
    codes, experiments, known = decode_numbers(numbers, path, tomogram_names, "tomo_num")
    position = _vectors(table, POSITION, path)
    if position is None:
        raise ReadError(f"expected the labels {', '.join(POSITION)}, found none of them", path)
    particles = Particles(
        position=decode_position(position, place, spacing[:, None]),
        experiments=experiments,
        codes=codes,
        spacing=spacing,
        shift=_shift(table, spacing, path),
        orientation=_orientation(table, path),
        features=to_pandas(table, without=_POSE),
    )
    metadata = {
        "format": NAME,
        "index_base": place.zero[0],
        "labels": table.columns,
        "tomogram_numbers": known,
    }
    return to_posesets(particles, path, metadata)


def _read_table(path: Path) -> pl.DataFrame:
    blocks = [block for block in read_star(path) if block.name == BLOCK]
    if len(blocks) != 1:
        raise ReadError(f"expected one block data_{BLOCK}, found {len(blocks)}", path)
    table = blocks[0].table
    if "tomo_num" not in table:
        listing = ", ".join(table.columns) or "none"
        raise ReadError(f"block {BLOCK!r}: expected the label tomo_num, found {listing}", path)
    return table.with_columns([table["halfset"].cast(pl.String)] if "halfset" in table else [])


def _vectors(table: pl.DataFrame, names: tuple[str, ...], path: Path) -> NDArray[np.float64] | None:
    """Return three columns; None if none of them is there."""
    missing = [name for name in names if name not in table]
    if len(missing) == len(names):
        return None
    if missing:
        raise ReadError(f"expected the labels {', '.join(names)}, found no {missing[0]}", path)
    return np.stack([finite_column(table, name, path, BLOCK) for name in names], axis=1)


def _shift(
    table: pl.DataFrame, spacing: NDArray[np.float64], path: Path
) -> NDArray[np.float64] | None:
    written = _vectors(table, SHIFT, path)
    return None if written is None else decode_shift(written, CONVENTION.offset, spacing[:, None])


def _orientation(table: pl.DataFrame, path: Path) -> Rotation | None:
    angles = _vectors(table, ANGLES, path)
    return None if angles is None else decode_orientation(angles, CONVENTION.turn)


def write(
    data: list[PoseSet],
    path: Path,
    *,
    overwrite: bool = False,
    tomogram_names: str | PathLike[str] | None = None,
    index_base: int | None = None,
) -> LossReport:
    """Write a motive list, and beside it a .doc that names the tomograms, unless numbers do.

    Parameters
    ----------
    data : list of PoseSet
    path : path
    overwrite : bool
        Also of a .doc beside that says otherwise.
    tomogram_names : path, optional
        Map of numbers to names, two columns, by which tomograms are numbered. By default as they
        were numbered when read, as their own digits, else from 1.
    index_base : {1, 0}, optional
        Coordinate of the first voxel. By default as read, else 1.

    Raises
    ------
    WriteError
        If a tomogram is not in ``tomogram_names``, a whole number needs more than 32 bits, a half
        is not one word, or an experiment's name cannot stand in a .doc.
    """
    report = LossReport()
    particles = join_poses(data, path, report, KEEPS, [NAME])
    if index_base is None:
        index_base = _fixed_columns.as_read(particles, "index_base")
    numbers = _fixed_columns.tomogram_numbers(particles, report, _LARGEST, tomogram_names)
    place = _fixed_columns.count_from(CONVENTION.place, index_base)
    columns = _columns(particles, report, path)
    columns["tomo_num"] = np.array(numbers, dtype=np.int64)[particles.codes]
    labels = (POSITION, SHIFT, ANGLES)
    columns |= _fixed_columns.pose_columns(particles, CONVENTION, place, labels, report)
    with writing_with_map(path, overwrite, particles.experiments, numbers) as file:
        _write_table(file, pl.DataFrame({name: columns[name] for name in LABELS}))
    return report


def _columns(particles: Particles, report: LossReport, path: Path) -> dict[str, Any]:
    """Return the columns that are features."""
    features = _fixed_columns.Features(particles, report)
    counted = np.arange(1, len(particles) + 1)
    columns: dict[str, Any] = {
        "subtomo_num": features.identifiers("subtomo_num", "tag"),
        "motl_idx": features.numbers("motl_idx", counted),
        "halfset": pl.Series(features.texts("halfset", "A").tolist(), dtype=pl.String),
    }
    bad = columns["halfset"].str.contains(r"""^$|\s|^["'#_$]|["']$""")
    if bad.any():
        found = columns["halfset"].filter(bad)[0]
        raise WriteError(f"halfset: expected a word such as A or B, found {found!r}", path)
    for name in ("object", "score", "class"):
        default, alias = _DEFAULTS.get(name, 0), _ALIASES.get(name, "")
        columns[name] = features.numbers(name, default, alias)
    features.finish(particles)
    for name in ("motl_idx", "subtomo_num", "object", "class"):
        _fixed_columns.need_range(columns[name], name, _LARGEST, "STOPGAP's are int32", path)
    return columns


def _write_table(file: IO[bytes], table: pl.DataFrame) -> None:
    labels = "".join(f"_{name}\n" for name in table.columns)
    file.write(f"\ndata_{BLOCK}\n\nloop_\n{labels}\n".encode())
    file.write(number_rows(table, " "))


FORMAT = Format(
    name=NAME,
    title="STOPGAP motive list",
    kind="poses",
    suffixes=(".motl", ".star"),
    compression=(".gz", ".bz2"),
    read=read,
    write=write,
    sniff=sniff,
    keeps=KEEPS,
    tolerance={"position": 1e-6, "shift": 1e-9, "orientation": 1e-6},
    evidence=CONVENTION.evidence,
    url="https://github.com/wan-lab-vanderbilt/STOPGAP",
)
