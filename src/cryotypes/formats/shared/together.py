"""Files that only mean something together are replaced together.

All are written into one folder, which gets the name that readers know in one step: from then on
the new ones count. Then they are put, one by one, where they belong, and the folder goes. Whoever
reads while that goes on, or after the process was killed during it, reads what is in the folder.
"""

from __future__ import annotations

import os
import secrets
import shutil
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from cryotypes.errors import GuessWarning

from .aside import alone, aside, inherit, short_name
from .files import compression_of, packing, refuse_overwrite, say_if_full, writing_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_NEW = ".cryotypes-new."


def settled(path: Path) -> Path:
    """Tell where a file is to be read: there or, if putting it there was interrupted, elsewhere.

    Warns
    -----
    GuessWarning
        If it is elsewhere; what is beside it there belongs to it.
    """
    target = path.resolve() if path.is_symlink() else path
    waiting = _waiting(target) / target.name
    if not waiting.is_file() or waiting.is_symlink():
        return path
    warnings.warn(
        f"{path}: writing it was interrupted at its very end; what is new is read from "
        f"{waiting.parent} (to end it, write it again, or move these files here)",
        GuessWarning,
        stacklevel=3,
    )
    return waiting


def is_waiting(path: Path) -> bool:
    """Whether a file is one that `settled` found elsewhere."""
    return path.parent.name.startswith(_NEW)


def end_interrupted(path: Path) -> None:
    """Put where it belongs what a killed process has left, before it is asked what lies there."""
    target = path.parent.resolve() / path.name
    if _waiting(target).is_dir():
        with aside(target) as folder, alone(target.parent):
            _put(target, folder)


@contextmanager
def writing_together(
    path: Path, others: Mapping[Path, bytes], overwrite: bool
) -> Iterator[IO[bytes]]:
    """Give a binary file that becomes ``path`` when others become theirs, see `writing_bytes`.

    Parameters
    ----------
    path : Path
    others : dict
        The content of further files. Those that are not below the folder of ``path`` are replaced
        one by one, before it.
    overwrite : bool

    Raises
    ------
    FileExistsError
        Before anything is written, if one of them exists and ``overwrite`` is False.
    """
    target = refuse_overwrite(path, overwrite)
    contents = {_place(other, overwrite): text for other, text in others.items()}
    try:
        with aside(target) as folder:
            staged = folder / "together"
            staged.mkdir()
            with packing(staged / target.name, compression_of(path)) as file:
                yield file
            for other, content in contents.items():
                if not other.is_relative_to(target.parent):
                    with writing_bytes(other, overwrite) as file:
                        file.write(content)
                    continue
                new = staged / other.relative_to(target.parent)
                new.parent.mkdir(exist_ok=True)
                with packing(new, compression_of(other)) as file:
                    file.write(content)
            for one in (path, *others):
                _place(one, overwrite)
            for name in _files(staged):
                inherit(target.parent / name, staged / name)
            _replace(staged, target)
    except OSError as error:
        say_if_full(error, path)
        raise


def _place(path: Path, overwrite: bool) -> Path:
    """Return where a file is to be, see `refuse_overwrite`; its folder may yet have to be made."""
    if path.parent.is_dir():
        return refuse_overwrite(path, overwrite)
    return path.resolve()


def _waiting(target: Path) -> Path:
    return target.with_name(_NEW + short_name(target))


def _replace(staged: Path, target: Path) -> None:
    """Let what is staged count, and put it where it belongs."""
    with alone(target.parent):
        _put(target, staged.parent)  # what was interrupted
        staged.replace(_waiting(target))
        try:
            _put(target, staged.parent)
        except BaseException:  # the new ones count already: the only way is forward
            _put(target, staged.parent)
            raise


def _put(target: Path, scratch: Path) -> None:
    """Put what waits for a target where it belongs, and take the folder away."""
    waiting = _waiting(target)
    if not waiting.is_dir():
        return
    new = scratch / ".one"
    for name in _files(waiting):
        place = target.parent / name
        if place.resolve() != place:  # we write no such name: it leads elsewhere
            continue
        place.parent.mkdir(exist_ok=True)
        new.unlink(missing_ok=True)
        try:
            os.link(waiting / name, new, follow_symlinks=False)
        except OSError:
            shutil.copy2(waiting / name, new, follow_symlinks=False)
        new.replace(place)
    waiting.replace(scratch / f".done-{secrets.token_hex(8)}")


def _files(folder: Path) -> list[str]:
    """Name the files in a folder, none of what a link leads to."""
    return [
        str(Path(inside, name).relative_to(folder))
        for inside, _, names in os.walk(folder)
        for name in names
    ]
