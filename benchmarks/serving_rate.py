"""The embedded server over gRPC against a bare session called in a loop, in one run.

The server and the clients are processes of their own, on the same machine. Each round measures one
after the other, and the ratios are the medians of the rounds. Rates are images a second, latencies
milliseconds a call. The loop's batches are as large as a request, and it computes with as many
threads as the server. The clients send one serialised request again and again and do not read the
answers. The rows `gRPC alone` are a server in Python that answers the same requests with as many
bytes and computes nothing. The rows `function` are the loop with a signature of
`tf.saved_model.load` instead of `Session.run`. Bars: at 32 clients the loop's rate, and p99 less
than 3 times p50; at one client p50 at most 2 times the loop's.

    python benchmarks/serving_rate.py --networks lenet resnet50 --clients 1 32 --images 1 32
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import itertools
import multiprocessing
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import numpy as np
from rich.console import Console
from rich.table import Table

from serving import messages
from serving.client import Client

ROOT = Path(__file__).parents[1]
SHAPES = {"lenet": (28, 28, 1), "resnet50": (224, 224, 3)}
# Images in a batch of the server, and milliseconds that one waits for more. Small ones for the
# large network: its rate does not grow with the batch, its latency does.
BATCHES = {"lenet": (256, 5), "resnet50": (32, 0)}
# Threads that one operation is computed with. To hand a part of LeNet-5's to another takes longer
# than to compute it. Others: all cores.
THREADS = {"lenet": {"TF_NUM_INTRAOP_THREADS": "1"}}
DIGITS = (0, 0, 2, 2, 2, 2, 2)
LEAST_RATE, MOST_P50, MOST_P99_TO_P50 = 1.0, 2.0, 3.0
CLIENT_PROCESSES = 2
_SERVICE, _METHOD = "tensorflow.serving.PredictionService", "Predict"
# Every client has a connection of its own; otherwise those of a process share one.
_CHANNEL = [
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
]


def export(network: str, folder: str) -> None:
    """A fresh network as a SavedModel with the signature predict."""
    import keras
    import tensorflow as tf

    layers = keras.layers
    if network == "resnet50":
        net = keras.applications.ResNet50(weights=None)
    else:
        net = keras.Sequential(
            [
                keras.Input(SHAPES[network]),
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
    labels = tf.constant([str(number) for number in range(net.output_shape[-1])])

    @tf.function(input_signature=[tf.TensorSpec([None, *SHAPES[network]], tf.float32, "image")])
    def predict(image):
        scores = net(image, training=False)
        return {"scores": scores, "classes": tf.gather(labels, tf.argmax(scores, axis=1))}

    module.predict = predict
    tf.saved_model.save(module, folder, signatures={"predict": predict})


def bare(network: str, folder: str, orders, results) -> None:
    """Answers each order (kind, images, seconds) with the durations of calls of the model.

    kind: `session` for Session.run, `function` for the signature of `tf.saved_model.load`.
    """
    os.environ.update(THREADS.get(network, {}))
    import tensorflow as tf

    function = tf.saved_model.load(folder).signatures["predict"]
    session = tf.compat.v1.Session(graph=tf.Graph())
    with session.graph.as_default():
        meta_graph = tf.compat.v1.saved_model.load(session, ["serve"], folder)
    signature = meta_graph.signature_def["predict"]
    fetches = [info.name for info in signature.outputs.values()]
    feed = signature.inputs["image"].name
    calls = {
        "session": lambda images: session.run(fetches, {feed: images}),
        "function": lambda images: [
            value.numpy() for value in function(image=tf.constant(images)).values()
        ],
    }
    for kind, size, seconds in iter(orders.get, None):
        results.put(timed(functools.partial(calls[kind], batch(network, size)), seconds))


def request(network: str, size: int) -> bytes:
    """A serialised PredictRequest of so many images."""
    inputs = {"image": batch(network, size)}
    return messages.predict_request(messages.Which(network), inputs, "predict").SerializeToString()


def client_process(network: str, port: int, orders, results) -> None:
    """Answers each order (threads, images, seconds) with the durations of their requests."""
    for threads, size, seconds in iter(orders.get, None):
        sent, durations = request(network, size), []

        def ask(sent=sent, seconds=seconds, durations=durations):
            with grpc.insecure_channel(f"127.0.0.1:{port}", _CHANNEL) as channel:
                call = channel.unary_unary(f"/{_SERVICE}/{_METHOD}")
                durations += timed(lambda: call(sent), seconds)

        asking = [threading.Thread(target=ask) for _ in range(threads)]
        for thread in asking:
            thread.start()
        for thread in asking:
            thread.join()
        results.put(durations)


def answering(answer: bytes, port) -> None:
    """A server that answers every request with these bytes; puts its port into the queue."""

    async def always(_request, _context):
        return answer

    async def run():
        server = grpc.aio.server(options=_CHANNEL)
        method = grpc.unary_unary_rpc_method_handler(always)
        handler = grpc.method_handlers_generic_handler(_SERVICE, {_METHOD: method})
        server.add_generic_rpc_handlers((handler,))
        port.put(server.add_insecure_port("127.0.0.1:0"))
        await server.start()
        await server.wait_for_termination()

    asyncio.run(run())


def timed(call: Callable[[], object], seconds: float) -> list[float]:
    """Durations in seconds of the calls that fit into `seconds`, after some that do not count."""
    warm = time.perf_counter()
    while time.perf_counter() - warm < seconds / 4:
        call()
    durations, start = [], time.perf_counter()
    while (begun := time.perf_counter()) - start < seconds:
        call()
        durations.append(time.perf_counter() - begun)
    return durations


def batch(network: str, size: int) -> np.ndarray:
    """Random pixels, float32 [size, H, W, C]."""
    return np.random.RandomState(0).uniform(0, 255, (size, *SHAPES[network])).astype("float32")


@contextlib.contextmanager
def serve(network: str, base_path: str, *more: str) -> Iterator[tuple[int, int]]:
    """Port and process of `python -m serving` on `base_path`, with batching."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    most, wait = BATCHES[network]
    parameters = Path(base_path, "batching.config")
    parameters.write_text(
        f"max_batch_size {{ value: {most} }} batch_timeout_micros {{ value: {wait * 1000} }} "
        "max_enqueued_batches { value: 100 }"
    )
    flags = [f"--port={port}", f"--model_name={network}", f"--model_base_path={base_path}"]
    flags += ["--enable_batching", f"--batching_parameters_file={parameters}", *more]
    process = subprocess.Popen(
        [sys.executable, "-m", "serving", *flags],
        cwd=ROOT,
        env={**os.environ, **THREADS.get(network, {})},
        stderr=subprocess.DEVNULL,
    )
    try:
        with Client(f"127.0.0.1:{port}") as waiting:
            waiting.wait_until_available(network, 120)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait()


