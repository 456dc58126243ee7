"""The comparator is worth nothing unless it refuses what differs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.transform import Rotation

from cryotypes import Image, PoseSet, validate_poseset
from cryotypes.testing import assert_same, zoo


def poses(n=4, **changes) -> PoseSet:
    rng = np.random.default_rng(7)
    features = pd.DataFrame({"score": np.linspace(0, 1, n), "name": [f"p{i}" for i in range(n)]})
    fields = {
        "position": rng.uniform(0, 100, (n, 3)),
        "shift": rng.uniform(-2, 2, (n, 3)),
        "orientation": Rotation.from_quat(rng.normal(size=(n, 4))),
        "experiment_id": "TS_01",
        "pixel_spacing": 2.5,
        "features": features,
    }
    return PoseSet(**(fields | changes))


def model(**changes) -> pd.DataFrame:
    columns = {
        "rotation_x": 0.0,
        "rotation_y": [-3.0, 0.0, 3.0],
        "rotation_z": 85.3,
        "dx": [1.0, 2.0, 3.0],
        "dy": 0.0,
        "experiment_id": "TS_01",
        "pixel_spacing": 1.35,
        "source": "a.star",
    }
    return pd.DataFrame(columns | changes)


def image(**changes) -> Image:
    data = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    fields = {"data": data, "experiment_id": "TS_01", "pixel_spacing": 10.0, "source": "a.mrc"}
    return Image(**(fields | changes))


def turned(rotation: Rotation, degrees: float, row: int) -> Rotation:
    """One of the orientations turned by a little about an axis that is nobody's own."""
    vectors = np.zeros((len(rotation), 3))
    vectors[row] = np.deg2rad(degrees) * np.array([2, 3, 6]) / 7
    return rotation * Rotation.from_rotvec(vectors)


def features(**changes) -> pd.DataFrame:
    return poses().features.assign(**changes)


A = poses()
SWAPPED = [0, 2, 1, 3]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (replace(A, orientation=A.orientation.inv()), "orientation"),
        (replace(A, orientation=turned(A.orientation, 0.01, 2)), r"orientation: row 2 .* 0\.01°"),
        (replace(A, orientation=A.orientation[SWAPPED]), "orientation: row [12]"),
        (replace(A, orientation=None), "orientation: values and None"),
        (replace(A, orientation=Rotation.identity(4)), "orientation"),
        (replace(A, position=A.position[SWAPPED]), "position: row [12]"),
        (replace(A, position=A.position[:, ::-1]), "position"),
        (replace(A, position=A.position + [[0.5, 0, 0]]), r"position: .* 0\.5 px"),
        (replace(A, position=A.position + 1e-5 * np.eye(4)[:, :3]), "position: .* 1e-05 px"),
        (replace(A, position=np.where(A.position == A.position[3], np.nan, A.position)), "row 3"),
        (replace(A, position=A.position[:3]), "position: shapes"),
        (replace(A, shift=None), "shift: values and None"),
        (replace(A, shift=-A.shift), "shift: row"),
        (replace(A, shift=A.shift[SWAPPED]), "shift: row [12]"),
        (replace(A, pixel_spacing=2.5 * (1 + 1e-8)), "pixel_spacing: 2.5 Å"),
        (replace(A, pixel_spacing=0.0), "pixel_spacing"),
        (replace(A, experiment_id="TS_1"), "experiment_id: 'TS_01' and 'TS_1'"),
        (replace(A, features=None), "features columns: name, score only in one"),
        (replace(A, features=A.features[["score"]]), "features columns: name only in one"),
        (replace(A, features=features(score=[0, 1, 1, 1])), "features score: float64 and int64"),
        (replace(A, features=features(name=[0, 1, 2, 3])), "features name: .* and int64"),
        (replace(A, features=features(name=["p0", "p1", "p2", "x"])), "row 3: 'p3' and 'x'"),
        (replace(A, features=features(score=[0, np.nan, 1, 1])), "features score: row 1"),
        (replace(A, features=features(name=["p0", None, "p2", "p3"])), "features name: row 1"),
        (image(), "found PoseSet and Image"),
        (None, "found PoseSet and NoneType"),
        ([A], "found PoseSet and list"),
    ],
)
def test_refuses_poses_that_differ(other, message):
    for pair in ((A, other), (other, A)):
        with pytest.raises(AssertionError):
            assert_same(*pair)
    with pytest.raises(AssertionError, match=message):
        assert_same(A, other)


def test_none_is_not_zero_shift():
    """That there is no shift is another statement than that it is zero."""
    with pytest.raises(AssertionError, match="shift: None and values"):
        assert_same(poses(shift=None), poses(shift=np.zeros((4, 3))))


def test_refuses_lists_that_differ():
    """Lists are compared in order, and the message says which of them differs."""
    b = poses(experiment_id="TS_02")
    with pytest.raises(AssertionError, match=r"\[0\] experiment_id"):
        assert_same([A, b], [b, A])
    with pytest.raises(AssertionError, match="2 things and 1 things"):
        assert_same([A, b], [A])


