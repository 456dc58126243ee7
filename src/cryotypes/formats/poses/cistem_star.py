"""cisTEM parameter STAR files: particles of single-particle refinements.

Phi, theta and psi are RELION's rot, tilt and psi; shifts are in Å and added; the position in the
original image is in Å. The row is in `cryotypes.conventions`. Whether that position counts from
the centre of the first pixel, as cisTEM's template matching writes it, is read in its source but
not checked by running it (``first_pixel``).

cisTEM knows labels in any order and ignores those it does not know. It splits rows at blanks, even
inside quotes, and takes file names only in single quotes.

https://github.com/timothygrant80/cisTEM/blob/master/src/core/cistem_parameters.cpp
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl

from cryotypes.conventions import (
    decode_orientation,
    decode_position,
    decode_shift,
    encode_orientation,
    encode_position,
    encode_shift,
)
from cryotypes.conventions._table import CISTEM
from cryotypes.errors import ReadError, WriteError
from cryotypes.formats.shared.declaration import Format, Head
from cryotypes.formats.shared.files import read_text, writing_bytes
from cryotypes.formats.shared.finite import finite_column
from cryotypes.formats.shared.star import Block, has_labels, parse_star, write_star
from cryotypes.formats.shared.tables import to_pandas, to_polars
from cryotypes.loss import LossReport
from cryotypes.names import strip_path_and_suffix

from ._fixed_columns import count_from
from ._particles import (
    Particles,
    factorize,
    join_poses,
    need_plane,
    need_spacing,
    to_posesets,
    warn_of_no_positions,
)

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from cryotypes.conventions import Place
    from cryotypes.poseset import PoseSet

    Floats = NDArray[np.float64]

NAME = "cistem-star"
_ANGLES = ("cisTEMAnglePhi", "cisTEMAngleTheta", "cisTEMAnglePsi")
_SHIFTS = ("cisTEMXShift", "cisTEMYShift")
_POSITIONS = ("cisTEMOriginalXPosition", "cisTEMOriginalYPosition")
_PIXEL = "cisTEMPixelSize"
_IMAGE, _STACK = "cisTEMOriginalImageFilename", "cisTEMStackFilename"
_FILES = (_IMAGE, _STACK, "cisTEMReference3DFilename")
_DEFOCUS = ("cisTEMDefocus1", "cisTEMDefocus2", "cisTEMDefocusAngle")
_KEEPS = frozenset(
    {"position", "shift", "orientation", "experiment_id", "pixel_spacing", "features"}
)

_SINGLE_WORD = re.compile(rb"'(?<=\s')[^'\s#_$][^'\s]*'(?=\s|\Z)")


def sniff(head: Head) -> bool:
    """STAR text with cisTEM's labels."""
    return has_labels(head, *_ANGLES, *_SHIFTS, *_POSITIONS, "cisTEMPositionInStack")


def read(
    path: Path, *, pixel_spacing: float | None = None, first_pixel: Literal[0, 1] = 0
) -> list[PoseSet]:
    """Read particles, one PoseSet an original image (else stack) and pixel size.

    Parameters
    ----------
    path : path
        Plain, .gz or .bz2.
    pixel_spacing : float, optional
        Å per pixel, where the file does not tell or is wrong.
    first_pixel : {0, 1}
        Coordinate of the first pixel's centre, in pixels.

    Returns
    -------
    list of PoseSet
        Positions are 0 where the file has none. ``features`` hold all other columns.

    Raises
    ------
    ReadError
        If the file holds no particles, a column of poses holds text, or shifts or positions lack
        the pixel size.
    """
    raw = _plain(read_text(path))
    blocks = [b for b in parse_star(raw, path) if "cisTEM" in "".join(b.table.columns)]
    if len(blocks) != 1 or not blocks[0].loop:
        raise ReadError(f"expected one loop of cisTEM's particles, found {len(blocks)}", path)
    rows = _Rows(path, blocks[0].table, pixel_spacing)
    offset = CISTEM.offset
    position = rows.vectors(_POSITIONS)
    if position is None and rows.table.height:
        warn_of_no_positions(path, f"{_POSITIONS[0]}, …")
    if position is not None:
        spacing = rows.need_spacing(position)
        position = decode_position(position, count_from(CISTEM.place, first_pixel or None), spacing)
        position[:, 2] = 0
    shift = rows.vectors(_SHIFTS)
    if shift is not None:
        shift = decode_shift(shift, offset, rows.need_spacing(shift))
    angles = rows.vectors(_ANGLES)
    codes, names, field = rows.experiments()
    particles = Particles(
        position=np.zeros((rows.table.height, 3)) if position is None else position,
        experiments=names,
        codes=codes,
        spacing=rows.spacing,
        shift=shift,
        orientation=None if angles is None else decode_orientation(angles, CISTEM.turn),
        features=to_pandas(rows.table, without=rows.used),
        located=position is not None,
    )
    metadata = {
        "format": NAME,
        "ndim": 2,
        "labels": rows.table.columns,
        "experiment_label": field,
        "first_pixel": first_pixel,
    }
    return to_posesets(particles, path, metadata)


