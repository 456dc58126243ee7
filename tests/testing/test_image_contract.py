"""The contract catches what formats of images have got wrong, each fault in a toy of its own."""

from __future__ import annotations

import gzip
import json
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cryotypes import Image, LossReport, registry, validate_image
from cryotypes.errors import GuessWarning, ReadError, WriteError
from cryotypes.formats import Format, writing
from cryotypes.testing import _contract_files, assert_same, check_format
from cryotypes.testing._zoo import image_zoo

FIELDS = frozenset({"data", "pixel_spacing", "stack"})
MAGIC = b"TOY IMAGE"


def sniff(head):
    return head.data.startswith(MAGIC)


def unpack(path: Path, unzip=gzip.decompress) -> tuple[dict, tuple[int, ...], bytes]:
    """Return the facts, the shape and the bytes of the pixels."""
    raw = Path(path).read_bytes()
    if raw.startswith(b"\x1f\x8b"):
        try:
            raw = unzip(raw)
        except (OSError, EOFError, zlib.error) as error:
            raise ReadError(f"damaged ({error})", path) from error
    try:
        if not raw.startswith(MAGIC):
            raise ValueError("not a toy")
        size, *shape = struct.unpack_from("<4q", raw, len(MAGIC))
        start = len(MAGIC) + 32
        facts = json.loads(raw[start : start + size])
        if min(shape) < 1 or size < 2 or not isinstance(facts["stack"], bool):
            raise ValueError("impossible numbers")
        if facts["ndim"] not in (2, 3) or (facts["ndim"] == 2 and shape[0] > 1):
            raise ValueError("impossible dimensions")
        facts["dtype"] = np.dtype(facts["dtype"])
        facts["spacing"], facts["id"] = float(facts["spacing"]), str(facts["id"])
        if facts["dtype"].kind not in "biufc" or not 0 <= facts["spacing"] < 1e9:
            raise ValueError("impossible pixels")
    except (ValueError, KeyError, TypeError, struct.error, SyntaxError) as error:
        raise ReadError(f"expected a toy ({error})", path) from error
    return facts, tuple(shape), raw[start + size :]


def image_of(path, facts, shape, content) -> Image:
    shape = shape[-facts["ndim"] :]
    data = np.frombuffer(content, facts["dtype"]).reshape(shape)
    return Image(data, facts["id"], facts["spacing"], path, facts["stack"])


def read(path) -> Image:
    """Read what `write` writes."""
    facts, shape, content = unpack(path)
    expected = np.prod(shape, dtype=object) * facts["dtype"].itemsize
    if expected != len(content):
        raise ReadError(f"expected {expected} bytes of pixels, found {len(content)}", path)
    return image_of(path, facts, shape, content)


def pack(image, content: bytes, shape, dtype) -> bytes:
    facts = {
        "id": image.experiment_id,
        "dtype": np.dtype(dtype).str.replace(">", "<"),
        "spacing": image.pixel_spacing,
        "stack": image.stack,
        "ndim": len(shape),
    }
    text = json.dumps(facts).encode()
    return MAGIC + struct.pack("<4q", len(text), *(1, *shape)[-3:]) + text + content


def plain(data) -> bytes:
    return data.astype(data.dtype.newbyteorder("<")).tobytes()


def write(image, path, *, overwrite=False) -> LossReport:
    """Write a toy: everything is kept."""
    content = pack(image, plain(image.data), image.data.shape, image.data.dtype)
    return save(content, path, overwrite)


def save(content: bytes, path, overwrite) -> LossReport:
    if Path(path).suffix == ".gz":
        content = gzip.compress(content)
    with writing(Path(path), overwrite) as temporary:
        temporary.write_bytes(content)
    return LossReport(kept=["data", "pixel_spacing", "stack", "experiment_id"])


TOY = Format(
    name="toy-image",
    title="Toy image",
    kind="image",
    suffixes=(".toy",),
    read=read,
    write=write,
    sniff=sniff,
    keeps=FIELDS,
    tolerance={"pixel_spacing": 1e-6},
    evidence="made up",
    url="https://example.org",
)


def writing_data(change, **report):
    """A writer that changes the pixels, and reports so much of it."""

    def writer(image, path, *, overwrite=False):
        """Write."""
        found = write(replace(image, data=change(image.data)), path, overwrite=overwrite)
        for name, fields in report.items():
            getattr(found, name).update(fields)
        return found

    return {"write": writer}


