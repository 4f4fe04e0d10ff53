"""What a StreamJob reads from, as a user declares it."""

from typing import Annotated, ClassVar

from pydantic import Field

from penstock.api.base import Model, ObjectName
from penstock.api.crd import LIST_SET, Rule
from penstock.api.duration import Duration, at_least_a_second


class KafkaSource(Model):
    """Topics of a Kafka cluster."""

    connection: ObjectName
    """Name of the SourceConnection, which says how the broker is reached. Required."""
    topics: tuple[Annotated[str, Field(min_length=1, max_length=249)], ...] = Field(
        min_length=1, max_length=64, json_schema_extra=LIST_SET
    )
    """Names of the topics. Required."""


class GenericSource(Model):
    """A source that Penstock cannot ask."""

    retention: Duration = Field(json_schema_extra=at_least_a_second("spec.sources[].generic.retention"))
    """How long it keeps what it was given, for example 168h. Required."""


class JobSource(Model):
    """One source of the job: exactly one of kafka and generic."""

    name: str = Field(min_length=1, max_length=63)
    """Its name, unique within the job. Required."""
    kafka: KafkaSource | None = None
    """Topics of a Kafka cluster."""
    generic: GenericSource | None = None
    """A source that Penstock cannot ask: what it keeps is declared."""

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.kafka) != has(self.generic)",
            "spec.sources[] needs exactly one of kafka: {connection: ..., topics: [...]} and generic: {retention: ...}",
        ),
    )
