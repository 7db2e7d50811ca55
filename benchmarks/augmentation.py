"""What the augmentation of ImageNet's papers costs: rates of images, and of a training's steps.

On JPEGs of 500 x 375 pixels made from scikit-image's photographs, turn by turn in one run: the
input of AlexNet, ResNet and GoogLeNet against a bare decode_jpeg and antialiased resize to 224 x
224 (and, beside it, one without antialiasing, which none of them uses), all from the same
TFRecords; then ResNet-18 trained with its augmentation, and without.

    python -m benchmarks.augmentation
"""

import argparse
import dataclasses
import functools
import io
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import apache_beam as beam
import numpy as np
import skimage.data
import tensorflow as tf
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from PIL import Image
from rich.console import Console
from rich.table import Table
from tfx_bsl.public import tfxio

from components import examples, tasks
from components.preprocess.transform import preprocessing_fn
from components.train import data
from components.train.network import compiled_model
from pipelines import recipes

_SIZE = (500, 375)
_CLASSES = 3
_RECIPES = ("alexnet", "resnet18", "googlenet")


def write_examples(folder: Path, count: int) -> None:
    """A TFRecord of so many JPEGs: parts of three photographs, a class each."""
    draw = np.random.default_rng(0)
    photographs = [skimage.data.astronaut(), skimage.data.coffee(), skimage.data.chelsea()]
    options = tf.io.TFRecordOptions(compression_type="GZIP")
    with tf.io.TFRecordWriter(str(folder / "photographs.gz"), options) as writer:
        for number in range(count):
            photograph = Image.fromarray(photographs[number % _CLASSES])
            left, top = draw.integers(0, 100, 2)
            part = photograph.crop((left, top, left + 340, top + 255)).resize(_SIZE)
            content = io.BytesIO()
            part.save(content, "JPEG", quality=90)
            features = {
                "image/encoded": tf.train.Feature(
                    bytes_list=tf.train.BytesList(value=[content.getvalue()])
                ),
                "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[number % _CLASSES])),
            }
            example = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(example.SerializeToString())


def analysed(folder: Path, recipe: dict) -> data.Images:
    """The images with the statistics of the recipe, as the Transform component finds them."""
    features = {"image/encoded": tf.string, "label": tf.int64}
    spec = {name: tf.io.FixedLenFeature([1], kind) for name, kind in features.items()}
    metadata = tft.DatasetMetadata.from_feature_spec(spec)
    config = {"preprocess": recipe["preprocess"], "axes": True}
    source = tfxio.TFExampleRecord(str(folder / "*.gz"), ["benchmark"], schema=metadata.schema)
    graph = str(folder / recipe["name"])
    with beam.Pipeline() as pipeline, tft_beam.Context(temp_dir=f"{graph}-temporary"):
        read = pipeline | source.BeamSource(), source.TensorAdapterConfig()
        found = read | tft_beam.AnalyzeDataset(lambda inputs: preprocessing_fn(inputs, config))
        _ = found | tft_beam.WriteTransformFn(graph)
        _ = metadata | tft_beam.WriteMetadata(f"{graph}/metadata", pipeline)
    task = tasks.find(recipe["task"])
    return data.Images([str(folder / "*.gz")], tft.TFTransformOutput(graph), task)


def bare(images: data.Images, batch_size: int, antialias: bool) -> tf.data.Dataset:
    """Batches of images that are decoded and resized, and nothing else."""

    def load(record: tf.Tensor) -> tf.Tensor:
        pixels = tf.io.decode_jpeg(images.parse(record)[0], channels=3)
        return tf.image.resize(pixels, [224, 224], antialias=antialias)

    batches = images.records.repeat().map(load, num_parallel_calls=tf.data.AUTOTUNE)
    return batches.batch(batch_size).prefetch(2).with_options(examples.untuned())


class Seconds(NamedTuple):
    """What some work took: of the clock, and of all processors."""

    clock: float
    processor: float


def seconds(work: Callable[[], object]) -> Seconds:
    start = Seconds(time.perf_counter(), time.process_time())
    work()
    return Seconds(time.perf_counter() - start.clock, time.process_time() - start.processor)


def read(batches: tf.data.Dataset, number: int) -> Seconds:
    """So many batches, after two that fill the buffers."""
    iterator = iter(batches)
    for _ in range(2):
        next(iterator)
    return seconds(lambda: [next(iterator) for _ in range(number)])


def rates(title: str, each: float, took: dict[str, list[Seconds]]) -> Table:
    """A row a kind of work: its median rate, and the medians of its ratios to the first's.

    The second ratio is of processor time, which other programs on the machine disturb less.
    """
    table = Table(title=title)
    for heading in ("", "a second", "ratio", "of processor time"):
        table.add_column(heading, justify="right" if heading else "left")
    first = next(iter(took.values()))
    for name, turns in took.items():
        rate = statistics.median(each / turn.clock for turn in turns)
        ratios = (
            statistics.median(a[kind] / b[kind] for a, b in zip(first, turns, strict=True))
            for kind in range(2)
        )
        table.add_row(name, f"{rate:.3g}", *(f"{ratio:.2f}" for ratio in ratios))
    return table


def input_rates(
    inputs: dict[str, Callable[[], tf.data.Dataset]], batch_size: int, turns: int, number: int
) -> Table:
    """Images a second of each input."""
    took = {name: [] for name in inputs}
    for _ in range(turns):
        for name, batches in inputs.items():
            took[name].append(read(batches(), number))
    title = f"Images of {_SIZE[0]} x {_SIZE[1]} pixels, batch {batch_size}"
    return rates(title, number * batch_size, took)


def training_rates(images: data.Images, recipe: dict, turns: int, steps: int) -> Table:
    """Steps a second of one network on its input without and with the recipe's augmentation."""
    model = compiled_model(recipe, images, _CLASSES)
    inputs = {
        "without augmentation": recipe | {"augment": []},
        "with": recipe,
    }
    took = {name: [] for name in inputs}
    for turn in range(turns + 1):
        for name, chosen in inputs.items():
            batches = data.training_batches(images, chosen).repeat()
            fit = functools.partial(model.fit, batches, steps_per_epoch=steps, verbose=0)
            epoch = seconds(fit)
            # The first turn compiles.
            if turn:
                took[name].append(epoch)
    return rates(f"Steps of {recipe['name']} at 224, batch {recipe['batch_size']}", steps, took)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--batches", type=int, default=4, help="timed batches of 64 a turn")
    parser.add_argument("--steps", type=int, default=10, help="of training, timed in a turn")
    arguments = parser.parse_args()
    # As with a data set that does not fit into memory.
    data._MEMORY_BYTES = 0
    with tempfile.TemporaryDirectory() as folder:
        write_examples(Path(folder), count=192)
        inputs, batch_size = {}, 64
        for name in _RECIPES:
            paper = dataclasses.replace(recipes.find(name, "paper"), batch_size=batch_size)
            recipe = json.loads(paper.to_json()) | {"epochs": 10}
            images = analysed(Path(folder), recipe)
            if not inputs:
                inputs["decode and antialiased resize"] = lambda i=images: bare(i, 64, True)
                inputs["decode and plain resize"] = lambda i=images: bare(i, 64, False)
            inputs[name] = lambda i=images, r=recipe: data.training_batches(i, r).repeat()
            if name.startswith("resnet"):
                trained = images, recipe | {"batch_size": 8}
        console = Console()
        console.print(input_rates(inputs, batch_size, arguments.turns, arguments.batches))
        console.print(training_rates(*trained, arguments.turns, arguments.steps))


if __name__ == "__main__":
    main()
