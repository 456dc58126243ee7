"""Change files as damage, bad luck and malice do: bytes, words, lines, structure, companions.

A mutation is a function of the material and a seed alone, so that two numbers repeat it.
"""

from __future__ import annotations

import gzip
import json
import random
import re
import struct
import zlib
from collections.abc import Callable
from typing import Any

from .material import Material

Random = random.Random
LONGEST = 400_000  # bytes; a larger input would only tell how fast the machine is
NUMBERS = (
    *("0", "-1", "1", "2", "7", "1e308", "-1e308", "1e-320", "nan", "inf", "-inf", "-0.0", "0x10"),
    *("1_000", "1e400", "65536", "1e9", ".5", "1e9999", "255", "2147483647", "-2147483648"),
    *("4294967296", "9223372036854775807", "18446744073709551616", "+1", "1.", "9" * 400),
    *("1" + "0" * 5000, "", "٣", "1,5", "1d3", "1e", "-", "None", "true", "\0"),
)
PIECES = (
    *tuple("\"'[]{}()<>&;#,\\/=_:-.*%$ \t\r\n\0é日\ufeff\udcff"),
    *("<!--", "-->", "<![CDATA[", "<?xml", "&#0;", "loop_", "data_", "../../x", "\n\n", "\r\n"),
    *("..", "\x1b[31m", '"a', "'a", "a'", "[[", "{}", "[]", "{'"),
    *("#" * 50, "A" * 5000, " " * 3000, "\n" * 3000),
)
TOKEN = re.compile(rb"[^\s,;:=\"'<>()\[\]{}]+")
NUMBER = re.compile(rb"[-+]?\d[\d.eE+-]*")


def mutated(material: Material, seed: str, steps: list[int] | None = None) -> dict[str, bytes]:
    """Return all files with one or a few changes; ``steps`` leaves others out, to find the least.

    Each step has a seed of its own, so that it is the same without those before it.
    """
    files = dict(material.files)
    for step in range(count(seed)) if steps is None else steps:
        rng = Random(f"{seed} {step}")
        name = material.main if material.main in files and rng.random() < 0.8 else None
        name = name or rng.choice(sorted(files))
        if len(files) > 1 and rng.random() < 0.05:
            _companion(rng, files)
        elif name in files:
            files[name] = changed(rng, files[name])[:LONGEST]
        if not files:
            break
    return files


def count(seed: str) -> int:
    """Return how many steps there are: mostly one, so that checks behind it are reached."""
    return Random(seed).choices((1, 2, 3, 4, 8), (50, 20, 15, 10, 5))[0]


def changed(rng: Random, data: bytes) -> bytes:
    """Change the content of one file, inside its compression, if it has one."""
    if data[:2] == b"\x1f\x8b" and rng.random() < 0.8:
        try:
            return gzip.compress(changed(rng, gzip.decompress(data)), 1, mtime=0)
        except (OSError, EOFError, zlib.error):
            pass
    kind = "binary" if b"\0" in data[:4096] else "text"
    if data.lstrip()[:1] in (b"{", b"[") and rng.random() < 0.5:
        return _json(rng, data)
    return rng.choice(CHANGES[kind])(rng, data)


# --- companions ---


def _companion(rng: Random, files: dict[str, bytes]) -> None:
    first, second = rng.choice(sorted(files)), rng.choice(sorted(files))
    action = rng.randrange(4)
    if action == 0:
        del files[first]
    elif action == 1:
        files[first] = b""
    else:
        files[first], files[second] = files[second], files[first]


# --- bytes ---


def _place(rng: Random, data: bytes) -> int:
    """Prefer the header, where counts and sizes are."""
    size = max(len(data), 1)
    return rng.randrange(min(size, 1024) if rng.random() < 0.5 else size)


def _span(rng: Random, data: bytes) -> tuple[int, int]:
    start = _place(rng, data)
    return start, min(len(data), start + int(2 ** rng.uniform(0, 9)))


def _bit(rng: Random, data: bytes) -> bytes:
    at = _place(rng, data)
    return (
        data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :] if data else data
    )


def _byte(rng: Random, data: bytes) -> bytes:
    at = _place(rng, data)
    return data[:at] + bytes([rng.choice((0, 255, 128, 127, rng.randrange(256)))]) + data[at + 1 :]


def _integer(rng: Random, data: bytes) -> bytes:
    """Put a whole number where one may be: limits, sizes, and what is just beside them."""
    code = rng.choice("bhiqbhiqfd")
    width = struct.calcsize(code)
    at = _place(rng, data) // min(width, 4) * min(width, 4)
    if code in "fd":
        number: Any = rng.choice((0.0, -1.0, float("nan"), float("inf"), 1e30, 1e-30, 1e9))
    else:
        top = 1 << (8 * width - 1)
        number = rng.choice((0, 1, -1, 2, top - 1, -top, len(data), top >> 1, top >> 4, 1 << 6))
        number = max(-top, min(top - 1, number + rng.choice((0, 0, 1, -1))))
    return data[:at] + struct.pack(rng.choice("<>") + code, number) + data[at + width :]


