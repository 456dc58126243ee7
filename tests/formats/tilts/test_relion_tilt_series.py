"""RELION 5's tilt series, against hand-worked numbers and its own tutorial project."""

from __future__ import annotations

import functools
import gzip
import struct

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import cryotypes
from cryotypes import projection_model_to_projection_matrices as matrices_of
from cryotypes.errors import GuessWarning, LossWarning, ReadError, WriteError
from cryotypes.formats.shared.declaration import Head
from cryotypes.formats.tilts import relion_tilt_series
from cryotypes.testing import assert_same

read, write = relion_tilt_series.FORMAT.read, relion_tilt_series.FORMAT.write
save_as = functools.partial(cryotypes.write, format="relion-tilt-series")

ANGLES = ("rlnTomoXTilt", "rlnTomoYTilt", "rlnTomoZRot")
SHIFTS = ("rlnTomoXShiftAngst", "rlnTomoYShiftAngst")
NOMINAL = ("rlnTomoNominalStageTiltAngle", "rlnTomoNominalTiltAxisAngle")


def block(name: str, labels, *rows) -> str:
    header = "".join(f"_{label} #{i}\n" for i, label in enumerate(labels, 1))
    lines = "".join("  ".join(map(str, row)) + "\n" for row in rows)
    return f"\ndata_{name}\n\nloop_\n{header}{lines}\n"


def listing(*rows, labels=("rlnTomoTiltSeriesPixelSize",)) -> str:
    return block("global", ("rlnTomoName", "rlnTomoTiltSeriesStarFile", *labels), *rows)


# conventions_alignments.md, section 13: one row, in every format
VECTOR = ("frames/ts1_000.mrc", -3.0, 1.5, -3.01, 85.3, 16.875, -4.3875)
SERIES = ("rlnMicrographName", NOMINAL[0], *ANGLES, *SHIFTS)


@pytest.fixture
def project(save):
    """A project of two series, as RELION lays it out: names are relative to its top."""
    text = listing(
        ("ts1", "Job/tilt_series/ts1.star", 1.35, 4096, 5760, 1200, 8.0),
        ("7", "Job/tilt_series/7.star", 2.7, 100, 101, 50, 4.0),
        labels=("rlnTomoTiltSeriesPixelSize", *(f"rlnTomoSize{a}" for a in "XYZ"),
                "rlnTomoTomogramBinning"),
    )  # fmt: skip
    save(block("ts1", SERIES, VECTOR, ("b.mrc", 3, 0, 3, 85, 0, 0)), "Job/tilt_series/ts1.star")
    save(block("7", SERIES, ("c.mrc", 0.5, 0, 1, -90, 2.7, 5.4)), "Job/tilt_series/7.star")
    save("", "default_pipeline.star")
    return save(text, "Job/tomograms.star")


# --- reading ---


def test_the_vector_of_section_13(project):
    """Angles as they stand; shifts in Å become pixels; the point lands where it should."""
    model = read(project)
    row = model.iloc[0]
    assert_allclose(row[["rotation_x", "rotation_y", "rotation_z"]].astype(float),
                    [1.5, -3.01, 85.3])  # fmt: skip
    assert_allclose(row[["dx", "dy"]].astype(float), [12.5, -3.25], atol=1e-12)
    assert (row["experiment_id"], row["pixel_spacing"]) == ("ts1", 1.35)
    assert row["source"].endswith("ts1.star")
    matrix = matrices_of(model.iloc[:1], (2046, 2880), (4096, 5760, 1200))[0]
    assert_allclose((matrix @ [1000, 2000, 300, 1])[:2], [2843.050050, 1779.177551], atol=1e-6)


def test_columns_and_sizes(project):
    """Everything else is kept: columns a row, rows of the list and sizes in attrs."""
    model = read(project)
    assert model["experiment_id"].tolist() == ["ts1", "ts1", "7"]
    assert model["rlnMicrographName"].tolist() == ["frames/ts1_000.mrc", "b.mrc", "c.mrc"]
    assert model[NOMINAL[0]].tolist() == [-3.0, 3.0, 0.5]
    assert not set(ANGLES + SHIFTS) & set(model.columns)
    assert model.attrs["tomogram_dimensions"] == {"ts1": (4096, 5760, 1200), "7": (100, 101, 50)}
    assert model.attrs["tilt_image_dimensions"] == {}
    assert model.attrs["relion"]["rows"]["7"]["rlnTomoTomogramBinning"] == 4.0
    cryotypes.validate_projection_model(model)


