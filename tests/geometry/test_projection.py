"""Projection into tilt images, by hand and against the drop-in's projection matrices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.spatial.transform import Rotation

import cryotypes as ct
from cryotypes import PoseSet, project
from cryotypes.errors import GuessWarning, MatchError, ValidationError
from cryotypes.geometry import Projection

# particles lie anywhere here: what is projected needs no tomogram round it
pytestmark = pytest.mark.filterwarnings("ignore:.*are outside their tomogram:UserWarning")


def model(*angles, shifts=(0.0, 0.0), **columns) -> pd.DataFrame:
    """Tilt images with these (x, y, z) rotations."""
    angles = np.atleast_2d(angles or [(0, 0, 0)]).astype(float)
    table = dict(zip(["rotation_x", "rotation_y", "rotation_z"], angles.T, strict=True))
    table |= dict(zip(["dx", "dy"], np.broadcast_to(shifts, (len(angles), 2)).T, strict=True))
    table |= {"experiment_id": "TS_01", "pixel_spacing": 2.0, "source": ""}
    return pd.DataFrame(table | columns)


def poses(*positions, **changes) -> PoseSet:
    fields = {"experiment_id": "TS_01", "pixel_spacing": 2.0}
    return PoseSet(np.atleast_2d(positions).astype(float), **(fields | changes))


SIZE = {"tomogram_dimensions": (100, 80, 40), "tilt_image_dimensions": (200, 160)}
# the centre of the tomogram, (50, 40, 20), lies at that of the image, (100, 80)


def at(projection) -> list[list[float]]:
    """x, y and depth of the only particle in every tilt."""
    stacked = np.concatenate([projection.position[:, 0], projection.depth[:, :1]], axis=1)
    return np.round(stacked, 9).tolist()


# --- by hand ---


@pytest.mark.parametrize(
    ("angles", "offset", "expected"),
    [
        ((0, 0, 0), (3, 4, 5), (103, 84, 5)),
        ((0, 0, 90), (3, 4, 5), (96, 83, 5)),  # x to y, y to -x
        ((0, 90, 0), (3, 4, 5), (105, 84, -3)),  # z to x, x to -z: what was right is deep
        ((0, -90, 0), (3, 4, 5), (95, 84, 3)),
        ((90, 0, 0), (3, 4, 5), (103, 75, 4)),  # y to z, z to -y
        ((0, 180, 0), (3, 4, 5), (97, 84, -5)),
        # x first, then y, then z: (3, 4, 5) to (3, -5, 4) to (4, -5, -3) to (5, 4, -3)
        ((90, 90, 90), (3, 4, 5), (105, 84, -3)),
        ((0, 60, 0), (2, 0, 0), (101, 80, -np.sqrt(3))),
    ],
)
def test_turns_by_hand(angles, offset, expected):
    """The specimen is turned about x, y and z in that order, and looked at along z."""
    found = project(poses(np.add((50, 40, 20), offset)), model(angles), **SIZE)
    assert_allclose(at(found), [expected], atol=1e-8)


def test_shifts_by_hand():
    """The particle's shift moves before the turn, the image's after it."""
    shifted = poses((50, 40, 20), shift=np.array([[1.0, 2, 3]]))
    found = project(shifted, model((0, 0, 90), shifts=(10, -7)), **SIZE)
    assert at(found) == [[100 - 2 + 10, 80 + 1 - 7, 3]]


def test_odd_sizes():
    """The centre of N pixels is at N // 2: 50, 40, 20 and 100, 80 again."""
    size = {"tomogram_dimensions": (101, 81, 41), "tilt_image_dimensions": (201, 161)}
    assert at(project(poses((50, 40, 20)), model((10, 20, 30)), **size)) == [[100, 80, 0]]


def test_binned_tomogram_and_whole_images():
    """Poses at 8 Å, images at 2 Å: four image pixels for one of the tomogram's."""
    found = project(
        poses((26, 21, 12), pixel_spacing=8.0),
        model((0, 0, 0), shifts=(1, 2)),
        tomogram_dimensions=(200, 160, 80),  # in pixels of the tilt series
        tilt_image_dimensions=(200, 160),
    )
    assert at(found) == [[100 + 4 + 1, 80 + 4 + 2, 8]]
    assert found.pixel_spacing == 2.0


