"""Checkpoints of source Imported: state that lies in the store and that Penstock did not make. Pure.

Nothing of it is ever written or deleted. It is Present when all of its files were found.
"""

from __future__ import annotations

from penstock.api import constants
from penstock.api.checkpoint import Checkpoint, Phase
from penstock.api.quantity import display_bytes
from penstock.decide import version
from penstock.decide.draft import Draft
from penstock.store.layout import Place
from penstock.verdict import Verification


def proceed(draft: Draft, checkpoint: Checkpoint) -> tuple[str, str] | None:
    """One look at one that is not Present yet. Gives reason and message when it never will be."""
    place, location = draft.observed.store.place, checkpoint.spec.location or ""
    if place is None or draft.observed.store.problem:
        _wait(draft, checkpoint, draft.observed.store.problem)
        return None
    wrong = _misplaced(place, location)
    if wrong:
        return "PlaceNotOurs", f"spec.location: {wrong}"
    seen = draft.observed.verified.get(location)
    if seen is None or seen.verification is None:
        _wait(draft, checkpoint, seen.trouble if seen else "it is looked whether all of its files are there")
        return None
    target = draft.job.spec.flink.version
    unread = version.unread(target, seen.verification)
    if unread:
        made = f"import a savepoint that Flink {target} or an older one has written"
        return "VersionNotReadable", f"spec.location {location}: {unread}; {made}"
    if not seen.verification.whole:
        return "NotWhole", f"spec.location {location}: {seen.verification}; mend it and make this Checkpoint again"
    _present(draft, checkpoint, seen.verification)
    return None


def _misplaced(place: Place, location: str) -> str:
    """Why it may not lie there; empty when it may."""
    key = place.key_of(location)
    if key is None:
        return f"{location} is not in bucket {place.bucket} of the job's store; copy it there first"
    if place.home_of(f"{key}/") is not None:
        # Retention and deletion look at what the job itself names: they could take it away.
        return (
            f"{location} lies in the directory of a StreamJob; what Penstock wrote becomes a Checkpoint again by "
            "penstock rebuild, or copy it to a place outside"
        )
    return ""


def _wait(draft: Draft, checkpoint: Checkpoint, why: str) -> None:
    draft.set_checkpoint(checkpoint, phase=Phase.PENDING)
    draft.condition(checkpoint, constants.RECONCILING, "True", "Waiting", why)
    draft.wake(5)


def _present(draft: Draft, checkpoint: Checkpoint, found: Verification) -> None:
    """What can be known of it: nobody here has seen it being made."""
    draft.set_checkpoint(
        checkpoint,
        phase=Phase.PRESENT,
        checkpoint_id=found.checkpoint_id,
        completion_time=found.written or draft.now,
        size_bytes=found.size,
        size_text=display_bytes(found.size),
        store=draft.job.spec.checkpoints.store,
        location=checkpoint.spec.location,
        settled=True,
        last_error=None,
    )
    draft.say("Normal", "Present", f"imported: {found}", checkpoint)
