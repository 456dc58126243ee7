"""Particles of a whole file as one table: cut into PoseSets by readers, joined by writers."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cryotypes._sizes import is_tomogram
from cryotypes.errors import GuessWarning, ReadError, WriteError
from cryotypes.geometry._bounds import warn_outside
from cryotypes.loss import by_weight
from cryotypes.poseset import PoseSet

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from scipy.spatial.transform import Rotation

    from cryotypes.loss import LossReport

    Floats = NDArray[np.float64]
    Metadata = Mapping[str, Any] | Callable[[str, float], Mapping[str, Any]]

# features that name images of boxes which were cut out, as RELION and all who follow it call them
IMAGES = ("rlnImageName", "rlnCtfImage", "rlnReconstructImageName")
MOVED = "their boxes are centred where the particles were before shifts were added"

FIELDS = frozenset(f.name for f in fields(PoseSet))


@dataclass
class Particles:
    """The particles of a file, in its order, in our conventions.

    Parameters
    ----------
    position : array, shape (n, 3)
    experiments : list of str
        Names, in order of first appearance.
    codes : array of int, shape (n,)
        Which of the experiments each particle belongs to.
    spacing : array, shape (n,)
        Å per pixel, 0 where unknown.
    shift, orientation, features : optional
        As in a PoseSet; features' index is the row in the file.
    metadata : list of dict
        Of the PoseSets that were joined, as far as the writer may know them.
    sets : array of int, shape (n,), optional
        Which of the PoseSets that were joined each particle is of.
    located : bool
        Whether positions are known; if not, they are 0.
    """

    position: Floats
    experiments: list[str]
    codes: NDArray[np.int64]
    spacing: Floats
    shift: Floats | None = None
    orientation: Rotation | None = None
    features: pd.DataFrame | None = None
    metadata: list[dict[str, Any]] = field(default_factory=list)
    sets: NDArray[np.int64] | None = None
    located: bool = True

    def __len__(self) -> int:
        return len(self.position)

    @property
    def center(self) -> Floats:
        """Where the particles are: position + shift."""
        return self.position if self.shift is None else self.position + self.shift

    @property
    def names(self) -> NDArray[np.object_]:
        """The experiment of each particle."""
        return np.array(self.experiments, dtype=object)[self.codes]

    @property
    def read(self) -> list[dict[str, Any]]:
        """The metadata of PoseSets that come from the writer's own format."""
        return [metadata for metadata in self.metadata if "format" in metadata]

    def feature(self, name: str, default: Any = 0.0) -> NDArray[np.float64]:
        """Return a feature as numbers; ``default`` (a number or n numbers) where it is missing."""
        if self.features is None or name not in self.features:
            return np.broadcast_to(np.asarray(default, dtype=float), len(self)).copy()
        values = pd.to_numeric(self.features[name], errors="coerce").to_numpy(dtype=float)
        return np.where(np.isnan(values), default, values)


def factorize(names: Sequence[str] | pd.Series[Any]) -> tuple[NDArray[np.int64], list[str]]:
    """Return a code for each name, and the names in order of first appearance."""
    codes, unique = pd.factorize(np.asarray(names, dtype=object))
    return codes.astype(np.int64), [str(name) for name in unique]


def _check_finite(particles: Particles, source: Path) -> None:
    for name in ("position", "shift", "spacing"):
        values = getattr(particles, name)
        if values is not None and not np.isfinite(values).all():
            row = np.argwhere(~np.isfinite(values))[0][0]
            raise ReadError(
                f"row {row + 1}: expected finite numbers as {name}, found {values[row]}", source
            )


