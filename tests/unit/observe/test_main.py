"""One pass's look: everything that is asked, and Unknown for everything that does not answer."""

from __future__ import annotations

import asyncio
import struct
from functools import partial
from typing import Any

import pytest

from penstock.api import constants
from penstock.api.store import CheckpointStore
from penstock.errors import Refused, RetryLater
from penstock.flink.answers import Completed, FlinkJob, InProgress, Trigger
from penstock.flink.metadata import MAGIC
from penstock.inventory import verifier
from penstock.model import JobListing, Manager, Observed, TargetListing, Unknown
from penstock.observe import main as module
from penstock.observe import observe
from penstock.store.layout import Place
from penstock.verdict import Verification, Wish
from penstock.world import place_of, target_directory
from tests.unit.build.test_golden import context as run_context
from tests.unit.build.test_golden import everything
from tests.unit.builders import (
    FRESH_RUN,
    HOME,
    JOB,
    KEEPS,
    NAMESPACE,
    NOW,
    PLACE,
    RUN,
    WHOLE,
    checkpoint,
    deleting,
    flink,
    job,
    live,
    retained,
    savepoint,
    stop_intent,
    store_manifest,
    target,
    uid,
)
from tests.unit.fakes import FakeStore
from tests.unit.world import FakeFlink, FakeWorld, manifest

RUNNING = [manifest(job(live())), *everything(run_context())]


async def look(world: Any) -> Observed:
    return await observe(world, NAMESPACE, JOB, FRESH_RUN)


async def test_a_job_that_runs():
    world = FakeWorld(*RUNNING)
    found = await look(world)
    assert found.job is not None
    assert (found.fresh_run, found.flink, found.namespace_terminating) == (FRESH_RUN, flink(), False)
    assert [objects.run for objects in found.runs] == [RUN]
    assert [revision.version for revision in found.revisions] == [1]
    assert (found.listing, found.job_result, found.problems, found.store.problem) == (None, None, (), "")
    assert world.flink.asked == [("job", "http://flights-aaaaaaaa-jobmanager.flights.svc:8081", RUN)]
    assert world.store.calls == []


async def test_nothing_at_all():
    found = await look(FakeWorld())
    assert (found.job, found.checkpoints, found.runs) == (None, (), ())


async def test_only_the_jobs_own_checkpoints():
    other = manifest(checkpoint("other", 2, jobRef={"name": "another"}))
    found = await look(FakeWorld(*RUNNING, manifest(checkpoint()), other))
    assert [each.metadata.name for each in found.checkpoints] == ["before"]


async def test_one_checkpoint_that_cannot_be_read_does_not_stop_the_others():
    broken = manifest(checkpoint("broken", 2))
    broken["spec"]["pinned"] = {"not": "a boolean"}
    found = await look(FakeWorld(*RUNNING, manifest(checkpoint()), broken))
    assert [each.metadata.name for each in found.checkpoints] == ["before"]
    (unreadable,) = found.unreadable
    assert (unreadable.name, unreadable.told) == ("broken", False)
    assert unreadable.why.startswith("spec.pinned: ")
    told = {"type": "Stalled", "status": "True", "reason": "Unreadable", "message": unreadable.why}
    broken["status"] = {"conditions": [told]}
    assert (await look(FakeWorld(*RUNNING, broken))).unreadable[0].told


@pytest.mark.parametrize("error", [RetryLater("time-out"), Refused("no", "FlinkRefused", 400)])
async def test_a_flink_that_does_not_answer(error):
    taken = manifest(checkpoint(phase="Creating"))
    found = await look(FakeWorld(*RUNNING, taken, flink=FakeFlink(error, error)))
    assert found.flink == Unknown(str(error))
    assert found.triggers == {"before": Unknown(str(error))}


