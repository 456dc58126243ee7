"""Two tomograms with known particles, and tilt images made by turning them and summing up.

Nothing here uses this package: volumes are turned by scipy's interpolation with scipy's rotations,
so that an error in the package's geometry cannot be made twice.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from scipy.spatial.transform import Rotation

    Floats = NDArray[np.float64]
    Volume = NDArray[np.float32]

PIXEL_SPACING = 5.0  # Å, of the tilt images
BINNING = 2  # of the tomograms that are written
SIGMA = 2.0  # of a blob, pixels
RADIUS = 14.0  # of a particle, pixels: the outermost blob and two sigmas
NOISE = 0.12  # of the tilt images; a blob of weight 1 is as high as 1
_PARTICLES = 10  # in each tomogram
_CANDIDATES = 300  # places tried for each


def _particle() -> tuple[Floats, Floats]:
    """Return blobs (n, 3) xyz in pixels, and their weights; no symmetry, and not its mirror image.

    The centre of mass is the origin, so that a centroid is where the particle is.
    """
    blobs = np.array(
        [[10, 0, 0], [3, 0, 0], [-3, 4, 0], [-4, 9, 1], [-3, -3, 7], [-5, -7, -4], [2, -1, -9]],
        dtype=float,
    )
    weights = np.array([1.0, 0.8, 0.8, 1.3, 1.0, 0.7, 0.9])
    return blobs - weights @ blobs / weights.sum(), weights


BLOBS, WEIGHTS = _particle()


@dataclass(frozen=True)
class Series:
    """A tomogram and its tilt series, as they truly are; pixels of the tilt images throughout.

    Parameters
    ----------
    name : str
    tomogram_size : (x, y, z)
        In pixels of the unbinned tilt series.
    image_size : (x, y)
    angles : array, shape (n_tilts, 3)
        Degrees about x, then y, then z, about fixed axes.
    offsets : array, shape (n_tilts, 2)
        dx, dy of each image.
    position, shift : array, shape (n, 3)
        xyz; the particle is at their sum.
    orientation : Rotation, n
    """

    name: str
    tomogram_size: tuple[int, int, int]
    image_size: tuple[int, int]
    angles: Floats
    offsets: Floats
    position: Floats = field(default_factory=lambda: np.zeros((0, 3)))
    shift: Floats = field(default_factory=lambda: np.zeros((0, 3)))
    orientation: Rotation | None = None

    @property
    def turns(self) -> Rotation:
        """Rotation of the tomogram in each tilt."""
        from scipy.spatial.transform import Rotation

        return Rotation.from_euler("xyz", self.angles, degrees=True)


def plan(seed: int = 7) -> list[Series]:
    """Choose two tilt series and where their particles are; the same for the same seed."""
    rng = np.random.default_rng(seed)
    first = _series("TS_01", (144, 176, 64), (200, 169), 85.3, rng)
    # towards the end of the series the stage drifts so far that this one leaves the images
    edge = np.array([71.3, RADIUS + 0.6, 32.8])
    second = _series("TS_02", (181, 150, 64), (205, 176), -4.0, rng)
    return [_populate(first, [edge], _PARTICLES, rng), _populate(second, [], _PARTICLES, rng)]


def _series(
    name: str,
    tomogram_size: tuple[int, int, int],
    image_size: tuple[int, int],
    axis: float,
    rng: np.random.Generator,
) -> Series:
    """Make an alignment: a tilted stage, an axis that wavers, images that jump and drift."""
    tilts = np.arange(-54.0, 55.0, 9.0)
    n = len(tilts)
    angles = np.stack([np.full(n, 1.5), tilts + 0.7, axis + rng.normal(0, 0.2, n)], axis=1)
    drift = np.stack([np.linspace(-18, 34, n), np.linspace(9, -12, n)], axis=1)
    return Series(name, tomogram_size, image_size, angles, drift + rng.normal(0, 2.5, (n, 2)))


def _populate(series: Series, points: list[Floats], n: int, rng: np.random.Generator) -> Series:
    """Place n particles one by one, each where it covers the others in the fewest images."""
    from dataclasses import replace

    from scipy.spatial.transform import Rotation

    size = np.array(series.tomogram_size)
    matrices = series.turns.as_matrix()[:, :2]
    while len(points) < n:
        candidates = rng.uniform(RADIUS, size - RADIUS, (_CANDIDATES, 3))
        if points:
            between = candidates[:, None] - np.array(points)
            seen = np.einsum("tij,cpj->ctpi", matrices, between)
            covering = (np.linalg.norm(seen, axis=3) < 2 * RADIUS).sum(axis=(1, 2))
            candidates = candidates[covering == covering.min()]
        points = [*points, candidates[0]]
    true = np.array(points)
    picked = np.round(true / BINNING) * BINNING  # picked on voxels of the binned tomogram
    orientation = Rotation.from_quat(rng.normal(size=(n, 4)))  # uniform over all rotations
    return replace(series, position=picked, shift=true - picked, orientation=orientation)


def density(series: Series) -> Volume:
    """Draw the particles into a volume (zyx): sums of Gaussians, evaluated at the voxels."""
    assert series.orientation is not None
    volume = np.zeros(series.tomogram_size[::-1], dtype=np.float32)
    axes = [np.arange(size) for size in series.tomogram_size]
    # a projected blob of weight 1 has the height 1
    height = 1 / (np.sqrt(2 * np.pi) * SIGMA)
    for centre, turn in zip(series.position + series.shift, series.orientation, strict=True):
        for blob, weight in zip(centre + turn.apply(BLOBS), WEIGHTS, strict=True):
            near = [_window(x, c) for x, c in zip(axes, blob, strict=True)]
            x, y, z = (
                np.exp(-(((axis[span] - c) / SIGMA) ** 2) / 2)
                for axis, span, c in zip(axes, near, blob, strict=True)
            )
            block = weight * height * z[:, None, None] * y[:, None] * x
            volume[near[2], near[1], near[0]] += block.astype(np.float32)
    return volume


def _window(axis: NDArray[np.int_], centre: float) -> slice:
    """Return the span of 5 sigma about a coordinate."""
    low, high = np.searchsorted(axis, [centre - 5 * SIGMA, centre + 5 * SIGMA])
    return slice(int(low), int(high))


def tilt_images(series: Series, volume: Volume, noise: float = NOISE) -> Iterator[Volume]:
    """Yield the tilt images (yx): the volume turned, summed along the beam, shifted, with noise."""
    from scipy import ndimage

    rng = np.random.default_rng(len(volume) + series.image_size[0])
    width, height = series.image_size
    # what a shift brings into the image must have been projected, too
    pad = int(np.ceil(np.abs(series.offsets).max())) + 3
    for turn, (dx, dy) in zip(series.turns, series.offsets, strict=True):
        flat = _project(volume, turn, (width + 2 * pad, height + 2 * pad), (width, height), pad)
        moved = ndimage.shift(flat, (dy, dx), order=3)[pad : pad + height, pad : pad + width]
        yield (moved + rng.normal(0, noise, moved.shape)).astype(np.float32)


def _project(
    volume: Volume, turn: Rotation, frame: tuple[int, int], image: tuple[int, int], pad: int
) -> Floats:
    """Turn a volume about its index N // 2 and sum along z, into a padded image (yx)."""
    from scipy import ndimage

    matrix = turn.as_matrix()
    depth = int(np.abs(matrix[2]) @ volume.shape[::-1]) + 3  # z extent of the turned volume
    centre = np.array([depth // 2, image[1] // 2 + pad, image[0] // 2 + pad])
    back = matrix.T[::-1, ::-1]  # from the turned volume to the volume, zyx
    turned = ndimage.affine_transform(
        volume,
        back,
        offset=np.array(volume.shape) // 2 - back @ centre,
        output_shape=(depth, frame[1], frame[0]),
        order=1,
    )
    return np.asarray(turned.sum(axis=0, dtype=np.float64))


def binned(volume: Volume, noise: float = NOISE) -> Volume:
    """Bin a tomogram: voxel i of the result is at i * BINNING of the volume; highest value 1."""
    from scipy import ndimage

    smooth = ndimage.gaussian_filter(volume, BINNING / 2)[::BINNING, ::BINNING, ::BINNING]
    rng = np.random.default_rng(smooth.size)
    noisy = smooth / smooth.max() + rng.normal(0, noise, smooth.shape)
    return np.asarray(noisy, dtype=np.float32)
