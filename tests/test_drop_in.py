"""This package takes the place of cryotypes 0.2.0: what clients rely on, and what was mended."""

from __future__ import annotations

import collections.abc
import copy
import dataclasses
import importlib
import inspect
import os
import pickle
import subprocess
import sys
import typing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.transform import Rotation

from cryotypes.image import Image, ImageProtocol, validate_image
from cryotypes.poseset import PoseSet, PoseSetProtocol, validate_poseset
from cryotypes.projectionmodel import (
    ProjectionModel,
    ProjectionModelDataLabels,
    projection_model_to_projection_matrices,
)

POSE_FIELDS = ["position", "shift", "orientation", "experiment_id", "pixel_spacing", "source"]
IMAGE_FIELDS = ["data", "experiment_id", "pixel_spacing", "source", "stack"]


def poseset(n=4, **changes) -> PoseSet:
    rng = np.random.default_rng(1)
    fields = {
        "position": rng.uniform(0, 100, (n, 3)),
        "shift": rng.uniform(-1, 1, (n, 3)),
        "orientation": Rotation.from_euler("ZYZ", rng.uniform(0, 90, (n, 3)), degrees=True),
        "experiment_id": "TS_01",
        "pixel_spacing": 10.0,
        "source": "particles.star",
    }
    return PoseSet(**(fields | changes))


def image(shape=(3, 4, 5), **changes) -> Image:
    fields = {
        "data": np.zeros(shape, np.float32),
        "experiment_id": "TS_01",
        "pixel_spacing": 10.0,
        "source": "TS_01.mrc",
        "stack": False,
    }
    return Image(**(fields | changes))


@dataclass
class TheirPoseSet:
    """A client's own class, as in cryohub: another order, defaults, and one more field."""

    position: np.ndarray
    experiment_id: str
    source: Path | str
    pixel_spacing: float = 0
    shift: np.ndarray | None = None
    orientation: Rotation | None = None
    features: pd.DataFrame | None = None


# names and import paths


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("cryotypes.poseset", "PoseSet PoseSetProtocol validate_poseset"),
        ("cryotypes.poseset._protocol", "PoseSet PoseSetProtocol"),
        ("cryotypes.poseset._validators", "validate_poseset"),
        ("cryotypes.poseset._utils", "stack_rotations unstack_rotations"),
        ("cryotypes.image", "Image ImageProtocol validate_image"),
        ("cryotypes.image._protocol", "Image ImageProtocol"),
        ("cryotypes.image._validators", "validate_image"),
        (
            "cryotypes.projectionmodel",
            "ProjectionModel ProjectionModelDataLabels projection_model_to_projection_matrices",
        ),
        ("cryotypes.projectionmodel._typing", "ProjectionModel"),
        ("cryotypes.projectionmodel._data_labels", "ProjectionModelDataLabels"),
        ("cryotypes.projectionmodel._transformations", "Rx Ry Rz S"),
        ("cryotypes.projectionmodel._utils", "projection_model_to_projection_matrices"),
    ],
)
def test_import_paths(module, names):
    loaded = importlib.import_module(module)
    for name in names.split():
        assert getattr(loaded, name) is not None
        assert name in dir(loaded)


@pytest.mark.parametrize("package", ["poseset", "image", "projectionmodel"])
def test_star_import_gives_the_names_of_all(package):
    scope: dict[str, object] = {}
    exec(f"from cryotypes.{package} import *", scope)
    module = importlib.import_module(f"cryotypes.{package}")
    assert {name: getattr(module, name) for name in module.__all__}.items() <= scope.items()


def test_a_name_that_does_not_exist_is_an_attribute_error():
    with pytest.raises(AttributeError, match="Tilt"):
        _ = importlib.import_module("cryotypes.poseset").Tilt
    with pytest.raises(ImportError):
        from cryotypes.image import Tilt  # noqa: F401


