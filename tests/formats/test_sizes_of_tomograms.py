"""What particles mean where the size or the pixels of their tomogram decide: values by hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

import cryotypes as ct
from cryotypes.errors import GuessWarning, LossWarning, ReadError

LOOP = "\ndata_{}\n\nloop_\n{}\n{}\n"
CENTRED = [f"rlnCenteredCoordinate{axis}Angst" for axis in "XYZ"]
XYZ = [f"rlnCoordinate{axis}" for axis in "XYZ"]
SIZES = [f"rlnTomoSize{axis}" for axis in "XYZ"]
SIZE = (4000, 4000, 2000)


def loop(name, labels, *rows):
    return LOOP.format(name, "\n".join(f"_{x}" for x in labels), "\n".join(rows))


def optics(spacing):
    labels = ["rlnOpticsGroup", "rlnOpticsGroupName", "rlnTomoTiltSeriesPixelSize"]
    return loop("optics", labels, f"1 og1 {spacing}")


TOMOGRAMS = loop(
    "global", ["rlnTomoName", "rlnTomoTiltSeriesPixelSize", *SIZES], "TS_01 1.35 4000 4000 2000"
)
PICKS = loop("particles", ["rlnTomoName", *CENTRED], "TS_01 -176.94 765.48005 11.16")
CONFLICT = optics(2.7) + loop(
    "particles", ["rlnTomoName", *CENTRED, "rlnOpticsGroup"], "TS_01 100 200 300 1"
)


@pytest.fixture
def save(tmp_path):
    def write(text, name="particles.star"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return write


def numbers(path, labels):
    """Columns of the particles in a STAR file, as they stand there."""
    (frame,) = [f for f in _loops(path) if set(labels) <= set(f)]
    return np.array([[float(v) for v in frame[label]] for label in labels]).T


def _loops(path):
    for part in path.read_text().split("data_")[1:]:
        lines = [line.split("#")[0].split() for line in part.splitlines()[1:]]
        lines = [words for words in lines if words]
        names = [words[0][1:] for words in lines if words[0].startswith("_") and len(words) == 1]
        rows = [w for w in lines if not w[0].startswith("_") and w != ["loop_"]]
        yield {name: [row[i] for row in rows] for i, name in enumerate(names)}


def dynamo(save, tomogram="1"):
    """A pick at the exact centre of 4000 × 4000 × 2000 px of 1.35 Å, in pixels of 5.4 Å."""
    row = [0.0] * 42
    row[0], row[19], row[35] = 1, float(tomogram), 5.4
    row[23:26] = 500.5, 500.5, 250.5  # Dynamo's voxels begin at 0.5
    save(f"{tomogram} TS_01\n", "picks.doc")
    return save(" ".join(f"{v:g}" for v in row) + "\n", "picks.tbl")


# --- RELION 5 counts from the centre of the tomogram of tomograms.star ---


def test_a_pickers_list_has_the_pixels_of_its_tomogram(save):
    """No optics: 1.35 Å from tomograms.star; x = -176.94 / 1.35 + 2000."""
    save(TOMOGRAMS, "tomograms.star")
    (poses,) = ct.read_poses(save(PICKS))
    assert poses.pixel_spacing == 1.35
    assert_allclose(poses.position, [[1868.9333333, 2567.0222593, 1008.2666667]])
    # binned by the user: -17.694 + 4000 × 1.35 / 2 / 10
    (binned,) = ct.read_poses(save(PICKS), pixel_spacing=10.0)
    assert_allclose(binned.position, [[252.306, 346.548005, 136.116]])


def test_the_centre_is_the_tomograms_whatever_the_optics_say(save, tmp_path):
    """5 → 5 is the identity, and a warning names both pixel sizes."""
    save(TOMOGRAMS, "tomograms.star")
    with pytest.warns(GuessWarning, match=r"2\.7 Å here .* 1\.35 Å in .*tomograms\.star"):
        (poses,) = ct.read_poses(save(CONFLICT))
    assert poses.pixel_spacing == 1.35
    assert_allclose(poses.position, [[100 / 1.35 + 2000, 200 / 1.35 + 2000, 300 / 1.35 + 1000]])
    out = tmp_path / "out" / "out.star"
    out.parent.mkdir()
    ct.write(poses, out)
    assert_allclose(numbers(out, CENTRED), [[100, 200, 300]], atol=1e-9)
    # RELION 4 counts in the tomogram's pixels, and is told so
    report = ct.write(poses, out, dialect="4.0", overwrite=True)
    assert_allclose(numbers(out, XYZ), poses.position)
    assert numbers(out, ["rlnTomoTiltSeriesPixelSize"]) == 1.35
    assert "2.7 Å to 1.35 Å" in report.converted["rlnTomoTiltSeriesPixelSize"]
    # stated by the user, there is no doubt
    (given,) = ct.read_poses(save(CONFLICT), tomogram_spacing=1.35)
    assert_allclose(given.position, poses.position)


def test_a_size_of_relion_5_is_in_pixels_of_the_tilt_series(save, tmp_path):
    """Optics of 2.5 Å, particles wanted in 10 Å: 100 Å from the centre of 4000 px of 2.5 Å."""
    text = CONFLICT.replace("2.7", "2.5").replace("100 200 300", "100 0 0")
    options = {"pixel_spacing": 10.0, "tomogram_dimensions": SIZE}
    (poses,) = ct.read_poses(save(text), **options)
    assert_allclose(poses.position, [[510, 500, 250]])
    out = tmp_path / "out.star"
    ct.convert(save(text), out, strict=True, **options)
    assert_allclose(numbers(out, CENTRED), [[100, 0, 0]], atol=1e-9)


# --- binned picks into RELION ---


def test_binned_picks_into_relion_5(save, tmp_path):
    out = tmp_path / "out.star"
    given = {"tomogram_dimensions": SIZE, "tomogram_spacing": 1.35}
    ct.convert(dynamo(save), out, dialect="5.0", **given)
    assert_allclose(numbers(out, CENTRED), [[0, 0, 0]], atol=1e-9)
    assert numbers(out, ["rlnTomoTiltSeriesPixelSize"]) == 1.35
    with pytest.raises(ValueError, match="without its pixel spacing is no size"):
        ct.convert(dynamo(save), out, dialect="5.0", tomogram_dimensions=SIZE, overwrite=True)
    (poses,) = ct.read_poses(dynamo(save))
    tomograms = save(TOMOGRAMS, "tomograms.star")
    ct.write(poses, out, dialect="5.0", tomograms=tomograms, overwrite=True)
    assert_allclose(numbers(out, CENTRED), [[0, 0, 0]], atol=1e-9)


@pytest.mark.parametrize("known", ["tomograms", "tomogram_spacing", "nothing"])
def test_binned_picks_into_relion_4(save, tmp_path, known):
    """Unbinned pixels, 2000 2000 1000 of 1.35 Å; else a warning of what was assumed."""
    (poses,) = ct.read_poses(dynamo(save))
    out = tmp_path / "out.star"
    options = {
        "tomograms": {"tomograms": save(TOMOGRAMS, "tomograms.star")},
        "tomogram_spacing": {"tomogram_spacing": 1.35},
    }
    if known == "nothing":
        with pytest.warns(GuessWarning, match="assumed the particles', 5.4 Å; .*--tomograms"):
            ct.write(poses, out, dialect="4.0")
        assert_allclose(numbers(out, XYZ), [[500, 500, 250]])
        return
    ct.write(poses, out, dialect="4.0", **options[known])
    assert_allclose(numbers(out, XYZ), [[2000, 2000, 1000]])
    assert numbers(out, ["rlnTomoTiltSeriesPixelSize"]) == 1.35


BINNED = {"tomogram_dimensions": (1000, 1000, 500), "tomogram_spacing": 5.4}
RELION_4 = optics(1.35) + loop(
    "particles", ["rlnTomoName", *XYZ, "rlnOpticsGroup"], "TS_01 2000 2000 1000 1"
)


def test_a_size_in_binned_pixels_moves_no_coordinate(save, tmp_path):
    """1000 px of 5.4 Å are a size; RELION 4 counts coordinates in the tilt series' 1.35."""
    for options in ({}, BINNED):
        (poses,) = ct.read_poses(save(RELION_4), **options)
        assert poses.pixel_spacing == 1.35
        assert_allclose(poses.position, [[2000, 2000, 1000]])
    assert poses.metadata["tomogram"] == {"dimensions": SIZE, "pixel_spacing": 1.35}
    out = tmp_path / "out.star"
    (poses,) = ct.read_poses(save(RELION_4))
    ct.write(poses, out, dialect="4.0", **BINNED)
    assert_allclose(numbers(out, XYZ), [[2000, 2000, 1000]])
    assert numbers(out, ["rlnTomoTiltSeriesPixelSize"]) == 1.35
    ct.write(poses, out, dialect="5.0", overwrite=True, **BINNED)
    assert_allclose(numbers(out, CENTRED), [[0, 0, 0]], atol=1e-9)
    # centred ones: the same place in Å, whatever pixels the size has
    (poses,) = ct.read_poses(save(optics(1.35) + PICKS), **BINNED)
    assert_allclose(poses.position * poses.pixel_spacing, [[2523.06, 3465.48005, 1361.16]])


