"""EMAN2's info JSON: centred coordinates by hand, and keys that survive."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from cryotypes import PoseSet, read_poses
from cryotypes import write as ct_write
from cryotypes.errors import LossWarning, ReadError, WriteError
from cryotypes.formats.poses.eman2_json import read, sniff, write
from cryotypes.formats.shared.declaration import Head

INFO = {
    "ali_loss": [1.5, 2.5],
    "apix_unbin": 2.5,
    "boxes_3d": [
        [10, -20.5, 4, "manual", 0.0, 0],
        [0, 0, 0, "tm", 0.75, 1, 9],
        [1, 2, 3],
    ],
    "class_list": {
        "0": {"boxsize": 48, "name": "ribosome"},
        "1": {"boxsize": 20, "name": "gold"},
    },
    "tlt_file": "tiltseries/TS_01.hdf",
    "tlt_params": [[0.0, 1.0, 2.0, 3.0, 4.0]],
    "xform": {"__class__": "Transform", "matrix": "[1,0,0,0,0,1,0,0,0,0,1,0]"},
}
SIZE, APIX = (401, 400, 151), 10.0


@pytest.fixture
def info_file(save):
    def make(changes=(), name="TS_01_info.json", **values):
        info = {k: v for k, v in {**INFO, **values}.items() if k not in changes}
        return save(json.dumps(info), name)

    return make


def test_centred_coordinates(info_file):
    """From n // 2 of the tomogram, in pixels of apix_unbin: 2.5 of 10 Å is a quarter."""
    [poses] = read(info_file(), tomogram_dimensions=SIZE, tomogram_spacing=APIX, pixel_spacing=APIX)
    expected = [[200 + 2.5, 200 - 5.125, 75 + 1], [200, 200, 75], [200.25, 200.5, 75.75]]
    np.testing.assert_allclose(poses.position, expected, atol=1e-12)
    assert poses.experiment_id == "TS_01"
    assert poses.pixel_spacing == APIX
    assert poses.features["method"].tolist() == ["manual", "tm", "manual"]
    assert poses.features["score"].tolist() == [0, 0.75, 0]
    assert poses.features["class"].tolist() == [0, 1, 0]
    assert poses.features["class_name"].tolist() == ["ribosome", "gold", "ribosome"]
    assert poses.metadata["info"]["tlt_params"] == INFO["tlt_params"]


def test_apix_as_text(info_file):
    [poses] = read(
        info_file(apix_unbin="2.5"),
        tomogram_dimensions=SIZE,
        tomogram_spacing=APIX,
        pixel_spacing=APIX,
    )
    np.testing.assert_allclose(poses.position[0], [202.5, 194.875, 76])


def test_old_files_count_from_the_first_pixel(info_file):
    path = info_file(["apix_unbin"])
    [poses] = read(path)
    np.testing.assert_array_equal(poses.position[0], [10, -20.5, 4])
    assert poses.pixel_spacing == 0
    write([poses], path, overwrite=True)
    np.testing.assert_array_equal(read(path)[0].position, poses.position)
    assert "apix_unbin" not in json.loads(path.read_text())


def test_what_is_missing_is_named(info_file):
    with pytest.raises(ReadError, match="pixel_spacing="):
        read(info_file(), tomogram_dimensions=SIZE, tomogram_spacing=APIX)
    with pytest.raises(ReadError, match="tomogram_dimensions="):
        read(info_file(), pixel_spacing=APIX)
    assert len(read(info_file(boxes_3d=[]))[0]) == 0


def test_everything_else_survives(info_file, tmp_path):
    [poses] = read(info_file(), tomogram_dimensions=SIZE, tomogram_spacing=APIX, pixel_spacing=APIX)
    path = tmp_path / "new" / "TS_01_info.json"
    path.parent.mkdir()
    report = write([poses], path)
    assert list(report.lost) == ["pixel_spacing"]
    written = json.loads(path.read_text())
    assert {k: v for k, v in written.items() if k != "boxes_3d"} == {
        k: v for k, v in INFO.items() if k != "boxes_3d"
    }
    assert written["boxes_3d"][0][3:6] == ["manual", 0.0, 0]
    assert written["boxes_3d"][1][3:] == ["tm", 0.75, 1, 9]
    np.testing.assert_allclose([b[:3] for b in written["boxes_3d"]],
                               [b[:3] for b in INFO["boxes_3d"]], atol=1e-9)  # fmt: skip


def test_an_existing_file_keeps_its_alignment(info_file, tmp_path):
    """Particles from elsewhere replace the boxes and nothing else."""
    path = info_file()
    poses = PoseSet([[202.5, 194.875, 76]], experiment_id="TS_01", pixel_spacing=APIX)
    with pytest.raises(WriteError, match="tomogram_dimensions="):
        write([poses], path, overwrite=True)
    report = write([poses], path, overwrite=True, tomogram_dimensions=SIZE, tomogram_spacing=APIX)
    assert "existing file" in report.converted["metadata"]
    written = json.loads(path.read_text())
    assert written["tlt_params"] == INFO["tlt_params"]
    assert written["apix_unbin"] == 2.5
    assert written["boxes_3d"] == [[10, -20.5, 4, "manual", 0.0, 0]]


