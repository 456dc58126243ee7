"""Optics groups and pixel sizes of a RELION particle file that is being written."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import polars as pl

from cryotypes.conventions import rescale
from cryotypes.errors import GuessWarning, WriteError
from cryotypes.formats.shared.tables import to_polars

from . import _labels as labels

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from cryotypes.formats.poses._particles import Particles
    from cryotypes.loss import LossReport

    from ._labels import Dialect
    from ._tomograms import Written


@dataclass
class _Group:
    """One optics group: its row, and the particles in it."""

    row: dict[str, Any]
    spacing: float | None = None  # Å per pixel of the particles, None without particles
    number: int = 0
    members: list[NDArray[np.int64]] = field(default_factory=list)

    @property
    def rows(self) -> NDArray[np.int64]:
        """Indices of the group's particles."""
        return np.concatenate(self.members) if self.members else np.zeros(0, dtype=np.int64)


def _rows_of(table: pd.DataFrame | dict[str, Any] | None) -> list[dict[str, Any]]:
    """Return the rows of an optics block; one without a loop has one."""
    if isinstance(table, pd.DataFrame):
        rows: list[Any] = table.to_dict("records")
        return rows
    return [] if table is None else [dict(table)]


class Optics:
    """Groups as they were read, or one a pixel spacing; adjusted so that the file tells the truth.

    The file's pixel size is found from what is about to be written by the rule of reading
    (`Columns.spacing_sources`); where it is not that of the particles, the file is told theirs
    (single particles), or positions are expressed in the file's (tomography).

    Afterwards ``features`` are those that were given, with true pixel sizes; ``table`` is the block
    of optics, or None; ``columns`` are the particles' that belong to it or stand for it;
    ``file_spacing`` (n,) is Å per pixel of the coordinates in the file, 1 where unknown, and
    ``image_spacing`` that of the particle images, None unless all are known.
    """

    def __init__(
        self,
        particles: Particles,
        features: pd.DataFrame,
        tomograms: Written,
        dialect: Dialect,
        path: Path,
        report: LossReport,
    ) -> None:
        self.particles, self.features, self.tomograms = particles, features, tomograms
        self.dialect, self.path, self.report = dialect, path, report
        self.groups: list[_Group] = []
        self._by_row: dict[Any, list[_Group]] = {}
        self._collect()
        self._number()
        n = len(particles)
        self.file_spacing = np.ones(n)
        self.image_spacing: NDArray[np.float64] | None = None
        images = np.full(n, np.nan)
        for group in self.groups:
            rows = group.rows
            if group.spacing is not None:
                self.file_spacing[rows] = self._adjust(group)
                images[rows] = self._image(group) or np.nan
        if n and not np.isnan(images).any():
            self.image_spacing = images
        self.table, self.columns = self._tables(n)

    def _collect(self) -> None:
        """Assign every particle to a group; groups without particles stay."""
        known: dict[int, list[dict[str, Any]]] = {}  # PoseSets of a file share their table
        for metadata, poses, members in zip(
            self.particles.metadata, self.tomograms.posesets, self._members(), strict=True
        ):
            table = metadata.get("blocks", {}).get("optics")
            if id(table) not in known:
                known[id(table)] = _rows_of(table)
                for row in known[id(table)]:
                    self._group(row, None)
            rows = known[id(table)]
            if labels.GROUP not in self.features or len(rows) < 2:
                alone = rows[0] if len(rows) == 1 else {}
                self._group(alone, poses.pixel_spacing).members.append(members)
                continue
            numbers = self.features[labels.GROUP].iloc[members]
            by_number = {row.get(labels.GROUP): row for row in rows}
            for number in pd.unique(numbers):
                row = by_number.get(number, {labels.GROUP: number})
                chosen = members[np.flatnonzero(numbers.to_numpy() == number)]
                self._group(row, poses.pixel_spacing).members.append(chosen)

    def _members(self) -> list[NDArray[np.int64]]:
        """Return the rows of each PoseSet."""
        sets = self.particles.sets
        assert sets is not None
        counts = np.bincount(sets, minlength=len(self.particles.metadata))
        return np.split(np.argsort(sets, kind="stable"), np.cumsum(counts)[:-1])

    def _group(self, row: dict[str, Any], spacing: float | None) -> _Group:
        """Find the group with this row and spacing, or make it."""
        key = tuple(sorted((name, str(value)) for name, value in row.items()))
        same = self._by_row.setdefault(key, [])
        for group in same:
            if spacing is None or group.spacing in (None, spacing):
                group.spacing = group.spacing if spacing is None else spacing
                return group
        group = _Group(dict(row), spacing)
        same.append(group)
        self.groups.append(group)
        return group

    def _number(self) -> None:
        """Keep the numbers that groups had; where two files use one number, the later changes."""
        taken: set[int] = set()
        for group in self.groups:
            old = group.row.get(labels.GROUP)
            number = old if isinstance(old, (int, np.integer)) and old not in taken else 1
            while number in taken:
                number += 1
            taken.add(int(number))
            group.number = int(number)
            group.row[labels.GROUP] = group.number
            group.row.setdefault(labels.GROUP_NAME, f"opticsGroup{group.number}")
            if old is not None and old != number:
                self.report.converted[labels.GROUP] = "renumbered: two groups had one number"

    def _value(self, group: _Group, label: str) -> float | None:
        """Return a number of the group: the particles' own column wins over the optics row."""
        features = self.features
        rows = group.rows
        value: Any = group.row.get(label)
        if label in features.columns and len(rows):
            value = features[label].iloc[rows[0]]
        try:
            number = float(value)
        except (TypeError, ValueError):
            return None
        return number if math.isfinite(number) and number > 0 else None

    def _image(self, group: _Group) -> float | None:
        """Å per pixel of the particle images."""
        for label in (labels.IMAGE_PIXEL, "rlnPixelSize"):
            if (value := self._value(group, label)) is not None:
                return value
        detector = self._value(group, "rlnDetectorPixelSize")
        magnification = self._value(group, "rlnMagnification") or 1e4
        return None if detector is None else detector * 1e4 / magnification

    def _set(self, group: _Group, label: str, value: float) -> None:
        """State a number of the group where reading will look first."""
        features = self.features
        if label in features.columns:
            column = features[label].to_numpy(dtype=float, copy=True)
            column[group.rows] = value
            self.features = features.assign(**{label: column})
        else:
            group.row[label] = value

    def _adjust(self, group: _Group) -> float:
        """Make the pixel sizes of a group true; return that of the coordinates in the file."""
        spacing = group.spacing or 0.0
        if not spacing > 0:
            return 1.0
        if self.dialect.tomography:
            return self._adjust_tomography(group, spacing)
        if self.dialect.name == "warp":
            return self._adjust_warp(group, spacing)
        report = self.report
        image = self._image(group)
        if image is None:
            image = spacing
            report.assumed[labels.IMAGE_PIXEL] = f"that of the coordinates, {spacing:g} Å"
        if not self.dialect.optics and self._value(group, "rlnDetectorPixelSize") is None:
            self._set(group, "rlnMagnification", 10000.0)
            self._set(group, "rlnDetectorPixelSize", image)
        if self.dialect.optics and self._value(group, labels.IMAGE_PIXEL) is None:
            self._set(group, labels.IMAGE_PIXEL, image)
        first = (labels.MICROGRAPH_PIXEL, labels.TILT_PIXEL)
        stated = next((v for n in first if (v := self._value(group, n)) is not None), image)
        # a column that other groups fill must not be left blank in this one
        blank = self._value(group, labels.MICROGRAPH_PIXEL) is None and any(
            labels.MICROGRAPH_PIXEL in other.row for other in self.groups
        )
        if blank or not math.isclose(stated, spacing, rel_tol=1e-9):
            self._set(group, labels.MICROGRAPH_PIXEL, spacing)
        return spacing

    def _adjust_warp(self, group: _Group, spacing: float) -> float:
        """State one pixel size, and nothing that another reader could take for it."""
        for label in (labels.MICROGRAPH_PIXEL, labels.TILT_PIXEL, labels.IMAGE_PIXEL):
            group.row.pop(label, None)
            self.features = self.features.drop(columns=label, errors="ignore")
        self._set(group, "rlnMagnification", 10000.0)
        self._set(group, "rlnDetectorPixelSize", spacing)
        self._set(group, "rlnPixelSize", spacing)
        return spacing

    def _adjust_tomography(self, group: _Group, spacing: float) -> float:
        features, report = self.features, self.report
        if labels.MICROGRAPH_PIXEL in features.columns:
            self.features = features.drop(columns=labels.MICROGRAPH_PIXEL)
        group.row.pop(labels.MICROGRAPH_PIXEL, None)
        known, stated = self._tilt_series(group), self._value(group, labels.TILT_PIXEL)
        centred = self.dialect.convention.place.origin == "centre"
        if stated is None:
            self._set(group, labels.TILT_PIXEL, known or self._assumed(spacing))
        elif known and not centred and not math.isclose(known, stated, rel_tol=1e-4):
            # RELION 4 counts in pixels of the tomogram's tilt series, whatever stands here
            self._set(group, labels.TILT_PIXEL, known)
            report.converted[labels.TILT_PIXEL] = (
                f"{stated:g} Å to {known:g} Å, the tilt series' by its tomogram"
            )
        in_file = self._value(group, labels.TILT_PIXEL)
        if self._is_warp_2d(group):
            in_file = self._image(group) or in_file
        assert in_file is not None
        if not math.isclose(in_file, spacing, rel_tol=1e-9):
            report.converted["pixel_spacing"] = f"{spacing:g} Å to {in_file:g} Å of the tilt series"
        return in_file

    def _tilt_series(self, group: _Group) -> float | None:
        """Å per pixel of the tilt series, by their tomograms."""
        tomograms = zip(self.tomograms.tilt, self.tomograms.posesets, strict=True)
        found = {tilt for tilt, poses in tomograms if poses.pixel_spacing == group.spacing} - {0.0}
        if len(found) > 1:
            listing = " and ".join(f"{value:g}" for value in sorted(found))
            raise WriteError(
                f"the tilt series have pixel sizes of {listing} Å; write them to separate files",
                self.path,
            )
        return found.pop() if found else None

    def _assumed(self, spacing: float) -> float:
        """Take the particles' pixels for the tilt series', and say so loudly."""
        where = "coordinates count in them" if self.dialect.name == "4.0" else "it is stated"
        warnings.warn(
            f"{self.path}: the pixel size of the unbinned tilt series is unknown, and "
            f"{where}; assumed the particles', {spacing:g} Å; if those are binned, give tomograms= "
            "(--tomograms tomograms.star) or tomogram_spacing= (--tomogram-spacing)",
            GuessWarning,
            stacklevel=8,
        )
        self.report.assumed[labels.TILT_PIXEL] = f"that of the particles, {spacing:g} Å"
        return spacing

    def _is_warp_2d(self, group: _Group) -> bool:
        return (
            self.dialect.convention.place.origin == "pixel"
            and "rlnTomoVisibleFrames" in self.features.columns
            and all(name.endswith(".tomostar") for name in self.particles.experiments)
            and self._image(group) is not None
        )

    def in_file_pixels(self, position: NDArray[np.float64]) -> NDArray[np.float64]:
        """Express positions in the pixels that the file states."""
        spacing = self.particles.spacing
        if not (spacing > 0).all():
            return position
        same = np.isclose(spacing, self.file_spacing, rtol=1e-9, atol=0)
        ratio = np.where(same, 1.0, spacing / self.file_spacing)
        return rescale(position, ratio[:, None], 1.0)

    def _tables(self, n: int) -> tuple[pl.DataFrame | None, dict[str, Any]]:
        """Return the optics table and the particles' columns for it."""
        numbers = np.zeros(n, dtype=np.int64)
        for group in self.groups:
            numbers[group.rows] = group.number
        frame = pd.DataFrame([group.row for group in self.groups])
        if self.dialect.optics:
            self.features = self.features.drop(columns=labels.GROUP, errors="ignore")
            return to_polars(frame), {labels.GROUP: numbers}
        as_read = any(
            m.get("blocks", {}).get("optics") is not None for m in self.particles.metadata
        )
        if not as_read:
            frame = frame.drop(columns=[labels.GROUP, labels.GROUP_NAME], errors="ignore")
        positions = {group.number: i for i, group in enumerate(self.groups)}
        index = [positions[int(number)] for number in numbers]
        merged = frame.iloc[index].drop(columns=[c for c in frame if c in self.features.columns])
        columns = to_polars(merged)
        return None, {name: columns[name] for name in columns.columns}
