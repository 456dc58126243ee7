"""Several sources and whole directories: what is joined, named apart, left out, refused."""

from __future__ import annotations

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.spatial.transform import Rotation

import cryotypes as ct
from cryotypes.cli import main
from cryotypes.errors import AmbiguousFormatError, GuessWarning, ReadError, WriteError
from cryotypes.io import identify

pytestmark = pytest.mark.filterwarnings("ignore::cryotypes.errors.LossWarning")

NEWST = (
    "$newstack -StandardInput\nInputFile {0}.mrc\nOutputFile {0}_ali.mrc\nTransformFile {0}.xf\n"
    "SizeToOutputInXandY 48,64\nBinByFactor 1\n"
)
TILT = (
    "$tilt -StandardInput\nInputProjections {0}_ali.mrc\nOutputFile {0}_full_rec.mrc\n"
    "IMAGEBINNED 1\nTILTFILE {0}.tlt\nTHICKNESS 100\nPERPENDICULAR\n"
)


def run(*arguments, code=0):
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result


def etomo(folder, name="TS_1", shift=0.0):
    """A directory as etomo leaves it, with a raw stack of 7 views of 64 × 48."""
    folder.mkdir(parents=True)
    stack = ct.Image(np.zeros((7, 48, 64), np.float32), name, 2.0, stack=True)
    ct.write(stack, folder / f"{name}.mrc")
    (folder / f"{name}.xf").write_text(f"1.0 0.0 0.0 1.0 {shift} 2.0\n" * 7)
    (folder / f"{name}.tlt").write_text("".join(f"{angle}\n" for angle in range(-9, 10, 3)))
    (folder / "newst.com").write_text(NEWST.format(name))
    (folder / "tilt.com").write_text(TILT.format(name))
    return folder


def picks(path, name="TS_1", n=2, **options):
    path.parent.mkdir(exist_ok=True, parents=True)
    poses = ct.PoseSet(
        np.arange(3.0 * n).reshape(n, 3),
        orientation=Rotation.identity(n),
        experiment_id=name,
        pixel_spacing=2.0,
    )
    ct.write(poses, path, **options)
    return path


def shifts(path):
    model = ct.read_projection_model(path)
    return {name: rows["dx"].iloc[0] for name, rows in model.groupby("experiment_id")}


# --- names ---


def test_two_alignments_of_one_name_are_named_apart(tmp_path):
    sources = [etomo(tmp_path / "s1", shift=1.0), etomo(tmp_path / "s2", shift=5.0)]
    out = tmp_path / "x.star"
    run("convert", *sources, out, "--name", "{stem}")
    assert shifts(out) == pytest.approx({"s1": -1.0, "s2": -5.0}, abs=0.1)  # half pixels
    assert ct.read_projection_model(out).attrs["tomogram_dimensions"].keys() == {"s1", "s2"}
    files = [folder / "TS_1.xf" for folder in sources]
    (tmp_path / "other").mkdir()
    ct.convert(files, tmp_path / "other" / "y.star", name="{parent}_{experiment_id}")
    assert shifts(tmp_path / "other" / "y.star").keys() == {"s1_TS_1", "s2_TS_1"}


def test_particles_of_one_name_are_joined_and_that_is_said(tmp_path):
    """Half-sets in two files are one experiment; of two data sets they are two."""
    sources = [picks(tmp_path / "a" / "half1.tbl"), picks(tmp_path / "b" / "half2.tbl")]
    out = tmp_path / "both.star"
    told = run("convert", *sources, out, "--dialect", "4").stderr
    assert "'TS_1' stands in" in told
    assert "--name '{stem}'" in told
    (joined,) = ct.read_poses(out)
    assert len(joined) == 4
    assert "stands in" not in run("convert", *sources, tmp_path / "{stem}.em").stderr
    told = run("convert", *sources, out, "--dialect", 4, "--name", "{parent}_{experiment_id}",
               "--overwrite").stderr  # fmt: skip
    assert "stands in" not in told
    assert [p.experiment_id for p in ct.read_poses(out)] == ["a_TS_1", "b_TS_1"]


