"""Pure operations on the types; nothing here sees a file."""

from cryotypes._lazy import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._backprojection import Rays as Rays
    from ._backprojection import backproject as backproject
    from ._comparison import compare_projection_models as compare_projection_models
    from ._explanations import Explanation as Explanation
    from ._handedness import flip_z as flip_z
    from ._image_binning import bin_image as bin_image
    from ._image_binning import bin_poses as bin_poses
    from ._image_cropping import crop as crop
    from ._image_cropping import crop_poses as crop_poses
    from ._image_slices import ImageStatistics as ImageStatistics
    from ._image_slices import central_slice as central_slice
    from ._image_slices import contrast_limits as contrast_limits
    from ._image_slices import orthogonal_slices as orthogonal_slices
    from ._image_slices import statistics as statistics
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
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "Explanation": "_explanations",
            "ImageStatistics": "_image_slices",
            "ModelComparison": "_model_comparison",
            "PoseComparison": "_pose_comparison",
            "Projection": "_projection",
            "Rays": "_backprojection",
            "Triangulation": "_triangulation",
            "apply_shifts": "_pixels",
            "backproject": "_backprojection",
            "bin_image": "_image_binning",
            "bin_poses": "_image_binning",
            "central_slice": "_image_slices",
            "compare_poses": "_pose_comparison",
            "compare_projection_models": "_comparison",
            "contrast_limits": "_image_slices",
            "crop": "_image_cropping",
            "crop_poses": "_image_cropping",
            "flip_z": "_handedness",
            "orthogonal_slices": "_image_slices",
            "project": "_projection",
            "rescale": "_pixels",
            "statistics": "_image_slices",
            "triangulate": "_triangulation",
        },
    )

__all__ = [
    "Explanation",
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
]
