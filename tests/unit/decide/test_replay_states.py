"""Positions of all that comes after a replay has begun: its times go with its line, and with each of its states."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.api.base import dump, format_time
from penstock.api.replay import Replay
from penstock.api.streamjob_status import StartedFrom
from penstock.decide.start import as_json
from penstock.model import ApplyRun, CreateCheckpoint, Foreign, Observed
from tests.unit.builders import (
    BEFORE,
    NOW,
    OLD_RUN,
    RUN,
    checkpoint,
    ended,
    flink,
    idle,
    job,
    listing,
    live,
    observed,
    retained,
    revision,
    run_objects,
    savepoint,
    started_from,
    stats,
    stored,
    target,
)
from tests.unit.decide.moves import Moves, moves
from tests.unit.decide.test_replay import DAY, HOUR, REPLAY, asked, chosen, replayed, source

OTHER = Replay(output_from=NOW - 9 * DAY, source_start=NOW - 9 * DAY)


# ---------------------------------------------------------------- along the line

OLD = stored(retained(99, OLD_RUN), 99, modified=NOW)
"""A newer state, by time and number, of the line that the replay has left."""


def lost(began: StartedFrom, *states: Any, **more: Any) -> Observed:
    """A job whose last run was lost, and what the store holds."""
    status = ended("LOST", started_from=began, **({"latest_checkpoint": None} if not states else {}))
    return idle(job(status, **more.pop("spec", {})), listing=listing(OLD, *states), **more)


def test_a_replay_that_was_lost_before_its_first_checkpoint_begins_again_with_the_same_times():
    began = moves(lost(replayed())).status.intent.started_from
    assert (began.kind, began.location, began.replay, began.confirmed) == ("Replay", None, REPLAY, False)
    assert began.text == replayed().text
    assert began.time == NOW


def test_it_does_not_begin_again_over_a_gap_that_has_come_up():
    spec = {"sources": [source("25h")]}
    assert moves(lost(replayed(), spec=spec)).intent == "Start"
    short = {"sources": [source("24h59m")]}
    found = moves(lost(replayed(), spec=short))
    assert (found.intent, found.stalled) == ("", "SourceRetentionTooShort")
    patient = replayed(replay=REPLAY.model_copy(update={"on_gap": "Warn"}))
    found = moves(lost(patient, spec=short))
    assert (found.intent, found.events) == ("Start", ("SourceRetentionTooShort",))


def test_after_its_own_checkpoint_be_it_within_the_look_back_the_times_hold():
    began = moves(lost(replayed(), stored(retained(1), 1))).status.intent.started_from
    assert (began.kind, began.location, began.replay) == ("Retained", retained(1), REPLAY)


def test_a_run_further_down_the_line_goes_back_to_what_it_had_started_from_with_the_times():
    status = ended("LOST", started_from=replayed(savepoint(1)), latest_checkpoint=None)
    # Nothing beside this status knows of the replay: no Checkpoint and no note.
    seen = idle(job(status), listing=listing(OLD, stored(savepoint(1), 1, run="")))
    assert chosen(moves(seen)) == REPLAY


def test_a_stop_and_an_upgrade_keep_them():
    status = ended("STOPPED", started_from=replayed())
    seen = idle(job(status, parallelism=4), listing=listing(OLD, stored(savepoint(1), 8)), revisions=(revision(),))
    began = moves(seen).status.intent.started_from
    assert (began.location, began.replay) == (savepoint(1), REPLAY)


def test_an_upgrade_without_state_leaves_them():
    status = ended("STOPPED", started_from=replayed(), run={"next_start_from": {"empty": {}}})
    began = moves(idle(job(status), listing=listing(stored(savepoint(1), 8)))).status.intent.started_from
    assert (began.kind, began.replay) == ("Empty", None)


def test_a_run_of_no_replay_stays_so():
    assert moves(lost(started_from(), stored(retained(1), 1))).status.intent.started_from.replay is None


# ---------------------------------------------------------------- by its Checkpoints


def named(name: str, status: dict[str, Any], *checkpoints: Any, **more: Any) -> Moves:
    seen = job(status, startFrom={"checkpoint": {"name": name}})
    return moves(idle(seen, checkpoints=checkpoints, **more))


AWAY = live(run={"id": "e" * 32, "ended_at": BEFORE, "end_state": "STOPPED", "swept": True})
"""The last run is of another line."""


def test_a_restore_of_a_checkpoint_of_the_line_carries_them():
    of_it = checkpoint("of-it", 1, "Present", {"replay": dump(REPLAY)})
    found = named("of-it", AWAY, of_it, listing=listing(stored(savepoint(1), 1)))
    assert chosen(found) == REPLAY


def test_a_restore_of_one_from_before_the_replay_has_none():
    before = checkpoint("before", 1, "Present", {"run": OLD_RUN})
    status = ended("STOPPED", started_from=replayed())
    found = named("before", status, before, listing=listing(stored(savepoint(1), 1, run=OLD_RUN)))
    assert found.status.intent.started_from.replay is None


def test_as_of_carries_those_of_what_it_finds():
    first = checkpoint("first", 1, "Present", {"run": OLD_RUN, "completion_time": NOW - 3 * HOUR})
    second = checkpoint("second", 2, "Present", {"completion_time": NOW - HOUR, "replay": dump(REPLAY)})
    states = listing(stored(savepoint(1), 1, run=OLD_RUN), stored(savepoint(2), 2))
    for time, replay in ((NOW - 2 * HOUR, None), (NOW, REPLAY)):
        seen = job(AWAY, startFrom={"asOf": {"time": format_time(time)}})
        found = moves(idle(seen, checkpoints=(first, second), listing=states))
        assert found.status.intent.started_from.replay == replay


def test_a_fork_carries_those_of_the_other_job():
    made = checkpoint("theirs", 5, "Present", {"replay": dump(REPLAY), "run": OLD_RUN})
    spec = made.spec.model_copy(update={"job_ref": made.spec.job_ref.model_copy(update={"name": "other"})})
    where = made.status.location.replace("/flights-", "/other-")
    theirs = made.model_copy(update={"spec": spec, "status": made.status.model_copy(update={"location": where})})
    found = named("theirs", {"applied": None}, foreign=(Foreign(theirs, None),), listing=listing())
    assert chosen(found) == REPLAY


@pytest.mark.parametrize(
    "others",
    [
        ({"checkpoints": (checkpoint("a", 1, "Present", {"replay": dump(REPLAY)}),)}),
        ({"note": {"replay": dump(REPLAY)}}),
    ],
    ids=["a Checkpoint of the run", "a note of the run"],
)
def test_without_a_record_of_a_run_what_is_known_of_it_tells(others: dict[str, Any]):
    """The StreamJob was made anew, and the newest state has no Checkpoint of its own."""
    states = (stored(savepoint(1), 1, note=others.get("note", {})), stored(retained(9), 9))
    found = moves(idle(job(), listing=listing(*states), checkpoints=others.get("checkpoints", ())))
    assert found.status.intent.started_from.location == retained(9)
    assert chosen(found) == REPLAY


@pytest.mark.parametrize("told", [None, "24h", {"outputFrom": "soon"}, {}, []])
def test_a_note_that_cannot_be_believed_is_none(told: object):
    state = stored(savepoint(1), 1, note={"replay": told})
    found = moves(idle(job(), listing=listing(state)))
    assert found.status.intent.started_from.replay is None


# ---------------------------------------------------------------- what is recorded with each checkpoint


def test_a_savepoint_that_is_taken_records_them():
    found = moves(observed(job(live(replayed())), checkpoints=(checkpoint(phase="Pending"),)))
    assert found.checkpoints["before"].phase == "Creating"
    assert found.checkpoints["before"].replay == REPLAY
    found = moves(observed(job(live()), checkpoints=(checkpoint(phase="Pending"),)))
    assert found.checkpoints["before"].replay is None


def test_flinks_own_carry_them_in_their_origin():
    entry = stats(7)
    found = moves(observed(job(live(replayed())), flink=flink(completed=entry, history=(entry,))))
    [effect] = found.effects
    assert isinstance(effect, CreateCheckpoint)
    assert effect.replay == REPLAY


def own(run: str = RUN, **more: Any) -> Any:
    origin = {"run": run, "checkpointId": 7, "replay": dump(OTHER)}
    return checkpoint("chk", 7, source="Retained", origin=origin, **more)


@pytest.mark.parametrize("run", [RUN, OLD_RUN])
def test_and_their_status_is_filled_from_that_whatever_runs_now(run: str):
    found = moves(
        observed(
            job(live(replayed())),
            checkpoints=(own(run),),
            flink=flink(history=(stats(7),)),
            listing=listing(stored(retained(7, run), 7)),
        )
    )
    assert found.checkpoints["chk"].phase == "Present"
    assert found.checkpoints["chk"].replay == OTHER


def test_a_savepoint_that_is_found_again_has_them_from_its_note():
    note = {"checkpoint": "before", "run": RUN, "replay": dump(OTHER)}
    state = stored(savepoint(1), 1, note=note, target_directory=target(1).removeprefix("s3://checkpoints/"))
    found = moves(observed(job(live(replayed())), checkpoints=(checkpoint(),), listing=listing(state)))
    assert found.checkpoints["before"].phase == "Present"
    assert found.checkpoints["before"].replay == OTHER


# ---------------------------------------------------------------- a lost status


def test_a_run_that_is_adopted_keeps_them():
    objects = run_objects(started_from=as_json(replayed()))
    found = moves(idle(job(None, **asked("5m")), runs=(objects,)))
    assert found.events == ("Adopted",)
    assert found.status.started_from.replay == REPLAY
    assert found.status.applied.start_from == asked("5m")["startFrom"]


def test_what_is_made_again_of_a_run_has_the_same_constants():
    objects = run_objects(missing=("Secret/flights",), started_from=as_json(replayed()))
    found = moves(observed(job(live(replayed())), runs=(objects,)))
    [effect] = found.effects
    assert isinstance(effect, ApplyRun)
    assert StartedFrom.model_validate_json(effect.started_from).replay == REPLAY
