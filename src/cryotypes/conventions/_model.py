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
    unit : {"pixel", "angstrom", "fraction"}
        ``fraction``: of the size of the image or volume, from 0 to 1.
    origin : {"pixel", "centre", "floor", "corner"}
        ``pixel``: counted from the first pixel. ``centre``: from N / 2 (not (N - 1) / 2), in
        0-based pixel indices, of a volume of N pixels. ``floor``: from N // 2, which differs for
        odd N. ``corner``: from the first pixel, but to the lowest corner of a box of N pixels
        whose centre, N / 2 further, is the position.
    zero : (x, y, z)
        The coordinates, in the written unit's pixels, of the centre of the first pixel:
        0 for programs that count from 0, 1 for those that count from 1, 0.5 for those that
        measure from the pixel's corner. For other origins: how far below it is what the program
        takes for it.
    """

    unit: Literal["pixel", "angstrom", "fraction"] = "pixel"
    origin: Literal["pixel", "centre", "floor", "corner"] = "pixel"
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
class PlaceConvention:
    """One row: how a program that knows no orientations writes positions."""

    name: str
    place: Place
    evidence: str


@dataclass(frozen=True)
class TiltConvention:
    """One row: how a program writes the alignment of a tilt image.

    Parameters
    ----------
    name : str
    rotation : (x, y, z), each 1 or -1
        The sign with which the file's angles are ours.
    offset : Offset
        The sign and the unit of its shift in the camera plane.
    evidence : str
    frame : {"raw", "aligned"}
        ``raw``: the shift is along the axes of the tilt image and applied after the rotations, as
        ours is. ``aligned``: it is along the axes of the image that has been turned back about z,
        and added to that; 2D matrices of such a program lead from the raw to the aligned image.
    inverse : bool
        The angles, composed as ours are, are those of the inverse rotation.
    """

    name: str
    rotation: tuple[Literal[1, -1], Literal[1, -1], Literal[1, -1]]
    offset: Offset
    evidence: str
    frame: Literal["raw", "aligned"] = "raw"
    inverse: bool = False
