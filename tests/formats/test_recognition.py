"""What is taken for particles and what is not; what a file is that no format reads."""

from __future__ import annotations

import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.testing import assert_allclose

import cryotypes as ct
from cryotypes.cli import main
from cryotypes.errors import FormatError, GuessWarning, LossWarning, ReadError, UnknownFormatError
from cryotypes.formats import Head
from cryotypes.formats.shared.strangers import BEGINNINGS, STAR
from cryotypes.io import candidates, identify
from cryotypes.registry import get_format, known_formats

CASES = Path(__file__).parents[2].parent / "shared" / "cases"

MOTION = (
    "data_general\n_rlnImageSizeX 7420\n_rlnMicrographMovieName a.tiff\n_rlnMotionModelVersion 1\n"
    "\ndata_global_shift\nloop_\n_rlnMicrographFrameNumber #1\n_rlnMicrographShiftX #2\n1 0.0\n"
    "\ndata_hot_pixels\nloop_\n_rlnCoordinateX #1\n_rlnCoordinateY #2\n1534 0\n2719 0\n"
)
SAMPLING = (
    "data_sampling_general\n_rlnHealpixOrder 2\n\ndata_sampling_directions\nloop_\n"
    "_rlnAngleRot #1\n_rlnAngleTilt #2\n45.0 80.4\n"
)
OPTICS = "data_optics\nloop_\n_rlnOpticsGroup #1\n_rlnMicrographPixelSize #2\n1 0.885\n\n"
JOB = (
    "data_job\n_rlnJobTypeLabel relion.class3d\n\ndata_joboptions_values\nloop_\n"
    "_rlnJobOptionVariable #1\n_rlnJobOptionValue #2\nfn_img a.star\n"
)
NOT_PARTICLES = {
    "motion": (MOTION, "motion correction of one movie"),
    "sampling": (SAMPLING, "grid of angles"),
    "job": (JOB, "RELION job file"),
    "classes": ("data_\nloop_\n_rlnReferenceImage #1\n1@c.mrcs\n", "2D class averages"),
    "micrographs": (
        f"{OPTICS}data_micrographs\nloop_\n_rlnMicrographName #1\n_rlnDefocusU #2\na.mrc 9000\n",
        "list of micrographs",
    ),
    "movies": (
        f"{OPTICS}data_movies\nloop_\n_rlnMicrographMovieName #1\n_rlnOpticsGroup #2\na.tiff 1\n",
        "list of movies",
    ),
    "postprocess": ("data_general\n_rlnFinalResolution 3.2\n", "post-processing result"),
    "fsc": ("data_fsc\nloop_\n_rlnFourierShellCorrelation #1\n1.0\n", "Fourier shell"),
    "pipeline": ("data_pipeline_general\n_rlnPipeLineJobCounter 5\n", "RELION's pipeline"),
    "model": ("data_model_general\n_rlnNrClasses 1\n", "model file"),
    "other": ("data_x\n_rlnFoo 1\n", r"not known here \(data_x, _rlnFoo"),
}


@pytest.mark.parametrize("name", NOT_PARTICLES)
def test_a_star_file_that_is_no_particles_says_what_it_is(name, save):
    text, words = NOT_PARTICLES[name]
    path = save(text)
    with pytest.raises(UnknownFormatError, match=f"this is .*{words}.*"):
        ct.read(path)
    with pytest.raises(ReadError, match=words):  # also where the format is named
        ct.read_poses(path, format="relion-star")
    result = CliRunner().invoke(main, ["info", str(path)])
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)


def test_blocks_count_and_not_labels(save):
    """A particle file may have any label; one of motion has hot pixels at coordinates."""
    text = (
        "data_particles\nloop_\n_rlnCoordinateX\n_rlnCoordinateY\n_rlnReferenceImage\n1 2 a.mrc\n"
    )
    assert_allclose(ct.read_poses(save(text))[0].position, [[1, 2, 0]])


