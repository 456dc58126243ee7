"""RELION 3.1's own programs agree with what this package writes and reads.

No round trip of our own can see a convention that is wrong twice; a projection of four blobs, and
a box around one bright pixel, can.
"""

from __future__ import annotations

from itertools import product

import mrcfile  # noqa: TID253
import numpy as np
import pandas as pd
import pytest
from scipy.spatial.transform import Rotation

import cryotypes
from cryotypes import PoseSet

pytestmark = pytest.mark.interop

PIXEL = 2.0  # Å, so that a length in Å is never the same number as one in pixels
SIZE = 64
CENTRE = SIZE // 2
BLOBS = np.array([[14.0, 0, 0], [0, 9, 0], [0, 0, 17], [-7, -10, 5]])  # xyz from the centre, pixels
WEIGHTS = (4.0, 3.0, 2.0, 1.0)
SIGMA = 1.5

# rot, tilt, psi of RELION, and x, y, z of the shift in pixels: general ones first
GENERAL = [
    ((25, 40, 70), (5, -3, 0)),
    ((-110, 65, 12), (-2.5, -4, 0)),
    ((150, 110, -80), (3, 6.5, 0)),
    ((-35, 100, 140), (-7, 2, 0)),
]
SPECIAL = [
    ((0, 0, 0), (0, 0, 0)),  # no turn
    ((0, 0, 35), (4, -1, 0)),  # in the plane only: rot and psi cannot be told apart
    ((40, 180, 10), (-3, 1, 0)),  # upside down: the same
    ((90, 0, 0), (1, 2, 0)),
    ((0, 90, 0), (2, -6, 0)),
]


def turn(triplets) -> Rotation:
    """The orientation of RELION's rot, tilt, psi: its matrix takes the reference to the image."""
    return Rotation.from_euler("ZYZ", np.atleast_2d(triplets), degrees=True).inv()


def angles(orientation: Rotation) -> np.ndarray:
    return orientation.inv().as_euler("ZYZ", degrees=True)


def images_at(poses, ndim=2) -> PoseSet:
    """Particles of one micrograph, with what RELION 3.1 wants to know about their images."""
    triplets, shifts = (np.array(part, dtype=float) for part in zip(*poses, strict=True))
    n = len(triplets)
    optics = {
        "rlnOpticsGroup": 1,
        "rlnOpticsGroupName": "opticsGroup1",
        "rlnImagePixelSize": PIXEL,
        "rlnImageSize": SIZE,
        "rlnImageDimensionality": ndim,
        "rlnVoltage": 300.0,
        "rlnSphericalAberration": 2.7,
        "rlnAmplitudeContrast": 0.1,
    }
    features = {
        "rlnImageName": [f"{i + 1:06d}@particles.mrcs" for i in range(n)],
        "rlnClassNumber": np.arange(n) + 1,
    }
    return PoseSet(
        position=np.column_stack(
            [100 + 10.25 * np.arange(n), 90 - 3.5 * np.arange(n), np.zeros(n)]
        ),
        shift=shifts,
        orientation=turn(triplets),
        experiment_id="mic_001.mrc",
        pixel_spacing=PIXEL,
        features=pd.DataFrame(features),
        metadata={"ndim": ndim, "blocks": {"optics": pd.DataFrame([optics])}},
    )


def write_mrc(path, data, spacing=PIXEL):
    with mrcfile.new(path) as mrc:
        mrc.set_data(np.ascontiguousarray(data, dtype=np.float32))
        mrc.voxel_size = spacing


def read_mrc(path) -> np.ndarray:
    with mrcfile.open(path, permissive=True) as mrc:
        return np.array(mrc.data, dtype=float)


def blobs(points) -> np.ndarray:
    """A picture (points xy) or a volume (points xyz) of the four blobs; array axes yx or zyx."""
    grid = np.indices((SIZE,) * np.shape(points)[1])[::-1] - CENTRE
    out = np.zeros(grid.shape[1:])
    for point, weight in zip(points, WEIGHTS, strict=True):
        squared = sum((axis - x) ** 2 for axis, x in zip(grid, point, strict=True))
        out += weight * np.exp(-squared / (2 * SIGMA**2))
    return out


def correlation(a, b) -> float:
    return float(np.corrcoef(np.ravel(a), np.ravel(b))[0, 1])


