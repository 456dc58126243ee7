"""RELION particle STAR files: 2.x, 3.0, 3.1, 4 and 5; single particles and tomography.

Angles are rot, tilt, psi; origins are subtracted; coordinates count from the centre of the first
pixel, or (5) in Å from the tomogram's centre N / 2. In tomography the orientation is the
subtomogram's times the particle's, and origins are in the subtomogram's frame. The rows are in
`cryotypes.conventions`.

https://relion.readthedocs.io/en/latest/Reference/Conventions.html
"""

from __future__ import annotations

import math
import warnings
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import pandas as pd
import polars as pl

from cryotypes._sizes import TomogramSize, check_spacing, tomogram_size
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
from cryotypes.formats.shared import relion_project
from cryotypes.formats.shared.declaration import Format, Head
from cryotypes.formats.shared.star import Block, describe_blocks, has_labels, read_star
from cryotypes.formats.shared.strangers import other_star
from cryotypes.formats.shared.tables import content_of, to_pandas
from cryotypes.names import strip_path_and_suffix

from . import _labels as labels
from ._labels import Columns, Dialect
from ._listed import FILE_LABELS, with_listed
from ._write import write

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from os import PathLike

    from numpy.typing import NDArray
    from scipy.spatial.transform import Rotation

    from cryotypes.formats.shared.relion_project import Tomogram
    from cryotypes.poseset import PoseSet

_PARTICLE_LABELS = (
    *labels.COORDINATES[:1],
    *labels.CENTRED[:1],
    *labels.ANGLES,
    *labels.SUBTOMOGRAM[:1],
    "rlnImageName",
)


def sniff(head: Head) -> bool:
    """STAR text with coordinates, angles or image names; or a file that names one."""
    if other_star(head) is not None:  # of these, only an optimiser names particles
        return has_labels(head, relion_project.DATA_FILE)
    if has_labels(head, "rlnTomoTiltSeriesStarFile", "rlnTomoNominalStageTiltAngle"):
        return False
    return has_labels(
        head,
        *_PARTICLE_LABELS,
        *FILE_LABELS,
        relion_project.PARTICLES_FILE,
        relion_project.DATA_FILE,
    )


def read(
    path: Path,
    *,
    tomograms: str | PathLike[str] | None = None,
    tomogram_dimensions: Sequence[float] | Mapping[str, Sequence[float]] | None = None,
    tomogram_spacing: float | None = None,
    pixel_spacing: float | None = None,
    picker_centre: bool = False,
    normalised: bool = False,
    experiments: Sequence[str] | None = None,
) -> list[PoseSet]:
    """Read particles, one PoseSet an experiment (and pixel spacing), in order of appearance.

    RELION 2 to 5, Warp and WarpTools (3D and 2D stacks), pytom-match-pick, and coordinates of one
    micrograph, which are then called by the file's name.

    Parameters
    ----------
    path : path
        A particle STAR file; an optimisation_set.star or a refinement's …_optimiser.star that
        names one; or a list of files of coordinates (autopick.star, lists to be imported).
    tomograms : path, optional
        tomograms.star or optimisation_set.star, for the sizes that centred coordinates need. By
        default the optimisation sets beside the file are asked, then a tomograms.star beside it.
    tomogram_dimensions : (x, y, z), or dict of these by experiment, optional
        In pixels of the unbinned tilt series, instead.
    tomogram_spacing : float, optional
        Å per pixel in which tomogram_dimensions is counted; by default what tomograms.star, else
        the particle file (rlnTomoTiltSeriesPixelSize), states.
    pixel_spacing : float, optional
        Å per pixel of the coordinates, where the file does not tell or is wrong.
    picker_centre : bool
        Centred coordinates count from N / 2 - 1, as in files of RELION 5's Python picker and of
        pytom-match-pick with RELION's metadata, instead of N / 2.
    normalised : bool
        Coordinates are fractions of the tomogram's size, as WarpTools' template matching writes.
    experiments : list of str, optional
        Nothing of the others is needed, e.g. their tomograms' size; all are read where none of
        them is there.

    Returns
    -------
    list of PoseSet
        ``features`` hold all other columns, with the row in the file as index; ``metadata`` the
        dialect, the order of the columns, the other blocks, and the tomogram's size.

    Raises
    ------
    ReadError
        If the file holds no particles, a pose column holds text, or centred coordinates lack the
        tomogram's size.

    Warns
    -----
    GuessWarning
        If there are no coordinates; if their pixel size is doubtful; if tomograms.star states
        another pixel size of the tilt series than the particle file (RELION goes by
        tomograms.star); if particles lie outside their tomogram, or coordinates look like
        fractions of its size.
    """
    path, tomograms = _followed(path, tomograms)
    blocks = with_listed(read_star(path), path, experiments or ())
    particles = _particle_block(blocks, path)
    optics = next((b.table for b in blocks if b.name == "optics" and b is not particles), None)
    dialect = labels.dialect_of(set(particles.table.columns), optics is not None)
    wanted = replace(particles, table=_only(particles.table, dialect, experiments or ()))
    sizes = _Sizes(path, tomograms, tomogram_dimensions, tomogram_spacing)
    rows = _Rows(path, wanted, Columns(wanted.table, optics), dialect, sizes)
    rows.picker_centre, rows.normalised = picker_centre, normalised
    rows.set_spacing(pixel_spacing)
    metadata = {
        "format": "relion-star",
        "dialect": dialect.name,
        "labels": particles.table.columns,
        "experiment_label": rows.experiment_label,
        "ndim": 3 if rows.centred or "rlnCoordinateZ" in particles.table else 2,
        "particles": particles.name,
        "blocks": {b.name: content_of(b) for b in blocks if b is not particles},
    }
    return rows.posesets(metadata)


