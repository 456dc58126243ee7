"""What comes of comparing two alignments of a tilt series."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ._explanation_text import in_words

if TYPE_CHECKING:
    from pandas import DataFrame

    from ._explanations import Explanation


@dataclass(frozen=True, repr=False)
class ModelComparison:
    """How far two alignments of one tilt series are apart, and why.

    Distances are in pixels of A's tilt images, over the corners and the centre of the volume.

    Parameters
    ----------
    tilts : DataFrame, a row for each pair of tilts
        row_a, row_b (from 0), angle_a, angle_b (degrees), maximum, rms (pixels), remaining (RMS
        in pixels after the explanation), outlier.
    only_a, only_b : list of int
        Rows that have no partner.
    matched_by : str
        tilt_index, name, angle or order.
    explanations : list of Explanation
        All that were tried, the simple ones first.
    explanation : Explanation
        The simplest that explains the difference: one that takes more numbers must at least halve
        what remains, as long as that is more than the tolerance.
    pixel_spacing : float
        Å per pixel of A; 0: unknown.
    tolerance : float
        Pixels that do not matter.
    tomogram_dimensions : (x, y, z)
        In pixels of the unbinned tilt series A.
    experiment_id : str
    notes : list of str
        What else differs.
    """

    tilts: DataFrame
    only_a: list[int]
    only_b: list[int]
    matched_by: str
    explanations: list[Explanation]
    explanation: Explanation
    pixel_spacing: float
    tolerance: float
    tomogram_dimensions: tuple[float, ...]
    experiment_id: str
    notes: list[str]

    @property
    def maximum(self) -> float:
        """Largest distance, in pixels."""
        return float(self.tilts["maximum"].max())

    @property
    def rms(self) -> float:
        """Root mean square distance, in pixels."""
        return float(np.sqrt((self.tilts["rms"] ** 2).mean()))

    @property
    def explained(self) -> bool:
        """Whether no more than the tolerance remains, outliers apart."""
        return self.explanation.rms <= self.tolerance

    @property
    def outliers(self) -> list[int]:
        """Rows of A that the explanation leaves far more different than the others."""
        return [int(row) for row in self.tilts["row_a"][self.tilts["outlier"]]]

    def __repr__(self) -> str:
        n = len(self.tilts)
        return f"ModelComparison {self.experiment_id!r}: {n} tilts, {self.maximum:.3g} px at most"

    def summary(self) -> str:
        """Say it in a few sentences."""
        lines = [
            f"{self.experiment_id or 'tilt series'}: {len(self.tilts)} pairs of tilts by "
            f"{self.matched_by.replace('_', ' ')}; apart at most {self._length(self.maximum)}, "
            f"rms {self._length(self.rms)}",
            f"  {in_words(self.explanation, self.pixel_spacing)}",
        ]
        if self.explanation.names or not self.explained:
            lines.append(
                f"  remaining: rms {self._length(self.explanation.rms)}, at the centre of the "
                f"volume {self._length(self.explanation.rms_at_centre)}"
            )
        far = self.tilts[self.tilts["outlier"]]
        if len(far):
            listing = ", ".join(
                f"{angle:g}° ({self._length(rest)})"
                for angle, rest in zip(far["angle_a"], far["remaining"], strict=True)
            )
            lines.append(f"  outliers, not counted in what remains: {listing}")
        for name, rows in (("A", self.only_a), ("B", self.only_b)):
            if rows:
                lines.append(f"  only in {name}: rows {', '.join(map(str, rows))}")
        return "\n".join([*lines, *(f"  {note}" for note in self.notes)])

    def _length(self, pixels: float) -> str:
        text = f"{pixels:.3g} px"
        return f"{text} ({pixels * self.pixel_spacing:.3g} Å)" if self.pixel_spacing else text

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers and strings, ready for JSON."""
        return {
            "experiment_id": self.experiment_id,
            "matched_by": self.matched_by,
            "maximum_pixel": self.maximum,
            "rms_pixel": self.rms,
            "pixel_spacing": self.pixel_spacing or None,
            "tomogram_dimensions": list(self.tomogram_dimensions),
            "explanation": self._told(self.explanation),
            "explained": self.explained,
            "explanations": [self._told(e) for e in self.explanations],
            "outliers": self.outliers,
            "only_a": self.only_a,
            "only_b": self.only_b,
            "notes": self.notes,
            "tilts": self.tilts.to_dict(orient="records"),
        }

    def _told(self, explanation: Explanation) -> dict[str, Any]:
        return {
            "names": list(explanation.names),
            "parameters": {name: list(v) for name, v in explanation.parameters.items()},
            "text": in_words(explanation, self.pixel_spacing),
            "rms_pixel": explanation.rms,
            "rms_at_centre_pixel": explanation.rms_at_centre,
            "outliers": int(explanation.outlier.sum()),
        }
