"""What `penstock history` and `penstock diff` read, as the user."""

from __future__ import annotations

from typing import Any

from penstock.api.checkpoint import Checkpoint
from penstock.api.reading import read
from penstock.api.streamjob import StreamJobSpec
from penstock.cli.following import stream_job
from penstock.cli.lineage import lineage
from penstock.cli.shape import difference
from penstock.cli.user import Session, User, connect
from penstock.cli.versions import chosen, spec_of
from penstock.kube import resources
from penstock.model import Revision
from penstock.observe.kubernetes import revisions_of


async def history(user: User, name: str) -> dict[str, Any]:
    """Runs, versions and checkpoints of a job.

    Raises:
        Refused: there is no such job, or the user may not look.
    """
    async with connect(user) as session:
        job = await stream_job(session, name)
        versions = await revisions_of(session.kube, job.metadata)
        checkpoints = await checkpoints_of(session, name)
        return lineage(job, versions, checkpoints, await _others(session, versions, checkpoints))


async def checkpoints_of(session: Session, job: str) -> list[Checkpoint]:
    """The Checkpoints of a job that can be read."""
    items = await session.kube.find(resources.CHECKPOINTS, session.namespace, fields=f"spec.jobRef.name={job}")
    return [made for item in items if (made := read(Checkpoint, item)[0]) is not None]


async def _others(
    session: Session, versions: tuple[Revision, ...], checkpoints: list[Checkpoint]
) -> tuple[Checkpoint, ...]:
    """The Checkpoints that runs started from by name and that are not the job's own: of other jobs, if of any."""
    own = {checkpoint.metadata.name for checkpoint in checkpoints}
    named = {record.checkpoint for version in versions for record in version.runs.values() if record.checkpoint}
    found = []
    for name in sorted(named - own):
        stored = await session.kube.get(resources.CHECKPOINTS, session.namespace, name)
        made = read(Checkpoint, stored)[0] if stored is not None else None
        found += [made] if made is not None else []
    return tuple(found)


async def compared(user: User, name: str, first: int, second: int) -> dict[str, Any]:
    """How two versions of a job differ.

    Raises:
        Refused: there is no such job or version, or the user may not look.
    """
    async with connect(user) as session:
        job = await stream_job(session, name)
        versions = await revisions_of(session.kube, job.metadata)
        old, new = (_of(name, versions, number, place) for place, number in (("V1", first), ("V2", second)))
        return {"job": name, "from": first, "to": second} | difference(name, (first, old), (second, new))


def _of(name: str, versions: tuple[Revision, ...], number: int, place: str) -> StreamJobSpec:
    return spec_of(name, chosen(name, versions, number, place))
