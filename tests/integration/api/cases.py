"""For every CEL rule an object that the API server accepts and one that it refuses.

A transition rule has a third object: the one that is stored before.
"""

import copy
from dataclasses import dataclass
from typing import Any

RUN = "0123456789abcdef0123456789abcdef"
TIME = "2026-01-31T12:00:00+01:00"
REPLAY = {"replay": {"from": TIME, "to": TIME, "lookback": "0s", "onGap": "Warn"}}

BASES: dict[str, dict[str, Any]] = {
    "StreamJob": {
        "flink": {"version": "2.3"},
        "job": {"sql": {"script": "SELECT 1;"}},
        "checkpoints": {"store": "main"},
    },
    "Checkpoint": {"jobRef": {"name": "flights"}},
    "CheckpointStore": {
        "bucket": "flink",
        "jobCredentials": {"secretName": "s3"},
        "allowedNamespaces": {"names": ["air"]},
    },
    "SourceConnection": {
        "kafka": {"bootstrapServers": ["kafka:9092"]},
        "allowedNamespaces": {"names": ["air"]},
    },
}

Change = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """Changes to the smallest spec of a kind: dotted path to value, None removes; `name` is the object's name."""

    kind: str
    message: str  # begins the rule's message
    accepted: tuple[Change, ...]
    refused: tuple[Change, ...]
    before: Change | None = None
    said: str | None = None  # what the API server says, where the message is made by an expression


def manifest(kind: str, change: Change, name: str = "flights") -> dict[str, Any]:
    """The smallest object of the kind with the changes made."""
    spec = copy.deepcopy(BASES[kind])
    metadata = {"name": change.get("name", name)}
    for path, value in change.items():
        *parents, last = path.split(".")
        node = spec
        for parent in parents:
            node = node.setdefault(parent, {})
        if value is None:
            node.pop(last)
        elif path != "name":
            node[last] = value
    return {"kind": kind, "metadata": metadata, "spec": spec}


def env(**variable: Any) -> Change:
    return {"podTemplate.env": [{"name": "A"} | variable]}


REF = {"name": "a", "key": "b"}
OPERATORS = {"source": "Stop", "origin": {"run": RUN}}
PLACE = "s3://bucket/savepoints/savepoint-4f2a1c"
IMPORTED = {"source": "Imported", "location": PLACE}

