"""Import times: whole processes that import cryotypes, use its front names, or import a peer.

The time of the bare interpreter is in all of them, and shown.
"""

from __future__ import annotations

from _harness import Race

race = Race(cases={"imports": None}, tiny=None)
TASK = "whole processes"

OURS = {
    "import cryotypes": "import cryotypes",
    "cryotypes: a PoseSet": "import cryotypes\ncryotypes.PoseSet([[1, 2, 3]])",
    "cryotypes: read_poses": "from cryotypes import read_poses",
    "cryotypes: match": "from cryotypes import match",
    "cryotypes: project": "from cryotypes import project",
    "cryotypes: all names": "from cryotypes import *",
    "cryotypes.cli": "import cryotypes.cli",
}
PEERS = {
    "numpy": "numpy",
    "pandas": "pandas",
    "polars": "polars",
    "scipy.spatial.transform": "scipy",
    "starfile": "starfile",
    "starfile_rs": "starfile-rs",
    "dynamotable": "dynamotable",
    "cryosparc.dataset": "cryosparc-tools",
    "mrcfile": "mrcfile",
    "cryohub": "cryohub",
    "torch_tilt_series": "torch-tilt-series",
}

for _name, _code in OURS.items():
    race.process(TASK, _name, _code, package="cryotypes")
race.process(TASK, "bare Python", "")
for _module, _package in PEERS.items():
    race.process(TASK, f"import {_module}", f"import {_module}", package=_package, peer=True)

if __name__ == "__main__":
    race.main()
