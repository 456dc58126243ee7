"""Pure operations on the types; nothing here sees a file."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._backprojection import Rays as Rays
    from ._backprojection import backproject as backproject
    from ._comparison import compare_projection_models as compare_projection_models
    from ._explanations import Explanation as Explanation
    from ._handedness import flip_z as flip_z
    from ._image_binning import bin_image as bin_image
    from ._image_binning import bin_poses as bin_poses
    from ._image_cropping import crop_image as crop_image
    from ._image_cropping import crop_poses as crop_poses
    from ._model_comparison import ModelComparison as ModelComparison
    from ._pixels import apply_shifts as apply_shifts
    from ._pixels import rescale as rescale
    from ._pose_comparison import PoseComparison as PoseComparison
    from ._pose_comparison import compare_poses as compare_poses
    from ._projection import Projection as Projection
    from ._projection import project as project
    from ._triangulation import Triangulation as Triangulation
    from ._triangulation import triangulate as triangulate
else:
    from cryotypes._lazy import lazy

    __getattr__, __dir__ = lazy()
