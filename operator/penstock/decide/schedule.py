"""Savepoints by the clock (`spec.checkpoints.schedule`): each of its times is one Checkpoint, which is named after it.

`status.schedule` is the memory. First it says that a time is decided upon and which Checkpoint is to be made for it;
the next pass makes that; when it has been seen the memory says so. After a crash the last of these steps is done again,
under the same name. While the job does not run nothing is decided: what has passed is looked at when it runs again.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from penstock import names
from penstock.api import constants
from penstock.api.base import format_time
from penstock.api.checkpoint import Checkpoint, Phase, Source
from penstock.api.cron import next_time
from penstock.api.streamjob import MissedTimes, Schedule
from penstock.api.streamjob_status import ScheduleStatus
from penstock.api.validation import schedule_problems
from penstock.decide.draft import Draft
from penstock.decide.needs import is_being_taken
from penstock.flink.answers import FlinkJob
from penstock.model import CreateCheckpoint

ON_TIME = timedelta(minutes=5)
"""So long after its time a savepoint is still taken, whatever `missed` says: an upgrade or a restart of the operator
lasts less, and so does the longest pause after a pass that failed."""
_COUNTED = 1000
"""So many missed times are counted one by one; of more it is only said that there were more."""
_SEEN_SECONDS = 5.0
"""The event of the new Checkpoint comes earlier; one of the name that is of another job is never seen."""
_WRONG_CLOCK = timedelta(days=1)
"""A memory that is further ahead comes from a clock that was wrong."""


def proceed(draft: Draft) -> None:
    """One look at the schedule of a StreamJob that is to be there."""
    job, memory = draft.job, draft.status.schedule
    followed = _followed(draft, job.spec.checkpoints.schedule)
    if constants.FINALIZER_RUN not in job.metadata.finalizers or (memory is None and not followed):
        return
    memory = _made(draft, memory or _found_again(draft, followed))
    if memory.followed != followed:
        memory = _begun_anew(draft, memory, followed)
    if _runs(draft):
        memory = _make(draft, memory) if memory.creating else _due(draft, memory)
    if memory != draft.status.schedule:
        draft.set(schedule=memory)


def awaits(draft: Draft, checkpoint: Checkpoint) -> bool:
    """Whether a Checkpoint without a status is the newest one of the schedule: then it has not been taken yet."""
    memory = draft.status.schedule
    scheduled = checkpoint.spec.source is Source.SCHEDULE
    return scheduled and memory is not None and memory.last_checkpoint == checkpoint.metadata.name


def _followed(draft: Draft, schedule: Schedule | None) -> str:
    """Cron and time zone, when there are any that can be followed now."""
    problems = schedule_problems(schedule)
    if problems and not draft.stall:
        draft.stalled("InvalidSpec", "; ".join(map(str, problems)))
    if schedule is None or schedule.suspend or problems:
        return ""
    return f"{' '.join(schedule.cron.split())} {schedule.time_zone}"


def _next(followed: str, after: datetime) -> datetime | None:
    cron, _, zone = followed.rpartition(" ")
    return next_time(cron, zone, after) if followed else None


def _found_again(draft: Draft, followed: str) -> ScheduleStatus:
    """The memory of a new schedule, or of a lost status: the newest Checkpoint that this job's schedule has made."""
    job = draft.job.metadata
    times = {
        time: ckpt.metadata.name
        for ckpt in draft.observed.checkpoints
        if ckpt.spec.source is Source.SCHEDULE
        and (time := names.scheduled_time(job.name, ckpt.metadata.name)) is not None
        # Those of an earlier StreamJob of the same name outlive it: its times are not this one's.
        and (ckpt.metadata.creation_timestamp or draft.now) >= (job.creation_timestamp or draft.now)
    }
    last = max(times, default=None)
    if last is None or last > draft.now + _WRONG_CLOCK:
        return ScheduleStatus()
    return ScheduleStatus(
        followed=followed, last_time=last, next_time=_next(followed, last), last_checkpoint=times[last]
    )


def _begun_anew(draft: Draft, memory: ScheduleStatus, followed: str) -> ScheduleStatus:
    """A schedule that was written, changed or resumed counts from now on, but no time is decided upon twice."""
    after, last = draft.now, memory.last_time
    if last is not None and after < last <= after + _WRONG_CLOCK:
        after = last
    return memory.model_copy(update={"followed": followed, "next_time": _next(followed, after)})