def _plain(raw: bytes) -> bytes:
    """Drop comment lines, and quotes around single words; both would be parsed slowly."""
    raw = re.sub(rb"(?m)^#.*", b"", raw)
    if b"'" not in raw or b'"' in raw:
        return raw
    raw = raw.replace(b" '' ", b" <NA> ").replace(b" ''\n", b" <NA>\n")
    all_single = 2 * len(_SINGLE_WORD.findall(raw)) == raw.count(b"'")
    return raw.translate(None, b"'") if all_single else raw


class _Rows:
    """The rows of the table."""

    def __init__(self, path: Path, table: pl.DataFrame, spacing: float | None) -> None:
        self.path, self.used = path, {_PIXEL}
        names = [name for name in _FILES if name in table.columns]
        self.table = table.with_columns(pl.col(names).cast(pl.String).fill_null(""))
        if spacing is None and _PIXEL in table.columns:
            self.spacing = np.maximum(self.numbers(_PIXEL), 0)
        else:
            self.spacing = np.full(table.height, spacing or 0.0)

    def numbers(self, name: str) -> Floats:
        """Return a column of numbers; zeros if there is none."""
        if name not in self.table.columns:
            return np.zeros(self.table.height)
        return finite_column(self.table, name, self.path)

    def vectors(self, names: tuple[str, ...]) -> Floats | None:
        """Return columns as (n, 3), with zeros where one is missing; None if all are."""
        if not any(name in self.table.columns for name in names):
            return None
        self.used.update(names)
        columns = [self.numbers(name) for name in names]
        return np.stack([*columns, np.zeros(self.table.height)][:3], axis=1)

    def need_spacing(self, vectors: Floats) -> Any:
        """Return (n, 1) Å per pixel, known wherever vectors are not 0.

        Raises
        ------
        ReadError
            If one is not.
        """
        if (vectors.any(axis=1) & (self.spacing <= 0)).any():
            raise ReadError(
                "positions and shifts in angstrom need the pixel size, which the file does not "
                "state: give pixel_spacing= (--pixel-spacing)",
                self.path,
            )
        return np.where(self.spacing > 0, self.spacing, 1.0)[:, None]

    def experiments(self) -> tuple[NDArray[np.int64], list[str], str | None]:
        """Return a code for each row, the names in order of appearance, and their label."""
        for label in (_IMAGE, _STACK):
            if label in self.table.columns and (self.table[label] != "").any():
                self.used.add(label)
                return *factorize(self.table[label].to_list()), label
        name = strip_path_and_suffix(self.path.name)
        return np.zeros(self.table.height, dtype=np.int64), [name], None


