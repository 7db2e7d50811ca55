"""The input pipeline of training: TFRecords of encoded images to batches of network inputs."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf
import tensorflow_transform as tft

from components import examples
from components.preprocess.augment import augment, random_crop
from components.preprocess.transform import LABEL, MEAN, PIXELS, centre, normalize

_DECODE_BATCH = 256
# Decoded images are kept in memory up to this many bytes; beyond it they are decoded every epoch.
_MEMORY_BYTES = 2 * 2**30
_SHUFFLE_BYTES = 2**30
_PREFETCHED = 8


class Images:
    """The decoded images of a split as bytes, with their labels.

    Attributes:
      batches: (uint8 [n, H, W, C], int64 [n]), decoded anew each time.
      count: how many images there are.
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
        encoded = records.batch(_DECODE_BATCH)
        self.mean = self._transformed(next(iter(encoded)))[MEAN][0]
        self.shape = tuple(self.mean.shape)
        self.batches = encoded.map(self._decode, num_parallel_calls=tf.data.AUTOTUNE)

    @functools.cached_property
    def arrays(self) -> tuple[tf.Tensor, tf.Tensor]:
        """All images, uint8 [N, H, W, C], and their labels, int64 [N]."""
        # In one piece: apart, the images of a batch are cache misses in hundreds of places.
        return self.batches.rebatch(self.count).get_single_element()

    def fits(self, sets: int = 1) -> bool:
        """Whether so many sets of the images are kept in memory."""
        return sets * self.count * self._bytes_each() <= _MEMORY_BYTES

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

    Raises:
      ValueError: distorted copies of more images than fit into memory.
    """
    copies = recipe["distorted_copies"]
    if images.fits(1 + copies):
        batches, load = _from_memory(images, recipe, first_epoch)
    elif copies:
        raise ValueError(
            f"{copies} distorted copies of {images.count} images do not fit into the "
            f"{_MEMORY_BYTES / 2**30:g} GiB for them; distorted_copies=0 distorts them as they come"
        )
    else:
        batches, load = _from_files(images, recipe, first_epoch)
    seed = recipe["seed"]
    preprocess = recipe["preprocess"]
    mean = centre(images.mean, preprocess)

    def network_input(step: tf.Tensor, batch: Any):
        pixels, labels = load(batch)
        step_seed = tf.stack([tf.constant(seed, tf.int64), step])
        if not copies:
            pixels = augment(pixels, recipe["augment"], step_seed)
        pixels = random_crop(pixels, step_seed, *preprocess["size"])
        return normalize(pixels, mean, preprocess), labels

    return (
        batches.enumerate(first_epoch * steps_per_epoch(images, recipe))
        .map(network_input, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .prefetch(_PREFETCHED)
        .with_options(examples.untuned())
    )


def _from_memory(
    images: Images, recipe: Mapping[str, Any], first_epoch: int
) -> tuple[tf.data.Dataset, Callable]:
    """Batches of places in memory, and the function that takes (pixels, labels) from there."""
    pixels, labels = images.arrays
    copies = [_distorted(pixels, recipe, number) for number in range(recipe["distorted_copies"])]
    sets = tf.concat([pixels, *copies], axis=0) if copies else pixels
    steps = steps_per_epoch(images, recipe)
    batch_size = min(recipe["batch_size"], images.count)

    def epoch_places(epoch: tf.Tensor) -> tf.data.Dataset:
        seed = tf.stack([tf.constant(recipe["seed"], tf.int64), epoch])
        places = tf.range(images.count, dtype=tf.int64)
        order = tf.random.experimental.stateless_shuffle(places, seed)[: steps * batch_size]
        order += epoch % (1 + len(copies)) * images.count
        return tf.data.Dataset.from_tensor_slices(tf.reshape(order, [steps, batch_size]))

    def load(places: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.gather(sets, places), tf.gather(labels, places % images.count)

    epochs = tf.data.Dataset.range(first_epoch, recipe["epochs"])
    return epochs.flat_map(epoch_places), load


def _distorted(pixels: tf.Tensor, recipe: Mapping[str, Any], number: int) -> tf.Tensor:
    """A copy of all images with the recipe's `augment` steps applied, the same for its number."""
    seed = tf.constant([recipe["seed"], number], tf.int64)

    def distort(chunk: tf.Tensor, part: tf.Tensor) -> tf.Tensor:
        chunk_seed = tf.random.experimental.stateless_fold_in(seed, chunk)
        distorted = augment(part, recipe["augment"], chunk_seed)
        return tf.saturate_cast(tf.round(tf.cast(distorted, tf.float32)), tf.uint8)

    parts = tf.data.Dataset.from_tensor_slices(pixels).batch(_DECODE_BATCH).enumerate()
    distorted = parts.map(distort, num_parallel_calls=tf.data.AUTOTUNE)
    return distorted.rebatch(len(pixels)).get_single_element()


def _from_files(
    images: Images, recipe: Mapping[str, Any], first_epoch: int
) -> tuple[tf.data.Dataset, Callable]:
    """Batches of (pixels, labels), and the function that leaves them as they are."""
    batch_size = min(recipe["batch_size"], images.count)
    decoded = images.batches.unbatch()

    def epoch_batches(epoch: int) -> tf.data.Dataset:
        order = decoded.shuffle(
            images.shuffle_buffer(),
            seed=recipe["seed"] * 1_000_003 + epoch,
            reshuffle_each_iteration=False,
        )
        return order.batch(batch_size, drop_remainder=True)

    # A shuffle takes no tensor as its seed, so each epoch is a dataset of its own.
    epochs = map(epoch_batches, range(first_epoch, recipe["epochs"]))
    return functools.reduce(tf.data.Dataset.concatenate, epochs), lambda batch: batch


def test_batches(images: Images, recipe: Mapping[str, Any]) -> tf.data.Dataset:
    """The images of a split in order, undistorted, in batches of (images, labels)."""
    preprocess = recipe["preprocess"]
    mean = centre(images.mean, preprocess)

    def network_input(pixels: tf.Tensor, labels: tf.Tensor):
        return normalize(centre(pixels, preprocess), mean, preprocess), labels

    batches = images.batches.rebatch(recipe["batch_size"])
    if images.fits():
        batches = batches.cache()
    return (
        batches.map(network_input, num_parallel_calls=tf.data.AUTOTUNE)
        .prefetch(_PREFETCHED)
        .with_options(examples.untuned())
    )
