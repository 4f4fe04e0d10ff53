"""A job that comes back, for the tests of what is told of it: positions, looks, and what a later pass sees."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from penstock.api.base import dump
from penstock.api.conditions import find_condition
from penstock.api.recovery import Recovery
from penstock.api.streamjob import StreamJob
from penstock.model import Observed
from penstock.source.looks import Base, Followed, Look
from tests.unit.builders import BEFORE, NOW, RUN, flink, job, live, observed, savepoint, started_from
from tests.unit.decide.moves import Moves, moves

SOURCES: dict[str, Any] = {"sources": [{"name": "flights", "kafka": {"connection": "kafka", "topics": ["flights"]}}]}
BEGAN = 1_769_860_000_000
FIRST = f"{BEGAN}/0"
PLACE = ("flights", 0)
FAILED_AT = NOW - timedelta(seconds=4)


def attempt(began: int = BEGAN, restarted: int = 0, **more: Any) -> Any:
    """Flink's answer by an attempt; its clock is 4 s after the failure."""
    return flink(began_millis=began, restarted_millis=restarted, now_millis=max(began, restarted) + 4000, **more)


def recovery(phase: str = "Restarting", seconds_ago: float = 5, **more: Any) -> Recovery:
    """One that has been looked at that long ago."""
    told = {"run": RUN, "cause": "Restore", "phase": phase, "started_at": BEFORE}
    return Recovery.model_validate(told | {"updated_at": NOW - timedelta(seconds=seconds_ago)} | more)


def coming(found: Recovery | None, run: dict[str, Any] | None = None, **more: Any) -> Observed:
    """A job whose run was started from a savepoint, and that comes back."""
    spec = more.pop("spec", SOURCES)
    status = live(started_from(savepoint(1)), run={"attempt": FIRST} | (run or {}), recovery=found)
    return observed(job(status | more.pop("status", {}), **spec), **({"flink": attempt()} | more))


def look(seconds: float, read: int | None, end: int = 1000, **more: Any) -> Look:
    """What was seen so many seconds before NOW of one partition."""
    base: dict[str, Any] = {"running_millis": 60_000, "pending": 0, "readers": {PLACE: "v/0"}}
    offsets = {PLACE: read} if read is not None else {}
    return Look(NOW - timedelta(seconds=seconds), {PLACE: end}, offsets, **(base | more))


BASE = Base({PLACE: 100})


def followed(*looks: Look, base: Base | None = BASE) -> Followed:
    return Followed("x", base, looks)


def after(found: Moves, seen: Observed, seconds: float, **more: Any) -> Observed:
    """A later pass, with the status that was written."""
    assert seen.job is not None
    stored = seen.job.model_copy(update={"status": found.status})
    told = StreamJob.model_validate(dump(stored))
    return replace(seen, job=told, now=seen.now + timedelta(seconds=seconds), **more)


def caught_up(found: Moves) -> tuple[str, str]:
    condition = find_condition(found.status.conditions, "CaughtUp")
    return (condition.status, condition.reason) if condition is not None else ("", "")


def told(seen: Observed, *looks: Look, **more: Any) -> Recovery:
    found = moves(replace(seen, followed=followed(*looks, **more) if looks else None)).status.recovery
    assert found is not None
    return found
