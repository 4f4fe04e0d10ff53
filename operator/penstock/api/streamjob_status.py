"""The status of a StreamJob: the operator's memory, which is written before each effect and not trusted afterwards.

Everything in the status has a default. Records inside it require what they mean nothing without; `reading.read` drops
a record that does not have it and says so.
"""

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field

from penstock.api.base import Model, Time
from penstock.api.conditions import Conditions
from penstock.api.crd import list_map
from penstock.api.measured import MeasuredSources
from penstock.api.preflight import Restore
from penstock.api.recovery import Capacity, Recovery
from penstock.api.replay import Replay


class JobState(StrEnum):
    """One word for people: what the job is doing. Nothing is decided from it."""

    PENDING = "Pending"
    STARTING = "Starting"
    RUNNING = "Running"
    STOPPING = "Stopping"
    UPGRADING = "Upgrading"
    RESTORING = "Restoring"
    STOPPED = "Stopped"
    FINISHED = "Finished"
    FAILED = "Failed"
    DELETING = "Deleting"


class EndState(StrEnum):
    """How a run ended."""

    FINISHED = "FINISHED"  # its sources ended: it is never run again by itself
    STOPPED = "STOPPED"  # the operator stopped it, with or without a savepoint
    CANCELED = "CANCELED"
    FAILED = "FAILED"
    LOST = "LOST"  # it is gone and nobody can say how it ended


class StartKind(StrEnum):
    """What a run started from."""

    EMPTY = "Empty"
    CHECKPOINT = "Checkpoint"  # a Checkpoint object's
    RETAINED = "Retained"  # one that was found in the store and has no object
    REPLAY = "Replay"  # no state, and the sources from a time on


class StopReason(StrEnum):
    """Why a run is stopped."""

    STOP = "Stop"
    UPGRADE = "Upgrade"
    RESTORE = "Restore"
    RESTART = "Restart"
    DELETE = "Delete"
    RECOVER = "Recover"
    ROLL_BACK = "RollBack"


class StopMethod(StrEnum):
    """How a run is stopped."""

    SAVEPOINT = "Savepoint"  # Flink's stop, with a savepoint
    CANCEL = "Cancel"  # Flink's cancel: retained checkpoints stay
    KILL = "Kill"  # its pods are deleted, the JobManager's first: Flink takes it for a suspension and discards nothing


class StartedFrom(Model):
    """What a run was started from, and why that was chosen."""

    kind: StartKind
    """Empty, Checkpoint, Retained (found in the store), or Replay."""
    text: str = ""
    """The same for people: the Checkpoint's name, chk-N of a run, Empty, or replay from a time."""
    checkpoint: str | None = None
    """Name of the Checkpoint."""
    location: str | None = None
    """Its URI."""
    checkpoint_id: int | None = None
    """Flink's number of it."""
    run: str | None = None
    """The run that wrote it."""
    time: Time
    """When it was chosen."""
    reason: str = ""
    """Why it was chosen."""
    replay: Replay | None = None
    """The replay that this start begins, or whose state it goes on from; missing: none."""
    allow_non_restored_state: bool = False
    """Whether Flink may give up state that the program has no operator for: only by startFrom.override."""
    guarded: bool = False
    """Whether Flink refuses a program that changes what its state depends upon; not so for versions of older times."""
    confirmed: bool = False
    """Whether Flink has reported that it restored this one."""
    restored: str | None = None
    """What Flink has restored in its place, a URI or the word nothing; missing when it restored what was asked for."""


class RunCheckpointing(Model):
    """How Flink takes a run's checkpoints, in its own words: the program has the last one."""

    began_millis: int = 0
    """When the JobManager began the job that said so (milliseconds since 1970)."""
    enabled: bool = False
    """Whether it takes any."""
    interval_millis: int | None = None
    """How often; missing when it takes none by itself."""
    mode: str = ""
    """exactly_once or at_least_once."""
    kept_on_cancellation: bool = False
    """Whether they stay in the store when the job is cancelled."""


