"""Positions of a job that runs, whose sources may soon have lost what it needs."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from penstock.api.base import dump
from penstock.api.streamjob import StreamJob
from penstock.decide.standing import wishes
from penstock.model import Observed
from penstock.source.answers import Measured, Partition, Topic
from penstock.source.held import Held, SourceWish
from penstock.verdict import Positions
from tests.unit.builders import (
    BEFORE,
    NAMESPACE,
    NOW,
    RUN,
    ended,
    flink,
    idle,
    job,
    live,
    observed,
    retained,
    savepoint,
    start_intent,
    started_from,
    stop_intent,
)
from tests.unit.decide.moves import Moves, moves

HOUR = 3_600_000
SOURCES: dict[str, Any] = {"sources": [{"name": "flights", "kafka": {"connection": "kafka", "topics": ["flights"]}}]}
GENERIC: dict[str, Any] = {"sources": [{"name": "events", "generic": {"retention": "1h"}}]}


def topic(retention: int | None = 100 * HOUR, *, policy: str = "delete", earliest: int = 100) -> Topic:
    parts = (Partition(0, 0, 1000), Partition(1, earliest, 1000))
    return Topic("flights", parts, retention_millis=retention, cleanup_policy=frozenset({policy}))


def young(eighty: int, ninety: int = 0, ninety_five: int = 0) -> dict[int, dict[tuple[str, int], int]]:
    """From which offset of partition 1 on records are younger than these shares of the retention."""
    return {80: {("flights", 1): eighty}, 90: {("flights", 1): ninety}, 95: {("flights", 1): ninety_five}}


def at(offset: int) -> Positions:
    return Positions({("flights", 1): offset})


def running(**spec: Any) -> Observed:
    return observed(job(live(), **(SOURCES | spec)))


def answered(seen: Observed, *answers: dict[str, Any]) -> Moves:
    asked = wishes(seen)
    given = answers or ({},)
    held = {wish: Held(wish, NOW, **answer) for wish, answer in zip(asked, given, strict=True)}
    return moves(replace(seen, held=held))


def told(found: Moves) -> tuple[str, str]:
    condition = found.condition("SourcesAtRisk")
    return condition.status, condition.reason


def again(found: Moves, seen: Observed) -> Observed:
    """The next pass, with the status that was written."""
    assert seen.job is not None
    stored = seen.job.model_copy(update={"status": found.status})
    return replace(seen, job=StreamJob.model_validate(dump(stored)), now=seen.now + timedelta(minutes=5))


def calm() -> dict[str, Any]:
    return {"measured": Measured((topic(),), younger=young(200)), "positions": at(500)}


# ---------------------------------------------------------------- what is measured


def test_a_run_that_lives_is_watched():
    (wish,) = wishes(running())
    assert wish == SourceWish(NAMESPACE, "kafka", ("flights",), watched=RUN)
    assert wish.state == retained(7)


@pytest.mark.parametrize(
    ("seen", "state"),
    [
        (observed(job(live(), **SOURCES), flink=flink(completed=None)), retained(7)),
        (observed(job(live(started_from(savepoint(1)), latest_checkpoint=None), **SOURCES), flink=None), savepoint(1)),
        (observed(job(live(latest_checkpoint=None), **SOURCES), flink=None), ""),
    ],
    ids=["Flink does not say", "none yet", "started empty"],
)
def test_of_its_newest_state(seen: Observed, state: str):
    assert [wish.state for wish in wishes(seen)] == [state]


@pytest.mark.parametrize(
    "seen",
    [
        running(sources=[]),
        running(**GENERIC),
        observed(job(live(run={"confirmed": False}), **SOURCES)),
        observed(job(live(intent=stop_intent()), **SOURCES)),
        idle(job(ended("STOPPED"), state="Stopped", **SOURCES)),
        observed(job(live(), deleted=NOW, **SOURCES)),
    ],
    ids=["none", "cannot be asked", "comes up", "stops", "stopped", "is deleted"],
)
def test_nothing_else_is_measured(seen: Observed):
    assert wishes(seen) == ()


# ---------------------------------------------------------------- what is said

NEAR = {
    "at 80 %": (young(501), "80 % of the retention of 100h: less than 20h are left"),
    "at 90 %": (young(900, 501), "90 % of the retention of 100h: less than 10h are left"),
    "at 95 %": (young(900, 700, 600), "95 % of the retention of 100h: less than 5h are left"),
}


@pytest.mark.parametrize(("younger", "words"), NEAR.values(), ids=NEAR)
def test_near(younger: dict[int, dict[tuple[str, int], int]], words: str):
    found = answered(running(), {"measured": Measured((topic(),), younger=younger), "positions": at(500)})
    assert told(found) == ("True", "NearRetention")
    message = found.condition("SourcesAtRisk").message
    assert message.startswith("spec.sources[flights].kafka: topic flights, partition 1: what the newest checkpoint")
    assert words in message
    assert found.events == ("NearRetention",)


FINE = {
    "younger": (topic(), young(500), at(500)),
    "read to the end": (topic(), young(1000, 1000, 1000), at(1000)),
    "kept for ever": (topic(None), {}, at(500)),
    "compacted": (topic(HOUR, policy="compact"), {}, at(500)),
    "nothing read yet": (topic(), young(900), at(-2)),
    "no positions": (topic(), young(900), Positions({}, 4)),
    "another topic's": (topic(), young(900), Positions({("others", 1): 0})),
    "the earliest": (topic(), young(0), at(100)),
}


@pytest.mark.parametrize(("held", "younger", "positions"), FINE.values(), ids=FINE)
def test_nothing_is_wrong(held: Topic, younger: Any, positions: Positions):
    found = answered(running(), {"measured": Measured((held,), younger=younger), "positions": positions})
    assert (told(found), found.events) == (("False", "Held"), ())


@pytest.mark.parametrize(
    ("offset", "words"),
    [(90, "10 or more records are gone"), (0, "100 or more records are gone"), (99, "1 or more records are gone")],
)
def test_gone(offset: int, words: str):
    found = answered(running(), {"measured": Measured((topic(),), younger=young(900)), "positions": at(offset)})
    assert told(found) == ("True", "OffsetsExpired")
    assert words in found.condition("SourcesAtRisk").message
    assert found.events == ("OffsetsExpired",)


def test_a_topic_made_anew_is_gone():
    found = answered(running(), {"measured": Measured((topic(),)), "positions": at(2000)})
    assert told(found) == ("True", "OffsetsExpired")


@pytest.mark.parametrize(("retention", "short"), [(HOUR, True), (2 * HOUR, False), (None, False)])
def test_a_retention_shorter_than_the_window(retention: int | None, short: bool):  # noqa: FBT001
    found = answered(running(window="2h"), calm() | {"measured": Measured((topic(retention),))})
    assert told(found) == (("True", "RetentionShorterThanWindow") if short else ("False", "Held"))
    message = found.condition("SourcesAtRisk").message
    assert ("topic flights keeps 1h, less than spec.window, 2h" in message) is short


def test_a_compacted_topic_is_not_kept_by_time():
    found = answered(running(window="2h"), calm() | {"measured": Measured((topic(HOUR, policy="compact"),))})
    assert told(found) == ("False", "Held")


@pytest.mark.parametrize(("window", "short"), [("2h", True), ("1h", False)])
def test_a_retention_that_is_declared(window: str, short: bool):  # noqa: FBT001
    found = moves(running(window=window, **GENERIC))
    assert told(found) == (("True", "RetentionShorterThanWindow") if short else ("False", "Held"))
    message = found.condition("SourcesAtRisk").message
    assert ("spec.sources[events].generic.retention: events keeps 1h" in message) is short


def test_without_a_window_what_is_declared_says_nothing():
    assert all(each.type != "SourcesAtRisk" for each in moves(running(**GENERIC)).status.conditions)


def test_the_worst_is_the_reason_and_the_rest_is_said():
    parts = (Partition(0, 400, 1000), Partition(1, 100, 1000))
    measured = Measured((Topic("flights", parts, retention_millis=HOUR),), younger=young(501))
    positions = Positions({("flights", 0): 10, ("flights", 1): 500})
    found = answered(running(window="2h"), {"measured": measured, "positions": positions})
    assert told(found) == ("True", "OffsetsExpired")
    first, second, third = found.condition("SourcesAtRisk").message.split("; ")
    assert "partition 0 does not hold" in first
    assert "partition 1: what the newest checkpoint goes on with is older than 80 %" in second
    assert "keeps 1h, less than spec.window" in third


def test_of_many_partitions_a_few_are_named():
    parts = tuple(Partition(number, 10, 1000) for number in range(9))
    measured = Measured((Topic("flights", parts, HOUR),))
    positions = Positions({("flights", number): 1 for number in range(9)})
    message = answered(running(), {"measured": measured, "positions": positions}).condition("SourcesAtRisk").message
    assert (message.count("does not hold"), "and 6 more partitions" in message) == (3, True)


# ---------------------------------------------------------------- when it is not known


def test_without_an_answer_nothing_is_said():
    found = moves(running())
    assert all(each.type != "SourcesAtRisk" for each in found.status.conditions)


@pytest.mark.parametrize("answer", [{"trouble": "no broker answers"}, {"problem": "no broker answers"}])
def test_a_broker_that_does_not_answer(answer: dict[str, Any]):
    found = answered(running(), answer)
    assert (told(found), found.events) == (("Unknown", "NotMeasured"), ())
    assert found.condition("SourcesAtRisk").message == "no broker answers"


def test_a_topic_that_the_broker_does_not_know():
    found = answered(running(), {"measured": Measured((), ("flights",)), "positions": at(500)})
    assert told(found) == ("Unknown", "NotMeasured")
    assert found.condition("SourcesAtRisk").message == "connection kafka: the broker does not know flights"


def test_what_is_at_risk_stays_so_while_nobody_answers():
    seen = running()
    risky = answered(seen, {"measured": Measured((topic(),)), "positions": at(0)})
    found = answered(again(risky, seen), {"trouble": "no broker answers"})
    assert (told(found), found.events) == (("True", "OffsetsExpired"), ())


def test_a_state_that_was_taken_away_before_it_was_read_says_nothing():
    seen = running()
    risky = answered(seen, {"measured": Measured((topic(),)), "positions": at(0)})
    found = answered(again(risky, seen), {"measured": Measured((topic(),))})
    assert told(found) == ("True", "OffsetsExpired")


def test_two_sources_are_told_of_together():
    two = [*SOURCES["sources"], {"name": "more", "kafka": {"connection": "other", "topics": ["more"]}}]
    seen = running(sources=two)
    first, second = wishes(seen)
    half = moves(replace(seen, held={first: Held(first, NOW, **calm())}))
    assert all(each.type != "SourcesAtRisk" for each in half.status.conditions)
    more = Measured((Topic("more", (Partition(0, 5, 9),)),))
    found = answered(seen, calm(), {"measured": more, "positions": Positions({("more", 0): 1})})
    assert second.topics == ("more",)
    assert "spec.sources[more].kafka: topic more, partition 0" in found.condition("SourcesAtRisk").message
    silent = answered(seen, calm(), {"trouble": "no answer"})
    assert told(silent) == ("Unknown", "NotMeasured")


# ---------------------------------------------------------------- how often it is written


def test_what_has_only_moved_a_little_is_not_written_again():
    seen = running()
    near = answered(seen, {"measured": Measured((topic(),), younger=young(700)), "positions": at(500)})
    later = again(near, seen)
    moved = {"measured": Measured((topic(earliest=120),), younger=young(720)), "positions": at(510)}
    found = answered(later, moved)
    assert later.job is not None
    assert (found.status.conditions, found.events) == (later.job.status.conditions, ())
    gone = answered(seen, {"measured": Measured((topic(earliest=1000),)), "positions": at(100)})
    later = again(gone, seen)
    found = answered(later, {"measured": Measured((topic(earliest=1050),)), "positions": at(110)})
    assert later.job is not None
    assert (found.status.conditions, found.events) == (later.job.status.conditions, ())


def test_each_change_of_the_reason_is_an_event():
    seen = running()
    fine = answered(seen, calm())
    near = answered(again(fine, seen), {"measured": Measured((topic(),), younger=young(501)), "positions": at(500)})
    gone = answered(again(near, seen), {"measured": Measured((topic(),)), "positions": at(0)})
    back = answered(again(gone, seen), calm())
    assert [each.events for each in (fine, near, gone, back)] == [
        (),
        ("NearRetention",),
        ("OffsetsExpired",),
        ("SourcesHeld",),
    ]
    assert told(back) == ("False", "Held")


# ---------------------------------------------------------------- when it ends

AT_RISK = {"type": "SourcesAtRisk", "status": "True", "reason": "NearRetention", "lastTransitionTime": BEFORE}


def has_it(found: Moves) -> bool:
    return any(each.type == "SourcesAtRisk" for each in found.status.conditions)


def test_a_job_that_does_not_run_or_declares_nothing_more_has_none():
    stopped = job(ended("STOPPED", conditions=[AT_RISK]), state="Stopped", **SOURCES)
    assert not has_it(moves(idle(stopped)))
    assert not has_it(moves(observed(job(live(conditions=[AT_RISK])))))


def test_one_that_stops_or_starts_or_comes_up_keeps_it():
    assert has_it(moves(observed(job(live(intent=stop_intent(), conditions=[AT_RISK]), **SOURCES))))
    starts = idle(job(ended("LOST", intent=start_intent(), conditions=[AT_RISK]), **SOURCES))
    assert has_it(moves(starts))
    up = observed(job(live(run={"confirmed": False}, conditions=[AT_RISK]), **SOURCES), flink=flink("CREATED"))
    assert has_it(moves(up))


def test_it_disturbs_nothing():
    """The job is Ready as before, is not woken earlier, and nothing is done."""
    seen = running()
    plain = moves(observed(job(live())))
    found = answered(seen, {"measured": Measured((topic(),)), "positions": at(0)})
    assert (found.effects, found.intent, found.stalled, found.wake) == (plain.effects, "", "", plain.wake)
    assert found.condition("Ready") == plain.condition("Ready")
