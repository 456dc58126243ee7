"""Plain text: x, y, z in pixels, three numbers a line, separated by blanks, tabs or commas.

Nobody defines these files; three numbers are taken as pixels from 0. More columns, or fewer, are
read if ``columns=`` names them. ``#`` begins a comment.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from cryotypes.errors import WriteError
from cryotypes.formats.shared.declaration import Format, Head
from cryotypes.formats.shared.files import writing_bytes
from cryotypes.formats.shared.rows import is_empty_list, read_list, read_numbers
from cryotypes.loss import LossReport

from ._named_columns import EULER, POSITION, QUATERNION, SHIFT, Named, Unit, decode, encode
from ._particles import join_poses, lose_features, metadata_for

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cryotypes.poseset import PoseSet

NAME = "xyz-text"
_NONE = "# x y z\n"
_NAME_THEM = "; name them with columns= (--columns x,y,z,…)"


def sniff(head: Head) -> bool:
    """Lines of three numbers; in a file called .xyz, lines of any two or more; or nothing.

    AreTomo3's ``…_TLT.txt`` has three numbers in a line, too: tilt, order, dose.
    """
    if head.suffix not in FORMAT.suffixes or "\0" in head.text:
        return False
    if head.path.stem.upper().endswith("_TLT"):
        return False
    if not head.data:  # anything may be called .txt
        return head.suffix != ".txt" and is_empty_list(head)
    text = head.text.lstrip("\ufeff")
    if len(head.data) >= 1 << 16:
        text = text.rpartition("\n")[0]  # the last line may be cut
    lines = [words for line in text.splitlines() if (words := _words(line))]
    if not lines:
        return head.suffix == ".xyz" and not text.strip(" \t\r\n#xyz")
    widths = {len(words) for words in lines}
    fitting = widths == {3} or (head.suffix == ".xyz" and len(widths) == 1 and max(widths) > 1)
    return fitting and all(_is_number(word) for words in lines for word in words)


def _words(line: str) -> list[str]:
    return line.partition("#")[0].replace(",", " ").split()


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


def read(
    path: Path,
    *,
    columns: Sequence[str] | None = None,
    index_base: float = 0,
    unit: Unit = "pixel",
    pixel_spacing: float | None = None,
    experiment_id: str | None = None,
) -> list[PoseSet]:
    """Read coordinates.

    Parameters
    ----------
    path : path
    columns : sequence of str, optional
        What the columns are: x y z, dx dy dz (pixels, added), rot tilt psi (RELION's, degrees) or
        qx qy qz qw; any other name is a feature. By default x, y, z.
    index_base : float
        The coordinate of the first pixel's centre: 1 where counting begins with 1.
    unit : {"pixel", "angstrom"}
        Of positions and shifts.
    pixel_spacing : float, optional
        Å per pixel; the file does not tell.
    experiment_id : str, optional
        By default the file's name.

    Raises
    ------
    ReadError
        Naming the line that holds another number of columns, or something that is no number.

    Warns
    -----
    GuessWarning
        If the file is empty or its last line may be cut, or the columns may be angles, or
        fractions of the tomogram's size.
    """
    names = list(POSITION if columns is None else columns)
    if len(set(names)) != len(names) or not {"x", "y"} <= set(names):
        raise ValueError(f"columns: expected x, y, z and others, each once, found {names}")
    raw = re.sub(rb"#[^\n]*", b"", read_list(path)).replace(b",", b" ")
    n = len(names)
    values = read_numbers(raw, path, names, required=n, finite=n, advice=_NAME_THEM)
    table = pl.DataFrame({name: values[:, i] for i, name in enumerate(names)})
    named = Named(
        True, None, float(index_base), unit, pixel_spacing, experiment_id, nameless=columns is None
    )
    metadata = {"format": NAME} | ({} if columns is None else {"columns": names})
    return decode(table, path, named, metadata)


def write(
    data: list[PoseSet],
    path: Path,
    *,
    overwrite: bool = False,
    columns: Sequence[str] | None = None,
) -> LossReport:
    """Write coordinates, and what else is asked for.

    Parameters
    ----------
    data : list of PoseSet
        Of one experiment, whose name the file does not hold.
    path : path
    overwrite : bool
    columns : sequence of str, optional
        x, y, z, and any of dx dy dz, rot tilt psi, qx qy qz qw, and features that are numbers. By
        default as read, else x, y, z; then shifts are added to the position.

    Raises
    ------
    WriteError
        If there are several experiments, or a column is unknown or not of numbers.
    """
    read_as = [m["columns"] for p in data if "columns" in (m := metadata_for(p, [NAME]))]
    names = list(columns or next(iter(read_as), POSITION))
    keeps = {"position"}
    keeps |= {"shift"} if set(SHIFT) <= set(names) else set()
    keeps |= {"orientation"} if {*names} >= {*EULER} or {*names} >= {*QUATERNION} else set()
    report = LossReport()
    particles = join_poses(data, path, report, frozenset(keeps), [NAME])
    if "shift" in keeps and particles.shift is None:
        particles.shift = np.zeros_like(particles.position)
    if "orientation" in keeps and particles.orientation is None:
        raise WriteError("columns: the orientation is unknown, leave out its columns", path)
    lose_features(particles, names, report)
    table = encode(particles, set(EULER) <= set(names), path)
    if "z" not in table.columns:
        table = table.with_columns(z=pl.lit(0.0))
    unfit = [n for n in names if n not in table.columns or not table[n].dtype.is_numeric()]
    if unfit:
        raise WriteError(f"columns: {unfit[0]!r} is not there, or not of numbers", path)
    table = table.select([pl.col(name).cast(pl.Float64) for name in names])
    if table.null_count().sum_horizontal().item() or not _finite(table):
        raise WriteError("columns: a value is missing or infinite", path)
    text = io.BytesIO()
    table.write_csv(text, separator=" ", include_header=False)
    with writing_bytes(path, overwrite) as file:
        file.write(text.getvalue() or _NONE.encode())
    return report


def _finite(table: pl.DataFrame) -> bool:
    return bool(np.isfinite(table.to_numpy()).all())


FORMAT = Format(
    name=NAME,
    title="plain text x y z",
    kind="poses",
    suffixes=(".xyz", ".pts", ".txt"),
    compression=(".gz", ".bz2"),
    read=read,
    write=write,
    sniff=sniff,
    keeps=frozenset({"position"}),
    tolerance={"position": 1e-6},
    evidence="no program defines it; three numbers are taken as pixels from 0",
    url="https://numpy.org/doc/stable/reference/generated/numpy.loadtxt.html",
)
