"""What the optimizers cost, as ratios within one run.

A step of LeNet in `fit` against one of SGD; the pass for the diagonal of the Hessian and a product
with the Hessian against a gradient.

    python -m benchmarks.optimizers
"""

import argparse
import random
import time
from collections.abc import Callable

import keras
import tensorflow as tf
from rich.console import Console
from rich.table import Table

from components.train.objects import build
from keras_models.classification import LeNet5
from keras_models.losses import MAPCriterion
from keras_models.optimizers import CurvatureOptimizer, DiagonalHessian, curvature, with_curvature
from pipelines.optimizers import OPTIMIZERS

BARS = {"vsgd-l": 1.3, "vsgd-b": 1.3, "vsgd-g": 1.3, "adagrad": 1.3, "adadelta": 1.3}
DIAGONAL_BAR, PRODUCT_BAR = 2.2, 4.0


def fastest_in_turns(runs: dict[str, Callable[[], None]], turns: int) -> dict[str, float]:
    """Seconds of the fastest of so many calls of each, taken in turns so that load meets all.

    The order is another in each turn: what comes first finds colder caches.
    """
    best, names = dict.fromkeys(runs, float("inf")), list(runs)
    for turn in range(turns):
        for name in random.Random(turn).sample(names, len(names)):
            start = time.perf_counter()
            runs[name]()
            best[name] = min(best[name], time.perf_counter() - start)
    return best


def steps(batch_size: int, number: int) -> dict[str, Callable[[], None]]:
    """For each named optimizer a short `fit` of LeNet on one batch in memory."""
    images = tf.random.stateless_uniform((batch_size, 32, 32, 1), (0, 1), -0.1, 1.175)
    labels = tf.random.stateless_uniform((batch_size,), (2, 3), 0, 10, tf.int32)
    batches = tf.data.Dataset.from_tensors((images, labels)).repeat()

    def fit(spec: dict) -> Callable[[], None]:
        model = LeNet5()
        model.compile(build(spec, "optimizer"), MAPCriterion(), jit_compile=False)
        if isinstance(model.optimizer, CurvatureOptimizer):
            with_curvature(model)
        model.fit(batches, steps_per_epoch=2, verbose=0)
        return lambda: model.fit(batches, steps_per_epoch=number, verbose=0)

    return {name: fit(dict(spec)) for name, spec in OPTIMIZERS.items()}


def passes(batch_size: int, number: int) -> dict[str, Callable[[], None]]:
    """A gradient, the gradient with the diagonal, and a product with the Hessian, compiled."""
    model, loss = LeNet5(), MAPCriterion()
    weights = curvature.values_of(model.trainable_variables)
    images = tf.random.stateless_uniform((batch_size, 32, 32, 1), (0, 1), -0.1, 1.175)
    labels = tf.random.stateless_uniform((batch_size,), (2, 3), 0, 10, tf.int32)
    diagonal = DiagonalHessian(model, loss.call)

    def of_weights(values: list) -> tf.Tensor:
        with keras.StatelessScope(list(zip(model.trainable_variables, values, strict=True))):
            return loss(labels, model(images, training=False))

    programs = {
        "gradient": lambda: curvature.value_and_gradient(of_weights, weights)[1],
        "diagonal": lambda: diagonal(weights, images, labels)[2:],
        "product": lambda: curvature.hessian_vector(of_weights, weights, weights),
    }

    def repeated(program: Callable) -> Callable[[], None]:
        run = curvature.compiled(program)
        run()

        def several() -> None:
            for _ in range(number):
                run()

        return several

    return {name: repeated(program) for name, program in programs.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--steps", type=int, default=20, help="in each timed turn")
    parser.add_argument("--turns", type=int, default=7)
    arguments = parser.parse_args()

    table = Table(title=f"LeNet-5, batches of {arguments.batch_size}, TensorFlow {tf.__version__}")
    for column in ("what", "ms", "ratio", "bar"):
        table.add_column(column, justify="left" if column == "what" else "right")
    found = fastest_in_turns(steps(arguments.batch_size, arguments.steps), arguments.turns)
    rows = [(f"step, {name}", found[name], found["sgd"], BARS.get(name)) for name in found]
    found = fastest_in_turns(passes(arguments.batch_size, arguments.steps), arguments.turns)
    rows += [
        ("gradient", found["gradient"], found["gradient"], None),
        ("gradient and diagonal", found["diagonal"], found["gradient"], DIAGONAL_BAR),
        ("Hessian times a vector", found["product"], found["gradient"], PRODUCT_BAR),
    ]
    for what, seconds, base, bar in rows:
        milliseconds = 1e3 * seconds / arguments.steps
        table.add_row(what, f"{milliseconds:.2f}", f"{seconds / base:.2f}", str(bar or ""))
    Console().print(table)


if __name__ == "__main__":
    main()
