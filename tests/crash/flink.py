"""A fake Flink: JobManagers with one job each, as `penstock/flink/client.py` sees the real one over REST.

What it answers is held against a real JobManager by `test_flink_contract.py`. It moves on when it is asked, not with
the clock, so that two runs without faults see the same: a job is INITIALIZING at the first look and RUNNING with a
first checkpoint at the second; a savepoint is IN_PROGRESS at the first poll and complete at the second. `move_on` is
what happens while nobody asks, because the operator is dead.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import struct
import time
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

Answer = tuple[int, Any]
_HEX = re.compile(r"[0-9a-f]{32}")
_TERMINAL = ("FINISHED", "CANCELED", "FAILED")
_STATUS = {"FINISHED": "SUCCEEDED", "CANCELED": "CANCELED", "FAILED": "FAILED"}
_NOT_ALL_RUN = (
    "org.apache.flink.runtime.checkpoint.CheckpointException: Checkpoint triggering task Source is not being executed "
    "at the moment. Aborting checkpoint. Failure reason: Not all required tasks are currently running."
)
DURATION = 120
"""Milliseconds that every checkpoint takes, by its own account."""


class Store(Protocol):
    """Where Flink writes: keys of a bucket."""

    async def put(self, key: str, data: bytes) -> None: ...
    async def get(self, key: str) -> bytes | None: ...
    async def keys(self, prefix: str) -> dict[str, int]: ...
    async def delete(self, keys: list[str]) -> None: ...


@dataclass
class Operation:
    """A savepoint, or a stop with one."""

    target: str
    stop: bool
    polls: int = 0
    location: str = ""
    failure: str = ""

    @property
    def done(self) -> bool:
        """Whether it has ended, well or not."""
        return bool(self.location or self.failure)


@dataclass
class Job:
    """One Flink job: the only one of its JobManager."""

    run: str
    cluster: str
    restore_path: str
    checkpoint_dir: str
    ha_dir: str
    num_retained: int = 1
    broken: bool = False
    """Whether it fails as soon as it is made, as one does that cannot read its state."""
    state: str = "INITIALIZING"
    looks: int = 0
    number: int = 0
    restored: dict[str, Any] | None = None
    history: list[dict[str, Any]] = field(default_factory=list)
    operations: dict[tuple[str, str], Operation] = field(default_factory=dict)
    """By job id and trigger id."""
    savepoints: list[str] = field(default_factory=list)
    """Locations of all savepoints that were ever completed."""
    failure: str = ""
    began_millis: int = 0
    """When this JobManager began it."""

    @property
    def terminal(self) -> bool:
        """Whether it has ended for good."""
        return self.state in _TERMINAL

    @property
    def newest(self) -> str:
        """Location of its newest checkpoint, else of what it was restored from: what its HA metadata points to."""
        return next((str(each["external_path"]) for each in reversed(self.history)), self.restore_path)


def metadata(number: int) -> bytes:
    """A whole `_metadata` file without state: version 3, which Flink still reads, ends after the operators."""
    return struct.pack(">IiqII", 0x4960672D, 3, number, 0, 0)


def suffix(run: str, number: int) -> str:
    """The last part of a savepoint's directory: random in Flink, derived here so that it can be named at the end."""
    return hashlib.sha256(f"{run}/{number}".encode()).hexdigest()[:12]


def key_of(uri: str) -> str:
    """The key of an `s3://bucket/key` location."""
    return uri.removeprefix("s3://").partition("/")[2].rstrip("/")


