"""A change that does not work is taken back, once: stories in the toy world, and what is decided at each fork."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from penstock.api.streamjob_status import StartKind
from penstock.decide.change import spec_hash
from penstock.model import Unknown
from tests.unit.builders import (
    NOW,
    checkpoint,
    ended,
    flink,
    idle,
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
    stored,
)
from tests.unit.decide.moves import Moves, moves
from tests.unit.decide.test_scenarios import RUNNING, STOP, UPGRADE, create, take, take_another
from tests.unit.decide.toy import Scenario, Toy, after, disturbed
from tests.unit.decide.toy.flink import DIES, FAILS, HANGS, PENDS

C, R = StartKind.CHECKPOINT, StartKind.RETAINED
QUICK = {"healthyWithin": "30s"}


def break_it(toy: Toy) -> None:
    toy.edit(parallelism=FAILS, onChange=QUICK)
    toy.settle()


def hang_it(toy: Toy) -> None:
    toy.edit(parallelism=HANGS, onChange=QUICK)
    toy.settle()


def kill_it(toy: Toy) -> None:
    toy.edit(parallelism=DIES, onChange=QUICK)
    toy.settle()


def pend_it(toy: Toy) -> None:
    """No image, no room, no account, a quota: the JobManager's pod never starts."""
    toy.edit(parallelism=PENDS, onChange=QUICK)
    toy.settle()


def break_it_without_savepoint(toy: Toy) -> None:
    toy.edit(parallelism=FAILS, checkpoints={"onUpgrade": "LatestCheckpoint"})
    toy.settle()


def break_it_stateless(toy: Toy) -> None:
    toy.edit(parallelism=FAILS, checkpoints={"onUpgrade": "Stateless"})
    toy.settle()


def restore_into_what_fails(toy: Toy) -> None:
    toy.edit(parallelism=FAILS, startFrom={"checkpoint": {"name": "before"}})
    toy.settle()


def mend_it(toy: Toy) -> None:
    toy.edit(parallelism=5)
    toy.settle()


def change_back(toy: Toy) -> None:
    toy.edit(parallelism=1)
    toy.settle()


def try_again(toy: Toy) -> None:
    toy.edit(restartToken="again")
    toy.settle()


def stop_and_start(toy: Toy) -> None:
    toy.edit(state="Stopped")
    toy.settle()
    toy.edit(state="Running")
    toy.settle()


BACK = RUNNING | {"version": 1, "ready": "False", "from": C, "checkpoints": [UPGRADE], "starts": 3}
STORIES: list[tuple[tuple[Scenario, ...], dict[str, Any]]] = [
    ((create, break_it), BACK),
    ((create, hang_it), BACK),
    ((create, kill_it), BACK | {"starts": 4}),
    ((create, pend_it), BACK | {"starts": 2}),
    ((create, break_it_without_savepoint), BACK | {"from": R, "checkpoints": []}),
    ((create, break_it_stateless), BACK | {"from": R, "checkpoints": []}),
    (
        (create, take, take_another, restore_into_what_fails),
        BACK | {"checkpoints": [("Manual", "Present")] * 2 + [UPGRADE]},
    ),
    ((create, break_it, mend_it), RUNNING | {"version": 3, "checkpoints": [UPGRADE, UPGRADE], "starts": 4}),
    ((create, break_it, change_back), RUNNING | {"version": 1, "checkpoints": [UPGRADE], "starts": 3}),
    ((create, break_it, try_again), BACK | {"checkpoints": [UPGRADE, UPGRADE], "starts": 5}),
    ((create, break_it, stop_and_start), BACK | {"checkpoints": [STOP, UPGRADE], "starts": 4}),
]


def _name(value: object) -> str:
    return value[-1].__name__ if isinstance(value, tuple) else ""


@pytest.mark.parametrize(("story", "expected"), STORIES, ids=_name)
def test_a_change_that_does_not_work_is_taken_back_once(story: tuple[Scenario, ...], expected: dict[str, Any]) -> None:
    toy = after(*story)
    assert toy.violations == []
    assert {key: value for key, value in toy.summary().items() if key in expected} == expected
    assert toy.lost[-1] == 0, "nothing that was saved is left behind"


