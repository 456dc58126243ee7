"""The PoseSet. Standard library only."""

from __future__ import annotations

from dataclasses import Field, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from cryotypes._typed import NONE, Array, ArrayOrNone, dataclass

from ._attributes import PoseSetProtocol as PoseSetProtocol

if TYPE_CHECKING:
    from pandas import DataFrame
    from scipy.spatial.transform import Rotation
else:  # names for typing.get_type_hints; the real ones would import pandas and scipy
    DataFrame = Rotation = Any


@dataclass(repr=False)
class PoseSet:
    """The poses of n particles in one experiment.

    A subclass may add fields (with defaults); arrays, tables, Rotations and lists with one entry a
    particle are sliced along, unless the field says ``metadata={"per_particle": False}``.

    Parameters
    ----------
    position : array_like, shape (n, 3)
        xyz in pixels; the centre of the first pixel is (0, 0, 0). 2D data have z = 0.
    shift : array_like, shape (n, 3), optional
        xyz in pixels, additive: ``position + shift`` is where the particle is. None: no shift.
    orientation : scipy.spatial.transform.Rotation, n rotations, optional
        Rotates the basis vectors of the reference (ordered xyz) so that they are correctly
        oriented in the tomogram. None: unknown (identity is a known orientation).
    experiment_id : str
        Links particles, tilt series and tomogram; exactly what the file says.
    pixel_spacing : float
        Å per pixel of ``position`` and ``shift``; 0: unknown.
    source : path or str
        The file the poses were read from.
    features : pandas.DataFrame, n rows, optional
        Everything else the file says of each particle; the index is the row in the source file.
    metadata : dict, optional
        What the file says of all particles: optics groups, general blocks, tomogram size.

    Examples
    --------
    >>> from cryotypes import PoseSet
    >>> PoseSet([[10, 20, 30], [40, 50, 60]], experiment_id="TS_01", pixel_spacing=10)
    PoseSet 'TS_01': 2 particles, 10 Å/px, no shift, no orientation
    """

    position: Array
    shift: ArrayOrNone = NONE
    orientation: Rotation | None = None
    experiment_id: str = ""
    pixel_spacing: float = 0.0
    source: Path | str = ""
    features: DataFrame | None = None
    metadata: dict[str, Any] | None = field(default=None, metadata={"per_particle": False})

    if TYPE_CHECKING:  # as Python's own dataclass has them
        __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    def __len__(self) -> int:
        from ._operations import count

        return count(self)

    def __bool__(self) -> bool:
        return True  # as any object of 0.2.0, also without particles; ask len(poseset)

    def __getitem__(self, index: Any) -> Self:
        """Select particles by mask, slice, indices, or one number (a PoseSet of one)."""
        from ._operations import select

        return select(self, index)

    def __repr__(self) -> str:
        from ._summary import one_line

        return one_line(self)

    def _repr_html_(self) -> str:
        from ._summary import html_table

        return html_table(self)
