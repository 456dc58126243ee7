"""Whatever can be read is given to every writer of its kind: written right, or refused in words.

Positions are compared in Å and orientations as matrices, between what was read and what the file
that was written reads to. The files are those of the tests, and, where they are, real ones and
cases beside the checkout, all cut to a few particles, tilts or pixels.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import cryotypes as ct
from cryotypes.errors import CryotypesWarning, FormatError
from cryotypes.formats._star import Block, write_star
from cryotypes.io import options_of
from cryotypes.registry import formats

HERE = Path(__file__).parent
SHARED = HERE.parents[1] / "shared"
SPACING = 2.0
SIZE = (4000, 4000, 2000)
SIZE_LABELS = ("rlnTomoSizeX", "rlnTomoSizeY", "rlnTomoSizeZ")
OPTIONS = {  # what files do not tell, where the format asks
    "pixel_spacing": SPACING,
    "tomogram_dimensions": SIZE,
    "tomogram_spacing": SPACING,
    "tilt_image_dimensions": (4000, 4000),
    "micrograph_shape": (4000, 4000),
    "box_size": 32,
    "tilt_axis_angle": 85.0,
    "whole_pixels": False,
}
MOST = 4  # particles, tilts, pixels along an axis


def roots() -> dict[str, list[Path]]:
    """Return the directories with files, by the name of the test's parameter."""
    found = {"tests": [HERE / "formats" / "rosetta", HERE / "cases"]}
    found["cases"] = [SHARED / "cases" / kind for kind in ("poses", "alignments", "images")]
    found["data"] = [SHARED / "data"]
    return found


@cache
def readable(root: Path) -> list[tuple[Path, str, Any]]:
    """Read every file below a directory with every format that recognises it; cut to a few."""
    result = []
    for path in sorted(p for p in root.rglob("*") if p.is_file() and p.suffix != ".py"):
        try:
            candidates = ct.io._candidates(path)
        except (FormatError, OSError):
            continue
        for format in candidates:
            data = read(path, format)
            few = None if data is None else cut(data)
            if kind_of(few) == "image" or (few is not None and len(few)):
                result.append((path, format.name, few))
    return result


def read(path: Path, format: Any, **more: Any) -> Any:
    """Read as it is, else with what the file does not tell; None if it is refused."""
    reading = {"poses": ct.read_poses, "image": ct.read_image}.get(
        format.kind, ct.read_projection_model
    )
    known = {k: v for k, v in OPTIONS.items() if k in options_of(format.read)}
    for options in ({}, known):
        try:
            return reading(path, format=format.name, **{**options, **more})
        except (FormatError, OSError):
            continue
    return None


def cut(data: Any) -> Any:
    """Leave a few particles of two experiments, a few tilts of one, or the corner of an image."""
    if isinstance(data, list):
        few = [poses[: min(MOST, len(poses.position))] for poses in data]
        return [poses for poses in few if len(poses.position)][:2]
    if hasattr(data, "data") and hasattr(data, "stack"):
        corner = (slice(MOST),) * np.ndim(data.data)
        return replace(data, data=np.asarray(data.data[corner]))
    return data[data["experiment_id"] == data["experiment_id"].iloc[0]] if len(data) else data


def kind_of(data: Any) -> str:
    if data is None or isinstance(data, list):
        return "poses"
    return "image" if hasattr(data, "stack") else "projection_model"


def forms(data: Any) -> Iterator[Any]:
    """Yield data as they were read, then with all that a format may need to know."""
    yield data
    if kind_of(data) != "poses":
        return
    known = [_known(poses) for poses in data]
    yield known
    yield known[:1]
    yield [_flat(poses) for poses in known[:1]]


def _known(poses: Any) -> Any:
    spacing = poses.pixel_spacing or SPACING
    tomogram = {"dimensions": SIZE, "pixel_spacing": spacing}
    metadata = {"tomogram": tomogram, **(poses.metadata or {})}
    return replace(poses, pixel_spacing=spacing, metadata=metadata)


def _flat(poses: Any) -> Any:
    shift = None if poses.shift is None else poses.shift * [1, 1, 0]
    return replace(poses, position=poses.position * [1, 1, 0], shift=shift)


def write(data: Any, path: Path, format: Any) -> tuple[Any, Any, list[str]]:
    """Write the richest form that the format takes: what was written, the report, refusals."""
    known = {k: v for k, v in OPTIONS.items() if k in options_of(format.write)}
    refusals = []
    for form in forms(data):
        for options in ({}, known) if known else ({},):
            try:
                return form, ct.write(form, path, format=format.name, **options), refusals
            except (FormatError, OSError) as error:
                refusals.append(str(error))
    return None, None, refusals


