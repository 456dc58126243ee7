"""Formats of other packages: found by their entry points, and kept from harming anybody."""

from __future__ import annotations

import importlib.util
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

import cryotypes as ct
from cryotypes import names, registry
from cryotypes.errors import PluginWarning, UnknownFormatError

EXAMPLE = Path(__file__).parents[1] / "examples" / "cryotypes-example-format"


@pytest.fixture(scope="module")
def example():
    """The module of the example package, as an entry point would load it."""
    path = EXAMPLE / "example_points.py"
    spec = importlib.util.spec_from_file_location("example_points", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    sys.modules.pop(spec.name, None)


@pytest.fixture
def plugins(monkeypatch):
    """Install entry points in a registry that has only the built-in formats so far."""
    known = {
        name: (format, origin)
        for name, (format, origin) in (registry.known_formats(), registry._known)[1].items()
        if origin.startswith("cryotypes.formats.")
    }
    monkeypatch.setattr(registry, "_known", known)
    monkeypatch.setitem(registry._loaded, "entry points", False)

    def installing(**points):
        def found(group):
            assert group == "cryotypes.formats"
            return [Point(name, load) for name, load in points.items()]

        monkeypatch.setattr("importlib.metadata.entry_points", found)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            formats = registry.known_formats()
        assert {w.category for w in caught} <= {PluginWarning}
        return formats, [str(w.message) for w in caught]

    return installing


class Point:
    """An entry point of the package 'others-<name>'."""

    def __init__(self, name, load):
        self.name, self.value, self.load = name, f"others_{name}:FORMAT", load
        self.dist = SimpleNamespace(name=f"others-{name}")


def broken():
    raise ImportError("No module named 'gone'")


def test_a_format_is_found(plugins, example, tmp_path):
    """Read, written and recognised like one of ours."""
    formats, complaints = plugins(good=lambda: example.FORMAT)
    assert complaints == []
    assert formats["example-points"] is example.FORMAT
    path = tmp_path / "TS_01.points"
    ct.write(ct.PoseSet([[1, 2, 3]], experiment_id="TS_01"), path)
    assert ct.identify(path).name == "example-points"
    assert ct.read_poses(path)[0].position.tolist() == [[1, 2, 3]]


@pytest.mark.parametrize(
    ("load", "reason"),
    [
        (broken, "No module named 'gone'"),
        (lambda: object(), "expected a Format, found object"),
        (lambda: "example-points", "expected a Format, found str"),
    ],
)
def test_a_broken_one_is_named_and_harms_nobody(plugins, example, load, reason):
    """The warning says which package; all others are there, before it and after it."""
    formats, (complaint,) = plugins(bad=load, good=lambda: example.FORMAT)
    assert complaint.startswith("format 'bad' of others-bad could not be loaded: ")
    assert reason in complaint
    assert {"example-points", "relion-star", "mrc"} <= set(formats)


def test_a_name_that_is_taken(plugins, example):
    """The built-in stays, and both origins are named; of two plugins, the first stays."""
    thief = replace(example.FORMAT, name="relion-star")
    formats, (complaint,) = plugins(thief=lambda: thief, good=lambda: example.FORMAT)
    assert "'relion-star' of others-thief is taken by cryotypes.formats.poses.relion_s" in complaint
    assert formats["relion-star"] is not thief
    assert "example-points" in formats


def test_two_plugins_of_one_name(plugins, example):
    second = replace(example.FORMAT, title="Second")
    formats, (complaint,) = plugins(one=lambda: example.FORMAT, two=lambda: second)
    assert "'example-points' of others-two is taken by others-one" in complaint
    assert formats["example-points"].title == "Example points"


def test_options_must_be_named(plugins, example):
    """A misspelt option would be swallowed."""

    def read(path, **options):
        """Read."""

    formats, (complaint,) = plugins(vague=lambda: replace(example.FORMAT, read=read))
    assert "read must name its options, found **options" in complaint
    assert "example-points" not in formats


def test_warned_once(plugins):
    _, complaints = plugins(bad=broken)
    assert len(complaints) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        registry.known_formats()


def test_register_format(plugins, example, tmp_path):
    """For a script, without a package."""
    plugins()
    path = tmp_path / "TS_01.points"
    poses = ct.PoseSet([[1, 2, 3]], experiment_id="TS_01")
    with pytest.raises(UnknownFormatError):
        ct.write(poses, path)
    ct.register_format(example.FORMAT)
    ct.write(poses, path)
    assert ct.read_poses(path)[0].experiment_id == "TS_01"
    with pytest.raises(ValueError, match="'example-points' of example_points is taken"):
        ct.register_format(replace(example.FORMAT, title="again"))
    with pytest.raises(ValueError, match=r"taken by cryotypes\.formats\.images\.mrc"):
        ct.register_format(replace(example.FORMAT, name="mrc"))
    with pytest.raises(ValueError, match="expected a Format, found str"):
        ct.register_format("example-points")


# --- the example package ---


@pytest.mark.parametrize(("name", "lines"), [("points", 60), ("tilts", 80)])
def test_an_example_is_short(name, lines):
    """An afternoon's work: what a format needs is in cryotypes.formats."""
    assert len((EXAMPLE / f"example_{name}.py").read_text().splitlines()) <= lines


@pytest.fixture
def own_tests(monkeypatch):
    """The test file of the package as it stands, as a user of it runs it."""
    monkeypatch.syspath_prepend(EXAMPLE)
    path = EXAMPLE / "tests" / "test_contract.py"
    tests: dict = {}
    exec(compile(path.read_text(), path.name, "exec"), tests)
    return {name: test for name, test in tests.items() if name.startswith("test_")}


@pytest.mark.parametrize(
    "name",
    [
        "test_contract_of_points",
        "test_contract_of_tilts",
        "test_known_points",
        "test_known_tilts",
    ],
)
def test_the_examples_own_tests(own_tests, tmp_path, name):
    assert len(own_tests) == 4
    own_tests[name](tmp_path)


def test_the_examples_entry_points(own_tests):
    """The names in its pyproject lead to its formats."""
    import tomllib

    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    for name, target in project["entry-points"][registry.ENTRY_POINTS].items():
        module, _, attribute = target.partition(":")
        assert getattr(sys.modules[module], attribute).name == name


@pytest.mark.parametrize("name", ["TS_01.picks", "run/TS_01.PICKS", "rec_TS_01.picks.zst"])
def test_names_lose_the_suffixes_of_registered_formats(monkeypatch, example, name):
    """What a plugin's files are called is matched as if it were built in."""
    monkeypatch.setattr(registry, "_known", dict(registry.known_formats() and registry._known))
    monkeypatch.setattr(names, "_SUFFIXES", set(names._SUFFIXES))
    picks, tomogram = ct.PoseSet([[1, 2, 3]], experiment_id=name), ct.Image([[1.0]], "TS_01")
    assert not ct.match(picks, tomogram)
    ct.register_format(
        replace(example.FORMAT, name="picks", suffixes=(".picks",), compression=(".zst",))
    )
    assert list(ct.match(picks, tomogram)) == [name]
