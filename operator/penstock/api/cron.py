"""Cron schedules as users write them, `0 3 * * *` in a time zone, and as Penstock computes with them: UTC times.

cronsim reads the five fields as Debian's cron does. What a change of the clocks does to them is decided here, so that
each local time of a schedule comes to exactly one time in UTC: one that the clocks leave out is moved to the moment
after the gap (several of one gap become one), of one that comes twice the first is meant. Only an hour of `*` means
every hour that passes, whatever the clocks say.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

CRON_PATTERN = "^[0-9A-Za-z*,/#-]+( +[0-9A-Za-z*,/#-]+){4}$"
CRON_MAX_LENGTH = 128
ZONE_PATTERN = "^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*$"
ZONE_MAX_LENGTH = 64

# They name a file of the machine, or zones with leap seconds: not the same everywhere.
_NOT_FOR_USERS = ("localtime", "posixrules", "Factory", "posix/", "right/")
_ANY_MOMENT = datetime(2026, 1, 1)  # noqa: DTZ001 - local on purpose
_HOUR = 1
_MINUTE = timedelta(minutes=1)


@lru_cache(maxsize=1024)
def cron_problem(cron: str) -> str:
    """What is wrong with a schedule, and what to write; empty when it can be used."""
    advice = "write minute, hour, day of month, month and day of week, for example 0 3 * * *"
    if len(cron.split()) != 5:  # noqa: PLR2004 - the number of fields
        return f"{cron} does not have five fields; {advice}"
    try:
        next(CronSim(cron, _ANY_MOMENT))
    except CronSimError as error:
        field = str(error).removeprefix("Bad ")
        return f"the {field} of {cron} cannot be read; {advice}"
    except StopIteration:
        return f"{cron} never comes; {advice}"
    return ""


@lru_cache(maxsize=1024)
def zone_problem(name: str) -> str:
    """What is wrong with the name of a time zone, and what to write; empty when it is known."""
    try:
        known = not name.startswith(_NOT_FOR_USERS) and _zone(name) is not None
    except (LookupError, ValueError, OSError):
        known = False
    return "" if known else f"{name} is not a time zone; write a name such as Europe/Berlin or UTC"


def next_time(cron: str, zone_name: str, after: datetime) -> datetime | None:
    """The first time of a schedule after a moment, in UTC; None when there is none in fifty years.

    Both must be without a problem.
    """
    zone = _zone(zone_name)
    times = _passing_hours(cron, zone, after) if cron.split()[_HOUR] == "*" else _local_times(cron, zone, after)
    return next((time for time in times if time > after), None)


def _local_times(cron: str, zone: tzinfo, after: datetime) -> Iterator[datetime]:
    """One time in UTC for each local time, in order: none is earlier than the one before it."""
    for local in CronSim(cron, after.astimezone(zone).replace(tzinfo=None)):
        yield _in_utc(local, zone)


def _passing_hours(cron: str, zone: tzinfo, after: datetime) -> Iterator[datetime]:
    """The fields are compared with the clock on the wall while the hours pass."""
    for time in CronSim(cron, after.astimezone(zone)):
        yield time.astimezone(UTC)


def _in_utc(local: datetime, zone: tzinfo) -> datetime:
    """The first moment that has this local time; when no moment has, the first one after the gap."""
    while True:
        time = local.replace(tzinfo=zone).astimezone(UTC)
        if time.astimezone(zone).replace(tzinfo=None) == local:
            return time
        local += _MINUTE


def _zone(name: str) -> tzinfo:
    return UTC if name == "UTC" else ZoneInfo(name)
