"""STAR files: blocks of tables, read and written at the speed of a good CSV library.

RELION pads its columns with blanks, which no fast CSV reader takes, so runs of blanks are squeezed
first. Quotes and comments go a careful, slower way. Every row must have as many values as there
are columns; if not, the error names file, block and line.

Grammar: https://www.iucr.org/resources/cif/spec/version1.1/cifsyntax (STAR is its superset).
"""

from __future__ import annotations

import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import polars as pl

from cryotypes.errors import ReadError, WriteError

from .files import plain_text, read_bytes, warn_if_cut
from .pieces import pieces, squeeze

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from pathlib import Path

    from .declaration import Head


# Labels whose values are text even where they look like numbers ("001" is a name).
_TEXT = re.compile(
    r"(Name|Names|NameEven|NameOdd|File|Files|Filename|Image|Images|Hash|Metadata|Spectrum|Frames"
    r"|Tomogram|TomogramHalf[12]|TomogramDenoised|Directive|Path|Label|_id)$|^rlnTomoProj[XYZW]$",
)
# Labels whose values are numbers: RELION's and cisTEM's other ones, and STOPGAP's
_NUMERIC = re.compile(
    r"^(rln|cisTEM|(orig_[xyz]|[xyz]_shift|phi|psi|the|score|class|object|(motl_idx|(sub)?tomo_num))$)"
)
_MISSING = "<NA>"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # of Windows editors
# only blanks, tabs and line ends part words, not all that Unicode calls a space
_WORD = re.compile(r"[^ \t\n]+")
_CLOSING = {sign: re.compile(rf"{sign}(?=[ \t\n]|$)") for sign in "\"'"}
# other programs indent a block's name; a row may begin so, too, but not with labels after it
_INDENTED = re.compile(
    rb"(?:\A|(?<=\n))[ \t]+(data_[^\s#]*)[ \t]*(?:#[^\n]*)?\n"
    rb"(?=(?:[ \t]*(?:#[^\n]*)?\n)*[ \t]*(?:loop_\s|_))"
)
_NEEDS_QUOTES = r"^$|\s|^[\"'#_$]|^(data_|loop_|save_|stop_|global_)"


@dataclass
class Block:
    """One block: a loop (a table), or a list of labels with one value each (a table of one row).

    Labels are without their leading underscore.
    """

    name: str
    table: pl.DataFrame
    loop: bool = True
    line: int = 0

    @property
    def row(self) -> dict[str, Any]:
        """The only row of a list block."""
        return self.table.row(0, named=True) if self.table.height else {}


def has_labels(head: Head, *labels: str) -> bool:
    """Whether a head is STAR text with at least one of these labels."""
    return b"data_" in head.data and any(f"_{label}".encode() in head.words for label in labels)


def describe_blocks(blocks: Iterable[Block]) -> str:
    """Say in words which blocks a file has."""
    parts = [
        f"{block.name!r} ({', '.join(block.table.columns[:3])}, …)"
        for block in blocks
        if block.table.width
    ]
    return " and ".join(parts) or "nothing"


def read_star(path: Path, only: Iterable[str] | None = None) -> list[Block]:
    """Read the blocks of a STAR file.

    Parameters
    ----------
    path : Path
        Plain, .gz or .bz2.
    only : iterable of str, optional
        Names of the blocks to parse.

    Raises
    ------
    ReadError
        If a row does not have as many values as the loop has labels, and the like.

    Warns
    -----
    GuessWarning
        If the last line may be cut.
    """
    return parse_star(read_bytes(path), path, only)


def parse_star(raw: bytes, path: Path, only: Iterable[str] | None = None) -> list[Block]:
    """Parse the bytes of a STAR file; ``path`` is for messages. See `read_star`."""
    raw = plain_text(raw, path)
    warn_if_cut(raw, path)
    wanted = None if only is None else set(only)
    blocks = []
    line, counted = 1, 0
    for name, start, end in _find_blocks(raw):
        line, counted = line + raw.count(b"\n", counted, start), start
        if wanted is None or name in wanted:
            try:
                blocks.append(_read_block(raw, name, start, end, line, path))
            except UnicodeDecodeError as error:
                problem = f"block {name!r}: expected UTF-8 text ({error.reason})"
                raise ReadError(problem, path) from error
    if not blocks and wanted is None:
        raise ReadError("expected a STAR file, found no line that begins with 'data_'", path)
    return blocks


