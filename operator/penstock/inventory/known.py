"""What Kubernetes knows of checkpoints, places and runs, told from the objects of all namespaces. Pure.

Whatever is in doubt counts as known, busy or live, because what nobody knows may be removed. An object that cannot be
read is an error for the same reason: what it names would count as nobody's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
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
    gathered = Gathered()
    gathered.checkpoints(listed.checkpoints)
    gathered.stream_jobs(listed.stream_jobs)
    for kind, items in (("Job", listed.jobs), ("Pod", listed.pods), ("ConfigMap", listed.config_maps)):
        gathered.owned(kind, items)
    return gathered.known()


class Gathered:
    """What the objects know that were handed in so far, in any number of calls; Checkpoints before StreamJobs.

    The objects are not kept: pods and their managed fields are large, and there may be thousands of them.
    """

    def __init__(self) -> None:
        self._checkpoints: set[str] = set()
        self._busy: set[str] = set()
        self._locations: set[str] = set()
        self._runs: set[str] = set()
        self._live: set[str] = set()
        self._runs_of: dict[tuple[str, str], frozenset[str]] = {}
        """The runs of each Checkpoint, by namespace and name."""

    def checkpoints(self, items: Iterable[Manifest]) -> None:
        """Take in Checkpoints."""
        for item in items:
            checkpoint = _read(Checkpoint, item)
            meta, runs = checkpoint.metadata, _runs_of(checkpoint)
            self._runs_of[meta.namespace, meta.name] = runs
            self._checkpoints.add(meta.uid)
            if _is_busy(checkpoint):
                self._busy.add(meta.uid)
                self._live.update(runs)
            self._named(item)

    def stream_jobs(self, items: Iterable[Manifest]) -> None:
        """Take in StreamJobs."""
        for item in items:
            self._stream_job(_read(StreamJob, item))
            self._named(item)

    def owned(self, kind: str, items: Iterable[Manifest]) -> None:
        """Take in objects of runs: Jobs, Pods or ConfigMaps."""
        for item in items:
            run = (item["metadata"].get("labels") or {}).get(constants.LABEL_RUN)
            if run is None:
                continue
            if not names.is_run(run):
                raise _unreadable(kind, item, f"its label {constants.LABEL_RUN} is {run!r}, which is no run")
            (self._runs if _has_ended(kind, item) else self._live).add(run)
            # A restore path stands in a command, in a file or in an annotation.
            self._named(item)

    def known(self) -> Known:
        """All that they know."""
        return Known(
            frozenset(self._checkpoints),
            frozenset(self._busy),
            frozenset(self._locations),
            frozenset(self._runs | self._live),
            frozenset(self._live),
        )

    def _stream_job(self, job: StreamJob) -> None:
        status = job.status
        following: list[dict[str, Any] | None] = []
        if status.run is not None:
            # Until it was swept nobody has looked at what an ended run has left.
            over = status.run.ended_at is not None and status.run.swept
            (self._runs if over else self._live).add(status.run.id)
            following.append(status.run.next_start_from)
        if status.started_from is not None and status.started_from.run:
            self._runs.add(status.started_from.run)
        if status.fallback is not None and status.fallback.started_from.run:
            self._live.add(status.fallback.started_from.run)
        if status.intent is not None:
            self._live.add(status.intent.run)
            if isinstance(status.intent, StartIntent):
                back = status.intent.fallback
                starts = [status.intent.started_from, *([back.started_from] if back is not None else [])]
                self._live.update(start.run for start in starts if start.run)
            else:
                following.append(status.intent.next_start_from)
        for start in following:
            name = ((start or {}).get("checkpoint") or {}).get("name")
            self._live.update(self._runs_of.get((job.metadata.namespace, str(name)), ()))

    def _named(self, item: Manifest) -> None:
        # Messages are for people: one that quotes a place does not need it.
        self._locations.update(_uris(item, without=("message", "managedFields")))


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


def _runs_of(checkpoint: Checkpoint) -> frozenset[str]:
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
