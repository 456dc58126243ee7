"""EMAN2's tlt_params, against the row of section 13 and files by hand."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import cryotypes
from cryotypes import PoseSet
from cryotypes.conventions import _table as conventions
from cryotypes.errors import GuessWarning, LossWarning, ReadError, WriteError
from cryotypes.formats.shared.declaration import Head
from cryotypes.formats.tilts import eman2_tilts

read, write, sniff = (getattr(eman2_tilts.FORMAT, name) for name in ("read", "write", "sniff"))
ANGLES = ["rotation_x", "rotation_y", "rotation_z"]
ROW = [12.5, -3.25, -85.3, 3.01, -1.5]  # section 13
BOXES = [[1.0, 2.0, 3.0, "manual", 0.0, 0]]


def info(*rows, **more) -> str:
    """A file as EMAN2 writes it."""
    return json.dumps(
        {"apix_unbin": 1.35, "tlt_file": "tiltseries/TS_01.hdf", "tlt_params": list(rows), **more}
    )


def model_of(n, **columns) -> pd.DataFrame:
    return pd.DataFrame(
        {
            **{"rotation_x": 0.5, "rotation_y": np.linspace(-60, 60, n), "rotation_z": 85.0},
            **{"dx": np.arange(n) * 1.5, "dy": 7.25, "experiment_id": "TS_01"},
            **{"pixel_spacing": 1.35, "source": "", **columns},
        },
        index=range(n),
    )


def test_the_vector_of_section_13_is_read(save):
    model = cryotypes.read_projection_model(save(info(ROW), "TS_01_info.json"))
    assert_allclose(model[[*ANGLES, "dx", "dy"]], [[1.5, -3.01, 85.3, 12.5, -3.25]])
    assert model["experiment_id"].tolist() == ["TS_01"]
    assert model["pixel_spacing"].tolist() == [1.35]
    assert model["tilt_index"].tolist() == [0]
    assert model.attrs["eman2"]["TS_01"]["info"]["tlt_file"] == "tiltseries/TS_01.hdf"


def test_the_vector_of_section_13_is_written(tmp_path):
    model = model_of(1, rotation_x=1.5, rotation_y=-3.01, rotation_z=85.3, dx=12.5, dy=-3.25)
    path = tmp_path / "TS_01_info.json"
    report = cryotypes.write(model, path, format="eman2-tilts")
    assert json.loads(path.read_text()) == {"apix_unbin": 1.35, "tlt_params": [ROW]}
    assert not report.lost
    assert {"experiment_id", "pixel_spacing"} <= set(report.kept)


@pytest.mark.parametrize("change", [{"rotation": (s, t, u)} for s, t, u in
                                    [(1, -1, -1), (-1, 1, -1), (-1, -1, 1)]]
                         + [{"offset": conventions.Offset(sign=-1)}])  # fmt: skip
def test_a_fault_in_the_convention_is_noticed(save, monkeypatch, change):
    row = replace(conventions.EMAN2_TILTS, **change)
    monkeypatch.setattr(conventions, "EMAN2_TILTS", row)
    with pytest.raises(AssertionError):
        test_the_vector_of_section_13_is_read(save)


@pytest.mark.parametrize("n", [0, 1, 41])
def test_round_trip(tmp_path, n):
    model = model_of(n)
    path = tmp_path / "TS_01_info.json"
    write(model, path)
    again = read(path)
    columns = [*ANGLES, "dx", "dy", "pixel_spacing"]
    assert_allclose(again[columns], model[columns], atol=1e-9)


def rows_of(n):
    return [[float(i), -1.0, -85.0, 3.0 * i - 6, 0.25] for i in range(n)]


def test_images_of_a_high_loss_are_left_out(save, tmp_path):
    loss = [1.0, 500.0, 500.5, 2.0, 1000.0]
    text = info(*rows_of(5), ali_loss=loss, defocus=[3.0, 3.1, 3.2, 3.3, 3.4])
    model = read(save(text, "TS_01_info.json"))
    assert model["tilt_index"].tolist() == [0, 1, 3]
    assert model["ali_loss"].tolist() == [1, 500, 2]
    assert model["defocus"].tolist() == [3.0, 3.1, 3.3]
    assert model.attrs["excluded"] == {"TS_01": [2, 4]}
    assert model.attrs["excluded_tilts"] == {"TS_01": [0, -6]}
    again = tmp_path / "again" / "TS_01_info.json"
    again.parent.mkdir()
    write(model, again)
    assert json.loads(again.read_text()) == json.loads(text)


def test_images_left_out_elsewhere_get_a_high_loss(tmp_path):
    model = model_of(3, tilt_index=[0, 2, 4])
    model.attrs["excluded"] = {"TS_01": [1, 3]}
    path = tmp_path / "TS_01_info.json"
    report = write(model, path)
    assert "interpolated for 2" in report.assumed["angles of excluded images"]
    content = json.loads(path.read_text())
    assert content["ali_loss"] == [0, 1000, 0, 1000, 0]
    assert_allclose(content["tlt_params"][1], [0, 0, -85, 30, 0])
    again = read(path)
    assert again["tilt_index"].tolist() == [0, 2, 4]
    assert again.attrs["excluded"] == {"TS_01": [1, 3]}


def test_boxes_and_tilts_of_one_file(save):
    path = save(info(ROW, boxes_3d=BOXES), "TS_01_info.json")
    options = {"tomogram_dimensions": (200, 200, 100), "pixel_spacing": 2.7}  # unbinned: 1.35 Å
    poses = cryotypes.read_poses(path, **options)
    assert_allclose(poses[0].position, [[50.5, 51, 26.5]])
    assert_allclose(cryotypes.read_projection_model(path)["dx"], 12.5)
    both = cryotypes.read(path, **options)
    assert [type(x).__name__ for x in both] == ["PoseSet", "DataFrame"]
    assert both[1]["pixel_spacing"].tolist() == [1.35]


def test_writing_tilts_leaves_boxes_and_the_other_way_round(save):
    path = save(info(ROW, boxes_3d=BOXES, class_list={"0": {"name": "a"}}, cs=2.7),
                "TS_01_info.json")  # fmt: skip
    model = model_of(2)
    report = write(model, path, overwrite=True)
    content = json.loads(path.read_text())
    assert content["boxes_3d"] == BOXES
    assert (content["cs"], content["tlt_file"]) == (2.7, "tiltseries/TS_01.hdf")
    assert_allclose(content["tlt_params"], [[0, 7.25, -85, 60, -0.5], [1.5, 7.25, -85, -60, -0.5]])
    assert "all keys but the alignment stay" in report.converted["metadata"]
    poses = PoseSet([[1, 2, 3]], experiment_id="TS_01", pixel_spacing=1.35)
    with pytest.warns(LossWarning, match="pixel_spacing"):
        cryotypes.write(
            *(poses, path), format="eman2-json", overwrite=True, tomogram_dimensions=(10, 10, 10)
        )
    assert_allclose(read(path)["dx"], model["dx"])
    assert len(json.loads(path.read_text())["boxes_3d"]) == 1


def test_shifts_are_brought_to_the_pixels_of_an_existing_file(save):
    path = save(info(ROW, boxes_3d=BOXES, ali_loss=[3.0]), "TS_01_info.json")
    report = write(model_of(2, pixel_spacing=2.7), path, overwrite=True)
    content = json.loads(path.read_text())
    assert content["apix_unbin"] == 1.35
    assert "ali_loss" not in content  # it was of one image
    assert_allclose(np.array(content["tlt_params"])[:, :2], [[0, 14.5], [3, 14.5]])
    assert "from 2.7 Å to apix_unbin, 1.35 Å" in report.converted["pixel_spacing"]
    report = write(model_of(2, pixel_spacing=0.0), path, overwrite=True)
    assert "apix_unbin, 1.35 Å" in report.assumed["pixel_spacing"]
    assert_allclose(np.array(json.loads(path.read_text())["tlt_params"])[:, 1], 7.25)


def test_boxes_of_old_files_keep_their_meaning(save):
    """Without apix_unbin boxes count from the first pixel."""
    path = save(json.dumps({"boxes_3d": BOXES}), "TS_01_info.json")
    report = write(model_of(1), path, overwrite=True)
    assert "the meaning of its boxes would change" in report.lost["pixel_spacing"]
    assert_allclose(cryotypes.read_poses(path)[0].position, [[1, 2, 3]])


def test_the_pixel_spacing_of_the_file_counts(save, tmp_path):
    """What is given is that of the tomogram, if boxes are read from the same file."""
    model = read(save(info(ROW), "TS_01_info.json"), pixel_spacing=2.0)
    assert model["pixel_spacing"].tolist() == [1.35]
    model = read(save(json.dumps({"tlt_params": [ROW]}), "TS_01_info.json"), pixel_spacing=2.0)
    assert model["pixel_spacing"].tolist() == [2.0]
    write(model, tmp_path / "again_info.json")
    content = json.loads((tmp_path / "again_info.json").read_text())
    assert (content["apix_unbin"], content["tlt_params"]) == (2.0, [ROW])


def test_old_files_without_loss_and_pixel_size(save):
    model = read(save(json.dumps({"tlt_params": rows_of(3)}), "a_info.json"))
    assert len(model) == 3
    assert model["pixel_spacing"].tolist() == [0, 0, 0]


def test_an_unknown_pixel_size_is_not_invented(tmp_path):
    with pytest.raises(WriteError, match=r"apix_unbin.*pixel_spacing"):
        write(model_of(2, pixel_spacing=0.0), tmp_path / "TS_01_info.json")
    assert not list(tmp_path.iterdir())


def test_several_experiments(tmp_path):
    model = model_of(2, experiment_id=["a", "b"])
    with pytest.raises(WriteError, match=r"\{experiment_id\}\.json"):
        write(model, tmp_path / "x.json")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("{", "expected JSON"),
        ("[1]", "expected an object with a list 'tlt_params', found list"),
        ('{"tlt_params": 5}', "expected an object with a list"),
        (info([1, 2, 3, 4]), "row 1: expected 5 numbers"),
        (info(ROW, [1, 2, 3, 4, "a"]), "row 2: expected 5 numbers"),
        (info([1, 2, 3, 4, float("nan")]), "row 1: expected 5 numbers"),
        (info(ROW, ali_loss=[1, 2]), "tlt_params has 1 rows, ali_loss 2 values"),
        (info(ROW, ali_loss=["a"]), "ali_loss: expected numbers"),
        (info(ROW, apix_unbin=-1), "apix_unbin: expected Å per pixel"),
        (info([0, 0, 0, 400, 0]), "expected tilt angles in degrees"),
    ],
)
def test_what_is_wrong_is_named(save, text, message):
    with pytest.raises(ReadError, match=message):
        read(save(text, "a_info.json"))


def test_doubts_and_losses(save):
    with pytest.warns(GuessWarning, match="all tilt angles are zero"):
        read(save(info(*[[0, 0, 0, 0, 0]] * 3), "a_info.json"))
    with pytest.warns(LossWarning, match="trans_coef"):
        read(save(info(ROW, trans_coef=[1]), "a_info.json"))


def test_sniffing(save):
    assert sniff(Head.of(save(info(ROW), "a.json")))
    assert sniff(Head.of(save("\ufeff " + info(ROW), "a.json")))
    assert not sniff(Head.of(save(json.dumps({"boxes_3d": BOXES}), "a.json")))
    assert not sniff(Head.of(save(json.dumps([{"tlt_params": []}]), "a.json")))
