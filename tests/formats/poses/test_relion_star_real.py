"""RELION 5's tutorial project (EMPIAR-10164): what RELION itself found out must come out here.

No round trip can tell that a convention is wrong twice. Two things in these files can: which
particles RELION saw in which tilt image, and that the capsids' hexamers face outward.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

import cryotypes

IMAGE = (3710, 3838)  # xy, as ORIGIN.md has it; the images themselves are not there
BOX = 192
SUB = [f"rlnTomoSubtomogram{name}" for name in ("Rot", "Tilt", "Psi")]
ANGLES = ["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"]


@pytest.fixture
def folder(shared_data):
    return shared_data / "relion5_project"


@pytest.fixture
def posesets(folder):
    return cryotypes.read_poses(folder / "Refine3D/job074/run_data.star")


@pytest.fixture
def model(folder):
    return cryotypes.read_projection_model(folder / "Polish/job070/tomograms.star")


def test_particles(posesets):
    """All of them, as awk counts them, in five tomograms at the pixel size of the tilt series."""
    assert {p.experiment_id: len(p) for p in posesets} == {
        "TS_01": 1829, "TS_03": 1826, "TS_43": 2428, "TS_45": 1605, "TS_54": 1365,
    }  # fmt: skip
    assert sum(map(len, posesets)) == 9053
    assert {p.pixel_spacing for p in posesets} == {1.35}
    assert {p.metadata["tomogram"]["dimensions"] for p in posesets} == {(4000, 4000, 2000)}
    rows = np.concatenate([p.features.index for p in posesets])
    assert sorted(rows) == list(range(9053))
    # first row by hand: 1774.846956 Å from the centre 2000 of 1.35 Å pixels
    assert np.allclose(posesets[0].position[0, 0], 2000 + 1774.846956 / 1.35)


def test_optimisation_set(folder, posesets):
    """It names particles and tomograms relative to the project."""
    from cryotypes.testing import assert_same

    path = folder / "Refine3D/job074/run_optimisation_set.star"
    assert_same(cryotypes.read_poses(path), posesets)
    kinds = [type(thing).__name__ for thing in cryotypes.read(path)]
    assert kinds == ["PoseSet"] * 5 + ["DataFrame"]


# --- which particles RELION saw in which image ---


def agreement(posesets, model, image=IMAGE, moved=0.0) -> tuple[int, int]:
    """How many of RELION's own flags are found again, and how many there are."""
    same = total = 0
    for poses in posesets:
        flags = poses.features["rlnTomoVisibleFrames"].str.strip("[]").str.split(",")
        seen = np.array(flags.tolist()).astype(int).T.astype(bool)
        # Flags date from the extraction, when refinement had not yet moved the particles: without
        # the shift. Tilts beyond the exposure limit are visible for nobody.
        poses = cryotypes.PoseSet(
            poses.position + moved, None, None, poses.experiment_id, poses.pixel_spacing,
            metadata=poses.metadata,
        )  # fmt: skip
        projection = cryotypes.project(poses, model, tilt_image_dimensions=image)
        within = seen.any(axis=1)
        same += int((projection.inside(BOX / 2)[within] == seen[within]).sum())
        total += int(seen[within].size)
    return same, total


def test_relions_visible_frames(posesets, model):
    """153 898 of 153 901 flags: the geometry of poses, tilts and images is RELION's."""
    same, total = agreement(posesets, model)
    assert total == 153_901
    assert same >= 153_898


def turned(model, **factors):
    return model.assign(**{name: model[name] * factor for name, factor in factors.items()})


@pytest.mark.parametrize(
    ("wrong", "fewer"),
    [
        ({"image": IMAGE[::-1]}, 500),
        ({"model": {"rotation_y": -1}}, 500),
        ({"model": {"rotation_z": -1}}, 500),
        ({"model": {"dx": -1, "dy": -1}}, 500),
        ({"model": {"dx": 0, "dy": 0}}, 100),
        ({"model": {"dx": 1.35, "dy": 1.35}}, 50),  # Å taken for pixels
        ({"moved": 0.5 * 7.407407}, 5),  # half a voxel of the binned tomogram
        ({"moved": -0.5 * 7.407407}, 5),
        ({"moved": (0, 0, 30)}, 5),
    ],
)
def test_the_visible_frames_notice_faults(posesets, model, wrong, fewer):
    """A swapped size, a flipped sign, half a voxel: each costs some of the flags."""
    wrong = dict(wrong)
    changed = turned(model, **wrong.pop("model", {}))
    same, _ = agreement(posesets, changed, **wrong)
    assert same <= 153_898 - fewer


