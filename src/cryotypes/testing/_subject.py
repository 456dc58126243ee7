"""A format under test: reads and writes by it, and fails in sentences."""

from __future__ import annotations

import contextlib
import warnings
from contextlib import contextmanager
from copy import copy, deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import pandas as pd

from cryotypes import io, registry
from cryotypes.errors import CryotypesWarning, GuessWarning, LossWarning, ReadError, WriteError
from cryotypes.formats.shared.declaration import Head
from cryotypes.image import ImageProtocol, validate_image
from cryotypes.poseset import validate_poseset
from cryotypes.projectionmodel import ProjectionModel, validate_projection_model

from ._zoo import NAME, image_zoo, zoo

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from cryotypes.formats import Format
    from cryotypes.loss import LossReport


@dataclass
class Subject:
    """The format, what its reader and writer must be told, and a directory to work in."""

    format: Format
    read_options: Mapping[str, Any]
    write_options: Mapping[str, Any]
    directory: Path
    samples: Mapping[str, Any] | None = None
    guesses: frozenset[str] = frozenset()
    """What the reader warned of when it last read."""
    _count: int = field(default=0, repr=False)

    def fail(self, case: str, sentence: str) -> NoReturn:
        """Raise, naming format and case."""
        raise AssertionError(f"format {self.format.name!r}, case {case!r}: {sentence}")

    def require(self, condition: object, case: str, sentence: str) -> None:
        """Fail unless the condition holds."""
        if not condition:
            self.fail(case, sentence)

    def new_path(self, name: str | None = None) -> Path:
        """Return a path in a directory of its own."""
        self._count += 1
        directory = self.directory / f"{self.format.name} {self._count}"
        directory.mkdir(parents=True)
        usual = NAME if self.format.kind == "image" else "poses"
        return directory / (name or f"{usual}{self.format.suffixes[0]}")

    def read(self, path: Any, case: str) -> Any:
        """Read, and see that the result is valid.

        Raises
        ------
        ReadError, OSError
            The reader's own; anything else is a failure.
        """
        function = {"poses": io.read_poses, "image": io.read_image}.get(
            self.format.kind, io.read_projection_model
        )
        with self.only_our_warnings(case) as caught:
            try:
                result: Any = function(path, format=self.format.name, **self.read_options)
                self.check_valid(result, case, lazy=Path(path).is_dir())
            except (ReadError, OSError, AssertionError, KeyboardInterrupt):
                raise
            except BaseException as error:  # the panics of Rust are no Exceptions
                self.fail(case, f"expected a ReadError, found {type(error).__name__}: {error}")
            finally:
                found = [w for w in caught if issubclass(w.category, GuessWarning)]
                self.guesses = frozenset(str(w.message) for w in found)
        return result

    def read_well(self, path: Any, case: str) -> Any:
        """Read what must be readable."""
        try:
            return self.read(path, case)
        except (ReadError, OSError) as error:
            self.fail(case, f"expected to read {path}, found {type(error).__name__}: {error}")

    def write(self, data: Any, path: Any, case: str, **more: Any) -> LossReport:
        """Write; what is lost must be warned of, and the data must stay as they are.

        Raises
        ------
        WriteError, OSError
            The writer's own; anything else is a failure.
        """
        before = deepcopy(data)
        options = {**self.write_options, **more}
        with self.only_our_warnings(case) as caught:
            try:
                report = io.write(data, path, format=self.format.name, **options)
            except (WriteError, OSError):
                raise
            except Exception as error:
                self.fail(case, f"expected a WriteError, found {type(error).__name__}: {error}")
        self.require(same(before, data), case, "writing changed the data that it was given")
        told = any(issubclass(w.category, LossWarning) for w in caught)
        self.require(told or not report.lost, case, "a loss without LossWarning")
        return report

    @contextmanager
    def only_our_warnings(self, case: str) -> Iterator[list[warnings.WarningMessage]]:
        """Collect warnings; those of other packages are failures, nobody could act on them."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield caught
        for warning in caught:
            if not issubclass(warning.category, CryotypesWarning):
                found = f"{warning.category.__name__}: {warning.message}"
                self.fail(case, f"expected no warning but cryotypes' own, found {found}")

    def check_valid(self, result: Any, case: str, *, lazy: bool = False) -> None:
        """See that the result is what a format of this kind gives.

        Raises
        ------
        ReadError
            If the data cannot be read though the image can: where they are in files of their own
            (``lazy``), and a library reads them, this may be an error of that library's.
        """
        ndim: Any = 0
        if self.format.kind == "image":
            self.require(isinstance(result, ImageProtocol), case, "expected an Image")
            ndim = _loaded(result, lazy).ndim
        try:
            if self.format.kind == "poses":
                self.require(isinstance(result, list) and result, case, "expected PoseSets")
                for poses in result:
                    validate_poseset(poses)
            elif self.format.kind == "image":
                validate_image(result, ndim=ndim)
            else:
                validate_projection_model(result)
        except ValueError as error:
            if isinstance(error, ReadError):
                raise
            self.fail(case, f"expected a ReadError or something valid, found {error}")

    def cases(self) -> dict[str, Any]:
        """Return what is written and read, by name."""
        if self.samples is not None:
            return dict(self.samples)
        if self.format.kind == "poses":
            return dict(zoo())
        if self.format.kind == "image":
            return dict(image_zoo())
        tilts = pd.DataFrame(
            {
                "rotation_x": [0.5, 0.0, 0.0],
                "rotation_y": [-3.0, 0.0, 3.0],
                "rotation_z": 85.3,
                "dx": [1.0, -2.0, 0.25],
                "dy": 7.5,
                "experiment_id": "TS_01",
                "pixel_spacing": 2.5,
                "source": "",
            }
        )
        model = ProjectionModel(tilts)
        model.attrs["tilt_image_dimensions"] = (400, 300)
        model.attrs["tomogram_dimensions"] = (401, 403, 201)
        return {"three": model}

    def example(self, case: str = "three") -> tuple[Any, Path]:
        """Write a case in the richest form that the format takes."""
        path = self.new_path()
        *rich, plain = simpler_forms(self.cases()[case])
        for parts in rich:
            with contextlib.suppress(WriteError):
                self.write(parts[0], path, case)
                return parts[0], path
        self.write(plain[0], path, case)
        return plain[0], path

    def asks_sniffer(self, path: Path, case: str) -> None:
        """See that the sniffer raises nothing, whatever the file."""
        try:
            head = Head.of(path)
        except (ReadError, OSError):
            return  # it cannot even be unpacked
        try:
            if self.format.sniff is not None:
                self.format.sniff(head)
        except Exception as error:
            self.fail(case, f"expected sniff to say True or False, found {error!r}")

    def sniffs(self, path: Path, case: str) -> None:
        """See that this format alone recognises a file."""
        head = Head.of(path)
        for other in registry.known_formats().values():
            if other.sniff is None:
                continue
            try:
                found = other.sniff(head)
            except Exception as error:
                self.fail(case, f"{other.name} cannot sniff {path.name}: {error!r}")
            if other.name == self.format.name:
                self.require(found, case, f"sniff does not accept its own {path.name}")
            else:
                self.require(not found, case, f"{other.name} also claims its {path.name}")


def simpler_forms(data: Any) -> Iterator[list[Any]]:
    """Yield data as they are, and what a format may take that refuses them.

    One experiment a file; then without z; then without features, by a plain name. Images: the
    same shape in single precision; then in small whole numbers.
    """
    yield [data]
    if isinstance(data, ImageProtocol):
        yield from ([_with_plain_values(data, dtype)] for dtype in ("float32", "uint8"))
    if not isinstance(data, list):
        return
    if len(data) > 1:
        yield [[poses] for poses in data]
    flat = [[_without_z(poses)] for poses in data]
    yield flat
    yield [[replace(part[0], features=None, experiment_id="TS_01")] for part in flat]


def _loaded(image: Any, lazy: bool) -> NDArray[Any]:
    try:
        return np.asarray(image.data)
    except Exception as error:
        if not lazy:
            raise
        raise ReadError(f"the data cannot be read ({error})") from error


def _with_plain_values(image: Any, dtype: str) -> Any:
    shape = np.shape(image.data)
    plain = copy(image)
    plain.data = (np.arange(np.prod(shape)) % 128).astype(dtype).reshape(shape)
    return plain


def _without_z(poses: Any) -> Any:
    poses = deepcopy(poses)
    poses.position = poses.position * [1, 1, 0]
    poses.shift = None if poses.shift is None else poses.shift * [1, 1, 0]
    poses.metadata = {**(poses.metadata or {}), "ndim": 2}
    return poses


def same(a: Any, b: Any) -> bool:
    """Whether two things are equal to the last bit."""
    if type(a) is not type(b):
        return False
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[name], b[name]) for name in a)
    if isinstance(a, pd.DataFrame):
        return a.equals(b) and a.index.equals(b.index) and a.columns.equals(b.columns)
    if hasattr(a, "as_quat"):
        return bool(np.array_equal(a.as_quat(), b.as_quat()))
    if isinstance(a, np.ndarray):
        return (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
    if hasattr(a, "__dict__") and hasattr(a, "experiment_id"):
        return same(vars(a), vars(b))
    if vars(type(a)).get("__eq__") is None and type(a).__hash__ is vars(object)["__hash__"]:
        return True  # nothing to tell them apart by
    try:
        return bool(a == b)
    except (TypeError, ValueError):
        return True


@contextmanager
def registered(format: Format) -> Iterator[None]:
    """Make a format known for a while, if it is not."""
    known = registry.known_formats()
    if known.get(format.name) is format:
        yield
        return
    if format.name in known:
        raise AssertionError(
            f"format {format.name!r}, case 'name': the name is taken by {known[format.name].title}"
        )
    try:
        registry.register_format(format)
    except ValueError as error:
        raise AssertionError(f"format {format.name!r}, case 'declaration': {error}") from error
    try:
        yield
    finally:
        registry._known.pop(format.name)
