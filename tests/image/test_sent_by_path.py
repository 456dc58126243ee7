"""Images of files travel to other processes by path, parts of them, too; never by value.

Whatever the format, if it is read lazily; and a file that is gone or has changed is said.
"""

import importlib.util
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import cryotypes as ct
from cryotypes.errors import ReadError

pytestmark = pytest.mark.filterwarnings("ignore::cryotypes.errors.CryotypesWarning")

VALUES = np.arange(32 * 64 * 64, dtype=np.float32).reshape(32, 64, 64) + 1  # no zero
LARGEST = 4000  # bytes; the values are 512 kB


def by_hand(name):
    """The module that makes files of a format by hand, for its own tests."""
    path = Path(__file__).parents[1] / "formats" / "images" / f"test_{name}.py"
    spec = importlib.util.spec_from_file_location(f"by_hand_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def ours(stack=False, **options):
    return lambda path: ct.write(ct.Image(VALUES, "a", 2.0, stack=stack), path, **options)


def mrc(order, mode=2):
    def make(path):
        dtype = {2: f"{order}f4", 101: "u1"}[mode]  # of 4 bits: two pixels a byte
        header = by_hand("mrc").header_bytes((64, 64, 32), mode, order)
        values = VALUES if mode == 2 else np.resize(VALUES % 16 * 17, (32, 64, 32))
        Path(path).write_bytes(bytes(header) + values.astype(dtype).tobytes())

    return make


def em(path):
    header = np.zeros(128, ">i4")
    header[:4] = 0x05000005, 64, 64, 32
    Path(path).write_bytes(header.tobytes() + VALUES.astype(">f4").tobytes())


def spider(order, kind):
    made = by_hand("spider_image").by_hand
    return lambda path: Path(path).write_bytes(made(VALUES, kind, order))


def dm(path):
    Path(path).write_bytes(by_hand("dm_image").simple(VALUES[:, ::-1]))  # the top row first


def hdf5(path):
    import h5py

    with h5py.File(path, "w") as file:
        file.create_dataset("a/volume", data=VALUES, chunks=(8, 32, 32), compression="gzip")


FILES = {  # name of the file: how it is made, and what it takes
    "plain.mrc": (ours(), ()),
    "stack.mrcs": (ours(stack=True), ()),
    "big-endian.mrc": (mrc(">"), ()),
    "four-bits.mrc": (mrc("<", 101), ()),
    "plain.em": (ours(), ()),
    "big-endian.em": (em, ()),
    "volume.spi": (spider("<", "volume"), ()),
    "stack.spi": (spider(">", "stack"), ()),
    "volume.dm4": (dm, ()),
    "plain.tif": (ours(), ("tifffile",)),
    "packed.tif": (ours(compression="deflate"), ("tifffile", "imagecodecs")),
    "volume.hdf": (ours(), ("h5py",)),
    "stack.hdf": (ours(stack=True), ("h5py",)),
    "any.h5": (hdf5, ("h5py",)),
    "v2.zarr": (ours(), ("zarr",)),
    "v3.zarr": (ours(version="0.5"), ("zarr",)),
}


@pytest.fixture(params=FILES)
def image(request, tmp_path, monkeypatch):
    """Read by a relative path, as a user does who is in the folder."""
    make, packages = FILES[request.param]
    for package in packages:
        pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    make(request.param)
    return ct.read_image(request.param, pixel_spacing=2.0)


def remove(path):
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


PARTS = {
    "all": lambda data: data,
    "a box": lambda data: data[3:20, ::-1, 5:],
    "a section": lambda data: data[7],
    "across": lambda data: data[:, 4],
}


@pytest.mark.parametrize("part", PARTS)
def test_a_part_is_sent_by_path(image, part):
    found = PARTS[part](image.data)
    if isinstance(found, np.ndarray) and not isinstance(found, np.memmap):
        return  # read already: it is the values
    expected = PARTS[part](np.asarray(image.data))
    sent = pickle.dumps(found)
    assert len(sent) < LARGEST
    again = pickle.loads(sent)
    assert type(again) is type(found)
    np.testing.assert_array_equal(np.asarray(again), expected)
    assert len(pickle.dumps(again)) < LARGEST


def test_the_values_are_those_of_the_file(image):
    expected = VALUES % 16 if image.source.name == "four-bits.mrc" else VALUES
    if image.source.name == "four-bits.mrc":  # both halves of a byte are the same
        expected = np.repeat(np.resize(expected, (32, 64, 32)), 2, axis=2)
    np.testing.assert_array_equal(np.asarray(image.data), expected)


def test_in_another_process_and_folder(image, tmp_path):
    """As they are, binned and cropped lazily, sliced."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    binned, axes = ct.bin_image(image, 2, lazy=True), 2 if image.stack else 3
    sent = {
        "all": image,
        "binned": binned,
        "cropped": ct.crop_image(image, (1, 2, 3)[:axes], (40, 41, 20)[:axes]),
        "binned and cropped": ct.crop_image(binned, (1, 2, 3)[:axes], (9, 9, 9)[:axes]),
    }
    for name, one in sent.items():
        assert len(pickle.dumps(one)) < 2 * LARGEST
        (elsewhere / f"{name}.pickle").write_bytes(pickle.dumps(one))
    code = (
        "import pathlib, pickle, numpy as np\n"
        "for path in pathlib.Path().glob('*.pickle'):\n"
        "    np.save(path.stem, np.asarray(pickle.loads(path.read_bytes()).data))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=elsewhere, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for name, one in sent.items():
        found = np.load(elsewhere / f"{name}.npy")
        np.testing.assert_array_equal(found, np.asarray(one.data), strict=True)


def touch(path):
    """The same bytes, but written later."""
    time = path.stat().st_mtime_ns + 1_000_000
    os.utime(path, ns=(time, time))


@pytest.mark.parametrize("when", ["before it is sent", "after"])
def test_a_file_that_has_changed_is_said(image, when):
    """Also if it changes before: what was mapped then is the old file still, here only."""
    sent = pickle.dumps(image)
    path = image.source
    if path.suffix == ".zarr":
        (path,) = [p for p in (path / "0").iterdir() if p.name in (".zarray", "zarr.json")]
    touch(path)
    if when == "before it is sent":
        sent = pickle.dumps(image)
    with pytest.raises(ReadError, match=r"the file has changed since it was read.*read it again"):
        np.asarray(pickle.loads(sent).data[3:5])


def test_a_file_that_is_gone_is_said(image):
    """Not even the zeros that zarr has for chunks that are not there."""
    sent = pickle.dumps(image)
    remove(image.source)
    with pytest.raises(FileNotFoundError, match=image.source.name):
        np.asarray(pickle.loads(sent).data[3:5])
    if image.source.suffix in (".hdf", ".h5", ".zarr") or image.source.name == "packed.tif":
        with pytest.raises(FileNotFoundError, match=image.source.name):
            image.data[3:5]  # the others are mapped


def test_what_is_worked_out_is_numpys_own(tmp_path):
    path = tmp_path / "a.mrc"
    ct.write(ct.Image(VALUES), path)
    data = ct.read_image(path).data
    assert isinstance(data, np.memmap)
    assert not data.flags.writeable
    assert type(data + 1) is np.ndarray
    assert type(data[[1, 2]]) is np.ndarray
    assert isinstance(data.sum(), np.floating)
    assert type(np.sqrt(data)) is np.ndarray
    assert type(data.mean(axis=0)) is np.ndarray
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(data + 1)), VALUES + 1)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(data.copy())), VALUES)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(data[:, :0])), VALUES[:, :0])
