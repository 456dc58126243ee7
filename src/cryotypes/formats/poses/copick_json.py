"""Picks of copick: one JSON file for each run, user, session and kind of object.

Locations are in Å, voxel i at i times the voxel spacing. ``transformation_`` is a 4 × 4 matrix:
its rotation brings the object into the tomogram, its translation (Å) is added to the location.
A file that says ``trust_orientation: false`` has no known orientation; its matrices, unless they
are the identity, stay in the feature ``transformation_`` and are written back.

https://copick.github.io/copick/
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cryotypes.conventions import (
    decode_orientation,
    decode_position,
    decode_shift,
    encode_orientation,
    encode_position,
    encode_shift,
)
from cryotypes.conventions._table import COPICK
from cryotypes.errors import ReadError, WriteError
from cryotypes.formats.shared.declaration import Format, Head
from cryotypes.formats.shared.files import writing_bytes
from cryotypes.formats.shared.json_points import Points, parse, read_json, records, shown, to_json
from cryotypes.loss import LossReport
from cryotypes.names import strip_path_and_suffix

from ._particles import Particles, join_poses, lose_features, to_posesets

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from cryotypes.poseset import PoseSet

    Floats = NDArray[np.float64]

NAME = "copick-json"
_MATRIX = "transformation_"
_NAMES = ("user_id", "session_id", "pickable_object_name")  # of a file's name, in this order
_OWN_KEYS = ("run_name", "voxel_spacing", "unit", "trust_orientation", "points")


def sniff(head: Head) -> bool:
    """A JSON object that says what was picked, or has points with transformations."""
    text = head.text.lstrip("\ufeff \t\r\n")
    named = '"pickable_object_name"' in text or f'"{_MATRIX}"' in text
    return text.startswith("{") and '"points"' in text and named


def read(
    path: Path,
    *,
    experiment_id: str | None = None,
    pixel_spacing: float | None = None,
    trust_orientation: bool | None = None,
) -> list[PoseSet]:
    """Read picks.

    Parameters
    ----------
    path : path
    experiment_id : str, optional
        Instead of the file's ``run_name``; if both are missing, the folder of the run
        (``<run>/Picks/<file>``), else the file's name.
    pixel_spacing : float, optional
        Å per voxel, instead of the file's ``voxel_spacing``, which may be null.
    trust_orientation : bool, optional
        Instead of what the file says.

    Returns
    -------
    list of PoseSet
        One; ``features`` hold instance_id, score and other keys of the points, ``metadata`` the
        other keys of the file.

    Raises
    ------
    ReadError
        If this is not a file of picks, its unit is not Å, a matrix is no rotation, or the voxel
        spacing is unknown.
    """
    content = _content(path)
    points = _points(content, path)
    spacing = _spacing(content, pixel_spacing, path, len(points))
    position = decode_position(points.locations(), COPICK.place, spacing or 1.0)
    matrices = _matrices(points)
    shift = orientation = None
    features = points.table(without=("location", _MATRIX))
    keys = [str(name) for name in features.columns]
    if matrices is not None:
        offset = COPICK.offset
        shift = decode_shift(matrices[:, :3, 3], offset, spacing or 1.0)
        turns = points.rotations(matrices[:, :3, :3], _MATRIX)
        trusted = content.get("trust_orientation") is not False
        if trusted if trust_orientation is None else trust_orientation:
            orientation = decode_orientation(turns, COPICK.turn)
        elif (turns != np.eye(3)).any():
            features[_MATRIX] = [to_json(turn, path, _MATRIX) for turn in turns.tolist()]
    metadata = {
        **_name_parts(path),
        **{key: content[key] for key in _NAMES if key in content},
        "format": NAME,
        "keys": {key: content[key] for key in content if key not in {*_NAMES, *_OWN_KEYS}},
        "point_keys": keys,
    }
    name = content.get("run_name") if experiment_id is None else experiment_id
    particles = Particles(
        position=position,
        experiments=[_run_of(path) if name is None else str(name)],
        codes=np.zeros(len(points), dtype=np.int64),
        spacing=np.full(len(points), spacing),
        shift=shift,
        orientation=orientation,
        features=features,
    )
    return to_posesets(particles, path, metadata)


def _content(path: Path) -> dict[str, Any]:
    content = read_json(path)
    if not isinstance(content, dict) or "points" not in content:
        raise ReadError(f"expected an object with points, found {shown(content)}", path)
    unit = content.get("unit", "angstrom")
    if unit != "angstrom":
        raise ReadError(f"unit: expected 'angstrom', found {shown(unit)}", path)
    return content


def _points(content: dict[str, Any], path: Path) -> Points:
    rows = content["points"]
    rows = [] if rows is None else rows
    if not isinstance(rows, list):
        raise ReadError(f"points: expected a list, found {shown(rows)}", path)
    for index, row in enumerate(rows):
        if not isinstance(row, dict):
            raise ReadError(f"point {index + 1}: expected an object, found {shown(row)}", path)
    return Points(rows, path, lambda index: f"point {index + 1}")


def _spacing(content: dict[str, Any], given: float | None, path: Path, n: int) -> float:
    stated = content.get("voxel_spacing") if given is None else given
    if stated is None:
        if not n:
            return 0.0
        raise ReadError(
            "locations in angstrom need the voxel spacing, which the file does not state: give "
            "pixel_spacing= (--pixel-spacing)",
            path,
        )
    if type(stated) not in (int, float) or not 0 < stated < 1e300:
        raise ReadError(f"voxel_spacing: expected a positive number, found {shown(stated)}", path)
    return float(stated)


def _matrices(points: Points) -> Floats | None:
    """Return (n, 4, 4), the identity where a point has none; None if no point has one."""
    given = [row.get(_MATRIX) for row in points.rows]
    if given and all(value is None for value in given):
        return None
    identity = np.eye(4).tolist()
    filled = [identity if value is None else value for value in given]
    result = points.matrices(filled, 4, _MATRIX)
    bad = (np.abs(result[:, 3] - [0, 0, 0, 1]) > 1e-6).any(axis=1)
    if bad.any():
        index = int(bad.argmax())
        raise ReadError(
            f"{points.where(index)}, {_MATRIX}: expected a last row of 0, 0, 0, 1, "
            f"found {result[index, 3].tolist()}",
            points.path,
        )
    return result


def _name_parts(path: Path) -> dict[str, str]:
    """Return user, session and object from ``<user>_<session>_<object>.json``, if it is one."""
    parts = strip_path_and_suffix(path.name).split("_")
    return dict(zip(_NAMES, parts, strict=True)) if len(parts) == 3 and all(parts) else {}


def _run_of(path: Path) -> str:
    """Return the run's folder, else the file's name."""
    folder = path.absolute().parent
    return folder.parent.name if folder.name == "Picks" else strip_path_and_suffix(path.name)


def write(
    data: list[PoseSet],
    path: Path,
    *,
    overwrite: bool = False,
    pixel_spacing: float | None = None,
    pickable_object_name: str | None = None,
    user_id: str | None = None,
    session_id: str | None = None,
) -> LossReport:
    """Write picks of one run.

    Parameters
    ----------
    data : list of PoseSet
        Of one experiment; its name is the run's.
    path : path
        copick itself looks for ``ExperimentRuns/<run>/Picks/<user>_<session>_<object>.json``.
    overwrite : bool
    pixel_spacing : float, optional
        Å per voxel, where the data do not tell.
    pickable_object_name, user_id, session_id : str, optional
        By default as read, else from a file name of the form above, else ``object``,
        ``cryotypes`` and ``0`` (a program's picks), which the report calls assumed.

    Raises
    ------
    WriteError
        If there are several experiments, or the spacing is unknown.
    """
    report = LossReport()
    particles = join_poses(data, path, report, FORMAT.keeps - {"experiment_id"}, [NAME])
    report.lost.pop("experiment_id", None)
    report.kept.append("experiment_id")
    own = next(iter(particles.read), {})
    given = {
        "pickable_object_name": pickable_object_name,
        "user_id": user_id,
        "session_id": session_id,
    }
    spacings = _spacings(particles, pixel_spacing, path, report)
    head = {
        **_named(given, own, path, report),
        "run_name": particles.experiments[0],
        "voxel_spacing": float(spacings[0]),
        "unit": "angstrom",
        "trust_orientation": particles.orientation is not None,
    }
    head |= own.get("keys", {})
    rows = _rows(particles, spacings[:, None], own, report)
    lines = ",\n".join(to_json(row, path, "features") for row in rows)
    text = to_json(head, path, "metadata").removesuffix("}")
    with writing_bytes(path, overwrite) as file:
        file.write(f'{text}, "points": [\n{lines}\n]}}\n'.encode())
    return report


def _named(
    given: dict[str, str | None], own: dict[str, Any], path: Path, report: LossReport
) -> dict[str, Any]:
    """Find who picked what: as said, as read, from the file's name, or assumed."""
    fallback = {"user_id": "cryotypes", "session_id": "0", "pickable_object_name": "object"}
    parts = _name_parts(path)
    result: dict[str, Any] = {}
    for key, said in given.items():
        result[key] = said if said is not None else own.get(key, parts.get(key))
        if result[key] is None:
            result[key] = fallback[key]
            report.assumed[key] = fallback[key]
    return result


def _spacings(particles: Particles, given: float | None, path: Path, report: LossReport) -> Floats:
    """Å per voxel of each particle, at least one; the file states the first."""
    spacing = particles.spacing if len(particles) else np.full(1, given or 1.0)
    if given is not None:
        spacing = np.full(len(spacing), float(given))
    if (spacing <= 0).any():
        raise WriteError(
            "copick's locations are in angstrom, and the pixel spacing is unknown: give "
            "pixel_spacing= (--pixel-spacing)",
            path,
        )
    if (spacing != spacing[0]).any():
        report.converted["pixel_spacing"] = f"all to {spacing[0]:g} Å, the first"
    return spacing


def _rows(
    particles: Particles, spacing: Floats, own: dict[str, Any], report: LossReport
) -> list[dict[str, Any]]:
    n = len(particles)
    spacing = spacing[:n]
    matrices = np.tile(np.eye(4), (n, 1, 1))
    keys = list(dict.fromkeys(["instance_id", "score", *own.get("point_keys", [])]))
    written = [*keys]
    untrusted = None if particles.features is None else particles.features.get(_MATRIX)
    if particles.orientation is not None:
        matrices[:, :3, :3] = encode_orientation(particles.orientation, COPICK.turn)
    elif untrusted is not None:
        matrices[:, :3, :3] = [parse(text) for text in untrusted]
        written.append(_MATRIX)
    elif n:
        report.lost["orientation"] = "unknown, written as no rotation that is not to be trusted"
    if particles.shift is not None:
        matrices[:, :3, 3] = encode_shift(particles.shift, COPICK.offset, spacing)
    lose_features(particles, written, report)
    places = encode_position(particles.position, COPICK.place, spacing).tolist()
    extras = records(particles.features, keys, n, report)
    return [
        {"location": {"x": x, "y": y, "z": z}, _MATRIX: matrix, **extra}
        for (x, y, z), matrix, extra in zip(places, matrices.tolist(), extras, strict=True)
    ]


FORMAT = Format(
    name=NAME,
    title="copick picks",
    kind="poses",
    suffixes=(".json",),
    compression=(".gz", ".bz2"),
    read=read,
    write=write,
    sniff=sniff,
    keeps=frozenset({"position", "shift", "orientation", "experiment_id", "pixel_spacing"}),
    tolerance={"position": 1e-6, "shift": 1e-6, "orientation": 1e-6},
    evidence=COPICK.evidence,
    url="https://copick.github.io/copick/",
)
