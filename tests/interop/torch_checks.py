"""torch-tilt-series projects points as we do, where it reads an alignment rightly.

test_torch.py runs this where torch-tilt-series is installed. Left out is what it is known to get
wrong: the tilt axis from the .edf where the solved one differs, and OFFSET of tilt.com.
"""

import mrcfile  # noqa: TID253
import numpy as np
import pandas as pd
import pytest
import torch
from torch_tilt_series import TiltSeries

import cryotypes
from cryotypes.errors import LossWarning

N, PIXEL = 41, 2.5


@pytest.fixture
def points():
    """In pixels from the centre, xyz."""
    return np.random.default_rng(0).uniform(-1, 1, (200, 3)) * [900, 700, 150]


def model_of(axis, tilt_about_x):
    rng = np.random.default_rng(1)
    model = pd.DataFrame(
        {
            "rotation_x": tilt_about_x, "rotation_y": np.arange(-60, 61, 3.0), "rotation_z": axis,
            "dx": rng.uniform(-40, 40, N), "dy": rng.uniform(-40, 40, N), "experiment_id": "ts",
            "pixel_spacing": 0.0, "source": "",
        }
    )  # fmt: skip
    model.attrs["tilt_image_dimensions"] = {"ts": (2000, 1600)}
    return model


def ours(model, points):
    matrices = cryotypes.projection_model_to_projection_matrices(model, (0, 0), (0, 0, 0))
    homogeneous = np.c_[points, np.ones(len(points))]
    return np.einsum("nij,pj->npi", matrices, homogeneous)[..., :2]


def theirs(series, points):
    zyx = torch.tensor(points[:, ::-1].copy() * PIXEL).float()
    projected = series.project_points(zyx).numpy() / PIXEL
    return (projected if len(projected) == N else projected.swapaxes(0, 1))[..., ::-1]


@pytest.mark.parametrize(("axis", "tilt_about_x", "stage"), [(85.3, 0.0, 0.0), (-12.0, 3.0, 1.5)])
def test_etomo_directory(tmp_path, points, axis, tilt_about_x, stage):
    with pytest.warns(LossWarning):
        cryotypes.write(model_of(axis, tilt_about_x), tmp_path / "ts.xf")
    (tmp_path / "ts.rawtlt").write_text((tmp_path / "ts.tlt").read_text())
    mrcfile.write(tmp_path / "ts.mrc", np.zeros((N, 8, 8), np.int8))
    (tmp_path / "ts.edf").write_text(
        f"Setup.DatasetName=ts\nSetup.RawImageStackExt=mrc\nSetup.ImageRotationA={axis}\n"
        "Setup.AxisA.ExcludeProjections=\n"
    )
    commands = (tmp_path / "ts_tilt.com").read_text()
    (tmp_path / "ts_tilt.com").unlink()
    (tmp_path / "tilt.com").write_text(commands.replace("XAXISTILT 0.0", f"XAXISTILT {stage}"))
    model = cryotypes.read_projection_model(tmp_path)
    series = TiltSeries.from_etomo_directory(tmp_path, pixel_spacing=PIXEL)
    np.testing.assert_allclose(ours(model, points), theirs(series, points), atol=2e-3)


def test_aretomo_aln(tmp_path, points):
    cryotypes.write(model_of(85.3, 0.0), tmp_path / "ts.aln")
    model = cryotypes.read_projection_model(tmp_path / "ts.aln")
    series = TiltSeries.from_aretomo_output(tmp_path / "ts.aln", PIXEL)
    np.testing.assert_allclose(ours(model, points), theirs(series, points), atol=2e-3)
