"""Effects in Kubernetes and Flink: each may be repeated, and touches what it names only."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from penstock import names
from penstock.act import carry_out
from penstock.api import constants
from penstock.api.history import RUN_PREFIX, RunRecord
from penstock.build import run as build
from penstock.decide.change import spec_hash
from penstock.errors import RetryLater, Stale
from penstock.kube import resources
from penstock.model import (
    ApplyRun,
    CancelJob,
    CreateCheckpoint,
    DeleteCheckpoint,
    DeleteHighAvailability,
    DeleteManager,
    DeletePods,
    DeleteRun,
    GrantPermit,
    Observed,
    RecordRevision,
    RecordRun,
    Revision,
    SayUnreadable,
    SetFinalizer,
    StoreView,
    TriggerSavepoint,
)
from penstock.observe.kubernetes import revisions_of
from tests.unit.build.test_golden import context
from tests.unit.builders import JOB, NAMESPACE, NOW, OLD_RUN, RUN, checkpoint, job, savepoint, uid
from tests.unit.world import FakeWorld, manifest, seen

SPEC = job().spec
APPLY = ApplyRun(RUN, 1, spec_hash(SPEC), SPEC, savepoint(1), "{}")
BASE = "http://flights-aaaaaaaa-jobmanager.flights.svc:8081"


def with_job(*more: Any) -> tuple[Any, Observed]:
    """A world with the job, and the job as it was read there."""
    world = FakeWorld(manifest(job()), *(manifest(each) for each in more))
    read = world.kube.objects["StreamJob", NAMESPACE, JOB]
    of = type(job()).model_validate(read)
    checkpoints = [type(checkpoint()).model_validate(each) for each in world.kube.of("Checkpoint").values()]
    return world, seen(*checkpoints, job=of)


async def test_all_objects_of_a_run_the_job_last_and_no_permit():
    world, observed = with_job()
    await carry_out(world, observed, APPLY)
    applied = [(kind, name) for verb, kind, name in world.kube.calls if verb == "apply"]
    assert applied[-1] == ("Job", "flights-aaaaaaaa-jobmanager")
    assert {kind for kind, _ in applied} >= {"ConfigMap", "Secret", "Service", "Deployment", "Job", "ServiceAccount"}
    assert names.permit(JOB, RUN) not in world.kube.of("ConfigMap")
    before = set(world.kube.objects)
    await carry_out(world, observed, APPLY)
    assert set(world.kube.objects) == before


async def test_a_script_has_the_constants_of_its_run():
    world, observed = with_job()
    script = "INSERT INTO a SELECT * FROM b WHERE t > TIMESTAMP '${penstock.replay.output-from}';"
    spec = job(job={"sql": {"script": script}}).spec
    times = {"outputFrom": "2026-01-30T12:00:00Z", "sourceStart": "2026-01-30T11:00:00Z"}
    for told, expected in (
        ("{}", "1970-01-01 00:00:00.000"),
        (json.dumps({"replay": times}), "2026-01-30 12:00:00.000"),
    ):
        await carry_out(world, observed, ApplyRun(RUN, 1, "x", spec, "", told))
        (secret,) = world.kube.of("Secret").values()
        assert f"TIMESTAMP '{expected}';" in secret["stringData"]["job.sql"]
        annotation = world.kube.of("Job")[names.job_manager(JOB, RUN)]["metadata"]["annotations"]
        assert annotation["penstock.dev/started-from"] == told
        world, observed = with_job()


async def test_an_account_that_is_as_it_should_be_is_not_written_again():
    world, observed = with_job()
    await carry_out(world, observed, APPLY)
    kinds = ("ServiceAccount", "Role", "RoleBinding")
    role = world.kube.of("Role")[names.FLINK_SERVICE_ACCOUNT]
    role["metadata"]["annotations"] = {"somebody": "else's"}
    world.kube.calls.clear()
    await carry_out(world, observed, APPLY)
    assert [kind for verb, kind, _ in world.kube.calls if verb == "apply" and kind in kinds] == []
    role["rules"] = []
    del world.kube.objects["ServiceAccount", NAMESPACE, names.FLINK_SERVICE_ACCOUNT]
    await carry_out(world, observed, APPLY)
    assert [kind for verb, kind, _ in world.kube.calls if verb == "apply" and kind in kinds] == [
        "ServiceAccount",
        "Role",
    ]


async def test_a_service_account_of_the_users_is_not_made():
    world, observed = with_job()
    mine = job(serviceAccountName="mine").spec
    await carry_out(world, observed, ApplyRun(RUN, 1, "x", mine, "", "{}"))
    assert world.kube.of("ServiceAccount") == {}


async def test_the_permit_is_made_once_and_the_same_one_stays():
    world, observed = with_job()
    await carry_out(world, observed, GrantPermit(RUN))
    first = world.kube.of("ConfigMap")[names.permit(JOB, RUN)]["metadata"]["uid"]
    await carry_out(world, observed, GrantPermit(RUN))
    assert world.kube.of("ConfigMap")[names.permit(JOB, RUN)]["metadata"]["uid"] == first


async def test_a_run_goes_whole_and_no_other_goes_with_it():
    world, observed = with_job()
    other = ApplyRun(OLD_RUN, 1, "x", SPEC, "", "{}")
    for effect in (APPLY, GrantPermit(RUN), other):
        await carry_out(world, observed, effect)
    for _ in range(2):
        await carry_out(world, observed, DeleteRun(RUN))
    left = {name for kind in ("ConfigMap", "Secret", "Service", "Deployment", "Job") for name in world.kube.of(kind)}
    assert left == {each["metadata"]["name"] for each in build.lasting(_context_of(OLD_RUN))}


async def test_what_is_deleted_last_can_be_seen():
    """Killed in between, the next operator goes on because something that it can list is left: a Secret it cannot."""
    world, observed = with_job()
    for manifest_of_run in build.lasting(context()):
        await world.kube.create(manifest_of_run)
    await carry_out(world, observed, DeleteRun(RUN))
    deleted = [kind for verb, kind, _ in world.kube.calls if verb == "delete"]
    assert deleted[-1] != "Secret"
    assert "Secret" in deleted


def _context_of(run: str) -> Any:
    return type(context())(**{**context().__dict__, "run": run})


async def test_flinks_config_maps_of_one_run():
    world, observed = with_job()
    for run in (RUN, OLD_RUN):
        labels = {"app": names.cluster_id(JOB, run), "type": "flink-native-kubernetes"}
        name = names.checkpoint_pointers(JOB, run)
        meta = {"name": name, "namespace": NAMESPACE, "labels": labels}
        await world.kube.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta})
    await carry_out(world, observed, DeleteHighAvailability(RUN))
    assert set(world.kube.of("ConfigMap")) == {names.checkpoint_pointers(JOB, OLD_RUN)}


async def test_flinks_config_maps_go_also_when_the_store_is_gone():
    """And the job goes without the store; one that stays is not done before its keys are gone, too."""
    world, _ = with_job()
    gone = StoreView(problem="there is no CheckpointStore main")
    with pytest.raises(RetryLater, match="stays until it is there again: there is no CheckpointStore main"):
        await carry_out(world, seen(job=job(), store=gone), DeleteHighAvailability(RUN))
    await carry_out(world, seen(job=job(deleted=NOW), store=gone), DeleteHighAvailability(RUN))
    assert world.store.calls == []


async def test_a_job_version_is_made_once():
    world, observed = with_job()
    await carry_out(world, observed, RecordRevision(1, "hash", SPEC))
    with pytest.raises(RetryLater, match="an earlier job's"):  # there, but not among this job's versions
        await carry_out(world, observed, RecordRevision(1, "hash", SPEC))
    observed = replace(observed, revisions=(Revision(1, "hash", {}),))
    await carry_out(world, observed, RecordRevision(1, "hash", SPEC))
    (made,) = world.kube.of("ControllerRevision").values()
    assert (made["metadata"]["name"], made["revision"]) == ("flights-v1", 1)


async def test_a_run_is_recorded_beside_others_and_the_oldest_go():
    world, observed = with_job()
    await carry_out(world, observed, RecordRevision(1, "hash", SPEC))
    record = RunRecord.model_validate({"kind": "Empty", "startedAt": "2026-01-31T12:00:00Z"})
    await carry_out(world, observed, RecordRun("flights-v1", OLD_RUN, record))
    for _ in range(2):
        await carry_out(world, observed, RecordRun("flights-v1", RUN, record, forget=(OLD_RUN,)))
    [found] = await revisions_of(world.kube, job().metadata)
    assert (found.runs, found.spec_hash) == ({RUN: record}, "hash")


async def test_a_record_that_cannot_be_read_is_none():
    world, observed = with_job()
    await carry_out(world, observed, RecordRevision(1, "hash", SPEC))
    told = {f"{RUN_PREFIX}{RUN}": "{}", f"{RUN_PREFIX}{OLD_RUN}": "no JSON", "another.example/note": "{}"}
    world.kube.of("ControllerRevision")["flights-v1"]["metadata"]["annotations"] |= told
    [found] = await revisions_of(world.kube, job().metadata)
    assert found.runs == {}


async def test_a_checkpoint_of_a_stop_is_made_once_with_its_finalizer():
    world, observed = with_job()
    effect = CreateCheckpoint("flights-stop-1", "Stop", RUN, "Stop of version 1")
    for _ in range(2):
        await carry_out(world, observed, effect)
    (made,) = world.kube.of("Checkpoint").values()
    assert made["metadata"]["finalizers"] == [constants.FINALIZER_DATA]
    assert made["spec"]["origin"] == {"run": RUN}
    assert "ownerReferences" not in made["metadata"]


async def test_only_the_job_of_the_jobmanager_is_deleted():
    world, observed = with_job()
    await carry_out(world, observed, DeleteManager(RUN))
    assert [call for call in world.kube.calls if call[0] == "delete"] == [
        ("delete", "Job", names.job_manager(JOB, RUN))
    ]


async def test_a_checkpoint_that_cannot_be_read_says_so_and_keeps_all_else():
    deleting = {"type": "Deleting", "status": "True", "reason": "Deleted"}
    world, observed = with_job(checkpoint(phase="Present", status={"conditions": [deleting]}))
    for why in ("spec.pinned: no", "spec.pinned: still no"):
        await carry_out(world, observed, SayUnreadable(NAMESPACE, "before", why))
    status = world.kube.of("Checkpoint")["before"]["status"]
    assert status["phase"] == "Present"
    kept, stalled = status["conditions"]
    assert (kept["type"], stalled["type"], stalled["status"]) == ("Deleting", "Stalled", "True")
    assert (stalled["reason"], stalled["message"]) == ("Unreadable", "spec.pinned: still no")
    # By the only verb that the operator's role has for a status.
    assert [verb for verb, _, _ in world.kube.calls if verb in ("merge", "status")] == ["status", "status"]


async def test_finalizers_of_others_stay():
    world, observed = with_job(checkpoint(finalizers=("theirs",)))
    await carry_out(world, observed, SetFinalizer("Checkpoint", "before", present=True))
    assert world.kube.of("Checkpoint")["before"]["metadata"]["finalizers"] == ["theirs", constants.FINALIZER_DATA]
    await carry_out(world, observed_again(world), SetFinalizer("Checkpoint", "before", present=False))
    assert world.kube.of("Checkpoint")["before"]["metadata"]["finalizers"] == ["theirs"]


def observed_again(world: Any) -> Observed:
    checkpoints = [type(checkpoint()).model_validate(each) for each in world.kube.of("Checkpoint").values()]
    return seen(*checkpoints, job=job())


async def test_a_finalizer_is_set_on_what_was_seen_only():
    world, observed = with_job()
    world.kube.objects["StreamJob", NAMESPACE, JOB]["metadata"]["resourceVersion"] = "999"
    with pytest.raises(Stale):
        await carry_out(world, observed, SetFinalizer("StreamJob", JOB, present=False))


async def test_only_that_very_checkpoint_is_deleted():
    world, observed = with_job(checkpoint())
    with pytest.raises(Stale):
        await carry_out(world, observed, DeleteCheckpoint("before", uid(9)))
    await carry_out(world, observed, DeleteCheckpoint("before", uid(1)))
    assert world.kube.of("Checkpoint") == {}


async def test_pods_by_name():
    world, observed = with_job()
    await carry_out(world, observed, DeletePods(("a", "b")))
    assert [call for call in world.kube.calls if call[0] == "delete"] == [
        ("delete", "Pod", "a"),
        ("delete", "Pod", "b"),
    ]


async def test_what_is_asked_of_flink():
    world, observed = with_job()
    await carry_out(world, observed, TriggerSavepoint("before", RUN, "t", "s3://x", "Native", stop=False))
    await carry_out(world, observed, TriggerSavepoint("before", RUN, "t", "s3://x", "Native", stop=True))
    await carry_out(world, observed, CancelJob(RUN))
    assert world.flink.asked == [
        ("savepoint", BASE, RUN, "t", "s3://x", "Native"),
        ("stop", BASE, RUN, "t", "s3://x", "Native"),
        ("cancel", BASE, RUN),
    ]


@pytest.mark.parametrize("effect", [APPLY, GrantPermit(RUN)])
async def test_without_a_store_a_run_is_made_later(effect):
    world, _ = with_job()
    with pytest.raises(RetryLater):
        await carry_out(world, seen(job=job(), store=StoreView(problem="gone")), effect)


async def test_without_a_job_nothing_is_made():
    world, _ = with_job()
    with pytest.raises(RetryLater):
        await carry_out(world, seen(), APPLY)
    assert resources.JOBS.kind not in {kind for kind, _, _ in world.kube.objects}
