"""Options that several commands share, and how they reach the readers."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cryotypes._option_text import OptionText, is_flag, is_numbers

from ._words import functions_with, option_named

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryotypes.formats.shared.declaration import Kind

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
        help="Size of the tomograms, in pixels of the unbinned tilt series.",
    ),
    click.option(
        "--tomogram-spacing",
        type=_POSITIVE,
        metavar="ANGSTROM",
        help="Å per pixel in which --tomogram-size is counted; by default the unbinned tilt "
        "series' own, where a file states it.",
    ),
    click.option(
        "--tomogram-names",
        type=FILE,
        help="Table of two columns, number and name, for lists that number their tomograms; by "
        "default the .doc beside them.",
    ),
    click.option(
        "--tilt-image-size",
        "tilt_image_dimensions",
        type=int,
        nargs=2,
        metavar="X Y",
        help="Size of the tilt images in pixels, where the files do not tell.",
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


_OTHERS = click.option(
    "-O",
    "--option",
    "others",
    multiple=True,
    metavar="NAME=VALUE",
    callback=lambda _, __, texts: dict(_split(text) for text in texts),
    help="Any other option of a format, also as --NAME VALUE; `cryotypes formats -v` lists them.",
)
_ALIASES = {
    "tomogram_size": "tomogram_dimensions",
    "tilt_image_size": "tilt_image_dimensions",
}


def reading_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options for what files may lack."""
    for option in reversed([*_READING, _FORMAT, _OTHERS]):
        command = option(command)
    return command


def _split(text: str) -> tuple[str, OptionText]:
    name, sign, value = text.partition("=")
    if not sign:
        raise click.BadParameter(f"expected NAME=VALUE, found {text!r}", param_hint="'--option'")
    name = name.strip().replace("-", "_")
    return _ALIASES.get(name, name), OptionText(value)


class ReadingCommand(click.Command):
    """A command that takes every option of every format as ``--name value``, too."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Write what is an option of a format, and none of this command, as ``-O name=value``."""
        own = {name for parameter in self.params for name in parameter.opts}
        words = list(args)
        result: list[str] = []
        while words:
            word = words.pop(0)
            name, sign, value = word.partition("=")
            if word == "--":
                return super().parse_args(ctx, [*result, word, *words])
            if not name.startswith("--") or name in own or name == "--help":
                result.append(word)
                continue
            option = name[2:].replace("-", "_")
            option = _ALIASES.get(option, option)
            functions = functions_with(option)
            if functions and not sign:
                value = _value_of(words, option, functions, name)
            result += ["-O", f"{option}={value}"] if functions else [word]
        return super().parse_args(ctx, result)


def _value_of(words: list[str], option: str, functions: list[Any], told: str) -> str:
    """Take an option's value off the words that follow it."""
    if all(is_flag(function, option) for function in functions):
        return words.pop(0) if words and words[0].lower() in ("true", "false") else "true"
    if not words:
        raise click.UsageError(f"option {told!r} requires an argument")
    values = [words.pop(0)]
    if any(is_numbers(function, option) for function in functions):
        while words and _is_number(values[0]) and _is_number(words[0]):
            values.append(words.pop(0))
    return ",".join(values)


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def given(others: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
    """Keep the options that were given, by name or as ``-O NAME=VALUE``."""
    return {name: value for name, value in options.items() if value is not None} | (others or {})


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
    """Read several files or directories of them, one list each.

    The command itself has a use for the options ``own``.
    """
    from cryotypes.conversion import contents

    things: list[list[Any]] = []
    names: list[str] = []
    for path in paths:
        inner = contents(path) if format_name is None else [path]
        each = {p: formats_of(p, format_name) for p in inner}
        names += [name for formats in each.values() for name in formats]
        things.append(read_files(each, options))
    check_known(names, {name: value for name, value in options.items() if name not in own})
    return things


def read_files(formats: dict[Path, list[str]], options: dict[str, Any]) -> list[Any]:
    """Read files in some formats; of several, one alignment of each tilt series."""
    from cryotypes.conversion import without_alignment
    from cryotypes.io import read

    found: list[tuple[Path, Any, list[Any]]] = []
    for path, name in ((path, name) for path, names in formats.items() for name in names):
        with warnings.catch_warnings(record=True) as doubts:
            warnings.simplefilter("always")
            some = {option: options[option] for option in known_options([name], options)}
            things = read(path, format=name, **some)
        found += [(path, thing, doubts if not n else []) for n, thing in enumerate(things)]
    models = {n: f[:2] for n, f in enumerate(found) if len(formats) > 1 and hasattr(f[1], "iloc")}
    left_out = without_alignment(models)
    for doubt in (d for n, f in enumerate(found) if n not in left_out for d in f[2]):
        warnings.warn_explicit(doubt.message, doubt.category, doubt.filename, doubt.lineno)
    return [f[1] for n, f in enumerate(found) if n not in left_out]


def known_options(names: list[str], options: dict[str, Any]) -> list[str]:
    """Name the options that reading one of these formats knows."""
    from cryotypes.io import options_of
    from cryotypes.registry import known_formats

    readers = [reader for name in names if (reader := known_formats()[name].read) is not None]
    known = {option for reader in readers for option in options_of(reader)}
    return [option for option in options if option in known]


def check_known(names: list[str], options: dict[str, Any]) -> None:
    """Refuse options that none of these formats knows."""
    known = known_options(names, options)
    plain = {name: f"--{name.replace('_', '-')}" for name in options if name not in known}
    unused = [option_named(name) or typed for name, typed in plain.items()]
    if unused:
        raise click.UsageError(f"{', '.join(unused)} does not apply to these files")


def formats_of(path: Path, format_name: str | None) -> list[str]:
    """Name the formats in which a file can be read, one a kind."""
    from cryotypes.io import candidates, identify
    from cryotypes.registry import get_format

    if format_name is not None:
        return [get_format(format_name).name]
    kinds = dict.fromkeys(found.kind for found in candidates(path))
    return [identify(path, kind).name for kind in kinds] or [identify(path).name]


def files_of(path: Path, kind: Kind, format_name: str | None) -> dict[Path, list[str]]:
    """Name the format of a file, or of those in a directory, that hold one kind.

    A format name that is given is for its own kind.
    """
    from cryotypes.conversion import contents, formats_in, told
    from cryotypes.errors import UnknownFormatError
    from cryotypes.io import KINDS, identify
    from cryotypes.registry import get_format

    if format_name is not None and (given := get_format(format_name)).kind == kind:
        return {path: [given.name]}
    inner = contents(path)
    if inner == [path]:
        return {path: [identify(path, kind).name]}
    some = [p for p in inner if any(f.kind == kind for f in formats_in(p))]
    if not some:
        raise UnknownFormatError(f"expected {KINDS[kind]}, found {told(inner)}", path)
    return {p: [identify(p, kind).name] for p in some}
