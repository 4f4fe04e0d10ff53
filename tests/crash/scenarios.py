"""What a user does: each scenario prepares something without faults, then does something that is counted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from penstock.kube import resources
from tests.crash.run import Run

Play = Callable[[Run], Awaitable[None]]


@dataclass(frozen=True)
class Scenario:
    """One thing that a user does."""

    name: str
    prepare: Play
    act: Play
    """Returns when what the user wanted is so."""


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


SCENARIOS = (
    Scenario("create", _nothing, _create),
    Scenario("checkpoint", _running, _checkpoint),
    Scenario("stop", _running, _stop),
    Scenario("upgrade", _running, _upgrade),
    Scenario("restore", _running_with_checkpoint, _restore),
    Scenario("retention", _keeping_one, _retention),
    Scenario("delete", _to_be_deleted, _delete),
    # Not in the list of issue 4: the effects that those do not have.
    Scenario("latest", _keeping_none, _upgrade),
    Scenario("refused", _running, _refused),
    Scenario("release", Run.make_store, _release),
)