class Clients:
    """Clients in processes of their own, waiting for orders."""

    def __init__(self, spawn, network: str, port: int) -> None:
        self._orders = [spawn.Queue() for _ in range(CLIENT_PROCESSES)]
        self._results = spawn.Queue()
        self._processes = [
            spawn.Process(
                target=client_process, args=(network, port, orders, self._results), daemon=True
            )
            for orders in self._orders
        ]
        for process in self._processes:
            process.start()

    def ask(self, clients: int, size: int, seconds: float) -> list[float]:
        """Durations of all requests of so many clients at once."""
        processes = min(clients, CLIENT_PROCESSES)
        for number in range(processes):
            threads = len(range(number, clients, processes))
            self._orders[number].put((threads, size, seconds))
        return [each for _ in range(processes) for each in self._results.get()]

    def stop(self) -> None:
        """Ends the processes."""
        for orders in self._orders:
            orders.put(None)
        for process in self._processes:
            process.join()


@contextlib.contextmanager
def alone(spawn, network: str, port: int, size: int) -> Iterator[int]:
    """The port of a server that gives the same answers as the one at `port`, from memory."""
    with grpc.insecure_channel(f"127.0.0.1:{port}", _CHANNEL) as channel:
        answer = channel.unary_unary(f"/{_SERVICE}/{_METHOD}")(request(network, size))
    ports = spawn.Queue()
    process = spawn.Process(target=answering, args=(answer, ports))
    process.start()
    try:
        yield ports.get()
    finally:
        process.terminate()
        process.join()