def to_posesets(
    particles: Particles,
    source: Path,
    metadata: Metadata,
    fractions: str | None = None,
) -> list[PoseSet]:
    """Cut particles by experiment and pixel spacing: sorted once, then slices.

    Parameters
    ----------
    particles : Particles
    source : Path
    metadata : dict, or callable
        Of the file; or ``metadata(experiment_id, pixel_spacing)`` of each PoseSet.
    fractions : str, optional
        What to do if 3D positions look like fractions of the tomogram's size, for formats that
        anybody writes; by default they cannot be any.

    Returns
    -------
    list of PoseSet
        In order of first appearance; a file without particles gives one PoseSet without.

    Raises
    ------
    ReadError
        If a number is not finite: what stands in the file is too large, or divided by nothing.

    Warns
    -----
    GuessWarning
        If positions look like fractions, or lie outside the tomogram whose size is known.
    """
    _check_finite(particles, source)
    if fractions is not None:
        _doubt_fractions(particles.position, source, fractions)

    def metadata_of(name: str, spacing: float) -> dict[str, Any]:
        own = dict(metadata(name, spacing) if callable(metadata) else metadata)
        return own if particles.located else {**own, LOCATED: False}

    n = len(particles)
    if n == 0:  # scipy cuts no empty Rotation
        name = particles.experiments[0] if particles.experiments else ""
        return [
            PoseSet(
                position=particles.position.reshape(0, 3),
                shift=particles.shift,
                orientation=particles.orientation,
                experiment_id=name,
                source=source,
                features=particles.features,
                metadata=metadata_of(name, 0.0),
            )
        ]
    spacings, spacing_codes = np.unique(particles.spacing, return_inverse=True)
    groups = particles.codes * len(spacings) + spacing_codes.reshape(-1)
    order = np.argsort(groups, kind="stable")
    edges = np.flatnonzero(np.diff(groups[order])) + 1
    spans = list(zip([0, *edges.tolist()], [*edges.tolist(), n], strict=True))
    spans.sort(key=lambda span: order[span[0]])  # by first appearance
    ordered = take(particles, order)
    shift, orientation, features = ordered.shift, ordered.orientation, ordered.features
    result = []
    for start, end in spans:
        name = ordered.experiments[ordered.codes[start]]
        spacing = float(ordered.spacing[start])
        part = slice(start, end)
        result.append(
            PoseSet(
                position=ordered.position[part],
                shift=None if shift is None else shift[part],
                orientation=None if orientation is None else orientation[part],
                experiment_id=name,
                pixel_spacing=spacing,
                source=source,
                features=None if features is None else features.iloc[part],
                metadata=metadata_of(name, spacing),
            )
        )
    warn_outside(result, str(source))
    return result


LOCATED = "located"  # in metadata: False if the file has no positions, and they are 0


def warn_of_no_positions(path: Path, labels: str) -> None:
    """Warn that a file of particles has no positions where others of its format have some."""
    warnings.warn(
        f"{path}: the particles have no positions ({labels}); they are given as 0 0 0, which is no "
        "place: read the file that they were extracted from, if positions matter",
        GuessWarning,
        stacklevel=4,
    )


def _are_located(posesets: Sequence[PoseSet], report: LossReport) -> bool:
    """Whether any positions are known; those of a file that has none are 0, and that is said."""
    located = [
        (getattr(poses, "metadata", None) or {}).get(LOCATED) is not False
        or bool(np.asarray(poses.position).any())
        for poses in posesets
        if len(poses.position)
    ]
    if all(located):
        report.kept.append("position")
    elif any(located):
        report.assumed["position"] = "0 0 0 of particles whose source has no positions"
    else:
        report.assumed["position"] = "0 0 0, or left out: the source has no positions"
    return any(located) or not located


MULTIPLY = "multiply them by the tomogram's size"


def _doubt_fractions(position: Floats, source: Path, remedy: str) -> None:
    """Warn of positions in 3D that can hardly be pixels."""
    within = len(position) and ((position >= 0) & (position <= 1)).all()
    if within and position[:, 2].any() and (position % 1).any():
        warnings.warn(
            f"{source}: all coordinates are between 0 and 1, as fractions of the tomogram's size "
            "are (WarpTools' template matching writes such); assumed pixels; if they are "
            f"fractions, {remedy}",
            GuessWarning,
            stacklevel=4,
        )


def metadata_for(poses: PoseSet, formats: Sequence[str]) -> dict[str, Any]:
    """Return what a writer may know of a PoseSet's metadata.

    Metadata belong to the format whose name stands in them: the same key means other things to
    others. Of a file of another format only the facts in `SHARED` are seen, and those only if they
    are what they should be.

    Parameters
    ----------
    poses : PoseSet
    formats : sequence of str
        Names of the formats whose metadata the writer understands.
    """
    metadata = getattr(poses, "metadata", None) or {}
    own = metadata.get("format") in (None, *formats)  # without one, a user means the target
    return {
        key: value
        for key, value in metadata.items()
        if (SHARED[key](value) if key in SHARED else own)
    }


