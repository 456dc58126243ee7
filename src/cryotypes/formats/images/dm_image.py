"""Gatan DM3 and DM4 files: micrographs, gain references, movies, tilt series. Read only.

The first row of a DM file is the top of the image, that of an MRC file its bottom: IMOD and EMAN2
reverse the rows when they read one (source). So does this module, as for TIFF, that positions of
particles mean the same in all of them.

The pixels are memory-mapped at the place that the tags name. A damaged tag may name any place:
nothing is believed that does not fit the file.
"""

from __future__ import annotations

import math
import struct
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cryotypes.errors import GuessWarning, ReadError
from cryotypes.formats.shared.declaration import Format, Head
from cryotypes.formats.shared.files import compression_of
from cryotypes.names import strip_path_and_suffix

from ._dm_tags import GROUP, TAG, Array, read_tags
from ._image_data import checked_spacing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cryotypes.image import Image

    from ._dm_tags import Group

# Version to: version, bytes of the tags, byte order; is sorted, is open, tags; the first tag's kind
_HEADERS = {3: ">IIiBBIB", 4: ">IQiBBQB"}
_AROUND = {3: 16, 4: 24}  # bytes of a file that its tags do not count, at least
_MOST_TAGS = 1 << 16  # at the root, where a dozen is usual
_LARGEST = 1 << 48  # bytes

_TYPES = {
    **{1: "<i2", 2: "<f4", 6: "u1", 7: "<i4", 9: "i1", 10: "<u2", 11: "<u4", 12: "<f8"},
    14: "u1",  # zeros and ones, a byte each
}
_THUMBNAIL = 23
_OTHER_TYPES = {
    **dict.fromkeys((3, 13), "complex numbers"),
    **dict.fromkeys((5, 27, 28), "packed complex numbers (half a Fourier transform)"),
    **dict.fromkeys((8, _THUMBNAIL), "colours"),
}
_UNITS = {  # to Å
    "nm": 10.0,
    **dict.fromkeys(
        ("\N{MICRO SIGN}m", "\N{GREEK SMALL LETTER MU}m", "um", "micron", "microns"), 1e4
    ),
    **dict.fromkeys(("\N{LATIN CAPITAL LETTER A WITH RING ABOVE}", "\N{ANGSTROM SIGN}", "A"), 1.0),
    "pm": 0.01,
    "mm": 1e7,
}
_UNEQUAL = 1e-3  # relative difference of spacings that is worth a word
_LISTED = 20  # images that an error lists

_TYPE, _FORMAT = "ImageData.DataType", "Meta Data.Format"
# What metadata holds of the hundreds of tags, by their path below ImageTags.
_TAGS = (
    "Acquisition.Device.Name",
    "Acquisition.Parameters.Detector.exposure (s)",
    "Acquisition.Parameters.High Level.Exposure (s)",
    "Acquisition.Parameters.High Level.Processing",
    "DataBar.Acquisition Date",
    "DataBar.Acquisition Time",
    "DataBar.Device Name",
    "DataBar.Exposure Number",
    "DataBar.Exposure Time (s)",
    "GMS Version.Created",
    "GMS Version.Saved",
    "Meta Data.Acquisition Mode",
    _FORMAT,
    "Microscope Info.Actual Magnification",
    "Microscope Info.Cs(mm)",
    "Microscope Info.Illumination Mode",
    "Microscope Info.Imaging Mode",
    "Microscope Info.Indicated Magnification",
    "Microscope Info.Microscope",
    "Microscope Info.Name",
    "Microscope Info.Operation Mode",
    "Microscope Info.Stage Position.Stage Alpha",
    "Microscope Info.Stage Position.Stage Beta",
    "Microscope Info.Voltage",
    "Session Info.Microscope",
    "Session Info.Specimen",
)


class _Header(NamedTuple):
    version: int
    length: int
    is_little: int
    is_sorted: int
    is_open: int
    tags: int
    first: int


