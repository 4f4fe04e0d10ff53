"""Positions in which the clock asks for a savepoint."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from penstock import names
from penstock.api.checkpoint import Checkpoint
from penstock.api.reading import Unreadable
from penstock.api.validation import validate_stream_job
from penstock.model import CreateCheckpoint, JobListing, Manager, Unknown
from tests.unit.builders import (
    BEFORE,
    JOB,
    NOW,
    RUN,
    checkpoint,
    ended,
    flink,
    idle,
    job,
    live,
    observed,
    run_objects,
    savepoint,
    stop_intent,
)
from tests.unit.decide.moves import Moves, moves

HOURLY = "0 * * * * UTC"
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
NAME = names.scheduled_checkpoint(JOB, NOW)


def memory(**more: Any) -> dict[str, Any]:
    """The memory of an hourly schedule of which the next time is now, twelve o'clock."""
    return {"schedule": {"followed": HOURLY, "last_time": NOW - HOUR, "next_time": NOW} | more}


def at(
    now: datetime = NOW,
    status: dict[str, Any] | None = None,
    *,
    schedule: dict[str, Any] | None = None,
    **more: Any,
) -> Moves:
    of = job(
        live() | (memory() if status is None else status),
        checkpoints={"schedule": {"cron": "0 * * * *"} | (schedule or {})},
    )
    return moves(replace(observed(of, **more), now=now))


def scheduled(time: datetime, number: int = 1, phase: str | None = "Present", **more: Any) -> Checkpoint:
    more = {"created": time, "source": "Schedule"} | more
    return checkpoint(names.scheduled_checkpoint(JOB, time), number, phase, **more)


# ---------------------------------------------------------------- one time


def test_a_new_schedule_counts_from_now_on():
    found = at(NOW + 20 * MINUTE, {})
    assert found.status.schedule.next_time == NOW + HOUR
    assert (found.status.schedule.last_time, found.status.schedule.missed) == (None, 0)
    assert (found.effects, found.events) == ((), ())


def test_the_operator_wakes_at_the_very_time():
    assert at(NOW - timedelta(seconds=3.25)).wake == 3.25
    assert at(NOW - HOUR / 2).wake == 10


def test_the_time_is_decided_upon_before_anything_is_made():
    found = at(NOW + SECOND)
    assert (found.effects, found.events, found.wake) == ((), (), 0)
    told = found.status.schedule
    assert (told.last_time, told.next_time, told.creating, told.missed) == (NOW, NOW + HOUR, NAME, 0)


def test_what_an_earlier_pass_decided_is_made():
    found = at(NOW + SECOND, memory(last_time=NOW, next_time=NOW + HOUR, creating=NAME))
    assert found.effects == (CreateCheckpoint(NAME, "Schedule", RUN, "scheduled for 2026-01-31T12:00:00Z"),)
    assert (found.status.schedule.creating, found.wake) == (NAME, 5)


def test_when_it_is_seen_the_memory_says_so():
    told = memory(last_time=NOW, next_time=NOW + HOUR, creating=NAME)
    found = at(NOW + 2 * SECOND, told, checkpoints=(scheduled(NOW, phase=None),), listing=JobListing())
    assert (found.status.schedule.creating, found.status.schedule.last_checkpoint) == (None, NAME)
    assert (found.effects, found.events) == ((), ("Scheduled",))
    assert found.checkpoints[NAME].phase == "Pending"


@pytest.mark.parametrize("running", [True, False])
def test_one_that_a_user_deleted_meanwhile_is_not_made_again(running):
    told = memory(last_time=NOW, next_time=NOW + HOUR, creating=NAME)
    gone = scheduled(NOW, phase=None, deleted=NOW)
    found = at(NOW + SECOND, told, checkpoints=(gone,), flink=flink() if running else Unknown("x"))
    assert found.status.schedule.creating is None
    assert "CreateCheckpoint" not in found.kinds
    later = at(NOW + MINUTE, {"schedule": found.status.schedule})
    assert (later.effects, later.status.schedule.creating) == ((), None)


def test_one_that_cannot_be_read_is_there():
    told = memory(last_time=NOW, next_time=NOW + HOUR, creating=NAME)
    broken = Unreadable("flights", NAME, "spec.pinned: no", told=True)
    assert at(NOW + SECOND, told, unreadable=(broken,)).effects == ()


def test_the_name_says_the_time_in_utc():
    found = at(
        NOW,
        {"schedule": memory()["schedule"] | {"followed": "0 13 * * * Europe/Berlin"}},
        schedule={"cron": "0 13 * * *", "timeZone": "Europe/Berlin"},
    )
    assert found.status.schedule.creating == "flights-schedule-202601311200"
    assert found.status.schedule.next_time == NOW + 24 * HOUR


