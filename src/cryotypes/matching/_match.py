"""Join poses, alignments, tilt images and tomograms that belong to one experiment.

Names differ between programs, so after equality there are rules; which one was used is always told.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

from cryotypes._sizes import TomogramSize
from cryotypes.errors import MatchError
from cryotypes.names import is_variant, read_name_map, strip_decorations, strip_path_and_suffix

from ._matches import LABELS, RULES, Experiment, Matches, Name, Unmatched, told
from ._things import is_tilt_stack, sort_out

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from os import PathLike

_RANK = {kind: rank for rank, kind in enumerate(LABELS)}
_REMEDY = (
    "say which belongs to it with names= (--names) or regex= (--regex), use fewer rules= "
    "(--rules), or leave one out"
)
_REMEDIES = {"exact": "leave one out", "names": "correct names= (--names), or leave one out"}
_STATED = ("exact", "names")  # by these, several things of one kind are one experiment's


def match(
    *things: Any,
    names: Mapping[str, str] | str | PathLike[str] | None = None,
    regex: str | re.Pattern[str] | None = None,
    rules: str | Iterable[str] | None = None,
) -> Matches:
    """Join poses, projection models, tomograms, tilt series and micrographs by experiment_id.

    Rules, in this order; each joins only what still lacks the other's kind:

    1. ``exact``: equal experiment_id;
    2. ``names``: the map given, which may also put several things of one kind together; what
       follows goes by the names that it gives;
    3. ``regex``: equal keys, found by the expression given;
    4. ``path``: equal without directories and known suffixes;
    5. ``decorations``: equal without what programs add, see ``cryotypes.names.DECORATIONS``.

    A volume of an alignment's name that has as many sections as the alignment has images, of
    their size, is the tilt series, whatever its header says. Halves, even and odd frames, aligned
    images and AreTomo3's further volumes give way to the one image that is none of these.

    What an earlier rule has joined is never questioned by a later one, only added to. The
    experiment is named as ``names`` says, else after its projection model, else its poses,
    tomogram, tilt series, micrograph. No thing is changed, and an empty experiment_id matches
    nothing. The result does not depend on the order of things, apart from the order within lists.

    Parameters
    ----------
    *things : PoseSet, Image, tomogram, ProjectionModel, or (nested) lists of these
        Images: a stack is a tilt series, 2D data (or one section) a micrograph, 3D a tomogram.
        A ProjectionModel is split into one DataFrame for each experiment_id, attrs kept.
    names : dict or path, optional
        experiment_id → experiment; or a text file of these two columns, comma, tab or white space
        between them, ``#`` for comments.
    regex : str, optional
        Searched in each id; its first group, or the whole match, is the key. Where it does not
        match, the id is left out of this rule.
    rules : list of str, optional
        Use only these of the built-in rules. ``exact`` is always used, and so are ``names`` and
        ``regex`` if given.

    Returns
    -------
    Matches
        A mapping, experiment_id → Experiment, of everything that has things of two or more kinds.
        ``.unmatched`` holds the rest with reasons, ``.summary()`` tells it in words.

    Raises
    ------
    MatchError
        If a rule finds two candidates of one kind for an experiment, or two projection models
        have the same experiment_id.
    ReadError
        If the file of names is not two columns.
    ValidationError
        A ValueError, if a thing is none of these kinds or its experiment_id is not a string.
    ValueError
        If a rule is unknown, or the regular expression invalid.

    Warns
    -----
    GuessWarning
        If particles lie outside the tomogram, or the size that the alignment states.

    Examples
    --------
    >>> import numpy as np
    >>> from cryotypes import Image, PoseSet
    >>> from cryotypes.matching import match
    >>> poses = [PoseSet(np.zeros((5, 3)), experiment_id=f"TS_0{i}.tomostar") for i in (1, 2)]
    >>> tomogram = Image(np.zeros((4, 8, 8)), experiment_id="rec_TS_01_10.00Apx")
    >>> matches = match(poses, tomogram)
    >>> matches["TS_01.tomostar"]
    Experiment 'TS_01.tomostar': poses, tomogram
    >>> print(matches.summary())
    matched 2 of 3 things in 1 experiment
      poses: 1 of 2 (1 decorations)
      tomograms: 1 of 1 (1 decorations)
    not by equal names:
      poses 'TS_01.tomostar' is in 'TS_01.tomostar': rule 'decorations'
      tomogram 'rec_TS_01_10.00Apx' is in 'TS_01.tomostar': rule 'decorations'
    unmatched:
      poses 'TS_02.tomostar': no tomogram of this name by the rules exact, path, decorations
    """
    known = _name_map(names)
    steps = _steps(known, regex, rules)
    items = [
        _Item(number, kind, experiment_id, thing)
        for number, (kind, experiment_id, thing) in enumerate(sort_out(things))
    ]
    _find_stacks(items, steps)
    groups = [_Group([item]) for item in items]
    for rule, key in steps.items():
        groups = _join(groups, rule, key, known)
    result = _result(groups, list(steps), known)
    for experiment in result.values():
        _look_outside(experiment)
    return result


def _find_stacks(items: list[_Item], steps: Mapping[str, Callable[[str], str]]) -> None:
    """Call volumes that are an alignment's raw or aligned images what they are: tilt series."""
    models: defaultdict[str, list[_Item]] = defaultdict(list)
    for item in items:
        if item.kind == "projection_model" and item.experiment_id:
            for key in {key(item.experiment_id) for key in steps.values()} - {""}:
                models[key].append(item)
    for item in items:
        if item.kind == "tomograms" and item.experiment_id:
            keys = {key(item.experiment_id) for key in steps.values()}
            known = {id(m): m.thing for key in keys for m in models.get(key, [])}
            if any(is_tilt_stack(item.thing, model) for model in known.values()):
                item.kind = "tilt_series"


