"""Maps of normals: read from examples, moved with the picture, taken where a network answers."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from components.ingest.normals import LENGTHS
from components.maps import graph
from components.preprocess.transform import fit_map

_ENCODED = "normals/encoded"
FEATURES = {_ENCODED: tf.io.FixedLenFeature([], tf.string)}
MOVES = True


def placed(
    parsed: Mapping[str, tf.Tensor], settings: Mapping[str, Any] | None
) -> dict[str, tf.Tensor]:
    """The normals of one example, float32 [H, W, 3]: unit vectors, 0 where there is none.

    `components.preprocess.augment.augment_example` turns and mirrors the vectors with the picture.
    """
    pixels = tf.io.decode_png(parsed[_ENCODED], channels=3)
    vectors = tf.cast(pixels, tf.float32) * (2 / 255) - 1
    length = tf.norm(vectors, axis=-1, keepdims=True)
    valid = (length > LENGTHS[0]) & (length < LENGTHS[1])
    normals = tf.where(valid, tf.math.divide_no_nan(vectors, length), 0.0)
    return {"normals": normals if settings is None else fit_map(normals, settings)}


def trained(parsed: Mapping[str, tf.Tensor], placed: Mapping[str, tf.Tensor]) -> tf.Tensor:
    """The moved normals of one example, float32 [height, width, 3]."""
    del parsed
    return placed["normals"]


def fitted(targets: tf.Tensor, model: keras.Model) -> Any:
    """The normals at the pixels that each output answers about, float32 [N, h, w, 3]."""
    return graph.at_answers(targets, model.output)


def sample(count: int, size: Sequence[int], classes: int | None) -> tf.Tensor:
    """Normals as a training has them, float32 [count, height, width, 3], to try a loss with."""
    del classes
    drawn = tf.random.stateless_uniform([count, *size, 3], [0, 0], 0.1, 1.0)
    return drawn / tf.norm(drawn, axis=-1, keepdims=True)


def truths(features: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """The normals of each example, float32 [H, W, 3]: unit vectors, 0 where there is none."""
    return [_vectors(encoded) for encoded in features[_ENCODED]]


def _vectors(encoded: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(encoded)) as image:
        vectors = np.asarray(image.convert("RGB"), np.float32) * np.float32(2 / 255) - 1
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    valid = (length > LENGTHS[0]) & (length < LENGTHS[1])
    return np.divide(vectors, length, out=np.zeros_like(vectors), where=valid)
