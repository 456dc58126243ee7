"""MRC files, checked against mrcfile, against headers built by hand, and against damage."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import os
import random
import struct
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

from cryotypes.errors import GuessWarning, ReadError, WriteError
from cryotypes.formats.images import mrc
from cryotypes.formats.shared import mrc_header
from cryotypes.formats.shared.declaration import Head
from cryotypes.image import Image, _pieces

DTYPES = ("int8", "int16", "uint16", "float16", "float32", "complex64")
STORED = {"i1": 0, "i2": 1, "f4": 2, "c8": 4, "u2": 6, "f2": 12}
COMPRESSION = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress}

read, write = mrc.FORMAT.read, mrc.FORMAT.write


@pytest.fixture
def mrcfile():
    """The independent reader and writer."""
    import mrcfile

    return mrcfile


# --- files made by hand: every field at its documented offset, independent of the package ---


def header_bytes(size, mode=2, order="<", **fields) -> bytearray:
    """1024 bytes of an MRC2014 volume at 2.5 Å, but for the fields given."""
    raw = bytearray(1024)

    def put(offset, code, *values):
        struct.pack_into(f"{order}{len(values)}{code}", raw, offset, *values)

    put(0, "i", *size, mode)
    put(28, "i", *fields.get("grid", size))
    put(40, "f", *fields.get("cell", [2.5 * n for n in fields.get("grid", size)]), 90, 90, 90)
    put(64, "i", *fields.get("axes", (1, 2, 3)))
    put(76, "f", *fields.get("stats", (0, 0, 0)))
    put(88, "i", fields.get("ispg", 1), fields.get("nsymbt", 0))
    put(152, "i", *fields.get("imod", (0, 0)))
    raw[208:212] = fields.get("magic", b"MAP ")
    raw[212:216] = fields.get("stamp", b"\x44\x44\0\0" if order == "<" else b"\x11\x11\0\0")
    return raw


def by_hand(path, data, order="<", extra=b"", **fields) -> Path:
    """Write an array (sections, rows, columns) as stored, little- or big-endian."""
    mode = fields.pop("mode", None)
    if mode is None:
        mode = STORED[data.dtype.str[1:]]
    raw = header_bytes(data.shape[::-1], mode, order, nsymbt=len(extra), **fields)
    path.write_bytes(bytes(raw) + extra + data.astype(data.dtype.newbyteorder(order)).tobytes())
    return path


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


def quietly(function, *args, **kwargs):
    """Call, whatever is guessed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GuessWarning)
        return function(*args, **kwargs)


def image(data, name="TS_01", pixel_spacing=2.7, stack=False):
    return Image(data, name, pixel_spacing, "somewhere", stack)


# --- round trip ---


@pytest.mark.parametrize("compression", COMPRESSION)
@pytest.mark.parametrize(
    ("shape", "stack", "suffix"),
    [((3, 4, 5), False, ".mrc"), ((3, 4, 5), True, ".mrcs"), ((3, 4, 5), True, ".mrc"),
     ((3, 4, 5), True, ".preali"), ((1, 4, 5), True, ".st"), ((3, 4, 5), False, ".rec"),
     ((4, 5), False, ".mrc"), ((4, 5), False, ".map"), ((1, 1), False, ".mrc")],
)  # fmt: skip
@pytest.mark.parametrize("dtype", DTYPES)
def test_round_trip(tmp_path, dtype, shape, stack, suffix, compression):
    path = tmp_path / f"TS_01{suffix}{compression}"
    data = numbers(shape, dtype)
    report = write(image(data, stack=stack), path, overwrite=False)
    assert (report.lost, report.converted, report.assumed) == ({}, {}, {})
    assert set(report.kept) == {"data", "stack", "pixel_spacing", "experiment_id"}
    back = read(path)
    assert back.data.dtype == data.dtype
    assert back.data.shape == shape
    np.testing.assert_array_equal(back.data, data)
    assert (back.stack, back.pixel_spacing, back.experiment_id) == (stack, 2.7, "TS_01")
    assert back.source == path
    assert back.metadata["labels"] == ["cryotypes"]
    assert isinstance(back.data, np.memmap) == (compression == "")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("spacing", [0.1, 1.35, 2.7, 3.54, 10.83, 13.48, 1.2345678, 27.648, 1e-3])
@pytest.mark.parametrize("size", [1, 3, 7, 463])
def test_spacing_survives_single_precision(tmp_path, spacing, size):
    path = tmp_path / "a.mrc"
    write(image(np.zeros((2, 2, size), "i1"), pixel_spacing=spacing), path)
    back = read(path).pixel_spacing
    assert back == pytest.approx(spacing, rel=3e-7)
    if spacing != 1.2345678:  # as short as what was written, for numbers as people write them
        assert back == spacing


def test_one_section(tmp_path):
    data = numbers((1, 4, 5))
    path = tmp_path / "TS_01.mrc"
    report = write(image(data), path)
    assert "data" in report.converted
    assert read(path).data.shape == (4, 5)
    assert read(path, stack=True).data.shape == (1, 4, 5)
    report = write(image(data, stack=True), path, overwrite=True)
    assert "stack" in report.lost
    as_stack = tmp_path / "TS_01.mrcs"
    write(image(data, stack=True), as_stack)
    assert read(as_stack).data.shape == (1, 4, 5)
    assert read(as_stack, stack=False).data.shape == (4, 5)


@pytest.mark.parametrize(
    ("suffix", "stack", "shape"),
    [(".rec", True, (3, 4, 5)), (".mrcs", False, (3, 4, 5)), (".st", False, (4, 5))],
)
def test_suffix_against_stack_is_reported(tmp_path, suffix, stack, shape):
    path = tmp_path / f"TS_01{suffix}"
    report = write(image(numbers(shape), stack=stack), path)
    assert list(report.lost) == ["stack"]
    assert read(path).stack is not stack


