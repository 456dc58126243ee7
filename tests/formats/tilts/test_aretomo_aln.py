"""AreTomo's alignments, against files in its own form, hand-worked numbers and a real file."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import cryotypes
from cryotypes import projection_model_to_projection_matrices as matrices_of
from cryotypes.conventions import _table as conventions
from cryotypes.conventions import decode_tilts, encode_tilts
from cryotypes.errors import GuessWarning, LossWarning, ReadError, WriteError
from cryotypes.formats.shared.declaration import Head
from cryotypes.formats.tilts import aretomo_aln

read, write = aretomo_aln.FORMAT.read, aretomo_aln.FORMAT.write
ANGLES = ["rotation_x", "rotation_y", "rotation_z"]
TITLE = (
    "# SEC     ROT         GMAG       TX          TY      SMEAN     SFIT    SCALE     BASE     TILT"
)
ROW = (
    "    1    85.3000    1.00000     12.500     -3.250"
    "     1.00     1.00     1.00     0.00     -3.01"
)


def aln(*rows, n=None, darks=(), patches=0, local=(), more=(), size="4092 5760") -> str:
    """A file as AreTomo3 writes it; rows are (SEC, TX, TY, TILT)."""
    lines = [
        "# AreTomo Alignment / Priims bprmMn",
        f"# RawSize = {size} {len(rows) + len(darks) if n is None else n}",
        f"# NumPatches = {patches}",
        *(f"# DarkFrame =  {a:4d} {b:4d} {tilt:8.2f}" for a, b, tilt in darks),
        *more,
        TITLE,
        *(
            f"{sec:5d}    85.3000    1.00000  {x:9.3f}  {y:9.3f}     1.00     1.00     1.00"
            f"     0.00  {tilt:8.2f}"
            for sec, x, y, tilt in rows
        ),
    ]
    if local:
        lines += ["# Local Alignment", *local]
    return "\n".join(lines) + "\n"


def model_of(n=3, **columns) -> pd.DataFrame:
    fields = {
        "rotation_x": 0.0, "rotation_y": np.linspace(-60.12, 60, n),
        "rotation_z": np.linspace(85.3, 84, n), "dx": np.linspace(-20, 31, n),
        "dy": np.linspace(5, -7.5, n), "experiment_id": "ts", "pixel_spacing": 0.0, "source": "",
    }  # fmt: skip
    model = pd.DataFrame({**fields, **columns}, index=range(n))
    model.attrs["tilt_image_dimensions"] = {"ts": (4092, 5760)}
    return model


# --- reading ---


def test_the_vector_of_section_13_is_read(save):
    text = aln((1, 12.5, -3.25, -3.01))
    assert ROW in text
    model = read(save(text, "ts.aln"))
    assert_allclose(model[ANGLES], [[0, -3.01, 85.3]])
    assert_allclose(model[["dx", "dy"]], [[12.5, -3.25]])
    assert model["experiment_id"].tolist() == ["ts"]
    assert model.attrs["tilt_image_dimensions"] == {"ts": (4092, 5760)}
    # the point of the vector, which has a tilt about x besides
    model["rotation_x"] = 1.5
    matrix = matrices_of(model, (2046, 2880), (4096, 5760, 1200))[0]
    assert_allclose((matrix @ [1000, 2000, 300, 1])[:2], [2843.050050, 1779.177551], atol=1e-6)


@pytest.mark.parametrize(
    "change",
    [
        *({"rotation": signs} for signs in [(1, -1, 1), (1, 1, -1)]),
        {"offset": conventions.Offset(sign=-1)},
        {"offset": conventions.Offset(sign=1, unit="angstrom")},
        {"frame": "aligned"},
    ],
    ids=str,
)
def test_every_field_of_the_convention_counts(change):
    values = np.array([[0, -3.01, 85.3]]), np.array([[12.5, -3.25]])
    for coding in (decode_tilts, encode_tilts):
        right = [coding(*values, conventions.ARETOMO, 1.35), values]
        wrong = [coding(*values, replace(conventions.ARETOMO, **change), 1.35), values]
        for pair, same in ((right, True), (wrong, False)):
            close = [np.allclose(a, b) for a, b in zip(*pair, strict=True)]
            assert all(close) is same


def test_the_same_alignment_as_imod_s(save, tmp_path):
    """AreTomo's -OutImod writes A = R(-ROT), t = -A (TX, TY): both files are one alignment."""
    one = read(save(aln((1, 12.5, -3.25, -3.01)), "ts.aln"))
    c, s = np.cos(np.deg2rad(-85.3)), np.sin(np.deg2rad(-85.3))
    A = np.array([[c, -s], [s, c]])
    numbers = [*A.ravel(), *(-A @ [12.5, -3.25])]
    save(" ".join(repr(float(x)) for x in numbers) + "\n", "ts.xf")
    save("-3.01\n", "ts.tlt")
    other = cryotypes.read_projection_model(tmp_path / "ts.xf", exact=False)
    columns = [*ANGLES, "dx", "dy"]
    assert_allclose(one[columns], other[columns], atol=1e-9)


