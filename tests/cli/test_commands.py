"""The commands as a user types them: output, exit codes, one sentence for a mistake."""

from __future__ import annotations

import json
import os

import click
import numpy as np
import pandas as pd
import polars as pl
import pytest
from click.testing import CliRunner
from scipy.spatial.transform import Rotation

import cryotypes as ct
from cryotypes.cli import main

pytestmark = pytest.mark.filterwarnings("ignore::cryotypes.errors.LossWarning")


def run(*arguments, code=0):
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


def sentence(*arguments, code=1):
    """The one line that a mistake gives."""
    result = run(*arguments, code=code)
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    return lines[0]


@pytest.fixture
def project(tmp_path):
    """Two particles in each of two tomograms, with their tilt series, as a RELION 5 project."""
    folder = tmp_path / "a project with blanks é"
    folder.mkdir()
    model = pd.DataFrame(
        {
            "rotation_x": 0.0,
            "rotation_y": [-60.0, 0.0, 60.0] * 2,
            "rotation_z": 0.0,
            "dx": [1.0, 0.0, 0.0] * 2,
            "dy": 0.0,
            "experiment_id": ["TS_01"] * 3 + ["TS_02"] * 3,
            "pixel_spacing": 2.5,
            "source": "",
            "rlnMicrographName": [f"{i + 1}@tilts_{t}.mrcs" for t in (1, 2) for i in range(3)],
        }
    )
    model.attrs["tomogram_dimensions"] = {"TS_01": (200, 200, 80), "TS_02": (200, 200, 80)}
    ct.write(model, folder / "tomograms.star")
    for t in (1, 2):
        stack = ct.Image(np.zeros((3, 150, 200), np.float32), f"TS_0{t}", 2.5, stack=True)
        ct.write(stack, folder / f"tilts_{t}.mrcs")
    poses = [
        ct.PoseSet(
            [[120, 100, 40], [100, 100, 60]],
            orientation=Rotation.identity(2),
            experiment_id=name,
            pixel_spacing=2.5,
        )
        for name in ("TS_01", "TS_02")
    ]
    ct.write(poses, folder / "particles.star", tomograms=folder / "tomograms.star")
    return folder


def test_info_tells_counts_spacing_size_experiments_and_columns(project):
    out = run("info", project / "particles.star", project / "tomograms.star").stdout
    for fact in ("4 particles", "2 experiments", "TS_01", "2.5", "200 × 200 × 80", "rlnAngleRot"):
        assert fact in out
    assert "2 tilt series, 6 tilt images" in out
    assert "200 × 150" in out  # the size of the tilt images, from the stack's header


def test_info_as_json_can_be_read_by_a_program(project):
    facts = json.loads(run("info", "--json", *sorted(project.glob("*.star"))).stdout)
    assert [f["kind"] for f in facts] == ["poses", "projection_model"]
    assert facts[0]["experiments"][0]["tomogram_dimensions"] == [200, 200, 80]
    assert facts[0]["unknown"] == []


def test_info_of_an_image(project):
    facts = json.loads(run("info", "--json", project / "tilts_1.mrcs").stdout)[0]
    assert facts["dimensions"] == [200, 150, 3]
    assert facts["stack"] is True
    assert facts["pixel_spacing"] == 2.5


def test_info_goes_on_after_a_bad_file(project, tmp_path):
    bad = tmp_path / "bad.star"
    bad.write_text("data_\nloop_\n_rlnCoordinateX\n_rlnCoordinateY\n1 2\n3\n")
    result = run("info", bad, project / "particles.star", code=1)
    assert "line 6: expected 2 values, one for each label, found 1" in result.stderr
    assert "4 particles" in result.stdout


def test_match_shows_what_belongs_together(project):
    out = run("match", project / "particles.star", project / "tomograms.star").stdout
    assert "matched 4 of 4" in out
    facts = json.loads(
        run("match", "--json", project / "particles.star", project / "tomograms.star").stdout
    )
    assert set(facts["experiments"]) == {"TS_01", "TS_02"}


def test_match_strict_fails_when_something_is_left_over(project):
    run("match", project / "particles.star")
    run("match", "--strict", project / "particles.star", code=1)


