"""IMOD models: by hand, byte by byte; a real one; and imodmodel as an independent reader."""

from __future__ import annotations

import struct
import warnings

import numpy as np
import pandas as pd
import pytest

from cryotypes import PoseSet, read_poses
from cryotypes import write as ct_write
from cryotypes.errors import GuessWarning, ReadError, WriteError
from cryotypes.formats.poses.imod_mod import read, write


def header(pixsize=1.0, units=0, xscale=1.0, objects=1, flags=1 << 10):
    """240 bytes as in IMOD's binspec page."""
    data = b"IMODV1.2" + b"by hand".ljust(128, b"\0")
    data += struct.pack(">4iI4i", 100, 200, 50, objects, flags, 1, 2, 0, 255)
    data += struct.pack(">6f5i", 0, 0, 0, xscale, 1, 1, 0, 0, 0, 3, 128)
    return data + struct.pack(">fii3f", pixsize, units, 0, 0, 0, 0)


def thing(*contours, name=b"points"):
    data = b"OBJT" + name.ljust(64, b"\0") + b"\0" * 64
    data += struct.pack(">iIii3fi", len(contours), 0x208, 0, 1, 0, 1, 0, 5)
    return data + bytes([1, 3, 1, 1, 0, 0, 0, 0]) + struct.pack(">2i", 0, 0) + b"".join(contours)


def contour(*points, after=b""):
    data = b"CONT" + struct.pack(">4i", len(points), 0, 0, 0)
    return data + b"".join(struct.pack(">3f", *point) for point in points) + after


def chunk(name, data):
    return name + struct.pack(">i", len(data)) + data


SIZES = chunk(b"SIZE", struct.pack(">2f", 4.5, -1))
IMAT = chunk(b"IMAT", bytes(range(16)))
VIEW = chunk(b"VIEW", b"\0\0\0\1")
TWO = (
    thing(contour((10.5, 20.5, 30), (11, 21, 31), after=SIZES), contour((0.5, 0.5, 0)))
    + IMAT
    + thing(contour(), contour((5, 6, 7)))
    + VIEW
)


def test_points_by_hand(save):
    """The centre of the first voxel is the point (0.5, 0.5, 0)."""
    [poses] = read(save(header(objects=2) + TWO + b"IEOF", "TS_01.mod"))
    expected = [[10, 20, 30], [10.5, 20.5, 31], [0, 0, 0], [4.5, 5.5, 7]]
    np.testing.assert_array_equal(poses.position, expected)
    assert poses.features["object_id"].tolist() == [0, 0, 0, 1]
    assert poses.features["contour_id"].tolist() == [0, 0, 1, 1]
    np.testing.assert_array_equal(poses.features["size"], [4.5, -1, np.nan, np.nan])
    assert poses.experiment_id == "TS_01"
    assert poses.pixel_spacing == 0
    assert poses.orientation is None
    assert poses.shift is None
    assert poses.metadata["header"]["name"] == "by hand"
    assert poses.metadata["header"]["xmax"] == 100


def test_half_pixel_is_an_option(save, tmp_path):
    path = save(header(objects=2) + TWO + b"IEOF", "TS_01.mod")
    [poses] = read(path, imod_half_pixel=False)
    np.testing.assert_array_equal(poses.position[0], [10.5, 20.5, 30])
    write([poses], tmp_path / "same.mod")  # as it was read
    assert (tmp_path / "same.mod").read_bytes() == path.read_bytes()
    write([poses], tmp_path / "other.mod", imod_half_pixel=True)
    np.testing.assert_array_equal(read(tmp_path / "other.mod")[0].position, poses.position)


def test_written_back_unchanged(save, tmp_path):
    """Objects, contours, even empty ones, sizes, materials, views."""
    path = save(header(objects=2) + TWO + b"IEOF", "TS_01.mod")
    write(read(path), tmp_path / "b.mod")
    assert (tmp_path / "b.mod").read_bytes() == path.read_bytes()


def test_a_selection_keeps_numbers_and_chunks(save, tmp_path):
    labels = chunk(b"LABL", b"\0" * 8)
    raw = header(objects=2) + TWO.replace(SIZES, SIZES + labels) + b"IEOF"
    [poses] = read(save(raw, "TS_01.mod"))
    report = write([poses[[1, 3]]], tmp_path / "b.mod")
    assert "labels" in report.lost["metadata"]
    [again] = read(tmp_path / "b.mod")
    assert again.features[["object_id", "contour_id"]].to_numpy().tolist() == [[0, 0], [1, 1]]
    np.testing.assert_array_equal(again.position, poses.position[[1, 3]])
    assert again.features["size"][0] == -1
    written = (tmp_path / "b.mod").read_bytes()
    assert IMAT in written
    assert VIEW + b"IEOF" in written
    assert labels not in written


