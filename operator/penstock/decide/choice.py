"""From what a run starts: what the spec wishes, and which state of the store that is. Pure."""

from __future__ import annotations

from datetime import datetime

from penstock.api.base import format_time
from penstock.api.checkpoint import Checkpoint, Phase, Source
from penstock.api.replay import Replay
from penstock.api.start_from import StartFrom
from penstock.api.streamjob import StreamJob
from penstock.api.streamjob_status import EndState, StartedFrom, StartKind
from penstock.decide import health, protection, replay
from penstock.decide.needs import is_being_cleared, live_run, wants_restart
from penstock.decide.refusal import Refusal
from penstock.model import Foreign, Observed, StoredState, Unknown
from penstock.names import short


def is_due(job: StreamJob) -> bool:
    """Whether a job of which nothing runs, and which is to run, is to be started: the last run's end may say not to."""
    last = job.status.run
    if last is None or (wants_restart(job) and not health.goes_on(job)):
        return True
    if last.end_state is EndState.FINISHED:
        return False  # it has read all there was; running it again is for restartToken or startFrom to ask
    failed = last.end_state in (EndState.FAILED, EndState.CANCELED)
    return not failed or health.wanted_hash(job) != job.status.applied_spec_hash


def wish(job: StreamJob) -> StartFrom:
    """`startFrom` the first time and when it or restartToken has changed; else what the stop asked for, else latest."""
    last = job.status.run
    if (job.status.applied is None or wants_restart(job)) and not health.goes_on(job):
        return job.spec.start_from
    if last is not None and last.next_start_from:
        return StartFrom.model_validate(last.next_start_from)
    return StartFrom.model_validate({"latest": {}})


def choose(observed: Observed, wish: StartFrom) -> StartedFrom | Refusal | Unknown:
    """What a start with this wish starts from. Needs a listing of the store for all but `empty` and `replay`."""
    if wish.empty is not None:
        return _empty(observed, "spec.startFrom.empty asks for it")
    if wish.replay is not None and observed.job is not None:
        untold = replay.untold(observed.job.spec, wish)
        return untold or replay.begin(observed.job, wish.replay, observed.now)
    listing = observed.listing
    if listing is None or isinstance(listing, Unknown):
        return listing or Unknown("the store has not been listed in this pass")
    elsewhere = [ckpt for ckpt in observed.checkpoints if ckpt.spec.location is not None]
    elsewhere += [each.checkpoint for each in observed.foreign]
    known = listing.states + tuple(state for ckpt in elsewhere if (state := _elsewhere(ckpt)) is not None)
    if wish.checkpoint is not None:
        return _named(observed, wish.checkpoint.name, known)
    if wish.as_of is not None:
        return _as_of(observed, wish.as_of.time, known)
    return _latest(observed, known, any_directory=listing.any_directory)


def _elsewhere(checkpoint: Checkpoint) -> StoredState | None:
    """One that lies outside of the job's directory, imported or another job's: as it was found when it became Present.

    Whether it still lies there is seen when it is verified, which comes before every start.
    """
    status = checkpoint.status
    location = checkpoint.spec.location or status.location
    if location is None or status.phase is not Phase.PRESENT or status.completion_time is None:
        return None
    return StoredState(location, status.checkpoint_id or 0, status.completion_time, savepoint=True)


def fork_problem(observed: Observed, foreign: Foreign) -> Refusal | None:
    """Why another job's Checkpoint cannot be started from, beyond what holds for a job's own; None when it can."""
    checkpoint, status, place = foreign.checkpoint, foreign.checkpoint.status, observed.store.place
    owner, name = checkpoint.spec.job_ref.name, checkpoint.metadata.name
    field = f"spec.startFrom.checkpoint.name: {name} of StreamJob {owner}"
    mine = observed.job.spec.checkpoints.store if observed.job is not None else None
    if status.store != mine:
        return Refusal("AnotherStore", f"{field} lies in CheckpointStore {status.store}, and this job's is {mine}")
    run = live_run(foreign.job)
    if checkpoint.spec.source is Source.RETAINED and run is not None and run.id == status.run:
        return Refusal("CheckpointIsFlinks", f"{field} is Flink's while its run lives: make a Checkpoint of that job")
    key = place.key_of(status.location or "") if place is not None else None
    if checkpoint.spec.location is None and place is not None:
        inside = place.directory_of(f"{key}/", checkpoint.metadata.namespace, owner) if key else None
        if inside is None:
            return Refusal("PlaceNotOurs", f"{field}: {status.location} is not in the directory of that job")
    return None


