"""Rules that hold in every position: intent before effect, Unknown is not Failed, no exception, no needless write."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from penstock import model
from penstock.decide import decide
from penstock.decide.needs import needs
from penstock.flink.answers import Completed, InProgress, NotTriggered, TriggerFailed
from penstock.model import Decision, JobListing, Manager, Observed, TargetListing, Unknown
from tests.unit.builders import (
    BEFORE,
    FRESH_RUN,
    NOW,
    OLD_RUN,
    PLACE,
    RUN,
    checkpoint,
    complete,
    deleting,
    ended,
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
    start_intent,
    started_from,
    stats,
    stop_intent,
    store,
    stored,
    teardown_intent,
)
from tests.unit.decide.rules import objection

RULES = settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
times = st.sampled_from([BEFORE, NOW - timedelta(minutes=10), NOW - timedelta(seconds=5), NOW])
methods = st.sampled_from(["Savepoint", "Cancel", "Kill"])
reasons = st.sampled_from(["Stop", "Upgrade", "Restore", "Restart", "Delete", "Recover"])
wishes = st.sampled_from([None, {"latest": {}}, {"empty": {}}, {"checkpoint": {"name": "c1"}}])
ends = st.sampled_from(["FINISHED", "STOPPED", "CANCELED", "FAILED", "LOST"])
began = st.sampled_from(
    [started_from(), started_from(savepoint(1)), started_from(retained(3, OLD_RUN), kind="Retained")]
)

SCHEDULES = [
    {"cron": "0 * * * *"},
    {"cron": "0 * * * *", "missed": "RunOnce"},
    {"cron": "0 * * * *", "suspend": True},
    {"cron": "99 * * * *"},
]
_DUE = {"followed": "0 * * * * UTC", "last_time": NOW - timedelta(hours=1), "next_time": NOW}
_DECIDED = {"last_time": NOW, "next_time": NOW + timedelta(hours=1), "creating": "flights-schedule-202601311200"}
MEMORIES = [None, _DUE, _DUE | _DECIDED, _DUE | _DECIDED | {"creating": "c1"}]

intents = st.one_of(
    st.none(),
    st.builds(start_intent, began, permitted=st.booleans(), job_version=st.sampled_from([1, 2])),
    st.builds(
        stop_intent,
        methods,
        reasons,
        deadline=st.sampled_from([NOW - timedelta(seconds=1), NOW + timedelta(minutes=1)]),
        next_start_from=wishes,
    ),
    st.builds(teardown_intent, ends, deadline=st.sampled_from([NOW, NOW + timedelta(minutes=1)])),
)


@st.composite
def stream_jobs(draw: Any) -> Any:
    state = draw(st.sampled_from(["new", "live", "starting", "ended"]))
    intent = draw(intents)
    made: dict[str, Any]
    if state == "new":
        made = {"intent": intent if intent is None or intent.kind == "Start" else None}
    elif state == "ended":
        made = ended(draw(ends), intent=intent if intent is None or intent.kind == "Start" else None)
    else:
        made = live(
            draw(began),
            run={"confirmed": state == "live"},
            latest_checkpoint=None if state == "starting" else live()["latest_checkpoint"],
            intent=intent if intent is None or intent.kind != "Start" else None,
            next_stop_attempt_at=draw(st.sampled_from([None, NOW, NOW + timedelta(seconds=9)])),
        )
    change: dict[str, Any] = {"checkpoints": {}}
    if draw(st.booleans()):
        change["state"] = "Stopped"
    if draw(st.booleans()):
        change["parallelism"] = 2
    change["startFrom"] = draw(wishes) or {"latest": {}}
    change["checkpoints"]["onUpgrade"] = draw(st.sampled_from(["Savepoint", "LatestCheckpoint", "Stateless"]))
    change["checkpoints"]["ifSavepointFails"] = draw(st.sampled_from(["Refuse", "LatestCheckpoint"]))
    change["checkpoints"]["retention"] = {"numRetained": 1, "maxAge": draw(st.sampled_from(["1m", "24h"]))}
    if draw(st.booleans()):
        change["checkpoints"]["schedule"] = draw(st.sampled_from(SCHEDULES))
    made["schedule"] = draw(st.sampled_from(MEMORIES))
    change["onDelete"] = {"checkpoints": draw(st.sampled_from(["Retain", "Delete"]))}
    finalizers = ("penstock.dev/run",) if draw(st.integers(0, 9)) else ()
    deleted = draw(st.sampled_from([None, None, NOW, NOW - timedelta(minutes=11)]))
    return job(made, finalizers=finalizers, deleted=deleted, **change)


@st.composite
def checkpoint_sets(draw: Any) -> tuple[Any, ...]:
    found = []
    for number in range(1, draw(st.integers(0, 3)) + 1):
        phase = draw(
            st.sampled_from([None, "Pending", "Creating", "Present", "Present", "Cleared", "Timeout", "Failed"])
        )
        told = deleting() if draw(st.booleans()) and phase not in (None, "Pending") else {}
        if phase == "Timeout":
            told["settled"] = draw(st.booleans())
        if phase == "Creating":
            told["run"] = draw(st.sampled_from([RUN, OLD_RUN]))
        source = draw(st.sampled_from(["Manual", "Stop", "Upgrade", "Schedule"]))
        found.append(
            checkpoint(
                "flights-stop" if source == "Stop" and number == 1 else f"c{number}",
                number,
                phase,
                told,
                source=source,
                pinned=draw(st.booleans()),
                deletionPolicy=draw(st.sampled_from(["Delete", "Delete", "Retain"])),
                deleted=draw(st.sampled_from([None, None, NOW])),
                created=draw(times),
                finalizers=("penstock.dev/data",) if draw(st.integers(0, 9)) else (),
            )
        )
    return tuple(found)


runs = st.lists(
    st.builds(
        run_objects,
        st.sampled_from([RUN, OLD_RUN, FRESH_RUN]),
        manager=st.sampled_from(list(Manager)),
        permit=st.booleans(),
        missing=st.sampled_from([(), ("Job/x",)]),
        pods=st.integers(0, 2),
        objects=st.sampled_from([0, 5]),
    ),
    max_size=2,
    unique_by=lambda each: each.run,
).map(tuple)
answers = st.sampled_from(
    [
        flink(),
        flink(restored=restored(savepoint(1))),
        flink(all_running=False),
        flink("RESTARTING"),
        flink("FINISHED"),
        flink("FINISHED", completed=stats(8, savepoint(1), savepoint=True)),
        flink("FAILED"),
        flink("CANCELED"),
        Unknown("time-out"),
        None,
    ]
)
listings = st.sampled_from(
    [
        JobListing(),
        JobListing((), any_directory=True),
        listing(stored(savepoint(1), 1), stored(retained(7), 7), stored(retained(9, OLD_RUN), 9)),
        listing(stored(savepoint(1), 1, note={"checkpoint": "c1"})),
        Unknown("time-out"),
    ]
)
triggers = st.sampled_from([InProgress(), NotTriggered(), TriggerFailed("no"), Unknown("x"), Completed(savepoint(1))])


def targets(number: int) -> st.SearchStrategy[Any]:
    left = TargetListing(None, ("team/left",), 1)
    return st.sampled_from([TargetListing(), left, complete(number), complete(number, partial=("x",)), Unknown("x")])


@st.composite
def positions(draw: Any) -> Observed:
    stream_job = draw(stream_jobs())
    checkpoints, objects = draw(checkpoint_sets()), draw(runs)
    wanted = needs(stream_job, checkpoints, objects)
    numbers = {each.metadata.name: int(each.metadata.uid[-1]) for each in checkpoints}
    return observed(
        stream_job,
        checkpoints=checkpoints,
        runs=objects,
        namespace_terminating=draw(st.integers(0, 6)) == 0,
        revisions=tuple(revision(version) for version in draw(st.sampled_from([(), (1,), (1, 2)]))),
        flink=draw(answers) if wanted.flink else None,
        triggers={name: draw(triggers) for name in wanted.triggers},
        listing=draw(listings) if wanted.listing else None,
        targets={name: draw(targets(numbers[name])) for name in wanted.targets},
        job_result=draw(st.sampled_from([None, "FINISHED", "CANCELED", Unknown("x")])) if wanted.job_result else None,
        store=draw(st.sampled_from([model.StoreView(PLACE, store()), model.StoreView(problem="not Ready")])),
    )


def effects(decision: Decision) -> list[model.Effect]:
    return [effect for step in decision.steps for effect in step.effects]


@RULES
@given(positions())
def test_no_effect_without_its_intent_in_the_status_that_was_loaded(position):
    for effect in effects(decide(position)):
        assert objection(position, effect) == ""


@RULES
@given(positions())
def test_the_same_position_gives_the_same_decision(position):
    assert decide(position) == decide(position)


@RULES
@given(positions())
def test_a_status_reads_back_as_it_was_written(position):
    for step in decide(position).steps:
        if step.status is not None:
            written = step.status.model_dump(mode="json", by_alias=True, exclude_none=True)
            read = type(step.status).model_validate(written)
            assert read.model_dump(mode="json", by_alias=True, exclude_none=True) == written


@RULES
@given(positions())
def test_whatever_is_decided_is_decided_again_or_done(position):
    """A pass with an effect, an intent or something in flight always has a next pass."""
    decision = decide(position)
    statuses = [step.status for step in decision.steps if step.status is not None]
    flying = any(getattr(each, "intent", None) or str(getattr(each, "phase", "")) == "Creating" for each in statuses)
    lasting = [each for each in effects(decision) if not isinstance(each, model.SetFinalizer | model.DeletePods)]
    ours = position.job is not None and "penstock.dev/run" in position.job.metadata.finalizers
    if flying or (lasting and ours):
        gone = any(isinstance(each, model.SetFinalizer) and not each.present for each in effects(decision))
        forgotten = all(isinstance(each, model.DeleteCheckpoint) for each in lasting)
        assert decision.after_seconds is not None or gone or forgotten


@RULES
@given(positions())
def test_when_nobody_answers_nothing_is_deleted_started_or_redeployed(position):
    """Everything Unknown: what is left are repairs and what was decided before on what was known then."""
    silent = replace(
        position,
        flink=Unknown("x"),
        listing=Unknown("x"),
        job_result=Unknown("x"),
        targets=dict.fromkeys(position.targets, Unknown("x")),
        triggers=dict.fromkeys(position.triggers, Unknown("x")),
    )
    assume(silent.job is None or not silent.job.metadata.terminating)
    for effect in effects(decide(silent)):
        assert not isinstance(
            effect,
            model.DeleteCheckpointData | model.DeleteJobData | model.DeleteKeys | model.TriggerSavepoint,
        )
    loaded = position.job.status.intent if position.job else None
    told = next((step.status for step in decide(silent).steps if step.owner == ""), None)
    if told is not None and loaded is None and told.intent is not None:
        # A start from nothing needs nobody; a stop without a savepoint was asked for by the spec.
        assert told.intent.kind == "Stop" or told.intent.started_from.kind == "Empty"


@RULES
@given(positions())
def test_nothing_is_touched_in_a_namespace_that_goes_or_when_a_kind_does(position):
    dying = (replace(position, namespace_terminating=True), replace(position, kinds_going=frozenset({"Checkpoint"})))
    for effect in (each for ends in dying for each in effects(decide(ends))):
        assert not isinstance(
            effect,
            model.DeleteCheckpointData
            | model.DeleteJobData
            | model.DeleteHighAvailability
            | model.TriggerSavepoint
            | model.CreateCheckpoint
            | model.GrantPermit
            | model.WriteNote,
        )
