"""The demo is an experiment of known truth: its numbers are the package's accuracy."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import sys

import mrcfile  # noqa: TID253
import numpy as np
import pandas as pd
import pytest
from scipy.spatial.transform import Rotation

import cryotypes as ct
from cryotypes.demo import DemoResult, _files, _measure, _run, _simulate, run_demo


@dataclasses.dataclass
class Run:
    result: DemoResult
    text: list[str]
    steps: list[tuple[int, int]]


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    text: list[str] = []
    steps: list[tuple[int, int]] = []
    directory = tmp_path_factory.mktemp("work") / "a" / "cryotypes-demo"
    result = run_demo(directory, report=text.append, progress=lambda *step: steps.append(step))
    return Run(result, text, steps)


@pytest.fixture
def short_plan(monkeypatch):
    """One tilt series of two images, far from 0°."""
    first = _simulate.plan()[0]
    few = dataclasses.replace(first, angles=first.angles[[1, -2]], offsets=first.offsets[[1, -2]])
    monkeypatch.setattr(_simulate, "plan", lambda: [few])
    return few


def table(path, block):
    """Read a loop of a STAR file, without this package."""
    lines = path.read_text().split(f"data_{block}\n")[1].splitlines()
    labels = [line.split()[0][1:] for line in lines if line.startswith("_")]
    rows = [line.split() for line in lines if line.strip() and line[0] not in "_l#"]
    return pd.DataFrame(rows, columns=labels)


def test_particles_are_where_the_images_show_them(run):
    result = run.result
    assert result.passed
    assert result.median < 0.1
    assert result.percentile_95 < 0.2
    assert result.maximum < 0.5
    assert result.tomogram < 0.15
    assert (result.particles, result.tilts) == (20, 26)
    # most are measured, and one leaves the images
    assert 200 < len(result.measurements) < 20 * 13
    assert 0 < result.outside < 10


def test_particles_are_turned_as_the_images_show_them(run):
    assert run.result.correlation > 0.85
    assert run.result.inverse < 0.65


def test_wrong_sign_of_tilt_angles_is_seen(run):
    assert run.result.flipped > 3
    tilted = run.result.measurements.query("tilt < 3 or tilt > 9")
    assert (tilted.flipped > tilted.error).all()


def test_no_axis_or_tilt_is_systematically_off(run):
    found = run.result.measurements
    assert found.groupby("tilt").error.median().max() < 0.15
    assert found.groupby("experiment_id").error.median().max() < 0.1


def test_without_noise_the_measurement_is_far_better():
    series = _simulate.plan()[1]
    images = np.stack(list(_simulate.tilt_images(series, _simulate.density(series), noise=0)))
    position = series.position + series.shift
    poses = ct.PoseSet(position, None, series.orientation, series.name, 5.0)
    model = _files._alignment(series)
    sizes = {
        "tomogram_dimensions": series.tomogram_size,
        "tilt_image_dimensions": series.image_size,
    }
    projection = ct.project(poses, model, **sizes)
    image = ct.Image(images, series.name, 5.0, stack=True)
    found = _measure.measure_tilts(projection, projection, image)
    assert len(found) > 100
    assert found.error.max() < 0.03
    assert found.correlation.min() > 0.97


def test_simulation_uses_none_of_this_package():
    tree = ast.parse(inspect.getsource(_simulate))
    imported = [
        name
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for name in [getattr(node, "module", None), *(alias.name for alias in node.names)]
    ]
    assert imported
    assert not [name for name in imported if name and name.startswith("cryotypes")]
    assert not [node for node in ast.walk(tree) if getattr(node, "level", 0)]


def test_files(run):
    directory = run.result.directory
    expected = {
        "tilt_series/TS_01.mrcs", "tilt_series/TS_01.star", "tomograms/rec_TS_01.mrc",
        "tilt_series/TS_02.mrcs", "tilt_series/TS_02.star", "tomograms/rec_TS_02.mrc",
        "tomograms.star", "particles.star", "optimisation_set.star", "overlay.png",
    }  # fmt: skip
    found = {str(p.relative_to(directory)) for p in directory.rglob("*") if p.is_file()}
    assert found == expected
    assert {str(p.relative_to(directory)) for p in run.result.files} == expected
    assert run.result.overlay == directory / "overlay.png"


def test_star_files_hold_the_truth(run):
    directory = run.result.directory
    rows = table(directory / "particles.star", "particles")
    for series in _simulate.plan():
        own = rows[rows.rlnTomoName == series.name].drop(columns="rlnTomoName").astype(float)
        centred = own[[f"rlnCenteredCoordinate{axis}Angst" for axis in "XYZ"]].to_numpy()
        size = np.array(series.tomogram_size)
        np.testing.assert_allclose(centred, (series.position - size / 2) * 5, atol=1e-6)
        origins = own[[f"rlnOrigin{axis}Angst" for axis in "XYZ"]].to_numpy()
        np.testing.assert_allclose(origins, -series.shift * 5, atol=1e-6)
        angles = own[["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"]].to_numpy()
        turn = Rotation.from_euler("ZYZ", angles, degrees=True).inv()
        assert (turn.inv() * series.orientation).magnitude().max() < 1e-6
        images = table(directory / "tilt_series" / f"{series.name}.star", series.name)
        assert images.rlnMicrographName[2] == f"3@tilt_series/{series.name}.mrcs"
        np.testing.assert_allclose(images.rlnTomoYTilt.astype(float), series.angles[:, 1])
        np.testing.assert_allclose(
            images.rlnTomoXShiftAngst.astype(float), series.offsets[:, 0] * 5
        )


def test_images_have_their_sizes(run):
    directory = run.result.directory
    rows = table(directory / "tomograms.star", "global").set_index("rlnTomoName")
    for series in _simulate.plan():
        with mrcfile.open(directory / "tilt_series" / f"{series.name}.mrcs") as stack:
            assert stack.data.shape == (13, *series.image_size[::-1])
            assert float(stack.voxel_size.x) == 5
        row = rows.loc[series.name]
        unbinned = [int(row[f"rlnTomoSize{axis}"]) for axis in "XYZ"]
        assert unbinned == list(series.tomogram_size)
        with mrcfile.open(directory / row.rlnTomoReconstructedTomogram) as tomogram:
            assert tomogram.data.shape[::-1] == tuple((size + 1) // 2 for size in unbinned)
            assert float(tomogram.voxel_size.x) == 10


def test_report_and_progress(run):
    text = "\n".join(run.text)
    assert "matched 8 of 8 things in 2 experiments" in text
    assert "tomogram 'rec_TS_01' is in 'TS_01': rule 'decorations'" in text
    assert run.result.summary() in text
    assert f"median {run.result.median:.3f} px" in text
    done, totals = zip(*run.steps, strict=True)
    assert done[-1] == totals[-1]
    assert list(done) == sorted(done)
    assert len(set(totals)) == 1


def test_overlay_is_a_small_picture(run):
    from PIL import Image

    with Image.open(run.result.overlay) as picture:
        assert picture.width == 1200
        colours = np.asarray(picture.convert("RGB")).reshape(-1, 3).astype(int)
    assert run.result.overlay.stat().st_size < 300_000
    red = (colours[:, 0] > 180) & (colours[:, 1:].max(axis=1) < 60)
    assert red.sum() > 50  # the particle outside has kept its colour


def test_refuses_a_directory_that_is_not_empty(run, tmp_path):
    before = {p: p.stat().st_mtime_ns for p in run.result.files}
    with pytest.raises(FileExistsError, match=r"is not empty; .*\(--overwrite\)"):
        run_demo(run.result.directory, report=print)
    assert {p: p.stat().st_mtime_ns for p in run.result.files} == before
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(FileExistsError, match="is a file"):
        run_demo(file, overwrite=True, report=print)


@pytest.mark.usefixtures("short_plan")
def test_overwrite_replaces_only_its_own_files(tmp_path):
    mine, own = tmp_path / "mine.txt", tmp_path / "particles.star"
    mine.write_text("mine")
    own.write_text("old")
    result = run_demo(tmp_path, overwrite=True, report=lambda _: None)
    assert result.passed
    assert mine.read_text() == "mine"
    assert own.read_text() != "old"


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("rotation_x", lambda angle: angle + 9),
        ("rotation_y", lambda angle: -angle),
        ("rotation_z", lambda angle: -angle),
        ("rotation_z", lambda angle: angle + 180),
        ("dx", lambda shift: -shift),
        ("dy", lambda shift: -shift),
    ],
)
@pytest.mark.usefixtures("short_plan")
def test_fails_if_the_geometry_is_wrong(tmp_path, monkeypatch, name, change):
    """The images stay as they are, and the files say something else."""
    alignment = _files._alignment

    def wrong(series):
        model = alignment(series)
        model[name] = change(model[name])
        return model

    monkeypatch.setattr(_files, "_alignment", wrong)
    result = run_demo(tmp_path / "demo", report=lambda _: None)
    assert not result.passed
    assert "DOES NOT AGREE" in result.summary()


@pytest.mark.usefixtures("short_plan")
def test_fails_if_orientations_are_inverse(tmp_path, monkeypatch):
    poses = _files._poses

    def wrong(series):
        return poses(dataclasses.replace(series, orientation=series.orientation.inv()))

    monkeypatch.setattr(_files, "_poses", wrong)
    result = run_demo(tmp_path / "demo", report=lambda _: None)
    assert result.correlation < result.inverse
    assert not result.passed


@pytest.mark.usefixtures("short_plan")
def test_nothing_found_is_a_failure_not_a_crash(tmp_path, monkeypatch):
    empty = pd.DataFrame(columns=_measure._COLUMNS, dtype=float)
    monkeypatch.setattr(_measure, "measure_tilts", lambda *_: empty)
    result = run_demo(tmp_path / "demo", report=lambda _: None)
    assert result.maximum == np.inf
    assert not result.passed


@pytest.mark.usefixtures("short_plan")
def test_works_without_matplotlib(tmp_path, monkeypatch):
    for name in [n for n in sys.modules if n.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    text: list[str] = []
    result = run_demo(tmp_path / "demo", report=text.append)
    assert result.passed
    assert result.overlay is None
    assert any("pip install 'cryotypes[plots]'" in line for line in text)


def test_plan_is_the_same_every_time():
    for one, other in zip(_simulate.plan(), _simulate.plan(), strict=True):
        np.testing.assert_array_equal(one.position + one.shift, other.position + other.shift)
        np.testing.assert_array_equal(one.offsets, other.offsets)
    assert _run.LIMIT == 0.5


def test_particle_has_no_symmetry_and_its_mass_at_the_origin():
    blobs, weights = _simulate.BLOBS, _simulate.WEIGHTS
    np.testing.assert_allclose(weights @ blobs, 0, atol=1e-12)
    assert np.linalg.norm(blobs, axis=1).max() < _simulate.RADIUS - _simulate.SIGMA
    second, third = (
        np.einsum("i,ij,ik->jk", weights, blobs, blobs),
        np.einsum("i,ij,ik,il->jkl", weights, blobs, blobs, blobs),
    )
    axes, turn = np.linalg.eigh(second)
    assert np.diff(axes).min() > 0.05 * axes.max()  # three different moments
    own = np.einsum("ijk,ia,jb,kc->abc", third, turn, turn, turn)
    # no half turn about a principal axis leaves the third moments: they are of all three signs
    for axis in range(3):
        signs = -np.ones(3)
        signs[axis] = 1
        turned = own * signs[:, None, None] * signs[:, None] * signs
        assert np.abs(turned - own).max() > 0.2 * np.abs(own).max()
