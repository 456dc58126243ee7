"""Kill writers at random moments: what was there is there, or what is new, and nothing between."""

from __future__ import annotations

import contextlib
import importlib
import os
import pickle
import random
import signal
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tests.formats.test_contract import READ, SAMPLES, WRITE

import cryotypes as ct
from cryotypes import Image, io
from cryotypes.errors import WriteError
from cryotypes.registry import known_formats
from cryotypes.testing import assert_same
from cryotypes.testing._subject import Subject, simpler_forms


@dataclass
class Kills:
    """How often it was killed, and what was there afterwards."""

    format: str
    found: Counter[str] = field(default_factory=Counter)
    leftovers: int = 0
    example: str = ""

    @property
    def bad(self) -> int:
        """Count the kills that left neither."""
        return sum(n for what, n in self.found.items() if what not in ("old", "new"))

    def line(self) -> str:
        """Say it."""
        found = ", ".join(f"{n} {what}" for what, n in sorted(self.found.items()))
        extra = f"; {self.leftovers} left a temporary file" if self.leftovers else ""
        return f"  {self.format}: {found}{extra}{': ' * bool(self.example)}{self.example}"


def writable() -> list[str]:
    """Name the formats that are written."""
    return [f.name for f in known_formats().values() if f.write is not None]


def kill(name: str, times: int, seed: int, seconds: float = 60.0) -> Kills:
    """Kill one format's writer so often, while it replaces what it wrote before."""
    kills, rng = Kills(name), random.Random(f"{seed} {name}")
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        new, file = _forked(directory, lambda: _both(name, directory))
        content = {"old": _content(directory / "old"), "new": _content(directory / "new")}
        again = pickle.dumps(new)
        took = min(_written(name, directory, again, file, content["old"])[1] for _ in range(2))
        end = time.monotonic() + seconds
        while kills.found.total() < times and time.monotonic() < end:
            after = rng.uniform(0, 1.2 * took)
            found, _ = _written(name, directory, again, file, content["old"], after)
            outcome = _outcome(name, found, content, directory, file)
            kills.found[outcome] += 1
            kills.leftovers += any(n not in content["old"] | content["new"] for n in found)
            if outcome not in ("old", "new") and not kills.example:
                kills.example = f"after {after * 1e3:.1f} of {took * 1e3:.1f} ms: {sorted(found)}"
    return kills


def _forked(directory: Path, function: Callable[[], Any]) -> Any:
    """Return what a function returns, in a process of its own: no thread may be alive here."""
    child = os.fork()
    if child == 0:
        with _ending():
            (directory / "result").write_bytes(pickle.dumps(function()))
    assert os.waitpid(child, 0)[1] == 0, "a forked process failed"
    return pickle.loads((directory / "result").read_bytes())


def _both(name: str, directory: Path) -> tuple[Any, str]:
    format = known_formats()[name]
    with warnings.catch_warnings():  # old packages deprecate others as they are imported
        warnings.simplefilter("ignore")
        for package in format.needs:
            importlib.import_module(package)
    subject = Subject(format, {}, WRITE.get(name, {}), directory / "try")
    if format.kind == "image":
        cases = [Image(np.full((32, 64, 64), n, "f4"), "TS_01", 2.5) for n in (1, 2)]
    else:
        subject.samples = SAMPLES[name]() if name in SAMPLES else None
        three = subject.cases()["many" if format.kind == "poses" else "three"]
        cases = [three, _changed(three)]
    both = []
    for case, place in zip(cases, ("old", "new"), strict=True):
        path = (
            directory
            / place
            / f"{'TS_01' if format.kind == 'image' else 'poses'}{format.suffixes[0]}"
        )
        path.parent.mkdir()
        for parts in simpler_forms(case):
            with contextlib.suppress(WriteError):
                subject.write(parts[0], path, "kills", overwrite=True)
                both.append(parts[0])
                break
    return both[1], path.name


def _changed(data: Any) -> Any:
    """Give other values, and fewer of them."""
    if not isinstance(data, list):
        changed = data.iloc[:2].assign(dx=9.5)
        changed.attrs = data.attrs
        return changed
    return [poses[: len(poses) // 2] for poses in data]


@contextlib.contextmanager
def _ending() -> Any:
    """End a forked child, whatever happens in it; it must not go on as its parent would."""
    code = 1
    signal.alarm(120)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
        code = 0
    except BaseException as error:
        os.write(2, f"{error!r}\n".encode())
    finally:
        os._exit(code)


def _written(
    name: str, directory: Path, data: bytes, file: str, old: dict[str, bytes],
    after: float | None = None,
) -> tuple[dict[str, bytes], float]:  # fmt: skip
    """Replace old files in a child, killed after so many seconds; return what is there."""
    work = directory / "work"
    _empty(work)
    for other, content in old.items():
        (work / other).parent.mkdir(parents=True, exist_ok=True)
        (work / other).write_bytes(content)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        with _ending():
            new = pickle.loads(data)
            os.write(writing, b".")
            ct.write(new, work / file, format=name, overwrite=True, **WRITE.get(name, {}))
    os.close(writing)
    os.read(reading, 1)
    start = time.monotonic()
    if after is not None:
        time.sleep(after)
        os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    took = time.monotonic() - start
    os.close(reading)
    assert after is not None or status == 0, f"{name} cannot be written by a forked process"
    return _content(work), took


def _outcome(
    name: str,
    found: dict[str, bytes],
    content: dict[str, dict[str, bytes]],
    directory: Path,
    file: str,
) -> str:
    """Compare bytes; where a writer's bytes are never the same twice, compare what is read."""
    for which, files in content.items():
        if all(found.get(name) == data for name, data in files.items()):
            return which
    if known_formats()[name].read is None:
        return "neither"
    return str(_forked(directory, lambda: _as_read(name, directory, file)))


def _as_read(name: str, directory: Path, file: str) -> str:
    def read(place: str) -> list[Any]:
        return io.read(directory / place / file, format=name, **READ.get(name, {}))

    try:
        again = read("work")
    except Exception as error:
        return f"unreadable ({type(error).__name__})"
    for which in ("old", "new"):
        with contextlib.suppress(AssertionError):
            for one, other in zip(again, read(which), strict=True):
                assert_same(one, other, ignore=["source"])
            return which
    return "mixed"


def _content(directory: Path) -> dict[str, bytes]:
    files = sorted(p for p in directory.rglob("*") if p.is_file())
    return {str(p.relative_to(directory)): p.read_bytes() for p in files}


def _empty(directory: Path) -> None:
    import shutil

    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
