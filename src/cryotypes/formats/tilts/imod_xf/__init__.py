"""IMOD's alignment of a tilt series: .xf, .tlt, .xtilt and tilt.com, as etomo leaves them.

``.xf`` holds ``A11 A12 A21 A22 DX DY`` for each view: ``aligned = A raw + (DX, DY)``, each from the
centre of its image, in pixels of the raw stack. Angles are degrees; ``tlt + OFFSET`` is the tilt
about y, ``xtilt - XAXISTILT`` about x. The volume is the one that ``trimvol -rx`` (``clip rotx``)
makes of tilt's output. From centre to centre, without half pixels::

    rotation_z = atan2(A12 - A21, A11 + A22)        (dx, dy) = -inv(A) (DX, DY)

IMOD's centres are not at N // 2: for the volume that IMOD makes this is 0.5 to 2 pixels off.

https://bio3d.colorado.edu/imod/doc/man/tilt.html
"""

from __future__ import annotations

import os
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cryotypes.conventions import _table as conventions
from cryotypes.conventions import encode_tilts, encode_transforms
from cryotypes.conventions._imod import ImodVolume, half_pixels, largest_half_pixels
from cryotypes.errors import GuessWarning, ReadError, WriteError
from cryotypes.formats.shared.declaration import Format
from cryotypes.formats.shared.together import writing_together
from cryotypes.formats.tilts import _tilts
from cryotypes.loss import LossReport
from cryotypes.projectionmodel import concatenated, dimensions_of

from ._com import join_views, raw_images_line
from ._files import find, is_earlier, looks_like_etomo
from ._read import MAGNIFICATION, Reading

if TYPE_CHECKING:
    import pandas as pd

    from cryotypes.formats.shared.declaration import Head
    from cryotypes.formats.tilts._tilts import Tilts

_COMMAND_LINE = {
    "tomogram_dimensions": "--tomogram-size",
    "tilt_image_dimensions": "--tilt-image-size",
}
_ROWS = {None: conventions.IMOD_XF, "rx": conventions.IMOD_XF, "yz": conventions.IMOD_XF_SWAPPED}


