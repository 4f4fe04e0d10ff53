"""What a pass does: one frozen Decision, made of effects, statuses and events. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from penstock.api.checkpoint import CheckpointStatus
from penstock.api.history import RunRecord
from penstock.api.replay import Replay
from penstock.api.streamjob import StreamJobSpec
from penstock.api.streamjob_status import StreamJobStatus


@dataclass(frozen=True)
class SetFinalizer:
    """Put Penstock's finalizer on an object, or take it off."""

    kind: Literal["StreamJob", "Checkpoint"]
    name: str
    present: bool


@dataclass(frozen=True)
class RecordRevision:
    """Make the ControllerRevision of a job version."""

    version: int
    spec_hash: str
    spec: StreamJobSpec


@dataclass(frozen=True)
class RecordRun:
    """Write what is to stay known of a run to the ControllerRevision of its version."""

    revision: str
    """The ControllerRevision's name."""
    run: str
    record: RunRecord
    forget: tuple[str, ...] = ()
    """Runs whose records go: there are too many."""


@dataclass(frozen=True)
class GrantPermit:
    """Make the ConfigMap that allows the run's one start from its restore path."""

    run: str


@dataclass(frozen=True)
class ApplyRun:
    """Server-side apply of all lasting objects of a run, but never of its permit."""

    run: str
    version: int
    spec_hash: str
    spec: StreamJobSpec
    restore_from: str
    started_from: str


@dataclass(frozen=True)
class MakeGraph:
    """Make the pod that says whether a program can make its graph, and which operators with state it has not."""

    id: str
    operators: tuple[str, ...]
    """`<id>:<max parallelism>` of the operators that have state in what would be started from."""
    replay: Replay | None = None
    """The replay that the program would be told."""
    guarded: bool = True
    """Whether Flink is to refuse it when it changes what its state depends upon."""


@dataclass(frozen=True)
class DeleteGraph:
    """Delete that pod with its objects."""

    id: str


@dataclass(frozen=True)
class DeleteRun:
    """Delete the Kubernetes objects of a run."""

    run: str


@dataclass(frozen=True)
class DeleteManager:
    """Delete the Job of a run's JobManager, so that it is made again without the back-off of failures long past."""

    run: str


@dataclass(frozen=True)
class DeletePods:
    """Delete ended pods that nobody needs."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class DeleteHighAvailability:
    """Delete Flink's HA ConfigMaps and HA directory of a run that is gone."""

    run: str


@dataclass(frozen=True)
class CreateCheckpoint:
    """Make the Checkpoint object of something that no user asked for; its name is deterministic."""

    name: str
    source: Literal["Stop", "Upgrade", "Schedule", "Retained"]
    run: str
    description: str
    checkpoint_id: int | None = None
    """Flink's number of it, when it is there already."""
    replay: Replay | None = None
    """Of one of Flink's own: the replay that its run is of the line of."""


@dataclass(frozen=True)
class WriteNote:
    """Write `penstock.json` into a Checkpoint's target directory, before anything is triggered."""

    checkpoint: str


@dataclass(frozen=True)
class TriggerSavepoint:
    """Ask Flink for a savepoint, or for a stop with one, under the trigger id of the Checkpoint's status."""

    checkpoint: str
    run: str
    trigger_id: str
    target: str
    form: str
    stop: bool


@dataclass(frozen=True)
class CancelJob:
    """Cancel the Flink job without a savepoint."""

    run: str


@dataclass(frozen=True)
class DeleteKeys:
    """Delete leftovers of unfinished savepoints in a Checkpoint's target directory."""

    checkpoint: str
    target_directory: str
    keys: tuple[str, ...]


@dataclass(frozen=True)
class DeleteCheckpointData:
    """Delete a Checkpoint's directory in the store, by tombstone, `_metadata` first."""

    checkpoint: str
    target_directory: str


@dataclass(frozen=True)
class DeleteRetainedData:
    """Delete a retained checkpoint of a run that has ended, with the files that nobody else names."""

    checkpoint: str
    location: str
    run_ended: bool
    """Whether nothing of its run writes any more; else nothing is deleted."""


@dataclass(frozen=True)
class ForgetDeletion:
    """Remove the tombstone of a deletion whose bytes are in the Checkpoint's status."""

    checkpoint: str


@dataclass(frozen=True)
class DeleteJobData:
    """Delete what is left of the job's directory in the store but the directories to keep."""

    job_uid: str
    keep: tuple[str, ...]


@dataclass(frozen=True)
class DeleteCheckpoint:
    """Delete a Checkpoint object."""

    name: str
    uid: str


@dataclass(frozen=True)
class SayUnreadable:
    """Write into the status of a Checkpoint why it cannot be read."""

    namespace: str
    name: str
    why: str


Effect = (
    SetFinalizer
    | SayUnreadable
    | RecordRevision
    | RecordRun
    | GrantPermit
    | ApplyRun
    | MakeGraph
    | DeleteGraph
    | DeleteRun
    | DeleteManager
    | DeletePods
    | DeleteHighAvailability
    | CreateCheckpoint
    | WriteNote
    | TriggerSavepoint
    | CancelJob
    | DeleteKeys
    | DeleteCheckpointData
    | DeleteRetainedData
    | ForgetDeletion
    | DeleteJobData
    | DeleteCheckpoint
)


@dataclass(frozen=True)
class Note:
    """A Kubernetes event to post: on what, of which type, a CamelCase reason and a sentence."""

    kind: Literal["StreamJob", "Checkpoint"]
    name: str
    type: Literal["Normal", "Warning"]
    reason: str
    message: str


@dataclass(frozen=True)
class Step:
    """What a pass does about one object: its effects, then its status, then its events.

    When an effect fails, the rest of the step is not done (its error is written instead); other steps are.
    """

    owner: str
    """A Checkpoint's name; empty for the StreamJob."""
    effects: tuple[Effect, ...] = ()
    status: StreamJobStatus | CheckpointStatus | None = None
    """None: as it was."""
    events: tuple[Note, ...] = ()


@dataclass(frozen=True)
class Decision:
    """What a pass does. Every effect's intent was in the status that the pass loaded."""

    steps: tuple[Step, ...] = ()
    after_seconds: float | None = None
    """When the key is to be worked on again though nothing changes; None: only when something does."""
