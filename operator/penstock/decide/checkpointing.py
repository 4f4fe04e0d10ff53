"""How Flink really takes a run's checkpoints, and what of `spec.checkpoints` the program has overruled. Pure.

Interval and mode are the program's to set; what is shown must not be another one, and a job without checkpoints must
not be taken for one that has not completed any yet.
"""

from __future__ import annotations

from penstock.api import constants
from penstock.api.conditions import find_condition, remove_condition
from penstock.api.duration import display_duration, parse_duration
from penstock.api.streamjob import StreamJob
from penstock.api.streamjob_status import Run, RunCheckpointing
from penstock.decide.draft import Draft
from penstock.decide.needs import live_run
from penstock.flink.answers import Checkpointing, FlinkJob

NONE = "NoCheckpoints"
NOTHING = "the program takes no checkpoints (it runs in batch mode, or switches them off), and so no savepoint either"
_INSTEAD = (
    "Write checkpoints.onStop: LatestCheckpoint and checkpoints.onUpgrade: Stateless, or take that out of the program"
)
_INTERVAL = "IntervalOverridden"
_DISCARDED = "DiscardedOnCancellation"


def proceed(draft: Draft) -> None:
    """Write down what Flink says, once for each start of its JobManager, and tell what differs from the spec."""
    run, flink = live_run(draft.job), draft.observed.flink
    now = draft.status.run
    if run is None or now is None or now.id != run.id or now.ended_at is not None:
        _forget(draft)
        return
    said = draft.observed.checkpointing
    if isinstance(flink, FlinkJob) and flink.state == "RUNNING" and (said is None or isinstance(said, Checkpointing)):
        known = _known(flink, said)
        if now.checkpointing is None or now.checkpointing.began_millis != flink.began_millis:
            draft.set(run=now.model_copy(update={"checkpointing": known}))
    _tell(draft)


def no_savepoint(run: Run) -> str:
    """Why Flink takes no savepoint of this run, ever, and what to write; empty: it does, or nobody knows."""
    return f"{NOTHING}. {_INSTEAD}" if run.checkpointing is not None and not run.checkpointing.enabled else ""


def interval_millis(job: StreamJob) -> int:
    """How often a checkpoint is to be expected: as Flink says, else as the spec does."""
    run = live_run(job)
    told = run.checkpointing.interval_millis if run is not None and run.checkpointing is not None else None
    return told or parse_duration(job.spec.checkpoints.interval)


def _known(flink: FlinkJob, said: Checkpointing | None) -> RunCheckpointing:
    if said is None:
        return RunCheckpointing(began_millis=flink.began_millis, enabled=False)
    return RunCheckpointing(
        began_millis=flink.began_millis,
        enabled=True,
        interval_millis=said.interval_millis or None,
        mode=said.mode,
        kept_on_cancellation=said.keeps_on_cancellation,
    )


def _tell(draft: Draft) -> None:
    found = _differences(draft)
    before = find_condition(draft.status.conditions, constants.CHECKPOINTS_OVERRIDDEN)
    if not found:
        if before is not None:
            draft.job_condition(constants.CHECKPOINTS_OVERRIDDEN, "False", "AsAsked", "")
        return
    reason, message = next(iter(found)), ". ".join(found.values())
    if before is None or before.status != "True" or before.reason != reason:
        draft.say("Warning", reason, message)
    draft.job_condition(constants.CHECKPOINTS_OVERRIDDEN, "True", reason, message)


def _differences(draft: Draft) -> dict[str, str]:
    """By reason, the worst first, what the program has changed and what to write."""
    run = draft.status.run
    really = run.checkpointing if run is not None else None
    if really is None:
        return {}
    wanted = parse_duration(draft.job.spec.checkpoints.interval)
    if not really.enabled:
        return {NONE: f"{NOTHING}: what the job has done is lost when it fails. {_INSTEAD}"}
    found = {}
    if not really.kept_on_cancellation:
        found[_DISCARDED] = (
            "Flink would delete the checkpoints of this job when it is cancelled: Penstock deletes its pods instead, "
            "and nobody should cancel it in Flink. Take execution.checkpointing.externalized-checkpoint-retention out "
            "of the program"
        )
    if really.interval_millis is None:
        found[_INTERVAL] = (
            "the program has Flink take no checkpoints by itself: spec.checkpoints.interval has no effect, and what "
            "the job has done since its last savepoint is lost when it fails"
        )
    elif really.interval_millis != wanted:
        asked = display_duration(really.interval_millis)
        found[_INTERVAL] = (
            f"the program asks for a checkpoint each {asked}: spec.checkpoints.interval has no effect; take that out "
            f"of the program, or write {asked} there"
        )
    return found


def _forget(draft: Draft) -> None:
    kept = remove_condition(draft.status.conditions, constants.CHECKPOINTS_OVERRIDDEN)
    if kept != draft.status.conditions:
        draft.set(conditions=kept)
