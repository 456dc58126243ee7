"""Make one of what several sources hold, and refuse what would be there twice."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from cryotypes.errors import GuessWarning, WriteError
from cryotypes.projectionmodel import concatenated

from ._naming import PARENT, STEM, experiments_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cryotypes.formats.shared.declaration import Kind

    from ._sources import Found


def joined(found: list[Found], kind: Kind) -> Any:
    """Join what several sources hold."""
    if kind == "poses":
        _tell_joined(found)
        _refuse_twice(found)
        return [poses for one in found for poses in one.data]
    if len(found) == 1:
        return found[0].data
    if kind == "projection_model":
        models = [one.data for one in found]
        _refuse_one_name(models)
        return concatenated(models)
    raise WriteError(
        f"{len(found)} images do not become one; put {STEM} into the target for one file each"
    )


def _refuse_twice(found: list[Found]) -> None:
    """Refuse cryoSPARC's particles that stand in two files, which would double them.

    Raises
    ------
    WriteError
        Naming both files.
    """
    seen: dict[int, Path] = {}
    for one in found if len(found) > 1 else []:
        if one.source.format.name != "cryosparc-cs":
            continue
        tables = [poses.features for poses in one.data if poses.features is not None]
        uids = [int(uid) for table in tables if "uid" in table for uid in table["uid"]]
        twice = [uid for uid in uids if uid in seen]
        if twice:
            raise WriteError(
                f"{len(twice)} particles, the first with uid {twice[0]}, stand in "
                f"{seen[twice[0]]} and in {one.source.path}: if one holds more fields of the "
                "other's particles, read it with passthrough= (--passthrough FILE); if not, "
                "convert them one by one"
            )
        seen |= dict.fromkeys(uids, one.source.path)


def _tell_joined(found: list[Found]) -> None:
    """Say which experiments stand in several sources: they may be two that are called alike."""
    places: dict[str, list[Path]] = {}
    for one in found:
        for name in experiments_of(one.data, "poses"):
            places.setdefault(name, []).append(one.source.path)
    several = {name: paths for name, paths in places.items() if len(paths) > 1}
    if several:
        name, paths = next(iter(several.items()))
        more = f" (likewise {len(several) - 1} more)" if len(several) > 1 else ""
        warnings.warn(
            f"{name!r} stands in {paths[0]} and {paths[1]}{more}: taken for one experiment, all "
            "of whose particles are written; if these are two, name them apart with name= "
            f"(--name '{STEM}' or '{PARENT}')",
            GuessWarning,
            stacklevel=3,
        )


def _refuse_one_name(models: Sequence[Any]) -> None:
    """Refuse two tilt series of one name, which would become one of twice the images."""
    sources: dict[str, str] = {}
    for model in models:
        for name, rows in model.groupby("experiment_id", sort=False):
            source = str(rows["source"].iloc[0]) if "source" in rows else "a model"
            if name in sources:
                raise WriteError(
                    f"two tilt series are called {name!r}: {sources[name]} and {source}; one would "
                    "be added to the other; give each a name of its own with name= "
                    f"(--name '{STEM}' or '{PARENT}'), or write one file each"
                )
            sources[str(name)] = source
