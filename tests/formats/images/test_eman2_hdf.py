"""EMAN2's HDF, against files made in EMAN2's form with h5py."""

from __future__ import annotations

import pickle
import struct
import time

import numpy as np
import pytest

from cryotypes.errors import GuessWarning, ReadError, WriteError
from cryotypes.formats.images import eman2_hdf
from cryotypes.image import Image, _pieces

h5py = pytest.importorskip("h5py")
DTYPES = ("float32", "int8", "uint8", "int16", "uint16", "int32", "uint32")
read, write = eman2_hdf.FORMAT.read, eman2_hdf.FORMAT.write


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


@pytest.mark.parametrize(
    ("shape", "stack"),
    [((3, 4, 5), False), ((3, 4, 5), True), ((12, 4, 5), True), ((4, 5), False), ((1, 4, 5), False),
     ((1, 1), False)],
)  # fmt: skip
@pytest.mark.parametrize("dtype", DTYPES)
def test_round_trip(tmp_path, dtype, shape, stack):
    path = tmp_path / "TS_01.hdf"
    data = numbers(shape, dtype)
    report = write(image(data, stack=stack), path)
    assert (report.lost, report.converted, report.assumed) == ({}, {}, {})
    assert set(report.kept) == {"data", "stack", "pixel_spacing", "experiment_id"}
    back = read(path)
    assert not isinstance(back.data, np.ndarray)  # but read when it is asked for
    assert (back.data.dtype, back.data.shape, back.data.ndim) == (data.dtype, shape, len(shape))
    np.testing.assert_array_equal(back.data, data)
    assert (back.stack, back.pixel_spacing, back.experiment_id) == (stack, 2.7, "TS_01")
    assert back.source == path
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("stack", [False, True])
def test_layout_is_that_of_eman2(tmp_path, stack):
    path = tmp_path / "TS_01.hdf"
    data = numbers((11, 4, 5))
    write(image(data, stack=stack), path)
    with h5py.File(path) as file:
        images = file["/MDF/images"]
        assert images.attrs["imageid_max"] == (10 if stack else 0)
        assert images.attrs["imageid_max"].dtype == "i4"
        assert sorted(images, key=int) == [str(n) for n in range(11 if stack else 1)]
        for number, group in images.items():
            attrs = group.attrs
            np.testing.assert_array_equal(group["image"], data[int(number)] if stack else data)
            assert group["image"].dtype == "f4"
            assert [attrs[f"EMAN.n{a}"].item() for a in "xyz"] == [5, 4, 1 if stack else 11]
            assert {attrs[f"EMAN.n{a}"].dtype for a in "xyz"} == {np.dtype("i4")}
            assert {attrs[f"EMAN.apix_{a}"].dtype for a in "xyz"} == {np.dtype("f4")}
            assert attrs["EMAN.apix_x"] == pytest.approx(2.7)
            assert "EMAN.stored_renderbits" not in attrs


@pytest.mark.parametrize("spacing", [0.1, 1.35, 2.7, 10.83, 1.2345678, 1e-3, 27.648])
def test_spacing(tmp_path, spacing):
    path = tmp_path / "a.hdf"
    write(image(numbers((2, 3)), pixel_spacing=spacing), path)
    assert read(path).pixel_spacing == pytest.approx(spacing, rel=1e-7)


def test_images_are_in_the_order_of_their_numbers(tmp_path):
    data = numbers((12, 3, 4))
    shuffled = {n: data[n] for n in (10, 2, 0, 11, 1, 9, 3, 8, 4, 7, 5, 6)}
    back = read(by_hand(tmp_path / "a.hdf", shuffled))
    assert back.stack
    np.testing.assert_array_equal(back.data, data)
    np.testing.assert_array_equal(back.data[10], data[10])


@pytest.mark.parametrize(("bits", "dtype"), [(3, "u1"), (8, "u1"), (12, "u2"), (16, "u2")])
def test_integers_that_stand_for_numbers(tmp_path, bits, dtype):
    stored = numbers((3, 4, 5), dtype) & np.dtype(dtype).type(2**bits - 1)
    stored.flat[0], stored.flat[1] = 0, 2**bits - 1
    facts = rendered(bits, -1.5, 4.25)
    path = by_hand(tmp_path / "a.hdf", stored, facts=facts, chunks=(1, 4, 5), compression=1)
    back = read(path)
    assert back.data.dtype == np.float32
    wide = stored.astype(float) / (2**bits - 1) * 5.75 - 1.5
    np.testing.assert_allclose(back.data, wide, atol=1e-6)
    np.testing.assert_allclose(back.data[1:, ::2, 3], wide[1:, ::2, 3], atol=1e-6)
    assert np.asarray(back.data).flat[0] == -1.5
    assert np.asarray(back.data).flat[1] == 4.25


