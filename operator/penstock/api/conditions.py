"""Conditions as metav1.Condition has them, and the one way to change them."""

from datetime import datetime
from typing import Literal

from penstock.api.base import Model, Time, whole_seconds

ConditionStatus = Literal["True", "False", "Unknown"]


class Condition(Model):
    """One thing that is known about an object, for people and for tools that wait."""

    type: str
    """What is said, for example Ready."""
    status: ConditionStatus = "Unknown"
    """True, False or Unknown."""
    reason: str = ""
    """Why, as one CamelCase word for machines."""
    message: str = ""
    """Why, in words, and what to do about it."""
    last_transition_time: Time | None = None
    """When status last changed."""
    observed_generation: int | None = None
    """The metadata.generation that this was said about."""


Conditions = tuple[Condition, ...]


def find_condition(conditions: Conditions, kind: str) -> Condition | None:
    """The condition of this type, None when it was never set."""
    return next((condition for condition in conditions if condition.type == kind), None)


def _says(condition: Condition) -> tuple[object, ...]:
    return condition.status, condition.reason, condition.message, condition.observed_generation


def set_condition(conditions: Conditions, new: Condition, now: datetime) -> Conditions:
    """Put `new` in the place of the condition of its type, or at the end.

    The time of the last transition is kept while the status stays the same, so that writing the same condition
    again changes nothing; the order of the others never changes.
    """
    old = find_condition(conditions, new.type)
    if old is not None and old.last_transition_time is not None and _says(old) == _says(new):
        return conditions  # nearly every pass says what the pass before has said
    before = old.last_transition_time if old is not None and old.status == new.status else None
    time = before if before is not None else now
    settled = new.model_copy(update={"last_transition_time": whole_seconds(time)})
    if old is None:
        return (*conditions, settled)
    return tuple(settled if condition.type == new.type else condition for condition in conditions)


def remove_condition(conditions: Conditions, kind: str) -> Conditions:
    """The conditions without those of this type."""
    return tuple(condition for condition in conditions if condition.type != kind)