def _cut(rng: Random, data: bytes) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _delete(rng: Random, data: bytes) -> bytes:
    start, stop = _span(rng, data)
    return data[:start] + data[stop:]


def _repeat(rng: Random, data: bytes) -> bytes:
    start, stop = _span(rng, data)
    times = rng.choice((1, 1, 2, 10, 300))
    return data[:stop] + data[start:stop] * times + data[stop:]


def _move(rng: Random, data: bytes) -> bytes:
    start, stop = _span(rng, data)
    at = _place(rng, data)
    return data[:at] + data[start:stop] + data[at + stop - start :]


def _noise(rng: Random, data: bytes) -> bytes:
    start, stop = _span(rng, data)
    return data[:start] + rng.randbytes(stop - start) + data[stop:]


# --- words and lines ---


def _found(rng: Random, pattern: re.Pattern[bytes], data: bytes) -> re.Match[bytes] | None:
    matches = list(pattern.finditer(data))
    return rng.choice(matches) if matches else None


def _number(rng: Random, data: bytes) -> bytes:
    match = _found(rng, NUMBER, data)
    if match is None:
        return _piece(rng, data)
    return data[: match.start()] + rng.choice(NUMBERS).encode() + data[match.end() :]


def _piece(rng: Random, data: bytes) -> bytes:
    at = rng.randrange(len(data) + 1)
    piece = rng.choice(PIECES).encode("utf-8", "surrogateescape")
    return data[:at] + piece * rng.choice((1, 1, 1, 2, 100)) + data[at:]


def _word(rng: Random, data: bytes) -> bytes:
    """Put another word of the file, a number or nothing in a word's place."""
    match, other = _found(rng, TOKEN, data), _found(rng, TOKEN, data)
    if match is None or other is None:
        return _piece(rng, data)
    word = rng.choice((other[0], other[0], b"", rng.choice(NUMBERS).encode(), match[0] * 2))
    return data[: match.start()] + word + data[match.end() :]


def _lines(rng: Random, data: bytes) -> bytes:
    lines = data.splitlines(keepends=True)
    if not lines:
        return data
    at, to = rng.randrange(len(lines)), rng.randrange(len(lines))
    action = rng.randrange(6)
    if action == 0:
        del lines[at]
    elif action == 1:
        lines.insert(to, lines[at] * rng.choice((1, 2, 50, 1000)))
    elif action == 2:
        lines[at], lines[to] = lines[to], lines[at]
    elif action == 3:
        del lines[min(at, to) : max(at, to) + 1]
    elif action == 4:
        lines[at] = lines[at].rstrip(b"\r\n") + rng.choice((b" ", b"\r\n", b"\r", b"\n\n", b"\x0b"))
    else:
        lines[at] = b" ".join(rng.sample(words := lines[at].split(), len(words))) + b"\n"
    return b"".join(lines)


# --- JSON ---


def _json(rng: Random, data: bytes) -> bytes:
    """Change a value anywhere in the tree."""
    try:
        tree = json.loads(data)
    except (ValueError, RecursionError):
        return rng.choice(CHANGES["text"])(rng, data)
    places: list[tuple[Any, Any]] = []
    todo = [tree]
    while todo:
        node = todo.pop()
        keys = node if isinstance(node, dict) else range(len(node))
        places += [(node, key) for key in keys]
        todo += [node[key] for key in keys if isinstance(node[key], (dict, list))]
    if not places:
        return b"[]"
    node, key = rng.choice(places)
    value = rng.choice(
        (None, True, 0, -1, 1.5, 2**70, float("nan"), float("inf"), "", "x", "1", [], {}, [[]],
         [1, 2], {"a": 1}, "\0", "\ud800", rng.choice(places)[0], [node[key]] * 3)
    )  # fmt: skip
    if rng.random() < 0.2:
        del node[key]
    elif rng.random() < 0.1:
        text = json.dumps(node[key])
        depth = rng.choice((50, 2000, 50_000))
        node[key] = "\0deep"
        whole = json.dumps(tree).replace(json.dumps("\0deep"), "[" * depth + text + "]" * depth)
        return whole.encode("utf-8", "replace")
    else:
        node[key] = json.loads(json.dumps(value)) if isinstance(value, (dict, list)) else value
    return json.dumps(tree).encode("utf-8", "replace")


Change = Callable[[Random, bytes], bytes]
BYTES: tuple[Change, ...] = (_bit, _byte, _cut, _delete, _repeat, _move, _noise)
CHANGES: dict[str, tuple[Change, ...]] = {
    "binary": (*BYTES, _byte, _integer, _integer, _integer, _word),
    "text": (*BYTES, _number, _number, _number, _piece, _piece, _word, _word, _lines, _lines),
}
