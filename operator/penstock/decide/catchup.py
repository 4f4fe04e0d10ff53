"""How far a recovery has come, in figures, from the last looks at it. Pure.

A partition counts as read up to the offset that Flink's source has come to; before the first record, up to where the
attempt began. Speeds are of the last four looks, without those of the first seconds: a JVM that has just started is
slow. The subtask that takes longest decides, as in `estimate`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from penstock.source.looks import Base, Look, Place

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLI = timedelta(milliseconds=1)
_SOME_SECONDS = 3.0
"""Less between two looks says nothing of a speed."""
_SURE_SECONDS = 9.0
"""So long a watermark must have gone with the clock."""
_NEVER_SECONDS = 14.0
"""So long a subtask must gain nothing before it is said that it never will."""
_RECENT = 4
_WARM_MILLIS = 10_000
"""What a JVM reads before says nothing of its speed: "24 minutes left" was told of a job that took two."""
_STEADY = 0.15
"""By so much the seconds of its own time that a job gets through in a second may differ from one."""
_SLOWLY = 0.02
_LATE_SECONDS = 60.0
"""A job that is later than that, and gains a little all the time, is still catching up."""


@dataclass(frozen=True)
class Figures:
    """What can be told of a look.

    Attributes:
        backlog: records that wait.
        read: records read since the attempt began.
        percent: whole percents of what was to be read.
        gone: whether all that there was at the look before has been read by now.
        speed: records per second that are read; None before the second look.
        arrival: records per second that arrive; None before the second look.
        seconds: until the backlog is gone; None: never, or not known yet.
        never: whether some subtask has been seen to gain nothing.
        lag: seconds by which what is read is behind the newest record.
        start: sum of the offsets at which reading began.
    """

    backlog: int
    read: int
    percent: int
    gone: bool
    speed: float | None
    arrival: float | None
    seconds: float | None
    never: bool
    lag: float | None
    start: int


def figures(base: Base, looks: tuple[Look, ...], start: int | None) -> Figures | None:
    """The figures of the newest look, which must have ends; None without any.

    Args:
        base: where the attempt began.
        looks: the last ones, the newest last.
        start: sum of the offsets at which reading began, when that was told before; else it is reckoned from `base`.
    """
    looks = tuple(each for each in looks if each.ends)
    if not looks:
        return None
    now = looks[-1]
    ends, positions = _ends(now, base), _positions(now, base)
    start = sum(min(base.offsets.get(place, 0), ends[place]) for place in ends) if start is None else start
    waits = {place: max(ends[place] - positions[place], 0) for place in ends}
    backlog, total = sum(waits.values()), sum(ends.values()) - start
    read = max(total - backlog, 0)
    gone = _gone(base, looks)
    running = tuple(each for each in looks if each.read and (each.running_millis or 0) >= _WARM_MILLIS)[-_RECENT:]
    speed, arrival = _speed(base, running), _arrival(base, looks[-_RECENT:])
    seconds, never = _seconds(base, running, waits)
    return Figures(
        backlog=backlog,
        read=read,
        percent=100 if gone else min(read * 100 // total if total > 0 else 0, 99),
        gone=gone,
        speed=speed,
        arrival=arrival,
        seconds=0.0 if gone else seconds,
        never=never and not gone,
        lag=0.0 if gone else _lag(now, backlog),
        start=start,
    )


def _ends(look: Look, base: Base) -> dict[Place, int]:
    """Up to where each partition is to be read; a backfill stops before the end."""
    return {place: min(end, base.stops.get(place, end)) for place, end in look.ends.items()}


def _positions(look: Look, base: Base) -> dict[Place, int]:
    return {place: look.read.get(place, base.offsets.get(place, 0)) for place in look.ends}


def _gone(base: Base, looks: tuple[Look, ...]) -> bool:
    """Whether all tasks run and have read what there was a look ago: something new always comes meanwhile.

    What only the log of a transaction is takes offsets, too, and no source ever says that it has read it. Where nothing
    has moved since the last look, and the clients have nothing left to fetch, there is nothing left.
    """
    now = looks[-1]
    if not looks[:-1] or now.running_millis is None:
        return False
    before = looks[-2]
    wanted, positions = _ends(before, base), _positions(now, base)
    if all(positions.get(place, 0) >= end for place, end in wanted.items()):
        return True
    still = before.running_millis is not None and before.read == now.read and bool(now.read)
    return still and now.pending == 0 and before.pending == 0 and before.ends == now.ends


def _between(looks: tuple[Look, ...]) -> float | None:
    """Seconds from the first look to the last; None when that is too short."""
    seconds = (looks[-1].at - looks[0].at).total_seconds() if looks else 0.0
    return seconds if seconds >= _SOME_SECONDS else None


def _speed(base: Base, looks: tuple[Look, ...]) -> float | None:
    seconds = _between(looks)
    if seconds is None:
        return None
    first, last = _positions(looks[0], base), _positions(looks[-1], base)
    return max(sum(last[place] - first.get(place, last[place]) for place in last) / seconds, 0.0)


def _arrival(base: Base, looks: tuple[Look, ...]) -> float | None:
    seconds = _between(looks)
    if seconds is None:
        return None
    first, last = _ends(looks[0], base), _ends(looks[-1], base)
    return max(sum(last[place] - first.get(place, 0) for place in last) / seconds, 0.0)


def _seconds(base: Base, looks: tuple[Look, ...], waits: dict[Place, int]) -> tuple[float | None, bool]:
    """How long the slowest subtask has still to read; and whether it is known that it never comes to the end."""
    between = _between(looks)
    if between is None:
        return None, False
    first, last = looks[0], looks[-1]
    at, ends = _positions(first, base), _ends(first, base)
    reached, known = _positions(last, base), _ends(looks[-2], base)
    longest = 0.0
    for group in _groups(last).values():
        if all(reached[place] >= known.get(place, 0) for place in group):
            continue  # it has caught up: what waits has come since the look before, and it need not gain on that
        backlog = sum(waits[place] for place in group)
        before = sum(max(ends.get(place, 0) - at.get(place, 0), 0) for place in group)
        if backlog:
            gain = (before - backlog) / between
            longest = max(longest, backlog / gain if gain > 0 else math.inf)
    if math.isfinite(longest):
        return longest, False
    return None, between >= _NEVER_SECONDS


def _lag(look: Look, backlog: int) -> float | None:
    """How far behind the newest record the one is that was read last: by the records' own times, be they of old."""
    if look.lag_millis is None or look.newest_millis is None or not backlog:
        return None
    read_last = (look.at - _EPOCH) // _MILLI - look.lag_millis
    return max((look.newest_millis - read_last) / 1000, 0.0)


