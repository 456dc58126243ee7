"""DM3 and DM4 files, written here by hand, tag by tag, and damage.

Laid out as C. Boothroyd and G. Jefferis describe the tags; RosettaSciIO and dm4 read them.
"""

from __future__ import annotations

import contextlib
import json
import math
import struct
import time
import tracemalloc
import warnings

import numpy as np
import pytest
from click.testing import CliRunner

import cryotypes as ct
from cryotypes.cli import main
from cryotypes.errors import GuessWarning, ReadError
from cryotypes.formats.images import dm_image, mrc
from cryotypes.formats.shared.declaration import Head
from cryotypes.testing import check_format

read = dm_image.FORMAT.read

# Numbers of the encoded types, and how struct writes them.
SHORT, LONG, USHORT, ULONG, FLOAT, DOUBLE, BOOL, OCTET, INT64 = 2, 3, 4, 5, 6, 7, 8, 10, 11
CODES = {2: "h", 3: "i", 4: "H", 5: "I", 6: "f", 7: "d", 8: "B", 9: "b", 10: "B", 11: "q", 12: "Q"}
STRUCT, ARRAY = 15, 20
# numpy's name to the number of DataType, and the type that the array of pixels is said to be of.
PIXELS = {
    "int16": (1, 2), "float32": (2, 6), "uint8": (6, 10), "int32": (7, 3), "int8": (9, 9),
    "uint16": (10, 4), "uint32": (11, 5), "float64": (12, 7), "complex64": (3, None),
}  # fmt: skip


# --- the writer: a group is a list of (name, content), a tag is (kind, content) ---


def one(kind, value):
    return [kind], struct.pack("<" + CODES[kind], value)


def text(value):
    return array(USHORT, value.encode("utf-16-le"))


