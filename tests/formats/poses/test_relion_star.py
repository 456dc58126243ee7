"""RELION's particle files of every generation, checked against hand arithmetic and scipy.

What is expected of a file is worked out by `truth`, a small reading of its own that follows
RELION's source and shares no code with the package.
"""

from __future__ import annotations

import functools
import gzip
import re
from dataclasses import dataclass, field, replace
from itertools import product

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy.spatial.transform import Rotation

import cryotypes
from cryotypes import PoseSet
from cryotypes.errors import GuessWarning, LossWarning, ReadError, WriteError
from cryotypes.formats.poses import relion_star
from cryotypes.formats.shared.declaration import Head
from cryotypes.testing import assert_same, zoo

read, write = relion_star.FORMAT.read, relion_star.FORMAT.write
save_as = functools.partial(cryotypes.write, format="relion-star")

# poses that are new have no tilt series; one test is about what is said of it
pytestmark = pytest.mark.filterwarnings("ignore:.*the unbinned tilt series is unknown:UserWarning")

DIALECTS = ("3.0", "3.1", "4.0", "5.0")
MICROGRAPH, COORDINATES = "rlnMicrographName", ("rlnCoordinateX", "rlnCoordinateY")
XYZ = (*COORDINATES, "rlnCoordinateZ")
CENTRED = tuple(f"rlnCenteredCoordinate{axis}Angst" for axis in "XYZ")
ORIGIN = ("rlnOriginX", "rlnOriginY", "rlnOriginZ")
ANGST = ("rlnOriginXAngst", "rlnOriginYAngst", "rlnOriginZAngst")
ANGLES = ("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi")
SUB = ("rlnTomoSubtomogramRot", "rlnTomoSubtomogramTilt", "rlnTomoSubtomogramPsi")
GROUP = "rlnOpticsGroup"


def block(name: str, labels, *rows) -> str:
    header = "".join(f"_{label} #{i}\n" for i, label in enumerate(labels, 1))
    lines = "".join("  ".join(map(str, row)) + "\n" for row in rows)
    return f"\ndata_{name}\n\nloop_\n{header}{lines}\n"


def optics(*rows, labels=("rlnImagePixelSize",)) -> str:
    return block("optics", (GROUP, "rlnOpticsGroupName", *labels), *rows)


def plain(labels, *rows) -> str:
    """A file of RELION 2 or 3.0: one block without name."""
    return block("", labels, *rows)


def tables(text: str) -> dict[str, pd.DataFrame]:
    """The loops of a STAR text without quotes, as text."""
    found = {}
    for part in re.split(r"^data_", text, flags=re.MULTILINE)[1:]:
        name, _, body = part.partition("\n")
        lines = [line.split("#")[0].split() for line in body.splitlines() if line.strip()]
        lines = [words for words in lines if words and words != ["loop_"]]
        labels = [words[0][1:] for words in lines if words[0].startswith("_") and len(words) == 1]
        rows = [words for words in lines if not words[0].startswith("_")]
        found[name.strip()] = pd.DataFrame(rows, columns=labels)
    return found


@dataclass
class Truth:
    """Ids; where the particles are, in Å; how they are turned."""

    ids: list[str]
    place: np.ndarray
    orientation: Rotation | None


def truth(path, sizes=None) -> Truth:
    """Read a file by RELION's own formulae (conventions_poses.md, sections 1 to 4)."""
    blocks = tables(path.read_text())
    table = blocks["particles"] if "particles" in blocks else blocks[""]
    if "optics" in blocks and GROUP in table:
        rest = blocks["optics"].drop(columns=[c for c in blocks["optics"] if c in table.columns
                                              and c != GROUP])  # fmt: skip
        table = table.merge(rest, on=GROUP, how="left")
    n = len(table)

    def numbers(*labels):
        columns = [table[x] if x in table else pd.Series(np.zeros(n)) for x in labels]
        return np.stack([c.astype(float).to_numpy() for c in columns], axis=1)

    def turn(labels):
        return Rotation.from_euler("ZYZ", numbers(*labels), degrees=True).inv()

    def spacing(*labels):
        for label in labels:
            if label in table:
                return numbers(label)
        return numbers("rlnDetectorPixelSize") * 1e4 / numbers("rlnMagnification")

    image = ("rlnImagePixelSize", "rlnPixelSize")
    px = spacing("rlnMicrographPixelSize", "rlnTomoTiltSeriesPixelSize", *image)
    ids = table["rlnTomoName" if "rlnTomoName" in table else MICROGRAPH].tolist()
    outer = turn(SUB) if SUB[0] in table else Rotation.identity(n)
    if CENTRED[0] in table:
        px = numbers("rlnTomoTiltSeriesPixelSize")
        place = numbers(*CENTRED) + np.array([sizes[i] for i in ids]) / 2 * px
    else:
        place = numbers(*XYZ) * px
    if ANGST[0] in table:
        place = place - outer.apply(numbers(*ANGST))
    elif ORIGIN[0] in table:
        place = place - outer.apply(numbers(*ORIGIN) * spacing(*image))
    known = any(label in table for label in ANGLES + SUB)
    return Truth(ids, place, outer * turn(ANGLES) if known else None)


def ours(posesets) -> Truth:
    """The same of PoseSets, in the order of the file they are from."""
    rows = np.concatenate([p.features.index for p in posesets]).argsort(kind="stable")
    ids = np.repeat([p.experiment_id for p in posesets], [len(p) for p in posesets])[rows]
    places = [
        (p.position + (0 if p.shift is None else p.shift)) * p.pixel_spacing for p in posesets
    ]
    turns = [p.orientation for p in posesets]
    orientation = None if turns[0] is None else Rotation.concatenate(turns)[rows]
    return Truth(ids.tolist(), np.concatenate(places)[rows], orientation)


def agree(a: Truth, b: Truth) -> None:
    assert a.ids == b.ids
    assert np.linalg.norm(a.place - b.place, axis=1).max(initial=0) < 1e-6
    assert (a.orientation is None) == (b.orientation is None)
    if a.orientation is not None and len(a.ids):
        turns = (a.orientation.inv() * b.orientation).magnitude()
        assert np.rad2deg(turns).max() < 1e-6


# --- files of each generation ---

