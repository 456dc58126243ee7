"""The format of a program that does not exist: a line of JSON, rows of numbers, a last line.

::

    #points {"experiment": "TS_01", "angstrom": 2.5, "columns": ["x", "y", "z", "a", "b", "c"]}
    11.0 21.0 31.0 25.0 40.0 70.0
    #end

Positions count from 1; a, b, c are RELION's rot, tilt, psi in degrees; dx, dy, dz are subtracted.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from cryotypes import LossReport, PoseSet
from cryotypes.conventions import (
    Offset,
    Place,
    PoseConvention,
    Turn,
    decode_orientation,
    decode_position,
    decode_shift,
    encode_orientation,
    encode_position,
    encode_shift,
)
from cryotypes.errors import ReadError, WriteError
from cryotypes.formats import Format, Head, writing

MAGIC = "#points "
POSITION, SHIFT, ANGLES = ["x", "y", "z"], ["dx", "dy", "dz"], ["a", "b", "c"]
# What may differ between programs, and nothing else; cryotypes does the arithmetic.
CONVENTION = PoseConvention(
    "example points",
    Turn("euler", inverse=True, axes="ZYZ"),
    Place(zero=(1.0, 1.0, 1.0)),
    Offset(sign=-1),
    evidence="the five particles of tests/ worked out by hand",
)


def sniff(head: Head) -> bool:
    """Whether the first line begins as ours does."""
    return head.data.startswith(MAGIC.encode() + b"{")


def read(path: Path, *, pixel_spacing: float | None = None) -> list[PoseSet]:
    """Read points: one PoseSet, for a file holds one experiment.

    Parameters
    ----------
    path : path
    pixel_spacing : float, optional
        Å per pixel, instead of what the file says.

    Raises
    ------
    ReadError
        If the file is cut or its rows are not as the first line says.
    """
    try:
        first, *rows, last = path.read_text(encoding="utf-8").split("\n")[:-1]
        header = json.loads(first.removeprefix(MAGIC))
        columns, experiment = list(header["columns"]), header["experiment"]
        spacing = float(header["angstrom"] if pixel_spacing is None else pixel_spacing)
        values = np.array([row.split(" ") for row in rows], dtype=float)
        values = values.reshape(len(rows), len(columns))
    except (ValueError, KeyError, TypeError) as error:
        raise ReadError(f"expected rows as the first line says: {error}", path) from error
    whole = first.startswith(MAGIC) and last == "#end" and columns[:3] == POSITION
    if not whole or not isinstance(experiment, str) or not np.isfinite(values).all():
        raise ReadError(f"expected {MAGIC}… x, y, z …, finite numbers and #end", path)
    if not 0 <= spacing < np.inf:
        raise ReadError(f"angstrom: expected a length, found {spacing}", path)
    table = dict(zip(columns, values.T, strict=True))

    def vectors(names: list[str]) -> np.ndarray | None:
        known = all(name in table for name in names)
        return np.stack([table[name] for name in names], axis=1) if known else None

    shift, angles = vectors(SHIFT), vectors(ANGLES)
    poses = PoseSet(
        position=decode_position(vectors(POSITION), CONVENTION.place, spacing),
        shift=None if shift is None else decode_shift(shift, CONVENTION.offset, spacing),
        orientation=None if angles is None else decode_orientation(angles, CONVENTION.turn),
        experiment_id=experiment,
        pixel_spacing=spacing,
        source=path,
        metadata={"format": FORMAT.name},
    )
    return [poses]


def write(data: list[PoseSet], path: Path, *, overwrite: bool = False) -> LossReport:
    """Write the points of one experiment.

    Raises
    ------
    WriteError
        If there are several.
    """
    if len(data) != 1:
        raise WriteError("a file holds one experiment; write one file each", path)
    (poses,) = data
    report = LossReport(kept=["position", "experiment_id", "pixel_spacing"])
    if poses.features is not None and len(poses.features.columns):
        names = ", ".join(map(str, poses.features.columns))
        report.lost["features"] = f"{names}: the format has no such columns"
    spacing = poses.pixel_spacing
    table = [(POSITION, encode_position(poses.position, CONVENTION.place, spacing))]
    if poses.shift is not None:
        table.append((SHIFT, encode_shift(poses.shift, CONVENTION.offset, spacing)))
        report.kept.append("shift")
    if poses.orientation is not None:
        table.append((ANGLES, encode_orientation(poses.orientation, CONVENTION.turn)))
        report.kept.append("orientation")
    columns = [name for names, _ in table for name in names]
    header = {"experiment": poses.experiment_id, "angstrom": spacing, "columns": columns}
    rows = np.concatenate([values for _, values in table], axis=1).tolist()
    lines = [MAGIC + json.dumps(header), *(" ".join(map(repr, row)) for row in rows), "#end"]
    with writing(path, overwrite) as temporary:
        temporary.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return report


FORMAT = Format(
    name="example-points",
    title="Example points",
    kind="poses",
    suffixes=(".points",),
    read=read,
    write=write,
    sniff=sniff,
    keeps=frozenset({"position", "shift", "orientation", "experiment_id", "pixel_spacing"}),
    tolerance={"position": 1e-6, "shift": 1e-6, "orientation": 1e-6},
    evidence=CONVENTION.evidence,
    url="https://example.org/points",
)
