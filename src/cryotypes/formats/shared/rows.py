"""Text files that are nothing but rows of numbers: read and written as arrays."""

from __future__ import annotations

import io
import re
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from cryotypes.errors import GuessWarning, ReadError

from .declaration import Head
from .files import read_text, warn_if_cut
from .finite import check_finite
from .pieces import pieces, squeeze

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_WHOLE = re.compile(rb"[+-]?\d{1,18}")
_SHOWN = 5  # names of columns that a message lists; of more it says how many


def is_empty_list(head: Head) -> bool:
    """Whether a head is that of a file of no bytes: pickers leave these for images without any."""
    return not head.data and head.path.is_file()


def read_list(path: Path) -> bytes:
    """Read the text of a list of particles, see `read_text`; it may be empty.

    Warns
    -----
    GuessWarning
        If it is.
    """
    if not is_empty_list(Head.of(path)):
        return read_text(path)
    warnings.warn(
        f"{path}: the file is empty; assumed that there are no particles, as pickers write it (if "
        "it was cut, copy it again)",
        GuessWarning,
        stacklevel=3,
    )
    return b""


def read_numbers(
    raw: bytes,
    path: Path,
    names: Sequence[str],
    *,
    required: int,
    finite: int = 3,
    separator: str = " ",
    first_line: int = 1,
    advice: str = "",
) -> Floats:
    """Parse rows of numbers, all of the same length; empty lines do not count.

    Parameters
    ----------
    raw : bytes
        As of `read_text`.
    path : Path
        For messages.
    names : sequence of str
        What the columns are, for messages; rows must not be longer.
    required : int
        How many columns there must be at least.
    finite : int
        How many columns, from the first, must not be NaN or infinite.
    separator : str
        A blank stands for any run of blanks and tabs.
    first_line : int
        The number of the first line, for messages.
    advice : str
        What to do if there are more columns, or fewer.

    Returns
    -------
    array, shape (n, columns)
    """
    rows = _Rows(raw, path, names, required, separator, first_line, advice)
    table = rows.parse().to_numpy()
    check_finite(table[:, :finite], names, path, rows.where)
    return table


def read_ragged(raw: bytes, path: Path) -> Floats:
    """Parse rows of finite numbers that may differ in length: the columns that all have.

    Parameters and result as of `read_numbers`.
    """
    rows = [line.split() for line in raw.split(b"\n")]
    widest, narrowest = max(map(len, rows)), min((len(row) for row in rows if row), default=0)
    padded = [b" ".join(row + [b"0"] * (widest - len(row) if row else 0)) for row in rows]
    names = [f"column {i}" for i in range(1, widest + 1)]
    return read_numbers(b"\n".join(padded), path, names, required=widest, finite=widest)[
        :, :narrowest
    ]


def read_columns(
    raw: bytes,
    path: Path,
    names: Sequence[str],
    *,
    required: int,
    other: Callable[[pl.Series], pl.Series] | None = None,
) -> pl.DataFrame:
    """Parse rows of numbers, all of the same length, into columns; whole numbers stay whole.

    Parameters
    ----------
    raw, path, names, required
        As of `read_numbers`.
    other : callable, optional
        Makes numbers of the texts of a column that are none; what it cannot is missing.

    Returns
    -------
    DataFrame
        Columns of Int64 and Float64; no rows (and all names) if the text is blank.
    """
    return _Rows(raw, path, names, required, other=other).parse(whole=True)


