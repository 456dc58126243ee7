"""What the metadata of OME-Zarr say: levels, axes, scales; damaged ones are a ReadError.

Version 0.6 names coordinate systems: each level leads to the same one, by a scale or a sequence of
scale and translation. What leads on to further systems, rotations among it, does not count here,
unless the first counts array indices, and a scale leads on to lengths.
https://ngff.openmicroscopy.org/0.4/, https://ngff.openmicroscopy.org/0.5/, and 0.6
"""

from __future__ import annotations

import json
import math
import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from cryotypes.errors import ReadError

ANGSTROM = {
    "angstrom": 1.0,
    "picometer": 1e-2,
    "nanometer": 10.0,
    "micrometer": 1e4,
    "millimeter": 1e7,
    "meter": 1e10,
}
FILES = {3: "zarr.json", 2: ".zattrs"}  # zarr's version: where a group has its attributes
_MARKS = ("zarr.json", ".zattrs", ".zgroup", ".zarray")
_OURS = re.compile(r"\d+|c|zarr\.json|\.z(attrs|group|array|metadata)")  # levels, chunks, metadata
_EARLIEST = ("t", "c", "z", "y", "x")  # versions 0.1 and 0.2 state no axes
_MOST = 1 << 24  # bytes of metadata that are looked at


@dataclass(frozen=True)
class Axis:
    """One axis of an array: its name, whether it is spatial, its unit as stated."""

    name: str
    spatial: bool
    unit: str | None


@dataclass(frozen=True)
class Level:
    """One resolution: where the array is, and the scale and translation of each axis, if stated."""

    path: str
    scale: list[float] | None
    translation: list[float] | None


@dataclass(frozen=True)
class Multiscales:
    """The first image of a group.

    ``note`` is what cryotypes wrote beside it, ``doubt`` what speaks against the scales.
    """

    zarr_format: int
    version: str
    axes: list[Axis] | None
    levels: list[Level]
    stated: dict[str, Any]
    note: dict[str, Any]
    doubt: str = ""


def is_zarr(path: Path) -> bool:
    """Whether a directory has the metadata of a zarr group or array."""
    return any((path / name).is_file() for name in _MARKS)


def is_ours(path: Path) -> bool:
    """Whether a directory is empty, or an image that cryotypes wrote and nothing else."""
    inner = [name for _, folders, files in os.walk(path) for name in (*folders, *files)]
    if not inner:
        return True
    try:
        return bool(load(path).note) and all(map(_OURS.fullmatch, inner))
    except (ReadError, OSError):
        return False


def mentions_multiscales(path: Path) -> bool:
    """Whether the attributes of a directory name multiscales, damaged or not."""
    return any(b"multiscales" in _content(path / name) for name in FILES.values())


def _content(path: Path) -> bytes:
    if not path.is_file():
        return b""
    with path.open("rb") as file:
        return file.read(_MOST)


def load(path: Path) -> Multiscales:
    """Read the metadata of a directory.

    Raises
    ------
    OSError
        Python's own, if they cannot be read.
    ReadError
        If they are damaged, or not those of an OME-Zarr image.
    """
    for zarr_format, name in FILES.items():
        if (path / name).is_file():
            attributes = _object(_json(path / name), name, path)
            ome = attributes
            if zarr_format == 3:
                attributes = _object(attributes.get("attributes", {}), "attributes", path)
                ome = _object(attributes.get("ome", attributes), "attributes.ome", path)
            if "multiscales" in ome:
                return _parse(zarr_format, ome, attributes, path)
    raise ReadError(
        "expected an OME-Zarr image ('multiscales' in .zattrs or zarr.json), found none", path
    )


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ReadError(f"{path.name} is damaged ({error})", path.parent) from error


