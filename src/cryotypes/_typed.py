"""What type checkers see of the fields of our types; what runs is a plain dataclass.

A field takes all that numpy makes an array of, and gives an array. That is what readers,
operations and validators leave in it; whatever else a caller put there stays as it was given, as in
0.2.0, until it is validated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from dataclasses import field
    from typing import Generic, Protocol, TypeAlias, TypeVar, dataclass_transform

    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    Taken = TypeVar("Taken", contravariant=True)
    Given = TypeVar("Given", covariant=True)
    T = TypeVar("T")

    class ArrayOnDemand(Protocol):
        """An array in memory, in a file or of dask's: what is sliced is read."""

        @property
        def shape(self) -> tuple[int, ...]: ...
        @property
        def ndim(self) -> int: ...
        @property
        def dtype(self) -> np.dtype[Any]: ...
        def __len__(self) -> int: ...
        def __getitem__(self, key: Any) -> NDArray[Any]: ...
        def __array__(self) -> NDArray[Any]: ...

    class _Field(Generic[Taken, Given]):
        def __get__(self, instance: object, owner: type) -> Given: ...
        def __set__(self, instance: object, value: Taken) -> None: ...
        def __array__(self) -> NDArray[Any]: ...  # Protocols see the field, not what it gives

    Array: TypeAlias = _Field[ArrayLike, NDArray[Any]]
    ArrayOrNone: TypeAlias = _Field[ArrayLike | None, NDArray[Any] | None]
    ImageData: TypeAlias = _Field[ArrayLike, ArrayOnDemand]

    # mypy heeds descriptors without a default in other dataclasses than Python's own
    @dataclass_transform(field_specifiers=(field,))
    def dataclass(*, repr: bool = True) -> Callable[[type[T]], type[T]]: ...
else:  # names for typing.get_type_hints; the real ones would import numpy
    from dataclasses import dataclass as dataclass

    Array = ArrayOrNone = ImageData = Any

NONE: Any = None  # the default of a field that takes None
