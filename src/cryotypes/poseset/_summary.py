"""What a PoseSet shows of itself: counts and presence, never the arrays."""

from __future__ import annotations

import html
from typing import Any

from ._operations import count


def _facts(poseset: Any) -> dict[str, str]:
    """Field name to a short description, in the order in which a reader wants them."""
    try:
        n = f"{count(poseset):,} particle{'' if count(poseset) == 1 else 's'}".replace(",", " ")
    except (TypeError, ValueError, IndexError):
        n = "position is not (n, 3)"
    spacing = poseset.pixel_spacing
    known = isinstance(spacing, (int, float)) and spacing > 0
    features = getattr(poseset, "features", None)
    facts = {
        "experiment_id": repr(poseset.experiment_id),
        "position": n,
        "pixel_spacing": f"{spacing:g} Å/px" if known else "unknown pixel spacing",
        "shift": "no shift" if poseset.shift is None else "shift",
        "orientation": "no orientation" if poseset.orientation is None else "orientation",
    }
    if features is not None:
        columns = features.shape[1]
        facts["features"] = f"{columns} feature{'' if columns == 1 else 's'}"
    return facts


def one_line(poseset: Any) -> str:
    """Return e.g. ``PoseSet 'TS_01': 1204 particles, 3.33 Å/px, shift, orientation``."""
    name, *rest = _facts(poseset).values()
    return f"{type(poseset).__name__} {name}: {', '.join(rest)}"


def html_table(poseset: Any) -> str:
    """Return the same as a small table for notebooks, with the feature names."""
    rows = dict(_facts(poseset), source=str(poseset.source))
    features = getattr(poseset, "features", None)
    if features is not None:
        rows["features"] = ", ".join(map(str, features.columns)) or "none"
    cells = "".join(
        f"<tr><th style='text-align:left'>{html.escape(name)}</th>"
        f"<td style='text-align:left'>{html.escape(text)}</td></tr>"
        for name, text in rows.items()
    )
    return f"<table><caption>{html.escape(type(poseset).__name__)}</caption>{cells}</table>"
