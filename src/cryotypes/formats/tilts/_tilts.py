"""What formats of tilt-series alignments share: tables of numbers, checks, tilts to write."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cryotypes._sizes import tomogram_size
from cryotypes.conventions import decode_tilts
from cryotypes.errors import GuessWarning, ReadError, WriteError
from cryotypes.formats.shared import mrc_header as mrc_header
from cryotypes.formats.shared.files import read_text, reading_bytes
from cryotypes.formats.shared.finite import LARGEST, check_finite
from cryotypes.formats.shared.rows import read_numbers, read_ragged
from cryotypes.loss import by_weight
from cryotypes.names import strip_path_and_suffix
from cryotypes.projectionmodel import ProjectionModelDataLabels as Labels
from cryotypes.projectionmodel import dimensions_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from cryotypes.conventions import TiltConvention
    from cryotypes.loss import LossReport

    Floats = NDArray[np.float64]

INDEX = "tilt_index"
STANDARD = [
    *Labels.ROTATION,
    *Labels.SHIFT,
    Labels.EXPERIMENT_ID,
    Labels.PIXEL_SPACING,
    Labels.SOURCE,
]
_MOST = 100_000  # images of a tilt series; more is a damaged number
_EMCLARITY = (22, 23)  # columns of its .tlt


def read_table(path: Path, names: Sequence[str] | None = None) -> Floats:
    """Read lines of finite numbers, of which there must be one.

    Parameters
    ----------
    path : Path
    names : sequence of str, optional
        What the columns are. By default there may be any, and those that all lines have are
        returned.

    Returns
    -------
    array, shape (n, columns)
    """
    raw = read_text(path, blank=False)
    if names is None:
        table = read_ragged(raw, path)
        names = [f"column {i}" for i in range(1, table.shape[1] + 1)]
    else:
        table = read_numbers(raw, path, names, required=len(names), finite=len(names))
    return check_finite(table, names, path, below=LARGEST)


def nominal(
    path: Path,
    name: str,
    angles: Floats,
    axis: Floats,
    convention: TiltConvention,
    pixel_spacing: float,
) -> pd.DataFrame:
    """Make a model of tilt angles and the tilt axis, degrees as the program writes them."""
    n = len(angles)
    written = np.stack([np.zeros(n), angles, axis], axis=1)
    rotations, shifts = decode_tilts(written, np.zeros((n, 2)), convention, 1.0)
    columns = [*rotations.T, *shifts.T]
    model = pd.DataFrame(dict(zip([*Labels.ROTATION, *Labels.SHIFT], columns, strict=True)))
    model[Labels.EXPERIMENT_ID] = pd.Series([name] * n, dtype=object)
    model[Labels.PIXEL_SPACING] = spacing_given(pixel_spacing)
    model[Labels.SOURCE] = pd.Series([str(path)] * n, dtype=object)
    model[INDEX] = np.arange(n)
    return model


@dataclass(frozen=True)
class Angles:
    """A file of tilt angles.

    Parameters
    ----------
    table : array, shape (n, columns)
        The angles first, then what else there is, in the order of the stack if it is stated.
    names : list of str
        What to call the columns behind the first.
    index : array of int, optional
        Positions in the stack, from 0, if the file states them.
    """

    table: Floats
    names: list[str]
    index: NDArray[np.int64] | None = None


def read_angles(
    path: Path,
    column: int | None = None,
    advice: str = "say which column they are, from 1: angle_column=2 (-O angle_column=2)",
) -> Angles:
    """Read a file of tilt angles, one line an image.

    emClarity's .tlt has 22 or 23 columns, of which the first numbers the images and the fourth
    is the angle.

    Parameters
    ----------
    path : Path
    column : int, optional
        That of the angles, from 1; by default the first.
    advice : str
        What to do where the first column counts lines.

    Raises
    ------
    ReadError
        If the first column counts images, and nobody says where the angles are.
    """
    table = read_table(path)
    rows, width = table.shape
    first = np.sort(table[:, 0])
    index = None
    if column is None:
        column = 1
        if width in _EMCLARITY and first[0] >= 1 and (np.diff(first) > 0).all():
            if (first % 1 == 0).all() and first[-1] <= _MOST:
                column, table = 4, table[np.argsort(table[:, 0])]
                index = table[:, 0].astype(np.int64) - 1
        elif rows > 1 and width > 1 and (first == np.arange(1, rows + 1)).all():
            raise ReadError(
                f"the first column counts from 1 to {rows}, which are no tilt angles; {advice}",
                path,
            )
    if not 1 <= column <= width:
        raise ReadError(f"angle_column={column}: the lines have {width} numbers", path)
    others = [i for i in range(width) if i != column - 1]
    names = [f"tlt_column_{i + 1}" for i in others]
    return Angles(table[:, [column - 1, *others]], names, index)


def check_angles(angles: Floats, path: Path) -> None:
    """Look whether tilt angles can be tilt angles.

    Raises
    ------
    ReadError
        If one is beyond a full turn.

    Warns
    -----
    GuessWarning
        If they are outside ±90°, all zero, or two are equal.
    """
    if not len(angles):
        return
    largest = float(angles[np.argmax(np.abs(angles))])
    doubt = ""
    if abs(largest) > 360:
        raise ReadError(f"expected tilt angles in degrees, found {largest:g}", path)
    if abs(largest) > 90:
        doubt = f"a tilt angle of {largest:g}° is outside ±90°"
    elif len(angles) > 1 and not angles.any():
        doubt = "all tilt angles are zero"
    elif len(np.unique(angles)) < len(angles):
        values, counts = np.unique(angles, return_counts=True)
        doubt = f"the tilt angle {values[counts > 1][0]:g}° stands {counts.max()} times"
    if doubt:
        warnings.warn(
            f"{path}: {doubt}; assumed to be right (correct the file if it is not)",
            GuessWarning,
            stacklevel=5,
        )


def dimensions(given: Any, count: int, name: str) -> tuple[int, ...] | None:
    """Check a size that was given as an option.

    Raises
    ------
    ValueError
    """
    if given is None:
        return None
    try:
        size = tuple(int(n) for n in given)
    except (TypeError, ValueError):
        size = ()
    if len(size) != count or min(size) < 1:
        raise ValueError(f"{name}: expected {'x, y, z'[: 3 * count - 2]}, found {given!r}")
    return size


def tomogram_pixels(
    given: Any, spacing: float | None, pixel_spacing: float
) -> tuple[int, int, int] | None:
    """Return the size of a tomogram that was given, in whole pixels of a tilt series.

    Parameters
    ----------
    given : (x, y, z), or dict of these by experiment, optional
    spacing : float, optional
        Å per pixel in which it is counted; by default the tilt series'.
    pixel_spacing : float
        Å per pixel of the tilt series, 0 if unknown.

    Raises
    ------
    ValueError
        If it is no size, or cannot be scaled.
    """
    size = tomogram_size(given, spacing, tilt_series=pixel_spacing)
    if size is None:
        return None
    x, y, z = (round(n) for n in size.in_pixels(pixel_spacing))
    return x, y, z


def spacing_given(given: float | None) -> float | None:
    """Check a pixel spacing that was given as an option."""
    if given is not None and not (math.isfinite(given) and given >= 0):
        raise ValueError(f"pixel_spacing: expected angstrom, found {given!r}")
    return None if given is None else float(given)


@dataclass(frozen=True)
class Stack:
    """The header of a stack of images: size (x, y), number of images, Å per pixel (0: unknown)."""

    path: Path
    size: tuple[int, int]
    images: int
    pixel_spacing: float
    doubt: str


def read_stack_header(path: Path) -> Stack | None:
    """Ask an MRC file for its size; None if there is none, or it is something else."""
    if not path.is_file():
        return None
    try:
        with reading_bytes(path) as file:
            header = mrc_header.parse(file.read(mrc_header.SIZE), path)
    except (OSError, ReadError):
        return None
    spacing, doubt = mrc_header.pixel_spacing(header, stack=True)
    return Stack(path, header.size[:2], header.size[2], spacing, doubt if spacing else "")


def edge(size: Sequence[float] | None) -> tuple[float, str]:
    """Return the distance of the edge from the centre, and what to call it."""
    return (max(size) / 2, "at the edge") if size is not None else (1000.0, "per 1000 px")


@dataclass
class Tilts:
    """The tilt images of one experiment as a file of all of them, in the order of the stack.

    Parameters
    ----------
    name : str
        The experiment.
    part : DataFrame, n rows
    index : array, shape (n,)
        Positions in the raw stack, from 0.
    count : int
        Images in the raw stack, as far as is known.
    excluded : list of int
        Positions without a row.
    excluded_tilts : list of float
        Their angles.
    """

    name: str
    part: pd.DataFrame
    index: NDArray[np.int64]
    count: int
    excluded: list[int] = field(default_factory=list)
    excluded_tilts: list[float] = field(default_factory=list)

    @property
    def rotations(self) -> Floats:
        return self.part[Labels.ROTATION].to_numpy(dtype=float)

    @property
    def shifts(self) -> Floats:
        return self.part[Labels.SHIFT].to_numpy(dtype=float)


def one_experiment(
    data: pd.DataFrame,
    path: Path,
    report: LossReport,
    keeps: frozenset[str] | None = None,
    *,
    columns: Sequence[str] | None = None,
) -> Tilts:
    """Take the only experiment of a model, and account for its name, its order and its columns.

    Parameters
    ----------
    data : ProjectionModel
    path : Path
        The file to be written.
    report : LossReport
        experiment_id, pixel_spacing and source are accounted for; with ``keeps`` also rotations,
        shifts and images that are excluded, with ``columns`` the others.
    keeps : frozenset of str, optional
        The fields that the format holds, if the writer does not tell of them itself.
    columns : sequence of str, optional
        The columns that the format holds beside them, see `lose_columns`.

    Raises
    ------
    WriteError
        If there are several experiments, or tilt_index does not number images.

    Warns
    -----
    GuessWarning
        If nothing says where the images lie in the stack, and rows are not sorted by tilt.
    """
    names = list(dict.fromkeys(map(str, data[Labels.EXPERIMENT_ID])))
    if len(names) > 1:
        raise WriteError(
            f"a file of this format holds one experiment, found {names[0]!r} and {names[1]!r}; "
            "write one file each (cryotypes convert … '{experiment_id}" + path.suffix + "')",
            path,
        )
    name = names[0] if names else ""
    if name in ("", strip_path_and_suffix(path.name)):
        report.kept.append("experiment_id")
    else:
        report.lost["experiment_id"] = f"{name!r} is not the file's name"
    spacings = data[Labels.PIXEL_SPACING].to_numpy(dtype=float)
    if spacings.any():
        report.lost["pixel_spacing"] = f"{spacings[0]:g} Å; the format has none"
    index = stack_order(data, path)
    if INDEX not in data and len(data) > 1:
        report.assumed["order of the images"] = (
            f"row n is image n of the stack, since the model has no {INDEX}"
        )
    order = np.argsort(index, kind="stable")
    excluded = by_experiment(data, "excluded", name)
    if not all(isinstance(i, (int, np.integer)) and 0 <= i < _MOST for i in excluded):
        raise WriteError(f"attrs 'excluded': expected 0-based positions, found {excluded}", path)
    present = set(index.tolist())
    count = max([*present, *excluded], default=-1) + 1
    tilts = Tilts(name, data.iloc[order], index[order], count)
    known = dict(zip(excluded, by_experiment(data, "excluded_tilts", name), strict=False))
    tilts.excluded = [i for i in range(count) if i not in present]
    angles = tilts.rotations[:, 1]
    guessed = np.interp(tilts.excluded, tilts.index, angles) if len(angles) else [0.0] * count
    tilts.excluded_tilts = [
        float(known.get(i, guess)) for i, guess in zip(tilts.excluded, guessed, strict=True)
    ]
    unknown = [i for i in tilts.excluded if i not in known]
    if unknown:
        report.assumed["angles of excluded images"] = (
            f"interpolated for {len(unknown)} of them, the first at position {unknown[0]}"
        )
    report.kept += [INDEX, "excluded"] if INDEX in data or excluded else []
    if keeps is not None:
        _account(tilts, data, keeps, report)
    if columns is not None:
        lose_columns(data, columns, report)
    return tilts


def _account(tilts: Tilts, data: pd.DataFrame, keeps: frozenset[str], report: LossReport) -> None:
    if "pixel_spacing" in keeps and report.lost.pop("pixel_spacing", ""):
        report.kept.append("pixel_spacing")
    report.kept += [name for name in (*Labels.ROTATION, *Labels.SHIFT) if name in keeps]
    if "rotation_x" not in keeps:
        lose_rotation_x(tilts, data, report)
    if "excluded" not in keeps:
        report.kept = [field for field in report.kept if field not in (INDEX, "excluded")]
        report.assumed.pop("angles of excluded images", None)
        if tilts.excluded:
            report.lost["excluded"] = (
                f"{len(tilts.excluded)} images without a row, the first at position "
                f"{tilts.excluded[0]}, are left out; rows count from 0"
            )


def stack_order(data: pd.DataFrame, path: Path) -> NDArray[np.int64]:
    """Return the position of each row in the stack, from 0: tilt_index, else the row's number."""
    if INDEX not in data:
        doubt_order(data, path)
        return np.arange(len(data))
    values = pd.to_numeric(data[INDEX], errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    bad = ~(np.isfinite(values) & (values >= 0) & (values < _MOST) & (values % 1 == 0))
    if bad.any():
        found = data[INDEX].iloc[int(bad.argmax())]
        raise WriteError(f"{INDEX}: expected positions in the stack from 0, found {found!r}", path)
    index = values.astype(np.int64)
    if len(np.unique(index)) < len(index):
        raise WriteError(f"{INDEX}: a position stands twice; each image has one row", path)
    return index


def doubt_order(data: pd.DataFrame, path: Path) -> None:
    """Warn of rows that become the order of a stack, and hardly are."""
    for name, part in data.groupby(Labels.EXPERIMENT_ID, sort=False):
        steps = np.diff(part[Labels.ROTATION_Y].to_numpy(dtype=float))
        if (steps > 0).any() and (steps < 0).any():
            warnings.warn(
                f"{path}: the images of {name!r} are in no order of tilt, as by acquisition, and "
                "nothing states their place in the stack; assumed the order of the rows (the "
                f"column {INDEX} states it)",
                GuessWarning,
                stacklevel=5,
            )


def by_experiment(data: pd.DataFrame, name: str, experiment: str) -> list[Any]:
    """Return a list from the attrs, which may hold one for each experiment."""
    entry: Any = data.attrs.get(name, {})
    if isinstance(entry, dict):
        entry = entry.get(experiment, [])
    return list(entry)


def lose_columns(data: pd.DataFrame, written: Sequence[str], report: LossReport) -> None:
    """Say which columns the format has no place for."""
    gone = [str(name) for name in data.columns if name not in {*STANDARD, INDEX, *written}]
    if gone:
        report.lost["columns"] = f"{', '.join(by_weight(gone))}: the format has no such columns"


def lose_rotation_x(tilts: Tilts, data: pd.DataFrame, report: LossReport) -> None:
    """Say by how many pixels particles move if a tilt about x is left out."""
    largest = float(np.abs(tilts.rotations[:, 0]).max(initial=0.0))
    if not largest:
        report.kept.append("rotation_x")
        return
    size = dimensions_of(data, "tomogram_dimensions", tilts.name)
    radius = 1000.0 if size is None else math.hypot(size[1], size[2]) / 2
    where = "per 1000 px from the centre" if size is None else "at the tomogram's edge"
    moved = 2 * math.sin(math.radians(min(largest, 180)) / 2) * radius
    report.lost["rotation_x"] = (
        f"the format has no tilt about x; up to {largest:g}° or {moved:.2g} px {where}"
    )
