"""RELION 4's projection matrices, against the vector of section 13 and arithmetic by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import cryotypes
from cryotypes import projection_model_to_projection_matrices as matrices_of
from cryotypes.conventions import _table as conventions
from cryotypes.errors import GuessWarning, LossWarning, ReadError, WriteError
from cryotypes.formats.shared.declaration import Head
from cryotypes.formats.tilts import relion4_tomograms
from cryotypes.image import Image

read, write, sniff = (getattr(relion4_tomograms.FORMAT, n) for n in ("read", "write", "sniff"))
ANGLES = ["rotation_x", "rotation_y", "rotation_z"]
X = "[0.081825,-0.996408,0.021788,4747.505235]"
Y = "[0.995262,0.080540,-0.054461,639.172345]"
Z = "[0.052510,0.026141,0.998278,-781.793503]"
W = "[0,0,0,1]"
IMAGE = (4092, 5760)
LIST = """
# version 30001

data_global

loop_
_rlnTomoName #1
_rlnTomoTiltSeriesName #2
_rlnTomoFrameCount #3
_rlnTomoSizeX #4
_rlnTomoSizeY #5
_rlnTomoSizeZ #6
_rlnTomoHand #7
_rlnTomoTiltSeriesPixelSize #8
"""


def block(name, *rows) -> str:
    labels = ("ProjX", "ProjY", "ProjZ", "ProjW")
    text = f"\n\n# version 30001\n\ndata_{name}\n\nloop_\n"
    text += "".join(f"_rlnTomo{label} #{i}\n" for i, label in enumerate(labels, 1))
    text += "_rlnDefocusU #5\n_rlnMicrographPreExposure #6\n"
    return text + "".join(" ".join(map(str, row)) + "\n" for row in rows)


def tomograms(*rows, name="TS_01", size="4096 5760 1200", count=None, stack="stacks/TS_01.mrc"):
    """A file as RELION 4 writes it, of one tomogram."""
    rows = [(*row, 30000 + i, 3.0 * i) for i, row in enumerate(rows)]
    count = len(rows) if count is None else count
    return LIST + f"{name} {stack} {count} {size} -1 1.35\n" + block(name, *rows) + "\n"


def model_of(n, **columns) -> pd.DataFrame:
    model = pd.DataFrame(
        {
            **{"rotation_x": 0.0, "rotation_y": np.linspace(-60, 60, n), "rotation_z": 85.0},
            **{"dx": np.arange(n) * 1.5, "dy": 7.25, "experiment_id": "TS_01"},
            **{"pixel_spacing": 1.35, "source": "", **columns},
        },
        index=range(n),
    )
    model.attrs["tilt_image_dimensions"] = {"TS_01": IMAGE}
    model.attrs["tomogram_dimensions"] = {"TS_01": (4096, 5760, 1200)}
    return model


def test_the_vector_of_section_13_is_read(save):
    path = save(tomograms((X, Y, Z, W)), "tomograms.star")
    model = cryotypes.read_projection_model(path, tilt_image_dimensions=IMAGE)
    assert_allclose(model[ANGLES], [[1.5, -3.01, 85.3]], atol=1e-4)
    assert_allclose(model[["dx", "dy"]], [[12.5, -3.25]], atol=5e-3)
    assert model["experiment_id"].tolist() == ["TS_01"]
    assert model["pixel_spacing"].tolist() == [1.35]
    assert model["tilt_index"].tolist() == [0]
    assert model["rlnDefocusU"].tolist() == [30000]
    assert model.attrs["tomogram_dimensions"] == {"TS_01": (4096, 5760, 1200)}
    assert model.attrs["tilt_image_dimensions"] == {"TS_01": IMAGE}
    point = matrices_of(model, (2046, 2880), (4096, 5760, 1200))[0] @ [1000, 2000, 300, 1]
    assert_allclose(point[:2], [2843.050050, 1779.177551], atol=3e-3)


def test_the_vector_of_section_13_is_written(tmp_path):
    model = model_of(1, rotation_x=1.5, rotation_y=-3.01, rotation_z=85.3, dx=12.5, dy=-3.25)
    report = cryotypes.write(model, tmp_path / "t.star", format="relion4-tomograms")
    assert not report.lost
    row = (tmp_path / "t.star").read_text().split("data_TS_01")[1].split()[-4:]
    found = [[float(number) for number in text.strip("[]").split(",")] for text in row]
    expected = [[float(number) for number in text.strip("[]").split(",")] for text in (X, Y, Z, W)]
    assert_allclose(found, expected, atol=6e-7)
    assert row[3] == "[0,0,0,1]"
    assert "e" not in "".join(row)


@pytest.mark.parametrize("change", [{"rotation": (s, t, u)} for s, t, u in
                                    [(-1, 1, 1), (1, -1, 1), (1, 1, -1)]]
                         + [{"offset": conventions.Offset(sign=-1)}])  # fmt: skip
def test_a_fault_in_the_convention_is_noticed(save, monkeypatch, change):
    row = replace(conventions.RELION_4_TILTS, **change)
    monkeypatch.setattr(conventions, "RELION_4_TILTS", row)
    with pytest.raises(AssertionError):
        test_the_vector_of_section_13_is_read(save)


@pytest.mark.parametrize("n", [0, 1, 41])
def test_round_trip(tmp_path, n):
    rng = np.random.default_rng(n)
    model = model_of(n, rotation_x=rng.uniform(-3, 3, n), dx=rng.normal(0, 80, n))
    path = tmp_path / "tomograms.star"
    write(model, path)
    again = read(path, tilt_image_dimensions=IMAGE)
    columns = [*ANGLES, "dx", "dy", "pixel_spacing"]
    assert_allclose(again[columns], model[columns], atol=1e-8)
    assert again.attrs["tomogram_dimensions"] == (model.attrs["tomogram_dimensions"] if n else {})


def test_several_tomograms_of_odd_sizes(tmp_path):
    model = pd.concat(
        [model_of(2), model_of(3, experiment_id="TS_02", pixel_spacing=2.0)], ignore_index=True
    )
    model.attrs["tilt_image_dimensions"] = (961, 721)
    model.attrs["tomogram_dimensions"] = {"TS_01": (1001, 803, 301), "TS_02": (101, 203, 31)}
    path = tmp_path / "tomograms.star"
    write(model, path)
    again = read(path, tilt_image_dimensions=(961, 721))
    columns = [*ANGLES, "dx", "dy", "pixel_spacing"]
    assert_allclose(again[columns], model[columns], atol=1e-8)
    assert again["experiment_id"].tolist() == model["experiment_id"].tolist()
    assert again["tilt_index"].tolist() == [0, 1, 0, 1, 2]
    assert again.attrs["tomogram_dimensions"] == model.attrs["tomogram_dimensions"]


def test_all_that_is_in_the_file_is_written_back(save, tmp_path):
    more = "\n\ndata_other\n\n_rlnVoltage 300.0\n_rlnMadeUp abc\n"
    path = save(tomograms((X, Y, Z, W), (X, Y, Z, W)) + more)
    with pytest.warns(GuessWarning, match="stands 2 times"):
        model = read(path, tilt_image_dimensions=IMAGE)
    again = tmp_path / "again.star"
    assert not write(model, again).assumed.keys() - {"microscope"}
    old, new = (cryotypes.formats.shared.star.read_star(p) for p in (path, again))
    assert [b.name for b in old] == [b.name for b in new]
    labels = [c for c in old[1].table.columns if "Proj" not in c]
    assert old[1].table.select(labels).equals(new[1].table.select(labels))
    assert old[0].table.equals(new[0].table.select(old[0].table.columns))
    assert old[2].table.equals(new[2].table)


def test_the_stack_is_asked_for_its_size(save, tmp_path):
    (tmp_path / "stacks").mkdir()
    stack = Image(np.zeros((1, 6, 5), np.float32), pixel_spacing=1.35)
    cryotypes.write(stack, tmp_path / "stacks" / "TS_01.mrc")
    # the quarter turn of test_projection_matrices, for images of 5 × 6: centre (2, 3)
    rows = ("[0,-1,0,16]", "[1,0,0,18]", "[0,0,1,-3]", W)
    text = tomograms(rows, size="11 9 7", stack="stacks/TS_01.mrc:mrc")
    model = read(save(text, "job/tomograms.star"))
    assert_allclose(model[[*ANGLES, "dx", "dy"]], [[0, 0, 90, 10, 20]], atol=1e-9)
    assert model.attrs["tilt_image_dimensions"] == {"TS_01": (5, 6)}
    text = tomograms(rows, ("[0,-1,0,16]", "[1,0,0,18]", "[0,0,1,-3]", W), size="11 9 7")
    with pytest.warns(GuessWarning) as caught:
        read(save(text, "job/tomograms.star"))
    assert "2 rows for the 1 images of" in str(caught[0].message)


def test_without_the_size_of_the_images(save):
    with pytest.raises(ReadError, match=r"stack 'stacks/TS_01.mrc' .*give tilt_image_dimensions="):
        read(save(tomograms((X, Y, Z, W))))


def test_without_the_size_of_the_tomogram(save):
    path = save(tomograms((X, Y, Z, W), size="0 0 0"))
    with pytest.raises(ReadError, match="give tomogram_dimensions="):
        read(path, tilt_image_dimensions=IMAGE)
    model = read(path, tilt_image_dimensions=IMAGE, tomogram_dimensions=(4096, 5760, 1200))
    assert_allclose(model[["dx", "dy"]], [[12.5, -3.25]], atol=5e-3)


def test_magnification_is_kept_but_not_held(save, tmp_path):
    model = model_of(3, relion4_magnification=[1.02, 1.0, 1.0])
    path = tmp_path / "tomograms.star"
    write(model, path)
    with pytest.warns(LossWarning, match=r"magnification 1\.02 of 'TS_01', 58 px at the edge"):
        again = read(path, tilt_image_dimensions=IMAGE)
    columns = [*ANGLES, "dx", "dy", "relion4_magnification"]
    assert_allclose(again[columns], model[columns], atol=1e-8)


def test_a_mirror_needs_a_word(save):
    """Rows of x and y of a proper rotation, and the row of z the other way."""
    rows = ("[1,0,0,3]", "[0,1,0,4]", "[0,0,-1,0]", W)
    path = save(tomograms(rows, size="11 9 8"))
    with pytest.raises(ReadError, match=r"mirror image.*mirror_z=True.*mirror_z=False"):
        read(path, tilt_image_dimensions=(7, 9))
    kept = read(path, tilt_image_dimensions=(7, 9), mirror_z=False)
    # x' = x + 3 = (x - 5) + 3 + 5, y' = y + 4
    assert_allclose(kept[[*ANGLES, "dx", "dy"]], [[0, 0, 0, 5, 4]], atol=1e-9)
    turned = read(path, tilt_image_dimensions=(7, 9), mirror_z=True)
    assert_allclose(turned[[*ANGLES, "dx", "dy"]], [[0, 0, 0, 5, 4]], atol=1e-9)


@pytest.mark.parametrize("mirror_z", [True, False])
def test_what_becomes_of_a_mirrored_volume(save, mirror_z):
    """Tilted by 30°: the same points appear in the same places, by their new z."""
    c, s = np.cos(np.deg2rad(30)), np.sin(np.deg2rad(30))
    rows = (f"[{c},0,{s},3]", "[0,1,0,4]", f"[{s},0,{-c},0]", W)
    path = save(tomograms(rows, size="11 9 8"))
    model = read(path, tilt_image_dimensions=(7, 9), mirror_z=mirror_z)
    z = 8 - 1 - 2 if mirror_z else 2
    found = matrices_of(model, (3, 4), (11, 9, 8))[0] @ [6, 5, z, 1]
    assert_allclose(found[:2], [6 * c + 2 * s + 3, 9])
    assert_allclose(model["rotation_y"], [-30 if mirror_z else 30])


def test_warptools_writes_no_translations(save):
    """The size of the dummy stack is none, and the shifts are unknown."""
    rows = [f"[{','.join(text.strip('[]').split(',')[:3])},0]" for text in (X, Y, Z)]
    text = tomograms((*rows, W), name="TS_01.tomostar", stack="dummy_tiltseries.mrc")
    with pytest.warns(GuessWarning, match=r"'?TS_01\.tomostar'? have no translations.*dx, dy of 0"):
        model = read(save(text))
    assert_allclose(model[ANGLES], [[1.5, -3.01, 85.3]], atol=1e-4)
    assert (model[["dx", "dy"]] == 0).all(axis=None)
    assert model["experiment_id"].tolist() == ["TS_01.tomostar"]
    assert model.attrs["tilt_image_dimensions"] == {}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (X, "[0.08,-0.99,0.02]", r"column rlnTomoProjX, row 1: expected \[a,b,c,d\]"),
        (X, "[0.08,nan,0.02,1]", r"column rlnTomoProjX, row 1: expected \[a,b,c,d\]"),
        (X, "[0,0,0,0]", "expected a rotation"),
        (X, Y, "expected a rotation"),
        (W, "[0,0,1,1]", "expected a rotation and a row 0 0 0 1"),
        ("data_TS_01", "data_TS_02", "there is no block data_TS_01"),
        ("_rlnTomoProjZ", "_rlnTomoOther", "expected the label rlnTomoProjZ"),
        ("data_global", "data_general", "expected tomograms in a block 'global'"),
        (" 1 4096", " 2 4096", "rlnTomoFrameCount is 2, but block data_TS_01 has 1 rows"),
    ],
)
def test_what_is_wrong_is_named(save, old, new, message):
    text = tomograms((X, Y, Z, W))
    assert old in text
    with pytest.raises(ReadError, match=message):
        read(save(text.replace(old, new)), tilt_image_dimensions=IMAGE)


def test_images_left_out_cannot_be_named(tmp_path):
    model = model_of(3, tilt_index=[4, 0, 2])
    model.attrs["excluded"] = {"TS_01": [1, 3]}
    report = write(model, tmp_path / "t.star")
    assert "without the images 2, 4 (counted from 1)" in report.lost["excluded"]
    again = read(tmp_path / "t.star", tilt_image_dimensions=IMAGE)
    assert_allclose(again["rotation_y"], [0, 60, -60], atol=1e-9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tilt_image_dimensions": {}}, "give tilt_image_dimensions="),
        ({"tomogram_dimensions": {}}, "give tomogram_dimensions="),
    ],
)
def test_unknown_sizes_are_not_invented(tmp_path, change, message):
    model = model_of(2)
    model.attrs.update(change)
    with pytest.raises(WriteError, match=message):
        write(model, tmp_path / "t.star")
    assert not list(tmp_path.iterdir())
    options = {name: (10, 10, 10)[: 2 if "image" in name else 3] for name in change}
    write(model, tmp_path / "t.star", **options)


@pytest.mark.parametrize("name", ["", "global", "TS 01"])
def test_names_that_no_block_can_have(tmp_path, name):
    model = model_of(2, experiment_id=name)
    model.attrs = {"tilt_image_dimensions": (4, 4), "tomogram_dimensions": (4, 4, 4)}
    with pytest.raises(WriteError, match="rename it"):
        write(model, tmp_path / "t.star")


def test_star_goes_on_meaning_relion_5(tmp_path):
    assert cryotypes.write(model_of(2), tmp_path / "tomograms.star").format == "relion-tilt-series"


@pytest.mark.filterwarnings("ignore:.*are in no order of tilt:UserWarning")
def test_relion_5_to_4(shared_data, tmp_path):
    """All of RELION 5's columns and rows; the places of points agree."""
    path = shared_data / "relion5_project" / "Polish" / "job070" / "tomograms.star"
    model = cryotypes.read_projection_model(path)
    target = tmp_path / "relion4.star"
    write(model, target, tilt_image_dimensions=(3710, 3838))
    again = cryotypes.read_projection_model(target, tilt_image_dimensions=(3710, 3838))
    columns = [*ANGLES, "dx", "dy", "pixel_spacing"]
    assert_allclose(again[columns], model[columns], atol=1e-8)
    assert again["experiment_id"].tolist() == model["experiment_id"].tolist()
    assert again.attrs["tomogram_dimensions"] == model.attrs["tomogram_dimensions"]


