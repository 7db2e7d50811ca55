"""Milliseconds of local response normalisation with its gradient, a type of numbers a row.

Beside TensorFlow's own kernel, which is for processors, takes no bfloat16 and is not compiled.

    python benchmarks/response_normalization.py --pictures 16 --side 27 --maps 96
"""

import argparse
import time
from collections.abc import Callable

import tensorflow as tf
from rich.console import Console
from rich.table import Table

from keras_models.layers import LocalResponseNormalization

DTYPES = ("float32", "mixed_float16", "mixed_bfloat16")


def of_tensorflow(x: tf.Tensor) -> tf.Tensor:
    return tf.nn.local_response_normalization(x, depth_radius=2, bias=2, alpha=1e-4, beta=0.75)


def with_gradient(normalize: Callable, jit_compile: bool) -> Callable:
    """x -> the gradient of the sum of what comes out, as one program."""

    def step(x: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(x)
            total = tf.reduce_sum(tf.square(normalize(x)))
        return tape.gradient(total, x)

    return tf.function(step, jit_compile=jit_compile)


def milliseconds(steps: list[Callable], x: tf.Tensor, rounds: int) -> list[float]:
    """The least of many rounds, in which the steps take turns: what else runs slows all alike."""
    least = [float("inf")] * len(steps)
    for step in steps:
        step(x)
    for _ in range(rounds):
        for place, step in enumerate(steps):
            start = time.perf_counter()
            step(x).numpy()
            least[place] = min(least[place], 1e3 * (time.perf_counter() - start))
    return least


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pictures", type=int, default=16)
    parser.add_argument("--side", type=int, default=27)
    parser.add_argument("--maps", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=50)
    arguments = parser.parse_args()

    shape = (arguments.pictures, arguments.side, arguments.side, arguments.maps)
    table = Table(title=f"Response normalisation of {shape}, TensorFlow {tf.__version__}")
    for column in ("dtype", "layer", "layer, compiled", "tf.nn"):
        table.add_column(column, justify="right")
    for dtype in DTYPES:
        layer = LocalResponseNormalization(dtype=dtype)
        layer.build(shape)
        x = tf.cast(tf.random.stateless_normal(shape, (0, 1), stddev=10), layer.compute_dtype)
        steps = [with_gradient(layer, jit_compile) for jit_compile in (False, True)]
        if layer.compute_dtype != "bfloat16":
            steps.append(with_gradient(of_tensorflow, False))
        found = milliseconds(steps, x, arguments.rounds)
        table.add_row(dtype, *(f"{value:.1f}" for value in found))
    Console().print(table)


if __name__ == "__main__":
    main()
