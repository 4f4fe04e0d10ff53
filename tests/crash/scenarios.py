"""What a user does: each scenario prepares something without faults, then does something that is counted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from penstock.kube import resources
from tests.crash.kubelet import BROKEN
from tests.crash.plane import LATER_FORMAT
from tests.crash.run import Run

Play = Callable[[Run], Awaitable[None]]
_AHEAD_SECONDS = 20


@dataclass(frozen=True)
class Scenario:
    """One thing that a user does."""

    name: str
    prepare: Play
    act: Play
    """Returns when what the user wanted is so."""
    waits: bool = False
    """Whether it waits for the clock for longer than it does anything."""
    whole: bool = False
    """Whether the sample also learns it from `python3 -m penstock` itself, whose imports cost more CPU than a scenario;
    `make crash` learns all of them from it."""


async def _nothing(_: Run) -> None:
    pass


async def _running(run: Run) -> None:
    await run.make_store()
    await run.make_job()


async def _create(run: Run) -> None:
    await run.make_store()
    await run.make_job()


async def _checkpoint(run: Run) -> None:
    await run.take("first")


async def _stop(run: Run) -> None:
    await run.edit_job(state="Stopped")
    await run.until_job("Stopped")


async def _upgrade(run: Run) -> None:
    await run.edit_job(parallelism=2)
    await run.until_job("Running")


async def _keeping_none(run: Run) -> None:
    await run.make_store()
    await run.make_job(checkpoints={"onUpgrade": "LatestCheckpoint"})


async def _refused(run: Run) -> None:
    run.world.flink.refusals = 1
    await run.take("first")


async def _release(run: Run) -> None:
    await run.delete(resources.STORES, run.namespace)


async def _running_with_checkpoint(run: Run) -> None:
    await _running(run)
    await run.take("first")


async def _restore(run: Run) -> None:
    await run.edit_job(startFrom={"latest": None, "checkpoint": {"name": "first"}})
    await run.until_job("Running")


async def _keeping_one(run: Run) -> None:
    await run.make_store()
    await run.make_job(checkpoints={"retention": {"numRetained": 1}})
    await run.take("first")


async def _retention(run: Run) -> None:
    await run.take("second")
    await run.until_phase("first", "Cleared")


async def _to_be_deleted(run: Run) -> None:
    await run.make_store()
    await run.make_job(onDelete={"checkpoints": "Delete"})
    await run.take("first")
    await run.take("second")


async def _delete(run: Run) -> None:
    await run.delete(resources.CHECKPOINTS, "first")
    await run.delete(resources.STREAM_JOBS, "flow")
    await run.until_collected()


async def _scheduled(run: Run) -> None:
    # Long enough for an operator that dies at its first write to be back before the minute comes.
    await run.schedule_once(_AHEAD_SECONDS)
    await run.until_present("Schedule", _AHEAD_SECONDS + 60 + 90)


async def _repairs(run: Run) -> None:
    # One after the other: two that go at once are seen in one pass or in two.
    await run.lose(resources.SERVICES, run.object_name("jobmanager"))
    await run.lose(resources.CONFIG_MAPS, run.object_name("config"))
    await run.lose(resources.DEPLOYMENTS, run.object_name("taskmanager"))
    await run.lose(resources.JOBS, run.object_name("jobmanager"))
    await run.until_checkpoint(2)  # which the JobManager completes when it runs again


async def _fork(run: Run) -> None:
    await run.make_job("fork", startFrom={"checkpoint": {"name": "first"}})
    # It has a checkpoint of its own now: what it has started from may go.
    await run.delete(resources.CHECKPOINTS, "first")


async def _replay(run: Run) -> None:
    # The times would stand in the script, encoded, and differ from run to run.
    start = {"latest": None, "replay": {"from": "1h"}, "override": ["ReplayIgnored"]}
    await run.edit_job(startFrom=start, window="10m")
    await run.until_job("Running")


async def _rollback(run: Run) -> None:
    await run.edit_job(parallelism=BROKEN)
    await run.until_taken_back()


async def _running_for_long(run: Run) -> None:
    run.world.flink.ahead_millis = 11 * 60 * 1000
    await _running(run)


async def _failed(run: Run) -> None:
    await run.world.fail_manager(run.object_name("jobmanager"))
    await run.until_checkpoint(2)


async def _with_failed_pods(run: Run) -> None:
    await _running(run)
    for suffix in ("oldest", "older", "old"):
        await run.world.add_failed_pod(run.object_name("jobmanager"), suffix)
        await asyncio.sleep(1.1)  # creation times are whole seconds, and say which one is the oldest


async def _one_more(run: Run) -> None:
    await run.world.add_failed_pod(run.object_name("jobmanager"), "newest")
    await run.until_gone(resources.PODS, run.object_name("jobmanager-oldest"))


async def _unreadable(run: Run) -> None:
    await run.ask("later", format=LATER_FORMAT)
    await run.until_stalled("later")


SCENARIOS = (
    Scenario("create", _nothing, _create, whole=True),
    Scenario("checkpoint", _running, _checkpoint, whole=True),
    Scenario("stop", _running, _stop, whole=True),
    Scenario("upgrade", _running, _upgrade),
    Scenario("restore", _running_with_checkpoint, _restore),
    Scenario("retention", _keeping_one, _retention),
    Scenario("delete", _to_be_deleted, _delete),
    # Not in the list of issue 4: the effects that those do not have.
    Scenario("latest", _keeping_none, _upgrade),
    Scenario("refused", _running, _refused),
    Scenario("release", Run.make_store, _release),
    Scenario("scheduled", _running, _scheduled, waits=True),
    Scenario("repairs", _running, _repairs),
    Scenario("failed", _running_for_long, _failed),
    Scenario("pods", _with_failed_pods, _one_more),
    Scenario("unreadable", _running, _unreadable),
    Scenario("fork", _running_with_checkpoint, _fork),
    Scenario("rollback", _running, _rollback),
    Scenario("replay", _running, _replay),
)
