"""What a directory holds that some format reads."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from cryotypes.errors import AmbiguousFormatError, GuessWarning
from cryotypes.io import KINDS, candidates
from cryotypes.names import strip_decorations

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike

    from pandas import DataFrame

    from cryotypes.formats.shared.declaration import Format


H = TypeVar("H", int, str)


def contents(path: str | PathLike[str]) -> list[Path]:
    """List what can be read in a directory; a file, or a directory that is one thing, is itself.

    Directories in it count where they are one thing each, as etomo's are; others are not entered.

    Raises
    ------
    OSError
        Python's own, if the path is missing.
    IsADirectoryError
        If nothing in the directory is recognised.
    """
    path = Path(path)
    if not path.is_dir() or formats_in(path):
        return [path]
    found = [inner for inner in sorted(path.iterdir(), key=_natural) if formats_in(inner)]
    if not found:
        raise IsADirectoryError(
            f"{path} is a directory in which nothing is recognised; name a file in it"
        )
    return found


def told(paths: list[Path]) -> str:
    """List what a directory holds, by kind."""
    kinds: dict[str, list[str]] = {}
    for path in paths:
        for kind in dict.fromkeys(f.kind for f in formats_in(path)):
            kinds.setdefault(KINDS[kind], []).append(path.name)
    return "; ".join(
        f"{kind} ({', '.join(names[:5])}{', …' if len(names) > 5 else ''})"
        for kind, names in kinds.items()
    )


def without_alignment(found: Mapping[H, tuple[Path, DataFrame]]) -> set[H]:
    """Name what gives way where files of directories align one tilt series: a warning tells it.

    Nominal tilts give way to alignments, AreTomo's export for IMOD to its .aln, which is finer.

    Parameters
    ----------
    found : dict
        Anything → path and ProjectionModel.

    Raises
    ------
    AmbiguousFormatError
        If there are two alignments of one tilt series in a directory all the same.
    """
    by_name: dict[tuple[Path, str], list[H]] = {}
    for key, (path, model) in found.items():
        for name in model["experiment_id"].unique():
            by_name.setdefault((path.parent, strip_decorations(str(name))), []).append(key)
    left_out: dict[H, str] = {}
    for (directory, name), keys in by_name.items():
        rest = [key for key in keys if key not in left_out]
        for minor in (_is_nominal, _is_export):
            better = [key for key in rest if not minor(*found[key])]
            if better:
                text = f"{found[better[0]][0].name} is taken, which is the alignment itself"
                left_out |= {
                    key: f"{found[key][0]} is left out: {text}; name the file to have it"
                    for key in rest
                    if key not in better
                }
                rest = better
        if len(rest) > 1:
            listing = ", ".join(found[key][0].name for key in rest)
            raise AmbiguousFormatError(
                f"the directory holds {len(rest)} alignments of {name!r}: {listing}; name one",
                directory,
            )
    if left_out:
        more = f" (likewise {len(left_out) - 1} more)" if len(left_out) > 1 else ""
        warnings.warn(f"{next(iter(left_out.values()))}{more}", GuessWarning, stacklevel=3)
    return set(left_out)


def _is_nominal(_: Path, model: DataFrame) -> bool:
    """Whether there are tilts, but no alignment."""
    return not any(name in model and model[name].any() for name in ("dx", "dy"))


def _is_export(path: Path, _: DataFrame) -> bool:
    """Whether this is what AreTomo exports for IMOD."""
    return path.name.endswith("_Imod")


def formats_in(path: Path) -> list[Format]:
    """Return the formats that recognise a file or directory, none for what is hidden."""
    if path.name.startswith("."):
        return []
    try:
        return candidates(path)
    except (OSError, ValueError):
        return []


def _natural(path: Path) -> list[tuple[str, int]]:
    """TS_2 before TS_10."""
    return [(text, int(word or 0)) for text, word in re.findall(r"(\D*)(\d*)", path.name)]
