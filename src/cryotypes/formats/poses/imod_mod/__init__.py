"""IMOD models, ``.mod``: the points of all contours, as particles.

Coordinates are pixels of the image that the model was drawn on, measured from the corner of the
first pixel in x and y and from its centre in z: the centre of the first voxel is the point
(0.5, 0.5, 0) (IMOD's binspec page; MatTomo's read-me). Most Python tools leave out the half pixel;
``imod_half_pixel=False`` does so, too. Directions of contours and slicer angles are not
orientations; they are kept where the model is written again.

https://bio3d.colorado.edu/imod/doc/binspec.html
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cryotypes.conventions import _table as conventions
from cryotypes.conventions import decode_position, encode_position
from cryotypes.errors import GuessWarning, WriteError
from cryotypes.formats.poses._particles import Particles, join_poses, lose_features, to_posesets
from cryotypes.formats.shared.declaration import Format, Head
from cryotypes.formats.shared.files import read_bytes, writing_bytes
from cryotypes.formats.shared.finite import check_finite
from cryotypes.loss import LossReport
from cryotypes.names import strip_path_and_suffix

from ._model import MAGIC, Contour, Model, model_bytes, new_model, new_object, parse_model

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from cryotypes.conventions import Place
    from cryotypes.poseset import PoseSet

    Floats = NDArray[np.float64]

NAME = "imod-mod"
MODELS = (NAME, "peet-csv")  # they share a model, and what it was drawn on
_KEEPS = frozenset({"position", "pixel_spacing"})
IDS = ("object_id", "contour_id")
WHOLE = (0.0, 0.0, 0.0)  # a model of a whole image
_MOST_CONTOURS = 10_000_000
_TOLERANCE = 1e-4  # of single precision, up to coordinates of 1000


def sniff(head: Head) -> bool:
    """IMOD's magic bytes."""
    return head.data.startswith(MAGIC)


def read(
    path: Path,
    *,
    pixel_spacing: float | None = None,
    imod_half_pixel: bool = True,
    subset_offset: bool | None = None,
) -> list[PoseSet]:
    """Read the points of all contours, in order.

    Parameters
    ----------
    path : path
    pixel_spacing : float, optional
        Å per pixel, where the model does not tell or is wrong.
    imod_half_pixel : bool
        Whether x and y are half a pixel larger than the index, as IMOD's are.
    subset_offset : bool, optional
        Where the model was drawn on a part of an image: give positions in the whole image.

    Returns
    -------
    list of PoseSet
        One, called like the file; features are ``object_id`` and ``contour_id`` (from 0), and
        ``size`` where the model gives points a radius.

    Raises
    ------
    ReadError
        If the file is damaged, or a point is not finite.

    Warns
    -----
    GuessWarning
        If the model was drawn on a part of an image and ``subset_offset`` does not say what to do.
    """
    raw = read_bytes(path)
    model = parse_model(raw, path)
    written, features = points_of(model, path)
    offset = _subset(model, subset_offset, path)
    n = len(written)
    spacing = np.full(n, float(pixel_spacing or model.pixel_spacing))
    place = place_of(imod_half_pixel, offset)
    particles = Particles(
        position=decode_position(written, place, spacing[:, None]),
        experiments=[strip_path_and_suffix(path.name)],
        codes=np.zeros(n, dtype=np.int64),
        spacing=spacing,
        features=features,
    )
    name: bytes = model.header["name"]
    metadata = {
        "format": NAME,
        "ndim": 3,
        "header": {**model.header, "name": name.split(b"\0")[0].decode("utf-8", "replace")},
        "imod_half_pixel": imod_half_pixel,
        "subset_offset": offset,
        "model": raw,
    }
    return to_posesets(particles, path, metadata)


def points_of(model: Model, path: Path) -> tuple[Floats, pd.DataFrame]:
    """Return the points (n, 3) as written, and their objects, contours and sizes."""
    contours = [(o, c, t) for o, thing in enumerate(model.objects)
                for c, t in enumerate(thing.contours)]  # fmt: skip
    counts = [len(contour.points) for _, _, contour in contours]
    empty = np.zeros((0, 3))
    written = np.concatenate([empty, *(contour.points for _, _, contour in contours)])
    check_finite(written, "xyz", path, lambda row: f"point {row + 1}")
    columns: dict[str, Any] = {
        name: np.repeat(np.array([c[i] for c in contours], dtype=np.int64), counts)
        for i, name in enumerate(IDS)
    }
    sizes = [contour.sizes for _, _, contour in contours]
    if any(size is not None for size in sizes):
        blank = (np.full(n, np.nan) if s is None else s for s, n in zip(sizes, counts, strict=True))
        columns["size"] = np.concatenate(list(blank))
    return written, pd.DataFrame(columns)


def place_of(imod_half_pixel: bool, subset: tuple[float, float, float] = WHOLE) -> Place:
    """Return where zero is, in the whole image if the model is of a part that begins at subset."""
    row = conventions.IMOD_MODEL if imod_half_pixel else conventions.IMOD_MODEL_WHOLE
    x, y, z = (zero - begin for zero, begin in zip(row.place.zero, subset, strict=True))
    return replace(row.place, zero=(x, y, z))


def _subset(model: Model, wanted: bool | None, path: Path) -> tuple[float, float, float]:
    if wanted is None and any(model.subset):
        warnings.warn(
            f"{path}: the model was drawn on a part of an image that begins at pixel "
            f"{model.subset}; positions are those in the part; give subset_offset=True for "
            "positions in the whole image, or False",
            GuessWarning,
            stacklevel=4,
        )
    return model.subset if wanted else WHOLE


