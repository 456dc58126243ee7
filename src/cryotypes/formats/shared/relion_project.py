"""What RELION's files share: the project directory, and the sizes of tomograms."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryotypes._sizes import is_size
from cryotypes.errors import ReadError

from .files import read_companion
from .star import Block, has_labels, read_star

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from os import PathLike

    from .declaration import Head

PARTICLES_FILE, TOMOGRAMS_FILE = "rlnTomoParticlesFile", "rlnTomoTomogramsFile"
DATA_FILE = "rlnExperimentalDataStarFile"  # of an optimiser.star: its particles
NAMING = (PARTICLES_FILE, TOMOGRAMS_FILE, DATA_FILE)
_MARKS = ("default_pipeline.star", ".gui_projectdir")


@dataclass(frozen=True)
class Project:
    """The project that a file is of: names in RELION's files are relative to its directory.

    Parameters
    ----------
    file : Path
        The file in which the names stand; names are looked up in the directories above it.
    """

    file: Path

    @cached_property
    def _folders(self) -> tuple[Path, ...]:
        folder = self.file.resolve().parent
        return (folder, *folder.parents)

    @property
    def directory(self) -> Path:
        """Where RELION's own marker files lie; without any, the directory of the file."""
        marked = (f for f in self._folders if any((f / mark).exists() for mark in _MARKS))
        return next(marked, self._folders[0])

    def resolve(self, name: str | None) -> Path | None:
        """Find a file that this one names; None if there is none, or no name."""
        return next((f / name for f in self._folders if name and (f / name).is_file()), None)

    def find(self, name: str, what: str) -> Path:
        """Find a file that this one names.

        Parameters
        ----------
        what : str
            What the message begins with, as in "{what} is 'particles.star', which …".

        Raises
        ------
        ReadError
            If it does not exist.
        """
        found = self.resolve(name)
        if found is None:
            raise ReadError(
                f"{what} is {name!r}, which does not exist in {self._folders[0]} or any directory "
                "above it",
                self.file,
            )
        return found

    def named(self, names: Mapping[str, str], label: str) -> Path:
        """Find the file that an optimisation set names under a label.

        Raises
        ------
        ReadError
            If it names none, or a file that does not exist.
        """
        if label not in names:
            raise ReadError(f"the file has no {label}", self.file)
        return self.find(names[label], label)

    def tomograms(self) -> Path | None:
        """Find the tomograms.star that belongs to this file of particles.

        The optimisation sets beside the file are asked first (those that name this file), then a
        tomograms.star beside it.
        """
        for candidate in sorted(self.file.parent.glob("*optimisation_set.star")):
            names, project = read_companion(_names_of, candidate) or {}, Project(candidate)
            particles = project.resolve(names.get(PARTICLES_FILE))
            if particles is not None and particles.samefile(self.file):
                found = project.resolve(names.get(TOMOGRAMS_FILE))
                if found is not None:
                    return found
        beside = self.file.parent / "tomograms.star"
        return beside if beside.is_file() else None


def is_optimisation_set(head: Head) -> bool:
    """Whether a head is that of RELION's optimisation_set.star."""
    return has_labels(head, PARTICLES_FILE, TOMOGRAMS_FILE)


def _names_of(path: Path) -> dict[str, str]:
    return names_in(read_star(path), path)


def names_in(blocks: Iterable[Block], path: Path) -> dict[str, str]:
    """Return label to file name of an optimisation set or optimiser; empty if it is none.

    Raises
    ------
    ReadError
        If there are several sets in one file.
    """
    for block in blocks:
        if not set(NAMING).isdisjoint(block.table.columns):
            if block.table.height != 1:
                found = block.table.height
                raise ReadError(f"expected one optimisation set, found {found} rows", path)
            return {label: str(value) for label, value in block.row.items()}
    return {}


@dataclass(frozen=True)
class Tomogram:
    """What tomograms.star says of one tomogram; sizes in pixels of the tilt series.

    A size of 0 means that it is unknown (cryoet-alignment writes it so).
    """

    dimensions: tuple[float, float, float] | None
    pixel_spacing: float  # Å, 0 if unknown


def read_tomograms(path: str | PathLike[str]) -> dict[str, Tomogram]:
    """Read the sizes and pixel spacings of tomograms, by rlnTomoName.

    Parameters
    ----------
    path : path
        RELION 4 or 5's tomograms.star, or an optimisation set that names it.

    Raises
    ------
    ReadError
        If it is neither.
    """
    path = Path(path)
    blocks = read_star(path)
    if names := names_in(blocks, path):
        path = Project(path).named(names, TOMOGRAMS_FILE)
        blocks = read_star(path)
    for block in blocks:
        if "rlnTomoName" in block.table and (
            "rlnTomoSizeX" in block.table or "rlnTomoTiltSeriesPixelSize" in block.table
        ):
            return {row["rlnTomoName"]: _tomogram(row) for row in block.table.to_dicts()}
    raise ReadError(
        "expected a tomograms.star, with rlnTomoName and rlnTomoSizeX, Y, Z in one block", path
    )


def _tomogram(row: Mapping[str, Any]) -> Tomogram:
    size = tuple(row.get(f"rlnTomoSize{axis}") for axis in "XYZ")
    spacing = row.get("rlnTomoTiltSeriesPixelSize")
    return Tomogram(
        dimensions=size if is_size(size) else None,  # type: ignore[arg-type]
        pixel_spacing=float(spacing) if is_size([spacing], 1) else 0.0,  # type: ignore[arg-type]
    )
