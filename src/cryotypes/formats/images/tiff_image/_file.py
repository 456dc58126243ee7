"""TIFF files through tifffile, whose complaints become ours."""

from __future__ import annotations

import errno
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from cryotypes.errors import FormatError, MissingPackageError, ReadError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def damage(path: Path) -> Iterator[None]:
    """Say ReadError for what a parser of damaged bytes may raise."""
    try:
        yield
    except (FormatError, ImportError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno != errno.EINVAL:  # a place before the start
            error.filename = error.filename or str(path)
            raise
        raise ReadError(f"damaged TIFF file ({type(error).__name__}: {error})", path) from error


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Open for reading; what the library complains of is a ReadError."""
    try:
        import tifffile
    except ImportError as error:
        raise MissingPackageError("tifffile", "tiff", f"reading {path}") from error
    with damage(path), tifffile.TiffFile(path) as tif:
        yield tif
