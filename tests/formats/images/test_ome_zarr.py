"""OME-Zarr, checked against directories made with zarr alone, by hand, and against damage."""

from __future__ import annotations

import errno
import json
import os
import shutil
import tracemalloc
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import cryotypes
from cryotypes.cli import main
from cryotypes.errors import CryotypesError, GuessWarning, ReadError, WriteError
from cryotypes.formats.images import ome_zarr
from cryotypes.formats.shared import aside
from cryotypes.formats.shared.declaration import Head
from cryotypes.image import Image, _pieces, validate_image
from cryotypes.testing import _contract, _contract_files
from cryotypes.testing._subject import Subject, registered

zarr = pytest.importorskip("zarr", minversion="3")
from cryotypes.formats.images.ome_zarr import _arrays as _zarr_arrays  # noqa: E402

read, write = ome_zarr.FORMAT.read, ome_zarr.FORMAT.write
VERSIONS = ("0.4", "0.5")
DTYPES = ("bool", "int8", "uint8", "int16", "uint16", "int32", "int64", "uint64", "float16",
          "float32", "float64", "complex64")  # fmt: skip


def numbers(shape, dtype="float32", seed=0):
    rng = np.random.default_rng(seed)
    kind = np.dtype(dtype)
    if kind.kind in "iu":
        info = np.iinfo(kind)
        return rng.integers(info.min, info.max, shape, kind, endpoint=True)
    if kind.kind == "b":
        return rng.integers(0, 2, shape).astype(bool)
    data = rng.normal(size=shape)
    return (data + 1j * rng.normal(size=shape) if kind.kind == "c" else data).astype(kind)


def image(data, name="TS_01", pixel_spacing=2.7, stack=False):
    return Image(data, name, pixel_spacing, "somewhere", stack)


def axis(name, unit="angstrom", kind="space"):
    return {"name": name, "type": kind, **({"unit": unit} if unit else {})}


ZYX = [axis("z"), axis("y"), axis("x")]


def by_hand(path, data, axes=ZYX, scale=None, version="0.4", level="s0", **more) -> Path:
    """Make a group with zarr alone; ``more`` goes into multiscales[0]."""
    scale = [10.5] * data.ndim if scale is None else scale
    zarr_format = 2 if version == "0.4" else 3
    group = zarr.open_group(str(path), mode="w", zarr_format=zarr_format)
    group.create_array(level, data=data, chunks=(2,) * data.ndim)
    dataset = {"path": level, "coordinateTransformations": [{"type": "scale", "scale": scale}]}
    first = {"version": version, "axes": axes, "datasets": [dataset], **more}
    multiscales = {"multiscales": [{k: v for k, v in first.items() if v is not None}]}
    attributes = multiscales if version == "0.4" else {"ome": {"version": version, **multiscales}}
    group.attrs.update(attributes)
    return path


# --- round trip, and zarr alone as the reader ---


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("shape", "stack"),
    [((3, 4, 5), False), ((3, 4, 5), True), ((1, 4, 5), True), ((1, 4, 5), False),
     ((4, 5), False), ((1, 1), False)],
)  # fmt: skip
@pytest.mark.parametrize("dtype", DTYPES)
def test_round_trip(tmp_path, dtype, shape, stack, version):
    path = tmp_path / "TS_01.zarr"
    data = numbers(shape, dtype)
    report = write(image(data, stack=stack), path, version=version)
    assert (report.lost, report.converted, report.assumed) == ({}, {}, {})
    assert set(report.kept) == {"data", "stack", "pixel_spacing", "experiment_id"}
    back = read(path)
    validate_image(back, ndim=len(shape))
    assert back.data.dtype == data.dtype
    assert back.data.shape == shape
    np.testing.assert_array_equal(np.asarray(back.data), data)
    assert (back.stack, back.pixel_spacing, back.experiment_id) == (stack, 2.7, "TS_01")
    assert (back.source, back.metadata["version"]) == (path, version)
    assert list(tmp_path.iterdir()) == [path]
    raw = zarr.open_group(str(path), mode="r")
    assert raw.metadata.zarr_format == {"0.4": 2, "0.5": 3}[version]
    np.testing.assert_array_equal(raw["0"][...], data)


@pytest.mark.parametrize("spacing", [0.1, 1.35, 13.48, 1.2345678901, 1e-3])
def test_spacing_is_exact(tmp_path, spacing):
    write(image(np.zeros((2, 2, 2), "i1"), pixel_spacing=spacing), tmp_path / "a.zarr")
    assert read(tmp_path / "a.zarr").pixel_spacing == spacing


def test_metadata_of_version_04(tmp_path):
    write(image(numbers((4, 8, 6)), pixel_spacing=2.5), tmp_path / "TS_01.zarr")
    attributes = json.loads((tmp_path / "TS_01.zarr" / ".zattrs").read_text())
    (first,) = attributes["multiscales"]
    assert first["version"] == "0.4"
    assert first["axes"] == ZYX
    assert [d["path"] for d in first["datasets"]] == ["0", "1", "2"]
    transformations = [d["coordinateTransformations"] for d in first["datasets"]]
    assert transformations == [
        [{"type": "scale", "scale": [2.5] * 3}],
        [{"type": "scale", "scale": [5.0] * 3}, {"type": "translation", "translation": [1.25] * 3}],
        [
            {"type": "scale", "scale": [10.0] * 3},
            {"type": "translation", "translation": [3.75] * 3},
        ],
    ]
    array = json.loads((tmp_path / "TS_01.zarr" / "0" / ".zarray").read_text())
    assert array["dimension_separator"] == "/"


