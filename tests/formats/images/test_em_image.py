"""EM images, against headers built by hand and what emfile writes, and against damage."""

from __future__ import annotations

import bz2
import gzip
import os
import struct
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import cryotypes as ct
from cryotypes.errors import ReadError, UnknownFormatError, WriteError
from cryotypes.formats.images import _raw_image, em_image
from cryotypes.formats.poses import motl_em
from cryotypes.formats.shared.declaration import Head
from cryotypes.image import Image, _pieces

TYPES = {"int8": 1, "int16": 2, "int32": 4, "float32": 5, "float64": 9}
COMPRESSION = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress}

write = em_image.FORMAT.write
read = partial(em_image.FORMAT.read, pixel_spacing=2.7)


def by_hand(data: np.ndarray, machine=6, order="<", kind=None) -> bytes:
    """Every field at its documented offset, independent of the package."""
    raw = bytearray(512)
    raw[0] = machine
    raw[3] = {**TYPES, "complex64": 8}[data.dtype.name] if kind is None else kind
    raw[4:16] = b"".join(struct.pack(f"{order}i", n) for n in data.shape[::-1])
    raw[16:29] = b"from the hand"
    raw[96:100] = struct.pack(f"{order}i", 300)
    raw[100:256] = b"A" * 156  # as emfile fills it
    return bytes(raw) + data.astype(data.dtype.newbyteorder(order)).tobytes()


def numbers(shape, dtype="float32"):
    rng, kind = np.random.default_rng(0), np.dtype(dtype)
    if kind.kind in "iu":
        info = np.iinfo(kind)
        data = rng.integers(info.min, info.max, shape, kind, endpoint=True)
        data.flat[0], data.flat[-1] = info.min, info.max
        return data
    data = rng.normal(size=shape)
    return (data + 1j * data if kind.kind == "c" else data).astype(kind)


def image(data, name="TS_01", pixel_spacing=0.0, stack=False):
    return Image(data, name, pixel_spacing, "somewhere", stack)


@pytest.mark.parametrize("compression", COMPRESSION)
@pytest.mark.parametrize("shape", [(3, 4, 5), (4, 5), (1, 1), (2, 1, 20)])
@pytest.mark.parametrize("dtype", TYPES)
def test_round_trip(tmp_path, dtype, shape, compression):
    path = tmp_path / f"TS_01.em{compression}"
    data = numbers(shape, dtype)
    report = write(image(data), path, overwrite=False)
    assert (report.lost, report.converted, report.assumed) == ({}, {}, {})
    assert set(report.kept) == {"data", "stack", "experiment_id"}
    back = read(path)
    assert back.data.dtype == data.dtype
    np.testing.assert_array_equal(back.data, data, strict=True)
    assert (back.stack, back.pixel_spacing, back.experiment_id) == (False, 2.7, "TS_01")
    assert back.source == path
    assert isinstance(back.data, np.memmap) == (compression == "")
    assert em_image.sniff(Head.of(path))
    assert list(tmp_path.iterdir()) == [path]
    content = path.read_bytes()
    if not compression:  # the bytes that emfile 0.3.0 writes, but for the rest of the header
        size = (1, *shape)[-3:][::-1]
        assert content[:16] == bytes([6, 0, 0, TYPES[dtype]]) + struct.pack("<3i", *size)
        assert content[512:] == data.tobytes()


@pytest.mark.parametrize("compression", COMPRESSION)
@pytest.mark.parametrize(
    ("machine", "order"), [(6, "<"), (5, ">"), (3, ">"), (0, ">"), (5, "<"), (6, ">")]
)
@pytest.mark.parametrize("dtype", [*TYPES, "complex64"])
def test_byte_orders(tmp_path, dtype, machine, order, compression):
    """The machine's, or the other where only that makes sense."""
    data = numbers((3, 4, 5), dtype)
    path = tmp_path / "a.em"
    path.write_bytes(COMPRESSION[compression](by_hand(data, machine, order)))
    assert em_image.sniff(Head.of(path))
    back = read(path)
    np.testing.assert_array_equal(back.data, data)
    assert compression == "" or back.data.dtype.isnative
    assert back.metadata["comment"] == "from the hand"
    assert back.metadata["parameters"][:2] == (300, 0x41414141)
    assert (back.metadata["machine"], len(back.metadata["parameters"])) == (machine, 40)
    if dtype != "complex64":
        copy = tmp_path / "copy.em"
        write(back, copy)
        np.testing.assert_array_equal(read(copy).data, data.astype(dtype), strict=True)


