"""The features of images: what a network's layers put out for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_transform as tft

from components import examples
from components.preprocess.transform import MEAN, PIXELS, centre, normalize
from components.tasks import Task

# Values of one layer; larger maps are averaged over squares of pixels until they have no more.
LARGEST = 4608
_BATCH = 250
_PREFETCHED = 2
_ENCODED = "image/encoded"


class Taps:
    """The layers of a network, for images as a recipe prepares them."""

    def __init__(
        self,
        network: keras.Model,
        layers: Sequence[str],
        transform: tft.TFTransformOutput,
        preprocess: Mapping[str, Any],
        task: Task,
    ):
        """
        Args:
          network: its layers stay shared.
          layers: names, see `tapped`.
          transform: the output of the Transform component.
          preprocess: the recipe's.
          task: which says what classes the images are of.

        Raises:
          ValueError: a layer that the network does not have, or a task that cannot be probed.
        """
        if not task.probed:
            raise ValueError(
                f"classifiers learn one class for each image, and {task.name} has none: its "
                "networks cannot be probed"
            )
        self._targets = task.part("targets")
        self._network = tapped(network, layers)
        self._transform = transform.transform_features_layer()
        self._preprocess = preprocess

    def features(
        self, records: tf.data.Dataset
    ) -> Iterator[tuple[dict[str, np.ndarray], np.ndarray]]:
        """The features of serialised tf.Examples, batch by batch.

        Yields:
          float32 [n, values] by layer, and the numbers of the classes, int64 [n].
        """
        batches = records.batch(_BATCH).map(
            self._network_input, num_parallel_calls=tf.data.AUTOTUNE
        )
        for images, parsed in batches.prefetch(_PREFETCHED).with_options(examples.untuned()):
            values = self._network.predict_on_batch(images)
            rows = {name: np.asarray(value, np.float32) for name, value in values.items()}
            yield rows, self._numbers(parsed)

    def classes(self, records: tf.data.Dataset) -> np.ndarray:
        """The numbers of the classes of serialised tf.Examples, int64 [N], in their order."""
        spec = self._targets.FEATURES
        batches = records.batch(_BATCH).map(lambda batch: tf.io.parse_example(batch, spec))
        return np.concatenate([np.zeros(0, np.int64), *map(self._numbers, batches)])

    def _numbers(self, parsed: Mapping[str, tf.Tensor]) -> np.ndarray:
        return self._targets.truths({name: value.numpy() for name, value in parsed.items()})

    @tf.autograph.experimental.do_not_convert
    def _network_input(self, batch: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        spec = {_ENCODED: tf.io.FixedLenFeature([1], tf.string), **self._targets.FEATURES}
        parsed = tf.io.parse_example(batch, spec)
        stored = self._transform({_ENCODED: parsed.pop(_ENCODED)})
        pixels, mean = (centre(stored[name], self._preprocess) for name in (PIXELS, MEAN))
        return normalize(pixels, mean, self._preprocess), parsed


def tapped(network: keras.Model, layers: Sequence[str]) -> keras.Model:
    """A model [N, H, W, C] -> {layer: float [N, values]}.

    Args:
      network: its layers stay shared.
      layers: names. Maps of more than `LARGEST` values are averaged over the smallest squares of
        pixels that leave no more of them; what that leaves is laid out in a row.

    Raises:
      ValueError: a layer that the network does not have.
    """
    return keras.Model(
        network.input, {name: _row(network.get_layer(name).output) for name in layers}
    )


def _row(x: keras.KerasTensor) -> keras.KerasTensor:
    if len(x.shape) == 4 and (side := _square(*x.shape[1:])) > 1:
        pooling = keras.layers.AveragePooling2D(side, padding="same", data_format="channels_last")
        x = pooling(x)
    return x if len(x.shape) == 2 else keras.layers.Flatten()(x)


def _square(height: int, width: int, maps: int) -> int:
    """The side of the smallest squares whose means are `LARGEST` values or fewer."""
    sides = range(1, max(height, width))
    fits = (side for side in sides if -(-height // side) * -(-width // side) * maps <= LARGEST)
    return next(fits, max(height, width))
