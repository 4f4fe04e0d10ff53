"""Cron schedules in time zones, held against a clock that looks at every minute."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.api.cron import cron_problem, next_time, zone_problem

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def times(cron: str, zone: str, after: datetime, before: datetime) -> list[datetime]:
    found = []
    time = next_time(cron, zone, after)
    while time is not None and time < before:
        found.append(time)
        time = next_time(cron, zone, time)
    return found


def local(cron: str, zone: str, day: str) -> list[str]:
    """The times of one local day, as the clock on the wall shows them."""
    begin = datetime.fromisoformat(f"{day}T00:00").replace(tzinfo=ZoneInfo(zone))
    found = times(cron, zone, begin.astimezone(UTC) - MINUTE, (begin + DAY).astimezone(UTC))
    return [f"{time.astimezone(ZoneInfo(zone)):%H:%M%z}" for time in found]


def test_every_day_at_three_is_at_three_on_the_clock_on_the_wall():
    assert local("0 3 * * *", "Europe/Berlin", "2026-03-28") == ["03:00+0100"]
    assert local("0 3 * * *", "Europe/Berlin", "2026-03-29") == ["03:00+0200"]
    assert local("0 3 * * *", "UTC", "2026-03-29") == ["03:00+0000"]


SPRING, AUTUMN = "2026-03-29", "2026-10-25"  # in Berlin: 02:00 is 03:00, 03:00 is 02:00


@pytest.mark.parametrize(
    ("cron", "day", "expected"),
    [
        ("30 2 * * *", SPRING, ["03:00+0200"]),
        ("*/20 2 * * *", SPRING, ["03:00+0200"]),
        ("0 2,3 * * *", SPRING, ["03:00+0200"]),
        ("30 2 * * *", AUTUMN, ["02:30+0200"]),
        ("*/30 2 * * *", AUTUMN, ["02:00+0200", "02:30+0200"]),
        (
            "0 */2 * * *",
            AUTUMN,
            ["00:00+0200", "02:00+0200", "04:00+0100"] + [f"{h:02}:00+0100" for h in range(6, 24, 2)],
        ),
    ],
)
def test_a_local_time_is_one_time(cron, day, expected):
    assert local(cron, "Europe/Berlin", day) == expected


def test_an_hour_of_any_is_every_hour_that_passes():
    assert len(local("15 * * * *", "Europe/Berlin", SPRING)) == 23
    assert len(local("15 * * * *", "Europe/Berlin", AUTUMN)) == 25


def test_a_time_is_always_later_than_the_moment_that_it_is_asked_for():
    second_half_past_two = datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
    assert next_time("30 2 * * *", "Europe/Berlin", second_half_past_two) == datetime(2026, 10, 26, 1, 30, tzinfo=UTC)
    assert next_time("45 2 * * *", "Europe/Berlin", second_half_past_two) == datetime(2026, 10, 26, 1, 45, tzinfo=UTC)
    at_three = datetime(2026, 2, 1, 3, 0, tzinfo=UTC)
    assert next_time("0 3 * * *", "UTC", at_three) == at_three + DAY
    assert next_time("0 3 * * *", "UTC", at_three - timedelta(milliseconds=1)) == at_three
    assert next_time("0 3 * * *", "UTC", at_three + timedelta(milliseconds=1)) == at_three + DAY


# ---------------------------------------------------------------- against every minute

ZONES = [
    "Europe/Berlin",
    "America/New_York",
    "America/Havana",  # the clocks change at midnight
    "America/Santiago",
    "Africa/Cairo",
    "Africa/Casablanca",
    "Australia/Lord_Howe",  # by half an hour
    "Asia/Kathmandu",
    "UTC",
]


@lru_cache
def changes(zone: str) -> list[datetime]:
    """The hours of 2026 in which the clocks change; one hour of winter when they never do."""
    hours = [datetime(2026, 1, 1, tzinfo=UTC) + HOUR * number for number in range(365 * 24)]
    offsets = [hour.astimezone(ZoneInfo(zone)).utcoffset() for hour in hours]
    return [hour for hour, before, after in zip(hours, offsets, offsets[1:], strict=False) if before != after] or hours[
        :1
    ]


@lru_cache
def minutes(zone: str, around: datetime) -> list[tuple[datetime, datetime]]:
    """Every minute of three days with its local time."""
    begin = around - 36 * HOUR
    return [
        ((time := begin + MINUTE * each), time.astimezone(ZoneInfo(zone)).replace(tzinfo=None))
        for each in range(72 * 60)
    ]


def spelled(values: set[int]) -> str:
    return ",".join(str(each) for each in sorted(values))


def expected(zone: str, around: datetime, at: tuple[set[int], set[int] | None]) -> list[datetime]:
    """By looking at every minute: one time for each local time, or each passing hour when any hour will do."""
    wanted_minutes, wanted_hours = at
    shown = minutes(zone, around)
    if wanted_hours is None:
        return [time for time, clock in shown if clock.minute in wanted_minutes]
    found = set()
    first, last = shown[0][1], shown[-1][1]
    clock = first
    while clock <= last:
        if clock.minute in wanted_minutes and clock.hour in wanted_hours:
            same = [time for time, each in shown if each == clock]
            found.add(same[0] if same else next(time for time, each in shown if each > clock))
        clock += MINUTE
    return sorted(found)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    zone=st.sampled_from(ZONES),
    number=st.integers(0, 9),
    wanted_minutes=st.sets(st.sampled_from([0, 1, 15, 29, 30, 45, 59]), min_size=1, max_size=3),
    wanted_hours=st.one_of(st.none(), st.sets(st.sampled_from([0, 1, 2, 3, 22, 23]), min_size=1, max_size=4)),
    after=st.integers(0, 72 * 60 - 1),
)
def test_each_local_time_of_a_schedule_is_exactly_one_time(zone, number, wanted_minutes, wanted_hours, after):
    around = changes(zone)[number % len(changes(zone))]
    cron = f"{spelled(wanted_minutes)} {'*' if wanted_hours is None else spelled(wanted_hours)} * * *"
    begin, end = around - 30 * HOUR, around + 30 * HOUR
    every = expected(zone, around, (wanted_minutes, wanted_hours))
    assert times(cron, zone, begin, end) == [time for time in every if begin < time < end]
    asked = around - 36 * HOUR + MINUTE * after
    later = [time for time in every if time > asked]
    if later and later[0] < end:
        assert next_time(cron, zone, asked) == later[0]


def test_a_day_that_a_country_left_out_is_moved_behind_the_gap():
    before = datetime(2011, 12, 30, 9, 0, tzinfo=UTC)  # in Samoa the 30th was followed by nothing
    assert next_time("0 12 30 12 *", "Pacific/Apia", before) == datetime(2011, 12, 30, 10, 0, tzinfo=UTC)


# ---------------------------------------------------------------- what cannot be used


@pytest.mark.parametrize("cron", ["0 3 * * *", "*/15 * * * *", "0 0 1,15 * MON-FRI", "0 0 L * *", "0  0 29 2 *"])
def test_a_good_schedule_has_no_problem(cron):
    assert cron_problem(cron) == ""


@pytest.mark.parametrize(
    ("cron", "words"),
    [
        ("0 3 * *", "does not have five fields"),
        ("0 0 3 * * *", "does not have five fields"),
        ("@daily", "does not have five fields"),
        ("", "does not have five fields"),
        ("60 3 * * *", "the minute of 60 3 * * * cannot be read"),
        ("0 24 * * *", "the hour of"),
        ("0 3 32 * *", "the day-of-month of"),
        ("0 3 * 13 *", "the month of"),
        ("0 3 * * 8", "the day-of-week of"),
        ("0 3 30 2 *", "the day-of-month of"),
        ("0 3 */29 2 SUN#3", "never comes"),
    ],
)
def test_a_bad_schedule_says_what_to_write(cron, words):
    assert words in cron_problem(cron)
    assert cron_problem(cron).endswith("for example 0 3 * * *")


@given(st.text(alphabet="0123456789*,-/#LWASUNJ ", min_size=9, max_size=24))
def test_any_text_is_either_good_or_has_a_problem(cron):
    if not cron_problem(cron):
        assert next_time(cron, "UTC", datetime(2026, 1, 1, tzinfo=UTC)) is not None


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Etc/GMT+5", "America/Argentina/Ushuaia"])
def test_a_known_zone_has_no_problem(zone):
    assert zone_problem(zone) == ""


@pytest.mark.parametrize(
    "zone", ["Europe", "Europe/Bärlin", "Mars/Olympus", "../etc/passwd", "localtime", "right/UTC", "", "UTC+1"]
)
def test_an_unknown_zone_says_what_to_write(zone):
    assert zone_problem(zone) == f"{zone} is not a time zone; write a name such as Europe/Berlin or UTC"
