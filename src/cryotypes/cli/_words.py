"""Advice of errors and warnings in the words of the command line."""

from __future__ import annotations

import re
from typing import Any

_ARGUMENT = r"\"[^\"]*\"|'[^']*'|\[[^\]]*\]|\([^)]*\)|[\w.…-]*"
# pixel_spacing= (--pixel-spacing): both are named, the second counts
_BOTH = re.compile(rf"\b([a-z][a-z_]*)(=(?:{_ARGUMENT}))? \((-(?:O |-[a-z])[^()]*)\)")
_PYTHON = re.compile(rf"(?<![\w'\"-])(?<!-O )([a-z][a-z_]*)=({_ARGUMENT})")


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
    from ._options import functions_with, option_named

    name, value = found[1], found[2].strip("\"'")
    option = option_named(name)
    if option is None and functions_with(name):
        option = f"--{name.replace('_', '-')}"
    if option is None:
        return found[0]
    words: dict[str, Any] = {"True": "", "False": "false", "…": ""}
    return f"{option} {words.get(value, value)}".strip()
