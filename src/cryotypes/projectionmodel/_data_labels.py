"""The column names of a ProjectionModel. Standard library only."""


class ProjectionModelDataLabels:
    """The column names of a ProjectionModel.

    ``ROTATION_X/Y/Z`` are extrinsic rotations of the specimen in degrees, applied in this order;
    ``SHIFT_X/Y`` are pixels in the camera plane, applied last.
    """

    ROTATION_X = "rotation_x"
    ROTATION_Y = "rotation_y"
    ROTATION_Z = "rotation_z"
    ROTATION = [ROTATION_X, ROTATION_Y, ROTATION_Z]  # noqa: RUF012 - a list in 0.2.0

    SHIFT_X = "dx"
    SHIFT_Y = "dy"
    SHIFT = [SHIFT_X, SHIFT_Y]  # noqa: RUF012

    EXPERIMENT_ID = "experiment_id"

    PIXEL_SPACING = "pixel_spacing"

    SOURCE = "source"