def test_a_new_file_is_minimal(tmp_path):
    features = pd.DataFrame({"class": [3], "class_name": ["spike"]})
    poses = PoseSet([[50.0, 50, 25]], features=features, experiment_id="a", pixel_spacing=4.0)
    path = tmp_path / "a_info.json"
    size = {"tomogram_dimensions": (100, 100, 50), "tomogram_spacing": 4.0}
    report = write([poses], path, **size, box_size=32)
    assert json.loads(path.read_text()) == {
        "apix_unbin": 4.0,
        "boxes_3d": [[0, 0, 0, "manual", 0.0, 3]],
        "class_list": {"3": {"boxsize": 32, "name": "spike"}},
    }
    assert set(report.assumed) == {"apix_unbin", "method", "score"}


def test_binned_particles_are_scaled(info_file, tmp_path):
    """Written from another tomogram's size and pixel: the same place in Å."""
    [poses] = read(info_file(), tomogram_dimensions=(1600, 1600, 600), pixel_spacing=10.0)
    poses.position, poses.pixel_spacing = poses.position * 2, 5.0
    path = tmp_path / "b_info.json"
    write([poses], path)
    written = json.loads(path.read_text())["boxes_3d"]
    np.testing.assert_allclose([b[:3] for b in written], [[10, -20.5, 4], [0, 0, 0], [1, 2, 3]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "expected JSON"),
        ("[1]", "expected an object with a list 'boxes_3d', found list"),
        ('{"a": 1}', "found a"),
        ('{"boxes_3d": 5}', "found boxes_3d"),
        ('{"boxes_3d": [[1, 2]]}', r"box 1: expected \[x, y, z"),
        ('{"boxes_3d": [[1, 2, 3], 4]}', "box 2: expected"),
        ('{"boxes_3d": [[1, 2, "3"]]}', "box 1: expected"),
        ('{"boxes_3d": [[1, 2, NaN]]}', "box 1, z: expected a finite"),
        ('{"boxes_3d": [[1, 2, 1' + "0" * 400 + "]]}", "boxes_3d: expected coordinates"),
        ('{"boxes_3d": [[1, 2, 3]], "apix_unbin": [2]}', "apix_unbin: expected"),
        ('{"boxes_3d": [[1, 2, 3]], "apix_unbin": 0}', "apix_unbin: expected"),
        ("[" * 100_000, "expected JSON"),
    ],
)
def test_bad_files_are_named(text, message, save):
    with pytest.raises(ReadError, match=message):
        read(save(text, "a_info.json"))


def test_several_pixel_sizes_are_refused(tmp_path):
    data = [PoseSet([[1.0, 2, 3]], pixel_spacing=s) for s in (1.0, 2.0)]
    with pytest.raises(WriteError, match="expected one pixel size"):
        write(data, tmp_path / "a_info.json", tomogram_dimensions=SIZE, tomogram_spacing=APIX)


@pytest.mark.parametrize("size", [(1, 2), (1, 2, 3, 4)])
def test_a_size_has_three_sides(size, info_file, tmp_path):
    with pytest.raises(ValueError, match="expected x, y, z"):
        read(info_file(), tomogram_dimensions=size, pixel_spacing=1.0)
    with pytest.raises(ValueError, match="expected x, y, z"):
        write([PoseSet([[1.0, 2, 3]], pixel_spacing=1.0)], tmp_path / "a", tomogram_dimensions=size)


def test_odd_features_become_json(tmp_path):
    features = pd.DataFrame(
        {"method": ['a "b"', None], "score": [np.nan, 1.0], "class": pd.array([1, None], "Int64")}
    )
    path = tmp_path / "a_info.json"
    write([PoseSet(np.zeros((2, 3)), features=features, pixel_spacing=1.0)], path,
          tomogram_dimensions=(2, 2, 2), tomogram_spacing=1.0)  # fmt: skip
    boxes = json.loads(path.read_text())["boxes_3d"]
    assert [box[3] for box in boxes] == ['a "b"', "manual"]
    assert [box[4] for box in boxes] == [0, 1]
    assert [box[5] for box in boxes] == [1, 0]


def test_sniff_is_not_greedy():
    def head(text):
        from pathlib import Path

        return Head(Path("a_info.json"), text)

    assert sniff(head(b'\xef\xbb\xbf {"boxes_3d": []}'))
    for text in (b"{}", b'["boxes_3d"]', b"boxes_3d", b'{"boxes": []}', b'{"apix_unbin": 1}'):
        assert not sniff(head(text))


def test_through_the_front_door(info_file, tmp_path):
    """The pixel size of the tomogram is the one thing that the file cannot tell."""
    [poses] = read_poses(
        info_file(), tomogram_dimensions=SIZE, tomogram_spacing=APIX, pixel_spacing=APIX
    )
    with pytest.warns(LossWarning, match="pixel_spacing: 10 Å"):
        ct_write(poses, info_file(), format="eman2-json", overwrite=True)
