"""What several test modules need."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).parents[1].parent / "shared" / "data"


@pytest.fixture
def shared_data() -> Path:
    """Real files of other programs, kept beside the checkout; see ORIGIN.md there."""
    if not SHARED.is_dir():
        pytest.skip(f"real files are absent: {SHARED} does not exist")
    return SHARED


@pytest.fixture
def save(tmp_path):
    """Write text into a file, and give its path."""

    def saving(text: str | bytes, name: str = "file.star") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return saving
