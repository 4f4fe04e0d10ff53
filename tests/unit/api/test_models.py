"""The kinds: defaults, round trips, and reading what cannot be believed."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from penstock.api.base import dump
from penstock.api.checkpoint import Checkpoint, CheckpointStatus, Phase
from penstock.api.pod import ResourceList, ResourceRequirements
from penstock.api.reading import read
from penstock.api.source import ADDRESS, SourceConnection
from penstock.api.store import AllowedNamespaces, CheckpointStore
from penstock.api.streamjob import DesiredState, Format, OnStop, StreamJob
from penstock.api.streamjob_status import (
    EndState,
    StartedFrom,
    StartIntent,
    StartKind,
    StopIntent,
    StopMethod,
    StopReason,
    StreamJobStatus,
    TeardownIntent,
)
from tests.integration.api.admin_cases import CASES

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
RUN = "0123456789abcdef0123456789abcdef"


def minimal(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "StreamJob",
        "metadata": {"name": "flights", "namespace": "air", "uid": "u", "resourceVersion": "7", "managedFields": []},
        "spec": {"flink": {"version": "2.3"}, "job": {"sql": {"script": "X;"}}, "checkpoints": {"store": "main"}}
        | spec,
    }


def test_a_minimal_stream_job_has_the_documented_defaults():
    job, problems = read(StreamJob, minimal())
    assert job is not None
    assert problems == ()
    spec = job.spec
    assert spec.state is DesiredState.RUNNING
    assert spec.parallelism == 1
    assert spec.start_from.latest is not None
    assert (spec.start_from.checkpoint, spec.start_from.empty) == (None, None)
    assert (spec.checkpoints.interval, spec.checkpoints.timeout) == ("1m", "10m")
    assert spec.checkpoints.format is Format.CANONICAL
    assert spec.checkpoints.on_stop is OnStop.SAVEPOINT
    assert spec.checkpoints.on_upgrade == "Savepoint"
    assert spec.checkpoints.if_savepoint_fails == "Refuse"
    assert spec.checkpoints.retention.num_retained == 5
    assert spec.on_delete.checkpoints == "Retain"
    assert spec.job_manager.memory_bytes == 1024**3
    assert spec.task_manager.memory_bytes == 2 * 1024**3
    assert job.status == StreamJobStatus()
    assert not job.metadata.terminating


@pytest.mark.parametrize(
    ("parallelism", "task_manager", "replicas"),
    [(1, {}, 1), (4, {}, 4), (5, {"slots": 2}, 3), (4, {"slots": 2, "replicas": 7}, 7)],
)
def test_the_number_of_task_managers_follows_from_the_parallelism(parallelism, task_manager, replicas):
    job = StreamJob.model_validate(minimal(parallelism=parallelism, taskManager=task_manager))
    assert job.spec.task_manager_replicas == replicas


@pytest.mark.parametrize(
    ("given", "resolved"),
    [
        ({}, {"requests": {"cpu": "250m", "memory": "1Gi"}, "limits": {"memory": "1Gi"}}),
        (
            {"limits": {"cpu": 2, "memory": "3Gi"}},
            {"requests": {"cpu": 2, "memory": "3Gi"}, "limits": {"cpu": 2, "memory": "3Gi"}},
        ),
        ({"requests": {"memory": "3Gi"}}, {"requests": {"cpu": "250m", "memory": "3Gi"}, "limits": {"memory": "3Gi"}}),
        (
            {"requests": {"cpu": 0, "memory": "1Gi"}, "limits": {"memory": "2Gi"}},
            {"requests": {"cpu": 0, "memory": "1Gi"}, "limits": {"memory": "2Gi"}},
        ),
    ],
)
def test_resources_are_filled_in_and_never_overridden(given, resolved):
    job = StreamJob.model_validate(minimal(jobManager={"resources": given}))
    assert dump(job.spec.job_manager.resolved_resources()) == resolved


def test_models_are_frozen():
    job = StreamJob.model_validate(minimal())
    with pytest.raises(ValidationError):
        job.spec.parallelism = 2


def test_an_unknown_field_of_a_newer_version_is_ignored():
    assert StreamJob.model_validate(minimal(sinks=[{"kafka": {}}])) == StreamJob.model_validate(minimal())


INTENTS = [
    StartIntent(
        run=RUN,
        job_version=3,
        started_from=StartedFrom(kind=StartKind.CHECKPOINT, checkpoint="flights-stop-1", time=NOW, reason="newest"),
        recorded_at=NOW,
    ),
    StopIntent(
        run=RUN,
        reason=StopReason.UPGRADE,
        method=StopMethod.SAVEPOINT,
        checkpoint="flights-upgrade-1",
        attempt=2,
        recorded_at=NOW,
        deadline=NOW,
        next_start_from={"latest": {}},
    ),
    TeardownIntent(run=RUN, reason="Stop", recorded_at=NOW, deadline=NOW, end_state=EndState.FINISHED),
]


@pytest.mark.parametrize("intent", INTENTS, ids=lambda intent: intent.kind)
def test_an_intent_survives_being_written_and_read(intent):
    status = StreamJobStatus(intent=intent, job_version=3)
    stored = dump(status)
    assert stored["intent"]["kind"] == intent.kind
    assert "recordedAt" in stored["intent"]
    assert StreamJobStatus.model_validate(stored) == status


def test_nothing_that_is_none_is_written():
    assert dump(CheckpointStatus(phase=Phase.PRESENT)) == {"phase": "Present", "attempt": 0, "conditions": []}


@pytest.mark.parametrize("status", [{"intent": {"kind": "Stop"}}, {"intent": {"kind": "Dance"}}, {"intent": 5}])
def test_an_intent_that_cannot_be_read_is_left_out_and_said(status):
    job, problems = read(StreamJob, minimal() | {"status": status | {"jobVersion": 4, "state": "Running"}})
    assert job is not None
    assert job.status.intent is None
    assert job.status.job_version == 4
    assert problems
    assert all(problem.path.startswith("status.intent") for problem in problems)


@pytest.mark.parametrize("status", ["gone", 5, []])
def test_a_status_that_is_no_object_is_left_out_and_said(status):
    job, problems = read(StreamJob, minimal() | {"status": status})
    assert job is not None
    assert job.status == StreamJobStatus()
    assert [problem.path for problem in problems] == ["status"]


def test_a_spec_that_cannot_be_read_gives_no_object_but_its_field():
    job, problems = read(
        StreamJob, minimal(checkpoints={"interval": "-1s"}, job={"jar": {"uri": "local:///a", "args": 1}})
    )
    assert job is None
    assert [problem.path for problem in problems] == [
        "spec.job.jar.args",
        "spec.checkpoints.store",
        "spec.checkpoints.interval",
    ]
    assert str(problems[1]) == "spec.checkpoints.store: Field required"


def test_a_checkpoint_is_manual_unpinned_and_deleted_with_its_data_by_default():
    checkpoint, _ = read(Checkpoint, {"metadata": {"name": "c"}, "spec": {"jobRef": {"name": "flights"}}})
    assert checkpoint is not None
    spec = checkpoint.spec
    assert (spec.source, spec.pinned, spec.keeps_data, spec.description) == ("Manual", False, False, "")
    assert (spec.format, spec.timeout, spec.origin) == (None, None, None)


@pytest.mark.parametrize("origin", [{"run": "../" + RUN[3:]}, {"run": RUN[:31]}, {"run": RUN, "checkpointId": "../1"}])
def test_an_origin_that_is_no_id_is_refused_because_paths_are_made_of_it(origin):
    spec = {"jobRef": {"name": "flights"}, "source": "Stop", "origin": origin}
    assert read(Checkpoint, {"metadata": {"name": "c"}, "spec": spec})[0] is None


def test_a_store_has_the_documented_defaults():
    spec = {"bucket": "flink", "jobCredentials": {"secretName": "s3"}, "allowedNamespaces": {"names": ["air"]}}
    store, _ = read(CheckpointStore, {"metadata": {"name": "main"}, "spec": spec})
    assert store is not None
    assert (store.spec.region, store.spec.prefix, store.spec.path_style) == ("us-east-1", "", True)
    assert (store.spec.endpoint, store.spec.credentials) == (None, None)


def test_a_connection_has_the_documented_defaults():
    spec = {"kafka": {"bootstrapServers": ["a:1"], "security": {"tls": {}}}, "allowedNamespaces": {"names": ["air"]}}
    connection, problems = read(SourceConnection, {"metadata": {"name": "events"}, "spec": spec})
    assert connection is not None
    assert problems == ()
    security = connection.spec.kafka.security
    assert security.tls is not None
    assert (security.tls.ca_secret_ref, security.tls.ca_key, security.sasl) == (None, "ca.crt", None)
    assert connection.spec.allowed_namespaces.allows("air")


ADDRESSES = {case.message: case for case in CASES if case.kind == "SourceConnection"}[
    "spec.kafka.bootstrapServers[] must be host:port"
]


@pytest.mark.parametrize("change", ADDRESSES.accepted, ids=str)
def test_an_address_of_a_broker(change):
    assert re.search(ADDRESS, change["kafka.bootstrapServers"][-1])


@pytest.mark.parametrize("change", ADDRESSES.refused, ids=str)
def test_no_address_of_a_broker(change):
    assert not re.search(ADDRESS, change["kafka.bootstrapServers"][-1])


def test_ports():
    assert [port for port in range(66_000) if re.search(ADDRESS, f"kafka:{port}")] == list(range(1, 65_536))


def test_a_store_allows_the_namespaces_that_it_names_or_all():
    assert AllowedNamespaces(names=("air",)).allows("air")
    assert not AllowedNamespaces(names=("air",)).allows("sea")
    assert AllowedNamespaces(all=True).allows("sea")
    assert not AllowedNamespaces().allows("air")


def test_resources_may_be_built_in_code():
    built = ResourceRequirements(limits=ResourceList(memory="1Gi"))
    assert dump(built) == {"requests": {}, "limits": {"memory": "1Gi"}}
