"""The embedded server over gRPC against the bare SavedModel called in a loop, in one run.

The server and every client are processes of their own. Rates are images a second; the ratio is to
the bare loop of the same batch size.

    python benchmarks/serving_rate.py --clients 1 8 --batch-sizes 1 64
"""

import argparse
import contextlib
import itertools
import multiprocessing
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from serving.client import Client

ROOT = Path(__file__).parents[1]
SHAPE = (28, 28, 1)


def export_lenet(folder: str) -> None:
    """A fresh network of LeNet-5's shapes as a SavedModel with the signature predict."""
    import keras
    import tensorflow as tf

    layers = keras.layers
    net = keras.Sequential(
        [
            keras.Input(SHAPE),
            layers.Rescaling(1 / 255),
            layers.Conv2D(6, 5, activation="relu", padding="same"),
            layers.MaxPooling2D(2),
            layers.Conv2D(16, 5, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(120, activation="relu"),
            layers.Dense(84, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    module = tf.Module()
    module.variables_of_net = [variable.value for variable in net.variables]
    labels = tf.constant([str(digit) for digit in range(10)])

    @tf.function(input_signature=[tf.TensorSpec([None, *SHAPE], tf.float32, name="image")])
    def predict(image):
        scores = net(image)
        return {"scores": scores, "classes": tf.gather(labels, tf.argmax(scores, axis=1))}

    module.predict = predict
    tf.saved_model.save(module, folder, signatures={"predict": predict})


def bare(folder: str, orders, results) -> None:
    """Answers each order (batch size, seconds) with the calls a second of the bare signature."""
    import tensorflow as tf

    call = tf.saved_model.load(folder).signatures["predict"]
    for batch_size, seconds in iter(orders.get, None):
        images = batch(batch_size)

        def once(images=images):
            return {name: value.numpy() for name, value in call(image=tf.constant(images)).items()}

        results.put(len(timed(once, seconds)) / seconds)


def client(port: int, batch_size: int, seconds: float, barrier, results) -> None:
    """Puts the durations of this client's requests into `results`."""
    images = batch(batch_size)
    with Client(f"127.0.0.1:{port}") as server:

        def once():
            return server.call("lenet", {"image": images}, "predict")

        once()
        barrier.wait()
        results.put(timed(once, seconds, warm_up=0))


def timed(call, seconds: float, warm_up: int = 20) -> list[float]:
    """Durations in seconds of the calls that fit into `seconds`."""
    for _ in range(warm_up):
        call()
    durations, start = [], time.perf_counter()
    while (begun := time.perf_counter()) - start < seconds:
        call()
        durations.append(time.perf_counter() - begun)
    return durations


def batch(size: int) -> np.ndarray:
    """Random pixels, float32 [size, 28, 28, 1]."""
    return np.random.RandomState(0).uniform(0, 255, (size, *SHAPE)).astype("float32")


@contextlib.contextmanager
def serve(base_path: str):
    """The port of `python -m serving.server` on `base_path`."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    flags = [f"--port={port}", "--model_name=lenet", f"--model_base_path={base_path}"]
    process = subprocess.Popen([sys.executable, "-m", "serving.server", *flags], cwd=ROOT)
    try:
        with Client(f"127.0.0.1:{port}") as waiting:
            waiting.wait_until_available("lenet", 120)
        yield port
    finally:
        process.terminate()
        process.wait()


def ask(spawn, port: int, clients: int, batch_size: int, seconds: float) -> list[float]:
    """Durations of all requests of `clients` processes that ask at once."""
    barrier, results = spawn.Barrier(clients), spawn.Queue()
    processes = [
        spawn.Process(target=client, args=(port, batch_size, seconds, barrier, results))
        for _ in range(clients)
    ]
    for process in processes:
        process.start()
    durations = [duration for _ in processes for duration in results.get()]
    for process in processes:
        process.join()
    return durations


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 64])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2, help="of each half of a round")
    arguments = parser.parse_args()
    spawn = multiprocessing.get_context("spawn")
    orders, results = spawn.Queue(), spawn.Queue()
    table = Table("batch", "clients", "images/s", "bare images/s", "ratio", "p50 ms", "p99 ms")
    with tempfile.TemporaryDirectory() as folder:
        version = os.path.join(folder, "1")
        exporter = spawn.Process(target=export_lenet, args=(version,))
        exporter.start()
        exporter.join()
        loop = spawn.Process(target=bare, args=(version, orders, results))
        loop.start()
        with serve(folder) as port:
            for size, clients in itertools.product(arguments.batch_sizes, arguments.clients):
                rates, bare_rates, taken = [], [], []
                for _ in range(arguments.rounds):
                    orders.put((size, arguments.seconds))
                    bare_rates.append(results.get())
                    durations = ask(spawn, port, clients, size, arguments.seconds)
                    rates.append(len(durations) / arguments.seconds)
                    taken += durations
                ratio = np.median(np.divide(rates, bare_rates))
                rate, bare_rate = np.median(rates) * size, np.median(bare_rates) * size
                p50, p99 = np.percentile(taken, [50, 99]) * 1e3
                row = f"{size} {clients} {rate:.0f} {bare_rate:.0f} {ratio:.2f} {p50:.2f} {p99:.2f}"
                table.add_row(*row.split())
        orders.put(None)
        loop.join()
    Console().print(table)


if __name__ == "__main__":
    main()
