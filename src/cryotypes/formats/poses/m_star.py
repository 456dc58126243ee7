"""Particles of M (``*_particles.star`` of a species): Å from the volume's corner, over time.

A particle has one pose for each of n temporal samples: ``wrpCoordinateX1 … Xn``. The first is our
pose; the others move along with it when it is written back. M finds the tilt series by its hash,
so only particles that came from M can be written.

Source: WarpLib/Sociology/Species.cs and WarpLib/Tools/Matrix3.cs of https://github.com/warpem/warp.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import polars as pl

from cryotypes.conventions import _table as conventions
from cryotypes.conventions import (
    compose,
    decode_orientation,
    decode_position,
    encode_orientation,
    encode_position,
    factor,
)
from cryotypes.errors import ReadError, WriteError
from cryotypes.formats.shared.declaration import Format
from cryotypes.formats.shared.files import writing_bytes
from cryotypes.formats.shared.finite import finite_column
from cryotypes.formats.shared.star import Block, has_labels, read_star, write_star
from cryotypes.formats.shared.tables import to_pandas, to_polars
from cryotypes.loss import LossReport

from ._particles import Particles, factorize, join_poses, lose_features, need_spacing, to_posesets

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from scipy.spatial.transform import Rotation

    from cryotypes.formats.shared.declaration import Head
    from cryotypes.poseset import PoseSet

    Floats = NDArray[np.float64]

COORDINATES = ("wrpCoordinateX", "wrpCoordinateY", "wrpCoordinateZ")
ANGLES = ("wrpAngleRot", "wrpAngleTilt", "wrpAnglePsi")
NAME, HASH = "wrpSourceName", "wrpSourceHash"
KEEPS = frozenset({"position", "orientation", "experiment_id", "features"})


def sniff(head: Head) -> bool:
    """STAR text with M's coordinates."""
    return has_labels(head, "wrpCoordinateX1")


def read(path: Path, *, pixel_spacing: float | None = None) -> list[PoseSet]:
    """Read the particles of a species, one PoseSet a source.

    Parameters
    ----------
    path : path
    pixel_spacing : float
        Å per pixel of the positions; the file is in Å and does not state it.

    Returns
    -------
    list of PoseSet
        With the poses of the first temporal sample; ``features`` hold all samples where there
        are several.

    Raises
    ------
    ReadError
        If no ``pixel_spacing`` is given, or a coordinate is no number.
    """
    block = next((b for b in read_star(path) if "wrpCoordinateX1" in b.table), None)
    if block is None:
        raise ReadError("expected M's particles, with wrpCoordinateX1", path)
    if not pixel_spacing or pixel_spacing <= 0:
        raise ReadError(
            "M's coordinates are in angstrom; give the pixel size in which positions are wanted: "
            "pixel_spacing= (--pixel-spacing)",
            path,
        )
    table = block.table
    samples = _samples(table.columns)
    position = _vectors(table, COORDINATES, 1, path)
    angles = _vectors(table, ANGLES, 1, path) if f"{ANGLES[0]}1" in table else None
    names = table[NAME].cast(pl.String).to_list() if NAME in table else [""] * table.height
    codes, experiments = factorize(names)
    used = {NAME}
    if samples == 1:
        used.update(f"{name}1" for name in (*COORDINATES, *ANGLES))
    particles = Particles(
        position=decode_position(position, conventions.M.place, pixel_spacing),
        experiments=experiments,
        codes=codes,
        spacing=np.full(table.height, float(pixel_spacing)),
        orientation=None if angles is None else decode_orientation(angles, conventions.M.turn),
        features=to_pandas(table, without=used),
    )
    metadata = {"format": "m-star", "labels": table.columns, "block": block.name}
    return to_posesets(particles, path, metadata)


def _samples(columns: list[str]) -> int:
    """Count the temporal samples."""
    return max(int(m[1]) for name in columns if (m := re.fullmatch(r"wrpCoordinateX(\d+)", name)))


