"""AV3's motive lists as EM files: headers, machines, and what 32 bits hold."""

from __future__ import annotations

import struct

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial.transform import Rotation

import cryotypes
from cryotypes import PoseSet
from cryotypes.errors import ReadError, WriteError
from cryotypes.formats.poses.motl_em import read, sniff, write
from cryotypes.formats.shared.declaration import Head
from cryotypes.io import identify
from cryotypes.testing import assert_same


def em_bytes(order: str = "<", kind: str = "f4") -> bytes:
    """The same five as an EM file, packed by hand: 20 numbers each."""
    rows = [
        #  score     numbers        x  y  z   shifts    free   phi psi theta class
        [0.31, 0, 0, 1, 3, 1, 0, 11, 21, 31, 1, -2, 3, 0, 0, 0, 65, -160, 40, 1],
        [0.32, 0, 0, 2, 3, 1, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2],
        [0.33, 0, 0, 5, 12, 1, 0, 2.5, 3.25, 4.125, 0.5, 0, 0, 0, 0, 0, 90, 0, 0, 1],
        [0.30, 0, 0, 6, 3, 1, 0, -3, 6, -5, 0, -0.25, 0, 0, 0, 0, 0, 0, 90, 2],
        [0.35, 0, 0, 7, 12, 1, 0, 1001, 1, 8, 0, 0, 1, 0, 0, 0, 0, 90, 90, 1],
    ]
    machine = 6 if order == "<" else 5
    header = bytes([machine, 0, 0, {"f4": 5, "f8": 9}[kind]]) + struct.pack(f"{order}3i", 20, 5, 1)
    return header + bytes(496) + np.array(rows, dtype=order + kind).tobytes()


def check_poses(found, save) -> None:
    """They must be those of the plain list, which test_fixed_columns knows by hand."""
    assert_same(found, read(save(em_bytes(), "plain.em")), tolerance=SINGLE)


SINGLE = {"position": 1e-4, "shift": 1e-6, "orientation": 1e-4, "features": 1e-6}


def test_numbers_of_some_particles_only(tmp_path):
    poses = [
        PoseSet([[1, 2, 3]], experiment_id="1", features=pd.DataFrame({"subtomo_num": [7]})),
        PoseSet([[1, 2, 3]], experiment_id="2"),
    ]
    report = write(poses, tmp_path / "a.em")
    assert report.converted["subtomo_num"] == "1 to n; not every particle had a whole number"
    assert [p.features["subtomo_num"].tolist() for p in read(tmp_path / "a.em")] == [[1], [2]]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_files_of_other_machines(save, order, kind):
    path = save(em_bytes(order, kind), "a.em")
    check_poses(read(path), save)
    assert identify(path, "poses").name == "motl-em"


def test_arrays_the_other_way_round(save):
    raw = em_bytes()
    values = np.frombuffer(raw[512:], "<f4").reshape(5, 20)
    path = save(raw[:4] + struct.pack("<3i", 5, 20, 1) + raw[16:512] + values.T.tobytes(), "a.em")
    check_poses(read(path), save)
    assert not sniff(Head.of(path))  # nor to be told from an image


def test_headers_come_back(save, tmp_path):
    raw = em_bytes()
    raw = raw[:16] + bytes(range(1, 81)) + raw[96:]
    write(read(save(raw, "a.em")), tmp_path / "b.em")
    assert (tmp_path / "b.em").read_bytes()[:512] == raw[:512]


def test_numbers_that_32_bits_do_not_hold(tmp_path):
    large = 2**24 + 1
    features = pd.DataFrame({"object": [large]})
    with pytest.raises(WriteError, match=f"column object: expected at most {2**24}"):
        write([PoseSet([[1, 2, 3]], features=features)], tmp_path / "a.em")
    with pytest.raises(WriteError, match="position: expected numbers that fit into 32 bits"):
        write([PoseSet([[1, 2, 1e39]])], tmp_path / "a.em")
    assert not list(tmp_path.iterdir())
    report = write([PoseSet([[1e7 + 1 / 3, 2, 3]])], tmp_path / "a.em")
    assert report.lost["position"] == "rounded to 32 bits, by up to 0.33 px"
    # a tomogram's number finds a smaller one, and a map
    write([PoseSet([[1, 2, 3]], experiment_id="20240315")], tmp_path / "b.em")
    assert (tmp_path / "b.doc").read_text() == "1 20240315\n"
    assert read(tmp_path / "b.em")[0].experiment_id == "20240315"


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "found nothing"),
        (b"MRC" * 200, "expected an EM file"),
        (em_bytes()[:-4], "expected 912 bytes for 20 × 5 numbers, found 908"),
        (em_bytes()[:4] + struct.pack("<3i", 20, 5, 2) + em_bytes()[16:], "found 20 × 5 × 2"),
        (em_bytes()[:4] + struct.pack("<3i", 10, 10, 1) + em_bytes()[16:], "found 10 × 10 × 1"),
        (em_bytes()[:4] + struct.pack("<3i", 20, -5, 1) + em_bytes()[16:], "found 20 × -5 × 1"),
        (em_bytes()[:540] + b"\0\0\xc0\x7f" + em_bytes()[544:], "row 1, x: expected a finite"),
    ],
)
def test_files_that_are_no_lists(save, raw, message):
    with pytest.raises(ReadError, match=message):
        read(save(raw, "a.em"))


@pytest.mark.parametrize("file", ["au_1.em", "motl_c10x10.em"])
def test_real_motive_lists(shared_data, tmp_path, file):
    path = shared_data / "motl" / file
    found = cryotypes.read_poses(path)
    report = write(found, tmp_path / "a.em")
    assert not report.lost
    assert not report.converted
    before, after = path.read_bytes(), (tmp_path / "a.em").read_bytes()
    assert before[:512] == after[:512]
    one, two = (np.frombuffer(raw[512:], "<f4").reshape(-1, 20) for raw in (before, after))
    angles = [16, 18, 17]
    assert_array_equal(np.delete(one, angles, axis=1), np.delete(two, angles, axis=1))
    turns = [Rotation.from_euler("zxz", t[:, angles], degrees=True) for t in (one, two)]
    assert_allclose(turns[0].as_matrix(), turns[1].as_matrix(), atol=1e-6)
