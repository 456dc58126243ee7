"""AreTomo3's _TLT.txt: tilts, order of acquisition and dose, and no particles."""

import pytest

import cryotypes as ct
from cryotypes.errors import GuessWarning, ReadError

TEXT = """   -9.00     7     21.00
   -6.00     4     12.00
   -3.00     3      9.00
    0.00     1      3.00
    3.00     2      6.00
"""


def test_tilts_order_and_dose(tmp_path):
    path = tmp_path / "TS_1_TLT.txt"
    path.write_text(TEXT)
    with pytest.warns(GuessWarning, match="tilt angles alone"):
        (model,) = ct.read(path)
    assert model["experiment_id"].unique() == ["TS_1"]
    assert model["rotation_y"].tolist() == [-9, -6, -3, 0, 3]
    assert model["acquisition_order"].tolist() == [4, 3, 2, 0, 1]
    assert model["dose"].tolist() == [21, 12, 9, 3, 6]
    assert model["tilt_index"].tolist() == [0, 1, 2, 3, 4]
    (tmp_path / "TS_1.aln").write_text("")
    with pytest.warns(GuessWarning, match=r"TS_1\.aln beside it holds the alignment"):
        ct.read_projection_model(path, tilt_axis_angle=84.8)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TEXT.replace("   7  ", "   3  "), "numbers of the acquisition"),
        (TEXT.replace("   7  ", " 1.5  "), "numbers of the acquisition"),
        (TEXT + "1 2\n", "line 6: expected 3 numbers"),
        (TEXT.replace("-6.00", "nan"), "line 2, tilt: expected a finite number"),
    ],
)
def test_what_is_none(tmp_path, text, message):
    path = tmp_path / "TS_1_TLT.txt"
    path.write_text(text)
    with pytest.raises(ReadError, match=message):
        ct.read_projection_model(path)
