"""Training steps a second of the nets on one repeated in-memory batch, one setting a row.

The ceiling of the training loop: nothing is read, decoded or distorted between the steps. The last
column is the time of the Trainer's loop, whose epochs have exactly their steps, over that of
`Model.fit`, which runs whole executions.

    python -m benchmarks.step_time --nets LeNet5 --batch-sizes 64 128 --jit-compile off on
"""

import argparse
import time
from itertools import product
from typing import Any

import keras
import tensorflow as tf
from rich.console import Console
from rich.table import Table

from components.train.fitting import fit
from components.train.strategy import strategy
from keras_models.classification import LeNet5, LeNet5ReLU
from keras_models.losses import MAPCriterion

NETS = {
    "LeNet5": (LeNet5, MAPCriterion()),
    "LeNet5ReLU": (LeNet5ReLU, keras.losses.SparseCategoricalCrossentropy(from_logits=True)),
}


def compiled(net: str, jit_compile: bool, steps_per_execution: int) -> keras.Model:
    build, loss = NETS[net]
    with strategy("one_device").scope():
        model = build()
        model.compile(
            keras.optimizers.SGD(1e-4, momentum=0.9),
            loss,
            metrics=["accuracy"],
            jit_compile=jit_compile,
            steps_per_execution=steps_per_execution,
        )
    return model


class Fastest(keras.callbacks.Callback):
    """Seconds of the fastest epoch but the first, which compiles."""

    seconds = float("inf")

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if epoch:
            self.seconds = min(self.seconds, time.perf_counter() - self._start)


def seconds(
    net: str, batch_size: int, jit_compile: bool, steps_per_execution: int, steps: int, turns: int
) -> tuple[float, float]:
    """The fastest epoch of `steps` steps in the Trainer's loop and in Keras', in turns."""
    images = tf.random.stateless_uniform((batch_size, 32, 32, 1), (0, 1), -0.1, 1.175)
    labels = tf.random.stateless_uniform((batch_size,), (2, 3), 0, 10, tf.int32)
    batches = tf.data.Dataset.from_tensors((images, labels)).repeat()
    fastest = Fastest(), Fastest()
    for _ in range(turns):
        ours, keras_own = (compiled(net, jit_compile, steps_per_execution) for _ in range(2))
        fit(ours, batches, steps, range(4), callbacks=[fastest[0]], verbose=0)
        keras_own.fit(batches, steps_per_epoch=steps, epochs=4, callbacks=[fastest[1]], verbose=0)
    return fastest[0].seconds, fastest[1].seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--nets", nargs="+", choices=NETS, default=list(NETS))
    parser.add_argument("--batch-sizes", nargs="+", type=int, default=[32, 64, 128, 256])
    parser.add_argument("--jit-compile", nargs="+", choices=("off", "on"), default=["off"])
    parser.add_argument("--steps-per-execution", nargs="+", type=int, default=[1, 10])
    parser.add_argument("--steps", type=int, default=200, help="in each timed epoch")
    parser.add_argument("--turns", type=int, default=3, help="between the two loops")
    arguments = parser.parse_args()

    table = Table(title=f"Training steps, Keras {keras.version()}, TensorFlow {tf.__version__}")
    table.add_column("net")
    for column in ("batch", "jit", "steps an execution", "steps/s", "images/s", "time of Keras'"):
        table.add_column(column, justify="right")
    for net, batch_size, jit, execution in product(
        arguments.nets,
        arguments.batch_sizes,
        arguments.jit_compile,
        arguments.steps_per_execution,
    ):
        ours, of_keras = seconds(
            net, batch_size, jit == "on", execution, arguments.steps, arguments.turns
        )
        rate = arguments.steps / ours
        row = (
            net,
            str(batch_size),
            jit,
            str(execution),
            f"{rate:.1f}",
            f"{rate * batch_size:,.0f}",
        )
        table.add_row(*row, f"{ours / of_keras:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
