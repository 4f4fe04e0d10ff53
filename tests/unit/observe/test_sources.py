"""What a pass asks of brokers: for a run that is watched, and for an estimate."""

from __future__ import annotations

from typing import Any

from penstock.decide import standing
from penstock.errors import Refused
from penstock.source.held import Held
from penstock.verdict import Positions
from tests.unit.build.test_golden import context as run_context
from tests.unit.build.test_golden import everything
from tests.unit.builders import JOB, NAMESPACE, PLACE, RUN, flink, job, live, retained, stats, uid
from tests.unit.fakes import FakeStore
from tests.unit.flink.metadata import writer
from tests.unit.observe.test_main import RUNNING, look
from tests.unit.world import FakeFlink, FakeWorld, manifest

# ---------------------------------------------------------------- the sources of a run that is watched

SOURCES: dict[str, Any] = {"sources": [{"name": "flights", "kafka": {"connection": "kafka", "topics": ["flights"]}}]}
SPLITS = writer.one_subtask(6, writer.reader_state([writer.element(writer.split("flights", 0, 7))]))


def watching(location: str = retained(7)) -> FakeWorld:
    """A job that runs and declares a topic; what its newest state is by Flink."""
    objects = [manifest(job(live(), **SOURCES)), *everything(run_context())]
    held = FakeStore({f"{PLACE.key_of(location)}/_metadata": SPLITS})
    return FakeWorld(*objects, store=held, flink=FakeFlink(flink(completed=stats(7, location))))


async def answer_of(world: FakeWorld) -> Held:
    first = await look(world)
    assert first.held == {}, "nobody waits for it"
    assert first.job is not None
    await world.measurer.wait(standing.wishes(first), 1)
    (held,) = (await look(world)).held.values()
    return held


async def test_the_broker_is_asked_and_where_the_newest_state_goes_on():
    world = watching()
    held = await answer_of(world)
    assert held.positions == Positions({("flights", 0): 7})
    assert [(wish.topics, wish.watched) for wish in world.measured] == [(("flights",), RUN)]
    assert world.woken == [(NAMESPACE, JOB)]
    await look(world)
    assert len(world.measured) == 1, "and not at each pass"


async def test_a_state_of_another_job_is_not_read():
    elsewhere = PLACE.uri(f"team/others/flights-{uid(5)}/checkpoints/{RUN}/chk-7")
    world = watching(elsewhere)
    assert (await answer_of(world)).positions == Positions()
    assert world.store.calls == []


async def test_without_a_store_nothing_is_watched():
    world = watching()

    async def refuse(_: Any) -> FakeStore:
        raise Refused("no Secret", "SecretNotFound")

    world.object_store = refuse  # type: ignore[method-assign]
    assert (await look(world)).held == {}
    assert world.measured == []


async def test_how_busy_it_is_is_asked_only_when_somebody_wants_to_know():
    world: Any = FakeWorld(*RUNNING)
    world.flink.busy = 300
    assert (await look(world)).busy_millis is None
    stored = world.kube.of("StreamJob")[JOB]
    stored["metadata"]["annotations"] = {"penstock.dev/estimate": "a1 2026-01-31T11:00:00Z"}
    assert (await look(world)).busy_millis == 300
    stored["status"]["estimate"] = {"request": "a1", "time": "2026-01-31T12:00:00Z"}
    assert (await look(world)).busy_millis is None


async def test_what_is_to_be_measured_for_an_estimate_is_measured():
    sources = [{"name": "flights", "kafka": {"connection": "kafka", "topics": ["flights"]}}]
    world: Any = FakeWorld(manifest(job(live(), sources=sources)))
    told = {"penstock.dev/estimate": "a1 2026-01-31T11:00:00Z"}
    world.kube.of("StreamJob")[JOB]["metadata"]["annotations"] = told
    [(wish, held)] = (await look(world)).held.items()
    assert (wish.start, wish.times) == ("estimate/a1", (1769857200000,))
    assert held.measured is not None
