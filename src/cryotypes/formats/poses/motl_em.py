"""Motive lists of TOM, AV3 and novaSTA: EM files of 20 numbers a particle, `.em`.

A header of 512 bytes (byte 0 the machine, byte 3 the type of numbers, then nx, ny, nz as int32),
then 20 float32 a particle: score, two free ones, numbers of subtomogram, tomogram and object, a
mean or half set, x, y, z, their shifts (added), three free ones, phi, psi, theta, class. Rotations
are by phi, theta, psi about z, x, z (not in the order of the file), reference to particle.
Coordinates are MATLAB indices, from 1, since the programs cut volumes with them (novaSTA's
extractSubtomos.cpp); cryoCAT and others pass 0-based numbers unchanged: ``index_base=0``.

EM header: tom_emread.m of the TOM toolbox. Rows: novaSTA's motlEntry.h.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cryotypes.conventions import (
    _table,
    decode_orientation,
    decode_position,
    decode_shift,
)
from cryotypes.errors import ReadError, WriteError
from cryotypes.formats.shared.declaration import Format, Head
from cryotypes.formats.shared.files import read_bytes
from cryotypes.loss import LossReport

from . import _fixed_columns
from ._particles import Particles, join_poses, to_posesets
from ._tomogram_numbers import decode_numbers, writing_with_map

if TYPE_CHECKING:
    from os import PathLike
    from pathlib import Path

    from numpy.typing import NDArray

    from cryotypes.poseset import PoseSet

NAME = "motl-em"
CONVENTION = _table.AV3
KEEPS = frozenset({"position", "shift", "orientation", "experiment_id"})
TOLERANCE = {"position": 1e-3, "shift": 1e-4, "orientation": 1e-4}

# Names that STOPGAP has, too, are STOPGAP's; the others cryoCAT's.
ROWS = (
    "score", "geom1", "geom2", "subtomo_num", "tomo_num", "object", "subtomo_mean", "x", "y",
    "z", "shift_x", "shift_y", "shift_z", "geom3", "geom4", "geom5", "phi", "psi", "theta",
    "class",
)  # fmt: skip
POSITION, SHIFT = ("x", "y", "z"), ("shift_x", "shift_y", "shift_z")
ANGLES = ("phi", "theta", "psi")  # in the order of rotation
_POSE = {*POSITION, *SHIFT, *ANGLES, "tomo_num"}
_HEADER = 512
_LITTLE, _BIG = (6,), (0, 3, 5)  # PC; OS-9, SGI and Mac
_TYPES = {5: "f4", 9: "f8"}
_LARGEST = 1 << 24  # above it float32 skips whole numbers
_DEFAULTS = {"object": 1, "class": 1}
_ALIASES = {"score": "cc", "object": "reg"}


def _layout(header: bytes) -> tuple[str, int, int, int] | None:
    """Return the numpy type, nx, ny, nz; None if this is not the header of an EM file."""
    if len(header) < _HEADER or header[0] not in (*_LITTLE, *_BIG) or header[3] not in _TYPES:
        return None
    order = "<" if header[0] in _LITTLE else ">"
    nx, ny, nz = struct.unpack(f"{order}3i", header[4:16])
    return order + _TYPES[header[3]], nx, ny, nz


def sniff(head: Head) -> bool:
    """Whether this is an EM header of 20 × n × 1 floats; images are not so narrow."""
    layout = _layout(head.data)
    return layout is not None and layout[1] == len(ROWS) and layout[2] >= 0 and layout[3] == 1


def read(
    path: Path,
    *,
    tomogram_names: str | PathLike[str] | None = None,
    pixel_spacing: float | None = None,
    index_base: int | None = None,
) -> list[PoseSet]:
    """Read particles, one PoseSet a tomogram, in order of appearance.

    Parameters
    ----------
    path : path
        20 numbers a particle; an array of n × 20 is read, too, if n is not 20.
    tomogram_names : path, optional
        Map of tomogram numbers to names, two columns. By default the .doc of the same name beside
        the list; a number without a name is called by its digits.
    pixel_spacing : float, optional
        Å per pixel, which the file does not say.
    index_base : {1, 0}, optional
        Coordinate of the first voxel: 1, unless given.

    Returns
    -------
    list of PoseSet
        ``features`` hold the other rows under STOPGAP's and cryoCAT's names.

    Raises
    ------
    ReadError
        If the file is not such a list, or a pose is not finite.
    """
    values, header = _read_array(path)
    rows = dict(zip(ROWS, values.T, strict=True))
    place = _fixed_columns.count_from(CONVENTION.place, index_base)
    codes, experiments, numbers = decode_numbers(
        rows["tomo_num"], path, tomogram_names, "tomo_num (5)"
    )
    offset = CONVENTION.offset
    spacing = np.full(len(values), float(pixel_spacing or 0))
    pixel = spacing[:, None]
    particles = Particles(
        position=decode_position(_fixed_columns.vectors(rows, POSITION, path), place, pixel),
        experiments=experiments,
        codes=codes,
        spacing=spacing,
        shift=decode_shift(_fixed_columns.vectors(rows, SHIFT, path), offset, pixel),
        orientation=decode_orientation(_fixed_columns.vectors(rows, ANGLES, path), CONVENTION.turn),
        features=_features(rows),
    )
    metadata = {
        "format": NAME,
        "index_base": place.zero[0],
        "header": header,
        "tomogram_numbers": numbers,
    }
    return to_posesets(particles, path, metadata)


def _read_array(path: Path) -> tuple[NDArray[np.float64], bytes]:
    """Return values (n, 20), and what the header says beyond type and size."""
    raw = read_bytes(path)
    layout = _layout(raw)
    if layout is None:
        what = f"a header of {_HEADER} bytes, machine 0, 3, 5 or 6, and type 5 or 9 (floats)"
        raise ReadError(f"expected an EM file: {what}; found {raw[:4].hex(' ') or 'nothing'}", path)
    kind, nx, ny, nz = layout
    if nz != 1 or len(ROWS) not in (nx, ny) or min(nx, ny) < 0:
        problem = f"expected a motive list, {len(ROWS)} × n × 1 numbers"
        raise ReadError(f"{problem}, found {nx} × {ny} × {nz}", path)
    expected = _HEADER + nx * ny * np.dtype(kind).itemsize
    if len(raw) != expected:
        size = f"expected {expected} bytes for {nx} × {ny} numbers, found {len(raw)}"
        raise ReadError(f"{size}; the file is cut or damaged", path)
    values = np.frombuffer(raw, kind, offset=_HEADER).reshape(ny, nx)
    values = values if nx == len(ROWS) else values.T
    with np.errstate(invalid="ignore"):  # signalling NaN, of damaged files
        return np.ascontiguousarray(values, dtype=float), raw[16:_HEADER]


def _features(rows: dict[str, NDArray[np.float64]]) -> pd.DataFrame:
    """Return the other rows; those that count things as whole numbers where they are."""
    table = {}
    for name, values in rows.items():
        if name not in _POSE:
            counts = name in ("subtomo_num", "object", "class")
            whole = counts and (np.abs(values) < 2**62).all() and (values % 1 == 0).all()
            table[name] = values.astype(np.int64) if whole else values
    return pd.DataFrame(table)


def write(
    data: list[PoseSet],
    path: Path,
    *,
    overwrite: bool = False,
    tomogram_names: str | PathLike[str] | None = None,
    index_base: int | None = None,
) -> LossReport:
    """Write a motive list, and beside it the .doc that names its tomograms, unless numbers do.

    Numbers have 32 bits, as the programs expect; what that changes visibly is reported.

    Parameters
    ----------
    data : list of PoseSet
    path : path
    overwrite : bool
        Also of a .doc beside that says otherwise.
    tomogram_names : path, optional
        Map of numbers to names, two columns, by which tomograms are numbered. By default as they
        were numbered when read, as their own digits, else from 1.
    index_base : {1, 0}, optional
        Coordinate of the first voxel. By default as read, else 1.

    Raises
    ------
    WriteError
        If a tomogram is not in ``tomogram_names``, a number of a subtomogram, an object or a class
        is above 2**24, or an experiment's name cannot stand in a .doc.
    """
    report = LossReport()
    particles = join_poses(data, path, report, KEEPS, [NAME])
    if index_base is None:
        index_base = _fixed_columns.as_read(particles, "index_base")
    numbers = _fixed_columns.tomogram_numbers(particles, report, _LARGEST, tomogram_names)
    place = _fixed_columns.count_from(CONVENTION.place, index_base)
    rows = _columns(particles, report, path)
    rows["tomo_num"] = np.array(numbers, dtype=np.int64)[particles.codes]
    labels = (POSITION, SHIFT, ANGLES)
    rows |= _fixed_columns.pose_columns(particles, CONVENTION, place, labels, report)
    with np.errstate(over="ignore"):
        array = np.stack([rows[name] for name in ROWS], axis=1).astype("<f4")
    for field, names in (("position", POSITION), ("shift", SHIFT)):
        written = array[:, [ROWS.index(name) for name in names]].astype(float)
        exact = np.stack([rows[name] for name in names], axis=1)
        _report_rounding(field, exact, written, report, path)
    header = _fixed_columns.as_read(particles, "header") or bytes(_HEADER - 16)
    with writing_with_map(path, overwrite, particles.experiments, numbers) as file:
        file.write(struct.pack("<4B3i", 6, 0, 0, 5, len(ROWS), len(array), 1))
        file.write(header)
        file.write(array.tobytes())
    return report


def _columns(particles: Particles, report: LossReport, path: Path) -> dict[str, NDArray[Any]]:
    """Return the rows that are features."""
    features = _fixed_columns.Features(particles, report)
    rows: dict[str, NDArray[Any]] = {"subtomo_num": features.identifiers("subtomo_num", "tag")}
    for name in ROWS:
        if name not in rows and name not in _POSE:
            default, alias = _DEFAULTS.get(name, 0), _ALIASES.get(name, "")
            rows[name] = features.numbers(name, default, alias, say=name in _DEFAULTS)
    features.finish(particles)
    for name in ("subtomo_num", "object", "class"):
        _fixed_columns.need_range(rows[name], name, _LARGEST, "a float32 skips numbers above", path)
    return rows


def _report_rounding(
    field: str,
    exact: NDArray[np.float64],
    written: NDArray[np.float64],
    report: LossReport,
    path: Path,
) -> None:
    """Say if float32 moves particles by more than the format's tolerance."""
    worst = np.abs(written - exact).max(initial=0.0)
    if not np.isfinite(worst):
        problem = f"expected numbers that fit into 32 bits, found {np.abs(exact).max():g}"
        raise WriteError(f"{field}: {problem}", path)
    if worst > TOLERANCE[field]:
        report.lost[field] = f"rounded to 32 bits, by up to {worst:.2g} px"


FORMAT = Format(
    name=NAME,
    title="AV3, TOM, novaSTA motive list",
    kind="poses",
    suffixes=(".em",),
    compression=(".gz", ".bz2"),
    read=read,
    write=write,
    sniff=sniff,
    keeps=KEEPS,
    tolerance=TOLERANCE,
    evidence=CONVENTION.evidence,
    url="https://github.com/turonova/novaSTA",
)