def test_signed_integers_that_stand_for_numbers(tmp_path):
    stored = np.array([[-128, 127], [0, -1]], "i1")
    back = read(by_hand(tmp_path / "a.hdf", stored, facts=rendered(8, 0, 255)))
    assert np.asarray(back.data).tolist() == [[0, 255], [128, 127]]


@pytest.mark.parametrize("facts", [{}, rendered(0, 1, 2)])
def test_integers_without_bits_are_literal(tmp_path, facts):
    stored = numbers((4, 5), "u2")
    back = read(by_hand(tmp_path / "a.hdf", stored, facts=facts))
    assert back.data.dtype == np.uint16
    np.testing.assert_array_equal(back.data, stored)


def test_each_image_has_its_own_scale(tmp_path):
    path = by_hand(tmp_path / "a.hdf", {n: np.full((2, 3), 255, "u1") for n in range(3)})
    with h5py.File(path, "a") as file:
        for number, high in enumerate((1.0, 2.0)):
            for name, value in rendered(8, 0, high).items():
                file[f"MDF/images/{number}"].attrs[f"EMAN.{name}"] = value
    back = read(path)
    assert back.data.dtype == np.float32
    assert back.data[:, 0, 0].tolist() == [1, 2, 255]


@pytest.mark.parametrize("facts", [
    {"stored_renderbits": 8}, rendered(17, 0, 1), rendered(8, np.nan, 1), rendered(8, 0, np.inf),
    {**rendered(8, 0, 1), "stored_renderbits": "many"}, {"is_complex": np.array([1], "i4")},
])  # fmt: skip
def test_impossible_scales(tmp_path, facts):
    path = by_hand(tmp_path / "a.hdf", numbers((4, 5), "u1"), facts=facts)
    with pytest.raises(ReadError):
        read(path)


def test_attributes(tmp_path):
    transform = np.dtype([(f"{r}{c}", "f4") for r in range(3) for c in range(4)])
    facts = {"ctf": np.bytes_("E2.7"), "is_really": np.array([84], "i1"),
             "tilts": np.array([1, 2], "f4"), "xform": np.zeros(1, transform)}  # fmt: skip
    found = read(by_hand(tmp_path / "a.hdf", numbers((4, 5)), facts=facts)).metadata
    assert found["apix_x"] == 2.7
    assert (found["nx"], found["ny"], found["nz"]) == (5, 4, 1)
    assert (found["ctf"], found["is_really"], found["tilts"]) == ("E2.7", True, [1, 2])
    assert found["xform"] == (0.0,) * 12


def test_stack_flag(tmp_path):
    volume = by_hand(tmp_path / "v.hdf", numbers((3, 4, 5)))
    assert not read(volume).stack
    assert read(volume, stack=True).stack
    single = by_hand(tmp_path / "s.hdf", numbers((4, 5)))
    assert read(single).data.shape == (4, 5)
    as_stack = read(single, stack=True)
    assert (as_stack.data.shape, as_stack.stack) == ((1, 4, 5), True)
    np.testing.assert_array_equal(as_stack.data, numbers((1, 4, 5)))
    images = by_hand(tmp_path / "i.hdf", {0: numbers((4, 5)), 1: numbers((4, 5))})
    assert not read(images, stack=False).stack
    one = tmp_path / "one.hdf"
    report = write(image(numbers((1, 4, 5)), stack=True), one)
    assert "stack" in report.lost
    assert read(one).data.shape == (4, 5)


def test_a_line(tmp_path):
    path = by_hand(tmp_path / "a.hdf", numbers((5,)))
    assert read(path).data.shape == (1, 5)
    np.testing.assert_array_equal(read(path).data, numbers((1, 5)))
    np.testing.assert_array_equal(read(path, stack=True).data[0, 0, 1:3], numbers((5,))[1:3])


