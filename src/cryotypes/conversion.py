"""Take data from any format to any other, and say what that did to them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._progress import listening, part
from .errors import UnknownFormatError, WriteError
from .io import KINDS, _candidates, _writable, identify, options_of, write
from .names import strip_path_and_suffix
from .registry import get_format

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from os import PathLike

    from .formats._format import Format, Kind
    from .geometry._image_binning import BinMethod
    from .loss import LossReport

_EXPERIMENT, _STEM = "{experiment_id}", "{stem}"


def convert(
    source: str | PathLike[str] | Sequence[str | PathLike[str]],
    target: str | PathLike[str],
    *,
    from_format: str | None = None,
    to_format: str | None = None,
    overwrite: bool = False,
    strict: bool = False,
    experiments: Sequence[str] | None = None,
    bin_factor: int = 1,
    bin_method: BinMethod = "mean",
    progress: Callable[[float], None] | None = None,
    **options: Any,
) -> list[LossReport]:
    """Convert one or many files.

    Parameters
    ----------
    source : path, or list of paths
        Several files of particles or of tilt series become one, unless ``target`` says otherwise.
    target : path
        ``{experiment_id}`` in it: one file an experiment; ``{stem}``: one file a source, named
        after it.
    from_format, to_format : str, optional
        Names of formats, where content and suffix do not tell.
    overwrite, strict : bool
        As for `write`.
    experiments : list of str, optional
        Only these.
    bin_factor : int
        Make images so many times coarser, see `bin_image`; `bin_poses` takes particles along.
    bin_method : {"mean", "decimate", "fourier"}
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
    sources = [Path(path) for path in listed]
    if not sources:
        raise ValueError("convert: expected at least one source, found none")
    reader, kind = _reader(sources[0], Path(target), from_format, to_format)
    writer = _writable(Path(str(target).replace(_STEM, "x")), kind, to_format)
    if bin_factor != 1 and kind != "image":
        raise TypeError(f"binning is for images; {reader.name} holds {KINDS[kind]}")
    reading, writing = _sort_options(reader, writer, options)
    work = []
    for group in [[s] for s in sources] if _STEM in str(target) else [sources]:
        data = _read(group, kind, from_format, reading)
        if bin_factor != 1:
            from .geometry import bin_image

            data = bin_image(data, bin_factor, bin_method, lazy=bin_method != "fourier")
        work += _targets(data, kind, str(target), group[0], experiments)
    reports = []
    choices: dict[str, Any] = {"format": writer.name, "overwrite": overwrite, "strict": strict}
    with listening(progress):
        for number, (path, data) in enumerate(work):
            with part(number, len(work)):
                reports.append(write(data, path, **choices, **writing))
    return reports


def _reader(
    source: Path, target: Path, from_format: str | None, to_format: str | None
) -> tuple[Format, Kind]:
    """Find the source's format; of several kinds in it, the one that the target can hold."""
    if from_format is not None:
        found = get_format(from_format)
        return found, found.kind
    candidates = _candidates(source)
    if len({f.kind for f in candidates}) > 1:
        for candidate in candidates:
            try:
                _writable(Path(str(target).replace(_STEM, "x")), candidate.kind, to_format)
            except UnknownFormatError:
                continue
            return candidate, candidate.kind
    found = identify(source)
    return found, found.kind


def _sort_options(
    reader: Format, writer: Format, options: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Give each option to reading, writing, or both."""
    for_reading = options_of(reader.read) if reader.read is not None else []
    for_writing = options_of(writer.write) if writer.write is not None else []
    unknown = [name for name in options if name not in {*for_reading, *for_writing}]
    if unknown:
        raise TypeError(
            f"unknown option {', '.join(unknown)}; reading {reader.name} knows "
            f"{', '.join(for_reading) or 'none'}, writing {writer.name} "
            f"{', '.join(for_writing) or 'none'}"
        )
    return (
        {name: value for name, value in options.items() if name in for_reading},
        {name: value for name, value in options.items() if name in for_writing},
    )


def _read(paths: list[Path], kind: Kind, name: str | None, options: dict[str, Any]) -> Any:
    """Read files of one kind as one thing."""
    from .io import _read as read_one

    things = [read_one(path, kind, name, options) for path in paths]
    if kind == "poses":
        return [poses for thing in things for poses in thing]
    if len(things) == 1:
        return things[0]
    if kind == "projection_model":
        return join_models(things)
    raise WriteError(
        f"{len(things)} images do not become one; put {_STEM} into the target for one file each"
    )


def join_models(models: Sequence[Any]) -> Any:
    """Join ProjectionModels, what their attrs hold by experiment included.

    Raises
    ------
    WriteError
        If two of them are of one experiment, which would become one of twice the images.
    """
    import pandas as pd

    _refuse_one_name(models)
    attrs: dict[str, Any] = {}
    for model in models:
        for name, value in model.attrs.items():
            known = attrs.setdefault(name, type(value)() if isinstance(value, dict) else value)
            if isinstance(value, dict):
                known.update(value)
    joined = pd.concat([m.set_axis(range(len(m))) for m in models], ignore_index=True)
    joined.attrs = attrs
    return joined


def _refuse_one_name(models: Sequence[Any]) -> None:
    sources: dict[str, str] = {}
    for model in models:
        for name, rows in model.groupby("experiment_id", sort=False):
            source = str(rows["source"].iloc[0]) if "source" in rows else "a model"
            first = sources.setdefault(str(name), source)
            if first is not source:
                raise WriteError(
                    f"two tilt series are called {name!r}: {first} and {source}; one would be "
                    "added to the other; give each a name of its own, or write one file each"
                )


def _targets(
    data: Any, kind: Kind, target: str, source: Path, experiments: Sequence[str] | None
) -> list[tuple[Path, Any]]:
    """Pair each file to be written with its data."""
    target = target.replace(_STEM, strip_path_and_suffix(source.name))
    if kind == "image":
        if _EXPERIMENT in target:
            target = target.replace(_EXPERIMENT, data.experiment_id)
        return [(Path(target), data)]
    parts = _by_experiment(data, kind)
    missing = [name for name in experiments or [] if name not in parts]
    if missing:
        known = ", ".join(list(parts)[:20])
        raise ValueError(f"no experiment {missing[0]!r} in {source}; there is {known}")
    if experiments:
        parts = {name: part for name, part in parts.items() if name in experiments}
    if _EXPERIMENT not in target:
        if not experiments:
            return [(Path(target), data)]
        whole = (
            [poses for part in parts.values() for poses in part]
            if kind == "poses"
            else data[data["experiment_id"].isin(list(parts))]
        )
        return [(Path(target), whole)]
    names = {name: strip_path_and_suffix(name) or "unnamed" for name in parts}
    if len(set(names.values())) < len(names):
        raise WriteError(
            "two experiments would have the same file name; their names differ only in "
            f"directories or suffixes: {', '.join(list(parts)[:4])}"
        )
    return [(Path(target.replace(_EXPERIMENT, names[n])), part) for n, part in parts.items()]


def _by_experiment(data: Any, kind: Kind) -> dict[str, Any]:
    if kind == "poses":
        parts: dict[str, Any] = {}
        for poses in data:
            parts.setdefault(poses.experiment_id, []).append(poses)
        return parts
    return {str(name): part for name, part in data.groupby("experiment_id", sort=False)}
