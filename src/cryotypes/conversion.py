"""Take data from any format to any other, and say what that did to them."""

from __future__ import annotations

import warnings
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ._contents import contents, formats_in, told, without_alignment
from ._naming import EXPERIMENT, PARENT, STEM, Naming, chosen, experiments_of, filled
from ._progress import listening, part
from .errors import (
    AmbiguousFormatError,
    CryotypesWarning,
    GuessWarning,
    ReadError,
    UnknownFormatError,
    WriteError,
)
from .formats.poses.cryosparc_cs._passthrough import is_passthrough
from .formats.shared.files import refuse_overwrite
from .io import KINDS, identify, options_of, read_as, write, writer_for
from .names import strip_path_and_suffix
from .projectionmodel import concatenated
from .registry import get_format

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from os import PathLike

    from .formats.shared.declaration import Format, Kind
    from .geometry._image_binning import BinMethod
    from .loss import LossReport

    Complain = Callable[[Path, Exception], None]


class _Source(NamedTuple):
    """A file to read; ``inside``: it was found in a directory that was given."""

    path: Path
    format: Format
    inside: bool


class _Found(NamedTuple):
    """What a source held, and what was warned of; it is told if the source is taken."""

    source: _Source
    data: Any
    doubts: list[warnings.WarningMessage]


def convert(
    source: str | PathLike[str] | Sequence[str | PathLike[str]],
    target: str | PathLike[str],
    *,
    from_format: str | None = None,
    to_format: str | None = None,
    overwrite: bool = False,
    strict: bool = False,
    experiments: Sequence[str] | None = None,
    name: str | None = None,
    names: Mapping[str, str] | str | PathLike[str] | None = None,
    regex: str | None = None,
    bin_factor: int = 1,
    bin_method: BinMethod = "mean",
    on_unreadable: Complain | None = None,
    progress: Callable[[float], None] | None = None,
    **options: Any,
) -> list[LossReport]:
    """Convert one or many files.

    Parameters
    ----------
    source : path, or list of paths
        Several files of particles or of tilt series become one, unless ``target`` says otherwise.
        Of a directory, all that is of the kind that the target holds; where several files align
        one tilt series, AreTomo's own before its export for IMOD, alignments before nominal tilts.
    target : path
        ``{experiment_id}`` in it: one file an experiment; ``{stem}``: one file a source, named
        after it; ``{parent}``: the name of the source's directory.
    from_format, to_format : str, optional
        Names of formats, where content and suffix do not tell.
    overwrite, strict : bool
        As for `write`.
    experiments : list of str, optional
        Only these, by their names in the files. What cannot be read is left out, with a warning,
        if these are found all the same.
    name : str, optional
        What experiments are to be called. In it, ``{stem}`` and ``{parent}`` as in ``target``, and
        ``{experiment_id}``, the name so far without directories and suffixes.
    names : dict or path, optional
        Name in the file → experiment; or a table of these two columns.
    regex : str, optional
        Searched in names: its first group, or all that matches, is the experiment.
    bin_factor : int
        Make images so many times coarser, see `bin_image`; `bin_poses` takes particles along.
    bin_method : {"mean", "decimate", "fourier"}
    on_unreadable : callable, optional
        Called with path and exception of every source that cannot be read, which is left out.
        Without it nothing is written if there is such a source, and the error names all of them.
    progress : callable, optional
        Called with the fraction done, 0 to 1, with every file and within large images.
    **options
        For reading or writing, whichever knows them, e.g. ``pixel_spacing=``, ``dialect=``.

    Returns
    -------
    list of LossReport
        One for each file written.

    Raises
    ------
    OSError, FormatError
        See `cryotypes.errors`.
    TypeError
        If neither format knows an option, or what is not an image is to be binned.
    """
    listed: Any = source if isinstance(source, (list, tuple)) else [source]
    if not listed:
        raise ValueError("convert: expected at least one source, found none")
    failures: dict[Path, Exception] = {}
    sources = _sources(
        [Path(path) for path in listed], str(target), from_format, to_format, failures
    )
    sources, options = _with_passthrough(sources, options)
    kind = sources[0].format.kind
    writer = writer_for(_example(str(target)), kind, to_format)
    if bin_factor != 1 and kind != "image":
        raise TypeError(f"binning is for images; {sources[0].format.name} holds {KINDS[kind]}")
    naming = Naming(name, names, regex)
    writing = _options_for_writing([s.format for s in sources], writer, options)
    found = _read_all(sources, kind, list(experiments or []), options, failures)
    total = len({s.path for s in sources} | failures.keys())
    _complain(failures, total, found, experiments, on_unreadable)
    if kind == "projection_model":
        inside = {n: (f.source.path, f.data) for n, f in enumerate(found) if f.source.inside}
        left_out = without_alignment(inside)
        found = [one for n, one in enumerate(found) if n not in left_out]
    for doubt in (doubt for one in found for doubt in one.doubts):
        warnings.warn_explicit(doubt.message, doubt.category, doubt.filename, doubt.lineno)
    found = [f._replace(data=naming.apply(f.data, kind, f.source.path)) for f in found]
    work: list[tuple[Path, Any]] = []
    each = any(word in str(target) for word in (STEM, PARENT))
    for group in [[f] for f in found] if each else [found]:
        data = _joined(group, kind)
        if bin_factor != 1:
            from .geometry import bin_image

            data = bin_image(data, bin_factor, bin_method, lazy=bin_method != "fourier")
        work += _targets(data, kind, filled(str(target), group[0].source.path))
    _refuse_clashes(work, overwrite)
    choices: dict[str, Any] = {"format": writer.name, "overwrite": overwrite, "strict": strict}
    return _write_all(work, choices | writing, progress)


