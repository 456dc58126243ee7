"""Python's and the tables' values as JSON, and back exactly; what JSON has not is tagged.

A tagged value is an object with one key, ``$`` and the kind: ``{"$tuple": [1, 2]}``,
``{"$float": "nan"}``, ``{"$table": …}``. Nothing is executed to read it.
"""

from __future__ import annotations

import base64
import math
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Callable

_ARRAYS = "biufcSUmM"


def encode(value: Any) -> Any:
    """Turn a value into what ``json.dumps`` writes.

    Raises
    ------
    TypeError
        For a kind of object that is not known here.
    """
    if value is None or type(value) in (bool, int, str):
        return value
    if type(value) is float:
        return value if math.isfinite(value) else {"$float": repr(value)}
    if type(value) is list:
        return [encode(item) for item in value]
    if type(value) is dict:
        return _encode_dict(value)
    for kind, (tag, to_json, _) in _TAGS.items():
        if isinstance(value, kind):
            return {tag: to_json(value)}
    raise TypeError(f"{type(value).__module__}.{type(value).__qualname__}")


def decode(value: Any) -> Any:
    """Give back what `encode` was given.

    Raises
    ------
    ValueError, TypeError, KeyError
        If it is nothing that `encode` wrote.
    """
    if type(value) is list:
        return [decode(item) for item in value]
    if type(value) is not dict:
        return value
    if len(value) == 1:
        ((tag, content),) = value.items()
        if tag.startswith("$"):
            return _BY_TAG[tag](content)
    return {key: decode(item) for key, item in value.items()}


def _encode_dict(value: dict[Any, Any]) -> dict[str, Any]:
    plain = all(type(key) is str for key in value)
    if plain and not (len(value) == 1 and next(iter(value)).startswith("$")):
        return {key: encode(item) for key, item in value.items()}
    return {"$dict": [[encode(key), encode(item)] for key, item in value.items()]}


def _encode_array(value: Any) -> Any:
    array = np.asarray(value)
    if array.dtype.kind in _ARRAYS:
        raw = np.ascontiguousarray(array).tobytes()
        return [array.dtype.str, list(array.shape), base64.b64encode(raw).decode()]
    if array.dtype.kind == "O":
        return ["|O", list(array.shape), [encode(item) for item in array.ravel().tolist()]]
    raise TypeError(f"an array of {array.dtype}")


def _decode_array(content: Any) -> Any:
    kind, shape, raw = content
    if kind == "|O":
        flat = np.empty(len(raw), dtype=object)
        flat[:] = [decode(item) for item in raw]
        return flat.reshape(shape)
    data = np.frombuffer(base64.b64decode(raw), dtype=np.dtype(kind))
    return data.reshape(shape).copy()


def encode_index(index: pd.Index[Any]) -> Any:
    """Encode an index: a range by its ends, any other by its values."""
    if isinstance(index, pd.MultiIndex):
        raise TypeError("a MultiIndex")
    if isinstance(index, pd.RangeIndex):
        return ["range", [index.start, index.stop, index.step], encode(index.name)]
    return ["values", _encode_series(pd.Series(index)), encode(index.name)]


def decode_index(content: Any) -> pd.Index[Any]:
    """Give back what `encode_index` was given."""
    kind, values, name = content
    if kind == "range":
        start, stop, step = values
        return pd.RangeIndex(start, stop, step, name=decode(name))
    result: pd.Index[Any] = pd.Index(_decode_series(values), name=decode(name))
    return result


def _encode_series(column: pd.Series[Any]) -> Any:
    """Numbers as bytes, categories by their codes, all else value by value."""
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        codes = _encode_array(column.cat.codes.to_numpy())
        return ["codes", codes, _encode_series(pd.Series(dtype.categories)), bool(dtype.ordered)]
    if isinstance(dtype, np.dtype) and dtype.kind in _ARRAYS:
        return ["array", _encode_array(column.to_numpy())]
    return ["values", str(dtype), [encode(item) for item in column.tolist()]]


def _decode_series(content: Any) -> pd.Series[Any]:
    kind, values, *more = content
    if kind == "codes":
        known = pd.Index(_decode_series(more[0]))
        made = pd.Categorical.from_codes(_decode_array(values), known, ordered=more[1])
        return pd.Series(made)
    if kind == "array":
        return pd.Series(_decode_array(values))
    result: pd.Series[Any] = pd.Series([decode(item) for item in more[0]], dtype=values)
    return result


def _encode_table(table: pd.DataFrame) -> Any:
    columns = [[encode(name), _encode_series(table.iloc[:, i])] for i, name in enumerate(table)]
    return [columns, encode_index(table.index)]


def _decode_table(content: Any) -> pd.DataFrame:
    columns, index = content
    own = decode_index(index)
    made = {i: _decode_series(s).set_axis(own) for i, (_, s) in enumerate(columns)}
    table = pd.DataFrame(made, index=own)
    if columns:
        table.columns = pd.Index([decode(name) for name, _ in columns])
    return table


def _tuple(content: Any) -> tuple[Any, ...]:
    return tuple(decode(item) for item in content)


def _list(items: Any) -> list[Any]:
    return [encode(item) for item in items]


def _encode_time(time: pd.Timestamp) -> Any:
    zone = None if time.tz is None else str(time.tz)
    return [str(time.tz_localize(None).asm8 if zone is None else time.asm8), time.unit, zone]


def _decode_time(content: Any) -> pd.Timestamp:
    text, unit, zone = content
    time = pd.Timestamp(np.datetime64(text)).as_unit(unit)
    return time if zone is None else time.tz_localize("UTC").tz_convert(zone)


# Kinds, in the order in which they are asked for: tag, to JSON, from JSON.
_TAGS: dict[Any, tuple[str, Callable[[Any], Any], Callable[[Any], Any]]] = {
    np.generic: ("$scalar", _encode_array, lambda content: _decode_array(content)[()]),
    np.ndarray: ("$array", _encode_array, _decode_array),
    pd.DataFrame: ("$table", _encode_table, _decode_table),
    type(pd.NaT): ("$NaT", lambda _: 0, lambda _: pd.NaT),
    type(pd.NA): ("$NA", lambda _: 0, lambda _: pd.NA),
    pd.Timestamp: ("$time", _encode_time, _decode_time),
    PurePath: ("$path", str, Path),
    bytes: ("$bytes", lambda data: base64.b64encode(data).decode(), base64.b64decode),
    complex: (
        "$complex",
        lambda number: [repr(number.real), repr(number.imag)],
        lambda content: complex(float(content[0]), float(content[1])),
    ),
    tuple: ("$tuple", _list, _tuple),
    set: ("$set", _list, lambda content: set(_tuple(content))),
    bool: ("$bool", bool, bool),
    int: ("$int", int, int),
    float: ("$float", lambda number: repr(float(number)), float),
    str: ("$str", str, str),
    list: ("$list", _list, lambda content: list(_tuple(content))),
    dict: (
        "$dict",
        lambda content: [[encode(key), encode(item)] for key, item in content.items()],
        lambda content: {decode(key): decode(item) for key, item in content},
    ),
}
_BY_TAG = {tag: from_json for tag, _, from_json in _TAGS.values()}
