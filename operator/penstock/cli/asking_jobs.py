"""`penstock stop`, `start`, `restore` and `replay`: a change of a StreamJob's spec, as the user, and its end."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from penstock.api import constants
from penstock.api.base import format_time
from penstock.api.conditions import find_condition
from penstock.api.streamjob import StreamJob
from penstock.api.streamjob_status import JobState
from penstock.cli.following import Verdict, follow_job, judge_job, stream_job
from penstock.cli.user import Session, User, connect
from penstock.kube import resources


@dataclass(frozen=True)
class Waiting:
    """Whether the end is waited for, and how long."""

    wait: bool
    patience: timedelta


@dataclass(frozen=True)
class Origin:
    """What a restore starts from: a Checkpoint's name or a time; and the refusals that do not count."""

    checkpoint: str | None
    time: datetime | None
    override: tuple[str, ...] = ()

    def wish(self) -> dict[str, Any]:
        """As a merge patch of `spec.startFrom`: what else stood there goes."""
        return {
            "latest": None,
            "empty": None,
            "replay": None,
            "checkpoint": {"name": self.checkpoint} if self.checkpoint is not None else None,
            "asOf": {"time": format_time(self.time)} if self.time is not None else None,
            "override": list(self.override) or None,
        }


@dataclass(frozen=True)
class Span:
    """What a replay reads and puts out; the texts are as the API takes them."""

    since: str
    to: datetime | None = None
    lookback: str | None = None
    on_gap: str | None = None

    def wish(self) -> dict[str, Any]:
        """As a merge patch of `spec.startFrom`: what else stood there goes, also of an earlier replay."""
        replay = {
            "from": self.since,
            "to": format_time(self.to) if self.to is not None else None,
            "lookback": self.lookback,
            "onGap": self.on_gap,
            "state": None,
        }
        return dict.fromkeys(("latest", "empty", "checkpoint", "asOf", "override")) | {"replay": replay}


async def stop(user: User, name: str, waiting: Waiting) -> str:
    """Stop a job with a checkpoint; a sentence about what came of it.

    Raises:
        Refused: there is no such job, the user may not change it, or the operator cannot.
    """
    async with connect(user) as session:
        await stream_job(session, name)
        await _patch(session, name, {"state": "Stopped"})
        if not waiting.wait:
            return f"StreamJob {name} is to stop"
        await follow_job(session, name, lambda job: judge_job(job, done=_is(job, JobState.STOPPED)), waiting.patience)
        run = (await stream_job(session, name)).status.run
        made = run.stop_checkpoint if run is not None else None
        return f"StreamJob {name} is stopped" + (f", with Checkpoint {made}" if made else "")


async def start(user: User, name: str, waiting: Waiting) -> str:
    """Have a stopped job run; a sentence about what came of it.

    Raises:
        Refused: there is no such job, the user may not change it, or the operator cannot.
    """
    async with connect(user) as session:
        await stream_job(session, name)
        await _patch(session, name, {"state": "Running"})
        return await running(session, name, "", waiting)


async def restore(user: User, name: str, origin: Origin, waiting: Waiting) -> str:
    """Have a job start from a Checkpoint, or from the newest as of a time; a sentence about what came of it.

    Raises:
        Refused: there is no such job, the user may not change it, or the operator cannot.
    """
    async with connect(user) as session:
        before = await _begin_from(session, name, origin.wish())
        return await running(session, name, before, waiting)


async def replay(user: User, name: str, span: Span, waiting: Waiting) -> str:
    """Have a job read its sources again from a time on; a sentence about what came of it.

    Raises:
        Refused: there is no such job, the user may not change it, or the operator cannot.
    """
    async with connect(user) as session:
        before = await _begin_from(session, name, span.wish())
        if span.to is None or not waiting.wait:
            return await running(session, name, before, waiting)

        def judge(job: StreamJob) -> Verdict:
            run = job.status.run
            new = run is not None and run.id != before
            return judge_job(job, done=new and _is(job, JobState.FINISHED))

        await follow_job(session, name, judge, waiting.patience)
        began = (await stream_job(session, name)).status.started_from
        return f"StreamJob {name} has finished its {began.text if began else 'replay'}"


async def _begin_from(session: Session, name: str, wish: dict[str, Any]) -> str:
    """Have a job start from what is wished for; the run that was there before, empty when none was."""
    job = await stream_job(session, name)
    # A token of its own: the same value as before is a new wish.
    spec = {"state": "Running", "startFrom": wish, "restartToken": uuid.uuid4().hex}
    await _patch(session, name, spec)
    return job.status.run.id if job.status.run else ""


async def running(session: Session, name: str, before: str, waiting: Waiting) -> str:
    """Wait for a run other than the one before; empty: for any."""
    if not waiting.wait:
        return f"StreamJob {name} is to run"

    def judge(job: StreamJob) -> Verdict:
        run = job.status.run
        ready = find_condition(job.status.conditions, constants.READY)
        new = run is not None and run.ended_at is None and run.id != before
        up = new and ready is not None and ready.status == "True" and _is(job, JobState.RUNNING)
        return judge_job(job, done=up)

    await follow_job(session, name, judge, waiting.patience)
    began = (await stream_job(session, name)).status.started_from
    return f"StreamJob {name} runs, started from {began.text if began else 'nothing'}"


def _is(job: StreamJob, state: JobState) -> bool:
    return job.status.state is state


async def _patch(session: Session, name: str, spec: dict[str, Any]) -> None:
    await session.kube.merge(resources.STREAM_JOBS, session.namespace, name, {"metadata": {}, "spec": spec})
