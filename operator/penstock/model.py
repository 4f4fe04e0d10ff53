"""The values that the loop passes along: Observed (what there is) and Decision (what to do next). Pure.

`observe` makes an Observed, `decide` turns it into a Decision, `act` carries its effects out. In an Observed, Unknown
is a value of its own: nothing is redeployed or deleted because somebody did not answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from penstock.api.checkpoint import Checkpoint, CheckpointStatus
from penstock.api.reading import Problem, Unreadable
from penstock.api.store import CheckpointStore
from penstock.api.streamjob import StreamJob, StreamJobSpec
from penstock.api.streamjob_status import StreamJobStatus
from penstock.flink.answers import FlinkJob, Trigger
from penstock.store.layout import Place
from penstock.verdict import Verified


@dataclass(frozen=True)
class Unknown:
    """Nobody knows: the other side did not answer, or answered with its own trouble."""

    reason: str


# ---------------------------------------------------------------- Kubernetes


class Manager(StrEnum):
    """What became of the batch/v1 Job that holds a run's JobManager."""

    ABSENT = "Absent"
    ACTIVE = "Active"
    FAILED = "Failed"
    """It will make no more pods: the guard refused a second first start, or the back-off limit was reached."""
    COMPLETE = "Complete"
    """The process ended by itself with 0."""


@dataclass(frozen=True)
class RunObjects:
    """What Kubernetes holds of one run."""

    run: str
    manager: Manager = Manager.ABSENT
    manager_message: str = ""
    manager_made_at: datetime | None = None
    """When the Job was made."""
    waits: bool = False
    """The JobManager's pod has failed, and the Job makes the next one only after its back-off."""
    crash: str = ""
    """The last words of the newest JobManager container that ended with an error."""
    missing: tuple[str, ...] = ()
    """Of a run's lasting objects, those that are not there (kind/name)."""
    permit: bool = False
    """The permit is still there: the guard has not let Flink start yet."""
    drifted: bool = False
    """Somebody changed the number of TaskManagers."""
    creating: bool = False
    """A pod waits for its volumes: the Secret, which the operator may not read, may be missing."""
    pods: int = 0
    """Pods that still exist and have not ended, terminating ones included."""
    objects: int = 0
    """All objects of the run but pods and Flink's own HA ConfigMaps."""
    ha_config_maps: tuple[str, ...] = ()
    stale_pods: tuple[str, ...] = ()
    """Ended JobManager pods but the newest."""
    troubles: tuple[str, ...] = ()
    """Why pods do not start, in Kubernetes' words."""
    job_version: int = 0
    spec_hash: str = ""
    started_from: str = ""
    """JSON of the StartedFrom that the run's Job was made with: what a lost status is recovered from."""


@dataclass(frozen=True)
class Revision:
    """One job version: a ControllerRevision."""

    version: int
    spec_hash: str
    spec: Mapping[str, Any]


# ---------------------------------------------------------------- the store


@dataclass(frozen=True)
class StoredState:
    """One complete checkpoint or savepoint in the store (it has `_metadata`)."""

    location: str
    checkpoint_id: int
    modified: datetime
    savepoint: bool
    run: str = ""
    job_uid: str = ""
    size_bytes: int = 0
    target_directory: str = ""
    """For a savepoint, the key prefix of the directory that was made for its Checkpoint."""
    note: Mapping[str, Any] = field(default_factory=dict)
    """The `penstock.json` beside a savepoint."""


@dataclass(frozen=True)
class JobListing:
    """All complete states of a namespace and job name, of any job uid."""

    states: tuple[StoredState, ...] = ()
    any_directory: bool = False
    """Whether anything at all lies in a directory of this namespace and job name."""


@dataclass(frozen=True)
class TargetListing:
    """One Checkpoint's own directory: the target of a savepoint, or `chk-N/` of a retained checkpoint."""

    complete: StoredState | None = None
    partial: tuple[str, ...] = ()
    """Keys of savepoint directories without `_metadata`, or beside the complete one."""
    keys: int = 0
    """Keys that are still to go when it is cleared: those in the directory, and those that the tombstone names."""
    freed: int | None = None
    """Bytes that its deletion has freed so far, from the tombstone; None when there is no tombstone."""


@dataclass(frozen=True)
class StoreView:
    """A CheckpointStore as a job may use it: where it is, or why it cannot be used."""

    place: Place | None = None
    store: CheckpointStore | None = None
    problem: str = ""
    """A sentence for a condition when the store cannot be used (missing, not ready, not allowed)."""


@dataclass(frozen=True)
class Observed:
    """All that a pass knows. Everything is live: read in this pass."""

    now: datetime
    fresh_run: str
    """A new random run id (32 hex digits), used when a run is to be recorded."""
    job: StreamJob | None
    checkpoints: tuple[Checkpoint, ...] = ()
    namespace_terminating: bool = False
    runs: tuple[RunObjects, ...] = ()
    revisions: tuple[Revision, ...] = ()
    flink: FlinkJob | Unknown | None = None
    """The current run's job in Flink; None when its JobManager does not know it."""
    triggers: Mapping[str, Trigger | Unknown] = field(default_factory=dict)
    """By Checkpoint name, for those that are being taken."""
    store: StoreView = field(default_factory=StoreView)
    listing: JobListing | Unknown | None = None
    """None when nothing asked for it."""
    targets: Mapping[str, TargetListing | Unknown] = field(default_factory=dict)
    """By Checkpoint name, for those that are being taken or cleared."""
    verified: Mapping[str, Verified] = field(default_factory=dict)
    """By location, the answers about states that were asked for."""
    job_result: str | Unknown | None = None
    """How Flink's job result store says that the run ended (FINISHED, CANCELED, FAILED); None: it says nothing."""
    problems: tuple[Problem, ...] = ()
    """What is wrong with the StreamJob's spec beyond what the API server refuses."""
    unreadable: tuple[Unreadable, ...] = ()
    """Checkpoints of this job that are not among `checkpoints`."""

    def objects_of(self, run: str) -> RunObjects:
        """What Kubernetes holds of a run; empty when nothing."""
        return next((objects for objects in self.runs if objects.run == run), RunObjects(run))


# ---------------------------------------------------------------- effects


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
    | GrantPermit
    | ApplyRun
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
