"""The kinds on a real API server: status, defaults, unknown fields, columns, selection."""

import functools
import re

import pytest

from penstock.api.base import dump
from penstock.api.checkpoint import Checkpoint
from penstock.api.reading import read
from penstock.api.source import SourceConnection
from penstock.api.store import CheckpointStore
from penstock.api.streamjob import StreamJob
from tests.integration.api.cases import BASES, RUN, manifest

pytestmark = pytest.mark.cluster

MODELS = {kind.__name__: kind for kind in (StreamJob, Checkpoint, CheckpointStore, SourceConnection)}
TIME = "2026-01-31T12:00:00Z"
READY = {"type": "Ready", "status": "True", "reason": "Running", "message": "", "lastTransitionTime": TIME}

JOB_STATUS = {
    "state": "Running",
    "jobVersion": 3,
    "run": {"id": RUN, "jobVersion": 3, "startedAt": TIME, "confirmed": True},
    "startedFrom": {
        "kind": "Checkpoint",
        "text": "flights-upgrade-01234567",
        "checkpoint": "flights-upgrade-01234567",
        "time": TIME,
        "reason": "newest",
    },
    "recovery": {
        "run": RUN,
        "cause": "Upgrade",
        "startedAt": TIME,
        "phase": "CatchingUp",
        "text": "CatchingUp 52%, 1m 20s left",
        "short": "52%, 1m 20s",
    },
    "latestCheckpoint": {"checkpointId": 93, "completionTime": TIME},
    "intent": {
        "kind": "Stop",
        "run": RUN,
        "reason": "Upgrade",
        "method": "Savepoint",
        "checkpoint": "c",
        "recordedAt": TIME,
        "deadline": TIME,
        "nextStartFrom": {"latest": {}},
    },
    "conditions": [READY],
}
CHECKPOINT_STATUS = {
    "phase": "Present",
    "triggerTime": TIME,
    "completionTime": "2026-01-31T12:00:01Z",
    "durationText": "1.2 s",
    "sizeText": "48 MiB",
    "jobVersion": 3,
    "format": "Canonical",
    "flinkVersion": "2.3.0",
    "run": RUN,
    "location": "s3://flink/a",
    "conditions": [READY | {"type": "Verified", "reason": "Whole"}],
}


def created(api, kind, change=None, name="flights"):
    answer = api.create(manifest(kind, change or {}, name))
    assert answer.accepted, answer.message
    return answer.body


def with_status(api, kind, status, change=None, name="flights"):
    created(api, kind, change, name)
    answer = api.patch(kind, name, {"status": status}, suffix="_status")
    assert answer.accepted, answer.message
    return answer.body


@pytest.mark.parametrize("kind", MODELS)
def test_the_smallest_object_is_accepted_and_read_as_the_model_reads_it(api, kind):
    name = f"{api.namespace[-8:]}-a".replace("penstock", "p")
    stored = created(api, kind, name=f"t-{name}")
    seen, problems = read(MODELS[kind], stored)
    assert problems == ()
    # The defaults that the server wrote are those of the model.
    ours, _ = read(MODELS[kind], {"metadata": {}, "spec": BASES[kind]})
    assert seen.spec == ours.spec


def test_the_server_writes_no_default_that_is_an_object(api):
    assert set(created(api, "StreamJob")["spec"]) == {
        "flink",
        "job",
        "checkpoints",
        "parallelism",
        "state",
        "restartToken",
    }


def test_the_spec_that_a_model_writes_is_accepted(api):
    job, _ = read(StreamJob, {"metadata": {}, "spec": BASES["StreamJob"]})
    written = api.create({"kind": "StreamJob", "metadata": {"name": "flights"}, "spec": dump(job)["spec"]})
    assert written.accepted, written.message


