"""Mirror a specimen, its poses or its tilt series, at the plane z = centre."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from cryotypes._sizes import stated_size, tomogram_size
from cryotypes.poseset import validate_poseset
from cryotypes.poseset._operations import changed
from cryotypes.projectionmodel import ProjectionModelDataLabels as Labels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryotypes.poseset import PoseSetProtocol
    from cryotypes.projectionmodel import ProjectionModel

T = TypeVar("T", bound="PoseSetProtocol | ProjectionModel")


def flip_z(
    poses_or_model: T,
    *,
    tomogram_dimensions: Sequence[float] | None = None,
    tomogram_spacing: float | None = None,
) -> T:
    """Mirror poses, or the tilt series that they are projected by, in z.

    With M = diag(1, 1, -1) about the tomogram's centre, index ``N // 2``:

    - poses: position ``p`` to ``M p``, shift ``s`` to ``M s``, orientation ``O`` to ``M O M``;
    - a ProjectionModel: its rotation ``R`` to ``M R M``, that is (rotation_x, rotation_y) negated.

    Both together change no projection, ``project(flip_z(poses), flip_z(model))`` has the same x
    and y, and depth negated: from projections alone the hand of a specimen cannot be told. Only
    one of both corrects a wrong one. Twice is the identity.

    A mirrored particle is of the other hand, and no rotation makes it so: ``M O M`` places the
    reference mirrored in z, ``ref'(y) = ref(M y)``. For a reference that stays as it is, ``M O M``
    takes its axes x and y to the mirrored directions and its axis z to the reverse of the mirrored
    direction. So mirror the reference, too, or average again.

    An array that is flipped by ``data[::-1]`` is mirrored about (N - 1) / 2 instead: one pixel
    from this for even N, none for odd N. What programs note of the hand beside the geometry
    (RELION's rlnTomoHand, how defocus goes with depth) stays as it was.

    Parameters
    ----------
    poses_or_model : PoseSet or ProjectionModel
    tomogram_dimensions : (x, y, z), optional
        In pixels of the unbinned tilt series; by default what the poses' ``metadata`` state. A
        model needs none.
    tomogram_spacing : float, optional
        Å per pixel in which tomogram_dimensions is counted; by default what the ``metadata``
        state.

    Returns
    -------
    object
        Of the same class.

    Raises
    ------
    ValueError
        If the size of the tomogram is unknown.

    Examples
    --------
    >>> from cryotypes import PoseSet, flip_z
    >>> poses = PoseSet([[10.0, 20, 30]], pixel_spacing=10)
    >>> flip_z(poses, tomogram_dimensions=(400, 400, 200), tomogram_spacing=2.5).position
    array([[10., 20., 20.]])
    """
    thing: Any = poses_or_model
    if hasattr(thing, "iloc"):
        model = thing.copy()
        for name in (Labels.ROTATION_X, Labels.ROTATION_Y):
            model[name] = 0.0 - model[name]  # 0 stays 0, not -0
        return model  # type: ignore[no-any-return]
    poses = validate_poseset(thing, coerce=True)
    position = np.array(poses.position, dtype=float)
    position[:, 2] = 2 * _middle(poses, tomogram_dimensions, tomogram_spacing) - position[:, 2]
    fields: dict[str, Any] = {"position": position}
    if poses.shift is not None:
        fields["shift"] = np.asarray(poses.shift, dtype=float) * [1, 1, -1] + 0.0
    if poses.orientation is not None:
        from scipy.spatial.transform import Rotation

        # a turn about x or y is reversed, one about z is not
        mirrored = poses.orientation.as_quat() * [-1, -1, 1, 1]
        fields["orientation"] = Rotation.from_quat(mirrored.reshape(-1, 4))
    return changed(poses, **fields)  # type: ignore[no-any-return]


def _middle(poses: Any, dimensions: Sequence[float] | None, spacing: float | None) -> float:
    """Index of the tomogram's centre in z, in pixels of the poses."""
    own = float(poses.pixel_spacing)
    stated = stated_size(poses)
    known = stated.pixel_spacing if stated else None if own else 0.0
    size = tomogram_size(dimensions, spacing, tilt_series=known) or stated
    if size is None:
        raise ValueError(
            f"flip_z: the size of tomogram {poses.experiment_id!r} is unknown; give "
            "tomogram_dimensions=, in pixels of the unbinned tilt series, and tomogram_spacing="
        )
    return size.centre(own)[2]
