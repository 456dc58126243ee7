"""TIFF files, checked against tifffile alone, against RELION, and against damage."""

from __future__ import annotations

import builtins
import errno
import pickle
import shutil
import struct
import subprocess
import warnings
from pathlib import Path

import numpy as np
import pytest

from cryotypes.errors import GuessWarning, MissingPackageError, ReadError, WriteError
from cryotypes.formats.images import tiff_image
from cryotypes.formats.images.tiff_image import _file as tiff_file
from cryotypes.formats.images.tiff_image import _tags as tiff_tags
from cryotypes.formats.shared.declaration import Head
from cryotypes.image import Image

tifffile = pytest.importorskip("tifffile")
pytest.importorskip("imagecodecs")

read, write = tiff_image.FORMAT.read, tiff_image.FORMAT.write
CM = {"resolution": (4e7, 4e7), "resolutionunit": "CENTIMETER"}  # 2.5 Å
GREY = {"photometric": "minisblack", "metadata": None}


def numbers(shape, dtype="float32", seed=0):
    rng = np.random.default_rng(seed)
    kind = np.dtype(dtype)
    if kind.kind in "iu":
        info = np.iinfo(kind)
        data = rng.integers(info.min, info.max, shape, kind, endpoint=True)
        data.flat[0], data.flat[-1] = info.min, info.max
        return data
    data = rng.normal(size=shape)
    return (data + 1j * rng.normal(size=shape) if kind.kind == "c" else data).astype(kind)


def image(data, name="TS_01", pixel_spacing=2.7, stack=False):
    return Image(data, name, pixel_spacing, "somewhere", stack)


def quietly(function, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GuessWarning)
        return function(*args, **kwargs)


# --- round trip ---


@pytest.mark.parametrize(
    ("compression", "flip_y"), [("none", True), ("lzw", False), ("deflate", True)]
)
@pytest.mark.parametrize(
    ("shape", "stack"),
    [((5, 4, 6), False), ((5, 4, 6), True), ((3, 4, 6), True), ((4, 4, 6), True), ((3, 5, 3), True),
     ((3, 5, 4), False), ((4, 4, 4), False), ((4, 6), False), ((5, 3), False), ((2, 1, 1), True),
     ((1, 1), False)],
)  # fmt: skip
@pytest.mark.parametrize("dtype", tiff_image._WRITTEN)
def test_round_trip(tmp_path, dtype, shape, stack, flip_y, compression):
    path = tmp_path / "TS_01.tif"
    data = numbers(shape, dtype)
    report = write(image(data, stack=stack), path, flip_y=flip_y, compression=compression)
    assert (report.lost, report.assumed) == ({}, {})
    assert set(report.kept) == {"data", "stack", "pixel_spacing", "experiment_id"}
    back = read(path, flip_y=flip_y)
    assert (back.data.dtype, back.data.shape) == (data.dtype, shape)
    np.testing.assert_array_equal(np.asarray(back.data), data)
    assert (back.stack, back.pixel_spacing, back.experiment_id) == (stack, 2.7, "TS_01")
    assert back.source == path
    mapped = compression == "none" and dtype != "complex128"  # that one not by tifffile
    assert isinstance(back.data, np.memmap) == mapped
    assert list(tmp_path.iterdir()) == [path]
    # the independent reader: the first row is the top one
    with tifffile.TiffFile(path) as tif:
        stored = np.stack([page.asarray() for page in tif.pages])
        assert all(page.photometric.name == "MINISBLACK" for page in tif.pages)
        assert all(page.samplesperpixel == 1 for page in tif.pages)
    expected = data.reshape(-1, *shape[-2:])
    np.testing.assert_array_equal(stored, expected[:, ::-1] if flip_y else expected)


def test_rows_are_reversed(tmp_path):
    data = np.arange(6, dtype=np.uint8).reshape(3, 2)
    write(image(data), tmp_path / "a.tif")
    assert tifffile.imread(tmp_path / "a.tif").tolist() == [[4, 5], [2, 3], [0, 1]]
    assert read(tmp_path / "a.tif").data.tolist() == data.tolist()
    assert read(tmp_path / "a.tif", flip_y=False).data.tolist() == data[::-1].tolist()