def test_the_status_is_written_through_its_own_door_only(api):
    body = created(api, "StreamJob", {"restartToken": "a"})
    assert api.patch("StreamJob", "flights", {"status": {"state": "Running"}}).accepted
    assert "status" not in api.get("StreamJob", "flights").body
    both = {"status": {"state": "Running"}, "spec": {"restartToken": "b"}}
    changed = api.patch("StreamJob", "flights", both, suffix="_status").body
    assert changed["status"]["state"] == "Running"
    assert changed["spec"]["restartToken"] == "a"
    assert changed["metadata"]["generation"] == body["metadata"]["generation"]


def test_the_status_comes_back_as_it_was_written(api):
    job, problems = read(StreamJob, with_status(api, "StreamJob", JOB_STATUS))
    assert problems == ()
    assert job.status.intent.next_start_from == {"latest": {}}
    written = api.patch("StreamJob", "flights", {"status": dump(job.status)}, suffix="_status").body
    assert read(StreamJob, written)[0].status == job.status
    again = api.patch("StreamJob", "flights", {"status": dump(job.status)}, suffix="_status").body
    assert again["metadata"]["resourceVersion"] == written["metadata"]["resourceVersion"]


def test_a_status_with_an_unknown_word_is_refused(api):
    created(api, "Checkpoint")
    answer = api.patch("Checkpoint", "flights", {"status": {"phase": "Lost"}}, suffix="_status")
    assert 'supported values: "Pending", "Creating", "Present", "Cleared", "Timeout", "Failed"' in answer.message


def test_two_writers_of_one_status_do_not_overwrite_each_other(api):
    stale = created(api, "Checkpoint")
    assert api.patch("Checkpoint", "flights", {"status": {"attempt": 1}}, suffix="_status").accepted
    version = {"resourceVersion": stale["metadata"]["resourceVersion"]}
    late = api.patch("Checkpoint", "flights", {"metadata": version, "status": {"attempt": 2}}, suffix="_status")
    assert late.status == 409


@pytest.mark.parametrize(
    ("kind", "change", "path"),
    [
        ("StreamJob", {"podTemplate.hostNetwork": True}, "spec.podTemplate.hostNetwork"),
        ("StreamJob", {"checkpoints.intervall": "1m"}, "spec.checkpoints.intervall"),
        ("StreamJob", {"startFrom": {"latest": {"x": 1}}}, "spec.startFrom.latest.x"),
        ("Checkpoint", {"locations": "s3://a/b"}, "spec.locations"),
        ("CheckpointStore", {"allowedNamespaces.selector": {}}, "spec.allowedNamespaces.selector"),
        ("SourceConnection", {"kafka.security": {"tls": {"insecure": True}}}, "spec.kafka.security.tls.insecure"),
    ],
)
def test_an_unknown_field_is_refused_under_strict_validation_and_dropped_without(api, kind, change, path):
    wanted = manifest(kind, change)
    refused = api.create(wanted, dry_run=True)
    assert refused.status == 400
    assert f'unknown field "{path}"' in refused.message
    kept = api.create(wanted, dry_run=True, strict=False)
    assert kept.accepted, kept.message
    *parents, field = path.split(".")
    assert field not in functools.reduce(lambda node, part: node[part], parents, kept.body)


def test_kubectl_apply_is_strict_by_itself(kubectl, api):
    wanted = {"apiVersion": "penstock.dev/v1alpha1"} | manifest("StreamJob", {"podTemplate.hostNetwork": True})
    done = kubectl("-n", api.namespace, "apply", "-f", "-", given=wanted, check=False)
    assert done.returncode != 0
    assert 'unknown field "spec.podTemplate.hostNetwork"' in done.stderr


def test_open_objects_keep_what_they_hold(api):
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}}
    spread = [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}]
    change = {"podTemplate.affinity": affinity, "podTemplate.topologySpreadConstraints": spread}
    template = created(api, "StreamJob", change)["spec"]["podTemplate"]
    assert template == {"affinity": affinity, "topologySpreadConstraints": spread}


