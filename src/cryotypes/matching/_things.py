"""Tell poses, images and projection models apart, and take several of them to single ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cryotypes.errors import ValidationError
from cryotypes.names import is_of_images, is_of_volumes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pandas import DataFrame

_POSES = ("position", "shift", "orientation", "experiment_id", "pixel_spacing", "source")
_IMAGE = ("data", "experiment_id", "pixel_spacing")


def sort_out(things: Iterable[Any]) -> Iterator[tuple[str, str, Any]]:
    """Yield kind, experiment_id and object of every single thing."""
    for thing in things:
        if isinstance(thing, (list, tuple)):
            yield from sort_out(thing)
        elif hasattr(thing, "iloc") and hasattr(thing, "columns"):
            # before the others: columns called "position", … make a DataFrame follow a Protocol
            yield from (("projection_model", *part) for part in _split(thing))
        else:
            kind = _kind(thing)
            if not isinstance(thing.experiment_id, str):
                found = f"{thing.experiment_id!r} ({type(thing.experiment_id).__name__})"
                raise ValidationError(
                    type(thing).__name__, [f"experiment_id: expected a string, found {found}"]
                )
            yield kind, thing.experiment_id, thing


def _kind(thing: Any) -> str:
    # Looking for the attributes is what the Protocols do, in a fraction of the time.
    if all(hasattr(thing, name) for name in _POSES):
        return "poses"
    if not all(hasattr(thing, name) for name in _IMAGE):
        expected = "expected PoseSets, Images, tomograms, ProjectionModels or lists of these"
        raise ValidationError("match", [f"{expected}, found {type(thing).__name__}"])
    if getattr(thing, "stack", False):
        return "tilt_series"
    shape = given = _shape(thing.data)
    while len(shape) > 2 and shape[0] == 1:
        shape = shape[1:]
    if len(shape) not in (2, 3):
        raise ValidationError(
            type(thing).__name__, [f"data: expected 2D or 3D, found shape {given}"]
        )
    return "micrographs" if len(shape) == 2 else "tomograms"


def is_tilt_stack(image: Any, model: DataFrame) -> bool:
    """Whether a 3D image is the tilt series of an alignment, by number and size of its sections.

    Where one of the two is not known or not the same (binned, aligned), the name must say it, too.
    """
    from cryotypes.projectionmodel import dimensions_of

    shape = _shape(image.data)
    experiment = str(model["experiment_id"].iloc[0])
    excluded = (model.attrs.get("excluded") or {}).get(experiment, ())
    if len(shape) != 3 or shape[0] not in (len(model), len(model) + len(excluded)):
        return False
    volume = dimensions_of(model, "tomogram_dimensions", experiment)
    if volume is not None and sorted(map(int, volume)) == sorted(shape):
        return False
    size = dimensions_of(model, "tilt_image_dimensions", experiment)
    if size is None:
        return not is_of_volumes(image.experiment_id)
    return tuple(map(int, size)) == shape[:0:-1] or is_of_images(image.experiment_id)


def _shape(data: Any) -> tuple[int, ...]:
    if not hasattr(data, "shape"):
        import numpy as np

        data = np.asarray(data)
    return tuple(data.shape)


def _split(model: DataFrame) -> Iterator[tuple[str, DataFrame]]:
    """Yield experiment_id and rows; all rows are sorted once, none is compared."""
    import numpy as np
    import pandas as pd

    if "experiment_id" not in model.columns:
        found = ", ".join(map(str, model.columns)) or "no columns"
        raise ValidationError("ProjectionModel", [f"missing column 'experiment_id'; found {found}"])
    codes, values = pd.factorize(model["experiment_id"], use_na_sentinel=True)
    ids = ["", *values]  # a missing id has the code -1
    if wrong := [value for value in ids if not isinstance(value, str)]:
        found = f"{wrong[0]!r} ({type(wrong[0]).__name__})"
        remedy = "validate_projection_model(…, coerce=True) makes them strings"
        problem = f"column 'experiment_id': expected strings, found {found}; {remedy}"
        raise ValidationError("ProjectionModel", [problem])
    counts = np.bincount(codes + 1, minlength=len(ids))
    if (counts > 0).sum() <= 1:
        yield ids[int(counts.argmax())], model
        return
    # pandas copies attrs deeply with every piece: each gets only its own
    bare = model.copy(deep=False)
    bare.attrs = {}
    each = [key for key, value in model.attrs.items() if _is_by_experiment(value, set(ids))]
    rows = np.split(np.argsort(codes, kind="stable"), np.cumsum(counts)[:-1])
    for experiment_id, part in zip(ids, rows, strict=True):
        if len(part):
            piece = bare.take(part)
            piece.attrs = dict(model.attrs)
            for key in each:
                entry = model.attrs[key]
                piece.attrs[key] = {i: entry[i] for i in (experiment_id,) if i in entry}
            yield experiment_id, piece


def _is_by_experiment(value: object, ids: set[str]) -> bool:
    """Whether it is a dict of one entry an experiment, as `dimensions_of` reads it."""
    return isinstance(value, dict) and bool(value) and value.keys() <= ids
