"""What the scores of pairs must never be: pure NumPy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np


def objections(answers: Mapping[str, np.ndarray], names: Sequence[str]) -> list[str]:
    """The first of these objections.

    Args:
      answers: `score` [N], finite.
      names: of classes; there are none.
    """
    del names
    score = answers["score"]
    if score.ndim != 1:
        return [f"scores of shape {list(score.shape)}, not one for each pair"]
    return []


def check(answers: Mapping[str, np.ndarray], truths: np.ndarray, names: Sequence[str]) -> None:
    """Refuses what is no score for each pair.

    Raises:
      ValueError: it is not.
    """
    del names
    score = answers["score"]
    if score.shape != (len(truths),):
        raise ValueError(f"scores of shape {list(score.shape)} for {len(truths)} pairs")
