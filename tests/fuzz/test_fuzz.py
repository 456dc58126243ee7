"""A short campaign, the same inputs each time; ``python -m tests.fuzz`` runs long ones."""

from __future__ import annotations

from cryotypes.registry import known_formats

from .campaign import run
from .materials import materials


def test_only_errors_that_say_what_is_wrong():
    counts = run(20, seed=0, processes=1, inputs=1500)
    assert counts.faults == {}, "\n".join(counts.lines())
    assert counts.inputs  # a busy machine reads few of them


def test_every_format_is_tried():
    tried = {material.format for material in materials()}
    assert tried == {f.name for f in known_formats().values() if f.read is not None}
