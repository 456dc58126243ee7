"""The images of a tilt series as cameras: what all operations between 3D and 2D share."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cryotypes._sizes import TomogramSize, tomogram_size
from cryotypes.errors import GuessWarning, MatchError, ValidationError
from cryotypes.projectionmodel import ProjectionModelDataLabels as Labels
from cryotypes.projectionmodel import dimensions_of
from cryotypes.projectionmodel._transformations import Rx, Ry, Rz

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cryotypes.projectionmodel import ProjectionModel

    Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Cameras:
    """Where a point of the tomogram is seen: ``scale * turns @ (point - centre) + offset``.

    Parameters
    ----------
    model : ProjectionModel, t rows
    turns : array, shape (t, 3, 3)
        ``Rz @ Ry @ Rx``.
    offset : array, shape (t, 2)
        Where the tomogram's centre is seen, in pixels of the tilt images.
    tomogram : TomogramSize
    centre : array, shape (3,)
        Index of the tomogram's centre, in its pixels.
    scale : float
        Pixels of the tilt images in one of the tomogram.
    spacings : Spacings
    image_centre : array, shape (2,)
    tilt_image_dimensions : (x, y) or None
    centered : bool
        The size of the images is unknown, so that positions in them count from their centre.
    """

    model: ProjectionModel
    turns: Floats
    offset: Floats
    tomogram: TomogramSize
    centre: Floats
    scale: float
    spacings: Spacings
    image_centre: Floats
    tilt_image_dimensions: tuple[int, int] | None
    centered: bool


@dataclass(frozen=True)
class Spacings:
    """Å per pixel of the tomogram, of the model and of the tilt images; all 0 if unknown."""

    volume: float
    model: float
    image: float

    @property
    def volume_to_image(self) -> float:
        return self.volume / self.image if self.image else 1.0

    @property
    def model_to_image(self) -> float:
        return self.model / self.image if self.image else 1.0


def cameras_of(
    what: str,
    projection_model: ProjectionModel,
    *,
    experiment_id: str,
    volume_spacing: float | None,
    stated: TomogramSize | None,
    tomogram_dimensions: Sequence[float] | None,
    tomogram_spacing: float | None,
    tilt_image_dimensions: Sequence[int] | None,
    tilt_image_center: Sequence[float] | None,
    tilt_image_pixel_spacing: float | None,
) -> Cameras:
    """Collect what a model, and what its user says beside it, tell of a tilt series.

    Parameters
    ----------
    what : str
        The public operation, which messages name; it calls this function itself (its caller
        is who gets the warnings).
    volume_spacing : float or None
        Å per pixel of the tomogram, 0 if unknown; None: the model's.
    stated : TomogramSize, optional
        What poses state of their tomogram.

    For the others, and for what is raised, see `project`.
    """
    model = rows_of(projection_model, experiment_id)
    missing = [name for name in [*Labels.ROTATION, *Labels.SHIFT] if name not in model]
    if missing:
        raise ValidationError("projection model", [f"missing columns {', '.join(missing)}"])
    spacings = _spacings(what, model, volume_spacing, tilt_image_pixel_spacing)
    name = _name_of(model, experiment_id)
    given = tomogram_size(
        tomogram_dimensions, tomogram_spacing, experiment_id=name, tilt_series=spacings.model
    )
    size = given or size_of(model, name, spacings.model) or stated
    if size is None:
        raise ValueError(
            f"{what}: the size of tomogram {name!r} is unknown; give tomogram_dimensions= "
            "(--tomogram-size X Y Z, in pixels of the unbinned tilt series)"
        )
    centre = np.array(size.centre(spacings.volume))
    image_size, image_centre = _image_centre(
        what, model, name, tilt_image_dimensions, tilt_image_center, spacings
    )
    shifts = model[Labels.SHIFT].to_numpy(dtype=float) * spacings.model_to_image
    middle = np.zeros(2) if image_centre is None else image_centre
    return Cameras(
        model=model,
        turns=turns_of(model),
        offset=shifts + middle,
        tomogram=size,
        centre=centre,
        scale=spacings.volume_to_image,
        spacings=spacings,
        image_centre=middle,
        tilt_image_dimensions=image_size,
        centered=image_centre is None,
    )


def turns_of(model: ProjectionModel) -> Floats:
    """Return the rotation of the tomogram in every tilt, shape (t, 3, 3)."""
    return turns(*(model[name].to_numpy(dtype=float) for name in Labels.ROTATION))


def turns(x: Floats, y: Floats, z: Floats) -> Floats:
    """Return ``Rz @ Ry @ Rx`` of angles in degrees, shape (t, 3, 3)."""
    return (Rz(z) @ Ry(y) @ Rx(x))[:, :3, :3]


def rows_of(model: ProjectionModel, experiment_id: str) -> ProjectionModel:
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


def spacing_of(what: str, model: ProjectionModel) -> float | None:
    """Return the one pixel spacing of a tilt series; None if it has no rows."""
    values = model[Labels.PIXEL_SPACING].unique() if Labels.PIXEL_SPACING in model else [0.0]
    if len(values) > 1:
        listing = ", ".join(f"{value:g}" for value in values)
        raise ValueError(f"{what}: the tilt series has several pixel spacings: {listing} Å")
    return float(values[0]) if len(values) else None


def _spacings(
    what: str, model: ProjectionModel, volume: float | None, image: float | None
) -> Spacings:
    stated = spacing_of(what, model)
    for name, value in (("tilt_image_pixel_spacing", image), ("pixel_spacing", volume)):
        if value is not None and not 0 <= value < np.inf:
            raise ValueError(f"{name}: expected Å per pixel, found {value}")
    of_model = (volume or 0.0) if stated is None else stated  # no tilts, no projections
    of_volume = of_model if volume is None else float(volume)
    if of_model and of_volume:
        return Spacings(of_volume, of_model, float(image or of_model))
    if of_model or of_volume or image:
        unknown = "poses" if not of_volume else "projection model"
        raise ValueError(
            f"{what}: the pixel spacing of the {unknown} is unknown (0) while another is known; "
            "set pixel_spacing of both (--pixel-spacing), or of none to use pixels throughout"
        )
    warnings.warn(
        f"{what}: no pixel spacing is known; poses, shifts and tilt images are assumed to have "
        "the same pixels",
        GuessWarning,
        stacklevel=4,
    )
    return Spacings(0.0, 0.0, 0.0)


def size_of(model: ProjectionModel, name: str, spacing: float) -> TomogramSize | None:
    """Return the size that a model's attrs state, in pixels of its own spacing."""
    stated = dimensions_of(model, "tomogram_dimensions", name)
    return None if stated is None else TomogramSize(stated, spacing)  # type: ignore[arg-type]


