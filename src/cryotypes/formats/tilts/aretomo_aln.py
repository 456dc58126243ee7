"""AreTomo's .aln, versions 1 to 3: a header, a row for each image that is used, local shifts.

Version 1.2 has only the numbers of images and of dark ones in its header.

``raw = R(ROT) aligned + (TX, TY)`` and ``x_aligned = X cos(TILT) + Z sin(TILT)``, from the centres,
in pixels of the input stack; ``TILT`` includes AlphaOffset already. The volume is the one that
``-FlipVol 1`` writes, which has the frame of IMOD's ``trimvol -rx``. Half pixels are not corrected:
by the source, AreTomo3's volume lies 0.7 to 2.5 px elsewhere, the same for all images.

Source: CSaveAlignFile.cpp and CLoadAlignFile.cpp of AreTomo3.
https://github.com/czimaginginstitute/AreTomo3
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cryotypes.conventions import _table as conventions
from cryotypes.conventions import decode_tilts, encode_tilts
from cryotypes.errors import GuessWarning, LossWarning, ReadError, WriteError
from cryotypes.formats.shared.declaration import Format
from cryotypes.formats.shared.files import read_lines, writing_bytes
from cryotypes.formats.shared.finite import finite_number, whole_number
from cryotypes.loss import LossReport
from cryotypes.names import strip_path_and_suffix
from cryotypes.projectionmodel import ProjectionModelDataLabels as Labels
from cryotypes.projectionmodel import dimensions_of

from . import _tilts

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from cryotypes.formats.shared.declaration import Head

    Floats = NDArray[np.float64]

_COLUMNS = ("SEC", "ROT", "GMAG", "TX", "TY", "SMEAN", "SFIT", "SCALE", "BASE", "TILT")
# AreTomo writes constants; whatever else stands there is kept, as a column of this name
_CONSTANT = {"GMAG": 1.0, "SMEAN": 1.0, "SFIT": 1.0, "SCALE": 1.0, "BASE": 0.0}
_KEPT = {name: f"aretomo_{name.lower()}" for name in _CONSTANT}
_FACTS = ("AlphaOffset", "BetaOffset", "Thickness")
_ROWS = {1: conventions.ARETOMO, 2: conventions.ARETOMO_FLIPVOL_2}


def sniff(head: Head) -> bool:
    """AreTomo's first line, or its header without it."""
    text = head.text
    return text.startswith("# AreTomo Alignment") or (
        text.startswith("#") and "\n# RawSize" in f"\n{text}" and "# SEC" in text
    )


@dataclass
class _Content:
    """What stands in a file."""

    header: dict[str, list[str]] = field(default_factory=dict)
    darks: list[tuple[int, int, float]] = field(default_factory=list)
    title: list[str] = field(default_factory=list)
    rows: list[list[float]] = field(default_factory=list)
    local: list[list[float]] = field(default_factory=list)