def test_index(tmp_path):
    path = by_hand(tmp_path / "a.hdf", {0: numbers((2, 4, 5)), 1: numbers((2, 4, 5), seed=1)})
    with pytest.raises(ReadError, match=r"2 volumes.*index="):
        read(path)
    np.testing.assert_array_equal(read(path, index=1).data, numbers((2, 4, 5), seed=1))
    with pytest.raises(ReadError, match="there are 0 to 1"):
        read(path, index=2)


@pytest.mark.parametrize(("arrays", "last"), [((0, 2), None), ((0, 1), 5), ((3,), None)])
def test_missing_images(tmp_path, arrays, last):
    path = by_hand(tmp_path / "a.hdf", {n: numbers((4, 5)) for n in arrays}, last=last)
    with pytest.warns(GuessWarning, match=r"images, found .*index="):
        read(path)
    read(path, index=arrays[0])


def test_images_that_do_not_go_together(tmp_path):
    with pytest.raises(ReadError, match="shape"):
        read(by_hand(tmp_path / "a.hdf", {0: numbers((4, 5)), 1: numbers((4, 6))}))
    for array in (numbers((1, 1, 4, 5)), np.zeros((4, 5), "c8"), np.zeros((0, 5), "f4")):
        with pytest.raises(ReadError):
            read(by_hand(tmp_path / "a.hdf", array))
    with h5py.File(by_hand(tmp_path / "a.hdf", numbers((4, 5))), "a") as file:
        del file["MDF/images/0/image"]
    with pytest.raises(ReadError, match="dataset /MDF/images/0/image"):
        read(tmp_path / "a.hdf")


@pytest.mark.parametrize(
    ("apix", "words", "spacing"),
    [((), "no EMAN.apix_x", 0), ((0, 0, 0), "no EMAN.apix_x", 0), ((1, 1, 1), "1 Å", 1),
     ((2, 3, 2), "2, 3, 2", 2), ((2, 2, 4), "2, 2, 4", 2), ((np.nan, 2, 2), "no EMAN", 0)],
)  # fmt: skip
def test_doubtful_spacing(tmp_path, apix, words, spacing):
    path = by_hand(tmp_path / "a.hdf", numbers((3, 4, 5)), apix=apix)
    with pytest.warns(GuessWarning, match=rf"{words}.*pixel_spacing="):
        assert read(path).pixel_spacing == spacing
    assert read(path, pixel_spacing=3).pixel_spacing == 3
    with pytest.raises(ValueError, match="pixel_spacing"):
        read(path, pixel_spacing=-1)


def test_z_of_a_stack_is_no_spacing(tmp_path):
    path = by_hand(tmp_path / "a.hdf", {0: numbers((4, 5))}, apix=(2.5, 2.5, 9))
    assert read(path).pixel_spacing == 2.5


KEYS = [
    0, -1, np.int64(1), slice(None), slice(1, 3), slice(None, None, -1), slice(4, 0, -2),
    slice(3, 3), ..., (), (0, 1, 2), (..., 2), (slice(None), 1), (1, ..., slice(None, None, -2)),
    (slice(1, None, 2), slice(None, None, 3), slice(-2, None)), None, (None, 0), [0, 2],
    (slice(None), [1, 0]), np.array([True, False, True, False, True]), (-5, -4, -6),
]  # fmt: skip


@pytest.mark.parametrize("key", KEYS, ids=str)
@pytest.mark.parametrize("stack", [False, True])
def test_slices_are_numpys(tmp_path, key, stack):
    data = numbers((5, 4, 6), "int16")
    path = tmp_path / "a.hdf"
    write(image(data, stack=stack), path)
    found = read(path).data[key]
    np.testing.assert_array_equal(found, data[key])
    assert found.shape == data[key].shape
    assert found.dtype == data.dtype


@pytest.mark.parametrize("key", [5, -6, (0, 4), (0, 0, 0, 0), (..., ...), 1.5, "a"])
def test_impossible_slices(tmp_path, key):
    write(image(numbers((5, 4, 6))), tmp_path / "a.hdf")
    with pytest.raises(IndexError):
        read(tmp_path / "a.hdf").data[key]


