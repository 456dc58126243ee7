"""Arrays are taken piece by piece, in order, and no more of them is held than is needed."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from cryotypes.errors import WriteError
from cryotypes.image import _pieces
from cryotypes.image._pieces import blocks, in_threads, load, slabs, volume


def numbers(shape, dtype="float32"):
    return (np.random.default_rng(2).normal(size=shape) * 100).astype(dtype)


@pytest.mark.parametrize("shape", [(7,), (5, 9), (20, 24, 26), (1, 1, 30)])
@pytest.mark.parametrize("chunk", [None, 4, 7, 100])
@pytest.mark.parametrize("source", [None, 6, 9])
@pytest.mark.parametrize("most", [1, 200, 4000, 1 << 20])
def test_blocks_cover_all_once(shape, chunk, source, most):
    chunks = None if chunk is None else [chunk] * len(shape)
    other = None if source is None else [source] * len(shape)
    seen = np.zeros(shape, int)
    for box in blocks(shape, 2, chunks, other, most=most):
        seen[box] += 1
        if chunk is not None:  # none is cut
            assert all(b.start % chunk == 0 for b in box)
            least = 2 * min(chunk, max(shape)) ** len(shape)
        else:
            least = 2 if source is None else 2 * source ** len(shape)
        assert 2 * volume(box) <= max(most, least) or (chunk and source)
    assert (seen == 1).all()


def test_blocks_are_long_in_x():
    first = next(blocks((50, 60, 1000), 4, (10, 10, 10), most=4 * 10 * 10 * 500))
    assert first == (slice(0, 10), slice(0, 10), slice(0, 500))
    assert next(blocks((50, 60, 10), 4, most=4 * 10 * 60 * 3)) == (
        *(slice(0, 3), slice(0, 60)),
        slice(0, 10),
    )


def test_slabs():
    assert [(s.start, s.stop) for s in slabs((10, 2, 2), 8, 4)] == [(0, 10)]
    assert [s.stop for s in slabs((10, 1 << 10, 1 << 10), 8, 3)] == [3, 6, 9, 10]


def test_threads_keep_the_order_and_hold_little():
    running, most, lock = 0, 0, threading.Lock()

    def square(n):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        with lock:
            running -= 1
        return n * n

    taken = []

    def items():
        for n in range(100):
            taken.append(n)
            yield n

    results = in_threads(square, items(), 1)
    assert [next(results) for _ in range(10)] == [n * n for n in range(10)]
    assert len(taken) <= 10 + _pieces.cores() + 1
    assert list(results) == [n * n for n in range(10, 100)]
    assert most <= _pieces.cores()
    assert list(in_threads(square, range(5), 1 << 40)) == [0, 1, 4, 9, 16]


def test_an_error_in_a_thread_is_raised():
    def fail(n):
        if n == 3:
            raise WriteError("three")
        return n

    with pytest.raises(WriteError, match="three"):
        list(in_threads(fail, range(100), 1))


def test_pieces_of_memory_maps_are_let_go(tmp_path, monkeypatch):
    values = numbers((64, 256, 256))
    values.tofile(tmp_path / "raw")
    mapped = np.memmap(tmp_path / "raw", np.float32, "r", shape=values.shape)
    views = [mapped, mapped[:, ::-1], mapped.transpose(2, 0, 1), mapped[::-2, 3:, ::-1]]
    plain = [values, values[:, ::-1], values.transpose(2, 0, 1), values[::-2, 3:, ::-1]]

    def resident():
        """Of this file, in kB (Linux)."""
        found = 0
        with open("/proc/self/smaps") as file:  # noqa: PTH123
            for line in file:
                if line.rstrip().endswith(str(tmp_path / "raw")):
                    found += int(next(v for v in file if v.startswith("Rss:")).split()[1])
        return found

    for view, expected in zip(views, plain, strict=True):
        for start in range(0, len(view), 8):
            piece = load(view, (slice(start, start + 8), slice(0, 200), slice(None)))
            np.testing.assert_array_equal(piece, expected[start : start + 8, :200])
        assert resident() < 4096
    monkeypatch.setattr(_pieces, "_MAPPED", 4096)  # section by section, of rows that are not whole
    tall = np.memmap(tmp_path / "raw", np.float32, "r", shape=(16, 512, 512))
    for row in range(0, 512, 64):
        load(tall, (slice(0, 16), slice(row, row + 4), slice(0, 32)))
    assert resident() < 1024
    del tall
    np.asarray(mapped).sum()
    assert resident() > 16000  # so it would be
    np.testing.assert_array_equal(mapped, values)


def test_how_often_chunks_are_read():
    shape = (10, 12)
    boxes = list(blocks(shape, 1, (5, 4), most=1))
    assert _pieces.rereads(boxes, None, shape) == 1
    assert _pieces.rereads(boxes, (5, 4), shape) == 1
    assert _pieces.rereads(boxes, (1, 2), shape) == 1
    assert _pieces.rereads(boxes, (10, 12), shape) == 6
    assert _pieces.rereads(boxes, (5, 6), shape) == 2  # 4 to 8 lies in two
