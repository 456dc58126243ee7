"""Small inputs on which a format can fail: every one has been a real program's fault."""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cryotypes.image import Image
from cryotypes.poseset import PoseSet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import DTypeLike, NDArray
    from scipy.spatial.transform import Rotation

SOURCE = "zoo.star"
NAME = "TS_01"  # an image's experiment, and the name of its file

_DTYPES = (
    *("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"),
    *("float16", "float32", "float64", "complex64", "complex128"),
)


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
    return deepcopy(_animals())


@cache
def _animals() -> dict[str, list[PoseSet]]:
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


def image_zoo() -> dict[str, Image]:
    """Return images by name, the same ones each time.

    Whatever reads and writes images should give all of them back, or say that it does not. None
    is the same when it is flipped, rolled or transposed, but for "broadcast" along z. The
    experiment of most is the name of the file that the contract writes.

    Examples
    --------
    >>> from cryotypes.testing._zoo import image_zoo
    >>> image_zoo()["stack of three"]
    Image 'TS_01': stack of 3 images 6 × 5 (xy), int16, 2.5 Å/px
    """
    return {
        "three": _image((3, 4, 5)),
        "stack": _image((5, 4, 3), stack=True),
        **{name: _image((2, 3, 4), name) for name in _DTYPES},
        **dict(_limits()),
        **dict(_layouts()),
        **dict(_shapes()),
        **dict(_spacings()),
        "NaN and infinity": _image((2, 3, 4), special=(np.nan, np.inf, -np.inf)),
        "NaN, float16": _image((2, 3, 4), "float16", special=(np.nan, np.inf, -np.inf)),
        "NaN, float64": _image((2, 3, 4), "float64", special=(np.nan, np.inf, -np.inf)),
        "NaN, complex64": _image(
            (2, 3, 4), "complex64", special=(complex(1, np.nan), complex(np.inf, 1))
        ),
        "unicode id": _image((2, 3, 4), experiment_id="Gitter α 1/TS 01"),
        "numeric id": _image((2, 3, 4), experiment_id="001"),
        "no id": _image((2, 3, 4), experiment_id=""),
    }


def _values(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """General values, none twice if there is room; floats have digits that a cast loses."""
    rng = np.random.default_rng(sum(shape))
    kind, size = np.dtype(dtype), int(np.prod(shape))
    if kind.kind == "b":
        return (rng.permutation(size) < size * 0.4).reshape(shape)
    if kind.kind in "iu":
        least = -(size // 2) if kind.kind == "i" else 0
        return (rng.permutation(size) + least).reshape(shape).astype(kind)
    data = rng.normal(0, 10, shape)
    return (data + 1j * rng.normal(0, 10, shape) if kind.kind == "c" else data).astype(kind)


def _image(
    shape: tuple[int, ...],
    dtype: DTypeLike = "float32",
    special: tuple[Any, ...] = (),
    **changes: Any,
) -> Image:
    data = _values(shape, dtype)
    data.reshape(-1)[: len(special)] = special
    fields = {"data": data, "experiment_id": NAME, "pixel_spacing": 2.5, "source": "zoo.mrc"}
    return Image(**{**fields, **changes})


def _limits() -> Iterator[tuple[str, Image]]:
    """The largest and smallest values of each dtype, and those beside them."""
    for name in _DTYPES[1:]:
        kind = np.dtype(name)
        if kind.kind in "iu":
            whole = np.iinfo(kind)
            special: tuple[Any, ...] = (whole.max, whole.min, whole.max - 1, whole.min + 1)
        else:
            real = np.finfo(kind)
            special = (real.max, real.min, real.tiny, real.smallest_subnormal, 1 + real.eps, -0.0)
        yield f"{name}, limits", _image((2, 3, 4), kind, special)


def _layouts() -> Iterator[tuple[str, Image]]:
    """Arrays that are not the plain bytes of their values."""
    for code in ("u2", "i4", "i8", "f2", "f4", "f8", "c8"):
        swapped = _image((2, 3, 4), f">{code}")
        yield f"big-endian {np.dtype(code).name}", swapped
    data = _values((4, 6, 8), "float32")
    yield "Fortran order", _image((2, 3, 4), data=np.asfortranarray(data))
    yield "negative strides", _image((2, 3, 4), data=data[::-1, ::-1, ::-1])
    yield "rows from below", _image((2, 3, 4), data=data[:, ::-1])
    yield "every other", _image((2, 3, 4), data=data[1::2, ::3, ::2])
    yield "transposed", _image((2, 3, 4), data=data.T)
    yield "broadcast", _image((2, 3, 4), data=np.broadcast_to(data[0], (3, 6, 8)))
    fixed = data.copy()
    fixed.flags.writeable = False
    yield "read only", _image((2, 3, 4), data=fixed)


def _shapes() -> Iterator[tuple[str, Image]]:
    """Three or four sections, rows or columns have been taken for colours, one for none."""
    yield "image", _image((5, 7))
    yield "one row", _image((1, 6))
    yield "one column", _image((6, 1))
    yield "one pixel", _image((1, 1))
    yield "one section", _image((1, 5, 7))
    yield "sections of one pixel", _image((7, 1, 1))
    yield "stack of one", _image((1, 5, 7), stack=True)
    for count, word in ((2, "two"), (3, "three"), (4, "four")):
        yield f"stack of {word}", _image((count, 5, 6), "int16", stack=True)
        yield f"{word} sections", _image((count, 5, 6), "uint8")
        yield f"{word} columns", _image((6, 5, count), "uint8")
    yield "odd sizes", _image((7, 5, 3))
    yield "larger than a chunk", _image((3, 131, 300), "int16")


def _spacings() -> Iterator[tuple[str, Image]]:
    """An unknown one, a suspicious one, and some that single precision does not hold."""
    yield "unknown spacing", _image((2, 3, 4), pixel_spacing=0.0)
    yield "unknown spacing of a stack", _image((2, 3, 4), pixel_spacing=0.0, stack=True)
    for spacing in (1.0, 1.3333333, 13.79, 0.1, 0.834):
        yield f"{spacing} Å", _image((3, 7, 11), pixel_spacing=spacing)
    yield "1.0825 Å, stack", _image((3, 7, 11), pixel_spacing=1.0825, stack=True)
