"""Rotations, one by one or stacked (names of cryotypes 0.2.0)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scipy.spatial.transform import Rotation

if TYPE_CHECKING:
    from collections.abc import Sequence


def unstack_rotations(rotations: Rotation | Sequence[Rotation]) -> list[Rotation]:
    """Turn a stack of rotations into a list of single ones."""
    return list(rotations)


def stack_rotations(rotations: Sequence[Rotation]) -> Rotation:
    """Turn a sequence of rotations (single ones or stacks) into one stack."""
    return Rotation.concatenate(rotations)
