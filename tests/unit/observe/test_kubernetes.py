"""What Kubernetes' objects are read as."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from penstock import names
from penstock.build import preflight
from penstock.build import run as build
from penstock.build.context import RunContext
from penstock.model import Manager, ProgramPod, RunObjects
from penstock.observe.kubernetes import items_of, programs_of, revisions_of
from penstock.observe.kubernetes import runs_of as runs_among
from tests.unit.build.test_golden import context
from tests.unit.builders import JOB, RUN
from tests.unit.fakes import FakeKube, Manifest


async def runs_of(kube: Any, meta: Any) -> tuple[RunObjects, ...]:
    return await runs_among(kube, meta, await items_of(kube, meta))


def pod(name: str, component: str = "taskmanager", **more: Any) -> Manifest:
    metadata = {
        "name": name,
        "namespace": "flights",
        "labels": context().labels(component),
        "creationTimestamp": more.pop("created", "2026-01-31T11:00:00Z"),
    }
    metadata |= more.pop("metadata", {})
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "status": {"phase": "Running"} | more}


def waiting(reason: str, where: str = "containerStatuses") -> dict[str, Any]:
    return {where: [{"name": "x", "state": {"waiting": {"reason": reason, "message": "why"}}}]}


async def look(*more: Manifest, without: str = "", job: dict[str, Any] | None = None) -> RunObjects:
    of: RunContext = context()
    made = [each for each in build.lasting(of) if each["kind"] != without]
    for each in made:
        if each["kind"] == "Job" and job is not None:
            each["status"] = job
    kube: Any = FakeKube(*made, *more)
    (found,) = await runs_of(kube, of.meta)
    return found


async def test_a_whole_run():
    found = await look(pod("a"), pod("b"))
    assert (found.run, found.manager, found.missing, found.permit) == (RUN, Manager.ACTIVE, (), False)
    assert (found.pods, found.drifted, found.creating, found.troubles) == (2, False, False, ())
    assert (found.job_version, found.spec_hash, found.started_from) == (1, context().spec_hash, '{"kind": "Empty"}')
    assert found.objects == 4


async def test_nothing():
    kube: Any = FakeKube()
    assert await runs_of(kube, context().meta) == ()


async def test_a_permit_that_was_used_is_none_any_more():
    used = build.permit(context())
    used["data"]["used"] = "flights-aaaaaaaa-jobmanager-x"
    kube: Any = FakeKube(used)
    (found,) = await runs_of(kube, context().meta)
    assert (found.permit, found.objects) == (False, 1)


async def test_a_permit_alone_is_something():
    kube: Any = FakeKube(build.permit(context()))
    (found,) = await runs_of(kube, context().meta)
    assert found.permit
    assert (found.manager, found.objects) == (Manager.ABSENT, 1)
    assert len(found.missing) == 4


@pytest.mark.parametrize("kind", ["ConfigMap", "Service", "Deployment", "Job"])
async def test_what_is_missing(kind):
    found = await look(without=kind)
    assert [each.split("/")[0] for each in found.missing] == [kind]


MANAGERS = {
    "none": (None, Manager.ACTIVE),
    "active": ({"active": 1}, Manager.ACTIVE),
    "suspended": ({"conditions": [{"type": "Suspended", "status": "True"}]}, Manager.ACTIVE),
    "failed": ({"conditions": [{"type": "Failed", "status": "True", "reason": "PodFailurePolicy"}]}, Manager.FAILED),
    "about to fail": ({"conditions": [{"type": "FailureTarget", "status": "True"}]}, Manager.FAILED),
    "not failed": ({"conditions": [{"type": "Failed", "status": "False"}]}, Manager.ACTIVE),
    "complete": ({"conditions": [{"type": "Complete", "status": "True"}]}, Manager.COMPLETE),
}


@pytest.mark.parametrize(("status", "manager"), MANAGERS.values(), ids=MANAGERS)
async def test_what_became_of_the_jobmanager(status, manager):
    assert (await look(job=status)).manager is manager


async def test_a_deployment_that_somebody_scaled():
    scaled = build.task_managers(context())
    scaled["spec"]["replicas"] = 7
    assert (await look(scaled)).drifted


async def test_pods_that_have_ended_are_no_pods_but_terminating_ones_are():
    ended = [pod("a", phase="Succeeded"), pod("b", phase="Failed")]
    going = pod("c", metadata={"deletionTimestamp": "2026-01-31T11:00:00Z"})
    assert (await look(*ended, going)).pods == 1


async def test_a_pod_that_waits_for_its_volumes():
    assert (await look(pod("a", **waiting("ContainerCreating")))).creating
    assert (await look(pod("a", **waiting("PodInitializing")))).creating
    going = {"deletionTimestamp": "2026-01-31T11:00:00Z"}
    assert not (await look(pod("a", metadata=going, **waiting("ContainerCreating")))).creating


def stuck_in(reason: str, message: str) -> dict[str, Any]:
    """A JobManager's pod whose first init container does not start, as the kubelet tells of it."""
    first = {"name": "render", "state": {"waiting": {"reason": reason, "message": message}}}
    later = {"state": {"waiting": {"reason": "PodInitializing"}}}
    return {
        "phase": "Pending",
        "conditions": [{"type": "PodScheduled", "status": "True"}],
        "initContainerStatuses": [first, {"name": "guard", **later}],
        "containerStatuses": [{"name": "jobmanager", **later}],
    }


