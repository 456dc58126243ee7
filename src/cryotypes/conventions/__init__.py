"""How programs write rotations, origins, units and signs: rows of data and one small engine."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._engine import compose as compose
    from ._engine import decode_orientation as decode_orientation
    from ._engine import decode_position as decode_position
    from ._engine import decode_shift as decode_shift
    from ._engine import decode_tilts as decode_tilts
    from ._engine import decode_transforms as decode_transforms
    from ._engine import encode_orientation as encode_orientation
    from ._engine import encode_position as encode_position
    from ._engine import encode_shift as encode_shift
    from ._engine import encode_tilts as encode_tilts
    from ._engine import encode_transforms as encode_transforms
    from ._engine import factor as factor
    from ._engine import flip_y as flip_y
    from ._engine import nearest_euler as nearest_euler
    from ._engine import rescale as rescale
    from ._model import Offset as Offset
    from ._model import Place as Place
    from ._model import PlaceConvention as PlaceConvention
    from ._model import PoseConvention as PoseConvention
    from ._model import TiltConvention as TiltConvention
    from ._model import Turn as Turn
else:
    from cryotypes._lazy import lazy

    __getattr__, __dir__ = lazy()
