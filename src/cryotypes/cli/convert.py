"""``cryotypes convert``: from any format to any other."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from ._options import FILE, ReadingCommand, given, reading_options
from ._progress_bar import bar
from ._words import say

if TYPE_CHECKING:
    from pathlib import Path


@click.command(cls=ReadingCommand)
@click.argument("sources", nargs=-1, required=True, type=FILE)
@click.argument("target", type=FILE)
@click.option("--to", "to_format", help="Name of the target's format, if its suffix is not enough.")
@click.option("--dialect", help="Version of the target's format, e.g. 3.1 for RELION.")
@reading_options
@click.option(
    "--bin",
    "bin_factor",
    type=click.IntRange(min=1),
    default=1,
    help="Make images so many times coarser.",
)
@click.option(
    "--bin-method",
    type=click.Choice(["mean", "decimate", "fourier"]),
    default="mean",
    show_default=True,
    help="What a coarser voxel is; where things then are: cryotypes.bin_image, bin_poses.",
)
@click.option("--experiment", "experiments", multiple=True, help="Only this one; may be repeated.")
@click.option(
    "--name",
    help="What experiments are to be called; {stem}, {parent} (of the source), {experiment_id}.",
)
@click.option("--names", type=FILE, help="Table of two columns: a name, and its experiment.")
@click.option("--regex", help="What counts of a name: its first group, or all that matches.")
@click.option(
    "--skip-unreadable",
    is_flag=True,
    help="Go on without sources that cannot be read (exit code 1); else nothing is written then.",
)
@click.option("--report", is_flag=True, help="Say what was kept, converted, assumed and lost.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option("--strict", is_flag=True, help="Write nothing if something would be lost.")
@click.option("--overwrite", is_flag=True, help="Replace existing files.")
def convert(
    sources: tuple[Path, ...],
    target: Path,
    format_name: str | None,
    to_format: str | None,
    experiments: tuple[str, ...],
    bin_factor: int,
    bin_method: Any,
    others: dict[str, Any],
    report: bool,
    as_json: bool,
    strict: bool,
    skip_unreadable: bool,
    overwrite: bool,
    **options: Any,
) -> None:
    """Convert SOURCES to TARGET.

    Several sources become one file, unless TARGET holds {stem} (one file a source; {parent} is
    its directory) or {experiment_id} (one file an experiment). Of a directory, all is taken that
    TARGET can hold.
    """
    from cryotypes.conversion import convert as run

    from ._words import complain

    unreadable: list[Path] = []

    def leave_out(path: Path, error: Exception) -> None:
        unreadable.append(path)
        complain(error, path)

    with bar("writing") as progress:
        reports = run(
            list(sources),
            target,
            from_format=format_name,
            to_format=to_format,
            overwrite=overwrite,
            strict=strict,
            experiments=experiments or None,
            bin_factor=bin_factor,
            bin_method=bin_method,
            progress=progress,
            on_unreadable=leave_out if skip_unreadable else None,
            **given(others, **options),
        )
    if as_json:
        say(json.dumps([vars(r) for r in reports], indent=2, ensure_ascii=False))
    for one in reports if not as_json else []:
        say(str(one) if report else f"wrote {one.path} ({one.format})")
    if unreadable:
        say(f"left out: {len(unreadable)} of {len(sources)} sources", err=True)
        raise SystemExit(1)