def test_accepts_the_same_poses():
    """q and -q are one orientation; where poses are from and how columns stand does not count."""
    other = replace(
        A,
        orientation=Rotation.from_quat(-A.orientation.as_quat()),
        features=A.features[["name", "score"]].set_axis([7, 8, 9, 10]),
        source="elsewhere.star",
        metadata={"dialect": "3.1"},
        position=A.position.tolist(),
    )
    assert_same(A, other)
    assert_same([A, poses()], [poses(), A])
    assert_same(turned_by(1e-8), A)


def turned_by(degrees) -> PoseSet:
    return replace(A, orientation=turned(A.orientation, degrees, 0))


def test_missing_values_are_equal_to_missing_values():
    table = pd.DataFrame({"a": [1.0, np.nan], "b": ["x", None], "c": pd.array([1, None], "Int64")})
    assert_same(poses(2, features=table), poses(2, features=table.copy()))
    changed = table.assign(c=pd.array([2, None], "Int64"))
    with pytest.raises(AssertionError, match="features c: row 0"):
        assert_same(poses(2, features=table), poses(2, features=changed))


def test_large_whole_numbers_are_compared_exactly():
    one = poses(1, features=pd.DataFrame({"id": [2**53]}))
    other = poses(1, features=pd.DataFrame({"id": [2**53 + 1]}))
    with pytest.raises(AssertionError, match="features id: row 0"):
        assert_same(one, other)


def test_tolerance_and_ignore():
    """What a format cannot keep exactly is stated by name, and only that is let through."""
    assert_same(A, turned_by(0.01), tolerance={"orientation": 0.011})
    with pytest.raises(AssertionError, match="orientation"):
        assert_same(A, turned_by(0.01), tolerance={"position": 1})
    assert_same(A, replace(A, features=features(score=0.5)), tolerance={"features": 0.51})
    assert_same(A, replace(A, features=features(score=0.5)), ignore=["score"])
    for name in ("position", "shift", "orientation", "experiment_id", "pixel_spacing", "features"):
        other = poses(**{name: getattr(poses(5, experiment_id="b", pixel_spacing=1.0), name)})
        if name != "features":
            with pytest.raises(AssertionError):
                assert_same(A, other)
        assert_same(A, other, ignore=[name])


def test_any_class_is_compared_by_its_attributes():
    @dataclass
    class Theirs:
        orientation: Any
        position: Any
        shift: Any
        experiment_id: str
        pixel_spacing: float
        source: str = ""

    theirs = Theirs(A.orientation, A.position, A.shift, "TS_01", 2.5)
    assert_same(theirs, replace(A, features=None))
    with pytest.raises(AssertionError, match="features"):
        assert_same(theirs, A)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (model(rotation_y=[-3.0, 0.0, 3.01]), "rotation_y: row 2"),
        (model(dx=[1.0, 2.5, 3.0]), "dx: row 1"),
        (model(pixel_spacing=1.35 * (1 + 1e-8)), "pixel_spacing: row 0"),
        (model(experiment_id="TS_02"), "experiment_id: row 0"),
        (model().iloc[::-1], "rotation_y: row"),
        (model().iloc[:2], "rows: 3 and 2"),
        (model(extra=1), "columns: extra only"),
        (model().drop(columns="dy"), "columns: dy only"),
        (poses(), "found DataFrame and PoseSet"),
    ],
)
def test_refuses_models_that_differ(other, message):
    with pytest.raises(AssertionError, match=message):
        assert_same(model(), other)


def test_models():
    """Sizes in attrs count; order of columns, and where the model is from, do not."""
    a, b = model(), model(source="b.star")[model().columns[::-1]]
    assert_same(a, b)
    a.attrs["tomogram_dimensions"] = {"TS_01": (10, 20, 30)}
    b.attrs["tomogram_dimensions"] = (10, 20, 30)
    assert_same(a, b)
    b.attrs["tomogram_dimensions"] = (10, 20, 31)
    with pytest.raises(AssertionError, match="attrs tomogram_dimensions of 'TS_01'"):
        assert_same(a, b)
    assert_same(a, b, ignore=["tomogram_dimensions"])
    assert_same(model(), model(dx=[1.0, 2.0, 3.1]), tolerance={"shift": 0.2})


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (image(data=image().data + np.eye(3, 4)[None] * 1e-3), "data: row"),
        (image(data=image().data.transpose(0, 2, 1)), "data: shapes"),
        (image(data=image().data[:, ::-1]), "data: row"),
        (image(data=image().data.astype(int)), "data: float32 and int64"),
        (image(pixel_spacing=10.1), "pixel_spacing"),
        (image(experiment_id="b"), "experiment_id"),
        (image(stack=True), "stack: False and True"),
    ],
)
def test_refuses_images_that_differ(other, message):
    with pytest.raises(AssertionError, match=message):
        assert_same(image(), other)


def test_images():
    assert_same(image(), image(data=image().data.astype(float), source="b.mrc"))
    assert_same(image(), image(data=image().data + 0.25), tolerance={"data": 0.25})
    assert_same(image(data=image().data > 3), image(data=image().data > 3))


@pytest.mark.parametrize("name", zoo())
def test_zoo_is_valid_and_the_same_each_time(name):
    """Every animal is a legal PoseSet, equal to itself and to no other."""
    animals = zoo()
    for poseset in animals[name]:
        validate_poseset(poseset)
    assert_same(animals[name], zoo()[name])
    for other in set(animals) - {name}:
        with pytest.raises(AssertionError):
            assert_same(animals[name], animals[other])