@pytest.mark.parametrize("first", [0, 1])
def test_both_ways_of_counting_sections(save, first):
    """Rows are sorted by tilt, not by section; the whole series tells where it begins."""
    rows = [(3 + first, 0, 0, -3), (0 + first, 1, 0, 0), (1 + first, 2, 0, 3)]
    dark = (3, 2 + first, 6.0)
    model = read(save(aln(*rows, darks=[dark]), "ts.aln"))
    assert model["tilt_index"].tolist() == [3, 0, 1]
    assert model["dx"].tolist() == [0, 1, 2]
    assert model.attrs["excluded"] == {"ts": [2]}
    assert model.attrs["excluded_tilts"] == {"ts": [6.0]}


def test_dark_frames_without_a_section(save):
    """cryoet-alignment: 0 for the section and the tilt, the position where the rank belongs."""
    rows = [(2, 0, 0, -3), (3, 1, 0, 0), (5, 2, 0, 3)]
    path = save(aln(*rows, darks=[(0, 0, 0), (3, 0, 0)]), "ts.aln")
    model = read(path)
    assert model["tilt_index"].tolist() == [1, 2, 4]
    assert model.attrs["excluded"] == {"ts": [0, 3]}
    assert read(path, first_section=1).equals(model)
    with pytest.raises(ReadError, match="SEC 5: expected 0 to 4 for a stack of 5 images"):
        read(path, first_section=0)


@pytest.mark.parametrize(
    ("dark", "index", "excluded"),
    [
        ((0, 0, -6.0), [1, 2], 0),  # AreTomo 2: the first image is dark
        ((2, 0, 6.0), [1, 2], 0),  # the same of a stack that begins at the highest tilt
        ((2, 0, 0.0), [0, 1], 2),  # cryoet-alignment: the last image is dark
    ],
)
def test_one_dark_frame_with_section_zero(save, dark, index, excluded):
    """Sections 1 and 2 of three images: which of the ends is missing?"""
    model = read(save(aln((1, 0, 0, -3), (2, 1, 0, 3), darks=[dark]), "ts.aln"))
    assert model["tilt_index"].tolist() == index
    assert model.attrs["excluded"] == {"ts": [excluded]}


def test_an_incomplete_series(save):
    path = save(aln((2, 0, 0, -3), (3, 1, 0, 0), n=5, darks=[(3, 0, 6.0)]), "ts.aln")
    with pytest.warns(GuessWarning, match=r"assumed that SEC counts from 1.*first_section="):
        model = read(path)
    assert model["tilt_index"].tolist() == [1, 2]
    assert model.attrs["excluded"] == {"ts": [0, 3, 4]}


def test_a_section_of_zero_counts_from_zero(save):
    path = save(aln((0, 0, 0, -3), (2, 1, 0, 0), n=4), "ts.aln")
    with pytest.warns(GuessWarning, match="assumed that SEC counts from 0"):
        assert read(path)["tilt_index"].tolist() == [0, 2]