def _header(data: bytes) -> _Header | None:
    """Return the beginning of a DM3 or DM4 file, or None if this is another."""
    code = _HEADERS.get(int.from_bytes(data[:4], "big"))
    if code is None or len(data) < struct.calcsize(code):
        return None
    found = _Header(*struct.unpack_from(code, data))
    flags = (found.is_little, found.is_sorted, found.is_open)
    makes_sense = all(flag in (0, 1) for flag in flags) and found.first in (GROUP, TAG)
    fits = 0 < found.tags <= _MOST_TAGS and 0 < found.length < _LARGEST
    return found if makes_sense and fits else None


def sniff(head: Head) -> bool:
    """Tell a DM3 or DM4 file by its version, byte order and first tag."""
    return compression_of(head.path) == "" and _header(head.data) is not None


def read(
    path: Path,
    *,
    pixel_spacing: float | None = None,
    stack: bool | None = None,
    index: int | None = None,
    experiment_id: str | None = None,
    flip_y: bool = True,
) -> Image:
    """Read an image of a DM3 or DM4 file, memory-mapped.

    Parameters
    ----------
    path : path
    pixel_spacing : float, optional
        Å, instead of the file's.
    stack : bool, optional
        Whether the sections are separate images. A DM file does not say it; by default they are,
        as in movies and tilt series, unless the third axis is calibrated in a length.
    index : int, optional
        Which image, if the file has several, from 0 on; thumbnails do not count. By default the
        only one of two or three dimensions.
    experiment_id : str, optional
        By default the file's name without suffixes.
    flip_y : bool
        Reverse the rows, as IMOD and EMAN2 do. False for the order in the file, from the top of
        the image on, as HyperSpy and DigitalMicrograph itself count.

    Returns
    -------
    Image
        The data are zyx, or yx if there is one section (unless ``stack=True``); they are the
        numbers in the file, of its dtype, without the calibration of the intensity. ``metadata``
        holds the calibrations, and tags of the microscope and the camera by DM's own names.

    Raises
    ------
    ReadError
        If it is cut, damaged or no DM file; if its image is complex, in colour, or a spectrum; if
        it has several images and ``index`` does not choose.

    Warns
    -----
    GuessWarning
        If the pixels are not calibrated in a length, or not the same along all axes.
    """
    from cryotypes.image import Image
    from cryotypes.image._on_disk import map_file

    path = Path(path)
    given = None if pixel_spacing is None else checked_spacing(pixel_spacing)
    version, size, tags = _load(path)
    images = _images(tags)
    chosen = _choose(images, index, path)
    place = images[chosen].place(size, path)
    axes = images[chosen].axes
    is_volume = len(axes) == 3 and axes[0].angstrom > 0
    is_stack = len(axes) == 3 and place.shape[0] > 1 and not is_volume
    is_stack = is_stack if stack is None else bool(stack)
    spacing, doubt = (given, "") if given is not None else _spacing(axes, is_stack)
    if doubt:
        warnings.warn(f"{path}: {doubt}", GuessWarning, stacklevel=2)
    data: NDArray[Any] = map_file(path, place.dtype, place.offset, place.shape)
    data = data[None] if data.ndim == 2 else data
    data = data[:, ::-1] if flip_y else data
    return Image(
        data=data if is_stack or len(data) > 1 else data[0],
        experiment_id=strip_path_and_suffix(path.name) if experiment_id is None else experiment_id,
        pixel_spacing=spacing,
        source=path,
        stack=is_stack,
        metadata={
            "format": "dm",
            "version": version,
            "images": len(images),
            "index": chosen,
            "flip_y": flip_y,
            **images[chosen].facts(),
        },
    )


def _load(path: Path) -> tuple[int, int, Group]:
    """Return version, size and tags of a file that may be whole."""
    with path.open("rb") as file:
        header, size = _header(file.read(64)), path.stat().st_size
        if header is None:
            raise ReadError("expected a DM3 or DM4 file, found other (or compressed) bytes", path)
        if not header.is_little:
            raise ReadError(
                "its numbers are big-endian, as DigitalMicrograph on old Macs wrote them; save it "
                "anew with a newer DigitalMicrograph",
                path,
            )
        expected = header.length + _AROUND[header.version]
        if size < expected:
            raise ReadError(f"cut: expected {expected} bytes at least, found {size}", path)
        try:
            return header.version, size, read_tags(file, header.version)
        except ValueError as error:
            raise ReadError(f"damaged DM file: {error}", path) from error


