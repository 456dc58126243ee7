"""Where the third-party environments and programs are, and what happens where they are not."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]


def unavailable(what: str):
    """Skip, saying what to run; in CI, where everything must have been installed, fail."""
    message = (
        f"{what}: run tests/interop/install.sh FOLDER, "
        "then pytest with CRYOTYPES_INTEROP=FOLDER in the environment"
    )
    if os.environ.get("CI", "").lower() in ("true", "1"):
        pytest.fail(message, pytrace=False)
    pytest.skip(message)


class Environment:
    """A virtual environment; that of a client of cryotypes has this checkout, too."""

    def __init__(self, name: str, client: bool = True):
        folder = os.environ.get("CRYOTYPES_INTEROP")
        if not folder:
            unavailable(f"{name} needs a virtual environment, and CRYOTYPES_INTEROP is not set")
        self.folder = Path(folder).resolve() / name
        self.python_path = self.folder / "bin" / "python"
        if not self.python_path.exists():
            unavailable(f"there is no {self.python_path}")
        if not client:
            return
        self.cryotypes = Path(self.python("import cryotypes; print(*cryotypes.__path__)"))
        if self.sources(self.cryotypes) != self.sources(CHECKOUT / "src" / "cryotypes"):
            unavailable(f"{self.cryotypes} is not what this checkout holds now")

    @staticmethod
    def sources(package: Path) -> dict[Path, bytes]:
        return {path.relative_to(package): path.read_bytes() for path in package.rglob("*.py")}

    def run(self, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        # A home of its own: napari keeps settings there. No display, and no configuration of ours.
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "PYTHON"))}
        inherited.pop("DISPLAY", None)
        return subprocess.run(
            [self.python_path, *arguments],
            cwd=cwd,
            env=inherited | {"HOME": str(cwd), "QT_QPA_PLATFORM": "offscreen"},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    def python(self, code: str) -> str:
        done = self.run("-c", code, cwd=self.folder)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def pytest(self, *arguments: str, cwd: Path) -> dict[str, int]:
        """Run pytest there; return its summary, e.g. {"passed": 17}."""
        plain = ("-q", "-p", "no:cacheprovider", "-c", os.devnull, f"--rootdir={cwd}")
        done = self.run("-m", "pytest", *plain, *arguments, cwd=cwd)
        last = done.stdout.strip().rpartition("\n")[2]
        summary = {word: int(n) for n, word in re.findall(r"(\d+) ([a-z]+)", last.split(" in ")[0])}
        if done.returncode:
            pytest.fail(done.stdout + done.stderr, pytrace=False)
        return summary


@pytest.fixture(scope="session")
def version() -> str:
    return tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["version"]


@pytest.fixture(scope="session")
def environment() -> type[Environment]:
    return Environment


@pytest.fixture(scope="session")
def cryohub() -> Environment:
    return Environment("cryohub")


@pytest.fixture(scope="session")
def blik() -> Environment:
    return Environment("blik")


@pytest.fixture(scope="session")
def alignments() -> Environment:
    return Environment("alignments")


@pytest.fixture
def relion(tmp_path):
    """Run a RELION program in ``tmp_path``; return what it prints."""
    if shutil.which("relion_project") is None:
        unavailable("RELION's relion_project is not on PATH")

    def run(program: str, *arguments: object) -> str:
        command = [program, *map(str, arguments)]
        done = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    return run
