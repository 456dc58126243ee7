"""A volume whose content follows from its shape; what is done with it, and what must result.

Used by ``larger_than_memory.py``. Results are checked against arithmetic in whole numbers, zarr
itself and the bytes of files.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from images import HEADER, write_sparse

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEVELS = 3
CROP = 512  # voxels a side, at most
BINNED = 100e6  # bytes: the binned volume is held in memory, so it must be small beside the limit
DENSE, WHOLE = 192, 64  # voxels of the dense part in z and y, at most; all sizes are multiples

Voxel = tuple[int, ...]
Box = tuple[slice, ...]


@dataclass(frozen=True)
class Volume:
    """Zeros, a dense part at the origin (zeros need hardly any memory to compress), and marks."""

    folder: Path
    shape: Voxel  # z, y, x

    @property
    def path(self) -> Path:
        return self.folder / "volume.mrc"

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def factor(self) -> int:
        """By which it is binned: 8, or more if the result were large itself."""
        b = 8
        while 4 * self.size / b**3 > BINNED:
            b *= 2
        return b

    @property
    def box(self) -> tuple[Voxel, Voxel]:
        """Where the crop begins, and its size; in the middle of the volume."""
        size = tuple(min(-(-n // 2), CROP) for n in self.shape)
        return tuple((n - m) // 2 for n, m in zip(self.shape, size, strict=True)), size

    @property
    def dense(self) -> Voxel:
        """Size of the dense part."""
        nz, ny, nx = self.shape
        return *(min(DENSE, n // 2 // WHOLE * WHOLE) for n in (nz, ny)), nx // WHOLE * WHOLE

    @property
    def marks(self) -> dict[Voxel, int]:
        """Single voxels: in corners, in slices, about the crop, several in the same bin."""
        nz, ny, nx = self.shape
        z, y, x = nz // 2, ny // 2, nx // 2
        start, size = self.box
        last = tuple(a + m - 1 for a, m in zip(start, size, strict=True))
        bins = [n * 3 // 4 // WHOLE * WHOLE for n in self.shape]  # also a corner of coarser voxels
        voxels: list[Voxel] = [
            (0, ny - 1, 0),
            (nz - 1, ny - 1, nx - 1),
            (z, ny // 5, nx // 7),
            (z, ny - 1, 0),
            (nz // 3, y, x),
            (nz - 1, 0, x),
            (z, y, x),
            start,
            last,
            tuple(a - 1 for a in start),
            tuple(a + 1 for a in last),
            tuple(bins),
            (bins[0] + 1, bins[1] + 3, bins[2] + 2),
            (bins[0] + 4, bins[1] + 4, bins[2] + 4),
        ]
        marks = {voxel: 7 * value for value, voxel in enumerate(voxels, 1)}
        marks[(nz // 4, ny * 3 // 4, nx // 4)] = -1000
        dense = self.dense
        return {
            v: m for v, m in marks.items() if any(i >= n for i, n in zip(v, dense, strict=True))
        }

    def write(self) -> None:
        import numpy as np

        write_sparse(self.path, self.shape, self.marks)
        data = np.memmap(self.path, "<f4", "r+", HEADER, self.shape)
        for z in range(self.dense[0]):
            box = (slice(z, z + 1), *(slice(0, n) for n in self.dense[1:]))
            data[box] = pattern(box)
        data.flush()


def pattern(box: Box) -> NDArray[Any]:
    """Scatter whole numbers, 1 to 2**12: sums of 16 × 16 × 16 have 24 bits, so they are exact."""
    import numpy as np

    z, y, x = np.ogrid[box]
    mixed = (z * 73856093 + y * 19349663 + x * 83492791).astype(np.uint32)
    mixed ^= mixed >> np.uint32(15)
    mixed *= np.uint32(2246822519)
    mixed ^= mixed >> np.uint32(13)
    numbers: NDArray[Any] = (mixed & np.uint32((1 << 12) - 1)).astype(np.int64) + 1
    return numbers


def expected(volume: Volume, box: Box, b: int, marks: Mapping[Voxel, float]) -> NDArray[Any]:
    """Make a box of the volume of means of b × b × b, whose marks are given."""
    import numpy as np

    part = np.zeros([one.stop - one.start for one in box])
    ends = [min(one.stop, n // b) for one, n in zip(box, volume.dense, strict=True)]
    if all(one.start < end for one, end in zip(box, ends, strict=True)):
        fine = tuple(slice(one.start * b, end * b) for one, end in zip(box, ends, strict=True))
        size = [end - one.start for one, end in zip(box, ends, strict=True)]
        boxes = pattern(fine).reshape([n for m in size for n in (m, b)])
        part[tuple(map(slice, size))] = boxes.sum(axis=(1, 3, 5)) / b**3
    for voxel, value in marks.items():
        place = tuple(i - one.start for i, one in zip(voxel, box, strict=True))
        if all(0 <= i < n for i, n in zip(place, part.shape, strict=True)):
            part[place] += value
    return part


def compare(
    found: Any, volume: Volume, box: Box, b: int = 1, marks: Mapping[Voxel, float] | None = None
) -> None:
    """Compare an array with a box of the volume, section by section."""
    import numpy as np

    shape = tuple(one.stop - one.start for one in box)
    assert tuple(found.shape) == shape, f"shape {found.shape}, not {shape}"
    for z in range(box[0].start, box[0].stop):
        section = (slice(z, z + 1), *box[1:])
        wanted = expected(volume, section, b, volume.marks if marks is None else marks)[0]
        wrong = np.argwhere(np.asarray(found[z - box[0].start]) != wanted.astype(np.float32))
        if len(wrong):
            at = tuple(wrong[0])
            place = (z, *(int(i) + one.start for i, one in zip(at, box[1:], strict=True)))
            value = found[z - box[0].start][at]
            raise AssertionError(f"{value} at {place}, not {wanted[at]}; {len(wrong)} in section")


def everything(shape: Voxel) -> Box:
    return tuple(slice(0, n) for n in shape)


def shape_of(size: float) -> tuple[int, int, int]:
    """Choose an odd shape of about so many bytes, half as thick as it is wide."""
    width = max(9, round((size / 2) ** (1 / 3))) | 1
    return max(9, round(size / 4 / width**2)) | 1, width, width


def _info(volume: Volume) -> Any:
    import cryotypes
    from cryotypes.cli import main as program

    image = cryotypes.read_image(volume.path)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        program(["info", "--json", str(volume.path)], standalone_mode=False)
    return image, json.loads(printed.getvalue())


def _check_info(volume: Volume, result: Any) -> None:
    image, (facts,) = result
    assert tuple(image.data.shape) == volume.shape, f"shape {image.data.shape}"
    assert (str(image.data.dtype), image.pixel_spacing) == ("float32", 2), repr(image)
    assert facts["dimensions"] == list(volume.shape[::-1]), f"info says {facts['dimensions']}"
    assert facts["bytes"] == 4 * volume.size, f"info says {facts['bytes']} bytes"


def _slice(axis: int) -> tuple[Callable[[Volume], Any], Callable[[Volume, Any], None]]:
    def run(volume: Volume) -> Any:
        import numpy as np

        import cryotypes

        middle = volume.shape[axis] // 2
        data: Any = cryotypes.read_image(volume.path).data
        return np.array(data[(slice(None),) * axis + (middle,)])

    def check(volume: Volume, result: Any) -> None:
        import numpy as np

        box = list(everything(volume.shape))
        box[axis] = slice(volume.shape[axis] // 2, volume.shape[axis] // 2 + 1)
        compare(np.expand_dims(result, axis), volume, tuple(box))

    return run, check


def _statistics(volume: Volume) -> Any:
    import cryotypes.image

    return cryotypes.image.statistics(cryotypes.read_image(volume.path))


def _check_statistics(volume: Volume, found: Any) -> None:
    values, n = list(volume.marks.values()), volume.size
    total, squares = sum(values), sum(value * value for value in values)
    for z in range(volume.dense[0]):
        section = pattern((slice(z, z + 1), *everything(volume.dense[1:])))
        total, squares = total + int(section.sum()), squares + int((section * section).sum())
        values.append(int(section.max(initial=0)))
    wanted = {
        "minimum": min(0, *values),
        "maximum": max(0, *values),
        "mean": total / n,
        "std": math.sqrt((n * squares - total**2) / n**2),
        "finite": n,
        "not_finite": 0,
    }
    for name, value in wanted.items():
        is_close = math.isclose(getattr(found, name), value, rel_tol=1e-9)
        assert is_close, f"{name} {getattr(found, name)}, not {value}"


def _bin(volume: Volume) -> Any:
    import cryotypes

    return cryotypes.bin_image(cryotypes.read_image(volume.path), volume.factor)


def _check_bin(volume: Volume, result: Any) -> None:
    b = volume.factor if min(volume.shape) >= volume.factor else 1
    shape = tuple(n // b for n in volume.shape)
    sums: dict[Voxel, float] = {}
    for voxel, value in volume.marks.items():
        coarse = tuple(i // b for i in voxel)
        if all(i < n for i, n in zip(coarse, shape, strict=True)):  # the rest is dropped
            sums[coarse] = sums.get(coarse, 0) + value
    marks = {voxel: total / b**3 for voxel, total in sums.items()}
    compare(result.data, volume, everything(shape), b, marks)
    assert result.pixel_spacing == 2 * b, f"pixel spacing {result.pixel_spacing}"


def _convert(volume: Volume) -> Path:
    import cryotypes

    target = volume.folder / "volume.zarr"
    cryotypes.convert(volume.path, target, levels=LEVELS)
    return target


def _check_convert(volume: Volume, result: Path) -> None:
    """Read the marks of all levels back with zarr itself; nothing else may have been written."""
    import zarr

    group = zarr.open_group(str(result), mode="r")
    stated: Any = dict(group.attrs)
    stated = stated.get("ome", stated)
    paths = [level["path"] for level in stated["multiscales"][0]["datasets"]]
    assert len(paths) == LEVELS, f"{len(paths)} levels"
    for level, (path, (shape, marks)) in enumerate(zip(paths, pyramid(volume), strict=True)):
        try:
            _check_level(group[path], result / path, shape, volume, 1 << level, marks)
        except AssertionError as error:
            raise AssertionError(f"level {level}: {error}") from None


def pyramid(volume: Volume) -> Iterable[tuple[Voxel, dict[Voxel, float]]]:
    """Give shape and marks of each level: a mean of 2 × 2 × 2, at odd ends of what is there."""
    shape: Voxel = volume.shape
    marks: dict[Voxel, float] = dict(volume.marks)
    for _ in range(LEVELS):
        yield shape, marks
        sums: dict[Voxel, float] = {}
        for voxel, value in marks.items():
            coarse = tuple(i // 2 for i in voxel)
            there = math.prod(min(2, n - 2 * i) for i, n in zip(coarse, shape, strict=True))
            sums[coarse] = sums.get(coarse, 0) + value / there
        shape, marks = tuple(-(-n // 2) for n in shape), sums


def _check_level(
    array: Any, folder: Path, shape: Voxel, volume: Volume, b: int, marks: Mapping[Voxel, float]
) -> None:
    """Compare whole chunks that hold something; that all others are absent, by counting."""
    assert (array.shape, array.fill_value) == (shape, 0), f"{array.shape}, {array.fill_value}"
    chunk = getattr(array, "shards", None) or array.chunks  # what one file holds
    places = {tuple(i // c for i, c in zip(voxel, chunk, strict=True)) for voxel in marks}
    dense = [-(-n // b // c) for n, c in zip(volume.dense, chunk, strict=True)]
    places |= set(itertools.product(*map(range, dense)))
    for place in places:
        box = tuple(
            slice(i * c, min(i * c + c, n)) for i, c, n in zip(place, chunk, shape, strict=True)
        )
        compare(array[box], volume, box, b, marks)
    metadata = (".zarray", ".zattrs", ".zmetadata", "zarr.json")
    files = [f for f in folder.rglob("*") if f.is_file() and f.name not in metadata]
    found, wanted = len(files), len(places)
    assert found == wanted, f"{found} chunks on disk, but {wanted} that are not all zero"


def _crop(volume: Volume) -> Path:
    import cryotypes

    target = volume.folder / "crop" / volume.path.name  # its name is kept in a file's name only
    target.parent.mkdir()
    start, size = volume.box
    image = cryotypes.read_image(volume.path)
    cryotypes.write(cryotypes.crop_image(image, start[::-1], size[::-1]), target)
    return target


def _check_crop(volume: Volume, result: Path) -> None:
    import numpy as np

    start, size = volume.box
    nx, ny, nz, mode = np.fromfile(result, "<i4", 4).tolist()
    assert (nz, ny, nx, mode) == (*size, 2), f"size {nx}, {ny}, {nz}, mode {mode}"
    length = result.stat().st_size
    assert length == HEADER + 4 * nz * ny * nx, f"{length} bytes"
    box = tuple(slice(a, a + n) for a, n in zip(start, size, strict=True))
    compare(np.memmap(result, "<f4", "r", HEADER, size), volume, box)


STEPS: dict[str, tuple[Callable[[Volume], Any], Callable[[Volume, Any], None]]] = {
    "open and info": (_info, _check_info),
    "one z slice": _slice(0),
    "one x slice": _slice(2),
    "statistics": (_statistics, _check_statistics),
    "binned by 8": (_bin, _check_bin),
    "MRC to OME-Zarr": (_convert, _check_convert),
    "a crop to MRC": (_crop, _check_crop),
}
