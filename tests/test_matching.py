from __future__ import annotations

import json
import subprocess
import sys
import time
import warnings
from collections import Counter
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryotypes.errors import GuessWarning, MatchError, ReadError, ValidationError
from cryotypes.geometry import project
from cryotypes.image import Image
from cryotypes.matching import RULES, match
from cryotypes.poseset import PoseSet

POINTS = np.zeros((2, 3))
VOLUME = np.zeros((3, 4, 5), np.float32)
SECTION = np.zeros((4, 5), np.float32)


def poses(name, source=""):
    return PoseSet(POINTS, experiment_id=name, source=source)


def tomogram(name, source=""):
    return Image(VOLUME, experiment_id=name, source=source)


def tilts(name, source=""):
    return Image(VOLUME, experiment_id=name, source=source, stack=True)


def micrograph(name, source=""):
    return Image(SECTION, experiment_id=name, source=source)


def model(*names, source="a.aln"):
    frame = pd.DataFrame({"experiment_id": list(names), "rotation_y": 0.0, "source": source})
    frame["rotation_y"] = np.arange(len(names), dtype=float)
    return frame


def rules_of(experiment):
    return {(name.kind, name.experiment_id): name.rule for name in experiment.names}


def outline(matches):
    """Everything but the order within lists, and the objects."""
    experiments = {
        key: Counter((n.kind, n.experiment_id, n.rule, n.source) for n in experiment.names)
        for key, experiment in matches.items()
    }
    left = Counter((u.kind, u.experiment_id, u.reason, u.source) for u in matches.unmatched)
    return list(matches), experiments, left


def test_nothing():
    matches = match()
    assert len(matches) == 0
    assert matches.unmatched == []
    assert matches.summary() == "matched 0 of 0 things in 0 experiments"
    assert match([], [()]).to_dict() == {"experiments": {}, "unmatched": []}


def test_exact_keeps_the_objects_and_their_ids():
    p1, p2, t, s, m = (
        poses("TS_01"),
        poses("TS_01"),
        tomogram("TS_01"),
        tilts("TS_01"),
        micrograph("TS_01"),
    )
    frame = model("TS_01", "TS_01")
    experiment = match([p1, (t, [s])], frame, p2, m)["TS_01"]
    assert experiment.poses == [p1, p2]
    assert experiment.poses[0] is p1
    assert experiment.tomograms[0] is t
    assert experiment.tilt_series[0] is s
    assert experiment.micrographs[0] is m
    assert experiment.projection_model is frame
    assert {name.rule for name in experiment.names} == {"exact"}
    assert repr(experiment) == (
        "Experiment 'TS_01': projection model, poses × 2, tomogram, tilt series, micrograph"
    )


def test_images_by_shape():
    @dataclass
    class Tomogram:  # follows TomogramProtocol only: no source, no stack
        data: Any
        experiment_id: str
        pixel_spacing: float

    things = [
        poses("a"),
        Tomogram(VOLUME, "a", 1.0),
        Tomogram(VOLUME[:1], "a", 1.0),  # one section
        Tomogram([[1, 2], [3, 4]], "a", 1.0),
        Tomogram(VOLUME[None], "a", 1.0),
        Image(VOLUME[:1], experiment_id="a", stack=True),
    ]
    experiment = match(things)["a"]
    assert [len(x) for x in (experiment.tomograms, experiment.micrographs)] == [2, 2]
    assert len(experiment.tilt_series) == 1
    with pytest.raises(ValidationError, match=r"data: expected 2D or 3D, found shape \(2, 3, 4, 5"):
        match(Tomogram(np.zeros((2, 3, 4, 5)), "a", 1.0))


def test_a_class_of_ones_own():
    @dataclass
    class Particles:
        experiment_id: str
        pixel_spacing: float
        source: str = "mine"
        position: Any = None
        shift: Any = None
        orientation: Any = None
        data: Any = None

    mine = Particles("TS_01", 1.0)
    assert match(mine, tomogram("TS_01"))["TS_01"].poses == [mine]


@pytest.mark.parametrize("thing", ["TS_01", 3, None, object(), {"a": 1}])
def test_other_things(thing):
    with pytest.raises(ValidationError, match="expected PoseSets, Images"):
        match(thing)


