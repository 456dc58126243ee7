"""Annotation points of the CZ cryoET data portal: one JSON object a line.

::

    {"type": "orientedPoint", "location": {"x": 5, "y": 6, "z": 7}, "xyz_rotation_matrix": [[…]]}
    {"type": "point", "location": {"x": 5, "y": 6, "z": 7}}
    {"type": "instancePoint", "location": {"x": 5, "y": 6, "z": 7}, "instance_id": 7}

Locations are voxels of the annotated tomogram, counted as the depositor's program counts (the
portal changes nothing): taken to be from 0. The matrix is that of our orientations. Neither the
name of the experiment nor the voxel spacing is in the file. A file may mix points with and
without orientation: they come as two PoseSets of the same experiment, one of them with
``orientation=None``; written back, the lines are in their old order.

https://github.com/chanzuckerberg/cryoet-data-portal-backend
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from cryotypes.conventions import (
    decode_orientation,
    decode_position,
    encode_orientation,
    encode_position,
)
from cryotypes.conventions._table import CZ_PORTAL
from cryotypes.errors import ReadError
from cryotypes.formats.shared.declaration import Format, Head
from cryotypes.formats.shared.files import decode_utf8, read_text, writing_bytes
from cryotypes.formats.shared.json_points import Points, parse, records, shown, to_json
from cryotypes.loss import LossReport
from cryotypes.names import strip_path_and_suffix

from ._particles import Particles, join_poses, lose_features, to_posesets

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from cryotypes.poseset import PoseSet

NAME = "portal-ndjson"
_MATRIX = "xyz_rotation_matrix"
_TYPES = ("point", "orientedPoint", "instancePoint")
_SUFFIXES = (".ndjson", ".jsonl")


def sniff(head: Head) -> bool:
    """JSON lines with a location; a file of this suffix without a line has no particles."""
    text = head.text.lstrip("\ufeff").strip()
    if not text:
        return bool(head.data) and head.suffix in _SUFFIXES
    try:
        first = parse(text.split("\n", 1)[0])
    except (ValueError, RecursionError):
        return False
    return isinstance(first, dict) and isinstance(first.get("location"), dict)


def read(
    path: Path,
    *,
    experiment_id: str | None = None,
    pixel_spacing: float | None = None,
    order: Literal["xyz", "zyx"] = "xyz",
) -> list[PoseSet]:
    """Read annotation points.

    Parameters
    ----------
    path : path
    experiment_id : str, optional
        The run's name; by default the file's.
    pixel_spacing : float, optional
        Å per voxel of the annotated tomogram; the file does not tell.
    order : {"xyz", "zyx"}
        ``zyx`` for files whose locations and matrices have their axes the other way round.

    Returns
    -------
    list of PoseSet
        One, or two if only some points are oriented; ``features`` hold type, instance_id and
        whatever else the lines say.

    Raises
    ------
    ReadError
        Naming the line that is not a JSON object with a location, or whose matrix is no rotation.
    """
    axes = _axes(order)
    points = _points(path)
    known = np.array([row.get(_MATRIX) is not None for row in points.rows], dtype=bool)
    for index, row in enumerate(points.rows):
        if row.get("type") == "orientedPoint" and not known[index]:
            raise ReadError(f"{points.where(index)}: expected {_MATRIX}, found none", path)
    spacing = 0.0 if pixel_spacing is None else float(pixel_spacing)
    position = decode_position(points.locations()[:, axes], CZ_PORTAL.place, spacing)
    features = points.table(without=("location", _MATRIX))
    extra = [str(n) for n in features.columns if n not in ("type", "instance_id")]
    metadata = {"format": NAME, "order": order, "keys": extra}
    name = strip_path_and_suffix(path.name) if experiment_id is None else experiment_id
    result = []
    for oriented in (True, False):
        rows = np.flatnonzero(known == oriented)
        if len(rows) or (len(known) == 0 and not oriented):
            particles = Particles(
                position=position[rows],
                experiments=[name],
                codes=np.zeros(len(rows), dtype=np.int64),
                spacing=np.full(len(rows), spacing),
                features=features.iloc[rows] if len(rows) < len(known) else features,
            )
            if oriented:
                matrices = _matrices(points, rows)[:, axes][:, :, axes]
                particles.orientation = decode_orientation(matrices, CZ_PORTAL.turn)
            result += to_posesets(particles, path, metadata)
    return sorted(result, key=lambda p: p.features.index[0] if len(p.features) else 0)  # type: ignore[arg-type,union-attr]


def _axes(order: str) -> list[int]:
    if order not in ("xyz", "zyx"):
        raise ValueError(f"order: expected xyz or zyx, found {order!r}")
    return ["xyz".index(axis) for axis in order]


def _points(path: Path) -> Points:
    rows, numbers = [], []
    for number, line in enumerate(decode_utf8(read_text(path), path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = parse(line)
        except (ValueError, RecursionError) as error:
            raise ReadError(f"line {number}: expected JSON ({error})", path) from error
        if not isinstance(row, dict):
            expected = "expected a JSON object {…}"
            raise ReadError(f"line {number}: {expected}, found {shown(row)}", path)
        rows.append(row)
        numbers.append(number)
    return Points(rows, path, lambda index: f"line {numbers[index]}")


def _matrices(points: Points, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    part = Points([points.rows[i] for i in rows], points.path, lambda i: points.where(rows[i]))
    return part.rotations(part.matrices([r[_MATRIX] for r in part.rows], 3, _MATRIX), _MATRIX)


def write(
    data: list[PoseSet],
    path: Path,
    *,
    overwrite: bool = False,
    order: Literal["xyz", "zyx"] | None = None,
) -> LossReport:
    """Write annotation points: oriented ones where the orientation is known.

    Parameters
    ----------
    data : list of PoseSet
        Of one experiment, whose name the file does not hold.
    path : path
    overwrite : bool
    order : {"xyz", "zyx"}, optional
        Of the axes; by default as read, else xyz.

    Raises
    ------
    WriteError
        If there are several experiments, or a feature does not fit into JSON.
    """
    report = LossReport()
    particles = join_poses([_typed(poses) for poses in data], path, report, FORMAT.keeps, [NAME])
    features = particles.features
    assert features is not None
    own = particles.read
    axes = _axes(order or next((entry["order"] for entry in own if "order" in entry), "xyz"))
    keys = dict.fromkeys(["instance_id", *(key for entry in own for key in entry.get("keys", []))])
    known = features[_MATRIX].to_numpy(dtype=bool)
    if known.any() and not known.all():
        report.lost.pop("orientation")  # said by the type of each line
    particles.features = features.drop(columns=[_MATRIX])
    lose_features(particles, ["type", *keys], report)

    spacing = particles.spacing[:, None]
    places = encode_position(particles.position, CZ_PORTAL.place, spacing)[:, axes].tolist()
    matrices: list[Any] = [None] * len(particles)
    if particles.orientation is not None:
        written = encode_orientation(particles.orientation, CZ_PORTAL.turn)
        matrices = written.reshape(-1, 3, 3)[:, axes][:, :, axes].tolist()
    rows = zip(
        features["type"].tolist(),
        places,
        matrices,
        known.tolist(),
        records(features, [key for key in keys if key != "type"], len(particles), report),
        strict=True,
    )
    with writing_bytes(path, overwrite) as file:
        for kind, (x, y, z), matrix, oriented, extra in rows:
            line = {"type": kind, "location": {"x": x, "y": y, "z": z}}
            if oriented:
                line[_MATRIX] = matrix
            file.write(f"{to_json({**line, **extra}, path, 'features')}\n".encode())
        if not len(particles):
            file.write(b"\n")
    return report


def _typed(poses: PoseSet) -> PoseSet:
    """Give each particle the type of its line, and whether the line has a matrix."""
    n, known = len(np.asarray(poses.position)), poses.orientation is not None
    features = getattr(poses, "features", None)
    features = pd.DataFrame(index=pd.RangeIndex(n)) if features is None else features.copy()
    stated = np.full(n, "", dtype=object)
    if "type" in features:
        column = features["type"]
        stated = np.where(column.isin(_TYPES), column.to_numpy(dtype=object), "")
    if known:
        types = np.where(stated == "instancePoint", stated, "orientedPoint")
    else:
        default = np.full(n, "point", dtype=object)
        if "instance_id" in features:
            default[features["instance_id"].notna().to_numpy(dtype=bool)] = "instancePoint"
        types = np.where((stated == "") | (stated == "orientedPoint"), default, stated)
    features["type"] = types
    features[_MATRIX] = known
    result = copy(poses)
    result.features = features
    return result


FORMAT = Format(
    name=NAME,
    title="CZ cryoET data portal points",
    kind="poses",
    suffixes=_SUFFIXES,
    compression=(".gz", ".bz2"),
    read=read,
    write=write,
    sniff=sniff,
    keeps=frozenset({"position", "orientation"}),
    tolerance={"position": 1e-6, "orientation": 1e-6},
    evidence=CZ_PORTAL.evidence,
    url="https://chanzuckerberg.github.io/cryoet-data-portal/",
)
