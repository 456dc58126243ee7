"""Move particles through every writable format and back, and print what became of them.

    python tools/round_trips.py PARTICLES.star [--markdown]

Needs no options beyond the file's own companions for RELION 5 tomography. Exits with 1 if a
format breaks its word: 1e-3 px for positions and 1e-3° for orientations, wherever it keeps them.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np

import cryotypes as ct
from cryotypes.errors import CryotypesError
from cryotypes.registry import known_formats

BOX = 64
ONE_EXPERIMENT = ("copick-json",)  # keeps the name of the only experiment in a file
CASES: list[tuple[str, dict[str, Any]]] = [
    *(("relion-star", {"dialect": name}) for name in ("3.0", "3.1", "4.0", "5.0", "warp")),
]


def cases() -> list[tuple[str, dict[str, Any]]]:
    """Name every writable pose format, RELION's dialects each."""
    known = [f for f in known_formats().values() if f.kind == "poses" and f.write and f.read]
    rest = [(f.name, {}) for f in sorted(known, key=lambda f: f.name) if f.name != "relion-star"]
    return [*CASES, *rest]


def options_for(name: str, direction: str, spacing: float, size: Any) -> dict[str, Any]:
    """Tell a format what no file of it states."""
    from cryotypes.io import options_of

    if name in ("csv", "parquet"):  # our own tables state everything
        return {}
    function = getattr(known_formats()[name], direction)
    answers = {
        "pixel_spacing": spacing,
        "tomogram_dimensions": size,
        "box_size": BOX,
        "whole_pixels": False,
        "micrograph_shape": (int(size[1]), int(size[0])),
    }
    known = options_of(function)
    return {option: value for option, value in answers.items() if option in known}


def errors(before: list[Any], after: list[Any]) -> tuple[float, float, bool]:
    """Return the largest errors (px, °), and whether the experiments are the same."""
    names = [p.experiment_id for p in before] == [p.experiment_id for p in after]
    place = turn = 0.0
    for a, b in zip(before, after, strict=True):
        ratio = b.pixel_spacing / a.pixel_spacing if b.pixel_spacing else 1.0
        difference = _center(a) - _center(b) * ratio
        place = max(place, float(np.abs(difference).max(initial=0)))
        if b.orientation is None:
            turn = float("nan")
        elif len(b.position):
            turn = max(
                turn, float(np.rad2deg((a.orientation.inv() * b.orientation).magnitude()).max())
            )
    return place, turn, names


def _center(poses: Any) -> Any:
    return np.asarray(poses.position) + (0 if poses.shift is None else np.asarray(poses.shift))


def journey(
    posesets: list[Any], name: str, options: dict[str, Any], folder: Path
) -> tuple[str, str, str, str]:
    """Go there and back; formats of one experiment take one file each."""
    format = known_formats()[name]
    size, spacing = tomogram(posesets[0])
    writing = {**options_for(name, "write", spacing, size), **options}
    reading = options_for(name, "read", spacing, size)
    one_a_file = "experiment_id" not in format.keeps or name in ONE_EXPERIMENT
    groups = [[p] for p in posesets] if one_a_file else [posesets]
    after: list[Any] = []
    lost: dict[str, str] = {}
    try:
        for group in groups:
            path = folder / f"{group[0].experiment_id}{format.suffixes[0]}"
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                report = ct.write(group, path, format=name, **writing)
                after += ct.read_poses(path, format=name, **reading)
            lost.update(report.lost)
    except CryotypesError as error:
        return "-", "-", "-", f"refused: {str(error).split(': ', 1)[-1]}"
    place, turn, names = errors(posesets, after)
    return (
        f"{place:.1e}",
        "none" if np.isnan(turn) else f"{turn:.1e}",
        "yes" if names else "no",
        ", ".join(lost) or "nothing",
    )


def tomogram(poses: Any) -> tuple[Any, float]:
    """Size in pixels of the particles, and their spacing."""
    size = (poses.metadata or {}).get("tomogram", {}).get("dimensions") or (4000, 4000, 2000)
    return tuple(float(v) for v in size), poses.pixel_spacing


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("particles", type=Path)
    parser.add_argument("--markdown", action="store_true")
    arguments = parser.parse_args()
    posesets = ct.read_poses(arguments.particles)
    broken = []
    rows = [("format", "position (px)", "orientation (°)", "experiments", "lost")]
    for name, options in cases():
        with tempfile.TemporaryDirectory() as folder:
            row = journey(posesets, name, options, Path(folder))
        label = " ".join([name, *options.values()])
        rows.append((label, *row))
        keeps = known_formats()[name].keeps
        if row[0] != "-" and float(row[0]) > 1e-3:
            broken.append(label)
        if row[1] not in ("-", "none") and float(row[1]) > 1e-3:
            broken.append(label)
        if "orientation" in keeps and row[1] == "none":
            broken.append(label)
    if arguments.markdown:
        rows.insert(1, ("---",) * 5)
        print("\n".join(f"| {' | '.join(row)} |" for row in rows))
    else:
        for row in rows:
            print("{:18} {:14} {:16} {:12} {}".format(*row))
    if broken:
        print("beyond 1e-3:", ", ".join(broken), file=sys.stderr)
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main())
