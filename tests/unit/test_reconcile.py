"""One pass: steps do not hold each other up, a conflict ends it, an error is written once."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

import pytest

from penstock import clock, names
from penstock.errors import Refused, RetryLater, Stale
from penstock.flink.answers import InProgress
from penstock.kube import resources
from penstock.reconcile import JobKey, Reconciler
from tests.unit.build.test_golden import context, everything
from tests.unit.builders import (
    JOB,
    NAMESPACE,
    NOW,
    OLD_RUN,
    PLACE,
    RUN,
    checkpoint,
    deleting,
    job,
    live,
    start_intent,
    stop_intent,
    target,
)
from tests.unit.world import FakeWorld, manifest

KEY = JobKey(NAMESPACE, JOB)
HOUR = timedelta(hours=1)
SCHEDULED = names.scheduled_checkpoint(JOB, NOW)


class Clock:
    """The one clock, turned by hand."""

    def __init__(self) -> None:
        self.now = NOW

    def turn(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture(autouse=True)
def hands(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(clock, "now", lambda: made.now)
    return made


def pass_of(world: FakeWorld) -> Any:
    given: Any = world
    return Reconciler(given)


def running(*more: Any, status: dict[str, Any] | None = None, **spec: Any) -> FakeWorld:
    labels = {"app": names.cluster_id(JOB, RUN), "type": "flink-native-kubernetes"}
    pointers = {"name": names.checkpoint_pointers(JOB, RUN), "namespace": NAMESPACE, "labels": labels}
    objects = [*everything(context()), {"apiVersion": "v1", "kind": "ConfigMap", "metadata": pointers}]
    return FakeWorld(manifest(job(status or live(), **spec)), *objects, *(manifest(each) for each in more))


def fail(error: Exception, *verbs: tuple[str, str]) -> Any:
    def before(verb: str, kind: str, _name: str) -> None:
        if (verb, kind) in verbs:
            raise error

    return before


async def test_a_job_that_is_gone_wants_no_other_pass():
    assert await pass_of(FakeWorld()).reconcile(KEY) is None


async def test_passes_bring_a_new_job_to_its_start():
    world = FakeWorld(manifest(job(finalizers=())))
    reconciler = pass_of(world)
    for _ in range(4):
        assert await reconciler.reconcile(KEY) is not None
    status = world.kube.of("StreamJob")[JOB]["status"]
    assert (status["state"], status["jobVersion"]) == ("Starting", 1)
    assert len(world.kube.of("Job")) == 1
    assert len(world.kube.of("ControllerRevision")) == 1
    assert [each["reason"] for each in world.kube.of("Event").values()] == ["Starting"]


async def test_a_settled_job_is_not_written_to():
    world = running()
    reconciler = pass_of(world)
    await reconciler.reconcile(KEY)
    world.kube.calls.clear()
    await reconciler.reconcile(KEY)
    assert {verb for verb, _, _ in world.kube.calls} == {"get", "find"}


async def test_an_effect_comes_before_the_status_that_says_it_is_done():
    world = FakeWorld(manifest(job({"intent": start_intent()})))
    await pass_of(world).reconcile(KEY)
    written = [(verb, kind) for verb, kind, _ in world.kube.calls if verb not in ("get", "find")]
    assert written == [("create", "ControllerRevision"), ("create", "ConfigMap"), ("status", "StreamJob")]


async def test_of_an_object_that_cannot_be_made_the_job_tells_and_goes_on(hands: Clock):
    due = {"followed": "0 * * * * UTC", "last_time": NOW, "next_time": NOW + HOUR, "creating": SCHEDULED}
    told = live(schedule=due, latest_checkpoint=None)
    world = running(status=told, checkpoints={"schedule": {"cron": "0 * * * *"}})
    world.kube.before = fail(Refused("quota exceeded", "Forbidden", 403), ("create", "Checkpoint"))
    reconciler = pass_of(world)
    with pytest.raises(Stale):  # the job's own step has written its status, and the error is written by the next pass
        await reconciler.reconcile(KEY)
    assert world.kube.of("StreamJob")[JOB]["status"]["latestCheckpoint"]["checkpointId"] == 7
    hands.turn(1)
    assert await reconciler.reconcile(KEY) is not None
    status = world.kube.of("StreamJob")[JOB]["status"]
    assert (status["lastError"]["message"], status["schedule"]["creating"]) == ("quota exceeded", SCHEDULED)
    world.kube.before = lambda _verb, _kind, _name: None
    hands.turn(2)
    await reconciler.reconcile(KEY)
    made = world.kube.of("Checkpoint")[SCHEDULED]
    assert (made["spec"]["source"], made["spec"]["origin"]) == ("Schedule", {"run": RUN})
    assert made["metadata"]["finalizers"] == ["penstock.dev/data"]


async def test_a_failing_effect_keeps_the_status_that_follows_it_from_being_written():
    world = FakeWorld(manifest(job({"intent": start_intent()})))
    world.kube.before = fail(Refused("quota exceeded", "Forbidden", 403), ("create", "ConfigMap"))
    pause = await pass_of(world).reconcile(KEY)
    status = world.kube.of("StreamJob")[JOB]["status"]
    assert not status["intent"].get("permitted")
    assert (status["lastError"]["reason"], status["lastError"]["message"]) == ("Forbidden", "quota exceeded")
    assert pause is not None
    assert pause > 0


async def test_the_same_error_is_written_once():
    world = FakeWorld(manifest(job({"intent": start_intent()})))
    world.kube.before = fail(Refused("no", "Forbidden", 403), ("create", "ConfigMap"))
    reconciler = pass_of(world)
    for _ in range(4):
        await reconciler.reconcile(KEY)
    assert [call for call in world.kube.calls if call[0] == "status"] == [("status", "StreamJob", JOB)]


async def test_pauses_after_failures_grow_and_are_forgotten(hands: Clock):
    world = FakeWorld(manifest(job({"intent": start_intent()})))
    tried = []

    def refuse(verb: str, kind: str, _name: str) -> None:
        if (verb, kind) == ("create", "ConfigMap"):
            tried.append(hands.now)
            raise RetryLater("no")

    world.kube.before = refuse
    reconciler = pass_of(world)
    while len(tried) < 13:
        hands.turn(await reconciler.reconcile(KEY))
    pauses = [(later - earlier).total_seconds() for earlier, later in itertools.pairwise(tried)]
    assert pauses == [0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    world.kube.before = lambda *_: None
    hands.turn(300)
    await reconciler.reconcile(KEY)
    assert reconciler._failures == {}


async def test_what_failed_is_not_tried_again_before_its_time_unless_it_is_something_else(hands: Clock):
    world = FakeWorld(manifest(job({"intent": start_intent()})))
    tries: list[str] = []

    def refuse(verb: str, kind: str, name: str) -> None:
        if (verb, kind) == ("create", "ConfigMap"):
            tries.append(name)
            raise RetryLater("no")

    world.kube.before = refuse
    reconciler = pass_of(world)
    for _ in range(3):
        await reconciler.reconcile(KEY)
    assert len(tries) == 1
    hands.turn(1)
    await reconciler.reconcile(KEY)
    assert len(tries) == 2
    world.kube._put(resources.STREAM_JOBS, manifest(job({"intent": start_intent(run=OLD_RUN)})))
    await reconciler.reconcile(KEY)
    assert len(tries) == 3


async def test_a_savepoint_is_polled_while_something_else_keeps_failing(hands: Clock):
    """Seen in the code: a deletion that the store refuses slowed a stop's polls down to one in five minutes."""
    refused = checkpoint("old", 2, "Present", deleting(), deleted=NOW)
    world = running(checkpoint(phase="Creating"), refused)
    world.store.keys[f"{PLACE.key_of(target(2))}/file"] = b"x"
    world.flink.trigger_answer = InProgress()
    world.store.before = _no_deletion
    reconciler = pass_of(world)
    pauses = []
    for _ in range(15):
        pauses.append(await reconciler.reconcile(KEY))
        hands.turn(pauses[-1])
    assert max(pauses) <= 5


