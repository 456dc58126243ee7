"""Alignments of the CZ cryoET data portal: ``alignment_metadata.json``, one object a tilt series.

``raw = in_plane_rotation aligned + (x_offset, y_offset)``; ``z_index`` counts from 0 in the tilt
series, and what is missing is left out. The schema has the offsets in angstrom, but the program
that makes the files writes the pixels of IMOD or AreTomo: ``offset_unit`` tells. Old entries have
``in_plane_rotation`` as a list of four: then that and the offsets are a line of IMOD's .xf.

Neither the name of the tilt series nor its pixel size is in the file.

https://github.com/chanzuckerberg/cryoet-data-portal-backend, cryoet-alignment
"""

from __future__ import annotations

import json
import math
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from cryotypes.conventions import _table as conventions
from cryotypes.conventions import (
    decode_tilts,
    decode_transforms,
    encode_tilts,
    encode_transforms,
)
from cryotypes.errors import GuessWarning, LossWarning, ReadError, WriteError
from cryotypes.formats.shared.declaration import Format
from cryotypes.formats.shared.files import writing_bytes
from cryotypes.formats.shared.json_points import is_number, read_json, shown
from cryotypes.loss import LossReport
from cryotypes.names import strip_path_and_suffix
from cryotypes.projectionmodel import ProjectionModelDataLabels as Labels
from cryotypes.projectionmodel import dimensions_of

from . import _tilts

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

    from cryotypes.conventions import TiltConvention
    from cryotypes.formats.shared.declaration import Head

    Floats = NDArray[np.float64]

SECTIONS = "per_section_alignment_parameters"
MAGNIFICATION = "portal_magnification"
_OWN = ("z_index", "tilt_angle", "volume_x_rotation", "in_plane_rotation", "x_offset", "y_offset")
_PIXELS = ("IMOD", "ARETOMO3")  # formats of which it is known that offsets are in pixels
_UNITS = {
    "pixel": conventions.CZ_PORTAL_TILTS,
    "angstrom": conventions.CZ_PORTAL_TILTS_ANGSTROM,
}
_IDENTITY = np.eye(4).tolist()
_MOST = 100_000

OffsetUnit = Literal["pixel", "angstrom"]


def sniff(head: Head) -> bool:
    """A JSON object with alignments by section."""
    text = head.data.lstrip(b"\xef\xbb\xbf \t\r\n")
    return text[:1] == b"{" and (
        b'"per_section_alignment_parameters"' in text or b'"in_plane_rotation"' in text
    )


def read(
    path: Path,
    *,
    offset_unit: OffsetUnit | None = None,
    pixel_spacing: float | None = None,
    experiment_id: str | None = None,
    tilt_angles: str | os.PathLike[str] | None = None,
) -> pd.DataFrame:
    """Read the alignment of one tilt series.

    Parameters
    ----------
    path : path
    offset_unit : {"pixel", "angstrom"}, optional
        Of x_offset and y_offset; by default pixels of the tilt images.
    pixel_spacing : float, optional
        Å per pixel of the tilt images, which the file does not state; 0 (unknown) by default.
    experiment_id : str, optional
        The name of the tilt series, by default that of the file.
    tilt_angles : path, optional
        A .tlt file with an angle for each image of the tilt series, where the angles are null.

    Returns
    -------
    ProjectionModel
        A row for each section, in the order of the file. ``attrs`` hold ``excluded``,
        ``tomogram_dimensions`` (if the pixel size is known), and ``portal_alignment``: the
        file's other keys.

    Raises
    ------
    ReadError
        If a section is not as described, or offsets in angstrom have no pixel size.

    Warns
    -----
    GuessWarning
        If the unit of the offsets had to be assumed for a program of which it is not known, or
        if there are angles beside the alignment, of which it is not clear whether to add them.
    LossWarning
        Of an affine transformation, an offset of the volume, or local alignment.
    """
    if offset_unit not in (None, *_UNITS):
        raise ValueError(f"offset_unit: expected 'pixel' or 'angstrom', found {offset_unit!r}")
    spacing = _tilts.spacing_given(pixel_spacing) or 0.0
    content = _load(path)
    sections = content.pop(SECTIONS)
    index = _indices(sections, path)
    written = np.zeros((len(sections), 3))
    written[:, 0] = _numbers(sections, "volume_x_rotation", path, default=0.0)
    written[:, 1] = _tilt_angles(sections, index, tilt_angles, path)
    matrices, flat = _matrices(sections, path)
    offsets = np.stack([_numbers(sections, f"{axis}_offset", path) for axis in "xy"], axis=1)
    unit = _unit(offset_unit, content, offsets, path)
    if unit == "angstrom" and offsets.any() and not spacing:
        raise ReadError(
            "offsets in angstrom need the pixel size of the tilt images: give pixel_spacing= "
            "(--pixel-spacing)",
            path,
        )
    row = conventions.IMOD_XF if flat and unit == "pixel" else _UNITS[unit]
    if flat and unit == "angstrom":
        raise ReadError(
            "in_plane_rotation as a list of four is a line of IMOD's .xf, whose offsets are "
            "pixels; leave out offset_unit=",
            path,
        )
    rotations, _ = decode_tilts(written, offsets, row, spacing or 1.0)
    rotations[:, 2], planes, shifts = decode_transforms(matrices, offsets, row, spacing or 1.0)
    _tilts.check_angles(rotations[:, 1], path)
    name = strip_path_and_suffix(path.name) if experiment_id is None else experiment_id
    columns = [*rotations.T, *shifts.T]
    model = pd.DataFrame(dict(zip([*Labels.ROTATION, *Labels.SHIFT], columns, strict=True)))
    model[Labels.EXPERIMENT_ID] = pd.Series([name] * len(model), dtype=object)
    model[Labels.PIXEL_SPACING] = spacing
    model[Labels.SOURCE] = pd.Series([str(path)] * len(model), dtype=object)
    model[_tilts.INDEX] = index
    factors = np.sqrt(np.linalg.det(planes)) if len(planes) else np.ones(0)
    if np.abs(factors - 1).max(initial=0) > 1e-4:
        model[MAGNIFICATION] = factors
    for key in dict.fromkeys(key for section in sections for key in section):
        if key not in _OWN and key not in model:
            model[key] = pd.Series([section.get(key) for section in sections])
    left_out = sorted(set(range(int(index.max(initial=-1)) + 1)) - set(index.tolist()))
    model.attrs = {
        "excluded": {name: left_out},
        "tomogram_dimensions": _dimensions(content, name, spacing),
        "portal_alignment": {name: {"content": content, "offset_unit": unit}},
    }
    _warn(content, planes, rotations[:, 2], path)
    return model


