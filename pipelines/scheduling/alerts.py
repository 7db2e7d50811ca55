"""Tells somebody what a schedule has come to: by a webhook, by a command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any

from pipelines.scheduling.definition import Definition

_WEBHOOK_SECONDS = 10.0
_COMMAND_SECONDS = 60.0
_TRIES = 3
_LAST_CHARACTERS = 300


def send(definition: Definition, event: str, message: Mapping[str, Any]) -> list[str]:
    """Tells of an event, where the definition asks for it.

    Args:
      definition: of the schedule.
      event: one of `definition.ALERTS`.
      message: what the webhook gets as JSON, and the command on its standard input.

    Returns:
      What could not be told and why: nobody's not being told ends a scheduler.
    """
    if event not in definition.alert_on:
        return []
    content = json.dumps({"schedule": definition.name, "event": event, **message}).encode()
    problems = []
    if definition.webhook:
        problems.append(_post(definition.webhook, content))
    if definition.command:
        problems.append(_call(definition.command, definition.name, event, content))
    return [problem for problem in problems if problem]


def _post(address: str, content: bytes) -> str | None:
    request = urllib.request.Request(address, content, {"Content-Type": "application/json"})
    for _ in range(_TRIES):
        try:
            with urllib.request.urlopen(request, timeout=_WEBHOOK_SECONDS):
                return None
        # What it raises for an address that is none is no OSError.
        except (OSError, ValueError) as error:
            problem = str(error)
    # The rest of an address is often a secret.
    return f"alert to {urllib.parse.urlsplit(address).hostname}: {problem}"


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
