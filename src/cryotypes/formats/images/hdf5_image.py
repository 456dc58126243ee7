"""HDF5 of any program, read only: one dataset is taken for the image.

HDF5 says nothing of what its datasets mean, nor how large a voxel is. The array is taken as it is
stored, the last axis x.

https://support.hdfgroup.org/documentation/hdf5/latest/
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryotypes.errors import ReadError
from cryotypes.formats.shared.declaration import Format, Head
from cryotypes.names import strip_path_and_suffix

from . import eman2_hdf
from ._hdf5 import check_stored, h5py_for, is_image, looks_like_hdf5, member, opened
from ._image_data import checked_spacing

if TYPE_CHECKING:
    from cryotypes.image import Image

_LISTED = 20  # datasets that an error names


def sniff(head: Head) -> bool:
    """An HDF5 file, but not one of EMAN2."""
    return looks_like_hdf5(head.data) and not eman2_hdf.sniff(head)


def read(
    path: Path,
    *,
    dataset: str | None = None,
    pixel_spacing: float | None = None,
    stack: bool = False,
    experiment_id: str | None = None,
    external: bool = False,
) -> Image:
    """Read one dataset of an HDF5 file; its data are read when they are asked for.

    Parameters
    ----------
    path : path
    dataset : str, optional
        Path within the file, as in ``"/volume/data"``. By default the only one that has numbers
        in two or three dimensions.
    pixel_spacing : float, optional
        Å; HDF5 has no place for it, so without this it is 0 (unknown).
    stack : bool
        Whether the sections are separate images.
    experiment_id : str, optional
        By default the file's name without suffixes.
    external : bool
        Whether values may be read from other files that this one names (links, external storage,
        virtual datasets): they may be any files of yours.

    Returns
    -------
    Image
        The data are a lazy array of the shape and dtype in the file (native byte order);
        ``metadata["dataset"]`` is the path within the file.

    Raises
    ------
    ReadError
        If it is damaged, or not exactly one dataset may be meant; the message lists them.
    MissingPackageError
        If h5py is not installed.
    """
    from cryotypes.image import Image

    from ._hdf5_array import HdfArray, Part

    path = Path(path)
    spacing = 0.0 if pixel_spacing is None else checked_spacing(pixel_spacing)
    with opened(path) as file:
        found = _choose(file, path) if dataset is None else _named(file, dataset, path, external)
        check_stored(found, path, external)
        name, shape = str(found.name), tuple(map(int, found.shape))
        data = HdfArray(path, [Part(name)], shape, found.dtype.newbyteorder("="), found.chunks)
    if stack and len(shape) != 3:
        raise ReadError(f"{name}: a stack has three dimensions, found shape {shape}", path)
    return Image(
        data=data,
        experiment_id=strip_path_and_suffix(path.name) if experiment_id is None else experiment_id,
        pixel_spacing=spacing,
        source=path,
        stack=bool(stack),
        metadata={"dataset": name},
    )


def _named(file: Any, name: str, path: Path, external: bool) -> Any:
    h5py = h5py_for("reading HDF5")
    everything = _datasets(file)
    found = member(file, name, path, external)
    if not isinstance(found, h5py.Dataset):
        raise ReadError(f"no dataset {name!r}; there is {_listing(everything)}", path)
    if not is_image(found):
        raise ReadError(
            f"{name}: expected numbers in two or three dimensions, found {_described(found)}", path
        )
    return found


def _choose(file: Any, path: Path) -> Any:
    everything = _datasets(file)
    possible = [found for found in everything if is_image(found)]
    if len(possible) == 1:
        return possible[0]
    if not possible:
        raise ReadError(
            "expected a dataset of numbers in two or three dimensions, found "
            f"{_listing(everything)}",
            path,
        )
    raise ReadError(f"could be {_listing(possible)}; choose with dataset=", path)


def _datasets(file: Any) -> list[Any]:
    h5py = h5py_for("reading HDF5")
    found: list[Any] = []

    def collect(_: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found.append(item)

    file.visititems(collect)
    return found


def _listing(datasets: list[Any]) -> str:
    named = [f"{d.name} ({_described(d)})" for d in datasets[:_LISTED]]
    more = [f"{len(datasets) - _LISTED} more"] if len(datasets) > _LISTED else []
    return ", ".join(named + more) or "no dataset"


def _described(dataset: Any) -> str:
    try:
        kind = str(dataset.dtype)
    except TypeError:
        kind = "a type of its own"
    return f"{kind}, shape {dataset.shape}"


FORMAT = Format(
    name="hdf5",
    title="HDF5 dataset",
    kind="image",
    suffixes=(".h5", ".hdf5"),
    sniff=sniff,
    read=read,
    keeps=frozenset(),
    needs=("h5py",),
    evidence=(
        "documentation: HDF5 file format, which gives no meaning to datasets; "
        "run: files written by h5py 3.16"
    ),
    url="https://support.hdfgroup.org/documentation/hdf5/latest/",
)
