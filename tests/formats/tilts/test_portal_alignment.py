"""Alignments of the CZ portal, against the entry of section 13 and files by hand."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import cryotypes
from cryotypes.conventions import _table as conventions
from cryotypes.errors import GuessWarning, LossWarning, ReadError, WriteError
from cryotypes.formats.shared.declaration import Head
from cryotypes.formats.tilts import portal_alignment

read, write, sniff = (getattr(portal_alignment.FORMAT, name) for name in ("read", "write", "sniff"))
ANGLES = ["rotation_x", "rotation_y", "rotation_z"]
VECTOR = {
    "z_index": 0,
    "tilt_angle": -3.01,
    "volume_x_rotation": 1.5,
    "in_plane_rotation": [[0.081939, -0.996637], [0.996637, 0.081939]],
    "x_offset": 12.5,
    "y_offset": -3.25,
}


def portal(*sections, **more) -> str:
    """A file as the portal has it."""
    return json.dumps(
        {
            "alignment_type": "GLOBAL",
            "format": "IMOD",
            "is_portal_standard": False,
            "affine_transformation_matrix": np.eye(4).astype(int).tolist(),
            "tilt_offset": 0,
            "x_rotation_offset": 0,
            "volume_offset": {"x": 0, "y": 0, "z": 0},
            "volume_dimension": {"x": 5529.6, "y": 7776, "z": 1620},
            "per_section_alignment_parameters": list(sections),
            **more,
        }
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
    path = save(portal(VECTOR), "TS_01.json")
    model = cryotypes.read_projection_model(path, pixel_spacing=1.35)
    assert_allclose(model[ANGLES], [[1.5, -3.01, 85.3]], atol=1e-4)
    assert_allclose(model[["dx", "dy"]], [[12.5, -3.25]])
    assert model["experiment_id"].tolist() == ["TS_01"]
    assert model["tilt_index"].tolist() == [0]
    # 5529.6 Å of 1.35 Å
    assert model.attrs["tomogram_dimensions"] == {"TS_01": (4096, 5760, 1200)}


def test_the_vector_of_section_13_is_written(tmp_path):
    model = model_of(1, rotation_x=1.5, rotation_y=-3.01, rotation_z=85.3, dx=12.5, dy=-3.25)
    model.attrs["tomogram_dimensions"] = (4096, 5760, 1200)
    path = tmp_path / "TS_01.json"
    write(model, path, alignment_format="IMOD")
    content = json.loads(path.read_text())
    section = content["per_section_alignment_parameters"][0]
    assert_allclose(section.pop("in_plane_rotation"), VECTOR["in_plane_rotation"], atol=5e-7)
    assert section == {key: VECTOR[key] for key in section}
    assert len(section) == 5
    assert_allclose(list(content["volume_dimension"].values()), [5529.6, 7776, 1620])
    assert (content["format"], content["alignment_type"]) == ("IMOD", "GLOBAL")


def test_offsets_in_angstrom(save, tmp_path):
    section = {**VECTOR, "x_offset": 16.875, "y_offset": -4.3875}
    path = save(portal(section), "TS_01.json")
    model = read(path, offset_unit="angstrom", pixel_spacing=1.35)
    assert_allclose(model[["dx", "dy"]], [[12.5, -3.25]])
    write(model, tmp_path / "again.json")
    again = json.loads((tmp_path / "again.json").read_text())["per_section_alignment_parameters"]
    assert_allclose([again[0]["x_offset"], again[0]["y_offset"]], [16.875, -4.3875])
    with pytest.raises(ReadError, match="give pixel_spacing="):
        read(path, offset_unit="angstrom")
    with pytest.raises(WriteError, match="pixel_spacing"):
        write(model.assign(pixel_spacing=0.0), tmp_path / "x.json", offset_unit="angstrom")


FAULTS = [{"rotation": signs} for signs in [(-1, 1, 1), (1, -1, 1), (1, 1, -1)]]
FAULTS += [{"offset": conventions.Offset(sign=-1)}, {"frame": "aligned"}]


@pytest.mark.parametrize("change", FAULTS)
def test_a_fault_in_the_convention_is_noticed(save, monkeypatch, change):
    row = replace(conventions.CZ_PORTAL_TILTS, **change)
    monkeypatch.setitem(portal_alignment._UNITS, "pixel", row)
    with pytest.raises((AssertionError, LossWarning)):
        test_the_vector_of_section_13_is_read(save)


@pytest.mark.parametrize("n", [0, 1, 41])
def test_round_trip(tmp_path, n):
    model = model_of(n)
    path = tmp_path / "TS_01.json"
    write(model, path, alignment_format="IMOD")
    again = read(path, pixel_spacing=1.35)
    columns = [*ANGLES, "dx", "dy", *(["pixel_spacing"] if n else [])]
    assert_allclose(again[columns], model[columns], atol=1e-9)


def test_all_that_is_in_the_file_is_written_back(save, tmp_path):
    sections = [{**VECTOR, "z_index": i, "tilt_angle": 3.0 * i, "note": i} for i in (1, 4)]
    text = portal(*sections, tilt_offset=0.0, more={"a": [1]})
    model = read(save(text, "TS_01.json"))
    assert model["tilt_index"].tolist() == [1, 4]
    assert model.attrs["excluded"] == {"TS_01": [0, 2, 3]}
    (tmp_path / "again").mkdir()
    write(model, tmp_path / "again" / "TS_01.json")
    old, new = json.loads(text), json.loads((tmp_path / "again" / "TS_01.json").read_text())
    lists = [c.pop("per_section_alignment_parameters") for c in (old, new)]
    assert old == new
    for before, after in zip(*lists, strict=True):
        assert_allclose(after.pop("in_plane_rotation"), before.pop("in_plane_rotation"), atol=1e-6)
        assert before == after


def test_the_unit_of_other_programs_is_a_guess(save):
    with pytest.warns(GuessWarning, match="assumed pixels.*offset_unit="):
        read(save(portal(VECTOR, format="WARP"), "a.json"))
    with pytest.warns(GuessWarning, match="assumed pixels"):
        read(save(portal(VECTOR, format=None), "a.json"))
    read(save(portal(VECTOR, format="WARP"), "a.json"), offset_unit="pixel")
    read(save(portal(VECTOR, format="ARETOMO3"), "a.json"))


def test_old_entries_are_lines_of_xf(save):
    """Section 13's line of an .xf file, from the raw to the aligned image."""
    section = {
        **VECTOR,
        "in_plane_rotation": [0.0819385, 0.9966374, -0.9966374, 0.0819385],
        "x_offset": 2.215,
        "y_offset": 12.724,
    }
    path = save(portal(section), "a.json")
    model = read(path)
    assert_allclose(model[ANGLES], [[1.5, -3.01, 85.3]], atol=1e-4)
    assert_allclose(model[["dx", "dy"]], [[12.5, -3.25]], atol=1e-3)
    path = save(portal({**section, "tilt_angle": None}), "a.json")
    with pytest.raises(ReadError, match="tilt_angles="):
        read(path)
    assert_allclose(read(path, tilt_angles=save("-3.01\n", "a.tlt"))["rotation_y"], -3.01)
    with pytest.raises(ReadError, match="offsets are pixels"):
        read(path, offset_unit="angstrom", pixel_spacing=1, tilt_angles=save("-3.01\n", "a.tlt"))
    path = save(portal({**section, "z_index": 1}), "a.json")
    with pytest.raises(ReadError, match=r"z_index 1 needs 2 tilt angles, .*a.tlt has 1"):
        read(path, tilt_angles=save("-3.01\n", "a.tlt"))


