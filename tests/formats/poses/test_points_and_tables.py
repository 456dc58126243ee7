"""Portal ndjson, copick JSON, PyTom XML, plain text, CSV: hand-made files and known answers."""

from __future__ import annotations

import dataclasses
import gzip
import json
import os
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.transform import Rotation

from cryotypes.errors import GuessWarning, ReadError, WriteError
from cryotypes.formats.poses import (
    _named_columns,
    copick_json,
    csv_table,
    portal_ndjson,
    pytom_xml,
    xyz_text,
)
from cryotypes.formats.shared.declaration import Head
from cryotypes.io import identify
from cryotypes.poseset import PoseSet
from cryotypes.testing import assert_same

# RELION (25, 40, 70): its matrix, quaternion and AV3 angles are known answers
MATRIX = [
    [-0.159676, 0.962378, -0.219846],
    [-0.796946, 0.005755, 0.604023],
    [0.582563, 0.271654, 0.766044],
]
TURNED = (-2.235467, -11.157248, 8.155888)  # the orientation applied to (14, 0, 0)
POSITION, SHIFT = (10.0, 20.0, 30.0), (1.0, -2.0, 3.0)

PORTAL = (
    '{"type": "orientedPoint", "location": {"x": 11, "y": 18, "z": 33.0}, '
    f'"xyz_rotation_matrix": {MATRIX}}}'
)
COPICK = json.dumps(
    {
        "pickable_object_name": "ribosome",
        "user_id": "me",
        "session_id": "0",
        "run_name": "TS_001",
        "voxel_spacing": 2.0,
        "unit": "angstrom",
        "trust_orientation": True,
        "points": [
            {
                "location": {"x": 20.0, "y": 40.0, "z": 60.0},
                "transformation_": [
                    [*MATRIX[0], 2.0],
                    [*MATRIX[1], -4.0],
                    [*MATRIX[2], 6.0],
                    [0, 0, 0, 1],
                ],
                "instance_id": 7,
                "score": 0.5,
            }
        ],
    },
    indent=4,
)
PYTOM = """<!-- PyTom Version: 1.0 -->
<ParticleList Path="./">
  <Particle Filename="sub/particle_0.em">
    <Rotation X="40" Paradigm="ZXZ" Z1="65" Z2="-160"/>
    <Shift Y="-2" X="1" Z="3"/>
    <PickPosition Origin="./tomo 1.em" Y="20" Z="30.0" X="10" Binning="4"/>
    <Wedge Type="SingleTiltWedge">
      <SingleTiltWedge Angle1="30.0" Angle2="30.0" Smooth="0.0"/>
    </Wedge>
    <Score Type="FLCFScore" Value="0.5467">
      <PeakPrior Smooth="-1.0" Radius="0.0" Filename=""/>
    </Score>
    <Class Name="007"/>
  </Particle>
</ParticleList>
"""
CSV = """# cryotypes_poseset_version: 1
x,y,z,dx,dy,dz,qx,qy,qz,qw,experiment_id,pixel_spacing,score
10,20,30,1,-2,3,-0.130885,-0.315985,-0.692814,0.634847,001,2,0.5
"""
EULER = """# cryotypes_poseset_version: 1
x,y,z,dx,dy,dz,rot,tilt,psi,experiment_id,pixel_spacing
10,20,30,1,-2,3,25,40,70,001,2
"""


def the_one(result):
    (poses,) = result
    return poses


def check_pose(poses, shift=SHIFT, position=POSITION):
    np.testing.assert_allclose(poses.position, [position], atol=1e-9)
    if shift is None:
        assert poses.shift is None
    else:
        np.testing.assert_allclose(poses.shift, [shift], atol=1e-9)
    np.testing.assert_allclose(poses.orientation.apply([14, 0, 0]), [TURNED], atol=2e-5)


def read_portal(save):
    return the_one(portal_ndjson.read(save(PORTAL, "TS_01.ndjson")))


