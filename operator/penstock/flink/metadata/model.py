"""What a `_metadata` file says, as frozen values. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from penstock.flink.metadata.splits import Splits


class Kind(StrEnum):
    """The kind of state that is in a file."""

    KEYED = "keyed"
    OPERATOR = "operator"
    CHANNEL = "channel"
    """In-flight records of an unaligned checkpoint."""
    CHANGELOG = "changelog"
    """Changes since the last materialization (`state.changelog.enabled`); what was materialized is KEYED."""


class Scope(StrEnum):
    """Whose a file is, as far as its place tells. Flink derives its own cleaning from the same layout."""

    EXCLUSIVE = "exclusive"
    """In the checkpoint's own directory: of this checkpoint alone."""
    SHARED = "shared"
    """In a `shared/` directory: other checkpoints may name it too."""
    TASKOWNED = "taskowned"
    """In a `taskowned/` directory: the TaskManagers made it; with file merging, many checkpoints name it."""
    ELSEWHERE = "elsewhere"
    """In none of these: a changelog's own store (`dstl/`), another checkpoint's directory. Not to be touched."""


@dataclass(frozen=True, slots=True)
class Segment:
    """The part of a merged file that this checkpoint needs (`execution.checkpointing.file-merging.enabled`)."""

    offset: int
    """Bytes before it."""
    length: int
    """Bytes, at least 0."""
    shared: bool
    """Flink's own scope of the part (not of the file): SHARED, or else EXCLUSIVE."""


@dataclass(frozen=True, slots=True)
class FileReference:
    """One mention of a file. The same file may be mentioned many times, and by many checkpoints."""

    path: str
    """As Flink writes it (`s3://bucket/key`, `file:/directory/name`, nothing percent-encoded), or, for a relative one,
    the checkpoint's directory, a slash and the name."""
    size: int | None
    """The file's size in bytes; None for a part of a merged file, for which only `segment` is known. A file of kind
    CHANGELOG has one byte more: Flink does not count the one that says whether it is compressed (seen, 2.3)."""
    scope: Scope
    kind: Kind
    relative: bool = False
    """Whether the file says only a name, so that the checkpoint can be moved with its directory."""
    segment: Segment | None = None

    @property
    def at_least(self) -> int:
        """How many bytes the file must have for this mention to be readable."""
        if self.segment is not None:
            return self.segment.offset + self.segment.length
        return self.size or 0


@dataclass(frozen=True, slots=True)
class MasterState:
    """State of a hook on the JobManager; it lies in the `_metadata` file itself."""

    name: str
    version: int
    size: int
    """Bytes."""


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator's state, all subtasks together."""

    id: str
    """32 hex digits, as Flink's REST API writes ids."""
    name: str | None
    """None before version 5, and when the job gives none."""
    uid: str | None
    """The uid that the job's author set; None before version 5, and when there is none."""
    parallelism: int
    max_parallelism: int
    subtasks: int
    """Subtasks with state or finished; 0 when the whole operator is finished."""
    finished_subtasks: int
    finished: bool
    """Whether all of it had ended when the checkpoint was taken."""
    inline_bytes: int
    """Bytes of state inside the `_metadata` file, the coordinator's included."""
    coordinator_bytes: int
    """Bytes of the coordinator's state (a source's enumerator); always inside the `_metadata` file."""
    references: int
    """How often it mentions a file."""


@dataclass(frozen=True, slots=True)
class Properties:
    """The Java-serialized CheckpointProperties at the end of a file (version 4 on). Walked over, never built."""

    size: int
    """Bytes."""
    names: tuple[str, ...]
    """Java classes and enum constants in it, in the order of appearance, packages left out."""

    @property
    def savepoint(self) -> bool:
        """Whether it says that this was taken as a savepoint."""
        return "SavepointType" in self.names


@dataclass(frozen=True, slots=True)
class Summary:
    """All of a file but its mentions of other files."""

    version: int
    checkpoint_id: int
    size: int
    """Bytes of the `_metadata` file itself."""
    master_states: tuple[MasterState, ...]
    operators: tuple[Operator, ...]
    properties: Properties | None
    """None before version 4, and when Flink wrote none."""
    splits: Splits
    """Where Kafka sources go on."""


@dataclass(frozen=True, slots=True)
class Metadata(Summary):
    """A whole file."""

    references: tuple[FileReference, ...]
    """Every mention of a file, in the order of appearance."""
    directories: tuple[str, ...]
    """Directories that file merging manages for the subtasks, each once. They hold merged files of this and of other
    checkpoints; a directory that is empty or gone is no loss."""

    @property
    def inline_bytes(self) -> int:
        """Bytes of state inside the `_metadata` file."""
        return sum(operator.inline_bytes for operator in self.operators) + sum(s.size for s in self.master_states)

    def files(self) -> dict[str, int]:
        """The distinct physical files, each with the number of bytes that it must have at least."""
        return needed(self.references)


def needed(references: Iterable[FileReference]) -> dict[str, int]:
    """The distinct physical files of some mentions: path to the number of bytes that it must have at least."""
    found: dict[str, int] = {}
    for reference in references:
        found[reference.path] = max(found.get(reference.path, 0), reference.at_least)
    return found