def _name_of(model: ProjectionModel, default: str) -> str:
    """The model's own experiment: a matched one may be called otherwise than the poses'."""
    if Labels.EXPERIMENT_ID in model and len(model):
        return str(model[Labels.EXPERIMENT_ID].iloc[0])
    return default


def _image_centre(
    what: str,
    model: ProjectionModel,
    name: str,
    dimensions: Sequence[int] | None,
    centre: Sequence[float] | None,
    spacings: Spacings,
) -> tuple[tuple[int, int] | None, Floats | None]:
    """Size of the tilt images and index of their centre, in their pixels; None if unknown."""
    for option, value in (("tilt_image_dimensions", dimensions), ("tilt_image_center", centre)):
        if value is not None and len(value) != 2:
            raise ValueError(f"{option}: expected x, y, found {tuple(value)}")
    if dimensions is None and spacings.image == spacings.model:  # not binned
        dimensions = dimensions_of(model, "tilt_image_dimensions", name)
    size = None if dimensions is None else (int(dimensions[0]), int(dimensions[1]))
    if centre is not None:
        return size, np.asarray(centre, dtype=float)
    if size is not None:
        return size, np.asarray(size) // 2 * 1.0
    warnings.warn(
        f"{what}: the size of the tilt images is unknown, so positions count from their centre; "
        "give tilt_image_dimensions= (--tilt-image-size X Y)",
        GuessWarning,
        stacklevel=4,
    )
    return None, None
