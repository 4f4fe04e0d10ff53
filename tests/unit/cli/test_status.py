"""`penstock status`: where a job stands and how far it has come back, on one screen or as one object."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import yaml
from click.testing import Result

from tests.unit.builders import NAMESPACE, NOW, OLD_RUN, RUN, ended, live
from tests.unit.cli.follower import Make
from tests.unit.cli.recoveries import CAPACITY, ESTIMATE, FROM, UNMEASURED, Opened, desk_at_noon, over, recovery, told


@pytest.fixture
def desk(make: Make, monkeypatch: pytest.MonkeyPatch) -> Opened:
    return desk_at_noon(make, monkeypatch)


def rows(done: Result) -> dict[str, str]:
    """The screen of a command that has said nothing else."""
    assert (done.exit_code, done.stderr) == (0, "")
    found = [line.split(":", 1) for line in done.stdout.splitlines()]
    return {name: text.strip() for name, text in found}


# ---------------------------------------------------------------- one screen


def test_a_job_that_catches_up(desk: Any) -> None:
    made = desk(told(recovery(), capacity=CAPACITY))
    assert rows(made.run("status", "flights")) == {
        "StreamJob": "flights",
        "State": "Running",
        "Version": "1, run aaaaaaaa",
        "Started from": "before (spec.startFrom)",
        "Checkpoint": "chk-7, 1h 0m ago, at 2026-01-31T11:00:00Z",
        "Recovery": "CatchingUp, after Upgrade at 2026-01-31T11:58:00Z, 2m 0s ago",
        "CaughtUp": "False (CatchingUp)",
        "Progress": "[###############---------------] 52%",
        "Waiting": "480000 records (1000000 at the beginning)",
        "Speed": "7000 records/s are read, 1000 arrive",
        "Behind": "1h 2m, by the records' own times",
        "Left": "about 1m 20s left, at 12:01:20Z",
        "Expected": "2m 3s: 30 s to restart, then 1000000 records at 12000 records/s",
        "Replay": "no replay is needed: what is in its windows (1h) is restored",
        "Measured by": "Offsets: what the brokers hold, and how far Flink's sources have come in it",
        "Capacity": "12000 records/s by 4 subtasks, measured in version 2 at 2026-01-31T11:00:00Z",
    }
    assert {verb for verb, _, _ in made.kube.calls} == {"get"}


@pytest.mark.parametrize(
    ("given", "row", "words"),
    [
        (
            recovery(cause="TaskFailure", why="java.lang.ArithmeticException: / by zero"),
            "Why",
            "java.lang.ArithmeticException: / by zero",
        ),
        (recovery(percent=0), "Progress", "[------------------------------] 0%"),
        (recovery(percent=99), "Progress", "[#############################-] 99%"),
        (recovery(recordsPerSecond=None, arrivalPerSecond=None), "Speed", "not known yet how fast it reads"),
        (recovery(recordsPerSecond=None), "Speed", "not known yet how fast it reads, 1000 arrive"),
        (
            recovery(estimatedCompletion=NOW + timedelta(hours=14)),
            "Left",
            "about 14h 0m left, at 2026-02-01T02:00:00Z",
        ),
        (recovery(estimatedCompletion=NOW), "Left", "any moment now; expected at 12:00:00Z"),
        (
            recovery(estimatedCompletion=None, outlook="never catches up: 9000 records/s arrive, 7000 are read"),
            "Outlook",
            "never catches up: 9000 records/s arrive, 7000 are read",
        ),
        (recovery(measuredBy="Watermarks", lagSeconds=60), "Behind", "1m 0s, by the lowest watermark"),
        (recovery(measuredBy="Watermarks"), "Measured by", "Watermarks: how far Flink's are behind the clock"),
        (recovery(measuredBy=None), "Measured by", "not measured yet"),
        (
            recovery(startedAt=NOW + timedelta(seconds=3)),
            "Recovery",
            "CatchingUp, after Upgrade at 2026-01-31T12:00:03Z, 0 ms ago",
        ),
    ],
)
def test_what_a_recovery_may_be_like(desk: Any, given: dict[str, Any], row: str, words: str) -> None:
    assert rows(desk(told(given)).run("status", "flights"))[row] == words


@pytest.mark.parametrize(
    ("given", "absent"),
    [
        (recovery(percent=None), "Progress"),
        (recovery(estimatedCompletion=None), "Left"),
        (recovery(lagSeconds=None), "Behind"),
        (recovery(backlogRecords=None), "Waiting"),
        (recovery(measuredBy="Watermarks"), "Speed"),
        (recovery(estimateAtStart=None), "Expected"),
        (recovery(), "Took"),
        (over(), "Waiting"),
        (over(), "Speed"),
        (over(), "Left"),
    ],
)
def test_what_nobody_knows_has_no_row(desk: Any, given: dict[str, Any], absent: str) -> None:
    assert absent not in rows(desk(told(given)).run("status", "flights"))


def test_what_it_took_stands_beside_what_had_been_expected(desk: Any) -> None:
    found = rows(desk(told(over(), "True")).run("status", "flights"))
    assert found["Recovery"] == "caught up since 2026-01-31T12:00:00Z, after Upgrade at 2026-01-31T11:58:00Z"
    assert found["CaughtUp"] == "True"
    assert found["Took"] == (
        "1m 56s, of these 21.0 s until all tasks ran; 1100000 records were read; 2m 3s had been expected"
    )


def test_what_cannot_be_measured_is_said(desk: Any) -> None:
    found = rows(desk(told(UNMEASURED, "Unknown")).run("status", "flights"))
    assert found["Recovery"] == "its tasks run since 2026-01-31T12:00:00Z, after Upgrade at 2026-01-31T11:58:00Z"
    assert found["CaughtUp"] == "Unknown (NotMeasured)"
    assert found["Outlook"].startswith("no backlog can be told")
    assert found["Measured by"] == "Nothing: there are neither Kafka topics in spec.sources nor watermarks"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (None, "none: nothing was started yet"),
        (live(), "none: it was started without state"),
        (live(FROM), "none: nothing was recorded of this run"),
        (told(recovery(run=OLD_RUN)), "none: nothing was recorded of this run"),
        (
            ended("STOPPED", state="Stopped", recovery=recovery()),
            "it ended with its run before it had caught up (CatchingUp), after Upgrade at 2026-01-31T11:58:00Z",
        ),
    ],
)
def test_nothing_recovers(desk: Any, given: dict[str, Any] | None, words: str) -> None:
    assert rows(desk(given).run("status", "flights"))["Recovery"] == words


def test_what_it_waits_for_and_what_is_wrong(desk: Any) -> None:
    conditions = [
        {"type": "Reconciling", "status": "True", "reason": "Starting", "message": "0 of 2 pods are ready"},
        {"type": "Stalled", "status": "True", "reason": "CannotStart", "message": "no such image"},
    ]
    found = rows(desk(live(state="Starting", conditions=conditions, latest_checkpoint=None)).run("status", "flights"))
    assert (found["State"], found["Stalled"]) == ("Starting: 0 of 2 pods are ready", "CannotStart: no such image")
    assert found["Checkpoint"] == "none is complete yet"


def test_a_failure_in_many_lines_is_one_row(desk: Any) -> None:
    found = rows(desk(told(recovery(why="a\nb\x1b[2J"))).run("status", "flights"))
    assert found["Why"] == "a\\nb\\x1b[2J"


@pytest.mark.parametrize(("form", "loaded"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_for_machines_it_is_one_object(desk: Any, form: str, loaded: Callable[[str], Any]) -> None:
    done = desk(told(recovery(), capacity=CAPACITY)).run("status", "flights", "-o", form)
    assert (done.exit_code, done.stderr) == (0, "")
    found = loaded(done.stdout)
    assert list(found) == [
        "job",
        "namespace",
        "time",
        "state",
        "version",
        "run",
        "startedFrom",
        "latestCheckpoint",
        "caughtUp",
        "recovery",
        "capacity",
    ]
    assert (found["job"], found["namespace"], found["run"], found["version"]) == ("flights", NAMESPACE, RUN, 1)
    assert (found["recovery"]["percent"], found["recovery"]["estimateAtStart"]) == (52, ESTIMATE)
    assert (found["caughtUp"]["status"], found["capacity"]["recordsPerSecond"]) == ("False", 12000)
    assert (found["startedFrom"]["text"], found["latestCheckpoint"]["checkpointId"]) == ("before", 7)


def test_what_there_is_not_is_null(desk: Any) -> None:
    found = json.loads(desk(live()).run("status", "flights", "-o", "json").stdout)
    assert (found["recovery"], found["caughtUp"], found["capacity"]) == (None, None, None)


# ---------------------------------------------------------------- wrong usage


@pytest.mark.parametrize(
    ("given", "code", "words"),
    [
        (["flights", "--watch", "-o", "json"], 2, "--watch is for people: leave -o out"),
        (["flights", "--watch", "--timeout", "soon"], 2, "'soon' is not a duration"),
        ([], 2, "Missing argument 'JOB'"),
        (["other"], 1, f"there is no StreamJob other in namespace {NAMESPACE}"),
        (["other", "--watch"], 1, f"there is no StreamJob other in namespace {NAMESPACE}"),
    ],
)
def test_what_is_wrong_is_said(desk: Any, given: list[str], code: int, words: str) -> None:
    done = desk(live()).run("status", *given)
    assert (done.exit_code, words in done.stderr, done.stdout) == (code, True, "")
