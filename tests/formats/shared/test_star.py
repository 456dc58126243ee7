"""STAR text: what is legal is read as it stands, what is not is refused with its place."""

from __future__ import annotations

import bz2
import gzip
import io
import re
import struct

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cryotypes.errors import GuessWarning, ReadError, WriteError
from cryotypes.formats.shared import pieces
from cryotypes.formats.shared.star import Block, find_block_names, read_star, write_star


@pytest.fixture
def read(save):
    """Read a text as a STAR file."""

    def reading(text, name="file.star"):
        return read_star(save(text, name))

    return reading


@pytest.fixture
def rows(read):
    """The rows of the last block."""

    def reading(text):
        return read(text)[-1].table.rows()

    return reading


def loop(body: str, *labels: str, name: str = "") -> str:
    header = "".join(f"_{label} #{i}\n" for i, label in enumerate(labels or ("a", "b"), 1))
    return f"data_{name}\n\nloop_\n{header}{body}"


def written(*blocks: Block, version=None) -> bytes:
    file = io.BytesIO()
    write_star(file, blocks, version)
    return file.getvalue()


# --- syntax ---


GZIPPED = gzip.compress(b"data_\n\nloop_\n_a #1\n_b #2\n" + b"1 2\n" * 500, mtime=0)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("1 2\n3 4\n", [(1, 2), (3, 4)]),
        ("   1    2   \n\t3\t \t4\t\n", [(1, 2), (3, 4)]),  # RELION pads, others use tabs
        ("1 2\r\n3 4\r\n", [(1, 2), (3, 4)]),
        ("1 2\r3 4\r", [(1, 2), (3, 4)]),  # old Macs
        ("1 2\n\n\n3 4\n\n", [(1, 2), (3, 4)]),
        ("1 2\n   \n3 4\n", [(1, 2), (3, 4)]),
        ("\n\n1 2\n", [(1, 2)]),
        ("1 2\n# between\n3 4\n", [(1, 2), (3, 4)]),
        ("1 2 # after\n3 4\n", [(1, 2), (3, 4)]),
        ("x#1 2\n", [("x#1", 2)]),  # no comment: it does not begin a word
        ("'one two' 2\n", [("one two", 2)]),
        ('"one two" 2\n', [("one two", 2)]),
        ('"it\'s" 2\n', [("it's", 2)]),
        ("'it's' 2\n", [("it's", 2)]),  # a quote ends a text only before a blank
        ("'say \"so\"' 2\n", [('say "so"', 2)]),
        ('"#1" 2\n', [("#1", 2)]),
        ('"" 2\n', [("", 2)]),
        ("a'b c\"d\n", [("a'b", 'c"d')]),  # quotes within words are letters
        ("'open 2\n", [("'open", 2)]),
        ("1 <NA>\n2 3\n", [(1, None), (2, 3)]),
        ("<NA> x\n<NA> y\n", [(None, "x"), (None, "y")]),
        ("1.5 -2e-3\n+3 4E5\n", [(1.5, -0.002), (3.0, 4e5)]),
        ("inf -inf\n1 2\n", [(np.inf, -np.inf), (1.0, 2.0)]),
        ("1 x\n2.5 y\n", [(1.0, "x"), (2.5, "y")]),
        ("001 2\n002 3\n", [("001", 2), ("002", 3)]),  # a name, not a number
        ("-01 0\n", [("-01", 0)]),
        ("0 0.5\n", [(0, 0.5)]),
        ("9007199254740993 9223372036854775807\n", [(2**53 + 1, 2**63 - 1)]),
        ("18446744073709551615 1\n", [(2**64 - 1, 1)]),
        ("größer 空\n", [("größer", "空")]),
        ("data_2024/a.mrc 7\n", [("data_2024/a.mrc", 7)]),  # a path, not a block
        ("data_1 7\ndata_2 8\n", [("data_1", 7), ("data_2", 8)]),
        ("[1,0,1] 2\n", [("[1,0,1]", 2)]),
        ("a\x1f  2\n", [("a\x1f", 2)]),  # an odd character is part of its word
        ("1_000 2\n", [("1_000", 2)]),  # Python's number, nobody else's
        ("0x10 2\n", [("0x10", 2)]),
        ("", []),
        ("\n\n", []),
    ],
)
def test_rows(rows, body, expected):
    """What stands in a loop, as numbers where nothing is lost by it."""
    found = rows(loop(body))
    assert found == expected
    assert [list(map(type, row)) for row in found] == [list(map(type, row)) for row in expected]