SPA_3_0 = plain(
    (MICROGRAPH, *COORDINATES, *ANGLES, *ORIGIN[:2], "rlnMagnification", "rlnDetectorPixelSize",
     "rlnImageName", "rlnClassNumber"),
    ("mic_1.mrc", 101, 90, 25, 40, 70, 5, -3, 10000, 2, "000001@s.mrcs", 3),
    ("mic_2.mrc", 10.25, 20, -25, 140, 7, -1.5, 0, 10000, 2, "000002@s.mrcs", 1),
    ("mic_1.mrc", 7, 8.5, 0, 0, 33, 0, 0.25, 10000, 2, "000003@s.mrcs", 2),
)  # fmt: skip
SPA_3_1 = optics(
    (7, "b", 4.0, 1.0), (3, "a", 4.0, 1.0), labels=("rlnImagePixelSize", "rlnMicrographPixelSize")
) + block(
    "particles",
    (MICROGRAPH, *COORDINATES, *ANGLES, *ANGST[:2], GROUP),
    ("mic_001.mrc", 1101, 690, 25, 40, 70, 8, -4, 7),
    ("mic_001.mrc", 5, 6.5, 190, -40, 700, 0, 0, 3),  # angles far outside are legal
)
TOMO_4 = optics(
    (1, "o1", 1.35, 5.4), labels=("rlnTomoTiltSeriesPixelSize", "rlnImagePixelSize")
) + block(
    "particles",
    ("rlnTomoName", "rlnTomoParticleName", *XYZ, *SUB, *ANGLES, *ANGST, GROUP),
    ("TS_01", "TS_01/1", 100, 200, 300, 90, 0, 0, 25, 40, 70, 2.7, 0, 1.35, 1),
    ("TS_02", "TS_02/1", 1, 2, 3, 10, 80, -30, 0, 90, 5, -1, 2, 3, 1),
    ("TS_01", "TS_01/2", 4, 5, 6, -170, 100, 20, 1, 91, 0, 0, 0, 0, 1),
)
TOMO_5 = "\ndata_general\n\n_rlnTomoSubTomosAre2DStacks   1\n" + optics(
    (1, "o1", 2.0, 2.0), labels=("rlnTomoTiltSeriesPixelSize", "rlnImagePixelSize")
) + block(
    "particles",
    ("rlnTomoName", *SUB, *ANGLES, "rlnAngleTiltPrior", "rlnAnglePsiPrior", GROUP,
     "rlnTomoVisibleFrames", *ANGST, *CENTRED),
    ("TS_01", 90, 0, 0, 25, 40, 70, 90, 0, 1, "[1,0,1]", 4, 0, 2, 20, -10, 6),
    ("TS_02", 5, 6, 7, 8, 9, 10, 90, 0, 1, "[1,1,1]", 1, 2, 3, 0, 0, 0),
    ("TS_01", 0, 0, 0, 0, 0, 0, 90, 0, 1, "[0,0,1]", 0, 0, 0, -100, -101, -50),
)  # fmt: skip
TOMOGRAMS = block(
    "global",
    ("rlnTomoName", "rlnTomoTiltSeriesPixelSize", "rlnTomoSizeX", "rlnTomoSizeY", "rlnTomoSizeZ"),
    ("TS_01", 2.0, 100, 101, 50),
    ("TS_02", 2.0, 4000, 3000, 2000),
)
SIZES = {"TS_01": (100, 101, 50), "TS_02": (4000, 3000, 2000)}
WARP_3D = plain(
    (MICROGRAPH, *XYZ, *ANGLES, "rlnMagnification", "rlnDetectorPixelSize", "rlnPixelSize"),
    ("TS_01.tomostar", 10, 20, 30, 3779, 40, 70, 10000, 5.4, 5.4),
)
WARP_2D = optics(
    (1, "o1", 1.35, 5.4), labels=("rlnTomoTiltSeriesPixelSize", "rlnImagePixelSize")
) + block(
    "particles",
    ("rlnTomoName", "rlnTomoVisibleFrames", *XYZ, *ANGLES, GROUP),
    ("TS_01.tomostar", "[1,1]", 10, 20, 30, 25, 40, 70, 1),
)
FILES = {"3.0": SPA_3_0, "3.1": SPA_3_1, "4.0": TOMO_4, "5.0": TOMO_5}


@pytest.fixture
def project(save):
    """One file of each generation, with the tomograms.star that 5.0 needs beside it."""
    save(TOMOGRAMS, "tomograms.star")
    folder = {"4.0": "other/"}  # its series have other pixels
    return {name: save(text, f"{folder.get(name, '')}{name}.star") for name, text in FILES.items()}


# --- reading ---


@pytest.mark.parametrize("name", DIALECTS)
def test_every_generation(project, name):
    """Positions, shifts and orientations are those of RELION's formulae."""
    posesets = read(project[name])
    agree(ours(posesets), truth(project[name], SIZES))
    assert {p.metadata["dialect"] for p in posesets} == {name}
    assert {str(p.source) for p in posesets} == {str(project[name])}


def test_relion_3_0_by_hand(project):
    """Origins are in pixels of the images, to be subtracted; 10000 and 2 µm are 2 Å."""
    first, second = read(project["3.0"])
    assert (first.experiment_id, second.experiment_id) == ("mic_1.mrc", "mic_2.mrc")
    assert first.pixel_spacing == 2.0
    assert_allclose(first.position, [[101, 90, 0], [7, 8.5, 0]])
    assert_allclose(first.shift, [[-5, 3, 0], [0, -0.25, 0]])
    # RELION's (25, 40, 70): conventions_poses.md, section 21
    assert_allclose(first.orientation.apply([14, 0, 0])[0], [-2.235467, -11.157248, 8.155888],
                    atol=1e-5)  # fmt: skip
    assert first.features.index.tolist() == [0, 2]
    assert first.features["rlnClassNumber"].tolist() == [3, 2]
    assert list(second.features.columns) == ["rlnMagnification", "rlnDetectorPixelSize",
                                             "rlnImageName", "rlnClassNumber"]  # fmt: skip
    assert first.metadata["ndim"] == 2


def test_relion_3_1_by_hand(project):
    """Coordinates are micrograph pixels of 1 Å, though the images have 4 Å; groups 7 and 3."""
    (poses,) = read(project["3.1"])
    assert poses.pixel_spacing == 1.0
    assert_allclose(poses.position, [[1101, 690, 0], [5, 6.5, 0]])
    assert_allclose(poses.shift, [[-8, 4, 0], [0, 0, 0]])
    # (190, -40, 700) is a turn by psi - 20 after -40 after rot - 170
    expected = Rotation.from_euler("ZYZ", [-170, -40, -20], degrees=True).inv()
    assert np.rad2deg((poses.orientation[1].inv() * expected).magnitude()) < 1e-9
    assert poses.metadata["blocks"]["optics"][GROUP].tolist() == [7, 3]


def test_relion_4_by_hand(project):
    """The origin is in the frame of the subtomogram: (2.7, 0, 1.35) Å, turned by -90° about z."""
    first, second = read(project["4.0"])
    assert first.pixel_spacing == 1.35  # of the tilt series, not of the images
    assert_allclose(first.position, [[100, 200, 300], [4, 5, 6]])
    # its inverse turns the frame by -90°: x to -y; subtracted: +2 px in y, -1 px in z
    assert_allclose(first.shift[0], [0, 2, -1], atol=1e-12)
    # outer after inner: (-2.235, -11.157, 8.156) is turned by -90° about z: (x, y) to (y, -x)
    assert_allclose(first.orientation.apply([14, 0, 0])[0], [-11.157248, 2.235467, 8.155888],
                    atol=1e-5)  # fmt: skip
    assert first.features["rlnTomoParticleName"].tolist() == ["TS_01/1", "TS_01/2"]
    assert list(first.features[SUB[0]]) == [90, -170]  # kept: the images were cut out so
    assert second.experiment_id == "TS_02"
    assert "rlnAngleRot" not in first.features


def test_relion_5_by_hand(project):
    """Å from the centre N / 2, of 100 × 101 × 50 pixels of 2 Å: 50, 50.5, 25."""
    first, second = read(project["5.0"])
    assert_allclose(first.position, [[60, 45.5, 28], [0, 0, 0]])
    assert_allclose(second.position, [[2000, 1500, 1000]])
    assert_allclose(first.shift[0], [0, 2, -1], atol=1e-12)
    assert first.metadata["tomogram"] == {"dimensions": (100, 101, 50), "pixel_spacing": 2.0}
    assert first.metadata["blocks"]["general"] == {"rlnTomoSubTomosAre2DStacks": 1}
    assert first.features["rlnTomoVisibleFrames"].tolist() == ["[1,0,1]", "[0,0,1]"]


