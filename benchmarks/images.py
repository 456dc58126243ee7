"""A large MRC volume: open it, take one z slice, take one x slice; time and memory."""

from __future__ import annotations

from pathlib import Path

from _harness import Race

MARKS = 37  # voxels that are not zero: all others are holes in the file


def make(folder: Path, shape: tuple[int, int, int]) -> None:
    """Write a sparse file, so that it takes next to no disk."""
    import struct

    import numpy as np

    nz, ny, nx = shape
    header = bytearray(1024)
    struct.pack_into("<10i", header, 0, nx, ny, nz, 2, 0, 0, 0, nx, ny, nz)
    struct.pack_into("<6f", header, 40, nx * 2.0, ny * 2.0, nz * 2.0, 90, 90, 90)
    struct.pack_into("<3i", header, 64, 1, 2, 3)
    struct.pack_into("<i", header, 88, 1)  # a volume
    struct.pack_into("<i", header, 108, 20140)
    header[208:216] = b"MAP DD\0\0"
    random = np.random.default_rng(0)
    marks = [(int(z), int(y), int(x)) for z, y, x in random.integers(0, shape, (MARKS, 3))]
    marks += [(nz // 2, ny // 3, nx // 2), (0, 0, nx // 2), (nz // 2, ny - 1, nx - 1)]
    with (folder / "volume.mrc").open("wb") as file:
        file.write(header)
        file.truncate(1024 + 4 * nz * ny * nx)
        for value, (z, y, x) in enumerate(marks, 1):
            file.seek(1024 + 4 * ((z * ny + y) * nx + x))
            file.write(struct.pack("<f", value))
    np.savez(folder / "truth.npz", marks=np.array(marks), shape=shape)


race = Race(
    cases={"64MB": (256, 256, 256), "4GB": (1000, 1000, 1000)},
    tiny=(8, 8, 8),
    make=make,
)
OPEN, ACROSS, ALONG = "open", "open and one z slice", "open and one x slice"


def _volume(folder: Path) -> Path:
    return folder / "volume.mrc"


def _slice(data, task: str):
    """Copy a slice into memory."""
    import numpy as np

    nz, _, nx = data.shape
    return {
        OPEN: lambda: data,
        ACROSS: lambda: np.array(data[nz // 2]),
        ALONG: lambda: np.array(data[:, :, nx // 2]),
    }[task]()


def _check(task: str):
    def check(folder: Path, result) -> None:
        import numpy as np

        with np.load(folder / "truth.npz") as truth:
            marks, shape = truth["marks"], tuple(truth["shape"].tolist())
        if task == OPEN:
            assert tuple(result.shape) == shape
            return
        axis = 0 if task == ACROSS else 2
        expected = np.zeros([size for i, size in enumerate(shape) if i != axis])
        for value, mark in enumerate(marks.tolist(), 1):
            if mark[axis] == shape[axis] // 2:
                expected[tuple(m for i, m in enumerate(mark) if i != axis)] = value
        assert expected.any()
        np.testing.assert_array_equal(result, expected)

    return check


def _enter(task: str) -> None:
    race.check(task)(_check(task))

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
        from cryohub.reading.mrc import read_mrc

        data = read_mrc(path).data
        return data if task == OPEN else _slice(data, task)


for _task in (OPEN, ACROSS, ALONG):
    _enter(_task)

if __name__ == "__main__":
    race.main()
