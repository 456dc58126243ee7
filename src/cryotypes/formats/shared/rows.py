"""Text files that are nothing but rows of numbers: read and written as arrays."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from cryotypes.errors import GuessWarning, ReadError

from .declaration import Head
from .files import reading_bytes, warn_if_cut
from .star import _squeeze

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


def read_text(path: Path) -> bytes:
    r"""Read a text file, uncompressed, with ``\n`` at line ends.

    Raises
    ------
    ReadError
        If it is empty or binary.
    """
    with reading_bytes(path) as file:
        raw: bytes = file.read()
    if not raw:
        raise ReadError("the file is empty", path)
    if b"\0" in raw:
        raise ReadError("expected a text file, found binary data", path)
    raw = raw.removeprefix(b"\xef\xbb\xbf")
    return raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in raw else raw


def is_empty_list(head: Head) -> bool:
    """Whether a head is that of a file of no bytes: pickers leave these for images without any."""
    return not head.data and head.path.is_file()


def warn_of_empty_list(path: Path) -> None:
    """Warn that a file of no bytes is taken for a list without particles.

    Warns
    -----
    GuessWarning
    """
    warnings.warn(
        f"{path}: the file is empty; assumed that there are no particles, as pickers write it (if "
        "it was cut, copy it again)",
        GuessWarning,
        stacklevel=4,
    )


def read_list(path: Path) -> bytes:
    """Read the text of a list of particles, see `read_text`; it may be empty.

    Warns
    -----
    GuessWarning
        If it is.
    """
    if is_empty_list(Head.of(path)):
        warn_of_empty_list(path)
        return b""
    return read_text(path)


def read_numbers(
    raw: bytes,
    path: Path,
    names: Sequence[str],
    *,
    required: int,
    finite: int = 3,
    separator: str = " ",
    first_line: int = 1,
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

    Returns
    -------
    array, shape (n, columns)
    """
    warn_if_cut(raw, path)
    table = _fast(raw, separator, len(names)) if raw.isascii() else None
    if table is None or not required <= table.shape[1] <= len(names):
        table = _slow(raw, path, names, required, separator, first_line)
    bad = ~np.isfinite(table[:, :finite])
    if bad.any():
        row, column = (int(i) for i in np.argwhere(bad)[0])
        raise ReadError(
            f"row {row + 1}, {names[column]}: expected a finite number, found {table[row, column]}",
            path,
        )
    return table


def _fast(raw: bytes, separator: str, longest: int) -> Floats | None:
    """Parse with polars; None if something is not as expected."""
    data = _squeeze(raw)
    if data == b"\n":
        return np.zeros((0, longest))
    sign = separator.encode()
    width = data[: data.index(b"\n")].count(sign) + 1
    if data.count(sign) != data.count(b"\n") * (width - 1):
        return None
    schema = {f"{i}": pl.Float64 for i in range(width)}
    try:
        table = pl.read_csv(
            data, separator=separator, has_header=False, quote_char=None, schema=schema
        )
    except pl.exceptions.PolarsError:
        return None
    if table.height != data.count(b"\n") or any(column.null_count() for column in table):
        return None
    return table.to_numpy()


def _slow(
    raw: bytes, path: Path, names: Sequence[str], required: int, separator: str, first_line: int
) -> Floats:
    """Parse line by line, to say what is wrong and where."""
    rows: list[list[float]] = []
    for number, line in enumerate(raw.split(b"\n"), first_line):
        if not line.strip():
            continue
        words = line.split() if separator == " " else line.split(separator.encode())
        width = len(rows[0]) if rows else len(words)
        if len(words) != width or not required <= width <= len(names):
            expected = f"{required}" if required == len(names) else f"{required} to {len(names)}"
            expected = f"{width}, as before" if rows else expected
            listing = ", ".join(names)
            raise ReadError(
                f"line {number}: expected {expected} numbers ({listing}), found {len(words)}", path
            )
        rows.append([_number(word, f"line {number}, {n}", path)
                     for word, n in zip(words, names, strict=False)])  # fmt: skip
    return np.array(rows, dtype=float).reshape(len(rows), -1 if rows else len(names))


def _number(word: bytes, where: str, path: Path) -> float:
    text = word.decode("utf-8", errors="replace").strip()
    try:
        if "_" in text:
            raise ValueError
        return float(text)
    except ValueError:
        raise ReadError(f"{where}: expected a number, found {text!r}", path) from None


def number_rows(columns: Sequence[NDArray[np.generic]], separator: str) -> bytes:
    """Return rows as text, whole columns without a decimal point, others in full precision."""
    table = pl.DataFrame([pl.Series(f"{i}", _whole(c)) for i, c in enumerate(columns)])
    text = table.write_csv(separator=separator, include_header=False)
    return text.encode() if table.height else b"\n"


def _whole(column: NDArray[np.generic]) -> NDArray[np.generic]:
    values = np.asarray(column)
    if values.dtype.kind == "f" and len(values):
        small = np.isfinite(values) & (np.abs(values) < 2**53)
        if small.all() and (values == np.rint(values)).all():
            return values.astype(np.int64)
    return values


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
