"""The engine against scipy, and against numbers worked out by hand; and that it notices faults."""

from __future__ import annotations

import warnings
from dataclasses import replace
from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose
from scipy.spatial.transform import Rotation

from cryotypes.conventions import (
    Offset,
    Place,
    PlaceConvention,
    PoseConvention,
    TiltConvention,
    Turn,
    _table,
    compose,
    decode_orientation,
    decode_position,
    decode_shift,
    decode_tilts,
    encode_orientation,
    encode_position,
    encode_shift,
    encode_tilts,
    factor,
    flip_y,
    nearest_euler,
    rescale,
)

# One orientation in every way of writing it (conventions_poses.md, section 21)
ANGLES = [[25.0, 40.0, 70.0]]
QUATERNION = [-0.130885, -0.315985, -0.692814, 0.634847]
MATRIX = [
    [-0.159676, 0.962378, -0.219846],
    [-0.796946, 0.005755, 0.604023],
    [0.582563, 0.271654, 0.766044],
]
POINT = [-2.235467, -11.157248, 8.155888]  # where (14, 0, 0) of the reference lies
RELION = Turn("euler", inverse=True, axes="ZYZ")

SEQUENCES = [
    "".join(letters)
    for letters in product("xyz", repeat=3)
    if letters[0] != letters[1] and letters[1] != letters[2]
]
SEQUENCES += [letters.upper() for letters in SEQUENCES]


def angle_between(a: Rotation, b: Rotation) -> float:
    """The largest angle from one to the other, degrees."""
    return float(np.rad2deg((a.inv() * b).magnitude()).max()) if len(a) else 0.0


def some_rotations(n=200) -> Rotation:
    return Rotation.from_quat(np.random.default_rng(3).normal(size=(n, 4)))


# --- orientations ---


@pytest.mark.parametrize(
    ("turn", "written"),
    [
        (RELION, ANGLES),
        (Turn("euler", inverse=True, axes="ZYZ", degrees=False), np.deg2rad(ANGLES)),
        (Turn("euler", inverse=True, axes="zxz"), [[-20.0, 40.0, 115.0]]),  # Dynamo
        (Turn("euler", inverse=False, axes="zxz"), [[65.0, 40.0, -160.0]]),  # AV3: phi theta psi
        (Turn("euler", inverse=False, axes="ZXZ"), [[-160.0, 40.0, 65.0]]),  # EMAN2, inverted
        (Turn("rotvec", inverse=True, degrees=False), [[0.299157, 0.722229, 1.583523]]),
        (Turn("rotvec", inverse=True), np.rad2deg([[0.299157, 0.722229, 1.583523]])),
        (Turn("matrix", inverse=False), [MATRIX]),
        (Turn("matrix", inverse=True), [np.transpose(MATRIX)]),
        (Turn("quaternion", inverse=False), [QUATERNION]),
    ],
)
def test_known_answers(turn, written):
    """RELION's (25, 40, 70), as each program writes it, is one orientation; and back."""
    orientation = decode_orientation(written, turn)
    assert_allclose(orientation.apply([14, 0, 0])[0], POINT, atol=2e-5)
    assert_allclose(orientation.as_matrix()[0], MATRIX, atol=2e-6)
    assert_allclose(orientation.as_quat()[0] * np.sign(orientation.as_quat()[0, 3]), QUATERNION,
                    atol=2e-6)  # fmt: skip
    assert_allclose(encode_orientation(orientation, turn), written, atol=1e-4)


