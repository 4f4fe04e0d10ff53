"""Operators that are broken on purpose: the harness must find each of them. Used by its self-test only."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from typing import Any

from penstock import names
from penstock.api.checkpoint import Checkpoint
from penstock.decide import checkpoints
from penstock.decide.draft import Draft
from penstock.flink.client import FlinkRest
from penstock.model import TriggerSavepoint


def forgets_trigger_ids() -> None:
    """Asks Flink under an id that only this process knows, as an operator does that keeps Flink's answer in memory."""

    def own(trigger_id: str) -> str:
        return hashlib.sha256(f"{trigger_id}/{os.getpid()}".encode()).hexdigest()[:32]

    for name in ("savepoint", "stop", "trigger"):
        original = getattr(FlinkRest, name)

        async def asks(self: FlinkRest, base: str, run: str, trigger_id: str, *more: Any, ask: Any = original) -> Any:
            return await ask(self, base, run, own(trigger_id), *more)

        setattr(FlinkRest, name, asks)


def acts_before_the_intent() -> None:
    """Asks Flink in the very pass that writes the trigger id, which is drawn instead of derived."""
    names.trigger_id = lambda _uid, _attempt: os.urandom(16).hex()
    original = checkpoints._create

    def creates(draft: Draft, checkpoint: Checkpoint, attempt: int) -> None:
        original(draft, checkpoint, attempt)
        status, name = draft.status_of(checkpoint), checkpoint.metadata.name
        if status.trigger_id:
            target = (status.target_directory or "").rstrip("/")
            asked = TriggerSavepoint(name, status.run or "", status.trigger_id, target, "CANONICAL", stop=False)
            draft.act(asked, name)

    checkpoints._create = creates


WAYS: dict[str, Callable[[], None]] = {
    "forgets-trigger-ids": forgets_trigger_ids,
    "acts-before-the-intent": acts_before_the_intent,
}
