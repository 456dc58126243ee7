"""RELION 4's tomograms.star: a list of tomograms, and a block of projection matrices for each.

rlnTomoProjX, Y, Z and W hold the rows of a 4 × 4 matrix, ``[a,b,c,d]``, from pixels of the unbinned
tomogram, counted from 0, to those of the tilt image. The angles are in the matrix; the shift
follows only if the sizes of tomogram and tilt image are known. A magnification, which scales the
rows of x and y, is kept as the column ``relion4_magnification``.

WarpTools' export of 2D particles writes rotations alone: the fourth column is 0, and the stack that
is named is an empty one. Then the shifts are unknown, and 0 here.

Source: tomogram_set.cpp of RELION 4.0.0. https://relion.readthedocs.io/en/release-4.0/STA_tutorial/
"""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import polars as pl

from cryotypes.conventions import _projection_matrices as projection
from cryotypes.conventions import _table as conventions
from cryotypes.conventions import decode_tilts, encode_tilts
from cryotypes.errors import GuessWarning, LossWarning, ReadError, WriteError
from cryotypes.formats.shared.declaration import Format
from cryotypes.formats.shared.files import writing_bytes
from cryotypes.formats.shared.relion_project import Project
from cryotypes.formats.shared.star import Block, describe_blocks, has_labels, read_star, write_star
from cryotypes.formats.shared.tables import to_pandas, to_polars
from cryotypes.loss import LossReport
from cryotypes.names import spans
from cryotypes.projectionmodel import ProjectionModelDataLabels as Labels
from cryotypes.projectionmodel import dimensions_of

from . import _tilts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from cryotypes.formats.shared.declaration import Head

    Floats = NDArray[np.float64]

ROWS = ("rlnTomoProjX", "rlnTomoProjY", "rlnTomoProjZ", "rlnTomoProjW")
MAGNIFICATION = "relion4_magnification"
_GLOBAL = "global"
_STACK = "rlnTomoTiltSeriesName"
_COUNT = "rlnTomoFrameCount"
_SERIES_FILE = "rlnTomoTiltSeriesStarFile"  # of RELION 5
_PIXEL = "rlnTomoTiltSeriesPixelSize"
_SIZES = ("rlnTomoSizeX", "rlnTomoSizeY", "rlnTomoSizeZ")
_NEEDED = (
    *(_STACK, _PIXEL, "rlnTomoHand", "rlnVoltage", "rlnSphericalAberration"),
    *("rlnAmplitudeContrast", "rlnTomoImportFractionalDose"),
)


def sniff(head: Head) -> bool:
    """STAR text with projection matrices, or the list that stands above many of them."""
    return has_labels(head, ROWS[0]) or (
        has_labels(head, _COUNT)
        and has_labels(head, _STACK)
        and not has_labels(head, _SERIES_FILE, "rlnTomoYTilt")
    )


def read(
    path: Path,
    *,
    pixel_spacing: float | None = None,
    tilt_image_dimensions: Sequence[int] | None = None,
    tomogram_dimensions: Sequence[int] | None = None,
    tomogram_spacing: float | None = None,
    mirror_z: bool | None = None,
) -> pd.DataFrame:
    """Read the alignments of all tomograms into one ProjectionModel.

    Parameters
    ----------
    path : path
    pixel_spacing : float, optional
        Å per pixel of the tilt images; by default what the file states, else 0 (unknown).
    tilt_image_dimensions : (x, y), optional
        Size of the tilt images in pixels; by default that of the stacks which the file names.
    tomogram_dimensions : (x, y, z), optional
        In pixels of the unbinned tilt series; by default what the file states.
    tomogram_spacing : float, optional
        Å per pixel in which tomogram_dimensions is counted; by default that of the tilt images.
    mirror_z : bool, optional
        What becomes of matrices with a mirror in them (of an import without flipZ); others stay
        as they are. True: the result is that of the tomogram with its slices in reverse order,
        z becoming size - 1 - z. False: the tomogram stays as it is, and so do the places where its
        points appear in the images; only the depth counts the other way.

    Returns
    -------
    ProjectionModel
        All columns of the files are kept. ``attrs`` hold ``tomogram_dimensions`` and
        ``tilt_image_dimensions``, where known, and ``relion4``: the rows of the list, and blocks
        that belong to no tomogram.

    Raises
    ------
    ReadError
        If a tomogram has no block, a matrix is none, or is mirrored; if a size is unknown.

    Warns
    -----
    LossWarning
        Of stretch and magnification, with their size in pixels.
    GuessWarning
        If the matrices have no translations: shifts are then assumed to be 0.
    """
    reading = _Reading(
        path,
        _tilts.spacing_given(pixel_spacing),
        _tilts.dimensions(tilt_image_dimensions, 2, "tilt_image_dimensions"),
        (tomogram_dimensions, tomogram_spacing),
        mirror_z,
    )
    return reading.model()