def _load(path: Path) -> dict[str, Any]:
    content = read_json(path)
    sections = content.get(SECTIONS) if isinstance(content, dict) else None
    if not isinstance(sections, list) or not all(isinstance(part, dict) for part in sections):
        raise ReadError(f"expected an object with a list {SECTIONS!r} of objects", path)
    return content  # type: ignore[no-any-return]


def _numbers(
    sections: list[dict[str, Any]], key: str, path: Path, default: float | None = None
) -> Floats:
    values = [section.get(key, default) for section in sections]
    for count, value in enumerate(values):
        if not is_number(value):
            raise ReadError(
                f"section {count + 1}, {key}: expected a number, found {shown(value)}", path
            )
    return np.array(values, dtype=float)


def _indices(sections: list[dict[str, Any]], path: Path) -> NDArray[np.int64]:
    values = _numbers(sections, "z_index", path)
    bad = (values % 1 != 0) | (values < 0) | (values >= _MOST)
    if bad.any() or len(np.unique(values)) < len(values):
        raise ReadError("z_index: expected positions from 0, each of them once", path)
    return values.astype(np.int64)


def _tilt_angles(
    sections: list[dict[str, Any]], index: NDArray[np.int64], file: Any, path: Path
) -> Floats:
    """Return the tilt angles: the file's, or where it has none those of a .tlt file."""
    if file is None:
        if any(section.get("tilt_angle") is None for section in sections):
            raise ReadError(
                "a tilt_angle is null: give tilt_angles=, a .tlt file of the whole tilt series",
                path,
            )
        return _numbers(sections, "tilt_angle", path)
    found = _tilts.read_angles(Path(file), advice="leave it out of the file")
    angles = found.table[:, 0]
    if found.index is not None:
        angles = np.full(found.index.max() + 1, np.nan)
        angles[found.index] = found.table[:, 0]
    if len(angles) <= index.max(initial=-1) or not np.isfinite(angles[index]).all():
        raise ReadError(
            f"z_index {index.max()} needs {index.max() + 1} tilt angles, {file} has {len(angles)}",
            path,
        )
    return angles[index]


