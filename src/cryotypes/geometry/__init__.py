"""Pure operations on the types; nothing here sees a file."""

from cryotypes._lazy import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._backprojection import Rays as Rays
    from ._backprojection import backproject as backproject
    from ._comparison import compare_projection_models as compare_projection_models
    from ._explanations import Explanation as Explanation
    from ._handedness import flip_z as flip_z
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
            "ModelComparison": "_model_comparison",
            "PoseComparison": "_pose_comparison",
            "Projection": "_projection",
            "Rays": "_backprojection",
            "Triangulation": "_triangulation",
            "apply_shifts": "_pixels",
            "backproject": "_backprojection",
            "compare_poses": "_pose_comparison",
            "compare_projection_models": "_comparison",
            "flip_z": "_handedness",
            "project": "_projection",
            "rescale": "_pixels",
            "triangulate": "_triangulation",
        },
    )

__all__ = [
    "Explanation",
    "ModelComparison",
    "PoseComparison",
    "Projection",
    "Rays",
    "Triangulation",
    "apply_shifts",
    "backproject",
    "compare_poses",
    "compare_projection_models",
    "flip_z",
    "project",
    "rescale",
    "triangulate",
]