def test_lazy(tmp_path, monkeypatch):
    path = tmp_path / "large.hdf"
    with h5py.File(path, "w") as file:
        images = file.create_group("MDF/images")
        images.attrs["imageid_max"] = 0
        group = images.create_group("0")
        group.attrs["EMAN.apix_x"] = 2.5
        dataset = group.create_dataset("image", (1000, 2048, 2048), "f4", chunks=(1, 2048, 2048))
        dataset[999, 5, 7] = 3
    start = time.perf_counter()
    data = read(path).data
    assert data.shape == (1000, 2048, 2048)  # 16 GB
    assert data[999, 5, 7] == 3
    assert data[998:, :8, :8].sum() == 3
    assert time.perf_counter() - start < 2
    again = pickle.loads(pickle.dumps(data))
    assert again[999, 5, 7] == 3
    assert len(again) == 1000
    assert "large.hdf" in repr(again)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        data[0]


@pytest.mark.parametrize("value", [np.array([13.79], "f4"), 13.79, "13.79"])
def test_pixel_spacing_of_imod(tmp_path, value):
    """Its files have EMAN2's layout, and an attribute of IMOD's own."""
    path = by_hand(tmp_path / "a.hdf", numbers((3, 4, 5)), apix=())
    with h5py.File(path, "r+") as file:
        file["MDF/images/0"].attrs["Group.IMOD.PixelSpacing"] = value
    assert read(path).pixel_spacing == pytest.approx(13.79, rel=1e-6)


def test_array_protocol(tmp_path):
    data = numbers((4, 5), "int16")
    write(image(data), tmp_path / "a.hdf")
    found = read(tmp_path / "a.hdf").data
    assert np.asarray(found, dtype="f8").dtype == np.float64
    assert np.mean(found) == data.mean()
    with pytest.raises(ValueError, match="copy"):
        found.__array__(copy=False)  # what numpy 2 asks


def test_changed_behind_our_back(tmp_path):
    path = tmp_path / "a.hdf"
    write(image(numbers((4, 5))), path)
    data = read(path).data
    write(image(numbers((4, 6))), path, overwrite=True)
    with pytest.raises(ReadError, match=r"a\.hdf: the file has changed since it was read"):
        data[0]


def test_big_endian(tmp_path):
    path = by_hand(tmp_path / "a.hdf", numbers((3, 4)).astype(">f4"))
    assert read(path).data.dtype.isnative
    assert read(path).data[0].dtype.isnative
    np.testing.assert_array_equal(read(path).data, numbers((3, 4)))


@pytest.mark.parametrize(
    ("dtype", "stored"),
    [("bool", "uint8"), ("float16", "float32"), ("int64", "float32"), ("float64", "float32"),
     (">i2", "int16"), (">f4", "float32")],
)  # fmt: skip
def test_conversion_without_loss(tmp_path, dtype, stored):
    data = np.array([[0, 1], [1, 0]], dtype)
    report = write(image(data), tmp_path / "TS_01.hdf")
    assert not report.lost
    assert ("dtype" in report.converted) == (dtype not in (">i2", ">f4"))
    back = read(tmp_path / "TS_01.hdf").data
    assert back.dtype == stored
    np.testing.assert_array_equal(back, data)


@pytest.mark.parametrize("data", [np.array([[0.1, 0.5]]), np.array([[2**24 + 1, 0]])])
def test_conversion_with_loss(tmp_path, data):
    report = write(image(data), tmp_path / "TS_01.hdf")
    assert "1 of 2 values change" in report.lost["dtype"]
    np.testing.assert_array_equal(read(tmp_path / "TS_01.hdf").data, data.astype("f4"))


@pytest.mark.parametrize(
    ("data", "options"),
    [(np.zeros((3,), "f4"), {}), (np.zeros((0, 3), "f4"), {}), (np.zeros((2, 2, 2, 2), "f4"), {}),
     (np.zeros((3, 4), "f4"), {"stack": True}), (np.array([["a"]]), {}),
     (np.zeros((3, 4), "c8"), {}), (np.array([[1e39]]), {}),
     (np.zeros((3, 4), "f4"), {"pixel_spacing": 1e39}),
     (np.zeros((3, 4), "f4"), {"pixel_spacing": 1e-60})],
)  # fmt: skip
def test_impossible_data(tmp_path, data, options):
    path = tmp_path / "a.hdf"
    path.write_bytes(b"old")
    with pytest.raises(WriteError):
        write(image(data, **options), path, overwrite=True)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_file_cannot_hold(tmp_path):
    path = tmp_path / "map.hdf"
    report = write(image(numbers((3, 4)), pixel_spacing=0), path)
    assert list(report.lost) == ["experiment_id"]
    assert list(report.assumed) == ["pixel_spacing"]
    with pytest.warns(GuessWarning, match="pixel_spacing="):
        assert read(path).pixel_spacing == 0
    assert "experiment_id" in write(image(numbers((3, 4)), ""), path, overwrite=True).assumed


