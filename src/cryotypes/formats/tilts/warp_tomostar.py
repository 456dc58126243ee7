"""Warp's .tomostar: the tilt images of a series with their nominal angles.

ts_import of WarpTools turns the sign of the mdoc's tilt angles unless told --dont_invert; the file
does not say which. What was aligned since then is in the series' XML (warp-xml).

https://warpem.github.io/warp/user_guide/warptools/quick_start_warptools_tilt_series/
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import polars as pl

from cryotypes.conventions import _table as conventions
from cryotypes.conventions import decode_tilts, encode_tilts
from cryotypes.errors import GuessWarning, ReadError, WriteError
from cryotypes.formats.shared.declaration import Format, Head
from cryotypes.formats.shared.files import writing_bytes
from cryotypes.formats.shared.finite import finite_column
from cryotypes.formats.shared.star import Block, has_labels, read_star, write_star
from cryotypes.formats.shared.tables import to_pandas, to_polars
from cryotypes.loss import LossReport
from cryotypes.names import strip_path_and_suffix
from cryotypes.projectionmodel import ProjectionModelDataLabels as Labels

from . import _tilts

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

TILT, AXIS = "wrpAngleTilt", "wrpAxisAngle"
OFFSETS = ("wrpAxisOffsetX", "wrpAxisOffsetY")
COLUMNS = {"movie_path": "wrpMovieName", "dose": "wrpDose"}
_ROWS = {True: conventions.WARP_TILTS, False: conventions.WARP_TILTS_NOT_INVERTED}


def sniff(head: Head) -> bool:
    """STAR text with Warp's label of tilt angles."""
    return has_labels(head, TILT)


def read(
    path: Path,
    *,
    inverted: bool | None = None,
    tilt_axis_angle: float | None = None,
    pixel_spacing: float | None = None,
) -> pd.DataFrame:
    """Read the nominal alignment.

    Parameters
    ----------
    path : path
    inverted : bool, optional
        Whether the angles have the opposite sign of the mdoc's, as ts_import writes them; False
        for --dont_invert. By default True is assumed.
    tilt_axis_angle : float, optional
        Degrees; by default the file's wrpAxisAngle.
    pixel_spacing : float, optional
        Å per pixel of the tilt images; only older files have offsets, which need it.

    Returns
    -------
    ProjectionModel
        ``movie_path`` is wrpMovieName and ``dose`` wrpDose (e/Å², accumulated); other columns
        have their own names. ``tilt_index`` counts the rows from 0. ``attrs`` hold
        ``warp_tomostar``: what ``inverted`` was taken for.

    Raises
    ------
    ReadError
        If the columns are not there, or no numbers.

    Warns
    -----
    GuessWarning
        If ``inverted`` is not given, or the tilt axis is unknown.
    """
    if inverted not in (None, True, False):
        raise ValueError(f"inverted: expected True or False, found {inverted!r}")
    spacing = _tilts.spacing_given(pixel_spacing) or 0.0
    block = next((b for b in read_star(path) if TILT in b.table), None)
    if block is None:
        raise ReadError(f"expected a block with the label {TILT}", path)
    table = block.table
    tilts = _numbers(table, TILT, path)
    axis = _axis(table, tilt_axis_angle, path)
    shifts = np.stack([_numbers(table, label, path) for label in OFFSETS], axis=1)
    if shifts.any() and not spacing:
        raise ReadError(
            f"{OFFSETS[0]} is in angstrom and the file states no pixel size: give pixel_spacing= "
            "(--pixel-spacing)",
            path,
        )
    if inverted is None:
        inverted = True
        warnings.warn(
            f"{path}: assumed that the angles have the opposite sign of the mdoc's, as ts_import "
            "writes them; else the volume is mirrored (inverted=False for --dont_invert, "
            "inverted=True ends this warning)",
            GuessWarning,
            stacklevel=4,
        )
    _tilts.check_angles(tilts, path)
    angles = np.stack([np.zeros_like(tilts), tilts, axis], axis=1)
    rotations, offsets = decode_tilts(angles, shifts, _ROWS[bool(inverted)], spacing or 1.0)
    name = strip_path_and_suffix(path.name)
    columns = [*rotations.T, *offsets.T]
    model = pd.DataFrame(dict(zip([*Labels.ROTATION, *Labels.SHIFT], columns, strict=True)))
    model[Labels.EXPERIMENT_ID] = pd.Series([name] * len(model), dtype=object)
    model[Labels.PIXEL_SPACING] = spacing
    model[Labels.SOURCE] = pd.Series([str(path)] * len(model), dtype=object)
    model[_tilts.INDEX] = np.arange(len(model))
    ours = {label: column for column, label in COLUMNS.items()}
    rest = to_pandas(table, without=(TILT, AXIS, *OFFSETS)).rename(columns=ours)
    clash = [
        str(column) for column in rest.columns if column in model or list(rest).count(column) > 1
    ]
    if clash:
        raise ReadError(f"unexpected label {clash[0]}", path)
    model = pd.concat([model, rest], axis=1)
    model.attrs = {"warp_tomostar": {name: {"inverted": bool(inverted)}}}
    return model


