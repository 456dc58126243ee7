"""Users' code passes the type checkers, and what is wrong in it does not."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import cryotypes

README = Path(__file__).parents[1] / "README.md"
SCRIPT = Path(__file__).parent / "typing" / "user_script.py"
SOURCE = Path(cryotypes.__file__).parents[1]
PATHS = [] if SOURCE.name == "site-packages" else [str(SOURCE)]  # where it is not installed
WRONG = {
    "import cryotypes as ct\nct.PoseSet()": "position",
    "import cryotypes as ct\nct.PoseSet([[1]], shift='a', pixel_spacing='b')": "pixel_spacing",
    "import cryotypes as ct\nct.PoseSet([[1]]).shift[0]": "None",
    "import cryotypes as ct\nct.apply_shifts('particles.star')": "apply_shifts",
    "import cryotypes as ct\nct.read_poses('a.star')[0].positions": "positions",
    "import cryotypes as ct\nct.write(1, 'a.star')": "write",
    "import cryotypes as ct\nct.lazy": "lazy",
    "from cryotypes import *\nprint(PoseSet, lazy)": "lazy",
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The README's Python, the script, and what is wrong, one file each."""
    folder = tmp_path_factory.mktemp("typed")
    (readme,) = re.findall(r"^```python\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)
    (folder / "readme.py").write_text(readme)
    (folder / "user_script.py").write_text(SCRIPT.read_text())
    for number, code in enumerate(WRONG):
        (folder / f"wrong_{number}.py").write_text(code + "\n")
    return folder


def by_mypy(folder: Path) -> list[tuple[str, str]]:
    """File and message of each error."""
    run = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--output", "json"]
        + ["--cache-dir", str(folder / "cache")]  # of no other run
        + ["--python-executable", sys.executable, *map(str, sorted(folder.glob("*.py")))],
        cwd=README.parent,
        env={**os.environ, "MYPYPATH": os.pathsep.join(PATHS)},
        capture_output=True,
        text=True,
        check=False,
    )
    errors = [json.loads(line) for line in run.stdout.splitlines()]
    assert run.returncode == (1 if errors else 0), run.stderr
    return [(Path(e["file"]).name, e["message"]) for e in errors if e["severity"] == "error"]


def by_pyright(folder: Path) -> list[tuple[str, str]]:
    """The same of pyright's errors."""
    config = {"typeCheckingMode": "standard", "extraPaths": PATHS, "include": ["*.py"]}
    (folder / "pyrightconfig.json").write_text(json.dumps(config))
    run = subprocess.run(
        [sys.executable, "-m", "basedpyright", "--outputjson", "--pythonpath", sys.executable]
        + ["--project", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    found = json.loads(run.stdout)
    assert found["summary"]["filesAnalyzed"] == len(WRONG) + 2
    return [
        (Path(e["file"]).name, e["message"])
        for e in found["generalDiagnostics"]
        if e["severity"] == "error"
    ]


@pytest.mark.parametrize("check", [by_mypy, by_pyright])
def test_users_code(check, files):
    errors = check(files)
    assert [e for e in errors if not e[0].startswith("wrong")] == []
    for number, (code, word) in enumerate(WRONG.items()):
        told = [message for name, message in errors if name == f"wrong_{number}.py"]
        assert any(word in message for message in told), (code, told)
