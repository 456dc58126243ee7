"""The tilt images that an alignment names, opened one by one when they are drawn."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cryotypes.errors import GuessWarning

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pandas import DataFrame


class TiltImages:
    """A sequence of images (y, x); those of one file share it."""

    def __init__(self, places: Sequence[tuple[Path, int | None]]) -> None:
        self.places = places

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, tilt: int) -> Any:
        from cryotypes.io import read_image

        path, section = self.places[tilt]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", GuessWarning)
            data: Any = read_image(path).data
        if data.ndim == 2:
            return np.asarray(data)
        if section is None or not section < len(data):
            raise ValueError(f"{path}: expected one image, found {len(data)} sections")
        return np.asarray(data[section])


def tilt_images(model: DataFrame) -> TiltImages | None:
    """Find the images that the rows name (``k@stack`` or single ones); None if one is absent."""
    from cryotypes.formats.shared.relion_project import Project

    if "rlnMicrographName" not in model:
        return None
    places: list[tuple[Path, int | None]] = []
    found: dict[tuple[str, str], Path | None] = {}
    for name, source in zip(model["rlnMicrographName"], model["source"], strict=True):
        number, _, file = str(name).rpartition("@")
        key = (file, str(source))
        if key not in found:
            found[key] = Project(Path(source)).resolve(file)
        path = found[key]
        if path is None:
            return None
        places.append((path, int(number) - 1 if number else None))
    return TiltImages(places)
