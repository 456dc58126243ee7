"""The peers' side of an exchange of files. Runs in the peers' environments, with numpy only.

``run_<environment>.py FOLDER`` finds the truth in FOLDER/truth.npz and our files in FOLDER/ours,
writes files of its own into FOLDER/theirs, and what it read into FOLDER/answers.json.
"""

import json
import sys
import traceback
import warnings
from pathlib import Path

import numpy as np


class Truth:
    """Poses that everybody writes.

    ``position`` and ``shift`` are xyz in pixels, from 0 at the centre of the first pixel;
    ``matrix`` turns the reference into the particle; ``name`` is the tomogram; ``order`` puts the
    rows tomogram by tomogram, as they are in our files.
    """

    def __init__(self, folder: Path) -> None:
        with np.load(folder / "truth.npz") as file:
            for key in file:
                setattr(self, key, file[key])
        self.spacing = float(self.spacing)
        self.names = sorted(set(self.name.tolist()))
        self.number = np.array([int(name[-2:]) for name in self.name])  # TS_02: 2
        self.placed = self.position + self.shift

    def rows(self, name: str) -> np.ndarray:
        return np.flatnonzero(self.name == name)


def run(*steps) -> None:
    """Call each step with the truth and the folder; keep its answer, or its failure."""
    warnings.simplefilter("ignore")
    folder = Path(sys.argv[1]).resolve()
    truth = Truth(folder)
    answers = {}
    for step in steps:
        try:
            answers[step.__name__] = step(truth, folder) or {}
        except Exception:
            answers[step.__name__] = {"failure": traceback.format_exc()}
    text = json.dumps(answers, default=lambda value: value.tolist())
    (folder / "answers.json").write_text(text, encoding="utf-8")
