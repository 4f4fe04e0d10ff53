"""What the job must answer, computed in plain Python.

Every figure compares exactly: counts and sums are integers, and the mean is one IEEE division of two of them, which
Java and Python do alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from demo.data import DAY_MILLIS, HOUR_MILLIS
from demo.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from demo.data import Flight

TOTAL_WINDOWS: Final = 19_486
"""How many windows the whole data fill."""

OUT_OF_ORDERNESS_MILLIS: Final = 60_000
"""By how much the watermark of flights.sql lags behind the newest event of a partition."""


class Key(NamedTuple):
    """A window: an origin airport and the hour's start in milliseconds since 1970."""

    hour: int
    origin: str


@dataclass(frozen=True, slots=True)
class Window:
    """The job's answer for one window."""

    flights: int
    """Records in the window, flights that never left among them."""
    departures: int
    """Those with a departure delay."""
    delay_sum: int | None
    """Minutes; None when nothing departed, as SQL's SUM has it."""
    delay_mean: float | None
    """delay_sum / departures, None when nothing departed."""


def windows(flights: Sequence[Flight]) -> dict[Key, Window]:
    """Every window of these flights with what it must hold."""
    totals: dict[Key, list[int]] = {}
    for flight in flights:
        key = Key(flight.event_time - flight.event_time % HOUR_MILLIS, flight.origin)
        total = totals.setdefault(key, [0, 0, 0])
        total[0] += 1
        if flight.delay is not None:
            total[1] += 1
            total[2] += flight.delay
    return {
        key: Window(count, departed, delays if departed else None, delays / departed if departed else None)
        for key, (count, departed, delays) in totals.items()
    }


def closed(flights: Sequence[Flight], ends: Sequence[int]) -> dict[Key, Window]:
    """The windows that the job has closed once it has read the topic up to these end offsets.

    The job's watermark is the least of its partitions' watermarks, so this is known exactly: a checkpoint taken after
    the job came to rest there holds these windows as emitted, and a restore from it emits all others and no more.

    Args:
        flights: All flights in the order of feeding.
        ends: The end offset of each partition, markers counted.
    """
    plan = Plan(len(flights), len(ends))
    watermark = min(_watermark(flights, plan, partition, end) for partition, end in enumerate(ends))
    # Flink's own rule: an event-time window fires once the watermark has reached its last millisecond.
    return {key: window for key, window in windows(flights).items() if key.hour + HOUR_MILLIS - 1 <= watermark}


def _watermark(flights: Sequence[Flight], plan: Plan, partition: int, end: int) -> int:
    if end == 0:
        return -DAY_MILLIS
    if end > plan.length(partition):
        return flights[-1].event_time + DAY_MILLIS - OUT_OF_ORDERNESS_MILLIS
    newest = flights[(end - 1) * plan.partitions + partition].event_time
    return newest - OUT_OF_ORDERNESS_MILLIS
