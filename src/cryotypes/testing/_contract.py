"""What is asked of every format, built in or third-party: `check_format`."""

from __future__ import annotations

import contextlib
import inspect
import re
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cryotypes.errors import WriteError
from cryotypes.image import Image
from cryotypes.io import options_of
from cryotypes.poseset._operations import changed

from ._compare import assert_same
from ._contract_files import (
    check_damage,
    check_foreign_heads,
    check_interruption,
    check_overwriting,
    check_paths,
)
from ._subject import Subject, registered, simpler_forms

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from cryotypes.formats import Format
    from cryotypes.loss import LossReport

_FIELDS = {
    "poses": ("position", "shift", "orientation", "experiment_id", "pixel_spacing", "features"),
    "image": ("data", "experiment_id", "pixel_spacing", "stack"),
    "projection_model": (
        *("rotation_x", "rotation_y", "rotation_z", "dx", "dy", "experiment_id", "pixel_spacing"),
        *("tomogram_dimensions", "tilt_image_dimensions", "columns"),
    ),
}
# Also declared in keeps, but only there where the data have them.
_MORE_FIELDS = {"projection_model": ("tilt_index", "excluded")}


def check_format(
    format: Format,
    *,
    examples: Sequence[Path] = (),
    read_options: Mapping[str, Any] | None = None,
    write_options: Mapping[str, Any] | None = None,
    samples: Mapping[str, Any] | None = None,
    directory: Path | None = None,
) -> None:
    """Raise unless a format does what it declares, and nothing worse.

    It is declared in full; whatever it writes of the `zoo` is read again, as exactly as it says;
    what is not kept is reported; the data given are not changed; no file is overwritten unasked
    or left half-written; a damaged file is a ReadError (or a GuessWarning), never a wrong number
    or another exception; no other format claims its files, nor it theirs.

    Parameters
    ----------
    format : Format
        It need not be registered.
    examples : sequence of Path
        Files of the program itself; they are read, and written back if the format writes.
    read_options, write_options : dict, optional
        What the geometry needs and data or file do not tell, e.g. ``{"box_size": 64}``.
    samples : dict, optional
        What is written, by the name of the case, instead of the `zoo`: for formats that write only
        what has certain features, or images of certain shapes. "three" must be among them.
    directory : Path, optional
        An empty one to work in (pytest's ``tmp_path``); by default a temporary one.

    Raises
    ------
    AssertionError
        Naming format, case, what was expected and what was found.

    Notes
    -----
    A format may refuse with a WriteError what it cannot hold: several experiments, z, features;
    values of an image, but not its shape. ``format.tolerance`` holds for values up to 1000, and in
    proportion beyond.
    """
    with contextlib.ExitStack() as stack:
        if directory is None:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        subject = Subject(format, read_options or {}, write_options or {}, directory, samples)
        check_declaration(subject)
        stack.enter_context(registered(format))
        check_foreign_heads(subject)
        for path in examples:
            _check_example(subject, Path(path))
        if format.write is not None:
            _check_writing(subject)


def _check_writing(subject: Subject) -> None:
    cases = subject.cases()
    for case, data in cases.items():
        check_round_trip(subject, case, data)
    check_overwriting(subject)
    check_interruption(subject)
    if subject.format.read is not None:
        check_paths(subject)
        for case in ("three", "numbers and text", "stack"):
            if case in cases:
                check_damage(subject, subject.example(case)[1])
        if subject.format.kind == "image":
            _check_compressed_damage(subject, cases["three"])


def _check_compressed_damage(subject: Subject, image: Any) -> None:
    for compression in subject.format.compression:
        path = subject.new_path()
        path = path.with_name(path.name + compression)
        subject.write(image, path, compression)
        check_damage(subject, path)


def check_declaration(subject: Subject) -> None:
    """Look at what the format says of itself."""
    format, case = subject.format, "declaration"
    known = {*_FIELDS[format.kind], *_MORE_FIELDS.get(format.kind, ())}
    requirements = {
        "a name in lower case with dashes": re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", format.name),
        "a title": format.title.strip(),
        "suffixes in lower case with their dots": format.suffixes
        and all(re.fullmatch(r"(\.[a-z0-9_]+)+", suffix) for suffix in format.suffixes),
        f"keeps among {', '.join(sorted(known))}": format.keeps <= known,
        "tolerances that are not negative": all(v >= 0 for v in format.tolerance.values()),
        "compressions .gz or .bz2": set(format.compression) <= {".gz", ".bz2"},
        "read or write": format.read or format.write,
        "evidence for what the fields mean": format.evidence.strip(),
        "a url": format.url.startswith("http"),
    }
    for expected, holds in requirements.items():
        subject.require(holds, case, f"expected {expected}, found {_declared(format, expected)}")
    for function in (format.read, format.write):
        if function is not None:
            _check_options(subject, function)


def _declared(format: Format, expected: str) -> str:
    fields = [name for name in vars(format) if name.rstrip("s") in expected]
    return ", ".join(f"{name}={getattr(format, name)!r}" for name in fields) or "none"


