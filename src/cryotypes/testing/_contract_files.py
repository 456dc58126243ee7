"""What a format does to files: overwritten, interrupted, damaged, foreign."""

from __future__ import annotations

import atexit
import bz2
import contextlib
import gzip
import itertools
import logging
import os
import re
import shutil
import tempfile
import time
from copy import copy
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from unittest import mock

import numpy as np

from cryotypes import io
from cryotypes.errors import CryotypesError, ReadError
from cryotypes.formats.shared.declaration import Head
from cryotypes.poseset import select
from cryotypes.registry import known_formats

from ._compare import assert_same

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ._subject import Subject

_CUTS, _CHANGES = 200, 80  # places where a file is cut, and where a byte is changed
_IMAGE_PLACES = (1300, 700)  # of images: all of a small file
_SLOW = 30.0  # seconds; a small file that takes longer hangs
_MUCH = 1 << 28  # bytes; a small file that takes more is believed, whatever size it claims
_STATUS, _PEAK = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_BEFORE = {
    "poses": "the particles before the cut",
    "image": "the same image",
    "projection_model": "the tilts before the cut",
}

# What other formats ask for when their files are written to be refused.
_USUAL = {
    "box_size": 64,
    "micrograph_shape": (1001, 1000),
    "pixel_spacing": 2.5,
    "tomogram_dimensions": (1000, 1001, 301),
    "tomogram_spacing": 2.5,
}

# Beginnings that no particle format may take for its own, by a path that may mislead.
_FOREIGN = {
    "empty": b"",
    "noise": np.random.default_rng(0).bytes(4096),
    "zeros": bytes(4096),
    "text": b"Dear reader,\nthis is no data at all.\n",
    "JSON": b'{"name": "cryotypes", "values": [1, 2, 3]}\n',
    "JSON list": b"[]\n",
    "XML": b"<?xml version='1.0'?>\n<html><body/></html>\n",
    "CSV": b"name,age,city\nA,3,B\n",
    "STAR": b"data_model\n\n_rlnReferenceDimensionality 2\n",
    "numpy": b"\x93NUMPY\x01\x00v\x00{'descr': '<f8', 'fortran_order': False, 'shape': (3,), }\n",
    "zip": b"PK\x03\x04" + bytes(60),
    "HDF5": b"\x89HDF\r\n\x1a\n" + bytes(60),
    "TIFF": b"II*\x00" + bytes(60),
    "not UTF-8": b'data_\xff\xfe\n\xc3\x28 {"\xa0\xa1',
}


_HEADS: dict[str, tuple[Any, dict[str, Head]]] = {}


def check_foreign_heads(subject: Subject) -> None:
    """See that the sniffer refuses what is not its own, and files of the other formats."""
    sniff = subject.format.sniff
    if sniff is None:
        return
    # a table without rows may be but a line end, and then only its suffix tells
    heads = {"a line end": Head(Path("x.dat"), b"\n")}
    for name, data in _FOREIGN.items():
        for suffix in (*subject.format.suffixes, ".dat", ""):
            heads[f"{name} called x{suffix}"] = Head(Path(f"x{suffix}"), data)
    for other in known_formats().values():
        if other is not subject.format and other.write is not None:
            heads.update(_heads_of(other))
    for name, head in heads.items():
        try:
            found = sniff(head)
        except Exception as error:
            subject.fail("sniff", f"expected True or False for {name}, found {error!r}")
        subject.require(not found, "sniff", f"expected False for {name}")


def _heads_of(other: Any) -> dict[str, Head]:
    """Write a file of another format, if it can be done without knowing it; once a process."""
    from ._subject import Subject as Another

    known, heads = _HEADS.get(other.name, (None, {}))
    if known is other:
        return heads
    options = {name: _USUAL[name] for name in io.options_of(other.write) if name in _USUAL}
    directory = Path(tempfile.mkdtemp())  # the files stay: a sniffer may look beside them
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    try:
        _, path = Another(other, {}, options, directory).example()
        heads = {f"a file of {other.name}": Head.of(path)}
    except (AssertionError, CryotypesError, OSError):
        heads = {}
    _HEADS[other.name] = other, heads
    return heads


