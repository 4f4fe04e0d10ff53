"""Positions of a job that runs: following it, repairing it, and what a new spec asks of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from penstock.api.reading import Problem
from penstock.api.streamjob_status import LastError
from penstock.decide.change import spec_hash
from penstock.flink.answers import FlinkJob
from penstock.model import ApplyRun, DeleteManager, DeletePods, Manager, RecordRevision, StoreView, Unknown
from tests.unit.builders import (
    BEFORE,
    NOW,
    OLD_RUN,
    RUN,
    checkpoint,
    flink,
    job,
    listing,
    live,
    observed,
    restored,
    retained,
    revision,
    run_objects,
    savepoint,
    started_from,
    stats,
    stop_intent,
    stored,
)
from tests.unit.decide.moves import Moves, moves

SILENT = [Unknown("time-out"), None]
"""Flink does not answer; a JobManager that was just made again does not know the job."""


def running(status: dict[str, Any] | None = None, spec: dict[str, Any] | None = None, **more: Any) -> Moves:
    return moves(observed(job(live() if status is None else status, **(spec or {})), **more))


def test_a_job_that_runs_well_is_ready_and_left_alone():
    found = running()
    assert (found.effects, found.intent, found.events) == ((), "", ())
    assert found.status.state == "Running"
    assert found.condition("Ready").status == "True"
    assert found.condition("Stalled").status == "False"
    assert found.condition("Reconciling").status == "False"
    assert found.wake == 10


def test_a_job_whose_tasks_do_not_all_run_yet_is_looked_at_again_soon():
    """It is confirmed by then: at the pace of a job at rest it would become Ready ten seconds late."""
    found = running(flink=flink(all_running=False))
    assert found.condition("Ready").status == "False"
    assert found.wake == 2


def test_the_second_look_writes_nothing():
    first = running()
    again = job(live()).model_copy(update={"status": first.status})
    assert moves(observed(again)).status == first.status


def test_what_flink_says_is_written_down():
    found = running(flink=flink(completed=stats(9)))
    assert found.status.latest_checkpoint.checkpoint_id == 9
    assert found.status.latest_checkpoint.location == retained(9)
    assert found.status.run.flink_state == "RUNNING"


# ---------------------------------------------------------------- confirming

CONFIRMING = {
    "empty": (started_from(), flink(completed=None), True, ""),
    "as asked": (started_from(savepoint(1)), flink(restored=restored(savepoint(1))), True, ""),
    "as asked, with a slash": (started_from(savepoint(1)), flink(restored=restored(savepoint(1) + "/")), True, ""),
    "after a failover, one of its own": (started_from(savepoint(1)), flink(restored=restored(retained(3))), True, ""),
    "it does not say yet": (started_from(savepoint(1)), flink(completed=None), False, ""),
    "another one": (started_from(savepoint(1)), flink(restored=restored(savepoint(2))), False, "RestoredFromElsewhere"),
    "one of another run": (
        started_from(savepoint(1)),
        flink(restored=restored(retained(3, OLD_RUN))),
        False,
        "RestoredFromElsewhere",
    ),
    "nothing at all": (started_from(savepoint(1)), flink(), False, "RestoredFromElsewhere"),
    "empty, and another job's savepoint": (
        started_from(),
        flink(restored=restored(savepoint(2)), completed=None),
        False,
        "RestoredFromElsewhere",
    ),
    "empty, after a failover": (started_from(), flink(restored=restored(retained(3))), True, ""),
    "after a failover, one of its own that lies elsewhere": (
        started_from(savepoint(1)),
        flink(restored=restored(f"s3://other/bucket/{RUN}/chk-3")),
        True,
        "",
    ),
}


@pytest.mark.parametrize(("began", "answer", "confirmed", "stalled"), CONFIRMING.values(), ids=CONFIRMING)
def test_a_run_is_confirmed_when_flink_restored_what_was_asked_for(began, answer, confirmed, stalled):
    found = running(live(began, run={"confirmed": False}, start_attempts=3), flink=answer)
    assert found.status.run.confirmed is confirmed
    assert found.status.started_from.confirmed is confirmed
    assert found.stalled == stalled
    assert found.effects == ()
    assert found.status.start_attempts == (0 if confirmed else 3)
    assert ("Running" in found.events) is confirmed


def test_without_the_kind_checkpoint_a_job_runs_on_and_says_so():
    found = running(None, {"parallelism": 2}, kinds_going=frozenset({"Checkpoint"}))
    assert (found.effects, found.intent) == ((), "")
    assert "CustomResourceDefinition of Checkpoint" in found.condition("Reconciling").message


# ---------------------------------------------------------------- Unknown is not Failed


@pytest.mark.parametrize("silent", SILENT)
def test_a_silent_flink_changes_nothing(silent):
    found = running(flink=silent)
    assert (found.effects, found.intent) == ((), "")
    assert found.status.run.ended_at is None
    assert found.status.latest_checkpoint.checkpoint_id == 7


def test_a_job_that_does_not_answer_for_a_moment_stays_ready():
    newest = {"checkpoint_id": 7, "location": retained(7), "completion_time": NOW - timedelta(minutes=2)}
    found = running(live(latest_checkpoint=newest), flink=Unknown("time-out"))
    assert found.condition("Ready").status == "True"


def test_a_job_that_has_not_answered_for_long_is_not_ready_but_left_alone():
    found = running(flink=Unknown("time-out"))
    assert found.condition("Ready").status == "False"
    assert (found.effects, found.intent) == ((), "")


@pytest.mark.parametrize(
    "spec", [{"state": "Stopped"}, {"parallelism": 2}, {"restartToken": "x"}], ids=["stop", "upgrade", "restart"]
)
@pytest.mark.parametrize("silent", SILENT)
def test_a_savepoint_is_not_asked_of_a_silent_flink(spec, silent):
    found = running(None, spec, flink=silent)
    assert (found.effects, found.intent, found.stalled) == ((), "", "NotRunning")


def test_how_a_run_ended_is_not_guessed():
    found = running(runs=(run_objects(manager=Manager.FAILED),), flink=None, job_result=Unknown("time-out"))
    assert (found.effects, found.intent) == ((), "")
    assert found.wake is not None


# ---------------------------------------------------------------- repairing

DRIFT = {
    "the Job": run_objects(manager=Manager.ABSENT, missing=("Job/flights",), started_from="", spec_hash=""),
    "a ConfigMap": run_objects(missing=("ConfigMap/flights",)),
    "the number of TaskManagers": run_objects(drifted=True),
    "a pod that waits for its Secret": run_objects(creating=True),
}


@pytest.mark.parametrize("objects", DRIFT.values(), ids=DRIFT)
def test_what_is_missing_is_made_again_but_never_the_permit(objects):
    found = running(live(started_from(savepoint(1))), runs=(objects,), flink=Unknown("gone"))
    assert found.kinds == ["ApplyRun"]
    (apply,) = found.effects
    assert isinstance(apply, ApplyRun)
    assert (apply.run, apply.version, apply.restore_from) == (RUN, 1, savepoint(1))
    assert savepoint(1) in apply.started_from
    assert found.intent == ""


def test_when_all_objects_are_gone_they_are_made_again():
    found = running(runs=(), flink=None)
    assert found.kinds == ["ApplyRun"]
    assert found.events == ("Repaired",)


def test_nothing_is_made_again_without_the_recorded_version():
    assert running(runs=(run_objects(missing=("Job/x",)),), revisions=()).kinds == ["RecordRevision"]


@pytest.mark.parametrize(
    ("minutes", "objects", "goes"),
    [
        (11, {"waits": True}, True),
        (9, {"waits": True}, False),  # a crash loop: Kubernetes' back-off stands
        (11, {"waits": False}, False),
    ],
)
def test_what_has_worked_for_long_is_started_again_without_the_back_off(minutes, objects, goes):
    made_at = BEFORE - timedelta(minutes=minutes)
    objects = run_objects(manager_made_at=made_at, crash="OutOfMemoryError", **objects)
    latest = {"checkpoint_id": 7, "location": retained(7), "completion_time": BEFORE}
    found = running(live(latest_checkpoint=latest), runs=(objects,), flink=None)
    assert found.effects == ((DeleteManager(RUN),) if goes else ())
    assert ("JobManagerFailed" in found.events) == goes
    assert found.status.run.ended_at is None


def test_pods_that_nobody_needs_go():
    found = running(runs=(run_objects(stale_pods=("a", "b")),))
    assert found.effects == (DeletePods(("a", "b")),)


def test_without_its_checkpoint_pointers_a_job_is_started_anew():
    found = running(runs=(run_objects(ha_config_maps=()),))
    assert (found.intent, found.effects) == ("Stop Cancel", ())
    assert found.status.intent.reason == "Recover"


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (live(latest_checkpoint=None), flink(completed=None)),
        (live(run={"confirmed": False}), flink("INITIALIZING")),
        (live(), Unknown("x")),
    ],
    ids=["no checkpoint yet", "not running yet", "silent"],
)
def test_pointers_that_are_not_there_yet_are_no_loss(status, answer):
    assert running(status, runs=(run_objects(ha_config_maps=()),), flink=answer).intent == ""


# ---------------------------------------------------------------- what the spec asks for

BIG = {"taskManager": {"resources": {"limits": {"memory": "3Gi"}}}}
ASKS: dict[str, tuple[dict[str, Any], str, str, Any]] = {
    "stop": ({"state": "Stopped"}, "Stop Savepoint", "Stop", None),
    "stop, cancelling": (
        {"state": "Stopped", "checkpoints": {"onStop": "LatestCheckpoint"}},
        "Stop Cancel",
        "Stop",
        None,
    ),
    "upgrade": ({"parallelism": 2}, "Stop Savepoint", "Upgrade", None),
    "upgrade, latest": (
        {"parallelism": 2, "checkpoints": {"onUpgrade": "LatestCheckpoint"}},
        "Stop Cancel",
        "Upgrade",
        None,
    ),
    "upgrade, stateless": (
        {"parallelism": 2, "checkpoints": {"onUpgrade": "Stateless"}},
        "Stop Cancel",
        "Upgrade",
        {"empty": {}},
    ),
    "only pods change": (BIG, "Stop Cancel", "Restart", None),
    "restartToken": ({"restartToken": "2"}, "Stop Savepoint", "Restart", {"latest": {}}),
    "restore": (
        {"startFrom": {"checkpoint": {"name": "before"}}},
        "Stop Savepoint",
        "Restore",
        {"checkpoint": {"name": "before"}},
    ),
    "empty": ({"startFrom": {"empty": {}}}, "Stop Savepoint", "Restore", {"empty": {}}),
    "stop comes before upgrade": ({"state": "Stopped", "parallelism": 2}, "Stop Savepoint", "Stop", None),
}


@pytest.mark.parametrize(("spec", "intent", "reason", "then"), ASKS.values(), ids=ASKS)
def test_what_a_new_spec_asks_of_a_running_job(spec, intent, reason, then):
    there = {"checkpoints": (checkpoint(phase="Present"),), "listing": listing(stored(savepoint(1), 1))}
    found = running(None, spec, **there)
    assert (found.intent, found.effects) == (intent, ())
    assert found.status.intent.reason == reason
    assert found.status.intent.next_start_from == then
    assert (found.status.intent.checkpoint is None) == (intent == "Stop Cancel")
    assert found.wake == 0


def test_only_pods_change_but_there_is_no_checkpoint_yet():
    assert running(live(latest_checkpoint=None), BIG, flink=flink(completed=None)).intent == "Stop Savepoint"


REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "the Checkpoint does not exist": ({"startFrom": {"checkpoint": {"name": "x"}}}, {}, "CheckpointNotFound"),
    "it is cleared": (
        {"startFrom": {"checkpoint": {"name": "before"}}},
        {"checkpoints": (checkpoint(phase="Cleared"),)},
        "CheckpointNotPresent",
    ),
    "its data are gone": (
        {"startFrom": {"checkpoint": {"name": "before"}}},
        {"checkpoints": (checkpoint(phase="Present"),)},
        "CheckpointDataMissing",
    ),
    "the new spec is wrong": ({"parallelism": 2}, {"problems": (Problem("spec.x", "is wrong"),)}, "InvalidSpec"),
    "the store cannot be used": ({"parallelism": 2}, {"store": StoreView(problem="not Ready")}, "StoreNotUsable"),
    "not every task runs": ({"parallelism": 2}, {"flink": flink(all_running=False)}, "NotRunning"),
    "not every task runs at a stop": ({"state": "Stopped"}, {"flink": flink("RESTARTING")}, "NotRunning"),
}


@pytest.mark.parametrize(("spec", "more", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_while_the_job_goes_on(spec, more, reason):
    found = running(None, spec, **({"listing": listing()} | more))
    assert (found.intent, found.effects, found.stalled) == ("", (), reason)
    assert found.status.state == "Running"
    assert found.wake is not None


def test_a_restore_waits_for_a_store_that_does_not_answer():
    found = running(None, {"startFrom": {"checkpoint": {"name": "before"}}}, listing=Unknown("time-out"))
    assert (found.intent, found.effects) == ("", ())


def test_a_stop_that_was_refused_pauses_and_says_so():
    again = NOW + timedelta(seconds=20)
    found = running(live(next_stop_attempt_at=again, stop_attempts=2), {"state": "Stopped"})
    assert (found.intent, found.stalled) == ("", "SavepointFailed")
    assert found.wake is not None
    later = running(live(next_stop_attempt_at=NOW, stop_attempts=2), {"state": "Stopped"})
    assert later.intent == "Stop Savepoint"
    assert later.status.intent.attempt == 3


@pytest.mark.parametrize(("refused", "completed"), [(None, 7), (6, 7), (0, 1)])
def test_a_stop_is_tried_again_when_the_job_has_completed_a_checkpoint(refused, completed):
    status = live(next_stop_attempt_at=NOW, stop_refused_at=refused)
    found = running(status, {"state": "Stopped"}, flink=flink(completed=stats(completed)))
    assert found.intent == "Stop Savepoint"


@pytest.mark.parametrize(("refused", "completed"), [(7, 7), (8, 7), (0, None)])
def test_a_job_that_completes_no_checkpoint_is_not_restarted_by_one_attempt_after_the_other(refused, completed):
    status = live(next_stop_attempt_at=NOW, stop_refused_at=refused, latest_checkpoint=None)
    newest = stats(completed) if completed is not None else None
    found = running(status, {"state": "Stopped"}, flink=flink(completed=newest))
    assert (found.intent, found.stalled) == ("", "SavepointFailed")
    assert "when the job has completed a checkpoint again" in found.condition("Stalled").message
    assert found.wake is not None


def test_each_attempt_has_a_checkpoint_of_its_own():
    names = {running(live(stop_attempts=each), {"state": "Stopped"}).status.intent.checkpoint for each in range(5)}
    assert len(names) == 5


NEVER_RAN = {
    "its permit is unused": ({"runs": (run_objects(permit=True),), "flink": Unknown("not up")}),
    "flink knows no job yet": ({"flink": None}),
    "no task ever ran": ({"flink": flink("RESTARTING", completed=None)}),
}


@pytest.mark.parametrize("more", NEVER_RAN.values(), ids=NEVER_RAN)
def test_a_run_that_never_ran_is_not_saved(more):
    status = live(run={"confirmed": False}, latest_checkpoint=None)
    assert running(status, {"state": "Stopped"}, **more).intent == "Stop Kill"


def test_back_to_latest_is_recorded_and_nothing_else():
    was = {"start_from": {"checkpoint": {"name": "before"}}, "restart_token": ""}
    found = running(live(applied=was))
    assert (found.intent, found.effects) == ("", ())
    assert found.status.applied.start_from == {"latest": {}}


def test_naming_the_same_checkpoint_again_is_no_new_wish():
    was = {"start_from": {"checkpoint": {"name": "before"}}, "restart_token": ""}
    assert running(live(applied=was), {"startFrom": {"checkpoint": {"name": "before"}}}).intent == ""


def test_an_upgrade_compares_with_what_runs_not_with_what_was_recorded_last():
    three = job(parallelism=3)
    status = live(applied_spec_hash=spec_hash(three.spec), run={"job_version": 2}, job_version=2)
    found = running(status, BIG | {"parallelism": 3}, revisions=(revision(1), revision(2, three)))
    assert found.intent == "Stop Cancel"
    assert found.status.intent.reason == "Restart"


def test_what_flink_says_of_a_run_that_comes_up_is_told_only_when_that_takes_long():
    fresh = live(state="Starting", run={"confirmed": False, "started_at": NOW}, latest_checkpoint=None)
    first = running(fresh, flink=FlinkJob("CREATED"))
    again = job(fresh).model_copy(update={"status": first.status})
    assert moves(observed(again, flink=FlinkJob("INITIALIZING"))).status == first.status
    slow = fresh | {"run": {"id": RUN, "job_version": 1, "started_at": NOW - timedelta(seconds=31)}}
    late = running(slow, flink=FlinkJob("INITIALIZING"))
    assert late.status.run.flink_state == "INITIALIZING"
    assert late.condition("Reconciling").message == "Flink says INITIALIZING"


def test_troubles_of_pods_are_said():
    trouble = "pod x: ImagePullBackOff"
    found = running(live(run={"confirmed": False}), runs=(run_objects(troubles=(trouble,)),), flink=Unknown("x"))
    assert found.status.state == "Starting"
    assert trouble in found.condition("Reconciling").message


def test_a_job_manager_that_answers_without_a_task_is_not_ready():
    assert running(flink=FlinkJob("INITIALIZING")).condition("Ready").status == "False"


# ---------------------------------------------------------------- the record of the version


@pytest.mark.parametrize("intent", [None, stop_intent()], ids=["it runs", "it is being stopped"])
def test_the_record_of_the_running_version_comes_back(intent):
    """Seen: without it a Deployment that was deleted was not made again, without a word, and a stop waited for ever."""
    found = moves(observed(job(live(intent=intent)), revisions=()))
    assert RecordRevision(1, spec_hash(job().spec), job().spec) in found.effects
    assert "Repaired" in found.events


def test_it_cannot_come_back_when_the_spec_has_changed_since():
    found = moves(observed(job(live(), parallelism=7), revisions=()))
    assert "RecordRevision" not in found.kinds
    assert "ControllerRevision flights-v1" in found.condition("Stalled").message


# ---------------------------------------------------------------- the last error


@pytest.mark.parametrize(("reason", "stays"), [("Forbidden", False), ("Unknown", False), ("RunLost", True)])
def test_an_error_does_not_outlive_what_it_was_about(reason, stays):
    """Seen: one Checkpoint that could not be made was told for months."""
    error = LastError(time=BEFORE, reason=reason, message="x")
    found = moves(observed(job(live(last_error=error))))
    assert (found.status.last_error is not None) is stays
