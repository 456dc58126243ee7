"""PEET motive lists: ``.csv`` with 20 columns, and beside it the IMOD model with the positions.

Row i of the list belongs to point i of the model of the same tomogram. EulerZ(1), EulerZ(3) and
EulerX(2) (columns 17, 18, 19) rotate the reference onto the particle, offsets (11 to 13, pixels)
are added to the point. Versions name the columns differently (1.14: reserved; 1.18: adjCCC,
oldClass, class), so they are addressed by position, and the header is written as it was read.
Established from the sources of ArtiaX and cylindra; PEET itself was not run.

https://bio3d.colorado.edu/PEET/PEETmanual.html
"""

from __future__ import annotations

import re
import warnings
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cryotypes.conventions import (
    _table as conventions,
)
from cryotypes.conventions import (
    decode_orientation,
    decode_position,
    decode_shift,
    encode_orientation,
    encode_position,
    encode_shift,
)
from cryotypes.errors import GuessWarning, ReadError, WriteError
from cryotypes.formats.poses.imod_mod._model import model_bytes, parse_model
from cryotypes.formats.shared.declaration import Format, Head
from cryotypes.formats.shared.files import read_bytes, read_text, refuse_overwrite
from cryotypes.formats.shared.finite import check_finite
from cryotypes.formats.shared.rows import number_rows, read_numbers
from cryotypes.formats.shared.together import writing_together
from cryotypes.loss import LossReport
from cryotypes.names import strip_path_and_suffix

from ._boxes import whole_numbers
from ._particles import Particles, join_poses, lose_features, to_posesets
from .imod_mod import IDS, MODELS, WHOLE, model_of, place_of, points_of, set_spacing

if TYPE_CHECKING:
    from os import PathLike

    from numpy.typing import NDArray

    from cryotypes.poseset import PoseSet

    Floats = NDArray[np.float64]

NAME = "peet-csv"
_KEEPS = frozenset({"position", "shift", "orientation", "pixel_spacing"})
_WIDTH = 20
_HEADER = (
    "CCC,reserved,reserved,pIndex,wedgeWT,NA,NA,NA,NA,NA,xOffset,yOffset,zOffset,NA,NA,reserved,"
    "EulerZ(1),EulerZ(3),EulerX(2),reserved"
)
_OFFSETS = [10, 11, 12]
_ANGLES = [16, 18, 17]  # in the order in which they are applied
_LIST_NAME = re.compile(r"(?P<run>.+?)_MOTL_Tom(?P<number>\d+)_Iter\d+$")


def sniff(head: Head) -> bool:
    """A first line that begins with CCC and has pIndex as fourth column."""
    line = head.data[:4096].removeprefix(b"\xef\xbb\xbf").split(b"\n")[0]
    names = [name.strip() for name in line.split(b",")]
    return len(names) >= _WIDTH and names[0] == b"CCC" and names[3] == b"pIndex"


def read(
    path: Path,
    *,
    model: str | PathLike[str] | None = None,
    pixel_spacing: float | None = None,
    imod_half_pixel: bool = True,
) -> list[PoseSet]:
    """Read a motive list, and the positions from its model.

    Parameters
    ----------
    path : path
        The ``.csv``.
    model : path, optional
        The ``.mod``. By default the one that the run's ``.prm`` names for this tomogram, else
        ``x.mod`` beside ``x_MOTL….csv`` or ``x_initMOTL.csv`` or ``x.csv``, else the only one
        in the folder.
    pixel_spacing : float, optional
        Å per pixel, where the model does not tell or is wrong.
    imod_half_pixel : bool
        Whether the model's x and y are half a pixel larger than the index, as IMOD's are.

    Returns
    -------
    list of PoseSet
        One, called like the tomogram that the ``.prm`` names, else like the ``.csv``. Features
        are the other columns (those that share a name with their number) and the model's objects
        and contours.

    Raises
    ------
    ReadError
        If there is no model, it has not as many points as the list rows, or a row is not numbers.

    Warns
    -----
    GuessWarning
        If the model is assumed because it is the only one in the folder.
    """
    header, names, table = _read_list(path)
    run = _find_run(path)
    found = Path(model) if model is not None else _find_model(path, run, len(table))
    raw = read_bytes(found)
    points = parse_model(raw, found)
    written, ids = points_of(points, found)
    if len(written) != len(table):
        raise ReadError(
            f"{len(table)} particles, but {len(written)} points in the model {found}; is it that "
            "of another tomogram? Give model= (--model)",
            path,
        )
    convention = conventions.PEET
    rest = [i for i in range(_WIDTH) if i not in _OFFSETS + _ANGLES]
    spacing = np.full(len(table), float(pixel_spacing or points.pixel_spacing))
    pixel = spacing[:, None]
    particles = Particles(
        position=decode_position(written, place_of(imod_half_pixel), pixel),
        experiments=[run.get("volume") or strip_path_and_suffix(path.name)],
        codes=np.zeros(len(table), dtype=np.int64),
        spacing=spacing,
        shift=decode_shift(table[:, _OFFSETS], convention.offset, pixel),
        orientation=decode_orientation(table[:, _ANGLES], convention.turn),
        features=pd.DataFrame({names[i]: whole_numbers(table[:, i]) for i in rest}).join(ids),
    )
    metadata = {
        "format": NAME,
        "ndim": 3,
        "header": header,
        "imod_half_pixel": imod_half_pixel,
        "model": raw,
        "model_path": str(found),
    }
    return to_posesets(particles, path, metadata)