@pytest.mark.parametrize(
    ("more", "warning", "message"),
    [
        ({"tilt_offset": 2.5}, GuessWarning, "tilt_offset 2.5: assumed to be in the angles"),
        ({"x_rotation_offset": 1}, GuessWarning, "x_rotation_offset 1: assumed"),
        ({"volume_offset": {"x": 0, "y": 3, "z": 0}}, LossWarning, "cannot hold volume_offset"),
        ({"affine_transformation_matrix": np.diag([2.0, 1, 1, 1]).tolist()}, LossWarning, "affine"),
        ({"alignment_type": "LOCAL"}, LossWarning, "local alignment"),
    ],
)
def test_what_stands_beside_the_sections(save, more, warning, message):
    with pytest.warns(warning, match=message):
        read(save(portal(VECTOR, **more), "a.json"))


def test_offsets_of_aretomo_are_in_the_angles(save):
    """Nothing is added to them, and as that is known, nothing is said (a warning is an error)."""
    model = read(save(portal(VECTOR, format="ARETOMO3", tilt_offset=2.5), "a.json"))
    assert_allclose(model[ANGLES], [[1.5, -3.01, 85.3]], atol=1e-4)
    assert_allclose(model[["dx", "dy"]], [[12.5, -3.25]])


def test_magnification_is_kept_but_not_held(save, tmp_path):
    matrix = (1.02 * np.array(VECTOR["in_plane_rotation"])).tolist()
    with pytest.warns(LossWarning, match=r"magnification 1\.02, 20 px per 1000 px"):
        model = read(save(portal({**VECTOR, "in_plane_rotation": matrix}), "TS_01.json"))
    assert_allclose(model["rotation_z"], 85.3, atol=1e-4)
    write(model, tmp_path / "b.json")
    again = json.loads((tmp_path / "b.json").read_text())["per_section_alignment_parameters"][0]
    assert_allclose(again["in_plane_rotation"], matrix, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tilt_angle": "a"}, "section 1, tilt_angle: expected a number"),
        ({"x_offset": None}, "section 1, x_offset: expected a number"),
        ({"z_index": -1}, "z_index: expected positions"),
        ({"z_index": 0.5}, "z_index: expected positions"),
        ({"in_plane_rotation": [[1, 0]]}, "in_plane_rotation: expected a rotation"),
        ({"in_plane_rotation": [[1, 0], [0, -1]]}, "in_plane_rotation: expected a rotation"),
        ({"in_plane_rotation": [1, 0, "a", 1]}, "in_plane_rotation: expected a rotation"),
        ({"tilt_angle": 720}, "expected tilt angles in degrees"),
    ],
)
def test_what_is_wrong_is_named(save, change, message):
    with pytest.raises(ReadError, match=message):
        read(save(portal({**VECTOR, **change}), "a.json"))