@pytest.mark.parametrize("axes", SEQUENCES)
@pytest.mark.parametrize("inverse", [False, True])
def test_every_sequence_is_scipys(axes, inverse):
    """All 12 sequences, intrinsic and extrinsic, mean what scipy means by the same letters."""
    turn = Turn("euler", inverse=inverse, axes=axes)
    angles = np.random.default_rng(1).uniform(-4000, 4000, (100, 3))
    expected = Rotation.from_euler(axes, angles, degrees=True)
    assert angle_between(decode_orientation(angles, turn), expected.inv() if inverse else expected)\
        < 1e-9  # fmt: skip

    rotations = some_rotations()
    written = encode_orientation(rotations.inv() if inverse else rotations, turn)
    assert_allclose(written, rotations.as_euler(axes, degrees=True), atol=1e-9)


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ((30, 0, 20), (0, 0, 50)),  # about one axis: the sum
        ((0, 0, -170), (0, 0, -170)),
        ((170, 0, 30), (0, 0, -160)),
        ((40, 180, 10), (0, 180, -30)),  # upside down: last minus first
        ((0, 180, 0), (0, 180, 0)),
        ((-100, -180, 100), (0, 180, -160)),
        ((10, 360, 5), (0, 0, 15)),
    ],
)
def test_gimbal_lock(written, canonical):
    """At tilt 0 and 180 the first angle is 0 and the last holds the rest, as RELION has it."""
    for axes in ("ZYZ", "ZXZ"):
        turn = Turn("euler", inverse=True, axes=axes)
        orientation = decode_orientation([written], turn)
        found = encode_orientation(orientation, turn)
        assert_allclose(found, [canonical], atol=1e-6)
        assert angle_between(decode_orientation(found, turn), orientation) < 1e-9
    extrinsic = Turn("euler", inverse=False, axes="zyz")
    found = encode_orientation(decode_orientation([written[::-1]], extrinsic), extrinsic)
    assert_allclose(found, [canonical[::-1]], atol=1e-6)  # the reverse sequence


@pytest.mark.parametrize("tilt", [1e-10, 1e-8, 1e-6, 1e-3, 180 - 1e-8, 180 - 1e-5])
@pytest.mark.parametrize("axes", ["ZYZ", "zxz", "XYX", "yzy"])
def test_close_to_gimbal_lock(tilt, axes):
    """However small the tilt, what is written stands for the same orientation."""
    turn = Turn("euler", inverse=True, axes=axes)
    orientation = decode_orientation([[12, tilt, 34], [-170, tilt, 80]], turn)
    written = encode_orientation(orientation, turn)
    assert angle_between(decode_orientation(written, turn), orientation) < 3e-7


@pytest.mark.parametrize("axes", ["XYZ", "zyx", "XZY"])
def test_gimbal_lock_of_asymmetric_sequences_is_silent(axes):
    turn = Turn("euler", inverse=False, axes=axes)
    orientation = decode_orientation([[10, 90, 20], [10, -90, 20]], turn)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        written = encode_orientation(orientation, turn)
    assert angle_between(decode_orientation(written, turn), orientation) < 1e-6


@pytest.mark.parametrize("kind", ["euler", "rotvec", "matrix", "quaternion"])
@pytest.mark.parametrize("n", [0, 1, 2, 5000])
def test_any_number_of_particles(kind, n):
    """The result is always a stack, also of one and of none."""
    shape = {"matrix": (n, 3, 3), "quaternion": (n, 4)}.get(kind, (n, 3))
    for axes in ("ZYZ", "xyz"):
        turn = Turn(kind, inverse=True, axes=axes)
        rotations = some_rotations(5000)[:n]
        written = encode_orientation(rotations, turn)
        assert written.shape == shape
        again = decode_orientation(written, turn)
        assert len(again) == n
        assert angle_between(again, rotations) < 1e-9


@settings(max_examples=60, deadline=None)
@given(
    arrays(float, (5, 4), elements=st.floats(-1, 1)).filter(
        lambda q: (np.linalg.norm(q, axis=1) > 1e-3).all()
    ),
    st.sampled_from(SEQUENCES),
    st.sampled_from(["euler", "rotvec", "matrix", "quaternion"]),
    st.booleans(),
    st.booleans(),
)
def test_encoding_then_decoding_changes_nothing(quaternions, axes, kind, inverse, degrees):
    turn = Turn(kind, inverse=inverse, axes=axes, degrees=degrees)
    rotations = Rotation.from_quat(quaternions)
    again = decode_orientation(encode_orientation(rotations, turn), turn)
    assert angle_between(again, rotations) < 1e-5


