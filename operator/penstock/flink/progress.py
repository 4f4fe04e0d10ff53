"""How far a job's Kafka sources and its watermarks have come, out of the metrics that Flink's REST API tells. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

_OFFSET = re.compile(r"^(\d+)\..*\.KafkaSourceReader\.topic\.(.+)\.partition\.(\d+)\.currentOffset$")
_WANTED = (".currentOffset", ".pendingRecords", ".currentEmitEventTimeLag")
_SOURCE = "KafkaSourceReader"
_LOWEST = -(1 << 62)
"""Below it a watermark is Flink's word for none yet."""
_LONGEST_QUERY = 3000
"""Characters: Flink's server takes no request line above 4096 bytes."""


@dataclass(frozen=True)
class Progress:
    """One look at what a running job has read.

    Attributes:
        offsets: topic and partition to the offset that is read next; only of those that something was read of.
        readers: topic and partition to the subtask that reads it, as `<vertex>/<subtask>`.
        pending: records that the sources' clients know to be unread; None when no source tells.
        lag_millis: how old the record read last was when it was read, by its own time; of the subtask that is behind
            most. None when no source tells.
        watermark: the lowest watermark of all subtasks, milliseconds since 1970; None when there is none yet.
        running_millis: since when all subtasks run; None when one does not.
    """

    offsets: Mapping[tuple[str, int], int] = field(default_factory=dict)
    readers: Mapping[tuple[str, int], str] = field(default_factory=dict)
    pending: int | None = None
    lag_millis: int | None = None
    watermark: int | None = None
    running_millis: int | None = None


def queries(ids: Iterable[str]) -> list[str]:
    """The ids of a vertex' metrics that are wanted, as a few values of `get`, each short enough for one request."""
    found: list[str] = []
    ids = list(ids)
    if not any(_SOURCE in each for each in ids):
        return found
    for each in sorted(each for each in ids if each.endswith(_WANTED)):
        if found and len(found[-1]) + len(each) < _LONGEST_QUERY:
            found[-1] += f",{each}"
        else:
            found.append(each)
    return found


@dataclass
class Reading:
    """Gathers what the vertices of a job tell, one after the other."""

    offsets: dict[tuple[str, int], int] = field(default_factory=dict)
    readers: dict[tuple[str, int], str] = field(default_factory=dict)
    pending: int | None = None
    lag: int | None = None
    watermark: int | None = None
    running: list[int | None] = field(default_factory=list)

    def take(self, vertex: str, values: Iterable[Mapping[str, object]]) -> None:
        """Read an answer to `GET …/vertices/:id/metrics?get=…`."""
        for each in values:
            name, value = str(each.get("id", "")), _whole(each.get("value"))
            if value is None:
                continue
            found = _OFFSET.match(name)
            if found and value >= 0:  # below: nothing was read yet
                place = (found[2], int(found[3]))
                self.offsets[place], self.readers[place] = value + 1, f"{vertex}/{found[1]}"
            elif found:
                self.readers[found[2], int(found[3])] = f"{vertex}/{found[1]}"
            elif name.endswith(".pendingRecords"):
                self.pending = (self.pending or 0) + value
            elif name.endswith(".currentEmitEventTimeLag"):
                self.lag = max(value, self.lag or 0)

    def take_watermarks(self, values: Iterable[Mapping[str, object]]) -> None:
        """Read an answer to `GET …/vertices/:id/watermarks`."""
        known = [value for each in values if (value := _whole(each.get("value"))) is not None and value > _LOWEST]
        if known:
            self.watermark = min(known if self.watermark is None else [self.watermark, *known])

    def take_subtasks(self, values: Iterable[Mapping[str, object]]) -> None:
        """Read `subtasks` of an answer to `GET …/vertices/:id`."""
        for each in values:
            durations = each.get("status-duration")
            running = durations.get("RUNNING") if isinstance(durations, Mapping) else None
            runs = each.get("status") == "RUNNING" and isinstance(running, int) and running >= 0
            if each.get("status") != "FINISHED":
                self.running.append(running if runs else None)

    def progress(self) -> Progress:
        """All of it."""
        since = [each for each in self.running if each is not None]
        whole = bool(since) and len(since) == len(self.running)
        return Progress(
            self.offsets, self.readers, self.pending, self.lag, self.watermark, min(since) if whole else None
        )


def _whole(value: object) -> int | None:
    try:
        return int(float(str(value))) if "." in str(value) or "E" in str(value) else int(str(value))
    except (ValueError, OverflowError):
        return None
