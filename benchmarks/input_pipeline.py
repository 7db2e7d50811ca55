"""Does the input keep up with the network? Whole trainings on two inputs, turn by turn.

The real input (TFRecords of encoded images, decoded, kept in memory, shuffled, distorted and
normalised) against one batch that is held in memory and repeated. A ratio of 1 means that the
input costs nothing. It takes the data of the last run of the recipe:

    convnets run lenet && python benchmarks/input_pipeline.py --recipe lenet
"""

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import keras
import tensorflow as tf
import tensorflow_transform as tft
from rich.console import Console
from rich.table import Table

from components import examples, tasks
from components.train import data
from components.train.callbacks import ProgressReport
from components.train.run import compiled_model
from pipelines import recipes
from pipelines.history import runs


class Clock(keras.callbacks.Callback):
    """Seconds from the beginning of the first epoch to the end of the last."""

    def on_train_begin(self, logs=None) -> None:
        self._start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None) -> None:
        self.seconds = time.perf_counter() - self._start


def training_seconds(
    model: keras.Model,
    batches: tf.data.Dataset,
    epochs: int,
    steps: int,
    watched: Sequence[str],
) -> float:
    """Seconds of `fit`, the input's start included; `watched` as of the task."""
    clock = Clock()
    # With the callback that the Trainer has: it decides how `fit` dispatches its steps.
    callbacks = [clock, ProgressReport(epochs, steps, watched)]
    model.fit(batches, epochs=epochs, steps_per_epoch=steps, callbacks=callbacks, verbose=0)
    return clock.seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--recipe", default="lenet")
    parser.add_argument("--root", type=Path, default=Path("runs"))
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--no-augment", action="store_true", help="leave the distortions out")
    arguments = parser.parse_args()

    summaries = runs.summaries(arguments.root, arguments.recipe)
    last = next((run for run in reversed(summaries) if run["transform_graph"]), None)
    if last is None:
        parser.error(f"{arguments.root} holds no run of {arguments.recipe}; do one first")
    recipe = json.loads(recipes.find(arguments.recipe).to_json())
    task = tasks.find(recipe["task"])
    graph = tft.TFTransformOutput(last["transform_graph"])
    images = data.Images([f"{last['examples']}/Split-train/*"], graph, task)
    if arguments.no_augment:
        recipe |= {"augment": [], "distorted_copies": 0}
    epochs, steps = recipe["epochs"], data.steps_per_epoch(images, recipe)
    model = compiled_model(recipe, images, classes=10)
    first = next(iter(data.training_batches(images, recipe)))
    repeated = tf.data.Dataset.from_tensors(first).repeat().with_options(examples.untuned())
    training_seconds(model, repeated, 1, steps, task.watched)

    table = Table(
        title=f"{arguments.recipe}, batch {recipe['batch_size']}, {epochs} epochs: steps/s",
        caption="ratio: the median of the turns",
    )
    for heading in ("real input", "one batch", "ratio"):
        table.add_column(heading, justify="right")
    ratios = []
    for _ in range(arguments.turns):
        real = training_seconds(
            model, data.training_batches(images, recipe).repeat(), epochs, steps, task.watched
        )
        one = training_seconds(model, repeated, epochs, steps, task.watched)
        ratios.append(one / real)
        rates = [epochs * steps / seconds for seconds in (real, one)]
        table.add_row(*(f"{rate:.1f}" for rate in rates), f"{ratios[-1]:.3f}")
    table.add_section()
    table.add_row("", "", f"{statistics.median(ratios):.3f}")
    Console().print(table)


if __name__ == "__main__":
    main()