def _named(observed: Observed, name: str, states: tuple[StoredState, ...]) -> StartedFrom | Refusal:
    field = f"spec.startFrom.checkpoint.name: {name}"
    known = ", ".join(ckpt.metadata.name for ckpt in observed.checkpoints if ckpt.status.phase is Phase.PRESENT)
    instead = f"write one of: {known}" if known else "this job has none that is Present"
    foreign = next((each for each in observed.foreign if each.checkpoint.metadata.name == name), None)
    own = next((ckpt for ckpt in observed.checkpoints if ckpt.metadata.name == name), None)
    checkpoint = foreign.checkpoint if foreign is not None else own
    if checkpoint is None:
        return Refusal("CheckpointNotFound", f"{field}: there is no such Checkpoint in this namespace; {instead}")
    if checkpoint.metadata.terminating or is_being_cleared(checkpoint):
        return Refusal("CheckpointDeleting", f"{field} is being deleted; {instead}")
    if checkpoint.status.phase is not Phase.PRESENT:
        phase = checkpoint.status.phase or "not taken yet"
        return Refusal("CheckpointNotPresent", f"{field} is {phase}, only a Present one can be started from; {instead}")
    problem = fork_problem(observed, foreign) if foreign is not None else None
    if problem is not None:
        return problem
    state = next((each for each in states if each.location == checkpoint.status.location), None)
    if state is None:
        where = checkpoint.status.location
        return Refusal("CheckpointDataMissing", f"{field}: nothing complete lies at {where}; {instead}")
    return _from(observed, state, f"spec.startFrom.checkpoint names {name}")


def _as_of(observed: Observed, time: datetime, states: tuple[StoredState, ...]) -> StartedFrom | Refusal:
    """The newest Present one that was complete by then, as far as its data is there."""
    field = f"spec.startFrom.asOf.time: {format_time(time)}"
    if time > observed.now:
        return Refusal("TimeInTheFuture", f"{field} has not come yet; write an earlier one, or startFrom.latest: {{}}")
    there = {state.location: state for state in states}
    dated = [
        (ckpt.status.completion_time, there[ckpt.status.location])
        for ckpt in observed.checkpoints
        if ckpt.status.phase is Phase.PRESENT
        and ckpt.status.completion_time is not None
        and ckpt.status.location in there
        and not (ckpt.metadata.terminating or is_being_cleared(ckpt))
    ]
    early = [(when, state) for when, state in dated if when <= time]
    if not early:
        first = min((when for when, _ in dated), default=None)
        known = f"the first that there is was complete at {format_time(first)}" if first else "there is none"
        return Refusal("NothingAsOf", f"{field}: no Checkpoint of this job was complete by then; {known}")
    _, newest = max(early, key=lambda each: (each[0], each[1].checkpoint_id))
    return _from(observed, newest, f"the newest that was complete at {format_time(time)}")


