"""Which states are to be verified, and what comes of the answers. Pure.

No start is begun, and no job is stopped for a restore, without an answer that was found for that very start.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from penstock.api import constants
from penstock.api.checkpoint import Checkpoint, CheckpointVerification, Phase, Source
from penstock.api.conditions import ConditionStatus, find_condition
from penstock.api.start_from import Override
from penstock.api.streamjob import DesiredState
from penstock.api.streamjob_status import StartedFrom
from penstock.decide import choice, health, version
from penstock.decide.draft import Draft
from penstock.decide.needs import is_being_cleared, live_run, wants_restart
from penstock.decide.refusal import Refusal
from penstock.model import JobListing, Observed
from penstock.verdict import Verification, Wish

_RECENT = timedelta(minutes=1)
_ANY_TIME = datetime.min.replace(tzinfo=UTC)
"""Times that others told are not compared with answers: a clock that is ahead would ask without end."""


def wishes(observed: Observed) -> tuple[Wish, ...]:
    """What is to be looked at in this pass: what a start waits for first."""
    began = to_start_from(observed)
    first = (urgent(observed, began.location),) if began is not None and began.location else ()
    return first + tuple(wish for ckpt in observed.checkpoints if (wish := _wish(ckpt)) is not None)


def urgent(observed: Observed, where: str) -> Wish:
    """A state that a start waits for."""
    # What an administrator has imported lies wherever he has said; another job's was looked at when it was chosen.
    anywhere = any(ckpt.spec.location == where for ckpt in observed.checkpoints)
    anywhere = anywhere or any(each.checkpoint.status.location == where for each in observed.foreign)
    return Wish(where, observed.now - _RECENT, start=this_start(observed), anywhere=anywhere)


def this_start(observed: Observed) -> str:
    """What tells this start from any other: what was found for another one, a second ago, says nothing about now."""
    job = observed.job
    run = job.status.run.id if job is not None and job.status.run is not None else ""
    return f"{job.metadata.generation if job is not None else 0}/{run}"


def to_start_from(observed: Observed) -> StartedFrom | None:
    """What this pass would start from, or stop a run for, if it is whole."""
    job = observed.job
    idle = job is not None and not job.metadata.terminating and job.status.intent is None
    if job is None or not idle or not isinstance(observed.listing, JobListing):
        return None
    if live_run(job) is not None:
        wish = job.spec.start_from if wants_restart(job) and job.spec.start_from.latest is None else None
    elif job.spec.state is DesiredState.RUNNING and (fallback := health.goes_back(job)) is not None:
        return fallback.started_from
    else:
        wish = choice.wish(job) if job.spec.state is DesiredState.RUNNING and choice.is_due(job) else None
    chosen = choice.choose(observed, wish) if wish is not None else None
    return chosen if isinstance(chosen, StartedFrom) else None


def _wish(checkpoint: Checkpoint) -> Wish | None:
    """A Present one that was never looked at, or that a user asks for."""
    status, asked = checkpoint.status, checkpoint.metadata.annotations.get(constants.VERIFY, "")
    if checkpoint.spec.location is not None:
        return _imported(checkpoint, asked)
    if status.phase is not Phase.PRESENT or status.location is None:
        return None
    if checkpoint.metadata.terminating or is_being_cleared(checkpoint):
        return None
    known = status.verification
    if known is not None and asked in ("", known.request):
        return None
    return Wish(status.location, _ANY_TIME, asked)


def _imported(checkpoint: Checkpoint, asked: str) -> Wish | None:
    """An imported one is looked at before it is Present, wherever its administrator says that it lies."""
    known = checkpoint.status.verification
    over = checkpoint.status.phase not in (None, Phase.PENDING, Phase.PRESENT) or checkpoint.metadata.terminating
    if over or (known is not None and asked in ("", known.request)):
        return None
    # What was found for an earlier object of the same place does not count: it may have been mended since.
    own = checkpoint.metadata.uid if known is None else ""
    return Wish(checkpoint.spec.location or "", _ANY_TIME, asked, start=own, anywhere=True)


def hindrance(draft: Draft, began: StartedFrom, override: tuple[Override, ...] | None) -> Refusal | str:
    """Why this may not be started from, or what is waited for; empty when it may."""
    return files(draft, began, override) or version.hindrance(draft, began, override) or ""


def files(draft: Draft, began: StartedFrom, override: tuple[Override, ...] | None) -> Refusal | str:
    """The same as far as its files go. Of a `_metadata` that this Flink cannot read `version` says why, not this.

    An answer is waited for though files may be missing: the other checks need it.
    """
    if began.location is None:
        return ""
    insisted = Override.NOT_WHOLE in (override or ())
    seen = draft.observed.verified.get(began.location)
    found = seen.verification if seen is not None else None
    if seen is not None and found is None:
        if insisted:
            return ""
        draft.wake(5)
        return f"{began.text} cannot be verified: {seen.trouble}"
    if seen is None or found is None or seen.start != this_start(draft.observed):
        draft.wake(5)
        return f"{began.text} is being verified: it is looked whether all of its files are there"
    if found.faulty and not insisted and not unread(draft, began):
        return Refusal(
            "NotWhole",
            f"{began.text} at {began.location} cannot be restored: {found}; write spec.startFrom.checkpoint.name of "
            "another one, or, to try it all the same, spec.startFrom.override: [NotWhole] and a new spec.restartToken",
        )
    return ""


def unread(draft: Draft, began: StartedFrom) -> str:
    """Why nobody can say which files it needs: its `_metadata` is in a version for another Flink. Else empty."""
    seen = draft.observed.verified.get(began.location or "")
    found = seen.verification if seen is not None else None
    other = found is not None and found.unreadable and version.unread(draft.job.spec.flink.version, found)
    return str(found) if other else ""


def too_wide(draft: Draft, began: StartedFrom, override: tuple[Override, ...] | None) -> Refusal | None:
    """Why the job's parallelism is too high for this state. Flink says so only after the job was stopped for it."""
    seen = draft.observed.verified.get(began.location or "")
    found = seen.verification if seen is not None else None
    if found is None or found.narrowest is None or Override.PARALLELISM_TOO_HIGH in (override or ()):
        return None
    (operator, most), asked = found.narrowest, draft.job.spec.parallelism
    if asked <= most:
        return None
    return Refusal(
        "ParallelismTooHigh",
        f"spec.parallelism: {asked} is too high for {began.text}: the state of its operator {operator} can be split "
        f"into at most {most} parts (its max parallelism); write at most {most}, or another checkpoint, or, to try it "
        "all the same, spec.startFrom.override: [ParallelismTooHigh] and a new spec.restartToken",
    )


