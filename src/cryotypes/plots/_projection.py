"""Particles over the images of their tilt series."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from cryotypes.errors import MissingPackageError
from cryotypes.image import ImageProtocol
from cryotypes.projectionmodel import ProjectionModelDataLabels as Labels

from ._particles import Particles
from ._view import View

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike

    from cryotypes.geometry import Projection

_WIDTH, _DPI = 12.0, 100  # inches and pixels per inch: 1200 pixels
_MARGIN, _TITLE = 1.75, 0.3  # inches for scale and ticks, and for a line of text
_PANELS = 6


def plot_projection(
    projection: Projection[Any],
    images: ImageProtocol | ArrayLike | Sequence[ArrayLike] | None = None,
    *,
    tilts: Sequence[int] | None = None,
    columns: int = 3,
    box: float | None = None,
    title: str | None = None,
) -> Figure:
    """Draw projected particles, one panel a tilt image.

    x points to the right and y up: the first pixel of an image is in the lower left corner, as
    3dmod shows it. Particles are circles, their colour is the depth along the beam (brighter is
    higher z), red if outside the image; a line from the centre is the particle's z axis, seen
    along the beam. Where the size of the images is unknown, axes count from the image centre, and
    the outline is the shadow of the tomogram, if its size is known.

    Parameters
    ----------
    projection : Projection
        From `cryotypes.project`.
    images : Image, array (n_tilts, y, x) or sequence of arrays (y, x), optional
        One image a row of ``projection.model``, in the same order. Only those shown are read;
        percentiles of all of these together set the contrast.
    tilts : sequence of int, optional
        Which tilts; by default about six, spread evenly over the angles, with that nearest 0°.
    columns : int
        Panels side by side.
    box : float, optional
        Diameter of the circles, in pixels of the tilt images; by default as many particles leave
        room for.
    title : str, optional
        By default the experiment and the number of particles; "" for none.

    Returns
    -------
    matplotlib.figure.Figure
        1200 pixels wide; save it with `save_figure`.

    Raises
    ------
    MissingPackageError
        Without matplotlib.
    ValueError
        If the images do not fit the projection, or there is no such tilt.

    Examples
    --------
    >>> import pandas as pd
    >>> from cryotypes import PoseSet, project
    >>> from cryotypes.plots import plot_projection
    >>> model = pd.DataFrame({"rotation_x": 0.0, "rotation_y": [-60, 0, 60], "rotation_z": 0.0,
    ...     "dx": 0.0, "dy": 0.0, "experiment_id": "TS_01", "pixel_spacing": 10.0, "source": ""})
    >>> poses = PoseSet([[30, 25, 10]], experiment_id="TS_01", pixel_spacing=10)
    >>> projection = project(poses, model, tomogram_dimensions=(50, 50, 20),
    ...                      tilt_image_dimensions=(50, 50))
    >>> [axes.get_title() for axes in plot_projection(projection).axes[:3]]
    ['tilt 0, −60.0°', 'tilt 1, +0.0°', 'tilt 2, +60.0°']
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingPackageError("matplotlib", "plots", "drawing") from error
    sections = _sections(images, projection)
    chosen = _chosen_tilts(projection, tilts)
    columns = max(1, min(columns, len(chosen)))
    rows = math.ceil(len(chosen) / columns)
    view = View(projection, sections, chosen)
    width = (_WIDTH - _MARGIN) / columns
    height = width * view.height / view.width + _TITLE
    size = (_WIDTH, rows * height + 2 * _TITLE)
    figure = Figure(figsize=size, dpi=_DPI, layout="constrained")
    panels: Any = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    point = view.width / (width * 72)
    particles = Particles(projection, chosen, box, point, dark=bool(view.images))
    for tilt, axes in zip(chosen, panels.flat, strict=False):
        view.draw(axes, tilt)
        particles.draw(axes, tilt)
        axes.set_title(_panel_title(projection, tilt), fontsize=10)
    for axes in panels.flat[len(chosen) :]:
        axes.set_axis_off()
    _label(figure, panels, projection, len(chosen), title)
    particles.add_scale(figure, panels)
    return figure


def _sections(images: Any, projection: Projection[Any]) -> Any:
    """Return something of which ``[tilt]`` is an image (y, x), or None."""
    sections: Any = images.data if isinstance(images, ImageProtocol) else images
    if sections is not None and len(sections) != len(projection):
        raise ValueError(
            f"images: expected {len(projection)}, one for each tilt, found {len(sections)}"
        )
    return sections


def _chosen_tilts(projection: Projection[Any], tilts: Sequence[int] | None) -> list[int]:
    """Return indices of tilts, in order of their angles unless they are given."""
    n = len(projection)
    if not n:
        raise ValueError("the projection has no tilt image to draw")
    if tilts is not None:
        wrong = [tilt for tilt in tilts if not -n <= tilt < n]
        if wrong or not len(tilts):
            found = wrong[0] if wrong else "none"
            raise ValueError(f"tilts: expected numbers from 0 to {n - 1}, found {found}")
        return [int(tilt) % n for tilt in tilts]
    angles = projection.model[Labels.ROTATION_Y].to_numpy(dtype=float)
    order = np.argsort(angles, kind="stable")
    last, steps = n - 1, min(n, _PANELS) - 1
    untilted = int(np.abs(angles[order]).argmin())
    before = round(untilted / max(last, 1) * steps)
    places = np.concatenate(
        [np.linspace(0, untilted, before + 1), np.linspace(untilted, last, steps - before + 1)]
    )
    return [int(tilt) for tilt in order[np.unique(places.round().astype(int))]]


def _panel_title(projection: Projection[Any], tilt: int) -> str:
    angle = float(projection.model[Labels.ROTATION_Y].iloc[tilt])
    text = f"tilt {tilt}, {angle:+.1f}°".replace("-", "−")
    if projection.tilt_image_dimensions is None:
        return text
    outside = int((~projection.inside()[tilt]).sum())
    return f"{text}, {outside} outside" if outside else text


def _label(
    figure: Figure, panels: Any, projection: Projection[Any], shown: int, title: str | None
) -> None:
    """Name figure and axes; ticks only at the left and below the lowest panel of each column."""
    if title is None:
        n = projection.depth.shape[1]
        name = getattr(projection.poses, "experiment_id", "")
        title = f"{name}: {n} particle{'' if n == 1 else 's'}".removeprefix(": ")
    if title:
        figure.suptitle(title, fontsize=12)
    where = " from the image centre" if projection.centered else ""
    rows, columns = panels.shape
    for row in range(rows):
        panels[row, 0].set_ylabel(f"y{where} (px)")
    for column in range(columns):
        lowest = panels[(shown - 1 - column) // columns, column]
        lowest.set_xlabel(f"x{where} (px)")
        lowest.tick_params(labelbottom=True)
