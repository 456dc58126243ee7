"""One module a format; a module declares itself in ``FORMAT``."""

from cryotypes._lazy import lazy

BUILT_IN = (
    "relion_star",
    "relion_tilt_series",
    "mrc",
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._files import writing as writing
    from ._format import Format as Format
    from ._format import Head as Head
else:
    __getattr__, __dir__ = lazy(
        __name__, {"Format": "_format", "Head": "_format", "writing": "_files"}
    )

__all__ = ["BUILT_IN", "Format", "Head", "writing"]
