"""The README and the docs tell the truth: their Python runs, their links lead somewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A directory with the demo's files, where the examples run."""
    folder = tmp_path_factory.mktemp("docs")
    script = (
        "from pathlib import Path; from cryotypes.demo import run_demo; "
        "run_demo(Path('cryotypes-demo'), report=lambda line: None)"
    )
    subprocess.run([sys.executable, "-c", script], cwd=folder, check=True)
    return folder


def run(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore::cryotypes.LossWarning", "-c", code],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},  # the package tested here
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_script_that_type_checkers_pass_runs(demo):
    script = Path(__file__).parent / "typing" / "user_script.py"
    result = run(script.read_text(), demo)
    assert result.returncode == 0, result.stderr
    assert "TS_01 1 True" in result.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_python_runs_and_prints_what_the_page_shows(page, demo):
    text = page.read_text()
    pattern = r"^```python\n(.*?)^```(?:\n\n```text\n(.*?)^```)?"
    code = [(m[1], m[2]) for m in re.finditer(pattern, text, re.MULTILINE | re.DOTALL)]
    if not code:
        pytest.skip("no Python on this page")
    for source, shown in code:
        for leftover in demo.glob("*.star"):
            leftover.unlink()
        result = run(source, demo)
        assert result.returncode == 0, result.stderr
        if shown is not None:
            assert result.stdout == shown


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


def test_the_readme_names_only_commands_and_options_that_exist():
    from cryotypes.cli import main

    for page in PAGES:
        for block in blocks(page, "sh"):
            for command, rest in re.findall(r"^cryotypes (\w+)(.*)$", block, re.MULTILINE):
                assert command in main.commands, command
                known = {o for p in main.commands[command].params for o in p.opts}
                used = re.findall(r"(?<!\w)(--?[a-z][\w-]*)", rest.split("#")[0])
                assert set(used) <= known, (command, used)


def test_changelog_and_package_agree_on_the_version():
    import cryotypes

    assert f"## {cryotypes.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_generated_tables_are_up_to_date():
    script = ROOT / "tools" / "make_docs.py"
    result = subprocess.run(
        [sys.executable, script, "--check"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout
