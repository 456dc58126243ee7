"""The same five particles in every program's own form read to the same PoseSets.

The files of rosetta/ were worked out without this package (rosetta/make.py). Each convention row
is then falsified, one field at a time: had it been wrong, this would have told.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.spatial.transform import Rotation

import cryotypes as ct
from cryotypes import PoseSet
from cryotypes.conventions import PoseConvention, _table
from cryotypes.conventions._model import PlaceConvention
from cryotypes.formats import BUILT_IN, Head
from cryotypes.registry import known_formats
from cryotypes.testing import assert_same

HERE = Path(__file__).parent / "rosetta"

# RELION's rot, tilt, psi; 0-based pixels; shifts to be added; 2 Å per pixel
ANGLES = np.array(
    [[25, 40, 70], [-110, 65, 15], [160, 125, -95], [5, 10, 20], [-60, 88, 171]], dtype=float
)
POSITION = np.array(
    [[10, 20, 30], [101.5, 200.25, 50.75], [7, 300, 150.5], [399, 1, 99], [250.125, 60.5, 12]]
)
SHIFT = np.array([[1, -2, 3], [0.5, 0.25, -1.5], [-4, 2.5, 0], [0, 0, 2], [3.25, -1, -0.75]])
ROWS = {"TS_01": [0, 2, 4], "TS_02": [1, 3]}
SIZE = (401, 403, 201)
SPACING = {"pixel_spacing": 2.0}
FLAT = np.array([1, 1, 0])
EXACT = {"position": 1e-6, "shift": 1e-6, "orientation": 1e-6}
SINGLE = {"position": 1e-3, "shift": 1e-4, "orientation": 1e-4}


WRITE_OPTIONS = {
    "relion_3.0.star": {"dialect": "3.0"},
    "relion_5/particles.star": {"dialect": "5.0", "tomogram_dimensions": SIZE},
    "cryosparc.cs": {"micrograph_shape": (320, 400)},
    "eman2_info.json": {"tomogram_dimensions": SIZE, "tomogram_spacing": 2.0},
    "eman2_old_info.json": {"tomogram_dimensions": SIZE, "tomogram_spacing": 2.0},
    "eman.box": {"box_size": 33, "whole_pixels": False},
    "cryolo.cbox": {"box_size": 33},
}


@dataclass
class Entry:
    """A file, which rows of the table it proves, and what of the particles it holds.

    ``proves`` maps the name of a row to the parts of it that reading the file depends on.
    """

    file: str
    format: str
    proves: dict[str, str] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    holds: str = "position shift orientation"
    one: str | None = None  # the experiment's name, where a file holds one
    flat: bool = False
    tolerance: dict[str, float] = field(default_factory=lambda: EXACT)
    back: bool = True  # whether it is written as it is read

    def expected(self) -> list[PoseSet]:
        rows = ROWS if self.one is None else {self.one: [0, 1, 2, 3, 4]}
        return [self._poses(name, index) for name, index in rows.items()]

    def _poses(self, name: str, index: list[int]) -> PoseSet:
        keep = FLAT if self.flat else 1
        position, shift, angles = POSITION[index], SHIFT[index], ANGLES[index].copy()
        if "shift" not in self.holds:  # the program's users add it
            position, shift = position + shift, None
        if "position" not in self.holds:
            position = position * 0
        if "in plane" in self.holds:
            angles[:, :2] = 0
        turn = Rotation.from_euler("ZYZ", angles, degrees=True).inv()
        return PoseSet(
            position * keep,
            None if shift is None else shift * keep,
            turn if "orientation" in self.holds else None,
            name,
            2.0,
        )

    def check(self, *_: Path) -> None:
        posesets = ct.read_poses(HERE / self.file, format=self.format, **self.options)
        assert_same(posesets, self.expected(), ignore=["features"], tolerance=self.tolerance)

    def check_both(self, directory: Path) -> None:
        self.check()
        self.check_writing(directory)

    def check_writing(self, directory: Path) -> None:
        """Write what was read, and read it."""
        posesets = ct.read_poses(HERE / self.file, format=self.format, **self.options)
        path = directory / Path(self.file).name
        ct.write(posesets, path, format=self.format, **WRITE_OPTIONS.get(self.file, {}))
        options = dict(self.options)
        if self.format == "parquet":
            options = {}  # now it is a table of our own
        if self.file == "relion_5/particles.star":
            options["tomogram_dimensions"] = SIZE
        again = ct.read_poses(path, format=self.format, **options)
        assert_same(again, self.expected(), ignore=["features"], tolerance=self.tolerance)


ALL = "turn place offset"
ENTRIES = [
    Entry("relion_3.0.star", "relion-star", {"RELION_3_0": ALL}),
    Entry("relion_3.1.star", "relion-star", {"RELION_3_1": ALL}),
    Entry("relion_4.star", "relion-star", {"RELION_4": ALL}),
    Entry("relion_5/particles.star", "relion-star", {"RELION_5": ALL}),
    Entry("relion_5_picker.star", "relion-star", {"RELION_5_PICKER": "place"},
          {"picker_centre": True, "tomogram_dimensions": SIZE}, holds="position", back=False),
    Entry("warp_normalised.star", "relion-star", {"WARP_NORMALISED": "place"},
          {"normalised": True, "tomogram_dimensions": SIZE, "tomogram_spacing": 2.0},
          holds="position", back=False),
    Entry("m.star", "m-star", {"M": "turn place"}, SPACING, holds="position orientation"),
    Entry("dynamo.tbl", "dynamo-tbl", {"DYNAMO": ALL}),
    Entry("motl.em", "motl-em", {"AV3": ALL}, SPACING, tolerance=SINGLE),
    Entry("stopgap.star", "stopgap-star", {"AV3": ALL}, SPACING),
    Entry("cryosparc.cs", "cryosparc-cs", {"CRYOSPARC": ALL}, flat=True, tolerance=SINGLE),
    Entry("cryosparc_2d.cs", "cryosparc-cs", {"CRYOSPARC_2D": "turn"}, flat=True,
          holds="position shift orientation in plane", tolerance=SINGLE),
    Entry("cryosparc_2d_opposite.cs", "cryosparc-cs", {"CRYOSPARC_2D_OPPOSITE": "turn"},
          {"psi_sign": -1}, flat=True, holds="position shift orientation in plane",
          tolerance=SINGLE),
    Entry("cistem.star", "cistem-star", {"CISTEM": ALL}, flat=True),
    Entry("cistem.par", "cistem-par", {"CISTEM": "turn offset"}, SPACING, flat=True, one="cistem",
          holds="shift orientation"),
    Entry("imod.mod", "imod-mod", {"IMOD_MODEL": "place"}, one="imod", holds="position",
          tolerance=SINGLE),
    Entry("imod_whole.mod", "imod-mod", {"IMOD_MODEL_WHOLE": "place"},
          {"imod_half_pixel": False}, one="imod_whole", holds="position", tolerance=SINGLE),
    Entry("peet.csv", "peet-csv", {"PEET": "turn offset", "IMOD_MODEL": "place"}, one="peet",
          tolerance={**EXACT, "position": 1e-3}),
    Entry("eman2_info.json", "eman2-json", {"EMAN2_INFO": "place"},
          {**SPACING, "tomogram_dimensions": SIZE, "tomogram_spacing": 2.0}, one="eman2",
          holds="position"),
    Entry("eman2_old_info.json", "eman2-json", {"EMAN2_INFO_OLD": "place"}, SPACING,
          one="eman2_old", holds="position"),
    Entry("eman.box", "eman-box", {"EMAN_BOX": "place"}, SPACING, one="eman", holds="position",
          flat=True),
    Entry("cryolo.cbox", "cryolo-cbox", {"CRYOLO_CBOX": "place"}, SPACING, one="cryolo",
          holds="position"),
    Entry("cryolo.coords", "cryolo-coords", {"CRYOLO_COORDS": "place"}, SPACING, one="cryolo",
          holds="position"),
    Entry("portal.ndjson", "portal-ndjson", {"CZ_PORTAL": "turn place"}, SPACING, one="portal",
          holds="position orientation"),
    Entry("copick.json", "copick-json", {"COPICK": ALL}, one="TS_01"),
    Entry("coordinates.xyz", "xyz-text", {"CRYOTYPES": "place"}, SPACING, one="coordinates",
          holds="position"),
    Entry("table.csv", "csv", {"CRYOTYPES": ALL}),
    Entry("table.parquet", "parquet", {"CRYOTYPES": "turn offset"},
          {"columns": {name: name for name in ("dx", "dy", "dz", "qx", "qy", "qz", "qw")}}),
    Entry("pytom.xml", "pytom-xml", {"PYTOM": ALL}, SPACING),
]  # fmt: skip

# --- reading ---


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: e.file)
def test_five_particles(entry):
    entry.check()


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: e.file)
def test_known_by_their_content(entry):
    """By one format alone, so that no order of asking decides."""
    head = Head.of(HERE / entry.file)
    claims = [f.name for f in known_formats().values() if f.sniff is not None and f.sniff(head)]
    assert claims == [entry.format]


def test_the_first_particle_by_hand():
    """RELION (25, 40, 70) carries (14, 0, 0) here: relion_project 3.1.3, and by hand."""
    (poses,) = Entry("", "", one="a").expected()
    assert_allclose(poses.orientation[0].apply([14, 0, 0]), [-2.235467, -11.157248, 8.155888],
                    atol=1e-6)  # fmt: skip
    assert poses.position[0].tolist() == [10, 20, 30]
    assert poses.shift[0].tolist() == [1, -2, 3]


# --- writing ---


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: e.file)
@pytest.mark.filterwarnings("ignore::cryotypes.errors.LossWarning")
def test_written_back(entry, tmp_path):
    """What was read from a program's file is written for it as the program had it."""
    if known_formats()[entry.format].write is None or not entry.back:
        pytest.skip(f"{entry.file} is only read")
    entry.check_writing(tmp_path)


