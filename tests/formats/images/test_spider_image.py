"""SPIDER images, from headers built by hand, RELION and Pillow where they are, and damage."""

from __future__ import annotations

import bz2
import gzip
import math
import os
import shutil
import subprocess
import warnings
from functools import partial

import numpy as np
import pytest

import cryotypes as ct
from cryotypes.errors import GuessWarning, ReadError, UnknownFormatError
from cryotypes.formats.images import mrc, spider_image
from cryotypes.formats.shared.declaration import Head
from cryotypes.image import Image
from cryotypes.testing import check_format

COMPRESSION = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress}
KINDS = {"image": (1, 7, 6), "volume": (5, 7, 6), "stack": (5, 7, 6), "wide": (1, 2, 300)}

read = partial(spider_image.FORMAT.read, pixel_spacing=2.7)


def numbers(shape):
    return np.random.default_rng(0).normal(size=shape).astype("f4")


def header(shape, order="<", **words) -> bytes:
    """Words by their number, as w12=…, independent of the package."""
    nz, ny, nx = shape
    rows = math.ceil(1024 / (4 * nx))
    values = np.zeros(rows * nx, f"{order}f4")
    known = {"w1": nz, "w2": ny, "w5": 1 if nz == 1 else 3, "w12": nx, "w13": rows,
             "w22": rows * nx * 4, "w23": nx * 4}  # fmt: skip
    for name, value in {**known, **words}.items():
        values[int(name[1:]) - 1] = value
    return values.tobytes()


def by_hand(data, kind="volume", order="<", **words) -> bytes:
    pixels = data.astype(f"{order}f4")
    if kind != "stack":
        return header(data.shape, order, **words) + pixels.tobytes()
    one = (1, *data.shape[1:])
    each = [header(one, order, w27=n + 1) + pixels[n].tobytes() for n in range(len(data))]
    first = header(one, order, **{"w24": 2, "w26": len(data), **words})
    return b"".join([first, *each])


@pytest.mark.parametrize("compression", COMPRESSION)
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("kind", KINDS)
def test_by_hand(tmp_path, kind, order, compression):
    data = numbers(KINDS[kind])
    path = tmp_path / f"TS_01.spi{compression}"
    path.write_bytes(COMPRESSION[compression](by_hand(data, kind, order)))
    assert spider_image.sniff(Head.of(path))
    back = ct.read_image(path, pixel_spacing=2.7)
    expected = data[0] if kind in ("image", "wide") else data
    assert back.data.shape == expected.shape
    np.testing.assert_array_equal(back.data, expected)
    assert (back.stack, back.experiment_id) == (kind == "stack", "TS_01")
    assert (back.pixel_spacing, back.source) == (2.7, path)
    assert isinstance(back.data, np.memmap) == (compression == "" and order == "<")
    assert back.data.dtype == "f4"
    assert np.asarray(back.data[..., 0]).dtype == "f4"
    assert (back.metadata["nx"], back.metadata["byte_order"]) == (data.shape[2], order)


def test_stack_flag(tmp_path):
    path = tmp_path / "a.spi"
    path.write_bytes(by_hand(numbers((5, 7, 6)), "stack"))
    assert read(path, stack=False).stack is False
    path.write_bytes(by_hand(numbers((1, 7, 6)), "stack"))
    assert read(path).data.shape == (1, 7, 6)
    assert read(path, stack=False).data.shape == (7, 6)
    path.write_bytes(by_hand(numbers((5, 7, 6)), "stack", w26=3))  # the others were deleted
    np.testing.assert_array_equal(read(path).data, numbers((5, 7, 6))[:3])


@pytest.mark.parametrize("word", [0, -1, math.nan, math.inf])
def test_no_pixel_spacing_is_no_news(tmp_path, word):
    path = tmp_path / "a.spi"
    path.write_bytes(by_hand(numbers((5, 7, 6)), w38=word))
    assert spider_image.read(path).pixel_spacing == 0


def test_pixel_spacing(tmp_path):
    path = tmp_path / "a.spi"
    path.write_bytes(by_hand(numbers((5, 7, 6)), w38=2.7))
    with pytest.warns(GuessWarning, match="pixel_spacing=") as caught:
        assert spider_image.read(path).pixel_spacing == 2.7
    assert caught[0].filename == __file__
    assert spider_image.read(path, pixel_spacing=1.5, experiment_id="b").pixel_spacing == 1.5


@pytest.mark.parametrize(
    ("words", "found"),
    [({"w5": -22}, "Fourier"), ({"w5": -11}, "Fourier"), ({"w24": -5}, "index"),
     ({"w24": 2, "w26": 5}, "stack of images"), ({"w5": 1}, "one section"),
     ({"w1": 1, "w24": 2, "w26": 0}, "maxim"), ({"w1": 1, "w24": 2, "w26": 2.5}, "maxim"),
     ({"w24": math.nan}, "index"), ({"w1": 1, "w24": 2, "w26": math.nan}, "maxim"),
     ({"w12": 7}, "agree"), ({"w22": 1028}, "agree"), ({"w23": 4}, "agree"), ({"w2": 0.5}, "agree"),
     ({"w1": -1}, "agree"), ({"w5": 8}, "agree"), ({"w1": math.nan}, "agree")],
)  # fmt: skip
def test_unsupported(tmp_path, words, found):
    path = tmp_path / "a.spi"
    path.write_bytes(by_hand(numbers((5, 7, 6)), **words))
    with pytest.raises(ReadError, match=found):
        read(path)
    assert spider_image.sniff(Head.of(path)) == (found != "agree")