def test_project_writes_where_each_particle_is_in_each_tilt(project):
    out = project / "where.csv"
    run("project", project / "particles.star", project / "tomograms.star", "-o", out)
    table = pl.read_csv(out)
    assert table.height == 2 * 2 * 3
    first = table.filter(pl.col("experiment_id") == "TS_01", pl.col("particle") == 0)
    # 20 px beside the axis: 20 cos 60° = 10 from the image's centre (100, 75), and dx = 1
    assert first["x"].to_list() == pytest.approx([111, 120, 110])
    assert first["y"].to_list() == pytest.approx([75, 75, 75])
    # Ry(-60°) takes +x to +z: 20 sin 60° px of 2.5 Å
    assert first["depth_angstrom"].to_list() == pytest.approx([43.30127, 0, -43.30127])
    assert first["inside"].all()


def test_project_writes_a_star_file_that_reads_as_particles_in_tilt_images(project):
    out = project / "where.star"
    run("project", project / "particles.star", project / "tomograms.star", "-o", out)
    poses = ct.read_poses(out)
    assert [p.experiment_id for p in poses] == [
        f"{i}@tilts_{t}.mrcs" for t in (1, 2) for i in (1, 2, 3)
    ]
    assert poses[0].position[0] == pytest.approx([111, 75, 0])
    assert poses[0].pixel_spacing == 2.5
    turned = Rotation.from_euler("y", -60, degrees=True).apply([0, 0, 1])
    assert poses[0].orientation.apply([0, 0, 1])[0] == pytest.approx(turned)


def test_project_without_the_images_counts_from_the_centre_and_says_so(project):
    for stack in project.glob("*.mrcs"):
        stack.unlink()
    out = project / "where.csv"
    result = run("project", project / "particles.star", project / "tomograms.star", "-o", out)
    assert result.stderr.count("size of the tilt images is unknown") == 1
    table = pl.read_csv(out)
    assert table["x_from_center"][0] == pytest.approx(11)
    assert "inside" not in table
    star = project / "where.star"
    run("project", project / "particles.star", project / "tomograms.star", "-o", star)
    assert "_rlnCenteredCoordinateXAngst" in star.read_text()
    assert "_rlnCoordinateX " not in star.read_text()


def test_project_draws_one_picture_an_experiment(project):
    pytest.importorskip("matplotlib")
    plot = project / "picture.png"
    run("project", project / "particles.star", project / "tomograms.star", "--plot", plot)
    assert (project / "picture_TS_01.png").stat().st_size > 1000
    assert (project / "picture_TS_02.png").exists()
    only = project / "one.png"
    arguments = ("--plot", only, "--experiment", "TS_02", "--tilt", 1)
    run("project", project / "particles.star", project / "tomograms.star", *arguments)
    assert only.exists()


def test_project_takes_the_size_of_the_tomogram_for_lists_that_have_none(project):
    """The particle at the centre of 200 × 200 × 80 px is at the centre of every tilt image."""
    poses = ct.PoseSet([[25, 25, 10]], experiment_id="TS_01", pixel_spacing=10.0)
    ct.write(poses, project / "picks.tbl")
    tilts = project / "tomograms.star"
    sizes = {"--tomogram-size": (200, 200, 80), "--tomogram-spacing": (2.5,)}
    given = [a for name, values in sizes.items() for a in (name, *values)]
    out = project / "where.csv"
    run("project", project / "picks.tbl", tilts, "--pixel-spacing", 10, *given, "-o", out)
    centre = pl.read_csv(out).filter(pl.col("tilt") > 0)[["x", "y"]].to_numpy()
    np.testing.assert_allclose(centre, [[100, 75], [100, 75]])


@pytest.mark.parametrize("command", ["info", "convert", "match", "project", "check"])
def test_every_command_that_reads_takes_the_same_options(command):
    from cryotypes.cli._options import reading_options

    shared = {
        option for p in reading_options(click.command()(lambda: 0)).params for option in p.opts
    }
    assert shared <= {option for p in main.commands[command].params for option in p.opts}


