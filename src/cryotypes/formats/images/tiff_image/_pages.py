"""The pages of a TIFF file as an array; they are decoded when they are asked for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cryotypes.errors import ReadError
from cryotypes.image._arrays import LazyArray
from cryotypes.image._on_disk import AsRead

from ._file import opened

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cryotypes.image._pieces import Box


class Pages(LazyArray):
    """Pages of one size and type.

    Parameters
    ----------
    path : Path
    shape : (n, y, x)
    dtype : dtype
    flip : bool
        Whether rows are reversed.
    """

    def __init__(
        self, path: Path, shape: tuple[int, int, int], dtype: np.dtype[Any], flip: bool
    ) -> None:
        super().__init__(shape, dtype, (1, *shape[1:]))
        self.flip, self._file = flip, AsRead.of(path)
        self.path = Path(self._file.path)

    def _load(self, box: Box) -> NDArray[Any]:
        numbers = range(box[0].start, box[0].stop, box[0].step)
        rows, columns = (range(b.start, b.stop, b.step) for b in box[1:])
        data = np.empty((len(numbers), len(rows), len(columns)), self.dtype)
        self._file.check()
        with opened(self.path) as tif:
            for found, number in zip(data, numbers, strict=True):
                page = tif.pages[number].asarray()
                if page.shape != self.shape[1:]:
                    raise ReadError(
                        f"page {number + 1}: expected shape {self.shape[1:]}, found {page.shape}",
                        self.path,
                    )
                found[...] = (page[::-1] if self.flip else page)[box[1:]]
        return data
