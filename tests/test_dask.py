"""With dask: the same functions give the same, lazily, chunk by chunk, here and elsewhere."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import cryotypes as ct
from cryotypes.formats.images.mrc._packed import Packed
from cryotypes.image import central_slice, contrast_limits, statistics
from cryotypes.image._arrays import Cropped, FileMap, Mapped, Reordered

da = pytest.importorskip("dask.array")

METHODS = ("mean", "decimate", "fourier")
SHAPE = (20, 24, 27)
CHUNKS = [7, (20, 5, 27), (3, 24, 4), -1, ((1, 19), (10, 14), (26, 1))]


def numbers(shape=SHAPE, dtype="float32"):
    return np.random.default_rng(1).normal(size=shape).astype(dtype)


def counted(values, chunks):
    """A dask array that notes how many of its chunks were computed."""
    blocks = []

    def note(block):
        blocks.append(block.shape)
        return block

    array = da.from_array(values, chunks).map_blocks(note, dtype=values.dtype, meta=values[:0])
    return array, blocks


def is_dask(image):
    return isinstance(image.data, da.Array)


@pytest.mark.parametrize("chunks", CHUNKS, ids=str)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("factor", "stack"), [(2, False), (3, False), (3, True), (1, False)])
def test_binning(chunks, method, factor, stack):
    values = numbers()
    expected = ct.bin_image(ct.Image(values, pixel_spacing=2.0, stack=stack), factor, method)
    array, computed = counted(values, chunks)
    found = ct.bin_image(ct.Image(array, pixel_spacing=2.0, stack=stack), factor, method)
    assert is_dask(found)
    assert not computed
    assert (found.pixel_spacing, found.data.dtype) == (2.0 * factor, expected.data.dtype)
    assert found.data.shape == expected.data.shape
    np.testing.assert_allclose(found.data.compute(), expected.data, atol=1e-6)


@pytest.mark.parametrize("chunks", CHUNKS, ids=str)
def test_looking_and_cropping(chunks):
    values = numbers()
    values[3, 4, 5] = np.nan
    array, computed = counted(values, chunks)
    lazy, plain = ct.Image(array), ct.Image(values)
    operations = [
        lambda image: central_slice(image, "z", 1),
        lambda image: central_slice(image, "y", 4),
        lambda image: central_slice(image, "x", 3),
        lambda image: ct.crop_image(image, (1, 2, 3), (8, 9, 10)),
    ]
    for operation in operations:
        found, expected = operation(lazy), operation(plain)
        assert is_dask(found)
        assert not computed
        assert found.data.dtype == expected.data.dtype
        np.testing.assert_allclose(found.data.compute(), expected.data, atol=1e-6)
        computed.clear()
    a, b = statistics(lazy), statistics(plain)
    assert (a.minimum, a.maximum, a.finite, a.not_finite) == (
        *(b.minimum, b.maximum),
        *(b.finite, b.not_finite),
    )
    assert (a.mean, a.std) == pytest.approx((b.mean, b.std), rel=1e-12)
    assert contrast_limits(lazy) == pytest.approx(contrast_limits(plain))


def test_statistics_compute_each_chunk_once():
    array, computed = counted(numbers(), 7)
    statistics(ct.Image(array))
    assert len(computed) == array.npartitions


@pytest.mark.parametrize("suffix", [".mrc", ".mrc.gz", ".em", ".tif", ".hdf", ".zarr"])
@pytest.mark.parametrize("chunks", [7, (3, 24, 4)], ids=str)
def test_writing(tmp_path, suffix, chunks):
    values = numbers()
    path = tmp_path / f"TS_01{suffix}"
    spacing = 0 if suffix == ".em" else 2.5  # an EM file has no place for it
    ct.write(ct.Image(da.from_array(values, chunks), pixel_spacing=spacing), path)
    found = ct.read_image(path, pixel_spacing=2.5)
    np.testing.assert_array_equal(np.asarray(found.data), values)


@pytest.mark.parametrize("suffix", [".mrc", ".mrcs", ".em", ".tif", ".hdf", ".zarr"])
def test_from_files(tmp_path, suffix):
    path = tmp_path / f"TS_01{suffix}"
    stack = suffix == ".mrcs"
    image = ct.Image(numbers(), pixel_spacing=0 if suffix == ".em" else 2.5, stack=stack)
    ct.write(image, path)
    lazy = ct.to_dask(ct.read_image(path, pixel_spacing=2.5))
    assert is_dask(lazy)
    assert lazy.data.shape == SHAPE
    assert (lazy.pixel_spacing, lazy.stack, lazy.experiment_id) == (2.5, stack, "TS_01")
    np.testing.assert_array_equal(lazy.data.compute(), image.data)
    if stack:
        assert lazy.data.chunks[0] == (1,) * 20
    again = ct.to_dask(lazy, chunks=(5, -1, -1))
    assert again.data.chunks[0] == (5,) * 4
    np.testing.assert_array_equal(ct.bin_image(again, 2).data, ct.bin_image(image, 2).data)


def test_nothing_is_read_to_make_one(tmp_path):
    path = tmp_path / "large.mrc"
    ct.write(ct.Image(np.zeros((1, 1, 1), np.float32)), path)
    header = bytearray(path.read_bytes()[:1024])
    header[:12] = header[28:40] = np.array([4000, 4000, 2000], "<i4").tobytes()
    path.write_bytes(header)
    with path.open("r+b") as file:
        file.truncate(1024 + 4 * 4000 * 4000 * 2000)  # 128 GB, of holes
        file.seek(1024 + 4 * 4000 * 4000 * 1000)
        file.write(np.float32(7).tobytes())
    image = ct.to_dask(ct.read_image(path, pixel_spacing=1.5))
    assert image.data.nbytes == 128e9
    assert image.data[1000, 0, 0].compute() == 7
    cut = ct.crop_image(ct.bin_image(image, 4), (0, 0, 249), (10, 10, 3))
    found = cut.data.compute()
    assert found[1, 0, 0] == pytest.approx(7 / 64)
    assert found.sum() == found[1, 0, 0]


@pytest.mark.parametrize("order", "<>")
def test_arrays_are_sent_by_their_place_in_the_file(tmp_path, order):
    """To other processes: a pickle must not hold the values."""
    values = numbers((30, 40, 50), f"{order}f4")
    values.tofile(tmp_path / "raw")
    mapped = np.memmap(tmp_path / "raw", values.dtype, "r", shape=values.shape)
    views = [lambda a: a, lambda a: a[3:], lambda a: a[:, ::-1].transpose(1, 0, 2)]
    views += [lambda a: a[5:20:2, 4:, ::3], lambda a: a[::-1, ::-1, ::-1]]
    for view in views:
        expected = view(values)
        lazy = [
            FileMap(view(mapped)),
            Mapped(view(mapped), "f4"),
            Reordered(view(mapped), (0, 1, 2)),
            Cropped(view(mapped), tuple(slice(0, n) for n in expected.shape)),
        ]
        for array in lazy:
            sent = pickle.dumps(array)
            assert len(sent) < 1000
            again = pickle.loads(pickle.dumps(pickle.loads(sent)))
            np.testing.assert_array_equal(again, expected)
            np.testing.assert_array_equal(again[1:3, ::-2, -1], expected[1:3, ::-2, -1])
    nibbles = np.memmap(tmp_path / "raw", np.uint8, "r", shape=(10, 20, 25))
    packed = Packed(nibbles, 49)
    sent = pickle.dumps(packed)
    assert len(sent) < 1000
    np.testing.assert_array_equal(pickle.loads(sent), np.asarray(packed))


def test_on_a_cluster(tmp_path):
    """Workers of other processes open the file themselves."""
    distributed = pytest.importorskip("distributed")
    values = numbers((40, 64, 64))
    ct.write(ct.Image(values, pixel_spacing=2.5), tmp_path / "a.mrc")
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.LocalCluster(processes=True, **options) as cluster, cluster.get_client():
        image = ct.to_dask(ct.read_image(tmp_path / "a.mrc"), chunks=(10, 64, 64))
        binned = ct.bin_image(image, 4)
        binned.experiment_id = "b"
        ct.write(binned, tmp_path / "b.mrc")
        found = statistics(image)
    expected = ct.bin_image(ct.Image(values), 4).data
    np.testing.assert_allclose(ct.read_image(tmp_path / "b.mrc").data, expected, atol=1e-6)
    assert found.mean == pytest.approx(values.mean(dtype=float), rel=1e-9)