class _Reading:
    """The tomograms of one file, put together."""

    def __init__(
        self,
        path: Path,
        spacing: float | None,
        image: tuple[int, ...] | None,
        tomogram: tuple[Any, float | None],
        mirror_z: bool | None,
    ) -> None:
        self.path, self.spacing, self.image = path, spacing, image
        self.tomogram, self.mirror_z = tomogram, mirror_z
        self.images: dict[str, tuple[int, ...]] = {}
        self.tomograms: dict[str, tuple[int, ...]] = {}
        self.untranslated: list[str] = []
        self.lost: list[str] = []

    def model(self) -> pd.DataFrame:
        blocks = {block.name: block for block in read_star(self.path)}
        listing = self._listing(blocks)
        parts = [self._part(row, blocks) for row in listing]
        names = [str(row["rlnTomoName"]) for row in listing]
        others = [b for name, b in blocks.items() if name not in {_GLOBAL, *names} and b.name]
        model = pd.concat(parts, ignore_index=True) if parts else _empty()
        model.attrs = {
            "tomogram_dimensions": self.tomograms,
            "tilt_image_dimensions": self.images,
            "relion4": {
                "rows": dict(zip(names, listing, strict=True)),
                "blocks": [(b.name, b.loop, b.table.to_dict(as_series=False)) for b in others],
            },
        }
        self._warn()
        return model

    def _listing(self, blocks: Mapping[str, Block]) -> list[dict[str, Any]]:
        block = blocks.get(_GLOBAL)
        if block is None or "rlnTomoName" not in block.table:
            found = describe_blocks(blocks.values())
            raise ReadError(
                f"expected tomograms in a block 'global' with rlnTomoName, found {found}", self.path
            )
        names = block.table["rlnTomoName"]
        if names.null_count() or names.is_duplicated().any():
            raise ReadError("block 'global': expected a name of its own for each row", self.path)
        return block.table.to_dicts()

    def _part(self, row: Mapping[str, Any], blocks: Mapping[str, Block]) -> pd.DataFrame:
        """Return the rows of one tomogram."""
        name = str(row["rlnTomoName"])
        block = blocks.get(name)
        if block is None:
            raise ReadError(f"tomogram {name!r}: there is no block data_{name}", self.path)
        table = block.table
        missing = [label for label in ROWS if label not in table]
        if missing:
            raise ReadError(f"block {name!r}: expected the label {missing[0]}", self.path)
        matrices = self._matrices(block)
        count = row.get(_COUNT)
        if isinstance(count, (int, float)) and count != len(matrices):
            raise ReadError(
                f"tomogram {name!r}: {_COUNT} is {count}, but block data_{name} has "
                f"{len(matrices)} rows",
                self.path,
            )
        size = self._tomogram_size(row)
        if size is not None:
            self.tomograms[name] = size
        matrices = self._without_mirror(matrices, name, size)
        found = projection.decompose(matrices)
        shifts = self._shifts(matrices, row, name, size)
        self._note_losses(found, name)
        _tilts.check_angles(found.angles[:, 1], self.path)
        rotations, offsets = decode_tilts(found.angles, shifts, conventions.RELION_4_TILTS, 1.0)
        columns = [*rotations.T, *offsets.T]
        part = pd.DataFrame(dict(zip([*Labels.ROTATION, *Labels.SHIFT], columns, strict=True)))
        part[Labels.EXPERIMENT_ID] = pd.Series([name] * len(part), dtype=object)
        part[Labels.PIXEL_SPACING] = self._spacing(row)
        part[Labels.SOURCE] = pd.Series([str(self.path)] * len(part), dtype=object)
        part[_tilts.INDEX] = np.arange(len(part))
        if np.abs(found.magnification - 1).max(initial=0) > 1e-4:
            part[MAGNIFICATION] = found.magnification
        taken = {*part.columns, MAGNIFICATION, *ROWS}
        rest = to_pandas(table, without=taken)
        return pd.concat([part, rest], axis=1)

    def _matrices(self, block: Block) -> Floats:
        """Parse the four columns; the matrices must be near to rotations."""
        rows = [self._vectors(block, label) for label in ROWS]
        matrices = np.stack(rows, axis=1)
        lengths = np.linalg.norm(matrices[:, :3, :3], axis=2)
        volume = np.abs(np.linalg.det(matrices[:, :3, :3]))
        last = np.abs(matrices[:, 3] - [0, 0, 0, 1]).max(axis=1)
        good = (lengths > 0.5).all(axis=1) & (lengths < 2).all(axis=1) & (last < 1e-6)
        bad = ~(good & (volume > 0.5 * lengths.prod(axis=1)))
        if bad.any():
            row = int(bad.argmax())
            raise ReadError(
                f"block {block.name!r}, row {row + 1}: expected a rotation and a row 0 0 0 1, "
                f"found {np.round(matrices[row], 4).tolist()}",
                self.path,
            )
        return matrices

    def _vectors(self, block: Block, label: str) -> Floats:
        result = np.empty((block.table.height, 4))
        for row, text in enumerate(block.table[label].cast(pl.String)):
            words = (text or "").strip("[] ").split(",")
            try:
                numbers = [float(word) for word in words]
            except ValueError:
                numbers = []
            if len(numbers) != 4 or not all(abs(number) < 1e12 for number in numbers):
                raise ReadError(
                    f"block {block.name!r}, column {label}, row {row + 1}: expected [a,b,c,d], "
                    f"found {text!r}",
                    self.path,
                )
            result[row] = numbers
        return result

    def _tomogram_size(self, row: Mapping[str, Any]) -> tuple[int, ...] | None:
        given = _tilts.tomogram_pixels(*self.tomogram, self._spacing(row))
        if given is not None:
            return given
        sizes = [row.get(label) for label in _SIZES]
        whole = all(isinstance(n, (int, float)) and 0 < n < 1e9 for n in sizes)
        return tuple(int(n) for n in sizes) if whole else None  # type: ignore[arg-type]

    def _spacing(self, row: Mapping[str, Any]) -> float:
        if self.spacing is not None:
            return self.spacing
        value = row.get(_PIXEL)
        known = isinstance(value, (int, float)) and math.isfinite(value) and value > 0
        return float(value) if known else 0.0  # type: ignore[arg-type]

    def _without_mirror(self, matrices: Floats, name: str, size: tuple[int, ...] | None) -> Floats:
        mirrored = projection.is_mirrored(matrices)
        if not mirrored.any():
            return matrices
        if not mirrored.all() or self.mirror_z is None:
            row = int(mirrored.argmax())
            raise ReadError(
                f"block {name!r}, row {row + 1}: the matrix is a mirror image (its determinant is "
                "negative), as of an import without flipZ; mirror_z=True turns the order of the "
                "tomogram's slices round, mirror_z=False keeps it and only counts the depth the "
                "other way",
                self.path,
            )
        if not self.mirror_z:
            return projection.mirror_depth(matrices)
        if projection.is_zero(matrices):
            return projection.mirror_volume(matrices, 1)
        return projection.mirror_volume(matrices, self._known(size, name)[2])

    def _known(self, size: tuple[int, ...] | None, name: str) -> tuple[int, ...]:
        if size is None:
            raise ReadError(
                f"tomogram {name!r}: the shifts need its size, which is not stated "
                "(rlnTomoSizeX, Y, Z): give tomogram_dimensions= (--tomogram-size X Y Z)",
                self.path,
            )
        return size

    def _shifts(
        self, matrices: Floats, row: Mapping[str, Any], name: str, size: tuple[int, ...] | None
    ) -> Floats:
        """Return the shifts; zeros where the file has no translations."""
        if len(matrices) and projection.is_zero(matrices):
            self.untranslated.append(name)
            if self.image is not None:
                self.images[name] = self.image
            return np.zeros((len(matrices), 2))
        image = self.image or self._stack_size(row, len(matrices))
        if image is not None:
            self.images[name] = image
        if not len(matrices):
            return np.zeros((0, 2))
        if image is None:
            raise ReadError(
                f"tomogram {name!r}: the shifts need the size of the tilt images, and the stack "
                f"{row.get(_STACK) or ''!r} is not there to ask: give tilt_image_dimensions= "
                "(-O tilt_image_dimensions=[X,Y])",
                self.path,
            )
        return projection.shifts_of(matrices, self._known(size, name), image)

    def _stack_size(self, row: Mapping[str, Any], count: int) -> tuple[int, int] | None:
        """Ask the header of the stack, if it is there; one of another length is another one."""
        name = str(row.get(_STACK) or "").removesuffix(":mrc").removesuffix(":mrcs")
        found = Project(self.path).resolve(name)
        stack = _tilts.read_stack_header(found) if found is not None else None
        if stack is None:
            return None
        if stack.images != count:
            warnings.warn(
                f"{self.path}: {count} rows for the {stack.images} images of {stack.path}; assumed "
                "that its images have the right size (tilt_image_dimensions= states it)",
                GuessWarning,
                stacklevel=7,
            )
        return stack.size

    def _note_losses(self, found: projection.Decomposition, name: str) -> None:
        if not len(found.magnification):
            return
        radius, where = _tilts.edge(self.images.get(name))
        worst = found.magnification[np.abs(found.magnification - 1).argmax()]
        if abs(worst - 1) > 1e-3:
            self.lost.append(
                f"magnification {worst:.4g} of {name!r}, {abs(worst - 1) * radius:.2g} px {where}"
            )
        if found.rest.max() > 1e-3:
            self.lost.append(
                f"stretch of {found.rest.max():.2g} of {name!r}, "
                f"{found.rest.max() * radius:.2g} px {where}"
            )

    def _warn(self) -> None:
        if self.untranslated:
            warnings.warn(
                f"{self.path}: the matrices of {_some(self.untranslated)} have no translations (as "
                "WarpTools writes them); assumed shifts dx, dy of 0, which are not the real ones",
                GuessWarning,
                stacklevel=5,
            )
        if self.lost:
            warnings.warn(
                f"{self.path}: a ProjectionModel cannot hold {_some(self.lost)}",
                LossWarning,
                stacklevel=5,
            )