# --- agreement with mrcfile ---


@pytest.mark.parametrize("compression", COMPRESSION)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("stack", [False, True])
def test_mrcfile_reads_ours(tmp_path, mrcfile, dtype, stack, compression):
    data = numbers((3, 4, 5), dtype)
    path = tmp_path / f"TS_01.mrc{compression}"
    write(image(data, stack=stack), path)
    with mrcfile.open(path) as file:
        np.testing.assert_array_equal(file.data, data)
        assert file.is_image_stack() == stack
        assert file.is_volume() != stack
        assert [float(v) for v in file.voxel_size.item()] == pytest.approx([2.7] * 3)
        assert file.header.nlabl == 1
        assert file.header.origin.item() == (0, 0, 0)
        if dtype != "complex64":
            wide = data.astype(float)
            assert file.header.dmin == pytest.approx(wide.min(), rel=1e-6)
            assert file.header.dmax == pytest.approx(wide.max(), rel=1e-6)
            assert file.header.dmean == pytest.approx(wide.mean(), rel=1e-6)
            assert file.header.rms == pytest.approx(wide.std(), rel=1e-6)
        else:
            assert file.header.dmax < file.header.dmin
    if not compression:
        assert mrcfile.validate(path)


@pytest.mark.parametrize("compression", [None, "gzip", "bzip2"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["image", "stack", "volume"])
def test_reads_those_of_mrcfile(tmp_path, mrcfile, dtype, kind, compression):
    data = numbers((4, 5) if kind == "image" else (3, 4, 5), dtype)
    path = tmp_path / "TS_01.mrc"
    with mrcfile.new(path, compression=compression) as file:
        file.set_data(data)
        if kind == "stack":
            file.set_image_stack()
        file.voxel_size = 2.7
    back = read(path)
    np.testing.assert_array_equal(back.data, data)
    assert back.data.shape == data.shape
    assert back.stack == (kind == "stack")
    assert back.pixel_spacing == 2.7


def test_compression_is_known_by_content(tmp_path):
    data = numbers((3, 4, 5))
    plain = by_hand(tmp_path / "a.mrc.gz", data)
    assert isinstance(read(plain).data, np.memmap)
    packed = tmp_path / "b.mrc"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    np.testing.assert_array_equal(read(packed).data, data)


# --- what the header says and does not say ---

STACK_RULES = [
    # suffix, nz, ispg, mz → stack, doubtful
    (".mrc", 4, 1, 4, False, False),  # MRC2014 volume
    (".mrc", 4, 0, 1, True, False),  # MRC2014 stack, and IMOD newstack's copy of it
    (".mrc", 4, 0, 4, False, True),  # RELION, EMAN2 and IMOD tilt volumes, some stacks
    (".mrc", 4, 0, 2, False, True),
    (".mrc", 4, 1, 1, False, False),
    (".mrc", 4, 19, 4, False, False),  # a crystal
    (".mrc", 4, -1, 1, False, True),
    (".mrcs", 4, 1, 4, True, False),  # mrcfile.write, RELION
    (".mrcs", 4, 0, 4, True, False),  # RELION 5
    (".mrcs", 4, 0, 1, True, False),  # RELION 3.1
    (".st", 4, 0, 4, True, False),  # SerialEM
    (".ali", 4, 1, 4, True, False),
    (".preali", 4, 1, 4, True, False),
    (".rec", 4, 0, 4, False, False),  # IMOD tilt
    (".rec", 4, 0, 1, False, False),
    (".map", 4, 0, 1, False, False),
    (".MRCS", 4, 1, 4, True, False),
    (".mrc", 1, 0, 1, False, False),  # micrographs
    (".mrc", 1, 1, 1, False, False),
    (".st", 1, 0, 1, True, False),
]


@pytest.mark.parametrize(("suffix", "nz", "ispg", "mz", "stack", "doubtful"), STACK_RULES)
def test_stack_rules(tmp_path, suffix, nz, ispg, mz, stack, doubtful):
    data = numbers((nz, 3, 2))
    path = by_hand(tmp_path / f"a{suffix}", data, ispg=ispg, grid=(2, 3, mz))
    if doubtful:
        with pytest.warns(GuessWarning, match="stack="):
            found = read(path)
    else:
        found = read(path)
    assert found.stack is stack
    assert found.data.shape == ((nz, 3, 2) if nz > 1 or stack else (3, 2))
    for given in (True, False):
        assert read(path, stack=given).stack is given


@pytest.mark.parametrize("suffix", [".mrc", ".mrcs", ".map"])
def test_stack_of_volumes(tmp_path, suffix):
    data = numbers((6, 3, 2))
    path = by_hand(tmp_path / f"a{suffix}", data, ispg=401, grid=(2, 3, 2))
    with pytest.raises(ReadError, match="stack of volumes"):
        read(path)
    np.testing.assert_array_equal(read(path, stack=True).data, data)


@pytest.mark.parametrize(
    ("fields", "spacing", "warning"),
    [
        ({"cell": (5.4, 8.1, 10.8)}, 2.7, None),
        ({"cell": (0, 0, 0)}, 0, "pixel_spacing="),
        ({"grid": (0, 0, 0), "cell": (5, 5, 5)}, 0, "pixel_spacing="),
        ({"cell": (float("nan"),) * 3}, 0, "pixel_spacing="),
        ({"cell": (float("inf"),) * 3}, 0, "pixel_spacing="),
        ({"cell": (-5.4, -8.1, -10.8)}, 0, "pixel_spacing="),
        ({"cell": (2, 3, 4)}, 1, "suspicious"),
        ({"cell": (2, 6, 4)}, 1, "1 Å along x but 2 Å along y"),
        ({"cell": (4, 6, 4)}, 2, "2 Å along x but 1 Å along z"),
        ({"cell": (4, 6.003, 8)}, 2, None),
        ({"grid": (20, 30, 40), "cell": (54, 81, 108)}, 2.7, None),  # part of a larger map
        ({"grid": (2, 3, 1), "cell": (5.4, 8.1, 10.8)}, 2.7, None),  # mz = 1, cell of a volume
    ],
)
def test_spacing(tmp_path, fields, spacing, warning):
    path = by_hand(tmp_path / "a.mrc", numbers((4, 3, 2)), **fields)
    if warning is None:
        assert read(path).pixel_spacing == spacing
    else:
        with pytest.warns(GuessWarning, match=warning):
            assert read(path).pixel_spacing == spacing
    assert read(path, pixel_spacing=3.3).pixel_spacing == 3.3


@pytest.mark.parametrize("z", [0, 2.7, 10.8, 1])
def test_stack_has_no_spacing_along_z(tmp_path, z):
    path = by_hand(tmp_path / "a.st", numbers((4, 3, 2)), cell=(5.4, 8.1, z))
    assert read(path).pixel_spacing == 2.7


@pytest.mark.parametrize("spacing", [-1, float("nan"), float("inf")])
def test_impossible_spacing_given(tmp_path, spacing):
    path = by_hand(tmp_path / "a.mrc", numbers((4, 3, 2)))
    with pytest.raises(ValueError, match="pixel_spacing"):
        read(path, pixel_spacing=spacing)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("compression", COMPRESSION)
def test_big_endian(tmp_path, dtype, compression):
    data = numbers((4, 3, 300), dtype)
    path = by_hand(tmp_path / "a.mrc", data, order=">", extra=b"x" * 7)
    path.write_bytes(COMPRESSION[compression](path.read_bytes()))
    found = read(path)
    np.testing.assert_array_equal(found.data, data)
    assert found.pixel_spacing == 2.5
    assert compression == "" or found.data.dtype.isnative
    copy = tmp_path / "copy.mrc"
    write(found, copy)
    np.testing.assert_array_equal(read(copy).data, data)
    assert read(copy).data.dtype == np.dtype(dtype)


@pytest.mark.parametrize("stamp", [b"\0\0\0\0", b"\x11\x11\0\0", b"\x44\x41\0\0", b"junk"])
def test_wrong_machine_stamp(tmp_path, stamp):
    data = numbers((4, 3, 2))
    path = by_hand(tmp_path / "a.mrc", data, stamp=stamp)
    np.testing.assert_array_equal(read(path).data, data)


@pytest.mark.parametrize(
    ("imod", "stats", "unsigned"),
    [
        ((1146047817, 1), (0, 255, 9), False),
        ((1146047817, 0), (-5, 5, 0), True),
        ((1146047817, 4), (0, 9, 5), True),
        ((1146047817, 5), (0, 9, 5), False),
        ((0, 0), (0, 255, 99), True),  # EMAN2
        ((0, 0), (0, 127, 9), False),
        ((0, 0), (-128, 127, 0), False),
        ((0, 0), (0, -1, -2), False),
    ],
)
@pytest.mark.parametrize("order", "<>")
def test_bytes_with_and_without_sign(tmp_path, imod, stats, unsigned, order):
    data = np.array([[[0, 1], [127, -1]], [[-128, 5], [7, 9]]], "i1")
    path = by_hand(tmp_path / "a.mrc", data, order=order, imod=imod, stats=stats)
    found = read(path).data
    np.testing.assert_array_equal(found, data.view("u1") if unsigned else data)
    assert isinstance(found, np.memmap)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("width", [1, 4, 5])
def test_four_bits(tmp_path, order, width):
    rows = np.arange(2 * 3 * width).reshape(2, 3, width) * 7 % 16
    content = b""
    for row in rows.reshape(-1, width).tolist():
        row = [*row, 0] if width % 2 else row
        content += bytes(low + 16 * high for low, high in zip(row[::2], row[1::2], strict=True))
    path = tmp_path / "a.mrc"
    path.write_bytes(bytes(header_bytes((width, 3, 2), 101, order)) + content)
    found = read(path).data
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, rows)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ReadError, match="4-bit pixels"):
        read(path)


