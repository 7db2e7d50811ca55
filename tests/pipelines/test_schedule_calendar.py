"""When schedules are due, beside what crontab(5) says."""

import datetime

import pytest

from pipelines.scheduling import calendar
from pipelines.scheduling.calendar import ScheduleError

UTC = datetime.timezone.utc
# A Monday.
START = datetime.datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def following(expression, number, timezone="UTC", start=START):
    found = [start]
    for _ in range(number):
        found.append(calendar.after(found[-1], expression, None, timezone))
    return found[1:]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 3 * * *", ["11-24 03:00", "11-25 03:00"]),
        ("*/20 12 * * *", ["11-23 12:20", "11-23 12:40"]),
        # Sunday is 0 and 7; APScheduler counts from Monday.
        ("0 3 * * 0", ["11-29 03:00", "12-06 03:00"]),
        ("0 3 * * 7", ["11-29 03:00", "12-06 03:00"]),
        (
            "0 3 * * 1-5",
            ["11-24 03:00", "11-25 03:00", "11-26 03:00", "11-27 03:00", "11-30 03:00"],
        ),
        ("0 3 * * fri-sun", ["11-27 03:00", "11-28 03:00", "11-29 03:00", "12-04 03:00"]),
        ("0 3 * * 5-7", ["11-27 03:00", "11-28 03:00", "11-29 03:00", "12-04 03:00"]),
        ("0 3 * * */2", ["11-24 03:00", "11-26 03:00", "11-28 03:00", "11-29 03:00"]),
        ("0 3 * JAN mon", ["01-04 03:00"]),
        # A day of the month or of the week, where both are restricted.
        ("0 3 1 * 3", ["11-25 03:00", "12-01 03:00", "12-02 03:00"]),
        ("0 3 29 2 *", ["02-29 03:00"]),
    ],
)
def test_expressions_mean_what_cron_means(expression, expected):
    found = following(expression, len(expected))
    assert [f"{moment:%m-%d %H:%M}" for moment in found] == expected


def test_a_time_zone_counts_and_summer_time_too():
    before = datetime.datetime(2027, 3, 27, 12, 0, tzinfo=UTC)
    found = following("0 3 * * *", 2, "Europe/Berlin", before)
    assert [moment.isoformat() for moment in found] == [
        "2027-03-28T01:00:00+00:00",
        "2027-03-29T01:00:00+00:00",
    ]
    assert following("0 3 * * *", 1, "Europe/Berlin")[0].hour == 2


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("0 3 * *", "minute, hour, day of month"),
        ("61 3 * * *", "maximum value"),
        ("0 3 * * 8", "no day of the week"),
        ("0 3 * * x", "no day of the week"),
        ("0 3 * * mon-xyz", "no day of the week"),
        ("a b c d e", "cron"),
        ("", "@daily"),
    ],
)
def test_what_is_no_expression_is_refused(expression, message):
    with pytest.raises(ScheduleError, match=message):
        calendar.cron(expression)


def test_an_unknown_time_zone_is_refused():
    with pytest.raises(ScheduleError, match="Mars"):
        calendar.trigger("0 3 * * *", "Mars/Olympus")


def test_macros_are_written_out():
    assert calendar.cron("@daily") == "0 0 * * *"
    assert calendar.cron("  0  3 * * * ") == "0 3 * * *"


def test_times_that_have_passed_are_counted():
    late = START + datetime.timedelta(days=3)
    assert calendar.passed(START, late, None, 86400.0, None) == 4
    assert calendar.passed(START, late, None, 1.0, None) == 1000
    assert calendar.passed(late, START, None, 1.0, None) == 0


@pytest.mark.parametrize(
    ("text", "length"), [("90s", 90), ("5m", 300), ("6h", 21600), ("1d", 86400), ("0", 0)]
)
def test_lengths_of_time(text, length):
    assert calendar.seconds(text) == length
    assert calendar.seconds(calendar.duration(length)) == length


@pytest.mark.parametrize("text", ["", "5", "m", "-5m", "5 weeks", "nan"])
def test_what_is_no_length_of_time_is_refused(text):
    with pytest.raises(ScheduleError, match="length of time"):
        calendar.seconds(text)
