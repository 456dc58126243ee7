"""Conversions of several files at once."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import cryotypes as ct
from cryotypes.errors import WriteError


def series(path, shift):
    path.parent.mkdir(parents=True, exist_ok=True)
    angles = np.linspace(-60, 60, 7)
    model = pd.DataFrame({"rotation_y": angles, "rotation_z": 85.0, "dx": shift, "dy": 0.0})
    model = model.assign(experiment_id="TS_1", tilt_index=range(7))
    model.attrs["tilt_image_dimensions"] = (40, 40)
    ct.write(model, path)
    return path


def test_two_series_of_one_name_are_not_merged(tmp_path):
    """They became one series of 14 images, with the images of both."""
    sources = [
        series(tmp_path / folder / "TS_1.aln", shift) for folder, shift in (("a", 1), ("b", 5))
    ]
    with pytest.raises(
        WriteError,
        match=r"two tilt series are called 'TS_1': .*a/TS_1.aln and .*b/.*--name '\{stem\}'",
    ):
        ct.convert(sources, tmp_path / "out.star")
    assert not (tmp_path / "out.star").exists()


def test_passthrough_files_bring_fields_and_no_particles(tmp_path):
    """As pyem is called: 6 particles joined by uid, not 14 rows."""
    cases = Path(__file__).parent / "cases"
    sources = [cases / "J10_particles.cs", cases / "J10_passthrough_particles.cs"]
    out = tmp_path / "out.star"
    for order in (sources, sources[::-1]):
        ct.convert(order, out, overwrite=True)
        assert sum(len(p) for p in ct.read_poses(out)) == 6
    both = ct.read_poses(sources[0], passthrough=sources[1])
    positions = np.concatenate([p.position for p in both])
    found = np.concatenate([p.position for p in ct.read_poses(out)])
    np.testing.assert_allclose(np.sort(found, axis=0), np.sort(positions, axis=0), atol=1e-6)


@pytest.mark.filterwarnings("ignore::cryotypes.errors.CryotypesWarning")
def test_particles_of_two_files_are_not_doubled(tmp_path):
    """Renamed, a passthrough file is not known by its name, but its particles are by their uid."""
    cases = Path(__file__).parent / "cases"
    a, b, out = (tmp_path / name for name in ("a.cs", "b.cs", "out.star"))
    a.write_bytes((cases / "J10_particles.cs").read_bytes())
    b.write_bytes((cases / "J10_passthrough_particles.cs").read_bytes())
    with pytest.raises(WriteError, match=r"6 particles, the first with uid 1005.*a\.cs .*b\.cs"):
        ct.convert([a, b], out)
    assert not out.exists()
    ct.convert([a], out, passthrough=b)  # what the error advises
    assert sum(len(p) for p in ct.read_poses(out)) == 6