def test_sniffing(save):
    assert sniff(Head.of(save(tomograms((X, Y, Z, W)))))
    assert sniff(Head.of(save(LIST + "TS_01 a.mrc 1 1 1 1 -1 1\n")))  # the blocks are far below
    five = "data_global\n\nloop_\n_rlnTomoName\n_rlnTomoTiltSeriesStarFile\nTS_01 a.star\n"
    assert not sniff(Head.of(save(five)))
    assert not sniff(Head.of(save("data_\n\nloop_\n_rlnTomoName\n_rlnTomoTiltSeriesName\na b\n")))


def test_a_size_may_be_counted_in_other_pixels(tmp_path):
    """1000 × 1000 × 500 px of 5.4 Å are 4000 × 4000 × 2000 of the tilt series' 1.35."""
    model = model_of(2).assign(pixel_spacing=1.35)
    model.attrs.pop("tomogram_dimensions", None)
    path = tmp_path / "relion4.star"
    images = {"tilt_image_dimensions": (400, 300)}
    size = {"tomogram_dimensions": (1000, 1000, 500), "tomogram_spacing": 5.4}
    write(model, path, **images, **size)
    assert "4000 4000 2000" in path.read_text()
    for given in (size, {"tomogram_dimensions": (4000, 4000, 2000)}):
        again = cryotypes.read_projection_model(path, **images, **given)
        assert_allclose(again[["dx", "dy"]], model[["dx", "dy"]], atol=1e-8)
    with pytest.raises(ValueError, match="each above 0"):
        cryotypes.read_projection_model(path, **images, tomogram_dimensions=(0, 0, 0))


@pytest.mark.parametrize(
    ("index", "excluded", "listed"),
    [([0, 2], [], "2"), ([0, 1], [4], "5"), ([1, 3], [5], "1, 3, 6"), ([0, 1], [], "")],
)
@pytest.mark.filterwarnings("ignore::cryotypes.errors.LossWarning")
def test_images_left_out_are_those_without_a_row(tmp_path, index, excluded, listed):
    """Gaps, images before the first, excluded ones behind the last; none if all are there."""
    model = model_of(2, tilt_index=index)
    model.attrs["excluded"] = {"TS_01": excluded}
    report = cryotypes.write(model, tmp_path / "a.star", format="relion4-tomograms")
    reason = report.lost.get("excluded", "")
    assert bool(reason) == bool(listed)
    assert not listed or f"without the images {listed} (counted from 1)" in reason
