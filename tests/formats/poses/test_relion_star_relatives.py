"""Programs that write RELION's columns in their own sense: Warp, pytom-match-pick, pickers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy.spatial.transform import Rotation

import cryotypes as ct
from cryotypes.errors import LossWarning

O = Rotation.from_euler("ZYZ", [25, 40, 70], degrees=True).inv()


@pytest.fixture
def save(tmp_path):
    def save(text, name="poses.star"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return save


def loop(names, *rows, block=""):
    labels = "".join(f"_rln{name} #{i}\n" for i, name in enumerate(names.split(), 1))
    return f"\ndata_{block}\n\nloop_\n{labels}" + "".join(f"{row}\n" for row in rows)


def test_coordinates_of_one_micrograph_are_called_by_the_file(save):
    path = save(loop("CoordinateX CoordinateY AutopickFigureOfMerit", "101 90 0.5"), "mic_001.star")
    poses = ct.read_poses(path)[0]
    assert poses.experiment_id == "mic_001"
    assert_allclose(poses.position, [[101, 90, 0]])
    assert poses.features["rlnAutopickFigureOfMerit"].tolist() == [0.5]


def test_coordinates_of_one_micrograph_go_back_without_a_name(save, tmp_path):
    path = save(loop("CoordinateX CoordinateY", "101 90"), "mic_001.star")
    out = tmp_path / "again.star"
    ct.write(ct.read_poses(path), out)
    assert "rlnMicrographName" not in out.read_text()
    assert_allclose(ct.read_poses(out)[0].position, [[101, 90, 0]])


def test_pytom_match_pick(save):
    """rlnDetectorPixelSize is the voxel size, without a magnification; coordinates are voxels."""
    names = "CoordinateX CoordinateY CoordinateZ AngleRot AngleTilt AnglePsi LCCmax"
    text = loop(f"{names} DetectorPixelSize MicrographName", "10 20 30 25 40 70 0.3 13.79 TS_01")
    poses = ct.read_poses(save(text))[0]
    assert poses.pixel_spacing == 13.79
    assert_allclose(poses.position, [[10, 20, 30]])
    assert_allclose((poses.orientation * O.inv()).magnitude(), 0, atol=1e-9)


CENTRED = loop(
    "TomoName CenteredCoordinateXAngst CenteredCoordinateYAngst CenteredCoordinateZAngst "
    "TomoTiltSeriesPixelSize",
    "TS_01 20 -10 6 2",
)


def test_the_pickers_centre_is_one_pixel_less(save):
    size = (100, 102, 50)
    path = save(CENTRED)
    usual = ct.read_poses(path, tomogram_dimensions=size)[0]
    picker = ct.read_poses(path, tomogram_dimensions=size, picker_centre=True)[0]
    assert_allclose(usual.position, [[60, 46, 28]])
    assert_allclose(picker.position, [[59, 45, 27]])


def test_normalised_coordinates_are_fractions_of_the_tomogram(save):
    text = loop("CoordinateX CoordinateY CoordinateZ MicrographName", "0.25 0.5 0.1 TS_01.tomostar")
    path = save(text)
    size = (400, 300, 100)
    options = {"normalised": True, "tomogram_dimensions": size, "tomogram_spacing": 5.0}
    for spacing, scale in (({}, 1.0), ({"pixel_spacing": 10.0}, 0.5)):
        (poses,) = ct.read_poses(path, **options, **spacing)
        assert_allclose(poses.position, np.multiply([[100, 150, 10]], scale))
        assert poses.pixel_spacing == 5.0 / scale
    with pytest.raises(ValueError, match="need the size of tomogram"):
        ct.read_poses(path, normalised=True, pixel_spacing=10.0)


def test_warp_gets_one_pixel_size_and_no_shifts(tmp_path):
    """WarpTools reads coordinates in pixels of --coords_angpix, and M ignores rlnOrigin."""
    optics = pd.DataFrame(
        {"rlnOpticsGroup": [1], "rlnImagePixelSize": [8.0], "rlnVoltage": [300.0]}
    )
    poses = ct.PoseSet(
        np.array([[10.0, 20.0, 30.0]]),
        np.array([[1.0, -2.0, 3.0]]),
        Rotation.concatenate([O]),
        "TS_01.tomostar",
        2.0,
        features=pd.DataFrame({"rlnOpticsGroup": [1]}),
        metadata={"blocks": {"optics": optics}},
    )
    path = tmp_path / "warp.star"
    report = ct.write(poses, path, dialect="warp")
    assert "shift" in report.converted
    text = path.read_text()
    assert "rlnOrigin" not in text
    assert "rlnImagePixelSize" not in text
    back = ct.read_poses(path)[0]
    assert back.pixel_spacing == 2.0
    assert back.experiment_id == "TS_01.tomostar"
    assert_allclose(back.position, [[11, 18, 33]])
    assert_allclose((back.orientation * O.inv()).magnitude(), 0, atol=1e-9)
    assert back.features["rlnVoltage"].tolist() == [300.0]


@pytest.mark.parametrize(
    ("tilt", "binning"),
    [(2.0, 4.0), (8.0, 1.0)],  # as written up to 2026-07, and since
)
def test_warptools_2d_coordinates_are_pixels_of_the_images(save, tmp_path, tilt, binning):
    optics = loop(
        "OpticsGroup TomoTiltSeriesPixelSize TomoSubtomogramBinning ImagePixelSize",
        f"1 {tilt} {binning} 8.0",
        block="optics",
    )
    particles = loop(
        "TomoName CoordinateX CoordinateY CoordinateZ OpticsGroup TomoVisibleFrames",
        "TS_01.tomostar 10 20 30 1 [1,0,1]",
        block="particles",
    )
    path = save(optics + particles)
    poses = ct.read_poses(path)[0]
    assert poses.pixel_spacing == 8.0
    out = tmp_path / "again.star"
    ct.write(poses, out)
    again = ct.read_poses(out)[0]
    assert again.pixel_spacing == 8.0
    assert_allclose(again.position, [[10, 20, 30]])


def test_relion_5_to_warp_names_what_is_lost(save, tmp_path):
    path = save(loop("TomoSubTomosAre2DStacks", "1", block="general") + CENTRED)
    poses = ct.read_poses(path, tomogram_dimensions=(100, 102, 50))
    with pytest.warns(LossWarning, match="general"):
        ct.write(poses, tmp_path / "warp.star", dialect="warp")


def test_a_group_that_the_optics_lack_is_named(save):
    """cryoCAT 0.7.1 writes particles of group 0.0 beside optics of group 1."""
    optics = loop("OpticsGroup TomoTiltSeriesPixelSize", "1 2.5", block="optics")
    names = " ".join(f"CenteredCoordinate{axis}Angst" for axis in "XYZ")
    particles = loop(f"TomoName {names} OpticsGroup", "TS_01 0 0 0 0.0", block="particles")
    with pytest.raises(ValueError, match=r"the optics have no group 0\.0 \(there is 1\)"):
        ct.read_poses(save(optics + particles), tomogram_dimensions=(100, 100, 100))
