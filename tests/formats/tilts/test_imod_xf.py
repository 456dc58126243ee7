"""IMOD's alignments, against hand-worked numbers, tilt's own arithmetic and real files."""

from __future__ import annotations

import contextlib
import shutil
import struct
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import cryotypes
from cryotypes import projection_model_to_projection_matrices as matrices_of
from cryotypes.conventions import _table as conventions
from cryotypes.conventions import decode_tilts, decode_transforms, encode_tilts, encode_transforms
from cryotypes.conventions._imod import ImodVolume, half_pixels
from cryotypes.errors import (
    GuessWarning,
    LossWarning,
    ReadError,
    WriteError,
)
from cryotypes.formats.shared.declaration import Head
from cryotypes.formats.tilts import imod_xf
from cryotypes.formats.tilts.imod_xf._com import join_views, parse_views

# from centre to centre, if half pixels are not what a test is about
read, write = partial(imod_xf.read, exact=False), partial(imod_xf.write, exact=False)
ANGLES = ["rotation_x", "rotation_y", "rotation_z"]

# section 13 of conventions_alignments.md: rotation (1.5, -3.01, 85.3), shift (12.5, -3.25)
VECTOR_XF = "   0.0819385   0.9966374  -0.9966374   0.0819385       2.215      12.724\n"
TILT_COM = """# a comment
$setenv IMOD_OUTPUT_FORMAT MRC
$tilt -StandardInput
InputProjections ts_ali.mrc
OutputFile ts_full_rec.mrc
IMAGEBINNED 1
TILTFILE ts.tlt
XTILTFILE ts.xtilt
THICKNESS 1200
XAXISTILT 0.0
PERPENDICULAR
OFFSET 0.0
SHIFT 0.0 0.0
$if (-e ./savework) ./savework
OFFSET 99
"""
NEWST_COM = """$newstack -StandardInput
InputFile	ts.mrc
TransformFile	ts.xf
SizeToOutputInXandY	4096,5760
BinByFactor	1
#DistortionField	.idf
"""


@pytest.fixture
def etomo(tmp_path):
    """Write the files of a series into a directory; keywords replace or add lines of tilt.com."""

    def writing(xf=VECTOR_XF, tlt="-3.01\n", xtilt="1.5\n", newst=NEWST_COM, com=TILT_COM, **more):
        files = {"ts.xf": xf, "ts.tlt": tlt, "ts.xtilt": xtilt, "newst.com": newst}
        if com is not None:
            lines = [line for line in com.splitlines() if line.split()[0] not in more]
            lines[3:3] = [f"{key} {value}" for key, value in more.items() if value is not None]
            files["tilt.com"] = "\n".join(lines) + "\n"
        for name, text in files.items():
            if text is not None:
                (tmp_path / name).write_text(text)
        return tmp_path

    return writing


def stack_header(nx, ny, nz, spacing=1.35) -> bytes:
    """The header of an MRC stack; the data are not asked for."""
    header = bytearray(1024)
    struct.pack_into("<4i", header, 0, nx, ny, nz, 1)
    struct.pack_into("<3i3f", header, 28, nx, ny, nz, nx * spacing, ny * spacing, nz * spacing)
    struct.pack_into("<3i", header, 64, 1, 2, 3)
    header[208:216] = b"MAP \x44\x44\0\0"
    return bytes(header)


def model_of(n=3, **columns) -> pd.DataFrame:
    fields = {
        "rotation_x": np.linspace(-1, 2, n), "rotation_y": np.linspace(-60.125, 60, n),
        "rotation_z": np.linspace(85.3, 84, n), "dx": np.linspace(-20, 31, n),
        "dy": np.linspace(5, -7.5, n), "experiment_id": "ts", "pixel_spacing": 0.0, "source": "",
    }  # fmt: skip
    return pd.DataFrame({**fields, **columns}, index=range(n))


def test_the_vector_of_section_13_is_read(etomo):
    model = read(etomo())
    assert_allclose(model[ANGLES], [[1.5, -3.01, 85.3]], atol=1e-5)
    assert_allclose(model[["dx", "dy"]], [[12.5, -3.25]], atol=1e-3)
    assert model["tilt_index"].tolist() == [0]
    assert model["experiment_id"].tolist() == ["ts"]
    assert model.attrs["tomogram_dimensions"] == {"ts": (4096, 5760, 1200)}
    matrix = matrices_of(model, (2046, 2880), (4096, 5760, 1200))[0]
    assert_allclose((matrix @ [1000, 2000, 300, 1])[:2], [2843.050050, 1779.177551], atol=2e-3)


def test_the_vector_of_section_13_with_half_pixels(etomo):
    """The exact values were found with IMOD's own centres."""
    model = read(etomo(), exact=True, tilt_image_dimensions=(4092, 5760))
    assert_allclose(model[["dx", "dy"]], [[11.553602, -3.239329]], atol=1e-3)
    vector = np.array([[0.0819385, 0.9966374], [-0.9966374, 0.0819385]])
    fine = "0.08193850 0.99663738 -0.99663738 0.08193850 {} {}\n".format(
        *(-vector @ [12.5, -3.25]).tolist()
    )
    model = read(etomo(xf=fine), exact=True, tilt_image_dimensions=(4092, 5760))
    assert_allclose(model[["dx", "dy"]], [[11.553602, -3.239329]], atol=2e-6)


def test_the_vector_of_section_13_is_written(tmp_path):
    model = model_of(1, rotation_x=1.5, rotation_y=-3.01, rotation_z=85.3, dx=12.5, dy=-3.25)
    model.attrs["tomogram_dimensions"] = {"ts": (4096, 5760, 1200)}
    report = cryotypes.write(model, tmp_path / "ts.xf", exact=False)
    assert (tmp_path / "ts.xf").read_text() == VECTOR_XF
    assert (tmp_path / "ts.tlt").read_text() == "-3.01\n"
    assert (tmp_path / "ts.xtilt").read_text() == "1.5\n"
    lines = (tmp_path / "ts_tilt.com").read_text().splitlines()
    assert {"THICKNESS 1200", "WIDTH 4096", "OFFSET 0.0", "XAXISTILT 0.0"} <= set(lines)
    assert "SizeToOutputInXandY 4096,5760" in (tmp_path / "ts_newst.com").read_text()
    assert not report.lost
    assert read(tmp_path).attrs["tomogram_dimensions"] == {"ts": (4096, 5760, 1200)}


def test_the_example_of_section_1(etomo):
    """rotation_z 85, dx = -(0.087 * 10 + 0.996 * 5), by hand."""
    row = "   0.0871557   0.9961947  -0.9961947   0.0871557      10.000      -5.000\n"
    model = read(etomo(xf=row))
    assert_allclose(model["rotation_z"], [85.0], atol=1e-5)
    assert_allclose(model[["dx", "dy"]], [[-5.852531, -9.526169]], atol=1e-6)


MUTATIONS = [
    *({"rotation": signs} for signs in [(-1, 1, 1), (1, -1, 1), (1, 1, -1)]),
    {"offset": conventions.Offset(sign=1)},
    {"offset": conventions.Offset(sign=-1, unit="angstrom")},
    {"frame": "raw"},
]


