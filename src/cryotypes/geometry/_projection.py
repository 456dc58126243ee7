"""Particles in the tilt images: where, how deep, how oriented, and whether inside."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from cryotypes.errors import GuessWarning, MatchError, ValidationError
from cryotypes.poseset import validate_poseset
from cryotypes.poseset._operations import changed
from cryotypes.projectionmodel import ProjectionModelDataLabels as Labels
from cryotypes.projectionmodel import dimensions_of
from cryotypes.projectionmodel._transformations import Rx, Ry, Rz

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from scipy.spatial.transform import Rotation

    from cryotypes.projectionmodel import ProjectionModel

    Floats = NDArray[np.float64]

P = TypeVar("P")


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
        return changed(  # type: ignore[no-any-return]
            poses,
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
            The image covers 0 ≤ x ≤ width, 0 ≤ y ≤ height.

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
        In pixels of ``poses``. By default what the model's ``attrs`` or the poses' ``metadata``
        state.
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
        If both pixel spacings are unknown (assumed equal), or the size of the images is unknown.

    Examples
    --------
    >>> import pandas as pd
    >>> from cryotypes import PoseSet, project
    >>> poses = PoseSet([[30, 25, 10]], experiment_id="TS_01", pixel_spacing=10)  # binned by 4
    >>> model = pd.DataFrame({"rotation_x": 0.0, "rotation_y": [-60, 0, 60], "rotation_z": 0.0,
    ...     "dx": 0.0, "dy": 0.0, "experiment_id": "TS_01", "pixel_spacing": 2.5, "source": ""})
    >>> projection = project(poses, model, tomogram_dimensions=(50, 50, 20),
    ...                      tilt_image_dimensions=(200, 200))
    >>> projection.position[:, 0].round(3).tolist()
    [[110.0, 100.0], [120.0, 100.0], [110.0, 100.0]]
    """
    checked: Any = validate_poseset(poses, coerce=True)
    model = _rows_of(projection_model, checked.experiment_id)
    missing = [name for name in [*Labels.ROTATION, *Labels.SHIFT] if name not in model]
    if missing:
        raise ValidationError("projection model", [f"missing columns {', '.join(missing)}"])
    spacings = _spacings(checked, model, tilt_image_pixel_spacing)
    centre = _tomogram_centre(checked, model, tomogram_dimensions, spacings)
    size, image_centre = _image_centre(
        model, checked.experiment_id, tilt_image_dimensions, tilt_image_center, spacings
    )

    relative = np.asarray(checked.position, dtype=float) - centre
    if checked.shift is not None:
        relative = relative + np.asarray(checked.shift, dtype=float)
    turns = (
        Rz(model[Labels.ROTATION_Z]) @ Ry(model[Labels.ROTATION_Y]) @ Rx(model[Labels.ROTATION_X])
    )[:, :3, :3]
    # one multiplication for all tilts, with the change of pixels in the small matrices
    rows = (turns * spacings.poses_to_image).reshape(-1, 3)
    camera = (rows @ relative.T).reshape(len(turns), 3, -1)
    shifts = model[Labels.SHIFT].to_numpy(dtype=float) * spacings.model_to_image
    camera[:, :2] += (shifts + image_centre)[:, :, None]

    from scipy.spatial.transform import Rotation

    known = image_centre is not _UNKNOWN_CENTRE
    return Projection(
        position=camera[:, :2].transpose(0, 2, 1),
        depth=camera[:, 2],
        rotation=Rotation.from_matrix(turns),
        poses=checked,
        model=model,
        pixel_spacing=spacings.image,
        tilt_image_center=(float(image_centre[0]), float(image_centre[1])),
        tilt_image_dimensions=size,
        centered=not known,
    )


_UNKNOWN_CENTRE: Any = np.zeros(2)


@dataclass(frozen=True)
class _Spacings:
    """Å per pixel of the poses, of the model and of the tilt images; all 1 if unknown."""

    poses: float
    model: float
    image: float

    @property
    def poses_to_image(self) -> float:
        return self.poses / self.image if self.image else 1.0

    @property
    def model_to_image(self) -> float:
        return self.model / self.image if self.image else 1.0


