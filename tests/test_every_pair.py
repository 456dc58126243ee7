"""Whatever can be read is given to every writer of its kind: written right, or refused in words.

Positions are compared in Å and orientations as matrices, between what was read and what the file
that was written reads to. The files are those of the tests, and, where they are, real ones and
cases beside the checkout, all cut to a few particles, tilts or pixels.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

import cryotypes as ct
from cryotypes.errors import CryotypesWarning, FormatError
from cryotypes.formats.shared.star import Block, write_star
from cryotypes.io import options_of
from cryotypes.registry import known_formats
from cryotypes.testing._subject import Subject

HERE = Path(__file__).parent
OWN = [HERE / "formats" / "rosetta", HERE / "cases"]
SHARED = HERE.parents[1] / "shared"
SPACING = 2.0
SIZE = (4000, 4000, 2000)
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
SIZES = ("rlnTomoSizeX", "rlnTomoSizeY", "rlnTomoSizeZ")
MOST = 4  # particles, tilts, pixels along an axis


def readable(root: Path) -> list[tuple[Path, str, Any]]:
    """Read every file below a directory with every format that recognises it; cut to a few."""
    result = []
    for path in sorted(p for p in root.rglob("*") if p.is_file() and p.suffix != ".py"):
        if "reliability" in path.parts:  # files that are there to be refused
            continue
        try:
            candidates = ct.io.candidates(path)
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
    if kind_of(data) == "image":
        corner = (slice(MOST),) * np.ndim(data.data)
        return replace(data, data=np.asarray(data.data[corner]))
    return data[data["experiment_id"] == data["experiment_id"].iloc[0]] if len(data) else data


def kind_of(data: Any) -> str:
    if isinstance(data, pd.DataFrame):
        return "projection_model"
    return "image" if hasattr(data, "stack") else "poses"


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
    stated = data.attrs if kind_of(data) == "projection_model" else {}
    asked = [name for name in options_of(format.write) if not stated.get(name)]
    known = {k: v for k, v in OPTIONS.items() if k in asked}
    refusals = []
    for form in forms(data):
        for options in ({}, known) if known else ({},):
            try:
                return form, ct.write(form, path, format=format.name, **options), refusals
            except (FormatError, OSError) as error:
                refusals.append(str(error))
            except ValueError as error:
                if "give " not in str(error) or "(--" not in str(error):  # not of an option
                    raise
                refusals.append(str(error))
    return None, None, refusals


def angstrom(data: list[Any]) -> np.ndarray:
    """Where particles are, in Å, in one table; in no particular order of experiments."""
    shifts = [0 if p.shift is None else p.shift for p in data]
    places = [np.asarray(p.position) + s for p, s in zip(data, shifts, strict=True)]
    scales = [p.pixel_spacing or SPACING for p in data]
    return np.concatenate([xyz * scale for xyz, scale in zip(places, scales, strict=True)])


def check_poses(found: list[Any], data: list[Any], format: Any) -> None:
    spacing = max(p.pixel_spacing or SPACING for p in data)
    here, there = angstrom(found), angstrom(data)
    tolerance = format.tolerance.get("position", 1e-6) * spacing
    tolerance *= max(1.0, np.abs(there).max(initial=0) / spacing / 1000)
    np.testing.assert_allclose(here, there, rtol=1e-6, atol=max(tolerance, 2e-3))
    if "orientation" in format.keeps and all(p.orientation is not None for p in data):
        matrices = [np.concatenate([p.orientation.as_matrix() for p in d]) for d in (found, data)]
        np.testing.assert_allclose(*matrices, atol=1e-4)


def check_model(found: Any, data: Any, format: Any, report: Any) -> None:
    told = {**report.converted, **report.lost}
    assert len(found) >= len(data)
    found = found.sort_values("rotation_y")
    for name in ("rotation_x", "rotation_y", "rotation_z", "dx", "dy"):
        if name not in told and len(found) == len(data):
            expected = data.sort_values("rotation_y")[name].to_numpy()
            kind = "rotation" if name.startswith("rotation") else "shift"
            tolerance = max(format.tolerance.get(kind, 0), 1e-3)
            difference = found[name].to_numpy() - expected
            if kind == "rotation":
                difference = (difference + 180) % 360 - 180
            assert np.abs(difference).max(initial=0) < tolerance, name


def check_image(found: Any, data: Any, report: Any) -> None:
    if not {"data", "dtype", "stack"} & {*report.converted, *report.lost}:
        np.testing.assert_allclose(np.asarray(found.data), np.asarray(data.data), rtol=1e-6)


def say_sizes(path: Path, data: list[Any]) -> None:
    """Write the tomograms.star that belongs to RELION's particles."""
    stated = {p.experiment_id: (p.metadata or {}).get("tomogram") for p in data}
    rows = [
        {
            "rlnTomoName": name,
            **dict(zip(SIZES, map(float, tomogram["dimensions"]), strict=True)),
            "rlnTomoTiltSeriesPixelSize": float(tomogram["pixel_spacing"]),
        }
        for name, tomogram in stated.items()
        if tomogram
    ]
    if rows:
        with path.open("wb") as file:
            write_star(file, [Block("global", pl.DataFrame(rows))])


