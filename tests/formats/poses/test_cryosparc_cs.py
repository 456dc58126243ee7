"""cryoSPARC's .cs against hand arithmetic; and that a selection is written back unchanged."""

from __future__ import annotations

import io
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy.spatial.transform import Rotation

import cryotypes
from cryotypes import PoseSet
from cryotypes.errors import GuessWarning, LossWarning, MissingPackageError, ReadError, WriteError
from cryotypes.formats.poses import cryosparc_cs
from cryotypes.formats.poses.cryosparc_cs import _passthrough as _cs_passthrough
from cryotypes.formats.poses.cryosparc_cs import _read as _cs_read
from cryotypes.formats.poses.cryosparc_cs import _table as _cs_table
from cryotypes.formats.shared.declaration import Head
from cryotypes.testing import assert_same

read = cryosparc_cs.FORMAT.read

# conventions: RELION's (25, 40, 70) as cryoSPARC writes it, and where (14, 0, 0) comes to lie
POSE, POINT = (0.299157, 0.722229, 1.583523), (-2.235467, -11.157248, 8.155888)
RELION = Rotation.from_euler("ZYZ", [[25, 40, 70]], degrees=True).inv()

BASE = [("uid", "<u8"), ("blob/path", "S24"), ("blob/idx", "<u4"), ("blob/shape", "<u4", (2,)),
        ("blob/psize_A", "<f4"), ("ctf/df1_A", "<f4")]  # fmt: skip
LOCATION = [
    ("location/micrograph_path", "S24"), ("location/micrograph_uid", "<u8"),
    ("location/micrograph_shape", "<u4", (2,)), ("location/center_x_frac", "<f4"),
    ("location/center_y_frac", "<f4"), ("location/micrograph_psize_A", "<f4"),
]  # fmt: skip
ALIGNED = [("alignments3D/split", "<u4"), ("alignments3D/shift", "<f4", (2,)),
           ("alignments3D/pose", "<f4", (3,)), ("alignments3D/psize_A", "<f4")]  # fmt: skip
MULTI = [("alignments3D_multi/split", "<u4"), ("alignments3D_multi/shift", "<f4", (3, 2)),
         ("alignments3D_multi/pose", "<f4", (3, 3)), ("alignments3D_multi/psize_A", "<f4", (3,)),
         ("alignments3D_multi/class_posterior", "<f4", (3,))]  # fmt: skip
FLAT = [("alignments2D/shift", "<f4", (2,)), ("alignments2D/pose", "<f4"),
        ("alignments2D/psize_A", "<f4")]  # fmt: skip


def particles(n=5, fields=(*BASE, *LOCATION, *ALIGNED)) -> np.ndarray:
    """Particles of micrographs of 200 × 100 (x × y) px at 2 Å, images at 4 Å.

    The first is at (10, 20) px and shifted by (1, -2) px.
    """
    rng = np.random.default_rng(1)
    array = np.zeros(n, list(fields))
    for name in array.dtype.names:
        if array.dtype[name].base.kind == "f":
            array[name] = rng.uniform(0.1, 0.9, array[name].shape)
    array["uid"] = np.uint64(2**63) + np.arange(n, dtype=np.uint64) ** 3
    values = {
        "blob/path": b">J1/stack.mrc", "blob/idx": np.arange(n), "blob/psize_A": 4,
        "location/micrograph_shape": (100, 200), "location/micrograph_psize_A": 2,
        "location/micrograph_uid": 77, "alignments3D/psize_A": 4, "alignments2D/psize_A": 4,
        "alignments3D_multi/psize_A": 4, "alignments3D_multi/split": 1,
    }  # fmt: skip
    for name, value in values.items():
        if name in array.dtype.names:
            array[name] = value
    if "location/micrograph_path" in array.dtype.names:
        array["location/micrograph_path"] = np.resize([b">J1/a.mrc", b"J1/b.mrc"], n)
    first = {
        "location/center_x_frac": 0.05, "location/center_y_frac": 0.2, "alignments3D/pose": POSE,
        "alignments3D/shift": (-0.5, 1), "alignments2D/shift": (-0.5, 1), "alignments2D/pose": 0.7,
    }  # fmt: skip
    for name, value in first.items():
        if n and name in array.dtype.names:
            array[name][0] = value
    return array