def test_one_series_finds_its_list(project):
    """A single series' pixel size and tomogram are those that the list above it states."""
    one = read(project.parent / "tilt_series" / "7.star")
    whole = read(project)
    expected = whole[whole["experiment_id"] == "7"].reset_index(drop=True)
    assert_same(one, expected)
    assert one.attrs["tomogram_dimensions"] == {"7": (100, 101, 50)}
    assert_allclose(one[["dx", "dy"]], [[1, 2]])


def test_a_series_alone(save):
    """Without a list the name is the block's; shifts need the pixel size, angles do not."""
    path = save(block("ts9", (*ANGLES, *SHIFTS), (1, 2, 3, 2.7, 5.4)), "x/alone.star")
    with pytest.raises(ReadError, match=r"tilt series 'ts9' are in angstrom .*pixel_spacing="):
        read(path)
    model = read(path, pixel_spacing=2.7)
    assert_allclose(model[["dx", "dy"]], [[1, 2]])
    assert model["experiment_id"].tolist() == ["ts9"]
    model = read(save(block("", ANGLES, (1, 2, 3)), "x/alone.star"))
    assert (model["experiment_id"][0], model["pixel_spacing"][0]) == ("alone", 0.0)
    assert_allclose(model[["dx", "dy"]], [[0, 0]])


def test_no_tilt_about_x(save):
    """rlnTomoXTilt may be absent: then it is zero."""
    model = read(save(block("t", (*ANGLES[1:], *SHIFTS), (2, 3, 0, 0))))
    assert_allclose(model[["rotation_x", "rotation_y", "rotation_z"]], [[0, 2, 3]])


def test_no_alignment_yet(save):
    """Nominal angles stand in, and that is said."""
    path = save(block("t", NOMINAL, (-3.0, 85.0), (3.0, 85.0)))
    with pytest.warns(GuessWarning, match="no alignment yet for t: assumed the nominal tilt angle"):
        model = read(path)
    assert_allclose(model[["rotation_x", "rotation_y", "rotation_z", "dx", "dy"]],
                    [[0, -3, 85, 0, 0], [0, 3, 85, 0, 0]])  # fmt: skip
    assert model[NOMINAL[0]].tolist() == [-3.0, 3.0]


def test_size_of_the_tilt_images(project, save):
    """Asked of the first image that is there, x then y; the file does not state it."""
    header = bytearray(1024)
    struct.pack_into("<4i", header, 0, 6, 4, 1, 0)
    struct.pack_into("<3i3f", header, 28, 6, 4, 1, 6, 4, 1)
    struct.pack_into("<3i", header, 64, 1, 2, 3)
    header[208:216] = b"MAP \x44\x44\0\0"
    save(bytes(header) + bytes(24), "frames/ts1_000.mrc")
    model = read(project)
    assert model.attrs["tilt_image_dimensions"] == {"ts1": (6, 4)}


@pytest.mark.parametrize("compress", [False, True])
def test_series_in_other_places(save, compress):
    """Names may be absolute, or relative to the file's own directory; files may be compressed."""
    text = block("a", ANGLES, (1, 2, 3)).encode()
    series = save(gzip.compress(text) if compress else text, "deep/a.star")
    for name in (str(series), "a.star"):
        path = save(listing(("a", name, 1.0)), "deep/list.star")
        assert read(path)["rotation_y"].tolist() == [2.0]


def test_no_series_at_all(save):
    model = read(save(listing()))
    assert len(model) == 0
    cryotypes.validate_projection_model(model)
    series = read(save(block("t", (*ANGLES, *SHIFTS))))
    assert len(series) == 0


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"l.star": listing(("a", "gone.star", 1))}, "'a' is 'gone.star', which does not exist"),
        ({"l.star": listing(("a", "b.star", 1)), "b.star": block("x", ("c",), (1,))},
         "b.star: expected a tilt series with rlnTomoYTilt"),
        ({"l.star": block("x", ("rlnTomoName",), ("a",))}, r"expected tilt series .*blocks 'x'"),
        ({"l.star": block("t", ANGLES, (1, "x", 3))},
         r"block 't', column rlnTomoYTilt, row 1: expected a finite number, found 'x'"),
        ({"l.star": block("t", ANGLES, (1, 2, 3), (1, 2, "nan"))}, r"column rlnTomoZRot, row 2"),
        ({"l.star": block("t", (*ANGLES, *SHIFTS), (1, 2, 3, "inf", 0))}, "rlnTomoXShiftAngst"),
        ({"l.star": "data_\n\n_rlnTomoTomogramsFile gone.star\n"}, "'gone.star', which does not"),
        ({"l.star": block("g", ("rlnTomoTiltSeriesStarFile",), ("b.star",)),
          "b.star": block("t", ANGLES, (1, 2, 3))}, "l.star.*rlnTomoName"),
        ({"l.star": listing(("a", "b.star", 1), ("a", "b.star", 1)),
          "b.star": block("t", ANGLES, (1, 2, 3))}, "l.star.*'a'.*twice"),
    ],
)  # fmt: skip
def test_what_cannot_be_read(save, files, message):
    for name, text in files.items():
        path = save(text, name)
    with pytest.raises(ReadError, match=message):
        read(path.with_name("l.star"))


