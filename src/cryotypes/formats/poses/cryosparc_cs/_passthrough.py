"""cryoSPARC's passthrough files: fields that a job did not change, joined by the particles' uid."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cryotypes.errors import GuessWarning, ReadError

from ._table import Table, read_table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    from numpy.typing import NDArray

_JOB = re.compile(r"(?:^|[^A-Za-z0-9])J(\d+)(?![A-Za-z0-9])")
_MARK = "_passthrough_"


def with_passthrough(
    table: Table, path: Path, given: str | PathLike[str] | Sequence[str | PathLike[str]] | None
) -> list[str]:
    """Add the columns of passthrough files, and return the names of those files.

    Parameters
    ----------
    table : Table
        Of the main file; gets the columns that it has not.
    path : Path
        The main file.
    given : path, list of paths, or None
        None: the one beside the main file that belongs to it, if there is one.

    Raises
    ------
    ReadError
        If a file that was given lacks particles of the main file, or has them twice.

    Warns
    -----
    GuessWarning
        If the file beside lacks particles, and is left out for it.
    """
    if given is not None:
        files = [given] if isinstance(given, (str, Path)) or hasattr(given, "__fspath__") else given
        for file in files:
            _join(table, path, Path(file))
        return [str(file) for file in files]
    beside = find_passthrough(path)
    if beside is None:
        return []
    try:
        _join(table, path, beside)
    except (OSError, ReadError) as error:
        warnings.warn(
            f"{path}: assumed to have no passthrough file: {error}; give passthrough= "
            "(--passthrough)",
            GuessWarning,
            stacklevel=5,
        )
        return []
    return [str(beside)]


def find_passthrough(path: Path) -> Path | None:
    """Find the passthrough file beside a main one.

    It must be of the same job (J42 in both names; a main file without a number is of the job that
    its folder is called by), and what follows ``_passthrough_`` must be the end of the main file's
    name: ``J42_passthrough_particles.cs`` belongs to ``J42_005_particles.cs`` and to
    ``extracted_particles.cs`` in J42/, but not to ``J42_particles_excluded.cs``. The longest wins.
    """
    job = _job(path.stem) or _job(path.resolve().parent.name)
    if is_passthrough(path) or job is None:
        return None
    best = None
    for other in sorted(path.parent.glob(f"*{_MARK}*.cs")):
        name, output = other.stem.split(_MARK, 1)
        fits = path.stem == output or path.stem.endswith(f"_{output}")
        longer = best is None or len(output) > len(best.stem.split(_MARK, 1)[1])
        if _job(name) == job and fits and longer:
            best = other
    return best


def is_passthrough(path: Path) -> bool:
    """Whether a file is called as cryoSPARC's passthrough files are: no particles of its own."""
    return _MARK in path.name


def _job(name: str) -> int | None:
    numbers = _JOB.findall(name)
    return int(numbers[-1]) if numbers else None


def _join(table: Table, path: Path, file: Path) -> None:
    other = read_table(file)
    mine, theirs = _uids(table, path), _uids(other, file)
    rows = None if np.array_equal(mine, theirs) else _find(mine, theirs, file)
    present = {name for name, _, _ in table.fields}
    for name, code, shape in other.fields:
        if name not in present:
            column = other.columns[name]
            table.columns[name] = column if rows is None else _take(column, rows)
            table.fields.append((name, code, shape))


def _uids(table: Table, path: Path) -> NDArray[Any]:
    uids = table.numbers("uid")
    if uids is None or uids.ndim != 1 or uids.dtype.kind not in "iu":
        raise ReadError("expected a field 'uid', by which passthrough files are joined", path)
    return uids


def _find(wanted: NDArray[Any], there: NDArray[Any], path: Path) -> NDArray[np.int64]:
    """Return the row of each uid."""
    index = pd.Index(there)
    if not index.is_unique:
        raise ReadError(f"expected each uid once, found {index[index.duplicated()][0]} twice", path)
    rows = index.get_indexer(pd.Index(wanted))
    if (rows < 0).any():
        missing = wanted[rows < 0]
        raise ReadError(
            f"expected all {len(wanted)} particles of the main file, found {len(missing)} "
            f"missing, the first with uid {missing[0]}",
            path,
        )
    return np.asarray(rows, dtype=np.int64)


def _take(column: Any, rows: NDArray[np.int64]) -> Any:
    if isinstance(column, pd.Categorical):
        return column.take(rows)
    return column[..., rows]