def array(kind, content):
    return [ARRAY, kind, len(content) // struct.calcsize(CODES[kind])], content


def fields(kind, *values):
    description = [n for _ in values for n in (0, kind)]
    content = struct.pack(f"<{len(values)}{CODES[kind]}", *values)
    return [STRUCT, 0, len(values), *description], content


def number(version, *values):
    return struct.pack(f">{len(values)}{'I' if version == 3 else 'Q'}", *values)


def entry(version, name, content):
    """A group or a tag; DM4 counts the bytes behind the count."""
    is_group = isinstance(content, list)
    if is_group:
        body = group(version, content)
    else:
        info, data = content
        body = b"%%%%" + number(version, len(info), *info) + data
    size = number(4, len(body)) if version == 4 else b""
    label = name.encode("latin-1")
    return bytes([20 if is_group else 21]) + struct.pack(">H", len(label)) + label + size + body


def group(version, entries):
    content = b"".join(entry(version, name, content) for name, content in entries)
    return b"\1\0" + number(version, len(entries)) + content


def dm(version, root, little=1):
    tags = group(version, root)
    length = len(tags) + 4 * (version == 3)  # of the file, but for 16 (DM3) or 24 bytes (DM4)
    head = struct.pack(">I", version) + number(version, length) + struct.pack(">I", little)
    return head + tags + bytes(8)


def calibration(scale=1.0, units="", origin=0.0):
    return [("Origin", one(FLOAT, origin)), ("Scale", one(FLOAT, scale)), ("Units", text(units))]


def image(data, axes=(), tags=(), name="", data_type=None, sizes=None, stored=None):
    """An entry of ImageList; ``axes`` are scale and units of x, y, z."""
    code, kind = PIXELS.get(data.dtype.name, (23, ULONG))
    raw = data.astype(data.dtype.newbyteorder("<")).tobytes()
    pixels = fields_of_pixels(raw) if kind is None else array(kind, raw)
    if stored is not None:
        pixels = ([*pixels[0][:-1], stored], raw)
    return [
        ("ImageData", [
            ("Calibrations", [
                ("Brightness", calibration(0.5, "e-", 7)),
                ("Dimension", [("", calibration(*axis)) for axis in axes]),
                ("DisplayCalibratedUnits", one(BOOL, 1)),
            ]),
            ("Data", pixels),
            ("DataType", one(ULONG, code if data_type is None else data_type)),
            ("Dimensions", [("", one(ULONG, n)) for n in sizes or data.shape[::-1]]),
            ("PixelDepth", one(ULONG, data.itemsize)),
        ]),
        ("ImageTags", list(tags)),
        ("Name", text(name)),
        ("UniqueID", [("", one(ULONG, n)) for n in (1, 2, 3, 4)]),
    ]  # fmt: skip


def fields_of_pixels(raw):
    return [ARRAY, STRUCT, 0, 2, 0, FLOAT, 0, FLOAT, len(raw) // 8], raw


THUMBNAIL = image(np.full((4, 6), 0x00FF00FF, "V4"), [(1, ""), (1, "")], name="Image Of a")


def document(images, thumbnails=(0,)):
    """A whole tree, as DigitalMicrograph orders it."""
    return [
        ("ApplicationBounds", fields(LONG, 0, 0, 800, 1200)),
        ("DocumentObjectList", [("", [("AnnotationType", one(ULONG, 20))])]),
        ("ImageList", [("", content) for content in images]),
        ("NextDocumentObjectID", one(ULONG, 9)),
        ("Thumbnails", [("", [("ImageIndex", one(ULONG, n))]) for n in thumbnails]),
    ]


NM = [(0.27, "nm"), (0.27, "nm")]


def simple(data, axes=None, version=4, **more):
    axes = [*NM, (1, "")][: data.ndim] if axes is None else axes
    return dm(version, document([THUMBNAIL, image(data, axes, **more)]))


def numbers(shape, dtype="uint16"):
    rng = np.random.default_rng(0)
    if np.dtype(dtype).kind in "iu":
        info = np.iinfo(dtype)
        data = rng.integers(info.min, info.max, shape, dtype, endpoint=True)
        data.flat[0], data.flat[-1] = info.min, info.max
        return data
    return rng.normal(size=shape).astype(dtype)


def quietly(function, *args, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GuessWarning)
        return function(*args, **options)


# --- values, axes, rows ---


@pytest.mark.parametrize("flip_y", [True, False])
@pytest.mark.parametrize(
    ("shape", "stack"), [((5, 7), False), ((3, 5, 7), True), ((3, 1, 1), True)]
)
@pytest.mark.parametrize("dtype", [name for name in PIXELS if name != "complex64"])
@pytest.mark.parametrize("version", [3, 4])
def test_by_hand(save, version, dtype, shape, stack, flip_y):
    data = numbers(shape, dtype)
    path = save(simple(data, version=version), f"TS_01.dm{version}")
    assert dm_image.sniff(Head.of(path))
    back = ct.read_image(path, flip_y=flip_y)
    expected = data[..., ::-1, :] if flip_y else data
    np.testing.assert_array_equal(back.data, expected, strict=True)
    assert isinstance(back.data, np.memmap)
    assert not back.data.flags.writeable
    assert (back.stack, back.experiment_id, back.pixel_spacing) == (stack, "TS_01", 2.7)
    assert back.source == path


def test_the_first_row_is_the_top_one(save):
    """As IMOD and EMAN2 have it, it is the last one of an MRC file."""
    data = np.arange(6, dtype="uint8").reshape(3, 2)
    path = save(simple(data), "a.dm4")
    assert data.tobytes() in path.read_bytes()
    assert read(path).data.tolist() == [[4, 5], [2, 3], [0, 1]]
    assert read(path, flip_y=False).data.tolist() == [[0, 1], [2, 3], [4, 5]]


def test_stack_or_volume(save):
    data = numbers((3, 5, 7))
    path = save(simple(data, axes=[*NM, (1, "s")]), "a.dm4")
    assert read(path).stack is True
    assert read(path, stack=False).stack is False
    path = save(simple(data, axes=[*NM, (0.27, "nm")]), "a.dm4")
    assert read(path).stack is False
    assert read(path, stack=True).stack is True
    path = save(simple(data, axes=NM), "a.dm4")  # as scripts write: two of three are calibrated
    assert (read(path).stack, read(path).pixel_spacing) == (True, 2.7)


@pytest.mark.parametrize("shape", [(5, 7), (1, 5, 7), (1, 1, 1, 5, 7)])
def test_one_section(save, shape):
    data = numbers(shape)
    path = save(simple(data, axes=NM), "a.dm4")
    assert read(path).stack is False
    np.testing.assert_array_equal(read(path).data, data.reshape(5, 7)[::-1])
    assert read(path, stack=True).stack is True
    np.testing.assert_array_equal(read(path, stack=True).data, data.reshape(1, 5, 7)[:, ::-1])


def with_a_hole(save, sizes):
    """A file with so many zeros for its pixels, which take no room on the disk; and its start."""
    marker, size = b"here are pixels!", math.prod(sizes)
    pixels = np.frombuffer(marker, "u1").reshape(4, 4)
    before, after = simple(pixels, axes=NM, sizes=sizes, stored=size).split(marker)
    length = number(4, len(before) + size + len(after) - 24)
    before = before[:4] + length + before[12:]
    path = save(before, "large.dm4")
    with path.open("r+b") as file:
        file.seek(len(before) + size)
        file.write(after)
    return path, before


def test_movies_of_many_gigabytes_open_at_once(save):
    path, _ = with_a_hole(save, (5760, 4092, 500))
    if path.stat().st_blocks * 512 > 1 << 20:
        pytest.skip("the file system has no sparse files")
    began = time.monotonic()
    found = read(path)
    assert time.monotonic() - began < 1
    assert isinstance(found.data, np.memmap)
    assert (found.data.shape, found.stack) == ((500, 4092, 5760), True)
    assert not found.data[499, ::100].any()


# --- pixel spacing ---


@pytest.mark.parametrize(
    ("scale", "units", "spacing"),
    [(0.27, "nm", 2.7), (0.00027, "\N{MICRO SIGN}m", 2.7), (0.00027, "um", 2.7),
     (0.00027, "\N{GREEK SMALL LETTER MU}m", 2.7), (2.7, "\N{ANGSTROM SIGN}", 2.7),
     (2.7, "\N{LATIN CAPITAL LETTER A WITH RING ABOVE}", 2.7), (2.7, "A", 2.7), (270, "pm", 2.7),
     (0.1234567, "nm", 1.234567), (1, "nm", 10)],
)  # fmt: skip
@pytest.mark.parametrize("version", [3, 4])
def test_pixel_spacing(save, version, scale, units, spacing):
    path = save(simple(numbers((5, 7)), [(scale, units)] * 2, version), "a.dm3")
    assert read(path).pixel_spacing == spacing
    assert read(path, pixel_spacing=1.5).pixel_spacing == 1.5
    assert read(path).metadata["units"] == (units, units)


@pytest.mark.parametrize(
    ("axes", "spacing", "said"),
    [([(1, "")] * 2, 0, "no pixel spacing"), ([], 0, "no pixel spacing"),
     ([(0.17, "1/nm")] * 2, 0, "'1/nm', which is no length"), ([(1, "eV")] * 2, 0, "'eV'"),
     ([(-0.27, "nm")] * 2, 0, "no pixel"), ([(0, "nm")] * 2, 0, "no pixel"),
     ([(math.nan, "nm")] * 2, 0, "no pixel"), ([(math.inf, "nm")] * 2, 0, "no pixel"),
     ([(0.27, "nm"), (0.28, "nm")], 2.7, "2.7 Å along x but 2.8 Å along y"),
     ([(0.27, "nm"), (1, "")], 2.7, "unknown along y"),
     ([*NM, (0.5, "nm")], 2.7, "2.7 Å along x but 5 Å along z")],
)  # fmt: skip
def test_doubtful_pixel_spacing(save, axes, spacing, said):
    data = numbers((3, 5, 7) if len(axes) == 3 else (5, 7))
    path = save(simple(data, axes), "a.dm4")
    with pytest.warns(GuessWarning, match="pixel_spacing=") as caught:
        assert read(path).pixel_spacing == spacing
    assert len(caught) == 1
    assert said in str(caught[0].message)
    assert caught[0].filename == __file__
    assert read(path, pixel_spacing=3).pixel_spacing == 3
    with pytest.raises(ValueError, match="pixel_spacing"):
        read(path, pixel_spacing=-1)


def test_units_of_different_names_may_be_the_same(save):
    axes = [(0.27, "nm"), (0.00027, "µm")]
    assert read(save(simple(numbers((5, 7)), axes), "a.dm4")).pixel_spacing == 2.7


# --- which image ---


@pytest.mark.parametrize("thumbnails", [(0,), ()])
def test_thumbnails(save, thumbnails):
    data = numbers((5, 7))
    path = save(dm(4, document([THUMBNAIL, image(data, NM)], thumbnails)), "a.dm4")
    np.testing.assert_array_equal(read(path).data, data[::-1])
    assert (read(path).metadata["images"], read(path).metadata["index"]) == (1, 0)
    path = save(dm(4, document([image(data, NM)], thumbnails)), "a.dm4")  # it was left away
    np.testing.assert_array_equal(read(path).data, data[::-1])
    path = save(dm(4, document([THUMBNAIL], thumbnails)), "a.dm4")
    with pytest.raises(ReadError, match="6 × 4 of colours"):
        read(path)


def test_a_grey_thumbnail_behind_the_image(save):
    data, small = numbers((5, 7)), numbers((2, 3), "uint8")
    path = save(dm(3, document([image(data, NM), image(small, NM)], (1,))), "a.dm3")
    np.testing.assert_array_equal(read(path).data, data[::-1])


def test_several_images(save):
    first, second, line = numbers((5, 7)), numbers((3, 4, 6), "int8"), numbers((9,), "float32")
    images = [THUMBNAIL, image(first, NM), image(second, NM), image(line, NM[:1])]
    path = save(dm(4, document(images)), "a.dm4")
    listing = r"0: 7 × 5 of uint16; 1: 6 × 4 × 3 of int8; 2: 9 of float32"
    with pytest.raises(ReadError, match=f"several images, {listing}; choose with index="):
        read(path)
    np.testing.assert_array_equal(read(path, index=0).data, first[::-1])
    np.testing.assert_array_equal(read(path, index=1).data, second[:, ::-1])
    assert read(path, index=1).metadata["index"] == 1
    with pytest.raises(ReadError, match="found 9 of float32"):
        read(path, index=2)
    for index in (3, -1):
        with pytest.raises(ReadError, match=f"no image {index}; the file has {listing}"):
            read(path, index=index)
    path = save(dm(4, document([THUMBNAIL, image(line, NM[:1]), image(first, NM)])), "a.dm4")
    np.testing.assert_array_equal(read(path).data, first[::-1])  # the only one that is an image


# --- what is refused ---


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"data_type": 3}, "complex numbers"), ({"data_type": 13}, "complex numbers"),
     ({"data_type": 5}, "packed complex"), ({"data_type": 27}, "packed complex"),
     ({"data_type": 23}, "colours"), ({"data_type": 8}, "colours"), ({"data_type": 0}, "type 0"),
     ({"data_type": 99}, "type 99"), ({"sizes": (35,)}, "35 of uint16"),
     ({"sizes": (7, 5, 1, 2)}, "7 × 5 × 1 × 2 of uint16"), ({"sizes": (7, 0)}, "7 × 0"),
     ({"sizes": (7, 6)}, "84 bytes, there are 70"), ({"sizes": (7, 4)}, "56 bytes"),
     ({"sizes": (1 << 31, 1 << 31)}, "damaged"), ({"data_type": 2}, "140 bytes, there are 70"),
     ({"tags": [("Meta Data", [("Format", text("Spectrum image"))])]}, "found spectra")],
)  # fmt: skip
@pytest.mark.parametrize("version", [3, 4])
def test_other_data(save, version, changes, said):
    path = save(simple(numbers((5, 7)), NM, version, **changes), "a.dm4")
    with pytest.raises(ReadError, match=said):
        read(path)