def read(
    path: Path,
    *,
    first_section: int | None = None,
    flip_vol: int = 1,
    pixel_spacing: float = 0.0,
) -> pd.DataFrame:
    """Read an alignment.

    Parameters
    ----------
    path : path
    first_section : {0, 1}, optional
        The number of the first image in SEC: 1 in AreTomo3 from 2.0.7 on, 0 before and in
        AreTomo2. By default 0 if SEC and the dark frames together are 0 to n - 1, else 1.
    flip_vol : {1, 2}
        AreTomo's -FlipVol, with which the volume was written; 2 mirrors it in z by the source of
        AreTomo3, though not by its read-me.
    pixel_spacing : float
        Å per pixel of the input stack; 0 is unknown.

    Returns
    -------
    ProjectionModel
        A row for each image, in the order of the file. ``tilt_index`` counts from 0 in the input
        stack. ``attrs`` hold tilt_image_dimensions, excluded (dark frames) and excluded_tilts, and
        ``aretomo``: AlphaOffset, BetaOffset and Thickness of the header.

    Raises
    ------
    ReadError
        If the file is cut in its header, or not of this form.

    Warns
    -----
    LossWarning
        Of the local alignment, with its size.
    GuessWarning
        If images are missing, or the base of SEC is not clear; of AreTomo 1.2, if its rows and dark
        images are not all.
    """
    if first_section not in (None, 0, 1) or flip_vol not in _ROWS:
        raise ValueError("expected first_section 0 or 1, and flip_vol 1 or 2")
    spacing = _tilts.spacing_given(pixel_spacing)
    content = _parse(path)
    size = _raw_size(content, path)
    table = _table(content, path)
    name = strip_path_and_suffix(path.name)
    index, excluded, tilts = _sections(table, content.darks, size[2], first_section, path)
    angles = np.stack([np.zeros(len(index)), table["TILT"], table["ROT"]], axis=1)
    shifts = np.stack([table["TX"], table["TY"]], axis=1)
    _tilts.check_angles(table["TILT"], path)
    rotations, offsets = decode_tilts(angles, shifts, _ROWS[flip_vol], 1.0)
    columns = [*rotations.T, *offsets.T]
    model = pd.DataFrame(dict(zip([*Labels.ROTATION, *Labels.SHIFT], columns, strict=True)))
    model[Labels.EXPERIMENT_ID] = pd.Series([name] * len(model), dtype=object)
    model[Labels.PIXEL_SPACING] = spacing
    model[Labels.SOURCE] = pd.Series([str(path)] * len(model), dtype=object)
    model[_tilts.INDEX] = index
    for title, constant in _CONSTANT.items():
        if title in table and (table[title] != constant).any():
            model[_KEPT[title]] = table[title]
    turned = np.stack([np.zeros(len(tilts)), tilts, np.zeros(len(tilts))], axis=1)
    dark, _ = decode_tilts(turned, np.zeros((len(tilts), 2)), _ROWS[flip_vol], 1.0)
    model.attrs = {
        "tilt_image_dimensions": {name: size[:2]} if size[0] else {},
        "excluded": {name: excluded},
        "excluded_tilts": {name: dark[:, 1].tolist()},
        "aretomo": {name: {"flip_vol": flip_vol, **_facts(content, path)}},
    }
    _warn_of_losses(content, table, size, path)
    return model


def _parse(path: Path) -> _Content:
    content = _Content()
    local = False
    for count, line in enumerate(read_lines(path), start=1):
        where = f"line {count}"
        words = line.strip().lstrip("#").replace("=", " = ").split()
        if not words:
            continue
        if not line.lstrip().startswith("#"):
            numbers = [finite_number(word, path, where) for word in words]
            expected = 7 if local else len(content.title)
            if len(numbers) != expected:
                raise ReadError(
                    f"{where}: expected {expected} numbers, found {len(numbers)}"
                    + ("" if content.title else " before the titles (# SEC ROT …)"),
                    path,
                )
            (content.local if local else content.rows).append(numbers)
        elif words[0] == "SEC":
            if content.rows:
                raise ReadError(f"{where}: found titles again, below rows", path)
            content.title = words
        elif words[:2] == ["Local", "Alignment"]:
            local = True
        elif words[0] == "DarkFrame" and words[1:2] == ["="]:
            if len(words) != 5:
                raise ReadError(f"{where}: expected DarkFrame = rank section tilt", path)
            rank, section = (whole_number(word, path, where) for word in words[2:4])
            content.darks.append((rank, section, finite_number(words[4], path, where)))
        elif words[1:2] == ["="]:
            content.header[words[0]] = words[2:]
        elif not content.title and len(words) == 2 and all(map(str.isdecimal, words)):
            content.header["counts"] = words  # AreTomo 1.2: of images, and of dark ones
    return content


def _raw_size(content: _Content, path: Path) -> tuple[int, int, int]:
    words = content.header.get("RawSize", [])
    if not words and "counts" in content.header:
        count = whole_number(content.header["counts"][0], path, "number of images")
        if not 0 <= count < 100_000:
            raise ReadError(f"expected a number of images, found {count}", path)
        return 0, 0, count  # the size of the images is unknown
    if len(words) != 3:
        raise ReadError(f"expected # RawSize = x y n, found {' '.join(words) or 'none'}", path)
    x, y, n = (whole_number(word, path, "RawSize") for word in words)
    if min(x, y) < 1 or not 0 <= n < 100_000:
        raise ReadError(f"expected # RawSize = x y n, found {x} {y} {n}", path)
    return x, y, n


def _table(content: _Content, path: Path) -> dict[str, Floats]:
    """Return the columns by their titles."""
    missing = [name for name in ("SEC", "ROT", "TX", "TY", "TILT") if name not in content.title]
    if missing:
        raise ReadError(f"the titles (# SEC ROT …) have no {', '.join(missing)}", path)
    table = np.array(content.rows, dtype=float).reshape(-1, len(content.title))
    return {name: table[:, column] for column, name in enumerate(content.title)}