def find_block_names(raw: bytes) -> list[str]:
    """Name the blocks that begin in these bytes."""
    return [name for name, _, _ in _find_blocks(raw.removeprefix(_BYTE_ORDER_MARK))]


def _find_blocks(raw: bytes) -> Iterator[tuple[str, int, int]]:
    """Yield name, start of the line after the name, end.

    A row may begin with a path such as ``data_2024/a.mrc``; a block's line has nothing else on it.
    """
    found = _find_indented(raw)
    position = 0 if raw.startswith(b"data_") else raw.find(b"\ndata_") + 1
    while raw.startswith(b"data_", position):
        end_of_line = raw.find(b"\n", position)
        end_of_line = len(raw) if end_of_line < 0 else end_of_line
        words = raw[position + 5 : end_of_line].split(b"#")[0].split()
        if len(words) <= 1:
            name = words[0].decode("utf-8", errors="replace") if words else ""
            found.append((name, position, min(end_of_line + 1, len(raw))))
        position = raw.find(b"\ndata_", end_of_line) + 1
        if position == 0:
            break
    found.sort(key=lambda block: block[1])
    ends = [start for _, start, _ in found[1:]] + [len(raw)] * bool(found)
    for (name, _, body), end in zip(found, ends, strict=True):
        yield name, body, end


def _find_indented(raw: bytes) -> list[tuple[str, int, int]]:
    """Find the blocks whose name does not begin its line: name, start, end of the line."""
    if b" data_" not in raw and b"\tdata_" not in raw:
        return []
    return [
        (m[1][5:].decode("utf-8", errors="replace"), m.start(), m.end())
        for m in _INDENTED.finditer(raw)
    ]


def _read_block(raw: bytes, name: str, start: int, end: int, first: int, path: Path) -> Block:
    """Read the labels line by line, then the rows as a whole; ``first`` numbers the first line."""
    labels: list[str] = []
    pairs: dict[str, str] = {}
    loop = False
    position = start
    while position < end:
        newline = raw.find(b"\n", position, end)
        following = end if newline < 0 else newline + 1
        text = raw[position:following].decode("utf-8")
        words = _split_line(text)
        labelled = text.lstrip(" \t").startswith("_")
        if not words:
            pass
        elif words[0] == "loop_" and not loop and not pairs:
            loop = True
        elif loop and labelled and len(words) == 1:
            labels.append(words[0][1:])
        elif loop:
            break
        elif labelled and len(words) == 2:
            if words[0][1:] in pairs:
                where = _where(raw, position, name)
                raise ReadError(f"{where}: label {words[0][1:]!r} stands twice", path)
            pairs[words[0][1:]] = words[1]
        else:
            where = _where(raw, position, name)
            raise ReadError(
                f"{where}: expected a label and one value, found {len(words)} words", path
            )
        position = following
    line = first + raw.count(b"\n", start, position)
    duplicates = [label for label, times in Counter(labels).items() if times > 1]
    if duplicates:
        raise ReadError(
            f"block {name!r}: label {duplicates[0]!r} stands twice in the loop's header", path
        )
    if not loop:
        table = pl.DataFrame({label: [value] for label, value in pairs.items()})
        return Block(name, _infer(table), loop=False, line=line)
    if not labels and raw[position:end].strip():
        raise ReadError(f"{_where(raw, position, name)}: the loop has no labels", path)
    try:
        table = _read_rows(raw, position, end, labels)
    except _RaggedError as ragged:
        where = _where(raw, ragged.position, name)
        raise ReadError(
            f"{where}: expected {len(labels)} values, one for each label, found {ragged.found}",
            path,
        ) from None
    return Block(name, table, line=line)


def _where(raw: bytes, position: int, name: str) -> str:
    return f"block {name!r}, line {raw.count(chr(10).encode(), 0, position) + 1}"


class _RaggedError(Exception):
    """A row with a wrong number of values."""

    def __init__(self, position: int, found: int) -> None:
        self.position, self.found = position, found
        super().__init__(position, found)


def _split_line(line: str) -> list[str]:
    """Split a line into words; quotes keep blanks, a comment begins with # at a word's start."""
    words = []
    unclosed: set[str] = set()  # what is not closed after here, is not closed after there either
    found = _WORD.search(line)
    while found is not None and line[found.start()] != "#":
        start, end = found.span()
        sign, word = line[start], found[0]
        if sign in _CLOSING and sign not in unclosed:
            closing = _CLOSING[sign].search(line, start + 1)
            if closing is None:
                unclosed.add(sign)
            else:
                word, end = line[start + 1 : closing.start()], closing.end()
        words.append(word)
        found = _WORD.search(line, end)
    return words