def read_copick(save):
    return the_one(copick_json.read(save(COPICK, "a.json")))


def read_pytom(save):
    return the_one(pytom_xml.read(save(PYTOM, "a.xml")))


def read_csv(save, text=CSV):
    return the_one(csv_table.read(save(text, "a.csv")))


# --- known answers, both directions


def test_portal_known_answer(save):
    poses = read_portal(save)
    check_pose(poses, None, (11, 18, 33))
    assert (poses.experiment_id, poses.pixel_spacing) == ("TS_01", 0)
    assert poses.features["type"].tolist() == ["orientedPoint"]


def test_copick_known_answer(save):
    poses = read_copick(save)
    check_pose(poses)
    assert (poses.experiment_id, poses.pixel_spacing) == ("TS_001", 2)
    assert poses.metadata["user_id"] == "me"
    assert poses.features.to_dict("records") == [{"instance_id": 7, "score": 0.5}]


def test_pytom_known_answer(save):
    poses = read_pytom(save)
    check_pose(poses)
    assert poses.experiment_id == "./tomo 1.em"
    row = poses.features.iloc[0]
    assert (row["Filename"], row["Binning"], row["Score"]) == ("sub/particle_0.em", 4, 0.5467)
    assert row["Class"] == "007"
    assert "SingleTiltWedge Angle1" in row["xml:Wedge"]
    assert "PeakPrior" in row["xml:Score"]


@pytest.mark.parametrize("text", [CSV, EULER])
def test_csv_known_answer(save, text):
    poses = read_csv(save, text)
    check_pose(poses)
    assert (poses.experiment_id, poses.pixel_spacing) == ("001", 2)


def example():
    orientation = Rotation.from_euler("ZYZ", [[25, 40, 70]], degrees=True).inv()
    return PoseSet(np.array([POSITION]), np.array([SHIFT]), orientation, "TS_001", 2.0)


def test_written_numbers_are_the_known_ones(tmp_path):
    poses = example()
    portal_ndjson.write([poses], tmp_path / "TS_001.ndjson")
    line = json.loads((tmp_path / "TS_001.ndjson").read_text())
    assert line["location"] == {"x": 11, "y": 18, "z": 33}
    np.testing.assert_allclose(line["xyz_rotation_matrix"], MATRIX, atol=1e-6)

    copick_json.write([poses], tmp_path / "me_0_ribosome.json")
    content = json.loads((tmp_path / "me_0_ribosome.json").read_text())
    assert content["points"][0]["location"] == {"x": 20, "y": 40, "z": 60}
    matrix = np.array(content["points"][0]["transformation_"])
    np.testing.assert_allclose(matrix[:3, :3], MATRIX, atol=1e-6)
    assert matrix[:, 3].tolist() == [2, -4, 6, 1]
    assert (content["user_id"], content["session_id"]) == ("me", "0")
    assert content["pickable_object_name"] == "ribosome"

    pytom_xml.write([poses], tmp_path / "a.xml")
    root = pytom_xml._root(tmp_path / "a.xml")
    angles = [float(root.find("Particle/Rotation").get(n)) for n in ("Z1", "X", "Z2")]
    np.testing.assert_allclose(angles, [65, 40, -160], atol=1e-9)
    assert root.find("Particle/PickPosition").get("X") == "10.0"
    assert root.find("Particle/Shift").get("Y") == "-2.0"

    csv_table.write([poses], tmp_path / "a.csv")
    csv_table.write([poses], tmp_path / "euler.csv", euler=True)
    row = (tmp_path / "a.csv").read_text().splitlines()[-1].split(",")
    np.testing.assert_allclose(
        np.array(row[6:10], float), [-0.130885, -0.315985, -0.692814, 0.634847], atol=1e-6
    )
    row = (tmp_path / "euler.csv").read_text().splitlines()[-1].split(",")
    np.testing.assert_allclose(np.array(row[6:9], float), [25, 40, 70], atol=1e-9)


