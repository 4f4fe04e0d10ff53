"""How a job comes back after a start that is not empty, or after a failure: the phases, and what is told of them. Pure.

Nothing is ever done about it: it is told in `status.recovery`, in the condition CaughtUp and in events. Each look is at
least 5 s after the one before, and is at most one write. A recovery begins when a run is started or when Flink says
that it began the job or restarted its tasks another time than before; it ends when all that there was has been read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from penstock import names
from penstock.api import constants
from penstock.api.base import format_time
from penstock.api.conditions import remove_condition
from penstock.api.duration import display_duration
from penstock.api.recovery import Recovery, RecoveryCause, RecoveryPhase
from penstock.api.replay import EPOCH
from penstock.api.streamjob import StreamJob
from penstock.api.streamjob_status import EndState, Run, StartedFrom, StartKind, StopReason
from penstock.decide import caught_up
from penstock.decide.draft import Draft
from penstock.decide.needs import live_run
from penstock.flink.answers import FlinkJob
from penstock.model import Observed
from penstock.source.held import SourceWish

EVERY = timedelta(seconds=5)
RARELY = timedelta(seconds=30)
"""Between looks at a job that never catches up: each is a write, and they may go on for ever."""
_SECOND = timedelta(seconds=1)
_MILLI = timedelta(milliseconds=1)
_LOST_MANAGER = re.compile(r"task ?(manager|executor)", re.IGNORECASE)
_ORDER = list(RecoveryPhase)
_UNTIL_ALL_RUN = (RecoveryPhase.RESTARTING, RecoveryPhase.RESTORING_STATE)
_CAUSES = {
    StopReason.UPGRADE: RecoveryCause.UPGRADE,
    StopReason.RESTORE: RecoveryCause.RESTORE,
    StopReason.RESTART: RecoveryCause.RESTART,
    StopReason.ROLL_BACK: RecoveryCause.ROLL_BACK,
    StopReason.RECOVER: RecoveryCause.RUN_LOST,
}


# ---------------------------------------------------------------- what is to be looked at


@dataclass(frozen=True)
class Following:
    """What is to be looked at for a recovery.

    Attributes:
        attempt: names it.
        due: whether the next look is to be taken now.
        run: the run whose progress Flink is to be asked for, at `host`; empty: not now.
        host: of its JobManager.
        ends: what is to be asked of the brokers at each look.
        starts: what is to be asked once, to know where reading began; none as long as that is not settled.
        state: URI of the state that it began from; empty: none.
        since: milliseconds since 1970 from which on a replay reads; None: it is none.
        until: milliseconds since 1970 up to which a backfill reads; None: it is none.
    """

    attempt: str
    due: bool
    run: str = ""
    host: str = ""
    ends: tuple[SourceWish, ...] = ()
    starts: tuple[SourceWish, ...] = ()
    state: str = ""
    since: int | None = None
    until: int | None = None


def following(observed: Observed) -> Following | None:
    """What is to be looked at in this pass; None when nothing is followed."""
    job, run = observed.job, live_run(observed.job)
    if job is None or run is None or job.metadata.terminating or job.status.intent is not None:
        return None
    recovery, flink = job.status.recovery, observed.flink
    if recovery is None or recovery.run != run.id or recovery.phase is RecoveryPhase.CAUGHT_UP:
        return None
    attempt = f"{run.id}/{format_time(recovery.started_at)}"
    runs = isinstance(flink, FlinkJob) and flink.state == "RUNNING"
    state, since, until = _began(job, flink if isinstance(flink, FlinkJob) else None)
    settled = recovery.cause not in _FAILURES or (runs and bool(run.attempt) and _attempt(flink) == run.attempt)
    times = tuple(each for each in (since, until) if each is not None)
    space, sources = job.metadata.namespace, [each.kafka for each in job.spec.sources if each.kafka is not None]
    asked = [(space, kafka.connection, tuple(kafka.topics)) for kafka in sources]
    return Following(
        attempt=attempt,
        due=_is_due(recovery, observed.now),
        run=run.id if runs else "",
        host=names.service_host(job.metadata.name, run.id, space),
        ends=tuple(SourceWish(*each, followed=attempt) for each in asked),
        starts=tuple(SourceWish(*each, start=f"recovery/{attempt}", state=state, times=times) for each in asked)
        if settled
        else (),
        state=state,
        since=since,
        until=until,
    )


def wants_fault(observed: Observed) -> bool:
    """Whether Flink is to be asked why it restarted the job's tasks."""
    run, flink = live_run(observed.job), observed.flink
    if run is None or not run.confirmed or not run.attempt or not isinstance(flink, FlinkJob):
        return False
    return _attempt(flink) not in ("", run.attempt) and _is_of(run.attempt, flink)