def _latest(observed: Observed, states: tuple[StoredState, ...], *, any_directory: bool) -> StartedFrom | Refusal:
    """The newest state of the job's own line: of the last run, else what that run started from.

    The line matters: after a restore of an old checkpoint the store still holds newer states of the run before, and a
    failure must not bring those back. Only without any record of a run the newest of all is taken.
    """
    run = observed.job.status.run if observed.job else None
    began = observed.job.status.started_from if observed.job else None
    if run is None or began is None:
        made = tuple(state for state in states if state.run or state.target_directory)
        return _newest_of_all(observed, made, any_directory=any_directory)
    own = [state for state in states if state.run == run.id]
    newest = max(own, key=lambda state: (state.checkpoint_id, state.modified), default=None)
    if (missing := _missing(observed, newest)) is not None:
        return missing
    if newest is not None:
        return _from(observed, newest, "the newest complete state of the last run")
    if began.kind in (StartKind.EMPTY, StartKind.REPLAY):
        return _stateless_again(observed, began)
    again = next((state for state in states if state.location == began.location), None)
    if again is None:
        return Refusal(
            "NothingToStartFrom",
            f"the last run completed no checkpoint, and what it had started from ({began.location}) is gone; "
            "write spec.startFrom.checkpoint.name, or spec.startFrom.empty: {} to begin without state",
        )
    reason = "the last run completed no checkpoint of its own; this is what it had started from"
    return _from(observed, again, reason, began.replay)


def _missing(observed: Observed, newest: StoredState | None) -> Refusal | None:
    """Why the newest state of the last run that the store holds is not the one that the run had; None: it is."""
    last = observed.job.status.latest_checkpoint if observed.job else None
    if last is None or (newest is not None and newest.checkpoint_id >= last.checkpoint_id):
        return None
    words = "write spec.startFrom.checkpoint.name, or spec.startFrom.empty: {} to begin without state"
    why = protection.unprotected(observed, last)
    if why:
        return Refusal("StateElsewhere", f"{why}. Going back further is yours to say: {words}")
    if newest is not None:
        return None
    return Refusal(
        "StateMissing",
        "the last run had completed checkpoints, and the store holds none of them any more: going back further is "
        f"yours to say; {words}",
    )


def _stateless_again(observed: Observed, began: StartedFrom) -> StartedFrom | Refusal:
    if began.kind is StartKind.REPLAY and observed.job is not None:
        return replay.again(observed.job, began, observed.now)
    return _empty(observed, "the last run had started empty and completed no checkpoint")


def _newest_of_all(
    observed: Observed, states: tuple[StoredState, ...], *, any_directory: bool
) -> StartedFrom | Refusal:
    if states:
        newest = max(states, key=lambda state: (state.modified, state.checkpoint_id))
        return _from(observed, newest, "the newest complete state that the store holds of this job's name")
    imported = [ckpt.metadata.name for ckpt in observed.checkpoints if ckpt.spec.location is not None]
    if imported:
        return Refusal(
            "NothingToStartFrom",
            "there is an imported Checkpoint, and nothing says to start from it; write "
            f"spec.startFrom.checkpoint.name: {imported[0]}, or spec.startFrom.empty: {{}} to begin without state",
        )
    if any_directory:
        return Refusal(
            "NothingToStartFrom",
            "the store holds a directory of this job's name but nothing in it can be started from; write "
            "spec.startFrom.empty: {} to begin without state, or spec.startFrom.checkpoint.name",
        )
    return _empty(observed, "the store holds nothing of this job's name")


def _empty(observed: Observed, reason: str) -> StartedFrom:
    return StartedFrom(kind=StartKind.EMPTY, text=StartKind.EMPTY.value, time=observed.now, reason=reason)


def _from(observed: Observed, state: StoredState, reason: str, known: Replay | None = None) -> StartedFrom | Refusal:
    all_of_them = (*observed.checkpoints, *(each.checkpoint for each in observed.foreign))
    owner = next((ckpt for ckpt in all_of_them if ckpt.status.location == state.location), None)
    if owner is not None and is_being_cleared(owner):
        name = owner.metadata.name
        return Refusal("CheckpointDeleting", f"the newest state is Checkpoint {name}, which is being deleted: waiting")
    return StartedFrom(
        kind=StartKind.CHECKPOINT if owner and state.savepoint else StartKind.RETAINED,
        text=owner.metadata.name if owner and state.savepoint else f"chk-{state.checkpoint_id} of {short(state.run)}",
        checkpoint=owner.metadata.name if owner else None,
        location=state.location,
        checkpoint_id=state.checkpoint_id,
        run=state.run or None,
        time=observed.now,
        reason=reason,
        replay=known or replay.of_state(observed, state),
    )