def test_options(tmp_path):
    path = tmp_path / "TS_01.em"
    path.write_bytes(by_hand(numbers((3, 4, 5))))
    assert em_image.read(path).pixel_spacing == 0  # unknown, and no news
    back = ct.read_image(path, pixel_spacing=13.33, stack=True, experiment_id="other")
    assert (back.pixel_spacing, back.stack, back.experiment_id) == (13.33, True, "other")
    with pytest.raises(ValueError, match="pixel_spacing"):
        em_image.read(path, pixel_spacing=-1)
    path.write_bytes(by_hand(numbers((1, 4, 5))))
    assert read(path).data.shape == (4, 5)
    assert read(path, stack=True).data.shape == (1, 4, 5)


def test_losses_are_named(tmp_path):
    path = tmp_path / "a.em"
    report = write(image(numbers((3, 4, 5)), "TS_01", 2.5, stack=True), path)
    assert set(report.lost) == {"stack", "pixel_spacing", "experiment_id"}
    report = write(image(numbers((1, 4, 5)), ""), path, overwrite=True)
    assert set(report.converted) == {"data"}
    assert set(report.assumed) == {"experiment_id"}


@pytest.mark.parametrize(
    ("dtype", "target"),
    [("bool", "int8"), ("uint8", "int16"), ("uint16", "int32"), ("float16", "float32"),
     ("uint32", "float64"), ("int64", "float64"), (">i2", "int16")],
)  # fmt: skip
def test_other_dtypes(tmp_path, dtype, target):
    data = np.arange(60).reshape(3, 4, 5).astype(dtype)
    path = tmp_path / "TS_01.em"
    report = write(image(data), path)
    assert report.lost == {}
    assert ("dtype" in report.converted) == (dtype != ">i2")
    assert read(path).data.dtype == target
    np.testing.assert_array_equal(read(path).data, data)


def test_changed_values(tmp_path):
    path = tmp_path / "TS_01.em"
    report = write(image(np.full((2, 2), 2**60 + 1)), path)
    assert "4 of 4 values change" in report.lost["dtype"]
    report = write(image(np.full((2, 2), 1.4)), path, overwrite=True, dtype="int8")
    assert report.lost == {}
    assert "4 of 4 values change" in report.converted["dtype"]
    assert read(path).data.tolist() == [[1, 1], [1, 1]]
    before = path.read_bytes()
    for data, dtype in (
        (np.full((2, 2), 128), "int8"),
        (np.full((2, 2), np.nan), "int16"),
        (np.full((2, 2), 1e300), "float32"),
        (np.zeros((2, 2)), "uint8"),
        (np.zeros((2, 2), complex), None),
        (np.zeros((0, 2)), None),
        (np.zeros((1, 2, 2, 2)), None),
        (np.array(["a"]), None),
        (np.lib.stride_tricks.as_strided(np.zeros(1), (1 << 20, 1), (0, 0)), None),
    ):
        with pytest.raises(WriteError):
            write(image(data), path, overwrite=True, dtype=dtype)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_slab_by_slab(tmp_path, monkeypatch):
    monkeypatch.setattr(_pieces, "PIECE", 4 * 20 * 2)
    monkeypatch.setattr(_raw_image, "PIECE", 7)

    class Lazy:
        shape, ndim, dtype, most = (7, 4, 5), 3, np.dtype("f4"), 0
        whole = numbers((7, 4, 5))

        def __getitem__(self, index):
            part = self.whole[index]
            self.most = max(self.most, len(part))
            return part

    data = Lazy()
    path = tmp_path / "TS_01.em"
    for compressed in (path, path.with_suffix(".em.gz")):
        write(image(data), compressed)
        np.testing.assert_array_equal(read(compressed).data, data.whole)
    assert data.most == 2


