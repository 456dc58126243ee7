"""Dynamo tables, AV3 and STOPGAP motive lists: the same five particles, in each program's form.

Particle 1 is worked out in all programs' angles (RELION's 25, 40, 70); the others are quarter
turns, whose matrices can be seen: a turn about z, about x, and the cycle x → y → z → x.
"""

from __future__ import annotations

import struct
import warnings
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial.transform import Rotation

import cryotypes
from cryotypes import PoseSet
from cryotypes.conventions import Offset, Place
from cryotypes.errors import GuessWarning, LossWarning, ReadError, WriteError
from cryotypes.formats.poses import dynamo_tbl, motl_em, relion_star, stopgap_star
from cryotypes.formats.shared.declaration import Head
from cryotypes.io import identify
from cryotypes.testing import assert_same, zoo

MODULES = {"dynamo": dynamo_tbl, "em": motl_em, "stopgap": stopgap_star}
NAMES = {"dynamo": "list.tbl", "em": "list.em", "stopgap": "list.star"}
MATRICES = np.array(
    [
        [
            [-0.159676, 0.962378, -0.219846],
            [-0.796946, 0.005755, 0.604023],
            [0.582563, 0.271654, 0.766044],
        ],
        [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        [[0, -1, 0], [1, 0, 0], [0, 0, 1]],  # x → y
        [[1, 0, 0], [0, 0, -1], [0, 1, 0]],  # y → z
        [[0, 0, 1], [1, 0, 0], [0, 1, 0]],  # x → y → z → x
    ]
)
POSITION = np.array([[10, 20, 30], [0, 0, 0], [1.5, 2.25, 3.125], [-4, 5, -6], [1000, 0, 7.0]])
SHIFT = np.array([[1, -2, 3], [0, 0, 0], [0.5, 0, 0], [0, -0.25, 0], [0, 0, 1.0]])
TOMO = [3, 3, 12, 3, 12]

# tdrot, tilt, narot; phi, theta, psi
DYNAMO_ANGLES = [[-20, 40, 115], [0, 0, 0], [-90, 0, 0], [0, -90, 0], [-90, -90, 0]]
AV3_ANGLES = [[65, 40, -160], [0, 0, 0], [90, 0, 0], [0, 90, 0], [0, 90, 90]]
DYNAMO = """\
1 1 1 1 -2 3 -20 40 115 0.31 0 0 1 -60 60 0 0 0 0 3 1 1 0 10.5 20.5 30.5 0 0 0 0 0 0 0 1 0 2 0
2 1 1 0 0 0 0 0 0 0.32 0 0 1 -60 60 0 0 0 0 3 1 2 0 0.5 0.5 0.5 0 0 0 0 0 0 0 1 0 2 0
5 1 1 .5 0 0 -90 0 0 0.33 0 0 1 -60 60 0 0 0 0 12 1 1 0 2 2.75 3.625 0 0 0 0 0 0 0 1 0 2 0
6 1 1 0 -.25 0 0 -90 0 3e-1 0 0 1 -60 60 0 0 0 0 3 1 2 0 -3.5 5.5 -5.5 0 0 0 0 0 0 0 1 0 2 0
7 1 1 0 0 1 -90 -90 0 0.35 0 0 1 -60 60 0 0 0 0 12 1 1 0 1000.5 .5 7.5 0 0 0 0 0 0 0 1 0 2 0
"""
STOPGAP = """
data_stopgap_motivelist

loop_
_motl_idx
_tomo_num
_object
_subtomo_num
_halfset
_orig_x
_orig_y
_orig_z
_score
_x_shift
_y_shift
_z_shift
_phi
_psi
_the
_class

 1   3  1  1  A    11.0000    21.0000   31.0000  0.3100  1.0000 -2.0000  3.0000  65.0000 -160.0000  40.0000  1
 2   3  1  2  B     1.0000     1.0000    1.0000  0.3200  0.0000  0.0000  0.0000   0.0000    0.0000   0.0000  2
 3  12  1  5  A     2.5000     3.2500    4.1250  0.3300  0.5000  0.0000  0.0000  90.0000    0.0000   0.0000  1
 4   3  1  6  B    -3.0000     6.0000   -5.0000  0.3000  0.0000 -0.2500  0.0000   0.0000    0.0000  90.0000  2
 5  12  1  7  A  1001.0000     1.0000    8.0000  0.3500  0.0000  0.0000  1.0000   0.0000   90.0000  90.0000  1
"""  # noqa: E501


def em_bytes(order: str = "<", kind: str = "f4") -> bytes:
    """The same five as an EM file, packed by hand: 20 numbers each."""
    rows = [
        #  score     numbers        x  y  z   shifts    free   phi psi theta class
        [0.31, 0, 0, 1, 3, 1, 0, 11, 21, 31, 1, -2, 3, 0, 0, 0, 65, -160, 40, 1],
        [0.32, 0, 0, 2, 3, 1, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2],
        [0.33, 0, 0, 5, 12, 1, 0, 2.5, 3.25, 4.125, 0.5, 0, 0, 0, 0, 0, 90, 0, 0, 1],
        [0.30, 0, 0, 6, 3, 1, 0, -3, 6, -5, 0, -0.25, 0, 0, 0, 0, 0, 0, 90, 2],
        [0.35, 0, 0, 7, 12, 1, 0, 1001, 1, 8, 0, 0, 1, 0, 0, 0, 0, 90, 90, 1],
    ]
    machine = 6 if order == "<" else 5
    header = bytes([machine, 0, 0, {"f4": 5, "f8": 9}[kind]]) + struct.pack(f"{order}3i", 20, 5, 1)
    return header + bytes(496) + np.array(rows, dtype=order + kind).tobytes()


CONTENT = {"dynamo": DYNAMO.encode(), "em": em_bytes(), "stopgap": STOPGAP.encode()}
ALL = pytest.mark.parametrize("name", MODULES)


@pytest.fixture
def five(save):
    """Write one of the three files."""
    return lambda name, file=None: save(CONTENT[name], file or NAMES[name])


def truth(**changes) -> list[PoseSet]:
    """The five particles as we describe them, without features."""
    found = []
    for number in (3, 12):
        rows = np.flatnonzero(np.array(TOMO) == number)
        fields = {
            "position": POSITION[rows],
            "shift": SHIFT[rows],
            "orientation": Rotation.from_matrix(MATRICES[rows]),
            "experiment_id": str(number),
            "pixel_spacing": 2.0,
            **changes,
        }
        found.append(PoseSet(**fields))
    return found


def in_file_order(posesets, field: str) -> np.ndarray:
    order = np.argsort(np.concatenate([p.features.index for p in posesets]))
    return np.concatenate([np.asarray(getattr(p, field)) for p in posesets])[order]


def read(name: str, path: Path, **options):
    if name != "dynamo":
        options.setdefault("pixel_spacing", 2.0)
    return MODULES[name].FORMAT.read(path, **options)


def write(name: str, data, path: Path, **options):
    return MODULES[name].FORMAT.write(data, path, **options)


def is_true(posesets) -> bool:
    """Whether these are the five particles (six digits of the hand-worked matrix)."""
    try:
        assert_same(posesets, truth(), tolerance={"orientation": 1e-4}, ignore=FEATURES)
    except AssertionError:
        return False
    return True


FEATURES = (
    *dynamo_tbl.COLUMNS,
    *motl_em.ROWS,
    *stopgap_star.LABELS,
)


@ALL
def test_five_particles_by_hand(name, five):
    found = read(name, five(name))
    assert_same(found, truth(), tolerance={"orientation": 1e-4}, ignore=FEATURES)
    image = found[0].orientation[0].apply([14, 0, 0])
    assert_allclose(image, [-2.235467, -11.157248, 8.155888], atol=2e-5)
    assert [p.features.index.tolist() for p in found] == [[0, 1, 3], [2, 4]]


@ALL
def test_five_particles_are_written_as_by_hand(name, tmp_path):
    """The written numbers are compared as rotations; equal ones have several triplets."""
    path = tmp_path / NAMES[name]
    exact = [replace_turn(p) for p in truth()]
    write(name, exact, path)
    assert not (tmp_path / "list.doc").exists()  # "3" and "12" are their own numbers
    position, shift, angles = written(name, path)
    order = [0, 1, 3, 2, 4]  # of the two experiments, one after the other
    zero = 0.5 if name == "dynamo" else 1
    assert_allclose(position, POSITION[order] + zero, atol=1e-5)
    assert_allclose(shift, SHIFT[order], atol=1e-6)
    turns = angles_to_matrix(name, angles)
    assert_allclose(turns, MATRICES[order], atol=1e-6 if name != "em" else 2e-6)
    expected = DYNAMO_ANGLES[0] if name == "dynamo" else AV3_ANGLES[0]
    assert_allclose(angles[0], expected, atol=1e-4)


def replace_turn(poses: PoseSet) -> PoseSet:
    return replace(poses, orientation=Rotation.from_quat(poses.orientation.as_quat()))


def written(name: str, path: Path):
    """Position, shift and angles (in the order of rotation) as they stand in the file."""
    if name == "dynamo":
        table = np.loadtxt(path)
        assert table.shape[1] in (37, 42)
        return table[:, 23:26], table[:, 3:6], table[:, 6:9]
    if name == "em":
        raw = path.read_bytes()
        assert raw[:4] == b"\x06\0\0\x05"
        nx, ny, nz = np.frombuffer(raw[4:16], "<i4")
        assert (nx, nz) == (20, 1)
        table = np.frombuffer(raw[512:], "<f4").reshape(ny, nx).astype(float)
        return table[:, 7:10], table[:, 10:13], table[:, [16, 18, 17]]
    lines = path.read_text().split("\n")
    assert lines[1] == "data_stopgap_motivelist"
    assert lines[4:21] == [f"_{label}" for label in stopgap_star.LABELS] + [""]
    rows = [line.split() for line in lines[21:] if line]
    table = np.array([[float(w) for i, w in enumerate(r) if i != 4] for r in rows])
    return table[:, 4:7], table[:, 8:11], table[:, [11, 13, 12]]


def elementary(axis: str, angle: float) -> np.ndarray:
    c, s = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    if axis == "z":
        return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def angles_to_matrix(name: str, angles) -> np.ndarray:
    """AV3: Rz(psi) Rx(theta) Rz(phi). Dynamo: clockwise about the particle's own axes."""
    found = []
    for first, middle, last in np.asarray(angles, dtype=float):
        if name == "dynamo":
            turn = elementary("z", -first) @ elementary("x", -middle) @ elementary("z", -last)
        else:
            turn = elementary("z", last) @ elementary("x", middle) @ elementary("z", first)
        found.append(turn)
    return np.array(found)


def test_the_matrices_and_the_angles_are_those_of_each_other():
    assert_allclose(angles_to_matrix("dynamo", DYNAMO_ANGLES), MATRICES, atol=1e-6)
    assert_allclose(angles_to_matrix("av3", AV3_ANGLES), MATRICES, atol=1e-6)


def test_av3_angles_are_dynamos_negated_and_reversed():
    assert_allclose(
        angles_to_matrix("av3", -np.array(DYNAMO_ANGLES)[:, ::-1]),
        angles_to_matrix("dynamo", DYNAMO_ANGLES),
        atol=1e-12,
    )


MUTATIONS = {
    "inverse": lambda c: replace(c, turn=replace(c.turn, inverse=not c.turn.inverse)),
    "intrinsic": lambda c: replace(c, turn=replace(c.turn, axes="ZXZ")),
    "zyz": lambda c: replace(c, turn=replace(c.turn, axes="zyz")),
    "radians": lambda c: replace(c, turn=replace(c.turn, degrees=False)),
    "x from 0": lambda c: replace(c, place=Place(zero=(0, *c.place.zero[1:]))),
    "y from 0": lambda c: replace(c, place=Place(zero=(c.place.zero[0], 0, c.place.zero[2]))),
    "z from 0": lambda c: replace(c, place=Place(zero=(*c.place.zero[:2], 0))),
    "position in Å": lambda c: replace(c, place=replace(c.place, unit="angstrom")),
    "shift subtracted": lambda c: replace(c, offset=Offset(sign=-1)),
    "shift in Å": lambda c: replace(c, offset=Offset(sign=1, unit="angstrom")),
}


@ALL
@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_wrong_convention_is_noticed(name, mutation, five, tmp_path, monkeypatch):
    module = MODULES[name]
    path = five(name)
    assert is_true(read(name, path))
    monkeypatch.setattr(module, "CONVENTION", MUTATIONS[mutation](module.CONVENTION))
    assert not is_true(read(name, path))
    write(name, truth(), tmp_path / f"w{NAMES[name]}")
    monkeypatch.undo()
    assert not is_true(read(name, tmp_path / f"w{NAMES[name]}"))


@ALL
def test_where_coordinates_count_from(name, five, tmp_path):
    """Tables by programs that pass other numbers unchanged; the choice is kept on writing."""
    key = "corner_offset" if name == "dynamo" else "index_base"
    default = 0.5 if name == "dynamo" else 1
    found = read(name, five(name), **{key: 0})
    assert_allclose(found[0].position, truth()[0].position + default)
    write(name, found, tmp_path / f"w{NAMES[name]}")
    assert_allclose(
        np.sort(written(name, tmp_path / f"w{NAMES[name]}")[0], axis=0),
        np.sort(POSITION + default, axis=0),
    )
    write(name, found, tmp_path / f"v{NAMES[name]}", **{key: default})
    again = read(name, tmp_path / f"v{NAMES[name]}")
    assert_same(again, found, tolerance={"position": 1e-4, "orientation": 1e-4})


@pytest.mark.parametrize("name", ["em", "stopgap"])
def test_motive_list_features(name, five):
    first, second = read(name, five(name))
    assert first.features["subtomo_num"].tolist() == [1, 2, 6]
    assert second.features["class"].tolist() == [1, 1]
    assert second.features["class"].dtype.kind == "i"
    assert_allclose(first.features["score"], [0.31, 0.32, 0.3], atol=1e-7)
    if name == "stopgap":
        assert first.features["halfset"].tolist() == ["A", "B", "B"]
        assert first.features["motl_idx"].tolist() == [1, 2, 4]


@pytest.mark.parametrize("source", MODULES)
@pytest.mark.parametrize("target", MODULES)
def test_features_that_several_programs_have(source, target, five, tmp_path):
    """As in STOPGAP's own converters: tag, cc, reg are subtomo_num, score, object."""
    found = read(source, five(source))
    path = tmp_path / f"w{NAMES[target]}"
    report = write(target, found, path)
    again = read(target, path)
    assert_same(again, found, tolerance=motl_em.TOLERANCE, ignore=FEATURES)
    words = {"dynamo": ("tag", "cc", "reg"), "em": ("subtomo_num", "score", "object")}
    for one, other in zip(
        words.get(source, words["em"]), words.get(target, words["em"]), strict=True
    ):
        a, b = (
            np.concatenate([p.features[n] for p in posesets])
            for posesets, n in ((found, one), (again, other))
        )
        assert_allclose(a, b, atol=1e-7)
        if one != other:
            assert report.converted[one] == f"written as {other}"
    assert_array_equal(again[0].features["class"], found[0].features["class"])
    if source == target:
        assert not report.lost or set(report.lost) == {"pixel_spacing"}
        assert not report.converted
        assert not report.assumed


def test_what_is_assumed_is_said(tmp_path):
    poses = [PoseSet([[1, 2, 3], [4, 5, 6]], experiment_id="1")]
    report = write("dynamo", poses, tmp_path / "a.tbl")
    assert report.assumed == {
        "tag": "1 to n",
        "aligned": "1",
        "averaged": "1",
        "shift": "none, written as 0",
    }
    assert report.lost == {"orientation": "unknown, written as zero angles"}
    report = write("stopgap", poses, tmp_path / "a.star")
    assert {"halfset": "A", "motl_idx": "1 to n", "class": "1"}.items() <= report.assumed.items()
    row = (tmp_path / "a.star").read_text().split("\n")[21]
    assert row == "1 1 1 1 A 2 3 4 0 0 0 0 0 0 0 1"
    report = write("em", poses, tmp_path / "a.em")
    assert report.assumed["object"] == "1"


def test_features_that_do_not_fit(tmp_path):
    features = pd.DataFrame(
        {
            "tag": [4, 4],
            "class": [1.0, np.nan],
            "cc": ["good", "bad"],
            "aligned": [True, False],
            "colour": ["red", "blue"],
        }
    )
    poses = [PoseSet([[1, 2, 3], [4, 5, 6]], experiment_id="1", features=features)]
    report = write("dynamo", poses, tmp_path / "a.tbl")
    assert report.lost["features"] == "cc, colour: the format has no such columns"
    assert report.converted == {"tag": "1 to n; some were there twice, or not above 0"}
    assert report.assumed["class"] == "no value in 1 rows, written as the default"
    found = np.loadtxt(tmp_path / "a.tbl")
    assert_array_equal(found[:, [0, 1, 2, 21]], [[1, 1, 1, 1], [2, 0, 1, 0]])


@ALL
@pytest.mark.filterwarnings("ignore:.*has no name for the tomograms:UserWarning")
def test_names_come_from_the_map(name, five, save):
    path = five(name)
    save("# a comment\n12  /data/a b, c.rec\n3,TS_01\n", "list.doc")
    found = read(name, path)
    assert [p.experiment_id for p in found] == ["TS_01", "/data/a b, c.rec"]
    assert found[0].metadata["tomogram_numbers"] == {"TS_01": 3, "/data/a b, c.rec": 12}
    other = save("3 three\n", "other.txt")
    found = read(name, path, tomogram_names=other)
    assert [p.experiment_id for p in found] == ["three", "12"]


@ALL
def test_numbers_and_names_survive(name, five, save, tmp_path):
    save("12 TS_α\n3 TS_01\n", "list.doc")
    found = read(name, five(name))
    path = tmp_path / f"w{NAMES[name]}"
    report = write(name, found, path)
    assert "experiment_id" in report.kept
    assert (tmp_path / "wlist.doc").read_text() == "3 TS_01\n12 TS_α\n"
    assert_same(read(name, path), found, tolerance={"orientation": 1e-4, "position": 1e-4})
    # also those of a part of it, and of particles from elsewhere
    write(name, [found[1], PoseSet([[1, 2, 3]], experiment_id="new")], path, overwrite=True)
    assert (tmp_path / "wlist.doc").read_text() == "1 new\n12 TS_α\n"


@ALL
def test_an_old_map_does_not_rename(name, five, save, tmp_path):
    """A map that is left beside a list would give its names to the new list's numbers."""
    found = read(name, five(name))
    path = tmp_path / f"w{NAMES[name]}"
    old = save("3 old\n", "wlist.doc")
    with pytest.raises(FileExistsError, match=r"wlist\.doc exists"):
        write(name, found, path)
    assert not path.exists()
    assert old.read_text() == "3 old\n"
    write(name, found, path, overwrite=True)
    assert [p.experiment_id for p in read(name, path)] == ["3", "12"]
    # one that says the same stays as it is
    old.write_text("12 12\n# mine\n99 other\n")
    write(name, found, path, overwrite=True)
    assert "# mine" in old.read_text()


@ALL
def test_a_name_that_a_map_cannot_hold(name, tmp_path):
    for experiment in ("a\nb", " a", "a\u2028b"):
        with pytest.raises(WriteError, match="expected a name of one line"):
            write(name, [PoseSet([[1, 2, 3]], experiment_id=experiment)], tmp_path / NAMES[name])
    assert not list(tmp_path.iterdir())


@ALL
def test_no_name_is_a_number(name, tmp_path):
    path = tmp_path / NAMES[name]
    report = write(name, [PoseSet([[1, 2, 3]])], path)
    assert read(name, path)[0].experiment_id == "1"
    assert report.lost["experiment_id"] == "none, written as tomogram 1"
    assert "experiment_id" not in report.kept


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("3\n", "line 1: expected a number and a name"),
        ("# x\nTS_01 3\n", "line 2: expected a number and a name"),
        ("3 a\n3 b\n", "line 2: number 3 stands twice"),
        ("inf a\n", "line 1: expected a number and a name"),
        ("1.5 a\n", "line 1: expected a number and a name"),
        ("3 a\n12 a\n", "tomograms 3 and 12 are both called 'a'"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "expected a map of tomogram numbers"),
    ],
)
def test_maps_that_cannot_be_read(five, save, text, message):
    """The one that was named is an error; one that lies beside is left out, and that is said."""
    path = save(text, "named.doc")
    with pytest.raises(ReadError, match=message):
        read("dynamo", five("dynamo"), tomogram_names=path)
    save(text, "list.doc")
    if "both called" in message:  # it can be read, but these particles cannot be told apart
        with pytest.raises(ReadError, match=message):
            read("dynamo", five("dynamo"))
        return
    with pytest.warns(GuessWarning, match=f"list.doc is left out: .*{message}"):
        posesets = read("dynamo", five("dynamo"))
    assert {poses.experiment_id for poses in posesets} == {"3", "12"}