def _check_options(subject: Subject, function: Any) -> None:
    case, name = "declaration", function.__name__
    text = inspect.getdoc(function) or ""
    for option in options_of(function):
        documented = re.search(rf"^\s*(\w+, )*{option}(, \w+)* *:", text, re.MULTILINE)
        subject.require(documented, case, f"option {option} of {name} is not in its docstring")
    positional = [
        p.name
        for p in inspect.signature(function).parameters.values()
        if p.kind is not p.KEYWORD_ONLY
    ]
    expected = 1 if function is subject.format.read else 2
    subject.require(
        len(positional) == expected,
        case,
        f"expected keyword-only options of {name}, found {', '.join(positional[expected:])}",
    )


def _check_example(subject: Subject, path: Path) -> None:
    """Read a file of the program, and write it back."""
    case = path.name
    subject.sniffs(path, case)
    data = subject.read_well(path, case)
    if subject.format.write is not None:
        check_round_trip(subject, case, data)
    else:
        copied = subject.new_path(path.name)
        (shutil.copytree if path.is_dir() else shutil.copy)(path, copied)
        check_damage(subject, copied)


def check_round_trip(subject: Subject, case: str, data: Any) -> None:
    """Write and read; what differs must be neither promised nor concealed."""
    found: object = "nothing"
    written = False
    least = "positions x and y to be kept"
    if subject.format.kind == "image":
        least = "whole numbers in this shape to be written"
    for parts in simpler_forms(data):
        try:
            reports = [_round_trip(subject, case, part) for part in parts]
        except WriteError as error:
            found = error
            if subject.format.kind == "image" and _is_promised(subject, "data", case):
                subject.fail(case, f"data is promised in keeps, but refused: {error}")
            continue
        written = True
        losses = [report.lost["position"] for report in reports if "position" in report.lost]
        if not losses:
            return
        found = losses[0]
    if not written or case == "three":
        subject.fail(case, f"expected at least {least}, found {found}")


def _round_trip(subject: Subject, case: str, data: Any) -> LossReport:
    path = subject.new_path()
    try:
        report = subject.write(data, path, case)
    except WriteError:
        subject.require(not any(path.parent.iterdir()), case, "a refused write left a file")
        raise
    if report.lost:
        _check_strict(subject, case, data)
    if subject.format.read is not None:
        again = subject.read_well(path, case)
        _check_kept(subject, case, again, data, report)
        subject.sniffs(path, case)
    return report


def _check_strict(subject: Subject, case: str, data: Any) -> None:
    path = subject.new_path()
    try:
        subject.write(data, path, case, strict=True)
    except WriteError:
        subject.require(not any(path.parent.iterdir()), case, "strict=True left a file")
    else:
        subject.fail(case, "expected strict=True to raise WriteError, for something was lost")


def _check_kept(subject: Subject, case: str, again: Any, data: Any, report: LossReport) -> None:
    """Compare field by field."""
    told = {**report.assumed, **report.converted, **report.lost}
    fields: Sequence[str] = _FIELDS[subject.format.kind]
    if subject.format.kind == "poses":
        _check_number(subject, case, again, data)
        if not sum(len(poses.position) for poses in data):
            return  # no row to say anything in
        again, data = _with_shifts(again), _with_shifts(data)
        if "shift" in report.converted:
            again, data = _with_shifts(again, add=True), _with_shifts(data, add=True)
        told = _with_columns(told, data)
        _check_some_features(subject, case, data, told)
    if subject.format.kind == "image":
        _check_data(subject, case, again, data, report)
        fields = [field for field in fields if field != "data"]
    for field in fields:
        difference = _difference(subject, field, again, data, set(told))
        promised = _is_promised(subject, field, case) and "position" not in told
        if difference and (promised or field not in told):
            kind = "promised in keeps" if field in subject.format.keeps else "not reported as lost"
            subject.fail(case, f"{field} is {kind}, but read and written differ: {difference}")


def _is_promised(subject: Subject, field: str, case: str) -> bool:
    """Whether a format must keep a field in any case: a plain one."""
    return field in subject.format.keeps and case in ("three", "stack") and field != "features"


