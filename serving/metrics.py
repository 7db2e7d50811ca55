"""What the server counts, under TensorFlow Serving's names, in Prometheus' text format."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import Metric

_PREFIX = ":tensorflow:serving:"
# TensorFlow Serving's: 33 of them in microseconds, each 1.8 times the one before.
_BUCKETS = tuple(10 * 1.8**power for power in range(33))


class Metrics:
    """Counts of one server. From any thread."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()
        self._registry.register(self)
        self._latency = Histogram(
            f"{_PREFIX}request_latency",
            "Distribution of wall time (in microseconds) for Tensorflow Serving request.",
            ["model_name", "API", "entrypoint"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._runtime = Histogram(
            f"{_PREFIX}runtime_latency",
            "Distribution of wall time (in microseconds) for Tensorflow runtime.",
            ["model_name", "API", "runtime"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._rows = Histogram(
            f"{_PREFIX}batching_session:processed_batch_size",
            "Rows of each call of a model.",
            ["model_name", "signature_name"],
            buckets=tuple(2**power for power in range(15)),
            registry=self._registry,
        )

    def request(self, model: str, api: str, entrypoint: str, status: str, seconds: float) -> None:
        """A request has been answered. api: as `Predict`; entrypoint: `GRPC` or `REST`."""
        with self._lock:
            self._requests[model, status] += 1
        self._latency.labels(model, api, entrypoint).observe(seconds * 1e6)

    def call(self, model: str, signature: str, seconds: float, rows: int) -> None:
        """A model has been called."""
        self._runtime.labels(model, signature, "TF1").observe(seconds * 1e6)
        self._rows.labels(model, signature).observe(rows)

    def text(self) -> bytes:
        """All of them, for Prometheus."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """The counter of requests; the library's own would append _total to its name."""
        metric = Metric(f"{_PREFIX}request_count", "The total number of requests.", "unknown")
        with self._lock:
            counts = list(self._requests.items())
        for (model, status), count in counts:
            labels = {"model_name": model, "status": status}
            metric.add_sample(metric.name, labels, count)
        yield metric
