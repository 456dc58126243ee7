"""Dynamo's text: rows of numbers without a header; whole ones stay whole, complex ones happen."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import IO, TYPE_CHECKING, Any

import polars as pl

from cryotypes.errors import ReadError
from cryotypes.formats.shared.files import reading_bytes, warn_if_cut
from cryotypes.formats.shared.star import _pieces, _squeeze

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_UNSIGNED = r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|(?i:nan|inf)"
# MATLAB's complex numbers: 1+2i, 1e-3-0i, NaN+0i; a purely imaginary one has no real part
_COMPLEX = rf"^([+-]?(?:{_UNSIGNED}))[+-](?:{_UNSIGNED})\*?[ij]$"
_IMAGINARY = rf"^[+-]?(?:{_UNSIGNED})\*?[ij]$"
_WORD = re.compile(
    rf"[+-]?(?:{_UNSIGNED})(?:[+-](?:{_UNSIGNED})\*?[ij])?|[+-]?(?:{_UNSIGNED})\*?[ij]".encode()
)


def is_number(word: bytes) -> bool:
    """Whether a word is a number, perhaps a complex one."""
    return _WORD.fullmatch(word) is not None


def read_rows(path: Path, names: Sequence[str], fewest: int) -> pl.DataFrame:
    """Read a table; of complex numbers, the real part.

    Parameters
    ----------
    path : Path
        Plain, .gz or .bz2.
    names : sequence of str
        Of the columns; a table may have fewer.
    fewest : int
        Number of columns that it must have.

    Returns
    -------
    DataFrame
        Columns of Int64 and Float64; no rows (and all names) if the file is blank.

    Raises
    ------
    ReadError
        If the file is empty, rows differ in length, or something is not a number.

    Warns
    -----
    GuessWarning
        If the last line may be cut.
    """
    with reading_bytes(path) as file:
        raw: bytes = file.read()
    if not raw:
        raise ReadError("the file is empty", path)
    raw = raw.removeprefix(b"\xef\xbb\xbf")  # the byte order mark of Windows editors
    if not raw.isascii() or b"\0" in raw:
        raise ReadError("expected a table of numbers, found bytes that are not plain text", path)
    if b"\r" in raw:
        raw = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    warn_if_cut(raw, path)
    first = re.search(rb"[^ \t\n][^\n]*", raw)
    if first is None:
        return pl.DataFrame(schema=dict.fromkeys(names, pl.Float64))
    width = len(first[0].split())
    if not fewest <= width <= len(names):
        expected = f"expected {fewest} to {len(names)} numbers"
        raise ReadError(f"line {_line(raw, first.start())}: {expected}, found {width}", path)
    types = _sample_types(raw, names[:width])
    pieces = list(_pieces(raw, 0, len(raw)))
    with ThreadPoolExecutor(min(4, len(pieces))) as threads:
        tables = threads.map(lambda piece: _parse(raw, piece, types, path), pieces)
        return pl.concat(tables, how="vertical_relaxed")


def _line(raw: bytes, position: int) -> int:
    return raw.count(b"\n", 0, position) + 1


def _sample_types(raw: bytes, names: Sequence[str]) -> dict[str, Any]:
    """Guess from the first and the last rows; a wrong guess costs time only."""
    lines = [*raw[: 1 << 15].split(b"\n")[:-1], *raw[-(1 << 15) :].split(b"\n")[1:]]
    rows = [words for line in lines if len(words := line.split()) == len(names)]
    whole = re.compile(rb"[+-]?\d{1,18}")
    return {
        name: pl.Int64 if all(whole.fullmatch(row[i]) for row in rows) else pl.Float64
        for i, name in enumerate(names)
    }


def _parse(
    raw: bytes, piece: tuple[int, int], types: Mapping[str, Any], path: Path
) -> pl.DataFrame:
    data = _squeeze(raw[piece[0] : piece[1]])
    if data == b"\n":
        return pl.DataFrame(schema=types)
    lines = data.count(b"\n")
    # too many values in a row are polars' error, too few show in the sum
    if data.count(b" ") == lines * (len(types) - 1):
        try:
            table = _csv(data, types)
        except pl.exceptions.PolarsError:
            table = None
        if table is not None and table.height == lines:
            return table
    start = _line(raw, piece[0])
    rows = [
        (number, data.split())
        for number, data in enumerate(raw[piece[0] : piece[1]].split(b"\n"), start)
        if data.strip()
    ]
    for number, words in rows:
        if len(words) != len(types):
            expected = f"expected {len(types)} numbers as in the first line"
            raise ReadError(f"line {number}: {expected}, found {len(words)}", path)
    columns = zip(types, zip(*(words for _, words in rows), strict=True), strict=True)
    return pl.DataFrame(
        [_numbers(name, values, [number for number, _ in rows], path) for name, values in columns]
    )


def _csv(data: bytes, types: Mapping[str, Any]) -> pl.DataFrame:
    return pl.read_csv(data, separator=" ", has_header=False, quote_char=None, schema=types)


def _numbers(name: str, words: Sequence[bytes], lines: list[int], path: Path) -> pl.Series:
    """Parse the words of one column, of which one is not as expected."""
    texts = pl.Series(name, [word.decode() for word in words], dtype=pl.String)
    for dtype in (pl.Int64, pl.Float64):
        numbers = texts.cast(dtype, strict=False)
        if not numbers.null_count():
            return numbers
    real = texts.str.extract(_COMPLEX, 1).cast(pl.Float64, strict=False)
    numbers = numbers.fill_null(real)
    numbers = numbers.set(texts.str.contains(_IMAGINARY) & numbers.is_null(), 0.0)
    if not numbers.null_count():
        return numbers
    row = int(numbers.is_null().arg_max() or 0)
    problem = f"line {lines[row]}, column {name}: expected a number, found {texts[row]!r}"
    raise ReadError(problem, path)


def write_rows(file: IO[bytes], table: pl.DataFrame) -> None:
    """Write rows separated by blanks, as the shortest text that reads back to the same numbers.

    A table without rows is a blank line, so that the file is not empty.
    """
    if not table.height:
        file.write(b"\n")
        return
    table.with_columns([_shortest(column) for column in table]).write_csv(
        file, separator=" ", include_header=False
    )


def _shortest(column: pl.Series) -> pl.Series:
    """Write 2.0 as 2 where a whole column allows it."""
    if column.dtype != pl.Float64:
        return column
    whole = ((column.round() == column) & (column.abs() < 2**53)).all()
    return column.cast(pl.Int64) if whole else column
