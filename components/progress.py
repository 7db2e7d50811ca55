"""How far a stage has come, told to whoever watches the run.

A component runs in a process of its own, or in a container. Where the environment names a file in
CONVNETS_EVENTS, each report is one line of JSON at its end; elsewhere reports go nowhere.
"""

import contextlib
import json
import os
from collections.abc import Mapping
from typing import Any

EVENTS = "CONVNETS_EVENTS"


def report(stage: str, done: float, total: float, text: str = "") -> None:
    """Appends `{"stage", "done", "total", "text"}` to the events file, if there is one.

    Args:
      stage: id of the component.
      done, total: amounts in any one unit; total is 0 where it is not known.
      text: a few words for the reader, such as `"2,560 of 10,000 images"`.
    """
    emit({"stage": stage, "done": done, "total": total, "text": text})


def emit(event: Mapping[str, Any]) -> None:
    """Appends any event to the events file, if there is one."""
    path = os.environ.get(EVENTS)
    if not path:
        return
    line = (json.dumps(event) + "\n").encode()
    # A run must not end because nobody can be told how far it is.
    with contextlib.suppress(OSError):
        # One write to a file opened for appending: lines of two processes do not mix.
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(file, line)
        finally:
            os.close(file)
