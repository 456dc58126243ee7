"""``python -m tests.fuzz --minutes 30``: read mutated files of every format, kill every writer."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from . import kills
from .campaign import run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=None, help="by default, the day")
    parser.add_argument("--processes", type=int, default=max(1, len(os.sched_getaffinity(0))))
    parser.add_argument("--only", default="", help="of one format, or a part of a file's name")
    parser.add_argument("--keep", type=Path, default=Path("build/fuzz"), help="inputs that failed")
    parser.add_argument("--kills", type=int, default=5, help="of each format's writer")
    options = parser.parse_args()
    seed = int(time.time() // 86400) if options.seed is None else options.seed
    print(f"seed {seed}")
    ended = _kill(options.kills, seed, options.only)  # forks, so before there is any thread
    if not options.minutes:
        return ended
    counts = run(
        options.minutes * 60,
        seed=seed,
        processes=options.processes,
        only=options.only,
        keep=options.keep,
    )
    print("\n".join(counts.lines()))
    return 1 if counts.faults else ended


def _kill(times: int, seed: int, only: str) -> int:
    if not times:
        return 0
    names = [name for name in kills.writable() if only in name]
    found = []
    for name in names:
        found.append(kills.kill(name, times, seed))
        print(found[-1].line(), flush=True)
    bad = sum(f.bad for f in found)
    total, left = sum(f.found.total() for f in found), sum(f.leftovers for f in found)
    print(f"{total} kills of {len(names)} writers; {left} left temporary files; faults: {bad}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
