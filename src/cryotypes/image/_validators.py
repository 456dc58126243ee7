"""Check an Image, a Tomogram or a Micrograph; the data themselves are never read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from cryotypes import _check

if TYPE_CHECKING:
    from typing import Literal

    from ._protocol import ImageProtocol, TomogramProtocol

I = TypeVar("I", bound="ImageProtocol")
T = TypeVar("T", bound="TomogramProtocol")
_NUMBERS = "iufcb"  # numpy's kinds: integers, floats, complex, bool


def validate_image(
    image: I,
    ndim: Literal[2, 3] = 3,
    stack: bool = False,
    coerce: bool = False,
) -> I:
    """Validate an Image, or any object that follows the ImageProtocol.

    Parameters
    ----------
    image : object
        With the attributes data, experiment_id, pixel_spacing, source, stack.
    ndim : {3, 2}
        Number of dimensions of one image.
    stack : bool
        Expect one dimension more: a stack of ``ndim``-dimensional images.
    coerce : bool
        Convert what is unambiguous: lists to arrays, missing leading axes added, 0/1 to bool,
        None to 0 (unknown spacing).

    Returns
    -------
    object
        ``image`` itself, changed where ``coerce`` asked for it.

    Raises
    ------
    ValidationError
        A ValueError that lists everything that is wrong; the object is then unchanged.

    Examples
    --------
    >>> import numpy as np
    >>> from cryotypes.image import Image, validate_image
    >>> validate_image(Image(np.zeros((8, 8))), coerce=True).data.shape
    (1, 8, 8)
    """
    names = ("data", "experiment_id", "pixel_spacing", "source", "stack")
    _check.require_attributes(image, names, "Image")
    problems = _check.Problems("Image")
    new = _common(image, ndim + bool(stack), problems, coerce)
    new["source"] = _check.source(image.source, "source", problems, coerce)
    new["stack"] = _stack_flag(image.stack, problems, coerce)
    problems.raise_any()
    return _assign(image, new)


def validate_tomogram(tomogram: T, coerce: bool = False) -> T:
    """Validate a tomogram: 3D data (z, y, x), experiment_id, pixel_spacing, no stack.

    Arguments and errors are those of `validate_image`; ``source`` and ``stack`` may be absent.
    """
    return _validate_part(tomogram, 3, "Tomogram", coerce)


def validate_micrograph(micrograph: T, coerce: bool = False) -> T:
    """Validate a micrograph: 2D data (y, x), experiment_id, pixel_spacing, no stack.

    Arguments and errors are those of `validate_image`; ``source`` and ``stack`` may be absent.
    With ``coerce``, leading axes of length one are removed.
    """
    return _validate_part(micrograph, 2, "Micrograph", coerce)


def _validate_part(image: T, ndim: int, subject: str, coerce: bool) -> T:
    _check.require_attributes(image, ("data", "experiment_id", "pixel_spacing"), subject)
    problems = _check.Problems(subject)
    new = _common(image, ndim, problems, coerce, drop_axes=ndim == 2)
    if getattr(image, "stack", False):
        problems.add("stack", f"one {ndim}D image", "a stack of images")
    problems.raise_any()
    return _assign(image, new)


def _assign(image: T, new: dict[str, Any]) -> T:
    for name, value in new.items():
        if value is not getattr(image, name):
            setattr(image, name, value)
    return image


def _common(
    image: Any, ndim: int, problems: _check.Problems, coerce: bool, drop_axes: bool = False
) -> dict[str, Any]:
    return {
        "data": _data(image.data, ndim, problems, coerce, drop_axes),
        "experiment_id": _check.text(image.experiment_id, "experiment_id", problems, coerce),
        "pixel_spacing": _check.spacing(image.pixel_spacing, "pixel_spacing", problems, coerce),
    }


def _data(data: Any, ndim: int, problems: _check.Problems, coerce: bool, drop_axes: bool) -> Any:
    import numpy as np

    if not hasattr(data, "__array__"):
        if not coerce:
            remedy = "coerce=True makes it one"
            problems.add("data", f"an array of {ndim} dimensions", _check.describe(data), remedy)
            return data
        try:
            data = np.asanyarray(data)
        except ValueError:
            problems.add("data", f"an array of {ndim} dimensions", "rows of different lengths")
            return data
    dtype = getattr(data, "dtype", None)
    if dtype is not None and getattr(dtype, "kind", "f") not in _NUMBERS:
        problems.add("data", "numbers", f"an array of {dtype}")
    shape = tuple(data.shape)
    extra = len(shape) - ndim
    if coerce and extra < 0:
        return data[(None,) * -extra]
    if coerce and drop_axes and extra > 0 and shape[:extra] == (1,) * extra:
        return data[(0,) * extra]
    if extra:
        remedy = "was stack set correctly?" if extra > 0 else ""
        problems.add("data", f"{ndim} dimensions", f"shape {shape}", remedy)
    return data


def _stack_flag(stack: Any, problems: _check.Problems, coerce: bool) -> Any:
    import numpy as np

    if isinstance(stack, bool):
        return stack
    if isinstance(stack, np.bool_) or (coerce and stack in (0, 1)):
        return bool(stack)
    problems.add("stack", "True or False", _check.describe(stack))
    return stack
