"""What a conversion kept and what it did not. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass, field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

# Parts of the names of what a user misses most, in this order: without half-sets a resolution is
# wrong, without dose and defocus the correction is.
_MISSED = (
    *("randomsubset", "halfset", "half_set", "split"),
    *("exposure", "dose", "excluded", "defocus", "phaseshift", "phase_shift", "ctf"),
    *("class", "score", "figureofmerit", "voltage", "spherical", "amplitudecontrast"),
)


def by_weight(names: Iterable[str]) -> list[str]:
    """Sort names of columns: what is missed most comes first, the rest stays in order.

    Examples
    --------
    >>> by_weight(["rlnAnglePsi", "rlnClassNumber", "rlnRandomSubset"])
    ['rlnRandomSubset', 'rlnClassNumber', 'rlnAnglePsi']
    """
    return sorted(names, key=_weight)


def _weight(name: str) -> int:
    lower = name.lower()
    return next((place for place, part in enumerate(_MISSED) if part in lower), len(_MISSED))


@dataclass
class LossReport:
    """What writing did to the data; every entry is a field name and a reason.

    Parameters
    ----------
    path, format : str
        What was written, and as what.
    kept : list of str
        Fields that the file holds.
    converted : dict
        Fields that the file holds in another form, e.g. another pixel size.
    assumed : dict
        What the file states although the data did not.
    lost : dict
        What the file cannot hold.

    Examples
    --------
    >>> report = LossReport("out.tbl", "dynamo-tbl", kept=["position"])
    >>> report.lost["pixel_spacing"] = "the format has no pixel size"
    >>> print(report)
    out.tbl (dynamo-tbl)
      kept: position
      lost: pixel_spacing (the format has no pixel size)
    """

    path: str = ""
    format: str = ""
    kept: list[str] = field(default_factory=list)
    converted: dict[str, str] = field(default_factory=dict)
    assumed: dict[str, str] = field(default_factory=dict)
    lost: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        lines = [f"{self.path} ({self.format})"]
        if self.kept:
            lines.append(f"  kept: {', '.join(self.kept)}")
        for name in ("converted", "assumed", "lost"):
            entries: dict[str, str] = getattr(self, name)
            if entries:
                listing = ", ".join(f"{key} ({reason})" for key, reason in entries.items())
                lines.append(f"  {name}: {listing}")
        return "\n".join(lines)
