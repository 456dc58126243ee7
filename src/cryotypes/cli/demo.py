"""``cryotypes demo``: a simulated experiment with known truth, from files to picture."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from ._options import FILE
from ._words import say


@click.command()
@click.argument("directory", type=FILE, default=Path("cryotypes-demo"))
@click.option("--overwrite", is_flag=True, help="Replace the files of an earlier demo.")
def demo(directory: Path, overwrite: bool) -> None:
    """Simulate a small experiment, read it back, and check where its particles are seen.

    Makes DIRECTORY (cryotypes-demo) with tomograms, tilt series and particles as a RELION 5
    project; nothing is downloaded. The tilt series is made by turning the volume and summing along
    the beam; the particles are then projected through the files' geometry and compared with where
    the images show them.
    """
    from cryotypes.demo import run_demo

    bar: Any = click.progressbar(length=1, label="simulating", file=sys.stderr)

    def progress(done: int, total: int) -> None:
        bar.length = total
        bar.update(done - bar.pos)

    def report(line: str) -> None:
        bar.render_finish()
        say(line)

    result = run_demo(directory, overwrite=overwrite, report=report, progress=progress)
    if not result.passed:
        raise click.ClickException("the projected particles are not where the images show them")
