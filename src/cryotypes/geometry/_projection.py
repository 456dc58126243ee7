"""Particles in the tilt images: where, how deep, how oriented, and whether inside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from cryotypes._sizes import stated_size
from cryotypes.poseset import validate_poseset
from cryotypes.poseset._operations import changed, places

from ._bounds import warn_outside
from ._cameras import cameras_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from scipy.spatial.transform import Rotation

    from cryotypes.poseset import PoseSetProtocol
    from cryotypes.projectionmodel import ProjectionModel

    Floats = NDArray[np.float64]

P = TypeVar("P", bound="PoseSetProtocol")


@dataclass(frozen=True, repr=False)
class Projection(Generic[P]):
    """The particles of one PoseSet in every image of one tilt series.

    ``projection[t]`` and iteration give the particles in tilt ``t`` as a 2D PoseSet.

    Parameters
    ----------
    position : array, shape (n_tilts, n, 2)
        xy in pixels of the tilt image; the centre of its first pixel is (0, 0).
    depth : array, shape (n_tilts, n)
        Along the beam from the tomogram's centre, pixels of the tilt image; positive z.
    rotation : Rotation, n_tilts
        Of the tomogram, in each tilt: ``Rz @ Ry @ Rx``.
    poses : PoseSet
        What was projected.
    model : ProjectionModel, n_tilts rows
        The rows that were used, in the same order.
    pixel_spacing : float
        Å per pixel of the tilt images; 0: unknown.
    tilt_image_center : (x, y)
        The rotation centre; (0, 0) where the size of the images is unknown, so that positions
        count from the centre (see ``centered``).
    tilt_image_dimensions : (x, y) or None
        Size in pixels, if known.
    """

    position: Floats
    depth: Floats
    rotation: Rotation
    poses: P
    model: ProjectionModel
    pixel_spacing: float
    tilt_image_center: tuple[float, float]
    tilt_image_dimensions: tuple[int, int] | None = None
    centered: bool = False

    def __len__(self) -> int:
        return len(self.position)

    def __repr__(self) -> str:
        tilts, n = self.depth.shape
        name = getattr(self.poses, "experiment_id", "")
        frame = "from the image centre" if self.centered else "in pixels of the image"
        return f"Projection {name!r}: {n} particles in {tilts} tilts, {frame}"

    def __getitem__(self, tilt: int) -> P:
        """The particles in one tilt, as a 2D PoseSet of the class of ``poses``."""
        if not -len(self) <= tilt < len(self):
            raise IndexError(f"tilt {tilt}: there are {len(self)}")
        poses: Any = self.poses
        position = self.position[tilt]
        metadata = {**(getattr(poses, "metadata", None) or {}), "ndim": 2}
        for name in ("dialect", "labels", "experiment_label", "tomogram"):
            metadata.pop(name, None)
        return changed(
            self.poses,
            position=np.column_stack([position, np.zeros(len(position))]),
            shift=None,
            orientation=self.orientation(tilt),
            pixel_spacing=self.pixel_spacing,
            **({"metadata": metadata} if hasattr(poses, "metadata") else {}),
        )

    def __iter__(self) -> Iterator[P]:
        return (self[tilt] for tilt in range(len(self)))

    def orientation(self, tilt: int) -> Rotation | None:
        """Return the particles' orientations in the frame of a tilt image (beam along z)."""
        poses: Any = self.poses
        return None if poses.orientation is None else self.rotation[tilt] * poses.orientation

    def inside(self, margin: float = 0.0) -> NDArray[np.bool_]:
        """Tell which particles lie inside which tilt image.

        Parameters
        ----------
        margin : float
            Distance to keep from the edges, in pixels: half the box size, for whole boxes inside.
            Inside is margin ≤ x ≤ width - margin, and y likewise: RELION's own rule.

        Returns
        -------
        array of bool, shape (n_tilts, n)

        Raises
        ------
        ValueError
            If the size of the tilt images is unknown.
        """
        if self.tilt_image_dimensions is None:
            raise ValueError(
                "inside: the size of the tilt images is unknown; give tilt_image_dimensions= to "
                "project (--tilt-image-size X Y)"
            )
        size = np.asarray(self.tilt_image_dimensions, dtype=float)
        within = (self.position >= margin) & (self.position <= size - margin)
        return np.asarray(within.all(axis=2))


