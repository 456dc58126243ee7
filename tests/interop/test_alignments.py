"""cryoet-alignment, etomofiles and alnfile read our alignments, and we read theirs."""

from pathlib import Path

import pytest

pytestmark = pytest.mark.interop

CHECKS = Path(__file__).with_name("alignments_checks.py")


def test_other_readers_and_writers_of_alignments(alignments, tmp_path):
    summary = alignments.pytest("--noconftest", str(CHECKS), cwd=tmp_path)
    assert summary.pop("passed") == 11
    assert set(summary) <= {"warning", "warnings"}
