"""How programs write rotations, origins, units and signs: rows of data and one small engine."""

from ._engine import (
    compose,
    decode_orientation,
    decode_position,
    decode_shift,
    decode_tilts,
    decode_transforms,
    encode_orientation,
    encode_position,
    encode_shift,
    encode_tilts,
    encode_transforms,
    factor,
    flip_y,
    nearest_euler,
    rescale,
)
from ._model import Offset, Place, PlaceConvention, PoseConvention, TiltConvention, Turn

__all__ = [
    "Offset",
    "Place",
    "PlaceConvention",
    "PoseConvention",
    "TiltConvention",
    "Turn",
    "compose",
    "decode_orientation",
    "decode_position",
    "decode_shift",
    "decode_tilts",
    "decode_transforms",
    "encode_orientation",
    "encode_position",
    "encode_shift",
    "encode_tilts",
    "encode_transforms",
    "factor",
    "flip_y",
    "nearest_euler",
    "rescale",
]
