"""Object mothers: the smallest good object of each kind, with what a test cares about changed."""

from __future__ import annotations

import functools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from penstock import names
from penstock.api import constants
from penstock.api.base import dump
from penstock.api.checkpoint import Checkpoint
from penstock.api.history import record_of
from penstock.api.store import CheckpointStore
from penstock.api.streamjob import StreamJob
from penstock.api.streamjob_status import Run, StartedFrom, StartIntent, StopIntent, StreamJobStatus, TeardownIntent
from penstock.decide import decide, preflight
from penstock.decide.change import spec_hash
from penstock.decide.verification import wishes
from penstock.flink.answers import Checkpointing, CheckpointStats, FlinkJob, Restored
from penstock.model import (
    JobListing,
    Manager,
    Observed,
    ProgramPod,
    Revision,
    RunObjects,
    StoredState,
    StoreView,
    TargetListing,
)
from penstock.store.layout import Place
from penstock.verdict import Verification, Verified

NOW = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)
BEFORE = NOW - timedelta(hours=1)
NAMESPACE = "flights"
JOB = "flights"
JOB_UID = "11111111-1111-4111-8111-111111111111"
RUN = "a" * 32
OLD_RUN = "b" * 32
FRESH_RUN = "f" * 32
PLACE = Place("checkpoints", "team")
HOME = f"team/{NAMESPACE}/{JOB}-{JOB_UID}/"
WHOLE = Verification(files=3, size=1000, version=6)
POINTERS = names.checkpoint_pointers(JOB, RUN)


def uid(number: int) -> str:
    """The uid of a Checkpoint."""
    return f"22222222-2222-4222-8222-{number:012d}"


def target(number: int) -> str:
    """The URI of a Checkpoint's directory."""
    return PLACE.uri(f"{HOME}savepoints/{uid(number)}/")


def savepoint(number: int) -> str:
    """The URI of a Checkpoint's complete savepoint."""
    return f"{target(number)}savepoint-aaaaaa-{number:012x}"


def retained(number: int, run: str = RUN) -> str:
    """The URI of one of Flink's retained checkpoints."""
    return PLACE.uri(f"{HOME}checkpoints/{run}/chk-{number}")


def spec(**change: Any) -> dict[str, Any]:
    """A StreamJob's spec; what is given replaces whole top-level fields, `checkpoints` is added to."""
    checkpoints = {"store": "main"} | change.pop("checkpoints", {})
    base: dict[str, Any] = {"flink": {"version": "2.3"}, "job": {"sql": {"script": SCRIPT}}}
    return base | {"checkpoints": checkpoints} | change


SCRIPT = """\
INSERT INTO a SELECT * FROM b
/*+ OPTIONS('scan.startup.timestamp-millis'='${penstock.source.startup-timestamp-millis}',
'scan.bounded.timestamp-millis'='${penstock.source.bounded-timestamp-millis}') */;"""


def job(
    status: dict[str, Any] | None = None,
    *,
    finalizers: tuple[str, ...] = (constants.FINALIZER_RUN,),
    deleted: datetime | None = None,
    generation: int = 1,
    **change: Any,
) -> StreamJob:
    """A StreamJob with Penstock's finalizer; `change` is the spec's."""
    metadata = {
        "name": JOB,
        "namespace": NAMESPACE,
        "uid": JOB_UID,
        "resourceVersion": "1",
        "generation": generation,
        "creationTimestamp": BEFORE,
        "finalizers": finalizers,
        "deletionTimestamp": deleted,
    }
    whole = StreamJob.model_validate({"metadata": metadata, "spec": spec(**change)})
    told = {"observed_generation": generation} | (status or {})
    return whole.model_copy(update={"status": StreamJobStatus.model_validate(told)})


def started_from(location: str | None = None, **more: Any) -> StartedFrom:
    """A StartedFrom: Empty, or the location."""
    kind = more.pop("kind", "Checkpoint" if location else "Empty")
    return StartedFrom.model_validate({"kind": kind, "location": location, "time": BEFORE} | more)


def live(began: StartedFrom | None = None, **more: Any) -> dict[str, Any]:
    """The status of a StreamJob whose run is confirmed; the hash is that of the unchanged spec."""
    taken = {"enabled": True, "interval_millis": 60_000, "kept_on_cancellation": True}
    run = {"id": RUN, "job_version": 1, "started_at": BEFORE, "confirmed": True, "checkpointing": taken}
    run |= more.pop("run", {})
    return {
        "state": "Running",
        "job_version": 1,
        "applied_spec_hash": spec_hash(job().spec),
        "applied": {"start_from": {"latest": {}}, "restart_token": ""},
        "started_from": began or started_from(),
        "run": Run.model_validate(run),
        "latest_checkpoint": {"checkpoint_id": 7, "location": retained(7), "completion_time": BEFORE},
    } | more


def ended(end_state: str, **more: Any) -> dict[str, Any]:
    """The status of a StreamJob whose last run has ended."""
    return live(run={"ended_at": BEFORE, "end_state": end_state, "swept": True} | more.pop("run", {}), **more)


