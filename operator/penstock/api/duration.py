"""Durations as users write them, `1h30m` or `500ms`, and as Penstock computes with them: whole milliseconds."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from penstock.api.crd import Rule, rules

# Digits are limited so that CEL's duration(), an int64 of nanoseconds, cannot overflow.
PATTERN = r"^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,9}s)?([0-9]{1,9}ms)?$"
MAX_LENGTH = 32

_MILLIS = (3_600_000, 60_000, 1_000, 1)
_UNITS = ("h", "m", "s", "ms")
_PATTERN = re.compile(PATTERN)


def parse_duration(text: str) -> int:
    """Milliseconds of a duration such as `1h30m`, `30s` or `500ms`.

    Raises:
        ValueError: with a sentence that says what to write.
    """
    match = _PATTERN.fullmatch(text)
    if not text or match is None:
        raise ValueError(f"{text!r} is not a duration; write hours, minutes, seconds or ms, for example 1h30m or 500ms")
    return sum(
        int(part.removesuffix(unit)) * millis
        for part, unit, millis in zip(match.groups(), _UNITS, _MILLIS, strict=True)
        if part is not None
    )


def _checked(text: str) -> str:
    parse_duration(text)
    return text


# Kept as the user wrote it. A field of this type carries `at_least_a_second` or `a_duration`.
Duration = Annotated[str, Field(min_length=2, max_length=MAX_LENGTH), AfterValidator(_checked)]


def _format(field: str) -> Rule:
    return Rule(f"self.matches('{PATTERN}')", f"{field} is not a duration; write for example 30s, 10m or 1h30m")


def a_duration(field: str) -> dict[str, Any]:
    """The CEL rule of a duration that may be 0s."""
    return rules(_format(field))


def at_least_a_second(field: str) -> dict[str, Any]:
    """The CEL rules of a duration that Flink would refuse below one second.

    The format is a rule too, not a pattern: its message says what to write, and the second rule can wait for it.
    """
    return rules(
        _format(field),
        Rule(
            f"!self.matches('{PATTERN}') || duration(self) >= duration('1s')",
            f"{field} must be at least 1s; write for example 10s",
        ),
    )


def format_duration(millis: int) -> str:
    """The shortest text that `parse_duration` turns back into `millis`, for example `1h30m`.

    Raises:
        ValueError: when millis is negative.
    """
    if millis < 0:
        raise ValueError(f"a duration cannot be negative: {millis}")
    parts = []
    rest = millis
    for unit, size in zip(_UNITS, _MILLIS, strict=True):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def display_duration(millis: int) -> str:
    """A duration for a column, two figures at most: `240 ms`, `1.2 s`, `3m 20s`, `2h 5m`."""
    if millis < 1_000:  # noqa: PLR2004 - units
        return f"{millis} ms"
    if millis < 59_950:  # noqa: PLR2004 - what rounds up to 60.0 s is a minute
        return f"{millis / 1_000:.1f} s"
    seconds = round(millis / 1_000)
    if seconds < 3_600:  # noqa: PLR2004 - units
        return f"{seconds // 60}m {seconds % 60}s"
    minutes = round(seconds / 60)
    return f"{minutes // 60}h {minutes % 60}m"