FAULTS = {
    "inverse": lambda c: dataclasses.replace(
        c, turn=dataclasses.replace(c.turn, inverse=not c.turn.inverse)
    ),
    "zero": lambda c: dataclasses.replace(
        c, place=dataclasses.replace(c.place, zero=(0.5, 0.5, 0.5))
    ),
    "unit": lambda c: dataclasses.replace(
        c,
        place=dataclasses.replace(
            c.place, unit="pixel" if c.place.unit == "angstrom" else "angstrom"
        ),
    ),
    "sign": lambda c: dataclasses.replace(
        c, offset=dataclasses.replace(c.offset, sign=-c.offset.sign)
    ),
    "shift unit": lambda c: dataclasses.replace(
        c,
        offset=dataclasses.replace(
            c.offset, unit="pixel" if c.offset.unit == "angstrom" else "angstrom"
        ),
    ),
    "axes": lambda c: dataclasses.replace(c, turn=dataclasses.replace(c.turn, axes="zyz")),
}
ROWS = {
    "portal": (portal_ndjson, "CZ_PORTAL", read_portal, (None, (11, 18, 33))),
    "copick": (copick_json, "COPICK", read_copick, ()),
    "pytom": (pytom_xml, "PYTOM", read_pytom, ()),
    "csv": (_named_columns, "CRYOTYPES", read_csv, ()),
}
NOT_APPLICABLE = {
    *[("portal", f) for f in ("sign", "shift unit", "axes", "unit")],
    ("copick", "axes"),
    ("csv", "axes"),
    ("csv", "unit"),  # an option of read
    ("csv", "zero"),  # likewise
    ("csv", "shift unit"),
    ("pytom", "unit"),  # no pixel size: Å per pixel is 1
    ("pytom", "shift unit"),
}


@pytest.mark.parametrize(
    ("name", "fault"), [(n, f) for n in ROWS for f in FAULTS if (n, f) not in NOT_APPLICABLE]
)
def test_a_fault_in_the_row_is_noticed(name, fault, save, monkeypatch):
    module, row, read, arguments = ROWS[name]
    check_pose(read(save), *arguments)
    monkeypatch.setattr(module, row, FAULTS[fault](getattr(module, row)))
    with pytest.raises(AssertionError):
        check_pose(read(save), *arguments)


# --- CZ portal


def test_portal_mixed_points_come_as_two_and_go_back_in_order(save, tmp_path):
    lines = [
        {"type": "point", "location": {"x": 1, "y": 2, "z": 3}},
        json.loads(PORTAL),
        {"type": "instancePoint", "location": {"x": 4, "y": 5, "z": 6}, "instance_id": 7},
    ]
    path = save("\n".join(map(json.dumps, lines)), "TS_01.ndjson")
    plain, oriented = portal_ndjson.read(path, pixel_spacing=10)
    assert plain.orientation is None
    assert plain.features.index.tolist() == [0, 2]
    assert plain.features["instance_id"].tolist() == [pd.NA, 7]
    assert oriented.experiment_id == plain.experiment_id == "TS_01"
    assert oriented.pixel_spacing == 10

    report = portal_ndjson.write([plain, oriented], tmp_path / "TS_01b.ndjson")
    assert "orientation" not in report.lost
    written = [json.loads(t) for t in (tmp_path / "TS_01b.ndjson").read_text().splitlines()]
    assert [line["type"] for line in written] == [line["type"] for line in lines]
    assert written[0] == lines[0]
    assert written[2] == lines[2]


def test_portal_zyx_flips_both(save, tmp_path):
    flipped = {
        "type": "orientedPoint",
        "location": {"x": 33, "y": 18, "z": 11},
        "xyz_rotation_matrix": np.flip(MATRIX).tolist(),
    }
    path = save(json.dumps(flipped), "TS_01.ndjson")
    poses = the_one(portal_ndjson.read(path, order="zyx"))
    check_pose(poses, None, (11, 18, 33))
    portal_ndjson.write([poses], tmp_path / "b.ndjson")
    back = json.loads((tmp_path / "b.ndjson").read_text())
    assert back["location"] == flipped["location"]
    np.testing.assert_allclose(back["xyz_rotation_matrix"], np.flip(MATRIX), atol=1e-6)


