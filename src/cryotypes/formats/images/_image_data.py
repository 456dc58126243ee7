"""What readers and writers of images share: checks, conversion piece by piece, the report."""

from __future__ import annotations

import math
import os
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cryotypes._progress import Work
from cryotypes.errors import WriteError
from cryotypes.loss import LossReport
from cryotypes.names import strip_path_and_suffix

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import IO

    import numpy as np
    from numpy.typing import DTypeLike, NDArray

    from cryotypes.image._moments import Moments
    from cryotypes.image._pieces import Box

PIECE = 1 << 24  # bytes read at a time where there is no array yet
_REREAD = 3  # times that a chunk may be read rather than be put into a temporary file


def checked_spacing(value: float) -> float:
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"pixel_spacing: expected a positive number in angstrom, found {value!r}")
    return float(value)


def checked_shape(shape: tuple[int, ...], stack: bool, path: Path) -> tuple[int, int, int]:
    if len(shape) not in ((3,) if stack else (2, 3)) or 0 in shape:
        wanted = "a stack (n, y, x)" if stack else "an image (y, x) or a volume (z, y, x)"
        raise WriteError(f"expected {wanted} that is not empty, found shape {shape}", path)
    nz, ny, nx = (1, *map(int, shape))[-3:]
    return nz, ny, nx


def target_dtype(
    found: np.dtype[Any],
    asked: DTypeLike | None,
    written: Sequence[str],
    wider: dict[str, str],
    path: Path,
) -> np.dtype[Any]:
    """Choose the dtype to write: that asked for, the same, or one that holds the values.

    Parameters
    ----------
    found : dtype
    asked : dtype, optional
    written : sequence of str
        Names of the dtypes that the format has.
    wider : dict
        What the others are written as, by name or kind; numbers of kinds that are not in it, and
        of which none are written, are refused.
    path : Path

    Raises
    ------
    WriteError
    """
    import numpy as np

    complex_too = any(name.startswith("complex") for name in written)
    if found.kind not in ("biufc" if complex_too else "biuf"):
        wanted = "numbers" if complex_too else "real numbers"
        raise WriteError(f"expected {wanted}, found an array of {found}", path)
    if asked is not None:
        target = np.dtype(asked).newbyteorder("=")
        known = [name for name in written if found.kind != "c" or name.startswith("complex")]
        if target.name not in known:
            raise WriteError(f"{found} can be written as {', '.join(known)}, not {target}", path)
        return target
    if found.name in written:
        return found.newbyteorder("=")
    return np.dtype(wider.get(found.name) or wider[found.kind])


def sliceable(data: Any) -> Any:
    """Return data that have a shape and numpy's dtype and can be sliced; lazy ones as they are."""
    from cryotypes.image._arrays import sliceable as checked

    return checked(data)