def writing_image(change, **report):
    """A writer that changes more than the pixels."""

    def writer(image, path, *, overwrite=False):
        """Write."""
        found = write(change(image), path, overwrite=overwrite)
        for name, fields in report.items():
            getattr(found, name).update(fields)
        return found

    return {"write": writer}


def reading_image(change):
    """A reader that changes what it has read."""

    def reader(path):
        """Read."""
        return change(read(path))

    return {"read": reader}


def writing_bytes(content):
    """A writer with its own idea of the bytes of an array."""

    def writer(image, path, *, overwrite=False):
        """Write."""
        data = image.data
        return save(pack(image, content(data), data.shape, data.dtype), path, overwrite)

    return {"write": writer}


def refusing(condition, words):
    """A writer that refuses some images."""

    def writer(image, path, *, overwrite=False):
        """Write."""
        if condition(image):
            raise WriteError(words, path)
        return write(image, path, overwrite=overwrite)

    return {"write": writer}


def colours(image):
    """Three or four sections become the samples of a pixel."""
    few = image.data.ndim == 3 and len(image.data) in (3, 4)
    return replace(image, data=np.moveaxis(image.data, 0, -1)) if few else image


def no_single_section(image):
    single = image.data.ndim == 3 and len(image.data) == 1
    return replace(image, data=image.data[0], stack=False) if single else image


def spacing_as(change):
    def changing(image):
        return replace(image, pixel_spacing=float(change(image.pixel_spacing)))

    return changing


def in_place(image, path, *, overwrite=False):
    """Write, and leave the array in the byte order of the file."""
    if image.data.flags.writeable and image.data.dtype.itemsize > 1:
        image.data.byteswap(inplace=True)
    return write(image, path, overwrite=overwrite)


def padded(path):
    """Read; what is not there is zero."""
    facts, shape, content = unpack(path)
    size = int(np.prod(shape)) * facts["dtype"].itemsize
    if not 0 < size < 1 << 20:
        raise ReadError("too large", path)
    return image_of(path, facts, shape, content[:size].ljust(size, b"\0"))


def always_guessing(path):
    """Read, with a warning that says nothing about the cut; missing pixels are zero."""
    import warnings

    warnings.warn("the spacing may be another", GuessWarning, stacklevel=2)
    return padded(path)


def trusting(path):
    """Read; make room for whatever the header says."""
    _, shape, _ = unpack(path)
    np.ones(min(int(np.prod(shape, dtype=object)), 1 << 26), np.uint8)
    return read(path)


def lazily_wrong(path):
    """Read when asked for, and then complain in other words."""
    facts, shape, content = unpack(path)

    class Lazy:
        ndim, dtype = facts["ndim"], facts["dtype"]

        def __array__(self, dtype=None, copy=None):
            return image_of(path, facts, shape, content).data

    lazy = Lazy()
    lazy.shape = shape[-facts["ndim"] :]
    return Image(lazy, facts["id"], facts["spacing"], path, facts["stack"])


def is_double(data):
    """In the range of single precision, but not of it."""
    return data.dtype == "f8" and not np.nanmax(np.abs(data)) > 1e30


def single_in_silence(data):
    with np.errstate(over="ignore"):
        return data.astype("f4") if data.dtype == "f8" else data


