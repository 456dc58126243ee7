"""Dynamo tables (.tbl) and cryoSPARC files (.cs) of 500 experiments: to PoseSets and back.

The peers only fill a table, which is less work than making PoseSets.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from _harness import Race

EXPERIMENTS = 500
SPACING = 10.0
WIDTH = 36  # columns of the table, the last one is apix
WHOLE = {1: 1, 2: 1, 3: 1, 13: 1}  # columns (from 1) of constants: tag, aligned, averaged, ftype
FLOATS = (4, 5, 6, 7, 8, 9, 10, 24, 25, 26)
TILES = (4092, 5760)  # ny, nx of the micrographs


def make(folder: Path, n: int) -> None:
    """Write particles.tbl and particles.cs, and truth.npz."""
    import numpy as np

    random = np.random.default_rng(n)
    experiments = np.sort(random.integers(1, min(EXPERIMENTS, n) + 1, n))
    table = np.zeros((n, WIDTH))
    for column, value in WHOLE.items():
        table[:, column - 1] = value
    table[:, 0], table[:, 19], table[:, 35] = np.arange(1, n + 1), experiments, SPACING
    for column in FLOATS:
        size = {24: 900, 25: 900, 26: 300}.get(column, 90)
        table[:, column - 1] = random.uniform(0.5, size, n).round(4)
    forms = ["%.4f" if column in FLOATS else "%d" for column in range(1, WIDTH + 1)]
    np.savetxt(folder / "particles.tbl", table, fmt=forms)

    paths = [
        f">J12/motioncorrected/grid_{e:03d}_patch_aligned_doseweighted.mrc" for e in range(501)
    ]
    fields = {
        "uid": ("<u8", random.permutation(np.arange(1, n + 1))),
        "location/micrograph_path": ("S64", np.array(paths, "S64")[experiments]),
        "location/micrograph_shape": (("<u4", (2,)), TILES),
        "location/micrograph_psize_A": ("<f4", 0.5),
        "location/center_x_frac": ("<f4", random.random(n)),
        "location/center_y_frac": ("<f4", random.random(n)),
        "blob/psize_A": ("<f4", 0.5),
        "ctf/df1_A": ("<f4", random.uniform(5000, 30000, n)),
        "ctf/df2_A": ("<f4", random.uniform(5000, 30000, n)),
        "alignments3D/pose": (("<f4", (3,)), random.uniform(-1.5, 1.5, (n, 3))),
        "alignments3D/shift": (("<f4", (2,)), random.normal(0, 4, (n, 2))),
        "alignments3D/psize_A": ("<f4", 0.5),
        "alignments3D/error": ("<f4", random.random(n)),
        "alignments3D/split": ("<u4", random.integers(0, 2, n)),
    }
    kinds = [(k, *t) if isinstance(t, tuple) else (k, t) for k, (t, _) in fields.items()]
    rows = np.zeros(n, dtype=kinds)
    for name, (_, values) in fields.items():
        rows[name] = values
    with (folder / "particles.cs").open("wb") as file:
        np.save(file, rows, allow_pickle=False)
    np.savez(folder / "truth.npz", table=table)


race = Race(cases={"10k": 10_000, "100k": 100_000, "1M": 1_000_000}, tiny=20, make=make)
READ_TBL, WRITE_TBL = "read tbl", "write tbl"
READ_CS, WRITE_CS = "read cs", "write cs"


def _tbl(folder: Path) -> Path:
    return folder / "particles.tbl"


def _cs(folder: Path) -> Path:
    return folder / "particles.cs"


def _target(folder: Path, name: str) -> Path:
    """Return where to write; nothing is there."""
    target = folder / "written"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    return target / name


def _positions(posesets):
    import numpy as np

    return np.concatenate([np.asarray(p.position) for p in posesets])


@race.check(READ_TBL)
def _(folder: Path, result) -> None:
    import numpy as np

    with np.load(folder / "truth.npz") as truth:
        table = truth["table"]
    if not isinstance(result, list):
        np.testing.assert_allclose(result.to_numpy(dtype=float), table, atol=1e-9)
        return
    # Dynamo's first voxel has its centre at 0.5
    np.testing.assert_allclose(_positions(result), table[:, 23:26] - 0.5, atol=1e-9)
    counts = np.unique(table[:, 19], return_counts=True)[1]
    assert [len(np.asarray(p.position)) for p in result] == counts.tolist()


@race.contender(READ_TBL, "cryotypes", package="cryotypes", prepare=_tbl)
def _(path: Path):
    import cryotypes

    return cryotypes.read_poses(path)


@race.contender(READ_TBL, "dynamotable, table", package="dynamotable", peer=True, prepare=_tbl)
def _(path: Path):
    import dynamotable

    return dynamotable.read(path)


@race.contender(READ_TBL, "pandas.read_csv, table", package="pandas", peer=True, prepare=_tbl)
def _(path: Path):
    import pandas as pd

    return pd.read_csv(path, sep=" ", header=None)


@race.check(WRITE_TBL)
def _(folder: Path, written: Path) -> None:
    import numpy as np

    with np.load(folder / "truth.npz") as truth:
        table = truth["table"]
    with written.open() as file:
        found = np.array([line.split()[:WIDTH] for line in file], dtype=float)
    np.testing.assert_allclose(_without_turns(found), _without_turns(table), atol=1e-6)


def _without_turns(table):
    """All columns but the three angles, which have more than one form."""
    import numpy as np

    return np.delete(table, slice(6, 9), axis=1)


def _posesets(folder: Path):
    import cryotypes

    return folder, cryotypes.read_poses(_tbl(folder))


@race.contender(WRITE_TBL, "cryotypes", package="cryotypes", prepare=_posesets)
def _(given):
    import cryotypes

    path = _target(given[0], "particles.tbl")
    cryotypes.write(given[1], path)
    return path


def _frame(folder: Path):
    import dynamotable

    return folder, dynamotable.read(_tbl(folder))


@race.contender(WRITE_TBL, "dynamotable, table", package="dynamotable", peer=True, prepare=_frame)
def _(given):
    import dynamotable

    path = _target(given[0], "particles.tbl")
    dynamotable.write(given[1], str(path))
    return path


@race.check(READ_CS)
def _(folder: Path, result) -> None:
    import numpy as np

    rows = np.load(_cs(folder))
    path = rows["location/micrograph_path"][-1].decode()
    if not isinstance(result, list):
        np.testing.assert_array_equal(result["alignments3D/pose"], rows["alignments3D/pose"])
        np.testing.assert_array_equal(result["uid"], rows["uid"])
        assert str(result["location/micrograph_path"][-1]) == path
        return
    fractions = [rows[f"location/center_{axis}_frac"].astype(float) for axis in "xy"]
    position = _positions(result)
    for axis, size in enumerate(TILES[::-1]):
        offset = np.median(position[:, axis] - fractions[axis] * size)
        assert abs(offset) <= 0.5 + 1e-3, (
            "position"
        )  # pixels begin or end half a pixel from centres
        np.testing.assert_allclose(position[:, axis] - offset, fractions[axis] * size, atol=1e-3)
    assert result[-1].experiment_id == path.removeprefix(">")


@race.contender(READ_CS, "cryotypes", package="cryotypes", prepare=_cs)
def _(path: Path):
    import cryotypes

    return cryotypes.read_poses(path)


@race.contender(
    READ_CS,
    "cryosparc-tools, table",
    package="cryosparc-tools",
    needs=("cryosparc.dataset",),
    peer=True,
    prepare=_cs,
)
def _(path: Path):
    from cryosparc.dataset import Dataset

    return Dataset.load(path)


@race.check(WRITE_CS)
def _(folder: Path, written: Path) -> None:
    import numpy as np

    rows, found = np.load(_cs(folder)), np.load(written)
    assert set(found.dtype.names) == set(rows.dtype.names), "fields"
    for name in rows.dtype.names:
        if rows[name].dtype.kind == "f":
            np.testing.assert_allclose(found[name], rows[name], rtol=1e-5, atol=1e-5, err_msg=name)
        else:
            assert np.array_equal(found[name], rows[name].astype(found[name].dtype)), name


def _cs_posesets(folder: Path):
    import cryotypes

    return folder, cryotypes.read_poses(_cs(folder))


@race.contender(WRITE_CS, "cryotypes", package="cryotypes", prepare=_cs_posesets)
def _(given):
    import cryotypes

    path = _target(given[0], "particles.cs")
    cryotypes.write(given[1], path)
    return path


def _dataset(folder: Path):
    from cryosparc.dataset import Dataset

    return folder, Dataset.load(_cs(folder))


@race.contender(
    WRITE_CS,
    "cryosparc-tools, table",
    package="cryosparc-tools",
    needs=("cryosparc.dataset",),
    peer=True,
    prepare=_dataset,
)
def _(given):
    path = _target(given[0], "particles.cs")
    given[1].save(path)
    return path


if __name__ == "__main__":
    race.main()
