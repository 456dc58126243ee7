"""The table in a cryoSPARC ``.cs`` file, as columns.

A ``.cs`` is NumPy's ``.npy`` of one structured array: magic, version, length of the header, a
Python literal that lists the fields, then the rows. Its headers grow beyond the size that NumPy
reads by default. Newer tools also write a compressed stream (magic ``CSDAT``), which the package
cryosparc-tools reads. Nothing is ever unpickled.

https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

from __future__ import annotations

import ast
import importlib
import re
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cryotypes.errors import MissingPackageError, ReadError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

NPY, STREAM = b"\x93NUMPY", b"\x95CSDAT"
_HEADER_LIMIT = 1 << 26
_VALUES_LIMIT = 1 << 16  # in a row; a class posterior of hundreds of classes is far below
_PYTHON_2 = re.compile(r"(?<=\d)L(?=[,)])")  # long integers of old cryoSPARC's shapes
_BLOCK = 1 << 20  # bytes of rows read at a time: stays in the cache

Field = tuple[str, str, tuple[int, ...]]  # name, type as NumPy writes it, shape


@dataclass
class Table:
    """Columns by field name.

    Numbers are (n,) or, for fields of several values, (k, …, n); texts are pandas Categoricals.
    """

    columns: dict[str, Any]
    fields: list[Field]
    height: int

    def __contains__(self, name: str) -> bool:
        return name in self.columns

    def numbers(self, name: str) -> NDArray[Any] | None:
        """Return a column of real numbers, (n,) or (k, …, n); None if there is none."""
        column = self.columns.get(name)
        if column is None or isinstance(column, pd.Categorical) or column.dtype.kind == "c":
            return None
        return column  # type: ignore[no-any-return]

    def texts(self, name: str) -> pd.Categorical | None:
        """Return a column of texts; None if there is none."""
        column = self.columns.get(name)
        return column if isinstance(column, pd.Categorical) else None

    def flat(self) -> Iterator[tuple[str, Any]]:
        """Yield all columns one by one: those of several values as ``name[i]``, ``name[i,j]``."""
        for name, column in self.columns.items():
            shape = () if isinstance(column, pd.Categorical) else column.shape[:-1]
            for index in np.ndindex(*shape):
                yield part_name(name, index), column[index] if shape else column


def part_name(name: str, index: tuple[int, ...]) -> str:
    """Name one value of a field: ``name[i,j]``, or just ``name`` if it has only one."""
    return f"{name}[{','.join(map(str, index))}]" if index else name


def as_stated(values: NDArray[Any]) -> NDArray[np.float64]:
    """Turn pixel sizes into doubles: 1.1 in single precision is 1.1. NaN where not above 0."""
    codes, different = pd.factorize(values)
    exact = np.array([float(str(value)) for value in different] + [np.nan], dtype=float)
    return np.where(np.isfinite(exact) & (exact > 0), exact, np.nan)[codes]


def read_table(path: Path) -> Table:
    """Read a ``.cs`` file.

    Raises
    ------
    ReadError
        If it is not one, is cut, or holds pickled objects.
    MissingPackageError
        If it is a stream and cryosparc-tools is absent.
    """
    with path.open("rb") as file:
        magic = file.read(6)
        if magic == NPY:
            return _read_npy(file, path)
    if magic == STREAM:
        return _read_stream(path)
    raise ReadError(f"expected a .cs file (a NumPy array or CSDAT), found {magic!r}", path)


def _read_npy(file: IO[bytes], path: Path) -> Table:
    dtype, height = _read_header(file, path)
    fields = _fields(dtype, path)
    expected, found = height * dtype.itemsize, path.stat().st_size - file.tell()
    if found != expected:
        raise ReadError(
            f"expected {height} rows of {dtype.itemsize} bytes ({expected} bytes) after the "
            f"header, found {found} bytes; the file is cut or damaged",
            path,
        )
    numbers: dict[str, NDArray[Any]] = {}
    texts: dict[str, _Texts] = {}
    for name, code, shape in fields:
        if np.dtype(code).kind in "SU":
            texts[name] = _Texts(height)
        else:
            numbers[name] = np.empty((*shape, height), np.dtype(code).newbyteorder("="))
    buffer = np.empty(max(1, min(height, _BLOCK // dtype.itemsize)), dtype)
    for start in range(0, height, len(buffer)):
        block = buffer[: height - start]
        if file.readinto(block.view(np.uint8).data) != block.nbytes:  # type: ignore[attr-defined]
            raise ReadError("the file became shorter while it was read", path)
        for name, column in numbers.items():
            column[..., start : start + len(block)] = np.moveaxis(block[name], 0, -1)
        for name, codes in texts.items():
            codes.add(block[name], start)
    columns: dict[str, Any] = {}
    for name, _, _ in fields:
        columns[name] = numbers[name] if name in numbers else texts[name].categories(name, path)
    return Table(columns, fields, height)


def _read_header(file: IO[bytes], path: Path) -> tuple[np.dtype[Any], int]:
    """Read what follows the magic: version, length, and the literal."""
    start = file.read(6)
    version = start[:1]
    size = 2 if version == b"\x01" else 4
    if version not in (b"\x01", b"\x02", b"\x03") or len(start) < 2 + size:
        raise ReadError(f"expected a NumPy file of version 1 to 3, found {start!r}", path)
    length = int.from_bytes(start[2 : 2 + size], "little")
    file.seek(8 + size)
    raw = file.read(min(length, _HEADER_LIMIT + 1))
    if len(raw) < length:
        raise ReadError(f"expected a header of {length} bytes, found {len(raw)}", path)
    try:
        text = raw.decode("utf-8" if version == b"\x03" else "latin-1")
        header = ast.literal_eval(_PYTHON_2.sub("", text).strip())
        shape = header["shape"]
        dtype = np.lib.format.descr_to_dtype(header["descr"])
        (height,) = shape
        valid = isinstance(height, int) and height >= 0 and dtype.names is not None
    except Exception as error:  # a literal can be wrong in any way
        raise ReadError(f"the header is damaged ({type(error).__name__}: {error})", path) from error
    if not valid:
        raise ReadError(f"expected one row of records, found shape {shape} of {dtype}", path)
    return dtype, height


def _fields(dtype: np.dtype[Any], path: Path) -> list[Field]:
    """List the fields, all of them numbers and texts."""
    fields = []
    for name in dtype.names or ():
        base, shape = dtype[name].base, dtype[name].shape
        if base.kind == "O":
            raise ReadError(
                f"field {name!r} holds pickled Python objects, which are not read because they "
                "could run code; save it again with cryosparc-tools",
                path,
            )
        text = base.kind in "SU" and not shape
        if (base.kind not in "biufc" and not text) or 0 in shape or base.itemsize == 0:
            raise ReadError(f"field {name!r}: expected numbers or texts, found {dtype[name]}", path)
        fields.append((name, base.str, shape))
    if not fields or sum(int(np.prod(shape)) for _, _, shape in fields) > _VALUES_LIMIT:
        raise ReadError(f"expected up to {_VALUES_LIMIT} values in a row, found {dtype}", path)
    return fields


class _Texts:
    """Codes of a column of texts, whose equal values mostly follow each other."""

    def __init__(self, height: int) -> None:
        self.codes = np.empty(height, np.int32)
        self.known: dict[Any, int] = {}

    def add(self, values: NDArray[Any], start: int) -> None:
        words = _words(values)
        starts = np.flatnonzero((words[1:] != words[:-1]).any(axis=1)) + 1
        starts = np.concatenate([[0], starts])
        known = self.known
        codes = [known.setdefault(value, len(known)) for value in values[starts].tolist()]
        lengths = np.diff(starts, append=len(values))
        self.codes[start : start + len(values)] = np.repeat(codes, lengths)

    def categories(self, name: str, path: Path) -> pd.Categorical:
        try:
            values = [v.decode("utf-8") if isinstance(v, bytes) else v for v in self.known]
        except UnicodeDecodeError as error:
            raise ReadError(f"field {name!r}: expected UTF-8 ({error.reason})", path) from error
        if len(set(values)) < len(values):
            raise ReadError(f"field {name!r}: a text is damaged", path)
        return pd.Categorical.from_codes(self.codes, pd.Index(values, dtype=object))


def _words(values: NDArray[Any]) -> NDArray[Any]:
    """View texts as rows of machine words, which compare faster."""
    size = values.dtype.itemsize
    word = np.uint64 if size % 8 == 0 else np.uint32 if size % 4 == 0 else np.uint8
    return np.ascontiguousarray(values).view(word).reshape(len(values), -1)


def _read_stream(path: Path) -> Table:
    """Read cryoSPARC's compressed stream."""
    try:
        dataset = importlib.import_module("cryosparc.dataset").Dataset
    except ImportError as error:
        purpose = "reading a compressed .cs"
        raise MissingPackageError("cryosparc-tools", "cryosparc", purpose) from error
    try:
        data = dataset.load(path)
        height, names = len(data), list(data.fields())
        columns: dict[str, Any] = {name: np.array(data[name]) for name in names}
    except Exception as error:  # the package's own errors, and those of damaged data
        cause = error.__cause__ or error
        raise ReadError(f"cryosparc-tools cannot read this CSDAT file ({cause})", path) from error
    fields: list[Field] = []
    for name, column in columns.items():
        if column.dtype.kind == "O":
            codes, values = pd.factorize(column)
            size = max((len(str(v).encode()) for v in values), default=1)
            index = pd.Index([str(v) for v in values], dtype=object)
            columns[name] = pd.Categorical.from_codes(codes, index)
            fields.append((name, f"|S{max(size, 1)}", ()))
        else:
            columns[name] = np.ascontiguousarray(np.moveaxis(column, 0, -1))
            fields.append((name, column.dtype.str, column.shape[1:]))
    return Table(columns, fields, height)
