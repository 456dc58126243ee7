"""Files: read uncompressed; written aside and renamed, so that a failure leaves the old one."""

from __future__ import annotations

import bz2
import errno
import gzip
import os
import shutil
import warnings
import zlib
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from cryotypes.errors import GuessWarning, ReadError

if TYPE_CHECKING:
    from collections.abc import Iterator

_COMPRESSION = (".gz", ".bz2")
_LITTLE = 1 << 23  # bytes that are free where the next write fails


def suffix_of(path: Path) -> str:
    """Return the lower-case suffix without a compression's: ``.mrc`` of ``a.MRC.gz``."""
    path = Path(path.name.lower())
    return path.with_suffix("").suffix if path.suffix in _COMPRESSION else path.suffix


def compression_of(path: Path) -> str:
    """Return ``.gz``, ``.bz2`` or an empty string."""
    suffix = path.suffix.lower()
    return suffix if suffix in _COMPRESSION else ""


@contextmanager
def reading_bytes(path: Path) -> Iterator[Any]:
    """Open for reading bytes, uncompressed; gzip and bzip2 are known by their content.

    Raises
    ------
    OSError
        Python's own, for a missing or unreadable file.
    ReadError
        If compressed data are damaged.
    """
    with path.open("rb") as file:
        magic = file.read(3)
        if magic[:2] != b"\x1f\x8b" and magic != b"BZh":
            file.seek(0)
            yield file
            return
    opener: Any = bz2.open if magic == b"BZh" else gzip.open
    try:
        with opener(path, "rb") as file:
            yield file
    except (EOFError, zlib.error) as error:
        raise ReadError(f"damaged compressed file ({error})", path) from error
    except OSError as error:
        if error.errno is not None:  # the system's complaint, not that of the decompression
            raise
        raise ReadError(f"damaged compressed file ({error})", path) from error


def warn_if_cut(text: bytes, path: Path) -> None:
    """Warn of a text file that ends within a line: its last word may be half a word.

    There are whole files without a last line end, so it is no error; but a number that lost its
    last digits is still a number, and a row that lost its last columns may still be a row.

    Parameters
    ----------
    text : bytes
        The content, or the end of it.
    path : Path

    Warns
    -----
    GuessWarning
    """
    last = text[text.rfind(b"\n") + 1 :]
    if last.strip() and not last.startswith(b"#"):
        warnings.warn(
            f"{path}: the file does not end with a line end; assumed that its last line is not "
            "cut (if it is whole, end it with a new line)",
            GuessWarning,
            stacklevel=5,
        )


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
