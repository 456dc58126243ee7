"""Take data from any format to any other, and say what that did to them."""

from __future__ import annotations

import warnings
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryotypes._progress import listening, part
from cryotypes.errors import CryotypesWarning, WriteError
from cryotypes.formats.shared.files import refuse_overwrite
from cryotypes.io import KINDS, options_of, write, writer_for
from cryotypes.names import strip_path_and_suffix

from ._contents import without_alignment
from ._joining import joined
from ._naming import EXPERIMENT, PARENT, STEM, Naming, example, filled
from ._sources import complain, find_sources, read_all, with_passthrough

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from os import PathLike

    from cryotypes.formats.shared.declaration import Format, Kind
    from cryotypes.geometry._image_binning import BinMethod
    from cryotypes.loss import LossReport

    from ._sources import Complain


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
    sources = find_sources(
        [Path(path) for path in listed], str(target), from_format, to_format, failures
    )
    sources, options = with_passthrough(sources, options)
    kind = sources[0].format.kind
    writer = writer_for(example(str(target)), kind, to_format)
    if bin_factor != 1 and kind != "image":
        raise TypeError(f"binning is for images; {sources[0].format.name} holds {KINDS[kind]}")
    naming = Naming(name, names, regex)
    writing = _options_for_writing([s.format for s in sources], writer, options)
    found = read_all(sources, kind, list(experiments or []), options, failures)
    total = len({s.path for s in sources} | failures.keys())
    complain(failures, total, found, experiments, on_unreadable)
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
        data = joined(group, kind)
        if bin_factor != 1:
            from cryotypes.geometry import bin_image

            data = bin_image(data, bin_factor, bin_method, lazy=bin_method != "fourier")
        work += _targets(data, kind, filled(str(target), group[0].source.path))
    _refuse_clashes(work, overwrite)
    choices: dict[str, Any] = {"format": writer.name, "overwrite": overwrite, "strict": strict}
    return _write_all(work, choices | writing, progress)


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