@pytest.mark.parametrize("compression", COMPRESSION)
@pytest.mark.parametrize("kind", ["image", "stack"])
def test_damage(tmp_path, kind, compression):
    path = tmp_path / "a.spi"
    whole = COMPRESSION[compression](by_hand(numbers(KINDS[kind]), kind))
    for length in range(0, len(whole), 7 if compression == "" else 29):
        path.write_bytes(whole[:length])
        with pytest.raises(ReadError):
            read(path)
    if kind == "image":
        path.write_bytes(COMPRESSION[compression](by_hand(numbers(KINDS[kind])) + b"\0"))
        with pytest.raises(ReadError, match="damaged"):
            read(path)


@pytest.mark.parametrize("kind", ["image", "volume", "stack"])
def test_every_byte_of_the_header(tmp_path, kind):
    path = tmp_path / "a.spi"
    data = numbers(KINDS[kind])
    whole = by_hand(data, kind)
    used = [4 * (n - 1) + b for n in (1, 2, 5, 12, 13, 22, 23, 24, 26) for b in range(4)]
    for position in range(160):
        for value in (0, 1, 63, 127, 128, 255):
            path.write_bytes(whole[:position] + bytes([value]) + whole[position + 1 :])
            try:
                found = read(path)
            except ReadError:
                assert position in used
                continue
            if position not in used:
                np.testing.assert_array_equal(found.data, data[0] if kind == "image" else data)


def test_large_stacks_open_at_once(tmp_path):
    path = tmp_path / "large.spi"
    shape = (1, 1024, 1280)
    path.write_bytes(header(shape, w24=2, w26=1000))
    os.truncate(path, 5120 + 1000 * (5120 + 4 * 1280 * 1024))
    if path.stat().st_blocks * 512 > 1 << 20:
        pytest.skip("the file system has no sparse files")
    found = read(path)
    assert isinstance(found.data, np.memmap)
    assert found.data.shape == (1000, 1024, 1280)
    assert not found.data[999].any()


def test_not_written(tmp_path):
    with pytest.raises(UnknownFormatError):
        ct.write(Image(numbers((7, 6)), "a", 2.5), tmp_path / "a.spi", format="spider")


@pytest.fixture
def relion():
    program = shutil.which("relion_image_handler")
    if program is None:
        pytest.skip("relion_image_handler is not installed")

    def run(source, target):
        command = [program, "--i", str(source), "--o", str(target)]
        subprocess.run(command, check=True, capture_output=True, cwd=target.parent)

    return run


@pytest.mark.parametrize("suffix", [".spi", ".xmp"])
@pytest.mark.parametrize("kind", ["image", "volume", "wide"])
def test_reads_those_of_relion(tmp_path, relion, kind, suffix):
    data = numbers(KINDS[kind])
    data = data if kind == "volume" else data[0]
    source, path = tmp_path / "a.mrc", tmp_path / f"b{suffix}"
    mrc.write(Image(data, "a", 2.5), source)
    relion(source, path)
    assert spider_image.sniff(Head.of(path))
    found = ct.read_image(path, pixel_spacing=2.5)
    np.testing.assert_array_equal(found.data, data, strict=True)
    assert ct.read_image(path).pixel_spacing == 0  # it does not write word 38


@pytest.mark.parametrize("kind", ["image", "volume"])
def test_relion_reads_the_same(tmp_path, relion, kind):
    path = tmp_path / "a.spi"
    path.write_bytes(by_hand(numbers(KINDS[kind]), kind))
    relion(path, tmp_path / "b.mrc")
    back = mrc.read(tmp_path / "b.mrc", pixel_spacing=1, stack=False).data
    np.testing.assert_array_equal(back, read(path).data)


def test_relion_reads_the_same_stack(tmp_path, relion):
    """Image by image; it writes the header of such a stack, but no more (3.1.3)."""
    path = tmp_path / "a.spi"
    path.write_bytes(by_hand(numbers((5, 7, 6)), "stack"))
    data = read(path).data
    for number in range(5):
        relion(f"{number + 1}@{path}", tmp_path / f"{number}.mrc")
        content = (tmp_path / f"{number}.mrc").read_bytes()
        assert content[1024:] == data[number].tobytes()


def test_reads_those_of_pillow(tmp_path):
    pil = pytest.importorskip("PIL.Image")
    data = numbers((7, 6))
    pil.fromarray(data).save(tmp_path / "a.spi", format="SPIDER")
    np.testing.assert_array_equal(read(tmp_path / "a.spi").data, data, strict=True)


@pytest.mark.parametrize("kind", KINDS)
def test_contract(tmp_path, kind):
    path = tmp_path / "a.spi"
    path.write_bytes(by_hand(numbers(KINDS[kind]), kind))
    folder = tmp_path / "work"
    folder.mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check_format(spider_image.FORMAT, examples=[path], directory=folder)
