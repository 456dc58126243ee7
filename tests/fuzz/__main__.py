"""``python -m tests.fuzz --minutes 30``: read mutated files of every format, kill every writer."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from .campaign import run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=None, help="by default, the day")
    parser.add_argument("--processes", type=int, default=max(1, len(os.sched_getaffinity(0))))
    parser.add_argument("--only", default="", help="of one format, or a part of a file's name")
    parser.add_argument("--keep", type=Path, default=Path("build/fuzz"), help="inputs that failed")
    options = parser.parse_args()
    seed = int(time.time() // 86400) if options.seed is None else options.seed
    print(f"seed {seed}")
    counts = run(
        options.minutes * 60, seed=seed, processes=options.processes, only=options.only,
        keep=options.keep,
    )  # fmt: skip
    print("\n".join(counts.lines()))
    return 1 if counts.faults else 0


if __name__ == "__main__":
    sys.exit(main())