def test_ids_must_be_strings():
    with pytest.raises(ValidationError, match="experiment_id: expected a string, found 1"):
        match(poses(1))
    with pytest.raises(ValidationError, match=r"expected strings, found 1 .*coerce=True"):
        match(model(1, 2))
    with pytest.raises(ValidationError, match="missing column 'experiment_id'; found x"):
        match(pd.DataFrame({"x": [1]}))


def test_a_projection_model_is_split():
    frame = model("b", "a", "b", "a", "c")
    frame.index = [10, 11, 12, 13, 14]
    frame.attrs = {
        "tomogram_dimensions": {"a": (1, 2, 3), "b": (4, 5, 6)},
        "tilt_image_dimensions": (7, 8),
        "program": {"name": "IMOD"},
    }
    before = frame.copy()
    matches = match(frame, poses("a"), poses("b"))
    part = matches["b"].projection_model
    assert part.index.tolist() == [10, 12]
    assert part["rotation_y"].tolist() == [0.0, 2.0]
    assert part.attrs == {
        "tomogram_dimensions": {"b": (4, 5, 6)},
        "tilt_image_dimensions": (7, 8),
        "program": {"name": "IMOD"},
    }
    part["extra"] = 1  # a table of its own
    pd.testing.assert_frame_equal(frame, before)
    assert frame.attrs == before.attrs
    (left,) = matches.unmatched
    assert (left.kind, left.experiment_id, left.source) == ("projection_model", "c", "a.aln")
    assert len(left.thing) == 1


def test_projection_models_without_ids():
    matches = match(model("a", "", None), model().astype({"experiment_id": object}), poses("a"))
    assert list(matches) == ["a"]
    assert {entry.reason for entry in matches.unmatched} == {"no experiment_id"}
    categories = model("a", "b")
    categories["experiment_id"] = categories["experiment_id"].astype("category")
    assert list(match(categories, poses("a"), poses("b"))) == ["a", "b"]


def test_two_projection_models_of_one_id():
    with pytest.raises(MatchError) as info:
        match(model("TS_01", source="a.aln"), model("TS_01", source="b.xf"), poses("TS_01"))
    assert str(info.value) == (
        "experiment 'TS_01': more than one candidate (projection model) by the rule 'exact': "
        "'TS_01' (a.aln) and 'TS_01' (b.xf); leave one out"
    )
    with pytest.raises(MatchError, match=r"projection model.*rule 'names'"):
        match(model("x"), model("y"), names={"x": "TS_01", "y": "TS_01"})
    with pytest.raises(MatchError, match=r"'TS_01\.st' .* and 'TS_01\.xf'"):
        match(model("TS_01.st", "TS_01.xf"), poses("TS_01"))  # different ids in one frame


@pytest.mark.parametrize(
    ("one", "other", "rule"),
    [
        ("TS_01", "TS_01", "exact"),
        ("TS_01", "TS_01.tomostar", "path"),
        ("TS_01", r"X:\frames\TS_01.mrc.mdoc", "path"),
        ("a/TS_01.mrc", "b/TS_01.tomostar", "path"),
        ("TS_01", "rec_TS_01", "decorations"),
        ("TS_01_Vol", "TS_01_10.00Apx.mrc", "decorations"),
        ("Zelle 1 Ü", "/data/Zelle 1 Ü.mrc", "path"),
        ("001", "rec_001.mrc", "decorations"),
    ],
)
def test_rules(one, other, rule):
    matches = match(poses(one), tomogram(other))
    (experiment,) = matches.values()
    assert experiment.experiment_id == one
    assert rules_of(experiment) == {("poses", one): rule, ("tomograms", other): rule}
    assert matches.unmatched == []


@pytest.mark.parametrize(
    ("one", "other"), [("1", "001"), ("1", "01.mrc"), ("TS_01", "TS_1"), ("ts_01", "TS_01")]
)
def test_what_stays_apart(one, other):
    matches = match(poses(one), tomogram(other))
    assert len(matches) == 0
    assert len(matches.unmatched) == 2


