"""Folders aside: where a target is made before it takes its place.

Their names cannot be guessed, only their owner may enter, and they are made by us or not at all:
no link that waits there is written through. Each is locked as long as its process lives; what is
not locked was left by one that was killed, and the next write of the same target removes it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LOCK, _OLD = ".lock", ".old"
_LONGEST = 200  # bytes of a target's name; file systems allow 255
_AT_FDCWD, _EXCHANGE = -100, 2  # of Linux


@contextmanager
def aside(target: Path) -> Iterator[Path]:
    """Give a folder beside a target, on the same file system; it is removed with all in it.

    Parameters
    ----------
    target : Path
        No link, see `Path.resolve`.

    Raises
    ------
    OSError
        Python's own, with the path of the target, if none can be made.
    """
    _remove_left(target)
    try:
        folder, lock = _make(target)
    except OSError as error:
        raise OSError(error.errno, os.strerror(error.errno or 0), str(target)) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def short_name(target: Path) -> str:
    """Shorten a name that is too long to be made longer."""
    return os.fsdecode(os.fsencode(target.name)[:_LONGEST])


def _make(target: Path) -> tuple[Path, int | None]:
    while True:
        folder = target.with_name(f".cryotypes-{secrets.token_hex(8)}.{short_name(target)}")
        folder.mkdir(mode=0o700)
        with contextlib.suppress(FileNotFoundError):  # another took it for one that was left
            lock = _lock(folder, wait=True)
            if lock is None or (folder / _LOCK).exists():
                return folder, lock
            os.close(lock)


def _lock(folder: Path, wait: bool) -> int | None:
    """Lock a folder of ours; None where the system cannot, or another has it."""
    lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    if _locked(lock, wait):
        return lock
    os.close(lock)
    return None


def _locked(file: int, wait: bool) -> bool:
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except (ImportError, OSError):
        return False
    return True


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Wait until nobody else is here with the same folder, as far as the system can tell."""
    file = os.open(folder, os.O_RDONLY)
    try:
        _locked(file, wait=True)
        yield
    finally:
        os.close(file)


def _remove_left(target: Path) -> None:
    """Remove what dead processes left; what they had moved away is put back."""
    ours = re.compile(rf"\.cryotypes-[0-9a-f]{{16}}\.{re.escape(short_name(target))}")
    with contextlib.suppress(OSError), os.scandir(target.parent) as entries:
        left = [
            e.name for e in entries if ours.fullmatch(e.name) and e.is_dir(follow_symlinks=False)
        ]
    for name in left:
        folder = target.with_name(name)
        with contextlib.suppress(OSError):
            lock = _lock(folder, wait=False)
            if lock is None:
                continue
            if (folder / _OLD).exists() and not target.exists():
                (folder / _OLD).replace(target)
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)


def inherit(target: Path, new: Path) -> None:
    """Give what is to replace a target its mode, and its owner and group as far as allowed."""
    try:
        old = target.stat()
    except FileNotFoundError:
        return
    mode, own = old.st_mode & 0o7777, new.stat()
    if (old.st_uid, old.st_gid) != (own.st_uid, own.st_gid):
        try:
            os.chown(new, old.st_uid, old.st_gid)
        except PermissionError:
            mode &= 0o777  # what runs as its owner would run as another
            with contextlib.suppress(PermissionError):
                os.chown(new, -1, old.st_gid)
    new.chmod(mode)


def exchange(new: Path, target: Path) -> None:
    """Put a new folder in the place of a target, and the target in that of the new one.

    It is one step where the system can do it (Linux, on most of its file systems). Else the
    target is away for a moment; if the process ends just then, the next write puts it back.
    """
    try:
        _exchange_at_once(new, target)
    except OSError:
        old = new.with_name(_OLD)
        target.replace(old)
        try:
            new.replace(target)
        except BaseException:
            old.replace(target)
            raise


def _exchange_at_once(new: Path, target: Path) -> None:
    """Call renameat2(2)."""
    import ctypes

    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    paths = os.fsencode(new), os.fsencode(target)
    if call(_AT_FDCWD, paths[0], _AT_FDCWD, paths[1], _EXCHANGE):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(target))