def proceed(draft: Draft, checkpoint: Checkpoint) -> None:
    """Write an answer into the Checkpoint: condition Verified, and the figures. One that says the same is not written.

    Asked for by a user, it is written all the same: its time says that it was looked at.
    """
    status = draft.status_of(checkpoint)
    seen = draft.observed.verified.get(status.location or "")
    if status.phase is not Phase.PRESENT or seen is None or seen.verification is None:
        return
    found, known = seen.verification, status.verification
    if found.gone and checkpoint.spec.source is Source.RETAINED:
        return  # Flink has discarded it: the next look at its history or at the store says so
    told = CheckpointVerification(
        time=seen.at,
        files=found.files,
        missing=found.missing,
        first_missing=found.names,
        outside=found.outside,
        request=seen.request or (known.request if known is not None else ""),
    )
    state, reason = _verdict(found)
    before = find_condition(status.conditions, constants.VERIFIED)
    same = before is not None and (before.status, before.message) == (state, str(found))
    if known is not None and same and told.request == known.request:
        return
    draft.set_checkpoint(checkpoint, verification=told)
    draft.condition(checkpoint, constants.VERIFIED, state, reason, str(found))
    if state == "False" and not same:
        draft.say("Warning", reason, str(found), checkpoint)


def _verdict(found: Verification) -> tuple[ConditionStatus, str]:
    if found.unreadable:
        return "False", "MetadataUnreadable"
    if found.missing:
        return "False", "FilesMissing"
    return ("Unknown", "FilesElsewhere") if found.outside else ("True", "Whole")