def test_metadata_of_version_05(tmp_path):
    write(image(numbers((4, 8, 6)), pixel_spacing=2.5), tmp_path / "TS_01.zarr", version="0.5")
    found = json.loads((tmp_path / "TS_01.zarr" / "zarr.json").read_text())
    ome = found["attributes"]["ome"]
    assert (found["zarr_format"], ome["version"]) == (3, "0.5")
    assert "version" not in ome["multiscales"][0]
    array = json.loads((tmp_path / "TS_01.zarr" / "0" / "zarr.json").read_text())
    assert array["dimension_names"] == ["z", "y", "x"]


# --- levels ---


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("stack", [False, True])
def test_levels_are_means_and_lie_where_the_scale_and_translation_say(tmp_path, stack, version):
    """A ramp has at each point of a level the value of that point in the first."""
    z, y, x = np.indices((8, 12, 16))
    data = (100 * z + 10 * y + x).astype(np.float32)
    path = tmp_path / "TS_01.zarr"
    write(image(data, pixel_spacing=2.0, stack=stack), path, version=version)
    for level, factor in enumerate((1, 2, 4)):
        found = read(path, level=level)
        assert found.pixel_spacing == 2.0 * factor
        stated = found.metadata["multiscales"]["datasets"][level]["coordinateTransformations"]
        scale = np.array(stated[0]["scale"])
        shift = np.array(stated[1]["translation"]) if level else np.zeros(3)
        lengths = np.array([1.0 if stack else 2.0, 2.0, 2.0])
        indices = np.indices(found.data.shape).reshape(3, -1).T
        at = (indices * scale + shift) / lengths
        np.testing.assert_allclose(np.asarray(found.data).ravel(), at @ [100, 10, 1], rtol=1e-6)
    assert found.data.shape[0] == (8 if stack else 2)


def test_how_many_levels(tmp_path):
    path = tmp_path / "a.zarr"
    write(image(numbers((4, 4, 4))), path, levels=1)
    assert read(path).metadata["levels"] == ["0"]
    write(image(numbers((4, 4, 4))), path, levels=9, overwrite=True)
    assert [read(path, level=i).data.shape[0] for i in range(3)] == [4, 2, 1]
    with pytest.raises(ReadError, match="level: expected 0 to 2, found 3"):
        read(path, level=3)
    with pytest.raises(ReadError, match="found -1"):
        read(path, level=-1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(4, 6, 8), (5, 7, 3)])
def test_mean(dtype, shape):
    """Against plain loops, with whatever is there at an odd end."""
    data = numbers(shape, dtype)
    found = _zarr_arrays.mean(data, (2, 2, 2))
    assert found.dtype == data.dtype
    for at in np.ndindex(found.shape):
        box = data[tuple(slice(2 * i, 2 * i + 2) for i in at)]
        if box.dtype.kind in "iu":
            exact = sum(map(int, box.ravel())) / box.size
            limit = 0.5 + abs(exact) * 1e-15
            assert abs(int(found[at]) - exact) <= limit
        elif box.dtype.kind == "b":
            assert found[at] == (box.mean() > 0.5)
        else:
            wide = np.result_type(box.dtype, np.float64)
            np.testing.assert_allclose(found[at], box.astype(wide).mean(), rtol=2e-3, atol=2e-3)


def test_mean_of_the_largest_does_not_overflow():
    for dtype in ("uint8", "int64", "uint64", "float16", "float32", "float64"):
        kind = np.dtype(dtype)
        most = (np.iinfo(kind) if kind.kind in "iu" else np.finfo(kind)).max
        assert _zarr_arrays.mean(np.full((2, 2, 2), most, kind), (2, 2, 2))[0, 0, 0] == most


@pytest.mark.parametrize(("size", "chunk"), [(5, 5), (128, 128), (129, 66), (300, 100)])
def test_chunks(tmp_path, size, chunk):
    data = numbers((2, 3, size), "int8")
    write(image(data), tmp_path / "a.zarr")
    assert read(tmp_path / "a.zarr").data.chunks == (2, 3, chunk)
    write(image(data, stack=True), tmp_path / "a.zarr", overwrite=True)
    assert read(tmp_path / "a.zarr").data.chunks == (1, 3, size)


def test_many_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(_pieces, "PIECE", 1 << 10)
    monkeypatch.setattr(ome_zarr, "_CHUNK", 4)
    data = numbers((11, 9, 21), "int16")
    write(image(data), tmp_path / "a.zarr")
    np.testing.assert_array_equal(read(tmp_path / "a.zarr").data[...], data)
    once = _zarr_arrays.mean(data, (2, 2, 2))
    np.testing.assert_array_equal(read(tmp_path / "a.zarr", level=1).data[...], once)
    twice = _zarr_arrays.mean(once, (2, 2, 2))
    np.testing.assert_array_equal(read(tmp_path / "a.zarr", level=2).data[...], twice)


class Endless:
    """Data that are not in memory as a whole."""

    dtype, ndim = np.dtype("float32"), 3

    def __init__(self, depth):
        self.shape = (depth, 96, 96)

    def __array__(self, dtype=None, copy=None):
        raise AssertionError("all of it was asked for")

    def __getitem__(self, key):
        shape = [len(range(*k.indices(n))) for k, n in zip(key, self.shape, strict=True)]
        return np.full(shape, 3.5, np.float32)


@pytest.mark.parametrize("stack", [False, True])
def test_memory_does_not_grow_with_the_data(tmp_path, monkeypatch, stack):
    monkeypatch.setattr(_pieces, "PIECE", 1 << 18)
    monkeypatch.setattr(ome_zarr, "_CHUNK", 32)

    def peak(depth):
        tracemalloc.start()
        try:
            write(image(Endless(depth), stack=stack), tmp_path / f"{depth}.zarr")
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(64)  # whatever is loaded once
    assert peak(512) < 1.5 * peak(128) + (1 << 20)
    assert peak(512 + 1) < 512 * 96 * 96 * 4 / 2
    assert read(tmp_path / "512.zarr", level=1).data[200, 47, 47] == 3.5