def test_later_rules_add_to_earlier_matches():
    things = [
        poses("TS_01"),
        tomogram("TS_01"),
        model("TS_01.tomostar"),
        tilts("TS_01_ali.mrc"),
    ]
    (experiment,) = match(things).values()
    assert experiment.experiment_id == "TS_01.tomostar"  # the projection model's
    assert rules_of(experiment) == {
        ("poses", "TS_01"): "exact",
        ("tomograms", "TS_01"): "exact",
        ("projection_model", "TS_01.tomostar"): "path",
        ("tilt_series", "TS_01_ali.mrc"): "decorations",
    }


@pytest.mark.parametrize(
    ("things", "name"),
    [
        ([model("a/X.st"), poses("b/X"), tomogram("c/X")], "a/X.st"),
        ([poses("b/X"), tomogram("c/X"), tilts("d/X")], "b/X"),
        ([tomogram("c/X"), tilts("d/X")], "c/X"),
        ([tilts("d/X"), micrograph("e/X")], "d/X"),
    ],
)
def test_which_id_names_the_experiment(things, name):
    assert list(match(things)) == [name]
    assert list(match(things[::-1])) == [name]


def test_two_candidates():
    things = [
        poses("TS_01"),
        tomogram("rec_TS_01", "relion/rec.mrc"),
        tomogram("TS_01_10.00Apx", "warp/TS_01.mrc"),
    ]
    with pytest.raises(MatchError) as info:
        match(things)
    assert str(info.value) == (
        "experiment 'TS_01': more than one candidate (tomogram) by the rule 'decorations': "
        "'TS_01_10.00Apx' (warp/TS_01.mrc) and 'rec_TS_01' (relion/rec.mrc); say which belongs to "
        "it with names= (--names) or regex= (--regex), use fewer rules= (--rules), or leave one out"
    )
    # each way out that the message names
    assert match(things, names={"rec_TS_01": "TS_01"})["TS_01"].tomograms == [things[1]]
    assert match(things, regex="^(?:rec_)?(TS_01)$")["TS_01"].tomograms == [things[1]]
    assert len(match(things, rules=["path"])) == 0
    assert match(things[:2])["TS_01"].tomograms == [things[1]]
    both = match(things, names={"rec_TS_01": "TS_01", "TS_01_10.00Apx": "TS_01"})
    assert both["TS_01"].tomograms == things[1:]


def test_equal_file_names_in_two_sessions():
    sessions = [poses(f"session{i}/mic_001.mrc") for i in (1, 2)]
    alone = match(sessions)
    assert len(alone) == 0
    assert {entry.reason for entry in alone.unmatched} == {"nothing of another kind was given"}
    with pytest.raises(MatchError, match=r"'mic_001': .*\(poses\) by the rule 'path'.*session1.*2"):
        match(sessions, tomogram("mic_001"))

    images = [micrograph(f"session{i}/mic_001.mrc") for i in (1, 2)]
    assert list(match(sessions, images)) == ["session1/mic_001.mrc", "session2/mic_001.mrc"]
    half = match(sessions, images[:1])  # the exact one is not in doubt
    assert list(half) == ["session1/mic_001.mrc"]
    assert half.unmatched[0].reason == (
        "experiment 'session1/mic_001.mrc' already has the poses 'session1/mic_001.mrc' "
        "by the rule 'exact'"
    )


def test_what_an_earlier_rule_joined_is_not_in_doubt():
    spare = tomogram("rec_TS_01", "spare.mrc")
    matches = match(spare, poses("TS_01"), tomogram("TS_01", "a.mrc"))
    assert len(matches["TS_01"].tomograms) == 1
    (left,) = matches.unmatched
    assert left.thing is spare
    assert left.reason == (
        "experiment 'TS_01' already has the tomogram 'TS_01' (a.mrc) by the rule 'exact'"
    )


def test_names():
    things = [poses("1"), poses("2"), tomogram("TS_01.mrc"), tomogram("TS_02.mrc")]
    matches = match(things, names={"1": "TS_01", "2": "/elsewhere/TS_02.mrc"})
    assert list(matches) == ["/elsewhere/TS_02.mrc", "TS_01"]  # as the map says
    assert matches["TS_01"].poses == [things[0]]
    assert rules_of(matches["TS_01"])["poses", "1"] == "path"  # after the map, of the map's name
    matches = match(things, names={"1": "TS_01.mrc", "2": "TS_02.mrc"})
    assert rules_of(matches["TS_01.mrc"])["poses", "1"] == "names"
    # what is mapped elsewhere is no candidate
    matches = match(
        poses("TS_01"), tomogram("rec_TS_01"), tomogram("TS_01_Vol"), names={"TS_01_Vol": "old"}
    )
    assert rules_of(matches["TS_01"])["tomograms", "rec_TS_01"] == "decorations"
    assert match(poses("1"), tomogram("a"), names={1: "a"})["a"].poses  # Dynamo's numbers


