"""What several commands read in the same way."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

import click

from penstock.api.base import format_time
from penstock.api.duration import format_duration, parse_duration

_DAYS = re.compile(r"([0-9]{1,4})d(.*)")
_DAY_MILLIS = 24 * 3_600_000


def _millis(given: str) -> int:
    """As the API has durations, and days in front of them, which it has not: a day in a zone may have 23 hours."""
    match = _DAYS.fullmatch(given)
    if match is None:
        return parse_duration(given)
    try:
        return int(match[1]) * _DAY_MILLIS + (parse_duration(match[2]) if match[2] else 0)
    except ValueError:
        return parse_duration(given)  # says it of the whole text


def duration(_context: click.Context, _option: click.Parameter, given: str) -> timedelta:
    """A duration such as 30s, 1h30m or 1d."""
    try:
        return timedelta(milliseconds=_millis(given))
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def maybe_duration(context: click.Context, option: click.Parameter, given: str | None) -> timedelta | None:
    """The same of an option that need not be given."""
    return None if given is None else duration(context, option, given)


def moment(_context: click.Context, _option: click.Parameter, given: str | None) -> datetime | None:
    """A time with a zone, as RFC 3339 has it."""
    if given is None:
        return None
    try:
        found = datetime.fromisoformat(given)
    except ValueError as error:
        raise click.BadParameter(f"{given} is no time; write for example 2026-01-31T12:00:00+01:00") from error
    if found.tzinfo is None:
        raise click.BadParameter(f"{given} has no time zone; write for example {given}Z or {given}+01:00")
    return found


def duration_text(_context: click.Context, _option: click.Parameter, given: str | None) -> str | None:
    """A duration as the API takes it."""
    try:
        return format_duration(_millis(given)) if given is not None else None
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def moment_or_duration(context: click.Context, option: click.Parameter, given: str) -> str:
    """A time with a zone, or a duration, as the API takes them."""
    try:
        return format_duration(_millis(given))
    except ValueError:
        found = moment(context, option, given)
    return format_time(found) if found is not None else ""
