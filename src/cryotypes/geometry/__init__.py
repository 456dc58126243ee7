"""Pure operations on the types; nothing here sees a file."""

from cryotypes._lazy import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._projection import Projection as Projection
    from ._projection import project as project
else:
    __getattr__, __dir__ = lazy(__name__, {"Projection": "_projection", "project": "_projection"})

__all__ = ["Projection", "project"]
