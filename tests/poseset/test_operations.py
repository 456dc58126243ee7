"""Selecting, splitting and joining particles of any class, and what a PoseSet shows of itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy.spatial.transform import Rotation

from cryotypes import PoseSet, concatenate, select, split, validate_poseset
from cryotypes.poseset._operations import per_particle_fields
from cryotypes.testing import assert_same, zoo


@dataclass(repr=False)
class Scored(PoseSet):
    """A user's own: fields for every particle, and fields for all of them."""

    scores: np.ndarray | None = None
    remarks: list[str] | None = None
    table: pd.DataFrame | None = None
    second: Rotation | None = None
    box: tuple[int, int, int] = (64, 64, 64)
    palette: list[str] = field(default_factory=list, metadata={"per_particle": False})
    weights: list[float] | None = field(default=None, metadata={"per_particle": True})


@dataclass
class Theirs:
    """Another package's class: fields in another order, and features."""

    experiment_id: str
    features: pd.DataFrame | None
    orientation: Rotation | None
    position: np.ndarray
    shift: np.ndarray | None
    pixel_spacing: float
    source: str = ""
    extra: dict[str, Any] = field(default_factory=dict)


def poses(n=4, cls=PoseSet, **changes):
    """Particle i is at (i, 10 i, 0), turned by i degrees about z, and so on."""
    i = np.arange(n, dtype=float)
    fields = {
        "position": np.stack([i, 10 * i, 0 * i], axis=1),
        "shift": np.stack([i / 2, 0 * i, 0 * i], axis=1),
        "orientation": Rotation.from_euler("z", i[:, None], degrees=True),
        "experiment_id": "TS_01",
        "pixel_spacing": 2.0,
        "source": "a.star",
        "features": pd.DataFrame({"number": np.arange(n)}, index=100 + np.arange(n)),
    }
    return cls(**(fields | changes))


def scored(n=4) -> Scored:
    i = np.arange(n)
    return poses(
        n, Scored, metadata={"a": list(range(n))}, scores=i * 1.5, remarks=[f"r{k}" for k in i],
        table=pd.DataFrame({"t": i}), second=Rotation.from_euler("x", i[:, None], degrees=True),
        palette=["red"] * n, weights=[float(k) for k in i],
    )  # fmt: skip


def numbers(poseset) -> list[int]:
    """Which particles these are, said by every field alike."""
    i = [round(x) for x in np.asarray(poseset.position)[:, 0]]
    assert_allclose(np.asarray(poseset.position)[:, 1], np.multiply(10.0, i))
    assert_allclose(np.asarray(poseset.shift)[:, 0], np.divide(i, 2))
    about_z = np.rad2deg(poseset.orientation.as_rotvec())[:, 2] if i else []
    assert_allclose(about_z, i, atol=1e-9)
    assert len(poseset.orientation) == len(i)
    assert poseset.features["number"].tolist() == i
    assert (poseset.features.index - 100).tolist() == i
    return i


INDICES = [
    (slice(None), [0, 1, 2, 3]),
    (slice(1, None), [1, 2, 3]),
    (slice(None, None, -1), [3, 2, 1, 0]),
    (slice(5, 9), []),
    (2, [2]),
    (-1, [3]),
    (np.int64(0), [0]),
    ([3, 0], [3, 0]),
    ([-1, -1, 0], [3, 3, 0]),
    ((1, 2), [1, 2]),
    ([], []),
    (np.array([], dtype=int), []),
    (np.array([True, False, False, True]), [0, 3]),
    ([False, True, False, False], [1]),
    ([False] * 4, []),
    (pd.Series([True, False, True, False], index=[9, 8, 7, 6]), [0, 2]),
    (np.array([2, 1], dtype=np.uint8), [2, 1]),
]


@pytest.mark.parametrize(("index", "expected"), INDICES, ids=str)
@pytest.mark.parametrize("cls", [PoseSet, Theirs])
def test_select(cls, index, expected):
    """Every field that has one entry a particle follows; the original stays as it is."""
    original = poses(cls=cls)
    chosen = select(original, index)
    assert type(chosen) is cls
    assert numbers(chosen) == expected
    assert numbers(original) == [0, 1, 2, 3]
    assert (chosen.experiment_id, chosen.pixel_spacing, chosen.source) == ("TS_01", 2.0, "a.star")
    validate_poseset(chosen)
    if cls is PoseSet:
        assert_same(original[index], chosen)
        assert len(original[index]) == len(expected)


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (4, "out of bounds"),
        (-5, "out of bounds"),
        ([0, 4], "out of bounds"),
        ([True, False], r"mask: expected 4 entries, found an array of shape \(2,\)"),
        (np.ones((4, 1), dtype=bool), "mask: expected 4 entries"),
        (np.array([], dtype=bool), "mask: expected 4 entries"),
        (1.0, "expected a slice, a mask or integer indices, found float64"),
        ([0.0, 1.0], "found float64"),
        ("a", "expected a slice, a mask or integer indices"),
        (None, "expected a slice, a mask or integer indices"),
    ],
)
def test_what_selects_nothing(index, message):
    with pytest.raises(IndexError, match=message):
        select(poses(), index)