@pytest.mark.parametrize(
    ("pixsize", "units", "xscale", "spacing"),
    [
        (1.35, -10, 1.0, 1.35),
        (0.135, -9, 1.0, 1.35),
        (0.135, -9, 2.0, 2.7),
        # units are powers of ten of a metre; 0 are pixels, 1 metres, 3 kilometres (binspec)
        (0.000135, -6, 1.0, 1.35),
        (1.35e-7, -3, 1.0, 1.35),
        (1.35e-8, -2, 1.0, 1.35),
        (135.0, -12, 1.0, 1.35),
        (1.35e-10, 1, 1.0, 1.35),
        (1.35e-13, 3, 1.0, 1.35),
        (1.35, 0, 1.0, 0.0),
        (0.0, -9, 1.0, 0.0),
        (-1.0, -9, 1.0, 0.0),
        (float("nan"), -9, 1.0, 0.0),
        (1.0, 7, 1.0, 0.0),
    ],
)
def test_pixel_size_from_the_header(pixsize, units, xscale, spacing, save):
    path = save(header(pixsize, units, xscale) + thing(contour((1, 2, 3))) + b"IEOF", "a.mod")
    assert read(path)[0].pixel_spacing == pytest.approx(spacing, rel=1e-12)
    assert read(path, pixel_spacing=5.0)[0].pixel_spacing == 5.0


@pytest.mark.parametrize("spacing", [1.35, 13.48, 0.822, 10.0, 1.0])
def test_pixel_size_comes_back_exactly(spacing, tmp_path):
    path = tmp_path / "TS_01.mod"
    write([PoseSet([[1.0, 2, 3]], experiment_id="TS_01", pixel_spacing=spacing)], path)
    assert read(path)[0].pixel_spacing == spacing


def minx(origin, scale, current):
    values = (1, 1, 1, *origin, 0, 0, 0, *scale, *current, 0, 0, 0)
    return chunk(b"MINX", struct.pack(">18f", *values))


@pytest.mark.parametrize(
    ("pixsize", "units", "scale", "spacing"),
    [
        (1.0, 0, (10.8, 10.8, 10.8), 10.8),
        (1.0, 0, (10.8, 10.8, 1.0), 10.8),
        (0.54, -9, (10.8, 10.8, 10.8), 5.4),  # PIXSIZE is meant
        (1.0, -9, (10.8, 10.8, 10.8), 10.0),
        (1.0, 0, (1.0, 1.0, 1.0), 0.0),  # of an image that knows no pixel size
        (1.0, 0, (0.0, 0.0, 0.0), 0.0),
        (1.0, 0, (-2.0, -2.0, 1.0), 0.0),
        (1.0, 0, (float("nan"),) * 3, 0.0),
        (1.0, 0, (2.0, 3.0, 2.0), 0.0),
    ],
)
def test_pixel_size_of_the_image_that_a_model_was_made_for(
    pixsize, units, scale, spacing, save, tmp_path
):
    """point2model -image leaves PIXSIZE as it is, and writes the header's Å per pixel into MINX."""
    raw = header(pixsize, units) + thing(contour((1.5, 2.5, 3))) + minx((0, 0, 0), scale, (0, 0, 0))
    [poses] = read(save(raw + b"IEOF", "a.mod"))
    assert poses.pixel_spacing == spacing
    assert read(tmp_path / "a.mod", pixel_spacing=7.0)[0].pixel_spacing == 7
    write([poses], tmp_path / "b.mod")
    assert (tmp_path / "b.mod").read_bytes() == raw + b"IEOF"
    poses.pixel_spacing = 2.7
    write([poses], tmp_path / "c.mod")
    assert read(tmp_path / "c.mod")[0].pixel_spacing == 2.7


def test_a_model_of_a_part_of_an_image(save, tmp_path):
    """asciispec: add (refoldtrans - refcurtrans) / refcurscale for the whole image."""
    part = minx((0, 0, 0), (2, 2, 2), (-200, -100, -20))
    raw = header(flags=1 << 14) + thing(contour((1.5, 2.5, 3))) + part + b"IEOF"
    path = save(raw, "a.mod")
    with pytest.warns(GuessWarning, match="subset_offset=True"):
        [poses] = read(path)
    np.testing.assert_array_equal(poses.position, [[1, 2, 3]])
    [whole] = read(path, subset_offset=True)
    np.testing.assert_array_equal(whole.position, [[101, 52, 13]])
    np.testing.assert_array_equal(read(path, subset_offset=False)[0].position, [[1, 2, 3]])
    write([whole], tmp_path / "b.mod")
    assert (tmp_path / "b.mod").read_bytes() == raw
    # without the flag the origin is not that of an image
    unset = save(raw[:152] + b"\0\0\0\0" + raw[156:], "c.mod")
    assert read(unset)[0].metadata["subset_offset"] == (0, 0, 0)