@pytest.mark.parametrize("spacing", [0.1, 0.834, 1.0, 1.0825, 2.675, 13.48, 1 / 3, np.pi, 9999.5])
def test_pixel_spacing_survives(tmp_path, spacing):
    write(image(numbers((4, 6)), pixel_spacing=spacing), tmp_path / "a.tif")
    assert read(tmp_path / "a.tif").pixel_spacing == pytest.approx(spacing, rel=1e-6)
    if len(repr(spacing)) < 8:
        assert read(tmp_path / "a.tif").pixel_spacing == spacing


def test_what_is_not_kept_is_reported(tmp_path):
    path = tmp_path / "a.tif"
    report = write(image(numbers((1, 4, 6)), pixel_spacing=0), path)
    assert set(report.assumed) == {"pixel_spacing"}
    assert set(report.converted) == {"data"}
    assert set(report.lost) == {"experiment_id"}
    with pytest.warns(GuessWarning, match="pixel_spacing="):
        assert read(path).pixel_spacing == 0
    report = write(image(numbers((1, 4, 6)), "a", 2e4, True), path, overwrite=True)
    assert set(report.lost) == {"stack", "pixel_spacing"}
    assert quietly(read, path).data.shape == (4, 6)
    back = read(path, stack=True, pixel_spacing=2e4, experiment_id="b")
    assert (back.data.shape, back.stack, back.experiment_id) == ((1, 4, 6), True, "b")


def test_dtypes(tmp_path):
    path = tmp_path / "a.tif"
    report = write(image(np.eye(4, dtype=bool)), path)
    assert "all values are the same" in report.converted["dtype"]
    assert read(path).data.dtype == np.uint8
    data = np.array([[0.25, 1.0], [2.5, 300.0]])
    report = write(image(data), path, overwrite=True, dtype="uint16")
    assert "2 of 4 values change" in report.converted["dtype"]
    assert read(path).data.tolist() == [[0, 1], [2, 300]]
    old = path.read_bytes()
    with pytest.raises(WriteError, match="do not fit uint8"):
        write(image(data), path, overwrite=True, dtype="uint8")
    with pytest.raises(WriteError, match="complex64"):
        write(image(data * 1j), path, overwrite=True, dtype="float32")
    with pytest.raises(WriteError, match="numbers"):
        write(image(np.array([["a"]])), path, overwrite=True)
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]


def test_refusals(tmp_path):
    with pytest.raises(ValueError, match="compression: expected none"):
        write(image(numbers((4, 6))), tmp_path / "a.tif", compression="zip")
    with pytest.raises(WriteError, match="suffix"):
        write(image(numbers((4, 6))), tmp_path / "a.tif.gz")
    with pytest.raises(WriteError, match="shape"):
        write(image(numbers((2, 2, 4, 6))), tmp_path / "a.tif")
    with pytest.raises(ValueError, match="pixel_spacing"):
        read(tmp_path / "a.tif", pixel_spacing=-1)
    write(image(numbers((4, 6))), tmp_path / "a.tif")
    with pytest.raises(FileExistsError):
        write(image(numbers((4, 6))), tmp_path / "a.tif")
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none.tif")


def test_a_lazy_array_is_written_in_pieces(tmp_path, monkeypatch):
    data = numbers((7, 4, 6), "int16")
    asked = []

    class Lazy:
        shape, dtype, ndim = data.shape, data.dtype, 3

        def __getitem__(self, key):
            asked.append(key)
            return data[key]

    monkeypatch.setattr("cryotypes.image._pieces.PIECE", 2 * 4 * 6 * 2)
    write(image(Lazy(), stack=True), tmp_path / "a.tif")
    assert sorted(k[0].stop - k[0].start for k in asked) == [1, 2, 2, 2]
    np.testing.assert_array_equal(read(tmp_path / "a.tif").data, data)


def test_large_files_are_bigtiff(tmp_path, monkeypatch):
    monkeypatch.setattr(tiff_image, "_CLASSIC", 100)
    data = numbers((3, 4, 6))
    write(image(data), tmp_path / "a.tif")
    assert (tmp_path / "a.tif").read_bytes()[:4] == b"II+\0"
    assert tiff_image.sniff(Head.of(tmp_path / "a.tif"))
    np.testing.assert_array_equal(read(tmp_path / "a.tif").data, data)


