"""The benchmarks run, and check what they time; how fast anything is, is not tested."""

from __future__ import annotations

import dataclasses
import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"
LARGER = FOLDER / "larger_than_memory.py"  # no race
SCRIPTS = sorted(p for p in FOLDER.glob("*.py") if not p.name.startswith("_") and p != LARGER)


def run(script: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(script), *options], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.stem)
def test_our_own_contenders_are_right(script, tmp_path):
    """In the smallest case, and with the peers that happen to be here."""
    result = run(script, "--check", "--folder", str(tmp_path))
    assert result.returncode == 0, result.stdout + result.stderr
    assert "left out: cryotypes" not in result.stdout.replace("cryotypes 0.2.0", "")
    assert "wrong result" not in result.stdout
    assert list(tmp_path.iterdir()) == []  # the data are removed


RACE = """
from pathlib import Path
from _harness import Race

race = Race(cases={"one": 1}, tiny=0, make=lambda folder, n: (folder / "n").write_text(str(n)))

@race.check("count")
def _(folder, result):
    assert result == int((folder / "n").read_text()), "not the number"

@race.contender("count", "ours")
def _(folder):
    return int((folder / "n").read_text())

@race.contender("count", "wrong")
def _(folder):
    return 7

@race.contender("count", "absent", needs=("no_such_module",))
def _(folder):
    return 1

@race.contender("count", "raising")
def _(folder):
    raise ValueError("broken")

race.main()
"""


def test_who_is_wrong_or_absent_is_named_and_left_out(tmp_path):
    (tmp_path / "race.py").write_text(RACE)
    (tmp_path / "_harness.py").write_text((FOLDER / "_harness.py").read_text())
    result = run(tmp_path / "race.py", "--rounds", "1")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "| ours | 1 | 1.00 | 1.00 |" in result.stdout
    assert "left out: wrong: wrong result, AssertionError: not the number" in result.stdout
    assert "left out: absent: cannot be imported" in result.stdout
    assert "left out: raising: failed, ValueError: broken" in result.stdout
    assert "| wrong |" not in result.stdout


@pytest.fixture
def load(monkeypatch):
    """Import a script as a module, for the length of a test."""
    monkeypatch.setattr(sys, "path", [str(FOLDER), *sys.path])
    yield importlib.import_module
    for path in FOLDER.glob("*.py"):
        sys.modules.pop(path.stem, None)


def decimated_levels(images, folder):
    """Levels of every second voxel, beside a right first one."""
    import zarr

    volume = np.asarray(images._memmap(folder / "volume.mrc"))
    group = zarr.open_group(str(folder / "wrong.zarr"), mode="w", zarr_format=2)
    for level in range(3):
        group.create_array(str(level), data=volume[:: 2**level, :: 2**level, :: 2**level])
    group.attrs["multiscales"] = [{"datasets": [{"path": str(level)} for level in range(3)]}]
    return folder / "wrong.zarr"


def deviation_of_a_sample(images, folder):
    volume = np.array(images._memmap(folder / "volume.mrc"), float)
    return volume.min(), volume.max(), volume.mean(), volume.std(ddof=1)


@pytest.mark.parametrize("kind", ["dense", "sparse"])
@pytest.mark.parametrize(
    ("task", "wrong"),
    [
        ("STATISTICS", deviation_of_a_sample),
        ("BINNED", lambda images, f: images._memmap(f / "volume.mrc")[::4, ::4, ::4]),
        ("TO_ZARR", decimated_levels),
        ("ACROSS", lambda images, f: images._memmap(f / "volume.mrc")[9]),
        ("ALONG", lambda images, f: images._memmap(f / "volume.mrc")[:, 8]),
    ],
)
def test_wrong_results_of_images_are_found(kind, task, wrong, load, tmp_path):
    images = load("images")
    images.make(tmp_path, (kind, 16))
    task = getattr(images, task)
    ours = images.race.contenders[f"{task}/cryotypes"]
    images.race.checks[task](tmp_path, ours.run(ours.prepare(tmp_path)))
    with pytest.raises(AssertionError):
        images.race.checks[task](tmp_path, wrong(images, tmp_path))