def test_warp_by_hand(save):
    """Warp's coordinates are in pixels of rlnPixelSize; of 2D stacks, in those of the images."""
    (poses,) = read(save(WARP_3D))
    assert (poses.pixel_spacing, poses.experiment_id) == (5.4, "TS_01.tomostar")
    assert_allclose(poses.position, [[10, 20, 30]])
    expected = Rotation.from_euler("ZYZ", [3779 - 10 * 360, 40, 70], degrees=True).inv()
    assert np.rad2deg((poses.orientation[0].inv() * expected).magnitude()) < 1e-9
    (poses,) = read(save(WARP_2D))
    assert poses.pixel_spacing == 5.4
    assert_allclose(poses.position, [[10, 20, 30]])
    # the same from RELION is in pixels of the tilt series
    (poses,) = read(save(WARP_2D.replace("TS_01.tomostar", "TS_01")))
    assert poses.pixel_spacing == 1.35


@pytest.mark.parametrize("n", [0, 1, 2])
@pytest.mark.parametrize("labels", [ANGLES[2:], ANGLES[1:2], ANGLES[:2], (), SUB[:1]])
def test_few_particles_and_few_angles(save, n, labels):
    """Angles that are not there are zero; without any, the orientation is unknown."""
    rows = [("m.mrc", 1 + i, 2, *(30 + i, 20)[: len(labels)]) for i in range(n)]
    path = save(plain((MICROGRAPH, *COORDINATES, *labels), *rows))
    (poses,) = read(path)
    assert len(poses) == n
    if not labels:
        assert poses.orientation is None
        return
    angles = np.zeros((n, 3))
    for i, label in enumerate(labels):
        angles[:, (*ANGLES, *SUB).index(label) % 3] = [(30 + k, 20)[i] for k in range(n)]
    expected = Rotation.from_euler("ZYZ", angles, degrees=True).inv()
    assert len(poses.orientation) == n
    assert_allclose(poses.orientation.as_matrix(), expected.as_matrix(), atol=1e-12)


def test_zero_angles_are_known_and_no_origin_is_none(save):
    """All angles zero is identity, not unknown; a file without origins has no shift."""
    (poses,) = read(save(plain((MICROGRAPH, *COORDINATES, *ANGLES), ("m", 1, 2, 0, 0, 0))))
    assert_allclose(poses.orientation.as_matrix(), [np.eye(3)])
    assert poses.shift is None
    assert poses.pixel_spacing == 0  # nothing in the file tells


@pytest.mark.parametrize("name", ["1", "007", "1e5", "nan", "空", "a/b/c.mrc"])
def test_names_are_verbatim(save, name):
    text = TOMO_4.replace("TS_01 ", f"{name} ")
    first, second = read(save(text))
    assert (first.experiment_id, second.experiment_id) == (name, "TS_02")


def test_no_names(save):
    """Without micrograph or tomogram, the stack of the image names the experiment."""
    text = plain(("rlnImageName", *ANGLES), ("1@a.mrcs", 1, 2, 3), ("2@b.mrcs", 1, 2, 3))
    with pytest.warns(GuessWarning, match="no positions"):
        a, b = read(save(text))
    assert (a.experiment_id, b.experiment_id) == ("a.mrcs", "b.mrcs")
    (alone,) = read(save(plain(COORDINATES, (1, 2))))
    assert alone.experiment_id == "file"  # coordinates of one micrograph: the file's name


def test_old_block_names_are_accepted(save):
    """pyem calls it images, Warp 1 something else: what counts is that poses are in it."""
    text = block("images", (MICROGRAPH, *COORDINATES), ("m", 1, 2))
    assert_allclose(read(save(text))[0].position, [[1, 2, 0]])
    with pytest.raises(ReadError, match="one block with particles, found 'a', 'b'"):
        read(save(text.replace("images", "a") + text.replace("images", "b")))


def test_origins_of_binned_images(save):
    """RELION 3.0's origins are in pixels of the images, coordinates in those of the micrograph."""
    labels = (MICROGRAPH, *COORDINATES, *ORIGIN[:2], "rlnMicrographPixelSize", "rlnPixelSize")
    (poses,) = read(save(plain(labels, ("m", 100, 200, 5, -3, 1.0, 8.0))))
    assert poses.pixel_spacing == 1.0
    assert_allclose(poses.shift, [[-40, 24, 0]])


# --- pixel sizes ---

SIZED = {
    "rlnMicrographPixelSize": 1.0,
    "rlnTomoTiltSeriesPixelSize": 1.5,
    "rlnImagePixelSize": 4.0,
    "rlnPixelSize": 5.0,
    "rlnDetectorPixelSize": 6.0,
    "rlnMicrographOriginalPixelSize": 0.5,
}


@pytest.mark.parametrize("where", ["optics", "particles"])
@pytest.mark.parametrize("first", range(len(SIZED)))
def test_which_pixel_size_counts(save, where, first):
    """The micrograph's, the tilt series', then the images'; the movie's only as a last resort."""
    sizes = dict(list(SIZED.items())[first:])
    if list(sizes) == ["rlnDetectorPixelSize", "rlnMicrographOriginalPixelSize"]:
        sizes = {"rlnDetectorPixelSize": 6.0}  # else doubtful, see below
    elif "rlnMicrographPixelSize" not in sizes and "rlnTomoTiltSeriesPixelSize" not in sizes:
        sizes["rlnMicrographOriginalPixelSize"] = next(iter(sizes.values()))
    if where == "optics":
        text = optics((2, "o", *sizes.values()), labels=sizes)
        text += block("particles", (MICROGRAPH, *COORDINATES, GROUP), ("m", 1, 2, 2))
    else:
        text = plain((MICROGRAPH, *COORDINATES, *sizes), ("m", 1, 2, *sizes.values()))
    (poses,) = read(save(text))
    assert poses.pixel_spacing == next(iter(sizes.values()))
    (poses,) = read(save(text), pixel_spacing=9.0)
    assert poses.pixel_spacing == 9.0


def test_a_doubtful_pixel_size_is_a_guess(save):
    """Image 4 Å, movie 0.5 Å, and the micrograph's forgotten: either may be meant."""
    sizes = {"rlnImagePixelSize": 4.0, "rlnMicrographOriginalPixelSize": 0.5}
    text = optics((1, "o", *sizes.values()), labels=sizes)
    text += block("particles", (MICROGRAPH, *COORDINATES, *ANGST[:2], GROUP), ("m", 1, 2, 4, 8, 1))
    path = save(text)
    with pytest.warns(GuessWarning, match=r"assumed rlnImagePixelSize 4 Å.*pixel_spacing="):
        (poses,) = read(path)
    assert poses.pixel_spacing == 4.0
    assert_allclose(poses.shift, [[-1, -2, 0]])
    (poses,) = read(path, pixel_spacing=1.0)  # said so: no guess, no warning
    assert_allclose(poses.shift, [[-4, -8, 0]])


def test_mixed_pixel_sizes(save):
    """Groups of different pixel sizes are different PoseSets, also of one experiment."""
    text = optics((2, "a", 1.0), (5, "b", 2.0)) + block(
        "particles",
        (MICROGRAPH, *COORDINATES, *ANGST[:2], GROUP),
        ("m", 1, 2, 4, 8, 2), ("m", 3, 4, 4, 8, 5), ("m", 5, 6, 4, 8, 2), ("n", 7, 8, 4, 8, 5),
    )  # fmt: skip
    path = save(text)
    a, b, c = read(path)
    assert [p.pixel_spacing for p in (a, b, c)] == [1.0, 2.0, 2.0]
    assert [p.experiment_id for p in (a, b, c)] == ["m", "m", "n"]
    assert_allclose(a.shift, [[-4, -8, 0]] * 2)
    assert_allclose(b.shift, [[-2, -4, 0]])
    assert a.features.index.tolist() == [0, 2]
    agree(ours([a, b, c]), truth(path))