@pytest.mark.parametrize(
    "axes", [(1, 2, 3), (1, 3, 2), (2, 1, 3), (2, 3, 1), (3, 1, 2), (3, 2, 1), (0, 0, 0)]
)
def test_axes(tmp_path, axes):
    stored = numbers((2, 3, 4), "int16")
    path = by_hand(tmp_path / "a.mrc", stored, axes=axes, grid=(9, 9, 9), cell=(18, 18, 18))
    found = read(path).data
    assert isinstance(found, np.memmap)
    for section in range(2):
        for row in range(3):
            for column in range(4):
                at = {}  # axis (1 x, 2 y, 3 z) → index
                axis_of = axes if any(axes) else (1, 2, 3)
                for axis, index in zip(axis_of, (column, row, section), strict=True):
                    at[axis] = index
                assert found[at[3], at[2], at[1]] == stored[section, row, column]


def test_axes_of_a_stack(tmp_path):
    data = numbers((2, 3, 4))
    path = by_hand(tmp_path / "a.mrcs", data, axes=(2, 1, 3), cell=(10, 7.5, 5), grid=(4, 3, 2))
    np.testing.assert_array_equal(read(path).data, data.transpose(0, 2, 1))
    path = by_hand(tmp_path / "a.mrcs", data, axes=(3, 2, 1))
    with pytest.raises(ReadError, match="stack=False"):
        read(path)
    assert read(path, stack=False).data.shape == (4, 3, 2)


@pytest.mark.parametrize("size", [1, 80, 4096])
def test_extended_header_and_trailing_bytes(tmp_path, size):
    data = numbers((2, 3, 4))
    path = by_hand(tmp_path / "a.mrc", data, extra=b"\xff" * size)
    with path.open("ab") as file:
        file.write(b"more")
    found = read(path)
    np.testing.assert_array_equal(found.data, data)
    assert found.metadata["nsymbt"] == size