def _look_outside(experiment: Experiment) -> None:
    """Warn of particles outside the tomogram, or the size that the alignment states."""
    if not experiment.poses:
        return
    from cryotypes.geometry._bounds import warn_outside
    from cryotypes.geometry._cameras import size_of

    model, sizes = experiment.projection_model, []
    if model is not None and len(model):
        spacing = float(model["pixel_spacing"].iloc[0]) if "pixel_spacing" in model else 0.0
        sizes.append(size_of(model, str(model["experiment_id"].iloc[0]), spacing))
    for tomogram in experiment.tomograms:
        *_, z, y, x = tomogram.data.shape
        sizes.append(TomogramSize((x, y, z), float(tomogram.pixel_spacing or 0)))
    for size in sizes:
        if size is not None:
            known = {poses.experiment_id: size for poses in experiment.poses}
            warn_outside(experiment.poses, "match", known)


@dataclass(slots=True)
class _Item:
    number: int
    kind: str
    experiment_id: str
    thing: Any
    rule: str = ""  # the first that gave it a partner of another kind

    @property
    def source(self) -> str:
        if self.kind == "projection_model":
            known = "source" in self.thing.columns and len(self.thing)
            return str(self.thing["source"].iloc[0]) if known else ""
        return str(getattr(self.thing, "source", ""))


class _Group:
    """Things that the rules so far have joined."""

    def __init__(self, items: list[_Item]) -> None:
        self.items = items
        self.ids = {item.experiment_id for item in items}
        self.kinds = frozenset(item.kind for item in items)
        self.rival: _Item | None = None  # of the same kind, that had its place


def _name_map(names: Mapping[str, str] | str | PathLike[str] | None) -> dict[str, str]:
    if names is not None and not isinstance(names, Mapping):
        return read_name_map(names)
    known = {str(name): str(experiment) for name, experiment in (names or {}).items()}
    if empty := [name for name, experiment in known.items() if not experiment]:
        raise ValueError(f"names: expected an experiment for {empty[0]!r}, found an empty name")
    return known