@pytest.mark.parametrize(
    ("function", "parameters"),
    [
        (validate_poseset, {"poseset": None, "ndim": 3, "coerce": False, "inplace": False}),
        (validate_image, {"image": None, "ndim": 3, "stack": False, "coerce": False}),
        (
            projection_model_to_projection_matrices,
            {"df": None, "tilt_image_center": None, "tomogram_dimensions": None},
        ),
    ],
)
def test_signatures(function, parameters):
    found = inspect.signature(function).parameters.values()
    assert {p.name: None if p.default is p.empty else p.default for p in found} == parameters
    assert {p.kind for p in found} == {inspect.Parameter.POSITIONAL_OR_KEYWORD}


def test_importing_the_types_loads_nothing_but_the_standard_library():
    code = """
import sys
before = set(sys.modules)
import cryotypes
from cryotypes import Image, PoseSet
from cryotypes.image import ImageProtocol
from cryotypes.poseset import PoseSetProtocol
poses = PoseSet([[1, 2, 3]], None, None, "TS_01", 10.0, "particles.star")
image = Image([[[0.0]]], "TS_01", 10.0, "TS_01.mrc", False)
assert isinstance(poses, PoseSetProtocol) and isinstance(image, ImageProtocol)
loaded = {name.partition(".")[0] for name in set(sys.modules) - before}
print(*sorted(loaded - sys.stdlib_module_names - {"cryotypes"}))
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


# the dataclasses


def test_poseset_fields_and_positional_construction():
    values = [np.zeros((2, 3)), np.ones((2, 3)), Rotation.identity(2), "TS_01", 3.5, Path("a.star")]
    made = PoseSet(*values)
    assert [f.name for f in dataclasses.fields(PoseSet)][:6] == POSE_FIELDS
    for name, value in zip(POSE_FIELDS, values, strict=True):
        assert getattr(made, name) is value
    for added in dataclasses.fields(PoseSet)[6:]:
        assert getattr(made, added.name) is None


def test_image_fields_and_positional_construction():
    values = [np.zeros((2, 3, 4)), "TS_01", 3.5, Path("a.mrc"), True]
    made = Image(*values)
    assert [f.name for f in dataclasses.fields(Image)][:5] == IMAGE_FIELDS
    for name, value in zip(IMAGE_FIELDS, values, strict=True):
        assert getattr(made, name) is value
    for added in dataclasses.fields(Image)[5:]:
        assert getattr(made, added.name) is None


def test_objects_change_after_creation():
    poses, picture = poseset(), image()
    poses.source = picture.source = Path("elsewhere")
    poses.pixel_spacing = picture.pixel_spacing = 1
    poses.features = pd.DataFrame({"class": range(4)})
    picture.note = "a new attribute"
    assert validate_poseset(poses).source == validate_image(picture).source == Path("elsewhere")


def test_they_are_one_object_each_to_clients_that_unpack_iterables():
    for thing in (poseset(), image()):
        assert not isinstance(thing, collections.abc.Iterable)


@pytest.mark.parametrize("cls", [PoseSet, PoseSetProtocol, Image, ImageProtocol])
def test_type_hints_can_be_evaluated(cls):
    hints = typing.get_type_hints(cls)
    assert hints["experiment_id"] is str
    assert hints["pixel_spacing"] is float
    assert hints["source"] == Path | str


def assert_equal_poses(one, other):
    np.testing.assert_array_equal(one.position, other.position)
    np.testing.assert_array_equal(one.shift, other.shift)
    np.testing.assert_array_equal(one.orientation.as_quat(), other.orientation.as_quat())
    assert [getattr(one, f) for f in POSE_FIELDS[3:]] == [
        getattr(other, f) for f in POSE_FIELDS[3:]
    ]


@pytest.mark.parametrize(
    "duplicate",
    [copy.copy, copy.deepcopy, dataclasses.replace, lambda x: pickle.loads(pickle.dumps(x))],
)
def test_copies(duplicate):
    poses, picture = poseset(), image()
    other = duplicate(poses)
    assert type(other) is PoseSet
    assert other is not poses
    assert_equal_poses(other, poses)
    assert type(duplicate(picture)) is Image
    np.testing.assert_array_equal(duplicate(picture).data, picture.data)


def test_replace_changes_one_field():
    changed = dataclasses.replace(poseset(), experiment_id="TS_02")
    assert changed.experiment_id == "TS_02"
    assert_equal_poses(dataclasses.replace(changed, experiment_id="TS_01"), poseset())


def test_objects_pickled_by_0_2_0_lack_only_what_was_added():
    for new, fields in ((poseset(), POSE_FIELDS), (image(), IMAGE_FIELDS)):
        old = object.__new__(type(new))
        old.__dict__.update({name: getattr(new, name) for name in fields})
        back = pickle.loads(pickle.dumps(old))
        assert back.metadata is None
        assert "TS_01" in repr(back)
    assert back.data.shape == (3, 4, 5)


def test_subclasses_and_their_fields():
    @dataclass
    class Scored(PoseSet):
        score: np.ndarray | None = None

    scored = Scored(np.zeros((2, 3)), None, None, "TS_01", 1.0, "", score=np.array([0.1, 0.2]))
    assert isinstance(scored, PoseSetProtocol)
    checked = validate_poseset(scored)
    assert type(checked) is Scored
    assert checked.score is scored.score


# the protocols


def test_protocols_ask_for_what_0_2_0_asked_for():
    assert list(PoseSetProtocol.__annotations__) == POSE_FIELDS
    assert list(ImageProtocol.__annotations__) == IMAGE_FIELDS


def test_a_clients_class_is_recognised():
    theirs = TheirPoseSet(np.zeros((2, 3)), "TS_01", "a.star", features=pd.DataFrame({"a": [1, 2]}))
    assert isinstance(theirs, PoseSetProtocol)
    assert not isinstance(theirs, (ImageProtocol, PoseSet))
    checked = validate_poseset(theirs, coerce=True)
    assert type(checked) is TheirPoseSet
    assert checked is not theirs
    assert checked.features is theirs.features


@pytest.mark.parametrize("features", [{"a": [1, 2, 3], "b": 0}, "none", 3, ["x"]])
def test_a_clients_features_may_be_anything(features):
    theirs = TheirPoseSet(np.zeros((2, 3)), "TS_01", "a.star", features=features)
    assert validate_poseset(theirs).features is features


def test_objects_with_class_attributes_are_recognised():
    class Poses:
        position = np.zeros((2, 3))
        shift = None
        orientation = None
        experiment_id = "s"
        pixel_spacing = 1
        source = "a.star"

    class Picture:
        data = np.zeros((2, 3, 4))
        experiment_id = "s"
        pixel_spacing = 1
        source = "a.mrc"
        stack = False

    assert isinstance(Poses(), PoseSetProtocol)
    assert isinstance(Picture(), ImageProtocol)
    assert type(validate_poseset(Poses())) is Poses
    picture = Picture()
    assert validate_image(picture) is picture
    widened = validate_poseset(type("Flat", (Poses,), {"shift": np.ones((2, 2))})(), coerce=True)
    assert widened.shift.shape == (2, 3)
    assert Poses.shift is None


@pytest.mark.parametrize("name", POSE_FIELDS)
def test_an_object_without_one_of_the_attributes_is_no_poseset(name):
    fields = {field: getattr(poseset(), field) for field in POSE_FIELDS if field != name}
    thing = type("Thing", (), fields)()
    assert not isinstance(thing, PoseSetProtocol)
    with pytest.raises(ValueError, match=r"PoseSet|Poseset"):
        validate_poseset(thing)


@pytest.mark.parametrize("name", IMAGE_FIELDS)
def test_an_object_without_one_of_the_attributes_is_no_image(name):
    thing = type("Thing", (), {f: getattr(image(), f) for f in IMAGE_FIELDS if f != name})()
    assert not isinstance(thing, ImageProtocol)
    with pytest.raises(ValueError, match="Image"):
        validate_image(thing)


# validate_poseset


def test_validate_poseset_copies_unless_in_place():
    poses = poseset(shift=np.zeros((4, 2)))
    checked = validate_poseset(poses, coerce=True)
    assert checked is not poses
    assert checked.position is poses.position  # the copy is shallow
    assert poses.shift.shape == (4, 2)
    assert checked.shift.shape == (4, 3)
    assert validate_poseset(poses, coerce=True, inplace=True) is poses
    assert poses.shift.shape == (4, 3)


def test_validate_poseset_takes_its_arguments_by_position():
    flat = poseset(position=[[1, 2]], shift=None, orientation=None)
    assert validate_poseset(flat, 2, True).position.shape == (1, 2)
    assert validate_poseset(flat, 3, True, True) is flat
    assert flat.position.tolist() == [[1, 2, 0]]


WRONG_POSES = [
    ("position", 1),
    ("position", "particles"),
    ("position", np.zeros(3)),
    ("position", np.zeros((4, 2))),
    ("position", np.zeros((4, 4))),
    ("position", np.zeros((4, 3, 1))),
    ("position", [[0, 0, 0]] * 4),
    ("shift", 1),
    ("shift", np.zeros((4, 2))),
    ("shift", np.zeros((5, 3))),
    ("shift", np.zeros((4, 4))),
    ("shift", [[0, 0, 0]] * 4),
    ("orientation", Rotation.identity(3)),
    ("experiment_id", ()),
    ("experiment_id", 1),
    ("experiment_id", None),
    ("pixel_spacing", "a"),
    ("pixel_spacing", None),
    ("pixel_spacing", [1.0]),
    ("source", 1),
    ("source", None),
]


@pytest.mark.parametrize(("name", "wrong"), WRONG_POSES)
def test_every_wrong_field_of_a_poseset_is_a_value_error(name, wrong):
    poses = poseset(**{name: wrong})
    with pytest.raises(ValueError):  # noqa: PT011 - 0.2.0 does not always name the right field
        validate_poseset(poses)
    assert getattr(poses, name) is wrong


def test_coerce_makes_arrays_strings_numbers_and_paths():
    class There(os.PathLike):
        def __fspath__(self):
            return "a.star"

    poses = PoseSet([[1, 2, 3]], [[0.5, 0, 0]], None, 7, "2.5", There())
    checked = validate_poseset(poses, coerce=True)
    assert checked.position.tolist() == [[1, 2, 3]]
    assert isinstance(checked.position, np.ndarray)
    assert isinstance(checked.shift, np.ndarray)
    assert (checked.experiment_id, checked.pixel_spacing) == ("7", 2.5)
    assert checked.source == Path("a.star")


@pytest.mark.parametrize("columns", [1, 2])
@pytest.mark.parametrize("ndim", [2, 3])
def test_coerce_pads_position_and_shift_with_zeros(columns, ndim):
    narrow = np.arange(4.0 * columns).reshape(4, columns)
    checked = validate_poseset(poseset(position=narrow, shift=narrow - 5), ndim, True)
    for found, given in ((checked.position, narrow), (checked.shift, narrow - 5)):
        np.testing.assert_array_equal(found[:, :columns], given)
        assert found.shape == (4, ndim)
        assert not found[:, columns:].any()


def test_coerce_does_not_drop_columns():
    with pytest.raises(ValueError, match="position"):
        validate_poseset(poseset(), ndim=2, coerce=True)


def test_no_particles_are_legal():
    for orientation in (None, Rotation.from_quat(np.empty((0, 4)))):
        empty = poseset(position=np.empty((0, 3)), shift=np.empty((0, 3)), orientation=orientation)
        assert len(validate_poseset(empty).position) == 0


def test_clients_may_turn_orientations_into_an_object_array():
    checked = validate_poseset(poseset())
    single = list(checked.orientation)
    assert len(single) == 4
    assert all(rotation.single for rotation in single)


# validate_image


def test_validate_image_returns_the_same_object():
    picture = image(experiment_id=7)
    assert validate_image(picture, coerce=True) is picture
    assert picture.experiment_id == "7"


def test_validate_image_takes_its_arguments_by_position():
    assert validate_image(image((4, 5)), 2)
    assert validate_image(image((3, 4, 5), stack=True), 2, True)
    assert validate_image(image((4, 5)), 3, False, True).data.shape == (1, 4, 5)
    assert validate_image(image((4, 5), stack=True), 2, True, True).data.shape == (1, 4, 5)
    assert validate_image(image((4, 5), stack=True), 3, True, True).data.shape == (1, 1, 4, 5)


WRONG_IMAGES = [
    ("data", 1),
    ("data", [[[0.0]]]),
    ("data", np.zeros((4, 5))),
    ("data", np.zeros((2, 3, 4, 5))),
    ("experiment_id", ()),
    ("experiment_id", 1),
    ("pixel_spacing", "a"),
    ("pixel_spacing", None),
    ("source", 1),
    ("source", None),
]


@pytest.mark.parametrize(("name", "wrong"), WRONG_IMAGES)
def test_every_wrong_field_of_an_image_is_a_value_error(name, wrong):
    picture = image(**{name: wrong})
    with pytest.raises(ValueError):  # noqa: PT011
        validate_image(picture)
    assert getattr(picture, name) is wrong


@pytest.mark.parametrize(
    ("shape", "ndim", "stack"), [((1, 4, 5), 2, False), ((2, 3, 4, 5), 3, False)]
)
def test_coerce_does_not_drop_axes(shape, ndim, stack):
    with pytest.raises(ValueError, match="stack"):
        validate_image(image(shape), ndim, stack, True)


def test_validate_image_never_reads_the_data():
    class Lazy:
        shape, ndim, dtype = (3, 4, 5), 3, np.dtype("f4")

        def __array__(self, dtype=None, copy=None):
            raise AssertionError("the data were read")

    data = Lazy()
    assert validate_image(image(data=data)).data is data
    assert validate_image(image(data=data), coerce=True).data is data


# rotations


def test_stack_and_unstack_rotations():
    from cryotypes.poseset._utils import stack_rotations, unstack_rotations

    stack = poseset(5).orientation
    single = unstack_rotations(stack)
    assert isinstance(single, list)
    assert len(single) == 5
    assert all(rotation.single for rotation in single)
    np.testing.assert_allclose(stack_rotations(single).as_matrix(), stack.as_matrix())
    np.testing.assert_allclose(
        stack_rotations([stack[:2], stack[2:]]).as_matrix(), stack.as_matrix()
    )
    assert unstack_rotations(single) == single


# projection


def model(n, seed=0) -> pd.DataFrame:
    columns = ["rotation_x", "rotation_y", "rotation_z", "dx", "dy"]
    return pd.DataFrame(np.random.default_rng(seed).uniform(-90, 90, (n, 5)), columns=columns)


def independent_matrices(df, centre, dimensions) -> np.ndarray:
    """S(centre) @ S(dx, dy) @ Rz @ Ry @ Rx @ S(-(dimensions // 2)), written out."""
    matrices = []
    for ax, ay, az, dx, dy in df.to_numpy():
        (cx, cy, cz), (sx, sy, sz) = (f(np.radians([ax, ay, az])) for f in (np.cos, np.sin))
        rx = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
        ry = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
        rz = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
        turn = rz @ ry @ rx
        matrix = np.eye(4)
        matrix[:3, :3] = turn
        moved = [centre[0] + dx, centre[1] + dy, 0]
        matrix[:3, 3] = moved - turn @ [size // 2 for size in dimensions]
        matrices.append(matrix)
    return np.array(matrices).reshape(-1, 4, 4)


@pytest.mark.parametrize("n", [0, 1, 2, 41])
@pytest.mark.parametrize(
    ("centre", "dimensions"),
    [((50, 60), (100, 120, 40)), ((50.5, 60.25), (101, 121, 41)), ((0, 0), (1, 1, 1))],
)
def test_projection_matrices(n, centre, dimensions):
    df = model(n)
    found = projection_model_to_projection_matrices(
        df=df, tilt_image_center=centre, tomogram_dimensions=dimensions
    )
    assert found.shape == (n, 4, 4)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, independent_matrices(df, centre, dimensions), atol=1e-12)


def test_projection_matrices_with_arrays_other_columns_and_any_index():
    df = model(3).assign(experiment_id="TS_01", pixel_spacing=2.0, source="a.aln")
    df.index = [7, 3, 3]
    before = df.copy()
    found = projection_model_to_projection_matrices(df, np.array([5, 6]), np.array([11, 12, 13]))
    expected = independent_matrices(before.iloc[:, :5], (5, 6), (11, 12, 13))
    np.testing.assert_allclose(found, expected, atol=1e-12)
    pd.testing.assert_frame_equal(df, before)


def test_the_centre_of_an_odd_size_is_whole():
    df = pd.DataFrame(0.0, index=[0], columns=model(0).columns)
    (found,) = projection_model_to_projection_matrices(df, (0, 0), (5, 7, 9))
    np.testing.assert_array_equal(found[:3, 3], [-2, -3, -4])


def test_the_projection_model_is_a_dataframe_with_these_labels():
    assert ProjectionModel is pd.DataFrame
    labels = ProjectionModelDataLabels
    assert labels.ROTATION == ["rotation_x", "rotation_y", "rotation_z"]
    assert [labels.ROTATION_X, labels.ROTATION_Y, labels.ROTATION_Z] == labels.ROTATION
    assert labels.SHIFT == ["dx", "dy"]
    assert [labels.SHIFT_X, labels.SHIFT_Y] == labels.SHIFT
    assert labels.EXPERIMENT_ID == "experiment_id"
    assert labels.PIXEL_SPACING == "pixel_spacing"
    assert labels.SOURCE == "source"
    assert list(model(1)[labels.ROTATION + labels.SHIFT]) == list(model(1))


# what 0.2.0 let pass, or refused, or told wrongly


def with_value(shape, value) -> np.ndarray:
    array = np.zeros(shape)
    array[2, 1] = value
    return array


@pytest.mark.parametrize("coerce", [False, True])
@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("position", with_value((4, 3), np.nan)),
        ("position", with_value((4, 3), np.inf)),
        ("shift", with_value((4, 3), np.nan)),
        ("shift", np.zeros((7, 3))),
        ("shift", np.zeros((7, 2))),
        ("orientation", np.tile(np.eye(3), (4, 1, 1))),
        ("orientation", np.zeros((4, 3))),
        ("orientation", [Rotation.identity()] * 4),
        ("pixel_spacing", -1.0),
        ("pixel_spacing", np.nan),
        ("pixel_spacing", np.inf),
        ("source", 1),
        ("source", object()),
    ],
)
def test_faults_of_a_poseset_are_refused(name, wrong, coerce):
    with pytest.raises(ValueError, match=f"^PoseSet: {name}: expected"):
        validate_poseset(poseset(**{name: wrong}), coerce=coerce)


