"""What is written takes its place at once, whatever lies there, and whoever is killed."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import pytest

import cryotypes as ct
from cryotypes.formats.shared.files import refuse_overwrite, writing, writing_bytes
from cryotypes.image import Image
from cryotypes.poseset import PoseSet
from cryotypes.testing import assert_same

pytestmark = pytest.mark.filterwarnings("ignore::cryotypes.errors.LossWarning")


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_link_that_waits_is_not_written_through(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / f".{os.getpid()}.a.star").symlink_to(victim)
    path = tmp_path / "a.star"
    with writing(path, True) as first, writing(path, True) as second:
        assert first.parent != second.parent
        assert stat.S_IMODE(first.parent.stat().st_mode) == 0o700
        first.write_text("new")
        second.write_text("newer")
    assert path.read_text() == "new"
    assert victim.read_text() == "mine"


KILLED = """
import os, sys
from pathlib import Path
from cryotypes.formats.shared.files import writing
with writing(Path(sys.argv[1]), True) as path:
    path.write_text("half")
    print(flush=True)
    sys.stdin.read()
    os.kill(os.getpid(), 9)
"""


def test_what_the_dead_leave_is_removed_and_what_the_living_write_is_not(tmp_path):
    target = tmp_path / "a.star"
    command = [sys.executable, "-c", KILLED, target]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        child.stdout.readline()
        with writing(target, True) as path:
            path.write_text("new")
        (living,) = [name for name in names_in(tmp_path) if name != "a.star"]
        assert (tmp_path / living / "a.star").read_text() == "half"
        child.communicate()
    assert names_in(tmp_path) == [living, "a.star"]
    with writing(tmp_path / "b.star", True) as path:
        path.write_text("another")
    assert living in names_in(tmp_path)
    with writing(target, True) as path:
        path.write_text("newer")
    assert names_in(tmp_path) == ["a.star", "b.star"]


def test_pipes_and_devices_are_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe.star")
    for path in (tmp_path / "pipe.star", Path("/dev/null")):
        with pytest.raises(FileExistsError, match="pipe or a device, no regular file"):
            refuse_overwrite(path, True)
    with pytest.raises(FileExistsError, match="no regular file"):
        ct.write(
            Image(np.zeros((2, 2, 2))), tmp_path / "pipe.star", format="ome-zarr", overwrite=True
        )
    assert (tmp_path / "pipe.star").is_fifo()


@pytest.mark.parametrize("format", ["mrc", "ome-zarr"])
@pytest.mark.parametrize("strict", [False, True])
def test_a_target_in_a_loop_of_links(tmp_path, format, strict):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="a'") as caught:
        ct.write(Image(np.zeros((2, 2, 2))), tmp_path / "a", format=format, strict=strict)
    assert caught.value.filename == str(tmp_path / "a")


def test_names_as_long_as_the_system_takes(tmp_path):
    for name in ("n" * 250 + ".star", "ñ" * 125 + ".star"):
        with writing(tmp_path / name, False) as path:
            path.write_text("new")
        assert (tmp_path / name).read_text() == "new"
    with pytest.raises(OSError, match="File name too long"), writing(tmp_path / ("n" * 256), False):
        pass


def test_mode_and_owner_are_kept(tmp_path):
    path = tmp_path / "a.star"
    with writing(path, True) as new:
        new.write_text("new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask()
    path.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(path, 1234, 2345)
    before = path.stat()
    with writing_bytes(path, True) as new:
        new.write(b"newer")
    after = path.stat()
    for field in ("st_mode", "st_uid", "st_gid"):
        assert getattr(after, field) == getattr(before, field)
    path.chmod(0o4750)  # where the owner cannot be kept, nothing is run as another
    if os.geteuid() == 0:
        with mock.patch("os.chown", side_effect=PermissionError), writing(path, True) as new:
            new.write_text("newest")
        assert stat.S_IMODE(path.stat().st_mode) == 0o750


def umask():
    now = os.umask(0)
    os.umask(now)
    return now


def test_what_is_compressed_holds_neither_name_nor_time(tmp_path):
    image = Image(np.arange(24, dtype=np.float32).reshape(2, 3, 4), "TS_01", 2.5)
    with mock.patch("time.time", return_value=1e9):
        ct.write(image, tmp_path / "a.mrc.gz")
    ct.write(image, tmp_path / "b.mrc.gz")
    assert (tmp_path / "a.mrc.gz").read_bytes() == (tmp_path / "b.mrc.gz").read_bytes()


# --- files that only mean something together ---


def poses(seed, *names):
    random = np.random.default_rng(seed)
    return [
        PoseSet(random.uniform(0, 100, (4 + seed, 3)), experiment_id=name, pixel_spacing=2.5)
        for name in names
    ]


def tilts(seed, *names):
    one = pd.DataFrame(
        {"rotation_x": 0.0, "rotation_y": np.arange(-3.0, 3), "rotation_z": 85.0 + seed, "dx": seed}
    ).assign(dy=0.0, pixel_spacing=2.5, source="zoo")
    model = pd.concat([one.assign(experiment_id=name) for name in names], ignore_index=True)
    model.attrs = {"tomogram_dimensions": (40, 50, 60), "tilt_image_dimensions": (40, 50)}
    return model


# what is written: a name, and the same of two times
TOGETHER = {
    "peet-csv": ("a.csv", poses, ["TS_01"], ["TS_01"]),
    "motl-em": ("a.em", poses, ["A", "B"], ["C", "A", "D"]),
    "imod-xf": ("a.xf", tilts, ["a"], ["a"]),
    "relion-tilt-series": ("a.star", tilts, ["A", "B"], ["A", "B"]),
}


def seen(path):
    """What is read; that writing was interrupted is told, and names the folder."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = ct.read(path)
    return found, any("interrupted at its very end" in str(w.message) for w in caught)


