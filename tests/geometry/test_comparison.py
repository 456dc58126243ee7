"""What turns one alignment, or one set of poses, into another: found and named."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy.spatial.transform import Rotation

import cryotypes as ct
from cryotypes import PoseSet, compare_poses, compare_projection_models, flip_z
from cryotypes.errors import GuessWarning, MatchError

SIZE = {"tomogram_dimensions": (1000, 1000, 400)}


def model(n=41, seed=1, **columns) -> pd.DataFrame:
    """A usual tilt series with a slightly varying axis, and shifts."""
    rng = np.random.default_rng(seed)
    table = {
        "rotation_x": 0.5,
        "rotation_y": np.linspace(-60, 60, n),
        "rotation_z": 85 + rng.normal(0, 0.1, n),
        "dx": rng.normal(0, 30, n),
        "dy": rng.normal(0, 30, n),
        "experiment_id": "TS_01",
        "pixel_spacing": 2.0,
        "source": "",
    }
    return pd.DataFrame(table | columns)


def moved(table, offset, turn=(0, 0, 0)) -> pd.DataFrame:
    """Show p where the table shows Q p + offset, by scipy's rotations."""
    names = ["rotation_x", "rotation_y", "rotation_z"]
    turns = Rotation.from_euler("xyz", table[names].to_numpy(), degrees=True)
    shift = turns.apply(offset)[:, :2]
    new = turns * Rotation.from_rotvec(turn, degrees=True)
    angles = dict(zip(names, new.as_euler("xyz", degrees=True).T, strict=True))
    return table.assign(dx=table["dx"] + shift[:, 0], dy=table["dy"] + shift[:, 1], **angles)


def rolled(table, degrees) -> pd.DataFrame:
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    x, y = table["dx"], table["dy"]
    return table.assign(
        rotation_z=table["rotation_z"] + degrees, dx=c * x - s * y, dy=s * x + c * y
    )


CHANGES = {
    ("tilt",): (lambda t: t.assign(rotation_y=t["rotation_y"] + 5), [5]),
    ("in_plane",): (lambda t: t.assign(rotation_z=t["rotation_z"] - 0.7), [-0.7]),
    ("roll",): (lambda t: rolled(t, 90), [90]),
    ("shift",): (lambda t: t.assign(dx=t["dx"] + 0.5, dy=t["dy"] - 0.5), [0.5, -0.5]),
    ("scale",): (lambda t: t.assign(dx=t["dx"] * 1.35, dy=t["dy"] * 1.35), [1.35]),
    ("offset",): (lambda t: moved(t, (-20, 3, 40)), [-20, 3, 40]),
    ("offset", "turn"): (lambda t: moved(t, (5, 6, 7), (10, 2, -3)), [5, 6, 7, 10, 2, -3]),
    ("mirror",): (flip_z, []),
    ("axis_180",): (lambda t: t.assign(rotation_z=t["rotation_z"] + 180), []),
    ("turned_180",): (lambda t: flip_z(t.assign(rotation_z=t["rotation_z"] - 180)), []),
    ("mirror", "offset"): (lambda t: moved(flip_z(t), (-20, 3, 40)), [-20, 3, 40]),
    ("mirror", "tilt"): (lambda t: flip_z(t.assign(rotation_y=t["rotation_y"] - 2)), [2]),
    ("axis_180", "in_plane"): (lambda t: t.assign(rotation_z=t["rotation_z"] + 181), [1]),
    ("offset", "tilt"): (
        lambda t: moved(t.assign(rotation_y=t["rotation_y"] + 1), (9, 9, 9)),
        [9, 9, 9, 1],
    ),
}


@pytest.mark.parametrize("names", CHANGES, ids="+".join)
def test_every_change_is_named_with_its_numbers(names):
    a = model()
    change, numbers = CHANGES[names]
    found = compare_projection_models(a, change(a), match_tilts="order", **SIZE)
    assert found.explanation.names == names
    parameters = found.explanation.parameters
    assert_allclose(np.concatenate([*parameters.values(), []]), numbers, atol=1e-4)
    assert found.explained
    assert found.explanation.rms < 1e-4
    assert found.maximum > 0.1
    assert not found.outliers


