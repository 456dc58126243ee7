"""The size of an image in any built-in format, for readers of files that name images."""

from __future__ import annotations

import importlib
import warnings
from typing import TYPE_CHECKING

from cryotypes.errors import GuessWarning
from cryotypes.formats.built_in import BUILT_IN
from cryotypes.formats.shared.declaration import Head, recognised

if TYPE_CHECKING:
    from pathlib import Path


def image_size(path: Path) -> tuple[int, int] | None:
    """Return an image's size (x, y) in pixels; None if there is no image to ask."""
    names = [name for name in BUILT_IN if name.startswith("images.")]
    formats = [importlib.import_module(f"cryotypes.formats.{name}").FORMAT for name in names]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", GuessWarning)
            (found,) = recognised(Head.of(path), formats)
            height, width = found.read(path).data.shape[-2:]  # type: ignore[misc]
    except (OSError, ValueError):
        return None
    return int(width), int(height)
