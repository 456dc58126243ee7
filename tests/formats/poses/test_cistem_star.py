"""cisTEM's STAR and .par files against hand arithmetic, in the form in which cisTEM writes them."""

from __future__ import annotations

import gzip
import shlex
from dataclasses import replace

import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy.spatial.transform import Rotation

import cryotypes
from cryotypes import PoseSet
from cryotypes.errors import GuessWarning, ReadError, WriteError
from cryotypes.formats.poses import cistem_par, cistem_star
from cryotypes.formats.shared.declaration import Head
from cryotypes.testing import assert_same

read = cistem_star.FORMAT.read
read_par = cistem_par.FORMAT.read

# RELION's (25, 40, 70), and where (14, 0, 0) of the reference comes to lie
POINT = (-2.235467, -11.157248, 8.155888)
RELION = Rotation.from_euler("ZYZ", [[25, 40, 70]], degrees=True).inv()

# 2 Å/px; the first particle at (10, 20) px, shifted by (1, -2) px
STAR = """\
# Written by cisTEM Version 2.0.0-alpha on 2024-01-01 12:00:00
# a comment
~
data_
~
loop_
_cisTEMPositionInStack #1
_cisTEMAnglePsi #2
_cisTEMAngleTheta #3
_cisTEMAnglePhi #4
_cisTEMXShift #5
_cisTEMYShift #6
_cisTEMDefocus1 #7
_cisTEMDefocus2 #8
_cisTEMDefocusAngle #9
_cisTEMImageActivity #10
_cisTEMLogP #11
_cisTEMPixelSize #12
_cisTEMStackFilename #13
_cisTEMOriginalImageFilename #14
_cisTEMReference3DFilename #15
_cisTEMOriginalXPosition #16
_cisTEMOriginalYPosition #17
#    POS     PSI   THETA     PHI       SHX       SHY     DF1      DF2  ANGAST  STAT
       1   70.00   40.00   25.00      2.00     -4.00  15000.5  14000.0   30.00     1      -500   \
2.00000      '/data/stack.mrc'      'a.mrc'      ''     20.00    40.00~
       2  -10.00   90.00  180.00      0.00      0.00  15000.0  14000.0  -30.00    -1      -600   \
2.00000      '/data/stack.mrc'      '007'      ''      0.00     0.00~
       3    0.00    0.00    0.00      1.50      0.00  15000.0  14000.0  -30.00     1      -700   \
2.00000      '/data/stack.mrc'      'a.mrc'      ''     15.00     7.00~
""".replace("~", " ")  # cisTEM ends its lines with a blank
PAR = """\
C
C           PSI   THETA     PHI       SHX       SHY     MAG  INCLUDE   DF1      DF2  ANGAST  \
PSHIFT     OCC      LogP      SIGMA   SCORE  CHANGE
      1   70.00   40.00   25.00      2.00     -4.00   10000     1  15000.5  14000.0   30.00    \
0.00  100.00      -500     1.2345   12.00    0.50
      2    0.00    0.00    0.00      1.50      0.00   10000    -1  15000.0  14000.0   30.00    \
0.00  100.00      -600     1.0000   13.00   -0.50
C       average
"""


def check_first(poses) -> None:
    assert_allclose(poses.orientation[0].apply([14, 0, 0]), POINT, atol=1e-6)
    assert_allclose(poses.shift[0], (1, -2, 0))
    if "number" not in poses.features:
        assert_allclose(poses.position[0], (10, 20, 0))


def test_a_star_file_by_hand(save):
    a, b = read(save(STAR))
    check_first(a)
    assert (a.experiment_id, b.experiment_id) == ("a.mrc", "007")
    assert a.pixel_spacing == 2
    assert list(a.features.index) == [0, 2]
    assert list(a.features["cisTEMLogP"]) == [-500, -700]
    assert list(a.features["cisTEMStackFilename"]) == ["/data/stack.mrc"] * 2
    assert list(a.features["cisTEMReference3DFilename"]) == ["", ""]
    assert not [n for n in a.features if "Angle" in n and "Defocus" not in n]
    assert cryotypes.identify(save(STAR)).name == "cistem-star"
    check_first(read(save(gzip.compress(STAR.encode()), "a.star.gz"))[0])
    check_first(read(save(STAR.replace("\n", "\r\n")))[0])


