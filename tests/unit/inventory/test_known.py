"""What Kubernetes knows: in doubt a thing is known, busy or live; what cannot be read is an error."""

from __future__ import annotations

import json
from typing import Any

import pytest

from penstock.api import constants
from penstock.api.base import dump
from penstock.errors import Refused, RetryLater
from penstock.inventory.known import Listed, known_of
from penstock.observe.known import read_known
from tests.unit.builders import (
    FRESH_RUN,
    JOB,
    NAMESPACE,
    OLD_RUN,
    RUN,
    checkpoint,
    deleting,
    ended,
    job,
    live,
    retained,
    savepoint,
    start_intent,
    started_from,
    stop_intent,
    target,
    teardown_intent,
    uid,
)
from tests.unit.fakes import FakeKube, Manifest

OTHER_RUN = "c" * 32


def job_with(status: dict[str, Any]) -> Listed:
    return Listed(stream_jobs=[dump(job(status))])


def with_checkpoint(*args: Any, **more: Any) -> Listed:
    return Listed(checkpoints=[dump(checkpoint(*args, **more))])


def owned(kind: str, run: str | None = OTHER_RUN, **more: Any) -> Manifest:
    labels = {constants.LABEL_MANAGED_BY: constants.MANAGED_BY} | ({constants.LABEL_RUN: run} if run else {})
    versions = {"Job": "batch/v1"}
    meta = {"name": f"x-{kind.lower()}", "namespace": "elsewhere", "labels": labels} | more.pop("metadata", {})
    return {"apiVersion": versions.get(kind, "v1"), "kind": kind, "metadata": meta} | more


# ---------------------------------------------------------------- runs


def test_a_run_that_has_not_ended_is_live() -> None:
    found = known_of(job_with(live()))
    assert (found.runs, found.live) == ({RUN}, {RUN})


def test_a_run_that_has_ended_is_known_and_not_live() -> None:
    found = known_of(job_with(ended("STOPPED")))
    assert (found.runs, found.live) == ({RUN}, frozenset())


def test_an_ended_run_is_live_until_what_it_left_has_been_looked_at() -> None:
    assert known_of(job_with(ended("STOPPED", run={"swept": False}))).live == {RUN}


@pytest.mark.parametrize(
    ("intent", "run"), [(start_intent(), FRESH_RUN), (stop_intent(), RUN), (teardown_intent(), RUN)]
)
def test_the_run_of_an_intent_is_live(intent: Any, run: str) -> None:
    assert run in known_of(job_with(ended("STOPPED", intent=intent))).live


def test_what_a_start_is_made_from_is_live_as_long_as_it_is_an_intent() -> None:
    began = started_from(retained(7, OLD_RUN), kind="Retained", run=OLD_RUN)
    assert OLD_RUN in known_of(job_with(ended("STOPPED", intent=start_intent(began)))).live
    after = known_of(job_with(live(began)))
    assert (OLD_RUN in after.runs, OLD_RUN in after.live) == (True, False)


@pytest.mark.parametrize(
    "status",
    [
        ended("STOPPED", run={"next_start_from": {"checkpoint": {"name": "before"}}}),
        live(intent=stop_intent(next_start_from={"checkpoint": {"name": "before"}})),
        live(intent=teardown_intent(next_start_from={"checkpoint": {"name": "before"}})),
    ],
    ids=["run", "stop", "teardown"],
)
def test_the_run_of_the_checkpoint_that_the_next_run_starts_from_is_live(status: dict[str, Any]) -> None:
    chosen = checkpoint("before", 1, "Present", {"run": OLD_RUN})
    found = known_of(Listed(stream_jobs=[dump(job(status))], checkpoints=[dump(chosen)]))
    assert OLD_RUN in found.live
    elsewhere = dump(chosen) | {"metadata": dump(chosen)["metadata"] | {"namespace": "elsewhere"}}
    assert OLD_RUN not in known_of(Listed(stream_jobs=[dump(job(status))], checkpoints=[elsewhere])).live


@pytest.mark.parametrize(
    ("manifest", "lives"),
    [
        (owned("Pod", status={"phase": "Running"}), True),
        (owned("Pod"), True),
        (owned("Pod", status={"phase": "Succeeded"}), False),
        (owned("Pod", status={"phase": "Failed"}), False),
        (owned("Job", status={"active": 1}), True),
        (owned("Job"), True),
        (owned("Job", status={"conditions": [{"type": "Failed", "status": "False"}]}), True),
        (owned("Job", status={"conditions": [{"type": "Failed", "status": "True"}]}), False),
        (owned("Job", status={"conditions": [{"type": "Complete", "status": "True"}]}), False),
        (owned("ConfigMap"), False),
    ],
)
def test_a_run_of_which_there_are_objects_is_known_and_lives_until_they_have_ended(manifest, lives) -> None:
    kinds = {"Pod": "pods", "Job": "jobs", "ConfigMap": "config_maps"}
    found = known_of(Listed(**{kinds[manifest["kind"]]: [manifest]}))
    assert (found.runs, found.live) == ({OTHER_RUN}, {OTHER_RUN} if lives else frozenset())


