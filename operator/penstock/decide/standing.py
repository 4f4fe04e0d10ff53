"""A job that runs, and sources that may soon have lost what it needs: the standing condition SourcesAtRisk. Pure.

Measured now and then, and decided from one answer: where the newest checkpoint goes on, what the broker holds, and from
which offsets on its records are younger than some shares of the retention. Nothing is ever done about it. The words of
the condition move in steps, since each change of them is a write; the event of a change has the exact figures.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from penstock.api import constants
from penstock.api.conditions import find_condition, remove_condition
from penstock.api.duration import format_duration, parse_duration
from penstock.api.sources import JobSource
from penstock.api.streamjob import StreamJobSpec
from penstock.decide import coverage
from penstock.decide.draft import Draft
from penstock.decide.expiry import OFFSETS_EXPIRED
from penstock.decide.measured import few, field_of
from penstock.decide.needs import live_run
from penstock.flink.answers import FlinkJob
from penstock.model import Observed
from penstock.source.answers import Measured, Topic
from penstock.source.held import Held, SourceWish

NEAR = "NearRetention"
TOO_SHORT = "RetentionShorterThanWindow"
_WORST_FIRST = (OFFSETS_EXPIRED, NEAR, TOO_SHORT)
_ALL_OF_IT = 100


@dataclass(frozen=True)
class _Finding:
    reason: str
    message: str
    """For the condition: no figure in it that changes at each look."""
    exact: str = ""
    """For an event."""


def wishes(observed: Observed) -> tuple[SourceWish, ...]:
    """What is to be measured now and then for the run that lives."""
    job, run = observed.job, live_run(observed.job)
    if job is None or run is None or not run.confirmed or job.metadata.terminating or job.status.intent is not None:
        return ()
    space, state = job.metadata.namespace, _newest(observed)
    return tuple(
        SourceWish(space, source.kafka.connection, tuple(source.kafka.topics), watched=run.id, state=state)
        for source in job.spec.sources
        if source.kafka is not None
    )


def _newest(observed: Observed) -> str:
    """The state that the run would go on from if it failed now; empty when that is none."""
    flink, status = observed.flink, observed.job.status if observed.job is not None else None
    if isinstance(flink, FlinkJob) and flink.completed is not None:
        return flink.completed.path
    if status is not None and status.latest_checkpoint is not None:
        return status.latest_checkpoint.location
    began = status.started_from if status is not None else None
    return (began.location if began is not None else None) or ""


def proceed(draft: Draft) -> None:
    """Set the condition from the newest answers; without them it stays as it is."""
    run = live_run(draft.job)
    if draft.status.intent is not None or (run is not None and not run.confirmed):
        return
    if run is None or not draft.job.spec.sources:
        kept = remove_condition(draft.status.conditions, constants.SOURCES_AT_RISK)
        if kept != draft.status.conditions:
            draft.set(conditions=kept)
        return
    asked = wishes(draft.observed)
    answers = [held for wish in asked if (held := draft.observed.held.get(wish)) is not None]
    if len(answers) == len(asked) and all(_is_whole(held) for held in answers):
        _tell(draft, answers)


def _is_whole(held: Held) -> bool:
    """A state that was taken away before it could be read says nothing; the next one is read next time."""
    return held.measured is None or held.positions is not None


def _tell(draft: Draft, answers: list[Held]) -> None:
    found = list(_findings(draft.job.spec, answers))
    before = find_condition(draft.status.conditions, constants.SOURCES_AT_RISK)
    at_risk = before is not None and before.status == "True"
    silent = [why for held in answers if (why := _silence(held))]
    if found:
        worst = next(reason for reason in _WORST_FIRST if any(each.reason == reason for each in found))
        parts = [few([each.message for each in found if each.reason == reason]) for reason in _WORST_FIRST]
        message = "; ".join(filter(None, parts))
        draft.job_condition(constants.SOURCES_AT_RISK, "True", worst, message)
        if before is None or not at_risk or before.reason != worst:
            exact = few([each.exact for each in found if each.reason == worst and each.exact])
            draft.say("Warning", worst, f"{message} ({exact})" if exact else message)
    elif silent:
        # What was known to be at risk does not get better because nobody answers.
        if not at_risk:
            draft.job_condition(constants.SOURCES_AT_RISK, "Unknown", "NotMeasured", few(silent))
    elif answers or before is not None or draft.job.spec.window is not None:
        draft.job_condition(constants.SOURCES_AT_RISK, "False", "Held", "")
        if at_risk:
            draft.say("Normal", "SourcesHeld", "the sources hold what the job needs again")


def _silence(held: Held) -> str:
    """Why nothing is known of a source, or of some of its topics."""
    if held.measured is None:
        return held.problem or held.trouble
    unknown = ", ".join(held.measured.unknown)
    return f"connection {held.wish.connection}: the broker does not know {unknown}" if unknown else ""


def _findings(spec: StreamJobSpec, answers: list[Held]) -> Iterator[_Finding]:
    window = parse_duration(spec.window) if spec.window is not None else None
    for source in spec.sources:
        if source.generic is not None:
            field, kept = f"spec.sources[{source.name}].generic.retention", parse_duration(source.generic.retention)
            yield from _too_short(field, source.name, kept, window)
            continue
        held = next((each for each in answers if source.kafka and _is_of(each, source)), None)
        if held is None or held.measured is None:
            continue
        positions = held.positions.offsets if held.positions is not None else {}
        wanted = {place: at for place, at in positions.items() if at >= 0}
        for topic in held.measured.topics:
            yield from _too_short(field_of(source), f"topic {topic.name}", topic.keeps_millis, window)
        yield from _expired(source, held.measured, wanted)
        yield from _near(source, held.measured, wanted)


def _is_of(held: Held, source: JobSource) -> bool:
    kafka = source.kafka
    return kafka is not None and (held.wish.connection, held.wish.topics) == (kafka.connection, tuple(kafka.topics))


def _too_short(field: str, what: str, kept: int | None, window: int | None) -> Iterator[_Finding]:
    if window is None or kept is None or kept >= window:
        return
    times = f"{format_duration(kept)}, less than spec.window, {format_duration(window)}"
    yield _Finding(TOO_SHORT, f"{field}: {what} keeps {times}: no replay can make a whole window of it")


def _expired(source: JobSource, measured: Measured, wanted: Mapping[tuple[str, int], int]) -> Iterator[_Finding]:
    found = coverage.from_offsets(measured, wanted)  # topics that it does not know are told of by themselves
    gone: tuple[coverage.OffsetGap | coverage.Vanished, ...] = (*found.offset_gaps, *found.vanished)
    for gap in gone:
        where = f"{field_of(source)}: topic {gap.topic}, partition {gap.partition}"
        what = "does not hold any more what the newest checkpoint goes on with"
        much = f": {_about(gap.missing)} records are gone" if isinstance(gap, coverage.OffsetGap) else ""
        yield _Finding(OFFSETS_EXPIRED, f"{where} {what}{much}", f"{gap}")


def _near(source: JobSource, measured: Measured, wanted: Mapping[tuple[str, int], int]) -> Iterator[_Finding]:
    held = {(topic.name, each.number): (topic, each) for topic in measured.topics for each in topic.partitions}
    for place, offset in sorted(wanted.items()):
        topic, partition = held.get(place, (None, None))
        if topic is None or partition is None or not partition.earliest <= offset < partition.latest:
            continue  # gone already, or nothing waits to be read
        passed = [share for share, young in measured.younger.items() if offset < young.get(place, 0)]
        if passed:
            ahead = offset - partition.earliest
            exact = f"it goes on at offset {offset}, {ahead} after the earliest, of {partition.latest}"
            yield _Finding(NEAR, f"{field_of(source)}: {_old(topic, partition.number, max(passed))}", exact)


def _old(topic: Topic, partition: int, share: int) -> str:
    kept = topic.keeps_millis or 0
    left = kept * (_ALL_OF_IT - share) // _ALL_OF_IT
    return (
        f"topic {topic.name}, partition {partition}: what the newest checkpoint goes on with is older than {share} % "
        f"of the retention of {format_duration(kept)}: less than {format_duration(left)} are left"
    )


def _about(count: int) -> str:
    """A number that moves in steps: its first figure."""
    step = 10 ** (len(str(count)) - 1)
    return f"{count // step * step:,} or more"