def compared(
    rounds: list[tuple[list[float], list[float]]], size: int, seconds: float
) -> np.ndarray:
    """Medians of the rounds, from the durations in each: rate, the loop's, their ratio; p50 and its
    ratio to the loop's; p99 and its ratio.

    The rate of the clients is of the `seconds` that each has asked, that of the loop the inverse
    of what a call took.
    """
    figures = []
    for served, loop in rounds:
        rate, bare = size * len(served) / seconds, size / np.mean(loop)
        figures.append([rate, bare, rate / bare])
        for part in (50, 99):
            ours, theirs = np.percentile(served, part), np.percentile(loop, part)
            figures[-1] += [1e3 * ours, ours / theirs]
    return np.median(figures, axis=0)


def verdict(figures: np.ndarray, clients: int) -> str:
    """Whether the bars for so many clients are met; "" where there are none."""
    _, _, rate, p50_ms, p50, p99_ms, _ = figures
    met = {1: p50 <= MOST_P50, 32: rate >= LEAST_RATE and p99_ms < MOST_P99_TO_P50 * p50_ms}
    return {True: "met", False: "missed"}.get(met.get(clients), "")


def measure(spawn, network: str, arguments: argparse.Namespace, table: Table) -> None:
    """Adds three rows for each number of clients and images a request."""
    with tempfile.TemporaryDirectory() as folder:
        version = os.path.join(folder, "1")
        exporter = spawn.Process(target=export, args=(network, version))
        exporter.start()
        exporter.join()
        orders, results = spawn.Queue(), spawn.Queue()
        loop = spawn.Process(target=bare, args=(network, version, orders, results))
        loop.start()
        with serve(network, folder) as (port, _):
            clients = Clients(spawn, network, port)
            for size, many in itertools.product(arguments.images, arguments.clients):
                with alone(spawn, network, port, size) as port_alone:
                    others = Clients(spawn, network, port_alone)
                    rounds = []
                    for _ in range(arguments.rounds):
                        orders.put(("session", size, arguments.seconds))
                        rounds.append([results.get()])
                        for asking in (clients, others):
                            rounds[-1].append(asking.ask(many, size, arguments.seconds))
                        orders.put(("function", size, arguments.seconds))
                        rounds[-1].append(results.get())
                    others.stop()
                for name, place in ((network, 1), ("gRPC alone", 2), ("function", 3)):
                    pairs = [(each[place], each[0]) for each in rounds]
                    figures = compared(pairs, size, arguments.seconds)
                    row = (
                        f"{figure:.{digits}f}"
                        for figure, digits in zip(figures, DIGITS, strict=True)
                    )
                    bars = verdict(figures, many) if name == network else ""
                    table.add_row(name, str(size), str(many), *row, bars)
            clients.stop()
        orders.put(None)
        loop.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=list(SHAPES), choices=list(SHAPES))
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 32])
    parser.add_argument("--images", type=int, nargs="+", default=[1, 32], help="in a request")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3, help="of each half of a round")
    arguments = parser.parse_args()
    columns = ["network", "images a request", "clients", "images/s", "bare images/s", "ratio"]
    table = Table(*columns, "p50 ms", "to bare", "p99 ms", "to bare", "bars")
    for network in arguments.networks:
        measure(multiprocessing.get_context("spawn"), network, arguments, table)
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
