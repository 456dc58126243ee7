"""Races between contenders: each run is a child process of its own, round by round in turn.

A script declares a `Race`: its cases, how the data of a case are made, and for every task a check
of results and the contenders, ours first. Standard library only, because contenders may run with
another Python that has other packages.

    race = Race(cases={"10k": 10_000}, tiny=10, make=make)

    @race.check("read")
    def _(folder, result): ...            # raises if the result is wrong

    @race.contender("read", "cryotypes")
    def _(folder): ...                    # the call that is timed

    if __name__ == "__main__":
        race.main()

First each contender's result is checked, in an untimed run that warms up the machine too; a
contender whose result is wrong, or that cannot be imported, is named and left out. A timed run
imports, makes one call on tiny data (which pays for lazy imports and thread pools), prepares its
input, and then times the call; calls shorter than half a second are repeated and their median is
taken.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib
import importlib.metadata
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Results = dict[str, list[dict[str, Any]]]  # by contender, one a round
LIMIT = 900  # seconds, for one run
# what a measured process says of its peak; elsewhere than on Linux nothing
PEAK = "\nimport sys\nif sys.platform == 'linux': print(open('/proc/self/status').read())\n"


class MissingError(Exception):
    """Raised by a contender that cannot run here."""


@dataclass
class Contender:
    task: str
    name: str
    run: Callable[[Any], Any] | None = None
    package: str | None = None  # the distribution, whose version is shown
    needs: tuple[str, ...] = ()  # modules imported before the clock starts
    peer: bool = False  # runs with the Python of --peers
    prepare: Callable[[Path], Any] | None = None  # untimed; its result is the input
    code: str | None = None  # a whole process instead of a call

    @property
    def key(self) -> str:
        return f"{self.task}/{self.name}"


@dataclass
class Race:
    """One script: ``make(folder, size)`` makes the data of a case, tiny or not."""

    cases: dict[str, Any]
    tiny: Any
    make: Callable[[Path, Any], None] | None = None
    contenders: dict[str, Contender] = field(default_factory=dict)
    checks: dict[str, Callable[[Path, Any], None]] = field(default_factory=dict)

    def contender(
        self,
        task: str,
        name: str,
        *,
        package: str | None = None,
        needs: tuple[str, ...] = (),
        peer: bool = False,
        prepare: Callable[[Path], Any] | None = None,
    ) -> Callable[[Any], Any]:
        """Enter a function. It gets the case's folder, or what ``prepare(folder)`` returns."""

        def enter(run: Any) -> Any:
            entry = Contender(task, name, run, package, needs, peer, prepare)
            self.contenders[entry.key] = entry
            return run

        return enter

    def process(
        self, task: str, name: str, code: str, package: str | None = None, peer: bool = False
    ) -> None:
        """Enter a whole process that runs some code."""
        entry = Contender(task, name, package=package, peer=peer, code=code)
        self.contenders[entry.key] = entry

    def check(self, task: str) -> Callable[[Any], Any]:
        """Say how results of a task are checked: ``check(folder, result)`` raises."""

        def enter(check: Any) -> Any:
            self.checks[task] = check
            return check

        return enter

    def main(self) -> None:
        # the other scripts here must not stand in for packages of the same name
        sys.path[:] = [p for p in sys.path if Path(p or ".").resolve() != Path(__file__).parent]
        if len(sys.argv) > 2 and sys.argv[1] in ("--child", "--make"):
            _in_child(self, *sys.argv[1:])
            return
        options = _options(self)
        with tempfile.TemporaryDirectory(prefix="benchmark-", dir=options.folder) as folder:
            failed = _Runner(self, options, Path(folder)).run()
        sys.exit(1 if failed else 0)


