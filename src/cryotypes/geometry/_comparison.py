"""Compare two alignments of a tilt series by where they show the same points."""

from __future__ import annotations

import warnings
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from cryotypes._sizes import TomogramSize, tomogram_size
from cryotypes.errors import GuessWarning, MatchError
from cryotypes.projectionmodel import ProjectionModelDataLabels as Labels
from cryotypes.projectionmodel import dimensions_of, validate_projection_model

from ._cameras import spacing_of, turns
from ._explanations import Geometry, choose, explain
from ._model_comparison import ModelComparison
from ._pairing import pairings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from pandas import DataFrame

    from cryotypes.projectionmodel import ProjectionModel

    from ._explanations import Explanation

    Floats = NDArray[np.float64]


def compare_projection_models(
    a: ProjectionModel,
    b: ProjectionModel,
    *,
    tomogram_dimensions: Sequence[float] | None = None,
    tomogram_spacing: float | None = None,
    tilt_image_dimensions: Sequence[int] | None = None,
    match_tilts: str | None = None,
    tolerance: float = 0.1,
) -> ModelComparison:
    """Compare where two alignments of one tilt series show the corners and centre of a volume.

    Both count from the centres of volume and images, so that the binning does not matter where
    the pixel spacings are known. The difference is explained, where it can be: a tilt offset, an
    in-plane rotation, a shift, an offset or a turn of the specimen, the other hand, a tilt axis
    that points the other way, another scale of the shifts, or a few of these together. Few tilts
    that are wrong do not spoil the explanation; they are named.

    Parameters
    ----------
    a, b : ProjectionModel
        Of one experiment each.
    tomogram_dimensions : (x, y, z), optional
        In pixels of the unbinned tilt series. By default what the ``attrs`` of A or B state.
    tomogram_spacing : float, optional
        Å per pixel in which tomogram_dimensions is counted; by default that of A.
    tilt_image_dimensions : (x, y), optional
        In pixels of A; where the size of the tomogram is unknown, its x and y, and a quarter of
        the smaller as z. By default what the ``attrs`` of A or B state.
    match_tilts : {"tilt_index", "name", "angle", "order"}, optional
        How tilts are paired. By default by the column tilt_index, else by the names of images,
        else by the nearest angle (rotation_y). If both have the same number of rows, and their
        angles differ row by row by a constant or by the sign, rows in order are tried, too, and
        the pairing that leaves less to explain is taken.
    tolerance : float
        Pixels that do not matter.

    Returns
    -------
    ModelComparison

    Raises
    ------
    MatchError
        If tilts cannot be paired, or a model holds several experiments.
    ValueError
        If the size of the volume is unknown, or a model is not valid.

    Warns
    -----
    GuessWarning
        If a pixel spacing is unknown (assumed equal), or the size of the tomogram is.

    Examples
    --------
    >>> import pandas as pd
    >>> from cryotypes import compare_projection_models
    >>> a = pd.DataFrame({"rotation_x": 0.0, "rotation_y": [-60, 0, 60], "rotation_z": 85.0,
    ...     "dx": 0.0, "dy": 0.0, "experiment_id": "TS_01", "pixel_spacing": 2.0, "source": ""})
    >>> comparison = compare_projection_models(a, a.assign(dx=0.5),
    ...                                        tomogram_dimensions=(1000, 1000, 400))
    >>> print(comparison.summary())
    TS_01: 3 pairs of tilts by angle; apart at most 0.5 px (1 Å), rms 0.5 px (1 Å)
      a constant shift of the images, dx, dy + (0.5, 0) px
      remaining: rms 0 px (0 Å), at the centre of the volume 0 px (0 Å)
    """
    a, b = (validate_projection_model(m, coerce=True) for m in (a, b))
    for name, model in (("A", a), ("B", b)):
        if len(model[Labels.EXPERIMENT_ID].unique()) > 1:
            raise MatchError(f"{name} holds several experiments; give the rows of one each")
        if not len(model):
            raise MatchError(f"{name} has no tilts")
    spacing, ratio = _spacings(a, b)
    given = tomogram_size(
        tomogram_dimensions, tomogram_spacing, experiment_id=_id(a), tilt_series=spacing
    )
    size = _volume(a, b, given, tilt_image_dimensions, ratio, spacing)
    points = _points(size)
    best: Any = None
    for rule, pairs in pairings(a, b, match_tilts):
        first, second = _geometry(a, pairs[:, 0], 1.0), _geometry(b, pairs[:, 1], ratio)
        found = explain(first, second, points, tolerance)
        chosen = choose(found, tolerance)
        if best is None or chosen.score < best[3].score / 2:
            best = (rule, pairs, found, chosen, first, second)
    rule, pairs, found, chosen, first, second = best
    return ModelComparison(
        tilts=_table(pairs, first, second, points, chosen),
        only_a=sorted(set(range(len(a))) - set(pairs[:, 0].tolist())),
        only_b=sorted(set(range(len(b))) - set(pairs[:, 1].tolist())),
        matched_by=rule,
        explanations=found,
        explanation=chosen,
        pixel_spacing=spacing,
        tolerance=tolerance,
        tomogram_dimensions=tuple(size.tolist()),
        experiment_id=_id(a),
        notes=_notes(a, b, ratio),
    )