def write(
    data: list[PoseSet], path: Path, *, overwrite: bool = False, first_pixel: int | None = None
) -> LossReport:
    """Write particles in images; those read from one file go back in their original order.

    Parameters
    ----------
    data : list of PoseSet
    path : path
    overwrite : bool
    first_pixel : {0, 1}, optional
        Coordinate of the first pixel's centre, in pixels. By default as read, else 0.

    Raises
    ------
    WriteError
        If particles are not in a plane (z is not 0), the pixel spacing is unknown, or a file name
        holds blanks or quotes.
    """
    report = LossReport()
    particles = join_poses(data, path, report, _KEEPS, [NAME])
    need_plane(particles, path, "cisTEM")
    need_spacing(particles, path, "cisTEM")
    table = _table(particles, report, first_pixel)
    _check_names(table, path)
    with writing_bytes(path, overwrite) as file:
        write_star(file, [Block("", table)], single_quoted=_FILES)
    return report


def _table(particles: Particles, report: LossReport, first_pixel: int | None) -> pl.DataFrame:
    """Return all columns, in the order in which they were read; new ones follow."""
    read = particles.read
    if first_pixel is None:
        first_pixel = max((m.get("first_pixel", 0) for m in read), default=0)
    labels = list(dict.fromkeys(label for m in read for label in m.get("labels", [])))
    foreign = len(read) < len(particles.metadata)
    label = {m.get("experiment_label", _IMAGE) for m in read} if not foreign else {_IMAGE}
    columns = _poses(particles, count_from(CISTEM.place, first_pixel or None))
    if not particles.located:
        columns = {n: c for n, c in columns.items() if n not in _POSITIONS}
    for name in label - {None}:
        columns[str(name)] = particles.names
    table = pl.DataFrame(columns, schema_overrides=dict.fromkeys(label - {None}, pl.String))
    if particles.features is not None and particles.features.shape[1]:
        features = to_polars(particles.features.rename(columns=lambda n: "_".join(str(n).split())))
        table = table.hstack(features.drop([n for n in features.columns if n in table.columns]))
        report.kept.append("features")
    missing = [name for name in _DEFOCUS if name not in table.columns]
    if missing:  # cisTEM's reader does not check that they are there
        report.assumed["defocus"] = "0: cisTEM does not read files without"
        table = table.with_columns([pl.lit(0.0).alias(name) for name in missing])
    known = [name for name in table.columns if name.startswith("cisTEM")]
    order = dict.fromkeys([*(n for n in labels if n in table.columns), *known, *table.columns])
    return table.select(list(order))


def _poses(particles: Particles, place: Place) -> dict[str, Any]:
    spacing, offset = particles.spacing[:, None], CISTEM.offset
    columns: dict[str, Any] = {}
    if particles.orientation is not None:
        angles = encode_orientation(particles.orientation, CISTEM.turn)
        columns |= dict(zip(_ANGLES, angles.T, strict=True))
    if particles.shift is not None:
        written = encode_shift(particles.shift, offset, spacing)
        columns |= dict(zip(_SHIFTS, written.T, strict=False))
    columns[_PIXEL] = particles.spacing
    written = encode_position(particles.position, place, spacing)
    columns |= dict(zip(_POSITIONS, written.T, strict=False))
    return columns


def _check_names(table: pl.DataFrame, path: Path) -> None:
    """Refuse what would move cisTEM's columns: it does not know quoted blanks."""
    for name in _FILES:
        if name in table.columns:
            bad = table[name].cast(pl.String).str.contains(r"[\s'\x00]").fill_null(False)
            if bad.any():
                found = table[name][int(bad.arg_max() or 0)]
                raise WriteError(
                    f"_{name}: cisTEM reads no blanks and quotes in names, found {found!r}; "
                    "rename it",
                    path,
                )


FORMAT = Format(
    name=NAME,
    title="cisTEM particle STAR",
    kind="poses",
    suffixes=(".star",),
    compression=(".gz", ".bz2"),
    read=read,
    write=write,
    sniff=sniff,
    keeps=_KEEPS,
    tolerance={"position": 1e-6, "shift": 1e-6, "orientation": 1e-6},
    evidence=CISTEM.evidence,
    url="https://github.com/timothygrant80/cisTEM",
)
