"""What can go wrong, in words a user understands.

::

    CryotypesError
    ├── ValidationError (ValueError)       .problems: all of them, not only the first
    ├── FormatError (ValueError)           .path
    │   ├── UnknownFormatError             no format reads or writes this
    │   ├── AmbiguousFormatError           several formats claim this
    │   ├── ReadError                      the content is not what the format says
    │   └── WriteError                     the data cannot be expressed in this format
    ├── MatchError (LookupError)           no counterpart, or two, for an experiment_id
    └── MissingPackageError (ImportError)  .package, .extra
    CryotypesWarning
    ├── LossWarning                        a conversion did not keep something
    ├── GuessWarning                       a value had to be assumed
    └── PluginWarning                      a third-party format could not be loaded

``FileNotFoundError``, ``FileExistsError``, ``PermissionError`` and ``IsADirectoryError`` are
Python's own and pass through.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike


class CryotypesError(Exception):
    """Anything that this package raises on purpose."""


class ValidationError(CryotypesError, ValueError):
    """An object does not follow its type; ``problems`` lists everything that is wrong.

    Parameters
    ----------
    subject : str
        What was validated, e.g. ``"PoseSet"``.
    problems : sequence of str
        One sentence each: where, what was expected, what was found.
    """

    def __init__(self, subject: str, problems: Sequence[str]) -> None:
        self.subject = subject
        self.problems = list(problems)
        super().__init__(subject, self.problems)

    def __str__(self) -> str:
        if len(self.problems) == 1:
            return f"{self.subject}: {self.problems[0]}"
        listing = "".join(f"\n- {problem}" for problem in self.problems)
        return f"{self.subject}: {len(self.problems)} problems{listing}"


class FormatError(CryotypesError, ValueError):
    """A file and a format do not go together."""

    def __init__(self, message: str, path: str | PathLike[str] | None = None) -> None:
        self.message = message
        self.path = path
        super().__init__(message, path)

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path is not None else self.message


class UnknownFormatError(FormatError):
    """No known format reads or writes this file."""


class AmbiguousFormatError(FormatError):
    """Several formats claim this file; name one with ``format=``."""


class ReadError(FormatError):
    """A file's content is not what its format says."""


class WriteError(FormatError):
    """The data cannot be expressed in this format."""


class MatchError(CryotypesError, LookupError):
    """No counterpart was found for an experiment, or more than one."""


class MissingPackageError(CryotypesError, ImportError):
    """An optional package is needed."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        self.package, self.extra, self.purpose = package, extra, purpose
        super().__init__(package, extra, purpose)

    def __str__(self) -> str:
        return (
            f"{self.purpose} needs the package {self.package!r}: "
            f"pip install 'cryotypes[{self.extra}]'"
        )


class CryotypesWarning(UserWarning):
    """Anything that this package warns about."""


class LossWarning(CryotypesWarning):
    """A conversion could not keep something; the message names it."""


class GuessWarning(CryotypesWarning):
    """A value had to be assumed; the message says which, and how to state it."""


class PluginWarning(CryotypesWarning):
    """A third-party format could not be loaded."""
