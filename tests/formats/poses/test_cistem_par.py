"""cisTEM's .par files, in the form in which cisTEM writes them, against hand arithmetic."""

from __future__ import annotations

import gzip

import pytest
from numpy.testing import assert_allclose

from cryotypes.errors import GuessWarning, ReadError
from cryotypes.formats.poses import cistem_par
from cryotypes.testing import assert_same

read = cistem_par.FORMAT.read

# RELION's (25, 40, 70), and where (14, 0, 0) of the reference comes to lie
POINT = (-2.235467, -11.157248, 8.155888)
PAR = """\
C
C           PSI   THETA     PHI       SHX       SHY     MAG  INCLUDE   DF1      DF2  ANGAST  \
PSHIFT     OCC      LogP      SIGMA   SCORE  CHANGE
      1   70.00   40.00   25.00      2.00     -4.00   10000     1  15000.5  14000.0   30.00    \
0.00  100.00      -500     1.2345   12.00    0.50
      2    0.00    0.00    0.00      1.50      0.00   10000    -1  15000.0  14000.0   30.00    \
0.00  100.00      -600     1.0000   13.00   -0.50
C       average
"""


def check_first(poses) -> None:
    assert_allclose(poses.orientation[0].apply([14, 0, 0]), POINT, atol=1e-6)
    assert_allclose(poses.shift[0], (1, -2, 0))
    if "number" not in poses.features:
        assert_allclose(poses.position[0], (10, 20, 0))


def test_a_par_file_by_hand(save):
    (poses,) = read(save(PAR, "run_1.par"), pixel_spacing=2)
    check_first(poses)
    assert poses.experiment_id == "run_1"
    assert not poses.position.any()
    assert list(poses.features["include"]) == [1, -1]
    assert list(poses.features["number"]) == [1, 2]
    assert list(poses.features["sigma"]) == [1.2345, 1.0]
    assert list(poses.features.columns) == [
        "number", "mag", "include", "df1", "df2", "angast", "pshift", "occ", "logp", "sigma",
        "score", "change",
    ]  # fmt: skip
    assert poses.metadata["comments"][-1].split() == ["C", "average"]
    assert_same(read(save(gzip.compress(PAR.encode()), "run_1.par.gz"), pixel_spacing=2),
                [poses])  # fmt: skip
    assert_same(read(save(PAR.replace("\n", "\r\n"), "run_1.par"), pixel_spacing=2), [poses])


def test_a_par_file_from_before_phase_plates(save):
    old = PAR.replace("    0.00  100.00", "  100.00").replace("PSHIFT", "")
    (poses,) = read(save(old, "a.par"), pixel_spacing=2)
    assert "pshift" not in poses.features
    assert list(poses.features["occ"]) == [100, 100]
    check_first(poses)


def test_par_files_that_cannot_be_read(save):
    with pytest.raises(ReadError, match="pixel_spacing="):
        read(save(PAR, "a.par"))
    for text, match in {
        PAR.replace("   13.00", ""): "line 4: expected 17 numbers as in the first line, found 16",
        PAR.replace("13.00", "x"): "line 4, score: expected a number, found 'x'",
        PAR.replace("13.00", "nan"): "line 4, score: expected a finite number",
        "1 2 3 4 5 6 7 8 9 10 11 12\n": "line 1: expected 16 to 17 numbers, found 12",
    }.items():
        with pytest.raises(ReadError, match=match):
            read(save(text, "a.par"), pixel_spacing=2)
    with pytest.warns(GuessWarning, match="line end"):
        read(save(PAR.split("\nC       av")[0], "a.par"), pixel_spacing=2)


def test_a_par_file_without_particles(save):
    (poses,) = read(save("".join(PAR.splitlines(keepends=True)[:2]), "a.par"))
    assert len(poses.position) == 0
    assert len(poses.orientation) == 0