def table(path, block: str) -> pd.DataFrame:
    """One loop of a STAR file that RELION wrote, as text; by no code of this package."""
    lines = path.read_text().split(f"data_{block}\n", 1)[1].split("\ndata_")[0].splitlines()
    rows = [line.split() for line in lines if line.strip() and not line.startswith(("#", "loop_"))]
    labels = [row[0].removeprefix("_") for row in rows if row[0].startswith("_")]
    return pd.DataFrame([row for row in rows if not row[0].startswith("_")], columns=labels)


def numbers(frame, *labels) -> np.ndarray:
    return frame[list(labels)].to_numpy(dtype=float)


def write_and_convert(relion, poses, folder, dialect, name="ours.star"):
    """Write; RELION 3.1 itself brings a file of 3.0 to its own form."""
    cryotypes.write(poses, folder / name, dialect=dialect)
    if dialect == "3.1":
        return folder / name
    relion("relion_convert_star", "--i", name, "--o", f"converted_{name}")
    return folder / f"converted_{name}"


@pytest.fixture(params=["3.1", "3.0"])
def dialect(request):
    return request.param


# reading rows


def assert_same_rows(ours: PoseSet, theirs: pd.DataFrame):
    """What RELION prints has six decimals, or seven significant digits where that is fewer."""
    assert list(theirs["rlnImageName"]) == list(ours.features["rlnImageName"])
    assert set(theirs["rlnMicrographName"]) == {ours.experiment_id}
    place = numbers(theirs, "rlnCoordinateX", "rlnCoordinateY")
    np.testing.assert_allclose(place, ours.position[:, :2], atol=1e-4)
    origin = numbers(theirs, "rlnOriginXAngst", "rlnOriginYAngst")
    np.testing.assert_allclose(origin, -ours.shift[:, :2] * PIXEL, atol=1e-4)
    triplets = numbers(theirs, "rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi")
    difference = turn(triplets) * ours.orientation.inv()
    assert np.degrees(difference.magnitude()).max() < 1e-4
    assert list(theirs["rlnClassNumber"].astype(int)) == list(ours.features["rlnClassNumber"])


def test_star_handler_rewrites_the_same_rows(relion, tmp_path, dialect):
    ours = images_at(GENERAL + SPECIAL)
    written = write_and_convert(relion, ours, tmp_path, dialect)
    select = ("--select", "rlnCoordinateX", "--minval", 0)
    relion("relion_star_handler", "--i", written.name, "--o", "out.star", *select)
    assert_same_rows(ours, table(tmp_path / "out.star", "particles"))
    optics = table(tmp_path / "out.star", "optics")
    assert numbers(optics, "rlnImagePixelSize").tolist() == [[PIXEL]]


def test_what_relion_rewrote_is_read_back(relion, tmp_path, dialect):
    ours = images_at(GENERAL + SPECIAL)
    written = write_and_convert(relion, ours, tmp_path, dialect)
    select = ("--select", "rlnCoordinateX", "--minval", 0)
    relion("relion_star_handler", "--i", written.name, "--o", "out.star", *select)
    (back,) = cryotypes.read_poses(tmp_path / "out.star")
    assert back.experiment_id == ours.experiment_id
    assert back.pixel_spacing == PIXEL
    np.testing.assert_allclose(back.position, ours.position, atol=1e-4)
    np.testing.assert_allclose(back.shift, ours.shift, atol=1e-4)
    assert np.degrees((back.orientation * ours.orientation.inv()).magnitude()).max() < 1e-4
    assert list(back.features["rlnImageName"]) == list(ours.features["rlnImageName"])


def test_star_handler_keeps_two_micrographs_apart(relion, tmp_path, dialect):
    first, second = images_at(GENERAL[:2]), images_at(GENERAL[2:])
    second.experiment_id = "mic_002.mrc"
    written = write_and_convert(relion, [first, second], tmp_path, dialect)
    only = ("--select_by_str", "rlnMicrographName", "--select_include", "mic_002")
    relion("relion_star_handler", "--i", written.name, "--o", "out.star", *only)
    assert_same_rows(second, table(tmp_path / "out.star", "particles"))


# orientation and shift


@pytest.fixture
def projections(relion, tmp_path, dialect):
    """Pictures by relion_project, one a pose, of the blobs turned and shifted by our file."""

    def project(ours) -> np.ndarray:
        write_mrc(tmp_path / "reference.mrc", blobs(BLOBS))
        written = write_and_convert(relion, ours, tmp_path, dialect)
        relion(
            *("relion_project", "--i", "reference.mrc", "--o", "pictures"),
            *("--ang", written.name, "--angpix", PIXEL, "--ignore_particle_name"),
        )
        return read_mrc(tmp_path / "pictures.mrcs").reshape(-1, SIZE, SIZE)

    return project


