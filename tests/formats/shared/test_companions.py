"""Files that nobody named: damaged ones stand in nobody's way, and none is waited for."""

from __future__ import annotations

import os

import pytest

import cryotypes as ct
from cryotypes.errors import GuessWarning, ReadError

POSES = (
    "data_optics\n\nloop_\n_rlnOpticsGroup\n_rlnTomoTiltSeriesPixelSize\n1 2.5\n\n"
    "data_particles\n\nloop_\n_rlnTomoName\n_rlnCoordinateX\n_rlnCoordinateY\n_rlnCoordinateZ\n"
    "_rlnOpticsGroup\nTS_01 1 2 3 1\n"
)
SET = "data_\n\n_rlnTomoParticlesFile {}\n_rlnTomoTomogramsFile {}\n"
LIST = "data_global\n\nloop_\n_rlnTomoName\n_rlnTomoTiltSeriesStarFile\nTS_01 {}\n"
COORDINATES = "data_\n\nloop_\n_rlnMicrographName\n_rlnMicrographCoordinates\na.mrc {}\n"
SERIES = "data_TS_01\n\nloop_\n_rlnTomoNominalStageTiltAngle\n-3\n3\n"


@pytest.fixture
def pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("run_optimisation_set.star", ""),
        ("run_optimisation_set.star", "data_\n\nloop_\n_rlnTomoParticlesFile\n"),
        ("run_optimisation_set.star", "\0\0"),
        ("tomograms.star", ""),
        ("tomograms.star", "data_global\n\nloop_\n_rlnTomoName\n"),
    ],
)
def test_a_damaged_neighbour(tmp_path, name, content):
    (tmp_path / "run_data.star").write_text(POSES)
    (tmp_path / name).write_text(content)
    with pytest.warns(GuessWarning, match=rf"{name} is left out: "):
        (poses,) = ct.read(tmp_path / "run_data.star")
    assert poses.position.tolist() == [[1, 2, 3]]
    with pytest.raises(ReadError):  # who names it is told
        ct.read(tmp_path / "run_data.star", tomograms=tmp_path / name)


def test_damaged_lists_and_maps(tmp_path):
    (tmp_path / "tilt_series").mkdir()
    (tmp_path / "tilt_series" / "a.star").write_text(SERIES)
    (tmp_path / "tomograms.star").write_text("")
    with (
        pytest.warns(GuessWarning, match="no alignment yet"),
        pytest.warns(GuessWarning, match=r"tomograms.star is left out: "),
    ):
        ct.read(tmp_path / "tilt_series" / "a.star")
    (tmp_path / "a.tbl").write_text(" ".join(["1"] * 35) + "\n")
    (tmp_path / "a.doc").write_text("one two\n")
    with pytest.warns(GuessWarning, match=r"a.doc is left out: "):
        assert ct.read(tmp_path / "a.tbl")[0].experiment_id == "1"
    with pytest.raises(ReadError):
        ct.read(tmp_path / "a.tbl", tomogram_names=tmp_path / "a.doc")


@pytest.mark.parametrize("named", ["pipe", "/dev/zero"])
def test_a_pipe_or_a_device_is_no_file(tmp_path, pipe, named):
    (tmp_path / "run_data.star").write_text(POSES)
    (tmp_path / "tomograms.star").write_text(LIST.format("none.star"))
    for name, content in {
        "one.star": SET.format(named, "tomograms.star"),
        "two.star": SET.format("run_data.star", named),
        "three.star": LIST.format(named),
        "four.star": COORDINATES.format(named),
    }.items():
        (tmp_path / name).write_text(content)
        with pytest.raises(ReadError, match=r"does not exist|found a pipe or a device"):
            ct.read(tmp_path / name)
    for path in (pipe, "/dev/zero"):
        with pytest.raises(ReadError, match="found a pipe or a device"):
            ct.read(path)
