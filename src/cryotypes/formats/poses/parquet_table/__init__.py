"""Parquet: our own table, which holds all that a PoseSet has; docs/native.md describes it.

The file's key-value metadata state the version (``cryotypes_poseset_version``) and, as JSON, all
that is not one value a particle. Of a Parquet file of others the columns x, y, z are taken, as
from CSV (`cryotypes.formats.poses.csv_table`).

https://parquet.apache.org/docs/file-format/
"""

from __future__ import annotations

import io
import json
import re
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import polars as pl

from cryotypes.conventions import decode_orientation, encode_orientation
from cryotypes.conventions._table import CRYOTYPES
from cryotypes.errors import ReadError
from cryotypes.formats.poses._named_columns import (
    EXPERIMENT,
    POSITION,
    QUATERNION,
    SHIFT,
    SPACING,
    VERSION,
    VERSION_KEY,
    Named,
    Unit,
    check_version,
    decode,
    numbers,
)
from cryotypes.formats.poses._particles import FIELDS
from cryotypes.formats.shared.declaration import Format, Head
from cryotypes.formats.shared.files import writing_bytes
from cryotypes.loss import LossReport
from cryotypes.poseset import PoseSet

from . import _columns as native
from . import _json as tagged

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME = "parquet"
FACTS_KEY = "cryotypes_posesets"
CHECKSUM_KEY = "cryotypes_checksum"
_CHECKSUM = re.compile(rb"cryotypes_checksum..crc32:([0-9a-f]{8})", re.DOTALL)
_DAMAGE = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError)


def sniff(head: Head) -> bool:
    """A Parquet file, whatever it holds."""
    return head.data[:4] == b"PAR1"


def read(
    path: Path,
    *,
    columns: Mapping[str, str] | None = None,
    index_base: float = 0,
    unit: Unit = "pixel",
    pixel_spacing: float | None = None,
    experiment_id: str | None = None,
) -> list[PoseSet]:
    """Read what was written, as it was; or a table of others.

    Parameters
    ----------
    path : path
    columns, index_base, unit, pixel_spacing, experiment_id : optional
        For tables of others, as for CSV; our own needs none.

    Returns
    -------
    list of PoseSet
        As they were written, ``source`` included; it is ``path`` where they had none.

    Raises
    ------
    ReadError
        If the file is damaged, was written by a newer cryotypes, or has no positions.
    """
    data = path.read_bytes()
    checked = _verify(data, path)
    try:
        facts = pl.read_parquet_metadata(io.BytesIO(data))
        table = pl.read_parquet(data)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, *_DAMAGE) as error:
        raise ReadError(f"expected a Parquet file ({error})", path) from error
    if checked and VERSION_KEY not in facts:
        raise ReadError(f"expected {VERSION_KEY} beside {CHECKSUM_KEY}, found none", path)
    if VERSION_KEY not in facts:
        named = Named(False, columns, float(index_base), unit, pixel_spacing, experiment_id)
        return decode(table, path, named, {"format": NAME})
    if columns or index_base or unit != "pixel" or pixel_spacing or experiment_id:
        raise ValueError(f"{path}: a table of cryotypes' own is read as it is, without options")
    check_version(facts[VERSION_KEY], path)
    if not checked:
        raise ReadError(f"expected {CHECKSUM_KEY} beside {VERSION_KEY}, found none", path)
    try:
        return _posesets(table, json.loads(facts[FACTS_KEY]), path)
    except ReadError:
        raise
    except (*_DAMAGE, RecursionError, pl.exceptions.PolarsError) as error:
        problem = f"{type(error).__name__}: {error}"
        raise ReadError(f"{FACTS_KEY}: not what cryotypes writes ({problem})", path) from error


def _verify(data: bytes, path: Path) -> bool:
    """Compare the checksum, if there is one; damaged data can make a decoder end the process."""
    if data[:4] != b"PAR1" or data[-4:] != b"PAR1" or len(data) < 12:
        raise ReadError("expected a Parquet file, found another, or one that was cut", path)
    found = _last_checksum(data)
    if found is None:
        return False
    if int(found[1], 16) != _checksum(data, found):
        raise ReadError(
            "the checksum is wrong: the file was damaged, or changed by another program, which "
            f"must then leave out the metadata {VERSION_KEY} and {CHECKSUM_KEY}",
            path,
        )
    return True


def _last_checksum(data: bytes) -> re.Match[bytes] | None:
    """Find the checksum in the footer, near the end of the file."""
    start = data.rfind(CHECKSUM_KEY.encode())
    return None if start < 0 else _CHECKSUM.match(data, start)


def _checksum(data: bytes, found: re.Match[bytes]) -> int:
    """CRC-32 of all bytes but those of the checksum itself."""
    view = memoryview(data)
    return zlib.crc32(view[found.end(1) :], zlib.crc32(view[: found.start(1)]))


