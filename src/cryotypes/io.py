"""Read and write, whatever the format."""

from __future__ import annotations

import contextlib
import inspect
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ._option_text import understood
from ._progress import listener, listening, part
from .errors import (
    AmbiguousFormatError,
    FormatError,
    LossWarning,
    ReadError,
    UnknownFormatError,
    WriteError,
)
from .formats.shared.aside import aside
from .formats.shared.declaration import Head, recognised
from .formats.shared.files import suffix_of
from .formats.shared.strangers import by_its_beginning, stranger
from .formats.shared.together import settled
from .registry import get_format, known_formats

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from os import PathLike

    from pandas import DataFrame

    from .formats.shared.declaration import Format, Kind
    from .image import Image, ImageProtocol
    from .loss import LossReport
    from .poseset import PoseSet, PoseSetProtocol

    Writable: TypeAlias = PoseSetProtocol | ImageProtocol | DataFrame

# What a suffix means for writing where several formats have it.
_USUAL = {
    ("poses", ".star"): "relion-star",
    ("poses", ".csv"): "csv",
    ("projection_model", ".star"): "relion-tilt-series",
}
# What a file may hold, in words.
KINDS: dict[Kind, str] = {
    "poses": "particle poses",
    "image": "an image",
    "projection_model": "tilt series",
}


def identify(path: str | PathLike[str], kind: Kind | None = None) -> Format:
    """Find the format of a file from its content and its suffix.

    Parameters
    ----------
    path : path
    kind : {"poses", "image", "projection_model"}, optional
        Consider formats of this kind only.

    Raises
    ------
    OSError
        Python's own, if the file is missing or cannot be read.
    ReadError
        If the file is empty.
    UnknownFormatError, AmbiguousFormatError
        If no format, or more than one, recognises the file.
    """
    wanted = [f for f in candidates(Path(path)) if kind is None or f.kind == kind]
    if len(wanted) == 1:
        return wanted[0]
    if not wanted:
        raise UnknownFormatError(_not_recognised(Path(path), kind), path)
    names = ", ".join(f.name for f in wanted)
    raise AmbiguousFormatError(f"could be {names}; choose with format=", path)


def candidates(path: Path) -> list[Format]:
    """Find the formats that recognise a file, a directory, or what names of files begin with."""
    head = Head.of(path) if path.exists() else Head(path, b"")
    found = recognised(head, known_formats().values())
    if not head.data and not found:
        if path.is_dir():
            raise IsADirectoryError(f"{path} is a directory; name a file in it")
        if not path.exists():
            Head.of(path)  # Python's own error
        raise ReadError("the file is empty", path)
    return found


def _not_recognised(path: Path, kind: Kind | None) -> str:
    found = candidates(path)
    if found and kind is not None:
        listing = " or ".join(f"{f.title} ({KINDS[f.kind]})" for f in found)
        return f"expected {KINDS[kind]}, found {listing}"
    known = stranger(Head.of(path))
    if known is not None:
        return known
    suffix = suffix_of(path)
    named = [
        f.title for f in known_formats().values() if f.read is not None and suffix in f.suffixes
    ]
    if named:
        return f"the content is not what a {suffix} file holds here ({', '.join(named)})"
    return f"no known format has the suffix {suffix!r} or this content; choose with format="


def read_poses(
    path: str | PathLike[str], *, format: str | None = None, **options: Any
) -> list[PoseSet]:
    """Read particle poses: one PoseSet an experiment, in order of first appearance.

    Parameters
    ----------
    path : path
    format : str, optional
        A format's name; by default it is found from the content.
    **options
        The format's own, e.g. ``tomograms=``, ``pixel_spacing=``; others are refused.

    Raises
    ------
    OSError, FormatError
        See `cryotypes.errors`.
    """
    poses: list[PoseSet] = read_as(path, "poses", format, options)
    return poses


def read_image(path: str | PathLike[str], *, format: str | None = None, **options: Any) -> Image:
    """Read an image, lazily where the format allows it. Arguments as for `read_poses`."""
    image: Image = read_as(path, "image", format, options)
    return image


def read_projection_model(
    path: str | PathLike[str], *, format: str | None = None, **options: Any
) -> DataFrame:
    """Read tilt-series alignments into one ProjectionModel. Arguments as for `read_poses`."""
    model: DataFrame = read_as(path, "projection_model", format, options)
    return model