# --- chunks that are cut, or ask for more than there should be ---


def of_blosc(path, data, compressor):
    group = zarr.open_group(str(path), mode="w", zarr_format=2)
    array = group.create_array(
        name="0",
        shape=data.shape,
        dtype=data.dtype,
        chunks=(8, 64, 64),
        compressors=compressor,
        chunk_key_encoding={"name": "v2", "separator": "/"},
    )
    array[...] = data
    axes = [{"name": n, "type": "space", "unit": "angstrom"} for n in "zyx"]
    scale = [{"type": "scale", "scale": [2, 2, 2]}]
    dataset = {"path": "0", "coordinateTransformations": scale}
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": [dataset]}]
    return path


@pytest.mark.parametrize("cut", [0, 5, 16, 100, 20_000, -1])
def test_cut_chunks_of_blosc(tmp_path, cut):
    """Blosc itself reads on in other memory."""
    from numcodecs import Blosc

    data = np.random.default_rng(0).integers(0, 255, (8, 64, 128), dtype="u1")
    path = of_blosc(tmp_path / "a.zarr", data, Blosc())
    np.testing.assert_array_equal(read(path).data, data)
    chunk = path / "0" / "0" / "0" / "1"
    chunk.write_bytes(chunk.read_bytes()[:cut])
    with pytest.raises(ReadError, match="0/0/1"):
        np.asarray(read(path).data)
    np.testing.assert_array_equal(read(path).data[..., :64], data[..., :64])


@pytest.mark.parametrize("name", ["Blosc", "Zstd"])
def test_chunks_that_unpack_to_more_than_a_chunk(tmp_path, name):
    import numcodecs

    codec = getattr(numcodecs, name)()
    data = np.zeros((8, 64, 128), "u1") + np.arange(128, dtype="u1")
    path = of_blosc(tmp_path / "a.zarr", data, codec)
    (path / "0" / "0" / "0" / "1").write_bytes(bytes(codec.encode(np.zeros(1 << 26, "u1"))))
    tracemalloc.start()
    try:
        with pytest.raises(ReadError, match="32768 bytes once unpacked, found 67108864"):
            np.asarray(read(path).data)
        assert tracemalloc.get_traced_memory()[1] < 1 << 24
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("version", VERSIONS)
def test_every_damaged_byte_of_ours_is_noticed(tmp_path, version):
    """By the checksum of the frame, of which the metadata of version 2 do not speak."""
    write(image(numbers((4, 5, 6))), tmp_path / "a.zarr", version=version)
    chunk = tmp_path / "a.zarr" / "0" / ("c" if version == "0.5" else "") / "0" / "0" / "0"
    whole = chunk.read_bytes()
    for place in range(9, len(whole), 7):
        chunk.write_bytes(whole[:place] + bytes([whole[place] ^ 16]) + whole[place + 1 :])
        with pytest.raises(ReadError, match="damaged"):
            np.asarray(read(tmp_path / "a.zarr").data)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_missing_codec_is_no_damage(tmp_path, version):
    write(image(numbers((4, 5, 6))), tmp_path / "a.zarr", version=version)
    file = tmp_path / "a.zarr" / "0" / (".zarray" if version == "0.4" else "zarr.json")
    metadata = json.loads(file.read_text())
    if version == "0.4":
        metadata["compressor"] = {"id": "lz77"}
    else:
        metadata["codecs"][1] = {"name": "lz77", "configuration": {}}
    file.write_text(json.dumps(metadata))
    with pytest.raises(ReadError, match=r"codec that is not installed .*: 'lz77'\); install"):
        read(tmp_path / "a.zarr")


def test_a_damaged_chunk_is_one_sentence(tmp_path):
    write(image(numbers((4, 5, 6))), tmp_path / "a.zarr")
    chunk = tmp_path / "a.zarr" / "0" / "0" / "0" / "0"
    chunk.write_bytes(chunk.read_bytes()[:-9] + bytes(9))
    result = CliRunner().invoke(
        main, ["convert", str(tmp_path / "a.zarr"), str(tmp_path / "b.mrc")]
    )
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "b.mrc").exists()


# --- what other programs write ---


@pytest.mark.parametrize("version", VERSIONS)
def test_other_names_of_levels(tmp_path, version):
    data = numbers((3, 4, 5))
    back = read(by_hand(tmp_path / "TS_01.ome.zarr", data, version=version, level="some/s0"))
    assert not isinstance(back.data, np.ndarray)  # lazy
    np.testing.assert_array_equal(back.data[...], data)
    assert (back.pixel_spacing, back.stack, back.experiment_id) == (10.5, False, "TS_01")


@pytest.mark.parametrize(
    ("unit", "angstrom"), [("angstrom", 1), ("nanometer", 10), ("micrometer", 1e4)]
)
def test_units(tmp_path, unit, angstrom):
    axes = [axis(name, unit) for name in "zyx"]
    path = by_hand(tmp_path / "a.zarr", numbers((3, 4, 5)), axes, [1.5, 1.5, 1.5])
    assert read(path).pixel_spacing == pytest.approx(1.5 * angstrom, rel=1e-12)


