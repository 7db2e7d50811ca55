"""The input pipeline of training: TFRecords of encoded images to batches of network inputs."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf
import tensorflow_transform as tft

from components import examples
from components.preprocess.augment import augment
from components.preprocess.transform import LABEL, MEAN, PIXELS, normalize

_DECODE_BATCH = 256
# Decoded images are kept in memory up to this many bytes; beyond it they are decoded every epoch.
_CACHE_BYTES = 4 * 2**30
_SHUFFLE_BYTES = 2**30


class Images:
    """The decoded images of a split as bytes, with their labels.

    Attributes:
      dataset: (uint8 [H, W, C], int64 []) one by one, kept in memory where they fit.
      count: how many there are.
      mean: float32 [H, W, C], what `normalize` subtracts.
      shape: (H, W, C).
    """

    def __init__(self, files: Sequence[str], transform: tft.TFTransformOutput):
        """Opens a split.

        Args:
          files: patterns of gzipped TFRecord files.
          transform: the output of the Transform component.

        Raises:
          ValueError: no examples.
        """
        spec = transform.raw_feature_spec()
        self._spec = {name: spec[name] for name in ("image/encoded", LABEL)}
        self._layer = transform.transform_features_layer()
        records = _records(files)
        self.count = examples.count(records)
        if not self.count:
            raise ValueError(f"no examples in {', '.join(files)}")
        counted = tf.data.experimental.assert_cardinality(self.count)
        batches = records.batch(_DECODE_BATCH)
        self.mean = self._transformed(next(iter(batches)))[MEAN][0]
        self.shape = tuple(self.mean.shape)
        decoded = (
            batches.map(self._decode, num_parallel_calls=tf.data.AUTOTUNE).unbatch().apply(counted)
        )
        fits = self.count * self._bytes_each() <= _CACHE_BYTES
        self.dataset = decoded.cache() if fits else decoded

    def shuffle_buffer(self) -> int:
        """How many images a shuffle may hold at a time."""
        return max(1, min(self.count, _SHUFFLE_BYTES // self._bytes_each()))

    def _bytes_each(self) -> int:
        height, width, channels = self.shape
        return height * width * channels

    def _transformed(self, records: tf.Tensor) -> dict[str, tf.Tensor]:
        return self._layer(tf.io.parse_example(records, self._spec))

    def _decode(self, records: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        features = self._transformed(records)
        return tf.cast(features[PIXELS], tf.uint8), tf.squeeze(features[LABEL], axis=1)


def _records(files: Sequence[str]) -> tf.data.Dataset:
    paths = sorted(path for pattern in files for path in tf.io.gfile.glob(pattern))
    return tf.data.Dataset.from_tensor_slices(tf.constant(paths, tf.string)).interleave(
        lambda path: tf.data.TFRecordDataset(path, compression_type="GZIP"),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )


def steps_per_epoch(images: Images, recipe: Mapping[str, Any]) -> int:
    """The number of whole batches in an epoch; the rest waits for another epoch's order."""
    return images.count // min(recipe["batch_size"], images.count)


def training_batches(
    images: Images, recipe: Mapping[str, Any], first_epoch: int = 0
) -> tf.data.Dataset:
    """All batches of a training from `first_epoch` on.

    The order and the distortions of an epoch depend on the seed and the epoch alone, so that a
    resumed training sees what an uninterrupted one would have seen.

    Args:
      images: the training split.
      recipe: `batch_size`, `epochs`, `seed`, `augment`, `preprocess`.
      first_epoch: how many epochs lie behind; at least one must be left.

    Returns:
      Batches of (float32 [batch, H, W, C], int64 [batch]).
    """
    batch_size = min(recipe["batch_size"], images.count)
    steps = steps_per_epoch(images, recipe)
    seed = recipe["seed"]
    buffer = images.shuffle_buffer()

    def epoch_batches(epoch: int) -> tf.data.Dataset:
        order = images.dataset.shuffle(
            buffer, seed=seed * 1_000_003 + epoch, reshuffle_each_iteration=False
        )
        return order.batch(batch_size, drop_remainder=True)

    def network_input(step: tf.Tensor, batch: tuple[tf.Tensor, tf.Tensor]):
        pixels, labels = batch
        step_seed = tf.stack([tf.constant(seed, tf.int64), step])
        distorted = augment(tf.cast(pixels, tf.float32), recipe["augment"], step_seed)
        return normalize(distorted, images.mean, recipe["preprocess"]), labels

    # A shuffle takes no tensor as its seed, so each epoch is a dataset of its own.
    epochs = map(epoch_batches, range(first_epoch, recipe["epochs"]))
    return (
        functools.reduce(tf.data.Dataset.concatenate, epochs)
        .enumerate(first_epoch * steps)
        .map(network_input, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .prefetch(tf.data.AUTOTUNE)
    )


def test_batches(images: Images, recipe: Mapping[str, Any]) -> tf.data.Dataset:
    """The images of a split in order, undistorted, in batches of (images, labels)."""

    def network_input(pixels: tf.Tensor, labels: tf.Tensor):
        return normalize(pixels, images.mean, recipe["preprocess"]), labels

    batches = images.dataset.batch(recipe["batch_size"])
    return batches.map(network_input, num_parallel_calls=tf.data.AUTOTUNE).prefetch(
        tf.data.AUTOTUNE
    )
