"""What is behind projected particles: tilt images, or outlines where there are none."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from cryotypes.projectionmodel import ProjectionModelDataLabels as Labels
from cryotypes.projectionmodel import dimensions_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from cryotypes.geometry import Projection

    Floats = NDArray[np.float64]

_SHOWN = 400  # images are reduced to between so many pixels and twice as many
_PERCENTILES = (0.5, 99.7)
_LINE: dict[str, Any] = {"fill": False, "edgecolor": "0.45", "linewidth": 0.8}


class View:
    """The part of the camera plane that all panels show.

    Parameters
    ----------
    projection : Projection
    sections : sequence of images (y, x), or None
        Only the chosen ones are read.
    chosen : list of int
    """

    def __init__(self, projection: Projection[Any], sections: Any, chosen: list[int]) -> None:
        self.size = projection.tilt_image_dimensions
        self.images: dict[int, tuple[Floats, int]] = {}
        for tilt in [] if sections is None else chosen:
            image = self._checked(np.asarray(sections[tilt]), tilt)
            self.images[tilt] = _reduced(image)
        origin = np.zeros(2)  # index of the pixel at coordinate 0
        if self.size is not None and projection.centered:
            origin = np.array(self.size) // 2 * 1.0
        self.corner = -0.5 - origin  # of the first pixel
        self.shadows = {} if self.size is not None else _shadows(projection, chosen)
        self.low, self.high = self._limits([projection.position[tilt] for tilt in chosen])
        self.width, self.height = map(float, self.high - self.low)
        self.contrast = _contrast([image for image, _ in self.images.values()])

    def _checked(self, image: NDArray[Any], tilt: int) -> NDArray[Any]:
        """Return an image if it has the size of the others; the first one may set it."""
        if image.ndim == 2:
            size = (int(image.shape[1]), int(image.shape[0]))
            self.size = self.size or size
            if size == self.size:
                return image
        expected = f"{self.size[0]} × {self.size[1]} pixels (xy)" if self.size else "(y, x)"
        raise ValueError(
            f"images: tilt {tilt}: expected an image of {expected}, found shape {image.shape}"
        )

    def _limits(self, points: list[Floats]) -> tuple[Floats, Floats]:
        """Return the lowest and highest xy: the image, or else whatever there is."""
        if self.size is not None:
            low, high = self.corner, self.corner + self.size
            away = any(((p < low) | (p > high)).any() for p in points)
            room = (0.1 if away else 0.01) * (high - low).max()
        else:
            corners = np.concatenate([*points, *self.shadows.values(), [[-1, -1], [1, 1]]])
            low, high = corners.min(axis=0), corners.max(axis=0)
            room = 0.03 * (high - low).max()
        return low - room, high + room

    def draw(self, axes: Axes, tilt: int) -> None:
        """Draw the image, or its outline, or the shadow of the tomogram; set the limits."""
        from matplotlib.patches import Polygon, Rectangle

        if tilt in self.images:
            image, step = self.images[tilt]
            x, y = self.corner
            extent = (x, x + image.shape[1] * step, y, y + image.shape[0] * step)
            low, high = self.contrast
            axes.imshow(image, cmap="gray", origin="lower", extent=extent, vmin=low, vmax=high)
        elif self.size is not None:
            x, y = map(float, self.corner)
            axes.add_patch(Rectangle((x, y), *self.size, **_LINE))
        elif tilt in self.shadows:
            axes.add_patch(Polygon(self.shadows[tilt], closed=True, **_LINE))
        axes.set(xlim=(self.low[0], self.high[0]), ylim=(self.low[1], self.high[1]), aspect="equal")


def _reduced(image: NDArray[Any]) -> tuple[Floats, int]:
    """Return an image averaged over squares of step x step pixels, and the step."""
    step = max(1, min(image.shape) // _SHOWN)
    height, width = (size // step for size in image.shape)
    squares = image[: height * step, : width * step].reshape(height, step, width, step)
    return squares.mean(axis=(1, 3), dtype=np.float64), step


def _contrast(images: list[Floats]) -> tuple[float, float]:
    if not images:
        return 0.0, 1.0
    low, high = np.nanpercentile(np.concatenate([i.ravel() for i in images]), _PERCENTILES)
    return float(low), float(high)


def _shadows(projection: Projection[Any], chosen: list[int]) -> dict[int, Floats]:
    """Return the outline of the projected tomogram in each tilt; empty if its size is unknown."""
    from scipy.spatial import ConvexHull

    found = _tomogram(projection)
    if found is None:
        return {}
    size, scale = found
    ends = [(-0.5 - n // 2, n - 0.5 - n // 2) for n in size]
    corners = np.array(list(itertools.product(*ends))) * scale
    model = projection.model
    spacing = float(model[Labels.PIXEL_SPACING].iloc[0]) if Labels.PIXEL_SPACING in model else 0.0
    ratio = spacing / projection.pixel_spacing if projection.pixel_spacing else 1.0
    shifts = model[Labels.SHIFT].to_numpy(dtype=float) * ratio + projection.tilt_image_center
    shadows = {}
    for tilt in chosen:
        flat = projection.rotation[tilt].apply(corners)[:, :2] + shifts[tilt]
        shadows[tilt] = flat[ConvexHull(flat).vertices]
    return shadows


def _tomogram(projection: Projection[Any]) -> tuple[tuple[int, ...], float] | None:
    """Return the tomogram's size (xyz) and how many pixels of the tilt images its pixels are."""
    model, poses = projection.model, projection.poses
    name = str(getattr(poses, "experiment_id", ""))
    if Labels.EXPERIMENT_ID in model and len(model):
        name = str(model[Labels.EXPERIMENT_ID].iloc[0])
    size = dimensions_of(model, "tomogram_dimensions", name)
    spacing = float(model[Labels.PIXEL_SPACING].iloc[0]) if Labels.PIXEL_SPACING in model else 0.0
    if size is None:
        stated = (getattr(poses, "metadata", None) or {}).get("tomogram", {})
        if stated.get("dimensions") is None:
            return None
        size = tuple(int(n) for n in stated["dimensions"])
        spacing = float(stated.get("pixel_spacing") or poses.pixel_spacing)
    known = spacing > 0 and projection.pixel_spacing > 0
    return size, spacing / projection.pixel_spacing if known else 1.0
