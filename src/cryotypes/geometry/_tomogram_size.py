"""What becomes of the size of the tomogram in the metadata of poses."""

from __future__ import annotations

from typing import Any


def with_tomogram(metadata: dict[str, Any], spacing: float | None) -> dict[str, Any]:
    """``metadata`` whose tomogram states its pixel spacing, or, for None, no size."""
    tomogram = metadata.get("tomogram") or {}
    if tomogram.get("dimensions") is None or (spacing and tomogram.get("pixel_spacing")):
        return {}
    if spacing:
        stated = {**tomogram, "pixel_spacing": spacing}
    else:
        stated = {key: value for key, value in tomogram.items() if key != "dimensions"}
    return {"metadata": {**metadata, "tomogram": stated}}
