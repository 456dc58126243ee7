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
from cryotypes.testing import check_format

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
    del sys.modules[spec.name]


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


def test_the_example_keeps_the_contract(example, tmp_path):
    check_format(example.FORMAT, directory=tmp_path)


def test_the_examples_own_tests(example, tmp_path):
    """Its test file is what its README says: it runs as it stands."""
    code = (EXAMPLE / "tests" / "test_contract.py").read_text()
    names: dict = {}
    exec(compile(code, "test_contract.py", "exec"), names)
    names["test_known_answer"](tmp_path)


def test_the_examples_entry_point(example):
    """The name in its pyproject leads to its format."""
    import tomllib

    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    (target,) = project["entry-points"][registry.ENTRY_POINTS].values()
    module, _, attribute = target.partition(":")
    assert module == example.__name__
    assert getattr(example, attribute) is example.FORMAT


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