def _is_numbering(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(name, str) and isinstance(number, (int, np.integer))
        for name, number in value.items()
    )


# Facts in metadata that every writer may use, whichever format they come from, and their form:
# - ndim, 2 or 3: whether the particles are in a micrograph or in a volume;
# - tomogram: its dimensions, xyz, in pixels of its pixel_spacing;
# - tomogram_numbers: name to number, of formats that number their tomograms;
# - located: whether the positions are known.
SHARED: dict[str, Callable[[Any], bool]] = {
    "ndim": lambda value: isinstance(value, int) and value in (2, 3),
    "tomogram": is_tomogram,
    "tomogram_numbers": _is_numbering,
    LOCATED: lambda value: isinstance(value, bool),
}


def join_poses(
    posesets: Sequence[PoseSet],
    path: Path,
    report: LossReport,
    keeps: frozenset[str],
    formats: Sequence[str] = (),
    *,
    columns: Sequence[str] | None = None,
) -> Particles:
    """Join PoseSets into one table, and say in the report what the format cannot hold.

    Particles that come from one file are put back in its order. A shift that the format cannot
    hold is added to the position.

    Parameters
    ----------
    posesets : sequence of PoseSet
    path : Path
        Of the file to be written, for messages.
    report : LossReport
        ``kept``, ``converted`` and ``lost`` are filled for all fields but features, and for these
        if ``columns`` are given.
    keeps : frozenset of str
        The fields that the format holds.
    formats : sequence of str
        Names of the formats whose metadata the writer understands, see `metadata_for`.
    columns : sequence of str, optional
        The features that the format holds, if that is known beforehand, see `lose_features`.

    Raises
    ------
    WriteError
        If the format holds one experiment and there are several.
    """
    counts = [len(np.asarray(p.position)) for p in posesets]
    codes, experiments = factorize([p.experiment_id for p in posesets])
    particles = Particles(
        position=np.concatenate([np.asarray(p.position, dtype=float) for p in posesets]),
        experiments=experiments,
        codes=np.repeat(codes, counts),
        spacing=np.repeat([float(p.pixel_spacing) for p in posesets], counts),
        shift=_shift(posesets, counts),
        orientation=_orientation(posesets, counts, report, keeps),
        features=_features(posesets, counts),
        metadata=[metadata_for(p, formats) for p in posesets],
        sets=np.repeat(np.arange(len(counts)), counts),
    )
    _account(posesets, particles, path, report, keeps)
    if columns is not None:
        lose_features(particles, columns, report)
    return _in_file_order(particles, posesets)


def _shift(posesets: Sequence[PoseSet], counts: list[int]) -> Floats | None:
    if all(p.shift is None for p in posesets):
        return None
    shifts = [
        np.zeros((n, 3)) if p.shift is None else np.asarray(p.shift, dtype=float)
        for p, n in zip(posesets, counts, strict=True)
    ]
    return np.concatenate(shifts)


def _orientation(
    posesets: Sequence[PoseSet], counts: list[int], report: LossReport, keeps: frozenset[str]
) -> Rotation | None:
    """Join orientations; unknown ones beside known ones become identity, and that is said."""
    known = [p for p in posesets if p.orientation is not None]
    if not known:
        return None
    if "orientation" not in keeps:
        report.lost["orientation"] = "the format has none"
        return None
    from scipy.spatial.transform import Rotation

    if len(known) < len(posesets):
        blank = next(p.experiment_id for p in posesets if p.orientation is None)
        report.lost["orientation"] = f"unknown for experiment {blank!r}, written as no rotation"
    stacks = [
        Rotation.identity(n) if p.orientation is None else p.orientation
        for p, n in zip(posesets, counts, strict=True)
        if n
    ]
    return Rotation.concatenate(stacks) if stacks else known[0].orientation


def _features(posesets: Sequence[PoseSet], counts: list[int]) -> pd.DataFrame | None:
    frames = [getattr(p, "features", None) for p in posesets]
    if all(frame is None for frame in frames):
        return None
    blanks = [pd.DataFrame(index=pd.RangeIndex(n)) for n in counts]
    filled = [b if f is None else f for f, b in zip(frames, blanks, strict=True)]
    return filled[0] if len(filled) == 1 else pd.concat(filled)


