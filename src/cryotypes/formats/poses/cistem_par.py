"""Frealign 9 and early cisTEM ``.par`` files: one line a particle, ``C`` begins a comment.

Angles and shifts are cisTEM's, which reads these files unchanged: phi, theta and psi are RELION's
rot, tilt and psi, shifts are in Å and added. There are no positions, and no pixel size. They are
not written: numbers have two decimals, and cisTEM's STAR files hold more.

https://github.com/timothygrant80/cisTEM/blob/master/src/core/frealign_parameter_file.cpp
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from cryotypes.conventions import decode_orientation, decode_shift
from cryotypes.conventions._table import CISTEM
from cryotypes.errors import ReadError
from cryotypes.formats.shared.declaration import Format, Head
from cryotypes.formats.shared.files import read_text
from cryotypes.formats.shared.rows import read_numbers
from cryotypes.formats.shared.tables import to_pandas
from cryotypes.names import strip_path_and_suffix

from ._particles import Particles, to_posesets

if TYPE_CHECKING:
    from pathlib import Path

    from cryotypes.poseset import PoseSet

NAME = "cistem-par"
_FIRST = ("number", "psi", "theta", "phi", "shx", "shy", "mag", "include", "df1", "df2", "angast")
_LAST = ("occ", "logp", "sigma", "score", "change")
_COLUMNS = {16: (*_FIRST, *_LAST), 17: (*_FIRST, "pshift", *_LAST)}  # before and since 2015
_WHOLE = ("number", "include")
_COMMENT = re.compile(rb"(?m)^C.*$")


def sniff(head: Head) -> bool:
    """Comments that name Frealign's columns, or rows of 16 or 17 numbers in a .par."""
    lines = head.data.splitlines()[: -1 if len(head.data) > 1 << 15 else None]
    comments = [line.split() for line in lines if line.startswith(b"C")]
    if any({b"PSI", b"THETA", b"SHX"} <= set(words) for words in comments):
        return True
    rows = [line.split() for line in lines if line.strip() and not line.startswith(b"C")]
    numeric = re.compile(rb"[-+]?\d*\.?\d+([eE][-+]?\d+)?")
    return (
        head.suffix in (".par", ".parx")
        and bool(rows)
        and all(len(row) in _COLUMNS and all(map(numeric.fullmatch, row)) for row in rows[:20])
    )


def read(path: Path, *, pixel_spacing: float | None = None) -> list[PoseSet]:
    """Read particles into one PoseSet, called after the file.

    Parameters
    ----------
    path : path
        Plain, .gz or .bz2.
    pixel_spacing : float, optional
        Å per pixel of the particle images, which the file does not state; needed for shifts.

    Returns
    -------
    list of PoseSet
        Positions are 0: the file has none. ``features`` hold all other columns, in lower case:
        number, mag, include (the film in Frealign), df1, df2, angast, pshift, occ, ….

    Raises
    ------
    ReadError
        If a line has not 16 or 17 numbers (Frealign 8's 12 had shifts in pixels), or shifts lack
        the pixel size.
    """
    raw = read_text(path)
    table = _read_table(raw, path)
    n = table.height
    angles = table.select("phi", "theta", "psi").to_numpy().reshape(n, 3)
    written = np.pad(table.select("shx", "shy").to_numpy().reshape(n, 2), ((0, 0), (0, 1)))
    if written.any() and not pixel_spacing:
        raise ReadError(
            "shifts in angstrom need the pixel size, which .par files do not state: give "
            "pixel_spacing= (--pixel-spacing)",
            path,
        )
    particles = Particles(
        position=np.zeros((n, 3)),
        experiments=[strip_path_and_suffix(path.name)],
        codes=np.zeros(n, dtype=np.int64),
        spacing=np.full(n, float(pixel_spacing or 0)),
        shift=decode_shift(written, CISTEM.offset, pixel_spacing or 1.0),
        orientation=decode_orientation(angles, CISTEM.turn),
        features=to_pandas(table, without=("psi", "theta", "phi", "shx", "shy")),
        located=False,
    )
    comments = [line.decode("utf-8", errors="replace") for line in _COMMENT.findall(raw)]
    return to_posesets(particles, path, {"format": NAME, "ndim": 2, "comments": comments})


def _read_table(raw: bytes, path: Path) -> pl.DataFrame:
    """Parse the lines that are not comments; all values are finite numbers."""
    body = _COMMENT.sub(b"", raw)
    first = re.search(rb"\S[^\n]*", body)
    names = _COLUMNS[17] if first is None else _COLUMNS.get(len(first[0].split()), _COLUMNS[17])
    values = read_numbers(body, path, names, required=16, finite=len(names))
    columns = dict(zip(names, values.T, strict=True))
    for name in _WHOLE:
        numbers = columns[name]
        if np.array_equal(numbers, np.trunc(numbers)) and (np.abs(numbers) < 2**53).all():
            columns[name] = columns[name].astype(np.int64)
    return pl.DataFrame(columns)


FORMAT = Format(
    name=NAME,
    title="cisTEM and Frealign particle list",
    kind="poses",
    suffixes=(".par", ".parx"),
    compression=(".gz", ".bz2"),
    read=read,
    sniff=sniff,
    evidence=f"{CISTEM.evidence}; its ReadFromFrealignParFile copies angles and shifts",
    url="https://github.com/timothygrant80/cisTEM",
)
