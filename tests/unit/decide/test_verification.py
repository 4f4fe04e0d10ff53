"""Positions in which a state is, or is to be, verified."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from penstock.api import constants
from penstock.api.checkpoint import Checkpoint
from penstock.decide.verification import wishes
from penstock.model import Observed, Unknown
from penstock.verdict import Verification, Verified, Wish
from tests.unit.builders import (
    BEFORE,
    NOW,
    RUN,
    WHOLE,
    checkpoint,
    deleting,
    ended,
    good_programs,
    idle,
    job,
    listing,
    live,
    observed,
    retained,
    savepoint,
    stored,
)
from tests.unit.decide.moves import Moves, moves

NAMED = {"startFrom": {"checkpoint": {"name": "before"}}}
OVERRIDDEN = {"startFrom": {"checkpoint": {"name": "before"}, "override": ["NotWhole"]}}
STORED = listing(stored(savepoint(1), 1))
BROKEN = Verification(files=3, size=1000, missing=2, names=("a (missing)", "b (1 of 2 bytes)"))
SINCE = NOW - timedelta(seconds=59)


def present(name: str = "before", number: int = 1, annotation: str = "", **more: Any) -> Checkpoint:
    found = checkpoint(name, number, "Present", **more)
    notes = {constants.VERIFY: annotation} if annotation else {}
    return found.model_copy(update={"metadata": found.metadata.model_copy(update={"annotations": notes})})


def known(state: str = "True", reason: str = "Whole", message: str = str(WHOLE), **told: Any) -> dict[str, Any]:
    verification = {"time": BEFORE, "files": 3} | told
    condition = {"type": "Verified", "status": state, "reason": reason, "message": message}
    return {"verification": verification, "conditions": [condition | {"lastTransitionTime": BEFORE}]}


def answered(seen: Observed, found: Verification | str, request: str = "") -> Observed:
    """With an answer about `before`; a text is why there is none."""
    start = next((wish.start for wish in wishes(seen)), "")
    known = None if isinstance(found, str) else found
    answer = Verified(NOW, known, trouble=found if isinstance(found, str) else "", request=request, start=start)
    told = replace(seen, verified={savepoint(1): answer})
    return replace(told, programs=good_programs(told))


def restoring(spec: dict[str, Any] | None = None) -> Observed:
    """A job that runs, and is to be restored from `before`, which lies in the store."""
    return observed(job(live(), **(spec or NAMED)), checkpoints=(present(),), listing=STORED, verified={})


def starting(spec: dict[str, Any] | None = None) -> Observed:
    """A job of which nothing runs, that is to start from `before`."""
    return idle(job({"applied": None}, **(spec or NAMED)), checkpoints=(present(),), listing=STORED, verified={})


# ---------------------------------------------------------------- what is looked at


def test_one_that_is_present_is_looked_at_once():
    asked = wishes(observed(job(live()), checkpoints=(present(),)))
    assert asked == (Wish(savepoint(1), datetime.min.replace(tzinfo=UTC)),)
    assert wishes(observed(job(live()), checkpoints=(present(status=known()),))) == ()


def test_flinks_clock_may_be_ahead():
    """Each answer would be older than the checkpoint: it would be asked for without end."""
    ahead = present(status={"completion_time": NOW + timedelta(hours=1)})
    assert all(wish.not_before < NOW for wish in wishes(observed(job(live()), checkpoints=(ahead,))))


def test_it_is_looked_at_again_when_a_user_asks_and_not_twice_for_the_same_words():
    asked = wishes(observed(job(live()), checkpoints=(present(annotation="now", status=known()),)))
    assert [wish.request for wish in asked] == ["now"]
    told = present(annotation="now", status=known(request="now"))
    assert wishes(observed(job(live()), checkpoints=(told,))) == ()
    forgotten = present(status=known(request="now"))
    assert wishes(observed(job(live()), checkpoints=(forgotten,))) == ()


@pytest.mark.parametrize(
    "one",
    [
        checkpoint(),
        checkpoint(phase="Creating"),
        checkpoint(phase="Cleared"),
        checkpoint(phase="Failed"),
        present(deleted=NOW),
        present(status=deleting()),
    ],
)
def test_what_has_no_data_or_goes_is_not_looked_at(one: Checkpoint):
    assert wishes(observed(job(live()), checkpoints=(one,))) == ()


def test_what_a_running_job_is_to_be_restored_from_is_urgent_and_an_answer_of_long_ago_does_not_count():
    first, _ = wishes(restoring())
    assert first == Wish(savepoint(1), NOW - timedelta(minutes=1), start=f"1/{RUN}")


def test_what_a_job_at_rest_starts_from_is_urgent_be_it_named_or_the_latest():
    assert wishes(starting())[0].start
    latest = idle(job(ended("LOST")), listing=listing(stored(retained(9), 9, run=RUN)), verified={})
    assert [(wish.location, wish.start) for wish in wishes(latest)] == [(retained(9), f"1/{RUN}")]


@pytest.mark.parametrize("end", ["FINISHED", "FAILED", "CANCELED"])
def test_a_job_that_is_not_to_be_started_asks_for_nothing(end: str):
    assert wishes(idle(job(ended(end)), listing=listing(stored(retained(9), 9, run=RUN)))) == ()


def test_a_job_that_is_to_stand_still_or_starts_empty_asks_for_nothing():
    assert not any(wish.start for wish in wishes(starting(NAMED | {"state": "Stopped"})))
    assert not any(wish.start for wish in wishes(starting({"startFrom": {"empty": {}}})))


# ---------------------------------------------------------------- before a restore


def test_a_job_is_not_stopped_before_what_it_is_restored_from_was_looked_at():
    found = moves(restoring())
    assert (found.intent, found.effects) == ("", ())
    assert "being verified" in found.condition("Reconciling").message
    assert found.condition("Ready").status == "True"


def test_a_job_is_not_stopped_for_a_state_of_which_a_file_is_missing():
    found = moves(answered(restoring(), BROKEN))
    assert (found.intent, found.stalled) == ("", "NotWhole")
    message = found.condition("Stalled").message
    assert "2 of 3 files are missing" in message
    assert "override: [NotWhole]" in message
    assert "The job runs on" in message


def test_a_job_is_not_stopped_while_nobody_knows():
    found = moves(answered(restoring(), "the store does not answer"))
    assert (found.intent, found.stalled) == ("", "")
    assert found.wake == 5


def test_what_was_found_for_anything_else_does_not_count_for_this_restore():
    """A file may have gone a second after it was found."""
    for start in ("", f"0/{RUN}", "1/other"):
        answer = Verified(NOW, WHOLE, start=start)
        found = moves(replace(restoring(), verified={savepoint(1): answer}))
        assert (found.intent, found.stalled) == ("", "")


def test_another_spec_or_another_run_is_another_start():
    again = observed(job(live(), generation=2, **NAMED), checkpoints=(present(),), listing=STORED)
    assert wishes(again)[0].start == f"2/{RUN}"


def test_a_job_is_stopped_for_a_whole_state():
    assert moves(answered(restoring(), WHOLE)).intent == "Stop Savepoint"


def test_files_elsewhere_are_nobodys_proof_of_a_fault():
    assert moves(answered(restoring(), Verification(files=3, outside=1))).intent == "Stop Savepoint"


def test_a_user_may_insist():
    assert moves(answered(restoring(OVERRIDDEN), BROKEN)).intent == "Stop Savepoint"
    assert moves(answered(starting(OVERRIDDEN), BROKEN)).intent == "Start"


# ---------------------------------------------------------------- the parallelism


NARROW = Verification(files=3, narrowest=("GroupAggregate", 4))
WIDE = NAMED | {"parallelism": 5}


def test_a_job_is_not_stopped_for_a_state_that_cannot_be_split_into_as_many_parts():
    found = moves(answered(restoring(WIDE), NARROW))
    assert (found.intent, found.stalled) == ("", "ParallelismTooHigh")
    message = found.condition("Stalled").message
    assert "spec.parallelism: 5" in message
    assert "GroupAggregate can be split into at most 4 parts" in message
    assert "The job runs on" in message
    assert moves(answered(starting(WIDE), NARROW)).stalled == "ParallelismTooHigh"


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        (NAMED | {"parallelism": 4}, NARROW),
        (WIDE, Verification(files=3)),
        (WIDE | {"startFrom": NAMED["startFrom"] | {"override": ["ParallelismTooHigh"]}}, NARROW),
    ],
    ids=["just as many", "nothing to split", "a user insists"],
)
def test_it_is_stopped_for_one_that_can(spec, found):
    assert moves(answered(restoring(spec), found)).intent == "Stop Savepoint"


def test_the_next_start_from_latest_is_not_refused_for_it():
    """The job was stopped for the change: Flink refuses it, and it goes back; refused here it would stay down."""
    seen = idle(job(ended("STOPPED"), parallelism=5), checkpoints=(present(),), listing=STORED, verified={})
    assert moves(answered(seen, NARROW)).intent == "Start"


# ---------------------------------------------------------------- before a start


def test_nothing_is_started_before_the_answer():
    found = moves(starting())
    assert found.intent == ""
    assert "being verified" in found.condition("Reconciling").message


def test_nothing_is_started_from_what_is_not_whole():
    found = moves(answered(starting(), BROKEN))
    assert (found.intent, found.stalled) == ("", "NotWhole")


def test_nothing_is_started_while_nobody_knows():
    found = moves(answered(starting(), "no answer"))
    assert found.intent == ""
    assert "no answer" in found.condition("Reconciling").message


def test_what_has_gone_while_it_was_looked_at_is_not_started_from():
    found = moves(answered(starting(), Verification(unreadable="it has gone meanwhile", gone=True)))
    assert (found.intent, found.stalled) == ("", "NotWhole")


def test_a_whole_one_is_started_from():
    found = moves(answered(starting(), WHOLE))
    assert found.intent == "Start"
    assert found.status.intent.started_from.location == savepoint(1)


# ---------------------------------------------------------------- what is said


def told(one: Checkpoint, found: Verification | str, request: str = "") -> Moves:
    return moves(answered(observed(job(live()), checkpoints=(one,), verified={}), found, request))


@pytest.mark.parametrize(
    ("found", "state", "reason", "restorable"),
    [
        (WHOLE, "True", "Whole", "True"),
        (BROKEN, "False", "FilesMissing", "False"),
        (Verification(unreadable="it is cut off"), "False", "MetadataUnreadable", "False"),
        (Verification(unreadable="there is none", gone=True), "False", "MetadataUnreadable", "False"),
        (Verification(files=3, outside=2), "Unknown", "FilesElsewhere", "True"),
    ],
)
def test_the_condition_says_what_was_found(found: Verification, state: str, reason: str, restorable: str):
    after = told(present(), found)
    condition = after.condition("Verified", "before")
    assert (condition.status, condition.reason, condition.message) == (state, reason, str(found))
    assert after.condition("Restorable", "before").status == restorable
    assert after.checkpoints["before"].verification.missing == found.missing
    assert ("FilesMissing" in after.events) == (reason == "FilesMissing")


def test_the_first_missing_files_are_named():
    verification = told(present(), BROKEN).checkpoints["before"].verification
    assert (verification.first_missing, verification.time) == (BROKEN.names, NOW)


def test_the_same_answer_again_is_not_written():
    one = present(status=known())
    assert told(one, WHOLE).checkpoints["before"] == one.status


def test_the_same_answer_to_a_users_question_is_written_with_its_time():
    after = told(present(annotation="now", status=known()), WHOLE, "now").checkpoints["before"].verification
    assert (after.time, after.request) == (NOW, "now")


def test_a_restores_answer_does_not_forget_the_users_question():
    one = present(annotation="now", status=known(request="now"))
    assert told(one, WHOLE).checkpoints["before"] == one.status
    assert told(one, BROKEN).checkpoints["before"].verification.request == "now"


def test_nobody_knows_is_no_answer():
    one = present(status=known())
    assert told(one, "the store does not answer").checkpoints["before"] == one.status


def test_what_flink_has_discarded_meanwhile_is_not_called_broken():
    status = {"location": retained(7), "target_directory": None, "checkpoint_id": 7, "run": RUN}
    one = present("chk", source="Retained", origin={"run": RUN, "checkpointId": 7}, status=status)
    seen = observed(job(live()), checkpoints=(one,), flink=Unknown("x"))
    gone = Verified(NOW, Verification(unreadable="it has gone meanwhile", gone=True))
    assert moves(replace(seen, verified={retained(7): gone})).checkpoints["chk"].verification is None


def test_what_was_broken_and_is_whole_again_is_restorable_again():
    one = present(annotation="again", status=known("False", "FilesMissing", str(BROKEN), missing=2))
    after = told(one, WHOLE, "again")
    assert after.condition("Verified", "before").status == "True"
    assert after.condition("Restorable", "before").status == "True"
