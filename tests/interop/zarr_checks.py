"""What ome-zarr, ome-zarr-models, TensorStore and ngff-zarr say; test_images.py runs this there."""

import json
import warnings

import ngff_zarr
import numpy as np
import pytest
import tensorstore
import zarr  # noqa: TID253
from ome_zarr.format import FormatV04, FormatV05
from ome_zarr.io import parse_url
from ome_zarr.reader import Reader
from ome_zarr.writer import write_image, write_multiscale
from ome_zarr_models import open_ome_zarr
from ome_zarr_models.v04 import Image as Model04
from ome_zarr_models.v05 import Image as Model05

import cryotypes
from cryotypes import Image
from cryotypes.errors import GuessWarning

MODELS = {"0.4": Model04, "0.5": Model05}
FORMATS = {"0.4": FormatV04, "0.5": FormatV05}
DATA = np.random.default_rng(5).normal(size=(9, 20, 30)).astype(np.float32)
OURS = {
    "volume": Image(DATA, "volume", 2.7),
    "stack": Image(DATA, "stack", 2.7, stack=True),
    "image": Image(DATA[0], "image", 2.7),
    "unknown": Image(DATA, "unknown", 0.0),
}
DTYPES = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "float16", "float32", "float64")


def save(tmp_path, kind, version):
    path = tmp_path / f"{kind}.zarr"
    cryotypes.write(OURS[kind], path, version=version)
    return path


@pytest.mark.parametrize("version", MODELS)
@pytest.mark.parametrize("kind", OURS)
def test_the_specification_is_kept(tmp_path, kind, version):
    """The model of the version, and of no other, takes the metadata and the arrays they name."""
    group = zarr.open_group(save(tmp_path, kind, version), mode="r")
    model = MODELS[version].from_zarr(group)
    assert type(open_ome_zarr(group)) is MODELS[version]
    attributes = model.attributes if version == "0.4" else model.attributes.ome
    (multiscale,) = attributes.multiscales
    names = "zyx"[-OURS[kind].data.ndim :]
    assert [axis.name for axis in multiscale.axes] == list(names)
    assert [dataset.path for dataset in multiscale.datasets] == ["0", "1", "2"]
    assert multiscale.name == kind
    other = MODELS["0.5" if version == "0.4" else "0.4"]
    with pytest.raises(Exception, match=r"multiscales|ome|zarr"):
        other.from_zarr(group)


@pytest.mark.parametrize(("version", "name"), [("0.4", ".zattrs"), ("0.5", "zarr.json")])
@pytest.mark.parametrize("fault", ["scale", "axes", "path", "order"])
def test_the_models_do_find_faults(tmp_path, version, name, fault):
    path = save(tmp_path, "volume", version)
    found = json.loads((path / name).read_text())
    (multiscale,) = (found if version == "0.4" else found["attributes"]["ome"])["multiscales"]
    if fault == "scale":
        multiscale["datasets"][0]["coordinateTransformations"][0]["scale"].pop()
    elif fault == "axes":
        multiscale["axes"].pop()
    elif fault == "path":
        multiscale["datasets"][1]["path"] = "missing"
    else:
        multiscale["datasets"][1]["coordinateTransformations"].reverse()
    (path / name).write_text(json.dumps(found))
    with pytest.raises(Exception, match=r"(?i)scale|axes|dimension|missing|transformation"):
        MODELS[version].from_zarr(zarr.open_group(path, mode="r"))


@pytest.mark.parametrize("version", MODELS)
@pytest.mark.parametrize("kind", OURS)
def test_ome_zarr_reads_ours(tmp_path, kind, version):
    image = OURS[kind]
    (node,) = Reader(parse_url(str(save(tmp_path, kind, version)), fmt=FORMATS[version]()))()
    assert len(node.data) == 3
    np.testing.assert_array_equal(np.asarray(node.data[0]), image.data, strict=True)
    lengths = [image.pixel_spacing or 1.0] * image.data.ndim
    if image.stack:
        lengths[0] = 1.0
    assert node.metadata["coordinateTransformations"][0] == [{"type": "scale", "scale": lengths}]
    units = [axis.get("unit") for axis in node.metadata["axes"]]
    known = "angstrom" if image.pixel_spacing else None
    assert units == [None if image.stack and i == 0 else known for i in range(len(units))]


def units(axes, unit="angstrom"):
    return dict.fromkeys([axis for axis in axes if axis in "zyx"], unit)


def lengths(axes, length=2.7):
    return {axis: length if axis in "zyx" else 1.0 for axis in axes}


