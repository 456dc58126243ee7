"""What RELION's files share: the project directory, sizes of tomograms, tables as pandas."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import polars as pl

from cryotypes._sizes import is_size
from cryotypes.errors import ReadError

from .star import Block, read_star

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from os import PathLike

    from .declaration import Head

PARTICLES_FILE, TOMOGRAMS_FILE = "rlnTomoParticlesFile", "rlnTomoTomogramsFile"
DATA_FILE = "rlnExperimentalDataStarFile"  # of an optimiser.star: its particles
NAMING = (PARTICLES_FILE, TOMOGRAMS_FILE, DATA_FILE)


@dataclass(frozen=True)
class Tomogram:
    """What tomograms.star says of one tomogram; sizes in pixels of the tilt series.

    A size of 0 means that it is unknown (cryoet-alignment writes it so).
    """

    dimensions: tuple[float, float, float] | None
    pixel_spacing: float  # Å, 0 if unknown


def resolve(name: str, start: Path) -> Path | None:
    """Find a file that another one names.

    Paths inside RELION's files are relative to the project directory, which is found by walking
    up from the file that holds the name.
    """
    folder = start.resolve().parent
    for parent in (folder, *folder.parents):
        if (parent / name).exists():
            return parent / name
    return None


def project_directory(path: Path) -> Path:
    """Find the directory to which RELION's paths are relative: where its own marker files lie.

    Without any, it is the directory of ``path``.
    """
    folder = path.resolve().parent
    for parent in (folder, *folder.parents):
        if any((parent / mark).exists() for mark in ("default_pipeline.star", ".gui_projectdir")):
            return parent
    return folder


def has_labels(head: Head, *labels: str) -> bool:
    """Whether a head is STAR text with at least one of these labels."""
    return b"data_" in head.data and any(f"_{label}".encode() in head.words for label in labels)


def is_optimisation_set(head: Head) -> bool:
    """Whether a head is that of RELION's optimisation_set.star."""
    return has_labels(head, PARTICLES_FILE, TOMOGRAMS_FILE)


def read_optimisation_set(path: Path) -> dict[str, str]:
    """Return label to file name of an optimisation set or optimiser; empty if the file is none."""
    for block in read_star(path):
        if not set(NAMING).isdisjoint(block.table.columns):
            if block.table.height != 1:
                found = block.table.height
                raise ReadError(f"expected one optimisation set, found {found} rows", path)
            return {label: str(value) for label, value in block.row.items()}
    return {}


def named_file(entries: Mapping[str, str], label: str, path: Path) -> Path:
    """Find the file that an optimisation set names.

    Raises
    ------
    ReadError
        If it names none, or a file that does not exist.
    """
    if label not in entries:
        raise ReadError(f"the file has no {label}", path)
    found = resolve(entries[label], path)
    if found is None:
        raise ReadError(
            f"{label} is {entries[label]!r}, which does not exist in {path.resolve().parent} "
            "or any directory above it",
            path,
        )
    return found


def find_tomograms(path: Path) -> Path | None:
    """Find the tomograms.star that belongs to a particle file.

    The optimisation sets beside the file are asked first (those that name this file), then a
    tomograms.star beside it.
    """
    for candidate in sorted(path.parent.glob("*optimisation_set.star")):
        entries = read_optimisation_set(candidate)
        particles = resolve(entries.get("rlnTomoParticlesFile", ""), candidate)
        if particles is not None and particles.samefile(path):
            found = resolve(entries.get("rlnTomoTomogramsFile", ""), candidate)
            if found is not None and found.is_file():
                return found
    beside = path.parent / "tomograms.star"
    return beside if beside.is_file() else None


def read_tomograms(path: str | PathLike[str]) -> dict[str, Tomogram]:
    """Read the sizes and pixel spacings of tomograms, by rlnTomoName.

    Parameters
    ----------
    path : path
        RELION 4 or 5's tomograms.star, or an optimisation set that names it.

    Raises
    ------
    ReadError
        If it is neither.
    """
    path = Path(path)
    entries = read_optimisation_set(path)
    if entries:
        path = named_file(entries, "rlnTomoTomogramsFile", path)
    for block in read_star(path):
        if "rlnTomoName" in block.table and (
            "rlnTomoSizeX" in block.table or "rlnTomoTiltSeriesPixelSize" in block.table
        ):
            return {row["rlnTomoName"]: _tomogram(row) for row in block.table.to_dicts()}
    raise ReadError(
        "expected a tomograms.star, with rlnTomoName and rlnTomoSizeX, Y, Z in one block", path
    )


def _tomogram(row: Mapping[str, Any]) -> Tomogram:
    size = tuple(row.get(f"rlnTomoSize{axis}") for axis in "XYZ")
    spacing = row.get("rlnTomoTiltSeriesPixelSize")
    return Tomogram(
        dimensions=size if is_size(size) else None,  # type: ignore[arg-type]
        pixel_spacing=float(spacing) if is_size([spacing], 1) else 0.0,  # type: ignore[arg-type]
    )


def to_pandas(table: pl.DataFrame, index: Any = None) -> pd.DataFrame:
    """Turn a table into pandas, numbers without copying, whole numbers staying whole."""
    columns = {name: _pandas_values(table[name]) for name in table.columns}
    return pd.DataFrame(columns, index=pd.RangeIndex(table.height) if index is None else index)


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


def describe_blocks(blocks: Iterable[Block]) -> str:
    """Say in words which blocks a file has."""
    parts = [
        f"{block.name!r} ({', '.join(block.table.columns[:3])}, …)"
        for block in blocks
        if block.table.width
    ]
    return " and ".join(parts) or "nothing"
