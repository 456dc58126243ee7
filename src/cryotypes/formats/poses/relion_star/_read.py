"""Read RELION particle STAR files of any generation."""

from __future__ import annotations

import math
import warnings
from dataclasses import asdict
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import pandas as pd
import polars as pl

from cryotypes.conventions import _table as conventions
from cryotypes.conventions import (
    compose,
    decode_orientation,
    decode_position,
    decode_shift,
)
from cryotypes.errors import GuessWarning, ReadError
from cryotypes.formats.poses._particles import (
    Particles,
    factorize,
    to_posesets,
    warn_of_no_positions,
)
from cryotypes.formats.shared.finite import finite_column
from cryotypes.formats.shared.relion_project import (
    DATA_FILE,
    PARTICLES_FILE,
    TOMOGRAMS_FILE,
    Project,
    names_in,
)
from cryotypes.formats.shared.star import Block, describe_blocks, read_star
from cryotypes.formats.shared.strangers import other_star
from cryotypes.formats.shared.tables import content_of, to_pandas
from cryotypes.names import strip_path_and_suffix

from . import _labels as labels
from ._labels import Columns, Dialect

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from scipy.spatial.transform import Rotation

    from cryotypes._sizes import TomogramSize
    from cryotypes.poseset import PoseSet

    from ._tomograms import Tomograms

PARTICLE_LABELS = (
    *labels.COORDINATES[:1],
    *labels.CENTRED[:1],
    *labels.ANGLES,
    *labels.SUBTOMOGRAM[:1],
    "rlnImageName",
)


def read_named(path: Path, tomograms: Path | None) -> tuple[Path, list[Block], Path | None]:
    """Read a file, or that which it names if it is an optimisation set or an optimiser.

    Returns
    -------
    path, blocks
        Of the particles.
    tomograms : Path or None
        The file of these; what is given goes before what is named.
    """
    blocks = read_star(path)
    names = names_in(blocks, path)
    if not names:
        if (other := other_star({f"data_{b.name}".encode() for b in blocks})) is not None:
            raise ReadError(other, path)
        return path, blocks, tomograms
    project = Project(path)
    if DATA_FILE in names:  # of an optimiser, which need not name tomograms
        tomograms = tomograms or project.resolve(names.get(TOMOGRAMS_FILE))
    else:
        tomograms = tomograms or project.named(names, TOMOGRAMS_FILE)
    path = project.named(names, DATA_FILE if DATA_FILE in names else PARTICLES_FILE)
    return path, read_star(path), tomograms


def _only(table: pl.DataFrame, dialect: Dialect, experiments: Sequence[str]) -> pl.DataFrame:
    """Return the rows of some experiments; all, if none of them is there."""
    label = next((name for name in _experiments(dialect) if name in table), None)
    if label is None or not experiments:
        return table
    some = table.filter(table[label].cast(pl.String).is_in(list(experiments)))
    return some if len(some) else table


def _particle_block(blocks: list[Block], path: Path) -> Block:
    """Find the block that holds the poses; old programs do not call it particles."""
    named = [b for b in blocks if b.name == "particles"]
    holding = [b for b in blocks if set(PARTICLE_LABELS).intersection(b.table.columns)]
    found = named or holding
    if not found:
        raise ReadError(
            f"expected particles (rlnCoordinateX, rlnAngleRot, …), found the blocks "
            f"{describe_blocks(blocks)}",
            path,
        )
    if len(found) > 1:
        names = ", ".join(repr(b.name) for b in found)
        raise ReadError(f"expected one block with particles, found {names}", path)
    return found[0]