@pytest.mark.parametrize("version", MODELS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_what_its_write_image_writes(tmp_path, dtype, version):
    data = (DATA * 100 % 100).astype(dtype)
    more = {"fmt": FORMATS[version](), "scale": lengths("zyx"), "axes_units": units("zyx")}
    write_image(data, str(tmp_path / "TS_01.zarr"), axes="zyx", **more)
    found = cryotypes.read_image(tmp_path / "TS_01.zarr")
    np.testing.assert_array_equal(np.asarray(found.data), data, strict=True)
    assert (found.experiment_id, found.pixel_spacing, found.stack) == ("TS_01", 2.7, False)


@pytest.mark.parametrize("version", MODELS)
@pytest.mark.parametrize(
    ("axes", "unit", "length"),
    [("tczyx", "angstrom", 2.7), ("czyx", "nanometer", 0.27), ("yx", "micrometer", 0.00027)],
)
def test_other_axes_and_units(tmp_path, axes, unit, length, version):
    data = DATA[0] if axes == "yx" else DATA[(None,) * (len(axes) - 3)]
    more = {"scale": lengths(axes, length), "axes_units": units(axes, unit)}
    write_image(data, str(tmp_path / "a.zarr"), axes=axes, fmt=FORMATS[version](), **more)
    found = cryotypes.read_image(tmp_path / "a.zarr")
    np.testing.assert_array_equal(np.asarray(found.data), data.reshape(found.data.shape))
    assert found.pixel_spacing == pytest.approx(2.7, rel=1e-12)


@pytest.mark.parametrize("version", MODELS)
def test_without_units_it_is_a_guess(tmp_path, version):
    more = {"axes": "zyx", "scale": lengths("zyx"), "fmt": FORMATS[version]()}
    write_image(DATA, str(tmp_path / "a.zarr"), **more)
    with pytest.warns(GuessWarning, match="assumed angstrom"):
        assert cryotypes.read_image(tmp_path / "a.zarr").pixel_spacing == 2.7


@pytest.mark.parametrize("version", MODELS)
def test_what_its_write_multiscale_writes(tmp_path, version):
    """Each level has its own scale; names of levels are taken from the metadata."""
    pyramid = [DATA, DATA[::2, ::2, ::2]]
    fmt = FORMATS[version]()
    group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=fmt.zarr_format)
    scales = [[{"type": "scale", "scale": [length] * 3}] for length in (2.7, 5.4)]
    axes = [{"name": name, "type": "space", "unit": "angstrom"} for name in "zyx"]
    write_multiscale(pyramid, group, fmt=fmt, axes=axes, coordinate_transformations=scales)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for level, expected in enumerate(pyramid):
            found = cryotypes.read_image(tmp_path / "a.zarr", level=level)
            np.testing.assert_array_equal(np.asarray(found.data), expected, strict=True)
            assert found.pixel_spacing == (2.7, 5.4)[level]
            assert found.metadata["version"] == version


# --- readers that are not built on zarr-python's codecs ---


def by_tensorstore(path, version):
    """All levels."""
    for level in sorted(p for p in path.iterdir() if p.is_dir()):
        place = {"driver": "file", "path": f"{level}/"}
        spec = {"driver": "zarr" if version == "0.4" else "zarr3", "kvstore": place}
        yield tensorstore.open(spec).result().read().result()


@pytest.mark.parametrize("version", MODELS)
@pytest.mark.parametrize("chunk", [8, 128])
@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        *((kind, "float32") for kind in ("volume", "stack", "image")),
        *(("volume", dtype) for dtype in (*DTYPES, "bool", "int64", "uint64")),
        *(("volume", dtype) for dtype in ("complex64", "complex128")),
    ],
)
def test_tensorstore_and_ngff_zarr_read_ours(tmp_path, monkeypatch, kind, dtype, chunk, version):
    """Sizes that chunks do not divide; both refuse fields that they do not know."""
    monkeypatch.setattr("cryotypes.formats.images.ome_zarr._CHUNK", chunk)
    monkeypatch.setattr("cryotypes.formats.images.ome_zarr._CHUNK_OF_IMAGE", chunk)
    values = (np.random.default_rng(2).normal(size=(9, 30, 21)) * 40 % 100).astype(dtype)
    values = values[0] if kind == "image" else values
    path = tmp_path / f"{kind}.zarr"
    cryotypes.write(Image(values, kind, 2.7, stack=kind == "stack"), path, version=version)
    ours = [np.asarray(cryotypes.read_image(path, level=level).data) for level in range(3)]
    np.testing.assert_array_equal(ours[0], values, strict=True)
    for expected, found in zip(ours, by_tensorstore(path, version), strict=True):
        np.testing.assert_array_equal(found, expected, strict=True)
    levels = ngff_zarr.from_ngff_zarr(str(path)).images
    for number, (expected, level) in enumerate(zip(ours, levels, strict=True)):
        np.testing.assert_array_equal(np.asarray(level.data), expected, strict=True)
        assert level.scale["x"] == 2.7 * 2**number


@pytest.mark.parametrize("version", MODELS)
def test_tensorstore_and_ngff_zarr_look_at_our_checksums(tmp_path, version):
    """Though the metadata of version 2 do not speak of them."""
    path = tmp_path / "a.zarr"
    cryotypes.write(Image(DATA, "a", 2.7), path, version=version)
    chunk = path / "0" / ("c" if version == "0.5" else "") / "0" / "0" / "0"
    content = bytearray(chunk.read_bytes())
    content[-3] ^= 1  # of the four bytes at the end of the frame
    chunk.write_bytes(content)
    with pytest.raises(Exception, match=r"(?i)checksum|data_loss|decod"):
        list(by_tensorstore(path, version))
    with pytest.raises(Exception, match=r"(?i)checksum"):
        np.asarray(ngff_zarr.from_ngff_zarr(str(path)).images[0].data)


def test_version_0_6_of_ngff_zarr(tmp_path):
    """Coordinate systems, and a sequence of scale and translation for each level."""
    lengths = dict.fromkeys("zyx", 2.7)
    units = dict.fromkeys("zyx", "angstrom")
    image = ngff_zarr.to_ngff_image(DATA, dims=list("zyx"), scale=lengths, axes_units=units)
    levels = ngff_zarr.to_multiscales(image, scale_factors=[2], chunks=16)
    ngff_zarr.to_ngff_zarr(str(tmp_path / "a.zarr"), levels, version="0.6")
    found = cryotypes.read_image(tmp_path / "a.zarr")
    np.testing.assert_array_equal(np.asarray(found.data), DATA)
    assert found.pixel_spacing == pytest.approx(2.7)
    assert found.metadata["version"] == "0.6"