# --- RELION's tutorial project ---


@pytest.mark.parametrize(
    ("name", "sized"),
    [
        ("Polish/job070/tomograms.star", True),
        ("AlignTiltSeries/job005/aligned_tilt_series.star", False),
        ("Refine3D/job074/run_optimisation_set.star", True),
    ],
)
def test_lists_of_a_real_project(shared_data, name, sized):
    """Five series of 40 or 41 images, found from whatever file names them."""
    path = shared_data / "relion5_project" / name
    model = cryotypes.read_projection_model(path)
    names = ["TS_01", "TS_03", "TS_43", "TS_45", "TS_54"]
    assert model["experiment_id"].unique().tolist() == names
    assert model.groupby("experiment_id").size().tolist() == [40, 40, 41, 41, 41]
    assert set(model["pixel_spacing"]) == {1.35}
    sizes = dict.fromkeys(names, (4000, 4000, 2000)) if sized else {}
    assert model.attrs["tomogram_dimensions"] == sizes
    # the nominal axis is at 85°; images at high tilt stray
    assert model.groupby("experiment_id")["rotation_z"].median().between(84.5, 86).all()
    assert np.abs(model["rotation_y"] - model[NOMINAL[0]]).median() < 1


def test_first_row_of_a_real_series(shared_data):
    """TS_01's first image in the job's own file: angles, and 37.322454, 108.0336 Å at 1.35 Å."""
    path = shared_data / "relion5_project/Polish/job070/tilt_series/TS_01.star"
    row = cryotypes.read_projection_model(path).iloc[0]
    assert_allclose(
        row[["rotation_x", "rotation_y", "rotation_z"]].astype(float),
        [-0.05288, -57.16442, 85.186642],
    )
    assert_allclose(row[["dx", "dy"]].astype(float), [37.322454 / 1.35, 108.0336 / 1.35])
    assert row["experiment_id"] == "TS_01"
    assert row["rlnMicrographPreExposure"] == 114.0


def test_import_has_no_alignment(shared_data):
    path = shared_data / "relion5_project/Import/job001/tilt_series.star"
    with pytest.warns(GuessWarning, match=r"TS_01, TS_03, TS_43, TS_45, TS_54: assumed"):
        model = cryotypes.read_projection_model(path)
    assert_allclose(model["rotation_y"], model[NOMINAL[0]])
    assert set(model["rotation_z"]) == {85.0}
    assert set(model["pixel_spacing"]) == {0.0}
    assert not model[["dx", "dy"]].to_numpy().any()


@pytest.mark.parametrize(
    "name", ["Polish/job070/tomograms.star", "Polish/job070/tilt_series/TS_43.star"]
)
@pytest.mark.filterwarnings("ignore::cryotypes.errors.LossWarning")
def test_a_real_project_comes_back(shared_data, tmp_path, name):
    """Every column, every row of the list, sizes and pixel spacings."""
    model = cryotypes.read_projection_model(shared_data / "relion5_project" / name)
    out = tmp_path / "out.star"
    write(model, out)
    spacing = {"pixel_spacing": 1.35} if "TS_43" in name else {}
    again = read(out, **spacing)
    ignore = ["tomogram_dimensions"] if spacing else []
    tolerance = {"rotation": 1e-9, "shift": 1e-9}
    assert_same(again, model, tolerance=tolerance, ignore=ignore)
    if not spacing:
        before, after = (m.attrs["relion"]["rows"] for m in (model, again))
        for series, row in before.items():
            changed = {k for k in row if row[k] != after[series][k]}
            assert changed == {"rlnTomoTiltSeriesStarFile"}