def test_the_offset_of_the_tilts_is_in_them_already(save):
    more = ["# AlphaOffset =    -2.50", "# BetaOffset =     1.00", "# Thickness =   321"]
    model = read(save(aln((1, 0, 0, -3.0), more=more), "ts.aln"))
    assert_allclose(model[ANGLES], [[0, -3, 85.3]])
    facts = model.attrs["aretomo"]["ts"]
    assert (facts["AlphaOffset"], facts["BetaOffset"], facts["Thickness"]) == (-2.5, 1, 321)


def test_a_mirrored_volume(save):
    path = save(aln((1, 12.5, -3.25, -3.01)), "ts.aln")
    model = read(path, flip_vol=2)
    assert_allclose(model[[*ANGLES, "dx", "dy"]], [[0, 3.01, 85.3, 12.5, -3.25]])
    write(model, path, overwrite=True)
    assert ROW in path.read_text()


def test_local_alignment_and_magnification_are_named(save):
    local = ["   0   0  -558.42   -802.00      3.00      4.00   1.0",
             "   0   1   558.42    802.00     30.00     40.00   0.0"]  # fmt: skip
    text = aln((1, 0, 0, 0.0), patches=2, local=local)
    with pytest.warns(LossWarning, match="local alignment, which moves patches by up to 5.00 px"):
        model = read(save(text, "ts.aln"))
    text = text.replace("1.00000", "1.02000").replace(local[0], "").replace(local[1], "")
    text = text.replace("NumPatches = 2", "NumPatches = 0")
    with pytest.warns(LossWarning, match="magnification 1.02, 58 px at the edge"):
        model = read(save(text, "ts.aln"))
    assert model["aretomo_gmag"].tolist() == [1.02]


def test_a_cut_local_alignment(save):
    text = aln((1, 0, 0, 0.0), patches=2)
    with pytest.warns(GuessWarning, match="expected 2 local shifts for each of 1 images, found 0"):
        read(save(text, "ts.aln"))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("# RawSize = 4092 5760 1", "# RawSize = 4092 5760", "expected # RawSize = x y n"),
        ("# RawSize = 4092 5760 1\n", "", "expected # RawSize = x y n, found none"),
        ("4092 5760 1", "4092 -1 1", "expected # RawSize = x y n"),
        ("4092 5760 1", "4092 x 1", "RawSize: expected a finite number, found 'x'"),
        ("TILT", "TIL", "titles .* have no TILT"),
        ("     0.00     -3.01", "     0.00", "line 5: expected 10 numbers, found 9"),
        ("12.500", "nan", "line 5: expected a finite number, found 'nan'"),
        ("    1    85", "    2    85", "SEC 2: expected 1 to 1 for a stack of 1 images"),
        ("    1    85", "  1.5    85", "SEC: expected whole numbers"),
        ("   -3.01", "1.5e+24 ", r"expected tilt angles in degrees, found 1.5e\+24"),
        (TITLE + "\n", "", "before the titles"),
    ],
)
def test_damage_is_named(save, old, new, message):
    text = aln((1, 12.5, -3.25, -3.01))
    assert old in text
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *_, **__: None)
        with pytest.raises(ReadError, match=message):
            read(save(text.replace(old, new), "ts.aln"))


def test_sections_that_stand_twice(save):
    with pytest.raises(ReadError, match="SEC: expected whole numbers, each of them once"):
        read(save(aln((1, 0, 0, 0), (1, 0, 0, 3)), "ts.aln"))


def test_every_prefix_and_every_damaged_byte(save):
    local = ["   0   0  -558.42   -802.00      3.00      4.00   1.0"] * 2
    whole = aln((1, 1, 2, -3), (3, 1, 2, 0), darks=[(2, 2, 3.0)], patches=1, local=local,
                more=["# AlphaOffset =     0.00"]).encode()  # fmt: skip
    damaged = [whole[:k] for k in range(len(whole))]
    damaged += [whole[:k] + b"\xff" + whole[k + 1 :] for k in range(len(whole))]
    damaged += [whole[:k] + b"9" + whole[k + 1 :] for k in range(len(whole))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *_, **__: None)
        for content in damaged:
            path = save(content, "ts.aln")
            with contextlib.suppress(ReadError):
                cryotypes.validate_projection_model(read(path))


