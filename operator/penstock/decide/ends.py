"""How a run came to an end that nobody asked the operator for, and whether it is begun again."""

from __future__ import annotations

from penstock.api.checkpoint import Phase
from penstock.api.program_config import explained
from penstock.api.streamjob_status import EndState, Run
from penstock.decide import health, stop
from penstock.decide.draft import Draft
from penstock.decide.needs import is_being_taken, stop_savepoints
from penstock.flink.answers import FlinkJob
from penstock.model import JobListing, RunObjects, Unknown

TRIES = 15
"""How often a version that has run before is started again when its program fails: with the pauses, for an hour."""


def by_itself(draft: Draft, run: Run, flink: FlinkJob) -> None:
    """The job came to an end that nobody asked the operator for. A finished job is never run again by itself."""
    if flink.state == "FINISHED" and _end_is_unclear(draft, run):
        return
    if flink.state == "FINISHED" and _was_stopped_by_us(draft, run):
        stop.teardown(draft, run.id, "Stop", EndState.STOPPED)
        return
    if flink.state == "FINISHED":
        draft.say("Normal", "Finished", f"run {run.id} has read all of its sources")
        stop.teardown(draft, run.id, "Finished", EndState.FINISHED)
        return
    # A program that fails behind what it has submitted has its job cancelled by Flink itself.
    end = EndState.CANCELED if flink.state == "CANCELED" and not flink.failure else EndState.FAILED
    why = explained(flink.failure) or f"somebody cancelled the job in Flink (state {flink.state})"
    if _may_pass(draft, run, flink):
        draft.error("StartFailed", why)
        draft.say("Warning", "StartFailed", f"version {run.job_version} has run before and is started again: {why}")
        stop.teardown(draft, run.id, "Recover", EndState.LOST)
        return
    if draft.status.start_attempts >= TRIES:
        why = f"{why} (tried {draft.status.start_attempts} times; to try again, change spec.restartToken)"
    draft.error(f"Job{end.capitalize()}", why)
    health.remember(draft, why)
    draft.say("Warning", f"Job{end.capitalize()}", why)
    stop.teardown(draft, run.id, f"{end}", end)


def _may_pass(draft: Draft, run: Run, flink: FlinkJob) -> bool:
    """Whether what failed is the start of a program that has run before: what it needs then may be back soon.

    With each JobManager a program begins anew: it asks its catalog, its registry, its brokers. A job of which Flink has
    no plan has never come so far; one whose tasks have failed for good is the restart strategy's to end.
    """
    known = draft.status.proven_version == run.job_version and draft.status.fallback is None
    return known and not flink.planned and draft.status.start_attempts < TRIES


def _was_stopped_by_us(draft: Draft, run: Run) -> bool:
    """Whether a stop whose intent is gone (status lost, or refused too early) has ended the job after all.

    Its savepoint must be the last thing that the run did: a job that went on after one has come to its own end.
    """
    last = _last_location(draft, run)
    for checkpoint in stop_savepoints(run, draft.observed.checkpoints):
        status = checkpoint.status
        under_way = status.phase in (None, Phase.PENDING) or is_being_taken(checkpoint)
        if under_way or (status.phase is Phase.PRESENT and last is not None and last == status.location):
            return True
    return False


def _last_location(draft: Draft, run: Run) -> str | None:
    """Where the run's newest state lies; when the status does not say, because it was lost too, the store does."""
    latest, listing = draft.status.latest_checkpoint, draft.observed.listing
    if latest is not None:
        return latest.location
    own = [state for state in listing.states if state.run == run.id] if isinstance(listing, JobListing) else []
    return max(own, key=lambda state: state.checkpoint_id).location if own else None


def _end_is_unclear(draft: Draft, run: Run) -> bool:
    """Whether only the store can say what ended the run, and it does not answer."""
    unclear = draft.status.latest_checkpoint is None and bool(stop_savepoints(run, draft.observed.checkpoints))
    if unclear and not isinstance(draft.observed.listing, JobListing):
        draft.waiting = "the store does not answer, and only it can say whether the run was stopped or has finished"
        draft.wake(5)
        return True
    return False


def lost(draft: Draft, run: Run, objects: RunObjects) -> None:
    """Its JobManager will not come back: the guard refused a start without HA metadata, or the process gave up."""
    result = draft.observed.job_result
    if isinstance(result, Unknown):
        draft.waiting = f"how the run ended is not known yet: {result.reason}"
        draft.wake(5)
        return
    ends = {"FINISHED": EndState.FINISHED, "CANCELED": EndState.CANCELED, "FAILED": EndState.FAILED}
    end = ends.get(result or "", EndState.LOST)
    if end is EndState.FINISHED and _end_is_unclear(draft, run):
        return
    if end is EndState.FINISHED and _was_stopped_by_us(draft, run):
        end = EndState.STOPPED
    if end in (EndState.FAILED, EndState.CANCELED):
        why = objects.crash or "its JobManager is gone, and with it the reason"
        if end is EndState.CANCELED:
            why = "Flink has cancelled it: its program failed after it had submitted the job, or somebody asked for it"
            end = EndState.FAILED if draft.status.fallback is not None else end
        draft.error(f"Job{end.capitalize()}", why)
        health.remember(draft, why)
        draft.say("Warning", f"Job{end.capitalize()}", why)
    if end is EndState.LOST:
        why = objects.crash or objects.manager_message or f"{objects.manager}"
        message = f"the JobManager of run {run.id} cannot go on: {why}"
        draft.error("RunLost", message)
        health.remember(draft, message)
        draft.say("Warning", "RunLost", f"{message}; a new run starts from the newest state in the store")
    stop.teardown(draft, run.id, "Recover", end)