def _parse(
    zarr_format: int, ome: dict[str, Any], attributes: dict[str, Any], path: Path
) -> Multiscales:
    first = _object(_list(ome["multiscales"], "multiscales", path)[0], "multiscales[0]", path)
    axes: list[Axis] | None
    if "coordinateSystems" in first:
        axes, outer_scale, doubt = _system(first, path)
    else:
        outer = first.get("coordinateTransformations")
        outer_scale, _ = _transformations(outer, "multiscales[0]", path)
        axes, doubt = _axes(first["axes"], path) if "axes" in first else None, ""
    note = attributes.get("cryotypes")
    return Multiscales(
        zarr_format=zarr_format,
        version=str(ome.get("version", first.get("version", "unknown"))),
        axes=axes,
        levels=[
            _level(dataset, f"datasets[{i}]", outer_scale, path)
            for i, dataset in enumerate(_list(first.get("datasets"), "datasets", path))
        ],
        stated=first,
        note=note if isinstance(note, dict) else {},
        doubt=doubt,
    )


def _system(first: dict[str, Any], path: Path) -> tuple[list[Axis], list[float] | None, str]:
    """Choose a coordinate system (0.6): axes, a scale beside those of the levels, and a doubt.

    It is that to which all levels lead, or, if its units are no lengths, one that a scale leads on
    to.
    """
    names = set()
    for i, dataset in enumerate(_list(first.get("datasets"), "datasets", path)):
        what = f"datasets[{i}]"
        entries = _object(dataset, what, path).get("coordinateTransformations")
        for entry in _list(entries, f"{what}.coordinateTransformations", path):
            names.add(_end(_object(entry, what, path), "output"))
    systems = {}
    for found in _list(first["coordinateSystems"], "coordinateSystems", path):
        one = _object(found, "coordinateSystems", path)
        systems[str(one.get("name"))] = _axes(one.get("axes"), path)
    start = names.pop() if len(names) == 1 else ""
    if start not in systems:
        listing = ", ".join(sorted(names | {start})).strip(", ") or "none"
        raise ReadError(
            f"expected levels that all lead to one of the coordinateSystems, found {listing}", path
        )
    scales = {start: None, **_onward(first, start, systems, path)}
    lengths = {name: _lengths(systems[name], scales[name]) for name in scales}
    chosen = next((name for name in scales if lengths[name]), start)
    differ = [n for n, found in lengths.items() if found and not _same(found, lengths[chosen])]
    doubt = f"the scales to {chosen!r} and {differ[0]!r} differ" if differ else ""
    return systems[chosen], scales[chosen], doubt


def _onward(
    first: dict[str, Any], start: str, systems: dict[str, list[Axis]], path: Path
) -> dict[str, list[float] | None]:
    """Return the scales that lead from a system to others; no others among the ways."""
    scales = {}
    what = "coordinateTransformations"
    for entry in _list(first[what], what, path) if first.get(what) is not None else []:
        one = _object(entry, what, path)
        end, steps = _end(one, "output"), _flat([one], what, path)
        plain = all(step.get("type") in ("identity", "scale", "translation") for step in steps)
        if plain and _end(one, "input") == start and end in systems and end != start:
            scales[end] = _transformations([one], "multiscales[0]", path)[0]
    return scales


def _end(entry: dict[str, Any], which: str) -> str:
    found = entry.get(which)
    return str(found.get("name") if isinstance(found, dict) else found)


def _lengths(axes: list[Axis], scale: list[float] | None) -> list[float]:
    """Return Å for a step along each spatial axis; none if that is not known."""
    units = [ANGSTROM.get((axis.unit or "").lower(), 0.0) for axis in axes if axis.spatial]
    if len(units) < 2 or 0 in units or (scale is not None and len(scale) != len(axes)):
        return []
    factors = [f for f, a in zip(scale or [1.0] * len(axes), axes, strict=True) if a.spatial]
    return [unit * factor for unit, factor in zip(units, factors, strict=True)]


def _same(a: list[float], b: list[float]) -> bool:
    pairs = zip(a, b, strict=False)
    return len(a) == len(b) and all(math.isclose(x, y, rel_tol=1e-3) for x, y in pairs)


def _level(found: Any, what: str, outer: list[float] | None, path: Path) -> Level:
    dataset = _object(found, what, path)
    name = dataset.get("path")
    if not isinstance(name, str) or "\0" in name:
        raise ReadError(f"{what}: expected a path, found {name!r}", path)
    parts = PurePosixPath(name)
    if parts.is_absolute() or ".." in parts.parts or "\\" in name:
        raise ReadError(f"{what}: expected a path inside the directory, found {name!r}", path)
    scale, translation = _transformations(dataset.get("coordinateTransformations"), what, path)
    return Level(name, _product(scale, outer, what, path), translation)


