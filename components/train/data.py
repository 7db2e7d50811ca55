"""The input pipeline of training: TFRecords of encoded images to batches of network inputs."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf
import tensorflow_transform as tft

from components import examples
from components.preprocess.augment import augment, random_crop
from components.preprocess.transform import LABEL, MEAN, PIXELS, centre, normalize

_DECODE_BATCH = 256
# Decoded images are kept in memory up to this many bytes; beyond it they are decoded every epoch.
_CACHE_BYTES = 4 * 2**30
_SHUFFLE_BYTES = 2**30
_PREFETCHED = 8


class Images:
    """The decoded images of a split as bytes, with their labels.

    Attributes:
      dataset: (uint8 [H, W, C], int64 []) one by one, kept in memory where they fit.
      count: how many there are.
      mean: float32 [H, W, C], the mean of the same part of every image.
      shape: (H, W, C) of the stored images.
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
        self.dataset = decoded.cache() if self._fits() else decoded

    def distorted(self, recipe: Mapping[str, Any], copies: int) -> list[tf.data.Dataset]:
        """Copies of the images with the recipe's `augment` steps applied, each its own.

        Args:
          recipe: `augment`, `seed`.
          copies: how many; they are kept in memory where they fit beside the images.

        Returns:
          as many datasets of (uint8 [H, W, C], int64 []).
        """
        datasets = [self._distorted(recipe, number) for number in range(copies)]
        return [copy.cache() for copy in datasets] if self._fits(1 + copies) else datasets

    def _distorted(self, recipe: Mapping[str, Any], number: int) -> tf.data.Dataset:
        def distort(chunk: tf.Tensor, batch: tuple[tf.Tensor, tf.Tensor]):
            pixels, labels = batch
            copy_seed = tf.constant([recipe["seed"], number], tf.int64)
            seed = tf.random.experimental.stateless_fold_in(copy_seed, chunk)
            distorted = augment(pixels, recipe["augment"], seed)
            return tf.saturate_cast(tf.round(tf.cast(distorted, tf.float32)), tf.uint8), labels

        return (
            self.dataset.batch(_DECODE_BATCH)
            .enumerate()
            .map(distort, num_parallel_calls=tf.data.AUTOTUNE)
            .unbatch()
            .apply(tf.data.experimental.assert_cardinality(self.count))
        )

    def _fits(self, copies: int = 1) -> bool:
        return copies * self.count * self._bytes_each() <= _CACHE_BYTES

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
      recipe: `batch_size`, `epochs`, `seed`, `augment`, `distorted_copies`, `preprocess`.
      first_epoch: how many epochs lie behind; at least one must be left.

    Returns:
      Batches of (float32 [batch, H, W, C], int64 [batch]).
    """
    batch_size = min(recipe["batch_size"], images.count)
    steps = steps_per_epoch(images, recipe)
    seed = recipe["seed"]
    preprocess = recipe["preprocess"]
    mean = centre(images.mean, preprocess)
    buffer = images.shuffle_buffer()
    copies = recipe["distorted_copies"]
    sets = [images.dataset, *images.distorted(recipe, copies)]

    def epoch_batches(epoch: int) -> tf.data.Dataset:
        order = sets[epoch % len(sets)].shuffle(
            buffer, seed=seed * 1_000_003 + epoch, reshuffle_each_iteration=False
        )
        return order.batch(batch_size, drop_remainder=True)

    def network_input(step: tf.Tensor, batch: tuple[tf.Tensor, tf.Tensor]):
        pixels, labels = batch
        step_seed = tf.stack([tf.constant(seed, tf.int64), step])
        if not copies:
            pixels = augment(pixels, recipe["augment"], step_seed)
        pixels = random_crop(pixels, step_seed, *preprocess["size"])
        return normalize(pixels, mean, preprocess), labels

    # A shuffle takes no tensor as its seed, so each epoch is a dataset of its own.
    epochs = map(epoch_batches, range(first_epoch, recipe["epochs"]))
    return (
        functools.reduce(tf.data.Dataset.concatenate, epochs)
        .enumerate(first_epoch * steps)
        .map(network_input, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .prefetch(_PREFETCHED)
        .with_options(_untuned())
    )


def test_batches(images: Images, recipe: Mapping[str, Any]) -> tf.data.Dataset:
    """The images of a split in order, undistorted, in batches of (images, labels)."""
    preprocess = recipe["preprocess"]
    mean = centre(images.mean, preprocess)

    def network_input(pixels: tf.Tensor, labels: tf.Tensor):
        return normalize(centre(pixels, preprocess), mean, preprocess), labels

    batches = images.dataset.batch(recipe["batch_size"])
    return (
        batches.map(network_input, num_parallel_calls=tf.data.AUTOTUNE)
        .prefetch(_PREFETCHED)
        .with_options(_untuned())
    )


def _untuned() -> tf.data.Options:
    """Parallel calls as many as cores, and none of tf.data's tuning.

    The end of an iterator now and then misses to wake the tuning thread, and then waits for it: for
    5, 10, 20 seconds, up to a minute, at the end of a training.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return options