@settings(max_examples=60, deadline=None)
@given(arrays(float, (5, 3), elements=st.floats(-1e5, 1e5)))
def test_written_angles_are_within_their_range(angles):
    """Any angles are read; what is written lies in (-180, 180] and [0, 180]."""
    written = encode_orientation(decode_orientation(angles, RELION), RELION)
    assert (np.abs(written) <= 180).all()
    assert (written[:, 1] >= 0).all()
    assert (
        angle_between(
            decode_orientation(written, RELION),
            Rotation.from_euler("ZYZ", angles, degrees=True).inv(),
        )
        < 1e-5
    )


def test_nearest_euler():
    """(a, b, c) is (a + 180, -b, c + 180); a prior tells which of them is meant."""
    angles = np.array([[10.0, 20, 30], [10, 20, 30], [-100, 90, 100], [0, 0, 5]])
    found = nearest_euler(angles, np.array([-18.0, 18, -85, np.nan]))
    expected = [[-170, -20, -150], [10, 20, 30], [80, -90, -80], [0, 0, 5]]
    assert_allclose(found, expected, atol=1e-12)
    same = decode_orientation(found, RELION)
    assert angle_between(same, decode_orientation(angles, RELION)) < 1e-9
    assert nearest_euler(np.zeros((0, 3)), np.zeros(0)).shape == (0, 3)
    # 5 is nearer to 20 than to -20, whatever the last angle; 0 to neither; 180, never -180
    angles = np.array([[10.0, 20, 90], [10, 20, 30], [0, 20, 0]])
    found = nearest_euler(angles, np.array([5.0, 0, -20]))
    assert_allclose(found, [[10, 20, 90], [10, 20, 30], [180, -20, 180]], atol=1e-12)


def test_compose_and_factor():
    """Inner first, then outer; nothing stands for no rotation."""
    about_z, about_x = (Rotation.from_euler(a, [[90]], degrees=True) for a in "zx")
    # y is turned to z by the rotation about x, and z stays where it is under that about z
    assert_allclose(compose(about_z, about_x).apply([0, 1, 0]), [[0, 0, 1]], atol=1e-12)
    assert compose(None, about_x) is about_x
    assert compose(about_z, None) is about_z
    assert compose(None, None) is None
    assert angle_between(factor(compose(about_z, about_x), about_z), about_x) < 1e-9
    assert factor(about_x, None) is about_x


# --- positions and shifts ---


@pytest.mark.parametrize(
    ("place", "written", "position"),
    [
        (Place(), (101, 90, 7.5), (101, 90, 7.5)),
        (Place(zero=(1, 1, 1)), (1, 2, 3), (0, 1, 2)),  # MATLAB counts from one
        (Place(zero=(0.5, 0.5, 0.5)), (0.5, 10, 3), (0, 9.5, 2.5)),  # from the pixel's corner
        (Place(zero=(0.5, 0.5, 0)), (0.5, 10, 3), (0, 9.5, 3)),  # IMOD models: whole sections
        (Place(unit="angstrom"), (202, 180, 15), (101, 90, 7.5)),
        (Place(unit="angstrom", zero=(0.5, 0.5, 0.5)), (202, 180, 15), (100.5, 89.5, 7)),
        # centre N / 2 of 100, 101, 50 pixels: 50, 50.5, 25
        (Place(origin="centre"), (0, 0, 0), (50, 50.5, 25)),
        (Place(origin="centre"), (-50, -50.5, -25), (0, 0, 0)),
        (Place(unit="angstrom", origin="centre"), (20, -10, 6), (60, 45.5, 28)),
        (Place(origin="floor"), (0, 0, 0), (50, 50, 25)),  # EMAN: N // 2
        (Place(origin="corner"), (10, 20, 0), (60, 70.5, 25)),  # of a box of that size
        (Place(unit="fraction"), (0.25, 0.5, 1), (25, 50.5, 50)),  # cryoSPARC
    ],
)
def test_positions_by_hand(place, written, position):
    """With 2 Å pixels and a volume of 100 × 101 × 50: 0-based pixel centres, and back."""
    given = np.array([written], dtype=float)
    found = decode_position(given, place, 2.0, (100, 101, 50))
    assert_allclose(found, [position], atol=1e-12)
    assert_allclose(encode_position(found, place, 2.0, (100, 101, 50)), [written], atol=1e-12)
    assert_allclose(given, [written])  # untouched
    assert_allclose(found, [position])