def read(path: str | PathLike[str], *, format: str | None = None, **options: Any) -> list[Any]:
    """Read whatever a file holds: PoseSets, an Image, a ProjectionModel, or several of these.

    Arguments as for `read_poses`; an option must be one of at least one format that applies.
    """
    path = settled(Path(path))
    if format is not None:
        found = [get_format(format)]
    else:
        kinds = list(dict.fromkeys(f.kind for f in candidates(path)))
        found = [identify(path, kind) for kind in kinds] or [identify(path)]
    known = {name for f in found if f.read is not None for name in options_of(f.read)}
    results: list[Any] = []
    for target in found:
        own = options_of(target.read) if target.read is not None else []
        some = {name: value for name, value in options.items() if name in own or name not in known}
        result = read_as(path, target.kind, target.name, some)
        results += result if isinstance(result, list) else [result]
    return results


def read_as(
    path: str | PathLike[str], kind: Kind, name: str | None, options: dict[str, Any]
) -> Any:
    """Read one kind of data, in the format of a name or the one that recognises the file."""
    path = settled(Path(path))
    found = identify(path, kind) if name is None else get_format(name)
    if found.read is None:
        raise UnknownFormatError(f"{found.title} can be written but not read", path)
    if found.kind != kind:
        raise UnknownFormatError(f"expected {KINDS[kind]}; {found.name} is {KINDS[found.kind]}")
    if not path.exists() and not (found.sniff is not None and found.sniff(Head(path, b""))):
        raise FileNotFoundError(f"{path} does not exist")
    options = check_options(found.read, options, f"reading {found.name}")
    head = None
    if path.is_file() and found.sniff is not None:
        with contextlib.suppress(ReadError):  # damaged: the reader knows best what to say
            head = Head.of(path)
    if head is None or found.sniff is None or found.sniff(head):
        return found.read(path, **options)
    if (other := by_its_beginning(head)) is not None:
        raise ReadError(other, path)
    try:
        return found.read(path, **options)
    except ReadError as error:
        if (other := stranger(head)) is not None:
            raise ReadError(other, path) from error
        raise


def check_options(
    function: Callable[..., Any], options: dict[str, Any], what: str
) -> dict[str, Any]:
    """Refuse options that a format's function does not name; return them, texts understood.

    Raises
    ------
    TypeError
        Naming the options there are.
    ValueError
        If an option given as text is not what the function declares.
    """
    if not options:
        return {}
    known = options_of(function)
    unknown = [name for name in options if name not in known]
    if unknown:
        listing = ", ".join(known) or "none"
        raise TypeError(f"{what}: unknown option {', '.join(unknown)}; there is {listing}")
    return understood(function, options)


def options_of(function: Callable[..., Any]) -> list[str]:
    """Name the keyword-only options of a format's read or write function."""
    return [
        p.name
        for p in inspect.signature(function).parameters.values()
        if p.kind is p.KEYWORD_ONLY and p.name != "overwrite"
    ]


def write(
    data: Writable | Sequence[Writable],
    path: str | PathLike[str],
    *,
    format: str | None = None,
    overwrite: bool = False,
    strict: bool = False,
    progress: Callable[[float], None] | None = None,
    **options: Any,
) -> LossReport:
    """Write PoseSets, an Image, or a ProjectionModel.

    Parameters
    ----------
    data : PoseSet, list of PoseSets, Image, or ProjectionModel
        Checked first; the input itself is not changed.
    path : path
        Its suffix names the format, unless ``format`` does.
    format : str, optional
    overwrite : bool
        Replace an existing file; otherwise FileExistsError.
    strict : bool
        Raise a WriteError, and leave no file, if something would be lost. To know that, all is
        written twice, first into a temporary directory.
    progress : callable, optional
        Called with the fraction done, 0 to 1, now and then while a large image is written.
    **options
        The format's own, e.g. ``dialect=``; others are refused.

    Returns
    -------
    LossReport
        What was kept, converted, assumed and lost.

    Raises
    ------
    OSError, FormatError
        FileExistsError without ``overwrite``; WriteError if the data do not fit the format; see
        `cryotypes.errors`.

    Warns
    -----
    LossWarning
        Naming what was lost.
    """
    path = Path(path)
    kind, checked = _checked(data)
    target = writer_for(path, kind, format)
    assert target.write is not None
    options = check_options(target.write, options, f"writing {target.name}")
    with listening(progress or listener()):
        if strict:
            with part(0, 2):
                rehearsal = _rehearse(target, checked, path, options)
            if rehearsal.lost:
                raise WriteError(f"strict: {_losses(rehearsal)}", path)
        with part(1, 2) if strict else part(0, 1):
            report: LossReport = target.write(checked, path, overwrite=overwrite, **options)
    _account_for_sizes(target, checked, report)
    report.path, report.format = str(path), target.name
    if report.lost:
        warnings.warn(_losses(report), LossWarning, stacklevel=2)
    return report


