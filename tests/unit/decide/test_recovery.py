"""Positions of a job that comes back: when a recovery begins, and what is looked at for it."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.api.recovery import Recovery
from penstock.decide.recovery import Following, following, wants_fault
from penstock.model import Observed, Unknown
from tests.unit.builders import (
    BEFORE,
    NAMESPACE,
    NOW,
    RUN,
    flink,
    idle,
    job,
    restored,
    retained,
    revision,
    run_objects,
    savepoint,
    start_intent,
    started_from,
    stop_intent,
)
from tests.unit.decide.moves import moves
from tests.unit.decide.recoveries import (
    BEGAN,
    FAILED_AT,
    FIRST,
    SOURCES,
    after,
    attempt,
    caught_up,
    coming,
    recovery,
)

# ---------------------------------------------------------------- when one begins


CAUSES = {
    "a restore": (savepoint(1), {"stop_reason": "Restore", "end_state": "STOPPED"}, "Restore"),
    "an upgrade": (savepoint(1), {"stop_reason": "Upgrade", "end_state": "STOPPED"}, "Upgrade"),
    "a restart": (savepoint(1), {"stop_reason": "Restart", "end_state": "STOPPED"}, "Restart"),
    "a roll-back": (savepoint(1), {"stop_reason": "RollBack", "end_state": "CANCELED"}, "RollBack"),
    "a stop and a start": (savepoint(1), {"stop_reason": "Stop", "end_state": "STOPPED"}, "Start"),
    "a lost run": (retained(7), {"stop_reason": "Recover", "end_state": "LOST"}, "RunLost"),
    "the pointers were lost": (retained(7), {"stop_reason": "Recover", "end_state": "CANCELED"}, "RunLost"),
    "the first start of all": (savepoint(1), None, "Start"),
    "nothing to start from": (None, {"stop_reason": "Stop", "end_state": "STOPPED"}, ""),
}


@pytest.mark.parametrize(("location", "last", "cause"), CAUSES.values(), ids=CAUSES)
def test_a_start_that_is_not_empty_is_one(location: str | None, last: dict[str, Any] | None, cause: str) -> None:
    intent = start_intent(started_from(location), permitted=True)
    run = {"id": "e" * 32, "ended_at": BEFORE, "swept": True} | last if last is not None else None
    stale = recovery("CaughtUp", run="e" * 32)
    conditions = ({"type": "CaughtUp", "status": "True", "lastTransitionTime": BEFORE, "reason": "CaughtUp"},)
    status = {"intent": intent, "applied": {}, "run": run, "recovery": stale, "conditions": conditions}
    found = moves(idle(job(status), revisions=(revision(),)))
    told = found.status.recovery
    if not cause:
        assert (told, caught_up(found)) == (None, ("", ""))
        return
    assert told is not None
    assert (told.run, told.cause, told.phase, told.started_at) == (found.status.run.id, cause, "Restarting", NOW)
    assert caught_up(found) == ("False", "Restarting")
    assert "Recovering" in found.events


def test_a_replay_is_one_of_its_own() -> None:
    replay = {"output_from": "2026-01-01T01:00:00Z", "source_start": "2026-01-01T00:00:00Z"}
    began = started_from(None, kind="Replay", replay=replay)
    found = moves(idle(job({"intent": start_intent(began, permitted=True), "applied": {}}), revisions=(revision(),)))
    told = found.status.recovery
    assert told is not None
    assert told.cause == "Replay"
    assert told.replay == "the sources are read from 2026-01-01T00:00:00Z on, 1h 0m before the output begins"


@pytest.mark.parametrize(
    ("window", "words"),
    [
        (None, "no replay is needed: spec.window declares no window"),
        ("1h", "no replay is needed: what is in its windows (1h) is restored"),
    ],
)
def test_whether_a_replay_is_needed_is_said(window: str | None, words: str) -> None:
    seen = coming(None, spec=SOURCES | ({"window": window} if window else {}), flink=attempt(restarted=BEGAN + 1))
    told = moves(seen).status.recovery
    assert told is not None
    assert told.replay == words


ATTEMPTS = {
    "the same": (attempt(), "", None),
    "its tasks were restarted": (attempt(restarted=BEGAN + 9), "NullPointerException: x", "TaskFailure"),
    "a TaskManager went": (
        attempt(restarted=BEGAN + 9),
        "RemoteTransportException: Connection unexpectedly closed by remote task manager '10.0.0.1:4'",
        "TaskManagerFailure",
    ),
    "it was deleted": (attempt(restarted=BEGAN + 9), "The TaskExecutor is shutting down.", "TaskManagerFailure"),
    "nobody says why": (attempt(restarted=BEGAN + 9), "", "TaskFailure"),
    "another JobManager": (attempt(BEGAN + 70_000), "", "JobManagerFailure"),
    "one that does not say when it began": (flink(), "", None),
    "no answer": (Unknown("time-out"), "", None),
    "not there yet": (None, "", None),
}


@pytest.mark.parametrize(("answer", "why", "cause"), ATTEMPTS.values(), ids=ATTEMPTS)
@pytest.mark.parametrize("before", [None, recovery("CatchingUp"), recovery("CaughtUp")], ids=["none", "open", "over"])
def test_an_attempt_that_is_another_one_is_one(
    before: Recovery | None, answer: Any, why: str, cause: str | None
) -> None:
    found = moves(coming(before, flink=answer, fault=why))
    told = found.status.recovery
    if cause is None:
        assert (told.cause if told else None) == (before.cause if before else None)
        return
    assert told is not None
    assert (told.cause, told.why, told.phase, told.started_at) == (cause, why, "Restarting", FAILED_AT)
    assert (told.backlog_at_start, told.percent, told.actual) == (None, None, None)
    assert found.status.run.attempt == f"{answer.began_millis}/{answer.restarted_millis}"
    assert caught_up(found) == ("False", "Restarting")


@pytest.mark.parametrize("phase", ["Restarting", "RestoringState"])
def test_one_more_try_before_all_tasks_ran_is_the_same_recovery(phase: str) -> None:
    found = moves(coming(recovery(phase, seconds_ago=1), flink=attempt(restarted=BEGAN + 9)))
    assert found.status.recovery == recovery(phase, seconds_ago=1)
    assert found.status.run.attempt == f"{BEGAN}/{BEGAN + 9}"
    assert found.events == ()


def test_the_first_attempt_that_is_seen_is_only_remembered() -> None:
    found = moves(coming(None, run={"attempt": ""}))
    assert (found.status.recovery, found.status.run.attempt, found.events) == (None, FIRST, ())


def test_a_run_that_is_coming_up_has_no_attempts_yet() -> None:
    found = moves(
        coming(recovery(seconds_ago=1), run={"attempt": "", "confirmed": False}, flink=attempt("X" and BEGAN))
    )
    assert found.status.recovery is not None
    assert found.status.recovery.cause == "Restore"


def test_a_job_manager_that_waits_for_its_back_off_is_one() -> None:
    objects = (run_objects(waits=True, crash="OutOfMemoryError"),)
    found = moves(coming(recovery("CaughtUp"), runs=objects, flink=None))
    told = found.status.recovery
    assert told is not None
    assert (told.cause, told.why, told.started_at) == ("JobManagerFailure", "OutOfMemoryError", NOW)
    again = moves(after(found, coming(None, runs=objects, flink=None), 30))
    assert again.status.recovery is not None
    assert (again.status.recovery.cause, again.events) == ("JobManagerFailure", ())
    back = moves(after(again, coming(None, runs=objects), 30, flink=attempt(BEGAN + 60_000, all_running=False)))
    assert back.status.recovery is not None
    assert (back.status.recovery.started_at, back.status.run.attempt) == (told.started_at, f"{BEGAN + 60_000}/0")


def test_a_job_that_is_being_stopped_is_not_looked_at() -> None:
    before = recovery("CatchingUp")
    seen = coming(before, status={"intent": stop_intent()}, flink=attempt(restarted=BEGAN + 9))
    assert (following(seen), wants_fault(seen)) == (None, True)
    assert moves(seen).status.recovery == before


def test_an_adopted_run_is_none() -> None:
    assert moves(idle(job(None), runs=(run_objects(),))).status.recovery is None


@pytest.mark.parametrize(
    ("answer", "run", "asked"),
    [
        (attempt(restarted=BEGAN + 9), {}, True),
        (attempt(), {}, False),
        (attempt(BEGAN + 9), {}, False),  # another JobManager does not know
        (attempt(restarted=BEGAN + 9), {"attempt": ""}, False),
        (attempt(restarted=BEGAN + 9), {"confirmed": False}, False),
        (Unknown("time-out"), {}, False),
    ],
)
def test_flink_is_asked_why_only_when_it_has_restarted_tasks(answer, run, asked):
    assert wants_fault(coming(None, run=run, flink=answer)) is asked


# ---------------------------------------------------------------- what is looked at


def wanted(seen: Observed) -> Following:
    found = following(seen)
    assert found is not None
    return found


def test_the_broker_is_asked_for_ends_and_once_for_where_it_began() -> None:
    found = wanted(coming(recovery("CatchingUp")))
    [ends], [starts] = found.ends, found.starts
    assert (ends.namespace, ends.connection, ends.topics, bool(ends.followed)) == (
        NAMESPACE,
        "kafka",
        ("flights",),
        True,
    )
    assert (starts.state, starts.times, bool(starts.start)) == (savepoint(1), (), True)
    assert (found.run, found.state, found.since, found.until) == (RUN, savepoint(1), None, None)


def test_what_flink_has_restored_counts() -> None:
    assert wanted(coming(recovery(), flink=attempt(restored=restored(retained(9))))).state == retained(9)


@pytest.mark.parametrize(
    ("cause", "answer", "known"),
    [
        ("Restore", None, True),
        ("TaskFailure", attempt(), True),
        ("TaskFailure", attempt(state="RESTARTING", all_running=False), False),
        ("TaskFailure", attempt(restarted=BEGAN + 9), False),  # of an attempt that is not written down yet
        ("JobManagerFailure", None, False),
        ("JobManagerFailure", Unknown("time-out"), False),
    ],
)
def test_where_a_failure_goes_on_is_asked_when_flink_can_tell(cause, answer, known):
    assert bool(wanted(coming(recovery(cause=cause), flink=answer)).starts) is known


def test_a_replay_begins_at_its_time_and_a_backfill_ends_at_another() -> None:
    times = {
        "output_from": "1970-01-01T00:00:02Z",
        "source_start": "1970-01-01T00:00:01Z",
        "to": "1970-01-01T00:01:00Z",
    }
    began = started_from(None, kind="Replay", replay=times)
    found = wanted(coming(recovery(cause="Replay"), status={"started_from": began}))
    assert (found.state, found.since, found.until, found.starts[0].times) == ("", 1000, 60_000, (1000, 60_000))
    later = attempt(restored=restored(retained(9)))
    found = wanted(coming(recovery(cause="TaskFailure"), status={"started_from": began}, flink=later))
    assert (found.state, found.since, found.until) == (retained(9), None, 60_000)


@pytest.mark.parametrize(("ago", "due"), [(5, True), (60, True), (4, False), (0, False), (-1, False)])
def test_looks_are_five_seconds_apart(ago, due):
    assert wanted(coming(recovery(seconds_ago=ago))).due is due


@pytest.mark.parametrize("found", [None, recovery("CaughtUp"), recovery(run="f" * 32)])
def test_nothing_is_looked_at_when_nothing_is_under_way(found: Recovery | None) -> None:
    assert following(coming(found)) is None