def test_metadata(tmp_path):
    raw = header_bytes((1, 1, 1), 2, stats=(-1, 2, 0.5), imod=(1146047817, 5))
    struct.pack_into("<3i", raw, 16, -4, -5, -6)
    struct.pack_into("<3f", raw, 196, 10, 20, 30)
    struct.pack_into("<f2i", raw, 216, 0.25, 20140, 2)
    struct.pack_into("<i", raw, 220, 2)
    struct.pack_into("<4si", raw, 104, b"FEI1", 20140)
    raw[224:230] = b"first "
    raw[304:314] = "second \xb5".encode("latin-1").ljust(10)
    path = tmp_path / "a.mrc"
    path.write_bytes(bytes(raw) + bytes(4))
    facts = read(path).metadata
    assert facts["labels"] == ["first", "second \N{REPLACEMENT CHARACTER}"]
    expected = {
        "mode": 2, "nxstart": -4, "nystart": -5, "nzstart": -6, "mx": 1, "my": 1, "mz": 1,
        "origin": (10, 20, 30), "cella": (2.5, 2.5, 2.5), "cellb": (90, 90, 90), "dmin": -1,
        "dmax": 2, "dmean": 0.5, "rms": 0.25, "ispg": 1, "exttyp": "FEI1", "nversion": 20140,
        "nsymbt": 0, "imod_flags": 5, "mapc": 1, "mapr": 2, "maps": 3,
    }  # fmt: skip
    assert {name: facts[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [("TS_01.mrc", None, "TS_01"), ("TS_01_10.00Apx.mrc", None, "TS_01_10.00Apx"),
     ("a.b.rec.bz2", None, "a.b"), ("TS_01.mrc", "other", "other"), ("TS_01.mrc", "", "")],
)  # fmt: skip
def test_experiment_id(tmp_path, name, given, expected):
    path = by_hand(tmp_path / name, numbers((2, 3, 4)))
    assert read(path, experiment_id=given).experiment_id == expected


# --- files that are none ---


def test_cut_anywhere(tmp_path):
    whole = by_hand(tmp_path / "a.mrc", numbers((2, 3, 4)), extra=b"x" * 10).read_bytes()
    path = tmp_path / "cut.mrc"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ReadError):
            read(path)
    path.write_bytes(whole)
    read(path)


@pytest.mark.parametrize("compression", [".gz", ".bz2"])
def test_compressed_cut_anywhere(tmp_path, compression):
    whole = COMPRESSION[compression](by_hand(tmp_path / "a", numbers((2, 3, 4))).read_bytes())
    path = tmp_path / f"a.mrc{compression}"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ReadError):
            read(path)


@pytest.mark.parametrize("compression", [".gz", ".bz2"])
def test_compressed_damaged(tmp_path, compression):
    data = numbers((8, 8, 8))
    whole = COMPRESSION[compression](by_hand(tmp_path / "a", data).read_bytes())
    path = tmp_path / f"a.mrc{compression}"
    for at in range(3, len(whole), 7):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x5A]) + whole[at + 1 :])
        # the gzip header has bytes that do not matter: its time, name, system
        with contextlib.suppress(ReadError):
            np.testing.assert_array_equal(read(path).data, data)
    path.write_bytes(COMPRESSION[compression](header_bytes((30000, 30000, 30000)) + bytes(9)))
    with pytest.raises(ReadError, match="the file is cut"):
        read(path)


def test_any_byte_of_the_header_damaged(tmp_path):
    whole = by_hand(tmp_path / "a.mrc", numbers((2, 3, 4))).read_bytes()
    path = tmp_path / "damaged.mrc"
    rng = random.Random(0)
    for at in range(240):  # beyond are labels
        for value in {0, 255, whole[at] ^ 1, whole[at] ^ 0x80, rng.randrange(256)}:
            path.write_bytes(whole[:at] + bytes([value]) + whole[at + 1 :])
            try:
                found = quietly(read, path)
            except ReadError:
                continue
            assert np.asarray(found.data).nbytes <= len(whole)
            assert 0 <= found.pixel_spacing < np.inf


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "empty"),
        (b"MAP ", "expected an MRC header of 1024 bytes, found 4"),
        (header_bytes((64, 64, 32)) + bytes(100_000),
         "64 × 64 × 32 of float32 = 524 288 bytes of data after 1024 bytes of header, "
         "found 100 000: the file is cut"),
        (header_bytes((-4, 3, 2)) + bytes(96), "-4 × 3 × 2"),
        (header_bytes((4, 0, 2)) + bytes(96), "4 × 0 × 2"),
        (header_bytes((2**31 - 1,) * 3) + bytes(96), "the file is cut"),
        (header_bytes((4, 3, 2), 3) + bytes(96), r"3 \(complex int16\)"),
        (header_bytes((4, 3, 2), 16) + bytes(96), r"16 \(RGB\)"),
        (header_bytes((4, 3, 2), 77) + bytes(96), "found 77"),
        (header_bytes((4, 3, 2), nsymbt=-1) + bytes(96), "nsymbt"),
        (header_bytes((4, 3, 2), nsymbt=2**31 - 1) + bytes(96), "found 1 120 bytes in all"),
        (header_bytes((4, 3, 2), axes=(1, 1, 3)) + bytes(96), "mapc"),
        (header_bytes((4, 3, 2), axes=(1, 2, 4)) + bytes(96), "mapc"),
        (b"some text\n" * 200, "not an MRC file"),
        (b"\x89HDF\r\n\x1a\n" + bytes(2000), "not an MRC file"),
        (header_bytes((4, 3, 2), magic=b"junk") + bytes(97), "not an MRC file"),
    ],
)  # fmt: skip
def test_refused(tmp_path, raw, words):
    path = tmp_path / "a.mrc"
    path.write_bytes(raw)
    with pytest.raises(ReadError, match=words) as caught:
        read(path)
    assert caught.value.path == path
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("magic", [b"\0\0\0\0", b"MAP\0", b"junk"])
@pytest.mark.parametrize("stamp", [b"\x44\x44\0\0", b"\0\0\0\0"])
def test_old_files(tmp_path, magic, stamp):
    data = numbers((2, 3, 4))
    path = by_hand(tmp_path / "a.mrc", data, magic=magic, stamp=stamp)
    assert mrc.sniff(Head.of(path))
    np.testing.assert_array_equal(read(path).data, data)
    elsewhere = path.rename(tmp_path / "a.bin")
    assert mrc.sniff(Head.of(elsewhere)) == (magic[:3] == b"MAP" or stamp[0] != 0)


