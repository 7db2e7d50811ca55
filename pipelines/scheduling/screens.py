"""The tables of `convnets schedule list` and `history`."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence

from rich.table import Table
from rich.text import Text

from pipelines.console.display import duration, table_of
from pipelines.scheduling.store import Attempt, Entry

_STYLES = {
    "failed": "red",
    "timed out": "red",
    "kept": "yellow",
    "missed": "yellow",
    "interrupted": "yellow",
    "replaced": "green",
}


def schedules_screen(entries: Iterable[Entry], history: Sequence[Attempt]) -> Table:
    """A row a schedule.

    Args:
      entries: the schedules.
      history: what was run, the newest first.
    """
    table = table_of("schedule", "recipe", "when", "next", "last")
    for entry in entries:
        last = next((each for each in history if each.schedule == entry.name), None)
        recipe = Text.assemble(entry.definition.recipe, *_data(entry))
        table.add_row(entry.name, recipe, entry.definition.when, _next(entry), _last(entry, last))
    return table


def history_screen(history: Iterable[Attempt]) -> Table:
    """A row an attempt, the newest first."""
    table = table_of("schedule", "started", "took", "why", "what came of it")
    for each in history:
        table.add_row(each.schedule, _time(each.started_at), _took(each), each.reason, _what(each))
    return table


def _data(entry: Entry) -> list[str]:
    return [f" on {entry.definition.data}"] if entry.definition.data else []


def _next(entry: Entry) -> str:
    if entry.retry_at is not None:
        what = f"retry {entry.attempt}" if entry.attempt else "waits for the root"
        return f"{_time(entry.retry_at)} ({what})"
    if entry.requested_at is not None:
        return "as soon as the scheduler can"
    return "paused" if entry.paused else _time(entry.next_at)


def _last(entry: Entry, last: Attempt | None) -> Text:
    if last is None:
        return Text(entry.looked or "")
    text = Text.assemble(f"{_time(last.started_at)} ", _state(last))
    return text.append(f"\n{entry.looked}") if entry.looked not in (None, "due") else text


def _state(each: Attempt) -> Text:
    place = f", at {each.stage}" if each.state == "running" and each.stage else ""
    version = f" by {each.version}" if each.state == "replaced" and each.version else ""
    return Text(f"{each.state}{version}{place}", style=_STYLES.get(each.state, ""))


def _what(each: Attempt) -> Text:
    text = _state(each)
    for more in (each.text, each.notes):
        if more:
            text.append(f"\n{more}", style="")
    return text


def _took(each: Attempt) -> str:
    if each.ended_at is None:
        return ""
    return duration((each.ended_at - each.started_at).total_seconds())


def _time(moment: datetime.datetime | None) -> str:
    return "" if moment is None else f"{moment.astimezone():%Y-%m-%d %H:%M:%S}"