def predicted(orientation: Rotation, shift) -> np.ndarray:
    return blobs(orientation.apply(BLOBS)[:, :2] + np.asarray(shift)[:2])


def test_blobs_project_to_where_orientation_and_shift_say(projections):
    ours = images_at(GENERAL + SPECIAL)
    pictures = projections(ours)
    assert len(pictures) == len(ours)
    for i, picture in enumerate(pictures):
        expected = predicted(ours.orientation[i], ours.shift[i])
        assert correlation(picture, expected) > 0.99, (GENERAL + SPECIAL)[i]


def test_shifts_are_pixels_of_the_positions_where_the_images_are_binned(projections):
    ours = images_at(GENERAL)
    ours.pixel_spacing = PIXEL / 2  # micrographs at 1 Å, images of particles at 2 Å
    for i, picture in enumerate(projections(ours)):
        assert correlation(picture, predicted(ours.orientation[i], ours.shift[i] / 2)) > 0.99
        assert correlation(picture, predicted(ours.orientation[i], ours.shift[i])) < 0.9


def changed_angle(axis: int):
    def change(orientation, shift):
        triplet = angles(orientation)
        triplet[axis] *= -1
        return turn(triplet)[0], shift

    return change


WRONG = {
    "rot negated": changed_angle(0),
    "tilt negated": changed_angle(1),
    "psi negated": changed_angle(2),
    "inverse rotation": lambda o, s: (o.inv(), s),
    "rot and psi swapped": lambda o, s: (turn(angles(o)[::-1])[0], s),
    "x of the shift negated": lambda o, s: (o, s * [-1, 1, 1]),
    "y of the shift negated": lambda o, s: (o, s * [1, -1, 1]),
    "x and y of the shift swapped": lambda o, s: (o, s[[1, 0, 2]]),
    "shift left out": lambda o, s: (o, s * 0),
    "shift in Å": lambda o, s: (o, s * PIXEL),
}


def test_every_angle_and_every_sign_is_seen_to_matter(projections):
    ours = images_at(GENERAL)
    pictures = projections(ours)
    seen = {
        (what, triplet): correlation(picture, predicted(*wrong(ours.orientation[i], ours.shift[i])))
        for (i, picture), (what, wrong) in product(enumerate(pictures), WRONG.items())
        for triplet in [GENERAL[i][0]]
    }
    assert {key: value for key, value in seen.items() if value > 0.9} == {}


def test_a_volume_is_turned_and_shifted_as_orientation_and_shift_say(relion, tmp_path):
    ours = images_at([((25, 40, 70), (-5, 3, -4))], ndim=3)
    ours.position += [0, 0, 50]
    cryotypes.write(ours, tmp_path / "ours.star", dialect="3.1")
    row = table(tmp_path / "ours.star", "particles").iloc[0]
    pose = [
        *("--rot", row["rlnAngleRot"], "--tilt", row["rlnAngleTilt"], "--psi", row["rlnAnglePsi"]),
        *("--xoff", float(row["rlnOriginXAngst"]) / PIXEL),
        *("--yoff", float(row["rlnOriginYAngst"]) / PIXEL),
        *("--zoff", float(row["rlnOriginZAngst"]) / PIXEL),
    ]
    write_mrc(tmp_path / "reference.mrc", blobs(BLOBS))
    relion(
        *("relion_project", "--i", "reference.mrc", "--o", "turned.mrc", "--3d_rot"),
        *("--angpix", PIXEL, *pose),
    )
    turned = read_mrc(tmp_path / "turned.mrc").reshape(SIZE, SIZE, SIZE)
    orientation, shift = ours.orientation[0], ours.shift[0]
    assert correlation(turned, blobs(orientation.apply(BLOBS) + shift)) > 0.99
    for what, wrong in WRONG.items():
        o, s = wrong(orientation, shift)
        assert correlation(turned, blobs(o.apply(BLOBS) + s)) < 0.9, what
    assert correlation(turned, blobs(orientation.apply(BLOBS) + shift * [1, 1, -1])) < 0.9


