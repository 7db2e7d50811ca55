"""Images of a data set in memory, straight from the files: no pipeline runs for them."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from components import tasks
from components.ingest import sources
from components.ingest.contract import Record
from components.ingest.readers import reader
from components.preprocess.transform import decode_one, stored_size


class Pixels:
    """The images of a part of a split, as `components.train.data` takes them.

    Attributes:
      arrays: uint8 [N, H, W, C] and int64 [N].
      count: N.
      shape: (H, W, C).
      mean: float32 [H, W, C], what `normalize` subtracts.
      task: classification; `targets` is its module of that name.
      moves: False; batches are made of images in memory.
      axes: None; there are no distortions of colour without Transform's statistics.
      batches: the images in order, a batch at a time.
    """

    axes = None
    moves = False

    def __init__(self, pixels: np.ndarray, labels: np.ndarray, mean: np.ndarray):
        self.arrays = tf.constant(pixels), tf.constant(labels, tf.int64)
        self.count = len(pixels)
        self.shape = tuple(pixels.shape[1:])
        self.mean = tf.constant(mean, tf.float32)
        self.task = tasks.find("classification")
        self.targets = self.task.part("targets")
        self.batches = tf.data.Dataset.from_tensors(self.arrays)

    def fits(self, sets: int = 1) -> bool:
        """They are in memory already."""
        return True


def train_and_test(
    dataset: str, preprocess: Mapping[str, Any], train: int, test: int
) -> tuple[Pixels, Pixels]:
    """The first so many images of either split, brought to the size of a recipe's `preprocess`.

    Both subtract the mean of these training images.
    """
    pixels, labels = _images(dataset, "train", train, _frozen(preprocess))
    mean = _MEANS[preprocess["mean"]](pixels)
    others = _images(dataset, "test", test, _frozen(preprocess))
    return Pixels(pixels, labels, mean), Pixels(*others, mean)


_MEANS = {
    "none": lambda pixels: np.zeros(pixels.shape[1:], np.float32),
    "per_pixel": lambda pixels: pixels.mean(axis=0, dtype=np.float64),
    "per_channel": lambda pixels: np.broadcast_to(
        pixels.mean(axis=(0, 1, 2), dtype=np.float64), pixels.shape[1:]
    ),
}


def _frozen(preprocess: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """What `decode_one` depends on, such that it can be the key of a cache."""
    keys = ("size", "resize", "channels", "fit")
    values = (preprocess.get(key) for key in keys)
    return tuple(
        (key, tuple(value) if isinstance(value, list) else value)
        for key, value in zip(keys, values, strict=True)
    )


@functools.lru_cache(maxsize=4)
def _images(
    dataset: str, split: str, count: int, settings: tuple[tuple[str, Any], ...]
) -> tuple[np.ndarray, np.ndarray]:
    """uint8 [N, H, W, C] and int64 [N]. Raises ValueError where the split has fewer."""
    records = list(itertools.islice(_records(dataset, split), count))
    if len(records) < count:
        raise ValueError(f"{dataset}: {count} {split} images wanted, it has {len(records)}")
    preprocess = dict(settings)
    images = [_sized(record.features["image/encoded"], preprocess) for record in records]
    labels = np.array([record.features["label"] for record in records], np.int64)
    return np.stack(images), labels


@functools.lru_cache
def _reader(dataset: str):
    return reader(sources.prepare(sources.resolve(dataset, "classification")))


def _records(dataset: str, split: str) -> Iterator[Record]:
    read = _reader(dataset)
    for root in read.roots(split):
        for piece in read.pieces(root):
            yield from (found for found in read.load(piece) if isinstance(found, Record))


def _sized(image: bytes | np.ndarray, preprocess: Mapping[str, Any]) -> np.ndarray:
    if isinstance(image, np.ndarray):
        image = image if image.ndim == 3 else image[..., None]
        if image.shape == (*stored_size(preprocess), preprocess["channels"]):
            return image
        image = tf.io.encode_png(image)
    return tf.cast(decode_one(image, preprocess), tf.uint8).numpy()
