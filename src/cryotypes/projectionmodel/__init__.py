"""Tilt-series alignments: a pandas DataFrame, one row a tilt image."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._data_labels import ProjectionModelDataLabels as ProjectionModelDataLabels
    from ._dimensions import dimensions_of as dimensions_of
    from ._joining import concatenated as concatenated
    from ._typing import ProjectionModel as ProjectionModel
    from ._utils import (
        projection_model_to_projection_matrices as projection_model_to_projection_matrices,
    )
    from ._validators import validate_projection_model as validate_projection_model
else:
    from cryotypes._lazy import lazy

    __getattr__, __dir__ = lazy()
