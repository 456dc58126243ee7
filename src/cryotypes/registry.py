"""Which formats there are: built in, registered, or from other packages' entry points."""

from __future__ import annotations

import importlib
import inspect
import warnings
from typing import TYPE_CHECKING

from .errors import PluginWarning, UnknownFormatError
from .names import know_suffixes

if TYPE_CHECKING:
    from .formats.shared.declaration import Format

ENTRY_POINTS = "cryotypes.formats"
_known: dict[str, tuple[Format, str]] = {}  # name → the format and where it is from
_loaded = {"built in": False, "entry points": False}


def known_formats() -> dict[str, Format]:
    """Return all known formats by name; ``cryotypes.formats`` is the package of those built in.

    Warns
    -----
    PluginWarning
        For a third-party format that cannot be loaded; the others are there all the same.

    Examples
    --------
    >>> from cryotypes.registry import known_formats
    >>> known_formats()["mrc"].suffixes[0]
    '.mrc'
    """
    from .formats.built_in import BUILT_IN

    if not _loaded["built in"]:
        modules = [importlib.import_module(f"cryotypes.formats.{name}") for name in BUILT_IN]
        for module in modules:
            _add(module.FORMAT, module.__name__)
        _loaded["built in"] = True
    if not _loaded["entry points"]:
        _loaded["entry points"] = True
        _load_entry_points()
    return {name: format for name, (format, _) in _known.items()}


def get_format(name: str) -> Format:
    """Return a format by name.

    Raises
    ------
    UnknownFormatError
        If there is none; the message lists those there are.
    """
    known = known_formats()
    if name not in known:
        near = _near(str(name), known)
        meant = f" (did you mean {' or '.join(near)}?)" if near else ""
        raise UnknownFormatError(f"no format {name!r}{meant}; there is {', '.join(sorted(known))}")
    return known[name]


def _near(name: str, known: dict[str, Format]) -> list[str]:
    """Name the formats that may be meant: by a part of the name, a suffix, or a slip."""
    import difflib

    short = name.lower().strip(". ").replace("_", "-").replace(" ", "-")
    if not short:
        return []
    near = [n for n in known if short in n or n in short]
    near = near or [n for n, format in known.items() if f".{short}" in format.suffixes]
    return sorted(near)[:4] or difflib.get_close_matches(short, known, n=3, cutoff=0.6)


def register_format(format: Format) -> None:
    """Make a format known to read and write.

    Raises
    ------
    ValueError
        If it is no Format, its name is taken by another, or a function has no explicit options.
    """
    known_formats()
    function = getattr(format, "read", None) or getattr(format, "write", None)
    _add(format, getattr(function, "__module__", "unknown"))


def _add(format: Format, origin: str) -> None:
    from .formats.shared.declaration import Format as Declared

    if not isinstance(format, Declared):
        raise ValueError(f"{origin}: expected a Format, found {type(format).__name__}")
    if format.name in _known:
        taken = _known[format.name][1]
        raise ValueError(f"format name {format.name!r} of {origin} is taken by {taken}")
    for function in (format.read, format.write):
        if function is None:
            continue
        for parameter in inspect.signature(function).parameters.values():
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                raise ValueError(
                    f"format {format.name!r} of {origin}: {function.__name__} must name its "
                    f"options, found {parameter}"
                )
    _known[format.name] = (format, origin)
    know_suffixes((*format.suffixes, *format.compression))


def _load_entry_points() -> None:
    from importlib.metadata import entry_points

    for point in entry_points(group=ENTRY_POINTS):
        origin = point.dist.name if point.dist is not None else point.value
        try:
            _add(point.load(), origin)
        except Exception as error:  # a broken plugin must not hurt the others
            warnings.warn(
                f"format {point.name!r} of {origin} could not be loaded: {error}",
                PluginWarning,
                stacklevel=4,
            )
