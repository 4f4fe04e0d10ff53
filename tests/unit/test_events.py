"""Kubernetes events: what they say, of which object, and that a lost one harms nothing."""

from __future__ import annotations

from typing import Any

import pytest

from penstock import clock
from penstock.errors import PenstockError, Refused, RetryLater, Stale
from penstock.events import post
from penstock.model import Note
from tests.unit.builders import JOB, JOB_UID, NAMESPACE, NOW, checkpoint, job, uid
from tests.unit.fakes import FakeKube
from tests.unit.world import seen


@pytest.fixture(autouse=True)
def _at_noon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: NOW)


def note(reason: str = "Running", message: str = "it runs", **change: Any) -> Note:
    return Note(**({"kind": "StreamJob", "name": JOB, "type": "Normal", "reason": reason, "message": message} | change))


async def posted(*notes: Note, observed: Any = None, kube: FakeKube | None = None) -> list[dict[str, Any]]:
    held: Any = kube or FakeKube()
    await post(held, observed or seen(checkpoint("before"), job=job()), notes)
    return list(held.of("Event").values())


async def test_an_event_of_a_stream_job() -> None:
    [event] = await posted(note())
    assert event["metadata"]["namespace"] == NAMESPACE
    assert event["involvedObject"] == {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "StreamJob",
        "namespace": NAMESPACE,
        "name": JOB,
        "uid": JOB_UID,
    }
    said = {key: event[key] for key in ("type", "reason", "message", "count", "source")}
    assert said == {
        "type": "Normal",
        "reason": "Running",
        "message": "it runs",
        "count": 1,
        "source": {"component": "penstock"},
    }
    assert (event["firstTimestamp"], event["lastTimestamp"]) == ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00Z")


async def test_an_event_of_a_checkpoint() -> None:
    [event] = await posted(note("Timeout", kind="Checkpoint", name="before", type="Warning"))
    about = event["involvedObject"]
    assert (about["kind"], about["name"], about["uid"]) == ("Checkpoint", "before", uid(1))
    assert event["type"] == "Warning"


async def test_two_of_the_same_millisecond_are_both_posted() -> None:
    events = await posted(note("Killed"), note("Finished"), note("Present", kind="Checkpoint", name="before"))
    assert {event["reason"] for event in events} == {"Killed", "Finished", "Present"}


async def test_a_long_message_is_cut() -> None:
    [event] = await posted(note(message="x" * 5000))
    assert event["message"] == "x" * 1000


async def test_the_name_of_an_event_is_one_that_kubernetes_takes() -> None:
    longest = "before." * 36 + "x"
    [event] = await posted(note(kind="Checkpoint", name=longest), observed=seen(checkpoint(longest)))
    name = event["metadata"]["name"]
    assert len(name) <= 253
    assert name.replace("-", "").isalnum()


async def test_an_object_that_is_gone_has_no_event() -> None:
    nothing = seen()
    assert await posted(note(), note(kind="Checkpoint", name="before"), observed=nothing) == []


@pytest.mark.parametrize(
    "error", [Refused("quota exceeded", "Forbidden", 403), RetryLater("no answer"), Stale("409")], ids=repr
)
async def test_an_event_that_cannot_be_posted_keeps_no_other_from_it(error: PenstockError) -> None:
    kube, tries = FakeKube(), []

    def fail_once(*_: str) -> None:
        tries.append(1)
        if len(tries) == 1:
            raise error

    kube.before = fail_once
    assert [event["reason"] for event in await posted(note("Killed"), note("Finished"), kube=kube)] == ["Finished"]