def test_directory_and_missing_file(tmp_path):
    with pytest.raises(IsADirectoryError):
        read(tmp_path)
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "a.mrc")


@pytest.mark.skipif(getattr(os, "geteuid", lambda: 0)() == 0, reason="root may read everything")
def test_no_permission(tmp_path):
    path = by_hand(tmp_path / "a.mrc", numbers((2, 3, 4)))
    path.chmod(0)
    with pytest.raises(PermissionError):
        read(path)
    path.chmod(0o600)
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(PermissionError):
            write(image(numbers((2, 3, 4))), tmp_path / "b.mrc")
    finally:
        tmp_path.chmod(0o700)


# --- sniffing ---


@pytest.mark.parametrize("compression", COMPRESSION)
@pytest.mark.parametrize("order", "<>")
def test_sniff(tmp_path, order, compression):
    path = by_hand(tmp_path / f"a{compression}", numbers((2, 3, 4)), order=order)
    path.write_bytes(COMPRESSION[compression](path.read_bytes()))
    assert mrc.sniff(Head.of(path))


EM = struct.pack("<4B3i", 6, 0, 0, 5, 64, 64, 2) + bytes(496) + bytes(64 * 64 * 2 * 4)
SPIDER = struct.pack("<30f", 1, 6, 0, 0, 1, 0, 0, 0, 0, 0, 0, 6, 43, *[0] * 17) + bytes(1200)
OTHERS = {
    "text": b"data_\n\nloop_\n_rlnImageName #1\n" * 100,
    "text with MAP": b"x" * 208 + b"MAP " + b"y" * 2000,
    "tiff": b"II*\0\x08\0\0\0" + bytes(2000),
    "tiff big": b"MM\0*\0\0\0\x08" + bytes(2000),
    "bigtiff": b"II+\0\x08\0\0\0" + bytes(2000),
    "hdf5": b"\x89HDF\r\n\x1a\n" + bytes(2000),
    "zip": b"PK\x03\x04\x14\0\0\0\x08\0" + bytes(2000),
    "em": EM,
    "em big": struct.pack(">4B3i", 3, 0, 0, 5, 64, 64, 2) + bytes(2000),
    "em 1": struct.pack("<4B3i", 6, 0, 0, 5, 1, 1, 1) + bytes(2000),
    "spider": SPIDER,
    "numpy": b"\x93NUMPY\x01\0v\0{'descr': '<f4'" + b" " * 2000,
    "zeros": bytes(4096),
    "empty": b"",
    "short": b"MAP ",
}


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("suffix", [".mrc", ".map", ".em", ""])
def test_sniff_others(name, suffix):
    assert not mrc.sniff(Head(Path(f"a{suffix}"), OTHERS[name]))


def test_sniff_noise():
    rng = random.Random(0)
    for _ in range(300):
        assert not mrc.sniff(Head(Path("a.mrc"), rng.randbytes(2000)))


# --- conversions on writing ---


@pytest.mark.parametrize(
    ("dtype", "stored"),
    [("uint8", "uint16"), ("bool", "int8"), ("int32", "float32"), ("uint32", "float32"),
     ("int64", "float32"), ("uint64", "float32"), ("float64", "float32"),
     ("complex128", "complex64"), (">i4", "float32"), (">i2", "int16")],
)  # fmt: skip
def test_conversion_without_loss(tmp_path, dtype, stored):
    data = np.array([[0, 1], [1, 0]] if dtype == "bool" else [[0, 255], [7, 128]], dtype)
    path = tmp_path / "TS_01.mrc"
    report = write(image(data), path)
    assert not report.lost
    assert ("all values are the same" in report.converted.get("dtype", "")) == (dtype != ">i2")
    back = read(path)
    assert back.data.dtype == stored
    np.testing.assert_array_equal(back.data, data)


def test_large_integers_are_not_narrowed(tmp_path):
    path = tmp_path / "TS_01.mrc"
    report = write(image(np.array([[70000, -1]], "int32")), path)
    assert not report.lost
    assert read(path).data.tolist() == [[70000, -1]]


@pytest.mark.parametrize(
    ("data", "changed", "largest"),
    [
        (np.array([[2**24 + 1, 5]], "int32"), "1 of 2", "by up to 1"),
        (np.array([[2**31 - 1, -(2**31)]], "int32"), "1 of 2", "by up to 1"),
        (np.array([[2**32 - 1, 0]], "uint32"), "1 of 2", "by up to 1"),
        (np.array([[2**53 + 1, -(2**63), 2**40]], "int64"), "1 of 3", ""),
        (np.array([[2**63 - 1, 0, 2**62]], "int64"), "1 of 3", ""),
        (np.array([[2**64 - 1, 2**63]], "uint64"), "1 of 2", ""),
        (np.array([[0.1, 0.5, np.nan, np.inf]]), "1 of 4", "by up to 1.49e-09"),
        (np.array([[0.1 + 0.5j, 1]]), "1 of 2", "by up to 1.49e-09"),
        (np.array([[1e-300, 1.0]]), "1 of 2", "by up to 1e-300"),
    ],
)
def test_conversion_with_loss(tmp_path, data, changed, largest):
    path = tmp_path / "TS_01.mrc"
    report = write(image(data), path)
    assert changed in report.lost["dtype"]
    assert largest in report.lost["dtype"]
    stored = np.complex64 if data.dtype.kind == "c" else np.float32
    np.testing.assert_array_equal(read(path).data, data.astype(stored))


