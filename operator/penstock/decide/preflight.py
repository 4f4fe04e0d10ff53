"""What a start would come to, looked at before the running job is stopped for it. Pure.

What can be seen in the store, in the spec and at the broker is for `verification` and `sources` to say. Whether the
program can make its graph, and whether that has a place for all of the state, only the program can say: a pod makes
the graph without executing it. Its id is in the status before it is made, and is the same for the same start; what it
said is in the status before it goes. When nobody can say, the job is stopped all the same: a change that does not work
is taken back (see `health`).
"""

from __future__ import annotations

from collections.abc import Iterator

from penstock import names
from penstock.api.base import NameRef
from penstock.api.preflight import CheckResult, Preflight, PreflightCheck, ProgramAnswer, Restore
from penstock.api.start_from import Override, StartFrom
from penstock.api.streamjob import StreamJob
from penstock.api.streamjob_status import RefusedChange, Run, StartedFrom
from penstock.decide import expiry, forecast, program, sources, verification, version
from penstock.decide.change import spec_hash
from penstock.decide.choice import choose
from penstock.decide.draft import Draft
from penstock.decide.measured import wishes_of
from penstock.decide.needs import asked_about, live_run, to_apply
from penstock.decide.program import Subject
from penstock.decide.refusal import Refusal
from penstock.model import DeleteGraph, Observed, Unknown
from penstock.names import short
from penstock.source.held import SourceWish
from penstock.verdict import Wish

_UPGRADE = "upgrade"
_POLL_SECONDS = 5.0
_Found = list[PreflightCheck | str]
"""Checks; a text in the place of one that is waited for."""


# ---------------------------------------------------------------- for a change of the spec


def restore_may_begin(draft: Draft, wish: StartFrom, chosen: StartedFrom) -> bool:
    """Whether a running job may be stopped for this start, whose state has just been found good."""
    subject = Subject(chosen.text, chosen.location, chosen.replay, wish.override or ())
    return _may_begin(draft, subject, _checks_of_state(draft, wish, chosen), chosen.location or chosen.kind)


def refused(draft: Draft, wish: StartFrom) -> None:
    """Write down the checks of a start that was refused for its state."""
    chosen = choose(draft.observed, wish)
    if isinstance(chosen, Unknown) or draft.stall is None:
        return
    found = _checks_of_state(draft, wish, chosen)
    named = (
        wish.checkpoint.name if wish.checkpoint is not None else next(iter(wish.model_fields_set - {"override"}), "")
    )
    text = chosen.text if isinstance(chosen, StartedFrom) else named
    record = _begun(_of_change(draft.job), Preflight(id=_id(draft.observed, "refused"), text=text), draft)
    _keep(draft, _told(draft, record, _only(found)))


def upgrade_may_begin(draft: Draft, run: Run, *, stateless: bool) -> bool:
    """Whether a running job may be stopped for a new version.

    The state is not there yet: the savepoint of the stop will have what the newest checkpoint has. Without any there is
    nothing to lose, and nothing is looked at.
    """
    latest = draft.status.latest_checkpoint
    if latest is None:
        return True
    override = draft.job.spec.start_from.override or ()
    if stateless:
        return _may_begin(draft, Subject("no state", None, override=override), [], _UPGRADE)
    began = draft.status.started_from
    replay = began.replay if began is not None else None
    subject = Subject(f"the state of run {short(run.id)}", _newest(draft, latest.location), replay, override)
    return _may_begin(draft, subject, [], _UPGRADE)


def is_refused(draft: Draft) -> bool:
    """Whether what is to be started now was tried while the version before ran, and refused: then it stays so."""
    known = draft.status.refused
    if known is not None and (known.spec_hash, known.asked) != (spec_hash(draft.job.spec), to_apply(draft.job)):
        draft.set(refused=None)
        return False
    if known is not None:
        draft.stalled(known.reason, f"{known.message}. To try the same once more, change spec.restartToken")
    return known is not None