@ALL
def test_the_map_itself_is_no_list(name, tmp_path):
    with pytest.raises(WriteError, match="suffix of the tomograms' map"):
        write(name, truth(), tmp_path / "list.doc")


def test_a_missing_map(five, tmp_path):
    with pytest.raises(FileNotFoundError):
        read("dynamo", five("dynamo"), tomogram_names=tmp_path / "none.doc")


@ALL
@pytest.mark.parametrize("member", zoo())
def test_zoo(name, member, tmp_path):
    data = zoo()[member]
    path = tmp_path / NAMES[name]
    form = MODULES[name].FORMAT
    if name == "em" and member == "very large":
        with pytest.warns(LossWarning, match="position: rounded to 32 bits"):
            cryotypes.write(data, path, format=form.name)
        return
    report = write(name, data, path)
    ignore = {"features"} | ({"pixel_spacing", "experiment_id"} - form.keeps)
    if all(p.shift is None for p in data):
        assert report.assumed["shift"] == "none, written as 0"
        ignore.add("shift")
    if all(p.orientation is None for p in data):
        assert report.lost["orientation"] == "unknown, written as zero angles"
        ignore.add("orientation")
    if member == "none":
        ignore.add("pixel_spacing")
        assert "pixel_spacing" in report.lost or name != "dynamo"
    read_again = form.read(path)
    assert_same(read_again, data, tolerance=form.tolerance, ignore=ignore)
    assert identify(path, "poses") is form
    if member == "two experiments":
        assert [p.features.index.tolist() for p in read_again] == [[0, 2, 4], [1, 3]]


