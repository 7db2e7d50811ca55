"""Training steps a second of the nets on one repeated in-memory batch, one setting a row.

The ceiling of the training loop: nothing is read, decoded or distorted between the steps.

    python benchmarks/step_time.py --nets LeNet5 --batch-sizes 64 128 --jit-compile off on
"""

import argparse
import time
from itertools import product

import keras
import tensorflow as tf
from rich.console import Console
from rich.table import Table

from keras_models.classification import LeNet5, LeNet5ReLU
from keras_models.losses import MAPCriterion

NETS = {
    "LeNet5": (LeNet5, MAPCriterion()),
    "LeNet5ReLU": (LeNet5ReLU, keras.losses.SparseCategoricalCrossentropy(from_logits=True)),
}


def steps_per_second(
    net: str, batch_size: int, jit_compile: bool, steps_per_execution: int, steps: int
) -> float:
    """The best of three epochs of `steps` steps in `fit`, after one that compiles."""
    build, loss = NETS[net]
    model = build()
    model.compile(
        keras.optimizers.SGD(1e-4, momentum=0.9),
        loss,
        metrics=["accuracy"],
        jit_compile=jit_compile,
        steps_per_execution=steps_per_execution,
    )
    images = tf.random.stateless_uniform((batch_size, 32, 32, 1), (0, 1), -0.1, 1.175)
    labels = tf.random.stateless_uniform((batch_size,), (2, 3), 0, 10, tf.int32)
    batches = tf.data.Dataset.from_tensors((images, labels)).repeat()
    model.fit(batches, steps_per_epoch=2 * steps_per_execution, verbose=0)
    fastest = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        model.fit(batches, steps_per_epoch=steps, verbose=0)
        fastest = min(fastest, time.perf_counter() - start)
    return steps / fastest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--nets", nargs="+", choices=NETS, default=list(NETS))
    parser.add_argument("--batch-sizes", nargs="+", type=int, default=[32, 64, 128, 256])
    parser.add_argument("--jit-compile", nargs="+", choices=("off", "on"), default=["off"])
    parser.add_argument("--steps-per-execution", nargs="+", type=int, default=[1])
    parser.add_argument("--steps", type=int, default=200, help="in each timed epoch")
    arguments = parser.parse_args()

    table = Table(title=f"Training steps, Keras {keras.version()}, TensorFlow {tf.__version__}")
    table.add_column("net")
    for column in ("batch", "jit", "steps an execution", "steps/s", "images/s"):
        table.add_column(column, justify="right")
    for net, batch_size, jit, execution in product(
        arguments.nets,
        arguments.batch_sizes,
        arguments.jit_compile,
        arguments.steps_per_execution,
    ):
        rate = steps_per_second(net, batch_size, jit == "on", execution, arguments.steps)
        table.add_row(
            net, str(batch_size), jit, str(execution), f"{rate:.1f}", f"{rate * batch_size:,.0f}"
        )
    Console().print(table)


if __name__ == "__main__":
    main()
