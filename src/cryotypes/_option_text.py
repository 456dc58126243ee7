"""Options given as text, understood by the type that a format's function declares for them."""

from __future__ import annotations

import ast
import inspect
import json
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_WORDS = {"true": True, "yes": True, "on": True, "1": True}
_WORDS |= {"false": False, "no": False, "off": False, "0": False}
_SEQUENCES = ("Sequence", "tuple", "list", "Tuple", "List", "Iterable")
_MAPPINGS = ("Mapping", "dict", "Dict")
_TEXTS = ("str", "PathLike", "Path")


class OptionText(str):
    """A value as it was typed; `understood` makes of it what the function declares."""

    __slots__ = ()


def understood(function: Callable[..., Any], options: dict[str, Any]) -> dict[str, Any]:
    """Return the options with every `OptionText` parsed by the function's annotation.

    Raises
    ------
    ValueError
        Naming the option, what it takes, and what was found.
    """
    return {
        name: parse(function, name, value) if isinstance(value, OptionText) else value
        for name, value in options.items()
    }


def parse(function: Callable[..., Any], name: str, text: str) -> Any:
    """Parse one option's text.

    Lists are comma-separated or JSON, maps are ``a=b,c=d`` or JSON.

    Examples
    --------
    >>> def read(path, *, size: "Sequence[int] | None" = None, version: str = "0.4"): ...
    >>> parse(read, "size", "4092,5760"), parse(read, "version", "0.5")
    ([4092, 5760], '0.5')
    """
    types = declared(function, name)
    for read in (_literal, _truth, _number, _mapping, _sequence, _text, _anything):
        try:
            return read(types, text.strip())
        except (ValueError, SyntaxError):
            continue
    expected = " or ".join(dict.fromkeys(_told(node) for node in types))
    raise ValueError(f"option {name}: expected {expected}, found {str(text)!r}")


def is_flag(function: Callable[..., Any], name: str) -> bool:
    """Whether an option is true or false, and nothing else."""
    return all(_name(node) == "bool" for node in declared(function, name))


def is_numbers(function: Callable[..., Any], name: str) -> bool:
    """Whether an option is, or may be, several numbers."""
    return any(
        _name(node) == "Any" or (_name(node) in _SEQUENCES and _name(_item(node)) != "str")
        for node in declared(function, name)
    )


def declared(function: Callable[..., Any], name: str) -> list[ast.expr]:
    """Return the alternatives of an option's annotation, None left out."""
    annotation = inspect.signature(function).parameters[name].annotation
    if annotation is inspect.Parameter.empty:
        annotation = "Any"
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    try:
        node = ast.parse(text, mode="eval").body
    except SyntaxError:  # nothing that we could go by
        node = ast.Name("Any")
    return [a for a in _alternatives(node) if _name(a) not in ("None", "NoneType")]


def _alternatives(node: ast.expr) -> list[ast.expr]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _alternatives(node.left) + _alternatives(node.right)
    if isinstance(node, ast.Subscript) and _name(node) in ("Union", "Optional"):
        parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        return [alternative for part in parts for alternative in _alternatives(part)]
    if isinstance(node, ast.Constant) and isinstance(node.value, str):  # a forward reference
        return _alternatives(ast.parse(node.value, mode="eval").body)
    return [node]


def _name(node: ast.expr) -> str:
    """Name a type without its module and its arguments."""
    if isinstance(node, ast.Subscript):
        return _name(node.value)
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Constant):
        return str(node.value)
    return node.id if isinstance(node, ast.Name) else ""


def _item(node: ast.expr) -> ast.expr:
    """Return the type of a sequence's items, or of a mapping's values."""
    if not isinstance(node, ast.Subscript):
        return ast.Name("Any")
    if not isinstance(node.slice, ast.Tuple):
        return node.slice
    return node.slice.elts[-1 if _name(node) in _MAPPINGS else 0]


def _values(node: ast.expr) -> list[Any]:
    """Return the values of a Literal."""
    assert isinstance(node, ast.Subscript)
    parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    return [ast.literal_eval(part) for part in parts]


def _literal(types: list[ast.expr], text: str) -> Any:
    for node in types:
        for value in _values(node) if _name(node) == "Literal" else []:
            if str(value).lower() == text.lower():
                return value
    raise ValueError(text)


def _truth(types: list[ast.expr], text: str) -> bool:
    if any(_name(node) == "bool" for node in types) and text.lower() in _WORDS:
        return _WORDS[text.lower()]
    raise ValueError(text)


def _number(types: list[ast.expr], text: str) -> float:
    names = [_name(node) for node in types]
    for name, kind in (("int", int), ("float", float)):
        if name in names:
            try:
                return kind(text)
            except ValueError:
                continue
    raise ValueError(text)


def _mapping(types: list[ast.expr], text: str) -> Any:
    """``a=b,c=d``, or a JSON object."""
    for node in types:
        if _name(node) not in _MAPPINGS:
            continue
        if text.startswith("{"):
            return _object(text)
        pairs = [pair.partition("=") for pair in text.split(",")]
        if all(sign for _, sign, _ in pairs):
            item = [_item(node)]
            return {key.strip(): _one(item, value) for key, _, value in pairs}
    raise ValueError(text)


def _object(text: str) -> dict[str, Any]:
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError(text)
    return value


def _sequence(types: list[ast.expr], text: str) -> list[Any]:
    """Read commas (or, between numbers, blanks) or JSON; one text stays a text where it may."""
    names = [_name(node) for node in types]
    for node in types:
        if _name(node) not in _SEQUENCES:
            continue
        if text.startswith("["):
            items = [item if isinstance(item, str) else json.dumps(item) for item in _list(text)]
        elif any(name in _TEXTS for name in names):
            continue
        else:
            items = re.split(r"\s*,\s*|\s+", text.strip("()"))
        return [_one(_alternatives(_item(node)), item) for item in items]
    raise ValueError(text)


def _list(text: str) -> list[Any]:
    value = json.loads(text)
    if not isinstance(value, list):
        raise ValueError(text)
    return value


def _one(types: list[ast.expr], text: str) -> Any:
    """Parse an item of a list or a map."""
    for read in (_literal, _truth, _number, _text, _anything):
        try:
            return read(types, text.strip())
        except (ValueError, SyntaxError):
            continue
    raise ValueError(text)


def _text(types: list[ast.expr], text: str) -> str:
    if any(_name(node) in _TEXTS for node in types):
        return text
    raise ValueError(text)


def _anything(types: list[ast.expr], text: str) -> Any:
    """What is not declared in these terms: JSON, numbers with commas, else text."""
    known = {"bool", "int", "float", "Literal", *_TEXTS, *_SEQUENCES, *_MAPPINGS}
    if types and all(_name(node) in known for node in types):
        raise ValueError(text)
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        return json.loads(f"[{text}]") if "," in text else text
    except ValueError:
        return text


def _told(node: ast.expr) -> str:
    """Say in words what an annotation takes."""
    name = _name(node)
    if name == "Literal":
        return ", ".join(map(str, _values(node)))
    if name in _SEQUENCES:
        return f"a list of {_told(_item(node)).split(' ', 1)[-1]}s separated by commas"
    words = {
        "bool": "true or false",
        "int": "a whole number",
        "float": "a number",
        "str": "a text",
        "PathLike": "a path",
    }
    return "NAME=VALUE,…" if name in _MAPPINGS else words.get(name, name)