def _vectors(table: pl.DataFrame, names: tuple[str, ...], sample: int, path: Path) -> Floats:
    columns = []
    for name in names:
        label = f"{name}{sample}"
        if label not in table:
            raise ReadError(f"expected a column {label}, which belongs to {names[0]}{sample}", path)
        columns.append(finite_column(table, label, path))
    return np.stack(columns, axis=1)


def write(data: list[PoseSet], path: Path, *, overwrite: bool = False) -> LossReport:
    """Write particles that came from M back.

    Later temporal samples are moved and turned as the first was.

    Raises
    ------
    WriteError
        If the particles have no hash, or no pixel spacing.
    """
    report = LossReport()
    particles = join_poses(data, path, report, KEEPS, [FORMAT.name])
    features = particles.features
    if features is None or HASH not in features or features[HASH].isna().any():
        raise WriteError(
            f"M finds tilt series by {HASH}, which these particles do not have; import them "
            "into M through a RELION or Warp STAR file",
            path,
        )
    need_spacing(particles, path, "M")
    columns = _poses(particles, features, report)
    columns[NAME] = particles.names.tolist()
    labels = [label for m in particles.metadata for label in m.get("labels", [])]
    rest = features.drop(columns=[c for c in features if c in columns])
    lose_features(particles, [str(c) for c in features.columns], report)
    table = pl.concat([pl.DataFrame(columns), to_polars(rest)], how="horizontal")
    known = [label for label in dict.fromkeys(labels) if label in table.columns]
    table = table.select([*known, *[c for c in table.columns if c not in known]])
    block = next((m["block"] for m in particles.read if "block" in m), "")
    with writing_bytes(path, overwrite) as file:
        write_star(file, [Block(block, table)])
    return report


def _poses(particles: Particles, features: pd.DataFrame, report: LossReport) -> dict[str, Any]:
    """Return the columns of all samples."""
    row = conventions.M
    now = encode_position(particles.position, row.place, particles.spacing[:, None])
    turned = particles.orientation
    columns = dict(zip((f"{name}1" for name in COORDINATES), now.T, strict=True))
    if turned is not None:
        angles = encode_orientation(turned, row.turn)
        columns.update(zip((f"{name}1" for name in ANGLES), angles.T, strict=True))
    if f"{COORDINATES[0]}1" not in features:
        return columns
    move = now - _feature(features, COORDINATES, 1)
    before = decode_orientation(_feature(features, ANGLES, 1), row.turn)
    if np.abs(move).max(initial=0) > 1e-6:
        report.converted["temporal samples"] = "moved along with the first"
    for sample in range(2, _samples([str(c) for c in features.columns]) + 1):
        position = _feature(features, COORDINATES, sample) + move
        columns.update(zip((f"{n}{sample}" for n in COORDINATES), position.T, strict=True))
        if turned is not None:
            then = decode_orientation(_feature(features, ANGLES, sample), row.turn)
            angles = encode_orientation(_along(turned, before, then), row.turn)
            columns.update(zip((f"{n}{sample}" for n in ANGLES), angles.T, strict=True))
    return columns


def _along(now: Rotation, before: Rotation, then: Rotation) -> Rotation:
    """Turn a later sample as the first was turned: in the particle's own frame it stays put."""
    result = compose(now, factor(then, before))
    assert result is not None
    return result


def _feature(features: pd.DataFrame, names: tuple[str, ...], sample: int) -> Floats:
    return features[[f"{name}{sample}" for name in names]].to_numpy(dtype=float)


FORMAT = Format(
    name="m-star",
    title="M species particles",
    kind="poses",
    suffixes=(".star",),
    compression=(".gz", ".bz2"),
    read=read,
    write=write,
    sniff=sniff,
    keeps=KEEPS,
    tolerance={"position": 1e-6, "orientation": 1e-6},
    evidence=conventions.M.evidence,
    url="https://warpem.github.io/",
)
