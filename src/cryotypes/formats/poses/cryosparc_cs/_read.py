"""Decode the rows of a cryoSPARC ``.cs`` file."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cryotypes.conventions import decode_orientation, decode_position, decode_shift, flip_y
from cryotypes.conventions._table import CRYOSPARC, CRYOSPARC_2D, CRYOSPARC_2D_OPPOSITE
from cryotypes.errors import GuessWarning, ReadError
from cryotypes.formats.poses._particles import factorize
from cryotypes.names import strip_path_and_suffix

from ._table import Table, as_stated

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from scipy.spatial.transform import Rotation

    Floats = NDArray[np.float64]

_GROUPS = ("alignments3D", "alignments3D_multi", "alignments2D")
_CENTRES = ("location/center_x_frac", "location/center_y_frac")
_SHAPE = "location/micrograph_shape"
_PATH, _UID, _BLOB = "location/micrograph_path", "location/micrograph_uid", "blob/path"


class Rows:
    """The rows of the table, decoded as a whole."""

    def __init__(self, path: Path, table: Table, group: str | None, psi_sign: int) -> None:
        self.path, self.table, self.psi_sign = path, table, psi_sign
        found = [g for g in _GROUPS if table.numbers(f"{g}/pose") is not None]
        if group is not None and table.numbers(f"{group}/pose") is None:
            listing = ", ".join(n.removesuffix("/pose") for n in table.columns if "/pose" in n)
            raise ReadError(f"no field '{group}/pose'; there is {listing or 'none'}", path)
        self.group = group or (found[0] if found else None)
        located = any(name.startswith("location/") for name in table.columns)
        if self.group is None and not located and _BLOB not in table:
            listing = ", ".join(list(table.columns)[:6])
            raise ReadError(f"expected particles (location, alignments), found {listing}, …", path)
        self.best = self._best()
        self.used: set[str] = set()

    def _best(self) -> NDArray[np.int64] | None:
        """Tell the class of highest posterior, where there is a pose for each class."""
        pose = self.table.numbers(f"{self.group}/pose")
        if pose is None or pose.ndim < 3:
            return None
        posterior = self.table.numbers(f"{self.group}/class_posterior")
        if posterior is None or posterior.shape != (pose.shape[0], pose.shape[-1]):
            raise ReadError(f"expected '{self.group}/class_posterior' of each class", self.path)
        return np.asarray(posterior.argmax(axis=0), dtype=np.int64)

    def _aligned(self, name: str, sizes: tuple[int, ...]) -> Floats | None:
        """Return a field of the alignments as (n, k), that of the best class."""
        column = self.table.numbers(f"{self.group}/{name}")
        if column is None:
            return None
        n = self.table.height
        if self.best is not None and column.ndim == 3:
            values = column[self.best, :, np.arange(n)]
        else:
            values = column.reshape(int(np.prod(column.shape[:-1])), n).T
            self.used.update([f"{self.group}/{name}"] if self.best is None else [])
        if values.shape[1] not in sizes:
            expected = " or ".join(map(str, sizes))
            raise ReadError(
                f"field '{self.group}/{name}': expected {expected} values, found {values.shape[1]}",
                self.path,
            )
        return self._finite(values.astype(float), f"{self.group}/{name}")

    def _finite(self, values: Floats, name: str) -> Floats:
        wrong = ~np.isfinite(values)
        if wrong.any():
            row = int(wrong.reshape(len(values), -1).any(axis=1).argmax())
            raise ReadError(
                f"field {name!r}, row {row}: expected numbers, found {values[row]}", self.path
            )
        return values

    def located(self, ask: bool) -> bool:
        """Whether there are positions."""
        found = all(self.table.numbers(name) is not None for name in _CENTRES)
        if not found and ask:
            warnings.warn(
                f"{self.path}: the file has no positions (location/…); the particles are assumed "
                "at 0; give passthrough= (--passthrough), the job's file that has them",
                GuessWarning,
                stacklevel=5,
            )
        return found

    def _psize(self, name: str) -> Floats | None:
        """Return Å per pixel, NaN where unknown; 1.1 in single precision is 1.1."""
        column = self.table.numbers(name)
        if column is None or column.shape[-1] != self.table.height:
            return None
        if column.ndim == 2 and self.best is not None and len(column) > 1:
            column = column[self.best, np.arange(self.table.height)]
        return as_stated(column[0] if column.ndim == 2 else column) if column.ndim < 3 else None

    def _first(self, *names: str) -> Floats:
        """Take, for each row, the first of the pixel sizes that is known."""
        result = np.full(self.table.height, np.nan)
        for name in names:
            values = self._psize(name)
            if values is not None:
                result = np.where(np.isnan(result), values, result)
        return result

    @property
    def image_spacing(self) -> Floats:
        """Å per pixel of the shifts, NaN where unknown."""
        return self._first(f"{self.group}/psize_A", "blob/psize_A")

    def spacing(self, given: float | None, located: bool) -> Floats:
        """Å per pixel of the coordinates, 0 where unknown."""
        if given is not None:
            return np.full(self.table.height, float(given))
        found = self._first("location/micrograph_psize_A", "micrograph_blob/psize_A")
        image = self.image_spacing
        guessed = np.isnan(found) & ~np.isnan(image)
        if located and guessed.any():
            warnings.warn(
                f"{self.path}: the pixel size of the micrographs is not stated; assumed that of "
                f"the particle images, {image[guessed][0]:g} Å; give pixel_spacing= "
                "(--pixel-spacing) or passthrough= if these are binned",
                GuessWarning,
                stacklevel=5,
            )
        return np.nan_to_num(np.where(np.isnan(found), image, found), nan=0.0)

    def size(self, given: Sequence[int] | None, located: bool) -> Floats:
        """Pixels of the micrographs, xyz; 0 where there are no positions.

        Raises
        ------
        ReadError
            If it is unknown for a particle that has a position.
        """
        n = self.table.height
        size = np.zeros((n, 3))
        if not located:
            return size
        shape = self.table.numbers(_SHAPE)
        if shape is not None and shape.shape == (2, n):
            size[:, 0], size[:, 1] = shape[1], shape[0]  # (ny, nx)
        unknown = ~(np.isfinite(size[:, :2]) & (size[:, :2] > 0)).all(axis=1)
        if given is not None:
            ny, nx = given
            size[unknown] = nx, ny, 0
        else:
            centres = np.stack([np.asarray(self.table.numbers(name)) for name in _CENTRES])
            wrong = unknown & (centres != 0).any(axis=0)
            if wrong.any():
                raise ReadError(
                    f"row {int(wrong.argmax())}: positions are fractions of the micrograph, whose "
                    "size the file does not state: give micrograph_shape= (--micrograph-shape, "
                    "ny nx)",
                    self.path,
                )
            size[unknown] = 0
        size[:, 2] = 1
        return size

    def poses(
        self, size: Floats, spacing: Floats, located: bool, flip: bool
    ) -> tuple[Floats, Floats | None, Rotation | None]:
        """Decode positions, shifts and orientations."""
        position = np.zeros((self.table.height, 3))
        if located:
            for axis, name in enumerate(_CENTRES):
                position[:, axis] = self._finite(np.array(self.table.numbers(name), float), name)
            self.used.update(_CENTRES)
            position = decode_position(position, CRYOSPARC.place, spacing[:, None], size)
        shift, orientation = self._shift(spacing), self._orientation()
        if flip:
            position, shift, orientation = flip_y(position, shift, orientation, size[:, 1])
        return position, shift, orientation

    def _orientation(self) -> Rotation | None:
        pose = self._aligned("pose", (3, 1))
        if pose is None:
            return None
        if pose.shape[1] == 3:
            return decode_orientation(pose, CRYOSPARC.turn)
        angles = np.pad(pose, ((0, 0), (2, 0)))  # rot = tilt = 0
        row = CRYOSPARC_2D if self.psi_sign == 1 else CRYOSPARC_2D_OPPOSITE
        return decode_orientation(angles, row.turn)

    def _shift(self, spacing: Floats) -> Floats | None:
        written = self._aligned("shift", (2,))
        if written is None:
            return None
        image = self.image_spacing
        known = (spacing > 0) & ~np.isnan(image)
        image = np.where(known, image, 1.0)[:, None]
        spacing = np.where(known, spacing, 1.0)[:, None]
        written = np.pad(written, ((0, 0), (0, 1)))
        return decode_shift(written, CRYOSPARC.offset, spacing, None, image)

    def experiments(
        self, which: str
    ) -> tuple[NDArray[np.int64], list[str], str | None, dict[str, str]]:
        """Return a code for each row, the names, their field, and how differing ones are written.

        Paths may begin with ``>``, which is not part of them.
        """
        n = self.table.height
        uids = self.table.numbers(_UID)
        for field in (_PATH, _BLOB):
            texts = self.table.texts(field)
            named = texts is not None and (n == 0 or any(texts.categories))
            if field == _PATH and (which == "uid" or not named):
                if uids is None or uids.ndim != 1 or (which == "path" and not uids.any()):
                    continue
                codes, values = pd.factorize(uids)
                return codes.astype(np.int64), [str(uid) for uid in values], _UID, {}
            if texts is None:
                continue
            codes, order = pd.factorize(np.asarray(texts.codes))
            raw = [str(texts.categories[code]) for code in order]
            merged, names = factorize([text.removeprefix(">") for text in raw])
            written = {text.removeprefix(">"): text for text in raw if text.startswith(">")}
            return merged[codes] if n else codes.astype(np.int64), names, field, written
        name = strip_path_and_suffix(self.path.name)
        return np.zeros(n, dtype=np.int64), [name], None, {}

    def features(self, experiment_field: str | None) -> pd.DataFrame:
        """All fields that are not poses; positions in another class's frame stay here, too."""
        skipped = {*self.used, experiment_field}
        rest = {name: c for name, c in self.table.columns.items() if name not in skipped}
        columns = dict(Table(rest, self.table.fields, self.table.height).flat())
        return pd.DataFrame(columns, index=pd.RangeIndex(self.table.height), copy=False)
