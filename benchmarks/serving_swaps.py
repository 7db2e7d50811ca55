"""Hot swaps under load, and the memory of the embedded server over swaps and over requests.

python benchmarks/serving_swaps.py --swaps 10 --clients 32 --requests 100000
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import os
import shutil
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.serving_rate import CLIENT_PROCESSES, batch, export, serve
from serving.client import Client, ServingError

NETWORK = "lenet"
# By then the server has made what it makes once.
_FIRST_REQUESTS = 5_000
_HOUR = 3_600


def resident(pid: int | str = "self") -> float:
    """MiB that a process holds in memory."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no VmRSS")


def push(source: str, base_path: str, version: int) -> None:
    """A copy of a version under its final name once it is whole."""
    shutil.copytree(source, os.path.join(base_path, f"{version}.tmp"))
    os.rename(os.path.join(base_path, f"{version}.tmp"), os.path.join(base_path, str(version)))


def asking(port: int, threads: int, images: int, stop, asked, failed) -> None:
    """Clients that ask until `stop` is set; counts requests and those that failed."""
    pixels, lock = batch(NETWORK, images), threading.Lock()

    def ask():
        with Client(f"127.0.0.1:{port}", retries=0) as client:
            while not stop.is_set():
                try:
                    client.call(NETWORK, {"image": pixels}, "predict")
                    wrong = 0
                except ServingError as error:
                    print(error, flush=True)
                    wrong = 1
                with lock:
                    asked.value += 1
                    failed.value += wrong

    running = [threading.Thread(target=ask) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()


class Load:
    """So many clients that ask without a pause while the block lasts."""

    def __init__(self, spawn, port: int, clients: int, images: int = 1) -> None:
        self._stop = spawn.Event()
        processes = min(CLIENT_PROCESSES, clients)
        # A counter each: there is one writer of each.
        self._counts = [(spawn.Value("l", 0), spawn.Value("l", 0)) for _ in range(processes)]
        self._processes = [
            spawn.Process(
                target=asking,
                args=(port, clients // processes, images, self._stop, *counts),
            )
            for counts in self._counts
        ]

    def __enter__(self) -> Load:
        for process in self._processes:
            process.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        for process in self._processes:
            process.join()

    @property
    def asked(self) -> int:
        """Requests so far."""
        return sum(asked.value for asked, _ in self._counts)

    @property
    def failed(self) -> int:
        """Those of them that were not answered."""
        return sum(failed.value for _, failed in self._counts)


def swaps_under_load(spawn, source: str, arguments, table: Table) -> None:
    """Pushes versions one after the other while clients ask."""
    with tempfile.TemporaryDirectory() as folder:
        push(source, folder, 1)
        with (
            serve(NETWORK, folder) as (port, _),
            Load(spawn, port, arguments.clients) as load,
            Client(f"127.0.0.1:{port}") as client,
        ):
            for version in range(2, arguments.swaps + 2):
                push(source, folder, version)
                client.wait_until_available(NETWORK, 300, version)
                after = load.asked
                while load.asked < after + 10 * arguments.clients:
                    time.sleep(0.05)
        table.add_row(
            f"{arguments.swaps} swaps under {arguments.clients} clients",
            f"{load.asked} requests, {load.failed} failed",
        )


def memory_of_swaps(source: str, count: int, results) -> None:
    """Puts the resident memory in MiB after each of `count` swaps."""
    from serving.model_config import ModelConfig
    from serving.versions import ModelVersions

    with tempfile.TemporaryDirectory() as folder:
        versions = ModelVersions(ModelConfig(NETWORK, folder), settle_seconds=0)
        pixels, sizes = batch(NETWORK, 32), []
        for version in range(1, count + 2):
            push(source, folder, version)
            versions.poll()
            with versions.lend(version) as lent:
                for _ in range(20):
                    lent.model.predict("predict", {"image": pixels})
            shutil.rmtree(os.path.join(folder, str(version - 1)), ignore_errors=True)
            sizes.append(resident())
        versions.close()
    results.put(sizes)


def memory_of_requests(spawn, source: str, arguments, table: Table) -> None:
    """The server's memory over so many requests, or over an hour of them."""
    with tempfile.TemporaryDirectory() as folder:
        push(source, folder, 1)
        with (
            serve(NETWORK, folder) as (port, pid),
            Load(spawn, port, arguments.clients, images=1) as load,
        ):
            while load.asked < _FIRST_REQUESTS:
                time.sleep(0.1)
            sizes, began = [resident(pid)], time.monotonic()
            for sixth in range(1, 7):
                requests, seconds = (each * sixth / 6 for each in (arguments.requests, _HOUR))
                while load.asked < requests and time.monotonic() - began < seconds:
                    time.sleep(0.1)
                sizes.append(resident(pid))
            minutes = (time.monotonic() - began) / 60
        shown = " ".join(f"{size:.0f}" for size in sizes)
        table.add_row(
            f"MiB after {_FIRST_REQUESTS} requests and after each sixth of "
            f"{load.asked} in {minutes:.0f} minutes",
            f"{shown}; {load.failed} failed",
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--swaps", type=int, default=10)
    parser.add_argument("--memory-swaps", type=int, default=50)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--requests", type=int, default=100_000)
    arguments = parser.parse_args()
    spawn = multiprocessing.get_context("spawn")
    table = Table("what", "measured")
    with tempfile.TemporaryDirectory() as folder:
        source = os.path.join(folder, "export")
        exporter = spawn.Process(target=export, args=(NETWORK, source))
        exporter.start()
        exporter.join()
        if arguments.swaps:
            swaps_under_load(spawn, source, arguments, table)
        if arguments.memory_swaps:
            results = spawn.Queue()
            process = spawn.Process(
                target=memory_of_swaps, args=(source, arguments.memory_swaps, results)
            )
            process.start()
            sizes = results.get()
            process.join()
            steps = itertools.islice(sizes, 0, None, max(1, len(sizes) // 10))
            shown = " ".join(f"{size:.0f}" for size in steps)
            slope = np.polyfit(range(len(sizes) // 2), sizes[-(len(sizes) // 2) :], 1)[0]
            table.add_row(
                f"MiB over {arguments.memory_swaps} swaps",
                f"{shown}; {slope:+.2f} a swap in the second half",
            )
        if arguments.requests:
            memory_of_requests(spawn, source, arguments, table)
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
