"""Maps of depths: read from examples, moved with the picture, taken where a network answers."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from components.maps import graph
from components.preprocess.transform import fit_map

_ENCODED = "depth/encoded"
FEATURES = {_ENCODED: tf.io.FixedLenFeature([], tf.string)}
MOVES = True
_MILLIMETRES = 1000.0


def placed(
    parsed: Mapping[str, tf.Tensor], settings: Mapping[str, Any] | None
) -> dict[str, tf.Tensor]:
    """The depths of one example in metres, float32 [H, W, 1]; 0 where nothing was measured."""
    depth = tf.io.decode_png(parsed[_ENCODED], channels=1, dtype=tf.uint16)
    metres = tf.cast(depth, tf.float32) / _MILLIMETRES
    return {"depth": metres if settings is None else fit_map(metres, settings)}


def trained(parsed: Mapping[str, tf.Tensor], placed: Mapping[str, tf.Tensor]) -> tf.Tensor:
    """The moved depths of one example, float32 [height, width, 1]."""
    del parsed
    return placed["depth"]


def fitted(targets: tf.Tensor, model: keras.Model) -> Any:
    """The depths at the pixels that each output answers about, float32 [N, h, w, 1]."""
    return graph.at_answers(targets, model.output)


def sample(count: int, size: Sequence[int], classes: int | None) -> tf.Tensor:
    """Depths as a training has them, float32 [count, height, width, 1], to try a loss with."""
    del classes
    return tf.random.stateless_uniform([count, *size, 1], [0, 0], 0.5, 8.0)


def truths(features: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """The depths of each example in metres, float32 [H, W]."""
    return [_metres(encoded) for encoded in features[_ENCODED]]


def _metres(encoded: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(encoded)) as image:
        return np.asarray(image, np.float32) / _MILLIMETRES
