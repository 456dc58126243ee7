"""One vocabulary for cryo-EM data, and the files they come from.

Types: `PoseSet`, `Image`, `ProjectionModel`. Files: `read`, `read_poses`, `read_image`,
`read_projection_model`, `write`. Operations: `match`, `project`, `backproject`,
`triangulate`, `rescale`, `apply_shifts`, `flip_z`, `select`, `split`, `concatenate`. Comparisons:
`compare_poses`, `compare_projection_models`. Images: `statistics`, `central_slice`,
`orthogonal_slices`, `contrast_limits`, `bin_image` with `bin_poses`, `crop` with `crop_poses`,
`to_dask`.

>>> import cryotypes as ct
>>> ct.PoseSet([[10, 20, 30]], experiment_id="TS_01", pixel_spacing=10)
PoseSet 'TS_01': 1 particle, 10 Å/px, no shift, no orientation
"""

from ._lazy import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .conversion import convert as convert
    from .geometry import ImageStatistics as ImageStatistics
    from .geometry import ModelComparison as ModelComparison
    from .geometry import PoseComparison as PoseComparison
    from .geometry import Projection as Projection
    from .geometry import Rays as Rays
    from .geometry import Triangulation as Triangulation
    from .geometry import apply_shifts as apply_shifts
    from .geometry import backproject as backproject
    from .geometry import bin_image as bin_image
    from .geometry import bin_poses as bin_poses
    from .geometry import central_slice as central_slice
    from .geometry import compare_poses as compare_poses
    from .geometry import compare_projection_models as compare_projection_models
    from .geometry import contrast_limits as contrast_limits
    from .geometry import crop as crop
    from .geometry import crop_poses as crop_poses
    from .geometry import flip_z as flip_z
    from .geometry import orthogonal_slices as orthogonal_slices
    from .geometry import project as project
    from .geometry import rescale as rescale
    from .geometry import statistics as statistics
    from .geometry import triangulate as triangulate
    from .image import Image as Image
    from .image import ImageProtocol as ImageProtocol
    from .image import MicrographProtocol as MicrographProtocol
    from .image import TomogramProtocol as TomogramProtocol
    from .image import to_dask as to_dask
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
        "geometry": (
            "ImageStatistics",
            "ModelComparison",
            "PoseComparison",
            "Projection",
            "Rays",
            "Triangulation",
            "apply_shifts",
            "backproject",
            "bin_image",
            "bin_poses",
            "central_slice",
            "compare_poses",
            "compare_projection_models",
            "contrast_limits",
            "crop",
            "crop_poses",
            "flip_z",
            "orthogonal_slices",
            "project",
            "rescale",
            "statistics",
            "triangulate",
        ),
        "image": (
            "Image",
            "ImageProtocol",
            "MicrographProtocol",
            "TomogramProtocol",
            "to_dask",
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
    "ImageStatistics",
    "LossReport",
    "Matches",
    "MicrographProtocol",
    "ModelComparison",
    "PoseComparison",
    "PoseSet",
    "PoseSetProtocol",
    "Projection",
    "ProjectionModel",
    "ProjectionModelDataLabels",
    "Rays",
    "TomogramProtocol",
    "Triangulation",
    "apply_shifts",
    "backproject",
    "bin_image",
    "bin_poses",
    "central_slice",
    "compare_poses",
    "compare_projection_models",
    "concatenate",
    "contrast_limits",
    "convert",
    "crop",
    "crop_poses",
    "flip_z",
    "identify",
    "match",
    "orthogonal_slices",
    "project",
    "projection_model_to_projection_matrices",
    "read",
    "read_image",
    "read_poses",
    "read_projection_model",
    "register_format",
    "rescale",
    "select",
    "split",
    "statistics",
    "to_dask",
    "triangulate",
    "validate_image",
    "validate_micrograph",
    "validate_poseset",
    "validate_projection_model",
    "validate_tomogram",
    "write",
]
