"""Twice as many experiments are about twice the work: calls are counted, not seconds."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import cryotypes as ct
from cryotypes.cli import main


def calls(work):
    """Count what is called while something works, steps of generators and C functions included."""
    count = 0

    def one(*_):
        nonlocal count
        count += 1

    sys.setprofile(one)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def posesets(n):
    """One particle each, every one with features and metadata of its own."""
    return [
        ct.PoseSet(
            np.full((1, 3), float(i)),
            experiment_id=f"TS_{i}",
            pixel_spacing=2.5,
            features=pd.DataFrame({"a": [i], "b": ["x"]}),
            metadata={"number": i},
        )
        for i in range(n)
    ]


def star(path, n):
    labels = ("rlnTomoName", "rlnCoordinateX", "rlnCoordinateY", "rlnCoordinateZ")
    header = "".join(f"_{label}\n" for label in labels)
    rows = "".join(f"TS_{i} {i} 2 3\n" for i in range(n))
    path.write_text(f"data_particles\n\nloop_\n{header}{rows}")
    return path


def grows(work, few=100):
    work(few // 2)  # what is loaded once
    less, more = calls(lambda: work(few)), calls(lambda: work(4 * few))
    assert more < 5 * less, f"4 times as many took {more / less:.1f} times as many calls"


def test_parquet(tmp_path):
    given = {n: posesets(n) for n in (50, 100, 400)}
    grows(lambda n: ct.write(given[n], tmp_path / f"{n}.parquet"))
    grows(lambda n: ct.read(tmp_path / f"{n}.parquet"))


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_info(tmp_path, options):
    for n in (50, 100, 400):
        star(tmp_path / f"{n}.star", n)

    def work(n):
        result = CliRunner().invoke(main, ["info", str(tmp_path / f"{n}.star"), *options])
        assert result.exit_code == 0, result.output

    grows(work)
