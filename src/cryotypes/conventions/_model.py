"""The vocabulary in which a program's conventions are stated. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Unit = Literal["pixel", "angstrom"]


@dataclass(frozen=True)
class Turn:
    """How an orientation is written.

    Parameters
    ----------
    kind : {"euler", "rotvec", "matrix", "quaternion"}
        ``euler`` in the order of ``axes``; ``matrix`` row-major 3×3; ``quaternion`` xyzw.
    inverse : bool
        False: what is written turns the reference into the particle, as ours does.
        True: it turns the particle into the reference.
    axes : str
        scipy's letters: upper case intrinsic, lower case extrinsic.
    degrees : bool
    """

    kind: Literal["euler", "rotvec", "matrix", "quaternion"]
    inverse: bool
    axes: str = ""
    degrees: bool = True


@dataclass(frozen=True)
class Place:
    """How a position is written.

    Parameters
    ----------
    unit : {"pixel", "angstrom"}
    origin : {"pixel", "centre"}
        ``pixel``: counted from the first pixel. ``centre``: from N / 2 (not (N - 1) / 2), in
        0-based pixel indices, of a volume of N pixels.
    zero : (x, y, z)
        The coordinates, in the written unit's pixels, of the centre of the first pixel:
        0 for programs that count from 0, 1 for those that count from 1, 0.5 for those that
        measure from the pixel's corner. Only for ``origin="pixel"``.
    """

    unit: Unit = "pixel"
    origin: Literal["pixel", "centre"] = "pixel"
    zero: tuple[float, float, float] = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Offset:
    """How a shift is written.

    Parameters
    ----------
    sign : {1, -1}
        1: added to the position, as ours is. -1: subtracted from it.
    unit : {"pixel", "angstrom"}
    """

    sign: Literal[1, -1]
    unit: Unit = "pixel"


@dataclass(frozen=True)
class PoseConvention:
    """One row: how a program writes poses, and how we know."""

    name: str
    turn: Turn
    place: Place
    offset: Offset | None
    evidence: str


@dataclass(frozen=True)
class TiltConvention:
    """One row: how a program writes the alignment of a tilt image.

    ``rotation`` gives the sign with which the file's angles about x, y and z are ours;
    ``offset`` the sign of its shift in the camera plane, applied after the rotations.
    """

    name: str
    rotation: tuple[Literal[1, -1], Literal[1, -1], Literal[1, -1]]
    offset: Offset
    evidence: str
