"""A small whole file of a format, with its companions. Light, because every child loads it."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Material:
    """A file that is read, ``main``, among the files of its directory."""

    name: str
    format: str
    main: str
    files: dict[str, bytes]
    options: dict[str, Any] = field(default_factory=dict)

    def put(self, directory: Path) -> Path:
        """Write all files; return the path that is read."""
        for name, content in self.files.items():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            (directory / name).write_bytes(content)
        return directory / self.main


def saved(path: Path) -> list[Material]:
    """Read what was made before: that takes a child less time."""
    return pickle.loads(path.read_bytes())
