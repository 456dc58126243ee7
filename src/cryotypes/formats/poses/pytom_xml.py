"""PyTom particle lists (XML).

A ``Particle`` holds ``Rotation`` (Z1, X, Z2 in degrees: about z, x, z of the tomogram, one after
the other, from the reference to the particle), ``Shift`` (pixels, added), ``PickPosition`` (pixels
from 0 of the tomogram of picking, ``Origin``), and ``Score``, ``Class``, ``Wedge`` and more.
Attributes are features under their own names, ``Score`` and ``Class`` are the values of these
elements; ``xml:Wedge`` and the like hold whatever else is inside an element, as it was written.

https://github.com/SBC-Utrecht/PyTom
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET
from xml.sax.saxutils import quoteattr

import numpy as np
import pandas as pd

from cryotypes.conventions import (
    decode_orientation,
    decode_position,
    decode_shift,
    encode_orientation,
    encode_position,
    encode_shift,
)
from cryotypes.conventions._table import PYTOM
from cryotypes.errors import ReadError, WriteError
from cryotypes.formats.shared.declaration import Format, Head
from cryotypes.formats.shared.files import decode_utf8, read_text, writing_bytes
from cryotypes.formats.shared.finite import check_finite
from cryotypes.formats.shared.xml_text import has_root, parse_xml
from cryotypes.loss import LossReport
from cryotypes.names import strip_path_and_suffix

from ._particles import (
    Particles,
    factorize,
    join_poses,
    lose_features,
    to_posesets,
    warn_of_no_positions,
)

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from cryotypes.poseset import PoseSet

    Floats = NDArray[np.float64]

NAME = "pytom-xml"
RAW = "xml:"
_ROOT = "ParticleList"
_POSE = {"Rotation": ("Z1", "X", "Z2"), "Shift": ("X", "Y", "Z"), "PickPosition": ("X", "Y", "Z")}
_VALUES = {"Score": "Value", "Class": "Name"}  # elements of which one attribute is a feature
_PICK = ("X", "Y", "Z", "Origin")
_ORDER = ("Wedge", "InfoGUI", "Score", "Class")
_UNFIT = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def sniff(head: Head) -> bool:
    """XML whose outermost element is a ParticleList."""
    return has_root(head.text, _ROOT)


def read(path: Path, *, pixel_spacing: float | None = None) -> list[PoseSet]:
    """Read a particle list, one PoseSet a tomogram.

    Parameters
    ----------
    path : path
    pixel_spacing : float, optional
        Å per pixel of the tomogram of picking; the file does not tell.

    Returns
    -------
    list of PoseSet
        Named by ``Origin``, or by the file where there is none.

    Raises
    ------
    ReadError
        If this is no particle list, a number is none, or the file declares entities.
    """
    root = parse_xml(decode_utf8(read_text(path), path), _ROOT, path)
    particles = [element for element in root if element.tag == "Particle"]
    angles, shifts, places = (_numbers(particles, tag, path) for tag in _POSE)
    n = len(particles)
    _check_paradigm(particles, path)
    picks = [element.find("PickPosition") for element in particles]
    unnamed = strip_path_and_suffix(path.name)
    origins = ["" if pick is None else pick.get("Origin", "") for pick in picks]
    codes, names = factorize([origin or unnamed for origin in origins])
    features, order = _features(particles)
    spacing = np.full((n, 1), pixel_spacing or 0.0)
    located = places is not None or not n
    if not located:
        warn_of_no_positions(path, "PickPosition")
    places = np.zeros((n, 3)) if places is None else places
    table = Particles(
        position=decode_position(places, PYTOM.place, spacing),
        experiments=names or [unnamed],
        codes=codes,
        spacing=spacing[:, 0],
        shift=None if shifts is None else decode_shift(shifts, PYTOM.offset, spacing),
        orientation=None if angles is None else decode_orientation(angles, PYTOM.turn),
        features=features,
        located=located,
    )
    metadata = {
        "format": NAME,
        "attributes": dict(root.attrib),
        "elements": order,
        "particle": list(dict.fromkeys(a for p in particles for a in p.attrib)),
        "pick": [
            a
            for a in dict.fromkeys(a for p in picks if p is not None for a in p.attrib)
            if a not in _PICK
        ],
        "others": [_raw(element) for element in root if element.tag != "Particle"],
        "unnamed": "" if all(origins) else unnamed,
    }
    return to_posesets(table, path, metadata)


def _numbers(particles: list[ET.Element], tag: str, path: Path) -> Floats | None:
    """Return the numbers of one element, (n, 3); None if no particle has it."""
    elements = [particle.find(tag) for particle in particles]
    if elements and all(element is None for element in elements):
        return None
    rows = []
    for index, element in enumerate(elements):
        if element is None:
            raise ReadError(f"particle {index + 1}: expected {tag}, found none", path)
        texts = [element.get(name, "") for name in _POSE[tag]]
        try:
            rows.append([float(text) for text in texts])
        except ValueError:
            expected = f"particle {index + 1}, {tag} {' '.join(_POSE[tag])}: expected numbers"
            raise ReadError(f"{expected}, found {texts}", path) from None
    result = np.array(rows, dtype=float).reshape(-1, 3)
    names = [f"{tag} {name}" for name in _POSE[tag]]
    return check_finite(result, names, path, lambda row: f"particle {row + 1}")


def _check_paradigm(particles: list[ET.Element], path: Path) -> None:
    for index, particle in enumerate(particles):
        rotation = particle.find("Rotation")
        paradigm = "ZXZ" if rotation is None else rotation.get("Paradigm", "ZXZ")
        if paradigm != "ZXZ":
            expected = f"particle {index + 1}, Rotation: expected the paradigm ZXZ"
            raise ReadError(f"{expected}, found {paradigm!r}", path)


def _features(particles: list[ET.Element]) -> tuple[pd.DataFrame, list[str]]:
    """Return all else of each particle; and the order of the elements."""
    columns: dict[str, dict[int, Any]] = {}
    order: dict[str, None] = {}
    for row, particle in enumerate(particles):
        for name, value in particle.attrib.items():
            columns.setdefault(name, {})[row] = value
        for element in particle:
            tag = element.tag
            if tag == "PickPosition":
                for name, value in element.attrib.items():
                    if name not in _PICK:
                        columns.setdefault(name, {})[row] = value
            elif tag not in _POSE:
                order[tag] = None
                if tag in _VALUES and _VALUES[tag] in element.attrib:
                    columns.setdefault(tag, {})[row] = element.attrib.pop(_VALUES[tag])
                    if not element.attrib and not len(element):
                        continue
                raw = columns.setdefault(RAW + tag, {})
                raw[row] = raw.get(row, "") + _raw(element)
    n = len(particles)
    made = {
        name: _column(name, [values.get(i) for i in range(n)]) for name, values in columns.items()
    }
    return pd.DataFrame(made, index=pd.RangeIndex(n)), list(order)


def _raw(element: ET.Element) -> str:
    element.tail = None
    return ET.tostring(element, encoding="unicode")


def _column(name: str, texts: list[str | None]) -> Any:
    """Scores, and whatever is written back the same, as numbers; all else as text."""
    for kind in (int, float):
        try:
            values = [None if text is None else kind(text) for text in texts]
        except ValueError:
            continue
        same = all(v is None or _text(v) == t for v, t in zip(values, texts, strict=True))
        if kind is int and same and all(v is None or abs(v) < 2**63 for v in values):
            return pd.array(values, dtype="Int64") if None in values else np.array(values)
        if kind is float and (same or name == "Score") and all(v is None or v == v for v in values):
            return np.array([np.nan if v is None else v for v in values])
    return pd.Series(texts, dtype=object)


def write(data: list[PoseSet], path: Path, *, overwrite: bool = False) -> LossReport:
    """Write a particle list.

    Parameters
    ----------
    data : list of PoseSet
    path : path
    overwrite : bool

    Raises
    ------
    WriteError
        If a text holds characters that XML has not.
    """
    report = LossReport()
    particles = join_poses(data, path, report, FORMAT.keeps, [NAME])
    own = next(iter(particles.read), {})
    columns = {} if particles.features is None else {str(n): particles.features[n].tolist()
                                                     for n in particles.features}  # fmt: skip
    gone = {n: particles.features[n].isna().tolist() for n in columns}  # type: ignore[index]
    known = {*_particle(own), *_pick(own), *_VALUES}
    texts = {
        name: [None if no else _text(value) for value, no in zip(values, gone[name], strict=True)]
        for name, values in columns.items()
        if name in known or name.startswith(RAW)
    }
    _check_raw(texts, path)
    lose_features(particles, list(texts), report)
    if particles.orientation is None and len(particles):
        report.lost["orientation"] = "unknown, written as zero angles"
    if "Filename" not in texts and len(particles):
        report.assumed["Filename"] = "empty"
    lines = ["<ParticleList" + _attributes(own.get("attributes", {})) + ">"]
    lines += own.get("others", [])
    lines += _lines(particles, texts, own)
    lines += ["</ParticleList>", ""]
    text = "\n".join(lines)
    unfit = _UNFIT.search(text)
    if unfit is not None:
        raise WriteError(f"XML has no character {unfit[0]!r}; a name or a feature holds it", path)
    with writing_bytes(path, overwrite) as file:
        file.write(text.encode())
    return report


def _particle(own: dict[str, Any]) -> list[str]:
    return list(dict.fromkeys(["Filename", *own.get("particle", [])]))


def _pick(own: dict[str, Any]) -> list[str]:
    return list(dict.fromkeys(["Binning", "RefMarkIndex", *own.get("pick", [])]))


def _check_raw(texts: dict[str, list[str | None]], path: Path) -> None:
    """Refuse features that would break the file: each must be the element it is called."""
    for name, values in texts.items():
        if not name.startswith(RAW):
            continue
        for raw in {value for value in values if value is not None}:
            try:
                tags = {element.tag for element in ET.fromstring(f"<all>{raw}</all>")}
            except ET.ParseError as error:
                raise WriteError(f"feature {name}: expected XML ({error})", path) from error
            if tags != {name.removeprefix(RAW)}:
                raise WriteError(f"feature {name}: expected that element, found {tags}", path)


def _text(value: Any) -> str:
    return repr(value) if isinstance(value, float) else str(value)


def _attributes(values: dict[str, Any]) -> str:
    return "".join(
        f" {name}={quoteattr(str(value))}" for name, value in values.items() if value is not None
    )


def _lines(particles: Particles, texts: dict[str, list[str | None]], own: dict[str, Any]) -> Any:
    """Write one particle after the other."""
    n = len(particles)
    angles = shifts = np.zeros((n, 3))
    if particles.orientation is not None:
        angles = encode_orientation(particles.orientation, PYTOM.turn).reshape(-1, 3)
    if particles.shift is not None:
        shifts = encode_shift(particles.shift, PYTOM.offset, particles.spacing[:, None])
    places = encode_position(particles.position, PYTOM.place, particles.spacing[:, None])
    stated = [name.removeprefix(RAW) for name in texts if name.startswith(RAW)]
    order = dict.fromkeys([*own.get("elements", []), *_ORDER, *stated])
    names = [name if name != own.get("unnamed") else "" for name in particles.experiments]
    for row in range(n):
        head = {name: _cell(texts, name, row) for name in _particle(own)}
        head["Filename"] = head["Filename"] or ""
        yield f"  <Particle{_attributes(head)}>"
        for tag, values in zip(_POSE, (angles, shifts, places), strict=True):
            attributes: dict[str, Any] = dict(zip(_POSE[tag], values[row].tolist(), strict=True))
            if tag == "Rotation":
                attributes["Paradigm"] = "ZXZ"
            elif tag == "PickPosition":
                attributes["Origin"] = names[particles.codes[row]]
                attributes |= {name: _cell(texts, name, row) for name in _pick(own)}
            yield f"    <{tag}{_attributes(attributes)}/>"
        for tag in order:
            element = _element(tag, _cell(texts, tag, row), _cell(texts, RAW + tag, row))
            if element:
                yield f"    {element}"
        yield "  </Particle>"


def _cell(texts: dict[str, list[str | None]], name: str, row: int) -> str | None:
    column = texts.get(name)
    return None if column is None else column[row]


def _element(tag: str, value: str | None, raw: str | None) -> str:
    """Put the value back into the raw element it was taken from."""
    if value is None or tag not in _VALUES:
        return raw or ""
    attribute = f"{_VALUES[tag]}={quoteattr(value)}"
    return f"<{tag} {attribute}{raw[len(tag) + 1 :]}" if raw else f"<{tag} {attribute}/>"


FORMAT = Format(
    name=NAME,
    title="PyTom particle list",
    kind="poses",
    suffixes=(".xml",),
    compression=(".gz", ".bz2"),
    read=read,
    write=write,
    sniff=sniff,
    keeps=frozenset({"position", "shift", "orientation", "experiment_id"}),
    tolerance={"position": 1e-6, "shift": 1e-6, "orientation": 1e-6},
    evidence=PYTOM.evidence,
    url="https://github.com/SBC-Utrecht/PyTom",
)
