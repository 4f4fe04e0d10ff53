"""What the operator measures of a job's sources when somebody asks by the annotation penstock.dev/estimate."""

from pydantic import Field

from penstock.api.base import Model, Time
from penstock.api.crd import LIST_ATOMIC


class MeasuredPartition(Model):
    """One partition of a topic."""

    topic: str
    """Name of the topic."""
    partition: int
    """Its number."""
    records: tuple[int, ...] = Field(default=(), json_schema_extra=LIST_ATOMIC)
    """How many records lie between each of the times and the end, in the order of the times."""
    deleted: bool = False
    """Whether records have been deleted that may have been of the first of the times or later."""


class MeasuredSources(Model):
    """The answer to one question."""

    request: str = ""
    """The first word of the annotation that this answers."""
    time: Time
    """When it was measured."""
    times: tuple[Time, ...] = Field(default=(), json_schema_extra=LIST_ATOMIC)
    """The times that were asked for."""
    partitions: tuple[MeasuredPartition, ...] = Field(default=(), json_schema_extra=LIST_ATOMIC)
    """All partitions of all topics of spec.sources; none when there is a problem."""
    busy_millis: int | None = None
    """How busy the busiest subtask of the job is, in milliseconds per second, as Flink says; missing: not known."""
    problem: str = ""
    """Why there are no figures."""