def _runs(draft: Draft) -> bool:
    """Whether a savepoint could be taken now, as far as the job is concerned."""
    run, flink = draft.status.run, draft.observed.flink
    lives = run is not None and run.ended_at is None and run.confirmed and draft.status.intent is None
    return lives and isinstance(flink, FlinkJob) and flink.all_running


def _due(draft: Draft, memory: ScheduleStatus) -> ScheduleStatus:
    """Decide upon the times that have passed: at most one Checkpoint for all of them."""
    first, schedule = memory.next_time, draft.job.spec.checkpoints.schedule
    if first is None or schedule is None:
        return memory
    if draft.now < first:
        draft.wake((first - draft.now).total_seconds())
        return memory
    count, last = _passed(memory.followed, first, draft.now)
    wanted = draft.now <= last + ON_TIME or schedule.missed is MissedTimes.RUN_ONCE
    busy = _under_way(draft) if wanted else ""
    if busy:
        draft.say("Warning", "ScheduleSkipped", f"none is taken for {format_time(last)}: {busy} is not complete yet")
    taken = wanted and not busy
    missed = count - wanted
    if missed:
        how_many = f"{missed} times" if missed < _COUNTED else f"{_COUNTED} times or more"
        draft.say("Warning", "ScheduleMissed", f"{how_many} of the schedule went unused, from {format_time(first)} on")
    draft.wake(0)
    return memory.model_copy(
        update={
            "last_time": last,
            "next_time": _next(memory.followed, max(last, draft.now)),
            "creating": names.scheduled_checkpoint(draft.job.metadata.name, last) if taken else None,
            "missed": memory.missed + count - taken,
        }
    )


def _passed(followed: str, first: datetime, now: datetime) -> tuple[int, datetime]:
    """How many times have passed from the first one on, and the last of them."""
    count, last = 1, first
    following = _next(followed, first)
    while following is not None and following <= now:
        count, last = count + 1, following
        following = _next(followed, last if count < _COUNTED else max(last, now - ON_TIME))
    return count, last


def _under_way(draft: Draft) -> str:
    """The scheduled Checkpoint that is not settled yet: two are not taken at once, as with a CronJob's Forbid."""
    for checkpoint in draft.observed.checkpoints:
        waits = checkpoint.status.phase in (None, Phase.PENDING) and not checkpoint.metadata.terminating
        if checkpoint.spec.source is Source.SCHEDULE and (waits or is_being_taken(checkpoint)):
            return checkpoint.metadata.name
    return ""


def _make(draft: Draft, memory: ScheduleStatus) -> ScheduleStatus:
    """Make the Checkpoint that an earlier pass wrote down; no more when its time is long over and `missed` is Skip."""
    name, run, last, schedule = memory.creating, draft.status.run, memory.last_time, draft.job.spec.checkpoints.schedule
    if name is None or run is None or last is None:
        return memory
    patient = schedule is not None and schedule.missed is MissedTimes.RUN_ONCE
    if draft.now > last + ON_TIME and not patient:
        draft.say("Warning", "ScheduleMissed", f"Checkpoint {name} could not be made in time")
        draft.wake(0)
        return memory.model_copy(update={"creating": None, "missed": memory.missed + 1})
    # A step of its own: when the API server refuses it, what else there is to do about the job goes on.
    draft.act(CreateCheckpoint(name, "Schedule", run.id, f"scheduled for {format_time(last)}"), name)
    draft.wake(_SEEN_SECONDS)
    return memory


def _made(draft: Draft, memory: ScheduleStatus) -> ScheduleStatus:
    """Forget the intent when its Checkpoint is seen: should somebody delete that, it is not made again.

    It cannot be made and deleted unseen: it has a finalizer from the start.
    """
    seen = {each.metadata.name for each in draft.observed.checkpoints} | {
        each.name for each in draft.observed.unreadable
    }
    if memory.creating is None or memory.creating not in seen:
        return memory
    draft.say("Normal", "Scheduled", f"Checkpoint {memory.creating} was made")
    return memory.model_copy(update={"creating": None, "last_checkpoint": memory.creating})