class Lazy:
    """Data that exist only as the slices that are asked for."""

    def __init__(self, shape, fail_at=None):
        self.shape, self.dtype, self.ndim = shape, np.dtype("f4"), len(shape)
        self.fail_at, self.asked = fail_at, []

    def __getitem__(self, key):
        lengths = [len(range(*k.indices(n))) for k, n in zip(key, self.shape, strict=True)]
        self.asked.append(lengths[0])
        if self.fail_at is not None and sum(self.asked) > self.fail_at:
            raise RuntimeError("the disk is gone")
        return np.full(lengths, key[0].stop, self.dtype)

    def __array__(self, dtype=None, copy=None):
        raise AssertionError("all of it was asked for")


@pytest.mark.parametrize("stack", [False, True])
def test_slab_by_slab(tmp_path, monkeypatch, stack):
    monkeypatch.setattr(_pieces, "PIECE", 4 * 30 * 2)
    data = Lazy((7, 5, 6))
    write(image(data, stack=stack), tmp_path / "a.hdf")
    assert max(data.asked) == 2
    assert read(tmp_path / "a.hdf").data[:, 0, 0].tolist() == [2, 2, 4, 4, 6, 6, 7]


@pytest.mark.parametrize("stack", [False, True])
def test_interrupted(tmp_path, monkeypatch, stack):
    monkeypatch.setattr(_pieces, "PIECE", 4 * 30 * 2)
    path = tmp_path / "a.hdf"
    path.write_bytes(b"old")
    with pytest.raises(FileExistsError):
        write(image(numbers((3, 4))), path)
    with pytest.raises(RuntimeError, match="disk"):
        write(image(Lazy((7, 5, 6), fail_at=3), stack=stack), path, overwrite=True)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_onto_itself(tmp_path):
    path = tmp_path / "a.hdf"
    write(image(numbers((4, 5, 6))), path)
    write(read(path), path, overwrite=True)
    np.testing.assert_array_equal(read(path).data, numbers((4, 5, 6)))


def other(path, libver=None, **datasets):
    with h5py.File(path, "w", libver=libver) as file:
        for name, data in datasets.items():
            file[name.replace("__", "/")] = data
    return path


def samples(folder):
    packed = {"chunks": (1, 4, 5), "compression": "gzip", "shuffle": True, "fletcher32": True}
    return [
        by_hand(folder / "volume.hdf", numbers((3, 4, 5))),
        by_hand(folder / "stack.hdf", {n: numbers((2, 3)) for n in range(3)}),
        by_hand(folder / "packed.hdf", numbers((3, 4, 5), "u1"), facts=rendered(8, 0, 1), **packed),
        other(folder / "other.h5", a__b=numbers((3, 4)), line=[1.0]),
        other(folder / "latest.h5", libver="latest", a__b=numbers((3, 4))),
    ]


def test_a_chunk_of_no_size(tmp_path):
    """The library itself crashes on this one."""
    path = samples(tmp_path)[2]
    with h5py.File(path) as file:
        chunk = file["MDF/images/0/image"].id.get_chunk_info(1)
    content = path.read_bytes()
    key = struct.pack("<IIQ", chunk.size, 0, 1)  # in the tree of chunks: size, mask, offset
    assert content.count(key) == 1
    for size in (0, 4, 1 << 31):
        path.write_bytes(content.replace(key, struct.pack("<IIQ", size, 0, 1)))
        with pytest.raises(ReadError, match=f"chunks of .* found {size}"):
            read(path)


@pytest.mark.parametrize("name", ["µ-Å 核糖体", "with space", "per%cent", "-dash", "a'b\"c"])
def test_odd_paths(tmp_path, name):
    path = tmp_path / f"{name}.hdf"
    assert "experiment_id" in write(image(numbers((4, 5)), name), path).kept
    assert read(str(path)).experiment_id == name
    np.testing.assert_array_equal(read(str(path)).data, numbers((4, 5)))
