"""When schedules are due, beside what crontab(5) says."""

import datetime
import itertools
import zoneinfo

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
        # Sunday is 0 and 7.
        ("0 3 * * 0", ["11-29 03:00", "12-06 03:00"]),
        ("0 3 * * 7", ["11-29 03:00", "12-06 03:00"]),
        (
            "0 3 * * 1-5",
            ["11-24 03:00", "11-25 03:00", "11-26 03:00", "11-27 03:00", "11-30 03:00"],
        ),
        ("0 3 * * fri-sun", ["11-27 03:00", "11-28 03:00", "11-29 03:00", "12-04 03:00"]),
        ("0 3 * * 5-7", ["11-27 03:00", "11-28 03:00", "11-29 03:00", "12-04 03:00"]),
        ("0 3 * * sat-mon", ["11-28 03:00", "11-29 03:00", "11-30 03:00", "12-05 03:00"]),
        ("0 3 * * */2", ["11-24 03:00", "11-26 03:00", "11-28 03:00", "11-29 03:00"]),
        ("0 3 * JAN mon", ["01-04 03:00"]),
        # A day of the month or of the week, where both are restricted.
        ("0 3 1 * 3", ["11-25 03:00", "12-01 03:00", "12-02 03:00"]),
        # A field that begins with a star does not restrict, but both have to fit.
        ("0 3 */10 * 3", ["03-31 03:00"]),
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


# In Europe/Berlin 2:00 to 3:00 comes twice on 25 October 2026, and not at all on 28 March 2027.
AUTUMN, SPRING = "2026-10-24 22:00", "2027-03-28 00:00"


@pytest.mark.parametrize(
    ("expression", "start", "expected"),
    [
        # cron(8) of Debian: a time that comes twice is taken once, one that is left out at once
        # after it.
        ("30 2 * * *", AUTUMN, ["25 02:30 CEST", "26 02:30 CET", "27 02:30 CET"]),
        ("0,30 2 * * *", AUTUMN, ["25 02:00 CEST", "25 02:30 CEST", "26 02:00 CET"]),
        ("0 1-3 * * *", AUTUMN, ["25 01:00 CEST", "25 02:00 CEST", "25 03:00 CET"]),
        ("30 2 * * *", SPRING, ["28 03:00 CEST", "29 02:30 CEST", "30 02:30 CEST"]),
        ("0,30 2 * * *", SPRING, ["28 03:00 CEST", "29 02:00 CEST", "29 02:30 CEST"]),
        ("0 1-3 * * *", SPRING, ["28 03:00 CEST", "29 01:00 CEST", "29 02:00 CEST"]),
        # What goes by the hour or the minute goes on by it.
        ("30 * * * *", AUTUMN, ["25 00:30 CEST", "25 01:30 CEST", "25 02:30 CEST", "25 02:30 CET"]),
        ("*/30 2 * * *", AUTUMN, ["25 02:00 CEST", "25 02:30 CEST", "25 02:00 CET"]),
        ("30 * * * *", SPRING, ["28 01:30 CET", "28 03:30 CEST", "28 04:30 CEST"]),
        ("*/30 2 * * *", SPRING, ["29 02:00 CEST", "29 02:30 CEST", "30 02:00 CEST"]),
    ],
)
def test_the_ends_of_summer_time(expression, start, expected):
    moment = datetime.datetime.fromisoformat(start).replace(tzinfo=UTC)
    found = following(expression, len(expected), "Europe/Berlin", moment)
    berlin = zoneinfo.ZoneInfo("Europe/Berlin")
    assert [f"{time.astimezone(berlin):%d %H:%M %Z}" for time in found] == expected
    assert calendar.passed(found[0], found[-1], expression, None, "Europe/Berlin") == len(expected)


def test_within_the_repeated_hour_no_time_comes_again():
    second_pass = datetime.datetime(2026, 10, 25, 1, 15, tzinfo=UTC)
    (found,) = following("30 2 * * *", 1, "Europe/Berlin", second_pass)
    assert found == datetime.datetime(2026, 10, 26, 1, 30, tzinfo=UTC)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Australia/Lord_Howe", "America/New_York"])
def test_no_time_comes_twice_or_backwards_in_a_year(zone):
    moment = datetime.datetime(2026, 1, 1, tzinfo=UTC)
    for expression in ("30 2 * * *", "15 1,2 * * *", "45 * * * *"):
        found = following(expression, 400, zone, moment)
        assert all(one < other for one, other in itertools.pairwise(found))
        local = [f"{time.astimezone(zoneinfo.ZoneInfo(zone)):%Y-%m-%d %H:%M}" for time in found]
        assert "*" in expression[:5] or len(set(local)) == len(local)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("0 3 * *", "minute, hour, day of month"),
        ("61 3 * * *", "the minute is not 0 to 59"),
        ("0 3 31 2 *", "the day-of-month is not 1 to 31"),
        ("0 3 30 2 *", "the day-of-month is not 1 to 31"),
        ("0 3 * * 8", "no day of the week"),
        ("0 3 * * x", "no day of the week"),
        ("0 3 * * *-3", "the day-of-week is not 0 to 7"),
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
        calendar.check("0 3 * * *", "Mars/Olympus")


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


@pytest.mark.parametrize("text", ["10001d", "9" * 400 + "s"])
def test_lengths_of_time_that_no_clock_has_are_refused(text):
    with pytest.raises(ScheduleError, match="longest time is 10000d"):
        calendar.seconds(text)