class _Axis(NamedTuple):
    """How an axis is calibrated."""

    scale: float
    units: str

    @property
    def angstrom(self) -> float:
        """Å per pixel; 0 if it is not calibrated in a length."""
        value = self.scale * _UNITS.get(self.units, 0.0)
        return float(f"{value:.7g}") if 0 < value < math.inf else 0.0  # single precision


class _Place(NamedTuple):
    """Where the pixels are."""

    dtype: str
    shape: tuple[int, ...]
    offset: int


@dataclass(frozen=True)
class _Stored:
    """An image of the file: its tags, by their path below that of the image."""

    tags: Group

    def tag(self, name: str) -> Any:
        """Return a tag by the names of its groups and its own, with dots; None for none."""
        found: Any = self.tags
        for part in name.split("."):
            found = found.get(part) if isinstance(found, dict) else None
        return found

    def whole(self, name: str) -> int:
        """Return a tag that is a whole number; -1 for anything else."""
        value = self.tag(name)
        return value if isinstance(value, int) else -1

    def number(self, name: str) -> float:
        """Return a tag that is a number; NaN for anything else."""
        value = self.tag(name)
        return float(value) if isinstance(value, (int, float)) else math.nan

    def text(self, name: str) -> str:
        """Return a tag that is text; an empty one for anything else."""
        value = self.tag(name)
        return value.text.strip("\0 ") if isinstance(value, Array) else ""

    @property
    def shape(self) -> tuple[int, ...]:
        """As numpy has it, x last; without sizes of one before the last three."""
        names = [f"ImageData.Dimensions.{number}" for number in range(1, 10)]
        sizes = [self.whole(name) for name in names if self.tag(name) is not None]
        while len(sizes) > 3 and sizes[-1] == 1:
            sizes.pop()
        return tuple(sizes[::-1])

    @property
    def axes(self) -> list[_Axis]:
        """Those of `shape`."""
        names = [f"ImageData.Calibrations.Dimension.{n}" for n in range(len(self.shape), 0, -1)]
        return [_Axis(self.number(f"{name}.Scale"), self.text(f"{name}.Units")) for name in names]

    def describe(self) -> str:
        """Say size and type in words."""
        import numpy as np

        code = self.whole(_TYPE)
        known = np.dtype(_TYPES[code]).name if code in _TYPES else f"type {code}"
        return f"{' × '.join(map(str, self.shape[::-1]))} of {_OTHER_TYPES.get(code, known)}"

    def place(self, size: int, path: Path) -> _Place:
        """Return where the pixels are, if they are those of an image and all in the file."""
        import numpy as np

        dtype, shape = _TYPES.get(self.whole(_TYPE)), self.shape
        if dtype is None:
            raise ReadError(f"expected real numbers, found {self.describe()}", path)
        if self.text(f"ImageTags.{_FORMAT}").lower().startswith("spectrum"):
            raise ReadError(f"expected an image, found spectra, {self.describe()}", path)
        if len(shape) not in (2, 3) or min(shape) < 1:
            raise ReadError(f"expected an image, volume or stack, found {self.describe()}", path)
        offset, stored, _ = self.tag("ImageData.Data")
        needed = math.prod(shape) * np.dtype(dtype).itemsize
        if stored != needed:
            raise ReadError(
                f"damaged: {self.describe()} needs {needed} bytes, there are {stored}", path
            )
        if offset + needed > size:
            raise ReadError(f"cut: expected {offset + needed} bytes at least, found {size}", path)
        return _Place(dtype, shape, offset)

    def facts(self) -> dict[str, Any]:
        """Return what is of use in ``metadata``; x is first, as in the file."""
        facts: dict[str, Any] = {
            "name": self.text("Name"),
            "data_type": self.whole(_TYPE),
            "scale": tuple(axis.scale for axis in self.axes[::-1]),
            "units": tuple(axis.units for axis in self.axes[::-1]),
        }
        brightness = "ImageData.Calibrations.Brightness."
        wanted = {
            **{f"intensity_{n.lower()}": f"{brightness}{n}" for n in ("Scale", "Origin", "Units")},
            **{name: f"ImageTags.{name}" for name in _TAGS},
        }
        for name, tag in wanted.items():
            text, number = self.text(tag), self.number(tag)
            if text or math.isfinite(number):
                facts[name] = text or number
        return facts


