"""Every built-in format keeps the contract, with the options that it needs."""

from __future__ import annotations

import importlib.util
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import cryotypes
from cryotypes import Image
from cryotypes.formats import BUILT_IN, Head
from cryotypes.names import strip_path_and_suffix
from cryotypes.registry import known_formats
from cryotypes.testing import check_format, zoo

SIZE = {"tomogram_dimensions": (1000, 1001, 301), "tomogram_spacing": 2.5}

# What must be told, because neither the zoo nor a file of this format knows it.
READ = {
    "cistem-par": {"pixel_spacing": 2.5},
    "m-star": {"pixel_spacing": 2.5},
    "eman2-json": {**SIZE, "pixel_spacing": 2.5},
    "cryosparc-cs": {"micrograph_shape": (1001, 1000)},
    "warp-tomostar": {"pixel_spacing": 2.5, "inverted": True},
    "relion4-tomograms": {"tilt_image_dimensions": (400, 300)},
}
WRITE = {
    "eman2-json": SIZE,
    "eman-box": {"box_size": 64, "whole_pixels": False},
    "cryolo-cbox": {"box_size": 64},
    "cryosparc-cs": {"micrograph_shape": (1001, 1000)},
    "ome-zarr": {"version": "0.5"},
}


def of_m() -> dict[str, list]:
    """M's particles are known by the hash of their tilt series."""
    samples = zoo()
    for posesets in samples.values():
        for poses in posesets:
            rows = pd.RangeIndex(len(poses)) if poses.features is None else poses.features.index
            features = pd.DataFrame(index=rows) if poses.features is None else poses.features
            poses.features = features.assign(wrpSourceHash="0123456789ABCDEF")
    return samples


# What is written instead of the zoo.
SAMPLES = {"m-star": of_m}
# Files of formats that are only read.
EXAMPLES = {"cistem-par": [Path(__file__).parent / "rosetta" / "cistem.par"]}
# Formats with dialects are tried in each: name, options of reading, options of writing.
HALF = {"imod_half_pixel": False}
ANGSTROM = {"offset_unit": "angstrom"}
FLIPPED = {"micrograph_shape": (1001, 1000), "flip_y": True}
DIALECTS = [
    ("relion-star", {}, {"dialect": "3.0"}),
    ("relion-star", {}, {"dialect": "3.1"}),
    ("relion-star", {}, {"dialect": "4.0"}),
    ("relion-star", SIZE, {"dialect": "5.0", **SIZE}),
    ("cryolo-cbox", {}, {"dialect": "text", "box_size": 64}),
    ("portal-ndjson", {"order": "zyx"}, {"order": "zyx"}),
    ("dynamo-tbl", {"corner_offset": 0.0}, {"corner_offset": 0.0}),
    ("motl-em", {"index_base": 0}, {"index_base": 0}),
    ("stopgap-star", {"index_base": 0}, {"index_base": 0}),
    ("cistem-star", {"first_pixel": 1}, {"first_pixel": 1}),
    ("imod-mod", HALF, HALF),
    ("peet-csv", HALF, HALF),
    ("cryolo-coords", {"imod_half_pixel": True}, {"imod_half_pixel": True}),
    ("cryosparc-cs", FLIPPED, FLIPPED),
    ("portal-alignment", {**ANGSTROM, "pixel_spacing": 2.5, "experiment_id": "TS_01"}, ANGSTROM),
    ("warp-tomostar", {"inverted": False, "pixel_spacing": 2.5}, {"inverted": False}),
    ("tiff", {"flip_y": False}, {"flip_y": False}),
    ("tiff", {}, {"compression": "deflate"}),  # not LZW: imagecodecs 2026.1 dies of damage in it
    ("ome-zarr", {}, {"version": "0.4"}),
]


def built_in() -> list[str]:
    modules = {f"cryotypes.formats.{module}" for module in BUILT_IN}
    known = known_formats().values()
    return [f.name for f in known if (f.read or f.write).__module__ in modules]


def skip_if_missing(needs) -> None:
    for package in needs:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"the optional package {package} is not installed")


@pytest.mark.parametrize("name", built_in())
def test_contract(name, tmp_path):
    format = known_formats()[name]
    skip_if_missing(format.needs)
    check_format(
        format,
        examples=EXAMPLES.get(name, ()),
        read_options=READ.get(name),
        write_options=WRITE.get(name),
        samples=SAMPLES.get(name, zoo)() if format.kind == "poses" else None,
        directory=tmp_path,
    )


@pytest.mark.parametrize(
    ("name", "reading", "writing"),
    DIALECTS,
    ids=[f"{n}-{next(iter(w))}-{next(iter(w.values()))}" for n, _, w in DIALECTS],
)
def test_contract_of_dialects(name, reading, writing, tmp_path):
    format = known_formats()[name]
    skip_if_missing(format.needs)
    samples = zoo() if format.kind == "poses" else None
    if samples and name == "cryolo-cbox":
        del samples["numbers and text"]  # the old text has none of the columns that STAR keeps
    check_format(
        format,
        read_options=reading,
        write_options=writing,
        samples=samples,
        directory=tmp_path,
    )


IMAGES = [f.name for f in known_formats().values() if f.kind == "image" and f.write is not None]


@pytest.mark.filterwarnings("ignore::cryotypes.errors.GuessWarning")  # 1 Å may mean unknown
@pytest.mark.parametrize("name", [n for n in IMAGES if "pixel_spacing" in known_formats()[n].keeps])
def test_pixel_spacing_is_kept_to_a_millionth(name, tmp_path):
    """Whatever tolerance the format states; along an odd number of pixels."""
    skip_if_missing(known_formats()[name].needs)
    data = np.zeros((3, 7, 463), np.int8)
    for spacing in (*np.geomspace(0.05, 5000, 30).tolist(), 1.0, 1.3333333, 0.834, 13.79):
        path = tmp_path / f"TS_01{known_formats()[name].suffixes[0]}"
        report = cryotypes.write(Image(data, "TS_01", spacing), path, overwrite=True)
        assert not report.lost
        again = cryotypes.read_image(path)
        assert again.pixel_spacing == pytest.approx(spacing, rel=1e-6, abs=0)


def test_names_of_files_lose_every_suffix():
    """An experiment that is called like its file is not called like a file."""
    for name in built_in():
        for suffix in known_formats()[name].suffixes:
            if suffix not in (".txt", ".pos"):  # of anything
                assert strip_path_and_suffix(f"TS_01{suffix}") == "TS_01", name


def test_formats_that_are_only_read_have_examples():
    """There is nothing else to try them on."""
    poses = [f for f in map(known_formats().get, built_in()) if f.kind == "poses"]
    assert {f.name for f in poses if f.write is None} == set(EXAMPLES)


def test_all_modules_are_tested():
    """A module that BUILT_IN names is a format here."""
    assert len(built_in()) == len(BUILT_IN)


def test_optional_packages_can_be_installed_by_an_extra():
    """Whatever a format needs is in pyproject's extras; the error message names one."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    listed = {line.split(">")[0].split("[")[0] for lines in extras.values() for line in lines}
    for name in built_in():
        assert set(known_formats()[name].needs) <= listed, name


def test_real_files_are_claimed_once(shared_data):
    """By one format of a kind at most; an optimisation set names particles and tilt series."""
    for path in (p for p in shared_data.rglob("*") if p.is_file()):
        head = Head.of(path)
        known = [known_formats()[name] for name in built_in()]
        found = [f for f in known if f.sniff is not None and f.sniff(head)]
        kinds = [f.kind for f in found]
        assert len(set(kinds)) == len(kinds), (path, [f.name for f in found])