def _some(texts: list[str]) -> str:
    return "; ".join(texts[:5]) + (f" and {len(texts) - 5} more" if len(texts) > 5 else "")


def _empty() -> pd.DataFrame:
    numbers = [*Labels.ROTATION, *Labels.SHIFT, Labels.PIXEL_SPACING]
    columns: dict[str, Any] = {name: np.zeros(0) for name in numbers}
    columns[Labels.EXPERIMENT_ID] = columns[Labels.SOURCE] = np.zeros(0, dtype=object)
    return pd.DataFrame(columns)


def write(
    data: pd.DataFrame,
    path: Path,
    *,
    overwrite: bool = False,
    tilt_image_dimensions: Sequence[int] | None = None,
    tomogram_dimensions: Sequence[int] | None = None,
    tomogram_spacing: float | None = None,
) -> LossReport:
    """Write all tomograms into one file.

    Parameters
    ----------
    data : ProjectionModel
        Rows are written in the order of the stack (``tilt_index``).
    path : path
    overwrite : bool
    tilt_image_dimensions : (x, y), optional
        Size of the tilt images in pixels, where the model's attrs do not state it.
    tomogram_dimensions : (x, y, z), optional
        In pixels of the unbinned tilt series, where the model's attrs do not state it.
    tomogram_spacing : float, optional
        Å per pixel in which tomogram_dimensions is counted; by default that of the model.

    Raises
    ------
    WriteError
        If a size is unknown, or an experiment has no name that a block can have.
    """
    given = {
        "tilt_image_dimensions": _tilts.dimensions(
            tilt_image_dimensions, 2, "tilt_image_dimensions"
        ),
    }
    report = LossReport(
        kept=[*Labels.ROTATION, *Labels.SHIFT, "experiment_id", "pixel_spacing", "columns"]
    )
    report.kept.append("tomogram_dimensions")
    report.converted["tilt_image_dimensions"] = "in the matrices; RELION asks the stack for it"
    rows, blocks = [], []
    for name, part in data.groupby(Labels.EXPERIMENT_ID, sort=False):
        name = str(name)
        spacing = float(part[Labels.PIXEL_SPACING].iloc[0])
        given["tomogram_dimensions"] = _tilts.tomogram_pixels(
            tomogram_dimensions, tomogram_spacing, spacing
        )
        sizes = {what: size or dimensions_of(data, what, name) for what, size in given.items()}
        for what, size in sizes.items():
            if size is None:
                raise WriteError(
                    f"experiment {name!r}: projection matrices need the size of tomogram and tilt "
                    f"images: give {what}=",
                    path,
                )
        if name in ("", _GLOBAL) or name.split() != [name]:
            raise WriteError(
                f"a block's name has no blanks and is not {_GLOBAL!r}, found the experiment "
                f"{name!r}; rename it",
                path,
            )
        part = _in_order(data, part, name, path, report)
        rows.append(_list_row(data, name, part, sizes["tomogram_dimensions"], report))
        blocks.append(Block(name, _table(part, sizes)))
    empty = pl.DataFrame({"rlnTomoName": [], _STACK: [], _COUNT: []})
    listing = pl.DataFrame(rows, infer_schema_length=None) if rows else empty
    others = [
        Block(name, pl.DataFrame(columns, strict=False), loop=loop)
        for name, loop, columns in data.attrs.get("relion4", {}).get("blocks", [])
    ]
    with writing_bytes(path, overwrite) as file:
        write_star(file, [Block(_GLOBAL, listing), *blocks, *others], 30001)
    return report


