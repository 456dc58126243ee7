"""The size of a tomogram, which is none without the pixel spacing that it is counted in.

One meaning everywhere: ``tomogram_dimensions`` are x, y, z in pixels of the unbinned tilt series,
whose Å per pixel ``tomogram_spacing`` states, or the tilt series itself.
"""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    Size = tuple[float, float, float]


@dataclass(frozen=True)
class TomogramSize:
    """A tomogram's size.

    Parameters
    ----------
    dimensions : (x, y, z)
        In pixels of ``pixel_spacing``.
    pixel_spacing : float
        Å per pixel; 0 if unknown.

    Examples
    --------
    >>> size = TomogramSize((4000, 4000, 2000), 1.35)
    >>> size.in_pixels(5.4)
    (1000.0, 1000.0, 500.0)
    >>> print(size)
    4000 × 4000 × 2000 px of 1.35 Å
    """

    dimensions: Size
    pixel_spacing: float = 0.0

    def __str__(self) -> str:
        size = " × ".join(f"{n:g}" for n in self.dimensions)
        return f"{size} px" + (f" of {self.pixel_spacing:g} Å" if self.pixel_spacing else "")

    def in_pixels(self, pixel_spacing: float) -> Size:
        """Return x, y, z in other pixels.

        Raises
        ------
        ValueError
            If only one of the two spacings is known.
        """
        ratio = self._ratio(pixel_spacing)
        x, y, z = (n * ratio for n in self.dimensions)
        return x, y, z

    def counted_in(self, pixel_spacing: float) -> TomogramSize:
        """Return the same size in pixels of a tilt series; as it is where those are unknown."""
        known = self.pixel_spacing and pixel_spacing > 0  # nor NaN
        if not known or self.pixel_spacing == pixel_spacing:  # whole numbers stay whole
            return self
        return TomogramSize(self.in_pixels(pixel_spacing), pixel_spacing)

    def centre(self, pixel_spacing: float) -> Size:
        """Return the index of the centre voxel, N // 2 in the size's own pixels, in other pixels.

        Raises
        ------
        ValueError
            If only one of the two spacings is known.
        """
        ratio = self._ratio(pixel_spacing)
        x, y, z = (n // 2 * ratio for n in self.dimensions)
        return x, y, z

    def _ratio(self, pixel_spacing: float) -> float:
        if bool(self.pixel_spacing) != bool(pixel_spacing):
            unknown = (
                "the tomogram's size"
                if not self.pixel_spacing
                else "the particles or tilt series that it belongs to"
            )
            raise ValueError(
                f"the pixel spacing of {unknown} is unknown (0): give "
                + (
                    "tomogram_spacing= (--tomogram-spacing)"
                    if not self.pixel_spacing
                    else "pixel_spacing= (--pixel-spacing)"
                )
            )
        # whole numbers stay whole where nothing changes
        same = math.isclose(self.pixel_spacing, pixel_spacing, rel_tol=1e-9)
        return 1.0 if same else self.pixel_spacing / pixel_spacing


def is_size(dimensions: Iterable[Any], count: int = 3) -> bool:
    """Whether these are numbers of pixels: finite and above 0; programs write 0 for unknown."""
    sizes = list(dimensions)
    return len(sizes) == count and all(
        isinstance(n, numbers.Real) and math.isfinite(n) and float(n) > 0 for n in sizes
    )


def tomogram_size(
    dimensions: Sequence[float] | Mapping[str, Sequence[float]] | None,
    spacing: float | None,
    *,
    experiment_id: str = "",
    tilt_series: float | None = None,
) -> TomogramSize | None:
    """Make a size of the two options; None if none was given.

    Parameters
    ----------
    dimensions : (x, y, z), or dict of these by experiment
        What was given as ``tomogram_dimensions=``.
    spacing : float, optional
        What was given as ``tomogram_spacing=``.
    tilt_series : float, optional
        Å per pixel of the unbinned tilt series as a file or a model states it, which is what a
        size without a spacing is counted in; None (or NaN) if nothing states it, 0 if there are
        no spacings at all.

    Raises
    ------
    ValueError
        If it is no size, or nobody knows what it is counted in.
    """
    check_spacing(spacing)
    if dimensions is None:
        return None
    given: Any = dimensions.get(experiment_id) if hasattr(dimensions, "get") else dimensions
    if given is None:
        return None
    sizes = list(given)
    if not is_size(sizes):
        raise ValueError(
            "tomogram_dimensions (--tomogram-size): expected x, y, z in pixels of the unbinned "
            f"tilt series, each above 0, found {tuple(sizes)}"
        )
    if spacing is None:
        if tilt_series is None or math.isnan(tilt_series):
            raise ValueError(
                f"a size without its pixel spacing is no size: {' '.join(f'{n:g}' for n in sizes)} "
                "are pixels of the unbinned tilt series, whose pixel spacing no file states: give "
                "tomogram_spacing= (--tomogram-spacing)"
            )
        spacing = tilt_series
    x, y, z = sizes
    return TomogramSize((x, y, z), float(spacing))


def check_spacing(spacing: float | None) -> None:
    """Refuse what is no pixel spacing of a tilt series.

    Raises
    ------
    ValueError
    """
    if spacing is not None and not (math.isfinite(spacing) and spacing > 0):
        raise ValueError(
            f"tomogram_spacing (--tomogram-spacing): expected Å per pixel, found {spacing}"
        )


def is_tomogram(value: Any) -> bool:
    """Whether it is what ``metadata["tomogram"]`` should be: a dict, of numbers where it has any.

    Numbers that are no size (0 for unknown) are in order; a size of another form is not.
    """
    if not isinstance(value, dict):
        return False
    size, spacing = value.get("dimensions"), value.get("pixel_spacing")
    if size is not None and not (hasattr(size, "__len__") and len(size) == 3):
        return False
    stated = [spacing or 0, *(() if size is None else size)]
    return all(isinstance(number, numbers.Real) for number in stated)


def stated_size(poses: Any) -> TomogramSize | None:
    """Return what poses' ``metadata["tomogram"]`` state: ``dimensions`` and ``pixel_spacing``.

    Without the latter they are pixels of the poses.
    """
    metadata: Mapping[str, Any] | None = getattr(poses, "metadata", None)
    tomogram: Any = (metadata or {}).get("tomogram")
    if not is_tomogram(tomogram) or tomogram.get("dimensions") is None:
        return None
    if not is_size(tomogram["dimensions"]):
        return None
    x, y, z = tomogram["dimensions"]
    return TomogramSize((x, y, z), float(tomogram.get("pixel_spacing") or poses.pixel_spacing))


def with_tomogram(metadata: dict[str, Any], spacing: float | None) -> dict[str, Any]:
    """``metadata`` whose tomogram states its pixel spacing, or, for None, no size."""
    tomogram = metadata.get("tomogram") or {}
    if tomogram.get("dimensions") is None or (spacing and tomogram.get("pixel_spacing")):
        return {}
    if spacing:
        stated = {**tomogram, "pixel_spacing": spacing}
    else:
        stated = {key: value for key, value in tomogram.items() if key != "dimensions"}
    return {"metadata": {**metadata, "tomogram": stated}}