# --- writing ---


def model_of(**changes) -> pd.DataFrame:
    columns = {
        "rotation_x": [1.5, 0.0, 0.25],
        "rotation_y": [-3.01, 3.0, 0.0],
        "rotation_z": [85.3, 85.3, -10.0],
        "dx": [12.5, 0.0, 1 / 3],
        "dy": [-3.25, 1.0, 0.0],
        "experiment_id": ["ts1", "ts1", "Gitter α/2"],
        "pixel_spacing": [1.35, 1.35, 2.0],
        "source": "made in Python",
        "score": [0.1, 0.2, 0.3],
    }
    return pd.DataFrame(columns | changes)


def numbers_in(path, label) -> list[float]:
    """One column of a loop of numbers, without the package's own reader."""
    lines = path.read_text().splitlines()
    labels = [line.split()[0] for line in lines if line.startswith("_")]
    rows = [line.split() for line in lines if line and line[0] in "-0123456789"]
    return [float(row[labels.index(f"_{label}")]) for row in rows]


def test_what_is_written(tmp_path):
    """Section 13 the other way; XTilt too, also where it is zero; nominal tilts as RELION asks."""
    out = tmp_path / "tomograms.star"
    report = save_as(model_of(), out)
    series = tmp_path / "tilt_series" / "ts1.star"
    for label, values in zip(
        (*ANGLES, *SHIFTS, NOMINAL[0]),
        [(1.5, 0), (-3.01, 3), (85.3, 85.3), (16.875, 0), (-4.3875, 1.35), (-3.01, 3)],
        strict=True,
    ):
        assert_allclose(numbers_in(series, label), values, atol=1e-12)
    assert "data_ts1" in series.read_text()
    assert "# version 50001" in out.read_text()
    assert "rlnVoltage" in report.assumed["microscope"]
    assert not report.lost
    again = read(out)
    assert_same(again, model_of(), ignore=[NOMINAL[0]])


def test_attrs_are_written(tmp_path):
    model = model_of()
    model.attrs["tomogram_dimensions"] = {"ts1": (4096, 5760, 1200), "Gitter α/2": (10, 20, 30)}
    save_as(model, tmp_path / "list.star")
    assert read(tmp_path / "list.star").attrs["tomogram_dimensions"] == {
        "ts1": (4096, 5760, 1200),
        "Gitter α/2": (10, 20, 30),
    }


def test_columns_of_some_series_only(tmp_path):
    """A column that one series has not is not written for it, and is missing when read."""
    model = model_of(remark=["a", "b", None], count=[1.0, 2.0, np.nan])
    save_as(model, tmp_path / "list.star")
    again = read(tmp_path / "list.star")
    assert_same(again, model, ignore=[NOMINAL[0]], tolerance={"count": 0})
    assert "remark" not in (tmp_path / "tilt_series" / "Gitter_α_2.star").read_text()


def test_names_with_blanks(tmp_path):
    """A block's name has no blanks; the list keeps the series' own name."""
    model = model_of(experiment_id="TS 01", pixel_spacing=1.35)
    save_as(model, tmp_path / "list.star")
    assert (tmp_path / "tilt_series" / "TS_01.star").exists()
    assert_same(read(tmp_path / "list.star"), model, ignore=[NOMINAL[0]])


def test_project_relative_names(tmp_path):
    """Names in the list are relative to RELION's project, found by its own files or given."""
    (tmp_path / "Job").mkdir()
    out = tmp_path / "Job" / "list.star"
    save_as(model_of(), out)
    assert " tilt_series/ts1.star " in out.read_text()
    save_as(model_of(), out, project=tmp_path, overwrite=True)
    assert " Job/tilt_series/ts1.star " in out.read_text()
    (tmp_path / "default_pipeline.star").touch()
    save_as(model_of(), out, overwrite=True)
    assert " Job/tilt_series/ts1.star " in out.read_text()
    assert_same(read(out), model_of(), ignore=[NOMINAL[0]])


def test_a_single_series(project, tmp_path):
    """Read from a series' own file, it is written as one; what that cannot state is named."""
    one = read(project.parent / "tilt_series" / "ts1.star")
    out = tmp_path / "one.star"
    with pytest.warns(LossWarning, match="pixel_spacing: .*tomograms.star does"):
        save_as(one, out)
    assert sorted(p.name for p in tmp_path.glob("*.star")) == ["default_pipeline.star", "one.star"]
    assert_same(read(out, pixel_spacing=1.35), one, ignore=["tomogram_dimensions"])
    save_as(one, tmp_path / "list.star", layout="list")
    assert_same(read(tmp_path / "list.star"), one)
    with pytest.raises(WriteError, match="one tilt series, found 2"):
        save_as(read(project), out, layout="series", overwrite=True)
    with pytest.raises(ValueError, match="layout: expected 'list' or 'series'"):
        save_as(one, out, layout="table", overwrite=True)