def start_intent(began: StartedFrom | None = None, **more: Any) -> StartIntent:
    """A start of FRESH_RUN, as job version 1 of the unchanged spec."""
    return StartIntent.model_validate(
        {
            "run": FRESH_RUN,
            "job_version": 1,
            "spec_hash": spec_hash(job().spec),
            "started_from": began or started_from(),
            "recorded_at": BEFORE,
        }
        | more
    )


def stop_intent(method: str = "Savepoint", reason: str = "Stop", **more: Any) -> StopIntent:
    """A stop of RUN; with a savepoint it is Checkpoint `flights-stop`."""
    return StopIntent.model_validate(
        {
            "run": RUN,
            "reason": reason,
            "method": method,
            "checkpoint": "flights-stop" if method == "Savepoint" else None,
            "attempt": 1,
            "recorded_at": NOW - timedelta(seconds=5),
            "deadline": NOW + timedelta(minutes=12),
        }
        | more
    )


def teardown_intent(end_state: str = "STOPPED", **more: Any) -> TeardownIntent:
    """RUN has ended and its objects are to go."""
    return TeardownIntent.model_validate(
        {
            "run": RUN,
            "reason": "Stop",
            "recorded_at": NOW - timedelta(seconds=5),
            "deadline": NOW + timedelta(minutes=5),
            "end_state": end_state,
        }
        | more
    )


def checkpoint(
    name: str = "before",
    number: int = 1,
    phase: str | None = None,
    status: dict[str, Any] | None = None,
    *,
    finalizers: tuple[str, ...] = (constants.FINALIZER_DATA,),
    deleted: datetime | None = None,
    created: datetime = NOW - timedelta(minutes=1),
    **change: Any,
) -> Checkpoint:
    """A Checkpoint; from phase Creating on with what Penstock has written by then. `change` is the spec's."""
    if change.get("source", "Manual") != "Manual":
        change.setdefault("origin", {"run": RUN})
    metadata = {
        "name": name,
        "namespace": NAMESPACE,
        "uid": uid(number),
        "resourceVersion": "1",
        "generation": 1,
        "creationTimestamp": created,
        "finalizers": finalizers,
        "deletionTimestamp": deleted,
    }
    told: dict[str, Any] = {"phase": phase} if phase else {}
    if phase not in (None, "Pending"):
        told |= {
            "attempt": 1,
            "trigger_id": names.trigger_id(uid(number), 1),
            "target_directory": target(number),
            "job_uid": JOB_UID,
            "run": RUN,
            "job_version": 1,
            "trigger_time": created,
            "format": "Canonical",
            "store": "main",
            "settled": phase != "Creating",
        }
    if phase in ("Present", "Cleared"):
        told |= {
            "location": savepoint(number),
            "checkpoint_id": number,
            "completion_time": created + timedelta(seconds=1),
            "size_bytes": 1000,
        }
    return Checkpoint.model_validate(
        {"metadata": metadata, "spec": {"jobRef": {"name": JOB}} | change, "status": told | (status or {})}
    )


def deleting(reason: str = "Deleted") -> dict[str, Any]:
    """Status with the intent to take the data away."""
    return {"conditions": [{"type": "Deleting", "status": "True", "reason": reason, "lastTransitionTime": BEFORE}]}


def run_objects(run: str = RUN, **more: Any) -> RunObjects:
    """A run with all of its objects, two pods and its HA ConfigMap."""
    base: dict[str, Any] = {
        "manager": Manager.ACTIVE,
        "pods": 2,
        "manager_pods": 1,
        "objects": 5,
        "job_version": 1,
        "spec_hash": spec_hash(job().spec),
        "started_from": started_from().model_dump_json(by_alias=True, exclude_none=True),
        "ha_config_maps": (names.checkpoint_pointers(JOB, run),),
    }
    return RunObjects(run, **(base | more))


def stats(number: int = 7, path: str | None = None, **more: Any) -> CheckpointStats:
    """A complete checkpoint as Flink tells of it."""
    base: dict[str, Any] = {
        "status": "COMPLETED",
        "savepoint": False,
        "trigger_millis": int(BEFORE.timestamp() * 1000),
        "ack_millis": int(BEFORE.timestamp() * 1000) + 250,
        "duration_millis": 250,
        "size_bytes": 1000,
        "discarded": False,
    }
    return CheckpointStats(id=number, path=path or retained(number), **(base | more))


def flink(state: str = "RUNNING", **more: Any) -> FlinkJob:
    """A job in Flink; RUNNING with all tasks unless said otherwise."""
    base: dict[str, Any] = {"all_running": state == "RUNNING", "completed": stats()}
    return FlinkJob(state, **(base | more))


KEEPS = Checkpointing(keeps_on_cancellation=True, interval_millis=60_000)


def restored(path: str, number: int = 1) -> Restored:
    """What Flink says it restored."""
    return Restored(number, path, savepoint=True)