def test_a_group_that_optics_do_not_know(save):
    """The pixel size is then unknown; nothing is borrowed from another group."""
    text = optics((1, "a", 2.0)) + block(
        "particles", (MICROGRAPH, *COORDINATES, GROUP), ("m", 1, 2, 1), ("n", 1, 2, 9)
    )
    m, n = read(save(text))
    assert (m.pixel_spacing, n.pixel_spacing) == (2.0, 0.0)


def test_groups_that_are_no_numbers(save):
    """A damaged optics table: the group is then unknown to it, and no other error."""
    text = optics((1, "a", 2.0), ("x", "b", 4.0)) + block(
        "particles", (MICROGRAPH, *COORDINATES, GROUP), ("m", 1, 2, 1), ("n", 1, 2, 9)
    )
    m, n = read(save(text))
    assert (m.pixel_spacing, n.pixel_spacing) == (2.0, 0.0)


def test_centred_coordinates_come_by_three(project, save):
    """One that is not there would be the centre."""
    for label in CENTRED:
        path = save(TOMO_5.replace(label, "rlnOther"), "damaged.star")
        with pytest.raises(ReadError, match=f"expected {CENTRED[0]}, .*, found no {label}"):
            read(path)


def test_shifts_in_angstrom_need_a_pixel_size(save):
    labels = (MICROGRAPH, *COORDINATES, *ANGST[:2])
    with pytest.raises(ReadError, match=r"origins in angstrom .*pixel_spacing="):
        read(save(plain(labels, ("m", 1, 2, 4, 8))))
    (poses,) = read(save(plain(labels, ("m", 1, 2, 0, 0))))  # zero is zero in any unit
    assert_allclose(poses.shift, [[0, 0, 0]])


# --- sizes of tomograms ---


def test_where_the_size_of_a_tomogram_comes_from(save, tmp_path):
    """An optimisation set, tomograms.star beside or given, or the sizes themselves."""
    path = save(TOMO_5, "Refine3D/job1/particles.star")
    both = r"TS_01, TS_02; no tomograms.star was found: give tomograms= .*tomogram_dimensions="
    with pytest.raises(ReadError, match=both):
        read(path)
    sized = read(path, tomogram_dimensions=SIZES)
    agree(ours(sized), truth(path, SIZES))
    assert_same(read(path, tomogram_dimensions=(100, 101, 50))[0], sized[0])
    with pytest.raises(ReadError, match=r"size of tomogram TS_02; no tomograms.star"):
        read(path, tomogram_dimensions={"TS_01": (100, 101, 50)})
    with pytest.raises(ValueError, match="expected x, y, z"):
        read(path, tomogram_dimensions=(100, 101))

    elsewhere = save(TOMOGRAMS, "Tomograms/job2/tomograms.star")
    assert_same(read(path, tomograms=elsewhere), sized)
    incomplete = save(TOMOGRAMS.replace("TS_02", "TS_99"), "incomplete.star")
    with pytest.raises(ReadError, match=r"size of tomogram TS_02; .*incomplete.star does not"):
        read(path, tomograms=incomplete)

    # paths in RELION's files are relative to the project, here two folders up
    listing = (
        "data_\n\n_rlnTomoParticlesFile Refine3D/job1/particles.star\n"
        "_rlnTomoTomogramsFile Tomograms/job2/tomograms.star\n"
    )
    optimisation_set = save(listing, "Refine3D/job1/run_optimisation_set.star")
    assert_same(read(path), sized)
    assert_same(read(optimisation_set), sized)
    assert_same(read(path, tomograms=optimisation_set), sized)
    assert_same(read(optimisation_set, tomogram_dimensions=SIZES), sized)
    save(listing.replace("job2", "job3"), "Refine3D/job1/run_optimisation_set.star")
    with pytest.raises(ReadError, match=r"rlnTomoTomogramsFile is .*job3.* does not exist"):
        read(optimisation_set)
    save(listing.replace("particles", "others"), "Refine3D/job1/run_optimisation_set.star")
    with pytest.raises(ReadError, match="does not exist"):
        read(optimisation_set)
    with pytest.raises(ReadError, match=r"no tomograms.star was found"):
        read(path)  # the set beside it is another file's

    (tmp_path / "Refine3D/job1/tomograms.star").write_text(TOMOGRAMS)
    assert_same(read(path), sized)
    assert_same(read(path, tomogram_dimensions={"TS_01": (100, 101, 50)}), sized)


def test_size_in_a_column_beside_the_option(save):
    """The option wins; a wrong one moves particles by half its error."""
    path = save(TOMO_5)
    a = read(path, tomogram_dimensions=(100, 101, 50))
    b = read(path, tomogram_dimensions=(101, 101, 48))
    assert_allclose(b[0].position - a[0].position, [[0.5, 0, -1]] * 2)


def test_centred_coordinates_need_a_pixel_size(save):
    text = plain(("rlnTomoName", *CENTRED), ("TS_01", 1, 2, 3))
    with pytest.raises(ReadError, match=r"coordinates in angstrom .*pixel_spacing="):
        read(save(text), tomogram_dimensions=(10, 10, 10))
    with pytest.raises(ValueError, match="without its pixel spacing is no size"):
        read(save(text), tomogram_dimensions=(10, 10, 10), pixel_spacing=2.0)
    size = {"tomogram_dimensions": (10, 10, 10), "tomogram_spacing": 2.0}
    for options in ({}, {"pixel_spacing": 2.0}):
        (poses,) = read(save(text), **size, **options)
        assert_allclose(poses.position, [[5.5, 6, 6.5]])
    (poses,) = read(save(text), **size, pixel_spacing=4.0)
    assert_allclose(poses.position, [[2.75, 3, 3.25]])


def test_another_pixel_size_than_the_tilt_series(save):
    """pixel_spacing=4 of a 2 Å series: the size, in pixels of the series, is halved."""
    save(TOMOGRAMS, "tomograms.star")
    first, _ = read(save(TOMO_5), pixel_spacing=4.0)
    assert first.pixel_spacing == 4.0
    assert_allclose(first.position[0], [30, 22.75, 14])


# --- errors of reading ---


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (SPA_3_0.replace("10.25", "left"),
         r"block '', column rlnCoordinateX, row 2: expected a .*number, found 'left'"),
        (SPA_3_1.replace("690", "<NA>"), r"block 'particles', column rlnCoordinateY, row 1"),
        (SPA_3_1.replace("690", "nan"), r"block 'particles', column rlnCoordinateY, row 1"),
        (SPA_3_1.replace("6.5", "inf"), r"column rlnCoordinateY, row 2"),
        (SPA_3_1.replace("-40", "NaN"), r"column rlnAngleTilt, row 2"),
        (SPA_3_1.replace("-4 ", "x "), r"column rlnOriginYAngst, row 1"),
        (block("optics", ("rlnOpticsGroup",), (1,)), r"expected particles .*found the blocks 'opt"),
        ("data_\n\n_a 1\n", "expected particles"),
        (SPA_3_1.replace("8  -4  7", "8  -4"), r"block 'particles', line 25: expected 9 values"),
    ],
)  # fmt: skip
def test_what_cannot_be_read(save, text, message):
    path = save(text, "bad.star")
    with pytest.raises(ReadError, match=message) as error:
        read(path)
    assert str(error.value).startswith(str(path))


