"""Waiting for what the operator makes of a request, with its words as they change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import click

from penstock.api import constants
from penstock.api.checkpoint import Checkpoint
from penstock.api.conditions import find_condition
from penstock.api.reading import read
from penstock.api.streamjob import StreamJob
from penstock.cli.user import Session
from penstock.errors import Refused
from penstock.kube import resources
from penstock.kube.resources import Resource

_EVERY_SECONDS = 0.5
NOT_YET = 3
"""Exit code of a command that has waited in vain; what it asked for goes on."""
_T = TypeVar("_T", StreamJob, Checkpoint)


@dataclass(frozen=True)
class Verdict:
    """What one look says: done, failed (why), or neither yet; and a line for people."""

    line: str
    done: bool = False
    failed: str = ""


async def stream_job(session: Session, name: str) -> StreamJob:
    """A StreamJob of the namespace.

    Raises:
        Refused: there is none of that name, or it cannot be read.
    """
    return await _read(session, StreamJob, resources.STREAM_JOBS, name)


async def checkpoint(session: Session, name: str) -> Checkpoint:
    """A Checkpoint of the namespace.

    Raises:
        Refused: there is none of that name, or it cannot be read.
    """
    return await _read(session, Checkpoint, resources.CHECKPOINTS, name)


async def _read(session: Session, kind: type[_T], resource: Resource, name: str) -> _T:
    stored = await session.kube.get(resource, session.namespace, name)
    if stored is None:
        raise Refused(f"there is no {resource.kind} {name} in namespace {session.namespace}", "NotFound")
    found, problems = read(kind, stored)
    if found is None:
        raise Refused(f"{resource.kind} {name}: {'; '.join(map(str, problems))}", constants.UNREADABLE)
    return found


async def follow_job(session: Session, name: str, judge: Callable[[StreamJob], Verdict], patience: timedelta) -> None:
    """Look again and again until it is done.

    Raises:
        Refused: the operator cannot, and says why.
        click.exceptions.Exit: it was not done in time (exit code 3).
    """
    told = ""
    try:
        async with asyncio.timeout(patience.total_seconds()):
            while True:
                told = _tell(judge(await stream_job(session, name)), told)
                if not told:
                    return
                await asyncio.sleep(_EVERY_SECONDS)
    except TimeoutError:
        _give_up(patience)


async def follow_checkpoint(
    session: Session, name: str, judge: Callable[[Checkpoint], Verdict], patience: timedelta
) -> None:
    """The same for a Checkpoint."""
    told = ""
    try:
        async with asyncio.timeout(patience.total_seconds()):
            while True:
                told = _tell(judge(await checkpoint(session, name)), told)
                if not told:
                    return
                await asyncio.sleep(_EVERY_SECONDS)
    except TimeoutError:
        _give_up(patience)


def _tell(verdict: Verdict, told: str) -> str:
    """Print the line if it is a new one; gives it, or nothing when it is done."""
    if verdict.failed:
        raise Refused(verdict.failed, "Failed")
    if verdict.line != told:
        click.echo(verdict.line, err=True)
    return "" if verdict.done else verdict.line


def _give_up(patience: timedelta) -> None:
    click.echo(f"penstock: not done within {patience}; the operator goes on with it", err=True)
    raise click.exceptions.Exit(NOT_YET)


def judge_job(job: StreamJob, *, done: bool) -> Verdict:
    """A look at a StreamJob whose spec was changed: `done` counts when the operator has seen the change."""
    status, seen = job.status, job.status.observed_generation == job.metadata.generation
    stalled = find_condition(status.conditions, constants.STALLED)
    moving = find_condition(status.conditions, constants.RECONCILING)
    if seen and stalled is not None and stalled.status == "True":
        return Verdict("", failed=f"StreamJob {job.metadata.name}: {stalled.reason}: {stalled.message}")
    words = moving.message if moving is not None and moving.status == "True" else ""
    return Verdict(f"{status.state or 'Pending'}{': ' if words else ''}{words}", done=seen and done)