def test_a_name_a_map_and_an_expression(tmp_path):
    source = picks(tmp_path / "a.tbl", "rec_TS_07_10.0Apx")
    names = tmp_path / "names.txt"
    names.write_text("rec_TS_07_10.0Apx grid_7\n")
    for given, expected in (
        (("--name", "x"), "x"),
        (("--names", names), "grid_7"),
        (("--regex", r"TS_\d+"), "TS_07"),
        (("--regex", r"TS_(\d+)", "--name", "{stem}_{experiment_id}"), "a_07"),
    ):
        out = tmp_path / "b.star"
        run("convert", source, out, "--dialect", 4, "--overwrite", *given)
        assert [p.experiment_id for p in ct.read_poses(out)] == [expected]


def test_what_is_held_by_experiment_is_renamed_with_it(tmp_path):
    """A tomogram keeps its number when its name changes."""
    (tmp_path / "a.doc").write_text("7 TS_1\n")
    picks(tmp_path / "a.tbl", tomogram_names=tmp_path / "a.doc")
    ct.convert(tmp_path / "a.tbl", tmp_path / "b.tbl", name="other")
    assert (tmp_path / "b.doc").read_text() == "7 other\n"


def test_images_are_renamed(tmp_path):
    ct.write(ct.Image(np.zeros((3, 4, 5), np.float32), "a", 2.0), tmp_path / "a.mrc")
    ct.convert(tmp_path / "a.mrc", tmp_path / "{experiment_id}.em", name="TS_1")
    assert (tmp_path / "TS_1.em").exists()


def test_names_that_fall_together_are_refused(tmp_path):
    poses = [ct.PoseSet([[1, 2, 3]], experiment_id=f"TS_{i}", pixel_spacing=2.0) for i in (1, 2)]
    ct.write(poses, tmp_path / "a.csv")
    for given in ({"name": "x"}, {"regex": "TS"}, {"names": {"TS_1": "TS_2"}}):
        with pytest.raises(ValueError, match=r"'TS_1' and 'TS_2' would both be called .*--name"):
            ct.convert(tmp_path / "a.csv", tmp_path / "b.em", **given)
    ct.convert(tmp_path / "a.csv", tmp_path / "b.csv", name="x", experiments=["TS_2"])
    assert [p.experiment_id for p in ct.read_poses(tmp_path / "b.csv")] == ["x"]
    with pytest.raises(ValueError, match="invalid regular expression"):
        ct.convert(tmp_path / "a.csv", tmp_path / "b.em", regex="(")


# --- directories ---


def test_a_directory_of_etomo_directories(tmp_path):
    for number in (10, 2, 1):
        etomo(tmp_path / "all" / f"TS_{number}", f"TS_{number}", shift=number)
    out = run("info", tmp_path / "all").stdout
    assert out.count("1 tilt series, 7 tilt images") == 3
    assert out.index("TS_2") < out.index("TS_10")
    run("convert", tmp_path / "all", tmp_path / "x.star")
    expected = {"TS_1": -1, "TS_2": -2, "TS_10": -10}
    assert shifts(tmp_path / "x.star") == pytest.approx(expected, abs=0.1)
    assert (
        "projection model: 1 of 3"
        in run("match", tmp_path / "all", picks(tmp_path / "p.tbl", "TS_2")).stdout
    )
    run("convert", tmp_path / "all", tmp_path / "{stem}.xml")
    assert sorted(p.name for p in tmp_path.glob("*.xml")) == ["TS_1.xml", "TS_10.xml", "TS_2.xml"]


