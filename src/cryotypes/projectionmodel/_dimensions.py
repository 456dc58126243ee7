"""The sizes that a tilt series states beside its rows, in ``DataFrame.attrs``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pandas import DataFrame


def dimensions_of(model: DataFrame, name: str, experiment_id: str) -> tuple[int, ...] | None:
    """Return the size of a tilt series' images or tomogram, if its ``attrs`` state it.

    Parameters
    ----------
    model : ProjectionModel
    name : {"tilt_image_dimensions", "tomogram_dimensions"}
        xy, or xyz, in pixels of the model's pixel spacing.
    experiment_id : str
        An entry that is a dict holds one size for each experiment; a tuple holds for all.

    Examples
    --------
    >>> import pandas as pd
    >>> model = pd.DataFrame()
    >>> model.attrs["tomogram_dimensions"] = {"TS_01": (4000, 4000, 2000)}
    >>> dimensions_of(model, "tomogram_dimensions", "TS_01")
    (4000, 4000, 2000)
    """
    entry: Any = model.attrs.get(name)
    if isinstance(entry, dict):
        entry = entry.get(experiment_id)
    return None if entry is None else tuple(int(size) for size in entry)