def _in_order(
    data: pd.DataFrame, part: pd.DataFrame, name: str, path: Path, report: LossReport
) -> pd.DataFrame:
    """Sort by position in the stack; RELION counts the rows, and knows no images left out."""
    index = _tilts.stack_order(part, path)
    excluded = _tilts.by_experiment(data, "excluded", name)
    left_out = sorted({*range(int(index.max(initial=-1)) + 1), *excluded} - set(index.tolist()))
    if left_out:
        report.lost["excluded"] = (
            f"rows are counted, so the stack of {name!r} must be one without the images "
            f"{spans(left_out)} (counted from 1)"
        )
        report.lost[_tilts.INDEX] = f"of {name!r}: rows are counted"
    return part.iloc[np.argsort(index, kind="stable")]


def _list_row(
    data: pd.DataFrame, name: str, part: pd.DataFrame, size: Any, report: LossReport
) -> dict[str, Any]:
    """Return the row of the list: what it was, or what RELION 5 knew of the series."""
    row: dict[str, Any] = {"rlnTomoName": name}
    for origin in ("relion4", "relion"):
        if known := data.attrs.get(origin, {}).get("rows", {}).get(name):
            row |= {label: value for label, value in known.items() if label != _SERIES_FILE}
            break
    row |= {"rlnTomoName": name, _COUNT: len(part), **dict(zip(_SIZES, size, strict=True))}
    spacing = float(part[Labels.PIXEL_SPACING].iloc[0])
    if spacing > 0:
        row[_PIXEL] = spacing
    missing = [label for label in _NEEDED if label not in row]
    if missing:
        report.assumed["microscope"] = f"nothing; RELION will ask for {', '.join(missing)}"
    return row


