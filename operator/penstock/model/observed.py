"""What a pass sees: one frozen Observed. Pure.

In it Unknown is a value of its own: nothing is redeployed or deleted because somebody did not answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from penstock.api.checkpoint import Checkpoint
from penstock.api.history import RunRecord
from penstock.api.reading import Problem, Unreadable
from penstock.api.store import CheckpointStore
from penstock.api.streamjob import StreamJob
from penstock.flink.answers import Checkpointing, FlinkJob, Trigger
from penstock.source.held import Held, SourceWish
from penstock.source.looks import Followed
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
    manager_pods: int = 0
    """Those of the JobManager among them."""
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
class ProgramPod:
    """What Kubernetes holds of the pod that makes the graph of a program that is about to be started."""

    id: str
    """Whose it is: `Preflight.id` in the status."""
    made: bool = False
    """Whether there is a Job; else only something that is left of it."""
    made_at: datetime | None = None
    """When the Job was made."""
    answer: str = ""
    """The message of its container, when that has ended by itself."""
    ended: bool = False
    """Whether no answer will come any more."""
    troubles: tuple[str, ...] = ()
    """Why it does not start, or how it ended, in Kubernetes' words."""
    hopeless: bool = False
    """Whether a pod of the same spec would not start either: no such image, Secret or key."""


@dataclass(frozen=True)
class Revision:
    """One job version: a ControllerRevision."""

    version: int
    spec_hash: str
    spec: Mapping[str, Any]
    runs: Mapping[str, RunRecord] = field(default_factory=dict)
    """What is remembered of its runs, by their ids."""
    made_at: datetime | None = None


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
class Foreign:
    """A Checkpoint of another job, and that job; None when it is gone."""

    checkpoint: Checkpoint
    job: StreamJob | None


@dataclass(frozen=True)
class Observed:
    """All that a pass knows. Everything is live: read in this pass."""

    now: datetime
    fresh_run: str
    """A new random run id (32 hex digits), used when a run is to be recorded."""
    job: StreamJob | None
    checkpoints: tuple[Checkpoint, ...] = ()
    foreign: tuple[Foreign, ...] = ()
    """Checkpoints of other jobs of the namespace that this one starts from, or is to start from."""
    others: tuple[StreamJob, ...] = ()
    """The other StreamJobs of the namespace; only looked at when something of this one may be deleted."""
    unreadable_others: tuple[str, ...] = ()
    """Names of those that cannot be read: what they need is not known."""
    namespace_terminating: bool = False
    kinds_going: frozenset[str] = frozenset()
    """Kinds whose CustomResourceDefinition is being deleted, or is gone; only known when an object of them goes."""
    kinds_unknown: str = ""
    """Why nobody knows whether they are, in words; empty: it is known."""
    runs: tuple[RunObjects, ...] = ()
    programs: tuple[ProgramPod, ...] = ()
    """The pods that make graphs, for starts that are looked at before they begin."""
    revisions: tuple[Revision, ...] = ()
    flink: FlinkJob | Unknown | None = None
    """The current run's job in Flink; None when its JobManager does not know it."""
    checkpointing: Checkpointing | Unknown | None = None
    """How that job really takes checkpoints; None when nobody asked, or when it takes none."""
    triggers: Mapping[str, Trigger | Unknown] = field(default_factory=dict)
    """By Checkpoint name, for those that are being taken."""
    store: StoreView = field(default_factory=StoreView)
    other_stores: Mapping[str, StoreView] = field(default_factory=dict)
    """By name, those of Checkpoints that lie elsewhere: an earlier StreamJob of the name had another store."""
    listing: JobListing | Unknown | None = None
    """None when nothing asked for it."""
    targets: Mapping[str, TargetListing | Unknown] = field(default_factory=dict)
    """By Checkpoint name, for those that are being taken or cleared."""
    verified: Mapping[str, Verified] = field(default_factory=dict)
    """By location, the answers about states that were asked for."""
    held: Mapping[SourceWish, Held] = field(default_factory=dict)
    """The answers about sources that were asked for."""
    busy_millis: int | Unknown | None = None
    """How busy the busiest subtask is, in milliseconds per second; None when nobody asked, or Flink does not tell."""
    followed: Followed | None = None
    """What was seen of the recovery that is followed; None when none is."""
    fault: str = ""
    """Why Flink restarted the job's tasks, in its words; only asked when it has."""
    job_result: str | Unknown | None = None
    """How Flink's job result store says that the run ended (FINISHED, CANCELED, FAILED); None: it says nothing."""
    problems: tuple[Problem, ...] = ()
    """What is wrong with the StreamJob's spec beyond what the API server refuses."""
    unreadable: tuple[Unreadable, ...] = ()
    """Checkpoints of this job that are not among `checkpoints`."""

    @property
    def everything_goes(self) -> bool:
        """Whether the namespace or a kind is being deleted: the store is left alone, and nothing new is made."""
        return self.namespace_terminating or bool(self.kinds_going)

    def store_of(self, checkpoint: Checkpoint) -> StoreView:
        """The store in which a Checkpoint's data lie: most often the job's."""
        return self.other_stores.get(checkpoint.status.store or "", self.store)

    def objects_of(self, run: str) -> RunObjects:
        """What Kubernetes holds of a run; empty when nothing."""
        return next((objects for objects in self.runs if objects.run == run), RunObjects(run))
