"""Find the particles in images, to sub-pixel accuracy, and compare with where they should be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cryotypes.poseset._operations import places

from . import _simulate as simulate

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pandas import DataFrame
    from scipy.spatial.transform import Rotation

    from cryotypes.geometry import Projection
    from cryotypes.image import Image
    from cryotypes.poseset import PoseSet

    Floats = NDArray[np.float64]

HALF = 16  # half the window that is compared, in pixels of the tilt images
_REACH = 8  # how far from the expected place a particle is looked for
_STEPS = 6
_COLUMNS = ["experiment_id", "tilt", "particle", "x", "y"]
_COLUMNS += ["error", "flipped", "correlation", "inverse"]


@dataclass(frozen=True)
class Pattern:
    """A sum of Gaussians in two or three dimensions; coordinates count from its centre.

    Parameters
    ----------
    points : array, shape (n, d)
        xy or xyz, in pixels of the image.
    sigma : float
        In pixels of the image.
    half : int
        Half the window, in pixels of the image.
    """

    points: Floats
    sigma: float = simulate.SIGMA
    half: int = HALF

    def render(self, centre: Floats) -> tuple[Floats, list[Floats]]:
        """Return the pattern about a centre (x, y or x, y, z), and its change when that moves.

        The window of 2 half + 1 pixels (yx or zyx) is about the pixel nearest to the centre.
        """
        offset = np.arange(-self.half, self.half + 1) + (np.rint(centre) - centre)[:, None]
        dimensions = len(centre)
        away = [
            np.expand_dims(
                offset[axis], [i for i in range(dimensions) if i != dimensions - 1 - axis]
            )
            for axis in range(dimensions)
        ]
        pattern = np.zeros((2 * self.half + 1,) * dimensions)
        moves = [np.zeros_like(pattern) for _ in range(dimensions)]
        for point, weight in zip(self.points, simulate.WEIGHTS, strict=True):
            parts = [(x - p) / self.sigma for x, p in zip(away, point, strict=True)]
            blob = weight * np.prod(np.broadcast_arrays(*[np.exp(-(p**2) / 2) for p in parts]), 0)
            pattern += blob
            for move, part in zip(moves, parts, strict=True):
                move += blob * part / self.sigma
        return pattern, moves

    def window(self, image: NDArray[Any], centre: Floats) -> NDArray[Any] | None:
        """Cut the window of `render` out of an image; None if it is not all inside."""
        low = np.rint(centre).astype(int)[::-1] - self.half
        high = low + 2 * self.half + 1
        if (low < 0).any() or (high > image.shape).any():
            return None
        return image[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]

    def find(self, image: NDArray[Any], expected: Floats) -> Floats | None:
        """Return where the pattern is in an image, near the expected place, or None.

        The highest correlation with whole pixels first; then least squares, so that where it is
        looked for has no influence on where it is found.
        """
        found = self._nearest_pixel(image, expected)
        for _ in range(_STEPS):
            window = None if found is None else self.window(image, found)
            if found is None or window is None:
                return None
            pattern, moves = self.render(found)
            terms = np.stack([pattern, *moves, np.ones_like(pattern)]).reshape(len(moves) + 2, -1)
            height, *change = np.linalg.lstsq(terms.T, window.ravel(), rcond=None)[0][:-1]
            found = found + np.clip(np.array(change) / height, -1, 1)
        return found

    def _nearest_pixel(self, image: NDArray[Any], expected: Floats) -> Floats | None:
        from scipy.signal import fftconvolve

        middle = np.rint(expected).astype(int)[::-1]
        low = np.maximum(middle - self.half - _REACH, 0)
        high = np.minimum(middle + self.half + _REACH + 1, image.shape)
        if (high - low < 2 * self.half + 1).any():
            return None
        area = np.asarray(image[tuple(slice(a, b) for a, b in zip(low, high, strict=True))])
        pattern, _ = self.render(np.rint(expected))
        mirrored = np.flip(pattern - pattern.mean())
        likeness = fftconvolve(area, mirrored, mode="valid")
        peak = np.array(np.unravel_index(np.argmax(likeness), likeness.shape))
        return np.asarray((low + self.half + peak)[::-1], dtype=float)


def measure_tilts(
    projection: Projection[PoseSet], flipped: Projection[PoseSet], images: Image
) -> DataFrame:
    """Measure every particle in every tilt image where it is inside and no other covers it.

    Parameters
    ----------
    projection, flipped : Projection
        As it should be, and one that is wrong on purpose.
    images : Image
        The stack of tilt images.

    Returns
    -------
    DataFrame
        ``error`` and ``flipped`` are the distances of the two projections from the place that was
        found, in pixels; ``correlation`` that of the image with the pattern in the particle's
        orientation, ``inverse`` in the inverse orientation, each where it fits best.
    """
    import pandas as pd

    stack: Any = images.data
    wrong_turns = _inverse(projection)
    rows = []
    for tilt, particle in np.argwhere(_clear(projection)):
        turn = projection.orientation(tilt)
        assert turn is not None
        image, expected = stack[tilt], projection.position[tilt, particle]
        right = Pattern(turn[particle].apply(simulate.BLOBS)[:, :2])
        wrong = Pattern(wrong_turns[tilt][particle].apply(simulate.BLOBS)[:, :2])
        found, other = right.find(image, expected), wrong.find(image, expected)
        if found is None or other is None:
            continue
        rows.append(
            {
                "experiment_id": projection.poses.experiment_id,
                "tilt": tilt,
                "particle": particle,
                "x": found[0],
                "y": found[1],
                "error": np.linalg.norm(found - expected),
                "flipped": np.linalg.norm(found - flipped.position[tilt, particle]),
                "correlation": _correlation(right, image, found),
                "inverse": _correlation(wrong, image, other),
            }
        )
    return pd.DataFrame(rows, columns=_COLUMNS)


def _inverse(projection: Projection[PoseSet]) -> list[Rotation]:
    """Return what the orientations in each tilt were if the file's angles meant the inverse."""
    orientation = projection.poses.orientation
    assert orientation is not None
    return [projection.rotation[tilt] * orientation.inv() for tilt in range(len(projection))]


