"""The input pipeline of training: TFRecords of encoded images to batches of network inputs."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import tensorflow as tf
import tensorflow_transform as tft

from components import examples
from components.preprocess.augment import augment, random_crop
from components.preprocess.sampling import sample, sampling_step
from components.preprocess.steps import sampling
from components.preprocess.transform import AXES, LABEL, MEAN, PIXELS, centre, normalize

_DECODE_BATCH = 256
# Decoded images are kept in memory up to this many bytes; beyond it they are decoded every epoch.
_MEMORY_BYTES = 2 * 2**30
_SHUFFLE_BYTES = 2**30
_PREFETCHED = 8
# To rewrite Python's control flow, tf.Transform's too, would take longer than a small training.
_as_it_is = tf.autograph.experimental.do_not_convert


class Share(NamedTuple):
    """Which of the equal parts of each batch one of several workers makes."""

    worker: int = 0
    workers: int = 1


class Images:
    """The images of a split, with their labels.

    Attributes:
      records: the serialised tf.Examples.
      batches: (uint8 [n, H, W, C], int64 [n]), decoded anew each time.
      count: how many images there are.
      mean: float32 [H, W, C], the mean of the same part of every image.
      axes: float32 [C, C], the principal axes of the colours, where Transform has found them.
      shape: (H, W, C) of the stored images.
    """

    def __init__(
        self,
        files: Sequence[str],
        transform: tft.TFTransformOutput,
        part: Callable[[tf.data.Dataset], tf.data.Dataset] = lambda records: records,
    ):
        """Opens a split.

        Args:
          files: patterns of gzipped TFRecord files.
          transform: the output of the Transform component.
          part: which of the records are taken.

        Raises:
          ValueError: no examples.
        """
        spec = transform.raw_feature_spec()
        self._spec = {name: spec[name] for name in ("image/encoded", LABEL)}
        self._layer = transform.transform_features_layer()
        self._paths = sorted(path for pattern in files for path in tf.io.gfile.glob(pattern))
        self._part = part
        self.records = part(examples.read(self._paths))
        self.count = examples.count(self.records)
        if not self.count:
            raise ValueError(f"no examples in {', '.join(files)}")
        encoded = self.records.batch(_DECODE_BATCH)
        statistics = self._transformed(next(iter(self.records.batch(1))))
        self.mean = statistics[MEAN][0]
        self.axes = statistics[AXES][0] if AXES in statistics else None
        self.shape = tuple(self.mean.shape)
        self.batches = encoded.map(self._decode, num_parallel_calls=tf.data.AUTOTUNE)

    @functools.cached_property
    def arrays(self) -> tuple[tf.Tensor, tf.Tensor]:
        """All images, uint8 [N, H, W, C], and their labels, int64 [N]."""
        # In one piece: apart, the images of a batch are cache misses in hundreds of places.
        return self.batches.rebatch(self.count).get_single_element()

    def records_of(self, share: Share) -> tf.data.Dataset:
        """The records in the files of one worker, each of which has its own.

        Raises:
          ValueError: fewer files than workers.
        """
        if len(self._paths) < share.workers:
            raise ValueError(
                f"{share.workers} workers cannot share {len(self._paths)} files of training "
                "images, which are read anew in each epoch; each needs one or more"
            )
        return self._part(examples.read(self._paths[share.worker :: share.workers]))

    def fits(self, sets: int = 1) -> bool:
        """Whether so many sets of the images are kept in memory."""
        return sets * self.count * self._bytes_each() <= _MEMORY_BYTES

    def shuffle_buffer(self) -> int:
        """How many images a shuffle may hold at a time."""
        return max(1, min(self.count, _SHUFFLE_BYTES // self._bytes_each()))

    def parse(self, record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The encoded image, string [], and the label, int64 [], of a record."""
        features = tf.io.parse_single_example(record, self._spec)
        return tf.squeeze(features["image/encoded"]), tf.squeeze(features[LABEL])

    def _bytes_each(self) -> int:
        height, width, channels = self.shape
        return height * width * channels

    def _transformed(self, records: tf.Tensor) -> dict[str, tf.Tensor]:
        return self._layer(tf.io.parse_example(records, self._spec))

    @_as_it_is
    def _decode(self, records: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        features = self._transformed(records)
        return tf.cast(features[PIXELS], tf.uint8), tf.squeeze(features[LABEL], axis=1)


_WHOLE = Share()


def steps_per_epoch(images: Images, recipe: Mapping[str, Any]) -> int:
    """The number of whole batches in an epoch; the rest waits for another epoch's order."""
    return images.count // min(recipe["batch_size"], images.count)


def training_batches(
    images: Images, recipe: Mapping[str, Any], first_epoch: int = 0, share: Share = _WHOLE
) -> tf.data.Dataset:
    """All batches of a training from `first_epoch` on.

    The order and the distortions of an epoch depend on the seed and the epoch alone, so that a
    resumed training sees what an uninterrupted one would have seen.

    Args:
      images: the training split.
      recipe: `batch_size`, `epochs`, `seed`, `augment`, `distorted_copies`, `preprocess`.
      first_epoch: how many epochs lie behind; at least one must be left.
      share: what is made of each batch. Of images in memory the parts together are the batch that
        one worker would make; of images from files each worker's part is of its own files.

    Returns:
      Batches of (float32 [batch, H, W, C], int64 [batch]).

    Raises:
      ValueError: distorted copies of more images than fit into memory, or batches that cannot be
        shared.
    """
    size, rest = divmod(min(recipe["batch_size"], images.count), share.workers)
    if rest:
        raise ValueError(
            f"{share.workers} workers cannot share batches of {size * share.workers + rest} "
            "images evenly; set another batch_size"
        )
    copies = recipe["distorted_copies"]
    if images.fits(1 + copies) and not sampling(recipe["augment"]):
        own = slice(share.worker * size, (share.worker + 1) * size)
        whole = _from_memory(images, recipe, first_epoch)
        batches = whole.map(lambda pixels, labels: (pixels[own], labels[own]))
    elif copies:
        raise ValueError(
            f"{copies} distorted copies of {images.count} images do not fit into the "
            f"{_MEMORY_BYTES / 2**30:g} GiB for them; distorted_copies=0 distorts them as they come"
        )
    else:
        batches = _from_files(images, recipe, first_epoch, share)
    return batches.prefetch(_PREFETCHED).with_options(examples.untuned())


def seen(
    pixels: tf.Tensor, recipe: Mapping[str, Any], seed: tf.Tensor, images: Images
) -> tf.Tensor:
    """What a training sees of a batch of decoded images.

    Args:
      pixels: [N, H, W, C].
      recipe: `augment`, `preprocess`.
      seed: int64 [2].
      images: whose statistics the distortions use.

    Returns:
      uint8 or float32 [N, height, width, C] in 0..255, of the network's input.
    """
    pixels = augment(pixels, recipe["augment"], seed, images.axes)
    return random_crop(pixels, seed, *recipe["preprocess"]["size"])


def _network_input(images: Images, recipe: Mapping[str, Any]) -> Callable:
    """What makes a batch of decoded images, and a seed, the network's input."""
    preprocess = recipe["preprocess"]
    mean = centre(images.mean, preprocess)

    def network_input(pixels: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return normalize(seen(pixels, recipe, seed, images), mean, preprocess)

    return network_input


def _from_memory(images: Images, recipe: Mapping[str, Any], first_epoch: int) -> tf.data.Dataset:
    """Batches of images that are kept in memory as bytes."""
    pixels, labels = images.arrays
    copies = [
        _distorted(pixels, recipe, number, images.axes)
        for number in range(recipe["distorted_copies"])
    ]
    sets = tf.concat([pixels, *copies], axis=0) if copies else pixels
    steps = steps_per_epoch(images, recipe)
    batch_size = min(recipe["batch_size"], images.count)

    @_as_it_is
    def epoch_places(epoch: tf.Tensor) -> tf.data.Dataset:
        seed = tf.stack([tf.constant(recipe["seed"], tf.int64), epoch])
        places = tf.range(images.count, dtype=tf.int64)
        order = tf.random.experimental.stateless_shuffle(places, seed)[: steps * batch_size]
        order += epoch % (1 + len(copies)) * images.count
        return tf.data.Dataset.from_tensor_slices(tf.reshape(order, [steps, batch_size]))

    # The copies have been distorted once and for all.
    network_input = _network_input(images, {**recipe, "augment": ()} if copies else recipe)

    @_as_it_is
    def load(step: tf.Tensor, places: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        seed = tf.stack([tf.constant(recipe["seed"], tf.int64), step])
        return network_input(tf.gather(sets, places), seed), tf.gather(
            labels, places % images.count
        )

    epochs = tf.data.Dataset.range(first_epoch, recipe["epochs"]).flat_map(epoch_places)
    return epochs.enumerate(first_epoch * steps).map(
        load, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )


def _distorted(
    pixels: tf.Tensor, recipe: Mapping[str, Any], number: int, axes: tf.Tensor | None
) -> tf.Tensor:
    """A copy of all images with the recipe's `augment` steps applied, the same for its number."""
    seed = tf.constant([recipe["seed"], number], tf.int64)

    @_as_it_is
    def distort(chunk: tf.Tensor, part: tf.Tensor) -> tf.Tensor:
        chunk_seed = tf.random.experimental.stateless_fold_in(seed, chunk)
        distorted = augment(part, recipe["augment"], chunk_seed, axes)
        return tf.saturate_cast(tf.round(tf.cast(distorted, tf.float32)), tf.uint8)

    parts = tf.data.Dataset.from_tensor_slices(pixels).batch(_DECODE_BATCH).enumerate()
    distorted = parts.map(distort, num_parallel_calls=tf.data.AUTOTUNE)
    return distorted.rebatch(len(pixels)).get_single_element()


def _from_files(
    images: Images, recipe: Mapping[str, Any], first_epoch: int, share: Share
) -> tf.data.Dataset:
    """Batches of images that are decoded anew in every epoch.

    An image is decoded, distorted and normalised by itself, while the processor's cache holds it;
    what is shuffled are the encoded images.
    """
    batch_size = min(recipe["batch_size"], images.count) // share.workers
    an_epoch = steps_per_epoch(images, recipe) * batch_size
    own = images.records_of(share)
    step = sampling_step(recipe)
    network_input = _network_input(images, recipe)

    def epoch_records(epoch: int) -> tf.data.Dataset:
        order = own.shuffle(
            images.shuffle_buffer(),
            seed=recipe["seed"] * 1_000_003 + epoch,
            reshuffle_each_iteration=False,
        )
        # The files of one worker may hold less than its part of an epoch.
        return order.repeat().take(an_epoch)

    @_as_it_is
    def load(number: tf.Tensor, record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        encoded, label = images.parse(record)
        number = number * share.workers + share.worker
        seed = tf.stack([tf.constant(recipe["seed"], tf.int64), number])
        pixels = sample(encoded, recipe["preprocess"], step, seed)
        return network_input(pixels[None], seed)[0], label

    # A shuffle takes no tensor as its seed, so each epoch is a dataset of its own.
    epochs = map(epoch_records, range(first_epoch, recipe["epochs"]))
    records = functools.reduce(tf.data.Dataset.concatenate, epochs)
    distorted = records.enumerate(first_epoch * an_epoch).map(
        load, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )
    return distorted.batch(batch_size, drop_remainder=True)


def test_batches(images: Images, recipe: Mapping[str, Any]) -> tf.data.Dataset:
    """The images of a split in order, undistorted, in batches of (images, labels)."""
    preprocess = recipe["preprocess"]
    mean = centre(images.mean, preprocess)

    @_as_it_is
    def network_input(pixels: tf.Tensor, labels: tf.Tensor):
        return normalize(centre(pixels, preprocess), mean, preprocess), labels

    batches = images.batches.rebatch(recipe["batch_size"])
    if images.fits():
        batches = batches.cache()
    # Keras warns that the input has run out where it cannot know how many batches there are.
    number = -(-images.count // recipe["batch_size"])
    return (
        batches.map(network_input, num_parallel_calls=tf.data.AUTOTUNE)
        .apply(tf.data.experimental.assert_cardinality(number))
        .prefetch(_PREFETCHED)
        .with_options(examples.untuned())
    )
