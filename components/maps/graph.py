"""Maps of a picture in TensorFlow: where a network answers about it, and back to all pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_models.depth.scales import answer_places


def check(outputs: Any, channels: int, what: str) -> None:
    """Whether outputs of a network are maps.

    Args:
      outputs: keras.KerasTensors, nested in any way.
      channels: how many numbers each pixel has. Of one, the last axis may be missing.
      what: of what they are maps.

    Raises:
      ValueError: one is none.
    """
    for output in keras.tree.flatten(outputs):
        shape = tuple(output.shape)
        without = shape[3:] == () and channels == 1
        if (
            len(shape) not in (3, 4)
            or None in shape[1:]
            or not (without or shape[3:] == (channels,))
        ):
            raise ValueError(
                f"the network gives {shape}; wanted is a map of {what}, (None, height, width, "
                f"{channels})"
            )


def at_answers(targets: tf.Tensor, outputs: Any) -> Any:
    """What is known of the pixels that each output answers about.

    Between pixels the nearest is taken: a mean of two sides of an edge is on neither.

    Args:
      targets: [N, H, W, C], of the size of the network's input.
      outputs: keras.KerasTensors [None, h, w, ...], nested in any way.

    Returns:
      [N, h, w, C], nested as `outputs`.
    """

    def of_one(output: keras.KerasTensor) -> tf.Tensor:
        found = targets
        for axis in (1, 2):
            places = answer_places(targets.shape[axis], output.shape[axis])
            nearest = np.clip(np.rint(places), 0, targets.shape[axis] - 1).astype(np.int32)
            found = tf.gather(found, nearest, axis=axis)
        return found

    return keras.tree.map_structure(of_one, outputs)


def enlarged(values: tf.Tensor, size: Sequence[int]) -> tf.Tensor:
    """Answers at some pixels to answers at all, interpolated bilinearly between their places.

    Beyond the outermost it is theirs.

    Args:
      values: float32 [N, h, w, C].
      size: height and width of the network's input.

    Returns:
      float32 [N, height, width, C].
    """
    height, width, channels = values.shape[1:]
    planes = tf.reshape(tf.transpose(values, [0, 3, 1, 2]), [-1, height, width])
    down, across = map(_weights, size, (height, width))
    planes = tf.einsum("yi,nij,xj->nyx", down, planes, across)
    return tf.transpose(tf.reshape(planes, [-1, channels, *size]), [0, 2, 3, 1])


def _weights(whole: int, side: int) -> tf.Tensor:
    """Of linear interpolation from the places of answers to all pixels, float32 [whole, side]."""
    places = answer_places(whole, side)
    columns = [np.interp(np.arange(whole), places, one) for one in np.eye(side)]
    return tf.constant(np.stack(columns, axis=1), tf.float32)
