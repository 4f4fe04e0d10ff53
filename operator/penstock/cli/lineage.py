"""Which run came from which checkpoint, made of job versions, Checkpoints and the StreamJob as it is. Pure.

What no object says is unknown, and is not guessed: two checkpoints are the same when their locations are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from penstock.api.base import format_time
from penstock.api.checkpoint import Checkpoint
from penstock.api.history import RunRecord, record_of
from penstock.api.streamjob import StreamJob
from penstock.api.streamjob_status import StartKind
from penstock.model import Revision
from penstock.names import short

UNKNOWN = "Unknown"
"""In the place of what a run started from, when no object says."""
DELETED = "Deleted"
"""In the place of a phase: a Checkpoint that a run started from and that there is none of any more."""
NOT_LISTED = "NotListed"
"""In the place of a phase: one of Flink's own that never had a Checkpoint."""

Row = dict[str, Any]


def lineage(
    job: StreamJob, versions: Sequence[Revision], checkpoints: Sequence[Checkpoint], others: Sequence[Checkpoint] = ()
) -> Row:
    """What `-o json` prints; the shape is in the user guide.

    Args:
        job: the StreamJob.
        versions: its job versions.
        checkpoints: its Checkpoints, those of an earlier job of its name included.
        others: Checkpoints of other jobs that runs of this one started from, as far as there are any.
    """
    records = _records(job, versions)
    nodes = [_checkpoint(job, each) for each in checkpoints]
    by_location = {node["location"]: node["name"] for node in nodes if node["location"]}
    real = list(nodes)
    runs: list[Row] = []
    for run, (version, record) in records.items():
        came_from = _linked(record, by_location, others)
        if came_from["location"] and came_from["location"] not in by_location:
            nodes.append(_missing(came_from))
            by_location[came_from["location"]] = came_from["checkpoint"]
        runs.append(_run(job, run, version, record, came_from))
    # Of a run that nobody has recorded its checkpoints tell that there was one, and no more.
    for node in real:
        if node["run"] and node["run"] not in {run["id"] for run in runs}:
            runs.append(_run(job, node["run"], node["version"], None, _linked(None, {}, ())) | {"of": node["of"]})
    current = job.status.run
    return {
        "job": job.metadata.name,
        "namespace": job.metadata.namespace,
        "state": str(job.status.state or ""),
        "version": job.status.job_version or None,
        "run": current.id if current is not None else "",
        "versions": _versions(versions, runs),
        "runs": sorted(runs, key=lambda run: (run["startedAt"], run["id"])),
        "checkpoints": sorted(nodes, key=lambda node: (node["completed"], node["name"])),
    }


def _records(job: StreamJob, versions: Iterable[Revision]) -> dict[str, tuple[int, RunRecord]]:
    """Of each run its version and its record; of the present one also when it is not written down yet."""
    found = {run: (each.version, record) for each in versions for run, record in each.runs.items()}
    run, began = job.status.run, job.status.started_from
    if run is not None and began is not None:
        _, known = found.get(run.id, (0, None))
        found[run.id] = (run.job_version, record_of(run, began, known))
    return found


def _linked(record: RunRecord | None, by_location: Mapping[str, str], others: Sequence[Checkpoint]) -> Row:
    """What a run started from. `checkpoint` is the name of a node of the tree; empty: of none."""
    if record is None:
        return {"kind": UNKNOWN, "text": "", "checkpoint": "", "job": "", "run": "", "location": "", "reason": ""}
    location = record.location or ""
    foreign = next((each for each in others if location and each.status.location == location), None)
    own = by_location.get(location, "") if location else ""
    return {
        "kind": str(record.kind),
        "text": record.text,
        "checkpoint": own or record.checkpoint or (record.text if location else ""),
        "job": foreign.spec.job_ref.name if foreign is not None else "",
        "run": record.run or "",
        "location": location,
        "reason": record.reason,
    }


def _run(job: StreamJob, run: str, version: int | None, record: RunRecord | None, came_from: Row) -> Row:
    status = job.status.run
    live = status is not None and status.id == run and status.ended_at is None
    return {
        "id": run,
        "version": version or None,
        "of": "",
        "startedAt": _time(record.started_at if record else None),
        "endedAt": _time(record.ended_at if record else None),
        "end": str(record.end_state or "") if record else "",
        "stopReason": record.stop_reason if record else "",
        "live": live,
        "from": came_from,
    }