def _only(table: pl.DataFrame, dialect: Dialect, experiments: Sequence[str]) -> pl.DataFrame:
    """Return the rows of some experiments; all, if none of them is there."""
    label = next((name for name in _experiments(dialect) if name in table), None)
    if label is None or not experiments:
        return table
    some = table.filter(table[label].cast(pl.String).is_in(list(experiments)))
    return some if len(some) else table


def _followed(
    path: Path, tomograms: str | PathLike[str] | None
) -> tuple[Path, str | PathLike[str] | None]:
    """Find the particles, and the tomograms, that an optimisation set or an optimiser names."""
    head = Head.of(path)
    naming = relion_project.is_optimisation_set(head) or has_labels(head, relion_project.DATA_FILE)
    entries = relion_project.read_optimisation_set(path) if naming else {}
    if relion_project.DATA_FILE in entries:
        named = entries.get(relion_project.TOMOGRAMS_FILE)
        beside = None if named is None else relion_project.resolve(named, path)
        return relion_project.named_file(
            entries, relion_project.DATA_FILE, path
        ), tomograms or beside
    if entries:
        tomograms = tomograms or relion_project.named_file(
            entries, relion_project.TOMOGRAMS_FILE, path
        )
        return relion_project.named_file(entries, relion_project.PARTICLES_FILE, path), tomograms
    if (other := other_star(head)) is not None:
        raise ReadError(other, path)
    return path, tomograms


def _particle_block(blocks: list[Block], path: Path) -> Block:
    """Find the block that holds the poses; old programs do not call it particles."""
    named = [b for b in blocks if b.name == "particles"]
    holding = [b for b in blocks if set(_PARTICLE_LABELS).intersection(b.table.columns)]
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


class _Sizes:
    """Where the sizes of tomograms come from; asked only if needed."""

    def __init__(
        self,
        path: Path,
        tomograms: str | PathLike[str] | None,
        dimensions: Sequence[float] | Mapping[str, Sequence[float]] | None,
        spacing: float | None,
    ) -> None:
        check_spacing(spacing)
        self.path, self.dimensions, self.spacing = path, dimensions, spacing
        self.file = Path(tomograms) if tomograms is not None else None
        self._known: dict[str, Tomogram] | None = None

    @property
    def known(self) -> dict[str, Tomogram]:
        """Tomograms by name, from the file given or found."""
        if self._known is None:
            self.file = self.file or relion_project.find_tomograms(self.path)
            self._known = {} if self.file is None else relion_project.read_tomograms(self.file)
        return self._known

    def spacing_of(self, experiment: str) -> float:
        """Return Å per pixel of a tilt series in tomograms.star; NaN if unknown."""
        known = self.known.get(experiment)
        return (known.pixel_spacing if known is not None else 0.0) or math.nan

    def of(self, experiment: str, stated: float) -> TomogramSize | None:
        """Return the size of a tomogram in pixels of its tilt series, if it is known.

        Parameters
        ----------
        stated : float
            Å per pixel of the tilt series as the particle file has it, NaN if it has not.
        """
        listed = self.spacing_of(experiment)
        tilt = stated if math.isnan(listed) else listed
        given = tomogram_size(
            self.dimensions, self.spacing, experiment_id=experiment, tilt_series=tilt
        )
        if given is not None:
            return given.counted_in(tilt)
        known = self.known.get(experiment)
        if known is None or known.dimensions is None:
            return None
        return TomogramSize(known.dimensions, (self.spacing or 0.0) if math.isnan(tilt) else tilt)

    def complain(self, missing: Sequence[str]) -> NoReturn:
        """Name the tomograms whose size nobody knows."""
        where = f"{self.file} does not state it" if self.file else "no tomograms.star was found"
        listing = ", ".join(missing[:5]) + (", …" if len(missing) > 5 else "")
        raise ReadError(
            f"centred coordinates need the size of tomogram {listing}; {where}: give "
            "tomograms= (--tomograms tomograms.star), or tomogram_dimensions= (--tomogram-size "
            "X Y Z), in pixels of the unbinned tilt series, and tomogram_spacing= "
            "(--tomogram-spacing)",
            self.path,
        )


