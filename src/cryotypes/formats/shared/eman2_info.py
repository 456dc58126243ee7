"""EMAN2's ``info/<series>_info.json``, which holds boxes, alignments and more of a tilt series."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from cryotypes.errors import ReadError, WriteError
from cryotypes.names import strip_path_and_suffix

from .json_points import read_json, shown

if TYPE_CHECKING:
    from pathlib import Path


def experiment_of(path: Path) -> str:
    """Return the tomogram's name: that of the file, without ``_info``."""
    name = strip_path_and_suffix(path.name)
    return name.removesuffix("_info") or name


def read_info(path: Path, key: str) -> dict[str, Any]:
    """Read a file that must hold a list of this name.

    Raises
    ------
    ReadError
    """
    info = read_json(path, strict=False)
    if not isinstance(info, dict) or not isinstance(info.get(key), list):
        found = ", ".join(list(info)[:6]) if isinstance(info, dict) else type(info).__name__
        found = found or "an empty object"
        raise ReadError(f"expected an object with a list {key!r}, found {found}", path)
    return info


def replaced_info(path: Path) -> dict[str, Any]:
    """Return what is in the file that is to be overwritten; nothing if it is another."""
    if not path.exists():
        return {}
    try:
        info = read_json(path, strict=False)
    except ReadError:
        return {}
    return info if isinstance(info, dict) else {}


def unbinned_spacing(info: dict[str, Any], path: Path) -> float | None:
    """Return apix_unbin; some scripts write it as text."""
    if info.get("apix_unbin") is None:
        return None
    try:
        unbinned = float(info["apix_unbin"])
    except (TypeError, ValueError, OverflowError):
        unbinned = math.nan
    if not (math.isfinite(unbinned) and unbinned > 0):
        found = shown(info["apix_unbin"])
        raise ReadError(f"apix_unbin: expected Å per pixel, found {found}", path)
    return unbinned


def info_text(info: dict[str, Any], path: Path) -> bytes:
    """Return the text of the file, a line for each key.

    Raises
    ------
    WriteError
        If JSON cannot hold a value.
    """
    try:
        entries = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in info.items()]
    except (TypeError, ValueError) as error:
        raise WriteError(f"JSON cannot hold the file's other keys ({error})", path) from error
    return ("{\n" + ",\n".join(entries) + "\n}\n").encode()
