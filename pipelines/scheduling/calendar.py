"""When a schedule is due: cron expressions as cron has them, on APScheduler's triggers."""

from __future__ import annotations

import datetime
import re
import zoneinfo
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from apscheduler.triggers.base import BaseTrigger

_NAMES = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_MACROS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_PART = re.compile(r"(\*|[0-9]|[a-z]{3})(?:-([0-9]|[a-z]{3}))?(?:/([1-9]))?")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_COUNTED = 1000


class ScheduleError(ValueError):
    """A schedule that cannot be; the text says what is allowed."""


def seconds(text: str) -> float:
    """A length of time such as `90s`, `5m`, `6h` or `1d`, in seconds; `0` is none.

    Raises:
      ScheduleError: anything else.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text.strip())
    if text.strip() == "0":
        return 0.0
    if not match:
        raise ScheduleError(f"{text!r} is no length of time; such are 90s, 5m, 6h and 1d")
    return float(match[1]) * _UNITS[match[2]]


def duration(length: float) -> str:
    """The same in the largest unit that it is a whole number of."""
    for unit, size in reversed(_UNITS.items()):
        if length and length % size == 0:
            return f"{length / size:.0f}{unit}"
    return f"{length:g}s" if length else "0"


def cron(expression: str) -> str:
    """A cron expression in its five fields, `@daily` and its like written out.

    Raises:
      ScheduleError: not five fields, or not the values that a field may have.
    """
    fields = _MACROS.get(expression.strip(), expression).split()
    if len(fields) != 5:
        macros = ", ".join(_MACROS)
        raise ScheduleError(
            f"cron {expression!r}: takes minute, hour, day of month, month and day of week, such "
            f"as '0 3 * * *', or one of {macros}"
        )
    trigger(" ".join(fields), None)
    return " ".join(fields)


def trigger(expression: str, timezone: str | None) -> BaseTrigger:
    """APScheduler's trigger of a cron expression of five fields.

    Where both the day of the month and the day of the week are restricted, either is enough, as
    crontab(5) has it; APScheduler asks for both, and counts the days of the week from Monday.

    Args:
      expression: five fields.
      timezone: a name of the time zone data base; None for this machine's.

    Raises:
      ScheduleError: a field has a value that it may not have, or there is no such time zone.
    """
    from apscheduler.triggers.combining import OrTrigger
    from apscheduler.triggers.cron import CronTrigger

    minute, hour, day, month, weekday = expression.lower().split()
    fields = {"minute": minute, "hour": hour, "month": month}
    zone = _zone(timezone)
    days = [{"day": day}, {"day_of_week": _weekdays(weekday, expression)}]
    if day.startswith("*") or weekday.startswith("*"):
        days = [days[0] | days[1]]
    try:
        triggers = [CronTrigger(**fields, **each, timezone=zone) for each in days]
    except ValueError as error:
        raise ScheduleError(f"cron {expression!r}: {error}") from error
    return triggers[0] if len(triggers) == 1 else OrTrigger(triggers)


def _zone(name: str | None) -> datetime.tzinfo | None:
    if name is None:
        return None
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ScheduleError(f"no time zone {name!r}; such are UTC and Europe/Berlin") from error


def _weekdays(field: str, expression: str) -> str:
    """The days by their names: numbers count from Sunday, and 7 is Sunday, too."""
    if field == "*":
        return field
    days: set[int] = set()
    for part in field.split(","):
        match = _PART.fullmatch(part)
        if not match:
            raise ScheduleError(
                f"cron {expression!r}: {part!r} is no day of the week; such are 0 to 7, mon-fri"
            )
        first, last, step = match.groups()
        low = 0 if first == "*" else _weekday(first, expression)
        if first == "*" or (step and not last):
            high = 6
        else:
            high = low if last is None else _weekday(last, expression)
        if last and high < low:
            high += 7
        days |= {day % 7 for day in range(low, high + 1, int(step or 1))}
    return ",".join(_NAMES[day] for day in sorted(days))


def _weekday(text: str, expression: str) -> int:
    if text.isdigit() and int(text) <= 7:
        return int(text)
    if text in _NAMES:
        return _NAMES.index(text)
    raise ScheduleError(f"cron {expression!r}: {text!r} is no day of the week, such as 0 to 7, mon")


def after(
    moment: datetime.datetime, expression: str | None, every: float | None, timezone: str | None
) -> datetime.datetime:
    """The first time after a moment at which a schedule is due.

    Args:
      moment: with its time zone.
      expression, timezone: a cron expression and its time zone; or
      every: the seconds between two times.
    """
    if expression is None:
        return moment + datetime.timedelta(seconds=every)
    found = trigger(expression, timezone).get_next_fire_time(moment, moment)
    if found is None:
        raise ScheduleError(f"cron {expression!r} never comes")
    return found.astimezone(datetime.timezone.utc)


def passed(
    first: datetime.datetime,
    now: datetime.datetime,
    expression: str | None,
    every: float | None,
    timezone: str | None,
) -> int:
    """How many times of a schedule lie from `first`, one of them, to `now`; 1,000 at most."""
    number = 0
    while first <= now and number < _COUNTED:
        first = after(first, expression, every, timezone)
        number += 1
    return number
