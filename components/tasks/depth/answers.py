"""Log depths at some pixels to metres at every pixel."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import keras
import tensorflow as tf

from components.maps import graph


def check(model: keras.Model, classes: int | None) -> None:
    """Whether the outputs of a network are maps.

    Raises:
      ValueError: one is none.
    """
    del classes
    graph.check(model.outputs, 1, "log depths")


def served(logs: tf.Tensor, names: tf.Tensor, size: Sequence[int]) -> dict[str, tf.Tensor]:
    """Log depths [N, h, w, 1] to `depth`, float32 [N, height, width], in metres.

    Between the places of the answers the logarithm is interpolated bilinearly; beyond the outermost
    it is theirs.

    Args:
      logs: the network's output.
      names: of the classes; there are none.
      size: height and width of the network's input.
    """
    del names
    logs = tf.reshape(tf.cast(logs, tf.float32), [-1, *logs.shape[1:3], 1])
    return {"depth": tf.exp(tf.squeeze(graph.enlarged(logs, size), axis=3))}


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
