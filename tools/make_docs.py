"""Write the tables of the docs from the declarations: ``python tools/make_docs.py [--check]``."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from cryotypes.cli.formats import describe, kinds_of_evidence
from cryotypes.conventions import PoseConvention, TiltConvention
from cryotypes.conventions import _table as conventions
from cryotypes.registry import known_formats

ROOT = Path(__file__).parents[1]


def format_table(kind: str) -> str:
    lines = [
        "| format | name | read | write | suffixes | keeps | needs | evidence |",
        "|---|---|---|---|---|---|---|---|",
    ]
    rows = [describe(f) for f in known_formats().values() if f.kind == kind]
    for row in sorted(rows, key=lambda row: row["title"].lower()):
        title = f"[{row['title']}]({row['url']})" if row["url"] else row["title"]
        suffixes = " ".join(f"`{s}`" for s in [*row["suffixes"], *row["compression"]])
        cells = [
            title, f"`{row['name']}`", "yes" if row["read"] else "no",
            "yes" if row["write"] else "no", suffixes,
            ", ".join(row["keeps"]).replace("_", " "), ", ".join(row["needs"]),
            kinds_of_evidence(row["evidence"]),
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def pose_conventions() -> str:
    lines = [
        "| program | orientation | position | shift | evidence |",
        "|---|---|---|---|---|",
    ]
    for row in vars(conventions).values():
        if isinstance(row, PoseConvention):
            turn = row.turn
            written = f"{turn.kind} {turn.axes}".strip()
            written += (
                ""
                if turn.kind in ("matrix", "quaternion")
                else (", degrees" if turn.degrees else ", radians")
            )
            written += ", particle → reference" if turn.inverse else ", reference → particle"
            zero = "/".join(f"{z:g}" for z in row.place.zero)
            place = f"{row.place.unit}, " + (
                "from N / 2" if row.place.origin == "centre" else f"first pixel at {zero}"
            )
            offset = row.offset
            shift = (
                "none"
                if offset is None
                else (f"{offset.unit}, {'added' if offset.sign == 1 else 'subtracted'}")
            )
            lines.append(f"| {row.name} | {written} | {place} | {shift} | {row.evidence} |")
    return "\n".join(lines)


def tilt_conventions() -> str:
    lines = ["| program | rotation x, y, z | shift | evidence |", "|---|---|---|---|"]
    for row in vars(conventions).values():
        if isinstance(row, TiltConvention):
            signs = ", ".join(f"{s:+d}" for s in row.rotation)
            offset = f"{row.offset.unit}, {'added' if row.offset.sign == 1 else 'subtracted'}"
            lines.append(f"| {row.name} | {signs} | {offset} | {row.evidence} |")
    return "\n".join(lines)


def short_table() -> str:
    lines = ["| holds | format | |", "|---|---|---|"]
    holds = {
        "poses": "particle poses",
        "projection_model": "tilt-series alignments",
        "image": "images",
    }
    for kind, name in holds.items():
        found = [describe(f) for f in known_formats().values() if f.kind == kind]
        for row in sorted(found, key=lambda row: row["title"].lower()):
            can = "read, write" if row["write"] else "read"
            lines.append(f"| {name} | {row['title']} | {can} |")
    return "\n".join(lines)


TABLES = {
    "formats:short": short_table,
    "formats:poses": lambda: format_table("poses"),
    "formats:image": lambda: format_table("image"),
    "formats:projection_model": lambda: format_table("projection_model"),
    "conventions:poses": pose_conventions,
    "conventions:tilts": tilt_conventions,
}


def filled(text: str) -> str:
    """Fill every table between its marks ``<!-- name -->`` and ``<!-- end -->``."""

    def table(match: re.Match[str]) -> str:
        return f"{match[1]}\n{TABLES[match[2]]()}\n{match[3]}"

    return re.sub(r"(<!-- ([\w:]+) -->).*?(<!-- end -->)", table, text, flags=re.DOTALL)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail if a page is not up to date")
    check = parser.parse_args().check
    stale = []
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        text = page.read_text()
        if filled(text) != text:
            stale.append(page.name)
            if not check:
                page.write_text(filled(text))
    if check and stale:
        print("not up to date:", ", ".join(stale), "- run python tools/make_docs.py")
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
