"""Errors and warnings, and their advice in the words of the command line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_ARGUMENT = r"\"[^\"]*\"|'[^']*'|\[[^\]]*\]|\([^)]*\)|[\w.…-]*"
# pixel_spacing= (--pixel-spacing): both are named, the second counts
_BOTH = re.compile(rf"\b([a-z][a-z_]*)(=(?:{_ARGUMENT}))? \((-(?:O |-[a-z])[^()]*)\)")
_PYTHON = re.compile(rf"(?<![\w'\"-])(?<!-O )([a-z][a-z_]*)=({_ARGUMENT})")


# what a terminal obeys, and what turns the direction of text; names in files may hold any of it
_CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def printable(text: str) -> str:
    r"""Write control characters as ``\u001b``, as JSON does, too; line ends and tabs stay."""
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def say(text: str, err: bool = False) -> None:
    """Print what may hold names from files; everything that commands print goes through here."""
    click.echo(printable(text), err=err)


def escaped(text: str) -> str:
    """Make of any text one for rich's console: no markup, and `printable`."""
    from rich.markup import escape

    return escape(printable(text))


def show_warning(message: Any, *_: Any, **__: Any) -> None:
    """Print a warning in one line; for `warnings.showwarning`."""
    click.secho("warning: ", fg="yellow", nl=False, err=True)
    say(in_words_of_the_command_line(str(message)), err=True)


def complain(error: Exception, path: Path | None = None) -> None:
    """Print an error in one sentence."""
    text = str(error).strip() or type(error).__name__
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        text = f"{error.filename}: {error.strerror.lower()}"
    if path is not None and str(path) not in text:
        text = f"{path}: {text}"
    click.secho("error: ", fg="red", nl=False, err=True)
    say(in_words_of_the_command_line(text), err=True)


def in_words_of_the_command_line(text: str) -> str:
    """Name options as they are typed: ``--overwrite`` for ``overwrite=True (--overwrite)``.

    Examples
    --------
    >>> in_words_of_the_command_line("give pixel_spacing= (--pixel-spacing), or dialect=\\"4.0\\"")
    'give --pixel-spacing, or --dialect 4.0'
    """
    if "=" not in text and "(-" not in text:
        return text
    text = _BOTH.sub(_second, text)
    return _PYTHON.sub(_typed, text)


def _second(found: re.Match[str]) -> str:
    name, value, option = found[1], found[2], found[3]
    if value is None and not option.startswith(f"--{name.replace('_', '-')}"):
        return found[0]  # not its name, but the end of the sentence before
    return option


def _typed(found: re.Match[str]) -> str:
    name, value = found[1], found[2].strip("\"'")
    option = option_named(name)
    if option is None and functions_with(name):
        option = f"--{name.replace('_', '-')}"
    if option is None:
        return found[0]
    words: dict[str, Any] = {"True": "", "False": "false", "…": ""}
    return f"{option} {words.get(value, value)}".strip()


def functions_with(option: str) -> list[Callable[..., Any]]:
    """Return what reads or writes a format and knows an option."""
    from cryotypes.io import options_of
    from cryotypes.registry import known_formats

    functions = [f for format in known_formats().values() for f in (format.read, format.write)]
    return [f for f in functions if f is not None and option in options_of(f)]


def option_named(name: str) -> str | None:
    """Return what is typed for a keyword that the commands have an option of their own for."""
    if name == "format":
        return "--format"
    context = click.get_current_context(silent=True)
    program = context and context.find_root().command
    commands = program.commands.values() if isinstance(program, click.Group) else ()
    parameters = [p for command in commands for p in command.params]
    return next((p.opts[0] for p in parameters if p.name == name and p.opts[0][:2] == "--"), None)
