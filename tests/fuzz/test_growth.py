"""The time that a reader takes grows with the input, whatever the input repeats."""

from __future__ import annotations

import pickle

import pytest

from .growth import floods, grows, is_text
from .materials import materials
from .pool import Child

TEXTS = {m.format: m for m in materials() if is_text(m)}
SHARE = 3  # formats share readers: each is given every third flood, not the same ones


@pytest.fixture(scope="module")
def children(tmp_path_factory):
    path = tmp_path_factory.mktemp("growth") / "none"
    path.write_bytes(pickle.dumps([]))
    alive = [Child(path)]
    yield alive
    alive[0].close()


@pytest.mark.parametrize(("number", "name"), list(enumerate(TEXTS)))
def test_time_grows_with_the_input(number, name, children, tmp_path):
    material = TEXTS[name]
    path = material.put(tmp_path)
    problems = []
    for title, *flood in list(floods(material))[number % SHARE :: SHARE]:
        if children[0].process.poll() is not None:
            children[:] = [Child(tmp_path / "none")]
        problem = grows(children[0], material, tuple(flood), path)
        if problem:
            problems.append(f"{title}: {problem}")
    assert problems == []
