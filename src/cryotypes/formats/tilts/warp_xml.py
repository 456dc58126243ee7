"""Tilt series of Warp and M (XML): the alignment of a series, beside its CTFs and local motions.

``raw = centre + Euler(0, Angles + LevelAngleY, -AxisAngle) RotateX(LevelAngleX) p + AxisOffset``,
in Å, p from the centre of the volume. So the angles about x and y of the series are one number
each, and Angles have the opposite sign of ours. They are always right for Warp's own volume: where
a series was aligned with angles of the other sign (IMOD's, unchanged), that volume is mirrored in
z, and so is what is read here; no file tells. AreAnglesInverted concerns the defocus alone.
Warp's centre is half of a size in Å, ours N // 2 pixels: half a pixel apart where N is odd.

https://github.com/warpem/warp, WarpLib/TiltSeries
"""

from __future__ import annotations

import codecs
import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import numpy as np
import pandas as pd

from cryotypes.conventions import _table as conventions
from cryotypes.conventions import decode_tilts, encode_tilts
from cryotypes.errors import GuessWarning, LossWarning, ReadError, WriteError
from cryotypes.formats.shared.declaration import Format, Head
from cryotypes.formats.shared.files import read_bytes, writing_bytes
from cryotypes.formats.shared.finite import finite_number
from cryotypes.formats.shared.xml_text import has_root, parse_xml
from cryotypes.loss import LossReport
from cryotypes.names import strip_path_and_suffix
from cryotypes.projectionmodel import ProjectionModelDataLabels as Labels
from cryotypes.projectionmodel import dimensions_of

from . import _tilts

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