@pytest.mark.parametrize(
    ("axes", "scale", "match", "spacing"),
    [
        ([axis(n, None) for n in "zyx"], [2.5] * 3, "no unit; assumed angstrom, 2.5", 2.5),
        ([axis(n, "parsec") for n in "zyx"], [2.5] * 3, "unit 'parsec'", 0),
        (ZYX, [5, 2.5, 2.5], "differs .z 5, y 2.5, x 2.5", 2.5),
        (["z", "y", "x"], [2.5] * 3, "no unit", 2.5),
    ],
)
def test_guesses(tmp_path, axes, scale, match, spacing):
    path = by_hand(tmp_path / "a.zarr", numbers((3, 4, 5)), axes, scale)
    with pytest.warns(GuessWarning, match=match) as caught:
        assert read(path).pixel_spacing == spacing
    assert "pixel_spacing=" in str(caught[0].message)
    assert caught[0].filename == str(Path(ome_zarr.__file__)) or caught[0].filename == __file__
    assert read(path, pixel_spacing=3.5).pixel_spacing == 3.5


def test_a_stack_may_have_any_scale_along_z(tmp_path):
    path = by_hand(tmp_path / "a.zarr", numbers((3, 4, 5)), scale=[1, 2.5, 2.5])
    back = read(path, stack=True)
    assert (back.stack, back.pixel_spacing) == (True, 2.5)
    write(image(numbers((3, 4, 5)), stack=True), tmp_path / "b.zarr")
    with pytest.warns(GuessWarning, match="differs|no unit"):
        assert read(tmp_path / "b.zarr", stack=False).stack is False


def test_no_scale(tmp_path):
    path = by_hand(tmp_path / "a.zarr", numbers((3, 4, 5)), datasets=[{"path": "s0"}])
    with pytest.warns(GuessWarning, match="not stated; pixel_spacing="):
        assert read(path).pixel_spacing == 0


def test_unknown_spacing_stays_unknown(tmp_path):
    report = write(image(numbers((3, 4, 5)), pixel_spacing=0), tmp_path / "TS_01.zarr")
    assert "pixel_spacing" in report.assumed
    with pytest.warns(GuessWarning, match="not stated"):
        assert read(tmp_path / "TS_01.zarr").pixel_spacing == 0


def test_outer_scale_multiplies(tmp_path):
    outer = [{"type": "scale", "scale": [2, 2, 2]}]
    path = by_hand(tmp_path / "a.zarr", numbers((3, 4, 5)), coordinateTransformations=outer)
    assert read(path).pixel_spacing == 21


@pytest.mark.parametrize("names", ["xyz", "yxz", "zxy", "tczyx", "czyx", "tyx", "cxty", "yx"])
def test_axes_by_name(tmp_path, names):
    sizes = {"t": 1, "c": 1, "z": 3, "y": 4, "x": 5}
    kinds = {"t": "time", "c": "channel"}
    axes = [axis(n, None if n in kinds else "angstrom", kinds.get(n, "space")) for n in names]
    data = numbers([sizes[n] for n in names])
    back = read(by_hand(tmp_path / "a.zarr", data, axes))
    order = [names.index(n) for n in "zyx" if n in names]
    rest = [i for i in range(len(names)) if i not in order]
    expected = data.transpose(rest + order).reshape([sizes[n] for n in "zyx" if n in names])
    validate_image(back, ndim=len(order))
    np.testing.assert_array_equal(np.asarray(back.data), expected)
    assert (back.data.dtype, back.data.ndim) == (expected.dtype, expected.ndim)
    assert (back.data.nbytes, len(back.data)) == (expected.nbytes, len(expected))
    keys = [0, -1, slice(1, 3), slice(None, None, -1), slice(3, 0, -2), (..., 2), (..., slice(2)),
            (slice(None, None, 2), 1), None, [0, 1], expected > 0, slice(2, 2)]  # fmt: skip
    for key in keys:
        np.testing.assert_array_equal(np.asarray(back.data)[key], expected[key])
        if names != "zyx":
            np.testing.assert_array_equal(back.data[key], expected[key])
    with pytest.raises(IndexError):
        back.data[99]


def test_one_image_as_a_stack(tmp_path):
    data = numbers((4, 5))
    back = read(by_hand(tmp_path / "a.zarr", data, ZYX[1:]), stack=True)
    np.testing.assert_array_equal(np.asarray(back.data), data[None])
    np.testing.assert_array_equal(back.data[0, 1:3], data[1:3])


def test_versions_without_axes(tmp_path):
    data = numbers((1, 1, 3, 4, 5))
    path = by_hand(tmp_path / "a.zarr", data, None, datasets=[{"path": "s0"}])
    assert read(path, pixel_spacing=2).data.shape == (3, 4, 5)


@pytest.mark.parametrize(
    ("names", "shape", "match"),
    [("tzyx", (2, 3, 4, 5), "size 1 of axes.*t .2., z .3."), ("czyx", (3, 3, 4, 5), "c .3."),
     ("zcx", (3, 1, 5), "spatial axes"), ("zyx", (4, 5), "3 dimensions .z, y, x., found 2")],
)  # fmt: skip
def test_axes_that_are_no_image(tmp_path, names, shape, match):
    axes = [axis(n, kind="space" if n in "zyx" else "other") for n in names]
    with pytest.raises(ReadError, match=match):
        read(by_hand(tmp_path / "a.zarr", numbers(shape), axes))


# --- writing ---


def test_dtypes(tmp_path):
    data = numbers((3, 4, 5), "float64") * 100
    report = write(image(data), tmp_path / "TS_01.zarr", dtype="float32")
    assert "float64 is written as float32, 60 of 60 values change" in report.converted["dtype"]
    assert read(tmp_path / "TS_01.zarr").data.dtype == np.float32
    with pytest.raises(WriteError, match="do not fit int8"):
        write(image(data * 1e6), tmp_path / "b.zarr", dtype="int8")
    with pytest.raises(WriteError, match="cannot be written"):
        write(image(data + 1j), tmp_path / "b.zarr", dtype="float32")
    report = write(image(np.full((2, 2), 1, "longdouble") / 3), tmp_path / "TS_02.zarr")
    if np.longdouble(1) / 3 != np.float64(1) / 3:
        assert "written as float64, 4 of 4 values change" in report.lost["dtype"]
    big = data.astype(">f4")
    assert write(image(big), tmp_path / "c.zarr").lost.keys() == {"experiment_id"}
    np.testing.assert_array_equal(read(tmp_path / "c.zarr").data[...], big)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["TS_01.zarr", "TS_02.zarr", "c.zarr"]


