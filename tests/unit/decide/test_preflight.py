"""Before a running job is stopped its new program is tried: what is waited for, refused, written down and left over."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from penstock.api import constants
from penstock.api.preflight import CheckResult, Preflight
from penstock.api.streamjob_status import LastError
from penstock.decide import preflight
from penstock.decide.change import spec_hash
from penstock.model import Observed, ProgramPod
from penstock.verdict import Verification, Verified
from tests.unit.builders import (
    FITS,
    NOW,
    RUN,
    checkpoint,
    ended,
    flink,
    job,
    listing,
    live,
    observed,
    retained,
    savepoint,
    stored,
)
from tests.unit.decide.moves import Moves, moves

AGGREGATE, SOURCE = "d" * 32, "e" * 32
STATEFUL = Verification(files=3, version=6, stateful=((AGGREGATE, "GroupAggregate[3]", 128), (SOURCE, "", 4)))
UPGRADE: dict[str, Any] = {"parallelism": 2}
RESTORE: dict[str, Any] = {"startFrom": {"checkpoint": {"name": "before"}}}
DROPPED = f"graph 3 1\n{AGGREGATE}"
FAILED = "failed\nSQL validation failed.\nObject 'nowhere' not found"


def seen(spec: dict[str, Any], status: dict[str, Any] | None = None, **more: Any) -> Observed:
    """A job that runs, with a new spec; the states that are asked for have the two operators."""
    annotations = more.pop("annotations", {})
    changed = job(status or live(), **spec)
    meta = changed.metadata.model_copy(update={"annotations": annotations})
    base: dict[str, Any] = {
        "checkpoints": (checkpoint(phase="Present"),),
        "listing": listing(stored(savepoint(1))),
        "programs": (),
    }
    found = observed(changed.model_copy(update={"metadata": meta}), **(base | more))
    read = {savepoint(1): STATEFUL, retained(7): STATEFUL}
    start = f"1/{RUN}"
    return replace(found, verified={where: Verified(NOW, what, start=start) for where, what in read.items()})


def record(of: Moves) -> Preflight:
    assert of.status.restore is not None
    found = of.status.restore.preflight or of.status.restore.dry_run
    assert found is not None
    return found


def told(of: Observed, found: Moves, *programs: ProgramPod) -> Observed:
    """The next pass, which has loaded what the one before has written."""
    assert of.job is not None
    return replace(of, job=of.job.model_copy(update={"status": found.status}), programs=programs)


def answered(of: Observed, answer: str) -> Moves:
    """What is done when the pod has given an answer."""
    first = moves(of)
    pod = ProgramPod(record(first).id, made=True, answer=answer, ended=True)
    return moves(told(of, first, pod))


def results(of: Moves) -> dict[str, str]:
    return {each.name: each.result.value for each in record(of).checks}


UNFIT = {
    "too wide": (f"wide {AGGREGATE} 8 4", "GroupAggregate[3] has a parallelism of 8"),
    "another max parallelism": (f"max {AGGREGATE} 8 4", "pipeline.max-parallelism"),
    "without a name": (f"wide {SOURCE} 8 4", SOURCE),
}


@pytest.mark.parametrize("spec", [UPGRADE, RESTORE], ids=["upgrade", "restore"])
@pytest.mark.parametrize(("line", "words"), UNFIT.values(), ids=UNFIT)
def test_a_state_that_cannot_be_split_as_the_program_wants_is_not_stopped_for(spec, line, words):
    """Seen as an upgrade that was stopped, failed, and was taken back."""
    found = answered(seen(spec), f"graph 3 0\n{line}")
    assert (found.intent, found.stalled) == ("", "ParallelismTooHigh")
    assert words in found.condition("Stalled").message
    assert results(found)["Split"] == "Failed"


def test_it_is_stopped_for_when_somebody_says_so():
    override = {"startFrom": {"override": ["ParallelismTooHigh"], "latest": {}}}
    found = answered(seen(UPGRADE | override), f"graph 3 0\nwide {AGGREGATE} 8 4")
    assert (found.intent, results(found)["Split"]) == ("Stop Savepoint", "Overridden")


# ---------------------------------------------------------------- the pod


@pytest.mark.parametrize("spec", [UPGRADE, RESTORE], ids=["upgrade", "restore"])
def test_first_it_is_written_down_then_the_pod_is_made_once_and_the_job_runs_on(spec: dict[str, Any]):
    of = seen(spec)
    first = moves(of)
    assert (first.intent, first.effects) == ("", ())
    assert record(first).asked_at == NOW
    second = moves(told(of, first))
    assert (second.intent, second.kinds) == ("", ["MakeGraph"])
    (effect,) = second.effects
    assert effect.operators == (f"{AGGREGATE}:128", f"{SOURCE}:4")
    third = moves(told(of, second, ProgramPod(record(first).id, made=True)))
    assert (third.intent, third.effects) == ("", ())
    assert "without executing it" in third.condition("Reconciling").message
    assert third.condition("Ready").status == "True"


def test_the_same_start_has_the_same_id_and_any_other_another():
    ids = [record(moves(seen(spec))).id for spec in (UPGRADE, UPGRADE, RESTORE)]
    assert ids[0] == ids[1] != ids[2]
    another = seen(UPGRADE)
    edited = another.job.model_copy(update={"metadata": another.job.metadata.model_copy(update={"generation": 2})})
    assert record(moves(replace(another, job=edited))).id != ids[0]


@pytest.mark.parametrize("spec", [UPGRADE, RESTORE], ids=["upgrade", "restore"])
def test_a_program_that_fits_is_stopped_for_and_its_pod_goes_in_the_next_pass(spec: dict[str, Any]):
    found = answered(seen(spec), FITS)
    assert (found.intent, found.effects) == ("Stop Savepoint", ())
    assert set(results(found).values()) <= {"Passed", "Skipped"}
    after = moves(told(seen(spec), found, ProgramPod(record(found).id, made=True, answer=FITS, ended=True)))
    assert "DeleteGraph" in after.kinds


def test_an_answer_that_is_there_counts_though_the_status_was_lost():
    of = seen(UPGRADE)
    pod = ProgramPod(record(moves(of)).id, made=True, answer=FITS, ended=True)
    assert moves(replace(of, programs=(pod,))).intent == "Stop Savepoint"


def test_what_nobody_waits_for_goes():
    pod = ProgramPod("c" * 32, made=True)
    assert moves(seen({}, programs=(pod,))).kinds == ["DeleteGraph"]


def test_a_change_that_is_taken_back_is_forgotten_with_its_pod():
    first = moves(seen(UPGRADE))
    pod = ProgramPod(record(first).id, made=True)
    back = seen({}, status=live(restore=first.status.restore))
    later = back.job.model_copy(update={"metadata": back.job.metadata.model_copy(update={"generation": 2})})
    found = moves(replace(back, job=later, programs=(pod,)))
    assert found.status.restore is None
    assert moves(told(replace(back, job=later), found, pod)).kinds == ["DeleteGraph"]


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize("spec", [UPGRADE, RESTORE], ids=["upgrade", "restore"])
def test_state_that_would_be_dropped_is_refused_by_name_before_the_stop(spec: dict[str, Any]):
    found = answered(seen(spec), DROPPED)
    assert (found.intent, found.stalled) == ("", "StateWouldBeDropped")
    message = found.condition("Stalled").message
    assert "1 operators" in message
    assert "GroupAggregate[3]" in message
    assert "override: [StateWouldBeDropped]" in message
    assert results(found)["Operators"] == "Failed"


def test_an_operator_without_a_name_is_told_by_its_id():
    found = answered(seen(UPGRADE), f"graph 3 7\n{AGGREGATE}\n{SOURCE}")
    assert f"GroupAggregate[3], {SOURCE} and 5 more" in found.condition("Stalled").message


@pytest.mark.parametrize("spec", [UPGRADE, RESTORE, {"parallelism": 2, "checkpoints": {"onUpgrade": "Stateless"}}])
def test_a_program_that_cannot_make_its_graph_is_refused_with_its_words(spec: dict[str, Any]):
    found = answered(seen(spec), FAILED)
    assert (found.intent, found.stalled) == ("", "ProgramFails")
    assert "Object 'nowhere' not found" in found.condition("Stalled").message


def test_a_pod_that_can_never_start_is_the_programs_fault():
    of = seen(UPGRADE)
    first = moves(of)
    pod = ProgramPod(record(first).id, made=True, troubles=("pod x: InvalidImageName",), hopeless=True)
    found = moves(told(of, first, pod))
    assert (found.intent, found.stalled) == ("", "ProgramFails")
    assert "InvalidImageName" in found.condition("Stalled").message


@pytest.mark.parametrize(
    ("override", "answer", "check"),
    [("StateWouldBeDropped", DROPPED, "Operators"), ("ProgramFails", FAILED, "Program")],
)
@pytest.mark.parametrize("start", [{"latest": {}}, {"checkpoint": {"name": "before"}}], ids=["upgrade", "restore"])
def test_each_refusal_can_be_overridden_alone(override: str, answer: str, check: str, start: dict[str, Any]):
    spec = UPGRADE | {"startFrom": start | {"override": [override]}}
    found = answered(seen(spec), answer)
    assert found.intent == "Stop Savepoint"
    assert results(found)[check] == "Overridden"
    other = {"StateWouldBeDropped": "ProgramFails", "ProgramFails": "StateWouldBeDropped"}[override]
    assert answered(seen(UPGRADE | {"startFrom": start | {"override": [other]}}), answer).intent == ""


def stopped_meanwhile(spec: dict[str, Any]) -> Moves:
    """What was refused is there still when the job has been stopped and is to run again."""
    refused = answered(seen(UPGRADE), FAILED).status
    status = dict(refused) | {"run": ended("STOPPED", run={"stop_reason": "Stop"})["run"], "intent": None}
    return moves(seen(spec, status, runs=(), flink=None))


def test_a_refused_change_is_not_started_for_want_of_a_running_job():
    """Seen: a stop and a start began what the preflight had refused, and the job was Failed."""
    found = stopped_meanwhile(UPGRADE)
    assert (found.intent, found.stalled) == ("", "ProgramFails")
    assert "Object 'nowhere' not found" in found.condition("Stalled").message
    assert "spec.restartToken" in found.condition("Stalled").message


@pytest.mark.parametrize(
    "spec",
    [
        {"parallelism": 3},
        UPGRADE | {"restartToken": "again"},
        UPGRADE | {"startFrom": {"latest": {}, "override": ["ProgramFails"]}},
        {},
    ],
    ids=["another change", "asked for again", "overridden", "taken back"],
)
def test_it_is_started_when_somebody_has_changed_what_is_asked_for(spec: dict[str, Any]):
    found = stopped_meanwhile(spec)
    assert (found.intent, found.status.refused) == ("Start", None)


LAKE = """CREATE CATALOG lake WITH ('type'='iceberg');
DROP TABLE IF EXISTS lake.db.t;
INSERT INTO lake.db.t SELECT * FROM s;"""
NO_JOB = "failed\nthe program ended without having submitted a job: it needs an INSERT"


@pytest.mark.parametrize(
    ("answer", "intent"), [(NO_JOB, "Stop Savepoint"), ("graph 1 0", "Stop Savepoint"), (FAILED, "")], ids=str
)
def test_what_changes_a_catalog_is_not_tried_and_not_refused(answer: str, intent: str):
    """The trial ran beside the job, and dropped the table that it was writing to."""
    found = answered(seen({"job": {"sql": {"script": LAKE}}}), answer)
    assert found.intent == intent
    if intent:
        assert "PreflightUnknown" in found.events
        told = record(found).program.trouble
        assert "tried up to line 2 only: DROP TABLE IF EXISTS lake.db.t would have been carried out" in told
    else:
        assert found.stalled == "ProgramFails"  # it failed before that line


@pytest.mark.parametrize("wish", [{}, RESTORE], ids=["a new version", "and a start from a Checkpoint"])
def test_a_run_that_is_lost_goes_on_as_it_was_while_the_spec_asks_for_what_was_refused(wish: dict[str, Any]):
    """A node that goes must not be what brings a change in that cannot work; nor is the wish forgotten."""
    spec = UPGRADE | wish
    refused = answered(seen(spec), FAILED).status
    lost = dict(refused) | {"run": ended("LOST", run={"stop_reason": "Recover"})["run"], "intent": None}
    of = seen(spec, lost, runs=(), flink=None, listing=listing(stored(savepoint(1)), stored(retained(7), 7)))
    found = moves(of)
    intent = found.status.intent
    assert (found.intent, intent.job_version, intent.spec_hash) == ("Start", 1, spec_hash(job().spec))
    assert (intent.started_from.location, intent.applied) == (retained(7), None)
    goes = moves(told(of, found))
    assert goes.kinds == ["RecordRevision", "GrantPermit"]
    assert (goes.status.applied.start_from, goes.status.refused) == ({"latest": {}}, refused.refused)


@pytest.mark.parametrize("end", ["FAILED", "CANCELED", "FINISHED"])
def test_a_run_that_has_ended_for_good_is_not_begun_again_for_a_start_that_was_refused(end: str):
    """That start stays asked for: the version before would be begun again and again for it, without a pause."""
    refused = answered(seen(RESTORE), FAILED).status
    status = dict(refused) | {"run": ended(end, run={"stop_reason": end})["run"], "intent": None}
    assert moves(seen(RESTORE, status, runs=(), flink=None)).intent == ""


# ---------------------------------------------------------------- when nobody knows


def test_no_answer_in_time_stops_nothing_and_is_said_once():
    of = seen(UPGRADE)
    first = moves(of)
    pod = ProgramPod(record(first).id, made=True, made_at=NOW, troubles=("pod x: Unschedulable",))
    late = replace(told(of, first, pod), now=NOW + timedelta(minutes=4))
    found = moves(late)
    assert found.intent == "Stop Savepoint"
    assert found.events.count("PreflightUnknown") == 1
    assert results(found) == {"Program": "Unknown", "Operators": "Unknown"}


def test_the_time_counts_from_when_the_pod_was_made_unless_that_is_in_vain():
    of = seen(UPGRADE)
    first = moves(of)
    late = replace(told(of, first), now=NOW + timedelta(hours=1))
    assert moves(late).kinds == ["MakeGraph"]
    error = LastError(time=NOW, reason="Forbidden", message="exceeded quota")
    refused = first.status.model_copy(update={"last_error": error})
    assert moves(replace(late, job=of.job.model_copy(update={"status": refused}))).intent == "Stop Savepoint"


def test_a_process_that_dies_without_an_answer_says_nothing_of_the_program():
    of = seen(UPGRADE)
    first = moves(of)
    found = moves(told(of, first, ProgramPod(record(first).id, made=True, ended=True, troubles=("OOMKilled (137)",))))
    assert found.intent == "Stop Savepoint"
    assert "OOMKilled" in record(found).checks[0].message


def test_a_checkpoint_that_flink_takes_away_is_replaced_by_the_next():
    of = seen(UPGRADE)
    first = moves(replace(of, verified={}))
    assert (record(first).location, record(first).asked_at) == (retained(7), None)
    gone = {retained(7): Verified(NOW, Verification(unreadable="there is none", gone=True), start=f"1/{RUN}")}
    newer = first.status.model_copy(update={"retained_checkpoints": (), "restore": first.status.restore})
    later = newer.model_copy(
        update={"latest_checkpoint": newer.latest_checkpoint.model_copy(update={"location": retained(8)})}
    )
    found = moves(replace(told(of, first), job=of.job.model_copy(update={"status": later}), verified=gone, flink=None))
    assert record(found).location == retained(8)


# ---------------------------------------------------------------- when it is not done


def test_a_job_without_a_checkpoint_has_nothing_to_lose():
    found = moves(seen(UPGRADE, status=live(latest_checkpoint=None), flink=flink(completed=None)))
    assert found.intent.startswith("Stop")
    assert found.status.restore is None


@pytest.mark.parametrize("spec", [{"state": "Stopped"}, {"restartToken": "again"}, {"serviceAccountName": "other"}])
def test_what_runs_the_same_program_is_not_looked_at(spec: dict[str, Any]):
    found = moves(seen(spec))
    assert found.intent.startswith("Stop")
    assert found.status.restore is None


def test_a_refused_state_is_written_down_without_a_pod():
    found = moves(seen({"startFrom": {"checkpoint": {"name": "nowhere"}}}))
    assert found.stalled == "CheckpointNotFound"
    assert [(each.name, each.result, each.reason) for each in record(found).checks] == [
        ("State", CheckResult.FAILED, "CheckpointNotFound")
    ]


# ---------------------------------------------------------------- a dry run

ASKED = {constants.PREFLIGHT: "before 1"}


def test_a_dry_run_is_answered_and_nothing_else_is_done():
    found = answered(seen({}, annotations=ASKED), DROPPED)
    assert (found.intent, found.stalled) == ("", "")
    answer = found.status.restore.dry_run
    assert (answer.text, answer.request, answer.time) == ("before", "before 1", NOW)
    assert results(found) == {
        "State": "Passed",
        "Files": "Passed",
        "Version": "Passed",
        "Parallelism": "Passed",
        "Sources": "Skipped",
        "Program": "Passed",
        "Operators": "Failed",
        "Split": "Passed",
    }


def test_a_dry_run_that_is_answered_is_not_made_again():
    of = seen({}, annotations=ASKED)
    found = answered(of, FITS)
    again = moves(replace(told(of, found), now=NOW + timedelta(hours=1)))
    assert again.effects == ()
    assert again.status.restore == found.status.restore


@pytest.mark.parametrize("text", ["nowhere 1", "NOT_A_NAME 1"])
def test_a_dry_run_of_what_is_not_there_is_answered_at_once(text: str):
    found = moves(seen({}, annotations={constants.PREFLIGHT: text}))
    assert results(found) == {"State": "Failed"}


def test_a_dry_run_and_a_refused_change_do_not_wait_for_each_other():
    refused = answered(seen(UPGRADE), DROPPED)
    asks = seen(UPGRADE, status=live(restore=refused.status.restore), annotations=ASKED)
    first = moves(asks)
    assert first.stalled == "StateWouldBeDropped"
    dry = first.status.restore.dry_run
    assert dry.asked_at == NOW
    found = moves(told(asks, first, ProgramPod(dry.id, made=True, answer=FITS, ended=True)))
    assert found.stalled == "StateWouldBeDropped"
    assert found.status.restore.preflight == refused.status.restore.preflight
    assert all(each.result.value in ("Passed", "Skipped") for each in found.status.restore.dry_run.checks)


def test_what_a_dry_run_is_about_is_read_and_listed():
    assert savepoint(1) in [wish.location for wish in preflight.wishes(seen({}, annotations=ASKED))]
    assert preflight.wishes(seen({})) == ()
