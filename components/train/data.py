"""The input pipeline of training: TFRecords of encoded images to batches of network inputs."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import tensorflow as tf
import tensorflow_transform as tft

from components import examples, inputs
from components.preprocess.augment import augment, random_crop
from components.preprocess.sampling import sample, sampling_step
from components.preprocess.steps import sampling
from components.preprocess.transform import (
    AXES,
    MEAN,
    PIXELS,
    centre,
    normalize,
)
from components.tasks import Task
from components.train import moving

_ENCODED, _CONTENT = "image/encoded", "image/sha256"
_DECODE_BATCH = 256
_BUCKETS = 10_000
# Decoded images are kept in memory up to this many bytes; beyond it they are decoded every epoch.
_MEMORY_BYTES = 2 * 2**30
_SHUFFLE_BYTES = 2**30
_PREFETCHED = 8
# Of an epoch whose images would else be one step.
_FEWEST_STEPS = 4
# To rewrite Python's control flow, tf.Transform's too, would take longer than a small training.
_as_it_is = tf.autograph.experimental.do_not_convert


class Share(NamedTuple):
    """Which of the equal parts of each batch one of several workers makes."""

    worker: int = 0
    workers: int = 1


def held_out(share: float, taken: bool) -> Callable[[tf.data.Dataset], tf.data.Dataset]:
    """What takes a part of serialised tf.Examples: those that are held out, or all others.

    Whether an image is held out depends on its content alone, so that it stays so when images are
    added, and copies of one image are not on both sides.

    Args:
      share: how much is held out, about, from 0 to 1.
      taken: whether what is held out is taken.
    """
    spec = {_CONTENT: tf.io.FixedLenFeature([], tf.string, default_value="")}

    def chosen(records: tf.Tensor) -> tf.Tensor:
        content = tf.io.parse_example(records, spec)[_CONTENT]
        bucket = tf.strings.to_hash_bucket_fast(content, _BUCKETS)
        return tf.boolean_mask(records, (bucket < round(share * _BUCKETS)) == taken)

    def part(records: tf.data.Dataset) -> tf.data.Dataset:
        return records.batch(_DECODE_BATCH).map(chosen).unbatch() if share else records

    return part


class Images:
    """The images of a split, with what a task has a network learn of them.

    Attributes:
      task: what is learnt, and what a network is shown.
      targets: the task's module of that name.
      moves: whether each example is distorted by itself, because its targets move with the image,
        or because it has several inputs.
      records: the serialised tf.Examples.
      batches: (uint8 [n, H, W, C], targets [n]), decoded anew each time; of several inputs such
        images by their names, of stacks [n, F, H, W, C], and boxes as they are stored, float32
        [n, B, 4]; where `moves`, there are no targets: ().
      count: how many images there are.
      mean: float32 [H, W, C], the mean of the same part of every image.
      axes: float32 [C, C], the principal axes of the colours, where Transform has found them.
      shape: (H, W, C) of the stored images.
    """

    def __init__(
        self,
        files: Sequence[str],
        transform: tft.TFTransformOutput,
        task: Task,
        part: Callable[[tf.data.Dataset], tf.data.Dataset] = lambda records: records,
    ):
        """Opens a split.

        Args:
          files: patterns of gzipped TFRecord files.
          transform: the output of the Transform component.
          task: what is learnt.
          part: which of the records are taken.

        Raises:
          ValueError: no examples.
        """
        self.task = task
        self.targets = task.part("targets")
        self.moves = self.targets.MOVES or not task.one_picture
        of_inputs = {} if task.one_picture else inputs.spec(task)
        spec = transform.raw_feature_spec()
        self._spec = {**of_inputs, _ENCODED: spec[_ENCODED], **self.targets.FEATURES}
        self._layer = transform.transform_features_layer()
        self._paths = sorted(path for pattern in files for path in tf.io.gfile.glob(pattern))
        self._part = part
        self.records = part(examples.read(self._paths))
        self.count = examples.count(self.records)
        if not self.count:
            raise ValueError(f"no examples in {', '.join(files)}")
        encoded = self.records.batch(_DECODE_BATCH)
        statistics, _ = self._transformed(next(iter(self.records.batch(1))))
        self.mean = statistics[MEAN][0]
        self.axes = statistics[AXES][0] if AXES in statistics else None
        self.shape = tuple(self.mean.shape)
        self.batches = encoded.map(self._decode, num_parallel_calls=tf.data.AUTOTUNE)

    @functools.cached_property
    def arrays(self) -> tuple[tf.Tensor, Any]:
        """All images, uint8 [N, H, W, C], and their targets [N]."""
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

    def parse(self, record: tf.Tensor) -> tuple[Any, dict[str, tf.Tensor]]:
        """The encoded image, string [], and the task's features of a record.

        Of several inputs the images are a mapping by their names, string [], of stacks [F].
        """
        features = tf.io.parse_single_example(record, self._spec)
        if not self.task.one_picture:
            return inputs.encoded(features, self.task), features
        return tf.squeeze(features.pop(_ENCODED)), features

    def _bytes_each(self) -> int:
        height, width, channels = self.shape
        return height * width * channels

    def _transformed(self, records: tf.Tensor) -> tuple[dict[str, tf.Tensor], dict[str, tf.Tensor]]:
        """What Transform's graph gives, and the task's features."""
        features = tf.io.parse_example(records, self._spec)
        return self._layer({_ENCODED: features.pop(_ENCODED)}), features

    @_as_it_is
    def _decode(self, records: tf.Tensor) -> tuple[Any, Any]:
        if not self.task.one_picture:
            shown = inputs.of_records(records, self.task)
            return {
                name: each if name in self.task.box_counts else self._pixels(each)
                for name, each in shown.items()
            }, ()
        transformed, parsed = self._transformed(records)
        targets = () if self.moves else self.targets.trained(parsed, {})
        return tf.cast(transformed[PIXELS], tf.uint8), targets

    def _pixels(self, encoded: tf.Tensor) -> tf.Tensor:
        """Encoded images, string [n] or [n, F], to uint8 [n, H, W, C] or [n, F, H, W, C]."""
        pixels = self._layer({_ENCODED: tf.reshape(encoded, [-1, 1])})[PIXELS]
        return tf.cast(tf.reshape(pixels, [-1, *encoded.shape[1:], *self.shape]), tf.uint8)


def train_and_validation(
    files: Sequence[str], transform: tft.TFTransformOutput, task: Task, share: float
) -> tuple[Images, Images | None]:
    """The training split without the held-out part, and that part; None where it is empty.

    Args:
      files, transform, task: as of `Images`.
      share: how much is held out, see `held_out`.

    Raises:
      ValueError: no examples are left to train on.
    """
    train = Images(files, transform, task, held_out(share, taken=False))
    paths = sorted(path for pattern in files for path in tf.io.gfile.glob(pattern))
    rest = held_out(share, taken=True)(examples.read(paths)) if share else None
    if rest is None or not examples.count(rest.take(1)):
        return train, None
    return train, Images(files, transform, task, held_out(share, taken=True))


_WHOLE = Share()


def batch_size(images: Images, recipe: Mapping[str, Any]) -> int:
    """How many images a step takes: as the recipe says, or fewer of a few images.

    Where an epoch would be a single step, it is the power of two that makes it four steps or more.
    """
    wanted, count = recipe["batch_size"], images.count
    if count >= 2 * wanted:
        return wanted
    return 2 ** max(0, (count // _FEWEST_STEPS).bit_length() - 1)


def steps_per_epoch(images: Images, recipe: Mapping[str, Any]) -> int:
    """The number of whole batches in an epoch; the rest waits for another epoch's order."""
    return images.count // batch_size(images, recipe)


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
      Batches of (float32 [batch, H, W, C], targets [batch]), of targets of several lengths ragged
      ones; of several inputs a mapping of images.

    Raises:
      ValueError: distorted copies of more images than fit into memory, or batches that cannot be
        shared.
    """
    size, rest = divmod(batch_size(images, recipe), share.workers)
    if rest:
        raise ValueError(
            f"{share.workers} workers cannot share batches of {size * share.workers + rest} "
            "images evenly; set another batch_size"
        )
    copies = recipe["distorted_copies"]
    in_memory = not (images.moves or sampling(recipe["augment"]))
    if in_memory and images.fits(1 + copies):
        own = slice(share.worker * size, (share.worker + 1) * size)
        whole = _from_memory(images, recipe, first_epoch)
        batches = whole.map(lambda *batch: tf.nest.map_structure(lambda values: values[own], batch))
    elif copies and images.moves:
        raise ValueError(
            "distorted_copies are of single images, and here a target moves with its image, or "
            "there are several inputs; distorted_copies=0 distorts all of them as they come"
        )
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
    pixels, targets = images.arrays
    copies = [
        _distorted(pixels, recipe, number, images.axes)
        for number in range(recipe["distorted_copies"])
    ]
    sets = tf.concat([pixels, *copies], axis=0) if copies else pixels
    steps = steps_per_epoch(images, recipe)
    size = batch_size(images, recipe)

    @_as_it_is
    def epoch_places(epoch: tf.Tensor) -> tf.data.Dataset:
        seed = tf.stack([tf.constant(recipe["seed"], tf.int64), epoch])
        places = tf.range(images.count, dtype=tf.int64)
        order = tf.random.experimental.stateless_shuffle(places, seed)[: steps * size]
        order += epoch % (1 + len(copies)) * images.count
        return tf.data.Dataset.from_tensor_slices(tf.reshape(order, [steps, size]))

    # The copies have been distorted once and for all.
    network_input = _network_input(images, {**recipe, "augment": ()} if copies else recipe)

    @_as_it_is
    def load(step: tf.Tensor, places: tf.Tensor) -> tuple[tf.Tensor, Any]:
        seed = tf.stack([tf.constant(recipe["seed"], tf.int64), step])
        found = functools.partial(tf.gather, indices=places % images.count)
        pixels = network_input(tf.gather(sets, places), seed)
        return pixels, tf.nest.map_structure(found, targets)

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
    size = batch_size(images, recipe) // share.workers
    an_epoch = steps_per_epoch(images, recipe) * size
    own = images.records_of(share)
    one = moving.distorted(images, recipe) if images.moves else _still(images, recipe)

    def epoch_records(epoch: int) -> tf.data.Dataset:
        order = own.shuffle(
            images.shuffle_buffer(),
            seed=recipe["seed"] * 1_000_003 + epoch,
            reshuffle_each_iteration=False,
        )
        # The files of one worker may hold less than its part of an epoch.
        return order.repeat().take(an_epoch)

    @_as_it_is
    def load(number: tf.Tensor, record: tf.Tensor) -> tuple[tf.Tensor, Any]:
        number = number * share.workers + share.worker
        return one(record, tf.stack([tf.constant(recipe["seed"], tf.int64), number]))

    # A shuffle takes no tensor as its seed, so each epoch is a dataset of its own.
    epochs = map(epoch_records, range(first_epoch, recipe["epochs"]))
    records = functools.reduce(tf.data.Dataset.concatenate, epochs)
    distorted = records.enumerate(first_epoch * an_epoch).map(
        load, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )
    return _batched(distorted, size, drop_remainder=True)


def _still(images: Images, recipe: Mapping[str, Any]) -> Callable:
    """What makes a record, and a seed, the network's input and a target that does not move."""
    step = sampling_step(recipe)
    network_input = _network_input(images, recipe)

    def one(record: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, Any]:
        encoded, parsed = images.parse(record)
        pixels = sample(encoded, recipe["preprocess"], step, seed)
        return network_input(pixels[None], seed)[0], images.targets.trained(parsed, {})

    return one