def _facts(content: _Content, path: Path) -> dict[str, float]:
    facts = {}
    for name in _FACTS:
        if words := content.header.get(name):
            facts[name] = finite_number(words[0], path, name)
    return facts


def _sections(
    table: dict[str, Floats],
    darks: list[tuple[int, int, float]],
    n: int,
    first: int | None,
    path: Path,
) -> tuple[NDArray[np.int64], list[int], list[float]]:
    """Return the positions of the rows in the stack, those of the other images, and their tilts."""
    written = table["SEC"]
    if (written % 1 != 0).any() or len(np.unique(written)) < len(written):
        raise ReadError("SEC: expected whole numbers, each of them once", path)
    sections = written.astype(np.int64)
    if first is None:
        first = _base(sections, table["TILT"], darks, n)
    if first is None:
        first = 0 if len(sections) and sections.min() == 0 else 1
        if n:
            warnings.warn(
                f"{path}: {len(sections)} rows and {len(darks)} dark frames of {n} images do not "
                f"make a whole series; assumed that SEC counts from {first}, and that the other "
                "images are not used (first_section= states where SEC begins)",
                GuessWarning,
                stacklevel=5,
            )
    index = sections - first
    if len(index) and (index.min() < 0 or index.max() >= n):
        bad = sections[index.argmin() if index.min() < 0 else index.argmax()]
        raise ReadError(
            f"SEC {bad}: expected {first} to {n + first - 1} for a stack of {n} images", path
        )
    excluded = sorted(set(range(n)) - set(index.tolist()))
    tilts = {b - first: tilt for _, b, tilt in darks}
    if set(tilts) == set(excluded) and len(darks) == len(excluded):
        return index, excluded, [tilts[i] for i in excluded]
    return index, excluded, []


def _base(
    sections: NDArray[np.int64], tilts: Floats, darks: list[tuple[int, int, float]], n: int
) -> int | None:
    """Find where SEC begins: rows and dark frames together are all images; None if they are not.

    cryoet-alignment writes 0 for the section of each dark frame, and its position, where AreTomo
    has the rank of its tilt. With one dark frame both may make up a whole series; then the tilt,
    which cryoet-alignment writes as 0, decides.
    """
    used = set(sections.tolist())
    whole = set(range(n))
    if {s - 1 for s in used | {b for _, b, _ in darks}} == whole:
        return 1
    by_position = {s - 1 for s in used} | {a for a, _, _ in darks} == whole and all(
        b == 0 for _, b, _ in darks
    )
    if used | {b for _, b, _ in darks} != whole:
        return 1 if by_position else None
    ranked = all(tilt >= tilts.max(initial=tilt) for _, _, tilt in darks)
    return 1 if by_position and not ranked else 0


def _warn_of_losses(
    content: _Content, table: dict[str, Floats], size: tuple[int, ...], path: Path
) -> None:
    lost = []
    patches = whole_number((content.header.get("NumPatches") or ["0"])[0], path, "NumPatches")
    local = np.array(content.local, dtype=float).reshape(-1, 7)
    if len(local):
        reliable = local[local[:, 6] > 0, 4:6]
        largest = np.hypot(*reliable.T).max(initial=0.0)
        lost.append(f"the local alignment, which moves patches by up to {largest:.2f} px")
    if "GMAG" in table and len(table["GMAG"]):
        value = table["GMAG"][np.abs(table["GMAG"] - 1).argmax()]
        if abs(value - 1) > 1e-3:
            radius, where = _tilts.edge(size[:2] if size[0] else None)
            lost.append(f"magnification {value:.4g}, {abs(value - 1) * radius:.2g} px {where}")
    if lost:
        warnings.warn(
            f"{path}: a ProjectionModel cannot hold {'; '.join(lost)}", LossWarning, stacklevel=5
        )
    if len(local) != patches * len(content.rows):
        warnings.warn(
            f"{path}: expected {patches} local shifts for each of {len(content.rows)} images, "
            f"found {len(local)} in all; assumed that only these are cut",
            GuessWarning,
            stacklevel=5,
        )


