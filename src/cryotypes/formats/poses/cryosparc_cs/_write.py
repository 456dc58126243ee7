"""Write cryoSPARC ``.cs`` files: selections of those that were read, or other particles."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cryotypes.conventions import (
    encode_orientation,
    encode_position,
    encode_shift,
    flip_y,
    rescale,
)
from cryotypes.conventions._table import CRYOSPARC, CRYOSPARC_2D, CRYOSPARC_2D_OPPOSITE
from cryotypes.errors import WriteError
from cryotypes.formats.poses._particles import join_poses, metadata_for, need_plane, need_spacing
from cryotypes.formats.shared.files import writing_bytes
from cryotypes.loss import LossReport
from cryotypes.poseset._operations import changed

from ._table import as_stated, part_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from cryotypes.formats.poses._particles import Particles
    from cryotypes.poseset import PoseSet

NAME = "cryosparc-cs"
KEEPS = frozenset(
    {"position", "shift", "orientation", "experiment_id", "pixel_spacing", "features"}
)
_LOCATION = "location/micrograph_"


def write(
    data: list[PoseSet],
    path: Path,
    *,
    overwrite: bool = False,
    micrograph_shape: Sequence[int] | Mapping[str, Sequence[int]] | None = None,
    flip_y: bool | None = None,
) -> LossReport:
    """Write particles in micrographs, those read from one file in their original order.

    Of particles that were read from a ``.cs``, only poses, shifts and positions are written anew;
    all other fields keep their values, types and order, and a field whose feature was dropped is
    left out. Fields of passthrough files are written, too: the result needs none.

    Parameters
    ----------
    data : list of PoseSet
    path : path
    overwrite : bool
    micrograph_shape : (ny, nx), or dict of these by experiment, optional
        Pixels of the micrographs; needed where the particles do not come from a ``.cs``.
    flip_y : bool, optional
        Turn the micrographs upside down. By default as the file was read, else not.

    Raises
    ------
    WriteError
        If particles are not in a plane (z is not 0), a micrograph's size or the pixel spacing is
        unknown, or a uid stands twice.
    """
    report = LossReport()
    particles = join_poses([_in_file_pixels(p) for p in data], path, report, KEEPS, [NAME])
    need_plane(particles, path, "cryoSPARC")
    array = _Writer(path, particles, report, micrograph_shape, flip_y).array()
    with writing_bytes(path, overwrite) as file:
        for version in ((1, 0), (2, 0), (3, 0)):
            try:
                np.lib.format.write_array(file, array, version, allow_pickle=False)
                break
            except (ValueError, UnicodeEncodeError):  # a longer header, other letters in it
                file.seek(0)
                file.truncate()
    return report


def _in_file_pixels(poses: PoseSet) -> PoseSet:
    """Express poses in pixels of the micrographs, if they were rescaled since they were read."""
    metadata = metadata_for(poses, [NAME])
    read, now = metadata.get("micrograph_pixel_spacing", 0), poses.pixel_spacing
    if not read or not now or read == now:
        return poses
    shift = None if poses.shift is None else rescale(poses.shift, now, read)
    position = rescale(poses.position, now, read)
    return changed(poses, position=position, shift=shift, pixel_spacing=read)


class _Writer:
    """The fields of all particles, by name."""

    def __init__(
        self,
        path: Path,
        particles: Particles,
        report: LossReport,
        shape: Any,
        flip: bool | None,
    ) -> None:
        self.path, self.particles, self.report, self.shape = path, particles, report, shape
        features = particles.features
        self.features = pd.DataFrame(index=range(len(particles))) if features is None else features
        self.features = self.features.set_axis([str(c) for c in self.features.columns], axis=1)
        self.read = particles.read
        self.foreign = len(self.read) < len(particles.metadata)
        fields = [m.get("fields", []) for m in self.read]
        self.types = {n: (c, tuple(s)) for file in reversed(fields) for n, c, s in file}
        self.order = list(dict.fromkeys(n for file in fields for n, _, _ in file))
        self.flip = self._common("flip_y", False) if flip is None else flip
        self.height = np.zeros(len(particles))

    def _common(self, key: str, default: Any) -> Any:
        """What the metadata of all particles agree upon."""
        values = [m.get(key, default) for m in self.read]
        return values[0] if values and all(v == values[0] for v in values) else default

    def array(self) -> NDArray[Any]:
        """Return the structured array."""
        fields: dict[str, Any] = {"uid": self._uid(), **self._experiment(), **self._location()}
        fields |= self._alignments()
        for name in self.order:
            self._from_features(name, fields)
        used = {part for name in fields for part in self._parts(name)}
        extra = [name for name in self.features.columns if name not in used]
        fields |= {name: self._single(name) for name in extra}
        if self.features.shape[1]:
            self.report.kept.append("features")
        order = [n for n in self.order if n in fields] + [n for n in fields if n not in self.order]
        try:
            dtype = np.dtype([(n, fields[n].dtype, fields[n].shape[1:]) for n in order])
        except ValueError as error:
            raise WriteError(
                f"cannot name the fields ({error}); rename features", self.path
            ) from error
        array = np.zeros(len(self.particles), dtype)
        for name in order:
            array[name] = fields[name]
        return array

    def _parts(self, name: str) -> list[str]:
        _, shape = self.types.get(name, ("", ()))
        return [part_name(name, index) for index in np.ndindex(*shape)]

    def _from_features(self, name: str, fields: dict[str, Any]) -> None:
        """Put a field together as it was read, unless it is written anew or was dropped."""
        parts = self._parts(name)
        if name in fields or not set(parts) <= set(self.features.columns):
            return
        values = [self._single(part, self.types[name][0]) for part in parts]
        stacked = np.stack(values, axis=-1) if self.types[name][1] else values[0]
        fields[name] = stacked.reshape(len(self.particles), *self.types[name][1])

    def _numbers(self, name: str) -> NDArray[np.float64]:
        """Return a feature as numbers, 0 where it is missing or not above 0."""
        values = self.particles.feature(name)
        return np.where(np.isfinite(values) & (values > 0), values, 0.0)

    def _whole(self, name: str) -> NDArray[np.uint64] | None:
        """Return a feature of whole numbers without gaps; a float has lost digits of a uid."""
        if name not in self.features:
            return None
        column = self.features[name]
        whole = pd.api.types.is_integer_dtype(column.dtype) and not column.hasnans
        return column.to_numpy(dtype=np.uint64) if whole and not (column < 0).any() else None

    def _uid(self) -> NDArray[np.uint64]:
        uid = self._whole("uid")
        if uid is None:
            self.report.assumed["uid"] = "made from the particles' positions and order"
            center = np.ascontiguousarray(self.particles.center)
            seed = _hash(center.tobytes() + repr(self.particles.experiments).encode())
            return _mix(np.uint64(seed) + np.arange(len(center), dtype=np.uint64))
        twice = pd.Index(uid).duplicated()
        if twice.any():
            raise WriteError(
                f"cryoSPARC needs each uid once, found {uid[twice][0]} twice; drop the feature "
                "'uid' to have new ones",
                self.path,
            )
        return uid

    def _experiment(self) -> dict[str, Any]:
        """Write experiment ids to where they were read."""
        field = self._common("experiment_field", f"{_LOCATION}path")
        if self.foreign:
            field = f"{_LOCATION}path"
        if field is None or (field not in self.types and not len(self.particles)):
            return {}
        if field == f"{_LOCATION}uid":
            return {field: self._micrograph_uids()[self.particles.codes]}
        return {field: self._names(field)}

    def _names(self, field: str) -> NDArray[np.bytes_]:
        """Name each particle's experiment, as that was written where it was read."""
        names, codes = self.particles.experiments, self.particles.codes
        known = {k: v for m in self.read for k, v in m.get("experiment_texts", {}).items()}
        texts = [known.get(name, name) for name in names]
        return self._texts(texts, field, self.types.get(field, ("S1", ()))[0])[codes]

    def _micrograph_uids(self) -> NDArray[np.uint64]:
        """Return one for each experiment: its digits, else made from its name."""
        names = self.particles.experiments
        digits = [n.isdecimal() and n.isascii() and int(n) < 2**64 for n in names]
        if not all(digits):
            self.report.assumed[f"{_LOCATION}uid"] = "made from the experiments' names"
        values = [int(n) if d else _hash(n.encode()) for n, d in zip(names, digits, strict=True)]
        return np.array(values, dtype=np.uint64)

    def _location(self) -> dict[str, Any]:
        particles = self.particles
        located = "location/center_x_frac" in self.types
        if not len(particles) and not located:
            return {}
        if not particles.located:
            return {}
        size = self._size()
        self.height = size[:, 1]
        position = particles.position
        if self.flip:
            position, _, _ = flip_y(position, None, None, self.height)
        size[:, 2] = 1
        written = encode_position(position, CRYOSPARC.place, 1.0, np.where(size > 0, size, 1.0))
        fields: dict[str, Any] = {
            f"location/center_{axis}_frac": self._as_read(f"location/center_{axis}_frac", column)
            for axis, column in zip("xy", written.T, strict=False)
        }
        if located and not self.foreign:
            return fields
        whole = size[:, 1::-1]
        if f"{_LOCATION}path" not in self.features:
            fields[f"{_LOCATION}path"] = self._names(f"{_LOCATION}path")
        uids = self._whole(f"{_LOCATION}uid")
        fields[f"{_LOCATION}shape"] = whole.astype("<u4")
        fields[f"{_LOCATION}uid"] = (
            self._micrograph_uids()[particles.codes] if uids is None else uids
        )
        psize = self._numbers(f"{_LOCATION}psize_A")
        psize = np.where(psize > 0, psize, particles.spacing)
        fields[f"{_LOCATION}psize_A"] = psize.astype("<f4")
        need_spacing(self.particles, self.path, "cryoSPARC")
        return fields

    def _size(self) -> NDArray[np.float64]:
        """Pixels of the micrographs, xyz with z = 0; all known where there is a position."""
        particles = self.particles
        size = np.zeros((len(particles), 3))
        for axis, part in enumerate(("[1]", "[0]")):  # (ny, nx)
            size[:, axis] = self._numbers(f"{_LOCATION}shape{part}")
        unknown = (size[:, :2] <= 0).any(axis=1)
        for code, name in enumerate(particles.experiments):
            shape = self.shape.get(name) if hasattr(self.shape, "get") else self.shape
            if shape is not None:
                ny, nx = shape
                size[unknown & (particles.codes == code), :2] = nx, ny
        missing = (size[:, :2] <= 0).any(axis=1)
        if not self.foreign:
            missing &= particles.position.any(axis=1)
        if missing.any():
            name = particles.names[missing][0]
            raise WriteError(
                f"cryoSPARC's positions are fractions of the micrograph, and the size of {name!r} "
                "is unknown: give micrograph_shape= (--micrograph-shape, ny nx)",
                self.path,
            )
        return size

    def _alignments(self) -> dict[str, Any]:
        """Write poses and shifts to where they were read."""
        particles = self.particles
        shift, orientation = particles.shift, particles.orientation
        groups = {m["alignments"] for m in self.read if m.get("alignments")}
        if shift is None and orientation is None:
            if groups:
                self.report.lost["orientation"] = "unknown, its fields are left out"
            return {}
        if self.flip:
            _, shift, orientation = flip_y(particles.position, shift, orientation, self.height)
        group = groups.pop() if len(groups) == 1 else "alignments3D"
        pose = self._pose(orientation, group)
        if pose is None:
            self.report.converted["orientation"] = f"tilted, so in alignments3D, not in {group}"
            group, pose = "alignments3D", self._pose(orientation, "alignments3D")
        assert pose is not None
        if shift is None:
            self.report.assumed["shift"] = "0: alignments have one"
            shift = np.zeros((len(particles), 3))
        image = self._image_spacing(group)
        known = (particles.spacing > 0) & (image > 0)
        written = encode_shift(
            shift,
            CRYOSPARC.offset,
            np.where(known, particles.spacing, 1.0)[:, None],
            None,
            np.where(known, image, 1.0)[:, None],
        )[:, :2]
        fields = {
            f"{group}/pose": self._best(f"{group}/pose", pose),
            f"{group}/shift": self._best(f"{group}/shift", written),
        }
        if f"{group}/psize_A" not in self.types and (image > 0).all() and self._foreign_to(group):
            fields[f"{group}/psize_A"] = image.astype("<f4")
        return fields

    def _foreign_to(self, group: str) -> bool:
        return self.foreign or f"{group}/pose" not in self.types

    def _image_spacing(self, group: str) -> NDArray[np.float64]:
        """Å per pixel of the shifts, as the reader finds them; else those of the positions."""
        candidates = [f"{group}/psize_A", "blob/psize_A"]
        if self.types.get(candidates[0], ("", ()))[1]:  # one for each class
            posterior = self._class_values(f"{group}/class_posterior")
            psize = self._class_values(candidates.pop(0))
            chosen = psize[np.arange(len(psize)), posterior.argmax(axis=1)]
        else:
            chosen = np.zeros(len(self.particles))
        for name in candidates:
            stated = as_stated(self._numbers(name).astype("<f4"))
            chosen = np.where(chosen > 0, chosen, np.nan_to_num(stated))
        if self._foreign_to(group):
            need_spacing(self.particles, self.path, "cryoSPARC")
            chosen = np.where(chosen > 0, chosen, self.particles.spacing)
        return np.asarray(chosen, dtype=float)

    def _pose(self, orientation: Any, group: str) -> NDArray[np.float64] | None:
        """Return rotation vectors, or angles for 2D; None if these cannot hold the orientation."""
        from scipy.spatial.transform import Rotation

        if orientation is None:
            self.report.lost["orientation"] = "unknown, written as no rotation"
            orientation = Rotation.identity(len(self.particles))
        if self.types.get(f"{group}/pose", ("", (3,)))[1] not in ((), (1,)):
            return encode_orientation(orientation, CRYOSPARC.turn)
        row = CRYOSPARC_2D if self._common("psi_sign", 1) == 1 else CRYOSPARC_2D_OPPOSITE
        angles = encode_orientation(orientation, row.turn)
        in_plane = np.abs(angles[:, 1]) < 1e-6
        return (angles[:, :1] + angles[:, 2:]) if in_plane.all() else None

    def _best(self, name: str, values: NDArray[np.float64]) -> NDArray[Any]:
        """Give values the shape of their field; of several classes only the best is written."""
        code, shape = self.types.get(name, ("<f4", values.shape[1:]))
        if len(shape) < 2:
            return values.reshape(len(values), *shape).astype(code)
        every = self._class_values(name).reshape(len(values), *shape)
        posterior = self._class_values(name.rsplit("/", 1)[0] + "/class_posterior")
        every[np.arange(len(values)), posterior.argmax(axis=1)] = values
        return every.astype(code)

    def _class_values(self, name: str) -> NDArray[np.float64]:
        parts = self._parts(name)
        missing = [part for part in parts if part not in self.features]
        if missing:
            raise WriteError(f"the feature {missing[0]!r} of each class is needed", self.path)
        return np.asarray(self.features[parts].to_numpy(dtype=float))

    def _as_read(self, name: str, values: NDArray[Any]) -> NDArray[Any]:
        return values.astype(self.types.get(name, ("<f4", ()))[0])

    def _single(self, name: str, code: str | None = None) -> NDArray[Any]:
        """Turn a feature into numbers or bytes, of the type it was read as if that holds it."""
        column = self.features[name]
        if isinstance(column.dtype, pd.CategoricalDtype) or not pd.api.types.is_numeric_dtype(
            column.dtype
        ):
            codes, different = pd.factorize(column)
            if (codes < 0).any():
                self.report.lost[name] = "missing texts are written as empty ones"
            texts = [*map(str, different), ""]
            return self._texts(texts, name, code if code and "S" in code else "S1")[codes]
        values: NDArray[Any] = column.to_numpy()
        if values.dtype == bool:
            values = values.astype(np.uint8)
            self.report.converted[name] = "1 and 0: cryoSPARC has no booleans"
        elif values.dtype == object or (column.dtype.kind in "iu" and column.hasnans):
            values = column.to_numpy(dtype=float, na_value=np.nan)
            self.report.converted[name] = "missing numbers are NaN, so decimals"
        target = np.dtype(code) if code else values.dtype
        if target.kind in "iu" and values.dtype.kind == "f":
            filled = np.where(np.isfinite(values), values, 0)
            if not np.array_equal(filled, np.trunc(filled)):
                return values
            if not np.isfinite(values).all():
                self.report.lost[name] = "missing whole numbers are written as 0"
            values = filled
        return values.astype(target if target.kind in "biufc" else values.dtype)

    def _texts(self, texts: list[str], name: str, code: str) -> NDArray[np.bytes_]:
        """Encode texts, no shorter than they were."""
        encoded = [text.encode() for text in texts]
        bad = [text for text in texts if "\0" in text]
        if bad:
            raise WriteError(f"{name!r}: no text may hold a zero byte, found {bad[0]!r}", self.path)
        width = max([1, np.dtype(code).itemsize if "S" in code else 1, *map(len, encoded)])
        return np.array(encoded, dtype=f"S{width}")


def _hash(data: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Scatter numbers over 64 bits, different ones to different ones (SplitMix64's last steps)."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        values = (values ^ (values >> np.uint64(shift))) * np.uint64(factor)
    return values ^ (values >> np.uint64(31))
