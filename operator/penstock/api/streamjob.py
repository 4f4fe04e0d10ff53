"""The StreamJob: what to run, whether, from where it starts, and how its checkpoints are made and kept."""

from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import Field

from penstock.api import constants
from penstock.api.base import Empty, Model, ObjectName
from penstock.api.crd import LIST_ATOMIC, Column, Resource, Rule, list_map, rules
from penstock.api.cron import CRON_MAX_LENGTH, CRON_PATTERN, ZONE_MAX_LENGTH, ZONE_PATTERN
from penstock.api.duration import Duration, at_least_a_second
from penstock.api.meta import ObjectMeta
from penstock.api.pod import JobManager, PodTemplate, TaskManager
from penstock.api.sources import JobSource
from penstock.api.start_from import StartFrom
from penstock.api.streamjob_status import StreamJobStatus


class DesiredState(StrEnum):
    """Whether the job is to run."""

    RUNNING = "Running"
    STOPPED = "Stopped"


class Format(StrEnum):
    """How a savepoint is written."""

    CANONICAL = "Canonical"  # the same for every state backend, slower
    NATIVE = "Native"  # the state backend's own, faster


class OnStop(StrEnum):
    """What a stopped job leaves behind."""

    SAVEPOINT = "Savepoint"
    LATEST_CHECKPOINT = "LatestCheckpoint"


class OnUpgrade(StrEnum):
    """From what the next job version starts."""

    SAVEPOINT = "Savepoint"
    LATEST_CHECKPOINT = "LatestCheckpoint"
    STATELESS = "Stateless"


class IfSavepointFails(StrEnum):
    """What to do when the savepoint of a stop or an upgrade fails."""

    REFUSE = "Refuse"
    LATEST_CHECKPOINT = "LatestCheckpoint"


class MissedTimes(StrEnum):
    """What to do about times of the schedule at which no checkpoint could be taken."""

    SKIP = "Skip"
    RUN_ONCE = "RunOnce"


class DeleteCheckpoints(StrEnum):
    """What becomes of a deleted job's checkpoints."""

    RETAIN = "Retain"
    DELETE = "Delete"


class Flink(Model):
    """The Flink that runs the job."""

    version: str = Field(
        min_length=1,
        max_length=16,
        json_schema_extra=rules(
            Rule(
                "self == '2.3'",
                "flink.version is not supported yet; write 2.3",
                message_expression="'flink.version ' + self + ' is not supported yet; write 2.3'",
            )
        ),
    )
    """Flink's version, major and minor, as a string: "2.3". Required."""
    image: str | None = Field(default=None, min_length=1, max_length=512)
    """Container image. Default: the operator's image for this version."""
    configuration: dict[str, Annotated[str, Field(max_length=8192)]] = Field(default_factory=dict, max_length=256)
    """Flink's configuration, key to value, both strings. Keys that Penstock sets itself are refused, with the field
    to write instead, in the Stalled condition. Default: empty."""


class SqlJob(Model):
    """A job in Flink SQL."""

    script: str = Field(min_length=1, max_length=262144)
    """SQL statements, each ended by a semicolon; at most 256 KiB. ${secret:name/key} within a string literal is the
    value of that key of a Secret of the job's namespace, ${penstock.name} what this start is: where the sources begin
    and which output is wanted. $${ means ${. Required."""


class JarJob(Model):
    """A job in a jar that is part of the image."""

    uri: str = Field(
        min_length=1,
        max_length=1024,
        json_schema_extra=rules(
            Rule(
                "self.startsWith('local:///') && !self.contains('..')",
                "spec.job.jar.uri must name a file of the image; write local:/// and its absolute path without ..",
            )
        ),
    )
    """The jar's place in the image: local:///opt/flink/usrlib/job.jar. Required."""
    entry_class: str | None = Field(default=None, min_length=1, max_length=512)
    """The class whose main is run. Default: the one in the jar's manifest."""
    args: tuple[Annotated[str, Field(max_length=8192)], ...] = Field(
        default=(), max_length=256, json_schema_extra=LIST_ATOMIC
    )
    """Arguments of main. ${secret:name/key} is the value of that key of a Secret of the job's namespace; everything
    else stands in the pod's command as it is. ${penstock.name} is what this start is: where the sources begin and which
    output is wanted. $${ means ${. Default: none."""


class Job(Model):
    """What to run: exactly one of sql, jar and python."""

    sql: SqlJob | None = None
    """A script in Flink SQL."""
    jar: JarJob | None = None
    """A jar in the image."""
    python: dict[str, Any] | None = None
    """A Python program. Not supported yet."""

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "[has(self.sql), has(self.jar), has(self.python)].exists_one(given, given)",
            "spec.job needs exactly one of sql and jar",
        ),
        Rule("!has(self.python)", "job.python is not supported yet; use job.sql or job.jar"),
    )