@pytest.mark.parametrize(
    ("said", "found"),
    [(KEEPS, KEEPS), (None, None), (RetryLater("time-out"), Unknown("time-out"))],
    ids=["keeps", "takes none", "silent"],
)
async def test_before_a_cancel_flink_is_asked_what_becomes_of_the_checkpoints(said, found):
    world = FakeWorld(manifest(job(live(intent=stop_intent("Cancel")))), *everything(run_context()))
    world.flink.checkpoints = said
    assert (await look(world)).checkpointing == found
    assert [asked[0] for asked in world.flink.asked] == ["job", "checkpointing"]


async def test_of_a_job_that_has_ended_it_is_not_asked():
    world = FakeWorld(manifest(job(live(intent=stop_intent("Cancel")))), *everything(run_context()))
    world.flink.answer = flink("CANCELED")
    assert (await look(world)).checkpointing is None


async def test_a_flink_that_does_not_know_the_job():
    world = FakeWorld(*RUNNING)
    world.flink.answer = None
    assert (await look(world)).flink is None


async def test_a_checkpoint_that_is_being_taken():
    held = FakeStore({f"{PLACE.key_of(savepoint(1))}/file": b"x"})
    world = FakeWorld(
        *RUNNING, manifest(checkpoint(phase="Creating")), store=held, flink=FakeFlink(trigger=InProgress())
    )
    found = await look(world)
    assert found.triggers == {"before": InProgress()}
    assert found.targets == {"before": TargetListing(None, (f"{PLACE.key_of(savepoint(1))}/file",), 1)}


async def test_a_savepoint_that_completes_while_this_pass_looks():
    """What Flink calls complete lies in the directory by then, and the listing must not be the older one of the two."""
    held = FakeStore()
    world = FakeWorld(*RUNNING, manifest(checkpoint(phase="Creating")), store=held, flink=_CompletesWhenAsked(held))
    found = await look(world)
    assert isinstance(found.triggers["before"], Completed)
    seen = found.targets["before"]
    assert isinstance(seen, TargetListing)
    assert seen.complete is not None


class _CompletesWhenAsked(FakeFlink):
    def __init__(self, held: FakeStore) -> None:
        super().__init__(trigger=Completed(savepoint(1)))
        self._held = held

    async def trigger(self, base: str, run: str, trigger_id: str) -> Trigger:
        await asyncio.sleep(0)  # anything else that the pass has begun goes first
        self._held.keys[f"{PLACE.key_of(savepoint(1))}/_metadata"] = struct.pack(">Iiq", 0x4960672D, 6, 1)
        return await super().trigger(base, run, trigger_id)


def _time_out(*_: str) -> None:
    raise RetryLater("time-out")


async def test_a_store_that_does_not_answer():
    new, taken = manifest(checkpoint("new", 2)), manifest(checkpoint(phase="Creating"))
    world = FakeWorld(*RUNNING, new, taken)
    world.store.before = _time_out
    found = await look(world)
    assert found.listing == Unknown("time-out")
    assert found.targets == {"before": Unknown("time-out")}


async def test_a_listing_for_a_start():
    found = await look(FakeWorld(manifest(job())))
    assert found.listing == JobListing()


async def test_how_a_run_ended():
    key = f"{HOME}ha/{RUN}/job-result-store/x/{RUN}.json"
    held = FakeStore({key: {"result": {"application-status": "SUCCEEDED"}}})
    objects = [dict(each) for each in everything(run_context())]
    for each in objects:
        if each["kind"] == "Job":
            each["status"] = {"conditions": [{"type": "Failed", "status": "True"}]}
    found = await look(FakeWorld(manifest(job(live())), *objects, store=held))
    assert (found.runs[0].manager, found.job_result, found.flink) == (Manager.FAILED, "FINISHED", None)


STORES: dict[str, tuple[dict[str, Any] | None, str]] = {
    "missing": (None, "there is no CheckpointStore main"),
    "not for this namespace": (
        store_manifest(allowedNamespaces={"names": ["others"]}),
        "is not for namespace flights",
    ),
    "silent": (
        store_manifest() | {"status": {"conditions": [{"type": "Ready", "status": "Unknown", "message": "time-out"}]}},
        "is not Ready: time-out",
    ),
    "not looked at yet": (store_manifest() | {"status": {}}, "not looked at yet"),
    "not Ready": (
        store_manifest() | {"status": {"conditions": [{"type": "Ready", "status": "False", "message": "no bucket"}]}},
        "no bucket",
    ),
}