class Cast:
    """An array of any kind, converted piece by piece on all cores; changed values are counted.

    Parameters
    ----------
    data : array
    target : dtype
    path : Path
        For errors.
    measure : bool
        Whether ``moments`` of the converted values are wanted, after each time through.
    """

    def __init__(
        self, data: Any, target: np.dtype[Any], path: Path, *, measure: bool = False
    ) -> None:
        self.data, self.target, self.path, self._measure = data, target, path, measure
        self.shape: tuple[int, ...] = tuple(int(n) for n in data.shape)
        self._lock = threading.Lock()
        self._forget()

    def _forget(self) -> None:
        self.changed, self.largest = 0, 0.0
        self.moments: Moments | None = None

    def into(
        self,
        put: Callable[[Box, NDArray[Any]], None],
        chunks: Sequence[int] | None = None,
        work: Work | None = None,
    ) -> None:
        """Convert all, and put the pieces where they belong.

        Parameters
        ----------
        put : callable
            Called with boxes and the converted data in them, by several threads at a time and in
            any order.
        chunks : sequence of int, optional
            Boxes are made of whole ones. If those of the source lie so differently that they would
            have to be read many times, the data are put in order in a temporary file first.
        work : Work, optional
            Told of each value.
        """
        from cryotypes.image._arrays import chunks_of
        from cryotypes.image._pieces import in_threads, rereads, volume

        boxes = self._boxes(chunks)
        if chunks is not None and rereads(boxes, chunks_of(self.data), self.shape) > _REREAD:
            work = Work(2 * math.prod(self.shape)) if work is None else work
            work.total += math.prod(self.shape)
            with self._ordered(work) as ordered:
                ordered.into(put, chunks, work)
            return

        def do(box: Box) -> tuple[int, Moments | None]:
            found, moments = self._load(box)
            put(box, found)
            return int(found.size), moments

        work = Work(math.prod(self.shape)) if work is None else work
        self._forget()
        for size, moments in in_threads(do, boxes, volume(boxes[0]) * self._itemsize):
            self._join(moments)
            work.add(size)

    def slabs(self, work: Work) -> Iterator[NDArray[Any]]:
        """Give the converted data in slabs of the first axis, in order."""
        from cryotypes.image._arrays import chunks_of
        from cryotypes.image._pieces import in_threads, volume

        chunks = chunks_of(self.data)
        boxes = self._boxes((1 if chunks is None else chunks[0], *self.shape[1:]))
        self._forget()
        for found, moments in in_threads(self._load, boxes, volume(boxes[0]) * self._itemsize):
            self._join(moments)
            yield found
            work.add(found.size)

    @contextmanager
    def sections(self, times: int = 1) -> Iterator[_Sections]:
        """Give something whose iteration gives the converted data in slabs of the first axis.

        Data in chunks that are deep along z would have to be read many times for that: they are
        put in order in a temporary file first.

        Parameters
        ----------
        times : int
            How often it will be gone through.
        """
        from cryotypes.image._arrays import chunks_of
        from cryotypes.image._pieces import PIECE as SLAB

        chunks, size = chunks_of(self.data), math.prod(self.shape)
        if chunks is None or chunks[0] * (size // self.shape[0]) * self.target.itemsize <= 4 * SLAB:
            yield _Sections(self, Work(size * times))
            return
        work = Work(size * (times + 1))
        with self._ordered(work) as ordered:
            yield _Sections(ordered, work)

    @contextmanager
    def _ordered(self, work: Work) -> Iterator[Cast]:
        """Convert into a temporary file, beside what is to be written."""
        import numpy as np

        with tempfile.TemporaryFile(dir=self.path.resolve().parent) as file:
            write_raw(file, 0, self, work)
            file.flush()
            mapped = np.memmap(file, self.target, "r", 0, self.shape)
            yield Cast(mapped, self.target, self.path, measure=self._measure)

    def _boxes(self, chunks: Sequence[int] | None) -> list[Box]:
        from cryotypes.image._arrays import chunks_of
        from cryotypes.image._pieces import blocks

        return list(blocks(self.shape, self._itemsize, chunks, chunks_of(self.data)))

    @property
    def _itemsize(self) -> int:
        return max(int(self.data.dtype.itemsize), self.target.itemsize)

    def _load(self, box: Box) -> tuple[NDArray[Any], Moments | None]:
        from cryotypes.image._moments import Moments
        from cryotypes.image._pieces import load

        found = self.convert(load(self.data, box))
        return found, Moments.of(found) if self._measure else None

    def _join(self, moments: Moments | None) -> None:
        if self.moments is None:
            self.moments = moments
        elif moments is not None:
            self.moments.join(moments)

    @property
    def summary(self) -> str:
        """What the conversion did."""
        what = f"{self.data.dtype.name} is written as {self.target.name}"
        if not self.changed:
            return f"{what}, all values are the same"
        total = math.prod(self.shape)
        return f"{what}, {self.changed} of {total} values change, by up to {self.largest:.3g}"

    def convert(self, old: NDArray[Any]) -> NDArray[Any]:
        """Convert one piece, and count what changes."""
        import numpy as np

        wide = old.dtype.kind in "iu" and old.dtype.itemsize == 8  # numpy: safe as float64
        if np.can_cast(old.dtype, self.target, "safe") and not (wide and self.target.kind == "f"):
            return old.astype(self.target, copy=False)
        if self.target.kind in "iu":
            rounded = np.rint(old) if old.dtype.kind == "f" else old
            self._refuse_outside(rounded)
            new = rounded.astype(self.target)
        else:
            with np.errstate(over="ignore"):
                new = old.astype(self.target)
            self._refuse_infinite(old, new)
        self._count(old, new)
        return new

    def _refuse_outside(self, values: NDArray[Any]) -> None:
        import numpy as np

        low, high, limits = values.min().item(), values.max().item(), np.iinfo(self.target)
        if not (limits.min <= low and high <= limits.max):  # also if NaN
            raise WriteError(
                f"values from {low} to {high} do not fit {self.target.name} "
                f"({limits.min} to {limits.max})",
                self.path,
            )

    def _refuse_infinite(self, old: NDArray[Any], new: NDArray[Any]) -> None:
        import numpy as np

        outside = np.isfinite(old) & ~np.isfinite(new)
        if outside.any():
            raise WriteError(
                f"values up to {np.abs(old[outside]).max():g} do not fit {self.target.name} "
                f"(±{np.finfo(self.target).max:g})",
                self.path,
            )

    def _count(self, old: NDArray[Any], new: NDArray[Any]) -> None:
        import numpy as np

        kind = old.dtype.kind
        new = new if kind == "c" else new.real
        with np.errstate(invalid="ignore"):
            changed = (new.astype(old.dtype) != old) & ~np.isnan(old)
        if kind in "iu":  # beyond its range there is no way back to an integer
            changed |= new >= np.float64(2.0 ** (8 * old.dtype.itemsize - (kind == "i")))
        if changed.any():
            wide = np.complex128 if kind == "c" else np.float64
            change = np.abs(new[changed].astype(wide) - old[changed].astype(wide)).max()
            with self._lock:
                self.changed += int(changed.sum())
                self.largest = max(self.largest, float(change))


class _Sections:
    """Converted data in slabs of the first axis, each time it is gone through."""

    def __init__(self, cast: Cast, work: Work) -> None:
        self._cast, self._work = cast, work

    @property
    def moments(self) -> Moments | None:
        """Those of the last time it was gone through, if they are wanted."""
        return self._cast.moments

    def __iter__(self) -> Iterator[NDArray[Any]]:
        return self._cast.slabs(self._work)


def write_raw(
    file: IO[bytes],
    offset: int,
    cast: Cast,
    work: Work | None = None,
    order: Literal["=", "<", ">"] = "=",
) -> None:
    """Write converted data as they are, x fastest, wherever their pieces belong.

    Parameters
    ----------
    file : file
        Open for reading and writing; it is made as long as it takes.
    offset : int
        Where the data begin.
    cast : Cast
    work : Work, optional
        Told of each value.
    order : {"=", "<", ">"}
        Of the bytes.
    """
    dtype, shape = cast.target.newbyteorder(order), cast.shape
    file.truncate(offset + math.prod(shape) * dtype.itemsize)
    file.flush()
    lock = threading.Lock()

    def put(box: Box, piece: NDArray[Any]) -> None:
        content = as_bytes(piece.astype(dtype, copy=False))
        starts, length = _runs(box, shape)
        size = length * dtype.itemsize
        for number, start in enumerate(starts):
            part = content[number * size : (number + 1) * size]
            _write_at(file, part, offset + start * dtype.itemsize, lock)

    cast.into(put, None, work)


def _runs(box: Box, shape: Sequence[int]) -> tuple[list[int], int]:
    """Return where the values of a box lie together in a file, and how many do."""
    import numpy as np

    axis = len(shape) - 1
    while axis and box[axis].stop - box[axis].start == shape[axis]:
        axis -= 1
    strides = [math.prod(shape[i + 1 :]) for i in range(len(shape))]
    starts = np.array([sum(b.start * n for b, n in zip(box, strides, strict=True))])
    for part, stride in zip(box[:axis], strides, strict=False):
        starts = (starts[:, None] + np.arange(part.stop - part.start) * stride).ravel()
    return starts.tolist(), (box[axis].stop - box[axis].start) * strides[axis]


def _write_at(file: IO[bytes], content: Any, offset: int, lock: threading.Lock) -> None:
    """Write wherever it belongs; several threads may do so at a time."""
    if not hasattr(os, "pwrite"):  # Windows
        with lock:
            file.seek(offset)
            file.write(content)
        return
    while len(content):
        written = os.pwrite(file.fileno(), content, offset)
        content, offset = content[written:], offset + written


def as_bytes(piece: NDArray[Any]) -> Any:
    """Return the bytes of a piece; they are copied only if they are not in order."""
    import numpy as np

    return np.ascontiguousarray(piece).reshape(-1).view(np.uint8).data


def report_on(
    image: Any,
    format: str,
    path: Path,
    cast: Cast,
    asked: DTypeLike | None = None,
    named: str | None = None,
) -> LossReport:
    """Begin a report: data, dtype and experiment_id; stack and spacing are the format's.

    Parameters
    ----------
    image : Image
    format : str
    path : Path
    cast : Cast
        After the data were written.
    asked : dtype, optional
        What was asked for: then it is no loss.
    named : str, optional
        What a reader takes for the experiment, by default the file's name.
    """
    report = LossReport(str(path), format, kept=["data"])
    if cast.data.dtype.newbyteorder("=") != cast.target:
        lost = cast.changed and asked is None
        (report.lost if lost else report.converted)["dtype"] = cast.summary
    named = strip_path_and_suffix(path.name) if named is None else named
    source = strip_path_and_suffix(Path(str(image.source)).name)
    if image.experiment_id == named:
        report.kept.append("experiment_id")
    elif image.experiment_id and image.experiment_id == source:  # a file that is renamed
        report.converted["experiment_id"] = f"{source!r} was the file's name, it is now {named!r}"
    elif image.experiment_id:
        report.lost["experiment_id"] = f"the file's name says {named!r}"
    else:
        report.assumed["experiment_id"] = f"{named!r}, the file's name"
    return report
