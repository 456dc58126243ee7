"""Minimum, maximum, mean and standard deviation of an image in one pass."""

from __future__ import annotations

import numpy as np
import pytest

from cryotypes.image._moments import Moments


def numbers(shape, dtype="float32"):
    return (np.random.default_rng(2).normal(size=shape) * 100).astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int16", "uint8", "bool", "float16"])
def test_moments(dtype):
    values = numbers((40, 51, 67), dtype)
    found = Moments()
    for part in np.array_split(values, 7):
        found.join(Moments.of(part))
    wide = values.astype(float)
    assert (found.minimum, found.maximum) == (wide.min(), wide.max())
    assert (found.mean, found.deviation) == pytest.approx((wide.mean(), wide.std()), rel=1e-12)
    assert (found.count, found.total) == (values.size, values.size)


def test_moments_of_little_and_of_strange():
    assert Moments.of(np.array([np.nan, np.inf])).count == 0
    found = Moments.of(np.array([1e308, -1e308, np.nan]))
    assert (found.total, found.count, found.mean) == (3, 2, 0.0)
    assert np.isnan(Moments().deviation)
