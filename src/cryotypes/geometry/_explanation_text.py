"""Explanations of a difference between alignments, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ._explanations import Explanation

_FLIPS = {
    "mirror": "the other hand: the specimen is mirrored in z (rotation_x, rotation_y negated)",
    "axis_180": "the tilt axis points the other way (rotation_z + 180°, the same tilts), which "
    "also mirrors the specimen",
    "turned_180": "the specimen is turned by 180° about z (rotation_z + 180°, rotation_x and "
    "rotation_y negated), of the same hand",
}


def in_words(explanation: Explanation, pixel_spacing: float) -> str:
    """Say what B is, compared with A; lengths in Å where they are known."""
    parts = [
        _FLIPS[name]
        if name in _FLIPS
        else _number(name, explanation.parameters[name], pixel_spacing)
        for name in explanation.names
    ]
    if parts:
        return "; and ".join(parts)
    if explanation.rms <= 1e-6:
        return "the same geometry"
    return "no simple difference"


def _number(name: str, values: tuple[float, ...], spacing: float) -> str:
    if name == "tilt":
        return f"a constant tilt offset, rotation_y {values[0]:+.4g}°"
    if name == "in_plane":
        return f"a constant in-plane rotation, rotation_z {values[0]:+.4g}°"
    if name == "roll":
        return f"the images are turned about their centres by {values[0]:+.4g}°, shifts too"
    if name == "scale":
        return f"the shifts are {values[0]:.6g} times as long (pixel size?)"
    if name == "turn":
        angle = float(np.linalg.norm(values))
        axis = _vector(tuple(v / angle for v in values)) if angle else "(0, 0, 1)"
        return f"the specimen is turned by {angle:.4g}° about {axis}"
    if name == "shift":
        return f"a constant shift of the images, dx, dy + {_vector(values)} px"
    unit, scale = ("Å", spacing) if spacing else ("px", 1.0)
    lengths = tuple(v * scale for v in values)
    return (
        f"one rigid offset of the specimen by {_vector(lengths)} {unit} "
        f"({np.linalg.norm(lengths):.3g} {unit})"
    )


def _vector(values: tuple[float, ...]) -> str:
    """Three digits after the point at most, no minus before zero."""
    return f"({', '.join(f'{round(v, 3) + 0:g}' for v in values)})"