@pytest.mark.parametrize("coerce", [False, True])
@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("stack", "maybe"),
        ("stack", None),
        ("stack", 2),
        ("pixel_spacing", -1.0),
        ("pixel_spacing", np.nan),
        ("source", 1),
        ("data", np.array([[["a"]]])),
    ],
)
def test_faults_of_an_image_are_refused(name, wrong, coerce):
    with pytest.raises(ValueError, match=f"^Image: {name}: expected"):
        validate_image(image(**{name: wrong}), coerce=coerce)


def test_the_message_names_the_wrong_field_and_no_other():
    for check, make, wrongs in (
        (validate_poseset, poseset, WRONG_POSES),
        (validate_image, image, WRONG_IMAGES),
    ):
        for name, wrong in wrongs:
            with pytest.raises(ValueError, match=name) as caught:
                check(make(**{name: wrong}))
            assert {problem.partition(":")[0] for problem in caught.value.problems} == {name}


def test_missing_attributes_are_named():
    fields = dict.fromkeys(set(POSE_FIELDS) - {"orientation", "source"})
    with pytest.raises(ValueError, match="has no orientation, source"):
        validate_poseset(type("T", (), fields)())
    with pytest.raises(ValueError, match="has no data"):
        validate_image(type("T", (), dict.fromkeys(IMAGE_FIELDS[1:]))())


