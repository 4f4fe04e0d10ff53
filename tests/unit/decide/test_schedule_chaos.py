"""What random clocks, crashes and restarts make of a schedule."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock import names
from penstock.api.checkpoint import Checkpoint
from penstock.api.streamjob_status import StreamJobStatus
from penstock.decide import decide
from penstock.model import CreateCheckpoint, JobListing, Observed, Unknown
from tests.unit.builders import (
    JOB,
    NOW,
    checkpoint,
    flink,
    job,
    live,
    observed,
)

HOURLY = "0 * * * * UTC"
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
NAME = names.scheduled_checkpoint(JOB, NOW)


def scheduled(time: datetime, number: int = 1, phase: str | None = "Present", **more: Any) -> Checkpoint:
    more = {"created": time, "source": "Schedule"} | more
    return checkpoint(names.scheduled_checkpoint(JOB, time), number, phase, **more)


class Clockwork:
    """A job that runs, its scheduled Checkpoints, and an operator that may die at any step; no other step is done."""

    def __init__(self, missed: str = "Skip") -> None:
        self.now = NOW + 30 * SECOND
        self.schedule = {"cron": "*/10 * * * *", "missed": missed}
        self.status = StreamJobStatus.model_validate({"observed_generation": 1} | live())
        self.objects: dict[str, Checkpoint] = {}
        self.made: list[str] = []
        self.runs = True
        self.work("")

    def observe(self) -> Observed:
        of = job(checkpoints={"schedule": self.schedule}).model_copy(update={"status": self.status})
        answer = flink() if self.runs else Unknown("time-out")
        found = tuple(self.objects.values())
        return replace(observed(of, checkpoints=found, flink=answer, listing=JobListing()), now=self.now)

    def work(self, fault: str) -> None:
        """One pass; `fault` is where the operator dies: before an effect, after it, or before the status is written."""
        seen = set(self.objects)
        for step in decide(self.observe()).steps:
            for effect in step.effects:
                if isinstance(effect, CreateCheckpoint):
                    if fault == "before":
                        return
                    self._create(effect)
                    if fault == "after":
                        return
            if not step.owner and isinstance(step.status, StreamJobStatus):
                if fault == "status":
                    return
                self.status = step.status
        # A deleted one goes when a pass has seen it; the others are complete by then.
        self.objects = {
            name: each.model_copy(update={"status": scheduled(NOW, 1).status}) if name in seen else each
            for name, each in self.objects.items()
            if not (name in seen and each.metadata.terminating)
        }

    def _create(self, effect: CreateCheckpoint) -> None:
        assert self.status.schedule is not None
        assert self.status.schedule.creating == effect.name, "no intent"
        if effect.name not in self.objects:
            self.made.append(effect.name)
            self.objects[effect.name] = checkpoint(effect.name, len(self.made), created=self.now, source="Schedule")

    def delete(self, name: str) -> None:
        meta = self.objects[name].metadata.model_copy(update={"deletion_timestamp": self.now})
        self.objects[name] = self.objects[name].model_copy(update={"metadata": meta})

    def settle(self) -> None:
        for _ in range(6):
            self.work("")

    def due(self, until: datetime) -> list[str]:
        """The names of all times from the beginning to a moment, found by looking at every minute."""
        minutes = (NOW + each * MINUTE for each in range(1, int((until - NOW) / MINUTE) + 1))
        return [names.scheduled_checkpoint(JOB, each) for each in minutes if each.minute % 10 == 0]


FAULTS = st.sampled_from(["", "", "", "before", "after", "status"])
MANY = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


@MANY
@given(
    st.lists(
        st.tuples(st.integers(-40, 90), FAULTS, st.sampled_from(["", "", "", "delete newest", "status lost"])),
        min_size=5,
        max_size=60,
    )
)
def test_each_time_has_exactly_one_checkpoint_while_the_job_runs(story):
    """Clocks that go back and on by less than `ON_TIME`, crashes at every step, deletions, a lost status."""
    world = Clockwork()
    last = world.now
    for seconds, fault, event in story:
        world.now += seconds * SECOND
        last = max(last, world.now)
        if event == "delete newest" and world.objects:
            world.delete(max(world.objects))
        if event == "status lost" and world.objects and not any(e.metadata.terminating for e in world.objects.values()):
            pending = world.status.schedule is not None and world.status.schedule.creating
            if not pending or pending in world.objects:
                world.status = world.status.model_copy(update={"schedule": None})
        world.work(fault)
        if fault:  # the next operator is there before long
            world.work("")
    world.now = last
    world.settle()
    assert sorted(world.made) == world.due(world.now)


@MANY
@given(
    st.sampled_from(["Skip", "RunOnce"]),
    st.lists(
        st.tuples(st.integers(-3000, 6000), FAULTS, st.sampled_from(["", "", "stops", "runs", "delete newest"])),
        min_size=5,
        max_size=40,
    ),
)
def test_no_time_is_doubled_or_forgotten_whatever_the_clock_does(missed, story):
    """Every time up to the last one has a Checkpoint or is counted as missed, and none has two."""
    world = Clockwork(missed)
    for seconds, fault, event in story:
        world.now += seconds * SECOND
        world.runs = {"stops": False, "runs": True}.get(event, world.runs)
        if event == "delete newest" and world.objects:
            world.delete(max(world.objects))
        world.work(fault)
        assert len(world.made) == len(set(world.made))
    world.runs = True
    world.settle()
    told = world.status.schedule
    assert told is not None
    assert told.creating is None
    decided = world.due(told.last_time) if told.last_time else []
    assert set(world.made) <= set(decided)
    assert len(world.made) + told.missed == len(decided)
    assert told.next_time is not None
    assert told.next_time > world.now
