"""The entrance of decide: which part looks at the job in its present situation. Pure."""

from __future__ import annotations

from datetime import timedelta

from pydantic import ValidationError

from penstock.api import constants
from penstock.api.checkpoint import Checkpoint
from penstock.api.conditions import find_condition
from penstock.api.streamjob import DesiredState
from penstock.api.streamjob_status import (
    EndState,
    Run,
    StartedFrom,
    StartIntent,
    StartKind,
    StopIntent,
    TeardownIntent,
)
from penstock.decide import (
    checkpointing,
    checkpoints,
    choice,
    clearing,
    deletion,
    health,
    history,
    measuring,
    preflight,
    recovery,
    report,
    retained,
    run,
    schedule,
    standing,
    start,
    stop,
)
from penstock.decide.change import spec_hash
from penstock.decide.draft import Draft
from penstock.decide.needs import live_run, to_apply
from penstock.flink.answers import FlinkJob
from penstock.model import Decision, Manager, Observed, RunObjects, SayUnreadable, SetFinalizer

_RESYNC_SECONDS = 10.0
_BUSY_SECONDS = 2.0
_FIRST_PAUSE = timedelta(seconds=10)
_LAST_PAUSE = timedelta(minutes=5)


def decide(observed: Observed) -> Decision:
    """What to do next about a StreamJob and all its Checkpoints; the same for the same Observed."""
    draft = Draft(observed)
    if observed.job is not None:
        if observed.job.metadata.terminating:
            deletion.proceed(draft)
        elif observed.everything_goes:
            kinds = " and ".join(sorted(observed.kinds_going))
            draft.waiting = "the namespace is being deleted"
            if kinds and not observed.namespace_terminating:
                draft.waiting = f"the CustomResourceDefinition of {kinds} is being deleted, or is gone; apply it again"
        else:
            _present(draft)
            checkpointing.proceed(draft)
            schedule.proceed(draft)
            standing.proceed(draft)
            history.proceed(draft)
            measuring.proceed(draft)
            recovery.proceed(draft)
        report.report(draft)
    for checkpoint in sorted(
        observed.checkpoints, key=lambda each: (str(each.metadata.creation_timestamp), each.metadata.name)
    ):
        _readable_again(draft, checkpoint)
        checkpoints.proceed(draft, checkpoint)
    clearing.retain(draft)
    for unreadable in observed.unreadable:
        if not unreadable.told:
            draft.act(SayUnreadable(unreadable.namespace, unreadable.name, unreadable.why), unreadable.name)
    return draft.finish()


def _readable_again(draft: Draft, checkpoint: Checkpoint) -> None:
    """A Checkpoint that could not be read, and now can: its Stalled is of another time."""
    stalled = find_condition(checkpoint.status.conditions, constants.STALLED)
    if stalled is not None and stalled.reason == constants.UNREADABLE:
        draft.condition(checkpoint, constants.STALLED, "False", "AsAsked", "")


def _present(draft: Draft) -> None:
    """A StreamJob that is to be there: what its intent, its run and its spec ask for, in this order."""
    job = draft.job
    if constants.FINALIZER_RUN not in job.metadata.finalizers:
        if not draft.observed.everything_goes:
            draft.act(SetFinalizer("StreamJob", job.metadata.name, present=True))
        draft.wake(0)
        return
    if job.metadata.generation != job.status.observed_generation:
        # A new spec is a new chance: what was refused for the old one is tried again at once.
        # The number of attempts stays: the names of the stop's Checkpoints are made of it.
        draft.set(next_stop_attempt_at=None, start_attempts=0, next_start_at=None)
    refused = job.status.rolled_back
    if refused is not None and refused.spec_hash != spec_hash(job.spec):
        draft.set(rolled_back=None)  # asked for again later it is a new wish
    intent, live = job.status.intent, live_run(job)
    if live is not None and not isinstance(intent, StartIntent):
        run.keep_record(draft, live)
    if intent is not None:
        _carry_on(draft, intent)
    elif live is not None:
        draft.wake(_RESYNC_SECONDS if live.confirmed else _BUSY_SECONDS)
        run.proceed(draft, live)
    else:
        _without_a_run(draft)
    if draft.status.intent is None and not draft.observed.store.problem:
        preflight.dry_run(draft)
    preflight.sweep(draft)