def test_a_spacing_alone_does_not_win_over_what_is_stated(save, tmp_path):
    (poses,) = ct.read_poses(save(RELION_4))
    out = tmp_path / "out.star"
    with pytest.warns(GuessWarning, match=r"pixels of 1\.35 Å, so 2\.7 Å .* is not used"):
        ct.write(poses, out, dialect="4.0", tomogram_spacing=2.7)
    assert_allclose(numbers(out, XYZ), [[2000, 2000, 1000]])


def test_the_tomogram_of_binned_poses_is_no_tilt_series(tmp_path):
    """A size that somebody states in the poses' own pixels says nothing of the unbinned ones."""
    tomogram = {"dimensions": (1000, 1000, 500), "pixel_spacing": 5.4}
    poses = ct.PoseSet(
        [[500.0, 500, 250]], None, None, "TS_01", 5.4, metadata={"tomogram": tomogram}
    )
    with pytest.warns(GuessWarning, match="assumed the particles', 5.4 Å"):
        ct.write(poses, tmp_path / "out.star", dialect="4.0")


# --- no size, no doubt that is hidden ---


@pytest.mark.parametrize("size", ["0 0 0", "4000 4000 -1", "4000 4000 0"])
def test_zero_is_no_size(save, size):
    """cryoet-alignment writes 0 0 0 for unknown; x was -1000."""
    save(TOMOGRAMS.replace("4000 4000 2000", size), "tomograms.star")
    with pytest.raises(
        ReadError, match=r"size of tomogram TS_01; .*tomograms\.star does not state"
    ):
        ct.read_poses(save(PICKS))
    series = save(loop("TS_01", ["rlnTomoYTilt", "rlnTomoZRot"], "0 85", "3 85"), "ts/TS_01.star")
    labels = ["rlnTomoName", "rlnTomoTiltSeriesStarFile", "rlnTomoTiltSeriesPixelSize", *SIZES]
    listed = save(loop("global", labels, f"TS_01 {series} 1.35 {size}"), "aligned.star")
    model = ct.read_projection_model(listed)
    assert model.attrs["tomogram_dimensions"] == {}


