"""crYOLO's ``.cbox``: STAR since crYOLO 1.8, before that text; also written by TomoTwin.

X and Y are the box's lowest corner, Z is the centre, in pixels counted from 0 of the image or
tomogram that was picked on (napari-boxmanager's and tomotwin-cryoet's source). In single images Z
is missing. ``Angle``, the direction of a filament in the plane, is a feature, not an orientation:
its unit and sense are not verified.

The older text has no labels: ``x y width height confidence`` and perhaps the estimated size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
import polars as pl

from cryotypes.conventions import _table as conventions
from cryotypes.conventions import decode_position, encode_position
from cryotypes.errors import ReadError
from cryotypes.formats.shared.declaration import Format, Head
from cryotypes.formats.shared.files import writing_bytes
from cryotypes.formats.shared.finite import finite_column
from cryotypes.formats.shared.rows import (
    is_empty_list,
    looks_like_numbers,
    number_rows,
    read_list,
    read_numbers,
)
from cryotypes.formats.shared.star import (
    Block,
    describe_blocks,
    find_block_names,
    read_star,
    write_star,
)
from cryotypes.formats.shared.tables import block_of, content_of, to_pandas, to_polars
from cryotypes.loss import LossReport
from cryotypes.names import strip_path_and_suffix

from ._boxes import HEIGHT, WIDTH, box_sizes, refuse_z, whole_numbers
from ._particles import Particles, join_poses, lose_features, metadata_for, to_posesets

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from cryotypes.poseset import PoseSet

_PLACE = conventions.CRYOLO_CBOX.place
_POSITION = ("CoordinateX", "CoordinateY", "CoordinateZ")
_SIZE = ("Width", "Height")
_REST = ("EstWidth", "EstHeight", "Confidence", "NumBoxes", "Angle")
NAME = "cryolo-cbox"
_LABELS = (*_POSITION, *_SIZE, "Depth", *_REST)
_TEXT = ("x", "y", "Width", "Height", "Confidence", "EstWidth", "EstHeight")


def sniff(head: Head) -> bool:
    """STAR with a block cryolo; or rows of five to seven numbers, or nothing, in a .cbox."""
    if b"data_" in head.data:
        return "cryolo" in find_block_names(head.data) and b"_CoordinateX" in head.data
    if head.suffix != ".cbox":
        return False
    return is_empty_list(head) or looks_like_numbers(head.data, range(5, 8))


def read(path: Path, *, pixel_spacing: float | None = None) -> list[PoseSet]:
    """Read the boxes of one image or tomogram.

    Parameters
    ----------
    path : path
    pixel_spacing : float, optional
        Å per pixel of what was picked on; the file does not tell.

    Returns
    -------
    list of PoseSet
        One, called like the file; features are all other columns (``Width``, ``Confidence`` …),
        metadata the other blocks.

    Raises
    ------
    ReadError
        If the boxes are not numbers, or some have a Z and some have none.

    Warns
    -----
    GuessWarning
        If the file is empty.
    """
    raw = read_list(path)
    spacing = pixel_spacing or 0.0
    if b"data_" in raw:
        particles, metadata = _read_star(path, spacing)
    else:
        particles, metadata = _read_text(raw, path, spacing)
    return to_posesets(particles, path, {"format": NAME, **metadata})


def _read_star(path: Path, spacing: float) -> tuple[Particles, dict[str, Any]]:
    blocks = read_star(path)
    found = [b for b in blocks if b.name == "cryolo"]
    needed = {*_POSITION[:2], *_SIZE}
    if len(found) != 1 or needed.difference(found[0].table.columns):
        raise ReadError(
            f"expected one block 'cryolo' with {', '.join(sorted(needed))}, found "
            f"{describe_blocks(blocks)}",
            path,
        )
    table = found[0].table
    z = _depths(table, path)
    x, y, width, height = (
        finite_column(table, n, path, "cryolo") for n in (*_POSITION[:2], *_SIZE)
    )
    corners = np.column_stack([x, y, np.zeros(table.height) if z is None else z])
    metadata = {
        "dialect": "star",
        "ndim": 2 if z is None else 3,
        "labels": table.columns,
        "blocks": {b.name: None if b is found[0] else content_of(b) for b in blocks},
    }
    rest = to_pandas(table, without=_POSITION)
    return _particles(corners, np.column_stack([width, height]), rest, path, spacing), metadata


def _depths(table: pl.DataFrame, path: Path) -> NDArray[np.float64] | None:
    """Return Z; None in a single image, where it is missing throughout."""
    if _POSITION[2] not in table:
        return None
    column = table[_POSITION[2]]
    absent = column.null_count() + (column.is_nan().sum() if column.dtype.is_float() else 0)
    return (
        None
        if absent == table.height and table.height
        else finite_column(table, _POSITION[2], path, "cryolo")
    )


def _read_text(raw: bytes, path: Path, spacing: float) -> tuple[Particles, dict[str, Any]]:
    table = read_numbers(raw, path, _TEXT, required=5, finite=4)
    corners = np.column_stack([table[:, :2], np.zeros(len(table))])
    rest = {_TEXT[i]: whole_numbers(table[:, i]) for i in (2, 3)}
    rest |= {_TEXT[i]: table[:, i] for i in range(4, table.shape[1])}
    metadata = {"dialect": "text", "ndim": 2, "labels": list(_TEXT[: table.shape[1]])}
    return _particles(corners, table[:, 2:4], pd.DataFrame(rest), path, spacing), metadata


def _particles(
    corners: NDArray[np.float64],
    sizes: NDArray[np.float64],
    rest: pd.DataFrame,
    path: Path,
    spacing: float,
) -> Particles:
    n = len(corners)
    boxes = np.column_stack([sizes, np.zeros(n)])  # Z is the centre already
    return Particles(
        position=decode_position(corners, _PLACE, spacing, boxes),
        experiments=[strip_path_and_suffix(path.name)],
        codes=np.zeros(n, dtype=np.int64),
        spacing=np.full(n, spacing),
        features=rest,
    )


def write(
    data: list[PoseSet],
    path: Path,
    *,
    overwrite: bool = False,
    box_size: float | None = None,
    dialect: Literal["star", "text"] | None = None,
) -> LossReport:
    """Write the particles of one image or tomogram.

    Parameters
    ----------
    data : list of PoseSet
    path : path
    overwrite : bool
    box_size : float, optional
        Width, height and depth of all boxes in pixels; by default the features ``Width`` and
        ``Height`` (or EMAN's ``width`` and ``height``) are asked.
    dialect : {"star", "text"}, optional
        ``text`` is what crYOLO 1.7 and before reads, without z. By default as the file was read,
        else STAR.

    Raises
    ------
    WriteError
        If the size of the boxes is unknown, or the particles are of several images.
    """
    every = [metadata_for(p, [NAME]) for p in data]
    metadata = next((m for m in every if "format" in m), {})
    if (dialect or metadata.get("dialect", "star")) == "text":
        return _write_text(data, path, overwrite, box_size)
    report = LossReport()
    keeps = frozenset({"position", "features"})
    particles = join_poses(data, path, report, keeps, [NAME])
    flat = all(m.get("ndim") == 2 for m in every)
    flat = flat and not particles.position[:, 2].any()
    table = _table(particles, box_sizes(particles, box_size, path), box_size, flat, metadata)
    if particles.features is not None and particles.features.shape[1]:
        report.kept.append("features")
    with writing_bytes(path, overwrite) as file:
        write_star(file, _blocks(table, metadata, particles.position[:, 2], flat))
    return report


def _table(
    particles: Particles,
    sizes: NDArray[np.float64],
    box_size: float | None,
    flat: bool,
    metadata: dict[str, Any],
) -> pl.DataFrame:
    """Lay out the columns: those of the source, else crYOLO's, then all other features."""
    corners = encode_position(particles.position, _PLACE, particles.spacing[:, None], sizes)
    own = metadata.get("labels", _LABELS) if metadata.get("dialect") == "star" else _LABELS
    z = [] if flat else [_POSITION[2]]
    features = particles.features if particles.features is not None else pd.DataFrame()
    rest = to_polars(features.drop(columns=[n for n in _taken(box_size) if n in features]))
    columns: dict[str, pl.Series] = {}
    for i, name in enumerate(_POSITION[:2]):
        columns[name] = pl.Series(name, corners[:, i])
    for name in z:
        columns[name] = pl.Series(name, corners[:, 2])
    for i, name in enumerate(_SIZE):
        columns[name] = pl.Series(name, whole_numbers(sizes[:, i]))
    if "Depth" not in rest and not flat:
        columns["Depth"] = columns["Width"].rename("Depth")
    columns |= {column.name: column for column in rest}
    empty = pl.Series([None] * len(particles), dtype=pl.String)
    order = list(dict.fromkeys([*own, *z, *columns]))
    return pl.DataFrame([columns.get(name, empty.alias(name)).alias(name) for name in order])


def _taken(box_size: float | None) -> tuple[str, ...]:
    """The features that stand in the columns of sizes, and may not stand there twice."""
    return (*_POSITION, *WIDTH, *HEIGHT, *([] if box_size is None else ["Depth"]))


def _blocks(
    table: pl.DataFrame, metadata: dict[str, Any], z: NDArray[np.float64], flat: bool
) -> list[Block]:
    """Return the other blocks as they were read, else those that crYOLO expects."""
    own = Block("cryolo", table)
    contents = metadata.get("blocks")
    if contents:
        return [own if c is None else block_of(n, c) for n, c in contents.items()]
    version = Block("global", pl.DataFrame({"cbox_format_version": ["1.0"]}), loop=False)
    slices = np.unique(z) if not flat else np.zeros(0)
    return [version, own, Block("cryolo_include", pl.DataFrame({"slice_index": slices}))]


def _write_text(
    data: list[PoseSet], path: Path, overwrite: bool, box_size: float | None
) -> LossReport:
    report = LossReport()
    particles = join_poses(data, path, report, frozenset({"position"}), [NAME])
    refuse_z(particles, path, "dialect='star'")
    lose_features(particles, (*WIDTH, *HEIGHT, *_TEXT[4:]), report)
    sizes = box_sizes(particles, box_size, path)
    corners = encode_position(particles.position, _PLACE, particles.spacing[:, None], sizes)
    columns = [corners[:, 0], corners[:, 1], sizes[:, 0], sizes[:, 1]]
    features = particles.features if particles.features is not None else pd.DataFrame()
    if "Confidence" not in features:
        report.assumed["Confidence"] = "1"
    columns.append(particles.feature("Confidence", 1.0))
    if {"EstWidth", "EstHeight"} <= set(features):
        columns += [particles.feature(name) for name in _TEXT[5:]]
    with writing_bytes(path, overwrite) as file:
        file.write(number_rows(columns, "\t"))
    return report


FORMAT = Format(
    name=NAME,
    title="crYOLO cbox",
    kind="poses",
    suffixes=(".cbox",),
    compression=(".gz", ".bz2"),
    read=read,
    write=write,
    sniff=sniff,
    keeps=frozenset({"position", "features"}),
    tolerance={"position": 1e-6},
    evidence=conventions.CRYOLO_CBOX.evidence,
    url="https://cryolo.readthedocs.io",
)
