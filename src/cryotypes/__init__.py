"""One vocabulary for cryo-EM data, and the files they come from.

Types: `PoseSet`, `Image`, `ProjectionModel`. Files: `read`, `read_poses`, `read_image`,
`read_projection_model`, `write`. Operations: `match`, `project`, `backproject`,
`triangulate`, `rescale`, `apply_shifts`, `flip_z`, `select`, `split`, `concatenate`. Comparisons:
`compare_poses`, `compare_projection_models`. Images: `bin_image` with `bin_poses`, `crop_image`
with `crop_poses`, `to_dask`. Formats: `identify`, `known_formats`, `register_format`.

What the operations return, and `statistics`, `contrast_limits`, `central_slice` and
`orthogonal_slices` of images, is in `cryotypes.geometry` and `cryotypes.image`.

>>> import cryotypes as ct
>>> ct.PoseSet([[10, 20, 30]], experiment_id="TS_01", pixel_spacing=10)
PoseSet 'TS_01': 1 particle, 10 Å/px, no shift, no orientation
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._version import __version__ as __version__
    from .conversion import convert as convert
    from .geometry import apply_shifts as apply_shifts
    from .geometry import backproject as backproject
    from .geometry import bin_image as bin_image
    from .geometry import bin_poses as bin_poses
    from .geometry import compare_poses as compare_poses
    from .geometry import compare_projection_models as compare_projection_models
    from .geometry import crop_image as crop_image
    from .geometry import crop_poses as crop_poses
    from .geometry import flip_z as flip_z
    from .geometry import project as project
    from .geometry import rescale as rescale
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
    from .registry import known_formats as known_formats
    from .registry import register_format as register_format
else:
    from ._lazy import lazy

    __getattr__, __dir__ = lazy()
