"""Log depths at some pixels to metres at every pixel."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from keras_models.depth.scales import answer_places


def check(model: keras.Model, classes: int | None) -> None:
    """Whether the output of a network is a map.

    Raises:
      ValueError: it is not.
    """
    del classes
    for output in model.outputs:
        shape = tuple(output.shape)
        if len(shape) not in (3, 4) or shape[3:] not in ((), (1,)) or None in shape[1:]:
            raise ValueError(
                f"the network gives {shape}; wanted is a map of log depths, (None, height, width, "
                "1)"
            )


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
    logs = tf.reshape(tf.cast(logs, tf.float32), [-1, *logs.shape[1:3]])
    down, across = map(_weights, size, logs.shape[1:])
    return {"depth": tf.exp(tf.einsum("yi,nij,xj->nyx", down, logs, across))}


def _weights(whole: int, side: int) -> tf.Tensor:
    """Of linear interpolation from the places of answers to all pixels, float32 [whole, side]."""
    places = answer_places(whole, side)
    columns = [np.interp(np.arange(whole), places, one) for one in np.eye(side)]
    return tf.constant(np.stack(columns, axis=1), tf.float32)


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
