"""Real particles go through every writable format and back within 1e-3 px and 1e-3°."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_writable_format_keeps_its_word(shared_data):
    particles = shared_data / "relion5_project" / "Refine3D" / "job074" / "run_data.star"
    script = ROOT / "tools" / "round_trips.py"
    result = subprocess.run(
        [sys.executable, script, particles, "--markdown"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    page = (ROOT / "docs" / "round_trips.md").read_text()
    names = [line.split("|")[1].strip() for line in result.stdout.splitlines()[2:]]
    assert len(names) > 15
    for name in names:
        assert f"| {name} |" in page, f"{name} is not on docs/round_trips.md"
