"""Warp's XML, against files in its own form, hand-worked numbers and real files."""

from __future__ import annotations

import contextlib
import warnings
from dataclasses import replace
from xml.etree import ElementTree as ET

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy.spatial.transform import Rotation

import cryotypes
from cryotypes import projection_model_to_projection_matrices as matrices_of
from cryotypes.conventions import _table as conventions
from cryotypes.conventions import decode_tilts, encode_tilts
from cryotypes.errors import GuessWarning, LossWarning, ReadError, WriteError
from cryotypes.formats.shared.declaration import Head
from cryotypes.formats.tilts import warp_xml

read, write = warp_xml.FORMAT.read, warp_xml.FORMAT.write
ANGLES = ["rotation_x", "rotation_y", "rotation_z"]
# conventions_alignments.md, section 13: 4092 x 5760 and 4096 x 5760 x 1200 pixels of 1.35 Å
ATTRIBUTES = (
    'AreAnglesInverted="True" PlaneNormal="0, 0, 1" LevelAngleX="1.5" '
    'MagnificationCorrection="1, 0, 0, 1" ImageDimensionsAngstrom="5524.2, 7776" '
    'VolumeDimensionsAngstrom="5529.6, 7776, 1620"'
)
LISTS = {
    "Angles": ["3.01"], "Dose": ["2.5"], "UseTilt": ["True"], "AxisAngle": ["85.3"],
    "AxisOffsetX": ["16.875"], "AxisOffsetY": ["-4.3875"], "MoviePath": ["../frames/a_000.eer"],
}  # fmt: skip
THREE = {
    "Angles": ["61.5", "0", "-58"], "Dose": ["7.5", "2.5", "5"],
    "UseTilt": ["True", "False", "True"], "AxisAngle": ["85.3", "85.25", "85"],
    "AxisOffsetX": ["1.5", "-3", "0"], "AxisOffsetY": ["0", "30", "6"],
    "MoviePath": ["a.eer", "b c.eer", "ü.eer"], "FOVFraction": ["1", "0.5", "0.75"],
}  # fmt: skip
PIXEL = '\n\t<CTF>\n\t\t<Param Name="PixelSize" Value="1.35" />\n\t</CTF>'


def xml(lists=LISTS, attributes=ATTRIBUTES, more=PIXEL) -> str:
    """A file as WarpTools writes it."""
    joined = {tag: "\n".join(lines) for tag, lines in lists.items()}
    body = "".join(f"\n\t<{tag}>{text}</{tag}>" for tag, text in joined.items())
    return (
        f'<?xml version="1.0" encoding="utf-8"?>\n<TiltSeries {attributes}>{body}{more}\n'
        "</TiltSeries>"
    )


def grid(tag: str, *values: float) -> str:
    nodes = "".join(f'\n\t\t<Node X="0" Y="0" Z="{i}" Value="{v}" />' for i, v in enumerate(values))
    return f'\n\t<{tag} Width="1" Height="1" Depth="{len(values)}">{nodes}\n\t</{tag}>'


def model_of(n=3, **columns) -> pd.DataFrame:
    fields = {
        "rotation_x": 0.5, "rotation_y": np.linspace(-60.123, 60, n),
        "rotation_z": np.linspace(85.3, 84, n), "dx": np.linspace(-20, 31, n),
        "dy": np.linspace(5, -7.5, n), "experiment_id": "ts", "pixel_spacing": 1.35, "source": "",
    }  # fmt: skip
    return pd.DataFrame({**fields, **columns}, index=range(n))


def canonical(content: bytes) -> str:
    text = content.decode("utf-16" if content[:1] in b"\xff\xfe" else "utf-8-sig")
    return ET.canonicalize(text.partition("?>")[2].strip())


# --- reading ---


def test_the_vector_of_section_13_is_read(save):
    model = read(save(xml(), "ts.xml"))
    assert_allclose(model[ANGLES], [[1.5, -3.01, 85.3]])
    assert_allclose(model[["dx", "dy"]], [[12.5, -3.25]])
    assert model["pixel_spacing"].tolist() == [1.35]
    assert model["experiment_id"].tolist() == ["ts"]
    assert model["dose"].tolist() == [2.5]
    assert model["movie_path"].tolist() == ["../frames/a_000.eer"]
    assert model.attrs["tilt_image_dimensions"] == {"ts": (4092, 5760)}
    assert model.attrs["tomogram_dimensions"] == {"ts": (4096, 5760, 1200)}
    matrix = matrices_of(model, (2046, 2880), (4096, 5760, 1200))[0]
    assert_allclose((matrix @ [1000, 2000, 300, 1])[:2], [2843.050050, 1779.177551], atol=1e-6)