@pytest.mark.parametrize(("stored", "problem"), STORES.values(), ids=STORES)
async def test_a_store_that_cannot_be_used(stored, problem):
    extra = [stored] if stored else []
    found = await look(FakeWorld(manifest(job()), *extra, ready=False))
    assert problem in found.store.problem
    assert (found.store.place is None) == (stored is None)


async def test_the_checkpoints_of_a_job_that_is_gone_name_the_store():
    held = FakeStore({f"{PLACE.key_of(savepoint(1))}/file": b"x"})
    found = await look(FakeWorld(manifest(checkpoint(phase="Present", status=deleting())), store=held))
    assert found.store.place == PLACE
    assert isinstance(found.targets["before"], TargetListing)


async def test_a_jobmanager_that_never_answers_takes_a_look_and_no_more(monkeypatch):
    """It lies on a node that is gone: each call has its own time, and together they held a worker for as long."""
    monkeypatch.setattr(module, "_known", partial(module._known, seconds=0.05))

    class Silent(FakeFlink):
        async def job(self, base: str, run: str) -> FlinkJob | None:
            await asyncio.Event().wait()
            return await super().job(base, run)

    found = await look(FakeWorld(*RUNNING, flink=Silent()))
    assert found.flink == Unknown("no answer in 0 s")


async def test_each_checkpoint_is_looked_for_in_its_own_store():
    old = store_manifest(bucket="elsewhere") | {"metadata": {"name": "old", "uid": "9", "resourceVersion": "1"}}
    moved = checkpoint("moved", 2, phase="Present", status=deleting() | {"store": "old"})
    world = FakeWorld(*RUNNING, old, manifest(moved), manifest(checkpoint(phase="Present", status=deleting())))
    asked: list[str] = []

    async def object_store(of: CheckpointStore) -> FakeStore:
        asked.append(of.metadata.name)
        return FakeStore(place=place_of(of))

    world.object_store = object_store  # type: ignore[method-assign]
    found = await look(world)
    assert (found.store_of(moved).place, found.store.place) == (Place("elsewhere", PLACE.prefix), PLACE)
    assert isinstance(found.targets["before"], TargetListing)
    assert isinstance(found.targets["moved"], Unknown)  # its status names a place in the bucket that it was not in
    assert sorted(asked) == ["main", "old"]


async def test_a_namespace_that_goes():
    world = FakeWorld(*RUNNING)
    world.kube.objects["Namespace", "", NAMESPACE]["metadata"]["deletionTimestamp"] = "2026-01-31T12:00:00Z"
    assert (await look(world)).namespace_terminating


CRD = f"checkpoints.{constants.GROUP}"
GOES = manifest(checkpoint(deleted=NOW))


async def test_a_kind_that_goes_with_all_of_its_objects():
    world = FakeWorld(*RUNNING, GOES)
    assert ((found := await look(world)).kinds_going, found.everything_goes) == (frozenset(), False)
    world.kube.objects["CustomResourceDefinition", "", CRD]["metadata"]["deletionTimestamp"] = "2026-01-31T12:00:00Z"
    assert ((found := await look(world)).kinds_going, found.everything_goes) == (frozenset({"Checkpoint"}), True)
    del world.kube.objects["CustomResourceDefinition", "", CRD]
    assert (await look(world)).kinds_going == {"Checkpoint"}


async def test_with_a_streamjob_that_goes_both_kinds_are_looked_at():
    world = FakeWorld(manifest(job(live(), deleted=NOW)), *everything(run_context()))
    await look(world)
    asked = [name for verb, kind, name in world.kube.calls if kind == "CustomResourceDefinition"]
    assert asked == [f"streamjobs.{constants.GROUP}", CRD]


