"""cryohub 0.6.4, a client of cryotypes 0.2.0, runs unchanged on this package."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.transform import Rotation

import cryotypes
from cryotypes import PoseSet

pytestmark = pytest.mark.interop


def test_the_package_under_test_is_this_one(cryohub, version):
    assert (
        cryohub.python("import importlib.metadata as m; print(m.version('cryotypes'))") == version
    )
    assert cryohub.cryotypes.is_relative_to(cryohub.folder)
    assert (cryohub.cryotypes / "errors.py").exists()  # cryotypes 0.2.0 has none


def test_the_whole_test_suite_of_cryohub_passes(cryohub, tmp_path):
    summary = cryohub.pytest("--pyargs", "cryohub", cwd=tmp_path)
    assert summary.pop("passed") == 17
    assert set(summary) <= {"warning", "warnings"}


READ = """
import json, cryohub
print(json.dumps([
    dict(
        position=poses.position.tolist(),
        shift=poses.shift.tolist(),
        quaternion=poses.orientation.as_quat().tolist(),
        experiment_id=poses.experiment_id,
        pixel_spacing=float(poses.pixel_spacing),
        rlnClassNumber=poses.features["rlnClassNumber"].tolist(),
    )
    for poses in cryohub.read({path!r}, strict=True)
]))
"""


@pytest.mark.parametrize("dialect", ["3.0", "3.1", "4.0"])
def test_cryohub_reads_what_this_package_writes(cryohub, tmp_path, dialect):
    rng = np.random.default_rng(5)
    ours = [
        PoseSet(
            position=rng.uniform(0, 500, (n, 3)),
            shift=rng.uniform(-5, 5, (n, 3)),
            orientation=Rotation.from_quat(rng.normal(size=(n, 4))),
            experiment_id=name,
            pixel_spacing=2.5,
            features=pd.DataFrame({"rlnClassNumber": np.arange(n)}),
        )
        for name, n in [("TS_01", 3), ("TS_02", 1)]
    ]
    path = tmp_path / "particles.star"
    tilts = {"tomogram_spacing": 2.5} if dialect == "4.0" else {}
    cryotypes.write(ours, path, dialect=dialect, **tilts)
    theirs = json.loads(cryohub.python(READ.format(path=str(path))))
    assert len(theirs) == 2
    for mine, read in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(read["position"], mine.position, atol=1e-5)
        np.testing.assert_allclose(read["shift"], mine.shift, atol=1e-5)
        difference = Rotation.from_quat(read["quaternion"]) * mine.orientation.inv()
        assert np.degrees(difference.magnitude()).max() < 1e-4
        assert (read["experiment_id"], read["pixel_spacing"]) == (mine.experiment_id, 2.5)
        assert read["rlnClassNumber"] == mine.features["rlnClassNumber"].tolist()