def _example(target: str) -> Path:
    """Return the target with something in place of what is filled in, for its suffix."""
    return Path(target.replace(STEM, "x").replace(PARENT, "x").replace(EXPERIMENT, "x"))


def _sources(
    paths: list[Path],
    target: str,
    from_format: str | None,
    to_format: str | None,
    failures: dict[Path, Exception],
) -> list[_Source]:
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
        _complain(failures, len(failures), [], None, None)
    kind: Kind | None = None
    sources: list[_Source] = []
    for path, inner in listed:
        try:
            kind = kind or _kind(path, inner, target, from_format, to_format)
            sources += _of_kind(path, inner, kind, from_format)
        except (OSError, ValueError) as error:
            failures[path] = error
    if not sources:
        _complain(failures, len(failures), [], None, None)
    twice = [p for p, n in Counter(s.path.resolve() for s in sources).items() if n > 1]
    if twice:
        raise ValueError(f"convert: {twice[0]} is given twice")
    return sources


def _with_passthrough(
    sources: list[_Source], options: dict[str, Any]
) -> tuple[list[_Source], dict[str, Any]]:
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
        writer_for(_example(target), kind, to_format)
    except AmbiguousFormatError:
        return True
    except UnknownFormatError:
        return False
    return True


def _of_kind(path: Path, inner: list[Path], kind: Kind, from_format: str | None) -> list[_Source]:
    """Take a file, or of a directory what is of the kind (and of the format) wanted."""
    named = None if from_format is None else get_format(from_format)
    if inner == [path]:
        return [_Source(path, named or identify(path, kind), False)]
    some = [
        p
        for p in inner
        if any(f.kind == kind and (named is None or f is named) for f in formats_in(p))
    ]
    if not some:
        wanted = KINDS[kind] if named is None else named.name
        raise UnknownFormatError(f"expected {wanted}, found {told(inner)}", path)
    found = [_Source(p, named or identify(p, kind), True) for p in some]
    names = list(dict.fromkeys(s.format.name for s in found))
    if kind == "poses" and len(names) > 1:
        raise AmbiguousFormatError(
            f"the directory holds particles as {', '.join(names)}, which may be the same ones; "
            "choose with from_format= (--from), or name the files",
            path,
        )
    return found


def _options_for_writing(
    readers: Sequence[Format], writer: Format, options: dict[str, Any]
) -> dict[str, Any]:
    """Pick the options that writing knows; refuse those that neither side does."""
    for_reading = {o: None for r in readers if r.read is not None for o in options_of(r.read)}
    for_writing = options_of(writer.write) if writer.write is not None else []
    unknown = [name for name in options if name not in {*for_reading, *for_writing}]
    if unknown:
        names = " and ".join(dict.fromkeys(r.name for r in readers))
        raise TypeError(
            f"unknown option {', '.join(unknown)}; reading {names} knows "
            f"{', '.join(for_reading) or 'none'}, writing {writer.name} "
            f"{', '.join(for_writing) or 'none'}"
        )
    return {name: value for name, value in options.items() if name in for_writing}


def _read_all(
    sources: list[_Source],
    kind: Kind,
    experiments: list[str],
    options: dict[str, Any],
    failures: dict[Path, Exception],
) -> list[_Found]:
    """Read what is of the experiments wanted; what cannot be read is a failure."""
    found: list[_Found] = []
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
            found.append(_Found(source, data, doubts))
    missing = [name for name in experiments if name not in known]
    if missing and not failures:
        where = sources[0].path if len(sources) == 1 else f"{len(sources)} files"
        listing = ", ".join(list(dict.fromkeys(known))[:20])
        raise ValueError(f"no experiment {missing[0]!r} in {where}; there is {listing}")
    return found