def _without_a_run(draft: Draft) -> None:
    """Nothing runs: adopt a run whose status was lost, look at what the last one has left, begin the next one."""
    job = draft.job
    if job.status.run is None and _adopt(draft):
        return
    if job.status.run is not None and not retained.sweep(draft, job.status.run):
        return
    if job.spec.state is DesiredState.RUNNING:
        _begin(draft)
    elif start.strays_go(draft):
        return
    elif job.status.run is not None and job.status.run.end_state in (EndState.FAILED, EndState.CANCELED):
        # Stopped by the user now: setting the state to Running again is a new start.
        draft.set(run=job.status.run.model_copy(update={"end_state": EndState.STOPPED}))


def _carry_on(draft: Draft, intent: StartIntent | StopIntent | TeardownIntent) -> None:
    """Do what an earlier pass wrote down that it would do."""
    if isinstance(intent, StartIntent):
        start.proceed(draft, intent)
    elif isinstance(intent, StopIntent):
        _follow(draft)
        stop.proceed(draft, intent)
    else:
        stop.proceed_teardown(draft, intent)


def _follow(draft: Draft) -> None:
    """Keep the latest checkpoint up to date during a stop, too."""
    current, flink = draft.status.run, draft.observed.flink
    if current is not None and isinstance(flink, FlinkJob):
        run.follow(draft, current, flink)


def _adopt(draft: Draft) -> bool:
    """The status was lost but a run is there: take it as ours instead of starting a second one."""
    candidates = [
        objects
        for objects in draft.observed.runs
        if objects.manager is not Manager.ABSENT and objects.spec_hash and objects.started_from
    ]
    if not candidates:
        return False
    # One that has ended is taken, too: how it ended is then read, and a finished job is not run again.
    objects = max(candidates, key=lambda each: (each.manager is Manager.ACTIVE, each.job_version))
    draft.set(
        run=Run(id=objects.run, job_version=objects.job_version, started_at=draft.now),
        started_from=_recovered(draft, objects),
        job_version=objects.job_version,
        applied_spec_hash=objects.spec_hash,
        applied=to_apply(draft.job),
    )
    draft.say("Normal", "Adopted", f"run {objects.run} was found; the status had been lost")
    draft.wake(0)
    return True


def _recovered(draft: Draft, objects: RunObjects) -> StartedFrom:
    """What the run's Job says that it began from. When somebody has changed that, the run is ours all the same."""
    try:
        began = StartedFrom.model_validate_json(objects.started_from)
    except ValidationError:
        why = "an annotation of its Job cannot be read"
        return StartedFrom(kind=StartKind.EMPTY, text="not known", time=draft.now, reason=why)
    return began.model_copy(update={"time": began.time or draft.now})


def _begin(draft: Draft) -> None:
    """No run lives and the job is to run: start one, unless the last one's end says not to."""
    back = health.goes_back(draft.job)
    if back is None and not choice.is_due(draft.job):
        return
    if back is None and draft.hindrance and not _has_run_so(draft):
        draft.stalled("InvalidSpec", draft.hindrance)
        return
    if back is None and not health.goes_on(draft.job) and preflight.is_refused(draft):
        return
    if draft.observed.store.problem:
        draft.stalled("StoreNotUsable", f"spec.checkpoints.store: {draft.observed.store.problem}", retry_seconds=5)
        return
    if back is not None:
        start.go_back(draft, back)
        return
    if _must_pause(draft, draft.status.run):
        if draft.status.fallback is not None and draft.status.start_attempts > 1:
            draft.wake(0)  # it was counted just now, and is not tried a third time
        return
    start.begin(draft, choice.wish(draft.job))


def _has_run_so(draft: Draft) -> bool:
    """Whether this very version has run: what a newer operator refuses does not keep a job down that ran with it."""
    last = draft.status.run
    same = health.wanted_hash(draft.job) == draft.status.applied_spec_hash
    return same and last is not None and last.confirmed


def _must_pause(draft: Draft, last: Run | None) -> bool:
    """Runs that are lost before they ever run are not started one after the other without a pause."""
    if last is None or last.end_state is not EndState.LOST or last.confirmed:
        return False
    again = draft.status.next_start_at
    if again is None:
        attempts = draft.status.start_attempts + 1
        pause = min(_FIRST_PAUSE * 2 ** min(attempts - 1, 10), _LAST_PAUSE)
        draft.set(start_attempts=attempts, next_start_at=draft.now + pause)
        draft.wake(pause.total_seconds())
        draft.waiting = f"the last run was lost before it ran; the next is started in {pause}"
        return True
    if draft.now < again:
        why = draft.status.last_error.message if draft.status.last_error else ""
        left = (again - draft.now).total_seconds()
        draft.stalled("CannotStart", f"the last run was lost before it ran: {why}", retry_seconds=left)
        return True
    draft.set(next_start_at=None)
    return False
