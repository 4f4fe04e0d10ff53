"""What several commands read in the same way."""

from __future__ import annotations

from datetime import datetime, timedelta

import click

from penstock.api.base import format_time
from penstock.api.duration import format_duration, parse_duration


def duration(_context: click.Context, _option: click.Parameter, given: str) -> timedelta:
    """A duration such as 30s or 1h30m."""
    try:
        return timedelta(milliseconds=parse_duration(given))
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


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
        return format_duration(parse_duration(given)) if given is not None else None
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def moment_or_duration(context: click.Context, option: click.Parameter, given: str) -> str:
    """A time with a zone, or a duration, as the API takes them."""
    try:
        return format_duration(parse_duration(given))
    except ValueError:
        found = moment(context, option, given)
    return format_time(found) if found is not None else ""
