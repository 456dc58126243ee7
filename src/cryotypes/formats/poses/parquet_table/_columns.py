"""Features as columns of our Parquet table, and back with their own types and index."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import polars as pl

from cryotypes.formats.poses._named_columns import PREFIX, RESERVED

from . import _json as tagged

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cryotypes.loss import LossReport

ROW = "row"
_MASKED = {
    "i": pd.arrays.IntegerArray,
    "u": pd.arrays.IntegerArray,
    "f": pd.arrays.FloatingArray,
    "b": pd.arrays.BooleanArray,
}


class Columns:
    """Columns that grow part by part; a part without a column is null there."""

    def __init__(self) -> None:
        self._pieces: dict[str, list[pl.Series | int]] = {}  # a number: so many nulls
        self._lengths: dict[str, int] = {}
        self._types: dict[str, Any] = {}
        self._before = self._n = 0
        self._taken: set[str] = set()

    def begin(self, n: int) -> None:
        """Begin a part of n rows."""
        self._before += self._n
        self._n = n
        self._taken = set()

    def add_vectors(self, names: Sequence[str], values: NDArray[np.float64]) -> None:
        """Add one column for each component."""
        for index, name in enumerate(names):
            self._append(name, pl.Series(np.ascontiguousarray(values[:, index])))

    def add_constant(self, name: str, value: Any, dtype: Any) -> None:
        """Add a column that is the same all over the part."""
        self._append(name, pl.Series([value], dtype=dtype).new_from_index(0, self._n))

    def add_features(self, features: pd.DataFrame, report: LossReport) -> dict[str, Any]:
        """Add all features and their index; return what is needed to restore them."""
        layout: dict[str, Any] = {"index": self._index(features.index, report), "columns": []}
        for position, name in enumerate(features.columns):
            try:
                label = tagged.encode(name)
                values, kind = _encode_column(features.iloc[:, position])
            except (TypeError, ValueError, RecursionError) as error:
                report.lost[f"feature {name!r}"] = f"neither Parquet nor JSON can hold {error}"
                continue
            layout["columns"].append([label, self._place(str(name), values), kind])
        columns = features.columns
        layout["text"] = str(columns.dtype)
        return layout

    def table(self) -> pl.DataFrame:
        """Return all parts as one table."""
        end = self._before + self._n
        result = {}
        for name, pieces in self._pieces.items():
            nothing = pl.Series([None], dtype=self._types[name])
            full = [
                nothing.new_from_index(0, p) if isinstance(p, int) else p
                for p in [*pieces, end - self._lengths[name]]
            ]
            result[name] = pl.concat(full, rechunk=True)
        return pl.DataFrame(result)

    def _index(self, index: pd.Index[Any], report: LossReport) -> Any:
        if isinstance(index, pd.RangeIndex):
            return {
                "range": [index.start, index.stop, index.step],
                "name": tagged.encode(index.name),
            }
        try:
            if isinstance(index, pd.MultiIndex):
                raise TypeError("a MultiIndex")
            values, kind = _encode_column(pd.Series(index))
            name = tagged.encode(index.name)
        except (TypeError, ValueError, RecursionError) as error:
            report.lost["index of features"] = f"neither Parquet nor JSON can hold {error}"
            return {"range": [0, len(index), 1], "name": None}
        return {"column": self._place(ROW, values, reserved=()), "kind": kind, "name": name}

    def _place(
        self, name: str, values: pl.Series, reserved: Sequence[str] = (*RESERVED, ROW)
    ) -> str:
        """Append a column under its name, or one that is free; other types are other columns."""
        label = PREFIX + name if name in reserved or name.startswith(PREFIX) else name
        count, chosen = 1, label
        while chosen in self._taken or self._types.get(chosen) not in (None, values.dtype):
            count += 1
            chosen = f"{label} ({count})"
        self._append(chosen, values)
        return chosen

    def _append(self, name: str, values: pl.Series) -> None:
        missing = self._before - self._lengths.get(name, 0)
        self._pieces.setdefault(name, []).extend([missing, values] if missing else [values])
        self._lengths[name] = self._before + len(values)
        self._types.setdefault(name, values.dtype)
        self._taken.add(name)


def decode(table: pl.DataFrame, rows: slice, layout: dict[str, Any]) -> pd.DataFrame:
    """Give back the features of one part."""
    n = rows.stop - rows.start
    stated = layout["index"]
    if "range" in stated:
        start, stop, step = stated["range"]
        index: pd.Index[Any] = pd.RangeIndex(start, stop, step, name=tagged.decode(stated["name"]))
    else:
        values = _decode_column(table[stated["column"]].slice(rows.start, n), stated["kind"])
        index = pd.Index(values, name=tagged.decode(stated["name"]))
    made = {}
    for number, (_, column, kind) in enumerate(layout["columns"]):
        values = _decode_column(table[column].slice(rows.start, n), kind)
        # the type is stated, or pandas would make text of objects
        made[number] = pd.Series(values, index=index, dtype=values.dtype)
    result = pd.DataFrame(made, index=index)
    labels = [tagged.decode(label) for label, _, _ in layout["columns"]]
    result.columns = pd.Index(labels, dtype=layout["text"] if labels else object)
    return result


def _encode_column(column: pd.Series[Any]) -> tuple[pl.Series, list[Any]]:
    """Return values for Parquet, and how to make the column of them again."""
    dtype = column.dtype
    if isinstance(dtype, np.dtype) and dtype.kind in "biuf":
        values = column.to_numpy()
        half = dtype.kind == "f" and dtype.itemsize not in (4, 8)
        if half and dtype.itemsize > 8:
            raise TypeError(f"a column of {dtype}")
        return pl.Series(values.astype(np.float32) if half else values), ["numbers", dtype.str]
    if isinstance(dtype, np.dtype) and dtype.kind in "mM":
        return pl.Series(column.to_numpy().view(np.int64)), ["time", dtype.str]
    if isinstance(dtype, pd.CategoricalDtype):
        codes = pl.Series(column.cat.codes.to_numpy().astype(np.int32))
        known = pd.DataFrame({0: pd.Series(dtype.categories)})
        return codes, ["categories", tagged.encode(known), bool(dtype.ordered)]
    if not isinstance(dtype, np.dtype) and dtype.kind in _MASKED and hasattr(dtype, "numpy_dtype"):
        plain = np.dtype(dtype.numpy_dtype)
        missing = column.isna().to_numpy(dtype=bool)
        values = column.to_numpy(dtype=plain, na_value=plain.type(0))
        masked = (
            pl.Series(values).to_frame("v").select(pl.when(pl.Series(~missing)).then(pl.col("v")))
        )
        return masked.to_series(), ["masked", plain.str]
    return _encode_objects(column)


def _encode_objects(column: pd.Series[Any]) -> tuple[pl.Series, list[Any]]:
    """Text as text, all else as the JSON of each value."""
    values = column.tolist()
    missing = column.isna().to_numpy(dtype=bool)
    name = str(column.dtype)
    if name in ("object", "str", "string"):
        kinds = {type(value) for value, gone in zip(values, missing, strict=True) if not gone}
        blanks = {type(value) for value, gone in zip(values, missing, strict=True) if gone}
        if kinds <= {str} and len(blanks) < 2:
            blank = next((v for v, gone in zip(values, missing, strict=True) if gone), None)
            texts = [None if gone else v for v, gone in zip(values, missing, strict=True)]
            try:
                return pl.Series(texts, dtype=pl.String), ["text", name, tagged.encode(blank)]
            except UnicodeEncodeError:
                pass  # half a character; JSON escapes it
    texts = [json.dumps(tagged.encode(value), allow_nan=False) for value in values]
    return pl.Series(texts, dtype=pl.String), ["json", name]


def _decode_column(values: pl.Series, kind: list[Any]) -> Any:
    """Give back a column (an array) from its values and what `_encode_column` said."""
    what = kind[0]
    if what == "numbers":
        return values.to_numpy().astype(np.dtype(kind[1]), copy=False)
    if what == "time":
        return values.to_numpy().view(np.dtype(kind[1]))
    if what == "categories":
        known = pd.Index(tagged.decode(kind[1])[0].array)
        return pd.Categorical.from_codes(values.to_numpy(), known, ordered=bool(kind[2]))
    if what == "masked":
        plain = np.dtype(kind[1])
        missing = values.is_null().to_numpy()
        filled = values.fill_null(False if plain.kind == "b" else 0).to_numpy()
        return _MASKED[plain.kind](filled.astype(plain), missing)
    if what == "text":
        missing, blank = values.is_null().to_numpy(), tagged.decode(kind[2])
        texts = np.array(values.to_list(), dtype=object)
        if missing.any():
            texts[missing] = blank
        return texts if kind[1] == "object" else pd.array(texts, dtype=kind[1])
    items = [tagged.decode(json.loads(text)) for text in values.to_list()]
    result = pd.Series(items, dtype=object)
    return result.to_numpy() if kind[1] == "object" else result.astype(kind[1]).array
