"""Write RELION particle STAR files of any generation, from any of them or from elsewhere."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import polars as pl

from cryotypes._sizes import TomogramSize, check_spacing, stated_size, tomogram_size
from cryotypes.conventions import (
    decode_orientation,
    encode_orientation,
    encode_position,
    encode_shift,
    factor,
    nearest_euler,
)
from cryotypes.errors import GuessWarning, WriteError
from cryotypes.formats.poses._particles import account_for_positions, metadata_for
from cryotypes.formats.shared import relion_project
from cryotypes.formats.shared.files import writing_bytes
from cryotypes.formats.shared.star import Block, write_star
from cryotypes.formats.shared.tables import block_of, to_polars
from cryotypes.geometry._bounds import warn_outside
from cryotypes.loss import LossReport
from cryotypes.poseset._operations import changed

from . import _labels as labels
from ._optics import Optics

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from os import PathLike
    from pathlib import Path

    from numpy.typing import NDArray
    from scipy.spatial.transform import Rotation

    from cryotypes.poseset import PoseSet

    from ._labels import Dialect

    Floats = NDArray[np.float64]

_KNOWN_FIELDS = {
    "position", "shift", "orientation", "experiment_id", "pixel_spacing", "source", "features",
    "metadata",
}  # fmt: skip

# whose reading states a tomogram's size in pixels of the unbinned tilt series
_TILT_SERIES_PIXELS = ("relion-star", "eman2-json")


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
    sizes = (tomogram_dimensions, tomogram_spacing)
    writer = _Writer(path, data, dialect, tomograms, sizes, ndim)
    blocks = writer.blocks()
    with writing_bytes(path, overwrite) as file:
        write_star(file, blocks, writer.dialect.version)
    return writer.report


class _Writer:
    """All particles as one table."""

    def __init__(
        self,
        path: Path,
        posesets: list[PoseSet],
        dialect: str | None,
        tomograms: str | PathLike[str] | None,
        sizes: tuple[Any, float | None],
        ndim: int | None,
    ) -> None:
        # nothing has to be known of an experiment that has no row
        posesets = [p for p in posesets if len(p.position)] or posesets
        self.path, self.posesets = path, list(posesets)
        self.metadata = [metadata_for(p, ["relion-star"]) for p in posesets]
        self.known = {} if tomograms is None else relion_project.read_tomograms(tomograms)
        self.dimensions, self.tomogram_spacing = sizes
        check_spacing(self.tomogram_spacing)
        self.ndim = ndim or (2 if all(m.get("ndim") == 2 for m in self.metadata) else 3)
        self.dialect = self._dialect(dialect)
        if self.dialect.tomography:
            self.ndim = 3  # z left out would be the tomogram's centre
        self.counts = [len(p.position) for p in posesets]
        self.report = LossReport()
        self.located = account_for_positions(self.posesets, self.report)
        self.report.kept += ["experiment_id", "pixel_spacing"]
        baked = not self.dialect.shifts and self._bake_shifts()
        self._look_outside()
        self._doubt_spacing()
        self.features = self._features()
        if baked:
            self._lose_images(labels.MOVED)
        self.optics = Optics(self)

    def _look_outside(self) -> None:
        """Warn of particles outside a tomogram whose size they did not bring themselves."""
        if self.dialect.tomography and (self.known or self.dimensions is not None):
            sizes = {p.experiment_id: self.size(index) for index, p in enumerate(self.posesets)}
            given = {name: size for name, size in sizes.items() if size is not None}
            warn_outside(self.posesets, str(self.path), given)

    def _doubt_spacing(self) -> None:
        """Warn of a spacing that is given alone, while the tilt series state another one."""
        given = self.tomogram_spacing
        if not self.dialect.tomography or given is None or self.dimensions is not None:
            return
        for index, poses in enumerate(self.posesets):
            used = self.tilt_series(index)
            if not math.isclose(used, given, rel_tol=1e-4):
                warnings.warn(
                    f"{self.path}: the tilt series of {poses.experiment_id!r} is stated to have "
                    f"pixels of {used:g} Å, so {given:g} Å (tomogram_spacing=, --tomogram-spacing) "
                    "is not used; give tomograms= (--tomograms tomograms.star) that state it",
                    GuessWarning,
                    stacklevel=5,
                )
                return

    def _bake_shifts(self) -> bool:
        """Add shifts to the positions; return whether that moved any."""
        moved = any(p.shift is not None and np.any(p.shift) for p in self.posesets)
        if moved:
            self.report.converted["shift"] = "added to the position, as Warp and M expect"
        for index, poses in enumerate(self.posesets):
            if poses.shift is not None:
                position = np.asarray(poses.position, dtype=float) + np.asarray(poses.shift)
                self.posesets[index] = changed(poses, position=position, shift=None)
        return moved

    def _dialect(self, name: str | None) -> Dialect:
        if name is None:
            read_as = {m.get("dialect") for m in self.metadata}
            if len(read_as) == 1 and read_as <= set(labels.DIALECTS):
                name = str(next(iter(read_as)))
            elif self.ndim == 2:
                name = "3.1"
            else:
                sized = all(self.size(i) is not None for i in range(len(self.posesets)))
                name = "5.0" if sized else "4.0"
        return labels.DIALECTS[labels.dialect_named(name)]

    def size(self, index: int) -> TomogramSize | None:
        """Size of a PoseSet's tomogram: what was given, what tomograms.star, what reading said."""
        poses = self.posesets[index]
        known = self.known.get(poses.experiment_id)
        tilt = self.tilt_series(index)
        unknown = None if poses.pixel_spacing else 0.0
        given = tomogram_size(
            self.dimensions,
            self.tomogram_spacing,
            experiment_id=poses.experiment_id,
            tilt_series=tilt or unknown,
        )
        if given is None and known is not None and known.dimensions is not None:
            return TomogramSize(known.dimensions, tilt or float(poses.pixel_spacing))
        return given or stated_size(poses)

    def tilt_series(self, index: int) -> float:
        """Å per pixel of a PoseSet's unbinned tilt series, 0 if unknown.

        By its tomogram, else its own labels; a size may be counted in other pixels, so what was
        given for that is the last resort.
        """
        poses = self.posesets[index]
        known = self.known.get(poses.experiment_id)
        read_as = (getattr(poses, "metadata", None) or {}).get("format")
        tomogram = self.metadata[index].get("tomogram") if read_as in _TILT_SERIES_PIXELS else None
        return float(
            (known.pixel_spacing if known is not None else 0.0)
            or (tomogram or {}).get("pixel_spacing")
            or self._stated_tilt_series(index)
            or self.tomogram_spacing
            or 0.0
        )

    def _stated_tilt_series(self, index: int) -> float:
        """The same by the particles' own labels, if they agree."""
        table = self.metadata[index].get("blocks", {}).get("optics")
        features = getattr(self.posesets[index], "features", None)
        for columns in (features, table):
            if columns is not None and labels.TILT_PIXEL in columns:
                found = pd.to_numeric(columns[labels.TILT_PIXEL], errors="coerce").unique()
                return float(found[0]) if len(found) == 1 and found[0] > 0 else 0.0
        return 0.0

    def column(self, values: Sequence[Any]) -> NDArray[Any]:
        """Repeat one value a PoseSet for each of its particles."""
        return np.repeat(np.asarray(values), self.counts)

    @property
    def spacing(self) -> Floats:
        """Å per pixel for each particle, all known."""
        unknown = [p.experiment_id for p in self.posesets if not p.pixel_spacing > 0]
        if unknown:
            raise WriteError(
                f"RELION {self.dialect.name} needs the pixel spacing, which is unknown (0) for "
                f"experiment {unknown[0]!r}; set pixel_spacing (--pixel-spacing)",
                self.path,
            )
        return self.column([float(p.pixel_spacing) for p in self.posesets])

    def _features(self) -> pd.DataFrame:
        """Join all features; poses that stand in them are dropped, ours are newer."""
        frames = []
        extra: dict[str, None] = {}
        for poses, count in zip(self.posesets, self.counts, strict=True):
            frame = getattr(poses, "features", None)
            frames.append(pd.DataFrame(index=pd.RangeIndex(count)) if frame is None else frame)
            own = {f for f in vars(poses) if not f.startswith("_")} - _KNOWN_FIELDS
            extra.update(dict.fromkeys(sorted(own)))
        for name in extra:
            self.report.lost[name] = "RELION has no such field; put it into features"
        features = pd.concat(frames) if len(frames) > 1 else frames[0]
        stale = [n for n in features.columns if n in labels.POSE_LABELS or n == self.experiment]
        read_as = {m.get("experiment_label", self.experiment) for m in self.metadata}
        if self.experiment in stale and read_as != {self.experiment}:
            self.report.lost[f"column {self.experiment}"] = "the experiment is written there"
        if features.shape[1] > len(stale):
            self.report.kept.append("features")
        return features.drop(columns=stale)

    @property
    def experiment(self) -> str | None:
        """The label that names experiments; None where image names do."""
        if self.dialect.tomography:
            return "rlnTomoName"
        as_read = {m.get("experiment_label", "rlnMicrographName") for m in self.metadata}
        return None if as_read == {None} else "rlnMicrographName"

    def blocks(self) -> list[Block]:
        """Return the file's blocks in order, that of the particles last."""
        pose = self._pose_columns()
        rows = self._rows()
        features = to_polars(self.features)
        self.features = self.features.iloc[:, :0]  # all of it once is enough to hold
        names = {n: "_".join(n.split()) or "unnamed" for n in features.columns}
        features = features.rename(names)
        clash = [n for n in features.columns if n in pose.columns]
        table = pl.concat([pose, features.drop(clash)], how="horizontal")
        table = table.select(self._order(table.columns))
        if rows is not None:
            table = table[rows]
        blocks = self._other_blocks()
        if self.optics.table is not None:
            blocks.append(Block("optics", self.optics.table))
        name = "particles" if self.dialect.optics else ""
        as_read = {m.get("particles") for m in self.metadata}
        same = all(m.get("dialect") == self.dialect.name for m in self.metadata)
        if same and len(as_read) == 1:
            name = str(next(iter(as_read)))
        return [*blocks, Block(name, table)]

    def _other_blocks(self) -> list[Block]:
        blocks: dict[str, Any] = {}
        for metadata in self.metadata:
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
        read = list(dict.fromkeys(n for m in self.metadata for n in m.get("labels", [])))
        return [n for n in read if n in columns] + [n for n in columns if n not in read]

    def _rows(self) -> NDArray[np.int64] | None:
        """Sort by row number if all particles are of one file and each row is there once."""
        index = self.features.index
        one_file = len({str(p.source) for p in self.posesets}) == 1
        integers = pd.api.types.is_integer_dtype(index.dtype)
        if not one_file or not integers or not index.is_unique or index.is_monotonic_increasing:
            return None
        return np.argsort(index.to_numpy(), kind="stable")

    def _pose_columns(self) -> pl.DataFrame:
        columns: dict[str, Any] = {}
        experiment = self.experiment
        if experiment is not None:
            ids = [p.experiment_id for p in self.posesets]
            values = np.repeat(np.array(ids, dtype=object), self.counts)
            columns[experiment] = pl.Series(experiment, values.tolist(), dtype=pl.String)
        columns.update(self._positions())
        frame = self._subtomogram_frame()
        columns.update(self._angles(frame))
        columns.update(self._shifts(frame))
        columns.update(self.optics.particle_columns)
        return pl.DataFrame(columns)

    def _positions(self) -> dict[str, Floats]:
        names = self.dialect.coordinates
        place = self.dialect.convention.place
        position = np.concatenate([np.asarray(p.position, dtype=float) for p in self.posesets])
        if place.origin == "centre":
            spacing = self.spacing[:, None]
            sizes = [self.size(index) for index in range(len(self.posesets))]
            if None in sizes:
                raise WriteError(
                    f"RELION 5 counts from the centre of the tomogram, and the size of "
                    f"{self.posesets[sizes.index(None)].experiment_id!r} is unknown: give "
                    "tomograms= (--tomograms tomograms.star), or tomogram_dimensions= "
                    "(--tomogram-size X Y Z), in pixels of the unbinned tilt series, and "
                    "tomogram_spacing= (--tomogram-spacing), or choose dialect= (--dialect 4.0)",
                    self.path,
                )
            scaled = [
                s.in_pixels(float(p.pixel_spacing))
                for p, s in zip(self.posesets, sizes, strict=True)
                if s is not None
            ]
            dimensions = np.repeat(np.array(scaled).reshape(-1, 3), self.counts, axis=0)
            # what was read comes back as it was: the centre leaves rests of 1e-13 Å
            written = np.round(encode_position(position, place, spacing, dimensions), 9) + 0.0
        elif not self.located:
            return {}
        else:
            written = encode_position(self.optics.in_file_pixels(position), place, 1.0)
        return dict(zip(names[: self.ndim], written.T, strict=False))

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
            self._lose_images("their boxes were cut in the subtomograms' frames")
        if any(name in gone for name in labels.PRIORS):
            self.report.lost["angle priors"] = "they refer to the subtomograms' frames"
        return None

    def _lose_images(self, why: str) -> None:
        """Leave out images that no longer belong to the poses beside them."""
        for name in (n for n in labels.IMAGES if n in self.features):
            self.features = self.features.drop(columns=name)
            self.report.lost[name] = f"{why}, {labels.NO_FIT}"

    def _angles(self, frame: Rotation | None) -> dict[str, Floats]:
        present = [p.orientation is not None for p in self.posesets]
        if not any(present):
            return {}
        from scipy.spatial.transform import Rotation

        if not all(present):
            blank = next(p.experiment_id for p in self.posesets if p.orientation is None)
            self.report.lost["orientation"] = (
                f"unknown for experiment {blank!r}, written as zero angles beside known ones"
            )
        stacks: list[Rotation] = [
            Rotation.identity(n) if p.orientation is None else p.orientation
            for p, n in zip(self.posesets, self.counts, strict=True)
            if n
        ]
        self.report.kept.append("orientation")
        if not stacks:
            return {name: np.zeros(0) for name in labels.ANGLES}
        orientation = factor(Rotation.concatenate(stacks), frame)
        angles = encode_orientation(orientation, self.dialect.convention.turn)
        if labels.PRIORS[0] in self.features.columns:
            angles = nearest_euler(angles, self.features[labels.PRIORS[0]].to_numpy(dtype=float))
        return dict(zip(labels.ANGLES, angles.T, strict=True))

    def _shifts(self, frame: Rotation | None) -> dict[str, Floats]:
        if all(p.shift is None for p in self.posesets):
            return {}
        self.report.kept.append("shift")
        shift = np.concatenate(
            [
                np.zeros((n, 3)) if p.shift is None else np.asarray(p.shift, dtype=float)
                for p, n in zip(self.posesets, self.counts, strict=True)
            ]
        )
        offset = self.dialect.convention.offset
        assert offset is not None
        if offset.unit == "pixel":
            image = self.optics.image_spacing
            spacing: Any = 1.0 if image is None else self.spacing[:, None]
            image = None if image is None else image[:, None]
            written = encode_shift(shift, offset, spacing, frame, image)
        else:
            written = encode_shift(shift, offset, self.spacing[:, None], frame)
        return dict(zip(self.dialect.origins[: self.ndim], written.T, strict=False))