def sniff(head: Head) -> bool:
    """Transforms of six numbers a line, etomo's files, their directory or their common name."""
    path, suffix = head.path, head.path.suffix.lower()
    try:
        if not head.data:
            if path.is_dir():
                return looks_like_etomo(path)
            return not path.exists() and path.with_name(path.name + ".xf").is_file()
    except (OSError, ValueError):
        return False
    if b"\0" in head.data:
        return False
    if suffix == ".edf":
        return b"Setup.DatasetName" in head.data
    if suffix == ".com":
        return any(line.split()[:1] == ["$tilt"] for line in head.text.splitlines())
    if suffix != ".xf" and not is_earlier(path):
        return False
    words = head.text.split("\n", 1)[0].split()
    return len(words) == 6 and all(_is_number(word) for word in words)


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def read(
    path: Path,
    *,
    exact: bool | None = None,
    volume: str | None = None,
    tilt_angles: str | os.PathLike[str] | None = None,
    angle_column: int | None = None,
    pixel_spacing: float | None = None,
    tilt_image_dimensions: Any = None,
    tomogram_dimensions: Any = None,
) -> pd.DataFrame:
    """Read an alignment, with everything that belongs to it in the directory.

    Parameters
    ----------
    path : path
        etomo's directory, the ``.xf``, the ``.edf``, ``tilt.com``, or what these names begin with.
        All series of a directory are read.
    exact : bool, optional
        True: exact for the volume that tilt.com describes, half pixels, SHIFT, SUBSETSTART, SLICE
        and binning included::

            (dx, dy) = inv(A) ([Ry Rx (D // 2 - b c_vol)]_xy + (OFFSET[1], 0) + b e - t)
                       + c_raw - N // 2

        where D is the volume's size, N that of the raw images, b the binning, and the centres are
        IMOD's (``conventions/_imod.py``). False: ``(dx, dy) = -inv(A) t``, from centre to centre,
        as other programs convert IMOD's alignments. The two differ by about a pixel and by what
        SHIFT says. By default exact where the volume's size is known: from THICKNESS, and the
        aligned stack or newst.com, or ``tomogram_dimensions``.
    volume : {"rx", "yz"}, optional
        How tilt's output was brought to xyz: turned by ``trimvol -rx``, or swapped by
        ``trimvol -yz`` or tilt's PARALLEL, which mirrors z and so the sign of both tilts.
    tilt_angles : path, optional
        The file of the tilt angles; by default what tilt.com names, else the ``.tlt``.
    angle_column : int, optional
        The column of the angles in that file, from 1; by default the first.
    pixel_spacing : float, optional
        Å per pixel of the raw stack; by default what its header says, 0 if it is not there.
    tilt_image_dimensions : (x, y), optional
        Size of the raw images, where the stack is not there.
    tomogram_dimensions : (x, y, z), optional
        Size of the volume in pixels of the unbinned tilt series, instead of what the command files
        say.

    Returns
    -------
    ProjectionModel
        A row for each view that is not excluded (EXCLUDELIST). ``tilt_index`` counts from 0 in the
        stack; ``imod_magnification`` is there if the transforms magnify; further columns of the
        ``.tlt`` are ``tlt_column_2`` and so on. ``attrs`` hold excluded and excluded_tilts,
        tomogram_dimensions, tilt_image_dimensions, and ``imod``: whether it is exact, and for
        which volume.

    Raises
    ------
    ReadError
        If files are missing, damaged, of different lengths, or belong to a pre-alignment.

    Warns
    -----
    LossWarning
        Of magnification, stretch, local alignment, distortion, Z factors and SHIFT, which a
        ProjectionModel cannot hold.
    GuessWarning
        Of angles that look wrong; of half pixels that are left out since sizes are not known, with
        how large they can be.
    """
    if volume not in _ROWS:
        raise ValueError(f"volume: expected 'rx' or 'yz', found {volume!r}")
    given = {
        "image": _tilts.dimensions(tilt_image_dimensions, 2, "tilt_image_dimensions"),
        "tomogram": _tilts.dimensions(tomogram_dimensions, 3, "tomogram_dimensions"),
    }
    spacing = _tilts.spacing_given(pixel_spacing)
    mirrored = None if volume is None else volume == "yz"
    found = find(Path(path))
    if tilt_angles is not None and len(found) > 1:
        names = ", ".join(files.xf.name for files in found)
        raise ReadError(f"tilt_angles= are those of one series; name one of {names}", path)
    models = []
    for files in found:
        angles = Path(tilt_angles) if tilt_angles is not None else files.angles()
        convention = _ROWS[volume]
        reading = Reading(files, angles, exact, angle_column, convention, mirrored, spacing, given)
        models.append(reading.model())
    return models[0] if len(models) == 1 else concatenated(models)


