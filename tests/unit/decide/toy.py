"""A toy world for decide: Kubernetes, Flink and the store as dicts, and an operator that may die after any operation.

One `reconcile` is one pass: look, decide, carry out, write. Effects and status writes are counted; `crash_after` drops
the rest of the pass after that operation, as a killed process would. `tick` lets the world move: pods come and go,
JobManagers ask the guard, Flink completes checkpoints. What must never happen is collected in `violations`.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from penstock import model, names
from penstock.api import constants
from penstock.api.base import dump
from penstock.api.checkpoint import Checkpoint, Phase
from penstock.api.streamjob import StreamJob
from penstock.build.checkpoint import note, stop_checkpoint
from penstock.decide import decide
from penstock.decide.change import spec_hash
from penstock.decide.needs import needs
from penstock.errors import PenstockError, Refused, RetryLater, Stale
from penstock.flink.answers import (
    CheckpointStats,
    Completed,
    FlinkJob,
    InProgress,
    NotTriggered,
    Restored,
    Trigger,
    TriggerFailed,
)
from penstock.model import Decision, JobListing, Manager, Observed, Revision, RunObjects, StoredState, TargetListing
from tests.unit import builders
from tests.unit.builders import HOME, JOB, JOB_UID, NOW, PLACE
from tests.unit.decide.rules import objection

KINDS = frozenset({"ConfigMap", "Secret", "Service", "Deployment", "Job"})
NUM_RETAINED = 2
CHECKPOINT_EVERY = 4
FILE_BYTES = 400
FORGETS_SECONDS = 300
"""Flink forgets a completed trigger id after five minutes."""


_IN_STORE = (
    model.WriteNote,
    model.DeleteKeys,
    model.DeleteCheckpointData,
    model.ForgetDeletion,
    model.DeleteJobData,
    model.DeleteHighAvailability,
)


class Crash(Exception):  # noqa: N818 - what happens
    """The operator's process dies here."""


@dataclass
class File:
    """One object of the store; a `_metadata` carries Flink's number and the value of the job's state."""

    modified: Any
    number: int = 0
    value: int = 0
    content: dict[str, Any] = field(default_factory=dict)


@dataclass
class Operation:
    """A savepoint, or a stop with one, in a JobManager's memory."""

    target: str
    stop: bool
    location: str = ""
    failure: str = ""
    ended: Any = None


@dataclass
class Process:
    """A JobManager's process and its job. `value` counts what was processed: the job's state."""

    state: str = "INITIALIZING"
    value: int = 0
    number: int = 0
    restored: Restored | None = None
    rounds: int = 0
    completed: CheckpointStats | None = None
    history: list[CheckpointStats] = field(default_factory=list)
    operations: dict[str, Operation] = field(default_factory=dict)

    @property
    def live(self) -> bool:
        return self.state in ("INITIALIZING", "RUNNING")


@dataclass
class Deployed:
    """What Kubernetes holds of one run."""

    kinds: set[str] = field(default_factory=set)
    permit: bool = False
    permit_used: bool = False
    failed: bool = False
    applied: model.ApplyRun | None = None
    process: Process | None = None
    pods: int = 0
    plan: bool = False
    pointer: str = ""
    pointers_exist: bool = False
    result: str = ""