def _images(tags: Group) -> list[_Stored]:
    """Return the images of the file; thumbnails only if there is nothing else."""
    images = {name: _Stored(group) for name, group in _groups(tags, "ImageList")}
    images = {n: i for n, i in images.items() if isinstance(i.tag("ImageData.Data"), Array)}
    places = [_Stored(group).whole("ImageIndex") for _, group in _groups(tags, "Thumbnails")]
    thumbnails = {str(place + 1) for place in places}
    first = next(iter(images.values()), None)
    if not places and first is not None and first.whole(_TYPE) == _THUMBNAIL:
        thumbnails = {next(iter(images))}
    return [i for n, i in images.items() if n not in thumbnails] or list(images.values())


def _groups(tags: Group, name: str) -> list[tuple[str, Group]]:
    """Return the numbered groups of one."""
    group = tags.get(name)
    entries = group.items() if isinstance(group, dict) else ()
    return [(n, found) for n, found in entries if n.isdecimal() and isinstance(found, dict)]


def _choose(images: list[_Stored], index: int | None, path: Path) -> int:
    listing = "; ".join(f"{n}: {image.describe()}" for n, image in enumerate(images[:_LISTED]))
    if not images:
        raise ReadError("expected an image, found tags alone", path)
    if index is not None:
        if not 0 <= index < len(images):
            raise ReadError(f"there is no image {index}; the file has {listing}", path)
        return index
    possible = [n for n, image in enumerate(images) if len(image.shape) in (2, 3)]
    if len(possible) > 1:
        raise ReadError(f"there are several images, {listing}; choose with index=", path)
    return possible[0] if possible else 0


def _spacing(axes: list[_Axis], is_stack: bool) -> tuple[float, str]:
    """Return Å per pixel along x, 0 for unknown, and what is doubtful about it."""
    x, y = axes[-1].angstrom, axes[-2].angstrom
    if not x:
        units = axes[-1].units
        if not units or units in _UNITS:
            return 0.0, (
                "no pixel spacing in the file, 0 (unknown) is assumed; state pixel_spacing="
            )
        return 0.0, (
            f"the pixels are calibrated in {units!r}, which is no length; 0 (unknown) is assumed; "
            "state pixel_spacing="
        )
    others = {"y": y} if is_stack or len(axes) == 2 else {"y": y, "z": axes[0].angstrom}
    for axis, other in others.items():
        if abs(other - x) > _UNEQUAL * x and (other or axis == "y"):
            length = f"{other:g} Å" if other else "unknown"
            return x, f"pixels are {x:g} Å along x but {length} along {axis}; state pixel_spacing="
    return x, ""


FORMAT = Format(
    name="dm",
    title="Gatan DM3 and DM4",
    kind="image",
    suffixes=(".dm4", ".dm3"),
    sniff=sniff,
    read=read,
    keeps=frozenset({"data", "pixel_spacing"}),
    evidence=(
        "run: files of GMS 2 and 3, values and calibrations as RosettaSciIO 0.15 reads "
        "them; source: the rows are reversed by IMOD (dm2mrc calls raw2mrc -f, analyzeDM3 "
        "sets yInverted) and EMAN2 (flip_vertical in dm3io.cpp, dm4io.cpp), not by Xmipp "
        "(rwDM3.cpp); documentation of the tags by C. Boothroyd and G. Jefferis"
    ),
    url="https://imagej.net/ij/plugins/DM3Format.gj.html",
)
