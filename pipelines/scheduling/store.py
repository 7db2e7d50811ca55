"""The scheduler's state: one SQLite file below the root, which several processes may open.

The scheduler and the commands (`pause`, `run-now`, ...) write at the same time: every change is a
transaction that sets the columns that it is about and no others.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.settings import near_matches
from pipelines.scheduling.definition import Definition, ScheduleError
from pipelines.webhook import masked

_NAME = "schedule.sqlite"
_PRIVATE = 0o600
_WAIT_SECONDS = 30.0
_TABLES = """
CREATE TABLE IF NOT EXISTS schedules (
    name TEXT PRIMARY KEY,
    definition TEXT NOT NULL,
    paused INTEGER NOT NULL DEFAULT 0,
    due_at REAL,
    next_at REAL,
    requested_at REAL,
    retry_at REAL,
    attempt INTEGER NOT NULL DEFAULT 0,
    seen TEXT,
    looked_at REAL,
    looked TEXT
);
CREATE TABLE IF NOT EXISTS history (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    schedule TEXT NOT NULL,
    started_at REAL NOT NULL,
    ended_at REAL,
    attempt INTEGER NOT NULL,
    reason TEXT NOT NULL,
    state TEXT NOT NULL,
    stage TEXT,
    run_id TEXT,
    version TEXT,
    text TEXT,
    notes TEXT
);
CREATE INDEX IF NOT EXISTS history_of ON history (schedule, id);
"""
# What errors say is kept there, and what is shown.
_SHOWN = ("looked", "text", "notes")
_TIMES = ("due_at", "next_at", "requested_at", "retry_at", "looked_at", "started_at", "ended_at")


@dataclass(frozen=True)
class Entry:
    """A schedule and where it stands.

    Attributes:
      definition: what it is.
      paused: whether its times pass without a run.
      due_at, next_at: when it is due next, without and with the jitter.
      requested_at: when somebody asked for a run that has not been made yet.
      retry_at: when a failed run is tried again; None where none is.
      attempt: how many attempts of the present run have failed.
      seen: the newest data that were trained on, given up or found too little drifted.
      looked_at, looked: when the conditions were looked at last, and what was found.
    """

    definition: Definition
    paused: bool
    due_at: datetime.datetime | None
    next_at: datetime.datetime | None
    requested_at: datetime.datetime | None
    retry_at: datetime.datetime | None
    attempt: int
    seen: str | None
    looked_at: datetime.datetime | None
    looked: str | None

    @property
    def name(self) -> str:
        return self.definition.name


@dataclass(frozen=True)
class Attempt:
    """A line of the history.

    Attributes:
      id: counts over all schedules.
      schedule: its name.
      started_at, ended_at: when; `ended_at` is None while it runs.
      attempt: 1, and one more with each time that it is tried again.
      reason: why it was made.
      state: `running`; `replaced` (a new version is served), `kept` (the served one stays),
        `unchanged` (nothing new to train); `failed`, `timed out`, `interrupted`; `missed` (too late
        to be made up for).
      stage: the stage that it is, or was, at.
      run_id: the run, as below ROOT/logs and ROOT/runs.
      version: the version that was pushed.
      text: the reasons of the verdict, or the error.
      notes: what went wrong beside it, such as an alert that could not be sent.
    """

    id: int
    schedule: str
    started_at: datetime.datetime
    ended_at: datetime.datetime | None
    attempt: int
    reason: str
    state: str
    stage: str | None
    run_id: str | None
    version: str | None
    text: str | None
    notes: str | None


class StoreGone(RuntimeError):
    """The file was deleted, or another is in its place; the text names it."""


class Store:
    """The file, see the module."""

    def __init__(self, root: Path) -> None:
        """
        Args:
          root: the runs' root; made where it is not there.

        Raises:
          OSError: it cannot be written.
          sqlite3.Error: the file is no such file, or is damaged.
        """
        root.mkdir(parents=True, exist_ok=True)
        self._path = root.absolute() / _NAME
        _make_private(self._path)
        with self._open() as db:
            db.executescript(_TABLES)

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """A transaction.

        Raises:
          StoreGone: the file is not what it was.
        """
        try:
            # Without `rw` an empty file would take a deleted one's place.
            address = f"{self._path.as_uri()}?mode=rw"
            connection = sqlite3.connect(address, timeout=_WAIT_SECONDS, uri=True)
            connection.row_factory = sqlite3.Row
            with contextlib.closing(connection), connection:
                yield connection
        except sqlite3.OperationalError as error:
            if self._path.exists() and "no such table" not in str(error):
                raise
            raise StoreGone(
                f"{self._path} was deleted while it was in use; put it back, or define the "
                "schedules anew"
            ) from error

    def put(self, definition: Definition, due_at: datetime.datetime, next_at: datetime.datetime):
        """Keeps a schedule; one of the same name is replaced, and keeps what it has seen."""
        with self._open() as db:
            db.execute(
                "INSERT INTO schedules (name, definition, due_at, next_at) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (name) DO UPDATE SET definition = excluded.definition, "
                "due_at = excluded.due_at, next_at = excluded.next_at, "
                "retry_at = NULL, attempt = 0",
                (definition.name, definition.to_json(), due_at.timestamp(), next_at.timestamp()),
            )

    def entries(self) -> list[Entry]:
        """All schedules, by name."""
        with self._open() as db:
            return [_entry(row) for row in db.execute("SELECT * FROM schedules ORDER BY name")]

    def entry(self, name: str) -> Entry:
        """A schedule.

        Raises:
          ScheduleError: there is none of this name.
        """
        entries = {entry.name: entry for entry in self.entries()}
        if name not in entries:
            known = near_matches(name, entries) if entries else "there is none"
            raise ScheduleError(f"no schedule {name!r} in {self._path.parent}: {known}")
        return entries[name]

    def update(self, name: str, **columns: Any) -> None:
        """Sets columns of a schedule; of one that has been removed, nothing."""
        assignments = ", ".join(f"{column} = :{column}" for column in columns)
        with self._open() as db:
            db.execute(
                f"UPDATE schedules SET {assignments} WHERE name = :name",
                {**_plain(columns), "name": name},
            )

    def answered(self, name: str, requested_at: datetime.datetime | None) -> None:
        """Takes back a request; a later one stays."""
        if requested_at is not None:
            with self._open() as db:
                db.execute(
                    "UPDATE schedules SET requested_at = NULL WHERE name = ? AND requested_at <= ?",
                    (name, requested_at.timestamp()),
                )

    def remove(self, name: str) -> None:
        """Forgets a schedule; its history stays."""
        with self._open() as db:
            db.execute("DELETE FROM schedules WHERE name = ?", (name,))

    def begin(self, **columns: Any) -> int:
        """Adds a line to the history; its id."""
        names = ", ".join(columns)
        values = ", ".join(f":{column}" for column in columns)
        with self._open() as db:
            cursor = db.execute(f"INSERT INTO history ({names}) VALUES ({values})", _plain(columns))
            return cursor.lastrowid

    def tell(self, attempt: int, **columns: Any) -> None:
        """Sets columns of a line of the history."""
        assignments = ", ".join(f"{column} = :{column}" for column in columns)
        with self._open() as db:
            db.execute(
                f"UPDATE history SET {assignments} WHERE id = :id",
                {**_plain(columns), "id": attempt},
            )

    def forget(self, attempt: int) -> None:
        """Takes a line out of the history: of a run that was not begun after all."""
        with self._open() as db:
            db.execute("DELETE FROM history WHERE id = ?", (attempt,))

    def history(self, name: str | None = None, number: int = -1) -> list[Attempt]:
        """The last attempts (of one schedule), the newest first; all where `number` is -1."""
        where = "WHERE schedule = :name" if name is not None else ""
        with self._open() as db:
            rows = db.execute(
                f"SELECT * FROM history {where} ORDER BY id DESC LIMIT :number",
                {"name": name, "number": number},
            )
            return [Attempt(**_timed(row)) for row in rows]

    def interrupted(self, now: datetime.datetime) -> list[Attempt]:
        """The attempts that an ended scheduler left running; marks them as interrupted."""
        with self._open() as db:
            rows = db.execute("SELECT * FROM history WHERE state = 'running'").fetchall()
            db.execute(
                "UPDATE history SET state = 'interrupted', ended_at = ?, text = ? "
                "WHERE state = 'running'",
                (now.timestamp(), "the scheduler was ended in the middle of it"),
            )
        return [Attempt(**_timed(row)) for row in rows]


def exists(root: Path) -> bool:
    """Whether a root has schedules, so that a command which only reads makes no file."""
    return os.path.exists(root / _NAME)


def _make_private(path: Path) -> None:
    """Makes the file, or an older one, its owner's alone: there are addresses of webhooks in it."""
    os.close(os.open(path, os.O_RDONLY | os.O_CREAT, _PRIVATE))
    with contextlib.suppress(OSError):  # Somebody else's file, or one that cannot be written.
        path.chmod(_PRIVATE)


def _plain(columns: dict[str, Any]) -> dict[str, Any]:
    return {key: _column(key, value) for key, value in columns.items()}


def _column(key: str, value: Any) -> Any:
    if isinstance(value, datetime.datetime):
        return value.timestamp()
    return masked(value) if key in _SHOWN and value else value


def _timed(row: sqlite3.Row) -> dict[str, Any]:
    values = dict(row)
    for key in _TIMES:
        if values.get(key) is not None:
            values[key] = datetime.datetime.fromtimestamp(values[key], datetime.timezone.utc)
    return values


def _entry(row: sqlite3.Row) -> Entry:
    values = _timed(row)
    del values["name"]
    definition = Definition.from_json(values.pop("definition"))
    return Entry(definition, bool(values.pop("paused")), **values)
