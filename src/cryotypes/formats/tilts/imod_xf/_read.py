"""Reading IMOD's alignments: what the files of one series say, put together."""

from __future__ import annotations

import warnings
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cryotypes.conventions import decode_tilts, decode_transforms
from cryotypes.conventions._imod import (
    ImodVolume,
    axis_displacement,
    half_pixels,
    largest_half_pixels,
)
from cryotypes.errors import GuessWarning, LossWarning, ReadError
from cryotypes.formats.tilts import _tilts
from cryotypes.projectionmodel import ProjectionModelDataLabels as Labels

from ._com import RAW_IMAGES, parse_views

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from cryotypes.conventions import TiltConvention

    from ._com import Com
    from ._files import EtomoFiles

    Floats = NDArray[np.float64]

MAGNIFICATION = "imod_magnification"
_COLUMNS = ("A11", "A12", "A21", "A22", "DX", "DY")
_GIVE_SIZES = (
    "give tomogram_dimensions= (--tomogram-size) and tilt_image_dimensions= (--tilt-image-size)"
)


class Reading:
    """The alignment that some files make together.

    Parameters
    ----------
    files : EtomoFiles
    angles : Path
        The file of the tilt angles.
    exact : bool, optional
        Whether half pixels and SHIFT are included; by default where the sizes are known.
    column : int, optional
        The column of the tilt angles, from 1.
    convention : TiltConvention
    mirrored : bool, optional
        Whether the volume is swapped (-yz) instead of turned (-rx); None: nobody said.
    spacing : float, optional
        Å per pixel, if it was given.
    given : dict
        Sizes of ``image`` and ``tomogram`` that were given, or None.
    """

    def __init__(
        self,
        files: EtomoFiles,
        angles: Path,
        exact: bool | None,
        column: int | None,
        convention: TiltConvention,
        mirrored: bool | None,
        spacing: float | None,
        given: dict[str, Any],
    ) -> None:
        self.files, self.given = files, given
        self.convention, self.mirrored = convention, mirrored
        self.raw = files.raw_stack()
        table = _tilts.read_table(files.xf, _COLUMNS)
        self.count = len(table)
        self.matrices, self.shifts = table[:, :4].reshape(-1, 2, 2), table[:, 4:]
        self._check_matrices()
        self.excluded = self._excluded()
        self.kept = np.setdiff1d(np.arange(self.count), self.excluded)
        self.tilts, self.more = self._angles(angles, column)
        self.x_tilts = self._x_tilts()
        self.spacing = self._spacing(spacing)
        offset = self._numbers("OFFSET", 1, 2) or [0.0]
        self.offset, self.axis = offset[0], offset[1] if len(offset) > 1 else 0.0
        self.geometry = self._geometry()
        self.exact = self.geometry is not None if exact is None else exact
        self.said = exact is not None

    def model(self) -> pd.DataFrame:
        """Return the ProjectionModel."""
        x_axis = (self._numbers("XAXISTILT", 1, 1) or [0.0])[0]
        written = np.stack(
            [self.x_tilts - x_axis, self.tilts + self.offset, np.zeros(self.count)], axis=1
        )
        rotations, _ = decode_tilts(written, self.shifts, self.convention, 1.0)
        image = self._raw_size() if self.exact and self._known() else None
        if image is not None:
            aligned, raw = half_pixels(rotations, self._known(), image, self.given["tomogram"])
        else:
            aligned, raw = axis_displacement(rotations, self.axis), np.zeros(2)
        rotations[:, 2], planes, shifts = decode_transforms(
            self.matrices, self.shifts - aligned, self.convention
        )
        if not (self.exact or self.said):
            self._warn_of_half_pixels(rotations)
        self._warn_of_losses(planes, rotations[:, 2])
        columns = [*rotations.T, *(shifts + raw).T]
        names = [*Labels.ROTATION, *Labels.SHIFT]
        model = pd.DataFrame(dict(zip(names, columns, strict=True)))
        model[Labels.EXPERIMENT_ID] = self.files.name
        model[Labels.PIXEL_SPACING] = self.spacing
        model[Labels.SOURCE] = str(self.files.xf)
        model[_tilts.INDEX] = np.arange(self.count)
        magnification = np.sqrt(np.linalg.det(self.matrices))
        if np.abs(magnification[self.kept] - 1).max(initial=0) > 1e-4:
            model[MAGNIFICATION] = magnification
        for column, values in self.more.items():
            model[column] = values
        left_out = rotations[self.excluded, 1].tolist()
        model = model.iloc[self.kept].reset_index(drop=True)
        model.attrs = self._attrs(left_out, image)
        return model

    def _attrs(self, excluded_tilts: list[float], used: tuple[int, int] | None) -> Any:
        name, volume = self.files.name, self.geometry
        tomogram = self.given["tomogram"] or (volume.size if volume is not None else None)
        image = self._stated_raw_size()
        imod: dict[str, Any] = {"exact": self.exact, "volume": "yz" if self.mirrored else "rx"}
        if self.exact and volume is not None:
            imod |= {"geometry": asdict(volume), "odd": tuple(n % 2 == 1 for n in used or ())}
        return {
            "excluded": {name: self.excluded},
            "excluded_tilts": {name: excluded_tilts},
            "tomogram_dimensions": {} if tomogram is None else {name: tuple(tomogram)},
            "tilt_image_dimensions": {} if image is None else {name: tuple(image)},
            "imod": {name: imod},
        }

    def _numbers(self, keyword: str, least: int, most: int) -> list[float] | None:
        tilt = self.files.tilt
        return None if tilt is None else tilt.numbers(keyword, least, most)

    def _integers(self, keyword: str, least: int, most: int = 0) -> tuple[int, ...] | None:
        tilt = self.files.tilt
        return None if tilt is None else tilt.integers(keyword, least, most)

    def _check_matrices(self) -> None:
        determinants = np.linalg.det(self.matrices)
        bad = ~((determinants > 0.25) & (determinants < 4))
        if bad.any():
            row = int(bad.argmax())
            raise ReadError(
                f"view {row + 1}: expected a rotation, found the matrix "
                f"{self.matrices[row].ravel().tolist()} of determinant {determinants[row]:g}",
                self.files.xf,
            )
        if self.raw is not None and self.raw.images != self.count:
            warnings.warn(
                f"{self.files.xf}: {self.count} transforms for the {self.raw.images} images of "
                f"{self.raw.path.name}; assumed to be those of its first images",
                GuessWarning,
                stacklevel=6,
            )

    def _excluded(self) -> list[int]:
        """Return the positions of excluded views, from 0."""
        tilt, edf = self.files.tilt, self.files.edf
        if tilt is not None:
            views = tilt.views("EXCLUDELIST", "EXCLUDELIST2", "EXCLUDE")
            included = tilt.views("INCLUDE")
            if included:
                views = sorted(set(range(1, self.count + 1)) - set(included))
            path = tilt.path
        else:
            text = edf.get("Setup.AxisA.ExcludeProjections", "")
            path = self.files.beside(".edf")
            views = sorted(set(parse_views(text, path, "ExcludeProjections")))
        if views and views[-1] > self.count:
            raise ReadError(
                f"view {views[-1]} is excluded, but {self.files.xf.name} has {self.count}", path
            )
        return [view - 1 for view in views]

    def _angles(self, path: Path, column: int | None) -> tuple[Floats, dict[str, Floats]]:
        """Return the tilt angle of each view, and further columns of that file by name."""
        angles = _tilts.read_angles(path, column)
        table = self._of_all_views(angles.table, path)
        _tilts.check_angles(table[self.kept, 0], path)
        return table[:, 0], dict(zip(angles.names, table[:, 1:].T, strict=True))

    def _of_all_views(self, table: Floats, path: Path) -> Floats:
        """Spread the lines of a file over all views, if it leaves out the excluded ones."""
        if len(table) == self.count:
            return table
        if len(table) == len(self.kept):
            whole = np.zeros((self.count, table.shape[1]))
            whole[self.kept] = table
            if len(self.kept):
                whole[self.excluded, 0] = np.interp(self.excluded, self.kept, table[:, 0])
            return whole
        excluded = f" of which {len(self.excluded)} are excluded" if self.excluded else ""
        raise ReadError(
            f"{self.files.xf.name} has {self.count} views{excluded}, {path.name} {len(table)}; "
            "they must be of the same stack",
            self.files.xf,
        )

    def _x_tilts(self) -> Floats:
        path, used = self.files.x_tilts()
        if path is None:
            return np.zeros(self.count)
        table = _tilts.read_table(path)
        if len(table) not in (self.count, len(self.kept)) and not table[:, 0].any():
            warnings.warn(
                f"{path}: expected {self.count} tilts about x, found {len(table)}, all of them 0; "
                "assumed that no view is tilted about x (correct or remove the file)",
                GuessWarning,
                stacklevel=7,
            )
            return np.zeros(self.count)
        angles = self._of_all_views(table, path)[:, 0]
        if not used and angles.any():
            warnings.warn(
                f"{path}: tilts about x of up to {np.abs(angles).max():g}° are there, but tilt.com "
                "has no XTILTFILE; assumed that they are not used",
                GuessWarning,
                stacklevel=7,
            )
        return angles if used else np.zeros(self.count)

    def _spacing(self, given: float | None) -> float:
        if given is not None:
            return given
        if self.raw is None:
            return 0.0
        if self.raw.doubt:
            warnings.warn(f"{self.raw.path}: {self.raw.doubt}", GuessWarning, stacklevel=6)
        return self.raw.pixel_spacing

    def _geometry(self) -> ImodVolume | None:
        """Collect the sizes; None if that of the aligned stack or the thickness is unknown."""
        given, binning = (
            self.given["tomogram"],
            max(1, (self._integers("IMAGEBINNED", 1) or [1])[0]),
        )
        aligned = self._aligned_size(binning)
        if aligned is None and given is not None:
            aligned = (given[0] // binning, given[1] // binning)
        thickness, width = self._integers("THICKNESS", 1), self._integers("WIDTH", 1)
        if given is not None:
            thickness, width = (given[2],), (given[0],)
        if aligned is None or min(aligned) < 1 or thickness is None:
            return None
        full, subset = self._integers("FULLIMAGE", 2), self._integers("SUBSETSTART", 2)
        slices = self._integers("SLICE", 2, 3)
        if slices is not None and slices[0] > slices[1]:
            raise ReadError(f"SLICE: {slices[0]} is after {slices[1]}", self.files.xf)
        shift = self._numbers("SHIFT", 1, 2) or [0.0]
        return ImodVolume(
            aligned=aligned,
            thickness=thickness[0],
            width=width[0] if width is not None else None,
            slices=(slices[0], slices[1]) if slices is not None else None,
            binning=binning,
            full=(full[0], full[1]) if full is not None and any(full) else None,
            subset=(subset[0], subset[1]) if subset is not None else (0, 0),
            axis=self.axis,
            shift=(shift[0], shift[1] if len(shift) > 1 else 0.0),
            mirrored=bool(self.mirrored),
        )

    def _aligned_size(self, binning: int) -> tuple[int, int] | None:
        """Size of the aligned stack: its header's, else what newstack or blendmont was told."""
        if (stack := self.files.aligned_stack()) is not None:
            return stack.size
        newst = self.files.newst
        if newst is None:
            return None
        own = newst.numbers("BINBYFACTOR", 1, 1) or [1.0]
        if int(own[0]) != binning:
            warnings.warn(
                f"{newst.path}: BinByFactor {own[0]:g}, but tilt.com has IMAGEBINNED {binning}; "
                "the size of the aligned stack is not used (state tomogram_dimensions=)",
                GuessWarning,
                stacklevel=7,
            )
            return None
        if (size := newst.integers("SIZETOOUTPUTINXANDY", 2)) is not None:
            return size[0], size[1]
        x, y = (newst.integers(f"STARTINGANDENDING{axis}", 2) for axis in "XY")
        if x is not None and y is not None:
            return (x[1] - x[0] + 1) // binning, (y[1] - y[0] + 1) // binning
        return self._unchanged_size(newst) if binning == 1 else None

    def _unchanged_size(self, newst: Com) -> tuple[int, int] | None:
        """Size of what newstack makes if it is told none: that of the raw images."""
        others = ("IMAGEINPUTFILE", "SHRINKBYFACTOR", "ROTATEBYANGLE", "EXPANDBYFACTOR")
        if newst.text(*others) is not None:
            return None
        if (size := self._stated_raw_size()) is not None:
            return size
        full, subset = self._integers("FULLIMAGE", 2), self._integers("SUBSETSTART", 2)
        if full is not None and all(full) and subset == (0, 0):
            return full[0], full[1]
        return None

    def _known(self) -> ImodVolume:
        if self.geometry is None:
            raise ReadError(
                "exact=True needs the size of the volume, which tilt.com (THICKNESS) and newst.com "
                "(SizeToOutputInXandY) or the aligned stack state; give tomogram_dimensions= "
                "(--tomogram-size) in unbinned pixels",
                self.files.xf,
            )
        return self.geometry

    def _stated_raw_size(self) -> tuple[int, int] | None:
        """Size of the raw images: given, in the stack's header, or in our own command file."""
        if self.given["image"] is not None:
            return self.given["image"]  # type: ignore[no-any-return]
        if self.raw is not None:
            return self.raw.size
        size = self._integers(RAW_IMAGES, 2)
        return None if size is None else (size[0], size[1])

    def _raw_size(self) -> tuple[int, int]:
        """Size of the raw images, as far as it matters: whether it is odd."""
        if (size := self._stated_raw_size()) is not None:
            return size
        full = self._integers("FULLIMAGE", 2)  # x and y may be exchanged
        if full is not None and any(full) and full[0] % 2 == full[1] % 2:
            return full[0], full[1]
        if self.said:
            raise ReadError(
                "exact=True needs to know whether the raw images have odd sizes: keep the raw "
                "stack beside, or give tilt_image_dimensions= (--tilt-image-size)",
                self.files.xf,
            )
        warnings.warn(
            f"{self.files.xf}: the raw stack is not there, nor is the size of its images stated; "
            "assumed to be even: an odd one moves dx or dy by 0.5 px; give tilt_image_dimensions= "
            "(--tilt-image-size)",
            GuessWarning,
            stacklevel=6,
        )
        return 2, 2

    def _warn_of_half_pixels(self, rotations: Floats) -> None:
        """Say how much lies between centre to centre, and the volume that IMOD makes."""
        stated = self._integers("IMAGEBINNED", 1)
        binning = max(1, (stated or [1])[0])
        worst = largest_half_pixels(rotations[self.kept], binning)
        of = "a volume that is not binned" if stated is None else f"a volume binned by {binning}"
        warnings.warn(
            f"{self.files.xf}: the size of the volume is not known, which tilt.com (THICKNESS) and "
            "newst.com or the aligned stack state; assumed that IMOD's half pixels are nothing, "
            f"which puts dx, dy up to {worst:.1f} px off for {of}; {_GIVE_SIZES}, or exact=False "
            "(-O exact=false) if centre to centre is meant",
            GuessWarning,
            stacklevel=6,
        )

    def _warn_of_losses(self, planes: Floats, rotation_z: Floats) -> None:
        lost = [*self._distorted(planes, rotation_z), *self._not_rigid(), *self._displaced()]
        if lost:
            warnings.warn(
                f"{self.files.xf}: a ProjectionModel cannot hold {'; '.join(lost)}",
                LossWarning,
                stacklevel=6,
            )
        if self.mirrored is None and self._parallel():
            warnings.warn(
                f"{self.files.tilt.path}: PARALLEL volumes are mirrored in z, but assumed is a "  # type: ignore[union-attr]
                "volume turned as by trimvol -rx; state volume='yz' or volume='rx'",
                GuessWarning,
                stacklevel=6,
            )

    def _parallel(self) -> bool:
        tilt = self.files.tilt
        if tilt is None or tilt.text("ROTATEBY90") is not None:
            return False
        value = tilt.text("PARALLEL")
        return value is not None and value not in ("0", "F", "f")

    def _distorted(self, planes: Floats, rotation_z: Floats) -> list[str]:
        """Say by how much the transforms are more than rotations, in pixels at the edge."""
        planes, angles = planes[self.kept], np.deg2rad(rotation_z[self.kept])
        if not len(planes):
            return []
        c, s = np.cos(angles), np.sin(angles)
        rigid = np.stack([np.stack([c, -s], -1), np.stack([s, c], -1)], -2)
        factors = np.sqrt(np.linalg.det(planes))
        size = self._stated_raw_size()
        radius, where = _tilts.edge(size)
        stretch = np.linalg.norm(planes / factors[:, None, None] - rigid, ord=2, axis=(1, 2))
        lost = []
        magnification = 1 / factors
        if (worst := np.abs(magnification - 1)).max() > 1e-3:
            value = magnification[worst.argmax()]
            lost.append(f"magnification {value:.4g}, {worst.max() * radius:.2g} px {where}")
        if stretch.max() > 1e-3:
            lost.append(f"stretch of {stretch.max():.2g}, {stretch.max() * radius:.2g} px {where}")
        return lost

    def _not_rigid(self) -> list[str]:
        tilt, newst = self.files.tilt, self.files.newst
        lost = []
        if tilt is not None and tilt.text("LOCALFILE") and not self._is_global(tilt):
            lost.append(f"the local alignment of {tilt.text('LOCALFILE')}")
        if tilt is not None and tilt.text("ZFACTORFILE"):
            lost.append(f"the Z factors of {tilt.text('ZFACTORFILE')}")
        if newst is not None:
            for keyword in ("DISTORTIONFIELD", "GRADIENTFILE"):
                if newst.text(keyword):
                    lost.append(f"the distortion correction of {newst.text(keyword)}")
            offsets = newst.numbers("OFFSETSINXANDY", 2, 2) or [0.0, 0.0]
            if any(offsets):
                lost.append(f"OffsetsInXandY {offsets[0]:g}, {offsets[1]:g} of the aligned stack")
        return lost

    def _is_global(self, tilt: Com) -> bool:
        """Whether LOCALFILE names the transforms of whole images, as AreTomo3 writes it."""
        local = tilt.file("LOCALFILE")
        of_newst = self.files.newst.file("TRANSFORMFILE") if self.files.newst is not None else None
        known = [path.name.lower() for path in (self.files.xf, of_newst) if path is not None]
        return local is not None and local.name.lower() in known

    def _displaced(self) -> list[str]:
        shift = self._numbers("SHIFT", 1, 2) or [0.0]
        if self.exact or not any(shift):
            return []
        values = " ".join(f"{value:g}" for value in shift)
        return [
            f"SHIFT {values}: the volume is displaced by so many pixels in x (and z); exact=True "
            "puts it into dx, dy"
        ]
