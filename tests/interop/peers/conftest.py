"""The same poses for everybody, and the exchange of files with programs of other environments."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.transform import Rotation

from cryotypes import PoseSet
from cryotypes.errors import LossWarning

N = 50
SPACING = 2.5  # Å, so that no number is the same in pixels
SIZES = {"TS_01": (1000, 900, 400), "TS_02": (960, 928, 320), "TS_10": (1024, 1024, 512)}


class Truth:
    """Random poses of three tomograms, their rows mixed; positions and shifts in pixels."""

    def __init__(self, ndim: int = 3) -> None:
        rng = np.random.default_rng(20)
        flat = [1, 1, 1 if ndim == 3 else 0]
        self.spacing = SPACING
        self.name = np.array(list(SIZES))[rng.permutation(np.arange(N) % len(SIZES))]
        self.position = rng.uniform(10, 310, (N, 3)) * flat
        self.shift = rng.uniform(-5, 5, (N, 3)) * flat
        self.orientation = Rotation.from_quat(rng.normal(size=(N, 4)))
        self.tag = rng.permutation(np.arange(101, 101 + N))
        self.class_number = rng.integers(1, 5, N)
        self.score = rng.uniform(0, 1, N)
        self.half = rng.integers(1, 3, N)
        self.order = np.argsort(self.name, kind="stable")

    @property
    def placed(self) -> np.ndarray:
        return self.position + self.shift

    @property
    def matrix(self) -> np.ndarray:
        return self.orientation.as_matrix()

    def rows(self, name: str) -> np.ndarray:
        return np.flatnonzero(self.name == name)

    def posesets(self, **features) -> list[PoseSet]:
        """One PoseSet a tomogram, with the features given for all rows."""
        table = pd.DataFrame(features, index=range(N))
        return [
            PoseSet(
                position=self.position[rows],
                shift=self.shift[rows],
                orientation=self.orientation[rows],
                experiment_id=name,
                pixel_spacing=self.spacing,
                features=table.iloc[rows].reset_index(drop=True) if features else None,
            )
            for name in SIZES
            for rows in [self.rows(name)]
        ]

    def save(self, folder: Path) -> None:
        arrays = {k: v for k, v in vars(self).items() if k != "orientation"}
        np.savez(
            folder / "truth.npz",
            matrix=self.matrix,
            sizes=list(SIZES.values()),
            **arrays,
        )

    def check(self, posesets, place=1e-4, angle=1e-4, base=0.0, prefix="", suffix="") -> None:
        """These are the poses, one PoseSet a tomogram: Å, degrees.

        ``base`` is what a peer adds to (pixel) coordinates though the format does not mean it;
        ``prefix`` and ``suffix`` what it adds to names.
        """
        assert {p.experiment_id for p in posesets} == {f"{prefix}{n}{suffix}" for n in SIZES}
        for poses in posesets:
            rows = self.rows(poses.experiment_id.removeprefix(prefix).removesuffix(suffix))
            assert len(poses) == len(rows)
            found = poses.position + (0 if poses.shift is None else poses.shift) - base
            assert np.abs(found - self.placed[rows]).max() * self.spacing < place
            if angle is not None:
                difference = poses.orientation * self.orientation[rows].inv()
                assert np.degrees(difference.magnitude()).max() < angle

    def check_answer(self, answer, place=1e-4, angle=1e-4, base=0.0) -> None:
        """A peer read these poses in a file of ours: ``placed`` in pixels, ``matrix``."""
        found = np.array(answer["placed"]) - base
        assert np.abs(found - self.placed[self.order]).max() * self.spacing < place
        if "matrix" in answer:
            read = Rotation.from_matrix(np.array(answer["matrix"]))
            difference = read * self.orientation[self.order].inv()
            assert np.degrees(difference.magnitude()).max() < angle


@pytest.fixture(scope="session")
def tomograms() -> str:
    """A tomograms.star of RELION."""
    labels = ("Name", "SizeX", "SizeY", "SizeZ", "TiltSeriesPixelSize")
    head = "".join(f"_rlnTomo{label} #{i}\n" for i, label in enumerate(labels, 1))
    rows = "".join(f"{name} {x} {y} {z} {SPACING}\n" for name, (x, y, z) in SIZES.items())
    return f"\ndata_global\n\nloop_\n{head}{rows}\n"


@pytest.fixture(scope="session")
def sizes() -> dict[str, tuple[int, int, int]]:
    """Pixels of the tomograms, xyz."""
    return SIZES


@pytest.fixture(scope="session")
def truth() -> Truth:
    return Truth()


@pytest.fixture(scope="session")
def flat() -> Truth:
    """The same in micrographs."""
    return Truth(ndim=2)


class Exchange:
    """What came back: the folder with everybody's files, and the peer's answers."""

    def __init__(self, folder: Path) -> None:
        self.ours, self.theirs = folder / "ours", folder / "theirs"
        self.answers = json.loads((folder / "answers.json").read_text(encoding="utf-8"))

    def __getitem__(self, step: str) -> dict:
        answer = self.answers[step]
        if "failure" in answer:
            pytest.fail(f"{step}:\n{answer['failure']}", pytrace=False)
        return answer

    def wrote(self, name: str) -> Path:
        """A file of the peer's; where it is missing, say what went wrong."""
        path = self.theirs / name
        if not path.exists():
            for step in self.answers:
                self[step]
        return path


@pytest.fixture(scope="session")
def exchange(environment, tmp_path_factory):
    """Write our files, have ``run_<name>.py`` read them and write its own."""

    def exchanging(name: str, truth: Truth, write_ours) -> Exchange:
        there = environment(name, client=False)
        folder = tmp_path_factory.mktemp(name)
        for side in ("ours", "theirs"):
            (folder / side).mkdir()
        truth.save(folder)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", LossWarning)  # lists without pixel size, points only
            write_ours(folder / "ours")
        script = Path(__file__).with_name(f"run_{name}.py")
        done = there.run(str(script), str(folder), cwd=folder)
        assert done.returncode == 0, done.stderr
        return Exchange(folder)

    return exchanging
