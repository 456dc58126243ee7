"""The alignment of a tilt series in EMAN2's ``info/<series>_info.json``, beside boxes and CTF.

``tlt_params`` has a row ``[tx, ty, tilt axis, y tilt, x tilt]`` for each image of the stack; shifts
are in pixels of ``apix_unbin`` Å, angles in degrees with the sign opposite to ours. Images whose
``ali_loss`` is above 500 are left out. A series whose y tilts were typed in with the microscope's
sign has a tomogram that is mirrored in z; nothing in the file tells. EMAN2 itself was not run.

The boxes of the same file are read as the format ``eman2-json``; writing one leaves the other.

Source: e2tomogram.py, libEM/transform.cpp. https://github.com/cryoem/eman2
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cryotypes.conventions import _table as conventions
from cryotypes.conventions import decode_tilts, encode_tilts, rescale
from cryotypes.errors import LossWarning, ReadError, WriteError
from cryotypes.formats.shared.declaration import Format
from cryotypes.formats.shared.eman2_info import (
    experiment_of,
    info_text,
    read_info,
    replaced_info,
    unbinned_spacing,
)
from cryotypes.formats.shared.files import refuse_overwrite, writing_bytes
from cryotypes.formats.shared.json_points import is_number, shown
from cryotypes.loss import LossReport
from cryotypes.projectionmodel import ProjectionModelDataLabels as Labels

from . import _tilts

if TYPE_CHECKING:
    from pathlib import Path

    from cryotypes.formats.shared.declaration import Head

PARAMETERS = "tlt_params"
LOSS = "ali_loss"
BAD = 500.0  # a higher loss leaves an image out
_LEFT_OUT = 1000.0  # what is written for an image without a row
_LISTS = (LOSS, "defocus", "phase")  # one value for each image
_BOXES = "boxes_3d"


def sniff(head: Head) -> bool:
    """A JSON object with tlt_params, or with ali_loss, which stands before a long list of boxes."""
    text = head.data.lstrip(b"\xef\xbb\xbf \t\r\n")
    return text[:1] == b"{" and (b'"tlt_params"' in text or b'"ali_loss"' in text)


def read(path: Path, *, pixel_spacing: float | None = None) -> pd.DataFrame:
    """Read the alignment of one tilt series.

    Parameters
    ----------
    path : path
    pixel_spacing : float, optional
        Å per pixel of the raw tilt images, where the file has no ``apix_unbin``, which counts
        (the boxes of the same file need that of the tomogram); 0 (unknown) by default.

    Returns
    -------
    ProjectionModel
        Called like the file without ``_info``; ``tilt_index`` counts the images of the stack.
        ``ali_loss``, ``defocus`` and ``phase`` are columns. ``attrs`` hold ``excluded`` and
        ``excluded_tilts``, and ``eman2``: the file's other keys but boxes, and the rows of images
        that are left out.

    Raises
    ------
    ReadError
        If the file is not JSON with tlt_params, or the lists have different lengths.

    Warns
    -----
    LossWarning
        Of local refinements (trans_coef).
    """
    given = _tilts.spacing_given(pixel_spacing)
    info = read_info(path, PARAMETERS)
    written = _parameters(info.pop(PARAMETERS), path)
    unbinned = unbinned_spacing(info, path)
    info.pop(_BOXES, None)
    lists = {name: _per_image(info, name, len(written), path) for name in _LISTS}
    columns = {name: values for name, values in lists.items() if values is not None}
    for name in columns:
        info.pop(name)
    bad = np.asarray(columns.get(LOSS, np.zeros(len(written)))) > BAD
    rotations, shifts = decode_tilts(
        written[:, [4, 3, 2]], written[:, :2], conventions.EMAN2_TILTS, 1.0
    )
    kept = np.flatnonzero(~bad)
    _tilts.check_angles(rotations[kept, 1], path)
    name = experiment_of(path)
    named = zip([*Labels.ROTATION, *Labels.SHIFT], [*rotations.T, *shifts.T], strict=True)
    model = pd.DataFrame(dict(named)).iloc[kept].reset_index(drop=True)
    model[Labels.EXPERIMENT_ID] = pd.Series([name] * len(model), dtype=object)
    model[Labels.PIXEL_SPACING] = unbinned or given or 0.0
    model[Labels.SOURCE] = pd.Series([str(path)] * len(model), dtype=object)
    model[_tilts.INDEX] = kept
    for title, values in columns.items():
        model[title] = values[kept]
    excluded = np.flatnonzero(bad).tolist()
    rows = {
        i: {PARAMETERS: written[i].tolist(), **{t: float(v[i]) for t, v in columns.items()}}
        for i in excluded
    }
    model.attrs = {
        "excluded": {name: excluded},
        "excluded_tilts": {name: rotations[excluded, 1].tolist()},
        "eman2": {name: {"info": info, "excluded_rows": rows}},
    }
    if info.get("trans_coef") is not None:
        warnings.warn(
            f"{path}: a ProjectionModel cannot hold the local refinement of trans_coef",
            LossWarning,
            stacklevel=4,
        )
    return model


def _parameters(rows: list[Any], path: Path) -> Any:
    for count, row in enumerate(rows):
        if not (isinstance(row, list) and len(row) == 5 and all(map(is_number, row))):
            raise ReadError(
                f"{PARAMETERS}, row {count + 1}: expected 5 numbers (tx, ty, tilt axis, y tilt, "
                f"x tilt), found {shown(row)}",
                path,
            )
    return np.array(rows, dtype=float).reshape(-1, 5)


def _per_image(info: dict[str, Any], name: str, count: int, path: Path) -> Any:
    """Return one number for each image; None where the file has no such list."""
    values = info.get(name)
    if not isinstance(values, list) or not values:
        return None
    if len(values) != count:
        raise ReadError(
            f"{PARAMETERS} has {count} rows, {name} {len(values)} values; expected one each", path
        )
    if not all(map(is_number, values)):
        bad = next(value for value in values if not is_number(value))
        raise ReadError(f"{name}: expected numbers, found {shown(bad)}", path)
    return np.array(values, dtype=float)


def write(data: pd.DataFrame, path: Path, *, overwrite: bool = False) -> LossReport:
    """Write the alignment of one tilt series; all other keys of the file stay.

    Images that are left out get a row of their tilt angle and axis alone, or that which they had
    when they were read, and a loss of 1000.

    Parameters
    ----------
    data : ProjectionModel
        Of one experiment.
    path : path
        ``<series>_info.json``. If it exists, only the alignment is replaced.
    overwrite : bool

    Raises
    ------
    WriteError
        If there are several experiments, or the pixel spacing is unknown.
    """
    report = LossReport(kept=[*Labels.ROTATION, *Labels.SHIFT])
    tilts = _tilts.one_experiment(data, path, report)
    report.lost.pop("pixel_spacing", None)
    if tilts.name == experiment_of(path) and "experiment_id" in report.lost:
        del report.lost["experiment_id"]
        report.kept.append("experiment_id")
    _tilts.lose_columns(data, _LISTS, report)
    refuse_overwrite(path, overwrite)
    known = data.attrs.get("eman2", {}).get(tilts.name, {})
    spacing = float(tilts.part[Labels.PIXEL_SPACING].iloc[0]) if len(data) else 0.0
    info = _base(path, known, spacing, report)
    factor = _factor(spacing, len(data), info, path, report)
    rows = known.get("excluded_rows", {})
    angles, shifts = encode_tilts(
        tilts.rotations, tilts.shifts * factor, conventions.EMAN2_TILTS, 1
    )
    written = np.zeros((tilts.count, 5))
    written[tilts.index] = np.column_stack([shifts, angles[:, ::-1]])
    _fill(written, tilts, rows)
    info[PARAMETERS] = written.tolist()
    for name in _LISTS:
        _put_list(info, name, tilts, rows)
    text = info_text(info, path)
    with writing_bytes(path, overwrite) as file:
        file.write(text)
    return report


def _base(path: Path, known: dict[str, Any], spacing: float, report: LossReport) -> dict[str, Any]:
    """Return the other keys: of the file to be overwritten, else of the file read; or none."""
    if info := replaced_info(path):
        report.converted["metadata"] = "all keys but the alignment stay those of the file"
        return info
    info = dict(known.get("info", {}))
    if spacing:
        info["apix_unbin"] = spacing
    return info


def _factor(spacing: float, n: int, info: dict[str, Any], path: Path, report: LossReport) -> float:
    """State the pixel size, and return the factor that brings shifts to it."""
    unbinned = unbinned_spacing(info, path)
    if unbinned is not None:
        if not spacing:
            report.assumed["pixel_spacing"] = f"the file's apix_unbin, {unbinned:g} Å"
        elif abs(spacing / unbinned - 1) > 1e-6:
            report.converted["pixel_spacing"] = f"from {spacing:g} Å to apix_unbin, {unbinned:g} Å"
            return float(rescale(1.0, spacing, unbinned))
        else:
            report.kept.append("pixel_spacing")
        return 1.0
    if _BOXES in info:
        report.lost["pixel_spacing"] = (
            "the file has none, and the meaning of its boxes would change with one"
        )
    elif spacing:
        info["apix_unbin"] = spacing
        report.kept.append("pixel_spacing")
    elif n:
        raise WriteError(
            "EMAN2 needs the pixel size of the raw tilt images (apix_unbin), and it is unknown; "
            "give pixel_spacing (--pixel-spacing)",
            path,
        )
    return 1.0


def _fill(written: Any, tilts: _tilts.Tilts, rows: dict[int, Any]) -> None:
    """Give images without a row of the model what they had, or their tilt alone."""
    if not tilts.excluded:
        return
    alone = np.zeros((len(tilts.excluded), 3))
    alone[:, 1] = tilts.excluded_tilts
    if len(tilts.index):
        alone[:, 2] = np.interp(tilts.excluded, tilts.index, tilts.rotations[:, 2])
    angles, _ = encode_tilts(alone, np.zeros((len(alone), 2)), conventions.EMAN2_TILTS, 1.0)
    for i, angle in zip(tilts.excluded, angles, strict=True):
        written[i] = rows[i][PARAMETERS] if i in rows else [0.0, 0.0, *angle[::-1]]


def _put_list(info: dict[str, Any], name: str, tilts: _tilts.Tilts, rows: dict[int, Any]) -> None:
    """Replace a list of one value for each image, or remove it: it was of other images."""
    default = _LEFT_OUT if name == LOSS else 0.0
    if name not in tilts.part and not (name == LOSS and tilts.excluded):
        if isinstance(info.get(name), list) and (name == LOSS or len(info[name]) != tilts.count):
            del info[name]
        return
    values = np.zeros(tilts.count)
    if name in tilts.part:
        column = pd.to_numeric(tilts.part[name], errors="coerce").to_numpy(dtype=float)
        values[tilts.index] = np.nan_to_num(column)
    for i in tilts.excluded:
        values[i] = rows.get(i, {}).get(name, default)
        if name == LOSS and not values[i] > BAD:
            values[i] = default
    info[name] = values.tolist()


FORMAT = Format(
    name="eman2-tilts",
    title="EMAN2 tilt alignment (info JSON)",
    kind="projection_model",
    suffixes=(".json",),
    read=read,
    write=write,
    sniff=sniff,
    keeps=frozenset(
        {
            *("rotation_x", "rotation_y", "rotation_z", "dx", "dy"),
            *("pixel_spacing", "tilt_index", "excluded"),
        }
    ),
    tolerance={"rotation": 1e-9, "shift": 1e-9},
    evidence=conventions.EMAN2_TILTS.evidence,
    url="https://blake.bcm.edu/emanwiki/EMAN2/Programs",
)