@pytest.mark.parametrize(
    ("kind", "change", "words"),
    [
        ("StreamJob", {"checkpoints.interval": "1" * 33}, "Too long: may not be more than 32"),
        ("StreamJob", {"checkpoints.retention": {"numRetained": 0}}, "should be greater than or equal to 1"),
        ("StreamJob", {"parallelism": 0}, "should be greater than or equal to 1"),
        ("StreamJob", {"taskManager": {"slots": 129}}, "should be less than or equal to 128"),
        ("StreamJob", {"restartToken": "x" * 129}, "Too long: may not be more than 128"),
        ("StreamJob", {"job.sql.script": "x" * 262_145}, "Too long: may not be more than 262144"),
        ("StreamJob", {"state": "Paused"}, 'supported values: "Running", "Stopped"'),
        ("StreamJob", {"checkpoints": {}}, "spec.checkpoints.store: Required value"),
        ("StreamJob", {"jobManager": {"resources": {"limits": {"memory": "1GB"}}}}, "spec.jobManager.resources.limits"),
        ("StreamJob", {"jobManager": {"resources": {"limits": {"cpu": -1}}}}, "should be greater than or equal to 0"),
        ("Checkpoint", {"description": "x" * 1025}, "Too long: may not be more than 1024"),
        ("Checkpoint", {"source": "Stop", "origin": {"run": "../" + RUN[3:]}}, "spec.origin.run in body should match"),
        ("CheckpointStore", {"bucket": "UPPER"}, "spec.bucket in body should match"),
        ("SourceConnection", {"kafka": {}}, "spec.kafka.bootstrapServers: Required value"),
        ("SourceConnection", {"kafka.bootstrapServers": ["a:1", "a:1"]}, "Duplicate value"),
        (
            "SourceConnection",
            {"kafka.security": {"sasl": {"mechanism": "GSSAPI", "secretRef": {"name": "a"}}}},
            'supported values: "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"',
        ),
    ],
)
def test_a_value_out_of_bounds_is_refused(api, kind, change, words):
    answer = api.create(manifest(kind, change), dry_run=True)
    assert answer.status == 422
    assert words in answer.message


@pytest.mark.parametrize("amount", [1, "1", "500m", "0.5"])
def test_quantities_may_be_integers_or_strings(api, amount):
    change = {"jobManager": {"resources": {"limits": {"cpu": amount}}}}
    assert api.create(manifest("StreamJob", change), dry_run=True).accepted


def test_the_largest_script_fits(api):
    assert api.create(manifest("StreamJob", {"job.sql.script": "x" * 262_144}), dry_run=True).accepted


def table(kubectl, *arguments):
    """Headers and the only row of what kubectl prints; columns are two spaces apart at least."""
    lines = kubectl("get", *arguments).stdout.rstrip().split("\n")
    assert len(lines) == 2, lines
    starts = [found.start() for found in re.finditer(r"(?:^|(?<=   ))\S", lines[0])]
    ends = [*starts[1:], None]
    header, row = ([line[start:end].strip() for start, end in zip(starts, ends, strict=True)] for line in lines)
    assert len(header) == len(set(header))
    return dict(zip(header, row, strict=True))


def test_checkpoints_are_listed_with_the_columns_of_the_design(kubectl, api):
    with_status(api, "Checkpoint", CHECKPOINT_STATUS, {"description": "before the upgrade"})
    shown = table(kubectl, "ckpt", "-n", api.namespace)
    assert shown.pop("AGE").endswith("s")
    assert shown == {
        "NAME": "flights",
        "JOB": "flights",
        "SOURCE": "Manual",
        "STATUS": "Present",
        "TRIGGERED": TIME,
        "DURATION": "1.2 s",
        "SIZE": "48 MiB",
        "VERSION": "3",
        "DESCRIPTION": "before the upgrade",
    }
    wide = table(kubectl, "checkpoints", "-n", api.namespace, "-o", "wide")
    assert {name: wide[name] for name in list(wide)[10:]} == {
        "COMPLETED": "2026-01-31T12:00:01Z",
        "FORMAT": "Canonical",
        "FLINK": "2.3.0",
        "VERIFIED": "True",
        "RUN": RUN,
        "LOCATION": "s3://flink/a",
    }