@pytest.mark.parametrize("names", CHANGES, ids="+".join)
def test_noise_and_wrong_tilts_do_not_hide_it(names):
    """0.05 px of noise, and two tilts that are far off."""
    rng = np.random.default_rng(5)
    a = model()
    change, numbers = CHANGES[names]
    b = change(a)
    b[["dx", "dy"]] += rng.normal(0, 0.05, (len(b), 2))
    b.loc[[0, 7], "dx"] += [150.0, -60.0]
    found = compare_projection_models(a, b, match_tilts="order", **SIZE)
    assert found.explanation.names == names
    assert_allclose(
        np.concatenate([*found.explanation.parameters.values(), []]), numbers, atol=0.15
    )
    assert found.outliers == [0, 7]
    assert found.explained
    assert "-60° (150 px (300 Å)), -39° (60" in found.summary()


def test_the_same():
    found = compare_projection_models(model(), model(), **SIZE)
    assert (found.maximum, found.rms, found.explanation.names) == (0, 0, ())
    assert "the same geometry" in found.summary()
    assert found.matched_by == "angle"


def test_distances_by_hand():
    """One tilt turned by 90° about the beam: the corner (x, y) comes to (-y, x)."""
    a = model(n=1, rotation_x=[0.0], rotation_y=0.0, rotation_z=0.0, dx=0.0, dy=0.0)
    found = compare_projection_models(
        a, a.assign(rotation_z=90.0), tomogram_dimensions=(100, 100, 9)
    )
    # the corner (-50, -50) comes to (50, -50), and so on; the corner pixels are 0 and 99
    assert found.maximum == pytest.approx(100)
    corners = [(-50, -50), (-50, 49), (49, -50), (49, 49)]
    squares = [(-y - x) ** 2 + (x - y) ** 2 for x, y in corners for _ in range(2)]
    assert found.rms == pytest.approx(np.sqrt(sum(squares) / 9))
    assert found.tilts["rms"][0] == pytest.approx(found.explanations[0].rms)


def test_pixels_of_another_size():
    """The same alignment of images binned by 4; half a pixel there is two here."""
    a = model()
    b = a.assign(dx=a["dx"] / 4, dy=a["dy"] / 4, pixel_spacing=8.0)
    assert compare_projection_models(a, b, **SIZE).maximum < 1e-9
    found = compare_projection_models(a, b.assign(dx=b["dx"] + 0.5), **SIZE)
    assert_allclose(found.explanation.parameters["shift"], [2, 0], atol=1e-6)
    assert found.notes == ["a pixel of B is 4 of A's"]


def test_real_alignments_of_one_series_by_two_runs(shared_data):
    """IMOD's .xf and .tlt against RELION's: ORIGIN.md has it measured by other code.

    The offset was fitted there to shifts alone, without two tilts at each end; what remains is
    0.8 Å rms in x and in y, 1.1 Å as a distance.
    """
    folder = shared_data / "imod_alignment" / "TS_03"
    lines = np.loadtxt(folder / "TS_03.xf")
    matrix, shift = lines[:, :4].reshape(-1, 2, 2), lines[:, 4:]
    angle = np.arctan2(matrix[:, 0, 1] - matrix[:, 1, 0], matrix[:, 0, 0] + matrix[:, 1, 1])
    dx, dy = -np.linalg.solve(matrix, shift[..., None])[..., 0].T
    tilt = np.loadtxt(folder / "TS_03.tlt")[:, 0]
    imod = model(
        len(tilt), rotation_x=0.0, rotation_y=tilt, rotation_z=np.rad2deg(angle), dx=dx, dy=dy,
        experiment_id="TS_03", pixel_spacing=1.35,
    )  # fmt: skip
    path = shared_data / "relion5_project/AlignTiltSeries/job005/tilt_series/TS_03.star"
    relion = ct.read_projection_model(path, pixel_spacing=1.35)
    found = compare_projection_models(relion, imod, tomogram_dimensions=(4000, 4000, 2000))
    from_reader = ct.read_projection_model(folder / "TS_03.xf", pixel_spacing=1.35, exact=False)
    same = compare_projection_models(imod, from_reader, tomogram_dimensions=(4000, 4000, 2000))
    assert same.maximum < 1e-3
    assert len(found.tilts) == 40
    assert not found.only_a
    assert not found.only_b
    assert (found.tilts["angle_a"] == found.tilts["angle_b"]).all()
    assert found.explanation.names == ("offset",)
    offset = np.array(found.explanation.parameters["offset"]) * 1.35
    assert_allclose(offset, (-25.9, -1.2, -9.4), atol=0.2)
    assert np.linalg.norm(offset) == pytest.approx(27.5, abs=0.1)
    assert found.explanation.rms_at_centre * 1.35 / np.sqrt(2) == pytest.approx(0.8, abs=0.02)
    assert found.tilts["angle_a"][found.tilts["outlier"]].tolist() == [-57, -54]
    text = found.summary()
    assert "one rigid offset of the specimen by (-25.865, -1.148, -9.265) Å (27.5 Å)" in text
    mirrored = compare_projection_models(
        relion, flip_z(imod), match_tilts="order", tomogram_dimensions=(4000, 4000, 2000)
    )
    assert mirrored.explanation.names == ("mirror", "offset")
    half = imod.assign(dx=imod["dx"] + 30.0)
    both = compare_projection_models(imod, half, tomogram_dimensions=(4000, 4000, 2000))
    assert both.explanation.names == ("shift",)