async def test_a_failing_step_does_not_hold_up_another():
    """The StreamJob's step fails; the Checkpoint's is done."""
    world = running(checkpoint(finalizers=()), status=live(intent=stop_intent("Cancel")))
    world.flink.cancel = _no  # type: ignore[method-assign]
    await pass_of(world).reconcile(KEY)
    assert world.kube.of("Checkpoint")["before"]["metadata"]["finalizers"] == ["penstock.dev/data"]
    assert world.kube.of("StreamJob")[JOB]["status"]["lastError"]["message"] == "Flink said no"


async def _no(*_: str) -> None:
    raise Refused("Flink said no")


async def test_a_checkpoints_failing_step_is_written_to_the_checkpoint():
    world = running(checkpoint(phase="Creating"))
    world.store.before = _only_writes_fail
    await pass_of(world).reconcile(KEY)
    status = world.kube.of("Checkpoint")["before"]["status"]
    assert (status["phase"], status["lastError"]["message"]) == ("Creating", "the store is full")
    assert not [asked for asked in world.flink.asked if asked[0] == "savepoint"]


def _no_deletion(verb: str, _key: str) -> None:
    if verb in ("write", "delete"):
        raise Refused("AccessDenied")


def _only_writes_fail(verb: str, _key: str) -> None:
    if verb == "write":
        raise Refused("the store is full")


async def test_a_conflict_ends_the_pass():
    world = running(checkpoint(finalizers=()), status=live(flink_state=None))
    world.kube.before = fail(Stale("409"), ("status", "StreamJob"))
    with pytest.raises(Stale):
        await pass_of(world).reconcile(KEY)
    assert ("merge", "Checkpoint", "before") not in world.kube.calls


async def test_somebody_wrote_in_between():
    world = running()

    def write(verb: str, kind: str, _name: str) -> None:
        if (verb, kind) == ("status", "StreamJob"):
            world.kube.objects["StreamJob", NAMESPACE, JOB]["metadata"]["resourceVersion"] = "999"

    world.kube.before = write
    with pytest.raises(Stale):
        await pass_of(world).reconcile(KEY)


async def test_an_event_that_cannot_be_posted_harms_nothing():
    world = FakeWorld(manifest(job({"intent": start_intent(permitted=True)})), *everything(context()))
    world.kube.before = fail(Refused("no"), ("create", "Event"))
    await pass_of(world).reconcile(KEY)
    assert world.kube.of("StreamJob")[JOB]["status"]["state"] == "Starting"


async def test_the_last_pass_of_a_deleted_job_fails_nowhere():
    run = {"ended_at": "2026-01-31T11:00:00Z", "end_state": "STOPPED", "swept": True}
    gone = job(live(run=run), deleted="2099-01-31T11:00:00Z")
    world = FakeWorld(manifest(gone))
    await pass_of(world).reconcile(KEY)
    assert world.kube.of("StreamJob")[JOB]["metadata"]["finalizers"] == []
    assert not [call for call in world.kube.calls if call[0] == "status"]


async def test_nothing_is_done_when_another_operator_may_act_by_now():
    world = FakeWorld(manifest(job(finalizers=())))
    given: Any = world
    with pytest.raises(Stale, match="the lease was not renewed in time"):
        await Reconciler(given, lambda: False).reconcile(KEY)
    assert {verb for verb, _, _ in world.kube.calls} <= {"get", "find"}
