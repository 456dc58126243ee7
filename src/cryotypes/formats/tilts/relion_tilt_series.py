"""RELION 5 tilt-series STAR files: tomograms.star and its like, and the series that they name.

``P = S(shift) S(image // 2) Rz(ZRot) Ry(YTilt) Rx(XTilt) S(-(tomogram // 2))`` is ours; shifts are
in Å. Paths inside the files are relative to RELION's project directory.

https://relion.readthedocs.io/en/latest/STA_tutorial/
"""

from __future__ import annotations

import io
import os
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import polars as pl

from cryotypes._sizes import is_size
from cryotypes.conventions import _table as conventions
from cryotypes.conventions import decode_tilts, encode_tilts
from cryotypes.errors import GuessWarning, ReadError, WriteError
from cryotypes.formats.images._size import image_size
from cryotypes.formats.shared.declaration import Format
from cryotypes.formats.shared.files import read_companion, writing_bytes
from cryotypes.formats.shared.finite import finite_column
from cryotypes.formats.shared.relion_project import TOMOGRAMS_FILE, Project, names_in
from cryotypes.formats.shared.star import Block, describe_blocks, has_labels, read_star, write_star
from cryotypes.formats.shared.tables import to_pandas, to_polars
from cryotypes.formats.shared.together import is_waiting, writing_together
from cryotypes.loss import LossReport
from cryotypes.names import spans
from cryotypes.projectionmodel import ProjectionModelDataLabels as Labels
from cryotypes.projectionmodel import dimensions_of

from . import _tilts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cryotypes.formats.shared.declaration import Head

ANGLES = ("rlnTomoXTilt", "rlnTomoYTilt", "rlnTomoZRot")
SHIFTS = ("rlnTomoXShiftAngst", "rlnTomoYShiftAngst")
NOMINAL_TILT = "rlnTomoNominalStageTiltAngle"
NOMINAL_AXIS = "rlnTomoNominalTiltAxisAngle"
SERIES_FILE = "rlnTomoTiltSeriesStarFile"
_FOLDER = "tilt_series"  # beside the list, for what it names
TILT_PIXEL = "rlnTomoTiltSeriesPixelSize"
SIZES = ("rlnTomoSizeX", "rlnTomoSizeY", "rlnTomoSizeZ")
_OF_STACKS = ("rlnTomoTiltSeriesName", "rlnTomoFrameCount")  # RELION 4 and WarpTools
_STANDARD = [
    *Labels.ROTATION,
    *Labels.SHIFT,
    Labels.EXPERIMENT_ID,
    Labels.PIXEL_SPACING,
    Labels.SOURCE,
]


def sniff(head: Head) -> bool:
    """STAR text with tilt angles or a list of tilt series; or an optimisation set."""
    return has_labels(
        head, SERIES_FILE, NOMINAL_TILT, ANGLES[1], TOMOGRAMS_FILE
    ) and not has_labels(head, "rlnTomoProjX")


