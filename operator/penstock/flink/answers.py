"""What Flink's REST API says, as frozen values. Pure; unknown fields are ignored, missing ones have a neutral value."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

TERMINAL = frozenset({"FINISHED", "CANCELED", "FAILED"})
"""Job states that Flink never leaves again (SUSPENDED is not one of them)."""


@dataclass(frozen=True)
class CheckpointStats:
    """One entry of `GET /jobs/:id/checkpoints`. Times are milliseconds since 1970, sizes bytes."""

    id: int
    status: str
    savepoint: bool
    path: str
    trigger_millis: int
    ack_millis: int
    duration_millis: int
    size_bytes: int
    discarded: bool
    failure: str = ""

    @classmethod
    def parse(cls, entry: dict[str, Any]) -> CheckpointStats:
        """Read one entry of `history` or of `latest`."""
        return cls(
            id=int(entry.get("id", 0)),
            status=str(entry.get("status", "")),
            savepoint=bool(entry.get("is_savepoint", False)),
            path=str(entry.get("external_path") or ""),
            trigger_millis=int(entry.get("trigger_timestamp") or 0),
            ack_millis=int(entry.get("latest_ack_timestamp") or 0),
            duration_millis=int(entry.get("end_to_end_duration") or 0),
            size_bytes=int(entry.get("state_size") or 0),
            discarded=bool(entry.get("discarded", False)),
            failure=str(entry.get("failure_message") or ""),
        )


@dataclass(frozen=True)
class Restored:
    """What the running attempt was restored from (`latest.restored`)."""

    id: int
    path: str
    savepoint: bool


@dataclass(frozen=True)
class FlinkJob:
    """One look at a job: its state, whether every task runs, and its checkpoints."""

    state: str
    all_running: bool = False
    restored: Restored | None = None
    completed: CheckpointStats | None = None
    history: tuple[CheckpointStats, ...] = ()
    failure: str = ""
    planned: bool = True
    """Whether Flink has a plan of it: not when its program failed before it had submitted the job."""
    restoring: bool = False
    """Whether a task reads its state, which may take long."""
    began_millis: int = 0
    """When this JobManager began the job, by its own clock; 0 when it does not say."""
    restarted_millis: int = 0
    """When it last began to restart the job's tasks; 0: never."""
    now_millis: int = 0
    """What its clock said when it answered."""

    @property
    def terminal(self) -> bool:
        """Whether the job has ended for good."""
        return self.state in TERMINAL


@dataclass(frozen=True)
class Checkpointing:
    """`GET /jobs/:id/checkpoints/config`: how a job really takes checkpoints, whatever its program was told to do."""

    keeps_on_cancellation: bool
    """Whether its checkpoints stay in the store when it is cancelled."""
    interval_millis: int = 0
    mode: str = ""
    """`exactly_once` or `at_least_once`."""
    storage: str = ""
    """Flink's class for where they lie, without its package: `FileSystemCheckpointStorage`."""


@dataclass(frozen=True)
class InProgress:
    """The savepoint is being taken."""


@dataclass(frozen=True)
class Completed:
    """The savepoint is complete; for a stop this does not prove that the job ended."""

    location: str


@dataclass(frozen=True)
class TriggerFailed:
    """Flink's own reason: the innermost cause, one line."""

    message: str


@dataclass(frozen=True)
class NotTriggered:
    """Flink does not know the trigger id: never posted, forgotten after 5 minutes, or lost with the JobManager."""


Trigger = InProgress | Completed | TriggerFailed | NotTriggered


def parse_job(job: dict[str, Any], checkpoints: dict[str, Any]) -> FlinkJob:
    """Read `GET /jobs/:id` and `GET /jobs/:id/checkpoints` together."""
    states = [str(vertex.get("status", "")) for vertex in job.get("vertices", [])]
    latest = checkpoints.get("latest") or {}
    candidates = [CheckpointStats.parse(latest[key]) for key in ("completed", "savepoint") if latest.get(key)]
    restored = latest.get("restored")
    return FlinkJob(
        state=str(job.get("state", "")),
        all_running=bool(states) and all(state in ("RUNNING", "FINISHED") for state in states),
        restored=Restored(
            int(restored.get("id", 0)), str(restored.get("external_path") or ""), bool(restored.get("is_savepoint"))
        )
        if restored
        else None,
        completed=max(candidates, key=lambda stats: (stats.ack_millis, stats.id), default=None),
        history=tuple(CheckpointStats.parse(entry) for entry in checkpoints.get("history", [])),
        planned=bool(states),
        restoring="INITIALIZING" in states,
        began_millis=int(job.get("start-time") or 0),
        restarted_millis=int((job.get("timestamps") or {}).get("RESTARTING") or 0),
        now_millis=int(job.get("now") or 0),
    )


