"""RELION's labels of poses and pixel sizes, its dialects, and which pixel size counts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from cryotypes.conventions import _table as conventions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cryotypes.conventions import PoseConvention

NAME = "relion-star"
COORDINATES = ("rlnCoordinateX", "rlnCoordinateY", "rlnCoordinateZ")
CENTRED = tuple(f"rlnCenteredCoordinate{axis}Angst" for axis in "XYZ")
ORIGINS_PIXEL = ("rlnOriginX", "rlnOriginY", "rlnOriginZ")
ORIGINS_ANGSTROM = ("rlnOriginXAngst", "rlnOriginYAngst", "rlnOriginZAngst")
ANGLES = ("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi")
SUBTOMOGRAM = ("rlnTomoSubtomogramRot", "rlnTomoSubtomogramTilt", "rlnTomoSubtomogramPsi")
PRIORS = ("rlnAngleTiltPrior", "rlnAnglePsiPrior")
STACKS_2D = "rlnTomoSubTomosAre2DStacks"  # in the block "general" of RELION 5
GROUP = "rlnOpticsGroup"
GROUP_NAME = "rlnOpticsGroupName"
MICROGRAPH_PIXEL = "rlnMicrographPixelSize"
TILT_PIXEL = "rlnTomoTiltSeriesPixelSize"
IMAGE_PIXEL = "rlnImagePixelSize"
ORIGINAL_PIXEL = "rlnMicrographOriginalPixelSize"

# Where a position, shift or angle can stand; other columns are features.
POSE_LABELS = frozenset((*COORDINATES, *CENTRED, *ORIGINS_PIXEL, *ORIGINS_ANGSTROM, *ANGLES))
EXPERIMENT_LABELS = ("rlnTomoName", "rlnMicrographName")


@dataclass(frozen=True)
class Dialect:
    """A generation of RELION's particle files."""

    name: str
    convention: PoseConvention
    optics: bool
    tomography: bool
    version: int | None

    @property
    def shifts(self) -> bool:
        """Whether shifts are written; else they are added to the positions."""
        return self.name != "warp"

    @property
    def coordinates(self) -> tuple[str, ...]:
        """The labels of positions."""
        return CENTRED if self.convention.place.origin == "centre" else COORDINATES

    @property
    def origins(self) -> tuple[str, ...]:
        """The labels of shifts."""
        offset = self.convention.offset
        return ORIGINS_PIXEL if offset and offset.unit == "pixel" else ORIGINS_ANGSTROM


DIALECTS = {
    d.name: d
    for d in (
        Dialect("3.0", conventions.RELION_3_0, optics=False, tomography=False, version=None),
        Dialect("3.1", conventions.RELION_3_1, optics=True, tomography=False, version=30001),
        Dialect("4.0", conventions.RELION_4, optics=True, tomography=True, version=30001),
        Dialect("5.0", conventions.RELION_5, optics=True, tomography=True, version=50001),
        # Warp adds no shifts and knows one pixel size, that of the coordinates
        Dialect("warp", conventions.RELION_3_0, optics=False, tomography=False, version=None),
    )
}


def dialect_named(name: object) -> str:
    """Return a dialect's name: ``5``, ``relion5``, ``RELION-5.0`` and ``v5`` are 5.0.

    Raises
    ------
    ValueError
        If there is none of that name, or (``3``) more than one.

    Examples
    --------
    >>> dialect_named(5), dialect_named("relion-4"), dialect_named("3.1")
    ('5.0', '4.0', '3.1')
    """
    short = re.sub(r"[\s_-]|^relion|^v(?=\d)", "", str(name).lower())
    found = [d for d in DIALECTS if d == short] or [d for d in DIALECTS if d[:-2] == short]
    if len(found) != 1:
        listing = ", ".join(found or DIALECTS)
        raise ValueError(f"dialect= (--dialect): expected one of {listing}, found {name}")
    return found[0]


def dialect_of(labels: set[str], optics: bool) -> Dialect:
    """Tell a file's dialect from its labels."""
    if labels.intersection(CENTRED):
        return DIALECTS["5.0"]
    # 2D particles may name a tomogram beside their micrograph; in 3D the tomogram counts
    if "rlnTomoName" in labels and ("rlnMicrographName" not in labels or COORDINATES[2] in labels):
        return DIALECTS["4.0"]
    return DIALECTS["3.1" if optics or labels.intersection(ORIGINS_ANGSTROM) else "3.0"]