def read(
    path: Path,
    *,
    pixel_spacing: float | None = None,
    experiments: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Read the tilt series of a project, or one of them, into one ProjectionModel.

    Parameters
    ----------
    path : path
        tomograms.star, aligned_tilt_series.star, tilt_series.star, one series' TS_xx.star, or an
        optimisation_set.star. Also WarpTools' tomograms.star that holds all series as blocks.
    pixel_spacing : float, optional
        Å per pixel of the tilt images, where the files do not tell.
    experiments : list of str, optional
        Only the files of these are needed; all are read where none of them is listed.

    Returns
    -------
    ProjectionModel
        All columns of the files are kept. ``attrs`` hold ``tomogram_dimensions`` (xyz, pixels of
        the tilt images) and ``tilt_image_dimensions`` (xy, where the images are there to ask), as
        dicts by experiment, and ``relion``: the rows of the list of tilt series.

    Raises
    ------
    ReadError
        If a series is missing or its pixel size is unknown.

    Warns
    -----
    GuessWarning
        If there is no alignment yet: nominal angles and no shifts are returned. If WarpTools left
        out the shifts.
    """
    blocks = read_star(path)
    if names := names_in(blocks, path):
        path = Project(path).named(names, TOMOGRAMS_FILE)
        blocks = read_star(path)
    listing = next((b for b in blocks if SERIES_FILE in b.table), None)
    together = next((b for b in blocks if "rlnTomoName" in b.table and not _is_series(b)), None)
    if listing is None and together is not None and any(map(_is_series, blocks)):
        return _Assembly(path, pixel_spacing, listed=True, inverse=True).model(
            _series_of_warp(together, blocks, path, experiments)
        )
    if listing is not None:
        rows = _listed(listing, path, experiments)
        series = [(row, *_named_series(row, path)) for row in rows]
    else:
        block = next((b for b in blocks if _is_series(b)), None)
        if block is None:
            raise ReadError(
                f"expected tilt series ({SERIES_FILE} or {ANGLES[1]}), found the blocks "
                f"{describe_blocks(blocks)}",
                path,
            )
        row = _row_of_series(path) or {"rlnTomoName": block.name or path.stem}
        series = [(row, path, block)]
    return _Assembly(path, pixel_spacing, listed=listing is not None).model(series)


def _series_of_warp(
    listing: Block, blocks: list[Block], path: Path, experiments: Sequence[str] | None
) -> list[tuple[dict[str, Any], Path, Block]]:
    """Return the series that stand as blocks in the file that lists them."""
    series = []
    for row in _listed(listing, path, experiments):
        name = str(row["rlnTomoName"])
        block = next((b for b in blocks if b.name == name and _is_series(b)), None)
        if block is None:
            raise ReadError(
                f"tilt series {name!r} is listed, but there is no block data_{name} with "
                f"{ANGLES[0]}",
                path,
            )
        series.append((row, path, block))
    return series


def _is_series(block: Block) -> bool:
    return ANGLES[1] in block.table or NOMINAL_TILT in block.table


def _listed(
    block: Block, path: Path, experiments: Sequence[str] | None = None
) -> list[dict[str, Any]]:
    """Return the rows of the list, each with a name of its own: those wanted, if there are."""
    if "rlnTomoName" not in block.table:
        raise ReadError(f"block {block.name!r}: expected the label rlnTomoName", path)
    repeated = block.table["rlnTomoName"].drop_nulls()
    repeated = repeated.filter(repeated.is_duplicated())
    if len(repeated):
        raise ReadError(f"block {block.name!r}: tilt series {repeated[0]!r} stands twice", path)
    rows = block.table.to_dicts()
    return [row for row in rows if str(row["rlnTomoName"]) in (experiments or ())] or rows


def _named_series(row: Mapping[str, Any], path: Path) -> tuple[Path, Block]:
    """Read the file that a row of the list names."""
    name, what = str(row[SERIES_FILE]), f"the file of tilt series {row.get('rlnTomoName')!r}"
    inside = path.parent / _FOLDER / Path(name).name
    found = inside if is_waiting(path) else Project(path).find(name, what)
    block = next((b for b in read_star(found) if _is_series(b)), None)
    if block is None:
        raise ReadError(f"expected a tilt series with {ANGLES[1]} or {NOMINAL_TILT}", found)
    return found, block


def _row_of_series(path: Path) -> dict[str, Any] | None:
    """Find the row of the list of tilt series that names this one, in the directory above."""
    folder = path.resolve().parent.parent
    for name in ("tomograms.star", "aligned_tilt_series.star", "tilt_series.star"):
        if not (folder / name).is_file():
            continue
        for block in read_companion(read_star, folder / name) or ():
            if SERIES_FILE in block.table:
                for row in block.table.to_dicts():
                    found = Project(folder / name).resolve(str(row[SERIES_FILE]))
                    if found is not None and found.samefile(path):
                        return row
    return None


class _Assembly:
    """Joins the tables of several series."""

    def __init__(
        self, path: Path, pixel_spacing: float | None, listed: bool, inverse: bool = False
    ) -> None:
        self.path, self.given, self.listed = path, pixel_spacing, listed
        row = conventions.WARP_ONE_FILE_TILTS if inverse else conventions.RELION_5_TILTS
        self.convention = row
        self.unaligned: list[str] = []
        self.unshifted: list[str] = []

    def model(self, series: list[tuple[dict[str, Any], Path, Block]]) -> pd.DataFrame:
        """Return the ProjectionModel of all series."""
        tables = [self._table(row, path, block) for row, path, block in series]
        if self.unaligned:
            names = ", ".join(self.unaligned[:5]) + (", …" if len(self.unaligned) > 5 else "")
            warnings.warn(
                f"{self.path}: no alignment yet for {names}: assumed the nominal tilt angle and "
                "axis, and no shifts",
                GuessWarning,
                stacklevel=6,
            )
        if self.unshifted:
            names = ", ".join(self.unshifted[:5]) + (", …" if len(self.unshifted) > 5 else "")
            warnings.warn(
                f"{self.path}: {names} have no shifts (WarpTools leaves them out); assumed 0, "
                "which is not what they are",
                GuessWarning,
                stacklevel=6,
            )
        empty = pl.DataFrame({name: [] for name in _STANDARD})
        joined = pl.concat(tables, how="diagonal_relaxed") if tables else empty
        model = to_pandas(joined)
        rows = [(str(row["rlnTomoName"]), row, path, block) for row, path, block in series]
        sizes = {
            name: tuple(int(row[label]) for label in SIZES)
            for name, row, _, _ in rows
            if is_size(row.get(label) for label in SIZES)
        }
        images = {name: size for name, _, path, block in rows if (size := _image_size(block, path))}
        model.attrs = {
            "tomogram_dimensions": sizes,
            "tilt_image_dimensions": images,
            "relion": {"listed": self.listed, "rows": {name: row for name, row, _, _ in rows}},
        }
        return model

    def _table(self, row: Mapping[str, Any], path: Path, block: Block) -> pl.DataFrame:
        name = str(row["rlnTomoName"])
        table = block.table
        spacing = self._spacing(row)
        if ANGLES[1] in table:
            labels = {**dict.fromkeys(ANGLES), **dict.fromkeys(SHIFTS)}
            angles = np.stack([_numbers(table, label, path, block) for label in ANGLES], axis=1)
            shifts = np.stack([_numbers(table, label, path, block) for label in SHIFTS], axis=1)
            if shifts.any() and not spacing > 0:
                raise ReadError(
                    f"shifts of tilt series {name!r} are in angstrom and need the pixel size of "
                    f"the tilt images, which is stated in tomograms.star ({TILT_PIXEL}): give "
                    "pixel_spacing= (--pixel-spacing)",
                    path,
                )
        else:
            self.unaligned.append(name)
            labels = {}
            tilt = _numbers(table, NOMINAL_TILT, path, block)
            axis = _numbers(table, NOMINAL_AXIS, path, block)
            angles = np.stack([np.zeros_like(tilt), tilt, axis], axis=1)
            shifts = np.zeros((len(tilt), 2))
        if self.convention.inverse and SHIFTS[0] not in table:
            self.unshifted.append(name)
        rotations, offsets = decode_tilts(angles, shifts, self.convention, spacing or 1.0)
        columns = dict(
            zip([*Labels.ROTATION, *Labels.SHIFT], [*rotations.T, *offsets.T], strict=True)
        )
        return pl.DataFrame(columns).with_columns(
            pl.lit(name).alias(Labels.EXPERIMENT_ID),
            pl.lit(float(spacing)).alias(Labels.PIXEL_SPACING),
            pl.lit(str(path)).alias(Labels.SOURCE),
            *[column for column in table if column.name not in labels],
        )

    def _spacing(self, row: Mapping[str, Any]) -> float:
        """Å per pixel of the tilt images, 0 if unknown."""
        if self.given is not None:
            return float(self.given)
        value = row.get(TILT_PIXEL)
        if not (isinstance(value, (int, float)) and value > 0):
            return 0.0
        if value == float("inf"):
            raise ReadError(f"expected a finite number as {TILT_PIXEL}, found {value}", self.path)
        return float(value)


def _numbers(table: pl.DataFrame, label: str, path: Path, block: Block) -> Any:
    """Return a column of numbers; a missing one is zero."""
    if label not in table:
        return np.zeros(table.height)
    return finite_column(table, label, path, block.name)


def _image_size(block: Block, path: Path) -> tuple[int, int] | None:
    """Ask the first tilt image that is there for its size (xy); RELION does not state it."""
    if "rlnMicrographName" not in block.table or not block.table.height:
        return None
    name = str(block.table["rlnMicrographName"][0]).rpartition("@")[2]
    found = Project(path).resolve(name)
    return None if found is None else image_size(found)


def write(
    data: pd.DataFrame,
    path: Path,
    *,
    overwrite: bool = False,
    layout: str | None = None,
    project: str | os.PathLike[str] | None = None,
) -> LossReport:
    """Write the list of tilt series, and one file a series in ``tilt_series/`` beside it.

    Parameters
    ----------
    data : ProjectionModel
    path : path
        tomograms.star, aligned_tilt_series.star or the like.
    overwrite : bool
    layout : {"list", "series"}, optional
        ``series`` writes one series' table alone, without its pixel size; the default where the
        model was read from such a file.
    project : path, optional
        RELION's project directory, to which the names in the list are relative. By default the
        nearest one above ``path`` with RELION's own files, else the directory of ``path``.

    Raises
    ------
    WriteError
        If the pixel spacing is unknown while there are shifts.
    """
    if layout not in (None, "list", "series"):
        raise ValueError(f"layout: expected 'list' or 'series', found {layout!r}")
    known = data.attrs.get("relion", {})
    parts = {str(name): part for name, part in data.groupby(Labels.EXPERIMENT_ID, sort=False)}
    single = layout == "series" or (
        layout is None and not known.get("listed", True) and len(parts) == 1
    )
    if single and len(parts) != 1:
        raise WriteError(f"layout 'series' holds one tilt series, found {len(parts)}", path)
    report = LossReport(
        kept=["rotation_x", "rotation_y", "rotation_z", "dx", "dy", "experiment_id", "columns"]
    )
    blocks = {
        name: Block("_".join(name.split()), _series_table(part, path))
        for name, part in parts.items()
    }
    _lose_excluded(data, list(parts), report)
    if any(dimensions_of(data, "tilt_image_dimensions", name) for name in parts):
        report.converted["tilt_image_dimensions"] = "not written; RELION finds it in the images"
    if single:
        elsewhere = "a series' own file does not state it, tomograms.star does"
        report.lost["pixel_spacing"] = elsewhere
        if any(dimensions_of(data, "tomogram_dimensions", name) for name in parts):
            report.lost["tomogram_dimensions"] = elsewhere
        with writing_bytes(path, overwrite) as file:
            file.write(_star(blocks.values()))
        return report
    report.kept.append("pixel_spacing")
    if any(dimensions_of(data, "tomogram_dimensions", name) for name in parts):
        report.kept.append("tomogram_dimensions")
    root = Project(path).directory if project is None else Path(project).resolve()
    files = {name: path.resolve().parent / _FOLDER / _file_name(name) for name in parts}
    if len(set(files.values())) < len(files):
        raise WriteError("two tilt series have names that make the same file name", path)
    rows = [
        _list_row(data, name, part, os.path.relpath(files[name], root), report)
        for name, part in parts.items()
    ]
    if any(SIZES[0] in row for row in rows):  # in one column with sizes, 0 says unknown
        rows = [row | {label: row.get(label, 0) for label in SIZES} for row in rows]
    others = {files[name]: _star([block]) for name, block in blocks.items()}
    with writing_together(path, others, overwrite) as file:
        empty = pl.DataFrame({"rlnTomoName": [], SERIES_FILE: []})
        table = pl.DataFrame(rows, infer_schema_length=None) if rows else empty
        file.write(_star([Block("global", table)]))
    return report


def _star(blocks: Iterable[Block]) -> bytes:
    file = io.BytesIO()
    write_star(file, blocks, 50001)
    return file.getvalue()


def _lose_excluded(data: pd.DataFrame, names: list[str], report: LossReport) -> None:
    """Say which images are left out: RELION knows those alone that have a row."""
    left_out = {name: _tilts.by_experiment(data, "excluded", name) for name in names}
    parts = [f"images {spans(index)} of {name!r}" for name, index in left_out.items() if len(index)]
    if parts:
        report.lost["excluded"] = (
            f"{'; '.join(parts)} (counted from 1) have no row, and no place in the stack"
        )


def _file_name(experiment: str) -> str:
    return re.sub(r"[\\/\s]", "_", experiment or "tilt_series") + ".star"


def _series_table(part: pd.DataFrame, path: Path) -> pl.DataFrame:
    spacing = float(part[Labels.PIXEL_SPACING].iloc[0])
    shifts = part[Labels.SHIFT].to_numpy(dtype=float)
    if shifts.any() and not spacing > 0:
        raise WriteError(
            "RELION writes shifts in angstrom, and the pixel spacing is unknown (0): give "
            "pixel_spacing (--pixel-spacing)",
            path,
        )
    angles, offsets = encode_tilts(
        part[Labels.ROTATION].to_numpy(dtype=float),
        shifts,
        conventions.RELION_5_TILTS,
        spacing or 1.0,
    )
    rest = part.drop(columns=[*_STANDARD, *ANGLES, *SHIFTS], errors="ignore")
    rest = rest.loc[:, ~rest.isna().all()] if len(rest) else rest
    written = dict(zip([*ANGLES, *SHIFTS], [*angles.T, *offsets.T], strict=True))
    if NOMINAL_TILT not in rest:
        written = {NOMINAL_TILT: angles[:, 1], **written}
    return pl.concat([to_polars(rest), pl.DataFrame(written)], how="horizontal")


def _list_row(
    model: pd.DataFrame, name: str, part: pd.DataFrame, file: str, report: LossReport
) -> dict[str, Any]:
    row: dict[str, Any] = {"rlnTomoName": name}
    for origin in ("relion", "relion4"):  # what RELION 4 knew of the microscope holds for 5
        if known := model.attrs.get(origin, {}).get("rows", {}).get(name):
            row = {label: value for label, value in known.items() if label not in _OF_STACKS}
            break
    row[SERIES_FILE] = file
    spacing = float(part[Labels.PIXEL_SPACING].iloc[0])
    if spacing > 0:
        row[TILT_PIXEL] = spacing
    size = dimensions_of(model, "tomogram_dimensions", name)
    if size is not None:
        row.update(zip(SIZES, size, strict=True))
    needed = ("rlnVoltage", "rlnSphericalAberration", "rlnAmplitudeContrast", "rlnTomoHand")
    missing = [label for label in needed if label not in row]
    if missing:
        report.assumed["microscope"] = f"nothing; RELION will ask for {', '.join(missing)}"
    return row


FORMAT = Format(
    name="relion-tilt-series",
    title="RELION 5 tilt-series STAR",
    kind="projection_model",
    suffixes=(".star",),
    compression=(".gz", ".bz2"),
    read=read,
    write=write,
    sniff=sniff,
    keeps=frozenset(
        {
            "rotation_x",
            "rotation_y",
            "rotation_z",
            "dx",
            "dy",
            "experiment_id",
            "pixel_spacing",
            "tomogram_dimensions",
            "columns",
        }
    ),
    tolerance={"rotation": 1e-9, "shift": 1e-9},
    evidence=conventions.RELION_5_TILTS.evidence,
    url="https://relion.readthedocs.io/en/latest/STA_tutorial/",
)
