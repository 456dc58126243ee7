"""The command line: thin; files meet operations here."""

from __future__ import annotations

import signal
import sys
import threading
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from cryotypes.errors import CryotypesError, CryotypesWarning

from ._words import complain, printable, show_warning

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """Let what ends a process unwind it, as Ctrl-C does: what is half written is removed."""

    def end(number: int, _: Any) -> None:
        raise SystemExit(128 + number)

    numbers = [getattr(signal, name, None) for name in ("SIGTERM", "SIGHUP")]
    here = threading.current_thread() is threading.main_thread()  # signals are for it alone
    # who asked that one be ignored, as nohup does, is obeyed
    usual = [n for n in numbers if here and n and signal.getsignal(n) is signal.SIG_DFL]
    for number in usual:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in usual:
            signal.signal(number, signal.SIG_DFL)


class _Program(click.Group):
    """Turns a user's mistakes into one sentence, and warnings into one line each."""

    def invoke(self, ctx: click.Context) -> Any:
        with _ended_in_order():
            return self._invoke(ctx)

    def _invoke(self, ctx: click.Context) -> Any:
        if ctx.params.get("debug"):
            return super().invoke(ctx)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                warnings.simplefilter("always", CryotypesWarning)
                warnings.showwarning = show_warning
                return super().invoke(ctx)
        except click.ClickException as error:
            vars(error)["message"] = printable(error.message)
            raise
        except (CryotypesError, OSError, ValueError, TypeError, LookupError, MemoryError) as error:
            complain(error)
            sys.exit(1)


@click.group(
    cls=_Program,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="cryotypes", prog_name="cryotypes")
@click.option("--debug", is_flag=True, help="Show a traceback when something fails.")
def main(debug: bool) -> None:
    """One vocabulary for cryo-EM data, and the files they come from.

    Start with `cryotypes demo`, or `cryotypes info FILE`.
    """


from .check import check  # noqa: E402
from .convert import convert  # noqa: E402
from .demo import demo  # noqa: E402
from .formats import formats  # noqa: E402
from .info import info  # noqa: E402
from .match import match  # noqa: E402
from .project import project  # noqa: E402

for _command in (info, formats, convert, match, project, check, demo):
    main.add_command(_command)
