"""PyTom's XML: known answers, elements that survive, and what is refused."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryotypes.errors import GuessWarning, ReadError, WriteError
from cryotypes.formats.poses import (
    pytom_xml,
)
from cryotypes.formats.shared.declaration import Head
from cryotypes.poseset import PoseSet
from cryotypes.testing import assert_same

TURNED = (-2.235467, -11.157248, 8.155888)  # the orientation applied to (14, 0, 0)
POSITION, SHIFT = (10.0, 20.0, 30.0), (1.0, -2.0, 3.0)
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


def read_pytom(save):
    return the_one(pytom_xml.read(save(PYTOM, "a.xml")))


def test_pytom_known_answer(save):
    poses = read_pytom(save)
    check_pose(poses)
    assert poses.experiment_id == "./tomo 1.em"
    row = poses.features.iloc[0]
    assert (row["Filename"], row["Binning"], row["Score"]) == ("sub/particle_0.em", 4, 0.5467)
    assert row["Class"] == "007"
    assert "SingleTiltWedge Angle1" in row["xml:Wedge"]
    assert "PeakPrior" in row["xml:Score"]


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
    root = ElementTree.parse(tmp_path / "b.xml").getroot()
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
        ('X="40"', 'X="nan"', "particle 1, Rotation X: expected a finite"),
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
    paths = list((shared_data / "warp").rglob("*.xml"))
    assert paths
    for path in paths:
        assert not pytom_xml.sniff(Head.of(path))


def example():
    orientation = Rotation.from_euler("ZYZ", [[25, 40, 70]], degrees=True).inv()
    return PoseSet(np.array([POSITION]), np.array([SHIFT]), orientation, "TS_001", 2.0)


def test_written_numbers_are_the_known_ones(tmp_path):
    poses = example()
    pytom_xml.write([poses], tmp_path / "a.xml")
    root = ElementTree.parse(tmp_path / "a.xml").getroot()
    angles = [float(root.find("Particle/Rotation").get(n)) for n in ("Z1", "X", "Z2")]
    np.testing.assert_allclose(angles, [65, 40, -160], atol=1e-9)
    assert root.find("Particle/PickPosition").get("X") == "10.0"
    assert root.find("Particle/Shift").get("Y") == "-2.0"
