"""CETS alignments: what is written leads from the tomogram to the image, in the list's order."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import cryotypes
from cryotypes.errors import AmbiguousFormatError, LossWarning, WriteError
from cryotypes.formats.tilts import cets_alignment

write = cets_alignment.FORMAT.write
TOMOGRAM, IMAGE = np.array([4096, 5760, 1200]), np.array([4092, 5760])


def model_of(**columns) -> pd.DataFrame:
    """Section 13."""
    row = {
        **{"rotation_x": 1.5, "rotation_y": -3.01, "rotation_z": 85.3, "dx": 12.5, "dy": -3.25},
        **{"experiment_id": "TS_01", "pixel_spacing": 1.35, "source": "", "tilt_index": 7},
    }
    return pd.DataFrame({**row, **columns}, index=[0])


def apply(alignment, point):
    """In the order of the list."""
    for step in alignment["sequence"]:
        if step["transformation_type"] == "affine":
            point = np.array(step["affine"]) @ point
        else:
            point = point + step["translation"]
    return point


@pytest.mark.parametrize("spacing", [1.35, 0.0])
def test_the_vector_of_section_13(tmp_path, spacing):
    path = tmp_path / "TS_01.json"
    write(model_of(pixel_spacing=spacing), path)
    content = json.loads(path.read_text())
    assert content["tilt_series_id"] == "TS_01"
    (alignment,) = content["projection_alignments"]
    assert alignment["tilt_image_id"] == "7"
    unit = "angstrom" if spacing else "pixel"
    assert alignment["input"] == f"tomogram_centred_{unit}"
    assert alignment["output"] == f"tilt_image_centred_{unit}"
    assert "tomogram to tilt image; rotate (Rz Ry Rx), then translate" in alignment["name"]
    first, second = alignment["sequence"]
    assert (first["output"], second["input"]) == (f"tilted_centred_{unit}",) * 2
    assert_allclose(first["affine"][0], [0.081825, -0.996408, 0.021788], atol=6e-7)
    shift = [16.875, -4.3875, 0] if spacing else [12.5, -3.25, 0]
    assert_allclose(second["translation"], shift)
    point = (np.array([1000, 2000, 300]) - TOMOGRAM // 2) * (spacing or 1)
    found = apply(alignment, point)[:2] / (spacing or 1) + IMAGE // 2
    assert_allclose(found, [2843.050050, 1779.177551], atol=1e-6)


def test_what_is_told(tmp_path):
    model = model_of(dose=3.0)
    model.attrs["excluded"] = {"TS_01": [2]}
    with pytest.warns(LossWarning):
        report = cryotypes.write(model, tmp_path / "a.json", format="cets-alignment")
    assert {"columns", "pixel_spacing", "excluded"} <= set(report.lost)
    assert "experimental" in report.assumed["meaning"]
    with pytest.raises(AmbiguousFormatError, match="cets-alignment"):
        cryotypes.write(model, tmp_path / "b.json")


def test_no_images_and_several_experiments(tmp_path):
    write(model_of().iloc[:0], tmp_path / "a.json")
    assert json.loads((tmp_path / "a.json").read_text())["projection_alignments"] == []
    two = pd.concat([model_of(), model_of(experiment_id="b")], ignore_index=True)
    with pytest.raises(WriteError, match=r"\{experiment_id\}\.json"):
        write(two, tmp_path / "b.json")
