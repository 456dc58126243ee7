"""The benchmarks run, and check what they time; how fast anything is, is not tested."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"
SCRIPTS = sorted(p for p in FOLDER.glob("*.py") if not p.name.startswith("_"))


def run(script: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(script), *options], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.stem)
def test_our_own_contenders_are_right(script, tmp_path):
    """In the smallest case, and with the peers that happen to be here."""
    result = run(script, "--check", "--folder", str(tmp_path))
    assert result.returncode == 0, result.stdout + result.stderr
    assert "left out: cryotypes" not in result.stdout.replace("cryotypes 0.2.0", "")
    assert "wrong result" not in result.stdout
    assert list(tmp_path.iterdir()) == []  # the data are removed


RACE = """
from pathlib import Path
from _harness import Race

race = Race(cases={"one": 1}, tiny=0, make=lambda folder, n: (folder / "n").write_text(str(n)))

@race.check("count")
def _(folder, result):
    assert result == int((folder / "n").read_text()), "not the number"

@race.contender("count", "ours")
def _(folder):
    return int((folder / "n").read_text())

@race.contender("count", "wrong")
def _(folder):
    return 7

@race.contender("count", "absent", needs=("no_such_module",))
def _(folder):
    return 1

@race.contender("count", "raising")
def _(folder):
    raise ValueError("broken")

race.main()
"""


def test_who_is_wrong_or_absent_is_named_and_left_out(tmp_path):
    (tmp_path / "race.py").write_text(RACE)
    (tmp_path / "_harness.py").write_text((FOLDER / "_harness.py").read_text())
    result = run(tmp_path / "race.py", "--rounds", "1")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "| ours | 1 | 1.00 | 1.00 |" in result.stdout
    assert "left out: wrong: wrong result, AssertionError: not the number" in result.stdout
    assert "left out: absent: cannot be imported" in result.stdout
    assert "left out: raising: failed, ValueError: broken" in result.stdout
    assert "| wrong |" not in result.stdout
