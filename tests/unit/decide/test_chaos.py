"""Anything may happen at any time: users, crashes, lost JobManagers, a store that is away. Nothing is ever broken."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.api.checkpoint import Phase
from tests.unit.decide.test_scenarios import create
from tests.unit.decide.toy import Toy, after
from tests.unit.decide.toy.flink import DROPS, FAILS, HANGS, NO_GRAPH, SILENT

Event = Callable[[Toy], object]
SOURCES = [{"name": "flights", "kafka": {"connection": "kafka", "topics": ["flights"]}}]


def _delete_newest(toy: Toy) -> None:
    if toy.checkpoints:
        toy.delete(toy.checkpoints[-1].metadata.name)


def _take(toy: Toy) -> None:
    toy.create_checkpoint(f"manual-{toy._number()}")


def _restore_oldest(toy: Toy) -> None:
    present = [each for each in toy.checkpoints if each.status.phase is Phase.PRESENT]
    if present:
        toy.edit(startFrom={"checkpoint": {"name": present[0].metadata.name}})


def _lose_checkpoint_statuses(toy: Toy) -> None:
    for checkpoint in toy.checkpoints:
        toy.lose_status(checkpoint.metadata.name)


def _crash_soon(toy: Toy) -> None:
    toy.crash_after = toy.operations + 1


def _crash_later(toy: Toy) -> None:
    toy.crash_after = toy.operations + 2


def _set(name: str, value: object) -> Event:
    def change(toy: Toy) -> None:
        setattr(toy, name, value)

    return change


EVENTS: dict[str, Event] = {
    "pass": Toy.reconcile,
    "second": lambda toy: toy.tick(1),
    "pass and second": lambda toy: (toy.reconcile(), toy.tick(1)),
    "five of them": lambda toy: [(toy.reconcile(), toy.tick(1)) for _ in range(5)],
    "minutes": lambda toy: toy.tick(400),
    "stop": lambda toy: toy.edit(state="Stopped"),
    "run": lambda toy: toy.edit(state="Running"),
    "upgrade": lambda toy: toy.edit(parallelism=toy._number()),
    "upgrade that fails": lambda toy: toy.edit(parallelism=FAILS),
    "upgrade that hangs": lambda toy: toy.edit(parallelism=HANGS, onChange={"healthyWithin": "20s"}),
    "upgrade that drops state": lambda toy: toy.edit(parallelism=DROPS),
    "upgrade without a graph": lambda toy: toy.edit(parallelism=NO_GRAPH),
    "upgrade that nobody tries": lambda toy: toy.edit(parallelism=SILENT),
    "restart class": lambda toy: toy.edit(serviceAccountName=f"account-{toy._number()}"),
    "latest": lambda toy: toy.edit(startFrom={"latest": {}}),
    "restart": lambda toy: toy.edit(restartToken=str(toy._number())),
    "take": _take,
    "restore": _restore_oldest,
    "replay": lambda toy: toy.edit(startFrom={"replay": {"from": "10m", "lookback": "1m"}}),
    "replay from there": lambda toy: toy.edit(startFrom={"replay": {"from": "2026-01-30T12:00:00Z"}}),
    "delete newest": _delete_newest,
    "keep one": lambda toy: toy.edit(checkpoints={"retention": {"numRetained": 1}}),
    "grow old": lambda toy: toy.edit(checkpoints={"retention": {"maxAge": "10m"}}),
    "schedule": lambda toy: toy.edit(checkpoints={"schedule": {"cron": "*/5 * * * *"}}),
    "schedule once": lambda toy: toy.edit(checkpoints={"schedule": {"cron": "* * * * *", "missed": "RunOnce"}}),
    "no schedule": lambda toy: toy.edit(checkpoints={"schedule": None}),
    "JobManager dies": Toy.kill_job_managers,
    "HA lost": Toy.lose_high_availability,
    "statuses of Checkpoints lost": _lose_checkpoint_statuses,
    "crash": _crash_soon,
    "crash later": _crash_later,
    "store down": _set("store_down", value=True),
    "store up": _set("store_down", value=False),
    "flink down": _set("flink_down", value=True),
    "flink up": _set("flink_down", value=False),
    "sources are declared": lambda toy: toy.edit(sources=SOURCES),
    "offsets expire": _set("earliest", 200),
    "offsets are there": _set("earliest", 0),
    "broker down": _set("broker_down", value=True),
    "broker up": _set("broker_down", value=False),
    "a cancel discards": _set("discards_when_cancelled", value=True),
    "a cancel keeps": _set("discards_when_cancelled", value=False),
    "savepoints fail": _set("savepoint_failure", "CheckpointException: no"),
    "savepoints work": _set("savepoint_failure", ""),
}


def play(events: list[str], toy: Toy) -> Toy:
    for name in events:
        toy.trace.append(f"-- {name}")
        EVENTS[name](toy)
    return toy


@settings(max_examples=120, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(sorted(EVENTS)), max_size=25))
def test_nothing_is_broken_whatever_happens_and_all_ends_well(events: list[str]) -> None:
    toy = play(events, after(create))
    toy.store_down = toy.flink_down = toy.broker_down = False
    toy.earliest = 0
    toy.savepoint_failure = ""
    toy.edit(state="Running", startFrom={"latest": {}}, parallelism=2)
    for _ in range(4):  # pauses after failures are minutes
        toy.tick(600)
        toy.settle()
    toy.trace.append(str(toy.summary()))
    assert toy.violations == [], "\n".join(toy.trace)
    stalled = next(each for each in toy.status.conditions if each.type == "Stalled")
    runs = len(toy.live) == 1 and toy.summary()["ready"] == "True"
    # The one good reason not to run: somebody deleted all that there was to start from.
    assert runs or stalled.reason in ("NothingToStartFrom", "StateMissing"), "\n".join(toy.trace[-80:])
    assert all(each.status.phase not in (Phase.CREATING, Phase.PENDING) for each in toy.checkpoints)


# Without those that ask for an older state or for none, or take one away.
STRAIGHT = sorted(EVENTS.keys() - {"restore", "replay", "replay from there", "delete newest", "keep one"})


@settings(max_examples=120, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(STRAIGHT), max_size=25))
def test_no_state_that_was_saved_is_ever_left_behind(events: list[str]) -> None:
    toy = play(events, after(create))
    toy.store_down = toy.flink_down = toy.broker_down = False
    toy.earliest = 0
    toy.savepoint_failure = ""
    toy.edit(state="Running", parallelism=2)
    for _ in range(4):
        toy.tick(600)
        toy.settle()
    assert len(toy.live) == 1
    assert set(toy.lost) == {0}, "\n".join(toy.trace)


@pytest.mark.parametrize("down", ["store down", "flink down"])
@pytest.mark.parametrize("wish", ["pass", "upgrade", "stop", "take", "restart", "restart class"])
def test_unknown_is_not_failed(down: str, wish: str) -> None:
    """While the store or Flink does not answer the job goes on; afterwards what was wished for is done."""
    toy = play(["take", "five of them", down, wish], after(create))
    starts = len(toy.starts)
    for _ in range(30):
        toy.reconcile()
        toy.tick(2)
    assert toy.violations == []
    if down == "flink down":
        assert len(toy.live) == 1
        assert len(toy.starts) == starts


@pytest.mark.parametrize("trouble", ["offsets expire", "broker down"])
@pytest.mark.parametrize(
    "what", ["JobManager dies", "HA lost", "upgrade", "upgrade that fails", "upgrade that hangs", "restart"]
)
def test_no_job_is_kept_down_by_its_sources(trouble: str, what: str) -> None:
    """Nobody asked for these starts, or a stop was made to go on at once."""
    toy = play(["sources are declared", "five of them", trouble, what, "JobManager dies"], after(create))
    for _ in range(3):
        toy.settle()
        toy.tick(600)
    toy.settle()
    assert toy.violations == []
    assert len(toy.live) == 1, "\n".join(toy.trace[-40:])
    assert len(toy.starts) > 1 or what == "JobManager dies"


@pytest.mark.parametrize("trouble", ["offsets expire", "broker down"])
def test_a_user_who_starts_a_job_again_is_told_and_it_starts_when_it_can(trouble: str) -> None:
    toy = play(["sources are declared", "stop", "five of them", "five of them"], after(create))
    toy.settle()
    play([trouble, "run"], toy)
    toy.settle()
    assert (len(toy.live), toy.violations) == (0, [])
    stalled = next(each for each in toy.status.conditions if each.type == "Stalled")
    assert (stalled.status, stalled.reason) == (
        ("True", "SourceOffsetsExpired") if trouble == "offsets expire" else ("False", "AsAsked")
    )
    play(["offsets are there", "broker up"], toy)
    toy.settle()
    assert (len(toy.live), toy.violations) == (1, [])