# ---------------------------------------------------------------- the new Checkpoint


def fresh(name_of: datetime = NOW, **more: Any) -> Any:
    told = memory(last_time=NOW, next_time=NOW + HOUR, last_checkpoint=NAME)
    found = at(NOW + SECOND, told, checkpoints=(scheduled(name_of, phase=None),), **({"listing": JobListing()} | more))
    return found.checkpoints[names.scheduled_checkpoint(JOB, name_of)].phase


def test_the_newest_one_is_taken():
    assert fresh() == "Pending"


def test_an_older_one_without_a_status_is_never_taken_again():
    assert fresh(NOW - HOUR) == "Failed"


def test_it_waits_until_the_store_says_that_it_was_not_taken():
    assert fresh(listing=Unknown("time-out")) is None


# ---------------------------------------------------------------- not now


NOT_RUNNING: dict[str, dict[str, Any]] = {
    "not all tasks": {"flink": flink(all_running=False)},
    "Flink does not answer": {"flink": Unknown("time-out")},
    "no JobManager": {"flink": None, "runs": (run_objects(manager=Manager.FAILED),), "job_result": Unknown("x")},
}


@pytest.mark.parametrize("more", NOT_RUNNING.values(), ids=NOT_RUNNING)
@pytest.mark.parametrize("missed", ["Skip", "RunOnce"])
def test_while_the_job_does_not_run_nothing_is_decided(missed, more):
    for now in (NOW + SECOND, NOW + 9 * HOUR):
        found = at(now, schedule={"missed": missed}, **more)
        assert found.status.schedule.next_time == NOW
        assert "CreateCheckpoint" not in found.kinds
        assert not {"ScheduleMissed", "Scheduled"} & set(found.events)


def test_during_a_stop_nothing_is_decided():
    told = memory() | {"intent": stop_intent()}
    assert at(NOW + SECOND, told).status.schedule.next_time == NOW
    told = memory(creating=NAME) | {"intent": stop_intent()}
    assert CreateCheckpoint not in {type(each) for each in at(NOW + SECOND, told, flink=flink("FINISHED")).effects}


def test_of_a_job_that_has_ended_nothing_is_decided_nor_written():
    of = job(ended("STOPPED") | memory(), checkpoints={"schedule": {"cron": "0 * * * *"}}, state="Stopped")
    first = moves(replace(idle(of), now=NOW + HOUR))
    assert first.status.schedule == of.status.schedule
    assert first.wake is None


def test_a_run_that_is_not_confirmed_does_not_run():
    told = (
        live(run={"confirmed": False})
        | memory()
        | {"started_from": {"kind": "Checkpoint", "location": savepoint(1), "time": BEFORE}}
    )
    assert at(NOW + SECOND, told, flink=flink(completed=None)).status.schedule.next_time == NOW


UNDER_WAY = [
    scheduled(NOW - HOUR, phase="Pending"),
    scheduled(NOW - HOUR, phase="Creating"),
    scheduled(NOW - HOUR, phase="Timeout", status={"settled": False}),
    scheduled(NOW - HOUR, phase="Creating", deleted=NOW),
]


@pytest.mark.parametrize("missed", ["Skip", "RunOnce"])
@pytest.mark.parametrize("earlier", UNDER_WAY, ids=lambda each: f"{each.status.phase} {each.metadata.terminating}")
def test_two_are_not_taken_at_once(earlier, missed):
    found = at(NOW + SECOND, schedule={"missed": missed}, checkpoints=(earlier,))
    assert [each for each in found.events if each.startswith("Schedule")] == ["ScheduleSkipped"]
    told = found.status.schedule
    assert (told.last_time, told.next_time, told.creating, told.missed) == (NOW, NOW + HOUR, None, 1)


@pytest.mark.parametrize(
    "earlier",
    [
        scheduled(NOW - HOUR),
        scheduled(NOW - HOUR, phase="Failed"),
        scheduled(NOW - HOUR, phase="Timeout"),
        scheduled(NOW - HOUR, phase="Pending", deleted=NOW),
        checkpoint("manual", 1, "Creating"),
    ],
    ids=lambda each: f"{each.spec.source} {each.status.phase}",
)
def test_one_that_is_settled_or_manual_does_not_hold_it_up(earlier):
    assert at(NOW + SECOND, checkpoints=(earlier,)).status.schedule.creating == NAME


# ---------------------------------------------------------------- missed


LATE = NOW + 3 * HOUR + 30 * MINUTE


