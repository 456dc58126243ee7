"""A volume larger than memory, step by step: is each result right, and is memory bounded?

The MRC file is sparse: a small part is dense, some voxels are set, the rest are holes that take
no disk. Each step is a process of its own. It runs once on a tiny volume, which pays for imports,
and then on the large one; another process watches its memory meanwhile. The result is checked
afterwards, against what the file was made from. The exit status is 1 if a result is wrong or a
step takes too much memory.

Pages of a memory-mapped file count as memory of a process, but the system takes them back when it
needs them. What it cannot take back is anonymous memory; that is what the limit is on.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib.util
import json
import math
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from _large_volume import STEPS, Volume, shape_of

LIMIT = 300.0  # MB of anonymous memory that a step may take above the imports
TIMES_MEMORY = 1.25  # size of the volume, if not stated
TINY = (9, 11, 13)
INTERVAL = 0.002  # seconds between two looks at the memory


def main(argv: list[str] | None = None) -> None:
    # the other scripts here must not stand in for packages of the same name
    sys.path[:] = [p for p in sys.path if Path(p or ".").resolve() != Path(__file__).parent]
    options = _options(argv)
    if options.step:
        _in_child(options.step, options.folder)
        return
    missing = [p for p in ("cryotypes", "zarr") if importlib.util.find_spec(p) is None]
    if missing:
        sys.exit(f"{', '.join(missing)} is missing; this needs pip install 'cryotypes[all]'")
    memory = _memory()
    if options.size is None and not memory:
        sys.exit("how much memory there is, is not known here; state a size with --size")
    size = memory * TIMES_MEMORY if options.size is None else options.size * 1e9
    names = [n for n in STEPS if not options.only or any(text in n for text in options.only)]
    if not names:
        sys.exit(f"no step is called so; there are {', '.join(STEPS)}")
    if options.folder is not None:
        options.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="larger-", dir=options.folder) as name:
        folder = Path(name)
        if size > memory / 10 and _in_memory(folder):
            sys.exit(f"{folder.parent} is kept in memory; choose a folder on a disk with --folder")
        volume = _make(folder, size)
        _say(f"{volume.path}: {' × '.join(map(str, volume.shape))} (zyx), {size / 1e9:.3g} GB")
        if _disk(volume.path) > size / 10 + 4 * math.prod(volume.dense) + 1e6:
            sys.exit(f"files in {folder.parent} have no holes; choose another --folder")
        found = {}
        for number, step in enumerate(names, 1):
            _say(f"{number}/{len(names)} {step} …")
            found[step] = _run(step, folder)
            _say(f"    {found[step].get('problem', 'right')}")
    sys.exit(1 if _report(volume, memory, found, options.limit) else 0)


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("--size", type=float, metavar="GB", help=f"of the volume; else {TIMES_MEMORY} × memory")
    add("--folder", type=Path, help="where the data are made (and removed); else temporary")
    text = f"of anonymous memory a step, above the imports; else {LIMIT:g}"
    add("--limit", type=float, default=LIMIT, metavar="MB", help=text)
    add("--only", nargs="+", default=[], metavar="TEXT", help="steps with this in their names")
    add("--step", choices=list(STEPS), help=argparse.SUPPRESS)  # a child
    return parser.parse_args(argv)


def _make(folder: Path, size: float) -> Volume:
    volume = Volume(folder, shape_of(size))
    tiny = Volume(folder / "tiny", TINY)
    tiny.folder.mkdir()
    for one in (tiny, volume):
        one.write()
    (folder / "shape.json").write_text(json.dumps(volume.shape))
    return volume


def _memory() -> float:
    """Bytes of memory of this machine, or 0 where the system does not say."""
    with contextlib.suppress(OSError):
        return _status(Path("/proc/meminfo")).get("MemTotal", 0)
    return 0


def _status(path: Path) -> dict[str, float]:
    """Read lines such as ``VmHWM: 1234 kB`` as bytes."""
    lines = [line.split() for line in path.read_text().splitlines()]
    return {w[0].rstrip(":"): float(w[1]) * 1024 for w in lines if len(w) == 3 and w[2] == "kB"}


def _in_memory(folder: Path) -> bool:
    """Tell whether a folder is of a kind whose files, and whose read holes, fill memory."""
    place = next(p for p in (folder, *folder.resolve().parents) if p.is_mount())
    with contextlib.suppress(OSError):
        mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
        kinds = [kind for _, where, kind, *_ in mounts if where == str(place)]
        return bool(kinds) and kinds[-1] in ("tmpfs", "ramfs")
    return False


def _disk(path: Path) -> int:
    return getattr(path.stat(), "st_blocks", 0) * 512


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _in_child(step: str, folder: Path) -> None:
    """Run a step; tell the parent when it begins and ends, and if it is wrong."""
    volume = Volume(folder, tuple(json.loads((folder / "shape.json").read_text())))
    run, check = STEPS[step]
    lines = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is not for the parent

    def tell(**facts: Any) -> None:
        print(json.dumps(facts), file=lines, flush=True)

    run(Volume(folder / "tiny", TINY))
    gc.collect()
    own = Path("/proc/self")
    with contextlib.suppress(OSError):
        (own / "clear_refs").write_text("5")  # begin a new peak
    before = _status(own / "status") if own.exists() else {}
    tell(anonymous=before.get("RssAnon"))
    start = time.perf_counter()
    result = run(volume)
    seconds = time.perf_counter() - start
    after = _status(own / "status") if own.exists() else {}
    peak = after["VmHWM"] - before["VmRSS"] if after else None
    tell(seconds=seconds, peak=peak, anonymous=after.get("RssAnon"))
    try:
        check(volume, result)
    except AssertionError as error:
        tell(problem=f"wrong result: {str(error).splitlines()[0]}")
    tell(checked=True)


def _run(step: str, folder: Path) -> dict[str, Any]:
    """Run a step in a child, and look at its memory from its beginning to its end."""
    script = str(Path(sys.argv[0]).resolve())
    command = [sys.executable, script, "--step", step, "--folder", str(folder)]
    with tempfile.TemporaryFile("w+") as errors:
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
        assert child.stdout is not None
        watch = _Watch(child.pid)
        facts: list[dict[str, Any]] = []
        for line in child.stdout:
            facts.append(json.loads(line))
            if len(facts) == 1:
                watch.start()
            else:
                watch.ended.set()
        watch.ended.set()
        status = child.wait()
        errors.seek(0)
        last = (errors.read().strip().splitlines() or ["no message"])[-1]
    found = {key: value for one in facts[1:] for key, value in one.items()}
    if facts and facts[0]["anonymous"] is not None:
        watch.join()
        highest = max(watch.highest, found.get("anonymous") or 0)
        found["anonymous"] = max(0, highest - facts[0]["anonymous"])
    if not found.get("checked"):
        found["problem"] = f"died ({status}): {last[:200]}"
    return found


class _Watch(threading.Thread):
    """Looks at the anonymous memory of a process, which is not slowed down by it."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.path, self.highest, self.ended = Path(f"/proc/{pid}/status"), 0.0, threading.Event()

    def run(self) -> None:
        while not self.ended.wait(INTERVAL):
            try:
                self.highest = max(self.highest, _status(self.path).get("RssAnon", 0))
            except OSError:  # it has ended, or this is not Linux
                return