def validation_batches(images: Images, recipe: Mapping[str, Any]) -> tf.data.Dataset:
    """The images of a split in order, undistorted, in batches of (images, targets)."""
    whole = _central_moved if images.moves else _central
    # Keras warns that the input has run out where it cannot know how many batches there are.
    number = -(-images.count // recipe["batch_size"])
    return (
        whole(images, recipe)
        .apply(tf.data.experimental.assert_cardinality(number))
        .prefetch(_PREFETCHED)
        .with_options(examples.untuned())
    )


def _central(images: Images, recipe: Mapping[str, Any]) -> tf.data.Dataset:
    preprocess = recipe["preprocess"]
    mean = centre(images.mean, preprocess)

    @_as_it_is
    def network_input(pixels: tf.Tensor, targets: Any) -> tuple[tf.Tensor, Any]:
        return normalize(centre(pixels, preprocess), mean, preprocess), targets

    batches = images.batches.rebatch(recipe["batch_size"])
    if images.fits():
        batches = batches.cache()
    return batches.map(network_input, num_parallel_calls=tf.data.AUTOTUNE)


def _central_moved(images: Images, recipe: Mapping[str, Any]) -> tf.data.Dataset:
    """As `_central`, of targets that are cropped with the image, or of several inputs."""
    one = moving.central(images, recipe["preprocess"])

    @_as_it_is
    def load(record: tf.Tensor) -> tuple[Any, Any]:
        return one(record, tf.zeros([2], tf.int64))

    loaded = images.records.map(load, num_parallel_calls=tf.data.AUTOTUNE)
    return _batched(loaded, recipe["batch_size"])


def _batched(examples: tf.data.Dataset, size: int, drop_remainder: bool = False) -> tf.data.Dataset:
    """Batches of examples; ragged ones of what is not of one shape in all of them."""
    shapes = (spec.shape for spec in tf.nest.flatten(examples.element_spec))
    if all(shape.is_fully_defined() for shape in shapes):
        return examples.batch(size, drop_remainder=drop_remainder)
    return examples.ragged_batch(size, drop_remainder=drop_remainder)