def write(
    data: pd.DataFrame,
    path: Path,
    *,
    overwrite: bool = False,
    exact: bool | None = None,
    volume: str | None = None,
    images: int | None = None,
    tilt_image_dimensions: Any = None,
    tomogram_dimensions: Any = None,
) -> LossReport:
    """Write NAME.xf, NAME.tlt, NAME.xtilt, and NAME_tilt.com with what tilt must be told.

    NAME_newst.com is written, too, if the size of the tomogram is known. The command files are
    beginnings for a user, named after the series so that they stand beside etomo's own. Excluded
    images get an identity transform, and EXCLUDELIST2.

    Parameters
    ----------
    data : ProjectionModel
        Of one experiment.
    path : path
        NAME.xf.
    overwrite : bool
    exact : bool, optional
        Whether IMOD, told what the command files say, makes the volume that the model describes to
        a hundredth of a pixel; else it is 0.5 to 2 pixels off, as with the files of programs that
        leave out IMOD's half pixels. By default True, if the size of the tomogram is known and the
        model was not read with ``exact=False``.
    volume : {"rx", "yz"}, optional
        As for reading; by default what the model was read with, else ``rx``.
    images : int, optional
        How many images the raw stack has, if there are more behind the last that is aligned or
        known to be excluded; ``.xf`` needs a line for each.
    tilt_image_dimensions : (x, y), optional
        Size of the raw images, where the model's attrs do not state it.
    tomogram_dimensions : (x, y, z), optional
        In pixels of the unbinned tilt series, where the model's attrs do not state it.

    Raises
    ------
    WriteError
        If there are several experiments, no rows, or sizes are missing for ``exact=True``.

    Warns
    -----
    GuessWarning
        Of half pixels that are left out, or that depend on a size which is not known; of rows
        that are taken for the order of the stack, or for the last image.
    """
    if path.suffix.lower() != ".xf":
        raise WriteError(f"expected a name that ends in .xf, found {path.name!r}", path)
    report = LossReport(kept=["rotation_x", "rotation_y", "rotation_z", "dx", "dy"])
    tilts = _tilts.one_experiment(data, path, report)
    if not len(data):
        raise WriteError("IMOD has no alignment of no images", path)
    known = data.attrs.get("imod", {}).get(tilts.name, {})
    volume = str(known.get("volume", "rx")) if volume is None else volume
    if volume not in _ROWS:
        raise ValueError(f"volume: expected 'rx' or 'yz', found {volume!r}")
    _all_images(tilts, data, images, path)
    sizes = {
        name: _tilts.dimensions(given, count, name) or dimensions_of(data, name, tilts.name)
        for name, given, count in (
            ("tomogram_dimensions", tomogram_dimensions, 3),
            ("tilt_image_dimensions", tilt_image_dimensions, 2),
        )
    }
    report.kept += [name for name, size in sizes.items() if size is not None]
    tomogram, image = sizes["tomogram_dimensions"], sizes["tilt_image_dimensions"]
    half = _is_exact(exact, known, sizes, tilts, path)
    geometry = None if tomogram is None else _volume(tomogram, volume, known if half else {})
    exactly = None
    if half and geometry is not None:
        exactly = geometry, image or _oddness(known, path, report)
    _tilts.lose_columns(data, [MAGNIFICATION], report)
    texts = _texts(tilts, path.stem, volume, geometry, exactly, image, path)
    _write_all(path, texts, overwrite)
    report.assumed["command files"] = (
        f"images are called {path.stem}.mrc and {path.stem}_ali.mrc; only the geometry is set"
    )
    return report


def _all_images(tilts: Tilts, data: pd.DataFrame, images: int | None, path: Path) -> None:
    """Add what lies behind the last image that is aligned or known to be excluded.

    Raises
    ------
    WriteError
        If there are more already.

    Warns
    -----
    GuessWarning
        If images are missing within, so that they may be missing at the end, too.
    """
    if images is not None and images < tilts.count:
        raise WriteError(f"images={images}: the model has an image {tilts.count}", path)
    stated = tilts.name in dict(data.attrs.get("excluded", {}))
    if images is None and tilts.excluded and not stated:
        warnings.warn(
            f"{path}: images at {len(tilts.excluded)} positions of the stack have no row (the "
            f"first at {tilts.excluded[0] + 1}); assumed that image {tilts.count} is the last of "
            "the stack; if it has more give images= (-O images=…), since .xf needs a line for each",
            GuessWarning,
            stacklevel=5,
        )
    for i in range(tilts.count, images or 0):
        tilts.excluded.append(i)
        tilts.excluded_tilts.append(float(tilts.rotations[-1, 1]))
    tilts.count = max(tilts.count, images or 0)