# --- lazy pages ---


@pytest.mark.parametrize("flip_y", [True, False])
def test_pages_are_an_array(tmp_path, flip_y):
    data = numbers((6, 4, 5), "uint8")
    stored = data[:, ::-1] if flip_y else data
    tifffile.imwrite(tmp_path / "a.tif", stored, compression="lzw", **GREY, **CM)
    lazy = read(tmp_path / "a.tif", flip_y=flip_y).data
    assert (lazy.shape, lazy.dtype, lazy.ndim, len(lazy)) == (data.shape, data.dtype, 3, 6)
    keys = [2, -1, np.int64(3), slice(None), slice(1, 5, 2), slice(4, 4), slice(None, None, -1),
            (2, 1), (2, slice(1, 3)), (slice(2), 1, 3), (2, ..., 3), (..., 1), None, [1, 3],
            np.array([0, 5]), data[:, 0, 0] > 9, (slice(3), ..., 2), (), True]  # fmt: skip
    for key in keys:
        np.testing.assert_array_equal(lazy[key], data[key], err_msg=str(key))
    assert np.asarray(lazy, dtype=float).dtype == float
    np.testing.assert_array_equal(np.asarray(pickle.loads(pickle.dumps(lazy))), data)
    with pytest.raises(IndexError):
        lazy[6]
    with pytest.raises(ValueError, match="copy"):
        lazy.__array__(copy=False)  # what numpy 2 asks


def test_only_the_pages_asked_for_are_decoded(tmp_path, monkeypatch):
    tifffile.imwrite(tmp_path / "a.tif", numbers((6, 4, 5)), compression="lzw", **GREY, **CM)
    decoded = []
    decode = tifffile.TiffPage.asarray

    def counted(page, *args, **kwargs):
        decoded.append(page.index)
        return decode(page, *args, **kwargs)

    monkeypatch.setattr(tifffile.TiffPage, "asarray", counted)
    lazy = read(tmp_path / "a.tif").data
    assert decoded == []
    _ = lazy[1:3]
    assert decoded == [1, 2]


# --- files of others ---


def test_exactly_three_frames_that_became_a_colour_image(tmp_path):
    data = numbers((3, 4, 6))
    tifffile.imwrite(tmp_path / "a.tif", data[:, ::-1], photometric="rgb", planarconfig="separate")
    with pytest.raises(ReadError, match="stack=True"):
        read(tmp_path / "a.tif")
    back = quietly(read, tmp_path / "a.tif", stack=True)
    np.testing.assert_array_equal(back.data, data)


@pytest.mark.parametrize(
    ("unit", "per_unit", "expected"),
    [("nm", 4, 2.5), ("\\u00c5", 0.4, 2.5), ("angstrom", 0.4, 2.5), ("micron", 4000, 2.5),
     ("um", 4000, 2.5), ("\\u00B5m", 2, 5000), ("pixel", 1, 0), ("", 1, 0),
     ("cm", 4e7, 2.5), ("inch", 2.54e8 / 2.5, 2.5)],
)  # fmt: skip
def test_imagej(tmp_path, unit, per_unit, expected):
    path = tmp_path / "a.tif"
    metadata = {"axes": "ZYX", "unit": unit, "spacing": 1 / per_unit}
    data = numbers((3, 4, 6))
    options = {"imagej": True, "resolution": (per_unit, per_unit)}
    tifffile.imwrite(path, data, metadata=metadata, **options)
    back = (read if expected else quietly)(*(() if expected else (read,)), path, flip_y=False)
    assert back.pixel_spacing == pytest.approx(expected, rel=1e-6)
    assert not back.stack
    np.testing.assert_array_equal(back.data, data)
    tifffile.imwrite(path, data, metadata={"axes": "TYX", "unit": "nm"}, **options)
    assert quietly(read, path).stack