def test_portal_other_keys_survive(save, tmp_path):
    line = {"type": "point", "location": {"x": 1, "y": 2, "z": 3}, "note": "α", "more": [1, {}]}
    poses = the_one(portal_ndjson.read(save(json.dumps(line), "a.ndjson")))
    portal_ndjson.write([poses], tmp_path / "b.ndjson")
    assert json.loads((tmp_path / "b.ndjson").read_text()) == line


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("nonsense", "line 2: expected JSON"),
        ("[1]", "line 2: expected a JSON object"),
        ('{"type": "point"}', "line 2, location: expected x, y and z"),
        ('{"location": {"x": 1, "y": "2", "z": 3}}', "line 2, location y: expected a number"),
        ('{"location": {"x": 1, "y": true, "z": 3}}', "line 2, location y"),
        ('{"location": {"x": 1e999, "y": 2, "z": 3}}', "line 2, location x"),
        ('{"location": {"x": NaN, "y": 2, "z": 3}}', "line 2: expected JSON"),
        ('{"type": "orientedPoint", "location": {"x": 1, "y": 2, "z": 3}}', "line 2: expected xyz"),
        (PORTAL.replace("-0.159676", "0.159676"), "line 2, xyz_rotation_matrix: expected a rot"),
        (PORTAL.replace("[-0.159676, ", "["), "line 2, xyz_rotation_matrix: expected 3 rows"),
        ("[" * 100_000, "line 2: expected JSON"),
    ],
)
def test_portal_names_the_bad_line(save, line, message):
    with pytest.raises(ReadError, match=message):
        portal_ndjson.read(save(f"{PORTAL}\n{line}\n", "a.ndjson"))


# --- copick


def test_copick_untrusted_orientation_is_unknown_and_kept(save, tmp_path):
    path = save(COPICK.replace("true", "false"), "a.json")
    poses = the_one(copick_json.read(path))
    assert poses.orientation is None
    np.testing.assert_allclose(poses.shift, [SHIFT])
    check_pose(the_one(copick_json.read(path, trust_orientation=True)))
    report = copick_json.write([poses], tmp_path / "b.json")
    assert report.lost == {}
    back = json.loads((tmp_path / "b.json").read_text())
    assert back == json.loads(path.read_text())


def test_copick_round_trip_changes_nothing(save, tmp_path):
    path = save(COPICK, "a.json")
    copick_json.write(copick_json.read(path), tmp_path / "b.json")
    old, new = (json.loads(p.read_text()) for p in (path, tmp_path / "b.json"))
    new_matrix = new["points"][0].pop("transformation_")
    np.testing.assert_allclose(old["points"][0].pop("transformation_"), new_matrix, atol=1e-6)
    assert new == old


def test_copick_names_from_path(save):
    content = {"points": [{"location": {"x": 1, "y": 2, "z": 3}}], "voxel_spacing": None}
    path = save(json.dumps(content), "ExperimentRuns/TS_9/Picks/tool_1_virus.json")
    with pytest.raises(ReadError, match="pixel_spacing="):
        copick_json.read(path)
    poses = the_one(copick_json.read(path, pixel_spacing=10))
    assert poses.experiment_id == "TS_9"
    assert poses.metadata["pickable_object_name"] == "virus"
    assert poses.orientation is poses.shift is None
    np.testing.assert_allclose(poses.position, [[0.1, 0.2, 0.3]])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"angstrom"', '"pixel"', "unit: expected 'angstrom'"),
        ("-0.159676", "-0.3", "point 1, transformation_: expected a rotation"),
        ("0,\n                    1\n", "0,\n                    2\n", "last row"),
        ('"voxel_spacing": 2.0', '"voxel_spacing": 0', "voxel_spacing: expected a positive"),
        ('"voxel_spacing": 2.0', '"voxel_spacing": true', "voxel_spacing: expected a positive"),
        ('"points": [', '"points": [1, ', "point 1: expected an object"),
    ],
)
def test_copick_refuses(save, old, new, message):
    assert old in COPICK
    with pytest.raises(ReadError, match=message):
        copick_json.read(save(COPICK.replace(old, new), "a.json"))