def _read_rows(raw: bytes, start: int, end: int, labels: list[str]) -> pl.DataFrame:
    """Parse the rows in raw[start:end]."""
    body = memoryview(raw)[start:end]
    if not labels or (not bytes(body[:4096]).strip() and not bytes(body).strip()):
        return pl.DataFrame({label: pl.Series([], dtype=pl.String) for label in labels})
    if _needs_care(raw, start, end):
        return _infer(_read_carefully(raw, start, end, labels))
    spans = list(pieces(raw, start, end))
    types = _sample_types(raw, spans[0], labels)

    def parse(span: tuple[int, int], types: dict[str, Any]) -> pl.DataFrame:
        return _parse_piece(raw[span[0] : span[1]], labels, types)

    with ThreadPoolExecutor(min(4, len(spans))) as threads:
        try:
            tables = list(threads.map(lambda span: parse(span, types), spans))
        except (pl.exceptions.PolarsError, _RaggedError):
            _check_rows(raw, start, end, len(labels))
            text = dict.fromkeys(labels, pl.String)
            tables = list(threads.map(lambda span: parse(span, text), spans))
    return _infer(pl.concat(tables))


def _needs_care(raw: bytes, start: int, end: int) -> bool:
    """Whether a word begins with a quote or a comment sign."""
    for sign in (b'"', b"'", b"#"):
        position = raw.find(sign, start, end)
        while position >= 0:
            if position == start or raw[position - 1] <= 32:
                return True
            position = raw.find(sign, position + 1, end)
    return False


def _read_carefully(raw: bytes, start: int, end: int, labels: list[str]) -> pl.DataFrame:
    rows = []
    position = start
    for line in raw[start:end].decode("utf-8").split("\n"):
        words = _split_line(line)
        if words and len(words) != len(labels):
            raise _RaggedError(position, len(words))
        if words:
            rows.append(words)
        position += len(line.encode()) + 1
    columns = list(zip(*rows, strict=True)) or [()] * len(labels)
    return pl.DataFrame(
        {
            label: pl.Series(column, dtype=pl.String)
            for label, column in zip(labels, columns, strict=True)
        }
    )


def _parse_piece(data: bytes, labels: list[str], types: Mapping[str, Any]) -> pl.DataFrame:
    data = squeeze(data)
    if data == b"\n":
        return pl.DataFrame({label: pl.Series([], dtype=types[label]) for label in labels})
    # too many values in a row are polars' error, too few show in the sum
    characters = np.frombuffer(data, np.uint8)
    rows = np.count_nonzero(characters == 10)
    if np.count_nonzero(characters == 32) != rows * (len(labels) - 1):
        raise _RaggedError(0, 0)
    if not data.isascii():
        data.decode("utf-8")  # raises, where polars would only replace
    table = pl.read_csv(
        data,
        separator=" ",
        has_header=False,
        quote_char=None,
        schema=dict(zip(labels, (types[label] for label in labels), strict=True)),
    )
    if table.height != rows:
        raise _RaggedError(0, 0)
    return table


def _check_rows(raw: bytes, start: int, end: int, expected: int) -> None:
    """Find the row with a wrong number of values, if there is one."""
    position = start
    while position < end:
        newline = raw.find(b"\n", position, end)
        following = end if newline < 0 else newline + 1
        found = len(raw[position:following].split())
        if found not in (0, expected):
            raise _RaggedError(position, found)
        position = following


def _sample_types(raw: bytes, span: tuple[int, int], labels: list[str]) -> dict[str, Any]:
    """Guess from the first rows; what RELION does not define stays text until all is known."""
    start, stop = span
    sample = raw[start : min(stop, start + (1 << 16))]
    rows = [row for row in (line.split() for line in sample.splitlines()[:50]) if row]
    types: dict[str, Any] = {}
    for index, label in enumerate(labels):
        values = [row[index] for row in rows if len(row) == len(labels)]
        numeric = _NUMERIC.match(label) and not _TEXT.search(label)
        types[label] = _number_type(values) if numeric else pl.String
    return types