def test_binned_images():
    """Images binned by 4 to 8 Å: the model's shifts, in its own pixels, are divided by 4."""
    found = project(
        poses((54, 44, 20)),
        model((0, 0, 0), shifts=(4, 8)),
        tomogram_dimensions=(100, 80, 40),
        tilt_image_dimensions=(50, 40),  # in pixels of these images
        tilt_image_pixel_spacing=8.0,
    )
    assert at(found) == [[25 + 1 + 1, 20 + 1 + 2, 0]]
    assert found.pixel_spacing == 8.0
    assert found[0].pixel_spacing == 8.0


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_equal_pixels_are_the_projection_matrices(data):
    """With one pixel size for all, this is what cryotypes 0.2.0 calculates; odd sizes too."""
    number = st.floats(-200, 200)
    n, tilts = data.draw(st.integers(0, 4)), data.draw(st.integers(1, 4))
    size = data.draw(st.tuples(*[st.integers(1, 300)] * 3))
    image = data.draw(st.tuples(*[st.integers(1, 300)] * 2))
    position, shift = (
        np.array(data.draw(st.lists(st.tuples(*[number] * 3), min_size=n, max_size=n)), dtype=float)
        .reshape(n, 3) for _ in range(2)
    )  # fmt: skip
    row = st.tuples(*[number] * 5)
    rows = np.array(data.draw(st.lists(row, min_size=tilts, max_size=tilts)))
    table = model(*rows[:, :3], shifts=rows[:, 3:])
    found = project(
        PoseSet(position, shift, experiment_id="TS_01", pixel_spacing=2.0), table,
        tomogram_dimensions=size, tilt_image_dimensions=image,
    )  # fmt: skip
    centre = np.array(image) // 2
    matrices = ct.projection_model_to_projection_matrices(table, centre, size)
    columns = np.column_stack([position + shift, np.ones(n)]).T
    expected = matrices @ columns
    assert_allclose(found.position, expected[:, :2].transpose(0, 2, 1), atol=1e-9)
    assert_allclose(found.depth, expected[:, 2], atol=1e-9)
    turns = Rotation.from_euler("xyz", rows[:, :3], degrees=True).as_matrix()
    assert_allclose(found.rotation.as_matrix(), turns, atol=1e-12)


# --- where sizes and spacings come from ---


def test_sizes_from_attrs():
    """What the tilt series states, in its own pixels; binned poses see it smaller."""
    table = model((0, 0, 0))
    table.attrs["tomogram_dimensions"] = {"TS_01": (100, 80, 40), "TS_02": (2, 2, 2)}
    table.attrs["tilt_image_dimensions"] = (200, 160)
    assert at(project(poses((51, 40, 20)), table)) == [[101, 80, 0]]
    binned = poses((13, 10, 5), pixel_spacing=8.0)  # centre 12.5, 10, 5
    assert at(project(binned, table)) == [[102, 80, 0]]
    given = project(poses((51, 40, 20)), table, **SIZE | {"tilt_image_dimensions": (20, 16)})
    assert at(given) == [[11, 8, 0]]


def test_sizes_from_metadata():
    """What was read with the particles, in pixels of the unbinned series; attrs come first."""
    metadata = {"tomogram": {"dimensions": (100, 80, 40), "pixel_spacing": 2.0}}
    particles = poses((13, 10, 5), pixel_spacing=8.0, metadata=metadata)
    assert at(project(particles, model(), tilt_image_dimensions=(200, 160))) == [[102, 80, 0]]
    table = model()
    table.attrs["tomogram_dimensions"] = (104, 80, 40)
    assert at(project(particles, table, tilt_image_dimensions=(200, 160))) == [[100, 80, 0]]


def test_unknown_size_of_the_tomogram():
    with pytest.raises(ValueError, match=r"size of tomogram 'TS_01' is unknown; give tomogram_dim"):
        project(poses((0, 0, 0)), model())


def test_unknown_size_of_the_images():
    """Positions then count from the centre, and that is said; nothing can be called inside."""
    with pytest.warns(GuessWarning, match="size of the tilt images is unknown"):
        found = project(
            poses((53, 40, 20)), model(shifts=(0, 1)), tomogram_dimensions=(100, 80, 40)
        )
    assert at(found) == [[3, 1, 0]]
    assert found.centered
    assert found.tilt_image_center == (0, 0)
    assert "from the image centre" in repr(found)
    with pytest.raises(ValueError, match="give tilt_image_dimensions="):
        found.inside()


