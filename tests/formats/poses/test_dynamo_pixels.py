"""The pixel sizes in a Dynamo table's column apix (36): any above 0, whichever tomogram's."""

from __future__ import annotations

import pytest

from cryotypes import PoseSet
from cryotypes.formats.poses.dynamo_tbl import COLUMNS, read, write


def row(tomogram: int, apix: float) -> str:
    """A particle of a tomogram: columns 20, 24–26 and 36 are what counts."""
    values = {"tag": tomogram, "tomo": tomogram, "x": 10, "y": 20, "z": 30, "apix": apix}
    return " ".join(str(values.get(name, 0)) for name in COLUMNS) + "\n"


@pytest.mark.parametrize("apix", [0.54, 1.0, 10.8])
def test_pixels_of_less_than_an_angstrom_are_pixels(save, apix):
    (poses,) = read(save(row(1, apix), "a.tbl"))
    assert poses.pixel_spacing == apix


@pytest.mark.parametrize("apix", [0, -1.0, "nan", "inf"])
def test_what_is_no_pixel_size_is_unknown(save, apix):
    (poses,) = read(save(row(1, apix), "a.tbl"))
    assert poses.pixel_spacing == 0


def test_a_known_pixel_size_is_written_beside_an_unknown_one(save, tmp_path):
    """Also after reading a narrow table, which has no column for it."""
    narrow = " ".join(row(1, 0).split()[:26]) + "\n"
    (short,) = read(save(narrow, "narrow.tbl"))
    known = PoseSet(
        [[1, 2, 3]], experiment_id="2", pixel_spacing=0.54, metadata=dict(short.metadata)
    )
    write([short, known], tmp_path / "b.tbl", overwrite=False)
    found = read(tmp_path / "b.tbl")
    assert [poses.pixel_spacing for poses in found] == [0, 0.54]
