"""The files of one alignment in an etomo directory, whichever of them is named."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryotypes.errors import GuessWarning, ReadError
from cryotypes.formats.tilts._tilts import Stack, read_stack_header
from cryotypes.names import strip_path_and_suffix

from ._com import Com, read_com, read_edf

if TYPE_CHECKING:
    from pathlib import Path

# Transforms of the way to the alignment, not the alignment.
_EARLIER = re.compile(
    r".*(\.(prexf|prexg|tltxf|xg|rawxf)|_fid\.xf|_nonfid\.xf|\.fid\.xf)|rotation\.xf", re.IGNORECASE
)
_RAW_SUFFIXES = (".st", ".mrc", ".mrcs")


def is_earlier(path: Path) -> bool:
    """Tell transforms of a pre-alignment, and others that etomo writes on the way."""
    return _EARLIER.fullmatch(path.name) is not None


@dataclass(frozen=True)
class EtomoFiles:
    """The files of one alignment.

    Parameters
    ----------
    xf : Path
        The transforms.
    tilt, newst : Com, optional
        What tilt, and newstack or blendmont, were told.
    edf : dict
        etomo's own facts, where there are no command files.
    """

    xf: Path
    tilt: Com | None
    newst: Com | None
    edf: dict[str, str]

    @property
    def name(self) -> str:
        """The experiment."""
        return strip_path_and_suffix(self.xf.name)

    def beside(self, suffix: str) -> Path:
        """Return the path of a companion: ``_ali.mrc``, ``.tlt``."""
        return self.xf.with_name(_stem(self.xf) + suffix)

    def angles(self) -> Path:
        """Return the file of the tilt angles: what tilt.com names, else the .tlt of that name.

        Raises
        ------
        ReadError
            If there is none.
        """
        named = self.tilt.file("TILTFILE") if self.tilt is not None else None
        for path in (named, self.beside(".tlt")):
            if path is not None and path.is_file():
                return path
        raise ReadError(
            f"there are no tilt angles: {self.beside('.tlt')} does not exist; name the file with "
            "tilt_angles= (nominal angles, .rawtlt, are not those of the alignment)",
            self.xf,
        )

    def x_tilts(self) -> tuple[Path | None, bool]:
        """Return the file of the tilts about x, and whether tilt uses it."""
        named = self.tilt.file("XTILTFILE") if self.tilt is not None else None
        for path in (named, self.beside(".xtilt")):
            if path is not None and path.is_file():
                return path, self.tilt is None or named is not None
        if named is not None:
            raise ReadError(f"XTILTFILE: {named.name} is not in the directory", self.tilt.path)  # type: ignore[union-attr]
        return None, False

    def raw_stack(self) -> Stack | None:
        """Return the header of the raw stack, if it is there."""
        named = self.newst.file("INPUTFILE", "IMAGEINPUTFILE") if self.newst is not None else None
        paths = [named, *(self.beside(suffix) for suffix in _RAW_SUFFIXES)]
        return next((s for p in paths if p is not None and (s := read_stack_header(p))), None)

    def aligned_stack(self) -> Stack | None:
        """Return the header of the (binned) aligned stack, if it is there."""
        named = self.tilt.file("INPUTPROJECTIONS") if self.tilt is not None else None
        paths = [named, self.beside("_ali.mrc"), self.beside(".ali")]
        return next((s for p in paths if p is not None and (s := read_stack_header(p))), None)


def looks_like_etomo(folder: Path) -> bool:
    """Tell whether a directory holds an alignment."""
    return any(
        (path.suffix.lower() == ".xf" and not is_earlier(path))
        or (path.suffix.lower() == ".edf" and path.is_file())
        or path.name.lower() in ("tilt.com", "tilta.com")
        for path in folder.iterdir()
    )


def find(path: Path) -> list[EtomoFiles]:
    """Find all files of the alignments that a path stands for.

    Parameters
    ----------
    path : Path
        A directory, .xf, .edf, tilt.com, or what these names begin with.

    Raises
    ------
    ReadError
        If there is no final alignment.

    Warns
    -----
    GuessWarning
        Of transforms in a directory that are left out, since there are no angles for them.
    """
    suffix = path.suffix.lower()
    named = read_com(path, ("tilt",)) if suffix == ".com" and path.is_file() else None
    if path.is_dir():
        found = _all_in(path, path)
    elif suffix == ".edf":
        found = _named_by_edf(path) or _all_in(path.parent, path)
    elif suffix == ".com":
        xf = _named_by_com(path)
        found = [xf] if xf is not None else _all_in(path.parent, path)
    elif not path.exists():
        found = [path.with_name(path.name + ".xf")]
    else:
        found = [path]
    if is_earlier(found[0]):
        raise ReadError(
            "these transforms are not the final alignment (they belong to the pre-alignment or to "
            "the fiducials); read the .xf of the series, e.g. TS_01.xf",
            path,
        )
    return [_files_of(xf, named) for xf in found]


def _files_of(xf: Path, tilt: Com | None = None) -> EtomoFiles:
    edf = xf.with_name(_stem(xf) + ".edf")
    return EtomoFiles(
        xf,
        tilt or _com_of(xf, ("tilt",), "TILTFILE"),
        _com_of(xf, ("newst", "blend"), "TRANSFORMFILE"),
        read_edf(edf) if edf.is_file() else {},
    )


def _stem(xf: Path) -> str:
    return xf.name[:-3] if xf.suffix.lower() == ".xf" else xf.name


def _finals(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix.lower() == ".xf" and not is_earlier(p))


def _all_in(folder: Path, asked: Path) -> list[Path]:
    """Find the final transforms of all series in a directory: those that have tilt angles."""
    finals = _finals(folder)
    if len(finals) == 1:
        return finals
    whole = [xf for xf in finals if _has_angles(xf)]
    left_out = [xf.name for xf in finals if xf not in whole]
    if whole and left_out:
        warnings.warn(
            f"{folder}: there are no tilt angles for {_listed(left_out)}; assumed to be no "
            f"alignment of a series, and left out (name the file if it is)",
            GuessWarning,
            stacklevel=6,
        )
    if whole:
        return whole
    if finals:
        names = _listed([p.name for p in finals])
        raise ReadError(
            f"there are several alignments without tilt angles; name one of {names}", asked
        )
    tilts = sorted(folder.glob("*.tlt"))
    alone = f"; {tilts[0].name} holds the tilt angles alone" if tilts else ""
    raise ReadError(f"there is no final alignment (.xf) in this directory{alone}", asked)


def _listed(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _has_angles(xf: Path) -> bool:
    try:
        _files_of(xf).angles()
    except ReadError:
        return False
    return True


def _named_by_edf(path: Path) -> list[Path]:
    """Return the transforms of the data set's axes that are there."""
    facts = read_edf(path)
    name = facts.get("Setup.DatasetName", "") or _stem(path.with_suffix(".xf"))
    both = [xf for axis in "ab" if (xf := path.with_name(f"{name}{axis}.xf")).is_file()]
    if "dual" in facts.get("Setup.AxisType", "").lower() and both:
        return both
    xf = path.with_name(f"{name}.xf")
    return [xf] if xf.is_file() else []


