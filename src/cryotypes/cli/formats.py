"""``cryotypes formats``: what can be read and written, and what survives it."""

from __future__ import annotations

import importlib.util
import json
from typing import TYPE_CHECKING, Any

import click

from ._words import say

if TYPE_CHECKING:
    from cryotypes.formats.shared.declaration import Format


@click.command()
@click.option(
    "--kind", type=click.Choice(["poses", "image", "projection_model"]), help="Only these."
)
@click.option("-v", "--verbose", is_flag=True, help="Show options and evidence, too.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a format.")
def formats(kind: str | None, verbose: bool, as_json: bool) -> None:
    """List the formats that can be read and written.

    `keeps` names what survives writing and reading; whatever else the data hold is named in a
    warning when it is lost.
    """
    from cryotypes.registry import known_formats as known

    rows = [describe(f) for f in known().values() if kind is None or f.kind == kind]
    rows.sort(key=lambda row: (row["kind"] != "poses", row["kind"], row["name"]))
    if as_json:
        say(json.dumps(rows, indent=2, ensure_ascii=False))
    else:
        _show(rows, verbose)


def describe(format: Format) -> dict[str, Any]:
    """Return what a format declares, as plain data."""
    from cryotypes.io import options_of

    return {
        "name": format.name,
        "title": format.title,
        "kind": format.kind,
        "suffixes": list(format.suffixes),
        "compression": list(format.compression),
        "read": format.read is not None,
        "write": format.write is not None,
        "keeps": sorted(format.keeps),
        "tolerance": dict(format.tolerance),
        "needs": list(format.needs),
        "installed": all(importlib.util.find_spec(name) is not None for name in format.needs),
        "read_options": [] if format.read is None else options_of(format.read),
        "write_options": [] if format.write is None else options_of(format.write),
        "evidence": format.evidence,
        "url": format.url,
    }


def kinds_of_evidence(evidence: str) -> str:
    """Say in a word or two how the meaning of a format is known; ``-v`` shows the whole.

    Examples
    --------
    >>> kinds_of_evidence("run: relion_project 3.1.3; source: particle_set.cpp; RELION 5 not run")
    'run, source'
    """
    marks = {
        "run": "run:",
        "source": "source:",
        "documentation": "documentation",
        "our own": "our own",
    }
    found = [kind for kind, mark in marks.items() if mark in evidence]
    return ", ".join(found) or "see -v"


def _show(rows: list[dict[str, Any]], verbose: bool) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    table = Table(box=box.SIMPLE, pad_edge=False)
    for heading in ("format", "", "kind", "suffixes", "keeps", "needs", "evidence"):
        table.add_column(heading, no_wrap=heading in ("format", ""))
    for row in rows:
        name = row["name"] if row["installed"] else f"{row['name']} *"
        table.add_row(
            name,
            ("R" if row["read"] else "") + ("W" if row["write"] else ""),
            row["kind"].replace("_", " "),
            " ".join(row["suffixes"]),
            ", ".join(name.replace("_", " ") for name in row["keeps"]),
            " ".join(row["needs"]),
            kinds_of_evidence(row["evidence"]),
        )
    console.print(table)
    for row in rows:
        if not row["installed"]:
            console.print(f"* {row['name']} needs {', '.join(row['needs'])}", soft_wrap=True)
        if verbose:
            console.print(f"[bold]{row['name']}[/bold]: {row['title']}", soft_wrap=True)
            console.print(f"  reading: {', '.join(row['read_options']) or 'no options'}")
            console.print(f"  writing: {', '.join(row['write_options']) or 'no options'}")
            console.print(f"  evidence: {row['evidence']}", markup=False, soft_wrap=True)
            console.print(f"  {row['url']}", markup=False, soft_wrap=True)
