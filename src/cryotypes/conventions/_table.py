"""The conventions of each program, a row each. Nothing else may differ between programs.

Evidence: *run* means checked against the program itself, *source* read in its source.
"""

from __future__ import annotations

from ._model import Offset, Place, PoseConvention, TiltConvention, Turn

# rot, tilt, psi; the matrix maps the reference to the image (RELION's src/euler.cpp)
_RELION_TURN = Turn("euler", inverse=True, axes="ZYZ")

RELION_3_0 = PoseConvention(
    "RELION ≤ 3.0",
    _RELION_TURN,
    Place(),
    Offset(sign=-1),
    "run: relion_project 3.1.3 (angles, origins in image pixels), relion_preprocess --extract "
    "(coordinate k is the centre of pixel k)",
)
RELION_3_1 = PoseConvention(
    "RELION 3.1",
    _RELION_TURN,
    Place(),
    Offset(sign=-1, unit="angstrom"),
    "run: relion_project, relion_star_handler --center and relion_preprocess --recenter 3.1.3",
)
RELION_4 = PoseConvention(
    "RELION 4 tomography",
    _RELION_TURN,
    Place(),
    Offset(sign=-1, unit="angstrom"),
    "source: particle_set.cpp 4.0.0 and 5.0.0; orientation = subtomogram * particle, the origin "
    "in the frame of the subtomogram",
)
RELION_5 = PoseConvention(
    "RELION 5 tomography",
    _RELION_TURN,
    Place(unit="angstrom", origin="centre"),
    Offset(sign=-1, unit="angstrom"),
    "source: particle_set.cpp and tomogram_set.cpp 5.0; run: reproduces RELION 5's own "
    "rlnTomoVisibleFrames",
)

RELION_5_TILTS = TiltConvention(
    "RELION 5 tilt series",
    (1, 1, 1),
    Offset(sign=1, unit="angstrom"),
    "source: tomogram.cpp 5.0; run: reproduces RELION 5's own rlnTomoVisibleFrames",
)