@pytest.mark.parametrize(
    ("data", "dtype", "words"),
    [
        (np.array([[70000, -5]]), "int16", r"from -5 to 70000 .* int16 \(-32768 to 32767\)"),
        (np.array([[-1, 5]], "i2"), "uint16", r"from -1 to 5 .* uint16 \(0 to 65535\)"),
        (np.array([[127.6, 5]]), "int8", r"int8 \(-128 to 127\)"),
        (np.array([[np.nan, 5]]), "int16", "nan"),
        (np.array([[np.inf, 5]]), "int16", "inf"),
        (np.array([[70000, 5]]), "float16", r"70000 do not fit float16 \(±65504\)"),
        (np.array([[1e39, 5]]), None, "1e\\+39 do not fit float32"),
        (np.array([[1j, 5]]), "float32", "complex64"),
        (np.array([[1, 5]]), "uint8", "int8, int16"),
        (np.array([[1, 5]]), "float64", "int8, int16"),
        (np.array([["a"]]), None, "numbers"),
        (np.array([[None]]), None, "numbers"),
    ],
)
def test_impossible_conversion(tmp_path, data, dtype, words):
    path = tmp_path / "TS_01.mrc"
    path.write_bytes(b"old")
    with pytest.raises(WriteError, match=words):
        write(image(data), path, overwrite=True, dtype=dtype)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("source", ["u1", "i2", "i4", "u8", "f2", "f4", "f8", "?"])
def test_dtype_asked_for(tmp_path, dtype, source):
    data = np.array([[0, 1], [1, 0]], source) if source == "?" else np.array([[0, 99]], source)
    path = tmp_path / "TS_01.mrc"
    report = write(image(data), path, dtype=dtype)
    assert not report.lost
    back = read(path).data
    assert back.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(back, data)


def test_rounding_that_was_asked_for(tmp_path):
    path = tmp_path / "TS_01.mrc"
    report = write(image(np.array([[1.75, -0.4, 3]])), path, dtype=np.int16)
    assert not report.lost
    assert "2 of 3 values change, by up to 0.4" in report.converted["dtype"]
    assert read(path).data.tolist() == [[2, 0, 3]]


def test_what_a_file_cannot_hold(tmp_path):
    path = tmp_path / "map.mrc"
    report = write(image(numbers((2, 3, 4)), name="TS_01", pixel_spacing=0), path)
    assert list(report.lost) == ["experiment_id"]
    assert "pixel_spacing" in report.assumed
    assert "pixel_spacing" not in report.kept
    with pytest.warns(GuessWarning, match="pixel_spacing="):
        assert read(path).pixel_spacing == 0
    assert "experiment_id" in write(image(numbers((3, 4)), ""), path, overwrite=True).assumed


@pytest.mark.parametrize(
    ("shape", "stack"),
    [((3,), False), ((3, 4), True), ((2, 2, 2, 2), False), ((2, 2, 2, 2), True), ((0, 3, 3), True),
     ((), False), ((3, 0), False)],
)  # fmt: skip
def test_impossible_shape(tmp_path, shape, stack):
    with pytest.raises(WriteError, match="found shape"):
        write(image(np.zeros(shape, "f4"), stack=stack), tmp_path / "a.mrc")
    assert not list(tmp_path.iterdir())


def test_impossible_spacing(tmp_path):
    with pytest.raises(WriteError, match="header"):
        write(image(numbers((3, 4)), pixel_spacing=1e39), tmp_path / "a.mrc")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_statistics_that_are_not_determined(tmp_path, value):
    data = numbers((2, 3, 4))
    data[1, 0, 0] = value
    path = tmp_path / "a.mrc"
    write(image(data), path)
    np.testing.assert_array_equal(read(path).data, data)
    facts = read(path).metadata
    assert facts["dmax"] < facts["dmin"]
    assert facts["rms"] < 0


def test_statistics_of_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(_pieces, "PIECE", 1000)
    data = numbers((50, 11, 7)) * 3 + 1000
    path = tmp_path / "a.mrc"
    write(image(data), path)
    np.testing.assert_array_equal(read(path).data, data)
    facts = read(path).metadata
    wide = data.astype(float)
    assert facts["dmean"] == pytest.approx(wide.mean(), rel=1e-7)
    assert facts["rms"] == pytest.approx(wide.std(), rel=1e-6)
    assert (facts["dmin"], facts["dmax"]) == (data.min(), data.max())


# --- where the data come from, and where they go ---


class Lazy:
    """Data that exist only as the slices that are asked for."""

    def __init__(self, shape, dtype="float32", fail_at=None):
        self.shape, self.dtype, self.ndim = shape, np.dtype(dtype), len(shape)
        self.fail_at = fail_at
        self.asked = []

    def __getitem__(self, key):
        lengths = [len(range(*k.indices(n))) for k, n in zip(key, self.shape, strict=True)]
        self.asked.append(lengths[0])
        if self.fail_at is not None and sum(self.asked) > self.fail_at:
            raise RuntimeError("the disk is gone")
        return np.ones(lengths, self.dtype)

    def __array__(self, dtype=None, copy=None):
        raise AssertionError("all of it was asked for")


@pytest.mark.parametrize("compression", COMPRESSION)
def test_lazy_data(tmp_path, monkeypatch, compression):
    monkeypatch.setattr(_pieces, "PIECE", 4 * 30 * 2)
    data = Lazy((7, 5, 6))
    path = tmp_path / f"TS_01.mrc{compression}"
    write(image(data), path)
    assert max(data.asked) == 2
    np.testing.assert_array_equal(read(path).data, np.ones((7, 5, 6)))


