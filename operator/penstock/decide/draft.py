"""The decision while it is being made: statuses, effects, events and the next wake-up of one pass."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from penstock.api import constants
from penstock.api.checkpoint import Checkpoint, CheckpointStatus
from penstock.api.conditions import Condition, Conditions, set_condition
from penstock.api.streamjob import StreamJob
from penstock.api.streamjob_status import LastError, StreamJobStatus
from penstock.model import Decision, Effect, Note, Observed, SetFinalizer, Step

JOB = ""
"""The owner of what concerns the StreamJob itself; a Checkpoint's owner is its name."""


@dataclass
class Draft:
    """Collects what one pass decides. Each owner's effects and status stand and fall together."""

    observed: Observed
    status: StreamJobStatus = field(init=False)
    checkpoint_statuses: dict[str, CheckpointStatus] = field(init=False)
    effects: dict[str, list[Effect]] = field(default_factory=dict)
    events: dict[str, list[Note]] = field(default_factory=dict)
    after_seconds: float | None = None
    stall: tuple[str, str] | None = None
    """Reason and message of what keeps the job from what its spec asks for."""
    waiting: str = ""
    """What the job is waiting for, in words."""

    def __post_init__(self) -> None:
        """Begin with the statuses as they are."""
        self.status = self.observed.job.status if self.observed.job else StreamJobStatus()
        self.checkpoint_statuses = {ckpt.metadata.name: ckpt.status for ckpt in self.observed.checkpoints}

    @property
    def now(self) -> datetime:
        """The time of this pass."""
        return self.observed.now

    @property
    def job(self) -> StreamJob:
        """The StreamJob; only asked for where there is one."""
        if self.observed.job is None:
            msg = "this pass has no StreamJob"
            raise LookupError(msg)
        return self.observed.job

    @property
    def hindrance(self) -> str:
        """What is wrong with the spec so that no run can be started from it, in words; empty when nothing is."""
        return "; ".join(str(problem) for problem in self.observed.problems if problem.hinders)

    def wake(self, seconds: float) -> None:
        """Have the key worked on again after this many seconds at the latest."""
        if self.after_seconds is None or seconds < self.after_seconds:
            self.after_seconds = seconds

    def act(self, effect: Effect, owner: str = JOB) -> None:
        """Add an effect; its intent must be in the status that this pass loaded."""
        self.effects.setdefault(owner, []).append(effect)

    def set(self, **update: object) -> None:
        """Change fields of the StreamJob's status."""
        self.status = self.status.model_copy(update=update)

    def set_checkpoint(self, checkpoint: Checkpoint, **update: object) -> None:
        """Change fields of a Checkpoint's status."""
        name = checkpoint.metadata.name
        self.checkpoint_statuses[name] = self.checkpoint_statuses[name].model_copy(update=update)

    def status_of(self, checkpoint: Checkpoint) -> CheckpointStatus:
        """A Checkpoint's status as decided so far in this pass."""
        return self.checkpoint_statuses[checkpoint.metadata.name]

    def condition(
        self, checkpoint: Checkpoint, kind: str, state: Literal["True", "False", "Unknown"], reason: str, message: str
    ) -> None:
        """Set one condition of a Checkpoint."""
        conditions = _set(
            self.status_of(checkpoint).conditions,
            (kind, state, reason, message),
            self.now,
            checkpoint.metadata.generation,
        )
        self.set_checkpoint(checkpoint, conditions=conditions)

    def job_condition(self, kind: str, state: Literal["True", "False", "Unknown"], reason: str, message: str) -> None:
        """Set one condition of the StreamJob."""
        new = (kind, state, reason, message)
        conditions = _set(self.status.conditions, new, self.now, self.job.metadata.generation)
        if conditions is not self.status.conditions:
            self.set(conditions=conditions)

    def stalled(self, reason: str, message: str, *, retry_seconds: float = 30) -> None:
        """Say that the job cannot come to what its spec asks for until somebody changes something."""
        self.stall = (reason, message)
        self.wake(retry_seconds)

    def say(
        self, type_: Literal["Normal", "Warning"], reason: str, message: str, checkpoint: Checkpoint | None = None
    ) -> None:
        """Post an event when this pass's status has been written."""
        owner = checkpoint.metadata.name if checkpoint else JOB
        name = owner or self.job.metadata.name
        kind: Literal["StreamJob", "Checkpoint"] = "Checkpoint" if checkpoint else "StreamJob"
        self.events.setdefault(owner, []).append(Note(kind, name, type_, reason, message))

    def error(self, reason: str, message: str) -> None:
        """Remember what went wrong with the job; the same thing again keeps its first time."""
        last = self.status.last_error
        if last is None or (last.reason, last.message) != (reason, message):
            self.set(last_error=LastError(time=self.now, reason=reason, message=message))

    def finish(self) -> Decision:
        """The decision as a frozen value: one step for each object that is touched."""
        steps = []
        if self.observed.job is not None:
            steps.append(self._step(JOB, self.status, self.observed.job.status))
        for checkpoint in self.observed.checkpoints:
            name = checkpoint.metadata.name
            steps.append(self._step(name, self.checkpoint_statuses[name], checkpoint.status))
        known = {step.owner for step in steps}
        # What is of an object that cannot be read, or is yet to be made: effects are all that it can have.
        steps += [Step(owner, tuple(effects)) for owner, effects in self.effects.items() if owner not in known]
        kept = tuple(step for step in steps if step.effects or step.status is not None or step.events)
        return Decision(kept, self.after_seconds)

    def _step(
        self, owner: str, status: StreamJobStatus | CheckpointStatus, before: StreamJobStatus | CheckpointStatus
    ) -> Step:
        effects = tuple(self.effects.get(owner, ()))
        # A finalizer is a write to the object itself: after it the status that was read is no longer the live one.
        changed = status != before and not any(isinstance(effect, SetFinalizer) for effect in effects)
        return Step(owner, effects, status if changed else None, tuple(self.events.get(owner, ())))


def _set(
    conditions: Conditions,
    new: tuple[str, Literal["True", "False", "Unknown"], str, str],
    now: datetime,
    generation: int,
) -> Conditions:
    kind, state, reason, message = new
    condition = Condition(type=kind, status=state, reason=reason, message=message, observed_generation=generation)
    return set_condition(conditions, condition, now)


ABNORMAL = (constants.RECONCILING, constants.STALLED)
"""Conditions that are True when something is not as it should be."""
