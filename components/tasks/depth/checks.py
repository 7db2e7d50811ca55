"""What served depths must never be: pure NumPy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

# Farther than any camera of the data sets measures, and than 16 bits of millimetres hold.
_FARTHEST = 1000.0


def objections(answers: Mapping[str, np.ndarray], names: Sequence[str]) -> list[str]:
    """The first of these objections.

    Args:
      answers: `depth` [N, H, W] in metres, finite.
      names: of classes; there are none.
    """
    del names
    depth = answers["depth"]
    if depth.ndim != 3:
        return [f"depths of shape {list(depth.shape)}, not a map for each picture"]
    if (depth <= 0).any():
        return [f"a depth that is not above zero: {depth.min():.4g} m"]
    if (depth > _FARTHEST).any():
        return [f"a depth of {depth.max():.4g} m"]
    return []


def check(
    answers: Mapping[str, np.ndarray], truths: Sequence[np.ndarray], names: Sequence[str]
) -> None:
    """Refuses what is no map for each picture.

    Raises:
      ValueError: it is not.
    """
    del names
    depth = answers["depth"]
    if depth.ndim != 3 or len(depth) != len(truths):
        raise ValueError(f"depths of shape {list(depth.shape)} for {len(truths)} pictures")