def npy(array, version=(1, 0)) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, array, version, allow_pickle=True)
    return file.getvalue()


@pytest.fixture
def cs(save):
    def saving(array=None, name="J7_005_particles.cs"):
        return save(npy(particles() if array is None else array), name)

    return saving


def check_first(poses) -> None:
    """The first particle, by hand."""
    assert_allclose(poses.orientation[0].apply([14, 0, 0]), POINT, atol=2e-5)
    assert_allclose(poses.position[0], (10, 20, 0), atol=1e-5)
    assert_allclose(poses.shift[0], (1, -2, 0), atol=1e-6)


def test_a_particle_by_hand(cs):
    """A pose turns the particle into the reference; shifts are image pixels to be subtracted."""
    a, b = read(cs())
    check_first(a)
    assert (a.experiment_id, b.experiment_id) == ("J1/a.mrc", "J1/b.mrc")  # without the >
    assert a.pixel_spacing == 2.0
    assert list(a.features.index) == [0, 2, 4]
    assert a.metadata["ndim"] == 2
    assert a.features["uid"].dtype == np.uint64
    assert a.features["uid"][4] == 2**63 + 64
    assert list(a.features["blob/path"]) == [">J1/stack.mrc"] * 3
    assert list(a.features["blob/idx"]) == [0, 2, 4]
    for name in ("blob/shape[0]", "blob/shape[1]", "location/micrograph_shape[1]"):
        assert name in a.features
    assert not any("pose" in name or "frac" in name for name in a.features)