def check_paths(subject: Subject) -> None:
    """Read by str and Path, odd names, upper-case suffixes and compressed."""
    data, path = subject.example()
    expected = subject.read_well(path, "paths")
    suffix = subject.format.suffixes[0]
    for name in (f"größer als 空 1{suffix}", f"POSES{suffix.upper()}"):
        odd = subject.new_path().parent / "Ordner α β" / name
        odd.parent.mkdir()
        subject.write(data, str(odd), name)
        _same_but_for_name(subject, name, subject.read_well(str(odd), name), expected)
        subject.sniffs(odd, name)
    magic = {".gz": (b"\x1f\x8b", gzip.decompress), ".bz2": (b"BZh", bz2.decompress)}
    for compression in subject.format.compression:
        packed = subject.new_path(f"poses{suffix}{compression}")
        subject.write(data, packed, compression)
        begin, decompress = magic[compression]
        content = packed.read_bytes()
        subject.require(content.startswith(begin), compression, f"{packed.name} is not compressed")
        subject.require(decompress(content), compression, f"{packed.name} is empty")
        again = subject.read_well(packed, compression)
        _same_but_for_name(subject, compression, again, expected)
        subject.sniffs(packed, compression)


def _same_but_for_name(subject: Subject, case: str, again: Any, expected: Any) -> None:
    sizes = ("tomogram_dimensions", "tilt_image_dimensions")  # are stated by experiment
    named = "experiment_id" in subject.format.keeps
    try:
        assert_same(again, expected, ignore=() if named else ("experiment_id", *sizes))
    except AssertionError as error:
        subject.fail(case, f"the path changes what is read: {error}")


def _content(directory: Path) -> dict[str, bytes]:
    """All files, hidden ones, too."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def check_overwriting(subject: Subject) -> None:
    """Refuse to overwrite a file or one of its companions; do it when told to."""
    case = "overwriting"
    data, path = subject.example()
    new = _content(path.parent)
    for name in new:
        target = subject.new_path(path.name)
        mine = _put_old(target, {name: new[name]} if path.is_file() else new)
        taken = target.parent / name
        try:
            subject.write(data, target, case)
        except FileExistsError:
            pass
        else:
            subject.fail(case, f"expected FileExistsError for {name}, found it written")
        found = _content(target.parent)
        subject.require(found == mine, case, f"refused, but changed {', '.join(found) or name}")
        subject.write(data, target, case, overwrite=True)
        left = taken.read_bytes() == mine[name]
        subject.require(not left, case, f"overwrite=True left the old {name}")


def _put_old(path: Path, new: dict[str, bytes]) -> dict[str, bytes]:
    """Make files that differ from new ones; a folder of them is one that can be replaced."""
    folder = any(Path(name).parts[0] == path.name != name for name in new)
    old = {name: content + b"\n" if folder else b"old" for name, content in new.items()}
    for name, content in old.items():
        (path.parent / name).parent.mkdir(parents=True, exist_ok=True)
        (path.parent / name).write_bytes(content)
    return old


class _Interruption(BaseException):
    """Comes as KeyboardInterrupt does."""


def check_interruption(subject: Subject) -> None:
    """Stop at each renaming: the files are all old or all new ones, and no other is there."""
    case = "interrupted"
    data, path = subject.example()
    new = _content(path.parent)
    least = 0 if path.is_dir() else 1  # a folder is not renamed, but exchanged
    for count in itertools.count():
        target = subject.new_path(path.name)
        old = _put_old(target, new)
        try:
            with _stopping_after(count):
                subject.write(data, target, case, overwrite=True)
        except _Interruption:
            pass
        else:
            aside = count >= least
            subject.require(aside, case, f"{path.name} is written in place, not aside and renamed")
            return
        found = _content(target.parent)
        extra = sorted(set(found) - set(new))
        subject.require(not extra, case, f"expected no temporary file, found {', '.join(extra)}")
        for name in new:
            subject.require(name in found, case, f"the old {name} is gone")
        changed = [name for name in new if found[name] != old[name]]
        subject.require(
            len(changed) in (0, len(new)), case, f"expected the old {path.name}, found another"
        )


def _stopping_after(count: int) -> Any:
    calls = iter(range(1 << 30))
    rename = os.replace

    def replace(source: Any, target: Any, **options: Any) -> None:
        if next(calls) == count:
            raise _Interruption
        rename(source, target, **options)

    return mock.patch.multiple("os", replace=replace, rename=replace)


def check_damage(subject: Subject, path: Path) -> None:
    """Cut a small file anywhere, and change any byte; it may be destroyed.

    What cannot be read is named, and sniffing it raises nothing. Of a directory this is done to
    every file in it.
    """
    whole = subject.read_well(path, "damage")
    if subject.format.kind == "image":
        whole = _in_memory(whole)
    usual = subject.guesses
    files = [path] if path.is_file() else sorted(f for f in path.rglob("*") if f.is_file())
    with _silent_libraries():
        for file in files:
            place = "" if file == path else f"{file.relative_to(path)} "
            _damage(subject, path, file, place, len(files), whole, usual)


def _damage(
    subject: Subject, path: Path, file: Path, place: str, files: int, whole: Any, usual: Any
) -> None:
    """Damage one of so many files; what the whole makes the reader guess is no excuse."""
    content = file.read_bytes()
    cuts, changes = _IMAGE_PLACES if subject.format.kind == "image" else (_CUTS, _CHANGES)
    with file.open("r+b", buffering=0) as handle:  # to write the whole file each time takes long
        for length in reversed(_some(len(content), -(-cuts // files))):
            handle.truncate(length)
            case = f"{place}cut after {length} of {len(content)} bytes"
            result = _read(subject, path, case)
            if result is None or subject.guesses - usual:
                continue
            problem = _not_a_beginning(subject, result, whole)
            expected = f"a ReadError, a GuessWarning, or {_BEFORE[subject.format.kind]}"
            subject.require(not problem, case, f"expected {expected}; {problem}")
        _put(handle, 0, content)
        for position in _some(len(content), -(-changes // files)):
            old = content[position]
            values = (0, old ^ 1, ord("-"), 255, ord("7"), ord(" "))
            for new in (values[position % 3], values[position % 3 + 3]):
                _put(handle, position, bytes([new]))
                _read(subject, path, f"{place}byte {position} changed from {old} to {new}")
            _put(handle, position, bytes([old]))


def _put(file: IO[bytes], position: int, content: bytes) -> None:
    file.seek(position)
    file.write(content)


@contextlib.contextmanager
def _silent_libraries() -> Iterator[None]:
    """Let nobody log what is wrong with the files: it is known, and very much."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def _in_memory(image: Any) -> Any:
    """Copy the data out of the file, which is about to change."""
    result = copy(image)
    result.data = np.array(image.data)
    return result