def test_centring_on_a_point_of_the_reference_moves_by_its_turned_vector(relion, tmp_path, dialect):
    ours = images_at(GENERAL + SPECIAL)
    written = write_and_convert(relion, ours, tmp_path, dialect)
    point = np.array([3.0, -2.0, 4.0])
    centre = [
        part for axis, x in zip("XYZ", point, strict=True) for part in (f"--center_{axis}", x)
    ]
    relion("relion_star_handler", "--i", written.name, "--o", "out.star", "--center", *centre)
    theirs = table(tmp_path / "out.star", "particles")
    shift = -numbers(theirs, "rlnOriginXAngst", "rlnOriginYAngst") / PIXEL
    expected = ours.shift + ours.orientation.apply(point)
    np.testing.assert_allclose(shift, expected[:, :2], atol=1e-4)
    assert np.abs(shift - ours.shift[:, :2]).max() > 1  # it did move them


# where zero is


def write_micrograph(folder, bright, spacing):
    """Write mic.mrc, dark but for the pixels ``bright`` (xy, 0-based), and mics.star for it."""
    micrograph = np.random.default_rng(0).normal(0, 0.01, (200, 220))
    micrograph[bright[:, 1], bright[:, 0]] = 1000
    write_mrc(folder / "mic.mrc", micrograph, spacing)
    (folder / "mics.star").write_text(f"""
# version 30001

data_optics

loop_
_rlnOpticsGroupName #1
_rlnOpticsGroup #2
_rlnMicrographOriginalPixelSize #3
_rlnVoltage #4
_rlnSphericalAberration #5
_rlnAmplitudeContrast #6
_rlnMicrographPixelSize #7
opticsGroup1 1 {spacing} 300 2.7 0.1 {spacing}

# version 30001

data_micrographs

loop_
_rlnMicrographName #1
_rlnOpticsGroup #2
mic.mrc 1
""")


def extracted(relion, folder, box, *options) -> np.ndarray:
    """Boxes that relion_preprocess cuts out of the micrographs."""
    relion(
        *("relion_preprocess", "--i", "mics.star", "--part_dir", "boxes/"),
        *("--part_star", "boxes/particles.star", "--extract", "--extract_size", box, *options),
    )
    (stack,) = (folder / "boxes").rglob("*.mrcs")
    return read_mrc(stack).reshape(-1, box, box)


def brightest(picture) -> tuple[int, int]:
    """Find x and y."""
    y, x = np.unravel_index(picture.argmax(), picture.shape)
    return int(x), int(y)


@pytest.mark.parametrize("box", [32, 24])
def test_the_box_around_a_position_has_that_pixel_at_its_centre(relion, tmp_path, box):
    bright = np.array([[101, 90, 0], [60, 121, 0]])
    write_micrograph(tmp_path, bright, PIXEL)
    ours = PoseSet(bright.astype(float), None, None, "mic.mrc", PIXEL)
    cryotypes.write(ours, tmp_path / "mic_picks.star", dialect="3.0", ndim=2)
    picks = ("--coord_dir", "./", "--coord_suffix", "_picks.star")
    boxes = extracted(relion, tmp_path, box, *picks)
    assert [brightest(picture) for picture in boxes] == [(box // 2, box // 2)] * 2

    (back,) = cryotypes.read_poses(tmp_path / "boxes" / "particles.star", pixel_spacing=PIXEL)
    np.testing.assert_allclose(back.position, bright)
    assert back.experiment_id == "mic.mrc"


def test_extracting_again_recentred_finds_position_plus_shift(relion, tmp_path):
    ours = images_at([((10, 20, 30), (-8, 4, 0)), ((0, 0, 0), (6, 10, 0))])
    ours.experiment_id, ours.pixel_spacing = "mic.mrc", PIXEL / 2
    ours.position = np.array([[101.0, 90, 0], [60, 121, 0]])
    bright = (ours.position + ours.shift).astype(int)
    write_micrograph(tmp_path, bright, PIXEL / 2)
    write_mrc(tmp_path / "particles.mrcs", np.zeros((2, SIZE, SIZE)))
    cryotypes.write(ours, tmp_path / "ours.star", dialect="3.1")
    again = ("--reextract_data_star", "ours.star", "--recenter", "--ref_angpix", PIXEL)
    centre = ("--recenter_x", 0, "--recenter_y", 0, "--recenter_z", 0)
    boxes = extracted(relion, tmp_path, 32, *again, *centre)
    assert [brightest(picture) for picture in boxes] == [(16, 16)] * 2

    (back,) = cryotypes.read_poses(tmp_path / "boxes" / "particles.star", pixel_spacing=PIXEL / 2)
    np.testing.assert_allclose(back.position + back.shift, ours.position + ours.shift, atol=1e-4)