def _posesets(table: pl.DataFrame, facts: dict[str, Any], path: Path) -> list[PoseSet]:
    n = sum(part["n"] for part in facts["parts"])
    if n != table.height:
        problem = f"expected {n} rows, found {table.height}"
        raise ReadError(f"{problem}; the table was changed since it was written", path)
    numbers_of = {
        names: numbers(table.select(pl.col(names).fill_null(0)), names, path)
        for names in (POSITION, SHIFT, QUATERNION)
        if names[0] in table.columns
    }
    start, result = 0, []
    pool = [tagged.decode(value) for value in facts["pool"]]
    for part in facts["parts"]:
        rows = slice(start, start + part["n"])
        source = part["source"]
        poses = PoseSet(
            position=numbers_of[POSITION][rows],
            shift=numbers_of[SHIFT][rows] if part["shift"] else None,
            experiment_id=str(part[EXPERIMENT]),
            pixel_spacing=float(tagged.decode(part[SPACING])),
            source=(Path(source) if part["source_is_path"] else str(source)) or path,
        )
        if part["orientation"]:
            written = numbers_of[QUATERNION][rows]
            poses.orientation = decode_orientation(written, CRYOTYPES.turn)
        if part["features"] is not None:
            poses.features = native.decode(table, rows, pool[part["features"]])
        if part["metadata"] is not None:
            poses.metadata = {tagged.decode(key): pool[index] for key, index in part["metadata"]}
        result.append(poses)
        start += part["n"]
    return result


def write(data: list[PoseSet], path: Path, *, overwrite: bool = False) -> LossReport:
    """Write all that the PoseSets have, so that reading gives the same ones.

    Parameters
    ----------
    data : list of PoseSet
        Of any number of experiments; the rows of one follow those of the one before.
    path : path
    overwrite : bool

    Returns
    -------
    LossReport
        ``lost`` names what neither Parquet nor JSON can hold: a MultiIndex, objects of other
        packages in features or metadata, fields of a class of your own.
    """
    report = LossReport(kept=sorted(FIELDS))
    columns, pool = native.Columns(), _Pool(report)
    parts = [_part(poses, columns, pool, report) for poses in data]
    facts = {"parts": parts, "pool": pool.content}
    metadata = {
        FACTS_KEY: json.dumps(facts, allow_nan=False),
        VERSION_KEY: str(VERSION),
        CHECKSUM_KEY: "crc32:00000000",
    }
    buffer = io.BytesIO()
    columns.table().write_parquet(buffer, metadata=metadata)
    written = buffer.getvalue()
    found = _last_checksum(written)
    assert found is not None
    with writing_bytes(path, overwrite) as file:
        file.write(memoryview(written)[: found.start(1)])
        file.write(f"{_checksum(written, found):08x}".encode())
        file.write(memoryview(written)[found.end(1) :])
    return report


class _Pool:
    """JSON values, each once: what many PoseSets share is written once."""

    def __init__(self, report: LossReport) -> None:
        self.content: list[Any] = []
        self.report = report
        self._seen: dict[str, int] = {}
        self._objects: dict[int, tuple[Any, int]] = {}  # the object is kept, so is its id

    def add(self, value: Any) -> int:
        """Return the number of a value, which may be new.

        Raises
        ------
        TypeError, ValueError
            If it cannot be written.
        """
        if id(value) in self._objects:
            return self._objects[id(value)][1]
        encoded = tagged.encode(value)
        text = json.dumps(encoded, allow_nan=False)
        if text not in self._seen:
            self._seen[text] = len(self.content)
            self.content.append(encoded)
        self._objects[id(value)] = value, self._seen[text]
        return self._seen[text]

    def metadata(self, content: dict[Any, Any] | None) -> list[Any] | None:
        """Return keys and numbers; what cannot be written is said to be lost."""
        if content is None:
            return None
        result = []
        for key, value in content.items():
            try:
                result.append([tagged.encode(key), self.add(value)])
            except (TypeError, ValueError, RecursionError) as error:
                self.report.lost[f"metadata {key!r}"] = f"JSON cannot hold {error}"
        return result


def _part(
    poses: PoseSet, columns: native.Columns, pool: _Pool, report: LossReport
) -> dict[str, Any]:
    """Put one PoseSet into the columns, and return the facts about it."""
    position = np.asarray(poses.position, dtype=float).reshape(-1, 3)
    n = len(position)
    columns.begin(n)
    columns.add_vectors(POSITION, position)
    if poses.shift is not None:
        columns.add_vectors(SHIFT, np.asarray(poses.shift, dtype=float).reshape(-1, 3))
    if poses.orientation is not None:
        written = encode_orientation(poses.orientation, CRYOTYPES.turn)
        columns.add_vectors(QUATERNION, written.reshape(-1, 4))
    columns.add_constant(EXPERIMENT, str(poses.experiment_id), pl.String)
    columns.add_constant(SPACING, float(poses.pixel_spacing), pl.Float64)
    features = getattr(poses, "features", None)
    layout = None
    if isinstance(features, pd.DataFrame):
        layout = pool.add(columns.add_features(features, report))
    for name in sorted({name for name in vars(poses) if not name.startswith("_")} - FIELDS):
        report.lost[name] = "the format has no such field; put it into features"
    return {
        "n": n,
        EXPERIMENT: str(poses.experiment_id),
        SPACING: tagged.encode(float(poses.pixel_spacing)),
        "source": str(poses.source),
        "source_is_path": isinstance(poses.source, Path),
        "shift": poses.shift is not None,
        "orientation": poses.orientation is not None,
        "features": layout,
        "metadata": pool.metadata(getattr(poses, "metadata", None)),
    }


FORMAT = Format(
    name=NAME,
    title="Parquet, lossless",
    kind="poses",
    suffixes=(".parquet",),
    read=read,
    write=write,
    sniff=sniff,
    keeps=frozenset(
        {"position", "shift", "orientation", "experiment_id", "pixel_spacing", "features"}
    ),
    tolerance={"position": 0.0, "shift": 0.0, "orientation": 1e-9},
    evidence=CRYOTYPES.evidence,
    url="https://parquet.apache.org/docs/file-format/",
)
