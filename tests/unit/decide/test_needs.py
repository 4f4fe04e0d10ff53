"""What a pass looks at: nothing that nothing depends on."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.decide.needs import needs, wants_restart
from penstock.model import Manager
from tests.unit.builders import (
    NOW,
    OLD_RUN,
    RUN,
    checkpoint,
    deleting,
    ended,
    job,
    live,
    run_objects,
    start_intent,
    stop_intent,
    teardown_intent,
)

HERE = (run_objects(),)
FAILED = (run_objects(manager=Manager.FAILED),)


def test_a_job_that_runs_is_asked_about_in_flink_only():
    wanted = needs(job(live()), (), HERE)
    assert (wanted.flink, wanted.listing, wanted.triggers, wanted.targets, wanted.job_result) == (
        RUN,
        False,
        (),
        (),
        "",
    )


@pytest.mark.parametrize("manager", [Manager.FAILED, Manager.COMPLETE])
def test_of_a_jobmanager_that_is_gone_the_result_store_is_asked(manager):
    wanted = needs(job(live()), (), (run_objects(manager=manager),))
    assert (wanted.flink, wanted.job_result) == ("", RUN)


def test_of_a_run_without_objects_the_result_store_is_asked():
    assert needs(job(live()), (), ()).job_result == RUN


def test_of_an_ended_run_nothing_is_asked():
    wanted = needs(job(ended("STOPPED"), state="Stopped"), (), ())
    assert (wanted.flink, wanted.listing, wanted.job_result) == ("", False, "")


LISTED: dict[str, tuple[Any, tuple[Any, ...], bool]] = {
    "a start": (job(), (), True),
    "a start after a stop": (job(ended("STOPPED")), (), True),
    "a start whose intent is written": (job({"intent": start_intent()}), (), False),
    "a stop": (job(live(intent=stop_intent())), (), False),
    "a teardown": (job(live(intent=teardown_intent())), (), False),
    "a restart": (job(live(), restartToken="2"), (), True),
    "a new Checkpoint": (job(live()), (checkpoint(),), True),
    "a new Checkpoint of a stop": (job(live(intent=stop_intent())), (checkpoint(),), True),
    "a deleted Checkpoint": (job(live()), (checkpoint(phase="Present", deleted=NOW),), False),
    "a run whose end only the store can tell": (
        job(live(latest_checkpoint=None)),
        (checkpoint(phase="Present", source="Stop"),),
        True,
    ),
    "a run whose newest state is known": (job(live()), (checkpoint(phase="Present", source="Stop"),), False),
    "no job": (None, (checkpoint(),), False),
    "a deleted job": (job(ended("STOPPED"), deleted=NOW), (), False),
}


@pytest.mark.parametrize(("stream_job", "checkpoints", "listed"), LISTED.values(), ids=LISTED)
def test_when_the_store_is_listed(stream_job, checkpoints, listed):
    assert needs(stream_job, checkpoints, HERE).listing is listed


TAKEN: dict[str, tuple[Any, Any, bool, bool]] = {
    "being taken": (checkpoint(phase="Creating"), HERE, True, True),
    "overdue": (checkpoint(phase="Timeout", status={"settled": False}), HERE, True, True),
    "given up": (checkpoint(phase="Timeout"), HERE, False, False),
    "waiting": (checkpoint(phase="Pending"), HERE, False, False),
    "present": (checkpoint(phase="Present"), HERE, False, False),
    "of another run": (checkpoint(phase="Creating", status={"run": OLD_RUN}), HERE, False, True),
    "of a run whose jobmanager is gone": (checkpoint(phase="Creating"), FAILED, False, True),
    "of a run without objects": (checkpoint(phase="Creating"), (), False, True),
    "being cleared": (checkpoint(phase="Present", status=deleting()), HERE, False, True),
}


@pytest.mark.parametrize(("taken", "runs", "polled", "listed"), TAKEN.values(), ids=TAKEN)
def test_which_checkpoints_are_looked_at(taken, runs, polled, listed):
    wanted = needs(job(live()), (taken,), runs)
    assert (wanted.triggers == ("before",), wanted.targets == ("before",)) == (polled, listed)


APPLIED = {"start_from": {"checkpoint": {"name": "a"}}, "restart_token": "1"}
RESTARTS: dict[str, tuple[dict[str, Any], bool]] = {
    "as applied": ({"startFrom": {"checkpoint": {"name": "a"}}, "restartToken": "1"}, False),
    "another Checkpoint": ({"startFrom": {"checkpoint": {"name": "b"}}, "restartToken": "1"}, True),
    "empty": ({"startFrom": {"empty": {}}, "restartToken": "1"}, True),
    "back to latest": ({"restartToken": "1"}, False),
    "another token": ({"startFrom": {"checkpoint": {"name": "a"}}, "restartToken": "2"}, True),
}


@pytest.mark.parametrize(("spec", "wanted"), RESTARTS.values(), ids=RESTARTS)
def test_when_a_restart_is_wanted(spec, wanted):
    assert wants_restart(job(live(applied=APPLIED), **spec)) is wanted


def test_without_a_record_of_what_was_applied_nothing_is_wanted():
    assert not wants_restart(job(live(applied=None), startFrom={"empty": {}}))
