"""What operations on images ask of their data and arguments."""

from __future__ import annotations

import math
import operator
from typing import TYPE_CHECKING, Any

from ._arrays import sliceable

if TYPE_CHECKING:
    from collections.abc import Sequence


def is_stack(image: Any) -> bool:
    return bool(getattr(image, "stack", False))


def checked_data(image: Any, operation: str) -> Any:
    """Return data that have a shape and numpy's dtype and can be sliced; lazy ones as they are."""
    data = sliceable(image.data)
    shape = tuple(data.shape)
    if len(shape) not in ((3,) if is_stack(image) else (2, 3)) or 0 in shape:
        wanted = "a stack (n, y, x)" if is_stack(image) else "(y, x) or (z, y, x)"
        raise ValueError(f"{operation}: expected {wanted}, not empty, found shape {shape}")
    if data.dtype.kind not in "iufb":
        raise ValueError(f"{operation}: expected real numbers, found {data.dtype}")
    return data


def checked_volume(image: Any, operation: str) -> Any:
    data = checked_data(image, operation)
    if is_stack(image) or len(data.shape) != 3:
        what = "a stack" if is_stack(image) else f"an image of shape {tuple(data.shape)}"
        raise ValueError(f"{operation}: expected a volume (z, y, x), found {what}")
    return data


def checked_spacing(image: Any, operation: str) -> float:
    spacing = float(image.pixel_spacing)
    if not 0 <= spacing < math.inf:
        raise ValueError(f"{operation}: expected Å per pixel or 0, found {spacing}")
    return spacing


def whole_numbers(name: str, values: Sequence[int], axes: int) -> tuple[int, ...]:
    try:
        numbers = tuple(operator.index(value) for value in values)
    except TypeError:
        numbers = ()
    if len(numbers) != axes:
        wanted = ", ".join("xyz"[:axes])
        raise ValueError(f"{name}: expected whole numbers {wanted}, found {tuple(values)}")
    return numbers
