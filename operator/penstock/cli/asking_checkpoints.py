"""`penstock checkpoint`, `list` and `describe`: Checkpoints made and looked at, as the user."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from penstock import clock
from penstock.api import constants
from penstock.api.base import format_time
from penstock.api.checkpoint import Checkpoint, Phase
from penstock.api.conditions import find_condition
from penstock.api.quantity import display_bytes
from penstock.api.reading import read
from penstock.api.streamjob import StreamJob
from penstock.api.streamjob_status import LatestCheckpoint
from penstock.cli.asking_jobs import Waiting
from penstock.cli.following import Verdict, follow_checkpoint, stream_job
from penstock.cli.user import User, connect
from penstock.errors import Refused
from penstock.kube import resources

_NEVER = datetime.min.replace(tzinfo=UTC)


async def take(user: User, job: str, name: str | None, spec: dict[str, Any], waiting: Waiting) -> str:
    """Make a Checkpoint; a sentence about what came of it.

    Raises:
        Refused: there is no such job, there is a Checkpoint of that name, the user may not, or it was not completed.
    """
    async with connect(user) as session:
        await stream_job(session, job)
        name = name or f"{job}-{clock.now().strftime('%Y%m%d%H%M%S')}"
        manifest = {
            "apiVersion": constants.API_VERSION,
            "kind": "Checkpoint",
            "metadata": {"name": name, "namespace": session.namespace},
            "spec": {"jobRef": {"name": job}} | spec,
        }
        if await session.kube.create(manifest) is None:
            raise Refused(f"there is a Checkpoint {name} in namespace {session.namespace} already", "AlreadyExists")
        if not waiting.wait:
            return f"Checkpoint {name} is to be taken"
        await follow_checkpoint(session, name, _judge, waiting.patience)
        return f"Checkpoint {name} is Present"


def _judge(checkpoint: Checkpoint) -> Verdict:
    status = checkpoint.status
    if status.phase in (Phase.FAILED, Phase.TIMEOUT) and status.settled is not False:
        why = status.last_error.message if status.last_error else "no reason given"
        return Verdict("", failed=f"Checkpoint {checkpoint.metadata.name} is {status.phase}: {why}")
    moving = find_condition(status.conditions, constants.RECONCILING)
    words = moving.message if moving is not None and moving.status == "True" else ""
    phase = str(status.phase or Phase.PENDING)
    return Verdict(f"{phase}{': ' if words else ''}{words}", done=status.phase is Phase.PRESENT)


async def listed(user: User, job: str | None) -> dict[str, Any]:
    """The Checkpoints of a namespace, or of one job with those of Flink's own that have no object; newest first.

    Raises:
        Refused: there is no such job, or the user may not look.
    """
    async with connect(user) as session:
        fields = f"spec.jobRef.name={job}" if job else None
        items = await session.kube.find(resources.CHECKPOINTS, session.namespace, fields=fields)
        found = [made for item in items if (made := read(Checkpoint, item)[0]) is not None]
        rows = [(_when(each), _row(each)) for each in found]
        if job is not None:
            named = {each.status.location for each in found}
            of = await stream_job(session, job)
            rows += [
                (each.completion_time or _NEVER, _without_object(of, each))
                for each in of.status.retained_checkpoints
                if each.location not in named
            ]
        rows.sort(key=lambda row: row[0], reverse=True)
        return {"namespace": session.namespace, "checkpoints": [row for _, row in rows]}


def _when(checkpoint: Checkpoint) -> datetime:
    status = checkpoint.status
    return status.trigger_time or status.completion_time or checkpoint.metadata.creation_timestamp or _NEVER


def _row(checkpoint: Checkpoint) -> dict[str, Any]:
    status = checkpoint.status
    verified = find_condition(status.conditions, constants.VERIFIED)
    when = status.trigger_time or status.completion_time
    return {
        "name": checkpoint.metadata.name,
        "job": checkpoint.spec.job_ref.name,
        "source": str(checkpoint.spec.source),
        "status": str(status.phase or ""),
        "verified": verified.status if verified is not None else "",
        "triggered": format_time(when) if when is not None else "",
        "duration": status.duration_text or "",
        "size": status.size_text or "",
        "version": str(status.job_version or ""),
        "description": checkpoint.spec.description,
        "pinned": checkpoint.spec.pinned,
        "location": status.location or "",
    }


def _without_object(job: StreamJob, found: LatestCheckpoint) -> dict[str, Any]:
    """One of Flink's own that the status of its StreamJob names."""
    return {
        "name": f"(chk-{found.checkpoint_id})",
        "job": job.metadata.name,
        "source": "Retained",
        "status": str(Phase.PRESENT),
        "verified": "",
        "triggered": format_time(found.completion_time) if found.completion_time is not None else "",
        "duration": "",
        "size": display_bytes(found.size_bytes) if found.size_bytes is not None else "",
        "version": str(job.status.job_version or ""),
        "description": "",
        "pinned": False,
        "location": found.location,
    }


async def described(user: User, name: str) -> dict[str, Any]:
    """A StreamJob of that name, else a Checkpoint: what it is and what is said of it.

    Raises:
        Refused: there is neither, or the user may not look.
    """
    async with connect(user) as session:
        stored = await session.kube.get(resources.STREAM_JOBS, session.namespace, name)
        kind = "StreamJob" if stored is not None else "Checkpoint"
        if stored is None:
            stored = await session.kube.get(resources.CHECKPOINTS, session.namespace, name)
        if stored is None:
            raise Refused(f"there is no StreamJob or Checkpoint {name} in namespace {session.namespace}", "NotFound")
        # As it is stored: whoever describes wants to see what an older command cannot read, too.
        told = stored.get("status") or {}
        return {"kind": kind, "name": name, "namespace": session.namespace, "status": told}
