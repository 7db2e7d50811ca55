"""Tells somebody what a schedule has come to: by a webhook, by a command; beside the scheduler."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pipelines import webhook
from pipelines.scheduling.definition import Definition

_WEBHOOK_SECONDS = 10.0
_COMMAND_SECONDS = 60.0
_TRIES = 3
_LAST_CHARACTERS = 300
# How long the end of the scheduler waits for alerts that are on their way.
_END_SECONDS = 30.0
_LOG = logging.getLogger(__name__)


class Alerts:
    """Alerts that are on their way, each in a thread: the scheduler waits for none of them.

    As a context it gives them some time at its end.
    """

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []

    def send(
        self,
        definition: Definition,
        event: str,
        message: Mapping[str, Any],
        on_problems: Callable[[Sequence[str]], None],
    ) -> None:
        """Tells of an event, where the definition asks for it.

        Args:
          definition, event, message: see `send`.
          on_problems: called, in the thread, with what could not be told and why.
        """
        if event not in definition.alert_on:
            return

        def tell() -> None:
            problems = send(definition, event, message)
            for problem in problems:
                _LOG.warning("%s: %s", definition.name, problem)
            if problems:
                on_problems(problems)

        thread = threading.Thread(target=tell, daemon=True)
        thread.start()
        self._threads = [*(each for each in self._threads if each.is_alive()), thread]

    def __enter__(self) -> Alerts:
        return self

    def __exit__(self, *_: object) -> None:
        deadline = time.monotonic() + _END_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))


def send(definition: Definition, event: str, message: Mapping[str, Any]) -> list[str]:
    """Tells of an event.

    Args:
      definition: of the schedule.
      event: one of `definition.ALERTS`.
      message: what the webhook gets as JSON, and the command on its standard input.

    Returns:
      What could not be told and why: nobody's not being told ends a scheduler.
    """
    content = json.dumps({"schedule": definition.name, "event": event, **message}).encode()
    problems = []
    if definition.webhook:
        problem = webhook.post(definition.webhook, content, _WEBHOOK_SECONDS, _TRIES)
        problems.append(problem and f"alert to {problem}")
    if definition.command:
        problems.append(_call(definition.command, definition.name, event, content))
    return [webhook.masked(problem) for problem in problems if problem]


def _call(command: str, name: str, event: str, content: bytes) -> str | None:
    environment = {**os.environ, "CONVNETS_SCHEDULE": name, "CONVNETS_EVENT": event}
    child = subprocess.Popen(
        command,
        shell=True,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        said, _ = child.communicate(content, _COMMAND_SECONDS)
    except subprocess.TimeoutExpired:
        # What the shell has started holds the pipe, too.
        os.killpg(child.pid, signal.SIGKILL)
        child.communicate()
        return f"alert by {command!r}: not done in {_COMMAND_SECONDS:g} seconds"
    if child.returncode:
        last = said.decode(errors="replace").strip()[-_LAST_CHARACTERS:]
        return f"alert by {command!r}: exit code {child.returncode} {last}".rstrip()
    return None
