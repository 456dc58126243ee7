"""CSV with named columns: our own, which says so in its first line, and those of others.

::

    # cryotypes_poseset_version: 1
    x,y,z,dx,dy,dz,qx,qy,qz,qw,experiment_id,pixel_spacing,score

Positions and shifts are pixels, from 0 at the centre of the first pixel; quaternions have the
scalar last and turn the reference into the particle; docs/native.md tells the rest. Of a CSV of
others the columns x, y, z are taken (in any case), as pixels from 0 unless an option says else;
all other columns are features.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import polars as pl

from cryotypes.conventions._table import CRYOTYPES
from cryotypes.errors import ReadError, WriteError
from cryotypes.formats.shared.declaration import Format, Head
from cryotypes.formats.shared.files import decode_utf8, read_bytes, warn_if_cut, writing_bytes
from cryotypes.loss import LossReport

from ._named_columns import (
    EXPERIMENT,
    POSITION,
    RESERVED,
    VERSION,
    VERSION_KEY,
    Named,
    Unit,
    check_version,
    decode,
    encode,
    feature_column,
)
from ._particles import join_poses, lose_features

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cryotypes.poseset import PoseSet

NAME = "csv"
_TYPES = {"Int64": pl.Int64, "Float64": pl.Float64, "String": pl.String, "Boolean": pl.Boolean}
_ABOUT = (
    "# x y z: pixels, the centre of the first pixel is 0 0 0; x + dx, y + dy, z + dz is where the "
    "particle is\n"
    "# qx qy qz qw (scalar last), or RELION's rot tilt psi: from the reference to the particle; "
    "pixel_spacing: angstrom\n"
)


def sniff(head: Head) -> bool:
    """A .csv or .tsv whose header has x and y, or three numbers a line."""
    if head.suffix not in FORMAT.suffixes or "\0" in head.text:
        return False
    line = next((t for t in head.text.lstrip("\ufeff").splitlines() if t and t[0] != "#"), "")
    cells = [cell.lower() for cell in _cells(line, _separator(line))]
    return {"x", "y"} <= set(cells) or (len(cells) == 3 and all(map(_is_number, cells)))


def read(
    path: Path,
    *,
    columns: Mapping[str, str] | None = None,
    index_base: float = 0,
    unit: Unit = "pixel",
    pixel_spacing: float | None = None,
    experiment_id: str | None = None,
) -> list[PoseSet]:
    """Read a table with a header, or three columns x, y, z without.

    Parameters
    ----------
    path : path
        Columns are separated by commas, tabs or semicolons, as the header is.
    columns : dict, optional
        Our names to the file's, e.g. ``{"x": "X (px)", "rot": "Phi"}``: x y z dx dy dz qx qy qz qw
        rot tilt psi (RELION's angles) experiment_id pixel_spacing.
    index_base : float
        The coordinate of the first pixel's centre: 1 where counting begins with 1.
    unit : {"pixel", "angstrom"}
        Of positions and shifts.
    pixel_spacing : float, optional
        Å per pixel, instead of the file's column.
    experiment_id : str, optional
        Instead of the file's column; without either, the file's name.

    Raises
    ------
    ReadError
        Naming the column and row that is no number, the line with a cell too many or too few, or
        that the table was written by a newer cryotypes.

    Warns
    -----
    GuessWarning
        If shifts or quaternions are recognised by their columns' names alone, columns without
        names may be angles or fractions of the tomogram's size, or the last line may be cut.
    """
    data = read_bytes(path)  # as it is: quoted texts may hold line ends of any kind
    if not data:
        raise ReadError("the file is empty", path)
    decode_utf8(data, path)
    warn_if_cut(data, path)
    comments, body = _split(data.removeprefix(b"\xef\xbb\xbf"))
    facts = _facts(comments, path)
    table = _parse(body, facts.get("types"), path)
    own = VERSION_KEY in facts
    nameless = columns is None and not own and _is_headless(body)
    named = Named(own, columns, float(index_base), unit, pixel_spacing, experiment_id, nameless)
    return decode(table, path, named, {"format": NAME})


def _split(data: bytes) -> tuple[str, bytes]:
    """Cut off the lines that begin with # before the header."""
    start = 0
    while data.startswith((b"#", b"\n", b"\r"), start):
        end = data.find(b"\n", start)
        start = len(data) if end < 0 else end + 1
    return data[:start].decode(), data[start:]


def _facts(comments: str, path: Path) -> dict[str, Any]:
    """Read the version, and the types of the columns, from the comment."""
    facts: dict[str, Any] = {}
    for line in comments.splitlines():
        key, _, value = line.lstrip("# ").partition(":")
        if key == VERSION_KEY:
            check_version(value.strip(), path)
            facts[key] = value.strip()
        elif key == "types":
            try:
                types = json.loads(value)
                facts[key] = {str(n): _TYPES[t] for n, t in types.items() if t in _TYPES}
            except (ValueError, AttributeError, TypeError, RecursionError) as error:
                raise ReadError(f"comment 'types': expected JSON ({error})", path) from error
    return facts


def _separator(line: str) -> str:
    return max(",\t;", key=line.count)


def _cells(line: str, separator: str) -> list[str]:
    try:
        cells = next(csv.reader([line], delimiter=separator), [])
    except csv.Error:
        return []
    return [cell.strip() for cell in cells]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_headless(body: bytes) -> bool:
    line = body.split(b"\n", 1)[0].decode().rstrip("\r")
    return all(map(_is_number, _cells(line, _separator(line))))


def _parse(body: bytes, types: dict[str, Any] | None, path: Path) -> pl.DataFrame:
    line = body.split(b"\n", 1)[0].decode().rstrip("\r")
    separator = _separator(line)
    cells = _cells(line, separator)
    if not cells:
        raise ReadError("expected a header with x, y, z, found none", path)
    headless = _is_headless(body)
    if headless and len(cells) != 3:
        raise ReadError(f"expected a header, or 3 numbers a line, found {len(cells)} numbers", path)
    twice = next((c for c, times in Counter(cells).items() if times > 1), None)
    if twice is not None and not headless:
        raise ReadError(f"two columns are called {twice!r}", path)
    _check_widths(body, separator, len(cells), path)
    if b"\n" not in body.rstrip(b"\r\n") and not headless:
        return pl.DataFrame({name: [] for name in cells}, schema=dict.fromkeys(cells, pl.String))
    options: dict[str, Any] = {
        "separator": separator,
        "has_header": not headless,
        "new_columns": list(POSITION) if headless else cells,
        "raise_if_empty": False,
    }
    known: dict[str, Any] = {EXPERIMENT: pl.String, **(types or {})}
    if types is not None:  # a table of ours: nothing needs to be guessed
        known |= {name: pl.Float64 for name in RESERVED if name != EXPERIMENT}
    overrides = {name: known[name] for name in cells if name in known}
    length = 1 if len(overrides) == len(cells) else None
    try:
        return pl.read_csv(body, infer_schema_length=length, schema_overrides=overrides, **options)
    except pl.exceptions.PolarsError:
        pass  # a number too large for its type, or one that is none: as text, to be named
    try:
        return pl.read_csv(body, infer_schema=False, **options)
    except pl.exceptions.PolarsError as error:
        raise ReadError(f"expected a table ({error})", path) from error


def _check_widths(body: bytes, separator: str, width: int, path: Path) -> None:
    """Refuse lines of another width than the header's; the parser would fill short ones."""
    lines = body.count(b"\n") + (not body.endswith(b"\n"))
    plain = b'"' not in body and b"\n\n" not in body and b"\r\n\r" not in body
    if plain and body.count(separator.encode()) == (width - 1) * lines:
        return
    reader = csv.reader(io.StringIO(body.decode(), newline=""), delimiter=separator)
    try:
        for cells in reader:
            if len(cells) not in (width, 0) and not (width == 1 and not cells):
                found = f"line {reader.line_num}: expected {width} cells, found {len(cells)}"
                raise ReadError(found, path)
    except csv.Error as error:
        raise ReadError(f"line {reader.line_num}: {error}", path) from error


def write(
    data: list[PoseSet],
    path: Path,
    *,
    overwrite: bool = False,
    euler: bool = False,
) -> LossReport:
    """Write a table of our own.

    Parameters
    ----------
    data : list of PoseSet
    path : path
        ``.tsv`` separates columns by tabs.
    overwrite : bool
    euler : bool
        Write RELION's rot, tilt, psi (degrees), for people to read, instead of quaternions.

    Raises
    ------
    WriteError
        If a feature's name holds a line break, or stands twice.
    """
    report = LossReport()
    particles = join_poses(data, path, report, FORMAT.keeps, [NAME])
    names = [] if particles.features is None else list(particles.features.columns)
    lose_features(particles, [str(name) for name in names], report)
    table = encode(particles, euler, path)
    broken = next((name for name in table.columns if "\n" in name or "\r" in name), None)
    if broken is not None:
        raise WriteError(f"features: the name {broken!r} holds a line break", path)
    labels = [feature_column(str(name)) for name in names]
    types = {name: type(table[name].dtype).__name__ for name in labels}
    text = io.BytesIO()
    table.write_csv(text, separator="\t" if ".tsv" in path.suffixes else ",")
    with writing_bytes(path, overwrite) as file:
        file.write(f"# {VERSION_KEY}: {VERSION}\n{_ABOUT}".encode())
        file.write(f"# types: {json.dumps(types, ensure_ascii=False)}\n".encode())
        file.write(text.getvalue())
    return report


FORMAT = Format(
    name=NAME,
    title="CSV with named columns",
    kind="poses",
    suffixes=(".csv", ".tsv"),
    compression=(".gz", ".bz2"),
    read=read,
    write=write,
    sniff=sniff,
    keeps=frozenset(
        {"position", "shift", "orientation", "experiment_id", "pixel_spacing", "features"}
    ),
    tolerance={"position": 1e-6, "shift": 1e-6, "orientation": 1e-6},
    evidence=CRYOTYPES.evidence,
    url="https://www.rfc-editor.org/rfc/rfc4180",
)
