"""The base of all models, the types that they share, and how they are written back."""

from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    PlainSerializer,
)
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from penstock.api.crd import VALIDATIONS, Rule


class Model(BaseModel):
    """A frozen record, camelCase in Kubernetes and snake_case in Python.

    Unknown fields are ignored, because a newer operator may have stored them. Field docstrings become the
    descriptions that `kubectl explain` shows.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        alias_generator=to_camel,
        populate_by_name=True,
        use_attribute_docstrings=True,
    )
    cel_rules: ClassVar[tuple[Rule, ...]] = ()

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Put the CEL rules that are declared beside the fields into the schema."""
        schema = handler(core_schema)
        if cls.cel_rules:
            handler.resolve_ref_schema(schema)[VALIDATIONS] = [rule.to_dict() for rule in cls.cel_rules]
        return schema


def dump(model: Model) -> dict[str, Any]:
    """The model as the JSON object that Kubernetes stores: camelCase, RFC 3339 times, nothing that is None."""
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


def whole_seconds(time: datetime) -> datetime:
    """In UTC and cut to whole seconds, as Kubernetes keeps times.

    Raises:
        ValueError: when there is no such time in UTC.
    """
    try:
        utc = time.astimezone(UTC)
    except OverflowError as error:  # the first and the last day that there are, in another zone
        raise ValueError(f"{time.isoformat()} is not a time in UTC") from error
    return utc.replace(microsecond=0) if utc.microsecond else utc


def format_time(time: datetime) -> str:
    """RFC 3339 in UTC with whole seconds, as Kubernetes writes its own times: `2026-01-31T12:00:00Z`."""
    return whole_seconds(time).isoformat().replace("+00:00", "Z")


# Whole seconds, so that a status read back equals the status that was written.
Time = Annotated[AwareDatetime, AfterValidator(whole_seconds), PlainSerializer(format_time, when_used="json")]

# The name of another object: a DNS-1123 subdomain.
ObjectName = Annotated[
    str,
    Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"),
]


class Empty(Model):
    """An object without fields: that it is there is all it says."""


class NameRef(Model):
    """Names another object of the same namespace."""

    name: ObjectName
    """Name of the object. Required."""
