"""SerialEM's .mdoc of tilt series: how each image was taken. There is no alignment in it.

What is read is nominal: the stage's tilt angle and the microscope's tilt axis, no shifts. The axis
is the ``Tilt axis angle`` of the titles (degrees from the image's +Y, counter-clockwise positive);
``RotationAngle`` is another number, of the stage's axes.

https://bio3d.colorado.edu/SerialEM/hlp/html/about_formats.htm
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import PureWindowsPath
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cryotypes.conventions import _table as conventions
from cryotypes.errors import GuessWarning, ReadError
from cryotypes.formats.shared.declaration import Format, Head
from cryotypes.formats.shared.files import read_lines
from cryotypes.formats.shared.finite import finite_number, whole_number
from cryotypes.names import strip_path_and_suffix

from . import _tilts

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_SECTION = re.compile(r"\[\s*(ZValue|FrameSet)\s*=\s*([^\]]*?)\s*\]")
_HEAD = re.compile(r"^\[(ZValue|FrameSet)\s*=\s*\d+\s*\]\s*$", re.MULTILINE)
_AXIS = re.compile(r"(Tilt ?axis ?angle)\s*=\s*([-+]?[\d.]+)", re.IGNORECASE)
_DATE = re.compile(r"(\d{1,2})-([A-Za-z]{3})-(\d{2,4})\s+(\d{1,2}):(\d{1,2}):(\d{1,2})$")
_FILE_ORDER = "it states no times, so the order of acquisition is assumed to be that of the file"
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


@dataclass
class _Content:
    """Titles, fields of the file, and fields of each image with the number of the image."""

    titles: list[str] = field(default_factory=list)
    common: dict[str, str] = field(default_factory=dict)
    images: list[dict[str, str]] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    frame_sets: int = 0  # movies in files of their own

    @property
    def in_stack(self) -> bool:
        return not self.frame_sets


def sniff(head: Head) -> bool:
    """Text with the heading of an image, as SerialEM writes it."""
    return b"\0" not in head.data and _HEAD.search(head.text) is not None


def read(
    path: Path, *, tilt_axis_angle: float | None = None, pixel_spacing: float | None = None
) -> pd.DataFrame:
    """Read the nominal angles of a tilt series.

    Parameters
    ----------
    path : path
    tilt_axis_angle : float, optional
        Degrees; by default the Tilt axis angle of the titles.
    pixel_spacing : float, optional
        Å per pixel of the images of the stack; by default that of the file.

    Returns
    -------
    ProjectionModel
        Rows in the order of the file. ``tilt_index`` is ZValue, the image's number in the stack
        that SerialEM wrote; ``movie_path`` the file name of SubFramePath, ``exposure`` the
        ExposureDose of the image, ``acquisition_order`` counts from 0 by DateTime, else by
        PriorRecordDose; ``dose`` is the exposure up to the image's end (e/Å²), in this order,
        else in that of the file where it is not sorted by tilt; each only if the file tells. All
        fields
        are columns under their own names. ``attrs`` hold tilt_image_dimensions and ``mdoc``:
        titles and fields of the whole file.

    Raises
    ------
    ReadError
        If there are no images, or a tilt angle or the tilt axis is missing; if the file is that
        of a montage, or of the frames of one movie.

    Warns
    -----
    GuessWarning
        In any case: the angles are not those of an alignment. It also says how the order of
        acquisition, on which the dose depends, was found, where that is doubtful.
    """
    given = _tilts.spacing_given(pixel_spacing)
    content = _parse(path)
    table = _columns(content)
    tilts = _required(content, path)
    _tilts.check_angles(tilts, path)
    axis, doubt = _axis(content, tilt_axis_angle, path)
    name = strip_path_and_suffix(path.name)
    spacing = _spacing(content, path) if given is None else given
    lines = np.full_like(tilts, axis)
    model = _tilts.nominal(path, name, tilts, lines, conventions.SERIALEM, spacing)
    model[_tilts.INDEX] = _index(content, path)
    order, doubts = _acquisition(content, table, tilts)
    more = {**_derived(content, table, order), **table}
    if _FILE_ORDER in doubts:
        more.pop("acquisition_order", None)
    more = {key: values for key, values in more.items() if key not in model}
    model = pd.concat([model, pd.DataFrame(more, index=model.index)], axis=1)
    model.attrs = {"mdoc": {name: {"titles": content.titles, **content.common}}}
    size = content.common.get("ImageSize", "").split()
    if len(size) == 2 and all(word.isdecimal() and int(word) for word in size):
        model.attrs["tilt_image_dimensions"] = {name: (int(size[0]), int(size[1]))}
    warnings.warn(
        f"{path}: an mdoc has no alignment; the angles are nominal, and shifts are zero (read the "
        f"alignment's own file for more){doubt}{''.join(f'; {d}' for d in doubts)}",
        GuessWarning,
        stacklevel=4,
    )
    return model


def _parse(path: Path) -> _Content:
    content = _Content()
    fields: dict[str, str] | None = content.common
    for count, line in enumerate(read_lines(path), start=1):
        line = line.strip().lstrip("\ufeff")
        if line.startswith("["):
            section = _SECTION.fullmatch(line)
            title = re.fullmatch(r"\[\s*T\s*=\s*(.*?)\s*\]?", line)
            if section is not None:
                number = whole_number(section[2], path, f"line {count}, {section[1]}")
                if not 0 <= number < 100_000:
                    raise ReadError(f"line {count}: {section[1]} {number} is no image", path)
                content.frame_sets += section[1] == "FrameSet"
                content.numbers.append(number)
                content.images.append(fields := {})
            elif title is not None:
                content.titles.append(title[1])
            else:
                fields = None  # of a montage, say
        elif "=" in line and fields is not None:
            key, _, value = line.partition("=")
            fields[key.strip()] = value.strip()
    if not content.images:
        raise ReadError("expected images ([ZValue = 0] and so on), found none", path)
    _refuse_others(content, path)
    return content


def _refuse_others(content: _Content, path: Path) -> None:
    """Name what is no tilt series."""
    montage = any("PieceCoordinates" in image for image in content.images)
    if montage or content.common.get("Montage") == "1":
        raise ReadError(
            "expected a tilt series, found a montage (Montage = 1, PieceCoordinates): pieces of "
            "one picture, which have no tilts of their own",
            path,
        )
    if content.frame_sets == 1:
        raise ReadError(
            "expected a tilt series, found the frames of one movie ([FrameSet]): read the mdoc of "
            "the stack, or of the whole series",
            path,
        )


def _required(content: _Content, path: Path) -> Floats:
    tilts = []
    for number, image in zip(content.numbers, content.images, strict=True):
        if "TiltAngle" not in image:
            raise ReadError(f"image {number}: expected TiltAngle, found none", path)
        tilts.append(finite_number(image["TiltAngle"], path, f"image {number}, TiltAngle"))
    return np.array(tilts, dtype=float)


def _columns(content: _Content) -> dict[str, pd.Series[Any]]:
    """Return the fields of the images; numbers where all values are."""
    columns: dict[str, pd.Series[Any]] = {}
    for key in dict.fromkeys(key for image in content.images for key in image):
        texts = [image.get(key) for image in content.images]
        numbers = [_float(text) for text in texts]
        if key and all(v is not None or t is None for v, t in zip(numbers, texts, strict=True)):
            columns[key] = pd.Series([np.nan if v is None else v for v in numbers], dtype=float)
        elif key:
            columns[key] = pd.Series(texts, dtype=object)
    return columns


def _float(text: str | None) -> float | None:
    try:
        value = float(text) if text is not None and "_" not in text else np.nan
    except ValueError:
        return None
    return value if np.isfinite(value) else None


def _derived(
    content: _Content, table: dict[str, pd.Series[Any]], order: NDArray[np.int64] | None
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if "SubFramePath" in table:
        paths = [image.get("SubFramePath", "") for image in content.images]
        found["movie_path"] = pd.Series([PureWindowsPath(p).name for p in paths], dtype=object)
    if order is not None:
        found["acquisition_order"] = order
    exposure = _whole_column(table, "ExposureDose")
    if exposure is not None and exposure.any():
        found["exposure"] = exposure
        prior = _whole_column(table, "PriorRecordDose")
        if prior is not None and order is not None and _grows(prior, order):
            found["dose"] = prior + exposure
        elif order is not None:
            found["dose"] = np.cumsum(exposure.to_numpy()[np.argsort(order)])[order]
    return found


def _acquisition(
    content: _Content, table: dict[str, pd.Series[Any]], tilts: Floats
) -> tuple[NDArray[np.int64] | None, list[str]]:
    """Return the place of each image in the order of acquisition; None if nobody knows.

    Files are written in this order, but programs sort them by tilt. Beside it, what is doubtful.
    """
    n = len(tilts)
    steps = np.diff(tilts)
    is_sorted = n > 2 and bool((steps > 0).all() or (steps < 0).all())
    prior = _whole_column(table, "PriorRecordDose")
    order = _by_time(content, is_sorted)
    doubts = []
    if order is None and prior is not None and len(np.unique(prior)) == n:
        order = np.argsort(np.argsort(prior.to_numpy()))
    if order is None and not is_sorted:
        order = np.arange(n)
        if n > 2:
            doubts.append(_FILE_ORDER)
    if order is None:
        doubts.append(
            "it is sorted by tilt and states no times that differ, so the order of acquisition "
            "and the dose of the images are unknown"
        )
    elif n > 1 and prior is not None and not _grows(prior, order):
        doubts.append("PriorRecordDose does not grow with time, and is not used for the dose")
    return order, doubts


def _by_time(content: _Content, is_sorted: bool) -> NDArray[np.int64] | None:
    times = [_time(image.get("DateTime", "")) for image in content.images]
    if not all(times):
        return None
    values = np.array(times, dtype="datetime64[us]")
    # images of one second are in the order of a file that is in the order of time
    if len(np.unique(values)) < len(values) and (
        is_sorted or (np.diff(values).astype(int) < 0).any()
    ):
        return None
    return np.argsort(np.argsort(values, kind="stable"), kind="stable")


def _grows(prior: pd.Series[float], order: NDArray[np.int64]) -> bool:
    """Whether the dose before each image is more than that before the last one."""
    return bool((np.diff(prior.to_numpy()[np.argsort(order)]) > 0).all())


def _whole_column(table: dict[str, pd.Series[Any]], name: str) -> pd.Series[Any] | None:
    """Return a column that has a number for each image."""
    column = table.get(name)
    return column if column is not None and column.dtype == float and column.notna().all() else None


def _time(text: str) -> datetime | None:
    """Parse 06-Jun-23  23:19:46 or 06-Jun-2023 23:19:46, in any locale, and ISO 8601."""
    match = _DATE.match(text)
    try:
        if match is None:
            return datetime.fromisoformat(text).replace(tzinfo=None)
        day, year, hour, minute, second = (int(match[i]) for i in (1, 3, 4, 5, 6))
        year += 2000 if year < 100 else 0
        month = _MONTHS.index(match[2].lower()) + 1
        return datetime(year, month, day, hour, minute, second)
    except (ValueError, OverflowError):
        return None


def _axis(content: _Content, given: float | None, path: Path) -> tuple[float, str]:
    """Return the angle of the tilt axis, and what is doubtful about it."""
    if given is not None:
        if not np.isfinite(given):
            raise ValueError(f"tilt_axis_angle: expected degrees, found {given!r}")
        return float(given), ""
    lines = [*content.titles, *(f"{key} = {value}" for key, value in content.common.items())]
    for line in lines:
        match = _AXIS.search(line)
        if match is not None:
            tomo5 = match[1] == "TiltAxisAngle"
            doubt = "; the TiltAxisAngle of Tomography 5 is known to be wrong (tilt_axis_angle=)"
            return finite_number(match[2], path, match[1]), doubt * tomo5
    raise ReadError(
        "expected 'Tilt axis angle = ' in a title ([T = …]), found none: give tilt_axis_angle= "
        "(-O tilt_axis_angle=DEGREES)",
        path,
    )


def _spacing(content: _Content, path: Path) -> float:
    """Å per pixel, 0 if unknown."""
    found = {image.get("PixelSpacing") for image in content.images} - {None}
    stated = found or {content.common.get("PixelSpacing")} - {None}
    values = {finite_number(str(text), path, "PixelSpacing") for text in stated}
    values = {value for value in values if value > 0}
    if len(values) > 1:
        raise ReadError(
            f"images have pixel spacings of {min(values):g} to {max(values):g} Å: give "
            "pixel_spacing= (--pixel-spacing)",
            path,
        )
    return values.pop() if values else 0.0


def _index(content: _Content, path: Path) -> NDArray[np.int64]:
    """Return ZValue; movies of their own (FrameSet) are in no stack and count as in the file."""
    position = np.arange(len(content.images))
    if not content.in_stack:
        return position
    numbers = np.array(content.numbers, dtype=np.int64)
    if len(np.unique(numbers)) < len(numbers):
        warnings.warn(
            f"{path}: a ZValue stands twice; assumed that images count as in the file (correct the "
            "file if they do not)",
            GuessWarning,
            stacklevel=5,
        )
        return position
    return numbers


FORMAT = Format(
    name="mdoc",
    title="SerialEM mdoc",
    kind="projection_model",
    suffixes=(".mdoc",),
    compression=(".gz", ".bz2"),
    read=read,
    sniff=sniff,
    evidence=conventions.SERIALEM.evidence,
    url="https://bio3d.colorado.edu/SerialEM/hlp/html/about_formats.htm",
)