def test_not_a_number(rows):
    found = rows(loop("nan 1\nNaN 2\n3 3\n"))
    assert np.isnan(found[0][0])
    assert np.isnan(found[1][0])
    assert found[2] == (3.0, 3)


@pytest.mark.parametrize(
    "label",
    ["rlnTomoName", "rlnMicrographName", "rlnImageName", "rlnCtfImage", "rlnTomoVisibleFrames",
     "rlnOpticsGroupName", "rlnTomoParticleName", "rlnReferenceImage", "rlnGroupName",
     "rlnTomoTiltSeriesStarFile", "rlnTomoReconstructedTomogramHalf1"],
)  # fmt: skip
def test_names_stay_text(rows, label):
    """A tomogram called 1 or 1e5 is not a number, even if all of them look like numbers."""
    assert rows(loop("1 1\n2 2\n1e5 3\n", label, "b")) == [("1", 1), ("2", 2), ("1e5", 3)]


def test_relion_numbers_and_unknown_labels(rows):
    """001 stays text where nobody defines the label, and where RELION does it is a number."""
    assert rows(loop("001 002\n", "rlnClassNumber", "mine"))[0][1] == "002"


def test_list_blocks(read):
    """A list is a table of one row; comments and quotes are those of a loop."""
    text = "data_general\n\n_name 'a b'  # c\n_number   1.50\n_id\t007\n\n\ndata_x\n_a 1\n"
    general, x = read(text)
    assert (general.name, general.loop) == ("general", False)
    assert general.row == {"name": "a b", "number": 1.5, "id": "007"}
    assert x.row == {"a": 1}


def test_blocks(read):
    """Several blocks, empty ones too, with or without name, in the file's order."""
    text = (
        "# version 30001\n\ndata_ # no name\n_a 1\n\ndata_optics\nloop_\n_x #1\n_y #2\n1 2\n"
        "\ndata_empty\n\nloop_\n_p #1\n\ndata_nothing\n\ndata_particles\nloop_\n_p\n5\n6\n"
    )
    blocks = read(text)
    assert [b.name for b in blocks] == ["", "optics", "empty", "nothing", "particles"]
    assert [b.table.shape for b in blocks] == [(1, 1), (1, 2), (0, 1), (0, 0), (2, 1)]
    assert [b.loop for b in blocks] == [False, True, True, False, True]
    assert find_block_names(text.encode()) == [b.name for b in blocks]


def test_only_the_blocks_asked_for(save):
    path = save("data_bad\nloop_\n_a\n_b\n1\n\ndata_good\nloop_\n_a\n1\n")
    assert [b.table.rows() for b in read_star(path, only=["good"])] == [[(1,)]]
    assert read_star(path, only=["absent"]) == []
    with pytest.raises(ReadError):
        read_star(path)


def test_labels_without_numbers_and_comments_in_the_header(rows):
    text = "data_\n\nloop_  \n_a  #1 first\n# a remark\n_b\n\n_c #3\n1 2 3\n"
    assert rows(text) == [(1, 2, 3)]


def test_byte_order_mark(read):
    """Windows editors put one at the beginning of UTF-8 text."""
    text = b"\xef\xbb\xbf" + loop("1 2\n").encode()
    assert read(text)[0].table.rows() == [(1, 2)]
    assert find_block_names(text) == [""]


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress])
@pytest.mark.parametrize("name", ["a.star", "a.star.gz", "a.star.bz2"])
def test_compressed(read, compress, name):
    """By content, whatever the name says."""
    assert read(compress(loop("1 2\n").encode()), name)[0].table.rows() == [(1, 2)]


