"""Boxes and classes of objects: read from examples, moved with the picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from components.preprocess.places import stored_window, to_input

_BOXES, _LABELS, _AREAS = "objects/bbox", "objects/label", "objects/area"
_DIFFICULT, _CROWD = "objects/difficult", "objects/crowd"
_HEIGHT, _WIDTH = "image/height", "image/width"
FEATURES = {
    _BOXES: tf.io.RaggedFeature(tf.float32),
    _LABELS: tf.io.RaggedFeature(tf.int64),
    _DIFFICULT: tf.io.RaggedFeature(tf.int64),
    _CROWD: tf.io.RaggedFeature(tf.int64),
    _AREAS: tf.io.RaggedFeature(tf.float32),
    _HEIGHT: tf.io.FixedLenFeature([], tf.int64),
    _WIDTH: tf.io.FixedLenFeature([], tf.int64),
}
MOVES = True
_SAMPLED = 3


class Objects(NamedTuple):
    """The G objects of a picture.

    Attributes:
      boxes: float64 [G, 4], ymin, xmin, ymax, xmax in pixels.
      classes: int64 [G].
      difficult: bool [G], neither to be found nor wrong where they are.
      crowd: bool [G], boxes around many objects, which any number of detections may match.
      areas: float64 [G], in pixels of the picture as it was annotated.
    """

    boxes: np.ndarray
    classes: np.ndarray
    difficult: np.ndarray
    crowd: np.ndarray
    areas: np.ndarray


def placed(
    parsed: Mapping[str, tf.Tensor], settings: Mapping[str, Any] | None
) -> dict[str, tf.Tensor]:
    """Boxes [M, 4] and classes [M] of one example, without difficult objects and crowds.

    As the public codes of R-CNN and its followers have it, these are not trained on.
    """
    boxes = tf.reshape(parsed[_BOXES], [-1, 4])
    number = tf.shape(boxes)[0]
    # Where nothing is marked, a feature has no values.
    flags = [
        tf.pad(flag, [[0, number - tf.size(flag)]]) for flag in (parsed[_DIFFICULT], parsed[_CROWD])
    ]
    if settings is not None:
        sides = tf.cast(tf.stack([parsed[_HEIGHT], parsed[_WIDTH]]), tf.int32)
        boxes = to_input(boxes, stored_window(sides, settings)[None])
    kept = tf.add_n(flags) == 0
    return {
        _BOXES: tf.boolean_mask(boxes, kept),
        _LABELS: tf.boolean_mask(parsed[_LABELS], kept),
    }


def trained(
    parsed: Mapping[str, tf.Tensor], placed: Mapping[str, tf.Tensor]
) -> dict[str, tf.Tensor]:
    """The moved `boxes` of one example, float32 [M, 4], and their `classes`, int32 [M]."""
    del parsed
    return {"boxes": placed[_BOXES], "classes": tf.cast(placed[_LABELS], tf.int32)}


def fitted(targets: Any, model: keras.Model) -> Any:
    """As long in each example as the longest of the batch: [N, M, 4] and [N, M].

    The network's `compute_loss` takes it. A box of zeros, of the class -1, is none; of weights,
    too, it has the weight -1, and is to be left out by its class.
    """
    del model
    return tf.nest.map_structure(
        lambda each: each.to_tensor(0 if len(each.shape) == 3 else -1),
        targets,
        expand_composites=False,
    )


def sample(count: int, size: Sequence[int], classes: int | None) -> dict[str, tf.RaggedTensor]:
    """Boxes and classes as a training has them, of 0, 1, 2 and again so many objects."""
    del size
    numbers = [place % _SAMPLED for place in range(count)]
    total = sum(numbers)
    corners = tf.random.stateless_uniform([total, 2], [0, 0], 0.0, 0.5)
    sides = tf.random.stateless_uniform([total, 2], [0, 1], 0.1, 0.5)
    found = {
        "boxes": tf.concat([corners, corners + sides], axis=1),
        "classes": tf.range(total) % (classes or 1),
    }
    return {name: tf.RaggedTensor.from_row_lengths(each, numbers) for name, each in found.items()}


def counts(parsed: Mapping[str, tf.Tensor], classes: int) -> tf.Tensor:
    """How many objects of a batch of examples are of each class, int64 [classes]."""
    labels = tf.cast(parsed[_LABELS].flat_values, tf.int32)
    return tf.math.bincount(labels, minlength=classes, maxlength=classes, dtype=tf.int64)


def weights(targets: Mapping[str, tf.RaggedTensor], by_class: tf.Tensor) -> tf.RaggedTensor:
    """How much each object counts in the loss, float32 [N, M], of what each class counts, [C]."""
    classes = targets["classes"]
    return classes.with_flat_values(tf.gather(by_class, classes.flat_values))


def truths(features: Mapping[str, Any]) -> list[Objects]:
    """The objects of each example."""
    return [
        _objects({name: np.asarray(values[place]) for name, values in features.items()})
        for place in range(len(features[_HEIGHT]))
    ]


def _objects(features: Mapping[str, np.ndarray]) -> Objects:
    sides = np.array([features[_HEIGHT], features[_WIDTH]] * 2, np.float64)
    boxes = features[_BOXES].astype(np.float64).reshape(-1, 4) * sides
    difficult, crowd = (_flags(features[name], len(boxes)) for name in (_DIFFICULT, _CROWD))
    areas = features[_AREAS].astype(np.float64)
    if len(areas) != len(boxes):
        areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    return Objects(boxes, features[_LABELS].astype(np.int64), difficult, crowd, areas)


def _flags(values: np.ndarray, count: int) -> np.ndarray:
    return values.astype(bool) if len(values) == count else np.zeros(count, bool)