@ALL
@pytest.mark.parametrize("suffix", ["", ".gz", ".bz2"])
def test_compressed_and_oddly_named(name, suffix, five, tmp_path):
    found = read(name, five(name))
    path = tmp_path / "größer als α" / f"x 1.{NAMES[name].split('.')[1].upper()}{suffix}"
    path.parent.mkdir()
    with pytest.warns(LossWarning) if name != "dynamo" else nullcontext():
        cryotypes.write(found, path, format=MODULES[name].NAME)
    if suffix == ".gz":
        assert path.read_bytes()[:2] == b"\x1f\x8b"
    options = {} if name == "dynamo" else {"pixel_spacing": 2.0}
    again = cryotypes.read_poses(path, **options)
    assert_same(again, found, tolerance={"orientation": 1e-4, "position": 1e-4})


@ALL
def test_the_input_is_not_changed(name, five, tmp_path):
    found, again = read(name, five(name)), read(name, five(name))
    write(name, found, tmp_path / f"w{NAMES[name]}")
    assert_same(found, again)
    assert all(list(a.features) == list(b.features) for a, b in zip(found, again, strict=True))


@ALL
def test_nothing_is_overwritten_unasked(name, five, tmp_path):
    path = five(name)
    before = path.read_bytes()
    with pytest.raises(FileExistsError):
        write(name, truth(experiment_id="TS_1"), path)
    assert path.read_bytes() == before
    assert not (tmp_path / "list.doc").exists()