def _axis(table: pl.DataFrame, given: float | None, path: Path) -> Floats:
    if given is not None:
        if not np.isfinite(given):
            raise ValueError(f"tilt_axis_angle: expected degrees, found {given!r}")
        return np.full(table.height, float(given))
    if AXIS not in table and table.height:
        warnings.warn(
            f"{path}: no {AXIS}; assumed 0°, as Warp does (tilt_axis_angle= states it)",
            GuessWarning,
            stacklevel=5,
        )
    return _numbers(table, AXIS, path)


def _numbers(table: pl.DataFrame, label: str, path: Path) -> Floats:
    """Return a column of numbers; a missing one is zero."""
    if label not in table:
        return np.zeros(table.height)
    return finite_column(table, label, path)


def write(
    data: pd.DataFrame, path: Path, *, overwrite: bool = False, inverted: bool | None = None
) -> LossReport:
    """Write angles and names; offsets only if there are any.

    Parameters
    ----------
    data : ProjectionModel
        Of one experiment. Columns ``movie_path`` and ``dose`` are written as wrpMovieName and
        wrpDose, and those whose names begin with ``wrp``.
    path : path
    overwrite : bool
    inverted : bool, optional
        As for reading; by default what the model was read with, else True.

    Raises
    ------
    WriteError
        If there are several experiments, or shifts whose pixel spacing is unknown.
    """
    report = LossReport()
    tilts = _tilts.one_experiment(data, path, report, FORMAT.keeps)
    known = data.attrs.get("warp_tomostar", {}).get(tilts.name, {})
    inverted = bool(known.get("inverted", True)) if inverted is None else inverted
    if inverted not in (True, False):
        raise ValueError(f"inverted: expected True or False, found {inverted!r}")
    spacing = float(tilts.part[Labels.PIXEL_SPACING].iloc[0]) if len(tilts.part) else 0.0
    if tilts.shifts.any() and not spacing > 0:
        raise WriteError(
            "Warp writes offsets in angstrom, and the pixel spacing is unknown (0): give "
            "pixel_spacing (--pixel-spacing)",
            path,
        )
    angles, shifts = encode_tilts(
        tilts.rotations, tilts.shifts, _ROWS[bool(inverted)], spacing or 1.0
    )
    written: dict[str, Any] = {TILT: angles[:, 1] + 0.0, AXIS: angles[:, 2]}
    if shifts.any():
        written |= dict(zip(OFFSETS, shifts.T, strict=True))
    names = [c for c in tilts.part if c in COLUMNS or str(c).startswith("wrp")]
    rest = tilts.part[names].rename(columns=COLUMNS).drop(columns=list(written), errors="ignore")
    missing = [label for label in COLUMNS.values() if label not in rest]
    if missing:
        report.assumed["columns"] = f"nothing; Warp will ask for {', '.join(missing)}"
    _tilts.lose_columns(data, [str(name) for name in names], report)
    table = pl.concat(
        [to_polars(rest.reset_index(drop=True)), pl.DataFrame(written)],
        how="horizontal",
    )
    if "wrpMovieName" in table:
        table = table.select("wrpMovieName", *written, pl.exclude("wrpMovieName", *written))
    with writing_bytes(path, overwrite) as file:
        write_star(file, [Block("", table)])
    return report


FORMAT = Format(
    name="warp-tomostar",
    title="Warp tomostar",
    kind="projection_model",
    suffixes=(".tomostar",),
    compression=(".gz", ".bz2"),
    read=read,
    write=write,
    sniff=sniff,
    keeps=frozenset({"rotation_y", "rotation_z", "dx", "dy"}),
    tolerance={"rotation": 1e-9, "shift": 1e-9},
    evidence="source: WarpTools' ImportTiltseries.cs and WarpLib's TiltSeries.cs",
    url="https://warpem.github.io/warp/",
)
