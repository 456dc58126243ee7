"""All that cryotypes asks of a format, and what it cannot know: which numbers are right."""

import example_points
import example_tilts
import numpy as np

from cryotypes.testing import check_format


def test_contract_of_points(tmp_path):
    check_format(example_points.FORMAT, directory=tmp_path)


def test_contract_of_tilts(tmp_path):
    check_format(example_tilts.FORMAT, directory=tmp_path)


def test_known_points(tmp_path):
    """RELION's rot, tilt, psi 25, 40, 70 carry (14, 0, 0) there, and positions count from 1."""
    path = tmp_path / "TS_01.points"
    path.write_text("#points\n11 21 31 25 40 70\n")
    (poses,) = example_points.read(path, pixel_spacing=2.0)
    assert (poses.experiment_id, poses.pixel_spacing) == ("TS_01", 2.0)
    np.testing.assert_allclose(poses.position, [[10, 20, 30]])
    turned = poses.orientation.apply([14, 0, 0])
    np.testing.assert_allclose(turned, [[-2.235467, -11.157248, 8.155888]], atol=1e-5)


def test_known_tilts(tmp_path):
    """The program's tilt is positive the other way, and its shifts are subtracted."""
    path = tmp_path / "TS_01.tilts"
    path.write_text("#tilts\n-60 85 1.5 -2\n0 85 0 0\n")
    model = example_tilts.read(path, pixel_spacing=2.0)
    assert model["experiment_id"].tolist() == ["TS_01", "TS_01"]
    found = model[["rotation_x", "rotation_y", "rotation_z", "dx", "dy"]]
    np.testing.assert_allclose(found, [[0, 60, 85, -1.5, 2], [0, 0, 85, 0, 0]])