DIFFERS = "data is promised in keeps, but read and written differ"
HALF = {"lost": {"dtype": "half precision"}}
FAULTS = {
    "transposed": (writing_data(lambda a: a.swapaxes(-1, -2)), f"'three': {DIFFERS}: data: shapes"),
    "bytes of the transposed": (writing_bytes(lambda a: plain(a.T)), f"'three': {DIFFERS}"),
    "bytes as they lie": (
        writing_bytes(lambda a: a.astype(a.dtype.newbyteorder("<")).tobytes("A")),
        f"'Fortran order': {DIFFERS}",
    ),
    "bytes of the base": (
        writing_bytes(lambda a: plain(a if a.base is None or a.base.size > a.size else a.base)),
        "'negative strides'",
    ),
    "rows from the top": (writing_data(lambda a: a[..., ::-1, :]), f"'three': {DIFFERS}"),
    "columns reversed": (reading_image(lambda i: replace(i, data=i.data[..., ::-1])), DIFFERS),
    "sections reversed": (writing_data(lambda a: a[::-1]), f"'three': {DIFFERS}"),
    "off by one along x": (writing_data(lambda a: np.roll(a, 1, -1)), f"'three': {DIFFERS}"),
    "off by one along z": (writing_data(lambda a: np.roll(a, -1, 0)), f"'three': {DIFFERS}"),
    "three are colours": (writing_image(colours), f"'three': {DIFFERS}: data: shapes"),
    "flipped, and read as an image": (
        writing_image(
            lambda i: replace(i, data=i.data[..., ::-1] if len(i.data) == 1 else i.data),
            converted={"data": "one section is read as an image"},
        ),
        f"'one row': {DIFFERS}",
    ),
    "a section less": (writing_image(no_single_section), f"'one section': {DIFFERS}: data: shapes"),
    "big-endian as it lies": (writing_bytes(lambda a: a.tobytes()), "'big-endian uint16'"),
    "half precision": (
        writing_data(lambda a: a.astype("f2") if a.dtype == "f4" else a),
        "'three': dtype is not reported as lost: float32 became float16",
    ),
    "more than half precision": (
        writing_data(lambda a: a.astype("f2") * np.float16(1.01) if a.dtype == "f4" else a, **HALF),
        f"'three': {DIFFERS}",
    ),
    "infinite where it does not fit": (
        writing_data(single_in_silence, lost={"dtype": "single precision"}),
        "'float64, limits': 1.79.* is finite, but does not fit float32",
    ),
    "cut instead of rounded": (
        writing_data(
            lambda a: a.astype("i4") if a.dtype == "f4" else a, lost={"dtype": "whole numbers"}
        ),
        f"'three': {DIFFERS}",
    ),
    "more loss than reported": (
        writing_data(
            lambda a: a.astype("f8") if a.dtype == "i8" else a, converted={"dtype": "as float64"}
        ),
        f"'int64, limits': {DIFFERS}.* 9223372036854775807",
    ),
    "wrapped": (
        writing_data(
            lambda a: a.astype("i1") if a.dtype == "u1" else a, converted={"dtype": "as int8"}
        ),
        "'uint8, limits'",
    ),
    "no NaN": (
        writing_data(lambda a: np.nan_to_num(a, posinf=np.inf, neginf=-np.inf)),
        f"'NaN.*': {DIFFERS}.*nan",
    ),
    "no infinity": (
        writing_data(lambda a: np.where(np.isinf(a), a.dtype.type(0), a)),
        "'NaN and infinity'",
    ),
    "spacing off by 1e-5": (
        writing_image(spacing_as(lambda s: s * (1 + 1e-5))),
        "'three': pixel_spacing is promised in keeps.*2.50002",
    ),
    "three digits of spacing": (
        writing_image(spacing_as(lambda s: round(s, 3))),
        "'1.3333333 Å': pixel_spacing is promised",
    ),
    "spacing in half precision": (
        writing_image(spacing_as(lambda s: np.float16(s))),
        "'1.3333333 Å': pixel_spacing is promised",
    ),
    "unknown is one": (
        writing_image(
            spacing_as(lambda s: s or 1.0), assumed={"pixel_spacing": "unknown is written as 1"}
        ),
        "'unknown spacing': the spacing is unknown, but read as 1.0 Å without a GuessWarning",
    ),
    "every stack a volume": (
        writing_image(lambda i: replace(i, stack=False)),
        "'stack': stack is promised in keeps, .*True and False|False and True",
    ),
    "a stack that is lost and promised": (
        writing_image(lambda i: replace(i, stack=False), lost={"stack": "unknown"}),
        "'stack': stack is promised in keeps",
    ),
    "no names": (
        writing_image(lambda i: replace(i, experiment_id="x")),
        "'three': experiment_id is not reported as lost",
    ),
    "no single precision": (
        refusing(lambda i: i.data.dtype == "f4", "no floats"),
        "'three': data is promised in keeps, but refused: .*no floats",
    ),
    "no images": (
        refusing(lambda i: i.data.ndim == 2, "volumes only"),
        "'image': expected at least whole numbers in this shape to be written.* volumes only",
    ),
    "no image at all": (reading_image(lambda i: [i]), "'three': expected an Image"),
    "changed input": ({"write": in_place}, "writing changed the data"),
    "zeros behind a cut": (
        {"read": padded},
        r"'cut after \d+ of \d+ bytes': expected a ReadError, a GuessWarning, or the same image",
    ),
    "a guess behind which a cut hides": (
        {"read": always_guessing},
        r"'cut after \d+ of \d+ bytes': expected a ReadError, a GuessWarning, or the same image",
    ),
    "a late ValueError": (
        {"read": lazily_wrong},
        r"'cut after \d+ of \d+ bytes': expected a ReadError, found ValueError",
    ),
}


