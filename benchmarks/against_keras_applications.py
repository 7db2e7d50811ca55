"""Our VGG-16 and ResNet-50 against keras.applications': training steps and inference, in turns.

The same batch in memory, optimizer, loss and settings for both; a ratio of 1 means as fast as
keras.applications, below 1 faster. On a machine that does other work beside, the ratio of processor
time is the one to trust, on an accelerator that of the clock. Ours drop half of fc6 and fc7 in
training, as the paper does, and keras.applications' VGG16 does not: VGG-16 is measured without
that, too. Small pictures and batches by default, for two cores; the published size is

    python benchmarks/against_keras_applications.py --side 224 --classes 1000 --batch-size 32
"""

import argparse
import time
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.table import Table

from keras_models.classification import VGG, ResNet50


def without_dropout(model: keras.Model) -> keras.Model:
    """The same net, new, that drops nothing."""

    def copied(layer: keras.Layer) -> keras.Layer:
        dropped = isinstance(layer, keras.layers.Dropout)
        return keras.layers.Identity() if dropped else type(layer).from_config(layer.get_config())

    return keras.models.clone_model(model, clone_function=copied)


NETS = {
    "VGG-16": (lambda **size: VGG("D", **size), keras.applications.VGG16),
    "VGG-16, no dropout": (
        lambda **size: without_dropout(VGG("D", **size)),
        keras.applications.VGG16,
    ),
    "ResNet-50": (ResNet50, keras.applications.ResNet50),
}
WORK = ("training", "inference")


def timed(
    model: keras.Model, work: str, images: np.ndarray, labels: np.ndarray, steps: int
) -> Callable[[], np.ndarray]:
    """A function that does `steps` steps and returns the seconds of one by the clock and of the
    processor; the first is done."""
    batches = tf.data.Dataset.from_tensors((images, labels)).repeat()

    def now() -> np.ndarray:
        return np.array([time.perf_counter(), time.process_time()])

    def seconds() -> np.ndarray:
        start = now()
        if work == "training":
            model.fit(batches, steps_per_epoch=steps, verbose=0)
        else:
            model.predict(batches, steps=steps, verbose=0)
        return (now() - start) / steps

    seconds()
    return seconds


def fastest(sides: list[Callable[[], np.ndarray]], turns: int) -> np.ndarray:
    """The fastest of each side's turns; the sides take turns, so that both meet the same load."""
    best = np.full((len(sides), 2), np.inf)
    for turn in range(turns):
        # Who goes first changes too.
        for side in sorted(range(len(sides)), reverse=turn % 2 == 1):
            best[side] = np.minimum(best[side], sides[side]())
    return best


def compiled(model: keras.Model, jit_compile: bool) -> keras.Model:
    model.compile(
        keras.optimizers.SGD(1e-4, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=jit_compile,
    )
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--nets", nargs="+", choices=NETS, default=list(NETS))
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--side", type=int, default=64, help="of the pictures, at least 32")
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--steps", type=int, default=4, help="in each turn")
    parser.add_argument("--turns", type=int, default=7, help="of each net")
    parser.add_argument("--jit-compile", action="store_true")
    arguments = parser.parse_args()

    size = {"input_shape": (arguments.side, arguments.side, 3), "classes": arguments.classes}
    rng = np.random.default_rng(0)
    images = rng.normal(0, 50, (arguments.batch_size, *size["input_shape"])).astype("float32")
    labels = rng.integers(0, arguments.classes, arguments.batch_size)
    title = (
        f"Keras {keras.version()}, {arguments.batch_size} pictures of {arguments.side} x "
        f"{arguments.side}: milliseconds a step, fastest of {arguments.turns} turns"
    )
    table = Table(title=title)
    table.add_column("net")
    table.add_column("work")
    for heading in ("ours", "keras.applications", "ratio", "of processor time"):
        table.add_column(heading, justify="right")
    for name in arguments.nets:
        ours, theirs = NETS[name]
        models = (ours(**size), theirs(weights=None, classifier_activation=None, **size))
        models = [compiled(model, arguments.jit_compile) for model in models]
        for work in WORK:
            sides = [timed(model, work, images, labels, arguments.steps) for model in models]
            seconds = fastest(sides, arguments.turns)
            milliseconds = (f"{1000 * clock:,.0f}" for clock, _ in seconds)
            ratios = (f"{ratio:.3f}" for ratio in seconds[0] / seconds[1])
            table.add_row(name, work, *milliseconds, *ratios)
        del models, sides
        keras.utils.clear_session()
    Console().print(table)


if __name__ == "__main__":
    main()
