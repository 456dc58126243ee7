"""What RELION's files share: the project directory, and the sizes of tomograms."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryotypes._sizes import is_size
from cryotypes.errors import ReadError

from .star import has_labels, read_star

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike

    from .declaration import Head

PARTICLES_FILE, TOMOGRAMS_FILE = "rlnTomoParticlesFile", "rlnTomoTomogramsFile"
DATA_FILE = "rlnExperimentalDataStarFile"  # of an optimiser.star: its particles
NAMING = (PARTICLES_FILE, TOMOGRAMS_FILE, DATA_FILE)


@dataclass(frozen=True)
class Tomogram:
    """What tomograms.star says of one tomogram; sizes in pixels of the tilt series.

    A size of 0 means that it is unknown (cryoet-alignment writes it so).
    """

    dimensions: tuple[float, float, float] | None
    pixel_spacing: float  # Å, 0 if unknown


def resolve(name: str, start: Path) -> Path | None:
    """Find a file that another one names.

    Paths inside RELION's files are relative to the project directory, which is found by walking
    up from the file that holds the name.
    """
    folder = start.resolve().parent
    for parent in (folder, *folder.parents):
        if (parent / name).exists():
            return parent / name
    return None


def project_directory(path: Path) -> Path:
    """Find the directory to which RELION's paths are relative: where its own marker files lie.

    Without any, it is the directory of ``path``.
    """
    folder = path.resolve().parent
    for parent in (folder, *folder.parents):
        if any((parent / mark).exists() for mark in ("default_pipeline.star", ".gui_projectdir")):
            return parent
    return folder


def is_optimisation_set(head: Head) -> bool:
    """Whether a head is that of RELION's optimisation_set.star."""
    return has_labels(head, PARTICLES_FILE, TOMOGRAMS_FILE)


def read_optimisation_set(path: Path) -> dict[str, str]:
    """Return label to file name of an optimisation set or optimiser; empty if the file is none."""
    for block in read_star(path):
        if not set(NAMING).isdisjoint(block.table.columns):
            if block.table.height != 1:
                found = block.table.height
                raise ReadError(f"expected one optimisation set, found {found} rows", path)
            return {label: str(value) for label, value in block.row.items()}
    return {}


def named_file(entries: Mapping[str, str], label: str, path: Path) -> Path:
    """Find the file that an optimisation set names.

    Raises
    ------
    ReadError
        If it names none, or a file that does not exist.
    """
    if label not in entries:
        raise ReadError(f"the file has no {label}", path)
    found = resolve(entries[label], path)
    if found is None:
        raise ReadError(
            f"{label} is {entries[label]!r}, which does not exist in {path.resolve().parent} "
            "or any directory above it",
            path,
        )
    return found


def find_tomograms(path: Path) -> Path | None:
    """Find the tomograms.star that belongs to a particle file.

    The optimisation sets beside the file are asked first (those that name this file), then a
    tomograms.star beside it.
    """
    for candidate in sorted(path.parent.glob("*optimisation_set.star")):
        entries = read_optimisation_set(candidate)
        particles = resolve(entries.get("rlnTomoParticlesFile", ""), candidate)
        if particles is not None and particles.samefile(path):
            found = resolve(entries.get("rlnTomoTomogramsFile", ""), candidate)
            if found is not None and found.is_file():
                return found
    beside = path.parent / "tomograms.star"
    return beside if beside.is_file() else None


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
    entries = read_optimisation_set(path)
    if entries:
        path = named_file(entries, "rlnTomoTomogramsFile", path)
    for block in read_star(path):
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
