"""Projection matrices from a ProjectionModel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cryotypes.errors import ValidationError

from ._data_labels import ProjectionModelDataLabels as Labels
from ._transformations import Rx, Ry, Rz, S

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ._typing import ProjectionModel


def projection_model_to_projection_matrices(
    df: ProjectionModel,
    tilt_image_center: Sequence[float],
    tomogram_dimensions: Sequence[int],
) -> NDArray[np.float64]:
    """Calculate 4×4 projection matrices from a ProjectionModel.

    A matrix takes a position in the tomogram (an xyzw column, 0-based pixels) to the camera::

        S(tilt_image_center) @ S(dx, dy) @ Rz @ Ry @ Rx @ S(-(tomogram_dimensions // 2))

    All lengths are in pixels of the tilt image; `cryotypes.project` handles other spacings.

    Parameters
    ----------
    df : ProjectionModel, n rows
        With rotation_x, rotation_y, rotation_z (degrees), dx, dy (pixels).
    tilt_image_center : (x, y)
        Rotation centre in the tilt images, pixels.
    tomogram_dimensions : (x, y, z)
        In pixels of the unbinned tilt series; its centre is ``dimensions // 2``.

    Returns
    -------
    array, shape (n, 4, 4)
        In the order of the rows. x and y are the place in the tilt image, z the depth.

    Raises
    ------
    ValidationError
        If a column is missing.

    Examples
    --------
    >>> import pandas as pd
    >>> row = {"rotation_x": 0, "rotation_y": 0, "rotation_z": 90, "dx": 5, "dy": 0}
    >>> m = projection_model_to_projection_matrices(pd.DataFrame([row]), (50, 50), (100, 100, 40))
    >>> (m @ [60, 50, 20, 1]).round(6)  # x, turned about z by 90°, points along y
    array([[55., 60.,  0.,  1.]])
    """
    missing = [name for name in [*Labels.ROTATION, *Labels.SHIFT] if name not in df]
    if missing:
        found = ", ".join(map(str, df.columns)) or "none"
        raise ValidationError(
            "projection model", [f"missing columns {', '.join(missing)}; found {found}"]
        )
    s0 = S(-(np.asarray(tomogram_dimensions) // 2))
    r0, r1, r2 = Rx(df[Labels.ROTATION_X]), Ry(df[Labels.ROTATION_Y]), Rz(df[Labels.ROTATION_Z])
    s1 = S(df[Labels.SHIFT])
    s2 = S(tilt_image_center)
    return s2 @ s1 @ r2 @ r1 @ r0 @ s0