def test_missed_times_are_skipped_counted_and_said_once():
    found = at(LATE)
    told = found.status.schedule
    assert (told.last_time, told.next_time, told.creating, told.missed) == (NOW + 3 * HOUR, NOW + 4 * HOUR, None, 4)
    assert found.events == ("ScheduleMissed",)
    again = at(LATE, {"schedule": told})
    assert (again.events, again.status.schedule) == ((), told)


def test_or_one_is_taken_for_all_of_them():
    found = at(LATE, schedule={"missed": "RunOnce"})
    told = found.status.schedule
    assert told.creating == names.scheduled_checkpoint(JOB, NOW + 3 * HOUR)
    assert (told.next_time, told.missed, found.events) == (NOW + 4 * HOUR, 3, ("ScheduleMissed",))
    made = at(LATE + SECOND, {"schedule": told}, schedule={"missed": "RunOnce"})
    assert [effect.name for effect in made.effects] == [told.creating]


def test_a_single_missed_one_that_is_taken_is_no_missed_one():
    found = at(NOW + 30 * MINUTE, schedule={"missed": "RunOnce"})
    assert (found.status.schedule.creating, found.status.schedule.missed, found.events) == (NAME, 0, ())


@pytest.mark.parametrize(("late", "taken"), [(5 * MINUTE, True), (5 * MINUTE + SECOND, False)])
def test_a_few_minutes_are_still_on_time(late, taken):
    assert (at(NOW + late).status.schedule.creating is not None) is taken


def test_the_last_of_several_is_taken_when_it_is_on_time():
    found = at(NOW + 2 * HOUR + MINUTE)
    told = found.status.schedule
    assert (told.creating, told.missed) == (names.scheduled_checkpoint(JOB, NOW + 2 * HOUR), 2)
    assert found.events == ("ScheduleMissed",)


def test_what_could_not_be_made_in_time_is_missed():
    told = memory(last_time=NOW, next_time=NOW + HOUR, creating=NAME)
    found = at(NOW + 6 * MINUTE, told)
    assert (found.effects, found.events) == ((), ("ScheduleMissed",))
    assert (found.status.schedule.creating, found.status.schedule.missed) == (None, 1)
    assert at(NOW + 6 * MINUTE, told, schedule={"missed": "RunOnce"}).kinds == ["CreateCheckpoint"]


def test_a_year_of_minutes_is_not_counted_one_by_one():
    year = {"schedule": {"followed": "* * * * * UTC", "next_time": NOW - timedelta(days=365)}}
    found = at(NOW + SECOND, year, schedule={"cron": "* * * * *"})
    told = found.status.schedule
    assert (told.last_time, told.creating, told.next_time) == (NOW, NAME, NOW + MINUTE)
    assert 1000 <= told.missed < 1010


@pytest.mark.parametrize(("missed", "counted", "taken"), [("Skip", 1000, False), ("RunOnce", 999, True)])
def test_nor_is_a_year_of_hours_decided_upon_in_parts(missed, counted, taken):
    year = memory(last_time=None, next_time=NOW - timedelta(days=365))
    found = at(NOW + 30 * MINUTE, year, schedule={"missed": missed})
    told = found.status.schedule
    assert (told.next_time, told.missed, told.creating is not None) == (NOW + HOUR, counted, taken)
    assert found.events == ("ScheduleMissed",)


# ---------------------------------------------------------------- the schedule is changed


def test_a_changed_schedule_has_missed_nothing():
    found = at(NOW + 20 * MINUTE, memory(missed=2), schedule={"cron": "*/15 * * * *"})
    told = found.status.schedule
    assert (told.next_time, told.missed, told.creating) == (NOW + 30 * MINUTE, 2, None)


def test_spaces_change_nothing():
    assert at(NOW - MINUTE, schedule={"cron": "0  *  * * *"}).status.schedule.next_time == NOW


@pytest.mark.parametrize("change", [{"suspend": True}, None])
def test_a_suspended_or_removed_one_is_not_followed_and_misses_nothing(change):
    checkpoints = {"checkpoints": {"schedule": {"cron": "0 * * * *"} | change}} if change else {}
    paused = moves(replace(observed(job(live() | memory(), **checkpoints)), now=NOW + 2 * HOUR))
    told = paused.status.schedule
    assert (told.followed, told.next_time, told.last_time, told.missed) == ("", None, NOW - HOUR, 0)
    again = at(NOW + 3 * HOUR + SECOND, {"schedule": told}).status.schedule
    assert (again.next_time, again.missed, again.creating) == (NOW + 4 * HOUR, 0, None)


def test_without_a_schedule_nothing_is_remembered():
    assert moves(observed(job(live()))).status.schedule is None


