"""IMOD's tilt angles without an alignment, and tables of others that are called so."""

from __future__ import annotations

from functools import partial

import pytest
from numpy.testing import assert_allclose

import cryotypes
from cryotypes.errors import (
    GuessWarning,
    ReadError,
    UnknownFormatError,
)
from cryotypes.formats.shared.declaration import Head
from cryotypes.formats.tilts import imod_tlt, imod_xf

read, read_transforms = imod_tlt.FORMAT.read, partial(imod_xf.read, exact=False)
ANGLES = ["rotation_x", "rotation_y", "rotation_z"]

# section 13 of conventions_alignments.md: rotation (1.5, -3.01, 85.3), shift (12.5, -3.25)
VECTOR_XF = "   0.0819385   0.9966374  -0.9966374   0.0819385       2.215      12.724\n"


def test_angles_alone_are_said_to_be_alone(tmp_path):
    (tmp_path / "ts.rawtlt").write_text("-3.0 117\n0.0 3\n3.5 6\n")
    with pytest.warns(GuessWarning, match="tilt angles alone; assumed that images are not shifted"):
        model = cryotypes.read_projection_model(tmp_path / "ts.rawtlt", tilt_axis_angle=85)
    assert_allclose(model[ANGLES], [[0, -3, 85], [0, 0, 85], [0, 3.5, 85]])
    assert not model[["dx", "dy"]].to_numpy().any()
    assert model["tlt_column_2"].tolist() == [117, 3, 6]
    assert model["experiment_id"].tolist() == ["ts"] * 3
    (tmp_path / "ts.xf").write_text(VECTOR_XF * 3)
    with pytest.warns(GuessWarning, match="ts.xf beside it holds the alignment"):
        cryotypes.read_projection_model(tmp_path / "ts.rawtlt")


@pytest.mark.parametrize("text", ["3\n-3\n6\n", "0\n3\n-3\n6\n", "9\n0\n3\n"])
def test_angles_out_of_order(tmp_path, text):
    path = tmp_path / "ts.tlt"
    path.write_text(text)
    with pytest.raises(ReadError, match=r"out of order.*any_order=True"):
        read(path)
    with pytest.warns(GuessWarning, match="alone"):
        assert len(read(path, any_order=True)) == text.count("\n")


def test_angles_behind_a_count(tmp_path):
    path = tmp_path / "ts.tlt"
    path.write_text("1 -60.0\n2 -57.0\n3 -54.0\n")
    with pytest.raises(ReadError, match=r"counts from 1 to 3, which are no .*-O angle_column=2"):
        read(path)
    with pytest.warns(GuessWarning, match="alone"):
        model = read(path, angle_column=2)
    assert model["rotation_y"].tolist() == [-60, -57, -54]
    assert model["tlt_column_1"].tolist() == [1, 2, 3]
    with pytest.warns(GuessWarning, match="alone"):
        assert read(path, angle_column=1)["rotation_y"].tolist() == [1, 2, 3]
    for column in (0, 3):
        with pytest.raises(ReadError, match=f"angle_column={column}: the lines have 2 numbers"):
            read(path, angle_column=column)
    # beside an .xf, too
    (tmp_path / "ts.xf").write_text(VECTOR_XF * 3)
    with pytest.raises(ReadError, match=r"counts from 1 to 3, which are no .*-O angle_column=2"):
        read_transforms(tmp_path)
    assert read_transforms(tmp_path, angle_column=2)["rotation_y"].tolist() == [-60, -57, -54]


# cut from a real file of emClarity: section, two shifts, tilt, and the rest
EMCLARITY = (
    "{}\t00001.70\t00012.87\t{}\t000.000\t090.000\t0.9916872\t-0.0150265\t0.0150265\t0.9916873"
    "\t6.000000e+01\t4.125000e-08\t-1.055924e+00\t1.000000e+00\t-3.909596e-06\t2.170000e-10"
    "\t2.700000e-03\t1.968697e-12\t8.500000e-02\t3838\t3710\t41{}\n"
)


@pytest.mark.parametrize("more", ["", "\t1"], ids=["22 columns", "23 columns"])
def test_angles_of_emclarity(tmp_path, more):
    path = tmp_path / "ts.tlt"
    rows = [(1, "059.300"), (4, "049.960"), (2, "056.190")]  # image 3 was taken out
    path.write_text("".join(EMCLARITY.format(*row, more) for row in rows))
    with pytest.warns(GuessWarning, match="column 4 of emClarity's table.*not understood"):
        model = read(path)
    assert model["rotation_y"].tolist() == [59.3, 56.19, 49.96]
    assert model["tilt_index"].tolist() == [0, 1, 3]
    assert model["tlt_column_3"].tolist() == [12.87] * 3


def test_angles_falling(tmp_path):
    (tmp_path / "ts.tlt").write_text("6\n3\n-3\n")
    with pytest.warns(GuessWarning, match="alone"):
        read(tmp_path / "ts.tlt")


@pytest.mark.parametrize("text", ["", "\n", "TILT SERIES a\nAXIS\n", "\0\0", "1e9\n"])
def test_what_is_not_angles(tmp_path, text):
    path = tmp_path / "ts.tlt"
    path.write_text(text)
    assert not imod_tlt.FORMAT.sniff(Head.of(path))
    with pytest.raises((ReadError, UnknownFormatError)):
        cryotypes.read_projection_model(path)
    with pytest.raises(ReadError):
        read(path)
