"""Warp's .tomostar, against files in its own form and hand-worked numbers."""

from __future__ import annotations

import contextlib
import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import cryotypes
from cryotypes.errors import GuessWarning, ReadError, WriteError
from cryotypes.formats.shared.declaration import Head
from cryotypes.formats.tilts import warp_tomostar

read, write = warp_tomostar.FORMAT.read, warp_tomostar.FORMAT.write
ANGLES = ["rotation_x", "rotation_y", "rotation_z"]
TOMOSTAR = """
data_

loop_
_wrpMovieName #1
_wrpAngleTilt #2
_wrpAxisAngle #3
_wrpDose #4
_wrpAverageIntensity #5
_wrpMaskedFraction #6
  ../frames/a_000_-3.0.eer   3.01   85.3  2.5  1.523  0.000
  ../frames/a_001_0.0.eer    0      85.3  5    1.612  0.015
"""
# of Warp 1: with offsets, in Å; the vector of conventions_alignments.md, section 13
OLD = """
data_

loop_
_wrpMovieName #1
_wrpAngleTilt #2
_wrpAxisAngle #3
_wrpAxisOffsetX #4
_wrpAxisOffsetY #5
_wrpDose #6
  a.mrc   3.01   85.3   16.875   -4.3875   2.5
"""


def model_of(n=3, **columns) -> pd.DataFrame:
    fields = {
        "rotation_x": 0.0, "rotation_y": np.linspace(-60.123, 60, n), "rotation_z": 85.3,
        "dx": 0.0, "dy": 0.0, "experiment_id": "ts", "pixel_spacing": 0.0, "source": "",
    }  # fmt: skip
    return pd.DataFrame({**fields, **columns}, index=range(n))


def test_angles_have_the_other_sign(save):
    path = save(TOMOSTAR, "ts.tomostar")
    with pytest.warns(GuessWarning, match="opposite sign of the mdoc's.*inverted=False"):
        model = read(path)
    assert_allclose(model[ANGLES], [[0, -3.01, 85.3], [0, 0, 85.3]])
    assert model["movie_path"].tolist() == ["../frames/a_000_-3.0.eer", "../frames/a_001_0.0.eer"]
    assert model["dose"].tolist() == [2.5, 5]
    assert model["wrpMaskedFraction"].tolist() == [0, 0.015]
    assert model["tilt_index"].tolist() == [0, 1]
    assert model["experiment_id"].tolist() == ["ts", "ts"]
    pd.testing.assert_frame_equal(read(path, inverted=True), model)


def test_angles_that_were_not_inverted(save):
    model = read(save(TOMOSTAR, "ts.tomostar"), inverted=False)
    assert_allclose(model[ANGLES], [[0, 3.01, 85.3], [0, 0, 85.3]])


def test_the_vector_of_section_13(save, tmp_path):
    """Both ways; there is no angle about x."""
    path = save(OLD, "ts.tomostar")
    with pytest.raises(ReadError, match="pixel_spacing="):
        read(path)
    model = read(path, inverted=True, pixel_spacing=1.35)
    assert_allclose(model[[*ANGLES, "dx", "dy"]], [[0, -3.01, 85.3, 12.5, -3.25]])
    model["rotation_x"] = 1.5
    report = write(model, tmp_path / "out.tomostar")
    words = (tmp_path / "out.tomostar").read_text().strip().splitlines()[-1].split()
    assert words[0] == "a.mrc"
    assert_allclose([float(w) for w in words[1:]], [3.01, 85.3, 16.875, -4.3875, 2.5])
    assert "up to 1.5° or 26 px per 1000 px" in report.lost["rotation_x"]