# --- errors ---


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (loop("1 2\n3\n5 6\n"), r"block '', line 7: expected 2 values.*found 1"),
        (loop("1 2\n3 4 5\n"), r"block '', line 7: expected 2 values.*found 3"),
        (loop("1 2\n3\n4 5 6\n7 8\n"), r"line 7: expected 2 values.*found 1"),  # sum is right
        (loop("1 2 3\n4\n"), r"line 6: .*found 3"),
        (loop("1 2\n\n'a b' # c\n", name="p"), r"block 'p', line 8: .*found 1"),
        (loop("x 2\n'a b'\n"), r"line 7: .*found 1"),
        (loop("1 2\n") + "\n" + loop("1\n", name="late"), r"block 'late', line 13: .*found 1"),
        (loop("1 2\n3 ä ö\n"), r"line 7: .*found 3"),
        (loop("1 2\n", "a", "b", "a"), r"label 'a' stands twice"),
        ("data_\n\n_a 1\n_a 2\n", r"block '', line 4: label 'a' stands twice"),
        ("data_\n\n_a 1 2\n", r"line 3: expected a label and one value, found 3 words"),
        ("data_\n\n_a\n", r"line 3: expected a label and one value, found 1"),
        ("data_\nloop_\n1 2\n", r"line 3: the loop has no labels"),
        ("x,y\n1,2\n", r"expected a STAR file, found no line that begins with 'data_'"),
        ("\n", "found no line"),
        (b"\x89PNG\0\0\0\rdata_\n", "found binary data"),
        (loop("1 2\n").encode() + b"\xff\xfe 4\n", "expected UTF-8 text"),
        (loop("1 2\n").encode() + b"'\xe4 b' 4\n", "expected UTF-8 text"),
        (b"data_\n\n_a \xe4\n", "expected UTF-8 text"),
        (b"data_\nloop_\n_\xe4\n1\n", "expected UTF-8 text"),
        (GZIPPED[:-20], "damaged compressed file"),
        (bz2.compress(loop("1 2\n" * 500).encode())[:-20], "damaged compressed file"),
        (
            gzip.compress(loop("1 2\n" * 500).encode(), mtime=0)[:-8] + b"damaged!",
            "damaged compressed",
        ),
        (
            gzip.compress(loop("1 2\n" * 500).encode(), mtime=0)[:15] + b"\xff" * 30,
            "damaged compressed",
        ),
        (bz2.compress(loop("1 2\n" * 500).encode())[:15] + b"\xff" * 30, "damaged compressed"),
    ],
)
def test_what_is_not_legal_is_refused(save, text, message):
    """The message names file, block and line, what was expected and what was found."""
    path = save(text, "bad.star")
    with pytest.raises(ReadError, match=message) as error:
        read_star(path)
    assert str(error.value).startswith(str(path))


# --- pieces ---


def many_rows(n=500) -> str:
    rng = np.random.default_rng(0)
    lines = [
        f"  TS_{i % 3} {x:12.6f} {i}  {'x' if i == 400 else i}  {1.5 if i == 450 else i}  é\n"
        for i, x in enumerate(rng.normal(size=n))
    ]
    return loop("".join(lines), "rlnTomoName", "rlnX", "rlnY", "mine", "rlnZ", "rlnTextName")


@pytest.mark.parametrize("piece", [1, 17, 100, 4096])
@pytest.mark.parametrize("prefix", ["", "'a b' 1 2 3 4 5\n"])
def test_pieces_make_no_difference(read, monkeypatch, piece, prefix):
    """However a file is cut, also where a type changes on the way, the table is the same."""
    text = many_rows().replace("#6\n", "#6\n" + prefix)
    expected = read(text)[0].table
    monkeypatch.setattr(pieces, "PIECE", piece)
    found = read(text)[0].table
    assert found.equals(expected)
    assert found.dtypes == expected.dtypes
    assert found["rlnZ"].dtype == pl.Float64
    assert found["mine"].dtype == pl.String
    assert found.height == 500 + bool(prefix)


@pytest.mark.parametrize("piece", [1, 50, 1 << 20])
def test_ragged_rows_in_any_piece(read, monkeypatch, piece):
    monkeypatch.setattr(pieces, "PIECE", piece)
    body = ["1 2\n"] * 100
    body[70], body[80] = "1\n", "1 2 3\n"
    with pytest.raises(ReadError, match=r"line 76: expected 2 values"):
        read(loop("".join(body)))


def test_text_after_the_sample(rows):
    """A column of RELION's numbers with a text far down is text, not lost."""
    found = rows(loop("1 2\n" * 20_000 + "1 x\n", "rlnA", "rlnB"))
    assert found[0] == (1, "2")
    assert found[-1] == (1, "x")


