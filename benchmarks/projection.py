"""Projection: 4×4 matrices of many tilt images, and many particles into all tilt images."""

from __future__ import annotations

from pathlib import Path

from _harness import MissingError, Race

TOMOGRAM = (900, 900, 300)
IMAGE = (1000, 800)
CENTER = (500, 400)
SPACING = 10.0


def make(folder: Path, size: tuple[int, int, int]) -> None:
    """Save angles, shifts and positions; ``size`` is points, their tilts, tilts for matrices."""
    import numpy as np

    points, tilts, many = size
    random = np.random.default_rng(points)
    for name, n in (("few", tilts), ("many", many)):
        columns = {
            "rotation_x": np.zeros(n),
            "rotation_y": np.linspace(-60, 60, n),
            "rotation_z": np.full(n, 85.0),
            "dx": random.normal(0, 5, n),
            "dy": random.normal(0, 5, n),
        }
        np.savez(folder / f"{name}.npz", **columns)
    np.save(folder / "points.npy", random.uniform(0, 1, (points, 3)) * TOMOGRAM)


race = Race(
    cases={"small": (10_000, 41, 1000), "large": (1_000_000, 41, 100_000)},
    tiny=(5, 3, 4),
    make=make,
)
MATRICES, PROJECT = "matrices", "project"


def _columns(folder: Path, name: str):
    import numpy as np

    with np.load(folder / f"{name}.npz") as file:
        return dict(file)


def _frame(folder: Path, name: str = "many"):
    """Make a projection model."""
    import pandas as pd

    constant = {"experiment_id": "TS_01", "pixel_spacing": SPACING, "source": "a.star"}
    return pd.DataFrame({**_columns(folder, name), **constant})


def _turn(axes: tuple[int, int], degrees):
    """Turn the first axis towards the second; (n, 4, 4)."""
    import numpy as np

    first, second = axes
    angle = np.deg2rad(degrees)
    matrix = np.zeros((len(angle), 4, 4)) + np.eye(4)
    matrix[:, first, first] = matrix[:, second, second] = np.cos(angle)
    matrix[:, second, first] = np.sin(angle)
    matrix[:, first, second] = -np.sin(angle)
    return matrix


def _move(x, y, z=0.0):
    import numpy as np

    vectors = np.stack(np.broadcast_arrays(np.atleast_1d(x), y, z), axis=1)
    matrix = np.zeros((len(vectors), 4, 4)) + np.eye(4)
    matrix[:, :3, 3] = vectors
    return matrix


