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
    if turn.kind in ("matrix", "rotvec") and not len(rotation):
        return np.zeros((0, 3, 3) if turn.kind == "matrix" else (0, 3))
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
        Size of the volume in the same pixels, xyz; needed for centred coordinates and for
        fractions. Size of the box, where its corner is written.
    """
    position = np.array(written, dtype=float)
    if place.unit == "angstrom":
        position /= pixel_spacing
    elif place.unit == "fraction":
        assert dimensions is not None
        position *= dimensions
    if place.origin != "pixel":
        position += _half(place, dimensions)
    return position - place.zero if any(place.zero) else position


def encode_position(
    position: ArrayLike, place: Place, pixel_spacing: Any, dimensions: ArrayLike | None = None
) -> Floats:
    """Turn 0-based pixels into written coordinates; the inverse of `decode_position`."""
    written = np.array(position, dtype=float)
    if place.origin != "pixel":
        written -= _half(place, dimensions)
    if any(place.zero):
        written += place.zero
    if place.unit == "fraction":
        assert dimensions is not None
        written /= dimensions
    return written * pixel_spacing if place.unit == "angstrom" else written


def _half(place: Place, dimensions: ArrayLike | None) -> Floats:
    """Return half the size of a volume or box, in whole pixels where the program counts so."""
    assert dimensions is not None
    size = np.asarray(dimensions, dtype=float)
    return size // 2 if place.origin == "floor" else size / 2


def decode_shift(
    written: ArrayLike,
    offset: Offset | None,
    pixel_spacing: Any,
    frame: Rotation | None = None,
    image_spacing: Any = None,
) -> Floats:
    """Turn written shifts into pixels to be added to the position.

    Parameters
    ----------
    written : array_like, shape (n, 3)
    offset : Offset
        How they are written; not None, as in the rows of programs that know no shifts.
    pixel_spacing : float or array_like, shape (n, 1)
        Å per pixel; needed for shifts in Å.
    frame : Rotation, optional
        n rotations from the frame in which the shifts are written into the tomogram.
    image_spacing : float or array_like, shape (n, 1), optional
        Å per pixel of the particle images, where pixels of shifts are theirs.
    """
    assert offset is not None
    shift = np.array(written, dtype=float) * offset.sign
    if offset.unit == "angstrom":
        shift /= pixel_spacing
    elif image_spacing is not None:
        shift = rescale(shift, image_spacing, pixel_spacing)
    return shift if frame is None else np.asarray(frame.apply(shift))


def encode_shift(
    shift: ArrayLike,
    offset: Offset | None,
    pixel_spacing: Any,
    frame: Rotation | None = None,
    image_spacing: Any = None,
) -> Floats:
    """Turn our shifts into written ones; the inverse of `decode_shift`."""
    assert offset is not None
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


def flip_y(
    position: ArrayLike, shift: ArrayLike | None, orientation: Rotation | None, height: ArrayLike
) -> tuple[Floats, Floats | None, Rotation | None]:
    """Express poses of 2D images in the images turned upside down; its own inverse.

    Projections cannot tell a mirrored image from one seen from behind, so the flip is half a turn
    about x, which keeps the hand of the reference.

    Parameters
    ----------
    position, shift : array_like, shape (n, 3)
    orientation : Rotation
    height : array_like, shape (n,)
        Pixels of the images in y; y becomes height - y.
    """
    from scipy.spatial.transform import Rotation

    mirror = np.array([1.0, -1.0, -1.0])
    flipped = np.array(position, dtype=float)
    flipped[:, 1] = np.asarray(height, dtype=float) - flipped[:, 1]
    turned = None if shift is None else np.asarray(shift, dtype=float) * mirror
    if orientation is not None:
        orientation = Rotation.from_matrix(np.diag(mirror)) * orientation
    return flipped, turned, orientation


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
    if convention.inverse:
        rotations = _inverse_angles(rotations)
    offsets = decode_shift(shifts, convention.offset, pixel_spacing)
    if convention.frame == "aligned":
        offsets = _apply(_in_plane(rotations[:, 2]), offsets)
    return rotations, offsets


def encode_tilts(
    rotations: ArrayLike, shifts: ArrayLike, convention: TiltConvention, pixel_spacing: Any
) -> tuple[Floats, Floats]:
    """Turn our tilt alignments into written ones; the inverse of `decode_tilts`."""
    rotations = np.array(rotations, dtype=float)
    offsets = np.array(shifts, dtype=float)
    if convention.frame == "aligned":
        offsets = _apply(_in_plane(-rotations[:, 2]), offsets)
    if convention.inverse:
        rotations = _inverse_angles(rotations)
    return rotations * convention.rotation, encode_shift(offsets, convention.offset, pixel_spacing)


def _inverse_angles(rotations: Floats) -> Floats:
    """Return x, y, z of the inverse of Rz Ry Rx, in degrees."""
    from scipy.spatial.transform import Rotation

    inverse = Rotation.from_euler("xyz", rotations, degrees=True).inv()
    return np.asarray(inverse.as_euler("xyz", degrees=True)).reshape(-1, 3)


def decode_transforms(
    matrices: ArrayLike, shifts: ArrayLike, convention: TiltConvention, pixel_spacing: Any = 1.0
) -> tuple[Floats, Floats, Floats]:
    """Turn written 2D transforms of tilt images into ours.

    Parameters
    ----------
    matrices : array_like, shape (n, 2, 2)
        Row-major, invertible; a magnification or a stretch may be in them.
    shifts : array_like, shape (n, 2)
    convention : TiltConvention
        Its frame tells which way the transforms lead.
    pixel_spacing : float
        Å per pixel; needed for shifts in Å.

    Returns
    -------
    rotation_z : array, shape (n,)
        Degrees: of the rotation that is nearest to the matrix.
    planes : array, shape (n, 2, 2)
        From the aligned to the raw image, whatever is in them besides the rotation.
    shifts : array, shape (n, 2)
        Pixels of the raw image.
    """
    planes = np.array(matrices, dtype=float).reshape(-1, 2, 2)
    offsets = decode_shift(np.asarray(shifts, dtype=float), convention.offset, pixel_spacing)
    if convention.frame == "aligned":
        planes = np.linalg.inv(planes)
        offsets = _apply(planes, offsets)
    turned = np.arctan2(planes[:, 1, 0] - planes[:, 0, 1], planes[:, 0, 0] + planes[:, 1, 1])
    return np.rad2deg(turned) * convention.rotation[2], planes, offsets


def encode_transforms(
    rotation_z: ArrayLike,
    shifts: ArrayLike,
    convention: TiltConvention,
    pixel_spacing: Any = 1.0,
    magnification: ArrayLike = 1.0,
) -> tuple[Floats, Floats]:
    """Turn our rotations about z and shifts into written 2D transforms.

    Parameters
    ----------
    rotation_z : array_like, shape (n,)
        Degrees.
    shifts : array_like, shape (n, 2)
        Pixels of the raw image.
    convention : TiltConvention
    pixel_spacing : float
    magnification : float or array_like, shape (n,)
        A factor for the written matrices.

    Returns
    -------
    matrices : array, shape (n, 2, 2)
    shifts : array, shape (n, 2)
    """
    turned = np.array(rotation_z, dtype=float) * convention.rotation[2]
    offsets = np.array(shifts, dtype=float)
    matrices = _in_plane(-turned if convention.frame == "aligned" else turned)
    matrices = matrices * np.reshape(magnification, (-1, 1, 1))
    if convention.frame == "aligned":
        offsets = _apply(matrices, offsets)
    return matrices, encode_shift(offsets, convention.offset, pixel_spacing)


def _in_plane(degrees: Floats) -> Floats:
    """Return rotation matrices (n, 2, 2): x turns towards y."""
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return np.stack([np.stack([c, -s], axis=-1), np.stack([s, c], axis=-1)], axis=-2)


def _apply(matrices: Floats, vectors: Floats) -> Floats:
    return np.asarray(np.einsum("nij,nj->ni", matrices, vectors))


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