def test_the_angle_of_the_series_is_added(save):
    """Section 5: rotation_y = -(Angles + LevelAngleY)."""
    text = xml(attributes='LevelAngleX="-2" LevelAngleY="4"')
    assert_allclose(read(save(text, "ts.xml"))[ANGLES], [[-2, -7.01, 85.3]])


def test_points_are_seen_where_warp_s_formula_puts_them(save):
    """Section 5, in Å: RELION's Euler matrix for (0, Angles + LevelAngleY, -AxisAngle)."""
    rng = np.random.default_rng(5)
    angles, axes = rng.uniform(-60, 60, 4), rng.uniform(-180, 180, 4)
    offsets = rng.uniform(-100, 100, (2, 4))
    columns = zip(["Angles", "AxisAngle", "AxisOffsetX", "AxisOffsetY"], [angles, axes, *offsets],
                  strict=True)  # fmt: skip
    lists = {tag: list(map(repr, map(float, values))) for tag, values in columns}
    sizes = 'ImageDimensionsAngstrom="540, 810" VolumeDimensionsAngstrom="270, 540, 135"'
    text = xml(lists, f'LevelAngleX="-7" LevelAngleY="4.5" {sizes}')
    model = read(save(text, "ts.xml"))
    points = rng.uniform(0, 100, (20, 3))
    seen = matrices_of(model, (200, 300), (200, 400, 100)) @ np.c_[points, np.ones(20)].T
    for tilt in range(4):
        euler = Rotation.from_euler("ZYZ", [0, angles[tilt] + 4.5, -axes[tilt]], degrees=True).inv()
        turned = euler * Rotation.from_euler("x", -7, degrees=True)
        warp = turned.apply(points * 1.35 - [135, 270, 67.5])[:, :2] + offsets[:, tilt] + [270, 405]
        assert_allclose(seen[tilt, :2].T, warp / 1.35, atol=1e-9)


@pytest.mark.parametrize(
    "change",
    [
        *({"rotation": signs} for signs in [(-1, -1, 1), (1, 1, 1), (1, -1, -1)]),
        {"offset": conventions.Offset(sign=-1, unit="angstrom")},
        {"offset": conventions.Offset(sign=1)},
        {"frame": "aligned"},
    ],
    ids=str,
)
def test_every_field_of_the_convention_counts(change, save, monkeypatch, tmp_path):
    """Reading and writing of section 13 fail with any field changed."""
    monkeypatch.setattr(conventions, "WARP_TILTS", replace(conventions.WARP_TILTS, **change))
    with pytest.raises(AssertionError):
        test_the_vector_of_section_13_is_read(save)
    with pytest.raises(AssertionError):
        test_the_vector_of_section_13_is_written(tmp_path)


def test_the_convention_is_its_own_inverse():
    written = np.array([[1.5, 3.01, 85.3]]), np.array([[16.875, -4.3875]])
    ours = decode_tilts(*written, conventions.WARP_TILTS, 1.35)
    for a, b in zip(encode_tilts(*ours, conventions.WARP_TILTS, 1.35), written, strict=True):
        assert_allclose(a, b)


def test_tilts_that_are_not_used_have_no_row(save):
    model = read(save(xml(THREE), "ts.xml"))
    assert model["tilt_index"].tolist() == [0, 2]
    assert model.attrs["excluded"] == {"ts": [1]}
    assert_allclose(model.attrs["excluded_tilts"]["ts"], [0])
    assert_allclose(model["rotation_y"], [-61.5, 58])
    assert model["movie_path"].tolist() == ["a.eer", "ü.eer"]
    assert model["fov_fraction"].tolist() == [1, 0.75]
    assert model["dose"].tolist() == [7.5, 5]


