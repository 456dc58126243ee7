"""Files: read uncompressed; written aside and renamed, so that a failure leaves the old one."""

from __future__ import annotations

import bz2
import errno
import gzip
import os
import shutil
import stat
import warnings
import zlib
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

from cryotypes.errors import GuessWarning, ReadError

from .aside import aside, inherit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_COMPRESSION = (".gz", ".bz2")
R = TypeVar("R")
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
    check_regular(path)
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


def read_bytes(path: Path) -> bytes:
    """Read a file as a whole, see `reading_bytes`."""
    with reading_bytes(path) as file:
        return bytes(file.read())


def plain_text(raw: bytes, path: Path) -> bytes:
    r"""Return text with ``\n`` at line ends, and without the byte order mark of Windows editors.

    Raises
    ------
    ReadError
        If it is binary.
    """
    if b"\0" in raw:
        raise ReadError("expected a text file, found binary data", path)
    raw = raw.removeprefix(b"\xef\xbb\xbf")
    return raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in raw else raw


def read_text(path: Path, *, blank: bool = True) -> bytes:
    """Read a text file, see `reading_bytes` and `plain_text`.

    Raises
    ------
    ReadError
        If it is empty, or blank where it must not be, or binary.
    """
    raw = read_bytes(path)
    if not (raw if blank else raw.strip()):
        raise ReadError("the file is empty", path)
    return plain_text(raw, path)


def read_lines(path: Path) -> list[str]:
    """Read the lines of a text file, whatever is not UTF-8 replaced; see `read_text`.

    Raises
    ------
    ReadError
        If it is blank or binary.

    Warns
    -----
    GuessWarning
        If the last line has no end, and may be cut.
    """
    raw = read_text(path, blank=False)
    warn_if_cut(raw, path)
    return raw.decode("utf-8", errors="replace").split("\n")


def decode_utf8(raw: bytes, path: Path) -> str:
    """Decode text, without its byte order mark.

    Raises
    ------
    ReadError
        If it is other than UTF-8.
    """
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ReadError(f"expected UTF-8 text, found other bytes ({error})", path) from error


def check_regular(path: Path) -> None:
    """Refuse what would wait for ever for somebody to write into it, or never end.

    Raises
    ------
    OSError
        Python's own, for a missing file.
    ReadError
        For a pipe or a device.
    """
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # of a directory Python says it itself
        raise ReadError("expected a regular file, found a pipe or a device", path)


def read_companion(read: Callable[[Path], R], path: Path) -> R | None:
    """Read a file that nobody named; None if it cannot be read.

    Warns
    -----
    GuessWarning
        If it cannot.
    """
    try:
        return read(path)
    except (OSError, ReadError) as error:
        text = f"{path} is left out: {error}; name what it holds, or the file, if it is needed"
        warnings.warn(text, GuessWarning, stacklevel=3)
        return None


def warn_if_cut(text: bytes, path: Path) -> None:
    """Warn of a text file that ends within a line: its last word may be half a word.

    There are whole files without a last line end, so it is no error; but a number that lost its
    last digits is still a number, and a row that lost its last columns may still be a row.

    Parameters
    ----------
    text : bytes
        The content, or the end of it.
    path : Path
    """
    last = text[text.rfind(b"\n") + 1 :]
    if last.strip() and not last.startswith(b"#"):
        warnings.warn(
            f"{path}: the file does not end with a line end; assumed that its last line is not "
            "cut (if it is whole, end it with a new line)",
            GuessWarning,
            stacklevel=5,
        )


def refuse_overwrite(path: Path, overwrite: bool) -> Path:
    """Return where a file is to be, links followed.

    Raises
    ------
    FileExistsError
        If there is one and ``overwrite`` is False; or a pipe or a device, which is never replaced.
    OSError
        Python's own, if the path cannot be one of a file.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        mode = None
    if mode is not None and stat.S_ISDIR(mode):
        raise IsADirectoryError(f"{path} is a directory")
    if mode is not None and not stat.S_ISREG(mode):
        raise FileExistsError(f"{path} is a pipe or a device, no regular file; it is not replaced")
    if mode is not None and not overwrite:
        raise FileExistsError(f"{path} exists; overwrite it with overwrite=True (--overwrite)")
    target = path.resolve()
    if not target.parent.is_dir():
        raise FileNotFoundError(f"{target.parent} is not a directory; make it first")
    return target


@contextmanager
def writing(path: Path, overwrite: bool) -> Iterator[Path]:
    """Give a temporary path aside; on success it takes the place of ``path``, else it is removed.

    A link is followed: the file behind it is replaced, not the link. Its mode, owner and group
    are kept as far as the system allows.

    Raises
    ------
    FileExistsError
        Before anything is written, if the file exists and ``overwrite`` is False.
    """
    target = refuse_overwrite(path, overwrite)
    try:
        with aside(target) as folder:
            temporary = folder / target.name
            yield temporary
            refuse_overwrite(path, overwrite)
            inherit(target, temporary)
            temporary.replace(target)
    except OSError as error:
        say_if_full(error, path)
        raise


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
    with writing(path, overwrite) as temporary, packing(temporary, compression_of(path)) as file:
        yield file


@contextmanager
def packing(path: Path, compression: str) -> Iterator[IO[bytes]]:
    """Open a file to be written; neither its name nor the time goes into what is compressed."""
    with path.open("wb") as file:
        if compression == ".gz":
            with gzip.GzipFile("", "wb", 6, file, mtime=0) as compressed:
                yield compressed  # type: ignore[misc]
        elif compression == ".bz2":
            with bz2.open(file, "wb") as compressed:
                yield compressed
        else:
            yield file
