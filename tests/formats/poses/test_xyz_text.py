"""Plain text: columns that are named, lines that are refused."""

from __future__ import annotations

import numpy as np
import pytest

from cryotypes.errors import ReadError
from cryotypes.formats.poses import (
    xyz_text,
)
from cryotypes.formats.shared.declaration import Head
from cryotypes.io import identify
from cryotypes.testing import assert_same

TURNED = (-2.235467, -11.157248, 8.155888)  # the orientation applied to (14, 0, 0)
POSITION, SHIFT = (10.0, 20.0, 30.0), (1.0, -2.0, 3.0)


def the_one(result):
    (poses,) = result
    return poses


def check_pose(poses, shift=SHIFT, position=POSITION):
    np.testing.assert_allclose(poses.position, [position], atol=1e-9)
    if shift is None:
        assert poses.shift is None
    else:
        np.testing.assert_allclose(poses.shift, [shift], atol=1e-9)
    np.testing.assert_allclose(poses.orientation.apply([14, 0, 0]), [TURNED], atol=2e-5)


@pytest.mark.parametrize(
    "text",
    [
        "1 2 3\n4 5 6\n",
        "# x y z\n1, 2,3 # first\n\n4,5,6\n",
        "1\t2\t3\r\n4\t5\t6\r\n",
        " 1e0 2. 3\n4 5 6\n",
    ],
)
def test_text_of_three_columns(save, text):
    path = save(text, "TS_01.xyz")
    assert identify(path).name == "xyz-text"
    poses = the_one(xyz_text.read(path, pixel_spacing=2, index_base=1))
    assert poses.position.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert (poses.experiment_id, poses.pixel_spacing) == ("TS_01", 2)
    assert poses.shift is poses.orientation is None
    angstrom = the_one(xyz_text.read(path, pixel_spacing=2, unit="angstrom"))
    assert angstrom.position.tolist() == [[0.5, 1, 1.5], [2, 2.5, 3]]


def test_text_of_more_columns_needs_their_names(save, tmp_path):
    path = save("10 20 30 25 40 70 0.5\n", "TS_01.xyz")
    with pytest.raises(ReadError, match=r"expected 3 numbers .*columns="):
        xyz_text.read(path)
    names = ["x", "y", "z", "rot", "tilt", "psi", "score"]
    poses = the_one(xyz_text.read(path, columns=names))
    check_pose(poses, None)
    assert poses.features["score"].tolist() == [0.5]
    xyz_text.write([poses], tmp_path / "TS_01b.xyz")
    assert_same(the_one(xyz_text.read(tmp_path / "TS_01b.xyz", columns=names)), poses,
                ignore=["experiment_id"])  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 2 3\n4 5\n", "line 2: expected 3 numbers"),
        ("1 2 3\n4 5 six\n", "line 2, z: expected a number, found 'six'"),
        ("1 2 nan\n", "line 1, z"),
        ("1 2 1_0\n", "line 1, z"),
    ],
)
def test_text_names_the_bad_line(save, text, message):
    with pytest.raises(ReadError, match=message):
        xyz_text.read(save(text, "a.xyz"))


def test_text_of_other_kinds_is_refused():
    kinds = {
        "a.xyz": b"2\nwater\nO 0 0 0\nH 1 0 0\n",
        "a.txt": b"1 2 3 4 5 6\n",
        "b.txt": b"words\n",
    }
    for name, data in kinds.items():
        from pathlib import Path

        assert not xyz_text.sniff(Head(Path(name), data))
