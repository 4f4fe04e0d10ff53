"""Recoveries as a status tells them, and a user who looks at a job that is told otherwise at each look."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from penstock import clock
from penstock.cli import asking_status
from tests.unit.builders import BEFORE, NOW, RUN, job, live, savepoint, started_from
from tests.unit.cli.follower import Desk, Make

Opened = Callable[..., Desk]
FROM = started_from(savepoint(1), text="before", reason="spec.startFrom")
ESTIMATE = {"seconds": 123, "text": "2m 3s: 30 s to restart, then 1000000 records at 12000 records/s"}
CAPACITY = {"recordsPerSecond": 12000, "readers": 4, "restartSeconds": 21, "jobVersion": 2, "time": BEFORE}


def recovery(**more: Any) -> dict[str, Any]:
    """One that catches up, two minutes after it began."""
    return {
        "run": RUN,
        "cause": "Upgrade",
        "phase": "CatchingUp",
        "text": "CatchingUp 52%, 1m 20s left",
        "startedAt": NOW - timedelta(minutes=2),
        "stateRestoredAt": NOW - timedelta(seconds=90),
        "measuredBy": "Offsets",
        "replay": "no replay is needed: what is in its windows (1h) is restored",
        "backlogAtStart": 1_000_000,
        "backlogRecords": 480_000,
        "lagSeconds": 3720,
        "percent": 52,
        "recordsPerSecond": 7000,
        "arrivalPerSecond": 1000,
        "estimatedCompletion": NOW + timedelta(seconds=80),
        "estimateAtStart": ESTIMATE,
    } | more


def over(**more: Any) -> dict[str, Any]:
    """One that is over."""
    return recovery(
        phase="CaughtUp",
        text="CaughtUp in 1m 56s",
        percent=100,
        backlogRecords=0,
        estimatedCompletion=None,
        caughtUpAt=NOW,
        actual={"seconds": 116, "restartSeconds": 21, "records": 1_100_000},
    ) | (more)


UNMEASURED = over(
    measuredBy="Nothing",
    percent=None,
    outlook="no backlog can be told: spec.sources names no Kafka topic, and the job has no watermarks",
    estimateAtStart=None,
    actual={"seconds": 21, "restartSeconds": 21},
)


def told(recovers: dict[str, Any] | None, caught_up: str = "False", **more: Any) -> dict[str, Any]:
    """The status of a job that runs, with a recovery and the condition."""
    reason = {"True": "CaughtUp", "Unknown": "NotMeasured", "False": (recovers or {}).get("phase", "")}[caught_up]
    message = (recovers or {}).get("outlook", "") if caught_up == "Unknown" else ""
    conditions = [{"type": "CaughtUp", "status": caught_up, "reason": reason, "message": message}] if recovers else []
    return live(FROM, recovery=recovers, conditions=conditions, **more)


def desk_at_noon(make: Make, monkeypatch: pytest.MonkeyPatch) -> Opened:
    """A user at noon, and a job that is told otherwise at each look; the last one stays."""
    monkeypatch.setattr(clock, "now", lambda: NOW)
    monkeypatch.setattr(asking_status, "_EVERY_SECONDS", 0.001)

    def opened(first: dict[str, Any] | None = None, *then: dict[str, Any] | BaseException, **spec: Any) -> Desk:
        made = make(None, job(first, **spec))
        coming = list(then)
        looks = [0]

        def before(verb: str, kind: str, _name: str) -> None:
            if (verb, kind) != ("get", "StreamJob"):
                return
            looks[0] += 1
            if looks[0] == 1 or not coming:
                return
            new = coming.pop(0)
            if isinstance(new, BaseException):
                raise new
            made.job["status"] = _stored(new)

        made.kube.before = before
        return made

    return opened


def _stored(given: dict[str, Any]) -> Any:
    return job(given).model_dump(mode="json", by_alias=True, exclude_none=True)["status"]
