"""Children that read, restarted when one dies or is late."""

from __future__ import annotations

import contextlib
import json
import math
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
LATE = 10.0  # seconds of the processor for one small input
SLEEPS = 60.0  # seconds of the clock: what waits for something never ends
QUIET = {
    **dict.fromkeys(("POLARS_MAX_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"),
    "MALLOC_ARENA_MAX": "2",
    "PYTHONHASHSEED": "0",
}


def environment() -> dict[str, str]:
    """Return what a child needs to find these modules and the package, and to be quiet."""
    path = [p for p in sys.path if p and (Path(p) / "cryotypes").is_dir()]
    return {**os.environ, **QUIET, "PYTHONPATH": os.pathsep.join([*path, str(ROOT)])}


class Child:
    """One process, and what it is at; ``ask`` and ``answer`` are apart so that several work."""

    def __init__(self, materials: Path) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="fuzz-"))
        command = [sys.executable, "-m", "tests.fuzz.child", str(materials), str(self.directory)]
        with (self.directory / "stderr").open("w") as stderr:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr,
                cwd=ROOT, env=environment(), text=True,
            )  # fmt: skip
        self.question: dict[str, Any] | None = {}  # it says when it is ready
        self.begun, self.used = time.monotonic(), 0.0

    def ask(self, question: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.question, self.begun, self.used = question, time.monotonic(), self.processor()
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()

    def answer(self) -> dict[str, Any] | None:
        """Return the verdict; None if there is none: the child is dead."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        return json.loads(line) if line else None

    def processor(self) -> float:
        """Return the seconds that the processor has worked for it."""
        try:
            words = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return 0.0
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def late(self) -> bool:
        """Whether it works or waits for longer than any small input may take."""
        working = self.processor() - self.used > LATE
        return bool(self.question) and (working or time.monotonic() - self.begun > SLEEPS)

    def where(self) -> str:
        """Ask it which lines it is at."""
        self.process.send_signal(signal.SIGUSR1)
        time.sleep(0.3)
        try:
            lines = (self.directory / "trace").read_text().splitlines()
        except OSError:
            return ""
        ours = [line.strip() for line in lines if "/cryotypes/" in line]
        return ours[0].rpartition("/")[2].replace('"', "") if ours else ""

    def close(self) -> int:
        """End it; return how it ended."""
        self.process.kill()
        code = self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):  # what it was not told
                    pipe.close()
        shutil.rmtree(self.directory, ignore_errors=True)
        return code


def answers(
    questions: Iterator[dict[str, Any]], materials: Path, processes: int, seconds: float
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield each question with its answer, in any order; none is asked when the time is over.

    It begins when a child is ready.
    """
    until = math.inf
    children = [Child(materials) for _ in range(processes)]
    try:
        while children:
            pipes = {child.process.stdout: child for child in children}
            ready = select.select(list(pipes), [], [], 0.5)[0]
            for child in [pipes[pipe] for pipe in ready] or [c for c in children if c.late()]:
                question = child.question
                found = _late(child) if not ready else child.answer() or _dead(child)
                if "fault" in found and (found["fault"] or {}).get("kind") in ("dies", "late"):
                    children[children.index(child)] = child = Child(materials)
                    assert question, f"a child cannot begin: {found}"
                else:
                    child.question = None
                if question:
                    yield question, found
                if child.question is None:
                    until = min(until, time.monotonic() + seconds)
                    following = next(questions, None) if time.monotonic() < until else None
                    if following is None:
                        child.close()
                        children.remove(child)
                    else:
                        child.ask(following)
    finally:
        for child in children:
            child.close()


def one(child: Child, question: dict[str, Any]) -> dict[str, Any]:
    """Ask a child of one's own and wait."""
    if child.question is not None:
        child.answer()
    child.ask(question)
    while not select.select([child.process.stdout], [], [], 0.1)[0]:
        if child.late():
            return _late(child)
    found = child.answer()
    child.question = None
    return _dead(child) if found is None else found


def _late(child: Child) -> dict[str, Any]:
    where = child.where()
    child.close()
    return _fault("late", where)


def _dead(child: Child) -> dict[str, Any]:
    code = child.process.wait()
    try:
        said = (child.directory / "stderr").read_text()[-800:]
    except OSError:
        said = ""
    child.close()
    how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    return {**_fault("dies", how), "message": said}


def _fault(kind: str, where: str) -> dict[str, Any]:
    return {"verdict": "none", "message": "", "took": 0, "fault": {"kind": kind, "where": where}}