def product(columns):
    """Multiply the six matrices of cryotypes 0.2.0's formula."""
    to_origin = _move(*(-(size // 2) for size in TOMOGRAM))
    turn_x = _turn((1, 2), columns["rotation_x"])
    turn_y = _turn((2, 0), columns["rotation_y"])
    turn_z = _turn((0, 1), columns["rotation_z"])
    shift, to_image = _move(columns["dx"], columns["dy"]), _move(*CENTER)
    return to_image @ shift @ turn_z @ turn_y @ turn_x @ to_origin


@race.check(MATRICES)
def _(folder: Path, result) -> None:
    """Compare some with scipy's rotations."""
    import numpy as np
    from scipy.spatial.transform import Rotation

    columns = _columns(folder, "many")
    n = len(columns["dx"])
    assert result.shape == (n, 4, 4)
    some = np.unique(np.linspace(0, n - 1, 50).astype(int))
    angles = np.column_stack([columns[f"rotation_{axis}"][some] for axis in "xyz"])
    turn = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()  # lower case: extrinsic
    np.testing.assert_allclose(result[some, :3, :3], turn, atol=1e-6)
    moved = -turn @ np.array([size // 2 for size in TOMOGRAM], dtype=float)
    moved[:, :2] += np.column_stack([columns["dx"], columns["dy"]])[some] + CENTER
    np.testing.assert_allclose(result[some, :3, 3], moved, atol=1e-3)


@race.contender(MATRICES, "cryotypes", package="cryotypes", prepare=_frame)
def _(frame):
    from cryotypes.projectionmodel import projection_model_to_projection_matrices

    return projection_model_to_projection_matrices(frame, CENTER, TOMOGRAM)


@race.contender(MATRICES, "numpy, the formula", prepare=lambda folder: _columns(folder, "many"))
def _(columns):
    return product(columns)


@race.contender(
    MATRICES,
    "cryotypes 0.2.0",
    package="cryotypes",
    needs=("cryotypes.projectionmodel",),
    peer=True,
    prepare=_frame,
)
def _(frame):
    import importlib.metadata

    from cryotypes.projectionmodel import projection_model_to_projection_matrices

    if importlib.metadata.version("cryotypes") != "0.2.0":
        raise MissingError("not the version 0.2.0")
    return projection_model_to_projection_matrices(frame, CENTER, TOMOGRAM)


@race.check(PROJECT)
def _(folder: Path, result) -> None:
    """Compare some points in all images; (tilts, points, 2)."""
    import numpy as np

    points, columns = np.load(folder / "points.npy"), _columns(folder, "few")
    assert result.shape == (len(columns["dx"]), len(points), 2)
    some = np.unique(np.linspace(0, len(points) - 1, 50).astype(int))
    homogeneous = np.column_stack([points[some], np.ones(len(some))])
    expected = (product(columns) @ homogeneous.T)[:, :2].transpose(0, 2, 1)
    np.testing.assert_allclose(np.asarray(result)[:, some], expected, atol=2e-3)


def _poses(folder: Path):
    import numpy as np

    import cryotypes

    points = np.load(folder / "points.npy")
    poses = cryotypes.PoseSet(points, experiment_id="TS_01", pixel_spacing=SPACING)
    return poses, _frame(folder, "few")


@race.contender(PROJECT, "cryotypes", package="cryotypes", prepare=_poses)
def _(given):
    import cryotypes

    poses, model = given
    sizes = {"tomogram_dimensions": TOMOGRAM, "tilt_image_dimensions": IMAGE}
    return cryotypes.project(poses, model, **sizes).position


def _arrays(folder: Path):
    import numpy as np

    return np.load(folder / "points.npy"), _columns(folder, "few")


@race.contender(PROJECT, "numpy, the formula and einsum", prepare=_arrays)
def _(given):
    import numpy as np

    points, columns = given
    homogeneous = np.column_stack([points, np.ones(len(points))])
    return np.einsum("tij,nj->tni", product(columns), homogeneous)[..., :2]


@race.contender(PROJECT, "numpy, one matrix product", prepare=_arrays)
def _(given):
    import numpy as np

    points, columns = given
    matrices = product(columns)
    rows = np.ascontiguousarray(matrices[:, :2, :3]).reshape(-1, 3)
    camera = (rows @ points.T).reshape(-1, 2, len(points))
    camera += matrices[:, :2, 3, None]
    return camera.transpose(0, 2, 1)


def _torch(folder: Path):
    import numpy as np
    import torch
    from torch_tilt_series import TiltSeries

    points, columns = _arrays(folder)
    series = TiltSeries(
        tilt_angles=columns["rotation_y"],
        tilt_axis_angle=columns["rotation_z"],
        sample_translations=np.column_stack([columns["dy"], columns["dx"]]),
        pixel_spacing=1.0,
    )
    relative = (points - np.array(TOMOGRAM) // 2)[:, ::-1]
    return series, torch.as_tensor(relative.copy()).float()


@race.contender(
    PROJECT,
    "torch-tilt-series, float32",
    package="torch-tilt-series",
    needs=("torch_tilt_series",),
    peer=True,
    prepare=_torch,
)
def _(given):
    import numpy as np

    series, points = given
    yx = series.project_points(points).numpy()
    return np.moveaxis(yx, -2, 0)[..., ::-1] if yx.shape[0] == len(points) else yx[..., ::-1]


if __name__ == "__main__":
    race.main()
