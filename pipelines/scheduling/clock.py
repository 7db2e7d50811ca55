"""The time that a scheduler goes by."""

from __future__ import annotations

import datetime
import time
from typing import Protocol


class Clock(Protocol):
    """Tells the time and waits; a test brings one that it can set."""

    def now(self) -> datetime.datetime:
        """The time, with its time zone."""

    def wait(self, seconds: float) -> None:
        """Returns when so much time has passed."""


class SystemClock:
    """The machine's."""

    def now(self) -> datetime.datetime:
        return datetime.datetime.now(datetime.timezone.utc)

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)