@pytest.mark.parametrize("n", [0, 1, 2])
def test_fields_of_a_subclass(n):
    """Arrays, tables, rotations and lists go along; tuples, text and what says so do not."""
    whole = scored(n)
    own = {"scores", "remarks", "table", "second", "weights"}
    assert set(per_particle_fields(whole)) == own | {"position", "shift", "orientation", "features"}
    part = whole[::-1][: max(n - 1, 0)]
    expected = list(range(n))[::-1][: max(n - 1, 0)]
    assert type(part) is Scored
    assert numbers(part) == expected
    assert part.scores.tolist() == [1.5 * i for i in expected]
    assert part.remarks == [f"r{i}" for i in expected]
    assert part.table["t"].tolist() == expected
    assert_allclose(np.rad2deg(part.second.magnitude()) if expected else [], expected, atol=1e-9)
    assert part.weights == [float(i) for i in expected]
    assert (part.box, part.palette, part.metadata) == (whole.box, whole.palette, whole.metadata)


def test_three_particles_and_a_box_of_three():
    """A tuple of three numbers is no list of three particles."""
    assert scored(3)[[0]].box == (64, 64, 64)
    assert scored(3)[[0]].experiment_id == "TS_01"  # nor is a text of any length
    abc = poses(3, experiment_id="abc", source="x.y")
    assert abc[:1].experiment_id == "abc"


def test_what_is_shared_is_shared_whatever_its_length():
    """Three notes on a file of three particles are notes on the file."""
    theirs = poses(3, Theirs)
    theirs.metadata = ["a", "b", "c"]
    assert select(theirs, [1]).metadata == ["a", "b", "c"]
    assert concatenate([theirs, theirs]).metadata == ["a", "b", "c"]


def test_attributes_set_later_go_along():
    """Objects may be given attributes; those of one entry a particle are the particles'."""
    whole = poses(3)
    whole.confidence = np.array([0.1, 0.2, 0.3])
    whole.note = "abc"
    part = whole[[2]]
    assert part.confidence.tolist() == [0.3]
    assert part.note == "abc"


def test_nothing_but_positions():
    """What is unknown stays unknown."""
    part = select(poses(shift=None, orientation=None, features=None), [1])
    assert (part.shift, part.orientation, part.features) == (None, None, None)
    assert select(PoseSet([[1, 2, 3], [4, 5, 6]]), 1).position.tolist() == [[4, 5, 6]]


# --- split ---


def test_split_by_a_feature():
    """In order of first appearance, each with its own rows, missing labels together."""
    whole = poses(5)
    whole.features = whole.features.assign(cls=["b", "a", None, "b", None])
    parts = split(whole, "cls")
    assert [str(key) for key in parts][:2] == ["b", "a"]
    assert [numbers(part) for part in parts.values()] == [[0, 3], [1], [2, 4]]
    assert pd.isna(list(parts)[2])
    with pytest.raises(KeyError, match="no feature 'score'; there is 'number', 'cls'"):
        split(whole, "score")
    with pytest.raises(KeyError, match="no feature 'score'; there is none"):
        split(poses(features=None), "score")


@pytest.mark.parametrize("labels", [[2, 1, 2, 1], np.array([2, 1, 2, 1]), (2, 1, 2, 1)])
@pytest.mark.parametrize("cls", [PoseSet, Theirs])
def test_split_by_labels(cls, labels):
    parts = split(poses(cls=cls), labels)
    assert {key: numbers(part) for key, part in parts.items()} == {2: [0, 2], 1: [1, 3]}
    assert list(parts) == [2, 1]
    with pytest.raises(ValueError, match="expected 4 labels, found 2"):
        split(poses(), [1, 2])


@pytest.mark.parametrize("n", [0, 1, 1000])
def test_split_and_join_any_number(n):
    whole = scored(n)
    parts = split(whole, "number" if n else [])
    assert len(parts) == n
    if n:
        assert_same(concatenate(list(parts.values())), whole)


