"""How far a job has come back after a start or a failure, as the status holds it."""

from enum import StrEnum

from pydantic import Field

from penstock.api.base import Model, Time

_MOST_CAPACITIES = 8


class RecoveryCause(StrEnum):
    """Why the job had to be brought back."""

    START = "Start"  # it had been stopped
    UPGRADE = "Upgrade"
    RESTORE = "Restore"
    REPLAY = "Replay"
    RESTART = "Restart"
    ROLL_BACK = "RollBack"
    RUN_LOST = "RunLost"  # its JobManager could not go on: a new run
    JOB_MANAGER_FAILURE = "JobManagerFailure"  # a new JobManager goes on with the same run
    TASK_MANAGER_FAILURE = "TaskManagerFailure"
    TASK_FAILURE = "TaskFailure"  # the program threw, or a checkpoint could not be taken


class RecoveryPhase(StrEnum):
    """How far it has come."""

    RESTARTING = "Restarting"
    RESTORING_STATE = "RestoringState"
    CATCHING_UP = "CatchingUp"
    CAUGHT_UP = "CaughtUp"


class MeasuredBy(StrEnum):
    """What the progress is told from."""

    OFFSETS = "Offsets"  # the brokers' end offsets, and the offsets that Flink's sources have come to
    WATERMARKS = "Watermarks"  # how far Flink's watermarks are behind the clock
    NOTHING = "Nothing"  # there is neither


class Forecast(Model):
    """What was expected before the first record was read."""

    seconds: int | None = None
    """From startedAt until the backlog is gone; missing: never, or nobody can say."""
    text: str = ""
    """The same for people, with what it was reckoned from."""
    backlog_records: int | None = None
    """Records that waited to be read."""
    arrival_per_second: int | None = None
    """Records per second that arrived."""
    capacity_per_second: int | None = None
    """Records per second that the job was taken to read; missing: nobody knew."""
    restart_seconds: int | None = None
    """How long the restart was taken to last."""


class Actual(Model):
    """What it really took."""

    seconds: int
    """From startedAt until the backlog was gone."""
    restart_seconds: int | None = None
    """Of these, until all tasks ran."""
    records: int | None = None
    """How many records were read in that time."""


class Capacity(Model):
    """How fast the job has read when it had as much to read as it could."""

    records_per_second: int
    """Of all subtasks of its sources."""
    readers: int = Field(ge=1)
    """So many subtasks of its sources had something to read."""
    restart_seconds: int | None = None
    """How long that start took until all tasks ran."""
    job_version: int = 0
    """The job version that it was measured with."""
    time: Time
    """When."""


def capacity_for(readers: int, newest: Capacity | None, known: tuple[Capacity, ...]) -> Capacity | None:
    """What was measured with as many readers, else with the nearest number of them; None when nothing was.

    Two subtasks are seldom twice as fast as one: they share a node, or what they write to.
    """
    found = known or ((newest,) if newest is not None else ())
    return min(found, key=lambda each: (abs(each.readers - readers), -each.time.timestamp()), default=None)


def with_capacity(known: tuple[Capacity, ...], new: Capacity) -> tuple[Capacity, ...]:
    """The newest of each number of readers, the newest first."""
    return (new, *(each for each in known if each.readers != new.readers))[:_MOST_CAPACITIES]


class Recovery(Model):
    """One way back: from a start that is not empty, or from a failure, until the sources' backlog is gone."""

    run: str = Field(min_length=1)
    """The run that is followed."""
    cause: RecoveryCause
    """Start, Upgrade, Restore, Replay, Restart, RollBack, RunLost, JobManagerFailure, TaskManagerFailure or
    TaskFailure."""
    why: str = ""
    """What Flink says of a failure."""
    phase: RecoveryPhase = RecoveryPhase.RESTARTING
    """Restarting, RestoringState, CatchingUp or CaughtUp."""
    text: str = ""
    """The same for people, with how much is done and what is left."""
    short: str = ""
    """The same in few characters, for the column RECOVERY."""
    started_at: Time
    """When the start was decided, or when the failure happened."""
    state_restored_at: Time | None = None
    """Since when all tasks run."""
    caught_up_at: Time | None = None
    """When the backlog was seen to be gone."""
    updated_at: Time | None = None
    """When this was last looked at; the next look is at least 5 s later."""
    measured_by: MeasuredBy | None = None
    """Offsets, Watermarks or Nothing; missing: not measured yet."""
    replay: str = ""
    """Whether records are read again for the sake of whole windows, in words."""
    read_from: int | None = None
    """Sum of the offsets at which its partitions began to be read."""
    backlog_at_start: int | None = None
    """Records that waited when they were first counted."""
    backlog_records: int | None = None
    """Records that wait to be read."""
    lag_seconds: int | None = None
    """How far the records that are read are behind the newest ones, by their own times."""
    percent: int | None = None
    """How much of what was to be read has been read. It never falls; 100 when the backlog is gone."""
    records_per_second: int | None = None
    """How fast records are read, over the last looks."""
    arrival_per_second: int | None = None
    """How fast records arrive, over the last looks."""
    estimated_completion: Time | None = None
    """When the backlog will be gone at this pace; missing: never, or not known yet."""
    outlook: str = ""
    """Why there is no estimatedCompletion, or what else is to be known of the figures."""
    estimate_at_start: Forecast | None = None
    """What was expected before the first record was read."""
    actual: Actual | None = None
    """What it really took."""
