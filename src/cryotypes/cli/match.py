"""``cryotypes match``: what belongs to which experiment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from ._options import FILE, ReadingCommand, given, reading_options
from ._words import say

RULES = ("path", "decorations")  # those that can be left out


@click.command(cls=ReadingCommand)
@click.argument("paths", nargs=-1, required=True, type=FILE)
@click.option(
    "--names",
    type=FILE,
    help="Table of two columns: a name as it stands in a file, and its experiment.",
)
@click.option("--regex", help="What counts of a name: its first group, or all that matches.")
@click.option("--rules", help=f"Use only these of the rules, with commas: {', '.join(RULES)}.")
@reading_options
@click.option("--strict", is_flag=True, help="Fail (exit code 1) if something did not match.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def match(
    paths: tuple[Path, ...],
    names: Path | None,
    regex: str | None,
    rules: str | None,
    format_name: str | None,
    strict: bool,
    as_json: bool,
    others: dict[str, Any],
    **options: Any,
) -> None:
    """Join the particles, tilt series, tilt images and tomograms in PATHS by experiment."""
    from cryotypes.matching import match as join

    from ._options import read_all

    things = _each_once(read_all(paths, format_name, given(others, **options)))
    chosen = None if rules is None else [rule.strip() for rule in rules.split(",")]
    result = join(*things, names=names, regex=regex, rules=chosen)
    if as_json:
        say(json.dumps(result.to_dict(), indent=2, ensure_ascii=False))
    else:
        say(result.summary())
    if strict and result.unmatched:
        raise SystemExit(1)


def _each_once(things: list[Any]) -> list[Any]:
    """Drop what several of the files name, as an optimisation set and tomograms.star do."""
    import pandas as pd

    known: dict[Any, Any] = {}
    for thing in things:
        if isinstance(thing, pd.DataFrame):
            rows = thing.drop_duplicates(["experiment_id", "source"])
            key: Any = tuple(zip(rows["experiment_id"], rows["source"], strict=True))
        else:
            source = Path(thing.source).resolve()
            key = (type(thing), thing.experiment_id, source, thing.pixel_spacing)
        known.setdefault(key, thing)
    return list(known.values())
