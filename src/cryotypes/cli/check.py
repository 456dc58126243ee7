"""``cryotypes check``: whether two files say the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ._options import FILE, ReadingCommand, given, reading_options
from ._words import escaped, say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_POSITIVE = click.FloatRange(min=0)
_MOST = 20  # experiments in a table


@click.command(cls=ReadingCommand)
@click.argument("a", type=FILE)
@click.argument("b", type=FILE)
@click.option(
    "--match-particles",
    type=click.Choice(["order", "nearest"]),
    help="Pair particles by row, or by mutual nearest neighbours; by default by row if there are "
    "as many in both.",
)
@click.option("--within", type=_POSITIVE, help="Å up to which nearest neighbours are paired.")
@click.option(
    "--match-tilts",
    type=click.Choice(["tilt_index", "name", "angle", "order"]),
    help="How tilts are paired; by default as the files allow.",
)
@click.option("--tolerance-angstrom", type=_POSITIVE, default=0.01, show_default=True)
@click.option("--tolerance-degree", type=_POSITIVE, default=0.01, show_default=True)
@click.option(
    "--tolerance-pixel",
    type=_POSITIVE,
    default=0.1,
    show_default=True,
    help="For alignments, in tilt images of the first.",
)
@reading_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check(
    a: Path,
    b: Path,
    match_particles: str | None,
    within: float | None,
    match_tilts: str | None,
    tolerance_angstrom: float,
    tolerance_degree: float,
    tolerance_pixel: float,
    format_name: str | None,
    as_json: bool,
    others: dict[str, Any],
    **options: Any,
) -> None:
    """Compare two files of particles, or two alignments, whatever their formats.

    Particles: position + shift in Å, and orientation. Alignments: where they show the corners and
    the centre of the tomogram, and what explains the difference. The exit code is 1 if anything
    is beyond the tolerances, or without a partner.
    """
    from ._options import read_each

    options = given(others, **options)
    own = ("tomogram_dimensions", "tomogram_spacing", "tilt_image_dimensions")
    first, second = read_each((a, b), format_name, options, own=own)
    results: list[dict[str, Any]] = []
    poses = [_of_kind(things, "poses") for things in (first, second)]
    if all(poses):
        results += _check_poses(
            poses[0], poses[1], match_particles, within, tolerance_angstrom, tolerance_degree
        )
    series = [_of_kind(things, "projection_model") for things in (first, second)]
    if all(series):
        size = {name: options[name] for name in own if name in options}
        results += _check_models(series[0], series[1], size, match_tilts, tolerance_pixel)
    if not results:
        kinds = " and ".join(_kind(things) for things in (first, second))
        raise click.UsageError(f"expected two files of particles or two alignments, found {kinds}")
    good = all(result["ok"] for result in results)
    if as_json:
        facts = {"a": str(a), "b": str(b), "ok": good, "comparisons": results}
        say(json.dumps(facts, indent=2, ensure_ascii=False))
    else:
        _show(results)
        say("the same, within the tolerances" if good else "not the same")
    if not good:
        raise SystemExit(1)


def _of_kind(things: list[Any], kind: str) -> dict[str, Any]:
    from cryotypes.matching import sort_out

    return {name: thing for found, name, thing in sort_out(things) if found == kind}


def _kind(things: list[Any]) -> str:
    if _of_kind(things, "poses"):
        return "particles"
    return "an alignment" if _of_kind(things, "projection_model") else "an image"


def _pairs(a: dict[str, Any], b: dict[str, Any]) -> tuple[list[tuple[str, str]], list[str]]:
    """Names that belong together: equal, equal without decorations, or the only ones."""
    from cryotypes.names import strip_decorations

    pairs = [(name, name) for name in a if name in b]
    left, right = ([n for n in one if n not in other] for one, other in ((a, b), (b, a)))
    for name in list(left):
        same = [n for n in right if strip_decorations(n) == strip_decorations(name)]
        if len(same) == 1:
            pairs.append((name, same[0]))
            left.remove(name)
            right.remove(same[0])
    if len(a) == len(b) == 1 and left:
        return [(left[0], right[0])], []
    return pairs, [*(f"{n!r} only in A" for n in left), *(f"{n!r} only in B" for n in right)]


def _each(
    kind: str, a: dict[str, Any], b: dict[str, Any], compare: Callable[[Any, Any], dict[str, Any]]
) -> Iterable[dict[str, Any]]:
    pairs, alone = _pairs(a, b)
    for name, other in pairs:
        yield {"kind": kind, "experiment_a": name, "experiment_b": other} | compare(
            a[name], b[other]
        )
    for text in alone:
        yield {"kind": kind, "ok": False, "problem": text}


def _check_poses(
    a: dict[str, Any],
    b: dict[str, Any],
    rule: str | None,
    within: float | None,
    angstrom: float,
    degree: float,
) -> list[dict[str, Any]]:
    from cryotypes.geometry import compare_poses

    def compare(one: Any, two: Any) -> dict[str, Any]:
        found = compare_poses(one, two, match_particles=rule, within=within)
        ok = not len(found.only_a) and not len(found.only_b)
        ok = ok and (not len(found.pairs) or bool(found.distance.max() <= angstrom))
        if found.angle is not None and len(found.angle):
            ok = ok and bool(found.angle.max() <= degree)
        return found.to_dict() | {
            "ok": ok and (one.orientation is None) == (two.orientation is None)
        }

    return list(_each("poses", a, b, compare))


def _check_models(
    a: dict[str, Any], b: dict[str, Any], size: dict[str, Any], rule: str | None, pixel: float
) -> list[dict[str, Any]]:
    from cryotypes.geometry import compare_projection_models

    def compare(one: Any, two: Any) -> dict[str, Any]:
        found = compare_projection_models(one, two, match_tilts=rule, tolerance=pixel, **size)
        ok = found.maximum <= pixel and not found.only_a and not found.only_b
        return found.to_dict() | {"ok": ok, "summary": found.summary()}

    return list(_each("projection_model", a, b, compare))


def _show(results: list[dict[str, Any]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    poses = [r for r in results if r["kind"] == "poses" and "problem" not in r]
    if poses:
        unit = poses[0]["unit"]
        table = Table(box=box.SIMPLE, pad_edge=False, collapse_padding=True)
        table.add_column("experiment", overflow="fold")
        for name in ("", "pairs by", "only A, B", f"{unit}: max, median", "°: max, median"):
            table.add_column(name, no_wrap=True)
        # what is wrong comes first
        for r in sorted(poses, key=lambda r: r["ok"])[:_MOST]:
            table.add_row(
                escaped(_name(r)),
                "ok" if r["ok"] else "[red]differs[/red]",
                f"{r['pairs']} {r['matched_by']}",
                f"{len(r['missing'])}, {len(r['extra'])}",
                _numbers(r["distance"]),
                _numbers(r["angle"]),
            )
        console.print(table)
        if len(poses) > _MOST:
            console.print(f"  … and {len(poses) - _MOST} more experiments")
        for r in poses:
            for note in r["notes"]:
                console.print(f"  {escaped(_name(r))}: {escaped(note)}", soft_wrap=True)
    for r in results:
        if text := r.get("problem") or r.get("summary"):
            console.print(escaped(text), soft_wrap=True)


def _name(result: dict[str, Any]) -> str:
    a, b = result["experiment_a"], result["experiment_b"]
    return a if a == b else f"{a} / {b}"


def _numbers(statistics: dict[str, float] | None) -> str:
    if statistics is None:
        return "unknown"
    return f"{statistics['maximum']:.4g}, {statistics['median']:.4g}"