def _newest(draft: Draft, latest: str) -> str:
    """The checkpoint of the live run that is read: the same one until Flink takes it away.

    A new one comes each minute, and a large one takes longer to read.
    """
    known = _of_change(draft.job)
    if known is None or known.id != _id(draft.observed, _UPGRADE) or known.location is None:
        return latest
    seen = draft.observed.verified.get(known.location)
    if seen is None or seen.verification is None or not seen.verification.gone:
        return known.location
    others = (latest, *(each.location for each in draft.status.retained_checkpoints))
    return next((each for each in others if each != known.location), latest)


def _may_begin(draft: Draft, subject: Subject, before: _Found, key: str) -> bool:
    known = _of_change(draft.job)
    record, waits = program.answered(draft, _begun(known, _record(draft, subject, key), draft), subject)
    if subject.replay is not None and subject.location is None:
        record = forecast.asked(draft, record, subject.replay)
    if record.program is None:
        _keep(draft, record)
        expected = f"; expected to catch up: {record.estimate.text}" if record.estimate and record.estimate.text else ""
        draft.waiting = f"{waits}{expected}"
        return False
    checks = _only([*before, *_of_program(record, subject)])
    failed = next((each for each in checks if each.result is CheckResult.FAILED), None)
    _keep(draft, _told(draft, record, checks))
    if failed is not None:
        asked, digest = to_apply(draft.job), spec_hash(draft.job.spec)
        refused = RefusedChange(spec_hash=digest, asked=asked, reason=failed.reason, message=failed.message)
        draft.set(refused=refused)
        draft.stalled(failed.reason, f"{failed.message}. The job runs on")
        return False
    if record.program.trouble and (known is None or known.program is None):
        draft.say("Warning", "PreflightUnknown", f"the job is stopped all the same: {record.program.trouble}")
    return True


# ---------------------------------------------------------------- for somebody who only asks


def dry_run(draft: Draft) -> None:
    """Answer the annotation that asks for a look at a start from a Checkpoint; the job goes on meanwhile."""
    asked = asked_about(draft.job)
    chosen = _asked_for(draft.observed)
    if asked is None or chosen is None or isinstance(chosen, Unknown):
        if asked is not None:
            draft.wake(_POLL_SECONDS)
        return
    name, request = asked
    wish, known = _wish(name), _of_dry_run(draft.job)
    location = chosen.location if isinstance(chosen, StartedFrom) else None
    subject = Subject(name, location, chosen.replay if isinstance(chosen, StartedFrom) else None, request=request)
    record = _begun(known, _record(draft, subject, f"{request}\n{location}"), draft)
    checks = _checks_of_state(draft, wish, chosen)
    waits = any(isinstance(each, str) for each in checks)
    if isinstance(chosen, StartedFrom):
        record, _ = program.answered(draft, record, subject)
        waits = waits or record.program is None
        checks += _of_program(record, subject) if record.program is not None else []
    if not waits:
        record = _told(draft, record, _only(checks))
    _keep(draft, record, dry=True)


def _asked_for(observed: Observed) -> StartedFrom | Refusal | Unknown | None:
    asked = asked_about(observed.job)
    return choose(observed, _wish(asked[0])) if asked is not None else None


def _wish(name: str) -> StartFrom:
    # As it is written, be it a name that no object can have: there is no such Checkpoint then.
    return StartFrom(checkpoint=NameRef.model_construct(name=name))


# ---------------------------------------------------------------- what is looked at, and what is left over


def wishes(observed: Observed) -> tuple[Wish, ...]:
    """The states that are to be read for it, beyond those that `verification` asks for."""
    job = observed.job
    if job is None or job.metadata.terminating or job.status.intent is not None:
        return ()
    found = []
    chosen = _asked_for(observed)
    if isinstance(chosen, StartedFrom) and chosen.location is not None:
        found.append(verification.urgent(observed, chosen.location))
    known = _of_change(job)
    waits = known is not None and known.program is None and known.start == verification.this_start(observed)
    if known is not None and known.location is not None and waits and live_run(job) is not None:
        found.append(verification.urgent(observed, known.location))
    return tuple(found)