def test_copick_needs_a_spacing(tmp_path):
    poses = example()
    poses.pixel_spacing = 0
    with pytest.raises(WriteError, match="pixel_spacing="):
        copick_json.write([poses], tmp_path / "a.json")
    assert list(tmp_path.iterdir()) == []
    report = copick_json.write([poses], tmp_path / "a.json", pixel_spacing=3)
    assert set(report.assumed) == {"user_id", "session_id", "pickable_object_name"}


# --- PyTom


def test_pytom_elements_survive(save, tmp_path):
    poses = read_pytom(save)
    report = pytom_xml.write([poses], tmp_path / "b.xml")
    assert report.lost == report.assumed == {}
    again = the_one(pytom_xml.read(tmp_path / "b.xml"))
    assert_same(again, poses)
    assert again.metadata == poses.metadata
    text = (tmp_path / "b.xml").read_text()
    assert '<ParticleList Path="./">' in text
    assert 'Value="0.5467"' in text


def test_pytom_changed_score_is_written_into_its_element(save, tmp_path):
    poses = read_pytom(save)
    poses.features["Score"] = 0.25
    pytom_xml.write([poses], tmp_path / "b.xml")
    root = pytom_xml._root(tmp_path / "b.xml")
    assert root.find("Particle/Score").attrib == {"Value": "0.25", "Type": "FLCFScore"}
    assert root.find("Particle/Score/PeakPrior") is not None


def test_pytom_refuses_features_that_are_no_such_element(save, tmp_path):
    poses = read_pytom(save)
    for raw in ("<Wedge>", "<Other/>", "</Particle>"):
        poses.features["xml:Wedge"] = raw
        with pytest.raises(WriteError, match="xml:Wedge"):
            pytom_xml.write([poses], tmp_path / "b.xml")
    poses.features["xml:Wedge"] = "<Wedge/>"
    poses.experiment_id = "a\x00b"
    with pytest.raises(WriteError, match="no character"):
        pytom_xml.write([poses], tmp_path / "b.xml")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("<ParticleList", '<!DOCTYPE a [<!ENTITY b "c">]><ParticleList', "entities"),
        ('X="40"', 'X="fourty"', "particle 1, Rotation Z1 X Z2: expected numbers"),
        ('X="40"', 'X="nan"', "particle 1, Rotation: expected finite"),
        ('"ZXZ"', '"ZYZ"', "expected the paradigm ZXZ"),
        ("</ParticleList>", '<Particle Filename="b"/></ParticleList>', "particle 2: expected Rot"),
        ("ParticleList", "TiltSeries", "expected a ParticleList, found TiltSeries"),
        ("</Particle>", "", "expected XML"),
    ],
)
def test_pytom_refuses(save, old, new, message):
    with pytest.raises(ReadError, match=message):
        pytom_xml.read(save(PYTOM.replace(old, new), "a.xml"))


def test_pytom_without_picking(save, tmp_path):
    path = save('<ParticleList><Particle Filename="a.em"/></ParticleList>', "list.xml")
    with pytest.warns(GuessWarning, match="no positions"):
        poses = the_one(pytom_xml.read(path))
    assert poses.experiment_id == "list"
    assert poses.shift is poses.orientation is None
    report = pytom_xml.write([poses], tmp_path / "b.xml")
    assert report.lost == {"orientation": "unknown, written as zero angles"}
    assert "position" in report.assumed
    assert "position" not in report.kept
    assert 'Origin=""' in (tmp_path / "b.xml").read_text()


def test_pytom_is_not_warp(shared_data):
    for path in (shared_data / "warp").rglob("*.xml"):
        assert not pytom_xml.sniff(Head.of(path))


# --- plain text


@pytest.mark.parametrize(
    "text",
    [
        "1 2 3\n4 5 6\n",
        "# x y z\n1, 2,3 # first\n\n4,5,6\n",
        "1\t2\t3\r\n4\t5\t6\r\n",
        " 1e0 2. 3\n4 5 6\n",
    ],
)
def test_text_of_three_columns(save, text):
    path = save(text, "TS_01.xyz")
    assert identify(path).name == "xyz-text"
    poses = the_one(xyz_text.read(path, pixel_spacing=2, index_base=1))
    assert poses.position.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert (poses.experiment_id, poses.pixel_spacing) == ("TS_01", 2)
    assert poses.shift is poses.orientation is None
    angstrom = the_one(xyz_text.read(path, pixel_spacing=2, unit="angstrom"))
    assert angstrom.position.tolist() == [[0.5, 1, 1.5], [2, 2.5, 3]]


def test_text_of_more_columns_needs_their_names(save, tmp_path):
    path = save("10 20 30 25 40 70 0.5\n", "TS_01.xyz")
    with pytest.raises(ReadError, match=r"expected 3 columns .*columns="):
        xyz_text.read(path)
    names = ["x", "y", "z", "rot", "tilt", "psi", "score"]
    poses = the_one(xyz_text.read(path, columns=names))
    check_pose(poses, None)
    assert poses.features["score"].tolist() == [0.5]
    xyz_text.write([poses], tmp_path / "TS_01b.xyz")
    assert_same(the_one(xyz_text.read(tmp_path / "TS_01b.xyz", columns=names)), poses,
                ignore=["experiment_id"])  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 2 3\n4 5\n", "line 2: expected 3 columns"),
        ("1 2 3\n4 5 six\n", "line 2, z: expected a number, found 'six'"),
        ("1 2 nan\n", "line 1, z"),
        ("1 2 1_0\n", "line 1, z"),
    ],
)
def test_text_names_the_bad_line(save, text, message):
    with pytest.raises(ReadError, match=message):
        xyz_text.read(save(text, "a.xyz"))


def test_text_of_other_kinds_is_refused():
    kinds = {
        "a.xyz": b"2\nwater\nO 0 0 0\nH 1 0 0\n",
        "a.txt": b"1 2 3 4 5 6\n",
        "b.txt": b"words\n",
    }
    for name, data in kinds.items():
        from pathlib import Path

        assert not xyz_text.sniff(Head(Path(name), data))


# --- CSV


def test_foreign_csv(save):
    path = save('\ufeffId;X; Y;Z;note\n001;1;2;3;"a;b"\n002;4;5;6;\n', "b.csv")
    assert identify(path).name == "csv"
    poses = the_one(csv_table.read(path, index_base=1, experiment_id="TS"))
    assert poses.position.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert poses.experiment_id == "TS"
    assert list(poses.features) == ["Id", "note"]
    assert poses.features["note"].iloc[0] == "a;b"
    assert pd.isna(poses.features["note"].iloc[1])


def test_csv_without_header(save):
    path = save("1,2,3\n4,5,6\n", "b.csv")
    assert the_one(csv_table.read(path)).position.tolist() == [[1, 2, 3], [4, 5, 6]]
    with pytest.raises(ReadError, match="expected a header"):
        csv_table.read(save("1,2,3,4\n", "b.csv"))


def test_csv_columns_are_named(save):
    path = save("px,py,pz,A,B,C,tomo\n10,20,30,25,40,70,7\n", "b.csv")
    names = dict(zip(["x", "y", "z", "rot", "tilt", "psi", "experiment_id"],
                     ["px", "py", "pz", "A", "B", "C", "tomo"], strict=True))  # fmt: skip
    poses = the_one(csv_table.read(path, columns=names))
    check_pose(poses, None)
    assert poses.experiment_id == "7"
    with pytest.raises(ReadError, match="expected a column 'nope'"):
        csv_table.read(path, columns={"x": "nope"})
    with pytest.raises(ValueError, match="expected names among"):
        csv_table.read(path, columns={"u": "px"})


def test_csv_that_only_looks_like_ours_is_a_guess(save):
    text = CSV.split("\n", 1)[1]
    with pytest.warns(GuessWarning, match="cryotypes_poseset_version"):
        check_pose(read_csv(save, text))
    poses = read_csv(save, EULER.split("\n", 1)[1].replace("dx", "u"))
    assert {"rot", "tilt", "psi"} <= set(poses.features)
    assert poses.orientation is None


def test_csv_of_a_newer_version_is_refused(save):
    with pytest.raises(ReadError, match="newer cryotypes"):
        csv_table.read(save(CSV.replace("version: 1", "version: 2"), "a.csv"))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (",0.5", "", "line 2: expected 13 cells, found 12"),
        ("20,30", "20,thirty", "z, row 1: expected a number, found 'thirty'"),
        ("20,30", "20,", "z, row 1: expected a number, found None"),
        ("20,30", "20,inf", "z, row 1"),
        ("0.634847", "7", "expected a quaternion of length 1"),
        ("x,y,z", "x,y,x", "two columns are called 'x'"),
        ("x,y,z", "a,b,c", "expected columns x, y, z"),
        (",2,0.5", ",-2,0.5", "pixel_spacing, row 1"),
    ],
)
def test_csv_names_what_is_wrong(save, old, new, message):
    with pytest.raises(ReadError, match=message):
        read_csv(save, CSV.replace(old, new))


def test_csv_features_called_like_our_columns(tmp_path):
    poses = example()
    names = ["x", "qx", "X", "feature_x", "with,comma", 'quote"', "plain"]
    poses.features = pd.DataFrame(
        {name: ["001", "a,b", "", None][i % 4 :][:1] for i, name in enumerate(names)}
    )
    csv_table.write([poses], tmp_path / "a.csv")
    back = the_one(csv_table.read(tmp_path / "a.csv"))
    assert_same(back, poses)
    poses.features = pd.DataFrame({"a\nb": [1]})
    with pytest.raises(WriteError, match="line break"):
        csv_table.write([poses], tmp_path / "b.csv")


def test_csv_2d_has_no_z(tmp_path):
    poses = PoseSet(np.array([[1.0, 2, 0]]), experiment_id="a", metadata={"ndim": 2})
    csv_table.write([poses], tmp_path / "a.tsv.gz")
    assert b"\nx\ty\texperiment_id" in gzip.decompress((tmp_path / "a.tsv.gz").read_bytes())
    back = the_one(csv_table.read(tmp_path / "a.tsv.gz"))
    assert back.metadata["ndim"] == 2
    assert_same(back, poses)


# --- all


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (portal_ndjson, "a.ndjson"),
        (copick_json, "a.json"),
        (pytom_xml, "a.xml"),
        (xyz_text, "a.xyz"),
        (csv_table, "a.csv"),
    ],
)
def test_interrupted_writing_leaves_the_old_file(module, name, tmp_path, monkeypatch):
    path = tmp_path / name
    module.write([example()], path)
    old = path.read_bytes()
    with pytest.raises(FileExistsError):
        module.write([example()], path)

    def fail(*_):
        raise OSError("no space")

    monkeypatch.setattr(os, "replace", fail)
    monkeypatch.setattr("pathlib.Path.replace", fail)
    with pytest.raises(OSError, match="no space"):
        module.write([example()], path, overwrite=True)
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]


def test_real_tables_of_other_kinds_are_refused(shared_data):
    modules = (portal_ndjson, copick_json, pytom_xml, xyz_text, csv_table)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for path in sorted(p for p in shared_data.rglob("*") if p.is_file()):
            for module in modules:
                assert not module.sniff(Head.of(path)), (module.NAME, path)