def parse_checkpointing(config: dict[str, Any]) -> Checkpointing:
    """Read `GET /jobs/:id/checkpoints/config`. What it does not say is taken for the worse."""
    kept = config.get("externalization") or {}
    return Checkpointing(
        keeps_on_cancellation=kept.get("enabled") is True and kept.get("delete_on_cancellation") is False,
        interval_millis=int(config.get("interval") or 0),
        mode=str(config.get("mode") or ""),
        storage=str(config.get("checkpoint_storage") or ""),
    )


def parse_trigger(answer: dict[str, Any]) -> Trigger:
    """Read the answer to a poll of a trigger. A failed operation also says COMPLETED: the cause tells."""
    operation = answer.get("operation") or {}
    cause = operation.get("failure-cause")
    if cause:
        return TriggerFailed(innermost(str(cause.get("stack-trace") or cause.get("class") or "unknown")))
    if (answer.get("status") or {}).get("id") == "COMPLETED":
        return Completed(str(operation.get("location", "")))
    return InProgress()


def busy_millis(metric: dict[str, Any]) -> int | None:
    """Read one entry of `GET …/subtasks/metrics?get=busyTimeMsPerSecond&agg=max`; None for Flink's NaN."""
    value = float(metric.get("max", "nan"))
    return round(value) if math.isfinite(value) else None


_NOISE = re.compile(r"^(?:[\w$]+\.)+[\w$]*?(\w+(?:Exception|Error)): ")


_EXPECTED = re.compile(r" Was expecting (one of)?:.*")
"""What Flink's parser would have taken in place of what it did not: two hundred words."""
_FRAME = re.compile(r"at \S+(\(.*\))?$|\.\.\. \d+")


def innermost(trace: str) -> str:
    """The innermost cause of a Java stack trace in one line of at most 500 characters, without the packages.

    All lines of its message: the first alone says that an option is wrong, and a later one which.
    """
    lines = [line.strip() for line in trace.splitlines() if line.strip()]
    causes = [number for number, line in enumerate(lines) if line.startswith("Caused by: ")]
    begin = causes[-1] if causes else 0
    end = next((number for number in range(begin + 1, len(lines)) if _FRAME.match(lines[number])), len(lines))
    # Without frames nothing says where a message ends.
    words = lines[begin:end] if end < len(lines) or causes else lines[:1]
    text = " ".join(words).removeprefix("Caused by: ") or "unknown"
    text = _EXPECTED.sub("", text)
    return _NOISE.sub(r"\1: ", text)[:500]


@dataclass(frozen=True)
class Unfit:
    """An operator whose state Flink would not split as the program wants."""

    id: str
    wanted: int
    """Its parallelism in the program; of one that has changed its max parallelism."""
    most: int
    """The max parallelism that its state has."""
    changed: bool
    """Whether the program says another max parallelism, which Flink never takes."""


@dataclass(frozen=True)
class Graph:
    """What the preflight's program has said of another one (see `operator/java`)."""

    operators: int = 0
    missing: tuple[str, ...] = ()
    """Ids of the first of those with state that it has no place for."""
    missing_count: int = 0
    unfit: tuple[Unfit, ...] = ()
    """The first of those whose state cannot be split as it wants."""
    failure: str = ""
    """Why it cannot make its graph."""


def read_graph(text: str) -> Graph | None:
    """The answer as a value; None when this is none: the process has ended before it could give one."""
    head, _, rest = text.partition("\n")
    if head == "failed":
        return Graph(failure=" / ".join(line.strip() for line in rest.splitlines() if line.strip()) or "without a word")
    words = head.split()
    if len(words) != 3 or words[0] != "graph" or not (words[1] + words[2]).isdecimal():  # noqa: PLR2004 - as it is written
        return None
    lines = [line.split() for line in rest.splitlines()]
    missing = tuple(line[0] for line in lines if len(line) == 1)
    unfit = tuple(
        Unfit(line[1], int(line[2]), int(line[3]), changed=line[0] == "max")
        for line in lines
        if len(line) == 4 and line[0] in ("max", "wide") and (line[2] + line[3]).isdecimal()  # noqa: PLR2004 - so too
    )
    return Graph(int(words[1]), missing, int(words[2]), unfit)