def _steps(
    known: dict[str, str], regex: str | re.Pattern[str] | None, rules: str | Iterable[str] | None
) -> dict[str, Callable[[str], str]]:
    """Rule → how it makes a key of an id; no key, no match."""
    wanted = set(RULES if rules is None else [rules] if isinstance(rules, str) else rules)
    if unknown := sorted(wanted.difference(RULES)):
        raise ValueError(f"unknown rule {unknown[0]!r}; the rules are {', '.join(RULES)}")

    def named(name: str) -> str:
        return known.get(name, name)

    steps: dict[str, Callable[[str], str]] = {"exact": str}
    if known:
        steps["names"] = named
    if regex is not None:
        try:
            pattern = re.compile(regex)
        except re.error as error:
            raise ValueError(f"invalid regular expression {regex!r}: {error}") from error
        steps["regex"] = lambda name: _regex_key(pattern, named(name))
    if "path" in wanted:
        steps["path"] = lambda name: strip_path_and_suffix(named(name))
    if "decorations" in wanted:
        steps["decorations"] = lambda name: strip_decorations(named(name))
    return steps


def _regex_key(pattern: re.Pattern[str], name: str) -> str:
    found = pattern.search(name)
    return (found[1 if pattern.groups else 0] or "") if found else ""


def _join(
    groups: list[_Group], rule: str, key: Callable[[str], str], known: dict[str, str]
) -> list[_Group]:
    """Join the groups that a rule gives the same key."""
    meeting: defaultdict[str, list[int]] = defaultdict(list)
    for number, group in enumerate(groups):
        for word in {key(experiment_id) for experiment_id in group.ids if experiment_id} - {""}:
            meeting[word].append(number)
    parent = list(range(len(groups)))

    def root(number: int) -> int:
        while parent[number] != number:
            parent[number] = number = parent[parent[number]]
        return number

    for numbers in meeting.values():
        if rule not in _STATED:
            numbers = _without_variants(groups, numbers)
        if rule in _STATED or _lack_each_other(groups[n].kinds for n in numbers):
            for number in numbers[1:]:
                parent[root(number)] = root(numbers[0])
        elif len(numbers) > 1:
            _note_rivals([groups[n] for n in numbers])
    parts: defaultdict[int, list[_Group]] = defaultdict(list)
    for number, group in enumerate(groups):
        parts[root(number)].append(group)
    _refuse_rivals(parts.values(), rule, known)
    return [_merge(part, rule) for part in parts.values()]


def _without_variants(groups: list[_Group], numbers: list[int]) -> list[int]:
    """Leave out halves and the like of images where the thing itself is there, and note it."""
    left = list(numbers)
    for kind in ("tomograms", "tilt_series", "micrographs"):
        of_kind = [n for n in numbers if kind in groups[n].kinds]
        variants = [
            n for n in of_kind if groups[n].kinds == {kind} and all(map(is_variant, groups[n].ids))
        ]
        if variants and len(of_kind) == len(variants) + 1:
            (own,) = set(of_kind) - set(variants)
            rival = next(item for item in groups[own].items if item.kind == kind)
            for n in variants:
                groups[n].rival = rival
                left.remove(n)
    return left


def _lack_each_other(kinds: Iterable[frozenset[str]]) -> bool:
    """Whether any two of the groups have no kind in common, so that joining them is of use."""
    return any(one.isdisjoint(other) for one, other in combinations(set(kinds), 2))


def _note_rivals(groups: list[_Group]) -> None:
    """Remember, for things left alone, which thing of their kind has the place."""
    placed = [item for group in groups if len(group.kinds) > 1 for item in group.items]
    first = {item.kind: item for item in sorted(placed, key=_order, reverse=True)}
    for group in groups:
        if len(group.kinds) == 1:
            group.rival = first.get(group.items[0].kind, group.rival)