class Rows:
    """The rows of the particle table, decoded as a whole and then cut by experiment.

    Only those of some experiments count, where any of these is there.
    """

    def __init__(
        self, path: Path, blocks: list[Block], known: Tomograms, experiments: Sequence[str]
    ) -> None:
        self.path, self.known = path, known
        self.block = _particle_block(blocks, path)
        self.others = [b for b in blocks if b is not self.block]
        optics = next((b.table for b in self.others if b.name == "optics"), None)
        self.dialect = labels.dialect_of(set(self.block.table.columns), optics is not None)
        self.table = _only(self.block.table, self.dialect, experiments)
        self.columns = Columns(self.table, optics)
        self.used: set[str] = set()
        self.picker_centre = self.normalised = False
        self.centred = any(name in self.table for name in labels.CENTRED)
        self.located = self.centred or any(name in self.table for name in labels.COORDINATES)
        self.experiment_label = next(
            (x for x in _experiments(self.dialect) if x in self.table), None
        )
        if self.experiment_label is not None:
            self.used.add(self.experiment_label)
        self.codes, self.names = self.experiments()

    def vectors(self, names: Sequence[str]) -> NDArray[np.float64] | None:
        """Return the named columns as (n, 3), absent ones zero; None if none is there.

        Raises
        ------
        ReadError
            If one holds text, or a number that is not finite.
        """
        if not any(name in self.table for name in names):
            return None
        result = np.zeros((self.table.height, len(names)))
        for column, name in enumerate(names):
            if name in self.table:
                self.used.add(name)
                result[:, column] = finite_column(self.table, name, self.path, self.block.name)
        return result

    def set_spacing(self, given: float | None) -> None:
        """Find Å per pixel of the coordinates, 0 where unknown, and of the tilt series, NaN.

        RELION takes the tilt series' from tomograms.star, whatever the particle file says.
        """
        n = self.table.height
        stated = self.columns.numbers(labels.TILT_PIXEL)
        self.tilt = np.full(n, np.nan) if stated is None else stated
        found = self.columns.coordinate_spacing()
        if given is None:
            self._doubt_spacing()
        if self.dialect.tomography and not self.columns.is_warp_2d():
            known = np.array([self.known.spacing_of(name) for name in self.names])
            of_tomogram = known[self.codes] if n else np.zeros(0)
            self._doubt_tilt_series(of_tomogram)
            if self.centred or labels.MICROGRAPH_PIXEL not in self.columns:
                rest = np.nan if found is None else found
                found = np.where(np.isnan(of_tomogram), rest, of_tomogram)
        # where only a size has Å, coordinates in Å, and fractions of it, may be in its pixels
        if (self.centred or self.normalised) and self.known.spacing is not None:
            found = np.full(n, np.nan) if found is None else found
            found = np.where(np.isnan(found), self.known.spacing, found)
        if given is not None:
            found = np.full(n, float(given))
        self.spacing = np.zeros(n) if found is None else np.nan_to_num(found, nan=0.0)

    def _doubt_spacing(self) -> None:
        """Warn where two pixel sizes could be the coordinates'."""
        known = {
            name: values
            for name, values in self.columns.spacing_sources()
            if values is not None and len(values) and not np.isnan(values).all()
        }
        if set(known) == {labels.IMAGE_PIXEL, labels.ORIGINAL_PIXEL} and not self.centred:
            image, original = known[labels.IMAGE_PIXEL], known[labels.ORIGINAL_PIXEL]
            if not np.allclose(image, original, rtol=1e-4, equal_nan=True):
                warnings.warn(
                    f"{self.path}: the pixel size of the coordinates is doubtful: assumed "
                    f"{labels.IMAGE_PIXEL} {image[0]:g} Å, but {labels.ORIGINAL_PIXEL} is "
                    f"{original[0]:g} Å; give pixel_spacing= (--pixel-spacing)",
                    GuessWarning,
                    stacklevel=6,
                )

    def _doubt_tilt_series(self, of_tomogram: NDArray[np.float64]) -> None:
        """Warn where tomograms.star and the particle file disagree on the tilt series."""
        differ = np.abs(self.tilt - of_tomogram) > 1e-4 * of_tomogram  # not where one is NaN
        if self.known.spacing is not None:  # the user may have settled it
            differ &= ~np.isclose(of_tomogram, self.known.spacing, rtol=1e-4)
        if differ.any():
            row = int(differ.argmax())
            warnings.warn(
                f"{self.path}: the tilt series of {self.names[self.codes[row]]!r} has pixels of "
                f"{self.tilt[row]:g} Å here ({labels.TILT_PIXEL}) and of {of_tomogram[row]:g} Å in "
                f"{self.known.file}; assumed the latter, as RELION does (correct one of them, or "
                "confirm it by tomogram_spacing= (--tomogram-spacing))",
                GuessWarning,
                stacklevel=5,
            )

    def need_spacing(self, what: str) -> NDArray[np.float64]:
        """Return (n, 1) spacings, all known.

        Raises
        ------
        ReadError
            If one is not.
        """
        if (self.spacing <= 0).any():
            why = self.columns.groups_without_optics() or "which the file does not state"
            raise ReadError(
                f"{what} in angstrom need the pixel size of the coordinates, {why}: give "
                "pixel_spacing= (--pixel-spacing)",
                self.path,
            )
        return self.spacing[:, None]

    def experiments(self) -> tuple[NDArray[np.int64], list[str]]:
        """Return a code for each row, and the names in order of first appearance."""
        if self.experiment_label is not None:
            names = self.table[self.experiment_label].cast(pl.String).fill_null("")
        elif "rlnImageName" in self.table:
            names = self.table["rlnImageName"].cast(pl.String).str.replace(r"^[^@]*@", "")
        else:
            return np.zeros(self.table.height, np.int64), [strip_path_and_suffix(self.path.name)]
        return factorize(names.to_list())

    def position(self) -> NDArray[np.float64]:
        """Decode positions; particles without coordinates are at 0, and that is said."""
        place = self.dialect.convention.place
        if self.normalised:
            place = conventions.WARP_NORMALISED.place
        elif self.picker_centre and self.centred:
            place = conventions.RELION_5_PICKER.place
        if not self.centred and not self.normalised:
            return decode_position(self._coordinates(), place, self.spacing[:, None])
        columns = labels.COORDINATES if self.normalised else labels.CENTRED
        missing = [name for name in columns if name not in self.table]
        written = self.vectors(columns)
        if missing or written is None:  # zero would be the centre
            raise ReadError(f"expected {', '.join(columns)}, found no {missing[0]}", self.path)
        spacing = self.need_spacing("coordinates")
        return decode_position(written, place, spacing, self._dimensions())

    def _coordinates(self) -> NDArray[np.float64]:
        """Return coordinates in pixels as (n, 3), zeros where the file has none."""
        written = self.vectors(labels.COORDINATES)
        if written is None and not self.table.height:
            return np.zeros((0, 3))
        if written is None:
            warn_of_no_positions(self.path, "rlnCoordinateX, …")
            return np.zeros((self.table.height, 3))
        missing = [name for name in labels.COORDINATES[:2] if name not in self.table]
        if missing and self.table.height:
            raise ReadError(f"expected rlnCoordinateX and Y, found no {missing[0]}", self.path)
        return written

    @cached_property
    def _tomograms(self) -> tuple[NDArray[np.int64], NDArray[np.int64], list[TomogramSize | None]]:
        """The tomograms' sizes: a number for each particle; by number its first row, its size."""
        rows = pd.DataFrame({"code": self.codes, "tilt": self.tilt, "spacing": self.spacing})
        groups = rows.groupby(list(rows), sort=False, dropna=False)
        numbers = np.asarray(groups.ngroup(), dtype=np.int64)
        first = np.unique(numbers, return_index=True)[1].astype(np.int64)
        return numbers, first, [self._size(row) for row in first]

    def _size(self, row: int) -> TomogramSize | None:
        """Return the size of a row's tomogram in pixels of its tilt series, if it is known."""
        name = self.names[self.codes[row]]
        tilt = self.known.spacing_of(name)
        if math.isnan(tilt):
            tilt = float(self.tilt[row])
        if math.isnan(tilt) and self.normalised and not self.spacing[row]:
            tilt = 0.0  # fractions of a size need no Å where nobody knows any
        size = self.known.size(name, tilt, self.known.spacing or 0.0)
        return None if size is None else size.counted_in(tilt)

    def _dimensions(self) -> NDArray[np.float64]:
        """Sizes of the particles' tomograms in pixels of the coordinates, shape (n, 3)."""
        numbers, first, sizes = self._tomograms
        missing = [
            self.names[self.codes[row]] for row, size in zip(first, sizes, strict=True) if not size
        ]
        if missing:
            self._complain(list(dict.fromkeys(missing)))
        try:
            scaled = [
                size.in_pixels(float(self.spacing[row]))
                for row, size in zip(first, sizes, strict=True)
                if size
            ]
        except ValueError as error:
            raise ReadError(str(error), self.path) from error
        return np.array(scaled).reshape(-1, 3)[numbers]

    def orientation(self, names: Sequence[str]) -> Rotation | None:
        """Decode one of the two triplets of angles."""
        angles = self.vectors(names)
        return None if angles is None else decode_orientation(angles, self.dialect.convention.turn)

    def shift(self, frame: Rotation | None) -> NDArray[np.float64] | None:
        """Decode origins, in Å or in pixels of the images."""
        written = self.vectors(labels.ORIGINS_ANGSTROM)
        if written is not None:
            offset = self.dialect.convention.offset
            spacing: Any = self.need_spacing("origins") if written.any() else 1.0
            return decode_shift(written, offset, spacing, frame)
        written = self.vectors(labels.ORIGINS_PIXEL)
        if written is None:
            return None
        offset = labels.DIALECTS["3.0"].convention.offset
        image = self.columns.image_spacing()
        if image is None or (self.spacing <= 0).any():
            return decode_shift(written, offset, 1.0, frame)
        return decode_shift(written, offset, self.spacing[:, None], frame, image[:, None])

    def _complain(self, missing: Sequence[str]) -> NoReturn:
        """Name the tomograms whose size nobody knows."""
        where = (
            f"{self.known.file} does not state it"
            if self.known.file
            else "no tomograms.star was found"
        )
        listing = ", ".join(missing[:5]) + (", …" if len(missing) > 5 else "")
        raise ReadError(
            f"centred coordinates need the size of tomogram {listing}; {where}: give "
            "tomograms= (--tomograms tomograms.star), or tomogram_dimensions= (--tomogram-size "
            "X Y Z), in pixels of the unbinned tilt series, and tomogram_spacing= "
            "(--tomogram-spacing)",
            self.path,
        )

    def posesets(self) -> list[PoseSet]:
        """Cut the rows by experiment and pixel spacing."""
        metadata = {
            "format": labels.NAME,
            "dialect": self.dialect.name,
            "labels": self.table.columns,
            "experiment_label": self.experiment_label,
            "ndim": 3 if self.centred or labels.COORDINATES[2] in self.table else 2,
            "particles": self.block.name,
            "blocks": {block.name: content_of(block) for block in self.others},
        }
        position = self.position()
        frame = self.orientation(labels.SUBTOMOGRAM)
        self.used.difference_update(labels.SUBTOMOGRAM)  # a feature all the same
        orientation = compose(frame, self.orientation(labels.ANGLES))
        shift = self.shift(frame)
        particles = Particles(
            position=position,
            experiments=self.names,
            codes=self.codes,
            spacing=self.spacing,
            shift=shift,
            orientation=orientation,
            features=to_pandas(self.table, without=self.used),
            located=self.located,
        )
        sizes: dict[tuple[str, float], TomogramSize] = {}
        if self.dialect.tomography:
            _, first, found = self._tomograms
            for row, size in zip(first, found, strict=True):
                key = (self.names[self.codes[row]], float(self.spacing[row]))
                if size is not None:
                    sizes.setdefault(key, size)

        def metadata_of(experiment: str, spacing: float) -> dict[str, Any]:
            size = sizes.get((experiment, spacing))
            return metadata if size is None else {**metadata, "tomogram": asdict(size)}

        volumes = labels.COORDINATES[2] in self.table and not self.normalised
        remedy = "give normalised=True (-O normalised=true)" if volumes else None
        return to_posesets(particles, self.path, metadata_of, remedy)


def _experiments(dialect: Dialect) -> tuple[str, ...]:
    """The labels that name an experiment: the tomogram in tomography, else the micrograph."""
    return labels.EXPERIMENT_LABELS if dialect.tomography else labels.EXPERIMENT_LABELS[::-1]
