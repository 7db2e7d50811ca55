"""Processes in which trials are trained."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import threading
from multiprocessing.connection import Connection, wait
from typing import Any

from components.tune.orders import Order, SearchFacts

# A fork of a process in which TensorFlow runs does not run.
_SPAWN = multiprocessing.get_context("spawn")


class Process:
    """A place in which one trial runs after the other; where one ends the process, in a new one."""

    def __init__(self, search: SearchFacts):
        self.name = f"place-{search.place}"
        self._search = search
        self._process = None
        self._connection = None
        self._ended = False

    def run(self, order: Order) -> dict[str, Any]:
        """The numbers of the trial's last epoch, or `{"error": reason}`."""
        if self._ended:
            return {"error": "the search has ended"}
        if self._process is None:
            self._start()
        try:
            self._connection.send(order)
            return self._connection.recv()
        except (EOFError, OSError):
            self._process.join()
            reason = _ending(self._process.exitcode)
            self._process = None
            return {"error": reason}

    def end(self) -> None:
        """Ends the process, whatever it is doing; there will be no other."""
        self._ended = True
        process = self._process
        if process is not None:
            process.kill()
            process.join()

    def _start(self) -> None:
        self._connection, other = _SPAWN.Pipe()
        self._process = _SPAWN.Process(target=_serve, args=(other, self._search), daemon=True)
        self._process.start()
        # Else the pipe stays open when the process has ended.
        other.close()


def _serve(connection: Connection, search: SearchFacts) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # Named here, so that who starts processes does not have to import TensorFlow.
    importlib.import_module("components.tune.trial").serve(connection, search)


def _end_with_parent() -> None:
    """Two processes must not write the same checkpoints, so none outlives its search."""
    wait([multiprocessing.parent_process().sentinel])
    os._exit(1)


def _ending(code: int) -> str:
    if code < 0:
        name = signal.Signals(-code).name
        memory = ", which the system sends where memory runs out" if name == "SIGKILL" else ""
        return f"its process was ended by {name}{memory}"
    return f"its process ended with exit code {code}"