def test_bytes_of_every_encoding(save):
    """Warp 1 writes UTF-16, WarpTools UTF-8, both with a byte order mark."""
    text = xml(THREE)
    expected = read(save(text, "ts.xml"))
    for encoding in ("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"):
        path = save(text.replace("utf-8", encoding[:6]).encode(encoding), "ts.xml")
        assert warp_xml.sniff(Head.of(path)), encoding
        pd.testing.assert_frame_equal(read(path), expected)
    path = save(text.replace("\n", "\r\n"), "ts.xml")
    pd.testing.assert_frame_equal(read(path), expected)


def test_what_may_be_absent(save):
    lists = {tag: LISTS[tag] for tag in ("Angles", "AxisAngle")}
    model = read(save(xml(lists, "", ""), "ts.xml"))
    assert_allclose(model[[*ANGLES, "dx", "dy"]], [[0, -3.01, 85.3, 0, 0]])
    assert model["pixel_spacing"].tolist() == [0]
    assert not {"dose", "movie_path"} & set(model)
    assert not {"tilt_image_dimensions", "tomogram_dimensions"} & set(model.attrs)


def test_no_tilts(save):
    model = read(save(xml(dict.fromkeys(LISTS, ()), ""), "ts.xml"))
    assert len(model) == 0
    cryotypes.validate_projection_model(model)


def test_the_pixel_size(save):
    with pytest.raises(ReadError, match="pixel_spacing="):
        read(save(xml(more=""), "ts.xml"))
    model = read(save(xml(more=""), "ts.xml"), pixel_spacing=2.7)
    assert_allclose(model[["dx", "dy"]], [[6.25, -1.625]])
    assert model.attrs["tilt_image_dimensions"] == {"ts": (2046, 2880)}
    options = '<OptionsCTF><Param Name="PixelSize{}" Value="0.675" />{}</OptionsCTF>'
    again = '<Param Name="PixelSizeY" Value="0.675" /><Param Name="BinTimes" Value="1" />'
    for text in (options.format("X", again), options.format("", again)):
        assert read(save(xml(more=text), "ts.xml"))["pixel_spacing"].tolist() == [1.35]
    with pytest.warns(GuessWarning, match=r"1\.35 Å by CTF and 0\.675 Å by OptionsCTF"):
        model = read(save(xml(more=PIXEL + options.format("", "")), "ts.xml"))
    assert model["pixel_spacing"].tolist() == [1.35]


def test_the_size_of_images_in_the_options(save):
    dimensions = '<OptionsCTF><Param Name="Dimensions" Value="{}" /></OptionsCTF>'
    text = xml(attributes="", more=PIXEL + dimensions.format("5524.2,7776,1"))
    assert read(save(text, "ts.xml")).attrs["tilt_image_dimensions"] == {"ts": (4092, 5760)}
    text = xml(attributes="", more=PIXEL + dimensions.format("0,0,0"))
    assert "tilt_image_dimensions" not in read(save(text, "ts.xml")).attrs


def test_local_motion_and_magnification_are_named(save):
    quiet = grid("GridMovementX", 0, 0) + grid("GridVolumeWarpZ", 0) + grid("GridAngleX", 0)
    read(save(xml(more=PIXEL + quiet), "ts.xml"))
    loud = grid("GridMovementY", 0, -13.5) + grid("GridAngleZ", 1.25)
    with pytest.warns(LossWarning, match=r"GridMovements .*up to 10 px\); GridAngles .*1\.2°"):
        read(save(xml(more=PIXEL + loud), "ts.xml"))
    for numbers, size in (("1.02, 1, 0", "58 px"), ("1, 0.001, 0, 1", "2.9 px")):
        text = xml().replace("1, 0, 0, 1", numbers)
        with pytest.warns(LossWarning, match=f"MagnificationCorrection {numbers} .{size} at the"):
            read(save(text, "ts.xml"))
    read(save(xml().replace("1, 0, 0, 1", "1, 1, 0"), "ts.xml"))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("<Angles>3.01</Angles>", "", "expected an element Angles"),
        ("<AxisAngle>85.3</AxisAngle>", "", "expected an element AxisAngle"),
        ("85.3<", "85.3\n85.3<", "AxisAngle: expected 1 lines as Angles has, found 2"),
        ("3.01", "nan", "Angles, line 1: expected a finite number, found 'nan'"),
        ("3.01", "3010", "expected tilt angles in degrees"),
        ("<UseTilt>True", "<UseTilt>Maybe", "UseTilt, line 1: expected True or False"),
        ('LevelAngleX="1.5"', 'LevelAngleX="1,5"', "LevelAngleX: expected a finite number"),
        ("TiltSeries", "Movie", "expected a TiltSeries, found Movie"),
        ("</Angles>", "", "expected XML"),
        ("5524.2, 7776", "5524.2", "ImageDimensionsAngstrom: expected 2 numbers"),
        (
            "<TiltSeries",
            '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><TiltSeries',
            "entities are declared",
        ),
    ],
)
def test_damage_is_named(save, old, new, message):
    text = xml()
    assert old in text
    with pytest.raises(ReadError, match=message):
        read(save(text.replace(old, new), "ts.xml"))