def test_each_particle_can_have_its_own_size_and_spacing():
    place = Place(unit="angstrom", origin="centre")
    spacing, sizes = np.array([[1.0], [4.0]]), np.array([[10, 10, 10], [20, 30, 40]])
    found = decode_position([[4, 8, -4], [4, 8, -4]], place, spacing, sizes)
    assert_allclose(found, [[9, 13, 1], [11, 17, 19]])
    assert_allclose(encode_position(found, place, spacing, sizes), [[4, 8, -4], [4, 8, -4]])


QUARTER = Rotation.from_euler("z", [[90]], degrees=True)  # x to y, y to -x


@pytest.mark.parametrize(
    ("offset", "written", "frame", "image", "shift"),
    [
        (Offset(1), (5, -3, 4), None, None, (5, -3, 4)),
        (Offset(-1), (5, -3, 4), None, None, (-5, 3, -4)),
        (Offset(-1, "angstrom"), (5, -3, 4), None, None, (-2.5, 1.5, -2)),
        (Offset(1, "angstrom"), (5, -3, 4), None, 8.0, (2.5, -1.5, 2)),  # Å are Å
        (Offset(-1), (5, -3, 4), None, 8.0, (-20, 12, -16)),  # images of 8 Å, coordinates of 2 Å
        (Offset(-1), (1, 0, 0), QUARTER, None, (0, -1, 0)),
        (Offset(1), (0, 1, 3), QUARTER, None, (-1, 0, 3)),
        (Offset(-1, "angstrom"), (2, 0, 4), QUARTER, None, (0, -1, -2)),
    ],
)
def test_shifts_by_hand(offset, written, frame, image, shift):
    """Sign, unit, frame and the pixels of binned particle images; and back."""
    given = np.array([written], dtype=float)
    found = decode_shift(given, offset, 2.0, frame, image)
    assert_allclose(found, [shift], atol=1e-12)
    assert_allclose(encode_shift(found, offset, 2.0, frame, image), [written], atol=1e-12)
    assert_allclose(given, [written])
    assert_allclose(found, [shift], atol=1e-12)


@pytest.mark.parametrize("n", [0, 1, 7])
def test_any_number_of_positions_and_shifts(n):
    vectors = np.random.default_rng(n).normal(size=(n, 3))
    place = Place(unit="angstrom", origin="centre")
    frame, sizes = some_rotations(7)[:n], np.full((n, 3), 33)
    spacing = np.full((n, 1), 1.7)
    assert decode_position(vectors, place, spacing, sizes).shape == (n, 3)
    again = encode_position(decode_position(vectors, place, spacing, sizes), place, spacing, sizes)
    assert_allclose(again, vectors, atol=1e-12)
    offset = Offset(-1, "angstrom")
    again = encode_shift(decode_shift(vectors, offset, spacing, frame), offset, spacing, frame)
    assert_allclose(again, vectors, atol=1e-12)


@settings(max_examples=100, deadline=None)
@given(
    arrays(float, (4, 3), elements=st.floats(-1e6, 1e6)),
    st.floats(0.1, 50),
    st.sampled_from([(0, 0, 0), (1, 1, 1), (0.5, 0.5, 0.5), (0.5, 0.5, 0)]),
    st.sampled_from(["pixel", "angstrom", "fraction"]),
    st.sampled_from(["pixel", "centre", "floor", "corner"]),
    st.sampled_from([1, -1]),
)
def test_encoding_then_decoding_moves_nothing(vectors, spacing, zero, unit, origin, sign):
    place = Place(unit, origin, zero)
    offset = Offset(sign, "pixel" if unit == "fraction" else unit)
    size = (101, 2000, 7)
    there = encode_position(vectors, place, spacing, size)
    assert_allclose(decode_position(there, place, spacing, size), vectors, atol=1e-8)
    frame = some_rotations(4)
    there = encode_shift(vectors, offset, spacing, frame, 2 * spacing)
    assert_allclose(decode_shift(there, offset, spacing, frame, 2 * spacing), vectors, atol=1e-8)


