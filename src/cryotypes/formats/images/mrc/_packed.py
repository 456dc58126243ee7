"""Pixels of four bits, two in a byte (MRC mode 101, of SerialEM and IMOD)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cryotypes.image._arrays import LazyArray, remappable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cryotypes.image._pieces import Box


class Packed(LazyArray):
    """The low half of a byte is the first of two pixels; rows end at a full byte.

    Parameters
    ----------
    stored : array of uint8
        (z, y, bytes of a row).
    columns : int
        Pixels of a row.
    """

    def __init__(self, stored: Any, columns: int) -> None:
        super().__init__((*stored.shape[:2], columns), np.uint8)
        self._stored = remappable(stored)

    def _load(self, box: Box) -> NDArray[Any]:
        first, last = box[2].start // 2, (box[2].stop + 1) // 2
        packed = np.asarray(self._stored[box[0], box[1], first:last])
        pixels = np.empty((*packed.shape[:2], 2 * packed.shape[2]), np.uint8)
        pixels[..., 0::2] = packed & 15
        pixels[..., 1::2] = packed >> 4
        return pixels[..., box[2].start - 2 * first : box[2].stop - 2 * first : box[2].step]