def _merge(part: list[_Group], rule: str) -> _Group:
    if len(part) == 1:
        return part[0]
    merged = _Group(sorted((i for group in part for i in group.items), key=lambda i: i.number))
    if len(merged.kinds) > 1:
        for item in merged.items:
            item.rule = item.rule or rule
    return merged


def _refuse_rivals(parts: Iterable[list[_Group]], rule: str, known: dict[str, str]) -> None:
    """Raise a MatchError if a rule finds two candidates of one kind for an experiment."""
    # nobody can state that there are two projection models
    single = ("projection_model",) if rule in _STATED else LABELS
    found = []
    for part in parts:
        kinds = Counter(kind for group in part for kind in group.kinds)
        rival_kinds = [kind for kind in single if kinds[kind] > 1]
        if rival_kinds:
            items = sorted((item for group in part for item in group.items), key=_order)
            others = [item for item in items if item.kind not in rival_kinds] or items
            rivals = [item for item in items if item.kind == rival_kinds[0]]
            found.append((_experiment_name(others, known), rivals))
    if not found:
        return
    experiment, rivals = min(found, key=lambda entry: entry[0])
    candidates = " and ".join(told(item.experiment_id, item.source) for item in rivals[:4])
    more = f" and {len(rivals) - 4} more" if len(rivals) > 4 else ""
    likewise = f" (likewise {len(found) - 1} more experiments)" if len(found) > 1 else ""
    label = LABELS[rivals[0].kind]
    raise MatchError(
        f"experiment {experiment!r}: more than one candidate ({label}) by the rule {rule!r}: "
        f"{candidates}{more}{likewise}; {_REMEDIES.get(rule, _REMEDY)}"
    )


def _order(item: _Item) -> tuple[int, str, str]:
    return _RANK[item.kind], item.experiment_id, item.source


def _experiment_name(items: Iterable[_Item], known: dict[str, str]) -> str:
    return min(
        (i.experiment_id not in known, _RANK[i.kind], known.get(i.experiment_id, i.experiment_id))
        for i in items
    )[2]


def _result(groups: list[_Group], rules: list[str], known: dict[str, str]) -> Matches:
    experiments, alone = [], []
    for group in groups:
        if len(group.kinds) > 1:
            experiments.append(_experiment(group.items, _experiment_name(group.items, known)))
        else:
            alone += [(item, group.rival) for item in group.items]
    given = {item.kind for group in groups for item in group.items if item.experiment_id}
    placed = {
        (name.kind, name.experiment_id): experiment.experiment_id
        for experiment in experiments
        for name in experiment.names
    }
    unmatched = []
    for item, rival in sorted(alone, key=lambda pair: (*_order(pair[0]), pair[0].number)):
        place = placed.get((rival.kind, rival.experiment_id)) if rival else None
        reason = _reason(item, rival, place, given, rules)
        unmatched.append(Unmatched(item.kind, item.experiment_id, reason, item.source, item.thing))
    return Matches(sorted(experiments, key=lambda e: e.experiment_id), unmatched)


def _experiment(items: list[_Item], name: str) -> Experiment:
    experiment = Experiment(name)
    for item in sorted(items, key=lambda item: _RANK[item.kind]):
        if item.kind == "projection_model":
            experiment.projection_model = item.thing
        else:
            getattr(experiment, item.kind).append(item.thing)
        experiment.names.append(Name(item.kind, item.experiment_id, item.rule, item.source))
    return experiment


def _reason(
    item: _Item, rival: _Item | None, place: str | None, given: set[str], rules: list[str]
) -> str:
    if not item.experiment_id:
        return "no experiment_id"
    others = " or ".join(label for kind, label in LABELS.items() if kind in given - {item.kind})
    if not others:
        return "nothing of another kind was given"
    if rival and place is not None:
        has = f"{LABELS[rival.kind]} {told(rival.experiment_id, rival.source)}"
        return f"experiment {place!r} already has the {has} by the rule {rival.rule!r}"
    return f"no {others} of this name by the rule{'s' * (len(rules) > 1)} {', '.join(rules)}"