async def test_as_long_as_nothing_goes_the_kinds_are_not_asked_for():
    world = FakeWorld(*RUNNING)
    await look(world)
    assert not [kind for _, kind, _ in world.kube.calls if kind == "CustomResourceDefinition"]


async def test_an_operator_that_may_not_look_at_kinds_does_not_know():
    world = FakeWorld(*RUNNING, GOES)

    def refuse(_verb: str, kind: str, _name: str) -> None:
        if kind == "CustomResourceDefinition":
            raise Refused("403 Forbidden", "Forbidden", 403)

    world.kube.before = refuse
    found = await look(world)
    assert (found.kinds_going, "403 Forbidden" in found.kinds_unknown) == (frozenset(), True)


@pytest.mark.parametrize(("reason", "known"), [("NotFound", True), ("Forbidden", False)])
async def test_a_kind_that_is_gone_is_not_a_reason_to_give_a_job_up(reason, known):
    world = FakeWorld(*RUNNING)

    def refuse(verb: str, kind: str, _name: str) -> None:
        if (verb, kind) == ("find", "Checkpoint"):
            raise Refused("no", reason)

    world.kube.before = refuse
    if known:
        assert (await look(world)).kinds_going == {"Checkpoint"}
    else:
        with pytest.raises(Refused):
            await look(world)


async def test_what_is_wrong_with_the_spec():
    wrong = job(flink={"version": "2.3", "configuration": {"parallelism.default": "7"}})
    (problem,) = (await look(FakeWorld(manifest(wrong)))).problems
    assert problem.path == "spec.flink.configuration[parallelism.default]"


async def test_a_status_that_cannot_be_read_is_lost_and_nothing_else():
    broken = manifest(job()) | {"status": {"state": "Dancing", "jobVersion": 4}}
    found = await look(FakeWorld(broken))
    assert found.job is not None
    assert (found.job.status.state, found.job.status.job_version) == (None, 4)


async def test_a_job_that_cannot_be_read_is_not_gone():
    broken = manifest(job())
    broken["spec"]["parallelism"] = "many"
    with pytest.raises(RetryLater):
        await look(FakeWorld(broken))


async def test_an_api_server_that_does_not_answer_ends_the_pass():
    world = FakeWorld(*RUNNING)
    world.kube.before = _time_out
    with pytest.raises(RetryLater):
        await look(world)


# ---------------------------------------------------------------- status is not trusted

PLACES = {
    "another bucket": f"s3://other/{HOME}savepoints/{uid(1)}/",
    "another job": target(1).replace("/flights-1111", "/others-1111"),
    "another namespace": target(1).replace("/flights/", "/others/"),
    "the whole job": PLACE.uri(HOME),
    "all savepoints": PLACE.uri(f"{HOME}savepoints/"),
    "inside of a savepoint": savepoint(1),
    "up": target(1) + "../",
    "nothing": "",
}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
async def test_a_directory_that_is_not_ours_is_neither_read_nor_deleted(place):
    held = FakeStore({f"{HOME}savepoints/{uid(1)}/x": b"x"})
    moved = checkpoint(phase="Present", status=deleting() | {"target_directory": place})
    store: Any = held
    with pytest.raises(Refused):
        target_directory(store.place, moved)
    found = await look(FakeWorld(*RUNNING, manifest(moved), store=held))
    assert isinstance(found.targets["before"], Unknown)
    assert held.calls == []


# ---------------------------------------------------------------- verification


