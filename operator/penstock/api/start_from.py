"""From what a StreamJob starts, as a user writes it."""

import re
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import ClassVar

from pydantic import Field

from penstock.api.base import Empty, Model, NameRef, Time
from penstock.api.crd import LIST_SET, Rule, rules
from penstock.api.duration import PATTERN as DURATION_PATTERN
from penstock.api.duration import Duration, a_duration, parse_duration

# From 1970 on: no source is older, and years of less than four digits are written in more than one way.
TIME_PATTERN = (
    "^(19[7-9][0-9]|[2-9][0-9]{3})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
    "([.][0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"
)
KEEP_NON_SOURCE = (
    "spec.startFrom.replay.state: KeepNonSource is not supported: what is read again would be applied twice to the "
    "state that is kept, and Flink lets go of the state of a source only when the job itself gives that source another "
    "uid; write Discard, or leave it out: the job then builds its state anew from the sources"
)
_TIME = re.compile(TIME_PATTERN)


class Override(StrEnum):
    """What a start would be refused for."""

    NOT_WHOLE = "NotWhole"  # files of what is started from are missing, or its _metadata cannot be read
    VERSION_NOT_READABLE = "VersionNotReadable"  # the Flink that is to run cannot read it, or is older than its writer
    PARALLELISM_TOO_HIGH = "ParallelismTooHigh"  # its state cannot be split into as many parts
    SOURCE_OFFSETS_EXPIRED = "SourceOffsetsExpired"  # the broker has deleted what it goes on with, or does not say
    STATE_WOULD_BE_DROPPED = "StateWouldBeDropped"  # operators with state are no longer in the program
    PROGRAM_FAILS = "ProgramFails"  # the program cannot make its graph
    REPLAY_IGNORED = "ReplayIgnored"  # the program does not use what a replay tells it


class ReplayState(StrEnum):
    """What becomes of the job's state in a replay."""

    DISCARD = "Discard"
    KEEP_NON_SOURCE = "KeepNonSource"  # would apply events twice to what is kept; refused


class OnGap(StrEnum):
    """What to do when a source does not reach back as far as a replay needs it."""

    REFUSE = "Refuse"
    WARN = "Warn"


class AsOf(Model):
    """A moment in the past."""

    time: Time
    """RFC 3339 with a time zone, for example 2026-01-31T12:00:00+01:00. Required."""


class ReplayWish(Model):
    """Start without state and read the sources again from a time on."""

    since: str = Field(
        alias="from",
        min_length=2,
        max_length=64,
        json_schema_extra=rules(
            Rule(
                f"self.matches('{DURATION_PATTERN}') || self.matches('{TIME_PATTERN}')",
                "spec.startFrom.replay.from is neither a time with a zone, from 1970 on, nor a duration; write for "
                "example 2026-01-31T12:00:00Z or 24h",
            )
        ),
    )
    """From when on the output is wanted: RFC 3339 with a time zone (2026-01-31T12:00:00+01:00), in whole seconds, or a
    duration such as 24h: so long before the moment at which the start is decided. Required."""
    to: Time | None = None
    """Until when, RFC 3339 with a time zone: the sources end there and the job finishes by itself. It must be later
    than from and have passed. Default: the job goes on without end."""
    lookback: Duration | None = Field(default=None, json_schema_extra=a_duration("spec.startFrom.replay.lookback"))
    """How long before from the sources begin, so that the first window of the output is whole; 0s for not at all.
    Default: spec.window, else 0s."""
    # No defaults in the schema: what a user writes in its place must not meet the half of an object.
    state: ReplayState | None = Field(
        default=None, json_schema_extra=rules(Rule("self != 'KeepNonSource'", KEEP_NON_SOURCE))
    )
    """What becomes of the job's state: Discard starts without any. KeepNonSource is refused. Default Discard."""
    on_gap: OnGap | None = None
    """What to do when a source no longer holds all that is to be read: Refuse does not start, and lets a running job
    run on; Warn starts, and an event tells it. Default Refuse."""

    def begins(self, now: datetime) -> datetime:
        """The absolute time that `from` means when the start is decided `now`.

        Raises:
            ValueError: it means none (30 February); with a sentence that says what to write.
        """
        if _TIME.fullmatch(self.since) is None:
            return now - timedelta(milliseconds=parse_duration(self.since))
        try:
            return datetime.fromisoformat(self.since).astimezone(UTC)
        except (ValueError, OverflowError) as error:
            raise ValueError(f"{self.since} is no time; write for example 2026-01-31T12:00:00Z or 24h") from error


class StartFrom(Model):
    """From what state the job starts: exactly one of latest, checkpoint, asOf, replay and empty."""

    latest: Empty | None = None
    """The newest restorable state of this job. The default: write {}."""
    checkpoint: NameRef | None = None
    """A Checkpoint of this namespace: of this job, of a deleted one of its name, or of another one (a fork)."""
    as_of: AsOf | None = None
    """The newest Present Checkpoint of this job that was complete at that time."""
    replay: ReplayWish | None = None
    """No state, and the sources are read again from a time on; the job learns it by ${penstock.…}."""
    empty: Empty | None = None
    """No state: write {}."""
    override: tuple[Override, ...] | None = Field(default=None, max_length=8, json_schema_extra=LIST_SET)
    """What a start, or an upgrade, is not to be refused for: NotWhole starts though files are known to be missing,
    VersionNotReadable though this Flink does not know the version of its _metadata, or is older than the one that wrote
    it, ParallelismTooHigh though its state cannot be split into as many parts, SourceOffsetsExpired though a Kafka
    source has deleted records with which its state goes on, or does not answer, StateWouldBeDropped though the program
    has no place for all of the state, which is given up, ProgramFails though it failed when it was tried; Flink may
    fail then. ReplayIgnored though the program does not use what a replay tells it. Default: none."""

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "[has(self.latest), has(self.checkpoint), has(self.asOf), has(self.replay), has(self.empty)]"
            ".exists_one(given, given)",
            "spec.startFrom needs exactly one of latest: {}, checkpoint: {name: ...}, asOf: {time: ...}, "
            "replay: {from: ...} and empty: {}",
        ),
    )