def test_rescale_keeps_the_first_pixel():
    """Voxel i of a volume binned by b lies at unbinned coordinate i * b."""
    assert_allclose(rescale([[0, 1, 10]], 10.0, 2.5), [[0, 4, 40]])
    assert_allclose(rescale([[0, 4, 40]], 2.5, 10.0), [[0, 1, 10]])
    assert rescale(np.zeros((0, 3)), 1, 2).shape == (0, 3)


def test_flip_y():
    """An image upside down, of 10 pixels, seen from behind: y to 10 - y; twice is nothing."""
    about_z = Rotation.from_euler("z", [[90]], degrees=True)  # the reference's x lies along y
    position, shift, orientation = flip_y([[3, 4, 0]], [[1, 2, 3]], about_z, [10])
    assert_allclose(position, [[3, 6, 0]])
    assert_allclose(shift, [[1, -2, -3]])
    assert_allclose(orientation.apply([1, 0, 0]), [[0, -1, 0]], atol=1e-12)
    assert_allclose(orientation.as_matrix()[0], np.diag([1, -1, -1]) @ about_z.as_matrix()[0])
    again = flip_y(position, shift, orientation, [10])
    assert_allclose(again[0], [[3, 4, 0]])
    assert_allclose(again[1], [[1, 2, 3]])
    assert angle_between(again[2], about_z) < 1e-9
    assert flip_y([[3, 4, 0]], None, None, [10])[1:] == (None, None)


# --- the rows: one particle each, by hand; and every fault in a row is noticed ---

