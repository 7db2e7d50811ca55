"""Maps of depths and of normals: those of the two tasks, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from components.maps import graph
from components.tasks.depth import targets as depth
from components.tasks.normals import targets as normals

FEATURES = {**depth.FEATURES, **normals.FEATURES}
MOVES = True
_PARTS = {"depth": depth, "normals": normals}


def placed(
    parsed: Mapping[str, tf.Tensor], settings: Mapping[str, Any] | None
) -> dict[str, tf.Tensor]:
    """Depths, float32 [H, W, 1], and normals, [H, W, 3], as the two tasks have them."""
    return {**depth.placed(parsed, settings), **normals.placed(parsed, settings)}


def trained(
    parsed: Mapping[str, tf.Tensor], placed: Mapping[str, tf.Tensor]
) -> dict[str, tf.Tensor]:
    """The moved maps of one example, by name."""
    return {name: part.trained(parsed, placed) for name, part in _PARTS.items()}


def fitted(targets: Mapping[str, tf.Tensor], model: keras.Model) -> dict[str, tf.Tensor]:
    """Each map at the pixels that the output of its name answers about."""
    return {name: graph.at_answers(targets[name], found) for name, found in model.output.items()}


def sample(count: int, size: Sequence[int], classes: int | None) -> dict[str, tf.Tensor]:
    """Maps as a training has them, by name, to try a loss with."""
    return {name: part.sample(count, size, classes) for name, part in _PARTS.items()}


def truths(features: Mapping[str, np.ndarray]) -> list[dict[str, np.ndarray]]:
    """The maps of each example, by name: depths [H, W] in metres and normals [H, W, 3]."""
    columns = {name: part.truths(features) for name, part in _PARTS.items()}
    rows = zip(*columns.values(), strict=True)
    return [dict(zip(columns, each, strict=True)) for each in rows]
