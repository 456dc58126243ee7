"""The one place where inverses, signs, units and origins are handled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray
    from scipy.spatial.transform import Rotation

    from ._model import Offset, Place, TiltConvention, Turn

    Floats = NDArray[np.float64]

_AXES = {"x": 0, "y": 1, "z": 2}


def decode_orientation(written: ArrayLike, turn: Turn) -> Rotation:
    """Turn what a program writes into our orientations.

    Parameters
    ----------
    written : array_like, shape (n, 3), (n, 4) or (n, 3, 3)
        Euler angles, rotation vectors; quaternions (xyzw); matrices.
    turn : Turn
        How it is written.

    Returns
    -------
    Rotation
        A stack of n; orientations rotate the reference into the particle.
    """
    from scipy.spatial.transform import Rotation

    values = np.asarray(written, dtype=float)
    if turn.kind == "matrix":
        rotation = Rotation.from_matrix(values.reshape(-1, 3, 3))
    elif turn.kind == "quaternion":
        rotation = Rotation.from_quat(values.reshape(-1, 4))
    elif turn.kind == "rotvec":
        values = values.reshape(-1, 3)
        rotation = Rotation.from_rotvec(np.deg2rad(values) if turn.degrees else values)
    else:
        values = values.reshape(-1, 3)
        quaternions = _euler_to_quaternions(values, turn.axes, turn.degrees)
        rotation = Rotation.from_quat(quaternions)
    return rotation.inv() if turn.inverse else rotation


def encode_orientation(orientation: Rotation, turn: Turn) -> Floats:
    """Turn our orientations into what a program writes; the inverse of `decode_orientation`.

    Euler angles are in (-180, 180], the middle one of sequences such as ZYZ in [0, 180]. Where
    that is 0 or 180 only the sum (difference) of the others matters: the first is then 0.
    """
    rotation = orientation.inv() if turn.inverse else orientation
    if turn.kind == "matrix":
        return np.asarray(rotation.as_matrix())
    if turn.kind == "quaternion":
        return np.asarray(rotation.as_quat())
    if turn.kind == "rotvec":
        return np.asarray(rotation.as_rotvec(degrees=turn.degrees))
    return _quaternions_to_euler(rotation.as_quat(), turn.axes, turn.degrees)


def compose(outer: Rotation | None, inner: Rotation | None) -> Rotation | None:
    """Rotate by ``inner``, then by ``outer``; None stands for no rotation."""
    if outer is None or inner is None:
        return outer if inner is None else inner
    return outer * inner


def factor(orientation: Rotation, outer: Rotation | None) -> Rotation:
    """Find the inner rotation of `compose`, given its result and the outer one."""
    return orientation if outer is None else outer.inv() * orientation


def decode_position(
    written: ArrayLike, place: Place, pixel_spacing: Any, dimensions: ArrayLike | None = None
) -> Floats:
    """Turn written coordinates into 0-based pixels.

    Parameters
    ----------
    written : array_like, shape (n, 3)
    place : Place
        How they are written.
    pixel_spacing : float or array_like, shape (n, 1)
        Å per pixel; needed for coordinates in Å.
    dimensions : array_like, (3,) or (n, 3)
        Size of the volume in the same pixels, xyz; needed for centred coordinates.
    """
    position = np.array(written, dtype=float)
    if place.unit == "angstrom":
        position /= pixel_spacing
    if place.origin == "centre":
        assert dimensions is not None
        return position + np.asarray(dimensions, dtype=float) / 2
    return position - place.zero if any(place.zero) else position


def encode_position(
    position: ArrayLike, place: Place, pixel_spacing: Any, dimensions: ArrayLike | None = None
) -> Floats:
    """Turn 0-based pixels into written coordinates; the inverse of `decode_position`."""
    written = np.array(position, dtype=float)
    if place.origin == "centre":
        assert dimensions is not None
        written -= np.asarray(dimensions, dtype=float) / 2
    elif any(place.zero):
        written += place.zero
    return written * pixel_spacing if place.unit == "angstrom" else written


def decode_shift(
    written: ArrayLike,
    offset: Offset,
    pixel_spacing: Any,
    frame: Rotation | None = None,
    image_spacing: Any = None,
) -> Floats:
    """Turn written shifts into pixels to be added to the position.

    Parameters
    ----------
    written : array_like, shape (n, 3)
    offset : Offset
        How they are written.
    pixel_spacing : float or array_like, shape (n, 1)
        Å per pixel; needed for shifts in Å.
    frame : Rotation, optional
        n rotations from the frame in which the shifts are written into the tomogram.
    image_spacing : float or array_like, shape (n, 1), optional
        Å per pixel of the particle images, where pixels of shifts are theirs.
    """
    shift = np.array(written, dtype=float) * offset.sign
    if offset.unit == "angstrom":
        shift /= pixel_spacing
    elif image_spacing is not None:
        shift = rescale(shift, image_spacing, pixel_spacing)
    return shift if frame is None else np.asarray(frame.apply(shift))


def encode_shift(
    shift: ArrayLike,
    offset: Offset,
    pixel_spacing: Any,
    frame: Rotation | None = None,
    image_spacing: Any = None,
) -> Floats:
    """Turn our shifts into written ones; the inverse of `decode_shift`."""
    written = np.array(shift, dtype=float) * offset.sign
    if frame is not None:
        written = np.asarray(frame.apply(written, inverse=True))
    if offset.unit == "pixel" and image_spacing is not None:
        written = rescale(written, pixel_spacing, image_spacing)
    return written * pixel_spacing if offset.unit == "angstrom" else written


def rescale(vectors: ArrayLike, old_spacing: Any, new_spacing: Any) -> Floats:
    """Express positions or shifts in other pixels.

    Index 0 stays index 0: voxel i of a volume binned b times lies at unbinned coordinate i * b
    (RELION's and Warp's way; a mean over b pixels would put it (b - 1) / 2 further).
    """
    ratio: Floats = np.asarray(old_spacing, dtype=float) / np.asarray(new_spacing, dtype=float)
    return np.asarray(vectors, dtype=float) * ratio


def nearest_euler(angles: Floats, middle: Floats) -> Floats:
    """Choose between (a, b, c) and the equal (a + 180, -b, c + 180): the nearer to a given b.

    For sequences such as ZYZ, in degrees; the prior of a refinement refers to one of the two.
    """
    other = np.stack([angles[:, 0] + 180, -angles[:, 1], angles[:, 2] + 180], axis=1)
    other = np.rad2deg(_wrapped(np.deg2rad(other)))
    nearer = np.abs(other[:, 1] - middle) < np.abs(angles[:, 1] - middle)
    return np.where(nearer[:, None], other, angles)


def decode_tilts(
    angles: ArrayLike, shifts: ArrayLike, convention: TiltConvention, pixel_spacing: Any
) -> tuple[Floats, Floats]:
    """Turn written tilt alignments into ours: rotations (n, 3) in degrees, shifts (n, 2) in px."""
    rotations = np.array(angles, dtype=float) * convention.rotation
    return rotations, decode_shift(shifts, convention.offset, pixel_spacing)


def encode_tilts(
    rotations: ArrayLike, shifts: ArrayLike, convention: TiltConvention, pixel_spacing: Any
) -> tuple[Floats, Floats]:
    """Turn our tilt alignments into written ones; the inverse of `decode_tilts`."""
    angles = np.array(rotations, dtype=float) * convention.rotation
    return angles, encode_shift(shifts, convention.offset, pixel_spacing)


def _euler_to_quaternions(angles: Floats, axes: str, degrees: bool) -> Floats:
    """Multiply three elementary quaternions (xyzw); ten times faster than scipy's way."""
    half = (np.deg2rad(angles) if degrees else angles) / 2
    order = [0, 1, 2]
    if axes.islower():  # extrinsic rotations are intrinsic ones in reverse order
        order = order[::-1]
    product = np.zeros((len(angles), 4))
    product[:, 3] = 1.0
    for column in order:
        axis = _AXES[axes[column].lower()]
        i, j = (axis + 1) % 3, (axis + 2) % 3
        c, s = np.cos(half[:, column]), np.sin(half[:, column])
        a, x, y, w = (product[:, k].copy() for k in (axis, i, j, 3))
        product[:, 3] = w * c - a * s
        product[:, axis] = a * c + w * s
        product[:, i] = x * c + y * s
        product[:, j] = y * c - x * s
    return product