# --- agreement with an independent reading ---


def read_naively(text: str) -> dict[str, list[dict[str, str]]]:
    """STAR by the book: no speed, no types."""
    blocks: dict[str, list[dict[str, str]]] = {}
    labels: list[str] = []
    in_loop = False
    for line in text.splitlines():
        words = [a or b or c for a, b, c in re.findall(r"'(.*?)'(?!\S)|\"(.*?)\"(?!\S)|(\S+)",
                                                       re.sub(r"(^|\s)#.*", "", line))]  # fmt: skip
        if not words:
            continue
        if re.fullmatch("data_.*", words[0]) and len(words) == 1:
            rows = blocks.setdefault(words[0][5:], [])
            labels, in_loop = [], False
        elif words[0] == "loop_":
            in_loop = True
        elif words[0].startswith("_") and in_loop:
            labels.append(words[0][1:])
        elif in_loop:
            rows.append(dict(zip(labels, words, strict=True)))
        else:
            rows[:] = [{**(rows[0] if rows else {}), words[0][1:]: words[1]}]
    return blocks


@pytest.mark.filterwarnings("ignore:.*does not end with a line end")  # some of them do not
def test_agrees_with_an_independent_reading(shared_data):
    """Every value of every real STAR file there is."""
    files = sorted(shared_data.rglob("*.star"))
    assert len(files) >= 25
    for path in files:
        expected = read_naively(path.read_text())
        found = {block.name: block.table for block in read_star(path)}
        assert list(found) == list(expected), path
        for name, rows in expected.items():
            table = found[name]
            assert table.height == len(rows), (path, name)
            for label in table.columns if rows else []:
                texts = [row[label] for row in rows]
                values = table[label].to_list()
                if table[label].dtype.is_numeric():
                    same = np.array_equal(values, [float(t) for t in texts], equal_nan=True)
                else:
                    same = values == texts
                assert same, (path, name, label)


def test_odd_but_legal_files(shared_data):
    """starfile's collection: quotes, empty loops, single rows, blocks without name."""
    for name in ("loop_single_quote", "loop_double_quote"):
        (block,) = read_star(shared_data / "star" / f"{name}.star")
        assert block.table.row(1) == ("noquote", "quote string", " ", "", "noquote", "", 7.0,
                                      "test")  # fmt: skip
        assert block.table["_number" if "_number" in block.table else "number"].dtype == pl.Float64
    (empty,) = read_star(shared_data / "star" / "empty_loop.star")
    assert (empty.table.columns, empty.table.height) == (["rlnCoordinateX"], 0)
    with pytest.warns(GuessWarning, match="its last line is not cut"):
        one, other = read_star(shared_data / "star" / "two_single_line_loop_blocks.star")
    assert one.table.rows() == [(1.0, 2.0, 3.0)]
    assert other.table.rows() == [("A", "B", "C")]
    blocks = read_star(shared_data / "star" / "postprocess.star")
    assert [b.name for b in blocks][:2] == ["general", "fsc"]
    assert not blocks[0].loop


@pytest.mark.parametrize("end", ["", " ", "\r\n3 4", "\n3 4", "\n3 4\t"])
def test_a_last_line_without_end_may_be_cut(read, end):
    """Whole files of this kind exist, so it is no error; but 3.25 cut to 3 is no wrong number."""
    with pytest.warns(GuessWarning, match=r"file.star: .*line end; assumed .*its last line is not"):
        (block,) = read(loop(f"1 2{end}"))
    assert block.table.rows() == [(1, 2), (3, 4)][: 2 if end.strip() else 1]


@pytest.mark.parametrize("end", ["\r", "\n", "\n\n", "\n# the end", "\n   "])
def test_a_last_line_that_is_whole(read, end):
    (block,) = read(loop(f"1 2{end}"))
    assert block.table.rows() == [(1, 2)]


# --- writing ---

# anything that can stand in a line; what looks like a number would come back as one
LETTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\n\r\0")
TEXTS = st.one_of(
    st.text(LETTERS, max_size=12),
    st.text(st.sampled_from("'\"# _ab$\t;"), max_size=8),
    st.sampled_from(["loop_", "data_", "data_x", "_label", "<NA", "é", "#", "' '", "stop_"]),
)


