"""EMAN2's ``info/<tomogram>_info.json``: boxes in a tomogram, beside its alignment and much else.

A box is ``[x, y, z, method, score, class]``. Since 2018 (the file has ``apix_unbin``) coordinates
count from the tomogram's centre, n // 2, in pixels of ``apix_unbin`` Å; so the size and the voxel
size of the tomogram, which are not in the file, must be told. Older files count from the first
pixel (e2spt_boxer.py, e2spt_extract.py). The file has no angles. EMAN2 itself was not run.

All other keys of the file survive: those of the file that is overwritten come first, so that
writing particles does not cost a tomogram its alignment.
"""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cryotypes._sizes import TomogramSize, stated_size, tomogram_size
from cryotypes.conventions import _table as conventions
from cryotypes.conventions import decode_position, encode_position, rescale
from cryotypes.errors import ReadError, WriteError
from cryotypes.formats.shared.declaration import Format, Head
from cryotypes.formats.shared.eman2_info import (
    experiment_of,
    info_text,
    read_info,
    replaced_info,
    unbinned_spacing,
)
from cryotypes.formats.shared.files import refuse_overwrite, writing_bytes
from cryotypes.formats.shared.finite import check_finite
from cryotypes.formats.shared.json_points import shown
from cryotypes.geometry._bounds import warn_outside
from cryotypes.loss import LossReport

from ._particles import Particles, join_poses, lose_features, to_posesets

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from cryotypes.poseset import PoseSet

    Floats = NDArray[np.float64]

NAME = "eman2-json"
_KEEPS = frozenset({"position"})
_DEFAULTS: dict[str, Any] = {"method": "manual", "score": 0.0, "class": 0}
_SIZE_IS_NEEDED = (
    "centred coordinates need the size of the tomogram: give tomogram_dimensions= (--tomogram-size "
    "X Y Z, in pixels of the unbinned tilt series) and tomogram_spacing= (--tomogram-spacing)"
)
_CENTRED, _OLD = conventions.EMAN2_INFO.place, conventions.EMAN2_INFO_OLD.place


def sniff(head: Head) -> bool:
    """A JSON object with boxes_3d."""
    return head.data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"{" and b'"boxes_3d"' in head.data


def read(
    path: Path,
    *,
    tomogram_dimensions: Sequence[float] | None = None,
    tomogram_spacing: float | None = None,
    pixel_spacing: float | None = None,
) -> list[PoseSet]:
    """Read the boxes of one tomogram.

    Parameters
    ----------
    path : path
    tomogram_dimensions : (x, y, z), optional
        In pixels of the unbinned tilt series; needed for centred coordinates.
    tomogram_spacing : float, optional
        Å per pixel in which tomogram_dimensions is counted; by default the file's apix_unbin.
    pixel_spacing : float, optional
        Å per pixel of the tomogram that was looked at; needed for centred coordinates.

    Returns
    -------
    list of PoseSet
        One, called like the file without ``_info``; features are ``method``, ``score``,
        ``class`` and ``class_name``; metadata hold all else as ``info``.

    Raises
    ------
    ReadError
        If the file is not JSON with boxes, a box is not as above, or the tomogram's size or
        voxel size is missing.
    """
    info = read_info(path, "boxes_3d")
    boxes = info.pop("boxes_3d")
    written = _coordinates(boxes, path)
    unbinned = unbinned_spacing(info, path)
    n = len(boxes)
    metadata: dict[str, Any] = {"format": NAME, "ndim": 3, "info": info}
    if unbinned is None or not n:
        position = decode_position(written, _OLD, pixel_spacing or 0.0)
    else:
        spacing = _need_spacing(pixel_spacing, path)
        size = tomogram_size(tomogram_dimensions, tomogram_spacing, tilt_series=unbinned)
        if size is None:
            raise ReadError(_SIZE_IS_NEEDED, path)
        scaled = rescale(written, unbinned, spacing)
        position = decode_position(scaled, _CENTRED, spacing, _displayed(size, spacing))
        metadata["tomogram"] = asdict(size.counted_in(unbinned))
    particles = Particles(
        position=position,
        experiments=[experiment_of(path)],
        codes=np.zeros(n, dtype=np.int64),
        spacing=np.full(n, pixel_spacing or 0.0),
        features=_features(boxes, info.get("class_list")),
    )
    return to_posesets(particles, path, metadata)