@pytest.mark.parametrize(
    ("size", "unit", "expected"),
    [(2.5, "Å", 2.5), (0.25, "nm", 2.5), (0.00025, "µm", 2.5), (0.00025, None, 2.5),
     (1, "pixel", 0)],
)  # fmt: skip
def test_ome(tmp_path, size, unit, expected):
    path = tmp_path / "a.tif"
    metadata = {"axes": "ZYX", "PhysicalSizeX": size, "PhysicalSizeY": size}
    if unit:
        metadata |= {"PhysicalSizeXUnit": unit, "PhysicalSizeYUnit": unit}
    tifffile.imwrite(
        path, numbers((3, 4, 6)), ome=True, photometric="minisblack", metadata=metadata
    )
    back = quietly(read, path)
    assert (back.pixel_spacing, back.stack) == (expected, False)


@pytest.mark.parametrize(
    ("resolution", "unit"),
    [(72, "INCH"), (96, "INCH"), (300, "INCH"), (1, "NONE"), (4e7, "NONE"), (1, "CENTIMETER"),
     (1, "INCH"), (28.35, "CENTIMETER")],
)  # fmt: skip
def test_unset_resolutions(tmp_path, resolution, unit):
    path = tmp_path / "a.tif"
    options = {"resolution": (resolution, resolution), "resolutionunit": unit}
    tifffile.imwrite(path, numbers((4, 6)), **GREY, **options)
    with pytest.warns(GuessWarning, match="pixel_spacing="):
        assert read(path).pixel_spacing == 0
    assert read(path, pixel_spacing=2.7).pixel_spacing == 2.7


def test_inches_and_unequal_pixels(tmp_path):
    options = {"resolution": (2.54e8 / 2.5, 2.54e8 / 5), "resolutionunit": "INCH"}
    tifffile.imwrite(tmp_path / "a.tif", numbers((4, 6)), **GREY, **options)
    with pytest.warns(GuessWarning, match="2.5 Å along x but 5 Å along y"):
        assert read(tmp_path / "a.tif").pixel_spacing == 2.5


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("bigtiff", [False, True])
def test_byte_orders(tmp_path, byteorder, bigtiff):
    path = tmp_path / "a.tif"
    data = numbers((3, 4, 6), "int16")
    tifffile.imwrite(path, data, byteorder=byteorder, bigtiff=bigtiff, **GREY, **CM)
    assert tiff_image.sniff(Head.of(path))
    np.testing.assert_array_equal(read(path, flip_y=False).data, data)


def test_tiles_and_strips(tmp_path):
    data = numbers((3, 40, 50), "uint16")
    for options in ({"tile": (16, 16)}, {"rowsperstrip": 7, "compression": "zlib"}):
        tifffile.imwrite(tmp_path / "a.tif", data, **options, **GREY, **CM)
        np.testing.assert_array_equal(read(tmp_path / "a.tif", flip_y=False).data, data)


def test_eer_is_refused_with_a_hint(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, numbers((4, 6), "uint8"), compression="lzw", **GREY)
    raw = path.read_bytes()
    entry = struct.pack("<HHIH", 259, 3, 1, 5)
    assert raw.count(entry) == 1
    for code in tiff_tags.EER:
        path.write_bytes(raw.replace(entry, struct.pack("<HHIH", 259, 3, 1, code)))
        assert tiff_image.sniff(Head.of(path))
        with pytest.raises(ReadError, match="EER"):
            read(path)


@pytest.mark.parametrize(
    ("data", "options", "words"),
    [((4, 6, 3), {"photometric": "rgb"}, "RGB"),
     ((2, 3, 4, 6), {"imagej": True, "metadata": {"axes": "TZYX"}}, "TZYX")],
)  # fmt: skip
def test_what_is_no_image_here(tmp_path, data, options, words):
    tifffile.imwrite(tmp_path / "a.tif", numbers(data, "uint8"), **options)
    with pytest.raises(ReadError, match=words):
        read(tmp_path / "a.tif")


