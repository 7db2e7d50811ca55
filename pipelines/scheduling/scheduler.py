"""The scheduler: takes what is due, one run after the other, and remembers what came of it.

cronsim tells when a cron expression comes. APScheduler is not used: its store must not be shared
between processes, as that of a scheduler and of the commands that pause it or ask for a run has to
be, and its time cannot be set.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import logging
import os
import random
import signal
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines import process
from pipelines.recipe import RecipeError
from pipelines.scheduling import calendar, looks
from pipelines.scheduling.alerts import Alerts
from pipelines.scheduling.attempt import Outcome, attempt
from pipelines.scheduling.clock import Clock, SystemClock
from pipelines.scheduling.definition import Definition
from pipelines.scheduling.store import Entry, Store, StoreGone

# How soon it takes notice of what a command has written.
POLL_SECONDS = 5.0
_BUSY_SECONDS = 60.0
_LONGEST_BACKOFF = 6 * 3600.0
# A full disk, or a file that somebody holds for long: it passes.
_PASSES = (sqlite3.OperationalError, OSError)
_LOG = logging.getLogger(__name__)


class SchedulerBusy(RuntimeError):
    """Another scheduler works on this root; the text names its process."""


@dataclass(frozen=True)
class _Due:
    """Why a schedule is taken: `asked`, `retry`, `time` or `once`, and since when it is due."""

    why: str
    since: datetime.datetime


class Scheduler:
    """Works on the schedules of one root."""

    def __init__(
        self,
        root: Path,
        clock: Clock | None = None,
        command: Sequence[str] | None = None,
        chance: random.Random | None = None,
    ) -> None:
        """
        Args:
          root: the runs' root.
          clock: the time.
          command: the command line of a run's process; `process.RUNNER` where it is None.
          chance: draws the jitter.
        """
        self._root = root.absolute()
        self._clock = clock or SystemClock()
        self._command = command or process.RUNNER
        self._chance = chance or random.Random()
        self.alerts = Alerts()
        self.store = Store(self._root)

    def define(self, definition: Definition) -> None:
        """Keeps a schedule, new or in the place of one of the same name.

        One that is defined once more as it is keeps what it has missed.
        """
        if definition in [entry.definition for entry in self.store.entries()]:
            return
        self.store.put(definition, *self._next(definition, self._clock.now()))

    def resume(self, name: str) -> None:
        """Takes up a paused schedule at its next time: what was due meanwhile is let go."""
        self._advance(name)
        self.store.update(name, paused=0)

    def serve(self) -> None:
        """Works until it is interrupted (SIGINT, SIGTERM); a run is stopped and goes on later.

        Raises:
          SchedulerBusy: another scheduler works on this root.
          StoreGone: the schedules' file was deleted.
          KeyboardInterrupt: the interruption.
        """
        with locked(self._root), _ended_by_sigterm(), self.alerts:
            self.recover()
            while True:
                self._clock.wait(self._work())

    def once(self, name: str) -> Outcome | None:
        """Takes one schedule as if it were due, with its retries; for schedulers outside.

        Returns:
          What came of it; None where there was nothing to do.

        Raises:
          SchedulerBusy, StoreGone, KeyboardInterrupt: as `serve`.
          ScheduleError: there is no such schedule.
        """
        with locked(self._root), _ended_by_sigterm(), self.alerts:
            self.recover()
            outcome = self._take(self.store.entry(name), _Due("once", self._clock.now()))
            while (retry_at := self.store.entry(name).retry_at) is not None:
                self._clock.wait(max(0.0, (retry_at - self._clock.now()).total_seconds()))
                outcome = self._take(self.store.entry(name), _Due("retry", retry_at))
            return outcome

    def recover(self) -> None:
        """Notes the runs that an ended scheduler left; what was due is so still."""
        for left in self.store.interrupted(self._clock.now()):
            _LOG.warning("%s: the run %s was interrupted", left.schedule, left.run_id)

    def _work(self) -> float:
        """Takes what is due; the seconds until there may be something again."""
        try:
            return self.tick()
        except _PASSES as error:
            _LOG.error("the schedules cannot be worked on now: %s", error)
            return POLL_SECONDS

    def _until_kept(self, write: Callable[[], None]) -> None:
        """Writes what must not be lost, such as the end of a run: again until it can be written."""
        while True:
            try:
                return write()
            except _PASSES as error:
                _LOG.error("what came of a run cannot be noted now: %s", error)
                self._clock.wait(POLL_SECONDS)

    def tick(self) -> float:
        """Takes what is due, that which has waited longest first.

        Returns:
          The seconds until something is due, `POLL_SECONDS` at most.
        """
        while True:
            due = [(found, entry) for entry in self.store.entries() if (found := self._due(entry))]
            if not due:
                break
            found, entry = min(due, key=lambda pair: pair[0].since)
            self._take(entry, found)
        now = self._clock.now()
        times = (entry.retry_at or entry.next_at for entry in self.store.entries())
        waits = [(time - now).total_seconds() for time in times if time is not None]
        return max(0.1, min([POLL_SECONDS, *waits]))

    def _due(self, entry: Entry) -> _Due | None:
        now = self._clock.now()
        # A run that waits for another try, or for the root, is not begun anew meanwhile.
        waits = entry.retry_at is not None
        if waits and (entry.requested_at is not None or not entry.paused):
            return _Due("retry", entry.retry_at) if entry.retry_at <= now else None
        if entry.requested_at is not None:
            return _Due("asked", entry.requested_at)
        if not entry.paused and entry.next_at is not None and entry.next_at <= now:
            return _Due("time", entry.next_at)
        return None

    def _take(self, entry: Entry, due: _Due) -> Outcome | None:
        """Looks whether to run, runs, and notes what came of it."""
        now = self._clock.now()
        reason = self._reason(entry, due)
        if due.why == "time" and self._too_late(entry, now):
            text = f"due at {entry.due_at:%Y-%m-%d %H:%M} UTC, later than the grace allows"
            self._note(entry, now, reason, "missed", text)
            self._until_kept(lambda: self._advance(entry.name))
            return None
        found = self._look(entry, due, now)
        if isinstance(found, looks.Look):
            self.store.update(entry.name, looked_at=now, looked=found.text)
            if not found.run:
                # What has drifted too little is not measured again.
                self.store.update(entry.name, seen=found.seen)
                self._advance(entry.name, again_after=found.again_after)
                return None
            conditional = entry.definition.new_span or entry.definition.drift is not None
            reason = f"{reason}: {found.text}" if conditional else reason
            outcome = self._run(entry, reason, found.seen)
        else:
            outcome = found
            line = self._note(entry, now, reason, "failed", outcome.text)
            self._after(entry, outcome, line, seen=None)
        return outcome

    def _reason(self, entry: Entry, due: _Due) -> str:
        if due.why == "asked":
            return "asked for"
        if due.why == "retry":
            return f"retry {entry.attempt}" if entry.attempt else "after another run"
        missed = self._times_passed(entry) - 1
        more = " or more" if missed + 1 == calendar.COUNTED else ""
        return f"due, {missed}{more} missed" if missed > 0 else "due"

    def _times_passed(self, entry: Entry) -> int:
        made = entry.definition
        first = entry.due_at
        return calendar.passed(first, self._clock.now(), made.cron, made.every, made.timezone)

    def _too_late(self, entry: Entry, now: datetime.datetime) -> bool:
        grace = entry.definition.grace
        return grace is not None and (now - entry.next_at).total_seconds() > grace

    def _look(self, entry: Entry, due: _Due, now: datetime.datetime) -> looks.Look | Outcome:
        try:
            found = looks.look(entry.definition, entry.seen, self._root, now)
        except RecipeError as error:
            return Outcome("failed", str(error), again=False)
        # A bucket that does not answer raises what its library has; one schedule's trouble must
        # not end the others.
        except Exception as error:
            return Outcome("failed", f"the data cannot be looked at: {error}")
        if due.why in ("time", "once"):
            return found
        # Whoever asks for a run gets one; and one that failed was wanted.
        return looks.Look(True, found.text, found.seen)

    def _run(self, entry: Entry, reason: str, seen: str | None) -> Outcome | None:
        line = self._note(entry, self._clock.now(), reason, "running", None)

        def on_event(event: Mapping[str, Any]) -> None:
            if event["event"] == "stage" and event["state"] == "running":
                # No reason to stop the run.
                with contextlib.suppress(StoreGone, *_PASSES):
                    self.store.tell(line, stage=event["stage"])

        try:
            outcome = attempt(entry.definition, self._root, self._command, on_event)
        except process.RootBusy as error:
            why = str(error)
            self._until_kept(lambda: self._wait_for_root(entry, line, why))
            return None
        except KeyboardInterrupt:
            text = "the scheduler was stopped; goes on when it is started again"
            ended = self._clock.now()
            # Else the next scheduler's `recover` notes it.
            with contextlib.suppress(StoreGone, *_PASSES):
                self.store.tell(line, state="interrupted", ended_at=ended, text=text)
            raise
        except Exception as error:
            _LOG.exception("%s could not be run", entry.name)
            outcome = Outcome("failed", f"{type(error).__name__}: {error}")
        self._after(entry, outcome, line, seen)
        return outcome

    def _note(self, entry: Entry, now: datetime.datetime, reason: str, state: str, text) -> int:
        ended = None if state == "running" else now
        return self.store.begin(
            schedule=entry.name,
            started_at=now,
            ended_at=ended,
            attempt=entry.attempt + 1,
            reason=reason,
            state=state,
            text=text,
        )

    def _wait_for_root(self, entry: Entry, line: int, why: str) -> None:
        retry_at = self._clock.now() + datetime.timedelta(seconds=_BUSY_SECONDS)
        self.store.update(entry.name, retry_at=retry_at, looked=why)
        self.store.forget(line)

    def _after(self, entry: Entry, outcome: Outcome, line: int, seen: str | None) -> None:
        """Notes what came of an attempt, and when there is another; sends alerts."""
        now = self._clock.now()
        _LOG.info("%s: %s. %s", entry.name, outcome.state, outcome.text)
        again = outcome.failed and outcome.again and entry.attempt < entry.definition.retries
        self._until_kept(lambda: self._end(entry, outcome, line, now))
        if again:
            wait = min(entry.definition.backoff * 2**entry.attempt, _LONGEST_BACKOFF)
            retry_at = now + datetime.timedelta(seconds=wait)
            values = {"attempt": entry.attempt + 1, "retry_at": retry_at}
            self._until_kept(lambda: self.store.update(entry.name, **values))
            return
        self._until_kept(lambda: self._done(entry, seen))
        self._alert(entry, outcome, line)

    def _end(self, entry: Entry, outcome: Outcome, line: int, now: datetime.datetime) -> None:
        self.store.tell(
            line,
            ended_at=now,
            state=outcome.state,
            run_id=outcome.run_id,
            version=outcome.version,
            text=outcome.text,
        )

    def _done(self, entry: Entry, seen: str | None) -> None:
        self.store.answered(entry.name, entry.requested_at)
        # Data that were given up are not tried at every look again.
        self.store.update(entry.name, seen=seen if seen is not None else entry.seen)
        self._advance(entry.name)

    def _alert(self, entry: Entry, outcome: Outcome, line: int) -> None:
        def note(problems: Sequence[str]) -> None:
            with contextlib.suppress(StoreGone, *_PASSES):
                self.store.tell(line, notes="; ".join(problems))

        event = "failed" if outcome.failed else outcome.state
        self.alerts.send(entry.definition, event, self._message(entry, outcome), note)

    def _message(self, entry: Entry, outcome: Outcome) -> dict[str, Any]:
        return {
            "root": str(self._root),
            "recipe": entry.definition.recipe,
            "text": outcome.text,
            "run_id": outcome.run_id,
            "version": outcome.version,
            "report": outcome.report,
            "attempts": entry.attempt + 1,
        }

    def _advance(self, name: str, again_after: float | None = None) -> None:
        """To the next time, of the definition as it is now."""
        definitions = {entry.name: entry.definition for entry in self.store.entries()}
        if name not in definitions:
            return
        now = self._clock.now()
        due_at, next_at = self._next(definitions[name], now)
        if again_after is not None:
            next_at = min(next_at, now + datetime.timedelta(seconds=again_after))
        self.store.update(name, due_at=due_at, next_at=next_at, retry_at=None, attempt=0)

    def _next(self, made: Definition, now: datetime.datetime) -> tuple[datetime.datetime, ...]:
        """The next time of a schedule, without and with the jitter."""
        due_at = calendar.after(now, made.cron, made.every, made.timezone)
        late = datetime.timedelta(seconds=self._chance.uniform(0, made.jitter))
        return due_at, due_at + late


@contextlib.contextmanager
def locked(root: Path) -> Iterator[None]:
    """Holds a root for one scheduler.

    Raises:
      SchedulerBusy: another one holds it.
    """
    with (root / ".scheduler.lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            owner = file.read().strip() or "unknown"
            raise SchedulerBusy(
                f"another scheduler works on {root} (process {owner}); it takes up what is defined "
                "here, too"
            ) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def works(root: Path) -> bool:
    """Whether a scheduler works on a root."""
    try:
        with (root / ".scheduler.lock").open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


@contextlib.contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    def end(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