def test_the_kind_of_the_target_decides(tmp_path):
    folder = etomo(tmp_path / "all" / "TS_1").parent
    picks(folder / "picks.tbl")
    run("convert", folder, tmp_path / "a.em")
    assert identify(tmp_path / "a.em", "poses").name == "motl-em"
    told = run("convert", folder, tmp_path / "b.star", code=1).stderr
    assert "particle poses (picks.tbl)" in told
    assert "tilt series (TS_1)" in told
    run("convert", folder, tmp_path / "b.star", "--to", "relion-tilt-series")
    picks(folder / "again.em")
    told = run("convert", folder, tmp_path / "c.csv", code=1).stderr
    assert "particles as motl-em, dynamo-tbl, which may be the same ones" in told
    run("convert", folder, tmp_path / "c.csv", "--from", "dynamo-tbl")
    assert len(ct.read_poses(tmp_path / "c.csv")[0]) == 2


def test_one_alignment_of_each_tilt_series(tmp_path):
    """AreTomo's folder: its own file before its export for IMOD, and before nominal tilts."""
    folder = tmp_path / "out"
    etomo(folder / "TS_1_Imod", "TS_1_st", shift=3.0)
    model = ct.read_projection_model(folder / "TS_1_Imod").assign(experiment_id="TS_1")
    model.attrs = {"tilt_image_dimensions": {"TS_1": (64, 48)}}
    ct.write(model, folder / "TS_1.aln")
    (folder / "TS_1.rawtlt").write_text((folder / "TS_1_Imod" / "TS_1_st.tlt").read_text())
    with pytest.warns(GuessWarning, match=r"TS_1\.aln is taken, which"):
        ct.convert(folder, tmp_path / "a.star", to_format="relion-tilt-series", pixel_spacing=2.0)
    assert shifts(tmp_path / "a.star").keys() == {"TS_1"}
    picks(tmp_path / "p.tbl")
    shown = run("match", folder, tmp_path / "p.tbl", "--pixel-spacing", 2).stdout
    assert "projection model: 1 of 1" in shown
    given = ("--alignment-spacing", 2, "--tomogram-size", 48, 64, 100)
    assert "2 particles in 7" in run("project", tmp_path / "p.tbl", folder, *given).stdout
    etomo(folder / "TS_1_other", "TS_1")
    told = "the directory holds 2 alignments of 'TS_1': TS_1.aln, TS_1_other; name one"
    with pytest.raises(AmbiguousFormatError, match=told):
        ct.convert(folder, tmp_path / "b.star", to_format="relion-tilt-series", pixel_spacing=2.0)


def test_an_empty_directory(tmp_path):
    told = run("info", tmp_path, code=1).stderr
    assert "is a directory in which nothing is recognised" in told
    with pytest.raises(IsADirectoryError):
        ct.convert(tmp_path, tmp_path / "a.star")


# --- what cannot be read ---


def batch(folder):
    for name in "abc":
        picks(folder / f"{name}.tbl", name)
    (folder / "b.tbl").write_text("1 2 3 none\n" * 2)
    (folder / "d.tbl").write_text("")
    return sorted(folder.glob("*.tbl"))


def test_a_batch_is_written_whole_or_not_at_all(tmp_path):
    sources = batch(tmp_path / "in")
    told = run("convert", *sources, tmp_path / "{stem}.em", code=1).stderr
    assert "2 of 4 sources cannot be read, and nothing was written" in told
    for name in "bd":
        assert str(tmp_path / "in" / f"{name}.tbl") in told
    assert "--skip-unreadable" in told
    assert list(tmp_path.glob("*.em")) == []
    result = run("convert", *sources, tmp_path / "{stem}.em", "--skip-unreadable", code=1)
    assert sorted(p.name for p in tmp_path.glob("*.em")) == ["a.em", "c.em"]
    assert "left out: 2 of 4 sources" in result.stderr
    assert "wrote" in result.stdout