def _read_list(path: Path) -> tuple[str, list[str], Floats]:
    """Return the header line, unique names of the columns, and the numbers."""
    line, _, body = read_text(path).partition(b"\n")
    header = line.decode("utf-8", errors="replace").strip()
    names = _unique(header)
    if len(names) < _WIDTH or names[0] != "CCC":
        raise ReadError(
            f"line 1: expected the names of {_WIDTH} columns, the first CCC, found {header[:60]!r}",
            path,
        )
    names = names[:_WIDTH]
    body = re.sub(rb",[ \t]*(?=\n|$)", b"", body)
    table = read_numbers(body, path, names, required=_WIDTH, finite=0, separator=",", first_line=2)
    used = _OFFSETS + _ANGLES
    check_finite(table[:, used], [names[i] for i in used], path)
    return header, names, table


def _unique(header: str) -> list[str]:
    """Name the columns; those that share a name get their number, counted from 1."""
    names = [name.strip() for name in header.split(",")]
    shared = {"reserved", "NA", ""} | {n for n, times in Counter(names).items() if times > 1}
    return [f"{n or 'column'}_{i}" if n in shared else n for i, n in enumerate(names, 1)]


def _find_run(path: Path) -> dict[str, str]:
    """Return model and volume that the run's .prm, beside the list, names for its tomogram."""
    match = _LIST_NAME.match(strip_path_and_suffix(path.name))
    prm = path.parent / f"{match['run']}.prm" if match else None
    if match is None or prm is None or not prm.is_file():
        return {}
    text = prm.read_text(encoding="utf-8", errors="replace")
    text = re.sub(r"^[ \t]*[#%].*$", "", text, flags=re.MULTILINE)
    found = {}
    for key, name in (("model", "fnModParticle"), ("volume", "fnVolume")):
        listed = re.search(rf"^[ \t]*{name}\s*=\s*\{{([^{{}}]*)\}}", text, flags=re.MULTILINE)
        files = re.findall(r"'([^']*)'", listed[1]) if listed else []
        numbered = dict(enumerate(files, 1))
        if int(match["number"]) in numbered:
            found[key] = numbered[int(match["number"])]
    if "volume" in found:
        found["volume"] = strip_path_and_suffix(found["volume"])
    return found


def _find_model(path: Path, run: dict[str, str], n: int) -> Path:
    """Find the model beside the list.

    Raises
    ------
    ReadError
        Naming the option.
    """
    stem = strip_path_and_suffix(path.name)
    shorter = re.sub(r"_(init)?MOTL.*$", "", stem, flags=re.IGNORECASE)
    named = [Path(run["model"])] if "model" in run else []
    for name in [*named, Path(f"{stem}.mod"), Path(f"{shorter}.mod")]:
        candidate = path.parent / name
        if candidate.is_file():
            return candidate
    every = sorted(path.parent.glob("*.mod"))
    if len(every) == 1 and not named:
        warnings.warn(
            f"{path}: assumed that {every[0].name}, the only model in the folder, has the "
            f"positions of the {n} particles; give model= (--model)",
            GuessWarning,
            stacklevel=4,
        )
        return every[0]
    looked = " or ".join(dict.fromkeys([*map(str, named), f"{stem}.mod", f"{shorter}.mod"]))
    raise ReadError(
        f"the positions are in an IMOD model beside the motive list; there is no {looked}: give "
        "model= (--model)",
        path,
    )