ROW = cistem_star.CISTEM
FAULTS = {
    "inverse": replace(ROW, turn=replace(ROW.turn, inverse=False)),
    "degrees": replace(ROW, turn=replace(ROW.turn, degrees=False)),
    "axes": replace(ROW, turn=replace(ROW.turn, axes="ZXZ")),
    "case": replace(ROW, turn=replace(ROW.turn, axes="zyz")),
    "unit": replace(ROW, place=replace(ROW.place, unit="pixel")),
    "zero": replace(ROW, place=replace(ROW.place, zero=(0.5, 0, 0))),
    "sign": replace(ROW, offset=replace(ROW.offset, sign=-1)),
    "unit of the shift": replace(ROW, offset=replace(ROW.offset, unit="pixel")),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_fault_in_the_convention_is_noticed(save, monkeypatch, fault):
    monkeypatch.setattr(cistem_star, "CISTEM", fault)
    monkeypatch.setattr(cistem_par, "CISTEM", fault)
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        check_first(read(save(STAR))[0])
    if "place" not in str(fault) and fault.place == ROW.place:
        with pytest.raises(AssertionError, match="Not equal to tolerance"):
            check_first(read_par(save(PAR, "a.par"), pixel_spacing=2)[0])


def cistem_rows(text: str) -> list[dict[str, str]]:
    """Read as cisTEM does: rows end at an empty line, words at blanks, names in single quotes."""
    lines = text.split("loop_\n")[1].split("\n")
    labels = [line.split(" ")[0] for line in lines if line.startswith("_")]
    rows = []
    for line in lines[len(labels) :]:
        if not line.strip():
            break
        if not line.startswith("#"):
            rows.append(dict(zip(labels, line.split(), strict=True)))
    assert rows
    return rows


def test_written_back_nothing_changes(save, tmp_path):
    path = save(STAR)
    poses = read(path)
    report = cryotypes.write(poses, tmp_path / "out.star", format="cistem-star", strict=True)
    assert not report.assumed
    assert_same(read(tmp_path / "out.star"), poses)
    before, after = (cistem_rows(p.read_text()) for p in (path, tmp_path / "out.star"))
    assert [list(row) for row in after] == [list(row) for row in before]
    for row, other in zip(before, after, strict=True):
        for label in row:
            if label.endswith("Filename"):
                assert row[label] == other[label]
                assert row[label].startswith("'")
            elif "Angle" not in label or row["_cisTEMPositionInStack"] == "1":  # gimbal lock
                assert float(row[label]) == pytest.approx(float(other[label]), abs=1e-9)


@pytest.mark.parametrize("first", [0, 1])
def test_where_positions_count_from(save, tmp_path, first):
    path = save(STAR)
    poses = read(path, first_pixel=first)
    assert_allclose(poses[0].position[0], (10 - first, 20 - first, 0))
    cryotypes.write(poses, tmp_path / "out.star", format="cistem-star")
    rows = cistem_rows((tmp_path / "out.star").read_text())
    assert float(rows[0]["_cisTEMOriginalXPosition"]) == pytest.approx(20)


def elsewhere(**changes) -> PoseSet:
    fields = {
        "position": [[1, 2, 0], [3, 4, 0]], "shift": [[1, -2, 0], [0, 0, 0]],
        "orientation": RELION[[0, 0]], "experiment_id": "mic_1.mrc", "pixel_spacing": 2.0,
        "features": pd.DataFrame({"rlnClassNumber": [1, 2], "a remark": ["x y", "it's"]}),
    }  # fmt: skip
    return PoseSet(**{**fields, **changes})


def test_particles_from_elsewhere(tmp_path):
    """What cisTEM does not know comes last: it may hold blanks, which would move its columns."""
    path = tmp_path / "out.star"
    report = cryotypes.write(elsewhere(), path, format="cistem-star")
    assert "defocus" in report.assumed
    lines = path.read_text().split("loop_\n")[1].split("\n")
    labels = [line.split(" ")[0] for line in lines if line.startswith("_")]
    known = [label for label in labels if label.startswith("_cisTEM")]
    assert labels[: len(known)] == known
    for label in ("_cisTEMDefocus1", "_cisTEMDefocus2", "_cisTEMDefocusAngle"):
        assert label in known  # cisTEM's reader crashes without
    words = dict(zip(known, lines[len(labels)].split(), strict=False))
    assert words["_cisTEMOriginalImageFilename"] == "'mic_1.mrc'"
    assert [float(words[f"_cisTEMAngle{n}"]) for n in ("Phi", "Theta", "Psi")] == pytest.approx(
        [25, 40, 70]
    )
    assert [float(words[f"_cisTEM{n}Shift"]) for n in "XY"] == [2, -4]
    assert [float(words[f"_cisTEMOriginal{n}Position"]) for n in "XY"] == [2, 4]
    (found,) = read(path)
    assert list(found.features["a_remark"]) == ["x y", "it's"]
    assert_same(found, elsewhere(), ignore=["features"])
    assert [shlex.split(line)[-2:] for line in lines[len(labels) :][:1]] == [["1", "x y"]]


@pytest.mark.parametrize(
    ("poses", "match"),
    [
        (elsewhere(position=[[1, 2, 3], [0, 0, 0]]), "z = 0.*row 0"),
        (elsewhere(shift=[[0, 0, 0], [0, 0, 1]]), "row 1"),
        (elsewhere(pixel_spacing=0), "pixel spacing"),
        (elsewhere(experiment_id="my image.mrc"), "no blanks"),
        (elsewhere(experiment_id="it's.mrc"), "quotes"),
        (elsewhere(experiment_id="a\nb"), "no blanks"),
    ],
)
def test_what_cannot_be_written(tmp_path, poses, match):
    with pytest.raises(WriteError, match=match):
        cryotypes.write(poses, tmp_path / "out.star", format="cistem-star")
    assert not list(tmp_path.iterdir())


def without(text: str, *labels: str) -> str:
    """Rename columns to what is no pose."""
    for label in labels:
        text = text.replace(f"_{label} ", f"_x{label} ")
    return text


def test_columns_that_are_absent(save, tmp_path):
    positions = ("cisTEMOriginalXPosition", "cisTEMOriginalYPosition")
    shifts, psi = ("cisTEMXShift", "cisTEMYShift"), "cisTEMAnglePsi"
    with pytest.warns(GuessWarning, match="no positions"):
        (one, _) = read(save(without(STAR, *positions, *shifts)))
    assert not one.position.any()
    report = cryotypes.write(one, tmp_path / "without.star", format="cistem-star")
    assert "position" in report.assumed
    assert "position" not in report.kept
    assert "_cisTEMOriginalXPosition" not in (tmp_path / "without.star").read_text()
    assert one.shift is None
    flat = read(save(without(STAR, "cisTEMAngleTheta", "cisTEMAnglePhi")))[0]
    expected = Rotation.from_euler("z", 70, degrees=True).inv()
    assert (expected.inv() * flat.orientation[0]).magnitude() < 1e-9
    angles = "data_\nloop_\n_cisTEMAnglePhi\n_cisTEMAngleTheta\n_cisTEMAnglePsi\n1 2 3\n4 5 6\n"
    with pytest.warns(GuessWarning, match="no positions"):
        assert read(save(angles))[0].features.shape == (2, 0)
    none = read(save(without(STAR, "cisTEMAngleTheta", "cisTEMAnglePhi", psi)))[0]
    assert none.orientation is None
    stack = read(save(without(STAR, "cisTEMOriginalImageFilename"), "b.star"))
    assert [p.experiment_id for p in stack] == ["/data/stack.mrc"]
    cryotypes.write(stack, tmp_path / "out.star", format="cistem-star", strict=True)
    assert_same(read(tmp_path / "out.star"), stack)
    names = ("cisTEMOriginalImageFilename", "cisTEMStackFilename")
    assert read(save(without(STAR, *names), "b.star"))[0].experiment_id == "b"
    with pytest.raises(ReadError, match="pixel_spacing="):
        read(save(without(STAR, "cisTEMPixelSize")))
    check_first(read(save(without(STAR, "cisTEMPixelSize")), pixel_spacing=2)[0])


def test_names_with_blanks_and_hashes(save):
    odd = STAR.replace("'a.mrc'", "'#1 of  a.mrc'")
    assert read(save(odd))[0].experiment_id == "#1 of  a.mrc"
    assert_same(read(save(odd))[1], read(save(STAR))[1])
    assert read(save(STAR.replace("'a.mrc'", "'#a'")))[0].experiment_id == "#a"
    assert read(save(STAR.replace("'a.mrc'", "a'b")))[0].experiment_id == "a'b"


@pytest.mark.parametrize("bad", ["nan", "inf", "x"])
def test_numbers_that_are_none(save, bad):
    with pytest.raises(ReadError, match="AnglePsi, row 2: expected a finite number"):
        read(save(STAR.replace(" -10.00 ", f" {bad} ")))


def test_sniff(save):
    relion = "data_\nloop_\n_rlnAnglePsi #1\n1\n"
    for text in (relion, "", PAR, "data_\n_rlnOpticsGroup 1"):
        assert not cistem_star.sniff(Head(save(STAR), text.encode()))
    for text in (relion, "", STAR, "1 2 3\n", "C a text\n", "\0\xff"):
        assert not cistem_par.sniff(Head(save(PAR, "a.par"), text.encode("latin-1")))
    assert cryotypes.identify(save(PAR, "a.par")).name == "cistem-par"
    bare = "\n".join(line for line in PAR.split("\n") if not line.startswith("C"))
    assert cryotypes.identify(save(bare, "b.par")).name == "cistem-par"