@ALL
def test_an_interrupted_write_keeps_the_old_files(name, five, save, tmp_path, monkeypatch):
    path, names = five(name), save("3 old\n", "list.doc")
    before = path.read_bytes()
    target = {"dynamo": "number_rows", "stopgap": "number_rows"}.get(name)

    def fail(*args, **kwargs):
        raise KeyboardInterrupt

    if target:
        monkeypatch.setattr(MODULES[name], target, fail)
    else:
        # the module's own name, not struct.pack itself: test runners pack, too
        monkeypatch.setattr(motl_em, "struct", SimpleNamespace(pack=fail))
    with pytest.raises(KeyboardInterrupt):
        write(name, [PoseSet([[1, 2, 3]], experiment_id="TS")], path, overwrite=True)
    assert path.read_bytes() == before
    assert names.read_text() == "3 old\n"
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([path.name, "list.doc"])


@contextmanager
def quiet(kind):
    """Collect warnings of one kind; others are errors."""
    with warnings.catch_warnings(record=True) as log:
        warnings.simplefilter("error")
        warnings.simplefilter("always", kind)
        yield log


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("dynamo", "10.5 20.5", "10.5", r"line 2: expected 36 numbers as in the first line"),
        ("dynamo", " 2 0\n2 1", " 2 0 9\n2 1", r"line 2: expected 38 numbers"),
        ("dynamo", "0.33", "good", r"line 3, cc: expected a number, found 'good'"),
        ("dynamo", "10.5 20.5", "NaN 20.5", r"row 1, x: expected a finite number, found nan"),
        ("dynamo", "-20 40", "inf 40", r"row 1, tdrot: expected a finite number, found inf"),
        ("dynamo", " 12 1 1", " 12.5 1 1", r"tomo \(20\), row 3: expected a whole number"),
        ("dynamo", " 12 1 1", " nan 1 1", r"tomo \(20\), row 3: expected a whole number"),
        ("dynamo", " ", ",", r"line 1: expected 26 to 42 numbers, found 1"),
        ("dynamo", "1", "\x00", "expected a text file, found binary"),
        ("stopgap", "11.0000", "x", r"column orig_x, row 1: expected a finite number, found 'x'"),
        (
            "stopgap",
            "11.0000",
            "<NA>",
            r"column orig_x, row 1: expected a finite number, found None",
        ),
        ("stopgap", "11.0000", "nan", r"column orig_x, row 1: expected a finite number, found nan"),
        ("stopgap", "_orig_x", "_orig", "found no orig_x"),
        ("stopgap", "_tomo_num", "_tomo", "expected the label tomo_num"),
        ("stopgap", "_the", "_theta", "found no the"),
        ("stopgap", "stopgap_motivelist", "stopgap_wedgelist", "expected one block data_stopgap"),
        ("stopgap", " 65.0000", " 65.0000 1", "expected 16 values"),
    ],
)
def test_what_cannot_be_read(name, old, new, message, save):
    text = CONTENT[name].decode()
    assert old in text
    path = save(text.replace(old, new), NAMES[name])
    with pytest.raises(ReadError, match=message) as error:
        read(name, path)
    assert str(error.value).startswith(str(path))