@pytest.mark.parametrize("options", [{"version": "0.3"}, {"levels": 0}])
def test_options(tmp_path, options):
    with pytest.raises(ValueError, match=next(iter(options))):
        write(image(numbers((2, 2, 2))), tmp_path / "a.zarr", **options)


@pytest.mark.parametrize("shape", [(0, 3, 4), (2, 2, 2, 2), (3,)])
def test_shapes_that_are_no_image(tmp_path, shape):
    with pytest.raises(WriteError, match="found shape"):
        write(image(np.zeros(shape)), tmp_path / "a.zarr")
    assert list(tmp_path.iterdir()) == []


def content(path):
    return {str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file()}


@pytest.mark.parametrize("version", VERSIONS)
def test_overwriting(tmp_path, version):
    path = tmp_path / "TS_01.zarr"
    write(image(numbers((40, 4, 5))), path)
    old = content(path)
    with pytest.raises(FileExistsError, match="overwrite=True"):
        write(image(numbers((3, 4, 5))), path)
    assert content(path) == old
    new = numbers((3, 4, 5), seed=1)
    write(image(new), path, overwrite=True, version=version)
    np.testing.assert_array_equal(read(path).data[...], new)
    fresh = tmp_path / "fresh.zarr"
    write(image(new), fresh, version=version)
    assert set(content(path)) == set(content(fresh))  # nothing of the old is left
    assert sorted(p.name for p in tmp_path.iterdir()) == ["TS_01.zarr", "fresh.zarr"]


def test_it_can_be_written_over_itself(tmp_path):
    path = tmp_path / "TS_01.zarr"
    data = numbers((3, 4, 5))
    write(image(data), path)
    write(read(path), path, overwrite=True, version="0.5")
    np.testing.assert_array_equal(read(path).data[...], data)


class Failing(Endless):
    def __getitem__(self, key):
        raise KeyboardInterrupt


def test_failure_leaves_the_old(tmp_path, monkeypatch):
    path = tmp_path / "TS_01.zarr"
    with pytest.raises(KeyboardInterrupt):
        write(image(Failing(4)), path)
    assert list(tmp_path.iterdir()) == []
    write(image(numbers((3, 4, 5))), path)
    old = content(path)
    with pytest.raises(KeyboardInterrupt):
        write(image(Failing(4)), path, overwrite=True)
    assert content(path) == old

    def interrupted(new, target):
        raise KeyboardInterrupt

    monkeypatch.setattr(_zarr_arrays, "exchange", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(image(numbers((9, 9, 9))), path, overwrite=True)
    assert content(path) == old
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("version", VERSIONS)
def test_where_the_system_cannot_exchange_two_names(tmp_path, monkeypatch, version):
    path = tmp_path / "TS_01.zarr"
    write(image(numbers((3, 4, 5))), path)
    old = content(path)

    def unable(new, target):
        raise OSError(errno.EINVAL, "invalid argument")

    monkeypatch.setattr(aside, "_exchange_at_once", unable)
    replace, failing = Path.replace, [True]

    def interrupted(self, target):
        if Path(target) == path and self.name == path.name and failing:
            raise KeyboardInterrupt
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(image(numbers((9, 9, 9))), path, overwrite=True)
    assert content(path) == old
    failing.clear()
    write(image(numbers((9, 9, 9))), path, overwrite=True, version=version)
    assert read(path).data.shape == (9, 9, 9)
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_process_had_moved_away_is_put_back(tmp_path):
    path = tmp_path / "TS_01.zarr"
    write(image(numbers((3, 4, 5))), path)
    old = content(path)
    left = tmp_path / f".cryotypes-{'0' * 16}.TS_01.zarr"
    left.mkdir()
    path.rename(left / ".old")
    with pytest.raises(KeyboardInterrupt):
        write(image(Failing(4)), path, overwrite=True)
    assert content(path) == old
    assert list(tmp_path.iterdir()) == [path]


def test_only_what_is_nothing_but_ours_is_replaced(tmp_path):
    path = tmp_path / "TS_01.zarr"
    for prepare in (
        lambda: (path / "thesis.txt").write_text("all of it"),
        lambda: write(image(numbers((3, 4, 5))), path / "labels"),
        lambda: (path / ".zattrs").write_text('{"multiscales": [{"datasets": [{"path": "0"}]}]}'),
        lambda: (path / "0" / "0" / "results").mkdir(),
        lambda: (path / ".zattrs").unlink(),
    ):
        write(image(numbers((3, 4, 5))), path)
        prepare()
        before = content(path)
        with pytest.raises(FileExistsError, match="not an image of cryotypes, or holds more"):
            write(image(numbers((3, 4, 5))), path, overwrite=True)
        assert content(path) == before
        shutil.rmtree(path)


def test_threads_that_write_one_target_leave_one_of_theirs(tmp_path):
    path = tmp_path / "TS_01.zarr"
    images = [image(np.full((40, 41, 42), i, np.uint8)) for i in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda one: write(one, path, overwrite=True), images))
    data = read(path).data[...]
    assert (data == data[0, 0, 0]).all()
    assert list(tmp_path.iterdir()) == [path]