def test_fractions_are_doubted(save):
    """Warp's template matching writes fractions of the size."""
    labels = [*XYZ, "rlnMicrographName"]
    rows = ["0.853448 0.856540 0.269231 TS_11", "0.163793 0.930380 0.730769 TS_11"]
    path = save(loop("", labels, *rows))
    with pytest.warns(GuessWarning, match="normalised=True"):
        ct.read_poses(path)
    (poses,) = ct.read_poses(
        path, normalised=True, tomogram_dimensions=(400, 400, 200), tomogram_spacing=10.0
    )
    assert_allclose(poses.position[0], [341.3792, 342.616, 53.8462])
    assert poses.pixel_spacing == 10
    # the same in tables of anybody, but not in 2D, where a picker may well find the corner
    for name, text in (("a.csv", "x,y,z\n0.5,0.25,0.75\n"), ("a.xyz", "0.5 0.25 0.75\n")):
        with pytest.warns(GuessWarning, match="between 0 and 1"):
            ct.read_poses(save(text, name))
    ct.read_poses(save(loop("", [*XYZ[:2], "rlnMicrographName"], "0.5 0.5 mic")))


def test_particles_outside_their_tomogram_are_said(save, tmp_path):
    """The net under every wrong size: how many, how far, with which size and pixels."""
    save(TOMOGRAMS, "tomograms.star")
    far = PICKS.replace("-176.94", "-17694.0")
    pattern = r"1 of 1 particles .* by up to 1\.499e\+04 Å in 'TS_01' \(its size 4000 × 4000 × 2000"
    with pytest.warns(GuessWarning, match=pattern):
        ct.read_poses(save(far))
    # a little beyond the edge is where particles are: 5 % of 4000 px
    ct.read_poses(save(PICKS.replace("-176.94", "-2960")))
    poses = ct.PoseSet([[3000.0, 10, 10]], experiment_id="TS_01", pixel_spacing=5.4)
    given = {"tomogram_dimensions": SIZE, "tomogram_spacing": 1.35}
    with pytest.warns(GuessWarning, match="outside their tomogram"):
        ct.write(poses, tmp_path / "out.star", **given)


# --- whose particles ---


def test_in_3d_the_tomogram_is_the_experiment(save, tmp_path):
    """Beside a micrograph's path, which stays a column, and is named where it cannot."""
    labels = ["rlnTomoName", "rlnMicrographName", *XYZ, "rlnOpticsGroup"]
    text = loop("optics", ["rlnOpticsGroup", "rlnMicrographPixelSize"], "1 1.0") + loop(
        "particles", labels, "TS_001 tomograms/TS_001/TS_001.st:mrc 4 8 12 1"
    )
    (poses,) = ct.read_poses(save(text))
    assert poses.experiment_id == "TS_001"
    assert poses.metadata["dialect"] == "4.0"
    assert poses.features["rlnMicrographName"].tolist() == ["tomograms/TS_001/TS_001.st:mrc"]
    out = tmp_path / "out.star"
    with pytest.warns(LossWarning, match="column rlnMicrographName"):
        ct.write(poses, out, dialect="3.1")
    assert ct.read_poses(out)[0].experiment_id == "TS_001"
    # in 2D the micrograph is
    flat = text.replace(" 12 1", " 1").replace("_rlnCoordinateZ\n", "")
    assert ct.read_poses(save(flat))[0].experiment_id.startswith("tomograms/")