def test_without_ids_all_points_are_in_one_contour(tmp_path):
    path = tmp_path / "TS_01.mod"
    report = write([PoseSet([[1.0, 2, 3], [4, 5, 6]], experiment_id="TS_01")], path)
    assert report.lost == {}
    [again] = read(path)
    assert again.features.to_numpy().tolist() == [[0, 0], [0, 0]]
    raw = path.read_bytes()
    assert struct.unpack(">6f", raw[-28:-4]) == (1.5, 2.5, 3, 4.5, 5.5, 6)
    assert struct.unpack(">3i", raw[136:148]) == (6, 7, 7)  # room for the largest point


def test_rows_are_ordered_by_object_and_contour(tmp_path):
    features = pd.DataFrame({"object_id": [1, 0, 1], "contour_id": [0, 2, 0]})
    poses = PoseSet(np.arange(9.0).reshape(3, 3), features=features, experiment_id="a")
    report = write([poses], tmp_path / "a.mod")
    assert "object and contour" in report.converted["order"]
    [again] = read(tmp_path / "a.mod")
    np.testing.assert_array_equal(again.position, poses.position[[1, 0, 2]])
    assert again.features["contour_id"].tolist() == [2, 0, 0]


@pytest.mark.parametrize("wrong", [-1, 0.5, 1e9, np.inf])
def test_ids_must_be_whole_numbers(wrong, tmp_path):
    features = pd.DataFrame({"contour_id": [0, wrong]})
    with pytest.raises(WriteError, match=r"row 2, contour_id: expected a whole number"):
        write([PoseSet(np.zeros((2, 3)), features=features)], tmp_path / "a.mod")


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"imod 1\n", "expected a binary IMOD model"),
        (header()[:200], "expected a header of 240 bytes"),
        (header(), "without its end mark IEOF"),
        (header() + b"CONT" + b"\0" * 16 + b"IEOF", "before the first object"),
        (header() + thing() + b"\x01\x02\x03\x04\0\0\0\0", "expected the name of a chunk"),
        (header() + thing(contour((1, 2, 3)))[:-4], "does not fit"),
        (header() + thing() + b"CONT\xff\xff\xff\xff" + b"\0" * 40, "does not fit"),
        (
            header() + thing(contour((1, 2, float("nan")))) + b"IEOF",
            "point 1, z: expected a f",
        ),
    ],
)
def test_damage_is_named(raw, message, save):
    with pytest.raises(ReadError, match=message):
        read(save(raw, "a.mod"))


def test_meshes_are_kept(save, tmp_path):
    mesh = b"MESH" + struct.pack(">2iI2h", 2, 3, 0, 0, 0) + b"\0" * (24 + 12)
    raw = header() + thing(contour((1, 2, 3))) + mesh + b"IEOF"
    write(read(save(raw, "a.mod")), tmp_path / "b.mod")
    assert (tmp_path / "b.mod").read_bytes() == raw


def test_real_model(shared_data, tmp_path):
    source = shared_data / "imod_model" / "correct111.mod"
    [poses] = read_poses(source)
    assert len(poses) == 161
    np.testing.assert_array_equal(poses.position[0], [128, 698.5, -76])  # 128.5, 699, -76
    report = ct_write(poses, tmp_path / "correct111.mod")
    assert report.lost == {}
    assert (tmp_path / "correct111.mod").read_bytes() == source.read_bytes()


def test_imodmodel_reads_the_same(shared_data, tmp_path):
    """An independent reader, and an independent writer."""
    imodmodel = pytest.importorskip("imodmodel")
    source = shared_data / "imod_model" / "correct111.mod"
    half = [0.5, 0.5, 0]
    theirs = imodmodel.read(source)
    [ours] = read(source)
    np.testing.assert_array_equal(theirs[["x", "y", "z"]], ours.position + half)
    np.testing.assert_array_equal(theirs["contour_id"], ours.features["contour_id"])

    rng = np.random.default_rng(3)
    features = pd.DataFrame({"object_id": [0, 0, 1], "contour_id": [0, 1, 0]})
    poses = PoseSet(rng.uniform(0, 500, (3, 3)), features=features, experiment_id="a")
    write([poses], tmp_path / "a.mod")
    theirs = imodmodel.read(tmp_path / "a.mod")
    np.testing.assert_allclose(theirs[["x", "y", "z"]], poses.position + half, atol=1e-4)
    np.testing.assert_array_equal(theirs[["object_id", "contour_id"]], features)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations of pydantic
        imodmodel.write(theirs, tmp_path / "b.mod")
    np.testing.assert_allclose(read(tmp_path / "b.mod")[0].position, poses.position, atol=1e-4)
