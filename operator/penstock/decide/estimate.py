"""How long a job takes until its sources' backlog is gone, and what would change that. Pure.

    catch-up = restart + backlog / (capacity - arrival)

of the subtask that takes longest: a partition is read by one subtask, and what one subtask has too much no other takes.
What Azure Stream Analytics' "checkpoint and replay concepts" (the source document) say has no capacity in it: a rule of
thumb for what the time is proportional to, and the amount of a replay. Both stand beside it. All times are seconds,
all rates records per second.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum

from penstock.api.duration import display_duration


@dataclass(frozen=True)
class Partition:
    """One partition of a topic.

    Attributes:
        topic: name of the topic.
        number: number of the partition.
        backlog: records between where the sources begin and the end, when it was measured.
        rate: records per second that arrive.
    """

    topic: str
    number: int
    backlog: int
    rate: float = 0.0


@dataclass(frozen=True)
class Situation:
    """What an estimate is made of.

    Attributes:
        partitions: all that the job reads; a job without any reads nothing.
        capacity: records per second that one subtask of the source gets through the whole job when it never waits.
        parallelism: subtasks of the source.
        restart: seconds until the first record is read.
        gap: seconds between where the sources begin and the end.
        window: seconds of it that are read for the sake of the first window only (the look-back); 0: none.
    """

    partitions: tuple[Partition, ...]
    capacity: float
    parallelism: int
    restart: float = 0.0
    gap: float = 0.0
    window: float = 0.0

    @property
    def rate(self) -> float:
        """Records per second that arrive in all partitions."""
        return math.fsum(each.rate for each in self.partitions)

    @property
    def backlog(self) -> int:
        """Records of all partitions."""
        return sum(each.backlog for each in self.partitions)


@dataclass(frozen=True)
class Subtask:
    """What one subtask of the source has to read.

    Attributes:
        number: which one, from 0.
        partitions: those that it reads.
        backlog: records that lie there when it begins: measured ones, and those that arrive during the restart.
        rate: records per second that arrive there.
        seconds: from its first record until its backlog is gone; None: never.
    """

    number: int
    partitions: tuple[Partition, ...]
    backlog: float
    rate: float
    seconds: float | None


@dataclass(frozen=True)
class Estimate:
    """An answer.

    Attributes:
        seconds: from the decision to start until the backlog is gone; None: it never is.
        slowest: the subtask that decides; None when there is nothing to read.
        backlog: records of all partitions when they were measured.
        rate: records per second that arrive in all of them.
        capacity: records per second of all subtasks that have something to read.
        readers: how many subtasks have.
        per_partition: the source document's rule of thumb, rate x gap / partitions: records for each partition, which
            the time to catch up is proportional to when all is spread evenly.
        replay_amount: the source document's amount of a replay, window x average rate: records that are read for the
            sake of whole windows.
    """

    seconds: float | None
    slowest: Subtask | None
    backlog: int
    rate: float
    capacity: float
    readers: int
    per_partition: float
    replay_amount: float


def estimate(situation: Situation) -> Estimate:
    """The time until all subtasks have read what is theirs."""
    found = subtasks(situation)
    slowest = max(found, key=lambda each: math.inf if each.seconds is None else each.seconds, default=None)
    reading = slowest.seconds if slowest is not None else 0.0
    return Estimate(
        seconds=None if reading is None else situation.restart + reading,
        slowest=slowest,
        backlog=situation.backlog,
        rate=situation.rate,
        capacity=situation.capacity * len(found),
        readers=len(found),
        per_partition=rule_of_thumb(situation.rate, situation.gap, len(situation.partitions)),
        replay_amount=replay_amount(situation.window, situation.rate),
    )


def rule_of_thumb(rate: float, gap: float, partitions: int) -> float:
    """Rate x gap / partitions: the records of each partition. A time only after division by what one gets through."""
    return rate * gap / partitions if partitions else 0.0


def replay_amount(window: float, rate: float) -> float:
    """Window x average rate: the records that a replay reads so that its first window is whole."""
    return window * rate


def subtasks(situation: Situation) -> tuple[Subtask, ...]:
    """Those that have something to read, by number."""
    shares: dict[int, list[Partition]] = {}
    for each in situation.partitions:
        shares.setdefault(_owner(each, situation.parallelism), []).append(each)
    return tuple(_subtask(number, tuple(shares[number]), situation) for number in sorted(shares))


def _subtask(number: int, share: tuple[Partition, ...], situation: Situation) -> Subtask:
    rate = math.fsum(each.rate for each in share)
    backlog = sum(each.backlog for each in share) + rate * situation.restart
    return Subtask(number, share, backlog, rate, _reading(backlog, rate, situation.capacity))


def _reading(backlog: float, rate: float, capacity: float) -> float | None:
    if not backlog and not rate:
        return 0.0
    # A capacity above the arrival by less than a float can tell is not above it.
    seconds = backlog / (capacity - rate) if capacity > rate else math.inf
    return seconds if math.isfinite(seconds) else None


def _owner(partition: Partition, parallelism: int) -> int:
    """The subtask that reads a partition, as the enumerator of Flink's Kafka source gives them out.

    A topic's partitions go round from a subtask that its name decides, so that topics of few partitions do not all
    begin at the first one.
    """
    first = (_java_hash(partition.topic) * 31 & 0x7FFFFFFF) % parallelism
    return (first + partition.number) % parallelism


def _java_hash(text: str) -> int:
    """`String.hashCode()`, without its sign: the lower 32 bits."""
    units = text.encode("utf-16-be", "surrogatepass")
    found = 0
    for high, low in zip(units[::2], units[1::2], strict=True):
        found = (31 * found + (high << 8 | low)) & 0xFFFFFFFF
    return found


# ---------------------------------------------------------------- what if


class Lever(StrEnum):
    """What somebody can do about it."""

    PARALLELISM = "parallelism"
    WINDOW = "window"
    RATE = "rate"


@dataclass(frozen=True)
class WhatIf:
    """One lever moved.

    Attributes:
        lever: which one.
        before: its value now: subtasks, seconds, records per second.
        after: its other value.
        estimate: with that.
        why: what it changes, or why it changes nothing; a sentence for people.
    """

    lever: Lever
    before: float
    after: float
    estimate: Estimate
    why: str


def with_parallelism(situation: Situation, parallelism: int) -> WhatIf:
    """Another number of subtasks, each of which is as fast as one is now."""
    moved = replace(situation, parallelism=parallelism)
    before, after = len(subtasks(situation)), len(subtasks(moved))
    number = len(situation.partitions)
    why = f"{after} of {parallelism} subtasks have a partition to read, {before} have now"
    if parallelism > number:
        why += f"; more than {number} do not help, because there are {number} partitions and each is read by one"
    return WhatIf(Lever.PARALLELISM, situation.parallelism, parallelism, estimate(moved), why)


def with_window(situation: Situation, window: float) -> WhatIf:
    """Another look-back: the sources begin so much later or earlier, in each partition at its own average rate."""
    gap = max(situation.gap + window - situation.window, 0.0)
    share = gap / situation.gap if situation.gap > 0 else 1.0
    fewer = tuple(replace(each, backlog=round(each.backlog * share)) for each in situation.partitions)
    moved = replace(situation, partitions=fewer, gap=gap, window=window)
    if situation.gap <= 0:
        return WhatIf(
            Lever.WINDOW, situation.window, window, estimate(moved), "nothing is read again: it goes on there"
        )
    change = moved.backlog - situation.backlog
    words = f"{abs(change)} records {'fewer' if change < 0 else 'more'} are read before the output begins"
    why = words if change else "as many records are read"
    return WhatIf(Lever.WINDOW, situation.window, window, estimate(moved), why)


def with_rate(situation: Situation, rate: float) -> WhatIf:
    """Another arrival, spread over the partitions as now, or evenly when nothing arrives now; the backlog stays."""
    now, number = situation.rate, len(situation.partitions)
    shared = tuple(
        replace(each, rate=rate * each.rate / now if now else rate / number) for each in situation.partitions
    )
    moved = replace(situation, partitions=shared)
    limit = break_even(moved)
    why = "nothing arrives: only the backlog is read"
    if limit is not None:
        most = f"{limit:.0f} records/s"
        why = f"it catches up below {most}" if rate < limit else f"it never catches up at {most} or more"
    return WhatIf(Lever.RATE, now, rate, estimate(moved), why)


def break_even(situation: Situation) -> float | None:
    """The arrival (records per second, of all partitions, spread as now) from which on some subtask never catches up.

    None when nothing arrives.
    """
    busiest = max((each.rate for each in subtasks(situation)), default=0.0)
    return situation.rate * situation.capacity / busiest if busiest > 0 else None


def words(seconds: float | None) -> str:
    """A time to catch up for people."""
    return "never" if seconds is None else display_duration(round(seconds * 1000))