def _clear(projection: Projection[PoseSet]) -> NDArray[np.bool_]:
    """Tell which particles are well inside an image and not covered by another (n_tilts, n)."""
    place = projection.position
    distance = np.linalg.norm(place[:, :, None] - place[:, None], axis=3)
    others = ~np.eye(place.shape[1], dtype=bool)
    covered = ((distance < 2 * simulate.RADIUS) & others).any(axis=2)
    clear: NDArray[np.bool_] = projection.inside(margin=HALF + 1) & ~covered
    return clear


def _correlation(pattern: Pattern, image: NDArray[Any], place: Floats) -> float:
    window = pattern.window(image, place)
    assert window is not None
    return float(np.corrcoef(window.ravel(), pattern.render(place)[0].ravel())[0, 1])


def measure_tomogram(poses: PoseSet, tomogram: Image) -> Floats:
    """Return how far from its stated place each particle is in the tomogram, in voxels of that."""
    assert poses.orientation is not None
    scale = poses.pixel_spacing / tomogram.pixel_spacing
    place = places(poses)
    data: Any = tomogram.data
    volume = np.pad(np.asarray(data), HALF)  # particles near the faces are looked for, too
    sigma = np.hypot(simulate.SIGMA, simulate.BINNING / 2) * scale
    errors = []
    for expected, turn in zip(place * scale, poses.orientation, strict=True):
        pattern = Pattern(turn.apply(simulate.BLOBS) * scale, sigma, int(HALF * scale))
        found = pattern.find(volume, expected + HALF)
        errors.append(np.inf if found is None else np.linalg.norm(found - HALF - expected))
    return np.array(errors)