def test_complex_pixels(save):
    data = numbers((5, 7)).astype("complex64")
    with pytest.raises(ReadError, match="expected real numbers, found 7 × 5 of complex numbers"):
        read(save(simple(data), "a.dm4"))


def test_no_image(save):
    with pytest.raises(ReadError, match="tags alone"):
        read(save(dm(4, document([])), "a.dm4"))
    with pytest.raises(ReadError, match="tags alone"):
        read(save(dm(4, [("Note", text("a"))]), "a.dm4"))


def test_other_bytes(save):
    whole = simple(numbers((5, 7)))
    for content in (b"", b"\0\0\0\4", bytes(100), whole[1:], b"\0\0\0\5" + whole[4:],
                    b"\x1f\x8b" + whole, whole[:12] + b"\0\0\0\2" + whole[16:]):  # fmt: skip
        path = save(content, "a.dm4")
        assert not dm_image.sniff(Head(path, content))
        with pytest.raises(ReadError, match="expected a DM3 or DM4 file"):
            read(path)
    path = save(dm(4, document([image(numbers((5, 7)), NM)]), little=0), "mac.dm4")
    assert dm_image.sniff(Head.of(path))
    with pytest.raises(ReadError, match="big-endian"):
        read(path)


def test_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none.dm4")
    (tmp_path / "folder.dm4").mkdir()
    with pytest.raises(OSError, match="folder"):
        read(tmp_path / "folder.dm4")


