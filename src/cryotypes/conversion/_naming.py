"""Other names for the experiments of what was read."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryotypes.names import read_name_map, strip_path_and_suffix
from cryotypes.poseset._operations import changed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike

    from cryotypes.formats.shared.declaration import Kind

STEM, PARENT, EXPERIMENT = "{stem}", "{parent}", "{experiment_id}"


def filled(template: str, source: Path) -> str:
    """Fill in {stem} and {parent}: the source's name without suffixes, and its directory's."""
    template = template.replace(STEM, strip_path_and_suffix(source.name))
    return template.replace(PARENT, source.resolve().parent.name)


def example(target: str) -> Path:
    """Return the target with something in place of what is filled in, for its suffix."""
    return Path(target.replace(STEM, "x").replace(PARENT, "x").replace(EXPERIMENT, "x"))


@dataclass
class Naming:
    """How experiments are to be called.

    Parameters
    ----------
    name : str, optional
        For all; with {experiment_id}, {stem} or {parent} in it.
    names : dict or path, optional
        Name as it stands in the file → experiment.
    regex : str, optional
        Its first group, or all that matches, is the name, where ``names`` has none.
    """

    name: str | None = None
    names: Mapping[str, str] | str | PathLike[str] | None = None
    regex: str | None = None
    _known: Mapping[str, str] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        if self.names is not None:
            given: Any = self.names
            self._known = given if hasattr(given, "keys") else read_name_map(given)
        try:
            self._pattern = re.compile(self.regex) if self.regex else None
        except re.error as error:
            raise ValueError(
                f"regex= (--regex): invalid regular expression {self.regex!r}: {error}"
            ) from error

    def apply(self, data: Any, kind: Kind, source: Path) -> Any:
        """Return data with new names.

        Raises
        ------
        ValueError
            If two experiments of one source would have the same name, or one none.
        """
        if self.name is None and self.names is None and self._pattern is None:
            return data
        ids = experiments_of(data, kind)
        new = {old: self._renamed(old, source) for old in ids}
        before: dict[str, str] = {}
        for old, name in new.items():
            if not name:
                raise ValueError(f"{source}: {old!r} would have an empty name")
            if before.setdefault(name, old) != old:
                raise ValueError(
                    f"{source}: {before[name]!r} and {old!r} would both be called {name!r}; "
                    f"put {EXPERIMENT} into name= (--name), or choose one with experiments= "
                    "(--experiment)"
                )
        return _rename(data, kind, new)

    def _renamed(self, old: str, source: Path) -> str:
        name = self._known.get(old)
        if name is None:
            found = self._pattern.search(old) if self._pattern is not None else None
            name = old if found is None else found[1 if found.re.groups else 0] or ""
        if self.name is None:
            return name
        return filled(self.name, source).replace(EXPERIMENT, strip_path_and_suffix(name))


def experiments_of(data: Any, kind: Kind) -> list[str]:
    """Name the experiments, in order."""
    if kind == "poses":
        return list(dict.fromkeys(str(poses.experiment_id) for poses in data))
    if kind == "image":
        return [str(data.experiment_id)]
    return [str(name) for name in data["experiment_id"].unique()]


def chosen(data: Any, kind: Kind, experiments: list[str]) -> Any:
    """Return what is of some experiments, None if nothing is."""
    if not set(experiments_of(data, kind)).intersection(experiments):
        return None
    if kind == "poses":
        return [poses for poses in data if poses.experiment_id in experiments]
    if kind == "image":
        return data
    rows = data["experiment_id"].isin(experiments)
    return data if rows.all() else data[rows]


def _rename(data: Any, kind: Kind, new: dict[str, str]) -> Any:
    if kind == "poses":
        return [
            changed(
                poses,
                experiment_id=new[poses.experiment_id],
                **({"metadata": _keys(poses.metadata, new)} if _has_metadata(poses) else {}),
            )
            for poses in data
        ]
    if kind == "image":
        return changed(data, experiment_id=new[data.experiment_id])
    renamed = data.assign(experiment_id=data["experiment_id"].map(new))
    renamed.attrs = _keys(data.attrs, new)
    return renamed


def _has_metadata(poses: Any) -> bool:
    return getattr(poses, "metadata", None) is not None


def _keys(value: Any, new: dict[str, str], depth: int = 3) -> Any:
    """Rename the keys of what is held by experiment, e.g. sizes and numbers of tomograms."""
    if not isinstance(value, dict) or not depth:
        return value
    return {
        new.get(key, key) if isinstance(key, str) else key: _keys(entry, new, depth - 1)
        for key, entry in value.items()
    }
