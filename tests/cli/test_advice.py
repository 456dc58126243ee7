"""What errors and warnings advise exists: every option that a message of the package names.

The messages are collected from the source, so that this holds for those to come.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

import cryotypes
from cryotypes.cli import main
from cryotypes.cli._words import functions_with, in_words_of_the_command_line

pytestmark = pytest.mark.filterwarnings("ignore::cryotypes.errors.LossWarning")
SOURCE = Path(cryotypes.__file__).parent
READING = ("info", "convert", "match", "project", "check")
# a message may quote another program's option only with an underscore, as --dont_invert
LONG = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*(?![\w-])")
SHORT = re.compile(r"-O ([a-z_]+)=")
PYTHON = re.compile(r"\b([a-z][a-z_]*)=(?=[ ,;)]|\(|True|False|$)")


def texts(path: Path):
    """The string constants of a module that are messages: no docstrings, no evidence."""
    tree = ast.parse(path.read_text())
    left_out = set()
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            left_out.add(id(body[0].value))
        if isinstance(node, ast.keyword) and node.arg == "evidence":
            left_out |= {id(part) for part in ast.walk(node)}
    for node in ast.walk(tree):
        text = node.value if isinstance(node, ast.Constant) else None
        if isinstance(text, str) and " " in text and id(node) not in left_out:
            yield node.lineno, text


def messages():
    for path in sorted(SOURCE.rglob("*.py")):
        name = str(path.relative_to(SOURCE))
        if name not in ("conventions/_table.py", "cli/_words.py"):
            for line, text in texts(path):
                yield f"{name}:{line}", text


ADVICE = list(messages())
TYPED = [(where, option) for where, text in ADVICE for option in LONG.findall(text)]


def accepts(command: str, option: str) -> bool:
    """Whether a command takes an option: its own, or one of a format."""
    declared = {name for p in main.commands[command].params for name in p.opts}
    return option in declared or (
        command in READING and bool(functions_with(option[2:].replace("-", "_")))
    )


def commands_of(where: str) -> list[str]:
    """Those of which at least one must take what a module advises; formats: all that read."""
    part = where.partition("/")[0]
    if part == "cli" and where.partition("/")[2].partition(".")[0] in main.commands:
        return [where.partition("/")[2].partition(".")[0]]
    return list(main.commands)


def test_there_is_advice():
    assert len(TYPED) > 60


@pytest.mark.parametrize(("where", "option"), TYPED)
def test_an_option_that_is_advised_is_accepted(where, option):
    assert any(accepts(command, option) for command in commands_of(where)), (where, option)
    if where.startswith("formats/") and option not in ("--overwrite", "--to", "--name", "--names"):
        assert all(accepts(command, option) for command in READING), (where, option)


@pytest.mark.parametrize(
    ("where", "name"), [(w, name) for w, text in ADVICE for name in SHORT.findall(text)]
)
def test_an_option_of_a_format_that_is_advised_exists(where, name):
    assert functions_with(name), (where, name)


def parameters() -> set[str]:
    """Names of all parameters in the package."""
    trees = [ast.parse(path.read_text()) for path in SOURCE.rglob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    return {node.arg for node in nodes if isinstance(node, ast.arg)}


def test_a_keyword_that_is_advised_exists():
    known = parameters()
    advised = [
        (where, name) for where, text in ADVICE if " " in text for name in PYTHON.findall(text)
    ]
    assert [(where, name) for where, name in advised if name not in known] == []


@pytest.mark.parametrize(
    ("text", "typed"),
    [
        ("overwrite it with overwrite=True (--overwrite)", "overwrite it with --overwrite"),
        (
            "give tomograms= (--tomograms t.star) or tomogram_dimensions= (--tomogram-size X Y Z)",
            "give --tomograms t.star or --tomogram-size X Y Z",
        ),
        ("could be a, b; choose with format=", "could be a, b; choose with --format"),
        ('or choose dialect="4.0"', "or choose --dialect 4.0"),
        ("set any_order=True", "set --any-order"),
        ("(-O tilt_axis_angle=85)", "(-O tilt_axis_angle=85)"),
        ("set the column pixel_spacing (--pixel-spacing)", "set the column --pixel-spacing"),
        ("its spacing is unknown (--pixel-spacing)", "its spacing is unknown (--pixel-spacing)"),
        ("expected a number, found 'order=3'", "expected a number, found 'order=3'"),
        ("give no_such_thing=5", "give no_such_thing=5"),
    ],
)
def test_messages_speak_the_language_of_the_command_line(text, typed):
    assert in_words_of_the_command_line(text) == typed


# A message that a user meets, and what makes it; every option in it is then tried.
VALUES = {
    "--tomograms": ["tomograms.star"],
    "--tomogram-size": ["400", "400", "200"],
    "--tomogram-spacing": ["1.35"],
    "--pixel-spacing": ["1.35"],
    "--tilt-image-size": ["400", "300"],
    "--micrograph-shape": ["4092", "5760"],
    "--box-size": ["32"],
    "--model": ["a.mod"],
    "--passthrough": ["a_passthrough.cs"],
    "--dialect": ["4.0"],
    "--format": ["relion-star"],
    "--to": ["relion-star"],
    "--names": ["names.txt"],
    "--regex": ["TS_.."],
    "--rules": ["path"],
    "--columns": ["x,y,z"],
    "--any-order": [],
    "--overwrite": [],
}
REFUSALS = ("no such option", "does not apply", "unknown option", "requires an argument")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Files each of which lacks something."""
    monkeypatch.chdir(tmp_path)
    poses = cryotypes.PoseSet([[50.0, 50.0, 25.0]], experiment_id="TS_01")
    cryotypes.write(poses, "no_spacing.tbl")
    poses.pixel_spacing = 5.4
    cryotypes.write(poses, "picks.tbl")
    flat = cryotypes.PoseSet([[5.0, 5.0, 0.0]], experiment_id="m", pixel_spacing=1.0)
    flat.metadata = {"ndim": 2}
    cryotypes.write(flat, "flat.star", dialect="3.1")
    Path("centred.star").write_text(
        "data_particles\n\nloop_\n_rlnTomoName\n_rlnCenteredCoordinateXAngst\n"
        "_rlnCenteredCoordinateYAngst\n_rlnCenteredCoordinateZAngst\nTS_01 0 0 0\n"
    )
    Path("tomograms.star").write_text(
        "data_global\n\nloop_\n_rlnTomoName\n_rlnTomoTiltSeriesPixelSize\n"
        "_rlnTomoSizeX\n_rlnTomoSizeY\n_rlnTomoSizeZ\nTS_01 1.35 400 400 200\n"
    )
    Path("acquired.rawtlt").write_text("0\n3\n-3\n6\n-6\n")
    Path("sorted.rawtlt").write_text("-3\n0\n3\n")
    Path("names.txt").write_text("a b\n")
    return tmp_path