@pytest.mark.parametrize("number", [np.float32(2.5), np.float64(2.5), np.int64(2), 2, 0, 0.0])
def test_any_number_is_a_pixel_spacing(number):
    assert validate_poseset(poseset(pixel_spacing=number)).pixel_spacing == number
    assert validate_image(image(pixel_spacing=number)).pixel_spacing == number


def test_numpys_bool_is_a_stack_flag():
    assert validate_image(image(stack=np.False_)).stack is False
    assert validate_image(image(stack=np.True_), 2, True).stack is True


def test_all_problems_are_reported_at_once():
    wrong = PoseSet(with_value((4, 3), np.nan), np.zeros((7, 3)), np.eye(3), 1, -1, 2)
    with pytest.raises(ValueError, match="6 problems") as caught:
        validate_poseset(wrong)
    assert {problem.partition(":")[0] for problem in caught.value.problems} == set(POSE_FIELDS)
    with pytest.raises(ValueError, match="5 problems") as caught:
        validate_image(Image(np.zeros(3), 1, -1, 2, "maybe"))
    assert {problem.partition(":")[0] for problem in caught.value.problems} == set(IMAGE_FIELDS)


def test_a_refused_object_is_left_as_it_was():
    poses = poseset(shift=np.zeros((4, 2)), pixel_spacing=-1)
    with pytest.raises(ValueError, match="pixel_spacing"):
        validate_poseset(poses, coerce=True, inplace=True)
    assert poses.shift.shape == (4, 2)
    picture = image((4, 5), pixel_spacing=-1)
    with pytest.raises(ValueError, match="pixel_spacing"):
        validate_image(picture, coerce=True)
    assert picture.data.shape == (4, 5)