def test_entities_are_refused_in_utf_16(save):
    bomb = xml().replace("<TiltSeries", '<!DOCTYPE x [<!ENTITY a "a">]><TiltSeries', 1)
    with pytest.raises(ReadError, match="entities are declared"):
        read(save(bomb.replace("utf-8", "utf-16").encode("utf-16"), "ts.xml"))


def test_every_prefix_and_every_damaged_byte(save):
    whole = xml(THREE, more=PIXEL + grid("GridMovementX", 1, 2)).encode()
    damaged = [whole[:k] for k in range(len(whole))]
    damaged += [whole[:k] + b"\xff" + whole[k + 1 :] for k in range(len(whole))]
    damaged += [whole[:k] + b"9" + whole[k + 1 :] for k in range(len(whole))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for content in damaged:
            path = save(content, "ts.xml")
            with contextlib.suppress(ReadError):
                cryotypes.validate_projection_model(read(path))


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (xml().encode(), True),
        (b"<!-- of Warp --><TiltSeries />", True),
        (b"<?xml version='1.0'?><ParticleList></ParticleList>", False),
        (b"<Movie><TiltSeries/></Movie>", False),
        (b"<TiltSeriesList/>", False),
        (b"", False),
        (b"\xff\xfe", False),
        (b"\xff\xfe<", False),
        (b"\0" * 100, False),
    ],
)
def test_sniff(tmp_path, data, found):
    assert warp_xml.FORMAT.sniff(Head(tmp_path / "a.xml", data)) is found


# --- writing ---


def test_the_vector_of_section_13_is_written(tmp_path):
    model = model_of(1, rotation_x=1.5, rotation_y=-3.01, rotation_z=85.3, dx=12.5, dy=-3.25)
    model.attrs["tilt_image_dimensions"] = {"ts": (4092, 5760)}
    model.attrs["tomogram_dimensions"] = (4096, 5760, 1200)
    report = write(model, tmp_path / "ts.xml", overwrite=True)
    assert not report.lost
    assert "rotation_x" in report.kept
    root = ET.fromstring((tmp_path / "ts.xml").read_bytes())
    tags = ("Angles", "AxisAngle", "AxisOffsetX", "AxisOffsetY")
    found = [float(root.findtext(tag)) for tag in tags]
    assert_allclose(found, [3.01, 85.3, 16.875, -4.3875])
    assert float(root.get("LevelAngleX")) == 1.5
    for name, size in (("Image", (5524.2, 7776)), ("Volume", (5529.6, 7776, 1620))):
        found = root.get(f"{name}DimensionsAngstrom").split(",")
        assert_allclose([float(x) for x in found], size)
    assert root.get("AreAnglesInverted") == "False"
    assert root.findtext("UseTilt") == "True"
    assert root.find("CTF/Param").attrib == {"Name": "PixelSize", "Value": "1.35"}


def test_a_tilt_about_x_that_is_not_constant(tmp_path):
    model = model_of(3, rotation_x=[1.0, 2.0, 5.0])
    model.attrs["tomogram_dimensions"] = {"ts": (4096, 5760, 1200)}
    report = write(model, tmp_path / "ts.xml")
    # the middle is 3°; 2° move the edge at hypot(5760, 1200) / 2 = 2942 px by 103 px
    assert "1° to 5°" in report.lost["rotation_x"]
    assert (
        "3° is written: off by up to 1e+02 px at the tomogram's edge" in report.lost["rotation_x"]
    )
    assert read(tmp_path / "ts.xml")["rotation_x"].tolist() == [3, 3, 3]


