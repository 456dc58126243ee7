"""How far long work has come, told to whoever listens. Standard library only.

The listener is bound to the context, so that no function in between has to hand it down.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_listener: ContextVar[Callable[[float], None] | None] = ContextVar("listener", default=None)


def listener() -> Callable[[float], None] | None:
    """Return who listens now."""
    return _listener.get()


@contextmanager
def listening(call: Callable[[float], None] | None) -> Iterator[None]:
    """Let ``call`` be called with the fraction done, 0 to 1, of the work in this block."""
    token = _listener.set(call)
    try:
        yield
    finally:
        _listener.reset(token)


@contextmanager
def part(number: int, count: int) -> Iterator[None]:
    """Count the work in this block as one of ``count`` equal parts of what is listened to."""
    outer = _listener.get()
    if outer is None:
        yield
        return
    with listening(lambda fraction: outer((number + fraction) / count)):
        yield
    outer((number + 1) / count)


class Work:
    """Some work, whose parts are reported as they are done.

    Parameters
    ----------
    total : float
        In any unit.
    """

    def __init__(self, total: float) -> None:
        self.total, self.done = total, 0.0

    def add(self, part: float) -> None:
        """Report that a part is done."""
        self.done += part
        call = _listener.get()
        if call is not None and self.total > 0:
            call(min(self.done / self.total, 1.0))