def test_no_package_is_needed():
    assert dm_image.FORMAT.needs == ()


# --- metadata ---


def test_metadata(save):
    tags = [
        ("Microscope Info", [("Voltage", one(DOUBLE, 3e5)), ("Name", text("Krios\0")),
                             ("Cs(mm)", one(FLOAT, 2.7)), ("Specimen", text("secret"))]),
        ("Acquisition", [("Device", [("Name", text("K3"))])]),
        ("DataBar", [("Exposure Time (s)", one(DOUBLE, 0.5)), ("Exposure Number", one(INT64, 9)),
                     ("Acquisition Date", one(DOUBLE, math.nan))]),
        ("Session Info", [("Microscope", text(""))]),
        ("Unrelated", [(f"{n}", one(LONG, n)) for n in range(300)]),
    ]  # fmt: skip
    data = numbers((3, 5, 7))
    path = save(simple(data, [*NM, (0.5, "s")], tags=tags, name="Größe 1"), "a.dm4")
    metadata = read(path).metadata
    assert metadata == {
        "format": "dm", "version": 4, "images": 1, "index": 0, "flip_y": True, "name": "Größe 1",
        "data_type": 10, "scale": pytest.approx((0.27, 0.27, 0.5)), "units": ("nm", "nm", "s"),
        "intensity_scale": 0.5, "intensity_origin": 7.0, "intensity_units": "e-",
        "Microscope Info.Voltage": 3e5, "Microscope Info.Name": "Krios",
        "Microscope Info.Cs(mm)": pytest.approx(2.7), "Acquisition.Device.Name": "K3",
        "DataBar.Exposure Time (s)": 0.5, "DataBar.Exposure Number": 9.0,
    }  # fmt: skip
    assert {type(value) for value in metadata.values()} <= {str, int, float, bool, tuple}
    json.dumps(metadata)


