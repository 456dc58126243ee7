"""What a user writes: read, filter, project, match and write; with a class of their own, too."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

import cryotypes as ct
from cryotypes.geometry import PoseComparison, Projection, Triangulation
from cryotypes.image import central_slice, statistics


@dataclass
class Picks:
    """Follows the PoseSetProtocol, and knows a score."""

    position: NDArray[np.float64]
    score: NDArray[np.float64]
    experiment_id: str
    shift: NDArray[np.float64] | None = None
    orientation: Rotation | None = None
    pixel_spacing: float = 0.0
    source: str = ""


@dataclass
class Scored(ct.PoseSet):
    """Extends the PoseSet by a field."""

    score: list[float] = field(default_factory=list)


def best(picks: Picks, least: float) -> Picks:
    return ct.select(picks, picks.score >= least)


def count(poses: ct.PoseSetProtocol) -> int:
    return len(np.asarray(poses.position))


def main(folder: Path) -> None:
    poses: list[ct.PoseSet] = ct.read_poses(folder / "particles.star")
    model = ct.read_projection_model(folder / "tomograms.star")
    tomogram: ct.Image = ct.read_image(folder / "tomograms" / "rec_TS_01.mrc")

    high: ct.PoseSet = poses[0][poses[0].position[:, 2] > 30]
    middle = high.position.mean(axis=0)
    moved = replace(ct.apply_shifts(high), source="by hand")
    moved.position = [[1, 2, 3], *moved.position.tolist()]  # lists are taken, arrays are given
    if high.shift is not None and high.orientation is not None and high.features is not None:
        print(high.shift[:, 0].max(), high.orientation.as_matrix().shape, list(high.features))

    picks = Picks(np.zeros((2, 3)), np.array([0.5, 0.9]), "TS_01", pixel_spacing=10.0)
    kept: Picks = ct.rescale(best(picks, 0.6), 5.0)
    scored: Scored = ct.bin_poses(Scored([[1, 2, 3]], pixel_spacing=5.0, score=[0.5]), 2)
    projection: Projection[ct.PoseSet] = ct.project(poses[0], model)
    print(middle, count(kept), count(scored), scored.score, projection[0].position[:, :2])

    seen: Triangulation = ct.triangulate(projection, model)
    compared: PoseComparison = ct.compare_poses(poses[0], poses[0])
    print(seen.rms, compared.summary())

    small: ct.Image = ct.crop_image(ct.bin_image(tomogram, 2), (0, 0, 0), (8, 8, 8))
    print(small.data.shape, small.data[0].max(), central_slice(small).data.dtype)
    print(statistics(tomogram).mean, np.mean(ct.Image(np.zeros((2, 2))).data))

    for name, experiment in ct.match(poses, model, tomogram).items():
        print(name, len(experiment.poses), experiment.projection_model is not None)
    report: ct.LossReport = ct.write(high, folder / "high.star", overwrite=True)
    print(sorted(report.lost), ct.known_formats()["mrc"].suffixes)


if __name__ == "__main__":
    main(Path("cryotypes-demo"))
