"""Large MRC volumes: open, slice, statistics, binning, and the way to OME-Zarr; time and memory.

Dense cases hold random whole numbers below 2**18: sums of 64 of them have 24 bits, so means over
boxes of 4 (and of 2 twice) are exact in single precision, in whatever order they are added. The
sparse case holds few voxels that are not zero, the rest are holes in the file.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from _harness import Race

HEADER = 1024  # bytes before the voxels
BELOW = 1 << 18  # of the numbers in dense volumes
MARKS = 37  # random voxels of a sparse volume that are not zero
CHUNK = 128  # voxels a side, of those peers that must be told

race = Race(
    cases={
        "64MB": ("dense", 256),
        "1GB": ("dense", 640),
        "4GB": ("sparse", 1000),
    },
    tiny=("dense", 8),
)
OPEN, ACROSS, ALONG = "open", "open and one z slice", "open and one x slice"
STATISTICS, BINNED, TO_ZARR = "statistics in one pass", "binned by 4, mean", "MRC to OME-Zarr"


def header(shape: tuple[int, ...]) -> bytes:
    """Pack the header of a volume (z, y, x) in single precision, 2 Å per pixel."""
    import struct

    nz, ny, nx = shape
    packed = bytearray(HEADER)
    struct.pack_into("<10i", packed, 0, nx, ny, nz, 2, 0, 0, 0, nx, ny, nz)
    struct.pack_into("<6f", packed, 40, nx * 2.0, ny * 2.0, nz * 2.0, 90, 90, 90)
    struct.pack_into("<3i", packed, 64, 1, 2, 3)
    struct.pack_into("<i", packed, 88, 1)  # a volume
    struct.pack_into("<i", packed, 108, 20140)
    packed[208:216] = b"MAP DD\0\0"
    return bytes(packed)


def write_sparse(path: Path, shape: tuple[int, ...], marks: Mapping[tuple[int, ...], int]) -> None:
    """Write a volume of some voxels (z, y, x); all others are holes in the file, which are 0."""
    import struct

    nz, ny, nx = shape
    with path.open("wb") as file:
        file.write(header(shape))
        file.truncate(HEADER + 4 * nz * ny * nx)
        for (z, y, x), value in marks.items():
            file.seek(HEADER + 4 * ((z * ny + y) * nx + x))
            file.write(struct.pack("<f", value))


def make(folder: Path, size: tuple[str, int]) -> None:
    """Write volume.mrc, and into truth.npz what it was made from."""
    import numpy as np

    kind, n = size
    marks = {} if kind == "dense" else _marks(n)
    if kind == "dense":
        with _volume(folder).open("wb") as file:
            file.write(header((n, n, n)))
            for z in range(n):
                file.write(_section(n, z).astype("<f4").data)
    else:
        write_sparse(_volume(folder), (n, n, n), marks)
    truth = np.array([[*voxel, value] for voxel, value in marks.items()], int).reshape(-1, 4)
    np.savez(folder / "truth.npz", marks=truth, dense=kind == "dense", n=n)


race.make = make


def _volume(folder: Path) -> Path:
    return folder / "volume.mrc"


def _marks(n: int) -> dict[tuple[int, ...], int]:
    import numpy as np

    random = np.random.default_rng(0)
    voxels = [(int(z), int(y), int(x)) for z, y, x in random.integers(0, n, (MARKS, 3))]
    voxels += [(n // 2, n // 3, n // 2), (0, 0, n // 2), (n // 2, n - 1, n - 1)]
    return {voxel: value for value, voxel in enumerate(voxels, 1)}


def _section(n: int, z: int):
    """Make a section of a dense volume anew, in whole numbers."""
    import numpy as np

    return np.random.default_rng((n, z)).integers(0, BELOW, (n, n), dtype=np.uint32)


class Truth:
    """What a volume was made from, in whole numbers; nothing is read from the MRC file."""

    def __init__(self, folder: Path) -> None:
        import numpy as np

        with np.load(folder / "truth.npz") as truth:
            self.marks, self.dense, self.n = truth["marks"], bool(truth["dense"]), int(truth["n"])

    def sections(self, first: int, stop: int):
        """Return sections as (z, y, x) in 64 bits."""
        import numpy as np

        if self.dense:
            return np.array([_section(self.n, z) for z in range(first, stop)], np.int64)
        sections = np.zeros((stop - first, self.n, self.n), np.int64)
        for z, y, x, value in self.marks.tolist():
            if first <= z < stop:
                sections[z - first, y, x] = value
        return sections

    def mean(self, z: int, b: int):
        """Return section z of the volume whose voxels are means of b × b × b."""
        m = self.n // b
        boxes = self.sections(z * b, z * b + b).reshape(b, m, b, m, b)
        return boxes.sum(axis=(0, 2, 4)) / b**3

    def statistics(self) -> tuple[float, ...]:
        """Return minimum, maximum, mean and standard deviation, from sums without rounding."""
        lows, highs, total, squares = [], [], 0, 0
        for z in range(self.n):
            section = self.sections(z, z + 1)
            lows.append(int(section.min()))
            highs.append(int(section.max()))
            total += int(section.sum())
            squares += int((section * section).sum())
        count = self.n**3
        variance = (count * squares - total**2) / count**2
        return float(min(lows)), float(max(highs)), total / count, variance**0.5


def _slice(data, task: str):
    """Copy a slice into memory."""
    import numpy as np

    nz, _, nx = data.shape
    return {
        OPEN: lambda: data,
        ACROSS: lambda: np.array(data[nz // 2]),
        ALONG: lambda: np.array(data[:, :, nx // 2]),
    }[task]()


def _check_slice(task: str):
    def check(folder: Path, result) -> None:
        import numpy as np

        truth = Truth(folder)
        n, middle = truth.n, truth.n // 2
        if task == OPEN:
            assert tuple(result.shape) == (n, n, n)
            return
        if task == ACROSS:
            expected = truth.sections(middle, middle + 1)[0]
        else:
            expected = np.array([truth.sections(z, z + 1)[0, :, middle] for z in range(n)])
        assert expected.any()
        np.testing.assert_array_equal(result, expected)

    return check


@race.check(STATISTICS)
def _(folder: Path, result) -> None:
    low, high, mean, std = map(float, result)
    expected = Truth(folder).statistics()
    assert (low, high) == expected[:2], f"range {low} to {high}"
    for name, found, wanted in zip(("mean", "std"), (mean, std), expected[2:], strict=True):
        # some contenders add in single precision
        assert abs(found - wanted) <= 1e-5 * wanted, f"{name} {found}, not {wanted}"


@race.check(BINNED)
def _(folder: Path, result) -> None:
    import numpy as np

    truth = Truth(folder)
    assert tuple(result.shape) == (truth.n // 4,) * 3
    for z, section in enumerate(result):
        np.testing.assert_array_equal(section, truth.mean(z, 4))


@race.check(TO_ZARR)
def _(folder: Path, result: Path) -> None:
    """Read all voxels of all levels back with zarr itself."""
    import numpy as np
    import zarr

    truth = Truth(folder)
    group = zarr.open_group(str(result), mode="r")
    stated = dict(group.attrs)
    stated = stated.get("ome", stated)
    paths = [level["path"] for level in stated["multiscales"][0]["datasets"]]
    assert len(paths) == 3, f"{len(paths)} levels"
    for level, path in enumerate(paths):
        array, m = group[path], truth.n >> level
        assert array.shape == (m, m, m), f"level {level} of shape {array.shape}"
        depth = array.chunks[0]
        for first in range(0, m, depth):
            for z, section in enumerate(np.asarray(array[first : first + depth]), first):
                np.testing.assert_array_equal(section, truth.mean(z, 1 << level))


def _enter(task: str) -> None:
    """Enter who opens files, for one of three tasks."""
    race.check(task)(_check_slice(task))

    @race.contender(task, "cryotypes", package="cryotypes", prepare=_volume)
    def _(path: Path):
        import cryotypes

        return _slice(cryotypes.read_image(path).data, task)

    @race.contender(task, "mrcfile.mmap", package="mrcfile", peer=True, prepare=_volume)
    def _(path: Path):
        import mrcfile

        with mrcfile.mmap(path, "r") as file:
            return _slice(file.data, task)

    @race.contender(task, "mrcfile.open", package="mrcfile", peer=True, prepare=_volume)
    def _(path: Path):
        import mrcfile

        with mrcfile.open(path, "r") as file:
            return _slice(file.data, task)

    @race.contender(
        task,
        "cryohub",
        package="cryohub",
        needs=("cryohub.reading.mrc",),
        peer=True,
        prepare=_volume,
    )
    def _(path: Path):
        data = _hub(path)
        return data if task == OPEN else _slice(data, task)


def _hub(path: Path):
    from cryohub.reading.mrc import read_mrc

    return read_mrc(path).data


def _memmap(path: Path):
    import numpy as np

    nx, ny, nz = (int(n) for n in np.fromfile(path, "<i4", 3))
    return np.memmap(path, "<f4", "r", HEADER, (nz, ny, nx))


for _task in (OPEN, ACROSS, ALONG):
    _enter(_task)


@race.contender(STATISTICS, "cryotypes", package="cryotypes", prepare=_volume)
def _(path: Path):
    import cryotypes.image

    found = cryotypes.image.statistics(cryotypes.read_image(path))
    return found.minimum, found.maximum, found.mean, found.std


@race.contender(STATISTICS, "mrcfile.mmap, numpy", package="mrcfile", peer=True, prepare=_volume)
def _(path: Path):
    import mrcfile

    with mrcfile.mmap(path, "r") as file:
        data = file.data
        return data.min(), data.max(), data.mean(), data.std()


@race.contender(
    STATISTICS, "mrcfile.mmap, numpy, float64", package="mrcfile", peer=True, prepare=_volume
)
def _(path: Path):
    import mrcfile
    import numpy as np

    with mrcfile.mmap(path, "r") as file:
        data = file.data
        return data.min(), data.max(), data.mean(dtype=np.float64), data.std(dtype=np.float64)


@race.contender(
    STATISTICS,
    "cryohub, dask",
    package="cryohub",
    needs=("cryohub.reading.mrc",),
    peer=True,
    prepare=_volume,
)
def _(path: Path):
    import dask

    data = _hub(path)
    return dask.compute(data.min(), data.max(), data.mean(), data.std())


@race.contender(BINNED, "cryotypes", package="cryotypes", prepare=_volume)
def _(path: Path):
    import cryotypes

    return cryotypes.bin_image(cryotypes.read_image(path), 4).data


@race.contender(BINNED, "np.memmap, reshape, mean", package="numpy", peer=True, prepare=_volume)
def _(path: Path):
    return _halved(_memmap(path), 4)


@race.contender(
    BINNED,
    "cryohub, dask coarsen",
    package="cryohub",
    needs=("cryohub.reading.mrc", "dask.array"),
    peer=True,
    prepare=_volume,
)
def _(path: Path):
    import dask.array as da
    import numpy as np

    return da.coarsen(np.mean, _hub(path), {0: 4, 1: 4, 2: 4}).compute()


@race.contender(
    BINNED,
    "skimage downscale_local_mean",
    package="scikit-image",
    needs=("skimage.transform",),
    peer=True,
    prepare=_volume,
)
def _(path: Path):
    from skimage.transform import downscale_local_mean

    return downscale_local_mean(_memmap(path), (4, 4, 4))


def _halved(volume, b: int):
    """Average boxes in numpy's short way; sizes must be multiples of b."""
    nz, ny, nx = (n // b for n in volume.shape)
    return volume.reshape(nz, b, ny, b, nx, b).mean(axis=(1, 3, 5))


def _source_and_place(folder: Path) -> tuple[Path, Path]:
    """Give a folder for what is written, and remove what other runs wrote, untimed."""
    place = folder / "written"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    return _volume(folder), place


def _target(place: Path) -> Path:
    """Name a directory that is not there: calls are repeated, and nobody shall replace."""
    return Path(tempfile.mkdtemp(dir=place)) / "volume.zarr"


@race.contender(
    TO_ZARR, "cryotypes", package="cryotypes", needs=("zarr",), prepare=_source_and_place
)
def _(given):
    import cryotypes

    source, place = given
    target = _target(place)
    cryotypes.convert(source, target, levels=3)
    return target


@race.contender(
    TO_ZARR,
    "ome-zarr, dask of a memmap",
    package="ome-zarr",
    needs=("ome_zarr.writer", "dask.array"),
    peer=True,
    prepare=_source_and_place,
)
def _(given):
    import dask.array as da
    from ome_zarr.format import FormatV04
    from ome_zarr.scale import Methods
    from ome_zarr.writer import write_image

    source, place = given
    target = _target(place)
    write_image(
        da.from_array(_memmap(source), chunks=CHUNK),
        str(target),
        axes=["z", "y", "x"],
        scale={"z": 2.0, "y": 2.0, "x": 2.0},
        scale_factors=[{"z": b, "y": b, "x": b} for b in (2, 4)],
        method=Methods.LOCAL_MEAN,
        fmt=FormatV04(),
    )
    return target


@race.contender(
    TO_ZARR,
    "zarr, numpy means",
    package="zarr",
    needs=("zarr",),
    peer=True,
    prepare=_source_and_place,
)
def _(given):
    import zarr

    source, place = given
    target = _target(place)
    volume = _memmap(source)
    group = zarr.open_group(str(target), mode="w", zarr_format=2)
    for level in range(3):
        chunks = tuple(min(n, CHUNK) for n in volume.shape)
        array = group.create_array(
            str(level), shape=volume.shape, dtype=volume.dtype, chunks=chunks
        )
        array[:] = volume
        volume = _halved(volume, 2)
    group.attrs["multiscales"] = [{"datasets": [{"path": str(level)} for level in range(3)]}]
    return target


if __name__ == "__main__":
    race.main()
