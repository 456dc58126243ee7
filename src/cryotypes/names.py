"""Names of experiments as programs decorate them, and the rules that undress them."""

from __future__ import annotations

import re
from typing import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from os import PathLike

# Suffixes of the files that belong to an experiment; anything else after a dot is part of a name.
# Formats add theirs when they become known; these are here also before any format is.
_OF_FILES = (
    "mrc mrcs st ali preali rec map tomostar star xml xf tlt rawtlt aln mdoc edf com eer tif tiff "
    "hdf hdf5 h5 zarr em json ndjson jsonl tbl motl csv tsv txt parquet mod coords box cbox cs par "
    "parx xyz pts dm3 dm4 spi gz bz2"
)
_SUFFIXES = {f".{suffix}" for suffix in _OF_FILES.split()}
_SLASH = re.compile(r"[\\/]")


class Decoration(NamedTuple):
    """What a program adds to the name of an experiment: ``pattern`` is a regular expression."""

    name: str
    pattern: str
    example: str


# Numbers alone are never a decoration: 1, 001 and TS_01 are names. A pixel size needs its decimal
# point or its "Apx", so that grid_2A stays apart from grid_3A.
DECORATIONS = (
    Decoration("reconstruction (RELION, Warp)", r"^rec_", "rec_TS_01"),
    Decoration("unique number (cryoSPARC)", r"^\d{18,21}_", "012345678901234567890_TS_01"),
    Decoration("another volume (AreTomo3)", r"_(?i:(?:2nd|3rd|2dctf)_vol)$", "TS_01_2ND_Vol"),
    Decoration("volume (AreTomo)", r"_(?i:vol)$", "TS_01_Vol"),
    Decoration("tilts, and the export for IMOD (AreTomo)", r"_(?:TLT|Imod)$", "TS_01_TLT"),
    Decoration("reconstruction (IMOD)", r"_(?i:rec)$", "TS_01_full_rec"),
    Decoration("full (IMOD)", r"_(?i:full)$", "TS_01_full"),
    Decoration("aligned", r"_(?i:ali|preali|aligned)$", "TS_01_ali"),
    Decoration("pixel size", r"_\d+(?:\.\d+)?[Aa]px$", "TS_01_10.00Apx"),
    Decoration("pixel size, short", r"_\d+\.\d+A$", "TS_01_13.50A"),
    Decoration("binning", r"_(?i:bin_?\d+)$", "TS_01_bin4"),
    Decoration("binning, short", r"_b(?:2|3|4|6|8|10|12|16)$", "TS_01_b4"),
    Decoration("half", r"_(?i:half_?[12ab])$", "TS_01_half1"),
    Decoration("even and odd", r"_(?i:evn|even|odd)$", "TS_01_EVN"),
    Decoration("dose", r"_(?i:dw|dose(?:[-_]?(?:filt(?:ered)?|weighted))?)$", "TS_01_dose"),
    Decoration("algorithm", r"_(?i:sirt|sart|wbp|fbp)$", "TS_01_sirt"),
    Decoration("denoised", r"_(?i:denoised|cryocare|isonet|deconv(?:olved)?)$", "TS_01_denoised"),
    Decoration("corrected", r"_(?i:(?:motion_?)?corrected)$", "TS_01_corrected"),
    Decoration("ctf", r"_(?i:ctf(?:_?corr)?)$", "TS_01_ctf"),
    Decoration("stack", r"_(?i:st|stack)$", "TS_01_st"),
    Decoration("filtered or turned", r"_(?i:filt(?:ered)?|flipped|rotx)$", "TS_01_flipped"),
    Decoration("movie", r"_(?i:fractions|frames|eer|patch)$", "TS_01_fractions"),
)
_DECORATED = re.compile("|".join(decoration.pattern for decoration in DECORATIONS))
# what there is beside the thing itself
_VARIANT = re.compile(
    r"_(?i:half_?[12ab]|evn|even|odd|ali|preali|aligned|(?:2nd|3rd|2dctf)_vol)(?=_|$)"
)
_OF_IMAGES = re.compile(r"_(?i:ali|preali|st|stack)$")
_OF_VOLUMES = re.compile(r"^rec_|_(?i:vol|rec)$")