def test_array_without_slices(tmp_path):
    class Whole:
        shape, dtype, ndim = (2, 3), np.dtype("f4"), 2

        def __array__(self, dtype=None, copy=None):
            return np.ones((2, 3), "f4")

    path = tmp_path / "a.mrc"
    write(image(Whole()), path)
    assert read(path).data.sum() == 6
    write(image([[1, 2], [3, 4]]), path, overwrite=True)
    assert read(path).data.tolist() == [[1, 2], [3, 4]]


def test_views(tmp_path):
    data = numbers((4, 5, 6))
    for view in (data.T, data[::-1], data[:, ::2, 1:], np.asfortranarray(data)):
        write(image(view), tmp_path / "a.mrc", overwrite=True)
        np.testing.assert_array_equal(read(tmp_path / "a.mrc").data, view)


def test_onto_itself(tmp_path):
    path = tmp_path / "TS_01.mrc"
    data = numbers((4, 5, 6))
    write(image(data), path)
    opened = read(path)
    opened.data = opened.data[::-1]
    write(opened, path, overwrite=True)
    np.testing.assert_array_equal(read(path).data, data[::-1])


@pytest.mark.parametrize("compression", COMPRESSION)
def test_overwriting_is_refused(tmp_path, compression):
    path = tmp_path / f"TS_01.mrc{compression}"
    path.write_bytes(b"old")
    with pytest.raises(FileExistsError):
        write(image(numbers((4, 5))), path, overwrite=False)
    assert path.read_bytes() == b"old"
    write(image(numbers((4, 5))), path, overwrite=True)
    assert read(path).data.shape == (4, 5)


@pytest.mark.parametrize("compression", COMPRESSION)
@pytest.mark.parametrize("fail_at", [0, 3, 9])
def test_interrupted(tmp_path, monkeypatch, compression, fail_at):
    monkeypatch.setattr(_pieces, "PIECE", 4 * 30 * 2)
    path = tmp_path / f"TS_01.mrc{compression}"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError, match="disk"):
        write(image(Lazy((7, 5, 6), fail_at=min(fail_at, 5))), path, overwrite=True)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_interrupted_at_the_end(tmp_path, monkeypatch):
    def fail(*args):
        raise KeyboardInterrupt

    path = tmp_path / "TS_01.mrc"
    path.write_bytes(b"old")
    monkeypatch.setattr(mrc_header, "with_statistics", fail)
    with pytest.raises(KeyboardInterrupt):
        write(image(numbers((4, 5))), path, overwrite=True)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["µ-Å 核糖体", "with space", "per%cent", "-dash", "a'b\"c"])
def test_odd_paths(tmp_path, name):
    folder = tmp_path / name
    folder.mkdir()
    path = folder / f"{name}.mrc"
    report = write(image(numbers((4, 5)), name), path)
    assert "experiment_id" in report.kept
    assert read(path).experiment_id == name
    assert read(str(path)).source == path


def test_larger_than_it_looks(tmp_path):
    size = (1280, 1024, 1000)  # 5.2 GB of float32
    path = tmp_path / "large.mrc"
    path.write_bytes(header_bytes(size))
    os.truncate(path, 1024 + 4 * 1280 * 1024 * 1000)
    if path.stat().st_blocks * 512 > 1 << 20:
        pytest.skip("the file system has no sparse files")
    before, start = resident(), time.perf_counter()
    found = read(path)
    assert time.perf_counter() - start < 0.5
    assert isinstance(found.data, np.memmap)
    assert found.data.shape == (1000, 1024, 1280)
    assert not found.data[999].any()
    assert not found.data.flags.writeable
    assert resident() - before < 64 << 20
    assert Head.of(path).data[:4] == struct.pack("<i", 1280)


def resident() -> int:
    """Bytes of memory in use, or 0 where the system does not say."""
    status = Path("/proc/self/statm")
    pages = int(status.read_text().split()[1]) if status.exists() else 0
    return pages * os.sysconf("SC_PAGE_SIZE") if pages else 0


# --- real files ---


@pytest.fixture
def real() -> Path:
    folder = Path(__file__).parents[3].parent / "shared" / "data" / "mrc"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not here")
    return folder


@pytest.mark.parametrize(
    ("name", "shape", "spacing"),
    [("EMD-3197.map", (20, 20, 20), 11.4), ("EMD-3197.map.bz2", (20, 20, 20), 11.4),
     ("emd_3197.map.gz", (20, 20, 20), 11.4), ("single.mrc", (100, 100), 1.05)],
)  # fmt: skip
def test_real_files(real, mrcfile, name, shape, spacing):
    assert mrc.sniff(Head.of(real / name))
    found = read(real / name)
    assert (found.data.shape, found.pixel_spacing, found.stack) == (shape, spacing, False)
    assert found.data.dtype == np.float32
    with mrcfile.open(real / name) as file:
        np.testing.assert_array_equal(found.data, file.data)
    assert found.metadata["dmax"] == pytest.approx(found.data.max(), rel=1e-5)


# --- reconstructions that IMOD left as they were made ---


def unrotated(path, specimen, angle=90.0, **fields):
    """Write a volume as IMOD's tilt does: x, thickness against z, y."""
    z, y, x = specimen.shape
    as_stored = np.empty((y, z, x), specimen.dtype)
    for row in range(z):  # row 0 is the top of the specimen
        as_stored[:, row] = specimen[z - 1 - row]
    by_hand(path, as_stored, imod=(1146047817, 0), ispg=0, **fields)
    raw = bytearray(path.read_bytes())
    struct.pack_into("<6f", raw, 172, 90, 0, 0, angle, 0, 0)
    path.write_bytes(raw)
    return as_stored