def _transformations(
    found: Any, what: str, path: Path
) -> tuple[list[float] | None, list[float] | None]:
    """Return the product of the scales, and the last translation."""
    scale: list[float] | None = None
    translation: list[float] | None = None
    what = f"{what}.coordinateTransformations"
    for entry in [] if found is None else _flat(_list(found, what, path), what, path):
        kind = entry.get("type")
        if kind == "scale":
            factors = _numbers(entry, "scale", what, path)
            scale = _product(scale, factors, what, path)
            if translation is not None:
                translation = _product(translation, factors, what, path)
        elif kind == "translation":
            translation = _numbers(entry, "translation", what, path)
        elif kind != "identity":
            raise ReadError(
                f"{what}: expected scale or translation, found {kind!r}, which is not applied to "
                "images here; resample it first",
                path,
            )
    return scale, translation


def _flat(found: list[Any], what: str, path: Path) -> list[dict[str, Any]]:
    """Return transformations one after the other, those of sequences (0.6) in their place."""
    flat: list[dict[str, Any]] = []
    for entry in found:
        one = _object(entry, what, path)
        if one.get("type") == "sequence":
            parts = _list(one.get("transformations"), f"{what}.transformations", path)
            flat += [_object(part, what, path) for part in parts]
        else:
            flat.append(one)
    return flat


def _product(
    a: list[float] | None, b: list[float] | None, what: str, path: Path
) -> list[float] | None:
    if a is None or b is None:
        return a if b is None else b
    if len(a) != len(b):
        raise ReadError(f"{what}: scales of {len(a)} and of {len(b)} axes", path)
    return [x * y for x, y in zip(a, b, strict=True)]


def _numbers(entry: dict[str, Any], key: str, what: str, path: Path) -> list[float]:
    values = _list(entry.get(key), f"{what}.{key}", path)
    if any(isinstance(v, bool) or not isinstance(v, (int, float)) for v in values):
        raise ReadError(f"{what}.{key}: expected numbers, found {values!r}", path)
    try:
        numbers = [float(v) for v in values]
    except OverflowError:
        numbers = [math.inf]
    if not all(math.isfinite(v) for v in numbers):
        raise ReadError(f"{what}.{key}: expected finite numbers", path)
    return numbers


def _axes(found: Any, path: Path) -> list[Axis]:
    axes = [_axis(entry, f"axes[{i}]", path) for i, entry in enumerate(_list(found, "axes", path))]
    names = [axis.name for axis in axes]
    if len(set(names)) < len(names):
        raise ReadError(f"expected axes of different names, found {', '.join(names)}", path)
    return axes


def _axis(found: Any, what: str, path: Path) -> Axis:
    entry = {"name": found} if isinstance(found, str) else _object(found, what, path)
    name, unit = entry.get("name"), entry.get("unit")
    if not isinstance(name, str) or not (unit is None or isinstance(unit, str)):
        raise ReadError(f"{what}: expected a name and a unit, found {found!r}", path)
    spatial = name in ("z", "y", "x") and entry.get("type") in ("space", None)
    return Axis(name, spatial, unit)


def axes_for(metadata: Multiscales, ndim: int, path: Path) -> list[Axis]:
    """Return an axis for each dimension of an array.

    Raises
    ------
    ReadError
        If metadata and array differ.
    """
    axes = metadata.axes
    if axes is None:
        axes = [Axis(name, name in "zyx", None) for name in _EARLIEST]
    if len(axes) != ndim:
        names = ", ".join(axis.name for axis in axes)
        raise ReadError(f"expected {len(axes)} dimensions ({names}), found {ndim}", path)
    return axes


def _object(found: Any, what: str, path: Path) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise ReadError(f"{what}: expected an object, found {type(found).__name__}", path)
    return found


def _list(found: Any, what: str, path: Path) -> list[Any]:
    if not isinstance(found, list) or not found:
        raise ReadError(f"{what}: expected a list that is not empty, found {found!r:.80}", path)
    return found
