"""The figures of depths and of normals, in rows side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from components.maps.arrays import MeanMap, all_of
from components.tasks.depth import metrics as depth
from components.tasks.normals import metrics as normals

_PARTS = {"depth": depth, "normals": normals}
_OF_DEPTH = len(depth.COLUMNS)


def rows(
    answers: Mapping[str, np.ndarray],
    truths: Sequence[Mapping[str, np.ndarray]],
    arguments: Mapping[str, Any],
) -> np.ndarray:
    """A row a picture: that of its depths, then that of its normals.

    Args:
      answers: `depth` [N, h, w] in metres and `normals` [N, h, w, 3].
      truths: by the same names, [H, W] and [H, W, 3] each.
      arguments: those of depth.

    Returns:
      float64 [N, K].
    """
    found = [
        part.rows({name: answers[name]}, [truth[name] for truth in truths], arguments)
        for name, part in _PARTS.items()
    ]
    return np.hstack(found)


def figures(rows: np.ndarray, arguments: Mapping[str, Any]) -> dict[str, float | None]:
    """The figures of both, over the valid pixels of all pictures; None for what has none."""
    return {
        **depth.figures(rows[:, :_OF_DEPTH], arguments),
        **normals.figures(rows[:, _OF_DEPTH:], arguments),
    }


def constant(
    truths: Iterable[Sequence[Mapping[str, np.ndarray]]],
    names: Sequence[str],
    arguments: Mapping[str, Any],
) -> dict[str, np.ndarray]:
    """The mean depth and the direction of the mean normal of each pixel.

    Args:
      truths: batches of maps by name.
      names: of classes; there are none.
      arguments: of the task.
    """
    del names, arguments
    means = {name: MeanMap() for name in _PARTS}
    for truth in all_of(truths):
        for name, mean in means.items():
            mean.add(truth[name], _PARTS[name].is_valid(truth[name]))
    return {**depth.constant_of(means["depth"]), **normals.constant_of(means["normals"])}


def needed(
    rows: np.ndarray, level: float, arguments: Mapping[str, Any]
) -> tuple[float, str] | None:
    """Of depth, whose error is the first figure that blesses; see there.

    Args:
      rows: of `rows`, of `constant` about the test split.
      level: not used.
      arguments: of the task.
    """
    return depth.needed(rows[:, :_OF_DEPTH], level, arguments)


def of_training(history: Sequence[Mapping[str, float]], wanted: Iterable[str]) -> dict[str, Any]:
    """None: no figure is about the training."""
    del history, wanted
    return {}