class Flink:
    """The JobManagers of one run of the harness, by the host name of their Service."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.jobs: dict[str, Job] = {}
        """By host, those whose process runs."""
        self.started: list[Job] = []
        """All that ever started, in order: what the end state compares."""
        self.refusals = 0
        """How many of the next savepoints fail for a passing reason, and leave a part behind."""
        self.ahead_millis = 0
        """How far Flink's clock is ahead: a job whose checkpoint is of later has worked for as long."""
        self._lock = asyncio.Lock()

    async def start(self, host: str, job: Job) -> None:
        """A JobManager's process starts and its program submits the job."""
        self.jobs[host] = job
        self.started.append(job)
        job.began_millis = _now()
        await self.store.put(f"{key_of(job.ha_dir)}/{job.cluster}/submittedExecutionPlan{job.run[:12]}", b"plan")
        if job.restore_path:
            found = await self.store.get(f"{key_of(job.restore_path)}/_metadata")
            if found is None:
                await self._end(job, "FAILED", f"java.io.FileNotFoundException: {job.restore_path}/_metadata")
                return
            job.number = struct.unpack_from(">Iiq", found)[2]
            savepoint = "/savepoint-" in job.restore_path
            job.restored = {
                "id": job.number,
                "restore_timestamp": _now(),
                "is_savepoint": savepoint,
                "external_path": job.restore_path,
            }
        if job.broken:
            await self._end(job, "FAILED", "java.lang.IllegalStateException: Failed to rollback to the savepoint")

    def kill(self, host: str) -> None:
        """The JobManager's process dies: what it remembered is lost."""
        self.jobs.pop(host, None)

    async def move_on(self) -> None:
        """Time passes without anybody asking: jobs run, savepoints complete, stopped jobs end."""
        async with self._lock:
            for job in list(self.jobs.values()):
                await self._run(job)
                for operation in list(job.operations.values()):
                    await self._complete(job, operation)

    @property
    def busy(self) -> bool:
        """Whether it answers somebody, or moves on, at this moment."""
        return self._lock.locked()

    @property
    def has_to_move_on(self) -> bool:
        """Whether `move_on` would change anything."""
        under_way = (each for job in self.jobs.values() for each in job.operations.values() if not each.done)
        return any(job.state == "INITIALIZING" for job in self.jobs.values()) or any(True for _ in under_way)

    def standing(self) -> str:
        """All that its answers from now on depend upon, without times."""
        hosts = {id(job): host for host, job in self.jobs.items()}
        # Every field, so that one which is added later is not forgotten.
        told = [(hosts.get(id(job)), _standing(asdict(job))) for job in self.started]
        return repr((told, self.refusals, self.ahead_millis))

    # ------------------------------------------------------------ REST

    async def answer(self, host: str, method: str, path: str, body: dict[str, Any] | None) -> Answer | None:
        """Answer a request, path and query; None: nobody listens at that host."""
        async with self._lock:
            job = self.jobs.get(host)
            return None if job is None else await self._answer(job, method, path, body)

    async def _answer(self, job: Job, method: str, path: str, body: dict[str, Any] | None) -> Answer:
        path, _, query = path.partition("?")
        parts = path.strip("/").split("/")
        if parts == ["applications", "overview"]:
            return 200, self._applications(job)
        if parts[0] != "jobs" or len(parts) < 2 or not _HEX.fullmatch(parts[1]):
            return _error(404, "Not found: " + path)
        known = job if parts[1] == job.run else None
        if method == "GET":
            return await self._get(job, known, parts)
        if method == "PATCH" and query == "mode=cancel":
            return await self._cancel(known, parts[1])
        if method == "POST" and parts[2:] in (["savepoints"], ["stop"]):
            return self._trigger(job, parts[1], body or {}, stop=parts[2] == "stop")
        return _error(404, "Not found: " + path)

    async def _get(self, owner: Job, job: Job | None, parts: list[str]) -> Answer:
        rest = parts[2:]
        if len(rest) == 2 and rest[0] == "savepoints":
            return await self._poll(owner, parts[1], rest[1])
        if job is None:
            return _error(404, f"org.apache.flink.runtime.rest.NotFoundException: Job {parts[1]} not found")
        if not rest:
            job.looks += 1
            if job.looks > 1:
                await self._run(job)
            return 200, _overview(job)
        if rest[0] == "checkpoints":
            return 200, _checkpoints(job) if len(rest) == 1 else _CONFIG
        return _detail(job, rest)

    def _applications(self, job: Job) -> dict[str, Any]:
        status = job.state if job.terminal else "RUNNING"
        return {"applications": [{"id": job.run, "name": "app", "status": status, "jobs": {"total": 1}}]}

    def _trigger(self, job: Job, run: str, body: dict[str, Any], *, stop: bool) -> Answer:
        trigger = str(body.get("triggerId") or "")
        target = str(body.get("targetDirectory" if stop else "target-directory") or "")
        if not _HEX.fullmatch(trigger):
            return _error(400, "Bad request: triggerId")
        # Even for a job that is unknown or has ended: only the poll says so.
        if (run, trigger) not in job.operations:
            operation = Operation(target, stop)
            if run != job.run or job.state != "RUNNING":
                operation.failure = _failure(job, run)
            elif not target.startswith("s3://"):
                operation.failure = f"org.apache.flink.core.fs.UnsupportedFileSystemSchemeException: {target}"
            job.operations[run, trigger] = operation
        return 202, {"request-id": trigger}

    async def _poll(self, job: Job, run: str, trigger: str) -> Answer:
        operation = job.operations.get((run, trigger))
        if operation is None:
            return _error(
                404,
                "org.apache.flink.runtime.rest.handler.RestHandlerException: There is no savepoint operation with "
                f"triggerId={trigger} for job {run}.",
            )
        await self._polled(job, operation)
        if operation.failure:
            cause = {"class": operation.failure.partition(":")[0], "stack-trace": operation.failure}
            return 200, {"status": {"id": "COMPLETED"}, "operation": {"failure-cause": cause}}
        if operation.location:
            return 200, {"status": {"id": "COMPLETED"}, "operation": {"location": operation.location}}
        return 200, {"status": {"id": "IN_PROGRESS"}, "operation": None}

    async def _polled(self, job: Job, operation: Operation) -> None:
        """What a poll moves on."""
        operation.polls += 1
        if operation.polls > 1:
            for each in list(job.operations.values()):  # one that nobody polls completes all the same
                await self._complete(job, each)

    async def _cancel(self, job: Job | None, run: str) -> Answer:
        if job is None:
            return _error(404, f"Job could not be found: {run}")
        if job.terminal and job.state != "CANCELED":
            return _error(
                409,
                f"Job cancellation failed because the job has already reached another terminal state ({job.state}).",
            )
        if not job.terminal:
            await self._end(job, "CANCELED")
        return 202, {}

    # ------------------------------------------------------------ what a job does

    async def _run(self, job: Job) -> None:
        if job.state == "INITIALIZING":
            await self._checkpoint(job)
            job.state = "RUNNING"

    async def _checkpoint(self, job: Job) -> None:
        """Complete a checkpoint that Flink takes by itself, and drop the oldest beyond `num_retained`."""
        job.number += 1
        directory = f"{job.checkpoint_dir}/{job.run}/chk-{job.number}"
        await self.store.put(f"{key_of(directory)}/_metadata", metadata(job.number))
        self._record(job, directory, savepoint=False)
        retained = [each for each in job.history if not each["is_savepoint"] and not each["discarded"]]
        for entry in retained[: -job.num_retained]:
            entry["discarded"] = True
            await self.store.delete([f"{key_of(entry['external_path'])}/_metadata"])

    async def _complete(self, job: Job, operation: Operation) -> None:
        if operation.done:
            return
        if job.state != "RUNNING":
            operation.failure = _failure(job, job.run)
            return
        job.number += 1
        location = f"{operation.target.rstrip('/')}/savepoint-{job.run[:6]}-{suffix(job.run, job.number)}"
        await self.store.put(f"{key_of(location)}/state", b"x" * 1000)
        if self.refusals:
            self.refusals -= 1
            operation.failure = _NOT_ALL_RUN
            return
        await self.store.put(f"{key_of(location)}/_metadata", metadata(job.number))
        operation.location = location
        job.savepoints.append(location)
        self._record(job, location, savepoint=True)
        if operation.stop:
            await self._end(job, "FINISHED")

    def _record(self, job: Job, location: str, *, savepoint: bool) -> None:
        ended = _now() + self.ahead_millis
        job.history.append(
            {
                "id": job.number,
                "status": "COMPLETED",
                "is_savepoint": savepoint,
                "savepointFormat": "CANONICAL" if savepoint else None,
                "checkpoint_type": "SAVEPOINT" if savepoint else "CHECKPOINT",
                "trigger_timestamp": ended - DURATION,
                "latest_ack_timestamp": ended,
                "end_to_end_duration": DURATION,
                "state_size": 1000,
                "checkpointed_size": 1000,
                "external_path": location,
                "discarded": False,
            }
        )

    async def _end(self, job: Job, state: str, failure: str = "") -> None:
        """The job ends for good. A finished one takes its retained checkpoints along, whatever their retention says."""
        job.state, job.failure = state, failure
        if state == "FINISHED":
            keys = await self.store.keys(f"{key_of(job.checkpoint_dir)}/{job.run}/")
            await self.store.delete(list(keys))
            for entry in job.history:
                entry["discarded"] = entry["discarded"] or not entry["is_savepoint"]
        result = f'{{"result":{{"id":"{job.run}","application-status":"{_STATUS[state]}"}}}}'
        path = f"{key_of(job.ha_dir)}/job-result-store/{job.cluster}/{job.run}.json"
        await self.store.put(path, result.encode())


