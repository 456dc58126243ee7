"""HDF5 of no known program, against files made with h5py."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pytest

import cryotypes
from cryotypes.errors import ReadError
from cryotypes.formats.images import hdf5_image

h5py = pytest.importorskip("h5py")
read = hdf5_image.FORMAT.read


def numbers(shape, dtype="float32", seed=0):
    rng = np.random.default_rng(seed)
    kind = np.dtype(dtype)
    if kind.kind in "iu":
        info = np.iinfo(kind)
        data = rng.integers(info.min, info.max, shape, kind, endpoint=True)
        data.flat[0], data.flat[-1] = info.min, info.max
        return data
    return rng.normal(size=shape).astype(kind)


def packed_by(path, *filters, skipped=0, place="a/volume"):
    """A dataset of one chunk that claims to have gone through filters, by their numbers."""
    values = numbers((4, 8, 8))
    with h5py.File(path, "w") as file:
        plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plan.set_chunk(values.shape)
        for number in filters:
            plan.set_filter(number, h5py.h5z.FLAG_OPTIONAL, (3,))
        group = file.create_group(place.rpartition("/")[0])
        space = h5py.h5s.create_simple(values.shape)
        name = place.rpartition("/")[2].encode()
        stored = h5py.h5d.create(group.id, name, h5py.h5t.IEEE_F32LE, space, plan)
        stored.write_direct_chunk((0, 0, 0), values.astype("<f4").tobytes(), skipped)
    return values


def test_a_filter_may_be_left_out_of_all_chunks(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "hdf5plugin", None)
    values = packed_by(tmp_path / "a.h5", 40123, skipped=1)
    found = cryotypes.read_image(tmp_path / "a.h5", pixel_spacing=1)
    np.testing.assert_array_equal(np.asarray(found.data), values)


def test_an_installed_plugin_is_used(tmp_path):
    """In other processes, too, in which nobody has imported it."""
    hdf5plugin = pytest.importorskip("hdf5plugin")
    values = numbers((4, 8, 8))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("a", data=values, **hdf5plugin.Zstd())
    sent = pickle.dumps(cryotypes.read_image(tmp_path / "a.h5", pixel_spacing=1))
    (tmp_path / "sent").write_bytes(sent)
    code = (
        "import pickle, numpy\nimage = pickle.load(open('sent', 'rb'))\nprint(image.data[:].sum())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == str(values.sum()), done.stderr


def other(path, libver=None, **datasets):
    with h5py.File(path, "w", libver=libver) as file:
        for name, data in datasets.items():
            file[name.replace("__", "/")] = data
    return path


def test_the_only_dataset(tmp_path):
    data = numbers((3, 4, 5), "uint8")
    path = other(tmp_path / "TS_01.h5", a__b=data, text="words", line=[1, 2, 3], empty=[[]])
    found = read(path)
    assert (found.pixel_spacing, found.stack, found.experiment_id) == (0, False, "TS_01")
    assert found.metadata == {"dataset": "/a/b"}
    assert found.data.dtype == np.uint8
    np.testing.assert_array_equal(found.data, data)
    np.testing.assert_array_equal(found.data[::-1, 1], data[::-1, 1])
    found = read(path, pixel_spacing=5, stack=True, experiment_id="x")
    assert (found.pixel_spacing, found.stack, found.experiment_id) == (5, True, "x")


def test_several_datasets(tmp_path):
    path = other(tmp_path / "a.h5", a=numbers((3, 4)), g__b=numbers((2, 3, 4)), c=[1, 2])
    with pytest.raises(ReadError, match=r"/a \(float32, shape \(3, 4\)\), /g/b .*dataset="):
        read(path)
    assert read(path, dataset="g/b", pixel_spacing=1).data.shape == (2, 3, 4)
    for wrong in ("g", "nothing", "", "/c", "a/b"):
        with pytest.raises(ReadError):
            read(path, dataset=wrong)
    with pytest.raises(ReadError, match="three dimensions"):
        read(path, dataset="a", stack=True)
    with pytest.raises(ReadError, match="found no dataset"):
        read(other(tmp_path / "b.h5"))
    with pytest.raises(ReadError, match="shape"):
        read(other(tmp_path / "c.h5", c=[1, 2]))
    many = {f"d{n}": np.zeros((2, 2)) for n in range(30)}
    with pytest.raises(ReadError, match="10 more"):
        read(other(tmp_path / "d.h5", **many))


def test_never_written(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("a", (1 << 20, 1 << 20), "f4")
    with pytest.raises(ReadError, match="never written"):
        read(tmp_path / "a.h5")