def source_wishes(observed: Observed) -> tuple[SourceWish, ...]:
    """What is to be asked of brokers for a dry run and for a forecast, beyond what `sources` asks for a start."""
    chosen = _asked_for(observed)
    dry = wishes_of(observed) if isinstance(chosen, StartedFrom) and chosen.location is not None else ()
    return (*dry, *forecast.wishes(observed))


def sweep(draft: Draft) -> None:
    """Delete what nobody waits for any more, and forget what nobody asks for any more."""
    this = verification.this_start(draft.observed)
    asked = asked_about(draft.job)
    change, dry = _of_change(draft), _of_dry_run(draft)
    if change is not None and change.start != this and change.program is None:
        _keep(draft, None)
    if dry is not None and not dry.checks and (asked is None or asked[1] != dry.request):
        _keep(draft, None, dry=True)
    records = {each.id for each in (_of_change(draft), _of_dry_run(draft)) if each is not None}
    loaded = [each for each in (_of_change(draft.job), _of_dry_run(draft.job)) if each is not None]
    waits = {each.id for each in loaded if each.program is None}
    # What it has said must have been written before it goes.
    written = {each.id for each in loaded} - waits
    for pod in draft.observed.programs:
        if pod.id not in waits | (records - written):
            draft.act(DeleteGraph(pod.id), program.OWNER)


# ---------------------------------------------------------------- the record


def _of_change(holder: StreamJob | Draft) -> Preflight | None:
    return holder.status.restore.preflight if holder.status.restore is not None else None


def _of_dry_run(holder: StreamJob | Draft) -> Preflight | None:
    return holder.status.restore.dry_run if holder.status.restore is not None else None


def _id(observed: Observed, key: str) -> str:
    job = observed.job
    return names.preflight_id(job.metadata.uid if job is not None else "", verification.this_start(observed), key)


def _record(draft: Draft, subject: Subject, key: str) -> Preflight:
    id_ = _id(draft.observed, key)
    return Preflight(id=id_, text=subject.text, location=subject.location, request=subject.request)


def _begun(known: Preflight | None, wanted: Preflight, draft: Draft) -> Preflight:
    """What is known of this very start, else the record of it that begins."""
    if known is None or known.id != wanted.id:
        return wanted.model_copy(update={"start": verification.this_start(draft.observed)})
    return known.model_copy(update={"location": wanted.location})


def _told(draft: Draft, record: Preflight, checks: list[PreflightCheck]) -> Preflight:
    """With these checks; saying the same again keeps its time."""
    same = record.checks == tuple(checks)
    return record if same else record.model_copy(update={"checks": tuple(checks), "time": draft.now})


def _keep(draft: Draft, record: Preflight | None, *, dry: bool = False) -> None:
    before = draft.status.restore or Restore()
    after = before.model_copy(update={"dry_run" if dry else "preflight": record})
    draft.set(restore=after if after != Restore() else None)


# ---------------------------------------------------------------- the checks


def _only(found: _Found) -> list[PreflightCheck]:
    return [each for each in found if isinstance(each, PreflightCheck)]


def _checks_of_state(draft: Draft, wish: StartFrom, chosen: StartedFrom | Refusal) -> _Found:
    """State, Files, Version, Parallelism and Sources."""
    if isinstance(chosen, Refusal):
        return [_failed("State", chosen)]
    override = wish.override or ()
    # Not the reason of a replay, which tells times that pass: what changes at each look would be written at each.
    there = "no state is restored" if chosen.location is None else f"{chosen.text} is there"
    found: _Found = [PreflightCheck(name="State", result=CheckResult.PASSED, message=there)]
    unread = verification.unread(draft, chosen)
    if chosen.location is None:
        found += [_skipped(each, "no state is restored") for each in ("Files", version.NAME, "Parallelism")]
    else:
        files = verification.files(draft, chosen, None)
        found.append(_unknown("Files", unread) if unread else _judged("Files", files, override, Override.NOT_WHOLE))
        found.append(_of_version(version.check(draft, chosen), override))
        wide = verification.too_wide(draft, chosen, None) or ""
        split = _judged("Parallelism", wide, override, Override.PARALLELISM_TOO_HIGH)
        found.append(_unknown("Parallelism", unread) if unread else split)
    if not draft.job.spec.sources:
        found.append(_skipped("Sources", "spec.sources declares none"))
    elif unread:
        found.append(_unknown("Sources", unread))
    elif chosen.location is None:
        found.append(_judged("Sources", sources.hindrance(draft, chosen), (), None))
    else:
        bare = wish.model_copy(update={"override": None})
        offsets = expiry.hindrance(draft, chosen, bare)
        found.append(_judged("Sources", offsets, override, Override.SOURCE_OFFSETS_EXPIRED))
    return found