@pytest.mark.parametrize("change", MUTATIONS, ids=str)
def test_every_field_of_the_convention_counts(change):
    """Whatever is changed in the row, the vector comes out wrong, both ways and by both routes."""
    row = replace(conventions.IMOD_XF, **change)
    vector = np.array([[0.0819385, 0.9966374], [-0.9966374, 0.0819385]])
    ours = np.array([[1.5, -3.01, 85.3]]), np.array([[12.5, -3.25]])
    theirs = np.array([[1.5, -3.01, 85.3]]), np.array([[2.2147896, 12.7243379]])

    def right(convention):
        angles, shifts = decode_tilts(*theirs, convention, 1.35)
        z, planes, moved = decode_transforms(vector[None], theirs[1], convention, 1.35)
        written, back = encode_tilts(*ours, convention, 1.35)
        matrices, again = encode_transforms(ours[0][:, 2], ours[1], convention, 1.35)
        pairs = [
            (angles, ours[0]), (shifts, ours[1]), (z, ours[0][:, 2]), (moved, ours[1]),
            (written, theirs[0]), (back, theirs[1]), (matrices[0], vector), (again, theirs[1]),
            (planes[0], vector.T),
        ]  # fmt: skip
        return [np.allclose(a, b, atol=1e-3) for a, b in pairs]

    assert all(right(conventions.IMOD_XF))
    assert not all(right(row))