@pytest.mark.parametrize("taken", ["list.star", "tilt_series/ts1.star"])
def test_no_file_is_overwritten_unasked(tmp_path, taken):
    """Not the list, and none of the series; and then nothing is written at all."""
    mine = tmp_path / taken
    mine.parent.mkdir(exist_ok=True)
    mine.write_text("mine")
    with pytest.raises(FileExistsError, match="overwrite=True"):
        save_as(model_of(), tmp_path / "list.star")
    assert [p.read_text() for p in tmp_path.rglob("*.star")] == ["mine"]
    save_as(model_of(), tmp_path / "list.star", overwrite=True)
    assert_same(read(tmp_path / "list.star"), model_of(), ignore=[NOMINAL[0]])


def test_what_cannot_be_written(tmp_path):
    out = tmp_path / "list.star"
    with pytest.raises(WriteError, match=r"shifts in angstrom, and the pixel spacing is unknown"):
        save_as(model_of(pixel_spacing=0.0), out)
    with pytest.raises(WriteError, match="make the same file name"):
        save_as(model_of(experiment_id=["a/b", "a b", "c"], pixel_spacing=1.0), out)
    assert not out.exists()
    assert not (tmp_path / "tilt_series").exists()
    # angles alone need no pixel size
    save_as(model_of(pixel_spacing=0.0, dx=0.0, dy=0.0), out)
    assert_same(read(out), model_of(pixel_spacing=0.0, dx=0.0, dy=0.0), ignore=[NOMINAL[0]])


def test_no_rows(tmp_path):
    save_as(model_of().iloc[:0], tmp_path / "list.star")
    assert len(read(tmp_path / "list.star")) == 0


