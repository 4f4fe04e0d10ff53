"""Checkpoint objects made anew from the notes beside savepoints, after a cluster was lost. Pure.

A note lies where the job's pods may write: what it says is believed only as far as it fits the directory that it lies
in, and as a Checkpoint may be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from penstock.api import constants
from penstock.api.base import ObjectName, dump
from penstock.api.checkpoint import CheckpointSpec, Source
from penstock.model import StoredState

_TAKEN = (Source.MANUAL, Source.STOP, Source.UPGRADE, Source.SCHEDULE)
"""Sources that savepoints have."""
_NAME: TypeAdapter[str] = TypeAdapter(ObjectName)


@dataclass(frozen=True)
class Rebuilt:
    """A savepoint in the store, and the Checkpoint for it.

    Attributes:
        job: name of the StreamJob.
        state: what lies there.
        name: name of the Checkpoint; empty when the note has none.
        source: who asked for it, by the note.
        description: what it is for, by the note.
        manifest: the object; None when there is none to be made.
        problem: why there is none.
    """

    job: str
    state: StoredState
    name: str
    source: str
    description: str
    manifest: dict[str, Any] | None
    problem: str


def plan(namespace: str, stored: Mapping[str, Sequence[StoredState]], *, pinned: bool) -> tuple[Rebuilt, ...]:
    """What can be made anew of a namespace, newest first. Of several savepoints for one name it is the newest.

    Args:
        namespace: the namespace.
        stored: by job name, its complete states.
        pinned: whether they are pinned.
    """
    states = [(job, state) for job, found in stored.items() for state in found if state.savepoint]
    states.sort(key=lambda pair: (pair[1].modified, pair[1].location), reverse=True)
    made: list[Rebuilt] = []
    taken: set[str] = set()
    for job, state in states:
        each = _rebuilt(namespace, job, state, taken, pinned=pinned)
        if each.manifest is not None:
            taken.add(each.name)
        made.append(each)
    return tuple(made)


def _rebuilt(namespace: str, job: str, state: StoredState, taken: set[str], *, pinned: bool) -> Rebuilt:
    note = state.note
    name, source, description = (_text(note, key) for key in ("checkpoint", "source", "description"))
    manifest, problem = None, _problem(note, namespace, job)
    if not problem and name in taken:
        problem = "a newer savepoint has this name"
    if not problem:
        try:
            manifest = _manifest(namespace, job, state, pinned=pinned)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            problem = f"its note cannot be one: {'.'.join(map(str, first['loc']))} {first['msg']}"
    return Rebuilt(job, state, name, source, description, manifest, problem)


def _problem(note: Mapping[str, Any], namespace: str, job: str) -> str:
    if not note:
        return "there is no note beside it"
    if (note.get("namespace"), note.get("job")) != (namespace, job):
        return "its note is of another job"
    if note.get("source") not in _TAKEN:
        return "its note names a source that no savepoint has"
    return ""


def _manifest(namespace: str, job: str, state: StoredState, *, pinned: bool) -> dict[str, Any]:
    note = state.note
    manual = note["source"] == Source.MANUAL
    spec = CheckpointSpec.model_validate(
        {
            "jobRef": {"name": job},
            "description": note.get("description", ""),
            "source": note["source"],
            "origin": None if manual else {"run": note.get("run")},
            "pinned": pinned,
        }
    )
    labels = {constants.LABEL_MANAGED_BY: constants.MANAGED_BY, constants.LABEL_JOB: job}
    return {
        "apiVersion": constants.API_VERSION,
        "kind": "Checkpoint",
        "metadata": {
            "name": _NAME.validate_python(note.get("checkpoint")),
            "namespace": namespace,
            "annotations": {constants.ANNOTATION_REBUILT_FROM: state.location},
            **({} if manual else {"labels": labels}),
        },
        "spec": dump(spec),
    }


def _text(note: Mapping[str, Any], key: str) -> str:
    value = note.get(key)
    return value if isinstance(value, str) else ""