def test_nothing_explains_it():
    a = model()
    found = compare_projection_models(a, model(seed=2), **SIZE)
    assert found.explanation.names == ()
    assert not found.explained
    assert "no simple difference" in found.summary()
    assert "remaining: rms" in found.summary()


def test_it_is_data_for_a_program():
    a = model(n=5)
    found = compare_projection_models(a, a.assign(dx=a["dx"] + 1), **SIZE)
    facts = json.loads(json.dumps(found.to_dict()))
    assert facts["explanation"]["names"] == ["shift"]
    assert facts["maximum_pixel"] == pytest.approx(1)
    assert len(facts["tilts"]) == 5
    assert repr(found) == "ModelComparison 'TS_01': 5 tilts, 1 px at most"


# --- pairs of tilts ---


def test_tilts_in_another_order_are_paired_by_angle():
    a = model()
    order = np.random.default_rng(0).permutation(41)
    found = compare_projection_models(a, a.iloc[order], **SIZE)
    assert found.matched_by == "angle"
    assert found.maximum == 0
    assert found.tilts["row_b"].tolist() == np.argsort(order).tolist()


def test_tilts_that_are_missing_are_named():
    a = model()
    found = compare_projection_models(a.drop([3, 17]), a.drop([40]), **SIZE)
    assert found.maximum == 0
    assert (found.only_a, found.only_b) == ([38], [3, 17])
    assert "only in A: rows 38" in found.summary()
    assert "only in B: rows 3, 17" in found.summary()


def test_index_and_names_come_before_angles():
    a = model(tilt_index=range(41))
    b = a.iloc[::-1].assign(rotation_y=lambda t: t["rotation_y"] + 30)
    found = compare_projection_models(a, b, **SIZE)
    assert (found.matched_by, found.explanation.names) == ("tilt_index", ("tilt",))
    a = model(rlnMicrographName=[f"MotionCorr/job002/t_{i}.mrc" for i in range(41)])
    b = a.assign(rlnMicrographName=[f"x/t_{i}.mrc" for i in range(41)]).iloc[::-1].drop(5)
    found = compare_projection_models(a, b, **SIZE)
    assert (found.matched_by, found.maximum, found.only_a) == ("name", 0, [5])


def test_a_large_tilt_offset_and_the_other_hand_are_found_in_rows_of_one_order():
    """The nearest angles would pair the wrong images; the rows in order leave nothing."""
    a = model()
    found = compare_projection_models(a, a.assign(rotation_y=a["rotation_y"] + 10), **SIZE)
    assert (found.matched_by, found.explanation.names) == ("order", ("tilt",))
    found = compare_projection_models(a, flip_z(a), **SIZE)
    assert (found.matched_by, found.explanation.names) == ("order", ("mirror",))


def test_tilts_that_cannot_be_paired():
    a = model()
    with pytest.raises(MatchError, match="no index, name or angle in common"):
        compare_projection_models(a, a.drop(3).assign(rotation_y=500.0), **SIZE)
    with pytest.raises(MatchError, match="match_tilts='order' pairs no tilt"):
        compare_projection_models(a, a.drop(3), match_tilts="order", **SIZE)
    with pytest.raises(ValueError, match="expected one of tilt_index"):
        compare_projection_models(a, a, match_tilts="guess", **SIZE)
    with pytest.raises(MatchError, match="B holds several experiments"):
        compare_projection_models(a, a.assign(experiment_id=["x"] + ["y"] * 40), **SIZE)
    with pytest.raises(MatchError, match="A has no tilts"):
        compare_projection_models(a.iloc[:0], a, **SIZE)


