"""One module a format; a module declares itself in ``FORMAT``."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .built_in import BUILT_IN as BUILT_IN
    from .poses._particles import Particles as Particles
    from .poses._particles import join_poses as join_poses
    from .poses._particles import to_posesets as to_posesets
    from .shared.declaration import Format as Format
    from .shared.declaration import Head as Head
    from .shared.files import read_text as read_text
    from .shared.files import writing as writing
    from .shared.rows import number_rows as number_rows
    from .shared.rows import read_numbers as read_numbers
    from .tilts._tilts import one_experiment as one_experiment
else:
    from cryotypes._lazy import lazy

    __getattr__, __dir__ = lazy()
