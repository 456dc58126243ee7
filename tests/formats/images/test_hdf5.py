"""What EMAN2's HDF and that of others share: recognition, filters, damage, h5py itself."""

from __future__ import annotations

import contextlib
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import cryotypes
from cryotypes.errors import GuessWarning, MissingPackageError, ReadError
from cryotypes.formats.images import eman2_hdf, hdf5_image
from cryotypes.formats.shared.declaration import Head
from cryotypes.image import Image
from cryotypes.io import candidates
from cryotypes.testing import assert_same, check_format

h5py = pytest.importorskip("h5py")
read, write = eman2_hdf.FORMAT.read, eman2_hdf.FORMAT.write
read_any = hdf5_image.FORMAT.read


def numbers(shape, dtype="float32", seed=0):
    rng = np.random.default_rng(seed)
    kind = np.dtype(dtype)
    if kind.kind in "iu":
        info = np.iinfo(kind)
        data = rng.integers(info.min, info.max, shape, kind, endpoint=True)
        data.flat[0], data.flat[-1] = info.min, info.max
        return data
    return rng.normal(size=shape).astype(kind)


def image(data, name="TS_01", pixel_spacing=2.7, stack=False):
    return Image(data, name, pixel_spacing, "somewhere", stack)


def by_hand(path, arrays, apix=(2.7, 2.7, 2.7), last=None, facts=None, **storage):
    """Write as hdfio2.cpp does: arrays by number; attributes of one element, of EMAN2's types."""
    arrays = arrays if isinstance(arrays, dict) else {0: arrays}
    with h5py.File(path, "w") as file:
        images = file.create_group("MDF").create_group("images")
        images.attrs["imageid_max"] = np.array([max(arrays) if last is None else last], "i4")
        for number, array in arrays.items():
            group = images.create_group(str(number))
            group.create_dataset("image", data=array, **storage)
            for axis, size, px in zip("xyz", (1, 1, *array.shape)[::-1], apix, strict=False):
                group.attrs[f"EMAN.n{axis}"] = np.array([size], "i4")
                group.attrs[f"EMAN.apix_{axis}"] = np.array([px], "f4")
            for name, value in (facts or {}).items():
                group.attrs[f"EMAN.{name}"] = value
    return path


def rendered(bits, low, high):
    return {
        "stored_renderbits": np.array([bits], "i4"),
        "stored_rendermin": np.array([low], "f4"),
        "stored_rendermax": np.array([high], "f4"),
    }


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


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (32015, r"filter 32015 \(Zstandard\), which is not installed; pip install hdf5plugin$"),
        (307, r"filter 307 \(BZIP2\).*pip install hdf5plugin$"),
        (40123, r"filter 40123, which is not installed; install its plugin.*HDF5_PLUGIN_PATH"),
    ],
)
@pytest.mark.parametrize("place", ["a/volume", "MDF/images/0/image"])
def test_missing_filters_are_named(tmp_path, monkeypatch, number, said, place):
    """With what to install; h5py speaks of a directory of plugins that it cannot open."""
    monkeypatch.setattr(h5py.h5z, "filter_avail", lambda n: n < 100)
    monkeypatch.setitem(sys.modules, "hdf5plugin", None)
    packed_by(tmp_path / "a.h5", 2, number, place=place)  # 2: shuffle, which is built in
    with pytest.raises(ReadError, match=rf"a\.h5: /{place}: packed with HDF5 {said}"):
        cryotypes.read_image(tmp_path / "a.h5")


def other(path, libver=None, **datasets):
    with h5py.File(path, "w", libver=libver) as file:
        for name, data in datasets.items():
            file[name.replace("__", "/")] = data
    return path


