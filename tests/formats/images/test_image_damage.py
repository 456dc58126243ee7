"""Small files that claim to be large, or become large: bounded memory and time, and an error.

The contract damages small files byte by byte; here the damage is made on purpose.
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import json
import struct
import time
import zlib
from pathlib import Path

import numpy as np
import pytest

import cryotypes
from cryotypes import Image
from cryotypes.errors import ReadError
from cryotypes.testing import _contract_files

pytestmark = pytest.mark.filterwarnings("ignore::cryotypes.errors.GuessWarning")

MIB = 1 << 20
BOMB = 256 * MIB  # what the small files become
MOST = 128 * MIB
PACK = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress}
COMPRESSIONS = [".gz", ".bz2"]


@contextlib.contextmanager
def bounded(seconds=20):
    """Neither takes more."""
    if _contract_files._PEAK.exists():
        _contract_files._PEAK.write_text("5")  # begin anew
    start, before = time.monotonic(), _contract_files._most_memory()
    yield
    assert _contract_files._most_memory() - before < MOST
    assert time.monotonic() - start < seconds


def mrc(nx, ny, nz, extended=0) -> bytes:
    header = bytearray(1024)
    struct.pack_into("<10i3f", header, 0, nx, ny, nz, 2, 0, 0, 0, nx, ny, nz, nx, ny, nz)
    struct.pack_into("<3i", header, 64, 1, 2, 3)
    struct.pack_into("<2i", header, 88, 1, extended)
    header[208:216] = b"MAP \x44\x44\0\0"
    return bytes(header)


def em(nx, ny, nz) -> bytes:
    return struct.pack("<4B3i", 6, 0, 0, 5, nx, ny, nz).ljust(512, b"\0")


def spider(nx, ny, nz) -> bytes:
    rows = -(-1024 // (4 * nx))
    words = np.zeros(256, "<f4")
    words[[0, 1, 4, 11, 12, 21, 22]] = nz, ny, 3, nx, rows, rows * 4 * nx, 4 * nx
    return words.tobytes().ljust(rows * 4 * nx, b"\0")


HEADERS = {"a.mrc": mrc, "a.em": em, "a.spi": spider}


@pytest.mark.parametrize("compression", PACK)
@pytest.mark.parametrize("name", HEADERS)
def test_a_header_that_claims_more_than_there_is(tmp_path, name, compression):
    """256 GiB of numbers, and a thousand bytes."""
    path = tmp_path / (name + compression)
    path.write_bytes(PACK[compression](HEADERS[name](4096, 4096, 4096) + bytes(1000)))
    with bounded(seconds=5), pytest.raises(ReadError, match=r"found [\d ]+\d: the file is cut"):
        cryotypes.read_image(path)


def packed_zeros(compression) -> bytes:
    """Many members, each its own compressed file: so are they written in parallel."""
    return PACK[compression](bytes(16 * MIB)) * (BOMB // (16 * MIB))


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("name", HEADERS)
def test_a_small_image_with_very_much_behind_it(tmp_path, name, compression):
    """Nothing of it is kept; for MRC, where more may follow, it is no error."""
    path = tmp_path / (name + compression)
    path.write_bytes(PACK[compression](HEADERS[name](2, 2, 2)) + packed_zeros(compression))
    assert path.stat().st_size < MIB
    with bounded():
        assert cryotypes.io.identify(path).kind == "image"
        if name == "a.mrc":
            assert cryotypes.read_image(path).data.shape == (2, 2, 2)
        else:
            with pytest.raises(ReadError, match="header says 2 × 2 × 2 of float32"):
                cryotypes.read_image(path)


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_an_extended_header_of_zeros(tmp_path, compression):
    """It is not needed, so it is not kept."""
    path = tmp_path / f"a.mrc{compression}"
    data = np.arange(8, dtype="<f4")
    content = PACK[compression](mrc(2, 2, 2, extended=BOMB)) + packed_zeros(compression)
    path.write_bytes(content + PACK[compression](data.tobytes()))
    with bounded():
        np.testing.assert_array_equal(cryotypes.read_image(path).data.ravel(), data)


# --- TIFF ---


def tiff(path: Path, width, height, compression, content: bytes) -> Path:
    """Make one page of bytes, of one strip."""
    tags = {256: width, 257: height, 258: 8, 259: compression, 262: 1, 273: 8, 277: 1}
    tags |= {278: height, 279: len(content), 339: 1}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    content += b"\0" * (len(content) % 2)
    table = struct.pack("<H", len(tags)) + entries + bytes(4)
    path.write_bytes(b"II*\0" + struct.pack("<I", 8 + len(content)) + content + table)
    return path


def deflated_zeros(size) -> bytes:
    packer = zlib.compressobj(9)
    return b"".join(packer.compress(bytes(MIB)) for _ in range(size // MIB)) + packer.flush()


DEFLATE, LZW = 8, 5


def test_pages_are_not_larger_than_they_say(tmp_path):
    """A page of 100 × 100 that goes on and on when it is unpacked."""
    imagecodecs = pytest.importorskip("imagecodecs")
    endless = {DEFLATE: deflated_zeros(BOMB), LZW: imagecodecs.lzw_encode(bytes(BOMB))}
    for compression, content in endless.items():
        path = tiff(tmp_path / f"{compression}.tif", 100, 100, compression, content)
        with bounded(seconds=5):
            found = cryotypes.read_image(path)
            assert found.data.shape == (100, 100)
            with contextlib.suppress(ReadError):  # of deflate's decoder
                assert not np.asarray(found.data).any()


@pytest.mark.parametrize(
    ("width", "height", "compression", "stored"),
    [
        (60000, 60000, 1, 100),
        (60000, 60000, DEFLATE, 100),
        (2**31 - 1, 2**31 - 1, DEFLATE, 100),
        (20000, 20000, DEFLATE, 5000),
        (20000, 20000, LZW, 5000),
    ],
)
def test_pages_that_claim_more_than_there_is(tmp_path, width, height, compression, stored):
    """If opening believes it, reading does not."""
    imagecodecs = pytest.importorskip("imagecodecs")
    packers = {1: bytes, DEFLATE: zlib.compress, LZW: imagecodecs.lzw_encode}
    content = packers[compression](bytes(100)).ljust(stored, b"\0")
    path = tiff(tmp_path / "a.tif", width, height, compression, content)
    with bounded(seconds=5), pytest.raises(ReadError):
        np.asarray(cryotypes.read_image(path).data)


# --- HDF5 ---


def hdf(path: Path, content, **storage) -> Path:
    """Make a dataset with one chunk, as EMAN2 does, or as anybody else."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        group = file
        if path.suffix == ".hdf":
            group = file.create_group("/MDF/images/0")
            file["/MDF/images"].attrs["imageid_max"] = np.array([0], np.int32)
        dataset = group.create_dataset("image", dtype="f4", compression="gzip", **storage)
        dataset.id.write_direct_chunk((0, 0, 0), content)
    return path


