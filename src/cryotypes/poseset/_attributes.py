"""What counts as a PoseSet. Standard library only."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from scipy.spatial.transform import Rotation
else:  # names for typing.get_type_hints; the real ones would import numpy and scipy
    ArrayLike = Rotation = Any


if TYPE_CHECKING:  # nothing here asks that they can be set, so that narrower types will do

    @runtime_checkable
    class PoseSetProtocol(Protocol):
        @property
        def position(self) -> ArrayLike: ...
        @property
        def shift(self) -> ArrayLike | None: ...
        @property
        def orientation(self) -> Rotation | None: ...
        @property
        def experiment_id(self) -> str: ...
        @property
        def pixel_spacing(self) -> float: ...
        @property
        def source(self) -> Path | str: ...

else:

    @runtime_checkable
    class PoseSetProtocol(Protocol):
        """What counts as a PoseSet: these six attributes, whatever the class."""

        position: ArrayLike
        shift: ArrayLike | None
        orientation: Rotation | None
        experiment_id: str
        pixel_spacing: float
        source: Path | str
