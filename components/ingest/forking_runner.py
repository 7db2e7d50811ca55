"""Beam's direct runner with worker processes that are forked instead of started anew.

A new Python takes some seconds to import Beam, more than it takes to ingest ten thousand
thumbnails. Here a process is forked from this one before Beam starts its servers (gRPC cannot be
used on both sides of a fork), and it forks a worker each time Beam asks for one.
"""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import multiprocessing
import os
import shlex
import signal
import socketserver
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability import python_urns
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.runner import PipelineResult
from apache_beam.runners.worker import sdk_worker_main

from components.ingest import worker_relay

# A thread of gRPC's core, as Linux cuts its name; all of them end with gRPC's last object.
_GRPC_THREAD = "grpc_global_tim"
_STANDARD_FILES = 3


class ForkingRunner(FnApiRunner):
    """The direct runner; with `--direct_running_mode=multi_processing` it forks its workers.

    Where gRPC runs in this process already it starts them as Beam's own does.
    """

    def run_via_runner_api(
        self, pipeline_proto: beam_runner_api_pb2.Pipeline, options: PipelineOptions
    ) -> PipelineResult:
        """See the base class."""
        environments = [
            environment
            for environment in pipeline_proto.components.environments.values()
            if environment.urn == python_urns.SUBPROCESS_SDK
        ]
        if not environments or not can_fork():
            return super().run_via_runner_api(pipeline_proto, options)
        with _forking() as command:
            for environment in environments:
                environment.payload = command.encode()
            return super().run_via_runner_api(pipeline_proto, options)


def can_fork() -> bool:
    """Whether this is Linux and no thread of gRPC runs in this process."""
    threads = Path("/proc/self/task")
    return threads.is_dir() and all(
        (thread / "comm").read_text().strip() != _GRPC_THREAD for thread in threads.iterdir()
    )


@contextlib.contextmanager
def _forking() -> Iterator[str]:
    """The command that becomes a worker, while the process that forks them lives."""
    with tempfile.TemporaryDirectory() as folder:
        address = os.path.join(folder, "workers")
        with _Server(address, _Worker) as server:
            process = multiprocessing.get_context("fork").Process(
                target=server.serve, args=(os.getpid(),), daemon=True
            )
            process.start()
        try:
            # Without its own modules and site-packages Python starts in a fiftieth of a second.
            yield shlex.join([sys.executable, "-I", "-S", worker_relay.__file__, address])
        finally:
            process.terminate()
            process.join()


class _Server(socketserver.ForkingMixIn, socketserver.UnixStreamServer):
    """Forks a worker for each connection."""

    max_children = sys.maxsize
    block_on_close = False

    def serve(self, parent: int) -> None:
        """Serves until it is terminated, or until the process `parent` is gone."""
        self._parent = parent
        # What there is now stays as it is: a collection would write to every page, in each worker.
        gc.freeze()
        _let_go_of_files(self.fileno())
        # The parent writes what a worker logs, and acts on signals.
        logging.getLogger().handlers.clear()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit())
        try:
            self.serve_forever()
        finally:
            # What the workers took counts as this process' own.
            self.collect_children()

    def service_actions(self) -> None:
        super().service_actions()
        if os.getppid() != self._parent:
            raise SystemExit


class _Worker(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        os.environ.clear()
        os.environ.update(json.loads(self.rfile.read()))
        sdk_worker_main.main([])
        self.wfile.write(worker_relay.ENDED_WELL)


def _let_go_of_files(kept: int) -> None:
    """Opens the null device in the place of each open file but `kept` and the standard ones.

    A lock that this process held on would outlive the parent; a file that is closed could leave its
    number to another one, which the object of the first would close some day.
    """
    null = os.open(os.devnull, os.O_RDWR)
    for number in map(int, os.listdir("/proc/self/fd")):
        if number >= _STANDARD_FILES and number != kept:
            # The folder that was listed is closed by now.
            with contextlib.suppress(OSError):
                os.dup2(null, number)
