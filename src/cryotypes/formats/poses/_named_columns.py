"""Our own named columns, as CSV and Parquet hold them; docs/native.md describes them."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
import polars as pl

from cryotypes.conventions import (
    decode_orientation,
    decode_position,
    decode_shift,
    encode_orientation,
    encode_position,
    encode_shift,
)
from cryotypes.conventions._table import CRYOTYPES, RELION_3_0
from cryotypes.errors import GuessWarning, ReadError, WriteError
from cryotypes.formats.shared.finite import finite_column
from cryotypes.formats.shared.tables import to_pandas, to_polars
from cryotypes.names import strip_path_and_suffix

from ._particles import MULTIPLY, Particles, factorize, to_posesets

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from cryotypes.poseset import PoseSet

    Floats = NDArray[np.float64]

VERSION = 1
VERSION_KEY = "cryotypes_poseset_version"
POSITION = ("x", "y", "z")
SHIFT = ("dx", "dy", "dz")
QUATERNION = ("qx", "qy", "qz", "qw")
EULER = ("rot", "tilt", "psi")
EXPERIMENT, SPACING = "experiment_id", "pixel_spacing"
RESERVED = (*POSITION, *SHIFT, *QUATERNION, *EULER, EXPERIMENT, SPACING)
PREFIX = "feature_"
Unit = Literal["pixel", "angstrom"]


@dataclass(frozen=True)
class Named:
    """How a table's columns are to be understood.

    Parameters
    ----------
    own : bool
        It is a table of ours, and says so.
    columns : dict
        Our name to the table's, where they differ.
    index_base : float
        The coordinate of the first pixel's centre.
    unit : {"pixel", "angstrom"}
        Of positions and shifts.
    pixel_spacing : float, optional
        Å per pixel, instead of the table's.
    experiment_id : str, optional
        Instead of the table's.
    nameless : bool
        Nothing says that three columns are x, y, z.
    """

    own: bool = False
    columns: Mapping[str, str] | None = None
    index_base: float = 0.0
    unit: Unit = "pixel"
    pixel_spacing: float | None = None
    experiment_id: str | None = None
    nameless: bool = False


def check_version(version: str, path: Path) -> None:
    """Raise ReadError for a table of a version to come, or of none."""
    if not (version.isascii() and version.isdecimal() and int(version[:9]) >= 1):
        raise ReadError(f"{VERSION_KEY}: expected a whole number, found {version!r}", path)
    if int(version[:9]) > VERSION:
        raise ReadError(
            f"this is a table of version {version}, written by a newer cryotypes; this one reads "
            f"up to version {VERSION}: update it (pip install -U cryotypes)",
            path,
        )


def decode(
    table: pl.DataFrame, path: Path, named: Named, metadata: dict[str, Any]
) -> list[PoseSet]:
    """Turn a table into PoseSets; columns without a meaning of ours are features.

    Raises
    ------
    ReadError
        If a column is missing, or a position, shift or angle is no number.

    Warns
    -----
    GuessWarning
        If shifts or orientations are recognised by their columns' names alone, or what has no
        names looks like angles.
    """
    columns = _resolve(table, path, named)
    n = table.height
    spacing = _spacing(table, path, columns.get(SPACING), named)
    if named.unit == "angstrom" and (spacing <= 0).any():
        raise ReadError(
            "positions in angstrom need the pixel spacing: give pixel_spacing= (--pixel-spacing)",
            path,
        )
    per_pixel = spacing[:, None]
    flat = "z" not in columns
    written = numbers(table, [columns.get(axis) for axis in POSITION], path)
    if named.nameless:
        _doubt_angles(written, path)
    place = replace(CRYOTYPES.place, unit=named.unit, zero=(named.index_base,) * 3)
    particles = Particles(
        position=decode_position(written, place, per_pixel),
        experiments=[named.experiment_id or strip_path_and_suffix(path.name)],
        codes=np.zeros(n, dtype=np.int64),
        spacing=spacing,
    )
    if flat:
        particles.position[:, 2] = 0
    if "dx" in columns:
        assert CRYOTYPES.offset is not None
        offset = replace(CRYOTYPES.offset, unit=named.unit)
        shift = numbers(table, [columns[name] for name in SHIFT], path)
        particles.shift = decode_shift(shift, offset, per_pixel)
    if "qx" in columns:
        quaternions = numbers(table, [columns[name] for name in QUATERNION], path)
        _check_norms(quaternions, path)
        particles.orientation = decode_orientation(quaternions, CRYOTYPES.turn)
    elif "rot" in columns:
        angles = numbers(table, [columns[name] for name in EULER], path)
        particles.orientation = decode_orientation(angles, RELION_3_0.turn)
    if EXPERIMENT in columns and named.experiment_id is None:
        names = table[columns[EXPERIMENT]].cast(pl.String).fill_null("")
        particles.codes, particles.experiments = factorize(names.to_list())
    particles.features = _features(table, set(columns.values()), named)
    return to_posesets(particles, path, {**metadata, "ndim": 2} if flat else metadata, MULTIPLY)


def _resolve(table: pl.DataFrame, path: Path, named: Named) -> dict[str, str]:
    """Return the table's name of each of our columns that it has."""
    given = dict(named.columns or {})
    unknown = [name for name in given if name not in RESERVED]
    if unknown:
        expected = ", ".join(RESERVED)
        raise ValueError(f"columns: expected names among {expected}, found {unknown[0]!r}")
    absent = [name for name in given.values() if name not in table.columns]
    if absent:
        raise ReadError(_missing(f"a column {absent[0]!r}", table), path)
    found = dict(given)
    for name in (*POSITION, EXPERIMENT, SPACING):
        same = [c for c in table.columns if c == name]
        if not same and name in POSITION:
            same = [c for c in table.columns if c.strip().lower() == name]
        if name not in found and same:
            found[name] = same[0]
    if not found.keys() >= {"x", "y"}:
        raise ReadError(_missing("columns x, y, z", table), path)
    for group in (SHIFT, QUATERNION, EULER):
        if any(name in given for name in group):
            if not all(name in found or name in table.columns for name in group):
                raise ReadError(_missing(f"all of {', '.join(group)}", table), path)
        elif not all(name in table.columns for name in group):
            continue
        elif not named.own:
            if group is EULER:
                continue  # rot, tilt, psi mean other things elsewhere; columns= says so
            warnings.warn(
                f"{path}: assumed that {', '.join(group)} mean what they mean in cryotypes' own "
                f"tables; say so with a first line '# {VERSION_KEY}: {VERSION}' or columns=",
                GuessWarning,
                stacklevel=6,
            )
        found |= {name: found.get(name, name) for name in group}
    return found


