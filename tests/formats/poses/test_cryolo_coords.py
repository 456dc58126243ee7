"""crYOLO's .coords: centres of particles, a line each."""

from __future__ import annotations

import numpy as np
import pytest

from cryotypes import PoseSet, read_poses
from cryotypes.errors import ReadError
from cryotypes.formats.poses import cryolo_coords


def test_coords_are_centres(save):
    path = save("10.5 20 30\n0 0 0\n", "TS_01.coords")
    [poses] = read_poses(path)
    np.testing.assert_array_equal(poses.position, [[10.5, 20, 30], [0, 0, 0]])
    assert poses.experiment_id == "TS_01"
    [half] = cryolo_coords.read(path, imod_half_pixel=True)
    np.testing.assert_array_equal(half.position, [[10, 19.5, 30], [-0.5, -0.5, 0]])
    cryolo_coords.write([half], path, overwrite=True)
    assert path.read_text() == "10.5 20 30\n0.0 0 0\n"
    cryolo_coords.write([half], path, overwrite=True, imod_half_pixel=False)
    np.testing.assert_array_equal(cryolo_coords.read(path)[0].position, half.position)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 2\n", "line 1: expected 3 numbers"),
        ("1 2 3 4\n", "line 1: expected 3 numbers"),
        ("1 2 3\n1 2 inf\n", "line 2, z: expected a finite number"),
        ("x y z\n1 2 3\n", "line 1, x: expected a number, found 'x'"),
    ],
)
def test_bad_coords_are_named(text, message, save):
    with pytest.raises(ReadError, match=message):
        cryolo_coords.read(save(text, "a.coords"))


def test_coords_keep_full_precision(tmp_path):
    position = np.array([[0.1, 1e-9, 1e7 + 1 / 3], [-1 / 3, 1e300, 2.0**53 + 2]])
    cryolo_coords.write([PoseSet(position)], tmp_path / "a.coords")
    np.testing.assert_array_equal(cryolo_coords.read(tmp_path / "a.coords")[0].position, position)
