"""mrcfile, tifffile, h5py and zarr read what we write, and write what we read, of every dtype.

More of it is beside the formats: mrcfile as a writer in tests/formats/test_mrc.py, what tifffile
finds in our pages in test_tiff_image.py, zarr in our arrays in test_ome_zarr.py.
"""

from __future__ import annotations

import io
import warnings

import mrcfile  # noqa: TID253
import numpy as np
import pytest

import cryotypes
from cryotypes import Image
from cryotypes.errors import GuessWarning, LossWarning, WriteError
from cryotypes.testing._zoo import image_zoo

pytestmark = pytest.mark.interop

INTEGERS = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
REAL = (*INTEGERS, "float16", "float32", "float64")
DTYPES = (*REAL, "complex64", "complex128")
SPACINGS = [0.1, 0.834, 1.0825, 1.3333333, 2.7, 13.79]


def numbers(shape, dtype):
    rng, kind = np.random.default_rng(9), np.dtype(dtype)
    if kind.kind in "iu":
        limits = np.iinfo(kind)
        return rng.integers(limits.min, limits.max, shape, kind, endpoint=True)
    data = rng.normal(size=shape)
    return (data + 1j * rng.normal(size=shape) if kind.kind == "c" else data).astype(kind)


# --- mrcfile ---


@pytest.mark.filterwarnings("ignore::cryotypes.errors.LossWarning")
@pytest.mark.parametrize("suffix", [".mrc", ".mrcs", ".mrc.gz"])
@pytest.mark.parametrize("name", image_zoo())
def test_mrcfile_finds_nothing_wrong(tmp_path, name, suffix):
    """Its validator, and, for numbers that the report says are kept, its reader."""
    image, path = image_zoo()[name], tmp_path / f"TS_01{suffix}"
    try:
        report = cryotypes.write(image, path)
    except WriteError:
        assert name in ("float64, limits", "complex128, limits")
        return
    with mrcfile.open(path) as file:  # not permissive
        found = file.data
        if "dtype" not in report.lost:
            np.testing.assert_array_equal(found, image.data.reshape(found.shape))
        if image.pixel_spacing:
            assert file.voxel_size.x == pytest.approx(image.pixel_spacing, rel=1e-6)
            assert file.voxel_size.y == pytest.approx(image.pixel_spacing, rel=1e-6)
        assert file.is_image_stack() == (image.stack and found.ndim == 3)
    complaints = io.StringIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # its own statistics of NaN
        valid = mrcfile.validate(path, print_file=complaints)
    overflown = "limits" in name and "RMS deviation is inf but" in complaints.getvalue()
    assert valid or overflown, complaints.getvalue()
    assert len(complaints.getvalue().splitlines()) <= 2


# --- tifffile ---


@pytest.mark.parametrize("spacing", SPACINGS)
def test_the_resolution_is_in_pixels_a_centimetre(tmp_path, spacing):
    """A centimetre has 1e8 Å; both numbers of the fraction have 32 bits."""
    tifffile = pytest.importorskip("tifffile")
    cryotypes.write(Image(numbers((5, 6, 7), "float32"), "a", spacing), tmp_path / "a.tif")
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        assert len(tif.pages) == 5
        for page in tif.pages:
            assert int(page.tags["ResolutionUnit"].value) == 3
            for name in ("XResolution", "YResolution"):
                above, below = page.tags[name].value
                assert below * 1e8 / above == pytest.approx(spacing, rel=1e-7)
                assert max(above, below) < 2**32


