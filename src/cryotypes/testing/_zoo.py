"""Small inputs on which a format can fail: every one has been a real program's fault."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cryotypes.poseset import PoseSet

if TYPE_CHECKING:
    from scipy.spatial.transform import Rotation

SOURCE = "zoo.star"


def zoo() -> dict[str, list[PoseSet]]:
    """Return lists of PoseSets by name, the same ones each time.

    Whatever reads and writes poses should give all of them back. Features carry, as index, the
    row in the file, where they come from one.

    Examples
    --------
    >>> from cryotypes.testing import zoo
    >>> zoo()["one"]
    [PoseSet 'TS_01': 1 particle, 2.5 Å/px, shift, orientation]
    """
    gimbal = [[30, 0, 0], [0, 0, 30], [-70, 0, 25], [40, 180, 10], [0, 180, 0], [90, 90, 90]]
    half_turns = [[180, 0, 0], [0, 180, 0], [0, 0, 180], [180, 180, 0], [180, 90, 180]]
    return {
        "none": [_poses(0)],
        "one": [_poses(1)],
        "three": [_poses(3)],
        "many": [_poses(10_000)],
        "2D": [_flat(4)],
        "2D, one": [_flat(1)],
        "3D, all z zero": [_poses(2, position=[[5.0, 6.0, 0.0], [7.0, 8.0, 0.0]])],
        "two experiments": _interleaved(),
        "no shift": [_poses(3, shift=None)],
        "no orientation": [_poses(3, orientation=None)],
        "position only": [_poses(3, shift=None, orientation=None)],
        "zero shift": [_poses(3, shift=np.zeros((3, 3)))],
        "identity": [_poses(3, orientation=_turn(np.zeros((3, 3))))],
        "half turns": [_poses(5, orientation=_turn(half_turns))],
        "gimbal lock": [_poses(6, orientation=_turn(gimbal))],
        "numbers and text": [_poses(4, features=_features())],
        "missing features": [_poses(3, features=_missing())],
        "unicode": [_poses(2, experiment_id="Gitter α 1/TS 01", features=_texts())],
        "numeric id": [_poses(2, experiment_id="001")],
        "very large": [_poses(3, position=np.full((3, 3), 1e7) + np.eye(3) / 3)],
        "negative": [_poses(3, position=-100 * np.eye(3))],
    }


def _poses(n: int, **changes: Any) -> PoseSet:
    """General positions, shifts and orientations, so that no fault cancels."""
    rng = np.random.default_rng(n)
    fields: dict[str, Any] = {
        "position": rng.uniform(0, 1000, (n, 3)),
        "shift": rng.uniform(-5, 5, (n, 3)),
        "orientation": _random(n),
        "experiment_id": "TS_01",
        "pixel_spacing": 2.5,
        "source": SOURCE,
    }
    fields.update(changes)
    fields["position"] = np.asarray(fields["position"])
    return PoseSet(**fields)


def _flat(n: int) -> PoseSet:
    """In a micrograph: no z, turned about the beam only."""
    poses = _poses(n, experiment_id="mic_001.mrc", metadata={"ndim": 2})
    position, shift = np.array(poses.position), np.array(poses.shift)
    position[:, 2] = shift[:, 2] = 0
    poses.position, poses.shift = position, shift
    poses.orientation = _turn(np.stack([np.zeros(n), np.zeros(n), np.linspace(-170, 150, n)], 1))
    return poses


def _interleaved() -> list[PoseSet]:
    """Rows 0, 2, 4 and 1, 3 of one file: written back, they belong in that order."""
    rows = {"TS_01": [0, 2, 4], "TS_02": [1, 3]}
    return [
        _poses(
            len(index),
            experiment_id=name,
            features=pd.DataFrame({"row": np.array(index, dtype=np.int64)}, index=index),
        )
        for name, index in rows.items()
    ]


def _features() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "number": [0.1, -1e-9, 1e300, 2.0],
            "count": np.array([0, -7, 2**53 + 1, 3], dtype=np.int64),
            "text": ["a", "b c", "#1", 'it\'s "so"'],
            "class": np.array([1, 1, 2, 2], dtype=np.int64),
        }
    )


def _missing() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "score": [0.5, np.nan, np.inf],
            "remark": ["good", None, "bad"],
            "visits": pd.array([1, None, 3], dtype="Int64"),
        }
    )


def _texts() -> pd.DataFrame:
    return pd.DataFrame({"remark": ["größer als α", " spaces  around "], "空": ["日本", "x"]})


def _turn(angles: Any) -> Rotation:
    from scipy.spatial.transform import Rotation

    rotation = Rotation.from_euler("ZYZ", np.asarray(angles, dtype=float), degrees=True)
    return rotation.inv()


def _random(n: int) -> Rotation:
    from scipy.spatial.transform import Rotation

    quaternions = np.random.default_rng(n + 1).normal(size=(n, 4))
    return Rotation.from_quat(quaternions)
