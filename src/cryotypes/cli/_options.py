"""Options that several commands share, and how they reach the readers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryotypes.formats._format import Kind

FILE = click.Path(path_type=Path)
_POSITIVE = click.FloatRange(min=0, min_open=True)

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
        help="Size of the tomograms, in pixels of the unbinned tilt series (or of "
        "--tomogram-spacing).",
    ),
    click.option(
        "--tomogram-spacing",
        type=_POSITIVE,
        metavar="ANGSTROM",
        help="Å per pixel in which --tomogram-size is counted; by default the unbinned tilt "
        "series' own, where a file states it.",
    ),
    click.option(
        "--pixel-spacing",
        type=_POSITIVE,
        metavar="ANGSTROM",
        help="Å per pixel of what is read, where the file does not tell or is wrong.",
    ),
]
_FORMAT = click.option(
    "--format", "--from", "format_name", help="Name of the format that is read, if not recognised."
)


def reading_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options for what files may lack."""
    for option in reversed([*_READING, _FORMAT]):
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
    from cryotypes.io import read

    things: list[list[Any]] = []
    names: list[str] = []
    for path in paths:
        here = formats_of(path, format_name)
        names += here
        some = {option: options[option] for option in known_options(here, options)}
        things.append(read(path, format=format_name, **some))
    check_known(names, {name: value for name, value in options.items() if name not in own})
    return things


def known_options(names: list[str], options: dict[str, Any]) -> list[str]:
    """Name the options that reading one of these formats knows."""
    from cryotypes.io import options_of
    from cryotypes.registry import formats

    readers = [reader for name in names if (reader := formats()[name].read) is not None]
    known = {option for reader in readers for option in options_of(reader)}
    return [option for option in options if option in known]


def check_known(names: list[str], options: dict[str, Any]) -> None:
    """Refuse options that none of these formats knows."""
    known = known_options(names, options)
    unused = [f"--{name.replace('_', '-')}" for name in options if name not in known]
    if unused:
        raise click.UsageError(f"{', '.join(unused)} does not apply to these files")


def formats_of(path: Path, format_name: str | None) -> list[str]:
    """Name the formats in which a file can be read, one a kind."""
    from cryotypes.io import _candidates, identify
    from cryotypes.registry import get_format

    if format_name is not None:
        return [get_format(format_name).name]
    kinds = dict.fromkeys(found.kind for found in _candidates(path))
    return [identify(path, kind).name for kind in kinds] or [identify(path).name]


def format_of(path: Path, kind: Kind, format_name: str | None) -> str:
    """Name the format in which a file holds one kind; a name that is given is for its kind."""
    from cryotypes.io import identify
    from cryotypes.registry import get_format

    if format_name is not None and (given := get_format(format_name)).kind == kind:
        return given.name
    return identify(path, kind).name