class Toy:
    """The world, with an operator in it."""

    def __init__(self, **spec: Any) -> None:
        self.now = NOW
        self.objects: dict[str, dict[str, Any]] = {}
        """Manifests: the StreamJob under the empty name, Checkpoints under their own."""
        self.runs: dict[str, Deployed] = {}
        self.revisions: dict[int, Revision] = {}
        self.store: dict[str, File] = {}
        self.tombstones: dict[str, int] = {}
        """Bytes freed by each deletion whose tombstone is still there, by the Checkpoint's uid."""
        self.namespace_terminating = False
        self.savepoints_completed: dict[str, int] = {}
        """How many savepoints were ever complete in each target directory."""
        self.starts: list[tuple[str, str]] = []
        """(run, restore path) of each first start."""
        self.lost: list[int] = []
        """For each first start, how many records the newest state of all in the store was ahead of it."""
        self.operations = 0
        self.crash_after: int | None = None
        self.on_crash: Callable[[Toy], None] = lambda toy: toy.tick(1)
        self.violations: list[str] = []
        self.trace: list[str] = []
        self.savepoint_failure = ""
        self.store_down = False
        self.flink_down = False
        self._next = 0
        self._version = 0
        stream_job = builders.job(finalizers=(), **spec)
        self._put("", dump(stream_job) | {"status": {}})

    # ------------------------------------------------------------ what a user does

    @property
    def job(self) -> StreamJob | None:
        stored = self.objects.get("")
        return StreamJob.model_validate(stored) if stored else None

    @property
    def checkpoints(self) -> list[Checkpoint]:
        return [Checkpoint.model_validate(each) for name, each in self.objects.items() if name]

    @property
    def status(self) -> Any:
        """The StreamJob's status."""
        assert self.job is not None
        return self.job.status

    def edit(self, **change: Any) -> None:
        """Change the StreamJob's spec; `checkpoints` is added to."""
        stored = self.objects[""]
        spec = dict(stored["spec"])
        if "checkpoints" in change:
            change["checkpoints"] = spec["checkpoints"] | change["checkpoints"]
        stored["spec"] = spec | change
        stored["metadata"]["generation"] += 1
        self._put("", stored)

    def create_checkpoint(self, name: str, **spec: Any) -> None:
        made = builders.checkpoint(name, self._number(), finalizers=(), created=self.now, **spec)
        self._put(name, dump(made))

    def delete(self, name: str = "") -> None:
        stored = self.objects[name]
        if not stored["metadata"].get("finalizers"):
            del self.objects[name]
            return
        stored["metadata"].setdefault("deletionTimestamp", self.now.isoformat())
        self._put(name, stored)

    def lose_status(self, name: str = "") -> None:
        self.objects[name]["status"] = {}
        self._put(name, self.objects[name])

    def kill_job_managers(self) -> None:
        """Every JobManager's process dies; its Job will make another pod."""
        for deployed in self.runs.values():
            deployed.process = None

    def lose_high_availability(self) -> None:
        for deployed in self.runs.values():
            deployed.plan, deployed.pointer, deployed.pointers_exist = False, "", False

    # ------------------------------------------------------------ the operator

    def settle(self, limit: int = 250) -> None:
        """Let the operator and the world go on until nothing changes any more."""
        quiet = 0
        for _ in range(limit):
            decision = self.reconcile()
            pause = decision.after_seconds if decision is not None else 1.0
            busy = decision is None or any(step.effects or step.events for step in decision.steps)
            job = self.job
            busy = busy or (job is not None and job.status.intent is not None) or (pause is not None and pause < 5)
            quiet = 0 if busy else quiet + 1
            if quiet > 2:
                return
            self.tick(min(10.0, 1.0 if pause is None else max(pause, 0.2)))
        tail = "\n".join(self.trace[-25:])
        raise AssertionError(f"not settled after {limit} passes:\n{tail}")

    def reconcile(self) -> Decision | None:
        """One pass; None when the operator died in it or met a conflict."""
        observed = self.observe()
        decision = decide(observed)
        try:
            for step in decision.steps:
                self._step(observed, step)
        except Crash:
            self.trace.append("   CRASH")
            self.on_crash(self)
            return None
        except Stale:
            self.trace.append("   stale")
            return None
        return decision

    def _step(self, observed: Observed, step: model.Step) -> None:
        name = step.owner
        try:
            for effect in step.effects:
                if problem := objection(observed, effect):
                    self.violations.append(problem)
                self.trace.append(f"{self.now:%H:%M:%S} {name or 'job'}: {effect}"[:240])
                if self.store_down and isinstance(effect, _IN_STORE):
                    raise RetryLater("the store does not answer")
                getattr(self, f"_do_{type(effect).__name__}")(observed, effect)
                self._count()
            if step.status is not None:
                self.trace.append(f"{self.now:%H:%M:%S} {name or 'job'} status: {_short(step.status)}")
                self._write_status(observed, name, step.status)
                self._count()
        except Stale:
            raise
        except PenstockError as error:
            self.trace.append(f"   {error}")
            status = self._loaded(observed, name).status
            failed = {"time": self.now.isoformat(), "reason": error.reason, "message": str(error)}
            known = status.last_error
            if known is None or known.message != str(error):
                self._write_status(observed, name, type(status).model_validate(dump(status) | {"lastError": failed}))

    def _count(self) -> None:
        self.operations += 1
        if self.operations == self.crash_after:
            raise Crash

    def _loaded(self, observed: Observed, name: str) -> Any:
        return observed.job if not name else next(c for c in observed.checkpoints if c.metadata.name == name)

    def _write_status(self, observed: Observed, name: str, status: Any) -> None:
        stored = self.objects.get(name)
        if stored is None:
            self.violations.append(f"a status was written to {name or 'the job'}, which is gone")
            raise Refused("not found", "NotFound", 404)
        if stored["metadata"]["resourceVersion"] != self._loaded(observed, name).metadata.resource_version:
            raise Stale("conflict")
        if stored.get("status") != dump(status):
            self._put(name, stored | {"status": dump(status)})

    # ------------------------------------------------------------ what the operator sees

    def observe(self) -> Observed:
        job, checkpoints = self.job, tuple(self.checkpoints)
        runs = tuple(view for run in sorted(self.runs) if (view := self._view(run)) is not None)
        wanted = needs(job, checkpoints, runs)
        by_name = {each.metadata.name: each for each in checkpoints}
        down = model.Unknown("the store does not answer") if self.store_down else None
        return Observed(
            now=self.now,
            fresh_run=f"{self._number():08x}" * 4,
            job=job,
            checkpoints=checkpoints,
            namespace_terminating=self.namespace_terminating,
            runs=runs if job else (),
            revisions=tuple(self.revisions[key] for key in sorted(self.revisions)),
            flink=self._flink(wanted.flink) if wanted.flink else None,
            triggers={name: self._trigger(by_name[name].status) for name in wanted.triggers},
            store=model.StoreView(PLACE, builders.store()),
            listing=(down or self._listing()) if wanted.listing else None,
            targets={
                name: down or self._target(by_name[name].status.target_directory, by_name[name].metadata.uid)
                for name in wanted.targets
            },
            job_result=down or self._result(wanted.job_result),
        )

    def _result(self, run: str) -> str | None:
        return (self.runs[run].result or None) if run in self.runs else None

    def _view(self, run: str) -> RunObjects | None:
        deployed = self.runs[run]
        if not (deployed.kinds or deployed.permit or deployed.pods):
            return None
        applied = deployed.applied if "Job" in deployed.kinds else None
        manager = Manager.ABSENT if applied is None else Manager.FAILED if deployed.failed else Manager.ACTIVE
        pointers = (names.checkpoint_pointers(JOB, run),) if deployed.pointers_exist else ()
        return RunObjects(
            run,
            manager=manager,
            missing=tuple(sorted(KINDS - {"Secret"} - deployed.kinds)),
            permit=deployed.permit,
            pods=deployed.pods,
            objects=len(deployed.kinds - {"Secret"}) + deployed.permit,
            ha_config_maps=pointers,
            job_version=applied.version if applied else 0,
            spec_hash=applied.spec_hash if applied else "",
            started_from=applied.started_from if applied else "",
        )

    def _flink(self, run: str) -> FlinkJob | model.Unknown | None:
        process = self.runs[run].process
        if process is None or self.flink_down:
            return model.Unknown("connection refused")
        running = process.state == "RUNNING"
        return FlinkJob(
            process.state, running, process.restored, process.completed, tuple(process.history[-10:]), "broken"
        )

    def _trigger(self, status: Any) -> Trigger | model.Unknown:
        process = self.runs[status.run].process
        if process is None or self.flink_down:
            return model.Unknown("connection refused")
        operation = process.operations.get(status.trigger_id)
        if operation is None:
            return NotTriggered()
        if operation.failure:
            return TriggerFailed(operation.failure)
        return Completed(operation.location) if operation.location else InProgress()

    def _listing(self) -> JobListing:
        states = tuple(self._state(key) for key in sorted(self.store) if key.endswith("/_metadata"))
        return JobListing(states, any_directory=any("/checkpoints/" in k or "/savepoints/" in k for k in self.store))

    def _target(self, directory: str | None, uid: str) -> TargetListing:
        head = PLACE.key_of(directory or "") or "?"
        keys = [key for key in sorted(self.store) if key.startswith(head + "/")]
        whole = [self._state(key) for key in keys if key.endswith("/_metadata")]
        newest = max(whole, key=lambda state: state.modified, default=None)
        kept = PLACE.key_of(newest.location) if newest else "?"
        partial = tuple(key for key in keys if not key.startswith(f"{kept}/") and not key.endswith("penstock.json"))
        return TargetListing(newest, partial, len(keys), self.tombstones.get(uid))

    def _state(self, key: str) -> StoredState:
        file, parts = self.store[key], key[len(HOME) :].split("/")
        saved = parts[0] == "savepoints"
        head = HOME + "/".join(parts[:2]) + "/"
        told = self.store[head + "penstock.json"].content if saved and head + "penstock.json" in self.store else {}
        return StoredState(
            PLACE.uri(key.removesuffix("/_metadata")),
            file.number,
            file.modified,
            saved,
            run=told.get("run", "") if saved else parts[1],
            job_uid=JOB_UID,
            size_bytes=1000,
            target_directory=head if saved else "",
            note=told,
        )

    # ------------------------------------------------------------ effects

    def _do_SetFinalizer(self, observed: Observed, effect: model.SetFinalizer) -> None:  # noqa: N802
        name = "" if effect.kind == "StreamJob" else effect.name
        stored, seen = self.objects.get(name), self._loaded(observed, name)
        if stored is None or stored["metadata"]["resourceVersion"] != seen.metadata.resource_version:
            raise Stale("conflict")
        own = constants.FINALIZER_DATA if name else constants.FINALIZER_RUN
        others = [each for each in stored["metadata"].get("finalizers", []) if each != own]
        stored["metadata"]["finalizers"] = [*others, own] if effect.present else others
        self._put(name, stored)
        if stored["metadata"].get("deletionTimestamp") and not stored["metadata"]["finalizers"]:
            del self.objects[name]
            if not name:  # the garbage collector
                for deployed in self.runs.values():
                    deployed.kinds, deployed.permit, deployed.process = set(), False, None

    def _do_RecordRevision(self, _: Observed, effect: model.RecordRevision) -> None:  # noqa: N802
        made = Revision(effect.version, effect.spec_hash, dump(effect.spec))
        if self.revisions.setdefault(effect.version, made).spec_hash != spec_hash(effect.spec):
            self.violations.append(f"job version {effect.version} was recorded with two specs")

    def _do_GrantPermit(self, _: Observed, effect: model.GrantPermit) -> None:  # noqa: N802
        deployed = self.runs.setdefault(effect.run, Deployed())
        if deployed.permit_used:
            self.violations.append(f"run {effect.run} was permitted again after its first start")
        deployed.permit = True

    def _do_ApplyRun(self, _: Observed, effect: model.ApplyRun) -> None:  # noqa: N802
        deployed = self.runs.setdefault(effect.run, Deployed())
        deployed.kinds = set(KINDS)
        if deployed.applied is not None and deployed.applied.restore_from != effect.restore_from:
            self.violations.append(f"run {effect.run} was applied with two restore paths")
        deployed.applied = effect

    def _do_DeleteRun(self, _: Observed, effect: model.DeleteRun) -> None:  # noqa: N802
        deployed = self.runs[effect.run]
        deployed.kinds, deployed.permit = set(), False

    def _do_DeletePods(self, observed: Observed, effect: model.DeletePods) -> None:  # noqa: N802
        """Pods are a number here."""

    def _do_DeleteHighAvailability(self, _: Observed, effect: model.DeleteHighAvailability) -> None:  # noqa: N802
        deployed = self.runs.setdefault(effect.run, Deployed())
        if deployed.process is not None:
            self.violations.append("HA data was deleted under a JobManager")
        deployed.plan, deployed.pointer, deployed.pointers_exist, deployed.result = False, "", False, ""

    def _do_CreateCheckpoint(self, observed: Observed, effect: model.CreateCheckpoint) -> None:  # noqa: N802
        assert observed.job is not None
        if effect.name in self.objects:
            return
        made = stop_checkpoint(observed.job, effect)
        meta = {"uid": builders.uid(self._number()), "generation": 1, "creationTimestamp": self.now.isoformat()}
        self._put(effect.name, made | {"metadata": made["metadata"] | meta, "status": {}})

    def _do_WriteNote(self, observed: Observed, effect: model.WriteNote) -> None:  # noqa: N802
        checkpoint = self._loaded(observed, effect.checkpoint)
        head = PLACE.key_of(checkpoint.status.target_directory)
        self.store[f"{head}/penstock.json"] = File(self.now, content=note(checkpoint))

    def _do_TriggerSavepoint(self, _: Observed, effect: model.TriggerSavepoint) -> None:  # noqa: N802
        process = self.runs[effect.run].process
        if process is None or self.flink_down:
            raise RetryLater("connection refused")
        if effect.trigger_id in process.operations:
            return
        operation = process.operations[effect.trigger_id] = Operation(effect.target, effect.stop)
        if process.state != "RUNNING":
            operation.failure, operation.ended = "FlinkJobNotFoundException: Could not find Flink job", self.now

    def _do_CancelJob(self, _: Observed, effect: model.CancelJob) -> None:  # noqa: N802
        process = self.runs[effect.run].process
        if process is None or self.flink_down:
            raise RetryLater("connection refused")
        if not process.live:
            raise Refused("already reached another terminal state", "FlinkRefused", 409)
        self._end(self.runs[effect.run], "CANCELED")

    def _do_DeleteKeys(self, _: Observed, effect: model.DeleteKeys) -> None:  # noqa: N802
        for key in effect.keys:
            self._remove(key)

    def _do_DeleteCheckpointData(self, observed: Observed, effect: model.DeleteCheckpointData) -> None:  # noqa: N802
        if self._loaded(observed, effect.checkpoint).spec.pinned:
            self.violations.append(f"the data of the pinned {effect.checkpoint} was deleted")
        head = PLACE.key_of(effect.target_directory) or "?"
        uid = self._loaded(observed, effect.checkpoint).metadata.uid
        for key in [each for each in self.store if each.startswith(head + "/")]:
            self._remove(key)
            self.tombstones[uid] = self.tombstones.get(uid, 0) + FILE_BYTES

    def _do_ForgetDeletion(self, observed: Observed, effect: model.ForgetDeletion) -> None:  # noqa: N802
        self.tombstones.pop(self._loaded(observed, effect.checkpoint).metadata.uid, None)

    def _do_DeleteJobData(self, _: Observed, effect: model.DeleteJobData) -> None:  # noqa: N802
        keep = tuple(f"{PLACE.key_of(uri)}/" for uri in effect.keep)
        for key in [each for each in self.store if each.startswith(HOME) and not (keep and each.startswith(keep))]:
            self._remove(key)

    def _do_DeleteCheckpoint(self, _: Observed, effect: model.DeleteCheckpoint) -> None:  # noqa: N802
        if effect.name in self.objects:
            self.delete(effect.name)

    # ------------------------------------------------------------ how the world moves

    def tick(self, seconds: float) -> None:
        """Time passes; the world makes at most five moves."""
        moves = max(1, min(5, round(seconds)))
        for _ in range(moves):
            self.now += timedelta(seconds=seconds / moves)
            for run, deployed in self.runs.items():
                self._pods(run, deployed)
                if deployed.process is not None:
                    self._job(run, deployed, deployed.process)
            alive = [run for run, each in self.runs.items() if each.process is not None and each.process.live]
            if len(alive) > 1:
                self.violations.append(f"runs {alive} live at the same time")

    def _pods(self, run: str, deployed: Deployed) -> None:
        if "Job" not in deployed.kinds:
            if deployed.process is not None:
                deployed.process = None  # terminating: its pods are gone at the next move
            else:
                deployed.pods = 0
            return
        if deployed.process is not None or deployed.failed:
            return
        assert deployed.applied is not None
        if deployed.permit:
            deployed.permit, deployed.permit_used = False, True
            self.starts.append((run, deployed.applied.restore_from))
            deployed.process = self._started(deployed.applied.restore_from)
            newest = max((file.value for file in self.store.values()), default=0)
            self.lost.append(newest - deployed.process.value)
        elif deployed.plan and deployed.pointer:
            deployed.process = self._started(deployed.pointer)
        else:
            deployed.failed, deployed.pods = True, 0
            return
        deployed.pods = 2

    def _started(self, location: str) -> Process:
        if not location:
            return Process()
        file = self.store.get(f"{PLACE.key_of(location)}/_metadata")
        if file is None:
            self.violations.append(f"a run was started from {location}, where nothing is")
            return Process("FAILED")
        return Process(value=file.value, number=file.number, restored=Restored(file.number, location, savepoint=True))

    def _job(self, run: str, deployed: Deployed, process: Process) -> None:
        process.operations = {
            key: each
            for key, each in process.operations.items()
            if each.ended is None or self.now < each.ended + timedelta(seconds=FORGETS_SECONDS)
        }
        if process.state == "INITIALIZING" and "Deployment" in deployed.kinds:
            process.state, deployed.plan = "RUNNING", True
            deployed.pointers_exist = deployed.pointers_exist or not deployed.pointer
            return
        if process.state != "RUNNING":
            return
        process.rounds += 1
        for operation in [each for each in process.operations.values() if each.ended is None]:
            self._savepoint(run, deployed, process, operation)
            if not process.live:
                return
        process.value += 1
        if process.rounds % CHECKPOINT_EVERY == 0 and deployed.pointers_exist:
            process.number += 1
            location = PLACE.uri(f"{HOME}checkpoints/{run}/chk-{process.number}")
            self._complete(process, location, savepoint=False)
            deployed.pointer = location
            self._retain(run)

    def _savepoint(self, run: str, deployed: Deployed, process: Process, operation: Operation) -> None:
        operation.ended = self.now
        if self.savepoint_failure:
            operation.failure = self.savepoint_failure
            return
        process.number += 1
        location = f"{operation.target}/savepoint-{run[:6]}-{self._number():012x}"
        self.savepoints_completed[operation.target] = self.savepoints_completed.get(operation.target, 0) + 1
        if self.savepoints_completed[operation.target] > 1:
            self.violations.append(f"two savepoints were completed in {operation.target}")
        self._complete(process, location, savepoint=True)
        operation.location = location
        if operation.stop:
            self._end(deployed, "FINISHED")
            for key in [each for each in self.store if f"/checkpoints/{run}/" in each]:
                self._remove(key)

    def _complete(self, process: Process, location: str, *, savepoint: bool) -> None:
        millis = int(self.now.timestamp() * 1000)
        head = PLACE.key_of(location)
        self.store[f"{head}/file-1"] = File(self.now)
        self.store[f"{head}/_metadata"] = File(self.now, process.number, process.value)
        done = CheckpointStats(
            process.number, "COMPLETED", savepoint, location, millis - 200, millis, 200, 1000, discarded=False
        )
        process.completed = done
        process.history.append(done)

    def _retain(self, run: str) -> None:
        numbers = sorted({f.number for k, f in self.store.items() if f"/checkpoints/{run}/" in k and f.number})
        for number in numbers[:-NUM_RETAINED]:
            for key in [each for each in self.store if f"/checkpoints/{run}/chk-{number}/" in each]:
                self._remove(key)

    def _end(self, deployed: Deployed, state: str) -> None:
        assert deployed.process is not None
        deployed.process.state = deployed.result = state
        deployed.plan, deployed.pointer, deployed.pointers_exist = False, "", False

    def _remove(self, key: str) -> None:
        self.store.pop(key, None)

    # ------------------------------------------------------------ small things

    def _number(self) -> int:
        self._next += 1
        return self._next

    def _put(self, name: str, manifest: dict[str, Any]) -> None:
        self._version += 1
        manifest["metadata"]["resourceVersion"] = str(self._version)
        self.objects[name] = manifest

    # ------------------------------------------------------------ what a test asks

    @property
    def live(self) -> list[Process]:
        return [each.process for each in self.runs.values() if each.process is not None and each.process.live]

    def checkpoint(self, name: str) -> Checkpoint:
        return Checkpoint.model_validate(self.objects[name])

    def of_source(self, source: str, phase: Phase = Phase.PRESENT) -> list[Checkpoint]:
        return [each for each in self.checkpoints if each.spec.source == source and each.status.phase is phase]

    def summary(self) -> dict[str, Any]:
        """The end state, without ids and times."""
        job = self.job
        return {
            "state": job.status.state if job else "gone",
            "intent": job.status.intent if job else None,
            "version": job.status.job_version if job else 0,
            "applied": dump(job.status.applied) if job and job.status.applied else None,
            "end": job.status.run.end_state if job and job.status.run else None,
            "ready": job and next((c.status for c in job.status.conditions if c.type == "Ready"), ""),
            "from": job.status.started_from.kind if job and job.status.started_from else None,
            "live": len(self.live),
            "checkpoints": sorted((each.spec.source, str(each.status.phase)) for each in self.checkpoints),
            "savepoints": sum("/savepoints/" in key and key.endswith("/_metadata") for key in self.store),
            "starts": len(self.starts),
        }


def _short(status: Any) -> str:
    told = {key: value for key, value in dump(status).items() if key not in ("conditions", "latestCheckpoint")}
    return str(told)[:300]


Scenario = Callable[[Toy], None]


@functools.cache
def _played(scenarios: tuple[Scenario, ...]) -> Toy:
    if not scenarios:
        return Toy()
    toy = after(*scenarios[:-1])
    scenarios[-1](toy)
    return toy


def after(*scenarios: Scenario) -> Toy:
    """A world of its own after these scenarios, in none of which anything went wrong."""
    return copy.deepcopy(_played(scenarios))