def test_sizes_and_spacings_come_from_attrs_or_are_guessed_aloud():
    a = model()
    with pytest.raises(ValueError, match="give tomogram_dimensions="):
        compare_projection_models(a, a)
    with pytest.warns(GuessWarning, match="a quarter of it in z") as caught:
        found = compare_projection_models(a, a, tilt_image_dimensions=(400, 300))
    assert caught[0].filename == __file__
    assert found.tomogram_dimensions == (400, 300, 75)
    b = model(pixel_spacing=4.0)
    b.attrs["tomogram_dimensions"] = (100, 90, 30)
    assert compare_projection_models(a, b).tomogram_dimensions == (200, 180, 60)
    a.attrs["tomogram_dimensions"] = {"TS_01": (500, 180, 60)}
    found = compare_projection_models(a, b)
    assert found.tomogram_dimensions == (500, 180, 60)
    assert "the tomogram have other sizes: 500 × 180 × 60 and 100 × 90 × 30 px" in found.notes
    with pytest.warns(GuessWarning, match="pixel spacing of B is unknown") as caught:
        assert compare_projection_models(a, model(pixel_spacing=0.0)).maximum == 0
    assert caught[0].filename == __file__


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_tilts(n):
    a = model(n=n)
    found = compare_projection_models(a, a.assign(dx=a["dx"] + 0.5), **SIZE)
    assert found.explanation.names == ("shift",)
    assert found.explanation.rms < 1e-6


# --- poses ---


def random_poses(n=30, **fields) -> PoseSet:
    rng = np.random.default_rng(n)
    return PoseSet(
        rng.uniform(0, 200, (n, 3)), rng.normal(0, 2, (n, 3)),
        Rotation.random(n, random_state=n), "TS_01", **{"pixel_spacing": 2.0} | fields,
    )  # fmt: skip


def test_poses_by_hand():
    a = PoseSet([[10, 20, 30]], [[0, 0, 1]], Rotation.from_euler("z", [10], degrees=True), "a", 4.0)
    b = PoseSet(
        [[20, 40, 62]], [[0, 3, 0]], Rotation.from_euler("z", [12.5], degrees=True), "a", 2.0
    )
    found = compare_poses(a, b)
    assert found.distance.tolist() == [6]  # 3 px of 2 Å in y
    assert_allclose(found.angle, [2.5])
    assert (found.unit, found.matched_by) == ("Å", "order")
    assert repr(found) == "PoseComparison 'a': 1 pairs by order, apart at most 6 Å, 2.5°"


@pytest.mark.parametrize(
    "change",
    [
        lambda p: ct.apply_shifts(p),
        lambda p: ct.rescale(p, 7.0),
    ],
)
def test_another_form_of_the_same_poses(change):
    found = compare_poses(random_poses(), change(random_poses()))
    assert found.distance.max() < 1e-9
    assert found.angle.max() < 1e-5


def test_another_order_missing_and_extra():
    a = random_poses()
    order = np.random.default_rng(3).permutation(30)
    found = compare_poses(a, a[order])
    assert found.distance.max() > 10
    assert "another order?" in found.notes[0]
    found = compare_poses(a, a[order], match_particles="nearest")
    assert found.distance.max() < 1e-9
    assert found.pairs[:, 1].tolist() == np.argsort(order).tolist()
    found = compare_poses(a, a[order][4:])  # what is missing takes no partner from another
    assert sorted(found.only_a) == sorted(order[:4])
    assert found.distance.max() < 1e-9
    far = PoseSet([[900.0, 900, 900]], np.zeros((1, 3)), Rotation.identity(1), "TS_01", 2.0)
    b = ct.concatenate([a[order][4:], far])
    found = compare_poses(a, b, within=1.0)
    assert found.matched_by == "nearest"
    assert sorted(found.only_a) == sorted(order[:4])
    assert found.only_b.tolist() == [26]
    assert "4 missing, 1 extra" in found.summary()
    with pytest.raises(ValueError, match="cannot pair 30 with 27 particles by their order"):
        compare_poses(a, b, match_particles="order")


def test_unknown_spacing_or_orientation():
    a = random_poses(pixel_spacing=0.0)
    assert compare_poses(a, a).unit == "px"
    with pytest.raises(ValueError, match="pixel spacing of A is unknown"):
        compare_poses(a, random_poses())
    with pytest.raises(ValueError, match="expected order or nearest"):
        compare_poses(a, a, match_particles="name")
    bare = PoseSet(a.position, a.shift, None, "TS_01")
    found = compare_poses(a, bare)
    assert found.angle is None
    assert found.notes == ["orientation unknown in B only"]
    empty = PoseSet(np.zeros((0, 3)))
    assert json.dumps(compare_poses(empty, empty).to_dict())
