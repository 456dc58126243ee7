"""Dynamo's particle tables: `.tbl`, and the `.doc` that names the tomograms.

A row a particle, 26 to 42 numbers: tag, …, dx, dy, dz (added to the position), tdrot, tilt, narot,
…, the tomogram's number, …, x, y, z. Angles are ZXZ, clockwise about the particle's own axes, from
the template to the particle (Dynamo ≥ 0.8). Coordinates are continuous, zero is the corner of the
first voxel, so its centre is 0.5; converters from RELION and other programs often pass their
numbers unchanged, for which there is ``corner_offset=0``.

https://wiki.dynamo.biozentrum.unibas.ch/w/index.php/Table_convention
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from cryotypes.conventions import (
    _table,
    decode_orientation,
    decode_position,
    decode_shift,
)
from cryotypes.formats.shared.declaration import Format, Head
from cryotypes.formats.shared.files import read_text
from cryotypes.formats.shared.rows import number_rows, read_columns
from cryotypes.formats.shared.tables import to_pandas
from cryotypes.loss import LossReport

from . import _fixed_columns
from ._particles import Particles, join_poses, to_posesets
from ._tomogram_numbers import decode_numbers, writing_with_map

if TYPE_CHECKING:
    from os import PathLike
    from pathlib import Path

    from numpy.typing import NDArray

    from cryotypes.poseset import PoseSet

NAME = "dynamo-tbl"
CONVENTION = _table.DYNAMO
KEEPS = frozenset({"position", "shift", "orientation", "experiment_id", "pixel_spacing"})

COLUMNS = (
    "tag", "aligned", "averaged", "dx", "dy", "dz", "tdrot", "tilt", "narot", "cc", "cc2",
    "cpu", "ftype", "ymintilt", "ymaxtilt", "xmintilt", "xmaxtilt", "fs1", "fs2", "tomo", "reg",
    "class", "annotation", "x", "y", "z", "dshift", "daxis", "dnarot", "dcc", "otag", "npar",
    "column_33", "ref", "sref", "apix", "def", "column_38", "column_39", "column_40", "eig1",
    "eig2",
)  # fmt: skip
FEWEST = COLUMNS.index("z") + 1
POSITION, SHIFT, ANGLES = ("x", "y", "z"), ("dx", "dy", "dz"), ("tdrot", "tilt", "narot")
_POSE = {*POSITION, *SHIFT, *ANGLES, "tomo", "apix"}
# What is not 0 by default, and what STOPGAP (sg_motl_dynamo_to_stopgap.m) calls the same.
_DEFAULTS = {"aligned": 1, "averaged": 1}
_ALIASES = {"cc": "score", "reg": "object"}
_UNSIGNED = r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|(?i:nan|inf)"
# MATLAB's complex numbers: 1+2i, 1e-3-0i, NaN+0i; a purely imaginary one has no real part
_COMPLEX = rf"^([+-]?(?:{_UNSIGNED}))[+-](?:{_UNSIGNED})\*?[ij]$"
_IMAGINARY = rf"^[+-]?(?:{_UNSIGNED})\*?[ij]$"
_WORD = re.compile(
    rf"[+-]?(?:{_UNSIGNED})(?:[+-](?:{_UNSIGNED})\*?[ij])?|[+-]?(?:{_UNSIGNED})\*?[ij]".encode()
)


def sniff(head: Head) -> bool:
    """Whether this is called .tbl, and its first line holds 26 to 42 numbers (or nothing)."""
    if head.suffix != ".tbl" or not head.data:
        return False
    line = head.data.lstrip().split(b"\n")[0].split()
    if not line:
        return len(head.data) < 1024
    return FEWEST <= len(line) <= len(COLUMNS) and all(map(_WORD.fullmatch, line))


def read(
    path: Path,
    *,
    tomogram_names: str | PathLike[str] | None = None,
    pixel_spacing: float | None = None,
    corner_offset: float | None = None,
) -> list[PoseSet]:
    """Read particles, one PoseSet a tomogram, in order of appearance.

    Parameters
    ----------
    path : path
    tomogram_names : path, optional
        Map of tomogram numbers to names (Dynamo's .doc). By default the .doc of the same name
        beside the table; a number without a name is called by its digits.
    pixel_spacing : float, optional
        Å per pixel. By default column 36 (apix) where it is above 0, else unknown.
    corner_offset : float, optional
        Coordinate of the first voxel's centre: Dynamo's 0.5, unless given; 0 for tables by
        programs that pass RELION's or STOPGAP's numbers unchanged.

    Returns
    -------
    list of PoseSet
        ``features`` hold the other columns under Dynamo's names.

    Raises
    ------
    ReadError
        If rows differ in length or are not 26 to 42 numbers, or a pose is not finite.
    """
    raw = read_text(path)
    table = read_columns(raw, path, COLUMNS, required=FEWEST, other=_real_parts)
    columns = {name: table[name].to_numpy() for name in table.columns}
    place = _fixed_columns.count_from(CONVENTION.place, corner_offset)
    codes, experiments, numbers = decode_numbers(columns["tomo"], path, tomogram_names, "tomo (20)")
    offset = CONVENTION.offset
    spacing = _spacing(columns, table.height, pixel_spacing)
    pixel = spacing[:, None]
    particles = Particles(
        position=decode_position(_fixed_columns.vectors(columns, POSITION, path), place, pixel),
        experiments=experiments,
        codes=codes,
        spacing=spacing,
        shift=decode_shift(_fixed_columns.vectors(columns, SHIFT, path), offset, pixel),
        orientation=decode_orientation(
            _fixed_columns.vectors(columns, ANGLES, path), CONVENTION.turn
        ),
        features=to_pandas(table, without=_POSE),
    )
    metadata = {
        "format": NAME,
        "columns": table.width,
        "corner_offset": place.zero[0],
        "tomogram_numbers": numbers,
    }
    return to_posesets(particles, path, metadata)


def _real_parts(texts: pl.Series) -> pl.Series:
    """Make numbers of words, of which some are complex: their real parts."""
    numbers = texts.cast(pl.Float64, strict=False)
    numbers = numbers.fill_null(texts.str.extract(_COMPLEX, 1).cast(pl.Float64, strict=False))
    return numbers.set(texts.str.contains(_IMAGINARY) & numbers.is_null(), 0.0)


def _spacing(columns: dict[str, NDArray[Any]], n: int, given: float | None) -> NDArray[np.float64]:
    if given is not None:
        return np.full(n, float(given))
    written = np.asarray(columns.get("apix", np.zeros(n)), dtype=float)
    return np.where(np.isfinite(written) & (written > 0), written, 0.0)


def write(
    data: list[PoseSet],
    path: Path,
    *,
    overwrite: bool = False,
    tomogram_names: str | PathLike[str] | None = None,
    corner_offset: float | None = None,
) -> LossReport:
    """Write a table, and beside it the .doc that names its tomograms, unless numbers do.

    Parameters
    ----------
    data : list of PoseSet
    path : path
    overwrite : bool
        Also of a .doc beside that says otherwise.
    tomogram_names : path, optional
        Map of numbers to names, two columns, by which tomograms are numbered. By default as they
        were numbered when read, as their own digits, else from 1.
    corner_offset : float, optional
        Coordinate of the first voxel's centre. By default as read, else Dynamo's 0.5.

    Raises
    ------
    WriteError
        If a tomogram is not in ``tomogram_names``, an experiment's name cannot stand in a .doc.
    """
    report = LossReport()
    particles = join_poses(data, path, report, KEEPS, [NAME])
    if corner_offset is None:
        corner_offset = _fixed_columns.as_read(particles, "corner_offset")
    numbers = _fixed_columns.tomogram_numbers(particles, report, names=tomogram_names)
    features = _fixed_columns.Features(particles, report)
    columns = _columns(particles, features, report)
    place = _fixed_columns.count_from(CONVENTION.place, corner_offset)
    labels = (POSITION, SHIFT, ANGLES)
    columns |= _fixed_columns.pose_columns(particles, CONVENTION, place, labels, report)
    columns["tomo"] = np.array(numbers, dtype=np.int64)[particles.codes]
    columns["apix"] = particles.spacing
    if not len(particles) and any(poses.pixel_spacing for poses in data):
        report.kept.remove("pixel_spacing")
        report.lost["pixel_spacing"] = "a table without rows has none"
    order = COLUMNS[: _width(particles, features.asked)]
    table = pl.DataFrame({name: np.asarray(columns[name]) for name in order})
    with writing_with_map(path, overwrite, particles.experiments, numbers) as file:
        file.write(number_rows(table, " "))
    return report


def _width(particles: Particles, features: set[str]) -> int:
    """As many columns as were read, and enough for the features and the pixel spacing."""
    needed = [name for name in COLUMNS if name in features or name == "z"]
    if particles.spacing.any():
        needed.append("apix")
    read_as = _fixed_columns.as_read(particles, "columns") or len(COLUMNS)
    return int(min(max(read_as, *(COLUMNS.index(n) + 1 for n in needed)), len(COLUMNS)))


def _columns(
    particles: Particles, features: _fixed_columns.Features, report: LossReport
) -> dict[str, NDArray[Any]]:
    """Return the columns that are features; each row has a tag of its own, above 0."""
    columns: dict[str, NDArray[Any]] = {"tag": features.identifiers("tag", "subtomo_num")}
    if len(np.unique(columns["tag"])) < len(particles) or (columns["tag"] < 1).any():
        columns["tag"] = np.arange(1, len(particles) + 1)
        report.converted["tag"] = "1 to n; some were there twice, or not above 0"
    for name in COLUMNS:
        if name not in columns and name not in _POSE:
            default, alias = _DEFAULTS.get(name, 0), _ALIASES.get(name, "")
            columns[name] = features.numbers(name, default, alias, say=name in _DEFAULTS)
    features.finish(particles)
    return columns


FORMAT = Format(
    name=NAME,
    title="Dynamo table",
    kind="poses",
    suffixes=(".tbl",),
    compression=(".gz", ".bz2"),
    read=read,
    write=write,
    sniff=sniff,
    keeps=KEEPS,
    tolerance={"position": 1e-6, "shift": 1e-9, "orientation": 1e-6},
    evidence=CONVENTION.evidence,
    url="https://wiki.dynamo.biozentrum.unibas.ch/w/index.php/Table_convention",
)