def test_names_from_a_file(tmp_path):
    path = tmp_path / "map.csv"
    path.write_text("# Dynamo number, tomogram\n1, Zelle 1\n2, Zelle 2\n")
    things = [poses("1"), tomogram("Zelle 1")]
    assert list(match(things, names=path)) == ["Zelle 1"]
    assert list(match(things, names=str(path))) == ["Zelle 1"]
    path.write_text("1 Zelle 1\n")
    with pytest.raises(ReadError, match=r"map\.csv: line 1"):
        match(things, names=path)


def test_an_empty_id_matches_nothing():
    things = [poses(""), tomogram(""), poses("a"), tomogram("a")]
    for kwargs in ({}, {"names": {"": "a"}}, {"regex": ".*"}):
        matches = match(things, **kwargs)
        assert len(matches["a"].names) == 2
        assert [entry.reason for entry in matches.unmatched] == ["no experiment_id"] * 2
    with pytest.raises(ValueError, match="expected an experiment for 'a', found an empty name"):
        match(things, names={"a": ""})


def test_regex():
    things = [poses("Position_7_v2"), tomogram("lamella7"), poses("odd"), tomogram("lamella8")]
    matches = match(things, regex=r"(?:Position_|lamella)(\d+)")
    assert list(matches) == ["Position_7_v2"]
    assert set(rules_of(matches["Position_7_v2"]).values()) == {"regex"}
    assert [entry.experiment_id for entry in matches.unmatched] == ["odd", "lamella8"]
    assert list(match(things, regex=r"\d")) == ["Position_7_v2"]  # the whole match
    assert len(match(things, regex=r"\d()")) == 0  # an empty key is none
    assert len(match(things, regex=r"\d(x)?")) == 0
    with pytest.raises(MatchError, match=r"rule 'regex': 'lamella7' and 'other7'"):
        match(things, tomogram("other7"), regex=r"\d")
    with pytest.raises(ValueError, match=r"^invalid regular expression '\(': "):
        match(things, regex="(")


def test_rules_restrict():
    things = [poses("TS_01"), tomogram("TS_01.mrc")]
    assert len(match(things, rules=["exact"])) == 0
    assert len(match(things, rules=[])) == 0
    assert len(match(things, rules="path")) == 1
    assert len(match(things, rules=["exact"], names={"TS_01.mrc": "TS_01"})) == 1
    assert match(things, rules="exact").unmatched[0].reason == (
        "no tomogram of this name by the rule exact"
    )
    with pytest.raises(ValueError, match=f"unknown rule 'stem'; the rules are {', '.join(RULES)}"):
        match(things, rules=["stem"])


def test_the_order_of_things_does_not_matter():
    things = [
        poses("TS_01"),
        tomogram("rec_TS_01", "x.mrc"),
        model("TS_01.tomostar", "TS_02", "TS_02"),
        tilts("b/TS_02.mrc"),
        tilts("TS_02_ali"),
        poses("TS_03"),
    ]
    expected = outline(match(things))
    assert len(expected[1]) == 2
    assert all(outline(match(order)) == expected for order in permutations(things))


def test_neither_does_it_for_errors():
    things = [
        *(poses(f"TS_0{i}") for i in (1, 2)),
        *(tomogram(f"rec_TS_0{i}") for i in (1, 2)),
        *(tomogram(f"TS_0{i}_Vol") for i in (1, 2)),
    ]
    messages = set()
    for order in permutations(things):
        with pytest.raises(MatchError, match="likewise 1 more") as info:
            match(order)
        messages.add(str(info.value))
    assert len(messages) == 1