def write(
    data: list[PoseSet],
    path: Path,
    *,
    overwrite: bool = False,
    model: str | PathLike[str] | None = None,
    imod_half_pixel: bool | None = None,
) -> LossReport:
    """Write a motive list and its model.

    Parameters
    ----------
    data : list of PoseSet
    path : path
        The ``.csv``.
    overwrite : bool
        Replace both files.
    model : path, optional
        The ``.mod``; by default beside the list, with the same name.
    imod_half_pixel : bool, optional
        Whether to add half a pixel to the model's x and y, as IMOD does; by default as the file
        was read, else True.

    Raises
    ------
    WriteError
        If the particles are of several tomograms.
    """
    report = LossReport()
    target = Path(model) if model is not None else _beside(path)
    for file_path in (path, target):
        refuse_overwrite(file_path, overwrite)
    if target.resolve() == path.resolve():
        raise WriteError(f"model={target} is the motive list itself; give another name", path)
    particles = _in_model_order(join_poses(data, path, report, _KEEPS, MODELS), report)
    own: dict[str, Any] = next(iter(particles.read), {})
    if imod_half_pixel is None:
        imod_half_pixel = own.get("imod_half_pixel", True)
    place = place_of(imod_half_pixel, own.get("subset_offset", WHOLE))
    written = encode_position(particles.position, place, particles.spacing[:, None])
    points = model_of(particles, written, target, report)
    set_spacing(points, particles, target)
    lists = [m for m in particles.read if m["format"] == NAME]
    header = next((m["header"] for m in lists if "header" in m), _HEADER)
    rows = number_rows(_columns(particles, _unique(header), report), ",")
    with writing_together(path, {target: b"".join(model_bytes(points))}, overwrite) as file:
        file.write(header.encode() + b"\n" + (rows if len(particles) else b""))
    return report


def _beside(path: Path) -> Path:
    while path.suffix.lower() in (".gz", ".bz2"):
        path = path.with_suffix("")
    return path.with_suffix(".mod")


def _in_model_order(particles: Particles, report: LossReport) -> Particles:
    """Sort by object and contour, as the points of the model will be."""
    from ._particles import take

    keys = [particles.feature(name) for name in reversed(IDS)]
    order = np.lexsort(keys)
    if (order == np.arange(len(order))).all():
        return particles
    report.converted["order"] = "by object and contour, as models are"
    return take(particles, order)


def _columns(particles: Particles, names: list[str], report: LossReport) -> list[Any]:
    """Return the 20 columns in order."""
    n = len(particles)
    convention = conventions.PEET
    features = particles.features if particles.features is not None else pd.DataFrame()
    table: list[Any] = [np.zeros(n, dtype=np.int64)] * _WIDTH
    defaults = {"CCC": np.ones(n, dtype=np.int64), "pIndex": np.arange(1, n + 1)}
    for i, name in enumerate(names[:_WIDTH]):
        if name in features:
            table[i] = whole_numbers(particles.feature(name, 0.0))
        elif name in defaults:
            table[i] = defaults[name]
            report.assumed[name] = "1" if name == "CCC" else "counted from 1"
    shift = np.zeros((n, 3)) if particles.shift is None else particles.shift
    if particles.orientation is None:
        angles = np.zeros((n, 3))
        if n:
            report.lost["orientation"] = "unknown, written as zero angles"
    else:
        angles = encode_orientation(particles.orientation, convention.turn)
    for i, values in zip(_ANGLES, angles.T, strict=True):
        table[i] = values
    shift = encode_shift(shift, convention.offset, particles.spacing[:, None])
    for i, values in zip(_OFFSETS, shift.T, strict=True):
        table[i] = values
    lose_features(particles, (*names[:_WIDTH], *IDS, "size"), report)
    return table


FORMAT = Format(
    name=NAME,
    title="PEET motive list",
    kind="poses",
    suffixes=(".csv",),
    read=read,
    write=write,
    sniff=sniff,
    keeps=_KEEPS,
    tolerance={"position": 1e-4, "shift": 1e-6, "orientation": 1e-6, "pixel_spacing": 1e-7},
    evidence=conventions.PEET.evidence,
    url="https://bio3d.colorado.edu/PEET/PEETmanual.html",
)