def _is_exact(
    asked: bool | None, known: dict[str, Any], sizes: dict[str, Any], tilts: Tilts, path: Path
) -> bool:
    """Decide whether half pixels are included, and say how much they may be if they are not."""
    stated = known.get("exact") if asked is None else asked
    tomogram = sizes["tomogram_dimensions"]
    missing = [name for name, size in sizes.items() if size is None]
    if stated and (tomogram is None or (asked and missing)):
        raise WriteError(
            "exact=True needs "
            + " and ".join(f"{name}= ({_COMMAND_LINE[name]})" for name in missing),
            path,
        )
    if stated is None and tomogram is None:
        warnings.warn(
            f"{path}: the size of the tomogram is not known; assumed that IMOD's half pixels are "
            f"nothing, which puts IMOD's volume up to {largest_half_pixels(tilts.rotations):.1f} "
            "px off; give tomogram_dimensions= (--tomogram-size), or exact=False (-O exact=false) "
            "if centre to centre is meant",
            GuessWarning,
            stacklevel=5,
        )
    return stated is not False and tomogram is not None


def _oddness(known: dict[str, Any], path: Path, report: LossReport) -> tuple[int, int]:
    """Return a size that is as odd as that of the raw images: as they were read, else even."""
    if "odd" in known:
        x, y = (2 + bool(odd) for odd in known["odd"])
        return x, y
    report.assumed["tilt_image_dimensions"] = "even"
    warnings.warn(
        f"{path}: the size of the tilt images is not known; assumed to be even: an odd one moves "
        "what IMOD makes by 0.5 px; give tilt_image_dimensions= (--tilt-image-size)",
        GuessWarning,
        stacklevel=5,
    )
    return 2, 2


def _volume(tomogram: tuple[int, ...], volume: str, known: dict[str, Any]) -> ImodVolume:
    """Return the volume of the command files: as they were read, if it is that."""
    x, y, z = tomogram
    if "geometry" in known:
        geometry = replace(ImodVolume(**known["geometry"]), mirrored=volume == "yz")
        if geometry.size == (x, y, z):
            return geometry
    return ImodVolume(aligned=(x, y), thickness=z, width=x, mirrored=volume == "yz")


def _texts(
    tilts: Tilts,
    stem: str,
    volume: str,
    geometry: ImodVolume | None,
    exactly: tuple[ImodVolume, Any] | None,
    image: tuple[int, ...] | None,
    path: Path,
) -> dict[str, str]:
    """Return the content of each file by what follows the common name."""
    convention = _ROWS[volume]
    rotations, shifts = tilts.rotations, tilts.shifts
    aligned = np.zeros_like(shifts)
    if exactly is not None:
        aligned, raw = half_pixels(rotations, *exactly)
        shifts = shifts - raw
    scale = tilts.part[MAGNIFICATION].to_numpy(dtype=float) if MAGNIFICATION in tilts.part else 1.0
    matrices, moved = encode_transforms(
        rotations[:, 2], shifts, convention, magnification=_checked(scale, path)
    )
    everywhere = np.zeros((tilts.count, 3))
    everywhere[tilts.index] = rotations
    everywhere[tilts.excluded, 1] = tilts.excluded_tilts
    angles, _ = encode_tilts(everywhere, np.zeros((tilts.count, 2)), convention, 1.0)
    transforms = np.tile([1.0, 0, 0, 1, 0, 0], (tilts.count, 1))
    transforms[tilts.index] = np.column_stack([matrices.reshape(-1, 4), moved + aligned])
    if np.abs(transforms[:, 4:]).max() >= 1e6:
        raise WriteError("shifts beyond a million pixels do not fit the columns of .xf", path)
    texts = {
        ".xf": "".join(("%12.7f" * 4 + "%12.3f" * 2 + "\n") % tuple(row) for row in transforms),
        ".tlt": "".join(f"{_plain(angle)}\n" for angle in angles[:, 1]),
        ".xtilt": "".join(f"{_plain(angle)}\n" for angle in angles[:, 0]),
        "_tilt.com": _tilt_com(stem, volume, geometry, image, tilts.excluded),
    }
    if geometry is not None:
        texts["_newst.com"] = _newst_com(stem, geometry)
    return texts


