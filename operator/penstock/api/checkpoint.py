"""The Checkpoint: one restorable snapshot of one job's state."""

from enum import StrEnum
from typing import ClassVar

from pydantic import Field

from penstock.api import constants
from penstock.api.base import Model, Time
from penstock.api.conditions import Conditions
from penstock.api.crd import LIST_ATOMIC, Column, Resource, Rule, list_map, rules
from penstock.api.duration import Duration, at_least_a_second
from penstock.api.meta import ObjectMeta
from penstock.api.replay import Replay
from penstock.api.streamjob import Format
from penstock.api.streamjob_status import LastError


class Source(StrEnum):
    """Who asked for a checkpoint."""

    MANUAL = "Manual"  # a user
    STOP = "Stop"  # stopping the job
    UPGRADE = "Upgrade"  # stopping it for a new job version
    SCHEDULE = "Schedule"
    RETAINED = "Retained"  # Flink by itself
    IMPORTED = "Imported"  # an administrator, for state that Penstock did not make


class DeletionPolicy(StrEnum):
    """What becomes of the data of a deleted Checkpoint."""

    DELETE = "Delete"
    RETAIN = "Retain"


class Phase(StrEnum):
    """Where a checkpoint is in its life."""

    PENDING = "Pending"  # nothing was asked of Flink yet
    CREATING = "Creating"  # Flink is writing it
    PRESENT = "Present"  # complete in the store
    CLEARED = "Cleared"  # its data is gone
    TIMEOUT = "Timeout"  # not complete in time
    FAILED = "Failed"  # Flink said that it failed


class JobRef(Model):
    """Names a StreamJob of the same namespace."""

    name: str = Field(max_length=36, pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$")
    """Name of the StreamJob. Required."""


class Origin(Model):
    """Where a checkpoint that no user asked for comes from. Paths are made of its ids."""

    run: str = Field(max_length=32, pattern=r"^[0-9a-f]{32}$")
    """The run (Flink's job id, 32 hex digits) that wrote it. Required."""
    checkpoint_id: int | None = Field(default=None, ge=0)
    """Flink's number of it within the run. Default: not known yet."""
    replay: Replay | None = None
    """Of one of Flink's own: the replay that its run is of the line of. Default: of none."""


def _kept(field: str) -> Rule:
    return Rule(
        f"has(self.{field}) == has(oldSelf.{field}) && (!has(self.{field}) || self.{field} == oldSelf.{field})",
        f"spec.{field} cannot be changed once the Checkpoint exists; make another Checkpoint",
        reason="FieldValueForbidden",
    )


class CheckpointSpec(Model):
    """What the checkpoint is to be."""

    job_ref: JobRef = Field(
        json_schema_extra=rules(
            Rule(
                "self == oldSelf",
                "spec.jobRef cannot be changed: a checkpoint is of one job; make another Checkpoint",
                reason="FieldValueForbidden",
            )
        )
    )
    """The StreamJob of the same namespace. Cannot be changed. Required."""
    description: str = Field(default="", max_length=1024)
    """What it is for, in your words. Default empty."""
    format: Format | None = None
    """Canonical or Native. Cannot be changed. Default: the job's checkpoints.format."""
    timeout: Duration | None = Field(default=None, json_schema_extra=at_least_a_second("spec.timeout"))
    """Time after which it is given up, for example 10m. Cannot be changed. Default: the job's checkpoints.timeout."""
    pinned: bool = False
    """Keep it: retention never takes it and deleting it is refused. Default false."""
    deletion_policy: DeletionPolicy | None = None
    """Delete takes the data along with the object, Retain leaves it in the store. May be changed while the object is
    being deleted. Default Delete; for source Imported always Retain."""
    source: Source = Field(
        default=Source.MANUAL,
        json_schema_extra=rules(
            Rule(
                "self == oldSelf",
                "spec.source cannot be changed: it says who made the checkpoint",
                reason="FieldValueForbidden",
            )
        ),
    )
    """Who asked for it: Manual is a user; Stop, Upgrade, Schedule and Retained are the operator's, Imported is an
    administrator's. Leave it out. Cannot be changed. Default Manual."""
    origin: Origin | None = None
    """Where a checkpoint that is not Manual comes from. Cannot be changed once set. Default: none."""
    location: str | None = Field(
        default=None,
        max_length=1024,
        pattern=r"^s3://[^/]+(/[^/]+)+$",
        json_schema_extra=rules(
            Rule(
                "!self.contains('/../') && !self.contains('/./') && !self.endsWith('/..') && !self.endsWith('/.')",
                "spec.location must be a plain path; write for example s3://bucket/savepoints/savepoint-4f2a1c",
            )
        ),
    )
    """URI of the directory of state that lies in the bucket of the job's store and that Penstock did not make; with
    source Imported only, and required there. Cannot be changed. Default: none."""

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.source in ['Manual', 'Imported'] || has(self.origin)",
            "spec.origin is required for what the operator has made; write origin.run, or leave spec.source out",
            field_path=".origin",
            reason="FieldValueRequired",
        ),
        Rule(
            "!(self.source in ['Manual', 'Imported']) || !has(self.origin)",
            "spec.origin belongs to checkpoints that the operator has made; leave it out when spec.source is Manual or "
            "Imported",
            field_path=".origin",
            reason="FieldValueForbidden",
        ),
        Rule(
            "!has(oldSelf.origin) || (has(self.origin) && self.origin == oldSelf.origin)",
            "spec.origin cannot be changed once it is set; make another Checkpoint",
            reason="FieldValueForbidden",
        ),
        Rule(
            "(self.source == 'Imported') == has(self.location)",
            "spec.location and spec.source: Imported need each other; write both, or leave both out",
            field_path=".location",
            reason="FieldValueInvalid",
        ),
        Rule(
            "self.source != 'Imported' || !has(self.deletionPolicy) || self.deletionPolicy == 'Retain'",
            "spec.deletionPolicy must be Retain for an imported checkpoint, or left out: Penstock does not delete what "
            "it did not make",
            field_path=".deletionPolicy",
            reason="FieldValueInvalid",
        ),
        _kept("location"),
        _kept("format"),
        _kept("timeout"),
    )

    @property
    def keeps_data(self) -> bool:
        """Whether the data stays when the object goes."""
        return self.deletion_policy is DeletionPolicy.RETAIN or self.source is Source.IMPORTED


