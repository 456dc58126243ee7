"""What writers of images share: arrays of any kind, converted slab by slab, changes counted."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from cryotypes.errors import WriteError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

PIECE = 1 << 24  # bytes read, or pixels written, at a time


def checked_spacing(value: float) -> float:
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"pixel_spacing: expected a positive number in angstrom, found {value!r}")
    return float(value)


def as_array(data: Any) -> Any:
    """Return data that have a shape and numpy's dtype and can be sliced; lazy ones as they are."""
    import numpy as np

    sliceable = hasattr(data, "__getitem__") and hasattr(data, "ndim")
    return data if sliceable and isinstance(data.dtype, np.dtype) else np.asarray(data)


def checked_shape(shape: tuple[int, ...], stack: bool, path: Path) -> tuple[int, int, int]:
    if len(shape) not in ((3,) if stack else (2, 3)) or 0 in shape:
        wanted = "a stack (n, y, x)" if stack else "an image (y, x) or a volume (z, y, x)"
        raise WriteError(f"expected {wanted} that is not empty, found shape {shape}", path)
    nz, ny, nx = (1, *map(int, shape))[-3:]
    return nz, ny, nx


class Cast:
    """Converts an array piece by piece, and counts the values that change."""

    def __init__(self, data: Any, target: np.dtype[Any], path: Path) -> None:
        self.data, self.target, self.path = data, target, path
        self.changed, self.largest = 0, 0.0

    def pieces(self) -> Iterator[NDArray[Any]]:
        """Give the converted data in slabs of the first axis."""
        import numpy as np

        self.changed, self.largest = 0, 0.0
        step = max(1, PIECE // (math.prod(self.data.shape[1:]) * self.data.dtype.itemsize))
        chunk = getattr(self.data, "chunks", None)  # of a Zarr or HDF5 array: read each once
        if chunk and isinstance(chunk[0], int):
            step = -(-step // chunk[0]) * chunk[0]
        for start in range(0, self.data.shape[0], step):
            yield self.convert(np.asarray(self.data[start : start + step]))

    @property
    def summary(self) -> str:
        """What the conversion did."""
        what = f"{self.data.dtype.name} is written as {self.target.name}"
        if not self.changed:
            return f"{what}, all values are the same"
        total = math.prod(self.data.shape)
        return f"{what}, {self.changed} of {total} values change, by up to {self.largest:.3g}"

    def convert(self, old: NDArray[Any]) -> NDArray[Any]:
        """Convert one piece, and count what changes."""
        import numpy as np

        wide = old.dtype.kind in "iu" and old.dtype.itemsize == 8  # numpy: safe as float64
        if np.can_cast(old.dtype, self.target, "safe") and not (wide and self.target.kind == "f"):
            return old.astype(self.target, copy=False)
        if self.target.kind in "iu":
            rounded = np.rint(old) if old.dtype.kind == "f" else old
            self._refuse_outside(rounded)
            new = rounded.astype(self.target)
        else:
            with np.errstate(over="ignore"):
                new = old.astype(self.target)
            self._refuse_infinite(old, new)
        self._count(old, new)
        return new

    def _refuse_outside(self, values: NDArray[Any]) -> None:
        import numpy as np

        low, high, limits = values.min().item(), values.max().item(), np.iinfo(self.target)
        if not (limits.min <= low and high <= limits.max):  # also if NaN
            raise WriteError(
                f"values from {low} to {high} do not fit {self.target.name} "
                f"({limits.min} to {limits.max})",
                self.path,
            )

    def _refuse_infinite(self, old: NDArray[Any], new: NDArray[Any]) -> None:
        import numpy as np

        outside = np.isfinite(old) & ~np.isfinite(new)
        if outside.any():
            raise WriteError(
                f"values up to {np.abs(old[outside]).max():g} do not fit {self.target.name} "
                f"(±{np.finfo(self.target).max:g})",
                self.path,
            )

    def _count(self, old: NDArray[Any], new: NDArray[Any]) -> None:
        import numpy as np

        kind = old.dtype.kind
        new = new if kind == "c" else new.real
        with np.errstate(invalid="ignore"):
            changed = (new.astype(old.dtype) != old) & ~np.isnan(old)
        if kind in "iu":  # beyond its range there is no way back to an integer
            changed |= new >= np.float64(2.0 ** (8 * old.dtype.itemsize - (kind == "i")))
        if changed.any():
            wide = np.complex128 if kind == "c" else np.float64
            change = np.abs(new[changed].astype(wide) - old[changed].astype(wide)).max()
            self.changed += int(changed.sum())
            self.largest = max(self.largest, float(change))
