"""How projected particles are drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from cryotypes.geometry import Projection

_OUTSIDE = "#e8000b"
_COLOURS = "viridis"
_ON_DARK, _ON_WHITE = (0.35, 0.97), (0.0, 0.93)  # the part of the colours that is seen well
_CROWD = 300  # more particles than these are drawn as dots


class Particles:
    """Circles, coloured by depth, with a line along the particle's z axis.

    Parameters
    ----------
    projection : Projection
    chosen : list of int
        The depths in these tilts share the colours.
    box : float or None
        Diameter in pixels of the tilt images.
    point : float
        Pixels of the tilt images per point (1/72 inch) on paper.
    dark : bool
        Whether they are drawn on images.
    """

    def __init__(
        self,
        projection: Projection[Any],
        chosen: list[int],
        box: float | None,
        point: float,
        dark: bool,
    ) -> None:
        from matplotlib import colormaps
        from matplotlib.colors import ListedColormap, Normalize

        self.projection = projection
        n = projection.depth.shape[1]
        # from 11 points for a few particles down to dots for thousands
        self.crowded = n > _CROWD
        points = 1.2 if self.crowded else float(np.clip(60 / np.sqrt(max(n, 1)), 4, 11))
        self.diameter = box or point * points
        self.length = point * 4.5 if self.crowded else 0.8 * self.diameter
        depth = projection.depth[chosen]
        largest = float(np.abs(depth).max(initial=0)) or 1.0
        self.depths = Normalize(-largest, largest)
        part = np.linspace(*(_ON_DARK if dark else _ON_WHITE), 256)
        self.colours = ListedColormap(colormaps[_COLOURS](part))
        self.inside: NDArray[np.bool_] = np.ones(projection.depth.shape, dtype=bool)
        if projection.tilt_image_dimensions is not None:
            self.inside = projection.inside()

    def draw(self, axes: Axes, tilt: int) -> None:
        """Draw those of one tilt."""
        from matplotlib.collections import EllipseCollection, LineCollection
        from matplotlib.colors import to_rgba

        place = self.projection.position[tilt]
        colours = self.colours(self.depths(self.projection.depth[tilt]))
        colours[~self.inside[tilt]] = to_rgba(_OUTSIDE)
        width = 1.6
        if self.crowded:
            width, colours[:, 3] = 0.6, 0.7
        sizes = np.full(len(place), self.diameter)
        axes.add_collection(
            EllipseCollection(
                sizes,
                sizes,
                np.zeros(len(place)),
                units="xy",
                offsets=place,
                offset_transform=axes.transData,
                facecolors=colours if self.crowded else "none",
                edgecolors=colours,
                linewidths=width,
            ),
            autolim=False,
        )
        turn = self.projection.orientation(tilt)
        if turn is not None and len(place):
            ends = place + turn.apply([0.0, 0.0, self.length])[:, :2]
            lines = np.stack([place, ends], axis=1)
            axes.add_collection(
                LineCollection(list(lines), colors=colours, linewidths=width), autolim=False
            )

    def add_scale(self, figure: Figure, panels: Any) -> None:
        """Add the scale of the colours."""
        from matplotlib.cm import ScalarMappable

        if self.projection.depth.size:
            scale = ScalarMappable(self.depths, self.colours)
            bar = figure.colorbar(scale, ax=panels, shrink=0.6, aspect=30, pad=0.01)
            bar.set_label("depth along the beam (px)")