def _some(size: int, count: int) -> list[int]:
    """All places, or evenly spread ones if there are too many; the last are there in any case."""
    if size <= count:
        return list(range(size))
    spread = np.linspace(0, size - 1, count * 3 // 4).astype(int).tolist()
    return sorted({*spread, *range(size - count // 4, size)})


def _read(subject: Subject, path: Path, case: str) -> Any:
    with contextlib.suppress(OSError):
        _PEAK.write_text("5")  # begin anew
    start, before = time.monotonic(), _most_memory()
    subject.asks_sniffer(path, case)
    try:
        return subject.read(path, case)
    except OSError:
        return None
    except ReadError as error:
        # the file, or a companion beside it; what a library says of a directory is its own
        named = path.is_dir() or str(path.parent) in str(error)
        subject.require(named, case, f"expected an error that names {path}, found {error}")
        return None
    finally:
        took = time.monotonic() - start
        subject.require(took < _SLOW, case, f"reading took {took:.0f} s")
        much = _most_memory() - before
        subject.require(much < _MUCH, case, f"reading took {much / 2**20:.0f} MiB of memory")


def _most_memory() -> int:
    """Bytes that this process has held at most; 0 where the system is not Linux."""
    try:
        found = re.search(r"VmHWM:\s*(\d+) kB", _STATUS.read_text())
    except OSError:
        return 0
    return 1024 * int(found[1]) if found else 0


def _not_a_beginning(subject: Subject, result: Any, whole: Any) -> str | None:
    """Say why a result is not what stands before the cut; None if it is."""
    if subject.format.kind == "projection_model":
        return None  # where a table of tilts ends, its columns may, too
    if subject.format.kind == "image":
        first, second = [result], [whole]
    else:
        first = [poses for poses in result if len(poses.position)]
        counts = [len(poses.position) for poses in first]
        if len(first) > len(whole):
            return f"found {len(first)} experiments of {len(whole)}"
        second = [select(poses, slice(count)) for poses, count in zip(whole, counts, strict=False)]
    try:
        assert_same(first, second)
    except AssertionError as error:
        return f"found {error}"
    return None
