"""A simulated experiment of known truth, on which the package is measured."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._run import DemoResult as DemoResult
    from ._run import run_demo as run_demo
else:
    from cryotypes._lazy import lazy

    __getattr__, __dir__ = lazy()