def test_a_good_format_passes(tmp_path):
    before = list(registry.known_formats())
    check_format(TOY, directory=tmp_path)
    assert list(registry.known_formats()) == before


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_caught(fault, tmp_path):
    changes, sentence = FAULTS[fault]
    with pytest.raises(AssertionError, match=f"(?s)^format 'toy-image', case .*{sentence}"):
        check_format(replace(TOY, **changes), directory=tmp_path)
    assert "toy-image" not in registry.known_formats()


@pytest.mark.parametrize(
    "changes",
    [
        refusing(lambda i: i.data.dtype.kind == "c", "real numbers only"),
        refusing(lambda i: not np.isfinite(i.data).all(), "finite numbers only"),
        writing_data(lambda a: a.astype("f4").astype(a.dtype) if a.dtype == "f8" else a),
        writing_data(lambda a: a.astype("f4") if is_double(a) else a, lost={"dtype": "f4"}),
        writing_data(lambda a: a.astype("u1") if a.dtype == "?" else a, converted={"dtype": "u1"}),
        writing_image(no_single_section, converted={"data": "an image"}, lost={"stack": "image"}),
        writing_image(spacing_as(lambda s: s * (1 + 5e-7))),
        reading_image(lambda i: replace(i, data=i.data.astype(i.data.dtype.newbyteorder(">")))),
    ],
    ids=["complex", "finite", "f8", "f4", "u1", "section", "spacing", "order"],
)
@pytest.mark.filterwarnings("ignore:overflow")
def test_what_a_format_may_do(changes, tmp_path, request):
    """Refuse values, convert and say so, another byte order; not what it does not say."""
    format = replace(TOY, **changes)
    if request.node.callspec.id == "f8":
        with pytest.raises(AssertionError, match=f"'float64': {DIFFERS}"):
            check_format(format, directory=tmp_path)
    else:
        check_format(format, directory=tmp_path)


def test_a_format_without_z_names_its_own_cases(tmp_path):
    """What it promises is tried on these."""
    flat = refusing(lambda i: i.data.ndim == 3, "images only")
    data = np.arange(12, dtype="u1").reshape(3, 4)
    samples = {"three": Image(data, "TS_01", 2.5)}
    check_format(replace(TOY, **flat), samples=samples, directory=tmp_path / "a")
    with pytest.raises(AssertionError, match="'three': data is promised"):
        check_format(replace(TOY, **flat), directory=tmp_path / "b")


def test_memory_is_bounded(tmp_path, monkeypatch):
    """A damaged size must not be believed, even if nothing but memory is lost."""
    if not _contract_files._most_memory():
        pytest.skip("this system does not say how much memory a process has held")
    monkeypatch.setattr(_contract_files, "_MUCH", 1 << 24)
    check_format(TOY, directory=tmp_path / "a")
    with pytest.raises(AssertionError, match=r"changed from \d+ to \d+': reading took \d+ MiB"):
        check_format(replace(TOY, read=trusting), directory=tmp_path / "b")


def begun(raw: bytes) -> bytes:
    """Unpack what is there, and do not ask whether it is all."""
    return zlib.decompressobj(31).decompress(raw)


def padded_if_zipped(path):
    """Read; what is missing of a compressed file is zero."""
    facts, shape, content = unpack(path, begun)
    size = int(np.prod(shape)) * facts["dtype"].itemsize
    if Path(path).suffix != ".gz":
        return read(path)
    return image_of(path, facts, shape, content[:size].ljust(size, b"\0"))


def test_compressed_files_are_damaged_too(tmp_path):
    packed = replace(TOY, compression=(".gz",))
    check_format(packed, directory=tmp_path / "a")
    with pytest.raises(AssertionError, match=r"'cut after \d+ of \d+ bytes': .* the same image"):
        check_format(replace(packed, read=padded_if_zipped), directory=tmp_path / "b")


# --- a format whose files are directories ---