_TIMES = ("began_millis", "restore_timestamp", "trigger_timestamp", "latest_ack_timestamp")


def _standing(value: Any) -> Any:
    """Without times; of how often somebody has looked or polled it only matters whether it was the first time."""
    if isinstance(value, dict):
        kept = {key: each for key, each in value.items() if key not in _TIMES}
        counted = {key: min(kept[key], 2) for key in ("looks", "polls") if key in kept}
        return sorted((str(key), _standing(each)) for key, each in (kept | counted).items())
    return [_standing(each) for each in value] if isinstance(value, list) else repr(value)


def _now() -> int:
    return int(time.time() * 1000)


def _failure(job: Job, run: str) -> str:
    if run != job.run or job.terminal:
        return f"org.apache.flink.runtime.messages.FlinkJobNotFoundException: Could not find Flink job ({run})"
    return _NOT_ALL_RUN


def _overview(job: Job) -> dict[str, Any]:
    running = job.state == "RUNNING"
    vertices = [{"id": "0" * 32, "name": "Source", "parallelism": 1, "status": job.state}] if running else []
    times = {"start-time": job.began_millis, "now": _now(), "timestamps": {"RESTARTING": 0}}
    return {"jid": job.run, "name": "job", "state": job.state, "vertices": vertices} | times


