"""The one clock. Nothing below the loop reads the time by itself: it is passed in, so that tests can turn it."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """The present time in UTC, whole milliseconds (what RFC 3339 strings in status hold)."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def from_millis(millis: int) -> datetime:
    """A time that Flink gave as milliseconds since 1970."""
    return datetime.fromtimestamp(millis / 1000, UTC)
