"""`penstock estimate`: what is asked of the operator, and what is made of its answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from penstock import clock
from penstock.api import constants
from penstock.api.base import format_time
from penstock.api.streamjob import StreamJob
from penstock.cli import asking_estimate
from penstock.decide.measuring import asked
from tests.unit.builders import BEFORE, NOW, job, live
from tests.unit.cli.follower import Desk, Make

Answer = Callable[[tuple[datetime, ...]], dict[str, Any]]
KAFKA = [{"name": "flights", "kafka": {"connection": "kafka", "topics": ["flights"]}}]


def measured(backlog: int = 100_000, lately: int = 75_000, busy: int | None = 250, count: int = 4) -> Answer:
    """So many records in each of some partitions since the sources begin, and in the last five minutes."""

    def answer(_times: tuple[datetime, ...]) -> dict[str, Any]:
        parts = [{"topic": "flights", "partition": each, "records": [backlog, lately]} for each in range(count)]
        return {"partitions": parts} | ({"busyMillis": busy} if busy is not None else {})

    return answer


@pytest.fixture
def desk(make: Make, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Desk]:
    """A job, and an operator that answers at the second look, as its own parser understands the question."""
    monkeypatch.setattr(clock, "now", lambda: NOW)
    monkeypatch.setattr(asking_estimate, "_EVERY_SECONDS", 0.01)

    def opened(answer: Answer | None = None, **spec: Any) -> Desk:
        status = spec.pop("status", live())
        made = make(None, job(status, **({"sources": KAFKA, "parallelism": 4} | spec)))
        looks = [0]

        def before(verb: str, kind: str, _name: str) -> None:
            question = asked(StreamJob.model_validate(made.job))
            if (verb, kind) != ("get", "StreamJob") or question is None or answer is None:
                return
            looks[0] += 1
            if looks[0] == 2:
                told = {"request": question.request, "time": format_time(NOW)}
                told |= {"times": [format_time(each) for each in question.times]} | answer(question.times)
                made.job["status"]["estimate"] = told

        made.kube.before = before
        return made

    return opened


def content(done: Any) -> Any:
    assert (done.exit_code, done.stderr) == (0, "")
    return json.loads(done.stdout)


def test_the_newest_checkpoint_and_the_last_minutes_are_asked_for(desk: Any) -> None:
    made = desk(measured())
    told = content(made.run("estimate", "flights", "-o", "json"))
    _, *times = made.job["metadata"]["annotations"][constants.ESTIMATE].split()
    assert times == [format_time(BEFORE), format_time(NOW - timedelta(minutes=5))]
    assert [call for call in made.kube.calls if call[0] != "get"] == [("merge", "StreamJob", "flights")]
    # 75,000 records of five minutes are 250/s in each of four partitions; busy for a quarter, it can do 4000/s.
    assert (told["rate"], told["capacity"], told["backlog"], told["readers"]) == (1000, 4000, 400_000, 4)
    assert told["seconds"] == 30 + (100_000 + 250 * 30) / (1000 - 250)
    assert (told["recordsPerPartition"], told["replayAmount"]) == (1000 * 3600 / 4, 0)
    assert told["from"] == {"time": format_time(BEFORE), "text": "chk-7, the newest checkpoint", "windowSeconds": 0}


@pytest.mark.parametrize(
    ("since", "begins"),
    [("24h", NOW - timedelta(hours=26)), ("2026-01-31T08:00:00+01:00", NOW - timedelta(hours=7))],
)
def test_a_replay_begins_before_its_window(desk: Any, since: str, begins: datetime) -> None:
    made = desk(measured(), window="2h")
    told = content(made.run("estimate", "flights", "--from", since, "-o", "json"))
    assert told["from"]["time"] == format_time(begins)
    assert made.job["metadata"]["annotations"][constants.ESTIMATE].split()[1] == format_time(begins)
    assert (told["from"]["windowSeconds"], told["replayAmount"]) == (7200, 7_200_000)
    assert [each["lever"] for each in told["whatIf"]] == ["parallelism", "window", "rate"]


def test_it_is_said_for_people(desk: Any) -> None:
    done = desk(measured(), window="2h").run("estimate", "flights", "--from", "24h", "--restart", "0s")
    assert done.exit_code == 0
    figures, levers = done.stdout.rstrip("\n").split("\n\n")
    rows = dict(line.split(":", 1) for line in figures.splitlines())
    told = {key: value.strip() for key, value in rows.items()}
    assert told["From"] == "2026-01-30T10:00:00Z (a replay from 2026-01-30T12:00:00Z with a look-back of 2h)"
    assert told["Catches up"] == "in 2m 13s"
    assert told["Capacity"] == (
        "4000.0 records/s (1000.0 records/s arrive, and the busiest subtask is busy for 250 ms of a second)"
    )
    assert told["Restart"] == "0 s (--restart)"
    assert told["Replay amount"] == "window x rate = 7200000 records"
    assert levers.splitlines()[1].startswith(
        "parallelism 8         2m 13s       4 of 8 subtasks have a partition to read"
    )
    assert levers.splitlines()[2].startswith("window 3600 s ")
    assert levers.splitlines()[3] == "rate 2000 records/s   3m 20s       it catches up below 4000 records/s"


def test_never_and_what_would_help(desk: Any) -> None:
    made = desk(measured(busy=None), parallelism=1)
    done = made.run("estimate", "flights", "--capacity", "500", "--parallelism", "4")
    assert done.exit_code == 0
    assert "Catches up:      never" in done.stdout
    [_, lever] = done.stdout.split("\n\n")[1].splitlines()
    # One subtask does 500/s; each of four has 250/s to keep up with.
    assert " ".join(lever.split()[:4]) == "parallelism 4 7m 40s"


def test_a_capacity_is_of_the_job_as_it_is(desk: Any) -> None:
    """Four of eight subtasks have a partition: a quarter of what the job can read is what one can."""
    told = content(desk(measured(), parallelism=8).run("estimate", "flights", "--capacity", "2000", "-o", "json"))
    assert (told["capacity"], told["readers"], told["capacityFrom"]) == (2000, 4, "--capacity")


CAPACITY = {"recordsPerSecond": 6000, "readers": 2, "restartSeconds": 12, "jobVersion": 3, "time": BEFORE}
MEASURED = "measured in version 3 when it caught up at 2026-01-31T11:00:00Z: 6000 records/s by 2 subtasks"
BUSY = "1000.0 records/s arrive, and the busiest subtask is busy for 250 ms of a second"


@pytest.mark.parametrize(
    ("known", "busy", "given", "each", "origin"),
    [
        (CAPACITY, 250, ["--capacity", "8000"], 2000, "--capacity"),
        # What was measured is of the subtasks of that time, be there more of them now.
        (CAPACITY, 250, [], 3000, MEASURED),
        (CAPACITY, None, [], 3000, MEASURED),
        (None, 250, [], 1000, BUSY),
    ],
)
def test_the_best_that_is_known_of_the_capacity_is_taken(
    desk: Any, *, known: dict[str, Any] | None, busy: int | None, given: list[str], each: int, origin: str
) -> None:
    made = desk(measured(busy=busy), status=live(capacity=known))
    told = content(made.run("estimate", "flights", *given, "-o", "json"))
    assert (told["capacity"], told["capacityFrom"]) == (4 * each, origin)


@pytest.mark.parametrize(
    ("known", "given", "seconds", "said"),
    [
        (CAPACITY, [], 12, "12 s (measured in version 3)"),
        (CAPACITY, ["--restart", "1m"], 60, "60 s (--restart)"),
        (CAPACITY | {"restartSeconds": None}, [], 30, "30 s (assumed: none was measured yet)"),
        (None, [], 30, "30 s (assumed: none was measured yet)"),
    ],
)
def test_the_last_restart_that_was_measured_is_taken(
    desk: Any, known: dict[str, Any] | None, given: list[str], seconds: int, said: str
) -> None:
    made = desk(measured(), status=live(capacity=known))
    assert content(made.run("estimate", "flights", *given, "-o", "json"))["restartSeconds"] == seconds
    done = desk(measured(), status=live(capacity=known)).run("estimate", "flights", *given)
    assert f"\nRestart:         {said}\n" in done.stdout


@pytest.mark.parametrize(
    ("spec", "given", "said"),
    [
        ({}, [], "0 records: no replay is needed, because spec.window declares no window"),
        ({}, ["--from", "24h"], "0 records: no replay is needed, because spec.window declares no window"),
        ({"window": "2h"}, [], "0 records: no replay is needed: what is in its windows (2h) is restored"),
        ({"window": "2h"}, ["--from", "24h"], "window x rate = 7200000 records"),
    ],
)
def test_what_is_read_for_the_first_window(desk: Any, spec: dict[str, Any], given: list[str], said: str) -> None:
    done = desk(measured(), **spec).run("estimate", "flights", *given)
    assert f"\nReplay amount:   {said}\n" in done.stdout


@pytest.mark.parametrize(
    ("given", "seconds"), [("1d", 86_400), ("1d12h", 129_600), ("2d30m", 174_600), ("0d1s", 1), ("36h", 129_600)]
)
def test_days_are_hours(desk: Any, given: str, seconds: int) -> None:
    """The command turns them into what the API takes."""
    arguments = ["--from", given, "--window", given, "-o", "json"]
    made = desk(measured(), window="2h")
    told = content(made.run("estimate", "flights", *arguments))
    assert told["from"]["time"] == format_time(NOW - timedelta(seconds=seconds + 7200))
    assert told["whatIf"][0]["after"] == seconds


def test_only_the_levers_that_were_named_are_moved(desk: Any) -> None:
    given = ["--from", "24h", "--window", "24h", "--rate", "5000", "-o", "json"]
    told = content(desk(measured(), window="2h").run("estimate", "flights", *given))
    assert [(each["lever"], each["before"], each["after"]) for each in told["whatIf"]] == [
        ("window", 7200, 86_400),
        ("rate", 1000, 5000),
    ]
    assert told["whatIf"][1]["seconds"] is None


def test_records_that_are_gone_are_said(desk: Any) -> None:
    def answer(_times: tuple[datetime, ...]) -> dict[str, Any]:
        return {"partitions": [{"topic": "flights", "partition": 3, "records": [5, 5], "deleted": True}]}

    done = desk(answer).run("estimate", "flights", "--capacity", "10")
    assert "Incomplete:      records of that time have been deleted: flights/3" in done.stdout


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (measured(busy=None), "Flink tells of no busy time; write --capacity with the records per second"),
        (measured(busy=3), "the busiest subtask is busy for 3 ms of a second; write --capacity"),
        (measured(lately=0), "0.0 records/s arrive"),
        (lambda _: {"problem": "spec.sources[flights].kafka: no answer"}, "spec.sources[flights].kafka: no answer"),
    ],
)
def test_what_cannot_be_known_is_not_made_up(desk: Any, answer: Answer, words: str) -> None:
    done = desk(answer).run("estimate", "flights")
    assert (done.exit_code, words in done.stderr, done.stdout) == (1, True, "")


def test_nobody_answers(desk: Any) -> None:
    done = desk(None).run("estimate", "flights", "--timeout", "50ms")
    assert (done.exit_code, "is the operator running?" in done.stderr) == (1, True)


@pytest.mark.parametrize(
    ("given", "code", "words"),
    [
        (["--from", "yesterday"], 2, "is no time"),
        (["--from", "2027-01-01T00:00:00Z"], 1, "it has not come yet"),
        (["--from", "24h", "--window", "1d1w"], 2, "'1d1w' is not a duration"),
        (["--from", "24h", "--window", "12h1d"], 2, "'12h1d' is not a duration"),
        (["--from", "24h", "--window", "d"], 2, "'d' is not a duration"),
        (["--window", "1h"], 2, "--window is about a replay: write --from"),
        (["--parallelism", "0"], 2, "0 is not in the range"),
        (["--capacity", "0"], 2, "0.0 is not in the range"),
        (["--rate", "-1"], 2, "-1.0 is not in the range"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_asked(desk: Any, given: list[str], code: int, words: str) -> None:
    made: Desk = desk(measured())
    done = made.run("estimate", "flights", *given)
    assert (done.exit_code, words in done.stderr, done.stdout) == (code, True, "")
    assert "annotations" not in made.job["metadata"] or not made.job["metadata"]["annotations"]


def test_a_run_without_a_checkpoint_says_what_to_write(desk: Any) -> None:
    done = desk(measured(), status=live(latest_checkpoint=None)).run("estimate", "flights")
    assert (done.exit_code, "write --from with a time or a duration" in done.stderr) == (1, True)