PIXEL, SIZE = 2.0, (100, 101, 50)
AV3 = [[65.0, 40.0, -160.0]]  # section 21: phi, theta, psi of the same orientation
# (25, 40, 70) turned the other way is (-70, -40, -25), that is (110, 40, 155)
OPPOSITE = np.deg2rad([[110.0, 40.0, 155.0]])
# angles or their like, coordinates, shift as written; position and shift in pixels
BY_HAND = {
    "RELION ≤ 3.0": (ANGLES, (101, 90, 7), (5, -3, 4), (101, 90, 7), (-5, 3, -4)),
    "RELION 3.1": (ANGLES, (101, 90, 7), (10, -6, 8), (101, 90, 7), (-5, 3, -4)),
    "RELION 4 tomography": (ANGLES, (101, 90, 7), (10, -6, 8), (101, 90, 7), (-5, 3, -4)),
    "RELION 5 tomography": (ANGLES, (20, -10, 6), (10, -6, 8), (60, 45.5, 28), (-5, 3, -4)),
    # model points: voxel corners in x and y, whole sections in z
    "PEET motive list": (AV3, (0.5, 10, 3), (5, -3, 4), (0, 9.5, 3), (5, -3, 4)),
    "Dynamo": ([[-20, 40, 115]], (0.5, 10, 3), (5, -3, 4), (0, 9.5, 2.5), (5, -3, 4)),
    "TOM, AV3, novaSTA, STOPGAP": (AV3, (1, 2, 3), (5, -3, 4), (0, 1, 2), (5, -3, 4)),
    "PyTom": (AV3, (1, 2, 3), (5, -3, 4), (1, 2, 3), (5, -3, 4)),
    "cryoSPARC": ([[0.299157, 0.722229, 1.583523]], (0.25, 0.5, 0.1), (5, -3, 4),
                  (25, 50.5, 5), (-5, 3, -4)),
    "cryoSPARC 2D classification": (np.deg2rad(ANGLES), (0.25, 0.5, 0.1), (5, -3, 4),
                                    (25, 50.5, 5), (-5, 3, -4)),
    "cryoSPARC 2D classification, opposite sign": (OPPOSITE, (0.25, 0.5, 0.1), (5, -3, 4),
                                                   (25, 50.5, 5), (-5, 3, -4)),
    "cisTEM": (ANGLES, (202, 180, 15), (10, -6, 8), (101, 90, 7.5), (5, -3, 4)),
    # section 4: Å from the volume's corner, RELION's angles, no shift
    "M": (ANGLES, (202, 180, 15), None, (101, 90, 7.5), None),
    "CZ cryoET data portal": ([MATRIX], (1, 2, 3), None, (1, 2, 3), None),
    "copick": ([MATRIX], (202, 180, 15), (10, -6, 8), (101, 90, 7.5), (5, -3, 4)),
    "cryotypes": ([QUATERNION], (1, 2, 3), (5, -3, 4), (1, 2, 3), (5, -3, 4)),
}  # fmt: skip
# coordinates as written; position in pixels. N // 2 is 50, 50, 25; N / 2 is 50, 50.5, 25
PLACES_BY_HAND = {
    "IMOD model": ((0.5, 10, 3), (0, 9.5, 3)),
    "IMOD model, whole numbers at pixel centres": ((0.5, 10, 3), (0.5, 10, 3)),
    # N / 2 - 1, at 2 Å per pixel
    "RELION 5's picker, pytom-match-pick --relion5-compat": ((20, -10, 6), (59, 44.5, 27)),
    "WarpTools, normalised coordinates": ((0.25, 0.5, 0.1), (25, 50.5, 5)),
    "EMAN2 info": ((10, -4.5, 3), (60, 45.5, 28)),
    "EMAN2 info before 2018": ((10, 4.5, 3), (10, 4.5, 3)),
    "EMAN1 box": ((10, -20, 3), (60, 30.5, 28)),
    "crYOLO cbox": ((10, -20, 3), (60, 30.5, 28)),
    "crYOLO coords": ((10, 4.5, 3), (10, 4.5, 3)),
}
# x, y, z angles and shifts as written; ours (conventions_alignments.md, section 13, and 0: the
# mirror image in z of a volume is seen under negated x and y angles)
OURS, MIRRORED = (1.5, -3.01, 85.3), (-1.5, 3.01, 85.3)
TILTS_BY_HAND = {
    "RELION 5 tilt series": (OURS, (16.875, -4.3875), OURS, (12.5, -3.25)),
    # for a tilt t about an axis at a: X, Z = atan2(sin t sin a, cos t), atan2(-sin a, cos t cos a)
    "WarpTools' tomograms.star with angles": (
        (-3.122651600134864, -1.248447099426763, -85.30538182482651), (16.875, -4.3875),
        OURS, (12.5, -3.25),
    ),
    # the last two numbers of the .xf line: along the axes of the aligned image
    "IMOD .xf": (OURS, (2.215, 12.724), OURS, (12.5, -3.25)),
    "IMOD .xf, volume not turned but swapped (-yz)": (
        OURS, (2.215, 12.724), MIRRORED, (12.5, -3.25),
    ),
    # without an angle about x in the file
    "AreTomo .aln": (OURS, (12.5, -3.25), OURS, (12.5, -3.25)),
    "AreTomo .aln, volume of -FlipVol 2": (OURS, (12.5, -3.25), MIRRORED, (12.5, -3.25)),
    "RELION 4 projection matrices": (OURS, (12.5, -3.25), OURS, (12.5, -3.25)),
    # the last three columns are tilt axis, y tilt, x tilt
    "EMAN2 tlt_params": ((-1.5, 3.01, -85.3), (12.5, -3.25), OURS, (12.5, -3.25)),
    "CZ cryoET data portal alignment, offsets in pixels": (
        OURS, (12.5, -3.25), OURS, (12.5, -3.25),
    ),
    "CZ cryoET data portal alignment, offsets in angstrom": (
        OURS, (16.875, -4.3875), OURS, (12.5, -3.25),
    ),
    "CETS alignment, in angstrom": (OURS, (16.875, -4.3875), OURS, (12.5, -3.25)),
    "CETS alignment, in pixels": (OURS, (12.5, -3.25), OURS, (12.5, -3.25)),
    "Warp tilt series": ((1.5, 3.01, 85.3), (16.875, -4.3875), OURS, (12.5, -3.25)),
    "Warp tomostar, ts_import --dont_invert": (OURS, (16.875, -4.3875), OURS, (12.5, -3.25)),
    # without an angle about x, and without shifts in the file
    "SerialEM mdoc": (OURS, (12.5, -3.25), OURS, (12.5, -3.25)),
}  # fmt: skip