def test_a_single_rotation_is_refused_or_made_a_stack_of_one():
    single = Rotation.from_euler("ZYZ", [10, 20, 30], degrees=True)
    poses = poseset(1, orientation=single)
    with pytest.raises(ValueError, match=r"orientation: expected a stack .* single Rotation"):
        validate_poseset(poses)
    checked = validate_poseset(poses, coerce=True)
    assert len(checked.orientation) == 1
    np.testing.assert_allclose(checked.orientation.as_matrix()[0], single.as_matrix())
    with pytest.raises(ValueError, match="orientation: expected one rotation a particle"):
        validate_poseset(poseset(4, orientation=single), coerce=True)


@pytest.mark.skipif(not hasattr(Rotation, "shape"), reason="scipy < 1.17 has no stacks of stacks")
def test_a_stack_of_stacks_of_rotations_is_refused():
    nested = Rotation.from_matrix(np.tile(np.eye(3), (4, 2, 1, 1)))
    for coerce in (False, True):
        with pytest.raises(ValueError, match="orientation: expected one row of rotations"):
            validate_poseset(poseset(orientation=nested), coerce=coerce)


@pytest.mark.parametrize("missing", ["rotation_x", "rotation_z", "dx"])
def test_a_missing_projection_column_is_named(missing):
    with pytest.raises(ValueError, match=f"missing columns? {missing}") as caught:
        projection_model_to_projection_matrices(model(2).drop(columns=missing), (1, 2), (3, 4, 5))
    assert not isinstance(caught.value, KeyError)