@pytest.mark.parametrize("story", [story for story, _ in STORIES], ids=_name)
@pytest.mark.parametrize("outage", [1, 400], ids=["short", "long"])
def test_the_same_end_when_the_operator_dies_after_any_operation(story: tuple[Scenario, ...], outage: int) -> None:
    whole = after(*story).summary()
    for toy, where in disturbed(story, lambda toy: toy.tick(outage)):
        assert toy.violations == [], where
        assert toy.summary() == whole, where


# ---------------------------------------------------------------- single positions


SAFE = savepoint(1)
BACK_TO = {"job_version": 1, "spec_hash": "of version 1", "started_from": started_from(SAFE, checkpoint="before")}
LATER, SOONER = NOW + timedelta(minutes=1), NOW - timedelta(seconds=1)


def fallback(**more: Any) -> dict[str, Any]:
    return {"fallback": BACK_TO | {"until": LATER} | more}


def unhealthy(**more: Any) -> dict[str, Any]:
    """The status of a job whose version 2 runs and has completed nothing yet."""
    run = {"job_version": 2, "confirmed": False}
    status = {"state": "Starting", "job_version": 2, "latest_checkpoint": None, "started_from": started_from(SAFE)}
    return live(run=run) | status | fallback() | more


def failed(**more: Any) -> dict[str, Any]:
    return ended("FAILED", run={"job_version": 2}, job_version=2, latest_checkpoint=None) | fallback() | more


def start(status: dict[str, Any], spec: dict[str, Any] | None = None, **more: Any) -> Moves:
    seen = {"revisions": (revision(1), revision(2)), "checkpoints": (checkpoint("before", 1, "Present"),)}
    return moves(idle(job(status, **(spec or {})), **({"listing": listing(stored(SAFE, 1))} | seen | more)))


def stopped_for(reason: str, **more: Any) -> dict[str, Any]:
    return ended("STOPPED", run={"stop_reason": reason, "job_version": 1}, job_version=1, **more)


def test_a_version_that_has_run_before_is_good_though_its_last_run_was_still_coming_up():
    """Seen: a change was taken back, and the next one came before that had run: it had no way back."""
    own = stored(retained(9), 9)
    coming = stopped_for("Upgrade", proven_version=1)
    coming["run"] = coming["run"].model_copy(update={"confirmed": False})
    found = moves(idle(job(coming, parallelism=7), listing=listing(own)))
    assert found.status.intent.fallback.job_version == 1
    never = coming | {"proven_version": 0}
    assert moves(idle(job(never, parallelism=7), listing=listing(own))).status.intent.fallback is None


@pytest.mark.parametrize("reason", ["Upgrade", "Restore", "Restart"])
def test_what_was_stopped_for_a_change_can_be_gone_back_to(reason):
    own = stored(retained(9), 9)
    found = moves(idle(job(stopped_for(reason), parallelism=7), listing=listing(own)))
    back = found.status.intent.fallback
    assert (back.job_version, back.started_from.location, back.until) == (1, retained(9), None)
    assert back.spec_hash == spec_hash(job().spec)


@pytest.mark.parametrize(
    ("status", "spec"),
    [
        (stopped_for("Stop"), {"parallelism": 7}),
        (stopped_for("Recover"), {"parallelism": 7}),
        (stopped_for("Upgrade") | {"run": None, "started_from": None}, {"parallelism": 7}),
        (stopped_for("Upgrade"), {"parallelism": 7, "onChange": {"ifUnhealthy": "Keep"}}),
        # The same version from the same state: it would be the same once more.
        (stopped_for("Restart"), {}),
    ],
    ids=["stopped by its user", "lost", "new", "Keep", "the same"],
)
def test_there_is_nothing_to_go_back_to(status, spec):
    found = moves(idle(job(status, **spec), listing=listing(stored(retained(9), 9))))
    assert found.intent == "Start"
    assert found.status.intent.fallback is None


def test_without_the_store_a_change_waits_even_when_it_needs_no_state():
    status = stopped_for("Upgrade")
    status["run"] = status["run"].model_copy(update={"next_start_from": {"empty": {}}})
    found = moves(idle(job(status, parallelism=7), listing=Unknown("no answer")))
    assert found.intent == ""
    assert found.condition("Reconciling").message == "the store does not answer: no answer"


