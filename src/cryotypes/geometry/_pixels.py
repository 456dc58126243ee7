"""Express poses and tilt series in other pixels, and shifts in positions."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from cryotypes.conventions import rescale as rescale_vectors
from cryotypes.errors import LossWarning
from cryotypes.poseset import validate_poseset
from cryotypes.poseset._operations import changed, places
from cryotypes.projectionmodel import ProjectionModelDataLabels as Labels

if TYPE_CHECKING:
    from cryotypes.poseset import PoseSetProtocol
    from cryotypes.projectionmodel import ProjectionModel

T = TypeVar("T", bound="PoseSetProtocol | ProjectionModel")
P = TypeVar("P", bound="PoseSetProtocol")

_SIZES = ("tilt_image_dimensions", "tomogram_dimensions")


def rescale(poses_or_model: T, pixel_spacing: float) -> T:
    """Express positions and shifts in pixels of another size.

    Index 0 stays index 0, as `cryotypes.conventions.rescale` explains.

    - Poses: position and shift. The size of the tomogram in ``metadata`` keeps its own pixels.
    - A ProjectionModel: dx and dy, which count from the centre of the images, and the sizes in
      ``attrs``. A size is kept only if it and its half, the centre, are whole in the new pixels:
      programs round in several ways, and what was rounded is not known.

    Parameters
    ----------
    poses_or_model : PoseSet or ProjectionModel
    pixel_spacing : float
        Å per pixel.

    Returns
    -------
    object
        Of the same class.

    Raises
    ------
    ValueError
        If the old or the new pixel spacing is unknown.

    Warns
    -----
    LossWarning
        If a size in ``attrs`` is left out.

    Examples
    --------
    >>> from cryotypes import PoseSet, rescale
    >>> rescale(PoseSet([[10, 20, 30]], [[1, 0, 0]], pixel_spacing=10), 2.5).position
    array([[ 40.,  80., 120.]])
    """
    if not 0 < pixel_spacing < np.inf:
        raise ValueError(f"rescale: expected Å per pixel above 0, found {pixel_spacing}")
    thing: Any = poses_or_model
    if hasattr(thing, "iloc"):
        return _rescaled_model(thing, float(pixel_spacing))  # type: ignore[return-value]
    poses = validate_poseset(thing, coerce=True)
    old = float(poses.pixel_spacing)
    if not old:
        raise ValueError(_unknown(f"the poses of {poses.experiment_id!r}"))
    fields: dict[str, Any] = {
        "position": rescale_vectors(poses.position, old, pixel_spacing),
        "pixel_spacing": float(pixel_spacing),
    }
    if poses.shift is not None:
        fields["shift"] = rescale_vectors(poses.shift, old, pixel_spacing)
    metadata = getattr(poses, "metadata", None) or {}
    tomogram = metadata.get("tomogram")
    if tomogram and tomogram.get("dimensions") is not None and not tomogram.get("pixel_spacing"):
        stated = {**tomogram, "pixel_spacing": old}  # it was in pixels of the poses
        fields["metadata"] = {**metadata, "tomogram": stated}
    return changed(poses, **fields)  # type: ignore[no-any-return]


def apply_shifts(poses: P) -> P:
    """Add the shifts to the positions; the result has no shift (None) and the same places.

    Examples
    --------
    >>> from cryotypes import PoseSet, apply_shifts
    >>> apply_shifts(PoseSet([[10, 20, 30]], [[1, 0, -0.5]]))
    PoseSet '': 1 particle, unknown pixel spacing, no shift, no orientation
    """
    checked = validate_poseset(poses, coerce=True)
    if checked.shift is None:
        return checked
    return changed(checked, position=places(checked), shift=None)


def _rescaled_model(model: ProjectionModel, spacing: float) -> ProjectionModel:
    known = Labels.PIXEL_SPACING in model
    old = model[Labels.PIXEL_SPACING].to_numpy(dtype=float) if known else np.zeros(len(model))
    if (old == 0).any():
        raise ValueError(_unknown("the projection model"))
    result = model.copy()
    for name in Labels.SHIFT:
        result[name] = rescale_vectors(model[name].to_numpy(dtype=float), old, spacing)
    result[Labels.PIXEL_SPACING] = spacing
    of_experiment = _spacing_by_experiment(model, old)
    lost = []
    for name in _SIZES:
        if model.attrs.get(name) is None:
            continue
        entry = model.attrs[name]
        sizes = entry if isinstance(entry, dict) else dict.fromkeys(of_experiment, entry)
        new = {
            key: _whole(size, of_experiment[key] / spacing)
            for key, size in sizes.items()
            if size is not None and key in of_experiment
        }
        lost += [f"{name} of {key!r}" for key, size in new.items() if size is None]
        kept = {key: size for key, size in new.items() if size is not None}
        result.attrs[name] = kept
        if not isinstance(entry, dict) and len(set(kept.values())) == 1 and len(kept) == len(new):
            result.attrs[name] = next(iter(kept.values()))
    if lost:
        warnings.warn(
            f"rescale: at {spacing:g} Å, {', '.join(lost)} is not a whole number of pixels and is "
            "left out; give the size to the operation that asks for it",
            LossWarning,
            stacklevel=3,
        )
    return result


def _spacing_by_experiment(model: ProjectionModel, spacings: Any) -> dict[str, float]:
    if Labels.EXPERIMENT_ID not in model:
        return {"": float(spacings[0])} if len(spacings) else {}
    first = ~model[Labels.EXPERIMENT_ID].duplicated().to_numpy()
    ids = model[Labels.EXPERIMENT_ID].to_numpy()[first]
    return dict(zip(ids.tolist(), spacings[first].tolist(), strict=True))


def _whole(size: Any, ratio: float) -> tuple[int, ...] | None:
    """The size in new pixels, if it and the index of its centre are whole there."""
    old = np.asarray(size, dtype=float)
    new = old * ratio
    centre = old // 2 * ratio
    whole = np.round(new)
    if np.abs(new - whole).max() > 1e-3 or np.abs(centre - whole // 2).max() > 1e-3:
        return None
    return tuple(int(value) for value in whole)


def _unknown(what: str) -> str:
    return f"rescale: the pixel spacing of {what} is unknown (0); set it first"