@pytest.mark.parametrize("compression", [None, "deflate", "lzw"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("order", "<>")
def test_what_tifffile_writes(tmp_path, dtype, compression, order):
    """Three frames, which are not colours; rows from the top; in both byte orders."""
    tifffile = pytest.importorskip("tifffile")
    if compression:
        pytest.importorskip("imagecodecs")
    data, path = numbers((3, 6, 7), dtype), tmp_path / "TS_01.tif"
    options = {"photometric": "minisblack", "metadata": None, "compression": compression}
    resolution = {"resolution": (1e8 / 2.5, 1e8 / 2.5), "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(path, data, byteorder=order, **options, **resolution)
    found = cryotypes.read_image(path)
    np.testing.assert_array_equal(np.asarray(found.data), data[:, ::-1])
    assert np.asarray(found.data).dtype.newbyteorder("=") == data.dtype
    assert (found.stack, found.pixel_spacing, found.experiment_id) == (True, 2.5, "TS_01")


# --- h5py ---

EMAN2 = tuple(name for name in INTEGERS if "64" not in name) + ("float32",)


@pytest.mark.parametrize("dtype", EMAN2)
@pytest.mark.parametrize("kind", ["volume", "stack", "image"])
def test_h5py_reads_ours(tmp_path, dtype, kind):
    h5py = pytest.importorskip("h5py")
    data = numbers((6, 7) if kind == "image" else (11, 6, 7), dtype)
    cryotypes.write(Image(data, "a", 2.7, stack=kind == "stack"), tmp_path / "a.hdf")
    with h5py.File(tmp_path / "a.hdf") as file:
        images = file["MDF/images"]
        found = [images[str(number)]["image"][...] for number in range(len(images))]
        np.testing.assert_array_equal(found if kind == "stack" else found[0], data, strict=True)
        assert len(found) == (11 if kind == "stack" else 1)


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(
    "storage", [{}, {"chunks": True}, {"compression": "gzip", "shuffle": True, "fletcher32": True}]
)
def test_what_h5py_writes(tmp_path, dtype, order, storage):
    """As EMAN2 does, and as anybody else."""
    h5py = pytest.importorskip("h5py")
    data = numbers((5, 6, 7), dtype)
    swapped = data.astype(data.dtype.newbyteorder(order))
    for name, place in (("a.hdf", "MDF/images/0/image"), ("b.h5", "some/where")):
        with h5py.File(tmp_path / name, "w") as file:
            file.create_dataset(place, data=swapped, **storage)
            file.create_dataset("one", data=np.arange(3.0))  # of one dimension: no image
            if name == "a.hdf":
                group = file["MDF/images"]
                group.attrs["imageid_max"] = np.array([0], np.int32)
                for axis in "xyz":
                    group["0"].attrs[f"EMAN.apix_{axis}"] = np.array([2.7], np.float32)
        with warnings.catch_warnings():
            warnings.simplefilter("error" if name == "a.hdf" else "ignore", GuessWarning)
            found = cryotypes.read_image(tmp_path / name)
        np.testing.assert_array_equal(np.asarray(found.data), data, strict=True)
        assert found.pixel_spacing == (2.7 if name == "a.hdf" else 0)
        assert not found.stack


# --- zarr ---


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("dtype", ["bool", *DTYPES])
def test_what_zarr_writes(tmp_path, dtype, version):
    """With chunks that do not divide the array, one of them absent: zeros."""
    zarr = pytest.importorskip("zarr", minversion="3")
    data = numbers((5, 6, 7), "uint8" if dtype == "bool" else dtype)
    data = data > 100 if dtype == "bool" else data
    group = zarr.open_group(
        str(tmp_path / "a.zarr"), mode="w", zarr_format=2 if version == "0.4" else 3
    )
    array = group.create_array("s0", shape=(5, 6, 7), chunks=(2, 4, 3), dtype=data.dtype)
    array[:4] = data[:4]
    axes = [{"name": name, "type": "space", "unit": "nanometer"} for name in "zyx"]
    scale = [{"type": "scale", "scale": [0.27] * 3}]
    datasets = [{"path": "s0", "coordinateTransformations": scale}]
    multiscales = [{"axes": axes, "datasets": datasets, "version": version}]
    ome = {"multiscales": multiscales, "version": version}
    group.attrs.update(ome if version == "0.4" else {"ome": ome})
    found = cryotypes.read_image(tmp_path / "a.zarr")
    expected = data.copy()
    expected[4:] = 0
    np.testing.assert_array_equal(np.asarray(found.data), expected, strict=True)
    np.testing.assert_array_equal(found.data[1:5, 3, 2:6], expected[1:5, 3, 2:6])
    assert found.pixel_spacing == pytest.approx(2.7, rel=1e-12)


def test_zarr_reads_every_level_of_ours(tmp_path):
    """Also by a path to the level alone, as viewers do."""
    zarr = pytest.importorskip("zarr", minversion="3")
    data = numbers((9, 10, 11), "uint16")
    for version, file in (("0.4", ".zarray"), ("0.5", "zarr.json")):
        path = tmp_path / f"{version}.zarr"
        with pytest.warns(LossWarning, match="experiment_id"):
            cryotypes.write(Image(data, "a", 2.7), path, version=version)
        for level in range(3):
            assert (path / str(level) / file).is_file()
            found = zarr.open_array(str(path / str(level)), mode="r")
            expected = cryotypes.read_image(path, level=level).data
            np.testing.assert_array_equal(found[...], np.asarray(expected), strict=True)
            assert found.shape == tuple(-(-n // 2**level) for n in data.shape)
