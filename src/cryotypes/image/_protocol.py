"""The Image: what it is, and what counts as one. Standard library only."""

from __future__ import annotations

from dataclasses import Field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

from cryotypes._typed import ImageData, dataclass

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
else:  # a name for typing.get_type_hints; the real one would import numpy
    ArrayLike = Any


if TYPE_CHECKING:  # nothing here asks that they can be set, so that narrower types will do

    @runtime_checkable
    class TomogramProtocol(Protocol):
        @property
        def data(self) -> ArrayLike: ...
        @property
        def experiment_id(self) -> str: ...
        @property
        def pixel_spacing(self) -> float: ...

    MicrographProtocol = TomogramProtocol

    @runtime_checkable
    class ImageProtocol(TomogramProtocol, Protocol):
        @property
        def source(self) -> Path | str: ...
        @property
        def stack(self) -> bool: ...

else:

    @runtime_checkable
    class ImageProtocol(Protocol):
        """What counts as an Image: these five attributes, whatever the class."""

        data: ArrayLike
        experiment_id: str
        pixel_spacing: float
        source: Path | str
        stack: bool

    @runtime_checkable
    class TomogramProtocol(Protocol):
        """A 3D image: ``data`` is (z, y, x)."""

        data: ArrayLike
        experiment_id: str
        pixel_spacing: float

    @runtime_checkable
    class MicrographProtocol(Protocol):
        """A 2D image: ``data`` is (y, x)."""

        data: ArrayLike
        experiment_id: str
        pixel_spacing: float


@dataclass(repr=False)
class Image:
    """A volume, an image, or a stack of 2D images.

    Parameters
    ----------
    data : array_like
        zyx (or yx) order; numpy, dask, zarr … With ``stack``, the first axis counts the images.
    experiment_id : str
        Links particles, tilt series and tomogram.
    pixel_spacing : float
        Isotropic, Å per pixel; 0: unknown.
    source : path or str
        The file the image was read from.
    stack : bool
        Whether the data are a stack of 2D images.
    metadata : dict, optional
        What else the file says, e.g. its header.

    Examples
    --------
    >>> import numpy as np
    >>> from cryotypes import Image
    >>> Image(np.zeros((4, 8, 8), np.float32), experiment_id="TS_01", pixel_spacing=10)
    Image 'TS_01': volume 8 × 8 × 4 (xyz), float32, 10 Å/px
    """

    data: ImageData
    experiment_id: str = ""
    pixel_spacing: float = 0.0
    source: Path | str = ""
    stack: bool = False
    metadata: dict[str, Any] | None = None

    if TYPE_CHECKING:  # as Python's own dataclass has them
        __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    def __repr__(self) -> str:
        return f"{type(self).__name__} {self.experiment_id!r}: {', '.join(self._facts())}"

    def _repr_html_(self) -> str:
        from html import escape

        cells = "".join(f"<li>{escape(fact)}</li>" for fact in [*self._facts(), str(self.source)])
        return f"<b>{type(self).__name__}</b> {escape(repr(self.experiment_id))}<ul>{cells}</ul>"

    def _facts(self) -> list[str]:
        shape = tuple(getattr(self.data, "shape", ()))
        xyz = " × ".join(str(size) for size in (shape[:0:-1] if self.stack else shape[::-1]))
        if self.stack and shape:
            kind = f"stack of {shape[0]} images {xyz} ({'xyz'[: len(shape) - 1]})"
        else:
            kind = f"{'volume' if len(shape) == 3 else 'image'} {xyz} ({'xyz'[: len(shape)]})"
        px = self.pixel_spacing
        known = isinstance(px, (int, float)) and px > 0
        dtype = str(getattr(self.data, "dtype", "no dtype"))
        return [kind, dtype, f"{px:g} Å/px" if known else "unknown pixel spacing"]