def angstrom(data: list[Any]) -> np.ndarray:
    """Where particles are, in Å, in one table; in no particular order of experiments."""
    places = [
        (np.asarray(p.position) + (0 if p.shift is None else p.shift))
        * (p.pixel_spacing or SPACING)
        for p in data
    ]
    return np.concatenate(places)


def check_poses(found: list[Any], data: list[Any], format: Any) -> None:
    spacing = max(p.pixel_spacing or SPACING for p in data)
    tolerance = format.tolerance.get("position", 1e-6) * spacing
    here, there = angstrom(found), angstrom(data)
    tolerance *= max(1.0, np.abs(there).max(initial=0) / spacing / 1000)
    np.testing.assert_allclose(here, there, rtol=1e-6, atol=max(tolerance, 2e-3))
    if "orientation" in format.keeps and all(p.orientation is not None for p in data):
        matrices = [np.concatenate([p.orientation.as_matrix() for p in d]) for d in (found, data)]
        np.testing.assert_allclose(*matrices, atol=1e-4)


def say_sizes(path: Path, data: list[Any]) -> None:
    """Write the tomograms.star that belongs to RELION's particles."""
    known = {
        p.experiment_id: p.metadata["tomogram"] for p in data if "tomogram" in (p.metadata or {})
    }
    rows = [
        {
            "rlnTomoName": name,
            **{
                f"rlnTomoSize{x}": float(n)
                for x, n in zip("XYZ", tomogram["dimensions"], strict=True)
            },
            "rlnTomoTiltSeriesPixelSize": float(tomogram["pixel_spacing"]),
        }
        for name, tomogram in known.items()
    ]
    if rows:
        with path.open("wb") as file:
            write_star(file, [Block("global", pl.DataFrame(rows))])


def check_pair(source: tuple[Path, str, Any], format: Any, directory: Path) -> None:
    path, name, data = source
    target = directory / f"{path.name.split('.')[0]}_{name}{format.suffixes[0]}"
    if format.name == "eman2-json":
        target = target.with_name(f"{target.stem}_info.json")
    written, report, refusals = write(data, target, format)
    for sentence in refusals:
        assert len(sentence.split()) > 4, sentence
    if written is None:
        assert not target.exists()
        return
    told = {*report.kept, *report.assumed, *report.converted, *report.lost}
    assert "position" in told or "position" not in format.keeps
    if format.kind != "poses":
        return
    spacings = {p.pixel_spacing or SPACING for p in written}
    if len(spacings) > 1 and "pixel_spacing" not in format.keeps:
        assert "pixel_spacing" in report.lost
        return  # pixels of several sizes in one file: there are no Å to compare
    known = options_of(format.read)
    more: dict[str, Any] = {}
    if "pixel_spacing" not in format.keeps and "pixel_spacing" in known and len(spacings) == 1:
        more["pixel_spacing"] = spacings.pop()
    if format.name == "relion-star":
        say_sizes(target.with_name("tomograms.star"), written)
    elif "tomogram_dimensions" in known and "tomogram" in (written[0].metadata or {}):
        spacing, tomogram = written[0].pixel_spacing or SPACING, written[0].metadata["tomogram"]
        size = np.asarray(tomogram["dimensions"]) * tomogram["pixel_spacing"] / spacing
        more["tomogram_dimensions"] = np.rint(size).tolist()
        more |= {"tomogram_spacing": spacing} if "tomogram_spacing" in known else {}
    found = read(target, format, **more)
    assert found is not None, "what was written cannot be read"
    check_poses(found, written, format)


@pytest.mark.parametrize("kind", ["poses", "projection_model", "image"])
@pytest.mark.parametrize("where", list(roots()))
def test_every_readable_file_and_every_writer(where, kind, tmp_path):
    for root in roots()[where]:
        if not root.is_dir():
            pytest.skip(f"files are absent: {root} does not exist")
    writers = [f for f in formats().values() if f.write is not None and f.kind == kind]
    failures = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CryotypesWarning)
        sources = [s for root in roots()[where] for s in readable(root) if kind_of(s[2]) == kind]
        for number, source in enumerate(sources):
            for format in writers:
                directory = tmp_path / f"{number} {format.name}"
                directory.mkdir()
                try:
                    check_pair(source, format, directory)
                except Exception as error:
                    told = f"{type(error).__name__}: {error}"
                    failures.append(f"{source[0]} ({source[1]}) → {format.name}: {told}")
    assert not failures, "\n".join([f"{len(failures)} pairs", *failures])
