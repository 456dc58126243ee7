"""Cut boxes out of images, and let poses follow."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np

from cryotypes._sizes import with_tomogram
from cryotypes.image._arrays import Cropped, is_dask
from cryotypes.image._checks import checked_data, is_stack, whole_numbers
from cryotypes.poseset import select, validate_poseset
from cryotypes.poseset._operations import changed, places

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryotypes.image import TomogramProtocol
    from cryotypes.poseset import PoseSetProtocol

I = TypeVar("I", bound="TomogramProtocol")
P = TypeVar("P", bound="PoseSetProtocol")


def crop_image(image: I, start: Sequence[int], size: Sequence[int]) -> I:
    """Cut a box out of an image; `crop_poses` takes poses along.

    What was at x is at x - start. The data are a view of those of an array in memory, or
    mapped, and stay lazy where they are.

    Parameters
    ----------
    image : Image or any object that follows ImageProtocol
    start, size : (x, y, z), or (x, y) for 2D images and stacks
        First voxel, and number of voxels.

    Returns
    -------
    object
        Of the same class. ``metadata`` still tell of the file that was read.

    Raises
    ------
    ValueError
        If the box is empty or not within the image.

    Examples
    --------
    >>> import numpy as np
    >>> from cryotypes import Image, crop_image
    >>> crop_image(Image(np.zeros((50, 100, 200))), start=(10, 20, 30), size=(64, 32, 16))
    Image '': volume 64 × 32 × 16 (xyz), float64, unknown pixel spacing
    """
    data = checked_data(image, "crop_image")
    whole = data.shape[1:] if is_stack(image) else data.shape
    first, extent = (
        whole_numbers("start", start, len(whole)),
        whole_numbers("size", size, len(whole)),
    )
    for name, n, a, m in zip("xyz", whole[::-1], first, extent, strict=False):
        if a < 0 or m < 1 or a + m > n:
            raise ValueError(
                f"crop_image: expected a box within 0 to {n} in {name}, found {a} to {a + m}"
            )
    box = tuple(slice(a, a + m) for a, m in zip(first, extent, strict=True))[::-1]
    if is_stack(image):
        box = (slice(0, data.shape[0]), *box)
    views = isinstance(data, np.ndarray) or is_dask(data)
    return changed(image, data=data[box] if views else Cropped(data, box))


def crop_poses(poses: P, start: Sequence[int], size: Sequence[int] | None = None) -> P:
    """Express poses in an image that `crop_image` cut out: position x becomes x - start.

    Shift, orientation and pixel spacing stay. The size of the tomogram in ``metadata`` is left
    out, since the middle of the box is not the tomogram's centre; what asks for it says so.

    Parameters
    ----------
    poses : PoseSet or any object that follows PoseSetProtocol
    start : (x, y, z), or (x, y), which leaves z as it is
        First voxel of the box.
    size : (x, y, z) or (x, y), optional
        Of the box: only the particles in it (position + shift, in one of its voxels) are kept. By
        default all are, wherever they are.

    Returns
    -------
    object
        Of the same class.

    Examples
    --------
    >>> from cryotypes import PoseSet, crop_poses
    >>> poses = PoseSet([[10, 20, 30], [1, 2, 3]])
    >>> crop_poses(poses, start=(10, 10, 10), size=(64, 64, 64)).position
    array([[ 0., 10., 20.]])
    """
    if len(start) not in (2, 3):
        raise ValueError(f"crop_poses: expected start x, y, z or x, y, found {tuple(start)}")
    axes = len(start)
    offset = np.zeros(3)
    offset[:axes] = whole_numbers("start", start, axes)
    checked = validate_poseset(changed(poses), coerce=True)
    position = np.asarray(checked.position, dtype=float) - offset
    metadata = getattr(checked, "metadata", None) or {}
    moved = changed(checked, position=position, **with_tomogram(metadata, None))
    if size is None:
        return moved
    extent = np.array(whole_numbers("size", size, axes))
    place = places(moved)[:, :axes]
    inside = ((place >= -0.5) & (place < extent - 0.5)).all(axis=1)
    return select(moved, inside)