def _account(
    posesets: Sequence[PoseSet],
    particles: Particles,
    path: Path,
    report: LossReport,
    keeps: frozenset[str],
) -> None:
    from cryotypes.names import strip_path_and_suffix

    particles.located = _are_located(posesets, report)
    if particles.shift is not None and "shift" in keeps:
        report.kept.append("shift")
    elif particles.shift is not None:
        if particles.shift.any():
            report.converted["shift"] = "added to the position; the format has none"
            if particles.features is not None:
                particles.features = lose_images(particles.features, MOVED, report)
        particles.position, particles.shift = particles.center, None
    if particles.orientation is not None:
        report.kept.append("orientation")
    if "experiment_id" in keeps:
        report.kept.append("experiment_id")
    elif len(particles.experiments) > 1:
        first, second = particles.experiments[:2]
        raise WriteError(
            f"a file of this format holds one experiment, found {first!r} and {second!r}; write "
            "one file each (cryotypes convert … '{experiment_id}" + path.suffix + "')",
            path,
        )
    elif particles.experiments[0] not in ("", strip_path_and_suffix(path.name)):
        report.lost["experiment_id"] = f"{particles.experiments[0]!r} is not the file's name"
    if "pixel_spacing" in keeps:
        report.kept.append("pixel_spacing")
    elif particles.spacing.any():
        listing = ", ".join(f"{value:g}" for value in np.unique(particles.spacing)[:3])
        report.lost["pixel_spacing"] = f"{listing} Å; the format has none"
    own = {n for p in posesets for n in vars(p) if not n.startswith("_")} - FIELDS
    for name in sorted(own):
        report.lost[name] = "the format has no such field; put it into features"


def lose_images(features: pd.DataFrame, why: str, report: LossReport) -> pd.DataFrame:
    """Leave out images that were cut where, or as, the particles no longer are."""
    gone = [name for name in IMAGES if name in features]
    report.lost.update(dict.fromkeys(gone, f"{why}, so that poses and images no longer fit"))
    return features.drop(columns=gone)


def need_spacing(particles: Particles, path: Path, program: str) -> None:
    """Refuse particles whose pixel spacing is unknown.

    Raises
    ------
    WriteError
    """
    unknown = particles.spacing <= 0
    if unknown.any():
        raise WriteError(
            f"{program} needs the pixel spacing, which is unknown (0) for experiment "
            f"{particles.names[unknown][0]!r}; set pixel_spacing (--pixel-spacing)",
            path,
        )


def need_plane(particles: Particles, path: Path, program: str) -> None:
    """Refuse particles that do not lie in images, where z is 0.

    Raises
    ------
    WriteError
    """
    z = np.abs(particles.position[:, 2]) + np.abs(particles.center[:, 2])
    if z.any():
        row = int((z != 0).argmax())
        raise WriteError(
            f"{program}'s particles lie in images (z = 0), found z = {particles.center[row, 2]:g} "
            f"in row {row}; project them into their images first",
            path,
        )


def lose_features(particles: Particles, written: Sequence[str], report: LossReport) -> None:
    """Say which features the format has no column for."""
    columns = [] if particles.features is None else [str(c) for c in particles.features.columns]
    gone = [name for name in columns if name not in written]
    if any(name in written for name in columns):
        report.kept.append("features")
    if gone:
        report.lost["features"] = f"{', '.join(by_weight(gone))}: the format has no such columns"


def _in_file_order(particles: Particles, posesets: Sequence[PoseSet]) -> Particles:
    """Sort by row number if all particles are of one file and each row is there once."""
    index = None if particles.features is None else particles.features.index
    one_file = len({str(p.source) for p in posesets}) == 1
    if (
        index is None
        or not one_file
        or not pd.api.types.is_integer_dtype(index.dtype)
        or not index.is_unique
        or index.is_monotonic_increasing
    ):
        return particles
    return take(particles, np.argsort(index.to_numpy(), kind="stable"))


def take(particles: Particles, order: NDArray[np.int64]) -> Particles:
    """Return the particles in another order."""
    shift, orientation = particles.shift, particles.orientation
    features, sets = particles.features, particles.sets
    return replace(
        particles,
        position=particles.position[order],
        codes=particles.codes[order],
        spacing=particles.spacing[order],
        shift=None if shift is None else shift[order],
        orientation=None if orientation is None else orientation[order],
        features=None if features is None else features.iloc[order],
        sets=None if sets is None else sets[order],
    )