def test_sniffing(tmp_path):
    ours = tmp_path / "ours.hdf"
    write(image(numbers((40, 4, 5)), stack=True), ours)
    mdf = [ours, by_hand(tmp_path / "a.bin", numbers((3, 4)))]
    for libver in (None, "latest"):
        theirs = other(tmp_path / f"{libver}.hdf", libver=libver, images=numbers((3, 4)))
        assert hdf5_image.sniff(Head.of(theirs))
        assert not eman2_hdf.sniff(Head.of(theirs))
    for path in mdf:
        assert eman2_hdf.sniff(Head.of(path))
        assert not hdf5_image.sniff(Head.of(path))
    cut = b"\x89HDF\r\n\x1a\n" + bytes(100)
    for data in (b"", cut, cut[:9], b"MDF\0images\0imageid_max" * 5):
        assert not eman2_hdf.sniff(Head(Path("a.hdf"), data))
        assert not hdf5_image.sniff(Head(Path("a.h5"), data))


def test_hdf5_of_others_is_no_eman2(tmp_path):
    with pytest.raises(ReadError, match=r"MDF/images.*format='hdf5'"):
        read(other(tmp_path / "a.hdf", a=numbers((3, 4))))
    for function in (read, read_any):
        with pytest.raises(FileNotFoundError):
            function(tmp_path / "nothing.hdf")
        with pytest.raises(IsADirectoryError):
            function(tmp_path)
        (tmp_path / "text.hdf").write_text("no data\n" * 20)
        with pytest.raises(ReadError, match="HDF5"):
            function(tmp_path / "text.hdf")


def samples(folder):
    packed = {"chunks": (1, 4, 5), "compression": "gzip", "shuffle": True, "fletcher32": True}
    return [
        by_hand(folder / "volume.hdf", numbers((3, 4, 5))),
        by_hand(folder / "stack.hdf", {n: numbers((2, 3)) for n in range(3)}),
        by_hand(folder / "packed.hdf", numbers((3, 4, 5), "u1"), facts=rendered(8, 0, 1), **packed),
        other(folder / "other.h5", a__b=numbers((3, 4)), line=[1.0]),
        other(folder / "latest.h5", libver="latest", a__b=numbers((3, 4))),
    ]


@pytest.mark.parametrize("place", range(5))
def test_damage(tmp_path, place):
    path = samples(tmp_path)[place]
    content = path.read_bytes()
    function = read if path.suffix == ".hdf" else read_any
    for length in range(0, len(content), 97):
        path.write_bytes(content[:length])
        with pytest.raises(ReadError):
            function(path)
    rng = np.random.default_rng(place)
    filled = [at for at, byte in enumerate(content) if byte or at % 29 == 0]
    for position in filled[place :: len(filled) // 400 + 1]:
        damaged = bytearray(content)
        damaged[position] = rng.choice([0, 255, content[position] ^ 1, rng.integers(256)])
        path.write_bytes(damaged)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", GuessWarning)
            with contextlib.suppress(ReadError):
                np.asarray(function(path).data)


@pytest.mark.parametrize("place", range(3))
def test_files_of_eman2_are_written_back(tmp_path, place):
    path = samples(tmp_path)[place]
    assert [format.name for format in candidates(path)] == ["eman2-hdf"]
    found = read(path)
    report = write(found, tmp_path / f"again_{path.name}")
    assert not report.lost
    again = read(tmp_path / f"again_{path.name}")
    assert_same(again, found, ignore=["experiment_id"])


def test_contract_of_others(tmp_path):
    """Which is only read: there is nothing to try but these."""
    examples = samples(tmp_path)[3:]
    others = tmp_path / "others"
    others.mkdir()
    check_format(
        hdf5_image.FORMAT,
        examples=examples,
        read_options={"pixel_spacing": 2.0},
        directory=others,
    )


def test_without_h5py(tmp_path, monkeypatch):
    path = tmp_path / "a.hdf"
    write(image(numbers((3, 4))), path)
    monkeypatch.setitem(sys.modules, "h5py", None)
    for function in (read, read_any):
        with pytest.raises(MissingPackageError, match=r"cryotypes\[hdf\]"):
            function(path)
    with pytest.raises(MissingPackageError, match=r"cryotypes\[hdf\]"):
        write(image(numbers((3, 4))), tmp_path / "b.hdf")
    assert list(tmp_path.iterdir()) == [path]
