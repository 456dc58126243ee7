"""Several ProjectionModels as one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


def concatenated(models: Sequence[Any]) -> Any:
    """Put the rows of ProjectionModels together, and what their attrs hold by experiment."""
    import pandas as pd

    attrs: dict[str, Any] = {}
    for model in models:
        for name, value in model.attrs.items():
            known = attrs.setdefault(name, type(value)() if isinstance(value, dict) else value)
            if isinstance(value, dict):
                known.update(value)
    joined = pd.concat([m.set_axis(range(len(m))) for m in models], ignore_index=True)
    joined.attrs = attrs
    return joined