def test_unrotated_reconstructions_are_offered(tmp_path):
    specimen = numbers((5, 12, 9))
    path = tmp_path / "TS_01_full.rec"
    as_stored = unrotated(path, specimen)
    with pytest.warns(GuessWarning, match=r"9 × 5 × 12.*thickness.*reorient='rx'"):
        found = read(path)
    np.testing.assert_array_equal(found.data, as_stored)
    np.testing.assert_array_equal(read(path, reorient="no").data, as_stored)
    turned = read(path, reorient="rx")
    np.testing.assert_array_equal(turned.data, specimen)
    assert isinstance(turned.data, np.memmap)
    assert found.metadata["imod_angles"] == (90, 0, 0, 90, 0, 0)


@pytest.mark.parametrize("order", "<>")
def test_turning_is_lazy_and_a_rotation(tmp_path, order):
    specimen = numbers((5, 12, 9))
    by_hand(tmp_path / "a.rec", specimen[::-1].transpose(1, 0, 2), order)
    turned = read(tmp_path / "a.rec", reorient="rx").data
    np.testing.assert_array_equal(turned[1:3, 4, ::-1], specimen[1:3, 4, ::-1])
    np.testing.assert_array_equal(turned, specimen)
    # about x: a handed corner stays handed
    frame = np.zeros((3, 4, 5), np.float32)
    frame[0, 0, 0], frame[0, 0, 1], frame[0, 1, 0], frame[1, 0, 0] = 1, 2, 3, 4
    by_hand(tmp_path / "b.rec", frame)
    found = np.asarray(read(tmp_path / "b.rec", reorient="rx").data)
    o, x, y, z = (np.argwhere(found == n)[0][::-1] for n in (1, 2, 3, 4))
    assert np.linalg.det(np.array([x - o, y - o, z - o])) == 1


def test_what_is_not_unrotated(tmp_path):
    specimen = numbers((12, 5, 9))  # thick along z: it was rotated
    unrotated(tmp_path / "a.rec", specimen)
    unrotated(tmp_path / "b.rec", numbers((5, 12, 9)), angle=0.0)
    for name in "ab":
        read(tmp_path / f"{name}.rec")
    by_hand(tmp_path / "c.mrcs", numbers((12, 5, 9)))
    with pytest.raises(ReadError, match="volumes"):
        read(tmp_path / "c.mrcs", reorient="rx")
    with pytest.raises(ValueError, match="'rx' or 'no'"):
        read(tmp_path / "a.rec", reorient="ry")


# --- four bits a pixel, and other byte orders, as they are sliced ---


@pytest.mark.parametrize("columns", [7, 8])
def test_packed_pixels_are_unpacked_where_they_are_sliced(tmp_path, columns):
    expected = np.random.default_rng(5).integers(0, 16, (4, 6, columns), np.uint8)
    padded = np.pad(expected, ((0, 0), (0, 0), (0, columns % 2)))
    packed = padded[..., 0::2] | padded[..., 1::2] << 4
    raw = header_bytes((columns, 6, 4), 101)
    (tmp_path / "a.mrc").write_bytes(bytes(raw) + packed.tobytes())
    found = read(tmp_path / "a.mrc").data
    assert not isinstance(found, np.ndarray)
    for key in (..., 2, (slice(1, 3), 4), (..., 3), (..., slice(1, 6, 2)), (0, 0, slice(5, 1, -1))):
        np.testing.assert_array_equal(found[key], expected[key])


@pytest.mark.parametrize("how", ["flag", "label", "neither"])
def test_packed_bytes_of_imod_and_serialem(tmp_path, how):
    """Mode 0 with half as many bytes a row: the flag 16, or SerialEM's label on a tall frame."""
    expected = np.random.default_rng(5).integers(0, 16, (3, 24, 20), np.uint8)
    packed = expected[..., 0::2] | expected[..., 1::2] << 4
    raw = header_bytes((10, 24, 3), 0, imod=(1146047817, 16 if how == "flag" else 0), ispg=0)
    if how == "label":
        struct.pack_into("<i", raw, 220, 1)
        raw[224:304] = b"SerialEMCCD: Dose frac. image, 4 bits packed  r/f 0".ljust(80)
    (tmp_path / "a.mrcs").write_bytes(bytes(raw) + packed.tobytes())
    found = read(tmp_path / "a.mrcs")
    np.testing.assert_array_equal(found.data, packed if how == "neither" else expected)
    assert found.pixel_spacing == 2.5


def test_signed_bytes_of_eman2(tmp_path):
    data = numbers((3, 4, 5), "int8")
    path = by_hand(tmp_path / "a.mrc", data, mode=17, stats=(0, 255, 0))
    assert read(path).data.dtype == np.int8
    np.testing.assert_array_equal(read(path).data, data)


def test_other_byte_orders_are_native_where_they_are_sliced(tmp_path):
    data = numbers((4, 5, 6))
    found = read(by_hand(tmp_path / "a.mrc", data, ">")).data
    assert found.dtype.isnative
    assert found[1].dtype.isnative
    np.testing.assert_array_equal(found, data)


@pytest.mark.parametrize("suffix", [".gz", ".bz2"])
def test_no_more_is_unpacked_than_the_header_promises(tmp_path, monkeypatch, suffix):
    """Megabytes can stand for terabytes behind the last section, which nobody asks for."""
    data = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    path = by_hand(tmp_path / "a.mrc", data)
    packed, zeros = tmp_path / f"a.mrc{suffix}", COMPRESSION[suffix](bytes(1 << 24))
    packed.write_bytes(COMPRESSION[suffix](path.read_bytes()) + zeros * 30)
    unpacked, kind = [], {".gz": gzip.GzipFile, ".bz2": bz2.BZ2File}[suffix]
    original = kind.read

    def counted(self, size=-1):
        found = original(self, size)
        unpacked.append(len(found))
        return found

    monkeypatch.setattr(kind, "read", counted)
    np.testing.assert_array_equal(mrc.read(packed, pixel_spacing=1.0, stack=False).data, data)
    assert sum(unpacked) < 1 << 26
