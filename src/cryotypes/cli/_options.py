"""Options that several commands share, and how they reach the readers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable

FILE = click.Path(path_type=Path)

_READING = [
    click.option(
        "--tomograms",
        type=FILE,
        help="tomograms.star or optimisation_set.star, for the sizes of tomograms; by default "
        "what lies beside the particles.",
    ),
    click.option(
        "--tomogram-size",
        "tomogram_dimensions",
        type=float,
        nargs=3,
        metavar="X Y Z",
        help="Size of the tomograms, in pixels of the unbinned tilt series.",
    ),
    click.option(
        "--pixel-spacing",
        type=click.FloatRange(min=0, min_open=True),
        help="Å per pixel, where the file does not tell or is wrong.",
    ),
    click.option("--format", "format_name", help="Name of the format, if it is not recognised."),
]


def reading_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options for what files may lack."""
    for option in reversed(_READING):
        command = option(command)
    return command


def given(**options: Any) -> dict[str, Any]:
    """Keep the options that were given."""
    return {name: value for name, value in options.items() if value is not None}


def read_all(
    paths: tuple[Path, ...], format_name: str | None, options: dict[str, Any]
) -> list[Any]:
    """Read everything in several files; an option goes to those files that know it."""
    return [thing for things in read_each(paths, format_name, options) for thing in things]


def read_each(
    paths: tuple[Path, ...],
    format_name: str | None,
    options: dict[str, Any],
    own: tuple[str, ...] = (),
) -> list[list[Any]]:
    """Read several files, one list each; the command itself has a use for the options ``own``."""
    from cryotypes.io import options_of, read
    from cryotypes.registry import formats

    things: list[list[Any]] = []
    used: set[str] = set()
    for path in paths:
        names = formats_of(path, format_name)
        known = {
            option
            for name in names
            if (function := formats()[name].read) is not None
            for option in options_of(function)
        }
        some = {name: value for name, value in options.items() if name in known}
        used.update(some)
        things.append(read(path, format=format_name, **some))
    unused = [f"--{name.replace('_', '-')}" for name in options if name not in used | {*own}]
    if unused:
        raise click.UsageError(f"{', '.join(unused)} does not apply to these files")
    return things


def formats_of(path: Path, format_name: str | None) -> list[str]:
    from cryotypes.io import _candidates
    from cryotypes.registry import get_format

    if format_name is not None:
        return [get_format(format_name).name]
    return [found.name for found in _candidates(path)]