def test_a_change_right_after_a_time_does_not_double_it():
    told = memory(last_time=NOW, next_time=NOW + HOUR, last_checkpoint=NAME)
    back = at(NOW - 2 * MINUTE, told, schedule={"cron": "*/30 * * * *"})
    assert back.status.schedule.next_time == NOW + 30 * MINUTE


# ---------------------------------------------------------------- clocks


def test_a_clock_that_goes_back_doubles_nothing():
    told = memory(last_time=NOW, next_time=NOW + HOUR, last_checkpoint=NAME)
    for back in (SECOND, HOUR, 30 * 24 * HOUR):
        found = at(NOW - back, told)
        assert (found.effects, found.events, found.status.schedule.creating) == ((), (), None)


def test_the_way_out_of_a_clock_that_was_far_ahead_is_to_change_the_schedule():
    told = memory(last_time=NOW + 1000 * HOUR, next_time=NOW + 1001 * HOUR)
    assert at(NOW, told).status.schedule.next_time == NOW + 1001 * HOUR
    changed = at(NOW + SECOND, told, schedule={"cron": "30 * * * *"})
    assert changed.status.schedule.next_time == NOW + 30 * MINUTE


# ---------------------------------------------------------------- a lost status


def test_the_last_time_is_found_again_in_the_newest_checkpoint():
    known = (scheduled(NOW - 2 * HOUR, 1), scheduled(NOW - HOUR, 2), checkpoint("manual", 3, "Present"))
    of = job(live(), checkpoints={"schedule": {"cron": "0 * * * *"}})
    old = of.model_copy(update={"metadata": of.metadata.model_copy(update={"creation_timestamp": NOW - 9 * HOUR})})
    told = moves(replace(observed(old, checkpoints=known), now=NOW - SECOND)).status.schedule
    assert (told.last_time, told.next_time, told.missed) == (NOW - HOUR, NOW, 0)
    assert told.last_checkpoint == names.scheduled_checkpoint(JOB, NOW - HOUR)
    late = moves(replace(observed(old, checkpoints=known), now=NOW + SECOND)).status.schedule
    assert (late.last_time, late.creating) == (NOW, NAME)


def test_what_an_earlier_job_of_the_name_made_is_not_remembered():
    found = at(NOW + SECOND, {}, checkpoints=(scheduled(BEFORE - HOUR),))
    assert (found.status.schedule.last_time, found.status.schedule.next_time) == (None, NOW + HOUR)


def test_a_name_that_is_no_time_and_one_from_a_wrong_clock_are_passed_over():
    odd = (checkpoint("flights-schedule-20260131", 1, "Present", source="Schedule"), scheduled(NOW + 90 * HOUR, 2))
    assert at(NOW + SECOND, {}, checkpoints=odd).status.schedule.last_time is None


# ---------------------------------------------------------------- a bad schedule


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "cron": ({"cron": "99 3 * * *"}, "spec.checkpoints.schedule.cron: the minute of 99 3 * * * cannot be read"),
    "zone": ({"timeZone": "Mars/Olympus"}, "spec.checkpoints.schedule.timeZone: Mars/Olympus is not a time zone"),
}


@pytest.mark.parametrize(("change", "message"), BAD.values(), ids=BAD)
def test_a_bad_schedule_is_said_and_harms_nothing_that_runs(change, message):
    found = at(NOW + SECOND, schedule=change)
    assert found.stalled == "InvalidSpec"
    assert found.condition("Stalled").message.startswith(message)
    assert (found.intent, found.effects, found.status.schedule.next_time) == ("", (), None)
    assert found.status.state == "Running"
    assert at(NOW + SECOND, {}, schedule=change).status.schedule is None


def test_a_bad_schedule_does_not_keep_a_job_from_starting():
    of = job(checkpoints={"schedule": {"cron": "99 3 * * *"}})
    found = moves(idle(of, problems=tuple(validate_stream_job(of))))
    assert (found.intent, found.stalled) == ("Start", "InvalidSpec")


def test_a_job_that_goes_or_is_not_ours_yet_follows_no_schedule():
    schedule = {"checkpoints": {"schedule": {"cron": "0 * * * *"}}}
    for of in (job(live() | memory(), deleted=NOW, **schedule), job(live() | memory(), finalizers=(), **schedule)):
        assert moves(replace(observed(of), now=NOW + SECOND)).status.schedule == of.status.schedule
    going = replace(
        observed(job(live() | memory(creating=NAME), **schedule), namespace_terminating=True), now=NOW + SECOND
    )
    assert "CreateCheckpoint" not in moves(going).kinds