def project(
    poses: P,
    projection_model: ProjectionModel,
    *,
    tomogram_dimensions: Sequence[float] | None = None,
    tomogram_spacing: float | None = None,
    tilt_image_dimensions: Sequence[int] | None = None,
    tilt_image_center: Sequence[float] | None = None,
    tilt_image_pixel_spacing: float | None = None,
) -> Projection[P]:
    """Project particles into the images of their tilt series.

    In Å about the centres, ``Rz @ Ry @ Rx @ (position + shift - centre) + (dx, dy)``; the centre
    of a tomogram or an image of N pixels is at index ``N // 2``. With equal pixel spacings this is
    `projection_model_to_projection_matrices`.

    Parameters
    ----------
    poses : PoseSet, n particles
        Its shifts count.
    projection_model : ProjectionModel
        With several experiments in it, the one with the same experiment_id is taken.
    tomogram_dimensions : (x, y, z), optional
        In pixels of the unbinned tilt series. By default what the model's ``attrs`` or the poses'
        ``metadata`` state.
    tomogram_spacing : float, optional
        Å per pixel in which tomogram_dimensions is counted; by default that of the model.
    tilt_image_dimensions : (x, y), optional
        In pixels of the tilt images. By default what the model's ``attrs`` state.
    tilt_image_center : (x, y), optional
        The rotation centre, by default ``tilt_image_dimensions // 2``. Without either, positions
        count from the centre.
    tilt_image_pixel_spacing : float, optional
        Å per pixel of the tilt images if they are binned; by default the model's pixel spacing.

    Returns
    -------
    Projection

    Raises
    ------
    MatchError
        If the model holds several experiments and none is that of the poses.
    ValueError
        If the size of the tomogram is unknown, or only one of the two pixel spacings is known.

    Warns
    -----
    GuessWarning
        If both pixel spacings are unknown (assumed equal), the size of the images is unknown, or
        particles lie outside their tomogram.

    Examples
    --------
    >>> import pandas as pd
    >>> from cryotypes import PoseSet, project
    >>> poses = PoseSet([[30, 25, 10]], experiment_id="TS_01", pixel_spacing=10)  # binned by 4
    >>> model = pd.DataFrame({"rotation_x": 0.0, "rotation_y": [-60, 0, 60], "rotation_z": 0.0,
    ...     "dx": 0.0, "dy": 0.0, "experiment_id": "TS_01", "pixel_spacing": 2.5, "source": ""})
    >>> projection = project(poses, model, tomogram_dimensions=(200, 200, 80),
    ...                      tilt_image_dimensions=(200, 200))
    >>> projection.position[:, 0].round(3).tolist()
    [[110.0, 100.0], [120.0, 100.0], [110.0, 100.0]]
    """
    checked = validate_poseset(poses, coerce=True)
    cameras = cameras_of(
        "project",
        projection_model,
        experiment_id=checked.experiment_id,
        volume_spacing=float(checked.pixel_spacing),
        stated=stated_size(checked),
        tomogram_dimensions=tomogram_dimensions,
        tomogram_spacing=tomogram_spacing,
        tilt_image_dimensions=tilt_image_dimensions,
        tilt_image_center=tilt_image_center,
        tilt_image_pixel_spacing=tilt_image_pixel_spacing,
    )
    warn_outside([checked], "project", {checked.experiment_id: cameras.tomogram})
    relative = places(checked) - cameras.centre
    # one multiplication for all tilts, with the change of pixels in the small matrices
    rows = (cameras.turns * cameras.scale).reshape(-1, 3)
    camera = (rows @ relative.T).reshape(len(cameras.turns), 3, len(relative))
    camera[:, :2] += cameras.offset[:, :, None]

    from scipy.spatial.transform import Rotation

    x, y = cameras.image_centre
    return Projection(
        position=camera[:, :2].transpose(0, 2, 1),
        depth=camera[:, 2],
        rotation=Rotation.from_matrix(cameras.turns),
        poses=checked,
        model=cameras.model,
        pixel_spacing=cameras.spacings.image,
        tilt_image_center=(float(x), float(y)),
        tilt_image_dimensions=cameras.tilt_image_dimensions,
        centered=cameras.centered,
    )