CASES = (
    Case(
        "StreamJob",
        "metadata.name must have at most 36 characters",
        accepted=({"name": "a" * 36}, {"name": "a-1"}),
        refused=({"name": "a" * 37}, {"name": "1a"}, {"name": "a.b"}),
    ),
    Case(
        "StreamJob",
        "flink.version is not supported yet",
        accepted=({"flink.version": "2.3"},),
        refused=({"flink.version": "1.20"},),
        said="flink.version 1.20 is not supported yet; write 2.3",
    ),
    Case(
        "StreamJob",
        "spec.job needs exactly one of sql and jar",
        accepted=({}, {"job": {"jar": {"uri": "local:///a.jar"}}}),
        refused=({"job": {}}, {"job.jar": {"uri": "local:///a.jar"}}),
    ),
    Case(
        "StreamJob",
        "job.python is not supported yet; use job.sql or job.jar",
        accepted=({},),
        refused=({"job": {"python": {"script": "a.py"}}},),
    ),
    Case(
        "StreamJob",
        "spec.job.jar.uri must name a file of the image",
        accepted=({"job": {"jar": {"uri": "local:///opt/flink/usrlib/a.jar"}}},),
        refused=(
            {"job": {"jar": {"uri": "s3://bucket/a.jar"}}},
            {"job": {"jar": {"uri": "local://a.jar"}}},
            {"job": {"jar": {"uri": "local:///opt/../a.jar"}}},
        ),
    ),
    Case(
        "StreamJob",
        "spec.startFrom needs exactly one of",
        accepted=tuple(
            {"startFrom": each}
            for each in (REPLAY, {"checkpoint": {"name": "a.b"}}, {"empty": {}}, {"asOf": {"time": TIME}})
        ),
        refused=({"startFrom": {}}, {"startFrom": {"latest": {}, "empty": {}}}, {"startFrom": REPLAY | {"empty": {}}}),
    ),
    Case(
        "StreamJob",
        "spec.checkpoints.store cannot be changed",
        before={},
        accepted=({"parallelism": 2},),
        refused=({"checkpoints.store": "other"},),
    ),
    Case(
        "StreamJob",
        "spec.checkpoints.interval is not a duration",
        accepted=({"checkpoints.interval": "10m"},),
        refused=(
            {"checkpoints.interval": "abc"},
            {"checkpoints.interval": "-1s"},
            {"checkpoints.interval": "1.5h"},
            {"checkpoints.interval": "30s1h"},
        ),
    ),
    Case(
        "StreamJob",
        "spec.checkpoints.timeout is not a duration",
        accepted=({"checkpoints.timeout": "10m"},),
        refused=(
            {"checkpoints.timeout": "abc"},
            {"checkpoints.timeout": "-1s"},
            {"checkpoints.timeout": "1.5h"},
            {"checkpoints.timeout": "30s1h"},
        ),
    ),
    Case(
        "Checkpoint",
        "spec.timeout is not a duration",
        accepted=({"timeout": "10m"},),
        refused=({"timeout": "abc"}, {"timeout": "-1s"}, {"timeout": "1.5h"}, {"timeout": "30s1h"}),
    ),
    Case(
        "StreamJob",
        "spec.checkpoints.interval must be at least 1s",
        accepted=(
            {"checkpoints.interval": "1s"},
            {"checkpoints.interval": "1h30m"},
            {"checkpoints.interval": "1500ms"},
        ),
        refused=({"checkpoints.interval": "999ms"}, {"checkpoints.interval": "0s"}),
    ),
    Case(
        "StreamJob",
        "spec.checkpoints.timeout must be at least 1s",
        accepted=({"checkpoints.timeout": "999999h999999m999999999s"}, {"checkpoints.timeout": "1s"}),
        refused=({"checkpoints.timeout": "10ms"},),
    ),
    Case(
        "StreamJob",
        "spec.checkpoints.retention.maxAge is not a duration",
        accepted=({"checkpoints.retention": {"maxAge": "168h"}},),
        refused=(
            {"checkpoints.retention": {"maxAge": "7d"}},
            {"checkpoints.retention": {"maxAge": "-1h"}},
            {"checkpoints.retention": {"maxAge": "forever"}},
        ),
    ),
    Case(
        "StreamJob",
        "spec.onChange.healthyWithin is not a duration",
        accepted=({"onChange": {"healthyWithin": "2m", "ifUnhealthy": "Keep"}},),
        refused=({"onChange": {"healthyWithin": "soon"}}, {"onChange": {"healthyWithin": "-1m"}}),
    ),
    Case(
        "StreamJob",
        "spec.onChange.healthyWithin must be at least 1s",
        accepted=({"onChange": {"healthyWithin": "1s"}},),
        refused=({"onChange": {"healthyWithin": "999ms"}},),
    ),
    Case(
        "StreamJob",
        "spec.checkpoints.retention.maxAge must be at least 1s",
        accepted=({"checkpoints.retention": {"maxAge": "1s", "numRetained": 1000}},),
        refused=({"checkpoints.retention": {"maxAge": "999ms"}},),
    ),
    Case(
        "StreamJob",
        "spec.checkpoints.schedule.cron must have five fields",
        accepted=(
            {"checkpoints.schedule": {"cron": "0 3 * * *"}},
            {"checkpoints.schedule": {"cron": "*/15 0-6,20-23 1,15 JAN MON-FRI", "missed": "RunOnce"}},
            {"checkpoints.schedule": {"cron": "0  3  L  *  5#2", "suspend": True}},
            {"checkpoints.schedule": {"cron": "99 3 * * *"}},  # read by the operator: Stalled, InvalidSpec
        ),
        refused=(
            {"checkpoints.schedule": {"cron": ""}},
            {"checkpoints.schedule": {"cron": "@daily"}},
            {"checkpoints.schedule": {"cron": "0 3 * *"}},
            {"checkpoints.schedule": {"cron": "0 0 3 * * *"}},
            {"checkpoints.schedule": {"cron": "TZ=UTC 0 3 * * *"}},
            {"checkpoints.schedule": {"cron": " 0 3 * * *"}},
        ),
    ),
    Case(
        "StreamJob",
        "spec.checkpoints.schedule.timeZone is not the name of a time zone",
        accepted=tuple(
            {"checkpoints.schedule": {"cron": "0 3 * * *", "timeZone": zone}}
            for zone in ("UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+5")
        ),
        refused=tuple(
            {"checkpoints.schedule": {"cron": "0 3 * * *", "timeZone": zone}}
            for zone in ("", "Europe/", "/etc/localtime", "../UTC", "Europe Berlin")
        ),
    ),
    Case(
        "StreamJob",
        "spec.taskManager: replicas times slots is less than spec.parallelism",
        accepted=(
            {"parallelism": 4, "taskManager": {"replicas": 2, "slots": 2}},
            {"parallelism": 4, "taskManager": {"slots": 1}},
            {"parallelism": 4},
        ),
        refused=(
            {"parallelism": 4, "taskManager": {"replicas": 1, "slots": 2}},
            {"taskManager.replicas": 1, "parallelism": 2},
        ),
    ),
    Case(
        "StreamJob",
        "spec.podTemplate.labels: penstock.dev/* and app.kubernetes.io/managed-by belong to Penstock",
        accepted=({"podTemplate.labels": {"example.com/team": "air", "app": "flights"}},),
        refused=(
            {"podTemplate.labels": {"penstock.dev/job": "other"}},
            {"podTemplate.labels": {"app.kubernetes.io/managed-by": "me"}},
        ),
    ),
    Case(
        "StreamJob",
        "spec.podTemplate.annotations: penstock.dev/* and app.kubernetes.io/managed-by belong to Penstock",
        accepted=({"podTemplate.annotations": {"example.com/note": "any text: at all"}},),
        refused=({"podTemplate.annotations": {"penstock.dev/run": "1"}},),
    ),
    Case(
        "StreamJob",
        "spec.podTemplate.env[] has value and valueFrom",
        accepted=(env(value="1"), env(valueFrom={"secretKeyRef": REF}), env()),
        refused=(env(value="1", valueFrom={"secretKeyRef": REF}),),
    ),
    Case(
        "StreamJob",
        "spec.podTemplate.env[].valueFrom needs exactly one of secretKeyRef and configMapKeyRef",
        accepted=(env(valueFrom={"configMapKeyRef": REF}),),
        refused=(env(valueFrom={}), env(valueFrom={"configMapKeyRef": REF, "secretKeyRef": REF})),
    ),
    Case(
        "StreamJob",
        "spec.podTemplate.env[].name: FLINK_*, AWS_*, PENSTOCK_*, POD_IP and ENABLE_BUILT_IN_PLUGINS belong",
        accepted=(env(name="MY_FLINK_HOME"), env(name="POD_IPS"), env(name="PENSTOCKS")),
        refused=(
            env(name="FLINK_PROPERTIES"),
            env(name="AWS_ACCESS_KEY_ID"),
            env(name="PENSTOCK_SECRET_0"),
            env(name="POD_IP"),
            env(name="ENABLE_BUILT_IN_PLUGINS"),
        ),
    ),
    Case(
        "Checkpoint",
        "spec.jobRef cannot be changed",
        before={},
        accepted=({"description": "before the upgrade", "pinned": True, "deletionPolicy": "Retain"},),
        refused=({"jobRef.name": "other"},),
    ),
    Case(
        "Checkpoint",
        "spec.timeout must be at least 1s",
        accepted=({"timeout": "1m"},),
        refused=({"timeout": "5ms"},),
    ),
    Case(
        "Checkpoint",
        "spec.source cannot be changed",
        before=OPERATORS,
        accepted=(OPERATORS | {"pinned": True},),
        refused=(OPERATORS | {"source": "Upgrade"}, {}),
    ),
    Case(
        "Checkpoint",
        "spec.origin is required for what the operator has made",
        accepted=(*({"source": source, "origin": {"run": RUN}} for source in ("Stop", "Schedule")), IMPORTED),
        refused=tuple({"source": source} for source in ("Stop", "Upgrade", "Schedule", "Retained")),
    ),
    Case(
        "Checkpoint",
        "spec.origin belongs to checkpoints that the operator has made",
        accepted=({}, {"source": "Manual"}, IMPORTED),
        refused=({"origin": {"run": RUN}}, OPERATORS | {"source": "Manual"}, IMPORTED | {"origin": {"run": RUN}}),
    ),
    Case(
        "Checkpoint",
        "spec.location and spec.source: Imported need each other",
        accepted=(IMPORTED, {}),
        refused=({"source": "Imported"}, {"location": PLACE}, OPERATORS | {"location": PLACE}),
    ),
    Case(
        "Checkpoint",
        "spec.location must be a plain path",
        accepted=(IMPORTED,),
        refused=tuple(IMPORTED | {"location": f"s3://b/{path}"} for path in ("a/../b", "a/./b", "a/..", "../a", "..")),
    ),
    Case(
        "Checkpoint",
        "spec.location cannot be changed",
        before=IMPORTED,
        accepted=(IMPORTED | {"pinned": True},),
        refused=(IMPORTED | {"location": PLACE + "1"},),
    ),
    Case(
        "Checkpoint",
        "spec.deletionPolicy must be Retain for an imported checkpoint",
        accepted=(IMPORTED, IMPORTED | {"deletionPolicy": "Retain"}),
        refused=(IMPORTED | {"deletionPolicy": "Delete"},),
    ),
    Case(
        "Checkpoint",
        "spec.origin cannot be changed once it is set",
        before=OPERATORS,
        accepted=(OPERATORS | {"description": "x"},),
        refused=(
            OPERATORS | {"origin": {"run": RUN[::-1]}},
            OPERATORS | {"origin": {"run": RUN, "checkpointId": 7}},
            {"source": "Stop"},
        ),
    ),
    Case(
        "Checkpoint",
        "spec.format cannot be changed",
        before={"format": "Native"},
        accepted=({"format": "Native", "pinned": True},),
        refused=({"format": "Canonical"}, {}),
    ),
    Case(
        "Checkpoint",
        "spec.timeout cannot be changed",
        before={},
        accepted=({"pinned": True},),
        refused=({"timeout": "1m"},),
    ),
)
