"""Particle poses, 2D and 3D."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._attributes import PoseSetProtocol as PoseSetProtocol
    from ._operations import concatenate as concatenate
    from ._operations import select as select
    from ._operations import split as split
    from ._protocol import PoseSet as PoseSet
    from ._validators import validate_poseset as validate_poseset
else:
    from cryotypes._lazy import lazy

    __getattr__, __dir__ = lazy()