def test_overwriting(tmp_path):
    path = tmp_path / "TS_01.em"
    path.write_bytes(b"old")
    with pytest.raises(FileExistsError):
        write(image(numbers((4, 5))), path)
    assert path.read_bytes() == b"old"
    write(image(numbers((4, 5))), path, overwrite=True)
    opened = read(path)
    opened.data = opened.data[::-1]  # onto itself
    write(opened, path, overwrite=True)
    np.testing.assert_array_equal(read(path).data, numbers((4, 5))[::-1])


def test_motive_lists_are_not_images(tmp_path, shared_data):
    lists = sorted(shared_data.glob("motl/*.em"))
    assert lists
    own = tmp_path / "TS_01.em"
    report = write(image(numbers((7, 20))), own)
    assert "motive list" in report.converted["data"]
    for path in [*lists, own]:
        assert motl_em.sniff(Head.of(path))
        assert not em_image.sniff(Head.of(path))
        with pytest.raises(UnknownFormatError, match=r"found .*motive list"):
            ct.read_image(path)
    found = ct.read_image(own, format="em-image", pixel_spacing=1.5)
    np.testing.assert_array_equal(found.data, numbers((7, 20)))


def test_images_are_not_motive_lists(tmp_path):
    for shape in ((3, 4, 5), (2, 7, 20), (20, 7), (27, 27), (1, 19)):
        path = tmp_path / "a.em"
        write(image(numbers(shape)), path, overwrite=True)
        assert not motl_em.sniff(Head.of(path))
        assert ct.read_image(path, pixel_spacing=2).data.shape == shape


@pytest.mark.parametrize("compression", COMPRESSION)
@pytest.mark.parametrize("shape", [(2, 3, 4), (1, 3, 4)])
def test_damage(tmp_path, shape, compression):
    path = tmp_path / "a.em"
    whole = COMPRESSION[compression](by_hand(numbers(shape)))
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ReadError):
            read(path)
    path.write_bytes(COMPRESSION[compression](by_hand(numbers(shape)) + b"\0"))
    with pytest.raises(ReadError, match="damaged"):
        read(path)


def test_every_byte_of_the_header(tmp_path):
    path = tmp_path / "a.em"
    data = numbers((2, 3, 4))
    whole = by_hand(data)
    for position in range(512):
        for value in (0, 1, 9, 127, 255):
            path.write_bytes(whole[:position] + bytes([value]) + whole[position + 1 :])
            try:
                found = read(path)
            except ReadError:
                assert position < 16
                continue
            if position >= 4 or position in (1, 2):
                np.testing.assert_array_equal(found.data, data)


def test_large_files_open_at_once(tmp_path):
    path = tmp_path / "large.em"
    head = by_hand(np.zeros((1, 1, 1), "f4"))[:512]
    path.write_bytes(head[:4] + struct.pack("<3i", 1280, 1024, 1000) + head[16:])
    os.truncate(path, 512 + 4 * 1280 * 1024 * 1000)
    if path.stat().st_blocks * 512 > 1 << 20:
        pytest.skip("the file system has no sparse files")
    found = read(path)
    assert isinstance(found.data, np.memmap)
    assert found.data.shape == (1000, 1024, 1280)
    assert not found.data.flags.writeable
    assert not found.data[999].any()


def test_emfile(tmp_path):
    """Both ways, where the independent reader and writer is installed."""
    emfile = pytest.importorskip("emfile")
    for dtype in TYPES:
        data = numbers((3, 4, 5), dtype)
        ours, theirs = tmp_path / f"o{dtype}.em", tmp_path / f"t{dtype}.em"
        write(image(data), ours)
        np.testing.assert_array_equal(emfile.read(ours)[1], data, strict=True)
        emfile.write(theirs, data)
        assert em_image.sniff(Head.of(theirs))
        np.testing.assert_array_equal(read(theirs).data, data, strict=True)


def test_missing_file():
    with pytest.raises(FileNotFoundError):
        read(Path("/nowhere/a.em"))