@pytest.mark.parametrize("text", ["", "[]", "{}", "{", '{"per_section_alignment_parameters": [1]}'])
def test_other_files(save, text):
    with pytest.raises(ReadError):
        read(save(text, "a.json"))


def test_a_section_stands_twice(save):
    with pytest.raises(ReadError, match="each of them once"):
        read(save(portal(VECTOR, VECTOR), "a.json"))


def test_what_cannot_be_written_is_told(tmp_path):
    model = model_of(2, tilt_index=[0, 2], odd="x")
    model.attrs["excluded"] = {"TS_01": [1, 3]}
    model.attrs["tilt_image_dimensions"] = (4, 4)
    with pytest.warns(LossWarning, match="tilt_image_dimensions: the format has none"):
        report = cryotypes.write(
            model.assign(pixel_spacing=0.0), tmp_path / "TS_01.json", format="portal-alignment"
        )
    assert set(report.lost) == {"excluded", "columns", "tilt_image_dimensions"}
    model.attrs["tomogram_dimensions"] = (4, 4, 4)
    report = write(model.assign(pixel_spacing=0.0), tmp_path / "TS_02.json")
    assert {"tomogram_dimensions", "experiment_id"} <= set(report.lost)
    with pytest.raises(WriteError, match=r"\{experiment_id\}\.json"):
        write(model_of(2, experiment_id=["a", "b"]), tmp_path / "x.json")


def test_sniffing(save):
    assert sniff(Head.of(save(portal(VECTOR), "a.json")))
    assert not sniff(Head.of(save('{"points": []}', "a.json")))
    assert not sniff(Head.of(save('{"tlt_params": []}', "a.json")))
