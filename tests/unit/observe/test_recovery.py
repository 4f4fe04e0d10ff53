"""What a pass looks at for a recovery: Flink first, then the brokers, and once where reading began."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from penstock import clock
from penstock.api.recovery import Recovery
from penstock.errors import RetryLater
from penstock.flink.answers import FlinkJob
from penstock.flink.progress import Progress
from penstock.model import Observed
from penstock.source.answers import Measured, Partition, Topic
from penstock.source.held import SourceWish
from penstock.source.looks import Base, Followed
from penstock.store.layout import Place
from tests.unit.build.test_golden import context as run_context
from tests.unit.build.test_golden import everything
from tests.unit.builders import JOB, NAMESPACE, PLACE, RUN, flink, job, live, restored, savepoint, started_from
from tests.unit.fakes import FakeStore
from tests.unit.flink.metadata import writer
from tests.unit.observe.test_main import look
from tests.unit.world import FakeFlink, FakeWorld, manifest

SOURCES: dict[str, Any] = {"sources": [{"name": "flights", "kafka": {"connection": "kafka", "topics": ["flights"]}}]}
STATE = writer.one_subtask(6, writer.reader_state([writer.element(writer.split("flights", 0, 70))]))
TOPIC = Topic("flights", (Partition(0, 10, 1000), Partition(1, 20, 2000)))
BEGAN = flink(began_millis=5, now_millis=9)


def coming(
    phase: str = "CatchingUp",
    *,
    ago: float = 6,
    answer: FlinkJob | None = BEGAN,
    state: str = savepoint(1),
    **more: Any,
) -> FakeWorld:
    """A job that comes back from a state, looked at that long ago."""
    now = clock.now()
    told = {"run": RUN, "cause": "Restore", "started_at": now - timedelta(minutes=1), "phase": phase}
    recovery = Recovery.model_validate(told | {"updated_at": now - timedelta(seconds=ago)} | more)
    status = live(started_from(state), run={"attempt": "5/0"}, recovery=recovery)
    objects = [manifest(job(status, **SOURCES)), *everything(run_context())]
    store = FakeStore({f"{PLACE.key_of(state)}/_metadata": STATE})
    world = FakeWorld(*objects, store=store, flink=FakeFlink(answer))
    world.topics = Measured((TOPIC,), newest_millis=77)
    world.flink.read = Progress({("flights", 0): 100, ("others", 0): 5}, {("flights", 0): "v/0"}, 3, 9, 11, 13_000)
    return world


async def followed(world: FakeWorld) -> Followed:
    found = (await look(world)).followed
    assert found is not None
    return found


async def test_a_look_has_what_flink_and_the_brokers_say() -> None:
    world = coming()
    found = await followed(world)
    assert found.base == Base({("flights", 0): 70, ("flights", 1): 20}), "of a state, else the first there is"
    [seen] = found.looks
    assert seen.ends == {("flights", 0): 1000, ("flights", 1): 2000}
    assert seen.read == {("flights", 0): 100}, "of declared topics only"
    assert (seen.readers, seen.pending, seen.lag_millis, seen.newest_millis) == ({("flights", 0): "v/0"}, 3, 9, 77)
    assert (seen.watermark, seen.running_millis, seen.trouble) == (11, 13_000, "")
    assert [bool(wish.followed) for wish in world.measured] == [True, False]


async def test_where_it_began_is_asked_once() -> None:
    world = coming()
    await followed(world)
    assert len((await followed(world)).looks) == 2
    assert sum(bool(wish.start) for wish in world.measured) == 1


async def test_between_two_looks_nobody_is_asked() -> None:
    world = coming(ago=2)
    found = await followed(world)
    assert (found.looks, world.measured) == ((), [])
    assert not [each for each in world.flink.asked if each[0] == "progress"]


async def test_a_job_that_does_not_run_yet_is_not_asked_for_its_progress() -> None:
    world = coming("Restarting", answer=flink("CREATED", began_millis=5))
    [seen] = (await followed(world)).looks
    assert (dict(seen.read), len(seen.ends)) == ({}, 2)
    assert not [each for each in world.flink.asked if each[0] == "progress"]


@pytest.mark.parametrize("running", [None, 0, 2999])
async def test_figures_of_tasks_that_are_gone_do_not_count(running: int | None) -> None:
    world = coming()
    world.flink.read = replace(world.flink.read, running_millis=running)
    [seen] = (await followed(world)).looks
    assert (dict(seen.read), seen.pending, seen.watermark, seen.running_millis) == ({}, None, None, running)


async def test_a_flink_that_does_not_answer_is_a_trouble_and_no_look_is_lost() -> None:
    world = coming()
    world.flink.read = RetryLater("time-out")
    [seen] = (await followed(world)).looks
    assert (dict(seen.read), len(seen.ends), seen.trouble) == ({}, 2, "time-out")


async def test_a_broker_that_does_not_answer_is_a_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    world = coming()

    async def silent(_: object) -> Measured:
        raise RetryLater("the broker does not answer")

    monkeypatch.setattr(world.measurer, "_look", silent)
    [seen] = (await followed(world)).looks
    assert (dict(seen.ends), seen.trouble) == ({}, "the broker does not answer")


async def test_a_topic_that_the_broker_does_not_know_is_a_trouble() -> None:
    """Half of a backlog would be taken for the whole."""
    world = coming()
    world.topics = Measured((TOPIC,), ("lost",))
    [seen] = (await followed(world)).looks
    assert (dict(seen.ends), seen.trouble) == ({}, "connection kafka: the broker does not know lost")


async def test_where_it_began_is_asked_again_when_the_broker_was_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    world = coming()

    async def silent(wish: SourceWish) -> Measured:
        if wish.followed:
            return world.topics
        raise RetryLater("the broker does not answer")

    monkeypatch.setattr(world.measurer, "_look", silent)
    found = await followed(world)
    assert (found.base, found.looks[-1].trouble) == (None, "the broker does not answer")
    monkeypatch.setattr(world.measurer, "_look", world._measure)
    monkeypatch.setattr(world.measurer, "_answers", {})
    assert (await followed(world)).base == Base({("flights", 0): 70, ("flights", 1): 20})


async def test_a_store_that_does_not_answer_is_not_taken_for_no_state(monkeypatch: pytest.MonkeyPatch) -> None:
    world = coming()

    async def closed(_: object) -> FakeStore:
        raise RetryLater("the store does not answer")

    monkeypatch.setattr(world, "object_store", closed)
    found = await followed(world)
    assert (found.base, found.looks[-1].trouble) == (None, "the store does not answer")


async def test_what_flink_has_restored_is_read_and_not_what_the_run_began_with() -> None:
    later = savepoint(2)
    world = coming(answer=flink(began_millis=5, restored=restored(later)), cause="TaskFailure")
    world.store.keys[f"{PLACE.key_of(later)}/_metadata"] = writer.one_subtask(
        6, writer.reader_state([writer.element(writer.split("flights", 0, 90))])
    )
    assert (await followed(world)).base == Base({("flights", 0): 90, ("flights", 1): 20})


@pytest.mark.parametrize("space", [NAMESPACE, "others"])
async def test_a_state_of_another_namespace_is_not_read(space: str) -> None:
    """A status is not trusted; a fork begins from another job's state, of its own namespace."""
    place = Place(PLACE.bucket, PLACE.prefix)
    elsewhere = place.uri(place.retained(space, "another", "1" * 8 + "-1111-4111-8111-" + "1" * 12, RUN, 3)).rstrip("/")
    world = coming(state=elsewhere)
    found = await followed(world)
    assert found.base == Base({("flights", 0): 70 if space == NAMESPACE else 10, ("flights", 1): 20})


@pytest.mark.parametrize("gone", ["the recovery is over", "the job is gone"])
async def test_what_was_seen_is_forgotten(gone: str) -> None:
    world = coming()
    attempt = (await followed(world)).attempt
    after = coming("CaughtUp") if gone == "the recovery is over" else FakeWorld()
    after.looks = world.looks
    assert (await look(after)).followed is None
    assert world.looks.of(NAMESPACE, JOB, attempt) == Followed(attempt)


# ---------------------------------------------------------------- why


async def why(answer: FlinkJob, said: str | Exception) -> Observed:
    world = coming(answer=answer)
    world.flink.why = said
    return await look(world)


async def test_flink_is_asked_why_it_restarted_the_tasks() -> None:
    again = flink(began_millis=5, restarted_millis=7)
    assert (await why(again, "TaskExecutor is shutting down")).fault == "TaskExecutor is shutting down"
    assert (await why(again, RetryLater("time-out"))).fault == ""
    assert (await why(BEGAN, "something of long ago")).fault == ""