_CONFIG = {
    "mode": "exactly_once",
    "interval": 60_000,
    "externalization": {"enabled": True, "delete_on_cancellation": False},
}


def _detail(job: Job, rest: list[str]) -> Answer:
    """What is asked for seldom: why it failed, and how busy it is."""
    if rest == ["exceptions"]:
        entries = [{"exceptionName": "", "stacktrace": job.failure, "timestamp": _now()}] if job.failure else []
        return 200, {"exceptionHistory": {"entries": entries, "truncated": False}}
    if rest[0] == "vertices" and len(rest) == 2:
        running = {"subtask": 0, "status": "RUNNING", "status-duration": {"RUNNING": _now() - job.began_millis}}
        return 200, {"id": rest[1], "subtasks": [running]}
    if rest[0] == "vertices" and rest[2:] == ["watermarks"]:
        return 200, []
    if rest[0] == "vertices" and rest[2:] == ["metrics"]:  # of a source that is no Kafka topic, ten records a second
        return 200, [{"id": "0.numRecordsOut", "value": str((_now() - job.began_millis) // 100)}]
    if rest[0] == "vertices" and rest[2:] == ["subtasks", "metrics"]:
        return 200, [{"id": "busyTimeMsPerSecond", "max": 12.0}]
    return _error(404, "Not found")


def _checkpoints(job: Job) -> dict[str, Any]:
    newest = {
        kind: next((e for e in reversed(job.history) if e["is_savepoint"] is kind), None) for kind in (False, True)
    }
    latest = {"completed": newest[False], "savepoint": newest[True], "failed": None, "restored": job.restored}
    return {"counts": {"completed": len(job.history)}, "latest": latest, "history": list(reversed(job.history))}


def _error(status: int, message: str) -> Answer:
    return status, {"errors": [message]}