def test_groups_of_many_tags(save):
    """More than 8 bits can count."""
    tags = [("List", [("", one(LONG, n)) for n in range(1000)])]
    data = numbers((5, 7))
    for version in (3, 4):
        path = save(simple(data, version=version, tags=tags), "a.dm4")
        np.testing.assert_array_equal(read(path).data, data[::-1])


# --- damage ---


@pytest.mark.parametrize("version", [3, 4])
def test_cut(save, version):
    data = numbers((5, 7))
    whole = simple(data, version=version)
    for length in range(len(whole)):
        path = save(whole[:length], "a.dm4")
        with pytest.raises(ReadError):
            read(path)


@pytest.mark.parametrize("version", [3, 4])
def test_cut_with_a_length_that_fits(save, version):
    """The tags tell it, too."""
    data, sniffed = numbers((5, 7)), 0
    whole = simple(data, version=version)
    for length in range(40, len(whole), version - 2):
        size = number(version, length - (16 if version == 3 else 24))
        path = save(whole[:4] + size + whole[4 + len(size) : length], "a.dm4")
        sniffed += dm_image.sniff(Head.of(path))
        try:
            found = quietly(read, path)
        except ReadError:
            continue
        np.testing.assert_array_equal(found.data, data[::-1])
        assert length >= len(whole) - 8  # the zeros at the end
    assert sniffed == len(range(40, len(whole), version - 2))


@pytest.mark.parametrize("version", [3, 4])
def test_every_byte(save, version):
    data = numbers((5, 7))
    whole = simple(data, version=version)
    read_again = 0
    for place in range(len(whole)):
        new = (0, whole[place] ^ 1, 127, 255, whole[place] ^ 128)[place % 5]
        path = save(whole[:place] + bytes([new]) + whole[place + 1 :], "a.dm4")
        try:
            found = quietly(read, path)
        except ReadError:
            continue
        read_again += 1
        assert found.data.nbytes <= len(whole)
        assert math.isfinite(found.pixel_spacing)
        np.asarray(found.data).sum()
    assert read_again > len(whole) // 4  # not everything is used


def test_damage_in_front_of_zeros(save):
    """One changed byte, and they may look like a million groups without tags."""
    path, start = with_a_hole(save, (4096, 4096))
    with path.open("r+b", buffering=0) as file:
        for place in range(12, len(start), 5):
            for new in (1, 20):
                file.seek(place)
                file.write(bytes([new]))
                began = time.monotonic()
                with contextlib.suppress(ReadError):
                    quietly(read, path)
                assert time.monotonic() - began < 2
            file.seek(place)
            file.write(start[place : place + 1])
    assert read(path).data.shape == (4096, 4096)