def test_sniffing(project, save):
    """Particles are told from tilt series; an optimisation set stands for both."""
    assert all(relion_star.sniff(Head.of(path)) for path in project.values())
    assert not relion_star.sniff(Head.of(save(TOMOGRAMS)))
    assert relion_star.sniff(Head.of(save("data_\n_rlnTomoParticlesFile a.star\n")))
    assert cryotypes.identify(project["5.0"], "poses").name == "relion-star"


# --- writing what was read ---


def same_file(path, other) -> None:
    """Value by value: blocks, columns in order, rows in order; angles as orientations."""
    a, b = tables(path.read_text()), tables(other.read_text())
    assert list(a) == list(b)
    for name in a:
        assert list(a[name]) == list(b[name]), name
        assert len(a[name]) == len(b[name])
        for label in a[name]:
            if label in ANGLES:
                continue
            one, two = (pd.to_numeric(t[name][label], errors="coerce") for t in (a, b))
            if one.notna().all():
                assert_allclose(two, one, rtol=1e-12, atol=1e-9, err_msg=label)
            else:
                assert a[name][label].tolist() == b[name][label].tolist()


@pytest.mark.parametrize("name", DIALECTS)
def test_nothing_changed_nothing_changes(project, name, tmp_path):
    """Read and written: the same rows in the same order, columns, blocks and optics groups."""
    posesets = read(project[name])
    out = tmp_path / "out.star"
    report = save_as(posesets, out)
    same_file(project[name], out)
    agree(truth(project[name], SIZES), truth(out, SIZES))
    assert not report.lost
    assert not report.converted
    assert not report.assumed
    assert {"position", "orientation", "shift", "features", "pixel_spacing"} <= set(report.kept)
    assert (report.path, report.format) == (str(out), "relion-star")


