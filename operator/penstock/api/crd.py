"""What a model declares for its CustomResourceDefinition beside its fields: CEL rules, columns, names."""

from dataclasses import dataclass
from typing import Any, Literal

VALIDATIONS = "x-kubernetes-validations"


@dataclass(frozen=True)
class Rule:
    """One CEL rule of a schema node (x-kubernetes-validations).

    Attributes:
        rule: the CEL expression, true when the object is valid; `self` is the node, `oldSelf` makes it a
            transition rule, which is only asked on updates.
        message: what is wrong and what to write instead; it names the field from `spec` on.
        message_expression: CEL that makes the message when it has to quote a value; `message` is its fallback.
        field_path: the field below the node that the error is reported for.
        reason: the machine-readable reason of the API server's answer.
    """

    rule: str
    message: str
    message_expression: str | None = None
    field_path: str | None = None
    reason: Literal["FieldValueInvalid", "FieldValueForbidden", "FieldValueRequired"] | None = None

    def to_dict(self) -> dict[str, str]:
        """The rule as Kubernetes spells it."""
        spelled = {
            "rule": self.rule,
            "message": self.message,
            "messageExpression": self.message_expression,
            "fieldPath": self.field_path,
            "reason": self.reason,
        }
        return {key: value for key, value in spelled.items() if value is not None}


def rules(*declared: Rule) -> dict[str, Any]:
    """Rules of a single field, for `Field(json_schema_extra=rules(...))`."""
    return {VALIDATIONS: [rule.to_dict() for rule in declared]}


def list_map(key: str) -> dict[str, Any]:
    """A list whose items are told apart by `key`, so that server-side apply merges it item by item."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]}


LIST_SET: dict[str, Any] = {"x-kubernetes-list-type": "set"}
LIST_ATOMIC: dict[str, Any] = {"x-kubernetes-list-type": "atomic"}


@dataclass(frozen=True)
class Column:
    """A column of `kubectl get`; priority 1 shows only with `-o wide`."""

    name: str
    json_path: str
    type: Literal["string", "integer", "boolean", "date"] = "string"
    description: str = ""
    priority: Literal[0, 1] = 0


@dataclass(frozen=True)
class Resource:
    """The names of a kind and how it is listed."""

    kind: str
    plural: str
    short_name: str
    scope: Literal["Namespaced", "Cluster"]
    columns: tuple[Column, ...]
    selectable_fields: tuple[str, ...] = ()