def _coordinates(boxes: list[Any], path: Path) -> Floats:
    for row, box in enumerate(boxes):
        numbers = box[:3] if isinstance(box, list) else []
        if len(numbers) != 3 or not all(type(v) in (int, float) for v in numbers):
            raise ReadError(f"box {row + 1}: expected [x, y, z, …], found {shown(box)}", path)
    try:
        written = np.array([box[:3] for box in boxes], dtype=float).reshape(-1, 3)
    except OverflowError as error:
        raise ReadError(f"boxes_3d: expected coordinates ({error})", path) from error
    return check_finite(written, "xyz", path, lambda row: f"box {row + 1}")


def _need_spacing(pixel_spacing: float | None, path: Path) -> float:
    if not pixel_spacing:
        raise ReadError(
            "centred coordinates need the voxel size of the tomogram, which the file does not "
            "state: give pixel_spacing= (--pixel-spacing)",
            path,
        )
    return float(pixel_spacing)


def _displayed(size: TomogramSize, spacing: float) -> Floats:
    """Return the size of the binned tomogram, whole pixels, whose n // 2 EMAN2 counts from."""
    return np.rint(size.in_pixels(spacing))


def _features(boxes: list[list[Any]], class_list: Any) -> pd.DataFrame:
    """Turn what follows the coordinates into columns; short boxes get EMAN's defaults."""
    columns: dict[str, Any] = {}
    longest = max((len(box) for box in boxes), default=6)
    for at in range(3, max(longest, 6)):
        name = list(_DEFAULTS)[at - 3] if at < 6 else f"value_{at + 1}"
        default = _DEFAULTS.get(name)
        columns[name] = [box[at] if len(box) > at else default for box in boxes]
    classes = class_list if isinstance(class_list, dict) else {}
    names = {key: c["name"] for key, c in classes.items() if isinstance(c, dict) and "name" in c}
    columns["class_name"] = [names.get(_digits(value)) for value in columns["class"]]
    types = {"method": object, "class_name": object}
    types |= {} if boxes else {"score": float, "class": np.int64}
    return pd.DataFrame(
        {n: pd.Series(v, dtype=types.get(n)) for n, v in columns.items()},
        index=pd.RangeIndex(len(boxes)),
    )


def _digits(value: Any) -> str:
    """Return a class as class_list's keys are written."""
    whole = isinstance(value, (float, np.floating)) and float(value).is_integer()
    return str(int(value)) if whole else str(value)


def write(
    data: list[PoseSet],
    path: Path,
    *,
    overwrite: bool = False,
    tomogram_dimensions: Sequence[float] | None = None,
    tomogram_spacing: float | None = None,
    box_size: int | None = None,
) -> LossReport:
    """Write the boxes of one tomogram; all other keys of the file stay.

    Parameters
    ----------
    data : list of PoseSet
    path : path
        ``<tomogram>_info.json``. If it exists, only boxes_3d is replaced.
    overwrite : bool
    tomogram_dimensions : (x, y, z), optional
        In pixels of the unbinned tilt series; needed for centred coordinates unless it is known
        from reading.
    tomogram_spacing : float, optional
        Å per pixel in which tomogram_dimensions is counted; by default the existing file's
        apix_unbin, or that of the tomogram known from reading.
    box_size : int, optional
        Pixels of apix_unbin, for classes that class_list has not.

    Raises
    ------
    WriteError
        If the particles are of several tomograms or pixel sizes, or the tomogram's size or pixel
        size is unknown.
    """
    report = LossReport()
    particles = join_poses(data, path, report, _KEEPS, [NAME])
    if particles.experiments[0] == experiment_of(path):
        report.lost.pop("experiment_id", None)
    refuse_overwrite(path, overwrite)
    info, known = _base(particles, path, report)
    unbinned = unbinned_spacing(info, path)
    if unbinned is None and not known:
        unbinned = info["apix_unbin"] = _spacing(particles, path)
        report.assumed["apix_unbin"] = "the pixel size of the particles"
    position = particles.position
    if unbinned is None:
        written = encode_position(position, _OLD, particles.spacing[:, None])
    elif not len(particles):
        written = np.zeros((0, 3))
    else:
        spacing = _spacing(particles, path)
        stated = next((s for poses in data if (s := stated_size(poses)) is not None), None)
        tilts = stated.pixel_spacing if stated else unbinned if known else None
        given = tomogram_size(tomogram_dimensions, tomogram_spacing, tilt_series=tilts)
        if given is None and stated is None:
            raise WriteError(_SIZE_IS_NEEDED, path)
        if given is not None:
            warn_outside(data, str(path), dict.fromkeys(particles.experiments, given))
        size = _displayed(given or stated, spacing)  # type: ignore[arg-type]
        written = rescale(encode_position(position, _CENTRED, spacing, size), spacing, unbinned)
    rest = _rest(particles, report)
    info["boxes_3d"] = [[*xyz, *values] for xyz, values in zip(written.tolist(), rest, strict=True)]
    _add_classes(info, particles, [values[2] for values in rest], box_size, report)
    text = info_text(info, path)
    with writing_bytes(path, overwrite) as file:
        file.write(text)
    return report