def _of_version(found: Refusal | PreflightCheck, override: tuple[Override, ...]) -> PreflightCheck | str:
    if isinstance(found, PreflightCheck):
        return found
    return _judged(version.NAME, found, override, Override.VERSION_NOT_READABLE)


def _of_program(record: Preflight, subject: Subject) -> Iterator[PreflightCheck | str]:
    """Program and Operators."""
    said = record.program or ProgramAnswer()
    if said.trouble:
        yield _unknown("Program", said.trouble)
        yield _unknown("Operators", said.trouble)
        return
    failure = Refusal("ProgramFails", _program_fails(said)) if said.failure else ""
    yield _judged("Program", failure, subject.override, Override.PROGRAM_FAILS, f"it has {said.operators} operators")
    if record.location is None:
        yield _skipped("Operators", "no state is restored")
    elif said.failure:
        yield _unknown("Operators", "the program has no graph")
    else:
        dropped = Refusal("StateWouldBeDropped", _dropped(said, subject)) if said.dropped_count else ""
        message = f"all operators with state in {subject.text} are in the program"
        yield _judged("Operators", dropped, subject.override, Override.STATE_WOULD_BE_DROPPED, message)
        split = Refusal("ParallelismTooHigh", _unfit(said, subject)) if said.unfit else ""
        message = f"the state in {subject.text} can be split as the program wants"
        yield _judged("Split", split, subject.override, Override.PARALLELISM_TOO_HIGH, message)


def _program_fails(said: ProgramAnswer) -> str:
    why = said.failure.rstrip(".")
    return (
        f"the program was tried without being executed, and fails: {why}. Mend it, or, to stop the job for it all the "
        "same, write spec.startFrom.override: [ProgramFails]"
    )


def _unfit(said: ProgramAnswer, subject: Subject) -> str:
    return (
        f"{said.unfit}. Flink would refuse to start from {subject.text}. To try it all the same write "
        "spec.startFrom.override: [ParallelismTooHigh]"
    )


def _dropped(said: ProgramAnswer, subject: Subject) -> str:
    more = said.dropped_count - len(said.dropped)
    known = ", ".join(said.dropped) + (f" and {more} more" if more > 0 else "")
    return (
        f"{said.dropped_count} operators with state in {subject.text} are not in the program: {known}. Flink would "
        "refuse to start. To give up their state write spec.startFrom.override: [StateWouldBeDropped]"
    )


def _judged(
    name: str, found: Refusal | str, override: tuple[Override, ...], way: Override | None, good: str = ""
) -> PreflightCheck | str:
    if isinstance(found, str):
        return found or PreflightCheck(name=name, result=CheckResult.PASSED, message=good)
    if way is not None and way in override:
        return PreflightCheck(name=name, result=CheckResult.OVERRIDDEN, reason=found.reason, message=found.message)
    return _failed(name, found)


def _failed(name: str, refusal: Refusal) -> PreflightCheck:
    return PreflightCheck(name=name, result=CheckResult.FAILED, reason=refusal.reason, message=refusal.message)


def _unknown(name: str, why: str) -> PreflightCheck:
    return PreflightCheck(name=name, result=CheckResult.UNKNOWN, message=why)


def _skipped(name: str, why: str) -> PreflightCheck:
    return PreflightCheck(name=name, result=CheckResult.SKIPPED, message=why)