def imod_projects(points, A, t, tlt, xtilt, raw, ali, volume, *, b=1, full=None, subset=(0, 0),
                  offset=(0.0, 0.0), shift=(0.0, 0.0), x_axis=0.0, first=0):  # fmt: skip
    """tilt.f90 and newstack, as section 1 of conventions_alignments.md has them, in raw pixels."""
    W, _, T = volume
    nf = [-(-n // b) for n in full] if full else list(ali)
    start = [int(n / b) for n in subset] if full else [0, 0]
    c_ali = [nf[i] / 2 - 0.5 - start[i] for i in (0, 1)]
    newstack = [ali[i] / 2 - 0.5 for i in (0, 1)]
    c_x = W // 2 - 0.5 + (offset[1] + shift[0]) / b - (ali[0] // 2 + start[0] - nf[0] // 2)
    c_y = c_ali[1] - first
    c_z = T - T // 2 - 0.5 - shift[1] / b
    c_raw = [centre_of_binned(n, b) for n in raw]
    X, Y, Z = (b * (np.asarray(points, float) - [c_x, c_y, c_z])).T
    seen = []
    for i in range(len(tlt)):
        th, al = np.deg2rad(tlt[i] + offset[0]), np.deg2rad(xtilt[i] - x_axis)
        x = X * np.cos(th) + (Y * np.sin(al) + Z * np.cos(al)) * np.sin(th) + offset[1]
        y = Y * np.cos(al) - Z * np.sin(al)
        e = [b * (c_ali[k] - newstack[k]) for k in (0, 1)]
        aligned = np.stack([x + e[0], y + e[1]], 1) - t[i]
        seen.append(aligned @ np.linalg.inv(A[i]).T + c_raw)
    return np.array(seen)


def centre_of_binned(n, b):
    """Where newstack has the centre of a binned image, in raw pixels (getbinnedsize.f).

    Binned pixel i is the mean of b raw ones from off + b i on, all raw pixels are within, and the
    binned size is odd if the raw one is. Run: 482 / 4 gives 122, 402 / 4 102, 481 / 2 241.
    """
    if b == 1:
        return n / 2 - 0.5
    binned, left = n // b, n % b
    binned += (2 if left > 1 else 0) if binned % 2 == n % 2 else 1
    off = (n - b * binned) // 2  # downwards: what is left over is odd if n is odd and b even
    return off + b * (binned / 2 - 0.5) + (b - 1) / 2


def test_sizes_and_centres_of_binned_images():
    """By hand: of 481 pixels, two at a time, the first is half empty, and 241 are made."""
    assert centre_of_binned(482, 4) == 240.5  # 122 of 4: three pixels empty on either side
    assert centre_of_binned(481, 2) == 239.5  # not 240: pixels -1 ... 480
    assert centre_of_binned(481, 3) == 240
    assert centre_of_binned(801, 4) == 399.5


CASES = {
    "plain": {},
    "odd sizes": {"raw": (241, 201), "ali": (241, 201), "volume": (241, 201, 81)},
    "odd, otherwise": {"raw": (240, 201), "ali": (201, 241), "volume": (201, 241, 80)},
    "OFFSET and XAXISTILT": {"offset": (4.0, 0.0), "x_axis": 1.5},
    "SHIFT": {"shift": (6.0, -9.0)},
    "axis": {"offset": (0.0, 5.0)},
    "axis, SHIFT": {"offset": (-2.0, 5.0), "shift": (6.5, 3.0)},
    "width": {"volume": (100, 200, 80)},
    "width, odd": {"volume": (101, 200, 80)},
    "slices": {"volume": (240, 61, 80), "first": 20},
    "binned": {"b": 4, "ali": (60, 50), "volume": (60, 50, 20), "shift": (8.0, -12.0)},
    "binned, slices": {"b": 4, "ali": (60, 50), "volume": (60, 11, 20), "first": 5},
    **{
        f"{x} x {y} raw, {ali[0]} x {ali[1]} x {z} binned by {b}": {
            "raw": (x, y), "b": b, "ali": ali, "volume": (*ali, z)
        }
        for b in (1, 2, 3, 4)
        for x, y in [(240, 200), (241, 201), (240, 201), (241, 200)]
        for ali, z in [((60, 50), 20), ((61, 51), 21), ((60, 51), 21), ((61, 50), 20)]
    },
    "full image": {"full": (236, 200), "subset": (-2, 0)},
    "full image, binned": {"b": 4, "full": (237, 200), "subset": (-2, 5), "ali": (60, 50),
                           "volume": (60, 50, 20)},
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_exact_is_what_imod_does(etomo, case):
    facts = {"raw": (240, 200), "ali": (240, 200), "volume": (240, 200, 80), **CASES[case]}
    rng = np.random.default_rng(0)
    n = 5
    tlt, xtilt = np.linspace(-60, 57, n), np.linspace(-2, 4, n)
    turn = np.deg2rad(-np.linspace(84, 86, n))
    c, s = np.cos(turn), np.sin(turn)
    A = np.stack([np.stack([c, -s], -1), np.stack([s, c], -1)], -2)
    t = rng.uniform(-6, 6, (n, 2))
    b, volume, first = facts.get("b", 1), facts["volume"], facts.get("first")
    com = {
        "IMAGEBINNED": b, "THICKNESS": volume[2] * b, "WIDTH": volume[0] * b,
        "SHIFT": "{} {}".format(*facts.get("shift", (0, 0))),
        "OFFSET": "{} {}".format(*facts.get("offset", (0, 0))),
        "XAXISTILT": facts.get("x_axis", 0.0),
        "FULLIMAGE": "{} {}".format(*facts["full"]) if "full" in facts else None,
        "SUBSETSTART": "{} {}".format(*facts["subset"]) if "subset" in facts else None,
        "SLICE": f"{first * b} {(first + volume[1] - 1) * b}" if first is not None else None,
    }  # fmt: skip
    folder = etomo(
        xf="".join(f"{' '.join(map(repr, row))}\n" for row in np.c_[A.reshape(n, 4), t].tolist()),
        tlt="".join(f"{angle!r}\n" for angle in tlt.tolist()),
        xtilt="".join(f"{angle!r}\n" for angle in xtilt.tolist()),
        newst=NEWST_COM.replace("4096,5760", "{},{}".format(*facts["ali"])).replace(
            "BinByFactor	1", f"BinByFactor	{b}"
        ),
        **com,
    )
    model = read(folder, exact=True, tilt_image_dimensions=facts["raw"])
    size = model.attrs["tomogram_dimensions"]["ts"]
    assert size == tuple(b * k for k in volume)
    points = rng.uniform(0, 1, (20, 3)) * volume
    matrices = matrices_of(model, (facts["raw"][0] // 2, facts["raw"][1] // 2), size)
    unbinned = np.c_[points * b, np.ones(len(points))]
    found = np.einsum("nij,pj->npi", matrices, unbinned)[..., :2]
    assert_allclose(found, imod_projects(points, A, t, tlt, xtilt, **facts), atol=1e-9)
    # the same volume is written, in newstack's and tilt's own words
    numbers = np.loadtxt(folder / "ts.xf")
    for name in ("newst.com", "tilt.com"):
        (folder / name).unlink()
    cryotypes.write(model, folder / "ts.xf", overwrite=True)
    assert_allclose(np.loadtxt(folder / "ts.xf"), numbers, atol=6e-4)
    again = cryotypes.read_projection_model(folder / "ts.xf")
    assert_allclose(again[[*ANGLES, "dx", "dy"]], model[[*ANGLES, "dx", "dy"]], atol=2e-3)
    assert again.attrs == model.attrs


def words_of(path):
    """A command file's lines by their first words."""
    return {line.split()[0]: line.split()[1:] for line in path.read_text().splitlines()}


@pytest.mark.parametrize("image", [(240, 200), (241, 201), (240, 201), (241, 200)], ids=str)
@pytest.mark.parametrize("size", [(200, 240, 80), (201, 241, 81), (200, 241, 80)], ids=str)
@pytest.mark.parametrize("volume", ["rx", "yz"])
def test_what_is_written_makes_imod_put_particles_where_they_are(tmp_path, image, size, volume):
    """By the command files alone, as newstack and tilt take them; from no IMOD files before."""
    model = model_of(5, rotation_z=np.linspace(84, 86, 5))
    model.attrs = {"tomogram_dimensions": {"ts": size}, "tilt_image_dimensions": {"ts": image}}
    cryotypes.write(model, tmp_path / "ts.xf", volume=volume)
    numbers = np.loadtxt(tmp_path / "ts.xf")
    tilt, newst = (words_of(tmp_path / f"ts_{name}.com") for name in ("tilt", "newst"))
    assert (tilt["IMAGEBINNED"], newst["BinByFactor"]) == (["1"], ["1"])
    assert (tilt["SHIFT"], tilt["OFFSET"], tilt["XAXISTILT"]) == (["0.0"] * 2, ["0.0"], ["0.0"])
    ali = tuple(map(int, newst["SizeToOutputInXandY"][0].split(",")))
    made = int(tilt["WIDTH"][0]), ali[1], int(tilt["THICKNESS"][0])
    assert made == size
    points = np.random.default_rng(0).uniform(0, 1, (20, 3)) * size
    turned = points.copy()
    if volume == "yz":  # the swapped volume is the mirrored one
        turned[:, 2] = size[2] - 1 - points[:, 2]
    angles = (np.loadtxt(tmp_path / f"ts.{name}") for name in ("tlt", "xtilt"))
    seen = imod_projects(
        turned, numbers[:, :4].reshape(-1, 2, 2), numbers[:, 4:], *angles, image, ali, made
    )
    matrices = matrices_of(model, (image[0] // 2, image[1] // 2), size)
    ours = np.einsum("nij,pj->npi", matrices, np.c_[points, np.ones(20)])[..., :2]
    assert_allclose(seen, ours, atol=1.5e-3)  # of .xf's three decimals
    # and read back nothing is to be asked
    again = cryotypes.read_projection_model(tmp_path, volume=volume)
    assert_allclose(again[[*ANGLES, "dx", "dy"]], model[[*ANGLES, "dx", "dy"]], atol=1e-3)
    assert again.attrs["tilt_image_dimensions"] == {"ts": image}
    assert again.attrs["tomogram_dimensions"] == {"ts": size}


def test_half_pixels_of_the_worked_series():
    """tilt_1: c_ali 463.0, newstack 463.5, c_vol 462.5; else wrong by 4 cos(tilt) - 2 px."""
    volume = ImodVolume((928, 958), 2000, binning=4, full=(3708, 3832), subset=(-2, 0))
    assert volume.binned_size == (928, 958, 500)
    assert volume.size == (3712, 3832, 2000)
    assert volume.image_centre().tolist() == [463.0, 478.5]
    assert volume.centre().tolist() == [462.5, 478.5, 249.5]
    rotations = np.array([[0.0, 50.0, 0.0]])
    aligned, raw = half_pixels(rotations, volume, (3832, 3708))
    plain, _ = half_pixels(rotations, replace(volume, full=None), (3832, 3708))
    assert_allclose(aligned - plain, [[4 * np.cos(np.deg2rad(50)) - 2, 0]], atol=1e-12)
    assert raw.tolist() == [-0.5, -0.5]


def test_simple_mode_leaves_half_pixels_and_shift_alone(etomo):
    """SHIFT only says which region was reconstructed; that it is left out is said."""
    plain = read(etomo())
    with pytest.warns(LossWarning, match=r"SHIFT 6 -9: the volume is displaced .*exact=True"):
        shifted = read(etomo(SHIFT="6 -9"))
    assert_allclose(shifted[["dx", "dy"]], plain[["dx", "dy"]])
    angles = read(etomo(OFFSET="4.0", XAXISTILT="1.25"))
    assert_allclose(angles[ANGLES], [[0.25, 0.99, 85.3]], atol=1e-5)


def test_a_displaced_axis_turns_the_volume_about_another_line(etomo):
    """A point on the displaced axis does not move in x of the aligned image as tilts change."""
    identity = "1 0 0 1 0 0\n" * 3
    folder = etomo(xf=identity, tlt="-60\n0\n60\n", xtilt="0\n0\n0\n", OFFSET="0 5")
    model = read(folder)
    x = model["dx"] + np.cos(np.deg2rad(model["rotation_y"])) * 5
    assert_allclose(x, [5, 5, 5], atol=1e-12)


def test_a_swapped_volume_is_mirrored(etomo):
    """trimvol -yz: both tilts change sign, and z counts from the other end."""
    plain, swapped = (read(etomo(), volume=v) for v in ("rx", "yz"))
    assert_allclose(swapped[ANGLES], plain[ANGLES] * [-1, -1, 1])
    assert_allclose(swapped[["dx", "dy"]], plain[["dx", "dy"]])
    size = (4096, 5760, 1200)
    options = {"exact": True, "tilt_image_dimensions": (4092, 5760)}
    plain, swapped = (read(etomo(), volume=v, **options) for v in ("rx", "yz"))
    one = matrices_of(plain, (2046, 2880), size)[0] @ [1000, 2000, 300, 1]
    other = matrices_of(swapped, (2046, 2880), size)[0] @ [1000, 2000, 1199 - 300, 1]
    assert_allclose(one[:2], other[:2], atol=1e-9)
    with pytest.warns(GuessWarning, match="PARALLEL volumes are mirrored in z.*volume='yz'"):
        read(etomo(PARALLEL=""))
    assert_allclose(read(etomo(PARALLEL=""), volume="yz")["rotation_y"], [3.01])
    with pytest.raises(ValueError, match="expected 'rx' or 'yz', found 'xy'"):
        read(etomo(), volume="xy")


def test_exact_needs_sizes(etomo):
    with pytest.raises(ReadError, match=r"needs the size of the volume.*tomogram_dimensions="):
        read(_without(etomo(), "newst.com"), exact=True)
    with pytest.raises(ReadError, match=r"odd sizes.*tilt_image_dimensions="):
        read(etomo(), exact=True)
    folder = _without(etomo(), "newst.com")
    options = {"exact": True, "tilt_image_dimensions": (4092, 5760)}
    model = read(folder, tomogram_dimensions=(4096, 5760, 1200), **options)
    assert_allclose(model[["dx", "dy"]], [[11.553602, -3.239329]], atol=1e-3)
    even = read(etomo(FULLIMAGE="4092 5760", SUBSETSTART="-2 0"), exact=True)
    assert_allclose(even[["dx", "dy"]], [[11.553602, -3.239329]], atol=1e-3)


def test_where_the_sizes_are_known_half_pixels_are_included(etomo):
    """The vector of section 13: its raw stack beside, or its size given; else even, and said."""
    exact = [[11.553602, -3.239329]]
    folder = etomo()
    with pytest.warns(
        GuessWarning, match=r"raw stack is not there.*even: an odd one moves .*0.5 p"
    ):
        assert_allclose(imod_xf.read(folder)[["dx", "dy"]], exact, atol=1e-3)
    model = imod_xf.read(folder, tilt_image_dimensions=(4092, 5760))
    assert_allclose(model[["dx", "dy"]], exact, atol=1e-3)
    # of images that are odd in x, x begins half a pixel later
    odd = imod_xf.read(folder, tilt_image_dimensions=(4093, 5760))
    assert_allclose(odd[["dx", "dy"]].to_numpy() - exact, [[0.5, 0]], atol=1e-3)
    (folder / "ts.mrc").write_bytes(stack_header(4092, 5760, 1))
    assert_allclose(imod_xf.read(folder)[["dx", "dy"]], exact, atol=1e-3)
    assert_allclose(imod_xf.read(folder, exact=False)[["dx", "dy"]], [[12.5, -3.25]], atol=1e-3)
    # SHIFT is what the volume is displaced by: its image moves the other way
    moved = imod_xf.read(etomo(SHIFT="6 0"))
    turn = np.array([[0.0819385, -0.9966374], [0.9966374, 0.0819385]])
    x = -6 * np.cos(np.deg2rad(-3.01))
    assert_allclose(moved[["dx", "dy"]].to_numpy() - exact, [turn @ [x, 0]], atol=1e-3)


@pytest.mark.parametrize(
    ("files", "binned", "most"),
    [
        # by hand, at 20° and if x is odd, binned by 4: x 4 cos + 2 sin, y 2, together 4.9, of which
        # the raw image's half pixel takes 0.3 back
        ({"com": None}, "a volume that is not binned", 1.2),
        ({"com": TILT_COM.replace("THICKNESS 1200\n", "")}, "a volume binned by 1", 1.2),
        (
            {"com": TILT_COM.replace("THICKNESS 1200\n", ""), "IMAGEBINNED": 4, "newst": None},
            "a volume binned by 4",
            4.6,
        ),
    ],
)
def test_where_they_are_not_it_is_said_how_much_that_may_be(etomo, files, binned, most):
    folder = etomo(xf=FOUR, tlt="-60\n-20\n20\n60\n", xtilt="0\n" * 4, **files)
    (folder / "ts.mrc").write_bytes(stack_header(4092, 5760, 4))
    with pytest.warns(GuessWarning, match=rf"pixels are nothing.*px off for {binned}; ") as w:
        model = imod_xf.read(folder)
    said = float(str(w[0].message).split("up to ")[1].split()[0])
    assert said == pytest.approx(most, abs=0.05)
    assert model.attrs["imod"]["ts"]["exact"] is False
    b = files.get("IMAGEBINNED", 1)
    given = {"tomogram_dimensions": (4096, 5760, 1200), "exact": True}
    exact = imod_xf.read(folder, **given)
    moved = np.linalg.norm(exact[["dx", "dy"]] - model[["dx", "dy"]], axis=1)
    assert 0.3 * b < moved.max() < said + 0.05


def test_a_tomogram_of_another_height_is_cut_about_the_centre(etomo):
    """Rows taken off on either side move nothing but the index of the centre."""
    folder = etomo()
    size = {"tilt_image_dimensions": (4092, 5760)}
    whole = imod_xf.read(folder, **size)
    cut = imod_xf.read(folder, tomogram_dimensions=(4096, 5700, 1200), **size)
    assert_allclose(cut[["dx", "dy"]], whole[["dx", "dy"]])
    assert cut.attrs["tomogram_dimensions"] == {"ts": (4096, 5700, 1200)}


def test_newstack_that_is_told_no_size_keeps_it(etomo):
    newst = NEWST_COM.replace("SizeToOutputInXandY	4096,5760\n", "")
    folder = etomo(newst=newst)
    (folder / "ts.mrc").write_bytes(stack_header(4092, 5760, 1))
    assert read(folder).attrs["tomogram_dimensions"] == {"ts": (4092, 5760, 1200)}
    binned = etomo(newst=newst.replace("BinByFactor	1", "BinByFactor	2"), IMAGEBINNED=2)
    assert read(binned).attrs["tomogram_dimensions"] == {}


def _without(folder, name):
    (folder / name).unlink()
    return folder


@pytest.mark.parametrize("name", ["", "ts.xf", "ts.edf", "tilt.com", "ts"])
def test_whatever_is_named_the_alignment_is_read(etomo, name):
    folder = etomo(OFFSET="1")
    (folder / "ts.edf").write_text("Setup.DatasetName=ts\nSetup.ImageRotationA=12.3\n")
    for other in ("ts.prexf", "ts.prexg", "ts.tltxf", "ts_fid.xf", "rotation.xf"):
        (folder / other).write_text("1 0 0 1 0 0\n")
    model = cryotypes.read_projection_model(folder / name, exact=False)
    assert_allclose(model[ANGLES], [[1.5, -2.01, 85.3]], atol=1e-5)
    assert cryotypes.identify(folder / name).name == "imod-xf"
    (again,) = cryotypes.read(folder / name, exact=False)
    assert again.equals(model)


@pytest.mark.parametrize("name", ["ts.prexf", "ts.prexg", "ts.tltxf", "ts_fid.xf", "rotation.xf"])
def test_transforms_of_the_pre_alignment_are_refused(etomo, name):
    path = etomo() / name
    path.write_text("1 0 0 1 0 0\n")
    with pytest.raises(ReadError, match="not the final alignment"):
        cryotypes.read_projection_model(path)


def test_directories_without_or_with_several_alignments(tmp_path, etomo):
    with pytest.raises(IsADirectoryError):
        cryotypes.read_projection_model(tmp_path)
    with pytest.raises(FileNotFoundError):
        cryotypes.read_projection_model(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError):
        cryotypes.read_projection_model(tmp_path / "nothing", format="imod-xf")
    (tmp_path / "tilt.com").write_text(TILT_COM)
    (tmp_path / "ts.tlt").write_text("1\n")
    with pytest.raises(ReadError, match=r"no final alignment .*; ts.tlt holds the tilt angles"):
        cryotypes.read_projection_model(tmp_path)
    etomo()
    (tmp_path / "other.xf").write_text(VECTOR_XF)
    (tmp_path / "other.tlt").write_text("7\n")
    both = read(tmp_path)
    assert both["experiment_id"].tolist() == ["other", "ts"]
    assert_allclose(both["rotation_y"], [7, -3.01])
    # tilt.com speaks of one only
    assert both.attrs["tomogram_dimensions"] == {"ts": (4096, 5760, 1200)}
    assert both.attrs["excluded"] == {"other": [], "ts": []}
    other = read(tmp_path / "other.xf")
    assert_allclose(other["rotation_y"], [7])
    assert other.attrs["tomogram_dimensions"] == {}
    assert read(tmp_path / "tilt.com")["experiment_id"].tolist() == ["ts"]
    with pytest.raises(ReadError, match=r"of one series; name one of other.xf, ts.xf"):
        read(tmp_path, tilt_angles=tmp_path / "ts.tlt")
    (tmp_path / "other.tlt").unlink()
    with pytest.warns(GuessWarning, match="no tilt angles for other.xf; assumed to be no alignm"):
        assert read(tmp_path)["experiment_id"].tolist() == ["ts"]
    (tmp_path / "ts.tlt").unlink()
    with pytest.raises(ReadError, match=r"several .* without tilt angles; name one of other.xf, t"):
        read(tmp_path)


def test_a_dual_axis_data_set(etomo):
    folder = etomo()
    for name in ("xf", "tlt", "xtilt"):
        (folder / f"ts.{name}").rename(folder / f"tsa.{name}")
        shutil.copy(folder / f"tsa.{name}", folder / f"tsb.{name}")
    (folder / "tilt.com").rename(folder / "tilta.com")
    com = (folder / "tilta.com").read_text().replace("ts.", "tsa.").replace("OFFSET 0", "OFFSET 2")
    (folder / "tilta.com").write_text(com)
    (folder / "ts.edf").write_text("Setup.DatasetName=ts\nSetup.AxisType=Dual Axis\n")
    for path in (folder, folder / "ts.edf"):
        both = read(path)
        assert both["experiment_id"].tolist() == ["tsa", "tsb"]
        assert_allclose(both["rotation_y"], [-1.01, -3.01])
    assert_allclose(read(folder / "tsa.xf")["rotation_y"], [-1.01])
    assert_allclose(read(folder / "tsb.xf")["rotation_y"], [-3.01])


def test_names_in_the_command_files_that_are_not_there(etomo):
    """Data are renamed: a lone alignment's command files are its own whatever they call it."""
    model = read(etomo(TILTFILE="X:/old/name.tlt", XTILTFILE="name.xtilt", OFFSET="1"))
    assert_allclose(model[ANGLES], [[1.5, -2.01, 85.3]], atol=1e-5)


def test_tilt_angles_elsewhere(etomo):
    folder = _without(etomo(TILTFILE=None), "ts.tlt")
    (folder / "ts.rawtlt").write_text("-4\n")
    with pytest.raises(ReadError, match=r"no tilt angles: .*ts.tlt does not exist.*tilt_angles="):
        read(folder)
    assert read(folder, tilt_angles=folder / "ts.rawtlt")["rotation_y"].tolist() == [-4]


def test_x_tilts_of_another_length_count_only_if_one_is_not_zero(etomo):
    folder = etomo(xf=FOUR, tlt="-3\n0\n3\n6\n", xtilt="0\n" * 3)
    with pytest.warns(GuessWarning, match="expected 4 tilts about x, found 3, all of them 0"):
        assert not read(folder)["rotation_x"].any()
    (folder / "ts.xtilt").write_text("0\n0\n0.1\n")
    with pytest.raises(ReadError, match=r"ts.xf has 4 views, ts.xtilt 3"):
        read(folder)


def test_a_local_file_that_is_the_global_one(etomo):
    """AreTomo3's export names the .xf itself."""
    read(etomo(LOCALFILE="ts.xf"))
    renamed = NEWST_COM.replace("ts.xf", "old.xf")
    read(etomo(LOCALFILE="old.xf", newst=renamed))
    with pytest.warns(LossWarning, match="local alignment of tslocal.xf"):
        read(etomo(LOCALFILE="tslocal.xf"))


def test_x_tilts_that_tilt_does_not_use(etomo):
    with pytest.warns(GuessWarning, match=r"up to 1.5° are there, but tilt.com has no XTILTFILE"):
        model = read(etomo(XTILTFILE=None))
    assert model["rotation_x"].tolist() == [0]
    assert read(etomo(XTILTFILE=None, xtilt="0\n"))["rotation_x"].tolist() == [0]
    # without tilt.com they are taken for used
    assert read(_without(etomo(xtilt="2\n"), "tilt.com"))["rotation_x"].tolist() == [2]
    with pytest.raises(ReadError, match=r"XTILTFILE: ts.xtilt is not in the directory"):
        read(_without(etomo(), "ts.xtilt"))


def test_the_raw_stack_tells_pixel_and_image_size(etomo):
    folder = etomo()
    (folder / "ts.mrc").write_bytes(stack_header(4092, 5760, 1))
    model = read(folder)
    assert model["pixel_spacing"].tolist() == [1.35]
    assert model.attrs["tilt_image_dimensions"] == {"ts": (4092, 5760)}
    assert read(folder, pixel_spacing=2)["pixel_spacing"].tolist() == [2]
    exact = read(folder, exact=True)
    assert_allclose(exact[["dx", "dy"]], [[11.553602, -3.239329]], atol=1e-3)
    (folder / "ts.mrc").write_bytes(stack_header(4092, 5760, 3))
    with pytest.warns(GuessWarning, match="1 transforms for the 3 images of ts.mrc"):
        read(folder)
    (folder / "ts.mrc").write_bytes(b"no image")
    assert read(folder)["pixel_spacing"].tolist() == [0]


def test_the_aligned_stack_tells_its_size(etomo):
    folder = _without(etomo(), "newst.com")
    (folder / "ts_ali.mrc").write_bytes(stack_header(4000, 5000, 1))
    assert read(folder).attrs["tomogram_dimensions"] == {"ts": (4000, 5000, 1200)}
    (folder / "ts_ali.mrc").unlink()
    blend = "$blendmont -StandardInput\nStartingAndEndingX 10,4009\nStartingAndEndingY 0 4999\n"
    (folder / "blend.com").write_text(blend + "TransformFile ts.xf\n")
    assert read(folder).attrs["tomogram_dimensions"] == {"ts": (4000, 5000, 1200)}
    folder = etomo(IMAGEBINNED=2)
    with pytest.warns(GuessWarning, match="BinByFactor 1, but tilt.com has IMAGEBINNED 2"):
        assert read(folder).attrs["tomogram_dimensions"] == {}


FOUR = "".join(VECTOR_XF.replace("2.215", f"{i}.215") for i in range(4))


@pytest.mark.parametrize(
    ("keyword", "value", "kept"),
    [
        ("EXCLUDELIST2", "1, 3-4", [1]),
        ("EXCLUDELIST", "2", [0, 2, 3]),
        ("EXCLUDE", "4-3", [0, 1]),
        ("excludelist2", "1,2", [2, 3]),
        ("INCLUDE", "2-3", [1, 2]),
    ],
)
def test_excluded_views_have_no_row(etomo, keyword, value, kept):
    folder = etomo(xf=FOUR, tlt="-3\n0\n3\n6\n", xtilt="0\n1\n2\n3\n", OFFSET="0.5")
    com = folder / "tilt.com"
    com.write_text(com.read_text().replace("PERPEN", f"{keyword} {value}\nPERPEN"))
    model = read(folder)
    assert model["tilt_index"].tolist() == kept
    assert_allclose(model["rotation_y"], [3 * i - 2.5 for i in kept])
    assert_allclose(model["rotation_x"], kept)
    gone = [i for i in range(4) if i not in kept]
    assert model.attrs["excluded"] == {"ts": gone}
    assert model.attrs["excluded_tilts"] == {"ts": [3 * i - 2.5 for i in gone]}


def test_lists_of_excluded_views_add_up(etomo):
    folder = etomo(xf=FOUR, tlt="-3\n0\n3\n6\n", xtilt="0\n" * 4)
    com = folder / "tilt.com"
    com.write_text(com.read_text().replace("PERPEN", "EXCLUDELIST2 1\nEXCLUDELIST2 3\nPERPEN"))
    assert read(folder)["tilt_index"].tolist() == [1, 3]


def test_angles_of_the_views_that_are_left(etomo):
    """Newer etomo cuts excluded views out: then the angles are those of the others."""
    folder = etomo(xf=FOUR, tlt="-3\n3\n6\n", xtilt="0\n" * 4, EXCLUDELIST2="2")
    model = read(folder)
    assert model["tilt_index"].tolist() == [0, 2, 3]
    assert_allclose(model["rotation_y"], [-3, 3, 6])


@pytest.mark.parametrize("name", ["ts.tlt", "ts.xtilt"])
@pytest.mark.parametrize("count", [2, 5])
def test_counts_that_differ_are_an_error(etomo, name, count):
    folder = etomo(xf=FOUR, tlt="-3\n0\n3\n6\n", xtilt="0\n" * 4, EXCLUDELIST2="2")
    (folder / name).write_text("".join(f"{i}\n" for i in range(count)))
    match = f"ts.xf has 4 views of which 1 are excluded, {name} {count}"
    with pytest.raises(ReadError, match=match):
        read(folder)


def test_a_view_that_is_not_there(etomo):
    with pytest.raises(ReadError, match=r"tilt.com: view 7 is excluded, but ts.xf has 1"):
        read(etomo(EXCLUDELIST2="7"))
    with pytest.raises(ReadError, match=r"line 4, EXCLUDELIST2: expected views such as 1-3,7"):
        read(etomo(EXCLUDELIST2="a-b"))


def test_etomo_s_own_list_where_there_is_no_tilt_com(etomo):
    folder = _without(etomo(xf=FOUR, tlt="-3\n0\n3\n6\n", xtilt="0\n" * 4), "tilt.com")
    (folder / "ts.edf").write_text(
        "Setup.DatasetName=ts\nSetup.AxisA.ExcludeProjections=1-2,4\nSetup.ImageRotationA=12\n"
    )
    model = read(folder)
    assert model["tilt_index"].tolist() == [2]
    assert_allclose(model["rotation_z"], [85.3], atol=1e-5)  # not the nominal 12


def test_views_are_listed_as_imod_does(tmp_path):
    assert parse_views("1-3, 7", tmp_path, "") == [1, 2, 3, 7]
    assert parse_views("", tmp_path, "") == []
    assert join_views([7, 1, 2, 3]) == "1-3,7"


def test_magnification_and_stretch_are_named_with_their_size(etomo):
    matrix = 1.02 * np.array([[0.0819385, 0.9966374], [-0.9966374, 0.0819385]])
    row = " ".join(map(repr, [*matrix.ravel().tolist(), 2.0, 12.0])) + "\n"
    with pytest.warns(LossWarning, match="cannot hold magnification 1.02, 20 px per 1000 px"):
        model = read(etomo(xf=row))
    assert_allclose(model["imod_magnification"], [1.02], atol=1e-6)
    assert_allclose(model["rotation_z"], [85.3], atol=1e-5)
    assert_allclose(model[["dx", "dy"]], [-np.linalg.solve(matrix, [2.0, 12.0])])
    with pytest.warns(LossWarning, match="magnification 1.02, 18 px at the edge"):
        read(etomo(xf=row), tilt_image_dimensions=(1800, 1700))
    stretched = np.diag([1.01, 1 / 1.01]) @ matrix / 1.02
    row = " ".join(map(repr, [*stretched.ravel().tolist(), 0.0, 0.0])) + "\n"
    with pytest.warns(LossWarning, match=r"cannot hold stretch of 0.01\d*, (9|10|9.\d|20) px"):
        read(etomo(xf=row), tilt_image_dimensions=(2000, 1700))


def test_what_is_not_rigid_is_named(etomo):
    newst = NEWST_COM.replace("#Dist", "Dist") + "OffsetsInXandY 3,0\n"
    with pytest.warns(LossWarning, match=(
        "the local alignment of tslocal.xf; the Z factors of ts.zfac; the distortion correction of "
        ".idf; OffsetsInXandY 3, 0 of the aligned stack"
    )):  # fmt: skip
        read(etomo(newst=newst, LOCALFILE="tslocal.xf", ZFACTORFILE="ts.zfac"))


def test_old_command_files_without_keywords_for_their_files(etomo):
    """The inputs come first and DONE ends them."""
    com = "$tilt\nts.ali\nts.rec\nTHICKNESS 100\nTILTFILE ts.tlt\nOFFSET 1.5\nDONE\n"
    model = read(etomo(com=com, xtilt="0\n"))
    assert_allclose(model["rotation_y"], [-1.51])
    assert model.attrs["tomogram_dimensions"] == {"ts": (4096, 5760, 100)}


def test_further_columns_of_angles_are_kept(etomo):
    model = read(etomo(tlt="-3.01 117\n\n"))
    assert model["tlt_column_2"].tolist() == [117]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"xf": ""}, "ts.xf: the file is empty"),
        ({"xf": "1 0 0 1 0\n"}, "line 1: expected 6 numbers, found 5"),
        ({"xf": "1 0 0 1 0 x\n"}, "line 1, DY: expected a number, found 'x'"),
        ({"xf": "1 0 0 1 0 nan\n"}, "line 1, DY: expected a finite number, found nan"),
        ({"xf": "1 0 0 -1 0 0\n"}, r"view 1: expected a rotation, found .* of determinant -1"),
        ({"xf": "0 0 0 0 0 0\n"}, "view 1: expected a rotation"),
        ({"tlt": ""}, "ts.tlt: the file is empty"),
        ({"tlt": "1.5e24\n"}, r"expected tilt angles in degrees, found 1.5e\+24"),
        ({"tlt": "one\n"}, "line 1, column 1: expected a number, found 'one'"),
        ({"com": TILT_COM.replace("OFFSET 0.0", "OFFSET x")}, "line 12, OFFSET: expected a finite"),
        ({"com": TILT_COM.replace("OFFSET 0.0", "OFFSET")}, "OFFSET: expected 1 to 2 numbers"),
        ({"com": TILT_COM.replace("1200", "1e300")}, "line 9, THICKNESS: expected a finite"),
        ({"com": TILT_COM.replace("1200", "1e20")}, "THICKNESS: expected pixels, found"),
        ({"com": TILT_COM.replace("OFFSET 0.0", "SLICE 9 3")}, "SLICE: 9 is after 3"),
        ({"xf": "1e30 1 0 1 0 0\n"}, "row 1, A11: expected a number below"),
        ({"xf": "1e20 1 0 1e20 0 0\n"}, "view 1: expected a rotation"),
        ({"tlt": "\x1c\n"}, "ts.tlt: line 1, column 1: expected a number"),
        ({"newst": NEWST_COM.replace(",5760", "")}, "SIZETOOUTPUTINXANDY: expected 2 numbers"),
    ],
)
def test_damage_is_named(etomo, files, message):
    with pytest.raises(ReadError, match=message):
        read(etomo(**files))


@pytest.mark.parametrize("name", ["ts.xf", "ts.tlt", "ts.xtilt", "tilt.com", "newst.com"])
def test_every_prefix_and_every_damaged_byte(etomo, name):
    """A ReadError, or something valid; nothing else. Each place has one of three damages."""
    folder = etomo(xf=FOUR, tlt="-3\n0\n3\n6\n", xtilt="0\n" * 4, EXCLUDELIST2="2")
    whole = (folder / name).read_bytes()
    damaged = [
        whole[:k] + (b"", b"\xff" + whole[k + 1 :], b"9" + whole[k + 1 :])[k % 3]
        for k in range(len(whole))
    ]
    for content in damaged:
        (folder / name).write_bytes(content)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("warnings.warn", lambda *_, **__: None)
            with contextlib.suppress(ReadError):
                cryotypes.validate_projection_model(read(folder / "ts.xf"))


@pytest.mark.parametrize(
    ("tlt", "doubt"),
    [
        ("91\n2\n3\n4\n", "a tilt angle of 91° is outside ±90°"),
        ("0\n0\n0\n0\n", "all tilt angles are zero"),
        ("1\n2\n2\n4\n", "the tilt angle 2° stands 2 times"),
    ],
)
def test_angles_that_look_wrong(etomo, tlt, doubt):
    with pytest.warns(GuessWarning, match=doubt):
        read(etomo(xf=FOUR, tlt=tlt, xtilt="0\n" * 4))


@pytest.mark.parametrize("n", [1, 3, 101])
def test_round_trip(tmp_path, n):
    """Angles exactly but for the transforms' seven digits, shifts to half a thousandth."""
    model = model_of(n)
    write(model, tmp_path / "ts.xf")
    again = read(tmp_path)
    assert_allclose(again[["rotation_x", "rotation_y"]], model[["rotation_x", "rotation_y"]], 0, 0)
    assert_allclose(again["rotation_z"], model["rotation_z"], atol=1e-5)
    assert_allclose(again[["dx", "dy"]], model[["dx", "dy"]], atol=1e-3)


def test_excluded_images_get_identity_rows(tmp_path):
    model = model_of(3, tilt_index=[4, 1, 2])
    model.attrs = {"excluded": {"ts": [0, 5]}, "excluded_tilts": {"ts": [-66.0, 66.0]}}
    report = write(model, tmp_path / "ts.xf")
    lines = (tmp_path / "ts.xf").read_text().splitlines()
    identity = "   1.0000000   0.0000000   0.0000000   1.0000000       0.000       0.000"
    assert [i for i, line in enumerate(lines) if line == identity] == [0, 3, 5]
    assert "EXCLUDELIST2 1,4,6" in (tmp_path / "ts_tilt.com").read_text()
    angles = [float(a) for a in (tmp_path / "ts.tlt").read_text().split()]
    assert_allclose(angles[:3], [-66, -0.0625, 60])
    assert (angles[4], angles[5]) == (-60.125, 66)
    assert "interpolated for 1 of them, the first at position 3" in str(report)
    again = read(tmp_path)
    expected = model.sort_values("tilt_index")
    assert again["tilt_index"].tolist() == [1, 2, 4]
    assert_allclose(again[["dx", "dy"]], expected[["dx", "dy"]], atol=1e-3)
    assert again.attrs["excluded"] == {"ts": [0, 3, 5]}
    write(again, tmp_path / "ts.xf", overwrite=True)
    assert (tmp_path / "ts.xf").read_text().splitlines() == lines


def test_more_images_than_are_known(tmp_path):
    """Of a model that says which images it has, and not how many there are."""
    model = model_of(3, tilt_index=[2, 3, 4])
    with pytest.warns(GuessWarning, match=r"images at 2 pos.*image 5 is the last.*-O images="):
        write(model, tmp_path / "ts.xf")
    assert len((tmp_path / "ts.xf").read_text().splitlines()) == 5
    write(model, tmp_path / "ts.xf", images=7, overwrite=True)
    assert len((tmp_path / "ts.xf").read_text().splitlines()) == 7
    assert len((tmp_path / "ts.tlt").read_text().split()) == 7
    assert "EXCLUDELIST2 1-2,6-7" in (tmp_path / "ts_tilt.com").read_text()
    assert read(tmp_path).attrs["excluded"] == {"ts": [0, 1, 5, 6]}
    with pytest.raises(WriteError, match="images=4: the model has an image 5"):
        write(model, tmp_path / "ts.xf", images=4, overwrite=True)


def test_rows_in_the_order_of_acquisition(tmp_path):
    with pytest.warns(GuessWarning, match="in no order of tilt"):
        report = write(model_of(3, rotation_y=[0.0, 3.0, -3.0]), tmp_path / "ts.xf")
    assert "row n is image n" in report.assumed["order of the images"]
    assert (tmp_path / "ts.tlt").read_text() == "0.0\n3.0\n-3.0\n"
    model = model_of(3, rotation_y=[0.0, 3.0, -3.0], tilt_index=[1, 2, 0])
    report = write(model, tmp_path / "ts.xf", overwrite=True)
    assert "order of the images" not in report.assumed


def test_half_pixels_are_written_where_the_tomogram_is_known(tmp_path):
    model = model_of(5)
    with pytest.warns(GuessWarning, match=r"size of the tomogram is not known.*up to 1.\d px off"):
        cryotypes.write(model, tmp_path / "ts.xf")
    plain = (tmp_path / "ts.xf").read_text()
    model.attrs["tomogram_dimensions"] = {"ts": (200, 240, 80)}
    with pytest.warns(GuessWarning, match=r"of the tilt images is not known; assumed to be even"):
        report = cryotypes.write(model, tmp_path / "ts.xf", overwrite=True)
    assert report.assumed["tilt_image_dimensions"] == "even"
    even = (tmp_path / "ts.xf").read_text()
    cryotypes.write(model, tmp_path / "ts.xf", overwrite=True, tilt_image_dimensions=(240, 200))
    assert (tmp_path / "ts.xf").read_text() == even != plain
    cryotypes.write(model, tmp_path / "ts.xf", overwrite=True, exact=False)
    assert (tmp_path / "ts.xf").read_text() == plain
    with pytest.raises(WriteError, match=r"needs tilt_image_dimensions= \(--tilt-image-size\)"):
        cryotypes.write(model, tmp_path / "ts.xf", overwrite=True, exact=True)


def test_what_was_read_is_written_back(etomo, tmp_path):
    """Magnification included; OFFSET and XAXISTILT are in the angles then."""
    matrix = 1.02 * np.array([[0.0819385, 0.9966374], [-0.9966374, 0.0819385]])
    row = ("%12.7f" * 4 + "%12.3f" * 2 + "\n") % (*matrix.ravel(), 2.0, 12.0)
    with pytest.warns(LossWarning, match="magnification"):
        model = read(etomo(xf=row, OFFSET="2"))
    folder = tmp_path / "out"
    folder.mkdir()
    report = write(model, folder / "ts.xf")
    assert (folder / "ts.xf").read_text() == row
    assert float((folder / "ts.tlt").read_text()) == pytest.approx(-1.01)
    assert "columns" not in report.lost


def test_a_model_read_exactly_is_written_exactly(etomo, tmp_path):
    model = read(etomo(), exact=True, tilt_image_dimensions=(4092, 5760))
    (tmp_path / "out").mkdir()
    cryotypes.write(model, tmp_path / "out" / "ts.xf")
    assert (tmp_path / "out" / "ts.xf").read_text() == VECTOR_XF
    write(model, tmp_path / "out" / "ts.xf", exact=False, overwrite=True)
    simple = read(tmp_path / "out")
    assert_allclose(simple[["dx", "dy"]], model[["dx", "dy"]], atol=1e-3)
    model.attrs["tomogram_dimensions"] = {}
    with pytest.raises(WriteError, match="exact=True needs tomogram_dimensions="):
        cryotypes.write(model, tmp_path / "out" / "ts.xf", overwrite=True)


def test_a_swapped_volume_is_written_as_such(etomo, tmp_path):
    model = read(etomo(), volume="yz")
    (tmp_path / "out").mkdir()
    write(model, tmp_path / "out" / "ts.xf")
    assert float((tmp_path / "out" / "ts.tlt").read_text()) == -3.01
    assert "PARALLEL\n" in (tmp_path / "out" / "ts_tilt.com").read_text()
    assert_allclose(read(tmp_path / "out", volume="yz")[ANGLES], model[ANGLES], atol=1e-5)


def test_what_cannot_be_written(tmp_path):
    path = tmp_path / "ts.xf"
    with pytest.raises(WriteError, match=r"holds one experiment, found 'a' and 'b'.*experiment_id"):
        write(model_of(2, experiment_id=["a", "b"]), path)
    with pytest.raises(WriteError, match="no alignment of no images"):
        write(model_of(0), path)
    with pytest.raises(WriteError, match=r"ends in .xf, found 'ts.com'"):
        write(model_of(2), tmp_path / "ts.com")
    with pytest.raises(WriteError, match="tilt_index: a position stands twice"):
        write(model_of(2, tilt_index=[1, 1]), path)
    with pytest.raises(WriteError, match="tilt_index: expected positions"):
        write(model_of(2, tilt_index=[1, -1]), path)
    with pytest.raises(WriteError, match="million"):
        write(model_of(2, dx=1e7), path)
    assert list(tmp_path.iterdir()) == []


def test_losses_are_reported(tmp_path):
    model = model_of(2, pixel_spacing=1.35, dose=3.0, experiment_id="other")
    model.attrs["tilt_image_dimensions"] = {"other": (400, 300)}
    with pytest.warns(LossWarning, match=r"imod-xf cannot keep .*dose"):
        report = cryotypes.write(model, tmp_path / "ts.xf", exact=False)
    assert set(report.lost) == {"pixel_spacing", "columns", "experiment_id"}
    assert "tilt_image_dimensions" in report.kept


@pytest.mark.parametrize("name", ["ts.xf", "ts.tlt", "ts.xtilt", "ts_tilt.com", "ts_newst.com"])
def test_nothing_is_written_if_one_file_exists(tmp_path, name):
    (tmp_path / name).write_text("mine")
    model = model_of(2)
    model.attrs["tomogram_dimensions"] = {"ts": (10, 10, 10)}
    with pytest.raises(FileExistsError, match=name):
        write(model, tmp_path / "ts.xf")
    assert [p.name for p in tmp_path.iterdir()] == [name]
    write(model, tmp_path / "ts.xf", overwrite=True)
    assert (tmp_path / name).read_text() != "mine"


def test_convert_several_series_to_a_file_each(tmp_path):
    both = pd.concat([model_of(2), model_of(3, experiment_id="other")])
    for name, part in both.groupby("experiment_id"):
        write(part, tmp_path / f"{name}.xf")
    (tmp_path / "copy").mkdir()
    paths = [tmp_path / "ts.xf", tmp_path / "other.xf"]
    reports = cryotypes.convert(paths, tmp_path / "copy" / "{experiment_id}.xf", exact=False)
    assert len(reports) == 2
    assert_allclose(read(tmp_path / "copy" / "other.xf")["dx"], model_of(3)["dx"], atol=1e-3)


@pytest.mark.parametrize(
    ("name", "data", "found"),
    [
        ("a.xf", VECTOR_XF.encode(), True),
        ("A.XF", VECTOR_XF.encode(), True),
        ("a.txt", VECTOR_XF.encode(), False),
        ("a.xf", b"1 2 3\n", False),
        ("a.xf", b"a b c d e f\n", False),
        ("a.xf", b"", False),
        ("a.xf", b"\0" * 100, False),
        ("tilt.com", TILT_COM.encode(), True),
        ("newst.com", NEWST_COM.encode(), False),
        ("a.edf", b"#\nSetup.DatasetName=a\n", True),
        ("a.edf", b"0       X X X X", False),
    ],
)
def test_sniff(tmp_path, name, data, found):
    assert imod_xf.FORMAT.sniff(Head(tmp_path / name, data)) is found


def test_a_real_directory(shared_data):
    """Read as one, whichever file is named; with half pixels of its binning by 4."""
    folder = shared_data / "imod_alignment" / "tilt_1"
    model = read(folder)
    assert len(model) == 59
    assert_allclose(model.loc[0, [*ANGLES]].astype(float), [0, -52.24, -100.4477], atol=1e-4)
    assert model.attrs["tomogram_dimensions"] == {"tilt_1": (3712, 3832, 2000)}
    for name in ("tilt_1.xf", "tilt.com", "tilt_1"):
        assert_allclose(read(folder / name)["dx"], model["dx"])
    exact = cryotypes.read_projection_model(folder)
    assert exact.attrs["imod"]["tilt_1"]["exact"]
    tlt = np.loadtxt(folder / "tilt_1.tlt")
    xf = np.loadtxt(folder / "tilt_1.xf")
    facts = {"raw": (3832, 3708), "ali": (928, 958), "volume": (928, 958, 500), "b": 4,
             "full": (3708, 3832), "subset": (-2, 0)}  # fmt: skip
    points = np.random.default_rng(1).uniform(0, 1, (10, 3)) * facts["volume"]
    truth = imod_projects(points, xf[:, :4].reshape(-1, 2, 2), xf[:, 4:], tlt, tlt * 0, **facts)
    matrices = matrices_of(exact, (1916, 1854), (3712, 3832, 2000))
    found = np.einsum("nij,pj->npi", matrices, np.c_[points * 4, np.ones(10)])[..., :2]
    assert_allclose(found, truth, atol=3e-3)  # the file's matrices are rotations to six digits


def test_a_real_directory_comes_back_as_it_was(shared_data, tmp_path):
    folder = shared_data / "imod_alignment" / "tilt_1"
    report = cryotypes.convert(folder, tmp_path / "tilt_1.xf")[0]
    assert not report.lost
    assert_allclose(np.loadtxt(tmp_path / "tilt_1.xf"), np.loadtxt(folder / "tilt_1.xf"), atol=2e-6)
    assert_allclose(np.loadtxt(tmp_path / "tilt_1.tlt"), np.loadtxt(folder / "tilt_1.tlt"))


def test_signs_against_relion_s_own_import(shared_data):
    """TS_03 was aligned twice: the angles agree, and shifts move together."""
    imod = read(shared_data / "imod_alignment" / "TS_03" / "TS_03.xf")
    relion = cryotypes.read_projection_model(
        shared_data / "relion5_project" / "AlignTiltSeries" / "job005" / "aligned_tilt_series.star"
    )
    relion = relion[relion["experiment_id"] == "TS_03"].sort_values("rotation_y")
    if len(relion) != len(imod):
        pytest.skip(f"expected {len(imod)} images of TS_03, found {len(relion)}")
    assert_allclose(imod["rotation_y"], relion["rotation_y"], atol=0.02)
    assert np.abs(imod["rotation_z"].to_numpy() - relion["rotation_z"].to_numpy()).max() < 0.03
    for name in ("dx", "dy"):
        assert np.corrcoef(imod[name], relion[name])[0, 1] > 0.99