@pytest.mark.parametrize("why", ['secret "limits" not found', "couldn't find key rows in Secret flights/limits"])
async def test_a_secret_that_is_missing_is_told_in_kubernetes_words(why):
    found = await look(pod("a", "jobmanager", **stuck_in("CreateContainerConfigError", why)))
    assert found.troubles == (f"pod a: CreateContainerConfigError {why}",)


async def test_a_pod_whose_volumes_are_there_does_not_wait_for_them():
    assert not (await look(pod("a", "jobmanager", **stuck_in("CreateContainerConfigError", "why")))).creating
    assert (await look(pod("a", "jobmanager", **stuck_in("PodInitializing", "")))).creating


@pytest.mark.parametrize("where", ["containerStatuses", "initContainerStatuses"])
@pytest.mark.parametrize("reason", ["ImagePullBackOff", "CrashLoopBackOff", "CreateContainerConfigError"])
async def test_why_pods_do_not_start(reason, where):
    assert (await look(pod("a", **waiting(reason, where)))).troubles == (f"pod a: {reason} why",)


async def test_why_pods_are_not_scheduled():
    unschedulable = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no cpu"}
    assert (await look(pod("a", conditions=[unschedulable]))).troubles == ("pod a: Unschedulable no cpu",)


async def test_all_ended_pods_but_the_newest_three_are_stale():
    ended = [pod(f"p{each}", "jobmanager", phase="Failed", created=f"2026-01-31T11:0{each}:00Z") for each in range(6)]
    assert set((await look(*ended)).stale_pods) == {"p0", "p1", "p2"}


async def test_a_pod_that_the_job_has_not_counted_yet_is_not_stale():
    mark = {"finalizers": ["batch.kubernetes.io/job-tracking"]}
    ended = [pod(f"p{each}", "jobmanager", phase="Failed", metadata=mark) for each in range(6)]
    assert (await look(*ended)).stale_pods == ()


async def test_the_last_words_of_a_jobmanager():
    said = "a.B: x\nCaused by: c.D: y\nCaused by: e.F: z\n\tat g\n"
    state = {"containerStatuses": [{"name": "jobmanager", "state": {"terminated": {"message": said}}}]}
    assert (await look(pod("a", "jobmanager", phase="Failed", **state))).crash == "Caused by: e.F: z"


def refused(code: int) -> dict[str, Any]:
    return {"initContainerStatuses": [{"name": "guard", "state": {"terminated": {"exitCode": code}}}]}


async def test_a_guard_that_fails_is_told():
    """Seen: pods that end at once, at growing intervals, and Starting without a word."""
    older = pod("a", "jobmanager", phase="Failed", created="2026-01-31T11:00:00Z")
    newer = pod("b", "jobmanager", phase="Failed", created="2026-01-31T11:01:00Z", **refused(2))
    (told,) = (await look(older, newer)).troubles
    assert told == "pod b: its init container guard failed with exit code 2 (kubectl logs b -c guard)"


@pytest.mark.parametrize("code", [0, 75])
async def test_what_the_guard_decides_is_no_failure_of_its_own(code):
    assert (await look(pod("a", "jobmanager", phase="Failed", **refused(code)))).troubles == ()


async def test_a_guard_that_failed_once_is_over_when_the_next_pod_is_there():
    ended = pod("a", "jobmanager", phase="Failed", **refused(2))
    assert (await look(ended, pod("b", "jobmanager", created="2026-01-31T11:01:00Z"))).troubles == ()