def test_pages_of_two_sizes(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as tif:
        for shape in ((4, 6), (8, 6)):
            tif.write(numbers(shape), **GREY)
    with pytest.raises(ReadError, match="one size"):
        read(tmp_path / "a.tif")


def test_real_file_in_colour(shared_data):
    path = shared_data / "mrc" / "single.tif"
    assert tiff_image.sniff(Head.of(path))
    with pytest.raises(ReadError, match="RGB of 3 samples"):
        read(path)


# --- damage ---


@pytest.mark.parametrize("compression", ["none", "lzw"])
@pytest.mark.parametrize("separate", [False, True])
@pytest.mark.filterwarnings("ignore::cryotypes.errors.GuessWarning")
def test_damage(tmp_path, compression, separate, caplog):
    """Cut: an error or the whole; one byte changed: an error or an image."""
    caplog.set_level(100, "tifffile")
    path, data = tmp_path / "a.tif", numbers((3, 4, 5), "int16")
    write(image(data, stack=True), path, compression=compression)
    if separate:  # as RELION writes: the table of a page behind its data
        with tifffile.TiffWriter(path) as tif:
            for page in data[:, ::-1]:
                packing = None if compression == "none" else compression
                tif.write(page, compression=packing, contiguous=False, **GREY)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        try:
            found = np.asarray(read(path).data)
        except ReadError:
            continue
        np.testing.assert_array_equal(found, data)
    for place in range(0, len(whole), 3):
        for value in (0, 255, whole[place] ^ 1, whole[place] ^ 128):
            path.write_bytes(whole[:place] + bytes([value]) + whole[place + 1 :])
            try:
                np.asarray(read(path).data)
            except (ReadError, OSError):
                continue


def test_pages_in_a_circle(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, numbers((4, 6)), **GREY)
    raw = bytearray(path.read_bytes())
    count = struct.unpack_from("<H", raw, 8)[0]
    struct.pack_into("<I", raw, 10 + 12 * count, 8)
    path.write_bytes(raw)
    with pytest.raises(ReadError, match="again"):
        read(path)


@pytest.mark.parametrize("data", [b"", b"II*\0", b"II*\0" + bytes(60), b"\x1f\x8b" + bytes(60)])
def test_other_bytes(tmp_path, data):
    (tmp_path / "a.tif").write_bytes(data)
    assert not tiff_image.sniff(Head(tmp_path / "a.tif", data))
    with pytest.raises(ReadError):
        read(tmp_path / "a.tif")


@pytest.mark.parametrize("package", ["tifffile", "imagecodecs"])
def test_missing_packages(tmp_path, monkeypatch, package):
    write(image(numbers((2, 4, 6))), tmp_path / "a.tif", compression="lzw")
    real = builtins.__import__

    def absent(name, *args, **kwargs):
        if name == package:
            raise ImportError(f"No module named {name!r}", name=name)
        return real(name, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(builtins, "__import__", absent)
        patch.setattr("importlib.util.find_spec", lambda name: None)
        with pytest.raises(MissingPackageError, match=rf"{package}.*cryotypes\[tiff\]"):
            read(tmp_path / "a.tif")
        with pytest.raises(MissingPackageError, match=rf"{package}.*cryotypes\[tiff\]"):
            write(image(numbers((4, 6))), tmp_path / "b.tif", compression="lzw")
    assert [p.name for p in tmp_path.iterdir()] == ["a.tif"]


# --- RELION ---


def relion(program, *arguments, cwd):
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    subprocess.run([program, *arguments], check=True, capture_output=True, cwd=cwd, timeout=60)


@pytest.mark.interop
@pytest.mark.parametrize("compression", ["none", "lzw", "deflate"])
@pytest.mark.parametrize("dtype", ["int8", "int16", "uint16", "float32"])
def test_relion_writes(tmp_path, dtype, compression):
    from cryotypes.formats.images import mrc

    data = numbers((4, 8, 10), dtype)
    mrc.write(image(data, stack=True), tmp_path / "TS_01.mrcs")
    relion("relion_convert_to_tiff", "--i", "TS_01.mrcs", "--o", "out/", "--compression",
           compression, cwd=tmp_path)  # fmt: skip
    back = read(tmp_path / "out" / "TS_01.tif")
    assert (back.stack, back.pixel_spacing, back.data.dtype) == (True, 2.7, data.dtype)
    np.testing.assert_array_equal(back.data, data)


@pytest.mark.interop
@pytest.mark.parametrize("compression", ["none", "lzw", "deflate"])
@pytest.mark.parametrize("shape", [(8, 10), (2, 8, 10), (3, 8, 10), (4, 8, 10), (5, 8, 10)])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "float32"])
def test_relion_reads(tmp_path, dtype, shape, compression):
    from cryotypes.formats.images import mrc

    data = numbers(shape, dtype)
    write(image(data, stack=len(shape) == 3), tmp_path / "in.tif", compression=compression)
    relion("relion_image_handler", "--i", "in.tif", "--o", "out.mrcs", cwd=tmp_path)
    back = quietly(mrc.read, tmp_path / "out.mrcs")
    np.testing.assert_array_equal(back.data, data.astype(np.float32).reshape(-1, 8, 10))
    assert back.pixel_spacing == pytest.approx(2.7, rel=1e-6)