def test_larger_than_memory(tmp_path):
    result = run(LARGER, "--size", "0.05", "--folder", str(tmp_path))
    assert result.returncode == 0, result.stdout + result.stderr
    assert "all results are right" in result.stdout
    rows = [line for line in result.stdout.splitlines() if line.endswith("MB |")]
    if sys.platform == "linux":
        assert len(rows) == 7
    assert list(tmp_path.iterdir()) == []


STEPS = """
import os, sys
sys.path.insert(0, {folder!r})
import numpy as np
import larger_than_memory as script

def large(volume):
    return volume.size > 10_000

def wrong(volume, result):
    assert not large(volume), "one voxel"

def hoard(volume):
    (np.ones(25_000_000) if large(volume) else np.ones(1)).sum()  # 200 MB, and gone

def map_file(volume):
    return np.memmap(volume.path, np.uint8, "r").max()

right = lambda volume, result: None
script.STEPS.clear()
script.STEPS["hoard"] = (hoard, right)
script.STEPS["map"] = (map_file, right)
script.STEPS["wrong"] = (lambda volume: None, wrong)
script.STEPS["dying"] = (lambda volume: os._exit(7) if large(volume) else None, right)
script.main()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is known on Linux only")
def test_steps_that_are_wrong_or_take_too_much_memory_are_named(tmp_path):
    script = tmp_path / "steps.py"
    script.write_text(STEPS.format(folder=str(FOLDER)))
    result = run(script, "--size", "0.1", "--limit", "150", "--folder", str(tmp_path / "data"))
    assert result.returncode == 1, result.stdout + result.stderr
    problems = result.stdout.split("\n\n")[-1].splitlines()
    assert [line.split(":")[0] for line in problems] == ["hoard", "wrong", "dying"]
    assert problems[0].endswith("MB of anonymous memory, more than the limit of 150 MB")
    assert problems[1] == "wrong: wrong result: one voxel"
    assert problems[2].startswith("dying: died (7)")
    cells = [line.split("|") for line in result.stdout.splitlines() if line.startswith("| map")]
    assert int(cells[0][3].split()[0]) > 90  # the pages of the file
    assert int(cells[0][4].split()[0]) < 20

    well = run(script, "--size", "0.1", "--only", "hoard", "--folder", str(tmp_path / "data"))
    assert well.returncode == 0, well.stdout + well.stderr


def other_slice(volume, result):
    result[1, 2] += 1
    return result


def other_mean(volume, result):
    return dataclasses.replace(result, mean=result.mean * 1.000001)


def other_bin(volume, result):
    result.data[1, 1, 1] *= 1.00001
    return result


def other_level(volume, result):
    import zarr

    array = zarr.open_group(str(result), mode="r+")["2"]
    array[tuple(n - 1 for n in array.shape)] *= 2
    return result


def other_dense_level(volume, result):
    import zarr

    array = zarr.open_group(str(result), mode="r+")["1"]
    array[31, 31, 63] *= 1.0001
    return result


def zeros_on_disk(volume, result):
    (result / "0" / "0" / "0" / "5").write_bytes(b"")
    return result


def other_crop(volume, result):
    with result.open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x01")
    return result


@pytest.mark.parametrize(
    ("step", "spoil"),
    [
        ("open and info", lambda volume, result: (result[0], [{**result[1][0], "bytes": 1}])),
        ("one z slice", other_slice),
        ("one x slice", other_slice),
        ("statistics", other_mean),
        ("binned by 8", other_bin),
        ("MRC to OME-Zarr", other_level),
        ("MRC to OME-Zarr", other_dense_level),
        ("MRC to OME-Zarr", zeros_on_disk),
        ("a crop to MRC", other_crop),
    ],
)
def test_wrong_results_of_a_large_volume_are_found(step, spoil, load, tmp_path):
    script = load("larger_than_memory")
    volume = script.Volume(tmp_path, (129, 131, 133))
    volume.write()
    assert volume.dense == (64, 64, 128)
    act, check = script.STEPS[step]
    result = act(volume)
    check(volume, result)
    with pytest.raises(AssertionError):
        check(volume, spoil(volume, result))


def test_larger_than_memory_says_what_is_missing(load, monkeypatch):
    script = load("larger_than_memory")
    monkeypatch.setattr(script.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match=r"cryotypes, zarr is missing.*cryotypes\[all\]"):
        script.main(["--size", "0.01"])