def _matrices(sections: list[dict[str, Any]], path: Path) -> tuple[Floats, bool]:
    """Return the 2 × 2 matrices, and whether they are those of .xf files."""
    written = [section.get("in_plane_rotation") for section in sections]
    flat = [isinstance(value, list) and len(value) == 4 for value in written]
    matrices = np.zeros((len(written), 2, 2))
    for count, value in enumerate(written):
        rows: Any = value
        if flat[count] and isinstance(value, list):
            rows = [value[:2], value[2:]]
        good = isinstance(rows, list) and len(rows) == 2
        good = good and all(isinstance(row, list) and len(row) == 2 for row in rows)
        good = good and all(is_number(number) for row in rows for number in row)
        if good:
            matrices[count] = rows
        if not good or not 0.25 < np.linalg.det(matrices[count]) < 4:
            raise ReadError(
                f"section {count + 1}, in_plane_rotation: expected a rotation, 2 rows of 2 "
                f"numbers, found {shown(value)}",
                path,
            )
    if any(flat) and not all(flat):
        raise ReadError("in_plane_rotation: some are a list of four, others 2 rows of 2", path)
    return matrices, any(flat)


def _unit(
    given: OffsetUnit | None, content: dict[str, Any], offsets: Floats, path: Path
) -> OffsetUnit:
    program = content.get("format")
    if given is None and offsets.any() and program not in _PIXELS:
        warnings.warn(
            f"{path}: the schema has offsets in angstrom, the files of {' and '.join(_PIXELS)} in "
            f"pixels, and this is of {shown(program)}; assumed pixels (offset_unit= states it)",
            GuessWarning,
            stacklevel=5,
        )
    return given or "pixel"


def _dimensions(content: dict[str, Any], name: str, spacing: float) -> dict[str, Any]:
    """Return the size of the tomogram in pixels of the tilt images."""
    size = content.get("volume_dimension")
    values: list[Any] = [size.get(axis) for axis in "xyz"] if isinstance(size, dict) else []
    if not spacing or not values or not all(is_number(v) and v > 0 for v in values):
        return {}
    pixels = tuple(round(value / spacing) for value in values)
    return {name: pixels} if min(pixels) > 0 else {}


def _warn(content: dict[str, Any], planes: Floats, rotation_z: Floats, path: Path) -> None:
    offsets = {key: content.get(key) for key in ("tilt_offset", "x_rotation_offset")}
    there = [f"{key} {value}" for key, value in offsets.items() if value]
    if there and content.get("format") != "ARETOMO3":
        warnings.warn(
            f"{path}: {' and '.join(there)}: assumed to be in the angles already (add it to the "
            "columns rotation_x, rotation_y if it is not)",
            GuessWarning,
            stacklevel=5,
        )
    lost = []
    affine = content.get("affine_transformation_matrix")
    if affine not in (None, [], _IDENTITY):
        lost.append("affine_transformation_matrix of the volume, which is not the identity")
    volume = content.get("volume_offset")
    if isinstance(volume, dict) and any(volume.values()):
        lost.append(f"volume_offset {shown(volume)}")
    if str(content.get("alignment_type") or "GLOBAL").upper() != "GLOBAL":
        lost.append(f"the local alignment (alignment_type {content['alignment_type']})")
    if len(planes):
        factors = np.sqrt(np.linalg.det(planes))
        rigid, _ = encode_transforms(
            rotation_z, np.zeros((len(planes), 2)), conventions.CZ_PORTAL_TILTS, 1.0, factors
        )
        radius, where = _tilts.edge(None)
        worst = factors[np.abs(factors - 1).argmax()]
        if abs(worst - 1) > 1e-3:
            lost.append(f"magnification {worst:.4g}, {abs(worst - 1) * radius:.2g} px {where}")
        stretch = float(np.linalg.norm(planes - rigid, ord=2, axis=(1, 2)).max())
        if stretch > 1e-3:
            lost.append(f"stretch of {stretch:.2g}, {stretch * radius:.2g} px {where}")
    if lost:
        warnings.warn(
            f"{path}: a ProjectionModel cannot hold {'; '.join(lost)}", LossWarning, stacklevel=5
        )


