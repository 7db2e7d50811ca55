"""Whether both pictures of a pair show the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

# Of pairs that are in no fold.
NO_FOLD = -1
FEATURES = {
    "same": tf.io.FixedLenFeature([], tf.int64),
    "fold": tf.io.FixedLenFeature([], tf.int64, default_value=NO_FOLD),
}
MOVES = False


def placed(parsed: Mapping[str, tf.Tensor], settings: Mapping[str, Any]) -> dict[str, tf.Tensor]:
    """Nothing: what a pair is has no place in a picture."""
    del parsed, settings
    return {}


def trained(parsed: Mapping[str, tf.Tensor], placed: Mapping[str, tf.Tensor]) -> tf.Tensor:
    """1 of the same, 0 of others, float32 [1], of a batch [N, 1]."""
    del placed
    return tf.cast(parsed["same"], tf.float32)[..., None]


def fitted(targets: tf.Tensor, model: keras.Model) -> Any:
    """The same once for each output."""
    outputs = len(model.outputs)
    return targets if outputs == 1 else (targets,) * outputs


def sample(count: int, size: Sequence[int], classes: int | None) -> tf.Tensor:
    """Ones and zeros as a training has them, float32 [count, 1], to try a loss with."""
    del size, classes
    return tf.cast(tf.range(count) % 2, tf.float32)[:, None]


def truths(features: Mapping[str, np.ndarray]) -> np.ndarray:
    """Of each pair whether it is of the same and the number of its fold, int64 [N, 2]."""
    return np.stack([np.asarray(features[name], np.int64) for name in ("same", "fold")], axis=1)
