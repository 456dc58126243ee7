"""What `match` gives back: experiments, what is left over, and the report of both."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pandas import DataFrame

# What there is to join, in the order in which the kinds give an experiment its name.
LABELS = {
    "projection_model": "projection model",
    "poses": "poses",
    "tomograms": "tomogram",
    "tilt_series": "tilt series",
    "micrographs": "micrograph",
}
RULES = ("exact", "names", "regex", "path", "decorations")
_SHOWN = 20  # lines in each part of a summary


@dataclass(frozen=True)
class Name:
    """One thing in an experiment: its own id, and the rule by which it found a partner."""

    kind: str
    experiment_id: str
    rule: str
    source: str


@dataclass(frozen=True, eq=False)
class Unmatched:
    """One thing that found no partner of another kind, and why."""

    kind: str
    experiment_id: str
    reason: str
    source: str
    thing: Any = field(repr=False)


@dataclass(eq=False, repr=False)
class Experiment:
    """What belongs together; the objects are the ones given, with their own experiment_id."""

    experiment_id: str
    poses: list[Any] = field(default_factory=list)
    tomograms: list[Any] = field(default_factory=list)
    tilt_series: list[Any] = field(default_factory=list)
    micrographs: list[Any] = field(default_factory=list)
    projection_model: DataFrame | None = None
    names: list[Name] = field(default_factory=list)

    def __repr__(self) -> str:
        counts = Counter(name.kind for name in self.names)
        parts = [
            label + (f" × {counts[kind]}" if counts[kind] > 1 else "")
            for kind, label in LABELS.items()
            if counts[kind]
        ]
        return f"Experiment {self.experiment_id!r}: {', '.join(parts) or 'nothing'}"


class Matches(Mapping[str, Experiment]):
    """Experiments by experiment_id, sorted; ``unmatched`` is what is in none of them."""

    def __init__(self, experiments: Iterable[Experiment], unmatched: Sequence[Unmatched]) -> None:
        self._experiments = {experiment.experiment_id: experiment for experiment in experiments}
        self.unmatched = list(unmatched)

    def __getitem__(self, experiment_id: str) -> Experiment:
        return self._experiments[experiment_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._experiments)

    def __len__(self) -> int:
        return len(self._experiments)

    def __repr__(self) -> str:
        return f"Matches: {_count(len(self))}, {len(self.unmatched)} unmatched"

    def summary(self) -> str:
        """Return a report: how many matched, by which rule; what did not, and why."""
        names = [(name, key) for key, experiment in self.items() for name in experiment.names]
        total = len(names) + len(self.unmatched)
        lines = [f"matched {len(names)} of {total} things in {_count(len(self))}"]
        for kind in LABELS:
            rules = Counter(name.rule for name, _ in names if name.kind == kind)
            missing = sum(entry.kind == kind for entry in self.unmatched)
            if rules or missing:
                by = ", ".join(f"{rules[rule]} {rule}" for rule in RULES if rules[rule])
                found = f"{rules.total()} of {rules.total() + missing}"
                lines.append(f"  {kind.replace('_', ' ')}: {found}" + (f" ({by})" if by else ""))
        joined = [
            f"{LABELS[name.kind]} {name.experiment_id!r} is in {key!r}: rule {name.rule!r}"
            for name, key in names
            if name.rule != "exact"
        ]
        missed = [
            f"{LABELS[entry.kind]} {told(entry.experiment_id, entry.source)}: {entry.reason}"
            for entry in self.unmatched
        ]
        return "\n".join(lines + _part("not by equal names:", joined) + _part("unmatched:", missed))

    def to_dict(self) -> dict[str, Any]:
        """Return names, rules, sources and reasons (not the data), ready for JSON."""
        experiments = {key: [asdict(n) for n in self[key].names] for key in self}
        unmatched = [
            {key: getattr(entry, key) for key in ("kind", "experiment_id", "reason", "source")}
            for entry in self.unmatched
        ]
        return {"experiments": experiments, "unmatched": unmatched}


def told(experiment_id: str, source: str) -> str:
    """Quote an id, with the file it is from."""
    return f"{experiment_id!r} ({source})" if source else repr(experiment_id)


def _count(experiments: int) -> str:
    return f"{experiments} experiment{'' if experiments == 1 else 's'}"


def _part(title: str, entries: list[str]) -> list[str]:
    if not entries:
        return []
    more = len(entries) - _SHOWN
    rest = [f"  … and {more} more"] if more > 0 else []
    return [title, *(f"  {entry}" for entry in entries[:_SHOWN]), *rest]
