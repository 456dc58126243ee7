"""Formats that number their tomograms, and the two-column maps that name them."""

from __future__ import annotations

import csv
import io
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cryotypes.errors import GuessWarning, ReadError, WriteError
from cryotypes.formats.shared.files import read_companion
from cryotypes.formats.shared.together import end_interrupted, writing_together
from cryotypes.names import strip_path_and_suffix

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from os import PathLike

    from numpy.typing import NDArray

MAP_SUFFIX = ".doc"


def read_number_map(path: str | PathLike[str]) -> dict[int, str]:
    """Read a map of two columns: a tomogram's number, and its name (which may hold blanks).

    Separated by white space or a comma; a line that begins with ``#`` is a comment. Dynamo's
    ``.doc`` is one.

    Raises
    ------
    ReadError
        Naming the line that is not a number and a name, or a number that stands twice.
    """
    path = Path(path)
    names: dict[int, str] = {}
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        problem = f"expected a map of tomogram numbers and names, found no text ({error.reason})"
        raise ReadError(problem, path) from error
    for line_number, line in enumerate(lines, 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        try:
            key, name = _number_and_name(line)
        except (ValueError, OverflowError, csv.Error):
            raise ReadError(
                f"line {line_number}: expected a number and a name, found {line!r}", path
            ) from None
        if names.setdefault(key, name.strip()) != name.strip():
            raise ReadError(f"line {line_number}: number {key} stands twice", path)
    return names


def _number_and_name(line: str) -> tuple[int, str]:
    """Split a line; a name after white space may hold commas (``3 a,b.mrc``)."""
    words = line.split(maxsplit=1)
    if "," in words[0]:
        words = next(csv.reader(io.StringIO(line), skipinitialspace=True))
    number, name = words
    if float(number) != int(float(number)):
        raise ValueError(number)
    return int(float(number)), name


def find_number_map(path: Path, given: str | PathLike[str] | None) -> dict[int, str]:
    """Read the map that was given, or the one beside the file (``x.doc`` of ``x.tbl``), or none."""
    if given is not None:
        return read_number_map(given)
    beside = map_path(path)
    if not beside.is_file() or beside == path:
        return {}
    return read_companion(read_number_map, beside) or {}


def map_path(path: Path) -> Path:
    """Return where the map of a file lies: beside it, with the suffix .doc."""
    while path.suffix.lower() in (".gz", ".bz2"):
        path = path.with_suffix("")
    return path.with_suffix(MAP_SUFFIX)


def name_numbers(numbers: Sequence[int], names: Mapping[int, str]) -> list[str]:
    """Name each number; one without a name is called by its digits."""
    return [names.get(int(number), str(int(number))) for number in numbers]


def _doubt_unnamed(numbers: list[int], path: Path, given: str | PathLike[str]) -> None:
    """Warn of tomograms that the map that was given does not name."""
    if numbers:
        listing = ", ".join(map(str, numbers[:5])) + (", …" if len(numbers) > 5 else "")
        warnings.warn(
            f"{path}: {given} has no name for the tomograms {listing}, which are called by their "
            "numbers (add them to it: a number and a name a line)",
            GuessWarning,
            stacklevel=5,
        )


def decode_numbers(
    numbers: NDArray[Any], path: Path, tomogram_names: str | PathLike[str] | None, column: str
) -> tuple[NDArray[np.int64], list[str], dict[str, int]]:
    """Turn a column of tomogram numbers into experiments.

    Parameters
    ----------
    numbers : array, shape (n,)
    path : Path
        Of the file; its map lies beside it.
    tomogram_names : path, optional
        The map, if it lies elsewhere.
    column : str
        What the file calls the column, for messages.

    Returns
    -------
    codes : array of int, shape (n,)
        Which of the experiments each particle belongs to.
    experiments : list of str
        In order of first appearance. A file without particles has that of its map, or its name.
    tomogram_numbers : dict
        Name to number, for the metadata.

    Raises
    ------
    ReadError
        If a number is not whole, or two numbers have one name.

    Warns
    -----
    GuessWarning
        If the map that was given does not name all.
    """
    bad = ~(np.abs(numbers) < 2**62) | (np.round(numbers) != numbers)
    if bad.any():
        row = int(bad.argmax())
        expected = f"column {column}, row {row + 1}: expected a whole number"
        raise ReadError(f"{expected}, found {numbers[row]}", path)
    names = find_number_map(path, tomogram_names)
    codes, unique = pd.factorize(numbers.astype(np.int64))
    if tomogram_names is not None:
        _doubt_unnamed([int(n) for n in unique if int(n) not in names], path, tomogram_names)
    if not len(numbers):
        known = list(names.items())
        number, name = known[0] if len(known) == 1 else (0, strip_path_and_suffix(path.name))
        return codes.astype(np.int64), [name], {name: number} if number else {}
    experiments = name_numbers(unique.tolist(), names)
    result: dict[str, int] = {}
    for name, number in zip(experiments, unique.tolist(), strict=True):
        if result.setdefault(name, number) != number:
            problem = f"tomograms {result[name]} and {number} are both called {name!r}"
            raise ReadError(f"{problem} in the map; give them different names", path)
    return codes.astype(np.int64), experiments, result


def numbers_by_name(experiments: Sequence[str], path: str | PathLike[str]) -> list[int]:
    """Number experiments by a map that was given; directories and suffixes in it do not matter.

    Raises
    ------
    ReadError
        If the file is no map.
    WriteError
        Naming an experiment that is not in it, or that has several numbers.
    """
    known = read_number_map(path)
    numbers: list[int] = []
    for name in experiments:
        bare = strip_path_and_suffix(name)
        found = [number for number, other in known.items() if other == name] or [
            number for number, other in known.items() if strip_path_and_suffix(other) == bare
        ]
        if len(found) != 1:
            listing = " and ".join(map(str, found)) or "none"
            raise WriteError(
                f"tomogram_names= (--tomogram-names): expected one number for {name!r}, found "
                f"{listing}",
                path,
            )
        numbers += found
    return numbers


def number_names(
    experiments: Sequence[str],
    metadata: Sequence[Mapping[str, Any]],
    largest: int = 2**53,
) -> list[int]:
    """Number experiments: as they were numbered before, as their own digits, else from 1.

    ``metadata["tomogram_numbers"]`` (name to number) of a file that was read comes first.
    ``largest`` is the largest number that the format can hold.
    """
    before: dict[str, int] = {}
    maps = [entry.get("tomogram_numbers", {}) for entry in metadata]
    for names in {id(names): names for names in maps}.values():  # PoseSets of a file share theirs
        for name, number in names.items():
            before.setdefault(name, int(number))
    taken: set[int] = set()
    result: dict[str, int] = {}
    for name in experiments:
        digits = len(name) < 20 and name.isdecimal() and str(int(name)) == name
        number = before.get(name, int(name) if digits else None)
        if number is not None and abs(number) <= largest and number not in taken:
            result[name] = number
            taken.add(number)
    free = 1
    for name in experiments:
        if name not in result:
            while free in taken:
                free += 1
            result[name] = free
            taken.add(free)
    return [result[name] for name in experiments]


def map_text(experiments: Sequence[str], numbers: Sequence[int]) -> str | None:
    """Return the map's text; None if every name is just its number."""
    if all(name == str(number) for name, number in zip(experiments, numbers, strict=True)):
        return None
    pairs = sorted(zip(numbers, experiments, strict=True))
    return "".join(f"{number} {name}\n" for number, name in pairs)


@contextmanager
def writing_with_map(
    path: Path, overwrite: bool, experiments: Sequence[str], numbers: Sequence[int]
) -> Iterator[IO[bytes]]:
    """Give a binary file that becomes ``path``, and write the map of its numbers beside it.

    No map is written if every name is just its number, unless an old map says otherwise. An old one
    that says the same stays as it is.

    Raises
    ------
    FileExistsError
        Before anything is written, if ``path`` exists, or a map that says otherwise.
    WriteError
        If a name cannot stand in a map.
    """
    end_interrupted(path)
    names = _map_needed(path, experiments, numbers, overwrite)
    others = {} if names is None else {map_path(path): names}
    with writing_together(path, others, overwrite) as file:
        yield file


def _map_needed(
    path: Path, experiments: Sequence[str], numbers: Sequence[int], overwrite: bool
) -> bytes | None:
    named = [name or str(n) for name, n in zip(experiments, numbers, strict=True)]
    beside = map_path(path)
    if beside == path:
        raise WriteError(f"{MAP_SUFFIX} is the suffix of the tomograms' map; choose another", path)
    text = map_text(named, numbers)
    if text is None and not beside.exists():
        return None
    for name in named:
        if name != name.strip() or len(name.splitlines()) != 1:
            problem = "expected a name of one line, without blanks around it"
            raise WriteError(f"map of tomogram numbers: {problem}, found {name!r}", path)
    try:
        known = read_number_map(beside) if beside.is_file() else {}
    except ReadError:
        known = {}
    if name_numbers(numbers, known) == named:  # with the list, lest another replaces it meanwhile
        return beside.read_bytes() if overwrite and beside.is_file() else None
    return (text or "".join(f"{number} {number}\n" for number in sorted(numbers))).encode()