def test_given_centre():
    """Enough for positions; the size only matters for what is inside."""
    found = project(poses((53, 40, 20)), model(), tomogram_dimensions=(100, 80, 40),
                    tilt_image_center=(99.5, 79.5))  # fmt: skip
    assert at(found) == [[102.5, 79.5, 0]]
    assert not found.centered
    assert found.tilt_image_dimensions is None
    found = project(poses((53, 40, 20)), model(), tilt_image_center=(0, 0), **SIZE)
    assert at(found) == [[3, 0, 0]]
    assert not found.centered  # (0, 0) was meant


def test_stated_image_size_does_not_hold_for_binned_images():
    table = model()
    table.attrs["tilt_image_dimensions"] = (200, 160)
    with pytest.warns(GuessWarning, match="size of the tilt images is unknown"):
        project(poses((0, 0, 0)), table, tomogram_dimensions=(100, 80, 40),
                tilt_image_pixel_spacing=4.0)  # fmt: skip
    # the same spacing, given explicitly, is not another one
    found = project(poses((50, 40, 20)), table, tomogram_dimensions=(100, 80, 40),
                    tilt_image_pixel_spacing=2.0)  # fmt: skip
    assert at(found) == [[100, 80, 0]]


def test_no_pixel_spacing_anywhere():
    """Pixels throughout, as in 0.2.0; that is a guess, and said to be one."""
    with pytest.warns(GuessWarning, match="no pixel spacing is known"):
        found = project(poses((51, 40, 20), pixel_spacing=0.0),
                        model(shifts=(5, 0), pixel_spacing=0.0), **SIZE)  # fmt: skip
    assert at(found) == [[106, 80, 0]]
    assert found.pixel_spacing == 0
    table = model().drop(columns="pixel_spacing")
    with pytest.warns(GuessWarning, match="no pixel spacing is known"):
        project(poses((51, 40, 20), pixel_spacing=0.0), table, **SIZE)


@pytest.mark.parametrize(
    ("of_poses", "of_model", "of_image", "unknown"),
    [(2.0, 0.0, None, "projection model"), (0.0, 2.0, None, "poses"), (0.0, 0.0, 2.0, "poses"),
     (2.0, 0.0, 4.0, "projection model")],
)  # fmt: skip
def test_one_pixel_spacing_unknown(of_poses, of_model, of_image, unknown):
    """Nothing is assumed equal while something else is known."""
    with pytest.raises(ValueError, match=f"spacing of the {unknown} is unknown"):
        project(poses((0, 0, 0), pixel_spacing=of_poses), model(pixel_spacing=of_model),
                tilt_image_pixel_spacing=of_image, **SIZE)  # fmt: skip