def _doubt_angles(written: Floats, path: Path) -> None:
    """Warn of three nameless columns that can hardly be positions.

    Lists of angles, which template matching searches, have rows of zeros, negative angles, or
    radians throughout; particles are not in the corner of a tomogram, and not outside.
    """
    if len(written) < 2 or (np.abs(written) > 360).any():
        return
    fractions = bool(((written >= 0) & (written <= 1)).all())  # another doubt
    radians = bool((np.abs(written) < 6.3).all() and (written % 1).any()) and not fractions
    if radians or (written < 0).any() or (written == 0).all(axis=1).any():
        warnings.warn(
            f"{path}: nothing names the three columns, and they may be angles (no number is beyond "
            "360, and some are negative, all 0, or all small); assumed that they are x, y, z in "
            "pixels; name them with columns= (--columns) if they are, and do not read the file as "
            "particles if they are angles",
            GuessWarning,
            stacklevel=4,
        )


def _missing(expected: str, table: pl.DataFrame) -> str:
    listing = ", ".join(table.columns[:12]) + (", …" if len(table.columns) > 12 else "")
    return f"expected {expected}, found {listing}: name columns with columns={{'x': '…', …}}"


def _spacing(table: pl.DataFrame, path: Path, name: str | None, named: Named) -> Floats:
    if named.pixel_spacing is not None:
        return np.full(table.height, float(named.pixel_spacing))
    if name is None:
        return np.zeros(table.height)
    known = table.select(pl.col(name).fill_null(0)) if table[name].dtype.is_numeric() else table
    result = numbers(known, [name], path)[:, 0]
    if (result < 0).any():
        row = int((result < 0).argmax())
        raise ReadError(f"{name}, row {row + 1}: expected no negative, found {result[row]}", path)
    return result


def numbers(table: pl.DataFrame, names: Sequence[str | None], path: Path) -> Floats:
    """Return columns as (n, k) finite numbers; a None is a column of zeros.

    Raises
    ------
    ReadError
        Naming the column and the row (from 1) of what is not a number.
    """
    result = np.zeros((table.height, len(names)))
    for index, name in enumerate(names):
        if name is None:
            continue
        result[:, index] = finite_column(table, name, path)
    return result


def _check_norms(quaternions: Floats, path: Path) -> None:
    norms = np.linalg.norm(quaternions, axis=1)
    bad = ~(np.abs(norms - 1) < 1e-2)
    if bad.any():
        row = int(bad.argmax())
        found = quaternions[row].tolist()
        raise ReadError(f"row {row + 1}: expected a quaternion of length 1, found {found}", path)


def _features(table: pl.DataFrame, used: set[str], named: Named) -> pd.DataFrame:
    features = to_pandas(table, without=used)
    if named.own:
        features.columns = pd.Index([str(c).removeprefix(PREFIX) for c in features.columns])
    return features


def feature_column(name: str) -> str:
    """Return the column of a feature: its name, unless that means something else."""
    taken = name in RESERVED or name.startswith(PREFIX) or name.lower() in POSITION
    return PREFIX + name if taken else name


def encode(particles: Particles, euler: bool, path: Path) -> pl.DataFrame:
    """Turn particles into a table of our columns, without z for 2D data; inverse of `decode`.

    Raises
    ------
    WriteError
        If two features have one name.
    """
    series: list[pl.Series] = []

    def add(names: Sequence[str], values: Any) -> None:
        series.extend(
            pl.Series(name, np.ascontiguousarray(values[:, i])) for i, name in enumerate(names)
        )

    flat = all(entry.get("ndim") == 2 for entry in particles.metadata)
    axes = POSITION[:2] if flat and not particles.position[:, 2].any() else POSITION
    add(axes, encode_position(particles.position, CRYOTYPES.place, 1.0))
    if particles.shift is not None:
        add(SHIFT, encode_shift(particles.shift, CRYOTYPES.offset, 1.0))
    if particles.orientation is not None and euler:
        add(EULER, encode_orientation(particles.orientation, RELION_3_0.turn).reshape(-1, 3))
    elif particles.orientation is not None:
        add(QUATERNION, encode_orientation(particles.orientation, CRYOTYPES.turn).reshape(-1, 4))
    names = pl.Series(particles.experiments, dtype=pl.String)
    series.append(names.gather(particles.codes).alias(EXPERIMENT))
    series.append(pl.Series(SPACING, particles.spacing))
    if particles.features is not None:
        labels = [feature_column(str(name)) for name in particles.features.columns]
        twice = next((label for label in labels if labels.count(label) > 1), None)
        if twice is not None:
            raise WriteError(f"features: two columns are called {twice!r}", path)
        table = to_polars(particles.features)
        table.columns = labels
        series += table.get_columns()
    return pl.DataFrame(series)