def write(
    data: list[PoseSet],
    path: Path,
    *,
    overwrite: bool = False,
    imod_half_pixel: bool | None = None,
) -> LossReport:
    """Write particles as points; into the model that they come from, if they come from one.

    Parameters
    ----------
    data : list of PoseSet
        Features ``object_id`` and ``contour_id`` say where the points belong; without them all
        are in one contour.
    path : path
    overwrite : bool
    imod_half_pixel : bool, optional
        Whether to add half a pixel to x and y, as IMOD does; by default as the file was read,
        else True.

    Raises
    ------
    WriteError
        If the particles are of several tomograms, or an id is not a whole number from 0.
    """
    report = LossReport()
    particles = join_poses(data, path, report, _KEEPS, MODELS)
    lose_features(particles, (*IDS, "size"), report)
    metadata: dict[str, Any] = next(iter(particles.read), {})
    if imod_half_pixel is None:
        imod_half_pixel = metadata.get("imod_half_pixel", True)
    place = place_of(imod_half_pixel, metadata.get("subset_offset", WHOLE))
    written = encode_position(particles.position, place, particles.spacing[:, None])
    model = model_of(particles, written, path, report)
    set_spacing(model, particles, path)
    with writing_bytes(path, overwrite) as file:
        file.writelines(model_bytes(model))
    return report


def set_spacing(model: Model, particles: Particles, path: Path) -> None:
    """State the particles' pixel size in a model, if it is known and another.

    Raises
    ------
    WriteError
        If there are several.
    """
    spacings = np.unique(particles.spacing)
    if len(spacings) > 1:
        listing = ", ".join(f"{value:g}" for value in spacings[:4])
        raise WriteError(f"expected one pixel size, found {listing} Å; rescale first", path)
    if len(spacings) and spacings[0] not in (0, model.pixel_spacing):
        model.pixel_spacing = float(spacings[0])


def model_of(particles: Particles, written: Floats, path: Path, report: LossReport) -> Model:
    """Put points into the objects and contours that their features name.

    Everything else stays as in the model that was read (``metadata["model"]``).
    """
    raw = next((m["model"] for m in particles.read if m.get("model")), None)
    model = new_model() if raw is None else parse_model(raw, path)
    if raw is None:
        largest = np.maximum(written.max(axis=0, initial=0.0), 0) if len(written) else np.zeros(3)
        if (largest < 2**31 - 2).all():
            sides = (int(np.ceil(side)) + 1 for side in largest)
            model.header.update(zip(("xmax", "ymax", "zmax"), sides, strict=True))
    objects, contours = (_ids(particles, name, path) for name in IDS)
    sizes = particles.feature("size", np.nan)
    order = np.lexsort((contours, objects))
    if (order != np.arange(len(order))).any():
        report.converted["order"] = "by object and contour, as models are"
    keys = np.stack([objects[order], contours[order]], axis=1)
    edges = np.flatnonzero((np.diff(keys, axis=0) != 0).any(axis=1)) + 1
    rows = {(int(objects[part[0]]), int(contours[part[0]])): part
            for part in np.split(order, edges) if len(part)}  # fmt: skip
    _make_room(model, rows)
    nothing = np.zeros(0, dtype=np.int64)
    for o, thing in enumerate(model.objects):
        for c, contour in enumerate(thing.contours):
            part = rows.get((o, c), nothing)
            _fill(contour, written[part], sizes[part], report)
    error = np.abs(written - written.astype(np.float32)).max(initial=0.0)
    if error > _TOLERANCE:
        report.lost["position"] = f"models have single precision: off by up to {error:.3g} px"
    return model


def _ids(particles: Particles, name: str, path: Path) -> NDArray[np.int64]:
    values = particles.feature(name)
    bad = ~((values >= 0) & (values < _MOST_CONTOURS) & (values == np.rint(values)))
    if bad.any():
        row = int(bad.argmax())
        raise WriteError(
            f"row {row + 1}, {name}: expected a whole number from 0, below {_MOST_CONTOURS}, found "
            f"{values[row]:g}",
            path,
        )
    return values.astype(np.int64)


def _make_room(model: Model, rows: Mapping[tuple[int, int], Any]) -> None:
    """Add objects and contours, empty ones too, so that every number stays what it is."""
    for o, c in sorted(rows) or [(0, 0)]:
        while len(model.objects) <= o:
            model.objects.append(new_object())
        contours = model.objects[o].contours
        while len(contours) <= c:
            contours.append(Contour(np.zeros((0, 3))))


def _fill(contour: Contour, points: Floats, sizes: Floats, report: LossReport) -> None:
    """Replace the points of a contour; labels of other points cannot stay."""
    changed = len(points) != len(contour.points)
    if changed and any(tag != b"SIZE" for tag, _ in contour.chunks):
        report.lost["metadata"] = "labels and values of points, in contours that lost or won some"
    kept = [] if changed else [c for c in contour.chunks if c[0] != b"SIZE"]
    if np.isfinite(sizes).any():
        radii = np.where(np.isfinite(sizes), sizes, -1.0).astype(">f4")  # -1: that of the object
        place = next((i for i, c in enumerate(contour.chunks) if c[0] == b"SIZE"), len(kept))
        kept.insert(min(place, len(kept)), (b"SIZE", radii.tobytes()))
    contour.points, contour.chunks = points, kept


FORMAT = Format(
    name=NAME,
    title="IMOD model",
    kind="poses",
    suffixes=(".mod",),
    compression=(".gz", ".bz2"),
    read=read,
    write=write,
    sniff=sniff,
    keeps=_KEEPS,
    tolerance={"position": _TOLERANCE, "pixel_spacing": 1e-7},
    evidence=conventions.IMOD_MODEL.evidence,
    url="https://bio3d.colorado.edu/imod/doc/binspec.html",
)
