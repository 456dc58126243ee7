"""Images are converted piece by piece, wherever they come from, and however their chunks lie."""

from __future__ import annotations

import errno
import itertools
import os
import shutil
import threading
import tracemalloc
import warnings

import numpy as np
import pytest

import cryotypes as ct
from cryotypes.errors import GuessWarning, LossWarning, WriteError
from cryotypes.formats.images._image_data import Cast, write_raw
from cryotypes.image import _pieces
from cryotypes.image._arrays import Cropped, LazyArray, Mapped, Reordered
from cryotypes.image._moments import Moments
from cryotypes.image._pieces import blocks, in_threads, load, slabs, volume


def numbers(shape, dtype="float32"):
    return (np.random.default_rng(2).normal(size=shape) * 100).astype(dtype)


class Chunked(LazyArray):
    """It notes how often its chunks had to be read."""

    def __init__(self, values, chunks):
        super().__init__(values.shape, values.dtype, chunks)
        self.values, self.read, self.largest = values, 0, 0

    def _load(self, box):
        touched = 1
        for part, size in zip(box, self.chunks, strict=True):
            touched *= (part.stop - 1) // size - part.start // size + 1
        self.read += touched
        found = self.values[box]
        self.largest = max(self.largest, found.size)
        return found

    @property
    def all_chunks(self):
        return np.prod([-(-n // c) for n, c in zip(self.shape, self.chunks, strict=True)])


# --- pieces ---


@pytest.mark.parametrize("shape", [(7,), (5, 9), (20, 24, 26), (1, 1, 30)])
@pytest.mark.parametrize("chunk", [None, 4, 7, 100])
@pytest.mark.parametrize("source", [None, 6, 9])
@pytest.mark.parametrize("most", [1, 200, 4000, 1 << 20])
def test_blocks_cover_all_once(shape, chunk, source, most):
    chunks = None if chunk is None else [chunk] * len(shape)
    other = None if source is None else [source] * len(shape)
    seen = np.zeros(shape, int)
    for box in blocks(shape, 2, chunks, other, most=most):
        seen[box] += 1
        if chunk is not None:  # none is cut
            assert all(b.start % chunk == 0 for b in box)
            least = 2 * min(chunk, max(shape)) ** len(shape)
        else:
            least = 2 if source is None else 2 * source ** len(shape)
        assert 2 * volume(box) <= max(most, least) or (chunk and source)
    assert (seen == 1).all()


def test_blocks_are_long_in_x():
    first = next(blocks((50, 60, 1000), 4, (10, 10, 10), most=4 * 10 * 10 * 500))
    assert first == (slice(0, 10), slice(0, 10), slice(0, 500))
    assert next(blocks((50, 60, 10), 4, most=4 * 10 * 60 * 3)) == (
        *(slice(0, 3), slice(0, 60)),
        slice(0, 10),
    )


def test_slabs():
    assert [(s.start, s.stop) for s in slabs((10, 2, 2), 8, 4)] == [(0, 10)]
    assert [s.stop for s in slabs((10, 1 << 10, 1 << 10), 8, 3)] == [3, 6, 9, 10]


def test_threads_keep_the_order_and_hold_little():
    running, most, lock = 0, 0, threading.Lock()

    def square(n):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        with lock:
            running -= 1
        return n * n

    taken = []

    def items():
        for n in range(100):
            taken.append(n)
            yield n

    results = in_threads(square, items(), 1)
    assert [next(results) for _ in range(10)] == [n * n for n in range(10)]
    assert len(taken) <= 10 + _pieces.cores() + 1
    assert list(results) == [n * n for n in range(10, 100)]
    assert most <= _pieces.cores()
    assert list(in_threads(square, range(5), 1 << 40)) == [0, 1, 4, 9, 16]


def test_an_error_in_a_thread_is_raised():
    def fail(n):
        if n == 3:
            raise WriteError("three")
        return n

    with pytest.raises(WriteError, match="three"):
        list(in_threads(fail, range(100), 1))


def test_pieces_of_memory_maps_are_let_go(tmp_path, monkeypatch):
    values = numbers((64, 256, 256))
    values.tofile(tmp_path / "raw")
    mapped = np.memmap(tmp_path / "raw", np.float32, "r", shape=values.shape)
    views = [mapped, mapped[:, ::-1], mapped.transpose(2, 0, 1), mapped[::-2, 3:, ::-1]]
    plain = [values, values[:, ::-1], values.transpose(2, 0, 1), values[::-2, 3:, ::-1]]

    def resident():
        """Of this file, in kB (Linux)."""
        found = 0
        with open("/proc/self/smaps") as file:  # noqa: PTH123
            for line in file:
                if line.rstrip().endswith(str(tmp_path / "raw")):
                    found += int(next(v for v in file if v.startswith("Rss:")).split()[1])
        return found

    for view, expected in zip(views, plain, strict=True):
        for start in range(0, len(view), 8):
            piece = load(view, (slice(start, start + 8), slice(0, 200), slice(None)))
            np.testing.assert_array_equal(piece, expected[start : start + 8, :200])
        assert resident() < 4096
    monkeypatch.setattr(_pieces, "_MAPPED", 4096)  # section by section, of rows that are not whole
    tall = np.memmap(tmp_path / "raw", np.float32, "r", shape=(16, 512, 512))
    for row in range(0, 512, 64):
        load(tall, (slice(0, 16), slice(row, row + 4), slice(0, 32)))
    assert resident() < 1024
    del tall
    np.asarray(mapped).sum()
    assert resident() > 16000  # so it would be
    np.testing.assert_array_equal(mapped, values)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int16", "uint8", "bool", "float16"])
def test_moments(dtype):
    values = numbers((40, 51, 67), dtype)
    found = Moments()
    for part in np.array_split(values, 7):
        found.join(Moments.of(part))
    wide = values.astype(float)
    assert (found.minimum, found.maximum) == (wide.min(), wide.max())
    assert (found.mean, found.deviation) == pytest.approx((wide.mean(), wide.std()), rel=1e-12)
    assert (found.count, found.total) == (values.size, values.size)


def test_moments_of_little_and_of_strange():
    assert Moments.of(np.array([np.nan, np.inf])).count == 0
    found = Moments.of(np.array([1e308, -1e308, np.nan]))
    assert (found.total, found.count, found.mean) == (3, 2, 0.0)
    assert np.isnan(Moments().deviation)


# --- lazy arrays ---

KEYS = [
    3, -1, slice(2, 9), slice(None, None, -1), slice(9, 2, -3), (slice(None), 4), (..., 2),
    (3, ..., slice(1, 5, 2)), (0, 0, 0), slice(5, 5), (slice(None), [1, 2]), None,
    (np.int64(2), slice(-4, None)),
]  # fmt: skip


def lazy_ones():
    values = numbers((10, 12, 9))
    yield "mapped", Mapped(values, "f8", lambda a: a * 2), values.astype("f8") * 2
    yield "reordered", Reordered(values[None], (2, 1, 3)), values.transpose(1, 0, 2)
    yield "new axis", Reordered(values[4], (-1, 0, 1)), values[4][None]
    box = (slice(2, 9), slice(0, 12), slice(3, 9))
    yield "cropped", Cropped(values, box), values[box]
    image = ct.bin_image(ct.Image(numbers((40, 48, 37))), 4, lazy=True)
    yield "binned", image.data, ct.bin_image(ct.Image(numbers((40, 48, 37))), 4).data
    decimated = ct.bin_image(ct.Image(numbers((40, 48, 37))), 4, "decimate", lazy=True)
    yield "decimated", decimated.data, numbers((40, 48, 37))[::4, ::4, :36:4]


@pytest.mark.parametrize("name", [name for name, _, _ in lazy_ones()])
def test_lazy_arrays_are_indexed_like_numpys(name):
    lazy, plain = next((a, b) for n, a, b in lazy_ones() if n == name)
    assert (lazy.shape, lazy.dtype, lazy.ndim, len(lazy)) == (
        *(plain.shape, plain.dtype),
        *(plain.ndim, len(plain)),
    )
    for key in KEYS:
        try:
            expected = plain[key]
        except IndexError:
            with pytest.raises(IndexError):
                lazy[key]
            continue
        found = lazy[key]
        np.testing.assert_array_equal(found, expected)
        assert found.shape == expected.shape
    np.testing.assert_array_equal(lazy + 1, plain + 1)
    np.testing.assert_array_equal(plain - lazy, 0)
    np.testing.assert_array_equal(np.sqrt(np.abs(lazy)), np.sqrt(np.abs(plain)))
    assert np.mean(lazy) == plain.mean()
    with pytest.raises(ValueError, match="copy"):
        lazy.__array__(copy=False)


# --- writing ---


@pytest.mark.parametrize("chunks", [(3, 5, 4), (20, 6, 27), (7, 24, 27), (1, 24, 27)])
@pytest.mark.parametrize(("order", "at_once"), [("<", True), (">", True), ("<", False)])
def test_raw_data_in_any_order(tmp_path, monkeypatch, chunks, order, at_once):
    """Pieces of rows that are not whole are written where they belong."""
    monkeypatch.setattr(_pieces, "PIECE", 1000)
    if not at_once:
        monkeypatch.delattr(os, "pwrite")
    values = numbers((20, 24, 27), "float64")
    source = Chunked(values, chunks)
    path = tmp_path / "raw"
    with path.open("w+b") as file:
        file.write(b"header")
        write_raw(file, 6, Cast(source, np.dtype("f4"), path), order=order)
    raw = path.read_bytes()
    assert raw[:6] == b"header"
    found = np.frombuffer(raw, f"{order}f4", offset=6).reshape(values.shape)
    np.testing.assert_array_equal(found, values.astype("f4"))
    assert source.read == source.all_chunks  # each once


@pytest.mark.parametrize("suffix", [".mrc", ".mrc.gz", ".tif", ".em", ".hdf", ".zarr"])
def test_deep_chunks_are_read_once(tmp_path, monkeypatch, suffix):
    """Though a file may want whole sections: they are put in order beside it."""
    monkeypatch.setattr(_pieces, "PIECE", 2000)
    source = Chunked(numbers((40, 24, 27)), (20, 12, 9))
    path = tmp_path / f"TS_01{suffix}"
    ct.write(ct.Image(source, experiment_id="TS_01"), path)
    assert source.read == source.all_chunks
    if suffix != ".zarr":  # all of this is one chunk of it
        assert source.largest <= max(20 * 12 * 27, 40 * 24 * 9)
    assert list(tmp_path.iterdir()) == [path]
    found = np.asarray(ct.read_image(path, pixel_spacing=1.5).data)
    np.testing.assert_array_equal(found, source.values)


@pytest.mark.parametrize("chunks", [None, (20, 12, 9)])
def test_changes_are_counted_once(tmp_path, monkeypatch, chunks):
    monkeypatch.setattr(_pieces, "PIECE", 2000)
    values = numbers((40, 24, 27))
    source = values if chunks is None else Chunked(values, chunks)
    for suffix in (".mrc", ".mrc.gz"):
        path = tmp_path / f"TS_01{suffix}"
        report = ct.write(
            ct.Image(source, experiment_id="TS_01", pixel_spacing=2.0), path, dtype="int16"
        )
        rounded = np.rint(values)
        assert f"{(rounded != values).sum()} of {values.size} values" in report.converted["dtype"]
        found = ct.read_image(path)
        np.testing.assert_array_equal(found.data, rounded)
        assert found.metadata["dmean"] == pytest.approx(rounded.mean(), rel=1e-6)


@pytest.mark.parametrize("suffix", [".mrc", ".mrc.gz", ".tif", ".hdf", ".zarr"])
def test_progress(tmp_path, monkeypatch, suffix):
    monkeypatch.setattr(_pieces, "PIECE", 4000)
    for source in (numbers((40, 24, 27)), Chunked(numbers((40, 24, 27)), (20, 12, 9))):
        image = ct.Image(source, experiment_id="TS_01", pixel_spacing=2.0)
        for strict in (False, True):
            seen = []
            path = tmp_path / f"TS_01{suffix}"
            ct.write(image, path, overwrite=True, strict=strict, progress=seen.append)
            assert seen[-1] == 1
            assert len(seen) >= (2 if suffix == ".zarr" else 5)
            assert all(0 <= a <= b <= 1 for a, b in itertools.pairwise(seen))


def test_progress_of_many_files(tmp_path):
    for name in "abc":
        ct.write(ct.Image(numbers((4, 5, 6)), name, 2.0), tmp_path / f"{name}.mrc")
    seen = []
    sources = sorted(tmp_path.glob("*.mrc"))
    ct.convert(sources, tmp_path / "{stem}.tif", progress=seen.append)
    assert {1 / 3, 2 / 3, 1} <= set(seen)
    assert seen == sorted(seen)
    seen.clear()
    ct.convert(sources[0], tmp_path / "a.tif", overwrite=True)  # who does not ask is not told
    assert not seen


@pytest.mark.parametrize("suffix", [".mrc", ".em", ".tif", ".hdf", ".zarr", ".mrc.gz"])
@pytest.mark.parametrize("chunks", [None, (64, 64, 64)])
def test_memory_does_not_grow_with_the_data(tmp_path, monkeypatch, suffix, chunks):
    monkeypatch.setattr(_pieces, "PIECE", 1 << 18)
    monkeypatch.setattr("cryotypes.formats.images.ome_zarr._CHUNK", 32)

    class Endless(LazyArray):
        def _load(self, box):
            return np.full([b.stop - b.start for b in box], 3, self.dtype)

    def peak(depth):
        image = ct.Image(Endless((depth, 128, 128), "float32", chunks), "a")
        tracemalloc.start()
        try:
            ct.write(image, tmp_path / f"a{suffix}", overwrite=True)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(64)  # what is loaded once
    assert peak(512) < 1.5 * peak(128) + (1 << 20)  # how many pieces wait is a matter of time
    assert peak(513) < 513 * 128 * 128 * 4 / 2


SUFFIXES = (".mrc", ".zarr", ".tif", ".hdf", ".em", ".mrc.gz")


@pytest.mark.parametrize("stack", [False, True])
@pytest.mark.parametrize(("first", "second"), [*itertools.permutations(SUFFIXES, 2)])
def test_from_every_format_to_every_other(tmp_path, first, second, stack):
    values = numbers((5, 8, 11), "int16")
    image = ct.Image(values, "TS_01", 13.79, stack=stack)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LossWarning)  # of EM, which has no place for spacings
        ct.write(image, tmp_path / f"TS_01{first}")
        known = {"pixel_spacing": 13.79, "stack": stack}  # told again, as a user of EM must
        (report,) = ct.convert(tmp_path / f"TS_01{first}", tmp_path / f"TS_01{second}", **known)
    assert "data" in report.kept
    found = ct.read_image(tmp_path / f"TS_01{second}", **known)
    assert found.data.dtype == np.int16
    np.testing.assert_array_equal(np.asarray(found.data), values)
    if second != ".em":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", GuessWarning)
            again = ct.read_image(tmp_path / f"TS_01{second}")
        assert again.pixel_spacing == pytest.approx(13.79, rel=1e-6)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_renamed_file_is_no_loss(tmp_path, suffix):
    """An experiment that was called after its file is called after the new one."""
    source, target = tmp_path / "TS_01.mrc", tmp_path / f"TS_01_bin4{suffix}"
    ct.write(ct.Image(numbers((3, 4, 5)), "TS_01", 2.0), source)
    image = ct.read_image(source, pixel_spacing=0 if suffix == ".em" else 2.0)
    report = ct.write(image, target, strict=True)
    assert "experiment_id" not in report.lost
    assert "'TS_01_bin4'" in report.converted["experiment_id"]
    assert ct.read_image(target, pixel_spacing=2.0).experiment_id == "TS_01_bin4"
    image.experiment_id = "VLP"  # this one is no file's name
    with pytest.warns(LossWarning, match="experiment_id"):
        ct.write(image, target, overwrite=True)


@pytest.mark.parametrize("chunks", [(1, 24, 27), (5, 12, 27), (40, 5, 5)])
def test_chunks_that_lie_across_are_read_once(tmp_path, monkeypatch, chunks):
    """Pages into chunks of OME-Zarr: by way of a temporary file, or each would be read often."""
    monkeypatch.setattr(_pieces, "PIECE", 500)
    monkeypatch.setattr(_pieces, "_AT_ONCE", 500)
    monkeypatch.setattr("cryotypes.formats.images.ome_zarr._CHUNK", 4)
    source, seen = Chunked(numbers((40, 24, 27)), chunks), []
    path = tmp_path / "TS_01.zarr"
    ct.write(ct.Image(source, "TS_01", 2.0), path, progress=seen.append)
    assert source.read == source.all_chunks
    assert list(tmp_path.iterdir()) == [path]
    assert seen == sorted(seen)
    assert seen[-1] == 1
    np.testing.assert_array_equal(ct.read_image(path).data, source.values)


def test_how_often_chunks_are_read():
    shape = (10, 12)
    boxes = list(blocks(shape, 1, (5, 4), most=1))
    assert _pieces.rereads(boxes, None, shape) == 1
    assert _pieces.rereads(boxes, (5, 4), shape) == 1
    assert _pieces.rereads(boxes, (1, 2), shape) == 1
    assert _pieces.rereads(boxes, (10, 12), shape) == 6
    assert _pieces.rereads(boxes, (5, 6), shape) == 2  # 4 to 8 lies in two


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("stated", [True, False])
def test_a_full_disk_is_said_with_the_files_name(tmp_path, monkeypatch, suffix, stated):
    """Whatever the library says of it."""

    class Full(LazyArray):
        def _load(self, box):
            raise OSError(errno.ENOSPC, "says\nmuch") if stated else OSError("7 of 9 bytes written")

    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=100))
    path = tmp_path / f"TS_01{suffix}"
    with pytest.raises(OSError, match=r"No space left on device.*TS_01") as caught:
        ct.write(ct.Image(Full((3, 4, 5), "float32"), "TS_01"), path)
    assert caught.value.errno == errno.ENOSPC
    assert not any(tmp_path.iterdir())


def test_a_system_that_writes_a_little_at_a_time(tmp_path, monkeypatch):
    """It says how much it took; the rest must follow, where it belongs."""
    write = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda f, content, at: write(f, content[:7], at))
    values = numbers((3, 4, 5))
    ct.write(ct.Image(values, "TS_01", 2.0), tmp_path / "TS_01.mrc")
    np.testing.assert_array_equal(ct.read_image(tmp_path / "TS_01.mrc").data, values)
