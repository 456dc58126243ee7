"""Images are converted piece by piece, wherever they come from, and however their chunks lie."""

from __future__ import annotations

import errno
import itertools
import os
import shutil
import tracemalloc
import warnings

import numpy as np
import pytest

import cryotypes as ct
from cryotypes.errors import GuessWarning, LossWarning
from cryotypes.formats.images._image_data import Cast, write_raw
from cryotypes.image import _pieces
from cryotypes.image._arrays import LazyArray


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