@pytest.mark.parametrize(
    "name", ["relion3/relion_3.0.star", "relion3/relion_3.1_optics2.star",
             "relion5_project/Refine3D/job074/run_data.star"],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:.*does not end with a line end")  # one of them does not
def test_real_files_come_back_value_by_value(shared_data, name, tmp_path):
    path, out = shared_data / name, tmp_path / "out.star"
    options = {"tomogram_dimensions": (4000, 4000, 2000)} if "5" in name else {}
    posesets = read(path, **options)
    report = save_as(posesets, out)
    assert not report.lost
    same_file(path, out)
    sizes = {p.experiment_id: (4000, 4000, 2000) for p in posesets}
    agree(truth(path, sizes), truth(out, sizes))
    agree(truth(path, sizes), ours(posesets))
    # angles too, as far as the file's own digits go: priors choose between (a, b, c) and its equal
    a, b = (tables(p.read_text())["" if "3.0" in name else "particles"] for p in (path, out))
    for label in ANGLES:
        turn = np.abs(a[label].astype(float) - b[label].astype(float)) % 360
        assert np.minimum(turn, 360 - turn).max() < 1e-5


def test_a_selection_is_written_in_the_original_form(project, tmp_path):
    """poses[mask]: the original rows that are left, and nothing else changed."""
    first, second = read(project["4.0"])
    out = tmp_path / "out.star"
    save_as([second, first[first.position[:, 0] < 50]], out)
    kept = tables(project["4.0"].read_text())
    kept["particles"] = kept["particles"].iloc[1:]
    found = tables(out.read_text())
    assert list(found) == list(kept)
    assert found["particles"]["rlnTomoParticleName"].tolist() == ["TS_02/1", "TS_01/2"]
    assert list(found["particles"]) == list(kept["particles"])
    assert found["optics"].astype(str).to_dict() == kept["optics"].to_dict()
    # a file without the particles keeps everything but the rows
    save_as([first[:0], second[:0]], out, overwrite=True)
    found = tables(out.read_text())
    assert len(found["particles"]) == 0
    assert list(found["particles"]) == list(kept["particles"])
    assert len(found["optics"]) == 1
    assert len(read(out)[0]) == 0


def test_subtomogram_angles_stay(project, tmp_path):
    """Images were cut out in turned boxes: their angles stay, ours go into the others."""
    first, second = read(project["4.0"])
    new = Rotation.from_euler("ZYZ", [[11, 22, 33], [44, 55, 66]], degrees=True)
    first.orientation = new
    first.shift = np.array([[1.0, 2, 3], [4, 5, 6]])
    out = tmp_path / "out.star"
    save_as([first, second], out)
    found = tables(out.read_text())["particles"]
    assert found[SUB[0]].astype(float).tolist() == [90, 10, -170]
    after = truth(out)
    assert np.rad2deg((after.orientation[[0, 2]].inv() * new).magnitude()).max() < 1e-6
    assert_allclose(after.place[0], np.array([101, 202, 303]) * 1.35)


def test_priors_choose_between_equal_angles(project, tmp_path):
    """(a, b, c) is (a + 180, -b, c + 180); the one near the prior of tilt is written."""
    text = project["5.0"].read_text().replace("8  9  10  90", "8  -9  10  -20")
    path = project["5.0"].with_name("prior.star")
    path.write_text(text)
    out = tmp_path / "out.star"
    save_as(read(path), out)
    found = tables(out.read_text())["particles"]
    assert_allclose(found.loc[1, list(ANGLES)].astype(float), [8, -9, 10], atol=1e-9)


# --- from one generation to another ---


@pytest.mark.filterwarnings("ignore::cryotypes.errors.LossWarning")
@pytest.mark.filterwarnings("ignore:.*are outside their tomogram:UserWarning")
@pytest.mark.parametrize(("source", "target"), list(product(DIALECTS, DIALECTS)))
def test_every_generation_into_every_other(project, source, target, tmp_path):
    """Where the particles are (Å), and how they are turned, stays the same; up and down."""
    posesets = read(project[source])
    (tmp_path / "out").mkdir()
    out = tmp_path / "out" / "out.star"
    sizes = {p.experiment_id: SIZES.get(p.experiment_id, (500, 600, 301)) for p in posesets}
    options = {}
    if target == "5.0" and source != "5.0":
        options = {"tomogram_dimensions": sizes}
    if target in ("4.0", "5.0") and source in ("3.0", "3.1"):
        options["tomogram_spacing"] = 2.0
    report = write(posesets, out, dialect=target, ndim=3, **options)
    before, after = truth(project[source], sizes), truth(out, sizes)
    agree(before, after)
    again = read(out, **({"tomogram_dimensions": sizes} if target == "5.0" else {}))
    agree(ours(again), after)
    assert {p.metadata["dialect"] for p in again} == {target}
    assert "orientation" in report.kept

    found = tables(out.read_text())
    names = set(found["particles"] if target != "3.0" else found[""])
    assert (target == "3.0") == ("optics" not in found)
    assert (target in ("4.0", "5.0")) == ("rlnTomoName" in names)
    assert (target == "5.0") == (CENTRED[0] in names)
    assert (target == "5.0") != (XYZ[0] in names)
    assert (target == "3.0") == (ORIGIN[0] in names)
    assert (target != "3.0") == (ANGST[0] in names)
    if target in ("3.0", "3.1"):
        assert SUB[0] not in names
    # and back: nothing moved
    back = tmp_path / "out" / "back.star"
    write(again, back, dialect=source, ndim=3, overwrite=True,
          **({"tomogram_dimensions": sizes} if source == "5.0" else {}))  # fmt: skip
    agree(truth(back, sizes), before)


def test_the_report_of_a_downgrade(project, tmp_path):
    """What an older file cannot say is named: blocks, priors, subtomogram angles."""
    posesets = read(project["5.0"])
    out = tmp_path / "out.star"
    with pytest.warns(LossWarning, match="block 'general'"):
        report = save_as(posesets, out, dialect="3.0")
    assert set(report.lost) == {"block 'general'", "angle priors"}
    assert "subtomogram angles" in report.converted
    with pytest.warns(LossWarning):
        report = save_as(posesets, out, dialect="3.1", overwrite=True)
    assert set(report.lost) == {"angle priors", "rlnTomoSubTomosAre2DStacks"}
    assert "general" not in tables(out.read_text())  # cryoCAT reads no file with it
    again = out.with_name("strict.star")
    with pytest.raises(WriteError, match=r"strict: relion-star cannot keep .*angle priors"):
        save_as(posesets, again, dialect="3.1", strict=True)
    assert not again.exists()
    save_as(posesets, again, strict=True)
    assert again.exists()


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.filterwarnings("ignore::cryotypes.errors.LossWarning")
def test_other_pixels(project, dialect, tmp_path):
    """Positions in pixels four times as large stand at the same place of the file."""
    posesets = read(project[dialect])
    sizes = {**SIZES, **{p.experiment_id: (500, 600, 301) for p in posesets[:0]}}
    expected = truth(project[dialect], sizes)
    for poses in posesets:
        poses.position, poses.shift = poses.position / 4, poses.shift / 4
        poses.pixel_spacing *= 4
    (tmp_path / "out").mkdir()
    out = tmp_path / "out" / "out.star"
    report = save_as(posesets, out)
    agree(truth(out, sizes), expected)
    agree(ours(read(out, **({"tomogram_dimensions": sizes} if dialect == "5.0" else {}))), expected)
    if dialect == "4.0":
        assert "5.4 Å to 1.35 Å" in report.converted["pixel_spacing"]


def test_warp_2d_is_written_in_its_own_pixels(save, tmp_path):
    path, out = save(WARP_2D), tmp_path / "out.star"
    save_as(read(path), out)
    same_file(path, out)
    assert_same(read(out), read(path))


def test_files_with_clashing_optics_groups(save, tmp_path):
    """Two files use number 1 for different optics: the later one changes, and says so."""

    def text(group, image, name):
        return optics((group, name, image)) + block(
            "particles", (MICROGRAPH, *COORDINATES, GROUP), (f"{name}.mrc", 1, 2, group)
        )

    a, b = read(save(text(1, 2.0, "a"), "a.star")), read(save(text(1, 3.0, "b"), "b.star"))
    out = tmp_path / "out.star"
    report = save_as([*a, *b], out)
    found = tables(out.read_text())
    assert found["optics"][GROUP].tolist() == ["1", "2"]
    assert found["optics"]["rlnOpticsGroupName"].tolist() == ["a", "b"]
    assert found["particles"][GROUP].tolist() == ["1", "2"]
    assert "renumbered" in report.converted[GROUP]
    assert [p.pixel_spacing for p in read(out)] == [2.0, 3.0]
    # the same optics in both files are one group
    same = read(save(text(1, 2.0, "a"), "c.star"))
    save_as([*a, *same], out, overwrite=True)
    assert tables(out.read_text())["optics"][GROUP].tolist() == ["1"]


def test_mixed_pixel_sizes_are_written_back(save, tmp_path):
    text = optics((2, "a", 1.0), (5, "b", 2.0)) + block(
        "particles",
        (MICROGRAPH, *COORDINATES, *ANGST[:2], GROUP),
        ("m", 1, 2, 4, 8, 2), ("m", 3, 4, 4, 8, 5), ("m", 5, 6, 4, 8, 2),
    )  # fmt: skip
    path, out = save(text), tmp_path / "out.star"
    save_as(read(path), out)
    same_file(path, out)


def test_new_groups_where_one_group_has_several_pixel_sizes(save, tmp_path):
    """Poses of one group, some of them rescaled: the file tells the truth about both."""
    path = save(SPA_3_1)
    (poses,) = read(path)
    half = poses[1:]
    half.position, half.shift = half.position / 2, half.shift / 2
    half.pixel_spacing = 2.0
    out = tmp_path / "out.star"
    save_as([poses[:1], half], out)
    agree(truth(out), truth(path))
    assert sorted(p.pixel_spacing for p in read(out)) == [1.0, 2.0]


# --- writing what was made in Python ---


def fresh(n=3, **changes) -> PoseSet:
    rng = np.random.default_rng(5)
    fields = {
        "position": rng.uniform(0, 1000, (n, 3)),
        "shift": rng.uniform(-3, 3, (n, 3)),
        "orientation": Rotation.from_quat(rng.normal(size=(n, 4))),
        "experiment_id": "TS_01",
        "pixel_spacing": 2.5,
    }
    return PoseSet(**(fields | changes))


def flat(n=3, **changes) -> PoseSet:
    poses = fresh(n, **changes)
    poses.position[:, 2] = poses.shift[:, 2] = 0
    poses.metadata = {"ndim": 2}
    return poses


def expect(posesets, ids=None) -> Truth:
    return Truth(
        [p.experiment_id for p in posesets for _ in range(len(p))],
        np.concatenate([(p.position + p.shift) * p.pixel_spacing for p in posesets]),
        Rotation.concatenate([p.orientation for p in posesets]),
    )


def test_new_2d_poses_are_relion_3_1(tmp_path):
    """With the names that RELION links by, an optics group, and no z."""
    posesets = [flat(experiment_id="mic_1.mrc"), flat(2, experiment_id="mic_2.mrc")]
    out = tmp_path / "out.star"
    report = save_as(posesets, out)
    found = tables(out.read_text())
    assert list(found) == ["optics", "particles"]
    assert list(found["particles"]) == [MICROGRAPH, *COORDINATES, *ANGLES, *ANGST[:2], GROUP]
    assert found["optics"].iloc[0].to_dict() == {
        GROUP: "1", "rlnOpticsGroupName": "opticsGroup1", "rlnImagePixelSize": "2.5",
    }  # fmt: skip
    assert "rlnImagePixelSize" in report.assumed
    assert "# version 30001" in out.read_text()
    agree(truth(out), expect(posesets))


def test_new_3d_poses_are_relion_4_or_5(tmp_path):
    """5 where the tomogram's size is known, 4 (which RELION 5 reads) where it is not."""
    posesets = [fresh(), fresh(2, experiment_id="TS_02")]
    out = tmp_path / "out.star"
    with pytest.warns(GuessWarning, match="assumed the particles', 2.5 Å.*tomogram_spacing="):
        report = save_as(posesets, out)
    found = tables(out.read_text())
    assert list(found["particles"]) == ["rlnTomoName", *XYZ, *ANGLES, *ANGST, GROUP]
    assert float(found["optics"].loc[0, "rlnTomoTiltSeriesPixelSize"]) == 2.5
    assert "rlnTomoTiltSeriesPixelSize" in report.assumed
    agree(truth(out), expect(posesets))

    with pytest.raises(ValueError, match="without its pixel spacing is no size"):
        save_as(posesets, out, tomogram_dimensions=(1400, 1401, 1200), overwrite=True)
    size = {"tomogram_dimensions": (1400, 1401, 1200), "tomogram_spacing": 2.5}
    save_as(posesets, out, **size, overwrite=True)
    found = tables(out.read_text())
    assert list(found["particles"])[1:4] == list(CENTRED)
    assert "# version 50001" in out.read_text()
    sizes = dict.fromkeys(["TS_01", "TS_02"], (1400, 1401, 1200))
    agree(truth(out, sizes), expect(posesets))
    with pytest.raises(WriteError, match=r"size of 'TS_02' is unknown: give tomograms= "):
        save_as(posesets, out, dialect="5.0", overwrite=True,
                **size | {"tomogram_dimensions": {"TS_01": (1400, 1401, 1200)}})  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*are outside their tomogram:UserWarning")
def test_binned_poses_and_tomograms_star(save, tmp_path):
    """Poses picked at 8 Å, a series of 2 Å: the file is in the series' pixels."""
    tomograms = save(TOMOGRAMS, "tomograms.star")
    poses = fresh(pixel_spacing=8.0)
    out = tmp_path / "out.star"
    report = save_as(poses, out, tomograms=tomograms)
    found = tables(out.read_text())
    assert float(found["optics"].loc[0, "rlnTomoTiltSeriesPixelSize"]) == 2.0
    agree(truth(out, SIZES), expect([poses]))
    assert "8 Å to 2 Å" in report.converted["pixel_spacing"]
    save_as(poses, out, tomograms=tomograms, dialect="4.0", overwrite=True)
    agree(truth(out), expect([poses]))


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("name", zoo())
@pytest.mark.filterwarnings("ignore::cryotypes.errors.LossWarning")
@pytest.mark.filterwarnings("ignore:.*are outside their tomogram:cryotypes.errors.GuessWarning")
def test_zoo(name, dialect, tmp_path):
    """Whatever is written is read: to 1e-6 pixels and degrees, every feature, every id."""
    posesets = zoo()[name]
    out = tmp_path / "out file.star"
    size = {"tomogram_dimensions": (1000, 1001, 301)} if dialect == "5.0" else {}
    tilts = {"tomogram_spacing": 2.5} if dialect in ("4.0", "5.0") else {}
    save_as(posesets, out, dialect=dialect, **size, **tilts)
    again = read(out, **size)
    empty = ["experiment_id", "pixel_spacing"] if name == "none" else []  # no row to say it in
    optics_columns = ["rlnMagnification", "rlnDetectorPixelSize", GROUP]
    assert_same(again, posesets, ignore=[*empty, *optics_columns])
    rows = np.concatenate([p.features.index for p in again])
    assert sorted(rows) == list(range(len(rows)))


def test_unknown_shift_and_orientation_have_no_columns(tmp_path):
    """Absent, not NaN and not zero; beside known ones the report says what was assumed."""
    out = tmp_path / "out.star"
    save_as(fresh(shift=None, orientation=None), out)
    assert list(tables(out.read_text())["particles"]) == ["rlnTomoName", *XYZ, GROUP]
    b = fresh(2, orientation=None, shift=None, experiment_id="TS_02")
    with pytest.warns(LossWarning, match="orientation: unknown for experiment 'TS_02'"):
        report = save_as([fresh(), b], out, overwrite=True)
    assert "no rotation" in report.lost["orientation"]
    found = tables(out.read_text())["particles"]
    assert not found.isin(["nan", "NaN", "<NA>"]).any(axis=None)
    assert found[list(ANGLES + ANGST)].astype(float).to_numpy()[3:].tolist() == [[0.0] * 6] * 2


@pytest.mark.parametrize("dialect", ["3.1", "4.0", "5.0"])
def test_relion_needs_a_pixel_size(dialect, tmp_path):
    """It is never invented: neither 0 nor 1 (cryohub lost all shifts so)."""
    out = tmp_path / "out.star"
    with pytest.raises(WriteError, match=r"needs the pixel spacing, .*'TS_01'; set pixel_spacing"):
        save_as(fresh(pixel_spacing=0.0), out, dialect=dialect, tomogram_dimensions=(900, 900, 900))
    assert not out.exists()


def test_relion_3_0_does_not(tmp_path):
    """There everything is in pixels."""
    out = tmp_path / "out.star"
    save_as(fresh(pixel_spacing=0.0), out, dialect="3.0")
    assert_same(read(out), [fresh(pixel_spacing=0.0)], ignore=["features"])


@dataclass
class Theirs:
    """Somebody's own class, with another order of fields."""

    orientation: Rotation
    position: np.ndarray
    experiment_id: str
    pixel_spacing: float
    shift: np.ndarray | None = None
    source: str = ""
    features: pd.DataFrame | None = None
    weights: list[float] = field(default_factory=list)


@dataclass(repr=False)
class Scored(PoseSet):
    scores: np.ndarray | None = None


def test_other_classes(tmp_path):
    """Any class that follows the Protocol is written; fields of its own are named as lost."""
    a, out = fresh(), tmp_path / "out.star"
    theirs = Theirs(a.orientation, a.position, a.experiment_id, a.pixel_spacing, a.shift)
    theirs.weights = [1.0, 2.0, 3.0]
    scored = Scored(**vars(a), scores=np.arange(3))
    for poses, lost in ((theirs, "weights"), (scored, "scores")):
        with pytest.warns(LossWarning, match=f"{lost}: .*put it into features"):
            report = save_as(poses, out, overwrite=True)
        assert set(report.lost) == {lost}
        agree(truth(out), expect([a]))


def test_stale_columns_do_not_win(project, tmp_path):
    """Features that stand for positions or names are replaced by the poses' own."""
    poses = fresh(features=pd.DataFrame({XYZ[0]: [1, 2, 3], ANGLES[0]: 0, "rlnTomoName": "old"}))
    out = tmp_path / "out.star"
    save_as(poses, out)
    agree(truth(out), expect([poses]))


def test_features_of_any_kind(tmp_path):
    """Booleans, categories, dates and numbers as names: written as text or number."""
    features = pd.DataFrame(
        {
            "flag": [True, False, True],
            "kind": pd.Categorical(["a", "b", "a"]),
            7: [1, 2, 3],
            "two words": [0.5, 1.5, 2.5],
            "small": np.array([0.1, 0.2, 0.3], dtype=np.float32),
        }
    )
    out = tmp_path / "out.star"
    save_as(fresh(features=features), out)
    (again,) = read(out)
    assert again.features["flag"].tolist() == [1, 0, 1]
    assert again.features["kind"].tolist() == ["a", "b", "a"]
    assert again.features["7"].tolist() == [1, 2, 3]
    assert again.features["two_words"].tolist() == [0.5, 1.5, 2.5]
    assert_allclose(again.features["small"], [0.1, 0.2, 0.3])


def test_tiny_and_huge_numbers_keep_every_bit(tmp_path):
    """starfile's %.6f turns 1e-9 into 0."""
    values = [1e-9, 1 / 3, 1.7976931348623157e308]
    out = tmp_path / "out.star"
    save_as(fresh(features=pd.DataFrame({"x": values})), out)
    assert read(out)[0].features["x"].tolist() == values


# --- files ---


def test_nothing_is_overwritten_unasked(tmp_path):
    out = tmp_path / "out.star"
    out.write_text("mine")
    with pytest.raises(FileExistsError, match="overwrite=True"):
        save_as(fresh(), out)
    assert out.read_text() == "mine"
    save_as(fresh(), out, overwrite=True)
    assert out.read_text() != "mine"


def test_an_interrupted_write_keeps_the_old_file(tmp_path, monkeypatch):
    """The file is written aside; what comes between leaves no trace."""
    out = tmp_path / "out.star"
    out.write_text("mine")

    def broken(file, *_):
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr("cryotypes.formats.poses.relion_star._write.write_star", broken)
    with pytest.raises(KeyboardInterrupt):
        save_as(fresh(), out, overwrite=True)
    assert out.read_text() == "mine"
    assert [p.name for p in tmp_path.iterdir()] == ["out.star"]


@pytest.mark.parametrize("suffix", ["", ".gz", ".bz2"])
def test_compressed_and_oddly_named(tmp_path, suffix):
    """Unicode and blanks in paths and names; compressed as the suffix says."""
    out = tmp_path / "größer als" / f"空 poses.star{suffix}"
    out.parent.mkdir()
    poses = fresh(experiment_id="Gitter α/TS 01")
    save_as(poses, out)
    assert (out.read_bytes()[:2] == b"\x1f\x8b") == (suffix == ".gz")
    assert_same(read(out), [poses], ignore=["features"])
    if suffix == ".gz":
        assert b"data_particles" in gzip.decompress(out.read_bytes())


def test_options_are_checked(tmp_path):
    with pytest.raises(
        ValueError, match=r"dialect= \(--dialect\): expected one of 3\.0, 3\.1, 4\.0, 5\.0"
    ):
        save_as(fresh(), tmp_path / "out.star", dialect="2.9")
    with pytest.raises(TypeError, match="unknown option dialekt"):
        save_as(fresh(), tmp_path / "out.star", dialekt="3.1")


def test_the_input_is_not_changed(project, tmp_path):
    """Writing looks, and does not touch."""
    posesets = read(project["5.0"])
    before = [replace(p, position=p.position.copy(), features=p.features.copy()) for p in posesets]
    with pytest.warns(LossWarning):
        save_as(posesets, tmp_path / "out.star", dialect="3.0")
    assert_same(posesets, before)
    assert posesets[0].metadata["blocks"]["optics"].columns[0] == GROUP


# --- what users do in between ---


def test_features_taken_away(save, tmp_path):
    """Without features the groups are unknown; the file's pixel sizes are true all the same."""
    path, out = save(SPA_3_1), tmp_path / "out.star"
    (poses,) = read(path)
    poses.features = None
    save_as(poses, out)
    agree(truth(out), truth(path))
    found = tables(out.read_text())
    assert set(found["particles"][GROUP]) <= set(found["optics"][GROUP])


def test_features_of_one_of_two_taken_away(project, tmp_path):
    first, second = read(project["3.0"])
    expected = expect([first, second])
    second.features = None
    out = tmp_path / "out.star"
    save_as([first, second], out, dialect="3.1")
    agree(truth(out), expected)


def test_a_pixel_size_that_was_given_is_stated(save, tmp_path):
    """Told once that coordinates are in pixels of 1 Å, the file says so and needs no guess."""
    sizes = {"rlnImagePixelSize": 4.0, "rlnMicrographOriginalPixelSize": 0.5}
    text = optics((1, "o", *sizes.values()), labels=sizes)
    text += block("particles", (MICROGRAPH, *COORDINATES, *ANGST[:2], GROUP), ("m", 1, 2, 4, 8, 1))
    posesets, out = read(save(text), pixel_spacing=1.0), tmp_path / "out.star"
    save_as(posesets, out)
    assert_same(read(out), posesets)
    assert tables(out.read_text())["optics"].loc[0, "rlnImagePixelSize"] == "4.0"


def test_another_pixel_size_than_the_tilt_series_is_written_back(project, tmp_path):
    out = tmp_path / "out.star"
    save_as(read(project["5.0"], pixel_spacing=4.0), out)
    same_file(project["5.0"], out)


def test_concatenated_again(project, tmp_path):
    """Cut into parts and joined, the particles go back into the file's order."""
    first, second = read(project["3.0"])
    out = tmp_path / "out.star"
    save_as([second, cryotypes.concatenate([first[1:], first[:1]])], out)
    same_file(project["3.0"], out)


def test_moved_particles(project, tmp_path):
    """What was changed in Python is in the file, what was not is as it was."""
    for name, path in project.items():
        posesets = read(path)
        for poses in posesets:
            poses.position = poses.position + [10, 0, 0]
            poses.experiment_id += "x"
        out = tmp_path / f"out_{name}.star"
        save_as(posesets, out)
        before = truth(path, SIZES)
        after = truth(out, {f"{k}x": v for k, v in SIZES.items()})
        moved = np.array([10 * posesets[0].pixel_spacing, 0, 0])
        agree(after, Truth([f"{i}x" for i in before.ids], before.place + moved, before.orientation))


def test_images_cut_in_a_frame_that_is_gone_are_lost(save, tmp_path):
    """Subtomogram 30 60 -20, particle 0 90 0: the angles are composed, the box was not turned."""
    names = ("rlnTomoName", *XYZ, *SUB, *ANGLES, "rlnImageName", "rlnCtfImage", GROUP)
    text = optics((1, "o1", 2.0, 2.0), labels=("rlnTomoTiltSeriesPixelSize", "rlnImagePixelSize"))
    for frame, kept in (((30, 60, -20), False), ((0, 0, 0), True)):
        row = ("TS_01", 1, 2, 3, *frame, 0, 90, 0, "a.mrc", "b.mrc", 1)
        posesets = read(save(text + block("particles", names, row), "sub.star"))
        for dialect in ("3.0", "3.1", "warp"):
            out = tmp_path / "out.star"
            report = write(posesets, out, dialect=dialect, overwrite=True)
            found = next(t for t in tables(out.read_text()).values() if ANGLES[0] in t)
            assert ("rlnImageName" in found) == ("rlnCtfImage" in found) == kept
            assert ("rlnImageName" not in report.lost) == kept
            if not kept:
                expected = [40.8934, 138.5904, 29.1066]
                assert_allclose(found.loc[0, list(ANGLES)].astype(float), expected, atol=1e-3)
        same = tmp_path / "same.star"
        write(posesets, same, tomogram_spacing=2.0, overwrite=True)
        assert tables(same.read_text())["particles"].loc[0, "rlnImageName"] == "a.mrc"


@pytest.mark.filterwarnings("ignore::cryotypes.errors.LossWarning")
def test_images_cut_where_particles_no_longer_are_are_lost(save, tmp_path):
    """Origin -8 Å of 2 Å pixels: the particle is 4 px from the box's centre, where it is put."""
    names = ("rlnTomoName", *XYZ, *ANGST, "rlnImageName", GROUP)
    text = optics((1, "o1", 2.0, 2.0), labels=("rlnTomoTiltSeriesPixelSize", "rlnImagePixelSize"))
    for origin, kept in ((-8, False), (0, True)):
        row = ("TS_01", 10, 20, 30, origin, 0, 0, "a.mrc", 1)
        posesets = read(save(text + block("particles", names, row), "moved.star"))
        for name, options in (("w.star", {"dialect": "warp"}), ("w.cbox", {"box_size": 32})):
            out = tmp_path / name
            report = cryotypes.write(posesets, out, overwrite=True, **options)
            assert ("a.mrc" in out.read_text()) == ("rlnImageName" not in report.lost) == kept
        found = next(iter(tables((tmp_path / "w.star").read_text()).values()))
        assert float(found.loc[0, XYZ[0]]) == 10 - origin / 2


def test_what_is_lost_is_named_in_full_and_by_weight(save, tmp_path):
    """ "and 8 more" hid the half-sets; they come first."""
    columns = [f"rlnColumn{i}" for i in range(12)]
    names = (MICROGRAPH, *XYZ, *columns, "rlnClassNumber", "rlnRandomSubset", "rlnDefocusU")
    row = ("mic", 1, 2, 3, *range(12), 1, 2, 10000)
    posesets = read(save(plain(names, row)))
    with pytest.warns(LossWarning):
        report = cryotypes.write(posesets, tmp_path / "out.mod")
    listed = report.lost["features"].partition(":")[0].split(", ")
    assert listed == ["rlnRandomSubset", "rlnDefocusU", "rlnClassNumber", *columns]
