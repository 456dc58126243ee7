"""``cryotypes project``: particles in the tilt images."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ._options import (
    FILE,
    ReadingCommand,
    check_known,
    files_of,
    given,
    read_files,
    reading_options,
)
from ._words import say

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cryotypes.geometry import Projection
    from cryotypes.matching import Experiment

_OWN = (
    "tomogram_dimensions",
    "tomogram_spacing",
    "tilt_image_dimensions",
)  # of the projection itself, too


@click.command(cls=ReadingCommand)
@click.argument("poses", type=FILE)
@click.argument("alignment", type=FILE, required=False)
@click.option("-o", "--output", type=FILE, help="Table to write: .star or .csv.")
@click.option("--plot", type=FILE, help="Picture to write (.png, .pdf, .svg), one an experiment.")
@click.option(
    "--alignment-spacing",
    type=click.FloatRange(min=0, min_open=True),
    metavar="ANGSTROM",
    help="Å per pixel of ALIGNMENT, where it does not tell; --pixel-spacing is that of POSES.",
)
@click.option("--margin", type=float, default=0.0, help="Pixels to keep from the edges.")
@click.option("--experiment", "experiments", multiple=True, help="Only this one; may be repeated.")
@click.option("--tilt", "tilts", type=int, multiple=True, help="Tilts in the picture, from 0.")
@click.option("--names", type=FILE, help="Table of two columns: a name, and its experiment.")
@click.option("--regex", help="What counts of a name, for matching.")
@reading_options
@click.option("--overwrite", is_flag=True, help="Replace existing files.")
def project(
    poses: Path,
    alignment: Path | None,
    output: Path | None,
    plot: Path | None,
    alignment_spacing: float | None,
    margin: float,
    experiments: tuple[str, ...],
    tilts: tuple[int, ...],
    names: Path | None,
    regex: str | None,
    format_name: str | None,
    overwrite: bool,
    others: dict[str, Any],
    **options: Any,
) -> None:
    """Project the particles in POSES into the tilt images of ALIGNMENT.

    ALIGNMENT may be left out if POSES is RELION's optimisation_set.star, which names both. The
    table has a row for each particle in each tilt image: where (pixels of the tilt image, the
    centre of the first is 0), how deep (Å, from the tomogram's centre), whether inside, and the
    particle's orientation in the frame of the image.
    """
    from cryotypes.matching import match

    _check_targets(output, plot, overwrite)
    options = given(others, **options, alignment_spacing=alignment_spacing)
    posesets, models = _read(poses, alignment, format_name, options)
    with warnings.catch_warnings():  # projecting says it, too, and of the chosen ones only
        warnings.filterwarnings("ignore", message=".*outside their tomogram")
        matches = match(posesets, models, names=names, regex=regex)
    chosen = _chosen(matches.values(), experiments)
    _report_unmatched(matches.unmatched)
    sizes = {name: options[name] for name in _OWN if name in options}
    with warnings.catch_warnings(record=True) as caught:  # once, not for each experiment
        warnings.simplefilter("always")
        projections = [p for experiment in chosen for p in _project(experiment, sizes)]
    for message in dict.fromkeys(str(w.message) for w in caught):
        warnings.warn_explicit(message, caught[0].category, "cryotypes", 0)
    for projection in projections:
        say(_sentence(projection, margin))
    if output is not None:
        _write_table(projections, output, margin, overwrite)
        say(f"wrote {output}")
    if plot is not None:
        for path in _draw(projections, plot, tilts, overwrite):
            say(f"wrote {path}")


def _check_targets(output: Path | None, plot: Path | None, overwrite: bool) -> None:
    from cryotypes.formats.shared.files import refuse_overwrite

    if output is not None:
        if output.suffix.lower() not in (".star", ".csv"):
            raise click.BadParameter(
                f"expected a name that ends in .star or .csv, found {output}",
                param_hint="'--output'",
            )
        refuse_overwrite(output, overwrite)
    if plot is not None and plot.suffix.lower() not in (".png", ".pdf", ".svg", ".jpg"):
        raise click.BadParameter(
            f"expected a name that ends in .png, .pdf, .svg or .jpg, found {plot}",
            param_hint="'--plot'",
        )


def _read(
    poses: Path, alignment: Path | None, format_name: str | None, options: dict[str, Any]
) -> tuple[list[Any], list[Any]]:
    from cryotypes.formats.shared.declaration import Head
    from cryotypes.formats.shared.relion_project import is_optimisation_set

    if alignment is None and not is_optimisation_set(Head.of(poses)):
        raise click.UsageError("ALIGNMENT is missing, and POSES is no optimisation_set.star")
    spacing = options.pop("alignment_spacing", None)
    particles = files_of(poses, "poses", format_name)
    tilts = files_of(alignment or poses, "projection_model", format_name)
    of_tilts = {name: value for name, value in options.items() if name != "pixel_spacing"}
    both = [name for some in (particles, tilts) for names in some.values() for name in names]
    check_known(both, {name: of_tilts[name] for name in of_tilts if name not in _OWN})
    if "pixel_spacing" in options:
        own = [name for names in particles.values() for name in names]
        check_known(own, {"pixel_spacing": options["pixel_spacing"]})
    if spacing is not None:
        of_tilts["pixel_spacing"] = spacing
    return read_files(particles, options), read_files(tilts, of_tilts)


def _chosen(found: Iterable[Experiment], wanted: tuple[str, ...]) -> list[Experiment]:
    from cryotypes.errors import MatchError

    both = [e for e in found if e.poses and e.projection_model is not None]
    if not both:
        raise MatchError(
            "no experiment has both particles and a tilt series; see `cryotypes match` for the "
            "names, and join them with --names or --regex"
        )
    known = [e.experiment_id for e in both]
    for name in wanted:
        if name not in known:
            raise MatchError(f"no experiment {name!r}; there is {', '.join(known[:20])}")
    return [e for e in both if not wanted or e.experiment_id in wanted]


def _report_unmatched(unmatched: Any) -> None:
    for thing in unmatched:
        if thing.kind == "poses":
            say(f"not projected: {thing.experiment_id!r}: {thing.reason}", err=True)


def _project(experiment: Experiment, sizes: dict[str, Any]) -> list[Projection[Any]]:
    from cryotypes.geometry import project as compute

    model = experiment.projection_model
    assert model is not None  # chosen for it
    return [compute(poses, model, **sizes) for poses in experiment.poses]


def _sentence(projection: Projection[Any], margin: float) -> str:
    tilts, n = projection.depth.shape
    text = f"{projection.poses.experiment_id}: {n} particles in {tilts} tilt images"
    if projection.tilt_image_dimensions is None:
        return f"{text}, positions from the image centre"
    inside = projection.inside(margin)
    share = 100 * inside.mean() if inside.size else 0.0
    everywhere = int(inside.all(axis=0).sum())
    return f"{text}, {share:.1f} % inside, {everywhere} particles inside in all"


def _write_table(
    projections: list[Projection[Any]], path: Path, margin: float, overwrite: bool
) -> None:
    import polars as pl

    from cryotypes.formats.shared.files import writing_bytes
    from cryotypes.formats.shared.star import Block, write_star

    from ._projection_table import csv_table, star_table

    if path.suffix.lower() == ".csv":
        table = pl.concat([csv_table(p, margin) for p in projections], how="diagonal")
        with writing_bytes(path, overwrite) as file:
            table.write_csv(file)
        return
    table = pl.concat([star_table(p, margin) for p in projections], how="diagonal")
    with writing_bytes(path, overwrite) as file:
        write_star(file, [Block("particles", table)])


def _draw(
    projections: list[Projection[Any]],
    plot: Path,
    tilts: tuple[int, ...],
    overwrite: bool,
) -> list[Path]:
    from cryotypes.formats.shared.files import refuse_overwrite
    from cryotypes.names import strip_path_and_suffix
    from cryotypes.plots import plot_projection, save_figure

    from ._tilt_images import tilt_images

    paths = [plot]
    if len(projections) > 1:
        names = [strip_path_and_suffix(p.poses.experiment_id) for p in projections]
        paths = [plot.with_stem(f"{plot.stem}_{name}") for name in names]
    if len(set(paths)) < len(paths):
        paths = [plot.with_stem(f"{plot.stem}_{i}") for i in range(len(projections))]
    for path in paths:
        refuse_overwrite(path, overwrite)
    pairs = list(zip(projections, paths, strict=True))
    with click.progressbar(pairs, label="drawing", file=sys.stderr) as work:
        for projection, path in work:
            images: Any = tilt_images(projection.model)
            figure = plot_projection(projection, images, tilts=list(tilts) or None)
            save_figure(figure, path, overwrite)
    return paths
