"""torch-tilt-series agrees with our projections. Not part of the gate: torch is some gigabytes."""

import os
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.interop

CHECKS = Path(__file__).with_name("torch_checks.py")


def test_torch_tilt_series(tmp_path):
    python = Path(os.environ.get("CRYOTYPES_INTEROP", "."), "torch", "bin", "python").absolute()
    if not python.exists():
        pytest.skip(
            "torch-tilt-series: run CRYOTYPES_INTEROP_TORCH=1 tests/interop/install.sh FOLDER, "
            "then pytest with CRYOTYPES_INTEROP=FOLDER"
        )
    command = [python, "-m", "pytest", "-q", "--noconftest", "-p", "no:cacheprovider", CHECKS]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout
