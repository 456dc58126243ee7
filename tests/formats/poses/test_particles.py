"""What five formats make of a pose: faults of their rows are noticed, old files are kept."""

from __future__ import annotations

import dataclasses
import json
import os
import warnings

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryotypes.formats.poses import (
    _named_columns,
    copick_json,
    csv_table,
    portal_ndjson,
    pytom_xml,
    xyz_text,
)
from cryotypes.formats.shared.declaration import Head
from cryotypes.poseset import PoseSet

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


def example():
    orientation = Rotation.from_euler("ZYZ", [[25, 40, 70]], degrees=True).inv()
    return PoseSet(np.array([POSITION]), np.array([SHIFT]), orientation, "TS_001", 2.0)


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