# --- falsified rows ---

POSE_ROWS = {
    name: row
    for name, row in vars(_table).items()
    if isinstance(row, (PoseConvention, PlaceConvention)) and not name.startswith("_")
}
OTHER_AXES = str.maketrans("xyzXYZ", "yzxYZX")
OTHER_ORIGIN = {"pixel": "centre", "centre": "floor", "floor": "centre", "corner": "pixel"}


def mutations(row: Any, part: str) -> dict[str, dict[str, Any]]:
    """Ways in which a part of a row could be wrong."""
    target = getattr(row, part)
    if part == "turn":
        changes = {"inverse": {"inverse": not target.inverse}}
        if target.axes:
            changes["axes"] = {"axes": target.axes.translate(OTHER_AXES)}
        if target.kind in ("euler", "rotvec"):
            changes["degrees"] = {"degrees": not target.degrees}
        return changes
    unit = {"unit": "pixel" if target.unit != "pixel" else "angstrom"}
    if part == "offset":
        return {"sign": {"sign": -target.sign}, "unit": unit}
    changes = {"unit": unit, "origin": {"origin": OTHER_ORIGIN[target.origin]}}
    if target.origin == "pixel" or any(target.zero):
        for step in (0.5, 1.0, -1.0):
            moved = tuple(zero + step for zero in target.zero)
            changes[f"zero {step:+}"] = {"zero": moved}
        changes["zero z"] = {"zero": (*target.zero[:2], target.zero[2] + 0.5)}
    return changes