def test_a_missing_compression_is_none(tmp_path):
    """The tag is left out by ImageJ and others; its default is uncompressed (TIFF 6, page 30)."""
    path = tmp_path / "a.tif"
    values = np.arange(4 * 8 * 8, dtype=np.uint8).reshape(4, 8, 8)
    tifffile.imwrite(path, values, compression=None, photometric="minisblack", metadata=None)
    raw = path.read_bytes()
    # rename the Compression entry of each page (259, short, one) to a private tag
    raw = raw.replace(struct.pack("<HHIH", 259, 3, 1, 1), struct.pack("<HHIH", 260, 3, 1, 1))
    path.write_bytes(raw)
    with tifffile.TiffFile(path) as tif:
        assert all("Compression" not in page.tags for page in tif.pages)
    image = read(path, pixel_spacing=1.0)
    np.testing.assert_array_equal(np.asarray(image.data)[:, ::-1], values)
    assert image.metadata["compression"] == "none"


def test_a_stack_of_imagej_without_the_tag():
    """Four slices behind one page; the pixels are its last 1024 bytes, big-endian."""
    path = Path(__file__).parents[2] / "cases" / "imagej_stack.tif"
    raw = path.read_bytes()
    assert struct.pack(">HH", 259, 3) not in raw
    values = np.frombuffer(raw[-1024:], ">f4").reshape(4, 8, 8)
    found = read(path, pixel_spacing=1.0)
    np.testing.assert_array_equal(np.asarray(found.data)[:, ::-1], values)
    assert (found.data.shape, found.stack) == ((4, 8, 8), False)


@pytest.mark.parametrize(
    ("code", "name"), [(32809, "thunderscan"), (12345, "12345"), (50012, "50012")]
)
def test_a_compression_that_nobody_unpacks_is_no_damage(tmp_path, code, name):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, numbers((4, 6), "uint8"), compression="lzw", **GREY)
    with tifffile.TiffFile(path) as tif:
        place = tif.pages[0].tags["Compression"].valueoffset
    raw = bytearray(path.read_bytes())
    raw[place : place + 2] = struct.pack("<H", code)
    path.write_bytes(raw)
    with pytest.raises(ReadError, match=rf"TIFF compression {code} \({name}\), which tifffile"):
        read(path, pixel_spacing=1.0)


def test_pixels_before_the_file(tmp_path):
    """Offsets are numbers with a sign where a damaged tag says so."""
    path = tmp_path / "a.tif"
    data = np.arange(90, dtype=np.int16).reshape(3, 5, 6)
    with tifffile.TiffWriter(path, byteorder="<") as tif:
        for page in data:
            tif.write(page, metadata=None, contiguous=False, rowsperstrip=5)
    with tifffile.TiffFile(path) as tif:
        tags = [page.tags["StripOffsets"] for page in tif.pages]
        kinds = [(tag.offset, tag.valueoffset) for tag in tags]
    content = bytearray(path.read_bytes())
    for number, (place, value) in enumerate(kinds):
        changed = content.copy()
        changed[place + 2 : place + 4] = (9).to_bytes(2, "little")  # SLONG
        changed[value : value + 4] = (-48).to_bytes(4, "little", signed=True)
        path.write_bytes(changed)
        with pytest.raises(ReadError, match=rf"page {number + 1}: damaged, .* byte -48"):
            quietly(read, path)


def test_complaints_of_the_system_name_the_file(tmp_path):
    path = tmp_path / "a.tif"
    with pytest.raises(ReadError, match=r"a\.tif: damaged TIFF file"), tiff_file.damage(path):
        raise OSError(errno.EINVAL, "Invalid argument")
    with pytest.raises(OSError, match=r"a\.tif") as caught, tiff_file.damage(path):
        raise OSError(errno.EIO, "Input/output error")
    assert caught.value.filename == str(tmp_path / "a.tif")
