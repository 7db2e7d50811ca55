"""The events of a run, which its process writes line by line, and what they say of its stages."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Event = Mapping[str, Any]
# The event of a failure that is no stage's: `{"event": FAILED, "error"}`.
FAILED = "failed"


@dataclass
class Stage:
    """One stage as far as the events tell."""

    name: str
    state: str = "waiting"
    began: float = 0.0
    seconds: float = 0.0
    done: float = 0.0
    total: float = 0.0
    text: str = ""
    error: str = ""


class Stages:
    """The stages of a run, kept up by its events.

    Attributes:
      by_name: each stage, in the pipeline's order.
      error: why the run failed; "" where it has not.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """
        Args:
          clock: gives seconds.
        """
        self._clock = clock
        self.by_name: dict[str, Stage] = {}
        self.error = ""

    def take(self, event: Event) -> Stage | None:
        """Notes an event; returns the stage that it is about. Unknown events are passed over."""
        if event["event"] == "stages":
            self.by_name = {name: self.by_name.get(name, Stage(name)) for name in event["stages"]}
        if event["event"] == FAILED:
            self.error = event["error"]
        if event["event"] not in ("stage", "progress"):
            return None
        stage = self.by_name.setdefault(event["stage"], Stage(event["stage"]))
        if event["event"] == "progress":
            stage.done, stage.total = event["done"], event.get("total", 0)
            stage.text = event.get("text", "")
            if not stage.total:
                stage.text = f"{stage.done:,.0f} {stage.text}"
            return stage
        stage.state = event["state"]
        stage.error = event.get("error") or ""
        self.error = stage.error or self.error
        if stage.state == "running":
            stage.began = self._clock()
        else:
            stage.seconds = event.get("seconds") or 0.0
        return stage

    def rows(self) -> list[dict[str, Any]]:
        """`stage`, `state`, `seconds` and `error` of each stage, in the pipeline's order."""
        return [
            {"stage": each.name, "state": each.state, "seconds": each.seconds, "error": each.error}
            for each in self.by_name.values()
        ]


def read(path: Path) -> Stages:
    """What a file of events says of the stages; of one that is not there nothing."""
    stages = Stages()
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return stages
    for event in filter(None, map(parsed, lines)):
        stages.take(event)
    return stages


def parsed(line: str) -> Event | None:
    """The event on one line; None for what is no event."""
    try:
        event = json.loads(line)
    except json.JSONDecodeError:
        return None
    if not isinstance(event, dict):
        return None
    if "event" not in event and {"stage", "done"} <= event.keys():
        event["event"] = "progress"
    return event if "event" in event else None
