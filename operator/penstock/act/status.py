"""Writing a status: only when it changed, only onto the very object that was read."""

from __future__ import annotations

from datetime import datetime

from penstock.api import constants
from penstock.api.base import dump
from penstock.api.checkpoint import Checkpoint
from penstock.api.conditions import Condition, Conditions, set_condition
from penstock.api.streamjob import StreamJob
from penstock.api.streamjob_status import LastError
from penstock.decide.needs import is_being_cleared
from penstock.errors import PenstockError
from penstock.kube import resources
from penstock.kube.client import Kube
from penstock.model import Observed, Step


async def write_status(kube: Kube, observed: Observed, step: Step) -> None:
    """Write what a step decided.

    Raises:
        Stale: when somebody has changed the object since this pass read it; nothing was written.
    """
    if step.status is None:
        return
    target = target_of(observed, step.owner)
    if target is None:
        return
    before, after = dump(target.status), dump(step.status)
    if before == after:
        return
    resource = resources.STREAM_JOBS if isinstance(target, StreamJob) else resources.CHECKPOINTS
    meta = target.metadata
    await kube.replace_status(
        resource,
        {
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": {
                "name": meta.name,
                "namespace": meta.namespace,
                "uid": meta.uid,
                "resourceVersion": meta.resource_version,
            },
            "spec": dump(target.spec),
            "status": after,
        },
    )


async def write_error(kube: Kube, observed: Observed, step: Step, error: PenstockError, now: datetime) -> None:
    """Say in an object's status why its step could not be done; the rest of the status stays as it was.

    Of an object that could not be made the StreamJob tells.
    """
    owner = step.owner if target_of(observed, step.owner) is not None else ""
    target = target_of(observed, owner)
    if target is None:
        return
    last = target.status.last_error
    if last is None or (last.reason, last.message) != (error.reason, str(error)):
        last = LastError(time=now, reason=error.reason, message=str(error))
    update: dict[str, object] = {"last_error": last}
    if isinstance(target, Checkpoint) and is_being_cleared(target):
        update["conditions"] = _stalled(target, error, now)
    await write_status(kube, observed, Step(owner, status=target.status.model_copy(update=update)))


def _stalled(checkpoint: Checkpoint, error: PenstockError, now: datetime) -> Conditions:
    """A deletion that cannot go on is said where people look for it, with the way out of an object that stays."""
    way_out = "; to let go of the object and leave the data, write spec.deletionPolicy: Retain"
    condition = Condition(
        type=constants.STALLED,
        status="True",
        reason=error.reason,
        message=f"{error}{way_out if checkpoint.metadata.terminating else ''}",
        observed_generation=checkpoint.metadata.generation,
    )
    return set_condition(checkpoint.status.conditions, condition, now)


def target_of(observed: Observed, owner: str) -> StreamJob | Checkpoint | None:
    """The object that a step is about."""
    if not owner:
        return observed.job
    return next((each for each in observed.checkpoints if each.metadata.name == owner), None)