def _number_type(values: list[bytes]) -> Any:
    try:
        if all(re.fullmatch(rb"[+-]?\d{1,18}", value) for value in values):
            return pl.Int64
        [float(value) for value in values]
    except ValueError:
        return pl.String
    return pl.Float64


def _infer(table: pl.DataFrame) -> pl.DataFrame:
    """Turn columns of text into numbers where nothing is lost by it."""
    return table.with_columns([_infer_column(column) for column in table])


def _infer_column(column: pl.Series) -> pl.Series:
    if column.dtype != pl.String:
        return column
    if (column == _MISSING).any():
        column = column.replace(_MISSING, None)
    if _TEXT.search(column.name) or column.str.contains(r"^[+-]?0\d").any():
        return column
    if column.null_count() == len(column):
        return column
    for number in (pl.Int64, pl.UInt64, pl.Float64):
        converted = column.cast(number, strict=False)
        if converted.null_count() == column.null_count():
            return converted
    return column


def write_star(
    file: IO[bytes],
    blocks: Iterable[Block],
    version: int | None = None,
    single_quoted: Collection[str] = (),
) -> None:
    """Write blocks; numbers as the shortest text that reads back to the same value.

    Parameters
    ----------
    file : binary file
    blocks : iterable of Block
    version : int, optional
        RELION's comment above each block: 30001 for 3.1 and 4, 50001 for 5.
    single_quoted : collection of str
        Labels whose texts stand in single quotes in any case, as cisTEM has them; the texts hold
        no such quotes.

    Raises
    ------
    WriteError
        If a name or a text cannot stand in a STAR file, which has no way to hold line ends.
    """
    for block in blocks:
        for name in (block.name, *block.table.columns):
            if re.search(r"[\s\0]", name):
                raise WriteError(f"STAR has no names with blanks, found {name!r}; rename it")
        comment = f"\n# version {version}\n" if version is not None else ""
        file.write(f"{comment}\ndata_{block.name}\n\n".encode())
        table = _as_text(block.table, single_quoted)
        if block.loop:
            labels = "".join(f"_{name} #{i}\n" for i, name in enumerate(table.columns, 1))
            file.write(f"loop_\n{labels}".encode())
            if table.width:
                table.write_csv(file, separator=" ", include_header=False, quote_style="never")
        else:
            width = max(map(len, table.columns), default=0) + 4
            for column in table:
                value = column.to_frame().write_csv(
                    separator=" ", include_header=False, quote_style="never"
                )
                text = value.removesuffix("\n")
                file.write(f"_{column.name:<{width}}{text}\n".encode())
        file.write(b"\n")


def _as_text(table: pl.DataFrame, single_quoted: Collection[str] = ()) -> pl.DataFrame:
    """Quote the texts that need it; true and false are 1 and 0; what is missing is <NA>."""
    columns = []
    for column in table:
        if column.dtype == pl.Boolean:
            column = column.cast(pl.Int8)
        elif column.name in single_quoted:
            quoted = pl.format("'{}'", pl.col(column.name).cast(pl.String).fill_null(""))
            column = column.to_frame().select(quoted.alias(column.name)).to_series()
        elif column.dtype in (pl.String, pl.Null):
            column = _quoted(column.cast(pl.String))
        if column.null_count():
            column = column.cast(pl.String).fill_null(_MISSING)
        columns.append(column)
    return pl.DataFrame(columns)


def _quoted(column: pl.Series) -> pl.Series:
    ends_double, ends_single = (column.str.contains(f"{sign}[ \t]") for sign in "\"'")
    bad = (column.str.contains(r"[\n\r\x00]") | (ends_double & ends_single)).fill_null(False)
    if bad.any():
        row = int(bad.arg_max() or 0)
        raise WriteError(
            f"{column.name!r}, row {row + 1}: STAR holds one line, and not both kinds of quotes "
            f"before blanks, found {column[row]!r}; change the text"
        )
    need = column.str.contains(_NEEDS_QUOTES)
    if not need.fill_null(False).any():
        return column
    single = ends_double | (column.str.ends_with('"') & ~ends_single)
    sign = pl.when(pl.col("single")).then(pl.lit("'")).otherwise(pl.lit('"'))
    frame = pl.DataFrame({"text": column, "need": need, "single": single})
    quoted = pl.concat_str([sign, pl.col("text"), sign])
    wanted = pl.when(pl.col("need")).then(quoted).otherwise(pl.col("text"))
    return frame.select(wanted.alias(column.name)).to_series()