def _check_data(subject: Subject, case: str, again: Any, data: Any, report: LossReport) -> None:
    """Compare pixels; another dtype, or one section more or less around them, must be reported.

    Nothing but the conversion to the dtype that was read excuses a value.
    """
    told = {**report.assumed, **report.converted, **report.lost}
    unknown = not data.pixel_spacing > 0
    subject.require(
        not unknown or again.pixel_spacing == 0 or subject.guesses,
        case,
        f"the spacing is unknown, but read as {again.pixel_spacing} Å without a GuessWarning",
    )
    if "data" in report.lost and not _is_promised(subject, "data", case):
        return
    found, expected = np.asarray(again.data), np.asarray(data.data)
    if "data" in told or "stack" in told:
        found, expected = (_without_single_sections(array) for array in (found, expected))
    kinds = [array.dtype.newbyteorder("=") for array in (found, expected)]
    if kinds[0] != kinds[1]:
        subject.require(
            "dtype" in told, case, f"dtype is not reported as lost: {kinds[1]} became {kinds[0]}"
        )
        if "dtype" in report.lost:
            given, expected = expected, _converted(expected, found.dtype)
            beyond = np.isfinite(given) & ~np.isfinite(expected)
            if beyond.any():
                subject.fail(case, f"{given[beyond][0]} is finite, but does not fit {found.dtype}")
        elif found.shape == expected.shape:
            found, expected = _as_plain_numbers(found), _as_plain_numbers(expected)
    tolerance = {"data": subject.format.tolerance.get("data", 0.0)}
    try:
        assert_same(Image(found), Image(expected), tolerance=tolerance)
    except AssertionError as error:
        what = (
            "is promised in keeps" if "data" in subject.format.keeps else "is not reported as lost"
        )
        subject.fail(case, f"data {what}, but read and written differ: {error}")


def _without_single_sections(data: NDArray[Any]) -> NDArray[Any]:
    return data[0] if data.ndim == 3 and len(data) == 1 else data


def _converted(data: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Convert as the nearest number of another dtype."""
    if dtype.kind in "iu" and data.dtype.kind == "f":
        data = np.rint(data)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the imaginary part
        return data.astype(dtype)


def _as_plain_numbers(data: NDArray[Any]) -> NDArray[Any]:
    """Make Python's own numbers, which compare exactly, whatever their kinds."""
    plain = data.astype(object)
    plain[np.isnan(data)] = None
    return plain


def _check_some_features(subject: Subject, case: str, data: Any, told: Mapping[str, str]) -> None:
    """A format that promises features must not lose them all, though it says so."""
    columns = [str(name) for p in data if p.features is not None for name in p.features.columns]
    if "features" in subject.format.keeps and case == "numbers and text" and columns:
        lost = all(name in told for name in columns)
        subject.require(not lost, case, "features is promised in keeps, but every column is lost")


def _check_number(subject: Subject, case: str, again: Any, data: Any) -> None:
    counts = [[len(poses.position) for poses in posesets] for posesets in (data, again)]
    subject.require(
        counts[0] == counts[1],
        case,
        f"expected {counts[0]} particles an experiment, found {counts[1]}",
    )
    for poses, original in zip(again, data, strict=True):
        if poses.features is not None and original.features is not None and len(data) > 1:
            rows, expected = list(poses.features.index), list(original.features.index)
            subject.require(
                rows == expected,
                case,
                f"expected experiment {original.experiment_id!r} in rows {expected} of the file, "
                f"as in the features' index, found {rows}",
            )


def _with_shifts(posesets: Any, *, add: bool = False) -> list[Any]:
    """No shift is a shift of zero; with ``add`` the positions hold it."""
    result = []
    for poses in posesets:
        position = np.asarray(poses.position, dtype=float)
        shift = np.zeros_like(position) if poses.shift is None else np.asarray(poses.shift)
        if add:
            position, shift = position + shift, np.zeros_like(position)
        result.append(changed(poses, position=position, shift=shift))
    return result


def _with_columns(told: Mapping[str, str], data: Any) -> dict[str, str]:
    """Name also the columns that the reason for features names; a long list is cut."""
    reason = told.get("features", "")
    columns = [str(name) for poses in data if poses.features is not None for name in poses.features]
    named = [name for name in columns if name in reason or " more" in reason]
    return {**told, **dict.fromkeys(named, reason)}


def _difference(subject: Subject, field: str, again: Any, data: Any, told: set[str]) -> str | None:
    """Say in words how one field differs; columns that a format adds do not count."""
    kind = subject.format.kind
    others = {name for name in _FIELDS[kind] if name != field}
    tolerance = dict(subject.format.tolerance)
    if kind == "poses":
        _scale(tolerance, data)
        if field == "features":
            again, data = _same_columns(again, data, told)
    elif kind == "projection_model":
        others |= {*again.columns, *data.columns} - {field}
    try:
        assert_same(again, data, tolerance=tolerance, ignore=others)
    except AssertionError as error:
        return str(error)
    return None


def _scale(tolerance: dict[str, float], data: Any) -> None:
    for name in {"position", "shift"}.intersection(tolerance):
        largest = max((np.abs(getattr(p, name)).max(initial=0) for p in data), default=0)
        tolerance[name] *= max(1.0, float(largest) / 1000)


def _same_columns(again: Any, data: Any, told: set[str]) -> tuple[list[Any], list[Any]]:
    """Leave the columns that were written and not reported."""
    pairs = []
    for read, written in zip(again, data, strict=True):
        columns = [] if written.features is None else list(written.features.columns)
        columns = [name for name in columns if str(name) not in told]
        kept = None if written.features is None else written.features[columns]
        found = read.features
        if found is not None:
            found = found[[name for name in columns if name in found]]
        pairs.append((changed(read, features=found), changed(written, features=kept)))
    return [a for a, _ in pairs], [b for _, b in pairs]