# --- concatenate ---


@pytest.mark.parametrize("cls", [PoseSet, Theirs])
@pytest.mark.parametrize("cut", [0, 1, 3, 4])
def test_concatenate(cls, cut):
    """The parts of a whole are the whole; also where one of them is empty."""
    whole = poses(cls=cls)
    joined = concatenate([select(whole, slice(cut)), select(whole, slice(cut, None))])
    assert type(joined) is cls
    assert numbers(joined) == [0, 1, 2, 3]
    assert_same(concatenate([whole]), whole)


def test_concatenate_fields_of_a_subclass():
    whole = scored(4)
    joined = concatenate([whole[2:], whole[:2]])
    assert numbers(joined) == [2, 3, 0, 1]
    assert joined.scores.tolist() == [3.0, 4.5, 0.0, 1.5]
    assert joined.remarks == ["r2", "r3", "r0", "r1"]
    assert joined.weights == [2.0, 3.0, 0.0, 1.0]
    assert joined.palette == ["red"] * 4
    assert joined.table["t"].tolist() == [2, 3, 0, 1]
    assert_allclose(np.rad2deg(joined.second.magnitude()), [2, 3, 0, 1], atol=1e-9)
    lacking = whole[:2]
    lacking.scores = None
    with pytest.raises(ValueError, match="only some of the PoseSets have 'scores'"):
        concatenate([whole, lacking])


def test_concatenate_what_is_missing_in_some():
    """No shift beside shifts is zero; features are joined by column; unknown is not identity."""
    a, b = poses(2), poses(1, shift=None, features=None)
    joined = concatenate([a, b])
    assert_allclose(joined.shift, [[0, 0, 0], [0.5, 0, 0], [0, 0, 0]])
    assert joined.features["number"].tolist()[:2] == [0, 1]
    assert np.isnan(joined.features["number"].iloc[2])
    assert len(joined.features) == 3
    assert concatenate([poses(1, shift=None), poses(1, shift=None)]).shift is None
    other = poses(1, features=pd.DataFrame({"score": [0.5]}))
    assert list(concatenate([a, other]).features) == ["number", "score"]
    with pytest.raises(ValueError, match="only some of the PoseSets have an orientation"):
        concatenate([a, poses(1, orientation=None)])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"experiment_id": "TS_02"}, "experiment_id differs: 'TS_01', 'TS_02'"),
        ({"pixel_spacing": 4.0}, "pixel_spacing differs: 2.0 Å, 4.0 Å"),
    ],
)
def test_what_does_not_belong_together(change, message):
    with pytest.raises(ValueError, match=message):
        concatenate([poses(), poses(**change)])
    with pytest.raises(ValueError, match="expected at least one PoseSet, found none"):
        concatenate([])


# --- what a PoseSet shows ---


@pytest.mark.parametrize("name", zoo())
def test_repr_is_one_line(name):
    for poseset in zoo()[name]:
        assert len(poseset) == len(poseset.position)
        text = repr(poseset)
        assert "\n" not in text
        assert len(text) < 160
        assert repr(poseset.experiment_id) in text
        assert "array" not in poseset._repr_html_()
        assert len(poseset._repr_html_()) < 2000


@pytest.mark.parametrize(
    ("poseset", "text"),
    [
        (PoseSet([[1, 2, 3]]), "PoseSet '': 1 particle, unknown pixel spacing, no shift, no "
                               "orientation"),
        (poses(1204), "PoseSet 'TS_01': 1 204 particles, 2 Å/px, shift, orientation, 1 feature"),
        (scored(2), "Scored 'TS_01': 2 particles, 2 Å/px, shift, orientation, 1 feature"),
        (PoseSet(np.zeros((0, 3)), pixel_spacing=1.35), "PoseSet '': 0 particles, 1.35 Å/px, no "
                                                        "shift, no orientation"),
        (PoseSet(None), "PoseSet '': position is not (n, 3), unknown pixel spacing, no shift, no "
                        "orientation"),
    ],
)  # fmt: skip
def test_repr(poseset, text):
    assert repr(poseset).replace("\N{NO-BREAK SPACE}", " ").replace("\u202f", " ") == text


def test_html_is_escaped():
    """Names come from files: they must not run in a notebook."""
    html = poses(experiment_id="<script>", features=pd.DataFrame({"<b>": [1] * 4}))._repr_html_()
    assert "<script>" not in html
    assert "<b>" not in html
    assert "&lt;script&gt;" in html
