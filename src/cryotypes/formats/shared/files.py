"""Files are written aside and renamed: a failure or a kill leaves the old file."""

from __future__ import annotations

import bz2
import errno
import gzip
import os
import shutil
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from .declaration import compression_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LITTLE = 1 << 23  # bytes that are free where the next write fails


def refuse_overwrite(path: Path, overwrite: bool) -> None:
    """Raise FileExistsError unless the path is free or ``overwrite``."""
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a directory")
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists; overwrite it with overwrite=True (--overwrite)")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path.parent} is not a directory; make it first")


@contextmanager
def writing(path: Path, overwrite: bool) -> Iterator[Path]:
    """Give a temporary path beside ``path``; on success it takes its place, else it is removed.

    A link is followed: the file behind it is replaced, not the link.

    Raises
    ------
    FileExistsError
        Before anything is written, if the file exists and ``overwrite`` is False.
    """
    refuse_overwrite(path, overwrite)
    target = path.resolve()
    temporary = target.with_name(f".{os.getpid()}.{target.name}")
    try:
        yield temporary
        if target.exists():
            temporary.chmod(target.stat().st_mode & 0o7777)
        elif not overwrite:
            refuse_overwrite(target, overwrite)
        temporary.replace(target)
    except OSError as error:
        say_if_full(error, path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def say_if_full(error: BaseException, path: Path) -> None:
    """Raise an error that names the file, if the disk is full.

    Libraries say it in other words, or none: how many bytes they could not write.
    """
    if not isinstance(error, OSError):
        return
    full = error.errno == errno.ENOSPC
    if error.errno is None and path.parent.is_dir():
        full = shutil.disk_usage(path.parent).free < _LITTLE
    if full:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error


@contextmanager
def writing_bytes(path: Path, overwrite: bool) -> Iterator[IO[bytes]]:
    """Give a binary file that becomes ``path``, compressed if its suffix says so."""
    with writing(path, overwrite) as temporary:
        compression = compression_of(path)
        if compression == ".gz":
            with gzip.open(temporary, "wb", compresslevel=6) as compressed:
                yield compressed  # type: ignore[misc]
        elif compression == ".bz2":
            with bz2.open(temporary, "wb") as compressed:
                yield compressed
        else:
            with temporary.open("wb") as file:
                yield file
