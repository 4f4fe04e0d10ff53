"""Positions of a job that is to read its sources again from a time on. See test_replay_states for what comes after."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from penstock.api.base import format_time
from penstock.api.replay import EPOCH, Replay
from penstock.api.streamjob_status import StartedFrom
from penstock.model import ApplyRun
from tests.unit.builders import (
    NOW,
    ended,
    flink,
    idle,
    job,
    listing,
    live,
    observed,
    retained,
    start_intent,
    started_from,
    stored,
)
from tests.unit.decide.moves import Moves, moves

HOUR, MINUTE, SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)
DAY = 24 * HOUR
LONGEST_STOP = 17 * MINUTE
"""checkpoints.timeout, the grace after it, and the teardown."""
REPLAY = Replay(output_from=NOW - DAY, source_start=NOW - DAY - HOUR, to=NOW - HOUR)


def asked(since: datetime | str = "24h", **more: Any) -> dict[str, Any]:
    """`spec.startFrom`."""
    return {"startFrom": {"replay": {"from": since if isinstance(since, str) else format_time(since)} | more}}


def source(retention: str, name: str = "events") -> dict[str, Any]:
    return {"name": name, "generic": {"retention": retention}}


def fresh(wish: dict[str, Any], **spec: Any) -> Moves:
    """A job that has never run."""
    return moves(idle(job({"applied": None}, **wish, **spec)))


def chosen(found: Moves) -> Replay:
    assert found.intent == "Start", found.condition("Stalled")
    replay = found.status.intent.started_from.replay
    assert replay is not None
    return replay


def replayed(location: str | None = None, replay: Replay | None = REPLAY, **more: Any) -> StartedFrom:
    kind = more.pop("kind", "Checkpoint" if location else "Replay")
    return started_from(location, kind=kind, replay=replay, **more)


# ---------------------------------------------------------------- a program that is deaf to it

DEAF = {"sql": {"script": "INSERT INTO a SELECT * FROM b; -- $${penstock.source.startup-timestamp-millis}"}}
FIRST = {"sql": {"script": "INSERT INTO a SELECT * FROM b WHERE t > TIMESTAMP '${penstock.replay.output-from}';"}}
DEAF_JAR = {"jar": {"uri": "local:///a.jar", "args": ["--from", "0"]}}
JAR = {"jar": {"uri": "local:///a.jar", "args": ["--from", "${penstock.source.startup-timestamp-millis}"]}}
TO = {"to": format_time(NOW - HOUR)}
UNTOLD = {
    "script": (DEAF, {}, "spec.job.sql.script does not use ${penstock.source.startup-timestamp-millis}:"),
    "arguments": (DEAF_JAR, {}, "spec.job.jar.args do not use ${penstock.source.startup-timestamp-millis}:"),
    "the end": (FIRST, TO, "spec.job.sql.script does not use ${penstock.source.bounded-timestamp-millis}:"),
}


@pytest.mark.parametrize(("program", "more", "words"), UNTOLD.values(), ids=UNTOLD)
def test_a_program_that_does_not_use_what_a_replay_tells_it_is_not_stopped_for_one(program, more, words):
    """Seen: the state was dropped, everything said "read from 2026-11-17 on", and the script said earliest-offset."""
    wish = asked("24h", **more)
    found = moves(observed(job(live(), job=program, **wish)))
    assert (found.intent, found.stalled) == ("", "ReplayIgnored")
    message = found.condition("Stalled").message
    assert message.startswith(words)
    assert "startFrom.override: [ReplayIgnored]" in message
    assert fresh(wish, job=program).stalled == "ReplayIgnored"
    wish["startFrom"]["override"] = ["ReplayIgnored"]
    assert fresh(wish, job=program).intent == "Start"


@pytest.mark.parametrize("program", [FIRST, JAR], ids=["by its output", "by an argument"])
def test_a_program_may_begin_a_replay_in_more_than_one_way(program):
    assert fresh(asked("24h"), job=program).intent == "Start"


# ---------------------------------------------------------------- the times


@pytest.mark.parametrize(
    ("since", "expected"),
    [
        ("24h", NOW - DAY),
        ("1h30m", NOW - 90 * MINUTE),
        ("0s", NOW),
        (NOW - DAY, NOW - DAY),
        ("2026-01-31T12:00:00+01:00", NOW - HOUR),
        ("2026-01-31T11:59:59.999Z", NOW - SECOND),
        ("1970-01-01T00:00:00Z", EPOCH),
    ],
)
def test_from_is_a_time_or_so_long_before_the_decision(since: datetime | str, expected: datetime):
    replay = chosen(fresh(asked(since)))
    assert (replay.output_from, replay.source_start, replay.to) == (expected, expected, None)


@pytest.mark.parametrize(
    ("window", "lookback", "hours"),
    [(None, None, 0), ("2h", None, 2), (None, "3h", 3), ("2h", "3h", 3), ("2h", "0s", 0)],
)
def test_the_sources_begin_earlier_by_the_look_back(window: str | None, lookback: str | None, hours: int):
    spec = {"window": window} if window else {}
    replay = chosen(fresh(asked(NOW - DAY, **({"lookback": lookback} if lookback else {})), **spec))
    assert (replay.output_from, replay.source_start) == (NOW - DAY, NOW - DAY - hours * HOUR)


def test_nothing_is_read_from_before_all_sources():
    assert chosen(fresh(asked("1970-01-01T01:00:00Z", lookback="999999h"))).source_start == EPOCH


def test_what_is_recorded_is_absolute_and_begins_without_state():
    found = fresh(asked("24h", to=format_time(NOW - HOUR)), window="1h")
    began = found.status.intent.started_from
    assert (began.kind, began.location, began.replay) == ("Replay", None, REPLAY)
    assert began.text == "replay from 2026-01-30T12:00:00Z to 2026-01-31T11:00:00Z"
    assert "2026-01-30T11:00:00Z" in began.reason
    assert began.time == NOW


def test_a_start_that_is_carried_out_later_keeps_the_times_of_its_intent():
    intent = start_intent(replayed(), permitted=True, applied={"start_from": {}, "restart_token": ""})
    found = moves(idle(job({"applied": None, "intent": intent}, **asked("5m"))))
    [effect] = found.effects
    assert isinstance(effect, ApplyRun)
    assert (effect.restore_from, StartedFrom.model_validate_json(effect.started_from).replay) == ("", REPLAY)
    assert found.status.started_from.replay == REPLAY
    assert found.events == ("Starting", "Recovering")


# ---------------------------------------------------------------- refusals

REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], str, str]] = {
    "from has not come yet": (asked(NOW + SECOND), {}, "TimeInTheFuture", "spec.startFrom.replay.from: 2026-01-31T12"),
    "to has not come yet": (
        asked(to=format_time(NOW + SECOND)),
        {},
        "TimeInTheFuture",
        "spec.startFrom.replay.to: 2026-01-31T12:00:01Z has not come yet; write an earlier one, or leave it out",
    ),
    "to is from": (
        asked(NOW - DAY, to=format_time(NOW - DAY)),
        {},
        "NothingToReplay",
        "spec.startFrom.replay.to: 2026-01-30T12:00:00Z must be later than from, 2026-01-30T12:00:00Z; write a later",
    ),
    "to is before from": (asked("1h", to=format_time(NOW - DAY)), {}, "NothingToReplay", "spec.startFrom.replay.to"),
    "a day that no month has": (asked("2026-02-30T12:00:00Z"), {}, "InvalidSpec", "write for example 2026-01-31T12"),
    "a time that is none in UTC": (asked("9999-12-31T23:59:59-14:00"), {}, "InvalidSpec", "is no time"),
    "the source keeps too little": (
        asked(NOW - DAY),
        {"sources": [source("90h", "long"), source("23h59m59s")]},
        "SourceRetentionTooShort",
        "spec.sources[events].generic.retention: events keeps 23h59m59s, less than the replay would read; write a ",
    ),
    "the source keeps too little for the look-back": (
        asked("24h", lookback="1h"),
        {"sources": [source("24h")]},
        "SourceRetentionTooShort",
        "less than the replay and its look-back of 1h would read; write a spec.startFrom.replay.from of at most ",
    ),
}


@pytest.mark.parametrize(("wish", "spec", "reason", "words"), REFUSED.values(), ids=REFUSED)
def test_why_a_replay_is_refused(wish: dict[str, Any], spec: dict[str, Any], reason: str, words: str):
    found = fresh(wish, **spec)
    assert (found.intent, found.effects, found.stalled) == ("", (), reason)
    assert words in found.condition("Stalled").message
    assert found.status.applied is None


@pytest.mark.parametrize(("wish", "spec", "reason", "words"), REFUSED.values(), ids=REFUSED)
def test_a_running_job_is_not_stopped_for_one_that_is_refused(
    wish: dict[str, Any], spec: dict[str, Any], reason: str, words: str
):
    found = moves(observed(job(live(), **wish, **spec), listing=listing()))
    assert (found.intent, found.effects, found.stalled) == ("", (), reason)
    assert words in found.condition("Stalled").message
    assert "The job runs on" in found.condition("Stalled").message
    assert found.condition("Ready").status == "False"


@pytest.mark.parametrize(("lookback", "instead"), [("1h", "from of at most 23h ago"), ("24h", "a shorter look-back")])
def test_what_to_write_instead_reaches_far_enough(lookback: str, instead: str):
    wish = asked("24h", lookback=lookback)
    assert instead in fresh(wish, sources=[source("24h")]).condition("Stalled").message
    assert fresh(asked("23h", lookback="1h"), sources=[source("24h")]).intent == "Start"


def test_for_a_running_job_it_leaves_the_time_of_a_stop():
    found = running(asked(NOW - DAY), sources=[source("24h")])
    assert "from of at most 23h43m ago" in found.condition("Stalled").message
    assert running(asked(NOW - DAY + LONGEST_STOP), sources=[source("24h")]).intent == "Stop Savepoint"


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_does_not_change_as_time_goes_by(name: str):
    """A condition that changed at each look would be written at each look, and be looked at because it was written."""
    wish, spec, *_ = REFUSED[name]
    seen = observed(job(live(), **wish, **spec), listing=listing())
    later = replace(seen, now=NOW + timedelta(milliseconds=900))
    assert moves(later).condition("Stalled").message == moves(seen).condition("Stalled").message


@pytest.mark.parametrize("retention", ["24h", "25h"])
def test_a_source_that_keeps_enough(retention: str):
    assert chosen(fresh(asked("24h"), sources=[source(retention)])).on_gap == "Refuse"


def test_with_warn_it_begins_and_an_event_tells_it():
    found = fresh(asked("24h", onGap="Warn"), sources=[source("1h")])
    assert chosen(found).on_gap == "Warn"
    assert found.events == ("SourceRetentionTooShort",)
    assert fresh(asked("1h", onGap="Warn"), sources=[source("1h")]).events == ()


# ---------------------------------------------------------------- a running job


def running(wish: dict[str, Any], status: dict[str, Any] | None = None, **spec: Any) -> Moves:
    return moves(observed(job(status or live(), **wish, **spec), listing=listing(stored(retained(7), 7))))


def test_a_running_job_is_stopped_with_a_savepoint_first():
    found = running(asked("24h"))
    assert (found.intent, found.effects) == ("Stop Savepoint", ())
    assert found.status.intent.reason == "Restore"
    assert found.status.intent.next_start_from == asked("24h")["startFrom"]


def test_the_moment_of_the_decision_is_that_of_the_start_and_not_of_the_stop():
    over = ended("STOPPED", run={"next_start_from": asked("24h")["startFrom"], "ended_at": NOW - HOUR})
    found = moves(idle(job(over, **asked("24h")), listing=listing(stored(retained(7), 7))))
    assert chosen(found).output_from == NOW - DAY


@pytest.mark.parametrize(("left", "intent"), [(LONGEST_STOP, "Stop Savepoint"), (LONGEST_STOP - SECOND, "")])
def test_a_job_is_not_stopped_for_a_replay_that_the_stop_could_make_impossible(left: timedelta, intent: str):
    since = NOW - DAY + left
    assert running(asked(since), sources=[source("24h")]).intent == intent
    # By a duration the replay begins later when the job has stopped later: nothing is lost meanwhile.
    assert running(asked("24h"), sources=[source("24h")]).intent == "Stop Savepoint"


def test_a_to_that_the_stop_would_let_pass_is_refused_before_it():
    wish = asked("1h", to=format_time(NOW - HOUR + LONGEST_STOP))
    assert running(wish).stalled == "NothingToReplay"
    assert fresh(wish).intent == "Start"


def test_it_is_applied_once_and_again_with_another_token():
    applied = {"applied": {"start_from": asked("24h")["startFrom"], "restart_token": ""}}
    assert running(asked("24h"), live(replayed(), **applied)).intent == ""
    again = running(asked("24h") | {"restartToken": "2"}, live(replayed(), **applied))
    assert again.intent == "Stop Savepoint"
    assert running(asked("25h"), live(replayed(), **applied)).intent == "Stop Savepoint"


def test_a_finished_backfill_is_not_run_again_by_itself():
    applied = {"applied": {"start_from": asked("24h")["startFrom"], "restart_token": ""}}
    over = ended("FINISHED", started_from=replayed(), **applied)
    assert moves(idle(job(over, **asked("24h")))).intent == ""
    assert chosen(moves(idle(job(over, **asked("1h"))))).output_from == NOW - HOUR


def test_it_is_confirmed_when_flink_runs_it():
    status = live(replayed(), run={"confirmed": False}, latest_checkpoint=None)
    found = moves(observed(job(status), flink=flink(completed=None)))
    assert found.status.run.confirmed
    assert found.status.started_from == replayed(confirmed=True)