def _table(part: pd.DataFrame, sizes: Mapping[str, Any]) -> pl.DataFrame:
    angles, shifts = encode_tilts(
        part[Labels.ROTATION].to_numpy(dtype=float),
        part[Labels.SHIFT].to_numpy(dtype=float),
        conventions.RELION_4_TILTS,
        1.0,
    )
    scale: Any = 1.0
    if MAGNIFICATION in part:
        scale = part[MAGNIFICATION].fillna(1.0).to_numpy(dtype=float)
    image, tomogram = sizes["tilt_image_dimensions"], sizes["tomogram_dimensions"]
    matrices = projection.compose(angles, shifts, tomogram, image, scale)
    written = {
        label: [f"[{','.join(map(_plain, row))}]" for row in matrices[:, number]]
        for number, label in enumerate(ROWS)
    }
    left = [*_tilts.STANDARD, _tilts.INDEX, MAGNIFICATION, *ROWS]
    rest = part.drop(columns=left, errors="ignore").reset_index(drop=True)
    rest = rest.loc[:, ~rest.isna().all()] if len(rest) else rest
    return pl.concat([pl.DataFrame(written), to_polars(rest)], how="horizontal")


def _plain(value: float) -> str:
    """Write a number so that it reads back exactly; whole numbers without a point."""
    return np.format_float_positional(value + 0.0, trim="-")


FORMAT = Format(
    name="relion4-tomograms",
    title="RELION 4 tomograms STAR (projection matrices)",
    kind="projection_model",
    suffixes=(".star",),
    compression=(".gz", ".bz2"),
    read=read,
    write=write,
    sniff=sniff,
    keeps=frozenset(
        {
            *("rotation_x", "rotation_y", "rotation_z", "dx", "dy", "experiment_id"),
            *("pixel_spacing", "tomogram_dimensions", "columns"),
        }
    ),
    tolerance={"rotation": 1e-9, "shift": 1e-8},
    evidence=conventions.RELION_4_TILTS.evidence,
    url="https://relion.readthedocs.io/en/release-4.0/STA_tutorial/",
)