def test_sniffing(save, five):
    for name in MODULES:
        head = Head.of(five(name, f"x{NAMES[name]}"))
        assert [n for n, module in MODULES.items() if module.sniff(head)] == [name]
        assert not relion_star.sniff(head)
    noise = np.random.default_rng(0).integers(0, 256, 70_000, dtype=np.uint8).tobytes()
    image = em_bytes()[:4] + struct.pack("<3i", 64, 64, 64) + em_bytes()[16:]
    others = {
        "empty": b"",
        "noise": noise,
        "image.em": image,
        "stack.em": em_bytes()[:4] + struct.pack("<3i", 20, 20, 20) + em_bytes()[16:],
        "r.star": b"data_particles\nloop_\n_rlnCoordinateX #1\n1\n",
        "wedge.star": b"data_stopgap_wedgelist\nloop_\n_tomo_num\n1\n",
        "cite.star": b"data_x\nloop_\n_rlnImageName\ndata_stopgap_motivelist/1.mrc\n",
        "words.tbl": b"a table of words " * 20,
        "few.tbl": b"1 2 3\n",
        "wide.txt": b"1 " * 30,
        "a.json": b"{}",
        "a.xml": b"<a/>",
    }
    for file, data in others.items():
        for suffix in ("", ".tbl", ".em", ".star"):
            head = Head(Path(file + suffix), data)
            found = [n for n, module in MODULES.items() if module.sniff(head)]
            allowed = ["dynamo"] if data == b"1 " * 30 and suffix == ".tbl" else []
            assert found == allowed, (file, suffix)


