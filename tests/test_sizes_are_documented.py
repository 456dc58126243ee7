"""Whoever takes a tomogram's size says in which pixels, and all say it in the same words."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from typing import Any

import click
import pytest

import cryotypes
from cryotypes.cli import main
from cryotypes.registry import known_formats

PIXELS = "pixels of the unbinned tilt series"
WORDS = {
    "tomogram_dimensions": PIXELS,
    "tomogram_size": PIXELS,
    "tomogram_spacing": "Å per pixel in which tomogram_dimensions is counted",
}
COMMAND_LINE = {**WORDS, "tomogram_spacing": "Å per pixel in which --tomogram-size is counted"}


def parameters(docstring: str) -> dict[str, str]:
    """Take a NumPy docstring's parameters apart; what is said of several is said of each."""
    section = re.search(r"^Parameters\n-+\n(.*?)(?=^\w[\w ]*\n-+\n|\Z)", docstring, re.M | re.S)
    found = {}
    for entry in re.split(r"^(?=\S)", section[1] if section else "", flags=re.M):
        names, _, text = entry.partition("\n")
        for name in names.split(" : ")[0].split(","):
            found[name.strip()] = " ".join(text.split())
    return found


def everything() -> Iterator[Any]:
    """Every function, method and class that the package defines."""
    for module in pkgutil.walk_packages(cryotypes.__path__, "cryotypes."):
        if module.name.endswith("__main__"):
            continue
        for thing in vars(importlib.import_module(module.name)).values():
            if getattr(thing, "__module__", None) != module.name:
                continue
            if inspect.isclass(thing):
                yield thing
                yield from filter(inspect.isfunction, vars(thing).values())
            elif inspect.isfunction(thing):
                yield thing


def public() -> Iterator[Any]:
    """What users call: the package's functions, and every format's read and write."""
    yield from filter(inspect.isfunction, (getattr(cryotypes, n) for n in cryotypes.__all__))
    for known in known_formats().values():
        yield from filter(None, (known.read, known.write))


def label(thing: Any) -> str:
    return f"{thing.__module__}.{thing.__qualname__}"


def in_full(found: dict[str, Any]) -> list[Any]:
    return [pytest.param(found[name], id=name) for name in sorted(found)]


SAID = {
    f"{label(thing)} {name}": (name, text)
    for thing in everything()
    for name, text in parameters(inspect.getdoc(thing) or "").items()
    if name in WORDS
}
TAKEN = {
    f"{label(function)} {name}": (function, name)
    for function in public()
    for name in inspect.signature(function).parameters
    if name in WORDS
}
ASKED = {
    f"{command.name} {option.opts[0]}": option
    for command in main.commands.values()
    for option in command.params
    if isinstance(option, click.Option) and option.name in WORDS
}


@pytest.mark.parametrize("said", in_full(SAID))
def test_a_docstring_says_in_which_pixels(said):
    name, text = said
    assert WORDS[name].lower() in text.lower()


@pytest.mark.parametrize("taken", in_full(TAKEN))
def test_a_public_function_documents_the_size_that_it_takes(taken):
    function, name = taken
    assert name in parameters(inspect.getdoc(function) or "")


@pytest.mark.parametrize("option", in_full(ASKED))
def test_a_help_text_says_in_which_pixels(option):
    assert COMMAND_LINE[option.name].lower() in option.help.lower()


def test_none_is_overlooked():
    """The introspection finds those that are known to take a size."""
    assert {"project", "backproject", "triangulate"} <= {f.__name__ for f, _ in TAKEN.values()}
    assert "cryotypes.formats.poses.relion_star.read tomogram_spacing" in TAKEN.keys() & SAID.keys()
    assert {"convert --tomogram-size", "convert --tomogram-spacing"} <= ASKED.keys()


def test_a_docstring_is_taken_apart():
    text = "Do.\n\nParameters\n----------\na, b : (x, y)\n    One\n    two.\nc\n    Three.\n\n"
    assert parameters(f"{text}Returns\n-------\nd : int\n    Four.") == {
        "": "", "a": "One two.", "b": "One two.", "c": "Three."
    }  # fmt: skip
    assert parameters("Do.") == {"": ""}
