"""Beam transforms from each kind of source to tf.Examples and dead letters."""

from __future__ import annotations

import functools
import itertools
import json
import os
from collections.abc import Iterator

import apache_beam as beam
import tensorflow as tf

from components import progress
from components.ingest import idx, images
from components.ingest.sources import Source

DEAD = "dead"
STAGE = "ImageExampleGen"
# Sources without a file an image are cut into pieces of this many: enough pieces for every core,
# few enough that opening the source once per piece costs nothing that shows.
_PIECE = 5000


# Of all splits together.
_images_read = itertools.count(1)


def dead_letter(identifier: str, reason: str) -> beam.pvalue.TaggedOutput:
    """An input that gives no example, as a line of JSON, on the side output `DEAD`."""
    return beam.pvalue.TaggedOutput(DEAD, json.dumps({"id": identifier, "reason": reason}))


class _Counting(beam.DoFn):
    """Tells the run's display how many images this process has read."""

    _REPORT_EVERY = 500

    def setup(self) -> None:
        self._read = _images_read

    def process(self, element: tf.train.Example) -> Iterator[tf.train.Example]:
        count = next(self._read)
        if count % self._REPORT_EVERY == 0:
            progress.report(STAGE, count, 0, "images")
        yield element


def _files(label: str, base: str) -> Iterator[tuple[str, str]]:
    """(class, name) of everything in a class's folder but hidden files.

    Listed, not matched by a pattern: a pattern passes over links that lead nowhere.
    """
    for name in tf.io.gfile.listdir(os.path.join(base, label)):
        if not name.startswith("."):
            yield label, name.rstrip("/")


class _FileToExample(beam.DoFn):
    """A file BASE/CLASS/NAME to an example, or to a dead letter."""

    def __init__(self, base: str, labels: list[str]):
        self._base = base
        self._labels = {name: index for index, name in enumerate(labels)}

    def process(self, file: tuple[str, str]) -> Iterator[tf.train.Example]:
        label, name = file
        identifier = f"{label}/{name}"
        try:
            with tf.io.gfile.GFile(os.path.join(self._base, label, name), "rb") as opened:
                content = opened.read()
            image = images.checked_image(content)
        except (images.ImageError, OSError, tf.errors.OpError) as error:
            yield dead_letter(identifier, str(error))
            return
        yield images.example(identifier, content, image, self._labels[label], label)


@functools.lru_cache(maxsize=2)
def _idx_split(folder: str, pattern: str):
    return idx.read_split(folder, pattern)


class _IdxPieceToExamples(beam.DoFn):
    """A piece of an IDX file to examples."""

    def __init__(self, folder: str, pattern: str, labels: list[str]):
        self._source = (folder, pattern)
        self._labels = labels

    def process(self, start: int) -> Iterator[tf.train.Example]:
        pixels, labels = _idx_split(*self._source)
        prefix = self._source[1].partition("-")[0]
        for index in range(start, min(start + _PIECE, len(pixels))):
            height, width = pixels[index].shape[:2]
            encoded = images.png(pixels[index])
            label = int(labels[index])
            yield images.example(
                f"{prefix}#{index}", encoded, (encoded, height, width), label, self._labels[label]
            )


class _TfdsToExample(beam.DoFn):
    """A TFDS element with a still encoded image to an example, or to a dead letter."""

    def __init__(self, labels: list[str]):
        self._labels = labels

    def process(self, element: tuple[str, dict]) -> Iterator[tf.train.Example]:
        identifier, features = element
        content = bytes(features["image"])
        label = int(features["label"])
        try:
            image = images.checked_image(content)
        except images.ImageError as error:
            yield dead_letter(identifier, str(error))
            return
        yield images.example(identifier, content, image, label, self._labels[label])


def labels_of(source: Source) -> list[str]:
    """The class names of a source, in the order of the label numbers."""
    if source.kind == "folder":
        directories = (name for name in tf.io.gfile.listdir(source.base) if name[0] != ".")
        names = (name.rstrip("/") for name in directories)
        return sorted(name for name in names if tf.io.gfile.isdir(os.path.join(source.base, name)))
    if source.kind == "idx":
        names = os.path.join(source.base, "labels.txt")
        if os.path.exists(names):
            with open(names, encoding="utf-8") as file:
                return file.read().splitlines()
        _, labels = _idx_split(source.base, dict(source.patterns)["train"])
        return [str(number) for number in range(int(labels.max()) + 1)]
    import tensorflow_datasets as tfds

    return tfds.builder_from_directory(source.base).info.features["label"].names


def read(pipeline: beam.Pipeline, source: Source, split: str, pattern: str, labels: list[str]):
    """Reads one split.

    Args:
      pipeline: where the transforms are added.
      source: the data set.
      split: `train`, `test` or `all`.
      pattern: the split's file pattern below the source's base.
      labels: class names in the order of the label numbers.

    Returns:
      A PCollection of tf.Examples and one of dead letters (lines of JSON).
    """
    results = _READERS[source.kind](pipeline, source, split, pattern, labels)
    counted = results[None] | f"Count[{split}]" >> beam.ParDo(_Counting())
    return counted, results[DEAD]


def _read_folder(pipeline, source, split, pattern, labels):
    del pattern  # Of use to TFX's driver alone, which looks for changed files.
    to_example = _FileToExample(source.base, labels)
    return (
        pipeline
        | f"Classes[{split}]" >> beam.Create(labels)
        | f"List[{split}]" >> beam.FlatMap(_files, source.base)
        | f"Spread[{split}]" >> beam.Reshuffle()
        | f"Decode[{split}]" >> beam.ParDo(to_example).with_outputs(DEAD)
    )


def _read_idx(pipeline, source, split, pattern, labels):
    count = len(_idx_split(source.base, pattern)[0])
    pieces = list(range(0, count, _PIECE))
    to_examples = _IdxPieceToExamples(source.base, pattern, labels)
    return (
        pipeline
        | f"Pieces[{split}]" >> beam.Create(pieces)
        | f"Spread[{split}]" >> beam.Reshuffle()
        | f"Decode[{split}]" >> beam.ParDo(to_examples).with_outputs(DEAD)
    )


def _read_tfds(pipeline, source, split, pattern, labels):
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(source.base)
    # The patterns are made by sources.prepare: "*-SPLIT.*".
    tfds_split = pattern.removeprefix("*-").removesuffix(".*")
    count = builder.info.splits[tfds_split].num_examples
    pieces = [
        f"{tfds_split}[{start}:{min(start + _PIECE, count)}]" for start in range(0, count, _PIECE)
    ]
    return (
        pipeline
        | f"Pieces[{split}]" >> beam.Create(pieces)
        | f"Spread[{split}]" >> beam.Reshuffle()
        | f"Load[{split}]" >> beam.FlatMap(_load_tfds, source.base)
        | f"Decode[{split}]" >> beam.ParDo(_TfdsToExample(labels)).with_outputs(DEAD)
    )


def _load_tfds(piece: str, folder: str) -> Iterator[tuple[str, dict]]:
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(folder)
    dataset = builder.as_dataset(
        split=piece, decoders={"image": tfds.decode.SkipDecoding()}, shuffle_files=False
    )
    for index, features in enumerate(tfds.as_numpy(dataset)):
        yield f"{piece}#{index}", {"image": features["image"], "label": features["label"]}


_READERS = {"folder": _read_folder, "idx": _read_idx, "tfds": _read_tfds}
