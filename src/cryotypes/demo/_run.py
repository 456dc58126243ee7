"""Simulate, write, read back, match, project, and measure the difference."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cryotypes.errors import MissingPackageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from pandas import DataFrame

    from cryotypes.geometry import Projection
    from cryotypes.matching import Experiment, Matches
    from cryotypes.poseset import PoseSet

    Floats = NDArray[np.float64]

LIMIT = 0.5  # pixels; a convention that is wrong costs several


@dataclass(frozen=True)
class DemoResult:
    """What the demo wrote and measured; distances in pixels of the tilt images (5 Å).

    Parameters
    ----------
    directory : path
        RELION's project directory.
    files : list of path
        Everything that was written.
    overlay : path or None
        The picture; None without matplotlib.
    particles, tilts, outside : int
        How many particles and tilt images there are, and how often a particle is outside an image.
    median, percentile_95, maximum : float
        Distance between the projected particles and where the images show them.
    flipped : float
        The median if the tilt angles had the other sign: what an error would look like.
    correlation, inverse : float
        Of the images with the pattern in the projected orientation, and in that of the inverse;
        the mean over all.
    tomogram : float
        Median distance in the binned tomograms, in their voxels (10 Å).
    measurements : DataFrame
        One row for each particle and tilt image that was measured.
    """

    directory: Path
    files: list[Path]
    overlay: Path | None
    particles: int
    tilts: int
    outside: int
    median: float
    percentile_95: float
    maximum: float
    flipped: float
    correlation: float
    inverse: float
    tomogram: float
    measurements: DataFrame

    @property
    def passed(self) -> bool:
        """Whether positions and orientations agree with the images."""
        near = max(self.median, self.tomogram) <= LIMIT < self.flipped
        return bool(near and self.correlation > self.inverse)

    def summary(self) -> str:
        """Return the result in words, one line a fact."""
        seen = len(self.measurements)
        return "\n".join(
            [
                f"{self.particles} particles in {self.tilts} tilt images; {self.outside} times one "
                f"is outside, {seen} times well inside and not covered by another",
                f"where the images show them: median {self.median:.3f} px from the projection, "
                f"95 % within {self.percentile_95:.3f}, all within {self.maximum:.3f}",
                f"how they are turned: correlation {self.correlation:.2f} with the images "
                f"(the inverse orientation: {self.inverse:.2f})",
                f"in the binned tomograms: median {self.tomogram:.3f} voxels from the STAR file",
                f"if the tilt angles had the other sign: median {self.flipped:.1f} px",
                "agrees with the simulation" if self.passed else "DOES NOT AGREE",
            ]
        )


def run_demo(
    directory: Path,
    *,
    overwrite: bool = False,
    report: Callable[[str], None],
    progress: Callable[[int, int], None] | None = None,
) -> DemoResult:
    """Write a small RELION 5 project of known truth, and measure how well it is read and projected.

    The tilt images are made by turning a volume and summing it up, without any of this package's
    geometry, and the particles are looked for in these images.

    Parameters
    ----------
    directory : path
        Where to write; made if it does not exist.
    overwrite : bool
        Replace the demo's own files in a directory that is not empty.
    report : callable
        Gets the text to show, a paragraph at a time.
    progress : callable, optional
        Gets the steps done and their total.

    Returns
    -------
    DemoResult
        Its ``passed`` tells whether all is well.

    Raises
    ------
    FileExistsError
        If the directory is not empty and ``overwrite`` is False, or it is a file.
    """
    from . import _simulate as simulate
    from ._files import write_project

    directory = Path(directory)
    _claim(directory, overwrite)
    plan = simulate.plan()
    tick = _Ticks(2 * sum(len(series.angles) for series in plan), progress)
    files = write_project(directory, plan, overwrite, tick)
    report(f"wrote a simulated RELION 5 project to {directory}")
    matches = _read_back(files)
    report(matches.summary())
    return _measured(directory, files, matches, overwrite, report, tick)


class _Ticks:
    """Counts steps."""

    def __init__(self, total: int, progress: Callable[[int, int], None] | None) -> None:
        self.done, self.total, self.progress = 0, total, progress

    def __call__(self, steps: int = 1) -> None:
        self.done += steps
        if self.progress is not None:
            self.progress(self.done, self.total)


def _claim(directory: Path, overwrite: bool) -> None:
    if directory.exists() and not directory.is_dir():
        raise FileExistsError(f"{directory} is a file; name a directory")
    if not overwrite and directory.is_dir() and any(directory.iterdir()):
        raise FileExistsError(
            f"{directory} is not empty; name another directory, or replace an earlier demo with "
            "overwrite=True (--overwrite)"
        )
    directory.mkdir(parents=True, exist_ok=True)


def _read_back(files: Sequence[Path]) -> Matches:
    """Read everything from the files, and join what belongs together by name."""
    from cryotypes import io
    from cryotypes.matching import match

    optimisation_set = files[-1]
    images = [io.read_image(path) for path in files if path.suffix in (".mrc", ".mrcs")]
    return match(
        io.read_poses(optimisation_set), io.read_projection_model(optimisation_set), images
    )


def _measured(
    directory: Path,
    files: list[Path],
    matches: Matches,
    overwrite: bool,
    report: Callable[[str], None],
    tick: _Ticks,
) -> DemoResult:
    import numpy as np
    import pandas as pd

    projections, tables, distances = [], [], []
    for experiment in matches.values():
        projection, table, distance = _measure(experiment)
        projections.append(projection)
        tables.append(table)
        distances.append(distance)
        tick(len(projection))
    measurements = pd.concat(tables, ignore_index=True)
    overlay = _draw(directory, next(iter(matches.values())), projections[0], overwrite, report)
    median, percentile_95, maximum = _spread(measurements["error"].to_numpy(dtype=float))
    result = DemoResult(
        directory=directory,
        files=[*files, overlay] if overlay is not None else files,
        overlay=overlay,
        particles=sum(p.depth.shape[1] for p in projections),
        tilts=sum(map(len, projections)),
        outside=sum(int((~p.inside()).sum()) for p in projections),
        median=median,
        percentile_95=percentile_95,
        maximum=maximum,
        flipped=float(measurements["flipped"].median()),
        correlation=float(measurements["correlation"].mean()),
        inverse=float(measurements["inverse"].mean()),
        tomogram=float(np.median(np.concatenate(distances))),
        measurements=measurements,
    )
    report(result.summary())
    return result


def _spread(error: Floats) -> tuple[float, float, float]:
    """Return median, 95 % and maximum; where nothing was found, it is as wrong as can be."""
    import numpy as np

    if not len(error):
        return np.inf, np.inf, np.inf
    return float(np.median(error)), float(np.percentile(error, 95)), float(error.max())


def _measure(
    experiment: Experiment,
) -> tuple[Projection[PoseSet], DataFrame, Floats]:
    """Project one experiment, and compare with its tilt images and its tomogram."""
    from cryotypes.geometry import project
    from cryotypes.projectionmodel import ProjectionModelDataLabels as Labels

    from ._measure import measure_tilts, measure_tomogram

    poses, model = experiment.poses[0], experiment.projection_model
    assert model is not None
    projection = project(poses, model)
    wrong = project(poses, model.assign(**{Labels.ROTATION_Y: -model[Labels.ROTATION_Y]}))
    table = measure_tilts(projection, wrong, experiment.tilt_series[0])
    return projection, table, measure_tomogram(poses, experiment.tomograms[0])


def _draw(
    directory: Path,
    experiment: Experiment,
    projection: Projection[PoseSet],
    overwrite: bool,
    report: Callable[[str], None],
) -> Path | None:
    """Draw the projected particles over the tilt images."""
    from cryotypes.plots import plot_projection, save_figure

    from ._simulate import RADIUS

    path = directory / "overlay.png"
    title = f"{experiment.experiment_id}: particles of a STAR file, projected into its tilt images"
    try:
        figure = plot_projection(projection, experiment.tilt_series[0], box=2 * RADIUS, title=title)
    except MissingPackageError as error:
        report(f"no picture: {error}")
        return None
    save_figure(figure, path, overwrite=overwrite)
    report(f"drew {path}")
    return path
