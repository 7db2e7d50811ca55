"""Does the input keep up with the network? Whole training epochs on two inputs, turn by turn.

The real input (TFRecords of encoded images, decoded, kept in memory, shuffled, distorted and
normalised) against one batch that is held in memory and repeated. A ratio of 1 means that the
input costs nothing. It takes the data of the last run of the recipe:

    convnets run lenet && python benchmarks/input_pipeline.py --recipe lenet
"""

import argparse
import json
import time
from pathlib import Path

import tensorflow as tf
import tensorflow_transform as tft
from rich.console import Console
from rich.table import Table

from components.train import data
from components.train.callbacks import ProgressReport
from components.train.run import compiled_model
from pipelines import recipes, runs


def epoch_seconds(model, batches: tf.data.Dataset, steps: int) -> float:
    """Seconds of one epoch of `steps` steps in `fit`, the input's start included."""
    start = time.perf_counter()
    # With the callback that the Trainer has: it decides how `fit` dispatches its steps.
    model.fit(batches, steps_per_epoch=steps, callbacks=[ProgressReport(1, steps)], verbose=0)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--recipe", default="lenet")
    parser.add_argument("--root", type=Path, default=Path("runs"))
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--no-augment", action="store_true", help="leave the distortions out")
    arguments = parser.parse_args()

    last = next(
        run
        for run in reversed(runs.summaries(arguments.root, arguments.recipe))
        if run["transform_graph"]
    )
    images = data.Images(
        [f"{last['examples']}/Split-train/*"], tft.TFTransformOutput(last["transform_graph"])
    )
    recipe = json.loads(recipes.find(arguments.recipe).to_json())
    if arguments.no_augment:
        recipe["augment"] = []
    steps = data.steps_per_epoch(images, recipe)
    model = compiled_model(recipe, images, classes=10)
    real = data.training_batches(images, recipe).repeat()
    repeated = tf.data.Dataset.from_tensors(next(iter(real))).repeat()
    inputs = {"real input": real, "one batch": repeated}
    for batches in inputs.values():
        epoch_seconds(model, batches, steps)
    seconds = {name: [] for name in inputs}
    for _ in range(arguments.turns):
        for name, batches in inputs.items():
            seconds[name].append(epoch_seconds(model, batches, steps))
    # The fastest: some epochs stall for seconds on either input, and a median may fall on those.
    rates = {name: steps / min(values) for name, values in seconds.items()}

    table = Table(title=f"{arguments.recipe}, batch {recipe['batch_size']}: steps/s, fastest epoch")
    for heading in (*inputs, "ratio"):
        table.add_column(heading, justify="right")
    ratio = rates["real input"] / rates["one batch"]
    table.add_row(*(f"{rate:.1f}" for rate in rates.values()), f"{ratio:.3f}")
    Console().print(table)


if __name__ == "__main__":
    main()
