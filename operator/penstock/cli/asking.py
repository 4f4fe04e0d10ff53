"""Asking the operator to verify a Checkpoint, and waiting for its answer."""

from __future__ import annotations

import asyncio
import uuid
from datetime import timedelta
from typing import Any

from penstock.api import constants
from penstock.api.checkpoint import Checkpoint, Phase
from penstock.api.conditions import find_condition
from penstock.cli.following import checkpoint as read_checkpoint
from penstock.cli.user import Session, User, connect
from penstock.errors import Refused, RetryLater
from penstock.kube import resources

_EVERY_SECONDS = 0.5


async def ask(user: User, name: str, patience: timedelta) -> dict[str, Any]:
    """Ask, and give what was found.

    Raises:
        Refused: there is no such Checkpoint, it has no data, or the user may not change it.
        RetryLater: nobody has answered in time; the question stays.
    """
    async with connect(user) as session:
        checkpoint = await read_checkpoint(session, name)
        if checkpoint.status.phase is not Phase.PRESENT:
            phase = checkpoint.status.phase or "not taken yet"
            raise Refused(f"Checkpoint {name} is {phase}: there is nothing to verify", "NotPresent")
        request = uuid.uuid4().hex
        patch = {"metadata": {"annotations": {constants.VERIFY: request}, "uid": checkpoint.metadata.uid}}
        await session.kube.merge(resources.CHECKPOINTS, session.namespace, name, patch)
        try:
            async with asyncio.timeout(patience.total_seconds()):
                return _content(await _answered(session, name, request))
        except TimeoutError:
            msg = f"no answer about Checkpoint {name} within {patience}; is the operator running?"
            raise RetryLater(msg) from None


async def _answered(session: Session, name: str, request: str) -> Checkpoint:
    while True:
        checkpoint = await read_checkpoint(session, name)
        told = checkpoint.status.verification
        if told is not None and told.request == request:
            return checkpoint
        if checkpoint.status.phase is not Phase.PRESENT or checkpoint.metadata.terminating:
            raise Refused(f"Checkpoint {name} has gone meanwhile", "NotPresent")
        await asyncio.sleep(_EVERY_SECONDS)


def _content(checkpoint: Checkpoint) -> dict[str, Any]:
    told = checkpoint.status.verification
    verified = find_condition(checkpoint.status.conditions, constants.VERIFIED)
    return {
        "checkpoint": checkpoint.metadata.name,
        "location": checkpoint.status.location or "",
        "whole": verified is not None and verified.status == "True",
        "files": told.files if told else 0,
        "missing": told.missing if told else 0,
        "firstMissing": list(told.first_missing) if told else [],
        "outside": told.outside if told else 0,
        "message": verified.message if verified else "",
    }
