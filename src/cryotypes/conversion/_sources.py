"""What there is to read, found and read; what cannot be is said all at once."""

from __future__ import annotations

import warnings
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cryotypes.errors import AmbiguousFormatError, GuessWarning, ReadError, UnknownFormatError
from cryotypes.formats.poses.cryosparc_cs._passthrough import is_passthrough
from cryotypes.io import KINDS, identify, options_of, read_as, writer_for
from cryotypes.registry import get_format

from ._contents import contents, formats_in, told
from ._naming import chosen, example, experiments_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cryotypes.formats.shared.declaration import Format, Kind

    Complain = Callable[[Path, Exception], None]


class Source(NamedTuple):
    """A file to read; ``inside``: it was found in a directory that was given."""

    path: Path
    format: Format
    inside: bool


class Found(NamedTuple):
    """What a source held, and what was warned of; it is told if the source is taken."""

    source: Source
    data: Any
    doubts: list[warnings.WarningMessage]


def find_sources(
    paths: list[Path],
    target: str,
    from_format: str | None,
    to_format: str | None,
    failures: dict[Path, Exception],
) -> list[Source]:
    """Find what there is to read, all of one kind; what cannot be found is a failure."""
    listed: list[tuple[Path, list[Path]]] = []
    for path in paths:
        try:
            inner = contents(path)
            if from_format is None:
                _refuse_unknown(inner)
            listed.append((path, inner))
        except (OSError, ValueError) as error:
            failures[path] = error
    if not listed:
        complain(failures, len(failures), [], None, None)
    kind: Kind | None = None
    sources: list[Source] = []
    for path, inner in listed:
        try:
            kind = kind or _kind(path, inner, target, from_format, to_format)
            sources += _of_kind(path, inner, kind, from_format)
        except (OSError, ValueError) as error:
            failures[path] = error
    if not sources:
        complain(failures, len(failures), [], None, None)
    twice = [p for p, n in Counter(s.path.resolve() for s in sources).items() if n > 1]
    if twice:
        raise ValueError(f"convert: {twice[0]} is given twice")
    return sources


def with_passthrough(
    sources: list[Source], options: dict[str, Any]
) -> tuple[list[Source], dict[str, Any]]:
    """Take cryoSPARC's passthrough files for what they are: more fields of the others' particles.

    `particles.cs passthrough.cs` is how such files are given to other programs (pyem).
    """
    fields = [s for s in sources if s.format.name == "cryosparc-cs" and is_passthrough(s.path)]
    others = [s for s in sources if s not in fields]
    if not fields or not any(s.format.name == "cryosparc-cs" for s in others):
        return sources, options
    return others, {"passthrough": [s.path for s in fields], **options}


def _refuse_unknown(paths: list[Path]) -> None:
    """Raise what `identify` has to say of a single file that nothing recognises."""
    if len(paths) == 1 and not formats_in(paths[0]):
        identify(paths[0])


def _kind(
    path: Path, inner: list[Path], target: str, from_format: str | None, to_format: str | None
) -> Kind:
    """Find the kind that is to be read; of several in a file or directory, one the target holds."""
    if from_format is not None:
        return get_format(from_format).kind
    kinds = list(dict.fromkeys(f.kind for p in inner for f in formats_in(p)))
    if len(kinds) == 1:
        return kinds[0]
    fitting = [kind for kind in kinds if _can_hold(target, kind, to_format)]
    if len(fitting) > 1 and inner != [path]:
        raise AmbiguousFormatError(
            f"the directory holds {told(inner)}; name the files, or choose with to_format= (--to)",
            path,
        )
    return (fitting or kinds)[0]


def _can_hold(target: str, kind: Kind, to_format: str | None) -> bool:
    try:
        writer_for(example(target), kind, to_format)
    except AmbiguousFormatError:
        return True
    except UnknownFormatError:
        return False
    return True


def _of_kind(path: Path, inner: list[Path], kind: Kind, from_format: str | None) -> list[Source]:
    """Take a file, or of a directory what is of the kind (and of the format) wanted."""
    named = None if from_format is None else get_format(from_format)
    if inner == [path]:
        return [Source(path, named or identify(path, kind), False)]
    some = [
        p
        for p in inner
        if any(f.kind == kind and (named is None or f is named) for f in formats_in(p))
    ]
    if not some:
        wanted = KINDS[kind] if named is None else named.name
        raise UnknownFormatError(f"expected {wanted}, found {told(inner)}", path)
    found = [Source(p, named or identify(p, kind), True) for p in some]
    names = list(dict.fromkeys(s.format.name for s in found))
    if kind == "poses" and len(names) > 1:
        raise AmbiguousFormatError(
            f"the directory holds particles as {', '.join(names)}, which may be the same ones; "
            "choose with from_format= (--from), or name the files",
            path,
        )
    return found


def read_all(
    sources: list[Source],
    kind: Kind,
    experiments: list[str],
    options: dict[str, Any],
    failures: dict[Path, Exception],
) -> list[Found]:
    """Read what is of the experiments wanted; what cannot be read is a failure."""
    found: list[Found] = []
    known: list[str] = []
    for source in sources:
        assert source.format.read is not None or source.format.write is not None
        reader = options_of(source.format.read) if source.format.read is not None else []
        own = {name: value for name, value in options.items() if name in reader}
        if experiments and "experiments" in reader:  # it need not look at the others
            own["experiments"] = experiments
        try:
            with warnings.catch_warnings(record=True) as doubts:
                warnings.simplefilter("always")
                data = read_as(source.path, kind, source.format.name, own)
        except (OSError, ValueError) as error:
            failures[source.path] = error
            continue
        known += experiments_of(data, kind)
        data = chosen(data, kind, experiments) if experiments else data
        if data is not None:
            found.append(Found(source, data, doubts))
    missing = [name for name in experiments if name not in known]
    if missing and not failures:
        where = sources[0].path if len(sources) == 1 else f"{len(sources)} files"
        listing = ", ".join(list(dict.fromkeys(known))[:20])
        raise ValueError(f"no experiment {missing[0]!r} in {where}; there is {listing}")
    return found


def complain(
    failures: dict[Path, Exception],
    total: int,
    found: list[Found],
    experiments: Sequence[str] | None,
    on_unreadable: Complain | None,
) -> None:
    """Say which sources cannot be read; go on only where that was asked for, or does not matter."""
    if not failures:
        return
    kind = found[0].source.format.kind if found else "poses"
    known = {name for f in found for name in experiments_of(f.data, kind)}
    if experiments and known.issuperset(experiments):
        warnings.warn(
            "left out, as what was asked for is elsewhere: "
            + "; ".join(_sentence(path, error) for path, error in failures.items()),
            GuessWarning,
            stacklevel=3,
        )
        return
    if on_unreadable is not None and found:
        for path, error in failures.items():
            on_unreadable(path, error)
        return
    errors = list(failures.values())
    if total == 1:
        raise errors[0]
    listing = "; ".join(_sentence(path, error) for path, error in failures.items())
    raise ReadError(
        f"{len(errors)} of {total} sources cannot be read, and nothing was written: {listing}; "
        "leave them out, or go on without them by on_unreadable= (--skip-unreadable)"
    ) from errors[0]


def _sentence(path: Path, error: Exception) -> str:
    text = str(error)
    if isinstance(error, OSError) and error.strerror:
        text = error.strerror.lower()
    return text if str(path) in text else f"{path}: {text}"
