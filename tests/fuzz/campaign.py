"""Many inputs: counted, and each fault told once with the least that makes it."""

from __future__ import annotations

import itertools
import pickle
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .material import Material
from .materials import materials
from .mutate import count, mutated
from .pool import Child, answers, one


@dataclass
class Fault:
    """What must not happen, how often it did, and the first input that did it."""

    question: dict[str, Any]
    answer: dict[str, Any]
    times: int = 1
    saved: Path | None = None


@dataclass
class Counts:
    """What came of the inputs."""

    inputs: int = 0
    seconds: float = 0.0
    verdicts: Counter[str] = field(default_factory=Counter)
    slowest: tuple[float, str] = (0.0, "")
    faults: dict[tuple[str, ...], Fault] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """Say it."""
        rate = self.inputs / max(self.seconds, 1e-9)
        verdicts = ", ".join(f"{n} {v}" for v, n in sorted(self.verdicts.items()))
        result = [
            f"{self.inputs} inputs in {self.seconds:.0f} s ({rate:.0f} a second): {verdicts}; "
            f"slowest {self.slowest[0]:.2f} s ({self.slowest[1]}); faults: {len(self.faults)}"
        ]
        for key, fault in sorted(self.faults.items(), key=lambda item: -item[1].times):
            ask = fault.question
            result.append(f"  {fault.times} × {' | '.join(key)}: {fault.answer['message'][:200]}")
            result.append(f"      {ask['name']!r}, seed {ask['seed']!r}, steps {ask.get('steps')}")
            if fault.saved is not None:
                result.append(f"      {fault.saved}")
        return result


def questions(what: list[Material], seed: int, only: str = "") -> Iterator[dict[str, Any]]:
    """Yield inputs without end, each material as often as the others."""
    numbers = [i for i, m in enumerate(what) if only in m.name or only == m.format]
    assert numbers, f"no material is called {only!r}; there is {', '.join(m.name for m in what)}"
    for turn in itertools.count():
        for number in numbers:
            name = what[number].name
            yield {"material": number, "name": name, "seed": f"{seed} {turn} {name}"}


def run(
    seconds: float, *, seed: int = 0, processes: int = 2, only: str = "", inputs: int | None = None,
    keep: Path | None = None,
) -> Counts:  # fmt: skip
    """Read mutated files for so long; with ``inputs``, for so many of them at most."""
    what, counts, begin = materials(), Counts(), 0.0
    with tempfile.TemporaryDirectory() as directory:
        stored = Path(directory) / "materials"
        stored.write_bytes(pickle.dumps(what))
        asked = itertools.islice(questions(what, seed, only), inputs)
        for question, answer in answers(asked, stored, processes, seconds):
            begin = begin or time.monotonic()
            _count(counts, question, answer, what)
            counts.seconds = time.monotonic() - begin
        for fault in counts.faults.values():
            _least(fault, stored)
            if keep is not None:
                fault.saved = _keep(fault, what, keep)
    return counts


def _count(counts: Counts, question: dict[str, Any], answer: Any, what: list[Material]) -> None:
    counts.inputs += 1
    counts.verdicts[answer["verdict"]] += 1
    counts.slowest = max(counts.slowest, (answer["took"], f"{question['seed']}"))
    fault = answer["fault"]
    if fault is None:
        return
    key = (what[question["material"]].format, fault["kind"], fault["where"])
    if fault["kind"] == "memory":
        key = key[:2]
    if key in counts.faults:
        counts.faults[key].times += 1
    else:
        counts.faults[key] = Fault(question, answer)


def _least(fault: Fault, stored: Path) -> None:
    """Find the fewest steps with which the fault is the same."""
    wanted = fault.answer["fault"]
    steps = list(range(count(fault.question["seed"])))
    child = Child(stored)
    for size in range(1, len(steps)):
        for some in itertools.islice(itertools.combinations(steps, size), 20):
            question = {**fault.question, "steps": list(some)}
            found = one(child, question)
            if (found["fault"] or {}).get("kind") in ("dies", "late"):
                child = Child(stored)
            if found["fault"] == wanted:
                fault.question = question
                child.close()
                return
    child.close()


def _keep(fault: Fault, what: list[Material], directory: Path) -> Path:
    """Write the input where it can be looked at."""
    material = what[fault.question["material"]]
    files = mutated(material, fault.question["seed"], fault.question.get("steps"))
    name = "".join(c if c.isalnum() else "_" for c in fault.question["seed"])
    place = directory / name
    Material(material.name, material.format, material.main, files).put(place)
    return place / material.main