class Run(Model):
    """One Flink job id of the StreamJob."""

    id: str = Field(min_length=1)
    """Flink's job id, 32 hex digits, chosen by the operator."""
    job_version: int = 0
    """The job version that it runs."""
    started_at: Time | None = None
    """When its start was decided."""
    ended_at: Time | None = None
    """When it was seen to have ended."""
    end_state: EndState | None = None
    """FINISHED, STOPPED, CANCELED, FAILED or LOST; missing while it lives."""
    confirmed: bool = False
    """Whether Flink has reported it as running."""
    flink_state: str | None = None
    """The state that Flink last reported."""
    attempt: str = ""
    """When its JobManager began the job and last restarted its tasks (milliseconds since 1970, by Flink's clock)."""
    checkpointing: RunCheckpointing | None = None
    """How Flink really takes its checkpoints; missing until it has said."""
    stop_checkpoint: str | None = None
    """Name of the Checkpoint that its stop made."""
    stop_reason: str = ""
    """Why it was stopped: Stop, Upgrade, Restore, Restart, RollBack, or what else ended it; empty while it lives."""
    next_start_from: dict[str, Any] | None = None
    """What the run after this one starts from, as spec.startFrom; missing: latest."""
    swept: bool = False
    """Whether what it left in the store has been looked at: each checkpoint that remains has a Checkpoint then."""


class LatestCheckpoint(Model):
    """The newest complete checkpoint that Flink reported."""

    checkpoint_id: int
    """Flink's number of it."""
    location: str = ""
    """Its URI."""
    completion_time: Time | None = None
    """When it was complete."""
    size_bytes: int | None = None
    """Its size in bytes."""
    savepoint: bool = False
    """Whether it is a savepoint."""


class Applied(Model):
    """What of the spec was applied, so that each value is applied once."""

    start_from: dict[str, Any] = Field(default_factory=dict)
    """The value of spec.startFrom that was applied last."""
    restart_token: str = ""
    """The value of spec.restartToken that was applied last."""


class Fallback(Model):
    """What the job goes back to when its newest run does not become healthy."""

    job_version: int
    """The version that ran before."""
    spec_hash: str = ""
    """Hash of its spec."""
    started_from: StartedFrom
    """What it was stopped with."""
    until: Time | None = None
    """By when the newest run has to be healthy."""
    why: str = ""
    """What ended the newest run; empty as long as nothing has."""


class RolledBack(Model):
    """A change that was taken back. It is not tried again until the spec or restartToken changes."""

    job_version: int
    """The version that did not become healthy."""
    spec_hash: str = ""
    """Hash of its spec."""
    time: Time
    """When."""
    message: str = ""
    """Why."""


class RefusedChange(Model):
    """A change whose trial failed: it is not started when nothing runs, either, until spec or restartToken change."""

    spec_hash: str
    """Hash of its spec."""
    asked: Applied
    """What spec.startFrom and spec.restartToken asked for beside it."""
    reason: str = ""
    """One CamelCase word."""
    message: str = ""
    """Why, and what to write instead."""


class ScheduleStatus(Model):
    """What is remembered of spec.checkpoints.schedule."""

    followed: str = ""
    """The cron and the time zone that nextTime was reckoned from; empty while there are none to follow."""
    last_time: Time | None = None
    """The last of its times that was decided upon: taken, skipped or missed."""
    next_time: Time | None = None
    """The next of its times; one that has passed waits for the job to run."""
    creating: str | None = None
    """Name of the Checkpoint that is about to be made for lastTime; written before it is made."""
    last_checkpoint: str | None = None
    """Name of the last Checkpoint that was made."""
    missed: int = 0
    """How many of its times had no Checkpoint made for them."""


class LastError(Model):
    """The last thing that went wrong."""

    time: Time
    """When."""
    reason: str = ""
    """One CamelCase word."""
    message: str = ""
    """What happened, and what to do about it."""


