"""What is mutated: a small whole file of every format, with its companions."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path

import numpy as np
from tests.formats.images.test_dm_image import simple
from tests.formats.images.test_spider_image import by_hand, numbers
from tests.formats.test_contract import READ, WRITE
from tests.formats.test_rosetta import ENTRIES, HERE

from cryotypes.registry import known_formats
from cryotypes.testing._subject import Subject

from .material import Material

IMAGES = ("three", "stack of three", "uint8", "complex64", "larger than a chunk")
# A line a tilt, as the programs write them that this package only reads.
TEXTS = {
    "imod-tlt": ("TS_01.tlt", "-3.00\n0.00\n3.00\n"),
    "aretomo-tlt": ("TS_01_Imod.txt", "-3.0 1 2.5\n0.0 2 5.0\n3.0 3 7.5\n"),
    "mdoc": (
        "TS_01.mdoc",
        "PixelSpacing = 2.5\nVoltage = 300\nImageFile = TS_01.mrc\nImageSize = 400 300\n\n"
        "[T = SerialEM: Titan   06-Jun-23  23:19:47    ]\n\n"
        "[T =     Tilt axis angle = 85.3, binning = 1  spot = 5  camera = 1]\n\n"
        + "".join(
            f"[ZValue = {z}]\nTiltAngle = {3 * z - 3}\nStagePosition = 1.5 -2\nExposureDose = 2.5\n"
            f"PriorRecordDose = 5\nRotationAngle = 175.3\nSubFramePath = D:\\a\\TS_01_{z}.mrc\n"
            f"DateTime = 06-Jun-23  23:2{z}:47\n\n"
            for z in range(3)
        ),
    ),
}


def materials() -> list[Material]:
    """Make them all; the same ones each time."""
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as directory:
        warnings.simplefilter("ignore")
        found = [*_rosetta(), *_written(Path(directory)), *_only_read(Path(directory))]
    return sorted(found, key=lambda m: m.name)


def _content(directory: Path) -> dict[str, bytes]:
    files = sorted(p for p in directory.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    return {str(p.relative_to(directory)): p.read_bytes() for p in files if p.suffix != ".py"}


def _rosetta() -> list[Material]:
    every = _content(HERE)
    result = []
    for entry in ENTRIES:
        beside = str(Path(entry.file).parent)
        stem = str(Path(entry.file).with_suffix(""))
        files = {
            name: content
            for name, content in every.items()
            if (beside != "." and name.startswith(beside)) or name.startswith(f"{stem}.")
        }
        result.append(Material(entry.file, entry.format, entry.file, files, dict(entry.options)))
    return result


def _written(directory: Path) -> list[Material]:
    """What the writers make of the zoo; packed, too, where the format is."""
    proved = {entry.format for entry in ENTRIES}
    result = []
    for name, format in known_formats().items():
        if format.write is None or format.read is None or name in proved:
            continue
        subject = Subject(format, READ.get(name, {}), WRITE.get(name, {}), directory)
        cases = [case for case in IMAGES if format.kind == "image"] or ["three"]
        for case in cases:
            _, path = subject.example(case)
            main = path.name
            title = f"{name}, {case}" if format.kind == "image" else name
            options = dict(READ.get(name, {}))
            result.append(Material(title, name, main, _content(path.parent), options))
        if ".gz" in format.compression:
            packed = subject.new_path(f"TS_01{format.suffixes[0]}.gz")
            subject.write(subject.example()[0], packed, "packed")
            options = dict(READ.get(name, {}))
            result.append(
                Material(f"{name}, gz", name, packed.name, _content(packed.parent), options)
            )
    return result


def _only_read(directory: Path) -> list[Material]:
    import h5py

    with h5py.File(directory / "a.h5", "w") as file:
        data = np.arange(60, dtype="f4").reshape(3, 4, 5)
        file.create_dataset("data", data=data, chunks=(1, 4, 5), compression="gzip")
        file["data"].attrs["pixel_size"] = 2.5
    image = np.arange(60, dtype="uint16").reshape(3, 4, 5)
    texts = [Material(n, n, f, {f: text.encode()}) for n, (f, text) in TEXTS.items()]
    return [
        *texts,
        *(
            Material(
                f"spider, {kind}",
                "spider",
                "TS_01.spi",
                {"TS_01.spi": by_hand(numbers((3, 4, 5)), kind)},
            )
            for kind in ("volume", "stack")
        ),
        Material("dm, 4", "dm", "TS_01.dm4", {"TS_01.dm4": simple(image, version=4)}),
        Material("dm, 3", "dm", "TS_01.dm3", {"TS_01.dm3": simple(image, version=3)}),
        Material("hdf5", "hdf5", "a.h5", {"a.h5": (directory / "a.h5").read_bytes()}),
    ]