@ALL
def test_files_without_particles(name, tmp_path, save):
    path = tmp_path / NAMES[name]
    write(name, zoo()["none"], path)
    (tmp_path / "list.doc").unlink()
    [poses] = read(name, path)
    assert len(poses.position) == 0
    assert len(poses.shift) == len(poses.orientation) == 0
    assert poses.experiment_id == "list"
    with pytest.raises(ReadError, match=r"empty|found nothing|expected a STAR file"):
        read(name, save("", f"e{NAMES[name]}"))


@pytest.mark.parametrize("text", ["", "7 TS_07\n"])
def test_a_map_that_was_given_names_all_or_it_is_said(tmp_path, text):
    """An empty or another table's map left tomograms with their numbers, and said nothing."""
    names = tmp_path / "names.doc"
    names.write_text(text)
    path = tmp_path / "one.tbl"
    path.write_text(" ".join(["1"] + ["0"] * 18 + ["3"] + ["0"] * 3 + ["5.5"] * 3) + "\n")
    with pytest.warns(GuessWarning, match=r"names\.doc has no name for the tomograms 3"):
        (poses,) = cryotypes.read_poses(path, tomogram_names=names)
    assert poses.experiment_id == "3"
    names.write_text(text + "3 TS_03\n")
    (poses,) = cryotypes.read_poses(path, tomogram_names=names)
    assert poses.experiment_id == "TS_03"
