"""Rows of words: cut into pieces at line ends, and squeezed, so that a fast parser takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from collections.abc import Iterator

PIECE = 8 << 20  # bytes parsed at a time


def pieces(raw: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Cut at line ends."""
    while start < end:
        stop = end if end - start <= PIECE else raw.find(b"\n", start + PIECE, end) + 1 or end
        yield start, stop
        start = stop


def squeeze(data: bytes) -> bytes:
    """Leave one blank between words, none at the ends of lines, and no empty line."""
    if b"\t" in data:
        data = data.replace(b"\t", b" ")
    characters = pl.Series(np.frombuffer(data, np.uint8))
    before = _beside(characters, 1)
    once = characters.filter(~((characters == 32) & ((before == 32) | (before == 10))))
    before, after = _beside(once, 1), _beside(once, -1)
    drop = ((once == 32) & (after == 10)) | ((once == 10) & (before == 10))
    return once.filter(~drop).to_numpy().tobytes().strip(b" \n") + b"\n"


def _beside(characters: pl.Series, step: int) -> pl.Series:
    """Return the character before (1) or after (-1) each; line ends lie beyond the ends."""
    return characters.shift(step, fill_value=10)