def _id(model: ProjectionModel) -> str:
    return str(model[Labels.EXPERIMENT_ID].iloc[0])


def _spacings(a: ProjectionModel, b: ProjectionModel) -> tuple[float, float]:
    """A's pixel spacing, and B's in A's."""
    of_a, of_b = (spacing_of("compare", m) or 0.0 for m in (a, b))
    if of_a and of_b:
        return of_a, of_b / of_a
    warnings.warn(
        f"the pixel spacing of {'both' if of_a == of_b else 'A' if of_b else 'B'} is unknown; "
        "shifts are assumed to be in the same pixels (--pixel-spacing)",
        GuessWarning,
        stacklevel=3,
    )
    return of_a or of_b, 1.0


def _volume(
    a: ProjectionModel,
    b: ProjectionModel,
    given: TomogramSize | None,
    image: Sequence[int] | None,
    ratio: float,
    spacing: float,
) -> Floats:
    if given is not None:
        return np.array(given.in_pixels(spacing))
    for model, scale in ((a, 1.0), (b, ratio)):
        stated = dimensions_of(model, "tomogram_dimensions", _id(model))
        if stated is not None:
            return np.asarray(stated, dtype=float) * scale
    sizes = [image] + [dimensions_of(m, "tilt_image_dimensions", _id(m)) for m in (a, b)]
    for size, scale in zip(sizes, (1.0, 1.0, ratio), strict=True):
        if size is not None:
            x, y = np.asarray(size, dtype=float) * scale
            warnings.warn(
                f"the size of tomogram {_id(a)!r} is unknown; that of the tilt images, and a "
                "quarter of it in z, is assumed (--tomogram-size X Y Z)",
                GuessWarning,
                stacklevel=3,
            )
            return np.array([x, y, min(x, y) // 4])
    raise ValueError(
        f"compare: the size of tomogram {_id(a)!r} is unknown; give tomogram_dimensions= "
        "(--tomogram-size X Y Z, in pixels of the unbinned tilt series)"
    )


def _points(size: Floats) -> Floats:
    """The centres of the corner pixels and of the volume, from the latter."""
    low = -(size // 2)
    corners = list(product(*zip(low, low + size - 1, strict=True)))
    return np.array([*corners, (0.0, 0.0, 0.0)])


def _geometry(model: ProjectionModel, rows: Any, scale: float) -> Geometry:
    angles = model[Labels.ROTATION].to_numpy(dtype=float)[rows]
    return Geometry(angles, model[Labels.SHIFT].to_numpy(dtype=float)[rows] * scale)


def _table(pairs: Any, a: Geometry, b: Geometry, points: Floats, chosen: Explanation) -> DataFrame:
    import pandas as pd

    turned = (turns(*b.angles.T) - turns(*a.angles.T))[:, :2]
    apart = np.einsum("tij,pj->tpi", turned, points) + (b.shifts - a.shifts)[:, None]
    distance = np.linalg.norm(apart, axis=2)
    return pd.DataFrame(
        {
            "row_a": pairs[:, 0],
            "row_b": pairs[:, 1],
            "angle_a": a.angles[:, 1],
            "angle_b": b.angles[:, 1],
            "maximum": distance.max(axis=1),
            "rms": np.sqrt((distance**2).mean(axis=1)),
            "remaining": chosen.distance,
            "outlier": chosen.outlier,
        }
    )


def _notes(a: ProjectionModel, b: ProjectionModel, ratio: float) -> list[str]:
    notes = []
    if not np.isclose(ratio, 1.0):
        notes.append(f"a pixel of B is {ratio:.6g} of A's")
    for name, what in (("tomogram_dimensions", "tomogram"), ("tilt_image_dimensions", "images")):
        one, two = (dimensions_of(m, name, _id(m)) for m in (a, b))
        if one and two and np.abs(np.array(one) - np.array(two) * ratio).max() > 0.5:
            sizes = " and ".join(" × ".join(map(str, size)) for size in (one, two))
            notes.append(f"the {what} have other sizes: {sizes} px")
    return notes