def test_a_cut_last_line_is_said(save):
    """-3.01 without its last digit is still a number."""
    path = save(aln((1, 12.5, -3.25, -3.01))[:-2], "ts.aln")
    with pytest.warns(GuessWarning, match="does not end with a line end"):
        read(path)


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (aln((1, 0, 0, 0)).encode(), True),
        (aln((1, 0, 0, 0)).encode().split(b"\n", 1)[1], True),
        (b"", False),
        (b"# RawSize = 1 2 3\n", False),
        (b"# a comment\n1 2 3\n", False),
        (b"\0" * 100, False),
        (b"\xff\xfe# AreTomo", False),
    ],
)
def test_sniff(tmp_path, data, found):
    assert aretomo_aln.FORMAT.sniff(Head(tmp_path / "a.aln", data)) is found


# --- writing ---


def test_the_vector_of_section_13_is_written(tmp_path):
    model = model_of(1, rotation_x=1.5, rotation_y=-3.01, rotation_z=85.3, dx=12.5, dy=-3.25)
    model.attrs["tomogram_dimensions"] = {"ts": (4096, 5760, 1200)}
    with pytest.warns(LossWarning) as caught:
        report = cryotypes.write(model, tmp_path / "ts.aln")
    lines = (tmp_path / "ts.aln").read_text().splitlines()
    assert lines[-1] == ROW
    assert lines[-2] == TITLE
    assert lines[1:3] == ["# RawSize = 4092 5760 1", "# NumPatches = 0"]
    # 1.5° move the edge at hypot(5760, 1200) / 2 = 2942 px by 77 px
    assert "up to 1.5° or 77 px at the tomogram's edge" in str(caught[0].message)
    assert set(report.lost) == {"rotation_x", "tomogram_dimensions"}


def test_a_tilt_about_x_where_no_size_is_known(tmp_path):
    report = write(model_of(2, rotation_x=[0.0, -3.0]), tmp_path / "ts.aln")
    assert "up to 3° or 52 px per 1000 px" in report.lost["rotation_x"]
    assert "rotation_x" not in write(model_of(2), tmp_path / "ts.aln", overwrite=True).lost


@pytest.mark.parametrize("n", [0, 1, 3, 101])
def test_round_trip(tmp_path, n):
    """Within the decimals of the format: 0.005° of tilt, 0.00005° of axis, 0.0005 px."""
    model = model_of(n)
    write(model, tmp_path / "ts.aln", tilt_image_dimensions=(4092, 5760))
    again = read(tmp_path / "ts.aln")
    assert_allclose(again["rotation_y"], model["rotation_y"], atol=0.00501)
    assert_allclose(again["rotation_z"], model["rotation_z"], atol=0.0000501)
    assert_allclose(again[["dx", "dy"]], model[["dx", "dy"]], atol=0.000501)
    assert again["tilt_index"].tolist() == list(range(n))
    cryotypes.validate_projection_model(again)


def test_rows_are_sorted_and_dark_frames_have_both_numbers(tmp_path):
    model = model_of(3, rotation_y=[3.0, -3.0, 0.0], tilt_index=[2, 3, 0])
    model.attrs |= {"excluded": {"ts": [1, 4]}, "excluded_tilts": {"ts": [1.5, -6.0]}}
    write(model, tmp_path / "ts.aln")
    lines = (tmp_path / "ts.aln").read_text().splitlines()
    # sorted by tilt: -6 (position 4), -3 (3), 0 (0), 1.5 (1), 3 (2); sections count from 1
    assert lines[3:5] == ["# DarkFrame =     0    5    -6.00", "# DarkFrame =     3    2     1.50"]
    assert lines[1] == "# RawSize = 4092 5760 5"
    assert [line.split()[0] for line in lines[-3:]] == ["4", "1", "3"]
    again = read(tmp_path / "ts.aln")
    assert again["tilt_index"].tolist() == [3, 0, 2]
    assert again.attrs["excluded"] == {"ts": [1, 4]}
    assert again.attrs["excluded_tilts"] == {"ts": [1.5, -6.0]}
    write(again, tmp_path / "ts.aln", overwrite=True)
    assert (tmp_path / "ts.aln").read_text().splitlines() == lines


