"""When a schedule is due: cron expressions as Debian's cron has them, by cronsim."""

from __future__ import annotations

import datetime
import itertools
import re
import zoneinfo
from collections.abc import Iterator

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
_RANGES = {
    "minute": "0 to 59",
    "hour": "0 to 23",
    "day-of-month": "1 to 31, as many as the month has",
    "month": "1 to 12, jan to dec",
    "day-of-week": "0 to 7, sun to sat",
}
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_LONGEST = 10_000 * 86400.0
# So many times that have passed are counted, at most.
COUNTED = 1000


class ScheduleError(ValueError):
    """A schedule that cannot be; the text says what is allowed."""


def seconds(text: str) -> float:
    """A length of time such as `90s`, `5m`, `6h` or `1d`, in seconds; `0` is none.

    Raises:
      ScheduleError: anything else, or more than 10,000 days.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text.strip())
    if text.strip() == "0":
        return 0.0
    if not match:
        raise ScheduleError(f"{text!r} is no length of time; such are 90s, 5m, 6h and 1d")
    length = float(match[1]) * _UNITS[match[2]]
    if length > _LONGEST:
        raise ScheduleError(f"{text!r} is too long: the longest time is {duration(_LONGEST)}")
    return length


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
    check(" ".join(fields), None)
    return " ".join(fields)


def check(expression: str, timezone: str | None) -> None:
    """Checks a cron expression of five fields and the time zone that it is meant in.

    Args:
      expression: five fields.
      timezone: a name of the time zone data base; None for this machine's.

    Raises:
      ScheduleError: a field has a value that it may not have, or there is no such time zone.
    """
    after(datetime.datetime.now(datetime.timezone.utc), expression, None, timezone)


def _times(
    moment: datetime.datetime, expression: str, timezone: str | None
) -> Iterator[datetime.datetime]:
    """The times after a moment at which a cron expression comes, as Debian's cron has them.

    Where both the day of the month and the day of the week are restricted, either is enough. A time
    that the start of summer time leaves out comes at its end; one that the end of summer time
    repeats comes once, unless minute or hour begin with `*`.
    """
    from cronsim import CronSim, CronSimError

    *others, weekday = expression.lower().split()
    fields = " ".join([*others, _weekdays(weekday, expression)])
    try:
        found = CronSim(fields, moment.astimezone(_zone(timezone)))
    except CronSimError as error:
        field = str(error).removeprefix("Bad ")
        raise ScheduleError(f"cron {expression!r}: the {field} is not {_RANGES[field]}") from error
    # From within the repeated hour CronSim begins with the times of its first pass.
    return (time for time in found if time > moment)


def _zone(name: str | None) -> datetime.tzinfo:
    import tzlocal

    if name is None:
        return tzlocal.get_localzone()
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ScheduleError(f"no time zone {name!r}; such are UTC and Europe/Berlin") from error


def _weekdays(field: str, expression: str) -> str:
    """The days as numbers from Sunday, 0; `fri-mon` and `5-7` are taken, too."""
    parts = []
    for part in field.split(","):
        match = _PART.fullmatch(part)
        if not match:
            raise ScheduleError(
                f"cron {expression!r}: {part!r} is no day of the week; such are 0 to 7, mon-fri"
            )
        first, last, step = match.groups()
        if first == "*":
            parts.append(part)  # By the star, cron takes the days of the month along.
            continue
        low = _weekday(first, expression)
        high = 6 if step and not last else low if last is None else _weekday(last, expression)
        if last and high < low:
            high += 7
        parts += [str(day % 7) for day in range(low, high + 1, int(step or 1))]
    return ",".join(parts)


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

    Raises:
      ScheduleError: a field has a value that it may not have, it never comes, or there is no such
        time zone.
    """
    found = next(_following(moment, expression, every, timezone), None)
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
    """How many times of a schedule lie from `first`, one of them, to `now`; `COUNTED` at most."""
    times = itertools.chain([first], _following(first, expression, every, timezone))
    until_now = itertools.takewhile(lambda time: time <= now, times)
    return sum(1 for _ in itertools.islice(until_now, COUNTED))


def _following(
    moment: datetime.datetime, expression: str | None, every: float | None, timezone: str | None
) -> Iterator[datetime.datetime]:
    if expression is not None:
        return _times(moment, expression, timezone)
    return (moment + number * datetime.timedelta(seconds=every) for number in itertools.count(1))