def test_summary_and_dict():
    things = [
        *(poses(f"TS_{i:02}", "picks.star") for i in range(36)),
        *(tomogram(f"TS_{i:02}.mrc") for i in range(34)),
        poses("", "new.star"),
    ]
    matches = match(things)
    assert repr(matches) == "Matches: 34 experiments, 3 unmatched"
    lines = matches.summary().splitlines()
    assert lines[:3] == [
        "matched 68 of 71 things in 34 experiments",
        "  poses: 34 of 37 (34 path)",
        "  tomograms: 34 of 34 (34 path)",
    ]
    assert "  poses 'TS_00' is in 'TS_00': rule 'path'" in lines
    assert "  … and 48 more" in lines
    assert lines[-3] == "  poses '' (new.star): no experiment_id"
    assert lines[-1] == (
        "  poses 'TS_35' (picks.star): no tomogram of this name by the rules exact, path, "
        "decorations"
    )
    table = json.loads(json.dumps(matches.to_dict()))
    assert table["experiments"]["TS_00"][1] == {
        "kind": "tomograms",
        "experiment_id": "TS_00.mrc",
        "rule": "path",
        "source": "",
    }
    assert len(table["unmatched"]) == 3
    assert set(table["unmatched"][0]) == {"kind", "experiment_id", "reason", "source"}


def test_a_missing_experiment_is_a_key_error():
    matches = match(poses("a"), tomogram("a"))
    assert "b" not in matches
    assert matches.get("b") is None
    with pytest.raises(KeyError):
        matches["b"]


IDS = st.sampled_from(["", "a", "b", "a.mrc", "x/a.mrc", "y/a.mrc", "rec_a", "a_Vol", "1", "001"])
MAKERS = st.sampled_from([poses, tomogram, tilts, micrograph, model])
THINGS = st.lists(st.builds(lambda make, name: make(name), MAKERS, IDS), max_size=8)


def attempt(things, rules):
    try:
        return match(things, rules=rules), None
    except MatchError as error:
        return None, str(error)


