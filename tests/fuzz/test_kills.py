"""A writer that is killed leaves the old file or the new one; all formats are killed in .ci/run."""

from __future__ import annotations

import subprocess
import sys

import pytest

from .pool import ROOT, environment


@pytest.mark.parametrize("name", ["relion-tilt-series", "mrc", "ome-zarr"])
def test_killed(name):
    """In a process without threads: what forks while others run may hang."""
    command = [sys.executable, "-m", "tests.fuzz", "--minutes", "0", "--kills", "5", "--seed", "1"]
    found = subprocess.run(
        [*command, "--only", name], capture_output=True, text=True, cwd=ROOT, env=environment()
    )
    assert found.returncode == 0, found.stdout + found.stderr
    assert "kills of 1 writers" in found.stdout
