"""An array in an HDF5 file; slices are read when asked for, the file is not kept open."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cryotypes.image._arrays import LazyArray
from cryotypes.image._on_disk import AsRead

from ._hdf5 import check_filters, opened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cryotypes.image._pieces import Box


class Scale(NamedTuple):
    """Numbers stored as integers: (stored + offset) / steps, from ``low`` to ``high``."""

    offset: float
    steps: float
    low: float
    high: float

    def apply(self, stored: NDArray[Any]) -> NDArray[np.float32]:
        """Return the numbers, in single precision as EMAN2 computes them."""
        values = stored.astype(np.float32)
        values += np.float32(self.offset)
        values /= np.float32(self.steps)
        values *= np.float32(self.high) - np.float32(self.low)
        values += np.float32(self.low)
        return values


class Part(NamedTuple):
    """A dataset in the file, and how its numbers are meant."""

    name: str
    scale: Scale | None = None


class HdfArray(LazyArray):
    """An array in an HDF5 file.

    Parameters
    ----------
    path : Path
    parts : sequence of Part
        One dataset, or, if ``stacked``, one for each index of the first axis.
    shape, dtype, chunks
        Of the whole.
    stacked : bool
    """

    def __init__(
        self,
        path: Path,
        parts: Sequence[Part],
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        chunks: tuple[int, ...] | None = None,
        stacked: bool = False,
    ) -> None:
        super().__init__(shape, dtype, chunks)
        self.parts, self.stacked, self._file = tuple(parts), stacked, AsRead.of(path)
        self.path = Path(self._file.path)

    def _load(self, box: Box) -> NDArray[Any]:
        shape = tuple(len(range(part.start, part.stop, part.step)) for part in box)
        self._file.check()
        with opened(self.path) as file:
            if not self.stacked:
                return self._read(file, self.parts[0], box)
            result = np.empty(shape, self.dtype)
            for index, part in enumerate(self.parts[box[0]]):
                result[index] = self._read(file, part, box[1:])
            return result

    def _read(self, file: Any, part: Part, box: Box) -> NDArray[Any]:
        dataset = file[part.name]
        check_filters(dataset, self.path)  # of this process, which may be another
        lines = dataset[box[-len(dataset.shape) :]].reshape(
            [len(range(b.start, b.stop, b.step)) for b in box]
        )
        values: NDArray[Any] = lines if part.scale is None else part.scale.apply(lines)
        return values.astype(self.dtype, copy=False)
