"""The simulated tilt series goes through every alignment format, and is measured on its images.

What a format cannot hold is told in pixels; everything else must still be where the images show it.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import cryotypes as ct
from cryotypes.demo import run_demo
from cryotypes.demo._measure import measure_tilts
from cryotypes.io import options_of
from cryotypes.registry import known_formats

WRITABLE = sorted(
    f.name for f in known_formats().values() if f.kind == "projection_model" and f.write and f.read
)
# The largest change of a projected position that a format's rounding makes, in pixels: degrees
# to two decimals (AreTomo), numbers to three or six, or as exact as can be.
ROUNDING = {"aretomo-aln": 0.01, "imod-xf": 2e-3}
# Formats without a tilt about x; of the demo's 1.5° they must say that it is lost.
NO_X_TILT = {"aretomo-aln", "warp-tomostar"}
# Formats of nominal angles alone, or without shifts.
NOMINAL = {"warp-tomostar"}


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    run_demo(folder / "demo", report=lambda line: None)
    return folder / "demo"


def parts(demo):
    """Poses, model and images of the first series."""
    poses = ct.read_poses(demo / "particles.star")[0]
    model = ct.read_projection_model(demo / "tomograms.star")
    attrs = model.attrs
    model = model[model["experiment_id"] == poses.experiment_id].reset_index(drop=True)
    model.attrs = attrs
    images = ct.read_image(demo / "tilt_series" / f"{poses.experiment_id}.mrcs")
    return poses, model, images


def options(name, direction, model, images):
    answers = {
        "pixel_spacing": 5.0,
        "tilt_image_dimensions": images.data.shape[:0:-1],
        "tomogram_dimensions": model.attrs["tomogram_dimensions"]["TS_01"],
        "alignment_format": "IMOD",
        "inverted": True,
    }
    known = options_of(getattr(known_formats()[name], direction))
    return {option: answers[option] for option in answers if option in known}


def there_and_back(name, model, images, folder):
    path = folder / f"TS_01{known_formats()[name].suffixes[0]}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        report = ct.write(model, path, format=name, **options(name, "write", model, images))
        again = ct.read_projection_model(path, format=name, **options(name, "read", model, images))
    return report, again


@pytest.mark.parametrize("name", WRITABLE)
def test_particles_stay_where_the_images_show_them(demo, name, tmp_path):
    poses, model, images = parts(demo)
    if name in NO_X_TILT:
        report, _ = there_and_back(name, model, images, tmp_path)
        assert "rotation_x" in report.lost
        (tmp_path / "flat").mkdir()
        tmp_path = tmp_path / "flat"
        model = model.assign(rotation_x=0.0)
    if name in NOMINAL:
        pytest.skip(f"{name} holds nominal angles, and says so")
    _, again = there_and_back(name, model, images, tmp_path)
    size = {
        "tomogram_dimensions": model.attrs["tomogram_dimensions"]["TS_01"],
        "tilt_image_dimensions": images.data.shape[:0:-1],
    }
    before, after = ct.project(poses, model, **size), ct.project(poses, again, **size)
    # formats may sort the images
    order = [int(np.abs(model["rotation_y"] - tilt).argmin()) for tilt in again["rotation_y"]]
    assert sorted(order) == list(range(len(model)))
    moved = np.abs(after.position - before.position[order]).max()
    assert moved < ROUNDING.get(name, 1e-5)
    if name not in NO_X_TILT and order == sorted(order):
        measured = measure_tilts(after, after, images)
        assert measured["error"].median() < 0.1
        assert measured["error"].max() < 0.5


@pytest.mark.parametrize("column", ["rotation_y", "rotation_z", "dx"])
def test_a_wrong_sign_would_have_been_seen(demo, column):
    poses, model, images = parts(demo)
    wrong = ct.project(poses, model.assign(**{column: -model[column]}))
    measured = measure_tilts(wrong, wrong, images)
    assert not len(measured) or measured["error"].median() > 0.5
