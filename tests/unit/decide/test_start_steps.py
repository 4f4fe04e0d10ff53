"""The steps of a start: intent, permit, objects; and a run that is found."""

from __future__ import annotations

import pytest

from penstock.api.base import dump
from penstock.decide.change import spec_hash
from penstock.model import (
    ApplyRun,
    GrantPermit,
    Manager,
    RecordRevision,
)
from tests.unit.builders import (
    FRESH_RUN,
    OLD_RUN,
    RUN,
    checkpoint,
    ended,
    idle,
    job,
    listing,
    retained,
    revision,
    run_objects,
    savepoint,
    start_intent,
    started_from,
    stored,
)
from tests.unit.decide.moves import moves
from tests.unit.decide.test_start import EMPTY, NAMED, chosen, start


def test_the_first_step_records_the_version_and_grants_the_permit():
    found = start({"intent": start_intent()})
    assert found.effects == (
        RecordRevision(1, spec_hash(job().spec), job().spec),
        GrantPermit(FRESH_RUN),
    )
    assert found.status.intent.permitted
    assert found.wake == 0


def test_a_spec_that_changed_before_the_permit_is_chosen_for_anew():
    found = start({"intent": start_intent()}, {"parallelism": 7})
    assert (found.intent, found.effects, found.wake) == ("", (), 0)


STOPPED_ONCE = ended("STOPPED", applied={"start_from": {"latest": {}}, "restart_token": ""})


@pytest.mark.parametrize("before", [None, STOPPED_ONCE], ids=["new", "stopped"])
@pytest.mark.parametrize("change", [{"parallelism": 7}, {"restartToken": "again"}], ids=str)
def test_what_start_from_named_is_not_forgotten_when_the_spec_changes_before_the_permit(before, change):
    states = (stored(savepoint(1), 1, run=OLD_RUN), stored(retained(7), 7))
    asked = {"checkpoints": (checkpoint(phase="Present"),), "listing": listing(*states)}
    first = start(before, NAMED, **asked)
    second = start(dict(first.status), NAMED | change, **asked)
    assert (second.intent, second.effects) == ("", ())
    assert chosen(start(dict(second.status), NAMED | change, **asked)) == ("Checkpoint", savepoint(1))


def test_another_start_from_before_the_permit_is_chosen_for_anew():
    first = start(None, NAMED, checkpoints=(checkpoint(phase="Present"),), listing=listing(stored(savepoint(1), 1)))
    found = start(dict(first.status), EMPTY)
    assert (found.intent, found.effects, found.wake) == ("", (), 0)


def test_what_was_applied_is_recorded_with_the_permit():
    first = start(None, EMPTY)
    found = start(dict(first.status), EMPTY)
    assert found.status.intent.permitted
    assert found.status.applied.start_from == EMPTY["startFrom"]


def test_the_second_step_makes_the_run_and_never_the_permit():
    began = started_from(savepoint(1), checkpoint="before")
    found = start({"intent": start_intent(began, permitted=True), "applied": {}}, revisions=(revision(),))
    assert found.kinds == ["ApplyRun"]
    (apply,) = found.effects
    assert isinstance(apply, ApplyRun)
    assert (apply.run, apply.version, apply.restore_from) == (FRESH_RUN, 1, savepoint(1))
    assert found.status.run.id == FRESH_RUN
    assert found.status.started_from == began
    assert found.status.latest_checkpoint is None
    assert found.intent == ""
    assert found.events == ("Starting", "Recovering")


def test_the_run_is_made_of_the_spec_that_was_recorded_not_of_a_newer_one():
    found = start({"intent": start_intent(permitted=True)}, {"parallelism": 7}, revisions=(revision(),))
    (apply,) = found.effects
    assert apply.spec.parallelism == 1


def test_without_its_recorded_version_a_run_waits():
    found = start({"intent": start_intent(permitted=True)}, revisions=())
    assert (found.effects, found.intent) == ((), "Start")
    assert found.wake is not None


@pytest.mark.parametrize(
    ("status", "spec", "revisions", "version"),
    [
        (ended("STOPPED", latest_checkpoint=None), {}, (1,), 1),
        (ended("STOPPED", latest_checkpoint=None), {"parallelism": 2}, (1,), 2),
        (ended("STOPPED", latest_checkpoint=None), {"parallelism": 2}, (1, 2, 5), 6),
        (None, {}, (4,), 5),
    ],
    ids=["same spec", "another", "numbers are never used again", "status lost"],
)
def test_the_number_of_the_job_version(status, spec, revisions, version):
    found = start(status, spec, revisions=tuple(revision(each) for each in revisions))
    assert found.status.intent.job_version == version


# ---------------------------------------------------------------- a lost status


def test_a_run_that_is_found_is_adopted():
    began = started_from(savepoint(1))
    objects = run_objects(started_from=began.model_dump_json(by_alias=True, exclude_none=True))
    found = moves(idle(job(), runs=(objects,)))
    assert (found.effects, found.intent, found.events) == ((), "", ("Adopted",))
    assert found.status.run.id == RUN
    assert found.status.started_from.location == savepoint(1)
    assert found.status.applied.start_from == {"latest": {}}
    assert found.status.applied_spec_hash == spec_hash(job().spec)


def test_a_live_run_is_adopted_whatever_startfrom_says():
    found = moves(idle(job(startFrom={"checkpoint": {"name": "before"}}), runs=(run_objects(),)))
    assert found.status.run.id == RUN
    assert found.status.applied.start_from == {"checkpoint": {"name": "before"}}


def test_a_run_that_has_ended_is_adopted_and_its_end_read():
    found = moves(idle(job(), runs=(run_objects(manager=Manager.COMPLETE),)))
    assert found.events == ("Adopted",)
    assert found.status.run.id == RUN


def test_the_newest_of_two_runs_is_adopted():
    runs = (run_objects(OLD_RUN, job_version=1), run_objects(job_version=2))
    assert moves(idle(job(), runs=runs)).status.run.id == RUN


def test_the_status_as_written_reads_back_equal():
    status = start().status
    assert type(status).model_validate(dump(status)) == status
