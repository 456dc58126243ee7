"""Inputs that once failed: hung, took all memory, crashed, or ended in another error than ours."""

from __future__ import annotations

import pickle
import shutil
import tomllib
from pathlib import Path

import pytest

from .pool import Child, one

CORPUS = Path(__file__).parent / "corpus"
CASES = tomllib.loads((CORPUS / "expected.toml").read_text())


@pytest.fixture(scope="module")
def child(tmp_path_factory):
    materials = tmp_path_factory.mktemp("corpus") / "none"
    materials.write_bytes(pickle.dumps([]))
    children = [Child(materials)]
    yield lambda question: _asked(children, materials, question)
    children[0].close()


def _asked(children, materials, question):
    if children[0].process.poll() is not None:
        children[0] = Child(materials)
    return one(children[0], question)


@pytest.mark.parametrize("name", CASES)
def test_once_failing(name, child, tmp_path):
    """Read in a process of its own; what is expected of each is in expected.toml."""
    case = CASES[name]
    place = shutil.copytree((CORPUS / name).parent, tmp_path / "c")
    path = place / Path(name).name
    found = child(
        {"path": str(path), "format": case.get("format"), "options": case.get("options", {})}
    )
    assert found["fault"] is None, found
    said = found["message"] or "read"
    assert case["expected"] in said
    assert found["took"] < 5


def test_nothing_is_left_out():
    found = {path.name for path in CORPUS.iterdir()}
    assert found == {Path(name).parts[0] for name in CASES} | {"expected.toml"}