def _checked(scale: Any, path: Path) -> Any:
    if not np.all((np.asarray(scale) > 0.5) & (np.asarray(scale) < 2)):
        raise WriteError(f"{MAGNIFICATION}: expected factors near 1", path)
    return scale


def _plain(value: float) -> str:
    """Write a number so that it reads back exactly, without an exponent."""
    return np.format_float_positional(value + 0.0, trim="0")


def _tilt_com(
    stem: str,
    volume: str,
    geometry: ImodVolume | None,
    image: tuple[int, ...] | None,
    excluded: list[int],
) -> str:
    axis, shift = (geometry.axis, geometry.shift) if geometry is not None else (0.0, (0.0, 0.0))
    lines = [
        "# what tilt must be told for this alignment; add filter and output scaling",
        "$tilt -StandardInput",
        *([raw_images_line(image)] if image is not None else []),
        f"InputProjections {stem}_ali.mrc",
        f"OutputFile {stem}_full_rec.mrc",
        f"IMAGEBINNED {geometry.binning if geometry is not None else 1}",
        f"TILTFILE {stem}.tlt",
        f"XTILTFILE {stem}.xtilt",
        *(_sizes(geometry) if geometry is not None else []),
        "XAXISTILT 0.0",
        f"OFFSET 0.0 {_plain(axis)}" if axis else "OFFSET 0.0",
        f"SHIFT {_plain(shift[0])} {_plain(shift[1])}",
        "PARALLEL" if volume == "yz" else "PERPENDICULAR",
        *([f"EXCLUDELIST2 {join_views([i + 1 for i in excluded])}"] if excluded else []),
    ]
    return "\n".join(lines) + "\n"


def _sizes(volume: ImodVolume) -> list[str]:
    """Return the lines of tilt.com that say what volume is made of what stack."""
    width = volume.aligned[0] * volume.binning if volume.width is None else volume.width
    lines = [f"THICKNESS {volume.thickness}", f"WIDTH {width}"]
    if volume.full is not None:
        lines += [f"FULLIMAGE {volume.full[0]} {volume.full[1]}"]
        lines += [f"SUBSETSTART {volume.subset[0]} {volume.subset[1]}"]
    if volume.slices is not None:
        lines += [f"SLICE {volume.slices[0]} {volume.slices[1]}"]
    return lines


def _newst_com(stem: str, volume: ImodVolume) -> str:
    return (
        "$newstack -StandardInput\n"
        f"InputFile {stem}.mrc\n"
        f"OutputFile {stem}_ali.mrc\n"
        f"TransformFile {stem}.xf\n"
        f"SizeToOutputInXandY {volume.aligned[0]},{volume.aligned[1]}\n"
        f"BinByFactor {volume.binning}\n"
    )


def _write_all(path: Path, texts: dict[str, str], overwrite: bool) -> None:
    """Write all files together; none, if one exists and may not be replaced."""
    others = {_beside(path, suffix): text.encode() for suffix, text in texts.items()}
    own = others.pop(path)
    with writing_together(path, others, overwrite) as file:
        file.write(own)


def _beside(path: Path, suffix: str) -> Path:
    return path if suffix == ".xf" else path.with_name(path.stem + suffix)


FORMAT = Format(
    name="imod-xf",
    title="IMOD alignment (.xf, .tlt, .xtilt, tilt.com)",
    kind="projection_model",
    suffixes=(".xf",),
    read=read,
    write=write,
    sniff=sniff,
    keeps=frozenset(
        {
            *("rotation_x", "rotation_y", "rotation_z", "dx", "dy"),
            *("tilt_index", "excluded", "tomogram_dimensions", "tilt_image_dimensions"),
        }
    ),
    tolerance={"rotation": 1e-5, "shift": 1e-3},
    evidence=conventions.IMOD_XF.evidence,
    url="https://bio3d.colorado.edu/imod/doc/man/xfmodel.html",
)
