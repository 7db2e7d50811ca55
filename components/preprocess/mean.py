"""What is subtracted from pixels, where there is no Transform graph to say it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from components import examples
from components.preprocess.transform import centre, decode
from keras_models.classification.published import RGB_MEAN

_SPLIT = "train"
_ENCODED = {"image/encoded": tf.io.FixedLenFeature([], tf.string)}
_BATCH = 64


def is_of_pictures(settings: Mapping[str, Any]) -> bool:
    """Whether it is the mean of the training pictures.

    Args:
      settings: a recipe's `preprocess`.
    """
    return settings["mean"] in ("per_pixel", "per_channel")


def of_examples(uri: str, settings: Mapping[str, Any]) -> np.ndarray:
    """The mean that Transform finds of a training split, of the pixels that a network is shown.

    Args:
      uri: an Examples artifact.
      settings: a recipe's `preprocess`.

    Returns:
      float32 [H, W, C] of `per_pixel`, else [C].

    Raises:
      ValueError: there is no training picture, and the mean is theirs.
    """
    if settings["mean"] == "imagenet":
        return np.array(RGB_MEAN, np.float32)
    if settings["mean"] == "none":
        return np.zeros(settings["channels"], np.float32)

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.string)])
    def total_of(records: tf.Tensor) -> tf.Tensor:
        pixels = decode(tf.io.parse_example(records, _ENCODED)["image/encoded"], settings)
        return tf.reduce_sum(tf.cast(pixels, tf.float64), axis=0)

    total, number = 0.0, 0
    for batch in examples.records(uri, _SPLIT).batch(_BATCH):
        total, number = total + total_of(batch).numpy(), number + len(batch)
    if not number:
        raise ValueError("there is no training picture, of which the mean is to be subtracted")
    mean = (total / number).astype(np.float32)
    return mean.mean(axis=(0, 1)) if settings["mean"] == "per_channel" else centre(mean, settings)
