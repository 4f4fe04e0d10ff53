"""A start without state that reads the sources again from a time on. Pure.

`spec.startFrom.replay` is turned into absolute times once, when the start is decided. They go with the line of runs
that it begins: whoever starts from a state of that line has them too, be it after a failure within the look-back, so
that what was partial there is never published as whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from pydantic import ValidationError

from penstock.api.base import format_time
from penstock.api.duration import format_duration, parse_duration
from penstock.api.replay import EPOCH, Replay
from penstock.api.start_from import OnGap, Override, ReplayWish, StartFrom
from penstock.api.streamjob import StreamJob, StreamJobSpec
from penstock.api.streamjob_status import StartedFrom, StartKind
from penstock.decide.needs import live_run
from penstock.decide.refusal import Refusal
from penstock.decide.stop import SAVEPOINT_GRACE, TEARDOWN_LIMIT
from penstock.model import JobListing, Observed, StoredState
from penstock.substitution import Placeholder, parts

TOO_SHORT = "SourceRetentionTooShort"
_FIELD = "spec.startFrom.replay"
_NONE = timedelta()
_FROM, _TO = "penstock.replay.output-from", "penstock.replay.output-to"
_BEGINS = {"penstock.source.startup-timestamp-millis", _FROM, f"{_FROM}-millis"}
_ENDS = {"penstock.source.bounded-timestamp-millis", _TO, f"{_TO}-millis"}
"""One of each is what a program cannot begin, and end, a replay without."""


def begin(job: StreamJob, wish: ReplayWish, now: datetime) -> StartedFrom | Refusal:
    """A new replay, with its times as of now; or why it is refused.

    A job that runs has to be stopped for it. So that it is not stopped in vain, the replay must be possible at the end
    of a stop, too.
    """
    stop = _NONE if live_run(job) is None else longest_stop(job.spec)
    replay = _decided(job.spec, wish, now, stop)
    later = _decided(job.spec, wish, now + stop, stop)
    if isinstance(replay, Refusal):
        return replay
    if isinstance(later, Refusal):
        return later
    reads = f"the sources are read from {format_time(replay.source_start)} on"
    return StartedFrom(
        kind=StartKind.REPLAY,
        text=str(replay),
        time=now,
        reason=f"{_FIELD}.from is {wish.since}; {reads}",
        replay=replay,
    )


def untold(spec: StreamJobSpec, wish: StartFrom) -> Refusal | None:
    """Why a replay would do nothing but give up the state: the program does not use what it is told of it."""
    script, jar = spec.job.sql, spec.job.jar
    texts = [script.script] if script is not None else list(jar.args) if jar is not None else []
    used = {part.constant for text in texts for part in parts(text) if isinstance(part, Placeholder)}
    missing = [] if used & _BEGINS else ["${penstock.source.startup-timestamp-millis}"]
    if wish.replay is not None and wish.replay.to is not None and not used & _ENDS:
        missing.append("${penstock.source.bounded-timestamp-millis}")
    if not missing or Override.REPLAY_IGNORED in (wish.override or ()):
        return None
    where = "spec.job.sql.script does" if script is not None else "spec.job.jar.args do"
    return Refusal(
        "ReplayIgnored",
        f"{where} not use {' and '.join(missing)}: the sources would be read as they always are, and the state given "
        "up for it. Put it into the options of each source (see the user guide, Replay), or, when the program finds "
        f"out by itself where to begin, write {_FIELD.rpartition('.')[0]}.override: [ReplayIgnored]",
    )


def again(job: StreamJob, began: StartedFrom, now: datetime) -> StartedFrom | Refusal:
    """The same replay once more, with the same times: its run was lost before its first checkpoint."""
    gap = warning(job, began, now)
    if gap and began.replay is not None and began.replay.on_gap is OnGap.REFUSE:
        return Refusal(TOO_SHORT, f"the replay was lost before its first checkpoint, and cannot begin again: {gap}")
    reason = "the last run completed no checkpoint of its own; this is the replay that it was"
    return began.model_copy(update={"time": now, "reason": reason, "confirmed": False})


def warning(job: StreamJob, began: StartedFrom, now: datetime) -> str:
    """What a replay that begins will not find any more, in words; empty when the sources hold all, or for others."""
    if began.kind is not StartKind.REPLAY or began.replay is None:
        return ""
    return "; ".join(_gaps(job.spec, began.replay, now))


def of_state(observed: Observed, state: StoredState) -> Replay | None:
    """The replay whose state this is; None when it is of none. All states of a run are of the same."""
    job = observed.job
    run = job.status.run if job is not None else None
    if job is not None and run is not None and state.run == run.id and job.status.started_from is not None:
        return job.status.started_from.replay
    known = (*observed.checkpoints, *(each.checkpoint for each in observed.foreign))
    own = [ckpt for ckpt in known if ckpt.status.location == state.location]
    same_run = [ckpt for ckpt in known if state.run and ckpt.status.run == state.run]
    told = [ckpt.status.replay for ckpt in (*own, *same_run)]
    return next((each for each in (*told, *_noted(observed, state)) if each is not None), None)


def noted(told: object) -> Replay | None:
    """What a note says, when it can be one: a job's pods may write there, too."""
    try:
        return Replay.model_validate(told) if told is not None else None
    except ValidationError:
        return None