def _losses(report: LossReport) -> str:
    listing = "; ".join(f"{name}: {reason}" for name, reason in report.lost.items())
    return f"{report.format} cannot keep {listing}"


def _rehearse(target: Format, data: Any, path: Path, options: dict[str, Any]) -> LossReport:
    """Write into a temporary directory, for the report alone."""
    from tempfile import TemporaryDirectory

    assert target.write is not None
    beside = target.kind == "image" and path.parent.is_dir()  # there is room
    with aside(path.parent.resolve() / path.name) if beside else TemporaryDirectory() as directory:
        try:
            report: LossReport = target.write(
                data, Path(directory) / path.name, overwrite=False, **options
            )
        except FormatError as error:
            error.path = path  # the user's, not that of the rehearsal
            raise
    report.format = target.name
    _account_for_sizes(target, data, report)
    return report


def _account_for_sizes(target: Format, data: Any, report: LossReport) -> None:
    """Say what becomes of the sizes that tilt series state, where the format says nothing."""
    if target.kind != "projection_model":
        return
    from .projectionmodel import dimensions_of

    told = {*report.kept, *report.converted, *report.assumed, *report.lost}
    for name in ("tomogram_dimensions", "tilt_image_dimensions"):
        stated = (dimensions_of(data, name, str(e)) for e in data["experiment_id"].unique())
        if name in told or all(size is None for size in stated):
            continue
        if name in target.keeps:
            report.kept.append(name)
        else:
            report.lost[name] = "the format has none"


def _checked(data: Any) -> tuple[Kind, Any]:
    """Tell what the data are, and validate them."""
    from .image import ImageProtocol, validate_image
    from .poseset import PoseSetProtocol

    if isinstance(data, PoseSetProtocol):
        data = [data]
    if isinstance(data, ImageProtocol):
        from copy import copy

        image: Any = copy(data)
        ndim: Any = getattr(image.data, "ndim", 3)
        return "image", validate_image(image, ndim=ndim, coerce=True)
    if isinstance(data, (list, tuple)) and all(isinstance(d, PoseSetProtocol) for d in data):
        if not data:
            raise ValueError("write: expected at least one PoseSet, found an empty list")
        return "poses", [_checked_poses(poses) for poses in data]
    import pandas as pd

    if isinstance(data, pd.DataFrame):
        from .projectionmodel import validate_projection_model

        return "projection_model", validate_projection_model(data, coerce=True)
    if isinstance(data, (list, tuple)) and len(data) == 1:
        return _checked(data[0])
    raise TypeError(
        "write: expected PoseSets, an Image or a ProjectionModel (DataFrame), "
        f"found {type(data).__name__}"
    )


def _checked_poses(poses: Any) -> Any:
    """Validate a PoseSet; positions given as (n, 2) are remembered to be 2D."""
    from .poseset import validate_poseset

    checked = validate_poseset(poses, coerce=True)
    shape = getattr(poses.position, "shape", (0, 3))
    if len(shape) == 2 and shape[1] == 2 and hasattr(checked, "metadata"):
        checked.metadata = {**(checked.metadata or {}), "ndim": 2}
    return checked


def writer_for(path: Path, kind: Kind, name: str | None) -> Format:
    """Find the format that writes a kind of data: that of a name, or of the suffix."""
    if name is not None:
        found = get_format(name)
        if found.write is None:
            raise UnknownFormatError(f"{found.title} can be read but not written", path)
        if found.kind != kind:
            raise UnknownFormatError(f"{found.name} holds {KINDS[found.kind]}, not {KINDS[kind]}")
        return found
    suffix = suffix_of(path)
    writable = [f for f in known_formats().values() if f.write is not None and f.kind == kind]
    fitting = [f for f in writable if suffix in f.suffixes]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        preferred = [f for f in fitting if f.suffixes[0] == suffix]
        usual = [f for f in preferred if f.name == _USUAL.get((kind, suffix))]
        if len(usual or preferred) == 1:
            return (usual or preferred)[0]
        names = ", ".join(f.name for f in fitting)
        raise AmbiguousFormatError(f"could be {names}; choose with format= (--to)", path)
    known = ", ".join(dict.fromkeys(s for f in writable for s in f.suffixes))
    raise UnknownFormatError(
        f"cannot write {KINDS[kind]} to {suffix or 'a path without suffix'!r}; there is {known}",
        path,
    )