ROW = cryosparc_cs.CRYOSPARC
FAULTS = {
    "inverse": replace(ROW, turn=replace(ROW.turn, inverse=False)),
    "degrees": replace(ROW, turn=replace(ROW.turn, degrees=True)),
    "unit": replace(ROW, place=replace(ROW.place, unit="pixel")),
    "angstrom": replace(ROW, place=replace(ROW.place, unit="angstrom")),
    "origin": replace(ROW, place=replace(ROW.place, origin="centre")),
    "zero": replace(ROW, place=replace(ROW.place, zero=(0.5, 0, 0))),
    "sign": replace(ROW, offset=replace(ROW.offset, sign=1)),
    "unit of the shift": replace(ROW, offset=replace(ROW.offset, unit="angstrom")),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_fault_in_the_convention_is_noticed(cs, monkeypatch, fault):
    monkeypatch.setattr(_cs_read, "CRYOSPARC", fault)
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        check_first(read(cs())[0])


def test_upside_down(cs):
    """Flipped, y is height - y, and an image of the reference is flipped as well."""
    path = cs()
    up, down = read(path)[0], read(path, flip_y=True)[0]
    assert_allclose(down.position, up.position * (1, -1, 1) + (0, 100, 0), atol=1e-9)
    assert_allclose(down.shift, up.shift * (1, -1, 1))
    points = np.random.default_rng(0).normal(size=(3, 3))
    for k in range(3):
        expected = up.orientation.apply(points[k])[:, :2] * (1, -1)
        assert_allclose(down.orientation.apply(points[k])[:, :2], expected, atol=1e-9)
    assert np.linalg.det(down.orientation.as_matrix()) == pytest.approx(1)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("n", [0, 1, 5, 3000])
def test_written_back_nothing_changes(cs, tmp_path, n, flip):
    """Byte for byte, in the order of the file, whatever the number of particles."""
    path = cs(particles(n))
    report = cryotypes.write(read(path, flip_y=flip), tmp_path / "out.cs", strict=True)
    assert not report.assumed
    assert (tmp_path / "out.cs").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("fields", [BASE, (*BASE, *LOCATION), (*BASE, *FLAT), (*BASE, *MULTI),
                                    (*LOCATION, *MULTI, *BASE), (*BASE, *ALIGNED, *FLAT),
                                    BASE[:2], [*BASE[:1], *LOCATION[1:]]])  # fmt: skip
@pytest.mark.filterwarnings("ignore::cryotypes.errors.GuessWarning")
def test_written_back_whatever_the_fields(cs, tmp_path, fields):
    path = cs(particles(fields=fields))
    cryotypes.write(read(path), tmp_path / "out.cs", strict=True)
    assert (tmp_path / "out.cs").read_bytes() == path.read_bytes()


def test_a_selection_keeps_its_uids(cs, tmp_path):
    """Every second particle, one of them moved and turned: nothing else differs."""
    array = particles(9)
    poses = read(cs(array))[0]
    kept = poses[[0, 2]]
    kept.position = kept.position + [[20, 10, 0], [0, 0, 0]]
    kept.orientation = RELION[[0, 0]]
    cryotypes.write(kept, tmp_path / "out.cs")
    found, expected = np.load(tmp_path / "out.cs"), array[[0, 4]]
    expected["location/center_x_frac"][0] += np.float32(0.1)
    expected["location/center_y_frac"][0] += np.float32(0.1)
    expected["alignments3D/pose"] = POSE
    for name in array.dtype.names:
        if name.startswith(("alignments3D/pose", "location/center")):
            assert_allclose(found[name], expected[name], atol=1e-6)
        else:
            assert (found[name] == expected[name]).all(), name


def test_dropped_and_new_features(cs, tmp_path):
    poses = read(cs())[0]
    poses.features = poses.features.drop(columns="ctf/df1_A").assign(score=[1.5, 2.5, np.nan])
    cryotypes.write(poses, tmp_path / "out.cs")
    found = np.load(tmp_path / "out.cs")
    assert "ctf/df1_A" not in found.dtype.names
    assert_allclose(found["score"], [1.5, 2.5, np.nan])


def test_rescaled_particles_go_back_to_their_micrographs(cs, tmp_path):
    path = cs()
    poses = read(path)
    for p in poses:
        p.position, p.shift, p.pixel_spacing = p.position / 4, p.shift / 4, p.pixel_spacing * 4
    cryotypes.write(poses, tmp_path / "out.cs")
    assert (tmp_path / "out.cs").read_bytes() == path.read_bytes()


def test_another_pixel_size_of_the_micrographs(cs, tmp_path):
    """Given by the user: positions stay, and shifts keep their length in angstrom."""
    path = cs()
    poses = read(path, pixel_spacing=1.0)
    assert_allclose(poses[0].position[0], (10, 20, 0), atol=1e-5)
    assert_allclose(poses[0].shift[0], (2, -4, 0), atol=1e-6)
    cryotypes.write(poses, tmp_path / "out.cs")
    assert (tmp_path / "out.cs").read_bytes() == path.read_bytes()


# --- several classes, two dimensions ---


def test_the_class_of_highest_posterior(cs, tmp_path):
    array = particles(fields=(*BASE, *LOCATION, *MULTI))
    array["alignments3D_multi/class_posterior"] = [[0.1, 0.2, 0.7]] * 5
    array["alignments3D_multi/pose"][0] = [(1, 2, 3), (0, 0, 1), POSE]
    array["alignments3D_multi/shift"][0] = [(9, 9), (8, 8), (-0.5, 1)]
    poses = read(cs(array))
    check_first(poses[0])
    assert "alignments3D_multi/pose[2,1]" in poses[0].features
    poses[0].orientation = RELION[[0, 0, 0]]
    cryotypes.write(poses, tmp_path / "out.cs")
    found = np.load(tmp_path / "out.cs")["alignments3D_multi/pose"]
    assert_allclose(found[[0, 2, 4], 2], [POSE] * 3, atol=1e-6)
    assert (found[:, :2] == array["alignments3D_multi/pose"][:, :2]).all()


def test_poses_in_two_dimensions(cs, tmp_path):
    """The angle is RELION's psi in radians, or its negative if one says so."""
    path = cs(particles(fields=(*BASE, *LOCATION, *FLAT)))
    for sign in (1, -1):
        poses = read(path, psi_sign=sign)
        psi = np.rad2deg(0.7) * sign
        expected = Rotation.from_euler("ZYZ", [0, 0, psi], degrees=True).inv()
        assert (expected.inv() * poses[0].orientation[0]).magnitude() < 1e-6
        assert_allclose(poses[0].shift[0], (1, -2, 0), atol=1e-6)
        cryotypes.write(poses, tmp_path / "out.cs", overwrite=True)
        assert (tmp_path / "out.cs").read_bytes() == path.read_bytes()
    poses[0].orientation = RELION[[0, 0, 0]]
    report = cryotypes.write(poses, tmp_path / "tilted.cs")
    assert "alignments3D" in report.converted["orientation"]
    assert_allclose(read(tmp_path / "tilted.cs")[0].orientation[0].apply([14, 0, 0]), POINT,
                    atol=2e-5)  # fmt: skip


def test_which_alignments(cs):
    path = cs(particles(fields=(*BASE, *LOCATION, *ALIGNED, *FLAT)))
    check_first(read(path)[0])
    flat = read(path, alignments="alignments2D")[0]
    assert_allclose(flat.orientation.apply([0, 0, 1]), [[0, 0, 1]] * 3)
    assert "alignments3D/pose[0]" in flat.features
    with pytest.raises(ReadError, match="there is alignments3D, alignments2D"):
        read(path, alignments="alignments9D")


# --- where things are stated, or not ---


def test_without_positions(cs):
    """A stack of particles: at 0, called after their images, with a hint at the passthrough."""
    path = cs(particles(fields=(*BASE, *ALIGNED)))
    with pytest.warns(GuessWarning, match="passthrough="):
        (poses,) = read(path)
    assert poses.experiment_id == "J1/stack.mrc"
    assert poses.pixel_spacing == 4
    assert not poses.position.any()
    assert_allclose(poses.shift[0], (0.5, -1, 0), atol=1e-6)
    read(path, passthrough=[])  # asked for, so no warning


def test_without_the_micrographs_pixel_size(cs):
    path = cs(particles(fields=(*BASE, *LOCATION[:-1], *ALIGNED)))
    with pytest.warns(GuessWarning, match=r"4 Å; give pixel_spacing="):
        assert read(path)[0].pixel_spacing == 4
    assert read(path, pixel_spacing=2)[0].pixel_spacing == 2
    array = particles(fields=(*BASE, *LOCATION))
    array["location/micrograph_psize_A"] = 1.1
    assert read(cs(array))[0].pixel_spacing == 1.1  # not 1.10000002384


def test_without_the_micrographs_size(cs):
    path = cs(particles(fields=(*BASE, *LOCATION[:2], *LOCATION[3:], *ALIGNED)))
    with pytest.raises(ReadError, match="micrograph_shape="):
        read(path)
    check_first(read(path, micrograph_shape=(100, 200))[0])


def test_uids_of_micrographs(cs, tmp_path):
    path = cs()
    (poses,) = read(path, experiment="uid")
    assert poses.experiment_id == "77"
    assert "location/micrograph_path" in poses.features
    cryotypes.write(poses, tmp_path / "out.cs")
    assert (tmp_path / "out.cs").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("name", ["alignments3D/pose", "alignments3D/shift",
                                  "location/center_y_frac"])  # fmt: skip
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_none(cs, name, value):
    array = particles()
    array[name][3] = value
    with pytest.raises(ReadError, match=f"'{name}', row 3"):
        read(cs(array))


def test_files_that_hold_no_particles(cs):
    fields = [("uid", "<u8"), ("micrograph_blob/path", "S8"), ("mscope_params/accel_kv", "<f4")]
    with pytest.raises(ReadError, match=r"expected particles.*micrograph_blob/path"):
        read(cs(particles(fields=fields)))


# --- passthrough ---


@pytest.mark.parametrize(
    ("main", "beside", "belongs"),
    [
        ("J7_005_particles.cs", "J7_passthrough_particles.cs", True),
        ("cryosparc_P3_J7_005_particles.cs", "P3_J7_passthrough_particles.cs", True),
        ("extracted_particles.cs", "J7_passthrough_particles.cs", True),  # in the folder J7
        ("particles_selected.cs", "J7_passthrough_particles_selected.cs", True),
        ("J7_005_particles.cs", "J70_passthrough_particles.cs", False),
        ("J7_005_particles.cs", "J8_passthrough_particles.cs", False),
        ("J7_particles_excluded.cs", "J7_passthrough_particles.cs", False),
        ("J7_005_particles.cs", "J7_passthrough_particles_selected.cs", False),
        ("J7_005_particles.cs", "passthrough_particles.cs", False),
        ("J7_passthrough_particles.cs", "J7_passthrough_particles.cs", False),
    ],
)
def test_which_passthrough_belongs(save, main, beside, belongs):
    path, other = save(b"", f"J7/{main}"), save(b"", f"J7/{beside}")
    assert _cs_passthrough.find_passthrough(path) == (other if belongs else None)


def test_the_longest_name_wins(save):
    path = save(b"", "J7/J7_particles_class_0.cs")
    save(b"", "J7/J7_passthrough_0.cs")
    longest = save(b"", "J7/J7_passthrough_particles_class_0.cs")
    assert _cs_passthrough.find_passthrough(path) == longest


@pytest.mark.parametrize("shuffled", [False, True])
@pytest.mark.parametrize("given", [False, True])
def test_passthrough_is_joined_by_uid(cs, tmp_path, shuffled, given):
    whole = particles()
    main = np.array(whole[[f[0] for f in (*BASE, *ALIGNED)]].tolist(), [*BASE, *ALIGNED])
    other = np.array(whole[[f[0] for f in (BASE[0], *LOCATION)]].tolist(), [BASE[0], *LOCATION])
    other = np.concatenate([other, other])
    other["uid"][5:] += np.uint64(1000)  # more particles than needed
    if shuffled:
        other = other[[3, 9, 1, 0, 8, 7, 4, 2, 6, 5]]
    path = cs(main)
    name = "elsewhere.cs" if given else "J7_passthrough_particles.cs"
    passthrough = cs(other, name)
    poses = read(path, passthrough=passthrough) if given else read(path)
    assert poses[0].metadata["passthrough"] == [str(passthrough)]
    assert_same(poses, read(cs(whole, "whole.cs")))
    cryotypes.write(poses, tmp_path / "out.cs")  # complete: no passthrough is needed any more
    assert_same(poses, read(tmp_path / "out.cs"))
    with pytest.warns(GuessWarning, match="at 0"):
        read(cs(main, "alone.cs"))
    (tmp_path / "J7_passthrough_particles.cs").unlink(missing_ok=True)


def test_passthrough_without_all_particles(cs):
    path = cs(particles())
    other = cs(particles(3, [*BASE[:1], ("ctf/cs_mm", "<f4")]), "J7_passthrough_particles.cs")
    with pytest.raises(ReadError, match="found 2 missing, the first with uid 9223372036854775835"):
        read(path, passthrough=[other])
    with pytest.warns(GuessWarning, match="found 2 missing.*give passthrough="):
        poses = read(path)
    assert "ctf/cs_mm" not in poses[0].features
    double = particles(10, [*BASE[:1], ("ctf/cs_mm", "<f4")])
    double["uid"][5:] = double["uid"][:5]
    with pytest.raises(ReadError, match="twice"):
        read(path, passthrough=cs(double, "double.cs"))


# --- particles from elsewhere ---


def elsewhere(n=3, **changes) -> PoseSet:
    fields = {
        "position": np.arange(3 * n).reshape(n, 3) * [[10, 7, 0]], "experiment_id": "m/α 1.mrc",
        "shift": np.full((n, 3), [1, -2, 0]), "orientation": RELION[[0] * n], "pixel_spacing": 2.0,
    }  # fmt: skip
    return PoseSet(**{**fields, **changes})


def test_particles_from_elsewhere(tmp_path):
    """All that cryoSPARC needs of a location and an alignment, in its own types."""
    path = tmp_path / "out.cs"
    report = cryotypes.write(elsewhere(), path, micrograph_shape=(100, 200))
    assert set(report.assumed) == {"uid", "location/micrograph_uid"}
    found = np.load(path)
    assert found.dtype.names[0] == "uid"
    assert_allclose(found["location/center_x_frac"], [0, 0.15, 0.3], atol=1e-7)
    assert_allclose(found["location/center_y_frac"], [0.07, 0.28, 0.49], atol=1e-7)
    assert (found["location/micrograph_shape"] == (100, 200)).all()
    assert found["location/micrograph_path"][0].decode() == "m/α 1.mrc"
    assert_allclose(found["alignments3D/pose"], [POSE] * 3, atol=1e-6)
    assert_allclose(found["alignments3D/shift"], [[-1, 2]] * 3)
    assert_allclose(found["alignments3D/psize_A"], 2)
    assert_same(read(path)[0], elsewhere(), tolerance={"position": 1e-4, "orientation": 1e-4},
                ignore=["features"])  # fmt: skip


def test_new_uids_depend_on_the_particles_alone(tmp_path):
    def uids(poses):
        cryotypes.write(poses, tmp_path / "a.cs", overwrite=True, micrograph_shape=(100, 200))
        return np.load(tmp_path / "a.cs")["uid"]

    many = elsewhere(5000)
    assert len(set(uids(many))) == 5000
    assert (uids(many) == uids(many)).all()
    assert not set(uids(many[:100])) & set(uids(many[100:200]))


def test_a_uid_that_lost_its_digits_is_made_anew(cs, tmp_path):
    """Joined with particles that have none, pandas turns uids into floats."""
    poses = [read(cs())[0], elsewhere(experiment_id="x")]
    with pytest.warns(LossWarning):  # texts and whole numbers that the second part has not
        report = cryotypes.write(poses, tmp_path / "out.cs", micrograph_shape=(100, 200))
    assert "uid" in report.assumed
    found = read(tmp_path / "out.cs")
    assert_same(found, poses, tolerance={"position": 1e-4, "orientation": 1e-4},
                ignore=["features"])  # fmt: skip


@pytest.mark.parametrize(
    ("poses", "options", "match"),
    [
        (elsewhere(), {}, "micrograph_shape="),
        (elsewhere(), {"micrograph_shape": {"other": (1, 2)}}, "micrograph_shape="),
        (elsewhere(position=[[1, 2, 3.0]] * 3), {"micrograph_shape": (9, 9)}, "z = 3 in row 0"),
        (elsewhere(shift=[[0, 0, 0], [0, 0, 1.0], [0, 0, 0]]), {"micrograph_shape": (9, 9)},
         "z = 1 in row 1"),
        (elsewhere(pixel_spacing=0), {"micrograph_shape": (9, 9)}, "pixel spacing"),
        (elsewhere(features=pd.DataFrame({"uid": [1, 2, 1]})), {"micrograph_shape": (9, 9)},
         "found 1 twice"),
        (elsewhere(experiment_id="a\0b"), {"micrograph_shape": (9, 9)}, "zero byte"),
    ],
)  # fmt: skip
def test_what_cannot_be_written(tmp_path, poses, options, match):
    with pytest.raises(WriteError, match=match):
        cryotypes.write(poses, tmp_path / "out.cs", **options)
    assert not list(tmp_path.iterdir())


def test_shapes_of_several_micrographs(tmp_path):
    shapes = {"a": (100, 200), "b": (300, 400)}
    poses = [elsewhere(experiment_id="a"), elsewhere(experiment_id="b")]
    cryotypes.write(poses, tmp_path / "out.cs", micrograph_shape=shapes)
    assert_allclose([p.position for p in read(tmp_path / "out.cs")],
                    [p.position for p in poses], atol=1e-4)  # fmt: skip


def test_unknown_orientation_and_shift(tmp_path):
    poses = elsewhere(orientation=None)
    with pytest.warns(LossWarning, match="unknown, written as no rotation"):
        cryotypes.write(poses, tmp_path / "a.cs", micrograph_shape=(100, 200))
    report = cryotypes.write(elsewhere(shift=None), tmp_path / "b.cs", micrograph_shape=(100, 200))
    assert "shift" in report.assumed
    picks = elsewhere(orientation=None, shift=None)
    cryotypes.write(picks, tmp_path / "c.cs", micrograph_shape=(100, 200), strict=True)
    (found,) = read(tmp_path / "c.cs")
    assert found.orientation is None
    assert found.shift is None


# --- the container ---


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_versions_and_byte_orders(save, version):
    array = particles()
    assert_same(read(save(npy(array, version), "a.cs")), read(save(npy(array), "b.cs")))
    swapped = array.astype(array.dtype.newbyteorder(">"))
    assert_same(read(save(npy(swapped, version), "a.cs")), read(save(npy(array), "b.cs")))


def test_large_headers(save, tmp_path):
    """Beyond the 10 000 letters that NumPy reads, and the 65 535 of version 1."""
    fields = [(f"components_mode_{i}/value", "<f4") for i in range(3000)]
    array = particles(2, [*BASE, *LOCATION, *fields])
    path = save(npy(array, (2, 0)), "big.cs")
    poses = read(path)
    cryotypes.write(poses, tmp_path / "out.cs")
    assert (tmp_path / "out.cs").read_bytes() == path.read_bytes()


def test_shapes_as_python_2_wrote_them(save):
    raw = npy(particles())
    old = raw.replace(b"'shape': (5,), }   ", b"'shape': (5L,), }  ")
    assert old != raw
    assert_same(read(save(old, "old.cs")), read(save(raw, "new.cs")))


@pytest.mark.parametrize(
    ("array", "match"),
    [
        (
            np.array([(1, "x")], [("uid", "<u8"), ("blob/path", "O")]),
            "pickled Python objects",
        ),
        (np.zeros(3), "expected one row of records"),
        (np.zeros((2, 2), BASE), "damaged|expected one row"),
        (np.zeros(2, [("uid", "<u8"), ("blob", BASE)]), "expected numbers or texts"),
        (np.zeros(2, [("uid", "<u8"), ("t", "M8[s]")]), "expected numbers or texts"),
        (np.zeros(1, [("uid", "<u8"), ("v", "<f4", (70000,))]), "up to 65536 values"),
    ],
)
def test_arrays_that_are_no_cs(save, array, match):
    with pytest.raises(ReadError, match=match):
        read(save(npy(array), "a.cs"))


def test_nothing_is_unpickled(save, tmp_path):
    class Evil:
        def __reduce__(self):
            return (type(tmp_path).touch, (tmp_path / "ran",))

    array = np.array([(1, Evil())], [("uid", "<u8"), ("blob/path", "O")])
    with pytest.raises(ReadError):
        read(save(npy(array), "a.cs"))
    assert not (tmp_path / "ran").exists()


@pytest.mark.filterwarnings("ignore::cryotypes.errors.GuessWarning")
@pytest.mark.filterwarnings("ignore::SyntaxWarning")
def test_damage(save):
    """Cut anywhere, or one byte changed: a ReadError, or poses that are finite."""
    raw = npy(particles(2))
    for end in range(len(raw)):
        with pytest.raises(ReadError):
            read(save(raw[:end], "cut.cs"))
    with pytest.raises(ReadError, match="found"):
        read(save(raw + b"\0", "cut.cs"))
    rng = np.random.default_rng(0)
    for place in range(len(raw)):
        damaged = bytearray(raw)
        damaged[place] = rng.choice([damaged[place] ^ (1 << rng.integers(8)), rng.integers(256)])
        try:
            poses = read(save(bytes(damaged), "damaged.cs"))
        except ReadError:
            continue
        for p in poses:
            assert np.isfinite(p.position).all()


def test_stream(save, cs, tmp_path):
    """cryosparc-tools reads what we write and writes what we read, in both of its formats."""
    pytest.importorskip("cryosparc.dataset")
    from cryosparc.dataset import CSDAT_FORMAT, NUMPY_FORMAT, Dataset

    path = cs(particles(50, (*BASE, *LOCATION, *ALIGNED, *MULTI)))
    dataset = Dataset.load(path)
    for form in (CSDAT_FORMAT, NUMPY_FORMAT):
        dataset.save(tmp_path / "saved.cs", format=form)
        poses = cryotypes.read_poses(tmp_path / "saved.cs")
        assert_same(poses, read(path))
        cryotypes.write(poses, tmp_path / "again.cs", overwrite=True)
        again = Dataset.load(tmp_path / "again.cs")
        assert again.descr() == dataset.descr()
        for field in dataset.fields():
            assert (np.asarray(again[field]) == np.asarray(dataset[field])).all(), field
    dataset.save(tmp_path / "stream.cs", format=CSDAT_FORMAT)
    raw = (tmp_path / "stream.cs").read_bytes()
    for end in range(6, 200, 7):
        with pytest.raises(ReadError, match="CSDAT"):
            read(save(raw[:end], "cut.cs"))


def test_stream_without_the_package(save, monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(_cs_table.importlib, "import_module", missing)
    with pytest.raises(MissingPackageError, match=r"pip install 'cryotypes\[cryosparc\]'"):
        read(save(b"\x95CSDAT....", "a.cs"))


def test_sniff(cs):
    assert cryosparc_cs.sniff(Head.of(cs()))
    assert cryotypes.identify(cs()).name == "cryosparc-cs"
    for data in (b"", b"\x93NUMPY\x01\x00v\x00{'descr': '<f8'}", b"\x95CSDAT", b"data_\nuid"):
        assert not cryosparc_cs.sniff(Head(cs(), data))


def test_files_are_not_overwritten_or_left_half_written(cs, tmp_path, monkeypatch):
    path, poses = cs(), elsewhere()
    before = path.read_bytes()
    with pytest.raises(FileExistsError):
        cryotypes.write(poses, path, micrograph_shape=(100, 200))

    def fail(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(np.lib.format, "write_array", fail)
    with pytest.raises(KeyboardInterrupt):
        cryotypes.write(poses, path, overwrite=True, micrograph_shape=(100, 200))
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_real_file(shared_data, tmp_path):
    """No particles, but 112 values in a row and a header of 4 kB; and back, byte for byte."""
    path = shared_data / "cryosparc" / "4k_dataset.cs"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (poses,) = cryotypes.read_poses(path)
    assert len(poses.position) == 0
    assert poses.metadata["alignments"] == "alignments3D"
    assert "alignments_class_2/pose[2]" in poses.features
    cryotypes.write(poses, tmp_path / "out.cs")
    assert (tmp_path / "out.cs").read_bytes() == path.read_bytes()