def _named_by_com(path: Path) -> Path | None:
    com = read_com(path, ("tilt",))
    if com is None:
        raise ReadError("expected the commands of tilt ($tilt -StandardInput), found none", path)
    tilts = com.file("TILTFILE")
    xf = tilts.with_suffix(".xf") if tilts is not None else None
    own = path.with_name(re.sub(r"_tilt\.com$", ".xf", path.name, flags=re.IGNORECASE))
    return next((p for p in (own, xf) if p is not None and p != path and p.is_file()), None)


def _com_of(xf: Path, names: tuple[str, ...], keyword: str) -> Com | None:
    """Find the command file of a series: named after it, or etomo's own if it speaks of it."""
    stem, folder = _stem(xf), xf.parent
    axis = stem[-1:] if stem[-1:] in ("a", "b") else ""
    programs = {"tilt": "tilt", "newst": "newstack", "blend": "blendmont"}
    for pattern in ("{stem}_{name}.com", "{name}{axis}.com", "{name}.com"):
        for name in names:
            path = folder / pattern.format(stem=stem, name=name, axis=axis)
            com = read_com(path, (programs[name],)) if path.is_file() else None
            if com is None:
                continue
            named = com.file(keyword)
            speaks_of_it = named is not None and named.stem.lower() == stem.lower()
            if path.name.startswith(f"{stem}_") or speaks_of_it or len(_finals(folder)) == 1:
                return com
    return None