# --- that the capsids' hexamers face outward ---


def groups_of(place) -> list[np.ndarray]:
    """Particles that hang together at less than 110 Å: one virus-like particle each, if large."""
    pairs = cKDTree(place).query_pairs(110.0, output_type="ndarray")
    n = len(place)
    graph = coo_matrix((np.ones(len(pairs)), pairs.T), shape=(n, n))
    _, labels = connected_components(graph, directed=False)
    return [rows for rows in (np.flatnonzero(labels == k) for k in np.unique(labels))
            if len(rows) >= 60]  # fmt: skip


def outward(place) -> np.ndarray:
    """Unit vectors from the centre of the sphere through these points."""
    # |p|² = 2 c·p + (r² - |c|²) is linear in c
    left = np.column_stack([2 * place, np.ones(len(place))])
    solution = np.linalg.lstsq(left, (place**2).sum(axis=1), rcond=None)[0]
    radius = place - solution[:3]
    return radius / np.linalg.norm(radius, axis=1, keepdims=True)


@pytest.fixture
def shells(posesets):
    """For every virus-like particle: experiment, rows in it, outward directions."""
    found = []
    for index, poses in enumerate(posesets):
        place = (poses.position + poses.shift) * poses.pixel_spacing
        found += [(index, rows, outward(place[rows])) for rows in groups_of(place)]
    return found


def mean_cosine(shells, turns) -> float:
    """How far the reference's z axis points outward, on average."""
    cosines = [
        (turns[index][rows].apply([0, 0, 1]) * radius).sum(axis=1) for index, rows, radius in shells
    ]
    return float(np.concatenate(cosines).mean())


def test_hexamers_face_outward(posesets, shells):
    """6 608 poses in 41 shells: z points along the radius, as it must on a capsid."""
    assert len(shells) == 41
    assert sum(len(rows) for _, rows, _ in shells) == 6608
    assert mean_cosine(shells, [p.orientation for p in posesets]) >= 0.97


def compositions():
    """Every way to make one rotation of two that RELION did not mean."""
    for first, second in (("sub", "part"), ("part", "sub")):
        for a, b in product((False, True), repeat=2):
            if (first, second, a, b) != ("sub", "part", True, True):
                yield [(first, a), (second, b)]
    for name, inverse in product(("sub", "part"), (False, True)):
        yield [(name, inverse)]


def raw_angles(path) -> dict[str, np.ndarray]:
    """The two triplets as they stand in the file, by no code of the package."""
    text = path.read_text().split("data_particles")[1]
    lines = [line.split() for line in text.splitlines() if line.strip()]
    labels = [words[0][1:] for words in lines if words[0].startswith("_")]
    rows = [words for words in lines if len(words) == len(labels)]
    columns = {
        "sub": [labels.index(name) for name in SUB],
        "part": [labels.index(name) for name in ANGLES],
    }
    return {key: np.array([[row[i] for i in index] for row in rows], dtype=float)
            for key, index in columns.items()}  # fmt: skip


def test_no_other_composition_does(folder, posesets, shells):
    """One triplet alone, the other order, an inverse: z then points elsewhere."""
    angles = raw_angles(folder / "Refine3D/job074/run_data.star")
    turns = {key: Rotation.from_euler("ZYZ", value, degrees=True) for key, value in angles.items()}

    def composed(parts):
        whole = Rotation.identity(9053)
        for name, inverse in parts:
            whole = whole * (turns[name].inv() if inverse else turns[name])
        return [whole[p.features.index.to_numpy()] for p in posesets]

    right = composed([("sub", True), ("part", True)])
    assert mean_cosine(shells, right) >= 0.97
    for ours, expected in zip(posesets, right, strict=True):
        assert np.rad2deg((ours.orientation.inv() * expected).magnitude()).max() < 1e-6
    for wrong in compositions():
        # one alone, or the other order: no direction at all; with an inverse of one or both, tilts
        # near the prior of 90° leave some, as Ry(90) and Ry(-90) send z to opposite sides
        plain = len(wrong) == 1 or wrong == [("part", True), ("sub", True)]
        cosine = mean_cosine(shells, composed(wrong))
        assert abs(cosine) < 0.2 if plain else cosine < 0.4, wrong