def test_interrupted_write_keeps_the_old_list(tmp_path, monkeypatch):
    out = tmp_path / "list.star"
    save_as(model_of(), out)
    before = {p: p.read_text() for p in tmp_path.rglob("*.star")}

    def broken(file, *_):
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(relion_tilt_series, "write_star", broken)
    with pytest.raises(KeyboardInterrupt):
        save_as(model_of(), out, overwrite=True)
    assert {p: p.read_text() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_the_input_is_not_changed(tmp_path):
    model = model_of()
    save_as(model, tmp_path / "list.star")
    assert_same(model, model_of())


def test_sniffing(project, save):
    """Tilt series are told from particles and from RELION 4's matrices."""
    sniff = relion_tilt_series.sniff
    assert sniff(Head.of(project))
    assert sniff(Head.of(project.parent / "tilt_series" / "ts1.star"))
    assert not sniff(Head.of(save(block("", ("rlnCoordinateX",), (1,)))))
    assert not sniff(Head.of(save(block("t", ("rlnTomoProjX", NOMINAL[0]), ("[1,0,0,0]", 1)))))


# --- WarpTools' one file of all series ---

ONE_FILE = """
data_global

loop_
_rlnTomoName
_rlnTomoTiltSeriesName
_rlnTomoFrameCount
_rlnTomoSizeX
_rlnTomoSizeY
_rlnTomoSizeZ
_rlnTomoTiltSeriesPixelSize
015.tomostar dummy_tiltseries.mrc 2 4096 4096 2200 1.971
036.tomostar dummy_tiltseries.mrc 1 4096 4096 2200 1.971

data_015.tomostar

loop_
_rlnTomoXTilt
_rlnTomoYTilt
_rlnTomoZRot
_rlnMicrographPreExposure
51.821392 -5.1066227 -85.9964 134.280
49.818756 -4.9639096 -85.82062 132.042

data_036.tomostar

loop_
_rlnTomoXTilt
_rlnTomoYTilt
_rlnTomoZRot
_rlnMicrographPreExposure
9.9369 -1.1314 -83.4122 3.0
"""


def test_warps_one_file_holds_inverse_matrices(tmp_path):
    """A real file's numbers: tilts of 52 and 50 degrees about one axis; and all series."""
    path = tmp_path / "x_tomograms.star"
    path.write_text(ONE_FILE)
    with pytest.warns(GuessWarning, match=r"015\.tomostar, 036\.tomostar have no shifts"):
        (model,) = cryotypes.read(path)
    assert model["experiment_id"].tolist() == ["015.tomostar"] * 2 + ["036.tomostar"]
    assert_allclose(model["rotation_y"][:2], [52, 50], atol=1e-4)
    assert_allclose(model["rotation_x"][:2], 0, atol=1e-4)
    assert_allclose(model["rotation_z"][:2], 83.5143, atol=1e-4)
    assert model.attrs["tomogram_dimensions"]["036.tomostar"] == (4096, 4096, 2200)
    assert model["pixel_spacing"].unique() == [1.971]
    assert model["rlnMicrographPreExposure"].tolist() == [134.28, 132.042, 3]
    path.write_text(ONE_FILE.replace("data_036.tomostar", "data_037.tomostar"))
    with pytest.raises(ReadError, match="no block data_036"):
        cryotypes.read_projection_model(path)


# --- what other programs leave out, and what RELION 4 knew ---


def test_excluded_images_are_lost(tmp_path):
    """RELION knows those that have a row: 4 of 7."""
    model = pd.DataFrame(
        {"rotation_y": [-3.0, 0, 3, 6], "rotation_z": 85.0, "tilt_index": range(2, 6)}
    )
    model = model.assign(experiment_id="TS_1", pixel_spacing=2.0)
    model.attrs["excluded"] = {"TS_1": [0, 1, 6]}
    with pytest.warns(LossWarning, match=r"excluded: images 1–2, 7 of 'TS_1'"):
        cryotypes.write(model, tmp_path / "out.star")
    with pytest.raises(WriteError, match=r"strict: .*images 1–2, 7"):
        cryotypes.write(model, tmp_path / "strict.star", strict=True)
    assert not (tmp_path / "strict.star").exists()


def test_relion_4_hands_its_microscope_on(tmp_path):
    """Voltage, Cs, amplitude contrast, hand, optics group of the file went missing."""
    matrix = np.eye(4)
    matrix[:2, 3] = 5
    rows = [f"[{','.join(f'{v:g}' for v in row)}]" for row in matrix]
    labels = [f"rlnTomoProj{axis}" for axis in "XYZW"]
    text = "\ndata_global\n\nloop_\n" + "".join(
        f"_{label}\n"
        for label in (
            "rlnTomoName", "rlnTomoTiltSeriesName", "rlnTomoFrameCount", "rlnTomoSizeX",
            "rlnTomoSizeY", "rlnTomoSizeZ", "rlnTomoHand", "rlnOpticsGroupName",
            "rlnTomoTiltSeriesPixelSize", "rlnVoltage", "rlnSphericalAberration",
            "rlnAmplitudeContrast",
        )
    )  # fmt: skip
    text += "TS_1 TS_1.mrc 1 100 100 50 -1 og1 2.0 300 2.7 0.07\n\ndata_TS_1\n\nloop_\n"
    text += "".join(f"_{label}\n" for label in labels) + " ".join(rows) + "\n"
    path = tmp_path / "relion4.star"
    path.write_text(text)
    model = cryotypes.read_projection_model(path, tilt_image_dimensions=(100, 100))
    out = tmp_path / "out" / "tomograms.star"
    out.parent.mkdir()
    report = cryotypes.write(model, out)
    assert "microscope" not in report.assumed
    written = out.read_text()
    for label in ("rlnVoltage", "rlnSphericalAberration", "rlnAmplitudeContrast", "rlnTomoHand"):
        assert f"_{label} " in written
    assert "rlnOpticsGroupName" in written
    assert "rlnTomoFrameCount" not in written
    assert "og1" in written


def test_a_size_that_one_series_lacks_is_zero(tmp_path):
    """<NA> is no number for RELION; 0 0 0 means unknown, and is read so."""
    model = pd.DataFrame({"rotation_y": [0.0, 0.0], "rotation_z": 85.0, "pixel_spacing": 2.0})
    model["experiment_id"] = ["TS_1", "TS_2"]
    model.attrs["tomogram_dimensions"] = {"TS_2": (100, 80, 60)}
    path = tmp_path / "out.star"
    cryotypes.write(model, path)
    assert "2.0 0 0 0" in path.read_text()
    again = cryotypes.read_projection_model(path)
    assert again.attrs["tomogram_dimensions"] == {"TS_2": (100, 80, 60)}