def _options(race: Race) -> argparse.Namespace:
    script = sys.modules["__main__"]
    parser = argparse.ArgumentParser(
        description=(script.__doc__ or "A race.").strip().splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    names = list(race.cases)
    tasks = list(dict.fromkeys(c.task for c in race.contenders.values()))
    add = parser.add_argument
    add("--cases", nargs="+", choices=names, default=names[:1], metavar="CASE", help=str(names))
    add("--tasks", nargs="+", choices=tasks, default=tasks, metavar="TASK", help="of the tasks")
    add("--check", action="store_true", help="only check, all in one process; time nothing")
    add("--rounds", type=int, default=5, help="timed runs of each contender, after the check")
    add("--cap", type=float, default=120, help="seconds after which a contender is not repeated")
    add("--peers", default=sys.executable, metavar="PYTHON", help="a Python that has the peers")
    add("--only", nargs="+", default=[], metavar="TEXT", help="contenders with this in their names")
    add("--folder", type=Path, help="where the data are made (and removed); else temporary")
    options = parser.parse_args()
    if options.folder is not None:
        options.folder.mkdir(parents=True, exist_ok=True)
    return options


class _Runner:
    """The parent: makes data, runs children, prints tables."""

    def __init__(self, race: Race, options: argparse.Namespace, folder: Path) -> None:
        self.race, self.options, self.folder = race, options, folder
        self.script = str(Path(sys.argv[0]).resolve())
        self.versions: dict[str, None] = {}  # in order of appearance

    def run(self) -> bool:
        """Run all; tell whether one of our own contenders failed."""
        failed = False
        self._make("tiny")
        for case in self.options.cases:
            self._make(case)
            for task in self.options.tasks:
                entries = [c for c in self.race.contenders.values() if c.task == task]
                ours = entries[0]
                entries = [c for c in entries if c is ours or self._wanted(c)]
                left_out: dict[str, str] = {}
                if self.options.check:
                    results = self._check(case, entries, left_out)
                else:
                    results = self._race(case, entries, left_out)
                _print_table(case, task, entries, results, left_out)
                failed = failed or ours.key in left_out
        if self.versions:
            print(f"\nPython {sys.version.split()[0]}, {', '.join(self.versions)}")
        return failed

    def _wanted(self, contender: Contender) -> bool:
        texts = self.options.only
        return not texts or any(text in contender.name for text in texts)

    def _make(self, case: str) -> None:
        folder = self.folder / case
        folder.mkdir()
        if self.race.make is not None:
            subprocess.run([sys.executable, self.script, "--make", case, str(folder)], check=True)

    def _check(self, case: str, entries: list[Contender], left_out: dict[str, str]) -> Results:
        for entry in entries:
            outcome = _outcome(self.race, entry, self.folder / case, check=True)
            if "problem" in outcome:
                left_out[entry.key] = outcome["problem"]
        return {}

    def _race(self, case: str, entries: list[Contender], left_out: dict[str, str]) -> Results:
        results: Results = {c.key: [] for c in entries}
        spent = dict.fromkeys(results, 0.0)
        for number in range(self.options.rounds + 1):  # round 0 is the check
            turn = number % len(entries)
            for entry in entries[turn:] + entries[:turn]:
                if entry.key in left_out or (number > 1 and spent[entry.key] > self.options.cap):
                    continue
                start = time.perf_counter()
                outcome = self._child(case, entry, number == 0)
                spent[entry.key] += time.perf_counter() - start
                if number == 0 and "version" in outcome:
                    self.versions[outcome["version"]] = None
                if "problem" in outcome:
                    left_out[entry.key] = outcome["problem"]
                elif number > 0:
                    results[entry.key].append(outcome)
        return results

    def _child(self, case: str, entry: Contender, check: bool) -> dict[str, Any]:
        python = self.options.peers if entry.peer else sys.executable
        answer = self.folder / "answer.json"
        answer.unlink(missing_ok=True)
        command = [python, self.script, "--child", entry.key, str(self.folder / case)]
        command += [str(answer), "check" if check else "time"]
        if entry.code is not None and not check:
            return _time_process([python, "-c", entry.code + PEAK])
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=LIMIT, check=False
            )
        except subprocess.TimeoutExpired:
            return {"problem": f"took more than {LIMIT} s"}
        if not answer.exists():
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            return {"problem": f"died ({done.returncode}): {last[:120]}"}
        outcome: dict[str, Any] = json.loads(answer.read_text())
        return outcome