def _report(volume: Volume, memory: float, found: dict[str, Any], limit: float) -> bool:
    """Print the table; tell whether something is wrong."""
    times = f", {4 * volume.size / memory:.3g} × memory" if memory else ""
    print(f"\n{4 * volume.size / 1e9:.3g} GB{times}; memory is above that of the imports\n")
    print("| step | seconds | peak memory | of which anonymous |")
    print("|---|---|---|---|")
    problems = []
    for step, facts in found.items():
        seconds = f"{facts['seconds']:.3g}" if "seconds" in facts else "–"
        sizes = [_megabytes(facts.get(name)) for name in ("peak", "anonymous")]
        label = f"binned by {volume.factor}" if step == "binned by 8" else step
        print(f"| {label} | {seconds} | {sizes[0]} | {sizes[1]} |")
        if "problem" in facts:
            problems.append(f"{label}: {facts['problem']}")
        if (facts.get("anonymous") or 0) > limit * 1e6:
            problems.append(
                f"{label}: {sizes[1]} of anonymous memory, more than the limit of {limit:g} MB"
            )
    unknown = any(facts.get("anonymous") is None for facts in found.values())
    bound = "memory is not known here" if unknown else f"no step exceeds {limit:g} MB"
    print("\n" + "\n".join(problems or [f"all results are right, {bound}"]))
    return bool(problems)


def _megabytes(size: float | None) -> str:
    return "–" if size is None else f"{size / 1e6:.0f} MB"


if __name__ == "__main__":
    main()
