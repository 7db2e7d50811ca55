"""Normals at some pixels to normals at every pixel."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import keras
import tensorflow as tf

from components.maps import graph


def check(model: keras.Model, classes: int | None) -> None:
    """Whether the outputs of a network are maps of vectors.

    Raises:
      ValueError: one is none.
    """
    del classes
    graph.check(model.outputs, 3, "normals")


def served(vectors: tf.Tensor, names: tf.Tensor, size: Sequence[int]) -> dict[str, tf.Tensor]:
    """Vectors [N, h, w, 3] to `normals`, float32 [N, height, width, 3], of length 1.

    The vectors are divided by their lengths, interpolated bilinearly between the places of the
    answers, and divided once more; beyond the outermost places they are theirs.

    Args:
      vectors: the network's output, of any length.
      names: of the classes; there are none.
      size: height and width of the network's input.
    """
    del names
    unit = tf.math.l2_normalize(tf.cast(vectors, tf.float32), axis=-1)
    return {"normals": tf.math.l2_normalize(graph.enlarged(unit, size), axis=-1)}


def signatures(
    serve: Callable[[tf.Tensor], Mapping[str, tf.Tensor]], names: tf.Tensor
) -> dict[str, tf.types.experimental.ConcreteFunction]:
    """No others."""
    del serve, names
    return {}


def finish(folder: str) -> tuple[str, ...]:
    """Nothing is left to be done."""
    del folder
    return ()
