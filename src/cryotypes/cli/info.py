"""``cryotypes info``: what a file is, and what is unknown about it."""

from __future__ import annotations

import json
import math
import warnings
from typing import TYPE_CHECKING, Any

import click

from cryotypes.names import spans

from ._options import (
    FILE,
    ReadingCommand,
    check_known,
    formats_of,
    given,
    known_options,
    reading_options,
)
from ._words import complain, escaped, in_words_of_the_command_line, say

if TYPE_CHECKING:
    from pathlib import Path

_MOST = 20  # experiments listed one by one
_HEADINGS = {
    "experiment_id": "experiment",
    "pixel_spacing": "Å/px",
    "tilt_range": "tilt (°)",
    "tilt_axis": "axis (°)",
    "tomogram_dimensions": "tomogram (px)",
    "tilt_image_dimensions": "tilt images (px)",
}


@click.command(cls=ReadingCommand)
@click.argument("paths", nargs=-1, required=True, type=FILE)
@reading_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a thing.")
def info(
    paths: tuple[Path, ...],
    format_name: str | None,
    as_json: bool,
    others: dict[str, Any],
    **options: Any,
) -> None:
    """Say what PATHS are: kind, counts, pixel spacing, size, experiments, columns, unknowns."""
    from cryotypes.conversion import contents

    options = given(others, **options)
    found: list[dict[str, Any]] = []
    failed = False
    inner: list[Path] = []
    for path in paths:
        try:
            inner += contents(path) if format_name is None else [path]
        except OSError as error:
            failed = True
            complain(error)
    formats: dict[Path, list[str]] = {}
    for path in inner:
        try:
            formats[path] = formats_of(path, format_name)
        except (OSError, ValueError, LookupError) as error:
            failed = True
            complain(error)
    if formats:
        check_known([name for names in formats.values() for name in names], options)
    for path, names in formats.items():
        for name in names:  # one kind may be readable where another is not
            try:
                found.append(_read_one(path, name, options))
            except (OSError, ValueError, LookupError, ImportError) as error:
                failed = True
                complain(error)
    if as_json:
        say(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        for description in found:
            _show(description)
    if failed:
        raise SystemExit(1)


def _read_one(path: Path, name: str, options: dict[str, Any]) -> dict[str, Any]:
    """Read what one format sees in a file; warnings become doubts."""
    from cryotypes.io import read

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        things = read(path, format=name, **{k: options[k] for k in known_options([name], options)})
    told = (in_words_of_the_command_line(str(w.message)) for w in caught)
    doubts = list(dict.fromkeys(told))
    return {**_describe(path, things, doubts), "format": name}


def _describe(path: Path, things: list[Any], doubts: list[str]) -> dict[str, Any]:
    from cryotypes.image import ImageProtocol
    from cryotypes.poseset import PoseSetProtocol

    if isinstance(things[0], PoseSetProtocol):
        facts = _poses(things)
    elif isinstance(things[0], ImageProtocol):
        facts = _image(things[0])
    else:
        facts = _tilt_series(things[0])
    facts["unknown"] += doubts
    return {"path": str(path), **facts}


def _poses(posesets: list[Any]) -> dict[str, Any]:
    import numpy as np

    first = posesets[0]
    metadata = getattr(first, "metadata", None) or {}
    features = getattr(first, "features", None)
    position = np.concatenate([np.asarray(p.position) for p in posesets])
    experiments = [
        {
            "experiment_id": p.experiment_id,
            "particles": len(p.position),
            "pixel_spacing": p.pixel_spacing or None,
            "tomogram_dimensions": _size((p.metadata or {}).get("tomogram", {}).get("dimensions")),
        }
        for p in posesets
    ]
    unknown = []
    located = any((p.metadata or {}).get("located") is not False for p in posesets)
    if not located:
        unknown.append("positions: the file has none")
    if any(not p.pixel_spacing for p in posesets):
        unknown.append("pixel spacing: give --pixel-spacing")
    if first.orientation is None:
        unknown.append("orientation: the file has no angles")
    if (
        metadata.get("dialect")
        and metadata.get("ndim") == 3
        and not any(e["tomogram_dimensions"] for e in experiments)
    ):
        unknown.append("size of the tomograms")
    return {
        "kind": "poses",
        "format": None,
        "dialect": metadata.get("dialect"),
        "particles": len(position),
        "dimensions": metadata.get("ndim", 3),
        "shift": any(p.shift is not None for p in posesets),
        "orientation": any(p.orientation is not None for p in posesets),
        "position_range": _range(position) if located else None,
        "blocks": list(metadata.get("blocks", {})),
        "columns": metadata.get("labels") or ([] if features is None else list(features.columns)),
        "experiments": experiments,
        "unknown": unknown,
    }


def _tilt_series(model: Any) -> dict[str, Any]:
    from cryotypes.projectionmodel import dimensions_of

    experiments = []
    for name, rows in model.groupby("experiment_id", sort=False):
        spacing = float(rows["pixel_spacing"].iloc[0])
        tilt = rows["rotation_y"]
        entry: Any = model.attrs.get("excluded", {})
        excluded = entry.get(name, []) if isinstance(entry, dict) else entry
        experiments.append(
            {
                "experiment_id": name,
                "tilts": len(rows),
                "images": len(rows) + len(excluded) if len(excluded) else None,
                "excluded": [int(i) for i in excluded] or None,
                "tilt_range": [float(tilt.min()), float(tilt.max())],
                "tilt_axis": float(rows["rotation_z"].median()),
                "pixel_spacing": spacing or None,
                "tomogram_dimensions": _size(dimensions_of(model, "tomogram_dimensions", name)),
                "tilt_image_dimensions": _size(dimensions_of(model, "tilt_image_dimensions", name)),
            }
        )
    unknown = [
        text
        for key, text in (
            ("pixel_spacing", "pixel spacing of the tilt images: give --pixel-spacing"),
            ("tilt_image_dimensions", "size of the tilt images: they are not where the file says"),
            ("tomogram_dimensions", "size of the tomograms"),
        )
        if any(e[key] is None for e in experiments)
    ]
    return {
        "kind": "projection_model",
        "format": None,
        "tilts": len(model),
        "columns": list(model.columns),
        "experiments": experiments,
        "unknown": unknown,
    }


def _image(image: Any) -> dict[str, Any]:
    size = math.prod(image.data.shape) * image.data.dtype.itemsize  # a lazy array has no nbytes
    return {
        "kind": "image",
        "format": None,
        "experiment_id": image.experiment_id,
        "dimensions": list(image.data.shape[::-1]),
        "axes": "xyz"[: image.data.ndim],
        "stack": bool(image.stack),
        "dtype": str(image.data.dtype),
        "bytes": int(size),
        "pixel_spacing": image.pixel_spacing or None,
        "unknown": [] if image.pixel_spacing else ["pixel spacing: give --pixel-spacing"],
    }


def _size(value: Any) -> list[float] | None:
    return None if value is None else [int(v) if float(v).is_integer() else v for v in value]


def _range(position: Any) -> list[list[float]] | None:
    """Lowest and highest x, y, z."""
    if not len(position):
        return None
    return [[round(float(v), 3) for v in edge] for edge in (position.min(0), position.max(0))]


def _show(facts: dict[str, Any]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    console.print(f"[bold]{escaped(facts['path'])}[/bold]", soft_wrap=True)
    console.print(f"  {escaped(_headline(facts))}", soft_wrap=True)
    experiments = facts.get("experiments", [])
    if experiments:
        known = [key for key in experiments[0] if any(e[key] is not None for e in experiments)]
        names = [key for key in known if key != "images"]  # told with the tilts
        table = Table(box=box.SIMPLE, pad_edge=False)
        for name in names:
            numeric = isinstance(experiments[0][name], (int, float))
            justify: Any = "right" if numeric else "left"
            table.add_column(_HEADINGS.get(name, name.replace("_", " ")), justify=justify)
        for experiment in experiments[:_MOST]:
            table.add_row(*[escaped(_cell(experiment, name)) for name in names])
        console.print(table)
        if len(experiments) > _MOST:
            console.print(f"  … and {len(experiments) - _MOST} more experiments")
    if facts.get("columns"):
        console.print(f"  columns: {escaped(', '.join(facts['columns']))}", soft_wrap=True)
    for unknown in facts["unknown"]:
        console.print(f"  [yellow]unknown or doubtful:[/yellow] {escaped(unknown)}", soft_wrap=True)
    console.print()


def _headline(facts: dict[str, Any]) -> str:
    if facts["kind"] == "poses":
        dialect = f" {facts['dialect']}" if facts["dialect"] else ""
        has = [name for name in ("shift", "orientation") if facts[name]]
        lacking = facts["particles"] and facts["position_range"] is None
        least = "no positions" if lacking else "positions only"
        parts = [
            f"{facts['format']}{dialect}: {facts['particles']} particles "
            f"({facts['dimensions']}D) in {_count(len(facts['experiments']), 'experiment')}",
            f"with {' and '.join(has)}" if has else least,
        ]
        if facts["position_range"]:
            low, high = facts["position_range"]
            axes = zip("xyz", low, high, strict=True)
            ranges = ", ".join(f"{axis} {a:g}…{b:g}" for axis, a, b in axes)
            parts.append(f"positions {ranges} px")
        return "; ".join(parts)
    if facts["kind"] == "image":
        size = " × ".join(map(str, facts["dimensions"]))
        what = "stack of images" if facts["stack"] else ("volume", "image")[len(facts["axes"]) == 2]
        spacing = f"{facts['pixel_spacing']:g} Å/px" if facts["pixel_spacing"] else "Å/px unknown"
        return (
            f"{facts['format']}: {what}, {size} ({facts['axes']}), {facts['dtype']}, {spacing}, "
            f"{facts['bytes'] / 1e6:.1f} MB"
        )
    series = _count(len(facts["experiments"]), "tilt series", "tilt series")
    left_out = sum(len(e["excluded"] or []) for e in facts["experiments"])
    of = f" of {facts['tilts'] + left_out}" if left_out else ""
    excluded = ""
    if left_out and len(facts["experiments"]) == 1:
        excluded = f", excluded {spans(facts['experiments'][0]['excluded'])}"
    return f"{facts['format']}: {series}, {facts['tilts']}{of} tilt images{excluded}"


def _count(n: int, one: str, many: str = "") -> str:
    return f"{n} {one if n == 1 else many or one + 's'}"


def _cell(experiment: dict[str, Any], name: str) -> str:
    value = experiment[name]
    if name == "excluded":
        return spans(value) if value else "none"
    if name == "tilts" and experiment["images"]:
        return f"{value} of {experiment['images']}"
    if isinstance(value, list) and any(isinstance(v, float) for v in value):
        return " … ".join(f"{v:.1f}" for v in value)
    if isinstance(value, list):
        return " × ".join(map(str, value))
    if isinstance(value, float):
        return f"{value:.5g}"
    return "unknown" if value is None else str(value)