def test_what_was_read_is_written_back(save):
    text = aln((2, 1.25, -2.5, -3), (1, 0.125, 7, 0), darks=[(2, 3, 3.0)],
               more=["# AlphaOffset =    -2.50", "# BetaOffset =     1.00"])  # fmt: skip
    text = text.replace(
        "     1.00     1.00     1.00     0.00", "     0.50     1.00     1.00     0.25"
    )
    path = save(text, "ts.aln")
    write(read(path), path, overwrite=True)
    assert path.read_text() == text


def test_what_cannot_be_written(tmp_path):
    path = tmp_path / "ts.aln"
    with pytest.raises(WriteError, match=r"holds one experiment, found 'a' and 'b'.*experiment_id"):
        write(model_of(2, experiment_id=["a", "b"]), path)
    bare = model_of(2)
    bare.attrs.clear()
    with pytest.raises(WriteError, match="tilt_image_dimensions="):
        write(bare, path)
    assert not path.exists()
    write(bare, path, tilt_image_dimensions=(10, 20))
    assert read(path).attrs["tilt_image_dimensions"] == {"ts": (10, 20)}
    with pytest.raises(ValueError, match="tilt_image_dimensions: expected x, y, found 5"):
        write(bare, path, overwrite=True, tilt_image_dimensions=5)


def test_convert_from_imod(save, tmp_path):
    """What .aln does not hold is named on the way."""
    save("0.0819385 0.9966374 -0.9966374 0.0819385 2.215 12.724\n", "ts.xf")
    save("-3.01 117\n", "ts.tlt")
    with pytest.warns(LossWarning, match="aretomo-aln cannot keep columns: tlt_column_2"):
        (report,) = cryotypes.convert(
            *(tmp_path / "ts.xf", tmp_path / "ts.aln"),
            tilt_image_dimensions=(4092, 5760),
            exact=False,
        )
    assert set(report.lost) == {"columns"}
    assert_allclose(read(tmp_path / "ts.aln")[["dx", "dy"]], [[12.5, -3.25]], atol=1e-3)


# --- a real file ---


def test_a_real_file(shared_data):
    """AreTomo3's, cut by somebody after four rows: all that is said."""
    with pytest.warns() as caught:
        model = cryotypes.read_projection_model(shared_data / "aretomo" / "test.aln")
    messages = " ".join(str(w.message) for w in caught)
    assert "4 rows and 4 dark frames of 90 images do not make a whole series" in messages
    assert "moves patches by up to 103.01 px" in messages
    assert_allclose(model["rotation_y"], [-61.5, -60, -58.5, -57])
    assert_allclose(model.loc[1, ["dx", "dy"]].astype(float), [34.451, -8.599])
    assert model["tilt_index"].tolist() == [0, 1, 2, 3]
    assert model.attrs["tilt_image_dimensions"] == {"test": (2032, 2032)}


def test_version_1_2_has_no_size(tmp_path):
    """``# n  darks`` alone: read, with the size of the images unknown."""
    path = tmp_path / "a.aln"
    path.write_text(
        "# AreTomo Alignment / Priims bprmMn \n# 3  0\n"
        "# SEC     ROT         GMAG       TX          TY      SMEAN     SFIT    SCALE     BASE"
        "     TILT\n"
        + "".join(
            f"    {i}   -93.7196    1.00000    155.235    708.750     1.00     1.00     1.00"
            f"     0.00    {tilt}\n"
            for i, tilt in enumerate((-51.98, -48.99, -45.98))
        )
    )
    model = cryotypes.read_projection_model(path)
    assert model["rotation_y"].tolist() == [-51.98, -48.99, -45.98]
    assert model["dx"].tolist() == [155.235] * 3
    assert model["tilt_index"].tolist() == [0, 1, 2]
    assert model.attrs["tilt_image_dimensions"] == {}
    path.write_text(path.read_text().replace("# 3  0", "# 41  0"))
    with pytest.warns(GuessWarning, match="of 41 images do not make a whole series"):
        model = cryotypes.read_projection_model(path)
    assert model.attrs["excluded"]["a"] == list(range(3, 41))
