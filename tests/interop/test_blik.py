"""blik 0.9.2's readers and writers run unchanged on this package, without a display."""

from pathlib import Path

import pytest

pytestmark = pytest.mark.interop

CHECKS = Path(__file__).with_name("blik_checks.py")


def test_readers_and_writers_of_blik(blik, tmp_path):
    summary = blik.pytest("--noconftest", str(CHECKS), cwd=tmp_path)
    assert summary.pop("passed") == 12
    assert set(summary) <= {"warning", "warnings"}