class _Rows:
    """The rows of the particle table, decoded as a whole and then cut by experiment."""

    def __init__(
        self,
        path: Path,
        block: Block,
        columns: Columns,
        dialect: Dialect,
        sizes: _Sizes,
    ) -> None:
        self.path, self.block, self.columns, self.dialect = path, block, columns, dialect
        self.sizes, self.table = sizes, block.table
        self.used: set[str] = set()
        self.picker_centre = self.normalised = False
        self.centred = any(name in self.table for name in labels.CENTRED)
        self.located = self.centred or any(name in self.table for name in labels.COORDINATES)
        self.experiment_label = next((x for x in _experiments(dialect) if x in self.table), None)
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
                result[:, column] = self._numbers(name)
        return result

    def _numbers(self, name: str) -> NDArray[np.float64]:
        column = self.table[name]
        numbers = column.cast(pl.Float64, strict=False)
        bad = ~numbers.is_finite().fill_null(False)
        if not bad.any():
            return numbers.to_numpy()
        row = int(bad.arg_max() or 0)
        raise ReadError(
            f"block {self.block.name!r}, column {name}, row {row + 1}: expected a finite number, "
            f"found {column[row]!r}",
            self.path,
        )

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
            known = np.array([self.sizes.spacing_of(name) for name in self.names])
            of_tomogram = known[self.codes] if n else np.zeros(0)
            self._doubt_tilt_series(of_tomogram)
            if self.centred or labels.MICROGRAPH_PIXEL not in self.columns:
                rest = np.nan if found is None else found
                found = np.where(np.isnan(of_tomogram), rest, of_tomogram)
        # where only a size has Å, coordinates in Å, and fractions of it, may be in its pixels
        if (self.centred or self.normalised) and self.sizes.spacing is not None:
            found = np.full(n, np.nan) if found is None else found
            found = np.where(np.isnan(found), self.sizes.spacing, found)
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
        if self.sizes.spacing is not None:  # the user may have settled it
            differ &= ~np.isclose(of_tomogram, self.sizes.spacing, rtol=1e-4)
        if differ.any():
            row = int(differ.argmax())
            warnings.warn(
                f"{self.path}: the tilt series of {self.names[self.codes[row]]!r} has pixels of "
                f"{self.tilt[row]:g} Å here ({labels.TILT_PIXEL}) and of {of_tomogram[row]:g} Å in "
                f"{self.sizes.file}; assumed the latter, as RELION does (correct one of them, or "
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
        sizes = []
        for row in first:
            # fractions of a size need no Å where nobody knows any
            free = self.normalised and not self.spacing[row] and np.isnan(self.tilt[row])
            stated = 0.0 if free else float(self.tilt[row])
            sizes.append(self.sizes.of(self.names[self.codes[row]], stated))
        return numbers, first, sizes

    def _dimensions(self) -> NDArray[np.float64]:
        """Sizes of the particles' tomograms in pixels of the coordinates, shape (n, 3)."""
        numbers, first, sizes = self._tomograms
        missing = [
            self.names[self.codes[row]] for row, size in zip(first, sizes, strict=True) if not size
        ]
        if missing:
            self.sizes.complain(list(dict.fromkeys(missing)))
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
            assert offset is not None
            spacing: Any = self.need_spacing("origins") if written.any() else 1.0
            return decode_shift(written, offset, spacing, frame)
        written = self.vectors(labels.ORIGINS_PIXEL)
        if written is None:
            return None
        offset = labels.DIALECTS["3.0"].convention.offset
        assert offset is not None
        image = self.columns.image_spacing()
        if image is None or (self.spacing <= 0).any():
            return decode_shift(written, offset, 1.0, frame)
        return decode_shift(written, offset, self.spacing[:, None], frame, image[:, None])

    def posesets(self, metadata: dict[str, Any]) -> list[PoseSet]:
        """Cut the rows by experiment and pixel spacing."""
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


FORMAT = Format(
    name="relion-star",
    title="RELION particle STAR",
    kind="poses",
    suffixes=(".star",),
    compression=(".gz", ".bz2"),
    read=read,
    write=write,
    sniff=sniff,
    keeps=frozenset(
        {"position", "shift", "orientation", "experiment_id", "pixel_spacing", "features"}
    ),
    tolerance={"position": 1e-6, "shift": 1e-6, "orientation": 1e-6},
    evidence="; ".join(
        f"{d.convention.name}: {d.convention.evidence}" for d in labels.DIALECTS.values()
    ),
    url="https://relion.readthedocs.io/en/latest/Reference/Conventions.html",
)