def is_text(value: str) -> bool:
    both = re.search(r'"[ \t]', value) and re.search(r"'[ \t]", value)
    return value != "<NA>" and not both


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.floats(), st.integers(-(2**63), 2**63 - 1), TEXTS.filter(is_text), st.booleans()
        ),
        max_size=8,
    ),
    st.booleans(),
)
@example([(1.5, 1, "a\u2028b", True), (0.1, 2, "c\x85d", True), (0.1, 2, "\x0b", True)], True)
@example([(1.5, 1, "a\xa0b", True), (0.1, 2, "\u3000", True), (0.1, 2, "x\x1cy", True)], False)
def test_what_is_written_is_read(tmp_path_factory, values, loop):
    """Floats to the last bit, whole numbers to the last digit, texts to the last blank."""
    values = values[: None if loop else 1]
    floats, numbers, texts, flags = zip(*values, strict=True) if values else ((), (), (), ())
    table = pl.DataFrame(
        {
            "rlnFloat": pl.Series(floats, dtype=pl.Float64),
            "float": pl.Series(floats, dtype=pl.Float64),
            "number": pl.Series(numbers, dtype=pl.Int64),
            "rlnTextName": pl.Series(texts, dtype=pl.String),
            "flag": pl.Series(flags, dtype=pl.Boolean),
        }
    )
    if not loop and not values:
        return
    path = tmp_path_factory.mktemp("star") / "a.star"
    second = Block("second", pl.DataFrame({"x": [1, 2]}))
    path.write_bytes(written(Block("first", table, loop=loop), second, version=50001))
    block, after = read_star(path)
    assert (block.name, block.loop, block.table.columns) == ("first", loop, table.columns)
    assert after.table.rows() == [(1,), (2,)]
    assert block.table["rlnTextName"].to_list() == list(texts)
    assert block.table["number"].to_list() == list(numbers)
    assert [str(v) for v in block.table["flag"].to_list()] == [str(int(v)) for v in flags]
    for name in ("rlnFloat", "float") if values else ():
        found = block.table[name].cast(pl.Float64).to_list()
        for x, y in zip(found, floats, strict=True):
            assert (np.isnan(x) and np.isnan(y)) or struct.pack("d", x) == struct.pack("d", y)


def test_missing_values_come_back(save):
    table = pl.DataFrame({"n": [1, None, 3], "x": [None, 0.5, np.nan], "t": ["a", None, ""]})
    (block,) = read_star(save(written(Block("", table))))
    assert block.table["n"].to_list() == [1, None, 3]
    assert block.table["t"].to_list() == ["a", None, ""]
    assert block.table["x"].to_list()[:2] == [None, 0.5]
    assert np.isnan(block.table["x"][2])


def test_what_relion_expects_of_the_layout():
    """A version comment, block, loop, numbered labels; a list without loop."""
    text = written(
        Block("general", pl.DataFrame({"a": [1], "long": ["x y"]}), loop=False),
        Block("p", pl.DataFrame({"x": [0.5], "y": [1e-9], "b": [True]})),
        version=30001,
    ).decode()
    assert '# version 30001\n\ndata_general\n\n_a       1\n_long    "x y"\n' in text
    assert "# version 30001\n\ndata_p\n\nloop_\n_x #1\n_y #2\n_b #3\n0.5 1e-9 1\n" in text
    assert "# version" not in written(Block("", pl.DataFrame({"x": [1]}))).decode()


@pytest.mark.parametrize("text", ["a' b\" c", "two\nlines", "carriage\rreturn", "nul\0"])
def test_what_star_cannot_hold_is_refused(text):
    """A text with both quotes before blanks, or with a line's end, has no form in one line."""
    with pytest.raises(WriteError, match="'remark'"):
        written(Block("", pl.DataFrame({"x": [1, 2], "remark": ["fine", text]})))


def test_labels_that_star_cannot_hold_are_refused():
    with pytest.raises(WriteError, match="'my label'"):
        written(Block("", pl.DataFrame({"my label": [1]})))


def test_nothing_but_labels(save):
    """Tables without rows keep their labels."""
    table = pl.DataFrame({"a": [], "b": []})
    (block,) = read_star(save(written(Block("p", table))))
    assert (block.table.columns, block.table.height, block.loop) == (["a", "b"], 0, True)