def write(
    data: pd.DataFrame,
    path: Path,
    *,
    overwrite: bool = False,
    offset_unit: OffsetUnit | None = None,
    alignment_format: str | None = None,
) -> LossReport:
    """Write the alignment of one tilt series.

    Parameters
    ----------
    data : ProjectionModel
        Of one experiment.
    path : path
    overwrite : bool
    offset_unit : {"pixel", "angstrom"}, optional
        Of x_offset and y_offset; by default what was read, else pixels.
    alignment_format : str, optional
        The key ``format``: the program that made the alignment, e.g. ``IMOD`` or ``ARETOMO3``; by
        default what was read, else null.

    Raises
    ------
    WriteError
        If there are several experiments, or offsets in angstrom have no pixel size.
    """
    report = LossReport(kept=[*Labels.ROTATION, *Labels.SHIFT])
    tilts = _tilts.one_experiment(data, path, report)
    report.kept = [name for name in report.kept if name != "excluded"]
    known = data.attrs.get("portal_alignment", {}).get(tilts.name, {})
    unit = str(known.get("offset_unit", "pixel")) if offset_unit is None else offset_unit
    if unit not in _UNITS:
        raise ValueError(f"offset_unit: expected 'pixel' or 'angstrom', found {unit!r}")
    spacing = float(tilts.part[Labels.PIXEL_SPACING].iloc[0]) if len(data) else 0.0
    if unit == "angstrom" and tilts.shifts.any() and not spacing:
        raise WriteError(
            "offsets in angstrom need the pixel spacing: give pixel_spacing (--pixel-spacing)",
            path,
        )
    behind = [i for i in tilts.excluded if i > tilts.index.max(initial=-1)]
    if behind:
        report.lost["excluded"] = f"{len(behind)} images behind the last one that is used"
    content = _content(data, tilts, known, spacing, report)
    if alignment_format is not None:
        content["format"] = alignment_format
    if content["format"] is None:
        report.assumed["format"] = "null; alignment_format= states the program"
    others = [
        str(name)
        for name in data.columns
        if name not in {*_tilts.STANDARD, _tilts.INDEX, MAGNIFICATION}
    ]
    own = [name for name in others if known and not name.startswith(("rln", "imod", "aretomo"))]
    _tilts.lose_columns(data, [*own, MAGNIFICATION], report)
    content[SECTIONS] = _sections(tilts, _UNITS[unit], spacing, own)
    try:
        text = json.dumps(content, indent=2, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise WriteError(f"JSON cannot hold this ({error})", path) from error
    with writing_bytes(path, overwrite) as file:
        file.write(text.encode() + b"\n")
    return report


def _content(
    data: pd.DataFrame,
    tilts: _tilts.Tilts,
    known: dict[str, Any],
    spacing: float,
    report: LossReport,
) -> dict[str, Any]:
    """Return all keys but the sections."""
    content: dict[str, Any] = {
        "alignment_type": "GLOBAL",
        "format": None,
        "is_portal_standard": False,
        "affine_transformation_matrix": _IDENTITY,
        "tilt_offset": 0,
        "x_rotation_offset": 0,
        "volume_offset": {"x": 0, "y": 0, "z": 0},
        "volume_dimension": {"x": 0, "y": 0, "z": 0},
    } | known.get("content", {})
    size = dimensions_of(data, "tomogram_dimensions", tilts.name)
    if size is not None and spacing:
        angstrom = (length * spacing for length in size)
        content["volume_dimension"] = dict(zip("xyz", angstrom, strict=True))
        report.converted["tomogram_dimensions"] = "angstrom; reading it needs the pixel spacing"
    elif size is not None:
        report.lost["tomogram_dimensions"] = "it is in angstrom, and the pixel spacing is unknown"
    return content


def _sections(
    tilts: _tilts.Tilts, convention: TiltConvention, spacing: float, others: list[str]
) -> list[dict[str, Any]]:
    part = tilts.part
    angles, _ = encode_tilts(tilts.rotations, tilts.shifts, convention, spacing or 1.0)
    scale: Any = part[MAGNIFICATION].to_numpy(dtype=float) if MAGNIFICATION in part else 1.0
    planes, offsets = encode_transforms(
        tilts.rotations[:, 2], tilts.shifts, convention, spacing or 1.0, scale
    )
    sections = []
    for row, index in enumerate(tilts.index.tolist()):
        section = {
            "z_index": index,
            "tilt_angle": float(angles[row, 1]),
            "volume_x_rotation": float(angles[row, 0]),
            "in_plane_rotation": planes[row].tolist(),
            "x_offset": float(offsets[row, 0]),
            "y_offset": float(offsets[row, 1]),
        }
        for name in others:
            value = part[name].iloc[row]
            value = value.item() if isinstance(value, np.generic) else value
            section[name] = None if isinstance(value, float) and math.isnan(value) else value
        sections.append(section)
    return sections


FORMAT = Format(
    name="portal-alignment",
    title="CZ cryoET data portal alignment JSON",
    kind="projection_model",
    suffixes=(".json",),
    read=read,
    write=write,
    sniff=sniff,
    keeps=frozenset(
        {
            *("rotation_x", "rotation_y", "rotation_z", "dx", "dy"),
            "tilt_index",
        }
    ),
    tolerance={"rotation": 1e-9, "shift": 1e-9},
    evidence=conventions.CZ_PORTAL_TILTS.evidence,
    url="https://github.com/chanzuckerberg/cryoet-data-portal-backend",
)
