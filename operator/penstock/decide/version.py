"""Whether the Flink that a run will have can read a state. Pure.

A `_metadata` file says in which version it is laid out. At one that it does not know Flink throws "Unrecognized
checkpoint version number", and it does so only after the running job was stopped. The Flink that wrote the state is
known of what has a Checkpoint.
"""

from __future__ import annotations

import re

from penstock.api.preflight import CheckResult, PreflightCheck
from penstock.api.start_from import Override
from penstock.api.streamjob_status import StartedFrom
from penstock.decide.draft import Draft
from penstock.decide.refusal import Refusal
from penstock.model import Observed
from penstock.verdict import Verification

NAME = "Version"
READS = {"2.3": range(2, 7)}
"""Flink's version to those of `_metadata` that it reads. Source: the class MetadataSerializers of flink-runtime 2.3.0.
It knows version 1, too, and throws at it; it writes 6. Version 7 is in Flink's master."""
_NUMBERS = re.compile(r"(\d{1,4})\.(\d{1,4})(?!\d)")


def hindrance(draft: Draft, began: StartedFrom, override: tuple[Override, ...] | None) -> Refusal | None:
    """Why its `_metadata` is of no use to the job's Flink; None also when nobody knows."""
    target, found = draft.job.spec.flink.version, _found(draft.observed, began)
    why = unread(target, found) if found is not None else ""
    if not why or Override.VERSION_NOT_READABLE in (override or ()):
        return None
    return _refusal(target, f"{began.text} at {began.location} cannot be restored: {why}")


def too_new(draft: Draft, began: StartedFrom, override: tuple[Override, ...] | None) -> Refusal | None:
    """Why the job's Flink is older than the one that wrote this. Flink promises to read what older ones wrote."""
    target, writer = draft.job.spec.flink.version, _writer(draft.observed, began)
    if Override.VERSION_NOT_READABLE in (override or ()) or _numbers(writer) <= _numbers(target):
        return None
    return _refusal(target, f"{began.text} was written by Flink {writer}, which is newer than spec.flink.version")


def unread(target: str, found: Verification) -> str:
    """Why Flink `target` cannot read this `_metadata`, as a part of a sentence; empty when it can, or nobody knows."""
    reads = READS.get(target)
    if reads is None or found.version is None or found.version in reads:
        return ""
    return f"its _metadata is in version {found.version}, and Flink {target} reads {reads[0]} to {reads[-1]}"


def check(draft: Draft, began: StartedFrom) -> Refusal | PreflightCheck:
    """The row of the preflight, with nothing overridden."""
    refusal = hindrance(draft, began, None) or too_new(draft, began, None)
    if refusal is not None:
        return refusal
    target, found, writer = draft.job.spec.flink.version, _found(draft.observed, began), _writer(draft.observed, began)
    if found is None or found.version is None or target not in READS:
        why = f"its _metadata does not say whether Flink {target} can read it"
        return PreflightCheck(name=NAME, result=CheckResult.UNKNOWN, message=why)
    by = f"written by Flink {writer} " if writer else ""
    message = f"{by}in metadata version {found.version}, which Flink {target} reads"
    return PreflightCheck(name=NAME, result=CheckResult.PASSED, message=message)


def _refusal(target: str, why: str) -> Refusal:
    return Refusal(
        "VersionNotReadable",
        f"{why}; write spec.startFrom.checkpoint.name of one that Flink {target} or an older one has written, or, to "
        f"try it all the same, spec.startFrom.override: [VersionNotReadable] and a new spec.restartToken",
    )


def _found(observed: Observed, began: StartedFrom) -> Verification | None:
    seen = observed.verified.get(began.location or "")
    return seen.verification if seen is not None else None


def _writer(observed: Observed, began: StartedFrom) -> str:
    """The Flink that wrote it, as its Checkpoint says; empty when nobody knows."""
    known = (*observed.checkpoints, *(each.checkpoint for each in observed.foreign))
    own = [each.status.flink_version for each in known if began.location and each.status.location == began.location]
    return next(filter(None, own), "")


def _numbers(version: str) -> tuple[int, ...]:
    """Major and minor; of what is no version nothing, which is before all others."""
    match = _NUMBERS.match(version)
    return tuple(map(int, match.groups())) if match is not None else ()
