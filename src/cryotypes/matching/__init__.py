"""Join poses, alignments, tilt images and tomograms that belong to one experiment."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._match import match as match
    from ._matches import RULES as RULES
    from ._matches import Experiment as Experiment
    from ._matches import Matches as Matches
    from ._matches import Name as Name
    from ._matches import Unmatched as Unmatched
    from ._things import sort_out as sort_out
else:
    from cryotypes._lazy import lazy

    __getattr__, __dir__ = lazy()