@given(THINGS, st.sampled_from([["exact"], ["path"], None]), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_nothing_is_lost_or_doubled(things, rules, random):
    shuffled = random.sample(things, len(things))
    matches, error = attempt(things, rules)
    again, again_error = attempt(shuffled, rules)
    assert again_error == error
    if matches is None:
        return
    placed = [
        thing
        for e in matches.values()
        for thing in e.poses + e.tomograms + e.tilt_series + e.micrographs + [e.projection_model]
        if thing is not None
    ]
    left = [entry.thing for entry in matches.unmatched]
    assert Counter(map(id, placed + left)) == Counter(map(id, things))
    for experiment in matches.values():
        kinds = Counter(kind for kind, _ in rules_of(experiment))
        assert len(kinds) > 1
        assert set(kinds.values()) == {1}  # of each kind, one id
    assert outline(again) == outline(matches)


def test_ten_thousand_micrographs():
    things = [poses(f"a/mic_{i:05}.mrc") for i in range(10_000)]
    things += [micrograph(f"b/mic_{i:05}_DW.mrc") for i in range(10_000)]
    start = time.perf_counter()
    assert len(match(things)) == 10_000
    assert time.perf_counter() - start < 5  # half a second; quadratic, it would be minutes


def test_a_projection_model_of_many_experiments():
    ids = [f"TS_{i:04}" for i in range(2000)]
    frame = model(*ids, *ids)
    frame.attrs["tomogram_dimensions"] = dict.fromkeys(ids, (1, 2, 3))
    start = time.perf_counter()
    assert len(match(frame, [poses(name) for name in ids])) == 2000
    assert time.perf_counter() - start < 5


def test_the_import_is_light():
    code = (
        "import sys, cryotypes.matching\n"
        "print([m for m in ('numpy', 'pandas', 'scipy') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stderr


def test_particles_outside_their_tomogram_are_said():
    """By the tomogram's own voxels, and by the size that the alignment states."""
    xyz = [[100.0, 10, 10], [390, 10, 10]]
    poses = PoseSet(xyz, experiment_id="a", pixel_spacing=2.5)
    near = Image(np.zeros((20, 100, 100), np.int8), "a", pixel_spacing=10.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        match(poses, near)
        match(poses, Image(near.data, "a"))  # nobody knows its pixels
    binned = Image(near.data, "a", pixel_spacing=2.5)
    with pytest.warns(GuessWarning, match=r"match: 1 of 2 particles .* by up to 725 Å in 'a'"):
        match(poses, binned)
    series = pd.DataFrame({name: [0.0] for name in ("rotation_x", "rotation_y", "rotation_z")})
    series = series.assign(dx=0.0, dy=0.0, experiment_id="a", pixel_spacing=1.25, source="")
    series.attrs["tomogram_dimensions"] = {"a": (400, 400, 100)}
    with pytest.warns(GuessWarning, match="its size 400 × 400 × 100 px of 1.25 Å"):
        match(poses, series)
    with pytest.warns(GuessWarning, match="project: 1 of 2"):
        project(poses, series, tilt_image_dimensions=(400, 400))


def alignment(name, n=7, size=(64, 48), tomogram_size=None, excluded=()):
    frame = pd.DataFrame({"experiment_id": [name] * n, "rotation_y": 0.0, "source": "a.xf"})
    frame.attrs["excluded"] = {name: list(excluded)}
    if size:
        frame.attrs["tilt_image_dimensions"] = {name: size}
    if tomogram_size:
        frame.attrs["tomogram_dimensions"] = {name: tomogram_size}
    return frame


def volume(name, *shape):
    return Image(np.zeros(shape, np.float32), experiment_id=name)


@pytest.mark.parametrize(
    ("model", "image", "kind"),
    [
        (alignment("TS_1"), volume("TS_1", 7, 48, 64), "tilt_series"),
        (alignment("TS_1"), volume("TS_1_st", 7, 24, 32), "tilt_series"),  # binned, and named so
        (alignment("TS_1"), volume("TS_1_ali", 7, 64, 48), "tilt_series"),
        (alignment("TS_1"), volume("TS_1", 7, 24, 32), "tomograms"),
        (alignment("TS_1"), volume("TS_1", 8, 48, 64), "tomograms"),
        (alignment("TS_1"), volume("TS_1_st", 8, 48, 64), "tomograms"),  # never the name alone
        (alignment("TS_1", 4, excluded=(0, 1, 6)), volume("TS_1", 7, 48, 64), "tilt_series"),
        (alignment("TS_1", size=None), volume("TS_1", 7, 9, 9), "tilt_series"),
        (alignment("TS_1", size=None), volume("TS_1_Vol", 7, 9, 9), "tomograms"),
        (alignment("TS_1", tomogram_size=(64, 48, 7)), volume("TS_1", 7, 48, 64), "tomograms"),
        (alignment("TS_2"), volume("TS_1", 7, 48, 64), None),
    ],
)
def test_number_and_size_of_images_tell_the_tilt_series_from_the_tomogram(model, image, kind):
    result = match(model, image)
    if kind is None:
        assert result.unmatched[-1].kind == "tomograms"  # another experiment's says nothing
    else:
        (experiment,) = result.values()
        assert getattr(experiment, kind) == [image]


def test_the_raw_stack_of_an_etomo_directory_is_no_tomogram():
    images = [
        volume("TS_1", 7, 48, 64),
        volume("TS_1_ali", 7, 64, 48),
        volume("TS_1_rec", 25, 16, 12),
    ]
    for order in permutations(images):
        result = match(alignment("TS_1"), *order)
        assert result["TS_1"].tomograms == [images[2]]
        assert result["TS_1"].tilt_series == [images[0]]
        (left,) = result.unmatched
        assert left.thing is images[1]
        assert "already has the tilt series 'TS_1'" in left.reason


@pytest.mark.parametrize("other", ["2ND_Vol", "3RD_Vol", "2DCTF_Vol", "EVN_Vol", "ODD_Vol"])
def test_the_further_volumes_of_aretomo_give_way_to_the_first(other):
    first, second = volume("TS_1_Vol", 3, 4, 5), volume(f"TS_1_{other}", 3, 4, 5)
    result = match(model("TS_1"), second, first)
    assert result["TS_1"].tomograms == [first]
    assert "already has the tomogram 'TS_1_Vol'" in result.unmatched[0].reason
    assert match(model("TS_1"), second)["TS_1"].tomograms == [second]  # where there is no other
    two = [second, volume("TS_1_3RD_Vol" if other != "3RD_Vol" else "TS_1_2ND_Vol", 3, 4, 5)]
    with pytest.raises(MatchError, match="more than one candidate"):
        match(model("TS_1"), *two)
