"""One vocabulary for cryo-EM data, and the files they come from.

Types: `PoseSet`, `Image`, `ProjectionModel`. Files: `read`, `read_poses`, `read_image`,
`read_projection_model`, `write`. Operations: `match`, `project`, `select`, `split`,
`concatenate`.

>>> import cryotypes as ct
>>> ct.PoseSet([[10, 20, 30]], experiment_id="TS_01", pixel_spacing=10)
PoseSet 'TS_01': 1 particle, 10 Å/px, no shift, no orientation
"""

from ._lazy import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .conversion import convert as convert
    from .geometry import Projection as Projection
    from .geometry import project as project
    from .image import Image as Image
    from .image import ImageProtocol as ImageProtocol
    from .image import MicrographProtocol as MicrographProtocol
    from .image import TomogramProtocol as TomogramProtocol
    from .image import validate_image as validate_image
    from .image import validate_micrograph as validate_micrograph
    from .image import validate_tomogram as validate_tomogram
    from .io import identify as identify
    from .io import read as read
    from .io import read_image as read_image
    from .io import read_poses as read_poses
    from .io import read_projection_model as read_projection_model
    from .io import write as write
    from .loss import LossReport as LossReport
    from .matching import Experiment as Experiment
    from .matching import Matches as Matches
    from .matching import match as match
    from .poseset import PoseSet as PoseSet
    from .poseset import PoseSetProtocol as PoseSetProtocol
    from .poseset import concatenate as concatenate
    from .poseset import select as select
    from .poseset import split as split
    from .poseset import validate_poseset as validate_poseset
    from .projectionmodel import ProjectionModel as ProjectionModel
    from .projectionmodel import ProjectionModelDataLabels as ProjectionModelDataLabels
    from .projectionmodel import (
        projection_model_to_projection_matrices as projection_model_to_projection_matrices,
    )
    from .projectionmodel import validate_projection_model as validate_projection_model
    from .registry import register_format as register_format

    __version__: str
else:
    _NAMES = {
        "conversion": ("convert",),
        "geometry": ("Projection", "project"),
        "image": (
            "Image",
            "ImageProtocol",
            "MicrographProtocol",
            "TomogramProtocol",
            "validate_image",
            "validate_micrograph",
            "validate_tomogram",
        ),
        "io": ("identify", "read", "read_image", "read_poses", "read_projection_model", "write"),
        "loss": ("LossReport",),
        "matching": ("Experiment", "Matches", "match"),
        "poseset": (
            "PoseSet",
            "PoseSetProtocol",
            "concatenate",
            "select",
            "split",
            "validate_poseset",
        ),
        "projectionmodel": (
            "ProjectionModel",
            "ProjectionModelDataLabels",
            "projection_model_to_projection_matrices",
            "validate_projection_model",
        ),
        "registry": ("register_format",),
        "_version": ("__version__",),
    }
    __getattr__, __dir__ = lazy(
        __name__, {name: module for module, names in _NAMES.items() for name in names}
    )

__all__ = [
    "Experiment",
    "Image",
    "ImageProtocol",
    "LossReport",
    "Matches",
    "MicrographProtocol",
    "PoseSet",
    "PoseSetProtocol",
    "Projection",
    "ProjectionModel",
    "ProjectionModelDataLabels",
    "TomogramProtocol",
    "concatenate",
    "convert",
    "identify",
    "match",
    "project",
    "projection_model_to_projection_matrices",
    "read",
    "read_image",
    "read_poses",
    "read_projection_model",
    "register_format",
    "select",
    "split",
    "validate_image",
    "validate_micrograph",
    "validate_poseset",
    "validate_projection_model",
    "validate_tomogram",
    "write",
]