def know_suffixes(suffixes: Iterable[str]) -> None:
    """Take these, with their dot, for suffixes of files from now on, in any thread."""
    _SUFFIXES.update(suffix.lower() for suffix in suffixes)


def strip_path_and_suffix(name: str) -> str:
    r"""Drop directories (of either kind of slash) and known file suffixes.

    Known are those of the formats, also of other packages' once they are registered or loaded,
    and of what programs write beside them. A name is never stripped to nothing.

    Examples
    --------
    >>> strip_path_and_suffix(r"X:\data\TS_01.mrc.mdoc"), strip_path_and_suffix("a/TS_01_10.0Apx")
    ('TS_01', 'TS_01_10.0Apx')
    """
    name = _SLASH.split(name.rstrip("\\/"))[-1] or name
    while True:
        stem, dot, suffix = name.rpartition(".")
        if not stem or dot + suffix.lower() not in _SUFFIXES:
            return name
        name = stem


def strip_decorations(name: str) -> str:
    """Drop directories, suffixes and all `DECORATIONS`, until nothing changes.

    A name is never stripped to nothing.

    Examples
    --------
    >>> strip_decorations("warp/rec_TS_01_10.00Apx.mrc"), strip_decorations("TS_01_ODD_Vol")
    ('TS_01', 'TS_01')
    """
    name = strip_path_and_suffix(name)
    while (shorter := strip_path_and_suffix(_DECORATED.sub("", name))) not in (name, ""):
        name = shorter
    return name


def is_variant(name: str) -> bool:
    """Whether a name is that of a half, even or odd frames, aligned images, or a further volume.

    Examples
    --------
    >>> is_variant("TS_01_ODD_Vol.mrc"), is_variant("TS_01_2ND_Vol"), is_variant("TS_01_Vol")
    (True, True, False)
    """
    return _VARIANT.search(strip_path_and_suffix(name)) is not None


def is_of_images(name: str) -> bool:
    """Whether a name is what programs call a stack of tilt images."""
    return _OF_IMAGES.search(strip_path_and_suffix(name)) is not None


def is_of_volumes(name: str) -> bool:
    """Whether a name is what programs call a reconstruction."""
    return _OF_VOLUMES.search(strip_path_and_suffix(name)) is not None


def read_name_map(path: str | PathLike[str]) -> dict[str, str]:
    """Read a table of two columns, ``name experiment``.

    Columns are separated by a comma, else a tab, else white space; ``#`` at the start of a line
    or after white space begins a comment. With commas, names may be quoted.

    Raises
    ------
    ReadError
        Naming the line that has not two columns, or gives a name a second experiment.
    """
    from pathlib import Path

    from .errors import ReadError

    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ReadError(f"expected UTF-8 text, found other bytes ({error})", path) from error
    names: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        content = re.split(r"(?:^|\s)#", line)[0].strip()
        if not content:
            continue
        columns = _columns(content)
        if len(columns) != 2 or "" in columns:
            raise ReadError(
                f"line {number}: expected two columns (name, experiment), "
                f"found {len(columns)}: {content!r}; names with spaces need a comma between them",
                path,
            )
        name, experiment = columns
        if names.setdefault(name, experiment) != experiment:
            found = f"{names[name]!r} and {experiment!r}"
            raise ReadError(
                f"line {number}: expected one experiment for {name!r}, found {found}", path
            )
    return names


def _columns(line: str) -> list[str]:
    if "," in line:
        import csv

        return [cell.strip() for cell in next(csv.reader([line], skipinitialspace=True))]
    return [cell.strip() for cell in line.split("\t")] if "\t" in line else line.split()


def spans(positions: Iterable[int]) -> str:
    """Write 0-based positions as ranges counted from 1.

    Examples
    --------
    >>> spans([0, 1, 6])
    '1–2, 7'
    """
    ranges: list[list[int]] = []
    for number in sorted(set(positions)):
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ", ".join(f"{a + 1}–{b + 1}" if b > a else f"{a + 1}" for a, b in ranges)
