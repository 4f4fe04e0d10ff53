"""What is told of a catch-up beside what it takes: the real decisions over looks at a job that reads at a known speed.

`tests/e2e/test_recovery.py` plays the same on real Flink and Kafka, one of these runs in `make test` and all of them in
`make test-all`; that Flink's figures are what the looks here say is held by `tests/integration/flink/test_contract.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from penstock.api.base import dump
from penstock.api.recovery import Recovery
from penstock.decide.change import spec_hash
from penstock.decide.estimate import Partition, Situation, subtasks
from penstock.source.looks import Base, Look
from tests.unit.builders import NOW, job
from tests.unit.decide.moves import Moves, moves
from tests.unit.decide.recoveries import SOURCES, after, attempt, caught_up, coming, followed, recovery

RUNS = ((1, 0), (2, 0), (2, 1000), (1, 500), (3, 2000))
"""Parallelism, and records per second that arrive: those of the end-to-end test."""
SPEEDS = {1: 9000.0, 2: 7000.0, 3: 4500.0}
"""Records per second of each subtask, by how many there are: they share two cores."""
PARTITIONS, EACH = 4, 84_000
RESTART, PAUSE = 23, 5


@dataclass
class Simulated:
    """A job that reads `PARTITIONS` partitions, from its restart on."""

    parallelism: int
    rate: float

    def __post_init__(self) -> None:
        parts = tuple(Partition("flights", number, EACH) for number in range(PARTITIONS))
        self.shares = [
            [each.number for each in task.partitions] for task in subtasks(Situation(parts, 1.0, self.parallelism))
        ]

    def end(self, seconds: float) -> int:
        """End offset of each partition."""
        return EACH + int(self.rate * seconds / PARTITIONS)

    def read(self, seconds: float, share: list[int]) -> int:
        """Records of each partition that the subtask with this share has read: all alike, as fast as it can."""
        each, step = 0.0, 0.1
        for tick in range(int(max(seconds - RESTART, 0.0) / step)):
            each = min(each + SPEEDS[self.parallelism] * step / len(share), self.end(RESTART + tick * step))
        return int(each)

    def look(self, seconds: float) -> Look:
        ends = {("flights", number): self.end(seconds) for number in range(PARTITIONS)}
        running = seconds >= RESTART
        read: dict[tuple[str, int], int] = {}
        readers: dict[tuple[str, int], str] = {}
        for number, share in enumerate(self.shares):
            position = self.read(seconds, share)
            readers |= {("flights", partition): f"v/{number}" for partition in share}
            read |= {("flights", partition): position for partition in share if position}
        pending = sum(ends[place] - read.get(place, 0) for place in ends)
        millis = int((seconds - RESTART) * 1000) if running else None
        return Look(NOW + timedelta(seconds=seconds), ends, read, readers, pending, running_millis=millis)


def passes(simulated: Simulated, known: dict[str, Any]) -> Iterator[Moves]:
    """What is decided at each look, for ten minutes."""
    base = Base({("flights", number): 0 for number in range(PARTITIONS)})
    spec = SOURCES | {"parallelism": simulated.parallelism}
    of_spec = {"applied_spec_hash": spec_hash(job(**spec).spec)}
    seen = coming(recovery(started_at=NOW), status=known | of_spec, spec=spec, flink=None)
    looks: list[Look] = []
    for seconds in range(0, 600, PAUSE):
        looks = [*looks, simulated.look(seconds)][-7:]
        answer = attempt() if seconds >= RESTART else None
        seen = replace(seen, followed=followed(*looks, base=base), flink=answer)
        found = moves(seen)
        yield found
        seen = after(found, seen, PAUSE)


def watch(simulated: Simulated, known: dict[str, Any]) -> tuple[list[Recovery], dict[str, Any]]:
    """Each status.recovery until it has caught up, and what is known of the job's speed afterwards."""
    told: list[Recovery] = []
    for found in passes(simulated, known):
        assert found.status.recovery is not None
        told.append(found.status.recovery)
        if caught_up(found)[0] == "True":
            status = dump(found.status)
            return told, {key: status[key] for key in ("capacity", "capacities")}
    raise AssertionError(f"it never catches up: {told[-1]}")


def test_an_estimate_is_within_a_factor_of_two_and_the_end_is_told_when_it_is_there() -> None:
    first, known = watch(Simulated(2, 0), {})
    assert first[-1].estimate_at_start is not None
    assert first[-1].estimate_at_start.text == "nobody knows: the job's speed has not been measured yet"
    for parallelism, rate in RUNS:
        simulated = Simulated(parallelism, rate)
        told, known = watch(simulated, known)
        last, percents = told[-1], [each.percent for each in told if each.percent is not None]
        assert last.estimate_at_start is not None
        assert last.estimate_at_start.seconds is not None
        assert last.actual is not None
        assert last.actual.seconds is not None
        ratio = last.estimate_at_start.seconds / last.actual.seconds
        assert 0.5 <= ratio <= 2, (parallelism, rate, ratio)
        assert percents == sorted(percents)
        assert percents[-1] == 100
        assert len(set(percents)) >= 4, percents
        gone = next(
            seconds / 10
            for seconds in range(6000)
            if all(simulated.read(seconds / 10, s) >= simulated.end(seconds / 10) - rate / 2 for s in simulated.shares)
        )
        assert -PAUSE <= last.actual.seconds - gone <= 2 * PAUSE, (parallelism, rate, last.actual, gone)


def test_an_arrival_above_the_capacity_is_said_and_parallelism_mends_it() -> None:
    rate = 1.1 * SPEEDS[1]
    _, known = watch(Simulated(1, 0), {})
    for found in passes(Simulated(1, rate), known):
        never = found.status.recovery
        assert never is not None
        assert caught_up(found)[0] != "True"
        if "never" in never.outlook:
            break
    else:
        raise AssertionError(f"nobody says so: {never}")
    assert never.text.endswith(", never")
    assert never.estimated_completion is None
    assert never.arrival_per_second == pytest.approx(rate, rel=0.2)
    assert never.records_per_second is not None
    assert never.records_per_second < never.arrival_per_second
    told, _ = watch(Simulated(2, rate), known)
    assert any(each.estimated_completion is not None for each in told)
    assert told[-1].percent == 100


@pytest.mark.parametrize("parallelism", [1, 2, 3])
def test_what_was_measured_is_what_it_reads(parallelism: int) -> None:
    _, known = watch(Simulated(parallelism, 0), {})
    reading = len(Simulated(parallelism, 0).shares)
    expected = SPEEDS[parallelism] * reading
    assert known["capacity"]["recordsPerSecond"] == pytest.approx(expected, rel=0.35)