def test_an_object_without_a_run_says_nothing_of_runs() -> None:
    assert known_of(Listed(config_maps=[owned("ConfigMap", run=None)])).runs == frozenset()


# ---------------------------------------------------------------- checkpoints


@pytest.mark.parametrize(
    ("phase", "status", "busy"),
    [
        (None, {}, True),
        ("Pending", {}, True),
        ("Creating", {}, True),
        ("Present", {}, False),
        ("Present", deleting(), True),
        ("Cleared", {}, False),
        ("Failed", {}, False),
        ("Timeout", {"settled": False}, True),
        ("Timeout", {}, False),
    ],
)
def test_a_checkpoint_is_busy_until_it_is_settled(phase, status, busy):
    found = known_of(with_checkpoint("c", 1, phase, status))
    assert found.checkpoints == {uid(1)}
    assert found.busy == ({uid(1)} if busy else frozenset())


def test_a_checkpoint_that_is_being_deleted_is_busy() -> None:
    gone = checkpoint("c", 1, "Present")
    assert known_of(with_checkpoint("c", 1, "Present", deleted=gone.metadata.creation_timestamp)).busy == {uid(1)}


# ---------------------------------------------------------------- places


def test_the_places_that_a_checkpoint_names() -> None:
    assert known_of(with_checkpoint("c", 1, "Present")).locations == {target(1), savepoint(1)}


def test_the_places_that_a_streamjob_names() -> None:
    found = known_of(job_with(live(started_from(savepoint(3)), intent=start_intent(started_from(savepoint(4))))))
    assert found.locations == {savepoint(3), savepoint(4), retained(7)}


def test_a_place_that_only_a_message_quotes_is_not_needed() -> None:
    error = {"time": "2026-01-31T12:00:00Z", "reason": "X", "message": f"nothing at {savepoint(5)}"}
    assert savepoint(5) not in known_of(with_checkpoint("c", 1, "Failed", {"last_error": error})).locations


def test_the_restore_path_of_a_run_is_found_wherever_it_stands() -> None:
    began = json.dumps({"location": savepoint(1)})
    command = {"spec": {"containers": [{"args": ["--fromSavepoint", savepoint(2).replace("s3://", "s3a://")]}]}}
    pod = owned("Pod", metadata={"annotations": {"penstock.dev/started-from": began}}, **command)
    config = owned("ConfigMap", data={"config.yaml": f"a: b\nexecution.savepoint.path: '{savepoint(3)}'\n"})
    found = known_of(Listed(pods=[pod], config_maps=[config]))
    assert found.locations == {savepoint(1), savepoint(2), savepoint(3)}


# ---------------------------------------------------------------- what cannot be read


def broken(kind: str) -> Listed:
    if kind == "StreamJob":
        return Listed(stream_jobs=[dump(job()) | {"spec": {}}])
    if kind == "intent":
        return Listed(stream_jobs=[dump(job()) | {"status": {"intent": {"kind": "OfANewerPenstock", "run": RUN}}}])
    if kind == "phase":
        return Listed(checkpoints=[dump(checkpoint()) | {"status": {"phase": "OfANewerPenstock"}}])
    return Listed(pods=[owned("Pod", run="no-run")])


@pytest.mark.parametrize("kind", ["StreamJob", "intent", "phase", "Pod"])
def test_what_cannot_be_read_is_an_error_and_named(kind: str) -> None:
    with pytest.raises(Refused, match=r"^\w+ (flights|elsewhere)/[\w-]+ cannot be read .* nothing counts as nobody's$"):
        known_of(broken(kind))


# ---------------------------------------------------------------- from the API server


async def test_it_is_read_from_all_namespaces_and_of_penstocks_objects_alone() -> None:
    foreign = owned("Pod", run=OLD_RUN, metadata={"name": "foreign", "labels": {constants.LABEL_RUN: OLD_RUN}})
    far = dump(checkpoint("far", 2, "Present"))
    far["metadata"]["namespace"] = "far"
    kube: Any = FakeKube(dump(job(live())), dump(checkpoint("c", 1, "Present")), far, owned("Pod"), foreign)
    found = await read_known(kube)
    assert (found.checkpoints, found.runs) == ({uid(1), uid(2)}, {RUN, OTHER_RUN})
    assert kube.of("StreamJob")[JOB]["metadata"]["namespace"] == NAMESPACE


@pytest.mark.parametrize("kind", ["StreamJob", "Checkpoint", "Job", "Pod", "ConfigMap"])
async def test_a_kind_that_cannot_be_listed_is_an_error(kind: str) -> None:
    fake: Any = FakeKube(dump(job(live())))

    def before(_verb: str, called: str, _name: str) -> None:
        if called == kind:
            raise RetryLater("no answer")

    fake.before = before
    with pytest.raises(RetryLater):
        await read_known(fake)
