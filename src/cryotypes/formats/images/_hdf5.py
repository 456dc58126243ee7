"""What readers of HDF5 share: errors of the library in our words, and what it does not check.

https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html
"""

from __future__ import annotations

import math
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

from cryotypes.errors import MissingPackageError, ReadError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LARGE = 1 << 28  # bytes of a chunk, which is unpacked whole for any part of it
_MOST_TIMES = 64  # what is stored of such a chunk
_LINKS = 16  # that lead to each other
_DENSEST = 1032  # zlib: a byte stands for so many at most
_MAGIC = b"\x89HDF\r\n\x1a\n"
# Filters of the package hdf5plugin, by their registered numbers (its FILTERS, version 7.1).
_OF_PLUGIN = {
    **{307: "BZIP2", 32001: "Blosc", 32004: "LZ4", 32008: "bitshuffle", 32013: "ZFP"},
    **{32015: "Zstandard", 32017: "SZ", 32018: "FCIDECOMP", 32024: "SZ3", 32026: "Blosc2"},
    **{32028: "SPERR", 32033: "HTJ2K"},
}
# What the library raises for damaged files: it believes what they say.
_DAMAGE = (
    *(OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError, IndexError),
    *(ArithmeticError, MemoryError, UnicodeError, NotImplementedError),
)


def looks_like_hdf5(data: bytes) -> bool:
    """Tell an HDF5 file by its signature and the sizes that its superblock states."""
    if data[:8] != _MAGIC or len(data) < 48 or data[8] > 3:
        return False
    sizes = data[13:15] if data[8] < 2 else data[9:11]
    return all(size in (2, 4, 8, 16) for size in sizes)


