"""``cryotypes check``: two files that say the same, and every way in which they may not."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from scipy.spatial.transform import Rotation

import cryotypes as ct
from cryotypes.cli import main

pytestmark = pytest.mark.filterwarnings("ignore::cryotypes.errors.LossWarning")


def run(*arguments, code=0):
    result = CliRunner().invoke(main, ["check", *[str(a) for a in arguments]])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


def model(experiment="TS_01", **columns) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    table = {
        "rotation_x": 0.0,
        "rotation_y": np.linspace(-60, 60, 21),
        "rotation_z": 85.0,
        "dx": rng.normal(0, 10, 21).round(3),
        "dy": rng.normal(0, 10, 21).round(3),
        "experiment_id": experiment,
        "pixel_spacing": 2.5,
        "source": "",
        "rlnMicrographName": [f"{i + 1}@{experiment}.mrcs" for i in range(21)],
    }
    return pd.DataFrame(table | columns)


def poses(experiment="TS_01", n=20, **fields) -> ct.PoseSet:
    rng = np.random.default_rng(n)
    values = {
        "position": rng.uniform(0, 200, (n, 3)).round(3),
        "orientation": Rotation.random(n, random_state=n),
        "experiment_id": experiment,
        "pixel_spacing": 10.0,
    }
    return ct.PoseSet(**values | fields)


@pytest.fixture
def write(tmp_path):
    """Write poses or a model as RELION does, and give the path."""

    def writing(data, name):
        path = tmp_path / name.removesuffix(".star") / name
        path.parent.mkdir()
        options = {}
        if isinstance(data, pd.DataFrame):
            names = data["experiment_id"].unique()
            data.attrs["tomogram_dimensions"] = dict.fromkeys(names, (800, 800, 400))
            options = {"format": "relion-tilt-series"}
        else:
            options = {"format": "relion-star", "dialect": "4.0", "tomogram_spacing": 10.0}
        ct.write(data, path, **options)
        return path

    return writing


@pytest.fixture
def particles(write):
    return write([poses(), poses("TS_02", 7)], "a.star")


def test_the_same_particles(particles, write):
    """Unbinned, and with a part of the position as shift."""
    moved = [ct.rescale(p, 2.5) for p in (poses(), poses("TS_02", 7))]
    for p in moved:
        p.shift = np.ones((len(p), 3))
        p.position = p.position - 1
    other = write(moved, "b.star")
    out = run(particles, other).stdout
    assert "the same, within the tolerances" in out
    assert "TS_02" in out
    facts = json.loads(run(particles, other, "--json").stdout)
    assert facts["ok"]
    assert [c["experiment_a"] for c in facts["comparisons"]] == ["TS_01", "TS_02"]
    assert facts["comparisons"][0]["distance"]["maximum"] < 0.01
    assert facts["comparisons"][1]["pairs"] == 7


def test_every_particle_counts(particles, write):
    other = poses("TS_02", 7)
    other.position[3, 2] += 0.5
    path = write([poses(), other], "b.star")
    facts = json.loads(run(particles, path, "--json", code=1).stdout)
    assert [c["ok"] for c in facts["comparisons"]] == [True, False]
    assert facts["comparisons"][1]["distance"]["maximum"] == pytest.approx(5, abs=1e-3)
    assert "not the same" in run(particles, path, code=1).stdout
    run(particles, path, "--tolerance-angstrom", 5.1)


def test_orientations_count(particles, write):
    turned = Rotation.from_euler("xyz", [0, 0, 1], degrees=True) * poses().orientation
    path = write([poses(orientation=turned), poses("TS_02", 7)], "b.star")
    facts = json.loads(run(particles, path, "--json", code=1).stdout)
    assert facts["comparisons"][0]["angle"]["median"] == pytest.approx(1, abs=1e-3)
    run(particles, path, "--tolerance-degree", 1.01)
    inverted = write([poses(orientation=poses().orientation.inv()), poses("TS_02", 7)], "c.star")
    run(particles, inverted, "--tolerance-degree", 10, code=1)


def test_missing_extra_and_another_order(particles, write):
    path = write([poses()[::-1][:18], poses("TS_02", 7)[::-1]], "b.star")
    facts = json.loads(run(particles, path, "--json", code=1).stdout)
    assert facts["comparisons"][0]["missing"] == [0, 1]
    assert facts["comparisons"][0]["matched_by"] == "nearest"
    assert "another order?" in facts["comparisons"][1]["notes"][0]
    facts = json.loads(
        run(particles, path, "--json", "--match-particles", "nearest", code=1).stdout
    )
    assert facts["comparisons"][1]["ok"]
    out = run(particles, path, code=1).stdout
    assert "differs" in out
    assert "another order?" in out


def test_experiments_that_only_one_has(particles, write):
    path = write([poses("rec_TS_01"), poses("TS_03", 7)], "b.star")
    out = run(particles, path, code=1).stdout
    assert "rec_TS_01" in out
    assert "'TS_02' only in A" in out
    assert "'TS_03' only in B" in out
    single = write([poses("other name")], "c.star"), write([poses()], "d.star")
    run(*single)


def test_the_same_alignment(write):
    a = write(pd.concat([model(), model("TS_02")]), "a.star")
    b = write(pd.concat([model(), model("TS_02")]), "b.star")
    assert "the same geometry" in run(a, b).stdout


def test_a_difference_between_alignments_is_explained(write):
    a = write(model(), "a.star")
    b = write(model(dx=model()["dx"] + 0.5), "b.star")
    out = run(a, b, code=1).stdout
    assert "a constant shift of the images, dx, dy + (0.5, 0) px" in out
    facts = json.loads(run(a, b, "--json", code=1).stdout)
    assert facts["comparisons"][0]["maximum_pixel"] == pytest.approx(0.5, abs=1e-4)
    assert facts["comparisons"][0]["tomogram_dimensions"] == [800, 800, 400]
    assert facts["comparisons"][0]["matched_by"] == "name"
    run(a, b, "--tolerance-pixel", 0.6)
    facts = json.loads(run(a, b, "--json", "--tomogram-size", 80, 80, 40, code=1).stdout)
    assert facts["comparisons"][0]["tomogram_dimensions"] == [80, 80, 40]


def test_tilts_that_only_one_has(write):
    a, b = write(model(), "a.star"), write(model().drop(4), "b.star")
    assert "only in A: rows 4" in run(a, b, code=1).stdout


def test_mistakes_of_the_user(particles, write, tmp_path):
    alignment = write(model(), "b.star")
    error = run(particles, alignment, code=2).stderr
    assert "found particles and an alignment" in error
    assert "no such file" in run(particles, tmp_path / "none.star", code=1).stderr.lower()
    run(particles, particles, "--tolerance-angstrom", -1, code=2)
