"""RELION 3.1 particle STAR files of 30 columns and 500 experiments: to PoseSets and back.

Contenders called "table" only fill a table: no experiments, no rotations, no pixel spacing, which
is less work than making PoseSets. All columns have to survive.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from _harness import Race

EXPERIMENTS = 500
SPACING = 1.35

# label and how the values look: a range of floats, a range of integers, or a kind of text
COLUMNS = {
    "rlnCoordinateX": (0.0, 4000.0),
    "rlnCoordinateY": (0.0, 4000.0),
    "rlnCoordinateZ": (0.0, 1000.0),
    "rlnMicrographName": "micrograph",
    "rlnImageName": "image",
    "rlnCtfImage": "ctf",
    "rlnOpticsGroup": (1, 3),
    "rlnGroupNumber": (1, 500),
    "rlnAngleRot": (-180.0, 180.0),
    "rlnAngleTilt": (0.0, 180.0),
    "rlnAnglePsi": (-180.0, 180.0),
    "rlnOriginXAngst": (-9.0, 9.0),
    "rlnOriginYAngst": (-9.0, 9.0),
    "rlnOriginZAngst": (-9.0, 9.0),
    "rlnDefocusU": (5000.0, 45000.0),
    "rlnDefocusV": (5000.0, 45000.0),
    "rlnDefocusAngle": (0.0, 180.0),
    "rlnCtfBfactor": (0.0, 100.0),
    "rlnCtfScalefactor": (0.0, 1.0),
    "rlnPhaseShift": (0.0, 120.0),
    "rlnCtfMaxResolution": (3.0, 12.0),
    "rlnCtfFigureOfMerit": (0.0, 1.0),
    "rlnAutopickFigureOfMerit": (0.0, 5.0),
    "rlnClassNumber": (1, 9),
    "rlnRandomSubset": (1, 3),
    "rlnNormCorrection": (0.5, 1.5),
    "rlnLogLikeliContribution": (1e5, 4e5),
    "rlnMaxValueProbDistribution": (0.0, 1.0),
    "rlnNrOfSignificantSamples": (1, 900),
    "rlnHelicalTrackLengthAngst": (0.0, 900.0),
}
CHECKED = [name for name, values in COLUMNS.items() if not isinstance(values, str)]


def make(folder: Path, n: int) -> None:
    """Write particles.star as RELION lays it out, and truth.npz."""
    import numpy as np

    random = np.random.default_rng(n)
    # a micrograph's particles stand together, as RELION has them
    experiments = np.sort(random.integers(0, min(EXPERIMENTS, n), n))
    experiments[: min(EXPERIMENTS, n)] = np.arange(min(EXPERIMENTS, n))
    experiments.sort()
    columns: dict[str, list] = {}
    forms = []
    for name, values in COLUMNS.items():
        if values == "micrograph":
            columns[name] = [f"MotionCorr/job002/frames/grid_{e:03d}.mrc" for e in experiments]
        elif values == "image":
            stacks = enumerate(experiments, 1)
            columns[name] = [f"{i:07d}@Extract/job009/frames/grid_{e:03d}.mrcs" for i, e in stacks]
        elif values == "ctf":
            columns[name] = [f"CtfFind/job003/frames/grid_{e:03d}_PS.ctf:mrc" for e in experiments]
        elif isinstance(values[0], int):
            columns[name] = random.integers(*values, n).tolist()
        else:
            columns[name] = random.uniform(*values, n).round(6).tolist()
        forms.append({float: "%13.6f", int: "%12d", str: "%s"}[type(columns[name][0])])
    optics = ["rlnOpticsGroupName", "rlnOpticsGroup", "rlnImagePixelSize", "rlnVoltage"]
    optics += ["rlnSphericalAberration", "rlnAmplitudeContrast", "rlnImageSize"]
    with (folder / "particles.star").open("w") as file:
        file.write("\n# version 30001\n\ndata_optics\n\nloop_\n")
        file.writelines(f"_{name} #{i}\n" for i, name in enumerate(optics, 1))
        for group in (1, 2):
            row = f"grid{group} {group} {SPACING:12.6f} 300.000000 2.700000 0.100000 128"
            file.write(f"{row}\n")
        file.write("\n\n# version 30001\n\ndata_particles\n\nloop_\n")
        file.writelines(f"_{name} #{i}\n" for i, name in enumerate(columns, 1))
        form = " ".join(forms) + " \n"
        file.writelines(form % row for row in zip(*columns.values(), strict=True))
        file.write("\n")
    truth = {name: np.array(columns[name], dtype=float) for name in CHECKED}
    ends = {name: columns[name][:: max(n - 1, 1)] for name in COLUMNS if name not in CHECKED}
    np.savez(folder / "truth.npz", experiments=experiments, **truth, **ends)


race = Race(cases={"10k": 10_000, "100k": 100_000, "1M": 1_000_000}, tiny=20, make=make)
READ, WRITE = "read to PoseSets", "write all columns"


def _source(folder: Path) -> Path:
    return folder / "particles.star"


# --- reading: what the file says must be there, in whatever form


@race.check(READ)
def _(folder: Path, result) -> None:
    import numpy as np

    with np.load(folder / "truth.npz") as truth:
        if isinstance(result, list):
            _check_posesets(truth, result)
            return
        assert sorted(result.columns) == sorted(COLUMNS), "not all columns"
        for name in CHECKED:
            np.testing.assert_allclose(result[name].to_numpy(), truth[name], rtol=1e-9)
        for name in set(COLUMNS) - set(CHECKED):
            values = result[name].to_numpy()
            assert [str(values[0]), str(values[-1])] == list(truth[name]), name


def _check_posesets(truth, posesets) -> None:
    """Compare positions, shifts (Å to pixels, sign), orientations, features of all particles."""
    import numpy as np
    from scipy.spatial.transform import Rotation

    assert len(posesets) == len(np.unique(truth["experiments"])), "number of experiments"

    def joined(name: str) -> np.ndarray:
        return np.concatenate([np.asarray(getattr(p, name), dtype=float) for p in posesets])

    def column(form: str) -> np.ndarray:
        return np.column_stack([truth[form.format(axis)] for axis in "XYZ"])

    position, shift = column("rlnCoordinate{}"), -column("rlnOrigin{}Angst") / SPACING
    centre = joined("position") + joined("shift")
    # where RELION's first pixel is called 1, position may differ by exactly that
    offset = np.median(centre - position - shift, axis=0)
    np.testing.assert_allclose(centre - offset, position + shift, atol=1e-5)
    np.testing.assert_allclose(offset, offset.round(), atol=1e-5)
    angles = np.column_stack([truth[f"rlnAngle{name}"] for name in ("Rot", "Tilt", "Psi")])
    expected = Rotation.from_euler("ZYZ", angles, degrees=True).inv()
    found = Rotation.concatenate([p.orientation for p in posesets])
    assert (found * expected.inv()).magnitude().max() < 1e-6, "orientation"
    for name in set(CHECKED) - {n for n in CHECKED if "Coord" in n or "Ang" in n}:
        values = np.concatenate([p.features[name].to_numpy(dtype=float) for p in posesets])
        np.testing.assert_allclose(values, truth[name], rtol=1e-9)


@race.contender(READ, "cryotypes", package="cryotypes", prepare=_source)
def _(path: Path):
    import cryotypes

    return cryotypes.read_poses(path)


@race.contender(READ, "cryotypes, table", package="cryotypes", prepare=_source)
def _(path: Path):
    from cryotypes.formats.shared.star import read_star

    return read_star(path)[-1].table


@race.contender(
    READ, "cryohub", package="cryohub", needs=("cryohub.reading.star",), peer=True, prepare=_source
)
def _(path: Path):
    from cryohub.reading.star import read_star

    return list(read_star(path))


@race.contender(
    READ, "starfile, table", package="starfile", needs=("starfile",), peer=True, prepare=_source
)
def _(path: Path):
    import starfile

    return starfile.read(path)["particles"]


@race.contender(READ, "starfile-rs, polars table", package="starfile-rs", peer=True)
def _(folder: Path):
    import starfile_rs

    return starfile_rs.read_star(_source(folder))["particles"].to_polars()


@race.contender(READ, "starfile-rs, pandas table", package="starfile-rs", peer=True)
def _(folder: Path):
    import starfile_rs

    return starfile_rs.read_star(_source(folder))["particles"].to_pandas()


def _header(path: Path) -> int:
    """Number of lines before the rows, which pandas.read_csv has to be told."""
    last = f"_{list(COLUMNS)[-1]} "
    with path.open() as file:
        return next(i for i, line in enumerate(file, 1) if line.startswith(last))


@race.contender(READ, "pandas.read_csv, table", package="pandas", peer=True)
def _(folder: Path):
    import pandas as pd

    path = _source(folder)
    return pd.read_csv(path, sep=r"\s+", skiprows=_header(path), names=list(COLUMNS))


# --- writing: each contender writes what it has read itself


@race.check(WRITE)
def _(folder: Path, written: Path) -> None:
    """Parse what was written with a few lines of our own, and compare all columns."""
    import numpy as np

    assert written != _source(folder)
    labels, rows = [], []
    with written.open() as file:
        for line in file:
            words = line.split()
            if line.startswith("data_"):
                labels, rows = [], []
            elif line.startswith("_"):
                labels.append(words[0][1:])
            elif len(words) > 1 and words[0] != "#":
                rows.append(words)
    missing = sorted(set(COLUMNS) - set(labels))
    assert not missing, f"columns that were not written: {', '.join(missing)}"
    with np.load(folder / "truth.npz") as truth:
        assert len(rows) == len(truth["experiments"]), "number of rows"
        for name in CHECKED:
            index = labels.index(name)
            values = np.array([row[index] for row in rows], dtype=float)
            np.testing.assert_allclose(values, truth[name], rtol=1e-6, atol=2e-6, err_msg=name)
        for name in set(COLUMNS) - set(CHECKED):
            index = labels.index(name)
            assert [rows[0][index], rows[-1][index]] == list(truth[name]), name


def _target(folder: Path) -> Path:
    """Return where to write; nothing is there."""
    target = folder / "written"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    return target / "particles.star"


def _posesets(folder: Path):
    import cryotypes

    return folder, cryotypes.read_poses(_source(folder))


@race.contender(WRITE, "cryotypes", package="cryotypes", prepare=_posesets)
def _(given):
    import cryotypes

    folder, posesets = given
    path = _target(folder)
    cryotypes.write(posesets, path)
    return path


def _blocks(folder: Path):
    from cryotypes.formats.shared.star import read_star

    return folder, read_star(_source(folder))


@race.contender(WRITE, "cryotypes, table", package="cryotypes", prepare=_blocks)
def _(given):
    from cryotypes.formats.shared.star import write_star

    path = _target(given[0])
    with path.open("wb") as file:
        write_star(file, given[1])
    return path


def _hub(folder: Path):
    from cryohub.reading.star import read_star

    return folder, list(read_star(_source(folder)))


@race.contender(
    WRITE, "cryohub", package="cryohub", needs=("cryohub.writing.star",), peer=True, prepare=_hub
)
def _(given):
    from cryohub.writing.star import write_star

    path = _target(given[0])
    write_star(given[1], path, version="3.1")
    return path


def _frames(folder: Path):
    import starfile

    return folder, starfile.read(_source(folder))


@race.contender(
    WRITE, "starfile, table", package="starfile", needs=("starfile",), peer=True, prepare=_frames
)
def _(given):
    import starfile

    path = _target(given[0])
    starfile.write(given[1], path)
    return path


def _rust(folder: Path, kind: str):
    import starfile_rs

    star = starfile_rs.read_star(_source(folder))
    return folder, {name: getattr(star[name], f"to_{kind}")() for name in ("optics", "particles")}


def _rust_polars(folder: Path):
    return _rust(folder, "polars")


@race.contender(
    WRITE, "starfile-rs, polars table", package="starfile-rs", peer=True, prepare=_rust_polars
)
def _(given):
    import starfile_rs

    star = starfile_rs.empty_star()
    for name, table in given[1].items():
        star[name] = table
    path = _target(given[0])
    star.write(path)
    return path


def _pandas(folder: Path):
    import pandas as pd

    path = _source(folder)
    skip = _header(path)
    with path.open() as file:
        header = [next(file) for _ in range(skip)]
    return folder, header, pd.read_csv(path, sep=r"\s+", skiprows=skip, names=list(COLUMNS))


@race.contender(WRITE, "pandas.to_csv, table", package="pandas", peer=True, prepare=_pandas)
def _(given):
    folder, header, table = given
    path = _target(folder)
    with path.open("w") as file:
        file.writelines(header)
        table.to_csv(file, sep=" ", header=False, index=False)
    return path


if __name__ == "__main__":
    race.main()