def test_other_directories_are_not_replaced(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (home / "thesis.txt").write_text("all of it")
    with pytest.raises(FileExistsError, match="not an image of cryotypes"):
        write(image(numbers((3, 4, 5))), home, overwrite=True)
    assert (home / "thesis.txt").read_text() == "all of it"
    with pytest.raises(FileNotFoundError):
        write(image(numbers((3, 4, 5))), tmp_path / "no" / "a.zarr")


def test_links_and_files_are_replaced(tmp_path):
    real, link = tmp_path / "real.zarr", tmp_path / "link.zarr"
    real.write_text("a file")
    link.symlink_to(real)
    write(image(numbers((3, 4, 5))), link, overwrite=True)
    assert link.is_symlink()
    assert read(real).data.shape == (3, 4, 5)


# --- damage ---


def read_or_refuse(path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", GuessWarning)
        try:
            return read(path)
        except (ReadError, OSError):
            return None


@pytest.mark.parametrize(("version", "files"), [("0.4", [".zattrs", "0/.zarray"]),
                                                ("0.5", ["zarr.json", "0/zarr.json"])])  # fmt: skip
def test_damaged_metadata(tmp_path, version, files):
    path = tmp_path / "a.zarr"
    write(image(numbers((3, 4, 5))), path, version=version, levels=1)
    for name in files:
        file = path / name
        whole = file.read_bytes()
        for length in range(0, len(whole.rstrip()), 7):
            file.write_bytes(whole[:length])
            assert read_or_refuse(path) is None
        for at in range(0, len(whole), 2):
            new = b'\0\xff7-" '[at // 2 % 6]
            file.write_bytes(whole[:at] + bytes([new]) + whole[at + 1 :])
            read_or_refuse(path)
        file.unlink()
        assert read_or_refuse(path) is None
        file.write_bytes(whole)
    assert read_or_refuse(path) is not None


def every_change(value):
    """Give what a JSON value may become, each part removed or replaced."""
    wrong = (None, True, 0, -1, 1e999, float("nan"), 10**400, "x", "", [], {}, [[]], [None])
    yield from wrong
    if isinstance(value, dict):
        for key in value:
            yield {k: v for k, v in value.items() if k != key}
            yield from ({**value, key: new} for new in every_change(value[key]))
    elif isinstance(value, list):
        for i in range(len(value)):
            yield value[:i] + value[i + 1 :]
            yield from (value[:i] + [new] + value[i + 1 :] for new in every_change(value[i]))


@pytest.mark.parametrize(("version", "name"), [("0.4", ".zattrs"), ("0.5", "zarr.json")])
def test_wrong_or_missing_keys(tmp_path, version, name):
    path = tmp_path / "a.zarr"
    write(image(numbers((3, 4, 5))), path, version=version, levels=2)
    for changed in every_change(json.loads((path / name).read_text())):
        (path / name).write_text(json.dumps(changed))
        found = read_or_refuse(path)
        if found is not None:
            validate_image(found, ndim=3)
            assert found.data.shape == (3, 4, 5) or found.data.shape == (2, 2, 3)


@pytest.mark.parametrize("name", ["../secret", "/etc", "a/../../b", "..\\b", "nothing", ""])
def test_levels_outside_or_missing(tmp_path, name):
    path = by_hand(tmp_path / "a.zarr", numbers((3, 4, 5)), datasets=[{"path": name}])
    with pytest.raises(ReadError):
        read(path)


def test_damaged_chunk_of_a_view(tmp_path):
    path = tmp_path / "a.zarr"
    write(image(numbers((40, 50))), path, levels=1)
    chunk = path / "0" / "0" / "0"
    chunk.write_bytes(chunk.read_bytes()[:50])
    with pytest.raises(ReadError, match="damaged data"):
        np.asarray(read(path).data)


# --- recognising, and the command line ---


def test_sniff(tmp_path):
    good = by_hand(tmp_path / "image", numbers((3, 4, 5)))
    assert ome_zarr.sniff(Head.of(good))
    empty = tmp_path / "empty.zarr"
    empty.mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / ".zattrs").write_text('{"a": 1}')
    for name in ("empty.zarr", "other", "missing.zarr", "."):
        assert not ome_zarr.sniff(Head(tmp_path / name, b""))
    assert not ome_zarr.sniff(Head(good, b"data"))


def test_other_groups_of_zarr_are_explained(tmp_path):
    zarr.open_group(str(tmp_path / "a.zarr"), mode="w", zarr_format=2)
    with pytest.raises(ReadError, match="expected an OME-Zarr image"):
        read(tmp_path / "a.zarr")
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "b.zarr")
    (tmp_path / "c.zarr").write_text("text")
    with pytest.raises(ReadError, match="found a file"):
        read(tmp_path / "c.zarr")


def test_without_zarr(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "zarr", None)
    with pytest.raises(CryotypesError, match=r"pip install 'cryotypes\[zarr\]'"):
        write(image(numbers((3, 4, 5))), tmp_path / "a.zarr")


needs_registration = pytest.mark.skipif(
    "ome_zarr" not in cryotypes.formats.BUILT_IN, reason="ome-zarr is not registered"
)


@needs_registration
@pytest.mark.parametrize("version", VERSIONS)
def test_by_its_name_alone(tmp_path, version):
    path = tmp_path / "TS_01.zarr"
    data = numbers((3, 4, 5))
    cryotypes.write(image(data), path, version=version)
    np.testing.assert_array_equal(cryotypes.read_image(path).data[...], data)
    result = CliRunner().invoke(main, ["info", str(path)])
    assert result.exit_code == 0, result.output
    assert "ome-zarr: volume, 5 × 4 × 3 (xyz), float32, 2.7 Å/px" in result.output
    cryotypes.write(cryotypes.read_image(path), tmp_path / "TS_01.mrc")  # lazy data
    np.testing.assert_array_equal(cryotypes.read_image(tmp_path / "TS_01.mrc").data, data)


def test_contract_but_for_damage(tmp_path):
    """All of check_format; but for its damage, which is done to a file: see above."""
    subject = Subject(ome_zarr.FORMAT, {}, {}, tmp_path)
    _contract.check_declaration(subject)
    with registered(ome_zarr.FORMAT):
        _contract_files.check_foreign_heads(subject)
        for case, data in subject.cases().items():
            _contract.check_round_trip(subject, case, data)
        _contract_files.check_overwriting(subject)
        _contract_files.check_interruption(subject)
        _contract_files.check_paths(subject)


def test_version_2_has_no_field_of_numcodecs_own(tmp_path):
    """TensorStore and ngff-zarr refuse "checksum"; the chunks have one all the same."""
    path = tmp_path / "a.zarr"
    cryotypes.write(Image(np.ones((4, 8, 8), np.float32), pixel_spacing=1.0), path)
    found = [json.loads(p.read_text())["compressor"] for p in path.glob("*/.zarray")]
    assert found == [{"id": "zstd", "level": 1}] * 3
    chunk = (path / "0" / "0" / "0" / "0").read_bytes()
    assert chunk[:4] == b"\x28\xb5\x2f\xfd"
    assert chunk[4] & 4  # the frame's descriptor: it has a checksum (RFC 8878, 3.1.1.1.1)


# --- 0.6: coordinate systems ---


def with_systems(path, *transformations, name="intrinsic"):
    """Rewrite what we wrote as 0.5 into the form of 0.6, as ngff-zarr 0.50 writes it."""
    file = path / "zarr.json"
    content = json.loads(file.read_text())
    ome = content["attributes"]["ome"]
    (image,) = ome["multiscales"]
    ome["version"] = "0.6"
    image["coordinateSystems"] = [{"name": "intrinsic", "axes": image.pop("axes")}]
    for number, dataset in enumerate(image["datasets"]):
        given = transformations or dataset["coordinateTransformations"]
        dataset["coordinateTransformations"] = [
            {
                "type": "sequence",
                "input": {"path": str(number)},
                "output": {"name": name},
                "transformations": list(given),
            }
        ]
    turn = {"type": "rotation", "rotation": [[1, 0, 0], [0, 1, 0], [0, 0, 1]]}
    image["coordinateTransformations"] = [
        {**turn, "input": {"name": "intrinsic"}, "output": {"name": "world"}}
    ]
    file.write_text(json.dumps(content))


def test_version_0_6_is_read_where_levels_are_scaled_and_moved(tmp_path):
    values = np.arange(8 * 10 * 12, dtype=np.float32).reshape(8, 10, 12)
    path = tmp_path / "a.zarr"
    cryotypes.write(Image(values, pixel_spacing=2.7), path, version="0.5")
    with_systems(path)
    for level, spacing in ((0, 2.7), (1, 5.4)):
        found = cryotypes.read_image(path, level=level)
        assert found.pixel_spacing == pytest.approx(spacing)
        assert found.metadata["version"] == "0.6"
    np.testing.assert_array_equal(np.asarray(cryotypes.read_image(path).data), values)


def test_version_0_6_with_other_transformations_is_refused(tmp_path):
    path = tmp_path / "a.zarr"
    for message, *given in (
        ("expected scale or translation, found 'affine'", {"type": "affine", "affine": []}),
        ("expected scale or translation, found 'rotation'", {"type": "rotation"}),
    ):
        cryotypes.write(Image(np.zeros((4, 4, 4)), pixel_spacing=2.0), path, version="0.5")
        with_systems(path, *given)
        with pytest.raises(ReadError, match=message):
            cryotypes.read_image(path)
        shutil.rmtree(path)
    cryotypes.write(Image(np.zeros((4, 4, 4)), pixel_spacing=2.0), path, version="0.5")
    with_systems(path, name="elsewhere")
    with pytest.raises(ReadError, match="lead to one of the coordinateSystems, found elsewhere"):
        cryotypes.read_image(path)


NM = [axis(name, "nanometer") for name in "zyx"]
INDICES = [axis(f"dim_{i}", None, "array") for i in range(3)]


def to(kind, start, end, **more):
    """A transformation; in drafts of 0.6 its ends are strings."""
    return {"type": kind, "input": start, "output": end, **more}


def named(name):
    return {"name": name}


def of_06(path, systems, first, *more):
    """Made by hand after the schemas: one level, and transformations between the systems."""
    group = zarr.open_group(str(path), mode="w", zarr_format=3)
    group.create_array("s0", data=numbers((4, 6, 8)))
    listed = [{"name": name, "axes": axes} for name, axes in systems.items()]
    datasets = [{"path": "s0", "coordinateTransformations": [first]}]
    multiscales = {"coordinateSystems": listed, "datasets": datasets}
    if more:
        multiscales["coordinateTransformations"] = list(more)
    group.attrs["ome"] = {"version": "0.6", "multiscales": [multiscales]}
    return path


@pytest.mark.parametrize("ends", [str, named], ids=["draft", "0.6"])
def test_levels_that_lead_to_array_indices(tmp_path, ends):
    """As in the specification's example: only the next system has lengths."""
    path = of_06(
        tmp_path / "a.zarr",
        {"physical": NM, "indices": INDICES},
        to("identity", {"path": "s0"}, ends("indices")),
        to("rotation", ends("indices"), ends("turned")),
        to("scale", ends("indices"), ends("physical"), scale=[0.5] * 3),
    )
    found = read(path)
    assert found.pixel_spacing == pytest.approx(5.0)
    np.testing.assert_array_equal(np.asarray(found.data), numbers((4, 6, 8)))


@pytest.mark.parametrize("kind", ["translation", "identity", "affine", "displacements"])
def test_what_leads_on_from_lengths_changes_nothing(tmp_path, kind):
    more = to(kind, named("nm"), named("sample"), translation=[100, 200, 300])
    first = to("scale", {"path": "s0"}, named("nm"), scale=[0.27] * 3)
    path = of_06(tmp_path / "a.zarr", {"nm": NM, "sample": NM}, first, more)
    assert read(path).pixel_spacing == pytest.approx(2.7)


@pytest.mark.parametrize(("factor", "same"), [(10, True), (12, False)])
def test_systems_of_other_scales(tmp_path, factor, same):
    """10 only turns nm into Å; 12 is another size of the pixel."""
    more = to("scale", named("nm"), named("other"), scale=[factor] * 3)
    first = to("scale", {"path": "s0"}, named("nm"), scale=[0.27] * 3)
    path = of_06(tmp_path / "a.zarr", {"nm": NM, "other": ZYX}, first, more)
    if same:
        assert read(path).pixel_spacing == pytest.approx(2.7)
        return
    with pytest.warns(GuessWarning, match="'nm' and 'other' differ; assumed the first, 2.7 Å"):
        assert read(path).pixel_spacing == pytest.approx(2.7)
    assert read(path, pixel_spacing=3.24).pixel_spacing == 3.24


@pytest.mark.parametrize("value", [None, 3, "scale", {}, [3], [None], [[]], [{"type": "scale"}]])
@pytest.mark.parametrize("place", ["coordinateSystems", "coordinateTransformations", "datasets"])
def test_wrong_types_of_06(tmp_path, place, value):
    first = to("scale", {"path": "s0"}, named("nm"), scale=[0.27] * 3)
    path = of_06(tmp_path / "a.zarr", {"nm": NM}, first)
    group = json.loads((path / "zarr.json").read_text())
    (found,) = group["attributes"]["ome"]["multiscales"]
    if place == "datasets":
        found["datasets"][0]["coordinateTransformations"] = value
    else:
        found[place] = value
    (path / "zarr.json").write_text(json.dumps(group))
    if place == "coordinateTransformations" and value in (None, [{"type": "scale"}]):
        assert read(path).pixel_spacing == pytest.approx(2.7)  # that leads nowhere
        return
    with pytest.raises(ReadError):
        read(path)


# --- what is elsewhere, absent, or far more than it looks ---


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_links_that_lead_out_are_refused(tmp_path, version):
    path, other = tmp_path / "a.zarr", tmp_path / "b.zarr"
    for place in (path, other):
        write(image(numbers((6, 7, 8)), place.stem), place, version=version, levels=1)
    shutil.rmtree(path / "0")
    (path / "0").symlink_to(other / "0")
    with pytest.raises(ReadError, match="leads out of the image"):
        read(path)
    (path / "0").unlink()
    shutil.copytree(other / "0", path / "1")
    (path / "0").symlink_to("1")
    np.testing.assert_array_equal(read(path).data[...], numbers((6, 7, 8)))
    (chunk,) = [found for found in (path / "1").rglob("0") if found.is_file()]
    chunk.unlink()
    chunk.symlink_to(other / chunk.relative_to(path).as_posix().replace("1", "0", 1))
    with pytest.raises(ReadError, match="leads out of the image"):
        np.asarray(read(path).data)
    chunk.unlink()
    os.mkfifo(chunk)
    with pytest.raises(ReadError, match="no regular file"):
        np.asarray(read(path).data)


@pytest.mark.parametrize("made", ["two frames", "no size"])
def test_a_chunk_that_stands_for_gigabytes(tmp_path, made):
    """Of zstd: a second frame after an honest one, or one that does not say how much it is."""
    import numcodecs

    path = of_blosc(tmp_path / "a.zarr", np.ones((8, 64, 64), "u1"), numcodecs.Zstd())
    chunk = path / "0" / "0" / "0" / "0"
    frame = b"\x28\xb5\x2f\xfd\x00\x58"  # no size, no checksum, a window of 2 MB
    block = (1 << 17 << 3 | 2).to_bytes(3, "little") + b"\0"  # one byte, 128 kB times
    bomb = frame + block * (1 << 13) + (1 << 17 << 3 | 3).to_bytes(3, "little") + b"\0"
    chunk.write_bytes(chunk.read_bytes() + bomb if made == "two frames" else bomb)
    with pytest.raises(ReadError, match=r"expected 32768 bytes once unpacked, found 107\d{7}"):
        np.asarray(read(path).data)


def test_frames_that_are_honest(tmp_path):
    """Sizes left out, a skippable frame, two frames of a half each."""
    import numcodecs
    from zarr.core.buffer import default_buffer_prototype

    from cryotypes.formats.images.ome_zarr._store import _zstd

    whole = default_buffer_prototype().buffer.from_bytes
    for checksum in (False, True):
        for size in (0, 1, 255, 256, 70_000, 300_000):
            frame = bytes(numcodecs.Zstd(checksum=checksum).encode(np.zeros(size, "u1")))
            skipped = b"\x51\x2a\x4d\x18" + (3).to_bytes(4, "little") + b"abc"
            for chunk, times in ((frame, 1), (frame + frame, 2), (frame + skipped + frame, 2)):
                assert _zstd(whole(chunk), 10**6) == times * size
            for cut in range(0, len(frame), 3):
                _zstd(whole(frame[:cut]), 10**6)


def test_a_missing_chunk(tmp_path):
    path = tmp_path / "a.zarr"
    write(image(numbers((6, 7, 8)), "a"), path, levels=1)
    (path / "0" / "0" / "0" / "0").unlink()
    assert not np.asarray(read(path).data).any()  # as its fill value says
    metadata = path / "0" / ".zarray"
    metadata.write_text(json.dumps({**json.loads(metadata.read_text()), "fill_value": None}))
    with pytest.warns(GuessWarning, match="chunk 0/0/0 is not there"):
        assert not np.asarray(read(path).data).any()