class Columns:
    """Columns of the particles, or of the optics table through the optics group."""

    def __init__(self, particles: pl.DataFrame, optics: pl.DataFrame | None) -> None:
        self.particles = particles
        if optics is None or GROUP not in optics or GROUP not in particles:
            optics = pl.DataFrame()
        self.optics = optics

    def __contains__(self, label: str) -> bool:
        return label in self.particles or label in self.optics

    def numbers(self, label: str) -> NDArray[np.float64] | None:
        """Return one number a particle, NaN where unknown; None if nothing holds the label."""
        if label in self.particles:
            column = self.particles[label]
        elif label in self.optics:
            keys, groups = self.particles[GROUP], self.optics[GROUP]
            if keys.dtype != groups.dtype:  # one of them holds a text
                keys, groups = keys.cast(pl.String), groups.cast(pl.String)
            values = self.optics[label].cast(pl.Float64, strict=False).to_list()
            mapping = dict(zip(groups.to_list(), values, strict=True))
            column = keys.replace_strict(mapping, default=None, return_dtype=pl.Float64)
        else:
            return None
        numbers = column.cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy()
        return np.where(numbers > 0, numbers, np.nan)

    def groups_without_optics(self) -> str:
        """Say which optics groups the particles name and the optics lack; empty if none."""
        if GROUP not in self.particles or GROUP not in self.optics:
            return ""
        there = set(self.optics[GROUP].to_list())
        gone = [g for g in self.particles[GROUP].unique().to_list() if g not in there]
        if not gone:
            return ""
        listing = ", ".join(str(group) for group in sorted(there, key=str)[:5])
        return f"and the optics have no group {gone[0]} (there is {listing})"

    def image_spacing(self) -> NDArray[np.float64] | None:
        """Å per pixel of the particle images."""
        magnification = self.numbers("rlnMagnification")
        detector = self.numbers("rlnDetectorPixelSize")
        candidates = [self.numbers(IMAGE_PIXEL), self.numbers("rlnPixelSize")]
        if detector is not None:
            # Warp and subtomogram files leave the magnification out where it is 10000
            candidates.append(detector * 1e4 / (1e4 if magnification is None else magnification))
        return _first_known(candidates)

    def spacing_sources(self) -> list[tuple[str, NDArray[np.float64] | None]]:
        """Pixel sizes that may be the coordinates', the most trustworthy first.

        Coordinates are pixels of the micrograph or tilt series, not of the particle images; but
        after extraction RELION forgets the micrograph's (preprocessing.cpp), and WarpTools writes
        the coordinates of 2D stacks in pixels of the images.
        """
        sources = [
            (MICROGRAPH_PIXEL, self.numbers(MICROGRAPH_PIXEL)),
            (TILT_PIXEL, self.numbers(TILT_PIXEL)),
            (IMAGE_PIXEL, self.image_spacing()),
            (ORIGINAL_PIXEL, self.numbers(ORIGINAL_PIXEL)),
        ]
        if self.is_warp_2d():
            sources.insert(0, sources.pop(2))
        return sources

    def is_warp_2d(self) -> bool:
        """Whether WarpTools wrote these 2D stacks (coordinates in pixels of the images)."""
        if not {"rlnCoordinateX", "rlnTomoVisibleFrames", "rlnTomoName"} <= set(
            self.particles.columns
        ):
            return False
        names = self.particles["rlnTomoName"].cast(pl.String)
        return bool(len(names) and names.str.ends_with(".tomostar").all())

    def coordinate_spacing(self) -> NDArray[np.float64] | None:
        """Å per pixel of the coordinates; None if nothing in the file tells."""
        return _first_known([values for _, values in self.spacing_sources()])


def _first_known(
    candidates: list[NDArray[np.float64] | None],
) -> NDArray[np.float64] | None:
    """Take, for each row, the first candidate that is known."""
    result = None
    for values in candidates:
        if values is not None:
            result = values if result is None else np.where(np.isnan(result), values, result)
    return result