def _began(job: StreamJob, flink: FlinkJob | None) -> tuple[str, int | None, int | None]:
    """The state that the attempt began from, and the times of its replay in milliseconds."""
    began = job.status.started_from
    replay = began.replay if began is not None else None
    until = (replay.to - EPOCH) // _MILLI if replay is not None and replay.to is not None else None
    restored = flink.restored.path if flink is not None and flink.restored is not None else ""
    state = restored or (began.location if began is not None else "") or ""
    since = (replay.source_start - EPOCH) // _MILLI if replay is not None and not state else None
    return state, since, until


def _is_due(recovery: Recovery, now: datetime) -> bool:
    return recovery.updated_at is None or now >= recovery.updated_at + _pause(recovery)


def _pause(recovery: Recovery) -> timedelta:
    return RARELY if caught_up.never(recovery) else EVERY


# ---------------------------------------------------------------- beginning


_FAILURES = (RecoveryCause.JOB_MANAGER_FAILURE, RecoveryCause.TASK_MANAGER_FAILURE, RecoveryCause.TASK_FAILURE)


def proceed(draft: Draft) -> None:
    """Notice what begins, and look at what is under way."""
    run, before = draft.status.run, draft.job.status.run
    if run is None:
        return
    if before is None or before.id != run.id:
        _started(draft, run, before)
        return
    if run.ended_at is None and draft.status.intent is None:
        _notice(draft, run)
    recovery = draft.status.recovery
    if recovery is None or recovery.run != run.id or recovery.phase is RecoveryPhase.CAUGHT_UP:
        return
    if run.end_state is EndState.FINISHED:
        caught_up.finished(draft, recovery)
    elif run.ended_at is not None:
        if recovery.text != caught_up.ENDED:
            caught_up.broken_off(draft, recovery)
    elif draft.status.intent is None:
        _look(draft, recovery)


def _started(draft: Draft, run: Run, before: Run | None) -> None:
    if draft.job.status.intent is None:
        return  # it was adopted: the status was lost, and with it what it came back from
    began = draft.status.started_from
    if began is None or began.kind is StartKind.EMPTY:
        draft.set(recovery=None, conditions=remove_condition(draft.status.conditions, constants.CAUGHT_UP))
        return
    _begin(draft, run, _cause(began, before), run.started_at or draft.now)


def _cause(began: StartedFrom, before: Run | None) -> RecoveryCause:
    if began.kind is StartKind.REPLAY:
        return RecoveryCause.REPLAY
    if before is None:
        return RecoveryCause.START
    if before.end_state is EndState.LOST:
        return RecoveryCause.RUN_LOST
    return next((cause for reason, cause in _CAUSES.items() if before.stop_reason == reason), RecoveryCause.START)


def _notice(draft: Draft, run: Run) -> None:
    """Whether the run's JobManager or its tasks have begun anew since they were last seen."""
    flink, recovery = draft.observed.flink, draft.status.recovery
    under_way = recovery is not None and recovery.run == run.id and recovery.phase in _UNTIL_ALL_RUN
    if not run.confirmed:
        return
    attempt = _attempt(flink)
    if isinstance(flink, FlinkJob) and attempt:
        if attempt == run.attempt:
            return
        draft.set(run=run.model_copy(update={"attempt": attempt}))
        if not run.attempt or under_way:
            return  # the first one, or one more try of the same recovery
        tasks = _is_of(run.attempt, flink)
        since = timedelta(milliseconds=flink.now_millis - (flink.restarted_millis if tasks else flink.began_millis))
        why = draft.observed.fault if tasks else draft.observed.objects_of(run.id).crash
        cause = _task_cause(why) if tasks else RecoveryCause.JOB_MANAGER_FAILURE
        _begin(draft, draft.status.run or run, cause, draft.now - max(since, timedelta()), why)
        return
    objects = draft.observed.objects_of(run.id)
    if objects.waits and not under_way:
        _begin(draft, run, RecoveryCause.JOB_MANAGER_FAILURE, draft.now, objects.crash)


