"""Options of formats on the command line: each by the type that its function declares."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.spatial.transform import Rotation

import cryotypes as ct
from cryotypes._option_text import parse
from cryotypes.cli import main
from cryotypes.errors import WriteError

pytestmark = pytest.mark.filterwarnings("ignore::cryotypes.errors.LossWarning")
CASES = Path(__file__).parents[2].parent / "shared" / "cases"


def run(*arguments, code=0):
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result


def function(
    *,
    version: str = "0.4",
    flag: bool = False,
    maybe: bool | None = None,
    base: int | None = None,
    spacing: float | None = None,
    either: int | float = 0,
    size: Sequence[int] | None = None,
    sizes: Sequence[float] | Mapping[str, Sequence[float]] | None = None,
    columns: Mapping[str, str] | None = None,
    names: Sequence[str] | None = None,
    files: str | Sequence[str] | None = None,
    unit: Literal["pixel", "angstrom"] = "pixel",
    first: Literal[0, 1] = 0,
    anything: Any = None,
    alias: UnknownHere = None,  # noqa: F821
):
    """One option of each type that formats declare."""


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("version", "0.5", "0.5"),
        ("version", "null", "null"),
        ("flag", "true", True),
        ("flag", "No", False),
        ("maybe", "1", True),
        ("base", "0", 0),
        ("spacing", "10", 10.0),
        ("either", "3", 3),
        ("either", "3.5", 3.5),
        ("size", "4092,5760", [4092, 5760]),
        ("size", "[4092, 5760]", [4092, 5760]),
        ("size", "4092 5760", [4092, 5760]),
        ("sizes", "4000,4000,2000.5", [4000.0, 4000.0, 2000.5]),
        ("sizes", '{"TS_01": [1, 2, 3]}', {"TS_01": [1, 2, 3]}),
        ("columns", "x=px,y=py", {"x": "px", "y": "py"}),
        ("names", "x,y,z", ["x", "y", "z"]),
        ("names", "1,2", ["1", "2"]),
        ("files", "a,b.cs", "a,b.cs"),
        ("files", '["a.cs", "b.cs"]', ["a.cs", "b.cs"]),
        ("unit", "Angstrom", "angstrom"),
        ("first", "1", 1),
        ("anything", "100,200", [100, 200]),
        ("anything", "text", "text"),
        ("anything", "[1, 2]", [1, 2]),
        ("alias", "float32", "float32"),
    ],
)
def test_a_text_is_what_the_function_declares(name, text, expected):
    found = parse(function, name, text)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("flag", "perhaps", "option flag: expected true or false, found 'perhaps'"),
        ("base", "0.5", "option base: expected a whole number, found '0.5'"),
        ("spacing", "big", "option spacing: expected a number, found 'big'"),
        ("size", "10,b", "option size: expected a list of whole numbers separated by commas"),
        ("columns", "x", "option columns: expected NAME=VALUE,…, found 'x'"),
        ("unit", "nm", "option unit: expected pixel, angstrom, found 'nm'"),
    ],
)
def test_what_it_is_not_is_told(name, text, told):
    with pytest.raises(ValueError, match=re.escape(told)):
        parse(function, name, text)


def test_every_option_of_every_format_can_be_understood():
    """No annotation is beyond the parser, and what a test of plain words gives is no guess."""
    from cryotypes.io import options_of
    from cryotypes.registry import known_formats

    for format in known_formats().values():
        for side in (format.read, format.write):
            for option in options_of(side) if side is not None else []:
                annotation = side.__annotations__[option]
                if "bool" in annotation:
                    assert parse(side, option, "true") is True, (format.name, option)
                if "Sequence[int]" in annotation or "Sequence[float]" in annotation:
                    assert parse(side, option, "4092,5760") == [4092, 5760]
                if annotation.startswith("str"):
                    assert parse(side, option, "0.5") == "0.5"


@pytest.fixture
def picks(tmp_path):
    """One particle in the middle of a tomogram of 400 × 400 × 200 px, at a binning of 4."""
    poses = ct.PoseSet(
        [[50, 50, 25]],
        orientation=Rotation.identity(1),
        experiment_id="TS_01",
        pixel_spacing=5.4,
    )
    ct.write(poses, tmp_path / "picks.tbl")
    (tmp_path / "tomograms.star").write_text(
        "data_global\n\nloop_\n_rlnTomoName\n_rlnTomoTiltSeriesPixelSize\n"
        "_rlnTomoSizeX\n_rlnTomoSizeY\n_rlnTomoSizeZ\nTS_01 1.35 400 400 200\n"
    )
    return tmp_path / "picks.tbl"


@pytest.mark.parametrize("suffix", [".tbl", ".em", ".star"])
def test_lists_that_number_their_tomograms_reach_relion_5(picks, suffix):
    """--tomograms gives sizes to RELION's writer; --tomogram-names names to the reader."""
    source = picks.with_name(f"source{suffix}")
    stopgap = ["--to", "stopgap-star"] if suffix == ".star" else []
    run("convert", picks, source, *stopgap)
    source.with_suffix(".doc").unlink()
    picks.with_suffix(".doc").unlink(missing_ok=True)
    names = picks.with_name("names.txt")
    names.write_text("1 TS_01\n")
    out = picks.with_name("out.star")
    given = ["--tomograms", picks.with_name("tomograms.star"), "--tomogram-names", names]
    run("convert", source, out, *given, "--dialect", "5", "--pixel-spacing", 5.4)
    from cryotypes.formats.shared.star import read_star

    table = next(b.table for b in read_star(out) if b.name == "particles")
    assert table["rlnTomoName"].to_list() == ["TS_01"]
    centre = table.select(f"rlnCenteredCoordinate{axis}Angst" for axis in "XYZ").row(0)
    np.testing.assert_allclose(np.array(centre, dtype=float), 0, atol=1e-6)


