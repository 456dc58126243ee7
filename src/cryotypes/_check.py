"""Validation steps that the types share; every problem is collected, then raised at once."""

from __future__ import annotations

import contextlib
import math
import numbers
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import ValidationError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray


class Problems:
    """Collects what is wrong with one object; used as a context manager, raises at the end."""

    def __init__(self, subject: str) -> None:
        self.subject = subject
        self.found: list[str] = []

    def add(self, where: str, expected: str, found: object, remedy: str = "") -> None:
        """Note a problem in the form *where: expected …, found …; remedy*."""
        self.found.append(
            f"{where}: expected {expected}, found {found}" + (f"; {remedy}" if remedy else "")
        )

    def raise_any(self) -> None:
        """Raise a ValidationError if anything was noted."""
        if self.found:
            raise ValidationError(self.subject, self.found)


def describe(value: object) -> str:
    """Show a value and its class, shortened."""
    text = repr(value)
    return f"{text if len(text) <= 60 else text[:57] + '...'} ({type(value).__name__})"


def require_attributes(value: object, names: Iterable[str], subject: str) -> None:
    """Raise at once if attributes are missing: nothing else can be checked."""
    missing = [name for name in names if not hasattr(value, name)]
    if missing:
        found = type(value).__name__
        raise ValidationError(
            subject,
            [
                f"expected an object with the attributes {', '.join(names)}; "
                f"this {found} has no {', '.join(missing)}"
            ],
        )


def text(value: Any, where: str, problems: Problems, coerce: bool) -> Any:
    """Check that a value is a string."""
    if isinstance(value, str):
        return value
    if coerce:
        return str(value)
    problems.add(where, "a string", describe(value), "coerce=True makes it one")
    return value


def spacing(value: Any, where: str, problems: Problems, coerce: bool) -> Any:
    """Check a pixel spacing: a finite number of Å, 0 for unknown."""
    expected = "a number in angstrom (0: unknown)"
    if coerce and value is None:
        return 0.0
    if coerce and not isinstance(value, numbers.Real):
        try:
            value = float(value)
        except (TypeError, ValueError):
            problems.add(where, expected, describe(value))
            return value
    if not isinstance(value, numbers.Real):
        remedy = "None is written 0" if value is None else ""
        problems.add(where, expected, describe(value), remedy)
    elif not math.isfinite(value) or value < 0:
        problems.add(where, expected, describe(value))
    return value


def source(value: Any, where: str, problems: Problems, coerce: bool) -> Any:
    """Check that a value is a path."""
    if isinstance(value, (str, Path)):
        return value
    if coerce:
        if value is None:
            return ""
        try:
            return Path(value)
        except TypeError:
            pass
    problems.add(where, "a path or a string", describe(value))
    return value


def vectors(value: Any, where: str, ndim: int, problems: Problems, coerce: bool) -> Any:
    """Check an (n, ndim) array of finite numbers; narrower ones are padded under coerce."""
    import numpy as np

    if not hasattr(value, "__array__"):
        if not coerce:
            remedy = "coerce=True makes it one"
            problems.add(where, f"an array of shape (n, {ndim})", describe(value), remedy)
            return None
        try:
            value = np.asarray(value)
        except ValueError:
            problems.add(where, f"an array of shape (n, {ndim})", "rows of different lengths")
            return None
    array: NDArray[Any] = np.asarray(value)
    if array.dtype.kind not in "iuf" and coerce:
        with contextlib.suppress(TypeError, ValueError):
            value = array = array.astype(float)
    if array.dtype.kind not in "iuf":
        problems.add(where, "real numbers", f"an array of {array.dtype}")
        return None
    if array.ndim == 1 and array.size == 0 and coerce:
        value = array = array.reshape(0, ndim)
    if array.ndim != 2 or array.shape[1] > ndim or array.shape[1] == 0:
        problems.add(where, f"shape (n, {ndim})", f"shape {array.shape}")
        return None
    if array.shape[1] < ndim:
        if not coerce:
            remedy = "coerce=True adds zeros"
            problems.add(where, f"shape (n, {ndim})", f"shape {array.shape}", remedy)
            return None
        value = array = np.pad(array, ((0, 0), (0, ndim - array.shape[1])))
    bad = ~np.isfinite(array).all(axis=1)
    if bad.any():
        row = int(bad.argmax())
        problems.add(where, "finite numbers", f"{array[row].tolist()} in row {row}")
    return value