async def test_flinks_own_config_maps():
    name = names.checkpoint_pointers(JOB, RUN)
    labels = {"app": names.cluster_id(JOB, RUN), "type": "flink-native-kubernetes"}
    made = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "flights", "labels": labels},
    }
    found = await look(made)
    assert found.ha_config_maps == (name,)
    assert found.objects == 4


async def test_what_carries_our_labels_but_no_run_is_ignored():
    stranger = pod("x", metadata={"labels": context().labels("x") | {"penstock.dev/run": "not a run"}})
    kube: Any = FakeKube(stranger)
    assert await runs_of(kube, context().meta) == ()


async def test_job_versions_oldest_first():
    of = context()
    kube: Any = FakeKube(*(build.revision(of.meta, version, f"hash-{version}", of.spec) for version in (10, 2, 1)))
    found = await revisions_of(kube, of.meta)
    assert [(each.version, each.spec_hash) for each in found] == [(1, "hash-1"), (2, "hash-2"), (10, "hash-10")]
    assert type(of.spec).model_validate(found[0].spec) == of.spec


@pytest.mark.parametrize(
    ("failed", "phase", "waits"),
    [(1, "Failed", True), (1, "Running", False), (1, "Pending", False), (0, "Failed", False)],
)
async def test_a_jobmanager_that_waits_for_its_next_pod(failed, phase, waits):
    found = await look(pod("m", "jobmanager", phase=phase), pod("t"), job={"failed": failed})
    assert found.waits is waits


async def test_when_its_job_was_made():
    of = context()
    made = build.lasting(of)
    made[-1]["metadata"]["creationTimestamp"] = "2026-01-31T11:00:00Z"
    kube: Any = FakeKube(*made)
    (found,) = await runs_of(kube, of.meta)
    assert found.manager_made_at == datetime(2026, 1, 31, 11, 0, tzinfo=UTC)


# ---------------------------------------------------------------- the pods of preflights


def tried(*pods: Manifest, **job: Any) -> list[Manifest]:
    of = replace(context(), preflight=True)
    made = preflight.objects(of, ())
    made[-1]["status"] = job
    for each in pods:
        each["metadata"]["labels"] = of.labels("preflight")
    return [*made, *pods]


async def program(*manifests: Manifest) -> ProgramPod:
    kube: Any = FakeKube(*manifests)
    items = await items_of(kube, context().meta)
    assert await runs_among(kube, context().meta, items) == ()
    (found,) = programs_of(items)
    return found


def terminated(code: int, message: str, name: str = "preflight", reason: str = "Completed") -> dict[str, Any]:
    end = {"exitCode": code, "message": message, "reason": reason}
    return {"containerStatuses": [{"name": name, "state": {"terminated": end}}]}


async def test_a_preflight_is_no_run_and_its_answer_is_the_message_of_its_container():
    found = await program(*tried(pod("a", **terminated(0, "graph 3 0"))))
    assert found == ProgramPod(RUN, made=True, answer="graph 3 0", ended=True)
    assert await program(*tried(pod("a"))) == ProgramPod(RUN, made=True)


async def test_a_process_that_ended_with_an_error_has_no_answer_and_its_last_line_is_told():
    job = {"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]}
    found = await program(*tried(pod("a", phase="Failed", **terminated(137, "a\nb", reason="OOMKilled")), **job))
    assert (found.answer, found.ended, found.troubles) == ("", True, ("OOMKilled (137) b",))


async def test_a_deadline_without_a_pod_is_told_in_the_jobs_words():
    job = {"conditions": [{"type": "Failed", "status": "True", "reason": "DeadlineExceeded", "message": "too long"}]}
    found = await program(*tried(**job))
    assert (found.ended, found.troubles) == (True, ("DeadlineExceeded: too long",))


@pytest.mark.parametrize(("reason", "hopeless"), [("ImagePullBackOff", True), ("ErrImagePull", False)])
async def test_what_cannot_start(reason: str, hopeless: bool):  # noqa: FBT001
    found = await program(*tried(pod("a", phase="Pending", **waiting(reason))))
    assert (found.hopeless, found.ended, len(found.troubles)) == (hopeless, False, 1)


async def test_what_a_deletion_has_left_is_found():
    found = await program(tried()[0])
    assert found == ProgramPod(RUN)
