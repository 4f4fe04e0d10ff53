"""What the toy world consists of; its sides are in the modules beside this one."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace
from typing import Any, Self

from penstock import model
from penstock.api.checkpoint import Checkpoint
from penstock.api.replay import Replay
from penstock.api.streamjob import StreamJob
from penstock.flink.answers import CheckpointStats, Restored
from penstock.model import Observed, Revision
from tests.unit.builders import NOW


@dataclass(frozen=True)
class File:
    """One object of the store; a `_metadata` carries Flink's number and the value of the job's state."""

    modified: Any
    number: int = 0
    value: int = 0
    content: dict[str, Any] = field(default_factory=dict)
    replay: Replay | None = None
    """Of a `_metadata`: what the run that wrote it had been told."""


@dataclass
class Operation:
    """A savepoint, or a stop with one, in a JobManager's memory."""

    target: str
    stop: bool
    location: str = ""
    failure: str = ""
    ended: Any = None


@dataclass
class Process:
    """A JobManager's process and its job. `value` counts what was processed: the job's state."""

    state: str = "INITIALIZING"
    replay: Replay | None = None
    """What its script says: the times of a replay."""
    value: int = 0
    number: int = 0
    restored: Restored | None = None
    rounds: int = 0
    completed: CheckpointStats | None = None
    history: list[CheckpointStats] = field(default_factory=list)
    operations: dict[str, Operation] = field(default_factory=dict)

    @property
    def live(self) -> bool:
        return self.state in ("INITIALIZING", "RUNNING")


@dataclass
class Deployed:
    """What Kubernetes holds of one run."""

    kinds: set[str] = field(default_factory=set)
    permit: bool = False
    permit_used: bool = False
    failed: bool = False
    applied: model.ApplyRun | None = None
    process: Process | None = None
    pods: int = 0
    plan: bool = False
    pointer: str = ""
    pointers_exist: bool = False
    result: str = ""


class Ground:
    """The state that all sides share, and the list of what must never happen."""

    def __init__(self) -> None:
        self.now = NOW
        self.objects: dict[str, dict[str, Any]] = {}
        """Manifests: the StreamJob under the empty name, Checkpoints under their own."""
        self.runs: dict[str, Deployed] = {}
        self.programs: dict[str, model.ProgramPod] = {}
        """The pods of preflights; each answers at the next move."""
        self.revisions: dict[int, Revision] = {}
        self.store: dict[str, File] = {}
        self.tombstones: dict[str, int] = {}
        """Bytes freed by each deletion whose tombstone is still there, by the Checkpoint's uid."""
        self.namespace_terminating = False
        self.savepoints_completed: dict[str, int] = {}
        """How many savepoints were ever complete in each target directory."""
        self.starts: list[tuple[str, str]] = []
        """(run, restore path) of each first start."""
        self.replays: dict[str, Replay] = {}
        """The times that each wish for a replay was first begun with."""
        self.lost: list[int] = []
        """For each first start, how many records the newest state of all in the store was ahead of it."""
        self.violations: list[str] = []
        self.savepoint_failure = ""
        self.store_down = False
        self.flink_down = False
        self.discards_when_cancelled = False
        """What the program has told Flink to do with the checkpoints of a job that is cancelled."""
        self.broker_down = False
        self.earliest = 0
        """The first offset that the broker still holds; every state goes on at 100."""
        self._next = 0
        self._version = 0
        self._parsed: dict[str, tuple[str, Any]] = {}
        """Each object with the resourceVersion that it was read from: reading a model is what takes the time here."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        made = object.__new__(type(self))
        made.__dict__ = {name: _copied(value) for name, value in self.__dict__.items()}
        made.runs = {run: _copied_deployed(deployed) for run, deployed in self.runs.items()}
        return made

    def _number(self) -> int:
        self._next += 1
        return self._next

    def _put(self, name: str, manifest: dict[str, Any]) -> None:
        """Store a manifest, which nobody changes from then on: copies of this world have it, too."""
        self._version += 1
        metadata = manifest["metadata"] | {"resourceVersion": str(self._version)}
        self.objects[name] = manifest | {"metadata": metadata}

    def _read(self, name: str) -> Any:
        """The object as the operator reads it. Nothing changes without a new resourceVersion."""
        stored = self.objects[name]
        version = stored["metadata"]["resourceVersion"]
        known = self._parsed.get(name)
        if known is None or known[0] != version:
            kind = Checkpoint if name else StreamJob
            known = self._parsed[name] = version, kind.model_validate(stored)
        return known[1]


def _copied(value: Any) -> Any:
    """A container of its own, of what never changes: `copy.deepcopy` of all of it took a sixth of a story."""
    return value.copy() if isinstance(value, dict | list | set) else value


def _copied_deployed(deployed: Deployed) -> Deployed:
    """What is alive in this world."""
    process = deployed.process
    if process is not None:
        operations = {name: copy.copy(each) for name, each in process.operations.items()}
        process = replace(process, history=process.history.copy(), operations=operations)
    return replace(deployed, kinds=deployed.kinds.copy(), process=process)


def loaded(observed: Observed, name: str) -> Any:
    """The object of a pass: the StreamJob under the empty name, a Checkpoint under its own."""
    return observed.job if not name else next(c for c in observed.checkpoints if c.metadata.name == name)
