"""The table of a projection: a row for each particle in each tilt image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from cryotypes.conventions import _table as conventions
from cryotypes.conventions import encode_orientation

if TYPE_CHECKING:
    from cryotypes.geometry import Projection


def _columns(projection: Projection[Any], margin: float) -> dict[str, Any]:
    tilts, n = projection.depth.shape
    poses, model = projection.poses, projection.model
    features = getattr(poses, "features", None)
    rows = np.arange(n) if features is None else features.index.to_numpy()
    images = image_names(projection)
    spacing = projection.pixel_spacing or 1.0
    columns: dict[str, Any] = {
        "experiment_id": [poses.experiment_id] * (tilts * n),
        "particle": np.tile(rows, tilts),
        "tilt": np.repeat(np.arange(tilts), n),
        "tilt_angle": np.repeat(model["rotation_y"].to_numpy(dtype=float), n),
        "image": np.repeat(np.array(images, dtype=object), n).tolist(),
        "x": projection.position[..., 0].reshape(-1),
        "y": projection.position[..., 1].reshape(-1),
        "depth_angstrom" if projection.pixel_spacing else "depth": projection.depth.reshape(-1)
        * spacing,
    }
    if projection.tilt_image_dimensions is not None:
        columns["inside"] = projection.inside(margin).reshape(-1)
    return columns


def image_names(projection: Projection[Any]) -> list[str]:
    """Name the tilt images: as the alignment does, else by number."""
    model = projection.model
    if "rlnMicrographName" in model:
        return [str(name) for name in model["rlnMicrographName"]]
    return [f"{tilt + 1}@{projection.poses.experiment_id}" for tilt in range(len(projection))]


def _angles(projection: Projection[Any]) -> Any:
    """RELION's rot, tilt, psi of each particle in each tilt image, or None."""
    turn = conventions.RELION_3_1.turn
    orientations = [projection.orientation(tilt) for tilt in range(len(projection))]
    known = [encode_orientation(o, turn) for o in orientations if o is not None]
    return np.concatenate(known) if known else None


def csv_table(projection: Projection[Any], margin: float) -> pl.DataFrame:
    """Return the table under our own names; x and y count from the centre if the size is unknown.

    rot, tilt, psi are RELION's, in the frame of the tilt image.
    """
    columns = _columns(projection, margin)
    if projection.centered:
        columns = {
            {"x": "x_from_center", "y": "y_from_center"}.get(name, name): values
            for name, values in columns.items()
        }
    angles = _angles(projection)
    if angles is not None:
        columns.update(zip(("rot", "theta", "psi"), angles.T, strict=True))
    return pl.DataFrame(columns)


def star_table(projection: Projection[Any], margin: float) -> pl.DataFrame:
    """Return the table under RELION's names, as for particles picked in the tilt images.

    Where the size of the images is unknown, coordinates are centred, in Å. What RELION has no
    name for has one that begins with ``cryotypes``.
    """
    columns = _columns(projection, margin)
    spacing = projection.pixel_spacing
    star: dict[str, Any] = {
        "rlnTomoName": columns["experiment_id"],
        "rlnMicrographName": columns["image"],
    }
    if projection.centered and spacing:
        star["rlnCenteredCoordinateXAngst"] = columns["x"] * spacing
        star["rlnCenteredCoordinateYAngst"] = columns["y"] * spacing
    elif projection.centered:
        star["cryotypesXFromCenter"], star["cryotypesYFromCenter"] = columns["x"], columns["y"]
    else:
        star["rlnCoordinateX"], star["rlnCoordinateY"] = columns["x"], columns["y"]
    angles = _angles(projection)
    if angles is not None:
        star.update(zip(("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"), angles.T, strict=True))
    if spacing:
        star["rlnMicrographPixelSize"] = np.full(len(columns["x"]), spacing)
    names = {
        "particle": "cryotypesParticle",
        "tilt": "cryotypesTilt",
        "tilt_angle": "cryotypesTiltAngle",
        "depth": "cryotypesDepth",
        "depth_angstrom": "cryotypesDepthAngst",
        "inside": "cryotypesInside",
    }
    star.update({names[name]: columns[name] for name in names if name in columns})
    return pl.DataFrame(star)