@pytest.mark.parametrize(
    "arguments",
    [
        "info centred.star",
        "convert centred.star out.tbl",
        "convert no_spacing.tbl out.star --dialect 5",
        "convert picks.tbl out.star --dialect 5",
        "convert picks.tbl picks.tbl",
        "convert flat.star out.cs",
        "convert flat.star out.box",
        "info acquired.rawtlt",
        "convert acquired.rawtlt out.xf",
        "project picks.tbl sorted.rawtlt",
        "project no_spacing.tbl sorted.rawtlt --pixel-spacing 1",
        "project picks.tbl sorted.rawtlt --pixel-spacing 5.4 --tomogram-size 400 400 200",
        "check picks.tbl no_spacing.tbl",
        "convert picks.tbl out.unknown",
    ],
)
def test_advice_that_is_followed_is_accepted(arguments, folder):
    command, *rest = arguments.split()
    told = CliRunner().invoke(main, [command, *rest]).stderr
    advised = set(LONG.findall(told))
    assert advised or "could be" not in told
    for option in sorted(advised):
        again = CliRunner().invoke(main, [command, *rest, option, *VALUES.get(option, ["1"])])
        assert again.exit_code in (0, 1), (told, again.output)
        assert not any(words in again.output.lower() for words in REFUSALS), (told, again.output)
    for name, value in re.findall(r"-O ([a-z_]+)=(\S*)", told):
        again = CliRunner().invoke(main, [command, *rest, "-O", f"{name}=1"])
        assert not any(words in again.output.lower() for words in REFUSALS), (told, value)
