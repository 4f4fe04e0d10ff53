"""What belongs to nobody, on the status of a CheckpointStore: what is told, when it is written, and when not."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from penstock import reports
from penstock.api.base import dump
from penstock.errors import Refused, RetryLater, Stale
from penstock.inventory.leftovers import Kind
from penstock.inventory.orphans import find
from penstock.reports import Reports, report
from penstock.settings import Settings
from penstock.stores import NOT_OF_ALL
from tests.unit.builders import HOME, checkpoint, job, live, uid
from tests.unit.stage import OURS
from tests.unit.test_queue import until

LEFT = f"{HOME}savepoints/{uid(1)}/savepoint-aaaaaa-000000000001/file"
FIGURES = {
    "count": 1,
    "bytes": 10,
    "sizeText": "10 B",
    "oldest": "2026-01-31T11:00:00Z",
    "checkedAt": "2026-01-31T12:00:00Z",
    "unread": 0,
}


@pytest.fixture
async def held(stage):
    """A store that is Ready, with a savepoint in it that was never completed."""
    made = stage(keys=OURS | {LEFT: b""})
    await made.look(2)
    made.kube.calls.clear()
    return made


async def test_what_is_nobodys_is_counted(held):
    assert await report(held.world, "main") == 3600
    assert held.status["orphans"] == FIGURES
    assert held.told == ("True", "Answers", "False", "False")


async def test_what_is_somebodys_is_not(held):
    kube = held.kube
    for manifest in (dump(checkpoint("c", 1, "Creating")), dump(job(live()))):
        kube._put(reports.resources.resource_of(manifest), manifest)
    await report(held.world, "main")
    assert held.status["orphans"] == {
        "count": 0,
        "bytes": 0,
        "sizeText": "0 B",
        "checkedAt": "2026-01-31T12:00:00Z",
        "unread": 0,
    }


async def test_what_was_written_within_the_hour_is_not_counted(held):
    held.now -= timedelta(minutes=1)
    await report(held.world, "main")
    assert held.status["orphans"]["count"] == 0


async def test_the_next_look_comes_when_the_setting_says(held):
    held.world.settings = Settings(orphans_seconds=7)
    assert await report(held.world, "main") == 7


async def test_nothing_is_written_while_nothing_changes(held):
    for _ in range(5):
        await report(held.world, "main")
        held.now += timedelta(hours=1)
    assert held.writes == 1
    assert held.status["orphans"]["checkedAt"] == "2026-01-31T12:00:00Z"


async def test_the_time_of_the_look_is_written_every_six_hours(held):
    for _ in range(7):
        await report(held.world, "main")
        held.now += timedelta(hours=1)
    assert held.writes == 2
    assert held.status["orphans"] == FIGURES | {"checkedAt": "2026-01-31T18:00:00Z"}


async def test_a_change_is_written_at_once(held):
    await report(held.world, "main")
    held.now += timedelta(hours=1)
    held.s3.keys[f"{LEFT}2"] = b""
    await report(held.world, "main")
    assert held.status["orphans"] == FIGURES | {"bytes": 20, "sizeText": "20 B", "checkedAt": "2026-01-31T13:00:00Z"}


async def test_the_probe_leaves_the_report_as_it_is(held):
    await report(held.world, "main")
    held.now += timedelta(minutes=11)
    await held.look()
    assert held.status["orphans"] == FIGURES


# ---------------------------------------------------------------- when nobody can say


async def test_a_store_that_is_not_ready_is_not_looked_at(held):
    held.fail(Refused("no", "AccessDenied"))
    await held.look()
    held.fail(None)
    held.s3.calls.clear()
    assert await report(held.world, "main") == 60
    assert (held.s3.calls, "orphans" in held.status) == ([], False)


async def test_a_store_that_is_gone_is_not_looked_at_again(held):
    held.kube.objects.clear()
    assert await report(held.world, "main") is None


async def test_an_object_that_cannot_be_read_leaves_the_old_figures_and_says_why(held):
    await report(held.world, "main")
    broken = dump(job()) | {"spec": {}}
    held.kube._put(reports.resources.STREAM_JOBS, broken)
    held.now += timedelta(hours=1)
    assert await report(held.world, "main") == 300
    told = dict(held.status["orphans"])
    assert told.pop("message").startswith("StreamJob flights/flights cannot be read")
    assert told == FIGURES
    del held.kube.objects["StreamJob", "flights", "flights"]
    await report(held.world, "main")
    assert held.status["orphans"] == FIGURES | {"checkedAt": "2026-01-31T13:00:00Z"}


async def test_nothing_is_written_when_the_api_server_or_the_store_does_not_answer(held):
    held.fail(RetryLater("no answer"))
    assert await report(held.world, "main") == 300
    held.fail(None)

    def before(verb: str, kind: str, _name: str) -> None:
        if (verb, kind) == ("find", "Pod"):
            raise Stale("410 Gone: the list has expired")

    held.kube.before = before
    assert await report(held.world, "main") == 300
    assert held.writes == 0


async def test_a_job_that_cannot_be_listed_is_counted_as_unread(held):
    other = HOME.replace("/flights/", "/planes/")
    held.s3.keys[f"{other}savepoints/{uid(2)}/x/file"] = b""

    def before(verb: str, key: str) -> None:
        if (verb, key) == ("list", other):
            raise RetryLater("no answer")

    held.s3.before = before
    await report(held.world, "main")
    assert held.status["orphans"] == FIGURES | {"unread": 1}


async def test_a_status_that_has_changed_meanwhile_is_read_again(held):
    changed = []

    def before(verb: str, _kind: str, _name: str) -> None:
        if verb == "status" and not changed:
            changed.append(verb)
            held.stored["metadata"]["resourceVersion"] = "999"

    held.kube.before = before
    await report(held.world, "main")
    assert held.status["orphans"] == FIGURES
    assert held.status["clusterId"]


async def test_a_store_that_became_not_ready_meanwhile_is_not_written_to(held, monkeypatch):
    async def slow(*args: Any) -> Any:
        found = await find(*args)
        assert [each.kind for each in found.orphans] == [Kind.PARTIAL]
        held.stored["status"]["conditions"][0]["status"] = "False"
        return found

    monkeypatch.setattr(reports, "find", slow)
    await report(held.world, "main")
    assert (held.writes, "orphans" in held.status) == (0, False)


# ---------------------------------------------------------------- some namespaces only


async def test_where_some_namespaces_are_watched_the_field_says_why_there_is_no_report(stage, caplog):
    made = stage(keys=OURS | {LEFT: b""})
    made.world.settings = Settings(watch_namespaces=("flights",))
    caplog.set_level("INFO")
    await made.look(2)
    assert made.status["orphans"] == {"message": NOT_OF_ALL}
    assert made.writes == 1
    follower = Reports(made.world)
    for _ in range(3):
        follower.follow("main")
    assert follower._queue._timers == {}
    assert [each.message for each in caplog.records] == [f"orphans in stores are {NOT_OF_ALL}"]


# ---------------------------------------------------------------- its own queue


async def test_a_store_is_followed_once_until_it_is_gone(held, monkeypatch):
    monkeypatch.setattr(reports, "FIRST_SECONDS", 0.01)
    follower = Reports(held.world)
    task = asyncio.create_task(follower.run())
    for _ in range(3):
        follower.follow("main")
    await until(lambda: "orphans" in held.status)
    await asyncio.sleep(0.1)  # a second look would come now
    assert held.status["orphans"] == FIGURES
    assert sum(call == ("list", HOME) for call in held.s3.calls) == 1
    held.kube.objects.clear()
    follower._queue.add("main")
    await until(lambda: follower._followed == set())
    task.cancel()


async def test_one_store_is_looked_at_at_a_time(held, monkeypatch):
    monkeypatch.setattr(reports, "FIRST_SECONDS", 0.0)
    at_once: list[int] = []
    inside = 0

    async def slow(_world: Any, _name: str) -> float:
        nonlocal inside
        inside += 1
        at_once.append(inside)
        await asyncio.sleep(0.01)
        inside -= 1
        return 100

    monkeypatch.setattr(reports, "report", slow)
    follower = Reports(held.world)
    task = asyncio.create_task(follower.run())
    for name in "abc":
        follower.follow(name)
    await until(lambda: len(at_once) == 3)
    await asyncio.sleep(0.1)  # nothing comes after the three
    task.cancel()
    assert at_once == [1, 1, 1]