@pytest.mark.parametrize("n", [0, 1, 3, 101])
def test_round_trip(tmp_path, n):
    model = model_of(n, dose=np.arange(n) * 2.5, movie_path=[f"ü & <{i}>.eer" for i in range(n)])
    write(model, tmp_path / "ts.xml")
    again = read(tmp_path / "ts.xml")
    assert_allclose(again[[*ANGLES, "dx", "dy"]], model[[*ANGLES, "dx", "dy"]], atol=1e-12)
    assert again["pixel_spacing"].tolist() == [1.35] * n
    assert again["tilt_index"].tolist() == list(range(n))
    assert again["dose"].tolist() == model["dose"].tolist()
    assert again["movie_path"].tolist() == model["movie_path"].tolist()
    cryotypes.validate_projection_model(again)


def test_what_was_read_is_written_back(save):
    """Other elements stay as they are, and so does every number."""
    more = PIXEL + grid("GridMovementX", 0, 0, 0) + '\n\t<Odd a="1">x<!-- y --></Odd>'
    lists = {**THREE, "Angles": ["61.50", "1e-1", "-58"]}
    attributes = ATTRIBUTES + ' LevelAngleY="0.123" Odd="&lt;"'
    path = save("\ufeff" + xml(lists, attributes, more), "ts.xml")
    before = path.read_bytes()
    report = write(read(path), path, overwrite=True)
    assert canonical(path.read_bytes()) == canonical(before)
    assert not report.lost
    assert not report.assumed


def test_changes_are_written_into_what_was_read(save):
    path = save(xml(THREE, more=PIXEL + grid("GridCTF", 3.5)), "ts.xml")
    model = read(path)
    model["dx"] += 1
    write(model.iloc[[1]], path, overwrite=True)
    root = ET.fromstring(path.read_bytes())
    assert root.findtext("UseTilt").split() == ["False", "False", "True"]
    assert root.findtext("AxisOffsetX").split() == ["1.5", "-3", "1.35"]
    assert root.findtext("MoviePath").split("\n") == THREE["MoviePath"]
    assert root.find("GridCTF/Node").get("Value") == "3.5"
    assert read(path)["tilt_index"].tolist() == [2]


def test_excluded_images_without_a_file(tmp_path):
    model = model_of(3, tilt_index=[4, 0, 1])
    model.attrs |= {"excluded": {"ts": [2, 3]}, "excluded_tilts": {"ts": [1.5, -6.0]}}
    write(model, tmp_path / "ts.xml")
    root = ET.fromstring((tmp_path / "ts.xml").read_bytes())
    assert root.findtext("UseTilt").split() == ["True", "True", "False", "False", "True"]
    assert root.findtext("Angles").split()[2:4] == ["-1.5", "6"]
    again = read(tmp_path / "ts.xml")
    assert again.attrs["excluded"] == {"ts": [2, 3]}
    assert_allclose(again["dx"], model["dx"].to_numpy()[[1, 2, 0]])


def test_what_cannot_be_written(tmp_path):
    path = tmp_path / "ts.xml"
    with pytest.raises(WriteError, match=r"holds one experiment, found 'a' and 'b'.*experiment_id"):
        write(model_of(2, experiment_id=["a", "b"]), path)
    with pytest.raises(WriteError, match="pixel spacing is unknown"):
        write(model_of(2, pixel_spacing=0.0), path)
    with pytest.raises(WriteError, match="movie_path: XML cannot hold"):
        write(model_of(2, movie_path=["a\nb", "c"]), path)
    with pytest.raises(WriteError, match="dose: expected finite numbers"):
        write(model_of(2, dose=[1.0, np.nan]), path)
    broken = model_of(2)
    broken.attrs["warp"] = {"ts": "<TiltSeries"}
    with pytest.raises(WriteError, match="attrs 'warp': expected the XML of 'ts'"):
        write(broken, path)
    assert not path.exists()
    unknown = model_of(2, pixel_spacing=0.0, dx=0.0, dy=0.0)
    unknown.attrs["tomogram_dimensions"] = (10, 20, 30)
    assert "tomogram_dimensions" in write(unknown, path).lost