NAME = "warp-xml"
_ROOT = "TiltSeries"
COLUMNS = {"dose": "Dose", "movie_path": "MoviePath", "fov_fraction": "FOVFraction"}
SIZES = {
    "tilt_image_dimensions": "ImageDimensionsAngstrom",
    "tomogram_dimensions": "VolumeDimensionsAngstrom",
}
_LOCAL = {  # groups of grids, and what they move
    "GridMovement": ("XY", "Å"),
    "GridVolumeWarp": ("XYZ", "Å"),
    "GridAngle": ("XYZ", "°"),
}
_UNFIT = re.compile(r"[^\t\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_DECLARATION = re.compile(r"\s*<\?xml.*?\?>", re.DOTALL)


def sniff(head: Head) -> bool:
    """XML, UTF-8 or UTF-16, whose outermost element is a TiltSeries."""
    return has_root(head.data.decode(_encoding(head.data), errors="replace"), _ROOT)


def _encoding(data: bytes) -> str:
    """Tell UTF-16 from UTF-8; Warp 1 writes the one, WarpTools the other."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    by_zero = {b"<\0": "utf-16-le", b"\0<": "utf-16-be"}
    return by_zero.get(data[:2], "utf-8-sig")


def read(path: Path, *, pixel_spacing: float | None = None) -> pd.DataFrame:
    """Read the alignment of a tilt series.

    Parameters
    ----------
    path : path
    pixel_spacing : float, optional
        Å per pixel of the tilt images. By default that of the file: of its CTF, else of its
        OptionsCTF.

    Returns
    -------
    ProjectionModel
        A row for each tilt with UseTilt. ``tilt_index`` counts from 0 in the file's lists; ``dose``
        (e/Å², accumulated), ``movie_path`` and ``fov_fraction`` are its Dose, MoviePath and
        FOVFraction. ``attrs`` hold excluded and excluded_tilts, tilt_image_dimensions and
        tomogram_dimensions, where the file states them, and ``warp``: the text of the file.

    Raises
    ------
    ReadError
        If this is no tilt series, its lists differ in length, the file declares entities, or
        offsets are in Å and the pixel size is unknown.

    Warns
    -----
    LossWarning
        Of local motion and of a magnification, with their sizes.
    GuessWarning
        If two pixel sizes of the file differ, or tilt angles look wrong.
    """
    text = _text(path)
    root = parse_xml(text, _ROOT, path)
    lists = _Lists.of(root, path)
    name = strip_path_and_suffix(path.name)
    spacing = _tilts.spacing_given(pixel_spacing)
    if spacing is None:
        spacing = _spacing(root, path)
    if lists.shifts.any() and not spacing:
        raise ReadError(
            "offsets are in angstrom and the file states no pixel size: give pixel_spacing= "
            "(--pixel-spacing)",
            path,
        )
    rotations, shifts = decode_tilts(
        lists.angles, lists.shifts, conventions.WARP_TILTS, spacing or 1.0
    )
    used = lists.used
    _tilts.check_angles(rotations[used, 1], path)
    columns = [*rotations[used].T, *shifts[used].T]
    model = pd.DataFrame(dict(zip([*Labels.ROTATION, *Labels.SHIFT], columns, strict=True)))
    model[Labels.EXPERIMENT_ID] = pd.Series([name] * len(model), dtype=object)
    model[Labels.PIXEL_SPACING] = spacing
    model[Labels.SOURCE] = pd.Series([str(path)] * len(model), dtype=object)
    model[_tilts.INDEX] = np.flatnonzero(used)
    for column, values in lists.others.items():
        kept = [value for value, use in zip(values, used, strict=True) if use]
        model[column] = pd.Series(kept, dtype=object if column == "movie_path" else float)
    sizes = {key: size for key in SIZES if (size := _size(root, key, spacing, path))}
    model.attrs = {
        **{key: {name: size} for key, size in sizes.items()},
        "excluded": {name: np.flatnonzero(~used).tolist()},
        "excluded_tilts": {name: rotations[~used, 1].tolist()},
        "warp": {name: text},
    }
    _warn_of_losses(root, spacing, sizes.get("tilt_image_dimensions"), path)
    _doubt_centres(sizes, path)
    return model


def _doubt_centres(sizes: Mapping[str, tuple[int, ...]], path: Path) -> None:
    """Warn of odd sizes, whose centres are half a pixel from ours."""
    odd = [
        f"{what} of {' × '.join(map(str, sizes[key]))} px"
        for key, what in (("tomogram_dimensions", "volume"), ("tilt_image_dimensions", "images"))
        if any(n % 2 for n in sizes.get(key, ()))
    ]
    if odd:
        warnings.warn(
            f"{path}: Warp's centre is half of a size, ours is pixel N // 2, half a pixel apart "
            f"where a size is odd ({', '.join(odd)}); assumed to be the same: up to 0.5 px along "
            "each odd axis (pad or crop to even sizes to be exact)",
            GuessWarning,
            stacklevel=5,
        )


def _text(path: Path) -> str:
    """Return the file as text without its declaration, which told the encoding."""
    data = read_bytes(path)
    if not data.strip():
        raise ReadError("the file is empty", path)
    try:
        text = data.decode(_encoding(data))
    except UnicodeDecodeError as error:
        raise ReadError(f"expected XML in UTF-8 or UTF-16 ({error.reason})", path) from error
    return _DECLARATION.sub("", text.removeprefix("\ufeff"), count=1).strip()


@dataclass
class _Lists:
    """What the file lists, as it is written; angles include those of the whole series.

    Parameters
    ----------
    angles : array, shape (n, 3)
    shifts : array, shape (n, 2)
    used : array of bool, shape (n,)
    others : dict of list
        By the names of our columns.
    """

    angles: Floats
    shifts: Floats
    used: NDArray[np.bool_]
    others: dict[str, list[Any]]

    @classmethod
    def of(cls, root: ET.Element, path: Path) -> _Lists:
        tilts = _numbers(root, "Angles", path)
        if tilts is None:
            raise ReadError("expected an element Angles, found none", path)
        n = len(tilts)

        def listed(tag: str) -> Floats:
            values = _numbers(root, tag, path, n)
            if values is None and tag == "AxisAngle" and n:
                raise ReadError("expected an element AxisAngle, found none", path)
            return np.zeros(n) if values is None else values

        level = [_attribute(root, f"LevelAngle{axis}", path) for axis in "XY"]
        angles = np.stack([np.full(n, level[0]), tilts + level[1], listed("AxisAngle")], axis=1)
        shifts = np.stack([listed("AxisOffsetX"), listed("AxisOffsetY")], axis=1)
        others: dict[str, list[Any]] = {}
        for column, tag in COLUMNS.items():
            if column == "movie_path":
                found: Any = _words(root, tag, path, n)
            else:
                found = _numbers(root, tag, path, n)
            if found is not None:
                others[column] = list(found)
        return cls(angles, shifts, _used(root, path, n), others)


def _words(root: ET.Element, tag: str, path: Path, n: int | None = None) -> list[str] | None:
    """Return the lines of an element; None if it is missing."""
    element = root.find(tag)
    if element is None:
        return None
    text = element.text or ""
    words = [word.strip() for word in text.strip(" \t\r").split("\n")]
    if len(words) != n:
        words = [word.strip() for word in text.strip().split("\n")] if text.strip() else []
    if n is not None and len(words) != n:
        raise ReadError(f"{tag}: expected {n} lines as Angles has, found {len(words)}", path)
    return words


def _numbers(root: ET.Element, tag: str, path: Path, n: int | None = None) -> Floats | None:
    words = _words(root, tag, path, n)
    if words is None:
        return None
    return np.array([finite_number(w, path, f"{tag}, line {i}") for i, w in enumerate(words, 1)])


def _used(root: ET.Element, path: Path, n: int) -> NDArray[np.bool_]:
    words = _words(root, "UseTilt", path, n)
    if words is None:
        return np.ones(n, dtype=bool)
    for i, word in enumerate(words, start=1):
        if word.lower() not in ("true", "false"):
            raise ReadError(f"UseTilt, line {i}: expected True or False, found {word!r}", path)
    return np.array([word.lower() == "true" for word in words], dtype=bool)


def _attribute(root: ET.Element, name: str, path: Path) -> float:
    text = root.get(name, "")
    return finite_number(text, path, name) if text.strip() else 0.0


def _params(root: ET.Element, tag: str) -> dict[str, str]:
    return {p.get("Name", ""): p.get("Value", "") for p in root.findall(f"{tag}/Param")}


def _spacing(root: ET.Element, path: Path) -> float:
    """Å per pixel; 0 if the file has none."""
    fitted = _positive(_params(root, "CTF").get("PixelSize", ""), path, "CTF, PixelSize")
    options = _params(root, "OptionsCTF")
    names = ("PixelSize",) if "PixelSize" in options else ("PixelSizeX", "PixelSizeY")
    stated = [_positive(options.get(name, ""), path, f"OptionsCTF, {name}") for name in names]
    binned = float(np.mean(stated)) * 2 ** _bin_times(options, path)
    if fitted and binned and abs(fitted / binned - 1) > 0.01:
        warnings.warn(
            f"{path}: the pixel size is {fitted:g} Å by CTF and {binned:g} Å by OptionsCTF; "
            "assumed that of CTF (pixel_spacing= states another)",
            GuessWarning,
            stacklevel=5,
        )
    return fitted or binned


def _bin_times(options: dict[str, str], path: Path) -> float:
    text = options.get("BinTimes", "")
    return min(finite_number(text, path, "OptionsCTF, BinTimes"), 10) if text.strip() else 0.0


def _positive(text: str, path: Path, where: str) -> float:
    return max(finite_number(text, path, where), 0.0) if text.strip() else 0.0


def _size(
    root: ET.Element, key: str, spacing: float, path: Path
) -> tuple[int, int] | tuple[int, int, int] | None:
    """Return a size in pixels; Warp writes zeros for what it does not know."""
    count = 2 if key == "tilt_image_dimensions" else 3
    texts = [root.get(SIZES[key], "")]
    if count == 2:
        texts.append(_params(root, "OptionsCTF").get("Dimensions", ""))
    for text in texts:
        words = [word for word in text.split(",") if word.strip()]
        if not words or not spacing:
            continue
        if len(words) < count:
            raise ReadError(f"{SIZES[key]}: expected {count} numbers, found {text!r}", path)
        edges = [finite_number(word, path, SIZES[key]) / spacing for word in words[:count]]
        if all(0.5 < edge < 1e9 for edge in edges):
            return tuple(round(edge) for edge in edges)  # type: ignore[return-value]
    return None


def _warn_of_losses(
    root: ET.Element, spacing: float, size: tuple[int, ...] | None, path: Path
) -> None:
    lost = []
    for group, (axes, unit) in _LOCAL.items():
        nodes = [n for axis in axes for n in root.findall(f"{group}{axis}/Node")]
        values = [finite_number(n.get("Value", ""), path, group) for n in nodes]
        largest = max(map(abs, values), default=0.0)
        if largest and unit == "°":
            lost.append(f"{group}s (angles of particles, up to {largest:.2g}°)")
        elif largest:
            by = f"{largest / spacing:.2g} px" if spacing else f"{largest:.2g} Å"
            lost.append(f"{group}s (local motion of up to {by})")
    stretch = _stretch(root, path)
    if stretch > 1e-6:
        edge, where = _tilts.edge(size)
        lost.append(
            f"MagnificationCorrection {root.get('MagnificationCorrection')} "
            f"({stretch * edge:.2g} px {where})"
        )
    if lost:
        warnings.warn(
            f"{path}: a ProjectionModel cannot hold {'; '.join(lost)}", LossWarning, stacklevel=5
        )


def _stretch(root: ET.Element, path: Path) -> float:
    """Return by what fraction the magnification differs from one; 3 numbers in Warp 1, else 4."""
    words = root.get("MagnificationCorrection", "").split(",")
    if len(words) not in (3, 4):
        return 0.0
    values = [finite_number(word, path, "MagnificationCorrection") for word in words]
    differences = [values[0] - 1, values[1] - 1] if len(values) == 3 else [*values]
    if len(values) == 4:
        differences[0] -= 1
        differences[3] -= 1
    return max(map(abs, differences))


def write(data: pd.DataFrame, path: Path, *, overwrite: bool = False) -> LossReport:
    """Write the alignment of a tilt series.

    Whatever else the XML said from which the data were read (CTFs, local motion) is written again,
    as it was. Without one, the lists and sizes are all that is written: Warp finds the rest in
    the .tomostar and the settings. CTF has the pixel size alone.

    Parameters
    ----------
    data : ProjectionModel
        Of one experiment. The columns ``dose``, ``movie_path`` and ``fov_fraction`` are written.
    path : path
    overwrite : bool

    Raises
    ------
    WriteError
        If there are several experiments, or shifts whose pixel spacing is unknown.
    """
    report = LossReport(kept=["rotation_y", "rotation_z", "dx", "dy"])
    tilts = _tilts.one_experiment(data, path, report)
    report.lost.pop("pixel_spacing", None)
    spacing = float(tilts.part[Labels.PIXEL_SPACING].iloc[0]) if len(tilts.part) else 0.0
    if tilts.shifts.any() and not spacing > 0:
        raise WriteError(
            "Warp writes offsets in angstrom, and the pixel spacing is unknown (0): give "
            "pixel_spacing (--pixel-spacing)",
            path,
        )
    root = _template(data, tilts.name, path)
    _tilts.lose_columns(data, list(COLUMNS), report)
    _set_lists(root, tilts, spacing, path, report, data)
    _set_sizes(root, data, tilts.name, spacing, path, report)
    text = ET.tostring(root, encoding="unicode")
    with writing_bytes(path, overwrite) as file:
        file.write(f'<?xml version="1.0" encoding="utf-8"?>\n{text}'.encode())
    return report


def _template(data: pd.DataFrame, name: str, path: Path) -> ET.Element:
    """Return the XML that the data were read from, or an empty one."""
    texts = data.attrs.get("warp", {})
    text = texts.get(name) if isinstance(texts, dict) else None
    if isinstance(text, str):
        parser = ET.XMLParser(target=ET.TreeBuilder(insert_comments=True))
        try:
            root = ET.fromstring(text, parser)
            if root.tag == "TiltSeries":
                _Lists.of(root, path)
                return root
        except (ET.ParseError, ValueError) as error:
            raise WriteError(
                f"attrs 'warp': expected the XML of {name!r} ({error})", path
            ) from None
    root = ET.Element("TiltSeries", AreAnglesInverted="False", MagnificationCorrection="1, 0, 0, 1")
    root.text, root.tail = "\n\t", None
    return root


def _set_lists(
    root: ET.Element,
    tilts: _tilts.Tilts,
    spacing: float,
    path: Path,
    report: LossReport,
    data: pd.DataFrame,
) -> None:
    known = root.find("Angles") is not None
    old = _Lists.of(root, path) if known else None
    n = tilts.count if old is None else max(tilts.count, len(old.angles))
    level = [[_level(tilts, data, report), 0.0, 0.0]]
    level_x = encode_tilts(level, [[0.0, 0.0]], conventions.WARP_TILTS, 1.0)[0][0, 0]
    angles, shifts = np.zeros((n, 3)), np.zeros((n, 2))
    rotations = np.zeros((len(tilts.excluded), 3))
    rotations[:, 1] = tilts.excluded_tilts
    if len(tilts.part):
        rotations[:, 2] = np.median(tilts.rotations[:, 2])
    for index, turned, moved in (
        (np.array(tilts.excluded, dtype=int), rotations, np.zeros((len(rotations), 2))),
        (tilts.index, tilts.rotations, tilts.shifts),
    ):
        angles[index], shifts[index] = encode_tilts(
            turned, moved, conventions.WARP_TILTS, spacing or 1.0
        )
    used = np.zeros(n, dtype=bool)
    used[tilts.index] = True
    if old is not None:  # what the file said of images without a row
        of_old = np.flatnonzero(~used[: len(old.angles)])
        angles[of_old], shifts[of_old] = old.angles[of_old], old.shifts[of_old]
    level_y = _attribute(root, "LevelAngleY", path)
    _set_number(root, "LevelAngleX", float(level_x))
    if "LevelAngleY" not in root.attrib:
        _set_number(root, "LevelAngleY", 0.0)
    _set_list(root, "Angles", angles[:, 1] - level_y, path)
    _set_list(root, "UseTilt", ["True" if use else "False" for use in used], path)
    _set_list(root, "AxisAngle", angles[:, 2], path)
    _set_list(root, "AxisOffsetX", shifts[:, 0], path)
    _set_list(root, "AxisOffsetY", shifts[:, 1], path)
    for column, tag in COLUMNS.items():
        if column in tilts.part:
            _set_list(root, tag, _merged(column, tilts, old, n, path), path)


def _merged(column: str, tilts: _tilts.Tilts, old: _Lists | None, n: int, path: Path) -> Any:
    """Return a column for all images; those without a row keep what the file said."""
    empty: Any = "" if column == "movie_path" else 0.0
    values = [empty] * n
    if old is not None and column in old.others:
        values[: len(old.angles)] = old.others[column]
    for i, value in zip(tilts.index, tilts.part[column], strict=True):
        if column == "movie_path":
            values[i] = "" if pd.isna(value) else str(value)
            if _UNFIT.search(values[i]):
                raise WriteError(f"movie_path: XML cannot hold {value!r}", path)
        else:
            found = pd.to_numeric(pd.Series([value]), errors="coerce").iloc[0]
            if not np.isfinite(found):
                raise WriteError(f"{column}: expected finite numbers, found {value!r}", path)
            values[i] = float(found)
    return values if column == "movie_path" else np.array(values, dtype=float)


def _level(tilts: _tilts.Tilts, data: pd.DataFrame, report: LossReport) -> float:
    """Return the one angle about x that a series has: the middle of those of its tilts."""
    angles = tilts.rotations[:, 0]
    if not len(angles):
        return 0.0
    low, high = float(angles.min()), float(angles.max())
    if low == high:
        report.kept.append("rotation_x")
        return low
    middle = (low + high) / 2
    size = dimensions_of(data, "tomogram_dimensions", tilts.name)
    radius = 1000.0 if size is None else float(np.hypot(size[1], size[2])) / 2
    where = "per 1000 px from the centre" if size is None else "at the tomogram's edge"
    moved = 2 * np.sin(np.deg2rad(min(high - middle, 180.0)) / 2) * radius
    report.lost["rotation_x"] = (
        f"{low:g}° to {high:g}°; Warp has one for the series, {middle:g}° is written: off by up to "
        f"{moved:.2g} px {where}"
    )
    return middle


def _set_list(root: ET.Element, tag: str, values: Any, path: Path) -> None:
    """Set a list; a number that did not change keeps its text."""
    element = root.find(tag)
    old: list[str] = []
    if element is None:
        element = ET.SubElement(root, tag)
        element.tail = "\n"
        before = root[len(root) - 2] if len(root) > 1 else None
        if before is not None:
            before.tail = "\n\t"
    elif element.text and element.text.strip():
        old = _words(root, tag, path, None) or []
    words = []
    for i, value in enumerate(values):
        if isinstance(value, str):
            words.append(value)
        elif i < len(old) and abs(float(old[i]) - value) <= 1e-9 * max(1.0, abs(value)):
            words.append(old[i])
        else:
            words.append(_plain(value))
    element.text = "\n".join(words)


def _plain(value: float) -> str:
    """Return the shortest text that reads back the same; no 30.0 and no -0."""
    number = float(value)
    return str(int(number)) if number == int(number) and abs(number) < 1e15 else repr(number)


def _set_number(root: ET.Element, name: str, value: float) -> None:
    text = root.get(name)
    if (text is None or float(text or 0) != value) and (value or text is not None):
        root.set(name, _plain(value))


def _set_sizes(
    root: ET.Element,
    data: pd.DataFrame,
    name: str,
    spacing: float,
    path: Path,
    report: LossReport,
) -> None:
    if spacing and _spacing_quietly(root, path) != spacing:
        ctf = root.find("CTF")
        if ctf is None:
            if len(root):
                root[-1].tail = "\n\t"
            ctf = ET.SubElement(root, "CTF")
            ctf.tail = "\n"
        param = next((p for p in ctf.findall("Param") if p.get("Name") == "PixelSize"), None)
        if param is None:
            param = ET.SubElement(ctf, "Param", Name="PixelSize")
        param.set("Value", _plain(spacing))
    if spacing:
        report.kept.append("pixel_spacing")
    sizes = {key: size for key in SIZES if (size := dimensions_of(data, key, name)) is not None}
    _doubt_centres(sizes, path)
    for key, size in sizes.items():
        attribute = SIZES[key]
        if not spacing:
            report.lost[key] = "in angstrom in the file, and the pixel spacing is unknown"
            continue
        report.kept.append(key)
        if _size(root, key, spacing, path) != size:
            root.set(attribute, ", ".join(_plain(edge * spacing) for edge in size))


def _spacing_quietly(root: ET.Element, path: Path) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GuessWarning)
        return _spacing(root, path)


FORMAT = Format(
    name=NAME,
    title="Warp / M tilt-series XML",
    kind="projection_model",
    suffixes=(".xml",),
    compression=(".gz", ".bz2"),
    read=read,
    write=write,
    sniff=sniff,
    keeps=frozenset(
        {
            *("rotation_y", "rotation_z", "dx", "dy", "pixel_spacing", "tilt_index", "excluded"),
            *("tomogram_dimensions", "tilt_image_dimensions"),
        }
    ),
    tolerance={"rotation": 1e-9, "shift": 1e-9},
    evidence=conventions.WARP_TILTS.evidence,
    url="https://github.com/warpem/warp",
)