def test_several_pixel_spacings():
    table = model((0, 0, 0), (0, 1, 0), pixel_spacing=[1.0, 2.0])
    with pytest.raises(ValueError, match="several pixel spacings: 1, 2 Å"):
        project(poses((0, 0, 0)), table, **SIZE)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tomogram_dimensions": (1, 2)}, "expected x, y, z in pixels of the unbinned tilt series"),
        ({"tilt_image_dimensions": (1, 2, 3)}, "tilt_image_dimensions: expected x, y"),
        ({"tilt_image_center": (1,)}, "tilt_image_center: expected x, y"),
        ({"tilt_image_pixel_spacing": -2.0}, "tilt_image_pixel_spacing: expected"),
        ({"tilt_image_pixel_spacing": float("nan")}, "tilt_image_pixel_spacing: expected"),
        ({"tilt_image_pixel_spacing": float("inf")}, "tilt_image_pixel_spacing: expected"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(ValueError, match=message):
        project(poses((0, 0, 0)), model(), **SIZE | options)


# --- which rows of the model ---


def test_several_experiments():
    """The rows of the poses' own experiment, in the model's order; attrs by experiment, too."""
    table = pd.concat([
        model((0, 1, 0), (0, 2, 0), experiment_id="TS_02"),
        model((0, 3, 0)),
        model((0, 4, 0), experiment_id="TS_02"),
    ], ignore_index=True)  # fmt: skip
    table.attrs["tomogram_dimensions"] = {"TS_01": (100, 80, 40), "TS_02": (10, 8, 4)}
    particles = poses((5, 4, 2), experiment_id="TS_02")
    found = project(particles, table, tilt_image_dimensions=(200, 160))
    assert found.model["rotation_y"].tolist() == [1, 2, 4]
    assert_allclose(found.position[:, 0], [[100, 80]] * 3)
    with pytest.raises(MatchError, match=r"no tilt series for experiment 'TS_3' among 'TS_0"):
        project(poses((0, 0, 0), experiment_id="TS_3"), table, **SIZE)


def test_a_single_experiment_is_taken_as_it_is():
    """Whoever gives one series has matched it already; its attrs go by its own name."""
    table = model((0, 0, 0))
    table.attrs["tomogram_dimensions"] = {"TS_01": (100, 80, 40)}
    found = project(poses((50, 40, 20), experiment_id="rec_TS_01"), table,
                    tilt_image_dimensions=(200, 160))  # fmt: skip
    assert at(found) == [[100, 80, 0]]


def test_missing_columns():
    with pytest.raises(ValidationError, match="missing columns rotation_z, dx"):
        project(poses((0, 0, 0)), model().drop(columns=["rotation_z", "dx"]), **SIZE)


# --- what comes out ---


def test_inside():
    """The image covers 0 to its size; a box needs half its width on every side."""
    centre = np.array([50, 40, 20])
    points = [(-100, 0), (-101, 0), (100, 0), (101, 0), (0, -80), (0, 81), (-90, 70), (-91, 0)]
    particles = poses(*[centre + (*xy, 7) for xy in points])
    found = project(particles, model(), **SIZE)
    assert found.inside()[0].tolist() == [True, False, True, False, True, False, True, True]
    assert found.inside(10)[0].tolist() == [False] * 6 + [True, False]
    assert found.inside(10.001)[0].tolist() == [False] * 8
    assert found.inside(-1).all()


def test_orientations_by_hand():
    """In a tilt of 90° about y, the reference's z axis, which lay along z, points along x."""
    turns = Rotation.from_euler("z", [[0], [90]], degrees=True)
    particles = poses((0, 0, 0), (1, 1, 1), orientation=turns)
    found = project(particles, model((0, 90, 0), (0, 0, 90)), **SIZE)
    assert_allclose(found.orientation(0).apply([0, 0, 1]), [[1, 0, 0]] * 2, atol=1e-12)
    # first about z by 90°: x to y, and y stays in the tilt about y
    assert_allclose(found.orientation(0).apply([1, 0, 0]), [[0, 0, -1], [0, 1, 0]], atol=1e-12)
    assert_allclose(found.orientation(1).apply([1, 0, 0]), [[0, 1, 0], [-1, 0, 0]], atol=1e-12)
    assert project(poses((0, 0, 0)), model(), **SIZE).orientation(0) is None


def test_a_particle_and_its_axis_stay_together():
    """A point one pixel along the particle's own z axis projects where the orientation says."""
    rng = np.random.default_rng(0)
    orientation = Rotation.from_quat(rng.normal(size=(5, 4)))
    position = rng.uniform(0, 40, (5, 3))
    tip = position + orientation.apply([0, 0, 1])
    angles = rng.uniform(-180, 180, (7, 3))
    both = [project(poses(*p, orientation=orientation), model(*angles), **SIZE)
            for p in (position, tip)]  # fmt: skip
    for tilt in range(7):
        axis = both[0].orientation(tilt).apply([0, 0, 1])
        assert_allclose((both[1].position - both[0].position)[tilt], axis[:, :2], atol=1e-9)
        assert_allclose((both[1].depth - both[0].depth)[tilt], axis[:, 2], atol=1e-9)


@dataclass(repr=False)
class Scored(PoseSet):
    scores: np.ndarray | None = None
    run: str = ""


def test_each_tilt_is_a_2d_poseset_of_the_same_class():
    """With z = 0, no shift, orientations of that tilt; its own fields and features go along."""
    particles = Scored(
        np.array([[50.0, 40, 20], [51, 40, 20]]), np.ones((2, 3)), Rotation.identity(2), "TS_01",
        2.0, "a.star", pd.DataFrame({"class": [1, 2]}, index=[7, 3]), {"x": 1, "ndim": 3},
        scores=np.array([0.5, 0.6]), run="r1",
    )  # fmt: skip
    projection = project(particles, model((0, 0, 0), (0, 0, 90)), **SIZE)
    assert isinstance(projection, Projection)
    tilts = list(projection)
    assert len(projection) == len(tilts) == 2
    for tilt in tilts:
        assert type(tilt) is Scored
        ct.validate_poseset(tilt)
        assert (tilt.shift, tilt.run, tilt.experiment_id) == (None, "r1", "TS_01")
        assert tilt.scores.tolist() == [0.5, 0.6]
        assert tilt.features.index.tolist() == [7, 3]
        assert tilt.metadata["ndim"] == 2
    assert_allclose(tilts[0].position, [[101, 81, 0], [102, 81, 0]])
    assert_allclose(projection[-1].position, [[99, 81, 0], [99, 82, 0]])
    assert_allclose(tilts[1].orientation.apply([1, 0, 0]), [[0, 1, 0]] * 2, atol=1e-12)
    for bad in (2, -3):
        with pytest.raises(IndexError, match=f"tilt {bad}: there are 2"):
            projection[bad]
    assert particles.metadata == {"x": 1, "ndim": 3}  # untouched
    assert particles.shift is not None


def test_somebody_elses_class():
    @dataclass
    class Theirs:
        experiment_id: str
        position: np.ndarray
        shift: np.ndarray | None = None
        orientation: Rotation | None = None
        pixel_spacing: float = 2.0
        source: str = ""

    found = project(Theirs("TS_01", np.array([[50.0, 40, 20]])), model(), **SIZE)
    assert type(found[0]) is Theirs
    assert_allclose(found[0].position, [[100, 80, 0]])


@pytest.mark.parametrize("n", [0, 1])
@pytest.mark.parametrize("tilts", [0, 1, 3])
def test_few_particles_and_few_tilts(n, tilts):
    particles = PoseSet(np.zeros((n, 3)), np.zeros((n, 3)), Rotation.identity(n), "TS_01", 2.0)
    table = model(*[(0, i, 0) for i in range(3)]).iloc[:tilts]
    found = project(particles, table, **SIZE)
    assert found.position.shape == (tilts, n, 2)
    assert found.depth.shape == found.inside().shape == (tilts, n)
    assert len(found.rotation) == len(list(found)) == tilts
    assert repr(found) == f"Projection 'TS_01': {n} particles in {tilts} tilts, in pixels of the " \
                          "image"  # fmt: skip


def test_2d_positions_and_lists_are_coerced():
    found = project(PoseSet([[50, 40]], experiment_id="TS_01", pixel_spacing=2), model(), **SIZE)
    assert at(found) == [[100, 80, -20]]


def test_a_tilt_written_and_read_again(tmp_path):
    """A tilt's particles are a 2D file of the same places; the 3D file's traits do not leak."""
    size = {"dimensions": (100, 80, 40), "pixel_spacing": 2.0}
    particles = poses((60, 50, 30), (40, 44, 9), orientation=Rotation.identity(2),
                      metadata={"dialect": "5.0", "labels": ["rlnTomoName"], "tomogram": size,
                                "experiment_label": "rlnTomoName"})  # fmt: skip
    tilt = project(particles, model((0, 30, 85)), tilt_image_dimensions=(200, 160))[0]
    ct.write(tilt, tmp_path / "tilt.star", format="relion-star")
    (again,) = ct.read_poses(tmp_path / "tilt.star")
    assert_allclose(again.position, tilt.position, atol=1e-9)
    assert again.metadata["dialect"] == "3.1"


def test_many():
    """200 000 particles in 41 tilts."""
    rng = np.random.default_rng(0)
    particles = PoseSet(rng.uniform(0, 100, (200_000, 3)), experiment_id="TS_01", pixel_spacing=2.0)
    table = model(*[(0, angle, 85) for angle in range(-60, 61, 3)])
    found = project(particles, table, **SIZE)
    assert found.position.shape == (41, 200_000, 2)
    centre = np.array([50, 40, 20])
    expected = Rotation.from_euler("xyz", [0, -60, 85], degrees=True).apply(
        particles.position[-1] - centre
    )
    assert_allclose(found.position[0, -1], expected[:2] + [100, 80], atol=1e-9)


def test_tilts_are_counted_from_either_end():
    seen = project(poses((53, 44, 25)), model((0, 0, 0), (0, 0, 90)), **SIZE)
    assert [len(seen), seen.centered] == [2, False]
    for tilt, place in ((0, [103, 84, 0]), (1, [96, 83, 0]), (-1, [96, 83, 0]), (-2, [103, 84, 0])):
        assert_allclose(seen[tilt].position, [place], atol=1e-9)
    for tilt in (2, -3):
        with pytest.raises(IndexError, match="there are 2"):
            seen[tilt]