@pytest.mark.parametrize("suffix", [".h5", ".hdf"])
def test_an_absurd_shape(tmp_path, suffix):
    """A slice is as large as a slice; all of it is an error before anything is read."""
    chunk = np.ones((10, 10, 10), "f4")
    content = zlib.compress(chunk.tobytes())
    path = hdf(tmp_path / f"a{suffix}", content, shape=(10**6,) * 3, chunks=chunk.shape)
    with bounded(seconds=5):
        found = cryotypes.read_image(path)
        np.testing.assert_array_equal(found.data[:2, :3, 9:11], np.ones((2, 3, 2)) * [1, 0])
        with pytest.raises(ReadError, match="Unable to allocate"):
            np.asarray(found.data)


@pytest.mark.parametrize("suffix", [".h5", ".hdf"])
def test_a_chunk_that_holds_more_than_a_chunk(tmp_path, suffix):
    path = hdf(tmp_path / f"a{suffix}", deflated_zeros(BOMB), shape=(8, 8, 8), chunks=(8, 8, 8))
    with bounded(), pytest.raises(ReadError):
        np.asarray(cryotypes.read_image(path).data)


def test_a_contiguous_dataset_beyond_the_end_of_the_file(tmp_path):
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("image", data=np.zeros((4, 4, 4), "f4"))
    raw = path.read_bytes()
    place = raw.index(struct.pack("<6Q", *[4] * 6))  # its size, and its largest size
    path.write_bytes(raw[:place] + struct.pack("<6Q", *[10**6] * 6) + raw[place + 48 :])
    with bounded(seconds=5), pytest.raises(ReadError):
        np.asarray(cryotypes.read_image(path).data)


# --- OME-Zarr ---


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_an_absurd_shape_of_chunks_that_are_not_there(tmp_path, version):
    """They are zeros, as zarr has it, and cost nothing before they are asked for."""
    pytest.importorskip("zarr", minversion="3")
    path, data = tmp_path / "a.zarr", np.ones((8, 8, 8), "f4")
    cryotypes.write(Image(data, "a", 2.5), path, version=version, levels=1)
    metadata = path / "0" / {"0.4": ".zarray", "0.5": "zarr.json"}[version]
    changed = json.loads(metadata.read_text()) | {"shape": [10**6] * 3}
    metadata.write_text(json.dumps(changed))
    with bounded(seconds=5):
        found = cryotypes.read_image(path)
        assert found.data.shape == (10**6,) * 3
        np.testing.assert_array_equal(found.data[:2, 3, 7:9], [[1, 0], [1, 0]])
