"""Images whose data are dask arrays."""

from __future__ import annotations

import math
import uuid
from copy import copy
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from cryotypes.errors import MissingPackageError

from ._arrays import chunks_of, is_dask, remappable, sliceable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._protocol import TomogramProtocol

T = TypeVar("T", bound="TomogramProtocol")

_CHUNK = 1 << 25  # bytes


def to_dask(image: T, chunks: Sequence[int] | int | str | None = None) -> T:
    """Make an image whose data are a dask array; nothing is read.

    Functions here that take images take such images too; those that return images keep them lazy,
    and work chunk by chunk, on a cluster of `dask.distributed` where its chunks are: a file
    is opened there again by its path, its data are not sent.

    Parameters
    ----------
    image : Image or any object that follows ImageProtocol
    chunks : optional
        Of (z, y, x), as dask takes them. By default those of the file, one image of a stack, or
        whole sections of about 32 MB.

    Returns
    -------
    object
        Of the same class.

    Raises
    ------
    MissingPackageError
        Without dask.

    Examples
    --------
    >>> import numpy as np
    >>> from cryotypes import Image, bin_image, to_dask
    >>> lazy = to_dask(Image(np.ones((64, 64, 64), np.float32)), chunks=32)
    >>> bin_image(lazy, 4).data.numblocks
    (2, 2, 2)
    """
    try:
        import dask.array as untyped
    except ImportError as error:
        raise MissingPackageError("dask", "dask", "an image whose data are a dask array") from error
    da: Any = untyped
    result: Any = copy(image)
    data = sliceable(result.data)
    wanted: Any = chunks
    if is_dask(data):
        result.data = data if wanted is None else data.rechunk(wanted)
        return result  # type: ignore[no-any-return]
    if wanted is None:
        wanted = _chunks(data, bool(getattr(image, "stack", False)))
    name = f"image-{uuid.uuid4().hex}"  # else dask would read all to make one
    result.data = da.from_array(remappable(data), wanted, name=name, meta=np.empty(0, data.dtype))
    return result  # type: ignore[no-any-return]


def _chunks(data: Any, stack: bool) -> tuple[int, ...]:
    known = chunks_of(data)
    if known is not None:
        return known
    shape = tuple(data.shape)
    section = math.prod(shape[1:]) * data.dtype.itemsize
    depth = 1 if stack else max(1, min(_CHUNK // section, shape[0]))
    return (depth, *shape[1:])