@dataclass
class _Rows:
    """Rows that are still text, and what is known of them; see `read_numbers`."""

    raw: bytes
    path: Path
    names: Sequence[str]
    required: int
    separator: str = " "
    first_line: int = 1
    advice: str = ""
    other: Callable[[pl.Series], pl.Series] | None = None

    def parse(self, whole: bool = False) -> pl.DataFrame:
        """Parse in pieces, each at once; of one that is not as expected, word by word."""
        warn_if_cut(self.raw, self.path)
        first = re.search(rb"[^ \t\n][^\n]*", self.raw)
        if first is None:
            return pl.DataFrame(schema=dict.fromkeys(self.names, pl.Float64))
        width = len(self.words(first[0]))
        if not self.required <= width <= len(self.names):
            raise self.error(self._line(first.start()), width)
        names = self.names[:width]
        types = self._sample_types(names) if whole else dict.fromkeys(names, pl.Float64)
        spans = list(pieces(self.raw, 0, len(self.raw)))
        with ThreadPoolExecutor(min(4, len(spans))) as threads:
            tables = threads.map(lambda span: self._parse_piece(span, types), spans)
            return pl.concat(tables, how="vertical_relaxed")

    def words(self, line: bytes) -> list[bytes]:
        if self.separator == " " or not line.strip():
            return line.split()
        return [word.strip() for word in line.split(self.separator.encode())]

    def error(self, line: int, found: int, width: int | None = None) -> ReadError:
        least, most = self.required, len(self.names)
        expected = f"{least} numbers" if least == most else f"{least} to {most} numbers"
        if width is not None and least < most:
            expected = f"{width} numbers as in the first line"
        listing = f" ({', '.join(self.names)})" if most <= _SHOWN else ""
        problem = f"line {line}: expected {expected}{listing}, found {found}"
        return ReadError(problem + self.advice, self.path)

    def where(self, row: int) -> str:
        """Name the line of a row."""
        lines = (n for n, text in enumerate(self.raw.split(b"\n"), self.first_line) if text.strip())
        return f"line {next(islice(lines, row, None))}"

    def _line(self, position: int) -> int:
        return self.raw.count(b"\n", 0, position) + self.first_line

    def _sample_types(self, names: Sequence[str]) -> dict[str, Any]:
        """Guess from the first and the last rows; a wrong guess costs time only."""
        raw = self.raw
        lines = [*raw[: 1 << 15].split(b"\n")[:-1], *raw[-(1 << 15) :].split(b"\n")[1:]]
        rows = [words for line in lines if len(words := self.words(line)) == len(names)]
        return {
            name: pl.Int64 if all(_WHOLE.fullmatch(row[i]) for row in rows) else pl.Float64
            for i, name in enumerate(names)
        }

    def _parse_piece(self, span: tuple[int, int], types: Mapping[str, Any]) -> pl.DataFrame:
        data = squeeze(self.raw[span[0] : span[1]])
        if data == b"\n":
            return pl.DataFrame(schema=types)
        # too many values in a row are polars' error, too few show in the sum
        lines = data.count(b"\n")
        if data.count(self.separator.encode()) == lines * (len(types) - 1):
            with suppress(pl.exceptions.PolarsError):
                table = pl.read_csv(
                    data,
                    separator=self.separator,
                    has_header=False,
                    quote_char=None,
                    schema=types,
                )
                if table.height == lines and not any(column.null_count() for column in table):
                    return table
        return self._parse_words(span, types)

    def _parse_words(self, span: tuple[int, int], types: Mapping[str, Any]) -> pl.DataFrame:
        """Find what is not as expected, and where."""
        start = self._line(span[0])
        lines, rows = [], []
        for line, content in enumerate(self.raw[span[0] : span[1]].split(b"\n"), start):
            if words := self.words(content):
                if len(words) != len(types):
                    raise self.error(line, len(words), len(types))
                lines.append(line)
                rows.append(words)
        texts = [
            pl.Series(name, [word.decode("utf-8", "replace") for word in words], dtype=pl.String)
            for name, words in zip(types, zip(*rows, strict=True), strict=True)
        ]
        columns = [self._numbers(column) for column in texts]
        bad = [
            (int(column.is_null().arg_max() or 0), text)
            for column, text in zip(columns, texts, strict=True)
            if column.null_count()
        ]
        if bad:
            row, text = min(bad, key=itemgetter(0))
            where = f"line {lines[row]}, {text.name}"
            raise ReadError(f"{where}: expected a number, found {text[row]!r}", self.path)
        return pl.DataFrame(columns)

    def _numbers(self, texts: pl.Series) -> pl.Series:
        for dtype in (pl.Int64, pl.Float64):
            numbers = texts.cast(dtype, strict=False)
            if not numbers.null_count():
                return numbers
        return numbers if self.other is None else self.other(texts)


def number_rows(columns: Iterable[NDArray[np.generic] | pl.Series], separator: str) -> bytes:
    """Return rows as text, whole columns without a decimal point, others in full precision.

    Without rows it is a blank line, so that the file is not empty.
    """
    table = pl.DataFrame([_whole(pl.Series(f"{i}", c)) for i, c in enumerate(columns)])
    text = io.BytesIO()
    table.write_csv(text, separator=separator, include_header=False)
    return text.getvalue() if table.height else b"\n"


def _whole(column: pl.Series) -> pl.Series:
    """Write 2.0 as 2 where a whole column allows it."""
    if not column.dtype.is_float():
        return column
    whole = ((column.round() == column) & (column.abs() < 2**53)).all()
    return column.cast(pl.Int64) if whole else column


def looks_like_numbers(data: bytes, columns: range) -> bool:
    """Whether the first complete lines are rows of numbers, all of one allowed length."""
    lines = data[:4096].replace(b"\r", b"\n").split(b"\n")
    rows = [line.split() for line in (lines[:-1] or lines) if line.strip()]
    if not rows:
        return bool(data) and not data.strip()
    try:
        [float(word) for row in rows for word in row]
    except ValueError:
        return False
    return len({len(row) for row in rows}) == 1 and len(rows[0]) in columns