def _base(particles: Particles, path: Path, report: LossReport) -> tuple[dict[str, Any], bool]:
    """Return the other keys: of the file to be overwritten, of the file read; or none."""
    replaced = replaced_info(path)
    if {"boxes_3d", "apix_unbin", "class_list"}.intersection(replaced):
        report.converted["metadata"] = "all keys but boxes_3d stay those of the existing file"
        return replaced, True
    info = next((m["info"] for m in particles.read if "info" in m), None)
    return ({}, False) if info is None else (dict(info), True)


def _spacing(particles: Particles, path: Path) -> float:
    spacings = np.unique(particles.spacing)
    if len(spacings) > 1:
        listing = ", ".join(f"{value:g}" for value in spacings[:4])
        raise WriteError(f"expected one pixel size, found {listing} Å; rescale first", path)
    if not len(spacings):
        return 1.0
    if spacings[0] <= 0:
        raise WriteError(
            "centred coordinates need the pixel size of the particles: set pixel_spacing "
            "(--pixel-spacing)",
            path,
        )
    return float(spacings[0])


def _rest(particles: Particles, report: LossReport) -> list[tuple[Any, ...]]:
    """Return what follows the coordinates of each box."""
    features = particles.features if particles.features is not None else pd.DataFrame()
    extra = sorted(
        (str(n) for n in features if str(n).startswith("value_") and str(n)[6:].isdecimal()),
        key=lambda name: int(name[6:]),
    )
    n = len(particles)
    columns = []
    for name, default in [*_DEFAULTS.items(), *((name, None) for name in extra)]:
        if name in features:
            columns.append([_plain(v, default) for v in features[name]])
        else:
            columns.append([default] * n)
            report.assumed[name] = str(default)
    lose_features(particles, (*_DEFAULTS, *extra, "class_name"), report)
    return list(zip(*columns, strict=True))


def _plain(value: Any, default: Any) -> Any:
    """Return what JSON can hold; the default for what is missing."""
    if isinstance(value, np.generic):
        value = value.item()
    missing = value is None or value is pd.NA or value is pd.NaT
    if missing or (isinstance(value, float) and math.isnan(value)):
        return default
    return value if isinstance(value, (bool, int, float, str, list, dict)) else str(value)


def _add_classes(
    info: dict[str, Any],
    particles: Particles,
    classes: list[Any],
    box_size: int | None,
    report: LossReport,
) -> None:
    """Name the classes that class_list has not; 64 is the size EMAN itself assumes for them."""
    listed = info.setdefault("class_list", {})
    if not isinstance(listed, dict):
        return
    features = particles.features
    named = features is not None and "class_name" in features
    names = features["class_name"].tolist() if features is not None and named else []
    texts = [_digits(value) for value in classes]
    first = {text: row for row, text in reversed(list(enumerate(texts)))}
    for text, row in sorted(first.items()):
        if text in listed:
            continue
        name = names[row] if named else None
        listed[text] = {
            "boxsize": 64 if box_size is None else int(box_size),
            "name": name if isinstance(name, str) else f"particles_{text:>02}",
        }
        if box_size is None:
            report.assumed["boxsize"] = "64 (box_size=)"


FORMAT = Format(
    name=NAME,
    title="EMAN2 info JSON",
    kind="poses",
    suffixes=(".json",),
    read=read,
    write=write,
    sniff=sniff,
    keeps=_KEEPS,
    tolerance={"position": 1e-6},
    evidence=conventions.EMAN2_INFO.evidence,
    url="https://blake.bcm.edu/emanwiki/EMAN2/Programs",
)
