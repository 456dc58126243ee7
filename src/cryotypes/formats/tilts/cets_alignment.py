"""Alignments in the form of the CETS data models. Experimental: their meaning is not settled.

The schema (https://github.com/TomoBabel/cets-data-models) gives each image a sequence of at most
two transformations between named coordinate systems; it defines neither their direction, nor
their order, nor what they mean in three dimensions, and programs differ. So what is written here
says it in the names of its coordinate systems::

    tomogram, centred  →  affine Rz Ry Rx  →  tilted, centred  →  translation (dx, dy, 0)
                       →  tilt image, centred

It takes points of the tomogram to the tilt image, in the order of the list. Centred means: counted
from the pixel ``N // 2``. Lengths are angstrom, or pixels where the pixel spacing is unknown.
Because other files of this schema may mean something else, they are not read.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from cryotypes.conventions import _projection_matrices as projection
from cryotypes.conventions import _table as conventions
from cryotypes.conventions import encode_tilts
from cryotypes.formats.shared.declaration import Format
from cryotypes.formats.shared.files import writing_bytes
from cryotypes.loss import LossReport
from cryotypes.projectionmodel import ProjectionModelDataLabels as Labels

from . import _tilts

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

CONVENTION = "cryotypes: tomogram to tilt image; rotate (Rz Ry Rx), then translate"


def write(
    data: pd.DataFrame,
    path: Path,
    *,
    overwrite: bool = False,
) -> LossReport:
    """Write one Alignment.

    Parameters
    ----------
    data : ProjectionModel
        Of one experiment.
    path : path
    overwrite : bool

    Raises
    ------
    WriteError
        If there are several experiments.
    """
    report = LossReport(kept=[*Labels.ROTATION, *Labels.SHIFT])
    tilts = _tilts.one_experiment(data, path, report)
    report.lost.pop("experiment_id", None)
    report.kept = [*Labels.ROTATION, *Labels.SHIFT, "experiment_id"]
    if _tilts.INDEX in data:
        report.kept.append(_tilts.INDEX)
    if tilts.excluded:
        report.lost["excluded"] = f"{len(tilts.excluded)} images have no alignment"
    _tilts.lose_columns(data, [], report)
    spacing = float(tilts.part[Labels.PIXEL_SPACING].iloc[0]) if len(data) else 0.0
    unit = "angstrom" if spacing else "pixel"
    if spacing:
        report.converted["dx, dy"] = "to angstrom"
        report.lost["pixel_spacing"] = "lengths are angstrom, whatever the pixels"
    report.assumed["meaning"] = (
        "the schema leaves direction and order of transformations open (experimental); the names "
        "of coordinate systems say what is meant"
    )
    content = {
        "tilt_series_id": tilts.name,
        "projection_alignments": _alignments(tilts, spacing, unit),
    }
    with writing_bytes(path, overwrite) as file:
        file.write(json.dumps(content, indent=2, ensure_ascii=False).encode() + b"\n")
    return report


def _alignments(tilts: _tilts.Tilts, spacing: float, unit: str) -> list[dict[str, Any]]:
    row = conventions.CETS_TILTS if spacing else conventions.CETS_TILTS_PIXEL
    angles, shifts = encode_tilts(tilts.rotations, tilts.shifts, row, spacing or 1.0)
    matrices = projection.rotations_of(angles)
    systems = [f"{name}_centred_{unit}" for name in ("tomogram", "tilted", "tilt_image")]
    return [
        {
            "transformation_type": "projection_alignment",
            "name": CONVENTION,
            "input": systems[0],
            "output": systems[2],
            "tilt_image_id": str(index),
            "sequence": [
                {
                    "transformation_type": "affine",
                    "name": "rotation Rz Ry Rx",
                    "input": systems[0],
                    "output": systems[1],
                    "affine": matrix.tolist(),
                },
                {
                    "transformation_type": "translation",
                    "name": "shift (dx, dy, 0)",
                    "input": systems[1],
                    "output": systems[2],
                    "translation": [*shift.tolist(), 0.0],
                },
            ],
        }
        for index, matrix, shift in zip(
            np.asarray(tilts.index).tolist(), matrices, shifts, strict=True
        )
    ]


FORMAT = Format(
    name="cets-alignment",
    title="CETS alignment JSON (experimental)",
    kind="projection_model",
    suffixes=(".json",),
    write=write,
    keeps=frozenset(),
    evidence=conventions.CETS_TILTS.evidence,
    url="https://github.com/TomoBabel/cets-data-models",
)
