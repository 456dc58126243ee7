"""Whether particles lie in their tomogram: a net under every wrong size, spacing and origin."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from cryotypes._sizes import stated_size
from cryotypes.errors import GuessWarning
from cryotypes.poseset._operations import places

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cryotypes._sizes import TomogramSize

MARGIN = 0.05  # of the longest side: the particle's own radius, and what refinement moved it


def warn_outside(
    posesets: Iterable[Any], where: str, sizes: Mapping[str, TomogramSize] | None = None
) -> None:
    """Warn of particles outside their tomogram, once for all of them.

    Parameters
    ----------
    posesets : PoseSets
        Their shifts count.
    where : str
        What the message begins with: a file, or an operation.
    sizes : mapping, optional
        By experiment_id; by default what each one's ``metadata["tomogram"]`` states. Those without
        a size, or with only one known pixel spacing, are passed over, and so are those that state
        the same themselves: reading them has warned.

    Warns
    -----
    GuessWarning
        With how many, how far, and which size and spacings were used.
    """
    count = total = 0
    worst: tuple[float, str, TomogramSize, float] | None = None
    for poses in posesets:
        stated = stated_size(poses)
        size = stated if sizes is None else sizes.get(poses.experiment_id)
        spacing = float(poses.pixel_spacing or 0)
        if size is None or bool(size.pixel_spacing) != bool(spacing):
            continue
        if not np.size(poses.position) or (sizes is not None and size == stated):
            continue
        distance = _distance(poses, size, spacing)
        beyond = distance > MARGIN * max(size.in_pixels(spacing))
        total += len(distance)
        count += int(beyond.sum())
        if beyond.any() and (worst is None or distance.max() > worst[0]):
            worst = (float(distance.max()), str(poses.experiment_id), size, spacing)
    if worst is None:
        return
    farthest, name, size, spacing = worst
    far = f"{farthest * spacing:.4g} Å" if spacing else f"{farthest:.4g} px"
    pixels = f"positions in pixels of {spacing:g} Å; " if spacing else ""
    warnings.warn(
        f"{where}: {count} of {total} particles are outside their tomogram, by up to {far} in "
        f"{name!r} (its size {size}; {pixels}the size, a pixel spacing or the origin may be wrong)",
        GuessWarning,
        stacklevel=4,
    )


def _distance(poses: Any, size: TomogramSize, spacing: float) -> Any:
    """Pixels from the tomogram's box along the worst axis; 0 or less inside."""
    points = places(poses)
    return np.maximum(-points, points - np.array(size.in_pixels(spacing))).max(axis=1)