def agree(one, other):
    try:
        assert_same(one, other)
    except AssertionError:
        return False
    return True


def moments(folder, snapshots):
    """Copy a folder before whatever changes a name in it, as a kill would leave it."""

    copied = []  # while it copies, nothing counts

    def before(call):
        def copying(*arguments, **options):
            if not copied:
                copied.append(True)
                shutil.copytree(folder, snapshots / str(len(names_in(snapshots))), symlinks=True)
                copied.clear()
            return call(*arguments, **options)

        return copying

    calls = ("replace", "link", "mkdir", "unlink", "rmdir")
    return mock.patch.multiple("os", **{name: before(getattr(os, name)) for name in calls})


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("format", TOGETHER)
def test_a_kill_at_any_moment_leaves_all_old_or_all_new(tmp_path, format, links):
    name, make, first, second = TOGETHER[format]
    old, new, work, snapshots = (tmp_path / n for n in ("old", "new", "work", "snapshots"))
    for folder in (old, new, work, snapshots):
        folder.mkdir()
    ct.write(make(1, *first), old / name, format=format)
    ct.write(make(2, *second), new / name, format=format)
    ct.write(make(1, *first), work / name, format=format)
    copying = contextlib.nullcontext() if links else mock.patch("os.link", side_effect=OSError)
    with copying, moments(work, snapshots):
        ct.write(make(2, *second), work / name, format=format, overwrite=True)
    old_one, new_one = seen(old / name)[0], seen(new / name)[0]
    assert not agree(old_one, new_one)
    states = []
    for number in range(len(names_in(snapshots))):
        found, told = seen(snapshots / str(number) / name)
        assert agree(found, old_one) or agree(found, new_one)
        states.append((agree(found, new_one), told))
        ct.write(make(1, *first), snapshots / str(number) / name, format=format, overwrite=True)
        assert agree(seen(snapshots / str(number) / name)[0], old_one)
        assert names_in(snapshots / str(number)) == names_in(new)  # nothing is left
    assert states == sorted(states, key=lambda state: state[0])  # once new, always new
    assert (True, True) in states
    assert seen(work / name)[1] is False
    assert names_in(work) == names_in(new)


@pytest.mark.parametrize("format", TOGETHER)
def test_threads_that_write_together_leave_one_of_theirs(tmp_path, format):
    name, make, first, second = TOGETHER[format]
    both = [make(1, *first), make(2, *second)]
    expected = []
    for data in both:
        ct.write(data, tmp_path / name, format=format, overwrite=True)
        expected.append(seen(tmp_path / name)[0])
    with ThreadPoolExecutor(4) as pool:
        write = lambda data: ct.write(data, tmp_path / name, format=format, overwrite=True)  # noqa: E731
        list(pool.map(write, both * 4))
    found, told = seen(tmp_path / name)
    assert not told
    assert any(agree(found, one) for one in expected)
    assert not [name for name in names_in(tmp_path) if name.startswith(".")]


def test_what_a_stranger_lets_wait_leads_nowhere_else(tmp_path):
    """A folder of the name that we use, made by another, with a link out of it."""
    home, work = tmp_path / "home", tmp_path / "work"
    waiting = work / ".cryotypes-new.a.csv"
    (waiting / "down").mkdir(parents=True)
    home.mkdir()
    (home / "thesis").write_text("mine")
    (work / "down").symlink_to(home)
    (waiting / "down" / "thesis").write_text("theirs")
    (waiting / "a.csv").symlink_to(home / "thesis")
    (work / "a.csv").write_text("x,y,z\n1,2,3\n")
    assert seen(work / "a.csv")[1] is False
    ct.write(poses(1, "A"), work / "a.csv", format="peet-csv", overwrite=True)
    assert (home / "thesis").read_text() == "mine"
    assert names_in(work) == ["a.csv", "a.mod", "down"]
