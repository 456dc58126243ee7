"""Tomograms of a particle file: their sizes, and the pixels of their tilt series."""

from __future__ import annotations

import math
import warnings
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pandas as pd

from cryotypes._sizes import TomogramSize, check_spacing, stated_size, tomogram_size
from cryotypes.errors import GuessWarning
from cryotypes.formats.poses._particles import metadata_for
from cryotypes.formats.shared.files import read_companion
from cryotypes.formats.shared.relion_project import read_tomograms
from cryotypes.geometry._bounds import warn_outside

from . import _labels as labels

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from cryotypes.formats.shared.relion_project import Tomogram
    from cryotypes.poseset import PoseSet

# whose reading states a tomogram's size in pixels of the unbinned tilt series
_TILT_SERIES_PIXELS = (labels.NAME, "eman2-json")


class Tomograms:
    """What is known of tomograms by their names: from options, else from tomograms.star.

    ``find`` finds tomograms.star, and is asked only if needed, and none is ``given``.
    """

    def __init__(
        self,
        dimensions: Sequence[float] | Mapping[str, Sequence[float]] | None,
        spacing: float | None,
        find: Callable[[], Path | None],
        given: Path | None = None,
    ) -> None:
        check_spacing(spacing)
        self.dimensions, self.spacing, self._find = dimensions, spacing, find
        self._given = given

    @cached_property
    def file(self) -> Path | None:
        """Return tomograms.star, if there is one."""
        return self._given or self._find()

    @cached_property
    def known(self) -> dict[str, Tomogram]:
        """Return the tomograms of that file."""
        if self._given is not None:
            return read_tomograms(self._given)
        return read_companion(read_tomograms, self.file) or {} if self.file is not None else {}

    def spacing_of(self, experiment: str) -> float:
        """Return Å per pixel of a tilt series in tomograms.star; NaN if unknown."""
        known = self.known.get(experiment)
        return (known.pixel_spacing if known is not None else 0.0) or math.nan

    def size(self, experiment: str, tilt: float, otherwise: float) -> TomogramSize | None:
        """Return the size of a tomogram; None if it is unknown.

        Parameters
        ----------
        tilt : float
            Å per pixel of its tilt series, NaN if nothing states it, 0 if there are no spacings.
        otherwise : float
            What a size in tomograms.star is counted in where that is not known.
        """
        given = tomogram_size(
            self.dimensions, self.spacing, experiment_id=experiment, tilt_series=tilt
        )
        known = self.known.get(experiment)
        if given is not None or known is None or known.dimensions is None:
            return given
        return TomogramSize(known.dimensions, otherwise if math.isnan(tilt) else tilt)


class Written:
    """The tomograms of PoseSets that are to be written.

    ``metadata`` are of each PoseSet, as far as they are RELION's or everybody's; ``tilt`` is Å per
    pixel of each one's unbinned tilt series, 0 if unknown.
    """

    def __init__(self, posesets: Sequence[PoseSet], tomograms: Tomograms) -> None:
        self.posesets, self.tomograms = posesets, tomograms
        self.metadata = [metadata_for(poses, [labels.NAME]) for poses in posesets]
        self.tilt = [*map(self._tilt_series, posesets, self.metadata)]

    def _tilt_series(self, poses: PoseSet, metadata: Mapping[str, Any]) -> float:
        """By the tomogram, else its own labels.

        A size may be counted in other pixels, so what was given for that is the last resort.
        """
        read_as = (getattr(poses, "metadata", None) or {}).get("format")
        tomogram = metadata.get("tomogram") if read_as in _TILT_SERIES_PIXELS else None
        known = self.tomograms.known.get(poses.experiment_id)
        return float(
            (known.pixel_spacing if known is not None else 0.0)
            or (tomogram or {}).get("pixel_spacing")
            or _stated_tilt_series(poses, metadata)
            or self.tomograms.spacing
            or 0.0
        )

    def size(self, index: int) -> TomogramSize | None:
        """Return the size of a PoseSet's tomogram: given, of tomograms.star, or as it was read."""
        poses = self.posesets[index]
        unknown = math.nan if poses.pixel_spacing else 0.0
        tilt = self.tilt[index] or unknown
        found = self.tomograms.size(poses.experiment_id, tilt, float(poses.pixel_spacing))
        return found or stated_size(poses)

    def doubt(self, path: Path) -> None:
        """Warn of particles outside a tomogram whose size they did not bring, and of spacings.

        Warns
        -----
        GuessWarning
            Also if a spacing is given alone, while the tilt series state another one.
        """
        dimensions, given = self.tomograms.dimensions, self.tomograms.spacing
        if self.tomograms.known or dimensions is not None:
            sizes = {p.experiment_id: self.size(index) for index, p in enumerate(self.posesets)}
            known = {name: size for name, size in sizes.items() if size is not None}
            warn_outside(self.posesets, str(path), known)
        if given is None or dimensions is not None:
            return
        for poses, used in zip(self.posesets, self.tilt, strict=True):
            if not math.isclose(used, given, rel_tol=1e-4):
                warnings.warn(
                    f"{path}: the tilt series of {poses.experiment_id!r} is stated to have "
                    f"pixels of {used:g} Å, so {given:g} Å (tomogram_spacing=, --tomogram-spacing) "
                    "is not used; give tomograms= (--tomograms tomograms.star) that state it",
                    GuessWarning,
                    stacklevel=4,
                )
                return


def _stated_tilt_series(poses: PoseSet, metadata: Mapping[str, Any]) -> float:
    """Return what the particles' own labels state, if they agree."""
    table = metadata.get("blocks", {}).get("optics")
    for columns in (getattr(poses, "features", None), table):
        if columns is not None and labels.TILT_PIXEL in columns:
            stated = pd.Series(columns[labels.TILT_PIXEL])  # one value in a block without a loop
            found = pd.to_numeric(stated, errors="coerce").unique()
            return float(found[0]) if len(found) == 1 and found[0] > 0 else 0.0
    return 0.0