def test_project_refuses_to_overwrite(project):
    out = project / "where.csv"
    out.write_text("precious")
    arguments = ("project", project / "particles.star", project / "tomograms.star", "-o", out)
    assert "exists" in sentence(*arguments)
    assert out.read_text() == "precious"
    run(*arguments, "--overwrite")
    assert out.read_text() != "precious"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("info",), "Missing argument"),
        (("project", "a.star", "b.star", "-o", "x.txt"), ".star or .csv"),
        (("nonsense",), "No such command"),
    ],
)
def test_misuse_is_told_with_exit_code_2(arguments, words):
    result = run(*arguments, code=2)
    assert words in result.stderr


def test_an_option_that_no_file_knows_is_misuse(project):
    result = run("info", project / "tilts_1.mrcs", "--tomograms", "x.star", code=2)
    assert "--tomograms does not apply" in result.stderr


BAD = {
    "empty.star": (b"", "the file is empty"),
    "empty.mrc": (b"", "the file is empty"),
    "cut.star": (b"data_\nloop_\n_rlnCoordinateX #1\n_rlnCoordinateY #2\n1.0 2.0\n3", "line 6"),
    "text.star": (
        b"data_p\nloop_\n_rlnCoordinateX #1\n_rlnCoordinateY #2\n1 2\nhere 4\n",
        "block 'p', column rlnCoordinateX, row 2: expected a finite number, found 'here'",
    ),
    "other.star": (b"data_x\n_rlnFoo 1\n", "whose blocks and labels are not known here"),
    "noise.mrc": (bytes(range(256)) * 8, "the content is not what a .mrc file holds here"),
    "unknown.xyz1": (b"hello", "no known format has the suffix '.xyz1'"),
    "damaged.star.gz": (b"\x1f\x8bnot really", "damaged compressed file"),
    "damaged.mrc.bz2": (b"BZh9nothing of the kind", "damaged compressed file"),
    "centred.star": (
        b"data_optics\nloop_\n_rlnOpticsGroup\n_rlnTomoTiltSeriesPixelSize\n1 1.35\n"
        b"data_particles\nloop_\n_rlnTomoName\n_rlnOpticsGroup\n_rlnCenteredCoordinateXAngst\n"
        b"_rlnCenteredCoordinateYAngst\n_rlnCenteredCoordinateZAngst\nTS_01 1 0 0 0\n",
        "need the size of tomogram TS_01; no tomograms.star was found: give "
        "--tomograms tomograms.star",
    ),
    "spacing.star": (
        b"data_\nloop_\n_rlnCoordinateX\n_rlnCoordinateY\n_rlnOriginXAngst\n10 9 5\n",
        "need the pixel size of the coordinates, which the file does not state: give "
        "--pixel-spacing",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_gives_one_clear_sentence(name, tmp_path):
    content, words = BAD[name]
    path = tmp_path / name
    path.write_bytes(content)
    line = sentence("info", path)
    assert words in line
    assert str(path) in line


def test_a_cut_mrc_file(project):
    path = project / "tilts_1.mrcs"
    path.write_bytes(path.read_bytes()[:-1000])
    assert "the file is cut" in sentence("info", path)


def test_a_directory_and_a_missing_file(tmp_path):
    assert "is a directory" in sentence("info", tmp_path)
    assert "no such file" in sentence("info", tmp_path / "missing.star")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_no_permission(tmp_path):
    path = tmp_path / "locked.star"
    path.write_text("data_\n")
    path.chmod(0)
    assert "permission denied" in sentence("info", path)


def test_a_permission_error_is_one_sentence(tmp_path, monkeypatch):
    from pathlib import Path

    path = tmp_path / "locked.star"
    path.write_text("data_\n")

    def refuse(self, *_, **__):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", refuse)
    assert f"{path}: permission denied" in sentence("info", path)


def test_debug_shows_the_traceback(tmp_path):
    with pytest.raises(FileNotFoundError):
        CliRunner().invoke(
            main, ["--debug", "match", str(tmp_path / "none.star")], catch_exceptions=False
        )


@pytest.mark.parametrize("command", [[], *[[c] for c in main.commands]])
def test_help(command):
    text = run(*command, "--help").output
    assert "Usage" in text
    assert all(len(line) <= 100 for line in text.splitlines())


def test_names_of_particles_that_match_nothing_are_told(project):
    poses = ct.read_poses(project / "particles.star")
    poses[1].experiment_id = "elsewhere"
    ct.write(poses, project / "other.star", dialect="4.0")
    result = run("project", project / "other.star", project / "tomograms.star")
    assert "not projected: 'elsewhere'" in result.stderr
    names = project / "names.txt"
    names.write_text("elsewhere TS_02\n")
    arguments = ("project", project / "other.star", project / "tomograms.star", "--names", names)
    assert "not projected" not in run(*arguments).stderr


def test_info_shows_what_can_be_read_where_something_else_cannot(project):
    """An optimisation set may name particles that are gone and tilt series that are there."""
    names = "_rlnTomoParticlesFile gone.star\n_rlnTomoTomogramsFile tomograms.star\n"
    path = project / "optimisation_set.star"
    path.write_text(f"\ndata_\n\n{names}\n")
    result = run("info", path, code=1)
    assert "rlnTomoParticlesFile is 'gone.star', which does not exist" in result.stderr
    assert "2 tilt series, 6 tilt images" in result.stdout


def image_formats():
    from cryotypes.registry import known_formats

    return [f for f in known_formats().values() if f.kind == "image" and f.write is not None]


@pytest.mark.parametrize("format", image_formats(), ids=lambda f: f.name)
def test_images_of_every_format_are_converted_and_described(format, tmp_path):
    for package in format.needs:
        pytest.importorskip(package)
    volume = np.arange(4 * 6 * 8, dtype=np.float32).reshape(4, 6, 8)
    ct.write(ct.Image(volume, "TS_01", 2.5), tmp_path / "TS_01.mrc")
    target = tmp_path / f"copy/TS_01{format.suffixes[0]}"
    target.parent.mkdir()
    run("convert", tmp_path / "TS_01.mrc", target, "--to", format.name)
    arguments = ["info", "--json", target]
    facts = json.loads(run(*arguments).stdout)[0]
    assert facts["format"] == format.name
    assert facts["dimensions"] == [8, 6, 4]
    run("convert", target, tmp_path / "back/TS_01.mrc", code=1)  # no such directory
    (tmp_path / "back").mkdir()
    run("convert", target, tmp_path / "back/TS_01.mrc")
    back = ct.read_image(tmp_path / "back/TS_01.mrc", pixel_spacing=2.5)
    np.testing.assert_array_equal(back.data, volume)


@pytest.mark.parametrize("method", ["mean", "decimate", "fourier"])
def test_images_are_binned(tmp_path, method):
    values = np.random.default_rng(0).normal(size=(12, 14, 17)).astype(np.float32)
    for name in ("TS_01", "TS_02"):
        ct.write(ct.Image(values, name, 2.5), tmp_path / f"{name}.mrc")
    sources = [tmp_path / "TS_01.mrc", tmp_path / "TS_02.mrc"]
    run("convert", *sources, tmp_path / "{stem}_bin4.zarr", "--bin", 4, "--bin-method", method)
    for name in ("TS_01", "TS_02"):
        found = ct.read_image(tmp_path / f"{name}_bin4.zarr")
        expected = ct.bin_image(ct.Image(values, pixel_spacing=2.5), 4, method)
        assert (found.pixel_spacing, found.data.shape) == (10.0, (3, 3, 4))
        np.testing.assert_array_equal(found.data, expected.data)


def test_what_is_not_binned(project, tmp_path):
    told = sentence("convert", project / "particles.star", tmp_path / "a.tbl", "--bin", 2)
    assert "binning is for images" in told
    ct.write(ct.Image(np.zeros((4, 4, 4), np.float32), "a", 2.5), tmp_path / "a.mrc")
    assert "leaves nothing" in sentence(
        "convert", tmp_path / "a.mrc", tmp_path / "b.mrc", "--bin", 5
    )
    assert not (tmp_path / "b.mrc").exists()
