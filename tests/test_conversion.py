"""Conversions of several files at once."""

import numpy as np
import pandas as pd
import pytest

import cryotypes as ct
from cryotypes.errors import WriteError


def series(path, shift):
    path.parent.mkdir(parents=True, exist_ok=True)
    angles = np.linspace(-60, 60, 7)
    model = pd.DataFrame({"rotation_y": angles, "rotation_z": 85.0, "dx": shift, "dy": 0.0})
    model = model.assign(experiment_id="TS_1", tilt_index=range(7))
    model.attrs["tilt_image_dimensions"] = (40, 40)
    ct.write(model, path)
    return path


def test_two_series_of_one_name_are_not_merged(tmp_path):
    """They became one series of 14 images, with the images of both."""
    sources = [
        series(tmp_path / folder / "TS_1.aln", shift) for folder, shift in (("a", 1), ("b", 5))
    ]
    with pytest.raises(
        WriteError,
        match=r"two tilt series are called 'TS_1': .*a/TS_1.aln and .*b/.*--name '\{stem\}'",
    ):
        ct.convert(sources, tmp_path / "out.star")
    assert not (tmp_path / "out.star").exists()
