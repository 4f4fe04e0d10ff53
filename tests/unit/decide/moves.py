"""What a decision says, in a form that a table can hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from penstock.api.checkpoint import Checkpoint, CheckpointStatus
from penstock.api.conditions import Condition, find_condition
from penstock.api.streamjob_status import StreamJobStatus
from penstock.decide import decide
from penstock.model import Effect, Observed
from tests.unit.builders import job, live, observed
from tests.unit.decide.rules import objection


@dataclass(frozen=True)
class Moves:
    """A decision, and the statuses as they are after it."""

    effects: tuple[Effect, ...]
    status: StreamJobStatus
    checkpoints: dict[str, CheckpointStatus]
    events: tuple[str, ...]
    wake: float | None

    @property
    def kinds(self) -> list[str]:
        return [type(effect).__name__ for effect in self.effects]

    @property
    def intent(self) -> str:
        """`Start`, `Stop Savepoint`, `Teardown STOPPED`, or nothing."""
        intent: Any = self.status.intent
        if intent is None:
            return ""
        more = {"Stop": "method", "Teardown": "end_state"}.get(intent.kind)
        return f"{intent.kind} {getattr(intent, more)}" if more else "Start"

    @property
    def stalled(self) -> str:
        """The reason of Stalled when that is True."""
        found = find_condition(self.status.conditions, "Stalled")
        return found.reason if found is not None and found.status == "True" else ""

    def condition(self, kind: str, name: str = "") -> Condition:
        conditions = (self.checkpoints[name] if name else self.status).conditions
        found = find_condition(conditions, kind)
        assert found is not None, f"{kind} was not set"
        return found


def moves(observed: Observed) -> Moves:
    """Decide; every effect must have had its intent, whatever the test is about."""
    decision = decide(observed)
    status = observed.job.status if observed.job else StreamJobStatus()
    checkpoints = {each.metadata.name: each.status for each in observed.checkpoints}
    for step in decision.steps:
        for effect in step.effects:
            assert objection(observed, effect) == ""
        if isinstance(step.status, StreamJobStatus):
            status = step.status
        elif step.status is not None:
            checkpoints[step.owner] = step.status
    return Moves(
        tuple(effect for step in decision.steps for effect in step.effects),
        status,
        checkpoints,
        tuple(note.reason for step in decision.steps for note in step.events),
        decision.after_seconds,
    )


def one(found: Checkpoint, *, status: dict[str, Any] | None = None, **more: Any) -> Moves:
    """The moves where `found` is the only Checkpoint of a job that runs well."""
    return moves(observed(job(status or live()), checkpoints=(found,), **more))
