"""What files hold is shown, never obeyed; and who ends a command finds nothing half written."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import cryotypes as ct
from cryotypes.cli import main

CLEAR = "\x1b]0;owned\x07\x1b[2J\x9b1A\x7f\r‮"  # a title, an empty screen, another direction


def run(*arguments):
    result = CliRunner().invoke(main, [str(a) for a in arguments], color=False)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def obeyed(text):
    """What a terminal would do something about."""
    return [c for c in text if (not c.isprintable() and c not in "\n\t ") or c == "‮"]


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = f"TS{CLEAR}[bold]1"
    document = {"experiment_id": name, CLEAR: CLEAR}
    word = CLEAR.replace("\r", "")
    labels = ("rlnTomoName", "rlnCoordinateX", "rlnCoordinateY", "rlnCoordinateZ", f"rln{word}")
    header = "".join(f"_{label}\n" for label in labels)
    Path("evil.star").write_text(f"data_particles\n\nloop_\n{header}'{word}' 1 2 3 4\n")
    poses = [ct.PoseSet(np.ones((2, 3)), experiment_id=n, pixel_spacing=2.5) for n in (name, "B")]
    ct.write(poses, "evil.parquet")
    ct.write(poses[1:], "other.parquet")
    Path(f"evil{CLEAR}.json").write_text(json.dumps(document))
    Path("damaged.star").write_text(f"data_\n\nloop_\n_rlnCoordinateX\n_{CLEAR}\n1 2\n1\n")
    Path("evil.tlt").write_text(CLEAR)
    return sorted(tmp_path.iterdir())


def test_nothing_of_a_file_reaches_the_terminal(files):
    outputs = []
    for path in files:
        for arguments in (
            ("info", path),
            ("info", "--json", path),
            ("match", path, "other.parquet"),
            ("match", "--json", path, "evil.parquet"),
            ("check", path, "other.parquet"),
            ("check", "--json", "evil.parquet", path),
            ("convert", path, "out.csv", "--report", "--overwrite"),
            ("convert", path, "out.em", "--json", "--overwrite"),
            ("convert", path, "{experiment_id}.star"),
            ("project", path, "evil.parquet"),
            ("convert", path, f"out{CLEAR}.mrc"),
            (f"x{CLEAR}",),
        ):
            result = run(*arguments)
            outputs.append(result.output)
            assert not obeyed(result.output), (arguments, result.output)
            if "--json" in arguments and result.exit_code == 0:
                json.loads(result.stdout)
    assert any("\\u001b[2J" in output for output in outputs)


def test_commands_print_through_one_door():
    folder = Path(main.callback.__code__.co_filename).parent
    for path in folder.glob("*.py"):
        if path.name != "_words.py":
            assert "click.echo" not in path.read_text(), path


CHILD = """
import os, signal, sys, time
from pathlib import Path
# what started the tests, such as nohup, may ignore them
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)
import cryotypes.conversion
from cryotypes.cli import main
from cryotypes.formats.shared.files import writing

def slow(*_, **__):
    with writing(Path("b.star"), True) as path:
        path.write_text("half")
        print("writing", flush=True)
        time.sleep(60)

cryotypes.conversion.convert = slow
os.chdir(sys.argv[1])
main(["convert", "a.star", "b.star"])
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_signals_leave_nothing_half_written(tmp_path, name):
    (tmp_path / "b.star").write_text("old")
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, tmp_path], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout.readline() == "writing\n"
        assert len(list(tmp_path.iterdir())) == 2
        child.send_signal(getattr(signal, name))
        assert child.wait(30) == (1 if name == "SIGINT" else 128 + getattr(signal, name))
    assert [path.name for path in tmp_path.iterdir()] == ["b.star"]
    assert (tmp_path / "b.star").read_text() == "old"
