"""A training step with oneDNN's operations and without them, by network.

    python -m benchmarks.onednn
    python -m benchmarks.onednn --networks GoogLeNet --turns 5

TensorFlow takes oneDNN's convolutions and poolings by itself on the newest processors only; a run
takes them on all of x86. Each turn is a process a setting, the ratio is that of the same turn.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys

from rich.console import Console
from rich.table import Table

# Side of the picture, pictures a batch.
_NETWORKS = {"GoogLeNet": (224, 4), "AlexNet": (224, 8), "ResNet50": (96, 8)}
_STEPS = 4
_STEP = """
import sys, time
import keras, numpy as np, tensorflow as tf
from keras_models import classification

name, side, batch, steps = sys.argv[1], *map(int, sys.argv[2:])
model = getattr(classification, name)(input_shape=(side, side, 3), classes=100)
outputs = len(model.outputs)
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(keras.optimizers.SGD(1e-4, momentum=0.9), [loss] * outputs if outputs > 1 else loss)
random = np.random.default_rng(0)
images = random.normal(0, 50, (batch, side, side, 3)).astype("float32")
labels = random.integers(0, 100, batch)
labels = (labels,) * outputs if outputs > 1 else labels
batches = tf.data.Dataset.from_tensors((images, labels)).repeat()
seconds = []
for _ in range(4):
    began = time.perf_counter()
    model.fit(batches, steps_per_epoch=steps, verbose=0)
    seconds.append(time.perf_counter() - began)
print(min(seconds[1:]) / steps)
"""


def step(name: str, on: bool) -> float:
    """Seconds of a step. Raises CalledProcessError where the process fails."""
    side, batch = _NETWORKS[name]
    arguments = [name, *map(str, (side, batch, _STEPS))]
    environment = {**os.environ, "TF_ENABLE_ONEDNN_OPTS": str(int(on))}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _STEP, *arguments],
        env=environment,
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    return float(done.stdout.split()[-1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--networks", nargs="+", choices=_NETWORKS, default=list(_NETWORKS))
    parser.add_argument("--turns", type=int, default=3)
    arguments = parser.parse_args()
    title = f"a training step, medians of {arguments.turns}"
    table = Table("", "without, s", "with oneDNN, s", "times as fast", title=title)
    for name in arguments.networks:
        turns = [(step(name, False), step(name, True)) for _ in range(arguments.turns)]
        without, with_it = map(statistics.median, zip(*turns, strict=True))
        ratio = statistics.median(slow / fast for slow, fast in turns)
        table.add_row(name, f"{without:.3f}", f"{with_it:.3f}", f"{ratio:.2f}")
    Console(width=100).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