def _quaternions_to_euler(quaternions: Floats, axes: str, degrees: bool) -> Floats:
    """Find Euler angles for sequences whose first and last axis are the same; else ask scipy."""
    if axes[0].lower() != axes[2].lower():
        return _asymmetric_euler(quaternions, axes, degrees)
    first, middle = _AXES[axes[0].lower()], _AXES[axes[1].lower()]
    third = 3 - first - middle
    parity = 1 if (middle - first) % 3 == 1 else -1
    q = np.asarray(quaternions, dtype=float).reshape(-1, 4)
    # For intrinsic angles a, b, c: (w, first) = cos(b/2) (cos, sin)((a + c)/2) and
    # (middle, third) = sin(b/2) (cos, parity * sin)((a - c)/2).
    across = np.hypot(q[:, middle], q[:, third])
    along = np.hypot(q[:, 3], q[:, first])
    b = 2 * np.arctan2(across, along)
    half_sum = np.arctan2(q[:, first], q[:, 3])
    half_difference = np.arctan2(parity * q[:, third], q[:, middle])
    a, c = half_sum + half_difference, half_sum - half_difference
    flat, turned = across < 1e-9, along < 1e-9
    a = np.where(flat | turned, 0.0, a)
    c = np.where(flat, 2 * half_sum, np.where(turned, -2 * half_difference, c))
    if axes.islower():
        a, c = c, a
    angles = np.stack([_wrapped(a), b, _wrapped(c)], axis=1)
    return np.rad2deg(angles) if degrees else angles


def _wrapped(angle: Floats) -> Floats:
    """Bring angles into (-π, π]; π itself stays (tan would lose the last digits)."""
    turns = np.round(angle / (2 * np.pi))
    return angle - turns * (2 * np.pi)


def _asymmetric_euler(quaternions: Floats, axes: Any, degrees: bool) -> Floats:
    import warnings

    from scipy.spatial.transform import Rotation

    with warnings.catch_warnings():  # gimbal lock: any of the equivalent triplets is right
        warnings.simplefilter("ignore", UserWarning)
        return np.asarray(Rotation.from_quat(quaternions).as_euler(axes, degrees=degrees))
