"""What is looked at before a running job is stopped: the checks, as the status holds them."""

from enum import StrEnum

from pydantic import Field

from penstock.api.base import Model, Time
from penstock.api.recovery import Forecast


class CheckResult(StrEnum):
    """What came of one check."""

    PASSED = "Passed"
    FAILED = "Failed"  # the job is not stopped
    OVERRIDDEN = "Overridden"  # it failed, and spec.startFrom.override says that this does not count
    UNKNOWN = "Unknown"  # nobody could say; this stops nothing
    SKIPPED = "Skipped"  # there is nothing that it could find


class PreflightCheck(Model):
    """One thing that was looked at."""

    name: str = Field(min_length=1)
    """State, Files, Version, Parallelism, Sources, Program, Operators or Split."""
    result: CheckResult
    """Passed, Failed, Overridden, Unknown or Skipped."""
    reason: str = ""
    """Of one that failed: the reason of Stalled, which is also what spec.startFrom.override takes."""
    message: str = ""
    """What was found, and what to write instead."""


class ProgramAnswer(Model):
    """What came of the pod that made the program's graph without executing it."""

    operators: int | None = None
    """How many operators the program has; missing when it could not be made."""
    dropped: tuple[str, ...] = ()
    """The first few operators with state that it has no place for, by name, else by id."""
    dropped_count: int = 0
    """How many of them there are."""
    unfit: str = ""
    """The first few operators whose state cannot be split as the program wants, and what to write; empty: none."""
    failure: str = ""
    """Why the program cannot make its graph."""
    trouble: str = ""
    """Why nobody knows."""


class ReplayForecast(Forecast):
    """How long a replay is expected to take to catch up. No start waits for it."""

    reads_from: Time
    """From when on the sources would be read."""
    reads_until: Time | None = None
    """Of a backfill: up to when."""
    asked_at: Time
    """When the brokers were asked what lies there; there is no text as long as they have not answered."""


class Preflight(Model):
    """What was looked at for one start."""

    id: str = Field(min_length=1)
    """Names the pod and its objects; written before they are made."""
    start: str = ""
    """The generation of the spec and the run that it is about."""
    text: str = ""
    """What would be started from: a Checkpoint's name, or the same in words."""
    location: str | None = None
    """The state whose operators the program must have; missing: none is restored."""
    request: str = ""
    """Of a dry run: what had been written to ask for it."""
    asked_at: Time | None = None
    """Since when the pod is waited for; missing: it is not."""
    program: ProgramAnswer | None = None
    """What the pod has said; missing as long as it has not."""
    time: Time | None = None
    """When the checks were made."""
    checks: tuple[PreflightCheck, ...] = ()
    """The checks, in their order."""
    estimate: ReplayForecast | None = None
    """Of a replay from topics of Kafka: how long it is expected to take; missing for every other start."""


class Restore(Model):
    """What is known of starts that have not begun."""

    preflight: Preflight | None = None
    """What was looked at before the running job was, or would have been, stopped for a change of the spec."""
    dry_run: Preflight | None = None
    """The same for a Checkpoint that somebody only asked about, with the spec as it was then."""
