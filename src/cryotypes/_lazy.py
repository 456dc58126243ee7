"""Names that are imported when they are first used (PEP 562).

``import cryotypes`` must stay as cheap as a bare interpreter: numpy, pandas and scipy together
cost a second, and most commands need only some of them.

A package lists each of its names once, as imports that type checkers follow and nothing runs::

    TYPE_CHECKING = False
    if TYPE_CHECKING:
        from ._protocol import PoseSet as PoseSet
    else:
        from cryotypes._lazy import lazy

        __getattr__, __dir__ = lazy()

What would be imported is read from the package's byte code, which is there also in archives and
frozen programs without any source.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType


def lazy() -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Make ``__getattr__``, which also knows ``__all__``, and ``__dir__`` for the caller's module.

    `dir` shows the names of the package, and no tools such as this one.
    """
    caller = sys._getframe(1)
    module, code = sys.modules[caller.f_globals["__name__"]], caller.f_code
    homes: dict[str, str] = {}

    def known() -> dict[str, str]:
        if not homes:
            homes.update(_imports(code))
        return homes

    def get(name: str) -> object:
        if name == "__all__":
            value: object = [name for name in names() if not name.startswith("_")]
        elif name in known():
            from importlib import import_module

            value = getattr(import_module(f"{module.__name__}.{homes[name]}"), name)
        else:
            raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
        setattr(module, name, value)  # the next access is an ordinary one
        return value

    def names() -> list[str]:
        return sorted(known())

    return get, names


def _imports(code: CodeType) -> dict[str, str]:
    """Find the names that code imports, and from which module; not what makes them lazy."""
    from dis import get_instructions

    found: dict[str, str] = {}
    home = ""
    for step in get_instructions(code):
        if step.opname == "IMPORT_NAME":
            home = step.argval
        elif step.opname == "IMPORT_FROM" and not home.endswith("_lazy"):
            found[step.argval] = home
    return found
