"""Beam's direct runner with worker processes that are forked instead of started anew.

A new Python takes some seconds to import Beam, more than it takes to ingest ten thousand
thumbnails. Here a process is forked from this one before TFX and Beam start their servers (gRPC
cannot be used on both sides of a fork), and it forks a worker each time Beam asks for one.
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
# A socket's address has 107 bytes; the rest is for the folder in this one and for the name.
_LONGEST_FOLDER = 80
# What becomes a worker, of each `forked` that has been entered.
_commands: list[str] = []


class ForkingRunner(FnApiRunner):
    """The direct runner; with `--direct_running_mode=multi_processing` its workers are forked.

    Outside `forked` they are started as Beam's own.
    """

    def run_via_runner_api(
        self, pipeline_proto: beam_runner_api_pb2.Pipeline, options: PipelineOptions
    ) -> PipelineResult:
        """See the base class."""
        for environment in pipeline_proto.components.environments.values():
            if environment.urn == python_urns.SUBPROCESS_SDK and _commands:
                environment.payload = _commands[-1].encode()
        return super().run_via_runner_api(pipeline_proto, options)


@contextlib.contextmanager
def forked() -> Iterator[None]:
    """In it, workers are forked from this process as it is at the beginning.

    Where gRPC runs in this process already, or the folder for temporary files has a very long name,
    it makes no difference.
    """
    if not can_fork() or len(os.fsencode(tempfile.gettempdir())) > _LONGEST_FOLDER:
        yield
        return
    with tempfile.TemporaryDirectory() as folder:
        address = os.path.join(folder, "workers")
        with _Server(address, _Worker) as server:
            process = multiprocessing.get_context("fork").Process(
                target=server.serve, args=(os.getpid(),), daemon=True
            )
            process.start()
        # Without its own modules and site-packages Python starts in a fiftieth of a second.
        _commands.append(shlex.join([sys.executable, "-I", "-S", worker_relay.__file__, address]))
        try:
            yield
        finally:
            _commands.pop()
            process.terminate()
            process.join()


def can_fork() -> bool:
    """Whether this is Linux and no thread of gRPC runs in this process."""
    names = set()
    for thread in Path("/proc/self/task").glob("*/comm"):
        with contextlib.suppress(OSError):  # It has ended meanwhile.
            names.add(thread.read_text().strip())
    return bool(names) and _GRPC_THREAD not in names


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