def test_the_tilt_axis(save):
    text = TOMOSTAR.replace("wrpAxisAngle", "wrpOther")
    with pytest.warns(GuessWarning, match="no wrpAxisAngle; assumed 0°.*tilt_axis_angle="):
        model = read(save(text, "ts.tomostar"), inverted=True)
    assert model["rotation_z"].tolist() == [0, 0]
    model = read(save(text, "ts.tomostar"), inverted=True, tilt_axis_angle=-95)
    assert model["rotation_z"].tolist() == [-95, -95]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("wrpAngleTilt", "wrpOther", "expected a block with the label wrpAngleTilt"),
        ("3.01", "x", "wrpAngleTilt, row 1: expected a finite number, found 'x'"),
        ("3.01", "301e9", "expected tilt angles in degrees"),
        ("3.01", "", "expected 6 values"),
        ("_wrpDose", "_rotation_x", "unexpected label rotation_x"),
        ("_wrpDose", "_movie_path", "unexpected label movie_path"),
    ],
)
def test_damage_is_named(save, old, new, message):
    with pytest.raises(ReadError, match=message):
        read(save(TOMOSTAR.replace(old, new), "ts.tomostar"), inverted=True)
    with pytest.raises(ValueError, match="inverted: expected True or False"):
        read(save(TOMOSTAR, "ts.tomostar"), inverted="no")


def test_every_prefix_and_every_damaged_byte(save):
    whole = OLD.encode()
    damaged = [whole[:k] for k in range(len(whole))]
    damaged += [whole[:k] + b"\xff" + whole[k + 1 :] for k in range(len(whole))]
    damaged += [whole[:k] + b"9" + whole[k + 1 :] for k in range(len(whole))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for content in damaged:
            path = save(content, "ts.tomostar")
            with contextlib.suppress(ReadError):
                cryotypes.validate_projection_model(read(path, pixel_spacing=1.35))


def test_sniff(tmp_path):
    sniff = warp_tomostar.FORMAT.sniff
    assert sniff(Head(tmp_path / "a.tomostar", TOMOSTAR.encode()))
    assert not sniff(Head(tmp_path / "a.tomostar", b"data_\nloop_\n_wrpMovieName\n"))
    assert not sniff(Head(tmp_path / "a.tomostar", b""))


@pytest.mark.parametrize("inverted", [True, False])
def test_what_was_read_is_written_back(save, tmp_path, inverted):
    path = save(TOMOSTAR, "ts.tomostar")
    model = read(path, inverted=inverted)
    report = write(model, path, overwrite=True)
    assert not report.lost
    assert not report.assumed
    pd.testing.assert_frame_equal(read(path, inverted=inverted), model)


@pytest.mark.parametrize("n", [0, 1, 3])
def test_round_trip(tmp_path, n):
    model = model_of(n)
    report = write(model, tmp_path / "ts.tomostar")
    assert "wrpMovieName, wrpDose" in report.assumed["columns"]
    again = read(tmp_path / "ts.tomostar", inverted=True)
    assert_allclose(again[[*ANGLES, "dx", "dy"]], model[[*ANGLES, "dx", "dy"]], atol=1e-12)
    cryotypes.validate_projection_model(again)


def test_what_cannot_be_written(tmp_path):
    path = tmp_path / "ts.tomostar"
    with pytest.raises(WriteError, match="holds one experiment"):
        write(model_of(2, experiment_id=["a", "b"]), path)
    with pytest.raises(WriteError, match="pixel spacing is unknown"):
        write(model_of(2, dx=1.0), path)
    assert not path.exists()
    report = write(model_of(2, tilt_index=[3, 1]), path)
    assert "2 images without a row, the first at position 0" in report.lost["excluded"]
    assert not report.assumed.keys() & {"angles of excluded images"}
    assert read(path, inverted=True)["rotation_y"].tolist() == [60, -60.123]


def test_from_an_mdoc(shared_data, tmp_path):
    """As ts_import: angles with the other sign, names without directories, accumulated dose."""
    with pytest.warns(GuessWarning, match="nominal"):
        model = cryotypes.read_projection_model(shared_data / "mdoc" / "017.mdoc")
    write(model, tmp_path / "017.tomostar")
    again = read(tmp_path / "017.tomostar", inverted=True)
    assert_allclose(again["rotation_y"], model["rotation_y"])
    first = (tmp_path / "017.tomostar").read_text().split("017_01.mrc")[1].split()
    assert [float(word) for word in first[:2]] == [52.0064, 82.9]
    assert again["dose"].tolist() == model["dose"].tolist()