def test_the_time_begins_with_the_permit():
    first = moves(idle(job(stopped_for("Upgrade"), parallelism=7), listing=listing(stored(retained(9), 9))))
    found = moves(idle(job(dict(first.status), parallelism=7, onChange={"healthyWithin": "2m"})))
    assert found.status.fallback.until == NOW + timedelta(minutes=2)


def test_it_is_healthy_with_a_checkpoint_of_its_own():
    own = {"checkpoint_id": 9, "location": retained(9), "completion_time": NOW}
    found = moves(observed(job(unhealthy(latest_checkpoint=own)), flink=flink(restored=restored(savepoint(1)))))
    assert found.status.fallback is None


@pytest.mark.parametrize(
    ("until", "flink", "intent", "left"),
    [
        (LATER, flink("INITIALIZING", all_running=False, completed=None), "", True),
        (SOONER, flink("INITIALIZING", all_running=False, completed=None), "Stop Cancel", True),
        (SOONER, flink("RUNNING", all_running=False, completed=None), "Stop Cancel", True),
        (SOONER, flink("RUNNING", all_running=False, completed=None, restoring=True), "", True),
        (SOONER, None, "Stop Cancel", True),
        (SOONER, Unknown("refused"), "", True),
        (SOONER, flink("RUNNING", completed=None), "", False),
    ],
    ids=["in time", "not in time", "tasks fail", "a large state", "no JobManager", "Flink does not answer", "all run"],
)
def test_at_the_end_of_its_time(until, flink, intent, left):
    found = moves(observed(job(unhealthy(**fallback(until=until))), flink=flink))
    assert found.intent == intent
    assert (found.status.fallback is not None) is left
    if intent:
        assert found.status.intent.reason == "RollBack"
        assert "was not healthy within 10m" in found.status.last_error.message


@pytest.mark.parametrize(
    ("permit", "intent"), [(True, "Stop Kill"), (False, "")], ids=["nothing has run", "Flink may run"]
)
def test_silence_counts_only_while_nothing_has_run(permit, intent):
    """Seen in the code: a JobManager without an image, or without room, kept its job down for ever."""
    objects = run_objects(permit=permit, troubles=("Unschedulable: Insufficient cpu",))
    silent = {"runs": (objects,), "flink": Unknown("connection refused")}
    found = moves(observed(job(unhealthy(**fallback(until=SOONER))), **silent))
    assert found.intent == intent
    if intent:
        assert "Insufficient cpu" in found.status.fallback.why
    assert moves(observed(job(unhealthy(**fallback(until=LATER))), **silent)).intent == ""


def test_what_is_known_to_be_wrong_with_its_pods_is_part_of_the_reason():
    objects = run_objects(troubles=("Unschedulable: Insufficient cpu",))
    answer = flink("RUNNING", all_running=False, completed=None)
    found = moves(observed(job(unhealthy(**fallback(until=SOONER))), runs=(objects,), flink=answer))
    assert "Flink says RUNNING; Unschedulable: Insufficient cpu" in found.status.fallback.why


def test_the_reason_is_what_ended_the_run_and_nothing_that_went_wrong_since():
    ends = moves(observed(job(unhealthy()), flink=flink("FAILED", completed=None, failure="no such column")))
    assert ends.status.fallback.why == "no such column"
    later = dict(ends.status) | {"intent": None, "last_error": {"time": NOW, "reason": "X", "message": "409"}}
    later["run"] = failed()["run"]
    assert start(later).status.intent.rolled_back.message.startswith("version 2: no such column. Back on version 1")


def test_a_newer_wish_comes_first():
    found = moves(observed(job(unhealthy(**fallback(until=SOONER)), state="Stopped")))
    assert found.status.intent.reason == "Stop"


def test_it_goes_back_to_exactly_what_it_was_stopped_with():
    found = start(failed())
    intent = found.status.intent
    assert (intent.job_version, intent.spec_hash, intent.started_from.location) == (1, "of version 1", SAFE)
    assert intent.rolled_back.job_version == 2
    assert intent.rolled_back.spec_hash == spec_hash(job().spec)
    assert found.effects == ()
    assert found.status.state == "Starting"


