"""All that cryotypes asks of a format, and what it cannot know: which numbers are right."""

import numpy as np
from cryotypes_example_format import FORMAT, read

from cryotypes.testing import check_format

POINTS = """\
#points {"experiment": "TS_01", "angstrom": 2.0, "columns": \
["x", "y", "z", "a", "b", "c", "dx", "dy", "dz"]}
11.0 21.0 31.0 25.0 40.0 70.0 -1.0 2.0 -3.0
#end
"""


def test_contract(tmp_path):
    check_format(FORMAT, directory=tmp_path)


def test_known_answer(tmp_path):
    path = tmp_path / "a.points"
    path.write_text(POINTS)
    (poses,) = read(path)
    assert (poses.experiment_id, poses.pixel_spacing) == ("TS_01", 2.0)
    np.testing.assert_allclose(poses.position, [[10, 20, 30]])
    np.testing.assert_allclose(poses.shift, [[1, -2, 3]])
    turned = poses.orientation.apply([14, 0, 0])
    np.testing.assert_allclose(turned, [[-2.235467, -11.157248, 8.155888]], atol=1e-5)