def stored(location: str, number: int = 1, **more: Any) -> StoredState:
    """A complete state in the store: a savepoint or a retained checkpoint, by its location."""
    is_savepoint = "/savepoints/" in location
    base: dict[str, Any] = {
        "modified": BEFORE + timedelta(seconds=number),
        "savepoint": is_savepoint,
        "run": RUN if is_savepoint else location.split("/")[-2],
        "job_uid": JOB_UID,
        "size_bytes": 1000,
    }
    return StoredState(location, number, **(base | more))


def listing(*states: StoredState) -> JobListing:
    """A listing of the store."""
    return JobListing(states, any_directory=bool(states))


def complete(number: int, **more: Any) -> TargetListing:
    """A Checkpoint's directory that holds its savepoint."""
    return TargetListing(stored(savepoint(number), number), keys=3, **more)


def store_manifest(**change: Any) -> dict[str, Any]:
    """A CheckpointStore as the API gives it."""
    base = {
        "bucket": PLACE.bucket,
        "prefix": PLACE.prefix,
        "endpoint": "http://objects.example:9000",
        "jobCredentials": {"secretName": "s3"},
        "allowedNamespaces": {"all": True},
    }
    return {
        "apiVersion": constants.API_VERSION,
        "kind": "CheckpointStore",
        "metadata": {"name": "main", "uid": uid(999), "resourceVersion": "1", "generation": 1},
        "spec": base | change,
        "status": {"conditions": [{"type": "Ready", "status": "True", "reason": "Answers"}]},
    }


@functools.cache
def store() -> CheckpointStore:
    """A CheckpointStore."""
    return CheckpointStore.model_validate(store_manifest())


def connection_manifest(**kafka: Any) -> dict[str, Any]:
    """A SourceConnection as the API gives it; `kafka` is added to what it says of the broker."""
    return {
        "apiVersion": constants.API_VERSION,
        "kind": "SourceConnection",
        "metadata": {"name": "events", "uid": uid(998), "resourceVersion": "1", "generation": 1},
        "spec": {
            "kafka": {"bootstrapServers": ["kafka-0.kafka.svc:9092"]} | kafka,
            "allowedNamespaces": {"names": [NAMESPACE]},
        },
        "status": {},
    }


def revision(version: int = 1, stream_job: StreamJob | None = None) -> Revision:
    """The job version of a spec."""
    of = stream_job or job()
    return Revision(version, spec_hash(of.spec), dump(of.spec))


def observed(stream_job: StreamJob | None = None, **more: Any) -> Observed:
    """A job that runs well: its objects, Flink's answer, the store and job version 1."""
    base: dict[str, Any] = {
        "job": stream_job,
        "runs": (run_objects(),),
        "revisions": (revision(),),
        "flink": flink(),
        "checkpointing": KEEPS,
        "store": StoreView(PLACE, store()),
    }
    seen = Observed(now=NOW, fresh_run=FRESH_RUN, **(base | more))
    seen = replace(seen, revisions=recorded(seen))
    seen = seen if "verified" in more else replace(seen, verified=whole(seen, urgent=True))
    return seen if "programs" in more else replace(seen, programs=good_programs(seen))


FITS = "graph 3 0\n"
"""What the pod of a preflight says of a program that has a place for all of the state."""


def good_programs(seen: Observed) -> tuple[ProgramPod, ...]:
    """That answer to whatever is asked about in this pass. It is found as if the status had been lost meanwhile."""
    told = [step.status for step in decide(replace(seen, programs=())).steps] if seen.job is not None else []
    restores = [each.restore for each in told if isinstance(each, StreamJobStatus) and each.restore is not None]
    records = [record for each in restores for record in (each.preflight, each.dry_run)]
    asked = {each.id for each in records if each is not None and each.program is None and not each.checks}
    return tuple(ProgramPod(id_, made=True, answer=FITS, ended=True) for id_ in sorted(asked))


def recorded(seen: Observed) -> tuple[Revision, ...]:
    """The job versions with the record of the run that the status knows, so that there is nothing to record."""
    run, began = (seen.job.status.run, seen.job.status.started_from) if seen.job is not None else (None, None)
    if run is None or began is None:
        return seen.revisions
    own = {run.id: record_of(run, began)}
    return tuple(replace(each, runs=own) if each.version == run.job_version else each for each in seen.revisions)


def whole(seen: Observed, *, urgent: bool = False) -> dict[str, Verified]:
    """The answer that all is there, about everything that is to be verified, or about what a start waits for only."""
    asked = [wish for wish in (*wishes(seen), *preflight.wishes(seen)) if wish.start or not urgent]
    return {wish.location: Verified(seen.now, WHOLE, request=wish.request, start=wish.start) for wish in asked}


def idle(stream_job: StreamJob, **more: Any) -> Observed:
    """A job of which nothing runs."""
    return observed(stream_job, **({"runs": (), "flink": None, "listing": JobListing()} | more))
