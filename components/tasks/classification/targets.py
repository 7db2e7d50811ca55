"""The number of a picture's class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

FEATURES = {"label": tf.io.FixedLenFeature([], tf.int64)}
MOVES = False


def placed(parsed: Mapping[str, tf.Tensor], settings: Mapping[str, Any]) -> dict[str, tf.Tensor]:
    """Nothing: a class has no place in the picture."""
    del parsed, settings
    return {}


def trained(parsed: Mapping[str, tf.Tensor], placed: Mapping[str, tf.Tensor]) -> tf.Tensor:
    """The numbers of the classes, int64 of the shape of the examples."""
    del placed
    return parsed["label"]


def fitted(targets: tf.Tensor, model: keras.Model) -> Any:
    """The numbers once for each output: auxiliary classifiers learn them too."""
    outputs = len(model.outputs)
    return targets if outputs == 1 else (targets,) * outputs


def sample(count: int, size: Sequence[int], classes: int | None) -> tf.Tensor:
    """Numbers of classes as a training has them, int64 [count], to try a loss with."""
    del size
    return tf.range(count, dtype=tf.int64) % classes


def counts(parsed: Mapping[str, tf.Tensor], classes: int) -> tf.Tensor:
    """How many of a batch of examples are of each class, int64 [classes]."""
    return tf.math.bincount(
        tf.cast(parsed["label"], tf.int32), minlength=classes, maxlength=classes, dtype=tf.int64
    )


def weights(targets: tf.Tensor, by_class: tf.Tensor) -> tf.Tensor:
    """How much each example counts in the loss, float32 [N], of what each class counts, [C]."""
    return tf.gather(by_class, targets)


def truths(features: Mapping[str, np.ndarray]) -> np.ndarray:
    """The numbers of the classes, int64 [N]."""
    return features["label"]