def _noted(observed: Observed, state: StoredState) -> Iterator[Replay | None]:
    listed = observed.listing.states if isinstance(observed.listing, JobListing) else ()
    for each in (state, *(other for other in listed if state.run and other.run == state.run)):
        yield noted(each.note.get("replay"))


def longest_stop(spec: StreamJobSpec) -> timedelta:
    """How long a stop with a savepoint may take, until nothing of the run is left."""
    return timedelta(milliseconds=parse_duration(spec.checkpoints.timeout)) + SAVEPOINT_GRACE + TEARDOWN_LIMIT


def _decided(spec: StreamJobSpec, wish: ReplayWish, now: datetime, spare: timedelta) -> Replay | Refusal:
    """The wish in absolute times, or why it cannot be had."""
    try:
        start = wish.begins(now)
    except ValueError as error:
        return Refusal("InvalidSpec", f"{_FIELD}.from: {error}")
    if start > now:
        instead = "write an earlier one, or startFrom.latest: {}"
        return Refusal("TimeInTheFuture", f"{_FIELD}.from: {wish.since} has not come yet; {instead}")
    if wish.to is not None and wish.to > now:
        # The sources would end where they are now, and the last windows would be partial.
        instead = "write an earlier one, or leave it out for a job that goes on without end"
        return Refusal("TimeInTheFuture", f"{_FIELD}.to: {format_time(wish.to)} has not come yet; {instead}")
    lookback = timedelta(milliseconds=parse_duration(wish.lookback or spec.window or "0s"))
    source_start, on_gap = max(start - lookback, EPOCH), wish.on_gap or OnGap.REFUSE
    replay = Replay(output_from=start, source_start=source_start, to=wish.to, on_gap=on_gap)
    if replay.to is not None and replay.to <= replay.output_from:
        end = format_time(replay.to)
        return Refusal(
            "NothingToReplay", f"{_FIELD}.to: {end} must be later than from, {wish.since}; write a later one"
        )
    gaps = list(_gaps(spec, replay, now, spare))
    if gaps and on_gap is OnGap.REFUSE:
        return Refusal(TOO_SHORT, "; ".join(gaps))
    return replay


def _gaps(spec: StreamJobSpec, replay: Replay, now: datetime, spare: timedelta = _NONE) -> Iterator[str]:
    """What sources are known not to hold any more. No words of it change as time goes by: they stand in a condition.

    Args:
        spec: what declares the sources.
        replay: what is to be read.
        now: when reading begins.
        spare: so much later it may begin.
    """
    behind = replay.output_from - replay.source_start
    lookback = f" and its look-back of {_text(behind)}" if behind else ""
    for source in spec.sources:
        if source.generic is None:
            continue
        kept = timedelta(milliseconds=parse_duration(source.generic.retention))
        if now - replay.source_start > kept:
            most = kept - behind - spare
            instead = f"a {_FIELD}.from of at most {_text(most)} ago" if most > _NONE else "a shorter look-back"
            yield (
                f"spec.sources[{source.name}].generic.retention: {source.name} keeps {source.generic.retention}, less "
                f"than the replay{lookback} would read; write {instead}, or {_FIELD}.onGap: Warn to do without what is "
                "gone"
            )


def _text(time: timedelta) -> str:
    return format_duration(int(time.total_seconds() * 1000))