BYTES = {
    "lfs.mrc": (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d\nsize 1\n", "git lfs"),
    "lfs.star": (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d\nsize 1\n", "git lfs"),
    "page.mrc": (b"\n <!DOCTYPE html>\n<html><body>login</body></html>", "HTML"),
    "page.star": (b"\xef\xbb\xbf<HTML><body>data_ loop_</body></HTML>", "HTML"),
    "a.mrc.zst": (b"\x28\xb5\x2f\xfd" + bytes(40), "zstd -d"),
    "a.mrc": (b"\xfd7zXZ\0" + bytes(2000), "xz -d"),
    "a.star": (b"PK\x03\x04" + bytes(40), "zip archive"),
    "a.pdf": (b"%PDF-1.7\n", "PDF"),
    "a.png": (b"\x89PNG\r\n\x1a\n" + bytes(20), "picture"),
    "poses.pkl": (b"\x80\x04\x95" + bytes(20), "pickle"),
    "utf16.star": ("data_\nloop_\n_rlnCoordinateX\n".encode("utf-16"), "UTF-8"),
    "TS_1_CTF.txt": (
        b"# Columns: #1 micrograph number; #2\n   1 25951.4 24469.3 88.1 0 -0.01 24.6\n",
        "CTFFIND",
    ),
    "Metrics.csv": (
        b"Tilt_Series,Thickness(Pix),Tilt_Axis\na.mrc,2240,90.59\n",
        "AreTomo3's table",
    ),
    "a.tar": (bytes(257) + b"ustar\0" + bytes(300), "tar archive"),
}


@pytest.mark.parametrize("name", BYTES)
def test_what_is_no_data_is_named_for_all_kinds(name, save):
    data, words = BYTES[name]
    path = save(data, name)
    for read in (ct.read, ct.read_poses, ct.read_image, ct.read_projection_model):
        with pytest.raises(UnknownFormatError, match=words):
            read(path)
    for format in ("mrc", "relion-star", "imod-xf", "csv"):
        with pytest.raises(ReadError, match=words):
            ct.read(path, format=format)


def test_a_fault_of_a_known_file_is_not_explained_away(save):
    text = "data_\nloop_\n_rlnCoordinateX\n_rlnCoordinateY\n1 2\n1\n"
    with pytest.raises(ReadError, match="line 6"):
        ct.read_poses(save(text), format="relion-star")


def test_strangers_are_of_no_format(tmp_path):
    """No row stands for something that a format reads, and none hides another."""
    for row in BEGINNINGS:
        for mark in row.marks:
            head = Head(tmp_path / "a.star", mark + b"\n" + bytes(2000))
            assert not [f.name for f in known_formats().values() if f.sniff and f.sniff(head)], row
    marks = [mark for row in STAR for mark in row.marks]
    assert len(set(marks)) == len(marks)
    assert all(mark[:1] == b"_" or mark[:5] == b"data_" for mark in marks)
    assert all(": " not in row.what and row.advice for row in (*BEGINNINGS, *STAR))


FILLS = (b" ", b"\n ", b" data_", b"_", b"\"'", b"#\n", b"\n data_a\n", b"<!-- a -->\n", b"<?a?>")


@pytest.mark.parametrize("begin", [b"data_\n", b"<?xml version='1.0'?>\n", b"[ZValue", b"#", b""])
@pytest.mark.parametrize("fill", FILLS)
def test_recognition_takes_linear_time(begin, fill, tmp_path):
    """Of a long file only the head is looked at, and each byte a few times."""
    path = tmp_path / "a.star"
    path.write_bytes((begin + fill * (1 << 20))[: 1 << 20])
    start = time.monotonic()
    candidates(path)
    with pytest.raises(UnknownFormatError):
        identify(path)
    assert time.monotonic() - start < 20


@pytest.mark.parametrize("word", [b'"a ', b"'a ", b"\"'a ", b'"" '])
def test_many_quotes_take_linear_time(word, save):
    row = b"1 2 a " + word * 20000 + b"\n"
    path = save(b"data_\nloop_\n_rlnCoordinateX\n_rlnCoordinateY\n_rlnMicrographName\n" + row)
    start = time.monotonic()
    with pytest.raises(ReadError, match=r"line 6: expected 3 values"):
        ct.read_poses(path)
    assert time.monotonic() - start < 20


def test_indented_blocks(save):
    text = (
        " data_optics\n\tloop_\n_rlnOpticsGroup\n_rlnMicrographPixelSize\n1 2.5\n"
        "\tdata_particles # of the job\n\n  loop_\n _rlnMicrographName #1\n _rlnCoordinateX #2\n"
        " _rlnCoordinateY #3\n _rlnOpticsGroup #4\n m.mrc 1 2 1\n  data_2024 3 4 1\n"
    )
    first, second = ct.read_poses(save(text))
    assert_allclose(first.position, [[1, 2, 0]])
    assert (first.pixel_spacing, first.metadata["particles"]) == (2.5, "particles")
    assert second.experiment_id == "data_2024"
    one_column = "data_\nloop_\n_rlnImageName #1\n  data_1.mrcs\n  data_2.mrcs\n"
    with pytest.warns(GuessWarning, match="no positions"):
        assert [p.experiment_id for p in ct.read_poses(save(one_column))] == [
            "data_1.mrcs", "data_2.mrcs",
        ]  # fmt: skip


# --- files that name files ---

PARTICLES = "data_\nloop_\n_rlnCoordinateX\n_rlnCoordinateY\n_rlnMicrographName\n1 2 m.mrc\n"


def test_an_optimiser_names_its_particles(save, tmp_path):
    save(PARTICLES, "Class2D/job008/run_it025_data.star")
    path = save(
        "data_optimiser_general\n_rlnOutputRootName Class2D/job008/run\n"
        "_rlnExperimentalDataStarFile Class2D/job008/run_it025_data.star\n",
        "Class2D/job008/run_it025_optimiser.star",
    )
    (poses,) = ct.read(path)
    assert_allclose(poses.position, [[1, 2, 0]])
    (tmp_path / "Class2D/job008/run_it025_data.star").unlink()
    with pytest.raises(ReadError, match=r"'Class2D/job008/run_it025_data.star', which does not"):
        ct.read(path)


def test_an_import_list_is_followed(save, tmp_path):
    """Text and STAR files, one tomogram in two of them, one file of two tomograms."""
    save("10 20 30\n11 21 31\n", "coords/Position_001.coords")
    save("40 50 60\n", "coords/more.txt")
    both = "data_\nloop_\n_rlnTomoName\n_rlnCoordinateX\n_rlnCoordinateY\n_rlnCoordinateZ\n"
    save(f"{both}P2 1 2 3\nP3 4 5 6\nP2 7 8 9\n", "coords/both.star")
    path = save(
        "data_\nloop_\n_rlnTomoName\n_rlnTomoImportParticleFile\n"
        "P1 coords/Position_001.coords\nP2 coords/both.star\nP3 coords/both.star\n"
        "P1 coords/more.txt\n",
        "list.star",
    )
    found = {p.experiment_id: p.position.tolist() for p in ct.read_poses(path)}
    assert found == {
        "P1": [[10, 20, 30], [11, 21, 31], [40, 50, 60]],
        "P2": [[1, 2, 3], [7, 8, 9]],
        "P3": [[4, 5, 6]],
    }
    (tmp_path / "coords" / "more.txt").unlink()
    with pytest.raises(ReadError, match=r"coordinates of 'P1' is 'coords/more.txt', which"):
        ct.read_poses(path)


def test_centred_coordinates_of_a_list_go_by_its_names(save):
    """Files of one tomogram each need not name it; c / 1.35 + size / 2, by hand."""
    label = "_rlnCenteredCoordinate{}Angst\n"
    centred = f"data_particles\nloop_\n{''.join(label.format(a) for a in 'XYZ')}-135.0 0.0 13.5\n"
    save(centred, "coords/a.star")
    save(
        "data_global\nloop_\n_rlnTomoName\n_rlnTomoTiltSeriesPixelSize\n_rlnTomoSizeX\n"
        "_rlnTomoSizeY\n_rlnTomoSizeZ\nTS_01 1.35 4000 4000 2000\n",
        "tomograms.star",
    )
    text = "data_\nloop_\n_rlnTomoName\n_rlnTomoImportParticleFile\nTS_01 coords/a.star\n"
    (poses,) = ct.read_poses(save(text, "particles.star"))
    assert (poses.experiment_id, poses.pixel_spacing) == ("TS_01", 1.35)
    assert_allclose(poses.position, [[1900, 2000, 1010]])


def test_autopick_is_followed(save):
    """Micrographs' coordinates as STAR, boxes (their centres) and nothing; one optics group."""
    save("data_\nloop_\n_rlnCoordinateX\n_rlnCoordinateY\n1614.2 1278.8\n", "AutoPick/a.star")
    save("10 20 100 60\n", "AutoPick/b.box")
    save("", "AutoPick/c.box")
    path = save(
        f"{OPTICS}data_coordinate_files\nloop_\n_rlnMicrographName\n_rlnMicrographCoordinates\n"
        "Movies/a.mrc AutoPick/a.star\nMovies/b.mrc AutoPick/b.box\nMovies/c.mrc AutoPick/c.box\n",
        "autopick.star",
    )
    with pytest.warns(GuessWarning, match="c.box: the file is empty"):
        a, b = ct.read_poses(path)
    assert (a.experiment_id, b.experiment_id) == ("Movies/a.mrc", "Movies/b.mrc")
    assert_allclose(a.position, [[1614.2, 1278.8, 0]])
    assert_allclose(b.position, [[60, 50, 0]])
    assert (a.pixel_spacing, a.metadata["ndim"]) == (0.885, 2)


# --- no positions, no boxes, no names ---

UNLOCATED = "data_\nloop_\n_rlnImageName\n_rlnAnglePsi\n_rlnMicrographName\n1@a.mrcs 30 m.mrc\n"


def test_positions_that_are_not_there_are_not_invented(save, tmp_path):
    path = save(UNLOCATED)
    with pytest.warns(GuessWarning, match="no positions"):
        (poses,) = ct.read_poses(path)
    poses.pixel_spacing = 2.0
    report = ct.write(poses, tmp_path / "b.star")
    assert "position" not in report.kept
    assert "no positions" in report.assumed["position"]
    assert "Coordinate" not in (tmp_path / "b.star").read_text()
    assert "location/" not in str(ct.write(poses, tmp_path / "b.cs"))
    assert not [n for n in np.load(tmp_path / "b.cs").dtype.names if "center" in n]
    with pytest.warns(LossWarning):
        report = ct.write(poses, tmp_path / "b.tbl")
    assert "position" in report.assumed
    poses.position = np.array([[1.0, 2, 0]])  # from elsewhere
    assert "position" in ct.write(poses, tmp_path / "c.star").kept
    told = CliRunner().invoke(main, ["info", str(path)]).stdout
    assert "positions: the file has none" in told
    assert "0…0" not in told
    told = CliRunner().invoke(
        main, ["convert", str(path), str(tmp_path / "d.star"), "--report", "--pixel-spacing", "2"]
    )
    assert "kept: orientation, experiment_id" in told.stdout
    assert "kept: position" not in told.stdout


def test_half_a_position_is_refused(save):
    with pytest.raises(ReadError, match="no rlnCoordinateY"):
        ct.read_poses(save("data_\nloop_\n_rlnCoordinateX\n1\n"))
    assert len(ct.read_poses(save("data_\nloop_\n_rlnCoordinateX\n"))[0]) == 0


def test_boxes_without_size_are_centres(save):
    path = save("92 67 0 0\n73 94 0 0\n10 20 4 6\n", "a.box")
    with pytest.warns(GuessWarning, match="2 of 3 boxes .* of 0"):
        (poses,) = ct.read_poses(path)
    assert_allclose(poses.position, [[92, 67, 0], [73, 94, 0], [12, 23, 0]])


@pytest.mark.parametrize("suffix", [".box", ".cbox", ".coords", ".xyz", ".pts"])
def test_empty_lists_of_one_image_have_no_particles(suffix, save):
    """Pickers write a file for each image, also for those without any particle."""
    with pytest.warns(GuessWarning, match="the file is empty; assumed that there are no particles"):
        (poses,) = ct.read_poses(save("", f"TS_01{suffix}"))
    assert poses.position.shape == (0, 3)
    assert poses.experiment_id == "TS_01"


@pytest.mark.parametrize("suffix", [".tbl", ".star", ".csv", ".em", ".par", ".txt", ".mod"])
def test_other_empty_files_are_an_error(suffix, save):
    """Lists of whole data sets, and what may be anything."""
    with pytest.raises(ReadError, match="empty"):
        ct.read_poses(save("", f"a{suffix}"))


@pytest.mark.filterwarnings("ignore::cryotypes.errors.LossWarning")
def test_an_empty_list_does_not_stop_a_batch(save, tmp_path):
    paths = [save(text, f"{name}.box") for name, text in (("a", "1 2 4 4\n"), ("b", ""))]
    with pytest.warns(GuessWarning, match="empty"):
        ct.convert(paths, tmp_path / "all.star", pixel_spacing=2.0)
    with pytest.warns(GuessWarning, match="empty"):
        ct.convert(paths, tmp_path / "{stem}.coords", pixel_spacing=2.0)
    (poses,) = ct.read_poses(tmp_path / "all.star")
    assert (poses.experiment_id, len(poses)) == ("a", 1)
    assert len(ct.read_poses(tmp_path / "b.coords")[0]) == 0


@pytest.mark.parametrize("suffix", [".csv", ".xyz", ".txt"])
@pytest.mark.parametrize(
    ("rows", "doubtful"),
    [
        (["0,0,0", "20,0,0", "40,20,0"], True),  # a grid of angles
        (["-30,20,10", "30,20,10"], True),
        (["0.1,3.1,6.2", "1.5,0.2,4.4"], True),  # radians
        (["10,20,30", "40,50,60"], False),
        (["1,2,3", "4,5,6"], False),
        (["-30,20,10", "30,20,1000"], False),
    ],
)
def test_three_nameless_columns_may_be_angles(rows, doubtful, suffix, save):
    sign = "," if suffix == ".csv" else " "
    path = save("".join(row.replace(",", sign) + "\n" for row in rows), f"a{suffix}")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ct.read_poses(path)
    assert [w.category for w in caught] == [GuessWarning] * doubtful
    names = {"x": "x", "y": "y", "z": "z"}
    ct.read_poses(path, columns=names if suffix == ".csv" else list(names))  # stated, no doubt


# --- names of formats ---


@pytest.mark.parametrize(
    ("name", "meant"),
    [("dynamo", "dynamo-tbl"), ("tbl", "dynamo-tbl"), ("dynamo_tbl", "dynamo-tbl"),
     ("relion", "relion-star or relion-tilt-series"), ("RELION-STAR", "relion-star"),
     (".rec", "mrc"), ("mcr", "mrc"), ("warp-xlm", "warp-xml")],
)  # fmt: skip
def test_did_you_mean(name, meant):
    with pytest.raises(UnknownFormatError, match=rf"no format '{name}' \(did you mean {meant}"):
        get_format(name)
    result = CliRunner().invoke(main, ["info", "a.star", "--format", name])
    assert f"did you mean {meant}" in result.output


def test_no_guess_where_nothing_is_near():
    with pytest.raises(UnknownFormatError, match="no format 'qqqq'; there is aretomo-aln"):
        get_format("qqqq")


# --- warnings are news ---


@pytest.fixture(scope="module")
def doubts():
    """How many files of each format are beside the checkout, and what reading each doubts."""
    folders = [CASES.parent / "data", *(CASES / n for n in ("poses", "alignments", "images"))]
    if not all(folder.is_dir() for folder in folders):
        pytest.skip(f"files of other programs are absent: {CASES.parent}")
    found: dict[str, list[list[str]]] = {}
    paths = [p for folder in folders for p in sorted(folder.rglob("*")) if p.is_file()]
    for path in paths:
        try:
            recognised = candidates(path)
        except (ReadError, OSError):
            continue
        for format in recognised:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                try:
                    ct.read(path, format=format.name)
                except (FormatError, ImportError):
                    continue
            messages = [str(w.message) for w in caught if w.category is GuessWarning]
            found.setdefault(format.name, []).append(messages)
    return found


def test_what_a_format_cannot_hold_is_no_news(doubts):
    """Where no file of a format has a pixel spacing, its absence is no doubt about this one."""
    assert sum(map(len, doubts.values())) > 100
    for name, reads in doubts.items():
        if "pixel_spacing" not in known_formats()[name].keeps:
            assert not [m for messages in reads for m in messages if "pixel spacing" in m], name


# Formats that make the reader state a number that is in none of their files, and geometry needs:
# the angles alone are no alignment, and the sign of Warp's angles is not in them.
ALWAYS = {"imod-tlt", "mdoc", "aretomo-tlt", "warp-tomostar"}


def test_a_warning_of_every_read_is_none(doubts):
    for name, reads in doubts.items():
        if len(reads) > 1 and name not in ALWAYS:
            assert not all(reads), (name, reads[:3])


@pytest.mark.parametrize("name", ["em-image", "spider", "hdf5"])
def test_images_without_a_place_for_the_pixel_spacing(name, tmp_path):
    path = tmp_path / f"a{known_formats()[name].suffixes[0]}"
    data = np.ones((3, 4, 5), np.float32)
    if name == "em-image":
        with pytest.warns(LossWarning):
            ct.write(ct.Image(data, "a", 2.5), path)
    elif name == "hdf5":
        with pytest.importorskip("h5py").File(path, "w") as file:
            file["data"] = data
    else:
        words = np.zeros(300, "<f4")
        words[[0, 1, 4, 11, 12, 21, 22]] = 3, 4, 3, 5, 60, 1200, 20
        path.write_bytes(words.tobytes() + data.tobytes())
    image = ct.read_image(path)  # warnings are errors here
    assert image.pixel_spacing == 0
    told = CliRunner().invoke(main, ["info", str(path)]).stdout
    assert "unknown or doubtful: pixel spacing: give --pixel-spacing" in told
