"""Reading what Kubernetes has stored, without believing it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError

from penstock.api.base import Model

M = TypeVar("M", bound=Model)


@dataclass(frozen=True)
class Problem:
    """Something wrong with an object: `path` as a user writes it (`spec.checkpoints.store`), `message` what to do."""

    path: str
    message: str
    hinders: bool = True
    """Whether no run can be started because of it."""

    def __str__(self) -> str:
        """As it stands in a condition."""
        return f"{self.path}: {self.message}"


@dataclass(frozen=True)
class Unreadable:
    """A Checkpoint that this version of Penstock cannot read: it is neither used, nor deleted, nor taken for gone."""

    namespace: str
    name: str
    why: str
    told: bool
    """Its status says so already."""


def _path(location: tuple[int | str, ...]) -> str:
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path


def read(kind: type[M], stored: Mapping[str, Any]) -> tuple[M | None, tuple[Problem, ...]]:
    """Read a stored object into its model.

    Returns:
        The object, and what could not be read. A field of the status that cannot be read is left out, because the
        status is only the operator's memory and is found again. When the spec or the metadata cannot be read there is
        no object: None.
    """
    try:
        return kind.model_validate(stored), ()
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
    problems = tuple(Problem(_path(each["loc"]), each["msg"]) for each in found)
    if any(each["loc"][:1] != ("status",) for each in found):
        return None, problems
    status = stored["status"]
    unreadable = {each["loc"][1] for each in found if len(each["loc"]) > 1}
    if isinstance(status, Mapping) and unreadable:
        kept = {key: value for key, value in status.items() if key not in unreadable}
    else:
        kept = {}
    return kind.model_validate({**stored, "status": kept}), problems