@pytest.mark.parametrize(
    ("suffix", "format"), [(".tbl", "dynamo-tbl"), (".em", "motl-em"), (".star", "stopgap-star")]
)
def test_tomograms_are_numbered_by_the_map_that_is_given(picks, suffix, format):
    names = picks.with_name("names.txt")
    names.write_text("7 /data/TS_01.rec\n8 TS_02\n")
    out = picks.with_name(f"out{suffix}")
    run("convert", picks, out, "--to", format, "--tomogram-names", names, "-O", "tomogram_names=x",
        code=1)  # fmt: skip
    ct.write(ct.read_poses(picks), out, format=format, tomogram_names=names)
    found = ct.read_poses(out)[0]
    assert found.experiment_id == "TS_01"
    assert found.metadata["tomogram_numbers"] == {"TS_01": 7}
    names.write_text("8 TS_02\n")
    with pytest.raises(WriteError, match="expected one number for 'TS_01', found none"):
        ct.write(ct.read_poses(picks), out, format=format, tomogram_names=names, overwrite=True)


@pytest.mark.parametrize("name", ["5", "5.0", "relion5", "relion-5", "RELION_5", "v5"])
def test_dialects_by_their_usual_names(picks, name):
    out = picks.with_name("out.star")
    run("convert", picks, out, "--dialect", name, "--tomograms", picks.with_name("tomograms.star"))
    assert "rlnCenteredCoordinateXAngst" in out.read_text()


def test_a_dialect_that_could_be_two_is_refused(picks):
    told = run("convert", picks, picks.with_name("out.star"), "--dialect", "3", code=1).stderr
    assert "--dialect: expected one of 3.0, 3.1, found 3" in told


def test_options_of_formats_by_name_or_as_O(tmp_path):
    angles = tmp_path / "a.rawtlt"
    angles.write_text("0\n3\n-3\n6\n-6\n")
    assert "any-order" in run("info", angles, code=1).stderr
    for given in (["--any-order"], ["-O", "any_order=true"], ["-O", "any-order=yes"]):
        assert "5 tilt images" in run("info", angles, *given).stdout
    facts = json.loads(
        run("info", "--json", "--any-order", "--tilt-axis-angle", "-85.3", angles).stdout
    )
    assert facts[0]["experiments"][0]["tilt_axis"] == -85.3


def test_a_list_of_numbers_by_name(tmp_path):
    """What stands behind the numbers is a file again."""
    poses = ct.PoseSet([[10, 20, 0]], experiment_id="m", pixel_spacing=1.0)
    poses.metadata = {"ndim": 2}
    ct.write(poses, tmp_path / "a.star", dialect="3.1")
    run("convert", "--micrograph-shape", 4092, 5760, tmp_path / "a.star", tmp_path / "a.cs")
    told = run(
        "convert", tmp_path / "a.star", tmp_path / "b.cs", "-O", "micrograph_shape=4092,5760"
    )
    assert "wrote" in told.stdout
    a, b = (np.load(tmp_path / f"{name}.cs") for name in "ab")
    assert a["location/micrograph_shape"].tolist() == [[4092, 5760]]
    assert a["location/micrograph_shape"].tolist() == b["location/micrograph_shape"].tolist()


def test_columns_by_name(tmp_path):
    (tmp_path / "a.csv").write_text("px,py,pz\n1,2,3\n")
    out = tmp_path / "b.tbl"
    run("convert", tmp_path / "a.csv", out, "--from", "csv", "--columns", "x=px,y=py,z=pz")
    assert ct.read_poses(out)[0].position[0].tolist() == [1, 2, 3]


def test_a_version_stays_a_text(tmp_path):
    pytest.importorskip("zarr")
    ct.write(ct.Image(np.zeros((4, 4, 4), np.float32), "a", 2.5), tmp_path / "a.mrc")
    run("convert", tmp_path / "a.mrc", tmp_path / "a.zarr", "-O", "version=0.5")
    assert (tmp_path / "a.zarr" / "zarr.json").exists()


def test_misuse_of_options(picks):
    assert "No such option" in run("info", picks, "--tomogrms", "x", code=2).stderr
    assert "requires an argument" in run("info", picks, "--passthrough", code=2).stderr
    assert "NAME=VALUE" in run("info", picks, "-O", "corner_offset", code=2).stderr
    assert "does not apply" in run("info", picks, "--passthrough", "a.cs", code=2).stderr
    told = run("info", picks, "--corner-offset", "none at all", code=1).stderr
    assert "option corner_offset: expected a number, found 'none at all'" in told
