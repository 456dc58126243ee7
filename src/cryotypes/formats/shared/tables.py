"""Tables between polars, which parses and prints them, and pandas, which features are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
import polars as pl

from .star import Block

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


def to_pandas(table: pl.DataFrame, without: Collection[str] = ()) -> pd.DataFrame:
    """Turn a table into pandas, numbers without copying, whole numbers staying whole.

    Parameters
    ----------
    table : polars.DataFrame
    without : collection of str
        Columns to leave out; the rows are counted even where no other is left.
    """
    columns = {name: _pandas_values(table[name]) for name in table.columns if name not in without}
    return pd.DataFrame(columns, index=pd.RangeIndex(table.height))


def _pandas_values(column: pl.Series) -> Any:
    if column.null_count() and column.dtype.is_integer():
        return pd.array(column.to_list(), dtype="Int64")
    return column.to_numpy()


def to_polars(table: pd.DataFrame) -> pl.DataFrame:
    """Turn a pandas table into polars; whatever is neither number nor text becomes text."""
    return pl.DataFrame([_polars_column(str(name), table[name]) for name in table.columns])


def _polars_column(name: str, column: pd.Series[Any]) -> pl.Series:
    if pd.api.types.is_bool_dtype(column.dtype):
        return pl.Series(name, column.to_list(), dtype=pl.Boolean)
    if pd.api.types.is_integer_dtype(column.dtype) and column.hasnans:
        return pl.Series(name, [None if v is pd.NA else int(v) for v in column], dtype=pl.Int64)
    if pd.api.types.is_numeric_dtype(column.dtype):
        values = column.to_numpy()
        return pl.Series(name, values if values.dtype != object else values.astype(float))
    missing = column.isna().to_numpy()
    texts = [
        None if gone else str(value)
        for gone, value in zip(missing, column.to_numpy(dtype=object), strict=True)
    ]
    return pl.Series(name, texts, dtype=pl.String)


def block_of(name: str, content: Mapping[str, Any] | pd.DataFrame) -> Block:
    """Make a block from metadata: a dict becomes a list, a DataFrame a loop."""
    if isinstance(content, pd.DataFrame):
        return Block(name, to_polars(content))
    return Block(name, pl.DataFrame({key: [value] for key, value in content.items()}), loop=False)


def content_of(block: Block) -> dict[str, Any] | pd.DataFrame:
    """Turn a block into what metadata hold: a dict for a list, a DataFrame for a loop."""
    return to_pandas(block.table) if block.loop else block.row
