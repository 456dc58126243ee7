"""Tilt-series alignments of a program that does not exist: ``tilt axis dx dy``, an image a line."""

from pathlib import Path

import numpy as np
import pandas as pd

from cryotypes import LossReport, ProjectionModel, conventions, formats
from cryotypes import ProjectionModelDataLabels as Labels

COLUMNS = ("tilt", "axis", "dx", "dy")
# all that differs between programs: the tilt is positive the other way, shifts are subtracted
CONVENTION = conventions.TiltConvention(
    "example tilts",
    rotation=(1, -1, 1),
    offset=conventions.Offset(sign=-1),
    evidence="the two images of tests/, worked out by hand",
)


def sniff(head: formats.Head) -> bool:
    """Whether the first line is ours."""
    return head.data.startswith(b"#tilts\n")


def read(path: Path, *, pixel_spacing: float = 0.0) -> ProjectionModel:
    """Read the alignment of one tilt series; its images in the order of the stack.

    Parameters
    ----------
    pixel_spacing : float
        Å per pixel of the tilt images; the file does not tell.
    """
    text = formats.read_text(path).removeprefix(b"#tilts\n")
    table = formats.read_numbers(text, path, COLUMNS, required=4, finite=4, first_line=2)
    angles = np.pad(table[:, :2], ((0, 0), (1, 0)))  # no tilt about x
    columns = conventions.decode_tilts(angles, table[:, 2:], CONVENTION, pixel_spacing)
    model = pd.DataFrame(np.hstack(columns), columns=[*Labels.ROTATION, *Labels.SHIFT])
    model[Labels.EXPERIMENT_ID] = path.stem
    model[Labels.PIXEL_SPACING] = pixel_spacing
    model[Labels.SOURCE] = str(path)
    return model.assign(tilt_index=range(len(model)))


def write(data: ProjectionModel, path: Path, *, overwrite: bool = False) -> LossReport:
    """Write the alignment of one tilt series."""
    report = LossReport()
    tilts = formats.one_experiment(data, path, report, FORMAT.keeps, columns=())
    angles, shifts = conventions.encode_tilts(tilts.rotations, tilts.shifts, CONVENTION, 1.0)
    rows = formats.number_rows([*angles.T[1:], *shifts.T], " ")
    with formats.writing(path, overwrite) as temporary:
        temporary.write_bytes(b"#tilts\n" + rows)
    return report


FORMAT = formats.Format(
    name="example-tilts",
    title="Example tilts",
    kind="projection_model",
    suffixes=(".tilts",),
    read=read,
    write=write,
    sniff=sniff,
    keeps=frozenset({"rotation_y", "rotation_z", "dx", "dy"}),
    tolerance={"rotation": 1e-6, "shift": 1e-6},
    evidence=CONVENTION.evidence,
    url="https://example.org/tilts",
)