def _complain(
    failures: dict[Path, Exception],
    total: int,
    found: list[_Found],
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


def _joined(found: list[_Found], kind: Kind) -> Any:
    """Join what several sources hold."""
    if kind == "poses":
        _tell_joined(found)
        _refuse_twice(found)
        return [poses for one in found for poses in one.data]
    if len(found) == 1:
        return found[0].data
    if kind == "projection_model":
        return join_models([one.data for one in found])
    raise WriteError(
        f"{len(found)} images do not become one; put {STEM} into the target for one file each"
    )


def _refuse_twice(found: list[_Found]) -> None:
    """Refuse cryoSPARC's particles that stand in two files, which would double them.

    Raises
    ------
    WriteError
        Naming both files.
    """
    seen: dict[int, Path] = {}
    for one in found if len(found) > 1 else []:
        if one.source.format.name != "cryosparc-cs":
            continue
        tables = [poses.features for poses in one.data if poses.features is not None]
        uids = [int(uid) for table in tables if "uid" in table for uid in table["uid"]]
        twice = [uid for uid in uids if uid in seen]
        if twice:
            raise WriteError(
                f"{len(twice)} particles, the first with uid {twice[0]}, stand in "
                f"{seen[twice[0]]} and in {one.source.path}: if one holds more fields of the "
                "other's particles, read it with passthrough= (--passthrough FILE); if not, "
                "convert them one by one"
            )
        seen |= dict.fromkeys(uids, one.source.path)


def _tell_joined(found: list[_Found]) -> None:
    """Say which experiments stand in several sources: they may be two that are called alike."""
    places: dict[str, list[Path]] = {}
    for one in found:
        for name in experiments_of(one.data, "poses"):
            places.setdefault(name, []).append(one.source.path)
    several = {name: paths for name, paths in places.items() if len(paths) > 1}
    if several:
        name, paths = next(iter(several.items()))
        more = f" (likewise {len(several) - 1} more)" if len(several) > 1 else ""
        warnings.warn(
            f"{name!r} stands in {paths[0]} and {paths[1]}{more}: taken for one experiment, all "
            "of whose particles are written; if these are two, name them apart with name= "
            f"(--name '{STEM}' or '{PARENT}')",
            GuessWarning,
            stacklevel=3,
        )


def join_models(models: Sequence[Any]) -> Any:
    """Join ProjectionModels, what their attrs hold by experiment included.

    Raises
    ------
    WriteError
        If two of them are of one experiment, which would become one of twice the images.
    """
    _refuse_one_name(models)
    return concatenated(models)


def _refuse_one_name(models: Sequence[Any]) -> None:
    sources: dict[str, str] = {}
    for model in models:
        for name, rows in model.groupby("experiment_id", sort=False):
            source = str(rows["source"].iloc[0]) if "source" in rows else "a model"
            if name in sources:
                raise WriteError(
                    f"two tilt series are called {name!r}: {sources[name]} and {source}; one would "
                    "be added to the other; give each a name of its own with name= "
                    f"(--name '{STEM}' or '{PARENT}'), or write one file each"
                )
            sources[str(name)] = source


def _targets(data: Any, kind: Kind, target: str) -> list[tuple[Path, Any]]:
    """Pair each file to be written with its data."""
    if EXPERIMENT not in target:
        return [(Path(target), data)]
    if kind == "image":
        return [(Path(target.replace(EXPERIMENT, data.experiment_id)), data)]
    parts = _by_experiment(data, kind)
    names = {name: strip_path_and_suffix(name) or "unnamed" for name in parts}
    if len(set(names.values())) < len(names):
        raise WriteError(
            "two experiments would have the same file name; their names differ only in "
            f"directories or suffixes: {', '.join(list(parts)[:4])}"
        )
    return [(Path(target.replace(EXPERIMENT, names[n])), part) for n, part in parts.items()]


def _by_experiment(data: Any, kind: Kind) -> dict[str, Any]:
    if kind == "poses":
        parts: dict[str, Any] = {}
        for poses in data:
            parts.setdefault(poses.experiment_id, []).append(poses)
        return parts
    return {str(name): part for name, part in data.groupby("experiment_id", sort=False)}


def _refuse_clashes(work: list[tuple[Path, Any]], overwrite: bool) -> None:
    """Refuse, before anything is written, two files of one name, and those that exist."""
    counts = Counter(path for path, _ in work)
    twice = [path for path, count in counts.items() if count > 1]
    if twice:
        raise WriteError(
            f"{counts[twice[0]]} files would have this name; put {PARENT} or {EXPERIMENT} into "
            "the target",
            twice[0],
        )
    for path, _ in work if len(work) > 1 else []:
        if not path.is_dir():
            refuse_overwrite(path, overwrite)


def _write_all(
    work: list[tuple[Path, Any]],
    choices: dict[str, Any],
    progress: Callable[[float], None] | None,
) -> list[LossReport]:
    reports: list[LossReport] = []
    with listening(progress):
        for number, (path, data) in enumerate(work):
            try:
                with part(number, len(work)):
                    reports.append(write(data, path, **choices))
            except Exception:
                if reports:
                    warnings.warn(
                        f"{number} of {len(work)} files were written before this, the last is "
                        f"{reports[-1].path}",
                        CryotypesWarning,
                        stacklevel=3,
                    )
                raise
    return reports