class IfUnhealthy(StrEnum):
    """What to do when the run after a change does not become healthy."""

    ROLL_BACK = "RollBack"
    KEEP = "Keep"


class Retention(Model):
    """How many checkpoints are kept, and for how long."""

    num_retained: int = Field(default=5, ge=1, le=1000)
    """How many checkpoints are kept of each source (Manual, Stop, Upgrade, Schedule, Retained): the newest. Pinned ones
    are not counted; they, those in use and the last restorable one never go. Default 5, at least 1."""
    max_age: Duration | None = Field(
        default=None, json_schema_extra=at_least_a_second("spec.checkpoints.retention.maxAge")
    )
    """How old a checkpoint of any source but Imported may become, counted from its completion, for example 168h. Pinned
    ones, those in use, the last restorable one and Flink's own ones of the current run never go. Default: any age."""


class Schedule(Model):
    """When savepoints are taken by the clock."""

    cron: str = Field(
        max_length=CRON_MAX_LENGTH,
        json_schema_extra=rules(
            Rule(
                f"self.matches('{CRON_PATTERN}')",
                "spec.checkpoints.schedule.cron must have five fields: minute, hour, day of month, month and day of "
                "week; write for example 0 3 * * *",
            )
        ),
    )
    """Minute, hour, day of month, month and day of week, as in a crontab: 0 3 * * * is every day at three. Required."""
    time_zone: str = Field(
        default="UTC",
        max_length=ZONE_MAX_LENGTH,
        json_schema_extra=rules(
            Rule(
                f"self.matches('{ZONE_PATTERN}')",
                "spec.checkpoints.schedule.timeZone is not the name of a time zone; write for example Europe/Berlin",
            )
        ),
    )
    """The time zone of cron, an IANA name such as Europe/Berlin. Default UTC."""
    missed: MissedTimes = MissedTimes.SKIP
    """What to do about times that passed while the job did not run or nobody looked: Skip counts them, RunOnce takes
    one savepoint for all of them as soon as the job runs. Default Skip."""
    suspend: bool = False
    """Take none for the time being. Times that pass meanwhile do not count as missed. Default false."""


class Checkpoints(Model):
    """How the job's checkpoints are made and kept."""

    store: ObjectName = Field(
        json_schema_extra=rules(
            Rule(
                "self == oldSelf",
                "spec.checkpoints.store cannot be changed: the job's checkpoints lie there; "
                "make a new StreamJob for another store",
                reason="FieldValueForbidden",
            )
        )
    )
    """Name of the CheckpointStore. Cannot be changed. Required."""
    interval: Duration = Field(default="1m", json_schema_extra=at_least_a_second("spec.checkpoints.interval"))
    """Time between two of Flink's own checkpoints, for example 30s or 1h30m. Default 1m, at least 1s."""
    timeout: Duration = Field(default="10m", json_schema_extra=at_least_a_second("spec.checkpoints.timeout"))
    """Time after which a checkpoint or savepoint is given up. Default 10m, at least 1s."""
    format: Format = Format.CANONICAL
    """Format of savepoints: Canonical can be read by every state backend, Native is faster. Default Canonical."""
    on_stop: OnStop = OnStop.SAVEPOINT
    """What stopping leaves behind: Savepoint takes one, LatestCheckpoint cancels at once and keeps Flink's newest
    checkpoint. Default Savepoint."""
    on_upgrade: OnUpgrade = OnUpgrade.SAVEPOINT
    """What a new job version starts from: a Savepoint taken for it, Flink's LatestCheckpoint, or nothing (Stateless).
    Default Savepoint."""
    if_savepoint_fails: IfSavepointFails = IfSavepointFails.REFUSE
    """When the savepoint of a stop or an upgrade fails: Refuse keeps the job running as it is, LatestCheckpoint goes
    on with Flink's newest checkpoint. Default Refuse."""
    retention: Retention = Field(default_factory=Retention)
    """How many checkpoints are kept, and for how long. Default: numRetained 5, of any age."""
    schedule: Schedule | None = None
    """Savepoints by the clock. Default: none."""


class OnDelete(Model):
    """What deleting the StreamJob takes with it."""

    checkpoints: DeleteCheckpoints = DeleteCheckpoints.RETAIN
    """Retain keeps the job's Checkpoints and their data, Delete deletes those that are not pinned. Deleting cancels
    without a savepoint: stop first to keep the last state. Default Retain."""