def write(
    data: pd.DataFrame,
    path: Path,
    *,
    overwrite: bool = False,
    flip_vol: int | None = None,
    tilt_image_dimensions: Any = None,
) -> LossReport:
    """Write an alignment as AreTomo3 does: sorted by tilt, SEC counted from 1.

    Parameters
    ----------
    data : ProjectionModel
        Of one experiment.
    path : path
    overwrite : bool
    flip_vol : {1, 2}, optional
        As for reading; by default what the model was read with, else 1.
    tilt_image_dimensions : (x, y), optional
        Size of the tilt images, where the model's attrs do not state it.

    Raises
    ------
    WriteError
        If there are several experiments, or the size of the images is unknown.
    """
    report = LossReport(kept=["rotation_y", "rotation_z", "dx", "dy", "tilt_image_dimensions"])
    tilts = _tilts.one_experiment(data, path, report)
    known = data.attrs.get("aretomo", {}).get(tilts.name, {})
    flip_vol = int(known.get("flip_vol", 1)) if flip_vol is None else flip_vol
    if flip_vol not in _ROWS:
        raise ValueError(f"flip_vol: expected 1 or 2, found {flip_vol!r}")
    size = _tilts.dimensions(tilt_image_dimensions, 2, "tilt_image_dimensions")
    size = size or dimensions_of(data, "tilt_image_dimensions", tilts.name)
    if size is None:
        raise WriteError(
            "AreTomo states the size of the tilt images, and it is unknown: give "
            "tilt_image_dimensions= (-O tilt_image_dimensions=[X,Y])",
            path,
        )
    _tilts.lose_rotation_x(tilts, data, report)
    _tilts.lose_columns(data, list(_KEPT.values()), report)
    with writing_bytes(path, overwrite) as file:
        file.write("\n".join(_lines(tilts, size, known, _ROWS[flip_vol])).encode() + b"\n")
    return report


def _lines(
    tilts: _tilts.Tilts, size: tuple[int, ...], known: dict[str, Any], convention: Any
) -> list[str]:
    angles, shifts = encode_tilts(tilts.rotations, tilts.shifts, convention, 1.0)
    others = np.zeros((len(tilts.excluded), 3))
    others[:, 1] = tilts.excluded_tilts
    dark, _ = encode_tilts(others, np.zeros((len(others), 2)), convention, 1.0)
    facts = {"AlphaOffset": 0.0, "BetaOffset": 0.0, **known}
    more = {
        name: tilts.part[column].to_numpy(dtype=float)
        for name, column in _KEPT.items()
        if column in tilts.part
    }
    every = np.zeros(tilts.count)
    every[tilts.index], every[tilts.excluded] = angles[:, 1], dark[:, 1]
    rank = np.empty(tilts.count, dtype=np.int64)
    rank[np.argsort(every, kind="stable")] = np.arange(tilts.count)
    lines = [
        "# AreTomo Alignment / Priims bprmMn",
        f"# RawSize = {size[0]} {size[1]} {tilts.count}",
        "# NumPatches = 0",
    ]
    for i in sorted(tilts.excluded, key=lambda i: rank[i]):
        lines.append(f"# DarkFrame =  {rank[i]:4d} {_section(i):4d} {every[i]:8.2f}")
    lines += [f"# {name} = {facts[name]:8.2f}" for name in _FACTS if name in facts]
    lines.append(
        "# SEC     ROT         GMAG       TX          TY      SMEAN     SFIT    SCALE     BASE"
        "     TILT"
    )
    for row in np.argsort(angles[:, 1], kind="stable"):
        c = {name: more[name][row] if name in more else _CONSTANT[name] for name in _CONSTANT}
        lines.append(
            f"{_section(tilts.index[row]):5d}  {angles[row, 2]:9.4f}  {c['GMAG']:9.5f}  "
            f"{shifts[row, 0]:9.3f}  {shifts[row, 1]:9.3f}  {c['SMEAN']:7.2f}  {c['SFIT']:7.2f}  "
            f"{c['SCALE']:7.2f}  {c['BASE']:7.2f}  {angles[row, 1]:8.2f}"
        )
    return lines


def _section(position: int) -> int:
    """Return what AreTomo3 calls the image at a position: it counts from 1."""
    return int(position) + 1


FORMAT = Format(
    name="aretomo-aln",
    title="AreTomo alignment",
    kind="projection_model",
    suffixes=(".aln",),
    compression=(".gz", ".bz2"),
    read=read,
    write=write,
    sniff=sniff,
    keeps=frozenset(
        {
            *("rotation_y", "rotation_z", "dx", "dy"),
            *("tilt_index", "excluded", "tilt_image_dimensions"),
        }
    ),
    # TILT has two decimals, ROT four, TX and TY three
    tolerance={"rotation": 0.0051, "shift": 0.00051},
    evidence=conventions.ARETOMO.evidence,
    url="https://github.com/czimaginginstitute/AreTomo3",
)
