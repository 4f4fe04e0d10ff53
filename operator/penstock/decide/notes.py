"""What the note beside a savepoint says: whose it is, and what a lost status was. A job's pods may write there, too."""

from __future__ import annotations

from datetime import UTC, datetime

from pydantic import ValidationError

from penstock.api import constants
from penstock.api.checkpoint import Checkpoint, CheckpointStatus
from penstock.decide.draft import Draft
from penstock.model import JobListing, StoredState

_NOTED = {
    "jobVersion": "job_version",
    "format": "format",
    "flinkVersion": "flink_version",
    "triggerId": "trigger_id",
    "replay": "replay",
}


def rebuilt_from(checkpoint: Checkpoint) -> str | None:
    """The location that a Checkpoint was made anew for (`penstock rebuild`); None for all others."""
    return checkpoint.metadata.annotations.get(constants.ANNOTATION_REBUILT_FROM)


def found_again(draft: Draft, checkpoint: Checkpoint, listing: JobListing) -> StoredState | None:
    """The complete savepoint that was taken for this Checkpoint: its uid's directory, or a note with its name."""
    claimed = {other.status.location for other in draft.observed.checkpoints if other.status.location}
    name, only = checkpoint.metadata.name, rebuilt_from(checkpoint)
    uids = {other.metadata.uid for other in draft.observed.checkpoints if other.metadata.name != name}
    candidates = [
        state
        for state in listing.states
        if state.savepoint
        and state.location not in claimed
        and only in (None, state.location)
        and state.note.get("checkpoint") == name
        and state.note.get("uid") not in uids
    ]
    return max(candidates, key=lambda state: (state.modified, state.checkpoint_id), default=None)


def told_by(state: StoredState) -> dict[str, object]:
    """What the note says for the status, each field only when it can be one."""
    told: dict[str, object] = {}
    for key, field in _NOTED.items():
        try:
            told[field] = getattr(CheckpointStatus.model_validate({key: state.note.get(key)}), field)
        except ValidationError:
            told[field] = None
    return told


def trigger_time(state: StoredState) -> datetime | None:
    """When it was asked for."""
    text = state.note.get("triggerTime")
    try:
        found = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return found if found is None or found.tzinfo is not None else found.replace(tzinfo=UTC)