class OnChange(Model):
    """What becomes of a change of the spec that does not work."""

    if_unhealthy: IfUnhealthy = IfUnhealthy.ROLL_BACK
    """When the run after a change fails, or has neither completed a checkpoint nor all of its tasks running within
    healthyWithin: RollBack starts the version before again, once, from what it was stopped with; Keep leaves it as it
    is. Default RollBack."""
    healthy_within: Duration = Field(default="10m", json_schema_extra=at_least_a_second("spec.onChange.healthyWithin"))
    """How long that run has, for example 10m; while tasks read their state back it is not counted as over. Default 10m,
    at least 1s."""


class StreamJobSpec(Model):
    """What the user wants."""

    flink: Flink
    """The Flink that runs the job. Required."""
    job: Job
    """What to run: exactly one of sql and jar. Required."""
    checkpoints: Checkpoints
    """How the job's checkpoints are made and kept. Required."""
    parallelism: int = Field(default=1, ge=1, le=32768)
    """Parallelism of the job. Default 1, at most 32768."""
    job_manager: JobManager = Field(default_factory=JobManager)
    """The pod that coordinates the job. Default: cpu 250m, memory 1Gi."""
    task_manager: TaskManager = Field(default_factory=TaskManager)
    """The pods that run the job's tasks. Default: one slot each, cpu 500m, memory 2Gi."""
    pod_template: PodTemplate = Field(default_factory=PodTemplate)
    """What may be said about all pods of the job. Default: nothing."""
    service_account_name: ObjectName | None = None
    """Service account of the job's pods; it needs Flink's rights on ConfigMaps. Default: the one that Penstock makes
    in the namespace."""
    state: DesiredState = DesiredState.RUNNING
    """Running, or Stopped (see checkpoints.onStop). Default Running."""
    start_from: StartFrom = Field(default_factory=lambda: StartFrom(latest=Empty()))
    """From what state the job starts; applied once when it changes to anything but latest, and again when
    restartToken changes. Every other start uses latest. Default latest."""
    window: Duration | None = Field(default=None, json_schema_extra=at_least_a_second("spec.window"))
    """The longest time over which the query gathers events (window, interval join), for example 1h: how far a replay
    looks back. Read when a replay begins. Default: none."""
    sources: tuple[JobSource, ...] = Field(default=(), max_length=32, json_schema_extra=list_map("name"))
    """What the job reads from, as far as a replay has to know it. Default: nothing is known."""
    restart_token: str = Field(default="", max_length=128)
    """Any string; changing it restarts the job from startFrom. Default empty."""
    on_change: OnChange = Field(default_factory=OnChange)
    """What becomes of a change of the spec that does not work. Default: the version before is started again."""
    on_delete: OnDelete = Field(default_factory=OnDelete)
    """What deleting the StreamJob takes with it. Default: checkpoints are retained."""

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.taskManager) || !has(self.taskManager.replicas)"
            " || self.taskManager.replicas * self.taskManager.slots >= self.parallelism",
            "spec.taskManager: replicas times slots is less than spec.parallelism; "
            "write more replicas or slots, or leave replicas out",
        ),
    )

    @property
    def task_manager_replicas(self) -> int:
        """How many TaskManager pods there are to be."""
        return self.task_manager.replicas or -(-self.parallelism // self.task_manager.slots)


class StreamJob(Model):
    """A stream job: one Flink application and its checkpoints."""

    api_version: str = constants.API_VERSION
    kind: str = "StreamJob"
    metadata: ObjectMeta
    spec: StreamJobSpec
    """What the user wants."""
    status: StreamJobStatus = Field(default_factory=StreamJobStatus)
    """What Penstock sees and does. Written by the operator only."""

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "size(self.metadata.name) <= 36 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
            "metadata.name must have at most 36 characters, begin with a letter and hold only a-z, 0-9 and -; "
            "write a shorter name such as flights",
        ),
    )
    resource: ClassVar[Resource] = Resource(
        kind="StreamJob",
        plural=constants.STREAMJOBS,
        short_name="sj",
        scope="Namespaced",
        columns=(
            Column("State", ".status.state"),
            Column("Version", ".status.jobVersion", "integer", "Number of the job version that runs"),
            Column("Started from", ".status.startedFrom.text"),
            Column("Last checkpoint", ".status.latestCheckpoint.completionTime", "date", "Age of the newest state"),
            Column("Recovery", ".status.recovery.short", description="How far it is back after a start or a failure"),
            Column("Ready", '.status.conditions[?(@.type=="Ready")].status'),
            Column("Age", ".metadata.creationTimestamp", "date"),
            Column("Desired", ".spec.state", priority=1),
            Column("Parallelism", ".spec.parallelism", "integer", priority=1),
            Column("Flink", ".spec.flink.version", priority=1),
            Column("Store", ".spec.checkpoints.store", priority=1),
            Column("Run", ".status.run.id", description="Flink's job id", priority=1),
        ),
    )