class StartIntent(Model):
    """A run is about to be started."""

    kind: Literal["Start"] = "Start"
    run: str = Field(min_length=1)
    job_version: int
    spec_hash: str = ""
    started_from: StartedFrom
    applied: Applied | None = None  # what of the spec this start applies; recorded with the permit
    fallback: Fallback | None = None  # so is this
    rolled_back: RolledBack | None = None  # and this, when this start takes a change back
    permitted: bool = False  # its permit was made: it must never be made again
    recorded_at: Time


class StopIntent(Model):
    """A run is about to be stopped."""

    kind: Literal["Stop"] = "Stop"
    run: str = Field(min_length=1)
    reason: StopReason
    method: StopMethod
    checkpoint: str | None = None  # name of the Checkpoint that the savepoint becomes
    attempt: int = 0
    recorded_at: Time
    deadline: Time
    triggered_at: Time | None = None
    next_start_from: dict[str, Any] | None = None  # what the run after this one starts from, as spec.startFrom


class TeardownIntent(Model):
    """The Kubernetes objects of an ended run are about to be deleted."""

    kind: Literal["Teardown"] = "Teardown"
    run: str = Field(min_length=1)
    reason: str = ""
    recorded_at: Time
    deadline: Time
    end_state: EndState | None = None
    lives: bool = False  # Flink has not ended the job: its JobManager goes before the rest does
    next_start_from: dict[str, Any] | None = None


Intent = Annotated[StartIntent | StopIntent | TeardownIntent, Field(discriminator="kind")]


class StreamJobStatus(Model):
    """What Penstock sees and does."""

    state: JobState | None = None
    """What the job is doing, in one word."""
    job_version: int = 0
    """Number of the job version (a ControllerRevision) that was started last."""
    proven_version: int = 0
    """Number of the newest job version that Flink has reported as running (0: none); its start is tried again."""
    run: Run | None = None
    """The current run, or the last one."""
    started_from: StartedFrom | None = None
    """What the current run was started from, and why."""
    latest_checkpoint: LatestCheckpoint | None = None
    """The newest complete checkpoint that Flink reported."""
    retained_checkpoints: tuple[LatestCheckpoint, ...] = ()
    """Those of Flink's own checkpoints that it keeps now, newest first, at most 10. Not each has a Checkpoint."""
    applied: Applied | None = None
    """What of spec.startFrom and spec.restartToken was applied."""
    applied_spec_hash: str = ""
    """Hash of the part of the spec that this job version was made of."""
    fallback: Fallback | None = None
    """What the job goes back to when its newest run does not become healthy; missing once it is."""
    rolled_back: RolledBack | None = None
    """The change that was taken back and that the spec still asks for."""
    refused: RefusedChange | None = None
    """The change whose trial failed and that the spec still asks for."""
    estimate: MeasuredSources | None = None
    """What was last measured for penstock estimate."""
    recovery: Recovery | None = None
    """How the job has come, or comes, back after its last start or failure; missing after a start without state."""
    capacity: Capacity | None = None
    """How fast the job has read when more waited; measured when it last caught up."""
    capacities: tuple[Capacity, ...] = ()
    """The same for each number of subtasks that had something to read, at most 8, the newest first."""
    restore: Restore | None = None
    """What was looked at before a running job is stopped for a change, and for a dry run."""
    schedule: ScheduleStatus | None = None
    """What is remembered of spec.checkpoints.schedule."""
    intent: Intent | None = None
    """What the operator is about to do; written before it does it."""
    stop_attempts: int = 0
    """How often stopping the current run was tried."""
    next_stop_attempt_at: Time | None = None
    """When stopping is tried again, if the job has completed a checkpoint by then."""
    stop_refused_at: int | None = None
    """Number of the newest complete checkpoint when stopping was refused: stopping is tried again after a newer one."""
    start_attempts: int = 0
    """How many runs in a row were lost before Flink reported them as running."""
    next_start_at: Time | None = None
    """When the next start is tried."""
    last_error: LastError | None = None
    """The last thing that went wrong."""
    observed_generation: int | None = None
    """The metadata.generation that this status was made from."""
    conditions: Conditions = Field(default=(), json_schema_extra=list_map("type"))
    """Ready, and the abnormal-true Reconciling and Stalled."""
