"""An earlier job version's shape put into the spec of its StreamJob, as the user."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from penstock.api import constants
from penstock.api.checkpoint import Checkpoint, Phase, Source
from penstock.api.streamjob import StreamJob
from penstock.cli.asking_history import checkpoints_of
from penstock.cli.asking_jobs import Origin, Waiting, running
from penstock.cli.following import checkpoint as read_checkpoint
from penstock.cli.following import stream_job
from penstock.cli.report import as_yaml
from penstock.cli.shape import merge_patch, patched, shape
from penstock.cli.user import Session, User, connect
from penstock.cli.versions import chosen, spec_of
from penstock.decide.needs import is_being_cleared, live_run
from penstock.errors import Refused, Stale
from penstock.kube import resources
from penstock.observe.kubernetes import revisions_of

_NEVER = datetime.min.replace(tzinfo=UTC)
_TRIES = 5
"""The operator writes a live job's status every few seconds, and each write makes what was read an old one."""


@dataclass(frozen=True)
class Target:
    """What to go back to: a version, and a Checkpoint; without its name the newest that the version wrote."""

    version: int
    checkpoint: str | None


async def rollback(user: User, name: str, target: Target, waiting: Waiting) -> str:
    """Have a job run an earlier version again; a sentence about what came of it.

    Raises:
        Refused: there is no such job, version or checkpoint, the user may not change it, or the operator cannot.
        Stale: somebody else changes the job all the time.
    """
    async with connect(user) as session:
        for left in reversed(range(_TRIES)):
            job = await stream_job(session, name)
            patch = await _patch(session, job, target)
            # Only onto what was read: the patch is the difference to that, and not to what somebody wrote since.
            told = {"metadata": {"resourceVersion": job.metadata.resource_version}, "spec": patch}
            try:
                await session.kube.merge(resources.STREAM_JOBS, session.namespace, name, told)
                break
            except Stale:
                if not left:
                    raise
        origin = patch["startFrom"]["checkpoint"]["name"]
        before = job.status.run.id if job.status.run else ""
        went = f"version {target.version} of StreamJob {name} from Checkpoint {origin}"
        if not waiting.wait:
            return f"{went} is to run"
        return f"{went}: {await running(session, name, before, waiting)}"


async def manifest(user: User, name: str, target: Target) -> str:
    """The StreamJob as `rollback` would leave it, as YAML. Nothing is written.

    Raises:
        Refused: as `rollback`.
    """
    async with connect(user) as session:
        job = await stream_job(session, name)
        patch = await _patch(session, job, target)
        stored = await session.kube.get(resources.STREAM_JOBS, session.namespace, name) or {}
        return as_yaml(
            {
                "apiVersion": constants.API_VERSION,
                "kind": "StreamJob",
                "metadata": {"name": name, "namespace": session.namespace},
                "spec": patched(stored.get("spec"), patch),
            }
        )


async def _patch(session: Session, job: StreamJob, target: Target) -> dict[str, Any]:
    """The merge patch of the spec: the version's shape, and from what it starts."""
    name = job.metadata.name
    versions = await revisions_of(session.kube, job.metadata)
    wanted = spec_of(name, chosen(name, versions, target.version, "--to-version"))
    change = merge_patch(shape(job.spec), shape(wanted))
    if not change:
        raise Refused(
            f"--to-version {target.version}: spec is that of version {target.version} already; to start it from one of "
            f"its checkpoints write penstock restore {name} --from CHECKPOINT",
            "NothingToDo",
        )
    origin = await _origin(session, job, target)
    # A token of its own: the same Checkpoint as at an earlier rollback is a new wish.
    wish = Origin(origin, None).wish()
    return change | {"state": "Running", "startFrom": wish, "restartToken": uuid.uuid4().hex}


async def _origin(session: Session, job: StreamJob, target: Target) -> str:
    """The name of the Checkpoint to start from."""
    if target.checkpoint is not None:
        found = await read_checkpoint(session, target.checkpoint)
        if not _is_there(job, found):
            phase = "going away" if _goes(job, found) else found.status.phase or "not taken yet"
            known = _list(job, await checkpoints_of(session, job.metadata.name))
            raise Refused(f"--from {target.checkpoint}: the Checkpoint is {phase}; {known}", "NotPresent")
        return target.checkpoint
    all_of_them = await checkpoints_of(session, job.metadata.name)
    own = [
        each
        for each in all_of_them
        if each.status.job_version == target.version and not _is_earlier(job, each) and _is_there(job, each)
    ]
    if not own:
        raise Refused(
            f"--to-version {target.version}: no Checkpoint that version {target.version} wrote is there any more; "
            f"{_list(job, all_of_them)}",
            "NothingToStartFrom",
        )
    return max(own, key=_completed).metadata.name


def _list(job: StreamJob, checkpoints: Sequence[Checkpoint]) -> str:
    """What there is instead, newest first."""
    newest = sorted((each for each in checkpoints if _is_there(job, each)), key=_completed, reverse=True)
    named = [
        f"{each.metadata.name} (version {each.status.job_version or '?'}"
        f"{f' of an earlier {job.metadata.name}' if _is_earlier(job, each) else ''})"
        for each in newest
    ]
    return f"write --from and one of: {', '.join(named)}" if named else "this job has none that is Present"


def _completed(checkpoint: Checkpoint) -> tuple[datetime, int]:
    return checkpoint.status.completion_time or _NEVER, checkpoint.status.checkpoint_id or 0


def _is_there(job: StreamJob, checkpoint: Checkpoint) -> bool:
    return checkpoint.status.phase is Phase.PRESENT and not _goes(job, checkpoint)


def _goes(job: StreamJob, checkpoint: Checkpoint) -> bool:
    """Whether it is being deleted, or is one of Flink's own of the run that lives: stopping that discards it."""
    run = live_run(job)
    flinks = checkpoint.spec.source is Source.RETAINED and run is not None and checkpoint.status.run == run.id
    return flinks or checkpoint.metadata.terminating or is_being_cleared(checkpoint)


def _is_earlier(job: StreamJob, checkpoint: Checkpoint) -> bool:
    """Whether an earlier StreamJob of that name made it: its versions were others."""
    return checkpoint.status.job_uid != job.metadata.uid