def test_stream_jobs_are_listed_within_120_columns(kubectl, api):
    with_status(api, "StreamJob", JOB_STATUS, name="flights-per-hour-and-origin")
    printed = kubectl("get", "sj", "-n", api.namespace).stdout
    assert max(map(len, printed.splitlines())) <= 120
    shown = table(kubectl, "sj", "-n", api.namespace)
    assert re.fullmatch(r"\d+\w*", shown.pop("AGE"))
    assert re.fullmatch(r"\d+\w+|<invalid>", shown.pop("LAST CHECKPOINT"))
    assert shown == {
        "NAME": "flights-per-hour-and-origin",
        "STATE": "Running",
        "VERSION": "3",
        "STARTED FROM": "flights-upgrade-01234567",
        "RECOVERY": "52%, 1m 20s",
        "READY": "True",
    }
    wide = table(kubectl, "sj", "-n", api.namespace, "-o", "wide")
    assert {name: wide[name] for name in list(wide)[8:]} == {
        "DESIRED": "Running",
        "PARALLELISM": "1",
        "FLINK": "2.3",
        "STORE": "main",
        "RUN": RUN,
    }


def test_stores_are_listed(kubectl, api):
    name = f"store-{api.namespace[-8:]}"
    status = {"conditions": [READY | {"reason": "Checked"}], "warnings": ["versioning is on"]}
    with_status(api, "CheckpointStore", status, {"prefix": "a/b", "endpoint": "http://minio:9000"}, name)
    shown = table(kubectl, "ckstore", name)
    shown.pop("AGE")
    assert shown == {
        "NAME": name,
        "BUCKET": "flink",
        "PREFIX": "a/b",
        "ENDPOINT": "http://minio:9000",
        "READY": "True",
        "REASON": "Checked",
    }


def test_connections_are_listed(kubectl, api):
    name = f"connection-{api.namespace[-8:]}"
    status = {"conditions": [READY | {"reason": "Answers"}], "brokers": 3, "clusterId": "abc", "lastChecked": TIME}
    with_status(api, "SourceConnection", status, name=name)
    shown = table(kubectl, "srcconn", name)
    shown.pop("AGE")
    assert shown == {
        "NAME": name,
        "SERVERS": '["kafka:9092"]',
        "BROKERS": "3",
        "READY": "True",
        "REASON": "Answers",
    }


def test_checkpoints_are_selected_by_their_job(kubectl, api):
    created(api, "Checkpoint", name="one")
    created(api, "Checkpoint", {"jobRef.name": "other"}, name="two")
    found = kubectl("get", "ckpt", "-n", api.namespace, "--field-selector", "spec.jobRef.name=other", "-o", "name")
    assert found.stdout.split() == ["checkpoint.penstock.dev/two"]


def test_the_category_lists_all_kinds(kubectl, api):
    created(api, "Checkpoint", name="one")
    created(api, "StreamJob", name="two")
    listed = kubectl("get", "penstock", "-n", api.namespace, "-o", "name").stdout.split()
    assert {"checkpoint.penstock.dev/one", "streamjob.penstock.dev/two"} <= set(listed)


def test_kubectl_explains_a_field_with_its_unit_and_default(kubectl, api):
    assert api.namespace
    explained = " ".join(kubectl("explain", "sj.spec.checkpoints.interval").stdout.split())
    assert (
        "Time between two of Flink's own checkpoints, for example 30s or 1h30m. Default 1m, at least 1s." in explained
    )