def test_convert_from_imod(save, tmp_path):
    """Angles are minus the .tlt's; then Warp's volume is IMOD's."""
    save("0.0819385 0.9966374 -0.9966374 0.0819385 2.215 12.724\n", "ts.xf")
    save("-3.01\n", "ts.tlt")
    cryotypes.convert(tmp_path / "ts.xf", tmp_path / "ts.xml", pixel_spacing=1.35, exact=False)
    root = ET.fromstring((tmp_path / "ts.xml").read_bytes())
    assert_allclose(float(root.findtext("Angles")), 3.01)
    assert_allclose(float(root.findtext("AxisOffsetX")), 16.875, atol=2e-3)


def test_convert_several_experiments(tmp_path):
    one = model_of(2)
    both = pd.concat([one, one.assign(experiment_id="other")], ignore_index=True)
    cryotypes.write(both, tmp_path / "all.star")
    with pytest.warns(LossWarning, match="rlnTomoNominalStageTiltAngle"):
        cryotypes.convert(tmp_path / "all.star", str(tmp_path / "{experiment_id}.xml"))
    for name in ("ts", "other"):
        assert_allclose(read(tmp_path / f"{name}.xml")[ANGLES], one[ANGLES])


# --- real files ---


def test_a_real_file_of_warp_1(shared_data, tmp_path):
    """UTF-16, refined by M: local motion is all that is lost."""
    path = shared_data / "warp" / "017.xml"
    with pytest.warns(LossWarning, match=r"up to 14 px.*GridVolumeWarps.*11 px.*up to 3\.2°"):
        model = cryotypes.read_projection_model(path)
    assert len(model) == 60
    assert_allclose(model["rotation_y"], np.arange(52, -67, -2))
    assert_allclose(model.loc[0, ["dx", "dy"]].astype(float), [51.38024 / 1.971, -95.60207 / 1.971])
    assert model.attrs["tilt_image_dimensions"] == {"017": (4096, 4096)}
    write(model, tmp_path / "017.xml")
    assert canonical((tmp_path / "017.xml").read_bytes()) == canonical(path.read_bytes())


def test_a_real_file_of_warptools(shared_data, tmp_path):
    path = shared_data / "warp" / "gs04_ts_003.xml"
    model = cryotypes.read_projection_model(path)
    assert len(model) == 47
    # the names of the movies have the mdoc's angles, and those are ours
    named = [float(name.split("_")[-2]) for name in model["movie_path"]]
    assert_allclose(model["rotation_y"], named, atol=0.02)
    assert model["pixel_spacing"].unique().tolist() == [0.7303]
    write(model, tmp_path / "gs04_ts_003.xml")
    assert canonical((tmp_path / "gs04_ts_003.xml").read_bytes()) == canonical(path.read_bytes())


@pytest.mark.parametrize(
    ("image", "volume", "said"),
    [
        ((400, 300), (200, 400, 100), ""),
        ((401, 300), (200, 400, 100), r"\(images of 401 × 300 px\)"),
        ((400, 300), (200, 400, 101), r"\(volume of 200 × 400 × 101 px\)"),
    ],
)
def test_odd_sizes_are_doubtful(save, tmp_path, image, volume, said):
    """Half of an odd size lies between pixels, N // 2 does not."""
    texts = (", ".join(f"{n * 1.35:g}" for n in size) for size in (image, volume))
    sizes = 'ImageDimensionsAngstrom="{}" VolumeDimensionsAngstrom="{}"'.format(*texts)
    model = model_of(1)
    model.attrs = {
        "tilt_image_dimensions": {"ts": image},
        "tomogram_dimensions": {"ts": volume},
    }
    path = save(xml(attributes=sizes), "ts.xml")
    if not said:
        read(path)
        write(model, tmp_path / "out.xml")
        return
    with pytest.warns(GuessWarning, match=f"half a pixel apart where a size is odd {said}"):
        read(path)
    with pytest.warns(GuessWarning, match=f"half a pixel apart where a size is odd {said}"):
        write(model, tmp_path / "out.xml")