class Looks:
    """Stands for `verify`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[str] = []
        monkeypatch.setattr(verifier, "verify", self)

    async def __call__(self, _store: Any, location: str) -> Verification:
        self.asked.append(location)
        return WHOLE


async def test_what_is_present_is_verified_in_the_background_and_the_job_is_woken(monkeypatch: pytest.MonkeyPatch):
    looks = Looks(monkeypatch)
    world = FakeWorld(*RUNNING, manifest(checkpoint(phase="Present")))
    assert (await look(world)).verified == {}
    await world.verifier.wait(world.store, [Wish(savepoint(1), NOW)], 5)
    assert (await look(world)).verified[savepoint(1)].verification == WHOLE
    assert (looks.asked, world.woken) == ([savepoint(1)], [(NAMESPACE, JOB)])


async def test_what_a_start_waits_for_is_verified_in_the_same_pass(monkeypatch: pytest.MonkeyPatch):
    Looks(monkeypatch)
    key = PLACE.key_of(retained(3)) or ""
    header = struct.pack(">IiqII", MAGIC, 3, 3, 0, 0)
    found = await look(FakeWorld(manifest(job({"applied": None})), store=FakeStore({f"{key}/_metadata": header})))
    assert found.verified[retained(3)].verification == WHOLE


@pytest.mark.parametrize("name", PLACES)
async def test_a_location_that_is_not_in_the_jobs_directory_is_not_verified(name: str, monkeypatch: pytest.MonkeyPatch):
    looks, place = Looks(monkeypatch), PLACES[name]
    world = FakeWorld(*RUNNING, manifest(checkpoint(phase="Present", status={"location": place})))
    await look(world)
    await world.verifier.wait(world.store, [Wish(place, NOW)], 5)
    assert bool(looks.asked) == (name in ("the whole job", "all savepoints", "inside of a savepoint"))


async def test_without_a_store_nobody_knows_what_a_checkpoint_is_worth():
    world = FakeWorld(*RUNNING, manifest(checkpoint(phase="Present")))
    world.object_store = _no_store  # type: ignore[method-assign]
    assert (await look(world)).verified[savepoint(1)].trouble == "no such Secret"


async def _no_store(_store: Any) -> FakeStore:
    raise Refused("no such Secret", "SecretNotFound")


# ---------------------------------------------------------------- other jobs of the namespace


def of_other(made: Any, name: str = "other") -> dict[str, Any]:
    """The object, of StreamJob `other`."""
    found = manifest(made)
    return found | {"spec": found["spec"] | {"jobRef": {"name": name}}}


OTHER = manifest(job(live())) | {"metadata": manifest(job())["metadata"] | {"name": "other"}}
FORK = manifest(job({"applied": None}, startFrom={"checkpoint": {"name": "before"}}))


async def test_a_checkpoint_of_another_job_is_looked_up_with_its_job():
    [found] = (await look(FakeWorld(FORK, OTHER, of_other(checkpoint(phase="Present"))))).foreign
    assert found.job is not None
    assert (found.checkpoint.metadata.name, found.job.metadata.name) == ("before", "other")


async def test_its_job_may_be_gone_and_it_may_not_be_there():
    [found] = (await look(FakeWorld(FORK, of_other(checkpoint(phase="Present"))))).foreign
    assert found.job is None
    assert (await look(FakeWorld(FORK, OTHER))).foreign == ()


async def test_one_that_cannot_be_read_is_left_out():
    strange = OTHER | {"spec": {"job": 7}}
    assert (await look(FakeWorld(FORK, strange, of_other(checkpoint(phase="Present"))))).foreign == ()


async def test_other_jobs_are_read_when_something_may_go_and_only_then():
    whole = FakeWorld(*RUNNING, OTHER, manifest(checkpoint(phase="Present")))
    assert (await look(whole)).others == ()
    assert ("find", "StreamJob", "") not in whole.kube.calls
    going = FakeWorld(*RUNNING, OTHER, manifest(checkpoint(phase="Present", deleted=NOW)))
    assert [other.metadata.name for other in (await look(going)).others] == ["other"]


async def test_a_job_that_cannot_be_read_is_named():
    strange = OTHER | {"spec": {"job": 7}}
    found = await look(FakeWorld(*RUNNING, strange, manifest(checkpoint(phase="Present", deleted=NOW))))
    assert (found.others, found.unreadable_others) == ((), ("other",))