def _checkpoint(job: StreamJob, checkpoint: Checkpoint) -> Row:
    status, origin = checkpoint.status, checkpoint.spec.origin
    earlier = status.job_uid not in (None, job.metadata.uid)
    return {
        "name": checkpoint.metadata.name,
        "run": status.run or (origin.run if origin is not None else ""),
        "version": status.job_version,
        "of": f"an earlier {job.metadata.name}" if earlier else "",
        "job": "",
        "number": status.checkpoint_id,
        "source": str(checkpoint.spec.source),
        "status": "Deleting" if checkpoint.metadata.terminating else str(status.phase or ""),
        "completed": _time(status.completion_time or status.trigger_time),
        "size": status.size_text or "",
        "description": checkpoint.spec.description,
        "pinned": checkpoint.spec.pinned,
        "location": checkpoint.spec.location or status.location or "",
    }


def _missing(came_from: Row) -> Row:
    """One that a run started from, and that the job's Checkpoints do not tell of (any more)."""
    listed = came_from["kind"] == StartKind.CHECKPOINT or came_from["checkpoint"] != came_from["text"]
    foreign = came_from["job"]
    return {
        "name": came_from["checkpoint"],
        "run": came_from["run"],
        "version": None,
        "of": "",
        "job": foreign,
        "number": None,
        "source": "",
        "status": "" if foreign else DELETED if listed else NOT_LISTED,
        "completed": "",
        "size": "",
        "description": "",
        "pinned": False,
        "location": came_from["location"],
    }


def _versions(versions: Sequence[Revision], runs: Sequence[Row]) -> list[Row]:
    first: dict[str, int] = {}
    for each in versions:
        first.setdefault(each.spec_hash, each.version)
    return [
        {
            "version": each.version,
            "created": _time(each.made_at),
            "sameAs": first[each.spec_hash] if each.spec_hash and first[each.spec_hash] != each.version else None,
            "runs": [run["id"] for run in runs if run["version"] == each.version and not run["of"]],
        }
        for each in versions
    ]


def _time(time: datetime | None) -> str:
    return format_time(time) if time is not None else ""


# ---------------------------------------------------------------- the tree


def tree(content: Row) -> list[tuple[str, Row]]:
    """The runs and checkpoints as lines: the branch with the name, and the run or the checkpoint.

    A checkpoint stands below the run that wrote it, a run below the checkpoint that it came from. What comes from
    nothing that is known stands at the left. Nothing is drawn twice, whatever the objects say of each other.
    """
    forest = _Forest(content)
    lines: list[tuple[str, Row]] = []
    for root in [*forest.roots(), *content["runs"], *content["checkpoints"]]:
        _draw(forest, root, ("", ""), lines)
    return lines


class _Forest:
    """Who stands below whom. A run is known by its id, a checkpoint by its location, else by its name."""

    def __init__(self, content: Row) -> None:
        self._content = content
        self.drawn: set[str] = set()
        self._runs = {run["id"] for run in content["runs"]}
        self._places = {node["location"] for node in content["checkpoints"] if node["location"]}

    def roots(self) -> list[Row]:
        of_none = [node for node in self._content["checkpoints"] if node["job"] or node["run"] not in self._runs]
        return [*[run for run in self._content["runs"] if run["from"]["location"] not in self._places], *of_none]

    def below(self, node: Row) -> list[Row]:
        if "from" in node:
            written = self._content["checkpoints"]
            return [each for each in written if each["run"] == node["id"] and not each["job"]]
        location = node["location"]
        return [run for run in self._content["runs"] if location and run["from"]["location"] == location]

    def take(self, node: Row) -> bool:
        """Whether it is not drawn yet; from now on it is."""
        key = f"run {node['id']}" if "from" in node else f"{node['name']} {node['location']}"
        fresh = key not in self.drawn
        self.drawn.add(key)
        return fresh


def _draw(forest: _Forest, node: Row, branch: tuple[str, str], lines: list[tuple[str, Row]]) -> None:
    """One node with all below it; `branch` is what stands before it, and before what is below it."""
    if not forest.take(node):
        return
    lines.append((branch[0] + name_of(node), node))
    below = forest.below(node)
    for number, each in enumerate(below, 1):
        corner, line = ("└─ ", "   ") if number == len(below) else ("├─ ", "│  ")
        _draw(forest, each, (branch[1] + corner, branch[1] + line), lines)


def name_of(node: Row) -> str:
    """As it stands in the tree."""
    return f"run {short(node['id'])}" if "from" in node else str(node["name"])