def _time_process(command: list[str]) -> dict[str, Any]:
    """Time a whole process, from the start to the end."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        return {"problem": done.stderr.strip().splitlines()[-1][:120]}
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    words = done.stdout.split()
    peak = int(words[words.index("VmHWM:") + 1]) * 1024 if "VmHWM:" in words else 0
    return {"wall": wall, "cpu": cpu, "peak": peak}


def _in_child(race: Race, mode: str, name: str, folder: str, *rest: str) -> None:
    if mode == "--make":
        assert race.make is not None
        race.make(Path(folder), race.tiny if name == "tiny" else race.cases[name])
        return
    answer, purpose = rest
    os.dup2(2, 1)  # what libraries print is not for the table
    outcome = _outcome(race, race.contenders[name], Path(folder), purpose == "check")
    Path(answer).write_text(json.dumps(outcome))


def _outcome(race: Race, entry: Contender, folder: Path, check: bool) -> dict[str, Any]:
    """Measure or check, and say what went wrong."""
    try:
        return _measure(race, entry, folder, check)
    except MissingError as error:
        return {"problem": str(error)}
    except Exception as error:
        problem = f"{type(error).__name__}: {error}".splitlines()[0][:160]
        return {"problem": f"failed, {problem}"}


def _measure(race: Race, entry: Contender, folder: Path, check: bool) -> dict[str, Any]:
    for module in entry.needs:
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise MissingError(f"cannot be imported ({error})") from error
    versions: dict[str, Any] = {}
    if entry.package is not None:
        try:
            version = importlib.metadata.version(entry.package)
        except importlib.metadata.PackageNotFoundError as error:
            raise MissingError("not installed") from error
        versions = {"version": f"{entry.package} {version}"}
    if entry.run is None:
        if check:
            exec(entry.code or "", {})
        return versions

    def given(place: Path) -> Any:
        return place if entry.prepare is None else entry.prepare(place)

    if not check:
        entry.run(given(folder.parent / "tiny"))
    argument = given(folder)
    gc.collect()
    measured, result = _clock(entry.run, argument, 1 if check else 9)
    if check and entry.task in race.checks:
        try:
            race.checks[entry.task](folder, result)
        except Exception as error:
            problem = f"{type(error).__name__}: {error}".strip().splitlines()[0][:120]
            return {"problem": f"wrong result, {problem}"}
    return {**measured, **versions}


def _clock(run: Callable[[Any], Any], argument: Any, most: int) -> tuple[dict[str, Any], Any]:
    """Call until half a second is spent, at ``most`` so often; the peak is the first call's."""
    walls: list[float] = []
    cpus: list[float] = []
    base, peak, result = _start_of_memory(), 0, None
    while not walls or (sum(walls) < 0.5 and len(walls) < most):
        result = None
        cpu, wall = _cpu(), time.perf_counter()
        result = run(argument)
        walls.append(time.perf_counter() - wall)
        cpus.append(_cpu() - cpu)
        if len(walls) == 1:
            peak = max(0, _peak() - base)
    measured = {"wall": statistics.median(walls), "cpu": statistics.median(cpus), "peak": peak}
    return measured, result


def _cpu() -> float:
    """Seconds of all threads of this process and its children."""
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _start_of_memory() -> int:
    """Begin a new peak where the system can (Linux), from the memory in use, and return it."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _peak()


def _peak() -> int:
    """Peak of resident memory since the start, or since `_start_of_memory`; bytes."""
    try:
        words = Path("/proc/self/status").read_text().split()
        return int(words[words.index("VmHWM:") + 1]) * 1024
    except OSError:
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _print_table(
    case: str,
    task: str,
    entries: list[Contender],
    results: Results,
    left_out: dict[str, str],
) -> None:
    """Print medians, and their ratios to ours."""
    medians = {
        key: {w: statistics.median(run[w] for run in runs) for w in ("wall", "cpu", "peak")}
        for key, runs in results.items()
        if runs and key not in left_out
    }
    reference = medians.get(entries[0].key)
    print(f"\n{case}: {task}\n")
    if medians:
        print("| contender | n | wall ÷ ours | CPU ÷ ours | memory ÷ ours | wall | CPU | memory |")
        print("|---|---|---|---|---|---|---|---|")
    for entry in sorted(
        (e for e in entries if e.key in medians), key=lambda e: medians[e.key]["wall"]
    ):
        found = medians[entry.key]
        ratios = [_ratio(found[w], reference and reference[w]) for w in ("wall", "cpu", "peak")]
        cells = [entry.name, str(len(results[entry.key])), *ratios]
        cells += [_seconds(found["wall"]), _seconds(found["cpu"]), _size(found["peak"])]
        print(f"| {' | '.join(cells)} |")
    if not medians and not left_out:
        print("checked, not timed")
    for entry in entries:
        if entry.key in left_out:
            print(f"\nleft out: {entry.name}: {left_out[entry.key]}")
    sys.stdout.flush()


def _ratio(value: float, reference: float | None) -> str:
    return f"{value / reference:.2f}" if reference else "–"


def _seconds(value: float) -> str:
    if value >= 1:
        return f"{value:.2f} s"
    return f"{value * 1e3:.3g} ms" if value >= 1e-3 else f"{value * 1e6:.3g} µs"


def _size(value: float) -> str:
    return f"{value / 1e6:.0f} MB" if value >= 1e6 else "< 1 MB"
