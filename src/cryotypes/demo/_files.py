"""Write the simulated experiment as a small RELION 5 project."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from cryotypes import io
from cryotypes.image import Image
from cryotypes.poseset import PoseSet

from . import _simulate as simulate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from pandas import DataFrame

    from ._simulate import Series

_MICROSCOPE = {
    "rlnVoltage": 300.0,
    "rlnSphericalAberration": 2.7,
    "rlnAmplitudeContrast": 0.1,
    "rlnMicrographOriginalPixelSize": simulate.PIXEL_SPACING,
    "rlnTomoHand": -1.0,
}
_OPTIMISATION_SET = """\
# version 50001

data_

_rlnTomoParticlesFile   particles.star
_rlnTomoTomogramsFile   tomograms.star
"""
_DOSE = 3.0  # e/Å² an image


def write_project(
    directory: Path, plan: Sequence[Series], overwrite: bool, tick: Callable[[], None]
) -> list[Path]:
    """Write tomograms, tilt series, particles and the files that name them.

    Parameters
    ----------
    directory : path
        Exists; RELION's project directory.
    plan : list of Series
    overwrite : bool
        Replace existing files of these names.
    tick : callable
        Called after each tilt image.

    Returns
    -------
    list of path
        In order of writing; the optimisation set, which names all others, is the last.
    """
    paths = []
    for name in ("tilt_series", "tomograms"):
        (directory / name).mkdir(exist_ok=True)
    for series in plan:
        stack, tomogram = _images(series, tick)
        for image, relative in ((stack, _stack_of(series)), (tomogram, _tomogram_of(series))):
            paths.append(directory / relative)
            io.write(image, paths[-1], overwrite=overwrite)
    tomograms, particles = directory / "tomograms.star", directory / "particles.star"
    io.write(_model(plan), tomograms, overwrite=overwrite, project=directory)
    io.write(
        [_poses(series) for series in plan],
        particles,
        overwrite=overwrite,
        dialect="5.0",
        tomograms=tomograms,
    )
    series_files = [directory / "tilt_series" / f"{series.name}.star" for series in plan]
    return [*paths, *series_files, tomograms, particles, _optimisation_set(directory, overwrite)]


def _stack_of(series: Series) -> PurePosixPath:
    return PurePosixPath("tilt_series") / f"{series.name}.mrcs"


def _tomogram_of(series: Series) -> PurePosixPath:
    return PurePosixPath("tomograms") / f"rec_{series.name}.mrc"


def _images(series: Series, tick: Callable[[], None]) -> tuple[Image, Image]:
    """Return the tilt series and the binned tomogram."""
    volume = simulate.density(series)
    images = []
    for image in simulate.tilt_images(series, volume):
        images.append(image)
        tick()
    stack = Image(np.stack(images), series.name, simulate.PIXEL_SPACING, stack=True)
    spacing = simulate.PIXEL_SPACING * simulate.BINNING
    return stack, Image(simulate.binned(volume), f"rec_{series.name}", spacing)


def _poses(series: Series) -> PoseSet:
    """Return the particles as a picker gives them: in voxels of the binned tomogram."""
    return PoseSet(
        series.position / simulate.BINNING,
        series.shift / simulate.BINNING,
        series.orientation,
        series.name,
        simulate.PIXEL_SPACING * simulate.BINNING,
    )


def _model(plan: Sequence[Series]) -> DataFrame:
    """Return the alignments of all tilt series, and what tomograms.star says of each."""
    import pandas as pd

    model = pd.concat([_alignment(series) for series in plan], ignore_index=True)
    rows: dict[str, dict[str, Any]] = {
        series.name: {
            "rlnTomoName": series.name,
            **_MICROSCOPE,
            "rlnTomoTomogramBinning": float(simulate.BINNING),
            "rlnTomoReconstructedTomogram": str(_tomogram_of(series)),
        }
        for series in plan
    }
    model.attrs["relion"] = {"listed": True, "rows": rows}
    model.attrs["tomogram_dimensions"] = {series.name: series.tomogram_size for series in plan}
    return model


def _alignment(series: Series) -> DataFrame:
    import pandas as pd

    n = len(series.angles)
    # outwards from the untilted image, alternating between the two sides
    order = np.argsort(np.argsort(np.abs(series.angles[:, 1]), kind="stable"))
    return pd.DataFrame(
        {
            "rlnMicrographName": [f"{i + 1}@{_stack_of(series)}" for i in range(n)],
            "rlnMicrographPreExposure": order * _DOSE,
            **dict(zip(("rotation_x", "rotation_y", "rotation_z"), series.angles.T, strict=True)),
            **dict(zip(("dx", "dy"), series.offsets.T, strict=True)),
            "experiment_id": series.name,
            "pixel_spacing": simulate.PIXEL_SPACING,
            "source": "",
        }
    )


def _optimisation_set(directory: Path, overwrite: bool) -> Path:
    from cryotypes.formats import writing

    path = directory / "optimisation_set.star"
    with writing(path, overwrite) as temporary:
        temporary.write_text(_OPTIMISATION_SET)
    return path
