"""Reads an Examples artifact as ingest writes it: splits, label names, dead letters."""

import itertools
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf
from tfx.dsl.io import fileio

from components.globs import escape

# More do not help: the records of a split lie in few files.
_READERS = 4
# How TensorFlow tells of an image that it does not decode; it does not say which.
_OF_AN_IMAGE = re.compile(
    r"jpeg::Uncompress|Invalid JPEG|Invalid PNG|Unknown image file format|Decode(Image|Jpeg|Png)"
)
_NAMED = 5


def records(uri: str, split: str) -> tf.data.Dataset:
    """The serialised tf.Examples of a split, always in the same order.

    Raises:
      ValueError: the artifact has no file of that split.
    """
    files = sorted(fileio.glob(os.path.join(escape(uri), f"Split-{split}", "*")))
    if not files:
        raise ValueError(f"{uri} has no {split} split: there is no file in Split-{split}")
    return read(files)


def read(files: Sequence[str]) -> tf.data.Dataset:
    """The records of gzipped TFRecord files: of each of four files in turn one.

    Left to tf.data, the number of these files would be that of the processors, and a training that
    goes on on another machine would find another order.
    """
    paths = tf.constant(files, tf.string)
    return tf.data.TFRecordDataset(paths, compression_type="GZIP", num_parallel_reads=_READERS)


def originals(uri: str) -> tf.data.Dataset:
    """Serialised tf.Examples of images that were stored otherwise than found, with the file.

    `image/original` is the file as found, `image/converted` what kind it is.
    """
    files = sorted(fileio.glob(os.path.join(uri, "originals", "*.gz")))
    return tf.data.TFRecordDataset(tf.constant(files, tf.string), compression_type="GZIP")


def count(dataset: tf.data.Dataset) -> int:
    """How many elements a data set has; reads it once."""
    return int(dataset.reduce(tf.constant(0, tf.int64), lambda total, _: total + 1))


def untuned() -> tf.data.Options:
    """Parallel calls as many as cores, and none of tf.data's tuning.

    The end of an iterator now and then misses to wake the tuning thread, and then waits for it: for
    5, 10, 20 seconds, up to a minute, at the end of a training.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return options


def label_names(uri: str) -> list[str]:
    """The names of the classes, in the order of the labels."""
    with fileio.open(os.path.join(uri, "labels.txt"), "rb") as file:
        return file.read().decode("utf-8").splitlines()


def found(uri: str, split: str, ids: Iterable[str]) -> dict[str, bytes]:
    """The serialised tf.Examples with these ids."""
    wanted = set(ids)
    chosen: dict[str, bytes] = {}
    for record in records(uri, split).as_numpy_iterator() if wanted else ():
        features = tf.train.Example.FromString(record).features.feature
        name = features["image/id"].bytes_list.value[0].decode("utf-8", "replace")
        if name in wanted:
            chosen[name] = record
        if len(chosen) == len(wanted):
            break
    return chosen


def encoded_image(record: bytes) -> bytes:
    """The image in a serialised tf.Example."""
    features = tf.train.Example.FromString(record).features.feature
    return features["image/encoded"].bytes_list.value[0]


def images(uri: str, split: str, ids: Iterable[str]) -> dict[str, bytes]:
    """The encoded images with these ids."""
    return {name: encoded_image(record) for name, record in found(uri, split, ids).items()}


def with_names(text: str, uris: Iterable[str]) -> str:
    """An error's text, with the images that it is about, where it tells of one without its name.

    Args:
      text: what is known of the error.
      uris: of Examples artifacts. All their images are decoded where the text tells of one.
    """
    if not _OF_AN_IMAGE.search(text):
        return text
    bad = (name for uri in uris for name in _not_decoded(uri))
    named = ", ".join(itertools.islice(bad, _NAMED))
    return f"{text}\nTensorFlow does not decode these images: {named}" if named else text


def _not_decoded(uri: str) -> Iterator[str]:
    """Split and name of each image that TensorFlow does not decode."""
    for path in sorted(fileio.glob(os.path.join(uri, "Split-*", "*"))):
        split = os.path.basename(os.path.dirname(path)).removeprefix("Split-")
        for record in tf.data.TFRecordDataset(path, "GZIP").as_numpy_iterator():
            features = tf.train.Example.FromString(record).features.feature
            try:
                tf.io.decode_image(features["image/encoded"].bytes_list.value[0])
            except tf.errors.InvalidArgumentError:
                name = features["image/id"].bytes_list.value[0].decode("utf-8", "replace")
                yield f"{name} ({split})"


def dead_letters(uri: str) -> Iterator[Mapping[str, Any]]:
    """`{"id", "reason", "count"}` of each input that ingest could not use.

    A damaged part of a file is one input; `count` says how many records are lost with it.
    """
    for path in sorted(fileio.glob(os.path.join(escape(uri), "dead_letters", "*.jsonl"))):
        with fileio.open(path, "rb") as file:
            for line in file.read().decode("utf-8").splitlines():
                # Artifacts that come from the cache may be older than the count.
                yield {"count": 1, **json.loads(line)}