class CheckpointVerification(Model):
    """What was found when every file that the checkpoint needs was looked for."""

    time: Time
    """When it was looked for."""
    files: int = 0
    """How many files it needs, its _metadata included."""
    missing: int = 0
    """How many of them are not there, or are too short."""
    first_missing: tuple[str, ...] = Field(default=(), json_schema_extra=LIST_ATOMIC)
    """The first few of them, each with what is wrong."""
    outside: int = 0
    """How many files it names that lie outside of the job's directory; these are not looked at."""
    request: str = ""
    """The annotation penstock.dev/verify that this answers."""


class CheckpointStatus(Model):
    """What became of it."""

    phase: Phase | None = None
    """Pending, Creating, Present, Cleared, Timeout or Failed."""
    attempt: int = 0
    """How often it was tried; part of what the trigger id is made of."""
    trigger_id: str | None = None
    """The id under which Flink was asked, 32 hex digits; written before Flink was asked."""
    target_directory: str | None = None
    """The directory that Flink was told to write into; written before Flink was asked."""
    job_uid: str | None = None
    """The uid of the StreamJob."""
    run: str | None = None
    """The run that wrote it."""
    checkpoint_id: int | None = None
    """Flink's number of it within the run."""
    job_version: int | None = None
    """The job version that ran."""
    replay: Replay | None = None
    """The replay whose state it holds: who starts from it goes on with that. Missing: of none."""
    trigger_time: Time | None = None
    """When Flink was asked."""
    completion_time: Time | None = None
    """When it was complete."""
    duration_millis: int | None = None
    """Milliseconds from trigger to completion."""
    duration_text: str | None = None
    """The duration for people."""
    size_bytes: int | None = None
    """Its size in the store, in bytes."""
    size_text: str | None = None
    """The size for people."""
    format: Format | None = None
    """Canonical or Native; missing for Flink's own checkpoints."""
    flink_version: str | None = None
    """The Flink that wrote it."""
    store: str | None = None
    """Name of the CheckpointStore."""
    location: str | None = None
    """Its URI."""
    verification: CheckpointVerification | None = None
    """Whether every file that it needs was there, and when that was looked at."""
    bytes_freed: int | None = None
    """Bytes that clearing it has freed so far."""
    settled: bool | None = None
    """Whether nothing more will happen to it by itself."""
    last_error: LastError | None = None
    """The last thing that went wrong."""
    observed_generation: int | None = None
    """The metadata.generation that this status was made from."""
    conditions: Conditions = Field(default=(), json_schema_extra=list_map("type"))
    """Ready (settled), Restorable, Verified, Deleting, and the abnormal-true Reconciling and Stalled."""


class Checkpoint(Model):
    """A checkpoint of a stream job: create one and it is taken, delete one and its data goes."""

    api_version: str = constants.API_VERSION
    kind: str = "Checkpoint"
    metadata: ObjectMeta
    spec: CheckpointSpec
    """What the checkpoint is to be."""
    status: CheckpointStatus = Field(default_factory=CheckpointStatus)
    """What became of it. Written by the operator only."""

    resource: ClassVar[Resource] = Resource(
        kind="Checkpoint",
        plural=constants.CHECKPOINTS,
        short_name="ckpt",
        scope="Namespaced",
        columns=(
            Column("Job", ".spec.jobRef.name"),
            Column("Source", ".spec.source"),
            Column("Status", ".status.phase"),
            # A string on purpose: type date would show an age, and a restore is chosen by the time of day.
            Column("Triggered", ".status.triggerTime"),
            Column("Duration", ".status.durationText"),
            Column("Size", ".status.sizeText"),
            Column("Version", ".status.jobVersion", "integer", "Job version that it was made by"),
            Column("Description", ".spec.description"),
            Column("Age", ".metadata.creationTimestamp", "date"),
            Column("Completed", ".status.completionTime", priority=1),
            Column("Format", ".status.format", priority=1),
            Column("Flink", ".status.flinkVersion", priority=1),
            Column("Verified", '.status.conditions[?(@.type=="Verified")].status', priority=1),
            Column("Run", ".status.run", description="Flink's job id", priority=1),
            Column("Location", ".status.location", priority=1),
        ),
        selectable_fields=(".spec.jobRef.name",),
    )
