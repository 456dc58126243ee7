"""Where IMOD's newstack and tilt put the centres of images and volumes: half pixels.

Coordinates are 0-based and of pixel centres. ``b`` is the binning of the aligned stack, ``is`` is
SUBSETSTART / b and ``nf`` FULLIMAGE / b in its pixels; without FULLIMAGE ``nf`` is the size of the
aligned stack::

    c_raw   = N / 2 - 0.5                              also for odd N, but then - 0.5 if b is even
    c_ali   = nf / 2 - 0.5 - is                                           as tilt takes it
    e       = c_ali - (n_ali / 2 - 0.5)                                   newstack's is another
    c_vol_x = W // 2 - 0.5 + (OFFSET[1] + SHIFT[0]) / b - (n_ali // 2 + is - nf // 2)
    c_vol_y = c_ali_y - first slice
    c_vol_z = T - T // 2 - 0.5 - SHIFT[1] / b                             of a volume turned by -rx

A point p of the volume is seen in the raw image at::

    c_raw + inv(A) (Ry Rx b (p - c_vol) + (OFFSET[1], 0) + b e - t)

Of an odd N newstack cannot make a binned image about the same centre if b is even: what is left
over, b n_ali - N, is odd, and half of it no whole number of pixels.

Source: tilt.f90, getbinnedsize.f of IMOD 4.8.2; run: its newstack and tilt agree to 0.02 px.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from cryotypes.projectionmodel._transformations import Rx, Ry, Rz

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ImodVolume:
    """What the command files say about sizes and places.

    Parameters
    ----------
    aligned : (x, y)
        Size of the aligned stack, in its binned pixels.
    thickness : int
        Unbinned pixels, as everything that follows.
    width : int, optional
        By default that of the aligned stack.
    slices : (first, last), optional
        Of the aligned stack's rows, from 0; by default all.
    binning : int
    full : (x, y), optional
        FULLIMAGE.
    subset : (x, y)
        SUBSETSTART.
    axis : float
        OFFSET[1], by which the tilt axis is displaced in x.
    shift : (x, z)
        SHIFT, by which the volume is displaced.
    mirrored : bool
        Whether the volume is swapped (-yz) instead of turned (-rx).
    """

    aligned: tuple[int, int]
    thickness: int
    width: int | None = None
    slices: tuple[int, int] | None = None
    binning: int = 1
    full: tuple[int, int] | None = None
    subset: tuple[int, int] = (0, 0)
    axis: float = 0.0
    shift: tuple[float, float] = (0.0, 0.0)
    mirrored: bool = False

    @property
    def binned_size(self) -> tuple[int, int, int]:
        """Size (x, y, z) of the volume in its own pixels, rounded as tilt does."""
        width = self.aligned[0] if self.width is None else self.width // self.binning
        first, last = self._rows
        return width, last - first + 1, self.thickness // self.binning

    @property
    def size(self) -> tuple[int, int, int]:
        """Size (x, y, z) of the volume in unbinned pixels."""
        x, y, z = self.binned_size
        return x * self.binning, y * self.binning, z * self.binning

    @property
    def _rows(self) -> tuple[int, int]:
        if self.slices is None:
            return 0, self.aligned[1] - 1
        first, last = (min(max(row // self.binning, 0), self.aligned[1] - 1) for row in self.slices)
        return first, last

    def _full(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Return ``nf`` and ``is``; divisions truncate as Fortran's do."""
        if self.full is None:
            return self.aligned, (0, 0)
        full = tuple(-(-n // self.binning) for n in self.full)
        subset = tuple(int(n / self.binning) for n in self.subset)
        return (full[0], full[1]), (subset[0], subset[1])

    def image_centre(self) -> Floats:
        """Return ``c_ali``, in binned pixels."""
        full, subset = self._full()
        return np.array(full) / 2 - 0.5 - subset

    def centre(self) -> Floats:
        """Return ``c_vol`` (x, y, z), in binned pixels."""
        full, subset = self._full()
        x, _, z = self.binned_size
        b = self.binning
        c_x = x // 2 - 0.5 + (self.axis + self.shift[0]) / b
        c_x -= self.aligned[0] // 2 + subset[0] - full[0] // 2
        c_z = z - z // 2 - 0.5 - self.shift[1] / b
        c_y = self.image_centre()[1] - self._rows[0]
        return np.array([c_x, c_y, z - 1 - c_z if self.mirrored else c_z])


def axis_displacement(rotations: Floats, axis: float) -> Floats:
    """Say what a displaced tilt axis (OFFSET[1]) does to aligned images: (n, 2) pixels.

    Axis and volume move together, so that an untilted image stays where it is.
    """
    return _turned(rotations, np.array([-axis, 0.0, 0.0])) + (axis, 0.0)


def half_pixels(
    rotations: Floats,
    volume: ImodVolume,
    raw: tuple[int, int],
    tomogram: tuple[int, int, int] | None = None,
) -> tuple[Floats, Floats]:
    """Find what lies between IMOD's centres and ours, which are at index N // 2.

    Parameters
    ----------
    rotations : array, shape (n, 3)
        Ours, in degrees.
    volume : ImodVolume
    raw : (x, y)
        Size of the raw images.
    tomogram : (x, y, z), optional
        In unbinned pixels, if it is not quite the volume, but cut or filled up about its centre.

    Returns
    -------
    aligned : array, shape (n, 2)
        To be added to the transform's shift -t, unbinned pixels of the aligned image.
    raw : array, shape (2,)
        To be added to our shift, pixels of the raw image.
    """
    b = volume.binning
    size = np.array(volume.size)
    ours = size if tomogram is None else np.array(tomogram)
    between = ours // 2 - b * volume.centre() - (ours - size) / 2
    of_newstack = np.array(volume.aligned) / 2 - 0.5
    aligned = _turned(rotations, between) + (volume.axis, 0.0)
    aligned = aligned + b * (volume.image_centre() - of_newstack)
    image = np.array(raw)
    of_raw = image / 2 - 0.5 - (0.5 if b % 2 == 0 else 0.0) * (image % 2)
    return aligned, of_raw - image // 2


def largest_half_pixels(rotations: Floats, binning: int = 1) -> float:
    """Say how far half pixels can move what is seen, in raw pixels, if no size is known.

    That depends on which sizes are odd.

    Parameters
    ----------
    rotations : array, shape (n, 3)
        Ours, in degrees.
    binning : int
        Of the volume.
    """
    planes = Rz(rotations[:, 2])[:, :2, :2]
    worst = 0.0
    for x, y, z, *image in product((2, 3), repeat=5):
        volume = ImodVolume((x, y), z * binning, binning=binning)
        aligned, raw = half_pixels(rotations, volume, (image[0], image[1]))
        moved = np.einsum("nij,nj->ni", planes, aligned) + raw
        worst = max(worst, float(np.linalg.norm(moved, axis=1).max(initial=0.0)))
    return worst


def _turned(rotations: Floats, vector: Floats) -> Floats:
    """Turn a vector of the volume about x, then y, into the aligned images."""
    turns = Ry(rotations[:, 1]) @ Rx(rotations[:, 0])
    return np.asarray(turns[:, :2, :3] @ vector)
