"""What the augmentation of ImageNet's papers costs: rates of images, and of a training's steps.

On JPEGs of 500 x 375 pixels made from scikit-image's photographs, turn by turn in one run: the
input of AlexNet, ResNet and GoogLeNet against a bare decode_jpeg and antialiased resize to 224 x
224 (and, beside it, one without antialiasing, which none of them uses), all from the same
TFRecords; then ResNet-18 trained with its augmentation, and without.

    python -m benchmarks.augmentation
"""

import argparse
import dataclasses
import io
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

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

from components import examples
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
    return data.Images([str(folder / "*.gz")], tft.TFTransformOutput(graph))


def bare(images: data.Images, batch_size: int, antialias: bool) -> tf.data.Dataset:
    """Batches of images that are decoded and resized, and nothing else."""

    def load(record: tf.Tensor) -> tf.Tensor:
        pixels = tf.io.decode_jpeg(images.parse(record)[0], channels=3)
        return tf.image.resize(pixels, [224, 224], antialias=antialias)

    batches = images.records.repeat().map(load, num_parallel_calls=tf.data.AUTOTUNE)
    return batches.batch(batch_size).prefetch(2).with_options(examples.untuned())


def images_per_second(batches: tf.data.Dataset, batch_size: int, number: int) -> float:
    """The rate after two batches that fill the buffers."""
    iterator = iter(batches)
    for _ in range(2):
        next(iterator)
    start = time.perf_counter()
    for _ in range(number):
        next(iterator)
    return number * batch_size / (time.perf_counter() - start)


def input_rates(
    inputs: dict[str, Callable[[], tf.data.Dataset]], batch_size: int, turns: int, number: int
) -> Table:
    """A row an input: the median rate, and of the ratios to the first input within a turn."""
    rates = {name: [] for name in inputs}
    for _ in range(turns):
        for name, batches in inputs.items():
            rates[name].append(images_per_second(batches(), batch_size, number))
    table = Table(title=f"Input of {_SIZE[0]} x {_SIZE[1]} JPEGs, batch {batch_size}")
    for heading in ("input", "images/s", "ratio to the first"):
        table.add_column(heading, justify="left" if heading == "input" else "right")
    first = next(iter(rates.values()))
    for name, values in rates.items():
        ratios = [value / other for value, other in zip(values, first, strict=True)]
        table.add_row(name, f"{statistics.median(values):.0f}", f"{statistics.median(ratios):.2f}")
    return table


def training_rates(images: data.Images, recipe: dict, turns: int, steps: int) -> Table:
    """Steps a second of one network on its input with and without the recipe's augmentation."""
    model = compiled_model(recipe, images, _CLASSES)
    plain = recipe | {"augment": []}
    rates = {"with": [], "without": []}
    for turn in range(turns + 1):
        for name, chosen in (("with", recipe), ("without", plain)):
            batches = data.training_batches(images, chosen).repeat()
            start = time.perf_counter()
            model.fit(batches, steps_per_epoch=steps, verbose=0)
            if turn:
                rates[name].append(steps / (time.perf_counter() - start))
    table = Table(title=f"Training of {recipe['name']} at 224, batch {recipe['batch_size']}")
    for heading in ("augmentation", "steps/s", "ratio"):
        table.add_column(heading, justify="left" if heading == "augmentation" else "right")
    ratios = [a / b for a, b in zip(rates["with"], rates["without"], strict=True)]
    table.add_row("without", f"{statistics.median(rates['without']):.2f}", "")
    table.add_row(
        "with", f"{statistics.median(rates['with']):.2f}", f"{statistics.median(ratios):.3f}"
    )
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--batches", type=int, default=8, help="timed batches of 64 a turn")
    parser.add_argument("--steps", type=int, default=20, help="of training, timed in a turn")
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
        console.print(training_rates(*trained, min(arguments.turns, 3), arguments.steps))


if __name__ == "__main__":
    main()