@dataclass(frozen=True)
class Watermarks:
    """What can be told from watermarks alone.

    Attributes:
        lag: seconds by which the lowest watermark is behind the clock.
        pace: seconds of its own time that the job gets through in a second; None before the second look.
        steady: whether it goes forward with the clock now, and so is not catching up any more.
        seconds: until it has caught up; None: never, or not known.
    """

    lag: float
    pace: float | None
    steady: bool
    seconds: float | None


def watermarks(looks: tuple[Look, ...]) -> Watermarks | None:
    """From the newest looks that have a watermark; None without any."""
    known = tuple(each for each in looks if each.watermark is not None)
    if not known:
        return None
    lag = _behind(known[-1])
    seconds = _between(known[-3:])
    if seconds is None:
        return Watermarks(lag, None, steady=False, seconds=None)
    pace = 1 + (_behind(known[-3:][0]) - lag) / seconds
    gains = pace - 1 > (_SLOWLY if lag > _LATE_SECONDS else _STEADY)
    steady = seconds >= _SURE_SECONDS and not gains and pace - 1 >= -_STEADY
    return Watermarks(lag, pace, steady, lag / (pace - 1) if gains else None)


def _behind(look: Look) -> float:
    return max(((look.at - _EPOCH) // _MILLI - (look.watermark or 0)) / 1000, 0.0)


def capacity(base: Base, looks: tuple[Look, ...]) -> tuple[float, int] | None:
    """How fast the subtasks have read that had more to read all the time: records per second, and how many; None: none.

    Where records arrive all the time some always wait: a subtask has more only when more waits than came since the look
    before.
    """
    speeds: dict[str, tuple[float, float]] = {}
    for before, now in pairwise(each for each in looks if each.read and each.ends and each.running_millis is not None):
        seconds = (now.at - before.at).total_seconds()
        if seconds <= 0:
            continue
        for reader, places in _groups(now).items():
            records = _had_more(base, before, now, places)
            if records is not None:
                known, long = speeds.get(reader, (0.0, 0.0))
                speeds[reader] = (known + records, long + seconds)
    found = [records / seconds for records, seconds in speeds.values() if seconds >= _SOME_SECONDS and records > 0]
    return (sum(found), len(found)) if found else None


def _had_more(base: Base, before: Look, now: Look, places: list[Place]) -> int | None:
    """What a subtask has read between two looks; None when it may have had nothing to read for a part of it."""
    ends, positions = _ends(now, base), _positions(now, base)
    first_ends, first = _ends(before, base), _positions(before, base)
    waits = sum(max(ends[place] - positions[place], 0) for place in places)
    came = sum(max(ends[place] - first_ends.get(place, ends[place]), 0) for place in places)
    return sum(positions[place] - first.get(place, positions[place]) for place in places) if waits > came else None


def _groups(look: Look) -> dict[str, list[Place]]:
    """The partitions of each subtask."""
    groups: dict[str, list[Place]] = {}
    for place in look.ends:
        groups.setdefault(look.readers.get(place, ""), []).append(place)
    return groups