ROWS = [row for row in vars(_table).values() if isinstance(row, PoseConvention)]
PLACE_ROWS = [row for row in vars(_table).values() if isinstance(row, PlaceConvention)]
TILT_ROWS = [row for row in vars(_table).values() if isinstance(row, TiltConvention)]


def check_by_hand(row: PoseConvention) -> None:
    """One particle, read and written by a row."""
    angles, coordinates, written_shift, position, shift = BY_HAND[row.name]
    orientation = decode_orientation(angles, row.turn)
    assert_allclose(orientation.apply([14, 0, 0])[0], POINT, atol=2e-5)
    assert_allclose(encode_orientation(orientation, row.turn), angles, atol=1e-5)
    check_place(row.place, coordinates, position)
    if row.offset is not None:
        found = decode_shift([written_shift], row.offset, PIXEL)
        assert_allclose(found, [shift], atol=1e-9)
        assert_allclose(encode_shift([shift], row.offset, PIXEL), [written_shift], atol=1e-9)


def check_place(place: Place, coordinates, position) -> None:
    found = decode_position([coordinates], place, PIXEL, SIZE)
    assert_allclose(found, [position], atol=1e-9)
    assert_allclose(encode_position([position], place, PIXEL, SIZE), [coordinates], atol=1e-9)


def check_place_by_hand(row: PlaceConvention) -> None:
    check_place(row.place, *PLACES_BY_HAND[row.name])


def check_tilts_by_hand(row: TiltConvention) -> None:
    angles, written_shift, rotation, shift = TILTS_BY_HAND[row.name]
    rotations, shifts = decode_tilts([angles], [written_shift], row, 1.35)
    assert_allclose(rotations, [rotation], atol=1e-9)
    assert_allclose(shifts, [shift], atol=1e-3)  # the digits of the .xf line
    again = encode_tilts([rotation], [shift], row, 1.35)
    assert_allclose(again[0], [angles], atol=1e-9)
    assert_allclose(again[1], [written_shift], atol=1e-3)


def other_unit(offset: Offset) -> Offset:
    return replace(offset, unit="pixel" if offset.unit == "angstrom" else "angstrom")


def faults(row: PoseConvention):
    """The row with one thing wrong, and what that is."""
    turn, offset = row.turn, row.offset
    yield "inverse", replace(row, turn=replace(turn, inverse=not turn.inverse))
    if turn.kind == "euler":
        yield "case", replace(row, turn=replace(turn, axes=turn.axes.swapcase()))
        swapped = turn.axes.translate(str.maketrans("xyXY", "yxYX"))
        yield "axes", replace(row, turn=replace(turn, axes=swapped))
    if turn.kind in ("euler", "rotvec"):
        yield "degrees", replace(row, turn=replace(turn, degrees=not turn.degrees))
    yield from place_faults(row)
    if offset is not None:
        yield "sign of the shift", replace(row, offset=replace(offset, sign=-offset.sign))
        yield "unit of the shift", replace(row, offset=other_unit(offset))


def place_faults(row):
    """The row with a wrong position: unit, origin, or a zero one or a half off."""
    place = row.place
    for unit in ("pixel", "angstrom", "fraction"):
        if unit != place.unit:
            yield f"unit {unit}", replace(row, place=replace(place, unit=unit))
    # a corner is half of a box away, as a centre is half of a volume
    same = {"centre", "corner"} if place.origin in ("centre", "corner") else {place.origin}
    for origin in ("pixel", "centre", "floor", "corner"):
        if origin not in same:
            yield f"origin {origin}", replace(row, place=replace(place, origin=origin))
    if place.origin == "pixel":
        for axis, step in product(range(3), (1, -1, 0.5, -0.5)):
            zero = list(place.zero)
            zero[axis] += step
            moved = replace(place, zero=tuple(zero))
            yield f"zero of {'xyz'[axis]} {step:+g}", replace(row, place=moved)


