"""What a change of the spec asks for: nothing, a restart, or a savepoint and a restart.

Every field of the spec is in the table; a test walks the models and fails when one is missing.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterator, Mapping
from enum import IntEnum
from typing import Any

from penstock.api.base import dump
from penstock.api.streamjob import StreamJobSpec


class Change(IntEnum):
    """How much a change asks for; the largest one of all changed fields counts."""

    IGNORED = 0
    """Read at every pass; the running job need not know."""
    RESTART = 1
    """The pods change, the job's graph does not: the newest retained checkpoint is enough to start from."""
    SAVEPOINT = 2
    """The job's graph or its state may be read differently: `checkpoints.onUpgrade` says what to start from."""


FIELDS: Mapping[str, Change] = {
    "flink.version": Change.SAVEPOINT,
    "flink.image": Change.SAVEPOINT,
    "flink.configuration": Change.SAVEPOINT,
    "job.sql.script": Change.SAVEPOINT,
    "job.jar.uri": Change.SAVEPOINT,
    "job.jar.entryClass": Change.SAVEPOINT,
    "job.jar.args": Change.SAVEPOINT,
    "job.python": Change.SAVEPOINT,
    "parallelism": Change.SAVEPOINT,
    "jobManager.resources": Change.RESTART,
    "taskManager.resources": Change.RESTART,
    "taskManager.replicas": Change.RESTART,
    "taskManager.slots": Change.RESTART,
    "podTemplate": Change.RESTART,
    "serviceAccountName": Change.RESTART,
    "checkpoints.interval": Change.RESTART,
    "checkpoints.timeout": Change.RESTART,
    # What follows is asked at every pass, or at the next start.
    "checkpoints.store": Change.IGNORED,
    "checkpoints.format": Change.IGNORED,
    "checkpoints.onStop": Change.IGNORED,
    "checkpoints.onUpgrade": Change.IGNORED,
    "checkpoints.ifSavepointFails": Change.IGNORED,
    "checkpoints.retention.numRetained": Change.IGNORED,
    "checkpoints.retention.maxAge": Change.IGNORED,
    "checkpoints.schedule": Change.IGNORED,
    "state": Change.IGNORED,
    "startFrom": Change.IGNORED,
    "window": Change.IGNORED,
    "sources": Change.IGNORED,
    "restartToken": Change.IGNORED,
    "onChange": Change.IGNORED,
    "onDelete": Change.IGNORED,
}


def version_part(spec: StreamJobSpec) -> dict[str, Any]:
    """The part of a spec that makes a job version, as `{field path: value}`."""
    return {path: value for path, value in _leaves(dump(spec)) if class_of(path) > Change.IGNORED}


def spec_hash(spec: StreamJobSpec) -> str:
    """A hash of the part that makes a job version: equal when nothing has to be started anew (16 hex digits)."""
    return hashlib.sha256(json.dumps(version_part(spec), sort_keys=True).encode()).hexdigest()[:16]


def changed_fields(old: Mapping[str, Any], new: StreamJobSpec) -> dict[str, Change]:
    """Which fields differ between a recorded job version (its spec as stored) and a spec, and what each asks for."""
    after = dict(_leaves(dump(new)))
    # A field that there is no more asks for nothing: an older version has recorded it.
    before = {path: value for path, value in _leaves(old) if path in after or _is_known(path)}
    return {
        path: class_of(path)
        for path in sorted(before.keys() | after.keys())
        if before.get(path) != after.get(path) and class_of(path) > Change.IGNORED
    }


def _is_known(path: str) -> bool:
    try:
        class_of(path)
    except LookupError:
        return False
    return True


@functools.cache
def class_of(path: str) -> Change:
    """The class of a field by the longest entry of the table that it is, or lies under.

    Raises:
        LookupError: when the field is not classified (a new field that nobody thought about).
    """
    parts = path.split(".")
    for length in range(len(parts), 0, -1):
        entry = FIELDS.get(".".join(parts[:length]))
        if entry is not None:
            return entry
    msg = f"spec.{path} is not classified in decide/change.py"
    raise LookupError(msg)


def _leaves(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The spec as `path, value`; a path ends where the table has an entry."""
    for key, item in value.items():
        path = f"{prefix}{key}"
        if isinstance(item, Mapping) and path not in FIELDS:
            yield from _leaves(item, path + ".")
        else:
            yield path, item