def test_a_text_without_end(save):
    path, start = with_a_hole(save, (4096, 4096))
    info = number(4, 3, ARRAY, USHORT)
    assert start.count(info) > 4
    place = start.index(info)  # its type: a text, as no version of DM writes them
    with path.open("r+b") as file:
        file.seek(place)
        file.write(number(4, 2, 18, 1 << 23))
    with pytest.raises(ReadError, match="a text of 8388608 characters"):
        read(path)


@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize("stored", [0, 34, 36, 1 << 20, (1 << 32) - 1])
def test_sizes_beyond_the_file(save, version, stored):
    """As if there were room for pixels that are not there, in the array or in the dimensions."""
    data = numbers((5, 7))
    with pytest.raises(ReadError):
        read(save(simple(data, NM, version, stored=stored), "a.dm4"))
    with pytest.raises(ReadError):
        read(save(simple(data, NM, version, stored=stored, sizes=(stored, 1)), "a.dm4"))


@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize("sizes", [(7, 6), (1 << 12, 1 << 12), (1 << 10, 1 << 10, 1 << 10)])
def test_pixels_behind_the_end(save, version, sizes):
    """Where no tag follows that would be missed."""
    kind, raw = array(USHORT, numbers((5, 7)).tobytes())
    pixels = [
        ("DataType", one(ULONG, 10)),
        ("Dimensions", [("", one(ULONG, n)) for n in sizes]),
        ("Data", ([*kind[:-1], math.prod(sizes)], raw)),
    ]
    path = save(dm(version, [("ImageList", [("", [("ImageData", pixels)])])]), "a.dm4")
    with pytest.raises(ReadError, match=r"cut: expected \d+ bytes"):
        read(path, pixel_spacing=1)


def test_groups_within_groups_without_end(save):
    content = [("Note", text("a"))]
    for _ in range(100):
        content = [("", content)]
    with pytest.raises(ReadError, match="damaged DM file"):
        read(save(dm(4, content), "a.dm4"))


def test_tags_without_end(save):
    """Each nine bytes: a group of none."""
    count = (1 << 20) + 1
    content = b"\1\0" + number(3, count) + (bytes([20, 0, 0, 1, 0]) + number(3, 0)) * count
    head = b"\1\0" + number(3, 1) + bytes([20, 0, 0])
    path = save(number(3, 3, len(content) + 13, 1) + head + content + bytes(8), "a.dm3")
    with pytest.raises(ReadError, match="more than 1048576 tags"):
        read(path)


def test_long_names_are_kept_once(save):
    """A path for each tag would be as long as the names of its groups: gigabytes."""
    content = [("", one(LONG, n)) for n in range(2000)]
    for _ in range(30):
        content = [("a" * 60_000, content)]
    path = save(dm(4, [*content, *document([image(numbers((5, 7)), NM)])]), "a.dm4")
    tracemalloc.start()
    try:
        assert read(path).data.shape == (5, 7)
        assert tracemalloc.get_traced_memory()[1] < 10 * path.stat().st_size
    finally:
        tracemalloc.stop()


# --- through the rest of the package ---


@pytest.mark.parametrize("version", [3, 4])
def test_convert(save, version):
    data = numbers((3, 5, 7), "int16")
    path = save(simple(data, version=version), f"TS_01.dm{version}")
    target = path.with_suffix(".mrc")
    (report,) = ct.convert(path, target)
    assert report.lost == {}
    assert target.read_bytes()[1024:] == data[:, ::-1].astype("<i2").tobytes()
    back = mrc.read(target)
    np.testing.assert_array_equal(back.data, data[:, ::-1])
    assert (back.pixel_spacing, back.stack, back.experiment_id) == (2.7, True, "TS_01")


@pytest.mark.parametrize("version", [3, 4])
def test_info(save, version):
    path = save(simple(numbers((3, 5, 7)), version=version), f"TS_01.DM{version}")
    result = CliRunner().invoke(main, ["info", "--json", str(path)])
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)[0]
    assert (told["format"], told["kind"], told["experiment_id"]) == ("dm", "image", "TS_01")
    assert told["pixel_spacing"] == 2.7


@pytest.mark.parametrize("version", [3, 4])
def test_contract(save, tmp_path, version):
    path = save(simple(numbers((3, 5, 7)), version=version), f"a.dm{version}")
    folder = tmp_path / "work"
    folder.mkdir()
    check_format(dm_image.FORMAT, examples=[path], directory=folder)
