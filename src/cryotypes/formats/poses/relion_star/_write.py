"""Write RELION particle STAR files of any generation, from any of them or from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import polars as pl

from cryotypes.conventions import (
    decode_orientation,
    encode_orientation,
    encode_position,
    encode_shift,
    factor,
    nearest_euler,
)
from cryotypes.errors import WriteError
from cryotypes.formats.poses._particles import join_poses, lose_images, need_spacing
from cryotypes.formats.shared.files import writing_bytes
from cryotypes.formats.shared.star import Block, write_star
from cryotypes.formats.shared.tables import block_of, to_polars
from cryotypes.loss import LossReport

from . import _labels as labels
from ._optics import Optics
from ._tomograms import Tomograms, Written

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from os import PathLike

    from numpy.typing import NDArray
    from scipy.spatial.transform import Rotation

    from cryotypes.formats.poses._particles import Particles
    from cryotypes.poseset import PoseSet

    from ._labels import Dialect

    Floats = NDArray[np.float64]

KEEPS = frozenset(
    {"position", "shift", "orientation", "experiment_id", "pixel_spacing", "features"}
)


def write(
    data: list[PoseSet],
    path: Path,
    *,
    overwrite: bool = False,
    dialect: str | None = None,
    tomograms: str | PathLike[str] | None = None,
    tomogram_dimensions: Sequence[float] | Mapping[str, Sequence[float]] | None = None,
    tomogram_spacing: float | None = None,
    ndim: int | None = None,
) -> LossReport:
    """Write particles; those read from one file go back in their original order.

    Parameters
    ----------
    data : list of PoseSet
    path : path
    overwrite : bool
    dialect : {"3.0", "3.1", "4.0", "5.0", "warp"}, optional
        RELION's generation, or Warp's form of 3.0: coordinates in pixels of rlnPixelSize, shifts
        added to them. By default that of the file the particles come from; else 3.1 for 2D
        data, 5.0 where the tomograms' sizes are known, and 4.0 (which RELION 5 reads, too).
    tomograms : path, optional
        tomograms.star or optimisation_set.star, for the sizes and the pixel size of tilt series.
    tomogram_dimensions : (x, y, z), or dict of these by experiment, optional
        In pixels of the unbinned tilt series, instead.
    tomogram_spacing : float, optional
        Å per pixel in which tomogram_dimensions is counted; by default what the tomograms or the
        particles state. Where neither states any, RELION 4 counts its coordinates in them, too.
    ndim : {2, 3}, optional
        Whether to write z. By default as read, else 3; tomography always is 3D.

    Raises
    ------
    WriteError
        If something that RELION needs is unknown: the pixel spacing, the size of a tomogram.

    Warns
    -----
    GuessWarning
        If the pixel size of the tilt series had to be assumed, or particles lie outside.
    """
    # nothing has to be known of an experiment that has no row
    posesets = [p for p in data if len(p.position)] or data
    file = None if tomograms is None else Path(tomograms)
    sizes = Written(posesets, Tomograms(tomogram_dimensions, tomogram_spacing, lambda: None, file))
    ndim = ndim or (2 if all(m.get("ndim") == 2 for m in sizes.metadata) else 3)
    chosen = _dialect(dialect, ndim, sizes)
    report = LossReport()
    keeps = KEEPS if chosen.shifts else KEEPS - {"shift"}
    particles = join_poses(posesets, path, report, keeps, [labels.NAME])
    if chosen.optics:
        need_spacing(particles, path, f"RELION {chosen.name}")
    if chosen.tomography:
        ndim = 3  # z left out would be the tomogram's centre
        sizes.doubt(path)
    blocks = _Writer(path, particles, sizes, chosen, ndim, report).blocks()
    with writing_bytes(path, overwrite) as stream:
        write_star(stream, blocks, chosen.version)
    return report


def _dialect(name: str | None, ndim: int, tomograms: Written) -> Dialect:
    """Return the dialect of that name; by default as read, else what is known decides."""
    if name is None:
        read_as = {m.get("dialect") for m in tomograms.metadata}
        if len(read_as) == 1 and read_as <= set(labels.DIALECTS):
            name = str(next(iter(read_as)))
        elif ndim == 2:
            name = "3.1"
        else:
            sized = all(tomograms.size(i) is not None for i in range(len(tomograms.posesets)))
            name = "5.0" if sized else "4.0"
    return labels.DIALECTS[labels.dialect_named(name)]


class _Writer:
    """All particles as one table."""

    def __init__(
        self,
        path: Path,
        particles: Particles,
        tomograms: Written,
        dialect: Dialect,
        ndim: int,
        report: LossReport,
    ) -> None:
        self.path, self.particles, self.tomograms = path, particles, tomograms
        self.dialect, self.ndim, self.report = dialect, ndim, report
        features = self._features()
        self.optics = Optics(particles, features, tomograms, dialect, path, report)
        self.features = self.optics.features

    def _read_as(self, key: str, default: Any = None) -> set[Any]:
        """Return what the metadata of the particles say."""
        return {metadata.get(key, default) for metadata in self.particles.metadata}

    def _features(self) -> pd.DataFrame:
        """Return the features; poses that stand in them are dropped, ours are newer."""
        features, self.particles.features = self.particles.features, None
        if features is None:
            return pd.DataFrame(index=pd.RangeIndex(len(self.particles)))
        experiment = self._experiment()
        stale = [n for n in features.columns if n in labels.POSE_LABELS or n == experiment]
        if experiment in stale and self._read_as("experiment_label", experiment) != {experiment}:
            self.report.lost[f"column {experiment}"] = "the experiment is written there"
        if features.shape[1] > len(stale):
            self.report.kept.append("features")
        return features.drop(columns=stale)

    def _experiment(self) -> str | None:
        """Return the label that names experiments; None where image names do."""
        if self.dialect.tomography:
            return "rlnTomoName"
        unnamed = self._read_as("experiment_label", "rlnMicrographName") == {None}
        return None if unnamed else "rlnMicrographName"

    def blocks(self) -> list[Block]:
        """Return the file's blocks in order, that of the particles last."""
        pose = self._pose_columns()
        features = to_polars(self.features)
        self.features = self.features.iloc[:, :0]  # all of it once is enough to hold
        features = features.rename({n: "_".join(n.split()) or "unnamed" for n in features.columns})
        clash = [n for n in features.columns if n in pose.columns]
        table = pl.concat([pose, features.drop(clash)], how="horizontal")
        table = table.select(self._order(table.columns))
        blocks = self._other_blocks()
        if self.optics.table is not None:
            blocks.append(Block("optics", self.optics.table))
        name = "particles" if self.dialect.optics else ""
        as_read = self._read_as("particles")
        if self._read_as("dialect") == {self.dialect.name} and len(as_read) == 1:
            name = str(next(iter(as_read)))
        return [*blocks, Block(name, table)]

    def _other_blocks(self) -> list[Block]:
        blocks: dict[str, Any] = {}
        for metadata in self.particles.metadata:
            for name, content in metadata.get("blocks", {}).items():
                if name != "optics":
                    blocks.setdefault(name, content)
        if not self.dialect.optics:
            for name in blocks:
                self.report.lost[f"block {name!r}"] = "RELION 3.0 files have one block"
            return []
        if self.dialect.name != "5.0":
            blocks = {
                n: b for n, b in ((n, self._before_5(b)) for n, b in blocks.items()) if len(b)
            }
        return [block_of(name, content) for name, content in blocks.items()]

    def _before_5(self, block: Any) -> Any:
        """Leave out what only RELION 5 knows; other readers take it for something else."""
        if isinstance(block, dict) and labels.STACKS_2D in block:
            self.report.lost[labels.STACKS_2D] = "only RELION 5 knows stacks of tilt images"
            return {label: value for label, value in block.items() if label != labels.STACKS_2D}
        return block

    def _order(self, columns: list[str]) -> list[str]:
        """As in the file the particles come from; new columns follow."""
        read = list(dict.fromkeys(n for m in self.particles.metadata for n in m.get("labels", [])))
        return [n for n in read if n in columns] + [n for n in columns if n not in read]

    def _pose_columns(self) -> pl.DataFrame:
        columns: dict[str, Any] = {}
        if (experiment := self._experiment()) is not None:
            names = pl.Series(self.particles.experiments, dtype=pl.String)
            columns[experiment] = names.gather(self.particles.codes)
        columns.update(self._positions())
        frame = self._subtomogram_frame()
        columns.update(self._angles(frame))
        columns.update(self._shifts(frame))
        columns.update(self.optics.columns)
        return pl.DataFrame(columns)

    def _positions(self) -> dict[str, Floats]:
        place = self.dialect.convention.place
        position = self.particles.position
        if place.origin == "centre":
            written = encode_position(
                position, place, self.particles.spacing[:, None], self._dimensions()
            )
            # what was read comes back as it was: the centre leaves rests of 1e-13 Å
            written = np.round(written, 9) + 0.0
        elif not self.particles.located:
            return {}
        else:
            written = encode_position(self.optics.in_file_pixels(position), place, 1.0)
        return dict(zip(self.dialect.coordinates[: self.ndim], written.T, strict=False))

    def _dimensions(self) -> Floats:
        """Return the sizes of the particles' tomograms in their own pixels, shape (n, 3)."""
        if not len(self.particles):
            return np.zeros((0, 3))
        scaled = []
        for index, poses in enumerate(self.tomograms.posesets):
            size = self.tomograms.size(index)
            if size is None:
                raise WriteError(
                    f"RELION 5 counts from the centre of the tomogram, and the size of "
                    f"{poses.experiment_id!r} is unknown: give tomograms= (--tomograms "
                    "tomograms.star), or tomogram_dimensions= (--tomogram-size X Y Z), in pixels "
                    "of the unbinned tilt series, and tomogram_spacing= (--tomogram-spacing), or "
                    "choose dialect= (--dialect 4.0)",
                    self.path,
                )
            scaled.append(size.in_pixels(float(poses.pixel_spacing)))
        return np.array(scaled).reshape(-1, 3)[self.particles.sets]

    def _subtomogram_frame(self) -> Rotation | None:
        """Rotations of subtomograms that were extracted already turned."""
        if not set(labels.SUBTOMOGRAM) <= set(self.features.columns):
            return None
        turn = self.dialect.convention.turn
        angles = self.features[list(labels.SUBTOMOGRAM)].to_numpy(dtype=float)
        if self.dialect.tomography and not np.isnan(angles).any():
            return decode_orientation(angles, turn)
        gone = [n for n in (*labels.SUBTOMOGRAM, *labels.PRIORS) if n in self.features]
        self.features = self.features.drop(columns=gone)
        self.report.converted["subtomogram angles"] = "composed into rlnAngleRot, Tilt, Psi"
        if np.nan_to_num(angles).any():
            cut = "their boxes were cut in the subtomograms' frames"
            self.features = lose_images(self.features, cut, self.report)
        if any(name in gone for name in labels.PRIORS):
            self.report.lost["angle priors"] = "they refer to the subtomograms' frames"
        return None

    def _angles(self, frame: Rotation | None) -> dict[str, Floats]:
        if self.particles.orientation is None:
            return {}
        if not len(self.particles):
            return {name: np.zeros(0) for name in labels.ANGLES}
        orientation = factor(self.particles.orientation, frame)
        angles = encode_orientation(orientation, self.dialect.convention.turn)
        if labels.PRIORS[0] in self.features.columns:
            angles = nearest_euler(angles, self.features[labels.PRIORS[0]].to_numpy(dtype=float))
        return dict(zip(labels.ANGLES, angles.T, strict=True))

    def _shifts(self, frame: Rotation | None) -> dict[str, Floats]:
        if self.particles.shift is None:
            return {}
        offset = self.dialect.convention.offset
        assert offset is not None
        image = self.optics.image_spacing if offset.unit == "pixel" else None
        spacing: Any = self.particles.spacing[:, None]
        if image is not None:
            need_spacing(self.particles, self.path, f"RELION {self.dialect.name}")
            image = image[:, None]
        elif offset.unit == "pixel":
            spacing = 1.0
        written = encode_shift(self.particles.shift, offset, spacing, frame, image)
        return dict(zip(self.dialect.origins[: self.ndim], written.T, strict=False))
