"""Our Parquet table gives back exactly what was written."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.spatial.transform import Rotation

from cryotypes.errors import ReadError
from cryotypes.formats.poses import parquet_table
from cryotypes.formats.poses.parquet_table import _json as _native_json
from cryotypes.formats.shared.declaration import Head
from cryotypes.poseset import PoseSet
from cryotypes.testing import assert_same, zoo


def there_and_back(posesets, tmp_path):
    path = tmp_path / "a.parquet"
    report = parquet_table.write(posesets, path, overwrite=True)
    return parquet_table.read(path), report


def features():
    texts = pd.Series(["a", None, "ü"])
    table = pd.DataFrame(
        {
            "f8": [0.1, np.nan, np.inf],
            "f4": np.array([0.1, 2, 3], np.float32),
            "f2": np.array([0.5, 2, 3], np.float16),
            "i1": np.array([-1, 2, 3], np.int8),
            "u8": np.array([0, 1, 2**64 - 1], np.uint64),
            "bool": [True, False, True],
            "Int64": pd.array([1, None, 2**53 + 1], dtype="Int64"),
            "UInt8": pd.array([1, None, 3], dtype="UInt8"),
            "boolean": pd.array([True, None, False], dtype="boolean"),
            "Float32": pd.array([1.5, None, 3], dtype="Float32"),
            "object": pd.Series(["a", None, "001"], dtype=object),
            "nan": pd.Series(["a", np.nan, ""], dtype=object),
            "text": texts,
            "string": texts.astype("string"),
            "mixed": pd.Series([1, "1", (2, [None, 1e300])], dtype=object),
            "half a character": pd.Series(["\ud800", "b", "c"], dtype=object),
            "category": pd.Categorical(["a", None, "b"], categories=["b", "a", "z"], ordered=True),
            "numbers": pd.Categorical([3, 1, 3]),
            "time": np.array(["2020-01-01", "NaT", "2021-01-01T00:00:00.123456789"], "M8[ns]"),
            "zone": pd.to_datetime(["2020-01-01", None, "2021-01-01"]).tz_localize("Europe/Paris"),
            "complex": [1 + 2j, 3j, 4],
            "x": [1, 2, 3],
            "row": [3, 2, 1],
            "feature_x": [4, 5, 6],
            7: [7, 8, 9],
        }
    )
    return table.set_index(pd.Index([10, 3, 7], name="row in file"))


def test_features_keep_types_values_and_index(tmp_path):
    poses = PoseSet(np.eye(3), features=features())
    (back,), report = there_and_back([poses], tmp_path)
    assert report.lost == {}
    pd.testing.assert_frame_equal(back.features, features(), check_exact=True)
    assert back.features["object"].tolist() == ["a", None, "001"]
    assert type(back.features["nan"].tolist()[1]) is float


@pytest.mark.parametrize(
    "index",
    [
        pd.RangeIndex(3),
        pd.RangeIndex(5, 11, 2, name="rows"),
        pd.Index(["a", "b", "c"]),
        pd.Index([0.5, 1, 1]),
        pd.Index([3, 3, 2]),
    ],
)
def test_indices(index, tmp_path):
    poses = PoseSet(np.eye(3), features=pd.DataFrame(index=index))
    (back,), _ = there_and_back([poses], tmp_path)
    pd.testing.assert_frame_equal(back.features, poses.features, check_column_type=False)
    assert type(back.features.index) is type(index)


def test_none_and_zeros_and_experiments(tmp_path):
    rng = np.random.default_rng(1)
    turn = Rotation.from_quat(rng.normal(size=(2, 4)))
    data = [
        PoseSet(rng.normal(size=(2, 3)), None, turn, "TS_01", 2.5, Path("a.star")),
        PoseSet(rng.normal(size=(1, 3)), np.zeros((1, 3)), None, "001", 0.0, "text"),
        PoseSet(np.zeros((0, 3)), np.zeros((0, 3)), Rotation.from_quat(np.zeros((0, 4))), "empty"),
        PoseSet(rng.normal(size=(2, 3)), np.zeros((2, 3)), turn, "TS_01", 2.5, Path("a.star"),
                pd.DataFrame({"a": ["1", "2"]}, index=[5, 1]), {"ndim": 2}),
        PoseSet(rng.normal(size=(1, 3)), features=pd.DataFrame({"a": [1.5]}), metadata={}),
    ]  # fmt: skip
    back, report = there_and_back(data, tmp_path)
    assert report.lost == {}
    assert_same(back, data, tolerance={"position": 0, "shift": 0, "orientation": 1e-9})
    for one, other in zip(data, back, strict=True):
        assert (one.shift is None) == (other.shift is None)
        assert (one.orientation is None) == (other.orientation is None)
        assert (one.features is None) == (other.features is None)
        assert one.metadata == other.metadata
        if one.source:
            assert one.source == other.source
            assert type(one.source) is type(other.source)
    assert back[2].source == tmp_path / "a.parquet"  # it had none
    assert back[3].features.index.tolist() == [5, 1]


@pytest.mark.parametrize("case", zoo())
def test_zoo(case, tmp_path):
    data = zoo()[case]
    back, report = there_and_back(data, tmp_path)
    assert report.lost == {}
    assert_same(back, data, tolerance={"position": 0, "shift": 0, "orientation": 1e-9})
    for one, other in zip(data, back, strict=True):
        assert one.metadata == other.metadata
        if one.features is not None:
            pd.testing.assert_frame_equal(one.features, other.features, check_exact=True)


METADATA = {
    "none": None,
    "text": "ü\n",
    "numbers": [1, 2.5, float("inf"), -(2**70)],
    "tuple": (1, (2, [3])),
    "set": {1, 2},
    "path": Path("a/b"),
    "bytes": b"\x00\xff",
    "scalar": np.float32(0.1),
    "array": np.arange(6, dtype=np.int16).reshape(2, 3),
    "objects": np.array(["a", None], dtype=object),
    "keys": {1: "a", (2, 3): "b"},
    "tagged": {"$path": "not one"},
    5: "a key that is no text",
}


def test_metadata_keep_their_kinds(tmp_path):
    poses = PoseSet(np.eye(3), metadata={**METADATA, "optics": features()})
    (back, _), report = there_and_back([poses, poses], tmp_path)
    assert report.lost == {}
    optics = back.metadata.pop("optics")
    pd.testing.assert_frame_equal(optics, features(), check_exact=True)
    assert list(back.metadata) == list(METADATA)
    for key, value in METADATA.items():
        other = back.metadata[key]
        assert type(other) is type(value), key
        if isinstance(value, np.ndarray):
            assert other.dtype == value.dtype
            assert other.tolist() == value.tolist()
        else:
            assert other == value


def test_what_cannot_be_written_is_said(tmp_path):
    class Own(PoseSet):
        pass

    poses = Own(np.eye(3), metadata={"open": open, "fine": 1})
    poses.symmetry = "C6"
    poses.features = pd.DataFrame(
        {"a": [1, 2, 3], "b": [object()] * 3}, index=pd.MultiIndex.from_product([[1], [1, 2, 3]])
    )
    (back,), report = there_and_back([poses], tmp_path)
    assert set(report.lost) == {"metadata 'open'", "symmetry", "feature 'b'", "index of features"}
    assert back.metadata == {"fine": 1}
    assert back.features.to_dict("list") == {"a": [1, 2, 3]}


def test_other_programs_see_named_columns(tmp_path):
    parquet_table.write(zoo()["two experiments"], tmp_path / "a.parquet")
    table = pl.read_parquet(tmp_path / "a.parquet")
    assert table.columns[:10] == ["x", "y", "z", "dx", "dy", "dz", "qx", "qy", "qz", "qw"]
    assert table["experiment_id"].to_list() == ["TS_01"] * 3 + ["TS_02"] * 2
    assert pl.read_parquet_metadata(tmp_path / "a.parquet")["cryotypes_poseset_version"] == "1"


def test_foreign_table(tmp_path):
    path = tmp_path / "TS_01.parquet"
    pl.DataFrame({"X": [1, 2], "Y": [3, 4], "Z": [5, 6], "score": [0.5, None]}).write_parquet(path)
    (poses,) = parquet_table.read(path, pixel_spacing=2, index_base=1)
    assert poses.position.tolist() == [[0, 2, 4], [1, 3, 5]]
    assert (poses.experiment_id, poses.pixel_spacing) == ("TS_01", 2)
    assert list(poses.features) == ["score"]
    pl.DataFrame({"a": [1]}).write_parquet(path)
    with pytest.raises(ReadError, match="expected columns x, y, z"):
        parquet_table.read(path)


def test_own_table_takes_no_options(tmp_path):
    parquet_table.write([PoseSet(np.eye(3))], tmp_path / "a.parquet")
    with pytest.raises(ValueError, match="without options"):
        parquet_table.read(tmp_path / "a.parquet", index_base=1)


def test_newer_version_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet_table, "VERSION", 2)
    parquet_table.write([PoseSet(np.eye(3))], tmp_path / "a.parquet")
    with pytest.raises(ReadError, match="version 2, written by a newer cryotypes"):
        parquet_table.read(tmp_path / "a.parquet")


def test_damage_is_noticed_before_anything_is_decoded(tmp_path):
    path = tmp_path / "a.parquet"
    poses = PoseSet(np.eye(3), np.eye(3), features=pd.DataFrame({"a": ["x", "y", None]}))
    parquet_table.write([poses], path)
    whole = path.read_bytes()
    for position in range(len(whole)):
        path.write_bytes(whole[:position])
        with pytest.raises(ReadError):
            parquet_table.read(path)
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        with pytest.raises(ReadError):
            parquet_table.read(path)


def test_sniff():
    assert parquet_table.sniff(Head(Path("a"), b"PAR1abc"))
    assert not parquet_table.sniff(Head(Path("a.parquet"), b"x,y,z\n1,2,3\n"))


@pytest.mark.parametrize("content", [{"$what": 1}, {"$array": [1]}, {"$path": 5}])
def test_strange_tags_are_errors_of_value(content):
    with pytest.raises((ValueError, TypeError, KeyError)):
        _native_json.decode(content)


@pytest.mark.filterwarnings("ignore:.*does not end with a line end")
def test_real_particles(shared_data, tmp_path):
    """RELION's particles through our table and back to RELION: the same file."""
    from cryotypes.formats.poses import relion_star

    path = shared_data / "relion3" / "relion_3.1_optics2.star"
    data = relion_star.read(path)
    back, report = there_and_back(data, tmp_path)
    assert report.lost == {}
    for name, poses in (("a.star", data), ("b.star", back)):
        relion_star.write(poses, tmp_path / name)
    direct, through = ((tmp_path / n).read_text().split() for n in ("a.star", "b.star"))
    assert len(direct) == len(through)
    different = [(a, b) for a, b in zip(direct, through, strict=True) if a != b]
    assert all(abs(float(a) - float(b)) < 1e-9 for a, b in different)


def test_a_million_particles_are_fast(tmp_path):
    n = 1_000_000
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"score": rng.normal(size=n), "class": np.arange(n)})
    poses = PoseSet(rng.normal(size=(n, 3)), features=table)
    start = time.monotonic()
    (back,), _ = there_and_back([poses], tmp_path)
    assert time.monotonic() - start < 30
    assert len(back) == n