@pytest.mark.parametrize(
    ("status", "spec"),
    [
        (failed(latest_checkpoint={"checkpoint_id": 9, "location": retained(9)}), {}),
        (failed(fallback=None), {}),
        (ended("CANCELED", latest_checkpoint=None) | fallback(), {}),
        (failed(), {"state": "Stopped"}),
    ],
    ids=["it was healthy", "nothing to go back to", "somebody cancelled it", "to be stopped"],
)
def test_it_stays_as_it_is(status, spec):
    assert start(status, spec).intent == ""


@pytest.mark.parametrize("spec", [{"parallelism": 7}, {"restartToken": "again"}], ids=str)
def test_what_was_changed_since_is_tried_instead_and_may_go_back_to_the_same(spec):
    intent = start(failed(), spec).status.intent
    assert intent.rolled_back is None
    assert (intent.fallback.job_version, intent.fallback.started_from.location) == (1, SAFE)
    assert intent.fallback.until is None


def test_one_that_was_lost_before_it_ran_is_tried_once_more_in_the_same_time():
    lost = {"run": {"job_version": 2, "confirmed": False}, "job_version": 2, "latest_checkpoint": None}
    began = {"started_from": started_from(SAFE)}
    once = ended("LOST", **lost) | began | fallback() | {"start_attempts": 1, "next_start_at": NOW}
    intent = start(once).status.intent
    assert (intent.rolled_back, intent.job_version) == (None, 2)
    assert intent.fallback.until == LATER
    twice = ended("LOST", **lost) | began | fallback() | {"start_attempts": 2}
    assert start(twice).status.intent.rolled_back is not None


def test_without_the_recorded_version_there_is_nothing_to_go_back_to():
    found = start(failed(), revisions=(revision(2),))
    assert (found.intent, found.status.fallback) == ("", None)


def test_a_spec_that_changed_before_the_permit_is_tried_instead():
    first = start(failed())
    assert start(dict(first.status), {"parallelism": 7}).intent == ""
    assert start(dict(first.status), {"restartToken": "again"}).intent == ""
    kept = start(dict(first.status))
    assert kept.status.intent.permitted
    assert kept.status.fallback is None, "once"
    assert kept.status.rolled_back.job_version == 2


def held(**more: Any) -> dict[str, Any]:
    """The status of a job that was taken back to version 1; the spec still asks for version 2."""
    refused = {"job_version": 2, "spec_hash": spec_hash(job().spec), "time": NOW, "message": "version 2: broken"}
    return live(applied_spec_hash="of version 1", rolled_back=refused) | more


def test_what_was_taken_back_is_not_tried_again_and_says_so():
    found = moves(observed(job(held())))
    assert (found.intent, found.effects) == ("", ())
    assert found.stalled == "RolledBack"
    assert moves(observed(job(held()))).status.rolled_back is not None


def test_another_spec_is_a_new_wish():
    found = moves(observed(job(held(), parallelism=7)))
    assert found.intent == "Stop Savepoint"
    assert found.status.rolled_back is None


def test_a_new_token_tries_it_again():
    found = moves(observed(job(held(), restartToken="again")))
    assert found.status.intent.reason == "Restart"


def test_the_version_before_is_what_is_started_while_the_change_is_held():
    status = dict(held()) | {"run": ended("LOST")["run"]}
    intent = start(status, listing=listing(stored(retained(9), 9))).status.intent
    assert (intent.job_version, intent.spec_hash) == (1, "of version 1")
    assert intent.rolled_back is not None, "it is still held"


def test_what_may_be_gone_back_to_is_in_use():
    many = tuple(checkpoint(f"c{number}", number, "Present") for number in range(1, 8))
    back = started_from(many[0].status.location, checkpoint="c1")
    status = unhealthy(**fallback(started_from=back), latest_checkpoint=None)
    found = moves(observed(job(status), checkpoints=many))
    assert {name for name, status in found.checkpoints.items() if status.conditions} == {"c2"}
