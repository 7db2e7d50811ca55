"""Asks a server from many clients at once and measures how it answers."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import threading
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from serving.client import Client, NamedImages
from serving.errors import ServingError

# Threads of one process hold each other up: the clients are spread over several.
_PROCESSES = max(2, os.cpu_count() or 1)


@dataclasses.dataclass(frozen=True)
class Load:
    """What is asked: `images` of a request in turn, by `clients` at once, for some seconds.

    timeout: the deadline of a request in seconds. retries: see `Client`.
    """

    target: str
    model: str
    images: Sequence[bytes | NamedImages]
    clients: int = 8
    seconds: float = 10.0
    batch_size: int = 1
    timeout: float = 60.0
    retries: int = 0


@dataclasses.dataclass(frozen=True)
class Measured:
    """Milliseconds of each answered request, [N]; how many ended in each error, by its text."""

    milliseconds: np.ndarray
    errors: Counter[str]
    seconds: float
    batch_size: int

    @property
    def rate(self) -> float:
        """Answered images a second."""
        return len(self.milliseconds) * self.batch_size / self.seconds


def measure(load: Load) -> Measured:
    """Loads the server. Raises ServingError where not even a first request is answered."""
    with Client(load.target, load.timeout) as client:
        client.predict(load.model, [load.images[0]])
    spawn = multiprocessing.get_context("spawn")
    processes = min(_PROCESSES, load.clients)
    shares = [len(range(n, load.clients, processes)) for n in range(processes)]
    with spawn.Pool(processes) as pool:
        begin = time.time() + 2.0  # once all have imported what they need
        parts = pool.starmap(_process, [(load, share, begin) for share in shares])
    errors: Counter[str] = Counter()
    for _, part in parts:
        errors.update(part)
    durations = np.concatenate([np.asarray(part, np.float64) for part, _ in parts])
    return Measured(durations * 1e3, errors, load.seconds, load.batch_size)


def _process(load: Load, clients: int, begin: float) -> tuple[list[float], Counter[str]]:
    durations: list[float] = []
    errors: Counter[str] = Counter()
    threads = [
        threading.Thread(target=_client, args=(load, number, begin, durations, errors))
        for number in range(clients)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return durations, errors


def _client(load: Load, number: int, begin: float, durations: list, errors: Counter) -> None:
    places = np.arange(load.batch_size)
    with Client(load.target, load.timeout, retries=load.retries) as client:
        time.sleep(max(0.0, begin - time.time()))
        end = time.perf_counter() + load.seconds
        while (asked := time.perf_counter()) < end:
            images: list[Any] = [load.images[place % len(load.images)] for place in places + number]
            number += load.batch_size
            try:
                client.predict(load.model, images, batch_size=load.batch_size)
            except ServingError as error:
                errors[str(error)] += 1
                continue
            durations.append(time.perf_counter() - asked)
