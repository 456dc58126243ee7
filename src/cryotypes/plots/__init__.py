"""Pictures of what the types hold; matplotlib is imported when the first one is drawn."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._projection import plot_projection as plot_projection
    from ._save import save_figure as save_figure
else:
    from cryotypes._lazy import lazy

    __getattr__, __dir__ = lazy()
