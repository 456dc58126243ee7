"""Images are cut, binned and cropped as painted; poses stay on what they were on."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

import cryotypes as ct
from cryotypes.image import (
    ImageStatistics,
    _pieces,
    _slices,
    central_slice,
    contrast_limits,
    orthogonal_slices,
    statistics,
)

METHODS = ("mean", "decimate", "fourier")
WIDTH = 2.5  # of a spot, in voxels of the result: its waves beyond Nyquist are below 1e-13


def spot(shape, centre, sigma):
    """A Gaussian of unit height; shape zyx, centre xyz."""
    values = np.ones(shape)
    for axis, (n, c) in enumerate(zip(shape, centre[::-1], strict=True)):
        profile = np.exp(-0.5 * ((np.arange(n) - c) / sigma) ** 2)
        values = values * profile.reshape([-1 if i == axis else 1 for i in range(len(shape))])
    return values


def centre_of_mass(data):
    """In voxels, xyz."""
    grid = np.indices(data.shape).reshape(data.ndim, -1)
    return ((grid @ data.ravel()) / data.sum())[::-1]


def pose(place, **more):
    """A particle at a place, most of it in the position and the rest in the shift."""
    shift = np.array([[1.25, -2.5, 0.75]])
    xyz = np.array([[*place, 0.0][:3]])
    if len(place) == 2:
        shift[0, 2] = 0
    return ct.PoseSet(xyz - shift, shift, Rotation.identity(1), pixel_spacing=5.0, **more)


class Lazy:
    """An array that can only be sliced, one slab at a time; it notes how much was asked for."""

    def __init__(self, values):
        self.values, self.largest, self.read = values, 0, 0
        self.shape, self.dtype = values.shape, values.dtype

    def __getitem__(self, box):
        part = self.values[box]
        self.largest, self.read = max(self.largest, part.size), self.read + part.size
        return part

    def __array__(self, *args, **kwargs):
        raise AssertionError("the whole array was asked for")


@dataclass
class Picture:
    data: object
    experiment_id: str = "TS_01"
    pixel_spacing: float = 5.0
    source: str = "a.mrc"
    stack: bool = False
    note: str = "mine"


# ------------------------------------------------------------------ images and poses together


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("factor", [1, 2, 3, 4])
@pytest.mark.parametrize("rest", [0, 1])
def test_poses_follow_a_binned_volume(method, factor, rest):
    sigma = WIDTH * factor
    shape = tuple(factor * n + min(rest, factor - 1) for n in (38, 40, 43))
    place = np.array([21.3, 19.6, 18.8]) * factor + 0.123
    image = ct.Image(spot(shape, place, sigma), "TS_01", 5.0)
    poses = pose(place, experiment_id="TS_01")
    binned, followed = (
        ct.bin_image(image, factor, method),
        ct.bin_poses(poses, factor, method),
    )
    assert binned.data.shape == tuple(n // factor for n in shape)
    assert binned.pixel_spacing == followed.pixel_spacing == 5.0 * factor
    found = centre_of_mass(binned.data)
    there = (followed.position + followed.shift)[0]
    assert np.abs(found - there).max() < 1e-6
    # the rule is that of the method, for the position and for the shift
    origin = (factor - 1) / 2 if method == "mean" else 0
    np.testing.assert_allclose(there, (place - origin) / factor, rtol=1e-14)
    np.testing.assert_allclose(followed.shift, poses.shift / factor, rtol=1e-14)
    if factor > 1:  # the other rule is seen: off by (b - 1) / 2b, a quarter of a voxel or more
        other = ct.bin_poses(poses, factor, "decimate" if method == "mean" else "mean")
        off = np.abs(found - (other.position + other.shift)[0])
        np.testing.assert_allclose(off, (factor - 1) / 2 / factor, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("factor", [2, 5])
@pytest.mark.parametrize("stack", [False, True])
def test_poses_follow_binned_2d_images(method, factor, stack):
    place = np.array([21.3, 19.6]) * factor
    values = spot((40 * factor + 1, 43 * factor), place, WIDTH * factor)
    image = ct.Image(np.stack([values, 2 * values]) if stack else values, "", 5.0, stack=stack)
    binned = ct.bin_image(image, factor, method)
    assert binned.data.shape == ((2,) if stack else ()) + (40, 43)
    poses = ct.bin_poses(pose(place, metadata={"ndim": 2}), factor, method)
    there = (poses.position + poses.shift)[0]
    for found in binned.data if stack else [binned.data]:
        assert np.abs(centre_of_mass(found) - there[:2]).max() < 1e-6
    assert there[2] == 0
    assert ct.bin_poses(pose(place), factor, method, ndim=2).position[0, 2] == 0


@pytest.mark.parametrize("start", [(0, 0, 0), (5, 2, 9)])
def test_poses_follow_a_crop(start):
    place = np.array([31.3, 32.6, 33.8])
    image = ct.Image(spot((66, 64, 62), place, 3.0), "TS_01", 5.0)
    cropped = ct.crop_image(image, start, (57, 60, 55))
    assert cropped.data.shape == (55, 60, 57)
    assert np.shares_memory(cropped.data, image.data)
    followed = ct.crop_poses(pose(place), start)
    there = (followed.position + followed.shift)[0]
    assert np.abs(centre_of_mass(cropped.data) - there).max() < 1e-6
    np.testing.assert_array_equal(there, place - start)
    assert followed.pixel_spacing == cropped.pixel_spacing == 5.0


def test_crops_and_bins_combine():
    place = np.array([45.3, 47.1, 50.4])
    image = ct.Image(spot((100, 101, 102), place, 5.0), "", 5.0)
    small = ct.bin_image(ct.crop_image(image, (3, 5, 7), (90, 90, 90)), 2)
    poses = ct.bin_poses(ct.crop_poses(pose(place), (3, 5, 7)), 2)
    assert np.abs(centre_of_mass(small.data) - (poses.position + poses.shift)[0]).max() < 1e-6


# ------------------------------------------------------------------ binning


def test_a_mean_by_hand():
    image = ct.Image(np.arange(20, dtype=np.int16).reshape(4, 5))
    binned = ct.bin_image(image, 2)
    np.testing.assert_array_equal(binned.data, [[3, 5], [13, 15]])  # the fifth column is dropped
    assert binned.data.dtype == np.float32
    assert binned.pixel_spacing == 0  # unknown stays unknown


def test_decimation_by_hand():
    image = ct.Image(np.arange(20, dtype=np.int16).reshape(4, 5))
    binned = ct.bin_image(image, 2, "decimate")
    np.testing.assert_array_equal(binned.data, [[0, 2], [10, 12]])
    assert binned.data.dtype == np.int16


@pytest.mark.parametrize("shape", [(12, 16, 20), (15, 9, 21), (3, 16, 8), (16, 20), (17, 31)])
@pytest.mark.parametrize("factor", [2, 3])
def test_fourier_cropping_is_that_of_the_whole_transform(shape, factor):
    """Crop the centred transform about N // 2; what lies at the new Nyquist frequency aside."""
    shape = tuple(n // factor * factor for n in shape)
    values = np.random.default_rng(1).normal(size=shape)
    got = np.fft.fftshift(np.fft.fftn(ct.bin_image(ct.Image(values), factor, "fourier").data))
    centred = np.fft.fftshift(np.fft.fftn(values))
    small = [n // factor for n in shape]
    box = [slice(n // 2 - m // 2, n // 2 - m // 2 + m) for n, m in zip(shape, small, strict=True)]
    inner = tuple(slice(1 if m % 2 == 0 else 0, None) for m in small)
    expected = centred[tuple(box)] / factor ** len(shape)
    np.testing.assert_allclose(got[inner], expected[inner], atol=1e-10)


def test_fourier_keeps_a_slow_wave_exactly():
    x = np.arange(24)
    wave = 3 + np.cos(2 * np.pi * x / 12 + 0.4) * np.ones((6, 12, 1))
    binned = ct.bin_image(ct.Image(wave), 3, "fourier").data
    np.testing.assert_allclose(binned, wave[::3, ::3, ::3], atol=1e-12)


def test_the_rule_of_rescale_is_that_of_decimation():
    poses = pose((10.0, 20.0, 30.0))
    one, other = ct.bin_poses(poses, 4, "fourier"), ct.rescale(poses, 20.0)
    np.testing.assert_array_equal(one.position, other.position)
    np.testing.assert_array_equal(one.shift, other.shift)


@pytest.mark.parametrize("dtype", ["i1", "u1", ">i2", "u2", "f2", "<f4", ">f4", "f8", "?"])
@pytest.mark.parametrize("method", METHODS)
def test_data_types(dtype, method):
    values = np.random.default_rng(2).integers(0, 2, (4, 6, 8)).astype(dtype)
    binned = ct.bin_image(ct.Image(values), 2, method).data
    double = ct.bin_image(ct.Image(values.astype(float)), 2, method).data
    np.testing.assert_allclose(binned.astype(float), double, atol=1e-6)
    kept = np.dtype(dtype if method == "decimate" else "f8" if dtype == "f8" else "f4")
    assert binned.dtype == kept


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_spread_as_said(value):
    values = np.ones((4, 6, 8))
    values[2, 2:4, 4] = value, -value
    spread = {m: ~np.isfinite(ct.bin_image(ct.Image(values), 2, m).data) for m in METHODS}
    assert spread["mean"].sum() == 1
    assert spread["mean"][1, 1, 2]
    assert spread["decimate"].sum() == 1
    assert spread["fourier"].all()
    assert np.isnan(central_slice(ct.Image(values), "y", 2).data).sum() == 1


@pytest.mark.parametrize("factor", [0, -1, 1.5, 2.0, "2", None])
def test_a_factor_is_a_whole_number(factor):
    with pytest.raises(ValueError, match="whole factor"):
        ct.bin_image(ct.Image(np.zeros((4, 4))), factor)
    with pytest.raises(ValueError, match="whole factor"):
        ct.bin_poses(pose((1, 2, 3)), factor)


def test_what_cannot_be_binned():
    with pytest.raises(ValueError, match="leaves nothing"):
        ct.bin_image(ct.Image(np.zeros((4, 3))), 4)
    with pytest.raises(ValueError, match="method 'mean'"):
        ct.bin_image(ct.Image(np.zeros((4, 3))), 2, "median")
    with pytest.raises(ValueError, match="method 'mean'"):
        ct.bin_poses(pose((1, 2, 3)), 2, "median")
    with pytest.raises(ValueError, match="Å per pixel"):
        ct.bin_image(ct.Image(np.zeros((4, 4)), pixel_spacing=-1), 2)
    with pytest.raises(ValueError, match="ndim"):
        ct.bin_poses(pose((1, 2, 3)), 2, ndim=4)


# ------------------------------------------------------------------ poses on their own


def test_the_size_of_the_tomogram_is_kept_only_where_it_is_right():
    stated = {"tomogram": {"dimensions": (100, 80, 60), "hand": -1}, "format": "x"}
    poses = pose((10.0, 20.0, 30.0), metadata=stated)
    kept = ct.bin_poses(poses, 2, "decimate").metadata
    assert kept["tomogram"] == {"dimensions": (100, 80, 60), "hand": -1, "pixel_spacing": 5.0}
    for moved in (ct.bin_poses(poses, 2), ct.crop_poses(poses, (1, 2, 3))):
        assert moved.metadata == {"tomogram": {"hand": -1}, "format": "x"}
        with pytest.raises(ValueError, match="tomogram_dimensions"):
            ct.flip_z(moved)
    assert poses.metadata is stated
    assert stated["tomogram"]["dimensions"] == (100, 80, 60)
    poses.pixel_spacing = 0.0
    assert "dimensions" not in ct.bin_poses(poses, 2, "decimate").metadata["tomogram"]
    # mirrored and binned, binned and mirrored
    poses.pixel_spacing = 5.0
    one = ct.flip_z(ct.bin_poses(poses, 3, "fourier"))
    other = ct.bin_poses(ct.flip_z(poses), 3, "fourier")
    np.testing.assert_allclose(one.position, other.position)


def test_particles_outside_a_crop_are_left_out_on_request():
    xyz = np.array([[10, 10, 10], [9.5, 10, 10], [9.4, 10, 10], [19.4, 10, 10], [19.5, 10, 10]])
    poses = ct.PoseSet(xyz)
    assert len(ct.crop_poses(poses, (10, 10, 10))) == 5
    inside = ct.crop_poses(poses, (10, 10, 10), (10, 5, 5))
    np.testing.assert_allclose(inside.position[:, 0], [0, -0.5, 9.4])
    flat = ct.crop_poses(poses, (10, 10), (10, 5))
    np.testing.assert_array_equal(flat.position[:, 2], [10, 10, 10])
    shifted = ct.PoseSet(xyz, np.full((5, 3), [0.2, 0, 0]))
    assert len(ct.crop_poses(shifted, (10, 10, 10), (10, 5, 5))) == 3
    assert len(ct.crop_poses(ct.PoseSet(np.zeros((0, 3))), (1, 1, 1), (2, 2, 2))) == 0


def test_poses_without_shift_or_particles():
    binned = ct.bin_poses(ct.PoseSet(np.zeros((0, 3)), pixel_spacing=2.0), 2)
    assert binned.shift is None
    assert binned.position.shape == (0, 3)
    assert binned.pixel_spacing == 4


# ------------------------------------------------------------------ crops


@pytest.mark.parametrize(
    ("start", "size"),
    [
        ((-1, 0, 0), (1, 1, 1)),
        ((0, 0, 0), (9, 1, 1)),
        ((0, 0, 4), (1, 1, 1)),
        ((0, 0, 0), (1, 0, 1)),
        ((0, 0), (1, 1)),
        ((0, 0, 0.5), (1, 1, 1)),
    ],
)
def test_a_box_lies_within(start, size):
    with pytest.raises(ValueError, match="expected"):
        ct.crop_image(ct.Image(np.zeros((4, 6, 8))), start, size)


def test_crops_of_stacks_and_bad_starts_of_poses():
    values = np.arange(2 * 4 * 6).reshape(2, 4, 6)
    cropped = ct.crop_image(ct.Image(values, stack=True), (1, 2), (3, 2))
    np.testing.assert_array_equal(cropped.data, values[:, 2:4, 1:4])
    for start in [(1,), (1, 2, 3, 4), (1, 2, 0.5)]:
        with pytest.raises(ValueError, match="expected"):
            ct.crop_poses(pose((1, 2, 3)), start)
    with pytest.raises(ValueError, match="size"):
        ct.crop_poses(pose((1, 2, 3)), (1, 2, 3), (4, 4))


# ------------------------------------------------------------------ slices


def test_central_slices_by_hand():
    values = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)
    cuts = orthogonal_slices(ct.Image(values, pixel_spacing=2.0))
    for axis, expected in {"z": values[2], "y": values[:, 2], "x": values[:, :, 3]}.items():
        np.testing.assert_array_equal(cuts[axis].data, expected)
        assert cuts[axis].data.dtype == np.int16
        assert cuts[axis].pixel_spacing == 2.0
    thick = orthogonal_slices(ct.Image(values), 3)
    np.testing.assert_allclose(thick["z"].data, values[1:4].mean(0), rtol=1e-6)
    np.testing.assert_allclose(thick["y"].data, values[:, 1:4].mean(1), rtol=1e-6)
    np.testing.assert_allclose(thick["x"].data, values[:, :, 2:5].mean(2), rtol=1e-6)
    assert thick["z"].data.dtype == np.float32
    even = central_slice(ct.Image(values), "z", 4)
    np.testing.assert_allclose(even.data, values.mean(0), rtol=1e-6)


def test_what_cannot_be_sliced():
    volume = ct.Image(np.zeros((4, 5, 6)))
    for wrong in (0, 5, 1.5):
        with pytest.raises(ValueError, match="thickness"):
            central_slice(volume, "z", wrong)
    with pytest.raises(ValueError, match="axis"):
        central_slice(volume, "w")
    for image in (ct.Image(np.zeros((4, 5))), ct.Image(np.zeros((4, 5, 6)), stack=True)):
        with pytest.raises(ValueError, match="volume"):
            central_slice(image)


# ------------------------------------------------------------------ statistics and contrast


@pytest.mark.parametrize("piece", [1, 50, 1 << 22])
def test_statistics_are_those_of_numpy(monkeypatch, piece):
    monkeypatch.setattr(_pieces, "PIECE", 8 * piece)
    values = np.random.default_rng(3).normal(1e4, 0.01, (9, 7, 5))  # a naive sum of squares fails
    found = statistics(ct.Image(values))
    assert (found.minimum, found.maximum) == (values.min(), values.max())
    np.testing.assert_allclose(found.mean, values.mean(), rtol=1e-14)
    np.testing.assert_allclose(found.std, values.std(), rtol=1e-8)
    assert (found.finite, found.not_finite) == (315, 0)


def test_float32_is_added_up_in_double_precision():
    values = np.full((20, 1000, 1000), 0.1, np.float32)
    found = statistics(ct.Image(values))
    assert found.mean == pytest.approx(float(np.float32(0.1)), rel=1e-12)
    assert found.std < 1e-12


def test_what_is_not_finite_is_counted():
    values = np.array([[[np.nan, 1], [2, np.inf]], [[np.nan] * 2] * 2], np.float32)
    found = statistics(ct.Image(values))
    assert found == ImageStatistics(1.0, 2.0, 1.5, 0.5, 2, 6)
    nothing = statistics(ct.Image(np.full((2, 2), np.nan)))
    assert nothing.not_finite == 4
    assert np.isnan([nothing.minimum, nothing.maximum, nothing.mean, nothing.std]).all()
    assert statistics(ct.Image(np.array([[True, False]]))).mean == 0.5


@pytest.mark.parametrize("shape", [(200, 130, 150), (3000, 2000)])
def test_contrast_limits_of_a_sample(shape):
    values = np.random.default_rng(4).normal(size=shape).astype(np.float32)
    low, high = contrast_limits(ct.Image(values))
    # 2.5758 is the 99.5th percentile; a million values give it within 0.02
    assert low == pytest.approx(-2.5758, abs=0.02)
    assert high == pytest.approx(2.5758, abs=0.02)


def test_contrast_limits_of_little():
    values = np.array([[np.nan, 1, 2, 3, np.inf]])
    assert contrast_limits(ct.Image(values), 0, 100) == (1, 3)
    with pytest.raises(ValueError, match="finite"):
        contrast_limits(ct.Image(np.full((2, 2), np.nan)))
    for low, high in [(-1, 50), (60, 50), (0, 101), (np.nan, 5)]:
        with pytest.raises(ValueError, match="low <= high"):
            contrast_limits(ct.Image(values), low, high)


# ------------------------------------------------------------------ any image, any array

OPERATIONS = {
    "central z": lambda image: central_slice(image, "z", 3),
    "central y": lambda image: central_slice(image, "y", 2),
    "central x": lambda image: central_slice(image, "x"),
    "crop": lambda image: ct.crop_image(image, (1, 2, 3), (8, 9, 10)),
} | {f"{m} {b}": lambda i, m=m, b=b: ct.bin_image(i, b, m) for m in METHODS for b in (1, 2, 3)}


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_class_stays_and_the_input_too(name):
    values = np.random.default_rng(5).normal(size=(20, 24, 26))
    image = Picture(values.copy())
    result = OPERATIONS[name](image)
    assert type(result) is Picture
    assert (result.experiment_id, result.source, result.note) == ("TS_01", "a.mrc", "mine")
    np.testing.assert_array_equal(image.data, values)
    assert image.pixel_spacing == 5.0


@pytest.mark.parametrize("name", OPERATIONS)
def test_lazy_arrays_and_memory_maps(name, tmp_path, monkeypatch):
    values = np.random.default_rng(6).normal(size=(20, 24, 26)).astype(np.float32)
    expected = OPERATIONS[name](Picture(values)).data
    monkeypatch.setattr(_pieces, "PIECE", 4 * 2000)  # three sections
    lazy = Lazy(values)
    got = OPERATIONS[name](Picture(lazy)).data
    if got is not lazy:
        np.testing.assert_allclose(got, expected, atol=1e-6)
        assert lazy.largest <= 3 * 24 * 26
        assert lazy.read <= values.size
    values.tofile(tmp_path / "raw")
    mapped = np.memmap(tmp_path / "raw", np.float32, "r", shape=values.shape)
    np.testing.assert_allclose(OPERATIONS[name](Picture(mapped)).data, expected, atol=1e-6)


def test_crops_of_lazy_arrays_ask_for_the_box_alone():
    lazy = Lazy(np.arange(20 * 24 * 26.0).reshape(20, 24, 26))
    box = ct.crop_image(Picture(lazy), (1, 2, 3), (8, 9, 10)).data
    assert lazy.read == 0
    np.testing.assert_array_equal(box[4:, -1], lazy.values[7:13, 10, 1:9])
    assert lazy.read == 6 * 8
    np.testing.assert_array_equal(box, lazy.values[3:13, 2:11, 1:9])


def test_one_pass_over_lazy_arrays(monkeypatch):
    values = np.random.default_rng(7).normal(size=(20, 24, 26))
    monkeypatch.setattr(_pieces, "PIECE", 8 * 2000)
    lazy = Lazy(values)
    assert statistics(Picture(lazy)).mean == pytest.approx(values.mean(), abs=1e-14)
    assert (lazy.read, lazy.largest) == (values.size, 3 * 24 * 26)
    monkeypatch.setattr(_slices, "_SAMPLE", 1000)
    lazy = Lazy(values)
    contrast_limits(Picture(lazy))
    assert lazy.largest <= 24 * 26
    assert lazy.read < values.size / 1.5


def test_stacks_slab_by_slab(monkeypatch):
    values = np.random.default_rng(8).normal(size=(7, 12, 10))
    for method, piece in itertools.product(METHODS, (1, 300)):
        expected = [ct.bin_image(ct.Image(v), 2, method).data for v in values]
        monkeypatch.setattr(_pieces, "PIECE", 8 * piece)
        got = ct.bin_image(ct.Image(values, stack=True), 2, method)
        assert got.stack
        np.testing.assert_allclose(got.data, expected, atol=1e-14)


def test_what_is_no_image():
    wrong = [np.zeros(4), np.zeros((2, 2, 2, 2)), np.zeros((0, 4)), np.zeros((2, 2), complex)]
    operations = [statistics, contrast_limits, lambda i: ct.bin_image(i, 2)]
    for values, operation in itertools.product([*wrong, [["a"]]], operations):
        with pytest.raises(ValueError, match="expected"):
            operation(ct.Image(values))
    assert statistics(ct.Image([[1, 2], [3, 4]])).mean == 2.5


def test_deep_chunks_are_read_once(monkeypatch):
    """Of a sample, too: a section of theirs costs as much as all of it."""
    values = np.random.default_rng(7).normal(size=(40, 24, 26)).astype(np.float32)
    monkeypatch.setattr(_slices, "_SAMPLE", 1000)
    monkeypatch.setattr(_pieces, "PIECE", 2000)

    class Chunked(Lazy):
        chunks = (20, 12, 13)

    expected, image = ct.Image(values), Picture(Chunked(values))
    assert contrast_limits(image) == contrast_limits(expected)
    assert image.data.read == values.size
    for method in ("mean", "decimate"):
        image = Picture(Chunked(values))
        found = ct.bin_image(image, 4, method).data
        np.testing.assert_array_equal(found, ct.bin_image(expected, 4, method).data)
        assert image.data.read <= values.size
    image = Picture(Chunked(values))
    np.testing.assert_array_equal(
        central_slice(image, "x", 3).data, central_slice(expected, "x", 3).data
    )
