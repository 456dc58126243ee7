"""A bar for work that takes long: nothing is shown of what is done at once."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PATIENCE = 1.0  # seconds
_STEPS = 1000


@contextmanager
def bar(label: str) -> Iterator[Callable[[float], None]]:
    """Give a function that is told the fraction done; on a terminal it draws a bar, on stderr."""
    start, shown = time.monotonic(), 0
    drawn: Any = None

    def progress(fraction: float) -> None:
        nonlocal shown, drawn
        late = time.monotonic() - start > _PATIENCE
        if drawn is None and late and sys.stderr.isatty():  # a log needs no bar, nor its label
            drawn = click.progressbar(length=_STEPS, label=label, file=sys.stderr)
        steps = int(fraction * _STEPS)
        if drawn is not None and steps > shown:
            drawn.update(steps - shown)
            shown = steps
            if steps == _STEPS:  # what is said next stands below
                drawn.render_finish()

    try:
        yield progress
    finally:
        if drawn is not None and shown < _STEPS:
            drawn.render_finish()
