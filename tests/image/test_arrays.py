"""Lazy arrays are indexed as numpy's are, whatever they are made of."""

from __future__ import annotations

import numpy as np
import pytest

import cryotypes as ct
from cryotypes.image._arrays import Cropped, Mapped, Reordered


def numbers(shape, dtype="float32"):
    return (np.random.default_rng(2).normal(size=shape) * 100).astype(dtype)


KEYS = [
    3, -1, slice(2, 9), slice(None, None, -1), slice(9, 2, -3), (slice(None), 4), (..., 2),
    (3, ..., slice(1, 5, 2)), (0, 0, 0), slice(5, 5), (slice(None), [1, 2]), None,
    (np.int64(2), slice(-4, None)),
]  # fmt: skip


def lazy_ones():
    values = numbers((10, 12, 9))
    yield "mapped", Mapped(values, "f8", lambda a: a * 2), values.astype("f8") * 2
    yield "reordered", Reordered(values[None], (2, 1, 3)), values.transpose(1, 0, 2)
    yield "new axis", Reordered(values[4], (-1, 0, 1)), values[4][None]
    box = (slice(2, 9), slice(0, 12), slice(3, 9))
    yield "cropped", Cropped(values, box), values[box]
    image = ct.bin_image(ct.Image(numbers((40, 48, 37))), 4, lazy=True)
    yield "binned", image.data, ct.bin_image(ct.Image(numbers((40, 48, 37))), 4).data
    decimated = ct.bin_image(ct.Image(numbers((40, 48, 37))), 4, "decimate", lazy=True)
    yield "decimated", decimated.data, numbers((40, 48, 37))[::4, ::4, :36:4]


@pytest.mark.parametrize("name", [name for name, _, _ in lazy_ones()])
def test_lazy_arrays_are_indexed_like_numpys(name):
    lazy, plain = next((a, b) for n, a, b in lazy_ones() if n == name)
    assert (lazy.shape, lazy.dtype, lazy.ndim, len(lazy)) == (
        *(plain.shape, plain.dtype),
        *(plain.ndim, len(plain)),
    )
    for key in KEYS:
        try:
            expected = plain[key]
        except IndexError:
            with pytest.raises(IndexError):
                lazy[key]
            continue
        found = lazy[key]
        np.testing.assert_array_equal(found, expected)
        assert found.shape == expected.shape
    np.testing.assert_array_equal(lazy + 1, plain + 1)
    np.testing.assert_array_equal(plain - lazy, 0)
    np.testing.assert_array_equal(np.sqrt(np.abs(lazy)), np.sqrt(np.abs(plain)))
    assert np.mean(lazy) == plain.mean()
    with pytest.raises(ValueError, match="copy"):
        lazy.__array__(copy=False)