def tilt_faults(row: TiltConvention):
    for axis in range(3):
        signs = list(row.rotation)
        signs[axis] *= -1
        yield f"sign about {'xyz'[axis]}", replace(row, rotation=tuple(signs))
    yield "sign of the shift", replace(row, offset=replace(row.offset, sign=-row.offset.sign))
    yield "unit of the shift", replace(row, offset=other_unit(row.offset))
    yield "frame", replace(row, frame="raw" if row.frame == "aligned" else "aligned")
    yield "inverse", replace(row, inverse=not row.inverse)


def all_faults(rows, find, known):
    """Every fault of the rows that have a particle worked out by hand."""
    return [
        pytest.param(wrong, id=f"{row.name}: {what}")
        for row in rows
        if row.name in known
        for what, wrong in find(row)
    ]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_row(row):
    """Every row has a particle worked out by hand, and evidence."""
    assert row.name in BY_HAND, "work out a particle by hand, and add it to BY_HAND"
    assert row.evidence
    check_by_hand(row)


@pytest.mark.parametrize("row", PLACE_ROWS, ids=lambda row: row.name)
def test_place_row(row):
    assert row.name in PLACES_BY_HAND, "work out a point by hand, and add it to PLACES_BY_HAND"
    assert row.evidence
    check_place_by_hand(row)


@pytest.mark.parametrize("row", TILT_ROWS, ids=lambda row: row.name)
def test_tilt_row(row):
    assert row.name in TILTS_BY_HAND, "work out a tilt by hand, and add it to TILTS_BY_HAND"
    assert row.evidence
    check_tilts_by_hand(row)


@pytest.mark.parametrize("wrong", all_faults(ROWS, faults, BY_HAND))
def test_a_fault_in_a_row_is_noticed(wrong):
    """A flipped inverse, sign or unit, a zero half a pixel off: none escapes the particle."""
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        check_by_hand(wrong)


@pytest.mark.parametrize("wrong", all_faults(PLACE_ROWS, place_faults, PLACES_BY_HAND))
def test_a_fault_in_a_place_row_is_noticed(wrong):
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        check_place_by_hand(wrong)


@pytest.mark.parametrize("wrong", all_faults(TILT_ROWS, tilt_faults, TILTS_BY_HAND))
def test_a_fault_in_a_tilt_row_is_noticed(wrong):
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        check_tilts_by_hand(wrong)


def test_the_particle_tells_all_sequences_apart():
    """No other order of angles or axes gives the same orientation."""
    expected = decode_orientation(ANGLES, RELION)
    for axes, inverse, order in product(SEQUENCES, (False, True), permutations(range(3))):
        same = (axes, inverse, order) == ("ZYZ", True, (0, 1, 2))
        # the reverse of an extrinsic sequence is the intrinsic one
        same |= (axes, inverse, order) == ("zyz", True, (2, 1, 0))
        turn = Turn("euler", inverse=inverse, axes=axes)
        found = decode_orientation(np.array(ANGLES)[:, order], turn)
        assert (angle_between(found, expected) < 1) == same


def test_the_inverse_matrix_of_warp_by_hand():
    """A tilt t about an axis at a alone: XTilt = atan2(sin t sin a, cos t), and so on."""
    a, t = np.radians([83.5, 51.8])
    x = np.arctan2(np.sin(t) * np.sin(a), np.cos(t))
    y = -np.arcsin(np.sin(t) * np.cos(a))
    z = np.arctan2(-np.sin(a), np.cos(t) * np.cos(a))
    written = np.degrees([[x, y, z]])
    assert_allclose(written[0, 2], -85.97, atol=0.005)
    found, _ = decode_tilts(written, np.zeros((1, 2)), _table.WARP_ONE_FILE_TILTS, 1.0)
    assert_allclose(found, [[0, 51.8, 83.5]], atol=1e-9)