def h5py_for(purpose: str) -> Any:
    """Import h5py.

    Raises
    ------
    MissingPackageError
    """
    try:
        import h5py
    except ImportError as error:
        raise MissingPackageError("h5py", "hdf", purpose) from error
    return h5py


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Open for reading.

    Raises
    ------
    OSError
        Python's own, for a missing or unreadable file.
    ReadError
        For whatever the library complains of, then or while the file is open.
    """
    h5py = h5py_for("reading HDF5")
    path.open("rb").close()
    try:
        with h5py.File(path, "r") as file:
            yield file
    except ReadError:
        raise
    except _DAMAGE as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ReadError(f"cannot be read as HDF5 ({reason})", path) from error


def is_image(dataset: Any) -> bool:
    """Whether a dataset holds numbers in two or three dimensions, and any at all."""
    shape = dataset.shape
    return shape is not None and len(shape) in (2, 3) and 0 not in shape and _is_numeric(dataset)


def _is_numeric(dataset: Any) -> bool:
    try:
        return dataset.dtype.kind in "iufcb"
    except TypeError:  # a type that numpy has not
        return False


def member(group: Any, name: str, path: Path, external: bool = False, left: int = _LINKS) -> Any:
    """Return what a name stands for in a group, None for nothing.

    Raises
    ------
    ReadError
        If a link leads to another file, unless ``external``: nobody asked for that one.
    """
    if external:
        return group.get(name)
    h5py = h5py_for("reading HDF5")
    here = group["/"] if name.startswith("/") else group
    for part in filter(None, name.split("/")):
        link = here.get(part, getlink=True) if isinstance(here, h5py.Group) else None
        if isinstance(link, h5py.ExternalLink):
            raise ReadError(_elsewhere(f"{here.name}/{part}", [link.filename]), path)
        if isinstance(link, h5py.SoftLink):
            here = member(here, link.path, path, left=left - 1) if left else None
        else:
            here = None if link is None else here.get(part)
    return here


def _elsewhere(name: str, files: list[str]) -> str:
    return (
        f"{name}: its values are in other files ({', '.join(files[:3])}), which are read only if "
        "external=True asks for that"
    )


def check_filters(dataset: Any, path: Path) -> None:
    """Refuse a dataset that is packed with a filter that nobody has installed.

    The plugins of hdf5plugin are loaded where they are wanted, if that is installed: a program that
    reads HDF5 without it finds them only if somebody imported it.

    Raises
    ------
    ReadError
        That names the filter, and what to install.
    """
    available = h5py_for("reading HDF5").h5z.filter_avail
    plan = dataset.id.get_create_plist()
    for place in range(plan.get_nfilters()):
        number, _, _, stated = plan.get_filter(place)
        if available(number) or not _is_used(dataset, place):
            continue
        with suppress(ImportError):
            import_module("hdf5plugin")
        if available(number):
            continue
        name = _OF_PLUGIN.get(number) or stated.decode("utf-8", "replace")
        remedy = "install its plugin in a folder that HDF5_PLUGIN_PATH names"
        raise ReadError(
            f"{dataset.name}: packed with HDF5 filter {number}{f' ({name})' if name else ''}, "
            "which is not installed; "
            f"{'pip install hdf5plugin' if number in _OF_PLUGIN else remedy}",
            path,
        )


def _is_used(dataset: Any, place: int) -> bool:
    """Tell whether any chunk went through a filter: each may leave out those that are optional."""
    if not hasattr(dataset.id, "chunk_iter"):
        return True
    used = dataset.id.chunk_iter(lambda chunk: None if chunk.filter_mask >> place & 1 else True)
    return bool(used)


def check_stored(dataset: Any, path: Path, external: bool = False) -> None:
    """Refuse a dataset whose shape does not go with what is stored of it, or cannot be unpacked.

    One whose values are in other files, which may be any that the user can read, is refused unless
    ``external``.

    Raises
    ------
    ReadError
    """
    check_filters(dataset, path)
    name, stored = dataset.name, dataset.id.get_storage_size()
    if dataset.is_virtual or dataset.external:
        if not external:
            found = [one[0] for one in dataset.external or ()]
            found += [one.file_name for one in (dataset.virtual_sources() if not found else ())]
            raise ReadError(_elsewhere(name, found), path)
        return
    if stored == 0:
        raise ReadError(f"{name}: expected data, found a dataset that was never written", path)
    if dataset.chunks is None and stored != dataset.nbytes:
        raise ReadError(f"{name}: expected {dataset.nbytes} bytes, found {stored}", path)
    if dataset.chunks is not None and hasattr(dataset.id, "chunk_iter"):
        _check_chunks(dataset, path)


def _check_chunks(dataset: Any, path: Path) -> None:
    """Refuse chunks of impossible sizes: the library does not, and crashes (run: HDF5 2.0).

    A chunk with a checksum must be longer than the checksum's four bytes. None becomes longer by
    compression than by a little, nor shorter by deflate than to a 1032th.
    """
    size = math.prod(dataset.chunks) * dataset.dtype.itemsize
    least = 5 if dataset.fletcher32 else 1
    if dataset.compression == "gzip":
        least = max(least, size // _DENSEST)
    most = min(path.stat().st_size, size + size // 64 + 4096)

    def impossible(chunk: Any) -> int | None:
        return None if least <= chunk.size <= most else int(chunk.size)

    found = dataset.id.chunk_iter(impossible)
    if found is not None:
        raise ReadError(
            f"{dataset.name}: expected chunks of {least} to {most} bytes, found {found}", path
        )
    packed = _largest_made_of_little(dataset, size)
    if packed:
        raise ReadError(
            f"{dataset.name}: a chunk of {packed} bytes unpacks to {size}, for any part of it; if "
            "that is meant, cut it into smaller ones (h5repack -l CHUNK=64x64x64)",
            path,
        )


def _largest_made_of_little(dataset: Any, size: int) -> int:
    """Return the bytes of a chunk that would take far more memory than it has; 0 for none."""
    if size <= _LARGE:
        return 0
    return int(
        dataset.id.chunk_iter(
            lambda chunk: int(chunk.size) if chunk.size * _MOST_TIMES < size else None
        )
        or 0
    )