# In tables of anybody's, options say what unit the numbers have.
OPTIONAL = ("csv", "parquet", "xyz-text")

CASES = [
    (entry, name, part, changed)
    for entry in ENTRIES
    for name, parts in entry.proves.items()
    if name in POSE_ROWS
    for part in parts.split()
    for changed in mutations(POSE_ROWS[name], part)
    if not (changed == "zero z" and entry.flat)
    and not (changed == "unit" and entry.format in OPTIONAL)
]


@pytest.mark.parametrize(
    ("entry", "name", "part", "changed"),
    CASES,
    ids=[f"{entry.file}-{name}-{part}-{changed}" for entry, name, part, changed in CASES],
)
@pytest.mark.filterwarnings("ignore::cryotypes.errors.CryotypesWarning")
def test_a_wrong_row_is_noticed(entry, name, part, changed, tmp_path):
    """Formats hold rows or parts of them, so it is the part itself that is made wrong.

    Where an option replaces the row in reading (tables of anybody's), it is noticed in writing.
    """
    target = getattr(POSE_ROWS[name], part)
    change = mutations(POSE_ROWS[name], part)[changed]
    before = {key: getattr(target, key) for key in change}
    try:
        for key, value in change.items():
            object.__setattr__(target, key, value)
        check = entry.check_both if entry.format in OPTIONAL else entry.check
        with pytest.raises((AssertionError, ValueError, TypeError)):
            check(tmp_path)
    finally:
        for key, value in before.items():
            object.__setattr__(target, key, value)
    entry.check()


# --- nothing is left out ---


def test_every_format_has_a_file():
    modules = {f"cryotypes.formats.{module}" for module in BUILT_IN}
    wanted = {
        f.name
        for f in known_formats().values()
        if f.kind == "poses" and f.read is not None and f.read.__module__ in modules
    }
    assert wanted == {entry.format for entry in ENTRIES}


def test_every_row_is_proved():
    """Parts that are shared between rows count once: they are one object."""
    proved = {
        id(getattr(POSE_ROWS[name], part))
        for entry in ENTRIES
        for name, parts in entry.proves.items()
        for part in parts.split()
    }
    missing = [
        f"{name}.{part}"
        for name, row in POSE_ROWS.items()
        for part in ALL.split()
        if getattr(row, part, None) is not None and id(getattr(row, part)) not in proved
    ]
    assert missing == []


def test_every_file_is_read():
    """Except the companions that the formats look for themselves."""
    companions = {"README.md", "make.py", "dynamo.doc", "motl.doc", "stopgap.doc", "peet.mod",
                  "relion_5/tomograms.star"}  # fmt: skip
    found = {str(p.relative_to(HERE)) for p in HERE.rglob("*.*") if "__pycache__" not in p.parts}
    assert found == companions | {entry.file for entry in ENTRIES}


def test_the_script_does_not_know_the_package():
    text = (HERE / "make.py").read_text()
    assert "import cryotypes" not in text.replace("must not import cryotypes", "")
    assert "from cryotypes" not in text