def write_folder(image, path, *, overwrite=False):
    """Write the facts and every section into files of their own."""
    path = Path(path)
    if path.exists() and not overwrite:
        raise FileExistsError(path)
    pixels = pack(image, b"", image.data.shape, image.data.dtype)
    sections = image.data if image.data.ndim == 3 else image.data[None]
    parts = {"facts": pixels} | {f"{n}.raw": plain(one) for n, one in enumerate(sections)}
    path.mkdir(exist_ok=True)
    for name, content in parts.items():
        with writing(path / name, overwrite=True) as temporary:
            temporary.write_bytes(content)
    return LossReport(kept=["data", "pixel_spacing", "stack", "experiment_id"])


class Sections:
    def __init__(self, path, shape, dtype, complain):
        self.path, self.shape, self.dtype, self.ndim = path, shape, dtype, len(shape)
        self.complain = complain

    def __array__(self, dtype=None, copy=None):
        count = self.shape[0] if self.ndim == 3 else 1
        content = b"".join((self.path / f"{n}.raw").read_bytes() for n in range(count))
        size = int(np.prod(self.shape)) * self.dtype.itemsize
        if not self.complain:
            content = content[:size].ljust(size, b"\0")
        return np.frombuffer(content, self.dtype).reshape(self.shape)


def reading_folder(complain=True, facts_error=ReadError):
    def reader(path):
        """Read the facts; the sections when they are asked for."""
        path = Path(path)
        try:
            facts, shape, _ = unpack(path / "facts")
        except ReadError as error:
            raise facts_error(*error.args) from error
        if np.prod(shape, dtype=object) > 1 << 20:
            raise ReadError("too large", path)
        lazy = Sections(path, shape[-facts["ndim"] :], facts["dtype"], complain)
        return Image(lazy, facts["id"], facts["spacing"], path, facts["stack"])

    return reader


def sniff_folder(head):
    facts = head.path / "facts"
    return facts.is_file() and facts.read_bytes().startswith(MAGIC)


FOLDER = replace(TOY, read=reading_folder(), write=write_folder, sniff=sniff_folder)


@pytest.fixture
def _may_be_interrupted(monkeypatch):
    """To write a directory whole takes more than a toy does."""
    from cryotypes.testing import _contract

    monkeypatch.setattr(_contract, "check_interruption", lambda subject: None)


@pytest.mark.usefixtures("_may_be_interrupted")
def test_files_of_a_directory_are_damaged_one_by_one(tmp_path):
    """What a library complains of when data are read is taken; opening must be ReadError."""
    check_format(FOLDER, directory=tmp_path / "a")
    silent = replace(FOLDER, read=reading_folder(complain=False))
    with pytest.raises(AssertionError, match=r"'\d.raw cut after .*or the same image"):
        check_format(silent, directory=tmp_path / "b")
    odd = replace(FOLDER, read=reading_folder(facts_error=LookupError))
    with pytest.raises(AssertionError, match=r"'facts .*expected a ReadError, found LookupError"):
        check_format(odd, directory=tmp_path / "c")


# --- the zoo ---


@pytest.mark.parametrize("name", image_zoo())
def test_no_flip_roll_or_transposition_of_the_zoo_is_the_same(name):
    """Else a format could do it, and nobody would see."""
    image = image_zoo()[name]
    validate_image(image, ndim=image.data.ndim)
    assert_same(image, image_zoo()[name])
    data = np.asarray(image.data)
    axes = [axis for axis in range(data.ndim) if data.shape[axis] > 1]
    if name == "broadcast":
        axes.remove(0)
    changes = [np.flip(data, axis) for axis in axes]
    changes += [np.roll(data, 1, axis) for axis in axes]
    changes += [data.swapaxes(a, b) for a in axes for b in axes if a < b]
    for changed in changes:
        with pytest.raises(AssertionError, match=r"data: (row|shapes)"):
            assert_same(replace(image, data=changed), image)


def test_the_zoo_has_every_kind():
    """Every dtype in native order, most in the other, every number of dimensions, both flags."""
    images = image_zoo().values()
    dtypes = {image.data.dtype for image in images}
    names = ("?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", "c8", "c16")
    assert {np.dtype(name) for name in names} <= dtypes
    assert sum(not dtype.isnative for dtype in dtypes) == 7
    assert {(image.data.ndim, image.stack) for image in images} == {
        (2, False),
        (3, False),
        (3, True),
    }
    assert {image.data.shape[0] for image in images if image.stack} >= {1, 2, 3, 4, 5}
    assert 0.0 in {image.pixel_spacing for image in images}
