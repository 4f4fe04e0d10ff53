"""What stays known of each run: recorded at the ControllerRevision of its version, at its start and at its end. Pure.

The status knows the last run only. It is asked at every pass, so that what a crash or a refusal left out is made good.
"""

from __future__ import annotations

from penstock import names
from penstock.api.history import record_of
from penstock.decide.draft import Draft
from penstock.model import RecordRun, Revision

KEPT = 50
"""So many runs of a version are remembered, the newest: a job that is lost again and again must not fill the object."""


def proceed(draft: Draft) -> None:
    """Have the run of the status that was read recorded, unless it is."""
    run, began = draft.job.status.run, draft.job.status.started_from
    revision = next((each for each in draft.observed.revisions if run and each.version == run.job_version), None)
    if run is None or began is None or revision is None:
        return
    known = revision.runs.get(run.id)
    record = record_of(run, began, known)
    if record != known:
        name = names.revision(draft.job.metadata.name, revision.version)
        # A step of its own, under a name that no Checkpoint can have: a start does not wait for its record.
        draft.act(RecordRun(name, run.id, record, _oldest(revision, run.id)), f"ControllerRevision/{name}")


def _oldest(revision: Revision, run: str) -> tuple[str, ...]:
    """The runs that go to make room for this one."""
    others = [(str(record.started_at or ""), each) for each, record in revision.runs.items() if each != run]
    return tuple(each for _, each in sorted(others, reverse=True)[KEPT - 1 :])