def also_needed(data: Any, format: Any) -> dict[str, Any]:
    """Return what a reader of tilt series must be told where the file does not say it."""
    if kind_of(data) == "image":
        return {}
    size = data.attrs.get("tilt_image_dimensions") or {}
    size = next(iter(size.values()), None) if isinstance(size, dict) else size
    said = {
        "pixel_spacing": float(data["pixel_spacing"].iloc[0]) or SPACING,
        "tilt_image_dimensions": size or OPTIONS["tilt_image_dimensions"],
    }
    return {k: v for k, v in said.items() if k in options_of(format.read)}


def check_pair(source: tuple[Path, str, Any], format: Any, directory: Path) -> bool:
    path, name, data = source
    target = directory / f"{path.name.split('.')[0]}_{name}{format.suffixes[0]}"
    if format.name == "eman2-json":
        target = target.with_name(f"{target.stem}_info.json")
    written, report, refusals = write(data, target, format)
    for sentence in refusals:
        assert len(sentence.split()) > 4, sentence
    if written is None:
        assert not target.exists()
        return False
    told = {*report.kept, *report.assumed, *report.converted, *report.lost}
    assert "position" in told or "position" not in format.keeps
    if format.read is None:
        return True
    if format.kind != "poses":
        found = read(target, format, **also_needed(written, format))
        assert found is not None, "what was written cannot be read"
        if format.kind == "image":
            check_image(found, written, report)
        else:
            check_model(found, written, format, report)
        return True
    spacings = {p.pixel_spacing or SPACING for p in written}
    known = options_of(format.read)
    more: dict[str, Any] = {}
    if "pixel_spacing" not in format.keeps and "pixel_spacing" in known and len(spacings) == 1:
        more["pixel_spacing"] = next(iter(spacings))
    if format.name == "relion-star":
        say_sizes(target.with_name("tomograms.star"), written)
    elif "tomogram_dimensions" in known and "tomogram" in (written[0].metadata or {}):
        spacing, tomogram = written[0].pixel_spacing or SPACING, written[0].metadata["tomogram"]
        size = np.asarray(tomogram["dimensions"]) * tomogram["pixel_spacing"] / spacing
        more["tomogram_dimensions"] = np.rint(size).tolist()
        more |= {"tomogram_spacing": spacing} if "tomogram_spacing" in known else {}
    found = read(target, format, **more)
    assert found is not None, "what was written cannot be read"
    if len(spacings) > 1 and "pixel_spacing" not in format.keeps:  # pixels are all that is left
        found, written = ([replace(p, pixel_spacing=1) for p in ps] for ps in (found, written))
    check_poses(found, written, format)
    return True


def made(kind: str, directory: Path) -> None:
    """Write an example of the kind in every format."""
    for format in known_formats().values():
        if format.write is not None and format.kind == kind:
            subject = Subject(format, {}, {}, directory)
            data = next(iter(subject.cases().values()))
            path = directory / f"{format.name}{format.suffixes[0]}"
            known = {k: v for k, v in OPTIONS.items() if k in options_of(format.write)}
            with suppress(FormatError):
                ct.write(data, path, format=format.name, **known)


@pytest.mark.parametrize("kind", ["poses", "projection_model", "image"])
@pytest.mark.parametrize("where", ["tests", "cases", "data"])
def test_every_readable_file_and_every_writer(where, kind, tmp_path):
    roots = OWN if where == "tests" else [SHARED / where]
    if not roots[0].is_dir():
        pytest.skip(f"files are absent: {roots[0]} does not exist")
    writers = [f for f in known_formats().values() if f.write is not None and f.kind == kind]
    failures, wrote = [], set()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CryotypesWarning)
        if where == "tests" and kind != "poses":
            roots = [*OWN, tmp_path / "made"]
            roots[-1].mkdir()
            made(kind, roots[-1])
        sources = [s for root in roots for s in readable(root) if kind_of(s[2]) == kind]
        for number, source in enumerate(sources):
            for format in writers:
                directory = tmp_path / f"{number} {format.name}"
                directory.mkdir()
                try:
                    if check_pair(source, format, directory):
                        wrote.add(format.name)
                except Exception as error:
                    told = f"{type(error).__name__}: {error}"
                    failures.append(f"{source[0]} ({source[1]}) → {format.name}: {told}")
    assert not failures, "\n".join([f"{len(failures)} pairs", *failures])
    assert where != "tests" or wrote == {format.name for format in writers}


POSE_WRITERS = [
    f.name for f in known_formats().values() if f.kind == "poses" and f.write is not None
]


@pytest.mark.parametrize("name", POSE_WRITERS)
def test_metadata_that_lost_all_but_their_format(name, tmp_path):
    """As a PoseSet that went through another program, or was made by hand, may have."""
    poses = ct.PoseSet(np.array([[1.0, 2, 0]]), experiment_id="TS_01", pixel_spacing=2.0)
    poses.metadata = {"format": name, "ndim": "2D", "tomogram": "TS_01", "tomogram_numbers": [1]}
    format = known_formats()[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CryotypesWarning)
        _, report, refusals = write([poses], tmp_path / f"x{format.suffixes[0]}", format)
    assert report is not None or name == "m-star", refusals
