"""What Kubernetes knows of checkpoints, places and runs, told from the objects of all namespaces. Pure.

Whatever is in doubt counts as known, busy or live, because what nobody knows may be removed. An object that cannot be
read is an error for the same reason: what it names would count as nobody's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from penstock import names
from penstock.api import constants
from penstock.api.base import Model
from penstock.api.checkpoint import Checkpoint, Phase
from penstock.api.conditions import find_condition
from penstock.api.reading import read
from penstock.api.streamjob import StreamJob
from penstock.api.streamjob_status import StartIntent
from penstock.errors import Refused
from penstock.inventory.leftovers import Known

Manifest = Mapping[str, Any]
_M = TypeVar("_M", bound=Model)
_URI = re.compile(r"s3[ap]?://[^\s\"',;]+")
_SETTLED = frozenset({Phase.PRESENT, Phase.CLEARED, Phase.FAILED, Phase.TIMEOUT})


@dataclass(frozen=True)
class Listed:
    """The objects of all namespaces, as the API gives them.

    Attributes:
        stream_jobs: all StreamJobs.
        checkpoints: all Checkpoints.
        jobs: batch/v1 Jobs with Penstock's label.
        pods: pods with it.
        config_maps: ConfigMaps with it.
    """

    stream_jobs: Sequence[Manifest] = ()
    checkpoints: Sequence[Manifest] = ()
    jobs: Sequence[Manifest] = ()
    pods: Sequence[Manifest] = ()
    config_maps: Sequence[Manifest] = ()


def known_of(listed: Listed) -> Known:
    """What they know, all together.

    Raises:
        Refused: one of them cannot be read (`Unreadable`).
    """
    found = _Found()
    checkpoints = [_read(Checkpoint, item) for item in listed.checkpoints]
    runs = {(each.metadata.namespace, each.metadata.name): _run_of(each) for each in checkpoints}
    for checkpoint in checkpoints:
        found.checkpoint(checkpoint)
    for item in listed.stream_jobs:
        found.stream_job(_read(StreamJob, item), runs)
    for item in (*listed.checkpoints, *listed.stream_jobs):
        # Messages are for people: one that quotes a place does not need it.
        found.locations.update(_uris(item, without=("message", "managedFields")))
    for kind, items in (("Job", listed.jobs), ("Pod", listed.pods), ("ConfigMap", listed.config_maps)):
        for item in items:
            found.owned(kind, item)
    return found.known()


@dataclass
class _Found:
    """What was found so far."""

    checkpoints: set[str] = field(default_factory=set)
    busy: set[str] = field(default_factory=set)
    locations: set[str] = field(default_factory=set)
    runs: set[str] = field(default_factory=set)
    live: set[str] = field(default_factory=set)

    def checkpoint(self, checkpoint: Checkpoint) -> None:
        uid = checkpoint.metadata.uid
        self.checkpoints.add(uid)
        if _is_busy(checkpoint):
            self.busy.add(uid)
            self.live.update(_run_of(checkpoint))

    def stream_job(self, job: StreamJob, runs: Mapping[tuple[str, str], frozenset[str]]) -> None:
        status = job.status
        following: list[dict[str, Any] | None] = []
        if status.run is not None:
            # Until it was swept nobody has looked at what an ended run has left.
            over = status.run.ended_at is not None and status.run.swept
            (self.runs if over else self.live).add(status.run.id)
            following.append(status.run.next_start_from)
        if status.started_from is not None and status.started_from.run:
            self.runs.add(status.started_from.run)
        if status.intent is not None:
            self.live.add(status.intent.run)
            if isinstance(status.intent, StartIntent):
                self.live.update(filter(None, [status.intent.started_from.run]))
            else:
                following.append(status.intent.next_start_from)
        for start in following:
            name = ((start or {}).get("checkpoint") or {}).get("name")
            self.live.update(runs.get((job.metadata.namespace, str(name)), ()))

    def owned(self, kind: str, item: Manifest) -> None:
        meta = item["metadata"]
        run = (meta.get("labels") or {}).get(constants.LABEL_RUN)
        if run is None:
            return
        if not names.is_run(run):
            raise _unreadable(kind, item, f"its label {constants.LABEL_RUN} is {run!r}, which is no run")
        (self.runs if _has_ended(kind, item) else self.live).add(run)
        # A restore path stands in a command, in a file or in an annotation.
        self.locations.update(_uris(item, without=("managedFields", "message")))

    def known(self) -> Known:
        return Known(
            frozenset(self.checkpoints),
            frozenset(self.busy),
            frozenset(self.locations),
            frozenset(self.runs | self.live),
            frozenset(self.live),
        )


def _read(kind: type[_M], item: Manifest) -> _M:
    found, problems = read(kind, item)
    if found is None or problems:
        raise _unreadable(kind.__name__, item, "; ".join(map(str, problems)))
    return found


def _unreadable(kind: str, item: Manifest, why: str) -> Refused:
    meta = item.get("metadata") or {}
    what = f"{kind} {meta.get('namespace')}/{meta.get('name')}"
    msg = f"{what} cannot be read ({why}): what it needs is not known, so nothing counts as nobody's"
    return Refused(msg, constants.UNREADABLE)


def _run_of(checkpoint: Checkpoint) -> frozenset[str]:
    origin = checkpoint.spec.origin
    return frozenset(filter(None, (checkpoint.status.run, origin.run if origin else None)))


def _is_busy(checkpoint: Checkpoint) -> bool:
    """Whether it is being taken or cleared, or nobody has looked at it yet."""
    status = checkpoint.status
    deleting = find_condition(status.conditions, constants.DELETING)
    clearing = checkpoint.metadata.terminating or (deleting is not None and deleting.status != "False")
    return clearing or status.phase not in _SETTLED or status.settled is False


def _has_ended(kind: str, item: Manifest) -> bool:
    """Whether nothing writes any more because of it; a ConfigMap alone never does."""
    status = item.get("status") or {}
    if kind == "Pod":
        return status.get("phase") in ("Succeeded", "Failed")
    if kind == "Job":
        conditions = status.get("conditions") or []
        return any(each.get("type") in ("Complete", "Failed") and each.get("status") == "True" for each in conditions)
    return True


def _uris(value: object, without: Iterable[str]) -> Iterator[str]:
    """Every S3 URI in an object, as Flink writes them: `s3://bucket/key`."""
    if isinstance(value, str):
        for found in _URI.findall(value):
            yield "s3://" + found.partition("://")[2]
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            if key not in without:
                yield from _uris(inner, without)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _uris(inner, without)