def _task_cause(why: str) -> RecoveryCause:
    return RecoveryCause.TASK_MANAGER_FAILURE if _LOST_MANAGER.search(why) else RecoveryCause.TASK_FAILURE


def _attempt(flink: object) -> str:
    """Names an attempt: when Flink began the job, and when it last restarted its tasks."""
    if not isinstance(flink, FlinkJob) or not flink.began_millis:
        return ""
    return f"{flink.began_millis}/{flink.restarted_millis}"


def _is_of(attempt: str, flink: FlinkJob) -> bool:
    """Whether the JobManager is still the same one."""
    return attempt.split("/", maxsplit=1)[0] == str(flink.began_millis)


def _begin(draft: Draft, run: Run, cause: RecoveryCause, started_at: datetime, why: str = "") -> None:
    phase = RecoveryPhase.RESTARTING
    recovery = Recovery(
        run=run.id,
        cause=cause,
        why=why,
        phase=phase,
        text=str(phase),
        short=str(phase),
        started_at=started_at,
        updated_at=_next_second(draft.now),
        replay=_replay(draft),
    )
    draft.set(recovery=recovery)
    draft.job_condition(constants.CAUGHT_UP, "False", str(phase), "")
    because = f": {why}" if why else ""
    draft.say("Warning" if cause in _FAILURES else "Normal", "Recovering", f"{cause}{because}; {recovery.replay}")
    draft.wake(EVERY.total_seconds())


def _replay(draft: Draft) -> str:
    """Whether records are read again for the sake of whole windows."""
    began, window = draft.status.started_from, draft.job.spec.window
    if began is not None and began.kind is StartKind.REPLAY and began.replay is not None:
        back = began.replay.output_from - began.replay.source_start
        since = f"the sources are read from {format_time(began.replay.source_start)} on"
        return f"{since}, {display_duration(back // _MILLI)} before the output begins" if back else since
    if window is None:
        return "no replay is needed: spec.window declares no window"
    return f"no replay is needed: what is in its windows ({window}) is restored"


def _next_second(now: datetime) -> datetime:
    """A status holds whole seconds: rounded up, so that looks are never closer to each other than they are to be."""
    return now if not now.microsecond else now.replace(microsecond=0) + _SECOND


# ---------------------------------------------------------------- looking


def _look(draft: Draft, recovery: Recovery) -> None:
    if recovery.updated_at is not None and not _is_due(recovery, draft.now):
        draft.wake((recovery.updated_at + _pause(recovery) - draft.now).total_seconds())
        return
    phase = max(recovery.phase, _phase(draft, recovery), key=_ORDER.index)
    seen = recovery.model_copy(update={"phase": phase, "updated_at": _next_second(draft.now)})
    followed = draft.observed.followed
    if phase is RecoveryPhase.CATCHING_UP and recovery.state_restored_at is None:
        running = followed.looks[-1].running_millis if followed is not None and followed.looks else None
        since = draft.now - timedelta(milliseconds=running or 0)
        seen = seen.model_copy(update={"state_restored_at": max(since, recovery.started_at)})
    if followed is not None and followed.looks:
        seen = caught_up.told(draft, seen, followed)
    seen = caught_up.worded(seen, draft.now)
    draft.wake(_pause(seen).total_seconds())
    if seen == recovery.model_copy(update={"updated_at": seen.updated_at}):
        return  # nothing is new, and that is not worth a write
    draft.set(recovery=seen)
    if seen.phase is not recovery.phase:
        draft.job_condition(constants.CAUGHT_UP, *caught_up.condition(seen))
        draft.say("Normal", str(seen.phase), caught_up.sentence(seen))


def _phase(draft: Draft, recovery: Recovery) -> RecoveryPhase:
    flink = draft.observed.flink
    if not isinstance(flink, FlinkJob) or not (draft.status.run and draft.status.run.confirmed):
        return recovery.phase
    if flink.all_running:
        return RecoveryPhase.CATCHING_UP
    return RecoveryPhase.RESTORING_STATE if flink.restoring else RecoveryPhase.RESTARTING