def _rows_of(model: ProjectionModel, experiment_id: str) -> ProjectionModel:
    """Take the rows of one experiment; a model of a single one is taken as it is."""
    if Labels.EXPERIMENT_ID not in model:
        return model
    ids = model[Labels.EXPERIMENT_ID]
    names = ids.unique()
    if len(names) <= 1:
        return model
    rows = model[ids == experiment_id]
    if not len(rows):
        listing = ", ".join(map(repr, names[:5])) + (", …" if len(names) > 5 else "")
        raise MatchError(
            f"no tilt series for experiment {experiment_id!r} among {listing}; join names with "
            "cryotypes.match, or give the rows of one series"
        )
    return rows


def _spacings(poses: Any, model: ProjectionModel, image: float | None) -> _Spacings:
    values = model[Labels.PIXEL_SPACING].unique() if Labels.PIXEL_SPACING in model else [0.0]
    if len(values) > 1:
        listing = ", ".join(f"{value:g}" for value in values)
        raise ValueError(f"project: the tilt series has several pixel spacings: {listing} Å")
    of_model = float(values[0]) if len(values) else 0.0
    of_poses = float(poses.pixel_spacing)
    if of_model and of_poses:
        return _Spacings(of_poses, of_model, float(image or of_model))
    if of_model or of_poses or image:
        unknown = "poses" if not of_poses else "projection model"
        raise ValueError(
            f"project: the pixel spacing of the {unknown} is unknown (0) while another is known; "
            "set pixel_spacing of both (--pixel-spacing), or of none to use pixels throughout"
        )
    warnings.warn(
        "project: no pixel spacing is known; poses, shifts and tilt images are assumed to have "
        "the same pixels",
        GuessWarning,
        stacklevel=3,
    )
    return _Spacings(0.0, 0.0, 0.0)


def _tomogram_centre(
    poses: Any, model: ProjectionModel, given: Sequence[float] | None, spacings: _Spacings
) -> Floats:
    """Index of the tomogram's centre, in pixels of the poses."""
    if given is not None:
        if len(given) != 3:
            raise ValueError(f"tomogram_dimensions: expected x, y, z, found {tuple(given)}")
        return np.asarray(given, dtype=float) // 2
    stated = dimensions_of(model, "tomogram_dimensions", _name_of(model, poses.experiment_id))
    if stated is not None:
        ratio = spacings.model / spacings.poses if spacings.poses else 1.0
        return np.asarray(stated) // 2 * ratio
    tomogram = (getattr(poses, "metadata", None) or {}).get("tomogram", {})
    if tomogram.get("dimensions") is not None:
        spacing = tomogram.get("pixel_spacing") or spacings.poses
        ratio = spacing / spacings.poses if spacings.poses else 1.0
        return np.asarray(tomogram["dimensions"]) // 2 * ratio
    raise ValueError(
        f"project: the size of tomogram {poses.experiment_id!r} is unknown; give "
        "tomogram_dimensions= (--tomogram-size X Y Z, in pixels of the particles)"
    )


def _name_of(model: ProjectionModel, default: str) -> str:
    """The model's own experiment: a matched one may be called otherwise than the poses'."""
    if Labels.EXPERIMENT_ID in model and len(model):
        return str(model[Labels.EXPERIMENT_ID].iloc[0])
    return default


def _image_centre(
    model: ProjectionModel,
    experiment_id: str,
    dimensions: Sequence[int] | None,
    centre: Sequence[float] | None,
    spacings: _Spacings,
) -> tuple[tuple[int, int] | None, Floats]:
    """Size of the tilt images and index of their centre, in their pixels."""
    for name, value in (("tilt_image_dimensions", dimensions), ("tilt_image_center", centre)):
        if value is not None and len(value) != 2:
            raise ValueError(f"{name}: expected x, y, found {tuple(value)}")
    binned = spacings.image != spacings.model
    if dimensions is None and not binned:
        stated = dimensions_of(model, "tilt_image_dimensions", _name_of(model, experiment_id))
        dimensions = stated
    size = None if dimensions is None else (int(dimensions[0]), int(dimensions[1]))
    if centre is not None:
        return size, np.asarray(centre, dtype=float)
    if size is not None:
        return size, np.asarray(size) // 2 * 1.0
    warnings.warn(
        "project: the size of the tilt images is unknown, so positions count from their centre; "
        "give tilt_image_dimensions= (--tilt-image-size X Y)",
        GuessWarning,
        stacklevel=3,
    )
    return None, _UNKNOWN_CENTRE