def test_only_the_files_of_an_experiment_are_needed(tmp_path):
    sources = batch(tmp_path / "in")
    with pytest.warns(GuessWarning, match=r"left out, as what was asked .*b\.tbl"):
        ct.convert(sources, tmp_path / "x.em", experiments=["c"])
    assert [p.experiment_id for p in ct.read_poses(tmp_path / "x.em")] == ["c"]
    with pytest.raises(ReadError, match="2 of 4 sources cannot be read"):
        ct.convert(sources, tmp_path / "y.star", experiments=["b"])  # it may be in these
    with pytest.raises(ValueError, match=r"no experiment 'z' in .*; there is a"):
        ct.convert(sources[0], tmp_path / "y.star", experiments=["z"])


def test_one_bad_file_gives_its_own_error(tmp_path):
    (tmp_path / "a.tbl").write_text("")
    with pytest.raises(FileNotFoundError):
        ct.convert(tmp_path / "none.tbl", tmp_path / "y.star")
    with pytest.raises(ReadError, match="the file is empty"):
        ct.convert(tmp_path / "a.tbl", tmp_path / "y.star")


def test_targets_are_looked_at_before_anything_is_written(tmp_path):
    one, two = picks(tmp_path / "1" / "a.tbl", "x"), picks(tmp_path / "2" / "a.tbl", "y")
    with pytest.raises(WriteError, match=r"2 files would have this name; put \{parent\}"):
        ct.convert([one, two], tmp_path / "{stem}.em", overwrite=True)
    ct.convert([one, two], tmp_path / "{parent}_{stem}.em")
    (tmp_path / "1_a.em").unlink()
    with pytest.raises(FileExistsError, match=r"2_a\.em"):
        ct.convert([one, two], tmp_path / "{parent}_{stem}.em")
    assert not (tmp_path / "1_a.em").exists()
    with pytest.raises(ValueError, match="is given twice"):
        ct.convert([one, one], tmp_path / "b.em")


def test_an_experiment_needs_only_its_own_files(tmp_path):
    """The list names two series, one of which is gone; the other tomogram's size is unknown."""
    folder = tmp_path / "series"
    for name in ("TS_1", "TS_2"):
        etomo(folder / name, name)
    run("convert", folder, tmp_path / "tomograms.star")
    (tmp_path / "tilt_series" / "TS_2.star").unlink()
    assert "TS_2" in run("convert", tmp_path / "tomograms.star", tmp_path / "{experiment_id}.xml",
                         code=1).stderr  # fmt: skip
    run("convert", tmp_path / "tomograms.star", tmp_path / "a.xml", "--experiment", "TS_1")
    assert len(ct.read_projection_model(tmp_path / "a.xml")) == 7
    (tmp_path / "sizes.star").write_text(
        "data_global\n\nloop_\n_rlnTomoName\n_rlnTomoTiltSeriesPixelSize\n"
        "_rlnTomoSizeX\n_rlnTomoSizeY\n_rlnTomoSizeZ\nTS_1 2 48 64 100\n"
    )
    rows = "".join(f"{name} {x} 0 0\n" for x, name in enumerate(["TS_2", "TS_1", "TS_2"]))
    (tmp_path / "picks.star").write_text(
        "data_particles\n\nloop_\n_rlnTomoName\n_rlnCenteredCoordinateXAngst\n"
        f"_rlnCenteredCoordinateYAngst\n_rlnCenteredCoordinateZAngst\n{rows}"
    )
    given = (tmp_path / "picks.star", tmp_path / "b.tbl", "--tomograms", tmp_path / "sizes.star")
    assert "which the file does not state" in run("convert", *given, code=1).stderr
    run("convert", *given, "--experiment", "TS_1")
    (poses,) = ct.read_poses(tmp_path / "b.tbl")
    np.testing.assert_allclose(poses.position, [[24.5, 32, 50]])  # 1 Å beside the centre
    run("convert", *given, "--experiment", "TS_3", code=1)
