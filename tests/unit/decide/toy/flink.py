"""Flink's side of the toy world: JobManagers with their jobs, checkpoints and savepoints."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from penstock import model
from penstock.api.replay import Replay
from penstock.errors import Refused, RetryLater
from penstock.flink.answers import (
    Checkpointing,
    CheckpointStats,
    Completed,
    FlinkJob,
    InProgress,
    NotTriggered,
    Restored,
    Trigger,
    TriggerFailed,
)
from penstock.model import Observed
from tests.unit.builders import HOME, PLACE
from tests.unit.decide.toy.ground import Deployed, File, Operation, Process
from tests.unit.decide.toy.store import StoreSide

NUM_RETAINED = 2
CHECKPOINT_EVERY = 4
FORGETS_SECONDS = 300
"""Flink forgets a completed trigger id after five minutes."""


FAILS, HANGS, DIES, PENDS = 71, 72, 73, 74
"""A job of this parallelism fails before it runs, never runs, takes its JobManager along, or has no pod that starts."""


DROPS, NO_GRAPH, SILENT = 81, 82, 83
"""A program of this parallelism has no place for some state, cannot make its graph, or is tried without an answer."""


def _width(deployed: Deployed) -> int:
    return deployed.applied.spec.parallelism if deployed.applied is not None else 0


class FlinkSide(StoreSide):
    """The processes of all runs."""

    @property
    def live(self) -> list[Process]:
        return [each.process for each in self.runs.values() if each.process is not None and each.process.live]

    def _flink(self, run: str) -> FlinkJob | model.Unknown | None:
        process = self.runs[run].process
        if process is None or self.flink_down:
            return model.Unknown("connection refused")
        running = process.state == "RUNNING"
        return FlinkJob(
            process.state, running, process.restored, process.completed, tuple(process.history[-10:]), "broken"
        )

    def _checkpointing(self, run: str) -> Checkpointing | model.Unknown:
        process = self.runs[run].process
        if process is None or self.flink_down:
            return model.Unknown("connection refused")
        return Checkpointing(keeps_on_cancellation=not self.discards_when_cancelled, interval_millis=60_000)

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
        if self.discards_when_cancelled:
            self._discard(process, f"/checkpoints/{effect.run}/")

    def _started(self, location: str, replay: Replay | None) -> Process:
        if not location:
            return Process(replay=replay)
        file = self.store.get(f"{PLACE.key_of(location)}/_metadata")
        if file is None:
            self.violations.append(f"a run was started from {location}, where nothing is")
            return Process("FAILED")
        if file.replay != replay:
            self.violations.append(f"{location} is of {file.replay}, and was started from with {replay}")
        restored = Restored(file.number, location, savepoint=True)
        return Process(replay=replay, value=file.value, number=file.number, restored=restored)

    def _job(self, run: str, deployed: Deployed, process: Process) -> None:
        process.operations = {
            key: each
            for key, each in process.operations.items()
            if each.ended is None or self.now < each.ended + timedelta(seconds=FORGETS_SECONDS)
        }
        if process.state == "INITIALIZING" and _width(deployed) == FAILS:
            self._end(deployed, "FAILED")
        if _width(deployed) == HANGS:
            return
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
            self._retain(run, process)

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
            self._discard(process, f"/checkpoints/{run}/")

    def _complete(self, process: Process, location: str, *, savepoint: bool) -> None:
        millis = int(self.now.timestamp() * 1000)
        head = PLACE.key_of(location)
        self.store[f"{head}/file-1"] = File(self.now)
        self.store[f"{head}/_metadata"] = File(self.now, process.number, process.value, replay=process.replay)
        done = CheckpointStats(
            process.number, "COMPLETED", savepoint, location, millis - 200, millis, 200, 1000, discarded=False
        )
        process.completed = done
        process.history.append(done)

    def _retain(self, run: str, process: Process) -> None:
        numbers = sorted({f.number for k, f in self.store.items() if f"/checkpoints/{run}/" in k and f.number})
        for number in numbers[:-NUM_RETAINED]:
            self._discard(process, f"/checkpoints/{run}/chk-{number}/")

    def _discard(self, process: Process, part: str) -> None:
        for key in [each for each in self.store if part in each]:
            self._remove(key)
        process.history = [
            replace(each, discarded=True) if part in f"{each.path}/" else each for each in process.history
        ]

    def _end(self, deployed: Deployed, state: str) -> None:
        assert deployed.process is not None
        deployed.process.state = deployed.result = state
        deployed.plan, deployed.pointer, deployed.pointers_exist = False, "", False
