"""`penstock status`: what a StreamJob's status says, once or until it has caught up. Nothing is changed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import click

from penstock import clock
from penstock.api.base import dump, format_time
from penstock.api.streamjob import StreamJob
from penstock.api.streamjob_status import JobState
from penstock.cli import progress
from penstock.cli.following import NOT_YET, judge_job, stream_job
from penstock.cli.user import Session, User, connect
from penstock.errors import Refused, RetryLater

_EVERY_SECONDS = 1.0
Shown = Callable[[StreamJob, datetime], None]


async def look(user: User, name: str) -> StreamJob:
    """The job as it is.

    Raises:
        Refused: there is no such job, or the user may not look.
    """
    async with connect(user) as session:
        return await stream_job(session, name)


def content(job: StreamJob, now: datetime) -> dict[str, Any]:
    """What `-o json` and `-o yaml` print; the shape is in the user guide."""
    status, told, recovery = job.status, progress.caught_up(job), progress.current(job)
    newest = status.latest_checkpoint
    return {
        "job": job.metadata.name,
        "namespace": job.metadata.namespace,
        "time": format_time(now),
        "state": str(status.state or JobState.PENDING),
        "version": status.job_version,
        "run": status.run.id if status.run is not None else "",
        "startedFrom": dump(status.started_from) if status.started_from is not None else None,
        "latestCheckpoint": dump(newest) if newest is not None else None,
        "caughtUp": dump(told) if told is not None else None,
        "recovery": dump(recovery) if recovery is not None else None,
        "capacity": dump(status.capacity) if status.capacity is not None else None,
    }


async def watch(user: User, name: str, patience: timedelta | None, shown: Shown) -> str:
    """Look again and again until the job has caught up, or nothing recovers; a sentence about that.

    Raises:
        Refused: there is no such job, it has failed or is stalled, or the user may not look.
        click.exceptions.Exit: it was not done in time (exit code 3).
    """
    async with connect(user) as session:
        try:
            async with asyncio.timeout(patience.total_seconds() if patience is not None else None):
                return await _until_over(session, name, shown)
        except TimeoutError:
            click.echo(f"penstock: not caught up within {patience}; the operator goes on with it", err=True)
            raise click.exceptions.Exit(NOT_YET) from None


async def _until_over(session: Session, name: str, shown: Shown) -> str:
    job = await stream_job(session, name)
    while True:
        shown(job, clock.now())
        over = _over(job)
        if over:
            return over
        await asyncio.sleep(_EVERY_SECONDS)
        try:
            job = await stream_job(session, name)
        except RetryLater:
            # One watches for hours: an API server that is away for a moment is no end. What is shown stays.
            continue


def _over(job: StreamJob) -> str:
    """The last sentence, or nothing yet. What was so before the operator has seen a change does not count."""
    verdict = judge_job(job, done=True)
    if verdict.failed:
        raise Refused(verdict.failed, "Failed")
    if not verdict.done:
        return ""
    if job.status.state is JobState.FAILED and job.status.intent is None:
        why = job.status.last_error.message if job.status.last_error is not None else "no reason given"
        raise Refused(f"StreamJob {job.metadata.name} is Failed: {why}", "Failed")
    return progress.outcome(job)
